"""Interactive figures of learned embeddings, from records. They draw; they compute nothing but what is drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from qad.report.embeddings import Embedding
from qad.report.figures import AXIS, LAYOUT, WHOSE

#: Okabe and Ito's colours, one for an embedding or a process; a marker each for processes.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#888888")
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "star", "x")
#: Of those that were turned in training, and of the others; the second where colours are used again.
DASHES = {True: ("solid", "longdash"), False: ("dot", "dashdot")}
#: Not drawn closer, so that a similarity of 0.999 does not look like a valley.
NEAR = 0.9
ABOVE = {"orientation": "h", "x": 0, "xanchor": "left", "yanchor": "bottom", "font": {"size": 11}}


def style(found: Embedding, i: int) -> tuple[str, str]:
    """Colour and dash of the ``i``-th embedding."""
    return COLOURS[i % len(COLOURS)], DASHES[found.turns][i // len(COLOURS) % 2]


def lowest(found: Sequence[Embedding]) -> float:
    """Where the axis of similarities begins."""
    lines = [float(v) for e in found for t in e.rotation.values() for v in ((t.mean - t.sd).min(), t.other)]
    return min([NEAR, *(v for v in lines if math.isfinite(v))])


def rotation_curves(found: Sequence[Embedding]) -> go.Figure | None:
    """s(z, z') against the angle in degrees, a panel per kind of events, a line with a band of one s.d. per embedding.

    A diamond at the right edge: s with another event, which an embedding that is not blind keeps low.
    """
    kinds = list(dict.fromkeys(kind for e in found for kind in e.rotation))
    if not kinds:
        return None
    figure = make_subplots(1, len(kinds), subplot_titles=kinds, shared_yaxes=True, horizontal_spacing=0.03)
    named: set[int] = set()
    pale = 0.13 if len(found) <= len(COLOURS) else 0.07  # many bands lie upon each other
    for i, e in enumerate(found):
        colour, dash = style(e, i)
        for kind, t in e.rotation.items():
            at = {"row": 1, "col": kinds.index(kind) + 1, "legendgroup": str(i)}
            x, edge = np.rad2deg(t.angles).round(2), np.minimum([t.mean + t.sd, t.mean - t.sd], 1).round(4)
            figure.add_scatter(x=[*x, *x[::-1]], y=[*edge[0], *edge[1][::-1]], fill="toself", mode="lines", line={"width": 0},
                               fillcolor=f"rgba({', '.join(str(int(colour[k:k + 2], 16)) for k in (1, 3, 5))}, {pale:.2f})",
                               hoverinfo="skip", showlegend=False, **at)
            figure.add_scatter(x=x, y=t.mean.round(5), name=e.title, mode="lines", showlegend=i not in named,
                               line={"color": colour, "dash": dash, "width": 2},
                               hovertemplate=f"%{{x:.0f}}°, s %{{y:.4f}}, {t.events} events", **at)
            if math.isfinite(t.other):
                figure.add_scatter(x=[360], y=[round(t.other, 4)], name=e.title, mode="markers", showlegend=False,
                                   marker={"color": colour, "symbol": "diamond"}, cliponaxis=False,
                                   hovertemplate="another event: s %{y:.4f}", **at)
            named.add(i)
    low = lowest(found)
    figure.update_xaxes(title={"text": "turned by [°]", "standoff": 4}, range=[0, 360], dtick=90, **AXIS)
    figure.update_yaxes(range=[low - 0.04 * (1 - low), 1 + 0.02 * (1 - low)], **AXIS)
    figure.update_yaxes(title="s(z, z′)", col=1)
    figure.update_layout(**{**LAYOUT, "height": 380 + 10 * len(found), "margin": {"l": 60, "r": 10, "t": 30, "b": 10},
                            "legend": {**ABOVE, "y": -0.17, "yanchor": "top"}})
    return figure


def neighbours(found: Embedding, processes: Sequence[str]) -> go.Figure | None:
    """Where test events lie in the plane of t-SNE, coloured by process; colours are by the order of ``processes``."""
    places = found.neighbours
    if not places:
        return None
    figure = go.Figure()
    order = [*processes, *(p for p in places if p not in processes)]
    for process in sorted(places, key=order.index):
        k, xy = order.index(process), places[process]
        colour, symbol = COLOURS[k % len(COLOURS)], SYMBOLS[(k + k // len(COLOURS)) % len(SYMBOLS)]
        figure.add_scatter(x=xy[:, 0].round(2), y=xy[:, 1].round(2), name=process, mode="markers",
                           marker={"color": colour, "symbol": symbol, "size": 6, "opacity": 0.65},
                           hovertemplate="%{fullData.name}<extra></extra>")
    bare = {**AXIS, "showgrid": False, "showticklabels": False, "ticks": "", "mirror": True}
    figure.update_layout(**{**LAYOUT, "height": 360, "margin": {"l": 10, "r": 10, "t": 30, "b": 10},
                            "legend": {**ABOVE, "y": 1.01}})
    figure.update_xaxes(**bare)
    figure.update_yaxes(scaleanchor="x", **bare)
    return figure


def losses(found: Sequence[Embedding], columns: int = 4) -> go.Figure | None:
    """Loss per epoch, a small panel per embedding, a thin line per training."""
    drawn = [(e, curves) for e in found if (curves := e.curves)]
    if not drawn:
        return None
    rows, columns = math.ceil(len(drawn) / columns), columns if len(drawn) > columns else max(3, len(drawn))
    height = 90 + 190 * rows
    figure = make_subplots(rows, columns, subplot_titles=[e.title for e, _ in drawn], horizontal_spacing=0.05,
                           vertical_spacing=75 / height)
    named: set[str] = set()
    for i, (_, curves) in enumerate(drawn):
        at = {"row": i // columns + 1, "col": i % columns + 1}
        for curve in curves:
            colour, dash = WHOSE[curve.whose]
            figure.add_scatter(x=curve.epochs, y=[float(f"{v:.4g}") for v in curve.values], mode="lines+markers", opacity=0.8,
                               name={"validation": "held back"}.get(curve.whose, curve.whose), legendgroup=curve.whose,
                               showlegend=curve.whose not in named, line={"color": colour, "dash": dash, "width": 1},
                               marker={"color": colour, "size": [7 if e == curve.kept else 0 for e in curve.epochs]},
                               hovertemplate=f"seed {curve.seed}, epoch %{{x}}: %{{y:.4g}}", **at)
            named.add(curve.whose)
        last = max(curve.epochs[-1] for curve in curves)
        figure.update_xaxes(title={"text": "epoch", "standoff": 2}, range=[0.5, last + 0.5], **AXIS, **at)
        figure.update_yaxes(**AXIS, **at)
    figure.update_layout(**{**LAYOUT, "height": height, "margin": {"l": 40, "r": 10, "t": 60, "b": 40},
                            "legend": {**ABOVE, "y": 1 + 30 / (height - 100)}})
    figure.update_annotations(font_size=12)
    return figure
