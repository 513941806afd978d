"""The metric of a circuit, and overlaps of its states, from measured circuits alone.

The generators of one layer of rotations act on different qubits, so one circuit measures them all: the circuit up to that
layer, then each qubit turned to the basis of its Pauli letter. In a layer, for each event,

    G_pq = ( ⟨P_p P_q⟩ - ⟨P_p⟩⟨P_q⟩ ) / 4,        averaged over events; 0 between layers

is the block-diagonal Fubini-Study metric of arXiv:1909.02108. The overlap |⟨φ|U(a)†U(b)|φ⟩|² is P(0…0) behind φ, U(b), U(a)†,
φ† (arXiv:2103.09232).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pennylane as qml
import torch
from pennylane.operation import StatePrepBase

from qad.errors import InputError
from qad.quantum import engine
from qad.quantum.backends import Backend
from qad.quantum.circuit import Circuit
from qad.quantum.program import Rotation, pieces
from qad.quantum.shift import Meter, play

Events = Callable[[], np.ndarray]


class Layer(NamedTuple):
    """Rotations on different qubits, and the ``gates`` after which their generators can be read out together."""

    gates: list[Any]
    rotations: list[Rotation]

    def circuit(self, whole: Circuit) -> Circuit:
        """Encoding, gates, and the turn to the basis of the generators; its weights are the angles of the whole circuit."""
        def measured(angles: Any, wires: Any) -> None:
            play(self.gates, angles)
            for rotation in self.rotations:
                for wire, letter in zip(rotation.wires, rotation.word, strict=True):
                    if letter == "Y":
                        qml.adjoint(qml.S)(wires=wire)
                    if letter in "XY":
                        qml.Hadamard(wires=wire)

        return Circuit(whole.encoding, measured, (whole.program.n_angles,), whole.n_qubits, whole.event)

    def signs(self, n: int) -> np.ndarray:
        """The value ±1 of each generator for each basis state, ``(rotations, 2^n)``."""
        bits = 1 - 2 * (np.arange(2**n) >> np.arange(n)[::-1, None] & 1)  # (n, 2^n), qubit 0 the most significant
        return np.stack([bits[list(rotation.wires)].prod(0) for rotation in self.rotations])


def layers(circuit: Circuit) -> list[Layer]:
    """The layers of :func:`qad.quantum.geometry.layers`.

    A gate on qubits that a rotation of the layer has reached would spoil its reading: it, and what hangs on it, is left out.
    """
    parts = pieces(circuit.ansatz, circuit.shape, circuit.n_qubits)
    found, touched = [Layer([], [])], set()
    for i, part in enumerate(parts):
        wires = set(part.wires)
        if isinstance(part, Rotation):
            if touched & wires:
                found.append(Layer(parts[:i], []))
                touched = set()
            found[-1].rotations.append(part)
        if isinstance(part, Rotation) or not touched & wires:
            found[-1].gates.append(part)
        if isinstance(part, Rotation) or touched & wires:
            touched |= wires
    return found


class MeasuredMetric:
    """The block-diagonal metric on ``events()`` at the present ``weights``, ``(parameters, parameters)``.

    The circuit may end before the last gates of a layer, and bits are read once for all pairs: a circuit an event and layer.
    """

    def __init__(self, circuit: Circuit, backend: Backend, meter: Meter, events: Events, weights: torch.Tensor,
                 example: Any = None) -> None:
        self.program, self.meter, self.events, self.weights = circuit.program, meter, events, weights
        self.layers = [([r.slot for r in layer.rotations], layer.signs(circuit.n_qubits),
                        backend.compile(layer.circuit(circuit), 0, example=example)) for layer in layers(circuit)]

    def __call__(self) -> torch.Tensor:
        weights, X = self.weights.detach(), self.events()
        angles = self.program.angles(weights).numpy()
        shots = self.meter.shots
        G = np.zeros((len(angles), len(angles)))
        for slots, signs, compiled in self.layers:
            p = self.meter.probabilities(compiled, X, angles)
            means = p @ signs.T  # (events, rotations)
            covariance = (signs * p.mean(0)) @ signs.T - means.T @ means / len(X)
            # of S shots the mean of squares is too large by a share 1/S
            G[np.ix_(slots, slots)] = covariance * (1 if shots in (None, 1) else shots / (shots - 1))
        A = self.program.jacobian(weights)
        return A.mT @ torch.as_tensor(G).to(A) @ A / 4


class MeasuredOverlap:
    """Mean over ``events()`` of |⟨φ|U(a)†U(b)|φ⟩|² for two weight vectors: what QN-SPSA asks for.

    Raises :class:`InputError` for an encoding that has no inverse in gates.
    """

    def __init__(self, circuit: Circuit, backend: Backend, meter: Meter, events: Events) -> None:
        self.circuit, self.program, self.meter, self.events = circuit, circuit.program, meter, events
        self.parts = pieces(circuit.ansatz, circuit.shape, circuit.n_qubits)
        self.numbers = math.prod(circuit.event)
        # the gates of the data stand on both sides of the weights', so angles are data too; the engine wants a weight
        twice = Circuit(self._there_and_back, _nothing, (1,), circuit.n_qubits, (self.numbers + 2 * self.program.n_angles,))
        self.compiled = backend.compile(twice, 0, np.zeros(1))

    def _there_and_back(self, row: torch.Tensor, wires: Any) -> None:
        x, a, b = row.split([self.numbers, self.program.n_angles, self.program.n_angles], -1)
        with qml.QueuingManager.stop_recording():
            encoding = engine.operations(self.circuit.encoding, x.unflatten(-1, self.circuit.event), self.circuit.n_qubits)
            if any(isinstance(op, StatePrepBase) for op in encoding):
                raise InputError("an encoding that prepares amplitudes has no inverse in gates: for qn-spsa take one of "
                                 "rotations, such as 'angle', or another optimizer")
            back = qml.tape.make_qscript(play)(self.parts, a).operations
            inverse = [qml.adjoint(op, lazy=False) for op in reversed([*encoding, *back])]
        for op in encoding:
            qml.apply(op)
        play(self.parts, b)
        for op in inverse:
            qml.apply(op)

    def __call__(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        X = self.events()
        angles = [self.program.angles(w.detach().reshape(self.circuit.shape)).numpy() for w in (a, b)]
        rows = np.concatenate([X.reshape(len(X), -1), *(np.tile(v, (len(X), 1)) for v in angles)], axis=1)
        return torch.as_tensor(self.meter.zeros(self.compiled, rows).mean()).to(a)


def _nothing(weights: Any, wires: Any) -> None:
    qml.RZ(weights[0], wires=wires[0])
