"""Encodings: quantum functions ``f(x, wires)`` that write one event, or a batch by broadcasting, into qubits.

What to use when
    ``1p1q``                           jets as particles, one particle a qubit
    ``angle``, ``angle-y``, ``angle-z``  a feature a qubit: RX (published), RY (real amplitudes), RZ on |+⟩
    ``dense-angle``                    two features a qubit
    ``particle-embedding``             two features a qubit, entangled while they are written
    ``dense-kernel``                   two features a qubit, written and entangled three times: for kernels
    ``amplitude``                      2^n features on n qubits; the length of the feature vector is lost
    ``re-uploading``                   features written again and again, with trainable rotations between

Any PennyLane function of your own works the same way; ``x[..., i]`` must broadcast over events.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pennylane as qml
import torch

from qad import registry
from qad.errors import InputError

#: Where the trainable scale of arXiv:2502.17301 converges, quoted by its authors.
PUBLISHED_SCALE = 7.268


@dataclass(frozen=True)
class Encoding:
    """A quantum function, what it takes, and on how many qubits.

    takes    ``tabular``: one number a feature; ``particles``: a row a particle
    qubits   from the shape of one event
    angles   the features are angles: beyond [-π, π] rad two values would be one state
    nonzero  an event of zeros cannot be written
    weights  shape of the trainable weights from the number of qubits; the function then takes ``weights=`` too
    start    their value before training
    """

    function: Callable[..., None]
    takes: str = "tabular"
    qubits: Callable[[tuple[int, ...]], int] = lambda shape: shape[0]
    angles: bool = False
    nonzero: bool = False
    weights: Callable[[int], tuple[int, ...]] | None = None
    start: Callable[[float], float] = lambda scale: 0.0


def angle(x: Any, wires: Any, scale: float = 1.0) -> None:
    """RX(scale · x_q)|0⟩ on qubit q; ``x`` is ``(..., qubits)`` [rad]. The encoding of arXiv:2112.04958.

    >>> print(qml.draw(angle)(torch.tensor([0.1, 0.2]), wires=[0, 1]))
    0: ──RX(0.10)─┤
    1: ──RX(0.20)─┤
    """
    for q, wire in enumerate(wires):
        qml.RX(scale * x[..., q], wires=wire)


def angle_y(x: Any, wires: Any, scale: float = 1.0) -> None:
    """RY(scale · x_q)|0⟩ on qubit q; ``x`` is ``(..., qubits)`` [rad]."""
    for q, wire in enumerate(wires):
        qml.RY(scale * x[..., q], wires=wire)


def angle_z(x: Any, wires: Any, scale: float = 1.0) -> None:
    """RZ(scale · x_q)|+⟩ on qubit q (on |0⟩ it would be a phase); ``x`` is ``(..., qubits)`` [rad]."""
    for q, wire in enumerate(wires):
        qml.Hadamard(wires=wire)
        qml.RZ(scale * x[..., q], wires=wire)


def dense_angle(x: Any, wires: Any, scale: float = 1.0) -> None:
    """RZ(scale · x_{2q+1}) RY(scale · x_{2q})|0⟩ on qubit q (arXiv:2003.01695); ``x`` is ``(..., features)`` [rad]."""
    for q, wire in enumerate(wires):
        qml.RY(scale * x[..., 2 * q], wires=wire)
        if 2 * q + 1 < x.shape[-1]:
            qml.RZ(scale * x[..., 2 * q + 1], wires=wire)


def one_particle_one_qubit(x: Any, wires: Any, scale: float = PUBLISHED_SCALE, weights: Any = None) -> None:
    """RX(f · z_q Δφ_q) RY(f · z_q Δη_q)|0⟩: one particle, one qubit (arXiv:2502.17301).

    ``x`` is ``(..., qubits, 3)`` = pT fraction z, Δη, Δφ [rad], as the representation ``constituents`` gives. f = ``scale``, or
    1 + 2π·sigmoid(w) with the trainable weight w.
    """
    f = scale if weights is None else 1 + 2 * math.pi * torch.sigmoid(weights)
    for q, wire in enumerate(wires):
        z, deta, dphi = x[..., q, 0], x[..., q, 1], x[..., q, 2]
        qml.RY(f * z * deta, wires=wire)
        qml.RX(f * z * dphi, wires=wire)


def weight_of_scale(scale: float) -> float:
    """w with 1 + 2π·sigmoid(w) = ``scale``. Raises :class:`InputError` outside (1, 1 + 2π)."""
    if not 1 < scale < 1 + 2 * math.pi:
        raise InputError(f"scale={scale}: a trained scale 1 + 2π·sigmoid(w) lies between 1 and 7.28")
    share = (scale - 1) / (2 * math.pi)
    return math.log(share / (1 - share))


def particle_embedding(x: Any, wires: Any, scale: float = 1.0) -> None:
    """Rot(π/2, x_{2q}, x_{2q+1}), a chain of CNOTs, Rot(x_{2q}, x_{2q+1}, 0) (arXiv:2301.10780, 2407.07961).

    ``x`` is ``(..., 2·qubits)`` [rad].
    """
    pairs = [(scale * x[..., 2 * q], scale * x[..., 2 * q + 1]) for q in range(len(wires))]
    for (a, b), wire in zip(pairs, wires, strict=True):
        qml.RZ(math.pi / 2, wires=wire)
        qml.RY(a, wires=wire)
        qml.RZ(b, wires=wire)
    for q in range(len(wires) - 1):
        qml.CNOT(wires=[wires[q], wires[q + 1]])
    for (a, b), wire in zip(pairs, wires, strict=True):
        qml.RZ(a, wires=wire)
        qml.RY(b, wires=wire)


def dense_kernel(x: Any, wires: Any, scale: float = 1.0, repeats: int = 3) -> None:
    """``repeats`` times: U(π/2, x_{2q}, x_{2q+1}) on each qubit, a chain of CNOTs, U(x_{2q}, x_{2q+1}, 0) (arXiv:2301.10780).

    U(θ, φ, λ) = RZ(φ) RY(θ) RZ(λ), Qiskit's up to a phase. ``x`` is ``(..., features)`` [rad]; of an odd number the last
    stands with a zero. The very first RZ(λ) meets |0⟩ and does nothing.
    """
    for _ in range(repeats):
        for q, wire in enumerate(wires):
            if 2 * q + 1 < x.shape[-1]:
                qml.RZ(scale * x[..., 2 * q + 1], wires=wire)
            qml.RY(math.pi / 2, wires=wire)
            qml.RZ(scale * x[..., 2 * q], wires=wire)
        for q in range(len(wires) - 1):
            qml.CNOT(wires=[wires[q], wires[q + 1]])
        for q, wire in enumerate(wires):
            qml.RY(scale * x[..., 2 * q], wires=wire)
            if 2 * q + 1 < x.shape[-1]:
                qml.RZ(scale * x[..., 2 * q + 1], wires=wire)


def amplitude(x: Any, wires: Any) -> None:
    """Σ_i x_i |i⟩ / ‖x‖; ``x`` is ``(..., features)``, filled up with zeros to 2^qubits."""
    qml.AmplitudeEmbedding(x, wires=wires, pad_with=0.0, normalize=True)


def re_uploading(x: Any, wires: Any, scale: float = 1.0, repeats: int = 3, weights: Any = None) -> None:
    """RX(scale · x_q) on each qubit ``repeats`` times, between them Rot(weights) and a ring of CNOTs (arXiv:1907.02085).

    ``x`` is ``(..., qubits)`` [rad], ``weights`` ``(repeats - 1, qubits, 3)``; without them the rotations are left out.
    """
    for layer in range(repeats if weights is None else len(weights) + 1):
        if layer:
            for q, wire in enumerate(wires):
                if weights is not None:
                    qml.Rot(*weights[layer - 1, q], wires=wire)
            for q in range(len(wires) if len(wires) > 2 else len(wires) - 1):
                qml.CNOT(wires=[wires[q], wires[(q + 1) % len(wires)]])
        for q, wire in enumerate(wires):
            qml.RX(scale * x[..., q], wires=wire)


def _two_a_qubit(shape: tuple[int, ...]) -> int:
    return (shape[0] + 1) // 2


def _even(shape: tuple[int, ...]) -> int:
    if shape[0] % 2:
        raise InputError(f"particle-embedding writes two features into a qubit; got {shape[0]}, an odd number: leave one out")
    return shape[0] // 2


# registered in pyproject.toml under qad.encodings
ANGLE, ANGLE_Y, ANGLE_Z = (Encoding(f, angles=True) for f in (angle, angle_y, angle_z))
DENSE_ANGLE = Encoding(dense_angle, qubits=_two_a_qubit, angles=True)
ONE_PARTICLE_ONE_QUBIT = Encoding(one_particle_one_qubit, takes="particles", weights=lambda n: (), start=weight_of_scale)
PARTICLE_EMBEDDING = Encoding(particle_embedding, qubits=_even, angles=True)
DENSE_KERNEL = Encoding(dense_kernel, qubits=_two_a_qubit, angles=True)
AMPLITUDE = Encoding(amplitude, qubits=lambda shape: max(1, math.ceil(math.log2(shape[0]))), nonzero=True)
RE_UPLOADING = Encoding(re_uploading, angles=True, weights=lambda n: (2, n, 3))


def names() -> list[str]:
    """Registered encodings."""
    return registry.names(registry.ENCODINGS)


def get(encoding: Any) -> Encoding:
    """The encoding registered under a name; an :class:`Encoding` or a function ``f(x, wires)`` as it is.

    Raises :class:`InputError`.
    """
    found = registry.find(registry.ENCODINGS, encoding, installed_only=True) if isinstance(encoding, str) else encoding
    if isinstance(found, Encoding):
        return found
    if not callable(found) or isinstance(found, qml.QNode):
        raise InputError(f"encoding {found!r}: expected a name, an Encoding or a function f(x, wires), not a QNode")
    return Encoding(found)
