"""Distance to where the background is densest."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

from qad.detector import Detector


class ModeDistance(Detector):
    """Score = |x - m|², m the background's mode by Gaussian mean shift (Fukunaga and Hostetler 1975) from its mean.

    Bandwidth h √f with f features: ``bandwidth`` h = 1 suits standardised inputs of any dimension.
    """

    kind = "control"

    def __init__(self, bandwidth: float = 1.0, max_iter: int = 200, tol: float = 1e-6) -> None:
        self.bandwidth = bandwidth
        self.max_iter = max_iter
        self.tol = tol

    def _fit(self, X: np.ndarray, validation: np.ndarray | None) -> None:
        X = X.astype(np.float64)
        mode = X.mean(0)
        for step in range(1, self.max_iter + 1):
            self.n_iter_ = step
            distance = cdist(mode[None], X, "sqeuclidean")[0]
            weight = np.exp(-(distance - distance.min()) / (2 * self.bandwidth**2 * X.shape[1]))
            moved = weight @ X / weight.sum()
            shift, mode = np.linalg.norm(moved - mode), moved
            if shift < self.tol:
                break
        self.mode_ = mode
        self.parameters_ = int(mode.size)

    def _score(self, X: np.ndarray) -> np.ndarray:
        return ((X - self.mode_) ** 2).sum(1)
