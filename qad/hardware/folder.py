"""A submission on disk: what was asked, what was sent when, what came back. Every file is old or new, never half.

::

    plan.json        what was asked for, the circuit's hash, the estimate; the folder is a submission once this stands
    circuit.qpy      the circuit that runs; with readout mitigation, after it the two that measure the readout
    angles.npz       a row of angles for each event [rad]
    calibration.json the machine's calibration of the qubits and gates in use, at submission
    model/           the model that makes scores of counts
    chunks/          <start>-<stop>.json: each attempt to run these events, its tag written before it is sent
    counts/          <start>-<stop>.npz: counts (events, 2^read)
    scores.csv       event, score, error from shots

Nothing refers to a place outside: a copy of the folder goes on anywhere. One process at a time may change it.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from qad.errors import InputError
from qad.hardware import checked
from qad.persistence import atomic_write

FORMAT = 1
#: Chunks that measure the readout: all qubits prepared in 0, in 1.
READOUT = ("readout-0", "readout-1")
ENDED = ("done", "failed", "cancelled", "refused")


@dataclass
class Attempt:
    """One submission of a chunk, on disk before the service hears of it.

    tag          its name at the service
    intended     when it was (last) about to be sent [s since 1970]
    asked        since when the service is asked whether it took it, None: not in doubt
    job          the service's id, None: not known to be taken
    state        intended, queued, running, done, failed, cancelled, or refused: the service said no, nothing was taken
    """

    tag: str
    intended: float = 0.0
    asked: float | None = None
    job: str | None = None
    state: str = "intended"
    reason: str = ""
    qpu_seconds: float | None = None


@dataclass
class Chunk:
    """Events ``start`` to ``stop`` of one job.

    name    of its files
    split   event at which it was split, being too large; ``half``: of one that was
    """

    name: str
    start: int
    stop: int
    attempts: list[Attempt] = field(default_factory=list)
    split: int | None = None
    half: bool = False

    @property
    def measures(self) -> bool:
        """Does it measure the readout, and no event?"""
        return self.name in READOUT

    @property
    def last(self) -> Attempt | None:
        """The attempt that counts."""
        return self.attempts[-1] if self.attempts else None

    @property
    def in_doubt(self) -> bool:
        """Was it sent? Only the service knows."""
        return self.last is not None and self.last.state == "intended"

    @property
    def unsent(self) -> bool:
        """Nothing runs and nothing has run for it, as far as is known."""
        return self.last is None or self.last.state in ("intended", "refused")

    @property
    def awaited(self) -> bool:
        """A job has it, or has had it and kept its counts."""
        return self.last is not None and self.last.state in ("queued", "running", "done")


def range_name(start: int, stop: int) -> str:
    """Name of a chunk's files."""
    return f"{start:07d}-{stop:07d}"


def halves(chunk: Chunk) -> list[Chunk]:
    """The two parts of a chunk that was split; none if it was not."""
    if chunk.split is None:
        return []
    if not chunk.start < chunk.split < chunk.stop:
        raise InputError(f"chunks/{chunk.name}.json is damaged: split={chunk.split}")
    return [Chunk(range_name(a, b), a, b, half=True) for a, b in ((chunk.start, chunk.split), (chunk.split, chunk.stop))]


