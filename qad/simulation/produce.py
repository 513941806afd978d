"""Simulate a sample: chunks with their own seeds, any number of workers, resumed after a kill, merged into one file."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

from qad.data.sample import Sample
from qad.data.store import SCHEMA_VERSION, SampleWriter, iter_chunks, read
from qad.errors import InputError, did_you_mean, require
from qad.simulation.cards import Card, load_card
from qad.simulation.dijets import DijetSelection
from qad.simulation.events import EventSelection
from qad.simulation.generate import Generator, chunk_seed, pythia_version
from qad.simulation.jets import JetSelection
from qad.simulation.level1 import Level1Selection
from qad.simulation.record import Record
from qad.simulation.respond import Response, Seen, respond

EVENTS_PER_CHUNK = 1000
FUTILE = 20  # so many chunks without an entry at the start, and it is given up
Progress = Callable[[int, int], None]


class Selection(Protocol):
    """What is kept of each event; a frozen dataclass of cuts."""

    def select(self, record: Record, seen: Seen, card: Card, first_event: int, clock: Callable[[str], None]) -> Sample:
        """What passes, as a Sample. ``clock(name)`` is told when each step has ended."""


#: The least that a cut may be, where it is not 0.
LEAST = {"radius": 1e-3, "eta_max": 1e-3, "max_particles": 1, "leading": 1}
#: Kinds of samples, as cards name them: their selection.
KINDS: dict[str, type] = {"jets": JetSelection, "events": EventSelection, "level1": Level1Selection,
                          "dijets": DijetSelection}


@dataclass
class Profile:
    """Seconds spent inside Pythia, inside FastJet and in our own code, summed over workers."""

    seconds: dict[str, float] = field(default_factory=lambda: {"pythia": 0.0, "fastjet": 0.0, "ours": 0.0})

    def add(self, other: dict[str, float]) -> None:
        for k, v in other.items():
            self.seconds[k] += v

    @property
    def external_share(self) -> float:
        """Share of the work done inside Pythia and FastJet."""
        total = sum(self.seconds.values())
        return (total - self.seconds["ours"]) / total if total else 1.0

    def __str__(self) -> str:
        total = sum(self.seconds.values()) or 1.0
        return ", ".join(f"{name} {100 * self.seconds[key] / total:.0f} %" for name, key in
                         (("Pythia", "pythia"), ("FastJet", "fastjet"), ("our own code", "ours")))


@cache
def _source() -> str:
    """Short hash of this package's own code: what another version made is another sample."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:10]


@dataclass(frozen=True)
class Job:
    """Everything that decides the bits of a sample, but for its length."""

    card: Card
    seed: int
    selection: Selection
    response: Response = field(default_factory=Response)

    def meta(self) -> dict[str, Any]:
        """Provenance, as written into the file."""
        return {
            "schema_version": SCHEMA_VERSION,
            "source": _source(),
            "process": self.card.process,
            "title": self.card.header["title"],
            "sqrt_s_GeV": self.card.sqrt_s,
            "generator": f"Pythia {pythia_version()}",
            "clustering": f"FastJet {version('fastjet')}, anti-kT",
            "detector": self.response.mode,
            **({"response": self.response.told()} if self.response.changes else {}),
            "seed": self.seed,
            "options": dict(self.card.options),
            "selection": asdict(self.selection),
            "card": list(self.card.commands),
            **({"hook": self.card.header["hook"]} if "hook" in self.card.header else {}),
            "events_per_chunk": EVENTS_PER_CHUNK,
        }

    def digest(self) -> str:
        """Short hash of :meth:`meta`: parts of one job are never mixed with those of another."""
        return hashlib.sha256(json.dumps(self.meta(), sort_keys=True).encode()).hexdigest()[:10]


