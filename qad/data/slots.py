"""Samples whose particles stand in slots, one for each object of an event: two jets of a dijet, for instance."""

from __future__ import annotations

import numpy as np

from qad.data.sample import Sample
from qad.errors import InputError, did_you_mean

JET = ("pt", "eta", "phi", "mass")


def slot_names(sample: Sample) -> tuple[str, ...]:
    """Names of the slots of ``sample``, each once, in order; empty for plain jets."""
    return tuple(dict.fromkeys(sample.meta.get("slots", ())))


def slot_of(sample: Sample, name: str) -> np.ndarray:
    """Which particle columns belong to the slot ``name``, bool ``(p,)``. Raises :class:`InputError` if none does."""
    if name not in slot_names(sample):
        if not slot_names(sample):
            raise InputError(f"this sample has no slots, so there is no '{name}' in it; expected one such as `qad simulate "
                             "dijets` makes")
        raise InputError(did_you_mean(name, slot_names(sample), "slot"))
    return np.array([slot == name for slot in sample.meta["slots"]])


def object_of(sample: Sample, name: str) -> Sample:
    """The particles of one slot as an ordinary sample of jets, on which every jet representation works.

    ``{name}_pt``, ``{name}_eta``, ``{name}_phi``, ``{name}_mass`` become ``jet_pt`` …; features, the other slots and their
    extras stay behind; label, process, weight and the extras of the event (``m_jj``) come along.
    Raises :class:`InputError` for a slot that the sample has not.
    """
    columns = slot_of(sample, name)
    particles = sample.particles[:, columns]
    order = np.argsort(-particles[..., 0], axis=1, kind="stable")
    extras = {k: v for k, v in sample.extras.items() if k.partition("_")[0] not in slot_names(sample)}
    extras |= {f"jet_{c}": sample.extras[f"{name}_{c}"] for c in JET if f"{name}_{c}" in sample.extras}
    return Sample(
        particles=np.take_along_axis(particles, order[..., None], axis=1),
        label=sample.label,
        process=sample.process,
        weight=sample.weight,
        particle_extras={k: np.take_along_axis(v[:, columns], order, axis=1) for k, v in sample.particle_extras.items()},
        extras=extras,
        meta={k: v for k, v in sample.meta.items() if k != "slots"} | {"object": name},
    )
