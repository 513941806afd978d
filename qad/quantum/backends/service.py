"""The contract of a service that queues jobs: IBM Runtime, a local stand-in, or the double of a test."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from qad.errors import InputError

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.providers import BackendV2

Status = Literal["queued", "running", "done", "failed", "cancelled"]


class ServiceError(InputError):
    """The service said no, and asking again will not help: an expired token, an unknown machine, a job it will not take."""


class TooLargeError(ServiceError):
    """The service will not take or finish a job of this size: split it."""


class UnreachableError(ServiceError):
    """No answer, or a passing fault: whether the job was taken is not known; ask again later."""


@dataclass(frozen=True)
class JobState:
    """Where a job stands.

    reason       what the service says of a failed or cancelled job
    too_large    it failed for its size: split it
    qpu_seconds  charged so far, if the service tells
    """

    status: Status
    reason: str = ""
    too_large: bool = False
    qpu_seconds: float | None = None


class Service(ABC):
    """Jobs of one circuit and a table of angles each. Errors never hold a token.

    session_id   of the batch or session that the jobs run in, once one is open: what a later process gives to go on in it
    lags         a job that was taken may not be found at once: who is in doubt asks again for a while
    """

    machine: BackendV2
    session_id: str | None = None
    lags: bool = True

    @abstractmethod
    def submit(self, circuit: QuantumCircuit, angles: np.ndarray, shots: int, tag: str) -> str:
        """Queue ``circuit`` (ISA, register ``trash``) for each row of ``angles``; returns the job's id.

        angles   a column for each of the circuit's parameters, in their order; ``(1, 0)`` for a circuit without
        tag      the submission's own name, by which :meth:`find` knows it

        Raises :class:`TooLargeError`, :class:`UnreachableError` (it may have been taken all the same), :class:`ServiceError`.
        """

    @abstractmethod
    def find(self, tag: str) -> str | None:
        """Id of the job that was submitted with ``tag``, or None: after a kill between submission and note."""

    @abstractmethod
    def state(self, job_id: str) -> JobState:
        """Where a job stands."""

    @abstractmethod
    def counts(self, job_id: str) -> np.ndarray:
        """Counts of a finished job, ``(rows, 2^read)``, int64; the highest bit of ``trash`` is the most significant."""

    @abstractmethod
    def cancel(self, job_id: str) -> None:
        """Ask for a job to be cancelled; one that has ended stays as it is."""

    def open(self) -> str | None:
        """Open the batch or session, or go on in it; returns its id, None where jobs run in neither."""
        return None

    def close(self) -> None:  # noqa: B027
        """Take no more jobs in this batch or session, if one is open: a session is paid for until then. Those queued run."""
