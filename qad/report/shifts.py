"""What a systematic uncertainty does to a score: how far it shifts, and how many events then pass a cut chosen without it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np

from qad.benchmark.runs import Run

#: The cut keeps this share of the nominal background.
WORKING_POINT = 0.01


@dataclass(frozen=True)
class Shift:
    """One detector under one variation of one process, means over seeds.

    ``shift`` is (mean score of the varied events - mean score) / s.d. of the nominal background's scores, ``spread`` its
    s.d. over seeds, ``moved`` the mean |difference| of each event's score in the same units. ``efficiency`` is the share of
    the process above the cut that keeps 1 % of the nominal background, ``varied`` the share of its varied events above it.
    """

    train: str
    process: str
    representation: str
    detector: str
    kind: str
    variation: str
    shift: float
    spread: float
    moved: float
    efficiency: float
    varied: float


def shifts_of(runs: Iterable[Run]) -> list[Shift]:
    """A row per detector, process and variation, in the order of first appearance; none where a study varies nothing."""
    groups: dict[tuple[str, ...], list[tuple[float, ...]]] = {}
    for run in runs:
        background = run.scores[run.train]
        scale = float(background.std()) or 1.0
        cut = np.quantile(background, 1 - WORKING_POINT)
        for process, variations in run.twins.items():
            nominal = run.scores[process]
            for variation, varied in variations.items():
                key = (run.train, process, run.representation, run.detector, run.kind, variation)
                groups.setdefault(key, []).append((
                    float(varied.mean() - nominal.mean()) / scale, float(np.abs(varied - nominal).mean()) / scale,
                    float((nominal > cut).mean()), float((varied > cut).mean())))
    found = []
    for key, values in groups.items():
        shift, moved, efficiency, varied = np.array(values).T
        spread = float(shift.std(ddof=1)) if len(shift) > 1 else float("nan")
        found.append(Shift(*key, float(shift.mean()), spread, *(float(v.mean()) for v in (moved, efficiency, varied))))
    return found


def shifts_csv(shifts: Sequence[Shift]) -> str:
    """The rows as text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([f.name for f in fields(Shift)])
    writer.writerows(asdict(s).values() for s in shifts)
    return text.getvalue()


def table_of(shifts: Sequence[Shift], train: str) -> tuple[list[str], list[list[str]]]:
    """Heads and rows for one background: the largest shift of each variation, and what passes the cut, per process."""
    here = [s for s in shifts if s.train == train]
    variations = list(dict.fromkeys(s.variation for s in here))
    processes = sorted({s.process for s in here}, key=lambda p: p != train)
    heads = ["detector", "representation", "kind", *(f"shift of {train}, {v}" for v in variations),
             *(f"ε({p}), {v}" for p in processes for v in ("nominal", *variations))]
    rows: dict[tuple[str, str, str], dict[tuple[str, str], Shift]] = {}
    for s in here:
        rows.setdefault((s.detector, s.representation, s.kind), {})[s.process, s.variation] = s
    table = []
    for names, cells in sorted(rows.items(), key=lambda row: max(abs(c.shift) for (p, _), c in row[1].items() if p == train)):
        line = [*names]
        line += [f"{c.shift:+.3f}" if (c := cells.get((train, v))) else "–" for v in variations]
        for p in processes:
            first = next((cells[p, v] for v in variations if (p, v) in cells), None)
            line.append("–" if first is None else f"{first.efficiency:.4f}")
            line += [f"{c.varied:.4f}" if (c := cells.get((p, v))) else "–" for v in variations]
        table.append(line)
    return heads, table
