"""The level-1 events of the 2021 anomaly detection challenge (arXiv:2107.02157), 40 MHz at the LHC.

Dataset ``Particles`` (N, 19, 4) = pT [GeV], η, φ [rad], class; one row is the missing transverse energy (class 1), four are
electrons (2), four muons (3), ten jets (4), each kind in descending pT and padded with zeros (class 0). The black boxes number
their events in ``EvtId`` (N,). Labels are not in the file; its name tells which of the published ones it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from qad.data.formats import hdf5
from qad.data.formats.base import Events, Format, lacks
from qad.data.formats.hdf5_writer import Writer
from qad.data.sample import UNKNOWN, Sample
from qad.errors import InputError

SLOTS = ("met",) + ("e",) * 4 + ("mu",) * 4 + ("jet",) * 10
CLASS = np.array([{"met": 1, "e": 2, "mu": 3, "jet": 4}[s] for s in SLOTS])
#: Beginning of the published file's name, in small letters: process and label.
FILES = {
    "ato4l": ("a_4l", 1), "leptoquark": ("lq_btau", 1), "htotautau": ("h0_tautau", 1), "hchtotaunu": ("hplus_taunu", 1),
    "background_for_training": ("level1_background", 0), "blackbox": ("unknown", UNKNOWN),
}


def sort_slots(particles: np.ndarray, slots: Iterable[str]) -> np.ndarray:
    """``particles`` (n, p, 4) in descending pT inside each kind of slot."""
    slots, out = np.array(list(slots)), particles
    for slot in dict.fromkeys(slots.tolist()):
        columns = np.flatnonzero(slots == slot)
        pt = particles[:, columns, 0]
        if (pt[:, 1:] > pt[:, :-1]).any():
            out = out.copy() if out is particles else out
            order = np.argsort(-pt, axis=1, kind="stable")
            out[:, columns] = np.take_along_axis(particles[:, columns], order[..., None], axis=1)
    return out


class Adc2021(Format):
    """The level-1 events of arXiv:2107.02157, ``.h5`` with ``Particles`` (N, 19, 4).

    The writer keeps pT, η, φ and the number of the event; masses, labels and weights have no place in this format.
    """

    name = "adc2021"
    title = "ADC2021: level-1 events of the anomaly detection challenge at 40 MHz"
    reference = "arXiv:2107.02157, Zenodo 5046389, 5046428, 5072068, 7152590, 7152599, 7152614, 7152617"
    suffixes = (".h5", ".hdf5")

    def recognises(self, path: Path) -> bool:
        return hdf5.looks(path, lambda file: hdf5.dataset(file, "Particles", (None, 19, 4), "f"))

    @contextmanager
    def open(self, path: Path) -> Iterator[Events]:
        known = next((v for k, v in FILES.items() if path.name.lower().startswith(k)), ("unknown", UNKNOWN))
        with hdf5.opened(path) as file:
            with hdf5.damage(path):
                columns = {"rows": hdf5.dataset(file, "Particles", (None, 19, 4), "f")}
                if "EvtId" in file:
                    columns["event"] = hdf5.dataset(file, "EvtId", (None,), "iu")
                n = hdf5.ready(file, *columns.values())

            def read(start: int, stop: int) -> Sample:
                with hdf5.damage(path):
                    rows = hdf5.rows(columns["rows"], start, stop, np.float32)
                    there = rows[..., 0] > 0
                    wrong = there & (rows[..., 3] != CLASS)
                    if wrong.any():
                        event, slot = np.argwhere(wrong)[0]
                        raise InputError(f"event {start + event} has class {rows[event, slot, 3]:g} in row {slot}, expected "
                                         f"{CLASS[slot]} ({SLOTS[slot]}); the file is damaged")
                    rows[..., 3] = 0
                    rows[rows[..., 0] == 0] = 0
                    return Sample(
                        particles=sort_slots(rows, SLOTS),
                        label=np.full(len(rows), known[1]),
                        process=known[0],
                        extras={"event": hdf5.rows(columns["event"], start, stop, np.int64)} if "event" in columns else {},
                        meta={"source": self.title, "file": path.name, "sqrt_s_GeV": 13000.0, "slots": list(SLOTS)},
                    )

            yield Events(n, read)

    def write(self, path: Path, chunks: Iterable[Sample]) -> None:
        with Writer(path) as out:
            for sample in chunks:
                if tuple(sample.meta.get("slots", ())) != SLOTS or sample.particles.shape[1] != len(SLOTS):
                    raise lacks(self.name, "the 19 objects of level-1 events: MET, 4 electrons, 4 muons, 10 jets")
                rows = sample.particles.copy()
                rows[..., 3] = np.where(rows[..., 0] > 0, CLASS, 0)
                out.append("Particles", rows, np.float64)
                if "event" in sample.extras:
                    out.append("EvtId", sample.extras["event"], np.int64)
            if "Particles" in out.file:
                out.file["Particles_Names"] = np.array([b"Pt", b"Eta", b"Phi", b"Class"])
                out.file["Particles_Classes"] = np.array(
                    [b"MET_class_1", b"Four_Ele_class_2", b"Four_Mu_class_3", b"Ten_Jet_class_4"])
