"""Somebody else's HDF5, opened with care.

Only hard links inside the file are followed, one name at a time, so that cycles and other files are out of reach. Shapes, types
and sizes are checked before anything is read, and what a compressed piece swells to before it is handed to HDF5, which would
give it all memory. Attributes are left alone, but for :func:`text`.
"""

from __future__ import annotations

import itertools
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from qad.errors import InputError, require

SIGNATURE = b"\x89HDF\r\n\x1a\n"
#: What to do with arrays of one's own.
OWN = ("particles of your own become a sample in Python, by  qad.data.from_momenta(ARRAY, columns=…).save('mine.h5')  as in "
       "docs/how-to/own-particles.md")
#: What h5py and NumPy raise over a damaged file.
TROUBLE = (OSError, KeyError, IndexError, TypeError, ValueError, RuntimeError, AttributeError, ArithmeticError, MemoryError)
#: No honest file is compressed a thousandfold, and none has chunks of a quarter of a gigabyte.
RATIO, CHUNK_BYTES = 1000, 2**28
#: Ways of packing that public files use, all of them bounded or checked here: gzip, shuffle, checksum, lzf, blosc, blosc2.
GZIP, FILTERS = 1, {1, 2, 3, 32000, 32001, 32026}


@contextmanager
def damage(path: str | Path) -> Iterator[None]:
    """Whatever goes wrong inside with the file at ``path`` is one :class:`InputError` that names it.

    NumPy is silent inside: what is not finite, the Sample refuses.
    """
    try:
        with np.errstate(all="ignore"):
            yield
    except InputError as error:
        raise error if str(error).startswith(str(path)) else InputError(f"{path}: {error}") from None
    except TROUBLE as error:
        text = " ".join(str(error).split()).strip("'\"") or type(error).__name__
        raise InputError(f"{path} is damaged: {text[:300]}; copy it again") from None


def open_file(path: Path) -> h5py.File:
    """The HDF5 file at ``path``, for reading. Raises :class:`InputError`."""
    if _names_a_driver(path):
        raise InputError(f"{path} is damaged: it names a driver of its own, which no ordinary HDF5 file does; copy it again")
    try:
        return h5py.File(path, "r")
    except TROUBLE as error:
        text = " ".join(str(error).split())
        if "truncated" in text:
            raise InputError(f"{path} is cut short (truncated HDF5); copy it again") from None
        if "signature" in text:
            raise InputError(f"{path} is no HDF5 file; `qad data formats` lists what is read: {OWN}") from None
        if "lock" in text:
            raise InputError(f"{path} is open for writing in another program (a notebook?); close it there, then try again") \
                from None
        raise InputError(f"{path} cannot be opened: {text[:300]}") from None


def _names_a_driver(path: Path) -> bool:
    """Whether the first header of ``path`` has a driver information block: HDF5 gives it whatever memory it claims."""
    with open(path, "rb") as file:
        size, at = file.seek(0, os.SEEK_END), 0
        while at < size:  # a header stands at 0, 512, 1024, 2048, …
            file.seek(at)
            start = file.read(64)
            if start.startswith(SIGNATURE) and len(start) == 64:  # a shorter one HDF5 refuses by itself
                width = start[13]
                place = {0: 24, 1: 28}.get(start[8], 0) + 3 * width
                return start[8] <= 1 and not (width in (4, 8) and start[place : place + width] == b"\xff" * width)
            at = max(2 * at, 512)
    return False


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """The HDF5 file at ``path``, for reading, closed at the end. Raises :class:`InputError`."""
    file = open_file(path)
    try:
        yield file
    finally:
        with damage(path):
            file.close()


