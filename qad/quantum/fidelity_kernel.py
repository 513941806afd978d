"""The fidelity kernel k(x, y) = |⟨φ(x)|φ(y)⟩|² of an encoding (arXiv:1803.07128, 1804.11326).

Each event is encoded once; a kernel matrix is then a product of state matrices. What comes after it, a sum over reference
events, is an expectation value: Σ_i c_i k(x_i, x) = ⟨φ(x)|O|φ(x)⟩ with O = Σ_i c_i |φ(x_i)⟩⟨φ(x_i)|. A kernel machine on
this kernel is linear in the density matrix |φ⟩⟨φ|.

Memory: the states of the reference events ``B``, ``16 · 2^n`` bytes each, and one chunk of the others. ``A`` may be any length
in :func:`weighted` and :func:`rows`; :func:`gram` keeps the matrix that it returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from qad.errors import InputError
from qad.quantum import engine

Encode = Callable[..., None]
#: Bytes that one chunk of encoded events may take: entangling gates pass over it again and again, so it should fit a cache.
MEMORY = 2**24


def overlaps(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """|⟨a_i|b_j⟩|² of states ``(A, 2^n)`` and ``(B, 2^n)``, shape ``(A, B)``."""
    return (a.conj() @ b.mT).abs().square()


def encoded(encoding: Encode, X: torch.Tensor, n_qubits: int) -> torch.Tensor:
    """The states of reference events, all at once, ``(B, 2^n)``."""
    return torch.cat(list(engine.chunks_of_states(encoding, engine.events(X), n_qubits, MEMORY)))


def rows(encoding: Encode, A: torch.Tensor, references: torch.Tensor, n_qubits: int,
         memory: int = MEMORY) -> Iterator[torch.Tensor]:
    """k(a, b) of all events ``A`` and the reference states ``(B, 2^n)``, a chunk of rows ``(chunk, B)`` at a time.

    memory  bytes that the encoded events of one chunk may take. Raises :class:`InputError`.
    """
    if references.ndim != 2 or references.shape[1] != 2**n_qubits:
        raise InputError(f"reference states of shape {tuple(references.shape)}: expected (events, {2**n_qubits}), as "
                         "qad.quantum.fidelity_kernel.encoded gives them")
    A = engine.events(A)
    fitting = min(engine.chunk_size(n_qubits, memory), memory // (32 * max(len(references), 1)))
    for chunk in A.split(max(1, fitting)):
        yield overlaps(engine.states(encoding, chunk, n_qubits), references)


def gram(encoding: Encode, A: torch.Tensor, B: torch.Tensor | None, n_qubits: int, memory: int = MEMORY) -> torch.Tensor:
    """The kernel matrix ``(A, B)``; with ``B=None`` of ``A`` with itself, exactly symmetric and with ones on its diagonal."""
    A = engine.events(A)
    if B is not None:
        return torch.cat(list(rows(encoding, A, encoded(encoding, B, n_qubits), n_qubits, memory)))
    states = encoded(encoding, A, n_qubits)
    K = overlaps(states, states)
    return ((K + K.mT) / 2).fill_diagonal_(1)


def weighted(encoding: Encode, X: torch.Tensor, references: torch.Tensor, coefficients: torch.Tensor, n_qubits: int,
             memory: int = MEMORY) -> torch.Tensor:
    """Σ_i c_ik k(x_i, x) of every event, ``(X, k)``, from reference states ``(m, 2^n)`` and ``coefficients`` ``(m, k)``.

    Constant memory in the number of events.
    """
    return torch.cat([K @ coefficients for K in rows(encoding, X, references, n_qubits, memory)])
