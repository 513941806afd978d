"""Contrastive losses: embeddings of two views of one event shall be alike, of others unlike, of strange ones most unlike.

What to use when: :func:`nt_xent` as JetCLR published it; :func:`decoupled` without the positive among its rivals, better for
small batches; :func:`anomalous` if views are known that background never shows; :func:`anomalous_plus` if batches are to
be large, or the other events shall not push each other apart; :func:`supervised` if events have classes.

Embeddings are ``(B, d)``. The ``similarity`` s of two has two forms, every with every and each with its own; :class:`Cosine` is
the usual one, a circuit's fidelity another. Temperature T divides it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch.nn import functional as F


class Similarity(Protocol):
    """s(a, b) of embeddings, at most 1."""

    def matrix(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Every with every, ``(A, d), (B, d) → (A, B)``."""

    def pairs(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Each with its own, ``(B, d), (B, d) → (B,)``."""


class Cosine:
    """s = a·b / (|a| |b|)."""

    def matrix(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return F.normalize(a, dim=1) @ F.normalize(b, dim=1).T

    def pairs(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return F.cosine_similarity(a, b, dim=1)


COSINE = Cosine()


def _rivals(z: torch.Tensor, view: torch.Tensor, temperature: float, similarity: Similarity, positive: bool) -> torch.Tensor:
    """ln Σ e^{s/T} over all other embeddings of both views, ``(2B,)``; with the ``positive`` among them or without."""
    both = torch.cat([z, view])
    s = similarity.matrix(both, both) / temperature
    out = torch.eye(len(both), dtype=torch.bool, device=z.device)
    if not positive:
        out = out | out.roll(len(z), 1)
    return s.masked_fill(out, -torch.inf).logsumexp(1)


def nt_xent(z: torch.Tensor, view: torch.Tensor, temperature: float = 0.1, similarity: Similarity = COSINE) -> torch.Tensor:
    """Mean of -ln( e^{s(z,z')/T} / Σ_{k≠z} e^{s(z,z_k)/T} ) over both views: JetCLR (arXiv:2002.05709, arXiv:2108.04253)."""
    alike = similarity.pairs(z, view) / temperature
    return _rivals(z, view, temperature, similarity, positive=True).mean() - alike.mean()


def decoupled(z: torch.Tensor, view: torch.Tensor, temperature: float = 0.1, similarity: Similarity = COSINE) -> torch.Tensor:
    """As :func:`nt_xent`, the positive left out of the sum (arXiv:2110.06848): CLR of arXiv:2301.04660. Needs two events."""
    alike = similarity.pairs(z, view) / temperature
    return _rivals(z, view, temperature, similarity, positive=False).mean() - alike.mean()


def anomalous(z: torch.Tensor, view: torch.Tensor, strange: torch.Tensor, temperature: float = 0.1,
              similarity: Similarity = COSINE) -> torch.Tensor:
    """AnomCLR (arXiv:2301.04660): mean of -ln( e^{[s(z,z') - s(z,z*)]/T} / Σ_rivals e^{s/T} ), z* the anomalous view."""
    apart = similarity.pairs(z, strange) / temperature
    return decoupled(z, view, temperature, similarity) + apart.mean()


def anomalous_plus(z: torch.Tensor, view: torch.Tensor, strange: torch.Tensor, temperature: float = 0.1,
                   similarity: Similarity = COSINE) -> torch.Tensor:
    """AnomCLR+ (arXiv:2301.04660): mean of -[s(z,z') - s(z,z*)]/T. No rivals: memory grows as the batch, not as its square."""
    return (similarity.pairs(z, strange) - similarity.pairs(z, view)).mean() / temperature


def supervised(z: torch.Tensor, classes: torch.Tensor, temperature: float = 0.1,
               similarity: Similarity = COSINE) -> torch.Tensor:
    """Mean over events and over their positives p, the others of their class, of -ln( e^{s(z,p)/T} / Σ_{k≠z} e^{s(z,k)/T} ).

    ``L_out`` of arXiv:2004.11362; ``classes`` ``(B,)`` whole numbers. Events alone in their class do not count.
    """
    s = similarity.matrix(z, z) / temperature
    self_ = torch.eye(len(z), dtype=torch.bool, device=z.device)
    chance = s - s.masked_fill(self_, -torch.inf).logsumexp(1, keepdim=True)
    same = (classes[:, None] == classes[None]) & ~self_
    number = same.sum(1)
    mean = (chance * same).sum(1) / number.clamp(min=1)
    counts = number > 0
    return -(mean * counts).sum() / counts.sum().clamp(min=1)


def alignment(z: torch.Tensor, view: torch.Tensor) -> torch.Tensor:
    """Mean |z - z'|² of normalised embeddings: 0 if views are one (arXiv:2005.10242)."""
    return (F.normalize(z, dim=1) - F.normalize(view, dim=1)).square().sum(1).mean()


def uniformity(z: torch.Tensor) -> torch.Tensor:
    """ln mean e^{-2|z_i - z_j|²} over pairs of normalised embeddings: 0 if collapsed, low if spread (arXiv:2005.10242)."""
    return F.pdist(F.normalize(z, dim=1)).square().mul(-2).exp().mean().log()


#: Losses of two views by name, and those of three.
TWO: dict[str, Callable[..., torch.Tensor]] = {"nt-xent": nt_xent, "decoupled": decoupled}
THREE: dict[str, Callable[..., torch.Tensor]] = {"anomalous": anomalous, "anomalous-plus": anomalous_plus}
