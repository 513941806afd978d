"""The Wasserstein normalised autoencoder."""

from __future__ import annotations

from collections.abc import Sequence

from classical.normalised_autoencoder import NormalisedAutoencoder


class WassersteinAutoencoder(NormalisedAutoencoder):
    """A normalised autoencoder trained by ``W₁(background, model)``, not by likelihood; score ``E(x) = (1/f) |x - D(z)|²``.

    The loss is the 1-Wasserstein distance between a batch and as many events of the model's own Langevin chains, min over plans
    P of Σ P_ij |x_i - y_j| (POT), and its gradient goes through the steps of the chains into the network (CMS,
    arXiv:2510.02168). It is above 0, falls where the model comes closer to the data, and sees modes that the chains leave out,
    which E₊ - E₋ does not. The public code has the square of |x_i - y_j| in its place.

    Settings as in :class:`classical.normalised_autoencoder.NormalisedAutoencoder`; ``batch_size`` is also that of the plans,
    whose cost grows with about its cube; T is trained by the distance, or fixed.
    """

    loss = "wasserstein"

    def __init__(self, hidden: Sequence[int] = (64, 64), latent: int = 3, epochs: int = 40, warm_up: int = 10,
                 learning_rate: float = 1e-3, warm_up_rate: float = 2e-3, batch_size: int = 256, patience: int = 15,
                 temperature: float | str = "likelihood", steps: int = 10, latent_steps: int = 10, restart: float = 0.1,
                 spectral: bool = False, smear: float | str = "scott", buffer: int = 512, device: str = "auto",
                 precision: str = "float32", checkpoint: str | None = None, random_state: int = 0) -> None:
        super().__init__(hidden, latent, epochs, warm_up, learning_rate, warm_up_rate, batch_size, patience, self.loss,
                         temperature, steps, latent_steps, restart, 0.0, spectral, smear, buffer, device, precision, checkpoint,
                         random_state)
