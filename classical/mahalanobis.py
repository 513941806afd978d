"""Distance to the background mean in units of its covariance."""

from __future__ import annotations

import numpy as np

from qad.detector import Detector


class Mahalanobis(Detector):
    """Score = (x - μ)ᵀ Σ⁺ (x - μ), μ and Σ the background mean and covariance, Σ⁺ the pseudo-inverse (Mahalanobis 1936)."""

    kind = "control"

    def _fit(self, X: np.ndarray, validation: np.ndarray | None) -> None:
        X = X.astype(np.float64)
        self.mean_ = X.mean(0)
        values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(X.T)))
        used = values > values[-1] * 1e-10
        self.whitening_ = vectors[:, used] / np.sqrt(values[used]) if values[-1] > 0 else vectors
        self.parameters_ = int(self.mean_.size + self.whitening_.size)

    def _score(self, X: np.ndarray) -> np.ndarray:
        return (((X - self.mean_) @ self.whitening_) ** 2).sum(1)
