"""Resolutions, efficiencies and thresholds of three detectors, after the cards of Delphes (arXiv:1307.6346): pure formulas.

Energies and pT in GeV, lengths in m, field in T. ``eta`` is that of the tower's centre, or of the track at the calorimeter.
A calorimeter's σ(E) = √((c E)² + s² E + n²) with constant, stochastic and noise term c, s, n.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

HADRON, ELECTRON, MUON = 0, 1, 2  # species of tracks

Formula = Callable[[np.ndarray, np.ndarray], np.ndarray]
TrackFormula = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Calorimeter:
    """One compartment: σ(eta, E) [GeV]; towers need E >= ``energy_min`` and E >= ``significance`` · σ(E)."""

    sigma: Formula
    energy_min: float
    significance: float


@dataclass(frozen=True)
class Detector:
    """A card: solenoid, acceptance of the calorimeter, tracks ``(species, eta, pt)``, two compartments."""

    field: float  # T
    radius: float  # m
    half_length: float  # m
    eta_max: float
    efficiency: TrackFormula  # probability that a charged particle leaves a track
    resolution: TrackFormula  # σ(pT)/pT of a track
    ecal: Calorimeter
    hcal: Calorimeter


def smear(mean: np.ndarray, sigma: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Log-normal values of the given mean and standard deviation: exp(ln m - b²/2 + b z), b² = ln(1 + σ²/m²).

    One normal number z is drawn per value, also where the mean is zero: the answer there is zero.
    """
    z = rng.standard_normal(len(mean))
    safe = np.where(mean > 0, mean, 1.0)
    b2 = np.log1p((sigma / safe) ** 2)
    return np.where(mean > 0, safe * np.exp(np.sqrt(b2) * z - b2 / 2), 0.0)


def calorimeter_sigma(energy: np.ndarray, constant: np.ndarray | float, stochastic: np.ndarray | float,
                      noise: np.ndarray | float = 0.0) -> np.ndarray:
    """√((c E)² + s² E + n²) [GeV]."""
    return np.sqrt((constant * energy) ** 2 + np.square(stochastic) * energy + np.square(noise))


def _band(eta: np.ndarray, edges: tuple[float, ...], *columns: tuple[float, ...]) -> list[np.ndarray]:
    """For each column its value in the band of |eta| (upper edges, inclusive; beyond the last edge 0)."""
    at = np.searchsorted(edges, np.abs(eta), side="left")
    return [np.append(column, 0.0)[at] for column in columns]


# ---------------------------------------------------------------- ATLAS and CMS, tracks


def _run2_efficiency(species: np.ndarray, eta: np.ndarray, pt: np.ndarray) -> np.ndarray:
    """The same in both cards: rows of species, columns of pT (0.1 to 1, to 100, above); |eta| to 1.5, then to 2.5."""
    barrel = np.array([[0.70, 0.95, 0.95], [0.73, 0.95, 0.99], [0.75, 0.99, 0.99]])
    endcap = np.array([[0.60, 0.85, 0.85], [0.50, 0.83, 0.90], [0.70, 0.98, 0.98]])
    column = (pt > 1.0).astype(np.int64) + (pt > 100.0)
    found = np.where(np.abs(eta) <= 1.5, barrel[species, column], endcap[species, column])
    return np.where((pt > 0.1) & (np.abs(eta) <= 2.5), found, 0.0)


def _run2_resolution(constant: list[list[float]], slope: list[list[float]]) -> TrackFormula:
    """σ(pT)/pT = √(a² + (b pT)²), at most 1; rows of species, columns |eta| to 0.5, 1.5, 2.5."""
    a, b = np.array(constant), np.array(slope)

    def resolution(species: np.ndarray, eta: np.ndarray, pt: np.ndarray) -> np.ndarray:
        column = np.minimum(np.searchsorted((0.5, 1.5), np.abs(eta), side="left"), 2)
        return np.minimum(np.hypot(a[species, column], b[species, column] * pt), 1.0)

    return resolution


ELECTRONS, MUONS = ([0.03, 0.05, 0.15], [1.3e-3, 1.7e-3, 3.1e-3]), ([0.01, 0.015, 0.025], [1.0e-4, 1.5e-4, 3.5e-4])


