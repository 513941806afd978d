"""The objects of an event as they stand in their slots."""

from __future__ import annotations

import numpy as np

from qad.data.sample import Sample
from qad.errors import InputError
from qad.representations.base import Representation


class Objects(Representation):
    """(pT [GeV], η, φ [rad]) of every slot of an event, ``(n, slots, 3)``; zeros where there is no object.

    The 57 numbers of a level-1 event of arXiv:2107.02157, before they are flattened.
    """

    gives = "objects"

    def _transform(self, X: Sample) -> np.ndarray:
        if not isinstance(X, Sample):
            raise InputError(f"Objects takes a Sample; got {type(X).__name__}. Load one with qad.read(FILE)")
        if "slots" not in X.meta or not X.particles.shape[1]:
            raise InputError("Objects takes events with objects in slots, such as `qad simulate level1` makes; for jets use "
                             "'constituents', for features 'event-features'")
        return X.particles[..., :3].astype(np.float64)
