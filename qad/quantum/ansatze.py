"""Ansätze: quantum functions ``f(weights, wires)`` with trainable weights [rad]; latent qubits come first, trash last.

What to use when
    ``1p1q``, ``all-pairs``     the published autoencoders, one layer by design of their authors
    ``trash-latent``            entangles trash with latent qubits only: fewer CNOTs; ``trash-latent-sparse`` fewest
    ``strongly-entangling``     general: rotations on every qubit and a ring of CNOTs, reaches any unitary with enough layers
    ``brick-wall``              neighbours only: what hardware likes
    ``product``                 no entangling gate at all: does entanglement matter?
    ``tree``, ``mera``          coarse-graining: pairs are merged level by level, latent qubits are the last to survive

Any PennyLane template or function of your own works the same way: ``ansatz=qml.BasicEntanglerLayers``, or
``ansatz=f, shape=(…)``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, pairwise, product
from typing import Any

import pennylane as qml

from qad import registry
from qad.errors import InputError


@dataclass(frozen=True)
class Ansatz:
    """A quantum function, and the shape of its weights for ``(qubits, latent, layers)``.

    fixed_depth   one layer is all it has
    knows_latent  the function takes ``latent=`` as well
    """

    function: Callable[..., None]
    shape: Callable[[int, int, int], tuple[int, ...]]
    fixed_depth: bool = False
    knows_latent: bool = False


def one_particle_one_qubit(weights: Any, wires: Any) -> None:
    """CNOT on all pairs, then RX, RY, RZ on each qubit; weights ``(qubits, 3)`` (arXiv:2502.17301).

    The rotations come last and act on one qubit each, so those of latent qubits and each trash qubit's last RZ
    cannot change the fidelity: of 3n parameters 2·trash are effective.
    """
    for a, b in combinations(wires, 2):
        qml.CNOT(wires=[a, b])
    for q, wire in enumerate(wires):
        qml.RX(weights[q, 0], wires=wire)
        qml.RY(weights[q, 1], wires=wire)
        qml.RZ(weights[q, 2], wires=wire)


def product_rotations(weights: Any, wires: Any) -> None:
    """RY(w_q) on each qubit and nothing else; weights ``(qubits,)``: all that product states with real amplitudes need.

    >>> print(qml.draw(product_rotations)([0.1, 0.2], wires=[0, 1]))
    0: ──RY(0.10)─┤
    1: ──RY(0.20)─┤
    """
    for q, wire in enumerate(wires):
        qml.RY(weights[q], wires=wire)


def all_pairs(weights: Any, wires: Any) -> None:
    """RY(w_q/2) on each qubit, then CNOT on all pairs; weights ``(qubits,)`` (arXiv:2112.04958)."""
    for q, wire in enumerate(wires):
        qml.RY(weights[q] / 2, wires=wire)
    for a, b in combinations(wires, 2):
        qml.CNOT(wires=[a, b])


def trash_latent(weights: Any, wires: Any, latent: int, sparse: bool = False) -> None:
    """CNOTs trash → latent, RY on each qubit, CNOTs latent → trash; weights ``(layers, qubits)`` (arXiv:2407.07961).

    ``sparse``: each trash qubit is joined to one latent qubit, j to j mod latent, instead of to all.
    """
    kept, trash = wires[:latent], wires[latent:]
    pairs = [(t, kept[j % latent]) for j, t in enumerate(trash)] if sparse else list(product(trash, kept))
    for layer in weights:
        for t, k in pairs:
            qml.CNOT(wires=[t, k])
        for q, wire in enumerate(wires):
            qml.RY(layer[q], wires=wire)
        for t, k in pairs:
            qml.CNOT(wires=[k, t])


def strongly_entangling(weights: Any, wires: Any) -> None:
    """Rot on each qubit and a ring of CNOTs of growing range; weights ``(layers, qubits, 3)`` (arXiv:1804.00633)."""
    qml.StronglyEntanglingLayers(weights, wires=wires)


def brick_wall(weights: Any, wires: Any) -> None:
    """RZ, RY on each qubit, CZ on neighbours, even and odd pairs in turn, RZ, RY at the end; ``(layers + 1, qubits, 2)``."""
    for depth, layer in enumerate(weights):
        if depth:
            for q in range((depth - 1) % 2, len(wires) - 1, 2):
                qml.CZ(wires=[wires[q], wires[q + 1]])
        for q, wire in enumerate(wires):
            qml.RZ(layer[q, 0], wires=wire)
            qml.RY(layer[q, 1], wires=wire)


def _blocks(n: int, latent: int, disentangle: bool) -> list[tuple[int, int]]:
    """Pairs (merged, survivor) level by level: the second half is folded onto the first until ``latent`` are left."""
    found = []
    while n > latent:
        half = max((n + 1) // 2, latent)
        level = [(i + half, i) for i in range(n - half)]
        if disentangle:  # across the pairs: the merged one of a pair with the survivor of the next
            found += [(merged, other) for (merged, _), (_, other) in pairwise(level)]
        found += level
        n = half
    return found


def tree(weights: Any, wires: Any, latent: int, disentangle: bool = False) -> None:
    """Tree tensor network of blocks RZ, RY, CNOT on pairs, the latent qubits at its root; weights ``(blocks, 2, 2)``.

    As in arXiv:2604.06541; ``disentangle``: blocks across neighbouring pairs before each level, MERA (quant-ph/0610099).
    """
    for block, pair in zip(weights, _blocks(len(wires), latent, disentangle), strict=True):
        for angles, q in zip(block, pair, strict=True):
            qml.RZ(angles[0], wires=wires[q])
            qml.RY(angles[1], wires=wires[q])
        qml.CNOT(wires=[wires[q] for q in reversed(pair)])


# registered in pyproject.toml under qad.ansatze
ONE_PARTICLE_ONE_QUBIT = Ansatz(one_particle_one_qubit, lambda n, latent, layers: (n, 3), fixed_depth=True)
ALL_PAIRS = Ansatz(all_pairs, lambda n, latent, layers: (n,), fixed_depth=True)
TRASH_LATENT = Ansatz(trash_latent, lambda n, latent, layers: (layers, n), knows_latent=True)
TRASH_LATENT_SPARSE = Ansatz(partial(trash_latent, sparse=True), lambda n, latent, layers: (layers, n), knows_latent=True)
STRONGLY_ENTANGLING = Ansatz(strongly_entangling, lambda n, latent, layers: (layers, n, 3))
BRICK_WALL = Ansatz(brick_wall, lambda n, latent, layers: (layers + 1, n, 2))
PRODUCT = Ansatz(product_rotations, lambda n, latent, layers: (n,), fixed_depth=True)
TREE = Ansatz(tree, lambda n, latent, layers: (len(_blocks(n, latent, False)), 2, 2), fixed_depth=True, knows_latent=True)
MERA = Ansatz(partial(tree, disentangle=True), lambda n, latent, layers: (len(_blocks(n, latent, True)), 2, 2),
              fixed_depth=True, knows_latent=True)


def names() -> list[str]:
    """Registered ansätze."""
    return registry.names(registry.ANSATZE)


def get(ansatz: Any, n_qubits: int, latent: int, layers: int | None = None,
        shape: Sequence[int] | None = None) -> tuple[Callable[..., None], tuple[int, ...]]:
    """The quantum function ``f(weights, wires)`` and the shape of its weights.

    ansatz  a registered name, an :class:`Ansatz`, a PennyLane template, or a function with ``shape`` given
    layers  None: one layer
    shape   of the weights, where the ansatz does not tell

    Raises :class:`InputError`.
    """
    found = registry.find(registry.ANSATZE, ansatz, installed_only=True) if isinstance(ansatz, str) else ansatz
    name = ansatz if isinstance(ansatz, str) else getattr(ansatz, "__name__", str(ansatz))
    if layers is not None and (not isinstance(layers, int) or layers < 1):
        raise InputError(f"layers={layers!r}: expected a whole number from 1, or None")
    if isinstance(found, Ansatz):
        if found.fixed_depth and layers not in (None, 1):
            raise InputError(f"ansatz '{name}' has one layer: leave layers={layers} out, or use 'strongly-entangling'")
        function = partial(found.function, latent=latent) if found.knows_latent else found.function
        return function, tuple(shape or found.shape(n_qubits, latent, layers or 1))
    if not callable(found) or isinstance(found, qml.QNode):
        raise InputError(f"ansatz {found!r}: expected a name, an Ansatz, a PennyLane template or a function f(weights, wires); "
                         "of a QNode give the function it was made from")
    if shape is None:
        shape = _shape_of_template(found, name, n_qubits, layers or 1)

    def function(weights: Any, wires: Any) -> None:
        found(weights, wires=wires)

    function.__name__ = name
    return function, tuple(shape)


def _shape_of_template(template: Any, name: str, n_qubits: int, layers: int) -> Sequence[int]:
    ask = getattr(template, "shape", None)
    if not callable(ask):
        raise InputError(f"the shape of the weights of {name} is not known: give shape=(…)")
    known = {"n_layers": layers, "n_wires": n_qubits}
    try:
        shape = ask(**{k: known[k] for k in inspect.signature(ask).parameters if k in known})
        return tuple(int(s) for s in shape)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} does not tell one shape of its weights ({error}): wrap it in a function f(weights, wires) "
                         "and give shape=(…)") from None
