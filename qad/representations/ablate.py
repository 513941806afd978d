"""Constituents with one column put out of action."""

from __future__ import annotations

from typing import Any

import numpy as np

from qad.errors import InputError, did_you_mean
from qad.representations.base import Representation

COLUMNS = ("pt", "eta", "phi")


class Ablate(Representation):
    """Constituents ``(n, k, 3)`` whose column ``without`` says nothing, so that the same detector shows what it is worth.

    ``pt``: z = 1 for each particle there is; ``eta``, ``phi``: Δη or Δφ = 0 [rad]; None: nothing is left out. Absent particles
    stay zero, and the shape stays the same. The ablation of arXiv:2502.17301. Raises :class:`InputError`.
    """

    gives = "particles"

    def __init__(self, without: str | None = None) -> None:
        self.without = without

    def _transform(self, X: Any) -> np.ndarray:
        if self.without is not None and self.without not in COLUMNS:
            raise InputError(did_you_mean(str(self.without), COLUMNS, "column"))
        X = np.asarray(X, dtype=np.float64)
        if X.ndim != 3 or X.shape[-1] != 3:
            raise InputError(f"Ablate takes constituents of shape (n, particles, 3), as 'constituents' gives them; "
                             f"got shape {X.shape}")
        if self.without is None:
            return X
        out = X.copy()
        out[..., COLUMNS.index(self.without)] = X[..., 0] > 0 if self.without == "pt" else 0
        return out
