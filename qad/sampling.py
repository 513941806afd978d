"""Samples of p(x) ∝ exp(-E(x)/T) in a box from an energy and its gradient: Metropolis-adjusted Langevin chains, all at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from qad.errors import InputError

Energy = Callable[[torch.Tensor], torch.Tensor]
#: A sample is at a bound where a coordinate is within this share of the box's width.
EDGE = 0.01


class Langevin:
    """Chains with stationary density p(x) ∝ exp(-E(x)/T) on the box [low, high], kept in a buffer between runs.

    A step proposes y = x - h∇E/T + √(2h) ξ and accepts it with the probability that keeps p exact; h is adapted to the
    acceptance ``target`` while a run burns in (0.574 is best in many dimensions: Roberts and Rosenthal 1998), then frozen. A
    move out of the box is rejected. Some steps propose a point anywhere in the box instead, that chains change modes.

    low, high  bounds, ``(d,)``
    chains     that a run moves
    buffer     points kept, of which a run draws its chains (arXiv:1903.08689); by default as many as chains
    restart    share of a run's chains that begin anew, uniformly or at events given to ``run``; these are exact only after
               a burn-in that is long enough for them, the others are from run to run
    jumps      share of steps that propose a point uniform in the box
    step       h at the beginning, in units of the box's width squared
    seed       of all random numbers

    ``points`` is the buffer ``(buffer, d)``, ``step`` the present h, ``diagnostics`` tells of the last run.
    """

    def __init__(self, low: torch.Tensor, high: torch.Tensor, *, chains: int = 512, buffer: int | None = None,
                 restart: float = 0.05, jumps: float = 0.1, target: float = 0.57, step: float = 0.01, seed: int = 0) -> None:
        buffer = chains if buffer is None else buffer
        if low.ndim != 1 or low.shape != high.shape or not (torch.isfinite(high - low).all() and (high > low).all()):
            raise InputError(f"expected finite bounds low < high, a number for each dimension; got {low} and {high}")
        if not 1 <= chains <= buffer:
            raise InputError(f"chains={chains}, buffer={buffer}: expected at least one chain and no fewer points in the buffer")
        for name, value in (("restart", restart), ("jumps", jumps)):
            if not 0 <= value <= 1:
                raise InputError(f"{name}={value}: expected a share from 0 to 1")
        if not (0 < target < 1 and 0 < step < math.inf):
            raise InputError(f"target={target}, step={step}: expected an acceptance between 0 and 1 and a step above 0")
        self.low, self.width = low, high - low
        self.chains, self.restart, self.jumps, self.target, self.step = chains, restart, jumps, target, step
        self.random = torch.Generator(low.device).manual_seed(seed)
        self.points = self._uniform(buffer)
        self.diagnostics: dict[str, Any] = {}
        self._adapted = 0

    def _draw(self, *shape: int, normal: bool = False) -> torch.Tensor:
        draw = torch.randn if normal else torch.rand
        return draw(shape, generator=self.random, dtype=self.low.dtype, device=self.low.device)

    def _uniform(self, n: int) -> torch.Tensor:
        return self.low + self.width * self._draw(n, len(self.low))

    def _evaluate(self, energy: Energy, x: torch.Tensor, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
        """E/T and its gradient in units of the box's width."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            e = energy(x) / temperature
            slope = torch.autograd.grad(e.sum(), x)[0] if e.requires_grad else torch.zeros_like(x)
        return e.detach(), slope * self.width

    def run(self, energy: Energy, steps: int, *, burn_in: int = 0, temperature: float = 1.0, every: int | None = None,
            fresh: torch.Tensor | None = None) -> torch.Tensor:
        """Samples, ``(chains, d)`` after the last step, or ``(chains · steps / every, d)`` with those of each ``every`` steps.

        energy   E of points ``(B, d)``, ``(B,)``, differentiable in them
        burn_in  steps before, in which h is adapted
        fresh    events at which chains begin anew, ``(n, d)`` in the box; by default uniformly

        Raises :class:`InputError` for steps below 1 or a temperature not above 0.
        """
        if steps < 1 or burn_in < 0 or not 0 < temperature < math.inf or (every is not None and every < 1):
            raise InputError(f"steps={steps}, burn_in={burn_in}, temperature={temperature}, every={every}: expected at least "
                             "one step, burn_in from 0, a temperature above 0 and every from 1")
        place = torch.randperm(len(self.points), generator=self.random, device=self.low.device)[: self.chains]
        x = self.points[place]
        anew = self._draw(self.chains, 1) < self.restart
        x = torch.where(anew, self._uniform(self.chains) if fresh is None else fresh[self._rows(len(fresh))].to(x), x)
        e, slope = self._evaluate(energy, x, temperature)
        kept, tally = [], _Tally(steps)
        for i in range(-burn_in, steps):
            x, e, slope, moved, jumped = self._move(energy, x, e, slope, temperature)
            if i < 0:
                self._adapt(moved, jumped)
                continue
            tally.add(x, e, moved, jumped)
            if every is not None and (i + 1) % every == 0:
                kept.append(x)
        self.points[place] = x
        edge = ((x - self.low).minimum(self.low + self.width - x) < EDGE * self.width).any(1)
        self.diagnostics = {**tally.summary(), "step": self.step, "at_bounds": float(edge.double().mean())}
        return torch.cat(kept) if kept else x

    def _rows(self, n: int) -> torch.Tensor:
        return torch.randint(n, (self.chains,), generator=self.random, device=self.low.device)

    def _move(self, energy: Energy, x: torch.Tensor, e: torch.Tensor, slope: torch.Tensor,
              temperature: float) -> tuple[torch.Tensor, ...]:
        """One step of all chains: points, E/T, gradients, which moved, which had proposed to jump."""
        noise = math.sqrt(2 * self.step) * self._draw(*x.shape, normal=True)
        jumped = self._draw(len(x)) < self.jumps
        shift = torch.where(jumped[:, None], (self._uniform(len(x)) - x) / self.width, noise - self.step * slope)
        y = x + self.width * shift
        inside = ((y >= self.low) & (y <= self.low + self.width)).all(1)
        y = torch.where(inside[:, None], y, x)
        new, ahead = self._evaluate(energy, y, temperature)
        # log q(x|y) - log q(y|x), nothing where a jump was proposed
        q = ((noise.square() - (self.step * ahead - shift).square()).sum(1) / (4 * self.step)).masked_fill(jumped, 0)
        moved = inside & (torch.log(self._draw(len(x))) < e - new + q)
        m = moved[:, None]
        return torch.where(m, y, x), torch.where(moved, new, e), torch.where(m, ahead, slope), moved, jumped

    def _adapt(self, moved: torch.Tensor, jumped: torch.Tensor) -> None:
        """Robbins and Monro on log h, with gains that fall."""
        if bool(jumped.all()):
            return
        self._adapted += 1
        rate = float(moved[~jumped].double().mean())
        self.step *= math.exp(2 * (rate - self.target) / self._adapted**0.4)


