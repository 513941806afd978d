"""What a trained circuit must beat: the same circuit untrained, with random weights, and the best unitary there is."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from qad.errors import InputError
from qad.quantum.autoencoder import QuantumAutoencoder
from qad.quantum.circuit import Circuit
from qad.quantum.contrastive import ContrastiveAutoencoder
from qad.quantum.feature_autoencoder import FeatureAutoencoder
from qad.quantum.mean_state import MeanState

Chosen = tuple[torch.Tensor, dict[str, Any]]


class UntrainedCircuit(QuantumAutoencoder):
    """The same circuit with all weights zero: does training matter at all?"""

    kind = "control"
    learns = False

    def _choose(self, circuit: Circuit, X: torch.Tensor, held: torch.Tensor | None, mean: MeanState,
                extra: torch.Tensor | None) -> Chosen:
        return torch.zeros_like(self._random_weights(circuit.shape)), {}


class RandomCircuit(QuantumAutoencoder):
    """The same circuit with random weights: is it the circuit, or what it learned?"""

    kind = "control"
    learns = False

    def _choose(self, circuit: Circuit, X: torch.Tensor, held: torch.Tensor | None, mean: MeanState,
                extra: torch.Tensor | None) -> Chosen:
        return self._random_weights(circuit.shape), {}


class CeilingUnitary(UntrainedCircuit):
    """The best possible autoencoder for this encoding: U's kept rows are the top eigenvectors of ρ̄ (Ky Fan)."""

    def _rows_of(self, circuit: Circuit, weights: torch.Tensor, ideal: torch.Tensor) -> torch.Tensor:
        return ideal

    def exported(self) -> tuple[Circuit, np.ndarray, int]:
        raise InputError("the ceiling's unitary is a matrix, not a circuit: there is nothing to export")

    def _count(self, circuit: Circuit, weights: torch.Tensor, events: torch.Tensor) -> None:
        # no circuit: real numbers in the kept rows
        self.parameters_ = self.effective_parameters_ = 2 * self.rows_real_.size
        self.dead_: list[str] = []


class UntrainedFeatures(UntrainedCircuit, FeatureAutoencoder):
    """The same circuit on features with all weights zero: does training matter at all?"""

    takes = "tabular"
    __init__ = FeatureAutoencoder.__init__


class RandomFeatures(RandomCircuit, FeatureAutoencoder):
    """The same circuit on features with random weights: is it the circuit, or what it learned?"""

    takes = "tabular"
    __init__ = FeatureAutoencoder.__init__


class CeilingFeatures(CeilingUnitary, FeatureAutoencoder):
    """The best possible autoencoder for this encoding of features: U's kept rows are the top eigenvectors of ρ̄ (Ky Fan)."""

    takes = "tabular"
    __init__ = FeatureAutoencoder.__init__


class UntrainedContrastive(UntrainedCircuit, ContrastiveAutoencoder):
    """The contrastive autoencoder's circuit with all weights zero: does training matter at all?"""

    takes = "tabular"
    _ideal = False
    __init__ = ContrastiveAutoencoder.__init__


class RandomContrastive(RandomCircuit, ContrastiveAutoencoder):
    """The contrastive autoencoder's circuit with random weights: is it the circuit, or what it learned?"""

    takes = "tabular"
    _ideal = False
    __init__ = ContrastiveAutoencoder.__init__


class CeilingContrastive(ContrastiveAutoencoder):
    """The top eigenvectors of ρ̄ alone, λ = 0: one-component kernel PCA of the same kernel. Does the contrast matter?"""

    kind = "control"
    learns = False
    _ideal, _lambda = True, 0.0
