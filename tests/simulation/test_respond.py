"""Fast detector: closed forms for single particles, exact identities without smearing, sensible jets with it."""

import math
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("pythia8mc", reason="needs the extra 'simulation'")
from scipy.stats import norm

from qad.data.charges import charge_of
from qad.data.kinematics import eta_phi, wrap
from qad.errors import InputError
from qad.simulation import JetSelection, Response
from qad.simulation.cards import load_card
from qad.simulation.eflow import PION_MASS, eflow, find_tracks
from qad.simulation.generate import Generator
from qad.simulation.record import Record
from qad.simulation.resolutions import CARDS, Calorimeter, Detector, smear
from qad.simulation.respond import MODES, particles_of, respond
from qad.simulation.towers import Grid, arrive, fine_towers, square_towers, towers

MASS = {11: 0.000511, 13: 0.10566, 22: 0.0, 130: 0.49761, 211: PION_MASS, 321: 0.49368, 2212: 0.93827, 12: 0.0}


def gun(pdg_id, eta, phi, pt, per_event=1):
    """A record of particles shot from the origin, ``per_event`` in each event."""
    pdg_id, eta, phi, pt = np.broadcast_arrays(pdg_id, eta, phi, pt)
    n = len(eta)
    mass = np.array([MASS[abs(i)] for i in pdg_id])
    p = np.column_stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)])
    return Record(start=np.arange(0, n + 1, per_event), event=np.arange(n) // per_event, pdg_id=pdg_id, status=np.ones(n, int),
                  mother=np.arange(n), p4=np.column_stack([p, np.sqrt((p**2).sum(1) + mass**2)]), mass=mass)


def shots(pdg_id, eta, energy, n=20_000):
    """``n`` particles of one energy at one place, just inside a tower, each in its own event."""
    return gun(np.full(n, pdg_id), eta, 0.01, math.sqrt(energy**2 - MASS[abs(pdg_id)] ** 2) / math.cosh(eta))


def exact(eta, energy):
    return np.zeros_like(energy)


def always(species, eta, pt):
    return np.ones_like(pt)


def never(species, eta, pt):
    return np.zeros_like(pt)


PERFECT = Detector(0.0, 1.29, 3.0, 5.0, always, never, Calorimeter(exact, 0.0, 0.0), Calorimeter(exact, 0.0, 0.0))


class Quiet:
    """Random numbers that are all in the middle."""

    def standard_normal(self, n):
        return np.zeros(n)

    def random(self, shape):
        return np.full(shape, 0.5)


@pytest.fixture(scope="module")
def records():
    return {p: Record.of(Generator(load_card(p), 3).events(500)) for p in ("top", "qcd")}


# ---------------------------------------------------------------- particles, charges, settings


def test_without_a_detector_every_visible_particle_is_seen_as_it_is(records):
    record = records["top"]
    seen = respond(record, Response(), 1)
    visible = np.flatnonzero(record.visible)
    assert np.array_equal(seen.source, visible) and np.array_equal(seen.p4, record.p4[visible])
    assert np.array_equal(seen.pdg_id, record.pdg_id[visible]) and np.array_equal(seen.event, record.event[visible])
    neutrinos = record.p4[record.final & ~record.visible]
    total = np.hypot(*(seen.missing.sum(0) - neutrinos[:, :2].sum(0)))
    assert total < 1e-3 * neutrinos[:, 3].sum()
    assert (np.bincount(seen.event, seen.charge) == 2).all()  # two protons collided


def test_charges_are_those_of_pythia():
    import pythia8mc

    pythia = pythia8mc.Pythia("", False)
    data = pythia.particleData
    compared = 0
    for i in [*range(11, 26), 34, 37, *range(100, 100_000), 1000011, 1000013, 1000022, 1000024, 1000010020, 1000020040]:
        diquark = 1000 < i < 10_000 and i // 10 % 10 == 0
        if data.isParticle(i) and not diquark:
            thirds = data.chargeType(i)
            assert charge_of(np.array([i, -i])).tolist() == [thirds / 3, -thirds / 3], data.name(i)
            compared += 1
    assert compared > 150


@pytest.mark.parametrize(("wrong", "says"), [
    ({"mode": "tower"}, "did you mean 'towers'"), ({"mode": 3}, "detector mode"), ({"card": "CMS_phase2"}, "cms-phase2"),
    ({"pile_up": -1}, "0 to 1000, got -1"), ({"pile_up": math.nan}, "0 to 1000"), ({"pile_up": "20"}, "0 to 1000"),
    ({"pile_up_pool": 0}, "1 or more"), ({"mode": "towers", "charged_subtraction": True}, "mode='eflow'")])
