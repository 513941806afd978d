"""What every public format shares: recognise a file, open it, give any slice of its events as a Sample, write one.

A format is one file beside this one and an entry point in the group ``qad.formats``. No reader
executes what it reads: they go through h5py, ``np.load(allow_pickle=False)`` and uproot, and check shapes and dtypes before
they ask for memory.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from qad.data.sample import Sample
from qad.errors import InputError


@dataclass(frozen=True)
class Events:
    """The events of an open file: how many there are, and any slice of them as a Sample."""

    n: int
    read: Callable[[int, int], Sample]  # (start, stop) with 0 <= start <= stop <= n


class Format(ABC):
    """A public file layout.

    A subclass is named, says which files it takes (:meth:`recognises` looks at names and shapes, never at events), opens one
    (:meth:`open`), and writes chunks of a Sample (:meth:`write`) so that the format's own readers take the file. Every failure
    is an :class:`~qad.errors.InputError` of one sentence, whatever the file holds.
    """

    name: ClassVar[str]  # as in `qad data import NAME FILE`
    title: ClassVar[str]
    reference: ClassVar[str]  # arXiv number, Zenodo record
    suffixes: ClassVar[tuple[str, ...]]
    extra: ClassVar[str | None] = None  # the optional packages that it needs

    @abstractmethod
    def recognises(self, path: Path) -> bool:
        """Whether the file at ``path`` (it exists, is not empty, and ends as it should) has this layout. Never raises."""

    @abstractmethod
    def open(self, path: Path) -> AbstractContextManager[Events]:
        """The events of ``path``, in constant memory. Raises :class:`InputError`."""

    @abstractmethod
    def write(self, path: Path, chunks: Iterable[Sample]) -> None:
        """Write ``chunks`` to ``path``. Raises :class:`InputError` if they lack what this format holds."""


def by_pt(particles: np.ndarray, *others: np.ndarray) -> tuple[np.ndarray, ...]:
    """``particles`` (n, p, 4) in descending pT, with the columns ``(n, p)`` that go with them in the same order."""
    order = np.argsort(-particles[..., 0], axis=1, kind="stable")
    return (np.take_along_axis(particles, order[..., None], axis=1), *(np.take_along_axis(o, order, axis=1) for o in others))


def chunks_of(events: Events, size: int) -> Iterator[Sample]:
    """All events, ``size`` at a time."""
    for start in range(0, events.n, size):
        yield events.read(start, min(start + size, events.n))


def lacks(name: str, what: str) -> InputError:
    """The error for a sample that format ``name`` cannot hold."""
    return InputError(f"this sample cannot be written as {name}: it lacks {what}")
