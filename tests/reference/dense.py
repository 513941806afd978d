"""Slow and obviously right: circuits as products of dense matrices, written from the definitions, NumPy only."""

from __future__ import annotations

import functools

import numpy as np

PAULI = {"X": np.array([[0, 1], [1, 0]]), "Y": np.array([[0, -1j], [1j, 0]]), "Z": np.diag([1, -1])}


def rotation(axis: str, angle: float) -> np.ndarray:
    """exp(-i angle/2 P)."""
    return np.cos(angle / 2) * np.eye(2) - 1j * np.sin(angle / 2) * PAULI[axis]


def on_qubit(matrix: np.ndarray, qubit: int, n: int) -> np.ndarray:
    """The matrix on one of n qubits; qubit 0 is the leftmost factor."""
    return functools.reduce(np.kron, [matrix if q == qubit else np.eye(2) for q in range(n)])


def cnot(control: int, target: int, n: int) -> np.ndarray:
    """|1⟩⟨1| ⊗ X + |0⟩⟨0| ⊗ 1."""
    one, zero = np.diag([0, 1]), np.diag([1, 0])
    return on_qubit(one, control, n) @ on_qubit(PAULI["X"], target, n) + on_qubit(zero, control, n)


def one_particle_one_qubit_state(x: np.ndarray, scale: float) -> np.ndarray:
    """|φ(x)⟩ of one jet ``(n, 3)``."""
    n = len(x)
    state = np.zeros(2**n, complex)
    state[0] = 1
    for q, (z, deta, dphi) in enumerate(x):
        state = on_qubit(rotation("X", scale * z * dphi) @ rotation("Y", scale * z * deta), q, n) @ state
    return state


def one_particle_one_qubit_unitary(weights: np.ndarray) -> np.ndarray:
    """All-pairs CNOTs, then RX, RY, RZ on each qubit."""
    n = len(weights)
    u = np.eye(2**n, dtype=complex)
    for i in range(n):
        for j in range(i + 1, n):
            u = cnot(i, j, n) @ u
    for q, (a, b, c) in enumerate(weights):
        u = on_qubit(rotation("Z", c) @ rotation("Y", b) @ rotation("X", a), q, n) @ u
    return u


def infidelity(state: np.ndarray, u: np.ndarray, latent: int) -> float:
    """Probability that the trash qubits are not all |0⟩, from the reduced density matrix."""
    n = int(np.log2(len(state)))
    out = (u @ state).reshape(2**latent, 2 ** (n - latent))
    return float(1 - (out.conj().T @ out)[0, 0].real)
