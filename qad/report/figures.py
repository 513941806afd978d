"""Interactive figures from records. They draw; they compute nothing but what is drawn.

Colours of text, axes and grids are the page's (``templates/page.js``), so that they follow its light or dark theme.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from qad.metrics.significance import FEWEST_BACKGROUND as FEWEST_FOR_SIC
from qad.report.convergence import Convergence, curves_of
from qad.report.tables import Summary, mean_fpr, pareto

#: A figure, or a part of one, as plotly's JSON has it: checked by no library, but made ten times faster.
Figure = dict[str, Any]

#: Okabe and Ito's colours (purple for the last), told apart by everyone; quantum first.
COLOURS = {"quantum": ["#d55e00", "#cc79a7", "#a6441c"], "classical": ["#0072b2", "#56b4e9", "#009e73"],
           "control": ["#777777"], "weak": ["#e69f00"], "supervised": ["#7b52ab"]}
#: Which points lie above which: what is judged above what it is judged by.
ABOVE = ("supervised", "weak", "control", "classical", "quantum")
#: What stands for them, and for other colours of this package's figures, on a dark page.
BRIGHT = {"#d55e00": "#ff9a52", "#cc79a7": "#e8a8cd", "#a6441c": "#d9714a", "#0072b2": "#4aa0e0", "#56b4e9": "#a5d8f7",
          "#009e73": "#3ccfa4", "#777777": "#9aa2ab", "#e69f00": "#f0b840", "#7b52ab": "#b795e6", "#888888": "#9aa2ab"}
SYMBOLS = {"quantum": "diamond", "classical": "circle", "control": "circle-open", "weak": "square", "supervised": "square-open"}
DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"]
LAYOUT: Figure = {
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"family": "system-ui, sans-serif", "size": 13},
    "margin": {"l": 56, "r": 12, "t": 10, "b": 44},
    "legend": {"font": {"size": 12}, "itemsizing": "constant", "orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    "hoverlabel": {"namelength": -1},
    "height": 380,
}
FIRST_ABOVE = {**LAYOUT["legend"], "traceorder": "reversed"}
AXIS: Figure = {"zeroline": False, "showline": True, "ticks": "outside", "ticklen": 4, "automargin": True}

#: Largest over smallest from which a panel of a training is drawn logarithmically.
STEEP = 30
#: Points of a curve: more are not seen.
POINTS = 150


def styles(names: Sequence[tuple[str, str]]) -> dict[str, Figure]:
    """A line for each ``(name, kind)``: colour by kind, dash by rank, the same wherever a detector is drawn."""
    seen: dict[str, int] = {}
    found = {}
    for name, kind in names:
        i = seen[kind] = seen.get(kind, -1) + 1
        palette = COLOURS[kind]
        found[name] = {"color": palette[i % len(palette)], "dash": DASHES[(i // len(palette)) % len(DASHES)],
                       "width": 1.5 if kind == "control" else 2.4}
    return found


def _digits(values: Any, digits: int = 4) -> list[float]:
    return [float(f"{v:.{digits}g}") for v in values]


def rejection_points(s: Summary) -> tuple[np.ndarray, np.ndarray]:
    """ε_s and 1/ε_b, ε_b averaged over the seeds, as far as ten background events remain."""
    grid = np.linspace(0.02, 1, POINTS)
    fpr = mean_fpr(s.rows, grid)
    shown = np.isfinite(fpr)
    return grid[shown], 1 / fpr[shown]


def sic_points(s: Summary) -> tuple[np.ndarray, np.ndarray]:
    """ε_s and ε_s/√ε_b, ε_b averaged over the seeds, where at least 25 background events remain."""
    grid = np.unique(np.concatenate([np.geomspace(0.002, 0.05, POINTS // 3), np.linspace(0.05, 1, POINTS)]))
    fpr = mean_fpr(s.rows, grid, FEWEST_FOR_SIC)
    shown = np.isfinite(fpr)
    return grid[shown], grid[shown] / np.sqrt(fpr[shown])


def _axis(title: str, **more: Any) -> Figure:
    return {**AXIS, "title": {"text": title, "standoff": 6}, **more}


def _rule(x: Sequence[float], y: Sequence[float]) -> Figure:
    return {"type": "scatter", "x": list(x), "y": list(y), "mode": "lines", "hoverinfo": "skip", "showlegend": False,
            "line": {"color": "#999999", "dash": "dot", "width": 1}}


def _curves(summaries: Sequence[Summary], lines: Mapping[str, Figure], points: Callable[[Summary], Any],
            hover: str) -> list[Figure]:
    drawn = []
    for s in summaries:
        x, y = points(s)
        drawn.append({"type": "scatter", "x": _digits(x), "y": _digits(y), "name": s.name, "mode": "lines",
                      "line": lines[s.name], "hovertemplate": f"<b>%{{fullData.name}}</b><br>{hover}<extra></extra>"})
    return drawn


def rejection_curves(summaries: Sequence[Summary], lines: Mapping[str, Figure]) -> Figure:
    """1/ε_b against ε_s, seed-averaged ε_b, down to ten background events; dotted: chance."""
    grid = np.linspace(0.02, 1, 50)
    curves = _curves(summaries, lines, rejection_points, "ε<sub>s</sub> %{x:.2f}, 1/ε<sub>b</sub> %{y:.4g}")
    return {"data": [*curves, _rule(_digits(grid), _digits(1 / grid))], "layout": {
        **LAYOUT, "showlegend": False, "xaxis": _axis("signal efficiency ε<sub>s</sub>", range=[0, 1]),
        "yaxis": _axis("background rejection 1/ε<sub>b</sub>", type="log", dtick=1)}}


def sic_curves(summaries: Sequence[Summary], lines: Mapping[str, Figure]) -> Figure:
    """ε_s/√ε_b against ε_s, seed-averaged ε_b, where at least 25 background events remain; dotted: nothing gained."""
    curves = _curves(summaries, lines, sic_points, "ε<sub>s</sub> %{x:.2f}, SIC %{y:.3g}")
    return {"data": [*curves, _rule([0, 1], [1, 1])], "layout": {
        **LAYOUT, "showlegend": False, "xaxis": _axis("signal efficiency ε<sub>s</sub>", range=[0, 1]),
        "yaxis": _axis("SIC = ε<sub>s</sub>/√ε<sub>b</sub>", rangemode="tozero")}}


def score_distributions(summary: Summary) -> Figure:
    """Score histograms of background and signal, first seed, in units of the background's central 68 %."""
    run = summary.rows[0].run
    background, signal = run.scores[summary.train], run.scores[summary.signal]
    low, middle, high = np.quantile(background, [0.16, 0.5, 0.84])
    unit = (high - low) / 2 or 1.0
    edges = np.linspace(-3, 8, 45)
    drawn = []
    for name, score, colour in ((summary.train, background, "#0072b2"), (summary.signal, signal, "#d55e00")):
        counts, _ = np.histogram(np.clip((score - middle) / unit, edges[0], edges[-1]), edges)
        drawn.append({"type": "scatter", "x": _digits((edges[:-1] + edges[1:]) / 2), "y": _digits(counts / counts.sum(), 3),
                      "name": name, "mode": "lines", "fill": "tozeroy", "line": {"shape": "hvh", "color": colour, "width": 1.5},
                      "hovertemplate": "%{fullData.name}: %{y:.3f}<extra></extra>"})
    return {"data": drawn, "layout": {**LAYOUT, "height": 240, "hovermode": "x", "showlegend": False,
                                      "xaxis": _axis("(score − median)/σ<sub>68</sub>"),
                                      "yaxis": _axis("share of events", type="log", dtick=1)}}


