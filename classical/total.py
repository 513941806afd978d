"""The plain sum of the inputs: on published quantum inputs it equals the published detector."""

from __future__ import annotations

import numpy as np

from qad.detector import Detector


class Total(Detector):
    """Score = Σ_i |x_i|. On scaled event features it is Σx of arXiv:2112.04958's inputs.

    It learns nothing itself; behind ``standardise`` it is the L1 distance to the background mean in standard deviations.
    """

    kind = "control"
    learns = False

    def _fit(self, X: np.ndarray, validation: np.ndarray | None) -> None:
        return

    def _score(self, X: np.ndarray) -> np.ndarray:
        return np.abs(X).sum(1)
