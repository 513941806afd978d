"""One jet or one event as a picture: what stands in it is put together here, and drawn by :mod:`qad.report.portraits`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qad.data.charges import charge_of
from qad.data.kinematics import cartesian, eta_phi, invariant_mass
from qad.data.sample import Sample
from qad.data.store import iter_chunks, read
from qad.errors import InputError
from qad.report.plots import check_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Jet radius where the sample does not say.
RADIUS = 0.8
#: Events of the sample that a feature is held against.
REFERENCE = 10_000
KINDS = ("charged hadron", "neutral hadron", "photon", "lepton", "particle")
JET_SLOT = re.compile(r"j\d+")


@dataclass(frozen=True)
class Jet:
    """One jet: particles relative to its axis, its Lund planes, its image."""

    title: str
    notes: str
    pt: float  # GeV
    radius: float  # 0.8 where the sample does not say
    share: np.ndarray  # (k,) pT / pT(jet), descending
    dy: np.ndarray  # (k,)
    dphi: np.ndarray  # (k,) rad
    kind: np.ndarray  # (k,) index into kinds
    primary: np.ndarray  # (l, 2) ln 1/Δ, ln kT
    secondary: np.ndarray  # (m, 2)
    tree: np.ndarray  # (l + m - 1, 2, 2) each splitting but the first, and the one that its branch left
    softer: np.ndarray  # (l + m - 1,) bool, whether the one lies on a softer branch
    image: np.ndarray  # (40, 40) √(share of pT)
    extent: float  # rad, half the side of the image
    kinds: tuple[str, ...] = KINDS
    circle: bool = True  # whether the sample says its radius


@dataclass(frozen=True)
class Item:
    """One object of an event: a lepton, a jet, missing transverse momentum. GeV and rad."""

    label: str
    group: str  # its slot without a number: e, mu, jet, met, j …
    pt: float
    eta: float
    phi: float
    mass: float
    constituents: np.ndarray | None = None  # (k, 3) pT, η, φ of a jet that is kept with its particles


@dataclass(frozen=True)
class Event:
    """One event: its objects, and the radius of the jets that are kept with their particles."""

    title: str
    notes: str
    items: tuple[Item, ...]
    radius: float
    circle: bool = True  # whether the sample says it


@dataclass(frozen=True)
class Features:
    """The features of one event, and where they lie among those of the first events of its sample."""

    title: str
    notes: str
    names: tuple[str, ...]
    units: tuple[str, ...]
    value: np.ndarray  # (f,)
    percentile: np.ndarray  # (f,) share of the reference below, ties half, 0 to 100
    reference: np.ndarray  # (n, f)


def show(sample: Sample | str | Path, index: int, out: str | Path | None = None) -> Path | Figure:
    """Draw event ``index`` (from 0) of a sample or file: a jet, an event with its objects, or features among those of others.

    out   .png, .svg or .pdf, whose path is given back; the matplotlib figure itself where left out

    Raises :class:`InputError` if there is no such event, nothing in it to draw, or no picture can be written there.
    """
    from qad.report import portraits

    if out is not None:
        check_picture(Path(out))
    record = picture_of(sample, index)
    figure = {Jet: portraits.jet, Event: portraits.event, Features: portraits.features}[type(record)](record)
    if out is None:
        return figure
    portraits.save(figure, Path(out))
    return Path(out)


def picture_of(sample: Sample | str | Path, index: int) -> Jet | Event | Features:
    """All that :func:`show` draws, as a record; see there."""
    if isinstance(index, bool) or not isinstance(index, int | np.integer):
        raise InputError(f"expected the number of an event, from 0; got {index!r}")
    one, where = _event(sample, int(index))
    if not one.present.any():
        if not one.feature_names:
            raise InputError(f"{where} holds neither particles nor features: there is nothing to draw")
        first = sample[:REFERENCE] if isinstance(sample, Sample) else read(sample, 0, REFERENCE)
        return _features(one, first.features, where)
    return objects_of(one, where) if "slots" in one.meta else _jet(one, where)


def _event(sample: Sample | str | Path, index: int) -> tuple[Sample, str]:
    if isinstance(sample, Sample):
        name, n = "the sample", len(sample)
        found = sample[index : index + 1] if 0 <= index < n else None
    else:
        name, n = Path(sample).name, 0
        found = read(sample, index, index + 1) if index >= 0 else None
        if found is None or not len(found):
            found, n = None, sum(len(chunk) for chunk in iter_chunks(sample))
    if found is None:
        raise InputError(f"there is no event {index} in {name}: it holds "
                         + (f"{n:,}, numbered from 0 to {n - 1}" if n else "no events"))
    return found, f"event {index} of {name}"


def setting(sample: Sample, name: str) -> float | None:
    """A number of the selection that the sample was made with, such as the jets' ``radius``; None where it does not say."""
    selection = sample.meta.get("selection")
    value = selection.get(name) if isinstance(selection, dict) else None
    return float(value) if isinstance(value, int | float) and value > 0 else None


