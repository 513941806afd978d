"""Studies and their reports."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from qad.cli import complete
from qad.cli.screen import CORES, AsJson, Workers, fail, progress, resumable, row
from qad.errors import did_you_mean


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


@contextmanager
def _reporting() -> Iterator[Any]:
    with progress("") as bar:
        yield row(bar, "work out the report")


def _verdict(runs: Path, data: Path | None = None) -> dict[str, Any]:
    from qad.report import write_report

    with _reporting() as told:
        path, verdict = write_report(runs, data, told)
    return {"report": str(path.resolve()), "headline": verdict.headline, "sentences": verdict.sentences}


def _report(runs: Path, data: Path | None = None) -> None:
    from qad.report import write_report

    with _reporting() as told:
        path, verdict = write_report(runs, data, told)
    print(verdict.headline)
    for sentence in verdict.sentences:
        print(f"  {sentence}")
    print(path.resolve())


FORMATS = ("html", "markdown", "latex", "pdf", "record")


def report(
    runs: Annotated[Path, typer.Argument(help="Folder of a study's runs, such as runs/quick.")],
    form: Annotated[str, typer.Option("--format", help="html: the page; markdown, latex: one table; pdf: figures for a paper; "
                                                       "record: JSON from which pages are made.")] = "html",
    metric: Annotated[str, typer.Option(help="With markdown and latex: auc, rejection_03, rejection_05 or max_sic.")] = "auc",
    train: Annotated[str | None, typer.Option(help="With markdown and latex: one background only. [default: all]",
                                              show_default=False)] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="With pdf: the folder. [default: RUNS/figures] With record "
                                             "and latex: the file. [default: on the screen]", show_default=False)] = None,
    data_folder: Annotated[Path | None, typer.Option("--data", help="Folder of the samples, for event displays, if they are no "
                                                     "longer where the study had them.", show_default=False)] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Show the page at an address of this computer and refresh it while the "
                                                        "study runs; Ctrl-C ends it.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="With --serve; 0 takes any that is free.")] = 8765,
    as_json: AsJson = False,
) -> None:
    """Write report.html and results.csv from runs; or figures, or a table. Metrics are recomputed from raw scores.

    Example:  qad report runs/quick

    Example:  qad report runs/quick --serve

    Example:  qad report runs/quick --format pdf -o figures

    Example:  qad report runs/quick --format latex --metric rejection_03 -o table.tex

    Example:  qad report runs/quick --format markdown

    Example:  qad report runs/quick --format record -o quick.json
    """
    if form not in FORMATS:
        fail(did_you_mean(form, FORMATS, "format"))
    if (metric != "auc" or train is not None) and form not in ("markdown", "latex"):
        fail("--metric and --train go with --format markdown and latex; the others show every metric and background")
    if out is not None and form in ("html", "markdown"):
        fail("-o goes with --format pdf, latex and record; the page stands in the folder of the runs, markdown on the screen")
    if form != "html" and (serve or as_json or data_folder is not None):
        fail("--serve, --json and --data go with the page; leave --format out")
    if serve:
        _serve(runs, port, data_folder, as_json)
    elif form == "html":
        if as_json:
            print(json.dumps(_verdict(runs, data_folder)))
        else:
            _report(runs, data_folder)
    elif form == "pdf":
        from qad.report.paper import write_figures

        with _reporting() as told:
            written = write_figures(runs, out or runs / "figures", told)
        print("\n".join(map(str, written)))
    elif form == "record":
        from qad.report.record import as_record, as_text, write_record

        with _reporting() as told:
            said = as_text(as_record(runs, told)) if out is None else f"{write_record(runs, out, told)}\n"
        print(said, end="")
    else:
        from qad.report import as_latex, as_markdown
        from qad.report.files import check_folder, write_file

        if out is not None:
            check_folder(out)
        with _reporting() as told:
            text = (as_latex if form == "latex" else as_markdown)(runs, metric, train, told)
        print(text if out is None else write_file(out, f"{text}\n"))


def _serve(runs: Path, port: int, data: Path | None, as_json: bool) -> None:
    from qad.report.live import serve

    def ready(address: str) -> None:
        print(json.dumps({"address": address}) if as_json else f"{address}  (Ctrl-C ends it)", flush=True)

    try:
        serve(runs, port, data, ready)
    except KeyboardInterrupt:
        print("\nqad: the server has ended", file=sys.stderr)
