"""Somebody else's HDF5, opened with care, and new files that appear only when they are whole.

Reading: only hard links inside the file are followed, one name at a time, so that cycles and other files are out of reach;
shapes, types and sizes are checked before anything is read; attributes are never decoded. Writing: see :class:`Writer`.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from qad.errors import InputError, WriteError, require

#: What h5py and NumPy raise over a damaged file.
TROUBLE = (OSError, KeyError, IndexError, TypeError, ValueError, RuntimeError, AttributeError, ArithmeticError, MemoryError)
#: No honest file is compressed a thousandfold, and none has chunks of a quarter of a gigabyte.
RATIO, CHUNK_BYTES = 1000, 2**28


@contextmanager
def damage(path: str | Path) -> Iterator[None]:
    """Whatever goes wrong inside with the file at ``path`` is one :class:`InputError` that names it."""
    try:
        yield
    except InputError as error:
        raise error if str(error).startswith(str(path)) else InputError(f"{path}: {error}") from None
    except TROUBLE as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path} is damaged: {text[:300]}; copy it again") from None


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """The HDF5 file at ``path``, for reading. Raises :class:`InputError`."""
    try:
        file = h5py.File(path, "r")
    except TROUBLE as error:
        text = " ".join(str(error).split())
        if "truncated" in text:
            raise InputError(f"{path} is cut short (truncated HDF5); copy it again") from None
        if "signature" in text:
            raise InputError(f"{path} is no HDF5 file; copy it again, or say its format with --format") from None
        raise InputError(f"{path} cannot be opened: {text[:300]}") from None
    try:
        yield file
    finally:
        with damage(path):
            file.close()


def looks(path: Path, test: Callable[[h5py.File], bool]) -> bool:
    """Whether ``path`` opens as HDF5 and passes ``test``; False on any trouble."""
    try:
        with opened(path) as file:
            return bool(test(file))
    except (InputError, *TROUBLE):
        return False


def names(group: h5py.Group, most: int = 1000) -> list[str]:
    """Names of the members of ``group``, at most ``most``."""
    return [name for name, _ in zip(group, range(most), strict=False)]


def find(file: h5py.File, name: str) -> h5py.Dataset | h5py.Group:
    """The object called ``name`` inside ``file``. Raises :class:`InputError` where it is missing or kept elsewhere."""
    node = file
    for part in name.split("/"):
        link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
        if not isinstance(link, h5py.HardLink):
            what = "it is missing" if link is None else "a link leads elsewhere, which is not followed"
            raise InputError(f"expected '{name}' in the file, but {what}")
        node = node[part]
    return node


def dataset(file: h5py.File, name: str, shape: tuple[int | None, ...] | None = None, kinds: str = "fiub") -> h5py.Dataset:
    """The dataset called ``name``: stored in this file, of a plain type, of that shape. Nothing is read.

    shape   lengths of the axes, None for any; left out, any shape with at least one axis
    kinds   NumPy's letters of the types allowed

    Raises :class:`InputError`.
    """
    found = find(file, name)
    if not isinstance(found, h5py.Dataset):
        raise InputError(f"expected '{name}' to be a dataset, got a group")
    if found.external or found.is_virtual:
        raise InputError(f"'{name}' keeps its events in another file, which is not read; ask for the file with its events")
    if found.dtype.kind not in kinds or found.dtype.hasobject:
        raise InputError(f"'{name}' has dtype {str(found.dtype)[:100]}, expected numbers")
    if found.chunks and int(np.prod(found.chunks, dtype=object)) * found.dtype.itemsize > CHUNK_BYTES:
        raise InputError(f"'{name}' comes in chunks {found.chunks} of more than {CHUNK_BYTES:,} bytes; the file is damaged")
    got = found.shape or ()
    if len(got) != (len(shape) if shape else max(len(got), 1)) or any(
            want not in (None, have) for want, have in zip(shape or got, got, strict=True)):
        wanted = ", ".join("n" if k is None else str(k) for k in shape or (None,))
        raise InputError(f"'{name}' has shape {got}, expected ({wanted})")
    return found


def ready(file: h5py.File, *datasets: h5py.Dataset) -> int:
    """Check before reading that ``datasets`` go together, can be decompressed and claim no more than their file can hold.

    Returns the number of events, their common length. Raises :class:`InputError`, and MissingExtra where a filter is missing.
    """
    lengths = {d.name.strip("/"): d.shape[0] for d in datasets}
    if len({*lengths.values()}) != 1:
        raise InputError(f"it is damaged: its columns have different lengths {lengths}; copy it again")
    size = os.path.getsize(file.filename)
    claimed = 0
    for d in datasets:
        plist = d.id.get_create_plist()
        for code, _, _, label in (plist.get_filter(i) for i in range(plist.get_nfilters())):
            if not h5py.h5z.filter_avail(code):
                require("hdf5plugin", "hep")
            if not h5py.h5z.filter_avail(code):
                raise InputError(f"'{d.name}' is compressed with {label.decode(errors='replace') or code}, which this "
                                 "installation of HDF5 lacks; write it anew with gzip (h5repack -f GZIP=1)")
        bytes_ = d.size * d.dtype.itemsize
        claimed += bytes_
        if not d.chunks and d.id.get_offset() is not None and d.id.get_offset() + bytes_ > size:
            raise InputError(f"it is cut short: '{d.name}' goes on past the end of the file; copy it again")
    if claimed > RATIO * size + 2**20:
        raise InputError(f"it is damaged: a file of {size:,} bytes claims {claimed:,} bytes of events; copy it again")
    return next(iter(lengths.values()))


class Sink:
    """A file for HDF5 to write to. HDF5 crashes where a write fails, so after the first failure all goes nowhere,
    HDF5 closes in peace, and ``error`` tells what happened."""

    def __init__(self, path: Path) -> None:
        self.raw = open(path, "w+b", buffering=0)
        self.error: OSError | None = None
        self.seek, self.tell = self.raw.seek, self.raw.tell
        self.read, self.readinto = self.raw.read, self.raw.readinto

    def _try(self, action: Callable[[], Any]) -> None:
        if self.error is None:
            try:
                action()
            except OSError as error:
                self.error = error

    def _write_all(self, data: memoryview) -> None:
        while data:
            data = data[self.raw.write(data) :]

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._try(lambda: self._write_all(view))
        return len(view)

    def truncate(self, size: int) -> int:
        self._try(lambda: self.raw.truncate(size))
        return size

    def flush(self) -> None:
        return

    def finish(self) -> None:
        """Everything onto the disk. Raises OSError with the first failure."""
        self._try(lambda: os.fsync(self.raw.fileno()))
        self.raw.close()
        self.check()

    def check(self) -> None:
        if self.error is not None:
            raise self.error


class Writer:
    """A new HDF5 file, filled chunk by chunk in constant memory; it appears under its name only when it is whole.

    >>> with Writer(Path("out.h5")) as out:          # doctest: +SKIP
    ...     out.append("Particles", rows)
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._lengths: dict[str, int] = {}
        self._tmp = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex[:8]}.tmp")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._sink = Sink(self._tmp)
            self.file = h5py.File(self._sink, "w")
            self._sink.check()
        except OSError as error:
            raise WriteError(f"cannot write {path}: {_reason(error)}; choose a folder you can write to") from None

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: Any, value: Any, trace: Any) -> None:
        if kind is None:
            self.close()
        else:
            self._discard()

    def append(self, name: str, rows: np.ndarray, dtype: Any = None) -> None:
        """Add ``rows`` to the dataset ``name``, which is made at the first call, compressed, of type ``dtype``."""
        try:
            if name not in self.file:
                inner, dtype = rows.shape[1:], np.dtype(dtype or rows.dtype)
                width = max(int(np.prod(inner)) * dtype.itemsize, 1)
                self.file.create_dataset(
                    name, shape=(0, *inner), maxshape=(None, *inner), dtype=dtype, track_times=False, shuffle=True,
                    chunks=(min(max(2**20 // width, 1), 8192), *inner), compression="gzip", compression_opts=1)
            data = self.file[name]
            start = len(data)
            data.resize(start + len(rows), axis=0)
            data[start:] = rows
            self._lengths[name] = len(data)
            self._sink.check()
        except OSError as error:
            raise self._failed(error) from None

    def describe(self, place: str, /, **attributes: Any) -> None:
        """Give the object at ``place`` (or the file, '/') attributes, text and bytes as PyTables writes them."""
        for key, value in attributes.items():
            if isinstance(value, str | bytes):
                kind = h5py.string_dtype("utf-8" if isinstance(value, str) else "ascii", max(len(value), 1))
                self.file[place].attrs.create(key, np.bytes_(value.encode() if isinstance(value, str) else value), dtype=kind)
            else:
                self.file[place].attrs[key] = value

    def close(self) -> None:
        """Finish the file and give it its name."""
        try:
            if not len(self.file):
                raise InputError(f"cannot write {self.path}: no events were given")
            if len({*self._lengths.values()}) > 1:
                raise InputError(f"cannot write {self.path}: the chunks of one sample must all have the same columns")
            self.file.close()
            self._sink.finish()
            os.replace(self._tmp, self.path)
        except OSError as error:
            raise self._failed(error) from None
        finally:
            self._discard()

    def _failed(self, error: OSError) -> WriteError:
        self._discard()
        error = self._sink.error or error  # the first failure is the reason of those that follow
        return WriteError(f"writing {self.path} failed: {_reason(error)}; nothing that stood there before was touched")

    def _discard(self) -> None:
        self.file.close()
        self._sink.raw.close()
        self._tmp.unlink(missing_ok=True)


def _reason(error: OSError) -> str:
    text = str(error)
    for sign, words in (("No space left", "no space left on the disk"), ("File too large", "the file size limit is reached"),
                        ("Permission denied", "permission denied"), ("Read-only", "the file system is read-only")):
        if sign in text:
            return words
    return error.strerror or text
