"""What is computed from an event's objects, and what becomes of it when their energies change.

Three kinds of columns follow a change exactly: those that no energy enters (angles, multiplicities, ratios such as τ21), those
proportional to the energy of the one jet they describe, and those with a formula here that reproduces the stored values. Every
other column would be stale.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from qad.data.kinematics import cartesian, delta_r, invariant_mass, opening_angle
from qad.data.sample import PARTICLE_COLUMNS, Sample

#: An object that a jet energy scale applies to, by its slot: jets and b-jets.
JET = re.compile(r"(jet|bjet|j|b)\d*")
MET = re.compile(r"met|MET")
#: No energy of a jet enters, nor MET: angles, places, numbers, ratios of energies inside one jet, leptons, truth, provenance.
_KEPT = re.compile(
    r"(\w+_)?(eta|phi|rapidity|deta|dphi|dr|delta_(r|eta|phi)(_jj)?|theta_(ll|bb)|d[rR]_\w+|ttv|event|index|weight\w*|tau_?\d_?\d"
    r"|z_?g|r_?g|n?constituents|nparticles|multiplicity|girth|width|p_?td|lsf\d|btag)(_light|_heavy)?"
    r"|(lep|lepton|l|e|electron|mu|muon)\d*_?(pt|energy|mass)|(truth|true|gen|label)_?\w*")
#: The same where the column is no energy: correlation ratios such as D2, numbers of things, flags.
_KEPT_NUMBERS = re.compile(r"(\w+_)?[cdmnCDMN]2(_light|_heavy)?|(\w+_)?n_\w+|is_?\w*")
_ENERGY = re.compile(r"\w*_(pt|et|mass|energy|px|py|pz)")
_ENERGY_UNITS = ("MeV", "GeV", "TeV")
_TAU = re.compile(r"(\w+_)?tau_?\d")
_OF_ONE = "(pt|mass|m|energy|E|e|px|py|pz|m_?sd|sd_?mass|soft_?drop_?mass)"
#: Proportional to the energy of the one jet that a sample of jets holds in each entry.
_OF_JET = re.compile(rf"(jet_?)?{_OF_ONE}")
#: Proportional to the energies of all jets where they change alike.
_OF_JETS = re.compile(rf"(b|bjet|j|jet)\d*_?{_OF_ONE}|m_?jj|m_?bb|m_light|m_heavy|dm|p[xyz]j\d|mj\d")

Objects = Mapping[str, np.ndarray]  # name: (n, 4) = pT [GeV], eta, phi [rad], mass [GeV]


def jet_columns(sample: Sample) -> list[tuple[str, np.ndarray]]:
    """The jets of a sample: name, and the particle columns ``(c,)`` that are the jet itself or its constituents."""
    slots = sample.meta.get("slots")
    if slots is None:
        return [("jet", np.arange(sample.particles.shape[1]))] if sample.particles.shape[1] else []
    found: list[tuple[str, np.ndarray]] = []
    for name in dict.fromkeys(slots):
        columns = np.array([k for k, slot in enumerate(slots) if slot == name])
        if JET.fullmatch(name):
            found += [(name, columns)] if f"{name}_pt" in sample.extras else [(name, columns[k : k + 1]) for k in
                                                                            range(len(columns))]
    return found


def met_column(sample: Sample) -> int | None:
    """The particle column of the missing transverse energy, or None."""
    return next((k for k, slot in enumerate(sample.meta.get("slots", ())) if MET.fullmatch(slot)), None)


def objects_of(sample: Sample, particles: np.ndarray, factors: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Objects with a name of their own: slots of one column, and jets whose momentum stands in ``extras``.

    particles  ``(n, p, 4)``, those of the sample or what they have become; ``factors`` ``(n, jets)`` of the energies of
               :func:`jet_columns`, for jets whose momentum is in ``extras``

    Under ``jets`` comes the scalar sum of pT of all jets in slots of one column, as pT.
    """
    slots, found = list(sample.meta.get("slots", ())), {}
    jets = jet_columns(sample) if slots else []
    scale = {} if factors is None else {name: factors[:, k] for k, (name, _) in enumerate(jets)}
    for name in dict.fromkeys(slots):
        if all(f"{name}_{c}" in sample.extras for c in PARTICLE_COLUMNS):
            f = scale.get(name, np.ones(len(sample)))
            found[name] = np.stack([sample.extras[f"{name}_{c}"] * (f if c in ("pt", "mass") else 1) for c in PARTICLE_COLUMNS],
                                   axis=-1, dtype=np.float64)
        elif slots.count(name) == 1:
            found[name] = particles[:, slots.index(name)].astype(np.float64)
    single = [columns[0] for _, columns in jets if len(columns) == 1]
    if single:
        found["jets"] = np.zeros((len(sample), 4))
        found["jets"][:, 0] = particles[:, single, 0].sum(1, dtype=np.float64)
    return found


