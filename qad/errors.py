"""What a user did wrong, in one sentence: what was expected, what came, what to type next."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Iterable
from types import ModuleType


class InputError(ValueError):
    """Something the user gave cannot be used. The command line prints it as one sentence and exits with 2."""


class WriteError(InputError):
    """The disk is full or the folder cannot be written to; what was finished before is kept."""


class MissingExtra(ImportError):
    """An optional package is not installed. The message names the line to type."""


class DeadParameterWarning(UserWarning):
    """Trainable weights that cannot change any score: they cost training time and count for nothing."""


class NotConvergedWarning(UserWarning):
    """A training ended before its model describes the background; the message says what is off and what to change."""


class DirectionWarning(UserWarning):
    """The training events do not decide which way a score points: on others, typical and anomalous could change places."""


def beyond() -> int:
    """The ``stacklevel`` of a warning that names the user's line: the first outside of qad, classical and scikit-learn."""
    frame, level = sys._getframe(1), 1
    ours = ("qad", "classical", "sklearn")
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] in ours:
        frame, level = frame.f_back, level + 1
    return level


def require(module: str, extra: str) -> ModuleType:
    """Import an optional ``module``, or raise :class:`MissingExtra` naming the ``pip install`` line for ``extra``."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as missing:
        if missing.name is not None and missing.name.split(".")[0] != module.split(".")[0]:
            raise
        raise MissingExtra(
            f"{module} is not installed; it comes with the extra '{extra}': type  pip install 'qad-hep[{extra}]'"
        ) from None


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean '…'?`` with the nearest of ``known``, or nothing."""
    known = list(known)
    near = [k for k in known if k.lower() == name.lower()] or difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else ""


#: Commands that list all names of a kind.
LISTS = {"detector": "qad detectors", "process": "qad simulate processes", "format": "qad data formats",
         "data set": "qad data get"}


def did_you_mean(name: str, known: Iterable[str], what: str, most: int = 80, few: int = 10) -> str:
    """The sentence for an unknown ``name``: the nearest known one, and all of them.

    Of more than ``most``, or more than ``few`` of which one is near, only the nearest, or the command that lists them.
    """
    known = sorted(set(known))
    hint = nearest(name, known)
    if hint and len(known) > few and what in LISTS:
        return f"unknown {what} '{name}'{hint} All {len(known)}: type  {LISTS[what]}"
    if len(known) > (few if hint else most):
        close = difflib.get_close_matches(name.lower(), known, n=8, cutoff=0.3) or known[:8]
        return f"unknown {what} '{name}'{hint or '.'} Known: {', '.join(close)} and {len(known) - len(close)} others"
    return f"unknown {what} '{name}'{hint or '.'} Known: {', '.join(known) or 'none'}"
