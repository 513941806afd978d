"""How fast noisy circuits are: ratios to Qiskit Runtime's sampler in local testing mode, taken in the same process and run."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from qad.errors import require
from qad.quantum import ansatze, encodings
from qad.quantum.backends import primitive
from qad.quantum.backends.aer import Aer
from qad.quantum.backends.noise import snapshot
from qad.quantum.circuit import Circuit

EVENTS, SHOTS = 100, 1000


def contest(machine: str, n_qubits: int = 4, latent: int = 2, events: int = EVENTS,
            shots: int = SHOTS) -> tuple[Callable[[], np.ndarray], Callable[[], np.ndarray], Callable[[int], np.ndarray]]:
    """Shares ``(events, 2^read)`` of the autoencoder of arXiv:2112.04958 on a snapshot: ours, the sampler's from one table of
    angles, and the sampler's for the i-th event by itself. All from one transpiled circuit.
    """
    require("qiskit_ibm_runtime", "ibm")
    from qiskit_ibm_runtime import SamplerV2

    rng = np.random.default_rng(0)
    ansatz, shape = ansatze.get("all-pairs", n_qubits, latent)
    circuit = Circuit(encodings.angle, ansatz, shape, n_qubits)
    X = rng.uniform(0, np.pi, (events, n_qubits))
    compiled: Any = Aer(machine, optimization_level=3).compile(circuit, latent, rng.uniform(0, np.pi, shape))
    angles, isa = compiled.isa.angles(X), compiled.isa.circuit

    def theirs(table: np.ndarray) -> np.ndarray:
        with warnings.catch_warnings():  # its successor is ten times slower on a snapshot
            warnings.filterwarnings("ignore", "The SamplerV2 class is deprecated", DeprecationWarning)
            sampler = SamplerV2(mode=snapshot(machine))
        return primitive.counts(sampler.run([primitive.pub(isa, table)], shots=shots).result()) / shots

    return (lambda: compiled.probabilities(X, shots=shots)), (lambda: theirs(angles)), (lambda i: theirs(angles[i : i + 1]))


def seconds(machine: str, alone: int = 3) -> dict[str, float]:
    """Seconds of :func:`contest`: ``ours``, the sampler from one ``table``, and event by event, from ``alone`` of them."""
    ours, table, one = contest(machine)
    ours()
    found = {"ours": min(_clock(ours) for _ in range(5)), "table": _clock(table)}
    return found | {"alone": sum(_clock(lambda i=i: one(i)) for i in range(alone)) / alone * EVENTS if alone else 0.0}


def _clock(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
