"""Static pictures of one jet, one event or one row of features, from the records of :mod:`qad.report.display`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from qad.errors import InputError
from qad.report.files import write_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from qad.report.display import Event, Features, Item, Jet

#: Okabe and Ito's colours, told apart by everyone.
BLUE, ORANGE, GREEN, RED, PINK, SKY, GREY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#777777"
#: Colour of each of the kinds of particles that a record knows.
KIND_COLOURS = (BLUE, ORANGE, GREEN, RED, BLUE)
#: Colour and marker of each group of objects.
GROUPS = {"met": ("black", "*"), "e": (RED, "o"), "mu": (BLUE, "D"), "tau": (PINK, "v"), "lep": (RED, "o"),
          "photon": (ORANGE, "P"), "jet": (GREEN, "s"), "b": (BLUE, "s")}
SPELT = {"met": "MET", "mu": "μ", "tau": "τ"}
JETS = (BLUE, RED, GREEN, PINK, ORANGE, SKY)
IMAGE = LinearSegmentedColormap.from_list("depth", ["#d7ecf7", SKY, BLUE, "#003a5c", "black"])
#: A circle for all of the pT of a jet has this area [points²].
AREA = 6000.0


def save(figure: Figure, out: Path) -> None:
    """Write ``figure`` by the suffix of ``out``. Raises :class:`InputError`."""
    write_picture(figure, out, dpi=150)


class Portrait(Figure):
    """A figure that a notebook shows as it is, whether pyplot was used before or not."""

    #: Dots per inch in a notebook, where a page is some 1,100 wide.
    NOTEBOOK = 66

    def __init__(self, figsize: tuple[float, float]) -> None:
        super().__init__(figsize=figsize, dpi=self.NOTEBOOK)

    def _repr_png_(self) -> bytes:
        out = BytesIO()
        self.savefig(out, format="png", dpi=self.NOTEBOOK)
        return out.getvalue()


class _Sheet:
    """A figure with a title above, notes below, and axes placed between them in inches."""

    def __init__(self, title: str, notes: str, width: float, height: float) -> None:
        gap = "  ·  "
        whole = gap.join(note.replace(" ", "\u00a0") for note in notes.split(gap))  # a name and its value stay on one line
        lines = textwrap.wrap(whole, int(width * 12), break_long_words=False)
        lines = lines[:5] + ["…"] * (len(lines) > 5)
        self.foot = 0.12 + 0.2 * len(lines)
        self.width, self.height = width, height + self.foot
        self.figure = Portrait((self.width, self.height))
        self.figure.text(0.25 / self.width, 1 - 0.12 / self.height, title, fontsize=14, va="top", parse_math=False)
        self.figure.text(0.25 / self.width, 0.1 / self.height, "\n".join(lines), fontsize=10, color="#444444", va="bottom",
                         parse_math=False)

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        return self.figure.add_axes((x / self.width, (y + self.foot) / self.height, width / self.width, height / self.height))


def jet(record: Jet) -> Figure:
    """Particles around the axis, Lund planes, image."""
    sheet = _Sheet(record.title, record.notes, 16.4, 7.0)
    side = 4.55
    _around_the_axis(sheet.axes(0.85, 1.45, side, side), record)
    _lund_plane(sheet.axes(6.1, 1.45, side, side), record)
    _image(sheet.axes(11.5, 1.45, side, side), sheet.axes(11.5, 0.7, side, 0.14), record)
    return sheet.figure


def _around_the_axis(ax: Axes, record: Jet) -> None:
    reach = max(1.1 * record.radius, 1.05 * float(np.hypot(record.dy, record.dphi).max()))
    handles = []
    for i, (name, colour) in enumerate(zip(record.kinds, KIND_COLOURS, strict=True)):
        mine = record.kind == i
        if mine.any():
            ax.scatter(record.dy[mine], record.dphi[mine], s=AREA * record.share[mine] + 1.5, color=colour, alpha=0.55,
                       linewidth=0.8, edgecolor=colour)
            handles.append(ax.scatter([], [], s=60, color=colour, label=f"{name} ({mine.sum()})"))
    if record.circle:
        ax.add_patch(Circle((0, 0), record.radius, fill=False, color=GREY, linestyle="--"))
        ax.annotate(f"R = {record.radius:g}", np.full(2, record.radius * 0.73), color="#444444", fontsize=10)
    ax.plot(0, 0, "+", color="black", markersize=9)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), xlabel="y − y(jet)   (≈ Δη)", ylabel="φ − φ(jet)  [rad]")
    ax.set_title("Particles: area ∝ pT", fontsize=12, pad=26)
    sizes = [ax.scatter([], [], s=AREA * pt / record.pt + 1.5, facecolor="none", edgecolor=GREY, label=f"{pt} GeV")
             for pt in (1, 10, 50)]
    below = {"frameon": False, "fontsize": 10, "loc": "upper center", "borderpad": 0.2}
    ax.add_artist(ax.legend(handles=sizes, ncols=3, bbox_to_anchor=(0.5, -0.12), columnspacing=2.5, **below))
    ax.legend(handles=handles, ncols=2, bbox_to_anchor=(0.5, -0.2), columnspacing=2, **below)


def _lund_plane(ax: Axes, record: Jet) -> None:
    left, right, low = np.log(1 / record.radius) - 0.5, 7.0, -4.0
    high = np.log(record.pt / 2 * record.radius) + 0.9
    x = np.array([left, right])
    limit = np.log(record.pt / 2) - x
    ax.fill_between(x, limit, high + 9, color="#eeeeee", linewidth=0)
    ax.plot(x, limit, color=GREY, linestyle="--", label="limit: kT = ½ pT Δ")
    for kt in (0.1, 1, 10, 100):
        if np.log(kt) < high - 0.4:
            ax.axhline(np.log(kt), color="#dddddd", linewidth=0.6, zorder=0)
            ax.annotate(f"{kt:g} GeV", (right - 0.08, np.log(kt)), ha="right", va="bottom", fontsize=9, color="#777777")
    for mine, colour, width in ((record.softer, SKY, 0.6), (~record.softer, RED, 1.0)):
        lines = LineCollection(record.tree[mine], colors=colour, linewidths=width, alpha=0.6, zorder=1)
        ax.add_collection(lines, autolim=False)
    outside = 0
    for points, name, style in ((record.primary, "primary plane", {"color": RED, "marker": "D", "s": 46, "zorder": 3}),
                                (record.secondary, "on softer branches", {"color": SKY, "marker": "o", "s": 24})):
        inside = (points[:, 0] < right) & (points[:, 1] > low)
        outside += int((~inside).sum())
        ax.scatter(*points[inside].T, label=f"{name} ({len(points)})", edgecolor="white", linewidth=0.4, **style)
    ax.plot([], [], color=SKY, linewidth=0.8, label="to its parent")
    ax.set(xlim=(left, right), ylim=(low, high), xlabel="ln 1/Δ", ylabel="ln (kT/GeV)")
    more = f", {outside} beyond the frame" if outside else ""
    ax.set_title(f"Lund plane (Cambridge/Aachen){more}", fontsize=12, pad=26)
    angles = (0.5, 0.2, 0.05, 0.01, 0.002)
    names = [f"Δ = {a:g}" if a == angles[0] else f"{a:g}" for a in angles]
    ax.secondary_xaxis("top").set_xticks([-np.log(a) for a in angles], names, fontsize=9, color="#777777")
    ax.legend(frameon=False, fontsize=10, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2, borderpad=0.2)


def _image(ax: Axes, bar: Axes, record: Jet) -> None:
    e = record.extent
    drawn = ax.imshow(np.ma.masked_equal(record.image, 0), origin="lower", extent=(-e, e, -e, e), cmap=IMAGE, vmin=0)
    ax.set(xlabel="across  [rad]", ylabel="along the principal axis  [rad]")
    ax.set_title(f"Image, {record.image.shape[0]} × {record.image.shape[1]}", fontsize=12, pad=26)
    ax.figure.colorbar(drawn, cax=bar, orientation="horizontal", label="√(share of pT)")


@dataclass(frozen=True)
class _Label:
    at: tuple[float, float]  # in the coordinates of the axes' data
    text: str
    colour: str
    radius: float  # points, of what stands there
    line: tuple[tuple[float, float], tuple[float, float]] | None = None  # one drawn with it, not to be written over


def event(record: Event) -> Figure:
    """The whole detector in η and φ, the transverse plane, a table."""
    if not record.items:
        raise InputError(f"{record.title}: none of the slots is filled, there is nothing to draw")
    sheet = _Sheet(record.title, record.notes, 17.2, 6.9)
    colours = _colours(record.items)
    panels = ((sheet.axes(0.75, 0.75, 6.9, 5.3), _detector), (sheet.axes(8.45, 0.75, 5.3, 5.3), _transverse))
    for ax, draw in panels:
        _write(ax, draw(ax, record, colours))
    _table(sheet.axes(14.05, 0.75, 2.95, 5.3), record.items, colours)
    return sheet.figure


def _colours(items: Sequence[Item]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each object by its label; jets kept with their particles have a colour each."""
    found, groups, jets, others = {}, dict(GROUPS), iter(JETS * 9), iter(JETS[::-1] * 9)
    for item in items:
        if item.constituents is not None:
            found[item.label] = (next(jets), "o")
        else:
            if item.group not in groups:
                groups[item.group] = (next(others), "h")
            found[item.label] = groups[item.group]
    return found


