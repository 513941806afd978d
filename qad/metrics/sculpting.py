"""Does a cut on the score shape the background's mass spectrum?"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def jensen_shannon(p: ArrayLike, q: ArrayLike) -> float:
    """Jensen-Shannon divergence of two histograms, in bits: 0 equal, 1 disjoint.

    >>> jensen_shannon([1, 1], [1, 1]), jensen_shannon([1, 0], [0, 1])
    (0.0, 1.0)
    """
    shares = [np.asarray(a, dtype=np.float64) / np.sum(a) for a in (p, q)]
    m = sum(shares) / 2

    def kl(a: np.ndarray) -> float:
        used = a > 0
        return float((a[used] * np.log2(a[used] / m[used])).sum())

    return sum(map(kl, shares)) / 2


def mass_sculpting(mass: ArrayLike, score: ArrayLike, background_efficiency: float = 0.05, bins: int = 20) -> float:
    """Jensen-Shannon divergence [bits] between the background's mass spectrum before and after a cut on ``score``.

    Bins hold equal numbers of all background events; the cut keeps ``background_efficiency`` of them.
    """
    mass, score = np.asarray(mass, dtype=np.float64), np.asarray(score, dtype=np.float64)
    edges = np.quantile(mass, np.linspace(0, 1, bins + 1))
    cut = score >= np.quantile(score, 1 - background_efficiency)
    every, _ = np.histogram(mass, edges)
    kept, _ = np.histogram(mass[cut], edges)
    return jensen_shannon(every, kept)
