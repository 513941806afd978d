"""Lund trees as graphs: the splittings of a jet with the largest kT, joined as the tree joins them (arXiv:2012.08526)."""

from __future__ import annotations

import numpy as np
import torch

from qad import settings
from qad.errors import InputError
from qad.representations.base import Representation, particles_of
from qad.representations.lund import CHUNK, COLUMNS, Lund, declusterings

#: Columns of a node of :class:`LundGraph`; the first five are those of ``declusterings``.
NODE_COLUMNS = (*COLUMNS, "parent", "present")
PLANES = ("all", "primary")


class LundGraph(Representation):
    """A jet's tree of splittings as nodes ``(ln 1/Δ, ln kT, ln 1/z, ln m, ψ, parent, present)``, ``(n, n_nodes, 7)``.

    Δ [rad], kT and m [GeV], z and ψ [rad] as in :data:`qad.representations.lund.COLUMNS`. ψ is an angle in [-π, π] whose ends
    are one: take its sine and cosine, or wrap differences. parent is the row of the splitting that this one's branch left,
    -1 for the root; present is 1. A row without a node is 0 throughout, parent too. Rows: the primary plane, widest first, then
    the planes of softer branches; so a parent comes before its children.

    n_nodes  how many are kept, those of largest kT: as if the cut on kT of arXiv:2012.08526 rose in each jet until so many pass
    planes   "all", or "primary": only splittings of the harder branches
    kt_min   GeV; splittings below it are left out

    Where a splitting is left out, so is its softer branch with all that is in it, and the harder branch hangs on the nearest
    splitting kept before. What is kept is one tree, and a soft or collinear particle more changes no node above its own kT.

    Raises :class:`InputError` for settings that cannot be, or for anything but a sample of jets.
    """

    gives = "graph"

    def __init__(self, n_nodes: int = 20, planes: str = "all", kt_min: float = 0.0) -> None:
        self.n_nodes = n_nodes
        self.planes = planes
        self.kt_min = kt_min

    def _transform(self, X: object) -> np.ndarray:
        settings.whole("n_nodes", self.n_nodes, 1)
        settings.number("kt_min", self.kt_min)
        if self.planes not in PLANES:
            raise InputError(f"planes={self.planes!r}: expected one of {', '.join(PLANES)}")
        return self._nodes(particles_of(X, self))

    def _nodes(self, particles: np.ndarray) -> np.ndarray:
        least = np.log(self.kt_min) if self.kt_min > 0 else -np.inf
        out = np.zeros((len(particles), self.n_nodes, len(NODE_COLUMNS)))
        for start in range(0, len(out), CHUNK):
            lund = declusterings(particles[start : start + CHUNK])
            mine = lund.primary if self.planes == "primary" else lund.depth >= 0
            _fill(out[start : start + CHUNK], lund, _largest(lund, mine, self.n_nodes, least))
        return out


def _largest(lund: Lund, mine: np.ndarray, most: int, least: float) -> np.ndarray:
    """Which of ``mine`` are kept, bool: the ``most`` of largest kT, above ``least``, no branch without what it left.

    A splitting counts with its own kT or that of the splitting which opened its plane, whichever is less. (Within a softer
    branch kT is less anyhow, but for wide angles: at most half of its pT recoils there, and at a smaller angle.)
    """
    kt = np.where(mine, lund.values[..., 1], -np.inf)
    jets, opened = np.arange(len(kt)), np.full(kt.shape, -1)  # by which splitting; -1 is the primary plane
    for k in range(1, kt.shape[1]):
        parent = lund.parent[:, k]
        opened[:, k] = np.where(lund.depth[jets, parent] == lund.depth[:, k], opened[jets, parent], parent)
        kt[:, k] = np.where(opened[:, k] >= 0, np.minimum(kt[:, k], kt[jets, opened[:, k]]), kt[:, k])
    largest = np.argsort(-kt, axis=1, kind="stable")[:, :most]  # of equals, those nearer to the root
    kept = np.zeros_like(mine)
    np.put_along_axis(kept, largest, True, axis=1)
    return kept & mine & (kt >= least)


def _fill(out: np.ndarray, lund: Lund, kept: np.ndarray) -> None:
    jets, above = np.arange(len(kept)), np.full(kept.shape, -1)  # the nearest splitting kept before
    row = kept.cumsum(1) - 1  # where a kept one goes
    for k in range(1, kept.shape[1]):
        parent = lund.parent[:, k]
        above[:, k] = np.where(parent < 0, -1, np.where(kept[jets, parent], row[jets, parent], above[jets, parent]))
    jet, k = np.nonzero(kept)
    nodes = np.concatenate([lund.values[jet, k], above[jet, k, None], np.ones((len(k), 1))], axis=1)
    out[jet, row[jet, k]] = nodes


def adjacency(nodes: torch.Tensor) -> torch.Tensor:
    """Which :class:`LundGraph` nodes ``(n, nodes, 7)`` are joined: 0 or 1, ``(n, nodes, nodes)``, on their device.

    A splitting and its parent are joined both ways; no node is joined to itself, a row without a node to none. Only the last
    two columns are read, and a parent that is not there is none. Raises :class:`InputError` for another shape.
    """
    if nodes.ndim != 3 or nodes.shape[2] != len(NODE_COLUMNS):
        raise InputError(f"adjacency takes nodes of shape (n, nodes, {len(NODE_COLUMNS)}) = {', '.join(NODE_COLUMNS)}, as the "
                         f"representation 'lund-graph' gives them; got {tuple(nodes.shape)}")
    here = nodes[..., 6] > 0.5
    rows = torch.arange(nodes.shape[1], device=nodes.device)
    joined = nodes[..., 5].round()[:, :, None] == rows  # (n, child, parent)
    joined = joined & here[:, :, None] & here[:, None, :] & (rows[:, None] != rows)
    return (joined | joined.transpose(1, 2)).to(nodes.dtype)
