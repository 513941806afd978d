"""The LHC Olympics 2020 (arXiv:2101.08320): whole events, and the features of their two leading jets.

Both are pandas frames in HDF5, key ``df``, stored as one block of numbers ``df/block0_values``, which h5py reads alone:

``lhco``           2101 columns: (pT [GeV], η, φ [rad]) of 700 massless hadrons, zero-padded, then the label (1 signal, 0 QCD);
                   the black boxes have no label, so 2100
``lhco-features``  15 columns: px, py, pz, mass [GeV], τ1, τ2, τ3 of the jets with the highest pT (R = 1) and the next, then the
                   label; 14 without

The writers keep pandas' layout, so that ``pd.read_hdf`` and ``h5py.File(path)["df/block0_values"]`` both read what they write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from qad.data.dijet import FEATURES, dijet_features
from qad.data.formats import hdf5
from qad.data.formats.base import Events, Format, by_pt, lacks
from qad.data.formats.hdf5_writer import Writer
from qad.data.kinematics import cartesian, invariant_mass
from qad.data.sample import UNKNOWN, Sample
from qad.errors import InputError

REFERENCE = "arXiv:2101.08320, Zenodo 6466204 (R&D), 4536624 (black boxes)"
PARTICLES = 700
JET = ("px", "py", "pz", "m", "tau1", "tau2", "tau3")
COLUMNS = tuple(f"{c}j{j}" for j in (1, 2) for c in JET)
#: Of each jet, as extras ``j1_pt``, …; units GeV, none, rad, GeV.
JET_EXTRAS = ("pt", "eta", "phi", "mass", "tau1", "tau2", "tau3")
PROCESSES = np.array(["lhco_background", "lhco_signal", "unknown"])


def dijet_mass(jets: np.ndarray) -> np.ndarray:
    """Invariant mass [GeV] of two jets ``(n, 2, 4)`` = pT, η, φ, mass."""
    return invariant_mass(cartesian(jets.astype(np.float64)).sum(1))


class Frame:
    """A pandas frame of numbers in HDF5's 'fixed' layout: its blocks put side by side, its column names if they are plain."""

    def __init__(self, file: h5py.File, width: tuple[int, int]) -> None:
        members = hdf5.names(file)
        key = "df" if "df" in members or len(members) != 1 else members[0]
        self.blocks = [hdf5.dataset(file, f"{key}/block0_values", (None, None), "fiu")]
        while len(self.blocks) < 3 and f"{key}/block{len(self.blocks)}_values" in file:
            self.blocks.append(hdf5.dataset(file, f"{key}/block{len(self.blocks)}_values", (None, None), "fiu"))
        self.width = sum(b.shape[1] for b in self.blocks)
        if self.width not in width:
            raise InputError(f"expected {width[1]} columns, or {width[0]} without label, in '{key}'; got {self.width}")
        self.file, self.key = file, key
        self.places: list[np.ndarray | slice] = [slice(None)]

    @property
    def names(self) -> list[Any] | None:
        """Names of the columns where they are plain text or numbers, else None."""
        return self._plain("axis0", self.width)

    def _plain(self, name: str, length: int) -> list[Any] | None:
        try:
            found = hdf5.dataset(self.file, f"{self.key}/{name}", (length,), "iuS")
            return hdf5.rows(found, 0, length).tolist() if found.dtype.itemsize <= 64 else None
        except (InputError, OSError):
            return None

    def ready(self) -> int:
        """Check that the blocks can be read, and find the place of their columns. Returns the number of events."""
        n = hdf5.ready(self.file, *self.blocks)
        if len(self.blocks) > 1:
            names = self.names
            items = [self._plain(f"block{i}_items", b.shape[1]) for i, b in enumerate(self.blocks)]
            known = [item for item in items if item is not None]
            if (names is None or len(known) < len(items) or len({*names}) < len(names)
                    or {*names} != {n for i in known for n in i}):
                raise InputError(f"'{self.key}' keeps its columns in {len(self.blocks)} blocks without plain names; "
                                 "write the frame anew with all columns of one type")
            self.places = [np.array([names.index(name) for name in block]) for block in known]
        return n

    def read(self, start: int, stop: int, dtype: Any) -> np.ndarray:
        """Rows ``start:stop``, (n, width)."""
        if len(self.blocks) == 1:
            return hdf5.rows(self.blocks[0], start, stop, dtype)
        table = np.empty((stop - start, self.width), dtype)
        for block, place in zip(self.blocks, self.places, strict=True):
            table[:, place] = hdf5.rows(block, start, stop, dtype)
        return table


def _label(table: np.ndarray, columns: int) -> np.ndarray:
    """Labels (n,) of a table with ``columns`` columns and, or not, one of labels."""
    if table.shape[1] == columns:
        return np.full(len(table), UNKNOWN)
    if not np.isin(table[:, -1], (0, 1)).all():
        raise InputError(f"expected 0 or 1 in the last column, the label; got {table[~np.isin(table[:, -1], (0, 1)), -1][0]:g}")
    return table[:, -1].astype(np.int8)


