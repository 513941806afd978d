"""What a trained circuit must beat: the same circuit untrained, with random weights, and the best unitary there is."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from qad.quantum.autoencoder import QuantumAutoencoder, Rows


class UntrainedCircuit(QuantumAutoencoder):
    """The same circuit with all weights zero: does training matter at all?"""

    kind = "control"
    learns = False

    def _choose(self, rows: Rows, rho: torch.Tensor, shape: tuple[int, ...],
                ideal: torch.Tensor) -> tuple[torch.Tensor, dict[str, Any]]:
        return torch.zeros(shape, dtype=torch.float64), {}


class RandomCircuit(QuantumAutoencoder):
    """The same circuit with random weights: is it the circuit, or what it learned?"""

    kind = "control"
    learns = False

    def _choose(self, rows: Rows, rho: torch.Tensor, shape: tuple[int, ...],
                ideal: torch.Tensor) -> tuple[torch.Tensor, dict[str, Any]]:
        return self._random_weights(shape), {}


class CeilingUnitary(QuantumAutoencoder):
    """The best possible autoencoder for this encoding: U's kept rows are the top eigenvectors of ρ̄ (Ky Fan)."""

    kind = "control"
    learns = False

    def _choose(self, rows: Rows, rho: torch.Tensor, shape: tuple[int, ...],
                ideal: torch.Tensor) -> tuple[torch.Tensor, dict[str, Any]]:
        return torch.zeros(shape, dtype=torch.float64), {}

    def _rows_of(self, rows: Rows, weights: torch.Tensor, ideal: torch.Tensor) -> torch.Tensor:
        return ideal

    def _count(self, rows: Rows, weights: torch.Tensor, X: np.ndarray) -> None:
        # no circuit: real numbers in the kept rows
        self.parameters_ = self.effective_parameters_ = 2 * self.rows_real_.size
