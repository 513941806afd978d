"""Settings of detectors that cannot be are one sentence: what was expected, and what came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from qad.errors import InputError


def whole(name: str, value: Any, least: int) -> None:
    """Raise :class:`InputError` unless ``value`` is a whole number from ``least``."""
    if isinstance(value, bool | np.bool) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"{name}={value!r}: expected a whole number from {least}")


def number(name: str, value: Any, above: bool = False) -> None:
    """Raise :class:`InputError` unless ``value`` is a finite number from 0, or above it."""
    if not _number(value) or not 0 <= value < np.inf or (above and value == 0):
        raise InputError(f"{name}={value!r}: expected a number {'above' if above else 'from'} 0")


def share(name: str, value: Any) -> None:
    """Raise :class:`InputError` unless ``value`` is a share of events, from 0 to below 1."""
    if not _number(value) or not 0 <= value < 1:
        raise InputError(f"{name}={value!r}: expected a share of events from 0 to below 1")


def flag(name: str, value: Any) -> None:
    """Raise :class:`InputError` unless ``value`` is true or false."""
    if not isinstance(value, bool | np.bool):
        raise InputError(f"{name}={value!r}: expected true or false")


def sizes(name: str, value: Any, example: str = "[64, 32]", empty: bool = True) -> None:
    """Raise :class:`InputError` unless ``value`` is a list of layer sizes, whole numbers from 1; ``empty`` allows none."""
    fits = isinstance(value, Sequence | np.ndarray) and not isinstance(value, str) and all(
        isinstance(k, int | np.integer) and not isinstance(k, bool) and k >= 1 for k in value)
    if not fits or not (empty or len(value)):
        raise InputError(f"{name}={value!r}: expected a list of positive layer sizes, such as {example}")


def _number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
