"""The CATHODE arrays of the LHC Olympics: a NumPy table of a dijet's mass, two jet masses and two τ21, one event a row.

Columns, after Hallin et al., arXiv:2109.00546: ``m_jj``, ``m_light``, ``m_heavy - m_light`` [TeV], τ21 of the light and of
the heavy jet, then in some files the distance ``ΔR`` of the two jets, then in most the label (0 QCD, 1 signal). Masses become
GeV. Six columns can be either: the last is the label where the first event has 0 or 1 there, which no ΔR of two jets is.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from qad.data.dijet import FEATURES
from qad.data.formats import npy
from qad.data.formats.base import Events, Format, lacks
from qad.data.formats.whole import reading, written
from qad.data.sample import SIGNAL, UNKNOWN, Sample
from qad.errors import InputError

UNITS = ("GeV", "GeV", "", "")
PROCESS = {0: "lhco_background", 1: "lhco_signal", UNKNOWN: "unknown"}
#: What the columns may hold, in the units of the file: masses over 14 TeV are GeV, and rounding leaves a little below zero.
RANGES = {"m_jj": (0.0, 14.0), "m_light": (-1e-3, 14.0), "dm": (-1e-3, 14.0), "tau21_light": (-1e-3, 2.0),
          "tau21_heavy": (-1e-3, 2.0), "delta_r": (0.0, 20.0)}


class Cathode(Format):
    """Features of the LHC Olympics in CATHODE's convention, ``.npy``."""

    name = "cathode"
    title = "LHC Olympics features in CATHODE's convention"
    reference = "arXiv:2109.00546"
    suffixes = (".npy",)

    def recognises(self, path: Path) -> bool:
        try:
            with open(path, "rb") as file:
                _table(npy.header(file))
        except (OSError, InputError):
            return False
        return True

    @contextmanager
    def open(self, path: Path) -> Iterator[Events]:
        with reading(path):
            file = open(path, "rb")
        with file:
            with reading(path):
                head = npy.header(file)
                n, width = _table(head)
                if os.path.getsize(path) != head.offset + head.nbytes:
                    raise InputError(f"{path} is damaged: its header says {n:,} events, that is {head.nbytes:,} bytes "
                                     f"after byte {head.offset}, and the file has {os.path.getsize(path):,}; copy it again")
                labelled = width == 7 or (width == 6 and n > 0 and npy.rows(file, head, 0, 1)[0, -1] in (0, 1))
            columns = ["m_jj", *FEATURES] + ["delta_r"] * (width - labelled == 6) + ["label"] * labelled

            def read(start: int, stop: int) -> Sample:
                with reading(path):
                    return _sample(npy.rows(file, head, start, stop), columns, start, path)

            yield Events(n, read)

    def write(self, path: Path, chunks: Iterable[Sample]) -> None:
        """``m_jj`` from the extras, masses back in TeV, float32; label and ``delta_r`` where events have them."""
        n, columns = 0, None
        with written(path) as tmp, open(tmp, "wb") as file:
            file.write(npy.header_bytes("<f4", (0, 7)))
            for chunk in chunks:
                for name in FEATURES:
                    if name not in chunk.feature_names:
                        raise lacks(self.name, f"the feature '{name}'; the format holds {', '.join(FEATURES)}")
                if "m_jj" not in chunk.extras:
                    raise lacks(self.name, "the invariant mass 'm_jj' [GeV] of the two jets among its extras")
                mine = ["m_jj", *FEATURES, *(["delta_r"] if "delta_r" in chunk.extras else []),
                        *([] if (chunk.label == UNKNOWN).all() else ["label"])]
                columns = columns or mine
                if mine != columns or ("label" in mine and (chunk.label == UNKNOWN).any()):
                    raise lacks(self.name, "labels or 'delta_r' for some of its events: all have them, or none")
                values = {**{k: chunk.extras[k] for k in ("m_jj", "delta_r") if k in chunk.extras}, "label": chunk.label,
                          **{k: chunk.feature(k) for k in FEATURES}}
                scale = {k: 1e-3 for k in ("m_jj", "m_light", "dm")}
                table = np.column_stack([values[k].astype(np.float64) * scale.get(k, 1) for k in columns])
                _check(table, columns, n, None)
                file.write(table.astype("<f4").tobytes())
                n += len(chunk)
            if columns is None:
                raise InputError(f"cannot write {path}: no events were given")
            file.seek(0)
            file.write(npy.header_bytes("<f4", (n, len(columns))))


def _table(head: npy.Header) -> tuple[int, int]:
    if len(head.shape) != 2 or head.shape[1] not in (5, 6, 7) or head.dtype.kind != "f":
        raise InputError(f"expected CATHODE's table of 5, 6 or 7 columns of floats, got {head.dtype} {head.shape}")
    return head.shape


def _check(table: np.ndarray, columns: list[str], start: int, path: Path | None) -> None:
    for k, name in enumerate(columns):
        x = table[:, k]
        low, high = RANGES.get(name, (0, 1))
        wrong = ~((x == 0) | (x == 1)) if name == "label" else ~((x >= low) & (x <= high))
        if wrong.any():
            row = int(np.argmax(wrong))
            unit = " TeV" if name in ("m_jj", "m_light", "dm") else ""
            expected = "0 or 1" if name == "label" else f"{max(low, 0):g} to {high:g}{unit}"
            raise InputError(f"{path or 'this sample'}, event {start + row}: {name} = {x[row]:g}{unit}; expected {expected}")


def _sample(table: np.ndarray, columns: list[str], start: int, path: Path) -> Sample:
    table = table.astype(np.float64)
    _check(table, columns, start, path)
    values = dict(zip(columns, table.T, strict=True))
    label = values["label"].astype(np.int8) if "label" in values else np.full(len(table), UNKNOWN, np.int8)
    extras = {"m_jj": (values["m_jj"] * 1000).astype(np.float32)}
    if "delta_r" in values:
        extras["delta_r"] = values["delta_r"].astype(np.float32)
    return Sample(
        particles=np.zeros((len(table), 0, 4), np.float32),
        features=np.column_stack([values["m_light"] * 1000, values["dm"] * 1000, values["tau21_light"], values["tau21_heavy"]]),
        feature_names=tuple(FEATURES),
        feature_units=UNITS,
        label=label,
        process=np.where(label == UNKNOWN, PROCESS[UNKNOWN], np.where(label == SIGNAL, PROCESS[1], PROCESS[0])),
        extras=extras,
        meta={"source": Cathode.title, "file": path.name, "slots": []},
    )