def _spelt(item: Item) -> str:
    return item.label.replace(item.group, SPELT.get(item.group, item.group), 1)


def _detector(ax: Axes, record: Event, colours: dict[str, tuple[str, str]]) -> Iterator[_Label]:
    edge = max([2.8, *(abs(i.eta) + 0.4 for i in record.items if i.group != "met")])
    hardest = max(item.pt for item in record.items)
    ax.set(xlim=(-edge, edge), ylim=(-np.pi, np.pi), xlabel="η", ylabel="φ  [rad]")
    ax.set_yticks(np.pi * np.array([-1, -0.5, 0, 0.5, 1]), ["−π", "−π/2", "0", "π/2", "π"])
    ax.grid(alpha=0.25)
    ax.set_title("Detector: area ∝ pT", fontsize=12)
    for item in record.items:
        colour, marker = colours[item.label]
        area, line = 25 + 900 * item.pt / hardest, None
        at, text = (item.eta, item.phi), _spelt(item)
        if item.group == "met":  # its η is not measured
            at, text, area = (0.0, item.phi), f"{text} {item.pt:.0f} GeV", max(area, 120)
            line = (-edge, item.phi), (edge, item.phi)
            ax.plot(*zip(*line, strict=True), color=colour, linestyle=":", linewidth=1.2)
            ax.scatter(*at, s=area, marker=marker, color=colour, zorder=3)
        elif item.constituents is not None:
            pt, eta, phi = item.constituents.T
            ax.scatter(eta, phi, s=2 + 0.4 * AREA * pt / sum(pt), color=colour, alpha=0.45, linewidth=0)
            for turn in (-2 * np.pi, 0, 2 * np.pi) if record.circle else ():
                ax.add_patch(Circle((item.eta, item.phi + turn), record.radius, fill=False, color=colour, linestyle="--"))
            wide = 6.9 * 72 / (2 * edge) * record.radius  # points
            text, area = f"{text} {item.pt:.0f} GeV", 4 * wide**2
        else:
            ax.scatter(*at, s=area, marker=marker, color=colour, alpha=0.6, linewidth=0, zorder=3 - item.pt / hardest)
        yield _Label(at, text, colour, np.sqrt(area) / 2, line)


