"""What stands on the page of a study, as plain values for its templates: rows, marks, pictures, sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.io
from markupsafe import Markup

from qad.detector import KINDS
from qad.report import embedding_figures, figures
from qad.report.convergence import HEADS, Convergence, converged, mark, problems_of
from qad.report.convergence import table_of as convergence_table
from qad.report.embeddings import Embedding
from qad.report.embeddings import table_of as embeddings_table
from qad.report.tables import Summary, pareto
from qad.report.told import remarks
from qad.report.verdict import JUDGED, best_of, directions

#: Pictures of trainings, and of embeddings, that the page shows without being asked.
FEW = 3
#: Rows of each kind that a table shows without being asked; controls with a circuit are a kind of their own.
BEST = {"quantum": 3, "classical": 3, "control": 3, "weak": 2, "supervised": 2}
#: Columns of the table of one direction: name, heading, decimals; and whether they are shown without being asked.
METRICS = (("rejection_03", "1/ε<sub>b</sub>(0.3)", 1, True), ("rejection_05", "1/ε<sub>b</sub>(0.5)", 1, True),
           ("max_sic", "max SIC", 2, True), ("tpr_1e2", "TPR(10⁻²)", 3, True), ("tpr_1e3", "TPR(10⁻³)", 3, False),
           ("tpr_1e4", "TPR(10⁻⁴)", 3, False), ("tpr_1e5", "TPR(10⁻⁵)", 3, False))

Cell = dict[str, Any]


def cell(text: str, value: float | None = None, bad: bool = False, sd: str = "") -> Cell:
    """What a table shows, the number it is sorted by (none: after all numbers), whether it is a warning, its spread."""
    return {"text": text, "value": value if value is not None and math.isfinite(value) else None, "bad": bad, "sd": sd}


def as_json(figure: Any) -> Markup:
    """A figure as JSON inside a <script> element: no text may close it, and plotly's own template stays out."""
    drawn = figure if isinstance(figure, dict) else figure.to_plotly_json()
    drawn["layout"].pop("template", None)
    return Markup(plotly.io.json.to_json_plotly(drawn).replace("<", "\\u003c"))


def _number(value: float, digits: int) -> str:
    return "–" if not math.isfinite(value) else f"{value:.{digits}f}"


def _with_sd(summary: Summary, metric: str, digits: int) -> Cell:
    mean, sd = summary.mean[metric], summary.sd[metric]
    if math.isfinite(mean):
        return cell(_number(mean, digits), mean, sd=_number(sd, digits) if math.isfinite(sd) else "")
    if metric.startswith("rejection"):
        return cell(f"> {summary.least_rejection:.0f}", summary.least_rejection)
    return cell("too few events")


def shown_first(ranked: Sequence[tuple[str, str, str]]) -> set[str]:
    """Of ``(name, kind, family)``, best first, the names that are shown first: a few of each kind."""
    left: dict[tuple[str, str], int] = {}
    found = set()
    for name, kind, family in ranked:
        group = (kind, family if kind == "control" else "")
        left[group] = left.get(group, BEST[kind]) - 1
        if left[group] >= 0:
            found.add(name)
    return found


def overview(summaries: Sequence[Summary]) -> list[dict[str, Any]]:
    """A row per detector: its AUC in every direction and the least of them, best first."""
    pairs = directions(summaries)
    table: dict[str, dict[str, Any]] = {}
    for s in summaries:
        row = table.setdefault(s.name, {"name": s.name, "detector": s.detector, "representation": s.representation,
                                        "kind": s.kind, "family": s.family, "auc": {}, "runs": []})
        row["auc"][s.train, s.signal] = s.mean["auc"]
        row["runs"] += [r.run for r in s.rows]
    rows = sorted(table.values(), key=lambda r: -min(r["auc"].values()))
    first = shown_first([(r["name"], r["kind"], r["family"]) for r in rows])
    for row in rows:
        worst = min(row["auc"].values())
        missing = len(pairs) - len(row["auc"])
        row["cells"] = [cell(_number(a, 4), a, a < 0.5) for p in pairs if (a := row["auc"].get(p, math.nan)) is not None]
        row["worst"] = cell(f"{worst:.4f}", worst, worst < 0.5, f"{len(row['auc'])} of {len(pairs)}" if missing else "")
        row["dots"] = [(f"{a} → {b}", v, v == worst) for (a, b), v in row["auc"].items()]
        row["marks"] = remarks(row.pop("runs"))
        row["first"] = row["name"] in first
    return rows


