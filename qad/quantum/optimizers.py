"""Optimisers for circuits, in the manner of ``torch.optim``.

What to use when
    ``adam``               robust, needs no metric; a good start on small circuits
    ``natural-gradient``   steps of equal size in state space, whatever the parametrisation; one metric for each step
    ``qbang``              the metric once, then rank-one updates from gradients: where the metric is dear
    ``qn-spsa``            three losses and four overlaps a step, whatever the number of weights: for shots and hardware
    ``gradient-descent``   to compare with
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from qad.errors import InputError, did_you_mean

Metric = Callable[[], torch.Tensor]
Overlap = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Params = Iterable[torch.Tensor] | Iterable[dict[str, Any]]


class _OnCircuits(torch.optim.Optimizer):
    """Groups of circuit parameters, each with its metric, stepped as one vector; subclasses write ``direction``."""

    def __init__(self, params: Params, defaults: dict[str, Any], metric: Metric | None) -> None:
        self.metric: Metric | None = metric
        self.metrics: list[Metric | None] = []  # not in the groups, which state_dict copies
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As in torch; ``metric`` of a group takes the place of the optimiser's."""
        param_group = dict(param_group)
        metric = param_group.pop("metric", self.metric)
        super().add_param_group(param_group)
        try:
            self.check(self.param_groups[-1], metric)
        except InputError:
            del self.param_groups[-1]
            raise
        self.metrics.append(metric)

    def check(self, group: dict[str, Any], metric: Metric | None) -> None:
        """Raise :class:`InputError` for settings that make no sense."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; ``closure``, if given, evaluates the loss and its gradient first."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group, metric in zip(self.param_groups, self.metrics, strict=True):
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                gradient = torch.cat([p.grad.reshape(-1) for p in params])
                move(params, self.direction(group, metric, self.state[params[0]], gradient))
        return loss

    def direction(self, group: dict[str, Any], metric: Metric | None, state: dict[str, Any],
                  gradient: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


def move(params: Iterable[torch.Tensor], step: torch.Tensor) -> None:
    """θ ← θ + ``step``, a vector over all of ``params``."""
    start = 0
    for p in params:
        p += step[start : start + p.numel()].reshape(p.shape)
        start += p.numel()


def solve(G: torch.Tensor, gradient: torch.Tensor, damping: float) -> torch.Tensor:
    """(G + λ1)⁺ ∇L of a symmetric G: directions in which no state moves are left alone."""
    values, vectors = torch.linalg.eigh((G + G.mT) / 2)
    damped = values.clamp_min(0) + damping
    floor = 1e-10 * damped.max().clamp_min(1e-30)
    inverse = torch.where(values > floor, 1 / damped.clamp_min(floor), torch.zeros_like(values))
    return vectors @ (inverse * (vectors.mT @ gradient))


def _measured(metric: Metric, gradient: torch.Tensor) -> torch.Tensor:
    G = metric().to(gradient)
    if G.shape != (len(gradient), len(gradient)):
        raise InputError(f"the metric has shape {tuple(G.shape)}; expected ({len(gradient)}, {len(gradient)})")
    return G


def _adam(state: dict[str, Any], gradient: torch.Tensor, betas: tuple[float, float], eps: float = 1e-8) -> torch.Tensor:
    """m̂ / (√v̂ + ε) of Adam (arXiv:1412.6980)."""
    k = state["k"] = state.get("k", 0) + 1
    m = state["m"] = betas[0] * state.get("m", torch.zeros_like(gradient)) + (1 - betas[0]) * gradient
    v = state["v"] = betas[1] * state.get("v", torch.zeros_like(gradient)) + (1 - betas[1]) * gradient.square()
    return m / (1 - betas[0] ** k) / ((v / (1 - betas[1] ** k)).sqrt() + eps)


class NaturalGradient(_OnCircuits):
    """Quantum natural gradient θ ← θ - η (G + λ1)⁻¹ ∇L + μ (θ - θ_before) (arXiv:1909.02108; momentum arXiv:2409.01978).

    params    tensors θ, together p numbers; or groups, each with a ``metric`` of its own
    metric    called before each step, gives G ``(p, p)`` at the present θ: :class:`qad.quantum.geometry.Metric`
    lr        η
    damping   λ, added to the diagonal of G
    momentum  μ
    trust     largest length √(dᵀ G d) of a step, in radians of state space; None: no limit

    A group with ``"metric": None`` takes Adam steps of its own ``lr``: the scale of an encoding, a classical layer.

    Raises :class:`InputError` for settings that make no sense, or a metric of the wrong shape.
    """

    def __init__(self, params: Params, metric: Metric | None = None, lr: float = 0.05, damping: float = 1e-3,
                 momentum: float = 0.0, trust: float | None = None) -> None:
        super().__init__(params, {"lr": lr, "damping": damping, "momentum": momentum, "trust": trust}, metric)
        if all(m is None for m in self.metrics):
            raise InputError("natural gradient needs a metric: give metric=qad.quantum.Metric(circuit, X, weights), "
                             "or use torch.optim.Adam")

    def check(self, group: dict[str, Any], metric: Metric | None) -> None:
        bound = 1 if group["trust"] is None else group["trust"]
        if not (group["lr"] > 0 and group["damping"] >= 0 and 0 <= group["momentum"] < 1 and bound > 0):
            raise InputError("expected lr > 0, damping >= 0, 0 <= momentum < 1, trust > 0; got "
                             + ", ".join(f"{k}={group[k]}" for k in ("lr", "damping", "momentum", "trust")))

    def direction(self, group: dict[str, Any], metric: Metric | None, state: dict[str, Any],
                  gradient: torch.Tensor) -> torch.Tensor:
        if metric is None:
            return -group["lr"] * _adam(state, gradient, (0.9, 0.999))
        G = _measured(metric, gradient)
        step = -group["lr"] * solve(G, gradient, group["damping"])
        if group["momentum"]:
            step = step + group["momentum"] * state.get("last", torch.zeros_like(step))
        if group["trust"] is not None:
            length = float((step @ G @ step).clamp_min(0).sqrt())
            step = step * (min(1.0, group["trust"] / length) if length > 0 else 1.0)
        state["last"] = step
        return step


class QBang(_OnCircuits):
    """Natural gradient with an amortised metric and the moments of Adam (qBang, arXiv:2304.13882).

    B ← (1 - ε_k) B + ε_k g gᵀ with ε_k = ε/(k + 1), inverted by Sherman-Morrison, B_0 = G + λ1 measured once;
    θ ← θ - η (k + 1)^-ε B⁻¹ m̂/(√v̂ + κ).

    metric    called before the first step only
    discount  ε, between 0 and 1
    """

    def __init__(self, params: Params, metric: Metric, lr: float = 0.01, discount: float = 0.2, damping: float = 1e-2,
                 betas: tuple[float, float] = (0.9, 0.999)) -> None:
        super().__init__(params, {"lr": lr, "discount": discount, "damping": damping, "betas": betas}, metric)

    def check(self, group: dict[str, Any], metric: Metric | None) -> None:
        if not (group["lr"] > 0 and 0 < group["discount"] < 1 and group["damping"] > 0) or metric is None:
            raise InputError("expected a metric, lr > 0, 0 < discount < 1, damping > 0; got "
                             + ", ".join(f"{k}={group[k]}" for k in ("lr", "discount", "damping"))
                             + (" and no metric" if metric is None else ""))

    def direction(self, group: dict[str, Any], metric: Metric | None, state: dict[str, Any],
                  gradient: torch.Tensor) -> torch.Tensor:
        if "inverse" not in state:
            G = _measured(metric, gradient)
            inverse = torch.linalg.inv((G + G.mT) / 2 + group["damping"] * torch.eye(len(G)).to(G))
            state["inverse"] = inverse.contiguous()  # as a checkpoint keeps it: the same bits in products
        k, inverse = state.get("k", 0), state["inverse"]
        step = inverse @ _adam(state, gradient, group["betas"]) * (-group["lr"] / (k + 1) ** group["discount"])
        eps = group["discount"] / (k + 1)
        Bg = inverse @ gradient
        state["inverse"] = (inverse - eps * torch.outer(Bg, Bg) / (1 - eps * (1 - gradient @ Bg))) / (1 - eps)
        return step


class QNSPSA(torch.optim.Optimizer):
    """Natural gradient from random directions (QN-SPSA, arXiv:2103.09232): three losses and four overlaps a step.

    overlap   ``f(a, b)``, mean over events of |⟨ψ(a)|ψ(b)⟩|² for weight vectors a and b: :class:`qad.quantum.geometry.Overlap`
    lr        η
    spread    half the finite difference, in units of the weights
    damping   λ, added to the running mean of the estimated metrics, which starts from the identity
    blocking  a step that raises the loss by more than this is not taken; None: every step is

    ``step`` needs a closure that returns the loss; no gradient is asked for.
    """

    def __init__(self, params: Params, overlap: Overlap, lr: float = 0.05, spread: float = 0.01, damping: float = 1e-2,
                 blocking: float | None = None, seed: int = 0) -> None:
        if not (lr > 0 and spread > 0 and damping > 0):
            raise InputError(f"expected lr > 0, spread > 0, damping > 0; got lr={lr}, spread={spread}, damping={damping}")
        super().__init__(params, {"lr": lr, "spread": spread, "damping": damping, "blocking": blocking})
        if len(self.param_groups) != 1:
            raise InputError("QN-SPSA takes one group of parameters, those of its circuit")
        self.overlap, self.generator = overlap, torch.Generator().manual_seed(seed)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; returns the loss before it."""
        if closure is None:
            raise InputError("QN-SPSA evaluates the loss itself: give step a closure that returns it")
        group = self.param_groups[0]
        params = group["params"]
        state = self.state[params[0]]
        here = torch.cat([p.reshape(-1) for p in params])
        h = group["spread"]
        if "drawn" in state:  # a resumed training draws on
            self.generator.set_state(state["drawn"].to("cpu", torch.uint8))
        sign, first, second = (self._signs(here) for _ in range(3))
        state["drawn"] = self.generator.get_state()

        def at(shift: torch.Tensor) -> Any:
            kept = [p.clone() for p in params]
            move(params, shift)
            loss = float(closure())
            for p, k in zip(params, kept, strict=True):
                p.copy_(k)
            return loss

        before = at(torch.zeros_like(here))
        gradient = (at(h * sign) - at(-h * sign)) / (2 * h) * sign
        change = (self.overlap(here, here + h * (first + second)) - self.overlap(here, here + h * first)
                  - self.overlap(here, here + h * (second - first)) + self.overlap(here, here - h * first))
        outer = torch.outer(first, second)
        estimate = -0.5 * float(change) / (2 * h * h) * (outer + outer.mT) / 2
        k = state["k"] = state.get("k", 0) + 1
        before_it = state["metric"] if "metric" in state else torch.eye(len(here)).to(estimate)
        mean = state["metric"] = (k * before_it + estimate) / (k + 1)
        values, vectors = torch.linalg.eigh(mean)  # √(G Gᵀ) + λ1: the estimate need not be positive
        move_by = -group["lr"] * (vectors @ ((vectors.mT @ gradient) / (values.abs() + group["damping"])))
        if group["blocking"] is None or at(move_by) <= before + group["blocking"]:
            move(params, move_by)
        return before

    def _signs(self, like: torch.Tensor) -> torch.Tensor:
        return (2 * torch.randint(0, 2, like.shape, generator=self.generator) - 1).to(like)


