"""Loops over the particles of a jet, compiled: recombination trees, τ_N, soft drop, energy correlators.

Recombination is E-scheme, with distances in rapidity and azimuth and no beam distance: what FastJet does with a radius
larger than any jet. The kernels release the GIL, so that batches of jets run in threads.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit


@njit(cache=True, inline="always")
def _rapidity(px: float, py: float, pz: float, e: float) -> float:
    m2 = e * e - px * px - py * py - pz * pz
    transverse = math.sqrt(px * px + py * py + max(m2, 0.0))
    return math.asinh(pz / transverse) if transverse > 0.0 else 0.0


@njit(cache=True, inline="always")
def _angle2(dy: float, dphi: float) -> float:
    dphi = abs(dphi)
    dphi = min(dphi, 2 * math.pi - dphi)
    return dy * dy + dphi * dphi


@njit(cache=True, inline="always")
def _branches(child: np.ndarray, pt2: np.ndarray, node: int) -> tuple[int, int]:
    """The two that ``node`` was merged from, the harder first."""
    a, b = child[node, 0], child[node, 1]
    return (b, a) if pt2[a] < pt2[b] else (a, b)


@njit(cache=True)
def _recombine(p4: np.ndarray, n: int, power: float) -> tuple[np.ndarray, ...]:
    """Merge the ``n`` rows of ``p4`` (px, py, pz, E) into one: kT for power 1, C/A for power 0.

    Returns the tree: momenta of its 2n - 1 nodes (particles first, then in order of merging), the children of each
    (-1 for particles), and each node's rapidity, azimuth, pT².
    """
    size = 2 * n - 1
    nodes = np.zeros((size, 4))
    child = np.full((size, 2), -1, dtype=np.int64)
    y, phi, pt2 = np.zeros(size), np.zeros(size), np.zeros(size)
    for i in range(n):
        nodes[i] = p4[i]
        y[i], phi[i] = _rapidity(p4[i, 0], p4[i, 1], p4[i, 2], p4[i, 3]), math.atan2(p4[i, 1], p4[i, 0])
        pt2[i] = p4[i, 0] ** 2 + p4[i, 1] ** 2
    # Those not yet merged stand in slots 0 … count - 1. Neighbours are nearest in angle: of the pair with the least kT, the
    # softer one's nearest in angle is the other (hep-ph/0512210), and few neighbours change in a merging.
    node, near, dist = np.arange(n), np.zeros(n, dtype=np.int64), np.full(n, np.inf)
    sy, sphi, spt2 = y[:n].copy(), phi[:n].copy(), pt2[:n].copy()
    for i in range(n):
        for j in range(i):
            d = _angle2(sy[i] - sy[j], sphi[i] - sphi[j])
            if d < dist[i]:
                dist[i], near[i] = d, j
            if d < dist[j]:
                dist[j], near[j] = d, i
    count = n
    for new in range(n, size):
        best, least = 0, np.inf
        for k in range(count):
            d = dist[k] * min(spt2[k], spt2[near[k]]) if power > 0 else dist[k]
            if d < least:
                best, least = k, d
        s, t = best, near[best]
        a, b = node[s], node[t]
        nodes[new] = nodes[a] + nodes[b]
        child[new, 0], child[new, 1] = a, b
        px, py, pz, e = nodes[new]
        y[new], phi[new], pt2[new] = _rapidity(px, py, pz, e), math.atan2(py, px), px * px + py * py
        count -= 1
        kept, gone = min(s, t), max(s, t)  # the new one takes one slot, the last of all takes the other
        node[gone], near[gone], dist[gone] = node[count], near[count], dist[count]
        sy[gone], sphi[gone], spt2[gone] = sy[count], sphi[count], spt2[count]
        node[kept], dist[kept] = new, np.inf
        sy[kept], sphi[kept], spt2[kept] = y[new], phi[new], pt2[new]
        for k in range(count):
            if k == kept:
                continue
            if near[k] == s or near[k] == t:  # its nearest neighbour is gone
                dist[k] = np.inf
                for j in range(count):
                    d = _angle2(sy[k] - sy[j], sphi[k] - sphi[j])
                    if d < dist[k] and j != k:
                        dist[k], near[k] = d, j
            elif near[k] == count:
                near[k] = gone
            d = _angle2(sy[k] - sy[kept], sphi[k] - sphi[kept])
            if d < dist[k]:
                dist[k], near[k] = d, kept
            if d < dist[kept]:
                dist[kept], near[kept] = d, k
    return nodes, child, y, phi, pt2


@njit(cache=True, nogil=True)
def subjettiness(p4: np.ndarray, count: np.ndarray, most: int, radius: float) -> np.ndarray:
    """τ_N for N = 1 … ``most``, exclusive-kT axes, β = 1 (arXiv:1011.2268): Σ_k pT_k min_a ΔR_ak / (Σ_k pT_k R).

    p4 (n, p, 4) px, py, pz, E [GeV], filled slots first; count (n,) particles of each jet. Returns (n, most).
    """
    out = np.zeros((len(p4), most))
    for jet in range(len(p4)):
        n = count[jet]
        if n < 2:
            continue
        _, child, y, phi, pt2 = _recombine(p4[jet], n, 1.0)
        parent = np.full(2 * n - 1, 2 * n)
        for node in range(n, 2 * n - 1):
            parent[child[node, 0]] = node
            parent[child[node, 1]] = node
        total = 0.0
        for i in range(n):
            total += math.sqrt(pt2[i])
        axis = np.zeros(most, dtype=np.int64)
        for axes in range(1, min(most, n - 1) + 1):  # with n axes every particle is one, and τ vanishes
            end = 2 * n - axes  # nodes that exist when `axes` are left
            found = 0
            for a in range(end):
                if parent[a] >= end:
                    axis[found] = a
                    found += 1
            moment = 0.0
            for i in range(n):
                nearest = np.inf
                for a in axis[:found]:
                    nearest = min(nearest, _angle2(y[i] - y[a], phi[i] - phi[a]))
                moment += math.sqrt(pt2[i] * nearest)
            out[jet, axes - 1] = moment / (total * radius)
    return out


@njit(cache=True, nogil=True)
def soft_drop_mass(p4: np.ndarray, count: np.ndarray, z_cut: float, beta: float, radius: float) -> np.ndarray:
    """Soft-drop mass [GeV] (arXiv:1402.2657): undo C/A, keep the harder branch until z > z_cut (ΔR/R)^β. Shape (n,)."""
    out = np.zeros(len(p4))
    for jet in range(len(p4)):
        n = count[jet]
        if n == 0:
            continue
        nodes, child, y, phi, pt2 = _recombine(p4[jet], n, 0.0)
        node = 2 * n - 2
        while child[node, 0] >= 0:
            a, b = _branches(child, pt2, node)
            z = math.sqrt(pt2[b]) / (math.sqrt(pt2[a]) + math.sqrt(pt2[b]))
            dr = math.sqrt(_angle2(y[a] - y[b], phi[a] - phi[b]))
            if z > z_cut * (dr / radius) ** beta:
                break
            node = a
        px, py, pz, e = nodes[node]
        out[jet] = math.sqrt(max(e * e - px * px - py * py - pz * pz, 0.0))
    return out


@njit(cache=True, nogil=True)
def primary_kt(p4: np.ndarray, count: np.ndarray, most: int) -> np.ndarray:
    """The ``most`` largest kT = pT_soft ΔR [GeV] of the primary Lund plane (arXiv:1807.04758): C/A, harder branch.

    p4 (n, p, 4) px, py, pz, E [GeV], filled slots first; count (n,) particles of each jet. Returns (n, most), descending, 0
    where a jet has fewer splittings.
    """
    out = np.zeros((len(p4), most))
    for jet in range(len(p4)):
        n = count[jet]
        if n < 2:
            continue
        _, child, y, phi, pt2 = _recombine(p4[jet], n, 0.0)
        node = 2 * n - 2
        while child[node, 0] >= 0:
            a, b = _branches(child, pt2, node)
            kt = math.sqrt(pt2[b] * _angle2(y[a] - y[b], phi[a] - phi[b]))
            for k in range(most):  # put it in its place
                if kt > out[jet, k]:
                    kt, out[jet, k] = out[jet, k], kt
            node = a
    return out


@njit(cache=True, nogil=True)
def energy_correlators(z: np.ndarray, y: np.ndarray, phi: np.ndarray, count: np.ndarray) -> np.ndarray:
    """e2 = Σ_{i<j} z_i z_j θ_ij and e3 = Σ_{i<j<k} z_i z_j z_k θ_ij θ_ik θ_jk (β = 1, arXiv:1305.0007), shape (n, 2)."""
    out = np.zeros((len(z), 2))
    for jet in range(len(z)):
        n = count[jet]
        theta = np.zeros((n, n))
        e2, e3 = 0.0, 0.0
        for i in range(n):
            for j in range(i):
                dphi = abs(phi[jet, i] - phi[jet, j])
                dphi = min(dphi, 2 * math.pi - dphi)
                theta[i, j] = theta[j, i] = math.sqrt((y[jet, i] - y[jet, j]) ** 2 + dphi * dphi)
                e2 += z[jet, i] * z[jet, j] * theta[i, j]
        for i in range(n):
            for j in range(i):
                row = 0.0
                for k in range(j):
                    row += z[jet, k] * theta[i, k] * theta[j, k]
                e3 += z[jet, i] * z[jet, j] * theta[i, j] * row
        out[jet, 0], out[jet, 1] = e2, e3
    return out