def two_ways(rows: Sequence[Mapping[str, Any]], pairs: Sequence[tuple[str, str]]) -> list[tuple[str, Markup]]:
    """A picture for each two processes that were both trained on: AUC one way against AUC the other way."""
    found = []
    for a, b in pairs:
        if (b, a) in pairs and pairs.index((a, b)) < pairs.index((b, a)):
            points = [(r["name"], r["kind"], r["auc"][a, b], r["auc"][b, a]) for r in rows
                      if (a, b) in r["auc"] and (b, a) in r["auc"]]
            if points:
                found.append((f"{a} and {b}, both ways", as_json(figures.both_ways(points, a, b))))
    return found


def _mean(s: Summary, key: str) -> float:
    known = [v for r in s.rows if (v := r.values[key]) is not None]
    return sum(known) / len(known) if known else math.nan


def _count(value: Any) -> Cell:
    return cell("–") if value is None else cell(f"{value:,}", value)


def table(here: Sequence[Summary]) -> list[dict[str, Any]]:
    """Rows of one direction, the largest AUC first."""
    best = max((s for s in here if s.kind == "control"), key=lambda s: s.mean["auc"], default=None)
    ranked = sorted(here, key=lambda s: -s.mean["auc"])
    first = shown_first([(s.name, s.kind, s.family) for s in ranked])
    rows = []
    for s in ranked:
        values = s.rows[0].values
        d = None if best is None or s is best else s.minus(best)
        epoch, speed, effective = (_mean(s, k) for k in ("seconds_per_epoch", "events_per_second", "effective_parameters"))
        shots = "exact" if values["shots"] is None and s.family == "quantum" else values["shots"]
        rows.append({
            "name": s.name, "detector": s.detector, "representation": s.representation, "kind": s.kind,
            "marks": remarks([r.run for r in s.rows]), "first": s.name in first,
            "cells": {
                "auc": _with_sd(s, "auc", 4),
                "interval": cell(f"{s.interval[0]:.4f} – {s.interval[1]:.4f}", s.interval[0]),
                "difference": cell("best control", 0.0) if s is best else
                cell("–") if d is None else cell(f"{d.value:+.4f}".replace("-", "−"), d.value, sd=_number(d.error, 4)),
                **{m: _with_sd(s, m, digits) for m, _, digits, _ in METRICS},
                "parameters": _count(values["parameters"]),
                "effective": cell(f"{effective:,.4g}" if math.isfinite(effective) else "–", effective),
                "fit": cell(f"{s.seconds:.2f}", s.seconds),
                "epoch": cell(f"{epoch:.2g}" if math.isfinite(epoch) else "–", epoch),
                "speed": cell(f"{float(f'{speed:.3g}'):,.0f}", speed),
                "shots": cell(str(shots or "–"), shots if isinstance(shots, int) else None),
            },
        })
    return rows


#: Heading, column, and whether it is shown without being asked (if anything stands in it), of the table of one direction.
COLUMNS = (("AUC", "auc", True), ("68 %", "interval", False), ("Δ AUC", "difference", True),
           *((Markup(head), name, shown) for name, head, _, shown in METRICS),
           ("parameters", "parameters", True), ("effective", "effective", False), ("fit [s]", "fit", True),
           ("epoch [s]", "epoch", False), ("events/s", "speed", False), ("shots", "shots", False))


def columns(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, bool]]:
    """``COLUMNS``; one in which no row has a value waits until it is asked for."""
    return [(head, name, shown and any(r["cells"][name]["value"] is not None for r in rows)) for head, name, shown in COLUMNS]


def oracle(here: Sequence[Summary]) -> str:
    """The best cut on one feature when feature and sign are chosen with labels: what no unsupervised detector may do."""
    cuts = [s for s in here if s.rows[0].run.record["detector"]["use"] == "feature"
            and s.rows[0].run.record["detector"]["params"]["side"] == "high"]
    if not cuts:
        return ""
    best = max(cuts, key=lambda s: abs(s.mean["auc"] - 0.5))
    side = "high" if best.mean["auc"] >= 0.5 else "low"
    return (f"For orientation: the best cut on one feature, with feature and side chosen by looking at the labels, is "
            f"{best.detector.removesuffix('-high')}, {side}: AUC {max(best.mean['auc'], 1 - best.mean['auc']):.4f}.")


