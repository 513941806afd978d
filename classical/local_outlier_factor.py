"""How much sparser an event's neighbourhood is than those of its neighbours."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

from qad.detector import Detector
from qad.errors import InputError


class LocalOutlierFactor(Detector):
    """Score = mean over the ``k`` nearest background events o of ρ(o) / ρ(x): about 1 where x lies as dense as they do.

    Breunig, Kriegel, Ng and Sander 2000. ρ(x) = 1 / (10⁻¹⁰ + mean_o max(d_k(o), |x - o|)) is the local reachability
    density, in 1/distance, and d_k(o) the distance from o to its own k-th neighbour; 10⁻¹⁰ keeps it finite among more than
    k equal events, and what lies beside them, at any distance, then scores 10¹⁰. The score has no units and is above 0.
    Standardise the inputs.

    k             neighbours; no more than references but one
    n_references  random background events that are kept, drawn by ``random_state``; a training event among them finds itself

    These are the scores of scikit-learn's ``LocalOutlierFactor(novelty=True)``, kept as arrays. Raises :class:`InputError`.
    """

    kind = "control"

    def __init__(self, k: int = 20, n_references: int = 5000, random_state: int = 0) -> None:
        self.k = k
        self.n_references = n_references
        self.random_state = random_state

    def _fit(self, X: np.ndarray, validation: np.ndarray | None) -> None:
        if self.k < 1 or self.n_references < 2:
            raise InputError(f"expected k of at least 1 and n_references of at least 2, got {self.k} and {self.n_references}")
        chosen = np.random.default_rng(self.random_state).permutation(len(X))[: self.n_references]
        self.references_ = np.ascontiguousarray(X[np.sort(chosen)], dtype=np.float64)
        self.parameters_ = int(self.references_.size)
        distance, neighbours = self._neighbours(self.references_, itself=True)
        self.reach_ = distance[:, -1].copy()  # d_k of each reference
        self.density_ = self._density(distance, neighbours)

    def _neighbours(self, X: np.ndarray, *, itself: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Distances ``(n, k)`` to the nearest references, ascending, and which they are; without the event ``itself``."""
        k = min(self.k, len(self.references_) - 1)
        distance, neighbours = np.empty((len(X), k)), np.empty((len(X), k), dtype=np.int64)
        for i in range(0, len(X), 256):
            part = cdist(X[i : i + 256], self.references_)
            if itself:
                part[np.arange(len(part)), np.arange(i, i + len(part))] = np.inf
            near = np.argpartition(part, k - 1, axis=1)[:, :k]
            order = np.argsort(np.take_along_axis(part, near, 1), axis=1, kind="stable")  # a sum in one order
            neighbours[i : i + 256] = np.take_along_axis(near, order, 1)
            distance[i : i + 256] = np.take_along_axis(part, neighbours[i : i + 256], 1)
        return distance, neighbours

    def _density(self, distance: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
        return 1 / (np.maximum(distance, self.reach_[neighbours]).mean(1) + 1e-10)

    def _score(self, X: np.ndarray) -> np.ndarray:
        distance, neighbours = self._neighbours(X)
        return self.density_[neighbours].mean(1) / self._density(distance, neighbours)
