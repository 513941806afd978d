"""Dijet resonance events as in the LHC Olympics R&D set (arXiv:2101.08320): events → two fat jets → Sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qad.data.dijet import FEATURES, dijet_features
from qad.data.kinematics import cartesian, eta_phi, invariant_mass
from qad.data.sample import Sample, concatenate
from qad.data.slots import slot_names
from qad.data.store import SampleWriter, iter_chunks
from qad.errors import InputError
from qad.simulation.cards import Card
from qad.simulation.cluster import Constituents, Jets, cluster, constituents, particle_rows
from qad.simulation.record import Record
from qad.simulation.seen import Seen

JETS = ("j1", "j2")
MOST_TAU = 3
EVENTS_AT_ONCE = 1000

#: Mass points [GeV] of the signals after the CMS search (arXiv:2412.03747): A = 3 TeV, daughters of 80, 170 and 400 GeV where
#: the decay is open. Further points are options of the cards.
GRID: Mapping[str, tuple[Mapping[str, float], ...]] = {
    "qstar_qw": tuple({"m_qstar": 3000.0, "m_w": m} for m in (80.0, 170.0, 400.0)),
    "x_yy": tuple({"m_x": 3000.0, "m_y": a, "m_yprime": b} for a in (80.0, 170.0, 400.0) for b in (80.0, 170.0, 400.0)),
    "wkk_wr": tuple({"m_wkk": 3000.0, "m_r": m} for m in (170.0, 400.0)),
    "wprime_bt": tuple({"m_wprime": 3000.0, "m_b": m} for m in (170.0, 400.0)),
    "zprime_tt": ({"m_zprime": 3000.0, "m_t": 400.0},),
    "y_hh": ({"m_y": 3000.0, "m_h": 400.0},),
}


@dataclass(frozen=True)
class DijetSelection:
    """The two hardest jets of an event inside \\|η\\|; the defaults are the trigger of the LHC Olympics R&D set."""

    radius: float = 1.0
    pt_min: float = 1200.0  # GeV, of the harder jet
    second_pt_min: float = 200.0  # GeV
    eta_max: float = 2.5
    particle_eta_max: float = 5.0  # as far as calorimeters reach
    max_particles: int = 100  # the hardest constituents of each jet are kept

    def select(self, record: Record, seen: Seen, card: Card, first_event: int, clock: Callable[[str], None]) -> Sample:
        """Dijet events of a batch, as a Sample. ``clock(name)`` is told when each step has ended."""
        columns = {"pdg_id": seen.pdg_id.astype(np.int32)}
        event, contents = _dijets(seen.p4, seen.mass, seen.counts, columns, self, clock)
        contents["extras"]["event"] = (first_event + event).astype(np.int64)
        return Sample(**contents, label=np.full(len(event), card.label), process=np.full(len(event), card.process),
                      meta={"slots": self.slots})

    @property
    def slots(self) -> list[str]:
        """Which jet each particle column belongs to."""
        return [name for name in JETS for _ in range(self.max_particles)]

    def pairs(self, jets: Jets, n: int) -> np.ndarray:
        """Indices ``(events kept, 2)`` of the two hardest central jets of each of ``n`` events that passes."""
        eta, _ = eta_phi(jets.momentum)
        central = np.flatnonzero(np.abs(eta) < self.eta_max)
        first = np.searchsorted(jets.event[central], np.arange(n))
        two = first[np.bincount(jets.event[central], minlength=n) >= 2]
        pair = central[two[:, None] + np.arange(2)]
        pt = np.hypot(jets.momentum[pair, 0], jets.momentum[pair, 1])
        return pair[(pt[:, 0] > self.pt_min) & (pt[:, 1] > self.second_pt_min)]


def dijets_of(sample: Sample, selection: DijetSelection | None = None) -> Sample:
    """The dijets of a sample of whole events, such as the low-level LHC Olympics file, clustered as simulated ones are.

    Events that fail the ``selection`` are dropped; label, process, weight, the extras of the events and those of the particles
    come along, and the extra ``event`` says which row of ``sample`` each was. Raises :class:`InputError` for objects in slots.
    """
    selection = selection or DijetSelection()
    _check_whole(sample)
    parts = [_clustered(sample[i : i + EVENTS_AT_ONCE], i, selection) for i in range(0, max(len(sample), 1), EVENTS_AT_ONCE)]
    return concatenate(parts)


def _check_whole(sample: Sample) -> None:
    if "jet_pt" in sample.extras:
        raise InputError("expected whole events, all their particles in one list; this sample holds single jets")
    if "slots" in sample.meta:
        raise InputError("expected whole events, all their particles in one list; this sample holds the objects "
                         f"{', '.join(slot_names(sample)) or 'none'}")


def cluster_file(file: str | Path, out: str | Path, *, selection: DijetSelection | None = None, overwrite: bool = False,
                 progress: Callable[[int, int | None], None] | None = None) -> int:
    """:func:`dijets_of` the events of ``file``, ours or public, into ``out`` in constant memory; returns how many pass.

    progress  called with (events done, None)

    Raises :class:`InputError`.
    """
    selection, out, done = selection or DijetSelection(), Path(out), 0
    if out.exists() and Path(file).exists() and out.samefile(file):
        raise InputError(f"{out} is the file to be read; choose another name for what is written")
    if out.exists() and not overwrite:
        raise InputError(f"{out} exists; choose another name or add --overwrite")
    with SampleWriter(out) as writer:
        for sample in iter_chunks(file, EVENTS_AT_ONCE):
            _check_whole(sample)
            writer.append(_clustered(sample, done, selection))
            done += len(sample)
            if progress is not None:
                progress(done, None)
        if not writer.n:
            raise InputError(f"none of {done:,} events of {file} has two jets above {selection.pt_min:g} and "
                             f"{selection.second_pt_min:g} GeV; lower pt_min and second_pt_min")
        return writer.n


def _clustered(sample: Sample, first_event: int, selection: DijetSelection) -> Sample:
    present = sample.present
    momenta = cartesian(sample.particles[present].astype(np.float64))
    columns = {name: values[present] for name, values in sample.particle_extras.items()}
    event, contents = _dijets(momenta, sample.particles[present][:, 3], present.sum(1), columns, selection)
    contents["extras"] = {k: v[event] for k, v in sample.extras.items()} | contents["extras"] | {"event": first_event + event}
    meta = {**sample.meta, "slots": selection.slots, "selection": asdict(selection)}
    return Sample(**contents, label=sample.label[event], process=sample.process[event], weight=sample.weight[event], meta=meta)


def _dijets(momenta: np.ndarray, mass: np.ndarray, counts: np.ndarray, columns: Mapping[str, np.ndarray],
            selection: DijetSelection, clock: Callable[[str], None] = lambda name: None) -> tuple[np.ndarray, dict[str, Any]]:
    """Which events pass, and their particles, features and extras. Arguments as in :func:`~qad.simulation.cluster.cluster`."""
    covered = np.abs(momenta[:, 2]) < np.sinh(selection.particle_eta_max) * np.hypot(momenta[:, 0], momenta[:, 1])
    event = np.repeat(np.arange(len(counts)), counts)[covered]
    momenta, mass, counts = momenta[covered], mass[covered], np.bincount(event, minlength=len(counts))
    columns = {name: values[covered] for name, values in columns.items()}
    clock("ours")
    jets = cluster(momenta, counts, selection.radius, min(selection.pt_min, selection.second_pt_min), hardest=selection.pt_min)
    clock("fastjet")
    pairs = selection.pairs(jets, len(counts))
    held = constituents(jets, pairs.ravel(), momenta, counts)  # row 2i is the harder jet of event i, 2i + 1 the other
    tau = _subjettiness(held, 2 * len(pairs), momenta)
    held = Constituents(*(column[held.place < selection.max_particles] for column in held))

    def in_slots(values: np.ndarray) -> np.ndarray:
        out = np.zeros((2 * len(pairs), selection.max_particles, *values.shape[1:]), dtype=values.dtype)
        out[held.row, held.place] = values
        return out.reshape(len(pairs), 2 * selection.max_particles, *values.shape[1:])

    p4 = jets.momentum[pairs]  # (n, 2, 4)
    eta, phi = eta_phi(p4)
    masses = invariant_mass(p4)
    extras = {"m_jj": invariant_mass(p4.sum(1)), "delta_eta_jj": np.abs(eta[:, 0] - eta[:, 1])}
    for j, name in enumerate(JETS):
        of_jet = {"pt": np.hypot(p4[:, j, 0], p4[:, j, 1]), "eta": eta[:, j], "phi": phi[:, j], "mass": masses[:, j]}
        of_jet |= {f"tau{k + 1}": tau[:, j, k] for k in range(MOST_TAU)}
        extras |= {f"{name}_{quantity}": values for quantity, values in of_jet.items()}
    extras = {name: values.astype(np.float32) for name, values in extras.items()}
    return jets.event[pairs[:, 0]], {
        "particles": in_slots(particle_rows(momenta[held.index], mass[held.index])),
        "particle_extras": {name: in_slots(values[held.index]) for name, values in columns.items()},
        "features": dijet_features(extras),
        "feature_names": tuple(FEATURES),
        "feature_units": tuple(FEATURES.values()),
        "extras": extras,
    }


def _subjettiness(held: Constituents, jets: int, momenta: np.ndarray) -> np.ndarray:
    """τ1, τ2, τ3 [GeV] = Σ_k pT_k min_a ΔR_ak of all constituents, exclusive-kT axes, shape ``(jets / 2, 2, 3)``."""
    from qad.data.recluster import subjettiness  # compiled on first use

    count = np.bincount(held.row, minlength=jets)
    p4 = np.zeros((jets, int(count.max(initial=1)), 4))
    p4[held.row, held.place] = momenta[held.index]
    scalar_pt = np.hypot(p4[..., 0], p4[..., 1]).sum(1)
    return (subjettiness(p4, count, MOST_TAU, 1.0) * scalar_pt[:, None]).reshape(-1, 2, MOST_TAU)
