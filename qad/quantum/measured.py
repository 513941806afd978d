"""Scores of a trained detector from measured bit strings: on any backend, with their shot noise."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qad.detector import Detector
from qad.errors import InputError
from qad.quantum.autoencoder import TINY, QuantumAutoencoder
from qad.quantum.backends import Backend
from qad.quantum.backends.base import DEFAULT_SHOTS
from qad.quantum.circuit import Circuit


class Measured(NamedTuple):
    """Scores ``(n,)``, higher = more anomalous, and their standard errors from the shots alone (0 without shots)."""

    score: np.ndarray
    error: np.ndarray


class ReadOut(NamedTuple):
    """A circuit, its weights, and the qubits that are not read out: the first ``latent``."""

    circuit: Circuit
    weights: np.ndarray
    latent: int


def read_out(detector: Detector) -> ReadOut:
    """What has to be measured for the score of a fitted ``detector``.

    Raises :class:`InputError` if its score is not read from one circuit's bit strings.
    """
    if not isinstance(detector, QuantumAutoencoder):
        raise InputError(f"the score of a {type(detector).__name__} is not read from one circuit's bit strings: expected a "
                         "quantum autoencoder of some kind, as  qad detectors  lists them")
    if detector.readout == "swap":
        raise InputError("readout='swap' is the detector's own simulation of a SWAP test: expected readout='direct', which "
                         "gives the same score with fewer qubits and shots")
    circuit, weights, latent = detector.exported()
    return ReadOut(circuit, weights, latent if _values(detector) is None else 0)


def scores(detector: Detector, p: np.ndarray, shots: int | None = None) -> Measured:
    """Scores from the distributions ``p`` ``(events, 2^read)`` of what :func:`read_out` asks for, from ``shots`` shots each.

    1 - p_0, or -log p_0, with the variance p_0 (1 - p_0)/S; or Σ_k p_k w_k with Σ p_k w_k² - (Σ p_k w_k)² over S. ``p`` from
    readout mitigation may leave [0, 1]; its error is then larger than given here.
    """
    p = np.asarray(p, dtype=np.float64)
    values = _values(detector)
    mean, square = (p[:, 0], p[:, 0]) if values is None else (p @ values, p @ values**2)
    variance = np.zeros(len(p)) if shots is None else np.maximum(square - mean**2, 0) / shots
    return _scored(detector, mean, variance, shots)


def _scored(detector: Any, mean: np.ndarray, variance: np.ndarray, shots: Any) -> Measured:
    """Scores from P(0…0), or from the mean of the values of outcomes, and the variance of either."""
    error = np.sqrt(variance)
    if _values(detector) is not None:
        return Measured(mean, error)
    if detector.score_as != "log-fidelity":
        return Measured(1 - mean, error)
    F = np.maximum(mean, TINY if shots is None else 1 / (2 * shots))  # none of S shots: less than half of one
    return Measured(-np.log(F), error / F)


class Instrument:
    """A fitted ``detector`` whose circuit is made ready on ``backend`` once, to be measured for any number of events.

    Raises :class:`InputError` if its score is not read from bit strings, or the backend cannot take the circuit.
    """

    def __init__(self, detector: Detector, backend: Backend) -> None:
        self.detector, self.wanted, self.exact = detector, read_out(detector), backend.exact
        self.compiled = backend.compile(self.wanted.circuit, self.wanted.latent, self.wanted.weights)

    def score(self, X: np.ndarray, shots: int | None = None, seed: int = 0) -> Measured:
        """Scores of events ``X``, as the detector takes them, from ``shots`` shots each; None: the exact distribution, or 4,096
        shots where the backend has none.
        """
        if shots is None and not self.exact:  # so that their error is known
            shots = DEFAULT_SHOTS
        inputs = self.detector.inputs(self.detector._check(X, reset=False))
        return _scored(self.detector, *self.compiled.weighted(inputs, _values(self.detector), shots=shots, seed=seed), shots)


def measure(detector: Detector, X: np.ndarray, backend: Backend, shots: int | None = None, seed: int = 0) -> Measured:
    """Scores of events ``X``, as the detector takes them, measured on ``backend``: :class:`Instrument` for one table.

    Example::

        measured.measure(model, X, backends.get("aer", noise="fake_torino"), shots=4096)
    """
    return Instrument(detector, backend).score(X, shots, seed)


def _values(detector: Any) -> np.ndarray | None:
    """A value for each bit string of all qubits; None where P(0…0) is all."""
    return getattr(detector, "outcomes_", None)
