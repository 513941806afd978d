"""Run a study: make its samples, train what is missing, keep raw scores.

Every detector of a seed sees the same training events, held-back events and test events. Representations learn from
background training events only, once, before any detector. Labels reach ``fit`` only of detectors that a study tells them
(weakly and fully supervised), from training events; these are marked, hold back events of their own and are not judged.
"""

from __future__ import annotations

import inspect
import json
import os
import platform
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline, make_pipeline

import qad
from qad import detector, registry, representations
from qad.benchmark.events import copies, make_sample, parts_of
from qad.benchmark.inputs import Arrays, Inputs
from qad.benchmark.learned import Store
from qad.benchmark.runs import SCHEMA_VERSION, digest, is_whole, write_run
from qad.benchmark.study import DetectorSpec, Study
from qad.data.splits import hold_out
from qad.detector import LABELLED, Detector
from qad.errors import DeadParameterWarning, DirectionWarning, InputError, NotConvergedWarning, WriteError
from qad.persistence import atomic_write

PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "pennylane", "qiskit", "pythia8mc", "fastjet")


@dataclass(frozen=True)
class Cell:
    """One model to train."""

    train: str
    representation: str
    spec: DetectorSpec
    seed: int
    path: Path
    configuration: dict[str, Any]


class Reporter:
    """What the runner tells while it works; the command line draws it, a notebook may ignore it."""

    def simulating(self, name: str) -> Callable[[int, int], None]:
        """A sample is about to be made; the returned function is called with (done, wanted)."""
        return lambda done, total: None

    def learning(self, name: str) -> Callable[[int, int], None]:
        """A representation is about to be learned; the returned function is called with (epochs done, planned)."""
        return lambda done, total: None

    def planned(self, total: int, missing: int) -> None:
        """How many models the study has and how many of them are to be trained."""

    def finished(self, cell: Cell, seconds: float, failure: str | None) -> None:
        """A model is trained and scored, or failed."""


