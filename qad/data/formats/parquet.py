"""A Sample as a Parquet file of Awkward records, and back with every bit.

Field ``particles`` is a list of ``Momentum4D`` records (``pt``, ``eta``, ``phi``, ``mass`` and the particle extras), so that
``ak.from_parquet`` gives momenta of the package *vector*: ``array.particles.px``. Beside it stand ``label``, ``process``,
``weight``, ``feature_<name>``, ``extra_<name>``. The file's metadata keep names, units and provenance as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from qad.data.formats import columns, uproot_files
from qad.data.formats.base import Events, Format
from qad.data.formats.whole import affordable, reading, written
from qad.data.sample import PARTICLE_COLUMNS, Sample
from qad.errors import InputError, require

#: Events in a row group that we write: what a reader of a slice unpacks at a time.
GROUP = 4096
PLAN, ATTRIBUTES = "qad", b"AWKWARD_ATTRS"


class Parquet(Format):
    """Any Sample as Awkward's Parquet, ``.parquet``."""

    name = "parquet"
    title = "a sample of qad as Parquet of Momentum4D records"
    reference = "Awkward Array, arXiv:2001.06307"
    suffixes = (".parquet",)
    extra = "hep"

    def recognises(self, path: Path) -> bool:
        try:
            with _file(path) as file, reading(path):
                return bool(_plan(file))
        except InputError:
            return False

    @contextmanager
    def open(self, path: Path) -> Iterator[Events]:
        with _file(path) as file:
            with reading(path):
                plan = _plan(file)
                ends = np.cumsum([_rows(file, path, k) for k in range(file.metadata.num_row_groups)], dtype=np.int64)
                n = int(ends[-1]) if len(ends) else 0
                affordable(path, n * columns.row_bytes(plan))
                _check_names(file, plan)

            def read(start: int, stop: int) -> Sample:
                with reading(path):
                    first = int(np.searchsorted(ends, start, "right"))
                    last = int(np.searchsorted(ends, stop, "left")) + 1 if stop > start else first
                    offset = int(ends[first - 1]) if first else 0
                    table = file.read_row_groups(list(range(first, last)), use_threads=False)
                    if len(table) < stop - offset and stop > start:
                        raise InputError(f"expected {stop - offset:,} events, got {len(table):,}; copy the file again")
                    return _sample(table.slice(max(start - offset, 0), stop - start), plan)

            yield Events(n, read)

    def write(self, path: Path, chunks: Iterable[Sample]) -> None:
        """Every column of the sample. Raises :class:`InputError` for numbers of more than eight bytes."""
        ak = require("awkward", "hep")
        require("pyarrow", "hep")
        with written(path) as tmp:
            ak.to_parquet_row_groups(_groups(chunks, path), str(tmp), extensionarray=True,
                                     parquet_extra_options={"write_page_checksum": True})


@contextmanager
def _file(path: Path) -> Iterator[Any]:
    parquet = require("pyarrow.parquet", "hep")
    with reading(path):
        raw = open(path, "rb")
    with raw:
        with reading(path):
            size = path.stat().st_size
            # both are lengths that the library takes from the file before it has checked anything
            file = parquet.ParquetFile(raw, page_checksum_verification=True, thrift_string_size_limit=size + 1024,
                                       thrift_container_size_limit=size + 1024)
        with file:
            yield file


def _plan(file: Any) -> dict[str, Any]:
    attributes = json.loads((file.schema_arrow.metadata or {}).get(ATTRIBUTES, b"{}"))
    return columns.read_plan(attributes.get(PLAN) if isinstance(attributes, dict) else None)


def _rows(file: Any, path: Path, k: int) -> int:
    """Rows of group ``k``, if its sizes can be believed."""
    group = file.metadata.row_group(k)
    size, values = 0, 0
    for j in range(group.num_columns):
        column = group.column(j)
        if min(column.total_compressed_size, column.total_uncompressed_size, column.num_values, column.data_page_offset) < 0:
            raise InputError("its table of contents is damaged: a negative size; copy the file again")
        size += column.total_uncompressed_size
        values += column.num_values
    affordable(path, max(size, values, group.num_rows))
    if group.num_rows < 0:
        raise InputError("its table of contents is damaged: a negative number of events; copy the file again")
    return int(group.num_rows)


