"""Visits to a service that has jobs: what is done comes back, what was too large goes again in halves."""

from __future__ import annotations

from typing import Any

from qad.errors import InputError
from qad.hardware.folder import Chunk, Folder
from qad.hardware.jobs import Jobs, Progress
from qad.hardware.sending import jobs_of
from qad.quantum.backends.service import Service, UnreachableError

#: A service that fails so often in a row is left alone.
MOST_FAILURES = 3


class Fetching:
    """Visits to the service; ``problem`` is the first of the latest, ``passing`` if asking again may help."""

    def __init__(self, folder: Folder, record: dict[str, Any], service: Service | None, grace: float,
                 progress: Progress | None) -> None:
        self.folder, self.record, self.service, self.grace = folder, record, service, grace
        self.progress = progress or (lambda done, total: None)
        self.jobs: Jobs | None = None
        self.problem: InputError | None = None
        self.doubted: set[str] = set()

    @property
    def passing(self) -> bool:
        return isinstance(self.problem, UnreachableError)

    def once(self, wait: bool) -> bool:
        """Ask for every chunk that is not here; True if counts came."""
        self.problem, failures, came = None, 0, False
        missing = [c for c in self.folder.chunks(self.record) if c.split is None and not self.folder.fetched(c)]
        total = self.record["request"]["events"]
        done = total - sum(c.stop - c.start for c in missing if not c.measures)
        self.progress(done, total)
        while missing and failures < MOST_FAILURES:
            chunk = missing.pop(0)
            try:
                self.jobs = self.jobs or jobs_of(self.folder, self.record, self.service, self.grace)
                missing[:0] = self._visit(chunk, wait)
                failures = 0
            except InputError as error:
                self.problem, failures = self.problem or error, failures + 1
            if self.folder.fetched(chunk):
                came, done = True, done + (0 if chunk.measures else chunk.stop - chunk.start)
                self.progress(done, total)
        return came

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
