"""The quantum autoencoder."""

from __future__ import annotations

import hashlib
import inspect
import json
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import binom
from sklearn.utils.validation import check_is_fitted

from qad import networks
from qad.detector import Detector
from qad.errors import DeadParameterWarning, DirectionWarning, InputError, beyond, did_you_mean
from qad.quantum import ansatze, diagnostics, encodings, engine, optimizers, orientation, readout
from qad.quantum.circuit import Circuit
from qad.quantum.geometry import Metric, Overlap, score_jacobian
from qad.quantum.mean_state import MeanState
from qad.training import Checkpoint, train

LOSSES = ("infidelity", "log-fidelity")
#: A fidelity of 0 would be an infinite loss.
TINY = 1e-12


class QuantumAutoencoder(Detector):
    """Compress background jets into ``latent`` qubits; jets whose trash qubits are not |0…0⟩ are anomalous.

    Score 1 - F(x), F = ⟨φ(x)|U(θ)†ΠU(θ)|φ(x)⟩, Π projecting all but the first ``latent`` qubits on |0…0⟩. Trained on the exact
    full-batch loss 1 - Tr(ΠUρ̄U†), which needs the events through their mean state alone; event by event where the loss is not
    linear in F or the encoding is trained (Romero et al., arXiv:1612.02806; for jets arXiv:2112.04958 and 2502.17301).

    latent           qubits kept
    encoding         a name from ``qad.quantum.encodings.names()``, or a quantum function ``f(x, wires)``
    scale            factor on the encoding's angles
    train_encoding   train the encoding's own weights too, those of 1P1Q's scale say; ``scale`` is where they start
    ansatz           a name from ``qad.quantum.ansatze.names()``, a PennyLane template, or a function ``f(weights, wires)``
    layers, shape    depth of the ansatz; shape of its weights where it does not tell
    qubits           where the encoding is a function of yours; by default one for each particle or feature
    loss, score_as   ``infidelity`` 1 - F or ``log-fidelity`` -log F: what is minimised, what is returned
    readout, shots   ``direct`` or ``swap``, a SWAP test against |0…0⟩, for comparison: without ``shots`` both are equal, exact
    optimizer        a name from ``qad.quantum.optimizers.OPTIMIZERS``; ``optimizer_options`` are its keywords (``damping``, …),
                     and for those with a metric ``approximation`` and ``metric_events``
    learning_rate    None: what suits the optimiser
    batch_size       events of a step where training goes event by event
    patience         epochs without improvement, of the loss on ``validation`` where it is given, before training stops
    start            initial weights uniform in [-start, start] [rad]
    dtype, device    ``float64`` or ``float32``; ``cpu`` or ``cuda``
    checkpoint       file to go on from after a kill; deleted when training is finished
    random_state     seed of the initial weights, the batches and the shots

    After ``fit``: ``weights_``, ``encoding_weights_``, ``ceiling_`` (largest mean fidelity of any unitary on this ρ̄),
    ``spectrum_`` (eigenvalues of ρ̄), ``dead_`` (weights that cannot change a score), ``diagnostics_``.
    """

    takes = "particles"
    kind = "quantum"
    family = "quantum"
    #: Fewest qubits to keep, and the names that ``loss`` and ``score_as`` know.
    least_latent = 1
    losses = scores = LOSSES

    def __init__(self, latent: int = 2, encoding: Any = "1p1q", scale: float = encodings.PUBLISHED_SCALE,
                 train_encoding: bool = False, ansatz: Any = "1p1q", layers: int | None = None,
                 shape: tuple[int, ...] | None = None, qubits: int | None = None, loss: str = "infidelity",
                 score_as: str = "infidelity", readout: str = "direct", shots: int | None = None, optimizer: str = "adam",
                 optimizer_options: dict[str, Any] | None = None, epochs: int = 300, learning_rate: float | None = None,
                 batch_size: int = 256, patience: int = 30, start: float = np.pi, dtype: str = "float64",
                 device: str = "cpu", checkpoint: str | None = None, random_state: int = 0) -> None:
        self.latent = latent
        self.encoding = encoding
        self.scale = scale
        self.train_encoding = train_encoding
        self.ansatz = ansatz
        self.layers = layers
        self.shape = shape
        self.qubits = qubits
        self.loss = loss
        self.score_as = score_as
        self.readout = readout
        self.shots = shots
        self.optimizer = optimizer
        self.optimizer_options = optimizer_options
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.patience = patience
        self.start = start
        self.dtype = dtype
        self.device = device
        self.checkpoint = checkpoint
        self.random_state = random_state

    def circuit(self, encoding_weights: torch.Tensor | None = None) -> Circuit:
        """The circuit for the events it was fitted on; after ``fit`` with the trained encoding."""
        check_is_fitted(self, "n_features_in_" if self.takes == "tabular" else "shape_in_")
        event = (self.n_features_in_,) if self.takes == "tabular" else tuple(self.shape_in_)
        found = encodings.get(self.encoding)
        if isinstance(self.encoding, str) and found.takes != self.takes:
            raise InputError(f"encoding '{self.encoding}' takes {found.takes} input; {type(self).__name__} takes {self.takes}")
        if self.qubits is not None and isinstance(self.encoding, str):
            raise InputError(f"qubits={self.qubits}: encoding '{self.encoding}' takes {found.qubits(event)} for these events; "
                             "leave qubits out")
        n = self.qubits or found.qubits(event)
        engine.check_size(n)
        if n <= self.least_latent:
            raise InputError("a quantum autoencoder needs at least two qubits, one to keep and one as trash; got 1"
                             + (" (n_features = 1)" if event == (1,) else ""))
        if not _whole(self.latent, self.least_latent) or not self.latent < n:
            raise InputError(f"latent={self.latent}: expected {self.least_latent} to {n - 1}, fewer than the {n} qubits, "
                             "so that some are trash")
        function, shape = ansatze.get(self.ansatz, n, self.latent, self.layers, self.shape)
        encode = found.function
        if encoding_weights is None and getattr(self, "encoding_weights_", None) is not None:
            encoding_weights = torch.as_tensor(self.encoding_weights_).to(self._where())
        if encoding_weights is not None:
            encode = partial(encode, weights=encoding_weights)
        if "scale" in inspect.signature(found.function).parameters:
            encode = partial(encode, scale=self.scale)
        elif self.scale not in (1.0, inspect.signature(QuantumAutoencoder.__init__).parameters["scale"].default):
            raise InputError(f"scale={self.scale}: encoding '{self.encoding}' takes no scale; leave it out")
        return Circuit(encode, function, shape, n, event)

    def _settings(self) -> None:
        for name, value, known in (("loss", self.loss, self.losses), ("score_as", self.score_as, self.scores),
                                   ("readout", self.readout, ("direct", "swap")), ("dtype", self.dtype, ("float32", "float64")),
                                   ("optimizer", self.optimizer, optimizers.OPTIMIZERS)):
            if value not in known:
                raise InputError(did_you_mean(str(value), known, name))
        for name, least in (("epochs", 0), ("batch_size", 1), ("patience", 1), ("random_state", 0)):
            if not _whole(getattr(self, name), least):
                raise InputError(f"{name}={getattr(self, name)!r}: expected a whole number from {least}")
        for name, value in (("learning_rate", self._step()), ("start", self.start), ("scale", self.scale)):
            if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not np.isfinite(value):
                raise InputError(f"{name}={value!r}: expected a number")
        if self._step() <= 0:
            raise InputError(f"learning_rate={self.learning_rate}: expected a number above 0")
        if self.shots is not None and not _whole(self.shots, 1):
            raise InputError(f"shots={self.shots}: expected a whole number from 1, or None for the exact score")
        if self.device != "cpu" and not torch.cuda.is_available():
            raise InputError(f"device='{self.device}': this machine has no GPU that torch can use; leave it at 'cpu'")

    def _step(self) -> float:
        return optimizers.OPTIMIZERS[self.optimizer] if self.learning_rate is None else self.learning_rate

    def inputs(self, X: np.ndarray) -> np.ndarray:
        """What the encoding is given for events ``X``: themselves, or where features are scaled, angles [rad]."""
        return X

    def _prepare(self, X: np.ndarray) -> None:
        """Learn from the training events how to scale them."""

    def exported(self) -> tuple[Circuit, np.ndarray, int]:
        """The trained circuit, its weights and ``latent``, as the functions of :mod:`qad.quantum.export` take them.

        The circuit takes ``inputs(X)``. Raises :class:`InputError` where the unitary is no circuit.
        """
        return self.circuit(), self.weights_, self.latent

    def _tensor(self, X: np.ndarray) -> torch.Tensor:
        return networks.tensor(X, getattr(torch, self.dtype)).to(self._where())

    def _where(self) -> str:
        """The device; a model trained on a GPU scores without one."""
        return self.device if self.device == "cpu" or torch.cuda.is_available() else "cpu"

    def _fit(self, X: np.ndarray, validation: np.ndarray | None) -> None:
        self._settings()
        self.encoding_weights_ = None
        self._prepare(X)
        events = self._tensor(self.inputs(X))
        held = None if validation is None else self._tensor(self.inputs(validation))
        circuit = self.circuit()
        self._check_encoding(circuit, events[:3])
        extra = self._encoding_start(circuit.n_qubits)
        if extra is not None:
            circuit = self.circuit(extra)
        with torch.no_grad():
            mean = self._objective(circuit, events)
        weights, history = self._choose(circuit, events, held, mean, extra)
        if extra is not None:  # the encoding has moved
            self.encoding_weights_ = extra.detach().cpu().numpy()
            circuit = self.circuit()
            mean = self._objective(circuit, events)
        self.ceiling_, ideal = mean.ceiling(self.latent)
        rows = self._rows_of(circuit, weights, ideal)
        kept = rows.detach().cpu().resolve_conj().numpy()
        self.weights_ = weights.detach().cpu().numpy()
        self.spectrum_ = mean.spectrum[0].cpu().numpy()
        self.rows_real_, self.rows_imag_ = np.ascontiguousarray(kept.real), np.ascontiguousarray(kept.imag)
        self._read_out(circuit, weights, mean, events)
        self._count(circuit, weights, events)
        loss = float(engine.infidelity(rows, mean))
        self.diagnostics_ = {
            "qubits": circuit.n_qubits,
            "loss": loss,
            "loss_at_zero": float(engine.infidelity(circuit.rows(torch.zeros_like(weights), self.latent), mean)),
            "loss_at_ceiling": 1 - self.ceiling_,
            "distance_to_ceiling": loss - (1 - self.ceiling_),
            "purity": float(mean.weights.square().sum()),
            "lost": mean.lost,
            "history": history,  # of the loss that was minimised; the figures above are infidelities
            **self._direction(circuit, weights, events),
        }

    def _objective(self, circuit: Circuit, events: torch.Tensor) -> MeanState:
        """H of the loss 1 - Tr(ΠUHU†): the mean state of ``events``."""
        return circuit.mean_state(events)

    def _read_out(self, circuit: Circuit, weights: torch.Tensor, objective: MeanState, events: torch.Tensor) -> None:
        """What a score needs besides the kept rows: nothing here."""

    def _direction(self, circuit: Circuit, weights: torch.Tensor, events: torch.Tensor) -> dict[str, Any]:
        """Whether the background decides which way a trained score points: for ``diagnostics_``, and a warning where not."""
        if not self.learns:
            return {}
        found = orientation.direction(circuit, weights, events, self.latent)
        if not found.determined:
            warnings.warn(f"the background does not decide which way the score points: {found}. Trained on other events it may "
                          "call anomalies typical; take more trash qubits, features off the middle of their range, or more "
                          "events", DirectionWarning, stacklevel=beyond())
        return {"direction": found._asdict()}

    def _check_encoding(self, circuit: Circuit, few: torch.Tensor) -> None:
        """Each event by itself: an encoding that takes x[i] for x[..., i] mixes them."""
        together = circuit.states(few)
        if together.shape[0] != len(few) or not torch.allclose(
                together, torch.cat([circuit.states(few[i : i + 1]) for i in range(len(few))]), atol=1e-5):
            raise InputError(f"encoding '{self.encoding}' mixes events: it must treat each by itself, by x[..., i]")

    def _encoding_start(self, n: int) -> torch.Tensor | None:
        """The encoding's trainable weights before training, or None."""
        found = encodings.get(self.encoding)
        if not self.train_encoding:
            return None
        if found.weights is None:
            raise InputError(f"encoding '{self.encoding}' has no weights to train: set train_encoding=False, or use 1p1q or "
                             "re-uploading")
        return torch.full(found.weights(n), found.start(self.scale), dtype=getattr(torch, self.dtype),
                          device=self.device).requires_grad_()

    def _choose(self, circuit: Circuit, X: torch.Tensor, held: torch.Tensor | None, mean: MeanState,
                extra: torch.Tensor | None) -> tuple[torch.Tensor, dict[str, Any]]:
        """Weights, and how they came about; ``extra`` is trained in place. The controls choose theirs without training."""
        weights = self._start(circuit, mean).requires_grad_()
        others = [] if extra is None else [extra]
        optimizer = self._optimizer(circuit, X, weights, others, encoding_moves=extra is not None)
        linear = self.loss == "infidelity" and extra is None

        def through_mean(state: MeanState) -> torch.Tensor:
            return engine.infidelity(circuit.rows(weights, self.latent), state)

        def by_event(events: torch.Tensor) -> torch.Tensor:
            return self._loss(engine.fidelities(circuit.rows(weights, self.latent), circuit.states(events))).mean()

        def validate() -> torch.Tensor:
            chunks = held.split(engine.chunk_size(circuit.n_qubits))
            return sum(by_event(chunk) * len(chunk) for chunk in chunks) / len(held)

        if held is not None and linear:
            seen = self._objective(circuit, held)
        history = train(
            [weights, *others], (lambda _: through_mean(mean)) if linear else by_event,
            data=None if linear else X, batch_size=self.batch_size,
            validation=None if held is None else (lambda: through_mean(seen)) if linear else validate,
            epochs=self.epochs, learning_rate=self._step(), patience=self.patience, tolerance=1e-7,
            seed=self.random_state, optimizer=optimizer, checkpoint=self._checkpoint(circuit, X, held), progress=self.progress)
        if self.checkpoint is not None:
            Path(self.checkpoint).unlink(missing_ok=True)
        return weights.detach(), history.as_dict()

    def _optimizer(self, circuit: Circuit, X: torch.Tensor, weights: torch.Tensor, others: list[torch.Tensor],
                   encoding_moves: bool = False) -> torch.optim.Optimizer:
        """The chosen optimiser over the circuit's ``weights`` and, by Adam, ``others``."""
        options = dict(self.optimizer_options or {})
        most = options.pop("metric_events", 1000)
        if not _whole(most, 1):
            raise InputError(f"metric_events={most!r}: expected a whole number from 1")
        metric = Metric(circuit, X, weights, options.pop("approximation", "full"), most, encoding_moves=encoding_moves)
        return optimizers.build(self.optimizer, weights, others, self._step(), metric, Overlap(circuit, X, most),
                                seed=self.random_state, **options)

    def _loss(self, fidelity: torch.Tensor) -> torch.Tensor:
        return 1 - fidelity if self.loss == "infidelity" else -torch.log(fidelity.clamp_min(TINY))

    def _checkpoint(self, circuit: Circuit, X: torch.Tensor, held: torch.Tensor | None) -> Checkpoint | None:
        """Its key: settings, events, and what the functions do to some of them, for these have no names to compare."""
        if self.checkpoint is None:
            return None
        plain = {k: str(v) for k, v in self.get_params().items() if k not in ("checkpoint", "encoding", "ansatz")}
        key = hashlib.sha256(json.dumps(plain, sort_keys=True).encode())
        with torch.no_grad():
            probe = self._random_weights(circuit.shape, seed=3)
            for t in (X, held, circuit.states(X[:4]), circuit.rows(probe, self.latent)):
                key.update(b"-" if t is None else t.resolve_conj().cpu().numpy().tobytes())
        return Checkpoint(Path(self.checkpoint), key.hexdigest())

    def _count(self, circuit: Circuit, weights: torch.Tensor, events: torch.Tensor) -> None:
        """Effective parameters: rank of the Jacobian of some events' scores; dead ones: zero here and elsewhere."""
        spread = np.linspace(0, len(events) - 1, min(len(events), max(64, 2 * weights.numel()))).astype(int)
        psi = circuit.states(events[spread].double())
        elsewhere = torch.as_tensor(np.random.default_rng([self.random_state, 1]).uniform(-np.pi, np.pi, circuit.shape))
        slopes = [score_jacobian(circuit.program, w.to(psi.device).double(), psi, self.latent) for w in (weights, elsewhere)]
        singular = torch.linalg.svdvals(slopes[0])
        self.parameters_ = weights.numel()
        self.effective_parameters_ = int((singular > 1e-8 * max(float(singular[0]), 1e-12)).sum())
        self.dead_ = diagnostics.names(circuit.shape, diagnostics.dead(torch.cat(slopes)))
        if self.learns and self.dead_:
            name = getattr(self.ansatz, "__name__", self.ansatz)
            shown = ", ".join(self.dead_[:8]) + (", …" if len(self.dead_) > 8 else "")
            warnings.warn(f"{len(self.dead_)} of {self.parameters_} weights cannot change any score of ansatz '{name}' "
                          f"with latent={self.latent}: {shown}", DeadParameterWarning, stacklevel=beyond())

    def _start(self, circuit: Circuit, mean: MeanState) -> torch.Tensor:
        """Where training begins."""
        return self._random_weights(circuit.shape)

    def _random_weights(self, shape: tuple[int, ...], seed: int | None = None) -> torch.Tensor:
        uniform = np.random.default_rng(self.random_state if seed is None else [self.random_state, seed]).uniform(-1, 1, shape)
        return torch.as_tensor(self.start * uniform, dtype=getattr(torch, self.dtype), device=self.device)

    def _rows_of(self, circuit: Circuit, weights: torch.Tensor, ideal: torch.Tensor) -> torch.Tensor:
        return circuit.rows(weights, self.latent)

    def rows(self) -> torch.Tensor:
        """The kept rows of the trained unitary, ``(2^latent, 2^n)``."""
        return torch.complex(torch.from_numpy(self.rows_real_), torch.from_numpy(self.rows_imag_)).to(self._where())

    def fidelity(self, X: np.ndarray) -> np.ndarray:
        """Exact F(x) of events that passed the checks of ``anomaly_score``, ``(n,)``."""
        circuit = self.circuit()
        found = readout.fidelities(self.rows(), circuit.encoding, self._tensor(self.inputs(X)), circuit.n_qubits)
        return found.detach().cpu().numpy().astype(np.float64)

    def _score(self, X: np.ndarray) -> np.ndarray:
        F = self.fidelity(X)
        if self.shots is not None:
            F = self._sampled(np.clip(F, 0, 1))
        return 1 - F if self.score_as == "infidelity" else -np.log(np.maximum(F, TINY))

    def _sampled(self, F: np.ndarray) -> np.ndarray:
        """What ``shots`` shots show: all trash qubits 0 with probability F; a SWAP test's ancilla 0 with (1 + F)/2.

        The noise of an event hangs on the event and the seed, not on its place in the batch.
        """
        u = _uniform(F, self.random_state)
        if self.readout == "swap":
            return 2 * binom.ppf(u, self.shots, (1 + F) / 2) / self.shots - 1
        return binom.ppf(u, self.shots, F) / self.shots


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= least


def _uniform(values: np.ndarray, seed: int) -> np.ndarray:
    """A number in (0, 1) for each value, by mixing its bits with the seed (splitmix64)."""
    z = values.view(np.uint64) + np.uint64((seed * 0xD1342543DE82EF95 + 0x9E3779B97F4A7C15) % 2**64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) * 2.0**-53 + 2.0**-54
