"""Intervals and paired differences. Detectors scored on the same events share the same bootstrap weights."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from qad.errors import InputError


def bootstrap_weights(n: int, draws: int, seed: int) -> np.ndarray:
    """Poisson bootstrap: how often each of ``n`` events appears in each of ``draws`` replicas, int8 ``(draws, n)``."""
    return np.random.default_rng(seed).poisson(1.0, (draws, n)).astype(np.int8)


def bootstrap_auc(background: ArrayLike, signal: ArrayLike, weights_b: np.ndarray, weights_s: np.ndarray) -> np.ndarray:
    """AUC of every bootstrap replica, shape ``(draws,)``; replicas come from :func:`bootstrap_weights`."""
    b, s = np.asarray(background, dtype=np.float64), np.asarray(signal, dtype=np.float64)
    order = np.argsort(b, kind="stable")
    ranked = b[order]
    below, upto = np.searchsorted(ranked, s, side="left"), np.searchsorted(ranked, s, side="right")
    out = np.empty(len(weights_b))
    for i, (wb, ws) in enumerate(zip(weights_b, weights_s, strict=True)):
        cumulative = np.concatenate([[0], np.cumsum(wb[order], dtype=np.int64)])
        mean_rank = (cumulative[below] + cumulative[upto]) / 2
        out[i] = (ws * mean_rank).sum() / (ws.sum(dtype=np.int64) * cumulative[-1])
    return out


def percentile_interval(values: ArrayLike, level: float = 0.68) -> tuple[float, float]:
    """Central interval of bootstrap ``values``."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def wilson(k: int, n: int, z: float = 1.0) -> tuple[float, float]:
    """Wilson interval of an efficiency k/n at ``z`` standard deviations (Wilson 1927)."""
    if n < 1 or not 0 <= k <= n:
        raise InputError(f"expected 0 <= k <= n and n >= 1, got k={k}, n={n}")
    p, d = k / n, 1 + z * z / n
    centre = (p + z * z / (2 * n)) / d
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / d
    return max(centre - half, 0.0), min(centre + half, 1.0)


@dataclass(frozen=True)
class Difference:
    """a - b of two detectors on the same events: ``value`` ± ``error`` (events and seeds), ``z`` = value/error."""

    value: float
    error: float

    @property
    def z(self) -> float:
        """Standard deviations from zero."""
        return self.value / self.error if self.error > 0 else math.copysign(math.inf, self.value) if self.value else 0.0


def paired_difference(a: np.ndarray, b: np.ndarray, boot_a: np.ndarray, boot_b: np.ndarray) -> Difference:
    """Difference of seed-averaged metrics with its error.

    a, b            the metric of each seed, ``(seeds,)``
    boot_a, boot_b  the metric of each seed in each replica, ``(seeds, draws)``, with shared replicas

    error² = variance over replicas of the seed-averaged difference + s²_a/n_a + s²_b/n_b. Where both have the same
    seeds, the last two terms become the variance of the paired differences over their number.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    events = float(np.var(boot_a.mean(0) - boot_b.mean(0), ddof=1))
    if len(a) == len(b) > 1:
        seeds = float(np.var(a - b, ddof=1)) / len(a)
    else:
        seeds = sum(float(np.var(v, ddof=1)) / len(v) for v in (a, b) if len(v) > 1)
    return Difference(float(a.mean() - b.mean()), math.sqrt(events + seeds))
