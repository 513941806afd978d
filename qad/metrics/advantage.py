"""One detector against another in background rejection: Δ = (1/ε_b)_a / (1/ε_b)_b at the same ε_s."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from qad.errors import InputError


@dataclass(frozen=True)
class Ratio:
    """``value`` ± ``error`` (one standard deviation); NaN where a working point has too few events."""

    value: float
    error: float


def rejection_ratio(a: ArrayLike, b: ArrayLike) -> Ratio:
    """Δ = mean(a)/mean(b), ± Δ √((s_a/mean a)² + (s_b/mean b)²), s the standard deviation over seeds or folds.

    a, b  1/ε_b of two detectors at the same ε_s, one number per seed (:func:`qad.metrics.rejection`), as Δ_QC of
          arXiv:2301.10780, a quantum and b classical. The two are taken as independent; above 1, ``a`` rejects more.

    NaN where a number is missing. Raises :class:`InputError` for fewer than two seeds, or rejections that are not above 0.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.ndim != 1 or b.ndim != 1 or min(len(a), len(b)) < 2:
        raise InputError(f"expected the rejections of two seeds or more for each detector; got shapes {a.shape} and {b.shape}")
    if (a <= 0).any() or (b <= 0).any():
        raise InputError("a rejection 1/ε_b is above 0; got one that is not")
    value = float(a.mean() / b.mean())
    return Ratio(value, value * math.hypot(a.std(ddof=1) / a.mean(), b.std(ddof=1) / b.mean()))
