"""Optimisers for circuits, in the manner of ``torch.optim``.

What to use when: Adam (``torch.optim.Adam``) is robust and needs no metric; ``NaturalGradient`` takes steps of equal size in
state space, whatever the parametrisation, and pays one metric for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from qad.errors import InputError


class NaturalGradient(torch.optim.Optimizer):
    """Quantum natural gradient θ ← θ - η (G + λ1)⁻¹ ∇L + μ (θ - θ_before) (arXiv:1909.02108; momentum arXiv:2409.01978).

    params    tensors θ, together p numbers
    metric    called before each step, gives G ``(p, p)`` at the present θ: see :func:`qad.quantum.geometry.metric_tensor`
    lr        η
    damping   λ, added to the diagonal of G
    momentum  μ
    trust     largest length √(dᵀ G d) of a step, in radians of state space; None: no limit

    Raises :class:`InputError` for settings that make no sense, or a metric of the wrong shape.
    """

    def __init__(self, params: Iterable[torch.Tensor], metric: Callable[[], torch.Tensor], lr: float = 0.05,
                 damping: float = 1e-3, momentum: float = 0.0, trust: float | None = None) -> None:
        if lr <= 0 or damping < 0 or not 0 <= momentum < 1 or (trust is not None and trust <= 0):
            raise InputError(f"expected lr > 0, damping >= 0, 0 <= momentum < 1, trust > 0; got lr={lr}, damping={damping}, "
                             f"momentum={momentum}, trust={trust}")
        super().__init__(params, {"lr": lr, "damping": damping, "momentum": momentum, "trust": trust})
        if len(self.param_groups) != 1:
            raise InputError("NaturalGradient takes one group of parameters, that of its metric")
        self.metric = metric

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; ``closure``, if given, evaluates the loss and its gradient first."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        group = self.param_groups[0]
        params = [p for p in group["params"] if p.grad is not None]
        if not params:
            return loss
        gradient = torch.cat([p.grad.reshape(-1) for p in params])
        G = self.metric().to(gradient)
        if G.shape != (len(gradient), len(gradient)):
            raise InputError(f"the metric has shape {tuple(G.shape)}; expected ({len(gradient)}, {len(gradient)})")
        direction = -group["lr"] * solve(G, gradient, group["damping"])
        if group["trust"] is not None:
            length = float((direction @ G @ direction).clamp_min(0).sqrt())
            direction *= min(1.0, group["trust"] / length) if length > 0 else 1.0
        if group["momentum"]:
            state = self.state[params[0]]
            direction += group["momentum"] * state.get("last", torch.zeros_like(direction))
            state["last"] = direction.clone()
        start = 0
        for p in params:
            p += direction[start : start + p.numel()].reshape(p.shape)
            start += p.numel()
        return loss


def solve(G: torch.Tensor, gradient: torch.Tensor, damping: float) -> torch.Tensor:
    """(G + λ1)⁺ ∇L of a symmetric G: directions in which no state moves are left alone."""
    values, vectors = torch.linalg.eigh((G + G.mT) / 2)
    damped = values.clamp_min(0) + damping
    floor = 1e-10 * damped.max().clamp_min(1e-30)
    inverse = torch.where(values > floor, 1 / damped.clamp_min(floor), torch.zeros_like(values))
    return vectors @ (inverse * (vectors.mT @ gradient))