def cost_against_quality(summaries: Sequence[Summary]) -> Figure:
    """AUC against training time, a point per detector with its seed spread, a trace per kind.

    The line joins those that nothing cheaper betters (Pareto), among what is told no labels.
    """
    x, y = cost_points(pareto(summaries))
    drawn: list[Figure] = [{
        "type": "scatter", "x": _digits(x), "y": _digits(y), "name": "Pareto front", "mode": "lines+markers",
        "hoverinfo": "skip", "line": {"shape": "hv", "color": "#999999", "width": 1},
        "marker": {"symbol": "circle-open", "size": 17, "color": "#999999"}}]
    for kind in ABOVE:
        if here := [s for s in summaries if s.kind == kind]:
            error = {"type": "data", "array": _digits(np.nan_to_num([s.sd["auc"] for s in here])), "thickness": 1, "width": 0}
            drawn.append({**_points(kind, [s.name for s in here], *cost_points(here)), "error_y": error,
                          "hovertemplate": "<b>%{text}</b><br>%{x:.3g} s, AUC %{y:.4f}<extra></extra>"})
    return {"data": drawn, "layout": {**LAYOUT, "legend": FIRST_ABOVE,
                                      "xaxis": _axis("training time [s]", type="log", dtick=1), "yaxis": _axis("AUC")}}


