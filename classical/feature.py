"""A cut on one feature: the control that every detector must beat."""

from __future__ import annotations

import numpy as np

from qad.detector import Detector
from qad.errors import InputError


class SingleFeature(Detector):
    """Score = ``sign`` · x[``column``]. Learns nothing; on jets, column 0 of ``substructure`` is the jet mass [GeV]."""

    kind = "control"
    learns = False

    def __init__(self, column: int = 0, sign: int = 1) -> None:
        self.column = column
        self.sign = sign

    def _fit(self, X: np.ndarray, validation: np.ndarray | None) -> None:
        if not 0 <= self.column < X.shape[1]:
            raise InputError(f"column={self.column}: expected 0 to {X.shape[1] - 1}, the input has {X.shape[1]} features")

    def _score(self, X: np.ndarray) -> np.ndarray:
        return self.sign * X[:, self.column]
