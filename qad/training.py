"""The one torch loop: Adam, shuffled batches, early stopping on a background loss, the best weights kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch


@dataclass
class History:
    """What happened: losses per epoch, and the epoch whose weights were kept."""

    train: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    best_epoch: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def train(parameters: Sequence[torch.Tensor], loss: Callable[[torch.Tensor | None], torch.Tensor], *, epochs: int,
          learning_rate: float, data: torch.Tensor | None = None, batch_size: int = 256,
          validation: Callable[[], torch.Tensor] | None = None, patience: int = 10, tolerance: float = 0.0,
          seed: int = 0) -> History:
    """Minimise ``loss`` over ``parameters`` and leave the best weights in them.

    loss        given a batch of ``data`` (or None: a loss that needs no batches), returns a scalar
    validation  loss on background held back, after each epoch; without it the training loss decides what is best
    patience    stop after this many epochs without an improvement larger than ``tolerance``
    """
    parameters = list(parameters)
    optimizer = torch.optim.Adam(parameters, lr=learning_rate)
    shuffle = torch.Generator().manual_seed(seed)
    history = History()
    best, kept = float("inf"), [p.detach().clone() for p in parameters]
    mark, waited = float("inf"), 0
    for epoch in range(epochs):
        if data is None:
            batches: list[torch.Tensor | None] = [None]
        else:
            batches = list(data[torch.randperm(len(data), generator=shuffle)].split(batch_size))
        before = [p.detach().clone() for p in parameters] if data is None else None
        total, count = 0.0, 0
        for batch in batches:
            optimizer.zero_grad()
            value = loss(batch)
            value.backward()
            optimizer.step()
            weight = 1 if batch is None else len(batch)
            total, count = total + float(value.detach()) * weight, count + weight
        history.train.append(total / count)
        if validation is not None:
            with torch.no_grad():
                history.validation.append(float(validation()))
        now = history.validation[-1] if validation is not None else history.train[-1]
        if now < best:
            best, history.best_epoch = now, epoch
            # a full-batch loss belongs to the weights before the step
            source = before if before is not None and validation is None else parameters
            kept = [p.detach().clone() for p in source]
        if now < mark - tolerance:
            mark, waited = now, 0
        else:
            waited += 1
            if waited >= patience:
                break
    with torch.no_grad():
        for p, k in zip(parameters, kept, strict=True):
            p.copy_(k)
    return history