def cost_points(summaries: Sequence[Summary]) -> tuple[list[float], list[float]]:
    """Training time [s], at least a millisecond, and AUC of each."""
    return [max(s.seconds, 1e-3) for s in summaries], [s.mean["auc"] for s in summaries]


def _points(kind: str, names: Sequence[str], x: Sequence[float], y: Sequence[float]) -> Figure:
    return {"type": "scatter", "x": _digits(x), "y": _digits(y), "name": kind, "text": list(names), "customdata": list(names),
            "mode": "markers", "marker": {"color": COLOURS[kind][0], "size": 9, "symbol": SYMBOLS[kind]}}


def both_ways(points: Sequence[tuple[str, str, float, float]], a: str, b: str) -> Figure:
    """AUC a → b against b → a, a point per ``(name, kind, x, y)``: what is right of and above the lines works both ways."""
    drawn = [_rule([0.5, 0.5], [0, 1]), _rule([0, 1], [0.5, 0.5])]
    hover = f"<b>%{{text}}</b><br>{a} → {b} %{{x:.4f}}<br>{b} → {a} %{{y:.4f}}<extra></extra>"
    for kind in ABOVE:
        if here := [p for p in points if p[1] == kind]:
            names, _, x, y = zip(*here, strict=True)
            drawn.append({**_points(kind, names, x, y), "hovertemplate": hover})
    scale = {"range": [-0.02, 1.02], "dtick": 0.25}
    return {"data": drawn, "layout": {**LAYOUT, "height": 430, "legend": FIRST_ABOVE,
                                      "xaxis": _axis(f"AUC, {a} → {b}", **scale), "yaxis": _axis(f"AUC, {b} → {a}", **scale)}}


#: Whose a line of a training is: its colour and dash.
WHOSE = {"data": ("#0072b2", "solid"), "model": ("#d55e00", "solid"), "latent chain": ("#cc79a7", "solid"),
         "training": ("#0072b2", "solid"), "validation": ("#d55e00", "solid")}


def training_curves(found: Convergence) -> go.Figure | None:
    """What an energy model noted of each epoch, a panel for each kind of note, a thin line per seed; None without notes."""
    panels = curves_of(found)
    if not panels:
        return None
    figure = make_subplots(1, max(3, len(panels)), subplot_titles=list(panels), horizontal_spacing=0.045)
    last = max(curve.epochs[-1] for curves in panels.values() for curve in curves)
    named: set[str] = set()
    for column, (title, curves) in enumerate(panels.items(), 1):
        at = {"row": 1, "col": column}
        for curve in curves:
            colour, dash = WHOSE[curve.whose]
            figure.add_scatter(x=curve.epochs, y=[float(f"{v:.4g}") for v in curve.values], mode="lines+markers", opacity=0.8,
                               name=curve.whose, legendgroup=curve.whose, showlegend=curve.whose not in named,
                               line={"color": colour, "dash": dash, "width": 1},
                               marker={"color": colour, "size": [8 if e == curve.kept else 0 for e in curve.epochs]},
                               hovertemplate=f"seed {curve.seed}, epoch %{{x}}: %{{y:.4g}}", **at)
            named.add(curve.whose)
        values = [v for curve in curves for v in curve.values]
        steep = min(values) > 0 and max(values) > STEEP * min(values)
        figure.update_yaxes(**({"type": "log", "dtick": 1} if steep else {"type": "linear"}), **AXIS, **at)
        figure.update_xaxes(title={"text": "epoch", "standoff": 4}, range=[0.5, last + 0.5], **AXIS, **at)
        if math.isfinite(level := found.reference(title)) and (level > 0 or not steep):
            figure.add_hline(y=level, line={"color": "#888888", "dash": "dot", "width": 1}, **at)
        if found.warm_up:
            figure.add_vrect(x0=0.5, x1=found.warm_up + 0.5, fillcolor="#888888", opacity=0.15, line_width=0, **at)
    above = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.16, "yanchor": "bottom", "font": {"size": 12}}
    figure.update_layout(**{**LAYOUT, "height": 250, "legend": above,
                            "margin": {"l": 40, "r": 10, "t": 60, "b": 40}})
    figure.update_annotations(font_size=12)
    return figure
