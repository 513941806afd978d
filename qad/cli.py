"""The command line: each command parses, calls one documented function, prints."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qad.errors import InputError, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

app = typer.Typer(
    help="Quantum autoencoders for anomaly detection at the LHC, judged beside the best classical detectors.\n\n"
         "Start with:  qad benchmark quick",
    no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="markdown",
)
simulate = typer.Typer(help="Simulate jets or events: Pythia 8 → FastJet → sample.", no_args_is_help=True)
data = typer.Typer(help="Look at samples.", no_args_is_help=True)
hardware = typer.Typer(help="Run circuits on quantum computers: jobs that survive a closed laptop.", no_args_is_help=True)
app.add_typer(simulate, name="simulate")
app.add_typer(data, name="data")
app.add_typer(hardware, name="hardware")


def _version(wanted: bool) -> None:
    if wanted:
        from qad import __version__

        print(f"qad {__version__}")
        raise typer.Exit


@app.callback()
def _options(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")]
             = False) -> None:
    return


Out = Annotated[Path, typer.Option("-o", "--out", help="HDF5 file to write.")]
Number = Annotated[int, typer.Option("-n", "--n", min=1, help="How many to simulate, after selection.")]
Seed = Annotated[int, typer.Option(help="Same seed, same bits, with any number of workers.")]
Workers = Annotated[int, typer.Option(min=1, help="Processes. [default: all cores]", show_default=False)]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the file if it holds something else.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
CORES = os.cpu_count() or 1


def main() -> None:
    """Entry point: a mistake is one sentence on stderr and exit code 2, an interruption 130."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # module:Class finds what lies here, after everything installed
    try:
        app()
    except (InputError, MissingExtra) as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename or 'the file system'}: {error.strerror or error}")
    except Exception as error:
        if os.environ.get("QAD_TRACEBACK"):
            raise
        print(f"qad: unexpected {type(error).__name__}: {' '.join(str(error).split())}; set QAD_TRACEBACK=1 to see where, and "
              "report it if your input is sound", file=sys.stderr)
        sys.exit(1)


def _fail(sentence: str) -> None:
    print(f"qad: {sentence}", file=sys.stderr)
    sys.exit(2)


@contextmanager
def _resumable(checkpoint: Path | None = None) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        if checkpoint is None or checkpoint.exists():
            said = "stopped; what is finished is kept, and the same command does the rest"
        else:
            said = "stopped before anything was kept (a training writes every 10 s); the same command begins anew"
        print(f"\nqad: {said}", file=sys.stderr)
        raise typer.Exit(130) from None


@contextmanager
def _one_line_warnings() -> Iterator[None]:
    import warnings

    def show(message: Any, category: type[Warning], *_: Any, **__: Any) -> None:
        print(f"qad: note: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def _beside(folder: Path, suffix: str) -> Path:
    return folder.with_name(f"{folder.name}.{suffix}")


@contextmanager
def _progress(unit: str) -> Iterator[Any]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Any) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:,.1f} {unit}/s")

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(),
               TimeRemainingColumn(compact=True, elapsed_when_finished=True))
    bar = Progress(*columns, console=console, speed_estimate_period=120)
    try:
        yield bar  # started by its first row: a mistake found before any work leaves no empty line
    finally:
        if bar.live.is_started:
            bar.stop()


def _row(bar: Any, name: str) -> Callable[[int, int], None]:
    """A row of the progress display that appears with the first thing it is told."""
    task = None

    def update(done: int, total: int) -> None:
        nonlocal task
        bar.start()
        task = bar.add_task(name) if task is None else task
        bar.update(task, completed=done, total=total)

    return update


