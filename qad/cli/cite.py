"""What to cite."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from qad.cli import complete
from qad.cli.screen import AsJson


def cite(
    what: Annotated[str, typer.Argument(help="A study (name, YAML file, folder of runs), a saved model, a sample, or the name "
                                        "of a detector, representation or data set.", autocompletion=complete.cite)],
    data: Annotated[Path, typer.Option(help="Folder of files that a study names.")] = Path("data"),
    as_json: AsJson = False,
) -> None:
    """BibTeX of what a study, a model or a detector stands on.

    Example:  qad cite quick

    Example:  qad cite runs/quick --json

    qad itself, the data, the methods and the software, each with what it is cited for.
    """
    from qad import cite as citing

    found = citing.cite(what, data)
    for file in found.missing:
        print(f"qad: note: {file} is not there (--data FOLDER): what it holds is not cited", file=sys.stderr)
    print(citing.as_json(found) if as_json else citing.as_bibtex(found), end="\n" if as_json else "")
