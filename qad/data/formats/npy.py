"""NumPy's own files as streams: the header read as text, rows without loading the rest, nothing ever executed."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from qad.errors import InputError

MAGIC = b"\x93NUMPY"
#: Space for a header whose number of rows is not known yet [bytes].
WIDTH = 128
_LONGEST = 4096
_HEADER = re.compile(r"\{\s*'descr':\s*'([<>|=]?[biuf]\d{1,2})',\s*'fortran_order':\s*(True|False),"
                     r"\s*'shape':\s*\(((?:\d{1,18},? ?){0,8})\),?\s*\}\s*")


@dataclass(frozen=True)
class Header:
    """An array as its header describes it; ``offset`` bytes into the file it begins."""

    dtype: np.dtype
    shape: tuple[int, ...]
    fortran: bool
    offset: int

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def row(self) -> int:
        """Bytes of one row."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize


def header(file: Any) -> Header:
    """The header at the start of ``file``. Raises :class:`InputError` unless it is an array of plain numbers.

    NumPy parses the header as Python; a regular expression does as well for numbers and takes nothing else.
    """
    start = file.read(8)
    if len(start) < 8 or not start.startswith(MAGIC) or start[6] not in (1, 2, 3):
        raise InputError("expected a NumPy array (.npy); the file does not begin as one")
    wide = 2 if start[6] == 1 else 4
    length = int.from_bytes(file.read(wide), "little")
    text = file.read(length) if length <= _LONGEST else b""
    found = _HEADER.fullmatch(text.decode("latin1"))
    if found is None:
        raise InputError("expected a NumPy array of numbers; its header says something else (objects and records are not read)")
    try:
        dtype = np.dtype(found[1])
    except TypeError:
        raise InputError(f"expected a NumPy array of numbers, got the dtype {found[1]}") from None
    shape = tuple(int(n) for n in re.findall(r"\d+", found[3]))
    return Header(dtype, shape, found[2] == "True", 8 + wide + length)


def rows(file: BinaryIO, head: Header, start: int, stop: int) -> np.ndarray:
    """Rows ``start:stop`` of the array described by ``head``, which fills ``file`` to its end."""
    count, inner = stop - start, head.shape[1:]
    if not head.fortran:
        file.seek(head.offset + start * head.row)
        return _array(file, head.dtype, count * math.prod(inner)).reshape(count, *inner)
    columns = []
    for k in range(math.prod(inner)):
        file.seek(head.offset + (k * head.shape[0] + start) * head.dtype.itemsize)
        columns.append(_array(file, head.dtype, count))
    return np.stack(columns, axis=1).reshape(count, *inner, order="F") if columns else np.zeros((count, *inner), head.dtype)


def _array(file: Any, dtype: np.dtype, count: int) -> np.ndarray:
    data = file.read(count * dtype.itemsize)
    if len(data) != count * dtype.itemsize:
        raise InputError(f"expected {count * dtype.itemsize:,} bytes more, got {len(data):,}; copy the file again")
    return np.frombuffer(data, dtype)


class Forward:
    """Rows of an array that can only be read forwards, as in a zip file; going back starts again.

    opened   gives the stream from its beginning
    """

    def __init__(self, opened: Any) -> None:
        self._opened = opened
        self._stream: Any = None
        self._restart()

    def _restart(self) -> None:
        self.close()
        self._stream = self._opened()
        self.head = header(self._stream)
        self._at = 0

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Rows ``start:stop``."""
        if start < self._at:
            self._restart()
        left = (start - self._at) * self.head.row
        while left:
            skipped = len(self._stream.read(min(left, 2**20)))
            if not skipped:
                raise InputError("the file is cut short; copy it again")
            left -= skipped
        inner = self.head.shape[1:]
        array = _array(self._stream, self.head.dtype, (stop - start) * math.prod(inner))
        self._at = stop
        return array.reshape(stop - start, *inner)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()


def header_bytes(dtype: Any, shape: tuple[int, ...]) -> bytes:
    """A header of :data:`WIDTH` bytes whatever the number of rows, to be written first and again when the rows are counted."""
    text = f"{{'descr': '{np.dtype(dtype).str}', 'fortran_order': False, 'shape': {shape!r}, }}"
    return MAGIC + b"\x01\x00" + (WIDTH - 10).to_bytes(2, "little") + text.ljust(WIDTH - 11).encode() + b"\n"
