"""Scalings between a representation and a detector; their state is learned from background training events."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qad.data.sample import Sample
from qad.errors import InputError
from qad.representations.base import Representation


def _table(X: object, who: Representation) -> np.ndarray:
    if isinstance(X, Sample):
        raise InputError(f"{type(who).__name__} takes a table (n, features); got a Sample: put a representation of events in "
                         "front, such as 'substructure'")
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
    """``sign(x) |x|^exponent``: a root shortens the tail of energy-weighted observables; a log would flatten the peak.

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
    """``(x - mean)/s.d.`` of the background, column by column; constant columns become zero.

    >>> Standardise().fit([[0.0, 5.0], [2.0, 5.0]]).transform([[3.0, 5.0]])
    array([[2., 0.]])
    """

    def _fit(self, X: object) -> None:
        X = _table(X, self)
        self.mean_ = X.mean(0)
        std = X.std(0)
        self.scale_ = np.where(std > 1e-12, std, 1.0)

    def _transform(self, X: object) -> np.ndarray:
        return (_table(X, self) - self.mean_) / self.scale_


class Angles(Representation):
    """Scale each column linearly onto [0, π] rad for angle encodings: ``π (x - low)/(high - low)``.

    coverage  low and high are background quantiles with this share between them; what lies outside is clipped
    bounds    ``[low, high]`` for every column, or one such pair for all, in the units of the column: nothing is learned, and a
              value outside raises :class:`InputError`

    >>> Angles().fit([[0.0], [2.0]]).transform([[1.0]])
    array([[1.57079633]])
    """

    def __init__(self, coverage: float = 0.998, bounds: Sequence[Sequence[float]] | Sequence[float] | None = None) -> None:
        self.coverage = coverage
        self.bounds = bounds

    def _fit(self, X: object) -> None:
        X = _table(X, self)
        if self.bounds is None:
            tail = (1 - self.coverage) / 2
            self.low_, high = np.quantile(X, [tail, 1 - tail], axis=0)
            self.width_ = np.where(high - self.low_ > 1e-12, high - self.low_, 1.0)
            return
        try:
            pairs = np.asarray(self.bounds, dtype=float)
        except (TypeError, ValueError):
            pairs = np.empty(0)
        n = X.shape[1]
        if pairs.shape not in ((2,), (n, 2)) or not (np.isfinite(pairs).all() and (pairs[..., 0] < pairs[..., 1]).all()):
            raise InputError(f"bounds={self.bounds}: expected [low, high], low < high, for each of {n} columns or one for all")
        pairs = np.broadcast_to(pairs, (n, 2))
        self.low_, self.width_ = pairs[:, 0].copy(), pairs[:, 1] - pairs[:, 0]

    def _transform(self, X: object) -> np.ndarray:
        share = (_table(X, self) - self.low_) / self.width_
        if self.bounds is not None:
            outside = (share < 0) | (share > 1)
            if outside.any():
                columns = ", ".join(str(i) for i in np.flatnonzero(outside.any(0))[:8])
                events = int(outside.any(1).sum())
                raise InputError(f"{events} of {len(share)} events lie outside the bounds in column {columns}: cut them "
                                 "away, give wider bounds, or leave bounds out")
        return np.pi * np.clip(share, 0.0, 1.0)
