"""Augmentations of jets: what leaves the physics as it is (arXiv:2108.04253), and what makes it strange (arXiv:2301.04660).

A jet is ``(P, 3)`` = pT [GeV], Δη, Δφ [rad] to its axis. ``rotate`` and ``translate`` are symmetries, given to both views of
a jet; ``collinear`` and ``soft`` are what a detector and QCD cannot tell apart, given to one. Anomalous ones keep the jet's
scalar pT and put its pT-weighted centre back to the origin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from qad.augmentations.base import Augmentation, normal, present, uniform


@dataclass(frozen=True)
class Rotate(Augmentation):
    """The whole jet turned about its axis by one angle in [0, 2π): keeps every pT and every distance ΔR."""

    symmetry = True

    def __call__(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return turned(x, 2 * torch.pi * uniform(x, (len(x),), generator))


def turned(x: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """Jets ``(B, P, 3)`` rotated about their axis by ``angle`` ``(B,)`` [rad]."""
    c, s = angle.cos()[:, None], angle.sin()[:, None]
    pt, eta, phi = x.unbind(-1)
    return torch.stack([pt, c * eta - s * phi, s * eta + c * phi], -1)


@dataclass(frozen=True)
class Translate(Augmentation):
    """The whole jet moved in η and φ, each by up to ± ``width`` times its own extent there: keeps pT and distances.

    as_published  the public code measures the extent with the empty slots, at (0, 0), among the particles
    """

    width: float = 1.0
    as_published: bool = False
    symmetry = True

    def __call__(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        there = present(x)[..., None]
        place = x[..., 1:]
        if self.as_published:
            low, high = place.amin(1), place.amax(1)
        else:
            low = place.masked_fill(~there, torch.inf).amin(1)
            high = place.masked_fill(~there, -torch.inf).amax(1)
        extent = (high - low).clamp(min=0).nan_to_num(0.0)  # no particles: none
        shift = self.width * extent * (2 * uniform(x, (len(x), 2), generator) - 1)
        # φ of no particle may leave [-π, π]
        inside = torch.maximum(torch.minimum(shift[:, 1], torch.pi - high[:, 1]), -torch.pi - low[:, 1])
        shift = torch.stack([shift[:, 0], inside], 1)
        return torch.cat([x[..., :1], torch.where(there, place + shift[:, None], place)], -1)


@dataclass(frozen=True)
class Collinear(Augmentation):
    """Particles split into two of the same direction, pT → z pT and (1-z) pT with z uniform, while there are empty slots.

    Chosen at random, each at most once per round; keeps the pT-weighted sum of any function of direction.
    """

    rounds: int = 2

    def __call__(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        for _ in range(self.rounds):
            x = self._once(x, generator)
        return x

    def _once(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        there = present(x)
        half = x.shape[1] // 2
        if half == 0:
            return x.clone()
        count = there.sum(1)
        number = torch.minimum(count, x.shape[1] - count)[:, None]  # of splittings
        does = torch.arange(half, device=x.device) < number
        chosen = (uniform(x, x.shape[:2], generator) + (~there).to(x.dtype)).argsort(1)[:, :half]
        empty = there.to(torch.uint8).argsort(dim=1, stable=True)[:, :half]
        share = torch.where(does, uniform(x, (len(x), half), generator), 1.0)
        parent = x.gather(1, chosen[..., None].expand(-1, -1, 3))
        pt = x[..., 0].scatter(1, chosen, share * parent[..., 0])
        out = torch.cat([pt[..., None], x[..., 1:]], -1)
        slot = empty[..., None].expand(-1, -1, 3)
        new = torch.cat([((1 - share) * parent[..., 0])[..., None], parent[..., 1:]], -1)
        return out.scatter(1, slot, torch.where(does[..., None], new, out.gather(1, slot)))


@dataclass(frozen=True)
class Soft(Augmentation):
    """Every particle displaced in η and φ by normal numbers of width ``strength``/pT [GeV/GeV = rad]: soft ones far, hard
    ones hardly.

    clip          [GeV] pT below which the width grows no more
    as_published  the public code displaces empty slots too
    """

    strength: float = 0.1
    clip: float = 0.1
    as_published: bool = False

    def __call__(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        width = self.strength / x[..., 0].clamp(min=self.clip)
        if not self.as_published:
            width = width * present(x)
        return torch.cat([x[..., :1], x[..., 1:] + width[..., None] * normal(x, (*x.shape[:2], 2), generator)], -1)


def restored(x: torch.Tensor, pt: torch.Tensor) -> torch.Tensor:
    """Jets with scalar pT ``pt`` ``(B,)`` [GeV] and their pT-weighted centre at the origin; empty slots stay zero."""
    there = present(x)[..., None]
    total = x[..., 0].sum(1)
    share = x[..., 0] / total.clamp(min=1e-12)[:, None]
    centre = (share[..., None] * x[..., 1:]).sum(1, keepdim=True)
    return torch.cat([(share * pt[:, None])[..., None], torch.where(there, x[..., 1:] - centre, 0.0)], -1)


@dataclass(frozen=True)
class Drop(Augmentation):
    """Every particle lost with probability ``share``, the others scaled to the jet's pT: a jet with fewer particles, as of
    dark hadrons unseen. One particle always stays."""

    share: float = 0.5
    kind = "anomalous"

    def __call__(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        luck = uniform(x, x.shape[:2], generator).masked_fill(~present(x), -1.0)
        stays = (luck > self.share) | (luck == luck.amax(1, keepdim=True))
        return restored(x * stays[..., None], x[..., 0].sum(1))


@dataclass(frozen=True)
class SubjetShift(Augmentation):
    """A random part of the particles, each with probability ``share``, moved together by up to ± ``reach``/2 in η and φ: one
    prong more.

    prongs        that are made so, one after the other
    reach         [rad] 1/``radius`` in the public code
    radius        [rad] what then lies outside is lost
    """

    share: float = 0.5
    prongs: int = 1
    reach: float = 1.25
    radius: float = 0.8
    kind = "anomalous"

    def __call__(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        pt, out, free = x[..., 0].sum(1), x, present(x)
        for _ in range(self.prongs):
            moved = free & (uniform(x, x.shape[:2], generator) < self.share)
            shift = self.reach * (uniform(x, (len(x), 1, 2), generator) - 0.5)
            out = torch.cat([out[..., :1], out[..., 1:] + moved[..., None] * shift], -1)
            free = free & ~moved
        centred = restored(out, pt)
        inside = centred[..., 1:].square().sum(-1) <= self.radius**2
        hardest = centred[..., 0] == centred[..., 0].amax(1, keepdim=True)
        return restored(centred * (inside | hardest)[..., None], pt)


@dataclass(frozen=True)
class Reweight(Augmentation):
    """pT → pT^``beta``, scaled to the jet's pT: softer (``beta`` < 1) or harder fragmentation."""

    beta: float = 0.5
    kind = "anomalous"

    def __call__(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return restored(torch.cat([x[..., :1].pow(self.beta), x[..., 1:]], -1), x[..., 0].sum(1))


JETS: Mapping[str, type[Augmentation]] = {
    "rotate": Rotate, "translate": Translate, "collinear": Collinear, "soft": Soft, "drop": Drop, "subjet-shift": SubjetShift,
    "reweight": Reweight,
}
