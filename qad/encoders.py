"""Networks that turn a set of particles into one vector."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

#: Logarithms are taken of this at least: absent particles weigh e^-34, a jet without any still has an embedding.
LEAST = 1e-30


class SetTransformer(nn.Module):
    """Attention among particles, then their sum: the order of particles does not matter (arXiv:2108.04253).

    x ``(B, P, columns)``, the first column pT in units of ``scale``. Linear(columns → width), ``blocks`` of attention and
    feed-forward layers (residual, normalised after, as torch's TransformerEncoderLayer), Σ over particles, then ``head``:
    layers with ReLU in front of each.

    infrared_safe  0.5 ln pT is added to the attention paid to a particle and its vector weighs with pT in the sum: one without
                   pT changes nothing. Otherwise absent particles are masked and present ones weigh the same

    ``forward(x, read)``: what the layer ``read`` of the head gives, 0 being the sum itself, -1 the last.
    """

    def __init__(self, columns: int, width: int, heads: int, blocks: int, feed: int, head: Sequence[int], dropout: float = 0.0,
                 infrared_safe: bool = True) -> None:
        super().__init__()
        self.infrared_safe = infrared_safe
        self.embed = nn.Linear(columns, width)
        self.blocks = nn.ModuleList(Block(width, heads, feed, dropout) for _ in range(blocks))
        sizes = [width, *head]
        self.head = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))

    def forward(self, x: torch.Tensor, read: int = -1) -> torch.Tensor:
        pt = x[..., 0]
        there = pt > 0
        if self.infrared_safe:
            weight = pt
            bias = 0.5 * pt.clamp(min=LEAST).log()
        else:
            weight = there.to(x.dtype)
            bias = (weight - 1) * 1e9
        h = self.embed(x)
        for block in self.blocks:
            h = block(h, bias[:, None, None, :])
        z = (h * weight[..., None]).sum(1)
        for layer in self.head[: len(self.head) if read < 0 else read]:
            z = layer(z.relu())
        return z


class Block(nn.Module):
    """LN(x + attention(x)), then LN(x + W relu(V x)); ``bias`` is added to the attention, broadcast to ``(B, heads, P, P)``."""

    def __init__(self, width: int, heads: int, feed: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.query_key_value, self.join = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, feed), nn.Linear(feed, width)
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        def lost(y: torch.Tensor) -> torch.Tensor:
            return nn.functional.dropout(y, self.dropout, self.training) if self.dropout else y

        q, k, v = self.query_key_value(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        if x.device.type == "cpu" and q.dtype == torch.bfloat16:  # there the fused one's backward pass is ten times slower
            weight = ((q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2) + bias).softmax(-1)
            found = lost(weight) @ v
        else:
            bias = bias.to(q.dtype).expand(-1, -1, q.shape[2], -1)
            found = nn.functional.scaled_dot_product_attention(q, k, v, bias, self.dropout if self.training else 0.0)
        x = self.first(x + lost(self.join(found.transpose(1, 2).flatten(2))))
        return self.second(x + lost(self.down(lost(self.up(x).relu()))))


#: Smaller shares, angles and masses are taken as this: a particle and itself have no logarithm of their angle.
SMALLEST = 1e-8
PARTICLE_FEATURES, PAIR_FEATURES = 4, 4


def particle_features(X: torch.Tensor) -> torch.Tensor:
    """ln z, Δη, Δφ, ΔR, each brought to the size of 1: ``(B, P, 3)`` → ``(B, P, 4)``."""
    z, eta, phi = X.unbind(-1)
    return torch.stack([z.clamp(min=SMALLEST).log() / 4 + 1, 4 * eta, 4 * phi, 4 * (eta.square() + phi.square()).sqrt()], -1)


def pair_features(X: torch.Tensor) -> torch.Tensor:
    """ln ΔR, ln kT, ln of the softer share, ln m² of all pairs, ``(B, P, 3)`` → ``(B, P, P, 4)``."""
    z, eta, phi = X.unbind(-1)
    eta, phi = (a[:, :, None] - a[:, None, :] for a in (eta, phi))
    a, b = z[:, :, None], z[:, None, :]
    angle, softer = (eta.square() + phi.square()).sqrt(), torch.minimum(a, b)
    # cosh Δη - cos Δφ, without the difference of two numbers near 1
    mass2 = 4 * a * b * ((eta / 2).sinh().square() + (phi / 2).sin().square())
    each = angle, softer * angle, softer / (a + b).clamp(min=SMALLEST), mass2
    return torch.stack([x.clamp(min=SMALLEST).log() for x in each], -1)


class PairTransformer(nn.Module):
    """Attention among particles biased by features of each pair, read out by a class token (arXiv:2202.03772).

    x ``(B, P, 3)`` = share of the jet's pT, Δη, Δφ → ``(B, width)``. With z the share:

    - particle: ln z, Δη, Δφ, ΔR to the jet axis;
    - pair a, b: ln ΔR, ln kT = ln(min(z_a, z_b) ΔR), ln(min(z_a, z_b)/(z_a + z_b)), ln m², massless and in units of pT_jet²,
      m² = 2 z_a z_b (cosh Δη - cos Δφ); embedded, they are added to q·k/√d of each head;
    - ``blocks`` of attention over the particles present, then ``class_blocks`` in which a token of its own attends to them.
    """

    def __init__(self, width: int, heads: int, blocks: int, class_blocks: int, embedding: Sequence[int],
                 pair_embedding: Sequence[int]) -> None:
        super().__init__()
        self.embed = _layers([PARTICLE_FEATURES, *embedding, width])
        self.pairs = _layers([PAIR_FEATURES, *pair_embedding, heads])
        self.blocks = nn.ModuleList(_PairBlock(width, heads) for _ in range(blocks))
        self.class_blocks = nn.ModuleList(_PairBlock(width, heads) for _ in range(class_blocks))
        self.token = nn.Parameter(0.02 * torch.randn(width))
        self.out = nn.LayerNorm(width)

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
        return self.out(token[:, 0])


class _PairBlock(nn.Module):
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
