"""A detector that is a normalised autoencoder: all that such detectors share, written once."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import nn

from qad import networks, settings
from qad.energy import LOSSES, OnManifold, train_energy, tube, unconverged
from qad.errors import InputError, NotConvergedWarning, beyond
from qad.neural import NeuralDetector
from qad.training import checkpoint_of
from qad.transport import wasserstein

#: Events that the distance between model and data is taken over; steps of the chains that judge the trained model.
JUDGES, LAST_STEPS = 512, 100
#: Learning rate of the last epoch over that of the first, for chains can follow only what moves slowly; T's over the weights'.
LAST_RATE, WARMER = 0.05, 10


class NormalisedDetector(NeuralDetector):
    """p(x) = exp(-E(x)/T)/Z with E(x) = |x - D(E(x))|²/d an autoencoder's error; score E, which falls with log p.

    -log p has the gradient (E₊ - E₋)/T, + over background, - over what the model itself holds for likely, drawn by Langevin
    chains (arXiv:2105.05735; jets 2206.14225): the network learns to reconstruct background and nothing else. A subclass writes
    ``_network()``, whose network has ``prepare(x)``, ``coordinates(x)`` (B, d) and their ``bounds(u)``, ``energy(u)`` (B,),
    ``encode(u)`` and ``decode(z)`` for z on the sphere of ``latent`` dimensions, and ``events(u)``, coordinates back to events.

    epochs        of the normalised training; ``warm_up`` before them, of the plain autoencoder, at ``warm_up_rate``; both 0
                  leave the network untrained
    loss          "likelihood"; or "wasserstein": W₁ between a batch and the model's events, through the chains (2510.02168)
    temperature   T, or "likelihood": trained too; then E₋/E₊ = 1 where it has converged
    steps         of the chains before each step of the training; ``latent_steps`` of those in the latent space
    restart       share of the chains that begin anew where the latent chains are
    penalty       γ in γ E₋²/T
    spectral      divide each layer's weights by their spectral norm
    smear         background is smeared by this much noise, in standard deviations of each coordinate, so that p is its density
                  at that resolution; "scott" takes n^(-1/(d + 4)), the rule of kernel densities. Scores are of events unsmeared
    buffer        events of the model that are kept

    Steps of the chains adapt by themselves, in both spaces; the learning rate falls linearly, to a twentieth. The epoch kept is
    the one whose model is nearest, in W₁, to background held back (without any: to the training events). ``diagnostics_`` has
    E₊, E₋ and their ratio, acceptance, shares of coordinates at the bounds, W₁ to the data and between two halves of the data,
    T, per epoch and at the end, ``converged`` and, in words, ``problems``; where there are any a
    :class:`qad.errors.NotConvergedWarning` says so. ``loss`` and ``loss_untrained`` are E of smeared events. ``sample`` draws
    events of the model. All else as in :class:`qad.neural.NeuralDetector`.
    """

    whole = NeuralDetector.whole | {"warm_up": 0, "steps": 1, "latent_steps": 0, "latent": 2, "buffer": 1}
    #: Share of chain steps that propose a point anywhere in the box: hopeless in many dimensions.
    jumps = 0.0
    #: Memory, from a step to the next, of an average of the weights, which is what is judged and kept; 0: of the last step's.
    #: Chains follow the weights of the steps, and one step's density is noise where the average's is the data's.
    average = 0.0

    def __init__(self, epochs: int, warm_up: int, learning_rate: float, warm_up_rate: float, batch_size: int, patience: int,
                 loss: str, temperature: float | str, steps: int, latent_steps: int, restart: float, penalty: float,
                 spectral: bool, smear: float | str, buffer: int, device: str, precision: str, checkpoint: str | None,
                 random_state: int) -> None:
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
        self.smear = smear
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
        if self.smear != "scott":
            settings.number("smear", self.smear)
        share = isinstance(self.restart, int | float | np.number) and not isinstance(self.restart, bool | np.bool)
        if not share or not 0 <= self.restart <= 1:
            raise InputError(f"restart={self.restart!r}: expected a share from 0 to 1")
        if self.loss == "wasserstein" and self.penalty:
            raise InputError(f"penalty={self.penalty!r}: it belongs to loss='likelihood'; take penalty=0")
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
        noise, some = torch.Generator(here).manual_seed(self.random_state + 2), torch.Generator().manual_seed(self.random_state)
        spread = u.std(0, correction=0)
        width = self._resolution(*u.shape) * torch.where(spread > 0, spread, 1.0)

        def smear(u: torch.Tensor) -> torch.Tensor:
            return u + width * torch.randn(u.shape, generator=noise, dtype=u.dtype, device=here) if self.smear else u

        chosen = smear(held[torch.randperm(len(held), generator=some)[:JUDGES].to(here)])
        learns_T = isinstance(self.temperature, str)
        log_beta = torch.tensor(0.0 if learns_T else -math.log(self.temperature), device=here, requires_grad=learns_T)
        low, high = network.bounds(smear(u))
        begun = torch.randint(len(u), (max(self.buffer, self.batch_size),), generator=some).to(here)
        model = OnManifold(network, log_beta, low, high, chains=min(self.batch_size, len(u)), steps=self.steps,
                           latent_steps=self.latent_steps, restart=self.restart, through=self.loss == "wasserstein",
                           penalty=self.penalty, seed=self.random_state, jumps=self.jumps, points=u[begun],
                           **self._chain_settings(network))
        training = _Training(self, model, log_beta, chosen)
        before = training.mean_energy(chosen)
        history = train_energy(
            training.parameters, training.energy, model, seen=smear, log_beta=log_beta, loss=self.loss, warm_up=self.warm_up,
            begin=training.begin, notes=training.notes, data=u, epochs=self.warm_up + self.epochs, batch_size=self.batch_size,
            learning_rate=self.learning_rate, validation=training.judge, patience=self.patience, optimizer=training.optimizer,
            seed=self.random_state, clip=self.clip, buffers=[b for b in network.buffers() if b.is_floating_point()],
            state=model.state + training.state, generator=[noise, *(chain.random for chain in model.chains)],
            precision=self.precision, checkpoint=checkpoint_of(self, X, validation), progress=self.progress)
        network.train(False)
        self.temperature_ = math.exp(-float(log_beta.detach()))
        self.parameters_ = networks.count(network)
        self.diagnostics_ = {"history": history.as_dict(), "warm_up": self.warm_up, "loss_untrained": before,
                             "loss": training.mean_energy(chosen), "temperature": self.temperature_}
        if self.epochs:
            self._judge(training, smear(u[torch.randperm(len(u), generator=some)[: 8 * JUDGES].to(here)]))
        self.samples_ = network.events(model.visible.points.detach()).cpu().numpy()
        self.bounds_ = torch.stack([low, high]).cpu().numpy()
        self.network_ = network.double()  # scores must not depend on how events are batched
        self.device_ = str(here)

    def _resolution(self, n: int, d: int) -> float:
        return n ** (-1 / (d + 4)) if self.smear == "scott" else float(self.smear)

    def _chain_settings(self, network: nn.Module) -> dict[str, Any]:
        """More of :class:`qad.sampling.Langevin`, for events whose coordinates do not all move at once."""
        return {}

    def sample(self, n: int, steps: int = 500) -> np.ndarray:
        """``n`` events of the trained density, as those in ``fit``; by as many chains from the ``samples_``, ``steps`` long.

        In the first half of them their steps' lengths adapt. All random numbers come from ``random_state``.
        """
        check_is_fitted(self)
        if not self.epochs:
            raise InputError("epochs=0 trained no density to draw from: fit with epochs from 1")
        settings.whole("n", n, 1)
        settings.whole("steps", steps, 2)
        network = self.network_
        some = torch.Generator().manual_seed(self.random_state)
        begun = torch.as_tensor(self.samples_, dtype=torch.float64)[torch.randint(len(self.samples_), (n,), generator=some)]
        low, high = torch.as_tensor(self.bounds_, dtype=torch.float64).to(next(network.parameters()).device)
        with torch.no_grad():
            u = network.coordinates(begun.to(low)).maximum(low).minimum(high)
        model = OnManifold(network, low.new_tensor(-math.log(self.temperature_)), low, high, chains=n, steps=steps, restart=0.0,
                           latent_steps=0, through=False, penalty=0.0, seed=self.random_state, jumps=self.jumps, points=u,
                           **self._chain_settings(network))
        u = model.run(steps - steps // 2, burn_in=steps // 2, adapt=False)
        return network.events(u).cpu().numpy()

    def _judge(self, training: _Training, u: torch.Tensor) -> None:
        """The trained model by its chains, run on, beside background ``u``; into ``diagnostics_``."""
        model, chosen = training.model, training.chosen
        model.visible.chains = min(JUDGES, len(model.visible.points))
        x = model.run(LAST_STEPS)
        half = min(len(chosen) // 2, len(x))
        e_data, e_model = training.mean_energy(u), training.mean_energy(x)
        found = {"energy_data": e_data, "energy_model": e_model, "energy_ratio": e_model / max(e_data, 1e-12),
                 "acceptance": model.visible.diagnostics["acceptance"],
                 "at_bounds": model.at_bounds(x), "at_bounds_data": model.at_bounds(u),
                 "wasserstein": float(wasserstein(chosen[:half], x[:half])) if half else None,
                 "wasserstein_fresh": float(wasserstein(chosen[:half], chosen[half : 2 * half])) if half else None}
        problems = unconverged(found, isinstance(self.temperature, str) and self.loss == "likelihood")
        self.diagnostics_ |= found | {"converged": not problems, "problems": problems}
        if problems:
            warnings.warn(f"the normalised autoencoder has not converged: {'; '.join(problems)}", NotConvergedWarning,
                          stacklevel=beyond())


class _Training:
    """The two stages of one training: first the plain autoencoder, then the normalised one."""

    def __init__(self, detector: NormalisedDetector, model: OnManifold, log_beta: torch.Tensor, chosen: torch.Tensor) -> None:
        self.detector, self.model, self.log_beta, self.chosen = detector, model, log_beta, chosen
        self.network = model.network
        weights = [p for p in self.network.parameters() if p.requires_grad]
        self.parameters = [*weights, log_beta] if log_beta.requires_grad else weights
        groups = [{"params": weights}, *([{"params": [log_beta]}] if log_beta.requires_grad else [])]
        self.optimizer = torch.optim.Adam(groups, lr=detector.warm_up_rate)
        self.normalised, self.distance = False, math.nan
        self.averages, self.present = ([p.detach().clone() for p in self.parameters if detector.average] for _ in range(2))
        self.optimizer.register_step_post_hook(lambda *_: self._average())

    @property
    def state(self) -> list[torch.Tensor]:
        """What a checkpoint has to hold beside weights and chains."""
        return self.averages + self.present

    @torch.no_grad()
    def _average(self) -> None:
        for mean, p in zip(self.averages, self.parameters, strict=False):
            mean.lerp_(p, 1 - self.detector.average)

    @torch.no_grad()
    def _copy(self, source: list[torch.Tensor], to: list[torch.Tensor]) -> None:
        for a, b in zip(source, to, strict=False):  # none where nothing is averaged
            b.copy_(a)

    def energy(self, batch: torch.Tensor) -> torch.Tensor:
        """Mean E of a batch."""
        self.network.train()
        return self.network.energy(batch).mean()

    @torch.no_grad()
    def mean_energy(self, u: torch.Tensor) -> float:
        """Mean E of any number of events."""
        self.network.train(False)
        return float(sum(self.network.energy(part).sum() for part in u.split(self.detector.chunk))) / len(u)

    def begin(self, epoch: int) -> None:
        """An epoch of the normalised training: its learning rates; at the first, T and the chains' points."""
        rate = self.detector.learning_rate * (1 - (1 - LAST_RATE) * epoch / max(self.detector.epochs - 1, 1))
        for group, faster in zip(self.optimizer.param_groups, (1, WARMER), strict=False):
            # the loss is another one after each step: its gradient is not worth remembering
            group.update(lr=rate * faster, betas=(0.0, 0.999))
        self.normalised = True
        if epoch:
            self._copy(self.present, self.parameters)
            return
        self.optimizer.state.clear()
        with torch.no_grad():
            if self.log_beta.requires_grad:
                d = self.model.dimensions(self.chosen) - (self.detector.latent - 1)  # across what a sphere is decoded to
                self.log_beta.fill_(-math.log(tube(self.mean_energy(self.chosen), d)))
            for part in self.model.visible.points.split(self.detector.chunk):
                part.copy_(self.model.rebuilt(part))
        self._copy(self.parameters, self.averages)

    def judge(self) -> torch.Tensor:
        """What decides which epoch is kept: the plain autoencoder's error; then the model's distance from background."""
        if not self.normalised:
            return torch.tensor(self.mean_energy(self.chosen))
        self.network.train(False)
        if self.averages:
            self._copy(self.parameters, self.present)
            self._copy(self.averages, self.parameters)
            self.model.run(2 * self.model.steps)  # towards their density
        parts = self.model.visible.points[: 4 * len(self.chosen)].split(len(self.chosen))  # one alone is noise
        found = sum(wasserstein(self.chosen, part) * len(part) for part in parts) / sum(map(len, parts))
        self.distance = float(found)
        return found

    def notes(self) -> dict[str, float | None]:
        """Of an epoch, for the history."""
        if not self.normalised:
            return dict.fromkeys(self.model.names)
        return self.model.notes() | {"wasserstein": self.distance}
