import numpy as np
import pytest
import torch

from classical.normalised_graph_autoencoder import NormalisedGraphAutoencoder, _Network
from qad import detector
from qad.energy import OnManifold
from qad.errors import InputError
from qad.metrics import auc
from qad.representations.lund_graph import LundGraph, adjacency
from tests.conftest import toy_jets

GRAPHS = LundGraph(8).transform(toy_jets(300, 1, particles=12))
SMALL = {"latent": 3, "width": 16, "batch_size": 30, "buffer": 60, "steps": 4, "latent_steps": 2, "warm_up": 40, "epochs": 3}
HERE = torch.as_tensor(GRAPHS[..., 6] > 0.5)


@pytest.fixture(scope="module")
def fitted():
    """Trained on jets of which some have fewer nodes than there are slots."""
    assert (~HERE[:200]).any() and HERE[:200].all(1).any()
    return NormalisedGraphAutoencoder(**SMALL).fit(GRAPHS[:200])


@pytest.fixture(scope="module")
def bare():
    """The same without training."""
    return NormalisedGraphAutoencoder(**SMALL | {"warm_up": 0, "epochs": 0}).fit(GRAPHS[:200])


@pytest.fixture(scope="module")
def network():
    """With weights of its first day, in float64, and its graphs' coordinates."""
    made = _Network(8, 3, 16, 2, (1.0, 1.0), False, 0).double()
    made.prepare(torch.as_tensor(GRAPHS))
    return made.requires_grad_(False)


def test_the_energy_is_the_plain_one(fitted):
    """E_X and E_A of each graph by a loop over its own nodes and pairs."""
    network, x = fitted.network_, torch.as_tensor(GRAPHS[200:220])
    with torch.no_grad():
        node, edge = network.energies(network.coordinates(x))
        made, joined = network._decode(network.encode(network.coordinates(x)), HERE[200:220].double())
    A, q = adjacency(x), float(network.density)
    for jet in range(len(x)):
        n = int(x[jet, :, 6].sum())
        logs = (x[jet, :n, :4] - network.mean) / network.scale
        psi = torch.polar(torch.ones(n, dtype=torch.float64), x[jet, :n, 4])
        far = [float(((logs[i] - made[jet, i, :4]) ** 2).sum() + (psi[i] - torch.complex(*made[jet, i, 4:])).abs() ** 2)
               for i in range(n)]
        pairs = [float(A[jet, i, j] - joined[jet, i, j]) ** 2 for i in range(n) for j in range(i + 1, n)]
        np.testing.assert_allclose(float(node[jet]), np.mean(far) / 5, rtol=1e-9)
        np.testing.assert_allclose(float(edge[jet]), np.mean(pairs) / (q * (1 - q)), rtol=1e-9)
    np.testing.assert_allclose(fitted.anomaly_score(x.numpy()), (node + edge).numpy(), rtol=1e-9)


def test_either_part_is_one_where_the_mean_is_decoded(network):
    bare = _Network(8, 3, 16, 2, (1.0, 1.0), False, 0).double().requires_grad_(False)
    bare.prepare(torch.as_tensor(GRAPHS))
    for layer in (bare.node, bare.source):
        layer.weight.zero_()
        layer.bias.zero_()
    node, edge = bare.energies(bare.coordinates(torch.as_tensor(GRAPHS)))
    n = HERE.double().sum(1)
    pairs = n * (n - 1)
    np.testing.assert_allclose([float((node * n).sum() / n.sum()), float((edge * pairs).sum() / pairs.sum())], 1, rtol=1e-6)


def test_gradient_in_nodes_and_adjacency(network):
    """Against finite differences; what is absent has none."""
    jets = HERE.sum(1).argsort()[[0, -1]]  # a small one, a full one
    u = network.coordinates(torch.as_tensor(GRAPHS[jets]))
    random = torch.Generator().manual_seed(0)
    free = network.free(u)
    pairs = network.blocks()[1] & free
    u = torch.where(pairs, torch.rand(u.shape, generator=random, dtype=u.dtype), u)  # between the bounds
    for block in network.blocks():
        moves = block & free
        assert moves.any()

        def energy(values, moves=moves):
            return network.energy(u.masked_scatter(moves, values))

        assert torch.autograd.gradcheck(energy, u[moves].clone().requires_grad_())
    v = u.clone().requires_grad_()
    slope = torch.autograd.grad(network.energy(v).sum(), v)[0]
    assert (slope[free] != 0).all()
    absent = ~free & network.blocks().any(0)
    assert absent.any() and (slope[absent] == 0).all()


