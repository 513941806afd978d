"""The command line: each command parses, calls one documented function, prints. A file for each group of commands."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from qad.cli import data, doctor, hardware, models, simulate, studies
from qad.cli.screen import fail
from qad.errors import InputError, MissingExtra

app = typer.Typer(
    help="Quantum autoencoders for anomaly detection at the LHC, judged beside the best classical detectors.\n\n"
         "Start with:  qad benchmark quick",
    no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="markdown",
)
app.add_typer(simulate.app, name="simulate")
app.add_typer(data.app, name="data")
for command in (models.detectors, models.fit, models.score, models.diagnose, models.circuit, models.speed,
                studies.benchmark, studies.report):
    app.command()(command)
app.add_typer(hardware.app, name="hardware")
app.command()(doctor.doctor)


def _version(wanted: bool) -> None:
    if wanted:
        from qad import __version__

        print(f"qad {__version__}")
        raise typer.Exit


@app.callback()
def _options(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")]
             = False) -> None:
    return


def main() -> None:
    """Entry point: a mistake is one sentence on stderr and exit code 2, an interruption 130."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # module:Class finds what lies here, after everything installed
    try:
        app()
    except (InputError, MissingExtra) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or 'the file system'}: {error.strerror or error}")
    except Exception as error:
        if os.environ.get("QAD_TRACEBACK"):
            raise
        print(f"qad: unexpected {type(error).__name__}: {' '.join(str(error).split())}; set QAD_TRACEBACK=1 to see where, and "
              "report it if your input is sound", file=sys.stderr)
        sys.exit(1)
