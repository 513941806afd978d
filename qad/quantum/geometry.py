"""The geometry of a circuit on data: the exact data-averaged Fubini-Study metric.

With V_p the gates before rotation p, its generator -iP_p/2 and P̃_p = V_p† P_p V_p,

    G_pq = ¼ ( Re Tr(P̃_p P̃_q ρ̄) - mean_x ⟨P_p⟩_x ⟨P_q⟩_x ),        G_θ = Aᵀ G A,  A = ∂φ/∂θ,

is the mean over events of each event's metric (Stokes et al., arXiv:1909.02108). The first term is a Gram matrix of tangent
vectors T_p (:func:`qad.quantum.moments.tangents`) of the events, or of the eigenvectors of ρ̄ where these are fewer; the second
reads expectations off the batch as it passes.
"""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import torch

from qad.errors import InputError
from qad.quantum import engine
from qad.quantum.circuit import Circuit
from qad.quantum.mean_state import MeanState
from qad.quantum.moments import expectations, moments, tangents, through
from qad.quantum.program import Permutation, Program, Rotation

Approximation = Literal["full", "block-diag", "diag"]
#: Trace of ρ̄ that :class:`Metric` leaves out: no entry of G is further off than this, and its tangent vectors are fewer.
TOLERANCE = 1e-9
#: Bytes that the tangent vectors of one chunk may take: about a cache, for memory is slower than the products.
MEMORY = 2**25


def layers(program: Program) -> torch.Tensor:
    """The layer of each rotation: one that depends on another of its layer, through any chain of gates, begins a new one."""
    layer, touched, found = 0, set(), []
    for step in program.steps:
        if isinstance(step, Rotation):
            if touched & set(step.wires):
                layer, touched = layer + 1, set()
            touched |= set(step.wires)
            found.append(layer)
            continue
        for wires in step.parts if isinstance(step, Permutation) else (step.wires,):
            if touched & set(wires):
                touched |= set(wires)
    return torch.tensor(found)


