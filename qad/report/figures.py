"""Interactive figures from records. They draw; they compute nothing but what is drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from qad.metrics import Roc, sic
from qad.metrics.significance import FEWEST_BACKGROUND
from qad.report.convergence import Convergence, curves_of
from qad.report.tables import Summary, copies_of

#: Okabe and Ito's colours, told apart by everyone; quantum first.
COLOURS = {"quantum": ["#d55e00", "#cc79a7"], "classical": ["#0072b2", "#56b4e9", "#009e73"], "control": ["#777777"],
           "weak": ["#e69f00"], "supervised": ["#f0e442"]}
SYMBOLS = ["diamond", "circle", "square", "triangle-up", "cross", "star", "pentagon", "triangle-down", "x", "hexagram",
           "circle-open", "square-open", "triangle-up-open", "star-open", "pentagon-open", "hexagram-open"]
DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"]
LAYOUT = {
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#808080"},
    "margin": {"l": 60, "r": 10, "t": 10, "b": 10},
    "legend": {"font": {"size": 11}, "itemsizing": "constant", "orientation": "h", "y": -0.14, "yanchor": "top",
               "entrywidth": 0.48, "entrywidthmode": "fraction", "maxheight": 0.6},
    "hoverlabel": {"namelength": -1},
    "height": 600,
}
AXIS = {"gridcolor": "rgba(128,128,128,.25)", "zeroline": False, "linecolor": "rgba(128,128,128,.6)", "showline": True}

#: Largest over smallest from which a panel of a training is drawn logarithmically.
STEEP = 30


def _styles(summaries: Sequence[Summary], shown_controls: int = 3) -> list[dict]:
    """Colour by kind, dash by rank; only the first controls are drawn until the reader clicks on the others."""
    seen: dict[str, int] = {}
    styles = []
    for s in summaries:
        i = seen[s.kind] = seen.get(s.kind, -1) + 1
        palette = COLOURS[s.kind]
        line = {"color": palette[i % len(palette)], "dash": DASHES[(i // len(palette)) % len(DASHES)],
                "width": 1.3 if s.kind == "control" else 2.4}
        hidden = s.kind == "control" and i >= shown_controls
        styles.append({"line": line, "visible": "legendonly" if hidden else True})
    return styles


def _thin(n: int, most: int = 400) -> np.ndarray:
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(int))


def _on_grid(curve: Roc, grid: np.ndarray) -> np.ndarray:
    return np.interp(grid, curve.tpr, curve.fpr)


def rejection_curves(summaries: Sequence[Summary]) -> go.Figure:
    """1/ε_b against ε_s, seed-averaged ε_b, down to ten background events."""
    figure = go.Figure()
    grid = np.linspace(0.02, 1, 300)
    for s, style in zip(summaries, _styles(summaries), strict=True):
        fpr = np.mean([_on_grid(r.curve, grid) for r in s.rows], axis=0)
        shown = fpr * s.rows[0].curve.n_background[-1] >= 10 * copies_of(s.rows[0].run)
        figure.add_scatter(x=grid[shown].round(4), y=(1 / fpr[shown]).round(3), name=s.name, mode="lines", **style,
                           hovertemplate="ε<sub>s</sub> %{x:.2f}, 1/ε<sub>b</sub> %{y:.1f}")
    grid = np.linspace(0.02, 1, 100)
    figure.add_scatter(x=grid, y=1 / grid, name="chance", hoverinfo="skip",
                       line={"color": "#aaaaaa", "dash": "dot", "width": 1})
    figure.update_layout(**LAYOUT)
    figure.update_xaxes(title="signal efficiency ε<sub>s</sub>", range=[0, 1], **AXIS)
    figure.update_yaxes(title="background rejection 1/ε<sub>b</sub>", type="log", **AXIS)
    return figure


def sic_curves(summaries: Sequence[Summary]) -> go.Figure:
    """ε_s/√ε_b against ε_s, first seed, where at least 25 background events remain."""
    figure = go.Figure()
    for s, style in zip(summaries, _styles(summaries), strict=True):
        x, y = sic(s.rows[0].curve, math.ceil(FEWEST_BACKGROUND * copies_of(s.rows[0].run)))
        pick = _thin(len(x))
        figure.add_scatter(x=x[pick].round(4), y=y[pick].round(4), name=s.name, mode="lines", **style,
                           hovertemplate="ε<sub>s</sub> %{x:.2f}, SIC %{y:.2f}")
    figure.add_hline(y=1, line={"color": "#aaaaaa", "dash": "dot", "width": 1})
    figure.update_layout(**LAYOUT)
    figure.update_xaxes(title="signal efficiency ε<sub>s</sub>", range=[0, 1], **AXIS)
    figure.update_yaxes(title="SIC = ε<sub>s</sub>/√ε<sub>b</sub>", rangemode="tozero", **AXIS)
    return figure


def score_distributions(summary: Summary) -> go.Figure:
    """Score histograms of background and signal, first seed, in units of the background's central 68 %."""
    run = summary.rows[0].run
    background, signal = run.scores[summary.train], run.scores[summary.signal]
    low, middle, high = np.quantile(background, [0.16, 0.5, 0.84])
    unit = (high - low) / 2 or 1.0
    edges = np.linspace(-3, 8, 67)
    figure = go.Figure()
    for name, score, colour in ((summary.train, background, "#0072b2"), (summary.signal, signal, "#d55e00")):
        counts, _ = np.histogram(np.clip((score - middle) / unit, edges[0], edges[-1]), edges)
        figure.add_scatter(x=(edges[:-1] + edges[1:]) / 2, y=counts / counts.sum(), name=name, mode="lines",
                           fill="tozeroy", line={"shape": "hvh", "color": colour, "width": 1.5}, hovertemplate="%{y:.3f}")
    above = {"x": 0.5, "xanchor": "center", "y": 1, "yanchor": "bottom", "orientation": "h"}
    figure.update_layout(**{**LAYOUT, "height": 280, "legend": above, "margin": {**LAYOUT["margin"], "t": 40}})
    figure.update_xaxes(title="(score - median)/σ<sub>68</sub>", **AXIS)
    figure.update_yaxes(title="share of events", type="log", **AXIS)
    return figure


def cost_against_quality(summaries: Sequence[Summary]) -> go.Figure:
    """AUC against training time, a point per detector with its seed spread."""
    figure = go.Figure()
    for i, (s, style) in enumerate(zip(summaries, _styles(summaries), strict=True)):
        seconds = float(np.mean([r.values["fit_seconds"] for r in s.rows]))
        figure.add_scatter(x=[max(seconds, 1e-3)], y=[s.mean["auc"]], name=s.name, mode="markers",
                           error_y={"array": [np.nan_to_num(s.sd["auc"])], "thickness": 1},
                           marker={"color": style["line"]["color"], "size": 10,
                                   "symbol": SYMBOLS[i % len(SYMBOLS)]},
                           hovertemplate="%{x:.2f} s, AUC %{y:.4f}")
    figure.update_layout(**LAYOUT)
    figure.update_xaxes(title="training time [s]", type="log", **AXIS)
    figure.update_yaxes(title="AUC", **AXIS)
    return figure


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
    above = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.18, "yanchor": "bottom", "font": {"size": 11}}
    figure.update_layout(**{**LAYOUT, "height": 250, "legend": above,
                            "margin": {"l": 40, "r": 10, "t": 60, "b": 40}})
    figure.update_annotations(font_size=12)
    return figure