def _atlas_ecal(eta: np.ndarray, energy: np.ndarray) -> np.ndarray:
    return calorimeter_sigma(energy, *_band(eta, (3.2, 4.9), (0.0017, 0.0350), (0.101, 0.285)))


def _atlas_hcal(eta: np.ndarray, energy: np.ndarray) -> np.ndarray:
    return calorimeter_sigma(energy, *_band(eta, (1.7, 3.2, 4.9), (0.0302, 0.0500, 0.0942), (0.5205, 0.706, 1.00),
                                            (1.59, 0.0, 0.0)))


def _cms_ecal(eta: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """Crystals: a shape in eta (arXiv:1306.2016) times an energy resolution (arXiv:1502.02701); then the forward one."""
    a = np.abs(eta)
    shape = np.where(a <= 1.5, 1 + 0.64 * a**2, 2.16 + 5.6 * (a - 2) ** 2)
    return np.where(a <= 2.5, shape * calorimeter_sigma(energy, 0.008, 0.11, 0.40), calorimeter_sigma(energy, 0.107, 2.08))


def _cms_hcal(eta: np.ndarray, energy: np.ndarray) -> np.ndarray:
    return calorimeter_sigma(energy, *_band(eta, (3.0, 5.0), (0.050, 0.130), (1.50, 2.70)))


# ---------------------------------------------------------------- CMS Phase-II

# σ(pT)/pT of tracks at 1, 10 and 100 GeV, in steps of 0.2 in |eta|; straight between, constant below, proportional above
PHASE2_TRACKS = np.array([
    [0.004675, 0.005179, 0.010955], [0.005159, 0.005600, 0.011149], [0.005098, 0.005590, 0.011251],
    [0.005688, 0.006237, 0.011563], [0.006683, 0.007263, 0.013251], [0.010477, 0.011005, 0.019785],
    [0.014307, 0.014647, 0.022499], [0.017192, 0.017372, 0.024604], [0.017839, 0.018244, 0.024839],
    [0.017878, 0.019265, 0.031979], [0.018255, 0.020690, 0.039811], [0.018033, 0.020013, 0.042262],
    [0.021562, 0.023591, 0.056075], [0.026913, 0.030127, 0.073578], [0.032532, 0.035969, 0.096568],
    [0.045517, 0.065207, 0.358089], [0.047248, 0.077142, 0.483608], [0.044930, 0.071183, 0.447915],
    [0.054642, 0.085748, 0.535262], [0.065512, 0.124674, 0.985040]])
# muons above 5 GeV and up to |eta| = 2.8: pT 5 to 10, 20, 40, above; elsewhere they are measured as tracks
PHASE2_MUON_ETA = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2, 2.4, 2.5, 2.6, 2.7, 2.8)
PHASE2_MUONS = np.array([
    [0.00519, 0.00533, 0.00559, 0.00656], [0.00575, 0.00592, 0.00586, 0.00700], [0.00629, 0.00602, 0.00614, 0.00733],
    [0.00626, 0.00614, 0.00654, 0.00752], [0.00722, 0.00736, 0.00759, 0.00851], [0.00968, 0.0104, 0.0103, 0.0105],
    [0.00983, 0.00968, 0.00963, 0.0105], [0.0102, 0.00991, 0.0102, 0.0111], [0.0126, 0.0106, 0.0110, 0.0119],
    [0.0178, 0.0158, 0.0142, 0.0165], [0.0248, 0.0207, 0.0197, 0.0242], [0.0347, 0.0327, 0.0315, 0.0359],
    [0.0359, 0.0369, 0.0409, 0.0474], [0.0412, 0.0390, 0.0471, 0.0520], [0.0422, 0.0488, 0.0579, 0.0639],
    [0.0496, 0.0543, 0.0679, 0.0763]])


