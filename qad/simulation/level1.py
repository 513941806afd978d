"""Level-1 events: what a trigger at 40 MHz sees of a collision, as nineteen objects (arXiv:2107.02157)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qad.data.kinematics import eta_phi, wrap
from qad.data.sample import Sample
from qad.errors import InputError
from qad.simulation.cards import Card
from qad.simulation.cluster import cluster
from qad.simulation.record import HARD_OUTGOING, Record
from qad.simulation.respond import Seen
from qad.simulation.veto import HEAVY_FLAVOUR_PT, HEAVY_FLAVOUR_SCALE

ELECTRONS, MUONS, JETS = 4, 4, 10
SLOTS = ("met",) + ("e",) * ELECTRONS + ("mu",) * MUONS + ("jet",) * JETS
ROUNDING = 1e-3  # GeV: less missing momentum than this is that of Pythia's sums, and no object
FIRST_ELECTRON, FIRST_MUON, FIRST_JET = 1, 1 + ELECTRONS, 1 + ELECTRONS + MUONS


@dataclass(frozen=True)
class Level1Selection:
    """MET, 4 electrons, 4 muons and 10 anti-kT jets of each event with a hard lepton; cuts as published (arXiv:2107.02157).

    Relative isolation of a lepton: I = Σ pT / pT(lepton) over all else above 0.5 GeV within ΔR < ``isolation_radius``.

    isolation    leptons with I above it are dropped; 0 keeps all. Hardly any lepton of QCD is isolated, and a third of the
                 published events is QCD, so by default it is not asked for
    clean        jets are made of all that is seen but the leptons with I below it, so that no isolated lepton is a jet as well;
                 leptons inside a jet stay part of it
    """

    trigger_pt: float = 23.0  # GeV, of the electron or muon that an event must have
    lepton_pt: float = 3.0  # GeV
    electron_eta: float = 3.0
    muon_eta: float = 2.1
    jet_pt: float = 15.0  # GeV
    jet_eta: float = 4.0
    radius: float = 0.4
    isolation: float = 0.0  # 0: not asked for
    isolation_radius: float = 0.5
    clean: float = 0.25

    def select(self, record: Record, seen: Seen, card: Card, first_event: int, clock: Callable[[str], None]) -> Sample:
        """Events that pass, as a Sample. ``clock(name)`` is told when each step has ended."""
        return select_level1(record, seen, card, self, first_event, clock)


def select_level1(record: Record, seen: Seen, card: Card, selection: Level1Selection, first_event: int,
                  clock: Callable[[str], None]) -> Sample:
    """See :meth:`Level1Selection.select`. Raises :class:`InputError` for leptons softer than the card's events can give."""
    if "hook" in card.header and selection.trigger_pt < HEAVY_FLAVOUR_PT:
        raise InputError(f"trigger_pt: expected at least {HEAVY_FLAVOUR_PT:g} GeV for '{card.process}', whose events all hold "
                         f"a heavy quark of that pT; got {selection.trigger_pt:g}")
    seen = _fired(seen, leptons_of(seen, selection), selection)  # most events end here, before the costly steps
    leptons = leptons_of(seen, selection)
    activity = isolation_of(seen, leptons, selection.isolation_radius)
    if selection.isolation > 0:
        leptons, activity = leptons[activity < selection.isolation], activity[activity < selection.isolation]
    in_jets = np.ones(len(seen.event), dtype=bool)
    in_jets[leptons[activity < selection.clean]] = False
    clock("ours")
    jets = cluster(seen.p4[in_jets], np.bincount(seen.event[in_jets], minlength=seen.n), selection.radius, selection.jet_pt)
    clock("fastjet")

    objects = np.zeros((seen.n, len(SLOTS), 3))
    isolation = np.zeros((seen.n, len(SLOTS)), dtype=np.float32)
    missing = seen.missing
    met = np.hypot(*missing.T)
    objects[:, 0, 0], objects[:, 0, 2] = met, np.arctan2(missing[:, 1], missing[:, 0])
    objects[met < ROUNDING, 0] = 0
    extras: dict[str, np.ndarray] = {}
    for name, pdg_id, first, number in (("n_electrons", 11, FIRST_ELECTRON, ELECTRONS), ("n_muons", 13, FIRST_MUON, MUONS)):
        mine = np.abs(seen.pdg_id[leptons]) == pdg_id
        event = seen.event[leptons[mine]]
        order, row, slot = _slots(event, seen.p4[leptons[mine]], number)
        objects[row, first + slot] = _pt_eta_phi(seen.p4[leptons[mine][order]])
        isolation[row, first + slot] = activity[mine][order]
        extras[name] = np.bincount(event, minlength=seen.n).astype(np.int32)
    central = np.abs(eta_phi(jets.momentum)[0]) < selection.jet_eta
    event, momentum = jets.event[central], jets.momentum[central]
    order, row, slot = _slots(event, momentum, JETS)
    objects[row, FIRST_JET + slot] = _pt_eta_phi(momentum[order])
    extras["n_jets"] = np.bincount(event, minlength=seen.n).astype(np.int32)
    extras["h_t"] = np.bincount(event, np.hypot(momentum[:, 0], momentum[:, 1]), minlength=seen.n).astype(np.float32)

    hardest = np.maximum(objects[:, FIRST_ELECTRON, 0], objects[:, FIRST_MUON, 0])
    kept = np.flatnonzero(hardest > selection.trigger_pt)
    particles = np.zeros((len(kept), len(SLOTS), 4), dtype=np.float32)
    particles[..., :3] = objects[kept]
    return Sample(
        particles=particles,
        label=np.full(len(kept), card.label),
        process=np.full(len(kept), card.process),
        weight=bias_weight(record, card)[kept],
        particle_extras={"isolation": isolation[kept]},
        extras={"event": (first_event + kept).astype(np.int64), **{k: v[kept] for k, v in extras.items()}},
        meta={"slots": list(SLOTS), **enrichment(card)},
    )