def test_settings_that_make_no_sense(wrong, says):
    with pytest.raises(InputError, match=says):
        Response(**wrong)


@pytest.mark.parametrize("mode", MODES)
def test_same_seed_same_bits(records, mode):
    a, b, other = (respond(records["top"], Response(mode), seed) for seed in (7, 7, 8))
    for column in ("event", "p4", "mass", "pdg_id", "charge", "source"):
        assert np.array_equal(getattr(a, column), getattr(b, column))
    assert mode == "particle" or len(a.event) != len(other.event) or not np.array_equal(a.p4, other.p4)
    assert (np.diff(a.event) >= 0).all() and a.n == 500


@pytest.mark.parametrize("mode", MODES)
def test_empty_events(mode):
    nothing = gun(np.zeros(0, int), np.zeros(0), 0.0, 1.0)
    for start in ([0], [0, 0, 0]):
        seen = respond(replace(nothing, start=np.array(start)), Response(mode), 1)
        assert seen.n == len(start) - 1 and seen.missing.shape == (seen.n, 2) and not len(seen.event)


# ---------------------------------------------------------------- resolutions


def root(*terms):
    return math.sqrt(sum(t**2 for t in terms))


# at 100 GeV, tower centres at |eta| = 0.35, 2.05, 4.05
SIGMA = [("atlas", 22, 0.35, root(0.17, 1.01)), ("atlas", 22, 4.05, root(3.5, 2.85)),
         ("atlas", 211, 0.35, root(3.02, 5.205, 1.59)), ("atlas", 211, 2.05, root(5, 7.06)),
         ("atlas", 130, 4.05, root(9.42, 10)),
         ("cms", 22, 0.35, (1 + 0.64 * 0.35**2) * root(0.8, 1.1, 0.4)), ("cms", 22, 2.05, 2.174 * root(0.8, 1.1, 0.4)),
         ("cms", 22, 4.05, root(10.7, 20.8)), ("cms", 211, 0.35, root(5, 15)), ("cms", 130, 4.05, root(13, 27)),
         ("cms-phase2", 22, 0.35, (1 + 0.64 * 0.35**2) * root(0.9, 1.2, 0.45)), ("cms-phase2", 11, 2.05, root(0.7, 2.1)),
         ("cms-phase2", 22, 4.05, root(8, 19.8)), ("cms-phase2", 211, 2.05, root(5, 10)),
         ("cms-phase2", 130, 4.05, root(11, 28))]


@pytest.mark.parametrize(("card", "pdg_id", "eta", "sigma"), SIGMA)
@pytest.mark.parametrize("side", [1, -1])
def test_a_tower_measures_100_gev_with_the_resolution_of_the_card(card, pdg_id, eta, sigma, side):
    seen = respond(shots(pdg_id, side * eta, 100.0), Response("towers", card), 1)
    energy = seen.p4[:, 3]
    assert len(energy) > 19_990  # thresholds are far away
    assert energy.mean() == pytest.approx(100.0, abs=5 * sigma / math.sqrt(len(energy)))
    assert energy.std() == pytest.approx(sigma, rel=0.04)
    assert set(seen.pdg_id) == {22 if pdg_id in (11, 22) else 130} and (seen.source == -1).all() and (seen.charge == 0).all()
    assert np.allclose(seen.p4[:, 3], np.linalg.norm(seen.p4[:, :3], axis=1)) and (seen.mass == 0).all()
    b = math.sqrt(math.log1p((sigma / 100) ** 2))  # log-normal: the logarithm is normal
    assert np.log(energy).std() == pytest.approx(b, rel=0.04) and np.log(energy).mean() == pytest.approx(
        math.log(100) - b**2 / 2, abs=5 * b / math.sqrt(len(energy)))


def test_smearing_of_nothing_is_nothing():
    assert smear(np.array([0.0, 5.0]), np.array([1.0, 0.0]), np.random.default_rng(1)).tolist() == [0.0, 5.0]


