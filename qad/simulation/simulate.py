"""Simulate a sample in one call: a function for each kind, and one for all."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from qad.data.sample import Sample
from qad.errors import InputError, did_you_mean
from qad.simulation import cards, mixture
from qad.simulation.mixture import BACKGROUND, simulate_level1
from qad.simulation.produce import KINDS, Profile, Progress, Selection, job_of, make_sample
from qad.simulation.respond import Response


class Entry(NamedTuple):
    """Something that can be simulated."""

    kind: str
    process: str
    title: str
    options: Mapping[str, cards.Option]


def catalogue(kind: str | None = None) -> list[Entry]:
    """All that can be simulated, or all of one kind. Raises :class:`InputError` for an unknown kind."""
    if kind is not None and kind not in KINDS:
        raise InputError(did_you_mean(kind, KINDS, "kind of sample"))
    mixtures = [Entry("level1", BACKGROUND, mixture.TITLE, mixture.OPTIONS)]
    found = [Entry(k, p, cards.title(p), cards.card_options(p)) for k in KINDS for p in cards.processes(k)]
    return [entry for entry in (*mixtures, *found) if kind in (None, entry.kind)]


def simulate(kind: str, process: str, n: int, seed: int = 1, *, out: str | Path | None = None, workers: int = 1,
             selection: Selection | Mapping[str, Any] | None = None, response: Response | str | None = None,
             executor: Executor | None = None, progress: Progress | None = None, overwrite: bool = False,
             profile: Profile | None = None, **options: Any) -> Sample | Path:
    """Simulate ``n`` entries of a ``process``: Pythia 8 → detector → FastJet → Sample.

    kind       ``jets``, ``events``, ``level1``, ``dijets``; :func:`catalogue` lists the processes of each
    seed       same seed, same bits, with any number of ``workers``
    out        HDF5 file to write; None gives the :class:`~qad.data.Sample` itself. A killed run continues where it stopped.
    selection  cuts: the kind's own dataclass, or some of its fields, as in ``{"pt_min": 300.0}``
    response   the detector, or the name of its mode; default: every visible particle as it is
    executor   anything with the ``concurrent.futures`` interface, which is then given ``workers`` chunks at a time
    progress   called with (done, wanted)
    profile    is told the seconds spent in Pythia, in FastJet and in our own code
    options    what the process's card takes (``m_zprime=1500``)

    Raises :class:`~qad.errors.InputError`, :class:`~qad.errors.MissingExtra`.
    """
    if isinstance(response, str):
        response = Response(response)
    settings: dict[str, Any] = {"executor": executor, "workers": workers, "progress": progress, "overwrite": overwrite,
                                "profile": profile}
    if kind == "level1":
        return simulate_level1(process, n, seed, out=out, selection=selection, response=response, **settings, **options)
    return make_sample(job_of(kind, process, seed, selection, response, **options), n, out, **settings)


def response_of(given: Mapping[str, Any]) -> Response:
    """The detector of a study file: ``{mode: eflow, card: cms, pile_up: 20}``. Raises :class:`InputError` for unknown names."""
    known = [f.name for f in fields(Response)]
    for name in given:
        if name not in known:
            raise InputError(did_you_mean(name, known, "setting of the detector"))
    return Response(**given)


def file_name(kind: str, process: str, n: int, seed: int = 1, *, selection: Selection | Mapping[str, Any] | None = None,
              response: Response | None = None, **options: Any) -> str:
    """A name that tells such a sample from every other: process, number, seed, and a hash of card, cuts and versions."""
    if kind == "level1" and process == BACKGROUND:
        digest = mixture.digest(n, seed, selection=selection, response=response, **options)
    else:
        digest = job_of(kind, process, seed, selection, response, **options).digest()
    return f"{process}-n{n}-seed{seed}-{digest}.h5"


def simulate_jets(process: str, n: int, seed: int = 1, **settings: Any) -> Sample | Path:
    """Simulate ``n`` jets, by default anti-kT R = 0.8, 550 < pT < 650 GeV, \\|η\\| < 2: ``qcd``, ``top``, ``w``, ``svj``, …

    ``settings`` as in :func:`simulate`.
    """
    return simulate("jets", process, n, seed, **settings)


def simulate_events(process: str, n: int, seed: int = 1, **settings: Any) -> Sample | Path:
    """Simulate ``n`` di-lepton events of ``process`` (``ttbar``, ``heavy_higgs`` with ``m_h``) after selection.

    Features (arXiv:2112.04958): MET, pT of two leptons and two b-jets [GeV], opening angles θ_ll, θ_bb [rad].
    ``settings`` as in :func:`simulate`.
    """
    return simulate("events", process, n, seed, **settings)


def simulate_dijets(process: str, n: int, seed: int = 1, **settings: Any) -> Sample | Path:
    """Simulate ``n`` dijet events like those of the LHC Olympics (arXiv:2101.08320): ``dijet_qcd``, ``wprime_xy``, …

    ``settings`` as in :func:`simulate`.
    """
    return simulate("dijets", process, n, seed, **settings)
