"""The normalised quantum autoencoder: a density of the background whose energy is the infidelity."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from qad.energy import LOSSES, still_falling, train_energy, unconverged
from qad.errors import InputError, NotConvergedWarning, beyond
from qad.quantum import engine, readout
from qad.quantum.autoencoder import _whole
from qad.quantum.circuit import Circuit
from qad.quantum.contrastive import ContrastiveAutoencoder
from qad.quantum.ensemble import Chains, Ensemble, QuasiRandom, at_bounds, spread_points
from qad.quantum.mean_state import MeanState
from qad.training import History, train
from qad.transport import Slices

SAMPLERS = ("quasi-random", "langevin")
#: Where a trained temperature begins; points that judge the trained model.
WARM, JUDGES = 0.25, 2**17
#: Steps of the chains after training, as many before them; what converged means (``NormalisedAutoencoder``).
LAST_STEPS, R_HAT, LEAST_POINTS, LOG_Z_OFF = 300, 1.1, 100, 0.1


class NormalisedAutoencoder(ContrastiveAutoencoder):
    """p_θ(x) = exp(-E_θ(x)/T)/Z on angles in [0, π], E the infidelity 1 - ⟨φ|U†ΠU|φ⟩; score E, which falls with log p.

    The negative log-likelihood E₊/T + log Z has the gradient (E₊ - E₋)/T, + over background, - over the model: a contrastive
    autoencoder whose reference is what the model itself holds for likely (normalised autoencoders: arXiv:2105.05735, jets
    2206.14225). E is bounded: no regulariser is needed. Angles as in :class:`ContrastiveAutoencoder`.

    loss         ``likelihood``; or ``wasserstein``, the sliced distance between background and model (arXiv:2510.02168)
    temperature  T, or ``likelihood``: trained with the circuit; d(loss)/d(1/T) = E₊ - E₋, which is 0 at the end
    sampler      ``quasi-random``: Sobol points weighted by the model, Z exact up to quadrature; ``langevin``: chains, see
                 :class:`qad.sampling.Langevin`, for more features
    points       of the quasi-random sampler
    slices       random directions of the distance, besides the axes
    chains       Langevin chains; ``steps`` before each step of the training
    starts       random weights of which the best begins the training
    warm_up      epochs of the plain autoencoder, whose loss is E₊ alone, before the normalised one (arXiv:2105.05735)

    Everything else as in :class:`ContrastiveAutoencoder`. After ``fit``: ``temperature_``, ``log_normaliser_``,
    ``diagnostics_``: E₊, E₋ and their ratio, the model's share of coordinates at the bounds and the data's, sliced distance to
    the data and between two halves of them, effective points; acceptance, step and R̂ of the chains; some of it per epoch in
    ``history.notes``, whose first ``warm_up`` epochs are the plain autoencoder's. ``converged``: likelier than a uniform
    density; the loss had stopped falling; the chains' R̂ < 1.1 and their acceptance near its target, or at least 100 effective
    points and a log Z that other points confirm within 0.1; E₋/E₊ within 0.1 of 1 where T was trained by likelihood. Else
    ``problems`` and a :class:`qad.errors.NotConvergedWarning` say what to change. How far the model is from the data is no
    part of it: a circuit of few weights is near its best long before it is near them.
    """

    losses = LOSSES
    unitary, reference, contrast, score_as, epsilon, batch_size = "circuit", "marginals", 0.0, "infidelity", 0.0, 256

    def __init__(self, latent: int = 0, encoding: Any = "angle-y", spread: float | str = "purity", rank: float = 2.0,
                 ansatz: Any = "product", layers: int | None = None, shape: tuple[int, ...] | None = None,
                 loss: str = "likelihood", temperature: float | str = "likelihood", sampler: str = "quasi-random",
                 points: int = 4096, slices: int = 16, chains: int = 512, steps: int = 10, shots: int | None = None,
                 optimizer: str = "adam", optimizer_options: dict[str, Any] | None = None, epochs: int = 300,
                 learning_rate: float | None = None, patience: int = 30, start: float = np.pi, starts: int = 64,
                 warm_up: int = 100, dtype: str = "float64", device: str = "cpu", checkpoint: str | None = None,
                 random_state: int = 0) -> None:
        self.latent = latent
        self.encoding = encoding
        self.spread = spread
        self.rank = rank
        self.ansatz = ansatz
        self.layers = layers
        self.shape = shape
        self.loss = loss
        self.temperature = temperature
        self.sampler = sampler
        self.points = points
        self.slices = slices
        self.chains = chains
        self.steps = steps
        self.shots = shots
        self.optimizer = optimizer
        self.optimizer_options = optimizer_options
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.patience = patience
        self.start = start
        self.starts = starts
        self.warm_up = warm_up
        self.dtype = dtype
        self.device = device
        self.checkpoint = checkpoint
        self.random_state = random_state

    @property
    def _trains_temperature(self) -> bool:
        return isinstance(self.temperature, str)

    def _settings(self) -> None:
        super()._settings()
        T = self.temperature
        if T != "likelihood" and not (isinstance(T, int | float | np.number) and not isinstance(T, bool) and 0 < T < np.inf):
            raise InputError(f"temperature={T!r}: expected a number above 0, or 'likelihood'")
        if self.sampler not in SAMPLERS:
            raise InputError(f"sampler={self.sampler!r}: expected 'quasi-random' or 'langevin'")
        for name, least in (("points", 2), ("slices", 0), ("chains", 2), ("steps", 2), ("warm_up", 0)):
            if not _whole(getattr(self, name), least):
                raise InputError(f"{name}={getattr(self, name)!r}: expected a whole number from {least}")
        if self._trains_temperature and self.optimizer not in ("adam", "natural-gradient", "momentum-natural-gradient"):
            raise InputError(f"optimizer '{self.optimizer}' trains the circuit only: give temperature=a number, or use adam or "
                             "natural-gradient")

    def _choose(self, circuit: Circuit, X: torch.Tensor, held: torch.Tensor | None, mean: MeanState,
                extra: torch.Tensor | None) -> tuple[torch.Tensor, dict[str, Any]]:
        weights = self._start(circuit, mean).requires_grad_()
        plain = train([weights], lambda _: engine.infidelity(circuit.rows(weights, self.latent), mean), epochs=self.warm_up,
                      learning_rate=self._step(), patience=self.patience, tolerance=1e-5, seed=self.random_state,
                      optimizer=self._optimizer(circuit, X, weights, []))
        T = WARM if self._trains_temperature else self.temperature
        log_beta = torch.tensor(-math.log(T), dtype=X.dtype, device=X.device)
        others = [log_beta.requires_grad_()] if self._trains_temperature else []
        sliced = Slices(X, self.slices, self.random_state)
        of = circuit, weights, self.latent, log_beta, sliced
        chained = self.sampler == "langevin"
        model = (Chains(*of, self.chains, self.steps, self.random_state) if chained
                 else QuasiRandom(*of, X, self.points, self.random_state))
        seen = mean if held is None else circuit.mean_state(held)
        judged = sliced if held is None else Slices(held, self.slices, self.random_state)

        def validate() -> torch.Tensor:  # without Z, only the distance tells when the chains' model was best
            model.follow()
            if chained or self.loss == "wasserstein":
                return model.distance(judged)
            return log_beta.exp() * model.energy(seen) + model.log_partition()

        history = train_energy(
            [weights, *others], lambda _: model.energy(mean), model, log_beta=log_beta, loss=self.loss,
            notes=lambda: model.notes(mean, judged), validation=validate if chained or held is not None else None,
            epochs=self.epochs, learning_rate=self._step(), patience=self.patience, tolerance=1e-5, seed=self.random_state,
            optimizer=self._optimizer(circuit, X, weights, others), state=model.state, generator=model.random,
            checkpoint=self._checkpoint(circuit, X, held), progress=self.progress)
        if self.checkpoint is not None:
            Path(self.checkpoint).unlink(missing_ok=True)
        self.temperature_ = math.exp(-float(log_beta.detach()))
        self._ran = model, X, len(plain.train)
        return weights.detach(), _joined(plain, history)

    def _fit(self, X: np.ndarray, validation: np.ndarray | None) -> None:
        super()._fit(X, validation)
        model, events, self.diagnostics_["warm_up"] = self.__dict__.pop("_ran")
        self.diagnostics_ |= self._judged(model, events)
        problems = self._problems()
        self.diagnostics_ |= {"converged": not problems, "problems": problems}
        if problems:
            warnings.warn(f"the normalised autoencoder has not converged: {'; '.join(problems)}", NotConvergedWarning,
                          stacklevel=beyond())

    @torch.no_grad()
    def _judged(self, model: Ensemble, X: torch.Tensor) -> dict[str, Any]:
        """The trained model by points it was not trained with; sets ``log_normaliser_``."""
        circuit, rows, T = self.circuit(), self.rows(), self.temperature_
        n, f = JUDGES >> max(0, circuit.n_qubits - 12), X.shape[1]
        points, log_q = spread_points(X, n, self.random_state + 1)
        E = 1 - readout.fidelities(rows, circuit.encoding, points, circuit.n_qubits)
        logits = (-E / T - log_q).double()
        log_mean = float(logits.logsumexp(0)) - math.log(n)
        self.log_normaliser_ = log_mean + f * math.log(math.pi)
        w = logits.softmax(0)
        e_data, e_model = float(engine.infidelity(rows, circuit.mean_state(X))), float(w @ E.double())
        found = {"temperature": T, "log_likelihood": -e_data / T - self.log_normaliser_, "energy_data": e_data,
                 "energy_model": e_model, "energy_ratio": e_model / max(e_data, 1e-12),
                 "at_bounds": float(w @ at_bounds(points).double()), "at_bounds_data": float(at_bounds(X).double().mean()),
                 "wasserstein_fresh": self._between_halves(X)}
        model.follow()
        if isinstance(model, Chains):
            model.run(LAST_STEPS, LAST_STEPS)
            found |= {k: model.langevin.diagnostics[k] for k in ("acceptance", "jumps_accepted", "step", "r_hat")}
            found["energy_chains"] = float(model.energies().mean())
        found["effective_points"] = float(1 / model.logits().softmax(0).square().sum())
        found["wasserstein"] = float(model.distance())
        found["log_normaliser_error"] = None if isinstance(model, Chains) else float(model.log_partition()) - log_mean
        return found

    def _between_halves(self, X: torch.Tensor) -> float | None:
        """The distance between every other event and the rest."""
        one, other = X[::2], X[1::2]
        if len(other) < 2:
            return None
        return float(Slices(one, self.slices, self.random_state).against(other)(other.new_full((len(other),), 1 / len(other))))

    def _problems(self) -> list[str]:
        """What speaks against the trained model, and what to change."""
        d, found = self.diagnostics_, []
        n, off = d["effective_points"], d["log_normaliser_error"]
        losses = (d["history"]["validation"] or d["history"]["train"])[d["warm_up"]:]
        if not losses:
            return ["epochs=0 trains nothing"]
        if not d["log_likelihood"] > -self.n_features_in_ * math.log(math.pi):
            found.append("it is no likelier than a uniform density: take another random_state or loss='likelihood'")
        if still_falling(losses, self.epochs):
            found.append(f"the loss was still falling after {self.epochs} epochs: take more epochs")
        if self.sampler == "langevin" and not (d["r_hat"] or np.inf) < R_HAT:
            found.append(f"the chains' R̂ is {d['r_hat']}: take more steps")
        if self.sampler == "quasi-random" and not (n >= LEAST_POINTS and abs(off) < LOG_Z_OFF):
            found.append(f"{n:.0f} effective points, log Z off by {off:.2g}: take more points")
        judged = {k: d.get(k) for k in ("energy_ratio", "acceptance")}
        return found + unconverged(judged, self._trains_temperature and self.loss == "likelihood")

    def log_likelihood(self, X: np.ndarray) -> np.ndarray:
        """log p(x) = -E(x)/T - log ∫ exp(-E/T) of each event, a density in the angles [rad^-features], ``(n,)``."""
        X = self._check(X, reset=False)
        return -(1 - self.fidelity(X)) / self.temperature_ - self.log_normaliser_


def _joined(plain: History, then: History) -> dict[str, Any]:
    """One history of two trainings, the loss of the first E₊; what that does not know is None there."""
    n = len(plain.train)
    unknown: list[float | None] = [None] * n
    notes = {name: (plain.train if name == "energy_data" else unknown) + values for name, values in then.notes.items()}
    return {"train": plain.train + then.train, "validation": unknown + then.validation if then.validation else [],
            "best_epoch": n + then.best_epoch if then.train else plain.best_epoch, "seconds": plain.seconds + then.seconds,
            "notes": notes}
