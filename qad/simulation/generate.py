"""Pythia 8: a card and a seed in, batches of events out, as Awkward arrays (no Python loop over particles)."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

import numpy as np

from qad.errors import InputError, require
from qad.simulation.cards import Card
from qad.simulation.veto import user_hook

#: Particles no detector sees: neutrinos, dark-matter stand-ins and everything of the hidden sector.
INVISIBLE = (12, 14, 16, 18, 51, 52, 53)
HIDDEN_SECTOR = range(4900001, 4910000)

SILENT = ("Print:quiet = on", "Next:numberCount = 0", "Beams:idA = 2212", "Beams:idB = 2212", "Random:setSeed = on")
LARGEST_SEED = 900_000_000


def chunk_seed(process: str, seed: int, chunk: int) -> int:
    """Pythia's seed for one chunk of events: independent of how many workers there are."""
    digest = hashlib.sha256(f"{process}/{seed}/{chunk}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % LARGEST_SEED + 1


@cache
def _particle_data() -> Any:
    pythia8mc = require("pythia8mc", "simulation")
    pythia = pythia8mc.Pythia("", False)
    for line in ("Print:quiet = on", "ProcessLevel:all = off"):
        pythia.readString(line)
    pythia.init()
    return pythia.particleData


def running_mass(quark: int, scale: float) -> float:
    """Running quark mass [GeV] at ``scale`` [GeV]."""
    return float(_particle_data().mRun(quark, scale))


class Generator:
    """A Pythia 8 instance for one card and seed. Raises :class:`InputError` for any command that Pythia refuses."""

    def __init__(self, card: Card, seed: int) -> None:
        pythia8mc = require("pythia8mc", "simulation")
        if not hasattr(pythia8mc.Pythia, "nextBatch"):
            raise InputError("this Pythia has no nextBatch; type  pip install 'pythia8mc>=8.317,<8.318'")
        self.card = card
        self.pythia = pythia8mc.Pythia("", False)
        for line in (*SILENT, f"Random:seed = {seed}", f"Beams:eCM = {card.sqrt_s}", *card.commands):
            if not self.pythia.readString(line, False):
                raise InputError(f"Pythia {pythia_version()} refuses the command '{line}' of process '{card.process}'")
        if "hook" in card.header:
            self.hook = user_hook(card.header["hook"])  # Pythia does not keep it alive
            self.pythia.addUserHooksPtr(self.hook)
        if not self.pythia.init():
            raise InputError(f"Pythia cannot start process '{card.process}' with options {dict(card.options)}")

    def events(self, n: int) -> Any:
        """The next ``n`` events: an Awkward array with the records ``prt`` (all particles) and ``info``."""
        batch = self.pythia.nextBatch(n)
        if len(batch) != n:  # Pythia gives up without an exception
            raise InputError(
                f"Pythia generated {len(batch)} of {n} events for process '{self.card.process}' with options "
                f"{dict(self.card.options)}; no event may be possible with these options"
            )
        return batch


@cache
def pythia_version() -> str:
    """Version of the installed Pythia."""
    from importlib.metadata import version

    return version("pythia8mc")


def is_visible(pdg_id: np.ndarray) -> np.ndarray:
    """Whether a final particle leaves energy in a detector (muons count)."""
    a = np.abs(pdg_id)
    return ~(np.isin(a, INVISIBLE) | ((a >= HIDDEN_SECTOR.start) & (a < HIDDEN_SECTOR.stop)))
