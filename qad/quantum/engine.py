"""The exact batched engine: PennyLane gate lists as linear algebra on torch tensors.

Qubit 0 is the most significant bit of a basis index, as in PennyLane. The first ``latent`` qubits are kept, the others
are trash. Three facts of the design stand here as code:

* an encoded event is a product of one-qubit states until its first two-qubit gate (:func:`states`);
* the mean loss needs the data only through ρ̄ = (1/N) Σ |φ(x)⟩⟨φ(x)| (:func:`mean_state`, :func:`infidelity`);
* of U only the 2^latent rows that the projector Π keeps matter (:func:`kept_rows`), and the best possible rows are
  the top eigenvectors of ρ̄ (:func:`ceiling`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch

from qad.errors import InputError
from qad.quantum.program import COMPLEX, PHASES, Program, apply_matrix, check_size, leftward, record


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


def data_gates(encoding: Callable[..., None], X: torch.Tensor, n_qubits: int) -> list[Gate]:
    """The gates that write the events ``X`` into qubits, one matrix for each event where the gate depends on it."""
    return [Gate(tuple(op.wires), matrix_of(op).to(X.device, COMPLEX[X.dtype]))
            for op in record(encoding, X, n_qubits=n_qubits) if op.name not in PHASES]


def kept_rows(program: Program, weights: torch.Tensor, latent: int) -> torch.Tensor:
    """The rows ⟨k, 0…0|U(θ) that Π keeps, ``(2^latent, 2^n)``, differentiable in ``weights``."""
    n = program.n_qubits
    program = program.to(weights.device, weights.dtype)
    angles = program.angles(weights)
    rows = torch.zeros(2**latent, 2**n, dtype=COMPLEX[weights.dtype], device=weights.device)
    kept = torch.arange(2**latent, device=weights.device)
    rows[kept, kept << (n - latent)] = 1
    for step in reversed(program.steps):
        rows = leftward(program, step, rows, angles)
    return rows


def states(encoding: Callable[..., None], X: torch.Tensor, n_qubits: int) -> torch.Tensor:
    """Encoded events |φ(x)⟩, ``(B, 2^n)``; qubits stay separate until a gate entangles them."""
    check_size(n_qubits)
    gates = data_gates(encoding, X, n_qubits)
    zero = torch.zeros(len(X), 2, dtype=COMPLEX[X.dtype], device=X.device)
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
                     memory: int = 2**27) -> Iterator[torch.Tensor]:
    """:func:`states` of all events, in chunks of at most ``memory`` bytes."""
    size = max(1, memory // (4 * 16 * 2**n_qubits))
    for start in range(0, len(X), size):
        yield states(encoding, X[start : start + size], n_qubits)


def mean_state(encoding: Callable[..., None], X: torch.Tensor, n_qubits: int) -> torch.Tensor:
    """ρ̄ = (1/N) Σ |φ(x)⟩⟨φ(x)|, ``(2^n, 2^n)``: after this pass no training step touches the events again."""
    rho = torch.zeros(2**n_qubits, 2**n_qubits, dtype=COMPLEX[X.dtype], device=X.device)
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
