"""Detectors: list, fit, score, look inside, take the circuit out, measure the engine."""

from __future__ import annotations

import json
import math
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from qad.cli import complete
from qad.cli.screen import AsJson, Backend, Trust, beside, one_line_warnings, parameters, progress, resumable, row
from qad.errors import InputError, NotConvergedWarning


def detectors(as_json: AsJson = False) -> None:
    """List all detectors: what they take, of what kind they are.

    Example:  qad detectors
    """
    from qad import detector

    rows = []
    for name in detector.names():
        try:
            cls = detector.find(name)
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


def fit(
    detector: Annotated[str, typer.Argument(help="Name of a detector; see `qad detectors`.",
                                            autocompletion=complete.detectors)],
    file: Annotated[Path, typer.Argument(help="Background sample.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the model.")],
    representation: Annotated[list[str], typer.Option("-r", "--representation", help="NAME or NAME:PARAMETER=VALUE,…; "
                              "several make a chain. [default: what suits the detector and the sample]",
                              autocompletion=complete.representations)] = [],  # noqa: B006
    parameter: Annotated[list[str], typer.Option("-p", "--param", help="NAME=VALUE of the detector, such as epochs=20 or "
                              "'hidden=[64, 64]', in quotes.")] = [],  # noqa: B006
    signal: Annotated[Path | None, typer.Option(help="Sample of signal (weak: the data), for detectors that are told labels.",
                                                show_default=False)] = None,
    systematic: Annotated[list[str], typer.Option(help="NAME or NAME:PARAMETER=VALUE,…: a variation, for detectors that "
                                                  "are trained on twins.", autocompletion=complete.variations)] = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """Fit a detector on background events and save it.

    Example:  qad fit quantum-autoencoder qcd.h5 -r constituents:n_particles=8 -p latent=2 -o model

    Example:  qad fit boosted-trees qcd.h5 --signal top.h5 -o trees

    Example:  qad fit adversarial-autoencoder qcd.h5 --systematic jet-energy-scale:shift=0.05 -o robust

    A killed training of a network goes on where it stopped (from MODEL.checkpoint, written every 10 s, deleted at
    the end). Encodings, ansätze and optimisers stand in docs/explanation/engine.md; a wrong name prints all that there are.
    """
    from qad import pipeline, representations
    from qad.data import systematics
    from qad.data.store import read
    from qad.persistence import check_target, save

    if Path(detector).is_file():
        raise InputError(f"{detector} is a file; expected the detector first, then the sample:  qad fit DETECTOR FILE -o MODEL")
    check_target(out)

    def named(text: str) -> tuple[str, dict[str, Any]]:
        name, _, rest = text.partition(":")
        return name, parameters(re.split(r",(?![^\[]*\])", rest) if rest else [])

    chain = [representations.get(name, **given) for name, given in map(named, representation)]
    varied = {text.partition(":")[0]: systematics.get(name, **given)
              for text, (name, given) in zip(systematic, map(named, systematic), strict=True)}
    sample, more = read(file), None if signal is None else read(signal)
    start = time.perf_counter()
    checkpoint = beside(out, "checkpoint")
    for kept in sorted(checkpoint.parent.glob(f"{checkpoint.name}*")):  # of the detector, and of an embedding in front of it
        print(f"qad: note: going on from {kept}", file=sys.stderr)
    with resumable(checkpoint), progress("epochs") as bar, one_line_warnings() as warned:
        model = pipeline.fit(detector, sample, chain, progress=row(bar, detector), checkpoint=checkpoint, signal=more,
                             systematics=varied, **parameters(parameter))
    told = {} if more is None else {"signal": {"file": str(signal), "fingerprint": more.fingerprint, "events": len(more)}}
    save(model, out, trained_on={"file": str(file), "fingerprint": sample.fingerprint, "events": len(sample), **told})
    seconds, fitted = time.perf_counter() - start, pipeline.parts(model)[1]
    notes = getattr(fitted, "diagnostics_", {})
    if as_json:
        print(json.dumps({"model": str(out), "detector": detector, "events": len(sample), "fingerprint": sample.fingerprint,
                          "seconds": seconds, "parameters": getattr(fitted, "parameters_", None),
                          "converged": notes.get("converged")}))
        return
    print(f"{out}: {detector} fitted on {len(sample):,} events in {seconds:.1f} s; "
          f"score with  qad score {out} FILE -o scores.csv")
    said = _convergence(notes)
    if said.startswith("converged"):
        print(said)
    elif said and NotConvergedWarning not in warned:  # most detectors have said so themselves
        print(f"qad: note: {detector} has {said}", file=sys.stderr)


#: Numbers of an energy model's training: name, key and form.
TRAINED = (("E₋/E₊", "energy_ratio", ".3f"), ("acceptance", "acceptance", ".2f"), ("at the bounds", "at_bounds", ".2%"),
           ("Wasserstein distance to data", "wasserstein", ".3g"), ("between halves of the data", "wasserstein_fresh", ".3g"))


def _convergence(found: dict[str, Any]) -> str:
    """What a detector says of its training: ``converged: `` its numbers, ``not converged: `` why; empty if it says nothing."""
    problems, numbers = found.get("problems") or [], []
    if "energy_data" in found:
        numbers = [f"{name} {found[key]:{form}}" for name, key, form in TRAINED
                   if isinstance(found.get(key), float) and math.isfinite(found[key])]
    match found.get("converged"):
        case True:
            return ": ".join(["converged", *filter(None, [", ".join(numbers)])])
        case False:
            return ": ".join(["not converged", *filter(None, ["; ".join(map(str, problems))])])
        case _:
            return ""


def score(
    model: Annotated[Path, typer.Argument(help="Folder that `qad fit` wrote, or the model folder of a run.")],
    file: Annotated[Path, typer.Argument(help="Sample to score.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="scores.csv or scores.npz")],
    backend: Backend = None,
    noise: Annotated[str | None, typer.Option(help="With aer: a snapshot such as fake_torino, or rates such as "
                                              "t1=1e-4,error_2q=0.01,readout=0.02.", show_default=False,
                                              autocompletion=complete.snapshots)] = None,
    shots: Annotated[int | None, typer.Option(min=1, help="Shots of an event. [default: the exact distribution]",
                                              show_default=False)] = None,
    option: Annotated[list[str], typer.Option(help="NAME=VALUE of the backend, such as device=lightning.qubit, "
                                              "mitigation=readout or machine=fake_torino.")] = [],  # noqa: B006
    seed: Annotated[int, typer.Option(min=0, help="Of the shots.")] = 0,
    trust: Trust = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """Score events with a fitted detector: higher = more anomalous.

    Example:  qad score model top.h5 -o scores.csv

    Example:  qad score model top.h5 -o noisy.csv --backend aer --noise fake_torino --shots 4096
    """
    from qad import detector, pipeline

    where = None
    if backend is not None:
        from qad.quantum import backends

        options = parameters(option)
        if noise is not None:
            options["noise"] = parameters(re.split(r",(?![^\[]*\])", noise)) if "=" in noise else noise
        with one_line_warnings():
            where = backends.get(backend, **options)
    elif noise is not None or shots is not None or option:
        raise InputError("--noise, --shots and --option go with --backend: type  --backend aer")
    with progress("events") as bar, one_line_warnings():
        scores, speed = pipeline.score(model, file, out, {name: detector.find(name) for name in trust}, where, shots, seed,
                                       row(bar, backend or "score"))
    if as_json:
        print(json.dumps({"scores": str(out), "events": len(scores), "median": float(sorted(scores)[len(scores) // 2]),
                          "events_per_second": speed, "backend": backend, "shots": shots}))
        return
    print(f"{out}: {len(scores):,} scores, median {sorted(scores)[len(scores) // 2]:.6g}, {speed:,.0f} events/s")


def diagnose(
    model: Annotated[Path, typer.Argument(help="Folder that `qad fit` wrote.")],
    file: Annotated[Path | None, typer.Argument(help="Background sample. [default: the one it was trained on]")] = None,
    events: Annotated[int, typer.Option(min=2, help="How many events to look at.")] = 500,
    as_json: AsJson = False,
) -> None:
    """What limits a quantum autoencoder: encoding, ansatz or training.

    Distance to its ceiling, dead weights, spectrum of ρ̄, variance of gradients, entanglement.

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
    with progress("circuits") as bar:
        found = look(detector, array, events, progress=row(bar, "diagnose"))
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


def circuit(
    model: Annotated[Path, typer.Argument(help="Folder that `qad fit` wrote.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="File to write. [default: print]")] = None,
) -> None:
    """The circuit of a trained quantum autoencoder, as OpenQASM 3.

    Trash qubits are measured; data are its inputs x_0, x_1, …

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


def speed(
    section: Annotated[list[str], typer.Argument(help="training, batch, scoring, size, noise, start. [default: all]",
                                                 show_default=False, autocompletion=complete.sections)] = [],  # noqa: B006
    plot: Annotated[Path | None, typer.Option(help="Also take the cost against qubits, parameters and events, and draw it here "
                                                   "(.png, .svg).")] = None,
    device: Annotated[str, typer.Option(help="Where ours runs: cpu or cuda.")] = "cpu",
    as_json: AsJson = False,
) -> None:
    """Measure the engine against PennyLane, in ratios: three minutes.

    In the same process and run, on 2 cores.

    Example:  qad speed

    Example:  qad speed scoring --json
    """
    from qad.quantum import speed as measured
    from qad.report.plots import check_picture, cost_curves

    if plot:
        check_picture(plot)  # before the minutes are spent
    with progress("parts") as bar:
        rows = measured.measure(section, device, row(bar, "speed"))
        curves = measured.curves(device, row(bar, "curves")) if plot else {}
    if plot:
        cost_curves(curves, plot)
    if as_json:
        print(measured.as_json(rows, curves=curves))
        return
    where = measured.machine()
    print(f"{where['processor']}, {where['cores']} cores, {where['threads']} threads; "
          + ", ".join(f"{k} {v}" for k, v in where["versions"].items()))
    for found in rows:
        sign = "≥" if found.better == "more" else "≤"
        missed = "" if found.reached else "  MISSED"
        print(f"{found.work:<55} {found.value:>13,.4g} {found.unit:<9} target {sign} {found.target:,g}{missed}")
        print(f"    {found.how}")
    if plot:
        print(plot)