def of_table(table: np.ndarray, **meta: Any) -> Sample:
    """The Sample of whole events held as a table, as in ``of_table(pd.read_hdf(path).to_numpy())``.

    table   (n, 2101), or (n, 2100) without label: (pT [GeV], η, φ [rad]) of 700 particles

    The particles are massless and put in descending pT. Raises :class:`InputError`.
    """
    if getattr(table, "ndim", 0) != 2 or table.shape[1] not in (3 * PARTICLES, 3 * PARTICLES + 1):
        raise InputError(f"expected a table (n, 2101), or (n, 2100) without label; got {getattr(table, 'shape', type(table))}")
    if table.dtype.kind not in "fiub":
        raise InputError(f"expected a table of numbers, got dtype {table.dtype}; read it with pd.read_hdf(path).to_numpy()")
    with np.errstate(all="ignore"):  # a number too large for single precision: infinity, which the Sample refuses
        events = table[:, : 3 * PARTICLES].astype(np.float32).reshape(-1, PARTICLES, 3)
    particles = np.zeros((len(table), PARTICLES, 4), np.float32)
    particles[..., :3] = events
    particles[particles[..., 0] == 0] = 0
    if (particles[:, 1:, 0] > particles[:, :-1, 0]).any():
        (particles,) = by_pt(particles)
    label = _label(table, 3 * PARTICLES)
    return Sample(particles=particles, label=label, process=PROCESSES[label],
                  meta={"source": LhcOlympics.title, "sqrt_s_GeV": 13000.0, **meta})


def _labelled(sample: Sample, name: str) -> bool:
    """Whether the events have labels. Raises :class:`InputError` if some have and some have not."""
    unknown = int((sample.label == UNKNOWN).sum())
    if 0 < unknown < len(sample):
        raise lacks(name, f"the label of {unknown} of {len(sample)} events: expected one for all, or for none")
    return unknown == 0 and len(sample) > 0


def _write(out: Writer, rows: np.ndarray, names: list[Any]) -> None:
    """Add ``rows`` to a frame in pandas' 'fixed' layout."""
    start = len(out.file["df/axis1"]) if "df" in out.file else 0
    if start and out.file["df/block0_values"].shape[1] != rows.shape[1]:
        raise InputError("some chunks have labels and some have not: expected all events with a label, or none")
    out.append("df/block0_values", rows, np.float64)
    out.append("df/axis1", np.arange(start, start + len(rows)))
    if "df/axis0" in out.file:
        return
    kind = "string" if isinstance(names[0], str) else "integer"
    for name in ("df/axis0", "df/block0_items"):
        out.file[name] = np.array(names, dtype="S" if kind == "string" else np.int64)
    node = {"CLASS": "ARRAY", "VERSION": "2.4", "TITLE": "", "FLAVOR": "numpy", "transposed": np.uint8(1)}
    for name in ("df/axis0", "df/block0_items"):
        out.describe(name, **node, kind=kind, name=b"N.", **({"nan_rep": "nan"} if kind == "string" else {}))
    earray = {"CLASS": "EARRAY", "VERSION": "1.1", "TITLE": "", "EXTDIM": np.int32(0), "transposed": np.uint8(1)}
    out.describe("df/axis1", **earray, kind="integer", name=b"N.")
    out.describe("df/block0_values", **earray)
    out.describe("/", CLASS="GROUP", VERSION="1.0", TITLE="", PYTABLES_FORMAT_VERSION="2.1")
    out.describe("df", CLASS="GROUP", VERSION="1.0", TITLE="", pandas_type="frame", encoding="UTF-8", errors="strict",
                 ndim=2, nblocks=1, axis0_variety="regular", axis1_variety="regular", block0_items_variety="regular")


class _Olympics(Format):
    reference = REFERENCE
    suffixes = (".h5", ".hdf5", ".hdf")
    columns: int
    dtype: Any
    sample: Callable[..., Sample]

    def recognises(self, path: Path) -> bool:
        return hdf5.looks(path, lambda file: self._ours(Frame(file, (self.columns, self.columns + 1))))

    def _ours(self, frame: Frame) -> bool:
        return True

    @contextmanager
    def open(self, path: Path) -> Iterator[Events]:
        with hdf5.opened(path) as file:
            with hdf5.damage(path):
                frame = Frame(file, (self.columns, self.columns + 1))
                n = frame.ready()
                if not self._ours(frame):
                    raise InputError(f"expected the columns {', '.join(COLUMNS)}, label; got {str(frame.names)[:200]}")

            def read(start: int, stop: int) -> Sample:
                with hdf5.damage(path):
                    return self.sample(frame.read(start, stop, self.dtype), file=path.name)

            yield Events(n, read)


