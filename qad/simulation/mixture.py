"""The level-1 background: four processes in the published proportions, with what is simulated told apart from what is imposed.

QCD events with a hard lepton are rare and dear, so a smaller share of them is simulated and each weighs more. ``weight``
brings the published shares back; leave it out to have the events as they were simulated.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from qad.data.sample import Sample, concatenate
from qad.data.store import SampleWriter, iter_chunks, read
from qad.errors import InputError, did_you_mean
from qad.simulation.cards import Option, processes
from qad.simulation.level1 import Level1Selection, enrichment
from qad.simulation.produce import Job, Profile, Progress, job_of, make_sample
from qad.simulation.respond import Response

#: Share of each process in the published background after the lepton filter (arXiv:2107.02157).
PUBLISHED = {"level1_w": 0.592, "level1_qcd": 0.338, "level1_z": 0.067, "level1_ttbar": 0.003}
BACKGROUND = "background"
TITLE = "W, QCD, Z and top pairs with a lepton, level-1 objects"
QCD = "level1_qcd"
#: Share of QCD among the simulated events: with it, two thirds of the time go into QCD.
QCD_SHARE = 0.05
OPTIONS = {"qcd_share": Option(f"{QCD_SHARE:g}", "", "share of QCD among the simulated events; weights impose 0.338")}
BLOCK = 10_000


def simulate_level1(process: str, n: int, seed: int = 1, *, out: str | Path | None = None, workers: int = 1,
                    selection: Level1Selection | Mapping[str, Any] | None = None, response: Response | None = None,
                    executor: Executor | None = None, progress: Progress | None = None, overwrite: bool = False,
                    profile: Profile | None = None, qcd_share: float | None = None, **options: Any) -> Sample | Path:
    """Simulate ``n`` level-1 events of nineteen objects at 13 TeV, as in arXiv:2107.02157 but without its detector.

    process    ``background`` (the mixture), one of its parts (``level1_w``, …), or a signal: ``a_4l``, ``lq_btau``,
               ``lq_bnu``, ``h0_tautau``, ``hplus_taunu``, ``hplus_top``; ``options`` are its card's (``m_a=40``)
    qcd_share  share of QCD among the *simulated* events of ``background``; ``weight`` imposes the published 33.8 %
    seed, out, workers, executor, progress, …   as for all that is simulated

    Raises :class:`~qad.errors.InputError`, :class:`~qad.errors.MissingExtra`.
    """
    known = [BACKGROUND, *processes("level1")]
    if process not in known:
        raise InputError(did_you_mean(process, known, "process"))
    if response is not None and response.mode == "towers":
        raise InputError("level-1 events need electrons and muons, and towers have none; choose the detector particle or eflow")
    arguments: dict[str, Any] = {"executor": executor, "workers": workers, "overwrite": overwrite, "profile": profile}
    if process == BACKGROUND:
        if options:
            raise InputError(f"process '{BACKGROUND}' has no option '{next(iter(options))}'; it takes qcd_share")
        return make_background(n, seed, QCD_SHARE if qcd_share is None else qcd_share, selection, response, out, progress,
                               **arguments)
    if qcd_share is not None:
        raise InputError(f"qcd_share belongs to process '{BACKGROUND}'; '{process}' is a single process")
    job = job_of("level1", process, seed, selection, response, **options)
    _check_range(job)
    return make_sample(job, n, out, progress=progress, **arguments)


def _check_range(job: Job) -> None:
    name, low, high = job.card.header.get("range", "- 0 0").split()
    if name in job.card.options and not float(low) <= float(job.card.options[name]) <= float(high):
        raise InputError(f"{name}: expected {low} to {high} GeV for '{job.card.process}', got {job.card.options[name]:g}")


def simulated_counts(n: int, qcd_share: float) -> dict[str, int]:
    """How many events of each process are simulated: QCD its share, the rest in published proportion, none without an event."""
    rest = (1 - qcd_share) / (1 - PUBLISHED[QCD])
    exact = np.array([n * (qcd_share if p == QCD else share * rest) for p, share in PUBLISHED.items()])
    counts = np.maximum(np.floor(exact).astype(int), 1)
    for i in np.argsort(counts - exact, kind="stable")[: max(n - counts.sum(), 0)]:  # the largest remainders first
        counts[i] += 1
    counts[np.argmax(counts)] += n - counts.sum()
    return dict(zip(PUBLISHED, counts.tolist(), strict=True))


def make_background(n: int, seed: int, qcd_share: float, selection: Level1Selection | Mapping[str, Any] | None,
                    response: Response | None, out: str | Path | None, progress: Progress | None = None, *,
                    overwrite: bool = False, **arguments: Any) -> Sample | Path:
    """The mixture: each process by itself beside ``out``, then merged in an order that the seed decides."""
    if n < len(PUBLISHED):
        raise InputError(f"expected at least {len(PUBLISHED)} events, one of each process of the background; got n={n}")
    if not isinstance(qcd_share, int | float) or not 0 < qcd_share < 1:
        raise InputError(f"qcd_share: expected a share between 0 and 1, such as {QCD_SHARE}; got {qcd_share}")
    if out is None:
        with tempfile.TemporaryDirectory(prefix="qad-") as scratch:
            path = Path(scratch) / "background.h5"
            make_background(n, seed, qcd_share, selection, response, path, progress, **arguments)
            return read(path)
    out = Path(out)
    counts = simulated_counts(n, qcd_share)
    jobs = {p: job_of("level1", p, seed, selection, response) for p in counts}
    meta = _provenance(jobs, counts, seed, qcd_share)
    if out.exists() and not overwrite:
        with contextlib.suppress(InputError):
            existing = read(out, 0, 1).meta
            if json.dumps(existing, sort_keys=True) == json.dumps({**existing, **meta}, sort_keys=True):
                return out
        raise InputError(f"{out} exists and holds something else; choose another name or add --overwrite")
    folder = out.with_name(f"{out.name}.components-{_digest(meta)}")
    done = 0
    for process, job in jobs.items():
        told = (lambda made, _, before=done: progress(before + made, n)) if progress else None
        make_sample(job, counts[process], folder / f"{process}.h5", progress=told, **arguments)
        done += counts[process]
    merge({p: folder / f"{p}.h5" for p in jobs}, counts, seed, out, meta)
    shutil.rmtree(folder)
    return out


def _provenance(jobs: Mapping[str, Job], counts: Mapping[str, int], seed: int, qcd_share: float) -> dict[str, Any]:
    """What the file says of itself before anything is simulated."""
    n = sum(counts.values())
    common = {k: v for k, v in jobs[QCD].meta().items() if k not in ("process", "title", "card", "options")}
    components = {p: {"n": counts[p], "simulated_share": counts[p] / n, "imposed_share": PUBLISHED[p],
                      "mean_weight": PUBLISHED[p] * n / counts[p], "seed": seed, "card": list(job.card.commands),
                      **enrichment(job.card)} for p, job in jobs.items()}
    return {**common, "process": BACKGROUND, "title": TITLE, "n": n,
            "seed": seed, "reference": "arXiv:2107.02157", "qcd_share": qcd_share, "components": components}


def digest(n: int, seed: int, qcd_share: float | None = None, selection: Level1Selection | Mapping[str, Any] | None = None,
           response: Response | None = None) -> str:
    """Short hash of all that decides the bits of such a background."""
    share = QCD_SHARE if qcd_share is None else qcd_share
    counts = simulated_counts(n, share)
    return _digest(_provenance({p: job_of("level1", p, seed, selection, response) for p in counts}, counts, seed, share))


def _digest(meta: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()[:10]


def merge(files: Mapping[str, Path], counts: Mapping[str, int], seed: int, out: Path, meta: Mapping[str, Any]) -> None:
    """Interleave the components, a block at a time, and weigh each so that the published shares come out; mean weight 1.

    An event of component c weighs (imposed share / simulated share) · w / mean of w over c, w Pythia's own weight.
    ``measured`` in the file's provenance has the effective numbers of events (Σw)² / Σw², of all and of each component.
    """
    names = list(files)
    scale, moments = {}, {}
    for name in names:
        total = squares = largest = 0.0
        for chunk in iter_chunks(files[name]):
            weights = chunk.weight.astype(np.float64)
            total, squares = total + weights.sum(), squares + (weights**2).sum()
            largest = max(largest, weights.max())
        scale[name] = PUBLISHED[name] * sum(counts.values()) / total
        moments[name] = scale[name] * total, scale[name] ** 2 * squares, scale[name] * largest
    measured = {
        "effective_events": float(sum(m[0] for m in moments.values()) ** 2 / sum(m[1] for m in moments.values())),
        "components": {p: {"effective_events": float(m[0] ** 2 / m[1]), "largest_weight": float(m[2])}
                       for p, m in moments.items()},
    }
    order = np.random.default_rng([seed, len(names)]).permutation(
        np.repeat(np.arange(len(names), dtype=np.int8), [counts[p] for p in names]))
    at = dict.fromkeys(names, 0)
    meta = {"slots": read(files[names[0]], 0, 1).meta["slots"], **meta, "measured": measured}
    with SampleWriter(out, meta=dict(meta)) as writer:
        for start in range(0, len(order), BLOCK):
            block = order[start : start + BLOCK]
            pieces = []
            for i, name in enumerate(names):
                if stop := int((block == i).sum()):
                    piece = read(files[name], at[name], at[name] + stop)
                    pieces.append(replace(piece, weight=piece.weight * scale[name], meta=meta))
                    at[name] += stop
            together = concatenate(pieces)
            place = np.empty(len(block), dtype=np.int64)  # of the k-th event of the block among the pieces
            place[np.argsort(block, kind="stable")] = np.arange(len(block))
            mixed = together[place]
            # the numbers of the components would meet; every event of the mixture has its own
            number = np.arange(start, start + len(block), dtype=np.int64)
            writer.append(replace(mixed, extras={**mixed.extras, "event": number}))
