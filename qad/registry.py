"""Find detectors, representations, encodings, ansätze, backends and file formats by name, through entry points.

A third-party package that declares ``[project.entry-points."qad.detectors"]`` appears here without being imported;
``module:Class`` reaches a class that is not registered.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import re
import sys
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from qad.errors import InputError, did_you_mean, nearest

DETECTORS = "qad.detectors"
REPRESENTATIONS = "qad.representations"
ENCODINGS = "qad.encodings"
ANSATZE = "qad.ansatze"
BACKENDS = "qad.backends"
FORMATS = "qad.formats"


@cache
def _table(group: str) -> dict[str, EntryPoint]:
    return {e.name: e for e in entry_points(group=group)}


def names(group: str) -> list[str]:
    """Registered names of a ``group``, sorted."""
    return sorted(_table(group))


def find(group: str, name: str, installed_only: bool = False) -> Any:
    """What is registered as ``name``, or named as ``module:Class``. Raises :class:`InputError` if there is none.

    ``installed_only``: no ``module:Class``, for names that come from a file.
    """
    what = {ANSATZE: "ansatz"}.get(group, group.removeprefix("qad.").removesuffix("s"))
    table = _table(group)
    if name in table:
        try:
            return table[name].load()
        except Exception as broken:  # another package may raise anything
            raise InputError(f"{what} '{name}' is registered as {table[name].value}, but loading it fails: "
                             f"{' '.join(str(broken).split()) or type(broken).__name__}") from broken
    if not installed_only and re.fullmatch(r"[\w.]+:\w+", name):
        module, _, cls = name.partition(":")
        try:
            return getattr(importlib.import_module(module), cls)
        except (ImportError, AttributeError) as missing:
            raise InputError(f"{what} '{name}' cannot be imported: {missing}") from missing
    raise InputError(did_you_mean(name, table, what))


def construct(what: str, name: str, cls: type[Any], params: dict[str, Any]) -> Any:
    """``cls(**params)``, or the sentence for a parameter that it does not have."""
    known = cls._get_param_names()
    for parameter in params:
        if parameter not in known:
            raise InputError(f"{what} '{name}' has no parameter '{parameter}'; it takes {', '.join(known) or 'none'}"
                             f"{nearest(parameter, known)}")
    usual = inspect.signature(cls).parameters
    for parameter, value in params.items():  # a word where a number is meant would fail far from here
        default = usual[parameter].default if parameter in usual else None
        if isinstance(value, str) and isinstance(default, int | float):
            kind = "true or false" if isinstance(default, bool) else "a number"
            raise InputError(f"{what} '{name}': {parameter} = '{value}'; expected {kind}, such as {parameter}={default}")
    return cls(**params)


def source_digest(cls: type) -> str:
    """Short hash of the modules that ``cls`` and its bases are written in, of what these import from their own package, and of
    those that its attribute ``sources`` names.

    An edited detector is another detector, and so is one whose engine was edited.
    """
    digest = hashlib.sha256()
    for module in sorted(_sources({base.__module__ for base in cls.__mro__}) | set(getattr(cls, "sources", ()))):
        try:
            digest.update(inspect.getsource(sys.modules[module]).encode())
        except (OSError, TypeError, KeyError):  # built in, or typed into a notebook
            digest.update(module.encode())
    return digest.hexdigest()[:10]


def _sources(modules: set[str]) -> set[str]:
    found, todo = set(), list(modules)
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found.add(name)
        package = name.rpartition(".")[0]
        if package and package != "qad" and name in sys.modules:  # what all detectors share is not theirs
            for value in vars(sys.modules[name]).values():
                other = value.__name__ if inspect.ismodule(value) else getattr(value, "__module__", None)
                if isinstance(other, str) and other.rpartition(".")[0] == package:
                    todo.append(other)
    return found


def registered_name(group: str, cls: type) -> str | None:
    """The name under which ``cls`` is registered, or None."""
    where = f"{cls.__module__}:{cls.__qualname__}"
    return next((n for n, e in _table(group).items() if e.value == where), None)
