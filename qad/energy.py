"""Energy models p(x) ∝ exp(-E(x)/T): their training, their chains, and whether they converged."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn.utils import parametrize

from qad.errors import InputError
from qad.sampling import EDGE, Langevin
from qad.training import History, train
from qad.transport import wasserstein

LOSSES = ("likelihood", "wasserstein")
#: E₋/E₊ may be off from 1 by this where T is trained; chains accept this share of their steps; their points lie at bounds no
#: more than this oftener than the data do; they are no farther from the data than this times what two halves of the data are.
OFF, ACCEPTANCE, AT_BOUNDS, FAR = 0.1, (0.3, 0.99), 0.1, 1.5
#: Acceptance that chains aim at where a gradient goes through them. It knows nothing of rejections, and where steps are as long
#: as the density is wide, as they are at 0.57, it is noise: of a normal distribution's width it has not even the sign.
THROUGH = 0.95


class Model(Protocol):
    """What background is compared with: the model's own events, as the present energy has them."""

    def advance(self) -> None:
        """Follow the energy after a step of the training."""

    def log_partition(self) -> torch.Tensor:
        """log Z(β), a scalar with its gradient in weights and β; where only that is known, any value."""

    def distance(self, events: Any) -> torch.Tensor:
        """Of the model from events, differentiable."""


def train_energy(parameters: Sequence[torch.Tensor], energy: Callable[[Any], torch.Tensor], model: Model, *,
                 log_beta: torch.Tensor, loss: str = "likelihood", warm_up: int = 0,
                 penalty: Callable[[], torch.Tensor] | None = None, seen: Callable[[Any], Any] = lambda batch: batch,
                 begin: Callable[[int], None] | None = None,
                 notes: Callable[[], dict[str, float | None]] | None = None, **settings: Any) -> History:
    """Minimise -log p(x) = E(x)/T + log Z, or the Wasserstein distance of background from model; the one trainer.

    The likelihood's gradient is (E₊ - E₋)/T, + over background, - over the model (arXiv:2105.05735); the distance's goes
    through the model's events (arXiv:2510.02168).

    energy    mean E of a batch, a scalar
    log_beta  log 1/T; trained if among the ``parameters``
    loss      "likelihood" or "wasserstein"
    warm_up   epochs that minimise the mean energy alone, as a plain autoencoder
    penalty   added to the loss of each step of the likelihood
    seen      what the energy sees of a batch: the batch, or the batch smeared
    begin     told each epoch after the warm-up before it begins, from 0; also where a killed training goes on
    notes     asked after each epoch, besides E₊
    settings  of :func:`qad.training.train`
    """
    if loss not in LOSSES:
        raise InputError(f"loss={loss!r}: expected 'likelihood' or 'wasserstein'")
    now = {"epoch": 0, "energy": 0.0, "count": 0}

    def started(epoch: int) -> None:
        now.update(epoch=epoch, energy=0.0, count=0)
        if epoch >= warm_up and begin is not None:
            begin(epoch - warm_up)

    def objective(batch: Any) -> torch.Tensor:
        batch = seen(batch)
        if now["epoch"] < warm_up:
            return _counted(energy(batch))
        if loss == "wasserstein":
            _counted(energy(batch))  # for the notes; and spectral norms follow the weights
        model.advance()
        if loss == "wasserstein":
            return model.distance(batch)
        found = log_beta.exp() * _counted(energy(batch)) + model.log_partition()
        return found if penalty is None else found + penalty()

    def _counted(mean: torch.Tensor) -> torch.Tensor:
        now["energy"] = now["energy"] + mean.detach()
        now["count"] += 1
        return mean

    def noted() -> dict[str, float | None]:
        mean = float(now["energy"]) / now["count"] if now["count"] else None
        return {"energy_data": mean} | ({} if notes is None else notes())

    return train(parameters, objective, warm_up=warm_up, started=started, notes=noted, **settings)


