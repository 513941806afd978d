"""Fit and score in one call: a representation chain and a detector on samples or files."""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline, make_pipeline

from qad import detector, persistence, representations
from qad.data.sample import Sample
from qad.data.splits import hold_out, unlike
from qad.data.store import count, iter_chunks
from qad.data.systematics import Systematic
from qad.errors import InputError
from qad.representations import Representation
from qad.representations.events import inputs

#: Scoring tells its progress after so many events.
TELL = 2000


def suited(takes: str, sample: Sample) -> list[Representation]:
    """The representation chain that suits a detector which ``takes`` this kind of array, for jets or for events."""
    if "slots" in sample.meta and not sample.feature_names:
        if takes not in ("tabular", "objects"):
            raise InputError(f"this detector takes {takes}, which is made of jets; the sample holds events with objects: "
                             "choose a detector that takes tabular or objects (see  qad detectors), or one jet of each event "
                             "(qad.data.slots.object_of)")
        objects = [representations.get("objects")]
        return objects if takes == "objects" else [*objects, representations.get("flatten"), representations.get("standardise")]
    if "slots" in sample.meta or sample.feature_names:
        if takes != "tabular":
            raise InputError(f"this detector takes {takes}; the sample holds events with features, a table: choose a detector "
                             "that takes tabular (see  qad detectors), or name a --representation")
        return [representations.get("event-features", columns=inputs(sample.feature_names)), representations.get("standardise")]
    if takes == "tabular":
        return [representations.get("substructure"), representations.get("standardise")]
    if takes == "particles":
        return [representations.get("constituents", n_particles=8)]
    if takes == "image":
        return [representations.get("images")]
    if takes == "graph":
        return [representations.get("particle-graph")]
    if takes == "objects":
        raise InputError("this detector takes objects, events in slots such as `qad simulate level1` makes; the sample holds "
                         "jets: choose a detector that takes image, graph, particles or tabular (see  qad detectors)")
    raise InputError(f"no default representation gives {takes}; name one with --representation")


def fit(name: str, sample: Sample, chain: Sequence[Representation] = (), validation: float = 0.1, seed: int = 0,
        progress: Callable[[int, int], None] | None = None, checkpoint: Path | None = None, signal: Sample | None = None,
        systematics: Mapping[str, Systematic] | None = None, **params: Any) -> Pipeline:
    """A fitted ``Pipeline`` of ``chain`` (default: what suits) and the detector ``name``.

    ``validation``: share of the sample held back for early stopping. The chain learns from all of the sample, the
    detector from the rest. ``progress`` is told epochs done and planned; ``checkpoint`` is where a detector that can leaves
    what it needs to go on after a kill. ``signal``: for one that is told labels, the events with y = 1, ``sample`` having
    y = 0. ``systematics``: for one that is trained on twins, the variations by name. Raises :class:`InputError`.
    """
    model = detector.get(name, **params)
    if (model.kind in detector.LABELLED) != (signal is not None):
        raise InputError(f"'{name}' is {model.kind}: " + (
            "it is told no labels; leave --signal (signal=) out" if signal is not None else
            "it is told labels; give events of signal (weak: the data) with --signal FILE (signal=)"))
    if len(sample) < 2:
        raise InputError(f"'{name}' cannot be fitted on {len(sample)} event{'s' * (len(sample) != 1)}; give a sample of "
                         "background with many")
    if systematics and not model.uses_twins:
        raise InputError(f"'{name}' makes no use of systematic twins; leave --systematic (systematics=) out")
    if signal is not None and (said := unlike(sample.meta, signal.meta)):
        raise InputError(f"background and signal have different {said}: that would tell them apart, not the physics")
    if progress is not None:
        model.progress = progress
    resumes = checkpoint is not None and model.resumable and model.checkpoint is None
    if resumes:
        model.checkpoint = str(checkpoint)
    steps = list(chain) or suited(model.takes, sample)
    array: Any = sample
    for i, step in enumerate(steps):
        array = _learn(step, array, checkpoint, i, progress).transform(array)
    gives = steps[-1].gives
    if model.takes not in ("tabular", gives):
        raise InputError(f"'{name}' takes {model.takes}; the last representation gives {gives}")
    if model.takes == "tabular" and np.ndim(array) != 2:
        steps.append(representations.get("flatten").fit(array))
        array = steps[-1].transform(array)
    if signal is not None:
        more = _through(steps, signal)
        model.fit(np.concatenate([array, more]), np.repeat([0, 1], [len(array), len(more)]))
    else:
        kept, held = hold_out(len(array), validation, seed, sample.extras.get("event"))
        twins = {f"{label}-{direction}": _through(steps, twin)[kept] for label, systematic in (systematics or {}).items()
                 for direction, twin in systematic.twins(sample, seed).items() if direction != "nominal"}
        model.fit(array[kept], validation=array[held] if len(held) else None, **({"twins": twins} if twins else {}))
    if resumes:
        model.checkpoint = None
    return make_pipeline(*steps, model)


