"""Multigraphs without loops, one of each kind: the names of energy flow polynomials (arXiv:1712.07124).

A multigraph is the tuple of its edges (u, v), u < v, one entry for each edge of a multiple one, on vertices 0, 1, ….
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter

Graph = tuple[tuple[int, int], ...]


def canonical(edges: Graph) -> Graph:
    """The same edges however the vertices are numbered: the greatest adjacency matrix among the orders that colours leave."""
    count = Counter(map(tuple, map(sorted, edges)))
    n = 1 + max(map(max, edges))
    a = [[count[min(u, v), max(u, v)] if u != v else 0 for v in range(n)] for u in range(n)]
    rows = _greatest(a, [0] * n)
    return tuple((u, v) for u in range(n) for v in range(u + 1, n) for _ in range(rows[u][v]))


def _greatest(a: list[list[int]], colour: list[int]) -> tuple[tuple[int, ...], ...]:
    """Colours are refined by those of the neighbours; a vertex of the first colour that several share is then told apart."""
    n = len(a)
    while True:
        seen = [(colour[v], sorted((colour[w], a[v][w]) for w in range(n) if a[v][w])) for v in range(n)]
        ranks = [s for s, _ in itertools.groupby(sorted(seen))]
        finer = [ranks.index(s) for s in seen]
        if len(ranks) == len(set(colour)):
            break
        colour = finer
    if len(ranks) == n:
        order = sorted(range(n), key=finer.__getitem__)
        return tuple(tuple(a[u][v] for v in order) for u in order)
    shared = min(c for c, k in Counter(finer).items() if k > 1)
    tried: list[int] = []
    for v in (v for v in range(n) if finer[v] == shared):
        if not any(_twins(a, u, v) for u in tried):  # exchanging twins changes nothing
            tried.append(v)
    return max(_greatest(a, [2 * c + (c == shared and w != v) for w, c in enumerate(finer)]) for v in tried)


def _twins(a: list[list[int]], u: int, v: int) -> bool:
    return all(a[u][w] == a[v][w] for w in range(len(a)) if w not in (u, v))


@functools.cache
def connected(edges: int) -> tuple[Graph, ...]:
    """All connected multigraphs with so many edges (1, 2, 5, 12, 33, 103, 333, … for 1, 2, …), fewest vertices first."""
    if edges == 1:
        return (((0, 1),),)
    found = set()
    for graph in connected(edges - 1):  # every one is a smaller one and an edge, which may bring a vertex
        n = 1 + max(map(max, graph))
        found |= {canonical((*graph, pair)) for pair in itertools.combinations(range(n + 1), 2) if pair[0] < n}
    return tuple(sorted(found, key=lambda g: (max(map(max, g)), g)))


@functools.cache
def primes(most: int) -> tuple[Graph, ...]:
    """All connected multigraphs of 1 to ``most`` edges: 1, 3, 8, 20, 53, 156, 489, …"""
    return tuple(g for d in range(1, most + 1) for g in connected(d))


@functools.cache
def products(most: int) -> tuple[tuple[int, ...], ...]:
    """All multigraphs of 0 to ``most`` edges, each as the places of its components in :func:`primes`, by number of edges."""
    found: list[list[tuple[int, ...]]] = [[()]] + [[] for _ in range(most)]
    for place, graph in enumerate(primes(most)):
        for d in range(len(graph), most + 1):  # those of fewer edges hold this prime already, any number of times
            found[d] += [(*p, place) for p in found[d - len(graph)]]
    return tuple(p for row in found for p in sorted(row, key=lambda p: (len(p), p)))
