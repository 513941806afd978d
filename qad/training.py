"""The one torch loop: shuffled batches, early stopping on a background loss, the best weights kept, resumed after a kill.

It runs where its tensors lie, CPU or GPU; ``precision="bfloat16"`` computes the loss in mixed precision there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from qad.errors import InputError
from qad.persistence import atomic_write

#: A batch: what ``loss`` is given.
Batch = torch.Tensor | tuple[torch.Tensor, ...] | None
PRECISIONS = ("float32", "bfloat16")


@dataclass
class History:
    """What happened: losses, seconds and notes per epoch, and the epoch whose weights were kept."""

    train: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    best_epoch: int = 0
    seconds: list[float] = field(default_factory=list, compare=False)
    notes: dict[str, list[float | None]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Checkpoint:
    """A file from which training goes on after a kill with the same bits.

    path   safetensors: numbers and JSON, nothing that executes
    key    says what is trained on what; a file with another key is refused
    every  seconds between two writes; the environment's QAD_CHECKPOINT_SECONDS, or 10
    """

    path: Path
    key: str
    every: float = field(default_factory=lambda: _seconds(os.environ.get("QAD_CHECKPOINT_SECONDS", "10")))

    def __post_init__(self) -> None:
        if not self.path.resolve().parent.is_dir():
            raise InputError(f"checkpoint {self.path}: the folder {self.path.resolve().parent} is not there; make it first")


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"QAD_CHECKPOINT_SECONDS={text}: expected a number of seconds") from None


def checkpoint_of(estimator: Any, *arrays: np.ndarray | None) -> Checkpoint | None:
    """Where ``estimator.checkpoint`` says, for its settings and these events; None where it says nothing."""
    if estimator.checkpoint is None:
        return None
    plain = {k: str(v) for k, v in estimator.get_params().items() if k != "checkpoint"}
    key = hashlib.sha256(json.dumps([type(estimator).__name__, plain], sort_keys=True).encode())
    for part in arrays:
        key.update(b"-" if part is None else np.ascontiguousarray(part).tobytes())
    return Checkpoint(Path(estimator.checkpoint), key.hexdigest())


def train(parameters: Sequence[torch.Tensor], loss: Callable[[Any], torch.Tensor], *, epochs: int,
          learning_rate: float, data: torch.Tensor | Sequence[torch.Tensor] | None = None, batch_size: int = 256,
          validation: Callable[[], torch.Tensor] | None = None, patience: int = 10,
          tolerance: float | Callable[[], float] = 0.0, seed: int = 0, optimizer: torch.optim.Optimizer | None = None,
          buffers: Sequence[torch.Tensor] = (), generator: torch.Generator | Sequence[torch.Generator] | None = None,
          state: Sequence[torch.Tensor] = (), clip: float | None = None, precision: str = "float32", warm_up: int = 0,
          started: Callable[[int], None] | None = None, notes: Callable[[], dict[str, float | None]] | None = None,
          checkpoint: Checkpoint | None = None, progress: Callable[[int, int], None] | None = None) -> History:
    """Minimise ``loss`` over ``parameters`` and leave the best weights in them.

    loss        given a batch of ``data`` (or None: a loss that needs no batches), returns a scalar
    data        events first; several tensors of the same length are cut into batches together, and ``loss`` is given a tuple
    validation  loss on background held back, after each epoch; without it the training loss decides what is best
    patience    stop after this many epochs without an improvement larger than ``tolerance``, which may be a function, asked
                after each epoch: the error of a loss that is measured
    optimizer   over ``parameters``; by default Adam with ``learning_rate``
    buffers     what a network learns without gradients (running means), kept and resumed with its parameters
    generator   of the random numbers that ``loss`` draws (or several): resumed, so that a killed training goes on with the
                same bits
    state       what ``loss`` itself writes over (Markov chains): resumed, and left as it is at the end
    clip        largest norm of the gradient
    precision   "bfloat16": mixed precision where the data lie; weights and sums stay float32
    warm_up     epochs at the beginning of which none can be the best, since their loss is another one
    started     told each epoch before it begins, from 0; also when a killed training goes on
    notes       asked after each epoch for what else to write into the history
    checkpoint  where to write, and go on from, what is done so far
    progress    told the epochs done and planned
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision={precision!r}: expected one of {', '.join(PRECISIONS)}")
    tensors = None if data is None else (data,) if isinstance(data, torch.Tensor) else tuple(data)
    if tensors is not None and len({len(t) for t in tensors}) != 1:
        raise InputError(f"expected tensors with the same number of events, got {[len(t) for t in tensors]}")
    parameters = list(parameters)
    optimizer = optimizer or torch.optim.Adam(parameters, lr=learning_rate)
    shuffle = torch.Generator().manual_seed(seed)
    trained = parameters + list(buffers)
    generators = [] if generator is None else [generator] if isinstance(generator, torch.Generator) else list(generator)
    done = _Progress(parameters, list(buffers), optimizer, shuffle, generators, list(state),
                     [p.detach().clone() for p in trained])
    if checkpoint is not None:
        done.read(checkpoint)
    history, written = done.history, time.monotonic()
    for epoch in range(len(history.train), epochs):
        if done.waited >= patience:
            break
        begun = time.perf_counter()
        if started is not None:
            started(epoch)
        before = [p.detach().clone() for p in trained] if tensors is None else None
        total, count = 0.0, 0
        for batch, weight in _batches(tensors, batch_size, shuffle):
            def closure(batch: Batch = batch) -> torch.Tensor:
                optimizer.zero_grad()
                with _mixed(precision, parameters):
                    value = loss(batch)
                if value.requires_grad:  # not where an optimiser asks for the loss alone
                    value.backward()
                    if clip is not None:
                        torch.nn.utils.clip_grad_norm_(parameters, clip)
                return value.detach()

            total, count = total + float(optimizer.step(closure)) * weight, count + weight
        if not math.isfinite(total):
            rate = optimizer.param_groups[0].get("lr", learning_rate)
            raise InputError(f"the loss became {total} in epoch {epoch + 1}: take a learning_rate below {rate:g}, or "
                             "look for extreme values in the events")
        history.train.append(total / count)
        if validation is not None:
            with torch.no_grad():
                history.validation.append(float(validation()))
        now = history.validation[-1] if validation is not None else history.train[-1]
        if epoch < warm_up:
            now = math.inf
            done.kept, history.best_epoch = [p.detach().clone() for p in trained], epoch
        elif now < done.best:
            done.best, history.best_epoch = now, epoch
            # a full-batch loss belongs to the weights before the step
            source = before if before is not None and validation is None else trained
            done.kept = [p.detach().clone() for p in source]
        if notes is not None:
            for name, value in notes().items():
                history.notes.setdefault(name, []).append(value)
        history.seconds.append(time.perf_counter() - begun)
        if epoch < warm_up:
            done.waited = 0
        elif now < done.mark - (tolerance() if callable(tolerance) else tolerance):
            done.mark, done.waited = now, 0
        else:
            done.waited += 1
        if progress is not None:
            progress(epoch + 1, epochs)
        if checkpoint is not None and time.monotonic() - written >= checkpoint.every:
            done.write(checkpoint)
            written = time.monotonic()
    if len(history.validation) > warm_up and not math.isfinite(done.best):
        raise InputError(f"the loss on the events held back was never finite, at the end {history.validation[-1]}: look for "
                         "extreme values in them")
    with torch.no_grad():
        for p, k in zip(trained, done.kept, strict=True):
            p.copy_(k)
    return history


