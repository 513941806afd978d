"""JetCLR and AnomalyCLR for jets: embeddings that do not see how a jet is turned, moved, smeared and split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from qad import augmentations, settings
from qad.augmentations.jets import turned
from qad.encoders import SetTransformer
from qad.errors import InputError
from qad.representations.base import particles_of
from qad.representations.constituents import centred
from qad.representations.contrastive import Contrastive

#: Slots of a jet in training, in units of the particles that the network is given.
ROOM = 3


class JetCLR(Contrastive):
    """Jets → ``(n, head[read - 1])``: a permutation-invariant, infrared-safe transformer trained by NT-Xent (arXiv:2108.04253).

    The ``n_particles`` hardest particles of a jet, (pT / ``pt_scale``, Δη, Δφ) to its axis, no rotation, no flip: the network
    learns to be invariant, from rotated, translated, softly smeared and collinearly split jets (``positives``). Augmentations
    act on thrice as many particles, of whose work the hardest are then seen: in a jet cropped before, as the public code has
    it, no slot is empty, so nothing can be split, and a jet that loses particles is told by its number of them.

    pt_scale  [GeV], 600 in the paper; None: the mean pT of the background's jets

    The other settings are those of :class:`qad.representations.contrastive.Contrastive`, published sizes in its ``PRESETS``.
    Raises :class:`InputError`. The public code tests its embeddings with labels on the events that they were trained on, and
    moves these anew each time; here nothing is augmented but in training.
    """

    known = augmentations.JETS
    whole = Contrastive.whole | {"n_particles": 1}

    def __init__(self, n_particles: int = 50, pt_scale: float | None = None,
                 positives: Sequence[Any] = ("rotate", "collinear", "soft", "translate"), anomalies: Sequence[Any] = (),
                 loss: str = "nt-xent", temperature: float = 0.1, width: int = 64, heads: int = 4, blocks: int = 2,
                 feed: int = 128, head: Sequence[int] = (64, 64), dropout: float = 0.0, read: int = 1, normalise: bool = True,
                 epochs: int = 20, learning_rate: float = 1e-3, batch_size: int = 128, patience: int = 10,
                 validation_fraction: float = 0.1, device: str = "auto", precision: str = "float32",
                 checkpoint: str | None = None, random_state: int = 0) -> None:
        super().__init__(positives, anomalies, loss, temperature, width, heads, blocks, feed, head, dropout, read, normalise,
                         epochs, learning_rate, batch_size, patience, validation_fraction, device, precision, checkpoint,
                         random_state)
        self.n_particles = n_particles
        self.pt_scale = pt_scale

    def _check_settings(self) -> None:
        super()._check_settings()
        if self.pt_scale is not None:
            settings.number("pt_scale", self.pt_scale, above=True)

    def _events(self, X: Any) -> np.ndarray:
        return jets_of(X, self, ROOM * self.n_particles)

    def _learn(self, events: np.ndarray) -> None:
        found = float(events[..., 0].sum(1, dtype=np.float64).mean()) if self.pt_scale is None else self.pt_scale
        if found <= 0:
            raise InputError(f"{type(self).__name__}: the training jets have no particles")
        self.scale_ = found

    def _columns(self, x: torch.Tensor) -> torch.Tensor:
        x = hardest(x, self.n_particles)
        return torch.cat([x[..., :1] / self.scale_, x[..., 1:]], -1)

    def _turned(self, x: torch.Tensor, angle: float) -> torch.Tensor:
        return turned(x, x.new_full((len(x),), angle))

    def _encoder(self) -> nn.Module:
        return SetTransformer(3, self.width, self.heads, self.blocks, self.feed, self.head, self.dropout)


class AnomalyCLRJets(JetCLR):
    """JetCLR that is also shown what background never does: losing particles, a prong moved away (arXiv:2301.04660).

    AnomCLR+ between views of a jet (``positives``) and an anomalous view (``anomalies``): no other jets in the loss. As used on
    jets in arXiv:2312.03067, there with ``drop`` alone. Settings as :class:`JetCLR`.
    """

    def __init__(self, n_particles: int = 50, pt_scale: float | None = None,
                 positives: Sequence[Any] = ("rotate", "translate"), anomalies: Sequence[Any] = ("drop", "subjet-shift"),
                 loss: str = "anomalous-plus", temperature: float = 0.1, width: int = 64, heads: int = 4, blocks: int = 2,
                 feed: int = 128, head: Sequence[int] = (64, 64), dropout: float = 0.0, read: int = 1, normalise: bool = True,
                 epochs: int = 20, learning_rate: float = 1e-3, batch_size: int = 128, patience: int = 10,
                 validation_fraction: float = 0.1, device: str = "auto", precision: str = "float32",
                 checkpoint: str | None = None, random_state: int = 0) -> None:
        super().__init__(n_particles, pt_scale, positives, anomalies, loss, temperature, width, heads, blocks, feed, head,
                         dropout, read, normalise, epochs, learning_rate, batch_size, patience, validation_fraction, device,
                         precision, checkpoint, random_state)


def hardest(x: torch.Tensor, k: int) -> torch.Tensor:
    """The ``k`` hardest particles of jets, ``(B, P, 3)`` → ``(B, k, 3)``, in descending pT."""
    order = x[..., 0].topk(min(k, x.shape[1]), dim=1).indices
    return x.gather(1, order[..., None].expand(-1, -1, 3))


def jets_of(X: Any, who: Any, n_particles: int) -> np.ndarray:
    """The hardest particles of jets, ``(n, n_particles, 3)`` float32 = pT [GeV], Δη, Δφ [rad] to the jet's axis."""
    particles = particles_of(X, who)
    _, eta, phi = centred(particles)
    found = np.stack([particles[..., 0], eta, phi], -1)[:, :n_particles].astype(np.float32)
    return np.pad(found, [(0, 0), (0, n_particles - found.shape[1]), (0, 0)])
