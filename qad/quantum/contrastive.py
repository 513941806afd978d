"""The contrastive autoencoder: what is typical of the background and not of a reference."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pennylane as qml
import torch
from scipy.stats import binom

from qad.errors import InputError
from qad.quantum import engine, outcomes, readout, references
from qad.quantum.autoencoder import QuantumAutoencoder, _uniform
from qad.quantum.circuit import Circuit
from qad.quantum.mean_state import MeanState
from qad.training import train

#: Events that the angle scale is chosen on, and between which scales.
PURITY_EVENTS, NARROW, WIDE = 1000, 0.02, 2.0
#: Of the random starts so many are trained for a few steps before one is chosen.
TRIED, STEPS = 8, 60
#: Beyond e^±30 an angle is 0 or π to machine precision, and e^710 would overflow.
FAR = 30.0
#: Up to here all 2^n eigenvectors are computed.
MOST_QUBITS = 10


class ContrastiveAutoencoder(QuantumAutoencoder):
    """Compress the background and not a reference: U(θ) maximises Tr[ΠU(ρ̄ - λσ)U†]; score 1 - ⟨φ(x)|U†ΠU|φ(x)⟩.

    ρ̄ is the background's mean state, σ one made from it, by default ⊗_q ρ̄_q, ρ̄ without its correlations. Over all unitaries
    the optimum is spanned by the top eigenvectors of ρ̄ - λσ. A table X (n, features) becomes angles 2 arctan exp(s z) [rad] in
    (0, π), z = (x - mean)/s.d.: π/2 + s z near the mean, and the log-odds of measuring 1 are 2 s z. One feature a qubit. For
    λ = 0 this is the autoencoder of arXiv:1612.02806 on centred features.

    latent       qubits kept; 0: every qubit is trash, and U maps one state, the background's most typical, to |0…0⟩
    encoding     a name from ``qad.quantum.encodings.names()`` that takes angles, or a function ``f(x, wires)``
    spread       s [rad per s.d.]; ``purity``: the s at which 1/Tr ρ̄² = ``rank``, chosen on background alone; the widest, 2,
                 where so few features or events do not reach it (``rank_`` says what they reach)
    reference    σ: a name from ``qad.quantum.references.REFERENCES``
    contrast     λ from 0 to 1; near 1 the top eigenvector may turn to what is rare in ρ̄ and rarer in σ
    unitary      ``eigenvectors``: the optimum itself; ``circuit``: the ansatz, trained
    starts       random weights; the best few are trained for some steps, and the best of these goes on
    score_as     a name from ``qad.quantum.outcomes.SCORES``; ``epsilon`` is their ε
    shots        None: exact; else every event is measured this many times

    Everything else as in :class:`QuantumAutoencoder`. After ``fit``: ``spread_``, ``outcomes_`` (a weight for each bit string).
    """

    takes = "tabular"
    least_latent = 0
    scores = outcomes.SCORES
    scale, train_encoding, loss, readout, qubits = 1.0, False, "infidelity", "direct", None

    def __init__(self, latent: int = 0, encoding: Any = "angle-y", spread: float | str = "purity", rank: float = 2.0,
                 reference: str = "marginals", contrast: float = 0.75, unitary: str = "eigenvectors", ansatz: Any = "product",
                 layers: int | None = None, shape: tuple[int, ...] | None = None, score_as: str = "infidelity",
                 epsilon: float = 1e-3, shots: int | None = None, optimizer: str = "adam",
                 optimizer_options: dict[str, Any] | None = None, epochs: int = 300, learning_rate: float | None = None,
                 batch_size: int = 256, patience: int = 30, start: float = np.pi, starts: int = 64, dtype: str = "float64",
                 device: str = "cpu", checkpoint: str | None = None, random_state: int = 0) -> None:
        self.latent = latent
        self.encoding = encoding
        self.spread = spread
        self.rank = rank
        self.reference = reference
        self.contrast = contrast
        self.unitary = unitary
        self.ansatz = ansatz
        self.layers = layers
        self.shape = shape
        self.score_as = score_as
        self.epsilon = epsilon
        self.shots = shots
        self.optimizer = optimizer
        self.optimizer_options = optimizer_options
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.patience = patience
        self.start = start
        self.starts = starts
        self.dtype = dtype
        self.device = device
        self.checkpoint = checkpoint
        self.random_state = random_state

    def inputs(self, X: np.ndarray) -> np.ndarray:
        """The angles 2 arctan exp(s (x - mean)/s.d.) [rad] in (0, π) of events ``X``."""
        return 2 * np.arctan(np.exp(np.clip(self.spread_ * (X - self.mean_) / self.deviation_, -FAR, FAR)))

    @property
    def _ideal(self) -> bool:
        return self.unitary == "eigenvectors"

    @property
    def _lambda(self) -> float:
        return self.contrast

    def _settings(self) -> None:
        super()._settings()
        if self.unitary not in ("eigenvectors", "circuit"):
            raise InputError(f"unitary='{self.unitary}': expected 'eigenvectors' or 'circuit'")
        if self._ideal and self.score_as == "trash-populations":
            raise InputError("score_as='trash-populations' asks qubit by qubit, and the order of eigenvectors is no qubits: "
                             "take unitary='circuit'")
        references.get(self.reference)
        for name, least, most in (("contrast", 0.0, 1.0), ("epsilon", 0.0, 1.0), ("rank", 1.0, np.inf)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not least <= value <= most:
                upto = f" to {most:g}" if most < np.inf else ""
                raise InputError(f"{name}={value!r}: expected a number from {least:g}{upto}")
        if self.epsilon == 0 and self.score_as in ("inverse", "relative-entropy"):
            raise InputError(f"epsilon=0: score_as='{self.score_as}' is infinite where no background was; expected above 0")
        if not isinstance(self.starts, int | np.integer) or self.starts < 1:
            raise InputError(f"starts={self.starts!r}: expected a whole number from 1")
        if self.spread != "purity" and not (isinstance(self.spread, int | float | np.number) and 0 < self.spread < np.inf):
            raise InputError(f"spread={self.spread!r}: expected a number above 0 [rad per standard deviation], or 'purity'")

    def _prepare(self, X: np.ndarray) -> None:
        self.mean_ = X.mean(0).astype(np.float64)
        deviation = X.std(0).astype(np.float64)
        self.deviation_ = np.where(deviation > 1e-12 * np.maximum(1, np.abs(self.mean_)), deviation, 1.0)
        self.spread_ = float(self._by_purity(X[:PURITY_EVENTS]) if self.spread == "purity" else self.spread)

    def _by_purity(self, X: np.ndarray) -> float:
        """The spread at which the mean state's effective rank 1/Tr ρ̄² is ``rank``: by bisection, for it grows with s."""
        low, high = NARROW, WIDE
        circuit = self.circuit()
        for _ in range(20):
            self.spread_ = (low + high) / 2
            psi = circuit.states(self._tensor(self.inputs(X)))
            # Tr ρ̄² from the smaller of Σ_xy |φ⟩⟨φ| and ⟨φ(x)|φ(y)⟩
            gram = psi.mT @ psi.conj() if len(psi) > psi.shape[1] else psi @ psi.mH
            self.rank_ = 1 / float((gram / len(psi)).abs().square().sum())
            if self.rank_ < self.rank:
                low = self.spread_
            else:
                high = self.spread_
        return (low + high) / 2

    def _contrasted(self, circuit: Circuit, events: torch.Tensor) -> tuple[MeanState, MeanState]:
        """ρ̄ and σ of ``events``; without contrast σ is not asked for, and ρ̄ stands in its place."""
        mean = circuit.mean_state(events)
        if self._lambda == 0:
            return mean, mean
        return mean, references.get(self.reference)(circuit, events, mean, np.random.default_rng([self.random_state, 7]))

    def _objective(self, circuit: Circuit, events: torch.Tensor) -> MeanState:
        mean, sigma = self._contrasted(circuit, events)
        return mean - sigma * self._lambda if self._lambda else mean

    def _start(self, circuit: Circuit, mean: MeanState) -> torch.Tensor:
        drawn = [self._random_weights(circuit.shape, seed=i) for i in range(self.starts)]
        with torch.no_grad():
            losses = [float(engine.infidelity(circuit.rows(w, self.latent), mean)) for w in drawn]
        tried = []
        for i in np.argsort(losses)[:TRIED]:  # the largest ρ̄ - λσ near the start may be a small one: the score would invert
            weights = drawn[i].requires_grad_()
            history = train([weights], lambda _, w=weights: engine.infidelity(circuit.rows(w, self.latent), mean),
                            epochs=min(STEPS, self.epochs), learning_rate=min(0.1, self._step()), patience=STEPS)
            tried.append((min(history.train, default=np.inf), weights.detach()))
        return min(tried, key=lambda t: t[0])[1]

    def _choose(self, circuit: Circuit, X: torch.Tensor, held: torch.Tensor | None, mean: MeanState,
                extra: torch.Tensor | None) -> tuple[torch.Tensor, dict[str, Any]]:
        if self._ideal:
            return torch.zeros_like(self._random_weights(circuit.shape)), {}
        return super()._choose(circuit, X, held, mean, extra)

    def _rows_of(self, circuit: Circuit, weights: torch.Tensor, ideal: torch.Tensor) -> torch.Tensor:
        return ideal if self._ideal else super()._rows_of(circuit, weights, ideal)

    def _count(self, circuit: Circuit, weights: torch.Tensor, events: torch.Tensor) -> None:
        if self._ideal:  # real numbers in the kept rows
            self.parameters_ = self.effective_parameters_ = 2 * self.rows_real_.size
            self.dead_: list[str] = []
        else:
            super()._count(circuit, weights, events)

    def _direction(self, circuit: Circuit, weights: torch.Tensor, events: torch.Tensor) -> dict[str, Any]:
        return {}  # what is asked for is not the largest ρ̄ alone

    def _basis(self, circuit: Circuit, weights: torch.Tensor, objective: MeanState) -> torch.Tensor:
        """All rows of U, ``(2^n, 2^n)``."""
        if not self._ideal:
            return circuit.rows(weights, circuit.n_qubits)
        if circuit.n_qubits > MOST_QUBITS:
            raise InputError(f"score_as='{self.score_as}' needs all 2^{circuit.n_qubits} eigenvectors; expected at most "
                             f"{MOST_QUBITS} qubits: take unitary='circuit'")
        return torch.linalg.eigh(objective.dense())[1].flip(1).mH

    def _read_out(self, circuit: Circuit, weights: torch.Tensor, objective: MeanState, events: torch.Tensor) -> None:
        self.outcomes_ = None
        if self.score_as == "infidelity":
            return
        with torch.no_grad():
            mean, sigma = self._contrasted(circuit, events)
            rows = self._basis(circuit, weights, objective)
            q, s = (((rows @ m.vectors.mT).abs().square() * m.weights).sum(1).cpu().numpy() for m in (mean, sigma))
        rows = rows.cpu().resolve_conj().numpy()
        self.basis_real_, self.basis_imag_ = np.ascontiguousarray(rows.real), np.ascontiguousarray(rows.imag)
        self.outcomes_ = outcomes.weights(self.score_as, q, s, self._lambda, self.epsilon, self.latent)

    def probabilities(self, X: np.ndarray) -> np.ndarray:
        """Exact p_k(x) = |⟨k|U|φ(x)⟩|² of every bit string, ``(n, 2^n)``.

        Raises :class:`InputError` if it was fitted with score ``infidelity``, which needs the kept rows alone.
        """
        circuit = self.circuit()
        if self.outcomes_ is None:
            raise InputError("score_as='infidelity' keeps no more than the kept rows of U: fit with score_as='mean-fidelity', "
                             "or another score of the whole distribution")
        rows = torch.complex(torch.from_numpy(self.basis_real_), torch.from_numpy(self.basis_imag_))
        angles = self._tensor(self.inputs(X)).cpu()
        with torch.no_grad():
            parts = [(psi @ rows.mT.to(psi.dtype)).abs().square()
                     for psi in engine.chunks_of_states(circuit.encoding, angles, circuit.n_qubits)]
        return torch.cat(parts).numpy().astype(np.float64)

    def _score(self, X: np.ndarray) -> np.ndarray:
        if self.outcomes_ is None:
            F = self.fidelity(X)
            return 1 - (F if self.shots is None else self._sampled(np.clip(F, 0, 1)))
        if self.shots is not None:
            return _measured(self.probabilities(X), self.shots, self.random_state) @ self.outcomes_
        shift = self.outcomes_.min()  # the compiled read-out sums squares: weights from 0
        root = torch.from_numpy(np.sqrt(self.outcomes_ - shift))[:, None]
        rows = root * torch.complex(torch.from_numpy(self.basis_real_), torch.from_numpy(self.basis_imag_))
        circuit = self.circuit()
        found = readout.fidelities(rows, circuit.encoding, self._tensor(self.inputs(X)), circuit.n_qubits)
        return shift + found.detach().cpu().numpy().astype(np.float64)

    def exported(self) -> tuple[Circuit, np.ndarray, int]:
        """The circuit that is measured, its weights and ``latent``.

        Score from a machine: 1 - P(trash 0…0) for ``infidelity``, else Σ_k P(k) ``outcomes_[k]`` over all qubits.
        """
        circuit = self.circuit()
        if not self._ideal:
            return circuit, self.weights_, self.latent
        if self.outcomes_ is not None:
            function = partial(_apply, self.basis_real_ + 1j * self.basis_imag_)
        elif self.latent == 0:
            function = partial(_undo, np.conj(self.rows().cpu().numpy()[0]))
        else:
            function = partial(_apply, _completed(self.rows().cpu(), circuit.n_qubits - self.latent))
        return Circuit(circuit.encoding, function, (0,), circuit.n_qubits, circuit.event), np.zeros(0), self.latent


