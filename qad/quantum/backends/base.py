"""The contract of what evaluates circuits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from qad.errors import InputError
from qad.quantum.circuit import Circuit

#: Shots of an event where a backend has no exact distribution and none are asked for.
DEFAULT_SHOTS = 4096


class Compiled(ABC):
    """A circuit made ready for a backend, once for any number of events.

    two_qubit_gates, depth   of the circuit that runs; None where the backend does not tell
    layout                   the machine's qubits in use; empty where it has none of its own
    """

    two_qubit_gates: int | None = None
    depth: int | None = None
    layout: tuple[int, ...] = ()

    @abstractmethod
    def probabilities(self, X: Any, weights: Any = None, shots: int | None = None, seed: int = 0) -> np.ndarray:
        """Probabilities of the qubits read out, or shares of ``shots`` shots, ``(events, 2^read)``, float64.

        X         events that the circuit's encoding takes, ``(events, …)``: ``detector.inputs(X)``
        weights   of the circuit's shape [rad], if they were left free; or ``(events, *shape)``, for each event its own
        shots     None: the exact distribution, its noise included; a backend that has none takes shots of its own choice
        seed      of the shots

        The first qubit read out is the most significant bit. Raises :class:`InputError`.
        """

    def zeros(self, X: Any, weights: Any = None, shots: int | None = None, seed: int = 0) -> np.ndarray:
        """Probability that every qubit read out is 0, ``(events,)``: all that the infidelity needs, and cheaper for some."""
        return self.probabilities(X, weights, shots, seed)[:, 0]

    def weighted(self, X: Any, values: np.ndarray | None = None, weights: Any = None, shots: int | None = None,
                 seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Σ_k p_k v_k of ``values`` v ``(2^read,)``, or P(0…0) without, and the variance from the shots, ``(events,)`` each.

        Arguments as for :meth:`probabilities`; the variance is (Σ p_k v_k² - (Σ p_k v_k)²)/shots, and 0 without shots.
        """
        if values is None:
            mean = square = self.zeros(X, weights, shots, seed)
        else:
            p = self.probabilities(X, weights, shots, seed)
            mean, square = p @ values, p @ values**2
        return mean, np.zeros(len(mean)) if shots is None else np.maximum(square - mean**2, 0) / shots


class Backend(ABC):
    """What evaluates a circuit. Its settings are the arguments of ``__init__``, checked there."""

    name: ClassVar[str]
    #: Without ``shots`` the distribution is exact, noise included; and shots may be drawn from it afterwards.
    exact: bool = False
    drawable: bool = False

    @abstractmethod
    def compile(self, circuit: Circuit, latent: int, weights: Any = None, example: Any = None) -> Compiled:
        """``circuit`` made ready, with all but the first ``latent`` qubits read out (0: all).

        weights   bound as numbers where they are given; else left free, for :meth:`Compiled.probabilities`
        example   a few events, where the shape of one does not follow from the circuit
        """


def sampled(p: np.ndarray, shots: int | None, seed: int = 0) -> np.ndarray:
    """Shares of ``shots`` shots from exact probabilities ``(events, outcomes)``; None: the probabilities themselves."""
    check_shots(shots)
    p = np.maximum(p, 0)
    p = p / p.sum(1, keepdims=True)
    return p if shots is None else np.random.default_rng(seed).multinomial(shots, p) / shots


def checked_events(X: Any) -> np.ndarray:
    """``X`` as an array with a row for each event. Raises :class:`InputError` for other shapes, NaN and infinity."""
    X = np.asarray(X)
    if X.ndim < 2 or X.dtype.kind not in "fiu" or not np.isfinite(X).all():
        raise InputError(f"events of shape {X.shape}: expected finite numbers, a row for each event; give X[None] for one")
    return X


def check_shots(shots: Any) -> None:
    """Raise :class:`InputError` unless ``shots`` is None or a whole number from 1."""
    if shots is not None and (isinstance(shots, bool) or not isinstance(shots, int | np.integer) or shots < 1):
        raise InputError(f"shots={shots!r}: expected a whole number from 1, or None for the exact distribution")


def groups_of(weights: Any, circuit: Circuit, events: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weights of the circuit's shape, and the places of the events that go with them: ``(*shape)``, ``(k,)`` for each.

    ``weights`` are one set for all ``events``, or a set for each. Raises :class:`InputError` for other shapes.
    """
    weights = np.asarray(weights, dtype=np.float64)
    shape = tuple(circuit.shape)
    if weights.shape == shape:
        return [(weights, np.arange(events))]
    if weights.shape != (events, *shape):
        raise InputError(f"weights of shape {weights.shape}: expected {shape}, or {(events, *shape)}, a set for each event")
    found, which = np.unique(weights.reshape(events, -1), axis=0, return_inverse=True)
    order = np.argsort(which.reshape(-1), kind="stable")
    places = np.split(order, np.cumsum(np.bincount(which.reshape(-1), minlength=len(found)))[:-1])
    return [(w.reshape(shape), where) for w, where in zip(found, places, strict=True)]


def check_weights(given: Any, bound: bool) -> None:
    """Weights are given when the circuit is compiled, or with the events: never both, never neither."""
    if bound and given is not None:
        raise InputError("weights were bound when the circuit was compiled; expected None, or compile it without weights")
    if not bound and given is None:
        raise InputError("the circuit was compiled without weights: type probabilities(X, weights)")
