"""Many vectors through a circuit at once: one-qubit gates between two entangling steps are fused into a few small matrices.

A moment of one-qubit gates is ⊗_q u_q. Its factors are multiplied up for groups of neighbouring qubits, so that the whole
moment is one product with a matrix of at most 32 × 32 for each group: linear algebra, on any device.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch

from qad.quantum.program import COMPLEX, Fixed, Permutation, Program, Rotation, Step, apply_word, forward

#: Qubits whose gates are multiplied into one matrix: 32 × 32 is where products of small matrices run best.
GROUP = 5
IDENTITY = np.eye(2)
PAULI = {"X": np.array([[0, 1], [1, 0]]), "Y": np.array([[0, -1j], [1j, 0]]), "Z": np.diag([1, -1])}


class OnGroup(NamedTuple):
    """Matrices ``(m·2^k, 2^k)``, one below the other, on the k neighbouring qubits of ``wires``; ``slots`` say whose."""

    wires: range
    matrix: torch.Tensor
    slots: tuple[int, ...] = ()

    def columns(self, vectors: torch.Tensor, n: int) -> torch.Tensor:
        """``(…, 2^n)`` as ``(2^k, rest)``, the group's index first."""
        size = self.matrix.shape[1]
        return vectors.reshape(-1, size, 2 ** (n - self.wires.stop)).transpose(0, 1).reshape(size, -1)

    def apply(self, vectors: torch.Tensor, n: int) -> torch.Tensor:
        """``(…, 2^n)`` → ``(rows, m·2^k, after)``, rows over all before the group and after over all behind it."""
        size, after = self.matrix.shape[1], 2 ** (n - self.wires.stop)
        if after == 1:
            return (vectors.reshape(-1, size) @ self.matrix.mT).unsqueeze(-1)
        return self.matrix @ vectors.reshape(-1, size, after)


@dataclass(frozen=True)
class Moment:
    """A step that entangles, or many that do not: their ``unitaries``, and the ``generators`` of their rotations.

    A generator is carried to the moment's end: with w the gates on its wire after it, w P w†, and -i/2 times it, applied last,
    is the derivative of the state.
    """

    step: Step | None = None
    unitaries: list[OnGroup] = field(default_factory=list)
    generators: list[OnGroup] = field(default_factory=list)


