"""``report.html``: one page that opens from disk without a network; and ``results.csv`` beside it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import plotly.io
from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from qad.detector import LABELLED
from qad.errors import InputError
from qad.persistence import atomic_write
from qad.report import embedding_figures, figures
from qad.report.convergence import HEADS, Convergence, converged, energy_models, mark, problems_of
from qad.report.convergence import table_of as convergence_table
from qad.report.embeddings import Embedding
from qad.report.embeddings import embeddings as embeddings_of
from qad.report.embeddings import table_of as embeddings_table
from qad.report.shifts import Shift, shifts_csv, shifts_of, table_of
from qad.report.tables import Summary, read_rows, results_csv, summarise
from qad.report.verdict import NEEDED, Verdict, directions, judge

#: Pictures of trainings, and of embeddings, that the page shows without being asked.
FEW = 3


def write_report(runs: str | Path) -> tuple[Path, Verdict]:
    """Write ``report.html`` and ``results.csv`` into the folder ``runs``; returns the page's path and the verdict.

    Raises :class:`InputError` if the folder holds no finished run.
    """
    root = Path(runs)
    record, rows, missing = read_rows(root)
    summaries = summarise(rows)
    verdict = judge(summaries, missing)
    runs_ = list({id(r.run): r.run for r in rows}.values())
    shifts = shifts_of(runs_)
    page = render(record, summaries, verdict, missing, shifts, embeddings_of(root, runs_))
    try:
        if shifts:
            atomic_write(root / "shifts.csv", shifts_csv(shifts))
        atomic_write(root / "results.csv", results_csv(rows))
        atomic_write(root / "report.html", page)
    except OSError as error:
        raise InputError(f"cannot write into {root}: {error.strerror}") from None
    return root / "report.html", verdict


def _number(value: float, digits: int) -> str:
    return "–" if not math.isfinite(value) else f"{value:.{digits}f}"


def _with_sd(summary: Summary, metric: str, digits: int) -> str:
    mean, sd = summary.mean[metric], summary.sd[metric]
    if not math.isfinite(mean):
        if metric.startswith("rejection"):
            return f"> {summary.least_rejection:.0f}"
        return "too few events"
    return _number(mean, digits) + (f" ± {_number(sd, digits)}" if math.isfinite(sd) else "")


def _table(here: list[Summary]) -> list[dict[str, Any]]:
    best = max((s for s in here if s.kind == "control"), key=lambda s: s.mean["auc"], default=None)
    table = []
    for s in sorted(here, key=lambda s: -s.mean["auc"]):
        first = s.rows[0].values
        d = None if best is None or s is best else s.minus(best)
        difference = "" if d is None else f"{d.value:+.4f} ± {_number(d.error, 4)}"
        table.append({
            "detector": s.detector,
            "mark": s.mark,
            "representation": s.representation,
            "kind": s.kind,
            "auc": _with_sd(s, "auc", 4),
            "interval": f"[{s.interval[0]:.4f}, {s.interval[1]:.4f}]",
            "difference": "best control" if s is best else difference,
            "rejection_03": _with_sd(s, "rejection_03", 1),
            "rejection_05": _with_sd(s, "rejection_05", 1),
            "max_sic": _with_sd(s, "max_sic", 2),
            **{f"tpr_1e{k}": _with_sd(s, f"tpr_1e{k}", 3) for k in (2, 3, 4, 5)},
            "parameters": "–" if first["parameters"] is None else f"{first['parameters']:,}",
            "effective": "–" if first["effective_parameters"] is None else f"{first['effective_parameters']:,}",
            "fit": f"{sum(r.values['fit_seconds'] for r in s.rows) / len(s.rows):.2f}",
            "epoch": _epoch(s),
            "speed": f"{sum(r.values['events_per_second'] for r in s.rows) / len(s.rows):,.0f}",
            "shots": "exact" if first["shots"] is None and s.family == "quantum" else first["shots"] or "–",
        })
    return table


def _epoch(summary: Summary) -> str:
    known = [s for r in summary.rows if (s := r.values["seconds_per_epoch"]) is not None]
    return f"{sum(known) / len(known):.2g}" if known else "–"


def both_directions(summaries: list[Summary]) -> list[dict[str, Any]]:
    """Each detector's AUC in every direction and its worst, best worst first."""
    pairs = directions(summaries)
    table: dict[tuple[str, str], dict[str, Any]] = {}
    for s in summaries:
        row = table.setdefault((s.detector, s.representation), {"detector": s.detector, "representation": s.representation,
                                                                "kind": s.kind, "auc": {}})
        row["auc"][s.train, s.signal] = s.mean["auc"]
        row.setdefault("runs", []).extend(r.run for r in s.rows)
    for row in table.values():
        row["cells"] = [_number(row["auc"].get(p, math.nan), 4) for p in pairs]
        row["worst"] = min(row["auc"].values())
        row["mark"] = mark(row["runs"])
    return sorted(table.values(), key=lambda r: -r["worst"])


