"""The normalised autoencoder of Lund trees: an energy over the nodes of a graph and over its adjacency."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from qad import networks, settings
from qad.errors import InputError
from qad.normalised import NormalisedDetector
from qad.representations.lund_graph import NODE_COLUMNS, adjacency

#: Coordinates of a node: four logarithms and the angle ψ, of which the network reads cosine and sine.
LOGS, COORDINATES = 4, 5
#: ψ in units of the standard deviation of an angle that is uniform.
ANGLE = math.sqrt(3) / math.pi


class NormalisedGraphAutoencoder(NormalisedDetector):
    """Score = error of a graph autoencoder that is a density of Lund trees, ``E(X, A) = node_weight E_X + edge_weight E_A``.

    p(X, A | which nodes are there) ∝ exp(-E/T): normalised autoencoders (arXiv:2105.05735, jets 2206.14225) for graphs. The
    idea of Lund graphs, and of Langevin steps on X and A in turn, X ← X - (α/T) ∇_X E + β ε and A ← A - (γ/T) ∇_A E + δ ε, is
    that of a talk (CMS, "Energy-based graph autoencoders for semivisible jet tagging in the Lund representation"), of which the
    abstract and this rule were known here, no code and no settings: layers and defaults are this project's. Here α and γ adapt,
    each to the acceptance of its moves, β² = 2α and δ² = 2γ, so that p is what the chains draw from.

    Takes ``(n, nodes, 7)`` as ``lund-graph`` gives it. X: ln 1/Δ, ln kT, ln 1/z and ln m of each node that is there, in
    standard deviations about the mean of the training nodes, and ψ, which turns back at ±π, where E is the same on both sides.
    A: the tree's adjacency (:func:`qad.representations.lund_graph.adjacency`), its upper triangle relaxed to [0, 1]. Which
    nodes are there never moves: absent nodes and their pairs take no step and count nowhere, and a chain that begins anew has
    the nodes of a training event.

    E_X  mean over the nodes of (Σ_logs (x - x')² + |exp(iψ) - w'|²)/5, w' any complex number
    E_A  mean over the pairs of nodes of (A_ij - A'_ij)²/(q(1 - q)), q the share of pairs that are joined

    Either is 1 where only the mean is decoded. Encoder: ``layers`` convolutions h_i ← σ(U h_i + V Σ_j A_ij h_j/(1 + Σ_j A_ij)),
    mean and maximum over the nodes and their number, and z on the sphere of ``latent`` dimensions. Decoder: a state for each
    slot from z, the slot and the number of nodes; of the states X' and w', by a linear map, and A'_ij = sigmoid(a + s_i · t_j)
    for i < j. **Slots are ordered**: the order of ``lund-graph`` is canonical (the primary plane, widest first, then the
    others, a parent before its children); of another order the score is another.

    width, layers             of the states, convolutions
    node_weight, edge_weight  of the two parts

    All other settings and what is fitted as in :class:`qad.normalised.NormalisedDetector`; ``samples_`` are graphs again, each
    node's parent the one before it with the largest A.

    Raises :class:`InputError` for nodes with other columns, weights that are negative or both 0.
    """

    takes = "graph"
    whole = NormalisedDetector.whole | {"width": 1, "layers": 1}
    #: Numbers of all pairs of nodes of these lie in memory at a time.
    chunk = 1024

    def __init__(self, latent: int = 4, width: int = 32, layers: int = 2, node_weight: float = 1.0, edge_weight: float = 1.0,
                 epochs: int = 10, warm_up: int = 10, learning_rate: float = 2e-4, warm_up_rate: float = 2e-3,
                 batch_size: int = 128, patience: int = 10, loss: str = "likelihood", temperature: float | str = "likelihood",
                 steps: int = 10, latent_steps: int = 10, restart: float = 0.02, penalty: float = 0.0, spectral: bool = True,
                 buffer: int = 512, device: str = "auto", precision: str = "float32", checkpoint: str | None = None,
                 random_state: int = 0) -> None:
        super().__init__(epochs, warm_up, learning_rate, warm_up_rate, batch_size, patience, loss, temperature, steps,
                         latent_steps, restart, penalty, spectral, 0.0, buffer, device, precision, checkpoint, random_state)
        self.latent = latent
        self.width = width
        self.layers = layers
        self.node_weight = node_weight
        self.edge_weight = edge_weight

    def _check_settings(self) -> None:
        super()._check_settings()
        weights = self.node_weight, self.edge_weight
        settings.number("node_weight", self.node_weight)
        settings.number("edge_weight", self.edge_weight)
        if not any(weights):
            raise InputError(f"node_weight={weights[0]!r}, edge_weight={weights[1]!r}: expected numbers from 0, not both 0")

    def _network(self) -> nn.Module:
        slots, columns = self.shape_in_
        if columns != len(NODE_COLUMNS):
            raise InputError(f"NormalisedGraphAutoencoder takes nodes with the columns {', '.join(NODE_COLUMNS)}, as the "
                             f"representation 'lund-graph' gives them; got {columns} columns")
        return _Network(slots, self.latent, self.width, self.layers, (self.node_weight, self.edge_weight), self.spectral,
                        self.random_state)

    def _chain_settings(self, network: nn.Module) -> dict[str, Any]:
        return {"free": network.free, "blocks": network.blocks()}


class _Network(nn.Module):
    """Graphs as rows u = (X, upper triangle of A, presence), ``(B, 5P + P(P - 1)/2 + P)``; absent ones are 0 throughout."""

    def __init__(self, slots: int, latent: int, width: int, layers: int, weights: tuple[float, float], spectral: bool,
                 seed: int) -> None:
        super().__init__()
        self.slots, self.latent, self.weights = slots, latent, weights
        self.sizes = [COORDINATES * slots, slots * (slots - 1) // 2, slots]
        for name, size in (("mean", LOGS), ("scale", LOGS)):
            self.register_buffer(name, torch.full((size,), float(name == "scale")))
        self.register_buffer("density", torch.tensor(0.5))
        upper = torch.ones(slots, slots, dtype=torch.bool).triu(1)
        places = torch.full((slots, slots), self.sizes[1])  # of each pair in the triangle; the diagonal comes after it
        places[upper] = torch.arange(self.sizes[1])
        self.register_buffer("places", places.minimum(places.T), persistent=False)
        self.register_buffer("upper", upper, persistent=False)
        with networks.seeded(seed):
            self.down = nn.ModuleList(nn.Linear(2 * (width if i else LOGS + 2), width) for i in range(layers))
            self.pool = nn.Sequential(nn.Linear(2 * width + 1, width), nn.SiLU(), nn.Linear(width, latent))
            self.slot = nn.Parameter(torch.randn(slots, width))
            self.spread = nn.Linear(latent + 1, width)
            self.up = nn.Linear(width, width)
            self.node, self.source, self.target = (nn.Linear(width, n) for n in (LOGS + 2, width, width))
        if spectral:
            networks.spectral(self, seed)

    def prepare(self, x: torch.Tensor) -> None:
        here = x[..., 6] > 0.5
        logs = x[..., :LOGS][here].double()
        if len(logs):
            self.mean.copy_(logs.mean(0))
            scale = logs.std(0, correction=0)
            self.scale.copy_(torch.where(scale > 1e-6, scale, torch.ones_like(scale)))
        n = here.sum(1).double()
        edges = sum(float(adjacency(part).sum()) for part in x.split(NormalisedGraphAutoencoder.chunk))
        self.density.fill_(min(max(edges / max(float((n * (n - 1)).sum()), 1.0), 1e-3), 1 - 1e-3))

    def coordinates(self, x: torch.Tensor) -> torch.Tensor:
        here = x[..., 6:] > 0.5
        angle = ANGLE * torch.atan2(x[..., 4:5].sin(), x[..., 4:5].cos())
        nodes = torch.cat([(x[..., :LOGS] - self.mean) / self.scale, angle], -1)
        nodes = torch.where(here, nodes, torch.zeros_like(nodes))
        return torch.cat([nodes.flatten(1), adjacency(x)[:, self.upper], here[..., 0].to(x)], 1)

    def events(self, u: torch.Tensor) -> torch.Tensor:
        """Nodes ``(B, P, 7)``; each one's parent is the node before it with the largest A."""
        nodes, A, here = self._parts(u)
        parent = torch.where(self.upper, A, -1.0).argmax(1).to(u)  # of equals the first
        parent[:, 0] = -1
        x = [nodes[..., :LOGS] * self.scale + self.mean, nodes[..., LOGS:] / ANGLE, parent[..., None], here[..., None]]
        return torch.cat(x, -1) * here[..., None]

    def bounds(self, u: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Of the logarithms a tenth beyond those of all nodes, whichever their slots."""
        nodes, here = u[:, : self.sizes[0]].unflatten(1, (self.slots, COORDINATES))[..., :LOGS], u[:, -self.slots :, None] > 0.5
        zero = torch.zeros_like(nodes)
        low, high = (torch.where(here, nodes, zero).flatten(0, 1) for _ in range(2))
        low, high = low.amin(0), high.amax(0)
        room, angle = 0.1 * (high - low).clamp_min(1.0), low.new_full((1,), ANGLE * math.pi)
        rest = torch.zeros_like(u[0, self.sizes[0] :])
        return (torch.cat([torch.cat([low - room, -angle]).repeat(self.slots), rest]),
                torch.cat([torch.cat([high + room, angle]).repeat(self.slots), rest + 1]))

    def given(self, u: torch.Tensor) -> torch.Tensor:
        """Which nodes are there, ``(B, P)``."""
        return u[:, -self.slots :]

    def free(self, u: torch.Tensor) -> torch.Tensor:
        """Nodes that are there, and pairs of them."""
        here = self.given(u) > 0.5
        pairs = (here[:, :, None] & here[:, None, :])[:, self.upper]
        return torch.cat([here.repeat_interleave(COORDINATES, 1), pairs, torch.zeros_like(here)], 1)

    def blocks(self) -> torch.Tensor:
        """X and A, which move in turn."""
        kind = torch.arange(3, device=self.mean.device).repeat_interleave(torch.tensor(self.sizes, device=self.mean.device))
        return torch.stack([kind == k for k in ((0, 1) if self.sizes[1] else (0,))])

    def _parts(self, u: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """X ``(B, P, 5)``, A ``(B, P, P)``, presence ``(B, P)``."""
        nodes, pairs, here = u.split(self.sizes, 1)
        A = nn.functional.pad(pairs, (0, 1))[:, self.places.flatten()].unflatten(1, self.places.shape)
        return nodes.unflatten(1, (self.slots, COORDINATES)), A * (here[:, :, None] * here[:, None, :]), here

    @staticmethod
    def _features(nodes: torch.Tensor) -> torch.Tensor:
        """Logarithms, cosine and sine."""
        angle = nodes[..., LOGS:] / ANGLE
        return torch.cat([nodes[..., :LOGS], angle.cos(), angle.sin()], -1)

    def _encode(self, features: torch.Tensor, A: torch.Tensor, here: torch.Tensor) -> torch.Tensor:
        h, share = features, A / (1 + A.sum(2, keepdim=True))  # absent nodes have no neighbours
        for convolution in self.down:
            h = nn.functional.silu(convolution(torch.cat([h, share @ h], -1)))
        n = here.sum(1, keepdim=True)
        mean = (h * here[..., None]).sum(1) / n.clamp_min(1)
        most = torch.where(here[..., None] > 0.5, h, -torch.inf).amax(1)
        most = torch.where(n > 0.5, most, torch.zeros_like(most))
        return nn.functional.normalize(self.pool(torch.cat([mean, most, n.log1p()], 1)), dim=1)

    def _decode(self, z: torch.Tensor, here: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features ``(B, P, 6)`` and adjacency ``(B, P, P)``, of whose upper triangle the pairs are read."""
        h = self.spread(torch.cat([z, here.sum(1, keepdim=True).log1p()], 1))[:, None] + self.slot
        h = nn.functional.silu(self.up(nn.functional.silu(h)))
        pairs = self.source(h) @ self.target(h).transpose(1, 2) / h.shape[2] ** 0.5
        return self.node(h), torch.sigmoid(self.density.logit() + pairs)

    def encode(self, u: torch.Tensor) -> torch.Tensor:
        nodes, A, here = self._parts(u)
        return self._encode(self._features(nodes), A, here)

    def decode(self, z: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        """Rows u of graphs that have the nodes ``given``."""
        features, A = self._decode(z, given)
        nodes = torch.cat([features[..., :LOGS], ANGLE * torch.atan2(features[..., 5:], features[..., 4:5])], -1)
        pairs = A * (given[:, :, None] * given[:, None, :])
        return torch.cat([(nodes * given[..., None]).flatten(1), pairs[:, self.upper], given], 1)

    def energies(self, u: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """E_X and E_A of each graph, ``(B,)``."""
        nodes, A, here = self._parts(u)
        features = self._features(nodes)
        made, joined = self._decode(self._encode(features, A, here), here)
        n = here.sum(1)
        node = ((features - made).square().sum(2) * here).sum(1) / (COORDINATES * n.clamp_min(1))
        pairs = self.upper * here[:, :, None] * here[:, None, :]
        edge = ((A - joined).square() * pairs).sum((1, 2)) / (n * (n - 1) / 2).clamp_min(1)
        return node, edge / (self.density * (1 - self.density))

    def energy(self, u: torch.Tensor) -> torch.Tensor:
        node, edge = self.energies(u)
        return self.weights[0] * node + self.weights[1] * edge
