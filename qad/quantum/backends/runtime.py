"""Jobs on a machine of IBM Quantum, through Qiskit Runtime and the account that the user has saved."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.providers import BackendV2

from qad.errors import InputError, did_you_mean, require
from qad.quantum.backends import primitive
from qad.quantum.backends.account import CLOSED, asked, redacted, too_large
from qad.quantum.backends.base import check_shots
from qad.quantum.backends.options import RuntimeOptions
from qad.quantum.backends.service import JobState, Service, ServiceError, Status, TooLargeError, UnreachableError
from qad.quantum.backends.wire import Wire

STATUS: dict[str, Status] = {"INITIALIZING": "queued", "QUEUED": "queued", "RUNNING": "running", "DONE": "done",
                             "CANCELLED": "cancelled", "ERROR": "failed"}


def account() -> Any:
    """Qiskit Runtime's service for the user's saved account, or that of the environment. Raises :class:`ServiceError`."""
    require("qiskit_ibm_runtime", "ibm")
    from qiskit_ibm_runtime import QiskitRuntimeService

    return asked("opening the IBM account", QiskitRuntimeService)


def machines() -> list[str]:
    """Names of the machines of the user's account, asked of IBM Quantum. Raises :class:`ServiceError`."""
    service = account()
    return sorted(machine.name for machine in asked("listing machines", service.backends))


def backend(service: Any, name: str) -> BackendV2:
    """The machine ``name`` of an account. Raises :class:`ServiceError`, naming the machines that there are."""
    try:
        machine = asked(f"machine '{name}'", service.backend, name)
        asked(f"calibration of '{name}'", lambda: (machine.properties(), machine.target))  # else asked for later, by anyone
        return machine
    except ServiceError as error:
        if "No backend matches" not in str(error):
            raise
    known = asked("listing machines", service.backends)
    if not known:  # the vendor's code takes any fault for an account without machines
        asked("opening the IBM account", service.usage)
        raise ServiceError(f"machine '{name}': the IBM account has no machines; check its instance at https://quantum.cloud.ibm.com")
    raise ServiceError(did_you_mean(name, [m.name for m in known], "machine of this IBM account"))


