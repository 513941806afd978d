"""The command line: each command parses, calls one documented function, prints. A file for each group of commands."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer
import typer.core

from qad.cli import cite, data, doctor, hardware, mistyped, models, simulate, studies
from qad.cli.screen import MISSING, fail
from qad.errors import InputError, MissingExtra

#: In the help, what a newcomer needs first.
ORDER = ("benchmark", "report", "simulate", "data", "detectors", "fit", "score", "diagnose", "circuit", "speed", "hardware",
         "doctor", "cite")


class _Ordered(typer.core.TyperGroup):
    """Commands in the order of the help."""

    def list_commands(self, ctx: typer.Context) -> list[str]:
        return [*ORDER, *(name for name in self.commands if name not in ORDER)]


app = typer.Typer(
    cls=_Ordered,
    help="Anomaly detection for the LHC: quantum autoencoders judged beside the best classical detectors.\n\n"
         "Start here:\n\n"
         "- `qad doctor` — is everything installed?\n"
         "- `qad benchmark quick` — simulate jets, train, compare: minutes, ends in a report\n"
         "- `qad simulate jets --process qcd -n 2000 -o qcd.h5`, then `qad fit pca qcd.h5 -o model` — step by step\n\n"
         "`qad COMMAND --help` shows examples of each.",
    epilog="Exit codes: 0 done · 1 ran, but something failed · 2 a mistake in what was typed or given · "
           "3 something is not installed · 130 interrupted.",
    no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
STUDIES, MODELS, DATA, MACHINES, HELP = "Studies", "Models", "Data", "Quantum computers", "Help"
for panel, commands in ((STUDIES, (studies.benchmark, studies.report)),
                        (MODELS, (models.detectors, models.fit, models.score, models.diagnose, models.circuit, models.speed))):
    for command in commands:
        app.command(rich_help_panel=panel)(command)
app.add_typer(simulate.app, name="simulate", rich_help_panel=DATA)
app.add_typer(data.app, name="data", rich_help_panel=DATA)
app.add_typer(hardware.app, name="hardware", rich_help_panel=MACHINES)
for command in (doctor.doctor, cite.cite):
    app.command(rich_help_panel=HELP)(command)


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
    """Entry point: a mistake is one sentence on stderr and exit code 2, a missing extra 3, an interruption 130."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # module:Class finds what lies here, after everything installed
    try:
        sys.exit(app(prog_name="qad", standalone_mode=False) or 0)  # a code where a command ended with one
    except (KeyboardInterrupt, typer.Abort):
        print("\nqad: stopped", file=sys.stderr)
        sys.exit(130)
    except MissingExtra as error:
        fail(str(error), MISSING)
    except InputError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or 'the file system'}: {error.strerror or error}")
    except Exception as error:
        if mistyped.is_usage_error(error):
            said = mistyped.sentence(error, sys.argv[1:])
            if not said:  # the help was shown
                sys.exit(0)
            fail(said)
        if os.environ.get("QAD_TRACEBACK"):
            raise
        print(f"qad: unexpected {type(error).__name__}: {' '.join(str(error).split())}; set QAD_TRACEBACK=1 to see where, and "
              "report it if your input is sound", file=sys.stderr)
        sys.exit(1)
