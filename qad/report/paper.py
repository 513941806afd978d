"""Pictures of a study for a paper: one PDF each, in the style of the field (mplhep), from the records that the page draws."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qad.detector import KINDS
from qad.errors import InputError
from qad.report import figures, sections
from qad.report.files import write_picture
from qad.report.tables import Progress, Summary, pareto, read_rows, steps, summarise

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DASHES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-.", "longdash": (0, (8, 3)), "longdashdot": (0, (8, 3, 1, 3))}
MARKERS = {"quantum": "D", "classical": "o", "control": "o", "weak": "s", "supervised": "s"}
#: Kinds whose markers are open.
OPEN = ("control", "supervised")

Draw = Callable[["Axes", list[Summary], Mapping[str, dict[str, Any]]], None]


def write_figures(runs: str | Path, out: str | Path, progress: Progress | None = None) -> list[Path]:
    """Write ``roc-``, ``sic-`` and ``pareto-<background>-<signal>.pdf`` into the folder ``out``; returns their paths.

    The curves are those that the page shows first: the best few of each kind, controls among them; every detector is a point of
    the Pareto picture. ``progress`` is told how many steps are done, and of how many. Raises :class:`InputError`.
    """
    folder = Path(out)
    rows = read_rows(runs)[1]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {error.strerror}; choose another with -o") from None
    pairs = list(dict.fromkeys((r.values["train"], r.signal) for r in rows))
    step = steps(progress, len(rows) + len(pairs) * len(PICTURES))
    summaries = summarise(rows, step=step)
    shown = sections.overview(summaries)
    lines = figures.styles([(r["name"], r["kind"]) for r in sorted(shown, key=lambda r: KINDS.index(r["kind"]))])
    written = []
    for train, signal in pairs:
        here = [s for s in summaries if (s.train, s.signal) == (train, signal)]
        for name, draw in PICTURES.items():
            path = folder / f"{name}-{train}-{signal}.pdf"
            with _axes(path, f"trained on {train}, looking for {signal}") as axes:
                draw(axes, here, lines)
            written.append(path)
            step()
    return written


@contextmanager
def _axes(path: Path, title: str) -> Iterator[Axes]:
    import mplhep
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    style = {**mplhep.style.ROOT, "font.size": 17, "axes.labelsize": 20, "pdf.fonttype": 42}
    with rc_context(style):
        figure = Figure(figsize=(9, 8), layout="constrained")
        axes = figure.subplots()
        yield axes
        axes.set_title(title, fontsize=15, loc="right", parse_math=False)
        fonts = logging.getLogger("fontTools")  # it speaks of the dates of fonts
        before = fonts.level
        fonts.setLevel(logging.ERROR)
        try:
            write_picture(figure, path, metadata={"CreationDate": None})
        finally:
            fonts.setLevel(before)


def _first(here: Sequence[Summary]) -> list[Summary]:
    ranked = sorted(here, key=lambda s: -s.mean["auc"])
    names = sections.shown_first([(s.name, s.kind, s.family) for s in ranked])
    return sorted((s for s in here if s.name in names), key=lambda s: (KINDS.index(s.kind), -s.mean["auc"]))


def _curves(axes: Axes, here: list[Summary], lines: Mapping[str, dict[str, Any]], points: Callable[[Summary], Any]) -> None:
    for s in _first(here):
        line = lines[s.name]
        axes.plot(*points(s), color=line["color"], linestyle=DASHES[line["dash"]], linewidth=line["width"], label=s.called)
    axes.set(xlabel=r"signal efficiency $\varepsilon_s$", xlim=(0, 1))
    _legend(axes)


def _legend(axes: Axes) -> None:
    handles = axes.get_legend_handles_labels()
    legend = axes.figure.legend(*handles, loc="outside lower center", ncols=2, fontsize=11, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _rejection(axes: Axes, here: list[Summary], lines: Mapping[str, dict[str, Any]]) -> None:
    _curves(axes, here, lines, figures.rejection_points)
    grid = [0.02 + 0.02 * k for k in range(50)]
    axes.plot(grid, [1 / x for x in grid], color="#999999", linestyle=":", linewidth=1)
    axes.set(ylabel=r"background rejection $1/\varepsilon_b$", yscale="log")


def _sic(axes: Axes, here: list[Summary], lines: Mapping[str, dict[str, Any]]) -> None:
    _curves(axes, here, lines, figures.sic_points)
    axes.axhline(1, color="#999999", linestyle=":", linewidth=1)
    axes.set(ylabel=r"SIC $= \varepsilon_s\,/\,\varepsilon_b^{1/2}$")
    axes.set_ylim(bottom=0)


def _cost(axes: Axes, here: list[Summary], lines: Mapping[str, dict[str, Any]]) -> None:
    front = pareto(here)
    x, y = figures.cost_points(front)
    axes.step(x, y, where="post", color="#999999", linewidth=1, zorder=0, label="Pareto front, of what is told no labels")
    for kind in KINDS:
        if mine := [s for s in here if s.kind == kind]:
            colour = figures.COLOURS[kind][0]
            axes.errorbar(*figures.cost_points(mine), [s.sd["auc"] if s.sd["auc"] == s.sd["auc"] else 0.0 for s in mine],
                          fmt=MARKERS[kind], color=colour, markerfacecolor="none" if kind in OPEN else colour, markersize=8,
                          elinewidth=1, capsize=0, label=kind)
    axes.set(xlabel="training time [s]", ylabel="AUC", xscale="log")
    left, right = axes.get_xlim()
    for s, a, b in zip(front, x, y, strict=True):
        side = "right" if a * a > left * right else "left"  # names stay inside
        axes.annotate(s.name, (a, b), (6 if side == "left" else -6, 7), textcoords="offset points", ha=side, fontsize=10,
                      parse_math=False)
    _legend(axes)


PICTURES: dict[str, Draw] = {"roc": _rejection, "sic": _sic, "pareto": _cost}
