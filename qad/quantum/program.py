"""Compile a PennyLane quantum function into a Program: Pauli rotations by trainable angles between fixed gates.

A rotation is exp(-i φ/2 P) with P a Pauli word. Whatever else depends on the weights is taken apart by PennyLane until
only such rotations remain (global phases are dropped). The angles φ = A θ + b of most circuits depend linearly on the weights:
then PennyLane is asked once, and never again while training. Otherwise φ(θ) is traced anew at each θ.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pennylane as qml
import torch

from qad.errors import InputError

#: 1,000 encoded events on 14 qubits are 250 MiB; every qubit doubles it.
MOST_QUBITS = 14
#: A fixed gate on more wires is taken apart: its matrix would be larger than all else.
MOST_WIRES = 5
COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}
ROTATIONS = {"RX": "X", "RY": "Y", "RZ": "Z", "PhaseShift": "Z", "U1": "Z", "IsingXX": "XX", "IsingYY": "YY", "IsingZZ": "ZZ"}
PHASES = ("Identity", "Barrier", "GlobalPhase", "Snapshot")


@dataclass(frozen=True)
class Rotation:
    """exp(-i φ/2 P) with φ the angle number ``slot`` and P the Pauli ``word`` on ``wires``."""

    wires: tuple[int, ...]
    word: str
    slot: int


@dataclass(frozen=True)
class Fixed:
    """A ``matrix`` ``(2^k, 2^k)`` on the k ``wires``."""

    wires: tuple[int, ...]
    matrix: torch.Tensor


@dataclass(frozen=True)
class Permutation:
    """A permutation of basis states with phases: (Pψ)[i] = phase[i] ψ[index[i]]; ``inverse`` undoes the index.

    CNOT, CZ, SWAP, Toffoli and their like, joined while they follow each other; no ``phase``: all are 1.
    """

    index: torch.Tensor
    inverse: torch.Tensor
    phase: torch.Tensor | None = None
    parts: tuple[tuple[int, ...], ...] = ()  # wires of each gate that was joined into it


Step = Rotation | Fixed | Permutation


def check_size(n_qubits: int) -> None:
    """Raise :class:`InputError` for numbers of qubits whose mean state does not fit on this engine."""
    if not 1 <= n_qubits <= MOST_QUBITS:
        gib = 16e3 * 2.0**n_qubits / 2**30
        why = f" (a thousand encoded events would take {gib:,.0f} GiB)" if n_qubits > MOST_QUBITS else ""
        raise InputError(f"expected 1 to {MOST_QUBITS} qubits on the exact engine, got {n_qubits}{why}: give fewer particles "
                         "or features (each takes a qubit)")


def record(function: Callable[..., None], *args: Any, n_qubits: int, **kwargs: Any) -> list[Any]:
    """The operations a quantum function queues on wires 0 … n-1. Raises :class:`InputError` if it measures."""
    if isinstance(function, qml.QNode):
        raise InputError(f"{_name(function)} is a QNode; give the quantum function itself, gates without a measurement")
    tape = qml.tape.make_qscript(function)(*args, list(range(n_qubits)), **kwargs)
    if tape.measurements or any(isinstance(op, qml.measurements.MeasurementProcess) or "MidMeasure" in op.name
                                for op in tape.operations):
        raise InputError(f"{_name(function)} contains a measurement; a circuit here is gates only")
    outside = [w for op in tape.operations for w in op.wires if w not in range(n_qubits)]
    if outside:
        raise InputError(f"{_name(function)} acts on wire {outside[0]}; it is given the {n_qubits} wires 0 to {n_qubits - 1}")
    return list(tape.operations)


def _name(function: Any) -> str:
    return getattr(function, "__name__", None) or getattr(getattr(function, "func", None), "__name__", str(function))


def is_phase(op: Any) -> bool:
    """Does it change a global phase at most?"""
    return op.name in PHASES or (op.name == "PauliRot" and not set(op.hyperparameters["pauli_word"]) - {"I"})


def _depends(op: Any) -> bool:
    return any(isinstance(p, torch.Tensor) and p.requires_grad for p in op.parameters)


def _pieces(operations: Sequence[Any]) -> Iterator[Any]:
    """Operations taken apart until each is a Pauli rotation by an angle that depends on the weights, or a fixed matrix."""
    for op in operations:
        if is_phase(op):
            continue
        if _depends(op):
            if op.name in ROTATIONS or op.name in ("PauliRot", "MultiRZ"):
                yield op
            elif op.has_decomposition:
                yield from _pieces(op.decomposition())
            else:
                raise InputError(f"the trainable gate {op.name} is not made of Pauli rotations; write it with RX, RY, RZ, Rot, "
                                 "PauliRot, … instead")
        elif op.has_matrix and (len(op.wires) <= MOST_WIRES or not op.has_decomposition):
            yield op
        elif op.has_decomposition:
            yield from _pieces(op.decomposition())
        else:
            raise InputError(f"the gate {op.name} has no matrix; the exact engine runs unitary gates only")


def _word(op: Any) -> str:
    if op.name == "PauliRot":
        return op.hyperparameters["pauli_word"]
    return "Z" * len(op.wires) if op.name == "MultiRZ" else ROTATIONS[op.name]


def _rotation(op: Any, slot: int) -> Rotation:
    used = [(wire, letter) for wire, letter in zip(op.wires, _word(op), strict=True) if letter != "I"]
    return Rotation(tuple(wire for wire, _ in used), "".join(letter for _, letter in used), slot)


def pieces(function: Callable[..., None], shape: Sequence[int], n_qubits: int) -> list[Any]:
    """The gates of ``f(weights, wires)`` in order: a :class:`Rotation` for each that depends on the weights, numbered as in the
    :class:`Program`, and PennyLane's operation for any other, not joined and not multiplied out.
    """
    probe = torch.rand(tuple(shape), dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    with torch.enable_grad():
        found = list(_pieces(record(function, probe, n_qubits=n_qubits)))
    slots = itertools.count()
    return [_rotation(op, next(slots)) if _depends(op) else op for op in found]


def _permutation_of(matrix: np.ndarray, wires: Sequence[int], n: int) -> tuple[np.ndarray, np.ndarray] | None:
    """index and phase with (Mψ)[i] = phase[i] ψ[index[i]] if the matrix only permutes and turns basis states, else None."""
    size = np.abs(matrix)
    if not np.allclose(size, size.round(), atol=1e-12):
        return None
    source = np.argmax(size, axis=1)
    bits = [n - 1 - w for w in wires]  # of the first wire first
    k = len(bits)
    basis = np.arange(2**n)
    local = sum(((basis >> b) & 1) << (k - 1 - j) for j, b in enumerate(bits))
    moved = source[local]
    cleared = basis & ~np.int64(sum(1 << b for b in bits))
    index = cleared | sum(((moved >> (k - 1 - j)) & 1) << b for j, b in enumerate(bits))
    return index, matrix[np.arange(2**k), source][local]


def _joined(index: np.ndarray, phase: np.ndarray, parts: list[tuple[int, ...]]) -> Permutation:
    turns = None if np.allclose(phase, 1, atol=1e-12) else torch.as_tensor(phase, dtype=torch.complex128)
    where = torch.from_numpy(index)
    return Permutation(where, torch.argsort(where), turns, tuple(parts))


@dataclass(frozen=True)
class Program:
    """A compiled circuit on ``n_qubits``: ``steps`` in order, and how the angles of its rotations follow from the weights."""

    n_qubits: int
    shape: tuple[int, ...]
    steps: tuple[Step, ...]
    n_angles: int
    linear: tuple[torch.Tensor, torch.Tensor] | None = None
    retrace: Callable[[torch.Tensor], torch.Tensor] | None = field(default=None, repr=False)

    def angles(self, weights: torch.Tensor) -> torch.Tensor:
        """The angles φ ``(n_angles,)`` of the rotations, differentiable in ``weights``."""
        if weights.numel() != math.prod(self.shape):
            raise InputError(f"weights of shape {tuple(weights.shape)}; this circuit takes {tuple(self.shape)}")
        if self.linear is not None:
            A, b = (t.to(weights) for t in self.linear)
            return A @ weights.reshape(-1) + b
        # tracing tells trainable gates by requires_grad
        with torch.enable_grad():
            angles = self.retrace(weights if weights.requires_grad else weights.clone().requires_grad_())
        return angles if weights.requires_grad else angles.detach()

    def jacobian(self, weights: torch.Tensor) -> torch.Tensor:
        """∂φ/∂θ, ``(n_angles, n_parameters)``."""
        if self.linear is not None:
            return self.linear[0].to(weights)
        flat = weights.detach().reshape(-1)
        return torch.autograd.functional.jacobian(lambda w: self.angles(w.reshape(self.shape)), flat)

    def to(self, device: torch.device | str, dtype: torch.dtype) -> Program:
        """The same program with its fixed gates on ``device`` in the complex type of ``dtype``."""
        def moved(step: Step) -> Step:
            if isinstance(step, Fixed):
                return Fixed(step.wires, step.matrix.to(device, COMPLEX[dtype]))
            if isinstance(step, Permutation):
                phase = None if step.phase is None else step.phase.to(device, COMPLEX[dtype])
                return Permutation(step.index.to(device), step.inverse.to(device), phase, step.parts)
            return step

        return Program(self.n_qubits, self.shape, tuple(map(moved, self.steps)), self.n_angles, self.linear, self.retrace)


def compile_program(function: Callable[..., None], shape: Sequence[int], n_qubits: int) -> Program:
    """The :class:`Program` of a quantum function ``f(weights, wires)`` with weights of ``shape``.

    Without weights, ``shape`` (0,), it is a fixed circuit. Raises :class:`InputError` if it measures, has weights and no gate
    that depends on them, or a trainable gate is not made of Pauli rotations.
    """
    check_size(n_qubits)
    shape = tuple(shape)

    def trace(weights: torch.Tensor) -> tuple[tuple[Step, ...], torch.Tensor]:
        steps: list[Step] = []
        angles: list[torch.Tensor] = []
        pending: tuple[np.ndarray, np.ndarray] | None = None  # index, phase
        joined: list[tuple[int, ...]] = []
        for op in [*_pieces(record(function, weights, n_qubits=n_qubits)), None]:
            fixed = None if op is None or _depends(op) else np.asarray(op.matrix())
            wires = () if op is None else tuple(op.wires)
            found = _permutation_of(fixed, wires, n_qubits) if fixed is not None and len(wires) > 1 else None
            if found is not None:
                index, phase = found
                pending = found if pending is None else (pending[0][index], phase * pending[1][index])
                joined.append(wires)
                continue
            if pending is not None:
                steps.append(_joined(*pending, joined))
                pending, joined = None, []
            if op is None:
                break
            if fixed is not None:
                steps.append(Fixed(wires, torch.as_tensor(fixed, dtype=torch.complex128)))
                continue
            steps.append(_rotation(op, len(angles)))
            angles.append(torch.as_tensor(op.parameters[0]).to(weights.dtype))
        if not angles and math.prod(shape):
            raise InputError(f"{_name(function)} has no gate that depends on its weights of shape {shape}: nothing to train")
        return tuple(steps), torch.stack([a.reshape(()) for a in angles]) if angles else weights.reshape(-1)

    generator = torch.Generator().manual_seed(1)
    probes = [torch.empty(shape, dtype=torch.float64).uniform_(-3, 3, generator=generator) for _ in range(2)]
    probes[1] = -probes[0].sign() * probes[1].abs()  # a gate that hangs on a sign shows itself
    probes = [p.requires_grad_() for p in probes]
    try:
        with torch.enable_grad():
            (steps, first), (others, second) = trace(probes[0]), trace(probes[1])
            rows = [torch.autograd.grad(a, probes[0], retain_graph=True)[0].reshape(-1) for a in first]
    except (IndexError, ValueError, TypeError, RuntimeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{_name(function)} cannot be run with weights of shape {shape} on {n_qubits} qubits: "
                         f"{error}") from error
    if not _alike(steps, others):
        raise InputError(f"the gates of {_name(function)} change with the values of its weights: weights may enter as angles "
                         "only, and as tensors (no float(), no if)")
    A = torch.stack(rows) if rows else torch.zeros(0, 0, dtype=torch.float64)  # weights of shape (0,): a fixed circuit
    b = first.detach() - A @ probes[0].detach().reshape(-1)
    linear = torch.allclose(second.detach(), A @ probes[1].detach().reshape(-1) + b, atol=1e-10)
    if linear:
        return Program(n_qubits, shape, steps, len(first), linear=(A, b))
    return Program(n_qubits, shape, steps, len(first), retrace=lambda weights: trace(weights)[1])


def _alike(steps: Sequence[Step], others: Sequence[Step]) -> bool:
    """Are these the same steps, fixed gates included?"""
    def same(a: Step, b: Step) -> bool:
        if type(a) is not type(b):
            return False
        if isinstance(a, Fixed):
            return a.wires == b.wires and torch.allclose(a.matrix, b.matrix, atol=1e-12)
        if isinstance(a, Permutation):
            phases = [torch.ones(()) if p.phase is None else p.phase for p in (a, b)]
            return torch.equal(a.index, b.index) and torch.allclose(*(p.to(torch.complex128) for p in phases), atol=1e-12)
        return a == b

    return len(steps) == len(others) and all(map(same, steps, others))


def _axes(vectors: torch.Tensor, wires: Sequence[int], n: int) -> torch.Tensor:
    """Rows ``(B, 2^n)`` viewed as ``(B, 2, …, 2)`` with the axes of ``wires`` moved to the end."""
    return vectors.reshape(len(vectors), *(2,) * n).movedim([1 + w for w in wires], list(range(-len(wires), 0)))


def _back(tensor: torch.Tensor, wires: Sequence[int]) -> torch.Tensor:
    return tensor.movedim(list(range(-len(wires), 0)), [1 + w for w in wires]).reshape(len(tensor), -1)


def apply_matrix(vectors: torch.Tensor, matrix: torch.Tensor, wires: Sequence[int], n: int) -> torch.Tensor:
    """M ψ for each row of ``vectors`` ``(B, 2^n)``; ``matrix`` ``(2^k, 2^k)``, or ``(B, 2^k, 2^k)`` with one for each row."""
    t = _axes(vectors, wires, n)
    shape = t.shape
    flat = t.reshape(len(vectors), -1, 2 ** len(wires))
    return _back((flat @ matrix.mT).reshape(shape), wires)


def apply_word(vectors: torch.Tensor, word: str, wires: Sequence[int], n: int) -> torch.Tensor:
    """P ψ for each row, P a Pauli word: flips and signs, no multiplication of matrices."""
    t = vectors.reshape(len(vectors), *(2,) * n)
    flips = [1 + w for w, p in zip(wires, word, strict=True) if p in "XY"]
    if flips:
        t = t.flip(flips)
    factor = 1
    for w, p in zip(wires, word, strict=True):
        if p == "X":
            continue
        # Z: diag(1, -1). Y after the flip: rows get -i and i
        values = [1, -1] if p == "Z" else [-1j, 1j]
        shape = [1] * (n + 1)
        shape[1 + w] = 2
        factor = factor * torch.tensor(values, dtype=vectors.dtype, device=vectors.device).reshape(shape)
    return (t * factor).reshape(len(vectors), -1)


def rotate(vectors: torch.Tensor, step: Rotation, angle: torch.Tensor, n: int) -> torch.Tensor:
    """exp(-i angle/2 P) ψ = cos(angle/2) ψ - i sin(angle/2) P ψ for each row of ``vectors``."""
    half = angle / 2
    return torch.cos(half) * vectors - 1j * torch.sin(half) * apply_word(vectors, step.word, step.wires, n)


def forward(program: Program, step: Step, vectors: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """G ψ for each row of ``vectors``, G one step of the program."""
    if isinstance(step, Permutation):
        return vectors[:, step.index] if step.phase is None else vectors[:, step.index] * step.phase
    if isinstance(step, Fixed):
        return apply_matrix(vectors, step.matrix, step.wires, program.n_qubits)
    return rotate(vectors, step, angles[step.slot], program.n_qubits)


def leftward(program: Program, step: Step, rows: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """⟨r| G for each of ``rows``: Gᵀ applied to a vector. X and Z are symmetric, Y changes sign."""
    if isinstance(step, Permutation):
        return (rows if step.phase is None else rows * step.phase)[:, step.inverse]
    if isinstance(step, Fixed):
        return apply_matrix(rows, step.matrix.mT, step.wires, program.n_qubits)
    sign = -1 if step.word.count("Y") % 2 else 1
    return rotate(rows, step, sign * angles[step.slot], program.n_qubits)


def unleftward(program: Program, step: Step, rows: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """⟨r| G†: undoes :func:`leftward`."""
    if isinstance(step, Permutation):
        return rows[:, step.index] if step.phase is None else rows[:, step.index] * step.phase.conj()
    if isinstance(step, Fixed):
        return apply_matrix(rows, step.matrix.conj(), step.wires, program.n_qubits)
    return leftward(program, step, rows, -angles)