def test_absent_nodes_do_not_count(fitted):
    """Whatever stands in the columns of an absent node, and what claims to be its child, changes nothing."""
    x = GRAPHS.copy()
    x[~HERE.numpy()] = [3.0, -2.0, 1.0, 4.0, 0.5, 1.0, 0.0]
    np.testing.assert_allclose(fitted.anomaly_score(x), fitted.anomaly_score(GRAPHS), rtol=1e-10)


def test_more_slots_do_not_count(fitted):
    """The same weights with room for more nodes, of whatever states, give the same energies."""
    more = _Network(11, 3, 16, 2, (1.0, 1.0), True, 0).double().train(False)
    weights = dict(fitted.network_.state_dict())
    random = torch.randn(3, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    more.load_state_dict(weights | {"slot": torch.cat([weights["slot"], random])})
    padded = torch.nn.functional.pad(torch.as_tensor(GRAPHS), (0, 0, 0, 3))
    with torch.no_grad():
        score = more.energy(more.coordinates(padded)).numpy()
    np.testing.assert_allclose(score, fitted.anomaly_score(GRAPHS), rtol=1e-10)


def test_graphs_of_one_node_and_of_none(fitted):
    x = GRAPHS[:2].copy()
    x[0, 1:] = 0
    x[1] = 0
    assert np.isfinite(fitted.anomaly_score(x)).all()
    with torch.no_grad():
        node, edge = fitted.network_.energies(fitted.network_.coordinates(torch.as_tensor(x)))
    assert node[0] > 0 and node[1] == 0 and (edge == 0).all()


def test_coordinates_and_back(network):
    x = torch.as_tensor(GRAPHS)
    torch.testing.assert_close(network.events(network.coordinates(x)), x, rtol=1e-9, atol=1e-12)


def test_an_angle_has_no_ends(fitted):
    x = GRAPHS[:50].copy()
    x[..., 4] += 2 * np.pi * HERE[:50].numpy()
    np.testing.assert_allclose(fitted.anomaly_score(x), fitted.anomaly_score(GRAPHS[:50]), rtol=1e-9)
    u = fitted.network_.coordinates(torch.as_tensor(GRAPHS[:50]))
    low, high = fitted.network_.bounds(u)
    np.testing.assert_allclose([low[4], high[4]], [-(3**0.5), 3**0.5], rtol=1e-12)  # a uniform angle has unit variance
    ends = []
    with torch.no_grad():
        for bound in (low, high):
            v = u.clone()
            v[:, 4] = bound[4]  # ψ of the first node, where a chain turns back
            ends.append(fitted.network_.energy(v))
    torch.testing.assert_close(*ends, rtol=1e-9, atol=1e-12)


def test_order_of_the_nodes(fitted):
    """The latent point does not know it; slots of the decoder do."""
    order = np.random.default_rng(0).permutation(8)
    x = GRAPHS[HERE.all(1).numpy()][:50]
    other = x[:, order].copy()
    place = np.argsort(order)
    other[..., 5] = np.where(other[..., 5] < 0, -1, place[other[..., 5].astype(int)])
    with torch.no_grad():
        z = [fitted.network_.encode(fitted.network_.coordinates(torch.as_tensor(g))) for g in (x, other)]
    torch.testing.assert_close(*z, rtol=1e-8, atol=1e-10)
    assert np.abs(fitted.anomaly_score(other) - fitted.anomaly_score(x)).max() > 0.01


class TestChains:
    def chains(self, network, **more):
        u = network.coordinates(torch.as_tensor(GRAPHS[:200]))
        low, high = network.bounds(u)
        assert ((u >= low) & (u <= high)).all()
        given = {"steps": 4, "latent_steps": 3, "restart": 0.2} | more
        model = OnManifold(network, torch.tensor(3.0, dtype=torch.float64), low, high, chains=100, through=False, penalty=0.0,
                           seed=1, jumps=0.1, points=u, free=network.free, blocks=network.blocks(), **given)
        return u, model

    def test_graphs_stay_graphs(self, network):
        u, model = self.chains(network)
        sizes = {tuple(m) for m in network.given(u).tolist()}
        for _ in range(20):
            model.run(4)
        x = model.visible.points
        assert (x != u).any() and {tuple(m) for m in network.given(x).tolist()} <= sizes
        moving = network.blocks().any(0)
        assert (x[:, moving][~network.free(x)[:, moving]] == 0).all()
        _, A, here = network._parts(x)
        assert (A == A.transpose(1, 2)).all() and (A >= 0).all() and (A <= 1).all()
        assert (A.diagonal(dim1=1, dim2=2) == 0).all() and (A.sum(2)[here < 0.5] == 0).all()
        back = network.events(x)
        assert (back[here < 0.5] == 0).all() and (back[:, 0, 5] == -1).all()
        assert (back[..., 5] < torch.arange(8)).all()

    def test_nodes_never_change_without_new_chains(self, network):
        u, model = self.chains(network, restart=0.0, latent_steps=0)
        for _ in range(5):
            model.run(4)
        assert (network.given(model.visible.points) == network.given(u)).all()

    def test_nodes_and_adjacency_move_in_turn(self, network):
        u, model = self.chains(network, restart=0.0, latent_steps=0)
        pairs = network.blocks()[1]
        before = {tuple(row.tolist()) for row in u[:, pairs]}
        x = model.run(1)
        assert {tuple(row.tolist()) for row in x[:, pairs]} <= before  # to the bit
        u, model = self.chains(network, restart=0.0, latent_steps=0)
        x = model.run(2)
        assert not {tuple(row.tolist()) for row in x[:, pairs]} <= before
        model.run(200)
        alpha, gamma = model.visible.steps.tolist()
        assert abs(np.log(alpha / gamma)) > 0.1  # each has a step of its own

    def test_new_chains_have_the_nodes_of_training_events(self, network):
        u, model = self.chains(network)
        before = model.hidden.points[:, network.latent :].clone()
        torch.testing.assert_close(before, network.given(u)[: len(before)], rtol=0, atol=0)
        for _ in range(10):
            fresh = model._anew(torch.tensor(0.05))
            assert {tuple(m) for m in network.given(fresh).tolist()} <= {tuple(m) for m in before.tolist()}
            absent = ~network.free(fresh) & network.blocks().any(0)
            assert (fresh[absent] == 0).all()
        torch.testing.assert_close(model.hidden.points[:, network.latent :], before, rtol=0, atol=0)


def test_training_learns_both(fitted, bare):
    x = torch.as_tensor(GRAPHS[200:])
    with torch.no_grad():
        trained, untrained = ([float(e.mean()) for e in network.energies(network.coordinates(x))]
                              for network in (fitted.network_, bare.network_))
    assert trained[0] < 0.95 * untrained[0] and trained[1] < 0.95 * untrained[1]
    found = fitted.diagnostics_
    assert found["loss"] < found["loss_untrained"] and np.isfinite(found["energy_ratio"]) and "problems" in found


def test_other_trees_are_found(fitted, bare):
    """Trees whose kT, or whose parents, belong to other nodes: better than without training."""
    random = np.random.default_rng(0)
    kt, parents = GRAPHS[200:].copy(), GRAPHS[200:].copy()
    for jet in range(len(kt)):
        n = int(kt[jet, :, 6].sum())
        kt[jet, :n, 1] = random.permutation(kt[jet, :n, 1])
        parents[jet, 1:n, 5] = [random.integers(i) for i in range(1, n)]
    for other in (kt, parents):
        trained, untrained = (auc(f.anomaly_score(GRAPHS[200:]), f.anomaly_score(other)) for f in (fitted, bare))
        assert trained > 0.6 and trained > untrained + 0.05


def test_events_of_the_model_are_graphs(fitted):
    x = fitted.samples_
    assert x.shape == (60, 8, 7) and np.isfinite(fitted.anomaly_score(x)).all()
    assert set(np.unique(x[..., 6])) <= {0, 1} and (x[x[..., 6] == 0] == 0).all()


def test_wasserstein_through_the_steps():
    one = NormalisedGraphAutoencoder(**SMALL | {"loss": "wasserstein", "epochs": 1}).fit(GRAPHS[:60])
    none = NormalisedGraphAutoencoder(**SMALL | {"epochs": 0}).fit(GRAPHS[:60])
    assert np.isfinite(one.anomaly_score(GRAPHS)).all()
    assert np.abs(one.anomaly_score(GRAPHS) - none.anomaly_score(GRAPHS)).max() > 1e-3


@pytest.mark.parametrize(("params", "sentence"), [
    ({"node_weight": -1}, "expected a number from 0"),
    ({"node_weight": 0, "edge_weight": 0}, "not both 0"),
    ({"edge_weight": float("nan")}, "expected a number from 0"),
    ({"width": 0}, "width=0: expected a whole number from 1"),
    ({"layers": 0}, "layers=0: expected a whole number from 1"),
    ({"latent": 1}, "latent=1: expected a whole number from 2"),
])
def test_wrong_settings_are_one_sentence(params, sentence):
    with pytest.raises(InputError, match=sentence):
        detector.get("normalised-graph-autoencoder", **params).fit(GRAPHS[:10])


def test_other_graphs_are_refused():
    with pytest.raises(InputError, match="'lund-graph' gives them; got 5 columns"):
        NormalisedGraphAutoencoder().fit(GRAPHS[..., 2:])