def _undo(vector: np.ndarray, weights: Any, wires: Any) -> None:
    """The inverse of preparing ``vector``: takes it to |0…0⟩."""
    largest = vector[np.abs(vector).argmax()]
    real = vector * (np.conj(largest) / abs(largest))
    if np.abs(real.imag).max() < 1e-9:  # as product states of RY give: half the CNOTs
        qml.adjoint(_prepare_real)(real.real, wires)
    else:
        qml.adjoint(qml.MottonenStatePreparation)(vector, wires=wires)


def _prepare_real(vector: np.ndarray, wires: Any) -> None:
    """A real state by a tree of controlled RY with 2^n - 2 CNOTs; the last carry the signs (Möttönen, quant-ph/0407010)."""
    norms = [vector]
    while len(norms[-1]) > 1:
        norms.append(np.hypot(norms[-1][0::2], norms[-1][1::2]))
    for q, level in enumerate(reversed(norms[:-1])):
        angles = 2 * np.arctan2(level[1::2], level[0::2])
        if q == 0:
            qml.RY(angles[0], wires=wires[0])
        else:
            qml.SelectPauliRot(angles, control_wires=wires[:q], target_wire=wires[q], rot_axis="Y")


def _apply(matrix: np.ndarray, weights: Any, wires: Any) -> None:
    qml.QubitUnitary(matrix, wires=wires)