def test_thresholds():
    """A 3 GeV K0L in CMS: E >= σ(E) needs 2.256 GeV, a probability in closed form; 0.9 GeV photons need 2 σ(E)."""
    for pdg_id, energy, sigma, least in ((130, 3.0, root(0.15, 1.5 * math.sqrt(3)), 2.25 / (1 - 0.05**2)),
                                         (22, 0.9, 1.0784 * root(0.0072, 0.11 * math.sqrt(0.9), 0.4), 0.8915)):
        b = math.sqrt(math.log1p((sigma / energy) ** 2))
        expected = norm.cdf((math.log(energy / least) - b**2 / 2) / b)
        seen = respond(shots(pdg_id, 0.35, energy), Response("towers", "cms"), 1)
        assert seen.p4[:, 3].min() == pytest.approx(least, rel=1e-3)
        assert len(seen.event) / 20_000 == pytest.approx(expected, abs=5 * math.sqrt(expected * (1 - expected) / 20_000))


# card, particle, |eta|, pT, probability of a track
EFFICIENCY = [("atlas", 211, 0.5, 0.6, 0.70), ("cms", 211, 0.5, 20.0, 0.95), ("cms", 211, 2.0, 20.0, 0.85),
              ("cms", 211, 3.0, 20.0, 0.0), ("cms", 11, 1.0, 20.0, 0.95), ("cms", 11, 1.0, 200.0, 0.99),
              ("atlas", 11, 2.0, 200.0, 0.90), ("cms", 13, 1.0, 20.0, 0.99), ("atlas", 13, 2.0, 20.0, 0.98),
              ("cms-phase2", 211, 0.5, 20.0, 0.97), ("cms-phase2", 211, 3.0, 20.0, 0.82), ("cms-phase2", 11, 2.0, 5.0, 0.87),
              ("cms-phase2", 13, 3.5, 20.0, 0.95), ("cms-phase2", 13, 0.5, 20.0, 1.0), ("cms-phase2", 321, 4.5, 20.0, 0.0)]


@pytest.mark.parametrize(("card", "pdg_id", "eta", "pt", "expected"), EFFICIENCY)
def test_tracking_efficiency(card, pdg_id, eta, pt, expected):
    n = 10_000
    seen = respond(gun(np.full(n, pdg_id), -eta, 0.01, pt), Response("eflow", card), 1)
    tracks = seen[seen.charge != 0]
    assert len(tracks.event) / n == pytest.approx(expected, abs=5 * math.sqrt(expected * (1 - expected) / n) + 1e-9)
    assert np.array_equal(tracks.source, tracks.event)  # one particle per event: it knows where it comes from
    assert set(np.abs(tracks.pdg_id)) <= {211 if pdg_id == 321 else pdg_id}


# card, particle, |eta|, pT, relative resolution
TRACKS = [("atlas", 211, 0.3, 50.0, root(0.06, 0.065)), ("atlas", 321, 2.0, 50.0, root(0.25, 0.155)),
          ("cms", 211, 0.3, 50.0, root(0.01, 0.0075)), ("cms", 2212, 2.0, 50.0, root(0.025, 0.0275)),
          ("cms", 13, 0.3, 50.0, root(0.01, 0.005)), ("atlas", 11, 1.0, 50.0, root(0.05, 0.085)),
          ("cms-phase2", 211, 0.3, 50.0, 0.0056 + 40 * 0.000062), ("cms-phase2", 13, 0.3, 50.0, 0.007),
          ("cms-phase2", 11, 1.0, 50.0, 1.64 * 0.028), ("cms-phase2", 211, 0.3, 200.0, 2 * 0.011149)]


@pytest.mark.parametrize(("card", "pdg_id", "eta", "pt", "expected"), TRACKS)
def test_track_resolution(card, pdg_id, eta, pt, expected):
    seen = particles_of(gun(np.full(20_000, pdg_id), eta, 0.01, pt))
    tracks = find_tracks(seen, arrive(seen, CARDS[card]), CARDS[card], np.random.default_rng(1))
    assert tracks.scale.mean() == pytest.approx(1.0, abs=6 * expected / math.sqrt(len(tracks.scale)))
    assert tracks.scale.std() == pytest.approx(expected, rel=0.05)


# ---------------------------------------------------------------- the field


