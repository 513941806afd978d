"""The features by which dijet searches tell a resonance from QCD, written once: for public files and for simulated events."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

#: Names and units, after the CATHODE study (arXiv:2109.00546): light is the jet of the smaller mass.
FEATURES = {"m_light": "GeV", "dm": "GeV", "tau21_light": "", "tau21_heavy": ""}


def dijet_features(jets: Mapping[str, np.ndarray]) -> np.ndarray:
    """(n, 4): mass of the lighter jet and mass difference [GeV], τ21 of the lighter and of the heavier jet.

    jets   ``j1_mass`` [GeV], ``j1_tau1``, ``j1_tau2`` and those of j2, each (n,)

    τ21 = τ2/(10⁻⁵ + τ1), with the published constant. In the precision of what is given, so that a file read again gives the
    same numbers.
    """
    tau21 = np.stack([jets[f"{j}_tau2"] / (1e-5 + jets[f"{j}_tau1"]) for j in ("j1", "j2")], axis=1)
    mass = np.stack([jets["j1_mass"], jets["j2_mass"]], axis=1)
    order = np.argsort(mass, axis=1, kind="stable")
    light, heavy = np.take_along_axis(mass, order, 1).T
    return np.column_stack([light, heavy - light, np.take_along_axis(tau21, order, 1)])
