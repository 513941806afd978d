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
    r"|[cdmnCDMN]2|n_\w+|z_?g|r_?g|n?constituents|nparticles|multiplicity|girth|width|p_?td|lsf\d|btag)(_light|_heavy)?"
    r"|(lep|lepton|l|e|electron|mu|muon)\d*_?(pt|energy|mass)|(truth|true|gen|is|label)_?\w*")
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

    def column(self, name: str, table: Mapping[str, np.ndarray], unit: str | None = None) -> np.ndarray | None:
        """What column ``name`` of ``table`` becomes, in the same dtype; None if that cannot be known. ``unit``: if told."""
        stored = table[name]
        if stored.ndim == 1 and (exact := self._exact(name, stored)) is not None:
            return exact
        if stored.dtype.kind in "biu" or ("met" not in name.lower() and _KEPT.fullmatch(name)):
            return self._kept(name, stored, table)
        if _TAU.fullmatch(name) and stored.ndim == 1:
            return self._tau(name, stored, unit)
        if not self.visible and (_OF_JETS.fullmatch(name) or _OF_JET.fullmatch(name)):
            return stored
        for factor, names in ((self.jet, _OF_JET), (self.jets, _OF_JETS)):
            if factor is not None and names.fullmatch(name) and stored.ndim == 1:
                return (stored * factor).astype(stored.dtype)
        return None

    def _tau(self, name: str, stored: np.ndarray, unit: str | None) -> np.ndarray | None:
        """N-subjettiness in GeV follows its jet, that over the jet's pT stays. Where no unit is told, the values tell: over pT
        none reaches 2, and hard jets do not all stay below 2 GeV."""
        if unit == "" or (unit is None and not (stored > 2).any()) or not self.visible:
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
        if swapped is None or not swapped.any():
            return stored
        other = f"{stem}_{'heavy' if which == 'light' else 'light'}"
        return np.where(swapped, table[other], stored).astype(stored.dtype) if other in table else None

    def _exact(self, name: str, stored: np.ndarray) -> np.ndarray | None:
        if name == "h_t" and "jets" in self.before:  # jets beyond those that are kept stay as they are
            gained = self.after["jets"][:, 0] - self.before["jets"][:, 0]
            fits = (self.before["jets"][:, 0] <= stored * 1.001 + 2e-3).all()
            return np.where(gained == 0, stored, stored + gained).astype(stored.dtype) if fits else None
        formula = _formula(name, self.before)
        if formula is None:
            return None
        try:
            old, new = formula(self.before), formula(self.after)
        except KeyError:
            return None
        if not np.allclose(old, stored, rtol=1e-3, atol=2e-3):
            return None
        return np.where(new == old, stored, new).astype(stored.dtype)  # what did not change keeps its bits