def _completed(rows: torch.Tensor, trash: int) -> np.ndarray:
    """A unitary whose rows k·2^trash are ``rows``: what asks |0…0⟩ of the trash qubits."""
    size = rows.shape[1]
    basis, _ = torch.linalg.qr(torch.cat([rows.mH, torch.eye(size, dtype=rows.dtype)], 1))
    others = iter(basis.mH[len(rows) :])
    return torch.stack([rows[k >> trash] if k % 2**trash == 0 else next(others) for k in range(size)]).resolve_conj().numpy()


def _measured(p: np.ndarray, shots: int, seed: int) -> np.ndarray:
    """Shares of ``shots`` shots per bit string, multinomial; an event's noise hangs on the event and the seed alone.

    One binomial after another: k gets Binomial(shots left, p_k / probability left).
    """
    out = np.empty_like(p)
    left, rest = np.full(len(p), float(shots)), np.ones(len(p))
    for k in range(p.shape[1]):
        share = np.clip(p[:, k] / np.maximum(rest, 1e-300), 0, 1) if k < p.shape[1] - 1 else np.ones(len(p))
        out[:, k] = np.where(left > 0, binom.ppf(_uniform(p[:, k] + k, seed), np.maximum(left, 1), share), 0)
        left, rest = left - out[:, k], np.maximum(rest - p[:, k], 0)
    return out / shots


