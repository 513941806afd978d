"""The dijet events of the CMS search for anomalous jets (arXiv:2412.03747), HDF5 as the CASE group's tools write it.

========================== =========== ==============================================================================
``jet_kinematics``         (N, 14)     m_jj, |Δη|, then pT, η, φ, soft-drop mass of jets 1, 2 and 3 (zeros without a third)
``jet1_PFCands``, ``jet2`` (N, k, 4)   px, py, pz, E of up to 100 particles each, zero-padded; (N, 4k) is read too
``jet1_extraInfo``, ``2``  (N, ≥ 7)    τ1, τ2, τ3, τ4, LSF3, b-tag score, number of particles; may be missing
``truth_label``            (N, 1)      0 QCD, above 0 signal, below 0 another background (-1 single top, -2 tt̄, -3 V + jets)
``event_info``             (N, 7 or 8) event number, MET, its φ, generator's weight, leptonic decay, run, year, number of jets
========================== =========== ==============================================================================

Units GeV and rad; jet 1 is the heavier of the two with the highest pT. The particles are often kept in half precision. What
nobody knows of any event (NaN in all of a column: the third jet, or what ``extraInfo`` says) is no extra here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from qad.data.dijet import FEATURES, dijet_features
from qad.data.formats import hdf5
from qad.data.formats.base import Events, Format, lacks
from qad.data.formats.hdf5_writer import Writer
from qad.data.formats.top_tagging import particles_of
from qad.data.kinematics import cartesian
from qad.data.sample import UNKNOWN, Sample
from qad.errors import InputError

KINEMATICS = ("m_jj", "delta_eta_jj", *(f"j{j}_{c}" for j in (1, 2, 3) for c in ("pt", "eta", "phi", "mass")))
INFO = ("tau1", "tau2", "tau3", "tau4", "lsf3", "btag", "nparticles")
PROCESSES = {0: "qcd", -1: "single_top", -2: "ttbar", -3: "v_jets"}
CANDIDATES = 100
THIRD = tuple(name for name in KINEMATICS if name.startswith("j3_"))
NAMES = {"jet_kinematics": KINEMATICS, **{f"jet{j}_extraInfo": tuple(f"j{j}_{c}" for c in INFO) for j in (1, 2)}}
BLOCK = 10_000


def _datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    found = {"jet_kinematics": hdf5.dataset(file, "jet_kinematics", (None, len(KINEMATICS)), "f")}
    for name in ("jet1_PFCands", "jet2_PFCands"):
        d = hdf5.dataset(file, name, kinds="f")
        if d.ndim not in (2, 3) or d.shape[-1] % 4 or (d.ndim == 3 and d.shape[2] != 4):
            raise InputError(f"'{name}' has shape {d.shape}, expected (n, k, 4) or (n, 4k)")
        found[name] = d
    if found["jet1_PFCands"].shape[1:] != found["jet2_PFCands"].shape[1:]:
        raise InputError("'jet1_PFCands' and 'jet2_PFCands' have different shapes; the file is damaged")
    for name in ("jet1_extraInfo", "jet2_extraInfo", "event_info", "truth_label"):
        if name in file:
            found[name] = hdf5.dataset(file, name, kinds="fiu")
            if found[name].ndim != 2 and name != "truth_label":
                raise InputError(f"'{name}' has shape {found[name].shape}, expected two axes")
    if any(found[n].shape[1] < len(INFO) for n in found if n.endswith("extraInfo")):
        raise InputError(f"expected at least {len(INFO)} columns in 'jet1_extraInfo' and 'jet2_extraInfo'")
    return found


class CmsCase(Format):
    """Dijet events in the layout of the CASE group's tools, ``.h5`` with ``jet_kinematics`` and ``jet1_PFCands``.

    The writer takes two jets of up to 100 particles each, in the slots j1 and j2, with ``m_jj``, ``delta_eta_jj`` and pT,
    η, φ, mass of both in the extras (``j1_pt``, …); the heavier one is written as jet 1. ``j3_pt``, …, ``j1_tau1`` to
    ``j1_nparticles`` and ``event_info`` are written where the sample has them, particles in single precision. Of the columns
    that belong to these, particles are counted where the sample does not say their number, and the others are NaN.
    """

    name = "case"
    title = "Dijet events in the CMS/CASE layout"
    reference = "arXiv:2412.03747"
    suffixes = (".h5", ".hdf5")

    def recognises(self, path: Path) -> bool:
        return hdf5.looks(path, _datasets)

    @contextmanager
    def open(self, path: Path) -> Iterator[Events]:
        with hdf5.opened(path) as file:
            with hdf5.damage(path):
                found = _datasets(file)
                n = hdf5.ready(file, *found.values())
                unknown = _unknown(found, n)

            def read(start: int, stop: int) -> Sample:
                with hdf5.damage(path):
                    return _sample({name: hdf5.rows(d, start, stop) for name, d in found.items()}, unknown, path.name)

            yield Events(n, read)

    def write(self, path: Path, chunks: Iterable[Sample]) -> None:
        with Writer(path) as out:
            for sample in chunks:
                for name, rows in _rows(sample).items():
                    out.append(name, rows, {"truth_label": np.int16, "event_info": rows.dtype}.get(name, np.float32))


def _unknown(found: dict[str, h5py.Dataset], n: int) -> set[str]:
    """Extras that are NaN in every event of the file."""
    unknown: set[str] = set()
    for dataset, names in NAMES.items():
        nan = np.full(len(names), dataset in found and n > 0)
        for start in range(0, n, BLOCK):
            if nan.any():  # as a rule not beyond the first block
                nan &= np.isnan(hdf5.rows(found[dataset], start, min(start + BLOCK, n), np.float64)[:, : len(names)]).all(0)
        unknown |= {name for name, missing in zip(names, nan, strict=True) if missing}
    return unknown & {*THIRD, *NAMES["jet1_extraInfo"], *NAMES["jet2_extraInfo"]}


def _sample(data: dict[str, np.ndarray], unknown: set[str], file: str) -> Sample:
    n = len(data["jet_kinematics"])
    jets = [data[name].reshape(n, int(np.prod(data[name].shape[1:])) // 4, 4) for name in ("jet1_PFCands", "jet2_PFCands")]
    extras: dict[str, np.ndarray] = {}
    for dataset in NAMES.keys() & data.keys():
        columns = data[dataset].astype(np.float32).T
        extras |= {name: x for name, x in zip(NAMES[dataset], columns, strict=False) if name not in unknown}
    tau = {f"j{j}_tau{k}" for j in (1, 2) for k in (1, 2)}
    features = dijet_features(extras) if tau <= extras.keys() else np.zeros((n, 0), np.float32)
    if not all(np.isfinite(extras[name]).all() for name in KINEMATICS if name not in unknown):
        raise InputError("'jet_kinematics' contain NaN or infinity; the file is damaged")
    if "event_info" in data:
        extras["event_info"] = data["event_info"]
    truth = np.full(n, UNKNOWN)
    process: np.ndarray | str = "unknown"
    if "truth_label" in data:
        raw = data["truth_label"].reshape(n, int(np.prod(data["truth_label"].shape[1:])))[:, 0]
        if not np.isfinite(raw).all() or (np.abs(raw) > 1000).any():
            raise InputError("expected small whole numbers in 'truth_label'; the file is damaged")
        extras["truth_label"] = raw.astype(np.int16)
        truth = (raw > 0).astype(np.int8)
        process = np.array([PROCESSES.get(t, "signal" if t > 0 else "background") for t in raw.astype(int).tolist()], np.str_)
    k = jets[0].shape[1]
    return Sample(
        particles=np.concatenate([particles_of(p4, np.finfo(p4.dtype).eps) for p4 in jets], axis=1),
        features=features,
        feature_names=tuple(FEATURES) if features.shape[1] else (),
        feature_units=tuple(FEATURES.values()) if features.shape[1] else (),
        label=truth,
        process=process,
        extras=extras,
        meta={"source": CmsCase.title, "file": file, "sqrt_s_GeV": 13000.0, "slots": ["j1"] * k + ["j2"] * k,
              "jets": "j1 has the higher soft-drop mass; n-subjettiness: tau1, tau2, tau3, tau4 in this order"},
    )


def _rows(sample: Sample) -> dict[str, np.ndarray]:
    """What the file holds of ``sample``, jet 1 the heavier one."""
    n, slots = len(sample), np.array(list(sample.meta.get("slots", ())))
    missing = [name for name in KINEMATICS if not name.startswith("j3_") and name not in sample.extras]
    if missing:
        raise lacks(CmsCase.name, f"the extras {', '.join(missing)}")
    if len(slots) != sample.particles.shape[1] or {*slots.tolist()} != {"j1", "j2"}:
        raise lacks(CmsCase.name, "the particles of two jets, in the slots j1 and j2")
    swap = sample.extras["j1_mass"] < sample.extras["j2_mass"]

    def jet(j: int, name: str) -> np.ndarray:
        """Extra ``name`` of jet ``j`` of the file."""
        own, other = sample.extras[f"j{j}_{name}"], sample.extras[f"j{3 - j}_{name}"]
        return np.where(swap, other, own)

    columns = [sample.extras["m_jj"], sample.extras["delta_eta_jj"]]
    columns += [jet(j, c) for j in (1, 2) for c in ("pt", "eta", "phi", "mass")]
    columns += [sample.extras.get(name, np.full(n, np.nan)) for name in THIRD]  # zeros would say that there is none
    rows = {"jet_kinematics": np.stack(columns, axis=1)}
    p4 = []
    for j in ("j1", "j2"):
        particles = sample.particles[:, slots == j]
        if (particles[:, CANDIDATES:, 0] > 0).any():
            raise InputError(f"this sample cannot be written as {CmsCase.name}: the format holds {CANDIDATES} particles a jet, "
                             f"this one has {int((particles[..., 0] > 0).sum(1).max())}")
        padded = np.zeros((n, CANDIDATES, 4))
        padded[:, : particles.shape[1]] = cartesian(particles[:, :CANDIDATES].astype(np.float64))
        p4.append(padded)
    rows["jet1_PFCands"] = np.where(swap[:, None, None], p4[1], p4[0])
    rows["jet2_PFCands"] = np.where(swap[:, None, None], p4[0], p4[1])
    if all(f"{j}_{name}" in sample.extras for j in ("j1", "j2") for name in INFO[:3]):
        count = {f"j{j}_nparticles": sample.present[:, slots == f"j{j}"].sum(1) for j in (1, 2)}
        full = {name: sample.extras.get(name, count.get(name, np.full(n, np.nan))) for j in (1, 2)
                for name in NAMES[f"jet{j}_extraInfo"]}
        for mine, other in ((1, 2), (2, 1)):
            info = [np.where(swap, full[f"j{other}_{c}"], full[f"j{mine}_{c}"]) for c in INFO]
            rows[f"jet{mine}_extraInfo"] = np.stack(info, axis=1)
    if "event_info" in sample.extras:
        rows["event_info"] = sample.extras["event_info"]
    if "truth_label" in sample.extras:
        rows["truth_label"] = sample.extras["truth_label"][:, None]
    elif (sample.label != UNKNOWN).any():
        if (sample.label == UNKNOWN).any():
            raise lacks(CmsCase.name, "the label of some events: expected one for all, or for none")
        rows["truth_label"] = sample.label[:, None]
    return rows
