"""What a normalised quantum autoencoder compares its background with: points of the model, and their weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

from qad.errors import InputError
from qad.quantum import engine
from qad.quantum.circuit import Circuit
from qad.quantum.mean_state import MeanState
from qad.sampling import EDGE, Langevin
from qad.transport import Slices

#: Bytes that the encoded states of all quasi-random points may take.
MEMORY = 2**31


def spread_points(events: torch.Tensor, n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """``n`` scrambled Sobol points in [0, π]^features [rad], and log q, their density relative to the uniform one.

    Half of them lie uniformly, a quarter each as normal distributions cut at 0 and π, with the mean of ``events`` and their
    standard deviation or twice that, feature by feature: in many dimensions hardly a uniform point is where the events are.
    """
    X = events.double().cpu()
    mean, deviation = X.mean(0), X.std(0, correction=0).clamp_min(0.05)
    shares = (n - n // 2, n // 2 - n // 4, n // 4)
    parts, normals = [], [(mean, deviation), (mean, 2 * deviation)]
    for i, (size, normal) in enumerate(zip(shares, [None, *normals], strict=True)):
        u = torch.quasirandom.SobolEngine(X.shape[1], scramble=True, seed=3 * seed + i).draw(size, dtype=torch.float64)
        if normal is None:
            parts.append(math.pi * u)
            continue
        low, high = (torch.special.ndtr((edge - mean) / normal[1]) for edge in (0.0, math.pi))
        parts.append((mean + normal[1] * torch.special.ndtri(low + u * (high - low))).clamp(0, math.pi))
    points = torch.cat(parts)
    logs = [torch.zeros(n, dtype=torch.float64)]
    for mean, sd in normals:
        low, high = (torch.special.ndtr((edge - mean) / sd) for edge in (0.0, math.pi))
        each = -((points - mean) / sd).square() / 2 - torch.log(sd * (high - low)) + math.log(math.pi / 2) / 2
        logs.append(each.sum(1))
    shared = torch.log(torch.tensor(shares, dtype=torch.float64) / n)
    return points.to(events), (torch.stack(logs, 1) + shared).logsumexp(1).to(events)


class Ensemble:
    """Points x_j whose weights w = softmax(logits) make them a sample of the model: a :class:`qad.energy.Model`.

    The energy is that of a circuit, E = 1 - ⟨φ|U†ΠU|φ⟩; w is differentiable in the circuit's weights and in β.

    weights, latent  of the circuit, in training
    log_beta         log β = log 1/T
    background       slices of the training events, for ``distance``

    ``state`` and ``random`` are all that a checkpoint has to hold.
    """

    points: torch.Tensor
    state: Sequence[torch.Tensor] = ()
    random: Sequence[torch.Generator] = ()

    def __init__(self, circuit: Circuit, weights: torch.Tensor, latent: int, log_beta: torch.Tensor,
                 background: Slices) -> None:
        self.circuit, self.weights, self.latent = circuit, weights, latent
        self.log_beta, self.background = log_beta, background
        self.follow()

    def follow(self) -> None:
        """Take the energy as it is now."""
        self.rows, self.beta = self.circuit.rows(self.weights, self.latent), self.log_beta.exp()
        self._energies: torch.Tensor | None = None

    def energy(self, state: MeanState) -> torch.Tensor:
        """Mean E of events, by their mean state."""
        return engine.infidelity(self.rows, state)

    def energies(self) -> torch.Tensor:
        """E of the points, ``(m,)``; worked out once."""
        if self._energies is None:
            self._energies = self._energies_now()
        return self._energies

    def _energies_now(self) -> torch.Tensor:
        return 1 - engine.fidelities(self.rows, self.circuit.states(self.points))

    def logits(self) -> torch.Tensor:
        """log exp(-βE)/q of the points, q the density that they are drawn from relative to the uniform one, ``(m,)``."""
        raise NotImplementedError

    def advance(self) -> None:
        """Follow the energy."""
        self.follow()

    def log_partition(self) -> torch.Tensor:
        """log of the mean of exp(logits): log Z, the uniform density's 0."""
        logits = self.logits()
        return logits.logsumexp(0) - math.log(len(logits))

    def distance(self, events: Slices | None = None) -> torch.Tensor:
        """The sliced distance of the model from events, by default those of the training."""
        return self._against(self.background if events is None else events)(self.logits().softmax(0))

    def _against(self, events: Slices) -> Callable[[torch.Tensor], torch.Tensor]:
        """The distance of the points from events as a function of their weights."""
        return events.against(self.points)

    def at_bounds(self) -> torch.Tensor:
        """Share of each point's coordinates at a bound, ``(m,)``."""
        return at_bounds(self.points)

    @torch.no_grad()
    def notes(self, state: MeanState, events: Slices) -> dict[str, float | None]:
        """E₊ of a mean state, E₋, the model's share of coordinates at the bounds, its distance from events: for a history."""
        w = self.logits().softmax(0)
        return {"energy_data": float(self.energy(state)), "energy_model": float(w @ self.energies()),
                "at_bounds": float(w @ self.at_bounds()), "wasserstein": float(self._against(events)(w))}


