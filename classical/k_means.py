"""Distance to the nearest of a few centres."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist
from sklearn import cluster

from qad.detector import Detector
from qad.errors import InputError


class KMeans(Detector):
    """Score = min_c |x - μ_c|², μ_c the centres of ``n_clusters`` clusters of background (Lloyd 1982).

    n_clusters    number of centres
    n_init        random starts; the one with the least mean distance² is kept
    n_references  training events, drawn by ``random_state``, that are clustered

    The classical counterpart of ``quantum-kmeans``. After ``fit``: ``centres_``.
    """

    def __init__(self, n_clusters: int = 2, n_references: int = 600, n_init: int = 10, random_state: int = 0) -> None:
        self.n_clusters = n_clusters
        self.n_references = n_references
        self.n_init = n_init
        self.random_state = random_state

    def _fit(self, X: np.ndarray, validation: np.ndarray | None) -> None:
        if self.n_clusters < 1 or self.n_init < 1:
            raise InputError(f"n_clusters={self.n_clusters}, n_init={self.n_init}: expected 1 or more of each")
        if self.n_references < 2:
            raise InputError(f"n_references={self.n_references}: expected 2 or more training events to cluster")
        chosen = np.random.default_rng(self.random_state).permutation(len(X))[: self.n_references]
        events = X[np.sort(chosen)].astype(np.float64)
        distinct = len(np.unique(events, axis=0))
        found = cluster.KMeans(min(self.n_clusters, distinct), n_init=self.n_init, random_state=self.random_state).fit(events)
        # the means again: threads may have added in any order
        self.centres_ = np.array([events[found.labels_ == c].mean(0) for c in np.unique(found.labels_)])
        self.parameters_ = int(self.centres_.size)

    def _score(self, X: np.ndarray) -> np.ndarray:
        return cdist(X, self.centres_, "sqeuclidean").min(1)