def build(name: str, weights: torch.Tensor, others: list[torch.Tensor], lr: float, metric: Metric, overlap: Overlap,
          seed: int = 0, **options: Any) -> torch.optim.Optimizer:
    """The optimiser called ``name`` for circuit ``weights`` and, by Adam, ``others``. Raises :class:`InputError`."""
    if name not in OPTIMIZERS:
        raise InputError(did_you_mean(name, OPTIMIZERS, "optimizer"))
    if others and name not in ("adam", "natural-gradient", "momentum-natural-gradient"):
        raise InputError(f"optimizer '{name}' trains the circuit only; for a trained encoding use adam or natural-gradient")
    try:
        if name == "adam":
            return torch.optim.Adam([weights, *others], lr=lr, **options)
        if name == "gradient-descent":
            return torch.optim.SGD([weights], lr=lr, **options)
        if name == "qbang":
            return QBang([weights], metric, lr=lr, **options)
        if name == "qn-spsa":
            return QNSPSA([weights], overlap, lr=lr, seed=seed, **options)
        if name == "momentum-natural-gradient":
            options = {"momentum": 0.9, **options}
        groups = [{"params": [weights], "metric": metric}]
        groups += [{"params": others, "metric": None, "lr": 0.05}] if others else []
        return NaturalGradient(groups, lr=lr, **options)
    except TypeError as error:
        raise InputError(f"optimizer '{name}': {str(error).rpartition('() ')[2]}") from None


#: Names that :func:`build` knows, and step sizes to begin with
#: (docs/benchmarks/natural_gradient.md found those of four of them best).
OPTIMIZERS = {"adam": 0.05, "gradient-descent": 1.0, "momentum-natural-gradient": 0.03, "natural-gradient": 0.3, "qbang": 0.01,
              "qn-spsa": 0.05}
