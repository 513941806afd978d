"""Large-radius jets: events → anti-kT jets in a pT window → Sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qad.data.kinematics import delta_r, eta_phi, invariant_mass
from qad.data.sample import Sample
from qad.simulation.cards import Card
from qad.simulation.cluster import Jets, cluster
from qad.simulation.record import Record
from qad.simulation.respond import Seen


@dataclass(frozen=True)
class JetSelection:
    """Which jets are kept. The defaults are those of the top-tagging reference set (arXiv:1902.09914)."""

    radius: float = 0.8
    pt_min: float = 550.0  # GeV
    pt_max: float = 650.0  # GeV
    eta_max: float = 2.0
    leading: int = 2  # how many of the hardest jets of an event are looked at
    matched: bool = True  # signal jets must contain all decay quarks of their resonance
    max_particles: int = 128  # the hardest constituents are kept

    def select(self, record: Record, seen: Seen, card: Card, first_event: int, clock: Callable[[str], None]) -> Sample:
        """Jets of a batch of events, as a Sample. ``clock(name)`` is told when each step has ended."""
        return select_jets(record, seen, card, self, first_event, clock)


def select_jets(record: Record, seen: Seen, card: Card, selection: JetSelection, first_event: int,
                clock: Callable[[str], None]) -> Sample:
    """See :meth:`JetSelection.select`."""
    clock("ours")
    jets = cluster(seen.p4, seen.counts, selection.radius, selection.pt_min)
    clock("fastjet")
    pt, (eta, phi) = np.hypot(*jets.momentum[:, :2].T), eta_phi(jets.momentum)
    rank = np.arange(len(pt)) - np.searchsorted(jets.event, jets.event)
    keep = (rank < selection.leading) & (pt < selection.pt_max) & (np.abs(eta) < selection.eta_max)
    if selection.matched and card.resonance is not None:
        keep &= contains_decay(record, jets, card.resonance, selection.radius)
    chosen = np.flatnonzero(keep)
    first_seen = np.concatenate([[0], np.cumsum(seen.counts)])
    particles = np.zeros((len(chosen), selection.max_particles, 4), dtype=np.float32)
    pdg_id = np.zeros((len(chosen), selection.max_particles), dtype=np.int32)
    for row, j in enumerate(chosen):
        members = first_seen[jets.event[j]] + jets.constituents[jets.offsets[j] : jets.offsets[j + 1]]
        p4 = seen.p4[members]
        order = np.argsort(-np.hypot(p4[:, 0], p4[:, 1]), kind="stable")[: selection.max_particles]
        members, p4 = members[order], p4[order]
        particles[row, : len(order), 0] = np.hypot(p4[:, 0], p4[:, 1])
        particles[row, : len(order), 1], particles[row, : len(order), 2] = eta_phi(p4)
        particles[row, : len(order), 3] = seen.mass[members]
        pdg_id[row, : len(order)] = seen.pdg_id[members]
    return Sample(
        particles=particles,
        label=np.full(len(chosen), card.label),
        process=np.full(len(chosen), card.process),
        particle_extras={"pdg_id": pdg_id},
        extras={
            "event": (first_event + jets.event[chosen]).astype(np.int64),
            "jet_pt": pt[chosen].astype(np.float32),
            "jet_eta": eta[chosen].astype(np.float32),
            "jet_phi": phi[chosen].astype(np.float32),
            "jet_mass": invariant_mass(jets.momentum[chosen]).astype(np.float32),
            "n_constituents": np.diff(jets.offsets)[chosen].astype(np.int32),
        },
    )


def contains_decay(record: Record, jets: Jets, resonance: int, radius: float) -> np.ndarray:
    """Whether all decay quarks of one ``resonance`` of its event lie within ``radius`` of each jet, bool ``(jets,)``."""
    quarks, origin = record.decay_quarks(resonance)
    found = np.zeros(len(jets.event), dtype=bool)
    for sign in (resonance, -resonance):
        mine = quarks[origin == sign]
        begin = np.searchsorted(record.event[mine], jets.event, side="left")
        number = np.searchsorted(record.event[mine], jets.event, side="right") - begin
        inside = number > 0
        for k in range(int(number.max(initial=0))):
            has = number > k
            which = np.where(has, begin + k, 0)
            inside &= ~has | (delta_r(jets.momentum, record.p4[mine[which]]) < radius)
        found |= inside
    return found