def _produce(kind: str, process: str, n: int, seed: int, out: Path, workers: int, overwrite: bool, as_json: bool,
             options: dict[str, float | None]) -> None:
    from qad.data.store import describe
    from qad.simulation import produce

    function = produce.simulate_jets if kind == "jets" else produce.simulate_events
    profile, start = produce.Profile(), time.perf_counter()
    with _resumable(), _progress(kind) as bar:
        function(process, n, seed, out=out, workers=workers, overwrite=overwrite, profile=profile,
                 progress=_row(bar, process), **{k: v for k, v in options.items() if v is not None})
    seconds = time.perf_counter() - start
    made = any(profile.seconds.values())
    if as_json:
        print(json.dumps({"file": str(out), "n": n, "seconds": seconds, "profile": profile.seconds,
                          "fingerprint": describe(out)["fingerprint"]}))
    elif made:
        print(f"{out}: {n:,} {kind} of {process} in {seconds:.0f} s ({n / seconds:,.0f} {kind}/s); work: {profile}")
    else:
        print(f"{out}: these {n:,} {kind} already stand there")


@simulate.command("jets")
def simulate_jets(
    process: Annotated[str, typer.Option(help="qcd, top, w, z, higgs_bb or svj.")],
    out: Out,
    n: Number = 10_000,
    seed: Seed = 1,
    workers: Workers = CORES,
    m_zprime: Annotated[float | None, typer.Option(help="svj: mass of the Z' [GeV].")] = None,
    m_dark: Annotated[float | None, typer.Option(help="svj: mass of the dark mesons [GeV].")] = None,
    r_inv: Annotated[float | None, typer.Option(help="svj: fraction of dark mesons that decay invisibly.")] = None,
    lambda_dark: Annotated[float | None, typer.Option(help="svj: dark confinement scale Λ [GeV].")] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Simulate large-radius jets, 550 < pT < 650 GeV, |η| < 2, anti-kT R = 0.8, 14 TeV.

    Example:  qad simulate jets --process qcd --n 20000 --seed 1 --workers 2 -o qcd.h5

    A killed run continues where it stopped.
    """
    _produce("jets", process, n, seed, out, workers, overwrite, as_json,
             {"m_zprime": m_zprime, "m_dark": m_dark, "r_inv": r_inv, "lambda_dark": lambda_dark})


@simulate.command("events")
def simulate_events(
    process: Annotated[str, typer.Option(help="ttbar or heavy_higgs.")],
    out: Out,
    n: Number = 10_000,
    seed: Seed = 1,
    workers: Workers = CORES,
    m_h: Annotated[float | None, typer.Option(help="heavy_higgs: mass of the heavy Higgs boson [GeV].")] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Simulate di-lepton top-pair events with the seven features of arXiv:2112.04958, 13 TeV.

    Example:  qad simulate events --process heavy_higgs --m-h 2500 --n 5000 -o higgs.h5

    A killed run continues where it stopped.
    """
    _produce("events", process, n, seed, out, workers, overwrite, as_json, {"m_h": m_h})


@data.command("info")
def data_info(file: Path, as_json: AsJson = False) -> None:
    """Counts, units, provenance and fingerprint of a sample, ours or in a public format (.csv).

    Example:  qad data info qcd.h5
    """
    from qad.data.store import describe

    info = describe(file)
    if as_json:
        print(json.dumps(info))
        return
    counts = ", ".join(f"{v:,} {k}" for k, v in info["process"].items())
    labels = ", ".join(f"{v:,} {({0: 'background', 1: 'signal', -1: 'unknown'})[k]}" for k, v in info["label"].items())
    units = ", ".join(f"{k} [{u}]" if u else k for k, u in info["particle_columns"].items())
    features = ", ".join(f"{k} [{u}]" if u else k for k, u in info["features"].items()) or "none"
    print(f"{info['file']}  {info['bytes'] / 1e6:.1f} MB")
    print(f"events       {info['events']:,}: {counts} ({labels})")
    print(f"particles    {info['particles_per_event']:.1f} per event on average; {units}")
    print(f"features     {features}")
    for name, text in info["arrays"].items():
        print(f"  {name:<28} {text}")
    for key, value in info["meta"].items():
        if key != "card":
            print(f"{key:<18} {value}")
    for line in info["meta"].get("card", []):
        print(f"  card  {line}")
    holds = {True: "intact", False: "DOES NOT MATCH THE EVENTS", None: "of the events as read; the file carries none"}
    print(f"fingerprint  {info['fingerprint']}  {holds[info['intact']]}")
    if info["intact"] is False:
        raise typer.Exit(1)


@app.command()
def detectors(as_json: AsJson = False) -> None:
    """List all detectors: what they take, what kind they are, what they do.

    Example:  qad detectors
    """
    from qad import registry

    rows = []
    for name in registry.names(registry.DETECTORS):
        try:
            cls = registry.find(registry.DETECTORS, name)
        except InputError as error:  # another package's broken entry point must not hide the others
            rows.append({"name": name, "kind": "broken", "takes": "", "summary": str(error)})
            continue
        rows.append({"name": name, "kind": cls.kind, "takes": cls.takes, 
                     "summary": (cls.__doc__ or "").partition("\n")[0].replace("``", "")})
    if as_json:
        print(json.dumps(rows))
        return
    width = max(len(r["name"]) for r in rows)
    for r in sorted(rows, key=lambda r: (r["kind"], r["name"])):
        print(f"{r['name']:<{width}}  {r['kind']:<9}  {r['takes']:<9}  {r['summary']}")


def _parameters(pairs: list[str]) -> dict[str, Any]:
    import yaml

    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise InputError(f"expected NAME=VALUE, got '{pair}'")
        try:
            found[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise InputError(f"'{value}' is not a number, word or list") from None
        if isinstance(found[name], str) and re.fullmatch(r"[-+]?\d+(\.\d*)?e[-+]?\d+", value, re.IGNORECASE):
            found[name] = float(value)  # YAML wants a point and a sign in 1.0e-4
    return found


@app.command()
def fit(
    detector: Annotated[str, typer.Argument(help="Name of a detector; see `qad detectors`.")],
    file: Annotated[Path, typer.Argument(help="Background sample.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the model.")],
    representation: Annotated[list[str], typer.Option("-r", "--representation", help="NAME or NAME:PARAMETER=VALUE,…; "
                              "several make a chain. [default: what suits the detector and the sample]")] = [],  # noqa: B006
    parameter: Annotated[list[str], typer.Option("-p", "--param", help="NAME=VALUE of the detector.")] = [],  # noqa: B006
) -> None:
    """Fit a detector on background events and save it.

    Example:  qad fit quantum-autoencoder qcd.h5 -r constituents:n_particles=8 -p latent=2 -o model

    A killed training of a quantum autoencoder goes on where it stopped (from MODEL.checkpoint, written every 10 s, deleted at
    the end). Encodings, ansätze and optimisers stand in docs/engine.md; a wrong name prints all that there are.
    """
    from qad import pipeline, representations
    from qad.data.store import read
    from qad.persistence import check_target, save

    check_target(out)
    chain = []
    for text in representation:
        name, _, rest = text.partition(":")
        chain.append(representations.get(name, **_parameters(re.split(r",(?![^\[]*\])", rest) if rest else [])))
    sample = read(file)
    start = time.perf_counter()
    checkpoint = _beside(out, "checkpoint")
    if checkpoint.exists():
        print(f"qad: note: going on from {checkpoint}", file=sys.stderr)
    with _resumable(checkpoint), _progress("epochs") as bar, _one_line_warnings():
        model = pipeline.fit(detector, sample, chain, progress=_row(bar, detector), checkpoint=checkpoint,
                             **_parameters(parameter))
    save(model, out, trained_on={"file": str(file), "fingerprint": sample.fingerprint, "events": len(sample)})
    print(f"{out}: {detector} fitted on {len(sample):,} events in {time.perf_counter() - start:.1f} s; "
          f"score with  qad score {out} FILE -o scores.csv")


@app.command()
def score(
    model: Annotated[Path, typer.Argument(help="Folder that `qad fit` wrote, or the model folder of a run.")],
    file: Annotated[Path, typer.Argument(help="Sample to score.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="scores.csv or scores.npz")],
    backend: Annotated[str | None, typer.Option(help="Measure the circuit on exact, pennylane, aer or ibm. [default: the "
                                                "model's own exact score]", show_default=False)] = None,
    noise: Annotated[str | None, typer.Option(help="With aer: a snapshot such as fake_torino, or rates such as "
                                              "t1=1e-4,error_2q=0.01,readout=0.02.", show_default=False)] = None,
    shots: Annotated[int | None, typer.Option(min=1, help="Shots of an event. [default: the exact distribution]",
                                              show_default=False)] = None,
    option: Annotated[list[str], typer.Option(help="NAME=VALUE of the backend, such as device=lightning.qubit, "
                                              "mitigation=readout or machine=fake_torino.")] = [],  # noqa: B006
    seed: Annotated[int, typer.Option(min=0, help="Of the shots.")] = 0,
    trust: Annotated[list[str], typer.Option(help="module:Class that the model may use besides the registered ones.")] = [],  # noqa: B006
) -> None:
    """Score events with a fitted detector: higher = more anomalous.

    Example:  qad score model top.h5 -o scores.csv

    Example:  qad score model top.h5 -o noisy.csv --backend aer --noise fake_torino --shots 4096
    """
    from qad import detector, pipeline

    where = None
    if backend is not None:
        from qad.quantum import backends

        options = _parameters(option)
        if noise is not None:
            options["noise"] = _parameters(re.split(r",(?![^\[]*\])", noise)) if "=" in noise else noise
        with _one_line_warnings():
            where = backends.get(backend, **options)
    elif noise is not None or shots is not None or option:
        raise InputError("--noise, --shots and --option go with --backend: type  --backend aer")
    with _progress("events") as bar, _one_line_warnings():
        scores, speed = pipeline.score(model, file, out, {name: detector.find(name) for name in trust}, where, shots, seed,
                                       _row(bar, backend) if backend else None)
    print(f"{out}: {len(scores):,} scores, median {sorted(scores)[len(scores) // 2]:.6g}, {speed:,.0f} events/s")


@app.command()
def diagnose(
    model: Annotated[Path, typer.Argument(help="Folder that `qad fit` wrote.")],
    file: Annotated[Path | None, typer.Argument(help="Background sample. [default: the one it was trained on]")] = None,
    events: Annotated[int, typer.Option(min=2, help="How many events to look at.")] = 500,
    as_json: AsJson = False,
) -> None:
    """What limits a quantum autoencoder: distance to its ceiling, dead weights, spectrum of ρ̄, gradients, entanglement.

    Example:  qad diagnose model qcd.h5
    """
    from qad import persistence, pipeline
    from qad.data.store import iter_chunks
    from qad.quantum.diagnose import diagnose as look

    loaded = persistence.load(model)
    name = file or Path(persistence.load_notes(model).get("trained_on", {}).get("file", ""))
    if not name.is_file():
        raise InputError(f"{name} is not there: give the sample to look at, as in  qad diagnose {model} FILE")
    steps, detector = pipeline.parts(loaded)
    array: Any = next(iter_chunks(name))[:events]
    for step in steps:
        array = step.transform(array)
    found = look(detector, array, events)
    print(json.dumps(found) if as_json else "\n".join(_diagnosis(found)))


def _diagnosis(found: dict[str, Any]) -> Iterator[str]:
    def numbers(values: dict[Any, float]) -> str:
        return ", ".join(f"{k}: {v if abs(v) > 1e-12 else 0:.3g}" for k, v in values.items())

    yield f"circuit        {found['qubits']} qubits, {found['latent']} latent; looked at {found['events']:,} events"
    yield f"loss           {numbers(found['loss'])}"
    yield (f"parameters     {found['parameters']}, of which {found['effective_parameters']} directions change a score; "
           f"rank of the metric {found['metric_rank']}")
    yield f"dead           {', '.join(found['dead']) or 'none'}"
    values = found["spectrum"]["eigenvalues"]
    yield (f"mean state     purity {found['spectrum']['purity']:.4f}, entropy {found['spectrum']['entropy']:.3f} bits; "
           "eigenvalues " + " ".join(f"{v:.2g}" for v in values[:8]) + (" …" if len(values) > 8 else ""))
    yield f"entanglement   {numbers(found['entanglement'])}  (Meyer-Wallach, 0 to 1)"
    if found["magic"]:
        yield f"magic          {numbers(found['magic'])}  (stabiliser 2-Rényi entropy, bits)"
    variance = found["gradient_variance"]
    if variance["qubits"]:
        slope = f"; {variance['slope_per_qubit']:+.2f} powers of two a qubit" if "slope_per_qubit" in variance else ""
        yield f"gradient var.  by qubits {numbers(variance['qubits'])}{slope}"
    if variance["layers"]:
        yield f"{'' if variance['qubits'] else 'gradient var.':<15}by layers {numbers(variance['layers'])}"
    yield found["verdict"]


@app.command()
def circuit(
    model: Annotated[Path, typer.Argument(help="Folder that `qad fit` wrote.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="File to write. [default: print]")] = None,
) -> None:
    """The circuit of a trained quantum autoencoder as OpenQASM 3, trash qubits measured; data are its inputs x_0, x_1, …

    Example:  qad circuit model -o model.qasm

    For Qiskit and PennyLane, and the table of inputs for your events: qad.quantum.export in Python.
    """
    from qad import persistence, pipeline
    from qad.quantum.export import openqasm3

    _, detector = pipeline.parts(persistence.load(model))
    if not hasattr(detector, "exported"):
        raise InputError(f"{model} holds a {type(detector).__name__}: there is no circuit in it")
    text = openqasm3(*detector.exported())
    if out is None:
        print(text)
    else:
        persistence.atomic_write(out, text)
        print(f"{out}: {len(text.splitlines())} lines of OpenQASM 3")


@app.command()
def speed(
    section: Annotated[list[str], typer.Argument(help="training, batch, scoring, size, noise. [default: all]")] = [],  # noqa: B006
    plot: Annotated[Path | None, typer.Option(help="Also take the cost against qubits, parameters and events, and draw it here "
                                                   "(.png, .svg).")] = None,
    device: Annotated[str, typer.Option(help="Where ours runs: cpu or cuda.")] = "cpu",
    as_json: AsJson = False,
) -> None:
    """Measure the engine against PennyLane, in the same process and run; about three minutes on 2 cores.

    Example:  qad speed  (or  qad speed scoring --json)
    """
    from qad.quantum import speed as measured
    from qad.report.plots import check_picture, cost_curves

    if plot:
        check_picture(plot)  # before the minutes are spent
    with _progress("parts") as bar:
        rows = measured.measure(section, device, _row(bar, "speed"))
        curves = measured.curves(device, _row(bar, "curves")) if plot else {}
    if plot:
        cost_curves(curves, plot)
    if as_json:
        print(measured.as_json(rows, curves=curves))
        return
    where = measured.machine()
    print(f"{where['processor']}, {where['cores']} cores, {where['threads']} threads; "
          + ", ".join(f"{k} {v}" for k, v in where["versions"].items()))
    for row in rows:
        sign = "≥" if row.better == "more" else "≤"
        missed = "" if row.reached else "  MISSED"
        print(f"{row.work:<55} {row.value:>13,.4g} {row.unit:<9} target {sign} {row.target:,g}{missed}")
        print(f"    {row.how}")
    if plot:
        print(plot)


class _Screen:
    """Draws what the runner tells."""

    def __init__(self, bar: Any) -> None:
        self.bar = bar
        self.failures: list[str] = []

    def simulating(self, name: str) -> Any:
        return _row(self.bar, f"simulate {name}")

    def planned(self, total: int, missing: int) -> None:
        self.models = _row(self.bar, "train and score models")
        self.total, self.done = total, total - missing
        self.models(self.done, total)

    def finished(self, cell: Any, seconds: float, failure: str | None) -> None:
        self.done += 1
        self.models(self.done, self.total)
        if failure:
            self.failures.append(f"{cell.train}/{cell.representation}/{cell.spec.label}, seed {cell.seed}: {failure}")


@app.command()
def benchmark(
    study: Annotated[str, typer.Argument(help="Name of a study (quick, full), or a YAML file of your own.")],
    runs: Annotated[Path, typer.Option(help="Folder for runs.")] = Path("runs"),
    data_folder: Annotated[Path, typer.Option("--data", help="Folder for simulated samples, and of files that the study "
                                                       "names.")] = Path("data"),
    workers: Workers = CORES,
    report: Annotated[bool, typer.Option(help="Write the report at the end.")] = True,
) -> None:
    """Run a study: simulate what is missing, train what is missing, write the report.

    Example:  qad benchmark quick

    Started again after a kill it does the rest and nothing twice.
    """
    from qad.benchmark import load_study, run_study

    chosen = load_study(study)
    with _resumable(), _progress("") as bar:
        screen = _Screen(bar)
        root = run_study(chosen, runs, data_folder, workers=workers, reporter=screen)
    for failure in screen.failures:
        print(f"qad: failed: {failure}", file=sys.stderr)
    if report:
        _report(root)
    else:
        print(root)
    if screen.failures:
        raise typer.Exit(1)


def _report(runs: Path) -> None:
    from qad.report import write_report

    path, verdict = write_report(runs)
    print(verdict.headline)
    for sentence in verdict.sentences:
        print(f"  {sentence}")
    print(path.resolve())


@app.command()
def report(
    runs: Annotated[Path, typer.Argument(help="Folder of a study's runs, such as runs/quick.")],
    form: Annotated[str, typer.Option("--format", help="html, or markdown: one table on the screen, for a page of documents.")]
    = "html",
    metric: Annotated[str, typer.Option(help="With markdown: auc, rejection_03, rejection_05 or max_sic.")] = "auc",
    train: Annotated[str | None, typer.Option(help="With markdown: one background only. [default: all]",
                                              show_default=False)] = None,
) -> None:
    """Write report.html and results.csv from runs; or print a table. Metrics are recomputed from raw scores.

    Example:  qad report runs/quick

    Example:  qad report runs/quick --format markdown --metric rejection_03
    """
    if form == "markdown":
        from qad.report import as_markdown

        print(as_markdown(runs, metric, train))
    elif form != "html":
        _fail(f"expected --format html or markdown; got {form}")
    elif metric != "auc" or train is not None:
        _fail("--metric and --train go with --format markdown; the page shows every metric and background")
    else:
        _report(runs)


Trust = Annotated[list[str], typer.Option(help="module:Class that the model may use besides the registered ones.")]
Jobs = Annotated[Path, typer.Argument(help="Folder of a submission.")]
Grace = Annotated[float, typer.Option(min=0, help="How long the service is asked for a job that it may have taken, before that "
                                                  "is sent again [s].")]


@hardware.command("submit")
def hardware_submit(
    model: Annotated[Path | None, typer.Argument(help="Folder that `qad fit` wrote, or the model folder of a run. Without it "
                                                      "the submission in --out goes on.")] = None,
    file: Annotated[Path | None, typer.Option("--data", help="Sample to score.")] = None,
    backend: Annotated[str | None, typer.Option(help="fake_torino, … (simulated here), or one of your IBM account.")] = None,
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
    """Send events through a trained circuit on a quantum computer; returns when the jobs are queued.

    Example:  qad hardware submit model --data top.h5 --backend fake_torino --events 500 -o jobs/run1

    After a kill, the same command goes on; no job is sent twice. The IBM account is the one that you saved with Qiskit Runtime.
    """
    from dataclasses import asdict

    from qad import detector
    from qad import hardware as jobs

    classes = {name: detector.find(name) for name in trust}
    settings = {"shots": shots, "events": events, "chunk": chunk, "mode": mode, "mitigation": mitigation, "seed": seed,
                "options": _parameters(option)}
    with _resumable(), _progress("chunks") as bar, _one_line_warnings():
        if model is None and out is not None and not dry_run:
            found = jobs.resume(out, max_seconds=max_seconds, retry=retry, grace=grace, progress=_row(bar, "submit"))
        elif model is None or file is None or backend is None or (out is None and not dry_run):
            raise InputError("expected MODEL, --data, --backend and --out, as in  qad hardware submit model --data top.h5 "
                             "--backend fake_torino -o jobs/run1 ; or --out alone, to go on")
        elif dry_run:
            found = jobs.dry_run(model, file, backend, classes=classes, **settings)
        else:
            found = jobs.submit(model, file, backend, out, max_seconds=max_seconds, retry=retry, grace=grace, classes=classes,
                                progress=_row(bar, "submit"), **settings)
    print(json.dumps(asdict(found) if dry_run else found.as_dict()) if as_json else found)


@hardware.command("status")
def hardware_status(folder: Jobs, as_json: AsJson = False) -> None:
    """Where the jobs of a submission stand, what they have cost, and what to type next. Changes nothing.

    Example:  qad hardware status jobs/run1
    """
    from qad import hardware as jobs

    found = jobs.status(folder)
    print(json.dumps(found.as_dict()) if as_json else found)
    if found.problem:
        print(f"qad: note: {found.problem}", file=sys.stderr)


@hardware.command("fetch")
def hardware_fetch(
    folder: Jobs,
    wait: Annotated[bool, typer.Option("--wait", help="Until no job is queued or running.")] = False,
    poll: Annotated[float, typer.Option(min=0, help="With --wait: ask so often [s].")] = 10.0,
    grace: Grace = 60.0,
    trust: Trust = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """Fetch what is done and write FOLDER/scores.csv: event, score, error from shots. May be called again and again.

    Example:  qad hardware fetch jobs/run1

    Works on a copy of the folder on another computer too. Jobs on a snapshot run now.
    """
    from qad import detector
    from qad import hardware as jobs

    classes = {name: detector.find(name) for name in trust}
    with _resumable(), _progress("events") as bar, _one_line_warnings():
        found = jobs.fetch(folder, wait, poll=poll, grace=grace, classes=classes, progress=_row(bar, "fetch"))
    print(json.dumps(found.as_dict()) if as_json else found)


@app.command()
def doctor() -> None:
    """Check the installation and say what to do.

    Example:  qad doctor
    """
    from importlib.metadata import PackageNotFoundError, version

    needed = {"": ("numpy", "scipy", "scikit-learn", "numba", "torch", "h5py", "pennylane", "qiskit", "qiskit-aer"),
              "simulation": ("pythia8mc", "fastjet", "awkward", "vector"), "ibm": ("qiskit-ibm-runtime",)}
    healthy = True
    for extra, packages in needed.items():
        for package in packages:
            try:
                print(f"ok       {package} {version(package)}")
            except PackageNotFoundError:
                healthy = healthy and bool(extra)
                name = f"qad-hep[{extra}]" if extra else "qad-hep"
                print(f"missing  {package}: type  pip install '{name}'")
    import torch

    gpu = f"ok       GPU {torch.cuda.get_device_name()}" if torch.cuda.is_available() else None
    print(gpu or "note     no GPU: everything runs on the CPU")
    if healthy:
        from qad.quantum.backends.account import present

        where = present()
        print(f"ok       IBM account in {where}" if where else
              "note     no IBM account: snapshots (fake_torino) need none; to save one: QiskitRuntimeService.save_account")
    if not healthy:
        raise typer.Exit(1)
