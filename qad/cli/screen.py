"""What all commands share: options, progress with time left, an interruption that loses nothing, notes of one line."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from qad.cli import complete
from qad.errors import InputError

Out = Annotated[Path, typer.Option("-o", "--out", help="HDF5 file to write.")]
Number = Annotated[int, typer.Option("-n", "--n", min=1, help="How many to simulate, after selection.")]
Seed = Annotated[int, typer.Option(min=0, help="Same seed, same bits, with any number of workers.")]
Workers = Annotated[int, typer.Option(min=1, help="Processes. [default: all cores]", show_default=False)]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the file if it holds something else.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
#: What is done before [s] shows no progress.
SOON = 0.5
#: Seconds between lines of progress where the output is no terminal.
PATIENCE = float(os.environ.get("QAD_PROGRESS_SECONDS", "30"))
CORES = os.cpu_count() or 1
#: Exit codes besides 0, done: ran but something failed, a mistake in what was typed or given, something is not installed.
FAILED, MISTAKE, MISSING = 1, 2, 3
Trust = Annotated[list[str], typer.Option(help="module:Class that the model may use besides the registered ones.")]
Backend = Annotated[str | None, typer.Option(help="Measure the circuit on exact, pennylane, aer or ibm. [default: the "
                                             "model's own exact score]", show_default=False, autocompletion=complete.backends)]


def fail(sentence: str, code: int = MISTAKE) -> None:
    print(f"qad: {sentence}", file=sys.stderr)
    sys.exit(code)


@contextmanager
def resumable(checkpoint: Path | None = None) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        if checkpoint is None or any(checkpoint.parent.glob(f"{checkpoint.name}*")):
            said = "stopped; what is finished is kept, and the same command does the rest"
        else:
            said = "stopped before anything was kept (a training writes every 10 s); the same command begins anew"
        print(f"\nqad: {said}", file=sys.stderr)
        raise typer.Exit(130) from None


@contextmanager
def one_line_warnings() -> Iterator[list[type[Warning]]]:
    """Warnings as one sentence each, the same one once; yields the kinds of those shown."""
    import warnings

    shown: list[type[Warning]] = []
    sentences = set()

    def show(message: Any, category: type[Warning], *_: Any, **__: Any) -> None:
        if str(message) not in sentences:
            print(f"qad: note: {message}", file=sys.stderr)
        sentences.add(str(message))
        shown.append(category)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield shown


def beside(folder: Path, suffix: str) -> Path:
    return folder.with_name(f"{folder.name}.{suffix}")


@contextmanager
def progress(unit: str) -> Iterator[Any]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Any) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:,.1f} {unit}/s")

    console = Console(stderr=True)
    if not console.is_terminal:  # a log: a line now and then, or nobody knows whether it is alive
        yield _Log(unit)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(),
               TimeRemainingColumn(compact=True, elapsed_when_finished=True))
    bar = Progress(*columns, console=console, speed_estimate_period=120)
    soon = threading.Timer(SOON, bar.start)
    soon.daemon = True
    try:
        yield _Bar(bar, soon)  # started by its first row: a mistake found before any work leaves no empty line
    finally:
        soon.cancel()
        if bar.live.is_started:
            bar.stop()


class _Log:
    """Progress for a log: no line before :data:`PATIENCE` seconds, and then one so often."""

    def __init__(self, unit: str) -> None:
        self.unit, self.told = unit, time.monotonic()
        self.tasks: list[tuple[str, float, int | None]] = []  # name, begun, done already

    def start(self) -> None:
        return

    def add_task(self, name: str, total: int | None) -> int:
        self.tasks.append((name, time.monotonic(), None))
        return len(self.tasks) - 1

    def update(self, task: int, completed: int, total: int | None) -> None:
        name, begun, first = self.tasks[task]
        if first is None:  # what was done before does not tell how fast it goes
            self.tasks[task] = name, begun, completed
            return
        now = time.monotonic()
        if now - self.told < PATIENCE or completed <= first:
            return
        self.told = now
        of = f" of {total:,}" if total else ""
        left = f", {(now - begun) * (total - completed) / (completed - first):,.0f} s left" if total else ""
        print(f"qad: {name}: {completed:,}{of} {self.unit}".rstrip() + left, file=sys.stderr, flush=True)


class _Bar:
    """A progress display that shows itself where the work takes longer than a moment."""

    def __init__(self, bar: Any, soon: threading.Timer) -> None:
        self.add_task, self.update, self._soon = bar.add_task, bar.update, soon

    def start(self) -> None:
        if self._soon.ident is None:  # not started yet
            self._soon.start()


def row(bar: Any, name: str) -> Callable[[int, int | None], None]:
    """A row of the progress display that appears with the first thing it is told."""
    task = None

    def update(done: int, total: int | None) -> None:
        nonlocal task
        bar.start()
        task = bar.add_task(name, total=total) if task is None else task
        bar.update(task, completed=done, total=total)

    return update


def parameters(pairs: list[str]) -> dict[str, Any]:
    import yaml

    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise InputError(f"expected NAME=VALUE, such as epochs=20; got '{pair}'")
        try:
            found[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise InputError(f"'{value}' is not a number, word or list") from None
        if isinstance(found[name], str) and re.fullmatch(r"[-+]?\d+(\.\d*)?e[-+]?\d+", value, re.IGNORECASE):
            found[name] = float(value)  # YAML wants a point and a sign in 1.0e-4
    return found
