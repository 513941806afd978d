"""New HDF5 files that appear only when they are whole, written chunk by chunk in constant memory."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np

from qad.errors import InputError, WriteError


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


class WholeFile:
    """A new HDF5 file that gets its name at the end, when all of it is on the disk; ``with`` it, or nothing stays.

    A subclass writes into ``file``, lets :meth:`check` look whether the disk still takes it, and says in :meth:`_finish` what
    belongs at the end. Raises :class:`WriteError`.
    """

    def __init__(self, path: str | Path, **settings: Any) -> None:
        self.path = Path(path)
        self._tmp = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex[:8]}.tmp")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._sink = Sink(self._tmp)
            self.file = h5py.File(self._sink, "w", **settings)
            self._sink.check()
        except OSError as error:
            raise WriteError(f"cannot write {path}: {_reason(error)}; choose a folder you can write to") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, value: Any, trace: Any) -> None:
        if kind is None:
            self.close()
        else:
            self._discard()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """What is written inside is checked at its end; the first failure ends the file and is told."""
        try:
            yield
            self._sink.check()
        except OSError as error:
            raise self._failed(error) from None

    def _finish(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Finish the file and give it its name."""
        try:
            self._finish()
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


class Writer(WholeFile):
    """Datasets of a public format, filled chunk by chunk in constant memory.

    >>> with Writer(Path("out.h5")) as out:          # doctest: +SKIP
    ...     out.append("Particles", rows)
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._lengths: dict[str, int] = {}

    def append(self, name: str, rows: np.ndarray, dtype: Any = None) -> None:
        """Add ``rows`` to the dataset ``name``, which is made at the first call, compressed, of type ``dtype``."""
        with self.writing():
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

    def describe(self, place: str, /, **attributes: Any) -> None:
        """Give the object at ``place`` (or the file, '/') attributes, text and bytes as PyTables writes them."""
        for key, value in attributes.items():
            if isinstance(value, str | bytes):
                kind = h5py.string_dtype("utf-8" if isinstance(value, str) else "ascii", max(len(value), 1))
                self.file[place].attrs.create(key, np.bytes_(value.encode() if isinstance(value, str) else value), dtype=kind)
            else:
                self.file[place].attrs[key] = value

    def _finish(self) -> None:
        if not len(self.file):
            raise InputError(f"cannot write {self.path}: no events were given")
        if len({*self._lengths.values()}) > 1:
            raise InputError(f"cannot write {self.path}: the chunks of one sample must all have the same columns")


def _reason(error: OSError) -> str:
    text = str(error)
    for sign, words in (("No space left", "no space left on the disk"), ("File too large", "the file size limit is reached"),
                        ("Permission denied", "permission denied"), ("Read-only", "the file system is read-only")):
        if sign in text:
            return words
    return error.strerror or text