def groups(n: int) -> list[range]:
    """Neighbouring qubits, at most GROUP together, evenly."""
    count = -(-n // GROUP)
    edges = [round(i * n / count) for i in range(count + 1)]
    return [range(a, b) for a, b in itertools.pairwise(edges)]


def _one_qubit(step: Step) -> bool:
    return not isinstance(step, Permutation) and len(step.wires) == 1


def moments(program: Program, angles: torch.Tensor) -> list[Moment]:
    """The program at the given angles, runs of one-qubit steps fused."""
    half = angles.detach().cpu().double().numpy() / 2
    cos, sin = np.cos(half), -1j * np.sin(half)
    found: list[Moment] = []
    for local, steps in itertools.groupby(program.steps, _one_qubit):
        if local:
            found.append(_fused(list(steps), cos, sin, program.n_qubits, angles))
        else:
            found.extend(Moment(step) for step in steps)
    return found


def _fused(steps: list[Step], cos: np.ndarray, sin: np.ndarray, n: int, like: torch.Tensor) -> Moment:
    def on_device(matrix: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(matrix, dtype=COMPLEX[like.dtype], device=like.device)

    u: dict[int, np.ndarray] = {}
    slots: dict[int, list[int]] = {}
    generators: dict[int, np.ndarray] = {}  # wire → (m, 2, 2), carried on so far
    for step in steps:
        wire = step.wires[0]
        carried = generators.get(wire, np.empty((0, 2, 2)))
        if isinstance(step, Fixed):
            gate = step.matrix.cpu().numpy()
        else:
            P = PAULI[step.word]
            gate = cos[step.slot] * IDENTITY + sin[step.slot] * P
            carried = np.concatenate([carried, P[None]])  # its own gate commutes with it
            slots.setdefault(wire, []).append(step.slot)
        generators[wire] = gate @ carried @ gate.conj().T
        u[wire] = gate @ u[wire] if wire in u else gate
    unitaries, made = [], []
    for group in groups(n):
        if not u.keys() & set(group):
            continue
        unitaries.append(OnGroup(group, on_device(functools.reduce(np.kron, [u.get(q, IDENTITY) for q in group]))))
        inside = [q for q in group if q in slots]
        if inside:
            stacked = np.concatenate([_embedded(generators[q], q, group) for q in inside])
            made.append(OnGroup(group, on_device(stacked), tuple(slot for q in inside for slot in slots[q])))
    return Moment(None, unitaries, made)


def _embedded(h: np.ndarray, wire: int, group: range) -> np.ndarray:
    """Matrices ``(m, 2, 2)`` on a wire as ``(m·2^k, 2^k)`` on its group: 1 ⊗ h ⊗ 1."""
    before, after = np.eye(2 ** (wire - group.start)), np.eye(2 ** (group.stop - 1 - wire))
    return np.einsum("mxy,ij,kl->mixkjyl", h, before, after).reshape(-1, 2 ** len(group))


def advance(program: Program, moment: Moment, angles: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """``vectors`` ``(…, 2^n)`` after the moment."""
    shape = vectors.shape
    if moment.step is not None:
        return forward(program, moment.step, vectors.reshape(-1, shape[-1]), angles).reshape(shape)
    for unitary in moment.unitaries:
        vectors = unitary.apply(vectors, program.n_qubits)
    return vectors.reshape(shape)


def through(program: Program, angles: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """U ψ for each row of ``vectors`` ``(B, 2^n)``."""
    for moment in moments(program, angles):
        vectors = advance(program, moment, angles, vectors)
    return vectors


def tangents(program: Program, angles: torch.Tensor, states: torch.Tensor,
             fused: list[Moment] | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """U ψ ``(B, 2^n)`` and T ``(rotations, B, 2^n)`` with ∂(Uψ)/∂φ_p = -i/2 T_p, for each of the ``states``.

    One sweep: each rotation's vector is made where it stands and carried along with the others. ``fused``: what
    :func:`moments` gave for these angles, if it is at hand.
    """
    n = program.n_qubits
    T = torch.empty(program.n_angles, *states.shape, dtype=states.dtype, device=states.device)
    order: list[int] = []
    for moment in fused or moments(program, angles):
        if order:
            T[: len(order)] = advance(program, moment, angles, T[: len(order)])
        states = advance(program, moment, angles, states)
        if isinstance(moment.step, Rotation):
            T[len(order)] = apply_word(states, moment.step.word, moment.step.wires, n)
            order.append(moment.step.slot)
        for wires, H, slots in moment.generators:
            made = OnGroup(wires, H).apply(states, n)
            made = made.reshape(len(states), 2**wires.start, len(slots), H.shape[1], -1).movedim(2, 0)
            T[len(order) : len(order) + len(slots)] = made.reshape(len(slots), *states.shape)
            order += slots
    if order == sorted(order):
        return states, T
    return states, T[torch.argsort(torch.tensor(order, device=T.device))]


def expectations(program: Program, angles: torch.Tensor, states: torch.Tensor,
                 fused: list[Moment] | None = None) -> torch.Tensor:
    """⟨P_p⟩ of every rotation p at its place in the circuit, for each of the ``states``: ``(B, rotations)``.

    Read off the reduced density matrices of the groups of qubits at the end of each moment.
    """
    n = program.n_qubits
    out = torch.empty(len(states), program.n_angles, dtype=angles.dtype, device=states.device)
    for moment in fused or moments(program, angles):
        states = advance(program, moment, angles, states)
        if isinstance(moment.step, Rotation):
            turned = apply_word(states, moment.step.word, moment.step.wires, n)
            out[:, moment.step.slot] = torch.linalg.vecdot(states, turned).real
        for wires, H, slots in moment.generators:
            size = H.shape[1]
            t = states.reshape(len(states), -1, size, 2 ** (n - wires.stop)).transpose(1, 2).reshape(len(states), size, -1)
            reduced = torch.view_as_real(t @ t.mH).flatten(1)
            # Tr(H ρ) = Σ conj(H_ij) ρ_ij = Re H · Re ρ + Im H · Im ρ
            out[:, list(slots)] = reduced @ torch.view_as_real(H).reshape(len(slots), -1).mT
    return out
