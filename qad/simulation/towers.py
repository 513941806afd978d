"""The calorimeter: where particles arrive, the energy they leave in towers, towers as objects."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

from qad.data.kinematics import eta_phi, wrap
from qad.simulation.resolutions import Calorimeter, Detector, smear
from qad.simulation.seen import Seen

PHOTON, K0L = 22, 130
LIGHT = 0.299792458  # GeV / (T m): p = 0.3 B r

#: Share of its energy that a particle leaves in the ECAL; what is not listed leaves all of it in the HCAL.
ECAL_SHARE = {11: 1.0, 22: 1.0, 111: 1.0, 310: 0.3, 3122: 0.3}
#: Leaves nothing at all: muons, neutrinos, neutralinos.
NOTHING = (12, 13, 14, 16, 1000022, 1000023, 1000025, 1000035, 1000045)


@dataclass(frozen=True)
class Grid:
    """Towers in bands of \\|η\\|: ``(lower, upper, towers in η, towers in φ)``, the same on both sides."""

    bands: tuple[tuple[float, float, int, int], ...]

    @property
    def size(self) -> int:
        """Number of towers."""
        return 2 * sum(n * m for _, _, n, m in self.bands)

    def towers(self, eta: np.ndarray, phi: np.ndarray) -> np.ndarray:
        """Number of the tower of each direction; -1 outside of all bands."""
        a = np.abs(eta)
        found = np.full(len(eta), -1)
        first = 0
        for low, high, n, m in self.bands:
            i = ((a - low) * (n / (high - low))).astype(np.int32)
            j = np.minimum(((phi + np.pi) * (m / (2 * np.pi))).astype(np.int32), m - 1)
            here = ((eta < 0) * n + i) * m + j + first
            found = np.where((a >= low) & (a < high) & (i < n), here, found)
            first += 2 * n * m
        return found

    def place(self, tower: np.ndarray, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """η and φ inside each ``tower``, ``u`` and ``v`` in [0, 1] from edge to edge; ½ is the centre."""
        eta, phi = np.empty(len(tower)), np.empty(len(tower))
        first = 0
        for low, high, n, m in self.bands:
            here = (tower >= first) & (tower < first + 2 * n * m) if len(self.bands) > 1 else slice(None)
            row, j = np.divmod(tower[here] - first, m)
            side, i = np.divmod(row, n)
            eta[here] = (1 - 2 * side) * (low + (i + u[here]) * ((high - low) / n))
            phi[here] = (j + v[here]) * (2 * np.pi / m) - np.pi
            first += 2 * n * m
        return eta, phi


@cache
def square_towers(eta_max: float) -> Grid:
    """0.1 × 2π/63 (= 0.0997) up to ``eta_max``.

    Delphes' cards have finer ECAL towers (0.0174 × 1° up to \\|η\\| = 3), 0.087 × 5° in the CMS HCAL and coarser ones forward.
    """
    return Grid(((0.0, eta_max, round(eta_max / 0.1), 63),))


@cache
def fine_towers(eta_max: float) -> Grid:
    """0.0174 × 1° up to \\|η\\| = 3, about 0.18 × 10° beyond: the ECAL of Delphes' cards."""
    return Grid(((0.0, 3.0, 172, 360), (3.0, eta_max, round((eta_max - 3.0) / 0.18), 36)))


class Arrival(NamedTuple):
    """Kinematics of particles, and where they reach the calorimeter."""

    pt: np.ndarray  # GeV
    eta: np.ndarray  # of the momentum
    phi: np.ndarray
    eta_calorimeter: np.ndarray  # of the position
    phi_calorimeter: np.ndarray


def arrive(seen: Seen, detector: Detector) -> Arrival:
    """Follow each particle from the origin through the solenoid to its barrel (radius R) or end (half-length L).

    A charge q turns by q s/2r, r = pT/(0.3 |q| B), against φ; its transverse path is s = 2r arcsin(R/2r) to the barrel, that is
    Δφ = arcsin(0.3 B R/2pT), or s = L/|sinh η| to the end, whichever is shorter. Below pT = 0.3 B R/2 (0.74 GeV in CMS) it
    curls and can only reach the end, at transverse distance 2r |sin(s/2r)|.
    """
    pt = np.hypot(seen.p4[:, 0], seen.p4[:, 1])
    eta, phi = eta_phi(seen.p4)
    eta_there, phi_there = eta.copy(), phi.copy()
    if detector.field == 0:
        return Arrival(pt, eta, phi, eta_there, phi_there)
    bent = np.flatnonzero(seen.charge)
    charge, slope = seen.charge[bent], np.sinh(eta[bent])
    diameter = 2 * np.maximum(pt[bent], 1e-9) / (LIGHT * detector.field * np.abs(charge))
    reach = detector.radius / diameter
    half_turn = np.where(reach < 1, np.arcsin(np.minimum(reach, 1.0)), np.inf)
    half_turn = np.minimum(half_turn, detector.half_length / np.maximum(np.abs(slope), 1e-9) / diameter)
    chord = np.sin(half_turn)  # negative: curled past the axis, on the other side of it
    across = np.maximum(np.abs(chord), 1e-9)
    phi_there[bent] = wrap(phi[bent] - np.sign(charge) * half_turn + np.where(chord < 0, np.pi, 0.0))
    eta_there[bent] = np.arcsinh(half_turn / across * slope)
    return Arrival(pt, eta, phi, eta_there, phi_there)


