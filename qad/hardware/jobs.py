"""Each chunk to the service once: what is about to be done is on disk before it is done.

A chunk's attempt is noted with a tag, then sent, then noted with the service's id. Whoever finds a tag without an id, after a
kill or a time-out, asks the service for the tag, and again until ``grace`` seconds have passed since the first question,
for its list may lag; only then is the chunk sent again, under the same tag. Before a first submission the service is asked too:
tags follow from the folder, and a copy of it may have been faster.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from qad.errors import InputError
from qad.hardware.cost import Allowance
from qad.hardware.folder import ENDED, Attempt, Chunk, Folder, halves
from qad.quantum.backends.service import Service, ServiceError, TooLargeError, UnreachableError

#: Times a chunk is taken to a service that does not answer, and seconds between two questions.
TRIES, PAUSE = 3, 2.0
#: The batch or session that is open, and whether it was closed.
SESSION = "session.json"
Progress = Callable[[int, int], None]


@dataclass
class Jobs:
    """Takes the chunks of one submission to a service and their counts back. The folder's lock is held by the caller.

    record    plan.json
    circuits  by chunk, ``""`` for all events
    angles    of all events
    allowed   what may be spent
    """

    folder: Folder
    record: dict[str, Any]
    service: Service
    circuits: dict[str, Any]
    angles: np.ndarray
    grace: float
    allowed: Allowance
    opened: bool = False

    def send(self, chunk: Chunk) -> None:
        """Bring an unsent chunk to the service, in halves where it is too large.

        Raises :class:`UnreachableError` with the chunk still in doubt, and :class:`ServiceError` where the service says no.
        """
        tries = 0
        if chunk.in_doubt:
            if self.found(chunk, wait=True):
                return
            self._open()
        else:
            number = sum(a.state != "refused" for a in chunk.attempts)
            new = Attempt(f"{self.record['tag']}-{chunk.name}-{number}")
            if job := self.service.find(new.tag):  # sent from a copy of this folder
                chunk.attempts.append(new)
                self._note(chunk, job=job, state="queued", intended=time.time())
                return
            self.allowed.check([chunk])
            self._open()
            chunk.attempts.append(new)  # written by _submit, before anything is sent
        while True:
            try:
                job = self._submit(chunk)
            except TooLargeError as error:
                return self._refused_for_size(chunk, str(error))
            except UnreachableError:
                tries += 1
                self._note(chunk, asked=time.time())
                if self.found(chunk, wait=True):
                    return None
                if tries == TRIES:
                    raise
            except ServiceError as error:
                self._note(chunk, state="refused", reason=str(error))
                raise
            else:
                return self._note(chunk, job=job, state="queued", asked=None)

    def _submit(self, chunk: Chunk) -> str:
        """The intent onto the disk, then the chunk to the service."""
        self._note(chunk, intended=time.time(), asked=None)
        circuit = self.circuits[chunk.name if chunk.measures else ""]
        angles = np.zeros((1, 0)) if chunk.measures else self.angles[chunk.start : chunk.stop]
        try:
            return self.service.submit(circuit, angles, self.record["request"]["shots"], chunk.last.tag)
        finally:
            self._note_session(self.service.session_id)  # one that was closed in between is opened anew

    def _open(self) -> None:
        """A batch or session, noted before its first job."""
        self._note_session(self.service.open())
        self.opened = True

    def _note_session(self, session: str | None) -> None:
        if session is not None and self.folder.read_json(SESSION) != (note := {"id": session, "closed": False}):
            self.folder.write_json(SESSION, note)

    def close(self) -> None:
        """Close the batch or session that was opened, here or by a process that was killed before it could."""
        note = self.folder.read_json(SESSION)
        left = note is not None and not note.get("closed")
        if left and not self.opened:
            self._open()
        if self.opened:
            self.service.close()
            self.opened = False
        if left:
            self.folder.write_json(SESSION, {**self.folder.read_json(SESSION), "closed": True})

    def found(self, chunk: Chunk, wait: bool = False) -> bool:
        """Whether the service knows a chunk in doubt; its id is then noted. ``wait``: until it must know it if it ever will."""
        if chunk.last.asked is None:
            self._note(chunk, asked=time.time())
        grace = self.grace if self.service.lags else 0.0
        until = min(chunk.last.asked, time.time()) + grace  # another computer's clock may be ahead
        while True:
            late = time.time() >= until  # before the question: its answer must be younger
            try:
                job = self.service.find(chunk.last.tag)
            except UnreachableError:
                if late or not wait:
                    raise
            else:
                if job is not None:
                    self._note(chunk, job=job, state="queued", asked=None)
                if job is not None or late or not wait:
                    return job is not None
            time.sleep(max(0.0, min(PAUSE, grace / 4, until - time.time())))

    def _note(self, chunk: Chunk, **changes: Any) -> None:
        if any(getattr(chunk.last, name) != value for name, value in changes.items()):
            for name, value in changes.items():
                setattr(chunk.last, name, value)
            self._save(chunk)

    def _save(self, chunk: Chunk) -> None:
        self.folder.save(chunk)
        self.allowed.note(chunk)

    def _refused_for_size(self, chunk: Chunk, reason: str) -> None:
        for half in self.split(chunk, "refused", reason):
            self.send(half)

    def split(self, chunk: Chunk, state: str, reason: str) -> list[Chunk]:
        """The halves of a chunk that was too large, by one write. Raises :class:`InputError` for one event."""
        if chunk.stop - chunk.start < 2:
            self._note(chunk, state=state, reason=reason)
            what = f"event {chunk.start}" if not chunk.measures else "measuring the readout"
            raise InputError(f"{what} alone, with {self.record['request']['shots']:,} shots, is too large for the service "
                             f"({reason}): submit with fewer --shots to another folder")
        chunk.split, chunk.last.state, chunk.last.reason = (chunk.start + chunk.stop) // 2, state, reason
        self._save(chunk)
        return halves(chunk)

    def refresh(self, chunk: Chunk) -> bool:
        """Note where a chunk's job stands; True if it was just split for its size."""
        attempt = chunk.last
        if chunk.split is not None or attempt is None or attempt.job is None or attempt.state in ENDED:
            return False
        state = self.service.state(attempt.job)
        seconds = attempt.qpu_seconds if state.qpu_seconds is None else state.qpu_seconds
        if large := state.status == "failed" and state.too_large:
            attempt.qpu_seconds = seconds
            self.split(chunk, "failed", state.reason)
        self._note(chunk, state=state.status, reason=state.reason, qpu_seconds=seconds)
        return large

    def collect(self, chunk: Chunk) -> bool:
        """Fetch the counts of a finished chunk, once; True if they came now. Raises :class:`ServiceError`."""
        if chunk.last is None or chunk.last.state != "done" or self.folder.fetched(chunk):
            return False
        counts = np.asarray(self.service.counts(chunk.last.job))
        expected = (chunk.stop - chunk.start, 2 ** self.record["read"])
        if counts.shape != expected or counts.dtype.kind not in "iu" or (counts < 0).any() or not counts.sum(1).all():
            raise ServiceError(f"job {chunk.last.job} gave counts of shape {counts.shape}; expected {expected}, whole numbers "
                               "from 0 with some in every row: its result is not used")
        self.folder.write_arrays(f"counts/{chunk.name}.npz", counts=counts.astype(np.int64))
        return True
