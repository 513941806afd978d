"""One feature alone: the control that every detector must beat."""

from __future__ import annotations

import numpy as np

from qad.detector import Detector
from qad.errors import InputError


class SingleFeature(Detector):
    """Score = x[``column``] (``side`` high), -x (low), or |2F(x) - 1| with F the background's distribution function (both).

    On jets, column 0 of ``substructure`` is the jet mass [GeV]. ``both`` is the label-free cut: it does not know on which
    side the signal lies.
    """

    kind = "control"
    learns = False

    def __init__(self, column: int = 0, side: str = "high") -> None:
        self.column = column
        self.side = side

    def _fit(self, X: np.ndarray, validation: np.ndarray | None) -> None:
        if not 0 <= self.column < X.shape[1]:
            raise InputError(f"column={self.column}: expected 0 to {X.shape[1] - 1}, the input has {X.shape[1]} features")
        if self.side not in ("high", "low", "both"):
            raise InputError(f"side='{self.side}': expected high, low or both")
        self.background_ = np.sort(X[:, self.column]).astype(np.float64)

    def _score(self, X: np.ndarray) -> np.ndarray:
        x = X[:, self.column].astype(np.float64)
        if self.side != "both":
            return x if self.side == "high" else -x
        below, upto = (np.searchsorted(self.background_, x, side=s) for s in ("left", "right"))
        rarity = np.abs((below + upto) / len(self.background_) - 1)
        # beyond all of the background rarity saturates: there the distance decides
        low, high = self.background_[0], self.background_[-1]
        beyond = np.maximum(np.maximum(low - x, x - high), 0) / max(high - low, 1e-12)
        return rarity + beyond
