"""Samples on disk: one HDF5 file, readable in chunks, with a content fingerprint.

Layout (schema version 2)::

    particles (n, p, 4) f4      attrs: columns, units
    features  (n, f) f4         attrs: names, units
    label (n,) i1 · process (n,) i2, attrs: names · weight (n,) f4
    particle_extras/<name> (n, p) · extras/<name> (n, ...)
    attrs: format = "qad.sample", schema_version, fingerprint, meta (JSON)

Written under a temporary name and renamed, so a file that exists is whole. Identical samples give identical bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from qad.data import formats
from qad.data.formats import Format, hdf5
from qad.data.formats.hdf5_writer import WholeFile
from qad.data.sample import PARTICLE_COLUMNS, PARTICLE_UNITS, Fingerprint, Sample, arrays_of
from qad.errors import InputError

SCHEMA_VERSION = 2  # 2: attributes of text have a fixed length
CHUNK = 1024


class SampleWriter(WholeFile):
    """Write a sample chunk by chunk in constant memory; the file appears under its name only when it is whole.

    >>> with SampleWriter("qcd.h5", meta={"seed": 1}) as out:          # doctest: +SKIP
    ...     for chunk in chunks:
    ...         out.append(chunk)
    """

    def __init__(self, path: str | Path, meta: dict[str, Any] | None = None, compress: bool = True) -> None:
        super().__init__(path, libver="v110", track_order=False)
        self.packing = {"shuffle": True, "compression": "gzip", "compression_opts": 1} if compress else {}
        self.meta = meta
        self.n = 0
        self._hash = Fingerprint()
        self._processes: list[str] = []

    def append(self, sample: Sample) -> None:
        """Add the events of ``sample``; all chunks must have the same columns."""
        with self.writing():
            self._hash.update(sample)
            if self.meta is None:
                self.meta = dict(sample.meta)
            for name, array in arrays_of(sample):
                self._extend(name, self._codes(array) if name == "process" else array)
            if self.n == 0:
                self._say("particles", columns=json.dumps(PARTICLE_COLUMNS), units=json.dumps(PARTICLE_UNITS))
                self._say("features", names=json.dumps(sample.feature_names), units=json.dumps(sample.feature_units))
            self.n += len(sample)

    def _say(self, place: str, **text: str) -> None:
        """Attributes of fixed length: HDF5 does not survive damage to the heap of those of variable length."""
        for key, value in text.items():
            self.file[place].attrs[key] = np.bytes_(value.encode())

    def _codes(self, process: np.ndarray) -> np.ndarray:
        self._processes += [p for p in dict.fromkeys(process.tolist()) if p not in self._processes]
        return np.array([self._processes.index(p) for p in process.tolist()], dtype=np.int16)

    def _extend(self, name: str, array: np.ndarray) -> None:
        if name not in self.file:
            inner = array.shape[1:]
            self.file.create_dataset(
                name, shape=(0, *inner), maxshape=(None, *(s or None for s in inner)), dtype=array.dtype, track_times=False,
                chunks=(CHUNK, *(max(1, s) for s in inner)), **self.packing,
            )
        data = self.file[name]
        data.resize(self.n + len(array), axis=0)
        data[self.n :] = array

    def _finish(self) -> None:
        if self.n == 0 and "particles" not in self.file:
            raise InputError(f"cannot write {self.path}: no events were given")
        self._say("process", names=json.dumps(self._processes))
        meta = json.dumps(self.meta or {}, sort_keys=True, default=lambda value: value.tolist())
        self.file.attrs["schema_version"] = SCHEMA_VERSION
        self._say("/", format="qad.sample", fingerprint=self._hash.hexdigest(), meta=meta)


def write(sample: Sample, path: str | Path) -> None:
    """Save ``sample`` as HDF5 under ``path``."""
    with SampleWriter(path, meta=dict(sample.meta)) as out:
        out.append(sample)


def _there(path: Path) -> None:
    ours = path.suffix.lower() in ("", ".h5", ".hdf5")
    if not path.exists():
        raise InputError(f"{path} does not exist; " + (f"make one with  qad simulate jets --process qcd -o {path.name}" if ours
                                                       else "say where it is"))
    expected = "an HDF5 file that qad wrote, or one in a public format (`qad data formats` lists them)" if ours else \
        f"a {path.suffix} file of events"
    if path.is_dir():
        raise InputError(f"{path} is a folder; expected {expected}")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes); expected {expected}")


def format_of(path: str | Path) -> Format | None:
    """The public format of the file at ``path``; None for a file of ours, or one that is no known format."""
    path = Path(path)
    _there(path)
    return None if _is_ours(path) else formats.recognise(path)


def _is_ours(path: Path) -> bool:
    return hdf5.looks(path, lambda file: hdf5.text(file, "format") == "qad.sample")


@contextmanager
def _public(path: Path, format: str | None) -> Iterator[formats.Events | None]:
    """The events of a public file, or None for a file of ours."""
    if format is not None:
        _there(path)
    chosen = formats.get(format) if format is not None else format_of(path)
    if chosen is None:
        yield None
        return
    with chosen.open(path) as events:
        yield events


def _open(path: Path) -> h5py.File:
    _there(path)
    file = hdf5.open_file(path)
    with hdf5.damage(path):
        said = {key: hdf5.text(file, key) for key in ("format", "meta", "fingerprint")}
        version = int(file.attrs["schema_version"]) if "schema_version" in file.attrs else None
    if said["format"] != "qad.sample":
        file.close()
        raise InputError(f"{path} is HDF5, but neither a qad sample (attribute format = 'qad.sample' is missing) nor a public "
                         f"format that qad knows (`qad data formats`): {hdf5.OWN}")
    if said["meta"] is None or said["fingerprint"] is None:
        file.close()
        raise InputError(f"{path} is damaged: it says nothing of where its events come from (attributes meta, fingerprint)")
    if version != SCHEMA_VERSION:
        file.close()
        raise InputError(f"{path} has schema version {version}; this version reads {SCHEMA_VERSION}")
    return file


def _columns(file: h5py.File) -> dict[str, h5py.Dataset]:
    """The datasets of a sample, by name, checked before anything is read; links out of the file are not followed."""
    with hdf5.damage(file.filename):
        places = ["particles", "features", "label", "process", "weight"]
        for group in ("particle_extras", "extras"):
            if group in file:
                places += [f"{group}/{name}" for name in hdf5.names(hdf5.find(file, group))]
        found = {name: hdf5.dataset(file, name) for name in places}
        hdf5.ready(file, *found.values())
    return found


def _slice(file: h5py.File, columns: dict[str, h5py.Dataset], start: int, stop: int) -> Sample:
    try:
        data = {k: hdf5.rows(d, start, stop) for k, d in columns.items()}
        names = json.loads(hdf5.text(columns["process"], "names") or "")
        return Sample(
            particles=data["particles"],
            features=data["features"],
            feature_names=json.loads(hdf5.text(columns["features"], "names") or ""),
            feature_units=json.loads(hdf5.text(columns["features"], "units") or ""),
            label=data["label"],
            process=np.array(names, dtype=np.str_)[data["process"]] if len(data["process"]) else np.zeros(0, np.str_),
            weight=data["weight"],
            particle_extras={k.partition("/")[2]: v for k, v in data.items() if k.startswith("particle_extras/")},
            extras={k.partition("/")[2]: v for k, v in data.items() if k.startswith("extras/")},
            meta=json.loads(hdf5.text(file, "meta") or ""),
        )
    except InputError as error:
        raise InputError(f"{file.filename}: {error}") from None
    except (OSError, KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{file.filename} is damaged: {error}") from None


def read(path: str | Path, start: int = 0, stop: int | None = None, format: str | None = None) -> Sample:
    """Load events ``start:stop`` of the sample at ``path``; a whole file of ours is checked against its fingerprint.

    format   a public format (``qad data formats`` lists them); recognised by itself where it is left out

    Raises :class:`InputError`.
    """
    path = Path(path)
    with _public(path, format) as events:
        if events is not None:
            first, last, _ = slice(start, stop).indices(events.n)
            return events.read(first, max(first, last))
    with _open(path) as file:
        columns = _columns(file)
        n = columns["particles"].shape[0]
        first, last, _ = slice(start, stop).indices(n)
        sample = _slice(file, columns, first, max(first, last))
        if len(sample) == n and sample.fingerprint != hdf5.text(file, "fingerprint"):
            raise InputError(f"{path}: the events do not match their fingerprint; the file was changed or damaged")
    return sample


def count(path: str | Path) -> int:
    """How many events the sample at ``path`` holds, without reading them. Raises :class:`InputError`."""
    path = Path(path)
    with _public(path, None) as events:
        if events is not None:
            return events.n
    with _open(path) as file:
        return int(_columns(file)["particles"].shape[0])


def iter_chunks(path: str | Path, size: int = 10_000, format: str | None = None) -> Iterator[Sample]:
    """The sample at ``path``, ``size`` events at a time, in constant memory; ``format`` as in :func:`read`."""
    path = Path(path)
    with _public(path, format) as events:
        if events is not None:
            yield from formats.chunks_of(events, size)
            return
    with _open(path) as file:
        columns = _columns(file)
        for start in range(0, columns["particles"].shape[0], size):
            yield _slice(file, columns, start, min(start + size, columns["particles"].shape[0]))


def describe(path: str | Path) -> dict[str, Any]:
    """What ``qad data info`` prints: counts, columns with units, provenance, fingerprint, and whether it still holds.

    A public file carries no fingerprint to hold: ``intact`` is None, and ``fingerprint`` that of the events as they are read.
    """
    path = Path(path)
    hasher = Fingerprint()
    counts: dict[str, int] = {}
    labels: dict[int, int] = {}
    filled, n = 0, 0
    first: Sample | None = None
    public = format_of(path)
    for chunk in iter_chunks(path, format=public.name if public else None):
        hasher.update(chunk)
        n += len(chunk)
        for table, column in ((counts, chunk.process), (labels, chunk.label)):
            for key, count in zip(*np.unique(column, return_counts=True), strict=True):
                table[key.item()] = table.get(key.item(), 0) + int(count)
        filled += int(chunk.present.sum())
        first = first or chunk
    if public is None:
        with _open(path) as file:
            meta = dict(_slice(file, _columns(file), 0, 0).meta)
            recorded = str(hdf5.text(file, "fingerprint"))
            shapes = {k: (str(d.dtype), d.shape) for k, d in _columns(file).items()}
    else:
        first = first or read(path, 0, 0)
        meta, recorded = {"format": public.title, **first.meta}, hasher.hexdigest() if n else first.fingerprint
        shapes = {k: (str(a.dtype), (n, *a.shape[1:])) for k, a in arrays_of(first)}
    return {
        "file": str(path),
        "bytes": path.stat().st_size,
        "events": n,
        "process": counts,
        "label": labels,
        "particles_per_event": filled / n if n else 0.0,
        "particle_columns": dict(zip(PARTICLE_COLUMNS, PARTICLE_UNITS, strict=True)),
        "features": dict(zip(first.feature_names, first.feature_units, strict=True)) if first else {},
        "arrays": {k: f"{dtype} {shape}" for k, (dtype, shape) in shapes.items()},
        "meta": meta,
        "fingerprint": recorded,
        "intact": None if public is not None else (n == 0) or hasher.hexdigest() == recorded,
    }