def _check_names(file: Any, plan: dict[str, Any]) -> None:
    wanted = {"label", "process", "weight", *(row[0] for row in plan["features"]),
              *(row[0] for row in plan["extras"] if 0 not in row[3]), *(["particles"] if plan["slots"] else [])}
    missing = sorted(wanted - set(file.schema_arrow.names))
    if missing:
        raise InputError(f"the column '{missing[0]}' is missing; copy the file again")


def _groups(chunks: Iterable[Sample], path: Path) -> Iterator[Any]:
    ak = require("awkward", "hep")
    plan, text = None, ""
    for chunk in chunks:
        if plan is None:
            plan = columns.plan(chunk)
            text = columns.plan_text(plan, chunk.meta)
        if columns.plan(chunk) != plan:
            raise InputError("chunks of one sample must have the same columns, types and shapes")
        for start in range(0, max(len(chunk), 1), GROUP):
            part = chunk[start : start + GROUP]
            counts, lists, flat = columns.taken_apart(part, plan)
            fields = {"particles": uproot_files.jagged(counts, lists, record="Momentum4D")} if plan["slots"] else {}
            fields["process"] = _strings(ak, part.process)
            fields |= {name: ak.from_numpy(np.ascontiguousarray(a), regulararray=True) for name, a in flat.items()}
            yield ak.zip(fields, depth_limit=1, attrs={PLAN: text})
    if plan is None:
        raise InputError(f"cannot write {path}: no events were given")


def _strings(ak: Any, process: np.ndarray) -> Any:
    letters = [p.encode() for p in process.tolist()]
    offsets = ak.index.Index64(np.concatenate([[0], np.cumsum([len(p) for p in letters])]).astype(np.int64))
    content = ak.contents.NumpyArray(np.frombuffer(b"".join(letters), np.uint8), parameters={"__array__": "char"})
    return ak.Array(ak.contents.ListOffsetArray(offsets, content, parameters={"__array__": "string"}))


def _numbers(array: Any, shape: tuple[int, ...] = ()) -> np.ndarray:
    """A column as an array ``(n, *shape)``; nulls are damage."""
    n = len(array)
    for _ in shape:
        if array.null_count or not hasattr(array, "flatten"):
            raise InputError("a column has empty places; copy the file again")
        array = array.flatten()
    if array.null_count or len(array) != n * int(np.prod(shape)):
        raise InputError("a column has empty places; copy the file again")
    values = array.to_numpy(zero_copy_only=False)
    if values.dtype.kind not in "biuf":
        raise InputError(f"expected numbers in a column, got {values.dtype}; copy the file again")
    return np.asarray(values.reshape(n, *shape))


def _sample(table: Any, plan: dict[str, Any]) -> Sample:
    def column(name: str) -> Any:
        joined = table.column(name).combine_chunks()
        return joined.chunk(0) if hasattr(joined, "num_chunks") else joined

    counts: np.ndarray = np.zeros(len(table), np.int64)
    lists: dict[str, np.ndarray] = {}
    if plan["slots"]:
        particles = column("particles")
        if particles.null_count:
            raise InputError("an event has no list of particles; copy the file again")
        counts = np.diff(np.asarray(particles.offsets).astype(np.int64))
        records = particles.flatten()
        if (counts < 0).any() or counts.sum() != len(records) or records.null_count:
            raise InputError("the lists of particles are damaged; copy the file again")
        fields = (*PARTICLE_COLUMNS, *(row[0] for row in plan["particle_extras"]))
        lists = {name: _numbers(records.field(name)) for name in fields}
    flat = {name: _numbers(column(name)) for name in ("label", "weight", *(row[0] for row in plan["features"]))}
    flat |= {row[0]: _numbers(column(row[0]), tuple(row[3])) for row in plan["extras"] if 0 not in row[3]}
    process = column("process").to_pylist()
    if not all(isinstance(p, str) for p in process):
        raise InputError("an event has a process without a name; copy the file again")
    return columns.put_together(plan, counts, lists, flat, np.array(process, dtype=np.str_))