def metric_tensor(program: Program, weights: torch.Tensor, states: torch.Tensor, approximation: Approximation = "full",
                  mean: MeanState | None = None, memory: int = MEMORY) -> torch.Tensor:
    """The data-averaged Fubini-Study metric of ``program`` at ``weights``, ``(parameters, parameters)``.

    states          encoded events ``(events, 2^n)``
    approximation   ``full``; ``block-diag``: pairs of rotations in one layer; ``diag``: the diagonal of the full metric
    mean            ρ̄ of these states, if it is at hand
    memory          bytes for the tangent vectors of one chunk

    Agrees with PennyLane's ``adjoint_metric_tensor`` averaged over events, and with ``metric_tensor(approx="block-diag")`` for
    gates that are Pauli rotations (controlled rotations are taken apart here, and their pieces may fall into two layers).
    """
    if approximation not in ("full", "block-diag", "diag"):
        raise InputError(f"approximation '{approximation}': expected full, block-diag or diag")
    weights = weights.detach()
    program = program.to(states.device, states.real.dtype)
    angles = program.angles(weights).to(states.real.dtype)
    each = 4 * states.element_size() * states.shape[1]  # a vector, what it is made from, and the way there
    size = max(1, memory // (each * program.n_angles))
    fused = moments(program, angles)
    A = program.jacobian(weights).to(angles.dtype)
    if approximation == "diag" and bool((A != 0).sum(0).max() <= 1):  # each weight in one rotation, and P̃² = 1
        squares = sum(expectations(program, angles, chunk, fused).square().sum(0) for chunk in states.split(size))
        G = torch.diag(1 - squares / len(states))
    else:
        few = mean is not None and len(mean.vectors) < len(states)
        G = torch.zeros(program.n_angles, program.n_angles, dtype=angles.dtype, device=states.device)
        if few:
            for chunk in (mean.vectors * mean.weights.clamp_min(0).sqrt()[:, None]).split(size):
                G += _gram(tangents(program, angles, chunk, fused)[1])
            for chunk in states.split(size):
                read = expectations(program, angles, chunk, fused)
                G -= read.mT @ read / len(states)
        else:
            for chunk in states.split(size):
                final, T = tangents(program, angles, chunk, fused)
                read = torch.linalg.vecdot(final, T).real  # (rotations, chunk)
                G += (_gram(T) - read @ read.mT) / len(states)
        if approximation == "block-diag":
            layer = layers(program).to(G.device)
            G = G * (layer[:, None] == layer[None, :])
    G = A.mT @ G @ A / 4
    return torch.diag(G.diagonal()) if approximation == "diag" else G


def _gram(T: torch.Tensor) -> torch.Tensor:
    """Re ⟨T_p, T_q⟩ summed over events."""
    flat = torch.view_as_real(T).flatten(1)
    return flat @ flat.mT


class Metric:
    """The metric of ``circuit`` on events ``X`` at the present ``weights``: what an optimiser calls before each step.

    approximation  as in :func:`metric_tensor`
    most           events that enter; of more, the first ``most`` (the loss takes all)
    encoding_moves the encoding has weights of its own that are trained as well: events are encoded anew each time
    """

    def __init__(self, circuit: Circuit, X: torch.Tensor, weights: torch.Tensor, approximation: Approximation = "full",
                 most: int = 1000, encoding_moves: bool = False) -> None:
        self.circuit, self.X, self.weights, self.approximation = circuit, engine.events(X)[:most], weights, approximation
        self.known: tuple[torch.Tensor, MeanState | None] | None = None
        self.encoding_moves = encoding_moves

    def _encoded(self) -> tuple[torch.Tensor, MeanState | None]:
        with torch.no_grad():
            states = self.circuit.states(self.X)
            mean = MeanState.of_states(states, tolerance=TOLERANCE)
            return states, mean if len(mean.vectors) < len(states) else None

    def __call__(self) -> torch.Tensor:
        if self.known is None or self.encoding_moves:
            self.known = self._encoded()
        states, mean = self.known
        return metric_tensor(self.circuit.program, self.weights, states, self.approximation, mean)


class Overlap:
    """Mean over events ``X`` of |⟨φ|U(a)†U(b)|φ⟩|² for two weight vectors a, b: 1 - dᵀ G d + … for b = a + d."""

    def __init__(self, circuit: Circuit, X: torch.Tensor, most: int = 1000) -> None:
        self.circuit, self.X = circuit, engine.events(X)[:most]

    @cached_property
    def states(self) -> torch.Tensor:
        with torch.no_grad():
            return self.circuit.states(self.X)

    def __call__(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        program = self.circuit.program.to(self.states.device, self.states.real.dtype)
        bra, ket = (through(program, program.angles(w.reshape(self.circuit.shape)), self.states) for w in (a, b))
        return torch.linalg.vecdot(bra, ket).abs().square().mean()


def score_jacobian(program: Program, weights: torch.Tensor, states: torch.Tensor, latent: int) -> torch.Tensor:
    """∂F(x)/∂θ of the fidelity of each encoded event, ``(events, parameters)``: ∂F/∂φ_p = Im ⟨Uφ|Π T_p⟩."""
    program = program.to(states.device, states.real.dtype)
    angles = program.angles(weights.detach())
    kept = torch.zeros(states.shape[1], dtype=states.real.dtype, device=states.device)
    kept[:: 2 ** (program.n_qubits - latent)] = 1
    size = max(1, MEMORY // (4 * states.element_size() * states.shape[1] * program.n_angles))
    slopes = []
    for chunk in states.split(size):
        final, T = tangents(program, angles, chunk)
        slopes.append(torch.linalg.vecdot(final * kept, T).imag.mT)
    return torch.cat(slopes) @ program.jacobian(weights)
