"""One-component contrastive kernel PCA: the classical twin of a circuit trained against shuffled background."""

from __future__ import annotations

import numpy as np

from classical.kernel_pca import KernelPCA
from qad.errors import InputError


class ContrastiveKernelPCA(KernelPCA):
    """Score = 1 - ⟨v, φ(x)⟩², v the top eigenvector of ρ - λσ, |v| = 1, in the space of the Gaussian kernel.

    ρ = mean of φ(x_i)φ(x_i)ᵀ over ``n_references`` random background events, σ the same with each feature permuted among
    them independently; ``contrast`` is λ, 0 <= λ < 1, and 0 is :class:`KernelPCA`, whose kernel and bandwidth this has.
    Contrastive PCA: Abid et al., arXiv:1709.06716.
    """

    def __init__(self, bandwidth: float = 2.0, contrast: float = 0.75, n_references: int = 1000, random_state: int = 0) -> None:
        super().__init__(bandwidth, n_references, random_state)
        self.contrast = contrast

    def _fit(self, X: np.ndarray, validation: np.ndarray | None) -> None:
        if not self.bandwidth > 0 or self.n_references < 1:
            raise InputError(f"expected bandwidth > 0 and n_references >= 1, got {self.bandwidth} and {self.n_references}")
        if not 0 <= self.contrast < 1:  # from 1 on the top eigenvector may point away from the background
            raise InputError(f"contrast={self.contrast}: expected 0 or more and less than 1")
        rng = np.random.default_rng(self.random_state)
        real = X[np.sort(rng.permutation(len(X))[: self.n_references])].astype(np.float64)
        self.references_ = np.concatenate([real, rng.permuted(real, axis=0)])
        weights = np.repeat([1.0, -self.contrast], len(real)) / len(real)
        # With Φ the references as columns, K = ΦᵀΦ = RᵀR and W the weights: ΦWΦᵀ and RWRᵀ have the same eigenvalues μ, and
        # an eigenvector b of the latter is v = ΦWRᵀb/μ. No small eigenvalue of K is divided by; μ > 0 as the trace is.
        values, vectors = np.linalg.eigh(self._kernel(self.references_, self.references_))
        used = values > values[-1] * 1e-14
        root = np.sqrt(values[used])[:, None] * vectors[:, used].T
        top, b = np.linalg.eigh((root * weights) @ root.T)
        coefficients = weights * (root.T @ b[:, -1]) / top[-1]
        self.coefficients_ = coefficients * (np.sign(coefficients.sum()) or 1.0)
        self.parameters_ = int(self.references_.size + self.coefficients_.size)