def versions() -> dict[str, str]:
    """Versions of everything that can change a score."""
    found = {"qad": qad.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def run_study(study: Study, runs: str | Path = "runs", data: str | Path = "data", *, workers: int | None = None,
              reporter: Reporter | None = None) -> Path:
    """Run what is missing of ``study`` and return the folder of its runs, ``runs/<study>``.

    data      folder for simulated samples, shared between studies, and for files that a study names
    workers   processes for the simulation (default: all cores)

    Started again after a kill it does the rest and nothing twice. A detector that fails is noted with its reason in
    ``study.json`` and tried again next time. Raises :class:`InputError`.
    """
    reporter = reporter or Reporter()
    root = Path(runs) / study.name
    try:
        root.mkdir(parents=True, exist_ok=True)
        Path(data).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {error.filename}: {error.strerror}; choose folders you can write to") from None
    cores = workers or os.cpu_count() or 1
    files = {n: make_sample(s, n, Path(data), cores, reporter.simulating) for n, s in study.samples.items()}
    parts, dropped = parts_of(study, files)
    fingerprints = {n: {k: s.fingerprint for k, s in p.items() if len(s)} for n, p in parts.items()}
    cells, skipped = plan(study, root, fingerprints)
    if not cells:
        reasons = "; ".join(f"{s['detector']} {s['reason']}" for s in skipped)
        raise InputError(f"study '{study.name}' has nothing to train: {reasons}")
    missing = [c for c in cells if not is_whole(c.path)]
    notes = {
        "study": json.loads(study.model_dump_json()),
        "cells": [str(c.path.relative_to(root)) for c in cells],
        "skipped": skipped,
        "failed": [],
        "samples": {n: {"file": ", ".join(map(str, files[n])), "fingerprints": fingerprints[n], "meta": dict(p["test"].meta),
                        "dropped": dropped[n]}
                    for n, p in parts.items()},
        "versions": versions(),
    }
    atomic_write(root / "study.json", json.dumps(notes, indent=1))
    reporter.planned(len(cells), len(missing))
    inputs = Inputs(study, parts, Store(root, reporter.learning))
    for cell in missing:
        start = time.perf_counter()
        failure = None
        try:
            record, scores, model = train_and_score(cell, inputs, fingerprints)
            collisions = {n: p["test"].extras["event"] for n, p in parts.items() if "event" in p["test"].extras}
            write_run(cell.path, record, scores, collisions, model)
        except WriteError:
            raise
        except InputError as error:
            failure = str(error)
        except (Exception, SystemExit) as error:  # a third party's detector may raise anything; the study goes on
            failure = f"{type(error).__name__}: {error}"
            atomic_write(root / "last-failure.txt", traceback.format_exc())
        if failure:
            notes["failed"].append({"cell": str(cell.path.relative_to(root)), "reason": failure})
            atomic_write(root / "study.json", json.dumps(notes, indent=1))
        reporter.finished(cell, time.perf_counter() - start, failure)
    return root


def plan(study: Study, root: Path, fingerprints: dict[str, dict[str, str]]) -> tuple[list[Cell], list[dict[str, str]]]:
    """Every model of the study, and the pairings left out with their reasons."""
    cells, skipped = [], []
    for spec, name, reason in study.pairings():
        if reason:
            skipped.append({"detector": spec.label, "representation": name, "reason": reason})
            continue
        chain = study.representations[name]
        steps = [type(representations.get(s.use, **s.params)) for s in (*chain.steps, *chain.tabular)]
        sources = [registry.source_digest(cls) for cls in (detector.find(spec.use), *steps)]
        for train in study.train:
            if chain.backgrounds and train not in chain.backgrounds:
                skipped.append({"detector": spec.label, "representation": name,
                                "reason": f"'{name}' is for {', '.join(chain.backgrounds)} as background, not for '{train}'"})
                continue
            if spec.told and spec.told.signals == [train]:
                skipped.append({"detector": spec.label, "representation": name,
                                "reason": f"is told '{train}' as signal, so that cannot be its background"})
                continue
            for seed in study.seeds:
                configuration = {
                    "samples": fingerprints,
                    "train": train,
                    "split": study.split.model_dump(),
                    "steps": [s.model_dump() for s in chain.steps],
                    "tabular": [s.model_dump() for s in chain.tabular],
                    "detector": spec.use,
                    "params": spec.params,
                    "source": sources,
                    **({} if spec.events is None else {"events": spec.events}),
                    **({} if spec.told is None else {"told": spec.told.model_dump()}),
                    **({} if spec.kind is None else {"kind": spec.kind}),
                    **({"seeded": True} if chain.seeded else {}),
                    **({} if chain.learns_from is None else {"learns_from": chain.learns_from}),
                    "seed": seed,
                    "qad": qad.__version__,
                    "schema_version": SCHEMA_VERSION,
                }
                path = root / train / name / spec.label / f"{seed}-{digest(configuration)}"
                cells.append(Cell(train, name, spec, seed, path, configuration))
    # cells that share inputs follow each other, so that a representation is computed once
    order = {n: i for i, n in enumerate(study.representations)}

    def inputs(cell: Cell) -> tuple[int, ...]:
        few = (0, 0) if cell.spec.events is None else (cell.spec.events, cell.seed)
        own = cell.seed if study.representations[cell.representation].seeded else 0
        return study.train.index(cell.train), order[cell.representation], own, *few

    return sorted(cells, key=inputs), skipped


def train_and_score(cell: Cell, inputs: Inputs, fingerprints: dict[str, dict[str, str]]
                    ) -> tuple[dict[str, Any], dict[str, np.ndarray], Pipeline]:
    """Train one model on background and score every test process: the run's record, its scores, the whole pipeline."""
    study = inputs.study
    cls = type(detector.get(cell.spec.use, **cell.spec.params))
    params = dict(cell.spec.params)
    if "random_state" in inspect.signature(cls).parameters and "random_state" not in params:
        params["random_state"] = cell.seed
    model = detector.get(cell.spec.use, **params)
    few = (cell.spec.events, 0 if cell.spec.events is None else cell.seed)
    own = cell.seed if study.representations[cell.representation].seeded else None
    arrays = inputs.arrays(cell.representation, cell.train, cls.takes == "tabular", *few, own)
    resumes = model.resumable and "checkpoint" not in params
    if resumes:  # a kill in the middle of a long training loses seconds, not hours
        cell.path.parent.mkdir(parents=True, exist_ok=True)
        model.checkpoint = str(cell.path.with_name(f".{cell.path.name}.checkpoint"))
    start = time.perf_counter()
    with warnings.catch_warnings():
        for category in (DeadParameterWarning, DirectionWarning, NotConvergedWarning):  # stand in the record
            warnings.simplefilter("ignore", category)
        n_train, n_held, told = _fit(model, cell, inputs, arrays, few)
    fit_seconds = max(time.perf_counter() - start, _seconds_of_epochs(model))  # a resumed training began before the kill
    if resumes:
        model.checkpoint = None
    start = time.perf_counter()
    scores = {name: model.anomaly_score(array) for name, array in arrays.tests.items()}
    score_seconds = time.perf_counter() - start
    for name, score in scores.items():
        if not np.isfinite(score).all():
            raise InputError(f"{int((~np.isfinite(score)).sum())} of {len(score)} scores on '{name}' are not finite")
    record = {
        "study": study.name,
        "train": cell.train,
        "representation": {"name": cell.representation, **{k: cell.configuration[k] for k in ("steps", "tabular")},
                           **({"learned": learned} if (learned := _learned(arrays.steps)) else {})},
        "detector": {"name": cell.spec.label, "use": cell.spec.use, "kind": cell.spec.kind or cls.kind, "family": cls.family,
                     "params": model.get_params(deep=False)},
        "seed": cell.seed,
        "n_train": n_train,
        "n_validation": n_held,
        "told": told,
        "copies": {n: copies(p["test"]) for n, p in inputs.parts.items() if study.samples[n].weights == "resample"},
        "fingerprints": fingerprints,
        "fit_seconds": fit_seconds,
        "events_per_second": sum(map(len, scores.values())) / max(score_seconds, 1e-9),
        "parameters": getattr(model, "parameters_", None),
        "effective_parameters": getattr(model, "effective_parameters_", None),
        "shots": getattr(model, "score_shots", None) or getattr(model, "shots", None),
        "device": getattr(model, "device_", "cpu"),
        "dead": getattr(model, "dead_", None),
        "diagnostics": getattr(model, "diagnostics_", {}),
        "configuration": cell.configuration,
        "versions": versions(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return json.loads(json.dumps(record, default=_plain)), scores, make_pipeline(*arrays.steps, model)


def _fit(model: Detector, cell: Cell, inputs: Inputs, arrays: Arrays, few: tuple[int | None, int]
         ) -> tuple[int, int, dict[str, Any] | None]:
    """Fit on the background, or on what a labelled detector is told: events trained on, held back, and what was told."""
    if model.kind in LABELLED:
        X, y = inputs.labelled(cell.train, cell.spec, cell.seed, arrays)
        model.fit(X, y)
        told = {} if cell.spec.told is None else cell.spec.told.model_dump()
        return len(X), 0, {**told, "y=0": int((y == 0).sum()), "y=1": int((y == 1).sum())}
    collisions = inputs.parts[cell.train]["train"].extras.get("event")
    collisions = None if collisions is None else collisions[inputs.chosen(cell.train, *few)]
    kept, held = hold_out(len(arrays.background), inputs.study.split.validation, cell.seed, collisions)
    twins = {name: array[kept] for name, array in arrays.twins(cell.train).items()}
    with_twins = {"twins": twins} if twins and model.uses_twins else {}
    model.fit(arrays.background[kept], validation=arrays.background[held] if len(held) else None, **with_twins)
    return len(kept), len(held), None


def _learned(steps: list[representations.Representation]) -> list[dict[str, Any]]:
    """Where the learned steps of a chain stand in the folder of runs, what they cost, and how well they learned."""
    return [{"step": type(step).__name__, "folder": step.folder_, "seconds": step.seconds_,
             "parameters": getattr(step, "parameters_", None), "told": step.told and getattr(step, "epochs", 1) > 0,
             **{k: v for k, v in getattr(step, "diagnostics_", {}).items() if k != "history"}}
            for step in steps if getattr(step, "folder_", None)]


def _seconds_of_epochs(model: Detector) -> float:
    """What all epochs of its training took, before and after a kill; 0 where nothing was trained in epochs."""
    history = getattr(model, "diagnostics_", {}).get("history")
    return float(sum(history.get("seconds", ()))) if isinstance(history, dict) else 0.0


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return str(value)