def _transverse(ax: Axes, record: Event, colours: dict[str, tuple[str, str]]) -> Iterator[_Label]:
    hardest = max(item.pt for item in record.items)
    reach = 1.2 * hardest
    decade = 10 ** np.floor(np.log10(reach))
    step = next(decade * f for f in (0.2, 0.5, 1, 2, 5) if reach / (decade * f) < 5)
    for k in range(1, int(reach / step) + 1):
        ax.add_patch(Circle((0, 0), k * step, fill=False, color="#dddddd", linewidth=0.8, zorder=0))
    for item in record.items:
        colour, _ = colours[item.label]
        tip = (item.pt * np.cos(item.phi), item.pt * np.sin(item.phi))
        if item.constituents is not None:
            pt, _, phi = item.constituents.T
            ends = np.stack([np.zeros_like(pt), pt])
            ax.plot(ends * np.cos(phi), ends * np.sin(phi), color=colour, linewidth=0.7, alpha=0.6)
        dashes = "--" if item.group == "met" else "-"
        ax.annotate("", tip, (0, 0), arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 2, "linestyle": dashes,
                                                 "shrinkA": 0, "shrinkB": 0})
        yield _Label(tip, _spelt(item), colour, 3.0, ((0.0, 0.0), tip))
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), xlabel="px  [GeV]", ylabel="py  [GeV]")
    ax.set_title(f"Transverse plane (circles: {step:g} GeV)", fontsize=12)


