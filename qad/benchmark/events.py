"""The events of a study: simulated or read, cut, split, with their systematic twins; refused where that would not be fair."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from qad import detector
from qad.benchmark.runs import TWIN
from qad.benchmark.study import SampleSpec, Study
from qad.data import systematics
from qad.data.sample import Sample, concatenate
from qad.data.slots import object_of
from qad.data.splits import split, unlike
from qad.data.store import read
from qad.errors import InputError


def make_sample(spec: SampleSpec, name: str, data: Path, workers: int,
                simulating: Callable[[str], Callable[[int, int], None]]) -> list[Path]:
    """The files of a sample. A simulated one is made if it is not there; its name tells card, options and versions apart.

    A file that is not where ``file`` says is looked for in the folder ``data``. ``simulating(name)`` gives what is told the
    progress. Raises :class:`InputError`.
    """
    if spec.mix is not None:
        return [path for part in spec.mix for path in make_sample(part, f"{name}: {part.process or 'file'}", data, workers,
                                                                  simulating)]
    if spec.file is not None:
        return [_found(file, name, data) for file in (spec.file if isinstance(spec.file, list) else [spec.file])]
    from qad.simulation import file_name, response_of, simulate

    what: tuple[Any, ...] = (spec.simulate, spec.process, spec.n, spec.seed)
    settings: dict[str, Any] = {"selection": spec.selection, "response": response_of(spec.response), **spec.options}
    path = data / file_name(*what, **settings)
    if not path.exists():
        simulate(*what, out=path, workers=workers, progress=simulating(name), **settings)
    return [path]


def _found(file: Path, name: str, data: Path) -> Path:
    for path in (file, data / file):
        if path.exists():
            return path
    raise InputError(f"sample '{name}': expected the file {file}; it is neither there nor in {data}: say where it is "
                     "with --data FOLDER")


def column(sample: Sample, name: str) -> np.ndarray:
    """A feature, or a number that each event carries, ``(n,)``. Raises :class:`InputError` if there is neither."""
    extra = sample.extras.get(name)
    return extra if name not in sample.feature_names and extra is not None and extra.ndim == 1 else sample.feature(name)


def within(sample: Sample, cuts: Mapping[str, tuple[float | None, float | None]]) -> np.ndarray:
    """Which events have low <= x < high for every ``{column: (low, high)}``, None being no bound; bool ``(n,)``.

    Raises :class:`InputError` for a column that the sample does not have.
    """
    kept = np.ones(len(sample), dtype=bool)
    for name, (low, high) in cuts.items():
        x = column(sample, name)
        kept &= (x >= (-np.inf if low is None else low)) & (x < (np.inf if high is None else high))
    return kept


def cut(sample: Sample, cuts: Mapping[str, tuple[float | None, float | None]]) -> Sample:
    """The events of ``sample`` that are :func:`within` the ``cuts``."""
    return sample[within(sample, cuts)] if cuts else sample


def resampled(sample: Sample, seed: int) -> Sample:
    """As many events drawn with replacement, each in proportion to its weight; copies share a number in ``extras["event"]``.

    Splits keep copies together and the bootstrap draws them together, so errors are those of the weighted sample.
    """
    weight = sample.weight.astype(np.float64)
    if (weight < 0).any() or not weight.sum() > 0:
        raise InputError("its weights are not all positive: events cannot be drawn by them; say  weights: ignore")
    drawn = np.sort(np.random.default_rng([seed, 2]).choice(len(sample), len(sample), p=weight / weight.sum()))
    event = sample.extras.get("event", np.arange(len(sample)))
    return replace(sample[drawn], weight=np.ones(len(drawn)), extras={**sample[drawn].extras, "event": event[drawn]})


def copies(sample: Sample) -> float:
    """How many copies of an event the average event of a resampled sample has beside it, itself included: Σk²/Σk.

    n drawn events are worth n over this.
    """
    k = np.unique(sample.extras["event"], return_counts=True)[1]
    return float((k.astype(np.float64) ** 2).sum() / k.sum())


def parts_of(study: Study, files: Mapping[str, list[Path]]) -> tuple[dict[str, dict[str, Sample]], dict[str, int]]:
    """Each sample's ``train`` and ``test`` events and their twins (``test@jes-up``); how many of its events were left out.

    Raises :class:`InputError`, with the name of the sample.
    """
    parts: dict[str, dict[str, Sample]] = {}
    dropped: dict[str, int] = {}
    for name, paths in files.items():
        try:
            parts[name], dropped[name] = _parts(study, name, paths)
        except InputError as error:
            raise InputError(f"sample '{name}' ({', '.join(map(str, paths))}): {error}") from None
    if not study.mixed:
        _check_alike(parts)
    _check_apart(parts)
    for name in parts:
        _add_twins(study, name, parts[name])
    return parts, dropped


def test_events(study: Study, name: str, paths: list[Path]) -> Sample:
    """The test events of one sample, in the order of their scores. Raises :class:`InputError`."""
    return _parts(study, name, paths)[0]["test"]


def _parts(study: Study, name: str, paths: list[Path]) -> tuple[dict[str, Sample], int]:
    spec = study.samples[name]
    sizes = {"train": spec.train or study.split.train, "test": spec.test or study.split.test}
    if name not in study.train and name not in study.told:
        sizes["train"] = 0
    everything = read(paths[0]) if len(paths) == 1 else one_after_another([read(p) for p in paths])
    sample = cut(everything, spec.cuts)
    if spec.label is not None:
        sample = sample[sample.label == spec.label]
    if len(sample) and np.ptp(sample.weight) > 0:
        if spec.weights == "refuse":
            raise InputError("its events have weights; to take them as they were simulated, say  weights: ignore , to draw "
                             "them as often as they weigh  weights: resample")
        if spec.weights == "resample":
            sample = resampled(sample, study.split.seed)
    if spec.object is not None:
        sample = object_of(sample, spec.object)
    return split(sample, sizes, study.split.seed), len(everything) - len(sample)


def one_after_another(samples: list[Sample]) -> Sample:
    """Several files as one sample; collisions of two files never share a number."""
    start = 0
    for i, sample in enumerate(samples):
        if "event" in sample.extras and len(sample):
            event = sample.extras["event"] - sample.extras["event"].min() + start
            samples[i] = replace(sample, extras={**sample.extras, "event": event})
            start = int(event.max()) + 1
    return concatenate(samples)


def _add_twins(study: Study, name: str, parts: dict[str, Sample]) -> None:
    wanted = ["test"]
    if name in study.train and any(detector.find(spec.use).uses_twins for spec in study.detectors):
        wanted.append("train")
    for label, step in study.systematics.items():
        systematic = systematics.get(step.use, **step.params)
        for part in wanted:
            try:
                twins = systematic.twins(parts[part], study.split.seed)
            except InputError as error:
                raise InputError(f"sample '{name}': systematic '{label}': {error}") from None
            for direction in ("up",) if systematic.one_sided else ("up", "down"):
                parts[f"{part}{TWIN}{label}-{direction}"] = twins[direction]


def _check_alike(parts: Mapping[str, Mapping[str, Sample]]) -> None:
    """Detector, selection and energy must not tell the samples apart: a detector of anomalies would find only that."""
    (first, reference), *others = ((name, kinds["test"].meta) for name, kinds in parts.items())
    for name, meta in others:
        if said := unlike(reference, meta):
            raise InputError(f"samples '{first}' and '{name}' have different {said}: what tells them apart would be "
                             "that, not the physics; give both the same, or say  mixed: true  in the study")


def _check_apart(parts: Mapping[str, Mapping[str, Sample]]) -> None:
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
