"""1-Wasserstein distances: exact between two sets of events, differentiable in them; sliced, differentiable in weights."""

from __future__ import annotations

from collections.abc import Callable

import ot
import torch

from qad.errors import InputError


def wasserstein(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """W₁ = min over plans P of Σ P_ij |a_i - b_j|, rows and columns of P summing to 1/n and 1/m; a scalar.

    By the network simplex of POT (``ot.emd``). The gradient is that of the distances under the best plan, which is the
    gradient of the minimum; to both a and b. Loss of arXiv:2510.02168, with the distance itself for its square.

    a, b  events ``(n, d)`` and ``(m, d)``

    Raises :class:`InputError` for events that are not finite: the plan of such has no end.
    """
    if not len(a) or not len(b):
        raise InputError(f"the Wasserstein distance needs events on both sides; got {len(a)} and {len(b)}")
    if not bool(torch.isfinite(a).all() & torch.isfinite(b).all()):
        raise InputError("the Wasserstein distance needs finite events: look for a learning_rate that is too large")
    distances = torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
    weights = [torch.full((len(x),), 1 / len(x), dtype=torch.float64).numpy() for x in (a, b)]
    plan = ot.emd(*weights, distances.detach().double().cpu().numpy(), numItermax=10_000_000)
    return (torch.as_tensor(plan, dtype=a.dtype, device=a.device) * distances).sum()


class Slices:
    """Mean over slices of W₁ = ∫|F_events(t) - F_points(t)| dt, F the distribution functions along a slice.

    The slices are the axes and ``directions`` random unit vectors. Between two neighbouring points the events' F enters by
    its exact mean, which makes a step's cost independent of the number of events; the distance is then low by
    at most Σ gap · (the events' share in it), little where points are dense among events. Wasserstein loss of normalised
    autoencoders: arXiv:2510.02168.

    events  ``(n, d)``
    """

    def __init__(self, events: torch.Tensor, directions: int = 16, seed: int = 0) -> None:
        d = events.shape[1]
        if d == 1:
            directions = 0
        random = torch.Generator().manual_seed(seed)
        drawn = torch.randn(directions, d, generator=random, dtype=torch.float64).to(events)
        self.axes = torch.cat([torch.eye(d).to(events), drawn / drawn.norm(dim=1, keepdim=True)])
        self.events = (self.axes @ events.mT).sort(1).values.contiguous()
        self.sums = torch.nn.functional.pad(self.events.cumsum(1), (1, 0))

    def _integral(self, t: torch.Tensor) -> torch.Tensor:
        """∫_{-∞}^t F_events of each slice."""
        below = torch.searchsorted(self.events, t)
        return (below * t - self.sums.gather(1, below)) / self.events.shape[1]

    def against(self, points: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """The distance to ``points`` ``(m, d)`` as a function of their weights ``(m,)``, which sum to 1."""
        t, order = (self.axes @ points.detach().mT).sort(1)
        t = t.contiguous()
        area = self._integral(t)
        outside = area[:, 0] + area[:, -1] - t[:, -1] + self.events.mean(1)
        gaps = t.diff(dim=1)
        area = area.diff(dim=1)

        def distance(weights: torch.Tensor) -> torch.Tensor:
            F = weights[order[:, :-1]].cumsum(1)
            return ((area - gaps * F).abs().sum(1) + outside).mean()

        return distance
