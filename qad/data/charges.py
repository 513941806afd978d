"""Electric charge from the PDG id, by the numbering scheme of the Particle Data Group: no generator is asked."""

from __future__ import annotations

from functools import cache

import numpy as np

TABULATED = 10_000
THIRDS = np.array([0, -1, 2, -1, 2, -1, 2, 0, 0, 0])  # of the quarks d, u, s, c, b, t; other digits are neutral
CHARGED_BOSONS = (24, 34, 37, 57)  # W, W', H+, charged dark matter
HIDDEN_SECTOR = range(4_900_000, 4_910_000)


def charge_of(pdg_id: np.ndarray) -> np.ndarray:
    """Charge in units of e, int8 in the shape of ``pdg_id`` (integers, 0 for none).

    Leptons and bosons by list, hadrons from the quark digits, nuclei ±10LZZZAAAI give Z.

    A hadron's id ends in n_q1 n_q2 n_q3 n_J. A meson (n_q1 = 0) has Q = (-1)^n_q2 (Q_q2 - Q_q3), since its sign follows the
    heavier quark; a baryon the sum of its three. Supersymmetric partners 1000000 + i count as the particle i. What never
    leaves a collision alone (quarks, diquarks) counts as neutral, and so do R-hadrons, which carry no such digits.
    """
    pdg_id = np.asarray(pdg_id)
    shape, pdg_id = pdg_id.shape, pdg_id.ravel()
    size = np.abs(pdg_id)
    charge = np.sign(pdg_id).astype(np.int8) * _table()[np.minimum(size, TABULATED)]
    large = np.flatnonzero(size >= TABULATED)
    if len(large):
        charge[large] = np.sign(pdg_id[large]) * _of_size(size[large].astype(np.int64))
    return np.asarray(charge.reshape(shape))


@cache
def _table() -> np.ndarray:
    return _of_size(np.arange(TABULATED + 1)).astype(np.int8)


def _of_size(size: np.ndarray) -> np.ndarray:
    """Charge of the particles (not antiparticles) with ids ``size``, int64."""
    partner = (size > 1_000_000) & (size < 3_000_000) & (size % 1_000_000 < 100)
    i = np.where(partner, size % 1_000_000, size)
    quarks = THIRDS[i // 1000 % 10], THIRDS[i // 100 % 10], THIRDS[i // 10 % 10]
    baryon = sum(quarks) // 3
    meson = np.where(i // 100 % 2 == 0, 1, -1) * (quarks[1] - quarks[2]) // 3
    hadron = np.where(i // 1000 % 10 == 0, meson, baryon)
    hidden = (i >= HIDDEN_SECTOR.start) & (i < HIDDEN_SECTOR.stop)
    charge = np.where((i > 100) & (i // 10 % 10 > 0) & ~hidden, hadron, 0)
    charge = np.where((i < 20) & (i > 10) & (i % 2 == 1), -1, charge)
    charge = np.where(np.isin(i, CHARGED_BOSONS), 1, charge)
    return np.where(size // 100_000_000 == 10, size // 10_000 % 1000, charge)
