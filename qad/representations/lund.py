"""Lund planes: every splitting of a jet's Cambridge/Aachen tree, primary and secondary (arXiv:1807.04758, arXiv:2012.08526)."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numba import njit

from qad import settings
from qad.data.kinematics import cartesian
from qad.data.recluster import _recombine
from qad.errors import InputError
from qad.representations.base import Representation, particles_of

#: What is known of a splitting a, b with pT_a ≥ pT_b: Δ² = Δy² + Δφ², kT = pT_b Δ [GeV], z = pT_b/(pT_a + pT_b), the mass
#: m [GeV] of both, ψ = atan2(y_b - y_a, φ_b - φ_a) [rad].
COLUMNS = ("ln_inverse_delta", "ln_kt", "ln_inverse_z", "ln_m", "psi")
#: Smaller Δ [rad], kT and m [GeV] are taken as this: two particles in one direction have no logarithm of their angle.
LEAST = 1e-6
BATCH = 512
#: Jets whose splittings are all held at once by the representations.
CHUNK = 8192
PLANES = ("primary", "secondary", "all")


class Lund(NamedTuple):
    """Splittings of ``n`` jets, the widest first along each plane and the primary plane before all others.

    values  (n, most, 5) as in ``COLUMNS``; 0 where a jet has fewer
    depth   (n, most) 0 on the primary plane, k where the softer branch was followed k times; -1 where a jet has fewer
    parent  (n, most) the splitting that this one's branch left, -1 for the first. It is of the same depth on the harder branch,
            one less deep on the softer; so parents are the edges of the jet's graph
    """

    values: np.ndarray
    depth: np.ndarray
    parent: np.ndarray

    @property
    def primary(self) -> np.ndarray:
        """Which splittings lie on the primary plane, bool ``(n, most)``."""
        return self.depth == 0


@njit(cache=True, nogil=True)
def _unwind(p4: np.ndarray, count: np.ndarray, values: np.ndarray, depth: np.ndarray, parent: np.ndarray, least: float) -> None:
    most = values.shape[1]
    for jet in range(len(p4)):
        n = count[jet]
        if n < 2:
            continue
        nodes, child, y, phi, pt2 = _recombine(p4[jet], n, 0.0)
        start = np.empty(n, dtype=np.int64)  # first node of each plane, the splitting it leaves, how deep it lies
        leaves = np.empty(n, dtype=np.int64)
        deep = np.empty(n, dtype=np.int64)
        start[0], leaves[0], deep[0] = 2 * n - 2, -1, 0
        planes, plane, k = 1, 0, 0
        while plane < planes and k < most:
            node, before = start[plane], leaves[plane]
            while child[node, 0] >= 0 and k < most:
                a, b = child[node, 0], child[node, 1]
                if pt2[a] < pt2[b]:
                    a, b = b, a
                pt_a, pt_b = math.sqrt(pt2[a]), math.sqrt(pt2[b])
                dy, dphi = y[b] - y[a], (phi[b] - phi[a] + math.pi) % (2 * math.pi) - math.pi
                delta = max(math.hypot(dy, dphi), least)
                px, py, pz, e = nodes[node]
                m2 = e * e - px * px - py * py - pz * pz
                values[jet, k, 0] = -math.log(delta)
                values[jet, k, 1] = math.log(max(pt_b * delta, least))
                values[jet, k, 2] = math.log((pt_a + pt_b) / pt_b)
                values[jet, k, 3] = math.log(math.sqrt(max(m2, least * least)))
                values[jet, k, 4] = math.atan2(dy, dphi)
                depth[jet, k], parent[jet, k] = deep[plane], before
                if child[b, 0] >= 0:
                    start[planes], leaves[planes], deep[planes] = b, k, deep[plane] + 1
                    planes += 1
                node, before, k = a, k, k + 1
            plane += 1  # in the order in which they were found: depths ascend


def declusterings(particles: np.ndarray, count: np.ndarray | None = None, most: int | None = None) -> Lund:
    """The Lund planes of each jet: its particles are clustered by Cambridge/Aachen, then unwound along the harder branches.

    particles  (n, p, 4) pT [GeV], η, φ [rad], mass [GeV], present ones first, as a :class:`~qad.data.Sample` holds them
    count      (n,) how many of them to take, the hardest first; all that are present where left out
    most       how many splittings to keep of each jet; a jet of k particles has k - 1, and all are kept where left out

    Raises :class:`InputError`.
    """
    particles = np.asarray(particles, dtype=np.float64)
    if particles.ndim != 3 or particles.shape[2] != 4:
        raise InputError(f"declusterings takes particles of shape (n, p, 4) = pT, eta, phi, mass; got {particles.shape}")
    present = (particles[..., 0] > 0).sum(1)
    count = present if count is None else np.asarray(count, dtype=np.int64)
    if count.shape != present.shape or (count < 0).any():
        raise InputError(f"count: expected a number from 0 for each of {len(particles)} jets, got shape {count.shape}")
    count = np.minimum(count, present)
    most = max(int(count.max(initial=0)) - 1, 0) if most is None else int(most)
    if most < 0:
        raise InputError(f"most={most}: expected a whole number from 0")
    out = Lund(np.zeros((len(particles), most, 5)), np.full((len(particles), most), -1), np.full((len(particles), most), -1))

    def batch(i: int) -> None:
        part = slice(i, i + BATCH)
        _unwind(cartesian(particles[part]), count[part], out.values[part], out.depth[part], out.parent[part], LEAST)

    batch(0)  # compiles, on first use, before there are threads
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(batch, range(BATCH, len(particles), BATCH)))
    return out


class LundPlane(Representation):
    """How many splittings of a jet lie in each pixel of the Lund plane, ``(n, pixels, pixels)``, for detectors of images.

    Rows are ln kT [GeV], columns ln 1/Δ, both ascending within the ranges: row 0 holds the least kT, column 0 the widest angles
    (what ``imshow(..., origin="lower")`` draws as physicists do). A pixel holds its lower edges, not its upper ones; splittings
    out of the ranges are not counted. Primary plane after arXiv:1807.04758.

    planes            "primary", "secondary" (softer branches, however deep), or "all", the sum of both
    ln_inverse_delta  range of ln 1/Δ; Δ = 1 at 0, Δ = 0.0025 at 6
    ln_kt             range of ln (kT/GeV); 0.05 GeV at -3, 1.1 TeV at 7

    Raises :class:`InputError` for settings that cannot be, or for anything but a sample of jets.
    """

    gives = "image"

    def __init__(self, pixels: int = 24, planes: str = "primary", ln_inverse_delta: Sequence[float] = (0.0, 6.0),
                 ln_kt: Sequence[float] = (-3.0, 7.0)) -> None:
        self.pixels = pixels
        self.planes = planes
        self.ln_inverse_delta = ln_inverse_delta
        self.ln_kt = ln_kt

    def _transform(self, X: object) -> np.ndarray:
        settings.whole("pixels", self.pixels, 1)
        if self.planes not in PLANES:
            raise InputError(f"planes={self.planes!r}: expected one of {', '.join(PLANES)}")
        ranges = [_range(name, getattr(self, name)) for name in ("ln_kt", "ln_inverse_delta")]
        particles, k = particles_of(X, self), self.pixels
        image = np.zeros((len(particles), k, k), np.float32)
        for start in range(0, len(image), CHUNK):
            lund = declusterings(particles[start : start + CHUNK])
            pixel = [np.floor((lund.values[..., column] - low) / (high - low) * k).astype(np.int64)
                     for column, (low, high) in zip((1, 0), ranges, strict=True)]
            counted = lund.depth >= 0 if self.planes == "all" else lund.primary if self.planes == "primary" else lund.depth > 0
            jet, at = np.nonzero(counted & np.all([(p >= 0) & (p < k) for p in pixel], axis=0))
            np.add.at(image, (start + jet, pixel[0][jet, at], pixel[1][jet, at]), 1)
        return image


def _range(name: str, value: Sequence[float]) -> tuple[float, float]:
    try:
        low, high = (float(v) for v in value)
    except (TypeError, ValueError):
        low, high = np.nan, np.nan
    if not -np.inf < low < high < np.inf:
        raise InputError(f"{name}={value!r}: expected two numbers, the lower first, such as [0, 6]")
    return low, high
