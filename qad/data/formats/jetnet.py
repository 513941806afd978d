"""The JetNet jets (arXiv:2106.11535): ``particle_features`` and ``jet_features`` in HDF5.

``particle_features`` (N, 30 or 150, 4) = η and φ relative to the jet, pT as a fraction of the jet's, mask (1 for a particle, 0
for padding); ``jet_features`` (N, 4) = pT [GeV], η, mass [GeV], number of particles. The azimuth of the jets is not in the
file: here every jet lies at φ = 0. The kind of jet is not either: the published files are named after it, ``t.hdf5``,
``q150.hdf5``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from qad.data.formats import hdf5
from qad.data.formats.base import Events, Format, by_pt, lacks
from qad.data.formats.hdf5_writer import Writer
from qad.data.kinematics import wrap
from qad.data.sample import UNKNOWN, Sample
from qad.errors import InputError

SIZES = (30, 150)
#: First letter of the published files: process and label.
KINDS = {"g": ("gluon", 0), "q": ("quark", 0), "t": ("top", 1), "w": ("w", 1), "z": ("z", 1)}
JET = ("jet_pt", "jet_eta", "jet_mass")


def _kind(path: Path) -> tuple[str, int]:
    """Process and label that a published file's name tells: a letter, with or without the number of particles."""
    found = re.fullmatch(r"([gqtwz])(?:30|150)?", path.stem.lower())
    return KINDS[found[1]] if found else ("unknown", UNKNOWN)


def _datasets(file: h5py.File) -> tuple[h5py.Dataset, h5py.Dataset]:
    particles = hdf5.dataset(file, "particle_features", (None, None, 4), "f")
    if particles.shape[1] not in SIZES:
        raise InputError(f"'particle_features' has shape {particles.shape}, expected (n, 30, 4) or (n, 150, 4)")
    return particles, hdf5.dataset(file, "jet_features", (None, 4), "f")


class JetNet(Format):
    """The jets of arXiv:2106.11535, ``.hdf5`` with ``particle_features`` and ``jet_features``.

    The writer takes jets of up to 150 particles with ``jet_pt``, ``jet_eta``, ``jet_phi`` and ``jet_mass`` in their extras; the
    particles' masses, the jets' azimuths, labels and weights have no place in this format.
    """

    name = "jetnet"
    title = "JetNet jets"
    reference = "arXiv:2106.11535, Zenodo 6975118 (30 particles), 6975117 (150)"
    suffixes = (".hdf5", ".h5")

    def recognises(self, path: Path) -> bool:
        return hdf5.looks(path, _datasets)

    @contextmanager
    def open(self, path: Path) -> Iterator[Events]:
        process, label = _kind(path)
        with hdf5.opened(path) as file:
            with hdf5.damage(path):
                particle_features, jet_features = _datasets(file)
                n = hdf5.ready(file, particle_features, jet_features)

            def read(start: int, stop: int) -> Sample:
                with hdf5.damage(path):
                    rows = hdf5.rows(particle_features, start, stop, np.float32)
                    jets = hdf5.rows(jet_features, start, stop, np.float32)
                    if not np.isfinite(rows).all() or not np.isin(rows[..., 3], (0, 1)).all():
                        raise InputError("expected finite numbers, and 0 or 1 in the mask; the file is damaged")
                    particles = np.zeros(rows.shape, np.float32)
                    particles[..., 0] = rows[..., 2] * jets[:, :1]
                    particles[..., 1] = rows[..., 0] + jets[:, 1:2]
                    particles[..., 2] = wrap(rows[..., 1])
                    particles[(rows[..., 3] == 0) | (particles[..., 0] == 0)] = 0
                    extras = dict(zip((*JET, "jet_nparticles"), jets.T, strict=True))
                    if not np.isfinite(jets).all():
                        raise InputError("'jet_features' contain NaN or infinity; the file is damaged")
                    return Sample(
                        particles=by_pt(particles)[0],
                        label=np.full(len(rows), label),
                        process=process,
                        extras={**extras, "jet_phi": np.zeros(len(rows), np.float32)},
                        meta={"source": self.title, "file": path.name, "sqrt_s_GeV": 13000.0,
                              "azimuth": "not in the file: every jet lies at phi = 0"},
                    )

            yield Events(n, read)

    def write(self, path: Path, chunks: Iterable[Sample]) -> None:
        size = None
        with Writer(path) as out:
            for sample in chunks:
                missing = [name for name in (*JET, "jet_phi") if name not in sample.extras]
                if missing or "slots" in sample.meta:
                    raise lacks(self.name, f"the extras {', '.join(missing)} of each jet" if missing else
                                "jets: it holds events of several objects")
                if size is None:  # the slots of the first chunk decide: all chunks of a sample have as many
                    size = SIZES[0] if sample.particles.shape[1] <= SIZES[0] else SIZES[1]
                if sample.present[:, size:].any():
                    raise InputError(f"this sample cannot be written as {self.name}: the format holds {size} particles a jet, "
                                     f"this one has {int(sample.present.sum(1).max())}")
                pt, eta, mass, phi = (sample.extras[name].astype(np.float64)[:, None] for name in (*JET, "jet_phi"))
                if (pt <= 0).any():
                    raise lacks(self.name, "a jet_pt above 0 GeV for every jet")
                there, particles = sample.present[:, :size], sample.particles[:, :size].astype(np.float64)
                rows = np.zeros((len(sample), size, 4))
                rows[:, : there.shape[1]] = there[..., None] * np.stack(
                    [particles[..., 1] - eta, wrap(particles[..., 2] - phi), particles[..., 0] / pt, there], axis=-1)
                count = sample.extras.get("jet_nparticles", there.sum(1))[:, None]
                out.append("particle_features", rows, np.float32)
                out.append("jet_features", np.hstack([pt, eta, mass, count]), np.float32)
