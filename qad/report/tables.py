"""Records from runs: one row per trained model and signal, and summaries over seeds with paired comparisons."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qad.benchmark.runs import Run, read_runs, read_study_record
from qad.detector import LABELLED
from qad.errors import InputError
from qad.metrics import Difference, Roc, fpr_at_tpr, max_sic, paired_difference, rejection, roc, tpr_at_fpr
from qad.metrics.intervals import bootstrap_auc, bootstrap_weights, percentile_interval
from qad.metrics.ranking import FEWEST_BACKGROUND
from qad.metrics.significance import FEWEST_BACKGROUND as FEWEST_FOR_SIC
from qad.report.convergence import converged, mark

METRICS = ("auc", "rejection_03", "rejection_05", "max_sic", "tpr_1e2", "tpr_1e3", "tpr_1e4", "tpr_1e5")
COST = ("parameters", "effective_parameters", "fit_seconds", "seconds_per_epoch", "events_per_second", "shots")
COLUMNS = ("train", "signal", "representation", "detector", "kind", "seed", *METRICS, *COST, "fingerprint", "converged")
DRAWS = 400

#: Told how many steps are done, and of how many.
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Row:
    """One trained model on one signal."""

    run: Run
    signal: str
    curve: Roc
    values: dict[str, Any]


@dataclass(frozen=True)
class Summary:
    """One detector on one representation, one background and one signal, over all seeds.

    ``mean`` and ``sd`` per metric (NaN where undefined), ``interval`` the 68 % bootstrap interval of the mean AUC over
    test events, ``boot`` the AUC of each seed in each replica.
    """

    train: str
    signal: str
    representation: str
    detector: str
    kind: str
    family: str
    rows: tuple[Row, ...]
    mean: dict[str, float]
    sd: dict[str, float]
    interval: tuple[float, float]
    boot: np.ndarray

    @property
    def name(self) -> str:
        """``detector (representation)``."""
        return f"{self.detector} ({self.representation})"

    @property
    def mark(self) -> str:
        """``not converged: 2 of 5 seeds``, or empty."""
        return mark(r.run for r in self.rows)

    @property
    def called(self) -> str:
        """The name, and in brackets that it did not converge."""
        return f"{self.name} [{self.mark}]" if self.mark else self.name

    @property
    def auc(self) -> np.ndarray:
        """AUC of each seed."""
        return np.array([r.values["auc"] for r in self.rows])

    @property
    def seeds(self) -> list[int]:
        """Seed of each row."""
        return [r.run.seed for r in self.rows]

    @property
    def seconds(self) -> float:
        """Mean training time over the seeds [s]."""
        return sum(r.values["fit_seconds"] for r in self.rows) / len(self.rows)

    @property
    def least_rejection(self) -> float:
        """What is known of a rejection that is NaN: fewer than ten background events are left, so it is larger than this."""
        return self.rows[0].curve.n_background[-1] / math.ceil(FEWEST_BACKGROUND * copies_of(self.rows[0].run))

    def minus(self, other: Summary) -> Difference:
        """Paired difference of mean AUC over the seeds that both have; NaN if they were not given the same events."""
        common = [s for s in self.seeds if s in other.seeds]
        mine, theirs = ([x.seeds.index(s) for s in common] for x in (self, other))
        if not common or {r.values["fingerprint"] for r in (*self.rows, *other.rows)} != {self.rows[0].values["fingerprint"]}:
            return Difference(float(self.auc.mean() - other.auc.mean()), float("nan"))
        return paired_difference(self.auc[mine], other.auc[theirs], self.boot[mine], other.boot[theirs])


def pareto(summaries: Sequence[Summary]) -> list[Summary]:
    """Those with a larger mean AUC than everything that trains as fast or faster, fastest first.

    None that is told labels, and none that does no better than chance.
    """
    found: list[Summary] = []
    asked = [s for s in summaries if s.kind not in LABELLED and s.mean["auc"] > 0.5]
    for s in sorted(asked, key=lambda s: (s.seconds, -s.mean["auc"])):
        if not found or s.mean["auc"] > found[-1].mean["auc"]:
            found.append(s)
    return found


def read_rows(runs: str | Path) -> tuple[dict[str, Any], list[Row], int]:
    """What the study in the folder ``runs`` noted, a row per trained model and signal, how many of its models are missing.

    Raises :class:`InputError` if there is no finished run, or no signal.
    """
    root = Path(runs)
    record = read_study_record(root)
    found = read_runs(root)
    if not found:
        reasons = "; ".join(sorted({f["reason"] for f in record["failed"]}))
        why = f": every model failed: {reasons}" if reasons else "; run its study again"
        raise InputError(f"{root} holds no finished run{why}")
    rows = rows_of(found)
    if not rows:
        raise InputError(f"{root}: every run was scored on its own background only; add a second sample as signal")
    return record, rows, len(record["cells"]) - len(found)


def seconds_per_epoch(run: Run) -> float | None:
    """Median over the epochs of its training; None where nothing was trained in epochs."""
    history = (run.record.get("diagnostics") or {}).get("history")
    seconds = history.get("seconds") if isinstance(history, dict) else None
    return float(np.median(seconds)) if seconds else None


def metrics_of(curve: Roc, copies: float = 1.0) -> dict[str, float]:
    """Every metric of one ROC curve; NaN where there are too few events, ``copies`` of one counting as one."""
    fewest = math.ceil(FEWEST_BACKGROUND * copies)
    return {
        "auc": curve.auc,
        "rejection_03": rejection(curve, 0.3, fewest),
        "rejection_05": rejection(curve, 0.5, fewest),
        "max_sic": max_sic(curve, math.ceil(FEWEST_FOR_SIC * copies)),
        **{f"tpr_1e{k}": tpr_at_fpr(curve, 10.0**-k, fewest) for k in (2, 3, 4, 5)},
    }


def copies_of(run: Run) -> float:
    """Copies of an event among the background that a run was tested on; 1 where nothing was drawn by weight."""
    return float((run.record.get("copies") or {}).get(run.train, 1.0))


def mean_fpr(rows: Sequence[Row], efficiencies: np.ndarray, fewest: int = FEWEST_BACKGROUND) -> np.ndarray:
    """ε_b at each ε_s of ``efficiencies``, mean over the seeds; NaN where fewer than ``fewest`` background events are left."""
    fpr = np.mean([fpr_at_tpr(r.curve, efficiencies) for r in rows], axis=0)
    known = fpr * rows[0].curve.n_background[-1] >= math.ceil(fewest * copies_of(rows[0].run))
    return np.where(known, fpr, np.nan)


def rows_of(runs: Sequence[Run]) -> list[Row]:
    """One row per run and signal."""
    rows = []
    for run in runs:
        for signal in run.scores:
            if signal == run.train:
                continue
            curve = roc(run.scores[run.train], run.scores[signal])
            prints = run.record["fingerprints"]
            events = prints[run.train]["train"] + prints[run.train]["test"] + prints[signal]["test"]
            rows.append(Row(run, signal, curve, {
                "train": run.train,
                "signal": signal,
                "representation": run.representation,
                "detector": run.detector,
                "kind": run.kind,
                "seed": run.seed,
                **metrics_of(curve, copies_of(run)),
                **{k: run.record.get(k) for k in COST},
                "seconds_per_epoch": seconds_per_epoch(run),
                "fingerprint": hashlib.sha256(events.encode()).hexdigest()[:16],
                "converged": converged(run),
            }))
    return rows


def results_csv(rows: Sequence[Row]) -> str:
    """``results.csv``: a row per trained model and signal, empty where undefined."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_cell(row.values[c]) for c in COLUMNS])
    return out.getvalue()


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


