"""The exact batched engine: PennyLane gate lists as linear algebra on torch tensors.

Qubit 0 is the most significant bit of a basis index, as in PennyLane. The first ``latent`` qubits are kept, the others
are trash. Three facts of the design stand here as code:

* an encoded event is a product of one-qubit states until its first two-qubit gate (:func:`states`);
* the mean loss needs the data only through ρ̄ = (1/N) Σ |φ(x)⟩⟨φ(x)| (:func:`mean_state`, :func:`infidelity`);
* of U only the 2^latent rows that the projector Π keeps matter (:func:`kept_rows`), and the best possible rows are
  the top eigenvectors of ρ̄ (:meth:`qad.quantum.mean_state.MeanState.ceiling`).

Memory: a chunk of encoded events (``memory`` bytes), ρ̄ (see ``mean_state``), and three sets of kept rows of
2^(latent + n) amplitudes each; no step keeps more, however deep the circuit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from functools import partial
from typing import Any, NamedTuple

import pennylane as qml
import torch
from pennylane.operation import StatePrepBase

from qad.errors import InputError
from qad.quantum.mean_state import MeanState
from qad.quantum.mean_state import mean_state as _mean_state
from qad.quantum.moments import moments
from qad.quantum.program import (
    COMPLEX,
    ROTATIONS,
    Program,
    Rotation,
    apply_matrix,
    apply_word,
    check_size,
    is_phase,
    leftward,
    record,
    unleftward,
)

#: Gates whose matrices PennyLane makes for a batch of angles; others are decomposed.
BATCHED = (*ROTATIONS, "MultiRZ", "PauliRot", "CRX", "CRY", "CRZ", "ControlledPhaseShift")
#: Bytes that one chunk of encoded events may take.
MEMORY = 2**27


class Gate(NamedTuple):
    """A gate of an encoding: ``matrix`` ``(2^k, 2^k)``, or ``(B, 2^k, 2^k)`` with one for each event, on ``wires``."""

    wires: tuple[int, ...]
    matrix: torch.Tensor


def matrix_of(op: Any) -> torch.Tensor:
    """The matrix of an operation, ``(B, 2^k, 2^k)`` if its parameter is batched; common rotations straight from their angle."""
    if op.name not in ("RX", "RY", "RZ"):
        if not op.has_matrix:
            raise InputError(f"the encoding's gate {op.name} has no matrix; write the encoding with gates that do")
        return torch.as_tensor(op.matrix())
    angle = op.parameters[0]
    half = (angle if isinstance(angle, torch.Tensor) else torch.as_tensor(angle, dtype=torch.float64)) / 2
    c, s = torch.cos(half), torch.sin(half)
    zero = torch.zeros_like(c)
    if op.name == "RY":
        real, imaginary = (c, -s, s, c), (zero, zero, zero, zero)
    elif op.name == "RX":
        real, imaginary = (c, zero, zero, c), (zero, -s, -s, zero)
    else:
        real, imaginary = (c, zero, zero, c), (-s, zero, zero, s)
    return torch.complex(torch.stack(real, -1), torch.stack(imaginary, -1)).unflatten(-1, (2, 2))


def operations(encoding: Callable[..., None], X: torch.Tensor, n_qubits: int) -> list[Any]:
    """What an encoding queues for the events ``X``, taken apart until each operation has a matrix (for a batch) or a state."""
    def flat(ops: list[Any]) -> Iterator[Any]:
        for op in ops:
            if is_phase(op):
                continue
            direct = op.name in BATCHED or not any(qml.math.ndim(p) for p in op.parameters)
            if isinstance(op, StatePrepBase) or (op.has_matrix and direct) or not op.has_decomposition:
                yield op
            else:
                yield from flat(op.decomposition())

    try:
        return list(flat(record(encoding, X, n_qubits=n_qubits)))
    except (IndexError, TypeError, KeyError, RuntimeError) as error:
        raise InputError(f"the encoding cannot be run on events of shape {tuple(X.shape[1:])} with {n_qubits} qubits: "
                         f"{type(error).__name__}: {error}") from error


class _KeptRows(torch.autograd.Function):
    """Rows ⟨k, 0…0|U as a function of the angles; the gradient undoes moment after moment instead of storing each result."""

    @staticmethod
    def forward(ctx: Any, angles: torch.Tensor, program: Program, latent: int) -> torch.Tensor:
        n = program.n_qubits
        rows = torch.zeros(2**latent, 2**n, dtype=COMPLEX[angles.dtype], device=angles.device)
        kept = torch.arange(2**latent, device=angles.device)
        rows[kept, kept << (n - latent)] = 1
        ctx.program, ctx.fused = program, moments(program, angles)
        for moment in reversed(ctx.fused):
            if moment.step is not None:
                rows = leftward(program, moment.step, rows, angles)
            for unitary in moment.unitaries:  # ⟨r|u is uᵀ on r
                rows = unitary._replace(matrix=unitary.matrix.mT).apply(rows, n).reshape(rows.shape)
        ctx.save_for_backward(angles, rows)
        return rows

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (angles, rows), program = ctx.saved_tensors, ctx.program
        n, slopes = program.n_qubits, torch.zeros_like(angles)
        for moment in ctx.fused:
            if isinstance(moment.step, Rotation):  # ∂(A G B)/∂φ = A G (-i/2 P) B; A G are the rows, B† is in the gradient
                sign = -1 if moment.step.word.count("Y") % 2 else 1
                moved = apply_word(rows, moment.step.word, moment.step.wires, n)
                slopes[moment.step.slot] = sign * torch.vdot(gradient.flatten(), moved.flatten()).imag / 2
            if moment.step is not None:
                rows, gradient = (unleftward(program, moment.step, t, angles) for t in (rows, gradient))
            for unitary in moment.unitaries:
                back = unitary._replace(matrix=unitary.matrix.conj())
                rows, gradient = (back.apply(t, n).reshape(t.shape) for t in (rows, gradient))
            for generator in moment.generators:  # carried to the moment's end, where the rows now are: ∂ = A (-i/2 H) K B
                reduced = generator.columns(rows, n) @ generator.columns(gradient, n).mH
                H = generator.matrix.reshape(len(generator.slots), *reduced.shape)
                slopes[list(generator.slots)] = (H * reduced).sum((1, 2)).imag / 2
        return slopes, None, None


def kept_rows(program: Program, weights: torch.Tensor, latent: int) -> torch.Tensor:
    """The rows ⟨k, 0…0|U(θ) that Π keeps, ``(2^latent, 2^n)``, differentiable in ``weights``."""
    program = program.to(weights.device, weights.dtype)
    return _KeptRows.apply(program.angles(weights), program, latent)


def events(X: Any) -> torch.Tensor:
    """``X`` as a tensor of float32 or float64. Raises :class:`InputError` for no events, other types, NaN or infinity."""
    X = torch.as_tensor(X)
    if X.dtype not in COMPLEX:
        X = X.double() if not X.is_complex() else X
    if X.is_complex() or X.ndim < 1 or not len(X) or not torch.isfinite(X).all():
        raise InputError("expected finite real numbers, one row or more, a row for each event; got "
                         f"{X.dtype} of shape {tuple(X.shape)}{'' if torch.isfinite(X).all() else ' with NaN or infinity'}")
    return X


def states(encoding: Callable[..., None], X: torch.Tensor, n_qubits: int) -> torch.Tensor:
    """Encoded events |φ(x)⟩, ``(B, 2^n)``; qubits stay separate until a gate entangles them.

    Differentiable in whatever tensors ``encoding`` holds. Raises :class:`InputError` where it is no pure state.
    """
    check_size(n_qubits)
    found, dtype = operations(encoding, X, n_qubits), COMPLEX[X.dtype]
    if found and isinstance(found[0], StatePrepBase):
        prepared = torch.as_tensor(found[0].state_vector(wire_order=range(n_qubits)))
        psi = prepared.to(X.device, dtype).reshape(-1, 2**n_qubits).expand(len(X), -1)
        gates = [Gate(tuple(op.wires), matrix_of(op).to(X.device, dtype)) for op in found[1:]]
    else:
        gates = [Gate(tuple(op.wires), matrix_of(op).to(X.device, dtype)) for op in found]
        zero = torch.zeros(len(X), 2, dtype=dtype, device=X.device)
        zero[:, 0] = 1
        qubits: list[torch.Tensor] = [zero] * n_qubits
        while gates and len(gates[0].wires) == 1:
            gate = gates.pop(0)
            qubits[gate.wires[0]] = (gate.matrix @ qubits[gate.wires[0]].unsqueeze(-1)).squeeze(-1)
        psi = qubits[0]
        for q in qubits[1:]:
            psi = (psi.unsqueeze(-1) * q.unsqueeze(-2)).flatten(1)
    for gate in gates:
        psi = apply_matrix(psi, gate.matrix, gate.wires, n_qubits)
    return psi


def chunks_of_states(encoding: Callable[..., None], X: torch.Tensor, n_qubits: int,
                     memory: int = MEMORY) -> Iterator[torch.Tensor]:
    """:func:`states` of all events, in chunks of at most ``memory`` bytes."""
    for chunk in X.split(chunk_size(n_qubits, memory)):
        yield states(encoding, chunk, n_qubits)


def chunk_size(n_qubits: int, memory: int = MEMORY) -> int:
    """Events whose encoded states, with what it takes to make them, fit into ``memory`` bytes."""
    return max(1, memory // (4 * 16 * 2**n_qubits))


def mean_state(encoding: Callable[..., None], X: torch.Tensor, n_qubits: int, tolerance: float = 1e-13,
               executor: Executor | None = None, memory: int = MEMORY) -> MeanState:
    """ρ̄ = (1/N) Σ |φ(x)⟩⟨φ(x)|: after this pass no training step touches the events again.

    executor  ``concurrent.futures`` interface: chunks of events become its tasks; the same bits with any number of workers
    memory    bytes that the encoded events of one chunk may take
    """
    return _mean_state(partial(states, encoding, n_qubits=n_qubits), X.split(chunk_size(n_qubits, memory)), len(X), n_qubits,
                       tolerance, executor)


def fidelity(rows: torch.Tensor, mean: MeanState) -> torch.Tensor:
    """Tr(Π U H U†), H a mean state or any combination of mean states, from the kept ``rows`` of U."""
    return ((rows @ mean.vectors.mT).abs().square().sum(0) * mean.weights).sum()


def infidelity(rows: torch.Tensor, mean: MeanState) -> torch.Tensor:
    """Mean loss 1 - Tr(Π U ρ̄ U†)."""
    return 1 - fidelity(rows, mean)


def fidelities(rows: torch.Tensor, psi: torch.Tensor) -> torch.Tensor:
    """⟨φ|U†ΠU|φ⟩ of each encoded event ``psi`` ``(B, 2^n)``: the per-event path, differentiable in both."""
    return (psi @ rows.mT).abs().square().sum(1)
