"""A circuit is an encoding and an ansatz, both ordinary PennyLane quantum functions, on a number of qubits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from qad.quantum import engine
from qad.quantum.mean_state import MeanState
from qad.quantum.program import Program, compile_program


@dataclass(frozen=True)
class Circuit:
    """|ψ(x, θ)⟩ = U(θ)|φ(x)⟩ on ``n_qubits``, wires 0 … n-1, qubit 0 the most significant bit of a basis index.

    encoding   quantum function ``f(x, wires)`` that writes a batch of events into |φ(x)⟩, broadcasting over
               ``x[..., i]``; each event by itself
    ansatz     quantum function ``f(weights, wires)``, U(θ)
    shape      shape of the weights θ
    event      shape of one event, where it is known

    >>> from qad.quantum import ansatze, encodings
    >>> circuit = Circuit(encodings.angle, ansatze.product_rotations, shape=(2,), n_qubits=2)
    >>> circuit.mean_state(torch.zeros(3, 2)).ceiling(latent=1)[0]
    1.0
    """

    encoding: Callable[..., None]
    ansatz: Callable[..., None]
    shape: tuple[int, ...]
    n_qubits: int
    event: tuple[int, ...] | None = None

    @cached_property
    def program(self) -> Program:
        """The compiled ansatz."""
        return compile_program(self.ansatz, self.shape, self.n_qubits)

    def mean_state(self, X: torch.Tensor, **options: Any) -> MeanState:
        """ρ̄ of the encoded events; options as in :func:`qad.quantum.engine.mean_state`."""
        return engine.mean_state(self.encoding, engine.events(X), self.n_qubits, **options)

    def states(self, X: torch.Tensor) -> torch.Tensor:
        """Encoded events |φ(x)⟩, ``(B, 2^n)``."""
        return engine.states(self.encoding, engine.events(X), self.n_qubits)

    def rows(self, weights: torch.Tensor, latent: int) -> torch.Tensor:
        """The rows of U(θ) that keep the first ``latent`` qubits and ask |0…0⟩ of the others, ``(2^latent, 2^n)``."""
        return engine.kept_rows(self.program, weights, latent)

    def loss(self, weights: torch.Tensor, mean: MeanState, latent: int) -> torch.Tensor:
        """The mean score of events with mean state ρ̄, 1 - Tr(ΠU(θ)ρ̄U(θ)†), differentiable in the weights."""
        return engine.infidelity(self.rows(weights, latent), mean)