@pytest.mark.parametrize("card", ["atlas", "cms"])
def test_bending_in_the_barrel(card):
    detector, pt = CARDS[card], np.geomspace(1.0, 500.0, 40)
    for pdg_id in (211, -211):
        where = arrive(particles_of(gun(np.full(40, pdg_id), 0.3, 1.0, pt)), detector)
        turned = np.arcsin(0.299792458 * detector.field * detector.radius / (2 * pt))
        np.testing.assert_allclose(wrap(where.phi_calorimeter - 1.0), -np.sign(pdg_id) * turned, rtol=1e-12)
    neutral = arrive(particles_of(gun(np.full(40, 22), 0.3, 1.0, pt)), detector)
    assert np.array_equal(neutral.phi_calorimeter, neutral.phi) and np.array_equal(neutral.eta_calorimeter, neutral.eta)


@pytest.mark.parametrize(("pt", "eta"), [(0.9, 0.2), (5.0, -1.0), (0.5, 0.7), (0.5, -2.0), (2.0, 2.2)])
def test_arrival_is_where_a_helix_followed_in_small_steps_leaves_the_solenoid(pt, eta):
    detector, charge = CARDS["cms"], 1
    x = y = z = 0.0
    angle, step = 0.4, 1e-5
    turn = -charge * 0.299792458 * detector.field / pt * step
    while math.hypot(x, y) < detector.radius and abs(z) < detector.half_length:
        x, y, z = x + step * math.cos(angle + turn / 2), y + step * math.sin(angle + turn / 2), z + step * math.sinh(eta)
        angle += turn
    where = arrive(particles_of(gun(np.array([211]), eta, 0.4, pt)), detector)
    assert where.phi_calorimeter[0] == pytest.approx(math.atan2(y, x), abs=1e-3)
    assert where.eta_calorimeter[0] == pytest.approx(math.asinh(z / math.hypot(x, y)), abs=1e-3)


def test_curling_tracks_do_not_reach_the_barrel():
    """Below 0.3 B R/2 = 0.735 GeV a central charged particle ends beyond |eta| = 1.5 or nowhere, a photon where it points."""
    for pt, arrives in ((0.72, False), (0.76, True)):
        where = arrive(particles_of(gun(np.full(50, 211), np.linspace(0.01, 0.6, 50), 0.0, pt)), CARDS["cms"])
        assert (np.abs(where.eta_calorimeter) < 1.0).all() == arrives


# ---------------------------------------------------------------- towers without smearing


def many(n=200, per_event=50, ids=(22, 130, 211, -211, 11), eta_max=4.9, seed=3):
    rng = np.random.default_rng(seed)
    k = n * per_event
    return gun(rng.choice(ids, k), rng.uniform(-eta_max, eta_max, k), rng.uniform(-np.pi, np.pi, k), rng.pareto(2, k) + 0.2,
               per_event)


def perfect(record, seed=1, detector=PERFECT, mode=towers):
    return mode(particles_of(record), detector, np.random.default_rng(seed))


def test_towers_keep_the_energy():
    record = many(ids=(22, 130, 211, -2212, 11, 13, 12))
    seen = perfect(record)
    caught = ~np.isin(np.abs(record.pdg_id), [12, 13])
    np.testing.assert_allclose(np.bincount(seen.event, seen.p4[:, 3]), np.bincount(record.event, record.p4[:, 3] * caught))


@pytest.mark.parametrize("grid", [square_towers(5.0), square_towers(4.9), fine_towers(5.0), fine_towers(4.9)])
def test_a_direction_lies_in_its_tower(grid):
    rng = np.random.default_rng(2)
    eta, phi = rng.uniform(-5.5, 5.5, 50_000), rng.uniform(-np.pi, np.pi, 50_000)
    number = grid.towers(eta, phi)
    inside = np.abs(eta) < grid.bands[-1][1]
    assert np.array_equal(number >= 0, inside) and number.max() < grid.size
    low, high = (np.array(grid.place(number[inside], *np.full((2, inside.sum()), u))) for u in (0.0, 1.0))
    for value, a, b in zip((eta[inside], phi[inside]), low, high, strict=True):
        assert (value > np.minimum(a, b) - 1e-9).all() and (value < np.maximum(a, b) + 1e-9).all()
    again = grid.towers(*grid.place(number[inside], *rng.uniform(0.01, 0.99, (2, inside.sum()))))
    assert np.array_equal(again, number[inside])
    assert len(np.unique(grid.towers(*grid.place(np.arange(grid.size), *np.full((2, grid.size), 0.5))))) == grid.size


def test_a_grid_of_one_band_per_side():
    assert Grid(((0.0, 1.0, 2, 4),)).towers(np.array([-0.7, 0.2, 1.0]), np.array([-3.0, 3.0, 0.0])).tolist() == [12, 3, -1]