class Clock:
    """Seconds spent in each part of the work: called with its name when it ends."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self.now, self.last = now, now()
        self.seconds = Profile().seconds

    def __call__(self, name: str) -> None:
        now = self.now()
        self.seconds[name] += now - self.last
        self.last = now


def make_chunk(job: Job, chunk: int, path: Path, clock: Clock | None = None) -> tuple[int, int, dict[str, float]]:
    """Generate chunk number ``chunk`` and write it to ``path``; gives back its number, jets or events kept, seconds."""
    clock = clock or Clock()
    seed = chunk_seed(job.card.process, job.seed, chunk)
    batch = Generator(job.card, seed).events(EVENTS_PER_CHUNK)
    clock("pythia")
    record = Record.of(batch)
    seen = respond(record, job.response, seed, job.card.sqrt_s)
    sample = job.selection.select(record, seen, job.card, chunk * EVENTS_PER_CHUNK, clock)
    with SampleWriter(path, meta=dict(sample.meta), compress=False) as out:  # read once more, then removed
        out.append(sample)
    clock("ours")
    return chunk, len(sample), clock.seconds


class _Inline(Executor):
    """One worker: this process."""

    def submit(self, fn: Callable, /, *args: Any, **kwargs: Any) -> Future:
        future: Future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def _follow(parent: int) -> None:
    """In a worker: end when the parent has been killed, instead of waiting for work for ever."""
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def _pool(executor: Executor | None, workers: int) -> Iterator[Executor]:
    if executor is not None:
        yield executor
    elif workers == 1:
        yield _Inline()
    else:
        pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_follow, initargs=(os.getpid(),))
        try:
            yield pool
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _make_parts(job: Job, n: int, folder: Path, executor: Executor | None, workers: int,
                progress: Progress | None, profile: Profile) -> int:
    """Make chunks 0, 1, 2, … until together they hold ``n`` entries; returns how many chunks that takes."""

    def part(chunk: int) -> Path:
        return folder / f"{chunk:06d}.h5"

    yields: dict[int, int] = {}
    for file in folder.glob("[0-9]*.h5"):
        with contextlib.suppress(InputError):  # a damaged part is simply made again
            yields[int(file.stem)] = len(read(file))

    def needed() -> int | None:
        total, chunk = 0, 0
        while chunk in yields:
            total += yields[chunk]
            chunk += 1
            if total >= n:
                return chunk
        return None

    def expected() -> int:
        """How many chunks will do, judged by those done."""
        mean = sum(yields.values()) / len(yields) if yields else None
        return int(n / mean) + 1 if mean else max(2 * workers, len(yields) + workers)

    if progress:
        progress(min(sum(yields.values()), n), n)
    with _pool(executor, workers) as pool:
        running: dict[Future, int] = {}
        while needed() is None:
            done_or_running = yields.keys() | set(running.values())
            first = next(c for c in range(len(done_or_running) + 1) if c not in done_or_running)
            # beyond what is expected to do, one chunk at a time
            while len(running) < workers and (first < expected() or not running):
                running[pool.submit(make_chunk, job, first, part(first))] = first
                done_or_running = done_or_running | {first}
                first = next(c for c in range(first, first + len(done_or_running) + 2) if c not in done_or_running)
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                running.pop(future)
                try:
                    chunk, kept, seconds = future.result()
                except BrokenProcessPool:
                    raise InputError("a simulation worker was killed. A script of yours needs  if __name__ == '__main__':  "
                                     "around the call; if memory is short, take fewer workers. The same command continues "
                                     "where it stopped") from None
                yields[chunk] = kept
                profile.add(seconds)
                if all(yields.get(c) == 0 for c in range(FUTILE)):  # the first ones, so that workers do not matter
                    raise InputError(f"none of {FUTILE * EVENTS_PER_CHUNK:,} events of '{job.card.process}' passes the "
                                     f"selection {job.selection}; widen it or change the options {dict(job.card.options)}")
                if progress:
                    progress(min(sum(yields.values()), n), n)
        for future in running:
            future.cancel()
        wait(running)  # nobody may still write where the parts are about to be removed
    return needed() or 0


def selection_of(kind: str, card: Card, given: Selection | Mapping[str, Any] | None = None) -> Selection:
    """The cuts of ``kind`` and of the card, with those that ``given`` names in their place.

    Raises :class:`InputError` for unknown ones.
    """
    default: Any = replace(KINDS[kind](), **card.cuts)
    return chosen(default, given or {}, kind) if given is None or isinstance(given, Mapping) else given


def chosen(default: Any, given: Mapping[str, Any], kind: str) -> Any:
    """``default``, a selection of ``kind``, with the cuts ``given``. Raises :class:`InputError` for other names and types."""
    known = {f.name: type(getattr(default, f.name)) for f in fields(default)}
    for name, value in given.items():
        if name not in known:
            raise InputError(did_you_mean(name, known, f"cut of the selection of {kind}"))
        wanted = (int, float) if known[name] is float else known[name]
        least = LEAST.get(name, 0)
        if isinstance(value, wanted) and known[name] is not bool and not least <= value < math.inf:
            raise InputError(f"selection: {name}={value!r}: expected a number from {least:g}")
        if not isinstance(value, wanted) or isinstance(value, bool) != (known[name] is bool):
            usual = getattr(default, name)
            raise InputError(f"selection: {name}={value!r}: expected {known[name].__name__}, such as {usual!r}")
    return replace(default, **{n: float(v) if known[n] is float else v for n, v in given.items()})


def job_of(kind: str, process: str, seed: int, selection: Selection | Mapping[str, Any] | None = None,
           response: Response | None = None, **options: Any) -> Job:
    """The :class:`Job` of a process of a ``kind``. Raises :class:`InputError` for unknown names and options."""
    if kind not in KINDS:
        raise InputError(did_you_mean(kind, KINDS, "kind of sample"))
    if kind == "events" and response is not None and response.changes:
        raise InputError("di-lepton events are made at particle level only (their leptons and b-jets are told by the truth); "
                         "leave the detector out")
    card = load_card(process, kind, **options)
    cuts = selection_of(kind, card, selection)
    _check_window(card, cuts)
    return Job(card, seed, cuts, response or Response())


def _check_window(card: Card, cuts: Any) -> None:
    """A pT window must be one, and lie where the generator makes all the jets there are: turn-ons are slow."""
    low, high = getattr(cuts, "pt_min", None), getattr(cuts, "pt_max", math.inf)
    if low is None:
        return
    if not low < high:
        raise InputError(f"selection: pt_min={low:g} is not below pt_max={high:g} GeV; add  -s pt_max={1.2 * low:.0f}")
    made = {k: float(v) for k, v in (re.fullmatch(r"PhaseSpace:pTHat(Min|Max) = (\S+)", line).groups() for line in card.commands
                                     if line.startswith(("PhaseSpace:pTHatMin", "PhaseSpace:pTHatMax")))}
    floor, top = made.get("Min", 0.0), made.get("Max", math.inf)
    for name, asked, wrong, cure in (("pt_min", low, low < 1.3 * floor, f"pt-hat-min {low / 1.4:.0f}"),
                                     ("pt_max", high, math.isfinite(high) and high > top, f"pt-hat-max {1.5 * high:.0f}")):
        if wrong:
            option = cure.partition(" ")[0].replace("-", "_")
            cure = f"add  --{cure}" if option in card.options else "choose another window"
            raise InputError(f"selection: {name}={asked:g} GeV, but '{card.process}' is generated with pTHat from {floor:g} to "
                             f"{top:g} GeV, so the spectrum would be cut by the generator, not by you; {cure}")


def make_sample(job: Job, n: int, out: str | Path | None, *, executor: Executor | None = None, workers: int = 1,
                progress: Progress | None = None, overwrite: bool = False, profile: Profile | None = None) -> Sample | Path:
    """Make the first ``n`` entries of ``job``; see :func:`qad.simulation.simulate` for the arguments."""
    if not isinstance(n, int) or n < 1 or workers < 1:
        raise InputError(f"expected at least one event and one worker, whole numbers; got n={n}, workers={workers}")
    for package in ("pythia8mc", "fastjet", "awkward", "vector"):
        require(package, "simulation")
    profile = Profile() if profile is None else profile
    if out is None:
        with tempfile.TemporaryDirectory(prefix="qad-") as scratch:
            path = make_sample(job, n, Path(scratch) / "sample.h5", executor=executor, workers=workers, progress=progress,
                               profile=profile)
            return read(path)  # type: ignore[arg-type]
    out = Path(out)
    meta = {**job.meta(), "n": n}
    if out.exists() and not overwrite:
        with contextlib.suppress(InputError):
            existing = read(out, 0, 1)
            if json.dumps(existing.meta, sort_keys=True) == json.dumps({**existing.meta, **meta}, sort_keys=True):
                return out  # the same sample already stands there
        raise InputError(f"{out} exists and holds something else; choose another name or add --overwrite")
    parts = out.with_name(f"{out.name}.parts-{job.digest()}")
    try:
        parts.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {out.parent}: {error.strerror}; choose a folder you can write to") from None
    chunks = _make_parts(job, n, parts, executor, workers, progress, profile)
    left = n
    with SampleWriter(out) as writer:
        for chunk in range(chunks):
            for sample in iter_chunks(parts / f"{chunk:06d}.h5"):
                sample = sample[:left]
                if writer.meta is None:
                    writer.meta = {**sample.meta, **meta}
                writer.append(sample)
                left -= len(sample)
    shutil.rmtree(parts)
    return out
