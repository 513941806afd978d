"""Simulate samples: Pythia 8 → detector → FastJet → HDF5."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from qad.cli import complete
from qad.cli.screen import CORES, AsJson, Number, Out, Overwrite, Seed, Workers, parameters, progress, resumable, row
from qad.errors import InputError

app = typer.Typer(help="Simulate jets or events: Pythia 8 → detector → FastJet → sample.", no_args_is_help=True)
#: Options of a process are words of its card: --m-zprime 1500.
LOOSE = {"allow_extra_args": True, "ignore_unknown_options": True}


def _process(kind: str) -> Any:
    return typer.Option(help="See `qad simulate processes`; its own options follow as --NAME VALUE.",
                        autocompletion=complete.processes(kind))


JetProcess, EventProcess = Annotated[str, _process("jets")], Annotated[str, _process("events")]
Level1Process, DijetProcess = Annotated[str, _process("level1")], Annotated[str, _process("dijets")]
Select = Annotated[list[str], typer.Option("-s", "--select", help="NAME=VALUE of the selection, such as eta_max=1.5.")]
Mode = Annotated[str, typer.Option("--detector", help="particle, towers (0.1 × 0.1) or eflow (tracks and neutral energy).")]
CardName = Annotated[str, typer.Option("--card", help="Resolutions and efficiencies: atlas, cms or cms-phase2.")]
PileUp = Annotated[float, typer.Option(min=0, help="Mean number of minimum-bias events laid over each.")]


def _options(words: list[str]) -> dict[str, Any]:
    """``--r-inv 0.3 --m-dark=20`` as ``{"r_inv": 0.3, "m_dark": 20}``."""
    found: dict[str, Any] = {}
    left = list(words)
    while left:
        name, equals, value = left.pop(0).partition("=")
        if not name.startswith("--"):
            raise InputError(f"unexpected '{name}'; an option of the process is written --NAME VALUE, as in  --r-inv 0.3")
        if not equals:
            if not left:
                raise InputError(f"{name} has no value; an option of the process is written --NAME VALUE, as in  --r-inv 0.3")
            value = left.pop(0)
        found |= parameters([f"{name[2:].replace('-', '_')}={value}"])
    return found


def _produce(kind: str, context: typer.Context, process: str, n: int, seed: int, out: Path, workers: int, select: list[str],
             mode: str, card: str, pile_up: float, overwrite: bool, as_json: bool) -> None:
    from qad.data.store import describe
    from qad.simulation import Profile, Response, simulate

    profile, start = Profile(), time.perf_counter()
    options = _options(context.args)
    if out.suffix.lower() not in (".h5", ".hdf5"):
        raise InputError(f"{out}: a sample is HDF5; type  -o {out.with_suffix('.h5')}  (other formats: qad data export)")
    there = out.exists()
    with resumable(), progress(kind) as bar:
        simulate(kind, process, n, seed, out=out, workers=workers, overwrite=overwrite, profile=profile,
                 selection=parameters(select), response=Response(mode, card, pile_up), progress=row(bar, process), **options)
    seconds = time.perf_counter() - start
    made = any(profile.seconds.values()) or not there
    if as_json:
        print(json.dumps({"file": str(out), "n": n, "seconds": seconds, "profile": profile.seconds,
                          "fingerprint": describe(out)["fingerprint"]}))
    elif made:
        print(f"{out}: {n:,} {kind} of {process} in {seconds:.0f} s ({n / seconds:,.0f} {kind}/s); work: {profile}")
    else:
        print(f"{out}: these {n:,} {kind} already stand there")


@app.command("jets", context_settings=LOOSE)
def jets(context: typer.Context, process: JetProcess, out: Out, n: Number = 10_000, seed: Seed = 1, workers: Workers = CORES,
         select: Select = [], mode: Mode = "particle", card: CardName = "cms", pile_up: PileUp = 0.0,  # noqa: B006
         overwrite: Overwrite = False, as_json: AsJson = False) -> None:
    """Simulate large-radius jets, as the top-tagging reference has them.

    By default 550 < pT < 650 GeV, |η| < 2, anti-kT R = 0.8, 14 TeV.

    Example:  qad simulate jets --process qcd -n 20000 --seed 1 --workers 2 -o qcd.h5

    Example:  qad simulate jets --process svj --r-inv 0.6 -n 5000 --detector eflow -o svj.h5

    A killed run continues where it stopped.
    """
    _produce("jets", context, process, n, seed, out, workers, select, mode, card, pile_up, overwrite, as_json)


@app.command("events", context_settings=LOOSE)
def events(context: typer.Context, process: EventProcess, out: Out, n: Number = 10_000, seed: Seed = 1,
           workers: Workers = CORES, select: Select = [], overwrite: Overwrite = False, as_json: AsJson = False) -> None:  # noqa: B006
    """Simulate di-lepton top-pair events with seven features.

    As arXiv:2112.04958: 13 TeV, particle level.

    Example:  qad simulate events --process heavy_higgs --m-h 2500 --n 5000 -o higgs.h5

    A killed run continues where it stopped.
    """
    _produce("events", context, process, n, seed, out, workers, select, "particle", "cms", 0.0, overwrite, as_json)


@app.command("level1", context_settings=LOOSE)
def level1(context: typer.Context, process: Level1Process, out: Out, n: Number = 10_000, seed: Seed = 1,
           workers: Workers = CORES, select: Select = [], mode: Mode = "particle", card: CardName = "cms-phase2",  # noqa: B006
           pile_up: PileUp = 0.0, overwrite: Overwrite = False, as_json: AsJson = False) -> None:
    """Simulate level-1 events: MET, 4 electrons, 4 muons, 10 jets.

    As arXiv:2107.02157, 13 TeV.

    Example:  qad simulate level1 --process background -n 20000 -o background.h5

    `background` is the published mixture of W, QCD, Z and top pairs, with weights: docs/reference/level1.md. A killed
    run continues where it stopped.
    """
    _produce("level1", context, process, n, seed, out, workers, select, mode, card, pile_up, overwrite, as_json)


@app.command("dijets", context_settings=LOOSE)
def dijets(context: typer.Context, process: DijetProcess, out: Out, n: Number = 10_000, seed: Seed = 1,
           workers: Workers = CORES, select: Select = [], mode: Mode = "particle", card: CardName = "cms",  # noqa: B006
           pile_up: PileUp = 0.0, overwrite: Overwrite = False, as_json: AsJson = False) -> None:
    """Simulate dijet events like the LHC Olympics.

    m_jj, both jets' constituents, τ21; anti-kT R = 1.0, 13 TeV.

    Example:  qad simulate dijets --process wprime_xy --m-x 500 --m-y 100 -n 5000 -o signal.h5

    A killed run continues where it stopped.
    """
    _produce("dijets", context, process, n, seed, out, workers, select, mode, card, pile_up, overwrite, as_json)


@app.command("processes")
def processes(kind: Annotated[str | None, typer.Argument(help="jets, events, level1 or dijets. [default: all]",
                                                         show_default=False, autocompletion=complete.kinds)] = None,
              as_json: AsJson = False) -> None:
    """List what can be simulated, with the options of each process.

    Example:  qad simulate processes dijets
    """
    from qad.simulation import catalogue

    rows = [{**entry._asdict(), "options": {name: vars(option) for name, option in entry.options.items()}}
            for entry in catalogue(kind)]
    if as_json:
        print(json.dumps(rows))
        return
    width = max(len(r["process"]) for r in rows)
    for r in rows:
        print(f"{r['kind']:<7} {r['process']:<{width}}  {r['title']}")
        for name, option in r["options"].items():
            unit = f" [{option['unit']}]" if option["unit"] else ""
            print(f"{'':<{width + 10}}--{name.replace('_', '-')}{unit}, default {option['default']}: {option['meaning']}")
