"""Scores of a trained detector from measured bit strings: on any backend, with their shot noise."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qad.detector import Detector
from qad.errors import InputError
from qad.quantum.autoencoder import TINY, QuantumAutoencoder
from qad.quantum.backends import Backend
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
    if (values := _values(detector)) is not None:
        score = p @ values
        variance = np.maximum(p @ values**2 - score**2, 0)
    else:
        score, variance = 1 - p[:, 0], np.clip(p[:, 0] * (1 - p[:, 0]), 0, None)
        if detector.score_as == "log-fidelity":
            F = np.maximum(p[:, 0], TINY if shots is None else 1 / (2 * shots))  # none of S shots: less than half of one
            score, variance = -np.log(F), variance / F**2
    return Measured(score, np.zeros(len(p)) if shots is None else np.sqrt(variance / shots))


class Instrument:
    """A fitted ``detector`` whose circuit is made ready on ``backend`` once, to be measured for any number of events.

    Raises :class:`InputError` if its score is not read from bit strings, or the backend cannot take the circuit.
    """

    def __init__(self, detector: Detector, backend: Backend) -> None:
        self.detector, self.wanted = detector, read_out(detector)
        self.compiled = backend.compile(self.wanted.circuit, self.wanted.latent, self.wanted.weights)

    def score(self, X: np.ndarray, shots: int | None = None, seed: int = 0) -> Measured:
        """Scores of events ``X``, as the detector takes them, from ``shots`` shots each; None: the exact distribution.

        Of mitigated ones the error has what extrapolation adds, not the few per cent that unfolding the readout does.
        """
        inputs = self.detector.inputs(self.detector._check(X, reset=False))
        if _values(self.detector) is None:
            p = self.compiled.zeros(inputs, shots=shots, seed=seed)[:, None]
        else:
            p = self.compiled.probabilities(inputs, shots=shots, seed=seed)
        score, error = scores(self.detector, p, shots)
        return Measured(score, error * self.compiled.amplification**0.5)


def measure(detector: Detector, X: np.ndarray, backend: Backend, shots: int | None = None, seed: int = 0) -> Measured:
    """Scores of events ``X``, as the detector takes them, measured on ``backend``: :class:`Instrument` for one table.

    Example::

        measured.measure(model, X, backends.get("aer", noise="fake_torino"), shots=4096)
    """
    return Instrument(detector, backend).score(X, shots, seed)


def _values(detector: Any) -> np.ndarray | None:
    """A value for each bit string of all qubits; None where P(0…0) is all."""
    return getattr(detector, "outcomes_", None)
