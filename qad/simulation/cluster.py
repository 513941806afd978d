"""FastJet: the visible particles of many events in, jets with their constituents out, in one call."""

from __future__ import annotations

import contextlib
import os
import sys
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from qad.data.kinematics import eta_phi
from qad.errors import require

DIRECTIONS = 6
WORTH_ASKING = 100.0  # GeV: nearly every event has a jet below that


class Jets(NamedTuple):
    """Jets of a batch of events, flat, ordered by event and descending pT."""

    event: np.ndarray  # (j,) index of the event
    momentum: np.ndarray  # (j, 4) px, py, pz, E [GeV]
    offsets: np.ndarray  # (j + 1,) where each jet's constituents start in `constituents`
    constituents: np.ndarray  # (c,) index into the event's particles


@cache
def _fastjet() -> Any:
    fastjet = require("fastjet", "simulation")
    require("vector", "simulation").register_awkward()
    # FastJet prints its banner at the first clustering, whatever one does; let it, where no one reads
    sys.stdout.flush()
    with open(os.devnull, "w") as nothing, _redirected(nothing.fileno()):
        fastjet.ClusterSequence(
            [fastjet.PseudoJet(1.0, 0.0, 0.0, 1.0)], fastjet.JetDefinition(fastjet.antikt_algorithm, 0.4)
        )
    return fastjet


@contextlib.contextmanager
def _redirected(target: int) -> Any:
    saved = os.dup(1)
    try:
        os.dup2(target, 1)
        yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)


def cluster(momenta: np.ndarray, counts: np.ndarray, radius: float, min_pt: float, hardest: float | None = None) -> Jets:
    """Anti-kT jets (arXiv:0802.1189) of radius ``radius`` above ``min_pt`` [GeV].

    momenta  (particles, 4) px, py, pz, E [GeV] of all events, one after another
    counts   (events,) how many particles each event has
    hardest  events that cannot hold a jet above this [GeV] need no jets; ``min_pt`` unless given
    """
    fastjet = _fastjet()
    ak = require("awkward", "simulation")
    hopeful = np.arange(len(counts))
    hardest = min_pt if hardest is None else max(min_pt, hardest)
    if hardest > WORTH_ASKING:
        possible = reach(momenta, counts) > hardest
        hopeful, momenta, counts = np.flatnonzero(possible), momenta[np.repeat(possible, counts)], counts[possible]
    columns = [ak.Array(np.ascontiguousarray(momenta[:, i], dtype=np.float64)) for i in range(4)]
    flat = ak.zip(dict(zip(("px", "py", "pz", "E"), columns, strict=True)), with_name="Momentum4D")
    events = ak.to_packed(ak.unflatten(flat, counts))
    sequence = fastjet.ClusterSequence(events, fastjet.JetDefinition(fastjet.antikt_algorithm, radius))
    jets = sequence.inclusive_jets(min_pt=min_pt)
    index = sequence.constituent_index(min_pt=min_pt)
    flat_jets = ak.flatten(jets)
    p4 = np.column_stack([ak.to_numpy(flat_jets[c]) for c in ("px", "py", "pz", "E")])
    event = np.repeat(hopeful, ak.to_numpy(ak.num(jets, axis=1)))
    sizes = ak.to_numpy(ak.num(ak.flatten(index, axis=1), axis=1))
    members = ak.to_numpy(ak.flatten(index, axis=None)).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    # descending pT inside each event
    order = np.lexsort((-np.hypot(p4[:, 0], p4[:, 1]), event))
    return Jets(event[order], p4[order], np.concatenate([[0], np.cumsum(sizes[order])]), members[_spans(offsets, order)[1]])


def reach(momenta: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """More pT [GeV] than any jet of each event can have, ``(events,)``; arguments as in :func:`cluster`.

    A jet in the transverse direction n has pT = Σ p·n ≤ f(n) = Σ max(0, p·n) = (Σ|p·n| + (Σp)·n)/2, whatever particles it is
    made of. f is sublinear, so that between directions Δ apart it exceeds neither of them by more than 1/cos(Δ/2).
    """
    out, some = np.zeros(len(counts)), counts > 0
    first = (np.cumsum(counts) - counts)[some]
    px, py = np.ascontiguousarray(momenta[:, 0]), np.ascontiguousarray(momenta[:, 1])
    for angle in np.pi * np.arange(DIRECTIONS if some.any() else 0) / DIRECTIONS:  # opposite ones come with the modulus
        along = np.cos(angle) * px + np.sin(angle) * py
        balance = np.abs(np.add.reduceat(along, first))
        out[some] = np.maximum(out[some], (np.add.reduceat(np.abs(along, out=along), first) + balance) / 2)
    return out * (1 + 1e-9) / np.cos(np.pi / (2 * DIRECTIONS))


def _spans(offsets: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions ``offsets[j]:offsets[j + 1]`` of the ``chosen`` j, one after another: row, position, place inside the row."""
    sizes = np.diff(offsets)[chosen]
    row = np.repeat(np.arange(len(chosen)), sizes)
    place = np.arange(len(row)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return row, offsets[chosen][row] + place, place


class Constituents(NamedTuple):
    """Constituents of chosen jets, flat: by jet, and inside each by descending pT."""

    row: np.ndarray  # (c,) which of the chosen jets
    place: np.ndarray  # (c,) rank in pT, from 0
    index: np.ndarray  # (c,) index into all particles of the batch


def constituents(jets: Jets, chosen: np.ndarray, momenta: np.ndarray, counts: np.ndarray) -> Constituents:
    """Constituents of the jets with indices ``chosen``; ``momenta`` and ``counts`` as they were given to :func:`cluster`."""
    first = np.concatenate([[0], np.cumsum(counts)])
    row, position, place = _spans(jets.offsets, chosen)
    index = first[jets.event[chosen]][row] + jets.constituents[position]
    order = np.lexsort((-np.hypot(momenta[index, 0], momenta[index, 1]), row))
    return Constituents(row, place, index[order])


def particle_rows(momenta: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """pT, η, φ, mass (float32, as a Sample holds them) of ``momenta`` (c, 4) px, py, pz, E."""
    return np.column_stack([np.hypot(momenta[:, 0], momenta[:, 1]), *eta_phi(momenta), mass]).astype(np.float32)
