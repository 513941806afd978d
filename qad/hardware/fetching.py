"""Visits to a service that has jobs: what is done comes back, what was too large goes again in halves."""

from __future__ import annotations

from typing import Any

from qad.errors import InputError
from qad.hardware.folder import Chunk, Folder
from qad.hardware.jobs import Jobs, Progress
from qad.hardware.sending import jobs_of
from qad.quantum.backends.service import Service, UnreachableError

#: After so many failures in a row the service is asked about no job at all: if it answers, the fault is the jobs'.
MOST_FAILURES = 3


class Fetching:
    """Visits to the service.

    faults   of single chunks, which are not asked for again
    away     why the service as a whole does not answer, or says no
    """

    def __init__(self, folder: Folder, record: dict[str, Any], service: Service | None, grace: float,
                 progress: Progress | None) -> None:
        self.folder, self.record, self.service, self.grace = folder, record, service, grace
        self.progress = progress or (lambda done, total: None)
        self.jobs: Jobs | None = None
        self.faults: dict[str, InputError] = {}
        self.away: InputError | None = None
        self.doubted: set[str] = set()

    @property
    def refused(self) -> bool:
        """Asking again will not help."""
        return self.away is not None and not isinstance(self.away, UnreachableError)

    @property
    def problem(self) -> InputError | None:
        """The first that there is to tell."""
        return self.away or next(iter(self.faults.values()), None)

    def once(self, wait: bool) -> bool:
        """Ask for every chunk that is not here; True if counts came."""
        self.away, failures, came = None, 0, False
        missing = [c for c in self.folder.chunks(self.record) if c.split is None and not self.folder.fetched(c)]
        total = self.record["request"]["events"]
        done = total - sum(c.stop - c.start for c in missing if not c.measures)
        self.progress(done, total)
        while missing:
            chunk = missing.pop(0)
            if chunk.name in self.faults:
                continue
            try:
                self.jobs = self.jobs or jobs_of(self.folder, self.record, self.service, self.grace)
                missing[:0] = self._visit(chunk, wait)
                failures = 0
            except InputError as error:
                failures += 1
                if isinstance(error, UnreachableError) or self.jobs is None:
                    self.away = self.away or error
                else:
                    self.faults[chunk.name] = error
                if self.jobs is None or (failures % MOST_FAILURES == 0 and not self._answers()):
                    break
            if self.folder.fetched(chunk):
                came, done = True, done + (0 if chunk.measures else chunk.stop - chunk.start)
                self.progress(done, total)
        return came

    def _answers(self) -> bool:
        try:
            self.jobs.service.find(self.record["tag"])  # which no job has
        except InputError as error:
            self.away = error
            return False
        return True

    def close(self) -> None:
        """Leave no batch or session open."""
        if self.jobs is not None:
            try:
                self.jobs.close()
            except InputError as error:
                self.away = self.away or error

    def _visit(self, chunk: Chunk, wait: bool) -> list[Chunk]:
        """Whatever can be done for a chunk now; its halves if it was split."""
        jobs = self.jobs
        if chunk.half and chunk.unsent:
            jobs.send(chunk)
        elif chunk.in_doubt and chunk.name not in self.doubted:
            jobs.found(chunk, wait)
            self.doubted.add(chunk.name)
        if chunk.split is None and not jobs.refresh(chunk):
            jobs.collect(chunk)
            return []
        return [c for c in self.folder.family(chunk) if c.split is None]
