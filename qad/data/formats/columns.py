"""A Sample as named columns of a table, and back, bit by bit: what ROOT and Parquet files of ours share.

Particles become lists as long as the event has particles; features, extras and the rest one column each. A plan, kept in the
file as a line of JSON, says which column holds what, so that names with odd characters and all dtypes come back as they were.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from qad.data.formats.whole import as_json
from qad.data.sample import PARTICLE_COLUMNS, Sample
from qad.errors import InputError

VERSION = 1
#: Names by which the package *vector* knows parts of a momentum: an extra of this name would be taken for one.
MOMENTUM = ("x", "y", "z", "t", "px", "py", "pz", "rho", "theta", "tau", "E", "e", "energy", "M", "m")
#: More particles than any event has: a bound for what a file may claim.
WIDEST = 2**16


def plan(sample: Sample) -> dict[str, Any]:
    """Which column holds what: ``particles`` slots, and [column, name, …] for every feature and extra.

    Raises :class:`InputError` for numbers that need more than eight bytes.
    """
    taken = {*PARTICLE_COLUMNS, *MOMENTUM}
    extras = [*sample.particle_extras.items(), *sample.extras.items()]
    for name, array in extras:
        if array.dtype.itemsize > 8:
            raise InputError(f"the extra '{name}' has dtype {array.dtype}, which this format cannot hold; use float64")
    return {
        "format": "qad.sample",
        "version": VERSION,
        "slots": sample.particles.shape[1],
        "features": [[_column("feature_", name, taken), name, unit]
                     for name, unit in zip(sample.feature_names, sample.feature_units, strict=True)],
        "particle_extras": [[_column("", name, taken), name, a.dtype.str] for name, a in sample.particle_extras.items()],
        "extras": [[_column("extra_", name, taken), name, a.dtype.str, list(a.shape[1:])] for name, a in sample.extras.items()],
    }


def _column(prefix: str, name: str, taken: set[str]) -> str:
    stem = prefix + re.sub(r"\W", "_", name, flags=re.ASCII)
    column, k = stem, 2
    while column in taken or not column:
        column, k = f"{stem}_{k}", k + 1
    taken.add(column)
    return column


def plan_text(plan: Mapping[str, Any], meta: Mapping[str, Any], **more: Any) -> str:
    """The line of JSON that the file keeps."""
    return as_json({**plan, **more, "meta": dict(meta)})


def read_plan(text: str | bytes | None) -> dict[str, Any]:
    """The plan that a file keeps. Raises :class:`InputError` unless it is one of ours."""
    try:
        plan: dict[str, Any] = json.loads(text or "")
        whole = (plan["format"] == "qad.sample" and isinstance(plan["meta"], dict) and 0 <= plan["slots"] <= WIDEST
                 and all(isinstance(x, str) for row in plan["features"] for x in row)
                 and {len(row) for row in plan["features"]} <= {3} and {len(row) for row in plan["particle_extras"]} <= {3})
        for row in (*plan["particle_extras"], *plan["extras"]):
            dtype = np.dtype(row[2])
            whole &= dtype.kind in "biuf" and dtype.itemsize <= 8 and isinstance(row[0], str) and isinstance(row[1], str)
        for row in plan["extras"]:
            whole &= len(row) == 4 and all(isinstance(k, int) and 0 <= k <= WIDEST for k in row[3])
        version = plan["version"]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        whole, version = False, VERSION
    if version != VERSION:
        raise InputError(f"this file has version {version} of the plan of its columns; this version reads {VERSION}")
    if not whole:
        raise InputError("the plan of its columns is damaged: expected what qad wrote; copy the file again")
    return plan


def row_bytes(plan: Mapping[str, Any]) -> int:
    """Bytes of one event in memory."""
    lists = 16 + sum(np.dtype(row[2]).itemsize for row in plan["particle_extras"])
    extras = sum(np.dtype(row[2]).itemsize * int(np.prod(row[3])) for row in plan["extras"])
    return int(plan["slots"] * lists + extras + 4 * len(plan["features"]) + 16)


def taken_apart(sample: Sample, plan: Mapping[str, Any]) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """``(counts, lists, columns)``: particles per event, the flat content of the lists, and the columns ``(n, …)``.

    A list ends with the last slot in which any bit is set: gaps inside (objects of an event) stay, the padding goes.
    """
    fields = {name: sample.particles[..., k] for k, name in enumerate(PARTICLE_COLUMNS)}
    fields |= {column: sample.particle_extras[name] for column, name, _ in plan["particle_extras"]}
    n, p = sample.particles.shape[:2]
    filled = np.zeros((n, p), dtype=bool)
    for array in fields.values():
        filled |= np.ascontiguousarray(array).view(np.uint8).reshape(n, p, array.dtype.itemsize).any(-1)
    counts = (filled * np.arange(1, p + 1)).max(axis=1, initial=0)
    inside = np.arange(p) < counts[:, None]
    lists = {name: _native(array[inside]) for name, array in fields.items()}
    columns = {"label": sample.label, "weight": sample.weight}
    columns |= {column: sample.feature(name) for column, name, _ in plan["features"]}
    columns |= {column: _native(sample.extras[name]) for column, name, _, shape in plan["extras"] if 0 not in shape}
    return counts, lists, columns


def _native(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32 if array.dtype == np.float16 else array.dtype.newbyteorder("="))


def put_together(plan: Mapping[str, Any], counts: np.ndarray, lists: Mapping[str, np.ndarray],
                 columns: Mapping[str, np.ndarray], process: np.ndarray) -> Sample:
    """The Sample that :func:`taken_apart` took apart."""
    n, p = len(counts), plan["slots"]
    if counts.max(initial=0) > p or counts.min(initial=0) < 0:
        raise InputError(f"an event has {counts.max()} particles, more than the {p} of its plan; copy the file again")
    inside = np.arange(p) < counts[:, None]

    def padded(name: str, dtype: Any) -> np.ndarray:
        out = np.zeros((n, p), dtype)
        if p:
            out[inside] = lists[name]
        return out

    features = [columns[column] for column, *_ in plan["features"]]
    return Sample(
        particles=np.stack([padded(name, np.float32) for name in PARTICLE_COLUMNS], axis=-1),
        features=np.column_stack(features) if features else None,
        feature_names=tuple(name for _, name, _ in plan["features"]),
        feature_units=tuple(unit for *_, unit in plan["features"]),
        label=columns["label"],
        process=process,
        weight=columns["weight"],
        particle_extras={name: padded(column, dtype) for column, name, dtype in plan["particle_extras"]},
        extras={name: (columns[column].astype(dtype) if column in columns else np.zeros((n, *shape), dtype)).reshape(n, *shape)
                for column, name, dtype, shape in plan["extras"]},
        meta=plan["meta"],
    )


def leading(counts: np.ndarray, pt: np.ndarray, slots: int) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """The first ``slots`` of each list in descending pT: where they stand in the flat content, and (event, slot) where they go.

    counts   entries per event; their sum is the length of ``pt``
    """
    event = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((-pt, event))
    slot = np.arange(len(pt)) - np.repeat(np.cumsum(counts) - counts, counts)
    kept = slot < slots
    return order[kept], (event[kept], slot[kept])
