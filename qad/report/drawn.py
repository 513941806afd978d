"""One of two samples while they are compared: a uniform draw of its events, histograms of all, in constant memory."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from qad.data.sample import Fingerprint, Sample
from qad.data.store import iter_chunks
from qad.errors import InputError
from qad.report.observables import observables

BINS = 40
CHUNK = 5_000


class Drawn:
    """One side while it is read: a uniform draw of its events, then histograms of all."""

    def __init__(self, source: Sample | str | Path, name: str, most: int, seed: int) -> None:
        self.source, self.name = source, name
        rng, hasher = np.random.default_rng(seed), Fingerprint()
        process: dict[str, int] = {}
        label: dict[int, int] = {}
        keys, rows, n, first = np.zeros(0), None, 0, None
        for chunk in self._chunks():
            hasher.update(chunk)
            n += len(chunk)
            first = chunk[:0] if first is None else first
            for table, column in ((process, chunk.process), (label, chunk.label)):
                for key, k in zip(*np.unique(column, return_counts=True), strict=True):
                    table[key.item()] = table.get(key.item(), 0) + int(k)
            key = rng.random(len(chunk))  # the events with the smallest keys are drawn: each set of them is equally likely
            taken = key < (np.partition(keys, most - 1)[most - 1] if len(keys) >= most else 2.0)
            columns = observables(chunk[taken])
            self.units = {k: c.unit for k, c in columns.items()}
            table_ = np.column_stack([*(c.values for c in columns.values()), chunk.weight[taken]])
            rows = table_ if rows is None else np.concatenate([rows, table_])
            keys = np.concatenate([keys, key[taken]])
            if len(keys) > most:
                kept = np.sort(np.argpartition(keys, most - 1)[:most])
                keys, rows = keys[kept], rows[kept]
        if first is None or rows is None or not n:
            raise InputError(f"{name} holds no events; expected some to compare")
        self.rows, self.n, self.meta = rows, n, dict(first.meta)
        self.parts = {*(f"feature {k}" for k in first.feature_names), *(f"extra {k}" for k in first.extras),
                      *(f"particle extra {k}" for k in first.particle_extras),
                      *(f"slot {k}" for k in first.meta.get("slots", ()))}
        self.process, self.label, self.fingerprint = process, label, hasher.hexdigest()

    def _chunks(self) -> Iterator[Sample]:
        if isinstance(self.source, Sample):
            yield from (self.source[i : i + CHUNK] for i in range(0, len(self.source), CHUNK))
        else:
            yield from iter_chunks(self.source, CHUNK)

    def column(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Values and weights of the drawn events that have the observable."""
        values = self.rows[:, list(self.units).index(name)]
        there = ~np.isnan(values)
        return values[there], self.rows[there, -1]

    def histograms(self, edges: dict[str, np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Share of each bin and its error, of all events."""
        total = {name: np.zeros((2, len(e) - 1)) for name, e in edges.items()}

        def fill(name: str, values: np.ndarray, weight: np.ndarray) -> None:
            e = edges[name]
            at = np.clip(np.searchsorted(e, values, side="right") - 1, 0, len(e) - 2)
            for row, w in zip(total[name], (weight, weight**2), strict=True):
                row += np.bincount(at, w, minlength=len(e) - 1)

        if self.n == len(self.rows):
            for name in edges:
                fill(name, *self.column(name))
        else:
            for chunk in self._chunks():
                columns = observables(chunk)
                for name in edges:
                    there = ~np.isnan(columns[name].values)
                    fill(name, columns[name].values[there], chunk.weight[there].astype(np.float64))
        return {name: (w / (w.sum() or 1.0), np.sqrt(w2) / (w.sum() or 1.0)) for name, (w, w2) in total.items()}


def edges_of(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Bins over the central 99 % of both, 40 or fewer where events are few; whole numbers stand in the middle of theirs."""
    both = [x for x in (a, b) if len(x)]
    if not both:
        return np.array([0.0, 1.0])
    bins = min(BINS, 2 + round(2 * min(map(len, both)) ** (1 / 3)))
    low, high = min(np.quantile(x, 0.005) for x in both), max(np.quantile(x, 0.995) for x in both)
    if all((x == np.round(x)).all() for x in both):
        step = max(math.ceil((high - low + 1) / bins), 1)
        return np.arange(math.floor(low) - 0.5, math.ceil(high) + 0.5 + step, step)
    if high <= low:
        return np.array([low - 0.5, low + 0.5])
    return np.linspace(low, high, bins + 1)


def settings(a: dict[str, Any], b: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Provenance that differs, one level into nested settings."""
    def flat(meta: dict[str, Any]) -> dict[str, str]:
        out = {}
        for key, value in meta.items():
            inner = value.items() if isinstance(value, dict) else [("", value)]
            out |= {f"{key}.{k}" if k else key: json.dumps(v, default=str, ensure_ascii=False) for k, v in inner}
        return out

    x, y = flat(a), flat(b)
    for key in dict.fromkeys([*x, *y]):
        if x.get(key) != y.get(key):
            yield key, *("–" if key not in z else z[key] if len(z[key]) <= 60 else z[key][:57] + "…" for z in (x, y))
