"""Shared torch blocks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

from qad.errors import InputError


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Weights made inside come from ``seed``; torch's own random numbers are left as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def device(name: str) -> torch.device:
    """``"auto"``: a GPU if there is one; else what torch calls it. Raises :class:`InputError` for one that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(name)
    except (RuntimeError, TypeError):
        raise InputError(f"device={name!r}: expected auto, cpu, cuda or cuda:0") from None
    if found.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device={name!r}: torch finds no GPU; take device=auto, or install a torch built for it")
    return found


def dense(sizes: Sequence[int], seed: int, activation: type[nn.Module] = nn.LeakyReLU) -> nn.Sequential:
    """Fully connected layers of the given sizes, the last one linear, with weights from ``seed`` (global state untouched)."""
    with seeded(seed):
        layers: list[nn.Module] = []
        for i, (a, b) in enumerate(pairwise(sizes)):
            layers += [nn.Linear(a, b)] + ([activation()] if i < len(sizes) - 2 else [])
        return nn.Sequential(*layers)


def spectral(network: nn.Module, seed: int) -> None:
    """Divide weights of linear and convolutional layers by their spectral norms, found by power iteration from ``seed``."""
    with seeded(seed):
        for layer in [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)]:
            nn.utils.parametrizations.spectral_norm(layer)


def tensor(X: np.ndarray, dtype: torch.dtype) -> torch.Tensor:
    """``X`` as a tensor, copied only if torch could not use it as it lies in memory (reversed, read-only)."""
    return torch.as_tensor(np.require(X, requirements=["C", "W"]), dtype=dtype)


def state_arrays(network: nn.Module) -> dict[str, np.ndarray]:
    """The weights of a network as arrays, by name, for saving."""
    return {k: v.detach().cpu().numpy() for k, v in network.state_dict().items()}


def load_arrays(network: nn.Module, arrays: dict[str, np.ndarray]) -> None:
    """Put what :func:`state_arrays` gave back into a network of the same shape."""
    network.load_state_dict({k: torch.as_tensor(v) for k, v in arrays.items()})


def packed(state: dict[str, Any]) -> dict[str, Any]:
    """The fitted state of an estimator with the weights of its ``network_`` in the network's place, as ``network.NAME``."""
    return {**{f"network.{k}": v for k, v in state_arrays(state.pop("network_")).items()}, **state}


def unpacked(state: dict[str, Any]) -> dict[str, np.ndarray]:
    """The weights that :func:`packed` put into ``state``, taken out of it."""
    return {k.removeprefix("network."): state.pop(k) for k in [k for k in state if k.startswith("network.")]}


def count(network: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
