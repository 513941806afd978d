"""What is missing, to the service, within what may be spent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from qad.errors import InputError
from qad.hardware import plan as planning
from qad.hardware.cost import Allowance, Estimate
from qad.hardware.folder import Folder
from qad.hardware.jobs import SESSION, Jobs, Progress
from qad.hardware.standing import Standing, standing
from qad.quantum.backends import ibm
from qad.quantum.backends.service import Service, ServiceError


def send_missing(folder: Folder, record: dict[str, Any], service: Service | None, retry: bool, max_seconds: float | None,
                 grace: float, progress: Progress | None) -> Standing:
    """Everything that is missing, to the service; without one if nothing is. The lock is held."""
    known = folder.chunks(record)
    if not retry and not any(c.unsent and c.split is None for c in known):
        return standing(folder, record, known, folder.scored())
    service = service or service_of(folder, record)
    jobs = jobs_of(folder, record, service, grace, max_seconds)
    progress = progress or (lambda done, total: None)
    try:
        if retry:
            for chunk in folder.chunks(record):
                jobs.refresh(chunk)  # what failed since the last fetch
        chunks = [c for c in folder.chunks(record) if c.split is None]
        wanted = [c for c in chunks if c.unsent or (retry and c.last.state in ("failed", "cancelled"))]
        jobs.allowed.check(wanted)
        progress(len(chunks) - len(wanted), len(chunks))
        with closing(jobs):
            for i, chunk in enumerate(wanted, start=len(chunks) - len(wanted) + 1):
                jobs.send(chunk)
                progress(i, len(chunks))
    except ServiceError as error:
        raise type(error)(f"{error}; what was sent is noted, and  qad hardware submit -o {folder.path}  does the "
                          "rest") from None
    return standing(folder, record, folder.chunks(record), folder.scored())


@contextmanager
def closing(jobs: Jobs) -> Iterator[None]:
    """Close the batch or session at the end, however it comes: it takes no more jobs, and those that are queued run."""
    try:
        yield
    except BaseException:
        with suppress(InputError):  # of the two faults the first is told
            jobs.close()
        raise
    jobs.close()


def jobs_of(folder: Folder, record: dict[str, Any], service: Service | None, grace: float,
            max_seconds: float | None = None) -> Jobs:
    """The jobs of a submission at its service, or at ``service``."""
    limit = record["max_seconds"] if max_seconds is None else max_seconds
    return Jobs(folder, record, service or service_of(folder, record), planning.circuits(folder, record),
                folder.read_array("angles.npz", "angles"), grace,
                Allowance(Estimate(**record["estimate"]), folder.chunks(record), limit))


def service_of(folder: Folder, record: dict[str, Any]) -> Service:
    """The service that a submission went to. Raises :class:`ServiceError`."""
    asked = record["request"]
    session = (folder.read_json(SESSION) or {}).get("id")
    return ibm.open_service(asked["backend"], folder.path / "queue", asked["mode"], asked["options"], session)
