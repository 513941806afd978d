"""What a detector sees of the particles of a batch of events: all of them, towers, or energy-flow objects."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from qad.data.charges import charge_of
from qad.errors import InputError, did_you_mean
from qad.simulation.eflow import eflow
from qad.simulation.pileup import overlay
from qad.simulation.record import Record
from qad.simulation.resolutions import CARDS
from qad.simulation.seen import Seen
from qad.simulation.towers import towers

__all__ = ["MODES", "Response", "Seen", "particles_of", "respond"]

MODES = ("particle", "towers", "eflow")
MOST_PILE_UP = 1000
EVENTS_AT_ONCE = 500  # hard and pile-up events together: as many as the processor's caches like; bounds the memory too


@dataclass(frozen=True)
class Response:
    """Settings of the detector. Raises :class:`~qad.errors.InputError` for unknown names and impossible numbers.

    mode      ``particle``: every visible particle as it is; ``towers``: 0.1 × 0.1 calorimeter cells; ``eflow``: tracks and the
              neutral energy that they leave over
    card      whose resolutions, efficiencies and thresholds: ``atlas``, ``cms`` or ``cms-phase2``, after the Delphes cards
    pile_up   mean number of minimum-bias events laid over each (Poisson)
    pile_up_pool         how many different minimum-bias events there are to draw from
    charged_subtraction  drop the tracks of pile-up, as if all vertices were told apart (``eflow`` only)
    """

    mode: str = "particle"
    card: str = "cms"
    pile_up: float = 0.0
    pile_up_pool: int = 2000
    charged_subtraction: bool = False

    @property
    def changes(self) -> bool:
        """Whether anything else is seen than the visible particles of the event as they are."""
        return self.mode != "particle" or self.pile_up > 0

    def told(self) -> dict[str, Any]:
        """The settings that decide what is seen; without a detector its card does not."""
        return {k: v for k, v in asdict(self).items() if k != "card" or self.mode != "particle"}

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise InputError(did_you_mean(str(self.mode), MODES, "detector mode"))
        if self.card not in CARDS:
            raise InputError(did_you_mean(str(self.card), CARDS, "detector card"))
        number = isinstance(self.pile_up, (int, float)) and not isinstance(self.pile_up, bool)
        if not number or not 0 <= self.pile_up <= MOST_PILE_UP:
            raise InputError(f"pile_up is a mean number of events: expected 0 to {MOST_PILE_UP}, got {self.pile_up!r}")
        if not isinstance(self.charged_subtraction, bool):
            raise InputError(f"charged_subtraction: expected true or false, got {self.charged_subtraction!r}")
        if not isinstance(self.pile_up_pool, int) or isinstance(self.pile_up_pool, bool) or self.pile_up_pool < 1:
            raise InputError(f"pile_up_pool is a number of events: expected 1 or more, got {self.pile_up_pool!r}")
        if self.charged_subtraction and self.mode != "eflow":
            raise InputError(f"charged_subtraction needs tracks: expected mode='eflow', got mode='{self.mode}'")


def particles_of(record: Record) -> Seen:
    """Every visible particle as it is."""
    visible = np.flatnonzero(record.visible)
    pdg_id = record.pdg_id[visible]
    return Seen(len(record.start) - 1, record.event[visible], record.p4[visible], np.maximum(record.mass[visible], 0.0),
                pdg_id, charge_of(pdg_id), visible)


def respond(record: Record, response: Response, seed: int, sqrt_s: float = 13_000.0) -> Seen:
    """What the detector sees of ``record``; same seed, same bits. ``sqrt_s`` [GeV] is that of the pile-up events."""
    seen = particles_of(record)
    if not seen.n or not response.changes:
        return seen
    step = max(1, int(EVENTS_AT_ONCE / (1 + response.pile_up)))
    blocks = enumerate(range(0, seen.n, step))
    return Seen.one_after_another([_block(seen.events(first, min(first + step, seen.n)), response, (seed, block), sqrt_s)
                                   for block, first in blocks])


def _block(seen: Seen, response: Response, seed: tuple[int, int], sqrt_s: float) -> Seen:
    """Pile-up and detector, for the events of one block."""
    detector = CARDS[response.card]
    if response.pile_up:
        eta_max = math.inf if response.mode == "particle" else detector.eta_max
        seen = overlay(seen, response.pile_up, np.random.default_rng((*seed, 1)), sqrt_s, response.pile_up_pool, eta_max)
    if response.mode == "particle":
        return seen
    seen = seen.within(detector.eta_max)  # the field only bends outwards: the rest reaches no tower
    rng = np.random.default_rng((*seed, 2))
    if response.mode == "towers":
        return towers(seen, detector, rng)
    return eflow(seen, detector, rng, response.charged_subtraction)
