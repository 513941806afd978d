"""Which way does a score point, and do the training events decide it?

An autoencoder maximises F_0, the probability that background leaves the trash qubits in |0…0⟩. Turning trash qubits over by X
gates makes any other outcome b the one that is asked for, at no cost in qubits. Where background has F_b as large as F_0, the
optimum is decided by noise: on another training sample it may be the other one, and the score may point the other way. With
one trash qubit F_1 = 1 - F_0: anomalies become typical. There, on the published circuit (arXiv:2112.04958), F_0 = ½ (1 +
cos(w/2) cos(w'/2) cos x cos x') of the last two features: where the mean of cos x cos x' is near zero, its sign decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch

from qad.quantum import engine
from qad.quantum.circuit import Circuit
from qad.quantum.moments import through

#: Standard errors that the mean F_0 must lie above that of every other outcome: noise alone gets there once in 370 trainings.
SURE = 3.0


class Direction(NamedTuple):
    """The outcome of the trash qubits that comes nearest to |0…0⟩ on background.

    z           (mean F_0 - mean F_b) / its standard error over the events, the smallest over all b
    difference  mean F_0 - mean F_b
    rival       b, a bit for each trash qubit
    events      how many were asked
    """

    z: float
    difference: float
    rival: str
    events: int

    @property
    def determined(self) -> bool:
        """Whether the events tell the optimum from its opposite. They do not tell where a signal lies."""
        return self.z >= SURE

    def __str__(self) -> str:
        return (f"the trash qubits of {self.events:,} background events are 0…0 only {self.difference:.3f} more often than "
                f"{self.rival}, {self.z:.1f} standard errors")


def _chunks(circuit: Circuit, weights: torch.Tensor, X: torch.Tensor, latent: int) -> Iterator[torch.Tensor]:
    for chunk in engine.events(X).split(engine.chunk_size(circuit.n_qubits)):
        program = circuit.program.to(chunk.device, chunk.dtype)
        psi = through(program, program.angles(weights.detach().to(chunk)), circuit.states(chunk))
        yield psi.abs().square().reshape(len(chunk), 2**latent, -1).sum(1)


def trash_probabilities(circuit: Circuit, weights: torch.Tensor, X: torch.Tensor, latent: int) -> torch.Tensor:
    """F_b(x) = Σ_k |⟨k, b|U|φ(x)⟩|² of every outcome b of the trash qubits, ``(events, 2^trash)``; column 0 is the fidelity."""
    return torch.cat(list(_chunks(circuit, weights, X, latent)))


def direction(circuit: Circuit, weights: torch.Tensor, X: torch.Tensor, latent: int, most: int = 20_000) -> Direction:
    """How surely background ``X`` decides the direction of the score 1 - F_0, from background alone.

    weights  trained; the events that trained them will do, for the question is whether they could have chosen otherwise
    X        the encoding's inputs ``(events, …)``, two events or more
    most     events that are asked, spread evenly; with more, z would be larger by the root of their number
    """
    X = X[torch.linspace(0, len(X) - 1, most, device=X.device).long()] if len(X) > most else X
    n, total, squares = len(X), 0.0, 0.0
    for F in _chunks(circuit, weights, X, latent):
        over = (F[:, :1] - F[:, 1:]).double()
        total, squares = total + over.sum(0), squares + over.square().sum(0)
    mean = total / n
    error = ((squares / n - mean**2).clamp_min(0) / (n - 1)).sqrt()
    z = mean / error.clamp_min(1e-12)
    b = int(z.argmin())
    return Direction(float(z[b]), float(mean[b]), format(b + 1, f"0{circuit.n_qubits - latent}b"), n)