class Folder:
    """Reads and writes the files of a submission. Raises :class:`InputError` for damaged ones."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone in this folder; the lock goes with the process. Raises :class:`InputError` if another is at work."""
        try:
            lock = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise InputError(f"cannot write to {self.path}: {error.strerror}; choose a folder you can write to") from None
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(f"another process is at work in {self.path}: wait until it has ended, then type the same "
                                 "command again") from None
            except OSError as error:
                raise InputError(f"{self.path} cannot be locked: {error.strerror}; move it to a local disk") from None
            for left in self.path.rglob(".*.tmp"):  # of a process that was killed
                left.unlink(missing_ok=True)
            yield
        finally:
            os.close(lock)

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file whole, and onto the disk before anything that follows."""
        path = self.path / name
        if not path.parent.exists():
            path.parent.mkdir()
            _on_disk(path.parent.parent)
        atomic_write(path, content)
        _on_disk(path.parent)

    def write_json(self, name: str, content: Any) -> None:
        """Write a file of JSON whole."""
        self.write(name, json.dumps(content, indent=1) + "\n")

    def write_arrays(self, name: str, **arrays: np.ndarray) -> None:
        """Write an ``.npz`` whole."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        self.write(name, buffer.getvalue())

    def read_json(self, name: str) -> Any:
        """The contents of a file of JSON; None if it is not there."""
        try:
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise InputError(f"{self.path / name} cannot be read: {error.strerror}") from None
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{self.path / name} is damaged: {error}") from None

    def read_array(self, name: str, key: str) -> np.ndarray:
        """One array of an ``.npz``."""
        try:
            with np.load(io.BytesIO((self.path / name).read_bytes()), allow_pickle=False) as file:
                return file[key]
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{self.path / name} is missing or damaged: {error}") from None

    def plan(self) -> dict[str, Any] | None:
        """plan.json, checked; None where nothing was planned yet."""
        plan = self.read_json("plan.json")
        if plan is not None and (not isinstance(plan, dict) or plan.get("format") != FORMAT or "request" not in plan):
            raise InputError(f"{self.path / 'plan.json'} is not a submission of format {FORMAT}; fetch it with the version of "
                             "qad that made it")
        if plan is not None and not checked.whole_record(plan):
            raise InputError(f"{self.path / 'plan.json'} is damaged: copy the folder again")
        return plan

    def chunk(self, name: str, start: int, stop: int) -> Chunk:
        """What is known of a chunk."""
        found = self.read_json(f"chunks/{name}.json")
        if found is None:
            return Chunk(name, start, stop)
        if not checked.whole_chunk(found):
            raise InputError(f"{self.path}/chunks/{name}.json is damaged: copy the folder again")
        return Chunk(name, start, stop, [Attempt(**a) for a in found["attempts"]], found["split"])

    def save(self, chunk: Chunk) -> None:
        """Note what is known of a chunk, before anything else happens."""
        known = asdict(chunk)
        self.write_json(f"chunks/{chunk.name}.json", {k: known[k] for k in ("start", "stop", "split", "attempts")})

    def chunks(self, plan: dict[str, Any]) -> list[Chunk]:
        """All chunks, those that were split followed by their parts; first those that measure the readout."""
        wanted = plan["request"]
        found = [self.chunk(name, 0, 1) for name in READOUT] if wanted["mitigation"] == "readout" else []
        for start in range(0, wanted["events"], wanted["chunk"]):
            stop = min(start + wanted["chunk"], wanted["events"])
            found += self.family(self.chunk(range_name(start, stop), start, stop))
        return found

    def family(self, chunk: Chunk) -> list[Chunk]:
        """A chunk and, if it was split, its halves and theirs."""
        found = [chunk]
        for half in halves(chunk):
            found += self.family(replace(self.chunk(half.name, half.start, half.stop), half=True))
        return found

    def counts(self, chunk: Chunk, outcomes: int) -> np.ndarray | None:
        """Counts that were fetched ``(rows, outcomes)``, or None."""
        name = f"counts/{chunk.name}.npz"
        if not (self.path / name).exists():
            return None
        counts = self.read_array(name, "counts")
        if counts.shape != (chunk.stop - chunk.start, outcomes):
            raise InputError(f"{self.path / name} holds counts of shape {counts.shape}; expected "
                             f"{(chunk.stop - chunk.start, outcomes)}: delete it and fetch again")
        return counts

    def fetched(self, chunk: Chunk) -> bool:
        """Are its counts here?"""
        return (self.path / f"counts/{chunk.name}.npz").exists()

    def scored(self) -> int:
        """Events in scores.csv."""
        try:
            return len((self.path / "scores.csv").read_text().splitlines()) - 1
        except FileNotFoundError:
            return 0


def _on_disk(path: Path) -> None:
    """The names in a folder, onto the disk."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
