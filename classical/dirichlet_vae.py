"""The Dirichlet variational autoencoder: every event a mixture of a few learned patterns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from classical.variational_autoencoder import Bottleneck, VariationalAutoencoder, gaussian_divergence
from qad import networks
from qad.errors import InputError

#: As in the code published with arXiv:2104.08291, which has batch normalisation after the hidden layer besides.
PRESETS = {"published": {"hidden": (100,), "latent": 2, "alpha": 0.9, "beta": 0.1, "learning_rate": 5e-3, "batch_size": 100,
                         "epochs": 200, "patience": 200}}


def laplace(alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance, ``(R,)`` each, of the Gaussian whose softmax approximates Dirichlet(α) (arXiv:1703.01488).

    ``m_k = log α_k - mean log α``, ``v_k = (1/α_k)(1 - 2/R) + Σ_i (1/α_i)/R²``.
    """
    R = len(alpha)
    return np.log(alpha) - np.log(alpha).mean(), (1 - 2 / R) / alpha + (1 / alpha).sum() / R**2


class _Topics(Bottleneck):
    """A bottleneck whose decoder is softmax(W softmax(z)), and the prior's Gaussian."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, columns: int, alpha: np.ndarray) -> None:
        super().__init__(encoder, decoder, columns)
        mean, variance = laplace(alpha)
        self.register_buffer("prior_mean", torch.as_tensor(mean, dtype=torch.float32))
        self.register_buffer("prior_log_var", torch.as_tensor(np.log(variance), dtype=torch.float32))


class DirichletVAE(VariationalAutoencoder):
    """Dirichlet variational autoencoder: events are mixtures of ``latent`` = R patterns, with weights r = softmax(z).

    Dillon, Plehn, Sauer, Sorrenson, arXiv:2104.08291. An event is a distribution p over its columns (the pT fractions of a
    flattened image); the encoder is f-``hidden``-2R with SELU, the decoder one linear layer without bias,
    ``p̂ = softmax(W r)``. The prior Dirichlet(α) is approximated by the softmax of a Gaussian: see :func:`laplace`. Loss of an
    event: ``Σ p log(p/p̂) + beta · KL(N(μ, σ²)‖N(m, v))``, in nats. Batch normalisation is left out; instead the encoder is
    given p minus its mean on the background, divided by one number, the background's r.m.s. about that mean.

    Inputs without negative values on the background are divided by their sum, event by event (all zero: uniform); a negative
    value later raises :class:`InputError`. Otherwise, as for standardised columns, p = softmax(x_1, …, x_f, 0), the inverse of
    the additive log ratio (Aitchison 1982): f + 1 parts, from which x can be had back. Such parts saturate far from the
    background's bulk, so what is made for intensities is a makeshift there.

    Scores, without noise: "reconstruction" ``Σ p log(p/p̂)`` at r = softmax(μ), "kl", "combined" and "latent-density" as in
    :class:`classical.variational_autoencoder.VariationalAutoencoder`, and "weight", ``1 - r_k`` with k the pattern that has
    the largest mean weight on the training events. The paper's notebook reads the sign of that off the labels; here the
    background decides, and where its two largest weights are near each other the choice is weak: see ``weights``.

    latent   R, the number of patterns, at least 2
    alpha    of the Dirichlet prior: a number for all patterns, or R of them; below 1 it favours corners

    ``diagnostics_`` also has ``weights``, the mean r on the training events. ``common_`` is k. The published settings are
    ``PRESETS["published"]``. The other settings are those of the variational autoencoder.
    """

    whole = VariationalAutoencoder.whole | {"latent": 2}
    scores_as = ("reconstruction", "kl", "combined", "weight", "latent-density")

    def __init__(self, hidden: Sequence[int] = (100,), latent: int = 2, alpha: float | Sequence[float] = 0.9, beta: float = 0.1,
                 score_as: str = "reconstruction", density: Mapping[str, Any] | None = None, epochs: int = 100,
                 learning_rate: float = 5e-3, batch_size: int = 100, patience: int = 10, device: str = "auto",
                 precision: str = "float32", checkpoint: str | None = None, random_state: int = 0) -> None:
        super().__init__(hidden, latent, beta, score_as, density, epochs, learning_rate, batch_size, patience, device,
                         precision, checkpoint, random_state)
        self.alpha = alpha

    def _alpha(self) -> np.ndarray:
        try:
            alpha = np.asarray(self.alpha, dtype=np.float64)
        except (TypeError, ValueError):
            alpha = np.empty(0)
        if alpha.shape not in ((), (self.latent,)) or not ((alpha > 0) & (alpha < np.inf)).all():
            raise InputError(f"alpha={self.alpha!r}: expected a number above 0, or one for each of the {self.latent} patterns")
        return np.broadcast_to(alpha, (self.latent,))

    def _check_settings(self) -> None:
        super()._check_settings()
        self._alpha()

    def _network(self) -> nn.Module:
        parts = self.n_features_in_ + self.has_negatives_
        encoder = networks.dense([parts, *self.hidden, 2 * self.latent], self.random_state, nn.SELU)
        with networks.seeded(self.random_state + 1):
            decoder = nn.Linear(self.latent, parts, bias=False)
        return _Topics(encoder, decoder, parts, self._alpha())

    def _fit(self, X: np.ndarray, validation: np.ndarray | None) -> None:
        self.has_negatives_ = bool((X < 0).any())
        super()._fit(X, validation)

    def _tensors(self, X: np.ndarray, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
        return (networks.tensor(self._shares(X.astype(np.float64)), dtype),)

    def _shares(self, X: np.ndarray) -> np.ndarray:
        """Events as distributions p over their columns, and the one more where the background has negative values."""
        if self.has_negatives_:
            logits = np.c_[X, np.zeros(len(X))]
            parts = np.exp(logits - logits.max(1, keepdims=True))
        else:
            if (X < 0).any():
                raise InputError(f"{int((X < 0).any(1).sum())} of {len(X)} events have negative values, of which the "
                                 "background had none: scale both in the same way")
            largest = X.max(1, keepdims=True)
            parts = np.where(largest > 0, X / np.where(largest > 0, largest, 1.0), 1.0)  # first, so that no sum overflows
        return parts / parts.sum(1, keepdims=True)

    def _misfit(self, network: nn.Module, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        log_reco = network.decoder(z.softmax(-1)).to(x.dtype).log_softmax(-1)
        return (torch.xlogy(x, x) - x * log_reco).sum(-1)

    def _divergence(self, network: nn.Module, mean: torch.Tensor, log_var: torch.Tensor) -> torch.Tensor:
        return gaussian_divergence(mean, log_var, network.prior_mean, network.prior_log_var)

    def _event_scores(self, network: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        if self.score_as != "weight":
            return super()._event_scores(network, batch)
        return 1 - network.encode(batch)[0].softmax(1)[:, self.common_]

    def _describe(self, X: np.ndarray, means: np.ndarray) -> dict[str, Any]:
        weights = torch.as_tensor(means).softmax(1).mean(0)
        self.common_ = int(weights.argmax())
        return super()._describe(X, means) | {"weights": weights.tolist()}

    def patterns(self) -> np.ndarray:
        """The learned patterns, ``softmax(W_k)`` for each k, shape ``(R, parts)``: what r_k = 1 is decoded to."""
        weights = self.network_.decoder.weight.detach()
        return weights.T.softmax(1).cpu().numpy()
