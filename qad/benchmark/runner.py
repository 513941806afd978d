"""Run a study: make its samples, train what is missing, keep raw scores.

Every detector of a seed sees the same training events, held-back events and test events. Representations learn from
background training events only, once, before any detector. Labels never reach ``fit``.
"""

from __future__ import annotations

import inspect
import json
import os
import platform
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline, make_pipeline

import qad
from qad import detector, registry, representations
from qad.benchmark.runs import SCHEMA_VERSION, digest, is_whole, write_run
from qad.benchmark.study import DetectorSpec, SampleSpec, Study
from qad.data.sample import Sample
from qad.data.slots import object_of
from qad.data.splits import hold_out, split, unlike
from qad.data.store import read
from qad.errors import DeadParameterWarning, DirectionWarning, InputError, NotConvergedWarning, WriteError
from qad.persistence import atomic_write
from qad.representations import Representation

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


def make_sample(spec: SampleSpec, name: str, data: Path, workers: int, reporter: Reporter) -> Path:
    """The file of a sample. A simulated one is made if it is not there; its name tells card, options and versions apart.

    A file that is not where ``file`` says is looked for in the folder ``data``. Raises :class:`InputError`.
    """
    if spec.file is not None:
        for path in (spec.file, data / spec.file):
            if path.exists():
                return path
        raise InputError(f"sample '{name}': expected the file {spec.file}; it is neither there nor in {data}: say where it is "
                         "with --data FOLDER")
    from qad.simulation import file_name, response_of, simulate

    what = (spec.simulate, spec.process, spec.n, spec.seed)
    settings = {"selection": spec.selection, "response": response_of(spec.response), **spec.options}
    path = data / file_name(*what, **settings)
    if not path.exists():
        simulate(*what, out=path, workers=workers, progress=reporter.simulating(name), **settings)
    return path


def cut(sample: Sample, cuts: Mapping[str, tuple[float | None, float | None]]) -> Sample:
    """The events with low <= feature < high for every ``{feature: (low, high)}``, None being no bound.

    Raises :class:`InputError` for a feature that the sample does not have.
    """
    kept = np.ones(len(sample), dtype=bool)
    for name, (low, high) in cuts.items():
        x = sample.feature(name)
        kept &= (x >= (-np.inf if low is None else low)) & (x < (np.inf if high is None else high))
    return sample[kept] if cuts else sample


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
    files = {n: make_sample(s, n, Path(data), workers or os.cpu_count() or 1, reporter) for n, s in study.samples.items()}
    parts: dict[str, dict[str, Sample]] = {}
    dropped: dict[str, int] = {}
    for name, file in files.items():
        spec = study.samples[name]
        sizes = {"train": spec.train or study.split.train, "test": spec.test or study.split.test}
        if name not in study.train:
            sizes["train"] = 0
        try:
            everything = read(file)
            if spec.weights == "refuse" and len(everything) and np.ptp(everything.weight) > 0:
                raise InputError("its events have weights, which a study does not use yet; to take them as they were "
                                 "simulated, say  weights: ignore")
            sample = cut(everything, spec.cuts)
            if spec.object is not None:
                sample = object_of(sample, spec.object)
            dropped[name] = len(everything) - len(sample)
            parts[name] = split(sample, sizes, study.split.seed)
        except InputError as error:
            raise InputError(f"sample '{name}' ({file}): {error}") from None
    fingerprints = {n: {k: s.fingerprint for k, s in p.items() if len(s)} for n, p in parts.items()}
    if not study.mixed:
        _check_alike(parts)
    _check_apart(parts)
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
        "samples": {n: {"file": str(files[n]), "fingerprints": fingerprints[n], "meta": dict(p["test"].meta),
                        "dropped": dropped[n]}
                    for n, p in parts.items()},
        "versions": versions(),
    }
    atomic_write(root / "study.json", json.dumps(notes, indent=1))
    reporter.planned(len(cells), len(missing))
    inputs = Inputs(study, parts)
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


def _check_alike(parts: dict[str, dict[str, Sample]]) -> None:
    """Detector, selection and energy must not tell the samples apart: a detector of anomalies would find only that."""
    (first, reference), *others = ((name, kinds["test"].meta) for name, kinds in parts.items())
    for name, meta in others:
        if said := unlike(reference, meta):
            raise InputError(f"samples '{first}' and '{name}' have different {said}: what tells them apart would be "
                             "that, not the physics; give both the same, or say  mixed: true  in the study")