def _write(ax: Axes, found: Iterator[_Label]) -> None:
    """Each label beside its point, where it lies least over other points and labels: greedy, in points of 1/72 inch."""
    labels = list(found)
    scale = 72 / ax.figure.dpi
    box = ax.get_window_extent()
    left, bottom, right, top = box.x0 * scale, box.y0 * scale, box.x1 * scale, box.y1 * scale
    at = ax.transData.transform([label.at for label in labels]) * scale
    radii = np.array([label.radius for label in labels])
    marks = [np.concatenate([at - radii[:, None], at + radii[:, None]], axis=1)]
    for line in (np.array(label.line) for label in labels if label.line is not None):
        along = ax.transData.transform(line[0] + np.linspace(0, 1, 60)[:, None] * (line[1] - line[0])) * scale
        marks.append(np.concatenate([along - 2, along + 2], axis=1))
    taken = np.concatenate(marks)
    far = np.repeat([2.0, 8.0, 16.0, 28.0, 44.0], 8)
    angle = np.tile(np.pi * np.arange(0.5, 2.5, 0.25), 5)
    for (x, y), label in zip(at, labels, strict=True):
        half = np.array([7.0 * len(label.text) + 4, 13.0]) / 2
        centre = np.array([x, y]) + np.stack([np.cos(angle), np.sin(angle)], 1) * (label.radius + far[:, None] + half)
        options = np.concatenate([centre - half, centre + half], axis=1)  # left, bottom, right, top
        shared = np.minimum(options[:, None, 2:], taken[:, 2:]) - np.maximum(options[:, None, :2], taken[:, :2])
        beyond = np.maximum([left, bottom] - options[:, :2], options[:, 2:] - [right, top]).max(1)
        best = int(np.argmin(np.maximum(shared, 0).prod(-1).sum(1) + 1000 * np.maximum(beyond, 0) + far))
        taken = np.concatenate([taken, options[best : best + 1]])
        lead = {"arrowstyle": "-", "color": label.colour, "linewidth": 0.7} if far[best] > 8 else None
        ax.annotate(label.text, label.at, centre[best] - (x, y), textcoords="offset points", ha="center", va="center",
                    color=label.colour, fontsize=10.5, fontweight="bold", arrowprops=lead, parse_math=False)


