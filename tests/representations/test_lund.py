"""Lund planes against FastJet, closed forms of jets made by hand, and the tree's own sums."""

import numpy as np
import pytest

from qad.data import Sample
from qad.data.kinematics import cartesian, invariant_mass
from qad.errors import InputError
from qad.representations.lund import COLUMNS, LEAST, LundPlane, declusterings
from qad.representations.substructure import Substructure
from tests.conftest import toy_jets


def by_hand(*rows):
    return np.array([rows], dtype=np.float64)


def by_fastjet(p4):
    """Values, depth and parent of one jet's splittings from FastJet's own history of its clustering, and the energy of each."""
    fastjet = pytest.importorskip("fastjet._swig", reason="needs the extra 'simulation'")
    clustered = fastjet.ClusterSequence([fastjet.PseudoJet(*p) for p in p4.tolist()],
                                        fastjet.JetDefinition(fastjet.cambridge_algorithm, 1000.0))
    rows, planes = [], [(clustered.exclusive_jets(1)[0], -1, 0)]
    for jet, above, depth in planes:  # grows on the way
        a, b = fastjet.PseudoJet(), fastjet.PseudoJet()
        while jet.has_parents(a, b):
            if a.pt() < b.pt():
                a, b = b, a
            delta = max(a.delta_R(b), LEAST)
            rows.append([-np.log(delta), np.log(max(b.pt() * delta, LEAST)), np.log((a.pt() + b.pt()) / b.pt()), jet.m2(),
                         np.arctan2(b.rap() - a.rap(), a.delta_phi_to(b)), depth, above, jet.e()])
            above = len(rows) - 1
            planes.append((b, above, depth + 1))
            jet, a, b = a, fastjet.PseudoJet(), fastjet.PseudoJet()
    return np.array(rows)


def test_against_fastjet(real_jets):
    """Every splitting on every plane, and what it hangs on."""
    deepest = 0
    for process in ("qcd", "top"):
        jets = real_jets[process][:60]
        ours, p4 = declusterings(jets.particles), cartesian(jets.particles.astype(np.float64))
        for i, n in enumerate(jets.present.sum(1)):
            theirs, mine = by_fastjet(p4[i, :n]), ours.values[i, : n - 1]
            np.testing.assert_array_equal(np.stack([ours.depth[i], ours.parent[i]], 1)[: n - 1], theirs[:, 5:7])
            np.testing.assert_allclose(mine[:, :3], theirs[:, :3], atol=1e-6)
            m2 = np.maximum(theirs[:, 3], LEAST**2)
            np.testing.assert_allclose(np.exp(2 * mine[:, 3]) - m2, 0 * m2, atol=1e-12 * theirs[:, 7].max() ** 2)
            apart = mine[:, 0] < -np.log(10 * LEAST)  # two in one direction have no ψ
            np.testing.assert_allclose(np.exp(1j * mine[apart, 4]), np.exp(1j * theirs[apart, 4]), atol=1e-6)
            deepest = max(deepest, int(ours.depth[i].max()))
    assert deepest > 2


def test_against_fastjets_own_declusterings(real_jets):
    """Δ and kT of the primary plane, as FastJet's contribution for Lund planes gives them to Python."""
    fastjet = pytest.importorskip("fastjet", reason="needs the extra 'simulation'")
    import awkward as ak
    import vector

    vector.register_awkward()
    jets = real_jets["top"][:100]
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


def test_a_splitting_lands_in_its_pixel():
    """Δ = 0.5, kT = 50 GeV: ln 2 = 0.69 and ln 50 = 3.91. Rows ln kT from -3 to 7, columns ln 1/Δ from 0 to 6."""
    pair = Sample(particles=by_hand([300, 0.0, 0.0, 0], [100, 0.3, -0.4, 0]))
    for pixels, row, column in ((10, 6, 1), (20, 13, 2), (1, 0, 0)):
        image = LundPlane(pixels).transform(pair)
        assert image.sum() == 1 and image[0, row, column] == 1
    assert LundPlane(8, ln_kt=(0, 4), ln_inverse_delta=[-1, 1]).transform(pair)[0, 7, 6] == 1
    for ranges in ({"ln_kt": (-3, 3.9)}, {"ln_kt": (3.92, 7)}, {"ln_inverse_delta": (0.7, 6)}, {"ln_inverse_delta": (0, 0.69)}):
        assert LundPlane(8, **ranges).transform(pair).sum() == 0


def test_planes_count_the_splittings(qcd_toys):
    """Primary and secondary make all; wide ranges lose none; the counts are those of NumPy's histogram."""
    lund, wide = declusterings(qcd_toys.particles), {"ln_inverse_delta": (-9, 20), "ln_kt": (-20, 20)}
    for settings in ({}, wide):
        primary, secondary, both = (LundPlane(12, p, **settings).transform(qcd_toys) for p in ("primary", "secondary", "all"))
        np.testing.assert_array_equal(primary + secondary, both)
    np.testing.assert_array_equal(both.sum((1, 2)), qcd_toys.present.sum(1) - 1)
    np.testing.assert_array_equal(primary.sum((1, 2)), lund.primary.sum(1))
    image = LundPlane(12, "secondary").transform(qcd_toys[:20])
    for i in range(20):
        angle, kt = lund.values[i][lund.depth[i] > 0, :2].T
        np.testing.assert_array_equal(image[i], np.histogram2d(kt, angle, 12, ((-3, 7), (0, 6)))[0])


def test_a_flat_plane_is_a_closed_form():
    """One soft massless particle, ln 1/Δ and ln kT uniform in a triangle's part: each pixel holds what its area holds."""
    rng = np.random.default_rng(3)
    n = 40_000
    angle, kt = rng.uniform(1, 3, n), rng.uniform(-1, 1, n)  # kT ≤ e GeV beside a core of 1 TeV
    pt, turn = np.exp(kt + angle), rng.uniform(0, 2 * np.pi, n)
    jets = np.zeros((n, 2, 4))
    jets[:, 0, 0] = 1000
    jets[:, 1, :3] = np.stack([pt, np.exp(-angle) * np.cos(turn), np.exp(-angle) * np.sin(turn)], 1)
    density = LundPlane(4, ln_inverse_delta=(1, 3), ln_kt=(-1, 1)).transform(Sample(particles=jets)).sum(0)
    assert abs(density.sum() - n) < 5  # rounding at the edges
    assert np.abs(density - n / 16).max() < 5 * np.sqrt(n / 16)


def test_a_plane_that_cannot_be_is_one_sentence(qcd_toys):
    for settings, piece in (({"pixels": 0}, "pixels=0: expected a whole number from 1"), ({"ln_kt": (1, 1)}, "the lower first"),
                            ({"planes": "tertiary"}, "planes='tertiary': expected one of primary, secondary, all"),
                            ({"ln_inverse_delta": "ab"}, "ln_inverse_delta='ab': expected two numbers"),
                            ({"ln_kt": 3}, "ln_kt=3"), ({"ln_kt": (0, np.inf)}, "expected two numbers")):
        with pytest.raises(InputError, match=piece):
            LundPlane(**settings).transform(qcd_toys)
    events = Sample(particles=qcd_toys.particles[:, :2], meta={"slots": ["met", "e"]})
    with pytest.raises(InputError, match="LundPlane takes jets; this sample holds events"):
        LundPlane().transform(events)
    assert LundPlane().transform(qcd_toys[:0]).shape == (0, 24, 24)
