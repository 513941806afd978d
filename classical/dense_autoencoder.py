"""The dense autoencoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from qad import networks
from qad.detector import Detector
from qad.errors import InputError
from qad.training import train


class DenseAutoencoder(Detector):
    """Score = mean squared error of a fully connected autoencoder f-``hidden``-``latent``-mirrored, ``(1/f) |x - D(E(x))|²``.

    Leaky ReLU, Adam, early stopping on the loss of background held back (arXiv:1808.08979, 1808.08992). Inputs should be
    standardised: put ``Standardise()`` in front.

    hidden, latent   sizes of the encoder's layers; the decoder mirrors them
    random_state     seed of the weights and of the shuffling
    """

    def __init__(self, hidden: Sequence[int] = (32, 16), latent: int = 4, epochs: int = 60, learning_rate: float = 2e-3,
                 batch_size: int = 256, patience: int = 8, random_state: int = 0) -> None:
        self.hidden = hidden
        self.latent = latent
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.patience = patience
        self.random_state = random_state

    def _network(self, n_features: int) -> nn.Sequential:
        sizes = [n_features, *self.hidden, self.latent]
        return networks.dense([*sizes, *sizes[-2::-1]], self.random_state)

    def _fit(self, X: np.ndarray, validation: np.ndarray | None) -> None:
        if self.latent < 1 or any(h < 1 for h in self.hidden):
            raise InputError(f"expected positive layer sizes, got hidden={tuple(self.hidden)}, latent={self.latent}")
        data = networks.tensor(X, torch.float32)
        held = None if validation is None else networks.tensor(validation, torch.float32)
        self.network_ = self._network(X.shape[1])

        def loss(batch: torch.Tensor) -> torch.Tensor:
            return nn.functional.mse_loss(self.network_(batch), batch)

        history = train(self.network_.parameters(), loss, data=data, epochs=self.epochs, batch_size=self.batch_size,
                        learning_rate=self.learning_rate, patience=self.patience, seed=self.random_state,
                        validation=None if held is None else lambda: loss(held), progress=self.progress)
        self.network_.double()  # scores must not depend on how events are batched
        self.parameters_ = networks.count(self.network_)
        self.diagnostics_ = {"history": history.as_dict()}

    def _score(self, X: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            parts = [(self.network_(x) - x).square().mean(1)
                     for x in networks.tensor(X, torch.float64).split(65_536)]
        return torch.cat(parts).numpy()

    def get_state(self) -> dict[str, Any]:
        state = super().get_state()
        return {**{f"network.{k}": v for k, v in networks.state_arrays(state.pop("network_")).items()}, **state}

    def set_state(self, state: dict[str, Any]) -> None:
        weights = {k.removeprefix("network."): state.pop(k) for k in [k for k in state if k.startswith("network.")]}
        super().set_state(state)
        self.network_ = self._network(self.n_features_in_).double()
        networks.load_arrays(self.network_, weights)
