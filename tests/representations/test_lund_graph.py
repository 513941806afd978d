"""Lund graphs: one tree whatever is left out, infrared safe, joined as its parents say."""

import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import connected_components

from qad import detector
from qad.data import Sample
from qad.errors import InputError
from qad.representations.lund import Lund, declusterings
from qad.representations.lund_graph import NODE_COLUMNS, LundGraph, _largest, adjacency
from tests.conftest import toy_jets

PARENT, PRESENT = 5, 6


def cut_by_hand(values, depth, parent, kt_min):
    """One jet's splittings with kT ≥ kt_min: from each branch follow the harder until one passes, both of its branches then."""
    below = {(int(p), int(depth[p] != depth[k])): k for k, p in enumerate(parent) if depth[k] >= 0 and p >= 0}  # softer: 1
    found = []

    def walk(k, above):
        while k is not None and values[k, 1] < np.log(kt_min):
            k = below.get((k, 0))
        if k is not None:
            found.append((k, above))
            walk(below.get((k, 0)), k)
            walk(below.get((k, 1)), k)

    walk(0 if depth[0] >= 0 else None, -1)
    found.sort()
    row = {k: i for i, (k, _) in enumerate(found)}
    return np.array([[*values[k], row.get(above, -1), 1] for k, above in found]).reshape(-1, 7)


@pytest.mark.parametrize("kt_min", [0.3, 1.0, 5.0, 1e4])
def test_a_cut_is_the_walk_along_harder_branches(kt_min, top_toys):
    lund, graph = declusterings(top_toys.particles), LundGraph(40, kt_min=kt_min).transform(top_toys)
    for i in range(60):
        expected = cut_by_hand(lund.values[i], lund.depth[i], lund.parent[i], kt_min)
        np.testing.assert_allclose(graph[i, : len(expected)], expected, rtol=1e-12)
        assert (graph[i, len(expected) :] == 0).all()


@pytest.mark.parametrize("planes", ["all", "primary"])
@pytest.mark.parametrize("n_nodes", [1, 5, 12, 60])
def test_one_tree_whatever_is_left_out(n_nodes, planes, top_toys):
    nodes, lund = LundGraph(n_nodes, planes).transform(top_toys), declusterings(top_toys.particles)
    there = nodes[..., PRESENT] == 1
    mine = lund.primary if planes == "primary" else lund.depth >= 0
    np.testing.assert_array_equal(there.sum(1), np.minimum(mine.sum(1), n_nodes))
    assert (np.diff(there.astype(int)) <= 0).all() and (nodes[~there] == 0).all() and nodes.shape[2] == len(NODE_COLUMNS)
    assert ((nodes[..., PARENT] == -1) & there).sum(1).tolist() == [1] * 400
    assert (nodes[:, 0, PARENT] == -1).all() and (nodes[..., PARENT] < np.arange(n_nodes)).all()
    joined = adjacency(torch.as_tensor(nodes)).numpy()
    for a, k in zip(joined, there.sum(1), strict=True):
        assert connected_components(a[:k, :k])[0] == 1 and a.sum() == a[:k, :k].sum() == 2 * (k - 1)  # a tree
        assert (a == a.T).all() and a.trace() == 0 and set(np.unique(a)) <= {0, 1}
    if planes == "primary":  # a chain
        np.testing.assert_array_equal(nodes[..., PARENT], np.where(there, np.arange(n_nodes) - 1, 0))
    if n_nodes == 60 and planes == "all":  # nothing is left out
        k = lund.values.shape[1]
        np.testing.assert_array_equal(nodes[:, :k, :5], lund.values)
        np.testing.assert_array_equal(nodes[:, :k, PARENT], np.where(mine, lund.parent, 0))
    child, parent = nodes[there], np.take_along_axis(nodes, np.maximum(nodes[..., PARENT:6], 0).astype(int), 1)[there]
    assert (child[:, 3] <= parent[:, 3] + 1e-9).all()  # a part weighs no more than the whole


def test_kept_are_the_largest_kt(real_jets):
    """A branch opened by less kT than it holds is at wide angles, and rare: nearly all jets keep their largest kT."""
    for process in ("qcd", "top"):
        jets = real_jets[process]
        lund, nodes = declusterings(jets.particles), LundGraph(15).transform(jets)
        largest = -np.sort(np.where(lund.depth >= 0, -lund.values[..., 1], np.inf), axis=1)[:, :15]
        kept = -np.sort(np.where(nodes[..., PRESENT] == 1, -nodes[..., 1], np.inf), axis=1)
        assert np.isclose(largest, kept).all(1).mean() > 0.99


def test_a_plane_opened_by_less_kt_than_it_holds_goes_with_it():
    """By hand, as wide angles make it: kT 9 on the softer branch of 2 is not kept before 2 is, and never without it."""
    kt = np.log([8.0, 2.0, 4.0, 9.0])
    lund = Lund(np.stack([kt] * 5, axis=-1)[None], np.array([[0, 0, 0, 1]]), np.array([[-1, 0, 1, 1]]))
    rows = [_largest(lund, lund.depth >= 0, n, -np.inf)[0].nonzero()[0].tolist() for n in (1, 2, 3, 4)]
    assert rows == [[0], [0, 2], [0, 1, 2], [0, 1, 2, 3]]
    assert _largest(lund, lund.depth >= 0, 9, np.log(3))[0].tolist() == [True, False, True, False]


