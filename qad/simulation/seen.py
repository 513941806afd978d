"""The objects that a detector sees of a batch of events, flat, one event after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Seen:
    """Objects of ``n`` events, one after another in ``event`` order: particles, tracks or towers, whatever the mode."""

    n: int
    event: np.ndarray  # (k,) index of the event, ascending
    p4: np.ndarray  # (k, 4) px, py, pz, E [GeV]
    mass: np.ndarray  # (k,) [GeV]
    pdg_id: np.ndarray  # (k,) of the particle; a photon (22) or K0L (130) for neutral energy of ECAL or HCAL
    charge: np.ndarray  # (k,) in units of e
    source: np.ndarray  # (k,) flat index into the record of the particle that it is, or -1 for an energy deposit or pile-up

    @property
    def counts(self) -> np.ndarray:
        """How many objects each event has, ``(n,)``."""
        return np.bincount(self.event, minlength=self.n)

    @property
    def missing(self) -> np.ndarray:
        """Missing transverse momentum of each event, ``(n, 2)`` = px, py [GeV]: minus the sum of all that is seen."""
        return 0.0 - np.stack([np.bincount(self.event, self.p4[:, i], minlength=self.n) for i in (0, 1)], axis=1)

    def __getitem__(self, kept: np.ndarray) -> Seen:
        """The objects chosen by a mask or indices in ascending order; the events stay."""
        return Seen(self.n, self.event[kept], self.p4[kept], self.mass[kept], self.pdg_id[kept], self.charge[kept],
                    self.source[kept])

    def within(self, eta_max: float) -> Seen:
        """The objects with \\|η\\| < ``eta_max``."""
        return self[np.flatnonzero(np.abs(self.p4[:, 2]) < np.sinh(eta_max) * np.hypot(self.p4[:, 0], self.p4[:, 1]))]

    def events(self, first: int, last: int) -> Seen:
        """The events ``first`` to ``last`` (exclusive), numbered from zero."""
        begin, end = np.searchsorted(self.event, (first, last))
        part = self[slice(begin, end)]
        return Seen(last - first, part.event - first, part.p4, part.mass, part.pdg_id, part.charge, part.source)

    @classmethod
    def together(cls, n: int, parts: Sequence[Seen]) -> Seen:
        """The objects of all ``parts`` of the same ``n`` events, in event order and, inside an event, in that of the parts."""
        event = np.concatenate([p.event for p in parts])
        order = np.argsort(event, kind="stable")
        columns = ("p4", "mass", "pdg_id", "charge", "source")
        return cls(n, event[order], *(np.concatenate([getattr(p, c) for p in parts])[order] for c in columns))

    @classmethod
    def one_after_another(cls, parts: Sequence[Seen]) -> Seen:
        """The events of ``parts`` in a row: the inverse of cutting by :meth:`events`."""
        first = np.cumsum([0, *(p.n for p in parts)])
        event = np.concatenate([p.event + f for p, f in zip(parts, first[:-1], strict=True)])
        columns = ("p4", "mass", "pdg_id", "charge", "source")
        return cls(int(first[-1]), event, *(np.concatenate([getattr(p, c) for p in parts]) for c in columns))
