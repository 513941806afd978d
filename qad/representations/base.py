"""What every representation shares."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from qad.data.sample import Sample
from qad.data.slots import slot_names
from qad.errors import InputError
from qad.persistence import Persistent


class Representation(TransformerMixin, BaseEstimator, Persistent):
    """A transformer ``Sample → array``. ``gives`` names the kind of array, as a detector's ``takes`` does.

    A subclass writes ``_transform``; one that learns from data also writes ``_fit``. ``learned``: what it learns takes long
    enough to be kept on disk by a study. ``told``: it is told the processes of its background, and tables say so.
    """

    gives: str = "tabular"
    learned: bool = False
    told: bool = False

    def _fit(self, X: Any) -> None:
        return

    def _transform(self, X: Any) -> np.ndarray:
        raise NotImplementedError

    def fit(self, X: Any, y: Any = None) -> Representation:
        """Learn from background events ``X``; ``y`` is ignored."""
        self._fit(X)
        self.fitted_ = True
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The array of events ``X``."""
        return self._transform(X)

    def __sklearn_is_fitted__(self) -> bool:
        return getattr(self, "fitted_", False)


def particles_of(X: Any, who: Representation) -> np.ndarray:
    """float64 particles ``(n, p, 4)`` of a Sample, which is what jet representations take."""
    if not isinstance(X, Sample):
        raise InputError(f"{type(who).__name__} takes a Sample; got {type(X).__name__}. Load one with qad.read(FILE)")
    if "slots" in X.meta:
        names = slot_names(X)
        jets = [n for n in names if f"{n}_pt" in X.extras]
        way = (f"take one of its jets, in Python with qad.data.slots.object_of(sample, '{jets[0]}'), in a study with object: "
               f"{jets[0]}" if jets else f"use the representation '{'event-features' if X.feature_names else 'objects'}'")
        raise InputError(f"{type(who).__name__} takes jets; this sample holds events with objects "
                         f"{', '.join(names) or 'none'}: {way}")
    return X.particles.astype(np.float64)
