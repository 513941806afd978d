"""Save and load fitted estimators: safetensors for arrays, JSON for the rest. Loading never executes a file.

A model is a folder::

    model.json           format, and per step: registered name, constructor parameters, plain fitted values
    model.safetensors    every fitted array, named <step>/<attribute>

Only classes registered as entry points are constructed by :func:`load`; anything else must be handed over by the caller.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from sklearn.pipeline import Pipeline, make_pipeline

from qad import registry
from qad.errors import InputError, WriteError

FORMAT = 1


class Persistent:
    """Fitted state is every public attribute ending in ``_``: arrays, or values JSON can hold."""

    def get_state(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if k.endswith("_") and not k.startswith("_")}

    def set_state(self, state: dict[str, Any]) -> None:
        vars(self).update(state)


def atomic_write(path: Path, content: str | bytes) -> None:
    """Write ``content`` to a temporary name beside ``path``, then rename: a kill leaves the old file or the new one."""
    tmp = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with open(tmp, "wb") as f:
            f.write(content.encode() if isinstance(content, str) else content)
            f.flush()
            os.fsync(f.fileno())
        os.replace(tmp, path)
    finally:
        tmp.unlink(missing_ok=True)


def _plain(value: Any) -> Any:
    """NumPy scalars and tuples as what JSON holds."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


def _describe(step: Any) -> dict[str, str]:
    for group in (registry.DETECTORS, registry.REPRESENTATIONS):
        if name := registry.registered_name(group, type(step)):
            return {"group": group, "name": name}
    return {"group": "", "name": f"{type(step).__module__}:{type(step).__qualname__}"}


def check_target(folder: str | Path) -> Path:
    """Where a model can be saved: a new folder, or one that holds a model. Raises :class:`InputError`."""
    folder = Path(folder).resolve()
    if folder.exists() and not (folder / "model.json").exists():
        raise InputError(f"{folder} exists and holds no model; give another folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {folder.parent}: {error.strerror}") from None
    if not os.access(folder.parent, os.W_OK) or not folder.parent.is_dir():
        raise InputError(f"cannot write to {folder.parent}; choose a folder you can write to")
    return folder


def save(estimator: Any, folder: str | Path, **notes: Any) -> Path:
    """Save a fitted detector, representation or ``Pipeline`` of them into ``folder`` (made or replaced whole).

    ``notes`` go into ``model.json`` beside the steps (what it was trained on, say).
    """
    folder = check_target(folder)
    steps = [s for _, s in estimator.steps] if isinstance(estimator, Pipeline) else [estimator]
    arrays: dict[str, np.ndarray] = {}
    described = []
    for i, step in enumerate(steps):
        if not isinstance(step, Persistent):
            raise InputError(f"{type(step).__name__} cannot be saved: expected a qad detector or representation")
        values = {}
        for key, value in step.get_state().items():
            if isinstance(value, np.ndarray):
                if value.dtype.kind == "U":
                    values[key] = {"strings": value.tolist()}
                elif value.dtype.kind in "biufc":
                    arrays[f"{i}/{key}"] = np.asarray(value, order="C")
                else:
                    raise InputError(f"{type(step).__name__}.{key} has dtype {value.dtype}, which is not saved")
            else:
                values[key] = _plain(value)
        params = _plain(step.get_params(deep=False))
        described.append({**_describe(step), "params": params, "values": values})
    try:
        text = json.dumps({"format": FORMAT, "steps": described, **_plain(notes)}, indent=1)
    except TypeError as error:
        raise InputError(
            f"this model cannot be saved: {error}. Parameters must be numbers, strings or lists; "
            "register a function as an entry point and give its name"
        ) from None
    tmp = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        tmp.mkdir()
    except OSError as error:
        raise WriteError(f"cannot write {folder}: {error.strerror}") from None
    try:
        try:
            save_file(arrays, tmp / "model.safetensors")
        except SafetensorError as error:
            raise WriteError(f"cannot write {folder}: {error}") from None
        atomic_write(tmp / "model.json", text)
        if folder.exists():
            old = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.old")
            folder.rename(old)
            tmp.rename(folder)
            shutil.rmtree(old)
        else:
            tmp.rename(folder)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)
    return folder


def load_notes(folder: str | Path) -> dict[str, Any]:
    """The contents of ``model.json``, checked."""
    path = Path(folder) / "model.json"
    try:
        notes = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{folder} holds no model: expected model.json, which `qad fit` writes") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is damaged: {error}") from None
    if not isinstance(notes, dict) or notes.get("format") != FORMAT or not isinstance(notes.get("steps"), list):
        raise InputError(f"{path} is not a model of format {FORMAT}; save it again with this version")
    return notes


def load(folder: str | Path, classes: dict[str, type] | None = None) -> Any:
    """Load what :func:`save` wrote: the estimator itself, or a ``Pipeline`` when there were several steps.

    ``classes`` maps the ``module:Class`` of unregistered steps to the classes to construct. Raises :class:`InputError`.
    """
    notes = load_notes(folder)
    path = Path(folder) / "model.safetensors"
    try:
        arrays = load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise InputError(f"{path} is missing or damaged: {error}") from None
    steps = []
    try:
        for i, step in enumerate(notes["steps"]):
            name = step["name"]
            if step["group"] in (registry.DETECTORS, registry.REPRESENTATIONS) and ":" not in name:
                cls = registry.find(step["group"], name)
            elif name in (classes or {}):
                cls = classes[name]
            else:
                raise InputError(f"{folder} needs {name}, which is not registered: if you trust it, add  --trust {name}  or in "
                                 f"Python load(…, classes={{'{name}': …}})")
            estimator = cls(**step["params"])
            state = {k: np.array(v["strings"]) if isinstance(v, dict) and "strings" in v else v
                     for k, v in step["values"].items()}
            state |= {k.partition("/")[2]: v for k, v in arrays.items() if k.partition("/")[0] == str(i)}
            estimator.set_state(state)
            steps.append(estimator)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{folder}/model.json is damaged: {error!r}") from None
    return steps[0] if len(steps) == 1 else make_pipeline(*steps)