def leptons_of(seen: Seen, selection: Level1Selection) -> np.ndarray:
    """Indices of the electrons and muons inside the acceptance."""
    leptons = np.flatnonzero(np.isin(np.abs(seen.pdg_id), (11, 13)))
    p4 = seen.p4[leptons]
    electron = np.abs(seen.pdg_id[leptons]) == 11
    central = np.abs(eta_phi(p4)[0]) < np.where(electron, selection.electron_eta, selection.muon_eta)
    return leptons[central & (np.hypot(p4[:, 0], p4[:, 1]) > selection.lepton_pt)]


def _fired(seen: Seen, leptons: np.ndarray, selection: Level1Selection) -> Seen:
    """The objects of those events that have a lepton above the trigger threshold; the events keep their numbers."""
    hard = leptons[np.hypot(*seen.p4[leptons, :2].T) > selection.trigger_pt]
    fired = np.zeros(seen.n, dtype=bool)
    fired[seen.event[hard]] = True
    return seen[fired[seen.event]]


def isolation_of(seen: Seen, leptons: np.ndarray, radius: float, softest: float = 0.5) -> np.ndarray:
    """Relative isolation Σ pT / pT(lepton) over all other objects above ``softest`` [GeV] within ``radius``, ``(leptons,)``."""
    pt, (eta, phi) = np.hypot(seen.p4[:, 0], seen.p4[:, 1]), eta_phi(seen.p4)
    begin = np.searchsorted(seen.event, seen.event[leptons], side="left")
    number = np.searchsorted(seen.event, seen.event[leptons], side="right") - begin
    which = np.repeat(np.arange(len(leptons)), number)  # (pairs,) each lepton with every object of its event
    other = np.arange(len(which)) - np.repeat(np.cumsum(number) - number, number) + begin[which]
    lepton = leptons[which]
    near = np.hypot(eta[lepton] - eta[other], wrap(phi[lepton] - phi[other])) < radius
    near &= (other != lepton) & (pt[other] > softest)
    return np.bincount(which[near], pt[other[near]], minlength=len(leptons)) / pt[leptons]


