"""Graphs of a jet: an array of nodes, and the features of the edges between them.

Every representation that gives "graph" has shape ``(n, nodes, columns)``, and its last column is 1 where a node is present, 0
elsewhere; a row without a node is 0 throughout. What the other columns hold is the representation's own.
"""

from __future__ import annotations

import numpy as np
import torch

from qad.errors import InputError
from qad.representations.base import Representation, particles_of
from qad.representations.constituents import centred, principal_frame

#: Columns of a node of :class:`ParticleGraph`.
NODE_COLUMNS = ("pt_share", "delta_eta", "delta_phi", "mass_share", "present")
#: Features of an edge, in this order.
EDGE_COLUMNS = ("ln_delta_r", "ln_kt", "ln_z", "ln_m2")
#: Smaller ΔR [rad], kT and m² [jet pT, and its square] are taken as this: two particles in one direction have no logarithm.
LEAST = (1e-3, 1e-6, 1e-12)


class ParticleGraph(Representation):
    """The ``n_particles`` hardest constituents as nodes ``(pT/pT_jet, Δη, Δφ, m/pT_jet, present)``, ``(n, n_particles, 5)``.

    pT-descending. Δη (a rapidity difference) and Δφ [rad] about the jet axis; m is the particle's mass; present is 1 for a
    particle and 0, as all the row, where a jet has fewer. Edges, all pairs, come from :func:`edge_features`.

    rotate   turn the principal axis of the pT-weighted spread onto Δφ and flip the harder side to positive, as
             ``constituents`` does. ΔR, kT and z of a pair stay, m² holds to leading order in the angles only

    Raises :class:`InputError` if n_particles is no whole number from 1, or for anything but a sample of jets.
    """

    gives = "graph"

    def __init__(self, n_particles: int = 16, rotate: bool = False) -> None:
        self.n_particles = n_particles
        self.rotate = rotate

    def _transform(self, X: object) -> np.ndarray:
        k = self.n_particles
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
            raise InputError(f"n_particles={k!r}: expected a whole number from 1")
        particles = particles_of(X, self)
        z, dy, dphi = centred(particles)
        pt = particles[..., 0]
        share = np.divide(z, pt, out=np.zeros_like(z), where=pt > 0)  # one over the jet's pT
        if self.rotate:
            dy, dphi = principal_frame(z, dy, dphi)
        out = np.stack([z, dy, dphi, particles[..., 3] * share, pt > 0], axis=-1)[:, :k]
        return np.pad(out, [(0, 0), (0, k - out.shape[1]), (0, 0)])


def edge_mask(nodes: torch.Tensor) -> torch.Tensor:
    """Which pairs are edges: both nodes present and not the same; bool ``(n, nodes, nodes)``."""
    here = nodes[..., -1] > 0.5
    return here[:, :, None] & here[:, None, :] & ~torch.eye(nodes.shape[1], dtype=torch.bool, device=nodes.device)


def edge_features(nodes: torch.Tensor) -> torch.Tensor:
    """``(ln ΔR, ln kT, ln z, ln m²)`` of every pair of :class:`ParticleGraph` nodes, ``(n, nodes, nodes, 4)``; 0 off the edges.

    ΔR = √(Δη² + Δφ²) [rad], kT = min(pT_i, pT_j) ΔR [jet pT], z = min(pT_i, pT_j)/(pT_i + pT_j), m² the invariant mass of the
    pair, squared [jet pT squared]: as in arXiv:2202.03772. The same for i, j and j, i. With m_T² = pT² + m²,

        m² = m_i² + m_j² + 2 (m_Ti m_Tj - pT_i pT_j) + 4 m_Ti m_Tj sinh²(Δη/2) + 4 pT_i pT_j sin²(Δφ/2),

    the usual m_Ti m_Tj cosh Δη - pT_i pT_j cos Δφ without its cancellation between collinear particles.
    """
    z, eta, phi, mass = nodes[..., :4].unbind(-1)
    zi, zj, mi, mj = z[:, :, None], z[:, None, :], mass[:, :, None].square(), mass[:, None, :].square()
    deta = eta[:, :, None] - eta[:, None, :]
    dphi = (phi[:, :, None] - phi[:, None, :]).abs()
    dphi = torch.minimum(dphi, 2 * torch.pi - dphi)  # both lie in [-π, π)
    mask = edge_mask(nodes)
    delta = torch.sqrt((deta.square() + dphi.square()).clamp_min(LEAST[0] ** 2))
    least = torch.minimum(zi, zj)
    transverse = torch.sqrt((zi.square() + mi) * (zj.square() + mj))
    difference = (zi.square() * mj + mi * zj.square() + mi * mj) / (transverse + zi * zj).clamp_min(1e-30)
    m2 = mi + mj + 2 * difference + 4 * transverse * torch.sinh(deta / 2).square() + 4 * zi * zj * torch.sin(dphi / 2).square()
    share = least / (zi + zj).clamp_min(1e-30)
    found = torch.stack([delta, (least * delta).clamp_min(LEAST[1]), share.clamp_min(1e-12), m2.clamp_min(LEAST[2])], -1)
    return torch.where(mask[..., None], found.log(), torch.zeros((), dtype=nodes.dtype, device=nodes.device))
