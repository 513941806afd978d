"""Is everything installed, and what to type if it is not."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from qad.cli.screen import MISSING, AsJson

MARKS = {"ok": "ok", "note": "note", "absent": "absent", "wrong": "WRONG"}


def doctor(
    online: Annotated[bool, typer.Option("--online", help="Also ask IBM Quantum whether it takes the saved account.")] = False,
    as_json: AsJson = False,
) -> None:
    """Is everything installed, does it work, and what to type if not.

    Example:  qad doctor

    Ends with 0 if qad works (an extra may be absent), else with 3. The network is asked nothing without --online.
    """
    from qad.doctor import examine

    found = examine(online)
    if as_json:
        print(json.dumps(found.as_dict()))
    else:
        for finding in found.findings:
            print(f"{MARKS[finding.state]:<7} {finding.what}: {finding.found}")
            if finding.do:
                print(f"{'':<7} → {finding.do}")
        print("qad works." if found.healthy else "qad does not work as it should: do what the arrows say, from the top.")
    if not found.healthy:
        raise typer.Exit(MISSING)