def _process(sample: Sample, what: str = "") -> str:
    name = "" if sample.process[0] == "unknown" else str(sample.process[0])
    text = " ".join(part for part in (name, what) if part)
    return f"{text}, " if text else ""


def _notes(sample: Sample, features: bool = True) -> str:
    """Extras of one event, and its features, as text; longer arrays are left out."""
    label = {0: "background", 1: "signal"}.get(int(sample.label[0]), "unknown")
    parts = [f"label {label}"] + ([f"weight {sample.weight[0]:.4g}"] if sample.weight[0] != 1 else [])
    for name, value in sample.extras.items():
        if value[0].size <= 4:
            shown = ", ".join(f"{v:.5g}" if value.dtype.kind == "f" else str(v) for v in np.ravel(value[0]).tolist())
            parts.append(f"{name} {shown}")
    if features:
        for name, unit, value in zip(sample.feature_names, sample.feature_units, sample.features[0], strict=True):
            parts.append(f"{name} {value:.5g} {unit}".strip())
    return "  ·  ".join(parts)


def _kinds(sample: Sample, k: int) -> np.ndarray:
    """Index into ``KINDS`` of the first ``k`` particles of one jet, from PDG ids and charges as far as they are there."""
    kind = np.full(k, KINDS.index("particle"))
    extras = {name: values[0, :k] for name, values in sample.particle_extras.items()}
    if "charge" in extras:
        kind = np.where(extras["charge"] != 0, 0, 1)
    if "pdg_id" in extras:
        pdg = extras["pdg_id"].astype(np.int64)
        if "charge" not in extras:
            kind = np.where(pdg == 0, kind, np.where(charge_of(pdg) != 0, 0, 1))
        kind = np.where(pdg == 22, 2, np.where(np.isin(np.abs(pdg), (11, 13)), 3, kind))
    return kind


def _jet(one: Sample, where: str) -> Jet:
    from qad.representations import Images
    from qad.representations.constituents import centred
    from qad.representations.lund import declusterings

    particles = one.particles.astype(np.float64)
    k = int(one.present.sum())
    momentum = cartesian(particles).sum(1)
    pt, mass = float(np.hypot(*momentum[0, :2])), float(invariant_mass(momentum)[0])
    eta = float(eta_phi(momentum)[0][0])
    radius = setting(one, "radius") or RADIUS
    share, dy, dphi = (x[0, :k] for x in centred(particles))
    lund = declusterings(particles)
    points, primary = lund.values[0, :, :2], lund.primary[0]
    return Jet(
        title=f"{_process(one, 'jet')}{where}:  pT {pt:.0f} GeV,  η {eta:.2f},  mass {mass:.1f} GeV,  {k} constituents",
        notes=_notes(one), pt=pt, radius=radius, share=share, dy=dy, dphi=dphi, kind=_kinds(one, k),
        primary=points[primary], secondary=points[~primary],
        tree=np.stack([points[1:], points[lund.parent[0, 1:]]], axis=1), softer=~primary[1:],
        image=Images(pixels=40, extent=radius, power=0.5).fit_transform(one)[0], extent=radius,
        circle=setting(one, "radius") is not None,
    )


def objects_of(one: Sample, where: str) -> Event:
    """Objects of an event by the names of their slots; slots j1 …, j2 … that are repeated hold the particles of one jet."""
    slots = [str(s) for s in one.meta["slots"]]
    particles, present = one.particles[0].astype(np.float64), one.present[0]
    items = []
    for slot in dict.fromkeys(slots):
        mine = np.flatnonzero(np.array(slots) == slot)
        group = slot.rstrip("0123456789") or slot
        filled = mine[present[mine]]
        if JET_SLOT.fullmatch(slot) and len(mine) > 1:
            if len(filled):
                momentum = cartesian(particles[filled]).sum(0)
                eta, phi = eta_phi(momentum)
                items.append(Item(slot, group, float(np.hypot(*momentum[:2])), float(eta), float(phi),
                                  float(invariant_mass(momentum)), particles[filled, :3]))
            continue
        for i in filled:
            label = slot if len(mine) == 1 else f"{slot}{i - mine[0] + 1}"
            items.append(Item(label, group, *particles[i].tolist()))
    scalar = sum(item.pt for item in items if item.group != "met")
    title = f"{_process(one)}{where}:  {len(items)} objects,  scalar sum of pT {scalar:.0f} GeV"
    return Event(title=title, notes=_notes(one), items=tuple(items), radius=setting(one, "radius") or 1.0,
                 circle=setting(one, "radius") is not None)


def _features(one: Sample, reference: np.ndarray, where: str) -> Features:
    value = one.features[0]
    percentile = 50 * ((reference < value).mean(0) + (reference <= value).mean(0))
    return Features(title=f"{_process(one)}{where}:  among the first {len(reference):,} events of its sample",
                    notes=_notes(one, features=False), names=one.feature_names, units=one.feature_units, value=value,
                    percentile=percentile, reference=reference)
