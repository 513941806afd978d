"""The variational autoencoder, and what its relatives (other priors, another decoder) share with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import nn

from classical.flow import Flow
from qad import networks, registry, settings
from qad.errors import InputError
from qad.neural import NeuralDetector

#: |log σ²| of the encoder stays below this, so that no event's divergence overflows.
LIMIT = 10.0


class Bottleneck(nn.Module):
    """An encoder to mean and log variance ``(B, latent)`` each, a decoder, and the background's centre and scale."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, columns: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.register_buffer("centre", torch.zeros(columns))
        self.register_buffer("scale", torch.ones(()))

    def scaled(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.centre) / self.scale

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, log_var = self.encoder(self.scaled(x)).to(x.dtype).chunk(2, -1)
        return mean, log_var.clamp(-LIMIT, LIMIT)


def gaussian_divergence(mean: torch.Tensor, log_var: torch.Tensor, prior_mean: torch.Tensor | float = 0.0,
                        prior_log_var: torch.Tensor | float = 0.0) -> torch.Tensor:
    """KL(N(mean, e^log_var) ‖ N(prior_mean, e^prior_log_var)) of independent Gaussians, summed over the last axis [nats]."""
    shrink = log_var - prior_log_var
    pull = (mean - prior_mean).square() * torch.exp(torch.as_tensor(-prior_log_var, dtype=mean.dtype))
    return 0.5 * (shrink.exp() + pull - 1 - shrink).sum(-1)


