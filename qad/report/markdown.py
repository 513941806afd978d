"""A table in GitHub's markdown, for a page of documents: a row per detector, a column per direction, and the worst of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from qad.benchmark import studies
from qad.detector import KINDS
from qad.errors import InputError, did_you_mean
from qad.metrics import max_sic, rejection
from qad.metrics.intervals import bootstrap_metric
from qad.report.tables import Progress, Replicas, Summary, read_rows, steps, summarise
from qad.report.told import remarks
from qad.report.verdict import judge

TITLES = {"auc": "AUC", "rejection_03": "1/ε_b at ε_s = 0.3", "rejection_05": "1/ε_b at ε_s = 0.5", "max_sic": "Largest SIC"}
#: The same in a replica, which may well have fewer background events than are asked of the measured value.
REPLICA = {"rejection_03": partial(rejection, signal_efficiency=0.3, fewest=1),
           "rejection_05": partial(rejection, signal_efficiency=0.5, fewest=1), "max_sic": max_sic}
DRAWS = 100
#: More directions than this are shown in one table per background.
WIDEST = 8

Row = dict[tuple[str, str], Summary]


@dataclass(frozen=True)
class Part:
    """One table: heads, and per row its kind and cells; heads beginning with "detector" or equal to "kind" hold words."""

    heads: list[str]
    rows: list[tuple[str, list[str]]]


@dataclass(frozen=True)
class Comparison:
    """Tables of a study's metric, with what is said about them."""

    name: str
    study: str  # the command that ran it
    options: str  # of the command that made the tables
    caption: str
    headline: str
    parts: list[Part]


def comparison(runs: str | Path, metric: str = "auc", train: str | None = None,
               progress: Progress | None = None) -> Comparison:
    """What :func:`as_markdown` and :func:`qad.report.latex.as_latex` show; arguments and errors as there."""
    if metric not in TITLES:
        raise InputError(did_you_mean(metric, TITLES, "metric"))
    record, rows, missing = read_rows(runs)
    pairs = list(dict.fromkeys((r.values["train"], r.signal) for r in rows))
    backgrounds = list(dict.fromkeys(a for a, _ in pairs))
    if train is not None and train not in backgrounds:
        raise InputError(did_you_mean(train, backgrounds, "background"))
    if train is not None:
        parts = [[p for p in pairs if p[0] == train]]
    else:
        parts = [[p for p in pairs if p[0] == b] for b in backgrounds] if len(pairs) > WIDEST else [pairs]
    shown = [r for r in rows if train in (None, r.values["train"])]
    step = steps(progress, len(rows) + len(shown) * (metric != "auc"))
    summaries = summarise(rows, step=step)
    table: dict[tuple[str, str], Row] = {}
    for s in summaries:
        table.setdefault((s.detector, s.representation), {})[s.train, s.signal] = s
    ordered = sorted(table.values(), key=lambda row: _order(row, metric, pairs))
    drawn = Replicas(DRAWS)
    options = ["" if metric == "auc" else f" --metric {metric}", "" if train is None else f" --train {train}"]
    name = record["study"]["name"]
    return Comparison(name, f"qad benchmark {name if name in studies() else f'{name}.yaml'}", "".join(options),
                      _caption(summaries, metric), judge(summaries, missing).headline,
                      [_table(ordered, metric, part, pairs, drawn, step) for part in parts])


def as_markdown(runs: str | Path, metric: str = "auc", train: str | None = None, progress: Progress | None = None) -> str:
    """The table of a study's ``metric``, the verdict's headline and the commands that made them.

    Rows by kind, then the best worst direction first. ``train`` shows one background; "worst" is always over all directions.
    Error² = variance of the mean over the seeds in bootstrap replicas of the test events + variance over the seeds / their
    number. ``progress`` is told how many steps are done, and of how many. Raises :class:`InputError`.
    """
    found = comparison(runs, metric, train, progress)
    lines = [found.caption, ""]
    for part in found.parts:
        rule = ["---", *("---" if h == "kind" else "---:" for h in part.heads[1:])]
        lines += [_line(part.heads), _line(rule), *(_line(cells) for _, cells in part.rows), ""]
    lines += [found.headline, "",
              f"Made by `{found.study}` and `qad report {runs} --format markdown{found.options}`."]
    return "\n".join(lines)


