"""Convolutional autoencoders: of jet images, and of events as small images of objects × columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from qad import networks
from qad.errors import InputError
from qad.neural import NeuralDetector

ACTIVATIONS = {"prelu": nn.PReLU, "leaky-relu": nn.LeakyReLU, "relu": nn.ReLU}
POOLINGS = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}

#: Constructor parameters of networks of papers: ``ConvAutoencoder(**PRESETS["farina"])``. The defaults are "small".
#: "heimel": arXiv:1808.08979, channels as in public implementations. "farina": arXiv:1808.08992, 128C3-MP2-128C3-MP2-128C3-
#: 32N-6N-32N-12800N-128C3-US2-128C3-US2-1C3. "dillon": arXiv:2206.14225 without spectral norm, sphere and sigmoid.
PRESETS: dict[str, dict[str, Any]] = {
    "small": {},
    "heimel": {"channels": (10, 5, 5, 5, 1), "pool_after": (2,), "pooling": "average", "dense": (100,), "latent": 32,
               "activation": "prelu"},
    "farina": {"channels": (128, 128, 128), "pool_after": (1, 2), "pooling": "max", "dense": (32,), "latent": 6,
               "activation": "relu"},
    "dillon": {"channels": (8, 8, 8, 8, 1), "pool_after": (2,), "pooling": "max", "dense": (100,), "latent": 3,
               "activation": "prelu"},
}


class ConvAutoencoder(NeuralDetector):
    """Score = mean squared error of a convolutional autoencoder of images, ``mean over pixels of (x - D(E(x)))² / s²``.

    E: 3×3 convolutions with pooling by two after some, then fully connected layers down to ``latent`` numbers; D mirrors it
    with nearest-neighbour upsampling, linear at the end (arXiv:1808.08979, 1808.08992; eight channels as in 2206.14225). s is
    the root mean square of all pixels of the training images, so that the error of a black reconstruction is one on average
    and learning rates mean the same for any power of pT and any number of pixels. Images ``(n, pixels, pixels)``, any unit;
    sides divisible by 2 to the number of poolings. ``PRESETS`` of this module has networks of papers, for a GPU. All other
    settings as in :class:`qad.neural.NeuralDetector`. On a CPU a training of 10,000 images of 40×40 takes a few minutes.

    channels     of the encoder's convolutions
    pool_after   after which of them, counted from one, the image is halved; ``pooling`` "max" or "average"
    dense        sizes of the fully connected layers between the last convolution and the latent space
    latent       size of the latent space
    activation   "leaky-relu", "prelu" or "relu"

    Raises :class:`InputError` for settings and image sizes that do not fit, and for images that are black.
    """

    takes = "image"
    whole = NeuralDetector.whole | {"latent": 1}
    #: One in a hundred of these is still fifty, and convolutions in float64 are slow.
    most_for_offset = 5_000
    #: What a pooling divides the two sides by.
    pool = (2, 2)

    def __init__(self, channels: Sequence[int] = (8, 8, 8), pool_after: Sequence[int] = (1, 2), pooling: str = "max",
                 dense: Sequence[int] = (100,), latent: int = 6, activation: str = "leaky-relu", epochs: int = 15,
                 learning_rate: float = 2e-3, batch_size: int = 32, patience: int = 5, device: str = "auto",
                 precision: str = "float32", checkpoint: str | None = None, random_state: int = 0) -> None:
        super().__init__(epochs, learning_rate, batch_size, patience, device, precision, checkpoint, random_state)
        self.channels = channels
        self.pool_after = pool_after
        self.pooling = pooling
        self.dense = dense
        self.latent = latent
        self.activation = activation

    @property
    def chunk(self) -> int:
        """Events at a time. On a CPU few: convolutions in float64 are faster where a layer of them fits in the cache."""
        numbers = 2**27 if self.device != "cpu" and torch.cuda.is_available() else 2**17
        return max(1, numbers // (max(self.channels) * math.prod(self.shape_in_)))

    def _check_settings(self) -> None:
        super()._check_settings()
        self._check_layers()

    def _check_layers(self) -> None:
        for name, known in (("pooling", POOLINGS), ("activation", ACTIVATIONS)):
            if getattr(self, name) not in known:
                raise InputError(f"{name}={getattr(self, name)!r}: expected one of {', '.join(known)}")
        for name, example in (("channels", "[8, 8, 8]"), ("dense", "[100]"), ("pool_after", "[1, 2]")):
            value = getattr(self, name)
            if isinstance(value, int | str) or any(isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1
                                                   for k in value):
                raise InputError(f"{name}={value!r}: expected a list of whole numbers from 1, such as {example}")
        if not self.channels:
            raise InputError("channels=[]: expected one convolution at least; without any take dense-autoencoder")
        if len(set(self.pool_after)) < len(self.pool_after) or any(k > len(self.channels) for k in self.pool_after):
            raise InputError(f"pool_after={self.pool_after!r}: expected distinct numbers from 1 to {len(self.channels)}, the "
                             "number of channels given")
        self._check_shape()

    def _check_shape(self) -> None:
        by = 2 ** len(self.pool_after)
        if any(side % by for side in self.shape_in_):
            h, w = self.shape_in_
            raise InputError(f"{type(self).__name__} halves images {len(self.pool_after)} times, so it needs sides divisible "
                             f"by {by}; got {h}×{w} pixels: choose pixels={-(-max(h, w) // by) * by} in the "
                             "representation, or a shorter pool_after")

    def _network(self) -> nn.Module:
        return Mirrored(self.channels, self.pool_after, self.pool, POOLINGS[self.pooling], self.dense, self.latent,
                        ACTIVATIONS[self.activation], self.shape_in_, self.random_state)

    def _prepare(self, network: nn.Module, data: tuple[torch.Tensor, ...]) -> None:
        size = (sum(part.double().square().sum() for part in data[0].split(4096)) / data[0].numel()).sqrt()
        if not size > 0:
            raise InputError(f"{type(self).__name__}: all training images are black; look at what the representation gave")
        network.scale.fill_(size)

    def _errors(self, network: nn.Module, x: torch.Tensor) -> torch.Tensor:
        """Mean squared error of each event of ``x`` (B, height, width), shape (B,)."""
        x = x / network.scale
        return (network(x) - x).square().mean((1, 2))

    def _loss(self, network: nn.Module, batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return self._errors(network, batch).mean()

    def _event_scores(self, network: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        return self._errors(network, batch)


class ObjectConvAutoencoder(ConvAutoencoder):
    """Score = mean squared error of a convolutional autoencoder of events as images of objects × (pT, η, φ).

    The 19×3 "images" of level-1 events (arXiv:2107.02157) in the shape ``(n, slots, 3)`` that the representation ``objects``
    gives, pT in GeV and φ in rad: ``Σ over objects of (Δ pT/s₁)² + (Δη/s₂)² + (Δφ/s₃)²``, divided by 3 × slots, with Δφ the
    short way round and s each column's root mean square over the objects of the training events. Objects that are absent
    (pT = 0) enter as zeros and do not count. Poolings halve the slots alone; slots are padded to what poolings divide.
    Settings as in :class:`ConvAutoencoder`. Raises :class:`InputError`, also for other columns.
    """

    takes = "objects"
    pool = (2, 1)

    def __init__(self, channels: Sequence[int] = (16, 32), pool_after: Sequence[int] = (1, 2), pooling: str = "average",
                 dense: Sequence[int] = (), latent: int = 8, activation: str = "leaky-relu", epochs: int = 30,
                 learning_rate: float = 2e-3, batch_size: int = 256, patience: int = 5, device: str = "auto",
                 precision: str = "float32", checkpoint: str | None = None, random_state: int = 0) -> None:
        super().__init__(channels, pool_after, pooling, dense, latent, activation, epochs, learning_rate, batch_size, patience,
                         device, precision, checkpoint, random_state)

    def _check_shape(self) -> None:
        if self.shape_in_[1] != 3:
            raise InputError(f"{type(self).__name__} takes (pT, η, φ) of each object, shape (n, slots, 3), as the "
                             f"representation 'objects' gives; got {self.shape_in_[1]} columns")

    def _prepare(self, network: nn.Module, data: tuple[torch.Tensor, ...]) -> None:
        there = data[0][data[0][..., 0] > 0].double()  # (objects, 3)
        if not len(there):
            raise InputError(f"{type(self).__name__}: no object with pT above 0 in the training events")
        size = there.square().mean(0).sqrt()
        network.scale.copy_(torch.where(size > 0, size, 1.0))

    def _errors(self, network: nn.Module, x: torch.Tensor) -> torch.Tensor:
        there = (x[..., :1] > 0).to(x)  # (B, slots, 1)
        x = there * x / network.scale
        d = network(x) - x
        turn = 2 * math.pi / network.scale[2]
        d = torch.cat([d[..., :2], d[..., 2:] - turn * (d[..., 2:] / turn).round()], -1)
        return (there * d.square()).mean((1, 2))


class Mirrored(nn.Module):
    """The network: (B, height, width) → the same. Sides that poolings do not divide are padded with zeros, and cut again."""

    def __init__(self, channels: Sequence[int], pool_after: Sequence[int], pool: tuple[int, int], pooling: type[nn.Module],
                 dense: Sequence[int], latent: int, activation: type[nn.Module], shape: Sequence[int], seed: int) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(shape[1] if pool[1] == 1 else 1))
        inner = [-(-side // p ** len(pool_after)) for side, p in zip(shape, pool, strict=True)]
        self.padding = [(k * p ** len(pool_after) - side) for k, side, p in zip(inner, shape, pool, strict=True)]
        ends = [1, *channels]
        sizes = [channels[-1] * math.prod(inner), *dense, latent]
        encoder: list[nn.Module] = []
        decoder: list[nn.Module] = []  # from its end
        with networks.seeded(seed):
            for i in range(1, len(ends)):
                encoder += [nn.Conv2d(ends[i - 1], ends[i], 3, padding=1), activation()]
                decoder += [nn.Conv2d(ends[i], ends[i - 1], 3, padding=1)]
                if i in pool_after:
                    encoder.append(pooling(pool))
                    decoder.append(nn.Upsample(scale_factor=pool))
                decoder.append(activation())
            encoder.append(nn.Flatten())
            decoder.append(nn.Unflatten(1, (channels[-1], *inner)))
            for i in range(1, len(sizes)):
                encoder += [nn.Linear(sizes[i - 1], sizes[i])] + ([activation()] if i < len(sizes) - 1 else [])
                decoder += ([activation()] if i > 1 else []) + [nn.Linear(sizes[i], sizes[i - 1])]
        # channels_last: two to three times as fast on a CPU
        self.layers = nn.Sequential(*encoder, *reversed(decoder)).to(memory_format=torch.channels_last)
        self.half, self.shape = len(encoder), tuple(shape)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """(B, height, width) → (B, latent)."""
        rows, columns = self.padding
        if rows or columns:
            x = nn.functional.pad(x, (0, columns, 0, rows))
        return self.layers[: self.half](x[:, None])

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """(B, latent) → (B, height, width)."""
        h, w = self.shape
        return self.layers[self.half :](z)[:, 0, :h, :w]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decode(self.encode(x))
