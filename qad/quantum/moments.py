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
PAULIS = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])  # X, Y, Z


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
    found: list[Moment] = []
    for local, steps in itertools.groupby(program.steps, _one_qubit):
        if local:
            found.append(_fused(list(steps), half, program.n_qubits, angles))
        else:
            found.extend(Moment(step) for step in steps)
    return found


def _fused(steps: list[Step], half: np.ndarray, n: int, like: torch.Tensor) -> Moment:
    """All wires at once: the k-th gates of each, made as long as the longest with ones."""
    def on_device(matrix: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(matrix, dtype=COMPLEX[like.dtype], device=like.device)

    row = {wire: i for i, wire in enumerate(sorted({step.wires[0] for step in steps}))}
    depth = [0] * len(row)
    turns: list[tuple[int, int, int, int]] = []  # place on the wire, row of the wire, slot, Pauli
    fixed: list[tuple[int, int, np.ndarray]] = []
    for step in steps:
        i = row[step.wires[0]]
        if isinstance(step, Fixed):
            fixed.append((depth[i], i, step.matrix.cpu().numpy()))
        else:
            turns.append((depth[i], i, step.slot, "XYZ".index(step.word)))
        depth[i] += 1
    after = np.tile(IDENTITY.astype(complex), (max(depth), len(row), 1, 1))
    if turns:
        turns.sort(key=lambda t: (t[1], t[0]))  # wire by wire, as the generators go into their groups
        place, wire, slot, pauli = np.array(turns).T
        angle, P = half[slot, None, None], PAULIS[pauli]
        after[place, wire] = np.cos(angle) * IDENTITY - 1j * np.sin(angle) * P
    for k, i, matrix in fixed:
        after[k, i] = matrix
    for k in reversed(range(len(after) - 1)):  # the gates from each place on; a rotation's own commutes with its generator
        after[k] = after[k + 1] @ after[k]
    if turns:
        behind = after[place, wire]
        generators = behind @ P @ behind.conj().swapaxes(1, 2)
    unitaries, made = [], []
    for group in groups(n):
        if not row.keys() & set(group):
            continue
        unitaries.append(OnGroup(group, on_device(functools.reduce(
            _kron, [after[0, row[q]] if q in row else IDENTITY for q in group]))))
        here = {row[q]: q for q in group if q in row}
        inside = [j for j, t in enumerate(turns) if t[1] in here]
        if inside:  # 1 ⊗ h ⊗ 1
            first, last = inside[0], inside[-1] + 1
            flat = generators[first:last].reshape(-1, 1, 4)
            units = np.stack([_units(here[turns[j][1]] - group.start, len(group)) for j in inside])
            matrix = on_device((flat @ units).reshape(-1, 2 ** len(group)))
            made.append(OnGroup(group, matrix, tuple(turns[j][2] for j in inside)))
    return Moment(None, unitaries, made)


def _kron(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """np.kron of matrices, without its checks."""
    return (a[:, None, :, None] * b[None, :, None, :]).reshape(len(a) * len(b), -1)


@functools.cache
def _units(place: int, size: int) -> np.ndarray:
    """1 ⊗ |x⟩⟨y| ⊗ 1 with the unit matrix at ``place`` of ``size`` qubits, ``(4, 4^size)``, x and y from 0 to 1."""
    before, after = np.eye(2**place), np.eye(2 ** (size - 1 - place))
    units = [_kron(_kron(before, unit.reshape(2, 2)), after) for unit in np.eye(4)]
    return np.stack(units).reshape(4, -1)


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
