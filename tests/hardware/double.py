"""A service with its jobs on disk, outside the submission's folder: it survives a killed client, and counts what it did.

Counts of an event hang on its angles alone, so any way of bringing all events there once gives the same scores.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
from pathlib import Path

import numpy as np
from qiskit.quantum_info import Statevector

from qad.quantum.backends.isa import from_qpy, to_qpy
from qad.quantum.backends.service import JobState, Service, ServiceError, TooLargeError, UnreachableError

TOKEN = "tok3n-planted-in-this-test-0123456789abcdef"


class Double(Service):
    """
    delay      seconds in the queue
    lag        seconds until ``find`` lists a job
    most       rows that a submission may have; ``most_run``: that a job may have when it runs
    script     what the next submissions do: ok, lost (no answer, not taken), silent (no answer, taken), expired
    trouble    share of submissions, questions and results without an answer, by chance
    ends       of the next jobs: done, failed, cancelled
    ideal      counts of the noiseless circuit, by Qiskit
    """

    def __init__(self, store, machine, *, delay=0.0, lag=0.0, most=10**9, most_run=10**9, script=(), trouble=0.0, ends=(),
                 ideal=False):
        self.store, self.machine = Path(store), machine
        self.delay, self.lag, self.most, self.most_run = delay, lag, most, most_run
        self.script, self.trouble, self.ends, self.ideal = list(script), trouble, list(ends), ideal
        self.token = TOKEN  # as a real client holds one
        self.expired = self.down = False
        self.asked = 0
        (self.store / "jobs").mkdir(parents=True, exist_ok=True)

    def _answers(self):
        self.asked += 1
        if self.expired:
            raise ServiceError("the account's key has expired; type  QiskitRuntimeService.save_account(…)")
        if self.down or (self.trouble and int.from_bytes(os.urandom(2)) < self.trouble * 2**16):
            raise UnreachableError("no answer from the service")

    def submit(self, circuit, angles, shots, tag):
        act = self.script.pop(0) if self.script else "ok"
        if self.expired or act == "expired":
            raise ServiceError("the account's key has expired; type  QiskitRuntimeService.save_account(…)")
        if len(angles) > self.most:
            raise TooLargeError(f"{len(angles)} rows are too many, {self.most} at most")
        if act == "lost" or self.down:
            raise UnreachableError("no answer from the service")
        if self.trouble:
            self._answers()
        name = f"job{uuid.uuid4().hex[:12]}"
        beside = self.store / f"new-{name}"
        beside.mkdir()
        np.savez(beside / "job.npz", angles=angles)
        (beside / "circuit.qpy").write_bytes(to_qpy([circuit]) if self.ideal else b"")
        read = circuit.num_clbits
        job = {"tag": tag, "shots": shots, "read": read, "taken": time.time(), "end": self.ends.pop(0) if self.ends else "done"}
        (beside / "job.json").write_text(json.dumps(job))
        os.rename(beside, self.store / "jobs" / name)  # taken
        if act == "silent":
            raise UnreachableError("no answer from the service")
        if self.trouble:
            self._answers()
        return name

    def _job(self, name):
        return json.loads((self.store / "jobs" / name / "job.json").read_text())

    def _all(self):
        return {path.name: self._job(path.name) for path in (self.store / "jobs").iterdir()}

    def find(self, tag):
        self._answers()
        now = time.time()
        found = [name for name, job in self._all().items() if job["tag"] == tag and now >= job["taken"] + self.lag]
        return min(found, default=None)

    def _rows(self, name):
        with np.load(self.store / "jobs" / name / "job.npz") as file:
            return file["angles"]

    def state(self, name):
        self._answers()
        job = self._job(name)
        if job["end"] == "cancelled":
            return JobState("cancelled", "cancelled by an operator", qpu_seconds=0.0)
        if time.time() < job["taken"] + self.delay:
            return JobState("queued")
        if job["end"] == "failed":
            return JobState("failed", "the machine was being calibrated", qpu_seconds=1.0)
        if len(self._rows(name)) > self.most_run:
            return JobState("failed", "the result is larger than its limit", too_large=True, qpu_seconds=0.5)
        return JobState("done", qpu_seconds=2.0)

    def counts(self, name):
        if (state := self.state(name)).status != "done":
            raise ServiceError(f"job {name} is {state.status}")
        job, rows = self._job(name), self._rows(name)
        return np.array([self._measured(name, row, job) for row in rows])

    def _measured(self, name, row, job):
        rng = np.random.default_rng(np.frombuffer(hashlib.sha256(row.tobytes()).digest(), np.uint32))
        if not row.size:  # a circuit that measures the readout: every bit is wrong in 3 of 100
            wrong = np.bitwise_count(np.arange(2 ** job["read"]) ^ (2 ** job["read"] - 1 if "readout-1" in job["tag"] else 0))
            p = 0.03**wrong * 0.97 ** (job["read"] - wrong)
        elif self.ideal:
            circuit = from_qpy((self.store / "jobs" / name / "circuit.qpy").read_bytes(), "double")[0]
            read = {circuit.find_bit(s.clbits[0]).index: circuit.find_bit(s.qubits[0]).index for s in circuit.data
                    if s.operation.name == "measure"}
            bound = circuit.remove_final_measurements(inplace=False).assign_parameters(row)
            p = Statevector(bound).probabilities([read[bit] for bit in sorted(read)])
        else:
            p = rng.dirichlet(np.ones(2 ** job["read"]))
        return rng.multinomial(job["shots"], p / p.sum())

    def cancel(self, name):
        path = self.store / "jobs" / name / "job.json"
        path.write_text(json.dumps({**self._job(name), "end": "cancelled"}))

    def executions(self, angles):
        """How often each row of ``angles`` was run, and how many jobs each tag has."""
        runs, tags = np.zeros(len(angles), int), {}
        place = {row.tobytes(): i for i, row in enumerate(angles)}
        for name, job in self._all().items():
            tags[job["tag"]] = tags.get(job["tag"], 0) + 1
            rows = self._rows(name)
            if job["end"] == "done" and len(rows) <= self.most_run and rows.shape[1:] == angles.shape[1:]:
                for row in rows:
                    runs[place[row.tobytes()]] += 1
        return runs, tags
