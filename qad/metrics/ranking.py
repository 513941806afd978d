"""ROC, AUC, background rejection 1/ε_b at fixed ε_s, TPR at fixed FPR. Ties count half, as they must."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from qad.errors import InputError

#: A working point is quoted only where at least this many background events define it.
FEWEST_BACKGROUND = 10


@dataclass(frozen=True)
class Roc:
    """A ROC curve: efficiencies when everything at or above each threshold is selected, from (0, 0) to (1, 1).

    ``fpr`` = ε_b, ``tpr`` = ε_s, ``n_background`` events selected, ``threshold`` descending from +∞.
    """

    fpr: np.ndarray
    tpr: np.ndarray
    threshold: np.ndarray
    n_background: np.ndarray

    @property
    def auc(self) -> float:
        """Area under the curve."""
        return float(np.trapezoid(self.tpr, self.fpr))


def checked(background: ArrayLike, signal: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64 ``(n,)``; raises :class:`InputError` for none or NaN."""
    b, s = (np.asarray(a, dtype=np.float64).ravel() for a in (background, signal))
    for name, a in (("background", b), ("signal", s)):
        if not len(a):
            raise InputError(f"no {name} scores were given: expected at least one")
        if np.isnan(a).any():
            raise InputError(f"{int(np.isnan(a).sum())} of {len(a)} {name} scores are NaN")
    return b, s


def roc(background: ArrayLike, signal: ArrayLike) -> Roc:
    """ROC curve of two sets of scores; one point per distinct score.

    >>> curve = roc([0.1, 0.2, 0.3], [0.2, 0.9])
    >>> curve.tpr.tolist(), curve.n_background.tolist()
    ([0.0, 0.5, 0.5, 1.0, 1.0], [0, 0, 1, 2, 3])
    """
    b, s = checked(background, signal)
    threshold = np.unique(np.concatenate([b, s]))[::-1]
    n_b = len(b) - np.searchsorted(np.sort(b), threshold, side="left")
    n_s = len(s) - np.searchsorted(np.sort(s), threshold, side="left")
    n_b, n_s = np.concatenate([[0], n_b]), np.concatenate([[0], n_s])
    return Roc(n_b / len(b), n_s / len(s), np.concatenate([[np.inf], threshold]), n_b)


def auc(background: ArrayLike, signal: ArrayLike) -> float:
    """P(signal score > background score) + ½ P(equal).

    >>> auc([0.1, 0.2, 0.3], [0.2, 0.9])
    0.75
    """
    b, s = checked(background, signal)
    b = np.sort(b)
    below, upto = np.searchsorted(b, s, side="left"), np.searchsorted(b, s, side="right")
    return float((below + upto).mean() / (2 * len(b)))


def fpr_at_tpr(curve: Roc, tpr: ArrayLike) -> np.ndarray:
    """ε_b where ε_s first reaches ``tpr``, interpolated between scores; of the shape of ``tpr``.

    >>> fpr_at_tpr(roc([0.1, 0.2, 0.3], [0.2, 0.9]), [0.5, 0.75])
    array([0.        , 0.33333333])
    """
    reached, first = np.unique(curve.tpr, return_index=True)
    return np.asarray(np.interp(np.asarray(tpr, dtype=np.float64), reached, curve.fpr[first]))


def rejection(curve: Roc, signal_efficiency: float, fewest: int = FEWEST_BACKGROUND) -> float:
    """1/ε_b where ε_s first reaches ``signal_efficiency``, interpolated between scores.

    NaN where fewer than ``fewest`` background events are left: then 1/ε_b > n_background/``fewest`` is all that is known.

    >>> curve = roc(range(1000), range(500, 1500))
    >>> round(rejection(curve, 0.6), 2), rejection(curve, 0.5)
    (10.0, nan)
    """
    fpr = float(fpr_at_tpr(curve, signal_efficiency))
    return 1 / fpr if fpr * curve.n_background[-1] >= fewest else float("nan")


def tpr_at_fpr(curve: Roc, fpr: float, fewest: int = FEWEST_BACKGROUND) -> float:
    """ε_s at ε_b = ``fpr``; NaN ("too few events") where fewer than ``fewest`` background events would define it.

    >>> tpr_at_fpr(roc(range(1000), range(500, 1500)), 0.1)
    0.6
    """
    if fpr * curve.n_background[-1] < fewest:
        return float("nan")
    return float(np.interp(fpr, curve.fpr, curve.tpr))