def _check_apart(parts: dict[str, dict[str, Sample]]) -> None:
    """The same events under two names, or through two cuts of one file: by their contents, event by event."""
    def events(sample: Sample) -> set[int]:
        columns = [np.ascontiguousarray(a).reshape(len(sample), -1).view(np.uint8)
                   for a in (sample.particles, sample.features) if a.size]
        return {hash(row.tobytes()) for row in np.concatenate(columns, 1)} if columns else set()

    seen: list[tuple[str, str, set[int]]] = []
    for name, kinds in parts.items():
        for part in (k for k in ("train", "test") if len(kinds[k])):
            here = events(kinds[part])
            for other, kind, there in seen:
                # rounded features may coincide by chance
                if (shared := len(here & there)) > 0.01 * min(len(here), len(there)):
                    raise InputError(f"{shared} of the {part} events of sample '{name}' are {kind} events of sample '{other}'; "
                                     "they must differ: give other files, or cuts that exclude each other")
            seen.append((name, part, here))


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
        return study.train.index(cell.train), order[cell.representation], *few

    return sorted(cells, key=inputs), skipped


class Inputs:
    """Arrays for detectors. Steps learn from the training background only; what is stateless is computed once."""

    def __init__(self, study: Study, parts: dict[str, dict[str, Sample]]) -> None:
        self.study, self.parts = study, parts
        # cells come sorted by their inputs: few need to be kept
        self.arrays = lru_cache(maxsize=2)(self._arrays)
        self._stateless = lru_cache(maxsize=4 * len(parts))(self._first_step)

    def _first_step(self, representation: str, sample: str, part: str) -> np.ndarray:
        step = self.study.representations[representation].steps[0]
        return representations.get(step.use, **step.params).fit(None).transform(self.parts[sample][part])

    def chosen(self, train: str, events: int | None, seed: int) -> np.ndarray:
        """Indices of the training events that a detector may see: all of them, or ``events`` drawn by ``seed``."""
        n = len(self.parts[train]["train"])
        return np.arange(n) if events is None else np.sort(np.random.default_rng([seed, events]).permutation(n)[:events])

    def _arrays(self, representation: str, train: str, tabular: bool, events: int | None = None, seed: int = 0
                ) -> tuple[list[Representation], np.ndarray, dict[str, np.ndarray]]:
        chosen = self.chosen(train, events, seed)
        chain = self.study.representations[representation]
        first, *rest = (representations.get(s.use, **s.params) for s in (*chain.steps, *(chain.tabular if tabular else [])))
        tests = {n: p["test"] for n, p in self.parts.items()}
        if type(first)._fit is Representation._fit:  # nothing to learn: the same for every background
            first.fit(None)
            background = self._stateless(representation, train, "train")[chosen]
            arrays = {n: self._stateless(representation, n, "test") for n in tests}
        else:
            few = self.parts[train]["train"][chosen]
            background = first.fit(few).transform(few)
            arrays = {n: first.transform(s) for n, s in tests.items()}
        for step in rest:
            background = step.fit(background).transform(background)
            arrays = {n: step.transform(a) for n, a in arrays.items()}
        return [first, *rest], background, arrays


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
    steps, background, tests = inputs.arrays(cell.representation, cell.train, cls.takes == "tabular", *few)
    collisions = inputs.parts[cell.train]["train"].extras.get("event")
    collisions = None if collisions is None else collisions[inputs.chosen(cell.train, *few)]
    kept, held = hold_out(len(background), study.split.validation, cell.seed, collisions)
    start = time.perf_counter()
    with warnings.catch_warnings():
        for category in (DeadParameterWarning, DirectionWarning, NotConvergedWarning):  # stand in the record
            warnings.simplefilter("ignore", category)
        model.fit(background[kept], validation=background[held] if len(held) else None)
    fit_seconds = time.perf_counter() - start
    start = time.perf_counter()
    scores = {name: model.anomaly_score(array) for name, array in tests.items()}
    score_seconds = time.perf_counter() - start
    for name, score in scores.items():
        if not np.isfinite(score).all():
            raise InputError(f"{int((~np.isfinite(score)).sum())} of {len(score)} scores on '{name}' are not finite")
    record = {
        "study": study.name,
        "train": cell.train,
        "representation": {"name": cell.representation, **{k: cell.configuration[k] for k in ("steps", "tabular")}},
        "detector": {"name": cell.spec.label, "use": cell.spec.use, "kind": cls.kind, "family": cls.family,
                     "params": model.get_params(deep=False)},
        "seed": cell.seed,
        "n_train": len(kept),
        "n_validation": len(held),
        "fingerprints": fingerprints,
        "fit_seconds": fit_seconds,
        "events_per_second": sum(map(len, scores.values())) / max(score_seconds, 1e-9),
        "parameters": getattr(model, "parameters_", None),
        "effective_parameters": getattr(model, "effective_parameters_", None),
        "shots": getattr(model, "score_shots", None) or getattr(model, "shots", None),
        "device": "cpu",
        "dead": getattr(model, "dead_", None),
        "diagnostics": getattr(model, "diagnostics_", {}),
        "configuration": cell.configuration,
        "versions": versions(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return json.loads(json.dumps(record, default=_plain)), scores, make_pipeline(*steps, model)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return str(value)