class RuntimeService(Service):
    """Jobs on the machine ``name``.

    options      :class:`~qad.quantum.backends.options.RuntimeOptions` or a dict of them
    session_id   of a batch or session of an earlier process, to go on in; one that is closed is opened anew

    The batch or session is opened with the first job. Raises :class:`ServiceError` and its kinds.
    """

    def __init__(self, name: str, options: Any = None, session_id: str | None = None, service: Any = None) -> None:
        self.options, self.session_id = RuntimeOptions.of(options), session_id
        self._service = account() if service is None else service
        self.machine = backend(self._service, name)
        self._instance = self._service.active_instance()  # of an account with several, the one with this machine
        if not getattr(self.machine, "dynamic_reprate_enabled", False):
            self.options = replace(self.options, rep_delay=None)
        self._mode: Any = None
        self._wire = Wire(self._service)

    def __repr__(self) -> str:
        return f"RuntimeService({self.machine.name!r}, mode={self.options.mode!r}, session_id={self.session_id!r})"

    def open(self) -> str | None:
        if self._mode is not None or self.options.mode == "job":
            return self.session_id
        from qiskit_ibm_runtime import Batch, Session

        kind = Batch if self.options.mode == "batch" else Session
        if self.session_id is not None:
            try:
                found = asked(f"{self.options.mode} {self.session_id}", kind.from_id, self.session_id, self._service)
                if asked(f"{self.options.mode} {self.session_id}", _takes_jobs, found):
                    self._mode = found
            except ServiceError as error:
                if "not found" not in str(error).lower():
                    raise
        if self._mode is None:
            self._mode = asked(f"opening a {self.options.mode}", kind, self.machine, max_time=self.options.max_open_time)
            self.session_id = self._mode.session_id
        return self.session_id

    def close(self) -> None:
        if self._mode is not None:
            asked(f"closing the {self.options.mode}", self._mode.close)
            self._mode = None

    def submit(self, circuit: QuantumCircuit, angles: np.ndarray, shots: int, tag: str) -> str:
        angles = checked(circuit, angles, shots, self.options)
        try:
            self.open()
            return self._sent(circuit, angles, shots, tag)
        except UnreachableError:
            raise
        except ServiceError as error:
            if self._mode is None or not CLOSED.search(str(error)):
                raise
        self._mode = self.session_id = None  # it was closed in between, and took nothing
        self.open()
        return self._sent(circuit, angles, shots, tag)

    def _sent(self, circuit: QuantumCircuit, angles: np.ndarray, shots: int, tag: str) -> str:
        self._wire.taken, doing = False, f"submitting {len(angles)} events"
        try:
            return asked(doing, self._run, circuit, angles, shots, tag)
        except ServiceError as error:
            if not self._wire.taken:
                raise
            problem = UnreachableError(f"{doing}: the job was taken, and its answer cannot be read ({error}); ask again later")
        raise problem  # in doubt, never refused: it runs, and is found by its tag

    def _run(self, circuit: QuantumCircuit, angles: np.ndarray, shots: int, tag: str) -> str:
        sampler = primitive.sampler(self._mode or self.machine, self.options, tag)
        found = sampler.run([primitive.pub(circuit, angles)], shots=shots).job_id()
        if not found:
            raise ServiceError("it came without an id")
        return str(found)

    def find(self, tag: str) -> str | None:
        jobs = asked("looking for a job", self._service.jobs, limit=10, instance=self._instance, job_tags=[tag])
        return next((str(job.job_id()) for job in jobs if tag in (job.tags or [])), None)

    def state(self, job_id: str) -> JobState:
        job = self._job(job_id)
        state = self._state(job_id, job)
        return state if state.status == "queued" else replace(state, qpu_seconds=self._seconds(job_id, job))

    def _state(self, job_id: str, job: Any) -> JobState:
        status = asked(f"job {job_id}", job.status)
        known: Status = "failed" if "RAN TOO LONG" in status else STATUS.get(status.partition(" ")[0], "running")
        reason = ""
        if known == "failed":
            reason = redacted(" ".join((asked(f"job {job_id}", job.error_message) or status.lower()).split()))
        if known == "cancelled":
            reason = "it was cancelled"
        large = known == "failed" and too_large(f"{status} {reason}")
        return JobState(known, reason, large)

    def _seconds(self, job_id: str, job: Any) -> float | None:
        try:
            usage = asked(f"job {job_id}", job.metrics).get("usage", {})
        except ServiceError:
            return None  # a detail: the state is known
        found = usage.get("qpu_charge_time_seconds", usage.get("quantum_seconds"))
        return None if found is None else float(found)

    def counts(self, job_id: str) -> np.ndarray:
        job = self._job(job_id)
        state = self._state(job_id, job)
        if state.status != "done":
            raise ServiceError(f"job {job_id} has no counts, it is {state.status}: {state.reason or 'ask again later'}")
        return primitive.counts(asked(f"results of job {job_id}", job.result))

    def cancel(self, job_id: str) -> None:
        try:
            asked(f"cancelling job {job_id}", self._job(job_id).cancel)
        except ServiceError:
            if self.state(job_id).status in ("queued", "running"):
                raise

    def _job(self, job_id: str) -> Any:
        return asked(f"job {job_id}", self._service.job, job_id)


def _takes_jobs(mode: Any) -> bool:
    details = mode.details() or {}
    return details.get("state") != "closed" and bool(details.get("accepting_jobs", True))


def checked(circuit: QuantumCircuit, angles: Any, shots: int, options: RuntimeOptions) -> np.ndarray:
    """The table of angles of a job, before anything is sent. Raises :class:`TooLargeError` and :class:`InputError`."""
    angles = np.asarray(angles, dtype=np.float64)
    if not circuit.num_parameters and angles.shape != (1, 0):
        raise InputError("no gate of this circuit depends on the events, so every event would score the same; expected one "
                         "with parameters")
    if angles.ndim != 2 or angles.shape[1] != circuit.num_parameters or not len(angles) or not np.isfinite(angles).all():
        raise InputError(f"angles of shape {angles.shape}: expected finite numbers [rad] of shape "
                         f"(events, {circuit.num_parameters}), for one event or more")
    check_shots(shots or 0)  # there is no exact distribution here
    if (wanted := len(angles) * options.executions(int(shots))) > primitive.MOST_EXECUTIONS:
        raise TooLargeError(f"{len(angles)} events with {shots} shots are {wanted:,} executions; expected at most "
                            f"{primitive.MOST_EXECUTIONS:,} a job; take fewer events a job")
    return angles
