"""Features become angles: between bounds that are given, or that the background fits."""

from __future__ import annotations

from typing import Any

import numpy as np

from qad.errors import InputError
from qad.quantum import encodings

#: Where a fitted range begins for encodings that cannot write zero.
SMALLEST = 0.01


class Bounded:
    """What detectors on tables share that scale each feature from its bounds onto [0, π] rad.

    A subclass has the parameters ``encoding``, ``scale`` and ``bounds``, as :class:`FeatureAutoencoder` explains them.
    """

    encoding: Any
    scale: float
    bounds: Any

    def inputs(self, X: np.ndarray) -> np.ndarray:
        """The angles [rad] that the encoding is given for events ``X``. Raises :class:`InputError` outside the bounds."""
        found = encodings.get(self.encoding)
        if self.low_ is not None:
            X = (X - self.low_) / (self.high_ - self.low_)
            if isinstance(self.bounds, str):
                X = np.clip(X, SMALLEST if found.nonzero else 0, 1)
            self._inside(X, 0, 1, "the bounds it was given")
            X = np.pi * X
        elif found.angles:
            self._inside(self.scale * X, -np.pi, np.pi, "[-π, π] rad (times scale), where two angles would be one state")
        if found.nonzero and not (X != 0).any(1).all():
            raise InputError(f"{int((X == 0).all(1).sum())} of {len(X)} events are zero in every feature; encoding "
                             f"'{self.encoding}' writes a direction and cannot write these: remove them")
        return X

    def _prepare(self, X: np.ndarray) -> None:
        self.low_ = self.high_ = None
        if self.bounds is not None and encodings.get(self.encoding).angles and not -2 <= self.scale <= 2:
            raise InputError(f"scale={self.scale}: [0, π] times it is more than a full turn, where two values would be one "
                             "state; expected at most 2")
        if self.bounds is None:
            return
        if isinstance(self.bounds, str):
            if self.bounds != "fitted":
                raise InputError(f"bounds='{self.bounds}': expected 'fitted', pairs (low, high), or None")
            low, high = X.min(0), X.max(0)
            high = np.where(high > low, high, low + 1)
        else:
            try:
                pairs = np.asarray(self.bounds, dtype=float)
            except (TypeError, ValueError):
                pairs = np.empty(0)
            if pairs.shape not in ((2,), (X.shape[1], 2)) or not (pairs[..., 1] > pairs[..., 0]).all():
                raise InputError(f"bounds={self.bounds}: expected one (low, high) or {X.shape[1]} of them, each low < high")
            low, high = np.broadcast_to(pairs, (X.shape[1], 2)).T
        self.low_, self.high_ = np.array(low, dtype=float), np.array(high, dtype=float)

    def _inside(self, X: np.ndarray, low: float, high: float, where: str) -> None:
        outside = ((X < low) | (X > high)).any(0)
        if outside.any():
            events = int(((X < low) | (X > high)).any(1).sum())
            columns = ", ".join(str(i) for i in np.flatnonzero(outside)[:8])
            raise InputError(f"{events} of {len(X)} events lie outside {where}, in feature {columns}: remove them, give wider "
                             "bounds=(low, high), or bounds='fitted'")
