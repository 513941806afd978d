"""Distributions of counts for many events at once: binomial, and what is left of counts when shots are taken away."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

#: Numbers in a block.
BLOCK = 2**20


@lru_cache(maxsize=4)
def _log_factorials(n: int) -> np.ndarray:
    return np.array([math.lgamma(k + 1) for k in range(n + 1)])


class Law(ABC):
    """Distributions of counts 0 … shots, one a row; of each only what lies within 8.5 σ + 24 of its mean, all but 1e-15."""

    def __init__(self, mean: np.ndarray, shots: int) -> None:
        self.mean, self.shots = mean, shots

    @abstractmethod
    def log(self, rows: slice, k: np.ndarray) -> np.ndarray:
        """log p of counts ``k`` ``(rows, …)``, up to a constant of the row; any number where they are impossible."""

    def blocks(self) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Rows, counts and their probabilities, ``(rows, width)``."""
        half = math.ceil(8.5 * math.sqrt(float((self.mean * (1 - self.mean / self.shots)).max())) + 24)
        width = min(2 * half + 2, self.shots + 1)
        step = max(1, BLOCK // width)
        for start in range(0, len(self.mean), step):
            rows = slice(start, start + step)
            first = np.clip(np.floor(self.mean[rows]).astype(np.int64) - half, 0, self.shots + 1 - width)
            k = first[:, None] + np.arange(width)
            log = self.log(rows, k)
            p = np.exp(log - log.max(1, keepdims=True))
            yield rows, k, p / p.sum(1, keepdims=True)

    def mixture(self, weights: np.ndarray | None = None) -> np.ndarray:
        """The mean distribution of all rows, ``(shots + 1,)``."""
        weights = np.ones(len(self.mean)) if weights is None else weights
        out = np.zeros(self.shots + 1)
        for rows, k, p in self.blocks():
            out += np.bincount(k.ravel(), (p * weights[rows, None]).ravel(), self.shots + 1)
        return np.asarray(out / weights.sum())

    def averages(self, *functions: np.ndarray) -> list[np.ndarray]:
        """Means over each row's counts of functions of the count, ``(rows,)`` each."""
        out = [np.empty(len(self.mean)) for _ in functions]
        for rows, k, p in self.blocks():
            for found, f in zip(out, functions, strict=True):
                found[rows] = (p * f[k]).sum(1)
        return out


class Binomial(Law):
    """Counts of ``shots`` shots with chance ``q``, one law an event."""

    def __init__(self, q: np.ndarray, shots: int) -> None:
        super().__init__(q.ravel() * shots, shots)
        tiny = np.finfo(np.float64).tiny  # 0 log 0 = 0
        self.logs = np.log(np.maximum(q.ravel(), tiny)), np.log(np.maximum(1 - q.ravel(), tiny))

    def log(self, rows: slice, k: np.ndarray) -> np.ndarray:
        L, rest = _log_factorials(self.shots), self.shots - k
        yes, no = (logs[rows, None] for logs in self.logs)
        return np.asarray(k * yes + rest * no - L[k] - L[rest])


class Thinned(Law):
    """Counts among ``shots`` drawn without replacement from ``total`` shots of which K said "background"."""

    def __init__(self, K: np.ndarray, total: int, shots: int) -> None:
        super().__init__(K * (shots / total), shots)
        self.K, self.total = K, total

    def log(self, rows: slice, k: np.ndarray) -> np.ndarray:
        L = _log_factorials(self.total)
        yes, no = self.K[rows, None] - k, self.total - self.K[rows, None] - self.shots + k  # left undrawn
        possible = (yes >= 0) & (no >= 0)
        yes, no = np.maximum(yes, 0), np.maximum(no, 0)
        return np.where(possible, -L[k] - L[yes] - L[self.shots - k] - L[no], -np.inf)
