"""Gradient-boosted trees that are told the signal: the reference from above."""

from __future__ import annotations

import numpy as np
from numba import njit
from sklearn.ensemble import HistGradientBoostingClassifier

from qad import settings
from qad.detector import Detector

#: Events that go down a tree together: they and the tree fit into a processor's cache.
BLOCK = 2048


class BoostedTrees(Detector):
    """Score = log-odds of signal, ln p(1|x)/p(0|x) = b + Σ_t v_t(x), v_t the leaf of tree t that x falls into.

    Supervised: ``fit(X, y)`` is told y = 1 for signal. No search knows that; it marks what could be reached at best. Trees on
    binned features are grown by scikit-learn on the logistic loss, each on the gradient that those before it left. They are
    kept as arrays, all nodes in a row, leaves pointing to themselves, so a saved model holds numbers only. Features need no
    scaling. Where signal and background weigh the same (``balanced``), the log-odds estimate the log of the likelihood ratio.

    n_trees              at most; fewer if the loss on the events held back stops improving
    learning_rate        factor on the leaves of each tree
    max_leaf_nodes       of one tree
    l2_regularization    added to the Hessian in each leaf
    validation_fraction  of each class, held back by ``random_state`` for early stopping; 0, or a class too small to hold
                         one event back: all trees are grown
    patience             trees without a better loss on the events held back until it stops
    balanced             both classes weigh the same in all, whatever their numbers
    n_members            classifiers that hold back different events; their log-odds are averaged, which makes one larger sum
                         of trees
    random_state         seed of all members

    ``diagnostics_["trees"]``: trees of each member. Raises :class:`InputError` for a setting out of range, and without y.
    """

    kind = "supervised"

    def __init__(self, n_trees: int = 300, learning_rate: float = 0.1, max_leaf_nodes: int = 31, l2_regularization: float = 0.0,
                 validation_fraction: float = 0.2, patience: int = 10, balanced: bool = True, n_members: int = 1,
                 random_state: int = 0) -> None:
        self.n_trees = n_trees
        self.learning_rate = learning_rate
        self.max_leaf_nodes = max_leaf_nodes
        self.l2_regularization = l2_regularization
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.balanced = balanced
        self.n_members = n_members
        self.random_state = random_state

    def _check_settings(self) -> None:
        for name, least in {"n_trees": 1, "max_leaf_nodes": 2, "patience": 1, "n_members": 1, "random_state": 0}.items():
            settings.whole(name, getattr(self, name), least)
        settings.number("learning_rate", self.learning_rate, above=True)
        settings.number("l2_regularization", self.l2_regularization)
        settings.share("validation_fraction", self.validation_fraction)
        settings.flag("balanced", self.balanced)

    def _fit_labelled(self, X: np.ndarray, y: np.ndarray) -> None:
        self._check_settings()
        rarer = np.bincount(y).min()
        stops = self.validation_fraction * rarer >= 1 and (1 - self.validation_fraction) * rarer >= 1
        # seeds of members overlap for no two random_state
        seeds = np.random.SeedSequence(self.random_state).generate_state(self.n_members)
        grown = []
        for done, seed in enumerate(seeds):
            grown.append(HistGradientBoostingClassifier(
                max_iter=self.n_trees, learning_rate=self.learning_rate, max_leaf_nodes=self.max_leaf_nodes,
                l2_regularization=self.l2_regularization, early_stopping=stops, n_iter_no_change=self.patience,
                validation_fraction=self.validation_fraction if stops else None, categorical_features=None,
                class_weight="balanced" if self.balanced else None, random_state=int(seed)).fit(X, y))
            if self.progress is not None:
                self.progress(done + 1, self.n_members)
        self._keep(grown)

    def _keep(self, grown: list[HistGradientBoostingClassifier]) -> None:
        """The members' trees as arrays. scikit-learn has no public way to its nodes; the tests compare the scores."""
        trees = [tree.nodes for member in grown for (tree,) in member._predictors]
        sizes = np.array([len(t) for t in trees])
        nodes, start = np.concatenate(trees), np.cumsum(sizes) - sizes
        leaf, itself = nodes["is_leaf"].astype(bool), np.arange(len(nodes))
        offset = np.repeat(start, sizes)
        self.roots_ = start.astype(np.int32)
        self.left_ = np.where(leaf, itself, nodes["left"] + offset).astype(np.int32)
        self.right_ = np.where(leaf, itself, nodes["right"] + offset).astype(np.int32)
        self.feature_ = np.where(leaf, 0, nodes["feature_idx"]).astype(np.int32)
        self.threshold_ = np.where(leaf, 0.0, nodes["num_threshold"])
        self.value_ = np.where(leaf, nodes["value"], 0.0) / len(grown)
        self.baseline_ = float(np.mean([member._baseline_prediction for member in grown]))
        self.parameters_ = int(2 * (~leaf).sum() + leaf.sum() + 1)  # a feature and a threshold per cut, a value per leaf
        self.diagnostics_ = {"trees": [member.n_iter_ for member in grown]}

    def _score(self, X: np.ndarray) -> np.ndarray:
        return _sum_of_leaves(np.ascontiguousarray(X, dtype=np.float64), self.baseline_, self.roots_, self.left_, self.right_,
                              self.feature_, self.threshold_, self.value_, BLOCK)


@njit(cache=True, nogil=True)
def _sum_of_leaves(X: np.ndarray, baseline: float, roots: np.ndarray, left: np.ndarray, right: np.ndarray, feature: np.ndarray,
                   threshold: np.ndarray, value: np.ndarray, block: int) -> np.ndarray:
    out = np.full(len(X), baseline)
    for begin in range(0, len(X), block):
        for root in roots:
            for i in range(begin, min(begin + block, len(X))):
                node = root
                while left[node] != node:
                    node = left[node] if X[i, feature[node]] <= threshold[node] else right[node]
                out[i] += value[node]
    return out
