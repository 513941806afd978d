"""Pile-up: how many events are laid over, that only the stated things happen to them, and what is left after subtraction."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("pythia8mc", reason="needs the extra 'simulation'")
from qad.data.kinematics import eta_phi
from qad.simulation import JetSelection, Response, simulate_jets
from qad.simulation.cards import load_card
from qad.simulation.generate import Generator
from qad.simulation.pileup import _within, minimum_bias, overlay
from qad.simulation.record import Record
from qad.simulation.respond import particles_of, respond
from qad.simulation.seen import Seen

POOL = 60


@pytest.fixture(scope="module")
def record():
    return Record.of(Generator(load_card("qcd"), 3).events(120))


def nothing(n):
    empty = np.zeros(0, int)
    return Seen(n, empty, np.zeros((0, 4)), np.zeros(0), empty, np.zeros(0, np.int8), empty)


def test_minimum_bias_is_made_once_and_balanced():
    events = minimum_bias(13_000.0, POOL)
    assert minimum_bias(13_000.0, POOL) is events and events.n == POOL and (events.source == -1).all()
    assert np.abs(events.missing).max() < 10 and (events.counts > 2).all()
    assert np.bincount(events.event, events.p4[:, 3]).max() <= 13_000.1


def test_the_number_of_events_is_poisson():
    """Every minimum-bias event carries two units of charge: counting them counts the events."""
    seen = overlay(nothing(4000), 3.0, np.random.default_rng(1), pool=POOL)
    number = np.bincount(seen.event, seen.charge, minlength=4000) / 2
    assert number.mean() == pytest.approx(3.0, abs=5 * np.sqrt(3 / 4000))
    assert number.var() == pytest.approx(3.0, rel=0.12)
    assert np.bincount(number.astype(int))[0] / 4000 == pytest.approx(np.exp(-3), abs=0.02)


def test_events_are_only_turned_and_reflected():
    events = minimum_bias(13_000.0, POOL)
    seen = overlay(nothing(3000), 1.0, np.random.default_rng(2), pool=POOL)
    pt, known = (np.hypot(*s.p4[:, :2].T) for s in (seen, events))
    assert np.isin(np.round(pt, 6), np.round(known, 6)).mean() > 0.999
    np.testing.assert_allclose(seen.p4[:, 3] ** 2 - (seen.p4[:, :3] ** 2).sum(1), seen.mass**2,
                               atol=2e-6 * (seen.p4[:, 3] ** 2).max())
    eta, phi = eta_phi(seen.p4)
    assert abs(np.exp(1j * phi).mean()) < 0.01 and abs((eta > 0).mean() - 0.5) < 0.01
    one = overlay(nothing(50), 1.0, np.random.default_rng(2), pool=1)  # the same event again and again
    counts = one.counts[one.counts > 0]
    assert (counts % minimum_bias(13_000.0, 1).counts[0] == 0).all() and len(np.unique(np.round(one.p4[:, 0], 6))) > len(counts)
    hardest = np.argmax(np.hypot(*minimum_bias(13_000.0, 1).p4[:, :2].T)) + np.cumsum([0, *counts])[:-1][counts == counts.min()]
    assert len(np.unique(np.round(one.p4[hardest, 2], 6))) == 2  # as it was, and reflected


def test_the_event_itself_is_kept(record):
    hard = particles_of(record)
    seen = overlay(hard, 2.0, np.random.default_rng(3), pool=POOL)
    kept = seen[seen.source >= 0]
    for column in ("event", "p4", "mass", "pdg_id", "charge", "source"):
        assert np.array_equal(getattr(kept, column), getattr(hard, column))
    assert (np.diff(seen.event) >= 0).all() and len(seen.event) > len(hard.event)


@pytest.mark.parametrize("mode", ["particle", "towers", "eflow"])
def test_the_pool_decides_nothing_but_itself(record, mode):
    """Same seed, same bits, also when another process has to make the pool again."""
    response = Response(mode, pile_up=3, pile_up_pool=POOL)
    first = respond(record, response, 5)
    minimum_bias.cache_clear()
    _within.cache_clear()
    second, other = respond(record, response, 5), respond(record, response, 6)
    assert np.array_equal(first.p4, second.p4) and np.array_equal(first.source, second.source)
    assert len(first.event) != len(other.event)
    assert len(first.event) > 1.2 * len(respond(record, replace(response, pile_up=0.0), 5).event)


def test_charged_subtraction_leaves_the_tracks_of_the_event(record):
    with_all = respond(record, Response("eflow", pile_up=20, pile_up_pool=POOL), 5)
    without = respond(record, Response("eflow", pile_up=20, pile_up_pool=POOL, charged_subtraction=True), 5)
    track = with_all.charge != 0
    added = track & (with_all.source < 0)
    assert added.sum() > 5 * 20 * with_all.n  # several tracks from each of the 20
    for column in ("event", "p4", "source", "pdg_id"):
        assert np.array_equal(getattr(with_all[~added], column), getattr(without, column))


def test_pile_up_makes_jets_heavier_and_subtraction_lighter_again(record):
    mass = {}
    for name, response in (("none", Response("eflow")), ("all", Response("eflow", pile_up=30, pile_up_pool=POOL)),
                           ("subtracted", Response("eflow", pile_up=30, pile_up_pool=POOL, charged_subtraction=True))):
        seen = respond(record, response, 5, 14_000.0)
        jets = JetSelection(pt_min=400, pt_max=5000).select(record, seen, load_card("qcd"), 0, lambda name: None)
        mass[name] = np.median(jets.extras["jet_mass"])
    assert mass["none"] < mass["subtracted"] < mass["all"]


@pytest.mark.slow
def test_any_number_of_workers_gives_the_same_bits():
    response = Response("eflow", pile_up=5, pile_up_pool=POOL)
    one, two = (simulate_jets("qcd", 250, seed=2, response=response, workers=w) for w in (1, 2))
    assert one.fingerprint == two.fingerprint