class _Tally:
    """Acceptance, and split-R̂ of every coordinate and the energy from running sums (arXiv:1903.08008)."""

    def __init__(self, steps: int) -> None:
        self.half, self.seen = steps // 2, 0
        self.sums: list[list[torch.Tensor]] = [[], []]
        self.counts = [0, 0, 0, 0]

    def add(self, x: torch.Tensor, e: torch.Tensor, moved: torch.Tensor, jumped: torch.Tensor) -> None:
        for k, kind in enumerate((~jumped, jumped)):
            self.counts[k] += int((moved & kind).sum())
            self.counts[k + 2] += int(kind.sum())
        half, self.seen = self.seen // max(self.half, 1), self.seen + 1
        if half > 1:  # the last of an odd number of steps
            return
        values = torch.cat([x, e[:, None]], 1).double()
        if not self.sums[half]:
            self.sums[half] = [values, values - values, values - values]  # a first value to subtract: sums keep their digits
        first, total, squares = self.sums[half]
        total += values - first
        squares += (values - first).square()

    def summary(self) -> dict[str, Any]:
        accepted, jumps = (self.counts[k] / self.counts[k + 2] if self.counts[k + 2] else None for k in (0, 1))
        return {"acceptance": accepted, "jumps_accepted": jumps, "r_hat": self._r_hat()}

    def _r_hat(self) -> float | None:
        n = self.half
        if n < 2:
            return None
        means = torch.cat([first + total / n for first, total, _ in self.sums])
        within = torch.cat([(squares - total.square() / n) / (n - 1) for _, total, squares in self.sums]).mean(0)
        between = means.var(0)
        found = torch.where(between > 0, torch.sqrt((n - 1) / n + between / within), torch.ones_like(within))
        return float(found.max())
