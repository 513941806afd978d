"""A queue on disk that stands in for an IBM machine: the same jobs, on a snapshot of it, on this computer."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.providers import BackendV2

from qad.errors import InputError, WriteError
from qad.quantum.backends import primitive
from qad.quantum.backends.account import asked
from qad.quantum.backends.isa import ISA, from_qpy, to_qpy
from qad.quantum.backends.options import RuntimeOptions
from qad.quantum.backends.service import JobState, Service, ServiceError

DAY = 86_400


class LocalService(Service):
    """Jobs in ``folder``, one folder each, run by the first :meth:`state` or :meth:`counts` that asks for them.

    machine   name of a snapshot, or a ``BackendV2`` with error rates
    options   :class:`~qad.quantum.backends.options.RuntimeOptions` or a dict of them: ``sampler`` is what counts here

    Counts follow from the tag, so a job that is killed and run again gives the same; a submission that is repeated is another
    job, as it would be at IBM. Files are written beside their place and renamed; what a kill left beside goes after a day.
    """

    lags = False

    def __init__(self, machine: str | BackendV2, folder: str | Path, options: Any = None) -> None:
        if isinstance(machine, str):
            from qad.quantum.backends.noise import snapshot

            machine = snapshot(machine)
        self.machine, self.folder, self.options = machine, Path(folder), RuntimeOptions.of(options)
        self._ready: tuple[bytes, QuantumCircuit, Any] | None = None
        self._swept = False

    def __repr__(self) -> str:
        return f"LocalService({self.machine.name!r}, {str(self.folder)!r})"

    def submit(self, circuit: QuantumCircuit, angles: np.ndarray, shots: int, tag: str) -> str:
        from qad.quantum.backends.runtime import checked

        angles = checked(circuit, angles, shots, self.options)
        job = {"machine": self.machine.name, "tag": tag, "shots": int(shots), "options": self.options.given,
               "parameters": [p.name for p in circuit.parameters]}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._sweep()
            beside = Path(tempfile.mkdtemp(prefix=".new-", dir=self.folder))
            (beside / "circuit.qpy").write_bytes(to_qpy([circuit]))
            (beside / "job.json").write_text(json.dumps(job, indent=1))
            np.save(beside / "angles.npy", angles)
            return self._placed(beside, _name(tag))
        except OSError as error:
            raise WriteError(f"{self.folder}: {error.strerror or error}; free some space, or give another folder") from None

    def _sweep(self) -> None:
        """Remove what killed processes left, once; not what another process may be writing now."""
        if self._swept:
            return
        self._swept = True
        for left in [*self.folder.glob(".new-*"), *self.folder.glob("local-*/.counts-*")]:
            with suppress(OSError):  # another process was faster
                if left.stat().st_mtime < time.time() - DAY:
                    shutil.rmtree(left) if left.is_dir() else left.unlink()

    def _placed(self, beside: Path, name: str) -> str:
        for number in count():
            try:
                beside.rename(self.folder / f"{name}-{number}")  # onto a job that is there it fails
                break
            except OSError:
                if not (self.folder / f"{name}-{number}").exists():
                    raise
        return f"{name}-{number}"

    def find(self, tag: str) -> str | None:
        found = sorted(self.folder.glob(f"{_name(tag)}-*"), key=lambda path: int(path.name.rpartition("-")[2]))
        return found[0].name if found else None

    def state(self, job_id: str) -> JobState:
        job = self._job(job_id)
        if (job / "counts.npy").exists():
            return JobState("done", qpu_seconds=0.0)
        if (job / "cancelled").exists():
            return JobState("cancelled", "it was cancelled")
        try:
            counts = self._run(job)
        except (InputError, ServiceError) as error:
            return JobState("failed", str(error))
        handle, beside = tempfile.mkstemp(prefix=".counts-", suffix=".npy", dir=job)
        with os.fdopen(handle, "wb") as file:
            np.save(file, counts)
        os.replace(beside, job / "counts.npy")
        return JobState("done", qpu_seconds=0.0)

    def counts(self, job_id: str) -> np.ndarray:
        state = self.state(job_id)
        if state.status != "done":
            raise ServiceError(f"job {job_id} has no counts, it is {state.status}: {state.reason}")
        return np.load(self._job(job_id) / "counts.npy", allow_pickle=False)

    def cancel(self, job_id: str) -> None:
        job = self._job(job_id)
        if not (job / "counts.npy").exists():
            (job / "cancelled").touch()

    def _job(self, job_id: str) -> Path:
        job = self.folder / job_id
        if "/" in job_id or job_id.startswith(".") or not (job / "job.json").is_file():
            raise ServiceError(f"no job '{job_id}' in {self.folder}; expected the folder that it was submitted to")
        if (found := json.loads((job / "job.json").read_text())["machine"]) != self.machine.name:
            raise ServiceError(f"job {job_id} is for {found}, and this is {self.machine.name}; give the machine of the job")
        return job

    def _run(self, job: Path) -> np.ndarray:
        """Counts, the same whenever and however often it is run."""
        header = json.loads((job / "job.json").read_text())
        options, shots = RuntimeOptions.of(header["options"]), header["shots"]
        angles = np.load(job / "angles.npy", allow_pickle=False)
        circuit, machine = self._machine((job / "circuit.qpy").read_bytes(), str(job / "circuit.qpy"), options)
        angles = angles[:, [header["parameters"].index(p.name) for p in circuit.parameters]]
        seed = int.from_bytes(hashlib.sha256(header["tag"].encode()).digest()[:4]) >> 1  # what Aer takes
        if options.sampler == "exact":
            p = np.maximum(machine.exact(circuit, angles), 0)
            return np.random.default_rng(seed).multinomial(shots, p / p.sum(1, keepdims=True)).astype(np.int64)
        sampler = primitive.sampler(self.machine, options, header["tag"], seed)
        job = asked("local testing mode", sampler.run, [primitive.pub(circuit, angles)], shots=shots)
        return primitive.counts(asked("local testing mode", job.result))

    def _machine(self, text: bytes, where: str, options: RuntimeOptions) -> tuple[QuantumCircuit, Any]:
        """The circuit and, for ``sampler='exact'``, its distribution made ready: once for all jobs of a circuit."""
        if self._ready is None or self._ready[0] != text:
            self._ready = text, from_qpy(text, where)[0], None
        text, circuit, machine = self._ready
        if machine is None and options.sampler == "exact":
            from qad.quantum.backends.aer import Machine

            machine = Machine(ISA(circuit, None), self.machine)
            self._ready = text, circuit, machine
        return circuit, machine


def _name(tag: str) -> str:
    return f"local-{hashlib.sha256(tag.encode()).hexdigest()[:16]}"