def oracle(here: list[Summary]) -> str:
    """The best cut on one feature when feature and sign are chosen with labels: what no unsupervised detector may do."""
    cuts = [s for s in here if s.rows[0].run.record["detector"]["use"] == "feature"
            and s.rows[0].run.record["detector"]["params"]["side"] == "high"]
    if not cuts:
        return ""
    best = max(cuts, key=lambda s: abs(s.mean["auc"] - 0.5))
    side = "high" if best.mean["auc"] >= 0.5 else "low"
    return (f"For orientation: the best cut on one feature, with feature and side chosen by looking at the labels, is "
            f"{best.detector.removesuffix('-high')}, {side}: AUC {max(best.mean['auc'], 1 - best.mean['auc']):.4f}.")


def convergence(found: Sequence[Convergence]) -> dict[str, Any]:
    """What the page says of energy models; their pictures stand open only if they are few."""
    runs = [r for c in found for r in c.runs]
    parts = []
    for train in dict.fromkeys(c.train for c in found):
        here = [c for c in found if c.train == train]
        drawn = [(c.name, mark(c.runs), figure) for c in here if (figure := figures.training_curves(c)) is not None]
        parts.append({
            "train": train,
            "rows": convergence_table(found, train),
            "problems": [(c.name, seeds, what) for c in here for seeds, what in problems_of(c)],
            "figures": [(name, said, _json(figure)) for name, said, figure in drawn],
        })
    return {"heads": HEADS, "runs": len(runs), "converged": sum(converged(r) is True for r in runs), "parts": parts,
            "open": sum(len(p["figures"]) for p in parts) <= FEW}


def embeddings(found: Sequence[Embedding], summaries: Sequence[Summary], processes: Sequence[str]) -> dict[str, Any]:
    """What the page says of learned embeddings; of many pictures of neighbours only the first stand open."""
    heads, rows = embeddings_table(found, summaries)
    turned, losses = embedding_figures.rotation_curves(found), embedding_figures.losses(found)
    near = [(e.title, _json(f)) for e in found if (f := embedding_figures.neighbours(e, processes)) is not None]
    return {"heads": heads, "rows": rows, "turned": turned and _json(turned), "losses": losses and _json(losses),
            "near": near[:FEW], "more": near[FEW:], "open": len(found) <= FEW}


def render(record: dict[str, Any], summaries: list[Summary], verdict: Verdict, missing: int = 0,
           shifts: Sequence[Shift] = (), learned: Sequence[Embedding] = ()) -> str:
    """The page as text."""
    environment = Environment(loader=PackageLoader("qad.report"), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)
    sections = []
    for train, signal in directions(summaries):
        here = [s for s in summaries if (s.train, s.signal) == (train, signal)]
        cuts = [s for s in here if s.rows[0].run.record["detector"]["use"] == "feature"]
        drawn = [s for s in here if s not in cuts] + sorted(cuts, key=lambda s: -s.mean["auc"])[:2]
        drawn.sort(key=lambda s: (list(figures.COLOURS).index(s.kind), -s.mean["auc"]))
        judged = [s for s in drawn if s.kind in ("quantum", "classical")]
        controls = [s for s in here if s.kind == "control"]
        shown = [*judged[:3], *sorted(controls, key=lambda s: -s.mean["auc"])[:1]]
        sections.append({
            "train": train,
            "signal": signal,
            "table": _table(here),
            "oracle": oracle(here),
            "identical": len({r.values["fingerprint"] for s in here for r in s.rows}) == 1,
            "figures": [
                ("Background rejection", _json(figures.rejection_curves(drawn))),
                ("Significance improvement", _json(figures.sic_curves(drawn))),
                ("Quality against cost", _json(figures.cost_against_quality(drawn))),
            ],
            "scores": [(s.name, _json(figures.score_distributions(s))) for s in shown],
        })
    found = energy_models(r.run for s in summaries for r in s.rows)
    return environment.get_template("page.html").render(
        study=record["study"], samples=record["samples"], skipped=record["skipped"], failed=record["failed"],
        told=sorted({s.name for s in summaries if s.kind in LABELLED}),
        shifts=[(train, *table_of(shifts, train)) for train in dict.fromkeys(s.train for s in shifts)],
        versions=record["versions"], verdict=verdict, sections=sections, missing=missing,
        convergence=convergence(found) if found else None,
        embeddings=embeddings(learned, summaries, list(record["samples"])) if learned else None,
        pairs=[f"{a} → {b}" for a, b in directions(summaries)], both=both_directions(summaries),
        plotly=get_plotlyjs(), needed=f"{NEEDED:g}", provenance=json.dumps(record, indent=1),
    )


def _json(figure: Any) -> str:
    # inside a <script> element: no text may close it
    return plotly.io.to_json(figure).replace("<", "\\u003c")
