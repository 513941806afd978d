"""Reference states σ of the contrastive autoencoder: what its eigenvector should not look like. All from background alone.

What to use when
    ``marginals``   ⊗_q ρ̄_q, the mean state without its correlations between qubits: exact, no random numbers
    ``shuffled``    events whose features are drawn from different events: for encodings that entangle qubits
    ``widened``     events twice as far from the background's mean
    ``uniform``     angles uniform in [0, π]: what any event could be
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from qad.errors import InputError, did_you_mean
from qad.quantum.circuit import Circuit
from qad.quantum.mean_state import MeanState

#: Random references use at least this many events.
EVENTS = 10_000
MOST_QUBITS = 12


def marginals(circuit: Circuit, angles: torch.Tensor, mean: MeanState, rng: np.random.Generator) -> MeanState:
    """σ = ⊗_q ρ̄_q with ρ̄_q the reduced state of qubit q."""
    n = mean.n_qubits
    if n > MOST_QUBITS:
        raise InputError(f"reference='marginals' on {n} qubits: expected at most {MOST_QUBITS}; use reference='shuffled'")
    factors = []
    for q in range(n):
        psi = mean.vectors.reshape(-1, 2**q, 2, 2 ** (n - q - 1))
        factors.append(torch.einsum("r,raib,rajb->ij", mean.weights.to(psi.dtype), psi, psi.conj()))
    values, vectors = zip(*(torch.linalg.eigh(f) for f in factors), strict=True)
    weights, states = values[0], vectors[0].mT
    for value, vector in zip(values[1:], vectors[1:], strict=True):
        weights = torch.kron(weights, value)
        states = torch.kron(states, vector.mT.contiguous())
    return MeanState(states.contiguous(), weights.to(mean.weights.dtype), mean.lost * n)


def shuffled(circuit: Circuit, angles: torch.Tensor, mean: MeanState, rng: np.random.Generator) -> MeanState:
    """Each column permuted among the events by itself, several times where events are few."""
    copies = max(1, -(-EVENTS // len(angles)))
    parts = [torch.stack([column[torch.as_tensor(rng.permutation(len(column)))] for column in angles.T], 1)
             for _ in range(copies)]
    return circuit.mean_state(torch.cat(parts))


def widened(circuit: Circuit, angles: torch.Tensor, mean: MeanState, rng: np.random.Generator) -> MeanState:
    """Angles twice as far from their mean, in [0, π]."""
    centre = angles.mean(0)
    return circuit.mean_state((centre + 2 * (angles - centre)).clamp(0, torch.pi))


def uniform(circuit: Circuit, angles: torch.Tensor, mean: MeanState, rng: np.random.Generator) -> MeanState:
    """Angles uniform in [0, π]."""
    drawn = torch.as_tensor(rng.uniform(0, np.pi, (EVENTS, angles.shape[1])), dtype=angles.dtype, device=angles.device)
    return circuit.mean_state(drawn)


REFERENCES: dict[str, Callable[[Circuit, torch.Tensor, MeanState, np.random.Generator], MeanState]] = {
    "marginals": marginals, "shuffled": shuffled, "widened": widened, "uniform": uniform,
}


def get(name: str) -> Callable[[Circuit, torch.Tensor, MeanState, np.random.Generator], MeanState]:
    """The reference called ``name``. Raises :class:`InputError`."""
    if name not in REFERENCES:
        raise InputError(did_you_mean(str(name), REFERENCES, "reference"))
    return REFERENCES[name]
