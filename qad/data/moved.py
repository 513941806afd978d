"""A sample after its objects have moved: jets scaled, MET balanced, order restored, what follows from them worked out anew."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qad.data.derived import Change, Meanings, meanings, met_column, objects_of
from qad.data.sample import Sample
from qad.errors import InputError


@dataclass(frozen=True)
class Moved:
    """What a change does to the particles of a sample."""

    particles: np.ndarray  # (n, p, 4) float64, columns where they were
    factors: np.ndarray | None = None  # (n, jets) of the energy of each of jet_columns
    alike: bool = False  # whether all jets of an event have the same factor, also those that are not in the sample
    visible: bool = True  # whether more than MET changes
    features: Mapping[str, np.ndarray] = field(default_factory=dict)  # that are known without particles


def jet_pt(sample: Sample, name: str, columns: np.ndarray) -> np.ndarray:
    """pT [GeV] of a jet, ``(n,)``: the recorded one, or that of its constituents. Raises :class:`InputError` for no jet."""
    if f"{name}_pt" in sample.extras:
        return sample.extras[f"{name}_pt"].astype(np.float64)
    p = sample.particles[:, columns].astype(np.float64)
    pt = np.hypot((p[..., 0] * np.cos(p[..., 2])).sum(1), (p[..., 0] * np.sin(p[..., 2])).sum(1))
    if (pt < 0.5 * p[..., 0].sum(1)).any():
        raise InputError(f"{sample!r} is not of single jets, for the momenta of an entry's particles cancel: find jets in it "
                         "first")
    return np.asarray(pt)


def scaled(sample: Sample, jets: list[tuple[str, np.ndarray]], factors: np.ndarray) -> np.ndarray:
    """Particles with jet k at ``factors[:, k]`` times its energy, MET balanced; float64."""
    particles = sample.particles.astype(np.float64)
    recoil = np.zeros((len(sample), 2))
    for k, (_, columns) in enumerate(jets):
        f = factors[:, k, None]
        p = particles[:, columns]
        gained = (f - 1) * p[..., 0]
        recoil -= np.stack([(gained * np.cos(p[..., 2])).sum(1), (gained * np.sin(p[..., 2])).sum(1)], axis=1)
        particles[:, columns, 0] *= f
        particles[:, columns, 3] *= f
    met = met_column(sample)
    if met is not None:
        push(particles[:, met], recoil)
    return particles


def push(met: np.ndarray, kick: np.ndarray) -> None:
    """``kick`` (n, 2) = px, py [GeV] onto ``met`` (n, 4), in place; where there is none, no bit changes."""
    moved = (kick != 0).any(1)
    x = met[:, 0] * np.cos(met[:, 2]) + kick[:, 0]
    y = met[:, 0] * np.sin(met[:, 2]) + kick[:, 1]
    met[moved, 0], met[moved, 2] = np.hypot(x, y)[moved], np.arctan2(y, x)[moved]


def _sorted(particles: np.ndarray, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """``particles`` in descending pT among objects of one kind, and the order ``(n, p)`` that does it.

    b1 and b2 are of one kind; j1 and j2 keep their names, for features speak of them.
    """
    slots = sample.meta.get("slots")
    kinds = np.array([re.sub(r"^(b|bjet)\d+$", r"\1", s) for s in slots] if slots else [""] * particles.shape[1])
    order = np.tile(np.arange(particles.shape[1]), (len(particles), 1))
    for kind in dict.fromkeys(kinds.tolist()):
        columns = np.flatnonzero(kinds == kind)
        pt = particles[:, columns, 0]
        if (np.diff(pt, axis=1) > 0).any():  # most changes leave the order as it was
            order[:, columns] = columns[np.argsort(-pt, axis=1, kind="stable")]
    return np.take_along_axis(particles, order[..., None], axis=1), order


def rebuilt(sample: Sample, moved: Moved, told: dict[str, Any], drop_stale: bool, known: Meanings | None = None) -> Sample:
    """``sample`` after the change, in descending pT again, with every column that follows from its objects.

    known   what the columns mean, of a sample that is a part of a larger one
    """
    of_features, of_extras = meanings(sample) if known is None else known
    particles, order = _sorted(moved.particles.astype(np.float32), sample)
    factor = moved.factors[:, 0] if moved.factors is not None else None
    change = Change(objects_of(sample, sample.particles), objects_of(sample, particles, moved.factors), visible=moved.visible,
                    jet=factor if "slots" not in sample.meta else None, jets=factor if moved.alike else None)
    table = dict(zip(sample.feature_names, sample.features.T, strict=True))
    units = dict(zip(sample.feature_names, sample.feature_units, strict=True))
    features = {n: moved.features[n] if n in moved.features else change.column(n, table, of_features, units[n]) for n in table}
    extras = {n: change.column(n, sample.extras, of_extras) for n in sample.extras}
    stale = [n for n, column in (*features.items(), *extras.items()) if column is None]
    if stale and not drop_stale:
        raise InputError(f"{told['systematic']} would leave {', '.join(stale)} as before the change, for qad does not know how "
                         "that follows from the objects; add --drop-stale (drop_stale=True) to leave it out")
    kept = {n: column for n, column in features.items() if column is not None}
    return Sample(
        particles=particles,
        features=np.stack(list(kept.values()), axis=1) if kept else None,
        feature_names=tuple(kept),
        feature_units=tuple(units[n] for n in kept),
        label=sample.label,
        process=sample.process,
        weight=sample.weight,
        particle_extras={k: np.take_along_axis(v, order, axis=1) for k, v in sample.particle_extras.items()},
        extras={n: column for n, column in extras.items() if column is not None},
        meta={**sample.meta, "variation": told | ({"left_out": stale} if stale else {})},
    )