def _pair(a: str, b: str, of: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Callable[[Objects], np.ndarray]:
    return lambda objects: of(cartesian(objects[a]), cartesian(objects[b]))


#: Columns with a formula in the objects. A name met here means this only where the formula gives the stored values.
_FORMULAS: dict[str, Callable[[Objects], np.ndarray]] = {
    "theta_ll": _pair("lep1", "lep2", opening_angle), "theta_bb": _pair("b1", "b2", opening_angle),
    "m_jj": _pair("j1", "j2", lambda a, b: invariant_mass(a + b)), "delta_r": _pair("j1", "j2", delta_r),
    "delta_eta": lambda o: np.abs(o["j1"][:, 1] - o["j2"][:, 1]),
    "m_light": lambda o: np.minimum(o["j1"][:, 3], o["j2"][:, 3]),
    "m_heavy": lambda o: np.maximum(o["j1"][:, 3], o["j2"][:, 3]), "dm": lambda o: np.abs(o["j1"][:, 3] - o["j2"][:, 3]),
    "met": lambda o: o["met"][:, 0],
}


def _formula(name: str, objects: Objects) -> Callable[[Objects], np.ndarray] | None:
    for k, column in enumerate(PARTICLE_COLUMNS):
        for joined in ("_", ""):
            owner = name.removesuffix(joined + column)
            if owner != name and owner in objects:
                return lambda o, owner=owner, k=k: o[owner][:, k]  # type: ignore[misc]
    return _FORMULAS.get(name)


@dataclass(frozen=True)
class Meaning:
    """What the stored values of a table tell of its columns, in all events of a sample: a part of it may tell otherwise.

    exact  columns that the formula of their name gives
    large  columns with a value above 2
    """

    exact: frozenset[str]
    large: frozenset[str]

    def __and__(self, other: Meaning) -> Meaning:
        """Of the events of both."""
        return Meaning(self.exact & other.exact, self.large | other.large)


Meanings = tuple[Meaning, Meaning]  # of the features, of the extras


def meanings(sample: Sample) -> Meanings:
    """What the values of a sample's features and extras tell of them."""
    objects = objects_of(sample, sample.particles)
    features = dict(zip(sample.feature_names, sample.features.T, strict=True))
    return _meaning(features, objects), _meaning(sample.extras, objects)


def _meaning(table: Mapping[str, np.ndarray], objects: Objects) -> Meaning:
    flat = {name: stored for name, stored in table.items() if stored.ndim == 1}
    return Meaning(frozenset(n for n, stored in flat.items() if _fits(n, stored, objects)),
                   frozenset(n for n, stored in flat.items() if (stored > 2).any()))


def _fits(name: str, stored: np.ndarray, objects: Objects) -> bool:
    """Whether the formula of this name gives the stored values."""
    if name == "h_t":  # there may be more jets than those that are kept
        return "jets" in objects and bool((objects["jets"][:, 0] <= stored * 1.001 + 2e-3).all())
    formula = _formula(name, objects)
    try:
        return formula is not None and np.allclose(formula(objects), stored, rtol=1e-3, atol=2e-3)
    except KeyError:
        return False


@dataclass(frozen=True)
class Change:
    """A change of an event's objects, and what columns become under it.

    before, after  objects with names
    jet            factor ``(n,)`` of the one jet of each entry, for a sample of jets
    jets           factor ``(n,)`` of all jets of an event, where it is one number
    visible        whether visible objects change at all, or only MET
    """

    before: Objects
    after: Objects
    jet: np.ndarray | None = None
    jets: np.ndarray | None = None
    visible: bool = True

    def column(self, name: str, table: Mapping[str, np.ndarray], meaning: Meaning,
               unit: str | None = None) -> np.ndarray | None:
        """What column ``name`` of ``table`` becomes, in the same dtype; None if that cannot be known. ``unit``: if told."""
        stored = table[name]
        if name in meaning.exact:
            return self._exact(name, stored)
        number = _KEPT_NUMBERS.fullmatch(name) and unit not in _ENERGY_UNITS and not _ENERGY.fullmatch(name)
        if stored.dtype.kind in "biu" or ("met" not in name.lower() and (number or _KEPT.fullmatch(name))):
            return self._kept(name, stored, table)
        if _TAU.fullmatch(name) and stored.ndim == 1:
            return self._tau(name, stored, unit == "" or (unit is None and name not in meaning.large))
        if not self.visible and (_OF_JETS.fullmatch(name) or _OF_JET.fullmatch(name)):
            return stored
        for factor, names in ((self.jet, _OF_JET), (self.jets, _OF_JETS)):
            if factor is not None and names.fullmatch(name) and stored.ndim == 1:
                return np.asarray(stored * factor, dtype=stored.dtype)
        return None

    def _tau(self, name: str, stored: np.ndarray, ratio: bool) -> np.ndarray | None:
        """N-subjettiness in GeV follows its jet, that over the jet's pT stays. Where no unit is told, the values tell: over pT
        none reaches 2, and hard jets do not all stay below 2 GeV."""
        if ratio or not self.visible:
            return stored
        owner = name.partition("_")[0]
        if owner in self.before:
            old, new = self.before[owner][:, 0], self.after[owner][:, 0]
            return (stored * np.divide(new, old, out=np.ones_like(new), where=old > 0)).astype(stored.dtype)
        factor = self.jet if self.jet is not None else self.jets
        return None if factor is None else (stored * factor).astype(stored.dtype)

    @property
    def _swapped(self) -> np.ndarray | None:
        """Where the lighter of two jets has become the heavier one."""
        if not ("j1" in self.before and "j2" in self.before):
            return None
        return np.not_equal(*(o["j1"][:, 3] < o["j2"][:, 3] for o in (self.before, self.after)))

    def _kept(self, name: str, stored: np.ndarray, table: Mapping[str, np.ndarray]) -> np.ndarray | None:
        stem, _, which = name.rpartition("_")
        swapped = self._swapped if which in ("light", "heavy") else None
        if swapped is None or self.jets is not None or not self.visible:  # jets that change alike keep their order
            return stored
        other = f"{stem}_{'heavy' if which == 'light' else 'light'}"
        return np.where(swapped, table[other], stored).astype(stored.dtype) if other in table else None

    def _exact(self, name: str, stored: np.ndarray) -> np.ndarray:
        if name == "h_t":
            if self.jets is not None:  # of all jets, also those that are not kept
                return np.asarray(stored * self.jets, dtype=stored.dtype)
            gained = self.after["jets"][:, 0] - self.before["jets"][:, 0]  # the others stay as they are
            return np.where(gained == 0, stored, stored + gained).astype(stored.dtype)
        formula = _formula(name, self.before)
        old, new = formula(self.before), formula(self.after)  # type: ignore[misc]
        return np.where(new == old, stored, new).astype(stored.dtype)  # what did not change keeps its bits
