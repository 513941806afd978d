"""Energy flow: tracks, and the calorimeter energy that they leave over (arXiv:1307.6346, section 3.4)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qad.simulation.resolutions import ELECTRON, HADRON, MUON, Calorimeter, Detector, smear
from qad.simulation.seen import Seen
from qad.simulation.towers import (
    K0L,
    PHOTON,
    Arrival,
    Grid,
    arrive,
    deposits,
    fine_towers,
    group,
    measure,
    shares,
    square_towers,
)

PION_MASS = 0.13957  # GeV


class Tracks(NamedTuple):
    """Charged particles that the tracker finds."""

    particle: np.ndarray  # index into what came in
    species: np.ndarray
    resolution: np.ndarray  # σ(pT)/pT
    scale: np.ndarray  # measured over true momentum
    energy: np.ndarray  # measured, with the particle's mass [GeV]


def find_tracks(seen: Seen, where: Arrival, detector: Detector, rng: np.random.Generator) -> Tracks:
    """Charged particles that pass the card's efficiency, their pT smeared log-normally with its resolution."""
    charged = np.flatnonzero(seen.charge)
    size = np.abs(seen.pdg_id[charged])
    species = np.where(size == 11, ELECTRON, np.where(size == 13, MUON, HADRON))
    eta, pt = where.eta_calorimeter[charged], where.pt[charged]
    found = rng.random(len(charged)) < detector.efficiency(species, eta, pt)
    charged, species, eta, pt = charged[found], species[found], eta[found], pt[found]
    resolution = detector.resolution(species, eta, pt)
    scale = smear(np.ones(len(pt)), resolution, rng)
    momentum = pt * scale * np.cosh(where.eta[charged])
    return Tracks(charged, species, resolution, scale, np.hypot(momentum, seen.mass[charged]))


def flow(seen: Seen, where: Arrival, share: np.ndarray, tracks: Tracks, grid: Grid, calorimeter: Calorimeter, pdg_id: int,
         rng: np.random.Generator) -> tuple[Seen, np.ndarray]:
    """The energy-flow rule in one compartment: its neutral objects, and the factor on each track's momentum.

    Per tower, with E of the calorimeter, T the sum over tracks that deposit here, σ_T² = Σ (resolution · energy)²: a neutral
    object of E - T where that is above the energy threshold and, in units of √(σ_T² + σ_E²), above the significance.
    Elsewhere the tracks are scaled to the weighted mean (T/σ_T² + E/σ_E²)/(1/σ_T² + 1/σ_E²) of both measurements.
    """
    tower = grid.towers(where.eta_calorimeter, where.phi_calorimeter)
    hit = np.flatnonzero((tower >= 0) & (share > 0))
    key, index = group(seen.event[hit] * np.int64(grid.size) + tower[hit])
    n = len(key)
    event, tower = np.divmod(key, grid.size)
    half = np.full(n, 0.5)
    eta, _ = grid.place(tower, half, half)
    energy, sigma = measure(np.bincount(index, seen.p4[hit, 3] * share[hit], n), eta, calorimeter, rng)
    tower_of = np.full(len(seen.event), -1)
    tower_of[hit] = index
    here = np.flatnonzero(tower_of[tracks.particle] >= 0)
    at = tower_of[tracks.particle[here]]
    track = np.bincount(at, tracks.energy[here], n)
    variance = np.bincount(at, (tracks.resolution[here] * tracks.energy[here]) ** 2, n)
    excess = np.maximum(energy - track, 0.0)
    neutral = (excess > calorimeter.energy_min) & (excess > calorimeter.significance * np.sqrt(variance + sigma**2))
    rescaled = np.flatnonzero(~neutral & (track > 0) & (variance + sigma**2 > 0))
    t, v, e, s2 = track[rescaled], variance[rescaled], energy[rescaled], sigma[rescaled] ** 2
    factor = np.ones(n)
    factor[rescaled] = (t * s2 + e * v) / (s2 + v) / t
    scale = np.ones(len(tracks.particle))
    scale[here] = factor[at]
    kept = np.flatnonzero(neutral)
    place = grid.place(tower[kept], *rng.random((2, len(kept))))
    return deposits(seen.n, event[kept], excess[kept], *place, np.full(len(kept), pdg_id)), scale


def eflow(seen: Seen, detector: Detector, rng: np.random.Generator, charged_subtraction: bool = False) -> Seen:
    """Tracks with their charge, photons (22) from the ECAL, neutral hadrons (130) from the HCAL.

    Hadron tracks get the mass and id of a charged pion; electrons and muons keep theirs. The ECAL has the towers of
    :func:`~qad.simulation.towers.fine_towers`, the HCAL those of :func:`~qad.simulation.towers.square_towers`. With
    ``charged_subtraction`` the tracks of pile-up (no source) are dropped after their energy was taken off the towers.
    """
    where = arrive(seen, detector)
    ecal, hcal = shares(seen.pdg_id)
    tracks = find_tracks(seen, where, detector, rng)
    photons, of_electrons = flow(seen, where, ecal, tracks, fine_towers(detector.eta_max), detector.ecal, PHOTON, rng)
    hadrons, of_hadrons = flow(seen, where, hcal, tracks, square_towers(detector.eta_max), detector.hcal, K0L, rng)
    particle, scale = tracks.particle, tracks.scale * of_electrons * of_hadrons
    hadron = tracks.species == HADRON
    charge = seen.charge[particle]
    mass = np.where(hadron, PION_MASS, seen.mass[particle])
    p4 = seen.p4[particle] * scale[:, None]
    p4[:, 3] = np.sqrt((p4[:, :3] ** 2).sum(1) + mass**2)
    pdg_id = np.where(hadron, np.where(charge > 0, 211, -211), seen.pdg_id[particle])
    charged = Seen(seen.n, seen.event[particle], p4, mass, pdg_id, charge, seen.source[particle])
    if charged_subtraction:
        charged = charged[charged.source >= 0]
    return Seen.together(seen.n, [charged, photons, hadrons])
