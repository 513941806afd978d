"""Samples of p(x) ∝ exp(-E(x)/T) in a box from an energy and its gradient: Metropolis-adjusted Langevin chains, all at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from qad.errors import InputError

Energy = Callable[[torch.Tensor], torch.Tensor]
#: A sample is at a bound where a coordinate is within this share of the box's width.
EDGE = 0.01
#: With an h below this a draw can be reflected at the nearer bound only: the other's probability is below exp(-12).
NARROW = 0.02
#: Least gain of the step's adaptation, over two.
LEAST_GAIN = 0.05


class Langevin:
    """Chains with stationary density p(x) ∝ exp(-E(x)/T) on the box [low, high], kept in a buffer between runs.

    A step proposes y = x - h∇E/T + √(2h) ξ, the gradient's part no longer than √(2hd) and all of it reflected at the bounds,
    and accepts it with the probability that keeps p exact;
    h is adapted to the acceptance ``target`` while a run burns in (0.574 is best in many dimensions: Roberts and Rosenthal
    1998), then frozen. Some steps propose a point anywhere in the box instead, that chains change modes.

    low, high  bounds, ``(d,)``
    chains     that a run moves
    buffer     points kept, of which a run draws its chains (arXiv:1903.08689); by default as many as chains
    restart    share of a run's chains that begin anew, uniformly or at events given to ``run``; these are exact only after
               a burn-in that is long enough for them, the others are from run to run
    jumps      share of steps that propose a point uniform in the box
    step       h at the beginning, in units of the box's width squared
    seed       of all random numbers
    points     that the buffer begins with, ``(buffer, d)``; by default uniform
    blocks     which coordinates move together, bool ``(k, d)``: step i moves those of block i mod k, each block with an h of
               its own; by default all at once
    free       tells of points ``(B, d)`` which coordinates may move, bool ``(B, d)``; by default all

    ``points`` is the buffer ``(buffer, d)``, ``step`` the present h of the first block.
    ``state`` and ``random`` are all that a checkpoint has to hold.
    """

    def __init__(self, low: torch.Tensor, high: torch.Tensor, *, chains: int = 512, buffer: int | None = None,
                 restart: float = 0.05, jumps: float = 0.1, target: float = 0.57, step: float = 0.01, seed: int = 0,
                 points: torch.Tensor | None = None, blocks: torch.Tensor | None = None,
                 free: Callable[[torch.Tensor], torch.Tensor] | None = None) -> None:
        buffer = len(points) if points is not None else chains if buffer is None else buffer
        if low.ndim != 1 or low.shape != high.shape or not (torch.isfinite(high - low).all() and (high > low).all()):
            raise InputError(f"expected finite bounds low < high, a number for each dimension; got shapes "
                             f"{tuple(low.shape)} and {tuple(high.shape)}, bounds that are not finite, or low ≥ high")
        if not 1 <= chains <= buffer:
            raise InputError(f"chains={chains}, buffer={buffer}: expected at least one chain and no fewer points in the buffer")
        for name, value in (("restart", restart), ("jumps", jumps)):
            if not 0 <= value <= 1:
                raise InputError(f"{name}={value}: expected a share from 0 to 1")
        if not (0 < target < 1 and 0 < step < math.inf):
            raise InputError(f"target={target}, step={step}: expected an acceptance between 0 and 1 and a step above 0")
        self.low, self.width = low, high - low
        self.chains, self.restart, self.jumps, self.target = chains, restart, jumps, target
        self.random = torch.Generator(low.device).manual_seed(seed)
        self.points = self._uniform(buffer) if points is None else points.detach().to(low).clone()
        self.blocks, self.free = blocks, free
        self.steps = torch.full((1 if blocks is None else len(blocks),), step, dtype=torch.float64, device=low.device)
        self.adapted = torch.zeros_like(self.steps)
        self._last: tuple[torch.Tensor, torch.Tensor | None, _Tally] | None = None

    @property
    def step(self) -> float:
        """h of the first block, in units of the box's width squared."""
        return float(self.steps[0])

    @property
    def state(self) -> list[torch.Tensor]:
        """The buffer and the steps: written over in place they go on from there."""
        return [self.points, self.steps, self.adapted]

    def _draw(self, *shape: int, normal: bool = False) -> torch.Tensor:
        draw = torch.randn if normal else torch.rand
        return draw(shape, generator=self.random, dtype=self.low.dtype, device=self.low.device)

    def _uniform(self, n: int) -> torch.Tensor:
        return self.low + self.width * self._draw(n, len(self.low))

    def _evaluate(self, energy: Energy, x: torch.Tensor, temperature: Any, through: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """E/T and its gradient in units of the box's width; with ``through``, the gradient knows what it came from."""
        with torch.enable_grad():
            x = x if through and x.requires_grad else x.detach().requires_grad_()
            e = energy(x) / temperature
            slope = torch.autograd.grad(e.sum(), x, create_graph=through)[0] if e.requires_grad else torch.zeros_like(x)
        return e.detach(), slope * self.width

    def run(self, energy: Energy, steps: int, *, burn_in: int = 0, temperature: float | torch.Tensor = 1.0,
            every: int | None = None, fresh: torch.Tensor | None = None, adapt: bool = False, through: bool = False,
            judge: bool = True) -> torch.Tensor:
        """Samples, ``(chains, d)`` after the last step, or ``(chains · steps / every, d)`` with those of each ``every`` steps.

        energy   E of points ``(B, d)``, ``(B,)``, differentiable in them
        burn_in  steps before, in which h is adapted
        fresh    events at which chains begin anew, ``(n, d)`` in the box; by default uniformly, but for what is not free. As
                 many as chains: each chain its own
        adapt    h in all steps, for an energy that is in training
        through  leave the samples differentiable in what E depends on, through the steps after the burn-in (arXiv:2510.02168)
        judge    work out R̂, for which all points of all steps are looked at

        Raises :class:`InputError` for steps below 1 or a temperature not above 0.
        """
        if steps < 1 or burn_in < 0 or not 0 < temperature < math.inf or (every is not None and every < 1):
            raise InputError(f"steps={steps}, burn_in={burn_in}, temperature={temperature}, every={every}: expected at least "
                             "one step, burn_in from 0, a temperature above 0 and every from 1")
        place = torch.randperm(len(self.points), generator=self.random, device=self.low.device)[: self.chains]
        x = self.points[place]
        anew = self._draw(self.chains, 1) < self.restart
        if fresh is None:
            fresh = self._uniform(self.chains)
            fresh = fresh if self.free is None else torch.where(self.free(x), fresh, x)
        elif len(fresh) != self.chains:
            fresh = fresh[self._rows(len(fresh))].to(x)
        x = torch.where(anew, fresh.detach(), x)
        free = None if self.free is None else self.free(x)
        tally, kept = _Tally(steps, judge), []
        e, slope = self._evaluate(energy, x, temperature, through and not burn_in)
        for i in range(-burn_in, steps):
            if through and burn_in and i == 0:
                e, slope = self._evaluate(energy, x, temperature, True)
            block = (i + burn_in) % len(self.steps)
            x, e, slope, moved, jumped = self._move(energy, x, e, slope, temperature, block, free, through and i >= 0)
            if i < 0 or adapt:
                self._adapt(moved, jumped, block)
            if i < 0:
                continue
            tally.add(x.detach(), e, moved, jumped)
            if every is not None and (i + 1) % every == 0:
                kept.append(x)
        last = x.detach()
        self.points[place] = last
        self._last = last, free, tally
        return torch.cat(kept) if kept else x

    @property
    def diagnostics(self) -> dict[str, Any]:
        """Of the last run: acceptance, R̂, the step at its end, the share of points with a coordinate at a bound."""
        if self._last is None:
            return {}
        x, free, tally = self._last
        near = (x - self.low).minimum(self.low + self.width - x) < EDGE * self.width
        near = near if free is None else near & free
        return {**tally.summary(), "step": self.step, "at_bounds": float(near.any(1).double().mean())}

    def _rows(self, n: int) -> torch.Tensor:
        return torch.randint(n, (self.chains,), generator=self.random, device=self.low.device)

    def _move(self, energy: Energy, x: torch.Tensor, e: torch.Tensor, slope: torch.Tensor, temperature: Any, block: int,
              free: torch.Tensor | None, through: bool) -> tuple[torch.Tensor, ...]:
        """One step of all chains: points, E/T, gradients, which moved, which had proposed to jump."""
        h = self.steps[block].to(x, copy=True)
        moving = None if self.blocks is None else self.blocks[block].expand_as(x)
        if free is not None:
            moving = free if moving is None else moving & free
        u = (x - self.low) / self.width
        drift = _drift(slope, h, moving)
        v = u - drift + torch.sqrt(2 * h) * self._draw(*x.shape, normal=True)
        jumped = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        if self.jumps > 0:
            jumped = self._draw(len(x)) < self.jumps
            v = torch.where(jumped[:, None], self._draw(*x.shape), v)
        if moving is not None:
            v = torch.where(moving, v, u)
        low, high = v.detach().aminmax()
        crossed = not bool((low >= 0) & (high <= 1))  # where one is not a number too
        if crossed:
            inside = ((v >= -1) & (v <= 2)).all(1)
            v = torch.where(v < 0, -v, torch.where(v > 1, 2 - v, v)).clamp(0, 1)
        y = self.low + self.width * v
        if moving is not None:
            y = torch.where(moving, y, x)  # to the bit
        new, ahead = self._evaluate(energy, y, temperature, through)
        with torch.no_grad():
            q = _reflected(u, v - _drift(ahead, h, moving), h) - _reflected(v, u - drift, h)
            q = (q if moving is None else q * moving).sum(1)
            q = q.masked_fill(jumped, 0) if self.jumps > 0 else q
            moved = torch.log(self._draw(len(x))) < e - new + q
            moved = moved & inside if crossed else moved
        m = moved[:, None]
        return torch.where(m, y, x), torch.where(moved, new, e), torch.where(m, ahead, slope), moved, jumped

    def _adapt(self, moved: torch.Tensor, jumped: torch.Tensor, block: int) -> None:
        """Robbins and Monro on log h, with gains that fall, though not to nothing: the energy may be in training."""
        if self.jumps > 0:
            tried = (~jumped).sum()
            rate = torch.where(tried > 0, (moved & ~jumped).sum() / tried.clamp_min(1), self.target)
        else:
            rate = moved.double().mean()
        self.adapted[block] += 1
        gain = 2 * max(float(self.adapted[block]) ** -0.4, LEAST_GAIN)
        self.steps[block] *= torch.exp(gain * (rate - self.target)).clamp(0.1, 10.0)


def _drift(slope: torch.Tensor, h: torch.Tensor, moving: torch.Tensor | None) -> torch.Tensor:
    """h∇E, no longer than the noise is on average: chains where the energy is steep would leap, and never be accepted."""
    if moving is not None:
        slope = slope * moving
    drift = h * slope
    longest = torch.sqrt(2 * h * (slope.shape[1] if moving is None else moving.sum(1, keepdim=True)))
    return drift * (longest / drift.norm(dim=1, keepdim=True).clamp_min(1e-30)).clamp_max(1)


def _reflected(y: torch.Tensor, mean: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """log density, but for a constant, of y in [0, 1] where a normal draw of variance 2h about ``mean`` is reflected once."""
    direct = (y - mean).square() / (4 * h)
    low, high = y * mean, (1 - y) * (1 - mean)
    if float(h) < NARROW:
        return nn.functional.softplus(-torch.minimum(low, high) / h) - direct
    twice = torch.logaddexp(-low / h, -high / h)
    return torch.logaddexp(twice, torch.zeros_like(twice)) - direct


class _Tally:
    """Acceptance, and split-R̂ of every coordinate and the energy from running sums (arXiv:1903.08008)."""

    def __init__(self, steps: int, judge: bool) -> None:
        self.half, self.seen, self.judge = steps // 2, 0, judge
        self.sums: list[list[torch.Tensor]] = [[], []]
        self.counts: list[Any] = [0, 0, 0, 0]

    def add(self, x: torch.Tensor, e: torch.Tensor, moved: torch.Tensor, jumped: torch.Tensor) -> None:
        for k, kind in enumerate((~jumped, jumped)):
            self.counts[k] = self.counts[k] + (moved & kind).sum()  # on the device: nothing waits for it
            self.counts[k + 2] = self.counts[k + 2] + kind.sum()
        if not self.judge:
            return
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
        counts = [int(n) for n in self.counts]
        accepted, jumps = (counts[k] / counts[k + 2] if counts[k + 2] else None for k in (0, 1))
        return {"acceptance": accepted, "jumps_accepted": jumps, "r_hat": self._r_hat()}

    def _r_hat(self) -> float | None:
        n = self.half
        if n < 2 or not self.judge:
            return None
        means = torch.cat([first + total / n for first, total, _ in self.sums])
        within = torch.cat([(squares - total.square() / n) / (n - 1) for _, total, squares in self.sums]).mean(0)
        between = means.var(0)
        found = torch.where(between > 0, torch.sqrt((n - 1) / n + between / within), torch.ones_like(within))
        return float(found.max())