def _table(ax: Axes, items: Sequence[Item], colours: dict[str, tuple[str, str]], most: int = 20) -> None:
    ax.axis("off")
    rows = [[_spelt(i), f"{i.pt:.1f}", "–" if i.group == "met" else f"{i.eta:.2f}", f"{i.phi:.2f}",
             "–" if i.group == "met" else f"{i.mass:.1f}"] for i in items[:most]]
    heads, widths = ["", "pT", "η", "φ", "mass"], [0.2, 0.22, 0.2, 0.2, 0.18]
    if any(i.constituents is not None for i in items):
        for row, item in zip(rows, items, strict=False):
            row.append("–" if item.constituents is None else str(len(item.constituents)))
        heads, widths = [*heads, "parts"], [0.12, 0.2, 0.17, 0.17, 0.18, 0.16]
    table = ax.table(rows, colLabels=heads, colWidths=widths, loc="upper center", cellLoc="right", colLoc="right",
                     edges="horizontal")
    table.auto_set_font_size(False)
    table.set_fontsize(10)
    table.scale(1, 1.3)
    for (row, column), cell in table.get_celld().items():
        cell.set_edgecolor("#cccccc")
        cell.PAD = 0.02
        cell.get_text().set_parse_math(False)
        if row and not column:
            cell.get_text().set(color=colours[items[row - 1].label][0], fontweight="bold")
    ax.set_title("GeV, rad" if len(items) <= most else f"GeV, rad; the first {most} of {len(items)}", fontsize=12)


def features(record: Features, most: int = 60) -> Figure:
    """Each feature's distribution with the event's value in it, and the percentile at which it lies."""
    n = min(len(record.names), most)
    more = f"  ·  the first {most} of {len(record.names)} features" if n < len(record.names) else ""
    sheet = _Sheet(record.title, record.notes + more, 12.6, 1.5 + 0.45 * n)
    names = [name if len(name) <= 36 else f"{name[:35]}…" for name in record.names[:n]]
    left = max(map(len, names)) * 0.1 + 0.4
    spread, place = (sheet.axes(x, 0.75, w, 0.45 * n) for x, w in ((left, 7.2 - left), (7.4, 2.9)))
    for row in range(n):
        column, value = record.reference[:, row], record.value[row]
        low, high = np.quantile(column, [0.005, 0.995])
        low, high = min(low, value), max(high, value)
        width = (high - low) or 1.0
        counts, edges = np.histogram((column - low) / width, 60, (0, 1))
        heights = 0.72 * counts / max(counts.max(), 1)
        spread.stairs(row + 0.36 - heights, edges, baseline=row + 0.36, fill=True, color=SKY, alpha=0.7)
        spread.plot([(value - low) / width] * 2, [row - 0.42, row + 0.36], color=RED, linewidth=2.5)
        colour = RED if abs(record.percentile[row] - 50) > 47.5 else BLUE
        place.plot([50, record.percentile[row]], [row, row], color=colour, linewidth=4, solid_capstyle="butt")
        place.plot(record.percentile[row], row, "o", color=colour, markersize=8, clip_on=False, zorder=3)
        shown = ((1.05, f"{value:.4g} {record.units[row]}", "black"), (1.42, f"median {np.median(column):.4g}", "#777777"))
        for x, text, shade in shown:
            place.annotate(text, (x, row), xycoords=place.get_yaxis_transform(), va="center", fontsize=10, color=shade,
                           parse_math=False)
    for low, high, shade in ((2.5, 97.5, "#f0f0f0"), (16, 84, "#e0e0e0")):
        place.axvspan(low, high, color=shade, zorder=0, linewidth=0)
    place.axvline(50, color=GREY, linewidth=1)
    place.set(xlim=(0, 100), xlabel="percentile (bands: 68 %, 95 %)", yticks=[])
    spread.set(xticks=[], xlabel="distribution (central 99 %); red: this event")
    spread.set_yticks(range(n), names, parse_math=False)
    for ax in (spread, place):
        ax.set_ylim(n - 0.4, -0.6)
    return sheet.figure
