"""The exact batched engine: PennyLane gate lists as linear algebra on torch tensors.

Qubit 0 is the most significant bit of a basis index, as in PennyLane. The first ``latent`` qubits are kept, the others
are trash. Three facts of the design stand here as code:

* an encoded event is a product of one-qubit states until its first two-qubit gate (:func:`states`);
* the mean loss needs the data only through ρ̄ = (1/N) Σ |φ(x)⟩⟨φ(x)| (:func:`mean_state`, :func:`infidelity`);
* of U only the 2^latent rows that the projector Π keeps matter (:func:`kept_rows`), and the best possible rows are
  the top eigenvectors of ρ̄ (:func:`ceiling`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pennylane as qml
import torch

from qad.errors import InputError

#: ρ̄ of 12 qubits takes 256 MiB, and its eigenvectors minutes.
MOST_QUBITS = 12
COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}


@dataclass(frozen=True)
class Gate:
    """One step of a compiled circuit: a matrix on some qubits, or a permutation of basis states.

    matrix       ``(2^k, 2^k)`` or batched ``(B, 2^k, 2^k)``, on the k qubits ``wires``
    permutation  ``(2^n,)``: (Pψ)[i] = ψ[permutation[i]]
    """

    wires: tuple[int, ...] = ()
    matrix: torch.Tensor | None = None
    permutation: torch.Tensor | None = None


def check_size(n_qubits: int) -> None:
    """Raise :class:`InputError` for numbers of qubits whose ρ̄ does not fit."""
    if not 1 <= n_qubits <= MOST_QUBITS:
        raise InputError(f"expected 1 to {MOST_QUBITS} qubits on the exact engine, got {n_qubits}: give fewer particles "
                         "or features (each takes a qubit)")


def record(function: Callable[..., None], *args: Any, n_qubits: int, **kwargs: Any) -> list[Any]:
    """The operations a quantum function queues on wires 0 … n-1. Raises :class:`InputError` if it measures."""
    tape = qml.tape.make_qscript(function)(*args, list(range(n_qubits)), **kwargs)
    if tape.measurements:
        raise InputError(f"{getattr(function, '__name__', function)} contains a measurement; a circuit here is gates only")
    return list(_with_matrices(tape.operations))


def _with_matrices(operations: Sequence[Any]) -> Iterator[Any]:
    """Templates and other composite operations taken apart until every piece has a matrix."""
    for op in operations:
        if op.has_matrix or op.name == "Barrier":
            yield op
        elif op.has_decomposition:
            yield from _with_matrices(op.decomposition())
        else:
            raise InputError(f"the gate {op.name} has no matrix; the exact engine runs unitary gates only")


def _rotation(op: Any) -> torch.Tensor | None:
    """Matrices of the common one-qubit rotations straight from their angle, batched and differentiable."""
    if op.name not in ("RX", "RY", "RZ"):
        return None
    half = torch.as_tensor(op.parameters[0]) / 2
    c, s = torch.cos(half), torch.sin(half)
    zero = torch.zeros_like(c)
    if op.name == "RY":
        real, imaginary = (c, -s, s, c), (zero, zero, zero, zero)
    elif op.name == "RX":
        real, imaginary = (c, zero, zero, c), (zero, -s, -s, zero)
    else:
        real, imaginary = (c, zero, zero, c), (-s, zero, zero, s)
    return torch.complex(torch.stack(real, -1), torch.stack(imaginary, -1)).unflatten(-1, (2, 2))


def _cnot_permutation(n_qubits: int, control: int, target: int) -> np.ndarray:
    index = np.arange(2**n_qubits)
    return index ^ (((index >> (n_qubits - 1 - control)) & 1) << (n_qubits - 1 - target))


def compile_gates(operations: Sequence[Any], n_qubits: int, dtype: torch.dtype = torch.float64) -> list[Gate]:
    """Turn PennyLane operations into gates; runs of CNOTs become one permutation."""
    gates: list[Gate] = []
    permutation: np.ndarray | None = None
    for op in operations:
        wires = tuple(int(w) for w in op.wires)
        if op.name == "CNOT":
            step = _cnot_permutation(n_qubits, *wires)
            permutation = step if permutation is None else permutation[step]
            continue
        if permutation is not None:
            gates.append(Gate(permutation=torch.from_numpy(permutation)))
            permutation = None
        if op.name in ("Identity", "Barrier", "GlobalPhase"):
            continue
        matrix = _rotation(op)
        if matrix is None:
            matrix = torch.as_tensor(op.matrix())
        gates.append(Gate(wires=wires, matrix=matrix.to(COMPLEX[dtype])))
    if permutation is not None:
        gates.append(Gate(permutation=torch.from_numpy(permutation)))
    return gates


def apply(gate: Gate, vectors: torch.Tensor, n_qubits: int) -> torch.Tensor:
    """Gate · ψ for each row of ``vectors`` ``(B, 2^n)``."""
    if gate.permutation is not None:
        return vectors[:, gate.permutation]
    k = len(gate.wires)
    axes = [1 + w for w in gate.wires]
    t = vectors.reshape(-1, *(2,) * n_qubits).movedim(axes, list(range(1, k + 1)))
    moved = t.shape
    t = gate.matrix @ t.reshape(len(vectors), 2**k, -1)
    return t.reshape(moved).movedim(list(range(1, k + 1)), axes).reshape(len(vectors), -1)


def apply_left(rows: torch.Tensor, gate: Gate, n_qubits: int) -> torch.Tensor:
    """⟨r| · gate for each of ``rows`` ``(K, 2^n)``: the transposed gate applied to a vector."""
    if gate.permutation is not None:
        return rows[:, torch.argsort(gate.permutation)]
    return apply(Gate(wires=gate.wires, matrix=gate.matrix.mT), rows, n_qubits)


def kept_rows(ansatz: Callable[..., None], weights: torch.Tensor, n_qubits: int, latent: int) -> torch.Tensor:
    """The rows ⟨k, 0…0|U(θ) that Π keeps, ``(2^latent, 2^n)``, differentiable in ``weights``."""
    trash = n_qubits - latent
    gates = compile_gates(record(ansatz, weights, n_qubits=n_qubits), n_qubits, weights.dtype)
    rows = torch.zeros(2**latent, 2**n_qubits, dtype=COMPLEX[weights.dtype])
    rows[torch.arange(2**latent), torch.arange(2**latent) << trash] = 1
    for gate in reversed(gates):
        rows = apply_left(rows, gate, n_qubits)
    return rows


def states(encoding: Callable[..., None], X: torch.Tensor, n_qubits: int) -> torch.Tensor:
    """Encoded events |φ(x)⟩, ``(B, 2^n)``; qubits stay separate until a gate entangles them."""
    gates = compile_gates(record(encoding, X, n_qubits=n_qubits), n_qubits, X.dtype)
    zero = torch.zeros(len(X), 2, dtype=COMPLEX[X.dtype])
    zero[:, 0] = 1
    qubits: list[torch.Tensor] = [zero] * n_qubits
    while gates and len(gates[0].wires) == 1:
        gate = gates.pop(0)
        qubits[gate.wires[0]] = (gate.matrix @ qubits[gate.wires[0]].unsqueeze(-1)).squeeze(-1)
    psi = qubits[0]
    for q in qubits[1:]:
        psi = (psi.unsqueeze(-1) * q.unsqueeze(-2)).flatten(1)
    for gate in gates:
        psi = apply(gate, psi, n_qubits)
    return psi


def chunks_of_states(encoding: Callable[..., None], X: torch.Tensor, n_qubits: int,
                     memory: int = 2**27) -> Iterator[torch.Tensor]:
    """:func:`states` of all events, in chunks of at most ``memory`` bytes."""
    size = max(1, memory // (4 * 16 * 2**n_qubits))
    for start in range(0, len(X), size):
        yield states(encoding, X[start : start + size], n_qubits)


def mean_state(encoding: Callable[..., None], X: torch.Tensor, n_qubits: int) -> torch.Tensor:
    """ρ̄ = (1/N) Σ |φ(x)⟩⟨φ(x)|, ``(2^n, 2^n)``: after this pass no training step touches the events again."""
    rho = torch.zeros(2**n_qubits, 2**n_qubits, dtype=COMPLEX[X.dtype])
    for psi in chunks_of_states(encoding, X, n_qubits):
        rho += psi.mT @ psi.conj()
    return rho / len(X)


def infidelity(rows: torch.Tensor, rho: torch.Tensor) -> torch.Tensor:
    """Mean loss 1 - Tr(Π U ρ̄ U†), from the kept rows of U."""
    return 1 - ((rows @ rho) * rows.conj()).sum().real


def scores(rows: torch.Tensor, encoding: Callable[..., None], X: torch.Tensor, n_qubits: int) -> torch.Tensor:
    """Infidelity 1 - ⟨φ(x)|U†ΠU|φ(x)⟩ of each event, ``(n,)``."""
    parts = [1 - (psi @ rows.mT).abs().square().sum(1) for psi in chunks_of_states(encoding, X, n_qubits)]
    return torch.cat(parts)


def ceiling(rho: torch.Tensor, latent: int) -> tuple[float, torch.Tensor]:
    """The largest mean fidelity any unitary reaches on ρ̄, and its kept rows ``(2^latent, 2^n)``.

    Ky Fan (1949): max_U Tr(ΠUρ̄U†) is the sum of the 2^latent largest eigenvalues of ρ̄; the rows are their eigenvectors.
    """
    values, vectors = torch.linalg.eigh(rho)
    keep = 2**latent
    return float(values[-keep:].sum()), vectors[:, -keep:].mH.contiguous()
