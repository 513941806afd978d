"""Energy flow polynomials: sums over all tuples of particles, closed forms, the symmetries they have, numbers of graphs."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch

from qad.data import Sample
from qad.errors import InputError
from qad.representations import energy_flow
from qad.representations.energy_flow import EnergyFlow, polynomials
from qad.representations.multigraphs import canonical, connected, primes, products
from qad.representations.substructure import Substructure
from tests.conftest import toy_jets


def vertices(graph):
    return 1 + max(map(max, graph))


def test_numbers_of_multigraphs():
    """OEIS A076864 (connected) and, with all products and the empty one, the 1000 of arXiv:1712.07124."""
    assert [len(connected(d)) for d in range(1, 8)] == [1, 2, 5, 12, 33, 103, 333]
    assert [len(products(d)) for d in range(1, 8)] == [2, 5, 13, 36, 102, 314, 1000]
    assert len(set(primes(7))) == 489 and len(set(products(7))) == 1000
    assert all(sum(len(primes(7)[k]) for k in p) <= 7 and list(p) == sorted(p) for p in products(7))
    assert primes(7)[:53] == primes(5)


def test_names_do_not_depend_on_the_numbering():
    rng = np.random.default_rng(0)
    for graph in primes(7)[::3]:
        number = rng.permutation(vertices(graph))
        edges = [tuple(rng.permutation(number[list(edge)]).tolist()) for edge in graph]
        assert canonical(tuple(edges[i] for i in rng.permutation(len(edges)))) == graph


def test_no_two_graphs_are_the_same():
    networkx = pytest.importorskip("networkx")
    same = networkx.algorithms.isomorphism.numerical_edge_match("weight", 0)
    drawn = []
    for graph in primes(5):
        drawn.append(networkx.Graph())
        drawn[-1].add_weighted_edges_from((u, v, k) for (u, v), k in Counter(graph).items())
        assert networkx.is_connected(drawn[-1])
    assert not any(networkx.is_isomorphic(a, b, edge_match=same) for a, b in itertools.combinations(drawn, 2))


def jets(n=3, particles=4, seed=0):
    rng = np.random.default_rng(seed)
    z, points = rng.dirichlet(np.ones(particles), n), rng.uniform(-0.5, 0.5, (n, particles, 2))
    return z, points


def angles(points, beta=1.0):
    return ((points[:, :, None] - points[:, None]) ** 2).sum(-1) ** (beta / 2)


def efp(z, points, degree, beta=1.0):
    return polynomials(torch.as_tensor(z), torch.as_tensor(angles(points, beta)), degree).numpy()


def test_every_graph_against_the_sum_over_all_tuples():
    """z_{i_1} … z_{i_N} Π θ for each of the M^N tuples, one after the other in all 489 graphs."""
    z, points = jets()
    theta = angles(points)
    found = efp(z, points, 7)
    for column, graph in zip(found.T, primes(7), strict=True):
        tuples = np.stack(np.meshgrid(*[range(4)] * vertices(graph), indexing="ij"), -1).reshape(-1, vertices(graph)).T
        wanted = np.prod([z[:, i] for i in tuples], 0) * np.prod([theta[:, tuples[u], tuples[v]] for u, v in graph], 0)
        np.testing.assert_allclose(column, wanted.sum(1), rtol=1e-11, err_msg=str(graph))


@pytest.mark.parametrize("beta", [0.5, 2.0])
def test_two_particles(beta):
    """θ^d (z_1^a z_2^b + z_1^b z_2^a) where the graph has two sides of a and b vertices, 0 where it has an odd cycle."""
    z, points = jets(5, 2)
    theta = angles(points, beta)[:, 0, 1]
    found = efp(z, points, 7, beta)
    np.testing.assert_allclose(found[:, 0], 2 * z[:, 0] * z[:, 1] * theta, rtol=1e-14)
    for column, graph in zip(found.T, primes(7), strict=True):
        n = vertices(graph)
        sides = [s for s in itertools.product((0, 1), repeat=n) if all(s[u] != s[v] for u, v in graph)]
        wanted = sum(z[:, 1] ** sum(s) * z[:, 0] ** (n - sum(s)) for s in sides) * theta ** len(graph)
        assert len(sides) in (0, 2)
        np.testing.assert_allclose(column, wanted, rtol=1e-12, atol=1e-300, err_msg=str(graph))


def test_all_particles_equally_far():
    """θ = 1 between all: proper colourings with M colours; of a tree M (M - 1)^d, of the cycle (M - 1)^d ± (M - 1)."""
    M = 6
    z, theta = torch.ones(1, M, dtype=torch.float64), (1 - torch.eye(M, dtype=torch.float64))[None]
    count = dict(zip(primes(7), polynomials(z, theta, 7)[0].tolist(), strict=True))
    for graph, number in count.items():
        simple, n = set(graph), vertices(graph)
        if len(simple) == n - 1:
            assert number == pytest.approx(M * (M - 1) ** (n - 1), rel=1e-12)
        elif len(simple) == n and all(k == 2 for k in Counter(v for edge in simple for v in edge).values()):
            assert number == pytest.approx((M - 1) ** n + (-1) ** n * (M - 1), rel=1e-12)
        elif len(simple) == 6 and n == 4:
            assert number == pytest.approx(M * (M - 1) * (M - 2) * (M - 3), rel=1e-12)


@pytest.mark.parametrize("degree", [5, 7])
def test_symmetries(degree):
    z, points = jets(4, 9, seed=1)
    rng = np.random.default_rng(2)
    plain = efp(z, points, degree)
    order = rng.permutation(9)
    np.testing.assert_allclose(efp(z[:, order], points[:, order], degree), plain, rtol=1e-11)
    c, s = np.cos(0.7), np.sin(0.7)
    moved = points @ np.array([[c, -s], [s, c]]) + [1.0, -2.0]
    np.testing.assert_allclose(efp(z, moved, degree), plain, rtol=1e-11)
    # scaling: z has one power a vertex, θ one an edge
    sizes = np.array([vertices(g) for g in primes(degree)]), np.array([len(g) for g in primes(degree)])
    np.testing.assert_allclose(efp(3 * z, 2 * points, degree), plain * 3.0 ** sizes[0] * 2.0 ** sizes[1], rtol=1e-11)
    # infrared safety: a particle without pT; collinear safety: two in the place of one, in any shares
    soft = np.c_[z, np.zeros(4)], np.concatenate([points, rng.normal(size=(4, 1, 2))], 1)
    np.testing.assert_allclose(efp(*soft, degree), plain, rtol=1e-11)
    split = np.c_[0.3 * z[:, :1], z[:, 1:], 0.7 * z[:, :1]], np.concatenate([points, points[:, :1]], 1)
    np.testing.assert_allclose(efp(*split, degree), plain, rtol=1e-11)
    apart = np.concatenate([points, points[:, :1] + 0.1], 1)
    assert (np.abs(efp(split[0], apart, degree) / plain - 1) > 1e-4).all()


def test_jets_as_they_come():
    """Turned in φ across π, moved in rapidity (massless), split: what the whole transformer must leave alone."""
    jets = toy_jets(40, 3, prongs=2)
    particles = jets.particles.copy()
    particles[..., 3] = 0
    given = EnergyFlow(4, n_particles=41, connected=False)
    plain = given.transform(Sample(particles=particles))
    assert plain.shape == (40, 36) and plain.dtype == np.float64 and (plain[:, 0] == 1).all()
    moved = particles.copy()
    here = moved[..., 0] > 0
    moved[..., 1] += 0.25 * here
    moved[..., 2] = np.where(here, (moved[..., 2] + 1 + np.pi) % (2 * np.pi) - np.pi, 0)
    np.testing.assert_allclose(given.transform(Sample(particles=moved)), plain, rtol=2e-4)  # float32 angles
    halves = np.concatenate([particles, particles[:, :1]], 1)
    halves[:, [0, -1], 0] /= 2
    halves = np.take_along_axis(halves, np.argsort(-halves[..., 0], 1)[..., None], 1)
    np.testing.assert_allclose(given.transform(Sample(particles=halves)), plain, rtol=1e-11)
    # the hardest only, as shares of the whole
    few = EnergyFlow(1, n_particles=2).transform(Sample(particles=particles))[:, 0]
    z = particles[..., 0].astype(float) / particles[..., 0].sum(1, keepdims=True, dtype=float)
    dphi = np.abs(particles[:, 0, 2] - particles[:, 1, 2])
    theta = np.hypot(particles[:, 0, 1] - particles[:, 1, 1], np.minimum(dphi, 2 * np.pi - dphi))
    np.testing.assert_allclose(few, 2 * z[:, 0] * z[:, 1] * theta, rtol=1e-5)


def test_correlators_and_mass():
    """e2 and e3 as Substructure has them (compared with FastJet there), and with β = 2 the mass of a narrow jet."""
    jets = toy_jets(60, 5)
    columns = dict(zip((names := EnergyFlow(3, n_particles=40)).get_feature_names_out(), names.transform(jets).T, strict=True))
    e2, c2 = Substructure(("e2", "c2")).transform(jets).T
    np.testing.assert_allclose(columns["01"], 2 * e2, rtol=1e-9)
    np.testing.assert_allclose(columns["01 02 12"], 6 * c2 * e2**2, rtol=1e-9)
    rng = np.random.default_rng(0)
    pt = np.sort(rng.uniform(1, 50, (30, 8)))[:, ::-1]
    narrow = Sample(particles=np.stack([pt, 0.3 + rng.normal(0, 0.01, pt.shape), 3.14 + rng.normal(0, 0.01, pt.shape),
                                        np.zeros_like(pt)], -1))
    squared = EnergyFlow(1, beta=2.0).transform(narrow)[:, 0]
    mass = Substructure(("mass",)).transform(narrow)[:, 0]
    np.testing.assert_allclose(np.sqrt(squared / 2) * pt.sum(1), mass, rtol=1e-3)


def test_products_and_names():
    jets = toy_jets(20, 6)
    alone, all_of = EnergyFlow(4), EnergyFlow(4, connected=False)
    one, many = (dict(zip(r.get_feature_names_out(), r.transform(jets).T, strict=True)) for r in (alone, all_of))
    assert len(one) == 20 and len(many) == 36 and next(iter(many)) == "1"
    for name, column in many.items():
        wanted = np.prod([one[part] for part in name.split(" | ")], 0) if name != "1" else 1
        np.testing.assert_allclose(column, wanted, rtol=1e-13)
    assert "01 | 01 02 12" in many and "01 01" in one
    np.testing.assert_array_equal(EnergyFlow(3).transform(jets), alone.transform(jets)[:, :8])


def test_memory_is_bounded_by_chunks(monkeypatch):
    jets = toy_jets(50, 7)
    whole = EnergyFlow(6).transform(jets)
    seen = []
    monkeypatch.setattr(energy_flow, "MEMORY", 8 * 30 * 30 * 7)
    monkeypatch.setattr(energy_flow, "polynomials", lambda z, *rest: seen.append(z.shape) or polynomials(z, *rest))
    np.testing.assert_allclose(EnergyFlow(6).transform(jets), whole, rtol=1e-12)
    assert len(seen) == 8 and max(n for n, _ in seen) == 7
    assert EnergyFlow(2).transform(jets[:0]).shape == (0, 3)


def test_steps_are_shared():
    """489 sums over up to eight particles: 1 over four at once, a dozen products of matrices, the rest vectors and matrices."""
    count = Counter(step[0] for step in energy_flow.plan(7).steps)
    assert count["core"] == 1 and count["series"] <= 12 and count["leaf"] <= 140 and count["close"] == 489


@pytest.mark.parametrize(("settings", "sentence"), [
    ({"degree": 0}, "degree=0: expected a whole number from 1"), ({"degree": 8}, "at most 7 edges"), ({"beta": 0}, "above 0"),
    ({"n_particles": 0}, "n_particles=0"), ({"connected": "yes"}, "true or false")])
def test_settings_are_checked(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        EnergyFlow(**settings).transform(toy_jets(3, 1))
