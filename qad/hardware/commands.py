"""What a user does: look at the cost, submit, go on, ask how it stands, fetch. Each in one call."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

from qad.errors import InputError
from qad.hardware import checked
from qad.hardware import plan as planning
from qad.hardware.cost import Estimate
from qad.hardware.fetching import Fetching
from qad.hardware.folder import Folder
from qad.hardware.jobs import Progress
from qad.hardware.scoring import write_scores
from qad.hardware.sending import send_missing, service_of
from qad.hardware.standing import Standing, standing
from qad.quantum.backends import ibm
from qad.quantum.backends.service import Service, ServiceError


def dry_run(model: str | Path, data: str | Path, backend: str, service: Service | None = None,
            classes: dict[str, type] | None = None, **options: Any) -> Estimate:
    """What :func:`submit` with the same arguments would take. Sends nothing, writes nothing. Raises :class:`InputError`."""
    asked, sample = planning.request(Path(model), Path(data), backend, **options)
    service = service or ibm.open_service(backend, Path(model) / "queue", asked.mode, asked.options)
    found = planning.make(asked, sample, Path(model), Path(data), service, classes).estimate
    _say(found)
    return found


def submit(model: str | Path, data: str | Path, backend: str, out: str | Path, *, max_seconds: float | None = None,
           retry: bool = False, grace: float = 60.0, service: Service | None = None, classes: dict[str, type] | None = None,
           progress: Progress | None = None, **options: Any) -> Standing:
    """Send the events of ``data`` through the circuit of ``model`` to a machine, in jobs whose scores :func:`fetch` makes.

    Returns when all jobs are queued. The folder ``out`` notes everything; after a kill the same call goes on, and no job
    is sent twice.

    model, data    folder that ``qad fit`` wrote, or ``model/`` of a run; sample
    backend        ``fake_torino``, … simulated here at the first fetch; ``ibm_…`` by the account that the user has saved
    max_seconds    of QPU time: where the estimate is above, nothing is sent, and later no retry
    retry          send again what failed or was cancelled
    grace          how long a service is asked for a job that it may have taken before it is sent again [s]
    service        in place of the one that ``backend`` names
    classes        unregistered classes of the model, as in :func:`qad.load`
    options        shots (4096), chunk (events a job), mode (batch, session, job), seed (of the transpiler), mitigation (none,
                   readout), events (the first so many), options (those of a job: ``qad.quantum.backends.options``)

    Raises :class:`InputError`; of it :class:`~qad.quantum.backends.service.ServiceError` if the service says no.
    """
    max_seconds, grace = checked.seconds("max_seconds", max_seconds), checked.seconds("grace", grace)
    model, data, folder = Path(model), Path(data), Folder(out)
    asked, sample = planning.request(model, data, backend, **options)
    if (record := folder.plan()) is not None:
        planning.same(record, asked, folder.path)
        return resume(out, max_seconds=max_seconds, retry=retry, grace=grace, service=service, progress=progress)
    _check_new(folder.path)
    service = service or ibm.open_service(backend, folder.path / "queue", asked.mode, asked.options)
    planned = planning.make(asked, sample, model, data, service, classes)
    if max_seconds is not None and planned.estimate.qpu_seconds > max_seconds:
        raise InputError(f"{planned.estimate.qpu_seconds:,.0f} QPU s are estimated, and max_seconds={max_seconds:,.0f}: "
                         "nothing was sent; take fewer events or shots, or allow more")
    _say(planned.estimate)
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {folder.path}: {error.strerror}; choose a folder you can write to") from None
    with folder.locked():
        record = folder.plan()  # another process may have been faster
        if record is None:
            record = planning.write(planned, folder, max_seconds)
        planning.same(record, asked, folder.path)
        return send_missing(folder, record, service, retry, max_seconds, grace, progress)


def resume(out: str | Path, *, max_seconds: float | None = None, retry: bool = False, grace: float = 60.0,
           service: Service | None = None, progress: Progress | None = None) -> Standing:
    """Send what is not sent yet of the submission in ``out``; arguments as for :func:`submit`. Raises :class:`InputError`."""
    max_seconds, grace = checked.seconds("max_seconds", max_seconds), checked.seconds("grace", grace)
    folder, record = _opened(out)
    with folder.locked():
        return send_missing(folder, record, service, retry, max_seconds, grace, progress)


def status(out: str | Path, service: Service | None = None) -> Standing:
    """Where the jobs of the submission in ``out`` stand. Changes nothing; without an answer, what was last known.

    Jobs on a snapshot are not asked: they run when they are fetched. Raises :class:`InputError`.
    """
    folder, record = _opened(out)
    chunks, problem = folder.chunks(record), ""
    waiting = [c for c in chunks if c.awaited and not folder.fetched(c)]
    if waiting and (service is not None or not ibm.is_snapshot(record["request"]["backend"])):
        try:
            service = service or service_of(folder, record)
            for chunk in waiting:
                found = service.state(chunk.last.job)
                chunk.last.state, chunk.last.reason = found.status, found.reason
                chunk.last.qpu_seconds = chunk.last.qpu_seconds if found.qpu_seconds is None else found.qpu_seconds
        except ServiceError as error:
            problem = f"{error}; shown is what was last known"
    return standing(folder, record, chunks, folder.scored(), problem)


def fetch(out: str | Path, wait: bool = False, *, poll: float = 10.0, grace: float = 60.0, service: Service | None = None,
          classes: dict[str, type] | None = None, progress: Progress | None = None) -> Standing:
    """Fetch the counts of finished jobs of the submission in ``out`` and write ``scores.csv``: event, score, error from shots.

    May be called again and again, also on a copy of the folder on another computer; nothing is fetched twice. A job that was
    too large is sent again in halves.

    wait      until no job is queued or running, asking every ``poll`` seconds; a job whose result is at fault is not waited for
    classes   unregistered classes of the model, as in :func:`qad.load`

    Raises :class:`ServiceError` if the service does not answer or says no, after the scores of what is here are written.
    """
    grace, poll = checked.seconds("grace", grace), checked.seconds("poll", poll)
    folder, record = _opened(out)
    with folder.locked():
        visits, scored = Fetching(folder, record, service, grace, progress), None
        try:
            while True:
                if visits.once(wait) or scored is None:
                    scored = write_scores(folder, record, classes) or 0
                chunks = folder.chunks(record)
                missing = any(c.awaited and not folder.fetched(c) and c.name not in visits.faults for c in chunks)
                if not (wait and missing) or visits.refused:
                    break
                if visits.away:
                    warnings.warn(f"{visits.away}; asking again", stacklevel=2)
                time.sleep(poll)
        finally:
            visits.close()
        found = standing(folder, record, chunks, scored)
    if visits.problem:
        raise type(visits.problem)(f"{visits.problem}; {found.scored:,} of {found.events:,} events are scored"
                                   + (f" in {folder.path / 'scores.csv'}" if scored else "") + ", and the same command goes on")
    return found


def _opened(out: str | Path) -> tuple[Folder, dict[str, Any]]:
    folder = Folder(out)
    if (record := folder.plan()) is None:
        raise InputError(f"{out} holds no submission: type  qad hardware submit MODEL --data FILE --backend NAME -o {out}")
    return folder, record


def _check_new(path: Path) -> None:
    if path.exists() and not (path.is_dir() and ((path / ".lock").exists() or not any(path.iterdir()))):
        raise InputError(f"{path} exists and holds no submission: give another folder")


def _say(estimate: Estimate) -> None:
    for sentence in estimate.ignored:
        warnings.warn(sentence, ibm.IgnoredOptionWarning, stacklevel=3)
