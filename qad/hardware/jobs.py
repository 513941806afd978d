"""Each chunk to the service once: what is about to be done is on disk before it is done.

A chunk's attempt is noted with a tag, then sent, then noted with the service's id. Whoever finds a tag without an id, after a
kill or a time-out, asks the service for the tag, and again until ``grace`` seconds have passed since the first question,
for its list may lag; only then is the chunk sent again, under the same tag.
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

    def send(self, chunk: Chunk) -> None:
        """Bring an unsent chunk to the service, in halves where it is too large.

        Raises :class:`UnreachableError` with the chunk still in doubt, and :class:`ServiceError` where the service says no.
        """
        tries = 0
        if not chunk.in_doubt:
            self.allowed.take(chunk)
            tag = f"{self.record['tag']}-{chunk.name}-{len(chunk.attempts)}"
            chunk.attempts.append(Attempt(tag))  # written by _submit, before anything is sent
        elif self.found(chunk, wait=True):
            return
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
        shots = self.record["request"]["shots"]
        if chunk.measures:
            return self.service.submit(self.circuits[chunk.name], np.zeros((1, 0)), shots, chunk.last.tag)
        return self.service.submit(self.circuits[""], self.angles[chunk.start : chunk.stop], shots, chunk.last.tag)

    def found(self, chunk: Chunk, wait: bool = False) -> bool:
        """Whether the service knows a chunk in doubt; its id is then noted. ``wait``: until it must know it if it ever will."""
        if chunk.last.asked is None:
            self._note(chunk, asked=time.time())
        until = min(chunk.last.asked, time.time()) + self.grace  # another computer's clock may be ahead
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
            time.sleep(max(0.0, min(PAUSE, self.grace / 4, until - time.time())))

    def _note(self, chunk: Chunk, **changes: Any) -> None:
        if any(getattr(chunk.last, name) != value for name, value in changes.items()):
            for name, value in changes.items():
                setattr(chunk.last, name, value)
            self.folder.save(chunk)

    def _refused_for_size(self, chunk: Chunk, reason: str) -> None:
        self.allowed.give_back(chunk)
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
        self.folder.save(chunk)
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
