"""Significance improvement SIC = ε_s/√ε_b, only where enough background is left to know ε_b."""

from __future__ import annotations

import numpy as np

from qad.metrics.ranking import Roc

#: Below this many background events the error on SIC exceeds 10 %.
FEWEST_BACKGROUND = 25


def sic(curve: Roc, fewest: int = FEWEST_BACKGROUND) -> tuple[np.ndarray, np.ndarray]:
    """(ε_s, ε_s/√ε_b) at every threshold that leaves at least ``fewest`` background events."""
    enough = curve.n_background >= fewest
    return curve.tpr[enough], curve.tpr[enough] / np.sqrt(curve.fpr[enough])


def max_sic(curve: Roc, fewest: int = FEWEST_BACKGROUND) -> float:
    """Largest SIC; NaN where there are too few background events at any threshold.

    >>> from qad.metrics import roc
    >>> round(max_sic(roc(range(1000), range(500, 1500))), 3)
    3.32
    """
    _, value = sic(curve, fewest)
    return float(value.max()) if len(value) else float("nan")
