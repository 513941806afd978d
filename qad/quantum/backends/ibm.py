"""IBM machines: by name, their calibration, a service for their jobs, and a backend that waits for the results.

What to use when: ``qad hardware`` and :func:`open_service` for jobs that outlive this process, which is what a queue of hours
asks for; :class:`IBM` for a few events, or for training. A name that begins with ``fake_`` is a snapshot of a machine,
simulated here; every other is asked for with the account that the user saved. There is no way to give a token.
"""

from __future__ import annotations

import shutil
import tempfile
import time
import uuid
import warnings
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.providers import BackendV2

from qad.errors import InputError
from qad.quantum.backends.account import asked, present
from qad.quantum.backends.base import DEFAULT_SHOTS, Backend, Compiled, check_shots
from qad.quantum.backends.isa import ISA, transpiled
from qad.quantum.backends.options import IgnoredOptionWarning, RuntimeOptions, ignored, is_snapshot
from qad.quantum.backends.primitive import MOST_EXECUTIONS
from qad.quantum.backends.service import Service, ServiceError, TooLargeError, UnreachableError
from qad.quantum.circuit import Circuit
from qad.quantum.export import qiskit_circuit

__all__ = ["IBM", "IgnoredOptionWarning", "RuntimeOptions", "calibration", "ignored", "is_snapshot", "machine", "open_service",
           "present"]

#: Seconds between two questions for a job, and how often a service that does not answer is asked again.
PAUSE, PATIENCE = 2.0, 30
#: How long a job in doubt is looked for before it is sent again [s], since the service's list may lag; how often it is sent.
GRACE, TRIES = 60.0, 5


def machine(name: str) -> BackendV2:
    """The machine ``name``: a snapshot (``fake_torino``), or one of the user's account. Raises :class:`InputError`."""
    if is_snapshot(name):
        from qad.quantum.backends.noise import snapshot

        return snapshot(name)
    from qad.quantum.backends import runtime

    return runtime.backend(runtime.account(), name)


def open_service(name: str, folder: str | Path | None = None, mode: str | None = None, options: Any = None,
                 session_id: str | None = None) -> Service:
    """The service for jobs on the machine ``name``.

    folder      where the jobs of a snapshot lie; not used by a real machine
    mode        ``batch``, ``session`` or ``job``; None: what ``options`` say
    options     :class:`~qad.quantum.backends.options.RuntimeOptions`, or a dict of them; :func:`ignored` names what will have
                no effect
    session_id  of the batch or session of an earlier process

    Raises :class:`~qad.quantum.backends.service.ServiceError` and its kinds.
    """
    options = RuntimeOptions.of(options)
    options = options if mode is None else replace(options, mode=mode)
    if is_snapshot(name):
        from qad.quantum.backends.local import LocalService

        if folder is None:
            raise InputError(f"jobs on {name} are files: expected a folder for them")
        return LocalService(name, folder, options)
    from qad.quantum.backends.runtime import RuntimeService

    return RuntimeService(name, options, session_id)


def calibration(circuit: QuantumCircuit, machine: BackendV2) -> dict[str, Any]:
    """What the machine says of itself where ``circuit`` (ISA) runs, as JSON.

    ``machine``, ``date`` (ISO 8601, None if it tells none); ``qubits``: for each in use ``t1`` and ``t2`` [s],
    ``readout_error`` and ``readout_duration`` [s]; ``gates``: ``gate``, ``qubits``, ``error`` and ``duration`` [s] of each.
    """
    target = machine.target
    used = ISA(circuit, None).layout
    steps = {(step.operation.name, tuple(circuit.find_bit(q).index for q in step.qubits)) for step in circuit.data
             if step.operation.name not in ("barrier", "measure", "delay")}
    properties = asked(f"calibration of {machine.name}", machine.properties) if hasattr(machine, "properties") else None
    date = getattr(properties, "last_update_date", None)

    def of(gate: str, qubits: tuple[int, ...]) -> tuple[float | None, float | None]:
        found = target[gate].get(qubits) if gate in target.operation_names and target[gate] else None
        return (None, None) if found is None else (_number(found.error), _number(found.duration))

    qubits = {}
    for q in used:
        own = target.qubit_properties[q] if target.qubit_properties else None
        error, duration = of("measure", (q,))
        qubits[str(q)] = {"t1": _number(getattr(own, "t1", None)), "t2": _number(getattr(own, "t2", None)),
                          "readout_error": error, "readout_duration": duration}
    gates = [dict(zip(("gate", "qubits", "error", "duration"), (name, list(at), *of(name, at)), strict=True))
             for name, at in sorted(steps)]
    return {"machine": machine.name, "date": None if date is None else date.isoformat(), "qubits": qubits, "gates": gates}


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


