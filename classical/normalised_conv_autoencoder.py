"""The normalised autoencoder of jet images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from classical.conv_autoencoder import ACTIVATIONS, POOLINGS, ConvAutoencoder, Mirrored
from qad import networks
from qad.errors import InputError
from qad.normalised import NormalisedDetector

#: "dillon": the network of arXiv:2206.14225, for a GPU.
PRESETS: dict[str, dict[str, Any]] = {
    "small": {},
    "dillon": {"channels": (8, 8, 8, 8, 1), "pool_after": (2,), "pooling": "max", "dense": (100,), "latent": 3,
               "activation": "prelu", "spectral": True, "batch_size": 2048, "warm_up": 400, "epochs": 300, "steps": 30,
               "latent_steps": 30, "learning_rate": 1e-5, "warm_up_rate": 1e-3},
}


class NormalisedConvAutoencoder(NormalisedDetector):
    """Score = error of a convolutional autoencoder that is a density, ``E(x) = mean over pixels of (x - D(z))²/s²``.

    p(x) ∝ exp(-E(x)/T) of images ``(n, height, width)``, whose pixels lie between 0 and the brightest of the training images;
    z = E(x)/|E(x)| on a sphere (arXiv:2206.14225). s is the root mean square of all pixels, the network that of
    :class:`classical.conv_autoencoder.ConvAutoencoder`, with its settings; ``PRESETS`` has the published one. Images should be
    smeared (``images`` with ``blur``), or the energy cannot tell near pixels from far ones. In hundreds of pixels E/T is
    some hundreds: chains follow only a slow training, hence the small ``learning_rate``. On a CPU a step of the training costs
    some twenty of the plain autoencoder's.

    All other settings, and what is fitted, as in :class:`qad.normalised.NormalisedDetector`.
    """

    takes = "image"

    def __init__(self, channels: Sequence[int] = (8, 8, 8), pool_after: Sequence[int] = (1, 2), pooling: str = "average",
                 dense: Sequence[int] = (100,), latent: int = 3, activation: str = "leaky-relu", epochs: int = 15,
                 warm_up: int = 10, learning_rate: float = 1e-4, warm_up_rate: float = 2e-3, batch_size: int = 64,
                 patience: int = 10, loss: str = "likelihood", temperature: float | str = "likelihood", steps: int = 10,
                 latent_steps: int = 10, restart: float = 0.1, penalty: float = 0.0, spectral: bool = False,
                 smear: float | str = 0.0, buffer: int = 256, device: str = "auto", precision: str = "float32",
                 checkpoint: str | None = None, random_state: int = 0) -> None:
        super().__init__(epochs, warm_up, learning_rate, warm_up_rate, batch_size, patience, loss, temperature, steps,
                         latent_steps, restart, penalty, spectral, smear, buffer, device, precision, checkpoint, random_state)
        self.channels = channels
        self.pool_after = pool_after
        self.pooling = pooling
        self.dense = dense
        self.latent = latent
        self.activation = activation

    chunk = ConvAutoencoder.chunk

    def _check_settings(self) -> None:
        super()._check_settings()
        self._check_layers()

    _check_layers = ConvAutoencoder._check_layers
    _check_shape = ConvAutoencoder._check_shape
    pool = ConvAutoencoder.pool

    def _network(self) -> nn.Module:
        layers = Mirrored(self.channels, self.pool_after, self.pool, POOLINGS[self.pooling], self.dense, self.latent,
                          ACTIVATIONS[self.activation], self.shape_in_, self.random_state)
        return _Network(layers, self.latent, self.shape_in_, self.spectral, self.random_state)


class _Network(nn.Module):
    """Images as rows of pixels, ``(B, height · width)``, in units of the root mean square pixel."""

    def __init__(self, layers: Mirrored, latent: int, shape: Sequence[int], spectral: bool, seed: int) -> None:
        super().__init__()
        self.layers, self.latent, self.shape = layers, latent, tuple(shape)
        if spectral:
            networks.spectral(self, seed)

    def prepare(self, x: torch.Tensor) -> None:
        size = x.double().square().mean().sqrt()
        if not 0 < size < torch.inf:
            raise InputError("NormalisedConvAutoencoder: all training images are black, or too bright for float32; look at "
                             "what the representation gave")
        self.layers.scale.copy_(size)

    def coordinates(self, x: torch.Tensor) -> torch.Tensor:
        return (x / self.layers.scale).flatten(1)

    def events(self, u: torch.Tensor) -> torch.Tensor:
        return (u * self.layers.scale).unflatten(1, self.shape)

    def bounds(self, u: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return u.min().clamp_max(0).expand_as(u[0]).clone(), u.max().expand_as(u[0]).clone()

    def encode(self, u: torch.Tensor) -> torch.Tensor:
        return nn.functional.normalize(self.layers.encode(u.unflatten(1, self.shape)), dim=1)

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return self.layers.decode(z).flatten(1)

    def energy(self, u: torch.Tensor) -> torch.Tensor:
        return (u - self.decode(self.encode(u))).square().mean(1)