def lead(here: Sequence[Summary]) -> dict[str, Any] | None:
    """The best judged detector of one direction beside the best control; None where one of them is missing."""
    judged, controls = ([s for s in here if s.kind in kinds] for kinds in (JUDGED, ("control",)))
    if not judged or not controls:
        return None
    best, control = best_of(judged), best_of(controls)
    d = best.minus(control)
    return {"train": best.train, "signal": best.signal, "best": best, "control": control,
            "difference": f"{d.value:+.4f}".replace("-", "−"), "error": _number(d.error, 4),
            "z": f"{d.z:+.1f}".replace("-", "−") if math.isfinite(d.z) else None}


def drawn_of(here: Sequence[Summary]) -> list[Summary]:
    """What is drawn in one direction, by kind and then the largest AUC: all but most of the cuts on single features."""
    cuts = [s for s in here if s.rows[0].run.record["detector"]["use"] == "feature"]
    kept = [s for s in here if s not in cuts] + sorted(cuts, key=lambda s: -s.mean["auc"])[:2]
    return sorted(kept, key=lambda s: (KINDS.index(s.kind), -s.mean["auc"]))


def identifier(train: str, signal: str) -> str:
    """Of a direction's tab."""
    return f"{train}-to-{signal}"


def direction(here: Sequence[Summary], lines: Mapping[str, dict[str, Any]], sentences: Sequence[str]) -> dict[str, Any]:
    """All that stands in the tab of one direction, but its event displays."""
    drawn, rows = drawn_of(here), table(here)
    first = {r["name"] for r in rows if r["first"]}
    judged = [s for s in drawn if s.kind in JUDGED]
    controls = [s for s in here if s.kind == "control"]
    scores = [*sorted(judged, key=lambda s: -s.mean["auc"])[:3], *sorted(controls, key=lambda s: -s.mean["auc"])[:1]]
    train, signal = here[0].train, here[0].signal
    prefix = f"Trained on {train}, looking for {signal}: "
    return {
        "id": identifier(train, signal), "train": train, "signal": signal, "oracle": oracle(here),
        "columns": columns(rows), "table": rows,
        "sentences": [s.removeprefix(prefix) for s in sentences if s.startswith(prefix)],
        "identical": len({r.values["fingerprint"] for s in here for r in s.rows}) == 1,
        "curves": [("Background rejection", as_json(figures.rejection_curves(drawn, lines))),
                   ("Significance improvement", as_json(figures.sic_curves(drawn, lines)))],
        "legend": [{"name": s.name, "detector": s.detector, "representation": s.representation, "kind": s.kind,
                    **lines[s.name], "bright": figures.BRIGHT[lines[s.name]["color"]], "on": s.name in first} for s in drawn],
        "cost": as_json(figures.cost_against_quality(here)), "front": [s.name for s in pareto(here)],
        "scores": [(s.name, as_json(figures.score_distributions(s))) for s in scores],
    }


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
            "figures": [(name, said, as_json(figure)) for name, said, figure in drawn],
        })
    return {"heads": HEADS, "runs": len(runs), "converged": sum(converged(r) is True for r in runs), "parts": parts,
            "open": sum(len(p["figures"]) for p in parts) <= FEW}


def embeddings(found: Sequence[Embedding], summaries: Sequence[Summary], processes: Sequence[str]) -> dict[str, Any]:
    """What the page says of learned embeddings; of many pictures of neighbours only the first stand open."""
    heads, rows = embeddings_table(found, summaries)
    turned, losses = embedding_figures.rotation_curves(found), embedding_figures.losses(found)
    near = [(e.title, as_json(f)) for e in found if (f := embedding_figures.neighbours(e, processes)) is not None]
    return {"heads": heads, "rows": rows, "turned": turned and as_json(turned), "losses": losses and as_json(losses),
            "near": near[:FEW], "more": near[FEW:], "open": len(found) <= FEW}
