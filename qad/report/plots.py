"""Static pictures from records, for documents and papers. They draw; they compute nothing but what is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qad.errors import InputError
from qad.report.files import write_picture

#: Okabe and Ito's colours and a marker each: told apart by everyone, in print too.
STYLES = (("#d55e00", "o"), ("#0072b2", "s"), ("#009e73", "^"), ("#cc79a7", "D"), ("#e69f00", "v"), ("#555555", "P"))


def cost_curves(curves: dict[str, Sequence[dict[str, float]]], out: Path) -> Path:
    """Seconds of the pass over the events, of loss and gradient, and of a natural-gradient step, against each axis."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    check_picture(out)
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    axes = figure.subplots(1, len(curves), sharey=True)
    names = {"step": "natural-gradient step", "gradient": "loss and gradient", "pass": "pass over the events, once"}
    for ax, (axis, points) in zip(axes if len(curves) > 1 else [axes], curves.items(), strict=True):
        for (key, name), (colour, marker) in zip(names.items(), STYLES, strict=False):
            ax.plot([p[axis] for p in points], [p[key] for p in points], color=colour, marker=marker, label=name)
        ax.set(xlabel=axis, yscale="log", xscale="linear" if axis == "qubits" else "log")
        if axis != "events":
            ax.set_xticks([p[axis] for p in points], [str(p[axis]) for p in points])
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.grid(alpha=0.3)
    figure.axes[0].set_ylabel("seconds")
    figure.axes[0].legend(frameon=False, fontsize=9)
    return write_picture(figure, out, dpi=150)


def check_picture(out: Path) -> None:
    """Raise :class:`InputError` if no picture can be written there."""
    if out.suffix not in (".png", ".svg", ".pdf"):
        raise InputError(f"{out}: expected a name that ends in .png, .svg or .pdf")
    if not out.parent.is_dir():
        raise InputError(f"{out}: the folder {out.parent} is not there")


def races(found: dict[str, dict], out: Path) -> Path:
    """Loss against steps, and against seconds, of each optimiser on each circuit: median and quartiles over the starts."""
    import numpy as np
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    check_picture(out)
    figure = Figure(figsize=(3.1 * len(found), 5.6), layout="constrained")
    axes = figure.subplots(2, len(found), squeeze=False)
    for column, (circuit, result) in enumerate(found.items()):
        above, below = axes[:, column]
        for (name, runs), (colour, _) in zip(result["races"].items(), STYLES, strict=False):
            losses = np.array([r["loss"] for r in runs])
            low, middle, high = np.quantile(losses, [0.25, 0.5, 0.75], axis=0)
            seconds = np.median([r["seconds"] for r in runs], axis=0)
            for ax, x in ((above, np.arange(1, len(middle) + 1)), (below, seconds)):
                ax.plot(x, middle, color=colour, label=name)
                ax.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
        for ax, label in ((above, "steps"), (below, "seconds")):
            ax.axhline(result["target"], color="#555555", linestyle=":", linewidth=1)
            ax.axhline(result["ceiling"], color="black", linewidth=0.8)
            ax.set(xscale="log", yscale="log", xlabel=label)
            ax.xaxis.set_minor_formatter(NullFormatter())
            ax.yaxis.set_minor_formatter(NullFormatter())
        above.set_title(circuit.replace(", ", "\n", 1), fontsize=10)
    axes[0, 0].set_ylabel("loss (infidelity)")
    axes[1, 0].set_ylabel("loss (infidelity)")
    axes[0, 0].legend(frameon=False, fontsize=8)
    figure.supxlabel("dotted: target; black: ceiling of any unitary; bands: quartiles of ten starts", fontsize=9)
    return write_picture(figure, out, dpi=130)
