"""What the learned embeddings of a study see: similarity against rotation, and t-SNE of their test events, as one picture.

    qad benchmark jetclr
    python docs/scripts/embeddings.py runs/jetclr docs/benchmarks/jetclr.png
    python docs/scripts/embeddings.py runs/jetclr docs/benchmarks/jetclr.png --only none rotations all    # some representations

The record is that of ``qad report``. Solid: shown turned events in training; dotted: not. Bands: one s.d. over events.
Diamonds: with another event, near 1 where an embedding is blind.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from qad.benchmark import read_runs
from qad.benchmark.runs import read_study_record
from qad.errors import InputError
from qad.report.embedding_figures import COLOURS, lowest, style
from qad.report.embeddings import Embedding, embeddings
from qad.report.plots import check_picture

DASHES = {"solid": "-", "longdash": (0, (8, 2)), "dot": ":", "dashdot": "-."}
MARKERS = "oDs^PvX"


def draw(found: Sequence[Embedding], processes: Sequence[str], columns: int = 4) -> Figure:
    """A panel per kind of events above, a panel of neighbours per embedding below."""
    kinds = list(dict.fromkeys(kind for e in found for kind in e.rotation))
    near = [e for e in found if e.neighbours]
    rows = math.ceil(len(near) / columns)
    heights = ([4.2] if kinds else []) + ([2.9 * rows] if rows else [])
    figure = Figure(figsize=(11, sum(heights)), layout="constrained")
    parts = list(np.atleast_1d(figure.subfigures(len(heights), 1, height_ratios=heights)))
    if kinds:
        top = parts.pop(0)
        axes = top.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
        low = lowest(found)
        for ax, kind in zip(axes, kinds, strict=True):
            for i, e in enumerate(found):
                if t := e.rotation.get(kind):
                    colour, dash = style(e, i)
                    x = np.rad2deg(t.angles)
                    ax.fill_between(x, t.mean - t.sd, np.minimum(t.mean + t.sd, 1), color=colour,
                                    alpha=0.13 if len(found) <= len(COLOURS) else 0.07, linewidth=0)
                    ax.plot(x, t.mean, color=colour, linestyle=DASHES[dash], linewidth=2, label=e.title)
                    ax.plot(360, t.other, "D", color=colour, markersize=5, clip_on=False)
            ax.set(title=kind, xlabel="turned by [°]", xlim=(0, 360), xticks=range(0, 361, 90),
                   ylim=(low - 0.04 * (1 - low), 1 + 0.02 * (1 - low)))
            ax.grid(alpha=0.3)
        axes[0].set_ylabel("s(z, z′)")
        handles = {label: h for ax in axes for h, label in zip(*ax.get_legend_handles_labels(), strict=True)}
        top.legend(handles.values(), handles, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    if rows:
        axes = parts.pop(0).subplots(rows, columns, squeeze=False).ravel()
        for ax, e in zip(axes, near, strict=False):
            order = [*processes, *(p for p in e.neighbours if p not in processes)]
            for process in sorted(e.neighbours, key=order.index):
                k = order.index(process)
                ax.scatter(*e.neighbours[process].T, s=9, alpha=0.6, linewidths=0, color=COLOURS[k % len(COLOURS)],
                           marker=MARKERS[(k + k // len(COLOURS)) % len(MARKERS)], label=process)
            ax.set_title(e.title, fontsize=10)
            ax.set(xticks=[], yticks=[])
            ax.set_aspect("equal", adjustable="datalim")
        for ax in axes[len(near):]:
            ax.set_visible(False)
        axes[0].legend(frameon=False, fontsize=8, markerscale=1.5, handletextpad=0.2)
    return figure


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="folder of a study's runs")
    parser.add_argument("out", type=Path, help="picture: .png, .svg or .pdf")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="representations of the study (default: all)")
    told = parser.parse_args(arguments)
    check_picture(told.out)
    runs = [r for r in read_runs(told.runs) if told.only is None or r.representation in told.only]
    found = [e for e in embeddings(told.runs, runs) if e.rotation or e.neighbours]
    if not found:
        raise InputError(f"{told.runs} holds no embedding with a portrait; run its study with  qad benchmark")
    draw(found, list(read_study_record(told.runs)["samples"])).savefig(told.out, dpi=110)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        raise SystemExit(str(error)) from None