def _slots(event: np.ndarray, p4: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The ``number`` hardest objects of each event: their indices, their events, their places 0, 1, … inside the slots."""
    order = np.lexsort((-np.hypot(p4[:, 0], p4[:, 1]), event))
    rank = np.arange(len(order)) - np.searchsorted(event[order], event[order], side="left")
    order, rank = order[rank < number], rank[rank < number]
    return order, event[order], rank


def _pt_eta_phi(p4: np.ndarray) -> np.ndarray:
    return np.column_stack([np.hypot(p4[:, 0], p4[:, 1]), *eta_phi(p4)])


def _setting(card: Card, name: str) -> float | None:
    """The number that a card gives to a setting of Pythia, or None."""
    for command in card.commands:
        key, _, value = command.partition("=")
        if key.strip() == name:
            return float(value)
    return None


def bias_weight(record: Record, card: Card) -> np.ndarray:
    """Pythia's weight (reference / pTHat)^power of each event of a card with ``PhaseSpace:bias2Selection``, else 1, ``(n,)``.

    pTHat is read off the two outgoing partons of the hard process, in their rest frame: pT for heavy pairs made in the hard
    process, whose masses the matrix element knows; pT · (m̂/2) / p* for all else, where masses are put in afterwards.
    """
    n = len(record.start) - 1
    power, reference = (_setting(card, f"PhaseSpace:bias2Selection{what}") for what in ("Pow", "Ref"))
    if power is None or reference is None:
        return np.ones(n)
    # rows of an event: system, two beams, two incoming partons, two outgoing ones
    incoming, outgoing = record.start[:-1, None] + [3, 4], record.start[:-1, None] + [5, 6]
    if (np.abs(record.status[outgoing]) != HARD_OUTGOING).any():
        raise InputError(f"process '{card.process}' is biased in pTHat, but is no scattering of two partons into two")
    total = record.p4[outgoing].sum(1)
    m_hat = np.sqrt(total[:, 3] ** 2 - (total[:, :3] ** 2).sum(1))
    m_1, m_2 = record.mass[outgoing].T
    p_star = np.sqrt((m_hat**2 - (m_1 + m_2) ** 2) * (m_hat**2 - (m_1 - m_2) ** 2)) / (2 * m_hat)
    flavour = np.abs(record.pdg_id[outgoing[:, 0]])
    heavy_pair = (record.pdg_id[outgoing].sum(1) == 0) & np.isin(flavour, (4, 5))
    heavy_pair &= np.abs(record.pdg_id[incoming[:, 0]]) != flavour
    pt_hat = np.hypot(*record.p4[outgoing[:, 0], :2].T) * np.where(heavy_pair, 1.0, m_hat / (2 * p_star))
    return (reference / pt_hat) ** power


def enrichment(card: Card) -> dict[str, dict[str, float]]:
    """What was done to a process to find more of its rare events, for the file's provenance."""
    found: dict[str, dict[str, float]] = {}
    if card.header.get("hook") == "heavy_flavour":
        found["heavy_flavour_veto"] = {"shower_scale_GeV": HEAVY_FLAVOUR_SCALE, "quark_pt_GeV": HEAVY_FLAVOUR_PT}
    settings = {k: _setting(card, f"PhaseSpace:{v}") for k, v in (
        ("minimum_GeV", "pTHatMin"), ("bias_power", "bias2SelectionPow"), ("bias_reference_GeV", "bias2SelectionRef"))}
    if any(v is not None for v in settings.values()):
        found["pt_hat"] = {k: v for k, v in settings.items() if v is not None}
    return found
