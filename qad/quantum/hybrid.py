"""A network in front of a circuit and one behind it, trained end to end; and its controls: circuit frozen, no circuit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from qad import networks, settings
from qad.detector import Detector
from qad.errors import InputError
from qad.quantum import ansatze, encodings, engine
from qad.quantum.circuit import Circuit
from qad.training import checkpoint_of, train

#: Events scored at a time.
CHUNK = 4096


def readings(psi: torch.Tensor, latent: int) -> tuple[torch.Tensor, torch.Tensor]:
    """What is read off states ``psi`` ``(B, 2^n)``: ⟨Z⟩ of each latent qubit, then ⟨X⟩ of each, ``(B, 2·latent)``; F ``(B,)``.

    F is the probability that all trash qubits, those after the first ``latent``, are 0. Two settings of the measurement give
    all of it: every qubit in Z, and the latent ones in X.
    """
    p, parts = psi.abs().square(), torch.view_as_real(psi)
    Z, X = [], []
    for q in range(latent):
        zero, one = p.reshape(len(psi), 2**q, 2, -1).unbind(2)
        Z.append((zero - one).sum((1, 2)))
        zero, one = parts.reshape(len(psi), 2**q, 2, -1).unbind(2)
        X.append(2 * (zero * one).sum((1, 2)))
    return torch.stack(Z + X, 1), p.reshape(len(psi), 2**latent, -1)[:, :, 0].sum(1)


class HybridAutoencoder(Detector):
    """An autoencoder whose bottleneck is a circuit: score = (1/f) |x - D(r)|² + β (1 - F).

    A network E turns the f features into ``qubits`` angles θ = π·sigmoid(E(x)) in (0, π) [rad]; RY(θ_q)|0⟩ and U(w) follow;
    r are ⟨Z⟩ and ⟨X⟩ of the ``latent`` qubits, exact, and all that the network D sees; F is the probability that the trash
    qubits are 0, as in a quantum autoencoder (arXiv:1612.02806, 2112.08869). E, w and D
    are trained together by Adam on the mean score of the background, with early stopping on ``validation``. Without D an
    encoder that sends every event to one point would make F = 1 for anything; it could reconstruct nothing.

    hidden            sizes of the encoder's layers; the decoder mirrors them
    qubits, latent    of the circuit; with ``qubits`` = 2·``latent`` the controls' networks are equal number by number
    ansatz, layers    as in :class:`qad.quantum.autoencoder.QuantumAutoencoder`
    beta              weight β of the infidelity beside the mean squared error
    start             initial weights of the circuit uniform in [-start, start] [rad]
    checkpoint        file to go on from after a kill; deleted when training is finished
    random_state      seed of all weights and of the shuffling

    Inputs should be standardised: put ``Standardise()`` in front. ``diagnostics_`` has both terms of the loss on the training
    events and ``angle_spread``, the s.d. of each angle over them [rad]: zeros would mean that the encoder has collapsed.
    """

    kind = "quantum"
    family = "quantum"
    #: Is there a circuit, and are its weights trained?
    with_circuit, trains_circuit = True, True

    def __init__(self, hidden: Sequence[int] = (20, 16, 12), qubits: int = 6, latent: int = 3,
                 ansatz: Any = "strongly-entangling", layers: int | None = 2, beta: float = 0.1, epochs: int = 40,
                 learning_rate: float = 5e-3, batch_size: int = 256, patience: int = 8, start: float = np.pi,
                 checkpoint: str | None = None, random_state: int = 0) -> None:
        self.hidden = hidden
        self.qubits = qubits
        self.latent = latent
        self.ansatz = ansatz
        self.layers = layers
        self.beta = beta
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.patience = patience
        self.start = start
        self.checkpoint = checkpoint
        self.random_state = random_state

    def circuit(self) -> Circuit:
        """RY(θ_q) on each qubit and the ansatz; it takes ``angles(X)``."""
        engine.check_size(self.qubits)
        function, shape = ansatze.get(self.ansatz, self.qubits, self.latent, self.layers)
        return Circuit(encodings.angle_y, function, shape, self.qubits, (self.qubits,))

    def exported(self) -> tuple[Circuit, np.ndarray, int]:
        """The trained circuit, its weights and ``latent``, as the functions of :mod:`qad.quantum.export` take them."""
        return self.circuit(), self.weights_, self.latent

    def angles(self, X: np.ndarray) -> np.ndarray:
        """θ(x) [rad] of events ``X``, ``(n, qubits)``."""
        X = self._check(X, reset=False)
        with torch.no_grad():
            return torch.cat([self._angles(x) for x in networks.tensor(X, torch.float64).split(CHUNK)]).numpy()

    def _check_settings(self) -> None:
        whole = {"qubits": 2, "latent": 1, "epochs": 0, "batch_size": 1, "patience": 1, "random_state": 0}
        for name, least in whole.items():
            settings.whole(name, getattr(self, name), least)
        for name in ("beta", "learning_rate"):
            if isinstance(getattr(self, name), bool) or not isinstance(getattr(self, name), int | float | np.number):
                raise InputError(f"{name}={getattr(self, name)!r}: expected a number")
        if not self.learning_rate > 0:
            raise InputError(f"learning_rate={self.learning_rate}: expected a number above 0")
        if isinstance(self.hidden, int | str):
            raise InputError(f"hidden={self.hidden!r}: expected a list of layer sizes, such as [20, 16, 12]")
        if not 1 <= self.latent < self.qubits:
            raise InputError(f"latent={self.latent}: expected 1 to {self.qubits - 1}, fewer than the {self.qubits} qubits, so "
                             "that some are trash")
        if any(h < 1 for h in self.hidden):
            raise InputError(f"expected positive layer sizes, got hidden={tuple(self.hidden)}")
        if not self.beta >= 0:
            raise InputError(f"beta={self.beta}: expected a weight of at least 0")

    def _networks(self, n_features: int) -> None:
        ends = self.qubits if self.with_circuit else 2 * self.latent
        self.encoder_ = networks.dense([n_features, *self.hidden, ends], 2 * self.random_state).double()
        back = [2 * self.latent, *list(self.hidden)[::-1], n_features]
        self.decoder_ = networks.dense(back, 2 * self.random_state + 1).double()

    def _angles(self, x: torch.Tensor) -> torch.Tensor:
        return torch.pi * torch.sigmoid(self.encoder_(x))

    def _read(self, x: torch.Tensor, U: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """What the decoder is given, ``(B, 2·latent)``, and F ``(B,)``."""
        psi = engine.states(encodings.angle_y, self._angles(x), self.qubits)
        return readings(psi @ U.mT, self.latent)

    def _terms(self, x: torch.Tensor, U: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean squared error and infidelity of each event, ``(B,)`` each."""
        r, F = self._read(x, U)
        return (self.decoder_(r) - x).square().mean(1), 1 - F

    def _start_weights(self, circuit: Circuit) -> torch.Tensor:
        uniform = np.random.default_rng(self.random_state).uniform(-1, 1, circuit.shape)
        return torch.as_tensor(self.start * uniform)

    def _unitary(self, circuit: Circuit, weights: torch.Tensor) -> torch.Tensor | None:
        return circuit.rows(weights, self.qubits)  # all rows are kept: U(w) itself

    def _fit(self, X: np.ndarray, validation: np.ndarray | None) -> None:
        self._check_settings()
        data = networks.tensor(X, torch.float64)
        held = None if validation is None else networks.tensor(validation, torch.float64)
        self._networks(X.shape[1])
        circuit = self.circuit()
        weights = self._start_weights(circuit)
        trained = [*self.encoder_.parameters(), *self.decoder_.parameters()]
        if self.trains_circuit:
            trained.append(weights.requires_grad_())

        fixed = None if self.trains_circuit else self._unitary(circuit, weights)

        def loss(batch: torch.Tensor) -> torch.Tensor:
            error, infidelity = self._terms(batch, self._unitary(circuit, weights) if self.trains_circuit else fixed)
            return (error + self.beta * infidelity).mean()

        history = train(trained, loss, data=data, epochs=self.epochs, batch_size=self.batch_size,
                        learning_rate=self.learning_rate, patience=self.patience, seed=self.random_state,
                        validation=None if held is None else lambda: loss(held), progress=self.progress,
                        checkpoint=checkpoint_of(self, X, validation))
        if self.checkpoint is not None:
            Path(self.checkpoint).unlink(missing_ok=True)
        self.weights_ = weights.detach().numpy()
        self.parameters_ = sum(p.numel() for p in trained)
        error, infidelity = self._all_terms(X)
        with torch.no_grad():
            spread = self._angles(data).numpy()
        self.diagnostics_ = {
            "qubits": self.qubits if self.with_circuit else 0,
            "circuit_parameters": weights.numel() if self.trains_circuit else 0,
            "mean_squared_error": float(error.mean()),
            "infidelity": float(infidelity.mean()),
            "angle_spread": spread.std(0).tolist(),
            "history": history.as_dict(),
        }

    def _all_terms(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.no_grad():
            U = self._unitary(self.circuit(), torch.as_tensor(self.weights_))
            parts = [self._terms(x, U) for x in networks.tensor(X, torch.float64).split(CHUNK)]
        error, infidelity = (torch.cat(p).numpy() for p in zip(*parts, strict=True))
        return error, infidelity

    def _score(self, X: np.ndarray) -> np.ndarray:
        error, infidelity = self._all_terms(X)
        return error + self.beta * infidelity

    def get_state(self) -> dict[str, Any]:
        state = super().get_state()
        for name in ("encoder", "decoder"):
            network = state.pop(f"{name}_")
            state |= {f"{name}.{k}": v for k, v in networks.state_arrays(network).items()}
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        inside = {k: v for k, v in state.items() if "." in k}
        super().set_state({k: v for k, v in state.items() if k not in inside})
        self._networks(self.n_features_in_)
        for name in ("encoder", "decoder"):
            arrays = {k.removeprefix(f"{name}."): v for k, v in inside.items() if k.startswith(f"{name}.")}
            networks.load_arrays(getattr(self, f"{name}_"), arrays)


class FrozenHybrid(HybridAutoencoder):
    """The same hybrid with the circuit's weights left at random: does training the circuit matter?"""

    kind = "control"
    trains_circuit = False


class WithoutCircuit(HybridAutoencoder):
    """The same networks with no circuit between: the decoder is given cos of 2·``latent`` angles. Does a circuit matter?

    Score = (1/f) |x - D(cos θ)|²: a classical autoencoder with a bottleneck of the same width, bounded as expectations are.
    """

    kind = "control"
    family = "classical"
    with_circuit, trains_circuit = False, False

    def exported(self) -> tuple[Circuit, np.ndarray, int]:
        raise InputError("there is no circuit in this control: nothing to export")

    def _read(self, x: torch.Tensor, U: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.cos(self._angles(x)), x.new_ones(len(x))

    def _unitary(self, circuit: Circuit, weights: torch.Tensor) -> torch.Tensor | None:
        return None

    def _start_weights(self, circuit: Circuit) -> torch.Tensor:
        return torch.zeros(0, dtype=torch.float64)
