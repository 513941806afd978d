"""What a user gives, and what stands in files that a user may have changed."""

from __future__ import annotations

import math
from typing import Any

from qad.errors import InputError

#: What a record needs for jobs and scores, and of what type.
RECORD = {"tag": str, "read": int, "circuit": list, "estimate": dict, "request": dict}
REQUEST = {"model": str, "data": str, "events": int, "backend": str, "shots": int, "seed": int, "mode": str, "mitigation": str,
           "chunk": int, "options": dict}
ESTIMATE = {"machine": str, "qubits": int, "layout": list, "two_qubit_gates": int, "depth": int, "success": int | float,
            "circuit_seconds": int | float | None, "rep_delay": int | float, "events": int, "shots": int, "executions": int,
            "jobs": int, "qpu_seconds": int | float, "ignored": list, "mode": str}
ATTEMPT = {"tag": str, "intended": int | float, "asked": int | float | None, "job": str | None, "state": str, "reason": str,
           "qpu_seconds": int | float | None}


def seconds(name: str, value: float | None) -> float | None:
    """``value`` if it is None or a time. Raises :class:`InputError`."""
    if value is not None and not (math.isfinite(value) and value >= 0):
        raise InputError(f"{name}={value}: expected seconds, a number from 0")
    return value


def whole_record(record: Any) -> bool:
    """Is this all of a plan.json, with events, chunks and shots?"""
    return (_has(record, RECORD) and _has(record["request"], REQUEST) and _has(record["estimate"], ESTIMATE)
            and record["estimate"].keys() == ESTIMATE.keys() and "max_seconds" in record
            and isinstance(record["max_seconds"], int | float | None)
            and all(record["request"][name] >= 1 for name in ("events", "chunk", "shots")))


def whole_chunk(found: Any) -> bool:
    """Is this all of a chunk's file?"""
    return (_has(found, {"attempts": list, "split": int | None}) and all(_has(a, ATTEMPT) for a in found["attempts"])
            and all(a.keys() == ATTEMPT.keys() for a in found["attempts"]))


def _has(found: Any, kinds: dict[str, Any]) -> bool:
    return isinstance(found, dict) and all(name in found and isinstance(found[name], kind) for name, kind in kinds.items())
