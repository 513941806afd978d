"""Whether trainings converged, from what their runs noted of them: a mark, a table over seeds, problems in words, curves.

An energy model judges its own training without labels and writes that into ``diagnostics``: ``converged``, ``problems``,
``energy_data`` (E₊), ``energy_model`` (E₋) and so on, and per epoch into ``history.notes``. Anything may be missing or null.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qad.benchmark.runs import Run

#: Panels of the picture of a training, and what is drawn in each: a note, and whose it is.
PANELS = {
    "energy": {"energy_data": "data", "energy_model": "model"},
    "E₋/E₊": {"energy_ratio": "model"},
    "Wasserstein distance": {"wasserstein": "model"},
    "acceptance": {"acceptance": "model"},
    "share at the bounds": {"at_bounds": "model"},
}
HEADS = ("detector", "representation", "kind", "converged", "E₋/E₊", "acceptance", "at bounds", "data at bounds",
         "W₁", "W₁/halves", "T", "epoch kept", "epochs")


@dataclass(frozen=True)
class Curve:
    """What one training noted in each epoch: ``whose`` it is (data, model, latent chain), epochs from 1 and values there."""

    whose: str
    seed: int
    epochs: tuple[int, ...]
    values: tuple[float, ...]
    kept: int | None  # the epoch whose weights were kept, if it has a value


@dataclass(frozen=True)
class Convergence:
    """One energy model on one representation and background: its runs, a seed each."""

    train: str
    representation: str
    detector: str
    kind: str
    runs: tuple[Run, ...]

    @property
    def name(self) -> str:
        """``detector (representation)``."""
        return f"{self.detector} ({self.representation})"

    @property
    def converged(self) -> str:
        """``3 of 5``."""
        return f"{sum(converged(r) is True for r in self.runs)} of {len(self.runs)}"

    @property
    def warm_up(self) -> int:
        """Epochs of the plain autoencoder at the beginning, the most of any seed."""
        known = [number(notes_of(r).get("warm_up")) for r in self.runs]
        return int(max((n for n in known if math.isfinite(n)), default=0))

    def reference(self, panel: str) -> float:
        """What the data themselves give in a panel, mean over the seeds; NaN if unknown."""
        if panel == "E₋/E₊":
            return 1.0
        key = {"Wasserstein distance": "wasserstein_fresh", "share at the bounds": "at_bounds_data"}.get(panel)
        known = [v for r in self.runs if math.isfinite(v := _measured(r).get(key, math.nan))]
        return sum(known) / len(known) if known else math.nan


def notes_of(run: Run) -> dict[str, Any]:
    """What a model noted of itself; empty where it notes nothing."""
    return _folder(run.record, "diagnostics")


def _folder(record: dict[str, Any], key: str) -> dict[str, Any]:
    found = record.get(key)
    return found if isinstance(found, dict) else {}


def number(value: Any) -> float:
    """A number of a record; NaN for null and for anything else."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def converged(run: Run) -> bool | None:
    """What a model says of its own training; None where it says nothing."""
    said = notes_of(run).get("converged")
    return said if isinstance(said, bool) else None


def mark(runs: Iterable[Run]) -> str:
    """``not converged: 2 of 5 seeds`` for the runs of one detector, with the background if there are several; else empty."""
    said: dict[str, list[bool]] = {}
    for run in {id(r): r for r in runs}.values():
        if (known := converged(run)) is not None:
            said.setdefault(run.train, []).append(known)
    parts = []
    for train, known in said.items():
        if not all(known):
            seeds = f"{known.count(False)} of {len(known)} seed{'s' * (len(known) > 1)}"
            parts.append(seeds + (f" on {train}" if len(said) > 1 else ""))
    return f"not converged: {', '.join(parts)}" if parts else ""


def energy_models(runs: Iterable[Run]) -> list[Convergence]:
    """A row per energy model, representation and background, in the order of first appearance."""
    groups: dict[tuple[str, str, str, str], list[Run]] = {}
    for run in {id(r): r for r in runs}.values():
        if converged(run) is not None and "energy_data" in notes_of(run):  # a mixture converges too, and has no energy
            groups.setdefault((run.train, run.representation, run.detector, run.kind), []).append(run)
    return [Convergence(*key, tuple(found)) for key, found in groups.items()]


