"""The most anomalous test events of a study: which they are, by the stored scores, and what they look like.

The events are opened again from the samples that the study names, and must have the fingerprints that its runs noted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from qad.benchmark.events import test_events
from qad.benchmark.study import Study
from qad.data.kinematics import cartesian, invariant_mass, wrap
from qad.data.sample import Sample
from qad.errors import InputError
from qad.report.display import Item, objects_of, setting
from qad.report.tables import Summary

#: Events of background, and of signal, that are shown for each detector.
SHOWN = 4
#: Particles with less than this share of their jet's pT are not drawn: they would not be seen.
LEAST_SHARE = 0.002


@dataclass(frozen=True)
class Jet:
    """A jet about its axis: particles ``(k, 3)`` = share of pT, Δy, Δφ [rad]; and its pT, mass [GeV] and particles."""

    particles: np.ndarray
    radius: float | None  # None where the sample does not say
    pt: float
    mass: float
    number: int

    @property
    def words(self) -> str:
        """``pT 612 GeV, mass 183 GeV, 54 particles``."""
        return f"pT {self.pt:.0f} GeV, mass {self.mass:.0f} GeV, {self.number} particles"


@dataclass(frozen=True)
class Event:
    """An event of objects: an electron, jets, missing transverse momentum; turned so that the hardest has φ = −π/2."""

    items: tuple[Item, ...]

    @property
    def words(self) -> str:
        """``7 objects, sum of pT 612 GeV``."""
        seen = [i for i in self.items if i.group != "met"]
        return f"{len(seen)} object{'s' * (len(seen) != 1)}, sum of pT {sum(i.pt for i in seen):.0f} GeV"


@dataclass(frozen=True)
class Seen:
    """One event as a detector scored it: its rank in its process, and how many of the background's events score higher."""

    process: str
    index: int
    score: float
    rank: int
    higher: int


@dataclass(frozen=True)
class Gallery:
    """What one detector finds most anomalous in background and signal, first seed."""

    name: str
    seed: int
    background: tuple[Seen, ...]
    signal: tuple[Seen, ...]
    n_background: int


def choose(here: Sequence[Summary]) -> list[Summary]:
    """The best quantum and classical detector of one direction and its best control."""
    best = [max((s for s in here if s.kind == kind), key=lambda s: s.mean["auc"], default=None)
            for kind in ("quantum", "classical", "control")]
    return [s for s in best if s is not None]


def galleries(here: Sequence[Summary]) -> list[Gallery]:
    """What the best detectors of one direction find most anomalous, from the scores alone."""
    chosen = choose(here)
    sorted_ = {s.name: np.sort(s.rows[0].run.scores[s.train]) for s in chosen}

    def higher(s: Summary, score: float) -> int:
        return int(len(sorted_[s.name]) - np.searchsorted(sorted_[s.name], score, side="right"))

    def seen(s: Summary, process: str) -> tuple[Seen, ...]:
        run = s.rows[0].run
        scores, order = run.scores[process], np.argsort(-run.scores[process], kind="stable")
        event = run.collisions.get(process, np.arange(len(scores)))[order]
        ranked = scores[order]
        copied = np.concatenate([[False], (event[1:] == event[:-1]) & (ranked[1:] == ranked[:-1])])
        order = order[~copied][:SHOWN]  # an event that was drawn twice by its weight is shown once
        return tuple(Seen(process, int(i), float(scores[i]), rank, higher(s, scores[i])) for rank, i in enumerate(order, 1))

    return [Gallery(s.name, s.rows[0].run.seed, seen(s, s.train), seen(s, s.signal), len(sorted_[s.name])) for s in chosen]


class Events:
    """Test events of the study that ``record`` notes, opened when asked for; each process once.

    Files are looked for where the study had them, beside the folder ``root`` of its runs, and in the folder ``data``.
    ``memory`` keeps what was opened for whoever reports on the same runs again.
    """

    def __init__(self, record: Mapping[str, Any], root: Path, data: Path | None = None,
                 memory: dict[Any, Any] | None = None) -> None:
        self.record, self.root, self.data = record, root, data
        self._known: dict[str, Sample | str] = {}
        self._memory = {} if memory is None else memory

    def sample(self, process: str) -> Sample | str:
        """The test events of ``process``, or one sentence that says why they are not here."""
        if process not in self._known:
            try:
                self._known[process] = self._open(process)
            except (InputError, OSError, ValidationError, KeyError) as error:
                self._known[process] = f"The events are not drawn: {str(error).splitlines()[0].rstrip('.')}."
        return self._known[process]

    def _open(self, process: str) -> Sample:
        noted = self.record["samples"][process]
        paths = [self._found(name) for name in str(noted["file"]).split(", ")]
        wanted = noted["fingerprints"]["test"]
        key = ("events", wanted, *((str(p), p.stat().st_mtime_ns) for p in paths))
        if key not in self._memory:
            sample = test_events(Study(**self.record["study"]), process, paths)
            if sample.fingerprint != wanted:
                raise InputError(f"{', '.join(map(str, paths))} no longer holds the events that were scored (another "
                                 "fingerprint)")
            self._memory[key] = sample
        return self._memory[key]

    def _found(self, name: str) -> Path:
        places = [Path(name), self.root.parent.parent / name]
        if self.data is not None:
            places += [self.data / name, self.data / Path(name).name]
        for path in places:
            if path.is_file():
                return path
        raise InputError(f"{name} is not there; say where the samples are:  qad report {self.root} --data FOLDER")


def portrait(sample: Sample, index: int) -> Jet | Event | None:
    """What is drawn of one event; None where it holds no particles."""
    one = sample[index : index + 1]
    if not one.present.any():
        return None
    if "slots" in one.meta:
        items = objects_of(one, "").items
        hardest = max(items, key=lambda i: (i.group != "met", i.pt))
        return Event(tuple(replace(i, phi=float(wrap(i.phi - hardest.phi - np.pi / 2))) for i in items))
    from qad.representations.constituents import centred

    particles = one.particles.astype(np.float64)
    momentum = cartesian(particles).sum(1)
    share, dy, dphi = (x[0] for x in centred(particles))
    drawn = share >= LEAST_SHARE
    return Jet(np.stack([share, dy, dphi], 1)[drawn], setting(one, "radius"),
               float(np.hypot(*momentum[0, :2])), float(invariant_mass(momentum)[0]), int(one.present.sum()))
