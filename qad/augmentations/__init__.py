"""Random changes of jets and events that a learned representation shall not see, or shall see: vectorised, in torch.

``get("soft", strength=0.1)`` makes one by its name; :func:`names` has all. Jets: ``rotate``, ``translate``, ``collinear``,
``soft``; anomalous ``drop``, ``subjet-shift``, ``reweight``. Events: ``azimuth``, ``smear-angles``, ``smear-energy``;
anomalous ``add-objects``, ``split-objects``, ``shift-met``, ``shift-pt``, ``shift-all``, ``shift``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from qad.augmentations import base, events, jets
from qad.augmentations.base import Augmentation
from qad.errors import InputError, did_you_mean

JETS, EVENTS = jets.JETS, events.EVENTS
ALL = {**JETS, **EVENTS}

__all__ = ["ALL", "EVENTS", "JETS", "Augmentation", "chain", "get", "names"]


def names(kind: str | None = None) -> list[str]:
    """Names of all augmentations, or of those of a ``kind``: positive, anomalous."""
    return sorted(name for name, cls in ALL.items() if kind in (None, cls.kind))


def get(name: str, **params: Any) -> Augmentation:
    """The augmentation called ``name``, with ``params``. Raises :class:`InputError`."""
    if name not in ALL:
        raise InputError(did_you_mean(name, ALL, "augmentation"))
    known = [f.name for f in fields(ALL[name])]
    for parameter in params:
        if parameter not in known:
            raise InputError(f"augmentation '{name}' has no parameter '{parameter}'; it takes {', '.join(known) or 'none'}")
    made = ALL[name](**params)
    base.check(made)
    return made


def chain(given: Sequence[str | Mapping[str, Any]], kind: str, of: Mapping[str, type[Augmentation]] = ALL,
          **params: Any) -> list[Augmentation]:
    """Augmentations of one ``kind`` from their names, or from ``{use: NAME, parameter: value}``; all get ``params``.

    Raises :class:`InputError` for one that is not among ``of`` (jets or events), or of another kind.
    """
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise InputError(f"expected a list of augmentations, such as [rotate, translate]; got {given!r}")
    made = []
    for one in given:
        if not isinstance(one, str | Mapping):
            raise InputError(f"expected the name of an augmentation or {{use: NAME, …}}; got {one!r}")
        settings = {"use": one} if isinstance(one, str) else dict(one)
        name = str(settings.pop("use", None))
        if twice := set(settings) & set(params):
            raise InputError(f"augmentation '{name}': {min(twice)} is read off the events; leave it out")
        if name not in of:
            raise InputError(did_you_mean(str(name), of, "augmentation"))
        found = get(name, **settings, **params)
        if found.kind != kind:
            raise InputError(f"augmentation '{name}' is {found.kind}; expected one that is {kind}: "
                             f"{', '.join(n for n, c in of.items() if c.kind == kind)}")
        made.append(found)
    return made
