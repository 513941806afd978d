"""Features that a sample already carries."""

from __future__ import annotations

import numpy as np

from qad.data.sample import Sample
from qad.errors import InputError
from qad.representations.base import Representation


class EventFeatures(Representation):
    """The sample's own feature columns, ``(n, f)`` in their own units; ``columns`` chooses and orders them."""

    def __init__(self, columns: list[str] | None = None) -> None:
        self.columns = columns

    def _fit(self, X: object) -> None:
        self.feature_names_ = list(self.columns or getattr(X, "feature_names", ()))

    def _transform(self, X: Sample) -> np.ndarray:
        if not isinstance(X, Sample):
            raise InputError(f"EventFeatures takes a Sample; got {type(X).__name__}. Load one with qad.read(FILE)")
        if not X.feature_names:
            other = "objects" if "slots" in X.meta else "substructure"
            raise InputError(f"this sample carries no features; use the representation '{other}'")
        return np.stack([X.feature(c) for c in self.feature_names_ or X.feature_names], axis=1).astype(np.float64)

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Names of the columns."""
        return np.array(self.feature_names_)
