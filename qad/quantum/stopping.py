"""When to stop a training whose loss is measured: improvements count where they are larger than the noise of the shots."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass
class Smoothed:
    """The mean of the last ``window`` measurements of a loss: ``validation`` and ``tolerance`` of :func:`qad.training.train`.

    ``measure`` gives a value and the variance that the shots leave on it. It measures the same events each time: which events
    these are moves all values alike, so that it does not count. Without variance nothing is smoothed.
    """

    measure: Callable[[], tuple[float, float]]
    window: int = 5
    least: float = 1e-7
    values: list[float] = field(default_factory=list)
    variances: list[float] = field(default_factory=list)

    def __call__(self) -> torch.Tensor:
        value, variance = self.measure()
        self.values.append(value)
        self.variances.append(variance)
        last = self.values[-self._span() :]
        return torch.tensor(sum(last) / len(last), dtype=torch.float64)

    def _span(self) -> int:
        return self.window if self.variances[-1] > 0 else 1

    def error(self, epoch: int | None = None) -> float:
        """Standard deviation of the smoothed loss, after ``epoch`` epochs or the present one, from the shots alone."""
        last = self.variances[:epoch][-self._span() :]
        return math.sqrt(sum(last)) / len(last)

    def tolerance(self) -> float:
        """What an improvement must exceed to count: √2 · error, the standard deviation of a difference of smoothed losses."""
        return max(math.sqrt(2) * self.error(), self.least)

    def story(self, history: Any, epochs: int, patience: int) -> dict[str, Any]:
        """For ``diagnostics_``: what was kept and why training ended."""
        done, kept = len(self.values), history.best_epoch
        why = f"no improvement larger than its noise in {patience} epochs" if done < epochs else "all epochs done"
        return {"why": why, "epochs": done, "kept_epoch": kept + 1 if done else 0, "losses": self.values,
                # the least of many noisy ones: low by one or two of its errors
                "loss": history.validation[kept] if done else None, "error": self.error(kept + 1) if done else None,
                "window": self.window, "tolerance": self.tolerance() if done else None}
