"""The dense autoencoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from qad import networks, settings
from qad.errors import InputError
from qad.neural import NeuralDetector

SCORES = ("mse", "kl", "combined")
#: Sizes for events of trigger objects (19 objects of 3 numbers: 57-32-16-8), and a deep one.
PRESETS: dict[str, dict[str, Any]] = {
    "level1": {"hidden": (32, 16), "latent": 8},
    "deep": {"hidden": (256, 128, 64, 32, 16), "latent": 5},
}


class DenseAutoencoder(NeuralDetector):
    """Score = mean squared error of a fully connected autoencoder f-``hidden``-``latent``-mirrored, ``(1/f) |x - D(E(x))|²``.

    Leaky ReLU, Adam, early stopping on the loss of background held back (arXiv:1808.08979, 1808.08992). Inputs should be
    standardised: put ``Standardise()`` in front. All other settings as in :class:`qad.neural.NeuralDetector`.

    hidden, latent   sizes of the encoder's layers; the decoder mirrors them. More sizes: ``PRESETS``
    score_as         "mse"; "kl": Σ_i p_i log(p_i / q_i) in nats, p = softmax(x), q = softmax(D(E(x))) over the columns;
                     "combined": mse + ``kl_weight`` · kl. The loss is the mean score. Softmax makes shares of columns of
                     either sign, as standardised ones are, and forgets a shift common to all columns: "kl" sees only which
                     columns are large beside the others, and the largest count most
    """

    whole = NeuralDetector.whole | {"latent": 1}

    def __init__(self, hidden: Sequence[int] = (32, 16), latent: int = 4, epochs: int = 60, learning_rate: float = 2e-3,
                 batch_size: int = 256, patience: int = 8, device: str = "auto", precision: str = "float32",
                 checkpoint: str | None = None, random_state: int = 0, score_as: str = "mse", kl_weight: float = 1.0) -> None:
        super().__init__(epochs, learning_rate, batch_size, patience, device, precision, checkpoint, random_state)
        self.hidden = hidden
        self.latent = latent
        self.score_as = score_as
        self.kl_weight = kl_weight

    def _check_settings(self) -> None:
        super()._check_settings()
        settings.sizes("hidden", self.hidden, "[32, 16]")
        settings.number("kl_weight", self.kl_weight)
        if self.score_as not in SCORES:
            raise InputError(f"score_as={self.score_as!r}: expected one of {', '.join(SCORES)}")

    def _network(self) -> nn.Module:
        sizes = [self.n_features_in_, *self.hidden, self.latent]
        return networks.dense([*sizes, *sizes[-2::-1]], self.random_state)

    def _loss(self, network: nn.Module, batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        if self.score_as == "mse":
            return nn.functional.mse_loss(network(batch), batch)
        return self._event_scores(network, batch).mean()

    def _event_scores(self, network: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        back = network(batch)
        if self.score_as == "mse":
            return (back - batch).square().mean(1)
        log_p, log_q = batch.log_softmax(1), back.log_softmax(1)
        kl = (log_p.exp() * (log_p - log_q)).sum(1)
        return kl if self.score_as == "kl" else (back - batch).square().mean(1) + self.kl_weight * kl
