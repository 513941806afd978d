"""Sequential recombination inside jets: exclusive kT axes and Cambridge/Aachen soft drop, compiled, one jet per thread.

E-scheme, distances in rapidity and azimuth, no beam distance: what FastJet does with a radius larger than any jet.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange


@njit(cache=True, inline="always")
def _rapidity(px: float, py: float, pz: float, e: float) -> float:
    m2 = e * e - px * px - py * py - pz * pz
    transverse = math.sqrt(px * px + py * py + max(m2, 0.0))
    return math.asinh(pz / transverse) if transverse > 0.0 else 0.0


@njit(cache=True, inline="always")
def _distance2(y: np.ndarray, phi: np.ndarray, pt2: np.ndarray, i: int, j: int, power: float) -> float:
    dphi = abs(phi[i] - phi[j])
    if dphi > math.pi:
        dphi = 2 * math.pi - dphi
    d = (y[i] - y[j]) ** 2 + dphi * dphi
    return d * min(pt2[i], pt2[j]) if power > 0 else d


@njit(cache=True)
def _recombine(p4: np.ndarray, n: int, stop: int, power: float):
    """Merge the ``n`` rows of ``p4`` (px, py, pz, E) down to ``stop``: kT for power 1, C/A for power 0.

    Returns the tree: momenta of all 2n - 1 nodes, their two children (-1 for particles), and the nodes left.
    """
    nodes = np.zeros((2 * n, 4))
    child = np.full((2 * n, 2), -1, dtype=np.int64)
    y, phi, pt2 = np.zeros(2 * n), np.zeros(2 * n), np.zeros(2 * n)
    alive = np.arange(n)
    near, dist = np.zeros(2 * n, dtype=np.int64), np.full(2 * n, np.inf)
    for i in range(n):
        nodes[i] = p4[i]
        y[i], phi[i] = _rapidity(p4[i, 0], p4[i, 1], p4[i, 2], p4[i, 3]), math.atan2(p4[i, 1], p4[i, 0])
        pt2[i] = p4[i, 0] ** 2 + p4[i, 1] ** 2
    for i in range(n):
        for j in range(i):
            d = _distance2(y, phi, pt2, i, j, power)
            if d < dist[i]:
                dist[i], near[i] = d, j
            if d < dist[j]:
                dist[j], near[j] = d, i
    count, total = n, n
    while count > stop:
        best = 0
        for k in range(1, count):
            if dist[alive[k]] < dist[alive[best]]:
                best = k
        a = alive[best]
        b = near[a]
        new = total
        total += 1
        nodes[new] = nodes[a] + nodes[b]
        child[new, 0], child[new, 1] = a, b
        px, py, pz, e = nodes[new]
        y[new], phi[new], pt2[new] = _rapidity(px, py, pz, e), math.atan2(py, px), px * px + py * py
        kept = 0
        for k in range(count):
            if alive[k] != a and alive[k] != b:
                alive[kept] = alive[k]
                kept += 1
        alive[kept] = new
        count = kept + 1
        for k in range(kept):
            i = alive[k]
            if near[i] == a or near[i] == b:  # its nearest neighbour is gone
                dist[i] = np.inf
                for m in range(count):
                    j = alive[m]
                    if j != i:
                        d = _distance2(y, phi, pt2, i, j, power)
                        if d < dist[i]:
                            dist[i], near[i] = d, j
            d = _distance2(y, phi, pt2, i, new, power)
            if d < dist[i]:
                dist[i], near[i] = d, new
            if d < dist[new]:
                dist[new], near[new] = d, i
    return nodes, child, alive[:count], y, phi, pt2


@njit(cache=True, parallel=True)
def subjettiness(p4: np.ndarray, count: np.ndarray, most: int, radius: float) -> np.ndarray:
    """τ_N for N = 1 … ``most``, exclusive-kT axes, β = 1 (arXiv:1011.2268): Σ_k pT_k min_a ΔR_ak / (Σ_k pT_k R).

    p4 (n, p, 4) px, py, pz, E [GeV], filled slots first; count (n,) particles of each jet. Returns (n, most).
    """
    out = np.zeros((len(p4), most))
    for jet in prange(len(p4)):
        n = count[jet]
        for axes in range(1, most + 1):
            if n <= axes:
                continue  # every particle is an axis
            _, _, left, y, phi, pt2 = _recombine(p4[jet], n, axes, 1.0)
            total, moment = 0.0, 0.0
            for i in range(n):
                nearest = np.inf
                for a in left:
                    nearest = min(nearest, _distance2(y, phi, pt2, i, a, 0.0))
                pt = math.sqrt(pt2[i])
                total += pt
                moment += pt * math.sqrt(nearest)
            out[jet, axes - 1] = moment / (total * radius)
    return out


@njit(cache=True, parallel=True)
def soft_drop_mass(p4: np.ndarray, count: np.ndarray, z_cut: float, beta: float, radius: float) -> np.ndarray:
    """Soft-drop mass [GeV] (arXiv:1402.2657): undo C/A, keep the harder branch until z > z_cut (ΔR/R)^β. Shape (n,)."""
    out = np.zeros(len(p4))
    for jet in prange(len(p4)):
        n = count[jet]
        if n == 0:
            continue
        nodes, child, left, y, phi, pt2 = _recombine(p4[jet], n, 1, 0.0)
        node = left[0]
        while child[node, 0] >= 0:
            a, b = child[node, 0], child[node, 1]
            if pt2[a] < pt2[b]:
                a, b = b, a
            z = math.sqrt(pt2[b]) / (math.sqrt(pt2[a]) + math.sqrt(pt2[b]))
            dr = math.sqrt(_distance2(y, phi, pt2, a, b, 0.0))
            if z > z_cut * (dr / radius) ** beta:
                break
            node = a
        px, py, pz, e = nodes[node]
        out[jet] = math.sqrt(max(e * e - px * px - py * py - pz * pz, 0.0))
    return out
