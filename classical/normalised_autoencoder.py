"""The normalised autoencoder of tables: features, or what a learned representation gives."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from qad import networks, settings
from qad.normalised import NormalisedDetector


class NormalisedAutoencoder(NormalisedDetector):
    """Score = error of a dense autoencoder that is a density, ``E(x) = (1/f) |x - D(z)|²`` with z = E(x)/|E(x)| on a sphere.

    p(x) ∝ exp(-E(x)/T): trained by likelihood, so that it reconstructs background and not what is simpler than background
    (arXiv:2105.05735; jets 2206.14225). Tables ``(n, f)`` in any unit: columns are divided by the background's standard
    deviation inside. As a head on a learned representation, put that in front (``learned-latent``, ``principal-components``).
    In more than some thirty columns E/T is large, and a small ``learning_rate`` is needed, that chains can follow.

    hidden, latent   sizes of the encoder's layers, which the decoder mirrors, and of the space whose sphere z lies on
    epochs, warm_up  normalised, and plain before them

    All other settings, and what is fitted, as in :class:`qad.normalised.NormalisedDetector`. A model's density is that in these
    columns: where it peaks at the signal, as that of tops' particles does at a jet of one prong, being normalised does not
    help (docs/benchmarks/both_directions.md).
    """

    jumps = 0.05

    def __init__(self, hidden: Sequence[int] = (64, 64), latent: int = 3, epochs: int = 40, warm_up: int = 10,
                 learning_rate: float = 1e-3, warm_up_rate: float = 2e-3, batch_size: int = 256, patience: int = 15,
                 loss: str = "likelihood", temperature: float | str = "likelihood", steps: int = 10, latent_steps: int = 10,
                 restart: float = 0.1, penalty: float = 0.0, spectral: bool = False, smear: float | str = "scott",
                 buffer: int = 512, device: str = "auto", precision: str = "float32", checkpoint: str | None = None,
                 random_state: int = 0) -> None:
        super().__init__(epochs, warm_up, learning_rate, warm_up_rate, batch_size, patience, loss, temperature, steps,
                         latent_steps, restart, penalty, spectral, smear, buffer, device, precision, checkpoint, random_state)
        self.hidden = hidden
        self.latent = latent

    def _check_settings(self) -> None:
        super()._check_settings()
        settings.sizes("hidden", self.hidden, "[64, 64]")

    def _network(self) -> nn.Module:
        return _Network([self.n_features_in_, *self.hidden, self.latent], self.spectral, self.random_state)


class _Network(nn.Module):
    """Columns in standard deviations about their means."""

    def __init__(self, sizes: Sequence[int], spectral: bool, seed: int) -> None:
        super().__init__()
        self.latent = sizes[-1]
        self.register_buffer("mean", torch.zeros(sizes[0]))
        self.register_buffer("scale", torch.ones(sizes[0]))
        self.encoder = networks.dense(sizes, seed, nn.SiLU)
        self.decoder = networks.dense(sizes[::-1], seed + 1, nn.SiLU)
        if spectral:
            networks.spectral(self, seed)

    def prepare(self, x: torch.Tensor) -> None:
        self.mean.copy_(x.double().mean(0))
        scale = x.double().std(0, correction=0)
        self.scale.copy_(torch.where(scale > 1e-6 * x.abs().amax(0), scale, torch.ones_like(scale)))

    def coordinates(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.mean) / self.scale

    def events(self, u: torch.Tensor) -> torch.Tensor:
        return self.mean + self.scale * u

    def bounds(self, u: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        low, high = u.amin(0), u.amax(0)
        room = 0.1 * (high - low).clamp_min(1.0)
        return low - room, high + room

    def encode(self, u: torch.Tensor) -> torch.Tensor:
        return nn.functional.normalize(self.encoder(u), dim=1)

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return self.decoder(z)

    def energy(self, u: torch.Tensor) -> torch.Tensor:
        return (u - self.decode(self.encode(u))).square().mean(1)
