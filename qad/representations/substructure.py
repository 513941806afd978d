"""Jet substructure observables, as batched kernels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from qad.data.kinematics import cartesian, invariant_mass, rapidity, wrap
from qad.errors import InputError, did_you_mean
from qad.representations.base import Representation, particles_of

FEATURES = {
    "mass": "jet mass [GeV]",
    "multiplicity": "number of constituents",
    "width": "Σ z ΔR to the jet axis",
    "ptd": "√(Σ z²), arXiv:1202.1416",
    "tau21": "τ2/τ1, exclusive-kT axes, β = 1, arXiv:1011.2268",
    "tau32": "τ3/τ2",
    "soft_drop_mass": "soft-drop mass [GeV], z_cut = 0.1, β = 0, arXiv:1402.2657",
    "c2": "e3/e2², β = 1, arXiv:1305.0007",
    "d2": "e3/e2³, β = 1, arXiv:1409.6298",
    "e2": "two-point energy correlator, β = 1",
    "kt1": "largest kT [GeV] of the primary Lund plane, arXiv:1807.04758",
    "kt2": "second largest kT [GeV] of the primary Lund plane",
}
#: What ``Substructure()`` gives without being asked.
USUAL = ("mass", "multiplicity", "width", "ptd", "tau21", "tau32", "soft_drop_mass", "c2", "d2")
BATCH = 512


class Substructure(Representation):
    """Observables of each jet, ``(n, features)``: mass, multiplicity, width, ptd, tau21, tau32, soft_drop_mass, c2, d2 …

    Energy correlators e2 = Σ_{i<j} z_i z_j θ_ij, e3 = Σ_{i<j<k} z_i z_j z_k θ_ij θ_ik θ_jk with z the share of the scalar
    pT sum. Masses and kT in GeV, the others without unit; ``radius`` is the jet radius. Ratios are 0 where their denominator
    vanishes. Also ``e2``, ``kt1``, ``kt2``: see ``FEATURES`` of this module.
    """

    def __init__(self, features: Sequence[str] = USUAL, radius: float = 0.8) -> None:
        self.features = features
        self.radius = radius

    def _transform(self, X: object) -> np.ndarray:
        if isinstance(self.features, str):
            raise InputError(f"features: expected a list such as [mass, tau21], got '{self.features}'")
        for name in self.features:
            if name not in FEATURES:
                raise InputError(did_you_mean(name, FEATURES, "substructure feature"))
        particles = particles_of(X, self)
        batches = [particles[i : i + BATCH] for i in range(0, len(particles), BATCH)]
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            parts = list(threads.map(self._batch, batches))
        return np.concatenate(parts) if parts else np.zeros((0, len(self.features)))

    def _batch(self, particles: np.ndarray) -> np.ndarray:
        from qad.data import recluster  # compiled on first use

        wanted = set(self.features)
        p4 = cartesian(particles)
        present = particles[..., 0] > 0
        count = present.sum(1)
        jet = p4.sum(1)
        y, phi = rapidity(p4), particles[..., 2]
        z = particles[..., 0] / np.maximum(particles[..., 0].sum(1, keepdims=True), 1e-12)
        columns = {"mass": invariant_mass(jet), "multiplicity": count, "ptd": np.sqrt((z**2).sum(1))}
        if "width" in wanted:
            dphi = wrap(phi - np.arctan2(jet[:, 1], jet[:, 0])[:, None])
            columns["width"] = (z * np.hypot(y - rapidity(jet)[:, None], dphi)).sum(1)
        if wanted & {"tau21", "tau32"}:
            tau = recluster.subjettiness(p4, count, 3, self.radius)
            columns["tau21"], columns["tau32"] = ratio(tau[:, 1], tau[:, 0]), ratio(tau[:, 2], tau[:, 1])
        if "soft_drop_mass" in wanted:
            columns["soft_drop_mass"] = recluster.soft_drop_mass(p4, count, 0.1, 0.0, self.radius)
        if wanted & {"kt1", "kt2"}:
            columns["kt1"], columns["kt2"] = recluster.primary_kt(p4, count, 2).T
        if wanted & {"c2", "d2", "e2"}:
            e2, e3 = recluster.energy_correlators(z, y, phi, count).T
            columns["e2"] = e2
            columns["c2"], columns["d2"] = ratio(e3, e2**2), ratio(e3, e2**3)
        return np.stack([columns[name] for name in self.features], axis=1).astype(np.float64)

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Names of the columns."""
        return np.array(list(self.features))


def ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a/b, and 0 where b vanishes."""
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)
