"""The Top Quark Tagging Reference jets (arXiv:1902.09914), a pandas frame in HDF5's 'table' layout, key ``table``.

806 columns: ``E_i, PX_i, PY_i, PZ_i`` [GeV] of 200 constituents, zero-padded; ``truthE, truthPX, truthPY, truthPZ`` of the top
quark; ``ttv`` (which of the published parts the jet belongs to); ``is_signal_new`` (1 top, 0 QCD). Stored as rows
``table/table`` of an index, a block of 804 numbers and a block of 2 whole numbers, which h5py reads alone.

pandas keeps the columns' names in attributes that can run code when they are decoded, so they never are: the blocks' widths are
checked, the documented order is taken, and energies below their momenta tell a file with another order.

The top quark's four-vector is zero for QCD: as an input it would give the label away, so it is not read at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from qad.data.formats import hdf5
from qad.data.formats.base import Events, Format, by_pt, lacks
from qad.data.formats.hdf5_writer import Writer
from qad.data.kinematics import cartesian, eta_phi, invariant_mass
from qad.data.sample import UNKNOWN, Sample
from qad.errors import InputError

CONSTITUENTS = 200
FLOATS = 4 * CONSTITUENTS + 4
NAMES = [f"{c}_{i}" for i in range(CONSTITUENTS) for c in ("E", "PX", "PY", "PZ")] + ["truthE", "truthPX", "truthPY", "truthPZ"]
WHOLE = ["ttv", "is_signal_new"]
ROW = np.dtype([("index", "<i8"), ("values_block_0", "<f4", (FLOATS,)), ("values_block_1", "<i8", (len(WHOLE),))])


def particles_of(p4: np.ndarray, eps: float = 0.0) -> np.ndarray:
    """Momenta ``(n, p, 4)`` = px, py, pz, E [GeV], zero-padded, as float32 pT, η, φ, mass in descending pT.

    eps   relative spacing of the numbers in the file; that of single precision if it is smaller

    m² = E² - p² is known to 2·eps·E² only: below that the particle is taken as massless. Raises :class:`InputError` where an
    energy is smaller than its momentum, or a momentum lies along the beam.
    """
    eps = max(eps, float(np.finfo(np.float32).eps))
    p4 = p4.astype(np.float64)
    if not np.isfinite(p4).all():
        raise InputError("the particles contain NaN or infinity; the file is damaged")
    energy2 = p4[..., 3] ** 2
    mass2 = energy2 - (p4[..., :3] ** 2).sum(-1)
    pt = np.hypot(p4[..., 0], p4[..., 1])
    # a MeV is no matter: a faint particle in half precision
    wrong = (mass2 < -(0.02 + 4 * eps) * energy2 - 1e-6) | (p4[..., 3] < 0) | ((pt == 0) & (p4[..., 3] > 1e-3))
    if wrong.any():
        event, slot = np.argwhere(wrong)[0]
        got = ", ".join(f"{x:g}" for x in p4[event, slot])
        raise InputError(f"particle {slot} of an event has px, py, pz, E = {got} GeV; expected an energy no smaller than "
                         "the momentum, and not along the beam: the file is damaged or its columns have another order")
    eta, phi = eta_phi(p4)
    mass = np.where(mass2 > 2 * eps * energy2, np.sqrt(np.maximum(mass2, 0)), 0)
    particles = np.stack([pt, eta, phi, mass], axis=-1).astype(np.float32)
    particles[pt == 0] = 0
    return by_pt(particles)[0]


def _jets(p4: np.ndarray) -> dict[str, np.ndarray]:
    """Jets' pT [GeV], η, φ [rad], mass [GeV] from their constituents ``(n, p, 4)`` = px, py, pz, E."""
    total = p4.sum(1, dtype=np.float64)
    eta, phi = eta_phi(total)
    jets = {"jet_pt": np.hypot(total[:, 0], total[:, 1]), "jet_eta": eta, "jet_phi": phi, "jet_mass": invariant_mass(total)}
    return {name: value.astype(np.float32) for name, value in jets.items()}


def _blocks(rows: h5py.Dataset) -> tuple[str, str | None]:
    """Fields with the four-vectors and with ``ttv, is_signal_new``; the latter None where all columns share one block."""
    fields = rows.dtype.fields or {}
    widths = {name: (kind.subdtype[0].kind, kind.shape) for name, (kind, *_) in fields.items() if kind.subdtype}
    plain = all((kind.subdtype[0] if kind.subdtype else kind).kind in "fiu" for kind, *_ in fields.values())
    blocks = [widths.get(f"values_block_{i}") for i in range(len(widths))]
    if plain and blocks == [("f", (FLOATS,)), ("i", (len(WHOLE),))]:
        return "values_block_0", "values_block_1"
    if plain and blocks == [("f", (FLOATS + len(WHOLE),))]:
        return "values_block_0", None
    raise InputError(f"'table/table' has columns {str(rows.dtype)[:200]}; expected 806: the four-vectors of 200 particles and "
                     "of the top quark in one block, ttv and is_signal_new in another")


