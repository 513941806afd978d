"""A detector that is a torch network: all that such detectors share, written once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted
from torch import nn

from qad import networks, settings
from qad.detector import Detector
from qad.errors import InputError
from qad.training import PRECISIONS, checkpoint_of, train


class NeuralDetector(Detector):
    """Trained by the one loop, with early stopping on background held back, resumed after a kill, on CPU or GPU.

    A subclass writes ``_network()``, ``_loss(network, batch, generator)`` and ``_event_scores(network, batch)``. If its
    events are more than one tensor it also writes ``_tensors(X)``; a batch is then a tuple. It has the settings below in its
    own ``__init__`` and hands them to this one.

    epochs         at most; 0 leaves the network untrained, which is the control that every learned score owes
    learning_rate  of Adam; ``batch_size`` events a step
    patience       epochs without a better loss on the background held back (without any: on the training events) until it stops
    device         "auto" (a GPU if there is one), "cpu", "cuda"
    precision      "float32", or "bfloat16" for mixed precision in training; scores are always float64
    checkpoint     file to go on from after a kill; deleted when training is finished
    random_state   seed of the weights, of the shuffling and of all noise

    ``network_`` is fitted; ``diagnostics_`` has the ``history`` (losses and seconds per epoch), and ``loss_untrained`` and
    ``loss`` on the background held back (without any: on the training events).
    """

    #: Whole numbers among the settings, each with its least value; a subclass adds its own.
    whole = {"epochs": 0, "batch_size": 1, "patience": 1, "random_state": 0}
    #: Events that are scored at a time.
    chunk = 4096
    #: Largest norm of the gradient.
    clip: float | None = None
    weight_decay: float = 0.0

    def __init__(self, epochs: int, learning_rate: float, batch_size: int, patience: int, device: str, precision: str,
                 checkpoint: str | None, random_state: int) -> None:
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.patience = patience
        self.device = device
        self.precision = precision
        self.checkpoint = checkpoint
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: Any = None, *, validation: ArrayLike | None = None,
            twins: Mapping[str, ArrayLike] | None = None) -> NeuralDetector:
        """As every detector; the checkpoint is deleted when all is fitted."""
        super().fit(X, y, validation=validation, twins=twins)
        if self.checkpoint is not None:
            Path(self.checkpoint).unlink(missing_ok=True)
        return self

    def _network(self) -> nn.Module:
        """The untrained network for events of ``n_features_in_`` columns or of ``shape_in_``, weights from ``random_state``."""
        raise NotImplementedError

    def _loss(self, network: nn.Module, batch: Any, generator: torch.Generator) -> torch.Tensor:
        """Mean loss of a batch, a scalar; all noise comes from ``generator``, which lives on the CPU."""
        raise NotImplementedError

    def _event_scores(self, network: nn.Module, batch: Any) -> torch.Tensor:
        """Anomaly scores ``(B,)`` of a batch, in float64 and without gradients."""
        raise NotImplementedError

    def _tensors(self, X: np.ndarray, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
        """Events as tensors, the number of events first."""
        return (networks.tensor(X, dtype),)

    def _check_settings(self) -> None:
        """Raises :class:`InputError`; a subclass adds its own and calls this."""
        for name, least in self.whole.items():
            settings.whole(name, getattr(self, name), least)
        settings.number("learning_rate", self.learning_rate, above=True)
        if self.precision not in PRECISIONS:
            raise InputError(f"precision={self.precision!r}: expected one of {', '.join(PRECISIONS)}")

    def _prepare(self, network: nn.Module, data: tuple[torch.Tensor, ...]) -> None:
        """What is read off the training events before the first step (a centre, say); buffers of ``network``."""

    def _fit(self, X: np.ndarray, validation: np.ndarray | None) -> None:
        self._check_settings()
        held = None if validation is None else self._tensors(validation, torch.float32)
        self._optimise(self._tensors(X, torch.float32), held, X, validation)

    def _optimise(self, data: tuple[torch.Tensor, ...], held: tuple[torch.Tensor, ...] | None,
                  *arrays: np.ndarray | None) -> None:
        """Train on ``data``; ``arrays`` are all that a checkpoint has to know again."""
        here = networks.device(self.device)
        data = tuple(t.to(here) for t in data)
        held = None if held is None else tuple(t.to(here) for t in held)
        network = self._network().to(here)
        noise = torch.Generator().manual_seed(self.random_state)
        self._prepare(network, data)

        def loss(batch: Any) -> torch.Tensor:
            network.train()
            return self._loss(network, batch, noise)

        def mean_loss(tensors: tuple[torch.Tensor, ...]) -> torch.Tensor:
            network.train(False)
            same = torch.Generator().manual_seed(self.random_state)  # the same noise after every epoch
            total = sum(self._loss(network, _one(parts), same).detach() * len(parts[0])
                        for parts in zip(*(t.split(self.chunk) for t in tensors), strict=True))
            return total / len(tensors[0])

        judged = tuple(t[: self.most_for_offset] for t in data) if held is None else held
        with torch.no_grad():
            before = float(mean_loss(judged))
        parameters = [p for p in network.parameters() if p.requires_grad]
        history = train(parameters, loss, data=data, epochs=self.epochs, batch_size=self.batch_size,
                        learning_rate=self.learning_rate, patience=self.patience, seed=self.random_state,
                        optimizer=torch.optim.Adam(parameters, lr=self.learning_rate, weight_decay=self.weight_decay),
                        buffers=[b for b in network.buffers() if b.is_floating_point()], generator=noise, clip=self.clip,
                        precision=self.precision, validation=None if held is None else lambda: mean_loss(held),
                        checkpoint=checkpoint_of(self, *arrays), progress=self.progress)
        with torch.no_grad():
            after = float(mean_loss(judged))
        network.train(False)
        self.parameters_ = networks.count(network)
        self.network_ = network.double()  # scores must not depend on how events are batched
        self.device_ = str(here)
        self.diagnostics_ = {"history": history.as_dict(), "loss_untrained": before, "loss": after}

    def _each(self, X: np.ndarray, what: Any) -> np.ndarray:
        """``what(network, batch)`` of all events, a chunk at a time."""
        here = next(self.network_.parameters()).device
        found = []
        with torch.no_grad():
            for i in range(0, len(X), self.chunk):  # so many at a time in float64, not all
                tensors = self._tensors(X[i : i + self.chunk], torch.float64)
                found.append(what(self.network_, _one(tuple(t.to(here) for t in tensors))).cpu())
        return torch.cat(found).numpy()

    def _score(self, X: np.ndarray) -> np.ndarray:
        return self._each(X, self._event_scores)

    def get_state(self) -> dict[str, Any]:
        check_is_fitted(self)
        return networks.packed(super().get_state())

    def set_state(self, state: dict[str, Any]) -> None:
        weights = networks.unpacked(state)
        super().set_state(state)
        self.network_ = self._network().double().train(False)
        self.device_ = "cpu"
        networks.load_arrays(self.network_, weights)


def _one(parts: tuple[torch.Tensor, ...]) -> Any:
    return parts[0] if len(parts) == 1 else parts