class Replicas:
    """Bootstrap weights of the test events of a process, ``(draws, n)``: the same for every detector and both directions.

    Jets of one collision are drawn together.
    """

    def __init__(self, draws: int = DRAWS) -> None:
        self.draws = draws
        self._weights: dict[tuple[str, int], np.ndarray] = {}

    def __call__(self, run: Run, process: str) -> np.ndarray:
        n = len(run.scores[process])
        if (process, n) not in self._weights:
            seed = int.from_bytes(hashlib.sha256(process.encode()).digest()[:4], "big")
            _, collision = np.unique(run.collisions.get(process, np.arange(n)), return_inverse=True)
            self._weights[process, n] = bootstrap_weights(int(collision.max()) + 1, self.draws, seed)[:, collision]
        return self._weights[process, n]


def steps(progress: Progress | None, total: int) -> Callable[[], None]:
    """A function that tells ``progress`` of one step more each time, of ``total`` in all; of none at once."""
    done = itertools.count()

    def step() -> None:
        if progress is not None:
            progress(next(done), total)

    step()
    return step


def summarise(rows: Sequence[Row], memory: dict[Any, Any] | None = None,
              step: Callable[[], None] = lambda: None) -> list[Summary]:
    """Group rows over seeds, in the order of first appearance; bootstrap replicas are shared within a background.

    ``memory`` keeps the replicas of each run for whoever summarises the same runs again; ``step`` is called after each row.
    """
    memory = {} if memory is None else memory
    groups: dict[tuple[str, str, str, str], list[Row]] = {}
    for row in rows:
        v = row.values
        groups.setdefault((v["train"], v["signal"], v["representation"], v["detector"]), []).append(row)
    drawn = Replicas()
    summaries = []
    for (train, signal, representation, detector), group in groups.items():
        boot = []
        for row in group:
            b, s = row.run.scores[train], row.run.scores[signal]
            key = ("replicas", row.run.path, row.run.record.get("finished"), signal)
            if row.run.path is None or key not in memory:
                memory[key] = bootstrap_auc(b, s, drawn(row.run, train), drawn(row.run, signal))
            boot.append(memory[key])
            step()
        replicas = np.array(boot)
        table = {m: np.array([r.values[m] for r in group], dtype=np.float64) for m in METRICS}
        summaries.append(Summary(
            train, signal, representation, detector, group[0].run.kind, group[0].run.record["detector"]["family"], tuple(group),
            mean={m: float(v.mean()) for m, v in table.items()},
            sd={m: float(v.std(ddof=1)) if len(v) > 1 else float("nan") for m, v in table.items()},
            interval=percentile_interval(replicas.mean(0)),
            boot=replicas,
        ))
    return summaries
