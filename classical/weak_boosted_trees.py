"""Gradient-boosted trees that tell data from a reference without signal: CWoLa and idealised anomaly detection."""

from __future__ import annotations

from classical.boosted_trees import BoostedTrees


class WeakBoostedTrees(BoostedTrees):
    """Score = mean log-odds of "data" against "reference" over ``n_members`` classifiers, each of boosted trees.

    Weakly supervised: ``fit(X, y)`` is told y = 1 for data, which may hold signal, and y = 0 for a reference, which should hold
    less. No event's own label is known. What is handed over as y decides which method it is:

    - CWoLa hunting (arXiv:1708.02949, 1805.02664): data of a signal region in the mass against its sidebands;
    - idealised anomaly detection (arXiv:2109.00546): data of the signal region against background that is perfectly simulated
      in it, the best that any method can do which has to estimate that background;
    - with events sampled from a model of the background in their place: CATHODE and its kin.

    Why it works: with S and B the densities of signal and background, f the share of signal in the data and none in the
    reference, the likelihood ratio is ((1 - f) B + f S)/B = 1 - f + f S/B. It grows with S/B, so the best classifier of the
    mixtures is the best of signal and background, for every f > 0. It holds only if background looks the same in both: features
    that follow the mass must be left out, or the score finds the mass.

    What it does not say: without any signal the classifier still learns the fluctuations of two finite samples, some direction
    of which signal happens to lie in; an AUC well above one half is common then. So AUC is no evidence for this kind. Quote the
    significance improvement ε_s/√ε_b where background is left to count, for several amounts of injected signal, and beside
    them the run with none. Signal is rare: single classifiers differ much between seeds, hence the mean over members, each of
    which learns from one half of the events, drawn by its own seed, and stops by the other.

    Settings and their meaning as in :class:`classical.boosted_trees.BoostedTrees`; the data are never used for scores of a
    search in which they were trained on: train on one half of the data, score the other.
    """

    kind = "weak"

    def __init__(self, n_trees: int = 300, learning_rate: float = 0.1, max_leaf_nodes: int = 31, l2_regularization: float = 0.0,
                 validation_fraction: float = 0.5, patience: int = 10, balanced: bool = True, n_members: int = 20,
                 random_state: int = 0) -> None:
        super().__init__(n_trees, learning_rate, max_leaf_nodes, l2_regularization, validation_fraction, patience, balanced,
                         n_members, random_state)
