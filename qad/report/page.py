"""``report.html``: one page that opens from disk without a network; and ``results.csv`` beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from qad.detector import KINDS, LABELLED
from qad.errors import InputError
from qad.persistence import atomic_write
from qad.report import figures, sections
from qad.report.anomalous import Events, Jet, galleries, portrait
from qad.report.convergence import energy_models
from qad.report.embeddings import Embedding
from qad.report.embeddings import embeddings as embeddings_of
from qad.report.environment import environment
from qad.report.shifts import Shift, shifts_csv, shifts_of, table_of
from qad.report.tables import Progress, Row, Summary, read_rows, results_csv, steps, summarise
from qad.report.told import told_classes
from qad.report.verdict import NEEDED, Verdict, directions, judge

#: Of so many directions the page shows the best detector beside the best control at once; of more, behind a click.
FEW_DIRECTIONS = 4


@dataclass(frozen=True)
class Report:
    """A page, what it was made from, and the verdict on it."""

    page: str
    verdict: Verdict
    rows: list[Row]
    shifts: list[Shift]
    missing: int
    failed: int


def write_report(runs: str | Path, data: str | Path | None = None,
                 progress: Progress | None = None) -> tuple[Path, Verdict]:
    """Write ``report.html`` and ``results.csv`` into the folder ``runs``; returns the page's path and the verdict.

    data      folder of the samples, if they are no longer where the study had them: the page draws a few of their events
    progress  told how many steps are done, and of how many

    Raises :class:`InputError` if the folder holds no finished run.
    """
    root = Path(runs)
    made = make(root, data, progress=progress)
    try:
        if made.shifts:
            atomic_write(root / "shifts.csv", shifts_csv(made.shifts))
        atomic_write(root / "results.csv", results_csv(made.rows))
        atomic_write(root / "report.html", made.page)
    except OSError as error:
        raise InputError(f"cannot write into {root}: {error.strerror}") from None
    return root / "report.html", made.verdict


def make(root: Path, data: str | Path | None = None, memory: dict[Any, Any] | None = None,
         served: str | None = None, progress: Progress | None = None) -> Report:
    """The page of the runs in ``root``, as text. Raises :class:`InputError` if there is no finished run.

    memory  kept between calls by whoever makes the page again and again
    served  version of a page that asks its server for a newer one
    """
    record, rows, missing = read_rows(root)
    step = steps(progress, len(rows) + 1)  # the last one draws
    summaries = summarise(rows, memory, step)
    verdict = judge(summaries, missing)
    runs = list({id(r.run): r.run for r in rows}.values())
    shifts = shifts_of(runs)
    events = Events(record, root, None if data is None else Path(data), memory)
    page = render(record, summaries, verdict, missing, shifts, embeddings_of(root, runs), events, served)
    step()
    return Report(page, verdict, rows, shifts, missing, len({f["cell"] for f in record["failed"]}))


def render(record: dict[str, Any], summaries: list[Summary], verdict: Verdict, missing: int = 0,
           shifts: Sequence[Shift] = (), learned: Sequence[Embedding] = (), events: Events | None = None,
           served: str | None = None) -> str:
    """The page as text."""
    pairs = directions(summaries)
    rows = sections.overview(summaries)
    lines = figures.styles([(r["name"], r["kind"]) for r in sorted(rows, key=lambda r: KINDS.index(r["kind"]))])
    parts, leads = [], []
    for train, signal in pairs:
        here = [s for s in summaries if (s.train, s.signal) == (train, signal)]
        parts.append(sections.direction(here, lines, verdict.sentences))
        parts[-1]["galleries"] = galleries(here)
        leads.append(sections.lead(here))
    _draw_events(parts, events)
    found = energy_models(r.run for s in summaries for r in s.rows)
    finished = [str(r.run.record.get("finished", "")) for s in summaries for r in s.rows]
    return environment().get_template("page.html").render(
        study=record["study"], samples=record["samples"], skipped=record["skipped"], failed=record["failed"],
        told=_by_detector([s for s in summaries if s.kind in LABELLED]),
        told_classes=sorted({s.representation for s in summaries if any(told_classes(r.run) for r in s.rows)}),
        shifts=[(train, *table_of(shifts, train)) for train in dict.fromkeys(s.train for s in shifts)],
        versions=record["versions"], verdict=verdict, parts=parts, missing=missing, models=len(record["cells"]),
        leads=[found for found in leads if found is not None], few_directions=FEW_DIRECTIONS,
        convergence=sections.convergence(found) if found else None,
        embeddings=sections.embeddings(learned, summaries, list(record["samples"])) if learned else None,
        pairs=pairs, backgrounds=list(dict.fromkeys(a for a, _ in pairs)), overview=rows,
        two_ways=sections.two_ways(rows, pairs), colours=figures.COLOURS,
        kinds=[k for k in KINDS if any(r["kind"] == k for r in rows)], identifier=sections.identifier,
        finished=max(finished, default="")[:10], seeds=sorted({len(s.rows) for s in summaries}),
        bright=Markup(json.dumps(figures.BRIGHT)),
        plotly=Markup(get_plotlyjs()), needed=f"{NEEDED:g}", provenance=json.dumps(record, indent=1), served=served,
    )


def _draw_events(parts: Sequence[dict[str, Any]], events: Events | None) -> None:
    """Galleries of each direction with what is drawn of their events, and sentences for the events that are not here."""
    drawn: dict[tuple[str, int], Any] = {}
    absent: dict[str, str] = {}
    for part in parts:
        for seen in (s for g in part["galleries"] for s in (*g.background, *g.signal)):
            key = seen.process, seen.index
            if events is None or key in drawn or seen.process in absent:
                continue
            sample = events.sample(seen.process)
            if isinstance(sample, str):
                absent[seen.process] = sample
            elif (picture := portrait(sample, seen.index)) is None:
                absent[seen.process] = f"The events of {seen.process} hold no particles: there is nothing to draw."
            else:
                drawn[key] = picture
        part["absent"] = list(dict.fromkeys(absent[p] for p in (part["train"], part["signal"]) if p in absent))
        part["galleries"] = [(g, [(s, drawn[s.process, s.index]) for s in (*g.background, *g.signal)
                                  if (s.process, s.index) in drawn]) for g in part["galleries"]]
        part["galleries"] = [(g, shown) for g, shown in part["galleries"] if shown]
        part["jets"] = any(isinstance(p, Jet) for _, shown in part["galleries"] for _, p in shown)


def _by_detector(summaries: Sequence[Summary]) -> list[str]:
    """``name (representation)``, or ``name (3 representations)``."""
    found: dict[str, dict[str, None]] = {}
    for s in summaries:
        found.setdefault(s.detector, {})[s.representation] = None
    return [f"{name} ({next(iter(on)) if len(on) == 1 else f'{len(on)} representations'})"
            for name, on in sorted(found.items())]
