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
        if x.device.type == "cpu":  # there the backward pass of attention in bfloat16 is ten times slower than in float32
            q, k, v = q.to(x.dtype), k.to(x.dtype), v.to(x.dtype)
        with torch.autocast(x.device.type, enabled=torch.is_autocast_enabled(x.device.type) and x.device.type != "cpu"):
            bias = bias.to(q.dtype).expand(-1, -1, q.shape[2], -1)
            found = nn.functional.scaled_dot_product_attention(q, k, v, bias, self.dropout if self.training else 0.0)
        x = self.first(x + lost(self.join(found.transpose(1, 2).flatten(2))))
        return self.second(x + lost(self.down(lost(self.up(x).relu()))))
