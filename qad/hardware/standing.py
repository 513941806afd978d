"""Where a submission stands, in rows and words."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from qad.hardware.folder import Attempt, Chunk, Folder
from qad.quantum.backends.options import is_snapshot

WORDS = {"intended": "in doubt", "refused": "not sent"}
#: Of a job on a snapshot.
HERE = "runs here when fetched"


@dataclass(frozen=True)
class Row:
    """One chunk: ``events`` as start-stop, ``state`` as the service says, ``fetched`` once its counts are here."""

    chunk: str
    events: int
    job: str
    state: str
    reason: str
    qpu_seconds: float | None


@dataclass(frozen=True)
class Standing:
    """A submission at a glance.

    scored       events in scores.csv
    qpu_seconds  charged for all jobs, those that failed too, as far as the service has told
    next         what to type
    problem      why nothing newer is known
    """

    folder: str
    backend: str
    events: int
    scored: int
    rows: list[Row]
    qpu_seconds: float
    estimate: float
    next: str
    problem: str = ""

    @property
    def counts(self) -> dict[str, int]:
        """How many chunks are in which state."""
        found: dict[str, int] = {}
        for row in self.rows:
            found[row.state] = found.get(row.state, 0) + 1
        return found

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "counts": self.counts}

    def __str__(self) -> str:
        width = max([len("chunk"), *(len(r.chunk) for r in self.rows)])
        jobs = max([len("job"), *(len(r.job) for r in self.rows)])
        lines = [f"{'chunk':<{width}}  {'events':>7}  {'job':<{jobs}}  {'state':<9}  {'QPU s':>7}  reason"]
        for r in self.rows:
            cost = "" if r.qpu_seconds is None else f"{r.qpu_seconds:.1f}"
            lines.append(f"{r.chunk:<{width}}  {r.events:>7,}  {r.job:<{jobs}}  {r.state:<9}  {cost:>7}  {r.reason}".rstrip())
        states = ", ".join(f"{n} {state}" for state, n in self.counts.items())
        lines.append(f"{self.folder} on {self.backend}: {len(self.rows)} chunks ({states}), {self.scored:,} of {self.events:,} "
                     f"events scored; {self.qpu_seconds:,.1f} QPU s charged, {self.estimate:,.1f} s estimated for all")
        return "\n".join([*lines, self.next])


def standing(folder: Folder, record: dict[str, Any], chunks: list[Chunk], scored: int, problem: str = "") -> Standing:
    """What ``chunks`` and the disk say."""
    rows, seconds, here = [], 0.0, is_snapshot(record["request"]["backend"])
    for chunk in chunks:
        seconds += sum(a.qpu_seconds or 0.0 for a in chunk.attempts)
        if chunk.split is None:
            rows.append(_row(chunk, folder.fetched(chunk), here))
    states = {row.state for row in rows}
    path = folder.path
    hints = [hint for some, hint in (
        ({"not sent", "in doubt"}, f"to send what is not sent, type  qad hardware submit -o {path}"),
        ({"failed", "cancelled"}, f"to send again what failed or was cancelled, type  qad hardware submit -o {path} --retry"),
        ({"queued", "running", "done"}, f"for the scores of what is done, type  qad hardware fetch {path}")) if states & some]
    return Standing(str(path), record["request"]["backend"], record["request"]["events"], scored, rows, seconds,
                    record["estimate"]["qpu_seconds"], "\n".join(hints) or f"complete: {path / 'scores.csv'}", problem)


def _row(chunk: Chunk, fetched: bool, here: bool) -> Row:
    """``here``: a snapshot has no machine that would run it; fetching does."""
    attempt = chunk.last or Attempt("", state="refused")
    reason = "" if fetched else attempt.reason or HERE * (here and attempt.state == "queued")
    seconds = [a.qpu_seconds for a in chunk.attempts if a.qpu_seconds is not None]
    name = chunk.name if chunk.measures else f"{chunk.start}-{chunk.stop}"
    return Row(name, 0 if chunk.measures else chunk.stop - chunk.start, attempt.job or "",
               "fetched" if fetched else WORDS.get(attempt.state, attempt.state), reason,
               sum(seconds) if seconds else None)
