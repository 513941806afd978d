"""Studies and their reports."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from qad.cli import complete
from qad.cli.screen import CORES, AsJson, Workers, fail, progress, resumable, row


class _Screen:
    """Draws what the runner tells."""

    def __init__(self, bar: Any) -> None:
        self.bar = bar
        self.failures: list[str] = []

    def simulating(self, name: str) -> Any:
        return row(self.bar, f"simulate {name}")

    def learning(self, name: str) -> Any:
        return row(self.bar, f"learn {name}")

    def planned(self, total: int, missing: int) -> None:
        self.models = row(self.bar, "train and score models")
        self.total, self.done = total, total - missing
        self.models(self.done, total)

    def finished(self, cell: Any, seconds: float, failure: str | None) -> None:
        self.done += 1
        self.models(self.done, self.total)
        if failure:
            self.failures.append(f"{cell.train}/{cell.representation}/{cell.spec.label}, seed {cell.seed}: {failure}")


def benchmark(
    study: Annotated[str, typer.Argument(help="Name of a study (quick, full), or a YAML file of your own.",
                                         autocompletion=complete.studies)],
    runs: Annotated[Path, typer.Option(help="Folder for runs.")] = Path("runs"),
    data_folder: Annotated[Path, typer.Option("--data", help="Folder for simulated samples, and of files that the study "
                                                       "names.")] = Path("data"),
    workers: Workers = CORES,
    report: Annotated[bool, typer.Option(help="Write the report at the end.")] = True,
    as_json: AsJson = False,
) -> None:
    """Run a study: simulate, train, compare; ends in a report.

    Example:  qad benchmark quick

    Example:  qad benchmark mine.yaml --data jets --json

    Started again after a kill it does the rest and nothing twice. Ends with 1 if a detector failed.
    """
    from qad.benchmark import load_study, run_study
    from qad.benchmark.runs import read_study_record

    chosen = load_study(study)
    with resumable(), progress("") as bar:
        screen = _Screen(bar)
        root = run_study(chosen, runs, data_folder, workers=workers, reporter=screen)
    for left in read_study_record(root)["skipped"]:
        print(f"qad: note: left out: {left['detector']} on {left['representation']}: {left['reason']}", file=sys.stderr)
    for failure in screen.failures:
        print(f"qad: failed: {failure}", file=sys.stderr)
    if as_json:
        told = {"runs": str(root), "trained": screen.total, "failed": screen.failures}
        print(json.dumps({**told, **_verdict(root)} if report else told))
    elif report:
        _report(root)
    else:
        print(root)
    if screen.failures:
        raise typer.Exit(1)


def _verdict(runs: Path) -> dict[str, Any]:
    from qad.report import write_report

    path, verdict = write_report(runs)
    return {"report": str(path.resolve()), "headline": verdict.headline, "sentences": verdict.sentences}


def _report(runs: Path) -> None:
    from qad.report import write_report

    path, verdict = write_report(runs)
    print(verdict.headline)
    for sentence in verdict.sentences:
        print(f"  {sentence}")
    print(path.resolve())


def report(
    runs: Annotated[Path, typer.Argument(help="Folder of a study's runs, such as runs/quick.")],
    form: Annotated[str, typer.Option("--format", help="html; markdown: one table on the screen, for a page of documents; "
                                                       "record: JSON from which pages are made.")] = "html",
    metric: Annotated[str, typer.Option(help="With markdown: auc, rejection_03, rejection_05 or max_sic.")] = "auc",
    train: Annotated[str | None, typer.Option(help="With markdown: one background only. [default: all]",
                                              show_default=False)] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="With record: the file. [default: on the screen]",
                                             show_default=False)] = None,
) -> None:
    """Write report.html and results.csv from runs; or print a table. Metrics are recomputed from raw scores.

    Example:  qad report runs/quick

    Example:  qad report runs/quick --format markdown --metric rejection_03

    Example:  qad report runs/quick --format record -o quick.json
    """
    if out is not None and form != "record":
        fail("-o goes with --format record; the page stands in the folder of the runs, a table on the screen")
    if form == "markdown":
        from qad.report import as_markdown

        print(as_markdown(runs, metric, train))
    elif form not in ("html", "record"):
        fail(f"expected --format html, markdown or record; got {form}")
    elif metric != "auc" or train is not None:
        fail("--metric and --train go with --format markdown; the others show every metric and background")
    elif form == "record":
        from qad.report.record import as_record, as_text, write_record

        print(as_text(as_record(runs)), end="") if out is None else print(write_record(runs, out))
    else:
        _report(runs)
