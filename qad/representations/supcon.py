"""Supervised contrastive embedding: jets of one known class are alike, of two unlike; a new class falls in between."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

from qad import augmentations, contrastive, settings
from qad.augmentations.jets import turned
from qad.data.sample import Sample
from qad.encoders import PairTransformer
from qad.errors import InputError
from qad.representations.contrastive import Contrastive
from qad.representations.jetclr import ROOM, hardest, jets_of

#: ``published``: the sizes of arXiv:2202.03772, as used for an embedding of jet classes.
PRESETS: dict[str, dict[str, Any]] = {
    "small": {"width": 32, "heads": 4, "blocks": 2, "class_blocks": 1, "embedding": (64,), "pair_embedding": (16,)},
    "published": {"width": 128, "heads": 8, "blocks": 8, "class_blocks": 2, "embedding": (128, 512),
                  "pair_embedding": (64, 64, 64), "n_particles": 128, "epochs": 50},
}


class SupervisedContrastive(Contrastive):
    """Jets of known classes → ``(n, head[-1])``, trained by ``L_out`` of arXiv:2004.11362 on a particle transformer.

    It is told the *processes* of its background, all of which are known physics; no signal, and no detector on top is told
    anything. The sample must hold two processes or more: in a study a ``mix``. Pairs of views of each jet count as of one
    class. The network is :class:`qad.encoders.PairTransformer` with a ``head`` of ReLU layers, on the ``n_particles`` hardest
    particles, pT as share of the jet's.

    classes  the processes that are known; another in the sample to learn from is refused. None: those that are found
    class_blocks, embedding, pair_embedding  as there; ``PRESETS`` has the published sizes

    The other settings are those of :class:`qad.representations.contrastive.Contrastive`; ``classes_`` are the processes.
    Raises :class:`InputError`.
    """

    known = augmentations.JETS
    told = True
    whole = {k: v for k, v in Contrastive.whole.items() if k != "feed"} | {"n_particles": 1, "class_blocks": 1}

    @property
    def chunk(self) -> int:
        """Events that are embedded at a time: 30,000 pairs of particles and more."""
        return max(1, 2**18 // self.n_particles**2)

    def __init__(self, classes: Sequence[str] | None = None, n_particles: int = 30, positives: Sequence[Any] = ("rotate",),
                 temperature: float = 0.1, width: int = 32, heads: int = 4, blocks: int = 2, class_blocks: int = 1,
                 embedding: Sequence[int] = (64,), pair_embedding: Sequence[int] = (16,), head: Sequence[int] = (32, 8),
                 read: int = -1, normalise: bool = True, epochs: int = 10, learning_rate: float = 1e-3, batch_size: int = 128,
                 patience: int = 10, validation_fraction: float = 0.1, device: str = "auto", precision: str = "float32",
                 checkpoint: str | None = None, random_state: int = 0) -> None:
        super().__init__(positives, (), "supervised", temperature, width, heads, blocks, 4 * width, head, 0.0, read, normalise,
                         epochs, learning_rate, batch_size, patience, validation_fraction, device, precision, checkpoint,
                         random_state)
        self.classes = classes
        self.n_particles = n_particles
        self.class_blocks = class_blocks
        self.embedding = embedding
        self.pair_embedding = pair_embedding

    def _check_loss(self) -> None:
        for name in ("embedding", "pair_embedding"):
            settings.sizes(name, getattr(self, name), "[64]")

    def _events(self, X: Any) -> np.ndarray:
        return jets_of(X, self, ROOM * self.n_particles)

    def _classes(self, X: Sample) -> np.ndarray:
        self.classes_, which = np.unique(X.process, return_inverse=True)
        strange = [name for name in self.classes_ if self.classes is not None and name not in self.classes]
        if strange:
            raise InputError(f"classes={list(self.classes)}: the sample to learn from holds '{strange[0]}' too; leave it "
                             "out, or name it if it is known physics")
        if len(self.classes_) < 2:
            raise InputError(f"SupervisedContrastive learns to tell known classes apart; all of the {len(X)} jets are "
                             f"'{self.classes_[0] if len(X) else 'none'}': give a sample of two processes or more, in a study "
                             "one with  mix: [...]")
        return which.astype(np.int64)

    def _columns(self, x: torch.Tensor) -> torch.Tensor:
        share = x[..., :1] / x[..., :1].sum(1, keepdim=True).clamp(min=1e-12)
        return hardest(torch.cat([share, x[..., 1:]], -1), self.n_particles)

    def _turned(self, x: torch.Tensor, angle: float) -> torch.Tensor:
        return turned(x, x.new_full((len(x),), angle))

    def _encoder(self) -> nn.Module:
        return _Encoder(self.width, self.heads, self.blocks, self.class_blocks, self.embedding, self.pair_embedding, self.head)

    def _value(self, network: nn.Module, z: Sequence[torch.Tensor], *classes: torch.Tensor) -> torch.Tensor:
        told = classes[0].repeat(len(z))
        return contrastive.supervised(torch.cat(list(z)), told, self.temperature, self._similarity(network))


class _Encoder(nn.Module):
    def __init__(self, width: int, heads: int, blocks: int, class_blocks: int, embedding: Sequence[int],
                 pair_embedding: Sequence[int], head: Sequence[int]) -> None:
        super().__init__()
        self.body = PairTransformer(width, heads, blocks, class_blocks, embedding, pair_embedding)
        sizes = [width, *head]
        self.head = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))

    def forward(self, x: torch.Tensor, read: int = -1) -> torch.Tensor:
        z = self.body(x)
        for layer in self.head[: len(self.head) if read < 0 else read]:
            z = layer(z.relu())
        return z
