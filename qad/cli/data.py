"""Samples: look at them, compare them, bring them in from public formats and back."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from qad.cli.screen import AsJson

app = typer.Typer(help="Look at samples, compare them, read and write public formats.", no_args_is_help=True)


@app.command("info")
def info(file: Path, as_json: AsJson = False) -> None:
    """Counts, units, provenance and fingerprint of a sample, ours or in a public format (.csv).

    Example:  qad data info qcd.h5
    """
    from qad.data.store import describe

    found = describe(file)
    if as_json:
        print(json.dumps(found))
        return
    counts = ", ".join(f"{v:,} {k}" for k, v in found["process"].items())
    labels = ", ".join(f"{v:,} {({0: 'background', 1: 'signal', -1: 'unknown'})[k]}" for k, v in found["label"].items())
    units = ", ".join(f"{k} [{u}]" if u else k for k, u in found["particle_columns"].items())
    features = ", ".join(f"{k} [{u}]" if u else k for k, u in found["features"].items()) or "none"
    print(f"{found['file']}  {found['bytes'] / 1e6:.1f} MB")
    print(f"events       {found['events']:,}: {counts} ({labels})")
    print(f"particles    {found['particles_per_event']:.1f} per event on average; {units}")
    print(f"features     {features}")
    for name, text in found["arrays"].items():
        print(f"  {name:<28} {text}")
    for key, value in found["meta"].items():
        if key != "card":
            print(f"{key:<18} {value}")
    for line in found["meta"].get("card", []):
        print(f"  card  {line}")
    holds = {True: "intact", False: "DOES NOT MATCH THE EVENTS", None: "of the events as read; the file carries none"}
    print(f"fingerprint  {found['fingerprint']}  {holds[found['intact']]}")
    if found["intact"] is False:
        raise typer.Exit(1)


@app.command()


@app.command("formats")
def formats(as_json: AsJson = False) -> None:
    """List the public formats that qad reads and writes.

    Example:  qad data formats
    """
    from qad.data import formats as known

    rows = [{"name": f.name, "suffixes": list(f.suffixes), "title": f.title, "reference": f.reference, "extra": f.extra}
            for f in map(known.get, known.names())]
    if as_json:
        print(json.dumps(rows))
        return
    for r in rows:
        needs = f"; needs the extra '{r['extra']}'" if r["extra"] else ""
        print(f"{r['name']:<14} {' '.join(r['suffixes']):<12} {r['title']} ({r['reference']}{needs})")