def _phase2_efficiency(species: np.ndarray, eta: np.ndarray, pt: np.ndarray) -> np.ndarray:
    """Bands of |eta| to 1.2, 2.5 (muons 2.8), 4.0; below 1 GeV proportional to pT, nothing below 0.2 GeV."""
    a = np.abs(eta)
    soft, hard = _band(a, (1.2, 2.5, 4.0), (0.96, 0.85, 0.80), (0.97, 0.87, 0.82))
    rising, plateau = _band(a, (1.2, 2.5, 4.0), (0.97, 0.82, 0.80), (0.97, 0.90, 0.85))
    electron = np.where((pt <= 10.0) & (a > 1.2), rising + 0.01 * pt, plateau)
    muon = np.where(a <= 2.8, 1.0, 0.95)
    hard = np.choose(species, [hard, electron, muon])
    soft = np.where(species == MUON, muon, soft)
    return np.where((pt > 0.2) & (a <= 4.0), np.where(pt > 1.0, hard, soft * pt), 0.0)


def _phase2_resolution(species: np.ndarray, eta: np.ndarray, pt: np.ndarray) -> np.ndarray:
    """Tracks and muons by table, electrons a share of their energy; at most 1."""
    a = np.abs(eta)
    low, middle, high = PHASE2_TRACKS[np.minimum((a / 0.2).astype(np.int64), len(PHASE2_TRACKS) - 1)].T
    soft = low + (np.clip(pt, 1.0, 10.0) - 1.0) / 9.0 * (middle - low)
    hard = middle + (np.minimum(pt, 100.0) - 10.0) / 90.0 * (high - middle)
    track = np.where(pt < 10.0, soft, np.where(pt < 100.0, hard, high * pt / 100.0))
    row = np.minimum(np.searchsorted(PHASE2_MUON_ETA, a, side="left"), len(PHASE2_MUONS) - 1)
    muon = PHASE2_MUONS[row, np.searchsorted((10.0, 20.0, 40.0), pt, side="left")]
    muon = np.where((a <= 2.8) & (pt > 5.0), muon, track)
    (electron,) = _band(a, (1.5, 1.75, 2.15, 3.0, 4.0), (0.028, 0.037, 0.038, 0.044, 0.10))
    electron = np.where(a <= 1.5, (1 + 0.64 * a**2) * electron, electron)
    return np.minimum(np.choose(species, [track, electron, muon]), 1.0)


def _phase2_ecal(eta: np.ndarray, energy: np.ndarray) -> np.ndarray:
    constant, stochastic, noise = _band(eta, (1.5, 1.75, 2.15, 3.0, 5.0), (0.009, 0.006, 0.007, 0.008, 0.08),
                                        (0.12, 0.20, 0.21, 0.24, 1.98), (0.45, 0.0, 0.0, 0.0, 0.0))
    return np.where(np.abs(eta) <= 1.5, 1 + 0.64 * eta**2, 1.0) * calorimeter_sigma(energy, constant, stochastic, noise)


def _phase2_hcal(eta: np.ndarray, energy: np.ndarray) -> np.ndarray:
    return calorimeter_sigma(energy, *_band(eta, (3.0, 5.0), (0.05, 0.11), (1.00, 2.80)))


#: The cards that a :class:`~qad.simulation.Response` can name.
CARDS: dict[str, Detector] = {
    "atlas": Detector(2.0, 1.15, 3.51, 4.9, _run2_efficiency,
                      _run2_resolution([[0.06, 0.10, 0.25], ELECTRONS[0], MUONS[0]],
                                       [[1.3e-3, 1.7e-3, 3.1e-3], ELECTRONS[1], MUONS[1]]),
                      Calorimeter(_atlas_ecal, 0.5, 2.0), Calorimeter(_atlas_hcal, 1.0, 2.0)),
    # tracks of hadrons after arXiv:1405.6569
    "cms": Detector(3.8, 1.29, 3.00, 5.0, _run2_efficiency,
                    _run2_resolution([[0.01, 0.015, 0.025], ELECTRONS[0], MUONS[0]],
                                     [[1.5e-4, 2.5e-4, 5.5e-4], ELECTRONS[1], MUONS[1]]),
                    Calorimeter(_cms_ecal, 0.5, 2.0), Calorimeter(_cms_hcal, 1.0, 1.0)),
    "cms-phase2": Detector(3.8, 1.29, 3.00, 5.0, _phase2_efficiency, _phase2_resolution,
                           Calorimeter(_phase2_ecal, 0.5, 1.0), Calorimeter(_phase2_hcal, 1.0, 1.0)),
}