def at_bounds(angles: torch.Tensor) -> torch.Tensor:
    """Share of each event's angles ``(n, d)`` [rad] within a hundredth of the box's width from 0 or π, ``(n,)``."""
    return (angles.minimum(math.pi - angles) < EDGE * math.pi).to(angles).mean(1)


class QuasiRandom(Ensemble):
    """Fixed Sobol points in the box, their states encoded once: log Z = log mean exp(-βE)/q, a sum whose gradient is exact.

    events  the background, whose spread the points have; all else as in :class:`Ensemble`
    """

    def __init__(self, circuit: Circuit, weights: torch.Tensor, latent: int, log_beta: torch.Tensor, background: Slices,
                 events: torch.Tensor, points: int, seed: int) -> None:
        if points * 2**circuit.n_qubits * 16 > MEMORY:
            raise InputError(f"points={points} on {circuit.n_qubits} qubits take more than {MEMORY >> 30} GiB: take fewer "
                             "points, or sampler='langevin'")
        super().__init__(circuit, weights, latent, log_beta, background)
        self.points, self.log_q = spread_points(events, points, seed)
        psi = torch.cat([circuit.states(chunk) for chunk in self.points.split(engine.chunk_size(circuit.n_qubits))])
        self.psi = psi if bool((psi.imag != 0).any()) else psi.real.contiguous()
        self._near = at_bounds(self.points)
        self._sorted: dict[Slices, Callable[[torch.Tensor], torch.Tensor]] = {}

    def _energies_now(self) -> torch.Tensor:
        if self.psi.is_complex():
            return 1 - engine.fidelities(self.rows, self.psi)
        return 1 - (self.psi @ torch.cat([self.rows.real, self.rows.imag]).mT).square().sum(1)

    def logits(self) -> torch.Tensor:
        return -self.beta * self.energies() - self.log_q

    def _against(self, events: Slices) -> Callable[[torch.Tensor], torch.Tensor]:
        if events not in self._sorted:
            self._sorted[events] = super()._against(events)
        return self._sorted[events]

    def at_bounds(self) -> torch.Tensor:
        return self._near


class Chains(Ensemble):
    """Langevin chains that follow the model: their points weigh the same, and only the gradient of the logits is the model's.

    Σ_j w_j f(x_j) with w = softmax(-βE + [βE]), [·] a constant, has the value and the gradient of the model's mean of f.

    chains, steps  how many, and how far before each step of the training; all else as in :class:`Ensemble`
    """

    def __init__(self, circuit: Circuit, weights: torch.Tensor, latent: int, log_beta: torch.Tensor, background: Slices,
                 chains: int, steps: int, seed: int) -> None:
        super().__init__(circuit, weights, latent, log_beta, background)
        self.steps, edge = steps, torch.zeros_like(background.axes[0])
        # a chain begun anew would need more steps than it gets; the jumps go between the modes
        self.langevin = Langevin(edge, edge + math.pi, chains=chains, restart=0, seed=seed)
        self.points, self.state, self.random = self.langevin.points, self.langevin.state, [self.langevin.random]

    def run(self, steps: int, burn_in: int, judge: bool = True) -> None:
        """Move the chains under the present energy; with ``judge``, work out R̂."""
        rows = self.rows.detach()
        self.points = self.langevin.run(lambda x: 1 - engine.fidelities(rows, self.circuit.states(x)), steps, burn_in=burn_in,
                                        temperature=1 / float(self.beta.detach()), judge=judge)
        self._energies = None

    def advance(self) -> None:
        """Follow the energy: half of the steps adapt the step size, half are taken with it."""
        self.follow()
        self.run(self.steps - self.steps // 2, self.steps // 2, judge=False)

    def logits(self) -> torch.Tensor:
        """0 in value, -βE in gradient."""
        log = -self.beta * self.energies()
        return log - log.detach()

    def notes(self, state: MeanState, events: Slices) -> dict[str, float | None]:
        """Acceptance and step of the chains too."""
        told = self.langevin.diagnostics
        return super().notes(state, events) | {"acceptance": told["acceptance"], "step": told["step"]}
