"""Contrastive embeddings: a network learns, without labels, in which respects events are alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import nn

from qad import augmentations, contrastive, networks, settings
from qad.data.splits import hold_out
from qad.errors import InputError, did_you_mean
from qad.representations.base import Representation
from qad.training import PRECISIONS, checkpoint_of, train

#: ``published``: the sizes of arXiv:2108.04253, for a GPU and 100,000 jets. ``small``: the defaults, minutes on two cores.
PRESETS: dict[str, dict[str, Any]] = {
    "small": {"width": 64, "heads": 4, "blocks": 2, "feed": 128, "head": (64, 64), "dropout": 0.0, "learning_rate": 1e-3,
              "epochs": 20},
    "published": {"width": 1000, "heads": 4, "blocks": 4, "feed": 1000, "head": (1000, 1000), "dropout": 0.1,
                  "learning_rate": 5e-5, "epochs": 500, "patience": 500},
}


class Contrastive(Representation):
    """What contrastive embeddings share: views, loss, the one training loop, saving. A subclass writes ``_events``,
    ``_encoder`` and ``_columns``.

    positives, anomalies  augmentations, by name or ``{use: NAME, parameter: value}``. Symmetries are given to both views, the
                          others to the second; of the anomalies each event gets one, drawn anew each time
    loss                  nt-xent, decoupled; with anomalies anomalous, anomalous-plus
    temperature           that divides similarities
    width, heads, blocks, feed, head, dropout  of the network, see :class:`qad.encoders.SetTransformer`; ``PRESETS`` has sizes
    read                  layer of the head that is the embedding: 0 the sum over particles, -1 the last, on which the loss acts
    normalise             embeddings have length one
    validation_fraction   held back by ``random_state`` for early stopping after ``patience`` epochs; 0: none
    device, precision, checkpoint, random_state  as in :class:`qad.neural.NeuralDetector`

    Fitted: ``diagnostics_`` with the ``history``; ``loss``, ``alignment`` and ``uniformity`` on what is held back (without
    any: on the training events), and each ``_untrained``.
    """

    learned = True
    #: Augmentations that fit its events.
    known: Mapping[str, type[augmentations.Augmentation]] = {}
    whole = {"width": 1, "heads": 1, "blocks": 1, "feed": 1, "epochs": 0, "batch_size": 2, "patience": 1, "random_state": 0}
    #: What a change of which makes another embedding, beside the modules of its class.
    sources = ("qad.augmentations.base", "qad.augmentations.jets", "qad.augmentations.events", "qad.contrastive",
               "qad.encoders", "qad.training")

    def __init__(self, positives: Sequence[Any], anomalies: Sequence[Any], loss: str, temperature: float, width: int,
                 heads: int, blocks: int, feed: int, head: Sequence[int], dropout: float, read: int, normalise: bool,
                 epochs: int, learning_rate: float, batch_size: int, patience: int, validation_fraction: float, device: str,
                 precision: str, checkpoint: str | None, random_state: int) -> None:
        self.positives = positives
        self.anomalies = anomalies
        self.loss = loss
        self.temperature = temperature
        self.width = width
        self.heads = heads
        self.blocks = blocks
        self.feed = feed
        self.head = head
        self.dropout = dropout
        self.read = read
        self.normalise = normalise
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.device = device
        self.precision = precision
        self.checkpoint = checkpoint
        self.random_state = random_state

    #: Told epochs done and planned.
    progress: Any = None

    def _events(self, X: Any) -> np.ndarray:
        """Events as ``(n, P, 3)`` pT [GeV], η, φ [rad], float32, absent particles zero."""
        raise NotImplementedError

    def _learn(self, events: np.ndarray) -> None:
        """Scales that are read off the training events, kept as attributes with a ``_`` at the end."""

    def _encoder(self) -> nn.Module:
        """The untrained network; weights from torch's own random numbers, which are seeded."""
        raise NotImplementedError

    def _columns(self, x: torch.Tensor) -> torch.Tensor:
        """What the network is given for events ``(B, P, 3)``."""
        raise NotImplementedError

    def _similarity(self, network: nn.Module) -> contrastive.Similarity:
        """Of two embeddings."""
        return contrastive.COSINE

    def _classes(self, X: Any) -> np.ndarray | None:
        """Whole numbers ``(n,)`` where events have classes that may be told."""
        return None

    def _check_settings(self) -> None:
        for name, least in self.whole.items():
            settings.whole(name, getattr(self, name), least)
        for name in ("temperature", "learning_rate"):
            settings.number(name, getattr(self, name), above=True)
        settings.sizes("head", self.head)
        settings.flag("normalise", self.normalise)
        for name in ("dropout", "validation_fraction"):
            settings.share(name, getattr(self, name))
        if self.width % self.heads:
            raise InputError(f"width={self.width}: expected a multiple of heads={self.heads}")
        if isinstance(self.read, bool) or not isinstance(self.read, int | np.integer) or not -1 <= self.read <= len(self.head):
            raise InputError(f"read={self.read!r}: expected -1 (the last layer) or 0 to {len(self.head)}, a layer of the head")
        if self.precision not in PRECISIONS:
            raise InputError(f"precision={self.precision!r}: expected one of {', '.join(PRECISIONS)}")
        self._check_loss()

    def _check_loss(self) -> None:
        losses = {**contrastive.TWO, **contrastive.THREE}
        for name in ("positives", "anomalies"):
            if not isinstance(getattr(self, name), list | tuple):
                raise InputError(f"{name}={getattr(self, name)!r}: expected a list of augmentations, such as [rotate]")
        if not isinstance(self.loss, str) or self.loss not in losses:
            raise InputError(did_you_mean(str(self.loss), losses, "loss"))
        if (self.loss in contrastive.THREE) != bool(len(self.anomalies)):
            strange = ", ".join(n for n, c in self.known.items() if c.kind == "anomalous")
            raise InputError(f"loss={self.loss!r} with anomalies={list(self.anomalies)}: "
                             + (f"give anomalies, such as {strange}" if self.loss in contrastive.THREE else
                                f"this loss knows none; take one of {', '.join(contrastive.THREE)}, or anomalies=[]"))

    def _views(self) -> _Views:
        return _Views(augmentations.chain(self.positives, "positive", self.known, **self._layout()),
                      augmentations.chain(self.anomalies, "anomalous", self.known, **self._layout()))

    @property
    def chunk(self) -> int:
        """Events that are embedded at a time: some 100 MB of float64."""
        return max(16, 2**19 // self.width // 8)

    def _layout(self) -> dict[str, Any]:
        """What every augmentation must know of the events, slots say."""
        return {}

    def _fit(self, X: Any) -> None:
        self._check_settings()
        events, classes, views = self._events(X), self._classes(X), self._views()
        if len(events) < 4:
            raise InputError(f"{type(self).__name__} needs at least 4 events to learn from; got {len(events)}")
        self._learn(events)
        here = networks.device(self.device)
        with networks.seeded(self.random_state):
            network = self._encoder().to(here)
        # jets of one collision, and copies of one event, are on one side
        split = hold_out(len(events), self.validation_fraction, self.random_state, X.extras.get("event"))
        rng = np.random.default_rng(self.random_state)
        split = tuple(map(rng.permutation, split))  # samples may be one class after the other
        parts = [events] if classes is None else [events, classes]
        tensors = [torch.as_tensor(p, device=here) for p in parts]
        kept, held = ([t[torch.as_tensor(i, device=here)] for t in tensors] for i in split)
        n_held = len(held[0]) if len(held[0]) > 1 else 0
        noise = torch.Generator(here).manual_seed(self.random_state)

        def loss(batch: Any, generator: torch.Generator = noise) -> torch.Tensor:
            x, *y = batch if isinstance(batch, tuple) else (batch,)
            with torch.no_grad():
                seen = views(x, generator)
            z = network(self._columns(torch.cat(seen))).float().chunk(len(seen))
            with torch.autocast(here.type, enabled=False):  # similarities near 1 in bfloat16 would be none
                return self._value(network, z, *y)

        def trained(batch: Any) -> torch.Tensor:
            network.train()
            if len(batch[0] if isinstance(batch, tuple) else batch) < 2:  # the last of an epoch: one event has no rivals
                return sum((0 * p).sum() for p in network.parameters())
            return loss(batch)

        def started(epoch: int) -> None:  # dropout draws from torch's own numbers, after a kill the same ones
            torch.manual_seed(1_000_003 * self.random_state + epoch)

        def judge(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
            network.train(False)
            same = torch.Generator(here).manual_seed(self.random_state + 1)  # the same views after every epoch
            total, count = torch.zeros((), device=here), 0
            for batch in zip(*(t.split(self.batch_size) for t in tensors), strict=True):
                if len(batch[0]) > 1:  # one event has no rivals
                    total, count = total + loss(batch, same) * len(batch[0]), count + len(batch[0])
            return total / count

        judged = held if n_held else [t[: 10 * self.batch_size] for t in kept]
        before = self._figures(network, views, judged, judge)
        with torch.random.fork_rng(devices=[here] if here.type == "cuda" else []):
            history = train([p for p in network.parameters() if p.requires_grad], trained, data=kept, epochs=self.epochs,
                            batch_size=self.batch_size, learning_rate=self.learning_rate, patience=self.patience,
                            seed=self.random_state, generator=noise, precision=self.precision, started=started,
                            validation=(lambda: judge(held)) if n_held else None,
                            checkpoint=checkpoint_of(self, events, classes), progress=self.progress)
        after = self._figures(network, views, judged, judge)
        self.parameters_ = networks.count(network)
        self.network_ = network.train(False).double()  # an embedding must not depend on how events are batched
        self.device_ = str(here)
        self.diagnostics_ = {"history": history.as_dict(), **after, **{f"{k}_untrained": v for k, v in before.items()}}
        if self.checkpoint is not None:
            Path(self.checkpoint).unlink(missing_ok=True)

    def _value(self, network: nn.Module, z: Sequence[torch.Tensor], *classes: torch.Tensor) -> torch.Tensor:
        """The loss of the embeddings of all views."""
        losses = {**contrastive.TWO, **contrastive.THREE}
        return losses[self.loss](*z, temperature=self.temperature, similarity=self._similarity(network))

    @torch.no_grad()
    def _figures(self, network: nn.Module, views: _Views, tensors: Sequence[torch.Tensor], judge: Any) -> dict[str, float]:
        """Loss, alignment and uniformity of events that no step has seen."""
        found = {"loss": float(judge(tensors))}
        x = tensors[0][:2048]
        same = torch.Generator(x.device).manual_seed(self.random_state + 2)
        first, second = (network(self._columns(v)) for v in views(x, same)[:2])
        return found | {"alignment": float(contrastive.alignment(first, second)),
                        "uniformity": float(contrastive.uniformity(first))}

    def _transform(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        z = self._each(self._embedded, self._events(X))
        return z / np.linalg.norm(z, axis=1, keepdims=True).clip(1e-12) if self.normalise else z.reshape(-1, self._size())

    def _each(self, what: Any, *events: np.ndarray) -> np.ndarray:
        """``what(columns, …)`` of all events, a chunk at a time, in float64."""
        here = next(self.network_.parameters()).device
        found = []
        with torch.no_grad():
            for i in range(0, max(len(events[0]), 1), self.chunk):
                x = (torch.as_tensor(e[i : i + self.chunk], dtype=torch.float64, device=here) for e in events)
                found.append(what(*map(self._columns, x)).cpu())
        return torch.cat(found).numpy()

    def _embedded(self, columns: torch.Tensor) -> torch.Tensor:
        return self.network_(columns, self.read)

    def _size(self) -> int:
        """Columns of the embedding."""
        return [self.width, *self.head][self.read]

    def similarity(self, X: Any, Y: Any) -> np.ndarray:
        """s(z, z') ``(n,)`` of the events of two samples, on which the loss acts: the last layer, whatever ``read`` says."""
        check_is_fitted(self)
        first, second = self._events(X), self._events(Y)
        if len(first) != len(second):
            raise InputError(f"expected two samples with the same number of events; got {len(first)} and {len(second)}")
        pairs, network = self._similarity(self.network_).pairs, self.network_
        return self._each(lambda a, b: pairs(network(a), network(b)), first, second)

    def turned_similarity(self, X: Any, angles: Sequence[float]) -> np.ndarray:
        """s(z, z') ``(n, angles)`` of each event with itself turned by an angle [rad]: 1 where turning is not seen."""
        check_is_fitted(self)
        events = self._events(X)
        whole = torch.as_tensor(events, dtype=torch.float64)
        pairs, network = self._similarity(self.network_).pairs, self.network_
        found = [self._each(lambda a, b: pairs(network(a), network(b)), events, self._turned(whole, float(angle)).numpy())
                 for angle in angles]
        return np.stack(found, 1) if found else np.empty((len(events), 0))

    def _turned(self, x: torch.Tensor, angle: float) -> torch.Tensor:
        """Events ``(B, P, 3)`` turned by ``angle`` [rad]."""
        raise NotImplementedError

    def get_state(self) -> dict[str, Any]:
        return networks.packed(super().get_state())

    def set_state(self, state: dict[str, Any]) -> None:
        weights = networks.unpacked(state)
        super().set_state(state)
        with networks.seeded(0):
            self.network_ = self._encoder().double().train(False)
        self.device_ = "cpu"
        networks.load_arrays(self.network_, weights)


class _Views:
    """Two views of events, and a third where there are anomalies."""

    def __init__(self, positives: Sequence[augmentations.Augmentation],
                 anomalies: Sequence[augmentations.Augmentation]) -> None:
        self.positives, self.anomalies = positives, anomalies

    def __call__(self, x: torch.Tensor, generator: torch.Generator) -> list[torch.Tensor]:
        first, second = x, x
        for augment in self.positives:
            second = augment(second, generator)
            if augment.symmetry:
                first = augment(first, generator)
        if not self.anomalies:
            return [first, second]
        which = torch.randint(len(self.anomalies), (len(x),), generator=generator, device=x.device)
        strange = first.clone()
        for k, augment in enumerate(self.anomalies):
            chosen = which == k
            strange[chosen] = augment(first[chosen], generator)
        return [first, second, strange]