class IBM(Backend):
    """A machine of IBM, or a snapshot of one, that is waited for.

    machine             ``fake_torino``, ``ibm_…``
    optimization_level  of the transpiler, 0 to 3; from 2 on qubits are chosen by their error rates
    seed, tries         of the transpiler: the best of so many, see :func:`qad.quantum.backends.isa.transpiled`
    chunk               events a job, at most; fewer where the service says so
    options             those of :class:`~qad.quantum.backends.options.RuntimeOptions`; an :class:`IgnoredOptionWarning` names
                        those that have no effect

    There is no exact distribution: ``shots=None`` takes 4096.
    """

    name = "ibm"

    def __init__(self, machine: str | None = None, optimization_level: int = 3, seed: int = 0, tries: int = 4,
                 chunk: int = 1000, **options: Any) -> None:
        if machine is None:
            raise InputError("backend 'ibm' without a machine: expected machine='ibm_…' of your account, or a snapshot such as "
                             "'fake_torino'; type  --option machine=NAME")
        if not isinstance(chunk, int) or chunk < 1:
            raise InputError(f"chunk={chunk!r}: expected a whole number of events a job, from 1")
        self.options, self.machine, self.chunk = RuntimeOptions.of(options), machine, chunk
        self.seed, self.tries, self.optimization_level = seed, tries, optimization_level
        if without := ignored(self.options, machine):
            warnings.warn("; ".join(without), IgnoredOptionWarning, stacklevel=2)

    def compile(self, circuit: Circuit, latent: int, weights: Any = None, example: Any = None) -> Compiled:
        folder = tempfile.mkdtemp(prefix="qad-")
        service = open_service(self.machine, folder, options=self.options)
        exported = qiskit_circuit(circuit, weights, latent, example=example)
        isa = transpiled(exported, service.machine, self.seed, self.optimization_level, self.tries, free=weights is None)
        found = Awaited(isa, service, self.chunk)
        weakref.finalize(found, shutil.rmtree, folder, ignore_errors=True)
        weakref.finalize(found, _close, service)  # at the end of the process, too: an open session is paid for
        return found


def _close(service: Service) -> None:
    try:
        service.close()
    except ServiceError as error:
        warnings.warn(f"{service.session_id} may still be open, and a session is paid for until it is closed: {error}; "
                      "close it at https://quantum.cloud.ibm.com", stacklevel=1)


class Awaited(Compiled):
    """A circuit for a machine, whose results are waited for."""

    def __init__(self, isa: ISA, service: Service, chunk: int) -> None:
        self.isa, self.service, self.chunk = isa, service, chunk
        self.two_qubit_gates, self.depth, self.layout = isa.two_qubit_gates, isa.depth, isa.layout

    def probabilities(self, X: Any, weights: Any = None, shots: int | None = None, seed: int = 0) -> np.ndarray:
        check_shots(shots)
        shots = DEFAULT_SHOTS if shots is None else int(shots)
        angles = self.isa.angles(X, weights)  # free weights are columns: many sets of them share a job
        each = max(1, min(self.chunk, MOST_EXECUTIONS // shots))
        run = f"qad seed {seed}" if is_snapshot(self.service.machine) else f"qad-{uuid.uuid4().hex}"
        parts = [(start, min(start + each, len(angles))) for start in range(0, len(angles), each)]
        jobs = [self._submitted(angles, part, shots, run) for part in parts]  # all wait in the queue together
        counts = [self._counts(angles, part, shots, run, job) for part, job in zip(parts, jobs, strict=True)]
        found = np.concatenate([np.empty((0, 2 ** len(self.isa.read))), *counts])
        return found / found.sum(1, keepdims=True)

    def _submitted(self, angles: np.ndarray, part: tuple[int, int], shots: int, run: str) -> str | None:
        """The job's id; None if it is too large."""
        tag = f"{run} {part[0]}-{part[1]}"
        for _ in range(TRIES):
            try:
                return self.service.submit(self.isa.circuit, angles[slice(*part)], shots, tag)
            except TooLargeError:
                return None
            except UnreachableError as error:
                problem = error
            if (found := self._found(tag)) is not None:  # it was taken all the same
                return found
        raise problem

    def _found(self, tag: str) -> str | None:
        """Id of a job in doubt; None once the service has had its time to know of it."""
        until = time.monotonic() + (GRACE if self.service.lags else 0.0)
        while True:
            late = time.monotonic() >= until  # before the question: its answer must be younger
            job: str | None = self._patiently(self.service.find, tag)
            if job is not None or late:
                return job
            time.sleep(PAUSE)

    def _counts(self, angles: np.ndarray, part: tuple[int, int], shots: int, run: str, job: str | None) -> np.ndarray:
        while job is not None:
            state = self._patiently(self.service.state, job)
            if state.status == "done":
                return np.asarray(self._patiently(self.service.counts, job), dtype=np.float64)
            if state.too_large:
                break
            if state.status in ("failed", "cancelled"):
                raise ServiceError(f"job {job} on {self.service.machine.name} has {state.status}: {state.reason}")
            time.sleep(PAUSE)
        start, stop = part
        if stop - start == 1:
            raise TooLargeError(f"one event with {shots} shots is too large for {self.service.machine.name}; take fewer shots")
        halves = [(start, (start + stop) // 2), ((start + stop) // 2, stop)]
        jobs = [self._submitted(angles, half, shots, run) for half in halves]
        return np.concatenate([self._counts(angles, h, shots, run, j) for h, j in zip(halves, jobs, strict=True)])

    def _patiently(self, ask: Any, *args: Any) -> Any:
        for _ in range(PATIENCE):
            try:
                return ask(*args)
            except UnreachableError as error:
                problem = error
                time.sleep(PAUSE)
        raise problem
