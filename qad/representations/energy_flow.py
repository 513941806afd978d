"""Energy flow polynomials: a linear basis of what infrared and collinear safe observables can say about a jet.

Every polynomial is a sum over as many particles as its multigraph has vertices; done vertex by vertex it costs no more than
products of matrices. A :class:`Plan` writes down these steps for all graphs at once, each only once whatever graphs share it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from qad import settings
from qad.data.kinematics import cartesian, rapidity, wrap
from qad.errors import InputError
from qad.representations.base import Representation, particles_of
from qad.representations.multigraphs import Graph, primes, products

#: Of eight edges there are graphs in which five vertices have three neighbours each, which a plan cannot take apart.
MOST_EDGES = 7
#: Bytes of one (jets, M, M) array: several of them stay in a processor's cache.
MEMORY = 2**19


class EnergyFlow(Representation):
    """Energy flow polynomials EFP_G = Σ_{i_1 … i_N} z_{i_1} … z_{i_N} Π_{(k,l) ∈ G} θ_{i_k i_l}, one column a multigraph G.

    z_i = pT_i / Σ_j pT_j over all particles of the jet, θ_ij = (Δy_ij² + Δφ_ij²)^(β/2) [rad^β] with rapidities: the hadronic
    measure of arXiv:1712.07124. Without unit in pT; the sum over i runs over the hardest ones only. float64.

    degree       most edges of a graph, 1 to 7: 1, 3, 8, 20, 53, 156, 489 columns for the connected ones
    beta         β, above 0
    n_particles  hardest particles that are summed over; with all of them infrared and collinear safe
    connected    False: all products of connected ones too, up to ``degree`` edges, and first the empty one, which is 1: 2, 5,
                 13, 36, 102, 314, 1000 columns, which span all safe observables as ``degree`` grows

    Raises :class:`InputError` for a setting out of range, or for anything but a sample of jets.
    """

    def __init__(self, degree: int = 5, beta: float = 1.0, n_particles: int = 30, connected: bool = True) -> None:
        self.degree = degree
        self.beta = beta
        self.n_particles = n_particles
        self.connected = connected

    def _check_settings(self) -> None:
        settings.whole("degree", self.degree, 1)
        if self.degree > MOST_EDGES:
            raise InputError(f"degree={self.degree}: expected at most {MOST_EDGES} edges")
        settings.number("beta", self.beta, above=True)
        settings.whole("n_particles", self.n_particles, 1)
        settings.flag("connected", self.connected)

    def _transform(self, X: object) -> np.ndarray:
        self._check_settings()
        particles = particles_of(X, self)
        z = particles[..., 0] / np.maximum(particles[..., 0].sum(1, keepdims=True), 1e-12)
        particles, z = particles[:, : self.n_particles], z[:, : self.n_particles]
        y, phi = rapidity(cartesian(particles)), particles[..., 2]
        out = np.empty((len(primes(self.degree)), len(z)))
        size = max(1, MEMORY // (8 * max(1, z.shape[1]) ** 2))
        for chunk in (slice(i, i + size) for i in range(0, len(z), size)):
            most = int((z[chunk] > 0).sum(1).max(initial=1))
            dy, dphi = (a[chunk, :most, None] - a[chunk, None, :most] for a in (y, phi))
            theta = torch.as_tensor((dy**2 + wrap(dphi) ** 2) ** (self.beta / 2))
            out[:, chunk] = polynomials(torch.as_tensor(z[chunk, :most]).contiguous(), theta, self.degree).mT
        if self.connected:
            return np.ascontiguousarray(out.T)
        rows = {(): np.ones(len(z))}
        for p in products(self.degree):
            rows[p] = rows[p[:-1]] * out[p[-1]] if p else rows[p]
        return np.stack(list(rows.values()), axis=1)

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """The edges of each graph, "01 01 12"; "01 | 01 12" for a product; "1" for the empty one."""
        self._check_settings()
        names = [" ".join(f"{u}{v}" for u, v in graph) for graph in primes(self.degree)]
        if self.connected:
            return np.array(names)
        return np.array([" | ".join(names[k] for k in p) or "1" for p in products(self.degree)])


class Matrix(NamedTuple):
    """Step ``at`` as the matrix W_uw, or W_wu where ``turned``."""

    at: int
    turned: bool = False


class Plan:
    """What to compute, in this order: ``steps`` of (operation, arguments); ``ends``, the step that is each polynomial.

    A vertex v with one neighbour u is summed first: Σ_v f_v W_vu is a factor of u's weight f (``leaf``). One with two becomes
    an edge between them, Σ_v W_uv f_v W_vw (``series``). Where each has three, all of four vertices are neighbours, and two are
    summed together (``core``). In the end two are left: Σ_uv f_u W_uv f_v (``close``).
    """

    def __init__(self, graphs: tuple[Graph, ...]) -> None:
        self.steps: list[tuple] = []
        self._known: dict[tuple, int] = {}
        self._symmetric: set[int] = set()
        self.z = self._step("z")
        self.theta = Matrix(self._step("theta"))
        self._symmetric.add(self.theta.at)
        self.ends = [self._polynomial(graph) for graph in graphs]
        self.last = {at: i for i, (_, *arguments) in enumerate(self.steps) for at in _used(arguments)}
        self.last |= {at: len(self.steps) for at in self.ends}

    def _step(self, *step: object) -> int:
        if step not in self._known:
            self._known[step] = len(self.steps)
            self.steps.append(step)
        return self._known[step]

    def _turn(self, w: Matrix) -> Matrix:
        return w if w.at in self._symmetric else Matrix(w.at, not w.turned)

    def _weight(self, factors: tuple[int, ...]) -> int:
        """f = z times the factors, element by element."""
        return self._step("weigh", self._weight(factors[:-1]), factors[-1]) if factors else self.z

    def _product(self, edges: list[Matrix]) -> Matrix:
        """All edges between two vertices as one matrix, the product element by element."""
        if len(edges) == 1:
            return edges[0]
        here, there = sorted(edges), sorted(map(self._turn, edges))
        chosen = min(here, there)
        at = self._step("times", self._product(chosen[:-1]), chosen[-1])
        if here == there:
            self._symmetric.add(at)
        return Matrix(at, here > there)

    def _series(self, a: Matrix, f: int, b: Matrix) -> Matrix:
        here, there = (a, f, b), (self._turn(b), f, self._turn(a))
        a, f, b = min(here, there)
        at = self._step("series", self._step("scale", a, f), b)
        if here == there:
            self._symmetric.add(at)
        return Matrix(at, here > there)

    def _polynomial(self, graph: Graph) -> int:
        weight: dict[int, tuple[int, ...]] = {v: () for edge in graph for v in edge}
        size = dict.fromkeys(weight, 0)  # edges that were summed into a vertex
        edges: dict[int, dict[int, list[Matrix]]] = {v: {} for v in weight}  # both ways
        count: dict[tuple[int, int], int] = {}

        def join(u: int, v: int, w: Matrix, number: int = 1) -> None:
            edges[u].setdefault(v, []).append(w)
            edges[v].setdefault(u, []).append(self._turn(w))
            count[u, v] = count[v, u] = count.get((u, v), 0) + number

        for u, v in graph:
            join(u, v, self.theta)
        while len(weight) > 2:
            least = min(map(len, edges.values()))
            # fewest edges first: small pieces are those that graphs share
            v = min((v for v in edges if len(edges[v]) == least),
                    key=lambda v: (size[v] + sum(count[v, u] for u in edges[v]), len(weight[v]), v))
            (u, *others), f = edges[v], self._weight(weight[v])
            if least == 1:
                weight[u] = tuple(sorted((*weight[u], self._step("leaf", f, self._product(edges[v][u])))))
                size[u] += size[v] + count[u, v]
            elif least == 2:
                w, = others
                join(u, w, self._series(self._product(edges[u][v]), f, self._product(edges[v][w])),
                     size[v] + count[u, v] + count[v, w])
            else:
                v, x, u, w = self._bare(edges, weight)
                core = Matrix(self._step("core", self.theta, self.z))
                self._symmetric.add(core.at)
                join(u, w, core, 5)
                for t in (u, v, w):
                    del edges[t][x]
                del weight[x], edges[x]
            for t in edges[v]:
                edges[t].pop(v, None)
            del weight[v], edges[v]
        (u, f), (v, g) = ((v, self._weight(weight[v])) for v in weight)
        w = self._product(edges[u][v])
        if (f, w) > (g, self._turn(w)):
            f, g, w = g, f, self._turn(w)
        return self._step("close", g, self._step("leaf", f, w))

    def _bare(self, edges: dict[int, dict[int, list[Matrix]]], weight: dict[int, tuple[int, ...]]) -> list[int]:
        """Four vertices, the first two with nothing but their three edges."""
        plain = [v for v in edges if not weight[v] and all(e == [self.theta] for e in edges[v].values())]
        return [*plain[:2], *(v for v in edges if v not in plain[:2])]


def _used(arguments: list) -> list[int]:
    return [a.at if isinstance(a, Matrix) else a for a in arguments]


@functools.cache
def plan(edges: int) -> Plan:
    """The plan for all connected multigraphs of 1 to ``edges`` edges."""
    return Plan(primes(edges))


def _core(theta: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """K_uw = Σ_xy z_x z_y θ_ux θ_wx θ_xy θ_uy θ_wy, one u after the other, w from u on."""
    K = torch.empty_like(theta)
    for u in range(theta.shape[1]):
        a = theta[:, u:] * (theta[:, u] * z).unsqueeze(1)
        K[:, u, u:] = K[:, u:, u] = ((a @ theta) * a).sum(-1)
    return K


OPERATIONS: dict[str, Callable[..., torch.Tensor]] = {
    "times": torch.mul,
    "weigh": torch.mul,
    "scale": lambda a, f: a * f.unsqueeze(1),
    "series": torch.bmm,
    "core": _core,
    "leaf": lambda f, a: torch.bmm(f.unsqueeze(1), a).squeeze(1),  # as rows: three times faster than as columns
    "close": lambda f, g: torch.linalg.vecdot(f, g),
}


def polynomials(z: torch.Tensor, theta: torch.Tensor, edges: int) -> torch.Tensor:
    """EFP_G = Σ_{i_1 … i_N} z_{i_1} … z_{i_N} Π_{(k,l) ∈ G} θ_{i_k i_l} of each G in ``primes(edges)``, ``(B, graphs)``.

    z ``(B, M)``, θ ``(B, M, M)`` symmetric, any float type and device.
    """
    todo = plan(edges)
    kept: dict[int, torch.Tensor] = {}
    for i, (operation, *arguments) in enumerate(todo.steps):
        if operation in ("z", "theta"):
            kept[i] = z if operation == "z" else theta
            continue
        kept[i] = OPERATIONS[operation](*(kept[a.at].mT if isinstance(a, Matrix) and a.turned else kept[at]
                                          for a, at in zip(arguments, _used(arguments), strict=True)))
        for at in set(_used(arguments)):
            if todo.last[at] == i:
                del kept[at]
    return torch.stack([kept[at] for at in todo.ends], 1)