def _words(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if abs(value) < 1e4 else f"{value:.2e}"


def with_sd(values: Sequence[float], digits: int) -> str:
    """``0.93 ± 0.02`` of those that are numbers; without ± where it is one, – where there is none."""
    known = np.array([v for v in values if math.isfinite(v)])
    if not len(known):
        return "–"
    return _words(known.mean(), digits) + (f" ± {_words(known.std(ddof=1), digits)}" if len(known) > 1 else "")


def _measured(run: Run) -> dict[str, float]:
    """The numbers of one run that stand in the table; NaN where it has none."""
    d = notes_of(run)
    history = _folder(d, "history")
    found = {k: number(d.get(k)) for k in ("energy_ratio", "acceptance", "at_bounds", "at_bounds_data", "wasserstein",
                                           "wasserstein_fresh", "temperature")}
    fresh = found["wasserstein_fresh"]
    found["over_halves"] = found["wasserstein"] / fresh if fresh > 0 else math.nan
    epochs = len(history.get("train") or ())
    return {**found, "kept": number(history.get("best_epoch")) + 1 if epochs else math.nan, "epochs": epochs or math.nan}


def table_of(found: Sequence[Convergence], train: str) -> list[list[str]]:
    """Rows under ``HEADS`` for one background: mean ± s.d. over the seeds that have a number."""
    digits = {"energy_ratio": 3, "acceptance": 3, "at_bounds": 3, "at_bounds_data": 3, "wasserstein": 3, "over_halves": 2,
              "temperature": 3, "kept": 0, "epochs": 0}
    table = []
    for c in found:
        if c.train == train:
            measured = [_measured(r) for r in c.runs]
            table.append([c.detector, c.representation, c.kind, c.converged,
                          *(with_sd([m[k] for m in measured], n) for k, n in digits.items())])
    return table


def problems_of(found: Convergence) -> list[tuple[str, str]]:
    """For the seeds that did not converge, ``("seeds 0, 2", "what is off; what else")``; the same problem is told once."""
    told: dict[str, list[int]] = {}
    for run in found.runs:
        if converged(run) is False:
            said = notes_of(run).get("problems")
            said = [str(p).rstrip(".") for p in said] if isinstance(said, list) else []
            told.setdefault("; ".join(said) or "the run does not say why", []).append(run.seed)
    return [(f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}", what) for what, seeds in told.items()]


def _ratio(model: Any, data: Any) -> float:
    model, data = number(model), number(data)
    return model / data if data else math.nan


def curves_of(found: Convergence) -> dict[str, list[Curve]]:
    """What to draw in each panel, epochs without a value left out; the loss where a model notes nothing else per epoch."""
    panels: dict[str, list[Curve]] = {}
    for run in found.runs:
        history = _folder(notes_of(run), "history")
        notes = _folder(history, "notes")
        energies = (notes.get(k) or () for k in ("energy_model", "energy_data"))
        notes = {**notes, "energy_ratio": [_ratio(*pair) for pair in zip(*energies, strict=False)]}
        drawn = [(title, key + latent, "latent chain" if latent else whose) for title, of in PANELS.items()
                 for key, whose in of.items() for latent in (("", "_latent") if whose == "model" else ("",))]
        if not any(notes.get(key) for _, key, _ in drawn):
            notes, drawn = history, [("loss", "train", "training"), ("loss", "validation", "validation")]
        kept = number(history.get("best_epoch")) + 1
        for title, key, whose in drawn:
            points = [(i, v) for i, x in enumerate(notes.get(key) or (), 1) if math.isfinite(v := number(x))]
            if points:
                epochs, values = zip(*points, strict=True)
                best = int(kept) if kept in epochs else None
                panels.setdefault(title, []).append(Curve(whose, run.seed, epochs, values, best))
    return {title: panels[title] for title in ("loss", *PANELS) if title in panels}
