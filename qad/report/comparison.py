"""Two samples compared, observable by observable: records first, then one page from the records."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qad.data.sample import Sample
from qad.errors import InputError
from qad.metrics.distances import effective_size, equal_distances, kolmogorov_smirnov, wasserstein
from qad.report.drawn import Drawn, edges_of, settings

#: A difference is called one below this p-value, times the number of observables (Bonferroni).
LEVEL = 1e-3
#: Fewer events with a value say nothing.
FEWEST = 10


@dataclass(frozen=True)
class Side:
    """One of the two samples: what it is and what it holds."""

    name: str
    events: int
    used: int  # events drawn at random for distances; all of them where the sample is not larger
    effective: float  # (Σ w)²/Σ w² of those
    fingerprint: str
    process: dict[str, int]
    label: dict[int, int]


@dataclass(frozen=True)
class Histogram:
    """Shares of the events of A and B in each bin with statistical errors; what lies further out is in the last bins."""

    edges: np.ndarray  # (bins + 1,)
    a: np.ndarray
    b: np.ndarray
    error_a: np.ndarray
    error_b: np.ndarray


@dataclass(frozen=True)
class Observable:
    """One observable in A and B. ``chance`` values are what equal distributions give: the mean, or what 5 % exceed."""

    name: str
    unit: str
    n: tuple[int, int]  # events that have it, of those used
    mean: tuple[float, float]
    sd: tuple[float, float]
    wasserstein: float  # in the unit
    wasserstein_chance: float
    wasserstein_chance_95: float
    ks: float
    ks_chance: float
    statistic: float  # √n D, by which observables are sorted: it does not underflow as the p-value does
    p_value: float
    histogram: Histogram

    @property
    def in_sd(self) -> float | None:
        """Wasserstein distance in standard deviations of A; None where A is constant."""
        return self.wasserstein / self.sd[0] if self.sd[0] > 0 else None


@dataclass(frozen=True)
class Comparison:
    """Two samples compared. Observables come with the most significant difference first."""

    a: Side
    b: Side
    observables: tuple[Observable, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    too_few: tuple[str, ...]  # observables that fewer than ten events of one sample have
    settings: tuple[tuple[str, str, str], ...]  # provenance that differs: what, in A, in B

    @property
    def identical(self) -> bool:
        """Whether both hold the same events, bit for bit."""
        return self.a.fingerprint == self.b.fingerprint

    @property
    def differing(self) -> tuple[Observable, ...]:
        """Those that differ beyond chance: p < 0.001 after Bonferroni."""
        return tuple(o for o in self.observables if o.p_value * len(self.observables) < LEVEL)

    @property
    def verdict(self) -> str:
        """One sentence, worked out from the numbers."""
        n, found = len(self.observables), self.differing
        if self.identical:
            return f"A and B hold identical events (equal fingerprints, {self.a.events:,} events)."
        size = f"{self.a.used:,} and {self.b.used:,}" if self.a.used != self.b.used else f"{self.a.used:,}"
        level = f"(p < {LEVEL:g} after Bonferroni)"
        if found:
            names = ", ".join(o.name for o in found[:8]) + (f" and {len(found) - 8} more" if len(found) > 8 else "")
            return f"A and B differ in {len(found)} of {n} observables beyond what {size} events explain {level}: {names}."
        first = self.observables[0]
        blind = [o.wasserstein_chance_95 / o.sd[0] for o in self.observables if o.sd[0] > 0]
        more = f"; distances below {max(blind):.2g} standard deviations would not be seen" if blind else ""
        return (f"A and B differ in none of {n} observables beyond what {size} events explain {level}; the largest difference "
                f"is in {first.name}, p = {first.p_value:.2g} before Bonferroni{more}.")

    def as_dict(self) -> dict[str, Any]:
        """Everything in types that JSON knows; numbers that are not finite are None."""
        record = {**dataclasses.asdict(self), "identical": self.identical, "verdict": self.verdict,
                  "differing": [o.name for o in self.differing]}
        for o, row in zip(self.observables, record["observables"], strict=True):
            row["wasserstein_in_sd"] = o.in_sd
        return _plain(record)


def _plain(x: Any) -> Any:
    if isinstance(x, dict):
        return {str(k): _plain(v) for k, v in x.items()}
    if isinstance(x, list | tuple | np.ndarray):
        return [_plain(v) for v in x]
    if isinstance(x, np.generic):
        x = x.item()
    return None if isinstance(x, float) and not math.isfinite(x) else x


def validate(a: Sample | str | Path, b: Sample | str | Path, out: str | Path, *, most: int = 100_000, draws: int = 100,
             seed: int = 0, progress: Callable[[int, int], None] | None = None) -> tuple[Path, Comparison]:
    """Compare two samples and write the page ``out`` (.html, self-contained); arguments and errors as in :func:`compare`.

    Returns the path and the :class:`Comparison`, whose ``verdict`` is one sentence and whose ``as_dict()`` is JSON.
    """
    from qad.persistence import atomic_write
    from qad.report.overlays import page

    out = Path(out)
    if out.suffix not in (".html", ".htm"):
        raise InputError(f"{out}: expected a name that ends in .html")
    if not out.parent.is_dir():
        raise InputError(f"{out}: the folder {out.parent} is not there")
    found = compare(a, b, most=most, draws=draws, seed=seed, progress=progress)
    try:
        atomic_write(out, page(found))
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror}") from None
    return out, found


def compare(a: Sample | str | Path, b: Sample | str | Path, *, most: int = 100_000, draws: int = 100, seed: int = 0,
            progress: Callable[[int, int], None] | None = None) -> Comparison:
    """Histograms of all events, distances of at most ``most`` of each sample drawn at random, in constant memory.

    a, b      samples or files, ours or in a public format; A is the reference
    draws     how often chance is asked (:func:`qad.metrics.distances.equal_distances`)
    progress  called with (observables done, observables)

    Weighted; events are taken as independent of each other, also the two jets of one collision. p-values are Kolmogorov and
    Smirnov's for large samples. Raises :class:`InputError` for an empty sample or two that have nothing in common.
    """
    if most < FEWEST:
        raise InputError(f"most={most}: expected a whole number from {FEWEST}")
    sides = tuple(Drawn(x, f"sample {name}" if isinstance(x, Sample) else Path(x).name, most, seed + i)
                  for i, (name, x) in enumerate(zip("AB", (a, b), strict=True)))
    names = [name for name in sides[0].units if name in sides[1].units]
    if not names:
        raise InputError(f"{sides[0].name} and {sides[1].name} have nothing in common to compare: one has "
                         f"{_listed(sides[0].units)}, the other {_listed(sides[1].units)}")
    edges = {name: edges_of(*(side.column(name)[0] for side in sides)) for name in names}
    bins = [side.histograms(edges) for side in sides]
    rows, too_few = [], []
    for i, name in enumerate(names):
        if min(len(side.column(name)[0]) for side in sides) < FEWEST:
            too_few.append(name)
        else:
            rows.append(_observable(name, sides, edges[name], [counts[name] for counts in bins], draws, seed))
        if progress:
            progress(i + 1, len(names))
    if not rows:
        raise InputError(f"{sides[0].name} and {sides[1].name}: fewer than {FEWEST} events have a value of "
                         f"{_listed(names)}; nothing can be compared")
    parts = [side.parts for side in sides]
    return Comparison(*map(_side, sides), tuple(sorted(rows, key=lambda o: -o.statistic)),
                      tuple(sorted(parts[0] - parts[1])), tuple(sorted(parts[1] - parts[0])), tuple(too_few),
                      tuple(settings(*(side.meta for side in sides))))


def _side(x: Drawn) -> Side:
    weight = x.rows[:, -1]
    return Side(x.name, x.n, len(x.rows), effective_size(weight) if weight.any() else 0.0, x.fingerprint, x.process, x.label)


def _listed(names: Any) -> str:
    names = list(names)
    return ", ".join(names[:6]) + (", …" if len(names) > 6 else "") or "no observable"


def _observable(name: str, sides: tuple[Drawn, Drawn], edges: np.ndarray, counts: list[tuple[np.ndarray, np.ndarray]],
                draws: int, seed: int) -> Observable:
    (a, w_a), (b, w_b) = (side.column(name) for side in sides)
    ks = kolmogorov_smirnov(a, b, w_a, w_b)
    chance_w, chance_ks = equal_distances(a, b, w_a, w_b, draws=draws, seed=seed)
    means = [float(np.average(x, weights=w)) for x, w in ((a, w_a), (b, w_b))]
    variances = [float(np.average((x - m) ** 2, weights=w)) for x, w, m in zip((a, b), (w_a, w_b), means, strict=True)]
    sds = [math.sqrt(max(v, 0.0)) for v in variances]
    (share_a, error_a), (share_b, error_b) = counts
    return Observable(name, sides[0].units[name], (len(a), len(b)), tuple(means), tuple(sds), wasserstein(a, b, w_a, w_b),
                      float(chance_w.mean()), float(np.quantile(chance_w, 0.95)), ks.distance, float(chance_ks.mean()),
                      ks.statistic, ks.p_value, Histogram(edges, share_a, share_b, error_a, error_b))
