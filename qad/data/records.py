"""Which public files there are: of which record, with which checksum, and where they lie on this computer.

``records.json`` beside this file is the list. A checksum stands in it only where it has been published; an unknown size,
checksum or licence is null.
"""

from __future__ import annotations

import json
import os
import urllib.parse
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from qad.errors import InputError, did_you_mean

ZENODO = "https://zenodo.org"


@dataclass(frozen=True)
class File:
    """A file of a public record; ``name`` is None for all files of the record, which the record itself lists."""

    record: str  # of Zenodo
    name: str | None
    size: int | None  # bytes
    md5: str | None
    holds: str
    key: str | None = None  # to ask for it by, where it has no name of its own here

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{ZENODO}/records/{self.record}/files/{urllib.parse.quote(str(self.name))}?download=1"


@dataclass(frozen=True)
class Record:
    """A public data set: what it is, whose, under which licence (None: see the record), in which of our formats."""

    name: str
    title: str
    paper: str
    licence: str | None
    format: str | None
    files: tuple[File, ...]


@cache
def _all() -> dict[str, Record]:
    table = json.loads(Path(__file__).with_name("records.json").read_text(encoding="utf-8"))
    return {name: Record(name, entry["title"], entry["paper"], entry["licence"], entry["format"],
                         tuple(File(**file) for file in entry["files"])) for name, entry in table.items()}


def records() -> dict[str, Record]:
    """All data sets that :func:`get` knows, by name."""
    return dict(_all())


def find(name: str) -> tuple[Record, tuple[File, ...]]:
    """The data set and the files that ``name`` stands for: ``jetnet``, ``jetnet/t.hdf5``, or a file's name alone.

    Raises :class:`InputError` for an unknown name.
    """
    known = _all()
    head, _, tail = name.partition("/")
    if head in known:
        files = tuple(f for f in known[head].files if not tail or tail in (f.name, f.key))
        if files:
            return known[head], files
        raise InputError(did_you_mean(tail, [f.name or f.key or f.record for f in known[head].files], f"file of '{head}'"))
    found = [(record, f) for record in known.values() for f in record.files if name in (f.name, f.key)]
    if not found:
        raise InputError(did_you_mean(name, known, "data set"))
    return found[0][0], (found[0][1],)


def places() -> list[Path]:
    """Folders where data are looked for: ``$QAD_DATA``, ``$XDG_CACHE_HOME/qad`` (``~/.cache/qad``), the current one."""
    cached = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "qad"
    return [*([Path(os.environ["QAD_DATA"])] if os.environ.get("QAD_DATA") else []), cached, Path()]


def locate(name: str, folder: str | Path | None = None) -> Path:
    """The file of a data set where it lies on this computer, looked for in ``folder`` (or in :func:`places`); never fetched.

    Raises :class:`InputError`: not there, or a data set of several files of which one should be named.
    """
    record, files = find(name)
    names = [f.name or f.key or f.record for f in files]
    if len(files) > 1:
        raise InputError(f"'{name}' is {len(files)} files: name one, as in  {record.name}/{names[0]}")
    looked = places() if folder is None else [Path(folder)]
    for place in looked:
        for path in (place / record.name / names[0], place / names[0]):
            if path.is_file():
                return path
    raise InputError(f"{names[0]} is not in {', '.join(str(p.absolute()) for p in looked)}; fetch it with  qad data get {name}")
