"""The quantum autoencoder on a table of features."""

from __future__ import annotations

from typing import Any

import numpy as np

from qad.quantum.autoencoder import QuantumAutoencoder
from qad.quantum.bounds import Bounded


class FeatureAutoencoder(Bounded, QuantumAutoencoder):
    """The quantum autoencoder on a table of features, scaled to angles: score 1 - ⟨φ(x)|U(θ)†ΠU(θ)|φ(x)⟩ (arXiv:2112.04958).

    bounds  how features become angles [rad]. ``fitted``: the background's range, feature by feature, onto [0, π], what lies
            outside clipped. A list of (low, high) pairs, or one pair for all: these onto [0, π], and a feature outside is an
            error. None: the features are angles already.

    Everything else as in :class:`QuantumAutoencoder`. The published circuit is ``ansatz="all-pairs"`` with fixed bounds from 0;
    on features centred in their range its RY cannot undo the encoding's RX, and training gains nothing.
    """

    takes = "tabular"

    def __init__(self, latent: int = 1, encoding: Any = "angle", scale: float = 1.0, bounds: Any = "fitted",
                 train_encoding: bool = False, ansatz: Any = "strongly-entangling", layers: int | None = None,
                 shape: tuple[int, ...] | None = None, qubits: int | None = None, loss: str = "infidelity",
                 score_as: str = "infidelity", readout: str = "direct", shots: int | None = None, optimizer: str = "adam",
                 optimizer_options: dict[str, Any] | None = None, epochs: int = 300, learning_rate: float | None = None,
                 batch_size: int = 256, patience: int = 30, start: float = np.pi, dtype: str = "float64",
                 device: str = "cpu", checkpoint: str | None = None, random_state: int = 0) -> None:
        super().__init__(latent, encoding, scale, train_encoding, ansatz, layers, shape, qubits, loss, score_as, readout, shots,
                         optimizer, optimizer_options, epochs, learning_rate, batch_size, patience, start, dtype, device,
                         checkpoint, random_state)
        self.bounds = bounds
