"""Di-lepton top-pair events with the seven features of arXiv:2112.04958: events → objects → Sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qad.data.kinematics import delta_r, eta_phi, invariant_mass, opening_angle
from qad.data.sample import Sample
from qad.simulation.cards import Card
from qad.simulation.cluster import cluster
from qad.simulation.record import HARD_OUTGOING, Record
from qad.simulation.respond import Seen

FEATURES = ("met", "lep1pt", "lep2pt", "b1pt", "b2pt", "theta_ll", "theta_bb")
UNITS = ("GeV", "GeV", "GeV", "GeV", "GeV", "rad", "rad")
SLOTS = ("lep1", "lep2", "b1", "b2", "met")


@dataclass(frozen=True)
class EventSelection:
    """Two prompt leptons and two b-jets, apart from each other; the cuts are read off the published events."""

    lepton_pt: float = 30.0  # GeV
    jet_pt: float = 30.0  # GeV
    eta_max: float = 2.5
    radius: float = 0.5
    lepton_jet_distance: float = 0.5
    b_distance: float = 0.4

    def select(self, record: Record, seen: Seen, card: Card, first_event: int, clock: Callable[[str], None]) -> Sample:
        """Events that pass, as a Sample. ``clock(name)`` is told when each step has ended."""
        return select_events(record, card, self, first_event, clock)


def _two_hardest(event: np.ndarray, p4: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The two hardest objects of each event: indices ``(n, 2)`` and whether both exist ``(n,)``."""
    order = np.lexsort((-np.hypot(p4[:, 0], p4[:, 1]), event))
    begin = np.searchsorted(event[order], np.arange(n), side="left")
    number = np.searchsorted(event[order], np.arange(n), side="right") - begin
    both = number >= 2
    pick = np.where(both[:, None], begin[:, None] + np.arange(2), 0)
    return (order[pick] if len(order) else np.zeros((n, 2), dtype=np.int64)), both


def select_events(record: Record, card: Card, selection: EventSelection, first_event: int,
                  clock: Callable[[str], None]) -> Sample:
    """Events that pass the di-lepton selection, as a Sample with five objects and seven features."""
    n = len(record.start) - 1
    leptons = np.flatnonzero(record.final & np.isin(np.abs(record.pdg_id), (11, 13)))
    at = leptons.copy()  # climb through copies of the lepton itself: prompt ones come from a W
    while (same := record.pdg_id[record.mother[at]] == record.pdg_id[at]).any() and (record.mother[at] != at)[same].any():
        at = np.where(same, record.mother[at], at)
    leptons = leptons[np.abs(record.pdg_id[record.mother[at]]) == 24]
    eta, _ = eta_phi(record.p4[leptons])
    pt = np.hypot(*record.p4[leptons, :2].T)
    hard = leptons[(pt > selection.lepton_pt) & (np.abs(eta) < selection.eta_max)]
    hadronic = record.visible
    hadronic[leptons] = False
    hadronic = np.flatnonzero(hadronic)
    clock("ours")
    jets = cluster(record.p4[hadronic], np.bincount(record.event[hadronic], minlength=n), selection.radius, selection.jet_pt)
    clock("fastjet")
    b = np.flatnonzero((np.abs(record.status) == HARD_OUTGOING) & (np.abs(record.pdg_id) == 5))
    b_begin = np.searchsorted(record.event[b], jets.event)
    b_number = np.searchsorted(record.event[b], jets.event, side="right") - b_begin
    tagged = np.zeros(len(jets.event), dtype=bool)
    for k in range(int(b_number.max(initial=0))):
        has = b_number > k
        tagged |= has & (delta_r(jets.momentum, record.p4[b[np.where(has, b_begin + k, 0)]]) < selection.b_distance)
    eta, _ = eta_phi(jets.momentum)
    tagged &= np.abs(eta) < selection.eta_max
    lep, two_leptons = _two_hardest(record.event[hard], record.p4[hard], n)
    jet, two_jets = _two_hardest(jets.event[tagged], jets.momentum[tagged], n)
    keep = np.flatnonzero(two_leptons & two_jets)
    l4, b4 = record.p4[hard][lep[keep]], jets.momentum[tagged][jet[keep]]
    apart = (delta_r(l4[:, :, None], b4[:, None, :]) > selection.lepton_jet_distance).all((1, 2))
    keep, l4, b4 = keep[apart], l4[apart], b4[apart]
    invisible = np.flatnonzero(record.final & ~record.visible)
    met_xy = np.stack([np.bincount(record.event[invisible], record.p4[invisible, i], minlength=n) for i in (0, 1)], 1)[keep]
    met = np.hypot(*met_xy.T)
    objects = np.concatenate([l4, b4], axis=1)
    particles = np.zeros((len(keep), len(SLOTS), 4), dtype=np.float32)
    particles[:, :4, 0] = np.hypot(objects[..., 0], objects[..., 1])
    particles[:, :4, 1], particles[:, :4, 2] = eta_phi(objects)
    particles[:, :4, 3] = invariant_mass(objects)
    particles[:, 4, 0], particles[:, 4, 2] = met, np.arctan2(met_xy[:, 1], met_xy[:, 0])
    features = np.column_stack([met, particles[:, :4, 0], opening_angle(l4[:, 0], l4[:, 1]), opening_angle(b4[:, 0], b4[:, 1])])
    return Sample(
        particles=particles,
        features=features,
        feature_names=FEATURES,
        feature_units=UNITS,
        label=np.full(len(keep), card.label),
        process=np.full(len(keep), card.process),
        extras={"event": (first_event + keep).astype(np.int64)},
        meta={"slots": SLOTS},
    )
