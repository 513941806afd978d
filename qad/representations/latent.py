"""A learned embedding: the bottleneck of an autoencoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from qad import networks
from qad.data.sample import Sample
from qad.errors import InputError
from qad.representations.base import Representation
from qad.representations.scaling import _table
from qad.training import train


class LearnedLatent(Representation):
    """``(n, f) → (n, latent)``: z = tanh E(x) of the dense autoencoder f-``hidden``-``latent``-mirrored, in [-1, 1].

    Trained once on background, (1/f) |x - D(z)|² by Adam with early stopping on a tenth held back, then frozen
    (as the detectors of arXiv:2301.10780 stand on a frozen embedding, there a convolutional one). Inputs should be
    standardised: put ``flatten`` and ``standardise`` in front.

    latent, hidden  sizes of the bottleneck and of the encoder's layers; the decoder mirrors them
    random_state    seed of the weights, of what is held back and of the shuffling. The seeds of a study do not change it:
                    its detectors share one embedding
    """

    learned = True

    def __init__(self, latent: int = 16, hidden: Sequence[int] = (64, 32), epochs: int = 100, learning_rate: float = 2e-3,
                 batch_size: int = 256, patience: int = 10, random_state: int = 0) -> None:
        self.latent = latent
        self.hidden = hidden
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.patience = patience
        self.random_state = random_state

    def _encoder(self, n_features: int) -> nn.Sequential:
        return networks.dense([n_features, *self.hidden, self.latent], self.random_state).append(nn.Tanh())

    def _fit(self, X: Any) -> None:
        X = _flat(X, self)
        if len(X) < 2:
            raise InputError(f"LearnedLatent needs at least 2 events to learn from; got {len(X)}")
        if self.latent < 1 or any(h < 1 for h in self.hidden):
            raise InputError(f"expected positive layer sizes, got hidden={tuple(self.hidden)}, latent={self.latent}")
        self.n_features_ = X.shape[1]
        order = np.random.default_rng(self.random_state).permutation(len(X))
        held, kept = (networks.tensor(X[i], torch.float32) for i in np.split(order, [max(1, len(X) // 10)]))
        encoder = self._encoder(self.n_features_)
        decoder = networks.dense([self.latent, *list(self.hidden)[::-1], self.n_features_], self.random_state + 1)

        def loss(batch: torch.Tensor) -> torch.Tensor:
            return nn.functional.mse_loss(decoder(encoder(batch)), batch)

        history = train([*encoder.parameters(), *decoder.parameters()], loss, data=kept, epochs=self.epochs,
                        batch_size=self.batch_size, learning_rate=self.learning_rate, patience=self.patience,
                        seed=self.random_state, validation=lambda: loss(held))
        self.network_ = encoder.double()  # an embedding must not depend on how events are batched
        self.history_ = history.as_dict()

    def _transform(self, X: Any) -> np.ndarray:
        X = _flat(X, self)
        if X.shape[1] != self.n_features_:
            raise InputError(f"LearnedLatent was fitted on {self.n_features_} features; got {X.shape[1]}")
        with torch.no_grad():
            return torch.cat([self.network_(x) for x in networks.tensor(X, torch.float64).split(65_536)]).numpy()

    def get_state(self) -> dict[str, Any]:
        return networks.packed(super().get_state())

    def set_state(self, state: dict[str, Any]) -> None:
        weights = networks.unpacked(state)
        super().set_state(state)
        self.network_ = self._encoder(self.n_features_).double()
        networks.load_arrays(self.network_, weights)


def _flat(X: Any, who: Representation) -> np.ndarray:
    if isinstance(X, Sample):
        raise InputError(f"{type(who).__name__} takes a table (n, features); got a Sample: put 'constituents', 'flatten' and "
                         "'standardise' in front")
    X = _table(X, who)
    if X.ndim != 2:
        raise InputError(f"{type(who).__name__} takes a table (n, features); got shape {X.shape}: put 'flatten' in front")
    return X
