"""Public file formats of the field, one file each, found by name through the entry points ``qad.formats``."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from qad import registry
from qad.data.formats.base import Events, Format, by_pt, chunks_of, lacks
from qad.errors import InputError

__all__ = ["Events", "Format", "by_pt", "chunks_of", "get", "lacks", "names", "recognise"]


def names() -> list[str]:
    """Names of all formats, sorted."""
    return registry.names(registry.FORMATS)


@cache
def get(name: str) -> Format:
    """The format called ``name``. Raises :class:`InputError` if there is none."""
    found: Format = registry.find(registry.FORMATS, name, installed_only=True)()
    return found


def recognise(path: Path) -> Format | None:
    """The format of the file at ``path``, or None for none of them. Raises :class:`InputError` where two formats claim it."""
    found = [f for f in map(get, names()) if path.name.lower().endswith(f.suffixes) and f.recognises(path)]
    if len(found) > 1:
        raise InputError(f"{path} could be {' or '.join(f.name for f in found)}: say which with  "
                         f"qad data import {found[0].name} {path.name} -o sample.h5")
    return found[0] if found else None
