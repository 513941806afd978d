"""A detector that is a normalised autoencoder: all that such detectors share, written once."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from qad import networks, settings
from qad.energy import LOSSES, OnManifold, train_energy, tube, unconverged
from qad.errors import InputError, NotConvergedWarning
from qad.neural import NeuralDetector
from qad.training import checkpoint_of
from qad.transport import wasserstein

#: Events that the distance between model and data is taken over; steps of the chains that judge the trained model.
JUDGES, LAST_STEPS = 512, 100


class NormalisedDetector(NeuralDetector):
    """p(x) = exp(-E(x)/T)/Z with E(x) = |x - D(E(x))|²/d an autoencoder's error; score E, which falls with log p.

    -log p has the gradient (E₊ - E₋)/T, + over background, - over what the model itself holds for likely, drawn by Langevin
    chains (arXiv:2105.05735; jets 2206.14225): the network learns to reconstruct background and nothing else. A subclass writes
    ``_network()``, whose network has ``prepare(x)``, ``coordinates(x)`` (B, d) and their ``bounds(u)``, ``energy(u)`` (B,),
    ``encode(u)`` and ``decode(z)`` for z on the sphere of ``latent`` dimensions, and ``events(u)``, coordinates back to events.

    epochs        of the normalised training; ``warm_up`` before them, of the plain autoencoder, at ``warm_up_rate``
    loss          "likelihood"; or "wasserstein": W₁ between a batch and the model's events, through the chains (2510.02168)
    temperature   T, or "likelihood": trained too; then E₋/E₊ = 1 where it has converged
    steps         of the chains before each step of the training; ``latent_steps`` of those in the latent space
    restart       share of the chains that begin anew where the latent chains are
    penalty       γ in γ E₋²/T
    spectral      divide each layer's weights by their spectral norm
    buffer        events of the model that are kept

    Steps of the chains adapt by themselves, in both spaces. The epoch kept is the one whose model is nearest, in W₁, to
    background held back. ``diagnostics_`` has E₊, E₋ and their ratio, acceptance, shares of coordinates at the bounds, W₁ to the
    data and between two halves of the data, T, per epoch and at the end, ``converged`` and, in words, ``problems``; where there
    are any a :class:`qad.errors.NotConvergedWarning` says so. All else as in :class:`qad.neural.NeuralDetector`.
    """

    whole = NeuralDetector.whole | {"warm_up": 0, "steps": 1, "latent_steps": 0, "latent": 2, "buffer": 1}
    #: Share of chain steps that propose a point anywhere in the box: hopeless in many dimensions.
    jumps = 0.0

    def __init__(self, epochs: int, warm_up: int, learning_rate: float, warm_up_rate: float, batch_size: int, patience: int,
                 loss: str, temperature: float | str, steps: int, latent_steps: int, restart: float, penalty: float,
                 spectral: bool, buffer: int, device: str, precision: str, checkpoint: str | None, random_state: int) -> None:
        super().__init__(epochs, learning_rate, batch_size, patience, device, precision, checkpoint, random_state)
        self.warm_up = warm_up
        self.warm_up_rate = warm_up_rate
        self.loss = loss
        self.temperature = temperature
        self.steps = steps
        self.latent_steps = latent_steps
        self.restart = restart
        self.penalty = penalty
        self.spectral = spectral
        self.buffer = buffer

    def _check_settings(self) -> None:
        super()._check_settings()
        if self.loss not in LOSSES:
            raise InputError(f"loss={self.loss!r}: expected one of {', '.join(LOSSES)}")
        if isinstance(self.temperature, str):
            if self.temperature != "likelihood":
                raise InputError(f"temperature={self.temperature!r}: expected a number above 0, or 'likelihood'")
        else:
            settings.number("temperature", self.temperature, above=True)
        settings.number("warm_up_rate", self.warm_up_rate, above=True)
        settings.number("penalty", self.penalty)
        settings.flag("spectral", self.spectral)
        if not (isinstance(self.restart, int | float) and 0 <= self.restart <= 1):
            raise InputError(f"restart={self.restart!r}: expected a share from 0 to 1")
        if self.latent_steps == 0 and self.restart > 0:
            raise InputError("latent_steps=0 gives no events to begin anew at: take restart=0, or latent_steps from 1")

    def _event_scores(self, network: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        return network.energy(network.coordinates(batch))

    def _fit(self, X: np.ndarray, validation: np.ndarray | None) -> None:
        self._check_settings()
        here = networks.device(self.device)
        network = self._network().to(here)
        x = networks.tensor(X, torch.float32).to(here)
        network.prepare(x)

        def coordinates(x: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                return torch.cat([network.coordinates(part) for part in x.split(self.chunk)])

        u = coordinates(x)
        held = u if validation is None else coordinates(networks.tensor(validation, torch.float32).to(here))
        some = torch.Generator().manual_seed(self.random_state)
        chosen = held[torch.randperm(len(held), generator=some)[:JUDGES].to(here)]
        trains_T = isinstance(self.temperature, str)
        log_beta = torch.zeros((), device=here, requires_grad=trains_T)
        if not trains_T:
            log_beta.data.fill_(-math.log(self.temperature))
        low, high = network.bounds(u)
        begin_at = torch.randint(len(u), (max(self.buffer, self.batch_size),), generator=some).to(here)
        model = OnManifold(network, log_beta, low, high, chains=min(self.batch_size, len(u)), steps=self.steps,
                           latent_steps=self.latent_steps, restart=self.restart, through=self.loss == "wasserstein",
                           penalty=self.penalty, seed=self.random_state, jumps=self.jumps, points=u[begin_at],
                           **self._chain_settings(network))
        weights = [p for p in network.parameters() if p.requires_grad]
        others = [log_beta] if trains_T else []
        optimizer = torch.optim.Adam([{"params": weights}, {"params": others, "lr": self._temperature_rate()}] if others else weights,
                                     lr=self.warm_up_rate if self.warm_up else self.learning_rate)
        before, epoch = self._mean_energy(network, chosen), {"begun": self.warm_up == 0}

        def begin() -> None:
            epoch["begun"] = True
            optimizer.state.clear()
            for group, rate in zip(optimizer.param_groups, [self.learning_rate, self._temperature_rate()], strict=False):
                group["lr"] = rate
            with torch.no_grad():
                if trains_T:
                    log_beta.fill_(-math.log(tube(self._mean_energy(network, chosen), model.dimensions(chosen) - self.latent)))
                for part in model.visible.points.split(self.chunk):
                    part.copy_(model.rebuilt(part))

        def judge() -> torch.Tensor:
            network.train(False)
            if not epoch["begun"]:
                return torch.tensor(self._mean_energy(network, chosen))
            epoch["distance"] = wasserstein(chosen, model.visible.points[: len(chosen)])
            return epoch["distance"]

        def notes() -> dict[str, float | None]:
            if not epoch["begun"]:
                return dict.fromkeys(model.names)
            return model.notes() | {"wasserstein": float(epoch["distance"])}

        def energy(batch: torch.Tensor) -> torch.Tensor:
            network.train()
            return network.energy(batch).mean()

        history = train_energy(
            [*weights, *others], energy, model, log_beta=log_beta, loss=self.loss, warm_up=self.warm_up, begin=begin, notes=notes,
            data=u, epochs=self.warm_up + self.epochs, batch_size=self.batch_size, learning_rate=self.learning_rate,
            validation=judge, patience=self.patience, optimizer=optimizer, seed=self.random_state, clip=self.clip,
            buffers=[b for b in network.buffers() if b.is_floating_point()],
            state=[t for chain in model.chains for t in chain.state], generator=[chain.random for chain in model.chains],
            precision=self.precision, checkpoint=checkpoint_of(self, X, validation), progress=self.progress)
        network.train(False)
        self.temperature_ = math.exp(-float(log_beta.detach()))
        self.parameters_ = networks.count(network)
        self.diagnostics_ = {"history": history.as_dict(), "warm_up": self.warm_up, "loss_untrained": before,
                             "loss": self._mean_energy(network, chosen), "temperature": self.temperature_}
        if self.epochs:
            self._judge(model, u, chosen, trains_T)
        self.samples_ = network.events(model.visible.points.detach()).cpu().numpy()
        self.network_ = network.double()  # scores must not depend on how events are batched
        self.device_ = str(here)

    def _temperature_rate(self) -> float:
        return 10 * self.learning_rate

    def _chain_settings(self, network: nn.Module) -> dict[str, Any]:
        """More of :class:`qad.sampling.Langevin`, for events whose coordinates do not all move at once."""
        return {}

    @torch.no_grad()
    def _mean_energy(self, network: nn.Module, u: torch.Tensor) -> float:
        network.train(False)
        return float(sum(network.energy(part).sum() for part in u.split(self.chunk))) / len(u)

    def _judge(self, model: OnManifold, u: torch.Tensor, chosen: torch.Tensor, trains_T: bool) -> None:
        """The trained model by its chains, run on; into ``diagnostics_``."""
        network = model.network
        for _ in range(max(1, len(model.visible.points) // model.visible.chains)):
            model.run(LAST_STEPS)
        x = model.visible.points
        e_data, e_model = self._mean_energy(network, u[: 8 * JUDGES]), self._mean_energy(network, x)
        half = len(chosen) // 2
        found = {"energy_data": e_data, "energy_model": e_model, "energy_ratio": e_model / max(e_data, 1e-12),
                 "acceptance": model.visible.diagnostics["acceptance"],
                 "at_bounds": model.at_bounds(x), "at_bounds_data": model.at_bounds(u[: 8 * JUDGES]),
                 "wasserstein": float(wasserstein(chosen[:half], x[:half])),
                 "wasserstein_fresh": float(wasserstein(chosen[:half], chosen[half : 2 * half])) if half else None}
        problems = unconverged(found, trains_T and self.loss == "likelihood")
        self.diagnostics_ |= found | {"converged": not problems, "problems": problems}
        if problems:
            warnings.warn(f"the normalised autoencoder has not converged: {'; '.join(problems)}", NotConvergedWarning,
                          stacklevel=4)

    def fit(self, X: ArrayLike, y: Any = None, **more: Any) -> NormalisedDetector:
        """As every detector."""
        super().fit(X, y, **more)
        return self