class LhcOlympics(_Olympics):
    """Whole events of the LHC Olympics, ``.h5``: ``df/block0_values`` (N, 2101), or (N, 2100) without label.

    The writer takes up to 700 particles an event; their masses have no place in this format.
    """

    name = "lhco"
    title = "LHC Olympics 2020: whole events"
    columns, dtype = 3 * PARTICLES, np.float32
    sample = staticmethod(of_table)

    def write(self, path: Path, chunks: Iterable[Sample]) -> None:
        with Writer(path) as out:
            for sample in chunks:
                if "slots" in sample.meta:
                    raise lacks(self.name, "events of particles in descending pT without slots")
                if sample.present[:, PARTICLES:].any():
                    raise InputError(f"this sample cannot be written as {self.name}: the format holds {PARTICLES} particles an "
                                     f"event, this one has {int(sample.present.sum(1).max())}")
                labelled = _labelled(sample, self.name)
                for start in range(0, max(len(sample), 1), 1024):
                    part = sample.particles[start : start + 1024, :PARTICLES]
                    rows = np.zeros((len(part), 3 * PARTICLES + labelled), np.float32)
                    rows[:, : 3 * part.shape[1]] = part[..., :3].reshape(len(part), 3 * part.shape[1])
                    if labelled:
                        rows[:, -1] = sample.label[start : start + 1024]
                    _write(out, rows, list(range(rows.shape[1])))


class LhcOlympicsFeatures(_Olympics):
    """Features of the two leading jets, ``.h5``: ``df/block0_values`` (N, 15), or (N, 14) without label."""

    name = "lhco-features"
    title = "LHC Olympics 2020: features of the two leading jets"
    columns, dtype = len(COLUMNS), np.float64

    def _ours(self, frame: Frame) -> bool:
        """Names may be unreadable, or numbers; if they are text, they are these, in this order."""
        names = frame.names
        if names is None or not isinstance(names[0], bytes):
            return True
        return tuple(name.decode("ascii", "replace") for name in names)[: len(COLUMNS)] == COLUMNS

    @staticmethod
    def sample(table: np.ndarray, **meta: Any) -> Sample:
        jets = table[:, : len(COLUMNS)].reshape(-1, 2, len(JET))
        pt = np.hypot(jets[..., 0], jets[..., 1])
        eta = np.arcsinh(np.divide(jets[..., 2], pt, out=np.zeros_like(pt), where=pt != 0))
        values = np.stack([pt, eta, np.arctan2(jets[..., 1], jets[..., 0]), *np.moveaxis(jets[..., 3:], -1, 0)], -1)
        values[pt == 0] = 0
        values = values.astype(np.float32)
        extras = {f"j{j + 1}_{name}": values[:, j, i] for j in (0, 1) for i, name in enumerate(JET_EXTRAS)}
        extras["m_jj"] = dijet_mass(values[..., :4]).astype(np.float32)
        extras["delta_eta_jj"] = np.abs(values[:, 0, 1] - values[:, 1, 1])
        features = dijet_features(extras)
        label = _label(table, len(COLUMNS))
        return Sample(particles=values[..., :4], features=features, feature_names=tuple(FEATURES),
                      feature_units=tuple(FEATURES.values()), label=label, process=PROCESSES[label], extras=extras,
                      meta={"source": LhcOlympicsFeatures.title, "sqrt_s_GeV": 13000.0, "slots": ["j1", "j2"],
                            "jets": "j1 has the higher pT", **meta})

    def write(self, path: Path, chunks: Iterable[Sample]) -> None:
        with Writer(path) as out:
            for sample in chunks:
                missing = [f"{j}_{name}" for j in ("j1", "j2") for name in JET_EXTRAS if f"{j}_{name}" not in sample.extras]
                if missing:
                    raise lacks(self.name, f"the extras {', '.join(missing)} of its two jets")
                labelled = _labelled(sample, self.name)
                jets = {(j, name): sample.extras[f"{j}_{name}"].astype(np.float64) for j in ("j1", "j2") for name in JET_EXTRAS}
                columns = []
                # j1 is the jet of higher pT in this format, whatever it is in the sample
                swap = jets["j1", "pt"] < jets["j2", "pt"]
                for j, other in (("j1", "j2"), ("j2", "j1")):
                    one = {name: np.where(swap, jets[other, name], jets[j, name]) for name in JET_EXTRAS}
                    columns += [one["pt"] * np.cos(one["phi"]), one["pt"] * np.sin(one["phi"]), one["pt"] * np.sinh(one["eta"]),
                                *(one[name] for name in JET_EXTRAS[3:])]
                if labelled:
                    columns.append(sample.label.astype(np.float64))
                _write(out, np.stack(columns, axis=1), [*COLUMNS, "label"][: len(columns)])
