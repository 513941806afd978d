"""Read a batch of Pythia events as flat NumPy arrays: kinematics, ancestry, decay chains. Pure, arrays in and out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from qad.errors import require
from qad.simulation.generate import is_visible

HARD_OUTGOING = 23  # |status| of the decay products of a resonance, after initial-state recoil


@dataclass(frozen=True)
class Record:
    """Every particle of ``n`` events, one after another; event ``i`` owns ``start[i]:start[i + 1]``."""

    start: np.ndarray
    event: np.ndarray
    pdg_id: np.ndarray
    status: np.ndarray
    mother: np.ndarray  # flat index of the first mother, or of the particle itself where there is none
    p4: np.ndarray  # (particles, 4) px, py, pz, E [GeV]
    mass: np.ndarray

    @classmethod
    def of(cls, batch: Any) -> Record:
        """From what ``Generator.events`` gives."""
        ak = require("awkward", "simulation")
        counts = ak.to_numpy(ak.num(batch.prt, axis=1))
        flat = ak.flatten(batch.prt)
        start = np.concatenate([[0], np.cumsum(counts)])
        event = np.repeat(np.arange(len(counts)), counts)
        mother = ak.to_numpy(flat.mother1).astype(np.int64)
        return cls(
            start=start,
            event=event,
            pdg_id=ak.to_numpy(flat.id),
            status=ak.to_numpy(flat.status),
            mother=np.where(mother > 0, start[event] + mother, np.arange(len(event))),
            p4=np.column_stack([ak.to_numpy(flat.p[c]) for c in ("px", "py", "pz", "e")]),
            mass=ak.to_numpy(flat.m),
        )

    @property
    def final(self) -> np.ndarray:
        """Which particles leave the collision."""
        return self.status > 0

    @property
    def visible(self) -> np.ndarray:
        """Which particles a detector could see."""
        return self.final & is_visible(self.pdg_id)

    def ancestor(self, index: np.ndarray, pdg_id: int) -> np.ndarray:
        """Signed id (``±pdg_id``) of the nearest such ancestor of each particle in ``index``; 0 where there is none."""
        found = np.zeros(len(index), dtype=np.int64)
        at = index.copy()
        while True:
            up = self.mother[at]
            moved = (up != at) & (found == 0)
            if not moved.any():
                return found
            at = np.where(moved, up, at)
            found = np.where(moved & (np.abs(self.pdg_id[at]) == pdg_id), self.pdg_id[at], found)

    def decay_quarks(self, resonance: int) -> tuple[np.ndarray, np.ndarray]:
        """Flat indices of the quarks that ``resonance`` decays to, and the signed id of the one each comes from."""
        quarks = np.flatnonzero((np.abs(self.status) == HARD_OUTGOING) & (np.abs(self.pdg_id) <= 6))
        origin = self.ancestor(quarks, resonance)
        return quarks[origin != 0], origin[origin != 0]
