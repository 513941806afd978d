"""Constituents: the hardest particles of a jet in a frame of its own."""

from __future__ import annotations

import numpy as np

from qad.data.kinematics import cartesian, rapidity, wrap
from qad.errors import InputError
from qad.representations.base import Representation, particles_of


def centred(particles: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """pT fraction, Δy and Δφ [rad] of ``(n, p, 4)`` particles about their jet axis; zeros where there is no particle."""
    p4 = cartesian(particles)
    jet = p4.sum(1)  # E-scheme axis
    present = particles[..., 0] > 0
    z = particles[..., 0] / np.maximum(np.hypot(jet[:, 0], jet[:, 1]), 1e-12)[:, None]
    dy = np.where(present, rapidity(p4) - rapidity(jet)[:, None], 0.0)
    dphi = np.where(present, wrap(particles[..., 2] - np.arctan2(jet[:, 1], jet[:, 0])[:, None]), 0.0)
    return z, dy, dphi


def principal_frame(z: np.ndarray, dy: np.ndarray, dphi: np.ndarray, flip: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Rotate the principal axis of the pT-weighted spread onto the second axis; flip the harder halves to positive.

    Rotation angle α = ½ atan2(2 ⟨yφ⟩, ⟨y²⟩ - ⟨φ²⟩), weights pT. All inputs and outputs are ``(n, p)``.
    """
    xx, yy, xy = (z * dy * dy).sum(1), (z * dphi * dphi).sum(1), (z * dy * dphi).sum(1)
    alpha = np.pi / 2 - 0.5 * np.arctan2(2 * xy, xx - yy)
    c, s = np.cos(alpha)[:, None], np.sin(alpha)[:, None]
    u, v = c * dy - s * dphi, s * dy + c * dphi
    if flip:
        for axis in (u, v):
            axis *= np.where((z * (axis > 0)).sum(1) < (z * (axis < 0)).sum(1), -1.0, 1.0)[:, None]
    return u, v


class Constituents(Representation):
    """The ``n_particles`` hardest constituents as ``(pT/pT_jet, Δη, Δφ)``, shape ``(n, n_particles, 3)``.

    Centred on the jet axis (Δη is a rapidity difference, equal to Δη for massless particles), rotated so that the
    principal axis of the pT-weighted spread points along the third column, flipped so that the harder side is positive.
    Coordinates in rad; absent particles are zero. Preprocessing as in arXiv:1707.08966.
    """

    gives = "particles"

    def __init__(self, n_particles: int = 10, rotate: bool = True, flip: bool = True) -> None:
        self.n_particles = n_particles
        self.rotate = rotate
        self.flip = flip

    def _transform(self, X: object) -> np.ndarray:
        z, u, v = centred(particles_of(X, self))
        if self.rotate:
            u, v = principal_frame(z, u, v, self.flip)
        k = self.n_particles
        out = np.stack([z, u, v], axis=-1)[:, :k]
        return np.pad(out, [(0, 0), (0, k - out.shape[1]), (0, 0)])


class PtWeighted(Representation):
    """Constituents ``(n, k, 3)`` → ``(z Δη, z Δφ)`` [rad], ``(n, k, 2)``: the angles that ``1p1q`` writes into qubits.

    With it, a classical detector is given exactly what the quantum one is.
    """

    gives = "particles"

    def _transform(self, X: np.ndarray) -> np.ndarray:
        return np.asarray(X)[..., 1:] * np.asarray(X)[..., :1]


class GirthShares(Representation):
    """The ``n_particles`` largest z_i ΔR_i of a jet, descending, ``(n, n_particles)`` [rad]; their sum over all is its girth.

    z_i is the particle's share of the jet's pT, ΔR_i its distance to the jet axis. Infrared and collinear safe only as a sum;
    each alone needs particles and nothing else, no axes, no clustering. 0 where a jet has fewer particles.
    """

    def __init__(self, n_particles: int = 10) -> None:
        self.n_particles = n_particles

    def _transform(self, X: object) -> np.ndarray:
        if self.n_particles < 1:
            raise InputError(f"n_particles={self.n_particles}: expected a whole number from 1")
        z, dy, dphi = centred(particles_of(X, self))
        shares = -np.sort(-z * np.hypot(dy, dphi), axis=1)[:, : self.n_particles]
        return np.pad(shares, [(0, 0), (0, self.n_particles - shares.shape[1])])
