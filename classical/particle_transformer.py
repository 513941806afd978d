"""The particle transformer, told the signal: the reference from above on a jet's particles."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from qad import networks, settings
from qad.errors import InputError
from qad.neural import NeuralDetector

#: ``published``: the sizes of arXiv:2202.03772, two million weights, for a GPU and millions of jets. ``small``: the default.
PRESETS = {
    "small": {"width": 32, "heads": 4, "blocks": 2, "class_blocks": 1, "embedding": [64], "pair_embedding": [16]},
    "published": {"width": 128, "heads": 8, "blocks": 8, "class_blocks": 2, "embedding": [128, 512],
                  "pair_embedding": [64, 64, 64]},
}
#: Smaller shares, angles and masses are taken as this: a particle and itself have no logarithm of their angle.
LEAST = 1e-8
PARTICLE_FEATURES, PAIR_FEATURES = 4, 4


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
            return _Transformer(self.width, self.heads, self.blocks, self.class_blocks, self.embedding, self.pair_embedding)

    def _loss(self, network: nn.Module, batch: tuple[torch.Tensor, ...], generator: torch.Generator) -> torch.Tensor:
        events, label, weight = batch
        return nn.functional.binary_cross_entropy_with_logits(network(events).to(label.dtype), label, weight)

    def _event_scores(self, network: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        return network(batch)


def particle_features(X: torch.Tensor) -> torch.Tensor:
    """ln z, Δη, Δφ, ΔR, each brought to the size of 1: ``(B, P, 3)`` → ``(B, P, 4)``."""
    z, eta, phi = X.unbind(-1)
    return torch.stack([z.clamp(min=LEAST).log() / 4 + 1, 4 * eta, 4 * phi, 4 * (eta.square() + phi.square()).sqrt()], -1)


def pair_features(X: torch.Tensor) -> torch.Tensor:
    """ln ΔR, ln kT, ln of the softer share, ln m² of all pairs, ``(B, P, 3)`` → ``(B, P, P, 4)``."""
    z, eta, phi = X.unbind(-1)
    eta, phi = (a[:, :, None] - a[:, None, :] for a in (eta, phi))
    a, b = z[:, :, None], z[:, None, :]
    angle, softer = (eta.square() + phi.square()).sqrt(), torch.minimum(a, b)
    # cosh Δη - cos Δφ, without the difference of two numbers near 1
    mass2 = 4 * a * b * ((eta / 2).sinh().square() + (phi / 2).sin().square())
    each = angle, softer * angle, softer / (a + b).clamp(min=LEAST), mass2
    return torch.stack([x.clamp(min=LEAST).log() for x in each], -1)


class _Transformer(nn.Module):
    def __init__(self, width: int, heads: int, blocks: int, class_blocks: int, embedding: Sequence[int],
                 pair_embedding: Sequence[int]) -> None:
        super().__init__()
        self.embed = _layers([PARTICLE_FEATURES, *embedding, width])
        self.pairs = _layers([PAIR_FEATURES, *pair_embedding, heads])
        self.blocks = nn.ModuleList(_Block(width, heads) for _ in range(blocks))
        self.class_blocks = nn.ModuleList(_Block(width, heads) for _ in range(class_blocks))
        self.token = nn.Parameter(0.02 * torch.randn(width))
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 1))

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        absent = X[..., 0] <= 0
        # finite: a jet without particles has a score too
        bias = (self.pairs(pair_features(X) / 5 + 1).permute(0, 3, 1, 2)).masked_fill(absent[:, None, None], -1e9)
        x = self.embed(particle_features(X))
        for block in self.blocks:
            x = block(x, x, bias)
        token = self.token.expand(len(X), 1, -1)
        seen = nn.functional.pad(absent.to(x.dtype) * -1e9, (1, 0))[:, None, None]  # itself and the particles present
        for block in self.class_blocks:
            token = block(token, torch.cat([token, x], 1), seen)
        return self.out(token[:, 0])[:, 0]


class _Block(nn.Module):
    """x + LN(attention(LN x, LN y)), then x + W(LN(gelu(V(LN x)))): normalised before and after, as in the paper."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key_value, self.join = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.feed = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.LayerNorm(4 * width),
                                  nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor, y: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        def split(t: torch.Tensor) -> torch.Tensor:
            return t.unflatten(-1, (self.heads, -1)).transpose(1, 2)

        normal = self.before(y)
        query = split(self.query(normal if x is y else self.before(x)))
        key, value = (split(t) for t in self.key_value(normal).chunk(2, -1))
        found = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype))
        x = x + self.after(self.join(found.transpose(1, 2).flatten(2)))
        return x + self.feed(x)


def _layers(sizes: Sequence[int]) -> nn.Sequential:
    """Linear layers, GELU between them."""
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), nn.GELU()]
    return nn.Sequential(*layers[:-1])