def test_the_order_of_particles_does_not_matter():
    record = many()
    rng = np.random.default_rng(4)
    shuffled = np.lexsort((rng.random(len(record.event)), record.event))
    other = replace(record, pdg_id=record.pdg_id[shuffled], p4=record.p4[shuffled], mass=record.mass[shuffled])
    a, b = (respond(r, Response("towers"), 1) for r in (record, other))
    np.testing.assert_allclose(a.p4, b.p4, rtol=1e-9)
    a, b = (perfect(r, detector=replace(PERFECT, field=3.8), mode=eflow) for r in (record, other))
    for event in range(5):
        rows = [s.p4[s.event == event] for s in (a, b)]
        np.testing.assert_allclose(*(r[np.argsort(r[:, 3])] for r in rows), rtol=1e-9, atol=1e-9)


def test_turning_the_event_by_a_tower_turns_the_towers():
    record = many()
    eta, phi = eta_phi(record.p4)
    for k in (1, 17):
        turned = gun(record.pdg_id, eta, wrap(phi + 2 * np.pi * k / 63), np.hypot(*record.p4[:, :2].T), 50)
        a, b = (towers(particles_of(r), replace(PERFECT, field=3.8), Quiet()) for r in (record, turned))
        for event in range(5):
            rows = [np.column_stack([*eta_phi(s.p4[s.event == event]), s.p4[s.event == event, 3]]) for s in (a, b)]
            rows[0][:, 1] = wrap(rows[0][:, 1] + 2 * np.pi * k / 63)
            for r in rows:
                r[:, 1] = np.round((r[:, 1] + np.pi) * 63 / (2 * np.pi), 6) % 63
            np.testing.assert_allclose(*(r[np.lexsort(np.round(r, 6).T)] for r in rows), rtol=1e-6, atol=1e-6)


def test_muons_are_no_towers_but_tracks():
    record = gun(np.full(1000, 13), 0.5, 0.0, 40.0)
    assert not len(respond(record, Response("towers"), 1).event)
    seen = respond(record, Response("eflow"), 1)
    assert (seen.pdg_id == 13).all() and (seen.charge == -1).all() and 970 < len(seen.event) <= 1000
    assert seen.mass == pytest.approx(MASS[13])


# ---------------------------------------------------------------- energy flow


def test_perfect_energy_flow_is_the_truth():
    """Without smearing every charged particle is its own track and what is left of each tower is its neutral energy."""
    record = many(ids=(22, 130, 211, -211, 11, 13), eta_max=2.4)
    detector = replace(PERFECT, ecal=Calorimeter(exact, 1e-9, 0.0), hcal=Calorimeter(exact, 1e-9, 0.0))
    seen = perfect(record, detector=detector, mode=eflow)
    np.testing.assert_allclose(np.bincount(seen.event, seen.p4[:, 3]), np.bincount(record.event, record.p4[:, 3]))
    tracks = seen[seen.charge != 0]
    assert np.array_equal(tracks.pdg_id, record.pdg_id[tracks.source])
    assert len(tracks.event) == (charge_of(record.pdg_id) != 0).sum()
    np.testing.assert_allclose(tracks.p4, record.p4[tracks.source], rtol=1e-9)
    for neutral in (22, 130):
        np.testing.assert_allclose(np.bincount(seen.event, seen.p4[:, 3] * (seen.pdg_id == neutral)),
                                   np.bincount(record.event, record.p4[:, 3] * (record.pdg_id == neutral)))


