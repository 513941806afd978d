"""Figures from the records of studies, drawn by plotly in the browser: they compute nothing but what is drawn."""

import plotly.graph_objects as go
import plotly.io

from qad.detector import KINDS
from qad.report.figures import AXIS, COLOURS, LAYOUT, SYMBOLS


def cells_of(record):
    """(detector, representation) → (train, signal) → the model and its row."""
    found = {}
    for row in record["rows"]:
        model = record["models"][row["model"]]
        found.setdefault((model["detector"], model["representation"]), {})[model["train"], row["signal"]] = model, row
    return found


def figure(drawn, x, y, log):
    """HTML of a plotly figure, drawn by ``site.js`` in the colours of the page."""
    below = {**LAYOUT["legend"], "orientation": "v", "yref": "container", "yanchor": "bottom", "y": 0} if log == "y" else {}
    height = 400 + (20 * len(drawn.data) if below else 0)
    drawn.update_layout(**{**LAYOUT, "height": height, **({"legend": below} if below else {})})
    drawn.update_xaxes(title=x, **AXIS, **({"type": "log"} if log == "x" else {}))
    drawn.update_yaxes(title=y, **AXIS, **({"type": "log", "dtick": 1} if log == "y" else {}))
    text = plotly.io.to_json(drawn).replace("<", "\\u003c")
    return f'<div class="plot"><script type="application/json">{text}</script></div>'


def rejection_figure(record, direction):
    """1/ε_b against ε_s of the best judged detectors, the best controls, and what is told labels."""
    drawn, seen = go.Figure(), {}
    for (detector, sees), row in cells_of(record).items():
        found = row.get((direction["train"], direction["signal"]))
        if not found or "rejection" not in found[1]:
            continue
        kind = found[0]["kind"]
        n = seen[kind] = seen.get(kind, -1) + 1
        drawn.add_scatter(x=record["efficiencies"], y=found[1]["rejection"], name=f"{detector} ({sees})", mode="lines",
                          line={"color": COLOURS[kind][n % len(COLOURS[kind])], "width": 1.5 if kind == "control" else 2.4,
                                "dash": ("solid", "dash", "dot", "dashdot")[n // len(COLOURS[kind]) % 4]},
                          hovertemplate="<b>%{fullData.name}</b><br>ε<sub>s</sub> %{x:.2f}, "
                                        "1/ε<sub>b</sub> %{y:.4g}<extra></extra>")
    return figure(drawn, "signal efficiency ε<sub>s</sub>", "background rejection 1/ε<sub>b</sub>", "y")


def cost_figure(record, direction):
    """AUC against seconds of training, a point per detector; hover for its name."""
    drawn = go.Figure()
    which = direction["train"], direction["signal"]
    for kind in KINDS:
        points = [(model["fit_seconds"], row["mean"][0], f"{model['detector']} ({model['representation']})")
                  for cells in cells_of(record).values() if which in cells
                  for model, row in [cells[which]] if model["kind"] == kind]
        if points:
            x, y, names = zip(*points, strict=True)
            drawn.add_scatter(x=x, y=y, text=names, name=kind, mode="markers",
                              marker={"color": COLOURS[kind][0], "size": 9, "symbol": SYMBOLS[kind]},
                              hovertemplate="<b>%{text}</b><br>AUC %{y:.4f}, %{x:.3g} s<extra></extra>")
    return figure(drawn, "seconds of training, one model", "AUC", "x")


def reversible(record):
    """Directions whose reverse was tried too, each pair once."""
    pairs = [(d["train"], d["signal"]) for d in record["directions"]]
    return [d for d in record["directions"] if (d["signal"], d["train"]) in pairs
            and pairs.index((d["train"], d["signal"])) < pairs.index((d["signal"], d["train"]))]


def both_figure(record, direction):
    """AUC in one direction against AUC in the other; below the dotted lines a detector calls the signal ordinary."""
    drawn, (a, b) = go.Figure(), (direction["train"], direction["signal"])
    for kind in reversed(KINDS):  # quantum ones above the others
        points = [(cells[a, b][1]["mean"][0], cells[b, a][1]["mean"][0], " ".join([name[0], f"({name[1]})"]))
                  for name, cells in cells_of(record).items()
                  if (a, b) in cells and (b, a) in cells and cells[a, b][0]["kind"] == kind]
        if points:
            x, y, names = zip(*points, strict=True)
            drawn.add_scatter(x=x, y=y, text=names, name=kind, mode="markers",
                              marker={"color": COLOURS[kind][0], "size": 10, "symbol": SYMBOLS[kind]},
                              hovertemplate=f"<b>%{{text}}</b><br>{a} → {b} %{{x:.3f}}, {b} → {a} %{{y:.3f}}<extra></extra>")
    for line in ({"x0": 0.5, "x1": 0.5, "y0": 0, "y1": 1}, {"x0": 0, "x1": 1, "y0": 0.5, "y1": 0.5}):
        drawn.add_shape(type="line", line={"dash": "dot", "color": "#999999", "width": 1}, **line)
    drawn.update_xaxes(range=[-0.02, 1.02])
    drawn.update_yaxes(range=[-0.02, 1.02])
    return figure(drawn, f"AUC, {a} → {b}", f"AUC, {b} → {a}", None)
