"""Public file → ours, and back: chunk by chunk in constant memory, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from qad.data import formats
from qad.data.formats import Format, hdf5
from qad.data.sample import BACKGROUND, SIGNAL, UNKNOWN, Fingerprint, Sample
from qad.data.store import SampleWriter, format_of, iter_chunks
from qad.errors import InputError

CHUNK = 10_000
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Converted:
    """What was done: into which file, how many events, how long, and the fingerprint of the events."""

    out: Path
    format: str  # the public one
    events: int
    bytes: int
    seconds: float
    fingerprint: str  # of the sample: the one made by an import, the source of an export
    lost: tuple[str, ...] = ()  # columns of the sample that the public format has no place for


def import_file(format: str | None, file: str | Path | Sequence[str | Path], out: str | Path, *, process: str | None = None,
                label: int | None = None, labels: str | Path | None = None, chunk: int = CHUNK,
                progress: Progress | None = None, overwrite: bool = False) -> Converted:
    """The events of a public file, or of several one after another, as a sample of ours at ``out``.

    format    a name of :func:`qad.data.formats.names`; None recognises it
    process   name of the process, for events of which the file does not say it
    label     0 or 1, for events of which the file does not say it
    labels    text file with 0 or 1 in each line, an event a line (the key of a black box); fills unknown labels in the same way
    chunk     events in memory at a time
    progress  called with (events done, events in all, or None where that is not known)

    Files number their events from 0, each its own, and jets of one number are taken for one collision: from the second file on
    the extra ``event`` is counted on from the last maximum, as ``meta["imported"]["event_offsets"]`` tells.

    Raises :class:`InputError`: the file is damaged, ``labels`` has another length or contradicts the file, ``out`` exists.
    """
    files = [Path(f) for f in ([file] if isinstance(file, str | Path) else file)]
    out = Path(out)
    _check(files, out, chunk, overwrite)
    if label not in (None, BACKGROUND, SIGNAL):
        raise InputError(f"label: expected 0 (background) or 1 (signal), got {label!r}")
    if label is not None and labels is not None:
        raise InputError("expected label= or labels=, not both")
    begin = time.perf_counter()
    chosen = [formats.get(format) if format is not None else format_of(f) for f in files]
    names = sorted({c.name if c else "qad" for c in chosen})
    source: dict[str, Any] = {"format": ", ".join(names), "files": [f.name for f in files]}
    told = {"process": process, "label": label, "labels": Path(labels).name if labels is not None else None}
    source |= {k: v for k, v in told.items() if v is not None}
    total, done = _total(files, chosen) if progress is not None else None, 0
    key = _labels(Path(labels)) if labels is not None else None
    offsets, last = [], -1
    with SampleWriter(out) as writer:
        for path, layout in zip(files, chosen, strict=True):
            offsets.append(last + 1)
            for sample in iter_chunks(path, chunk, format=layout.name if layout else None):
                fill = label if key is None else _next(key, len(sample), Path(labels), done)  # type: ignore[arg-type]
                sample = _filled(sample, process, fill, done, source)
                if len(files) > 1 and "event" in sample.extras:
                    sample = _counted_on(sample, offsets[-1])
                    last = max(last, int(sample.extras["event"].max(initial=-1)))
                writer.append(sample)
                done += len(sample)
                if progress is not None:
                    progress(done, total)
        if last >= 0 and writer.meta is not None:
            writer.meta["imported"] = {**source, "event_offsets": offsets}
        if key is not None and (left := sum(1 for _ in key)):
            raise InputError(f"{labels} has {done + left:,} labels for {done:,} events; expected one a line for each")
    return Converted(out, source["format"], done, out.stat().st_size, time.perf_counter() - begin, _fingerprint(out))


def export_file(file: str | Path, format: str, out: str | Path, *, chunk: int = CHUNK, progress: Progress | None = None,
                overwrite: bool = False, drop_weights: bool = False) -> Converted:
    """The sample at ``file`` (ours, or any public one) as a file of the public ``format`` at ``out``.

    ``lost`` of the result names what the format has no place for; weights that differ are lost only with ``drop_weights``, for
    without them the events have other proportions.

    Raises :class:`InputError`: the sample lacks what the format holds, ``out`` exists; then nothing is left behind.
    """
    file, out = Path(file), Path(out)
    _check([file], out, chunk, overwrite)
    layout, source = formats.get(format), format_of(file)
    if not out.name.lower().endswith(layout.suffixes):
        raise InputError(f"{out.name}: a file of format {layout.name} ends in {' or '.join(layout.suffixes)}; "
                         f"type  -o {out.stem}{layout.suffixes[0]}")
    begin = time.perf_counter()
    total, done, hasher = _total([file], [source]) if progress is not None else None, 0, Fingerprint()
    first: Sample | None = None
    weighted = False

    def chunks() -> Iterator[Sample]:
        nonlocal done, first, weighted
        for sample in iter_chunks(file, chunk, format=source.name if source else None):
            hasher.update(sample)
            first = sample if first is None else first
            weighted |= len(sample) > 0 and bool(np.ptp(np.append(sample.weight, first.weight[:1])) > 0)
            yield sample
            done += len(sample)
            if progress is not None:
                progress(done, total)
        if not done:
            raise InputError(f"{file} holds no events: there is nothing to export")

    hidden = out.with_name(f".{uuid.uuid4().hex[:8]}.{out.name}")  # ends as the format expects
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        layout.write(hidden, chunks())
        lost = _lost(first, hidden, layout) if first is not None else ()
        if weighted and "weight" in lost and not drop_weights:
            raise InputError(f"{layout.name} has no place for weights, and these events have weights that differ: without them "
                             "their proportions are others; add --drop-weights (drop_weights=True) if that is meant")
        os.replace(hidden, out)
    except OSError as error:
        raise InputError(f"writing {out} failed: {error.strerror or error}; nothing that stood there before was "
                         "touched") from None
    finally:
        hidden.unlink(missing_ok=True)
    return Converted(out, layout.name, done, out.stat().st_size, time.perf_counter() - begin, hasher.hexdigest(),
                     lost)


def _lost(first: Sample, path: Path, layout: Format) -> tuple[str, ...]:
    """What of the ``first`` events written does not come back when the file is read."""
    with layout.open(path) as events:
        back = events.read(0, min(len(first), events.n))
    columns = {name: (getattr(first, name), getattr(back, name)) for name in ("label", "process", "weight")}
    gone = [name for name, (here, there) in columns.items() if len(here) != len(there) or (here != there).any()]
    if first.particles.shape[1] and not back.particles.shape[1]:
        gone.append("particles")
    for mine, theirs in ((first.feature_names, back.feature_names), (first.extras, back.extras),
                         (first.particle_extras, back.particle_extras)):
        gone += [name for name in mine if name not in theirs]
    return tuple(gone)


def _check(files: list[Path], out: Path, chunk: int, overwrite: bool) -> None:
    if not files:
        raise InputError("expected at least one file to convert")
    if chunk < 1:
        raise InputError(f"chunk: expected a number of events from 1, got {chunk}")
    for file in files:
        if out.exists() and file.exists() and out.samefile(file):
            raise InputError(f"{out} is the file to be read: choose another name for what is written")
    if out.is_dir():
        raise InputError(f"{out} is a folder; expected the name of a file to write")
    if out.exists() and not overwrite:
        raise InputError(f"{out} exists; choose another name or add --overwrite")


def _total(files: list[Path], chosen: list[formats.Format | None]) -> int | None:
    """How many events there are in all; None where it cannot be told: what is wrong is said when the events are read."""
    with contextlib.suppress(InputError, OSError, KeyError, AttributeError):
        total = 0
        for path, layout in zip(files, chosen, strict=True):
            if layout is None:
                with h5py.File(path, "r") as ours:
                    total += ours["particles"].shape[0]
            else:
                with layout.open(path) as events:
                    total += events.n
        return total
    return None


def _fingerprint(path: Path) -> str:
    with h5py.File(path, "r") as file:
        return str(hdf5.text(file, "fingerprint"))


def _labels(path: Path) -> Iterator[int]:
    """0 or 1 from each line of ``path``, one at a time."""
    try:
        with open(path, "rb") as file:
            number = 0
            while line := file.readline(64):  # no honest line is longer
                number += 1
                try:
                    value = float(line)
                except ValueError:
                    value = np.nan
                if value not in (0, 1):
                    shown = line[:20].decode(errors="replace").strip()
                    raise InputError(f"{path}, line {number}: expected 0 (background) or 1 (signal), got '{shown}'")
                yield int(value)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def _next(key: Iterator[int], n: int, path: Path, done: int) -> np.ndarray:
    labels = np.fromiter((v for _, v in zip(range(n), key, strict=False)), dtype=np.int8)
    if len(labels) < n:
        raise InputError(f"{path} has {done + len(labels):,} labels, too few for the events; expected one a line for each")
    return labels


def _counted_on(sample: Sample, offset: int) -> Sample:
    number = sample.extras["event"].astype(np.int64) + offset
    return replace(sample, extras={**sample.extras, "event": number})


def _filled(sample: Sample, process: str | None, label: int | np.ndarray | None, first: int, source: dict[str, Any]) -> Sample:
    """``sample`` with what it does not know filled in: never a word against the file."""
    given = sample.label if label is None else np.broadcast_to(label, sample.label.shape)
    wrong = (sample.label != UNKNOWN) & (sample.label != given)
    if isinstance(label, np.ndarray) and wrong.any():
        raise InputError(f"event {first + int(np.argmax(wrong))}: the file says label {sample.label[wrong][0]}, the labels say "
                         f"{given[wrong][0]}; is this the key of another file?")
    names = sample.process if process is None else np.where(sample.process == "unknown", process, sample.process)
    return Sample(sample.particles, sample.features, sample.feature_names, sample.feature_units,
                  np.where(sample.label == UNKNOWN, given, sample.label), names, sample.weight, sample.particle_extras,
                  sample.extras, {**sample.meta, "imported": source})
