"""The density of the background, learned by a normalising flow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import zuko
from torch import nn

from qad import networks, settings
from qad.errors import InputError
from qad.neural import NeuralDetector

ARCHITECTURES = ("affine", "spline")
#: Published sizes, for a GPU. CATHODE's density estimator (arXiv:2109.00546; it also has batch normalisation between its
#: blocks, and a condition), and the flows of the CMS search with QUAK (arXiv:2412.03747).
PRESETS: dict[str, dict[str, Any]] = {
    "cathode": {"architecture": "affine", "transforms": 15, "hidden": (128,), "epochs": 100, "learning_rate": 1e-4,
                "weight_decay": 1e-6, "batch_size": 256},
    "quak": {"architecture": "spline", "transforms": 6, "hidden": (120,) * 4, "bound": 10.0, "learning_rate": 5e-5,
             "batch_size": 10_000, "patience": 20},
}


class Flow(NeuralDetector):
    """Score = -log p(x), p the density of a masked autoregressive flow: affine (MAF) or rational-quadratic splines (NSF).

    p(x) = N(T(u)) |∂T/∂u| |∂u/∂x|, with T of ``transforms`` invertible maps, each moving column i by what a masked network
    reads off the columns before it, the order reversed from one to the next (arXiv:1705.07057, 1906.04032). In nats, for a
    density in 1/(units of the columns), so on both sides of zero. The loss is the mean of the same, in the units of u.

    Splines are defined on a bounded interval, and far events overflow an affine map: the columns are standardised on the
    training events, to v, and beyond ±``bound`` u grows as the logarithm of v, u = ±(bound + log(1 + \\|v\\| - bound)).
    This is invertible and its derivative is in p, so p still integrates to one and every event has a finite score. Beyond
    its interval a spline is the identity.

    architecture  "spline" or "affine"
    transforms    maps in a row; ``hidden`` are the layers of the network of each, ``bins`` those of a spline
    bound         standard deviations within which inputs are left as they are; the interval of the splines is [-bound, bound]
    smear         Gaussian noise on the training events, in standard deviations: columns of whole numbers or a constant would
                  have an infinite density. The density learned is that much wider; scores are without noise
    weight_decay  λ of λ|w|²/2

    All other settings as in :class:`qad.neural.NeuralDetector`; raises :class:`InputError`. Published sizes: ``PRESETS``.
    """

    whole = NeuralDetector.whole | {"transforms": 1, "bins": 2}
    clip = 10.0

    def __init__(self, architecture: str = "spline", transforms: int = 3, hidden: Sequence[int] = (64, 64), bins: int = 8,
                 bound: float = 5.0, smear: float = 0.01, weight_decay: float = 0.0, epochs: int = 60,
                 learning_rate: float = 1e-3, batch_size: int = 256, patience: int = 8, device: str = "auto",
                 precision: str = "float32", checkpoint: str | None = None, random_state: int = 0) -> None:
        super().__init__(epochs, learning_rate, batch_size, patience, device, precision, checkpoint, random_state)
        self.architecture = architecture
        self.transforms = transforms
        self.hidden = hidden
        self.bins = bins
        self.bound = bound
        self.smear = smear
        self.weight_decay = weight_decay

    def _check_settings(self) -> None:
        super()._check_settings()
        if self.architecture not in ARCHITECTURES:
            raise InputError(f"architecture={self.architecture!r}: expected one of {', '.join(ARCHITECTURES)}")
        settings.sizes("hidden", self.hidden, "[64, 64]", empty=False)
        settings.number("bound", self.bound, above=True)
        settings.number("smear", self.smear)
        settings.number("weight_decay", self.weight_decay)

    def _fit(self, X: np.ndarray, validation: np.ndarray | None) -> None:
        exact = X.astype(np.float64)
        self.mean_, spread = exact.mean(0), exact.std(0)
        # a column that only rounding moves is a constant
        self.scale_ = np.where(spread > 1e-9 * np.maximum(np.abs(self.mean_), 1e-30), spread, 1.0)
        super()._fit(X, validation)

    def _tensors(self, X: np.ndarray, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
        return (networks.tensor((X.astype(np.float64) - self.mean_) / self.scale_, dtype),)

    def _network(self) -> nn.Module:
        kind: dict[str, Any] = {}
        if self.architecture == "spline":
            kind = {"univariate": partial(zuko.transforms.MonotonicRQSTransform, bound=float(self.bound)),
                    "shapes": [(self.bins,), (self.bins,), (self.bins - 1,)]}
        with networks.seeded(self.random_state):
            return zuko.flows.MAF(self.n_features_in_, transforms=self.transforms, hidden_features=tuple(self.hidden), **kind)

    def _log_density(self, network: nn.Module, v: torch.Tensor) -> torch.Tensor:
        """log p of standardised events ``(B, f)``, per unit of v."""
        beyond = (v.abs() - self.bound).clamp(min=0)
        slower = torch.log1p(beyond)  # also -log du/dv
        u = torch.where(beyond > 0, v.sign() * (self.bound + slower), v)
        z, stretch = network.transform().call_and_ladj(u)
        return -0.5 * (z.square() + math.log(2 * math.pi)).sum(1) + stretch - slower.sum(1)

    def _loss(self, network: nn.Module, batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        noise = torch.randn(batch.shape, generator=generator).to(batch)
        return -self._log_density(network, batch + self.smear * noise).mean()

    def _event_scores(self, network: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        return float(np.log(self.scale_).sum()) - self._log_density(network, batch)
