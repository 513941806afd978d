"""Flat ROOT trees through uproot: numbers and lists of numbers, any slice of entries, nothing executed.

uproot turns the class descriptions (``TStreamerInfo``) that a ROOT file carries into Python source and runs it. For the classes
of a flat tree it has descriptions of its own, so those of the file are never looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np

from qad.data.formats.whole import affordable, reading, written
from qad.errors import InputError, require

#: Entries of a basket that we write: small enough for slices, large enough to be packed well.
BASKET = 4096
_OPTIONS = {"object_cache": None, "array_cache": None, "use_threads": False, "num_workers": 1}


class Tree:
    """A tree of an open file: ``n`` entries, the ``names`` of its branches, and slices of them as arrays."""

    def __init__(self, uproot: ModuleType, file: BinaryIO, path: Path, name: str) -> None:
        self.path, self._uproot = path, uproot
        self._file = uproot.reading.ReadOnlyFile(file, **_OPTIONS)
        self._file._streamers, self._file._streamer_rules = {}, []  # see above
        self._directory = self._file.root_directory
        key = self._directory.key(name)
        affordable(path, key.data_uncompressed_bytes)
        if key.fClassName not in ("TTree", "TNtuple"):
            raise InputError(f"'{name}' is a {key.fClassName}; expected a TTree")
        self._tree = key.get()
        self.n = int(self._tree.num_entries)
        affordable(path, self.n)
        self.names = {branch.name: branch for branch in self._tree.branches}

    def string(self, name: str) -> str:
        """The text of the TObjString called ``name``."""
        key = self._directory.key(name)
        affordable(self.path, key.data_uncompressed_bytes)
        if key.fClassName != "TObjString":
            raise InputError(f"'{name}' is a {key.fClassName}; expected a TObjString")
        return str(key.get())

    def _interpretation(self, name: str) -> Any:
        interpretation = self._uproot.interpretation
        if name not in self.names:
            raise InputError(f"the branch '{name}' is missing")
        branch = self.names[name]
        found = branch.interpretation
        inner = found.content if isinstance(found, interpretation.jagged.AsJagged) else found
        if not isinstance(inner, interpretation.numerical.AsDtype) or inner.to_dtype.base.kind not in "biuf":
            raise InputError(f"the branch '{name}' holds {branch.typename}; expected numbers or lists of numbers")
        if branch.num_entries != self.n:
            raise InputError(f"the branch '{name}' has {branch.num_entries:,} entries, its tree {self.n:,}")
        return found

    def _affordable(self, name: str, start: int, stop: int) -> None:
        branch, claimed = self.names[name], 0
        edges = np.asarray(branch.entry_offsets)
        if edges[0] != 0 or (np.diff(edges) < 0).any():
            raise InputError(f"the baskets of branch '{name}' are out of order: the file is damaged; copy it again")
        for k in range(int(np.searchsorted(edges, start, "right")) - 1, len(edges) - 1):
            if edges[k] >= stop:
                break
            claimed += branch.basket_uncompressed_bytes(k)
        affordable(self.path, claimed)

    def flat(self, names: Iterable[str], start: int, stop: int) -> dict[str, np.ndarray]:
        """Entries ``start:stop`` of branches with one number, or a fixed shape of numbers, an entry."""
        return {name: self._array(name, start, stop) for name in names}

    def lists(self, names: Iterable[str], start: int, stop: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Entries ``start:stop`` of branches of lists, which must be equally long: ``(counts, flat contents)``."""
        counts, contents, first = None, {}, ""
        for name in names:
            offsets, content = self._jagged(name, start, stop)
            mine = np.diff(offsets)
            if offsets[0] < 0 or (mine < 0).any() or offsets[-1] > len(content):
                raise InputError(f"the lists of branch '{name}' are damaged; copy the file again")
            if counts is not None and not np.array_equal(mine, counts):
                raise InputError(f"the lists of branches '{first}' and '{name}' differ in length")
            counts, first = mine, first or name
            contents[name] = content[offsets[0] : offsets[-1]]
        return np.zeros(stop - start, np.int64) if counts is None else counts, contents

    def _array(self, name: str, start: int, stop: int) -> np.ndarray:
        found = self._interpretation(name)
        if not isinstance(found, self._uproot.interpretation.numerical.AsDtype):
            raise InputError(f"the branch '{name}' holds lists; expected one number an entry")
        affordable(self.path, (stop - start) * found.to_dtype.itemsize)
        if start == stop:
            return np.zeros((0, *found.to_dtype.shape), found.to_dtype.base)
        self._affordable(name, start, stop)
        return np.asarray(self.names[name].array(entry_start=start, entry_stop=stop, library="np"))

    def _jagged(self, name: str, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        found = self._interpretation(name)
        if not isinstance(found, self._uproot.interpretation.jagged.AsJagged):
            raise InputError(f"the branch '{name}' holds one number an entry; expected lists")
        if start == stop:
            return np.zeros(1, np.int64), np.zeros(0, found.content.to_dtype)
        self._affordable(name, start, stop)
        layout = self.names[name].array(entry_start=start, entry_stop=stop, library="ak").layout
        return np.asarray(layout.offsets), np.asarray(layout.content.data)


@contextmanager
def tree(path: Path, name: str) -> Iterator[Tree]:
    """The tree called ``name`` in the file at ``path``. Raises :class:`InputError`."""
    uproot = require("uproot", "hep")
    require("awkward", "hep")
    with reading(path):
        file = open(path, "rb")
    with file:
        with reading(path):
            found = Tree(uproot, file, path, name)
        yield found


def branches(path: Path, name: str) -> set[str]:
    """Names of the branches of tree ``name``; none where there is no such tree, whatever the file holds."""
    try:
        with tree(path, name) as found:
            return set(found.names)
    except InputError:
        return set()


def jagged(counts: np.ndarray, contents: Mapping[str, np.ndarray], record: str | None = None) -> Any:
    """An Awkward array of lists of records with ``contents`` as fields."""
    ak = require("awkward", "hep")
    offsets = ak.index.Index64(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
    fields = [ak.contents.NumpyArray(np.ascontiguousarray(a)) for a in contents.values()]
    records = ak.contents.RecordArray(fields, list(contents), length=int(np.sum(counts)),
                                      parameters={"__record__": record} if record else None)
    return ak.Array(ak.contents.ListOffsetArray(offsets, records))


@contextmanager
def new_file(path: Path) -> Iterator[Any]:
    """A ROOT file to write to, under its name only when it is whole."""
    uproot = require("uproot", "hep")
    require("awkward", "hep")
    with written(path) as tmp, open(tmp, "w+b") as raw, uproot.recreate(raw) as file:
        yield file


def extend(file: Any, name: str, columns: Mapping[str, Any]) -> None:
    """Entries added to tree ``name``, which the first ones make; ``columns`` are arrays ``(n, …)`` or :func:`jagged` ones."""
    ak = require("awkward", "hep")
    if name not in file:
        types = {k: ak.type(v).content if isinstance(v, ak.Array) else np.dtype((v.dtype, v.shape[1:]))
                 for k, v in columns.items()}
        file.mktree(name, types)
    n = len(next(iter(columns.values())))
    for start in range(0, n, BASKET):
        part = {k: v[start : start + BASKET] for k, v in columns.items()}
        file[name].extend({k: ak.to_packed(v) if isinstance(v, ak.Array) else v for k, v in part.items()})
