"""Ansätze: quantum functions with trainable weights. ``shape(n)`` is the shape of the weights on n qubits.

What to use when: ``1p1q`` and ``all-pairs`` are the published autoencoders; each has one layer by design of its authors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pennylane as qml

from qad.errors import InputError, did_you_mean


def one_particle_one_qubit(weights: Any, wires: Any) -> None:
    """CNOT on all pairs, then RX, RY, RZ on each qubit; weights ``(qubits, 3)`` [rad] (arXiv:2502.17301).

    The rotations come last and act on one qubit each, so those of latent qubits and each trash qubit's last RZ
    cannot change the fidelity: of 3n parameters 2·trash are effective.
    """
    for a, b in combinations(wires, 2):
        qml.CNOT(wires=[a, b])
    for q, wire in enumerate(wires):
        qml.RX(weights[q, 0], wires=wire)
        qml.RY(weights[q, 1], wires=wire)
        qml.RZ(weights[q, 2], wires=wire)


def all_pairs(weights: Any, wires: Any) -> None:
    """RY(w_q/2) on each qubit, then CNOT on all pairs; weights ``(qubits,)`` [rad] (arXiv:2112.04958)."""
    for q, wire in enumerate(wires):
        qml.RY(weights[q] / 2, wires=wire)
    for a, b in combinations(wires, 2):
        qml.CNOT(wires=[a, b])


@dataclass(frozen=True)
class Ansatz:
    """A quantum function and the shape of its weights for a number of qubits."""

    function: Callable[..., None]
    shape: Callable[[int], tuple[int, ...]]


ANSATZE = {
    "1p1q": Ansatz(one_particle_one_qubit, lambda n: (n, 3)),
    "all-pairs": Ansatz(all_pairs, lambda n: (n,)),
}


def get(name: str) -> Ansatz:
    """The ansatz called ``name``."""
    if name not in ANSATZE:
        raise InputError(did_you_mean(name, ANSATZE, "ansatz"))
    return ANSATZE[name]
