"""The one-class support vector machine."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist
from sklearn import svm

from qad.detector import Detector
from qad.errors import InputError


class OneClassSVM(Detector):
    """Score = ρ - Σ_i α_i k(x_i, x), k(x, y) = exp(-γ|x - y|²) (Schölkopf et al. 2001).

    nu            share of background outside, and lower bound on the share of support vectors
    gamma         γ, or ``scale``: 1/(f · variance of all numbers), f the number of features
    n_references  training events, drawn by ``random_state``, among which the support vectors are found

    The classical counterpart of ``quantum-one-class-svm``. After ``fit``: ``support_vectors_``, ``dual_coef_`` (α), ``rho_``.
    """

    def __init__(self, nu: float = 0.01, gamma: float | str = "scale", n_references: int = 600, random_state: int = 0) -> None:
        self.nu = nu
        self.gamma = gamma
        self.n_references = n_references
        self.random_state = random_state

    def _kernel(self, A: np.ndarray, B: np.ndarray) -> np.ndarray:
        return np.exp(-self.gamma_ * cdist(A, B, "sqeuclidean"))

    def _fit(self, X: np.ndarray, validation: np.ndarray | None) -> None:
        if not 0 < self.nu <= 1:
            raise InputError(f"nu={self.nu}: expected a share of the training events, above 0 and at most 1")
        if self.n_references < 2:
            raise InputError(f"n_references={self.n_references}: expected 2 or more training events to compare with")
        if self.gamma != "scale" if isinstance(self.gamma, str) else self.gamma <= 0:
            raise InputError(f"gamma={self.gamma!r}: expected 'scale' or a number above 0")
        chosen = np.random.default_rng(self.random_state).permutation(len(X))[: self.n_references]
        events = X[np.sort(chosen)].astype(np.float64)
        self.gamma_ = 1 / (X.shape[1] * (events.var() or 1.0)) if isinstance(self.gamma, str) else float(self.gamma)
        machine = svm.OneClassSVM(kernel="precomputed", nu=self.nu).fit(self._kernel(events, events))
        self.support_vectors_ = events[machine.support_]
        self.dual_coef_ = machine.dual_coef_[0].copy()
        self.rho_ = float(-machine.intercept_[0])
        self.parameters_ = int(self.support_vectors_.size + self.dual_coef_.size + 1)

    def _score(self, X: np.ndarray) -> np.ndarray:
        parts = [self._kernel(X[i : i + 4096], self.support_vectors_) @ self.dual_coef_ for i in range(0, len(X), 4096)]
        return self.rho_ - np.concatenate(parts)