def test_the_rule_by_hand():
    """A tower with a 20 GeV track and 20 + x GeV in it: x above or below one standard deviation of both measurements."""
    sigma, resolution = 2.0, 0.1

    def of(neutral):
        pdg_id, energy = [211], [20.0]
        if neutral:
            pdg_id, energy = [211, 130], [20.0, neutral]
        mass = np.array([MASS[i] for i in pdg_id])
        record = gun(np.array(pdg_id), 0.05, 0.05, np.sqrt(np.square(energy) - mass**2) / math.cosh(0.05), len(pdg_id))
        detector = Detector(0.0, 1.0, 3.0, 5.0, always, lambda s, eta, pt: np.full(len(pt), resolution),
                            Calorimeter(exact, 0.5, 2.0), Calorimeter(lambda eta, e: np.full(len(e), sigma), 1.0, 1.0))
        return eflow(particles_of(record), detector, Quiet())

    def median(mean, spread):
        return mean / math.sqrt(1 + (spread / mean) ** 2)

    # the quiet random numbers give medians of the log-normals; the track's momentum is 20/√1.01 of itself
    track = root(median(1.0, resolution) * math.sqrt(20.0**2 - PION_MASS**2), PION_MASS)
    for neutral in (0.0, 1.0, 2.0, 10.0):
        calorimeter = median(20.0 + neutral, sigma)
        seen = of(neutral)
        excess = calorimeter - track
        spread = root(resolution * track, sigma)
        if excess > spread:
            assert seen.pdg_id.tolist() == [211, 130]
            assert seen.p4[:, 3] == pytest.approx([track, excess])
        else:
            w_track, w_calorimeter = (resolution * track) ** -2, sigma**-2
            best = (w_track * track + w_calorimeter * calorimeter) / (w_track + w_calorimeter)
            scaled = best / track * math.sqrt(track**2 - PION_MASS**2)
            assert seen.pdg_id.tolist() == [211] and seen.p4[0, 3] == pytest.approx(root(scaled, PION_MASS))
    assert len(of(10.0).event) == 2 and len(of(1.0).event) == 1


def test_a_combined_pion_is_measured_better_than_by_the_calorimeter_alone():
    record = shots(211, 0.35, 100.0)
    spread = {}
    for mode in ("towers", "eflow"):
        seen = respond(record, Response(mode, "cms"), 1)
        spread[mode] = np.bincount(seen.event, seen.p4[:, 3], minlength=seen.n).std()
    assert spread["eflow"] < 0.8 * spread["towers"]


def test_hadrons_become_pions_and_keep_their_sign():
    seen = respond(gun(np.array([2212, -2212, 321, -321, 11, -11, 22, 130] * 200), 0.3, 0.4, 30.0), Response("eflow"), 1)
    tracks = seen[seen.charge != 0]
    assert set(tracks.pdg_id) == {211, -211, 11, -11}
    assert (np.sign(tracks.pdg_id) * np.where(np.abs(tracks.pdg_id) == 11, -1, 1) == tracks.charge).all()
    np.testing.assert_allclose(tracks.mass, np.where(np.abs(tracks.pdg_id) == 211, PION_MASS, MASS[11]))
    np.testing.assert_allclose(tracks.p4[:, 3] ** 2, (tracks.p4[:, :3] ** 2).sum(1) + tracks.mass**2)
    assert (seen.source[seen.charge == 0] == -1).all() and set(seen.pdg_id[seen.charge == 0]) == {22, 130}


# ---------------------------------------------------------------- jets and events


def jets_of(record, process, response):
    seen = respond(record, response, 1, 14_000.0)
    return seen, JetSelection().select(record, seen, load_card(process), 0, lambda name: None)


def half_width(mass):
    """Width of the shortest interval that holds half of the jets, and its centre."""
    mass = np.sort(mass)
    k = len(mass) // 2
    i = np.argmin(mass[k:] - mass[:-k])
    return mass[i + k] - mass[i], (mass[i + k] + mass[i]) / 2


@pytest.mark.parametrize("card", ["atlas", "cms", "cms-phase2"])
def test_top_jets_after_energy_flow(records, card):
    """The peak stays at the top mass within the card's energy scale (5 %), wider than that of the particles."""
    truth, _ = half_width(jets_of(records["top"], "top", Response())[1].extras["jet_mass"])
    width, centre = half_width(jets_of(records["top"], "top", Response("eflow", card))[1].extras["jet_mass"])
    assert abs(centre - 172.8) < 9 and truth < width < 40


def test_qcd_jets_after_energy_flow(records):
    """20 to 60 constituents at 600 GeV; missing momentum of a balanced dijet: 5 to 8 % of the jets' pT in each direction."""
    seen, jets = jets_of(records["qcd"], "qcd", Response("eflow"))
    assert 20 < np.median(jets.extras["n_constituents"]) < 60
    particles, _ = jets_of(records["qcd"], "qcd", Response())
    assert np.median(np.hypot(*particles.missing.T)) < 5 < 15 < seen.missing.std() < 45
    coarse, jets = jets_of(records["qcd"], "qcd", Response("towers"))
    assert len(coarse.event) < len(seen.event) < len(particles.event) and seen.missing.std() < coarse.missing.std()
    assert np.median(jets.extras["n_constituents"]) < 25
