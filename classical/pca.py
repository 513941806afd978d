"""The linear autoencoder."""

from __future__ import annotations

import numpy as np

from qad.detector import Detector
from qad.errors import InputError


class PCA(Detector):
    """Score = mean squared error of the reconstruction from the ``n_components`` leading principal components.

    ``(1/f) |x - μ - VVᵀ(x - μ)|²`` (Pearson 1901), in squared units of the inputs: standardise them. At most f - 1
    components are kept, so that something is lost.
    """

    kind = "control"

    def __init__(self, n_components: int = 6) -> None:
        self.n_components = n_components

    def _fit(self, X: np.ndarray, validation: np.ndarray | None) -> None:
        if self.n_components < 0:
            raise InputError(f"n_components={self.n_components}: expected 0 or more")
        X = X.astype(np.float64)
        self.mean_ = X.mean(0)
        keep = max(min(self.n_components, X.shape[1] - 1), 0)
        covariance = np.atleast_2d(np.cov(X.T))
        self.components_ = np.ascontiguousarray(np.linalg.eigh(covariance)[1][:, ::-1][:, :keep].T)
        self.parameters_ = int(self.mean_.size + self.components_.size)

    def _score(self, X: np.ndarray) -> np.ndarray:
        centred = X - self.mean_
        residual = centred - centred @ self.components_.T @ self.components_
        return (residual**2).mean(1)
