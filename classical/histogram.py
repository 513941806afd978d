"""The density of the background as a product of histograms, one for each column."""

from __future__ import annotations

import numpy as np

from qad.detector import Detector
from qad.errors import InputError

BINS = ("equal-population", "equal-width")


class Histogram(Detector):
    """Score = -Σ_i log p_i(x_i), p_i a smoothed histogram of column i: correlations are ignored (Goldstein, Dengel 2012).

    Each bin counts its events and ``smoothing`` more, divided by its width. log p_i is interpolated between the centres of
    the bins and flat in the outer halves of the first and the last. Beyond the range of the training events it falls
    linearly, to that of an empty bin as wide as the widest, or by 1 at least, within the width of the last bin, and on at
    that slope: the score grows outside, at every distance. Each p_i is normalised on the whole axis. In nats, for densities
    in 1/(unit of column).

    bins       "equal-population" ("dynamic" in the paper) or "equal-width" ("static")
    n_bins     bins of a column; None: √n of n training events. Fewer where a column has not as many distinct values
    smoothing  pseudo-events in each bin, above 0

    Raises :class:`InputError`.
    """

    kind = "control"

    def __init__(self, bins: str = "equal-population", n_bins: int | None = None, smoothing: float = 1.0) -> None:
        self.bins = bins
        self.n_bins = n_bins
        self.smoothing = smoothing

    def _fit(self, X: np.ndarray, validation: np.ndarray | None) -> None:
        if self.bins not in BINS:
            raise InputError(f"bins={self.bins!r}: expected one of {', '.join(BINS)}")
        if not self.smoothing > 0 or (self.n_bins is not None and self.n_bins < 1):
            raise InputError("expected smoothing > 0 and n_bins of at least 1 or None, got "
                             f"{self.smoothing} and {self.n_bins}")
        n_bins = self.n_bins or max(round(len(X) ** 0.5), 1)
        columns = [self._column(x, n_bins) for x in X.astype(np.float64).T]
        knots, logs, slopes = zip(*columns, strict=True)
        self.start_ = np.cumsum([0, *map(len, knots)])
        self.knots_, self.log_density_ = np.concatenate(knots), np.concatenate(logs)
        self.slopes_ = np.array(slopes)  # (f, 2): how fast log p falls below and above
        self.parameters_ = int(self.knots_.size + self.log_density_.size)

    def _column(self, x: np.ndarray, n_bins: int) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
        """Knots, log p there, and the slopes outside."""
        if self.bins == "equal-width":
            edges = np.linspace(x.min(), x.max(), n_bins + 1)
        else:
            edges = np.quantile(x, np.linspace(0, 1, n_bins + 1))
        # a bin that rounding would lose is none
        least = 1e-9 * max(abs(edges[0]), abs(edges[-1]), edges[-1] - edges[0])
        last = edges[-1]
        edges = edges[np.r_[True, np.diff(np.maximum.accumulate(edges)) > least]]
        edges[-1] = max(last, edges[-1])
        if len(edges) < 2:  # a constant
            edges = last + np.array([-0.5, 0.5]) * max(abs(last), 1.0)
        width = np.diff(edges)
        count = np.histogram(x, edges)[0] + self.smoothing
        log = np.log(count / width / count.sum())
        empty = np.log(self.smoothing / width.max() / count.sum())
        slopes = tuple(max(log[i] - empty, 1.0) / width[i] for i in (0, -1))
        knots = np.r_[edges[0], (edges[1:] + edges[:-1]) / 2, edges[-1]]
        log = np.r_[log[0], log, log[-1]]
        rise = np.diff(log)
        with np.errstate(invalid="ignore", divide="ignore"):  # ∫ exp of a straight line
            mean = np.where(np.abs(rise) < 1e-8, np.exp(log[:-1]), np.exp(log[:-1]) * np.expm1(rise) / rise)
        total = (mean * np.diff(knots)).sum() + np.exp(log[0]) / slopes[0] + np.exp(log[-1]) / slopes[1]
        return knots, log - np.log(total), slopes

    def _score(self, X: np.ndarray) -> np.ndarray:
        out = np.zeros(len(X))
        for i, (a, b) in enumerate(zip(self.start_[:-1], self.start_[1:], strict=True)):
            x, knots = X[:, i].astype(np.float64), self.knots_[a:b]
            below, above = np.maximum(knots[0] - x, 0), np.maximum(x - knots[-1], 0)
            out += self.slopes_[i, 0] * below + self.slopes_[i, 1] * above - np.interp(x, knots, self.log_density_[a:b])
        return out
