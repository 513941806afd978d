"""Principal components: the directions in which background varies most."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.decomposition import PCA

from qad.errors import InputError
from qad.representations.base import Representation
from qad.representations.scaling import _table


class PrincipalComponents(Representation):
    """``(n, f) → (n, n_components)``: ``z = V (x - mean) / s``, V the first principal directions of background.

    s is each component's standard deviation with ``whiten``, else one. What lies outside of the components is forgotten: a
    detector after them sees no pixel that background never lights, and densities need far fewer dimensions than pixels.
    By scikit-learn's PCA, whose randomised solver is seeded. Images: put ``flatten`` in front.

    Raises :class:`InputError` for more components than events or columns.
    """

    def __init__(self, n_components: int = 16, whiten: bool = True) -> None:
        self.n_components = n_components
        self.whiten = whiten

    def _fit(self, X: Any) -> None:
        X = self._check(X)
        k = self.n_components
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 1 <= k <= min(X.shape):
            raise InputError(f"n_components={k!r}: expected a whole number from 1 to {min(X.shape)}, the smaller of "
                             f"{X.shape[0]} events and {X.shape[1]} columns")
        found = PCA(k, random_state=0).fit(X)
        self.mean_, self.directions_ = found.mean_, found.components_
        scale = np.sqrt(found.explained_variance_)
        self.scale_ = np.where(scale > 1e-12, scale, 1.0) if self.whiten else np.ones(k)

    def _transform(self, X: Any) -> np.ndarray:
        X = self._check(X)
        if X.shape[1] != len(self.mean_):
            raise InputError(f"PrincipalComponents was fitted on {len(self.mean_)} columns; got {X.shape[1]}")
        return (X - self.mean_) @ self.directions_.T / self.scale_

    def _check(self, X: Any) -> np.ndarray:
        X = _table(X, self)
        if X.ndim != 2:
            raise InputError(f"PrincipalComponents takes a table (n, features); got shape {X.shape}: put 'flatten' in front")
        return X
