"""Pile-up: minimum-bias events laid over those of interest, all from the same vertex."""

from __future__ import annotations

from functools import cache

import numpy as np

from qad.data.charges import charge_of
from qad.simulation.cards import Card
from qad.simulation.generate import Generator, chunk_seed
from qad.simulation.record import Record
from qad.simulation.seen import Seen


@cache
def minimum_bias(sqrt_s: float, size: int, seed: int = 1) -> Seen:
    """``size`` minimum-bias events (Pythia's ``SoftQCD:nonDiffractive``) at ``sqrt_s`` [GeV]: their visible particles.

    Made once per process and kept. Every process makes the same ones, so the number of workers changes nothing.
    """
    card = Card("minimum_bias", {"sqrt_s": f"{sqrt_s:.10g}", "label": "0"}, {}, ("SoftQCD:nonDiffractive = on",))
    record = Record.of(Generator(card, chunk_seed("minimum_bias", seed, 0)).events(size))
    visible = np.flatnonzero(record.visible)
    pdg_id = record.pdg_id[visible]
    return Seen(size, record.event[visible], record.p4[visible], np.maximum(record.mass[visible], 0.0), pdg_id,
                charge_of(pdg_id), np.full(len(visible), -1))


@cache
def _within(sqrt_s: float, size: int, eta_max: float) -> Seen:
    events = minimum_bias(sqrt_s, size)
    return events if np.isinf(eta_max) else events.within(eta_max)


def overlay(seen: Seen, mean: float, rng: np.random.Generator, sqrt_s: float = 13_000.0, pool: int = 2000,
            eta_max: float = np.inf) -> Seen:
    """``seen`` with Poisson(``mean``) minimum-bias events added to each event; the added particles have source -1.

    The events are drawn with replacement from a pool of :func:`minimum_bias`; each is turned by a random azimuth and reflected
    in z with probability ½, both of which leave the physics as it is. The same pool serves every sample, so the same
    minimum-bias events come again and again, turned otherwise: how often rare ones occur is known to 1/√pool, no better.
    ``eta_max`` leaves out added particles beyond, where nothing would see them.
    """
    events = _within(sqrt_s, pool, eta_max)
    number = rng.poisson(mean, seen.n)
    drawn = rng.integers(0, pool, number.sum())
    angle = rng.uniform(0.0, 2 * np.pi, len(drawn))
    side = rng.choice((-1.0, 1.0), len(drawn))
    counts = events.counts
    first = np.cumsum(counts) - counts
    size = counts[drawn]
    at = np.repeat(first[drawn] - (np.cumsum(size) - size), size) + np.arange(size.sum())
    px, py, pz, energy = events.p4[at].T
    cos, sin = np.repeat(np.cos(angle), size), np.repeat(np.sin(angle), size)
    p4 = np.column_stack([cos * px - sin * py, sin * px + cos * py, np.repeat(side, size) * pz, energy])
    event = np.repeat(np.repeat(np.arange(seen.n), number), size)
    return Seen.together(seen.n, [seen, Seen(seen.n, event, p4, events.mass[at], events.pdg_id[at], events.charge[at],
                                             events.source[at])])
