"""The page of a comparison and its pictures, from the records of :mod:`qad.report.comparison`. They compute nothing."""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure

from qad.report.environment import environment

if TYPE_CHECKING:
    from qad.report.comparison import Comparison, Observable

#: At most so many observables are drawn, those with the most significant differences.
MOST_PICTURES = 60
#: Okabe and Ito's blue and vermilion, told apart by everyone; grey that is read on white and on black.
A, B, GREY = "#0072b2", "#d55e00", "#808080"
#: What the page's style sheet calls these colours.
PAGE = {A: "--a", B: "--b", GREY: "--dim"}


def overlay(o: Observable) -> Figure:
    """Shares of A (filled) and B (points) in each bin with statistical errors; below, B/A with the errors of both."""
    h = o.histogram
    figure = Figure(figsize=(5.6, 3.9))
    above = figure.add_axes((0.14, 0.4, 0.83, 0.52))
    below = figure.add_axes((0.14, 0.15, 0.83, 0.21), sharex=above)
    middle = (h.edges[:-1] + h.edges[1:]) / 2
    above.stairs(h.a, h.edges, color=A, fill=True, alpha=0.25)
    above.stairs(h.a, h.edges, color=A, linewidth=1.4, label="A")
    above.errorbar(middle, h.b, h.error_b, fmt="o", markersize=3.2, linewidth=1, color=B, label="B")
    filled = np.concatenate([h.a[h.a > 0], h.b[h.b > 0]])
    if len(filled) and filled.max() > 12 * np.median(filled):
        above.set_yscale("log")
        above.set_ylim(filled.min() / 2, 3 * filled.max())
    else:
        above.set_ylim(0, 1.18 * max(filled, default=1.0))
    above.legend(frameon=False, fontsize=10, ncols=2, loc="lower right", bbox_to_anchor=(1, 0.97), borderpad=0)
    above.set_ylabel("share of events", color=GREY)
    above.tick_params(labelbottom=False)
    there = h.a > 0
    ratio = np.divide(h.b, h.a, out=np.zeros_like(h.a), where=there)
    error = np.divide(h.error_b, h.a, out=np.zeros_like(h.a), where=there)
    band = np.divide(h.error_a, h.a, out=np.zeros_like(h.a), where=there)
    reach = _reach(ratio[there], error[there])
    below.stairs(1 + band, h.edges, baseline=1 - band, fill=True, color=A, alpha=0.25)
    below.axhline(1, color=A, linewidth=1)
    inside = there & (np.abs(ratio - 1) <= reach)
    below.errorbar(middle[inside], ratio[inside], error[inside], fmt="o", markersize=3.2, linewidth=1, color=B)
    for side, marker in ((1, "^"), (-1, "v")):
        outside = middle[there & (side * (ratio - 1) > reach)]
        below.plot(outside, np.full(len(outside), 1 + 0.93 * reach * side), marker, color=B, markersize=4)
    below.set(ylim=(1 - reach, 1 + reach), xlim=(h.edges[0], h.edges[-1]))
    below.set_yticks([1 - reach, 1, 1 + reach], [f"{1 - reach:g}", "1", f"{1 + reach:g}"])
    below.set_ylabel("B/A", color=GREY)
    below.set_xlabel(o.name + (f"  [{o.unit}]" if o.unit else ""), color=GREY, parse_math=False)
    for ax in (above, below):
        ax.patch.set_visible(False)
        ax.grid(color=GREY, alpha=0.2, linewidth=0.6)
        ax.tick_params(colors=GREY)
        for spine in ax.spines.values():
            spine.set_color(GREY)
    for text in above.get_legend().get_texts():
        text.set_color(GREY)
    figure.align_ylabels([above, below])
    return figure


def _reach(ratio: np.ndarray, error: np.ndarray) -> float:
    """Half the range of the ratio panel: what four fifths of the well-measured bins need."""
    known = error < 0.3
    far = np.quantile(np.abs(ratio[known] - 1) + error[known], 0.8) if known.any() else 1.0
    return next((r for r in (0.1, 0.2, 0.5) if far <= r), 1.0)


def _svg(figure: Figure, name: str) -> Markup:
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "font.family": "sans-serif"}):
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    drawing = text.getvalue()[text.getvalue().index("<svg"):]
    drawing = re.sub(r' id="[A-Za-z0-9.]+_\d+"', "", drawing)  # no two elements of a page may share a name
    for colour, variable in PAGE.items():  # light or dark is the page's choice
        drawing = drawing.replace(colour, f"var({variable})")
    return Markup(drawing)


def _p(value: float) -> str:
    if value < 1e-300:
        return "< 1e-300"
    return f"{value:.3f}" if value >= 0.01 else f"{value:.1e}"


def page(found: Comparison) -> str:
    """The page as text: no script, font or picture comes from elsewhere."""
    differing = {o.name for o in found.differing} if not found.identical else set()
    rows = [{
        "name": o.name, "unit": o.unit, "differs": o.name in differing, "p": _p(o.p_value), "n": o.n,
        "p_all": _p(min(o.p_value * len(found.observables), 1.0)), "ks": f"{o.ks:.4f}", "ks_chance": f"{o.ks_chance:.4f}",
        "w": f"{o.wasserstein:.4g}", "w_chance": f"{o.wasserstein_chance:.2g}", "w_95": f"{o.wasserstein_chance_95:.2g}",
        "in_sd": "–" if o.in_sd is None else f"{o.in_sd:.4f}",
        "mean": [f"{x:.4g}" for x in o.mean], "sd": [f"{x:.3g}" for x in o.sd],
        "picture": _svg(overlay(o), f"observable {i}") if i < MOST_PICTURES else None,
    } for i, o in enumerate(found.observables)]
    record = found.as_dict()
    for o in record["observables"]:
        del o["histogram"]
    return environment().get_template("comparison.html").render(found=found, rows=rows, a=found.a, b=found.b,
                                                              record=json.dumps(record, indent=1, ensure_ascii=False))
