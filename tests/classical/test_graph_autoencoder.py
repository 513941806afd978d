import numpy as np
import pytest
import torch
from sklearn.covariance import EmpiricalCovariance

from classical.graph_autoencoder import GraphAutoencoder
from qad import detector
from qad.errors import InputError
from qad.representations.graphs import ParticleGraph, edge_features, edge_mask
from tests.conftest import toy_jets

GRAPHS = ParticleGraph(12).transform(toy_jets(300, 1, particles=16))
SMALL = {"latent": 2, "width": 16, "epochs": 12, "batch_size": 20}


@pytest.fixture(scope="module")
def fitted():
    """Trained on jets of which some have fewer particles than there are slots."""
    assert (GRAPHS[..., -1].sum(1) < 12).any()
    return GraphAutoencoder(**SMALL).fit(GRAPHS[:200])


def scored(fitted, as_):
    """The same trained model, read in another way."""
    other = GraphAutoencoder(**SMALL | {"epochs": 0, "score_as": as_}).fit(GRAPHS[:200])
    other.set_state(fitted.get_state())
    return other


def test_the_loss_is_the_plain_one(fitted):
    """L_node and L_edge of each jet by a loop over its own particles and pairs."""
    x = torch.as_tensor(GRAPHS[200:230])
    with torch.no_grad():
        network = fitted.network_
        node, edge = network.decode(network.encode(*network.features(x)))
        edge = edge.permute(0, 2, 3, 1)
        raw = x[..., :4].clone()
        raw[..., 0] = torch.where(x[..., 4] > 0, x[..., 0], torch.ones(())).log()
        wanted = (raw - network.node_mean) / network.node_scale, (edge_features(x) - network.edge_mean) / network.edge_scale
    found = []
    for jet in range(len(x)):
        n = int(x[jet, :, 4].sum())
        nodes = [float(((node - wanted[0])[jet, i] ** 2).mean()) for i in range(n)]
        edges = [float(((edge - wanted[1])[jet, i, j] ** 2).mean()) for i in range(n) for j in range(n) if i != j]
        found.append([np.mean(nodes), np.mean(edges)])
    found = np.array(found)
    np.testing.assert_allclose(fitted.anomaly_score(x.numpy()), found @ [0.3, 1.0], rtol=1e-9)
    np.testing.assert_allclose(scored(fitted, "node").anomaly_score(x.numpy()), found[:, 0], rtol=1e-9)
    np.testing.assert_allclose(scored(fitted, "edge").anomaly_score(x.numpy()), found[:, 1], rtol=1e-9)


def test_latent_score_is_the_mahalanobis_distance(fitted):
    z = fitted._latents(GRAPHS)
    judge = EmpiricalCovariance().fit(z[:200])
    np.testing.assert_allclose(scored(fitted, "latent").anomaly_score(GRAPHS), judge.mahalanobis(z) * 199 / 200, rtol=1e-4)


def test_order_of_the_nodes(fitted):
    """The latent vector does not know it; slots of the decoder do."""
    order = np.random.default_rng(0).permutation(12)
    latent = scored(fitted, "latent")
    np.testing.assert_allclose(latent.anomaly_score(GRAPHS[:, order]), latent.anomaly_score(GRAPHS), rtol=1e-8)
    assert np.abs(fitted.anomaly_score(GRAPHS[:, order]) - fitted.anomaly_score(GRAPHS)).max() > 0.01


@pytest.mark.parametrize("as_", ["reconstruction", "node", "edge", "latent"])
def test_absent_nodes_and_edges_do_not_count(fitted, as_):
    """Whatever stands in the columns of an absent node changes nothing."""
    x = GRAPHS.copy()
    absent = x[..., -1] == 0
    x[absent] = [0.5, 0.3, -0.2, 0.01, 0]
    reader = scored(fitted, as_)
    np.testing.assert_allclose(reader.anomaly_score(x), reader.anomaly_score(GRAPHS), rtol=1e-9)
    assert not edge_mask(torch.as_tensor(x)).numpy()[absent].any()


@pytest.mark.parametrize("as_", ["reconstruction", "node", "edge", "latent"])
def test_jets_of_one_particle_and_of_none(fitted, as_):
    x = GRAPHS[:2].copy()
    x[0, 1:] = 0
    x[1] = 0
    score = scored(fitted, as_).anomaly_score(x)
    assert np.isfinite(score).all()
    if as_ == "edge":
        np.testing.assert_array_equal(score, 0)


def test_decoded_edges_are_those_of_pairs(fitted):
    """The same for i, j and j, i."""
    with torch.no_grad():
        node, edge = fitted.network_.decode(torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    assert node.shape == (5, 12, 4) and edge.shape == (5, 4, 12, 12)
    torch.testing.assert_close(edge, edge.transpose(2, 3), rtol=1e-12, atol=1e-12)


def test_features_are_standardised_over_what_is_there(fitted):
    nodes, edges, here, pairs = fitted.network_.features(torch.as_tensor(GRAPHS[:200]))
    for values in (nodes[here], edges.permute(0, 2, 3, 1)[pairs]):
        np.testing.assert_allclose(values.mean(0), 0, atol=1e-5)
        np.testing.assert_allclose(values.std(0), 1, atol=1e-3)


def test_training_learns_both(fitted):
    bare = GraphAutoencoder(**SMALL | {"epochs": 0}).fit(GRAPHS[:200])
    for as_ in ("node", "edge"):
        trained, untrained = (scored(f, as_).anomaly_score(GRAPHS[200:]).mean() for f in (fitted, bare))
        assert trained < 0.95 * untrained
    only = GraphAutoencoder(**SMALL | {"edge_weight": 0}).fit(GRAPHS[:200])
    np.testing.assert_array_equal(only.anomaly_score(GRAPHS), 0.3 * scored(only, "node").anomaly_score(GRAPHS))


@pytest.mark.parametrize(("params", "sentence"), [
    ({"score_as": "energy"}, "expected one of reconstruction, node, edge, latent"),
    ({"node_weight": -1}, "expected a number from 0"),
    ({"node_weight": 0, "edge_weight": 0}, "not both 0"),
    ({"edge_weight": float("nan")}, "expected a number from 0"),
    ({"latent": 0}, "latent=0: expected a whole number from 1"),
    ({"branches": 0}, "branches=0: expected a whole number from 1"),
])
def test_wrong_settings_are_one_sentence(params, sentence):
    with pytest.raises(InputError, match=sentence):
        detector.get("graph-autoencoder", **params).fit(GRAPHS[:10])


def test_other_nodes_are_refused():
    with pytest.raises(InputError, match="'particle-graph' gives them; got 4 columns"):
        GraphAutoencoder().fit(GRAPHS[..., 1:])
