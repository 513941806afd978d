"""The density of the background as a sum of Gaussians."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.special import logsumexp
from sklearn import mixture
from sklearn.exceptions import ConvergenceWarning

from qad.detector import Detector
from qad.errors import InputError


class GaussianMixture(Detector):
    """Score = -log Σ_k w_k N(x; μ_k, Σ_k), fitted by expectation maximisation (Dempster, Laird and Rubin 1977).

    Full covariances, each with 10⁻⁶ of the mean variance of the features added to its diagonal. No more components than
    training events.
    """

    kind = "control"

    def __init__(self, n_components: int = 8, max_iter: int = 200, random_state: int = 0) -> None:
        self.n_components = n_components
        self.max_iter = max_iter
        self.random_state = random_state

    def _fit(self, X: np.ndarray, validation: np.ndarray | None) -> None:
        if self.n_components < 1 or self.max_iter < 1:
            raise InputError(f"expected n_components and max_iter of at least 1, got {self.n_components} and {self.max_iter}")
        X = X.astype(np.float64)
        fitted = mixture.GaussianMixture(min(self.n_components, len(X)), max_iter=self.max_iter,
                                         reg_covar=1e-6 * (X.var(0).mean() or 1.0), random_state=self.random_state)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # stands in diagnostics_
            fitted.fit(X)
        self.weights_, self.means_ = fitted.weights_, fitted.means_
        self.whitening_ = fitted.precisions_cholesky_  # (k, f, f), Σ_k⁻¹ = W_k W_kᵀ
        self.n_iter_ = int(fitted.n_iter_)
        self.parameters_ = int(fitted._n_parameters())
        self.diagnostics_ = {"converged": bool(fitted.converged_), "n_iter": self.n_iter_}

    def _score(self, X: np.ndarray) -> np.ndarray:
        log = np.empty((len(X), len(self.weights_)))
        for k, (weight, mean, whitening) in enumerate(zip(self.weights_, self.means_, self.whitening_, strict=True)):
            distance = (((X - mean) @ whitening) ** 2).sum(1)
            volume = np.log(np.diagonal(whitening)).sum() + np.log(weight) - X.shape[1] / 2 * np.log(2 * np.pi)
            log[:, k] = volume - distance / 2
        return -logsumexp(log, axis=1)