def _batches(tensors: tuple[torch.Tensor, ...] | None, size: int, shuffle: torch.Generator
             ) -> Iterator[tuple[Batch, int]]:
    """Each batch of an epoch and its number of events."""
    if tensors is None:
        yield None, 1
        return
    for chosen in torch.randperm(len(tensors[0]), generator=shuffle).split(size):
        parts = tuple(t[chosen.to(t.device)] for t in tensors)
        yield (parts[0] if len(parts) == 1 else parts), len(chosen)


def _mixed(precision: str, parameters: Sequence[torch.Tensor]) -> contextlib.AbstractContextManager[Any]:
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(parameters[0].device.type, dtype=torch.bfloat16)


@dataclass
class _Progress:
    """All that the loop needs to go on."""

    parameters: list[torch.Tensor]
    buffers: list[torch.Tensor]
    optimizer: torch.optim.Optimizer
    shuffle: torch.Generator
    generators: list[torch.Generator]
    state: list[torch.Tensor]
    kept: list[torch.Tensor]  # of parameters, then of buffers
    best: float = float("inf")
    mark: float = float("inf")
    waited: int = 0
    history: History = field(default_factory=History)

    def write(self, to: Checkpoint) -> None:
        tensors = {"shuffle": self.shuffle.get_state()}
        tensors |= {f"generator/{i}": g.get_state() for i, g in enumerate(self.generators)}
        tensors |= {f"chains/{i}": t for i, t in enumerate(self.state)}
        numbers: dict[str, dict[str, float]] = {}
        for i, (p, k) in enumerate(zip(self.parameters + self.buffers, self.kept, strict=True)):
            tensors[f"parameter/{i}"], tensors[f"kept/{i}"] = p.detach(), k
            for name, value in self.optimizer.state.get(p, {}).items():
                if isinstance(value, torch.Tensor):
                    tensors[f"state/{i}/{name}"] = value
                else:
                    numbers.setdefault(str(i), {})[name] = value
        notes = {"key": to.key, "best": self.best, "mark": self.mark, "waited": self.waited,
                 "history": self.history.as_dict(), "numbers": numbers}
        arrays = {name: t.cpu().contiguous().clone() for name, t in tensors.items()}
        atomic_write(to.path, save(arrays, {"training": json.dumps(notes)}))

    def read(self, source: Checkpoint) -> None:
        if not source.path.exists():
            return
        try:
            with safe_open(source.path, "pt") as file:
                notes = json.loads((file.metadata() or {})["training"])
                missing = {"key", "best", "mark", "waited", "history", "numbers"} - notes.keys()
                if missing:
                    raise KeyError(", ".join(sorted(missing)))
                tensors = {name: file.get_tensor(name) for name in file.keys()}
        except (SafetensorError, KeyError, ValueError, OSError) as error:
            raise InputError(f"{source.path} is no checkpoint of a training ({error}); delete it to begin anew") from None
        if notes["key"] != source.key:
            raise InputError(f"{source.path} belongs to a training with other settings or events; delete it to begin anew")
        trained = self.parameters + self.buffers
        shapes = {f"{kind}/{i}": p.shape for i, p in enumerate(trained) for kind in ("parameter", "kept")}
        shapes |= {f"chains/{i}": t.shape for i, t in enumerate(self.state)}
        same = all(name in tensors and tensors[name].shape == shape for name, shape in shapes.items())
        drawn = sum(name.startswith("generator/") for name in tensors)
        if not same or "shuffle" not in tensors or drawn != len(self.generators):
            raise InputError(f"{source.path} belongs to a training of another network; delete it to begin anew")
        self.best, self.mark, self.waited = notes["best"], notes["mark"], notes["waited"]
        self.history = History(**notes["history"])
        self.shuffle.set_state(tensors["shuffle"])
        for i, g in enumerate(self.generators):
            g.set_state(tensors[f"generator/{i}"])
        self.kept = [tensors[f"kept/{i}"].to(p) for i, p in enumerate(trained)]
        with torch.no_grad():
            for i, t in enumerate(self.state):
                t.copy_(tensors[f"chains/{i}"])
            for i, p in enumerate(trained):
                p.copy_(tensors[f"parameter/{i}"])
                for name, value in notes["numbers"].get(str(i), {}).items():
                    self.optimizer.state[p][name] = value
                for name, value in tensors.items():
                    if name.startswith(f"state/{i}/"):
                        key = name.split("/", 2)[2]
                        # Adam counts its steps on the CPU: on a GPU each reading would wait for it
                        self.optimizer.state[p][key] = value if key == "step" else value.to(p.device)
