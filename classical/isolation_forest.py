"""How few random cuts isolate an event."""

from __future__ import annotations

import numpy as np
from sklearn import ensemble

from qad.detector import Detector
from qad.errors import InputError


class IsolationForest(Detector):
    """Score = 2^(-E[h(x)]/c(ψ)), h the cuts that isolate x in a random tree grown on ψ background events.

    Liu, Ting and Zhou 2008: E over ``n_estimators`` trees, ψ = ``max_samples`` (or all events if there are fewer),
    c(n) = 2 (H(n-1) - (n-1)/n) the mean depth of n events, added to h where a leaf still holds n. In (0, 1).
    scikit-learn grows the trees; they are kept as arrays, all nodes in a row, leaves pointing to themselves.
    """

    kind = "control"

    def __init__(self, n_estimators: int = 100, max_samples: int = 256, random_state: int = 0) -> None:
        self.n_estimators = n_estimators
        self.max_samples = max_samples
        self.random_state = random_state

    def _fit(self, X: np.ndarray, validation: np.ndarray | None) -> None:
        if self.n_estimators < 1 or self.max_samples < 2:
            raise InputError("expected n_estimators >= 1 and max_samples >= 2, got "
                             f"{self.n_estimators} and {self.max_samples}")
        grown = min(self.max_samples, len(X))
        forest = ensemble.IsolationForest(n_estimators=self.n_estimators, max_samples=grown,
                                          random_state=self.random_state).fit(X)
        trees = [e.tree_ for e in forest.estimators_]
        start = np.cumsum([0, *(t.node_count for t in trees)])
        self.roots_ = start[:-1].astype(np.int32)
        leaf = np.concatenate([t.children_left for t in trees]) < 0
        itself = np.arange(start[-1])

        def nodes(children: str) -> np.ndarray:
            found = np.concatenate([getattr(t, children) + s for t, s in zip(trees, start, strict=False)])
            return np.where(leaf, itself, found).astype(np.int32)

        self.left_, self.right_ = nodes("children_left"), nodes("children_right")
        self.feature_ = np.where(leaf, 0, np.concatenate([t.feature for t in trees])).astype(np.int32)
        self.threshold_ = np.concatenate([t.threshold for t in trees])
        depth = np.zeros(start[-1])
        for node in itself[~leaf]:  # parents stand before their children
            depth[[self.left_[node], self.right_[node]]] = depth[node] + 1
        self.depth_ = int(depth.max())
        held = np.concatenate([t.n_node_samples for t in trees])
        self.path_ = np.where(leaf, depth + _mean_depth(held), 0) / float(_mean_depth(np.array([grown]))[0])
        self.parameters_ = int(2 * (~leaf).sum())  # a feature and a threshold per cut

    def _score(self, X: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            X = X.astype(np.float32)  # as the trees were grown
        out = np.empty(len(X))
        for i in range(0, len(X), 4096):
            part = X[i : i + 4096]
            node = np.repeat(self.roots_[None], len(part), axis=0)
            for _ in range(self.depth_):
                value = np.take_along_axis(part, self.feature_[node], axis=1)
                node = np.where(value <= self.threshold_[node], self.left_[node], self.right_[node])
            out[i : i + 4096] = self.path_[node].mean(1)
        return 2.0**-out


def _mean_depth(n: np.ndarray) -> np.ndarray:
    """c(n): 0, 1, then 2 (ln(n-1) + γ - (n-1)/n)."""
    many = np.maximum(n, 3)
    mean = 2 * (np.log(many - 1.0) + np.euler_gamma - (many - 1.0) / many)
    return np.where(n > 2, mean, np.maximum(n - 1.0, 0))
