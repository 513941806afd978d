"""The quantum autoencoder on a table of features."""

from __future__ import annotations

from typing import Any

import numpy as np

from qad.errors import InputError
from qad.quantum import encodings
from qad.quantum.autoencoder import QuantumAutoencoder

#: Where a fitted range begins for encodings that cannot write zero.
SMALLEST = 0.01


class FeatureAutoencoder(QuantumAutoencoder):
    """The quantum autoencoder on a table of features, scaled to angles: score 1 - ⟨φ(x)|U(θ)†ΠU(θ)|φ(x)⟩ (arXiv:2112.04958).

    bounds  how features become angles [rad]. ``fitted``: the background's range, feature by feature, onto [0, π], what lies
            outside clipped. A list of (low, high) pairs, or one pair for all: these onto [0, π], and a feature outside is an
            error. None: the features are angles already.

    Everything else as in :class:`QuantumAutoencoder`. The published circuit is ``ansatz="all-pairs"`` with fixed bounds from 0;
    on features centred in their range its RY cannot undo the encoding's RX, and training gains nothing.
    """

    takes = "tabular"

    def __init__(self, latent: int = 1, encoding: Any = "angle", scale: float = 1.0, bounds: Any = "fitted",
                 train_encoding: bool = False, ansatz: Any = "strongly-entangling", layers: int | None = None,
                 shape: tuple[int, ...] | None = None, qubits: int | None = None, loss: str = "infidelity",
                 score_as: str = "infidelity", readout: str = "direct", shots: int | None = None, optimizer: str = "adam",
                 optimizer_options: dict[str, Any] | None = None, epochs: int = 300, learning_rate: float | None = None,
                 batch_size: int = 256, patience: int = 30, start: float = np.pi, dtype: str = "float64",
                 device: str = "cpu", checkpoint: str | None = None, random_state: int = 0) -> None:
        super().__init__(latent, encoding, scale, train_encoding, ansatz, layers, shape, qubits, loss, score_as, readout, shots,
                         optimizer, optimizer_options, epochs, learning_rate, batch_size, patience, start, dtype, device,
                         checkpoint, random_state)
        self.bounds = bounds

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