class TopTagging(Format):
    """The Top Quark Tagging Reference jets, ``.h5`` with the pandas frame ``table``.

    The writer takes up to 200 particles a jet, with labels; the top quark's four-vector is written as zero, ``ttv`` as 0 where
    the sample does not say. ``pd.read_hdf(path, "table")`` reads what it writes. Four-vectors are kept in single precision,
    so a mass far below its energy comes back as zero.
    """

    name = "top-tagging"
    title = "Top Quark Tagging Reference jets"
    reference = "arXiv:1902.09914, Zenodo 2603256"
    suffixes = (".h5", ".hdf5")

    def recognises(self, path: Path) -> bool:
        return hdf5.looks(path, lambda file: _blocks(hdf5.dataset(file, "table/table", (None,), "V")))

    @contextmanager
    def open(self, path: Path) -> Iterator[Events]:
        with hdf5.opened(path) as file:
            with hdf5.damage(path):
                rows = hdf5.dataset(file, "table/table", (None,), "V")
                floats, whole = _blocks(rows)
                n = hdf5.ready(file, rows)

            def read(start: int, stop: int) -> Sample:
                with hdf5.damage(path):
                    table = hdf5.rows(rows, start, stop, fields=[floats, whole] if whole else [floats])
                    values = table[floats]
                    last = table[whole] if whole else values[:, FLOATS:]
                    if not np.isin(last[:, 1], (0, 1)).all() or not np.isfinite(last[:, 0]).all():
                        raise InputError("expected 0 or 1 in column is_signal_new, a number in ttv; the file is damaged")
                    p4 = np.roll(values[:, : 4 * CONSTITUENTS].reshape(-1, CONSTITUENTS, 4), -1, axis=-1)
                    label = last[:, 1].astype(np.int8)
                    return Sample(
                        particles=particles_of(p4, np.finfo(values.dtype).eps),
                        label=label,
                        process=np.array(["qcd", "top"])[label],
                        extras={**_jets(p4), "ttv": last[:, 0].astype(np.int64)},
                        meta={"source": self.title, "file": path.name, "sqrt_s_GeV": 14000.0},
                    )

            yield Events(n, read)

    def write(self, path: Path, chunks: Iterable[Sample]) -> None:
        n = 0
        with Writer(path) as out:
            for sample in chunks:
                if "slots" in sample.meta:
                    raise lacks(self.name, "jets: it holds events of several objects")
                if (sample.label == UNKNOWN).any():
                    raise lacks(self.name, "the label of some jets, 1 for top and 0 for QCD")
                if sample.present[:, CONSTITUENTS:].any():
                    raise InputError(f"this sample cannot be written as {self.name}: the format holds {CONSTITUENTS} particles "
                                     f"a jet, this one has {int(sample.present.sum(1).max())}")
                particles = sample.particles[:, :CONSTITUENTS]
                p4 = np.roll(cartesian(particles.astype(np.float64)), 1, axis=-1)  # E first
                rows = np.zeros(len(sample), ROW)
                rows["index"] = n + np.arange(len(sample))
                rows["values_block_0"][:, : 4 * particles.shape[1]] = p4.reshape(len(sample), 4 * particles.shape[1])
                rows["values_block_1"] = np.stack([sample.extras.get("ttv", np.zeros(len(sample))), sample.label], axis=1)
                out.append("table/table", rows)
                n += len(sample)
            if "table" in out.file:
                _describe(out, n)


def _describe(out: Writer, n: int) -> None:
    """The attributes by which PyTables and pandas know their own."""
    group = {"CLASS": "GROUP", "VERSION": "1.0", "TITLE": ""}
    blocks = {"values_block_0": NAMES, "values_block_1": WHOLE}
    out.describe("/", **group, PYTABLES_FORMAT_VERSION="2.1")
    out.describe(
        "table", **group, pandas_type="frame_table", table_type="appendable_frame", encoding="UTF-8", errors="strict", levels=1,
        nan_rep="nan", index_cols=_notation([(0, "index")]), values_cols=_notation([*blocks]), data_columns=_notation([]),
        non_index_axes=_notation([(1, NAMES + WHOLE)]), info=_notation({1: {"names": [None], "type": "Index"}, "index": {}}))
    out.describe("table/table", CLASS="TABLE", VERSION="2.7", TITLE="", NROWS=np.int64(n), index_kind="integer",
                 **{f"FIELD_{i}_NAME": name for i, name in enumerate(ROW.names or ())},
                 values_block_0_dtype="float32", values_block_1_dtype="int64",
                 **{f"{block}_kind": _notation(names) for block, names in blocks.items()},
                 **{f"{block}_meta": b"N." for block in blocks})


def _notation(value: Any) -> bytes:
    """Lists, tuples, mappings, text, whole numbers and None in the notation in which PyTables keeps such attributes."""

    def put(x: Any) -> bytes:
        if x is None:
            return b"N"
        if isinstance(x, int):
            return b"I%d\n" % x
        if isinstance(x, str):
            return b"V%s\n" % x.encode("ascii")
        if isinstance(x, tuple):
            return b"(%st" % b"".join(map(put, x))
        if isinstance(x, dict):
            return b"(d%s" % b"".join(put(k) + put(v) + b"s" for k, v in x.items())
        return b"(l%s" % b"".join(put(v) + b"a" for v in x)

    return put(value) + b"."
