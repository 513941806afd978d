"""AnomalyCLR: an embedding of events that does not see what a detector does to them, and sees what it has never seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from qad import augmentations
from qad.data.kinematics import wrap
from qad.encoders import SetTransformer
from qad.errors import InputError
from qad.representations.contrastive import Contrastive
from qad.representations.objects import Objects


class AnomalyCLR(Contrastive):
    """Events of objects in slots → ``(n, head[read - 1])``: a set transformer trained by AnomCLR (arXiv:2301.04660).

    Views of an event are turned in φ and smeared as by a detector (``positives``); each also has a view that background hardly
    shows (``anomalies``): more objects, objects split, momenta scaled. With ``anomalies=[]`` and ``loss="decoupled"`` it is
    plain contrastive learning (CLR), with ``loss="anomalous-plus"`` AnomCLR+, which compares no two events and whose memory
    grows as the batch.

    Of each object: pT / the mean pT of background's objects, ln(1 + pT/GeV), η, cos φ, sin φ, its kind as 0 and 1. Absent ones
    are masked. The other settings are those of :class:`qad.representations.contrastive.Contrastive`. Raises
    :class:`InputError` for jets, and for events with slots other than those that it learned from. What the public code does
    otherwise than the paper, ``as_published`` of the augmentations brings back.
    """

    known = augmentations.EVENTS

    def __init__(self, positives: Sequence[Any] = ("azimuth", "smear-angles", "smear-energy"),
                 anomalies: Sequence[Any] = ("add-objects", "split-objects"), loss: str = "anomalous",
                 temperature: float = 0.1, width: int = 64, heads: int = 4, blocks: int = 2, feed: int = 128,
                 head: Sequence[int] = (64, 64), dropout: float = 0.0, read: int = 1, normalise: bool = True, epochs: int = 20,
                 learning_rate: float = 1e-3, batch_size: int = 128, patience: int = 10, validation_fraction: float = 0.1,
                 device: str = "auto", precision: str = "float32", checkpoint: str | None = None,
                 random_state: int = 0) -> None:
        super().__init__(positives, anomalies, loss, temperature, width, heads, blocks, feed, head, dropout, read, normalise,
                         epochs, learning_rate, batch_size, patience, validation_fraction, device, precision, checkpoint,
                         random_state)

    def _fit(self, X: Any) -> None:
        Objects().transform(X)  # raises what there is to say of other samples
        self.slots_ = list(X.meta["slots"])
        super()._fit(X)

    def _layout(self) -> dict[str, Any]:
        return {"slots": tuple(self.slots_)}

    def _events(self, X: Any) -> np.ndarray:
        found = Objects().transform(X)
        if list(X.meta["slots"]) != self.slots_:
            raise InputError(f"AnomalyCLR learned from events with slots {', '.join(dict.fromkeys(self.slots_))} "
                             f"({len(self.slots_)} in all); got {', '.join(dict.fromkeys(X.meta['slots']))} "
                             f"({len(X.meta['slots'])})")
        found[..., 2] = wrap(found[..., 2])
        return found.astype(np.float32)

    def _learn(self, events: np.ndarray) -> None:
        pt = events[..., 0][events[..., 0] > 0]
        if not len(pt):
            raise InputError("AnomalyCLR: the training events have no objects")
        self.scale_ = float(pt.mean(dtype=np.float64))

    @property
    def _kinds(self) -> list[str]:
        return list(dict.fromkeys(self.slots_))

    def _columns(self, x: torch.Tensor) -> torch.Tensor:
        pt, eta, phi = x.unbind(-1)
        there = (pt > 0).to(x.dtype)
        kind = torch.tensor([self._kinds.index(s) for s in self.slots_], device=x.device)
        one_hot = nn.functional.one_hot(kind, len(self._kinds)).to(x.dtype).expand(len(x), -1, -1)
        own = torch.stack([pt / self.scale_, pt.log1p(), eta, phi.cos(), phi.sin()], -1)
        return torch.cat([own, one_hot], -1) * there[..., None]

    def _turned(self, x: torch.Tensor, angle: float) -> torch.Tensor:
        pt, eta, phi = x.unbind(-1)
        return torch.stack([pt, eta, phi + angle * (pt > 0)], -1)

    def _encoder(self) -> nn.Module:
        return SetTransformer(5 + len(self._kinds), self.width, self.heads, self.blocks, self.feed, self.head, self.dropout,
                              infrared_safe=False)
