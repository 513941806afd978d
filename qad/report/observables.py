"""What two samples are compared in: a number per event for each feature, extra, object and jet."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qad.data.charges import charge_of
from qad.data.kinematics import cartesian, eta_phi, invariant_mass
from qad.data.sample import Sample
from qad.report.display import JET_SLOT

#: Extras that number events and measure nothing.
NUMBERS = ("event",)
#: Objects of a repeated slot that are looked at one by one, the hardest first.
LEADING = 2
#: What the particles of a jet say that an extra ``jet_pt``, ``j1_pt`` … may have said already.
FROM_EXTRAS = {"pT": "pt", "η": "eta", "φ": "phi", "mass": "mass"}


class Column(NamedTuple):
    """A number for each event, NaN where it has none; its unit."""

    unit: str
    values: np.ndarray  # (n,)


def observables(sample: Sample) -> dict[str, Column]:
    """Every feature, every extra that is one number per event, and what the particles say, by name.

    Jets: pT, η, φ, mass (unless an extra says it), multiplicity, width, τ2/τ1, the hardest particle's share of pT, the
    charged share. Events: number, scalar sum of pT and the hardest two of every kind of object; the observables of a jet where
    a slot ``j1`` … holds the particles of one. GeV and rad.
    """
    columns = {name: Column(unit, sample.features[:, i].astype(np.float64))
               for i, (name, unit) in enumerate(zip(sample.feature_names, sample.feature_units, strict=True))}
    for name, values in sample.extras.items():
        if values.ndim == 1 and name not in NUMBERS:
            known = name in columns
            columns[f"{name} (extra)" if known else name] = Column("", values.astype(np.float64))
    if "slots" in sample.meta:
        columns |= _objects(sample)
    elif sample.particles.shape[1]:
        columns |= _unsaid(_jets(sample), sample, "jet")
    for name, (unit, values) in columns.items():
        if not np.isfinite(values).all():
            columns[name] = Column(unit, np.where(np.isfinite(values), values, np.nan))
    return columns


def _unsaid(columns: dict[str, Column], sample: Sample, jet: str) -> dict[str, Column]:
    return {name: column for name, column in columns.items() if f"{jet}_{FROM_EXTRAS.get(name)}" not in sample.extras}


def _charged(sample: Sample) -> np.ndarray | None:
    """Share of the pT that charged particles carry, ``(n,)``; None where neither charges nor PDG ids are there."""
    if "charge" in sample.particle_extras:
        charged = sample.particle_extras["charge"] != 0
    elif "pdg_id" in sample.particle_extras:
        charged = charge_of(sample.particle_extras["pdg_id"].astype(np.int64)) != 0
    else:
        return None
    pt = sample.particles[..., 0].astype(np.float64)
    return (pt * charged).sum(1) / np.maximum(pt.sum(1), 1e-12)


def _jets(jets: Sample) -> dict[str, Column]:
    from qad.representations import Substructure

    momentum = cartesian(jets.particles.astype(np.float64)).sum(1)
    pt = np.hypot(momentum[:, 0], momentum[:, 1])
    eta, phi = eta_phi(momentum)
    multiplicity, width, tau21 = Substructure(("multiplicity", "width", "tau21")).fit_transform(jets).T
    hardest = jets.particles[..., 0].max(1, initial=0) / np.maximum(jets.particles[..., 0].sum(1), 1e-12)
    columns = {"pT": ("GeV", pt), "η": ("", eta), "φ": ("rad", phi), "mass": ("GeV", invariant_mass(momentum)),
               "width": ("", width), "τ2/τ1": ("", tau21), "hardest share of pT": ("", hardest)}
    charged = _charged(jets)
    if charged is not None:
        columns["charged share of pT"] = ("", charged)
    there = jets.present.any(1)
    return {"multiplicity": Column("", multiplicity)} | {
        name: Column(unit, np.where(there, values, np.nan)) for name, (unit, values) in columns.items()}


def _objects(sample: Sample) -> dict[str, Column]:
    slots = np.array([str(slot) for slot in sample.meta["slots"]])
    columns: dict[str, Column] = {}
    for slot in dict.fromkeys(slots.tolist()):
        mine = np.flatnonzero(slots == slot)
        part, present = sample.particles[:, mine].astype(np.float64), sample.present[:, mine]
        if JET_SLOT.fullmatch(slot) and len(mine) > 1:
            found = _unsaid(_jets(_only(sample, mine)), sample, slot)
            columns |= {f"{slot} {name}": column for name, column in found.items()}
            continue
        if len(mine) > 1:
            columns[f"number of {slot}"] = Column("", present.sum(1).astype(np.float64))
            columns[f"sum of {slot} pT"] = Column("GeV", part[..., 0].sum(1))
        for i in range(min(len(mine), LEADING)):
            name = slot if len(mine) == 1 else f"{slot}{i + 1}"
            for what, unit, k in (("pT", "GeV", 0), ("η", "", 1), ("φ", "rad", 2)):
                if not (slot == "met" and what == "η"):  # it is not measured
                    columns[f"{name} {what}"] = Column(unit, np.where(present[:, i], part[:, i, k], np.nan))
    return columns


def _only(sample: Sample, mine: np.ndarray) -> Sample:
    """The particles in the slots ``mine`` as jets."""
    particles = sample.particles[:, mine]
    order = np.argsort(-particles[..., 0], axis=1, kind="stable")
    return Sample(particles=np.take_along_axis(particles, order[..., None], 1),
                  particle_extras={k: np.take_along_axis(v[:, mine], order, 1) for k, v in sample.particle_extras.items()})
