"""Tables of text: where their lines begin, so that any slice is read alone, and the numbers in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from qad.errors import InputError


def first_line(path: Path, longest: int) -> str:
    """The first line of the file at ``path``, at most ``longest`` bytes of it, without its end.

    Raises :class:`InputError` if the file cannot be read, :class:`UnicodeDecodeError` if that is no text in UTF-8.
    """
    try:
        with open(path, "rb") as file:
            return file.readline(longest).decode("utf-8-sig").rstrip("\r\n")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


class Lines:
    """Where every ``stride``-th line after the first begins, found in one pass over the file.

    longest   bytes of the longest line that an honest file has; the first may have ``header`` of them
    open_end  whether the last line may lack its end, or be followed by empty ones

    Raises :class:`InputError` for a longer line.
    """

    def __init__(self, file: BinaryIO, path: Path, longest: int, header: int | None = None, stride: int = 1024,
                 open_end: bool = False) -> None:
        file.seek(0)
        self.file, self.longest, self.stride, self.n, at = file, longest, stride, 0, len(file.readline(header or longest))
        self.starts = [at]
        last = at
        while block := file.read(2**20):
            ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n")) + at + 1
            if max(np.diff(ends, prepend=last).max(initial=0), at + len(block) - ends.max(initial=last)) > longest:
                raise InputError(f"{path} is damaged: it has a line of more than {longest} bytes; copy it again")
            self.starts += ends[self.stride - 1 - self.n % self.stride :: self.stride].tolist()
            self.n += len(ends)
            at += len(block)
            last = int(ends[-1]) if len(ends) else last
        if open_end:
            file.seek(max(self.starts[0], at - longest))
            tail = file.read()
            content = tail.rstrip(b"\r\n")
            more = tail[len(content) :].count(b"\n")  # ends of the last line and of empty ones behind it
            self.n += (1 if content else 0) - more

    def read(self, start: int, stop: int, errors: str = "strict") -> list[str]:
        """Lines ``start:stop`` after the first, without their ends; ``errors`` as in :meth:`bytes.decode`."""
        self.file.seek(self.starts[start // self.stride])
        lines = []
        for k in range(start - start % self.stride, stop):
            line = self.file.readline(self.longest + 1)
            if k >= start:
                lines.append(line.decode(errors=errors).rstrip("\r\n"))
        return lines


def numbers(lines: list[str], width: int, quote: str | None = None,
            converters: Mapping[int, Callable[[str], float]] | None = None) -> np.ndarray:
    """The numbers between the commas, float64 ``(lines, width)``.

    converters   what makes a number of the text in a column, by its place; ``quote`` the mark around text

    Raises :class:`ValueError` for anything else: text, another number of columns, an empty line.
    """
    if not lines:
        return np.zeros((0, width))
    if not all(lines):
        raise ValueError("there is an empty one")
    columns: dict[int | str, Callable[[str], float]] = {place: f for place, f in (converters or {}).items()}
    table: np.ndarray = np.loadtxt(lines, delimiter=",", comments=None, quotechar=quote, converters=columns, ndmin=2)
    if table.shape != (len(lines), width):
        raise ValueError(f"{width} columns in the header, {table.shape[1]} in the lines")
    return table
