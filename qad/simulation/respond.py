"""What a detector sees of the particles of a batch of events: all of them, towers, or energy-flow objects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qad.simulation.record import Record


@dataclass(frozen=True)
class Response:
    """Settings of the detector.

    mode      ``particle``: every visible particle as it is; ``towers``: 0.1 × 0.1 calorimeter cells; ``eflow``: tracks and the
              neutral energy that they leave over
    card      whose resolutions, efficiencies and thresholds: ``atlas``, ``cms`` or ``cms-phase2``, after the Delphes cards
    pile_up   mean number of minimum-bias events laid over each (Poisson)
    """

    mode: str = "particle"
    card: str = "cms"
    pile_up: float = 0.0


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
        return -np.stack([np.bincount(self.event, self.p4[:, i], minlength=self.n) for i in (0, 1)], axis=1)

    def __getitem__(self, kept: np.ndarray) -> Seen:
        """The objects chosen by a mask or indices in ascending order; the events stay."""
        return Seen(self.n, self.event[kept], self.p4[kept], self.mass[kept], self.pdg_id[kept], self.charge[kept],
                    self.source[kept])


def respond(record: Record, response: Response, seed: int) -> Seen:
    """What the detector sees of ``record``; same seed, same bits."""
    visible = np.flatnonzero(record.visible)
    return Seen(len(record.start) - 1, record.event[visible], record.p4[visible], np.maximum(record.mass[visible], 0.0),
                record.pdg_id[visible], np.zeros(len(visible), np.int8), visible)
