import numpy as np
import pytest
import torch

from qad.data import Sample
from qad.errors import InputError
from qad.representations.constituents import Constituents
from qad.representations.graphs import LEAST, ParticleGraph, edge_features, edge_mask
from tests.conftest import toy_jets
from tests.representations.test_constituents import moved


def edges(nodes):
    return edge_features(torch.as_tensor(nodes)).numpy()


def directly(particles):
    """Edge features of one jet from its particles' four-momenta, pair by pair."""
    pt, eta, phi, mass = particles.astype(np.float64).T
    p = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)])
    e = np.sqrt((p**2).sum(0) + mass**2)
    y = 0.5 * np.log((e + p[2]) / (e - p[2]))
    jet = np.hypot(*p[:2].sum(1))
    out = np.zeros((len(pt), len(pt), 4))
    for i in range(len(pt)):
        for j in range(len(pt)):
            if i != j:
                turn = abs(phi[i] - phi[j])
                delta = max(np.hypot(y[i] - y[j], min(turn, 2 * np.pi - turn)), LEAST[0])
                low = min(pt[i], pt[j])
                m2 = (e[i] + e[j]) ** 2 - ((p[:, i] + p[:, j]) ** 2).sum()
                out[i, j] = np.log([delta, low * delta / jet, low / (pt[i] + pt[j]), m2 / jet**2])
    return out


@pytest.mark.parametrize("prongs", [1, 3])
def test_edges_are_those_of_the_four_momenta(prongs):
    jets = toy_jets(20, 6, prongs=prongs, particles=12)
    found = edges(ParticleGraph(12).transform(jets))
    for i in range(len(jets)):
        particles = jets.particles[i][jets.particles[i, :, 0] > 0]
        n = len(particles)
        np.testing.assert_allclose(found[i, :n, :n], directly(particles), rtol=1e-6, atol=1e-6)
        assert (found[i, n:] == 0).all() and (found[i, :, n:] == 0).all()


def test_nodes_are_the_constituents_and_say_who_is_there(qcd_toys):
    x = ParticleGraph(64).transform(qcd_toys)
    assert x.shape == (400, 64, 5) and ParticleGraph.gives == "graph"
    np.testing.assert_array_equal(x[..., :3], Constituents(64, rotate=False).transform(qcd_toys))
    rotated = ParticleGraph(64, rotate=True).transform(qcd_toys)
    np.testing.assert_array_equal(rotated[..., :3], Constituents(64).transform(qcd_toys))
    present = np.pad(qcd_toys.particles[..., 0] > 0, [(0, 0), (0, 24)])
    np.testing.assert_array_equal(x[..., 4], present)
    assert (x[~present] == 0).all()
    jet = qcd_toys.particles[:, 0, 0] / x[:, 0, 0]
    np.testing.assert_allclose(x[..., 3] * jet[:, None], 0.14 * present, rtol=1e-6)


def test_permuted_nodes_permute_the_edges(top_toys):
    x = ParticleGraph(10).transform(top_toys)
    order = np.random.default_rng(0).permutation(10)
    np.testing.assert_array_equal(edges(x[:, order]), edges(x)[:, order][:, :, order])
    np.testing.assert_array_equal(edges(x), edges(x).swapaxes(1, 2))
    kept = edge_mask(torch.as_tensor(x)).numpy()
    assert not kept[:, range(10), range(10)].any() and (kept == kept.swapaxes(1, 2)).all() and kept.sum() > 400 * 80


@pytest.mark.parametrize("change", [{"phi": 0.7}, {"boost": 0.4}, {"phi": 3.0, "boost": -0.3}])
def test_azimuth_and_boost_leave_edges_alone(top_toys, change):
    a, b = (edges(ParticleGraph(10).transform(moved(top_toys, **c))) for c in (change, {}))
    np.testing.assert_allclose(a, b, atol=2e-3)  # logarithms, of particles kept in single precision


def test_the_principal_frame_leaves_edges_alone(top_toys):
    a, b = (edges(ParticleGraph(10, rotate=r).transform(top_toys)) for r in (True, False))
    np.testing.assert_allclose(a[..., :3], b[..., :3], atol=1e-6)
    assert np.abs(a[..., 3] - b[..., 3]).max() > 1e-4  # the rapidity-azimuth plane is not flat for m²


def test_particles_in_one_direction_have_finite_edges():
    particles = np.zeros((1, 3, 4))
    particles[0, :2] = [[300, 0.2, 3.1, 0], [200, 0.2, 3.1, 0]]
    found = edges(ParticleGraph(3).transform(Sample(particles=particles)))
    np.testing.assert_allclose(found[0, 0, 1], np.log([LEAST[0], 0.4 * LEAST[0], 0.4, LEAST[2]]))
    none = ParticleGraph(4).transform(Sample(particles=np.zeros((2, 3, 4))))
    assert (none == 0).all() and (edges(none) == 0).all()


@pytest.mark.parametrize("scale", [1e-2, 1e-3])
def test_mass_of_collinear_particles_does_not_cancel(scale):
    """In single precision it is as good as in double: m_T m_T cosh Δη - pT pT cos Δφ would lose it."""
    x = np.array([[[0.6, 0.0, 0.0, 0, 1], [0.3, scale, 0.5 * scale, 0, 1]]])
    single = edge_features(torch.as_tensor(x, dtype=torch.float32)).numpy()
    np.testing.assert_allclose(single, edges(x), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(edges(x)[0, 0, 1, 3], np.log(0.18 * 1.25 * scale**2), atol=1e-4)


@pytest.mark.parametrize("n", [0, -1, 2.5, True])
def test_number_of_particles(qcd_toys, n):
    with pytest.raises(InputError, match="expected a whole number from 1"):
        ParticleGraph(n).transform(qcd_toys)
