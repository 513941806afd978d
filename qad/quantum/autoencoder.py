"""The quantum autoencoder."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from qad import networks
from qad.detector import Detector
from qad.errors import InputError
from qad.quantum import ansatze, encodings, engine
from qad.quantum.program import check_size, compile_program
from qad.training import train

#: Weights → the kept rows of the unitary.
Rows = Callable[[torch.Tensor], torch.Tensor]


class QuantumAutoencoder(Detector):
    """Compress background jets into ``latent`` qubits; jets whose trash qubits are not |0…0⟩ are anomalous.

    Score 1 - ⟨φ(x)|U(θ)†ΠU(θ)|φ(x)⟩, Π projecting all but the first ``latent`` qubits on |0…0⟩; read out directly, without
    a SWAP test. Trained with Adam on the exact full-batch loss 1 - Tr(ΠUρ̄U†) (Romero et al., arXiv:1612.02806; for jets
    arXiv:2112.04958 and 2502.17301).

    latent         qubits kept
    encoding       ``1p1q``: events ``(n, qubits, 3)``, one particle a qubit
    scale          factor on the encoding's angles
    ansatz         name of an ansatz (``1p1q``, ``all-pairs``)
    start          initial weights uniform in [-start, start] [rad]
    random_state   seed of the initial weights

    After ``fit``: ``weights_``, ``ceiling_`` (largest mean fidelity of any unitary on this ρ̄), ``diagnostics_``.
    """

    takes = "particles"
    kind = "quantum"
    family = "quantum"

    def __init__(self, latent: int = 2, encoding: str = "1p1q", scale: float = encodings.PUBLISHED_SCALE,
                 ansatz: str = "1p1q", epochs: int = 300, learning_rate: float = 0.05, patience: int = 30,
                 start: float = np.pi, random_state: int = 0) -> None:
        self.latent = latent
        self.encoding = encoding
        self.scale = scale
        self.ansatz = ansatz
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.patience = patience
        self.start = start
        self.random_state = random_state

    def _encoder(self) -> Callable[..., None]:
        return partial(encodings.get(self.encoding).function, scale=self.scale)

    def _fit(self, X: np.ndarray, validation: np.ndarray | None) -> None:
        n = X.shape[1]
        check_size(n)
        if n < 2:
            raise InputError("a quantum autoencoder needs at least two qubits, one to keep and one as trash; got 1")
        if not isinstance(self.latent, int) or not 1 <= self.latent < n:
            raise InputError(f"latent={self.latent}: expected 1 to {n - 1}, fewer than the {n} qubits, so that some are trash")
        if encodings.get(self.encoding).takes != self.takes:
            raise InputError(f"encoding '{self.encoding}' takes a table; this detector takes {self.takes}: use '1p1q'")
        ansatz = ansatze.get(self.ansatz)
        shape = ansatz.shape(n)
        program = compile_program(ansatz.function, shape, n)
        rho = engine.mean_state(self._encoder(), networks.tensor(X, torch.float64), n)
        self.ceiling_, ideal = engine.ceiling(rho, self.latent)

        def rows(weights: torch.Tensor) -> torch.Tensor:
            return engine.kept_rows(program, weights, self.latent)

        loss_of_zero = float(engine.infidelity(rows(torch.zeros(shape, dtype=torch.float64)), rho))
        weights, history = self._choose(rows, rho, shape, ideal)
        final = engine.infidelity(self._rows_of(rows, weights, ideal), rho).item()
        self.weights_ = weights.numpy()
        kept = self._rows_of(rows, weights, ideal).resolve_conj().numpy()
        self.rows_real_, self.rows_imag_ = np.ascontiguousarray(kept.real), np.ascontiguousarray(kept.imag)
        self._count(rows, weights, X[:64])
        self.diagnostics_ = {
            "qubits": n,
            "loss": final,
            "loss_at_zero": loss_of_zero,
            "loss_at_ceiling": 1 - self.ceiling_,
            "distance_to_ceiling": final - (1 - self.ceiling_),
            "purity": float((rho.abs() ** 2).sum()),
            "history": history,
        }

    def _choose(self, rows: Rows, rho: torch.Tensor, shape: tuple[int, ...],
                ideal: torch.Tensor) -> tuple[torch.Tensor, dict[str, Any]]:
        """Weights, and how they came about. The controls choose theirs without training."""
        weights = self._random_weights(shape).requires_grad_()
        history = train([weights], lambda _: engine.infidelity(rows(weights), rho), epochs=self.epochs,
                        learning_rate=self.learning_rate, patience=self.patience, tolerance=1e-7)
        return weights.detach(), history.as_dict()

    def _count(self, rows: Rows, weights: torch.Tensor, X: np.ndarray) -> None:
        self.parameters_ = weights.numel()
        self.effective_parameters_ = effective_parameters(rows, self._encoder(), X, weights, X.shape[1])

    def _random_weights(self, shape: tuple[int, ...]) -> torch.Tensor:
        uniform = np.random.default_rng(self.random_state).uniform(-1, 1, shape)
        return torch.as_tensor(self.start * uniform, dtype=torch.float64)

    def _rows_of(self, rows: Rows, weights: torch.Tensor, ideal: torch.Tensor) -> torch.Tensor:
        return rows(weights)

    def _score(self, X: np.ndarray) -> np.ndarray:
        rows = torch.complex(torch.from_numpy(self.rows_real_), torch.from_numpy(self.rows_imag_))
        return engine.scores(rows, self._encoder(), networks.tensor(X, torch.float64), X.shape[1]).numpy()


def effective_parameters(rows: Rows, encoder: Callable[..., None], X: np.ndarray,
                         weights: torch.Tensor, n_qubits: int) -> int:
    """Rank of the Jacobian of the scores of some events with respect to the weights: how many directions matter."""
    psi = engine.states(encoder, networks.tensor(X, torch.float64), n_qubits)

    def fidelity(flat: torch.Tensor) -> torch.Tensor:
        return (psi @ rows(flat.reshape(weights.shape)).mT).abs().square().sum(1)

    jacobian = torch.autograd.functional.jacobian(fidelity, weights.reshape(-1), vectorize=False)
    singular = torch.linalg.svdvals(jacobian)
    return int((singular > 1e-8 * max(float(singular[0]), 1e-12)).sum()) if len(singular) else 0
