"""The density of the background, estimated with a Gaussian kernel."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

from qad.detector import Detector
from qad.errors import InputError


class KernelDensity(Detector):
    """Score = -log p(x), p(x) = (1/N) Σ_i (2π h²)^(-f/2) exp(-|x - x_i|²/(2 h²)) (Rosenblatt 1956, Parzen 1962).

    ``bandwidth`` h is that of one feature, in units of the inputs: standardise them. Unlike in :class:`KernelPCA` it is not
    multiplied by √f. ``n_references`` random background events x_i are kept; a training event among them finds itself.
    """

    kind = "control"

    def __init__(self, bandwidth: float = 1.0, n_references: int = 5000, random_state: int = 0) -> None:
        self.bandwidth = bandwidth
        self.n_references = n_references
        self.random_state = random_state

    def _fit(self, X: np.ndarray, validation: np.ndarray | None) -> None:
        if not self.bandwidth > 0 or self.n_references < 1:
            raise InputError(f"expected bandwidth > 0 and n_references >= 1, got {self.bandwidth} and {self.n_references}")
        chosen = np.random.default_rng(self.random_state).permutation(len(X))[: self.n_references]
        self.references_ = np.ascontiguousarray(X[np.sort(chosen)], dtype=np.float64)
        self.parameters_ = int(self.references_.size)

    def _score(self, X: np.ndarray) -> np.ndarray:
        n, f = self.references_.shape
        norm = np.log(n) + f * np.log(self.bandwidth) + f / 2 * np.log(2 * np.pi)
        out = np.empty(len(X))
        for i in range(0, len(X), 256):
            power = cdist(X[i : i + 256], self.references_, "sqeuclidean")
            power /= -2 * self.bandwidth**2
            largest = power.max(1)  # log Σ exp, written in place: scipy's logsumexp takes four times as long
            power -= largest[:, None]
            out[i : i + 256] = norm - largest - np.log(np.exp(power, out=power).sum(1))
        return out
