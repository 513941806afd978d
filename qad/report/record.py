"""The record of a study: what its runs say, in a small JSON file from which pages of documents are made. Nothing is typed."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from qad.benchmark import studies
from qad.detector import KINDS
from qad.errors import InputError
from qad.report.files import check_folder, write_file
from qad.report.tables import METRICS, Progress, Summary, mean_fpr, read_rows, steps, summarise
from qad.report.told import marks
from qad.report.verdict import best_of, directions, judge

SCHEMA_VERSION = 1
#: Signal efficiencies ε_s at which the curves are kept.
EFFICIENCIES = (0.02, *(round(0.05 * k, 2) for k in range(1, 21)))
#: Curves kept in each direction: of each kind so many, the best.
CURVES = 3
#: Costs that every seed has its own of: means are kept.
MEANS = ("effective_parameters", "fit_seconds", "seconds_per_epoch", "events_per_second")


def as_record(runs: str | Path, progress: Progress | None = None) -> dict[str, Any]:
    """The record of the study whose runs lie in the folder ``runs``; only types that JSON knows, None where undefined.

    study, title, seeds, missing  of the study; how many of its models are not there
    verdict                       ``headline`` and ``sentences``, as the report has them
    directions                    per background and signal: numbers of test events, fingerprints (one if all saw the same
                                  events), the best control, and ``least_rejection``: a 1/ε_b that is None is larger
    models                        per background, representation and detector: kind, family, seeds, what the detector was
                                  ``told``, ``marks`` of what it or its representation was told, cost
    rows                          per model (its place in ``models``) and signal: ``mean`` and ``sd`` of the ``metrics``,
                                  68 % ``interval`` and ``error`` of the mean AUC, paired ``difference`` [value, error] to the
                                  best control; of the best few 1/ε_b at ``efficiencies``
    configuration, samples        the study as its YAML has it, without what is empty; files and fingerprints
    versions, commands, date      of the packages; what makes the record again; day on which the last run ended (UTC)

    ``progress`` is told how many rows are done, and of how many. Raises :class:`InputError` if there is no finished run.
    """
    record, rows, missing = read_rows(runs)
    summaries = summarise(rows, step=steps(progress, len(rows)))
    verdict = judge(summaries, missing)
    study = record["study"]
    found = {id(r.run): r.run for r in rows}.values()
    models: dict[tuple[str, str, str], dict[str, Any]] = {}
    for s in summaries:
        models.setdefault(_key(s), _model(s))
    return {
        "schema_version": SCHEMA_VERSION,
        "study": study["name"],
        "title": study["title"],
        "seeds": sorted({r.seed for r in found}),
        "missing": missing,
        "verdict": {"headline": verdict.headline, "sentences": list(verdict.sentences)},
        "metrics": list(METRICS),
        "efficiencies": list(EFFICIENCIES),
        "directions": [_direction(summaries, *pair) for pair in directions(summaries)],
        "models": list(models.values()),
        "rows": [row for pair in directions(summaries)
                 for row in _rows([s for s in summaries if (s.train, s.signal) == pair], list(models))],
        "configuration": _lean(study),
        "samples": {name: {k: _names(v) if k == "file" else v for k, v in sample.items()}
                    for name, sample in record["samples"].items()},
        "skipped": record["skipped"],
        "failed": record["failed"],
        "versions": record["versions"],
        "commands": _commands(study["name"]),
        "date": max((str(r.record.get("finished") or "") for r in found), default="")[:10],
    }


def write_record(runs: str | Path, out: str | Path, progress: Progress | None = None) -> Path:
    """Write :func:`as_record` to the file ``out``, a line for each row. Returns its path; raises :class:`InputError`."""
    check_folder(Path(out))
    return write_file(Path(out), as_text(as_record(runs, progress)))


def read_record(path: str | Path) -> dict[str, Any]:
    """A record from its file. Raises :class:`InputError` for one that is damaged or of another schema."""
    path = Path(path)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        version = record["schema_version"]
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no record of a study ({error!r}); write one:  qad report RUNS --format record -o {path}"
                         ) from None
    if version != SCHEMA_VERSION:
        raise InputError(f"{path} has schema version {version}, expected {SCHEMA_VERSION}; write it again:  "
                         f"qad report RUNS --format record -o {path}")
    return record


def as_text(record: dict[str, Any]) -> str:
    """JSON with a line for each row and direction, so that two versions can be compared."""
    parts = []
    for key, value in record.items():
        lined = key in ("rows", "models", "directions", "skipped", "failed") and value
        lines = [json.dumps(v, ensure_ascii=False, separators=(",", ":")) for v in (value if lined else [value])]
        parts.append(f' "{key}": ' + ("[\n  " + ",\n  ".join(lines) + "\n ]" if lined else lines[0]))
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _direction(summaries: Sequence[Summary], train: str, signal: str) -> dict[str, Any]:
    here = [s for s in summaries if (s.train, s.signal) == (train, signal)]
    first = here[0].rows[0].run.scores
    controls = [s for s in here if s.kind == "control"]
    return {"train": train, "signal": signal, "background_events": len(first[train]), "signal_events": len(first[signal]),
            "fingerprints": sorted({r.values["fingerprint"] for s in here for r in s.rows}),
            "best_control": best_of(controls).name if controls else None, "least_rejection": _number(here[0].least_rejection)}


def _key(s: Summary) -> tuple[str, str, str]:
    return s.train, s.representation, s.detector


def _model(s: Summary) -> dict[str, Any]:
    shots = {r.values["shots"] for r in s.rows}
    return {"train": s.train, "representation": s.representation, "detector": s.detector, "kind": s.kind, "family": s.family,
            "mark": s.mark, "seeds": len(s.rows), "told": s.rows[0].run.record.get("told"),
            "marks": marks(r.run for r in s.rows),
            "parameters": s.rows[0].values["parameters"], **{k: _mean([r.values[k] for r in s.rows]) for k in MEANS},
            "shots": shots.pop() if len(shots) == 1 else None}


def _rows(here: Sequence[Summary], models: Sequence[tuple[str, str, str]]) -> list[dict[str, Any]]:
    """Best first."""
    controls = [s for s in here if s.kind == "control"]
    best = best_of(controls) if controls else None
    order = sorted(here, key=lambda s: -s.mean["auc"])
    drawn = {id(s) for kind in KINDS for s in [s for s in order if s.kind == kind][:CURVES]}
    return [_row(s, best, id(s) in drawn, models.index(_key(s))) for s in order]


def _row(s: Summary, best: Summary | None, drawn: bool, model: int) -> dict[str, Any]:
    spread = s.sd["auc"] / math.sqrt(len(s.rows)) if len(s.rows) > 1 else 0.0
    difference = None if best is None or s is best else s.minus(best)
    row = {
        "model": model, "signal": s.signal,
        "mean": [_number(s.mean[m]) for m in METRICS],
        "sd": [_number(s.sd[m], 3) for m in METRICS],
        "interval": [_number(v, 4) for v in s.interval],
        "error": _number(math.hypot(float(s.boot.mean(0).std(ddof=1)), spread), 2),
        "difference": None if difference is None else [_number(difference.value, 4), _number(difference.error, 3)],
    }
    # ε_b is the mean over the seeds; None where too few background events are left
    return {**row, "rejection": [_number(1 / v, 4) for v in mean_fpr(s.rows, np.array(EFFICIENCIES))]} if drawn else row


def _number(value: float, digits: int = 6) -> float | None:
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return _number(sum(known) / len(known), 4) if known else None


def _lean(value: Any) -> Any:
    """Without what is None or empty; the names of files without their folders."""
    if isinstance(value, dict):
        return {k: _names(v) if k == "file" else _lean(v) for k, v in value.items()
                if v is not None and (not isinstance(v, dict | list) or v)}
    return [_lean(v) for v in value] if isinstance(value, list) else value


def _names(files: Any) -> Any:
    if isinstance(files, str):
        return ", ".join(PurePath(f).name for f in files.split(", "))
    return [_names(f) for f in files] if isinstance(files, list) else files


def _commands(name: str) -> list[str]:
    return [f"qad benchmark {name if name in studies() else f'{name}.yaml'}",
            f"qad report runs/{name} --format record -o {name}.json"]