class OnManifold:
    """A network's Langevin chains, in its latent space and, begun where the decoder puts those, among events.

    The latent chains follow H(z) = E(D(z/|z|)) under a normal prior, whose directions are uniform: they sample the sphere with
    no more than a chain in a box (on-manifold initialisation, arXiv:2105.05735; steps and acceptance in both spaces as in
    2206.14225, but the steps adapt).

    network       has ``energy(u)``, ``decode(z)`` for z on the sphere, and ``latent``, its dimensions. One whose events hold
                  what does not move, as which nodes are there, has ``given(u)``, the k columns of it that ``decode(z, given)``
                  is told, from 0 to 1: each latent chain keeps those of an event that the chains begin with
    log_beta      log 1/T
    low, high     bounds of events' coordinates u
    chains        that move in a step of the training; ``steps`` and ``latent_steps`` of each
    restart       share of the visible chains that begin anew on the manifold
    through       leave the events differentiable in the network, for a distance
    penalty       γ in γ mean(E₋²)/T, which keeps the model's energies from running away
    settings      of the visible :class:`qad.sampling.Langevin`
    """

    #: Bounds of latent chains, in standard deviations of the prior.
    REACH = 5.0

    def __init__(self, network: Any, log_beta: torch.Tensor, low: torch.Tensor, high: torch.Tensor, *, chains: int, steps: int,
                 latent_steps: int, restart: float, through: bool, penalty: float, seed: int, **settings: Any) -> None:
        self.network, self.log_beta = network, log_beta
        self.steps, self.latent_steps, self.through, self.gamma = steps, latent_steps, through, penalty
        if through:
            settings = {"target": THROUGH} | settings
        self.visible = Langevin(low, high, chains=chains, restart=restart, seed=seed, **settings)
        self.hidden: Langevin | None = None
        if latent_steps:
            self.hidden = self._latent_chains(chains, max(chains, math.ceil(restart * len(self.visible.points))), seed + 1)
        # events of the latent chains last for as many runs as it takes that each is begun at once
        self.lasting = max(1, int(1 / restart)) if restart > 0 else 1
        self.fresh = torch.zeros_like(self.visible.points[:chains])
        self.runs = torch.zeros((), dtype=torch.int64)
        self.x = self.visible.points[:chains]
        self._energies: torch.Tensor | None = None

    def _latent_chains(self, chains: int, buffer: int, seed: int) -> Langevin:
        points = self.visible.points
        reach = torch.full((self.network.latent,), self.REACH, dtype=points.dtype, device=points.device)
        settings = {"chains": chains, "restart": 0.05, "jumps": 0.1, "seed": seed}
        told = self._told(points[:buffer])
        if not told:
            return Langevin(-reach, reach, buffer=buffer, **settings)
        given, moves = told[0], torch.arange(len(reach) + told[0].shape[1], device=points.device) < len(reach)
        found = Langevin(torch.cat([-reach, torch.zeros_like(given[0])]), torch.cat([reach, torch.ones_like(given[0])]),
                         buffer=len(given), free=lambda w: moves.expand_as(w), **settings)
        found.points[:, len(reach):] = given
        return found

    def _told(self, u: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (self.network.given(u),) if hasattr(self.network, "given") else ()

    @property
    def chains(self) -> list[Langevin]:
        """Those of events, and of the latent space if there are any."""
        return [self.visible] if self.hidden is None else [self.visible, self.hidden]

    @property
    def state(self) -> list[torch.Tensor]:
        """All that a checkpoint has to hold, but for random numbers."""
        return [t for chain in self.chains for t in chain.state] + [self.fresh, self.runs]

    def run(self, steps: int, *, adapt: bool = True, judge: bool = False, through: bool = False, **settings: Any
            ) -> torch.Tensor:
        """Move the chains under the present energy; events ``(chains, d)``."""
        # never in mixed precision: E/T may be hundreds, and what is accepted needs its digits
        with torch.autocast(self.visible.low.device.type, enabled=False):
            return self._run(steps, adapt, judge, through, settings)

    def _run(self, steps: int, adapt: bool, judge: bool, through: bool, settings: dict[str, Any]) -> torch.Tensor:
        T = torch.exp(-self.log_beta) if through else torch.exp(-self.log_beta.detach())
        fresh = self.fresh if self.hidden is not None and self.visible.restart > 0 else None
        if fresh is not None and int(self.runs) % self.lasting == 0:
            fresh.copy_(self._anew(T.detach()))
        self.runs += 1
        with _still(self.network, learning=through):
            self.x = self.visible.run(self.network.energy, steps, temperature=T, fresh=fresh, adapt=adapt, judge=judge,
                                      through=through, **settings)
        self._energies = None
        return self.x

    def _anew(self, T: torch.Tensor) -> torch.Tensor:
        """Events where the latent chains are, each of which takes its steps first."""
        def height(z: torch.Tensor) -> torch.Tensor:
            return self.network.energy(self._decoded(z)) + T * z[:, : self.network.latent].square().sum(1) / 2

        with _still(self.network):
            z = self.hidden.run(height, self.latent_steps, temperature=T, adapt=True, judge=False)
            with torch.no_grad():
                return self._decoded(z)

    def _decoded(self, z: torch.Tensor) -> torch.Tensor:
        z, given = z[:, : self.network.latent], z[:, self.network.latent :]
        return self.inside(self.network.decode(nn.functional.normalize(z, dim=1), *([given] if given.shape[1] else [])))

    def rebuilt(self, u: torch.Tensor) -> torch.Tensor:
        """As the autoencoder gives them back."""
        return self.inside(self.network.decode(self.network.encode(u), *self._told(u)))

    def inside(self, u: torch.Tensor) -> torch.Tensor:
        """Moved to the bounds where they are beyond."""
        low = self.visible.low
        return u.maximum(low).minimum(low + self.visible.width)

    def at_bounds(self, u: torch.Tensor) -> float:
        """Share of the coordinates of ``u`` within a hundredth of the box's width from a bound.

        Of those that move, and where they do so in blocks of the first: events may lie at the bounds of others by their nature.
        """
        low, width = self.visible.low, self.visible.width
        near, moves = (u - low).minimum(low + width - u) < EDGE * width, self._moves(u)
        if self.visible.blocks is not None:
            moves = moves & self.visible.blocks[0]
        return float((near & moves).sum() / moves.sum().clamp_min(1))

    def _moves(self, u: torch.Tensor) -> torch.Tensor:
        return torch.ones_like(u, dtype=torch.bool) if self.visible.free is None else self.visible.free(u)

    def dimensions(self, u: torch.Tensor) -> float:
        """How many coordinates of an event move, on average."""
        return float(self._moves(u).sum(1).double().mean())

    @property
    def names(self) -> list[str]:
        """Of the notes."""
        hidden = [] if self.hidden is None else ["acceptance_latent", "step_latent"]
        return ["energy_model", "acceptance", "at_bounds", "step", "wasserstein", *hidden]

    def advance(self) -> None:
        """``steps`` of ``chains`` chains; h goes on adapting."""
        self.run(self.steps, through=self.through)

    def energies(self) -> torch.Tensor:
        """E of the model's events, ``(chains,)``; differentiable in the network, but not through the chain."""
        if self._energies is None:
            self._energies = self.network.energy(self.x.detach())
        return self._energies

    def log_partition(self) -> torch.Tensor:
        """-E₋/T, which has the gradient of log Z; with γ E₋²/T."""
        beta, e = self.log_beta.exp(), self.energies()
        return -beta * e.mean() + self.gamma * beta.detach() * e.square().mean()

    def distance(self, events: torch.Tensor) -> torch.Tensor:
        """W₁ between a batch and the model's events, through the steps of the chains."""
        return wasserstein(events, self.x)

    def notes(self) -> dict[str, float | None]:
        """Of the last run, for a history."""
        found = self.visible.diagnostics
        kept: dict[str, float | None] = {"energy_model": float(self.energies().detach().mean())}
        kept |= {"acceptance": found["acceptance"], "at_bounds": self.at_bounds(self.x.detach()), "step": found["step"]}
        if self.hidden is not None:
            kept |= {f"{k}_latent": self.hidden.diagnostics.get(k) for k in ("acceptance", "step")}
        return kept


@contextlib.contextmanager
def _still(network: nn.Module, learning: bool = False) -> Iterator[None]:
    """What is computed of weights (spectral norms) is computed once, and without ``learning`` no gradient goes to them."""
    was = network.training, [p.requires_grad for p in network.parameters()]
    network.train(False)
    if not learning:
        network.requires_grad_(False)
    try:
        with parametrize.cached():
            yield
    finally:
        network.train(was[0])
        for p, learns in zip(network.parameters(), was[1], strict=True):
            p.requires_grad_(learns)


def unconverged(found: dict[str, Any], trained_temperature: bool) -> list[str]:
    """What speaks against a trained energy model, and what to change; nothing if it converged.

    found  ``energy_ratio`` E₋/E₊, ``acceptance``, ``at_bounds`` and ``at_bounds_data``, ``wasserstein`` and
           ``wasserstein_fresh``; those that are there
    """
    problems = []
    ratio, acceptance = found.get("energy_ratio"), found.get("acceptance")
    if trained_temperature and ratio is not None and not abs(ratio - 1) < OFF:
        problems.append(f"E₋/E₊ is {ratio:.2f} at the trained temperature: take more epochs, or another learning_rate")
    if acceptance is not None and not ACCEPTANCE[0] < acceptance < ACCEPTANCE[1]:
        problems.append(f"{acceptance:.0%} of the chains' steps are accepted: take more steps, that they adapt")
    bounds, data = found.get("at_bounds"), found.get("at_bounds_data")
    if data is not None and bounds - data > AT_BOUNDS:
        problems.append(f"the model's events lie at the bounds in {bounds:.0%} of their coordinates, the data in {data:.0%}: "
                        "take a smaller learning_rate or a larger penalty")
    far, fresh = found.get("wasserstein"), found.get("wasserstein_fresh")
    if far is not None and fresh and not far < FAR * fresh:
        problems.append(f"the model's events are {far / fresh:.1f} times as far from the data as two halves of the data from "
                        "each other: take more epochs, more steps or a larger network")
    return problems


def still_falling(losses: Sequence[float], epochs: int, least: float = 0.01) -> bool:
    """Whether a training used all its epochs and its loss fell in the last tenth by more than ``least`` of its whole fall."""
    late = losses[: max(1, len(losses) - max(1, len(losses) // 10))]
    return len(losses) == epochs and not min(late) - min(losses) < least * (losses[0] - min(losses))


def tube(energy: float, dimensions: float) -> float:
    """T at which a Gaussian tube about a manifold has the mean energy that was found, E = d T/2 · 1/d: 2 E/d."""
    return max(2 * energy / max(dimensions, 1), 1e-12) if math.isfinite(energy) else 1.0
