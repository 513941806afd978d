"""Features that a sample already carries."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from qad.data.sample import Sample
from qad.errors import InputError
from qad.representations.base import Representation

#: Columns that a search looks for a bump in: an input only where ``columns`` names them.
RESONANT = ("m_jj", "mjj")


def inputs(names: Iterable[str]) -> list[str]:
    """Those of ``names`` that a detector is given unless told otherwise: all but a resonant mass, unless it is alone."""
    names = list(names)
    return [name for name in names if name.lower() not in RESONANT] or names


class EventFeatures(Representation):
    """The sample's own feature columns, ``(n, f)`` in their own units; ``columns`` chooses and orders them.

    Without ``columns``: all but a resonant mass (``m_jj``), since a detector that sees it shapes the spectrum it is to be
    looked for in.
    """

    def __init__(self, columns: list[str] | None = None) -> None:
        self.columns = columns

    def _fit(self, X: object) -> None:
        self.feature_names_ = list(self.columns or inputs(getattr(X, "feature_names", ())))

    def _transform(self, X: Sample) -> np.ndarray:
        if not isinstance(X, Sample):
            raise InputError(f"EventFeatures takes a Sample; got {type(X).__name__}. Load one with qad.read(FILE)")
        expected = list(self.feature_names_ or X.feature_names)
        if not expected:
            other = "objects" if "slots" in X.meta else "substructure"
            raise InputError(f"this sample carries no features; use the representation '{other}'")
        if lacks := [c for c in expected if c not in X.feature_names]:
            there = ", ".join(X.feature_names) or ("particles and no columns" if X.present.any() else "no columns")
            raise InputError(f"expected events with the columns {', '.join(expected)}; this sample has {there}: "
                             f"give one with {', '.join(lacks)} too, or a model fitted on events like these")
        return np.stack([X.feature(c) for c in expected], axis=1).astype(np.float64)

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Names of the columns."""
        return np.array(self.feature_names_)
