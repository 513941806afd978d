"""Static pictures from records, for documents and papers. They draw; they compute nothing but what is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qad.errors import InputError

#: Okabe and Ito's colours and a marker each: told apart by everyone, in print too.
STYLES = (("#d55e00", "o"), ("#0072b2", "s"), ("#009e73", "^"), ("#cc79a7", "D"), ("#e69f00", "v"), ("#555555", "P"))


def cost_curves(curves: dict[str, Sequence[dict[str, float]]], out: Path) -> Path:
    """Seconds of the pass over the events, of loss and gradient, and of a natural-gradient step, against each axis."""
    from matplotlib.figure import Figure

    _check(out)
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    axes = figure.subplots(1, len(curves), sharey=True)
    names = {"step": "natural-gradient step", "gradient": "loss and gradient", "pass": "pass over the events, once"}
    for ax, (axis, points) in zip(axes if len(curves) > 1 else [axes], curves.items(), strict=True):
        for (key, name), (colour, marker) in zip(names.items(), STYLES, strict=False):
            ax.plot([p[axis] for p in points], [p[key] for p in points], color=colour, marker=marker, label=name)
        ax.set(xlabel=axis, yscale="log", xscale="linear" if axis == "qubits" else "log")
        ax.grid(alpha=0.3)
    figure.axes[0].set_ylabel("seconds")
    figure.axes[0].legend(frameon=False, fontsize=9)
    figure.savefig(out, dpi=150)
    return out


def _check(out: Path) -> None:
    if out.suffix not in (".png", ".svg", ".pdf"):
        raise InputError(f"{out}: expected a name that ends in .png, .svg or .pdf")
    if not out.parent.is_dir():
        raise InputError(f"{out}: the folder {out.parent} is not there")
