"""What a normalised quantum autoencoder compares its background with: points of the model, and their weights."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from qad.errors import InputError
from qad.quantum import engine
from qad.quantum.circuit import Circuit
from qad.sampling import Langevin
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


class QuasiRandom:
    """Fixed Sobol points in the box, their states encoded once: log Z = log mean exp(-βE)/q, a sum whose gradient is exact.

    Weights softmax(-βE - log q) make them a sample of the model, differentiable in the circuit's weights and β.
    """

    def __init__(self, circuit: Circuit, events: torch.Tensor, points: int, seed: int) -> None:
        if points * 2**circuit.n_qubits * 16 > MEMORY:
            raise InputError(f"points={points} on {circuit.n_qubits} qubits take more than {MEMORY >> 30} GiB: take fewer "
                             "points, or sampler='langevin'")
        self.points, self.log_q = spread_points(events, points, seed)
        psi = torch.cat([circuit.states(chunk) for chunk in self.points.split(engine.chunk_size(circuit.n_qubits))])
        self.psi = psi if bool((psi.imag != 0).any()) else psi.real.contiguous()

    def energies(self, rows: torch.Tensor) -> torch.Tensor:
        """E of all points, ``(points,)``."""
        if self.psi.is_complex():
            return 1 - engine.fidelities(rows, self.psi)
        return 1 - (self.psi @ torch.cat([rows.real, rows.imag]).mT).square().sum(1)

    def advance(self, rows: torch.Tensor, beta: torch.Tensor) -> None:
        """The points stay."""

    def logits(self, rows: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
        """log exp(-βE)/q of the points; their mean is Z, the uniform density's 1."""
        return -beta * self.energies(rows) - self.log_q

    def distance(self, slices: Slices) -> Callable[[torch.Tensor], torch.Tensor]:
        """The distance to these points as a function of their weights; sorted once."""
        return slices.against(self.points)


class Chains:
    """Langevin chains that follow the model: their points weigh the same, and only the gradient of the logits is the model's.

    Σ_j w_j f(x_j) with w = softmax(-βE + [βE]), [·] a constant, has the value and the gradient of the model's mean of f.
    """

    def __init__(self, circuit: Circuit, events: torch.Tensor, chains: int, steps: int, seed: int) -> None:
        edge = torch.zeros(events.shape[1], dtype=events.dtype, device=events.device)
        self.circuit, self.steps = circuit, steps
        # a chain begun anew would need more steps than it gets; the jumps go between the modes
        self.langevin = Langevin(edge, edge + math.pi, chains=chains, restart=0, seed=seed)
        self.points = self.langevin.points

    def run(self, rows: torch.Tensor, beta: torch.Tensor, steps: int, burn_in: int) -> None:
        """Move the chains under the present energy."""
        rows = rows.detach()
        self.points = self.langevin.run(lambda x: 1 - engine.fidelities(rows, self.circuit.states(x)), steps, burn_in=burn_in,
                                        temperature=1 / float(beta.detach()))

    def advance(self, rows: torch.Tensor, beta: torch.Tensor) -> None:
        """Half of the steps adapt the step size, half are taken with it."""
        self.run(rows, beta, self.steps - self.steps // 2, self.steps // 2)

    def energies(self, rows: torch.Tensor) -> torch.Tensor:
        """E of the chains' points, ``(chains,)``."""
        return 1 - engine.fidelities(rows, self.circuit.states(self.points))

    def logits(self, rows: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
        """0 in value, -βE in gradient."""
        log = -beta * self.energies(rows)
        return log - log.detach()

    def distance(self, slices: Slices) -> Callable[[torch.Tensor], torch.Tensor]:
        """The distance to where the chains are now as a function of the points' weights."""
        return slices.against(self.points)
