"""Lund planes against FastJet, closed forms of jets made by hand, and the tree's own sums."""

import numpy as np
import pytest

from qad.data.kinematics import cartesian, invariant_mass
from qad.errors import InputError
from qad.representations.lund import COLUMNS, LEAST, declusterings
from qad.representations.substructure import Substructure
from tests.conftest import toy_jets


def by_hand(*rows):
    return np.array([rows], dtype=np.float64)


def test_against_fastjet(real_jets):
    """Δ and kT of each primary splitting, in the same order."""
    fastjet = pytest.importorskip("fastjet", reason="needs the extra 'simulation'")
    import awkward as ak
    import vector

    vector.register_awkward()
    for process in ("qcd", "top"):
        jets = real_jets[process][:100]
        ours = declusterings(jets.particles)
        p4 = cartesian(jets.particles.astype(np.float64))
        rows = [[dict(zip(("px", "py", "pz", "E"), p, strict=True)) for p in event[:n]]
                for event, n in zip(p4.tolist(), jets.present.sum(1), strict=True)]
        definition = fastjet.JetDefinition(fastjet.cambridge_algorithm, 1000.0)
        theirs = fastjet.ClusterSequence(ak.Array(rows, with_name="Momentum4D"), definition)
        theirs = theirs.exclusive_jets_lund_declusterings(njets=1)
        for i in range(len(jets)):
            delta, kt = (ak.to_numpy(ak.flatten(x[i], axis=None)) for x in (theirs.Delta, theirs.kt))
            primary = ours.values[i][ours.primary[i]]
            np.testing.assert_allclose(np.exp(-primary[:, 0]), np.maximum(delta, LEAST), rtol=1e-6)
            np.testing.assert_allclose(np.exp(primary[:, 1]), np.maximum(kt, LEAST), rtol=1e-6)


def test_two_particles_are_a_closed_form():
    """pT 300 and 100 GeV, massless, Δη = 0.3, Δφ = -0.4 across φ = π: Δ = 0.5, kT = 50 GeV, z = 1/4."""
    lund = declusterings(by_hand([300, 0.0, -3.0, 0], [100, 0.3, 2 * np.pi - 3.4, 0], [0, 0, 0, 0]))
    assert lund.depth.tolist() == [[0]] and lund.parent.tolist() == [[-1]]
    m = np.sqrt(2 * 300 * 100 * (np.cosh(0.3) - np.cos(0.4)))
    expected = [np.log(2), np.log(50), np.log(4), np.log(m), np.arctan2(0.3, -0.4)]
    np.testing.assert_allclose(lund.values[0, 0], expected, rtol=1e-9)
    assert len(COLUMNS) == 5


def test_three_particles_open_a_secondary_plane_only_on_the_softer_branch():
    """A pair at 0.05 beside a third at 0.5: the pair's splitting is primary if the pair is harder, secondary if softer."""
    harder = declusterings(by_hand([300, 0, 0, 0], [100, 0.05, 0, 0], [50, 0, 0.5, 0]))
    softer = declusterings(by_hand([900, 0, 0.5, 0], [300, 0, 0, 0], [100, 0.05, 0, 0]))
    assert harder.depth.tolist() == [[0, 0]] and softer.depth.tolist() == [[0, 1]]
    assert harder.parent.tolist() == softer.parent.tolist() == [[-1, 0]]
    np.testing.assert_allclose(harder.values[0, 1], softer.values[0, 1], rtol=1e-9)
    np.testing.assert_allclose(softer.values[0, 1, :3], np.log([20, 5, 4]), rtol=1e-9)
    np.testing.assert_allclose(harder.values[0, 0, 2], np.log(9), rtol=1e-3)


def test_the_tree_adds_up():
    """n - 1 splittings; parents come before their children, at most one child on each branch; first mass: the jet's."""
    jets = toy_jets(60, 4, prongs=2)
    lund, n = declusterings(jets.particles), jets.present.sum(1)
    assert ((lund.depth >= 0).sum(1) == n - 1).all() and (lund.values[lund.depth < 0] == 0).all()
    mass = invariant_mass(cartesian(jets.particles.astype(np.float64)).sum(1))
    np.testing.assert_allclose(np.exp(lund.values[:, 0, 3]), mass, rtol=1e-6)
    for depth, parent in zip(lund.depth, lund.parent, strict=True):
        k = (depth >= 0).sum()
        at = np.arange(1, k)
        step = depth[at] - depth[parent[at]]
        assert (parent[at] < at).all() and (parent[at] >= 0).all() and parent[0] == -1 and np.isin(step, (0, 1)).all()
        assert len({*zip(parent[at].tolist(), step.tolist(), strict=True)}) == k - 1 and (np.diff(depth[:k]) >= 0).all()
    kt = np.sort(np.where(lund.primary, np.exp(lund.values[..., 1]), 0), axis=1)[:, -2:]
    np.testing.assert_allclose(kt[:, ::-1], Substructure(("kt1", "kt2")).transform(jets), rtol=1e-9)


def test_symmetries():
    """Order of the particles, a rotation in φ, a boost along the beam change nothing; a scale of pT adds to ln kT and ln m."""
    particles = toy_jets(40, 5, prongs=3).particles.astype(np.float64)
    particles[..., 3] = 0
    lund = declusterings(particles)
    present = (particles[..., 0] > 0).sum(1)
    rows = np.stack([np.r_[np.random.default_rng(i).permutation(k), np.arange(k, 40)] for i, k in enumerate(present)])
    turned = particles + np.where(particles[..., :1] > 0, [0, 0.7, 2.0, 0], 0)
    for other in (np.take_along_axis(particles, rows[..., None], 1), turned):
        again = declusterings(other)
        np.testing.assert_allclose(again.values, lund.values, atol=1e-4)
        assert (again.depth == lund.depth).all() and (again.parent == lund.parent).all()
    scaled = declusterings(particles * [10, 1, 1, 1])
    shift = np.where(lund.depth[..., None] >= 0, np.log(10) * np.array([0, 1, 0, 1, 0]), 0)
    np.testing.assert_allclose(scaled.values, lund.values + shift, rtol=1e-6, atol=1e-6)


def test_few_particles_cuts_and_mistakes():
    jets = toy_jets(9, 6).particles
    assert (declusterings(jets, most=3).values == declusterings(jets).values[:, :3]).all()
    fewer = declusterings(jets, count=np.arange(9))
    assert ((fewer.depth >= 0).sum(1) == np.maximum(np.arange(9) - 1, 0)).all()
    np.testing.assert_array_equal(fewer.values[5, :4], declusterings(jets[5:6, :5]).values[0])
    assert declusterings(jets[:0]).values.shape == (0, 0, 5) and declusterings(jets[:, :1]).values.shape == (9, 0, 5)
    one_direction = declusterings(by_hand([300, 0, 0, 0], [100, 0, 0, 0])).values[0, 0]
    np.testing.assert_allclose(one_direction[:4], [-np.log(LEAST), np.log(100 * LEAST), np.log(4), one_direction[3]])
    assert np.isfinite(one_direction).all()
    for args, piece in (((jets[0],), "shape"), ((jets, np.ones(3)), "for each of 9 jets"), ((jets, None, -1), "most=-1")):
        with pytest.raises(InputError, match=piece):
            declusterings(*args)
