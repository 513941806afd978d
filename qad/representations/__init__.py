"""Sample → array: scikit-learn transformers whose learned state comes from background training events only."""

from __future__ import annotations

from typing import Any

from qad import registry
from qad.errors import InputError
from qad.representations.base import Representation
from qad.representations.constituents import Constituents, GirthShares, PtWeighted
from qad.representations.events import EventFeatures
from qad.representations.images import Images
from qad.representations.objects import Objects
from qad.representations.scaling import Angles, Flatten, Power, Standardise
from qad.representations.substructure import Substructure

# LearnedLatent stays in qad.representations.latent, found by name: it loads torch
__all__ = ["Angles", "Constituents", "EventFeatures", "Flatten", "GirthShares", "Images", "Objects", "Power",
           "PtWeighted", "Representation", "Standardise", "Substructure", "get", "names"]


def get(name: str, **params: Any) -> Representation:
    """The representation registered as ``name`` (or ``module:Class``), constructed with ``params``.

    >>> get("constituents", n_particles=8)
    Constituents(n_particles=8)
    """
    cls = registry.find(registry.REPRESENTATIONS, name)
    if not (isinstance(cls, type) and issubclass(cls, Representation)):
        raise InputError(f"'{name}' is no representation: expected a subclass of qad.representations.Representation")
    return registry.construct("representation", name, cls, params)


def names() -> list[str]:
    """Names of all registered representations."""
    return registry.names(registry.REPRESENTATIONS)
