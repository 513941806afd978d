"""One-component kernel PCA: the classical twin of a quantum autoencoder with no latent qubit."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

from qad.detector import Detector


class KernelPCA(Detector):
    """Score = 1 - ⟨v, φ(x)⟩², v the top eigenvector of the uncentred Gaussian kernel matrix of background events.

    k(x, y) = exp(-|x - y|²/(2 h² f)), f the number of features, so that ``bandwidth`` h = 1 suits standardised inputs
    of any dimension (Schölkopf et al. 1998). ``n_references`` random background events span v (Nyström).
    """

    kind = "control"

    def __init__(self, bandwidth: float = 1.0, n_references: int = 1000, random_state: int = 0) -> None:
        self.bandwidth = bandwidth
        self.n_references = n_references
        self.random_state = random_state

    def _kernel(self, A: np.ndarray, B: np.ndarray) -> np.ndarray:
        return np.exp(-cdist(A, B, "sqeuclidean") / (2 * self.bandwidth**2 * A.shape[1]))

    def _fit(self, X: np.ndarray, validation: np.ndarray | None) -> None:
        chosen = np.random.default_rng(self.random_state).permutation(len(X))[: self.n_references]
        self.references_ = np.ascontiguousarray(X[np.sort(chosen)], dtype=np.float64)
        values, vectors = np.linalg.eigh(self._kernel(self.references_, self.references_))
        # v = Σ a_i φ(x_i) with unit norm: a = u/√λ
        self.coefficients_ = vectors[:, -1] * np.sign(vectors[:, -1].sum()) / np.sqrt(values[-1])
        self.parameters_ = int(self.references_.size + self.coefficients_.size)

    def _score(self, X: np.ndarray) -> np.ndarray:
        parts = [self._kernel(X[i : i + 4096], self.references_) @ self.coefficients_ for i in range(0, len(X), 4096)]
        return 1 - np.concatenate(parts) ** 2
