"""The loss of a circuit and its gradient from measured circuits alone: the parameter-shift rule.

An ansatz taken apart is Pauli rotations exp(-i φ_p P/2) between fixed gates. In each angle by itself a probability is
a + b cos φ_p + c sin φ_p, so that

    ∂F/∂φ_p = [F(φ_p + π/2) - F(φ_p - π/2)] / 2,        ∇_θ F = Aᵀ ∇_φ F,  A = ∂φ/∂θ

exactly, whatever noise stands between the gates (arXiv:1811.11184). A controlled rotation is taken apart into such ones, and a
weight may stand in several angles: shifting angles instead of weights needs no rule for more frequencies (arXiv:2107.12390).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pennylane as qml
import torch

from qad.quantum.backends import Backend, Compiled
from qad.quantum.circuit import Circuit
from qad.quantum.program import Rotation, pieces

TURNS: dict[str, Callable[..., Any]] = {"X": qml.RX, "Y": qml.RY, "Z": qml.RZ}


def play(parts: Iterable[Any], angles: Any) -> None:
    """Queue gates as :func:`qad.quantum.program.pieces` gave them, rotations by ``angles[..., slot]``."""
    for part in parts:
        if not isinstance(part, Rotation):
            qml.apply(part)
        elif len(part.word) == 1:
            TURNS[part.word](angles[..., part.slot], wires=part.wires)
        else:
            qml.PauliRot(angles[..., part.slot], part.word, wires=part.wires)


def by_angles(circuit: Circuit) -> Circuit:
    """The same circuit with the angles φ of its rotations for weights, each in one gate: ``program.angles(weights)``."""
    parts = pieces(circuit.ansatz, circuit.shape, circuit.n_qubits)

    def rotations(angles: Any, wires: Any) -> None:
        play(parts, angles)

    return Circuit(circuit.encoding, rotations, (circuit.program.n_angles,), circuit.n_qubits, circuit.event)


@dataclass
class Meter:
    """Measures with ``shots`` shots (None: exactly), a seed of its own each time, and counts what that costs.

    Without what a backend spends on its own, to calibrate its readout say.
    """

    shots: int | None
    seed: int = 0
    circuits: int = 0
    calls: int = 0

    def _next(self, rows: int) -> dict[str, Any]:
        self.circuits, self.calls = self.circuits + rows, self.calls + 1
        # SeedSequence: neighbouring seeds and calls draw independently
        return {"shots": self.shots, "seed": int(np.random.SeedSequence([self.seed, self.calls]).generate_state(1)[0])}

    def zeros(self, compiled: Compiled, X: np.ndarray, weights: Any = None) -> np.ndarray:
        """P(0…0) of each event, ``(events,)``."""
        return compiled.zeros(X, weights, **self._next(len(X)))

    def weighted(self, compiled: Compiled, X: np.ndarray, weights: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """P(0…0) of each event and its variance, that of F (1 - F)/shots without bias."""
        mean, variance = compiled.weighted(X, None, weights, **self._next(len(X)))
        return mean, variance if self.shots is None else variance * self.shots / max(self.shots - 1, 1)

    def probabilities(self, compiled: Compiled, X: np.ndarray, weights: Any = None) -> np.ndarray:
        """As :meth:`qad.quantum.backends.Compiled.probabilities`."""
        return compiled.probabilities(X, weights, **self._next(len(X)))

    def cost(self) -> dict[str, int]:
        """Circuits run (each event at each setting is one), shots, and calls of the backend."""
        return {"circuits": self.circuits, "shots": self.circuits * (self.shots or 0), "calls": self.calls}


class Infidelity:
    """1 - F of ``circuit``, all but ``latent`` qubits read out on ``backend``, and its gradient, as ``meter`` measures them."""

    def __init__(self, circuit: Circuit, latent: int, backend: Backend, meter: Meter, example: Any = None) -> None:
        self.program, self.meter = circuit.program, meter
        self.compiled = backend.compile(by_angles(circuit), latent, example=example)

    def fidelities(self, X: np.ndarray, weights: torch.Tensor) -> np.ndarray:
        """F of each event, ``(events,)``."""
        return self.meter.zeros(self.compiled, X, self.program.angles(weights.detach()).numpy())

    def mean(self, X: np.ndarray, weights: torch.Tensor) -> tuple[float, float]:
        """The mean loss of ``X``, and the variance that the shots leave on it (that of the choice of events is not in it)."""
        F, variance = self.meter.weighted(self.compiled, X, self.program.angles(weights.detach()).numpy())
        return float(1 - F.mean()), float(variance.sum() / len(F) ** 2)

    def with_gradient(self, X: np.ndarray, weights: torch.Tensor) -> tuple[float, torch.Tensor]:
        """The mean loss of ``X``, and its gradient of the shape of ``weights``; all circuits go to the backend together.

        Events are measured at φ and at φ ± π/2 of each rotation: (1 + 2 rotations) · events circuits.
        """
        angles = self.program.angles(weights.detach()).numpy()
        shifts = np.pi / 2 * np.eye(len(angles))
        settings = angles + np.concatenate([np.zeros((1, len(angles))), shifts, -shifts])
        rows = np.tile(X, (len(settings), *[1] * (X.ndim - 1)))
        F = self.meter.zeros(self.compiled, rows, np.repeat(settings, len(X), axis=0)).reshape(len(settings), len(X)).mean(1)
        plus, minus = F[1:].reshape(2, -1)
        slopes = torch.as_tensor(minus - plus).to(weights) / 2
        return float(1 - F[0]), (slopes @ self.program.jacobian(weights)).reshape(weights.shape)

    def differentiable(self, X: np.ndarray, weights: torch.Tensor) -> torch.Tensor:
        """The mean loss as a tensor whose ``backward`` gives the measured gradient; without autograd the loss alone."""
        if not torch.is_grad_enabled():
            return torch.tensor(self.mean(X, weights)[0], dtype=weights.dtype)
        loss, gradient = self.with_gradient(X, weights)
        return loss + (gradient * (weights - weights.detach())).sum()
