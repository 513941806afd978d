"""The graph autoencoder: nodes and edges of a jet's particles, reconstructed at once."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from qad import networks, settings
from qad.errors import InputError
from qad.neural import NeuralDetector
from qad.representations.graphs import EDGE_COLUMNS, NODE_COLUMNS, edge_features, edge_mask

SCORES = ("reconstruction", "node", "edge", "latent")
NODES, EDGES = len(NODE_COLUMNS) - 1, len(EDGE_COLUMNS)


class GraphAutoencoder(NeuralDetector):
    """Score = loss of a graph autoencoder, ``L = node_weight L_node + edge_weight L_edge``, of one latent vector per jet.

    After Atkinson, Bhardwaj, Englert, Ngairangbam and Spannowsky, arXiv:2105.07988: a symmetric decoder gives node and edge
    features at once, and the latent space can be the score. What its layers are, and whether its latent space belongs to a node
    or to the jet, the abstract does not say, and the defaults are this project's. Here it is the jet's, a true bottleneck.

    Takes ``(n, nodes, 5)`` as ``particle-graph`` gives it. Node features (ln pT share, Δη, Δφ, mass share) and edge features
    e_ij (:func:`qad.representations.graphs.edge_features`) are standardised on the training events.

    Encoder: ``branches`` adjacencies a_k,ij between 0 and 1, each a network's reading of e_ij; ``layers`` convolutions with one
    branch for each, side by side, h_i ← σ(U h_i + Σ_k V_k mean_j a_k,ij h_j); then mean and maximum over the nodes, and a
    linear map to ``latent`` numbers, which do not depend on the order of the nodes. Decoder: a state h_i for each slot; edges
    e_ij = b + c·(h_i + h_j) + Σ_r λ_r (G h_i)_r (G h_j)_r, the same for i, j and j, i; convolutions over the adjacencies read
    from these; from the last states nodes, by a linear map, and edges, by such a form again.
    **Slots are ordered**: the k-th is the k-th hardest particle, so the reconstruction depends on that order.

    L_node and L_edge are mean squared errors of a jet over its own nodes and its own pairs; absent ones count in neither.
    σ is the leaky ReLU. All other settings as in :class:`qad.neural.NeuralDetector`.

    latent, width              numbers that are left of a jet, width of the states
    layers, branches           convolutions on each side, adjacencies
    node_weight, edge_weight   of the two losses
    score_as   "reconstruction" (L), "node" (L_node), "edge" (L_edge), or "latent": the squared Mahalanobis distance of the
               latent vector to the training events' mean, with their covariance

    Raises :class:`InputError` for nodes with other columns, unknown ``score_as``, weights that are negative or both 0.
    """

    takes = "graph"
    whole = NeuralDetector.whole | {"latent": 1, "width": 1, "layers": 1, "branches": 1}
    #: Numbers of all pairs of nodes of these lie in memory at a time.
    chunk = 512

    def __init__(self, latent: int = 6, width: int = 32, layers: int = 2, branches: int = 4, node_weight: float = 0.3,
                 edge_weight: float = 1.0, score_as: str = "reconstruction", epochs: int = 30, learning_rate: float = 2e-3,
                 batch_size: int = 128, patience: int = 6, device: str = "auto", precision: str = "float32",
                 checkpoint: str | None = None, random_state: int = 0) -> None:
        super().__init__(epochs, learning_rate, batch_size, patience, device, precision, checkpoint, random_state)
        self.latent = latent
        self.width = width
        self.layers = layers
        self.branches = branches
        self.node_weight = node_weight
        self.edge_weight = edge_weight
        self.score_as = score_as

    def _check_settings(self) -> None:
        super()._check_settings()
        if self.score_as not in SCORES:
            raise InputError(f"score_as={self.score_as!r}: expected one of {', '.join(SCORES)}")
        weights = self.node_weight, self.edge_weight
        settings.number("node_weight", self.node_weight)
        settings.number("edge_weight", self.edge_weight)
        if not any(weights):
            raise InputError(f"node_weight={weights[0]!r}, edge_weight={weights[1]!r}: expected numbers from 0, not both 0")

    def _network(self) -> nn.Module:
        slots, columns = self.shape_in_
        if columns != NODES + 1:
            raise InputError(f"GraphAutoencoder takes nodes with the columns {', '.join(NODE_COLUMNS)}, as the representation "
                             f"'particle-graph' gives them; got {columns} columns")
        return _Network(slots, self.latent, self.width, self.layers, self.branches, self.random_state)

    def _prepare(self, network: nn.Module, data: tuple[torch.Tensor, ...]) -> None:
        for name in ("node", "edge"):
            count, total, squares = 0.0, 0.0, 0.0
            for batch in data[0].split(self.chunk):
                chosen = _nodes(batch)[batch[..., -1] > 0.5] if name == "node" else edge_features(batch)[edge_mask(batch)]
                chosen = chosen.double()
                count, total, squares = count + len(chosen), total + chosen.sum(0), squares + chosen.square().sum(0)
            mean = total / max(count, 1)
            scale = (squares / max(count, 1) - mean.square()).clamp_min(0).sqrt()
            getattr(network, f"{name}_mean").copy_(mean)
            getattr(network, f"{name}_scale").copy_(torch.where(scale > 1e-6, scale, torch.ones_like(scale)))

    def _fit(self, X: np.ndarray, validation: np.ndarray | None) -> None:
        super()._fit(X, validation)
        z = self._latents(X[: self.most_for_offset])
        self.latent_mean_ = z.mean(0)
        covariance = np.atleast_2d(np.cov(z, rowvar=False))
        ridge = 1e-6 * max(float(np.trace(covariance)) / self.latent, 1e-12)
        self.latent_precision_ = np.linalg.inv(covariance + ridge * np.eye(self.latent))

    def _losses(self, network: nn.Module, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """L_node and L_edge of each jet."""
        nodes, edges, here, pairs = network.features(batch)
        node, edge = network.decode(network.encode(nodes, edges, here, pairs))
        return _mean((node - nodes).square().mean(2), here), _mean((edge - edges).square().mean(1), pairs)

    def _loss(self, network: nn.Module, batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        node, edge = self._losses(network, batch)
        return (self.node_weight * node + self.edge_weight * edge).mean()

    def _event_scores(self, network: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        node, edge = self._losses(network, batch)
        return {"node": node, "edge": edge}.get(self.score_as, self.node_weight * node + self.edge_weight * edge)

    def _latents(self, X: np.ndarray) -> np.ndarray:
        return self._each(X, lambda network, batch: network.encode(*network.features(batch)))

    def _score(self, X: np.ndarray) -> np.ndarray:
        if self.score_as != "latent":
            return super()._score(X)
        d = self._latents(X) - self.latent_mean_
        return np.einsum("ni,ij,nj->n", d, self.latent_precision_, d)


def _nodes(batch: torch.Tensor) -> torch.Tensor:
    """Node features before they are standardised, ``(B, P, 4)``: of the pT share the logarithm."""
    return torch.cat([batch[..., :1].clamp_min(1e-6).log(), batch[..., 1:NODES]], -1)


def _mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean of each jet over what the mask keeps, ``(B,)``; 0 where it keeps nothing."""
    return (values * mask).flatten(1).sum(1) / mask.flatten(1).sum(1).clamp_min(1)