class VariationalAutoencoder(NeuralDetector):
    """Fully connected variational autoencoder with q(z|x) = N(μ(x), σ²(x)), prior N(0, 1), and loss MSE + ``beta`` KL(q‖prior).

    Kingma and Welling, arXiv:1312.6114; as anomaly detector of jets and events arXiv:1811.10276, 2007.01850. Input ``(n, f)``;
    images come flattened. Inside, columns are centred and divided by one number s, s² their mean variance on the background,
    so standardised columns stay as they are. The loss of an event is ``(1/f) |x - D(z)|²/s² + beta · KL``: the first term is
    the share of the background's variance that is lost, KL is summed over the latent dimensions, in nats. With Gaussian
    likelihood this is the evidence bound for ``beta`` = 2/f times the decoder's variance. Hence a latent dimension is used
    where it saves more than ``beta``/2 of the variance (exact for a linear network, arXiv:1911.02469), whatever f and units.
    ``beta`` = 0 draws no noise: an ordinary autoencoder. Scores draw none either:

    =================  =====================================================================================================
    "reconstruction"   ``(1/f) |x - D(μ)|²/s²``
    "kl"               KL(q‖prior) = ½ Σ (μ² + σ² - 1 - log σ²)
    "combined"         the loss at z = μ
    "radius"           Σ μ², the one number that a level-1 trigger computes
    "pull"             Σ μ²/σ²
    "latent-density"   -log density of μ, by a flow fitted to the background's μ after the network has been trained
    =================  =====================================================================================================

    hidden, latent   sizes of the encoder's layers and of μ; the decoder mirrors them
    beta             weight of the divergence; above about 1 nothing is encoded (see ``active_units``)
    score_as         one of the scores above. All but the density can be read off one training with ``set_params(score_as=…)``;
                     ``offset_`` stays that of the score it was fitted with
    density          settings of the flow, those of :class:`classical.flow.Flow`

    ``diagnostics_`` also has, on the training events: ``reconstruction`` and ``kl``, the mean scores of that name, and
    ``active_units``, the latent dimensions whose μ has a variance above 0.01 (arXiv:1509.00519). With none, scores of the
    latent space tell nothing: take a smaller ``beta``. Other settings as in :class:`qad.neural.NeuralDetector`.

    Raises :class:`InputError` for settings out of range, and where a score is asked for that was not fitted.
    """

    whole = NeuralDetector.whole | {"latent": 1}
    #: The scores, by name.
    scores_as: tuple[str, ...] = ("reconstruction", "kl", "combined", "radius", "pull", "latent-density")

    def __init__(self, hidden: Sequence[int] = (32, 16), latent: int = 4, beta: float = 0.01, score_as: str = "reconstruction",
                 density: Mapping[str, Any] | None = None, epochs: int = 100, learning_rate: float = 2e-3,
                 batch_size: int = 256, patience: int = 10, device: str = "auto", precision: str = "float32",
                 checkpoint: str | None = None, random_state: int = 0) -> None:
        super().__init__(epochs, learning_rate, batch_size, patience, device, precision, checkpoint, random_state)
        self.hidden = hidden
        self.latent = latent
        self.beta = beta
        self.score_as = score_as
        self.density = density

    def _check_settings(self) -> None:
        super()._check_settings()
        settings.sizes("hidden", self.hidden, "[32, 16]")
        settings.number("beta", self.beta)
        if not isinstance(self.density, Mapping | None):
            raise InputError(f"density={self.density!r}: expected settings of the flow, such as {{'epochs': 20}}")
        self._flow()
        self._check_score()

    def _check_score(self) -> None:
        if self.score_as not in self.scores_as:
            raise InputError(f"score_as={self.score_as!r}: expected one of {', '.join(self.scores_as)}")
        if self.beta == 0 and self.score_as in ("kl", "pull"):
            raise InputError(f"score_as={self.score_as!r} reads variances, which beta=0 leaves untrained; take beta above 0")

    def _network(self) -> nn.Module:
        f = self.n_features_in_
        encoder = networks.dense([f, *self.hidden, 2 * self.latent], self.random_state)
        decoder = networks.dense([self.latent, *list(self.hidden)[::-1], f], self.random_state + 1)
        return Bottleneck(encoder, decoder, f)

    def _prepare(self, network: nn.Module, data: tuple[torch.Tensor, ...]) -> None:
        x = data[0].double()
        spread = x.var(0, correction=0).mean().sqrt()
        network.centre.copy_(x.mean(0))
        network.scale.copy_(spread if spread > 1e-12 else torch.ones_like(spread))

    def _misfit(self, network: nn.Module, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """What the decoder misses of each event, ``(B,)``."""
        return (network.decoder(z).to(x.dtype) - network.scaled(x)).square().mean(-1)

    def _divergence(self, network: nn.Module, mean: torch.Tensor, log_var: torch.Tensor) -> torch.Tensor:
        """KL(q‖prior) of each event, ``(B,)``, in nats."""
        return gaussian_divergence(mean, log_var)

    def _latent_loss(self, network: nn.Module, mean: torch.Tensor, log_var: torch.Tensor) -> torch.Tensor:
        return self._divergence(network, mean, log_var).mean()

    def _loss(self, network: nn.Module, batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        mean, log_var = network.encode(batch)
        if self.beta == 0:
            return self._misfit(network, batch, mean).mean()
        noise = torch.randn(mean.shape, generator=generator).to(mean)
        z = mean + noise * (log_var / 2).exp()
        return self._misfit(network, batch, z).mean() + self.beta * self._latent_loss(network, mean, log_var)

    def _event_scores(self, network: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        mean, log_var = network.encode(batch)
        if self.score_as == "radius":
            return mean.square().sum(1)
        if self.score_as == "pull":
            return (mean.square() / log_var.exp()).sum(1)
        if self.score_as == "kl":
            return self._divergence(network, mean, log_var)
        misfit = self._misfit(network, batch, mean)
        if self.score_as == "reconstruction" or self.beta == 0:
            return misfit
        return misfit + self.beta * self._divergence(network, mean, log_var)

    def _fit(self, X: np.ndarray, validation: np.ndarray | None) -> None:
        super()._fit(X, validation)
        means = self._means(X)
        self.diagnostics_ |= self._describe(X, means)
        if self.score_as == "latent-density":
            self.density_ = self._flow().fit(means, validation=None if validation is None else self._means(validation))
        else:
            vars(self).pop("density_", None)  # of an earlier fit

    def _flow(self) -> Flow:
        given = {"device": self.device, "random_state": self.random_state, **(self.density or {})}
        return registry.construct("detector", "flow", Flow, given)

    def _describe(self, X: np.ndarray, means: np.ndarray) -> dict[str, Any]:
        """What ``diagnostics_`` says of the training events."""
        misfit = self._each(X, lambda net, x: self._misfit(net, x, net.encode(x)[0]))
        kl = self._each(X, lambda net, x: self._divergence(net, *net.encode(x)))
        return {"reconstruction": float(misfit.mean()), "kl": float(kl.mean()),
                "active_units": int((means.var(0) > 0.01).sum())}

    def _means(self, X: np.ndarray) -> np.ndarray:
        return self._each(X, lambda network, x: network.encode(x)[0])

    def latent_means(self, X: Any) -> np.ndarray:
        """μ of each event, shape ``(n, latent)``."""
        check_is_fitted(self)
        return self._means(self._check(X, reset=False))

    def _score(self, X: np.ndarray) -> np.ndarray:
        self._check_score()
        if self.score_as != "latent-density":
            return super()._score(X)
        if not hasattr(self, "density_"):
            raise InputError("this model was fitted without a density: fit it again with score_as='latent-density'")
        return self.density_.anomaly_score(self._means(X))

    def get_state(self) -> dict[str, Any]:
        state = super().get_state()
        if "density_" in state:
            state |= {f"density.{k}": v for k, v in state.pop("density_").get_state().items()}
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        fitted = {k.removeprefix("density."): state.pop(k) for k in [k for k in state if k.startswith("density.")]}
        super().set_state(state)
        if fitted:
            self.density_ = self._flow()
            self.density_.set_state(fitted)