def shares(pdg_id: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of a particle's energy that goes into ECAL and HCAL."""
    size = np.abs(pdg_id)
    table = _share_table()
    ecal, hcal = table[:, np.minimum(size, table.shape[1] - 1)]
    return ecal, np.where(np.isin(size, NOTHING), 0.0, hcal) if (size > 1_000_000).any() else hcal


@cache
def _share_table() -> np.ndarray:
    table = np.zeros((2, 10_001))
    table[1] = 1.0
    for pdg_id, share in ECAL_SHARE.items():
        table[:, pdg_id] = share, 1 - share
    table[:, [i for i in NOTHING if i < table.shape[1]]] = 0.0
    return table


def group(key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different values of ``key``, ascending, and for each entry the index of its value."""
    order = np.argsort(key)
    ordered = key[order]
    new = np.empty(len(key), dtype=bool)
    new[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    index = np.empty(len(key), dtype=np.int64)
    index[order] = np.cumsum(new) - 1
    return ordered[new], index


class Measured(NamedTuple):
    """What a compartment reads of its towers."""

    energy: np.ndarray  # GeV, zero below threshold
    sigma: np.ndarray  # GeV, at the smeared energy


def measure(true: np.ndarray, eta: np.ndarray, calorimeter: Calorimeter, rng: np.random.Generator) -> Measured:
    """Smear the energy of towers log-normally with σ(E) and put to zero what is too small or not significant."""
    energy = smear(true, calorimeter.sigma(eta, true), rng)
    sigma = calorimeter.sigma(eta, energy)
    kept = (energy >= calorimeter.energy_min) & (energy >= calorimeter.significance * sigma)
    return Measured(np.where(kept, energy, 0.0), sigma)


def deposits(n: int, event: np.ndarray, energy: np.ndarray, eta: np.ndarray, phi: np.ndarray, pdg_id: np.ndarray) -> Seen:
    """Massless neutral objects without a source."""
    pt = energy / np.cosh(eta)
    p4 = np.column_stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), energy])
    k = len(energy)
    return Seen(n, event, p4, np.zeros(k), pdg_id, np.zeros(k, np.int8), np.full(k, -1))


def towers(seen: Seen, detector: Detector, rng: np.random.Generator) -> Seen:
    """Towers of :func:`square_towers`, one massless object each: E = ECAL + HCAL, each smeared and above its thresholds.

    The direction is uniform inside the tower. ``pdg_id`` says which compartment has more: 22 or 130. Muons leave nothing.
    """
    grid = square_towers(detector.eta_max)
    where = arrive(seen, detector)
    ecal, hcal = shares(seen.pdg_id)
    tower = grid.towers(where.eta_calorimeter, where.phi_calorimeter)
    hit = np.flatnonzero((tower >= 0) & (ecal + hcal > 0))
    key, index = group(seen.event[hit] * np.int64(grid.size) + tower[hit])
    event, tower = np.divmod(key, grid.size)
    energy = seen.p4[hit, 3]
    half = np.full(len(key), 0.5)
    eta, _ = grid.place(tower, half, half)
    electromagnetic = measure(np.bincount(index, energy * ecal[hit], len(key)), eta, detector.ecal, rng).energy
    hadronic = measure(np.bincount(index, energy * hcal[hit], len(key)), eta, detector.hcal, rng).energy
    eta, phi = grid.place(tower, *rng.random((2, len(key))))
    kept = np.flatnonzero(electromagnetic + hadronic > 0)
    pdg_id = np.where(electromagnetic[kept] > hadronic[kept], PHOTON, K0L)
    return deposits(seen.n, event[kept], (electromagnetic + hadronic)[kept], eta[kept], phi[kept], pdg_id)
