"""Scalings between a representation and a detector; their state is learned from background training events."""

from __future__ import annotations

import numpy as np

from qad.errors import InputError
from qad.representations.base import Representation


def _table(X: object, who: Representation) -> np.ndarray:
    X = np.asarray(X, dtype=np.float64)
    if X.ndim < 2 or not np.isfinite(X).all():
        raise InputError(f"{type(who).__name__} takes finite numbers of shape (n, features); got shape {X.shape}"
                         f"{'' if np.isfinite(X).all() else ' with NaN or infinity'}")
    return X


class Flatten(Representation):
    """``(n, a, b, …) → (n, a·b·…)``, so that a tabular detector takes particles or images."""

    def _transform(self, X: object) -> np.ndarray:
        X = np.asarray(X)
        return X.reshape(len(X), -1)


class Power(Representation):
    """``sign(x) |x|^exponent``: a root shortens the tail of energy-weighted observables and, unlike a log, leaves a peak a peak.

    Raises :class:`InputError` for an exponent that is not above 0.
    """

    def __init__(self, exponent: float = 0.5) -> None:
        self.exponent = exponent

    def _transform(self, X: object) -> np.ndarray:
        if not self.exponent > 0:
            raise InputError(f"exponent={self.exponent}: expected a number above 0, 0.5 for the square root")
        X = _table(X, self)
        return np.sign(X) * np.abs(X) ** self.exponent


class Standardise(Representation):
    """``(x - mean)/s.d.`` of the background, column by column; constant columns become zero."""

    def _fit(self, X: object) -> None:
        X = _table(X, self)
        self.mean_ = X.mean(0)
        std = X.std(0)
        self.scale_ = np.where(std > 1e-12, std, 1.0)

    def _transform(self, X: object) -> np.ndarray:
        return (_table(X, self) - self.mean_) / self.scale_


class Angles(Representation):
    """Scale the central ``coverage`` of the background linearly onto [0, π] rad and clip what lies outside.

    For angle encodings: ``π (x - low)/(high - low)``, low and high being background quantiles.
    """

    def __init__(self, coverage: float = 0.998) -> None:
        self.coverage = coverage

    def _fit(self, X: object) -> None:
        X = _table(X, self)
        tail = (1 - self.coverage) / 2
        self.low_, high = np.quantile(X, [tail, 1 - tail], axis=0)
        self.width_ = np.where(high - self.low_ > 1e-12, high - self.low_, 1.0)

    def _transform(self, X: object) -> np.ndarray:
        return np.pi * np.clip((_table(X, self) - self.low_) / self.width_, 0.0, 1.0)
