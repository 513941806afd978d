"""Intervals and paired differences. Detectors scored on the same events share the same bootstrap weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from qad.errors import InputError
from qad.metrics.ranking import Roc, checked


def bootstrap_weights(n: int, draws: int, seed: int) -> np.ndarray:
    """Poisson bootstrap: how often each of ``n`` events appears in each of ``draws`` replicas, int8 ``(draws, n)``."""
    rng = np.random.default_rng(seed)
    weights = np.empty((draws, n), dtype=np.int8)
    for row in weights:
        row[:] = rng.poisson(1.0, n)
        while n and not row.any():  # an empty replica says nothing
            row[:] = rng.poisson(1.0, n)
    return weights


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


def auc_error(background: ArrayLike, signal: ArrayLike, draws: int = 400, seed: int = 0) -> float:
    """Standard error of the AUC of independent events, from ``draws`` bootstrap replicas.

    For the difference of two detectors on the same events it is too large: :func:`paired_difference`. Raises
    :class:`InputError` for no scores or NaN.

    >>> round(auc_error(range(0, 1000), range(500, 1500)), 3)
    0.007
    """
    b, s = checked(background, signal)
    replicas = (bootstrap_weights(len(a), draws, 2 * seed + i) for i, a in enumerate((b, s)))
    return float(bootstrap_auc(b, s, *replicas).std(ddof=1))


def bootstrap_metric(background: ArrayLike, signal: ArrayLike, weights_b: np.ndarray, weights_s: np.ndarray,
                     metric: Callable[[Roc], float]) -> np.ndarray:
    """Any ``metric`` of the ROC curve of every replica, shape ``(draws,)``. For the AUC :func:`bootstrap_auc` is faster."""
    b, s = (-np.asarray(a, dtype=np.float64) for a in (background, signal))
    threshold = np.unique(np.concatenate([b, s]))
    orders = np.argsort(b), np.argsort(s)
    selected = [np.searchsorted(a[order], threshold, side="right") for a, order in zip((b, s), orders, strict=True)]
    out = np.empty(len(weights_b))
    for i, weights in enumerate(zip(weights_b, weights_s, strict=True)):
        n_b, n_s = (np.concatenate([[0], np.cumsum(w[order], dtype=np.int64)])[np.concatenate([[0], upto])]
                    for w, order, upto in zip(weights, orders, selected, strict=True))
        out[i] = metric(Roc(n_b / n_b[-1], n_s / n_s[-1], np.concatenate([[np.inf], -threshold]), n_b))
    return out


def percentile_interval(values: ArrayLike, level: float = 0.68) -> tuple[float, float]:
    """Central interval of bootstrap ``values``."""
    low, high = np.quantile(np.asarray(values), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def wilson(k: int, n: int, z: float = 1.0) -> tuple[float, float]:
    """Wilson interval of an efficiency k/n at ``z`` standard deviations (Wilson 1927).

    >>> low, high = wilson(9, 10)
    >>> round(low, 3), round(high, 3)
    (0.766, 0.961)
    """
    if n < 1 or not 0 <= k <= n:
        raise InputError(f"expected 0 <= k <= n and n >= 1, got k={k}, n={n}")
    p, d = k / n, 1 + z * z / n
    centre = (p + z * z / (2 * n)) / d
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / d
    return max(centre - half, 0.0), min(centre + half, 1.0)


@dataclass(frozen=True)
class Difference:
    """a - b of two detectors on the same events: ``value`` ± ``error``, the latter known with ``dof`` degrees of freedom."""

    value: float
    error: float
    dof: float = math.inf

    @property
    def z(self) -> float:
        """Significance in standard deviations of a normal distribution with the same tail probability; NaN if unknown.

        A spread estimated from few seeds is Student's: z = (8ν+1)/(8ν+3) √(ν ln(1 + t²/ν)) (Wallace 1959).
        """
        if self.value == 0:
            return 0.0
        if not (math.isfinite(self.error) and self.error > 0):
            return math.nan
        t, v = self.value / self.error, self.dof
        if v > 1e6:
            return t
        return math.copysign((8 * v + 1) / (8 * v + 3) * math.sqrt(v * math.log1p(t * t / v)), t)


def paired_difference(a: np.ndarray, b: np.ndarray, boot_a: np.ndarray, boot_b: np.ndarray) -> Difference:
    """Difference of seed-averaged metrics with its error.

    a, b            the metric of each seed, ``(seeds,)``
    boot_a, boot_b  the metric of each seed in each replica, ``(seeds, draws)``, with shared replicas

    Entry i of each belongs to the same seed. error² = variance over replicas of the seed-averaged difference + variance of
    the per-seed differences over their number, with Welch and Satterthwaite's degrees of freedom. With a single seed the
    spread of training is unknown, and so is the error (NaN).
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    value = float(a.mean() - b.mean())
    if len(a) < 2:
        return Difference(value, math.nan)
    events = float(np.var(boot_a.mean(0) - boot_b.mean(0), ddof=1))
    seeds = float(np.var(a - b, ddof=1)) / len(a)
    dof = (len(a) - 1) * ((events + seeds) / seeds) ** 2 if seeds > 0 else math.inf
    return Difference(value, math.sqrt(events + seeds), dof)
