"""Relativistic kinematics, written once: pure, arrays in and out. GeV and rad."""

from __future__ import annotations

import numpy as np


def wrap(dphi: np.ndarray) -> np.ndarray:
    """Azimuth differences into [-π, π) [rad]."""
    return np.asarray((dphi + np.pi) % (2 * np.pi) - np.pi)


def eta_phi(p4: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pseudorapidity and azimuth [rad] of momenta ``(..., 4)`` = px, py, pz, E."""
    pt = np.hypot(p4[..., 0], p4[..., 1])
    return np.arcsinh(p4[..., 2] / np.maximum(pt, 1e-12)), np.arctan2(p4[..., 1], p4[..., 0])


def delta_r(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """ΔR = √(Δη² + Δφ²) between momenta ``(..., 4)`` = px, py, pz, E."""
    (eta_a, phi_a), (eta_b, phi_b) = eta_phi(a), eta_phi(b)
    return np.asarray(np.hypot(eta_a - eta_b, wrap(phi_a - phi_b)))


def invariant_mass(p4: np.ndarray) -> np.ndarray:
    """Mass √(E² - p²) [GeV] of momenta ``(..., 4)`` = px, py, pz, E; rounding below zero gives zero."""
    return np.asarray(np.sqrt(np.maximum(p4[..., 3] ** 2 - (p4[..., :3] ** 2).sum(-1), 0.0)))


def opening_angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angle between momenta ``(..., 4)`` = px, py, pz, E in space [rad]."""
    dot = (a[..., :3] * b[..., :3]).sum(-1)
    norm = np.linalg.norm(a[..., :3], axis=-1) * np.linalg.norm(b[..., :3], axis=-1)
    return np.asarray(np.arccos(np.clip(dot / norm, -1.0, 1.0)))


def cartesian(particles: np.ndarray) -> np.ndarray:
    """(px, py, pz, E) [GeV] of ``(..., 4)`` = pT, η, φ, mass."""
    pt, eta, phi, mass = np.moveaxis(particles, -1, 0)
    px, py, pz = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    return np.stack([px, py, pz, np.sqrt(px**2 + py**2 + pz**2 + mass**2)], axis=-1)


def rapidity(p4: np.ndarray) -> np.ndarray:
    """Rapidity y = arcsinh(pz/m_T) of momenta ``(..., 4)`` = px, py, pz, E; 0 for an absent particle."""
    transverse = np.sqrt(p4[..., 0] ** 2 + p4[..., 1] ** 2 + invariant_mass(p4) ** 2)
    return np.asarray(np.arcsinh(np.divide(p4[..., 2], transverse, out=np.zeros_like(transverse), where=transverse > 0)))
