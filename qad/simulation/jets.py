"""Large-radius jets: events → anti-kT jets in a pT window → Sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qad.data.kinematics import delta_r, eta_phi, invariant_mass
from qad.data.sample import Sample
from qad.simulation.cards import QUARKS, Card
from qad.simulation.cluster import Constituents, Jets, cluster, constituents, particle_rows
from qad.simulation.record import HARD_OUTGOING, Record
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
        keep &= contains_decay(record, jets, card.resonance, selection.radius, card.products, card.leptons)
    chosen = np.flatnonzero(keep)
    held = constituents(jets, chosen, seen.p4, seen.counts)
    held = Constituents(*(column[held.place < selection.max_particles] for column in held))
    particles = np.zeros((len(chosen), selection.max_particles, 4), dtype=np.float32)
    particles[held.row, held.place] = particle_rows(seen.p4[held.index], seen.mass[held.index])
    extras = {name: np.zeros((len(chosen), selection.max_particles), dtype=kind) for name, kind in card.particle_extras.items()}
    for name, column in extras.items():
        column[held.row, held.place] = getattr(seen, name)[held.index]
    return Sample(
        particles=particles,
        label=np.full(len(chosen), card.label),
        process=np.full(len(chosen), card.process),
        particle_extras=extras,
        extras={
            "event": (first_event + jets.event[chosen]).astype(np.int64),
            "jet_pt": pt[chosen].astype(np.float32),
            "jet_eta": eta[chosen].astype(np.float32),
            "jet_phi": phi[chosen].astype(np.float32),
            "jet_mass": invariant_mass(jets.momentum[chosen]).astype(np.float32),
            "n_constituents": np.diff(jets.offsets)[chosen].astype(np.int32),
        },
    )


def decay_products(record: Record, resonance: int, products: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Flat indices of the partons and leptons, of \\|id\\| in ``products``, that ``resonance`` decays to, and its signed id."""
    found = np.flatnonzero((np.abs(record.status) == HARD_OUTGOING) & np.isin(np.abs(record.pdg_id), products))
    origin = record.ancestor(found, resonance)
    return found[origin != 0], origin[origin != 0]


def contains_decay(record: Record, jets: Jets, resonance: int, radius: float, products: tuple[int, ...] = QUARKS,
                   leptons: int | None = None) -> np.ndarray:
    """Whether all decay ``products`` of one ``resonance`` of its event lie within ``radius`` of each jet, bool ``(jets,)``.

    leptons  how many charged leptons that decay must have; None for any number
    """
    everything, origin = decay_products(record, resonance, products)
    found = np.zeros(len(jets.event), dtype=bool)
    for sign in (resonance, -resonance):
        mine = everything[origin == sign]
        begin = np.searchsorted(record.event[mine], jets.event, side="left")
        number = np.searchsorted(record.event[mine], jets.event, side="right") - begin
        inside = number > 0
        if leptons is not None:
            charged = mine[np.isin(np.abs(record.pdg_id[mine]), (11, 13, 15))]
            inside &= np.bincount(record.event[charged], minlength=len(record.start))[jets.event] == leptons
        for k in range(int(number.max(initial=0))):
            has = number > k
            which = np.where(has, begin + k, 0)
            inside &= ~has | (delta_r(jets.momentum, record.p4[mine[which]]) < radius)
        found |= inside
    return found
