"""Learned embeddings of a study: what they learned from and cost, how that turned out, and what they see.

A run notes the steps of its representation that were learned; the study keeps each in ``_learned/`` with a portrait. Anything
may be missing or null.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qad.benchmark.learned import FOLDER
from qad.benchmark.runs import Run
from qad.detector import LABELLED
from qad.errors import InputError
from qad.persistence import load_notes
from qad.report.convergence import Curve, number, with_sd
from qad.report.tables import Summary

#: Augmentations that turn a jet about its axis, or an event about the beam.
TURNS = {"rotate", "azimuth"}
HEADS = ("representation", "step", "learned from", "trainings", "seconds", "parameters")
FIGURES = ("alignment", "uniformity", "loss")


@dataclass(frozen=True)
class Turned:
    """s(z, z') of ``events`` events with themselves turned by ``angles`` [rad]: mean and s.d. for each angle.

    ``other``: mean similarity with another event, NaN where it was not noted. Near 1, the embedding is blind, not invariant.
    """

    angles: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    events: int
    other: float = math.nan

    @property
    def overall(self) -> float:
        """Mean over the angles that turn anything; NaN without any."""
        turning = np.cos(self.angles) < 1 - 1e-9
        return float(self.mean[turning].mean()) if turning.any() else math.nan


@dataclass(frozen=True)
class Training:
    """One training of an embedding: what the runs ``noted`` of it, and what is ``kept`` in its model.json."""

    seed: int  # of the first run that stands on it
    noted: dict[str, Any]
    kept: dict[str, Any]

    @property
    def rotation(self) -> dict[str, Turned]:
        """By kind of events (two prongs, three prongs, events)."""
        portrait, found = _dict(self.kept, "portrait"), {}
        for kind, curve in _dict(portrait, "rotation").items():
            if isinstance(curve, dict):
                parts = (_list(portrait, "angles"), _list(curve, "mean"), _list(curve, "sd"))
                points = np.array([[number(v) for v in p] for p in zip(*parts, strict=False)]).reshape(-1, 3)
                points = points[np.isfinite(points).all(1)]
                if len(points) > 1:
                    n = number(curve.get("events"))
                    found[str(kind)] = Turned(*points.T, int(n) if math.isfinite(n) else 0, number(curve.get("other")))
        return found

    @property
    def neighbours(self) -> dict[str, np.ndarray]:
        """Process → ``(n, 2)`` places of its events in the plane."""
        found = {}
        for process, points in _dict(_dict(self.kept, "portrait"), "neighbours").items():
            pairs = [[number(v) for v in p] for p in points if isinstance(p, list) and len(p) == 2] \
                if isinstance(points, list) else []
            places = np.array(pairs).reshape(-1, 2)
            places = places[np.isfinite(places).all(1)]
            if len(places):
                found[str(process)] = places
        return found

    @property
    def curves(self) -> list[Curve]:
        """Loss per epoch, on what was trained on and on what was held back."""
        values = _values(self.kept)
        history = _dict(_dict(values, "diagnostics_"), "history") or _dict(values, "history_")
        kept, found = number(history.get("best_epoch")) + 1, []
        for whose, key in (("training", "train"), ("validation", "validation")):
            points = [(i, v) for i, x in enumerate(_list(history, key), 1) if math.isfinite(v := number(x))]
            if points:
                epochs, losses = zip(*points, strict=True)
                found.append(Curve(whose, self.seed, epochs, losses, int(kept) if kept in epochs else None))
        return found


@dataclass(frozen=True)
class Embedding:
    """One learned step, its trainings with other seeds, and the runs that stand on it."""

    title: str  # names of the representations that use it, and what tells it from others with these names
    step: str
    source: tuple[str, ...]  # samples that it learned from
    trainings: tuple[Training, ...]
    runs: tuple[Run, ...]

    @property
    def turns(self) -> bool:
        """Whether it was shown turned events in training."""
        steps = _list(_dict(self.trainings[0].kept, "key"), "steps")
        settings = steps[-1] if steps and isinstance(steps[-1], dict) else {}
        shown = _list(settings, "positives") if settings.get("epochs") != 0 else []  # one that stays untrained is shown nothing
        return any((p.get("use") if isinstance(p, dict) else p) in TURNS for p in shown)

    @property
    def rotation(self) -> dict[str, Turned]:
        """Of the first training with a portrait."""
        return next((r for t in self.trainings if (r := t.rotation)), {})

    @property
    def neighbours(self) -> dict[str, np.ndarray]:
        """Of the first training with a portrait."""
        return next((n for t in self.trainings if (n := t.neighbours)), {})

    @property
    def curves(self) -> list[Curve]:
        """Of all trainings."""
        return [c for t in self.trainings for c in t.curves]


def _dict(record: dict[str, Any], key: str) -> dict[str, Any]:
    found = record.get(key)
    return found if isinstance(found, dict) else {}


def _list(record: dict[str, Any], key: str) -> list[Any]:
    found = record.get(key)
    return found if isinstance(found, list) else []


def _values(kept: dict[str, Any]) -> dict[str, Any]:
    """Fitted values of a model.json of one step."""
    steps = _list(kept, "steps")
    return _dict(steps[0], "values") if steps and isinstance(steps[0], dict) else {}


def _kept(root: Path, folder: str) -> dict[str, Any]:
    try:
        return load_notes(root / FOLDER / Path(folder).name)
    except InputError:  # someone's own step may not be savable
        return {}


def embeddings(root: Path, runs: Iterable[Run]) -> list[Embedding]:
    """Every embedding on which the ``runs`` of the study in ``root`` stand, in the order of first appearance.

    The trainings of one representation on one background, a seed each, are one embedding; representations and backgrounds
    with the same trainings share it.
    """
    groups: dict[tuple[Any, ...], tuple[dict[str, tuple[int, dict]], list[Run]]] = {}
    for run in {id(r): r for r in runs}.values():
        events = _dict(run.record, "configuration").get("events")
        for place, noted in enumerate(_list(_dict(run.record, "representation"), "learned")):
            if isinstance(noted, dict) and isinstance(folder := noted.get("folder"), str):
                folders, users = groups.setdefault((run.representation, run.train, place, events), ({}, []))
                folders.setdefault(folder, (run.seed, noted))
                users.append(run)
    shared: dict[frozenset[str], list[tuple[Any, ...]]] = {}
    for key, (folders, _) in groups.items():
        shared.setdefault(frozenset(folders), []).append(key)
    found = []
    for keys in shared.values():
        folders = groups[keys[0]][0]
        trainings = tuple(Training(seed, noted, _kept(root, folder))
                          for folder, (seed, noted) in sorted(folders.items(), key=lambda f: f[1][0]))
        users = tuple({id(r): r for key in keys for r in groups[key][1]}.values())
        found.append((keys, Embedding(", ".join(dict.fromkeys(key[0] for key in keys)),
                                      str(trainings[0].noted.get("step", "unknown")), _source(trainings[0], keys, users),
                                      trainings, users)))
    return _told_apart(found)


def _source(training: Training, keys: Sequence[tuple[Any, ...]], runs: Sequence[Run]) -> tuple[str, ...]:
    known = _list(_dict(training.kept, "key"), "source") or _list(_dict(runs[0].record, "configuration"), "learns_from")
    return tuple(map(str, known)) or tuple(dict.fromkeys(key[1] for key in keys))


def _told_apart(found: Sequence[tuple[Sequence[tuple[Any, ...]], Embedding]]) -> list[Embedding]:
    """Embeddings with what tells them apart behind their names, where several have the same."""
    def differ(values: Sequence[Any]) -> bool:
        return len(set(values)) > 1

    told = []
    for keys, e in found:
        same = [(k, other) for k, other in found if other.title == e.title]
        parts = [e.title]
        if differ([other.step for _, other in same]):
            parts.append(e.step)
        if differ([other.source for _, other in same]):
            parts.append(f"from {' + '.join(e.source)}")
        if differ([k[0][3] for k, _ in same]):
            parts.append("all events" if keys[0][3] is None else f"{keys[0][3]} events")
        told.append(Embedding(", ".join(parts), e.step, e.source, e.trainings, e.runs))
    return told


def _highest(found: Embedding, summaries: Sequence[Summary], told: bool) -> str:
    """The detector with the highest AUC among those on it that were ``told`` labels, or were not."""
    on_it = [s for s in summaries if (s.kind in LABELLED) == told and any(s.rows[0].run is r for r in found.runs)]
    best = max(on_it, key=lambda s: s.mean["auc"], default=None)
    return "–" if best is None else f"{best.mean['auc']:.4f} {best.detector}"


def table_of(found: Sequence[Embedding], summaries: Sequence[Summary] = ()) -> tuple[list[str], list[list[str]]]:
    """Heads and a row per embedding: its cost, the best detector on it for each direction, and how it turned out.

    Mean ± s.d. over its trainings.
    """
    kinds = list(dict.fromkeys(kind for e in found for t in e.trainings for kind in t.rotation))
    mine = [s for s in summaries if any(s.rows[0].run is r for e in found for r in e.runs)]
    columns = [(pair, told) for told in (False, True) for pair in dict.fromkeys((s.train, s.signal) for s in mine)
               if any((s.train, s.signal) == pair and (s.kind in LABELLED) == told for s in mine)]
    heads = [*HEADS, *(f"AUC {a} → {b}" + (", told labels" if told else "") for (a, b), told in columns),
             *(head for kind in kinds for head in (f"s turned, {kind}", f"s other, {kind}")),
             *(head for figure in FIGURES for head in (figure, "untrained"))]
    table = []
    for e in found:
        def of(key: str, digits: int, trainings: Sequence[Training] = e.trainings) -> str:
            return with_sd([number(t.noted.get(key)) for t in trainings], digits)

        size = [n for t in e.trainings if math.isfinite(n := number(t.noted.get("parameters")))]
        turned = [[value(t.rotation[kind]) for t in e.trainings if kind in t.rotation]
                  for kind in kinds for value in (lambda r: r.overall, lambda r: r.other)]
        table.append([e.title, e.step, " + ".join(e.source), str(len(e.trainings)), of("seconds", 1),
                      f"{int(size[0]):,}" if size else "–",
                      *(_highest(e, [s for s in mine if (s.train, s.signal) == pair], told) for pair, told in columns),
                      *(with_sd(values, 4) for values in turned),
                      *(of(key, 3) for figure in FIGURES for key in (figure, f"{figure}_untrained"))])
    return heads, table