def same(a, b, atol=1e-6):
    """Nodes and parents; ψ on the circle."""
    np.testing.assert_array_equal(a[..., PARENT:], b[..., PARENT:])
    np.testing.assert_allclose(a[..., :4], b[..., :4], atol=atol)
    np.testing.assert_allclose(np.exp(1j * a[..., 4]), np.exp(1j * b[..., 4]), atol=atol)


@pytest.fixture(scope="module")
def massless():
    """Particles in float64, where a sample would round after each change."""
    particles = toy_jets(60, 8, prongs=3).particles.astype(np.float64)
    return particles * [1, 1, 1, 0], (particles[..., 0] > 0).sum(1)


@pytest.mark.parametrize("n_nodes", [8, 50])
def test_symmetries(n_nodes, massless):
    """A turn in φ, a boost along the beam, another order change nothing; the mirror turns ψ into -ψ; the scale of pT shifts."""
    particles, count = massless
    graph, there = LundGraph(n_nodes), particles[..., :1] > 0
    nodes = graph._nodes(particles)
    same(graph._nodes(particles + there * [0, 0, 2.0, 0]), nodes, 1e-3)
    same(graph._nodes(particles + there * [0, -0.7, 0, 0]), nodes, 1e-3)
    rng = np.random.default_rng(0)
    rows = np.stack([np.r_[rng.permutation(k), np.arange(k, 40)] for k in count])
    same(graph._nodes(np.take_along_axis(particles, rows[..., None], 1)), nodes)
    same(graph._nodes(particles * [1, -1, 1, 1]), nodes * [1, 1, 1, 1, -1, 1, 1])
    same(graph._nodes(particles * [2, 1, 1, 1]), nodes + nodes[..., 6:] * np.log(2) * [0, 1, 0, 1, 0, 0, 0])


def test_a_soft_or_collinear_particle_changes_nothing(massless):
    """Infrared and collinear safe, and full or not: 1 eV more in each jet, or its hardest as two, 1e-6 rad apart."""
    particles, count = massless
    for graph in (LundGraph(10), LundGraph(60, kt_min=1e-3), LundGraph(10, "primary", 1e-3)):
        nodes = graph._nodes(particles)
        more = np.pad(particles, [(0, 0), (0, 1), (0, 0)])
        more[np.arange(60), count] = particles[:, 0] * [0, 1, 1, 0] + [1e-9, 0.3, 0.2, 0]
        same(graph._nodes(more), nodes, 1e-4)
        more[:, 0, 0] *= 0.6
        more[np.arange(60), count] = more[:, 0] * [2 / 3, 1, 1, 0] + [0, 1e-6, 0, 0]
        same(graph._nodes(more), nodes, 1e-3)


def test_adjacency_reads_parents_alone():
    """Three nodes in a chain, one beside it, one row empty whose parent column, 0, is no edge; on float32 and in a batch."""
    nodes = torch.zeros(2, 5, 7)
    nodes[:, :4, PRESENT], nodes[:, :4, PARENT] = 1, torch.tensor([[-1.0, 0, 1, 0], [-1, 0, 0, 2]])
    first, second = torch.zeros(2, 5, 5)
    for graph, pairs in ((first, ((0, 1), (1, 2), (0, 3))), (second, ((0, 1), (0, 2), (2, 3)))):
        for i, j in pairs:
            graph[i, j] = graph[j, i] = 1
    found = adjacency(nodes)
    assert found.dtype == torch.float32 and (found == torch.stack([first, second])).all()
    nodes[..., :5] = torch.randn(2, 5, 5)
    assert (adjacency(nodes) == found).all() and adjacency(nodes[:0]).shape == (0, 5, 5)
    nodes[0, 1, PARENT], nodes[0, 2, PARENT], nodes[0, 3, PARENT] = 4, 2, 9  # an empty row, itself, nowhere
    assert adjacency(nodes)[0].sum() == 0


def test_few_particles_and_mistakes(qcd_toys):
    few = np.zeros((3, 4, 4))
    few[1:, 0], few[2, 1] = [100, 0, 0, 0], [50, 0.1, 0.1, 0]
    nodes = LundGraph(3).transform(Sample(particles=few))
    assert nodes[..., PRESENT].tolist() == [[0] * 3, [0] * 3, [1, 0, 0]] and nodes[2, 0, PARENT] == -1
    for jets in (Sample(particles=few[:0]), Sample(particles=few[:, :1]), Sample(particles=few[:, :0])):
        assert LundGraph(3).transform(jets).shape == (len(jets), 3, 7)
    for settings, piece in (({"n_nodes": 0}, "n_nodes=0: expected a whole number from 1"), ({"n_nodes": 2.5}, "n_nodes=2.5"),
                            ({"planes": "secondary"}, "planes='secondary': expected one of all, primary"),
                            ({"kt_min": -1}, "kt_min=-1: expected a number from 0"), ({"kt_min": "1"}, "kt_min='1'")):
        with pytest.raises(InputError, match=piece):
            LundGraph(**settings).transform(qcd_toys)
    with pytest.raises(InputError, match="LundGraph takes jets; this sample holds events"):
        LundGraph().transform(Sample(particles=few, meta={"slots": ["met", "e", "mu", "jet"]}))
    with pytest.raises(InputError, match="nodes of shape"):
        adjacency(torch.zeros(2, 5, 5))
    with pytest.raises(InputError, match="GraphAutoencoder takes nodes with the columns"):
        detector.get("graph-autoencoder").fit(LundGraph(4).transform(qcd_toys))