def error(summary: Summary, metric: str, drawn: Replicas, step: Callable[[], None] = lambda: None) -> float:
    """Error of the mean over the seeds: of the test events and, with more than one seed, of the training."""
    if metric == "auc":
        replicas = summary.boot
    else:
        pair = (summary.train, summary.signal)
        found = []
        for r in summary.rows:
            found.append(bootstrap_metric(*(r.run.scores[p] for p in pair), *(drawn(r.run, p) for p in pair), REPLICA[metric]))
            step()
        replicas = np.array(found)
    spread = summary.sd[metric] / math.sqrt(len(summary.rows)) if len(summary.rows) > 1 else 0.0
    return math.hypot(float(np.nanstd(replicas.mean(0), ddof=1)), spread)


def _caption(summaries: Sequence[Summary], metric: str) -> str:
    seeds = sorted({len(s.rows) for s in summaries})
    if seeds == [1]:
        return f"{TITLES[metric]} of one seed ± error of the test events; the spread of training is unknown."
    number = f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else seeds[0]
    return f"{TITLES[metric]}, mean of {number} seeds ± error (bootstrap over test events, and spread over seeds)."


def _known(summary: Summary, metric: str) -> float:
    """The mean, a lower bound of it, or NaN."""
    mean = summary.mean[metric]
    return summary.least_rejection if not math.isfinite(mean) and metric.startswith("rejection") else mean


def _worst(row: Row, metric: str, pairs: Sequence[tuple[str, str]]) -> Summary | None:
    """The direction with the smallest mean; None where one direction is missing or undefined."""
    values = {p: _known(row[p], metric) if p in row else math.nan for p in pairs}
    return None if any(map(math.isnan, values.values())) else row[min(values, key=values.__getitem__)]


def _order(row: Row, metric: str, pairs: Sequence[tuple[str, str]]) -> tuple[int, float]:
    worst = _worst(row, metric, pairs)
    return KINDS.index(next(iter(row.values())).kind), math.inf if worst is None else -_known(worst, metric)


def _value(summary: Summary, metric: str) -> tuple[str, int]:
    """The mean in words and its decimals."""
    mean = summary.mean[metric]
    digits = {"auc": 4, "max_sic": 2}.get(metric, 2 if mean < 10 else 1 if mean < 100 else 0)
    if math.isfinite(mean):
        return f"{mean:.{digits}f}", digits
    return f"> {summary.least_rejection:.0f}" if metric.startswith("rejection") else "too few events", digits


def _table(rows: Sequence[Row], metric: str, shown: Sequence[tuple[str, str]], pairs: Sequence[tuple[str, str]],
           drawn: Replicas, step: Callable[[], None]) -> Part:
    worst = "worst" if len(shown) == len(pairs) else f"worst of all {len(pairs)}"
    part = Part(["detector (representation)", *(f"{a} → {b}" for a, b in shown), worst, "kind", "parameters", "fit seconds",
                 "events/s"], [])
    for row in rows:
        here = [row[p] for p in shown if p in row]
        if not here:
            continue
        cells = []
        for pair in shown:
            text, digits = _value(row[pair], metric) if pair in row else ("–", 0)
            known = pair in row and math.isfinite(row[pair].mean[metric])
            if not known and pair in row and metric != "auc":
                for _ in row[pair].rows:
                    step()
            cells.append(f"{text} ± {error(row[pair], metric, drawn, step):.{digits}f}" if known else text)
        least = _worst(row, metric, pairs)
        cost = {id(r.run): r.run.record for s in here for r in s.rows}.values()
        speed = sum(c["events_per_second"] for c in cost) / len(cost)
        sizes = sorted({c["parameters"] for c in cost if c.get("parameters") is not None})
        said = "; ".join(remarks([r.run for s in here for r in s.rows]))
        called = f"{here[0].name} [{said}]" if said else here[0].name
        part.rows.append((here[0].kind, [
            called, *cells, "–" if least is None else _value(least, metric)[0], here[0].kind,
            "–".join(f"{n:,}" for n in dict.fromkeys((sizes[0], sizes[-1]))) if sizes else "–",
            f"{sum(c['fit_seconds'] for c in cost) / len(cost):.2f}",
            f"{float(f'{speed:.3g}'):,.0f}",
        ]))
    return part


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
