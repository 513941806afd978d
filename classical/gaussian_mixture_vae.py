"""The variational autoencoder whose prior is a trained mixture of Gaussians."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from classical.variational_autoencoder import LIMIT, Bottleneck, VariationalAutoencoder, gaussian_divergence
from qad import networks, settings
from qad.errors import InputError


class _Mixture(Bottleneck):
    """A bottleneck with the prior Σ_c π_c N(centres_c, widths_c²) in latent space."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, columns: int, components: int, latent: int) -> None:
        super().__init__(encoder, decoder, columns)
        self.centres = nn.Parameter(torch.randn(components, latent))
        self.log_var = nn.Parameter(torch.zeros(components, latent))
        self.logits = nn.Parameter(torch.zeros(components))

    def joint(self, mean: torch.Tensor, log_var: torch.Tensor) -> torch.Tensor:
        """log π_c - KL(q‖component c), ``(B, components)``."""
        each = gaussian_divergence(mean[:, None], log_var[:, None], self.centres, self.log_var.clamp(-LIMIT, LIMIT))
        return self.logits.log_softmax(0) - each


class GaussianMixtureVAE(VariationalAutoencoder):
    """Variational autoencoder with a trained mixture of ``components`` Gaussians as prior: p(z) = Σ_c π_c N(z; m_c, v_c).

    The formulation of Jiang et al. (VaDE), arXiv:1611.05148: ``KL(q(z, c|x) ‖ p(z, c))`` with q(z, c|x) = q(z|x) q(c|x).
    There q(c|x) is p(c|z) at a drawn z; here it is the one that makes the divergence smallest,
    ``γ_c ∝ π_c exp(-KL(q(z|x)‖N_c))``, so that it is closed and without noise: ``KL = -log Σ_c π_c exp(-KL(q‖N_c))``, never
    less than the divergence to the mixture itself, and that of the plain variational autoencoder for one standard component.
    No pretraining: m_c start as standard normal draws, v_c at 1.

    Components die if nothing keeps them. The loss therefore also has ``beta · balance · KL(uniform ‖ γ̄)``, γ̄ the mean of γ over
    the batch: small while all are used, without bound for a component without events, and with a gradient that draws it back.

    Scores as in :class:`classical.variational_autoencoder.VariationalAutoencoder` are "reconstruction", "kl" (the one above),
    "combined" and "latent-density"; the origin means nothing here, so "radius" and "pull" give way to "prior-density",
    ``-log p(μ)`` under the trained mixture.

    components   of the prior
    balance      weight, within ``beta``, of what keeps components alive; 0 for none

    ``diagnostics_`` also has ``weights`` (π), ``shares`` (γ̄ on the training events) and ``components_used``, the exponential of
    the shares' entropy. The other settings are those of the variational autoencoder.
    """

    whole = VariationalAutoencoder.whole | {"components": 1}
    scores_as = ("reconstruction", "kl", "combined", "prior-density", "latent-density")

    def __init__(self, hidden: Sequence[int] = (32, 16), latent: int = 4, components: int = 6, beta: float = 0.01,
                 balance: float = 0.1, score_as: str = "reconstruction", density: Mapping[str, Any] | None = None,
                 epochs: int = 100, learning_rate: float = 2e-3, batch_size: int = 256, patience: int = 10,
                 device: str = "auto", precision: str = "float32", checkpoint: str | None = None,
                 random_state: int = 0) -> None:
        super().__init__(hidden, latent, beta, score_as, density, epochs, learning_rate, batch_size, patience, device,
                         precision, checkpoint, random_state)
        self.components = components
        self.balance = balance

    def _check_settings(self) -> None:
        super()._check_settings()
        settings.number("balance", self.balance)

    def _check_score(self) -> None:
        super()._check_score()
        if self.beta == 0 and self.score_as == "prior-density":
            raise InputError("score_as='prior-density' reads the prior, which beta=0 leaves untrained; take beta above 0")

    def _network(self) -> nn.Module:
        plain = super()._network()
        with networks.seeded(self.random_state + 2):
            return _Mixture(plain.encoder, plain.decoder, self.n_features_in_, self.components, self.latent)

    def _divergence(self, network: nn.Module, mean: torch.Tensor, log_var: torch.Tensor) -> torch.Tensor:
        return -network.joint(mean, log_var).logsumexp(1)

    def _latent_loss(self, network: nn.Module, mean: torch.Tensor, log_var: torch.Tensor) -> torch.Tensor:
        joint = network.joint(mean, log_var)
        log_share = joint.log_softmax(1).logsumexp(0) - np.log(len(joint))  # log γ̄
        return (-joint.logsumexp(1)).mean() - self.balance * (log_share.mean() + np.log(self.components))

    def _event_scores(self, network: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        if self.score_as != "prior-density":
            return super()._event_scores(network, batch)
        mean, _ = network.encode(batch)
        log_var = network.log_var.clamp(-LIMIT, LIMIT)
        squares = ((mean[:, None] - network.centres).square() / log_var.exp() + log_var + np.log(2 * np.pi)).sum(-1)
        return -(network.logits.log_softmax(0) - squares / 2).logsumexp(1)

    def _describe(self, X: np.ndarray, means: np.ndarray) -> dict[str, Any]:
        shares = self._each(X, lambda net, x: net.joint(*net.encode(x)).softmax(1)).mean(0)
        weights = self.network_.logits.detach().softmax(0).cpu().numpy()
        used = np.exp(-(shares * np.log(np.maximum(shares, 1e-300))).sum())
        return super()._describe(X, means) | {"weights": weights.tolist(), "shares": shares.tolist(),
                                              "components_used": float(used)}
