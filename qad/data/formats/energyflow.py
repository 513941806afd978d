"""The quark and gluon jets of EnergyFlow: an ``.npz`` of ``X`` (N, M, 4) = pT [GeV], rapidity, φ [rad], PDG id, and ``y``.

Komiske et al., arXiv:1810.05165; Zenodo 3164691 (Pythia) and 3066475 (Herwig). ``y`` is 1 for quark jets, 0 for gluon
jets: both are ordinary jets, so both get the label 0 (background) and the process tells them apart. The second column is
*rapidity* y: with the mass m of the PDG id and m_T² = pT² + m², η = arcsinh(m_T/pT · sinh y).
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from qad.data.formats import npy
from qad.data.formats.base import Events, Format, by_pt, lacks
from qad.data.formats.whole import affordable, reading, written
from qad.data.kinematics import wrap
from qad.data.sample import BACKGROUND, Sample
from qad.errors import InputError

#: Masses of the particles in these jets by |PDG id| [GeV]; others (photons) count as massless.
MASSES = {11: 0.000511, 13: 0.105658, 130: 0.497611, 211: 0.139570, 310: 0.497611, 321: 0.493677, 2112: 0.939565,
          2212: 0.938272}
PROCESSES = ("gluon", "quark")
#: No particle at the LHC is further forward: y = arccosh(E/m_T).
FORWARD = 20.0
_BLOCK = 1024


class EnergyFlow(Format):
    """Quark and gluon jets as EnergyFlow loads them, ``.npz``."""

    name = "energyflow"
    title = "quark and gluon jets of EnergyFlow"
    reference = "arXiv:1810.05165, Zenodo 3164691"
    suffixes = (".npz",)

    def recognises(self, path: Path) -> bool:
        try:
            with zipfile.ZipFile(path) as archive:
                return {"X.npy", "y.npy"} <= set(archive.namelist())
        except Exception:  # damaged in any of a dozen ways: not this format
            return False

    @contextmanager
    def open(self, path: Path) -> Iterator[Events]:
        with reading(path):
            archive = zipfile.ZipFile(path)
        with archive:
            with reading(path):
                X, y = (npy.Forward(_member(archive, path, name)) for name in ("X.npy", "y.npy"))
                n = _agree(X.head, y.head, archive)
                affordable(path, math.prod(X.head.shape) * 4)

            def read(start: int, stop: int) -> Sample:
                with reading(path):
                    # a block at a time: the float64 of the file and what is worked out from it stay small
                    blocks = [(i, min(i + _BLOCK, stop)) for i in range(start, stop, _BLOCK)] or [(start, stop)]
                    return _sample([_block(X.rows(*b), y.rows(*b), b[0]) for b in blocks], path)

            try:
                yield Events(n, read)
            finally:
                X.close()
                y.close()

    def write(self, path: Path, chunks: Iterable[Sample]) -> None:
        """Compressed ``X`` float64 and ``y``; rapidity with the mass of the PDG id, which readers will assume."""
        n, width = 0, None
        y: list[np.ndarray] = []
        with written(path) as tmp, _scratch(tmp) as rows:
            with open(rows, "wb") as file:
                file.write(npy.header_bytes("<f8", (0, 0, 4)))
                for chunk in chunks:
                    if "pdg_id" not in chunk.particle_extras:
                        raise lacks(self.name, "the particle extra 'pdg_id'")
                    if not np.isin(chunk.process, PROCESSES).all():
                        other = chunk.process[~np.isin(chunk.process, PROCESSES)][0]
                        raise lacks(self.name, f"the process 'quark' or 'gluon' for each jet (it has '{other}')")
                    width = chunk.particles.shape[1] if width is None else width
                    if chunk.particles.shape[1] != width:
                        raise InputError("chunks of one sample must have the same number of particle slots")
                    file.write(_rows(chunk).astype("<f8").tobytes())
                    y.append((chunk.process == "quark").astype("<f8"))
                    n += len(chunk)
                if width is None:
                    raise InputError(f"cannot write {path}: no events were given")
                file.seek(0)
                file.write(npy.header_bytes("<f8", (n, width, 4)))
            with zipfile.ZipFile(tmp, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                for name, size in (("X.npy", rows.stat().st_size), ("y.npy", npy.WIDTH + 8 * n)):
                    info = zipfile.ZipInfo(name)  # dated 1980: the same sample gives the same bytes
                    info.compress_type = zipfile.ZIP_DEFLATED
                    with archive.open(info, "w", force_zip64=size > 2**31) as out:
                        if name == "X.npy":
                            with open(rows, "rb") as file:
                                while block := file.read(2**20):
                                    out.write(block)
                        else:
                            out.write(npy.header_bytes("<f8", (n,)))
                            out.write(np.concatenate(y).tobytes())


@contextmanager
def _scratch(tmp: Path) -> Iterator[Path]:
    """A second temporary name: a zip file takes the array only when its length is known."""
    rows = tmp.with_suffix(".rows")
    try:
        yield rows
    finally:
        rows.unlink(missing_ok=True)


def _member(archive: zipfile.ZipFile, path: Path, name: str) -> Callable[[], Any]:
    found = [i for i in archive.infolist() if i.filename == name]
    if len(found) != 1:
        raise InputError(f"{path}: expected one array '{name[:-4]}', found {len(found)}; EnergyFlow's files hold X and y")
    info = found[0]
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
        raise InputError(f"{path}: '{name}' is encrypted or packed in a way that NumPy does not write")
    affordable(path, info.file_size)
    return lambda: archive.open(info)


def _agree(X: npy.Header, y: npy.Header, archive: zipfile.ZipFile) -> int:
    if len(X.shape) != 3 or X.shape[2] != 4 or X.dtype.kind != "f" or X.dtype.itemsize > 8:
        raise InputError(f"expected X (N, M, 4) of floats = pT, rapidity, phi, PDG id; got {X.dtype} {X.shape}")
    if y.shape != X.shape[:1] or y.dtype.itemsize > 8:
        raise InputError(f"expected y ({X.shape[0]},), a number for each jet; got {y.dtype} {y.shape}")
    if X.fortran and min(X.shape[:2]) > 1:
        raise InputError("X is stored column by column, which cannot be read in parts; save np.ascontiguousarray(X)")
    for head, name in ((X, "X.npy"), (y, "y.npy")):
        if archive.getinfo(name).file_size != head.offset + head.nbytes:
            raise InputError(f"'{name}' is damaged: its header says {head.shape}, its size says otherwise; copy it again")
    return X.shape[0]


def _mass(pdg_id: np.ndarray) -> np.ndarray:
    known = np.array(sorted(MASSES))
    at = np.searchsorted(known, np.abs(pdg_id)).clip(max=len(known) - 1)
    return np.where(known[at] == np.abs(pdg_id), np.array([MASSES[k] for k in known.tolist()])[at], 0.0)


def _block(X: np.ndarray, y: np.ndarray, start: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    X = X.astype(np.float64)
    pt, rapidity, phi, pid = np.moveaxis(X, -1, 0)
    there = pt > 0
    wrong = ~(np.isfinite(X).all(-1) & (pt >= 0) & (np.abs(rapidity) < FORWARD) & (np.abs(phi) < 10) & (np.abs(pid) < 2**31)
              & (pid == np.round(pid))).all(1) | ~np.isin(y, (0, 1))
    if wrong.any():
        raise InputError(f"jet {start + int(np.argmax(wrong))} is damaged: expected particles of finite pT >= 0 GeV, |y| < "
                         f"{FORWARD:g}, phi [rad] and a whole PDG id, and y = 0 or 1; copy the file again")
    mass = _mass(pid)
    eta = np.arcsinh(np.sqrt(1 + np.divide(mass, pt, out=np.zeros_like(pt), where=there) ** 2) * np.sinh(rapidity))
    particles = np.stack([pt, eta, wrap(phi), mass], axis=-1) * there[..., None]
    particles, pid = by_pt(particles.astype(np.float32), np.where(there, pid, 0).astype(np.int32))
    return particles, pid, y == 1


def _sample(blocks: list[Any], path: Path) -> Sample:
    particles, pid, quark = (np.concatenate(part) for part in zip(*blocks, strict=True))
    return Sample(
        particles=particles,
        label=np.full(len(quark), BACKGROUND),
        process=np.where(quark, PROCESSES[1], PROCESSES[0]),
        particle_extras={"pdg_id": pid},
        meta={"source": EnergyFlow.title, "file": path.name},
    )


def _rows(chunk: Sample) -> np.ndarray:
    pt, eta, phi, _ = np.moveaxis(chunk.particles.astype(np.float64), -1, 0)
    pid = chunk.particle_extras["pdg_id"]
    ratio = np.divide(_mass(pid), pt, out=np.zeros_like(pt), where=pt > 0)
    rapidity = np.arcsinh(np.sinh(eta) / np.sqrt(1 + ratio**2))
    return np.asarray(np.stack([pt, rapidity, phi, pid], axis=-1) * chunk.present[..., None])