class _Adjacencies(nn.Module):
    """Edge features ``(B, 4, P, P)`` → a_k,ij over the number of neighbours of i, ``(B, branches, P, P)``; 0 off the edges."""

    def __init__(self, branches: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(EDGES, 2 * branches), nn.Linear(2 * branches, branches)

    def forward(self, edges: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor:
        weight = pairs / pairs.sum(-1, keepdim=True).clamp_min(1)
        x = nn.functional.leaky_relu(self.first.weight @ edges.flatten(2) + self.first.bias[:, None], 0.1)
        x = torch.sigmoid(self.second.weight @ x + self.second.bias[:, None])
        return x.unflatten(2, edges.shape[2:]) * weight[..., None, :, :]


class _Convolution(nn.Module):
    """h_i ← σ(U h_i + Σ_k V_k Σ_j a_k,ij h_j)."""

    def __init__(self, size: int, width: int, branches: int) -> None:
        super().__init__()
        self.u, self.v = nn.Linear(size, width), nn.Linear(branches * size, width, bias=False)

    def forward(self, h: torch.Tensor, adjacencies: torch.Tensor) -> torch.Tensor:
        gathered = (adjacencies.flatten(1, 2) @ h).unflatten(1, adjacencies.shape[1:3])  # (B, branches, P, size)
        return nn.functional.leaky_relu(self.u(h) + self.v(gathered.transpose(1, 2).flatten(2)), 0.1)


class _Pairs(nn.Module):
    """States ``(B, P, width)`` → edge features ``(B, 4, P, P)``: b + c·(h_i + h_j) + Σ_r λ_r (G h_i)_r (G h_j)_r."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.single, self.g = nn.Linear(width, EDGES), nn.Linear(width, width)
        self.mix = nn.Parameter(torch.empty(EDGES, width))
        nn.init.uniform_(self.mix, -(width**-0.5), width**-0.5)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        g, one = self.g(h), self.single(h).transpose(1, 2)
        both = (g[:, None] * self.mix[:, None]).flatten(1, 2) @ g.transpose(1, 2)
        return both.unflatten(1, (EDGES, -1)) + one[:, :, :, None] + one[:, :, None, :]


class _Network(nn.Module):
    def __init__(self, slots: int, latent: int, width: int, layers: int, branches: int, seed: int) -> None:
        super().__init__()
        self.slots, self.width = slots, width
        for name, size in (("node", NODES), ("edge", EDGES)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_scale", torch.ones(size))
        with networks.seeded(seed):
            self.seen, self.made = _Adjacencies(branches), _Adjacencies(branches)
            self.down = nn.ModuleList(_Convolution(width if i else NODES, width, branches) for i in range(layers))
            self.pool = nn.Linear(2 * width, latent)
            self.slot = nn.Sequential(nn.Linear(latent, 2 * width), nn.LeakyReLU(0.1), nn.Linear(2 * width, slots * width))
            self.draft = _Pairs(width)
            self.up = nn.ModuleList(_Convolution(width, width, branches) for _ in range(layers))
            self.node, self.edge = nn.Linear(width, NODES), _Pairs(width)

    def features(self, batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Standardised nodes ``(B, P, 4)`` and edges ``(B, 4, P, P)``, and which are there."""
        nodes = (_nodes(batch) - self.node_mean) / self.node_scale
        edges = (edge_features(batch) - self.edge_mean) / self.edge_scale
        return nodes, edges.permute(0, 3, 1, 2).contiguous(), batch[..., -1] > 0.5, edge_mask(batch)

    def encode(self, nodes: torch.Tensor, edges: torch.Tensor, here: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor:
        adjacencies = self.seen(edges, pairs)
        for convolution in self.down:
            nodes = convolution(nodes, adjacencies)
        here = here[..., None]
        mean = (nodes * here).sum(1) / here.sum(1).clamp_min(1)
        most = torch.where(here, nodes, -torch.inf).amax(1)
        return self.pool(torch.cat([mean, torch.where(here.any(1), most, torch.zeros_like(most))], -1))

    def decode(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        h = nn.functional.leaky_relu(self.slot(z).reshape(len(z), self.slots, self.width), 0.1)
        pairs = ~torch.eye(self.slots, dtype=torch.bool, device=z.device)
        adjacencies = self.made(self.draft(h), pairs)
        for convolution in self.up:
            h = convolution(h, adjacencies)
        return self.node(h), self.edge(h)
