"""Quantum autoencoders that are trained and scored by measured circuits, with shots, on any backend."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from scipy.stats import binom

from qad.errors import InputError, did_you_mean
from qad.quantum import backends, encodings, engine, optimizers
from qad.quantum.autoencoder import QuantumAutoencoder, _whole
from qad.quantum.bounds import Bounded
from qad.quantum.circuit import Circuit
from qad.quantum.geometry import Metric
from qad.quantum.mean_state import MeanState
from qad.quantum.measured_geometry import MeasuredMetric, MeasuredOverlap
from qad.quantum.shift import Infidelity, Meter, by_angles
from qad.quantum.stopping import Smoothed
from qad.training import train

OPTIMIZERS = ("adam", "gradient-descent", "natural-gradient", "qn-spsa")
#: Events whose loss is measured after each step: to know when to stop.
MONITORED = 256
#: With shots small differences drown, and so does a small metric.
WITH_SHOTS: dict[str, dict[str, Any]] = {"natural-gradient": {"damping": 0.01}, "qn-spsa": {"spread": 0.3, "damping": 0.1}}


class MeasuredAutoencoder(QuantumAutoencoder):
    """The quantum autoencoder from measured circuits: score 1 - (share of shots in which all trash qubits are 0).

    Trained on 1 - mean F as a backend measures it: gradients by the parameter-shift rule (arXiv:1811.11184), the metric of
    natural gradient block by block (arXiv:1909.02108), or QN-SPSA (arXiv:2103.09232). An epoch is one step on ``batch_size``
    events; training stops when the loss, measured on the same events after each, has not improved by more than its shot noise
    in ``patience`` epochs.

    backend         a name from ``qad.quantum.backends.names()``, with ``backend_options``; or a ``Backend``
    shots           for each circuit in training; None: exact probabilities, noise included, where the backend has them
    score_shots     for each score; None: as ``shots``
    optimizer       ``adam``, ``gradient-descent``, ``natural-gradient`` or ``qn-spsa``; ``optimizer_options`` are its keywords
    exact_epochs    so many epochs on the exact engine first (natural gradient, no noise, all events); with ``epochs=0`` the
                    model is trained exactly and only scored on the backend
    validation      given to ``fit``: of its first 256 events the loss is measured; without it, of the training events

    Everything else as in :class:`QuantumAutoencoder`. After ``fit``, ``diagnostics_`` has ``measured`` (cost, losses, why it
    stopped) beside figures of the exact engine at the weights found, which training does not see.
    """

    #: What has no choice here.
    qubits, train_encoding, loss, score_as, readout = None, False, "infidelity", "infidelity", "direct"
    dtype, device, checkpoint = "float64", "cpu", None
    most_for_offset = 1000

    def __init__(self, latent: int = 2, encoding: Any = "1p1q", scale: float = encodings.PUBLISHED_SCALE, ansatz: Any = "1p1q",
                 layers: int | None = None, shape: tuple[int, ...] | None = None, backend: Any = "exact",
                 backend_options: dict[str, Any] | None = None, shots: int | None = 1000, score_shots: int | None = None,
                 optimizer: str = "adam", optimizer_options: dict[str, Any] | None = None, exact_epochs: int = 0,
                 epochs: int = 100, learning_rate: float | None = None, batch_size: int = 32, patience: int = 30,
                 start: float = np.pi, random_state: int = 0) -> None:
        self.latent = latent
        self.encoding = encoding
        self.scale = scale
        self.ansatz = ansatz
        self.layers = layers
        self.shape = shape
        self.backend = backend
        self.backend_options = backend_options
        self.shots = shots
        self.score_shots = score_shots
        self.optimizer = optimizer
        self.optimizer_options = optimizer_options
        self.exact_epochs = exact_epochs
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.patience = patience
        self.start = start
        self.random_state = random_state

    def _settings(self) -> None:
        super()._settings()
        if self.optimizer not in OPTIMIZERS:
            raise InputError(did_you_mean(self.optimizer, OPTIMIZERS, "optimizer of measured circuits"))
        if not _whole(self.exact_epochs, 0):
            raise InputError(f"exact_epochs={self.exact_epochs!r}: expected a whole number from 0")
        if self.score_shots is not None and not _whole(self.score_shots, 1):
            raise InputError(f"score_shots={self.score_shots!r}: expected a whole number from 1, or None for as many as shots")
        for name, shots in (("shots", self.shots), ("score_shots", self.score_shots or self.shots)):
            if shots is None and not self._backend().exact:
                raise InputError(f"{name}=None: backend '{self.backend}' has no exact distribution; give {name}=4096, say")

    def _backend(self) -> backends.Backend:
        if isinstance(self.backend, backends.Backend):
            return self.backend
        options = {} if self.backend_options is None else self.backend_options
        if not isinstance(self.backend, str) or not isinstance(options, dict):
            raise InputError(f"backend={self.backend!r}, backend_options={options!r}: expected one of "
                             f"{', '.join(backends.names())}, and a dict of what it takes")
        made = getattr(self, "_made", None)  # a machine's noise takes seconds to read
        if made is None or made[0] != (self.backend, options):
            made = self._made = (self.backend, dict(options)), backends.get(self.backend, **options)
        return made[1]

    def _fit(self, X: np.ndarray, validation: np.ndarray | None) -> None:
        self.measured_: dict[str, Any] = {}
        super()._fit(X, validation)
        self.diagnostics_["measured"] = self.measured_
        del self.measured_

    def _choose(self, circuit: Circuit, X: torch.Tensor, held: torch.Tensor | None, mean: MeanState,
                extra: torch.Tensor | None) -> tuple[torch.Tensor, dict[str, Any]]:
        weights = self._start(circuit, mean).requires_grad_()
        if self.exact_epochs:
            self.measured_["exact"] = self._exactly(circuit, X, weights, mean)
        meter = Meter(self.shots, self.random_state)
        seen = (X if held is None else held)[:MONITORED].numpy()
        if not self.epochs:
            self.measured_ |= {"why": "no epoch was asked for", **meter.cost()}
            return weights.detach(), {}
        backend, events = self._backend(), X.numpy()
        measured = Infidelity(circuit, self.latent, backend, meter, events[:2])
        batches = _Batches(events, self.batch_size, self.random_state)
        options = {**(WITH_SHOTS.get(self.optimizer, {}) if self.shots else {}), **(self.optimizer_options or {})}
        metric = overlap = None
        if self.optimizer == "natural-gradient":
            metric = MeasuredMetric(circuit, backend, meter, batches, weights, events[:2])
        elif self.optimizer == "qn-spsa":
            overlap = MeasuredOverlap(circuit, backend, meter, batches)
        optimizer = optimizers.build(self.optimizer, weights, [], self._step(), metric, overlap, seed=self.random_state,
                                     **options)
        optimizer.register_step_pre_hook(lambda *_: batches.turn())
        watch = Smoothed(lambda: measured.mean(seen, weights))
        history = train([weights], lambda _: measured.differentiable(batches(), weights), validation=watch,
                        tolerance=watch.tolerance, epochs=self.epochs, learning_rate=self._step(), patience=self.patience,
                        seed=self.random_state, optimizer=optimizer, progress=self.progress)
        self.measured_ |= watch.story(history, self.epochs, self.patience) | meter.cost()
        return weights.detach(), history.as_dict()

    def _exactly(self, circuit: Circuit, X: torch.Tensor, weights: torch.Tensor, mean: MeanState) -> dict[str, Any]:
        """Train ``weights`` in place on the exact loss of all events."""
        step = optimizers.OPTIMIZERS["natural-gradient"]
        optimizer = optimizers.NaturalGradient([weights], Metric(circuit, X, weights), lr=step)
        return train([weights], lambda _: engine.infidelity(circuit.rows(weights, self.latent), mean), optimizer=optimizer,
                     epochs=self.exact_epochs, learning_rate=step, patience=self.patience, tolerance=1e-7).as_dict()

    def _score(self, X: np.ndarray) -> np.ndarray:
        backend, events = self._backend(), np.asarray(self.inputs(X), dtype=np.float64)
        circuit, weights, latent = self.exported()
        angles = circuit.program.angles(torch.as_tensor(weights)).numpy()
        # the gates and qubits that training met: with the weights as numbers it would be another circuit of other noise
        compiled = backend.compile(by_angles(circuit), latent, example=events[:2])
        shots = self.shots if self.score_shots is None else self.score_shots
        if shots is None or not backend.drawable:
            return 1 - compiled.zeros(events, angles, shots, self.random_state)
        return 1 - drawn(compiled.zeros(events, angles), shots, events, self.random_state)


class MeasuredFeatures(Bounded, MeasuredAutoencoder):
    """The quantum autoencoder on a table of features, trained and scored by measured circuits.

    ``bounds`` as in :class:`~qad.quantum.feature_autoencoder.FeatureAutoencoder`, everything else as in
    :class:`MeasuredAutoencoder`.
    """

    takes = "tabular"

    def __init__(self, latent: int = 1, encoding: Any = "angle", scale: float = 1.0, bounds: Any = "fitted",
                 ansatz: Any = "strongly-entangling", layers: int | None = None, shape: tuple[int, ...] | None = None,
                 backend: Any = "exact", backend_options: dict[str, Any] | None = None, shots: int | None = 1000,
                 score_shots: int | None = None, optimizer: str = "adam", optimizer_options: dict[str, Any] | None = None,
                 exact_epochs: int = 0, epochs: int = 100, learning_rate: float | None = None, batch_size: int = 32,
                 patience: int = 30, start: float = np.pi, random_state: int = 0) -> None:
        super().__init__(latent, encoding, scale, ansatz, layers, shape, backend, backend_options, shots, score_shots,
                         optimizer, optimizer_options, exact_epochs, epochs, learning_rate, batch_size, patience, start,
                         random_state)
        self.bounds = bounds


class _Batches:
    """The events of the present step; :meth:`turn` goes on to the next, through shuffled passes over all."""

    def __init__(self, events: np.ndarray, size: int, seed: int) -> None:
        self.events, self.order = events, self._order(len(events), min(size, len(events)), seed)
        self.turn()

    @staticmethod
    def _order(n: int, size: int, seed: int) -> Iterator[np.ndarray]:
        rng = np.random.default_rng([seed, 2])
        while True:
            shuffled = rng.permutation(n)
            for start in range(0, n - size + 1, size):
                yield shuffled[start : start + size]

    def turn(self) -> None:
        self.now = next(self.order)

    def __call__(self) -> np.ndarray:
        return self.events[self.now]


def drawn(F: np.ndarray, shots: int, events: np.ndarray, seed: int = 0) -> np.ndarray:
    """Shares of ``shots`` shots with probability ``F`` ``(n,)``; the noise of an event hangs on the event and the seed.

    So scores do not depend on the batch they are made in. Equal ``events`` of a batch are measured one by one.
    """
    words = np.ascontiguousarray(events + 0.0).reshape(len(events), -1).view(np.uint64)
    key = np.full(len(events), (seed * 0xD1342543DE82EF95 + 0x9E3779B97F4A7C15) % 2**64, dtype=np.uint64)
    for column in words.T:
        key = _mixed(key ^ column)
    _, which, count = np.unique(key, return_inverse=True, return_counts=True)
    order = np.argsort(which, kind="stable")
    again = np.empty(len(key), dtype=np.uint64)
    again[order] = np.arange(len(key)) - np.repeat(np.cumsum(count) - count, count)
    u = (_mixed(key + again) >> np.uint64(11)).astype(np.float64) * 2.0**-53 + 2.0**-54
    return binom.ppf(u, shots, np.clip(F, 0, 1)) / shots


def _mixed(z: np.ndarray) -> np.ndarray:
    """splitmix64: every bit of the result hangs on every bit of ``z``."""
    z = z + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
