"""Logistic regression that is told the signal: the linear classifier test of a representation."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.linalg import LinAlgWarning
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from qad import settings
from qad.detector import Detector
from qad.errors import NotConvergedWarning, beyond

#: What C is chosen from: from one weight that is nearly 0 to weights that are nearly free.
STRENGTHS = (1e-4, 1e-2, 1.0, 1e2, 1e4)
#: Directions with less than this share of the variance of the first one are rounding; they move no score by more than C n times
#: their variance.
LEAST_VARIANCE = 1e-14
#: Directions up to which Newton's steps with the whole Hessian are taken; beyond, L-BFGS.
MOST_FOR_NEWTON = 2500


class LinearClassifier(Detector):
    """Score = log-odds of signal, ln p(1|x)/p(0|x) = b + Σ_i w_i (x_i - μ_i)/σ_i.

    Supervised: ``fit(X, y)`` is told y = 1 for signal. How well a linear boundary does says how much of the physics a
    representation has made plain (the linear classifier test of arXiv:2108.04253). μ and σ are those of all training events,
    constant columns count nothing. The loss C Σ_x c_x ln(1 + e^{∓score}) + |w|²/2 is convex: no start, no learning rate, no
    epochs. It does not change if the axes turn, so it is minimised, by scikit-learn's Newton method (L-BFGS beyond 2,500), on
    the principal directions of the training events: a thousand collinear columns are a few hundred of these.

    C                    how little weights are bound; None: of 10⁻⁴, 10⁻², 1, 10², 10⁴ the one with the least log loss on
                         training events held back, after which all of them are fitted
    validation_fraction  of the training events, of each class, held back for that, by ``random_state``; with classes too small
                         to hold one event of each back, C is 1
    balanced             both classes weigh the same in all, whatever their numbers
    max_iter             most iterations

    After ``fit``: ``diagnostics_`` with ``C``, ``iterations``, ``converged`` and the log loss held back for each C tried. A
    :class:`qad.errors.NotConvergedWarning` says so if the minimum was not reached. Raises :class:`InputError` for a setting out
    of range, and without y.
    """

    kind = "supervised"

    def __init__(self, C: float | None = None, validation_fraction: float = 0.2, balanced: bool = True, max_iter: int = 500,
                 random_state: int = 0) -> None:
        self.C = C
        self.validation_fraction = validation_fraction
        self.balanced = balanced
        self.max_iter = max_iter
        self.random_state = random_state

    def _check_settings(self) -> None:
        if self.C is not None:
            settings.number("C", self.C, above=True)
        settings.share("validation_fraction", self.validation_fraction)
        settings.flag("balanced", self.balanced)
        settings.whole("max_iter", self.max_iter, 1)
        settings.whole("random_state", self.random_state, 0)

    def _fit_labelled(self, X: np.ndarray, y: np.ndarray) -> None:
        self._check_settings()
        X = X.astype(np.float64)
        self.mean_, scale = X.mean(0), X.std(0)
        self.scale_ = np.where(scale > 1e-12 * np.abs(self.mean_), scale, np.inf)
        Z = self._standardised(X)
        axes = _principal(Z)
        Z = Z @ axes
        C, tried, start = 1.0 if self.C is None else float(self.C), {}, None
        rarer = np.bincount(y).min()
        if self.C is None and self.validation_fraction * rarer >= 1 and (1 - self.validation_fraction) * rarer >= 1:
            tried, start = self._try(Z, y)
            C = min(tried, key=tried.get)
        model, converged = self._minimum(Z, y, C, start)
        self.coef_, self.intercept_ = axes @ model.coef_[0], float(model.intercept_[0])
        self.parameters_ = len(self.coef_) + 1
        self.n_iter_ = max(1, int(model.n_iter_[0]))
        self.diagnostics_ = {"C": C, "iterations": self.n_iter_, "converged": converged,
                             "held_back": {f"{k:g}": v for k, v in tried.items()}}
        if not converged:
            problem = f"{self.n_iter_} iterations with C={C:g} did not reach the minimum: take a smaller C or a larger max_iter"
            self.diagnostics_["problems"] = [problem]
            warnings.warn(f"the linear classifier has not converged: {problem}", NotConvergedWarning, stacklevel=beyond())

    def _standardised(self, X: np.ndarray) -> np.ndarray:
        return (X - self.mean_) / self.scale_

    def _minimum(self, Z: np.ndarray, y: np.ndarray, C: float, start: LogisticRegression | None = None,
                 ) -> tuple[LogisticRegression, bool]:
        """The classifier at the minimum, and whether it got there: no slope of the mean loss above 1e-4."""
        model = start or LogisticRegression(solver="newton-cholesky" if Z.shape[1] <= MOST_FOR_NEWTON else "lbfgs", tol=1e-6,
                                            class_weight="balanced" if self.balanced else None, max_iter=self.max_iter,
                                            warm_start=True)
        model.C = C
        with warnings.catch_warnings():  # what they say is measured below
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.simplefilter("ignore", LinAlgWarning)
            model.fit(Z, y)
        pull = self._weights(y) * (expit(Z @ model.coef_[0] + model.intercept_) - y)
        slopes = np.r_[Z.T @ pull + model.coef_[0] / C, pull.sum()] / len(y)
        return model, bool(np.abs(slopes).max() < 1e-4)

    def _weights(self, y: np.ndarray) -> np.ndarray:
        return (len(y) / (2 * np.bincount(y)))[y] if self.balanced else np.ones(len(y))

    def _try(self, Z: np.ndarray, y: np.ndarray) -> tuple[dict[float, float], LogisticRegression]:
        """Mean log loss of the events held back for each C, from the smallest until it rises; and the last classifier."""
        kept, held = train_test_split(np.arange(len(y)), test_size=self.validation_fraction, stratify=y,
                                      random_state=self.random_state)
        tried: dict[float, float] = {}
        model = None
        for C in STRENGTHS:
            model, _ = self._minimum(Z[kept], y[kept], C, model)
            odds = Z[held] @ model.coef_[0] + model.intercept_
            tried[C] = float(np.average(np.logaddexp(0, np.where(y[held] == 1, -odds, odds)), weights=self._weights(y)[held]))
            if tried[C] > min(tried.values()):
                break
        return tried, model

    def _score(self, X: np.ndarray) -> np.ndarray:
        return self._standardised(X.astype(np.float64)) @ self.coef_ + self.intercept_


def _principal(Z: np.ndarray) -> np.ndarray:
    """The directions of ``Z`` ``(n, f)`` as columns ``(f, directions)``, those without variance left out, at least one."""
    wide = Z.shape[1] > Z.shape[0]
    values, vectors = np.linalg.eigh(Z @ Z.T if wide else Z.T @ Z)
    used = values > max(LEAST_VARIANCE * values[-1], 0)
    if not used.any():
        return np.eye(Z.shape[1], 1)
    axes = vectors[:, used]
    return (Z.T @ axes) / np.sqrt(values[used]) if wide else axes
