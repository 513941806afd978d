"""Distance to the nearest background events."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

from qad.detector import Detector
from qad.errors import InputError


class NearestNeighbours(Detector):
    """Score = mean Euclidean distance to the ``k`` nearest background events (Angiulli and Pizzuti 2002).

    Standardise the inputs. ``n_references`` random background events are kept; a training event among them finds itself. No
    more neighbours than references. All distances are computed: beyond ten features trees are no faster.
    """

    kind = "control"

    def __init__(self, k: int = 25, n_references: int = 5000, random_state: int = 0) -> None:
        self.k = k
        self.n_references = n_references
        self.random_state = random_state

    def _fit(self, X: np.ndarray, validation: np.ndarray | None) -> None:
        if self.k < 1 or self.n_references < 1:
            raise InputError(f"expected k and n_references of at least 1, got {self.k} and {self.n_references}")
        chosen = np.random.default_rng(self.random_state).permutation(len(X))[: self.n_references]
        self.references_ = np.ascontiguousarray(X[np.sort(chosen)], dtype=np.float64)
        self.parameters_ = int(self.references_.size)

    def _score(self, X: np.ndarray) -> np.ndarray:
        k = min(self.k, len(self.references_))
        out = np.empty(len(X))
        for i in range(0, len(X), 256):
            distance = cdist(X[i : i + 256], self.references_)
            distance.partition(k - 1, axis=1)
            out[i : i + 256] = np.sort(distance[:, :k], axis=1).mean(1)  # sorted: a sum in one order
        return out
