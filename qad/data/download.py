"""Public files, fetched only when asked for: from a pinned place, resumed where it was cut off, checked before they get a name.

Where the list of records knows no MD5 sum, the record itself is asked once, and its answer is written to ``qad-lock.json``
beside the data and holds from then on. Reading a sample never comes here.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qad.data.records import ZENODO, File, find, locate, places, records
from qad.data.transfer import BLOCK, Progress, Server
from qad.errors import InputError, did_you_mean

__all__ = ["Fetched", "find", "get", "locate", "places", "records"]

LOCK = "qad-lock.json"


@dataclass(frozen=True)
class Fetched:
    """A file that is there now: whether it was there before, and whether its checksum could be compared."""

    path: Path
    md5: str
    was_there: bool
    checked: bool


def get(name: str, folder: str | Path | None = None, *, progress: Progress | None = None, base: str = ZENODO,
        timeout: float = 30.0, tries: int = 5, pause: float = 1.0) -> list[Fetched]:
    """Fetch a public data set (or one file of it: ``jetnet/t.hdf5``) into ``folder``; what is there already stays.

    folder    default: a folder of the data set's name in the first of :func:`places`
    progress  called with (file, bytes done, bytes in all or None)
    timeout   seconds without an answer until the connection counts as cut; it is taken up again ``tries`` times in all, after
              ``pause`` seconds, where it was cut. So is a call that comes later
    base      another server than Zenodo; https, or http on this very computer

    A file gets its name when its MD5 sum has been compared; one with a wrong sum is removed. Raises :class:`InputError`.
    """
    server = Server(base, timeout, tries, pause)
    record, wanted = find(name)
    folder = places()[0] / record.name if folder is None else Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror}; choose a folder you can write to") from None
    return [_fetch(server, folder, file, progress) for f in wanted for file in _named(server, folder, f)]


def _named(server: Server, folder: Path, file: File) -> list[File]:
    """``file``, or all files of its record where it has no name: as the record, or the lock of an earlier call, lists them."""
    if file.name is not None:
        return [file]
    lock = _read_lock(folder).get(file.record)
    if lock is None:
        lock = _ask(server, folder, file.record)
    return [replace(file, name=n, size=entry["size"], md5=entry["md5"]) for n, entry in lock.items()]


def _fetch(server: Server, folder: Path, file: File, progress: Progress | None) -> Fetched:
    name = str(file.name)
    path, md5 = folder / name, file.md5
    lock = _read_lock(folder).get(file.record, {}).get(name)
    if md5 is None and lock is not None:
        md5, file = lock["md5"], replace(file, size=lock["size"])
    if path.exists():
        if not path.is_file():
            raise InputError(f"{path} is in the way: expected a file, or nothing; move it")
        found = _md5(path)
        if md5 is not None and found != md5:
            raise InputError(f"{path} is there, but is not the file of record {file.record}: its MD5 sum is {found}, expected "
                             f"{md5}; move it away and fetch again")
        return Fetched(path, found, was_there=True, checked=md5 is not None)
    if md5 is None:
        listed = _ask(server, folder, file.record)
        if name not in listed:
            raise InputError(did_you_mean(name, listed, f"file of record {file.record}"))
        md5, file = listed[name]["md5"], replace(file, size=listed[name]["size"])
    part = path.with_name(f"{name}.part")
    resumed = part.exists()
    where = file.url.removeprefix(ZENODO)
    server.download(where, part, file.size, progress)
    if (found := _md5(part)) != md5 and resumed:  # what an earlier call left may be the reason
        part.unlink()
        server.download(where, part, file.size, progress)
        found = _md5(part)
    part.with_name(f"{part.name}.json").unlink(missing_ok=True)
    if found != md5:
        part.unlink()
        raise InputError(f"{name} from record {file.record} arrived with MD5 sum {found}, expected {md5}: it was removed; try "
                         "again, and if it stays so do not use the file")
    os.replace(part, path)
    return Fetched(path, found, was_there=False, checked=True)


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _read_lock(folder: Path) -> dict[str, dict[str, Any]]:
    """Checksums that records told earlier: record → file → {md5, size}."""
    path = folder / LOCK
    if not path.exists():
        return {}
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        return {record: _entries(files.items()) for record, files in table.items()}
    except (OSError, ValueError, AttributeError, TypeError, KeyError):
        raise InputError(f"{path} is damaged; expected the checksums of an earlier download; remove it to ask for them again") \
            from None


def _entries(items: Any) -> dict[str, Any]:
    """Name → {md5, size} after a look at each: a name must be one of a file in this folder, a sum 32 hexadecimal digits."""
    found = {}
    for name, entry in items:
        md5, size = str(entry["md5"]).removeprefix("md5:").lower(), int(entry["size"])
        if not re.fullmatch(r"\w[\w.+() -]{0,200}", name) or not re.fullmatch(r"[0-9a-f]{32}", md5) or size < 0:
            raise ValueError(name)
        found[name] = {"md5": md5, "size": size}
    return found


def _ask(server: Server, folder: Path, record: str) -> dict[str, Any]:
    """The files of a record with their checksums, asked of the record and pinned in the lock file."""
    url = f"{server.base}/api/records/{record}"
    answer = server.read(f"/api/records/{record}")
    try:
        listed = json.loads(answer)["files"]
        if isinstance(listed, dict):  # of the newest interface
            listed = list(listed["entries"].values())
        # two shapes over the years: key/size/checksum "md5:…", and filename/filesize/checksum
        table = _entries((f.get("key") or f["filename"], {"md5": f["checksum"], "size": f.get("size", f.get("filesize"))})
                         for f in listed)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{url} gave no list of files with their MD5 sums; the record may be closed, or its interface new") \
            from None
    lock = {**_read_lock(folder), record: table}
    tmp = folder / f".{LOCK}.{os.getpid()}.tmp"
    try:
        tmp.write_text(json.dumps(lock, indent=1, sort_keys=True), encoding="utf-8")
        os.replace(tmp, folder / LOCK)
    except OSError as error:
        tmp.unlink(missing_ok=True)
        raise InputError(f"cannot write {folder / LOCK}: {error.strerror}; choose a folder you can write to") from None
    return table
