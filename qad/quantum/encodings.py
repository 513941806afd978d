"""Encodings: quantum functions that write one event (or a batch, by broadcasting) into qubits.

What to use when: ``one_particle_one_qubit`` for jets as particles; ``angle`` for features already scaled to [0, π].
Any PennyLane function ``f(x, wires)`` of your own works the same way; ``x[..., i]`` must broadcast over events.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pennylane as qml

from qad.errors import InputError, did_you_mean

#: Where the trainable scale of arXiv:2502.17301 converges, quoted by its authors.
PUBLISHED_SCALE = 7.268


def angle(x: Any, wires: Any, scale: float = 1.0) -> None:
    """RX(scale · x_q)|0⟩ on qubit q; ``x`` is ``(..., qubits)`` [rad]. The encoding of arXiv:2112.04958."""
    for q, wire in enumerate(wires):
        qml.RX(scale * x[..., q], wires=wire)


def one_particle_one_qubit(x: Any, wires: Any, scale: float = PUBLISHED_SCALE) -> None:
    """RX(scale · z_q Δφ_q) RY(scale · z_q Δη_q)|0⟩: one particle, one qubit (arXiv:2502.17301).

    ``x`` is ``(..., qubits, 3)`` = pT fraction z, Δη, Δφ [rad], as the representation ``constituents`` gives.
    """
    for q, wire in enumerate(wires):
        z, deta, dphi = x[..., q, 0], x[..., q, 1], x[..., q, 2]
        qml.RY(scale * z * deta, wires=wire)
        qml.RX(scale * z * dphi, wires=wire)


@dataclass(frozen=True)
class Encoding:
    """A quantum function and the kind of array it takes."""

    function: Callable[..., None]
    takes: str


ENCODINGS = {
    "angle": Encoding(angle, "tabular"),
    "1p1q": Encoding(one_particle_one_qubit, "particles"),
}


def get(name: str) -> Encoding:
    """The encoding called ``name``."""
    if name not in ENCODINGS:
        raise InputError(did_you_mean(name, ENCODINGS, "encoding"))
    return ENCODINGS[name]