def _learn(step: Representation, array: Any, checkpoint: Path | None, i: int, progress: Callable[[int, int], None] | None
           ) -> Representation:
    """``step`` fitted; one that takes long has a checkpoint of its own beside the detector's, and tells its epochs."""
    resumes = step.learned and checkpoint is not None and getattr(step, "checkpoint", "") is None
    if resumes:
        step.checkpoint = str(checkpoint.with_name(f"{checkpoint.name}.{i}"))
    if step.learned and progress is not None:
        step.progress = progress
    step.fit(array)
    if resumes:
        step.checkpoint = None
    vars(step).pop("progress", None)
    return step


def parts(model: Any) -> tuple[list[Representation], detector.Detector]:
    """The representations and the detector of what :func:`qad.load` gave. Raises :class:`InputError` if one is missing."""
    if not isinstance(model, Pipeline) or not isinstance(model[-1], detector.Detector):
        raise InputError("expected a model of representations and a detector, as `qad fit` writes it")
    return [step for _, step in model.steps[:-1]], model[-1]


def anomaly_score(model: Pipeline, sample: Sample) -> np.ndarray:
    """Anomaly score ``(n,)`` of every event of ``sample`` by a fitted pipeline, higher = more anomalous."""
    return model[-1].anomaly_score(represented(model, sample))


def represented(model: Pipeline, sample: Sample) -> np.ndarray:
    """What the detector of a fitted pipeline is given for ``sample``."""
    return _through([step for _, step in model.steps[:-1]], sample)


def _through(steps: Sequence[Representation], sample: Sample) -> np.ndarray:
    array: Any = sample
    for step in steps:
        array = step.transform(array)
    return array


def score(folder: Path, file: Path, out: Path, classes: dict[str, type] | None = None, backend: Any = None,
          shots: int | None = None, seed: int = 0,
          progress: Callable[[int, int], None] | None = None) -> tuple[np.ndarray, float]:
    """Score the sample in ``file`` with the model in ``folder``, in chunks; writes ``out`` (.csv or .npz).

    backend   a :class:`qad.quantum.backends.Backend` that measures the model's circuit with ``shots`` shots an event, drawn
              with ``seed``; a column ``error`` then holds the standard error from shots. None: the model's own exact score
    progress  told the events done and to do

    Returns the scores and the events per second. Raises :class:`InputError`.
    """
    if out.suffix not in (".csv", ".npz"):
        raise InputError(f"{out}: expected a name that ends in .csv or .npz")
    if folder.is_file():
        raise InputError(f"{folder} is a file; expected the folder of a model first, then the sample:  "
                         "qad score MODEL FILE -o scores.csv")
    try:  # before the work
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {out.parent}: {error.strerror}; choose a folder you can write to") from None
    if not os.access(out.parent, os.W_OK):
        raise InputError(f"cannot write to {out.parent}; choose a folder you can write to")
    model = persistence.load(folder, classes)
    if not isinstance(model, Pipeline):
        raise InputError(f"{folder} holds a detector without a representation; score arrays with its anomaly_score in Python")
    columns: dict[str, list[np.ndarray]] = {"score": []}
    instrument = None
    if backend is not None:
        from qad.quantum.measured import Instrument

        instrument = Instrument(model[-1], backend)
        columns["error"] = []
    total = count(file)
    progress = progress or (lambda done, total: None)
    start, done = time.perf_counter(), 0
    progress(0, total)
    for i, chunk in enumerate(iter_chunks(file)):
        for part in [chunk] if instrument is not None else (chunk[k : k + TELL] for k in range(0, len(chunk), TELL)):
            if instrument is None:
                found = (anomaly_score(model, part),)
            else:
                found = instrument.score(represented(model, part), shots, seed + 1_000_003 * i)
            for column, values in zip(columns.values(), found, strict=True):
                column.append(values)
            done += len(part)
            progress(done, total)
    if not columns["score"]:
        raise InputError(f"{file} holds no events")
    table = {name: np.concatenate(values) for name, values in columns.items()}
    speed = len(table["score"]) / (time.perf_counter() - start)
    write_scores(out, table)
    return table["score"], speed


def write_scores(out: Path, table: dict[str, np.ndarray]) -> None:
    """Columns ``score``, ``error``, … to a .csv or .npz, whole or not at all; a .csv begins with the number of the event."""
    try:
        if out.suffix == ".npz":
            buffer = io.BytesIO()
            np.savez_compressed(buffer, **table)
            persistence.atomic_write(out, buffer.getvalue())
        else:
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            table = table if "event" in table else {"event": np.arange(len(table["score"]))} | table
            rows = zip(*(map(repr, values.tolist()) for values in table.values()), strict=True)
            writer.writerows([list(table), *rows])
            persistence.atomic_write(out, text.getvalue())
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror}") from None
