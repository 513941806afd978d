"""Circuits on quantum computers: jobs that survive a closed laptop."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from qad.cli import complete
from qad.cli.screen import AsJson, Trust, one_line_warnings, parameters, progress, resumable, row
from qad.errors import InputError

app = typer.Typer(help="Run circuits on quantum computers, in jobs that survive a kill.", no_args_is_help=True)
Jobs = Annotated[Path, typer.Argument(help="Folder of a submission.")]
Grace = Annotated[float, typer.Option(min=0, help="How long the service is asked for a job that it may have taken, before that "
                                                  "is sent again [s].")]


@app.command("submit")
def submit(
    model: Annotated[Path | None, typer.Argument(help="Folder that `qad fit` wrote, or the model folder of a run. Without it "
                                                      "the submission in --out goes on.")] = None,
    file: Annotated[Path | None, typer.Option("--data", help="Sample to score.")] = None,
    backend: Annotated[str | None, typer.Option(help="fake_torino, … (simulated here), or one of your IBM account.",
                                                autocompletion=complete.snapshots)] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder for the submission.")] = None,
    shots: Annotated[int, typer.Option(min=1, help="Per event.")] = 4096,
    events: Annotated[int | None, typer.Option(help="The first so many. [default: all]", show_default=False)] = None,
    chunk: Annotated[int | None, typer.Option(help="Events a job. [default: at most 1,000, and a million executions]",
                                              show_default=False)] = None,
    mode: Annotated[str, typer.Option(help="batch, session or job.")] = "batch",
    mitigation: Annotated[str, typer.Option(help="none, or readout: measured by two jobs more, and undone.")] = "none",
    option: Annotated[list[str], typer.Option(help="NAME=VALUE of a job: dynamical_decoupling=XY4, twirl_gates=true, …")]
    = [],  # noqa: B006
    seed: Annotated[int, typer.Option(min=0, help="One for the transpiler, which may choose other qubits by it, and for the "
                                                "shots of a snapshot.")] = 0,
    max_seconds: Annotated[float | None, typer.Option(help="Send nothing if more QPU time is estimated [s].")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print gates, executions and QPU time; send nothing.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Send again what failed or was cancelled.")] = False,
    grace: Grace = 60.0,
    trust: Trust = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """Send events through a trained circuit on a quantum computer.

    Returns when the jobs are queued.

    Example:  qad hardware submit model --data top.h5 --backend fake_torino --events 500 -o jobs/run1

    After a kill, the same command goes on; no job is sent twice. The IBM account is the one that you saved with Qiskit Runtime.
    """
    from dataclasses import asdict

    from qad import detector
    from qad import hardware as jobs

    classes = {name: detector.find(name) for name in trust}
    settings = {"shots": shots, "events": events, "chunk": chunk, "mode": mode, "mitigation": mitigation, "seed": seed,
                "options": parameters(option)}
    with resumable(), progress("chunks") as bar, one_line_warnings():
        if model is None and out is not None and not dry_run:
            found = jobs.resume(out, max_seconds=max_seconds, retry=retry, grace=grace, progress=row(bar, "submit"))
        elif model is None or file is None or backend is None or (out is None and not dry_run):
            raise InputError("expected MODEL, --data, --backend and --out, as in  qad hardware submit model --data top.h5 "
                             "--backend fake_torino -o jobs/run1 ; or --out alone, to go on")
        elif dry_run:
            found = jobs.dry_run(model, file, backend, classes=classes, **settings)
        else:
            found = jobs.submit(model, file, backend, out, max_seconds=max_seconds, retry=retry, grace=grace, classes=classes,
                                progress=row(bar, "submit"), **settings)
    print(json.dumps(asdict(found) if dry_run else found.as_dict()) if as_json else found)


@app.command("status")
def status(folder: Jobs, as_json: AsJson = False) -> None:
    """Where the jobs stand, what they have cost, what to type next.

    Example:  qad hardware status jobs/run1
    """
    from qad import hardware as jobs

    found = jobs.status(folder)
    print(json.dumps(found.as_dict()) if as_json else found)
    if found.problem:
        print(f"qad: note: {found.problem}", file=sys.stderr)


@app.command("fetch")
def fetch(
    folder: Jobs,
    wait: Annotated[bool, typer.Option("--wait", help="Until no job is queued or running.")] = False,
    poll: Annotated[float, typer.Option(min=0, help="With --wait: ask so often [s].")] = 10.0,
    grace: Grace = 60.0,
    trust: Trust = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """Fetch what is done and write FOLDER/scores.csv, again and again.

    Columns event, score, error from shots.

    Example:  qad hardware fetch jobs/run1

    Works on a copy of the folder on another computer too. Jobs on a snapshot run now.
    """
    from qad import detector
    from qad import hardware as jobs

    classes = {name: detector.find(name) for name in trust}
    with resumable(), progress("events") as bar, one_line_warnings():
        found = jobs.fetch(folder, wait, poll=poll, grace=grace, classes=classes, progress=row(bar, "fetch"))
    print(json.dumps(found.as_dict()) if as_json else found)
