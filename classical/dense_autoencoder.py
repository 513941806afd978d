"""The dense autoencoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from qad import networks
from qad.errors import InputError
from qad.neural import NeuralDetector


class DenseAutoencoder(NeuralDetector):
    """Score = mean squared error of a fully connected autoencoder f-``hidden``-``latent``-mirrored, ``(1/f) |x - D(E(x))|²``.

    Leaky ReLU, Adam, early stopping on the loss of background held back (arXiv:1808.08979, 1808.08992). Inputs should be
    standardised: put ``Standardise()`` in front. All other settings as in :class:`qad.neural.NeuralDetector`.

    hidden, latent   sizes of the encoder's layers; the decoder mirrors them
    """

    whole = NeuralDetector.whole | {"latent": 1}

    def __init__(self, hidden: Sequence[int] = (32, 16), latent: int = 4, epochs: int = 60, learning_rate: float = 2e-3,
                 batch_size: int = 256, patience: int = 8, device: str = "auto", precision: str = "float32",
                 checkpoint: str | None = None, random_state: int = 0) -> None:
        super().__init__(epochs, learning_rate, batch_size, patience, device, precision, checkpoint, random_state)
        self.hidden = hidden
        self.latent = latent

    def _check_settings(self) -> None:
        super()._check_settings()
        if isinstance(self.hidden, int | str) or any(h < 1 for h in self.hidden):
            raise InputError(f"hidden={self.hidden!r}: expected a list of positive layer sizes, such as [32, 16]")

    def _network(self) -> nn.Module:
        sizes = [self.n_features_in_, *self.hidden, self.latent]
        return networks.dense([*sizes, *sizes[-2::-1]], self.random_state)

    def _loss(self, network: nn.Module, batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return nn.functional.mse_loss(network(batch), batch)

    def _event_scores(self, network: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        return (network(batch) - batch).square().mean(1)
