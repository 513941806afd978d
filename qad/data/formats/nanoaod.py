"""CMS NanoAOD with particle-flow candidates, tree ``Events``: the leading fat jet of each event.

The layout of Rizzi, Petrucciani, Peruzzi, EPJ Web Conf. 214 (2019) 06021. Lists per event: ``PFCands_pt, _eta, _phi,
_mass, _pdgId, _charge``; ``FatJet_pt, _eta, _phi, _mass, _msoftdrop``, ``_tau1`` to ``_tau4``; and the table
``FatJetPFCands_jetIdx, FatJetPFCands_pFCandsIdx`` (``…_candIdx`` in some files) that says which candidate is in which
jet. Numbers of the event: ``run, luminosityBlock, event``, and ``genWeight`` in simulation.

An event of the Sample is the fat jet of highest pT of an event that has one; events without fat jets are left out.
The hardest 256 candidates of the jet are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from qad.data.formats import uproot_files
from qad.data.formats.base import Events, Format, lacks
from qad.data.formats.columns import leading
from qad.data.formats.whole import affordable, reading
from qad.data.kinematics import cartesian, eta_phi, invariant_mass, wrap
from qad.data.sample import Sample
from qad.errors import InputError

TREE = "Events"
SLOTS = 256
CANDIDATES = ("PFCands_pt", "PFCands_eta", "PFCands_phi", "PFCands_mass", "PFCands_pdgId")
JET = ("FatJet_pt", "FatJet_eta", "FatJet_phi", "FatJet_mass")
JETS, INDICES = "FatJetPFCands_jetIdx", ("FatJetPFCands_pFCandsIdx", "FatJetPFCands_candIdx")
FEATURES = {"FatJet_msoftdrop": ("sdmass", "GeV"), **{f"FatJet_tau{k}": (f"tau{k}", "") for k in (1, 2, 3, 4)}}
#: Branch of the event: our extra. Event numbers are unsigned there; ours are below 2⁶³.
NUMBERS = {"run": "run", "luminosityBlock": "luminosity_block", "event": "event"}
_BLOCK = 50_000


class NanoAod(Format):
    """Leading fat jets of CMS NanoAOD with PF candidates, ``.root``."""

    name = "nanoaod"
    title = "CMS NanoAOD with PF candidates: leading fat jets"
    reference = "EPJ Web Conf. 214 (2019) 06021"
    suffixes = (".root",)
    extra = "hep"

    def recognises(self, path: Path) -> bool:
        found = uproot_files.branches(path, TREE)
        return {*CANDIDATES, *JET, JETS} <= found and bool(found & {*INDICES})

    @contextmanager
    def open(self, path: Path) -> Iterator[Events]:
        with uproot_files.tree(path, TREE) as tree:
            with reading(path):
                entries = _with_jets(tree)
                affordable(path, len(entries) * SLOTS * 8)

            def read(start: int, stop: int) -> Sample:
                with reading(path):
                    chosen = entries[start:stop]
                    first, last = (int(chosen[0]), int(chosen[-1]) + 1) if len(chosen) else (0, 0)
                    return _sample(tree, chosen - first, first, last, path)

            yield Events(len(entries), read)

    def write(self, path: Path, chunks: Iterable[Sample]) -> None:
        """The branches that :meth:`open` reads, one fat jet an event; not the whole of NanoAOD."""
        features: list[str] | None = None
        n = 0
        with uproot_files.new_file(path) as file:
            for chunk in chunks:
                mine = [name for name, (feature, _) in FEATURES.items() if feature in chunk.feature_names]
                features = mine if features is None else features
                if mine != features:
                    raise lacks(self.name, "the same features in all its events")
                uproot_files.extend(file, TREE, _branches(chunk, features, n))
                n += len(chunk)
            if features is None:
                raise InputError(f"cannot write {path}: no events were given")


def _with_jets(tree: uproot_files.Tree) -> np.ndarray:
    """Entries with at least one fat jet, a block at a time."""
    parts = [np.zeros(0, np.int64)]
    for start in range(0, tree.n, _BLOCK):
        counts, _ = tree.lists(["FatJet_pt"], start, min(start + _BLOCK, tree.n))
        parts.append(start + np.flatnonzero(counts))
    return np.concatenate(parts)


def _within(inner: np.ndarray, counts: np.ndarray, rows: np.ndarray, what: str) -> np.ndarray:
    """Positions in the flat content of the ``inner``-th item of lists ``rows``."""
    if (inner < 0).any() or (inner >= counts[rows]).any():
        raise InputError(f"the table of candidates points to a {what} that is not there; copy the file again")
    return np.asarray((np.cumsum(counts) - counts)[rows] + inner)


def _sample(tree: uproot_files.Tree, chosen: np.ndarray, first: int, last: int, path: Path) -> Sample:
    features = [name for name in FEATURES if name in tree.names]
    charge = ["PFCands_charge"] if "PFCands_charge" in tree.names else []
    index = next(name for name in INDICES if name in tree.names)
    n_jets, jets = tree.lists([*JET, *features], first, last)
    n_candidates, candidates = tree.lists([*CANDIDATES, *charge], first, last)
    n_links, links = tree.lists([JETS, index], first, last)
    numbers = tree.flat([name for name in (*NUMBERS, "genWeight") if name in tree.names], first, last)
    for name, values in ((JETS, links[JETS]), (index, links[index]), ("PFCands_pdgId", candidates["PFCands_pdgId"])):
        if values.dtype.kind not in "iu":
            raise InputError(f"the branch '{name}' holds {values.dtype}; expected whole numbers")
    if not np.isfinite(jets["FatJet_pt"]).all():
        raise InputError("a fat jet has no finite pT; copy the file again")

    events = np.arange(last - first)
    place = np.full(last - first, -1)
    place[chosen] = np.arange(len(chosen))
    order = np.lexsort((-jets["FatJet_pt"], np.repeat(events, n_jets)))
    best = order[(np.cumsum(n_jets) - n_jets)[chosen]] if len(chosen) else np.zeros(0, np.int64)  # position in the flat jets
    best_of_event = np.full(last - first, -1)
    best_of_event[chosen] = best - (np.cumsum(n_jets) - n_jets)[chosen]

    rows = np.repeat(events, n_links)
    mine = links[JETS].astype(np.int64) == best_of_event[rows]
    rows = rows[mine]
    at = _within(links[index][mine].astype(np.int64), n_candidates, rows, "candidate")
    counts = np.bincount(place[rows], minlength=len(chosen)) if len(rows) else np.zeros(len(chosen), np.int64)
    columns = {name: candidates[name][at] for name in (*CANDIDATES, *charge)}
    p4 = np.stack([columns[name] for name in CANDIDATES[:4]], axis=-1).astype(np.float64)
    pt = p4[:, 0]
    if not (np.isfinite(p4).all() and (pt >= 0).all() and (np.abs(p4[:, 1]) < 100).all() and (np.abs(p4[:, 2]) < 100).all()):
        raise InputError("a candidate has an impossible momentum; copy the file again")
    # candidates below the precision of the file have pT = 0 there: they are absent here
    p4[:, 2], p4[:, 3] = wrap(p4[:, 2]), np.maximum(p4[:, 3], 0)
    p4 *= (pt > 0)[:, None]
    chosen_order, where = leading(counts, pt, SLOTS)

    def padded(values: np.ndarray, dtype: Any) -> np.ndarray:
        out = np.zeros((len(chosen), SLOTS, *values.shape[1:]), dtype)
        out[where] = values[chosen_order]
        return out

    extras = {ours: numbers[name][chosen].astype(np.int64) for name, ours in NUMBERS.items() if name in numbers}
    if "genWeight" in numbers:
        extras["gen_weight"] = numbers["genWeight"][chosen].astype(np.float32)
    extras |= {name.replace("FatJet", "jet"): jets[name][best].astype(np.float32) for name in JET}
    particle_extras = {"pdg_id": padded(columns["PFCands_pdgId"] * (pt > 0), np.int32)}
    if charge:
        particle_extras["charge"] = padded(columns["PFCands_charge"] * (pt > 0), np.int8)
    return Sample(
        particles=padded(p4, np.float32),
        features=np.column_stack([jets[name][best] for name in features]) if features else None,
        feature_names=tuple(FEATURES[name][0] for name in features),
        feature_units=tuple(FEATURES[name][1] for name in features),
        particle_extras=particle_extras,
        extras={**extras, "n_constituents": counts.astype(np.int32)},
        meta={"source": NanoAod.title, "file": path.name},
    )


def _branches(chunk: Sample, features: list[str], first: int) -> dict[str, Any]:
    if "pdg_id" not in chunk.particle_extras:
        raise lacks(NanoAod.name, "the particle extra 'pdg_id'")
    there = chunk.present
    counts, one = there.sum(1), np.ones(len(chunk), np.int64)
    candidates = {name: chunk.particles[..., k][there] for k, name in enumerate(("pt", "eta", "phi", "mass"))}
    candidates["pdgId"] = chunk.particle_extras["pdg_id"][there].astype(np.int32)
    if "charge" in chunk.particle_extras:
        candidates["charge"] = chunk.particle_extras["charge"][there].astype(np.int32)
    total = cartesian(chunk.particles.astype(np.float64)).sum(1)
    eta, phi = eta_phi(total)
    jet = {"pt": np.hypot(total[:, 0], total[:, 1]), "eta": eta, "phi": phi, "mass": invariant_mass(total)}
    jet = {name: chunk.extras.get(f"jet_{name}", value).astype(np.float32) for name, value in jet.items()}
    jet |= {name.removeprefix("FatJet_"): chunk.feature(FEATURES[name][0]) for name in features}
    links = {"jetIdx": np.zeros(int(counts.sum()), np.int32), "pFCandsIdx": (np.cumsum(there, axis=1) - 1)[there]}
    numbers = {"run": (one, np.uint32), "luminosityBlock": (one, np.uint32),
               "event": (first + np.arange(len(chunk)), np.uint64)}
    flat = {name: chunk.extras.get(NUMBERS[name], value).astype(dtype) for name, (value, dtype) in numbers.items()}
    if "gen_weight" in chunk.extras:
        flat["genWeight"] = chunk.extras["gen_weight"].astype(np.float32)
    return {
        **flat,
        "PFCands": uproot_files.jagged(counts, candidates),
        "FatJet": uproot_files.jagged(one, jet),
        "FatJetPFCands": uproot_files.jagged(counts, {k: v.astype(np.int32) for k, v in links.items()}),
    }