def looks(path: Path, test: Callable[[h5py.File], object]) -> bool:
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
            raise InputError(f"expected a dataset '{name}' in the file, but {what}")
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
    """Check before reading that ``datasets`` go together, can be unpacked and claim no more than their file can hold.

    Returns the number of events, their common length. Raises :class:`InputError`, and MissingExtra where a filter is missing.
    """
    size = os.path.getsize(file.filename)
    claimed = 0
    for d in datasets:
        for code in _filters(d):
            if code in FILTERS and not h5py.h5z.filter_avail(code):
                require("hdf5plugin", "hep")
            if code not in FILTERS or not h5py.h5z.filter_avail(code):
                raise InputError(f"'{d.name}' is packed in a way that is not read here (HDF5 filter {code}); pack it anew with "
                                 "h5repack -f GZIP=1")
        bytes_ = d.size * d.dtype.itemsize
        claimed += bytes_
        if d.chunks:
            pieces = int(np.prod([-(-n // c) for n, c in zip(d.shape, d.chunks, strict=True)], dtype=object))
            if pieces > size // 8 + 1024:
                raise InputError(f"it is damaged: a file of {size:,} bytes claims {pieces:,} pieces of '{d.name}'")
        elif d.id.get_offset() is not None and d.id.get_offset() + bytes_ > size:
            raise InputError(f"it is cut short: '{d.name}' goes on past the end of the file; copy it again")
    if claimed > RATIO * size + 2**20:
        raise InputError(f"it is damaged: a file of {size:,} bytes claims {claimed:,} bytes of events; copy it again")
    lengths = {d.name.strip("/"): d.shape[0] for d in datasets}
    if len({*lengths.values()}) != 1:
        raise InputError(f"it is damaged: its columns have different lengths {lengths}; copy it again")
    return int(next(iter(lengths.values())))


def rows(d: h5py.Dataset, start: int, stop: int, dtype: Any = None, fields: list[str] | None = None) -> np.ndarray:
    """Entries ``start:stop`` of ``d``, as ``dtype``, or only some ``fields`` of it. Raises :class:`InputError`.

    Pieces that swell beyond their size when they are unpacked are refused: HDF5 itself sets no limit.
    """
    if d.chunks and stop > start:
        full = int(np.prod(d.chunks)) * d.dtype.itemsize
        first = range(start - start % d.chunks[0], stop, d.chunks[0])
        others = (range(0, n, c) for n, c in zip(d.shape[1:], d.chunks[1:], strict=True))
        gzip = GZIP in _filters(d)
        for corner in itertools.product(first, *others):
            stored = d.id.get_chunk_info_by_coord(corner).size or 0
            # gzip packs at most 1032 to 1
            if stored > full + full // 100 + 4096 or (gzip and stored * 1032 > CHUNK_BYTES and _swells(d, corner, full)):
                raise InputError(f"it is damaged: a piece of '{d.name}' unpacks to more than its {full:,} bytes; copy it again")
    if fields is not None:
        return np.asarray(d.fields(fields)[start:stop])
    return np.asarray(d[start:stop] if dtype is None else d.astype(dtype)[start:stop])


def text(node: h5py.HLObject, key: str) -> str | None:
    """The attribute ``key`` of ``node``, text of fixed length; None where there is none. Raises :class:`InputError`.

    Text of variable length is refused: HDF5 keeps it in a heap in which one zero sends it round in circles for ever.
    """
    if key not in node.attrs:
        return None
    attribute = node.attrs.get_id(key)
    if attribute.shape != () or attribute.dtype.kind != "S":
        raise InputError(f"attribute '{key}' of '{node.name}' is {attribute.dtype} {attribute.shape}, expected text of fixed "
                         "length: the file is damaged, or of an early version; make it anew")
    return bytes(node.attrs[key]).decode()


def _filters(d: h5py.Dataset) -> list[int]:
    plist = d.id.get_create_plist()
    return [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]


def _swells(d: h5py.Dataset, corner: tuple[int, ...], full: int) -> bool:
    """Whether the piece at ``corner`` unpacks to more than ``full`` bytes (and a checksum); nothing is kept of it."""
    _, packed = d.id.read_direct_chunk(corner)
    inflate, size = zlib.decompressobj(), 0
    try:
        while packed and not inflate.eof and size <= full + 64:
            size += len(inflate.decompress(packed, 2**20))
            packed = inflate.unconsumed_tail
    except zlib.error:
        return False  # not packed after all, or damaged, which HDF5 tells
    return size > full + 64
