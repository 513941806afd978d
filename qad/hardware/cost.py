"""What a submission takes, before anything is spent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from qad.errors import InputError
from qad.hardware.folder import ENDED, Attempt, Chunk
from qad.quantum.backends import isa as compiled
from qad.quantum.backends.primitive import MOST_EXECUTIONS

#: IBM's estimate (IBM docs, Workload usage): so long a job, and between two executions, where the machine does not tell.
JOB_SECONDS, REP_DELAY = 2.0, 250e-6
#: What a chunk keeps under unless it is told.
EXECUTIONS, EVENTS = 1_000_000, 1000


@dataclass(frozen=True)
class Estimate:
    """Cost of a submission.

    qubits           read and not; ``layout``: which of the machine's
    success          expected share of executions without any error, by the machine's calibration
    circuit_seconds  length of one execution; None: the machine does not tell, and it counts for nothing
    executions       events × shots, those that measure the readout among them
    qpu_seconds      2 s a job + (rep_delay + circuit_seconds) × executions; in mode ``session`` the least
    ignored          options that have no effect, with the reason
    """

    machine: str
    qubits: int
    layout: tuple[int, ...]
    two_qubit_gates: int
    depth: int
    success: float
    circuit_seconds: float | None
    rep_delay: float
    events: int
    shots: int
    executions: int
    jobs: int
    qpu_seconds: float
    ignored: tuple[str, ...] = ()
    mode: str = "batch"

    def __str__(self) -> str:
        length = "unknown" if self.circuit_seconds is None else f"{self.circuit_seconds * 1e6:.2f} µs"
        return "\n".join([
            f"machine               {self.machine}, qubits {', '.join(map(str, self.layout))}",
            f"qubits                {self.qubits}",
            f"two-qubit gates       {self.two_qubit_gates}",
            f"depth                 {self.depth}, {length}",
            f"without any error     {self.success:.1%} of executions expected",
            f"executions            {self.events:,} events × {self.shots:,} shots = {self.executions:,}"
            + (", readout included" if self.executions > self.events * self.shots else ""),
            f"jobs                  {self.jobs:,}",
            f"QPU time              about {self.qpu_seconds:,.1f} s"
            + (" at least; a session is charged for as long as it is open" if self.mode == "session" else "")])

    def of(self, rows: int) -> float:
        """QPU seconds of one job with so many rows of angles."""
        return JOB_SECONDS + rows * self.shots * (self.rep_delay + (self.circuit_seconds or 0.0))


def chunk_size(shots: int, asked: int | None = None) -> int:
    """Events of a job. Raises :class:`InputError` for more executions than the service takes."""
    if shots > MOST_EXECUTIONS:
        raise InputError(f"shots={shots}: expected at most {MOST_EXECUTIONS:,}, the executions of one job")
    if asked is None:
        return max(1, min(EVENTS, EXECUTIONS // shots))
    if asked < 1 or asked * shots > MOST_EXECUTIONS:
        most = MOST_EXECUTIONS // shots
        raise InputError(f"chunk={asked} events of {shots} shots: expected 1 to {most} events, {MOST_EXECUTIONS:,} executions "
                         "a job; leave it out to let qad choose")
    return asked


def estimate(isa: compiled.ISA, machine: Any, events: int, shots: int, chunk: int, readout_jobs: int = 0,
             rep_delay: float | None = None, ignored: list[str] | None = None, mode: str = "batch") -> Estimate:
    """What ``events`` in jobs of ``chunk`` take on ``machine``, and ``readout_jobs`` of one row each."""
    if rep_delay is None:
        rep_delay = getattr(machine, "default_rep_delay", None)
    length = compiled.duration(isa.circuit, machine.target)
    executions = (events + readout_jobs) * shots
    jobs = math.ceil(events / chunk) + readout_jobs
    rep_delay = REP_DELAY if rep_delay is None else float(rep_delay)
    success = math.exp(-compiled.expected_error(isa.circuit, machine.target))
    seconds = JOB_SECONDS * jobs + executions * (rep_delay + (length or 0.0))
    return Estimate(machine.name, len(isa.layout), isa.layout, isa.two_qubit_gates, isa.depth, success, length, rep_delay,
                    events, shots, executions, jobs, seconds, tuple(ignored or ()), mode)


class Allowance:
    """QPU seconds spent or queued, by the charge or else the estimate; raises where more would exceed ``limit``."""

    def __init__(self, estimate: Estimate, chunks: list[Chunk], limit: float | None) -> None:
        self.limit, self.estimate = limit, estimate
        self._of_chunk: dict[str, float] = {}
        for chunk in chunks:
            self.note(chunk)

    @property
    def spent(self) -> float:
        """Spent or queued [QPU s]."""
        return sum(self._of_chunk.values())

    def _of(self, chunk: Chunk) -> float:
        return self.estimate.of(chunk.stop - chunk.start)

    def note(self, chunk: Chunk) -> None:
        """What is now known of a chunk: an attempt counts from its intent on, and by its charge once it has ended."""
        self._of_chunk[chunk.name] = sum(self._attempt(chunk, a) for a in chunk.attempts)

    def _attempt(self, chunk: Chunk, attempt: Attempt) -> float:
        if attempt.state == "refused":
            return 0.0
        charged = attempt.qpu_seconds
        if charged is None or attempt.state not in ENDED:  # of a running job it grows
            return max(self._of(chunk), charged or 0.0)
        return charged

    def check(self, chunks: list[Chunk]) -> None:
        """Raise :class:`InputError` unless all of these may be sent."""
        more = sum(self._of(c) for c in chunks if not c.in_doubt)
        if self.limit is not None and more and self.spent + more > self.limit:
            raise InputError(f"{self.spent:,.0f} QPU s are spent or queued, {more:,.0f} more are estimated, and max_seconds="
                             f"{self.limit:,.0f}: nothing more was sent; allow more")
