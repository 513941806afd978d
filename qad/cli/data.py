"""Samples: look at them, compare them, bring them in from public formats and back."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from qad.cli import complete
from qad.cli.screen import AsJson, Out, Overwrite, parameters, progress, resumable, row

app = typer.Typer(help="Look at samples, compare them, read and write public formats.", no_args_is_help=True)


@app.command("info")
def info(file: Path, as_json: AsJson = False) -> None:
    """Counts, units, provenance and fingerprint of a sample, ours or public.

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
    print(f"{found['file']}  {_size(found['bytes'])}")
    print(f"events       {found['events']:,}: {counts} ({labels})")
    if found["particles_per_event"]:
        print(f"particles    {found['particles_per_event']:.1f} per event on average; {units}")
    print(f"features     {features}")
    for name, text in found["arrays"].items():
        print(f"  {name:<28} {text}")
    for key, value in found["meta"].items():
        if key == "slots":
            value = ", ".join(f"{name} × {value.count(name)}" for name in dict.fromkeys(value))
        if key != "card" and value not in ("", [], {}):
            print(f"{key:<18} {value}")
    for line in found["meta"].get("card", []):
        print(f"  card  {line}")
    holds = {True: "intact", False: "DOES NOT MATCH THE EVENTS", None: "of the events as read; the file carries none"}
    print(f"fingerprint  {found['fingerprint']}  {holds[found['intact']]}")
    if found["intact"] is False:
        raise typer.Exit(1)


def _size(n: int) -> str:
    return f"{n / 1e6:.1f} MB" if n >= 1e5 else f"{n / 1e3:.1f} kB" if n >= 1000 else f"{n} bytes"


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
        about = [part for part in r["reference"].split(", ") if part not in r["title"]]
        about = "; ".join([", ".join(about)] * bool(about) + [f"needs the extra '{r['extra']}'"] * bool(r["extra"]))
        print(f"{r['name']:<14} {' '.join(r['suffixes']):<12} {r['title']}{about and f' ({about})'}")


Public = Annotated[str, typer.Argument(help="Name of a format (`qad data formats`), or auto.",
                                       autocompletion=complete.formats)]


