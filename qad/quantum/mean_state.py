"""The mean state ρ̄ of a sample, and real combinations of mean states: all that a full-batch step needs of the events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch

from qad.errors import InputError

#: Up to here partial ρ̄ are summed as matrices, 256 MiB of complex128; beyond, factors are joined and cut again.
DENSE_QUBITS = 12
#: Vectors that are joined before they are cut: each cut costs some 40 · 2^n · JOINED² operations.
JOINED = 2048


@dataclass(frozen=True)
class MeanState:
    """H = Σ_r w_r |v_r⟩⟨v_r|: ρ̄ = (1/N) Σ_x |φ(x)⟩⟨φ(x)| of a sample, or a combination such as ρ̄ - λσ.

    vectors  ``(r, 2^n)``
    weights  ``(r,)``, real
    lost     trace norm of what was cut away: no mean of an observable with |O| ≤ 1 is further off than this

    ``a + b``, ``a - b`` and ``2 * a`` are what they say.
    """

    vectors: torch.Tensor
    weights: torch.Tensor
    lost: float = 0.0

    @classmethod
    def of_matrix(cls, rho: torch.Tensor, tolerance: float = 1e-13) -> MeanState:
        """From a dense Hermitian ``(2^n, 2^n)`` matrix; eigenvalues that sum to at most ``tolerance`` in size are cut."""
        values, vectors = torch.linalg.eigh(rho.to(torch.complex128))
        return _cut(values, vectors.mT, tolerance, rho.dtype)

    @classmethod
    def of_states(cls, states: torch.Tensor, total: int | None = None, tolerance: float = 1e-13) -> MeanState:
        """(1/``total``) Σ |φ⟩⟨φ| of ``states`` ``(B, 2^n)``; by default ``total`` is their number."""
        total = total or len(states)
        if len(states) > states.shape[1]:
            return cls.of_matrix(states.mT @ states.conj() / total, tolerance)
        weights = torch.full((len(states),), 1 / total, dtype=torch.float64, device=states.device)
        return cls(states, weights.to(states.real.dtype)).diagonal(tolerance)

    def dense(self) -> torch.Tensor:
        """H as matrix ``(2^n, 2^n)``."""
        return (self.vectors.mT * self.weights) @ self.vectors.conj()

    @property
    def n_qubits(self) -> int:
        return self.vectors.shape[1].bit_length() - 1

    @property
    def trace(self) -> float:
        return float((self.weights * self.vectors.abs().square().sum(1)).sum())

    @cached_property
    def spectrum(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Eigenvalues that are not zero, descending, and their eigenvectors as rows."""
        done = self.diagonal(0.0)
        return done.weights, done.vectors

    def diagonal(self, tolerance: float = 1e-13) -> MeanState:
        """The same H with orthonormal vectors; eigenvalues that sum to at most ``tolerance`` in size are cut."""
        if len(self.vectors) >= self.vectors.shape[1]:
            done = MeanState.of_matrix(self.dense(), tolerance)
        else:
            basis, R = torch.linalg.qr(self.vectors.mT.to(torch.complex128))
            values, small = torch.linalg.eigh((R * self.weights) @ R.mH)
            done = _cut(values, (basis @ small).mT, tolerance, self.vectors.dtype)
        return MeanState(done.vectors, done.weights, self.lost + done.lost)

    def ceiling(self, latent: int) -> tuple[float, torch.Tensor]:
        """The largest Tr(ΠUHU†) of any unitary, and its kept rows ``(2^latent, 2^n)``.

        Ky Fan (1949): the sum of the 2^latent largest eigenvalues; the rows are their eigenvectors. Of a combination such as
        ρ̄ - λσ some eigenvalues are negative: zeros, from outside the span, come before them.
        """
        keep, dimension = 2**latent, self.vectors.shape[1]
        values, vectors = self.spectrum
        positive = int((values > 0).sum())
        empty = min(max(keep - positive, 0), dimension - len(vectors))
        chosen = vectors[: min(positive, keep)].mT
        if empty:
            outside = torch.eye(dimension, empty, dtype=vectors.dtype, device=vectors.device)
            basis, _ = torch.linalg.qr(torch.cat([vectors.mT, outside], 1))
            chosen = torch.cat([chosen, basis[:, len(vectors) :]], 1)
        last = keep - chosen.shape[1]  # negative ones, the smallest in size first
        chosen = torch.cat([chosen, vectors[positive : positive + last].mT], 1)
        best = float(values[: min(positive, keep)].sum() + values[positive : positive + last].sum())
        return best, chosen.mH.contiguous()

    def __add__(self, other: MeanState) -> MeanState:
        if self.vectors.shape[1] != other.vectors.shape[1]:
            raise InputError(f"mean states of {self.n_qubits} and {other.n_qubits} qubits cannot be added")
        vectors, weights = torch.cat([self.vectors, other.vectors]), torch.cat([self.weights, other.weights])
        return MeanState(vectors, weights, self.lost + other.lost)

    def __mul__(self, factor: float) -> MeanState:
        return MeanState(self.vectors, self.weights * factor, self.lost * abs(factor))

    __rmul__ = __mul__

    def __sub__(self, other: MeanState) -> MeanState:
        return self + other * -1.0


def _cut(values: torch.Tensor, rows: torch.Tensor, tolerance: float, dtype: torch.dtype) -> MeanState:
    """Eigenvalues ordered by size, the smallest cut while their sizes sum to at most ``tolerance``; then descending."""
    order = torch.argsort(values.abs())
    gone = torch.cumsum(values.abs()[order], 0) <= max(tolerance, 1e-15)
    kept = order[~gone]
    kept = kept[torch.argsort(values[kept], descending=True)]
    lost = float(values.abs()[order[gone]].sum())
    return MeanState(rows[kept].to(dtype).contiguous(), values[kept].to(dtype.to_real()), lost)


def mean_state(states: Callable[[Any], torch.Tensor], chunks: Iterator[Any], n_events: int, n_qubits: int,
               tolerance: float = 1e-13, executor: Executor | None = None) -> MeanState:
    """ρ̄ of all events from one pass over ``chunks``; after it no training step touches the events again.

    states    turns a chunk into encoded events ``(B, 2^n)``
    executor  ``concurrent.futures`` interface; chunks are its tasks and their sum is taken in order, so that any number of
              workers gives the same bits

    At most one chunk's states, the sum so far (2^n × 2^n numbers up to ``DENSE_QUBITS``, beyond rank + ``JOINED`` vectors of
    2^n) and what the executor holds are in memory. ``lost`` of the result says what the cuts left out.
    """
    dense = n_qubits <= DENSE_QUBITS and n_events > 2**n_qubits
    work = partial(_part, states, n_events, dense)
    total: Any = None
    fresh = 0
    for part in (executor.map if executor else map)(work, chunks):
        total = part if total is None else total + part
        if not dense:
            fresh += len(part.vectors)
            if fresh > JOINED:
                total, fresh = total.diagonal(tolerance), 0
    return MeanState.of_matrix(total, tolerance) if dense else total.diagonal(tolerance)


def _part(states: Callable[[Any], torch.Tensor], n_events: int, dense: bool, chunk: Any) -> Any:
    psi = states(chunk)
    if dense:
        return psi.mT @ psi.conj() / n_events
    return MeanState(psi, torch.full((len(psi),), 1 / n_events, dtype=psi.real.dtype, device=psi.device))
