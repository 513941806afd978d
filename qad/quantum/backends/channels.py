"""Noisy circuits exactly: every gate with its noise is a matrix on Pauli expectations, and so is what follows them.

A state of n qubits is the vector r_i = Tr(P_i ρ) over the 4^n Pauli words, a gate with its noise the real matrix R_ij =
Tr(P_i E(P_j)) / 2^k on the k qubits it touches, an outcome the vector m_i = Tr(P_i M) / 2^n: its probability is m·r. What
follows the last gate that events change is the same for all of them, so it is pulled back through the outcomes once
(the Heisenberg picture); events are then one small product each, a product of single qubits where no gate has joined them yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterExpression
from qiskit.quantum_info import PTM, Operator, SuperOp
from qiskit_aer.noise import NoiseModel
from qiskit_aer.noise.errors import QuantumError

from qad.errors import InputError

#: Bytes of the states, or of the outcomes, that are at hand together.
MEMORY = 2**26
GROUND = np.array([1.0, 0.0, 0.0, 1.0])  # |0⟩⟨0| in 1, X, Y, Z
AXES = {"rx": (2, 3), "ry": (3, 1), "rz": (1, 2), "p": (1, 2)}  # the plane that a rotation turns


@dataclass(frozen=True)
class Gate:
    """One gate: ``transfer`` ``(4^k, 4^k)``, its noise included, if it is fixed; else ``operation``, and the noise after it."""

    qubits: tuple[int, ...]
    transfer: np.ndarray | None
    operation: Any = None
    noise: np.ndarray | None = None


class Noise:
    """The errors of a noise model, by gate and qubits: ``transfer(name, qubits)`` and ``confusion(qubit)``."""

    def __init__(self, model: NoiseModel) -> None:
        self.errors: dict[tuple[str, tuple[int, ...] | None], np.ndarray] = {}
        self.readout: dict[int | None, np.ndarray] = {}
        for error in model.to_dict()["errors"]:
            qubits = [tuple(q) for q in error.get("gate_qubits", [])] or [None]
            if error["type"] == "roerror":
                matrix = np.array(error["probabilities"])
                if matrix.shape != (2, 2):
                    raise InputError("noise has a readout error on several qubits together: expected one for each qubit; type "
                                     "noise.add_readout_error(error, [qubit])")
                self.readout |= {q[0] if q else None: matrix for q in qubits}
            elif "measure" in error["operations"]:
                raise InputError("noise has a quantum error on 'measure': expected readout errors there; type "
                                 "noise.add_readout_error(…)")
            else:
                transfer = np.asarray(PTM(SuperOp(QuantumError.from_dict(error))).data).real
                self.errors |= {(name, q): transfer for name in error["operations"] for q in qubits}

    def transfer(self, name: str, qubits: tuple[int, ...]) -> np.ndarray | None:
        """What follows the gate; an error of these qubits overrules one of all."""
        return self.errors.get((name, qubits), self.errors.get((name, None)))

    def confusion(self, qubit: int) -> np.ndarray | None:
        """P(read | state), ``(2, 2)``."""
        return self.readout.get(qubit, self.readout.get(None))


class NoisyCircuit:
    """The exact distribution of a circuit with noise for any number of events.

    circuit   its qubits 0 … n-1 are those of ``noise``; parameters are the angles of events
    read      the qubits read out, most significant bit first
    """

    def __init__(self, circuit: QuantumCircuit, noise: Noise, read: Sequence[int]) -> None:
        self.n, self.read, self.noise = circuit.num_qubits, tuple(read), noise
        self.column = {p: i for i, p in enumerate(circuit.parameters)}
        self._known: dict[Any, np.ndarray] = {}
        self._pulled: tuple[tuple[int, int], np.ndarray] | None = None
        head, tail, busy = [], [], set()
        for step in reversed(circuit.data):
            if step.operation.name in ("measure", "barrier"):
                continue
            gate = self._gate(step.operation, tuple(circuit.find_bit(q).index for q in step.qubits))
            if gate.transfer is None or not busy.isdisjoint(gate.qubits):
                busy |= set(gate.qubits)
                head.append(gate)
            else:
                tail.append(gate)
        self.head, self.tail = head[::-1], fused(tail[::-1])

    def _gate(self, operation: Any, qubits: tuple[int, ...]) -> Gate:
        noise = self.noise.transfer(operation.name, qubits)
        if any(isinstance(a, ParameterExpression) for a in operation.params):
            return Gate(qubits, None, operation, noise)
        key = (operation.name, *map(repr, operation.params))
        if key not in self._known or operation.name == "unitary":
            self._known[key] = _fixed(operation)
        unitary = self._known[key]
        return Gate(qubits, unitary if noise is None else noise @ unitary)

    def probabilities(self, angles: np.ndarray, outcomes: int | None = None) -> np.ndarray:
        """``(events, 2^read)``, or of the first ``outcomes`` of them alone; ``angles`` has a column for each parameter."""
        wanted = 2 ** len(self.read) if outcomes is None else outcomes
        size = max(1, MEMORY // (8 * 4**self.n))
        if min(len(angles), wanted) == 0:
            return np.empty((len(angles), wanted))
        if wanted > len(angles):  # more outcomes than events: the events are the smaller table
            return np.concatenate([self._measured(self._end(_kron(r)), wanted) for r in self._states(angles, size)])
        parts = []
        for first in range(0, wanted, size):
            m = self._outcomes(first, min(first + size, wanted))
            parts.append(np.concatenate([self._products(m, r) for r in self._states(angles, size)]))
        return np.concatenate(parts, axis=1)

    def _outcomes(self, first: int, last: int) -> np.ndarray:
        """The vectors of some outcomes, pulled back to where events are apart; the latest are kept."""
        if self._pulled is None or self._pulled[0] != (first, last):
            m = np.stack([reduce(np.kron, self._factors(k)) for k in range(first, last)])
            for qubits, transfer in reversed(self.tail):
                m = _apply(m, transfer.T, qubits, self.n)
            self._pulled = (first, last), m
        return self._pulled[1]

    def _end(self, r: np.ndarray) -> np.ndarray:
        for qubits, transfer in self.tail:
            r = _apply(r, transfer, qubits, self.n)
        return r

    def _factors(self, outcome: int) -> list[np.ndarray]:
        """The vector of reading ``outcome``, qubit by qubit, readout errors included."""
        factors = [np.array([1.0, 0, 0, 0])] * self.n
        for place, qubit in enumerate(reversed(self.read)):
            bit, confusion = outcome >> place & 1, self.noise.confusion(qubit)
            p0, p1 = np.eye(2)[:, bit] if confusion is None else confusion[:, bit]
            factors[qubit] = np.array([p0 + p1, 0, 0, p0 - p1]) / 2
        return factors

    def _measured(self, r: np.ndarray, wanted: int) -> np.ndarray:
        r = r.reshape(-1, *[4] * self.n)
        r = r[tuple([slice(None)] + [slice(0, 4, 3) if q in self.read else 0 for q in range(self.n)])]  # 1 and Z
        kept = [q for q in range(self.n) if q in self.read]
        for axis, qubit in enumerate(kept, start=1):
            confusion = self.noise.confusion(qubit)
            confusion = np.eye(2) if confusion is None else confusion
            M = np.stack([confusion[0] + confusion[1], confusion[0] - confusion[1]]) / 2  # (1 | Z, read)
            r = np.moveaxis(np.tensordot(r, M, (axis, 0)), -1, axis)
        r = r.transpose(0, *[1 + kept.index(q) for q in self.read])
        return r.reshape(len(r), -1)[:, :wanted]

    @staticmethod
    def _products(m: np.ndarray, r: list[np.ndarray]) -> np.ndarray:
        """m·r for every event and outcome, ``(events, outcomes)``: half of the qubits first, where they are apart."""
        left, right = _kron(r[: len(r) // 2]), _kron(r[len(r) // 2 :])
        if left is None:
            return right @ m.T
        return np.stack([((left @ k.reshape(left.shape[1], -1)) * right).sum(1) for k in m], axis=1)

    def _states(self, angles: np.ndarray, size: int) -> Iterator[list[np.ndarray]]:
        """Events before the tail as tensor factors ``(≤ size, 4^k)``: one for each qubit, or a single one for all."""
        product = all(len(g.qubits) == 1 for g in self.head)
        for start in range(0, len(angles), size):
            chunk = angles[start : start + size]
            if not product:
                r = np.tile(reduce(np.kron, [GROUND] * self.n), (len(chunk), 1))
                for gate in self.head:
                    r = self._through(gate, r, chunk, self.n, gate.qubits)
                yield [r]
                continue
            each = [np.tile(GROUND, (len(chunk), 1)) for _ in range(self.n)]
            for gate in self.head:
                (q,) = gate.qubits
                each[q] = self._through(gate, each[q], chunk, 1, (0,))
            yield each

    def _through(self, gate: Gate, r: np.ndarray, angles: np.ndarray, n: int, qubits: tuple[int, ...]) -> np.ndarray:
        if gate.transfer is not None:
            return _apply(r, gate.transfer, qubits, n)
        values = [np.full(len(angles), float(a)) if not isinstance(a, ParameterExpression) else self._values(a, angles)
                  for a in gate.operation.params]
        r = _apply(r, _transfers(gate.operation, values), qubits, n)
        return r if gate.noise is None else _apply(r, gate.noise, qubits, n)

    def _values(self, expression: ParameterExpression, angles: np.ndarray) -> np.ndarray:
        """The expression for every event."""
        used = list(expression.parameters)
        try:
            slopes = [complex(expression.gradient(p)).real for p in used]  # a number where it is linear
        except TypeError:
            return np.array([float(expression.bind({p: row[self.column[p]] for p in used})) for row in angles])
        start = float(expression.bind(dict.fromkeys(used, 0.0)))
        return start + sum(s * angles[:, self.column[p]] for s, p in zip(slopes, used, strict=True))


def fused(gates: Sequence[Gate]) -> list[tuple[tuple[int, ...], np.ndarray]]:
    """Fixed gates in fewer steps: gates on one qubit go into the next on two, and those on the same pair together."""
    waiting: dict[int, np.ndarray] = {}
    steps: list[tuple[tuple[int, ...], np.ndarray]] = []
    last: dict[int, int] = {}  # the step that touched a qubit last
    for gate in gates:
        qubits, R = gate.qubits, gate.transfer
        if len(qubits) == 1:
            waiting[qubits[0]] = R @ waiting.get(qubits[0], np.eye(4))
            continue
        before = [waiting.pop(q, np.eye(4)) for q in qubits]
        R = R @ reduce(np.kron, before[::-1])  # Qiskit's first qubit is the least significant
        at = {last.get(q) for q in qubits}
        if len(qubits) == 2 and len(at) == 1 and None not in at and set(steps[(i := at.pop())][0]) == set(qubits):
            first, before_R = steps[i]
            if first != qubits:
                R = R.reshape(4, 4, 4, 4).transpose(1, 0, 3, 2).reshape(16, 16)
            steps[i] = first, R @ before_R
            continue
        last |= dict.fromkeys(qubits, len(steps))
        steps.append((qubits, R))
    return steps + [((q,), R) for q, R in waiting.items()]


def _kron(factors: Sequence[np.ndarray]) -> np.ndarray | None:
    """Row by row; None of none."""
    return reduce(lambda a, b: (a[:, :, None] * b[:, None, :]).reshape(len(a), -1), factors) if factors else None


def _apply(r: np.ndarray, R: np.ndarray, qubits: Sequence[int], n: int) -> np.ndarray:
    """R ``(4^k, 4^k)``, or one for each row, on ``qubits`` of the rows ``(rows, 4^n)``."""
    axes = [1 + q for q in reversed(qubits)]
    t = np.moveaxis(r.reshape(-1, *[4] * n), axes, range(1, 1 + len(axes)))
    out = np.matmul(R, t.reshape(len(r), R.shape[-1], -1))
    return np.moveaxis(out.reshape(t.shape), range(1, 1 + len(axes)), axes).reshape(len(r), -1)


def _fixed(operation: Any) -> np.ndarray:
    try:
        return np.asarray(PTM(Operator(operation)).data).real
    except Exception:
        raise InputError(f"a circuit with noise has a '{operation.name}', which is no unitary gate: expected gates and "
                         "measurements at the end") from None


def _transfers(operation: Any, values: list[np.ndarray]) -> np.ndarray:
    """The gate for every event's angles, ``(events, 4^k, 4^k)``."""
    if operation.name in AXES:
        a, b = AXES[operation.name]
        R = np.tile(np.eye(4), (len(values[0]), 1, 1))
        cos, sin = np.cos(values[0]), np.sin(values[0])
        R[:, a, a], R[:, a, b], R[:, b, a], R[:, b, b] = cos, -sin, sin, cos
        return R
    kind = type(operation)
    return np.stack([_fixed(kind(*row)) for row in zip(*values, strict=True)])
