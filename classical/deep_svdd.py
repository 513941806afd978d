"""The deep one-class network."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from qad import networks, settings
from qad.errors import NotConvergedWarning, beyond
from qad.neural import NeuralDetector


class DeepSVDD(NeuralDetector):
    """Score = |φ(x) - c|², φ a network without biases trained to bring background close to a fixed centre c.

    Ruff et al. 2018 (Deep SVDD, one-class). The loss is the mean score. c is the mean of the untrained φ over the training
    events, and components nearer to 0 than 0.1 are moved to ±0.1. Leaky ReLU, no bias and c ≠ 0: with biases, a bounded
    activation or c = 0 a constant φ = c would be the best, and every event would have one score. As in the paper the columns
    are brought to [0, 1] over the training events. The score has no units.

    Still a training can collapse. ``diagnostics_`` has, on up to 10,000 training events, ``spread`` (standard deviation of the
    scores over their mean), ``radius`` (mean score over |c|²), ``distinct`` (different scores, to 8 digits) and ``collapsed``:
    spread below 10⁻³, radius below 10⁻⁹, or fewer distinct scores than half the different events (at most 100 are asked for).
    Then a :class:`qad.errors.NotConvergedWarning` says so.

    hidden, latent  sizes of the layers of φ, the last being the number of components of φ and c
    weight_decay    λ of λ|w|²/2

    All other settings as in :class:`qad.neural.NeuralDetector`; raises :class:`InputError`.
    """

    whole = NeuralDetector.whole | {"latent": 1}

    def __init__(self, hidden: Sequence[int] = (64, 32), latent: int = 16, weight_decay: float = 1e-6, epochs: int = 60,
                 learning_rate: float = 1e-3, batch_size: int = 128, patience: int = 8, device: str = "auto",
                 precision: str = "float32", checkpoint: str | None = None, random_state: int = 0) -> None:
        super().__init__(epochs, learning_rate, batch_size, patience, device, precision, checkpoint, random_state)
        self.hidden = hidden
        self.latent = latent
        self.weight_decay = weight_decay

    def _check_settings(self) -> None:
        super()._check_settings()
        settings.sizes("hidden", self.hidden, "[64, 32]")
        settings.number("weight_decay", self.weight_decay)

    def _network(self) -> nn.Module:
        with networks.seeded(self.random_state):
            return _OneClass([self.n_features_in_, *self.hidden, self.latent])

    def _prepare(self, network: nn.Module, data: tuple[torch.Tensor, ...]) -> None:
        with torch.no_grad():
            mean = torch.stack([network(part).sum(0) for part in data[0].split(self.chunk)]).sum(0) / len(data[0])
            network.centre.copy_(torch.where(mean.abs() < 0.1, torch.where(mean < 0, -0.1, 0.1), mean))

    def _fit(self, X: np.ndarray, validation: np.ndarray | None) -> None:
        lowest, highest = X.min(0).astype(np.float64), X.max(0).astype(np.float64)
        self.lowest_, self.width_ = lowest, np.where(highest > lowest, highest - lowest, 1.0)
        super()._fit(X, validation)
        events = X[:10_000]
        score = self._score(events)
        distinct, possible = (len(np.unique(a, axis=0)) for a in (np.char.mod("%.7e", score), events))
        spread = float(score.std() / max(score.mean(), 1e-300))
        radius = float(score.mean() / self.network_.centre.square().sum())
        collapsed = bool(possible > 1 and (spread < 1e-3 or radius < 1e-9 or distinct < min(100, possible / 2)))
        self.diagnostics_ |= {"spread": spread, "radius": radius, "distinct": distinct, "collapsed": collapsed}
        if collapsed:
            warnings.warn(f"the deep one-class network has collapsed: {distinct} distinct scores for {possible} different "
                          f"events, spread {spread:.1e}, radius {radius:.1e}; take fewer epochs, a smaller learning_rate or "
                          f"weight_decay (now {self.weight_decay}), or more columns", NotConvergedWarning, stacklevel=beyond())

    def _tensors(self, X: np.ndarray, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
        return (networks.tensor((X.astype(np.float64) - self.lowest_) / self.width_, dtype),)

    def _loss(self, network: nn.Module, batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return self._event_scores(network, batch).mean()

    def _event_scores(self, network: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        return (network(batch) - network.centre).square().sum(1)


class _OneClass(nn.Sequential):
    """Layers without biases, and the centre."""

    def __init__(self, sizes: Sequence[int]) -> None:
        layers: list[nn.Module] = []
        for i, (a, b) in enumerate(pairwise(sizes)):
            layer = nn.Linear(a, b, bias=False)
            # keeps the scale from layer to layer: with torch's own start nearly all of the centre lies within ±0.1
            nn.init.kaiming_normal_(layer.weight, a=0.01, nonlinearity="leaky_relu")
            layers += [layer] + ([nn.LeakyReLU()] if i < len(sizes) - 2 else [])
        super().__init__(*layers)
        self.register_buffer("centre", torch.zeros(sizes[-1]))