@app.command("import")
def import_(
    format: Public,
    file: Annotated[list[Path], typer.Argument(help="The public file, or several of one kind.")],
    out: Out,
    process: Annotated[str | None, typer.Option(help="Name of the process, where the file does not say.",
                                                show_default=False)] = None,
    label: Annotated[int | None, typer.Option(help="0 background, 1 signal, where the file does not say.",
                                              show_default=False)] = None,
    labels: Annotated[Path | None, typer.Option(help="Text file with a 0 or 1 for each event: the key of a black box.",
                                                show_default=False)] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Bring a public file into qad's own format.

    In constant memory; every other command takes the public file too.

    Example:  qad data import top-tagging train.h5 -o top.h5

    Example:  qad data import auto ttbar_background.csv -o ttbar.h5 --process ttbar --label 0
    """
    from qad.data.convert import import_file

    with resumable(), progress("events") as bar:
        done = import_file(None if format == "auto" else format, file, out, process=process, label=label, labels=labels,
                           overwrite=overwrite, progress=row(bar, "import"))
    _converted(done, as_json)


@app.command("export")
def export(
    file: Annotated[Path, typer.Argument(help="Sample, ours or public.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write; its ending is the format's.")],
    format: Annotated[str, typer.Option("--format", help="Name of a format: see `qad data formats`.",
                                              autocompletion=complete.formats)],
    drop_weights: Annotated[bool, typer.Option("--drop-weights", help="Write weighted events without their weights.")] = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Write a sample in a public format, for other people's code.

    Example:  qad data export qcd.h5 -o qcd.root --format jetclass

    Example:  qad data export qcd.h5 -o qcd.parquet --format parquet
    """
    from qad.data.convert import export_file

    with resumable(), progress("events") as bar:
        done = export_file(file, format, out, overwrite=overwrite, drop_weights=drop_weights, progress=row(bar, "export"))
    _converted(done, as_json)


def _converted(done: Any, as_json: bool) -> None:
    if as_json:
        print(json.dumps({**vars(done), "out": str(done.out)}))
    else:
        print(f"{done.out}: {done.events:,} events, {_size(done.bytes)}, in {done.seconds:.1f} s; format {done.format}; "
              f"fingerprint of the sample {done.fingerprint[:16]}…")
        if done.lost:
            print(f"  not kept by {done.format}: {', '.join(done.lost)}")


@app.command("get")
def get(
    name: Annotated[str | None, typer.Argument(help="A data set, or one file of it: jetnet/t.hdf5. [default: list them]",
                                               show_default=False, autocompletion=complete.data_sets)] = None,
    folder: Annotated[Path | None, typer.Option("-o", "--out", help="Folder. [default: of the data set's name in $QAD_DATA or "
                                                "~/.cache/qad]", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Download a public data set, or list them.

    Only when asked, from a pinned place, resumed where it was cut off, checked.

    Example:  qad data get jetnet/t.hdf5
    """
    from qad.data import download

    if name is None and as_json:
        print(json.dumps([asdict(record) for record in download.records().values()]))
        return
    if name is None:
        for record in download.records().values():
            licence = record.licence or "licence: see the record"
            print(f"{record.name:<18} {record.title} ({record.paper}; {licence}; format {record.format or 'none'})")
            for file in record.files:
                size = f"{file.size / 1e6:,.0f} MB" if file.size else "size unknown"
                print(f"{'':<18}   {file.name or file.key or 'all files of record ' + file.record}: {file.holds} ({size})")
        return
    with resumable(), progress("bytes") as bar:
        rows: dict[str, Any] = {}

        def told(file: Any, done: int, total: int | None) -> None:
            rows.setdefault(str(file), row(bar, str(file)))(done, total)

        found = download.get(name, folder, progress=told)
    if as_json:
        print(json.dumps([{**asdict(file), "path": str(file.path)} for file in found]))
        return
    for file in found:
        how = "was there" if file.was_there else "fetched"
        print(f"{file.path}: {how}, {'checksum holds' if file.checked else 'md5 ' + file.md5}")


@app.command("show")
def show(
    file: Annotated[Path, typer.Argument(help="Sample, ours or public.")],
    index: Annotated[int, typer.Option("-i", "--index", min=0, help="Which event, from 0.")] = 0,
    out: Annotated[Path, typer.Option("-o", "--out", help="Picture: .png, .svg or .pdf.")] = Path("event.png"),
) -> None:
    """Draw one event: a jet (η–φ, Lund plane, image), objects, or features.

    Example:  qad data show top.h5 -i 3 -o jet.png
    """
    from qad.report.display import show as draw

    print(draw(file, index, out))


@app.command("validate")
def validate(
    a: Annotated[Path, typer.Argument(help="The reference.")],
    b: Annotated[Path, typer.Argument(help="The sample to hold against it.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Page to write.")] = Path("comparison.html"),
    as_json: AsJson = False,
) -> None:
    """Compare two samples: one page, and a verdict.

    Histograms with ratios, Wasserstein and Kolmogorov–Smirnov distances.

    Example:  qad data validate published.csv simulated.h5 -o comparison.html
    """
    from qad.report.comparison import validate as compare

    with progress("observables") as bar:
        page, found = compare(a, b, out, progress=row(bar, "compare"))
    if as_json:
        print(json.dumps({"page": str(page), **found.as_dict()}))
        return
    print(found.verdict)
    print(page.resolve())


@app.command("vary")
def vary(
    file: Annotated[Path, typer.Argument(help="The nominal sample.")],
    what: Annotated[str, typer.Option("--what", help="jet-energy-scale, jet-energy-resolution or met-smearing.",
                                         autocompletion=complete.variations)],
    parameter: Annotated[list[str], typer.Option("-p", "--param", help="NAME=VALUE, such as shift=0.02.")] = [],  # noqa: B006
    folder: Annotated[Path | None, typer.Option("-o", "--out", help="Folder. [default: beside the sample]",
                                                show_default=False)] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the smearing.")] = 0,
    drop_stale: Annotated[bool, typer.Option("--drop-stale", help="Leave out what cannot be worked out anew.")] = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Write the systematic twins of a sample.

    The same events with jets or missing momentum moved up and down.

    Example:  qad data vary dijets.h5 --what jet-energy-scale -p shift=0.02
    """
    from qad.data import systematics

    chosen = systematics.get(what, **parameters(parameter))
    with resumable(), progress("events") as bar:
        told = row(bar, what)
        paths = systematics.vary_file(file, chosen, folder, seed=seed, drop_stale=drop_stale, overwrite=overwrite,
                                      progress=lambda done: told(done, None))
    if as_json:
        print(json.dumps({"what": what, **vars(chosen), "files": {k: str(p) for k, p in paths.items()}}))
        return
    for direction, path in paths.items():
        settings = ", ".join(f"{k}={v:g}" for k, v in vars(chosen).items())
        print(f"{path}: {what} {direction}, {settings}")


@app.command("cluster")
def cluster(
    file: Annotated[Path, typer.Argument(help="Whole events, such as a low-level LHC Olympics file.")],
    out: Out,
    select: Annotated[list[str], typer.Option("-s", "--select", help="NAME=VALUE of the selection, such as pt_min=1200.")]
    = [],  # noqa: B006
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Cluster whole events into dijets.

    As `qad simulate dijets` does: m_jj, both jets' constituents, τ21.

    Example:  qad data cluster events_anomalydetection_v2.h5 -o dijets.h5
    """
    from qad.simulation import DijetSelection, cluster_file
    from qad.simulation.produce import chosen

    cuts = chosen(DijetSelection(), parameters(select), "dijets")
    with resumable(), progress("events") as bar:
        n = cluster_file(file, out, selection=cuts, overwrite=overwrite, progress=row(bar, "cluster"))
    print(json.dumps({"file": str(out), "events": n}) if as_json else f"{out}: {n:,} dijet events")
