"""JetClass: jets of ten kinds in ROOT files, tree ``tree``, after Qu, Li, Qian, arXiv:2202.03772 (Zenodo 6619768).

Lists per jet: ``part_px, part_py, part_pz, part_energy`` [GeV], ``part_deta, part_dphi`` relative to the jet
(``part_deta`` times the sign of ``jet_eta``), ``part_d0val, part_d0err, part_dzval, part_dzerr`` [mm],
``part_charge`` and five flags of the kind of particle. Numbers per jet: ``jet_pt, jet_eta, jet_phi, jet_energy,
jet_nparticles, jet_sdmass``, ``jet_tau1`` to ``jet_tau4``, and ten ``label_…`` of which one is set.

A particle's mass is √(E² - p²): the float32 of the file leave nothing of a pion's above some 100 GeV. The hardest 128
particles of a jet are kept, as in the paper.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from qad.data.charges import charge_of
from qad.data.formats import uproot_files
from qad.data.formats.base import Events, Format, lacks
from qad.data.formats.columns import leading
from qad.data.formats.whole import affordable, reading
from qad.data.kinematics import cartesian, eta_phi, invariant_mass, wrap
from qad.data.sample import BACKGROUND, SIGNAL, Sample
from qad.errors import InputError

TREE = "tree"
SLOTS = 128
#: Label of the file: our name of the process.
PROCESSES = {
    "label_QCD": "qcd", "label_Hbb": "higgs_bb", "label_Hcc": "higgs_cc", "label_Hgg": "higgs_gg", "label_H4q": "higgs_4q",
    "label_Hqql": "higgs_qql", "label_Zqq": "z", "label_Wqq": "w", "label_Tbqq": "top", "label_Tbl": "top_lep",
}
#: Names of the simulated twins (``jetclass_hbb``) are written as those that they imitate.
TWINS = {f"jetclass_{label.removeprefix('label_').lower()}": name for label, name in PROCESSES.items()}
MOMENTUM = ("part_px", "part_py", "part_pz", "part_energy")
#: Branch of the file: our particle extra, and |PDG id|s that set a flag.
TRACK = {"part_d0val": "d0", "part_d0err": "d0err", "part_dzval": "dz", "part_dzerr": "dzerr"}
FLAGS = {
    "part_isChargedHadron": ("is_charged_hadron", (211, 321, 2212, 3112, 3222, 3312, 3334)),
    "part_isNeutralHadron": ("is_neutral_hadron", (130, 310, 2112, 3122, 3322)),
    "part_isPhoton": ("is_photon", (22,)),
    "part_isElectron": ("is_electron", (11,)),
    "part_isMuon": ("is_muon", (13,)),
}
FEATURES = {"jet_sdmass": ("sdmass", "GeV"), **{f"jet_tau{k}": (f"tau{k}", "") for k in (1, 2, 3, 4)}}


class JetClass(Format):
    """JetClass jets, ``.root``."""

    name = "jetclass"
    title = "JetClass"
    reference = "arXiv:2202.03772, Zenodo 6619768"
    suffixes = (".root",)
    extra = "hep"

    def recognises(self, path: Path) -> bool:
        return {*MOMENTUM, *PROCESSES} <= uproot_files.branches(path, TREE)

    @contextmanager
    def open(self, path: Path) -> Iterator[Events]:
        with uproot_files.tree(path, TREE) as tree:
            with reading(path):
                affordable(path, tree.n * SLOTS * 16)
                features = [name for name in FEATURES if name in tree.names]
                extras = [name for name in ("part_charge", *TRACK, *FLAGS) if name in tree.names]

            def read(start: int, stop: int) -> Sample:
                with reading(path):
                    counts, lists = tree.lists([*MOMENTUM, *extras], start, stop)
                    jets = tree.flat(["jet_pt", "jet_eta", "jet_phi", "jet_energy", *features, *PROCESSES], start, stop)
                    return _sample(counts, lists, jets, features, extras, start, path)

            yield Events(tree.n, read)

    def write(self, path: Path, chunks: Iterable[Sample]) -> None:
        """All branches but those of which the sample knows nothing (``jet_sdmass``, ``jet_tauN``).

        Charges and kinds come from the PDG ids where the sample does not say; impact parameters are 0 where it has none.
        """
        features: list[str] | None = None
        with uproot_files.new_file(path) as file:
            for chunk in chunks:
                mine = [name for name, (feature, _) in FEATURES.items() if feature in chunk.feature_names]
                features = mine if features is None else features
                if mine != features:
                    raise lacks(self.name, "the same features in all its events")
                uproot_files.extend(file, TREE, _branches(chunk, features))
            if features is None:
                raise InputError(f"cannot write {path}: no events were given")


def _sample(counts: np.ndarray, lists: dict[str, np.ndarray], jets: dict[str, np.ndarray], features: list[str],
            extras: list[str], start: int, path: Path) -> Sample:
    n = len(counts)
    p4 = np.stack([lists[name] for name in MOMENTUM], axis=-1).astype(np.float64)
    pt = np.hypot(p4[:, 0], p4[:, 1])
    wrong = ~(np.isfinite(p4).all(-1) & (pt > 0) & (pt < 1e6) & (np.abs(p4[:, 2]) < 1e6) & (p4[:, 3] < 1e7))
    if wrong.any():
        first = start + int(np.repeat(np.arange(n), counts)[np.argmax(wrong)])
        raise InputError(f"jet {first} has a particle without a direction or with an impossible momentum; copy the file again")
    for name in extras:
        if not np.isfinite(lists[name]).all() or (name not in TRACK and (np.abs(lists[name]) > 3).any()):
            raise InputError(f"the branch '{name}' holds impossible numbers; copy the file again")
    one_hot = np.stack([jets[name] for name in PROCESSES], axis=-1).astype(np.float64)
    if one_hot.ndim != 2 or not (((one_hot == 0) | (one_hot == 1)).all() and (one_hot.sum(1) == 1).all()):
        raise InputError(f"expected one label of {', '.join(PROCESSES)} set for each jet; copy the file again")
    kind = one_hot.argmax(1)
    order, where = leading(counts, pt, SLOTS)
    particles = np.zeros((n, SLOTS, 4), np.float32)
    particles[where] = np.stack([pt, *eta_phi(p4), invariant_mass(p4)], axis=-1)[order]
    particle_extras = {}
    for name in extras:
        dtype = np.float32 if name in TRACK else np.int8
        column = np.zeros((n, SLOTS), dtype)
        column[where] = lists[name][order].astype(dtype)
        particle_extras[TRACK.get(name) or (FLAGS[name][0] if name in FLAGS else "charge")] = column
    jet = {name: jets[f"jet_{name}"].astype(np.float32) for name in ("pt", "eta", "phi", "energy")}
    momentum = jet["pt"].astype(np.float64) * np.cosh(jet["eta"].astype(np.float64))
    mass = np.sqrt(np.maximum(jet["energy"].astype(np.float64) ** 2 - momentum**2, 0))
    if not np.isfinite([mass, *jet.values()]).all():
        raise InputError("a jet has no finite momentum; copy the file again")
    return Sample(
        particles=particles,
        features=np.column_stack([jets[name] for name in features]) if features else None,
        feature_names=tuple(FEATURES[name][0] for name in features),
        feature_units=tuple(FEATURES[name][1] for name in features),
        label=np.where(kind == 0, BACKGROUND, SIGNAL),
        process=np.array(list(PROCESSES.values()))[kind],
        particle_extras=particle_extras,
        extras={"jet_pt": jet["pt"], "jet_eta": jet["eta"], "jet_phi": jet["phi"], "jet_mass": mass.astype(np.float32),
                "n_constituents": counts.astype(np.int32)},
        meta={"source": JetClass.title, "file": path.name},
    )


def _branches(chunk: Sample, features: list[str]) -> dict[str, Any]:
    known = list(PROCESSES.values())
    process = np.array([TWINS.get(p, p) for p in chunk.process.tolist()], dtype=np.str_)
    if not np.isin(process, known).all():
        other = process[~np.isin(process, known)][0]
        raise lacks(JetClass.name, f"one of the processes {', '.join(known)} for each jet (it has '{other}')")
    extras, there = chunk.particle_extras, chunk.present
    if "pdg_id" not in extras and not {"charge", *(flag for flag, _ in FLAGS.values())} <= extras.keys():
        raise lacks(JetClass.name, "the kind of its particles: the particle extra 'pdg_id', or 'charge' and the five flags "
                                   f"{', '.join(flag for flag, _ in FLAGS.values())}")
    p4 = cartesian(chunk.particles.astype(np.float64))
    total = p4.sum(1)
    eta, phi = eta_phi(total)
    jet = {"pt": np.hypot(total[:, 0], total[:, 1]), "eta": eta, "phi": phi, "mass": invariant_mass(total)}
    jet = {name: chunk.extras.get(f"jet_{name}", value).astype(np.float64) for name, value in jet.items()}
    columns = dict(zip(MOMENTUM, np.moveaxis(p4, -1, 0), strict=True))
    columns["part_deta"] = (chunk.particles[..., 1] - jet["eta"][:, None]) * np.where(jet["eta"] >= 0, 1, -1)[:, None]
    columns["part_dphi"] = wrap(chunk.particles[..., 2] - jet["phi"][:, None])
    for branch, name in TRACK.items():
        columns[branch] = extras.get(name, np.zeros(there.shape))
    pdg = np.asarray(extras.get("pdg_id", np.zeros(there.shape))).astype(np.int64)
    columns["part_charge"] = extras.get("charge", charge_of(pdg))
    for branch, (name, ids) in FLAGS.items():
        columns[branch] = extras.get(name, np.isin(np.abs(pdg), ids))
    lists = {name.removeprefix("part_"): column[there].astype(np.float32) for name, column in columns.items()}
    flat = {"pt": jet["pt"], "eta": jet["eta"], "phi": jet["phi"],
            "energy": np.hypot(jet["pt"] * np.cosh(jet["eta"]), jet["mass"]), "nparticles": there.sum(1)}
    return {
        "part": uproot_files.jagged(there.sum(1), lists),
        **{f"jet_{name}": column.astype(np.float32) for name, column in flat.items()},
        **{name: chunk.feature(FEATURES[name][0]) for name in features},
        **{branch: (process == name).astype(np.float32) for branch, name in PROCESSES.items()},
    }
