"""The geometry of a circuit on data: the exact data-averaged Fubini-Study metric.

With V_p the gates before rotation p, its generator -iP_p/2 and P̃_p = V_p† P_p V_p,

    G_pq = ¼ ( Re Tr(P̃_p P̃_q ρ̄) - mean_x ⟨P_p⟩_x ⟨P_q⟩_x ),        G_θ = Aᵀ G A,  A = ∂φ/∂θ,

is the mean over events of each event's metric (Stokes et al., arXiv:1909.02108). The first term needs the events only through
a factor L of ρ̄ = L L†, as Re⟨P̃_p L, P̃_q L⟩; the second reads expectations off the batch while it passes each gate.
"""

from __future__ import annotations

from typing import Literal

import torch

from qad.errors import InputError
from qad.quantum.program import Permutation, Program, Rotation, Step, apply_word, backward, forward

Approximation = Literal["full", "block-diag", "diag"]
#: Up to here V_p is kept as a dense matrix; beyond, vectors are carried back gate by gate.
DENSE_QUBITS = 10


def factor(rho: torch.Tensor, tolerance: float = 1e-14) -> tuple[torch.Tensor, float]:
    """L as rows ``(rank, 2^n)`` with ρ̄ = Σ_r |L_r⟩⟨L_r|, and the trace that was cut away (at most ``tolerance``).

    No mean of an observable with |O| ≤ 1 changes by more than that trace.
    """
    values, vectors = torch.linalg.eigh(rho)
    values = values.clamp_min(0)
    cut = torch.cumsum(values, 0) <= tolerance
    return (vectors[:, ~cut] * values[~cut].sqrt()).mT.contiguous(), float(values[cut].sum())


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


def expectations(program: Program, angles: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    """⟨P_p⟩_x of every rotation p at its place in the circuit, for each encoded event: ``(events, rotations)``."""
    out = torch.empty(len(states), program.n_angles, dtype=states.real.dtype, device=states.device)
    for step in program.steps:
        if isinstance(step, Rotation):
            out[:, step.slot] = torch.linalg.vecdot(states, apply_word(states, step.word, step.wires, program.n_qubits)).real
        states = forward(program, step, states, angles)
    return out


def pulled_back(program: Program, angles: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """P̃_p L of every rotation p for L given as rows ``(r, 2^n)``: ``(rotations, r, 2^n)``."""
    n = program.n_qubits
    out = torch.empty(program.n_angles, *rows.shape, dtype=rows.dtype, device=rows.device)
    dense = n <= DENSE_QUBITS
    before = torch.eye(2**n, dtype=rows.dtype, device=rows.device)[: 2**n if dense else 0]  # row j holds V|j⟩
    done: list[Step] = []
    for step in program.steps:
        if isinstance(step, Rotation):
            turned = apply_word(rows, step.word, step.wires, n)
            if dense:
                turned = turned @ before.mH
            else:
                for earlier in reversed(done):
                    turned = backward(program, earlier, turned, angles)
            out[step.slot] = turned
        rows = forward(program, step, rows, angles)
        before = forward(program, step, before, angles) if dense else before
        done.append(step)
    return out


def metric_tensor(program: Program, weights: torch.Tensor, states: torch.Tensor, approximation: Approximation = "full",
                  rho: torch.Tensor | None = None) -> torch.Tensor:
    """The data-averaged Fubini-Study metric of ``program`` at ``weights``, ``(parameters, parameters)``.

    states          encoded events ``(events, 2^n)``; their mean state is ρ̄
    approximation   ``full``; ``block-diag``: only pairs of rotations in one layer; ``diag``: only each with itself
    rho             ρ̄ of these states, if it is at hand

    Agrees with PennyLane's ``adjoint_metric_tensor`` and ``metric_tensor(approx="block-diag")`` averaged over events.
    """
    if approximation not in ("full", "block-diag", "diag"):
        raise InputError(f"approximation '{approximation}': expected full, block-diag or diag")
    weights = weights.detach()
    program = program.to(states.device, states.real.dtype)
    angles = program.angles(weights)
    read = expectations(program, angles, states)
    if approximation == "diag":  # P̃² = 1
        G = torch.diag(1 - read.square().mean(0))
    else:
        rho = states.mT @ states.conj() / len(states) if rho is None else rho
        L, _ = factor(rho)
        moved = torch.view_as_real(pulled_back(program, angles, L)).flatten(1)
        G = moved @ moved.mT - read.mT @ read / len(states)
        if approximation == "block-diag":
            layer = layers(program).to(G.device)
            G = G * (layer[:, None] == layer[None, :])
    A = program.jacobian(weights)
    return A.mT @ G @ A / 4
