"""The few numbers of an event that a trigger cuts on."""

from __future__ import annotations

import numpy as np

from qad.data.derived import JET, MET
from qad.data.sample import Sample
from qad.errors import InputError
from qad.representations.base import Representation


class ObjectSums(Representation):
    """Missing and scalar sums of an event's objects, ``(n, 6)``: the trivial scores that a detector of events must beat.

    Columns, from pT [GeV] of the objects in their slots: ``met``; ``h_t`` = Σ pT of jets (slots jet, j1, b1); ``s_t`` = Σ pT
    of all, ``met`` included; ``sum_pt2`` = Σ pT² of all [GeV²], what the mean squared error of raw momenta amounts to;
    ``leading`` = the largest pT; ``n_objects`` but ``met``. Raises :class:`InputError` for events without objects.
    """

    names = ("met", "h_t", "s_t", "sum_pt2", "leading", "n_objects")

    def _transform(self, X: Sample) -> np.ndarray:
        if not isinstance(X, Sample):
            raise InputError(f"ObjectSums takes a Sample; got {type(X).__name__}. Load one with qad.read(FILE)")
        if "slots" not in X.meta or not X.particles.shape[1]:
            raise InputError("ObjectSums takes events with objects in slots, such as `qad simulate level1` makes")
        slots = np.array(X.meta["slots"])
        pt = X.particles[..., 0].astype(np.float64)
        met, jets = (np.array([kind.fullmatch(slot) is not None for slot in slots]) for kind in (MET, JET))
        return np.stack([pt[:, met].sum(1), pt[:, jets].sum(1), pt.sum(1), (pt**2).sum(1), pt.max(1),
                         (pt[:, ~met] > 0).sum(1)], axis=1)

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Names of the columns."""
        return np.array(self.names)
