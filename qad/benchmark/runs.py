"""Runs on disk: configuration, provenance, cost and raw scores of one trained model. Metrics are always recomputed.

``runs/<study>/<train>/<representation>/<detector>/<seed>-<hash>/`` holds ``run.json``, ``scores.npz`` (an array of scores for
each test process) and the trained pipeline in ``model/``. Written under a temporary name and renamed: what exists is whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import uuid
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from qad.errors import InputError, WriteError
from qad.persistence import atomic_write, save

SCHEMA_VERSION = 2
COLLISION = "collision/"
#: Scores of a process's twins stand as ``qcd@jes-up`` beside those of ``qcd``.
TWIN = "@"
KEPT = "runs finished before are kept, and the same command does the rest"


@dataclass(frozen=True)
class Run:
    """One trained model and its scores on every test process."""

    path: Path
    record: dict[str, Any]
    scores: dict[str, np.ndarray]
    #: Which collision each test event comes from, where the sample knows: jets of one collision are resampled together.
    collisions: dict[str, np.ndarray] = field(default_factory=dict)
    #: Scores of the same test events with a systematic changed, by process and variation (``jes-up``).
    twins: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)

    @property
    def train(self) -> str:
        """Process it was trained on."""
        return str(self.record["train"])

    @property
    def representation(self) -> str:
        """Name of its representation in the study."""
        return str(self.record["representation"]["name"])

    @property
    def detector(self) -> str:
        """Its name in tables."""
        return str(self.record["detector"]["name"])

    @property
    def kind(self) -> str:
        """quantum, classical, control, weak or supervised."""
        return str(self.record["detector"]["kind"])

    @property
    def seed(self) -> int:
        """Seed of its training subset, initial weights and shuffling."""
        return int(self.record["seed"])


def digest(configuration: dict[str, Any]) -> str:
    """Short hash of a run's configuration."""
    return hashlib.sha256(json.dumps(configuration, sort_keys=True, default=str).encode()).hexdigest()[:10]


def write_run(path: Path, record: dict[str, Any], scores: dict[str, np.ndarray], collisions: dict[str, np.ndarray],
              model: Any = None) -> None:
    """Write a whole run to ``path``; a ``model`` that can be saved goes into its folder ``model``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    tmp.mkdir()
    try:
        arrays: dict[str, Any] = {**scores, **{f"{COLLISION}{k}": v for k, v in collisions.items()}}
        np.savez_compressed(tmp / "scores.npz", **arrays)
        if model is not None:
            try:
                save(model, tmp / "model")
            except WriteError:
                raise
            except InputError as error:  # someone's own detector may not be savable; its scores count all the same
                record = {**record, "model_not_saved": str(error)}
        atomic_write(tmp / "run.json", json.dumps({"schema_version": SCHEMA_VERSION, **record}, indent=1))
        if path.exists():  # damaged: it would not have been run again otherwise
            shutil.rmtree(path)
        os.replace(tmp, path)
    except OSError as error:
        raise WriteError(f"cannot write {path}: {error.strerror or error}; {KEPT}") from None
    except WriteError as error:
        raise WriteError(f"{error}; {KEPT}") from None
    finally:
        shutil.rmtree(tmp, ignore_errors=True)


def read_run(path: Path) -> Run:
    """Read one run. Raises :class:`InputError` if it is damaged."""
    try:
        record = json.loads((path / "run.json").read_text(encoding="utf-8"))
        if record["schema_version"] != SCHEMA_VERSION:
            raise InputError(f"{path} has schema version {record['schema_version']}; this version reads {SCHEMA_VERSION}")
        with np.load(path / "scores.npz", allow_pickle=False) as file:
            arrays = {k: file[k] for k in file.files}
    except (OSError, json.JSONDecodeError, KeyError, TypeError, zipfile.BadZipFile, ValueError, EOFError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"run {path} is damaged ({error}); delete the folder and start the study again") from None
    scores = {k: v for k, v in arrays.items() if not k.startswith(COLLISION) and TWIN not in k}
    twins: dict[str, dict[str, np.ndarray]] = {}
    for key in (k for k in arrays if TWIN in k):
        process, _, variation = key.partition(TWIN)
        twins.setdefault(process, {})[variation] = arrays[key]
    try:
        whole = (record["train"] in scores and set(scores) <= record["fingerprints"].keys()
                 and {"name", "kind", "family", "use", "params"} <= record["detector"].keys()
                 and all(v.ndim == 1 and len(v) and np.isfinite(v).all() for v in scores.values())
                 and all(v.shape == scores[p].shape and np.isfinite(v).all() for p, t in twins.items() for v in t.values()))
    except (KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise InputError(f"run {path} is damaged (fields or scores are missing); delete the folder and start the study again")
    collisions = {k.removeprefix(COLLISION): v for k, v in arrays.items() if k.startswith(COLLISION)}
    return Run(path, record, scores, collisions, twins)


def is_whole(path: Path) -> bool:
    """Whether a finished, readable run stands at ``path``."""
    try:
        read_run(path)
    except InputError:
        return False
    return True


def read_study_record(root: Path) -> dict[str, Any]:
    """What the runner noted about the study whose runs stand in ``root``."""
    path = Path(root) / "study.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict) or not {"study", "cells", "samples", "skipped", "failed", "versions"} <= record.keys():
            raise InputError(f"{path} is damaged: fields are missing; start the study again, finished runs are kept")
        return record
    except FileNotFoundError:
        raise InputError(f"{root} holds no runs: expected study.json, which  qad benchmark STUDY  writes") from None
    except NotADirectoryError:
        raise InputError(f"{root} is a file; expected the folder of a study's runs, such as runs/quick") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is damaged: {error}") from None


def read_runs(root: str | Path) -> list[Run]:
    """All finished runs that belong to the study last run in ``root``, in the study's order; damaged ones count as missing."""
    root = Path(root)
    found = []
    for cell in read_study_record(root)["cells"]:
        with contextlib.suppress(InputError):
            found.append(read_run(root / cell))
    return found
