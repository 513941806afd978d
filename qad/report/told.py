"""What detectors and their representations are told of labels, from what the runs noted of them: marks for tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from qad.benchmark.runs import Run
from qad.detector import LABELLED
from qad.report.convergence import mark

#: Steps that are told classes, in runs that did not note it yet.
EARLIER = ("SupervisedContrastive",)


def marks(runs: Iterable[Run]) -> list[str]:
    """``told labels``, ``told classes`` (of the background), ``learned from qcd + top``: each once, none for most detectors."""
    found: dict[str, None] = {}
    for run in runs:
        if run.kind in LABELLED:
            found["told labels"] = None
        if told_classes(run):
            found["told classes"] = None
        configuration = run.record.get("configuration")
        source = configuration.get("learns_from") if isinstance(configuration, dict) else None
        if isinstance(source, list) and source:
            found[f"learned from {' + '.join(map(str, source))}"] = None
    return list(found)


def remarks(runs: Sequence[Run]) -> list[str]:
    """What stands behind a detector's name: what it was told, whether it converged."""
    return [*marks(runs), *([said] if (said := mark(runs)) else [])]


def told_classes(run: Run) -> bool:
    """Whether a step of its representation was told the processes of the background (an untrained one is told nothing)."""
    representation = run.record.get("representation") or {}
    trained = all(s.get("epochs") != 0 for s in representation.get("steps") or [] if isinstance(s, dict))
    notes = [n for n in representation.get("learned") or [] if isinstance(n, dict)]
    return any(n.get("told", trained and n.get("step") in EARLIER) for n in notes)
