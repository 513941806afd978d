"""The particle transformer, told the signal: the reference from above on a jet's particles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from qad import networks, settings
from qad.encoders import PairTransformer
from qad.errors import InputError
from qad.neural import NeuralDetector

#: ``published``: the sizes of arXiv:2202.03772, two million weights, for a GPU and millions of jets. ``small``: the default.
PRESETS = {
    "small": {"width": 32, "heads": 4, "blocks": 2, "class_blocks": 1, "embedding": [64], "pair_embedding": [16]},
    "published": {"width": 128, "heads": 8, "blocks": 8, "class_blocks": 2, "embedding": [128, 512],
                  "pair_embedding": [64, 64, 64]},
}


class ParticleTransformer(NeuralDetector):
    """Score = log-odds of signal by a particle transformer: attention between particles, biased by features of each pair.

    Supervised: ``fit(X, y)`` is told y = 1 for signal; it marks what could be reached at best. After arXiv:2202.03772, for
    ``(n, particles, 3)`` = pT/pT_jet, Δη, Δφ [rad] from ``constituents``, absent particles zero. With z the pT share:

    - particle: ln z, Δη, Δφ, ΔR to the jet axis;
    - pair a, b: ln ΔR, ln kT = ln(min(z_a, z_b) ΔR), ln(min(z_a, z_b)/(z_a + z_b)), ln m², massless and in units of pT_jet²,
      m² = 2 z_a z_b (cosh Δη - cos Δφ); embedded, they are added to q·k/√d of each head;
    - ``blocks`` of attention over the particles present, then ``class_blocks`` in which a token of its own attends to them.

    Layer normalisation alone, no dropout: a score depends on its own event only, on no order of particles and on no padding. It
    does depend on rotations about the jet axis, by Δη and Δφ of the particles; ``constituents`` aligns jets, which settles
    that. Loss: binary cross-entropy. ``PRESETS`` has the published sizes.

    width, heads         of a particle's vector; width is a multiple of heads
    blocks, class_blocks attention over particles; attention of the class token
    embedding            hidden layers from particle features to width
    pair_embedding       hidden layers from pair features to heads
    validation_fraction  of each class, held back by ``random_state`` for early stopping; 0 or a class too small: none
    balanced             both classes weigh the same in the loss

    All other settings as in :class:`qad.neural.NeuralDetector`. Raises :class:`InputError` without y, and for events that are
    no pT shares and angles.
    """

    takes = "particles"
    kind = "supervised"
    sources = ("qad.encoders",)
    clip = 1.0
    whole = NeuralDetector.whole | {"width": 1, "heads": 1, "blocks": 1, "class_blocks": 1}

    def __init__(self, width: int = 32, heads: int = 4, blocks: int = 2, class_blocks: int = 1,
                 embedding: Sequence[int] = (64,), pair_embedding: Sequence[int] = (16,), validation_fraction: float = 0.2,
                 balanced: bool = True, epochs: int = 20, learning_rate: float = 1e-3, batch_size: int = 128,
                 patience: int = 5, device: str = "auto", precision: str = "float32", checkpoint: str | None = None,
                 random_state: int = 0) -> None:
        super().__init__(epochs, learning_rate, batch_size, patience, device, precision, checkpoint, random_state)
        self.width = width
        self.heads = heads
        self.blocks = blocks
        self.class_blocks = class_blocks
        self.embedding = embedding
        self.pair_embedding = pair_embedding
        self.validation_fraction = validation_fraction
        self.balanced = balanced

    @property
    def chunk(self) -> int:
        """Events that are scored at a time: a million pairs."""
        return max(1, 2**20 // self.shape_in_[0] ** 2)

    def _check_settings(self) -> None:
        super()._check_settings()
        if self.width % self.heads:
            raise InputError(f"width={self.width}: expected a multiple of heads={self.heads}")
        for name in ("embedding", "pair_embedding"):
            settings.sizes(name, getattr(self, name), "[64]")
        settings.share("validation_fraction", self.validation_fraction)
        settings.flag("balanced", self.balanced)

    def _fit_labelled(self, X: np.ndarray, y: np.ndarray) -> None:
        self._check_settings()
        if X.shape[2] != 3 or (X[..., 0] < 0).any():
            raise InputError("ParticleTransformer takes pT share, Δη, Δφ of each particle, shares of 0 or more: expected "
                             f"(n, particles, 3) as `constituents` gives them, unscaled; got {X.shape}")
        size = np.bincount(y)
        weight = (len(y) / (2 * size) if self.balanced else np.ones(2))[y]
        shuffled = np.random.default_rng(self.random_state).permutation(len(y))
        rank = np.empty(len(y), dtype=np.int64)  # of an event in its class, shuffled
        for label in (0, 1):
            rank[shuffled[y[shuffled] == label]] = np.arange(size[label])
        back = rank < (self.validation_fraction * size).astype(np.int64)[y]

        def tensors(chosen: np.ndarray) -> tuple[torch.Tensor, ...]:
            return tuple(networks.tensor(a[chosen], torch.float32) for a in (X, y, weight))

        held = tensors(back) if len(np.unique(y[back])) == 2 else None
        self._optimise(tensors(~back if held else np.ones_like(back)), held, X, y)

    def _network(self) -> nn.Module:
        with networks.seeded(self.random_state):
            body = PairTransformer(self.width, self.heads, self.blocks, self.class_blocks, self.embedding, self.pair_embedding)
            return nn.Sequential(body, nn.Linear(self.width, 1), nn.Flatten(0))

    def _loss(self, network: nn.Module, batch: tuple[torch.Tensor, ...], generator: torch.Generator) -> torch.Tensor:
        events, label, weight = batch
        return nn.functional.binary_cross_entropy_with_logits(network(events).to(label.dtype), label, weight)

    def _event_scores(self, network: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        return network(batch)
