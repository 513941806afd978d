"""Distances between two weighted one-dimensional samples, and how large they are when nothing differs.

Both compare the distribution functions F_a, F_b: Wasserstein's distance is an area in units of x, Kolmogorov and Smirnov's
a height between 0 and 1. Weights are normalised in each sample; a few may be negative if their sum is not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from qad.errors import InputError


@dataclass(frozen=True)
class KolmogorovSmirnov:
    """``distance`` D, ``statistic`` √n D with n = n_a n_b/(n_a + n_b), and the ``p_value`` of that much or more by chance."""

    distance: float
    statistic: float
    p_value: float


def effective_size(weight: ArrayLike) -> float:
    """(Σ w)² / Σ w²: how many events of weight one know as much."""
    w = np.asarray(weight, dtype=np.float64)
    return float(w.sum() ** 2 / (w**2).sum())


def _checked(x: ArrayLike, weight: ArrayLike | None, name: str) -> tuple[np.ndarray, np.ndarray]:
    x = np.asarray(x, dtype=np.float64).ravel()
    w = np.ones(len(x)) if weight is None else np.asarray(weight, dtype=np.float64).ravel()
    if not len(x):
        raise InputError(f"sample {name} is empty: expected at least one value")
    if len(w) != len(x):
        raise InputError(f"sample {name}: expected a weight for each of {len(x)} values, got {len(w)}")
    for what, array in (("values", x), ("weights", w)):
        if not np.isfinite(array).all():
            raise InputError(f"sample {name}: {int((~np.isfinite(array)).sum())} of {len(array)} {what} are NaN or infinite; "
                             "remove them first")
    if w.sum() <= 0:
        raise InputError(f"sample {name}: expected weights with a sum above 0, got {w.sum():g}")
    return x, w


@dataclass(frozen=True)
class _Steps:
    """All values of both samples in order, the share of its sample that each carries, and the width to the next value."""

    share_a: np.ndarray
    share_b: np.ndarray
    width: np.ndarray
    size: float  # n_a n_b/(n_a + n_b), effective

    def distances(self, difference: np.ndarray) -> tuple[float, float]:
        """Wasserstein and Kolmogorov-Smirnov of F_a - F_b after each value; inside a tie neither function has stopped."""
        height = np.abs(difference[:-1])
        area = np.einsum("i,i->", height, self.width)  # not @, which wakes all threads for so little
        return float(area), float(np.max(height, where=self.width > 0, initial=0.0))


def _steps(a: ArrayLike, b: ArrayLike, weight_a: ArrayLike | None, weight_b: ArrayLike | None) -> _Steps:
    (a, w_a), (b, w_b) = _checked(a, weight_a, "a"), _checked(b, weight_b, "b")
    x = np.concatenate([a, b])
    order = np.argsort(x, kind="stable")
    share_a = np.concatenate([w_a / w_a.sum(), np.zeros(len(b))])[order]
    share_b = np.concatenate([np.zeros(len(a)), w_b / w_b.sum()])[order]
    n_a, n_b = effective_size(w_a), effective_size(w_b)
    return _Steps(share_a, share_b, np.diff(x[order]), n_a * n_b / (n_a + n_b))


def wasserstein(a: ArrayLike, b: ArrayLike, weight_a: ArrayLike | None = None, weight_b: ArrayLike | None = None) -> float:
    """W₁ = ∫ |F_a(x) - F_b(x)| dx, in units of x: how far the mass of one must be carried to make the other.

    a, b  ``(n_a,)`` and ``(n_b,)``; weights of the same lengths, one where left out

    Raises :class:`InputError` for an empty sample, NaN, infinity, or weights without a positive sum.
    """
    steps = _steps(a, b, weight_a, weight_b)
    return steps.distances(np.cumsum(steps.share_a - steps.share_b))[0]


def kolmogorov_smirnov(a: ArrayLike, b: ArrayLike, weight_a: ArrayLike | None = None,
                       weight_b: ArrayLike | None = None) -> KolmogorovSmirnov:
    """D = max_x |F_a(x) - F_b(x)| and its two-sample p-value for large samples, Q(√n D), n = n_a n_b/(n_a + n_b).

    Sizes are the effective ones of the weights. Ties (whole numbers) and small samples make the p-value too large, never too
    small. Arguments and errors as in :func:`wasserstein`.
    """
    steps = _steps(a, b, weight_a, weight_b)
    distance = min(steps.distances(np.cumsum(steps.share_a - steps.share_b))[1], 1.0)
    statistic = math.sqrt(steps.size) * distance
    return KolmogorovSmirnov(distance, statistic, kolmogorov(statistic))


def kolmogorov(x: float) -> float:
    """Q(x) = 2 Σ_{k≥1} (-1)^{k-1} exp(-2 k² x²), the chance of √n D above ``x`` (Kolmogorov 1933)."""
    if x <= 0:
        return 1.0
    if x < 1:  # the same series after Poisson's summation, which converges where the first does not
        k = np.arange(1, 20, 2)
        return float(1 - math.sqrt(2 * math.pi) / x * np.exp(-((k * math.pi / x) ** 2) / 8).sum())
    k = np.arange(1, 20)
    return float(2 * (-((-1.0) ** k) * np.exp(-2 * (k * x) ** 2)).sum())


def equal_distances(a: ArrayLike, b: ArrayLike, weight_a: ArrayLike | None = None, weight_b: ArrayLike | None = None, *,
                    draws: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """W₁ and D of two such samples if their distributions were equal, by chance alone; each ``(draws,)``.

    Multiplier bootstrap (Giné & Zinn 1990): each event's part in F - F̂ is taken with a random sign ε_i,
    G_a(x) = Σ_i ε_i w_i (1[x_i ≤ x] - F_a(x)) / Σ w, and the distances are those of G_a - G_b. Weights, ties and samples of
    unlike size keep their errors; where a and b lie far apart, W₁ comes out larger, by √2 at most. Arguments and errors as in
    :func:`wasserstein`.
    """
    if draws < 1:
        raise InputError(f"draws={draws}: expected a whole number from 1")
    steps = _steps(a, b, weight_a, weight_b)
    f_a, f_b = np.cumsum(steps.share_a), np.cumsum(steps.share_b)
    rng = np.random.default_rng(seed)
    out = np.empty((draws, 2))
    for row in out:
        sign = rng.integers(0, 2, len(f_a), dtype=np.int8) * 2.0 - 1.0
        s_a, s_b = sign * steps.share_a, sign * steps.share_b
        row[:] = steps.distances(np.cumsum(s_a - s_b) - f_a * s_a.sum() + f_b * s_b.sum())
    return out[:, 0], out[:, 1]
