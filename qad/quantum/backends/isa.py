"""An exported circuit in a machine's own gates and qubits, transpiled once for all events."""

from __future__ import annotations

import hashlib
import io
import math
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from qiskit import ClassicalRegister, QuantumCircuit, qpy, transpile
from qiskit.circuit import ParameterExpression
from qiskit.exceptions import QiskitError
from qiskit.providers import BackendV2
from qiskit.transpiler import Target

from qad.errors import InputError
from qad.quantum.backends.base import check_weights
from qad.quantum.export import Exported, checked

#: The first QPY version that holds expressions as steps to replay.
OLDEST_QPY = 13


@dataclass(frozen=True)
class ISA:
    """A circuit compiled for a machine.

    circuit    in the machine's own gates and qubits; bit i of its register ``trash`` is the i-th qubit read out, from the end
    exported   what it was compiled from: angles of events, names of parameters
    free       the weights are still parameters
    """

    circuit: QuantumCircuit
    exported: Exported
    free: bool = False

    @cached_property
    def layout(self) -> tuple[int, ...]:
        """The machine's qubits in use, ascending."""
        used = {self.circuit.find_bit(q).index for step in self.circuit.data if step.operation.name != "barrier"
                for q in step.qubits}
        return tuple(sorted(used))

    @cached_property
    def read(self) -> tuple[int, ...]:
        """The machine's qubits that are read out, most significant bit first."""
        return read_out(self.circuit)

    @property
    def two_qubit_gates(self) -> int:
        """Gates on two qubits or more."""
        return self.circuit.num_nonlocal_gates()

    @property
    def depth(self) -> int:
        """Layers of gates, the measurement among them."""
        return self.circuit.depth()

    def bound(self, weights: Any) -> ISA:
        """The same with the free weights as numbers."""
        check_weights(weights, not self.free)
        values = checked(self.exported.source, weights).reshape(-1).tolist()
        circuits = (c.assign_parameters({p: values[p.index] for p in c.parameters if p.vector.name == "theta"})
                    for c in (self.circuit, self.exported.circuit))
        return ISA(next(circuits), replace(self.exported, circuit=next(circuits)))

    def angles(self, X: Any, weights: Any = None) -> np.ndarray:
        """A row for each event, a column for each of ``circuit.parameters`` in their order [rad]."""
        check_weights(weights, not self.free)
        table = self.exported.angles(X, weights)
        column = {p: i for i, p in enumerate(self.exported.circuit.parameters)}
        return table[:, [column[p] for p in self.circuit.parameters]]  # the transpiler may have found that some do not matter


def read_out(circuit: QuantumCircuit) -> tuple[int, ...]:
    """The qubits that a circuit measures, those of the highest classical bit first."""
    read = {circuit.find_bit(step.clbits[0]).index: circuit.find_bit(step.qubits[0]).index
            for step in circuit.data if step.operation.name == "measure"}
    return tuple(read[bit] for bit in sorted(read, reverse=True))


def transpiled(exported: Exported, target: BackendV2 | list[str] | None = None, seed: int = 0, optimization_level: int = 1,
               tries: int = 1, free: bool = False) -> ISA:
    """The exported circuit in the gates and on the qubits of ``target``: a machine, names of basis gates, or None for any.

    seed, optimization_level   of Qiskit's transpiler, 0 to 3; from 2 on it chooses qubits by the machine's calibration
    tries                      how often, with the seeds that follow; the one with the smallest :func:`expected_error` is taken

    Raises :class:`InputError` if the machine is too small.
    """
    if optimization_level not in range(4):
        raise InputError(f"optimization_level={optimization_level!r}: expected 0, 1, 2 or 3")
    circuit = exported.circuit.remove_final_measurements(inplace=False)
    register = ClassicalRegister(len(exported.trash), "trash")
    circuit.add_register(register)
    circuit.measure(exported.trash[::-1], register)
    if isinstance(target, BackendV2) and target.num_qubits is not None and circuit.num_qubits > target.num_qubits:
        raise InputError(f"{target.name} has {target.num_qubits} qubits: expected at least {circuit.num_qubits}; take a "
                         "larger machine, or fewer features")
    target = target if target is None or isinstance(target, BackendV2) else tuple(target)
    return ISA(_chosen(_Written(circuit), target, seed, optimization_level, tries), exported, free)


class _Written:
    """A circuit that equals another of the same gates and parameters."""

    def __init__(self, circuit: QuantumCircuit) -> None:
        self.circuit = circuit
        self.gates = tuple((step.operation.name, *(circuit.find_bit(q).index for q in step.qubits),
                            *(a.tobytes() if isinstance(a, np.ndarray) else a if isinstance(a, ParameterExpression) else repr(a)
                              for a in step.operation.params)) for step in circuit.data)

    def __hash__(self) -> int:
        return hash(self.gates)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Written) and self.gates == other.gates


@lru_cache(maxsize=16)  # the same circuit is scored again and again, and this takes seconds
def _chosen(written: _Written, target: BackendV2 | tuple[str, ...] | None, seed: int, level: int, tries: int) -> QuantumCircuit:
    options = {"backend": target} if isinstance(target, BackendV2) else {} if target is None else {"basis_gates": list(target)}
    found = [transpile(written.circuit, seed_transpiler=seed + i, optimization_level=level, **options) for i in range(tries)]
    if isinstance(target, BackendV2) and tries > 1:
        found.sort(key=lambda c: expected_error(c, target.target))
    return found[0]


def expected_error(circuit: QuantumCircuit, target: Target) -> float:
    """-log of the probability that no gate and no readout of ``circuit`` fails, by the calibration in ``target``."""
    total = 0.0
    for step in circuit.data:
        name, qubits = step.operation.name, tuple(circuit.find_bit(q).index for q in step.qubits)
        if name in target.operation_names and target[name] and (found := target[name].get(qubits)) is not None:
            total -= math.log1p(-min(found.error or 0.0, 1 - 1e-12))
    return total


def folded(isa: ISA, factor: int) -> ISA:
    """The same unitary with every two-qubit gate G as G (G†G)^k, ``factor`` = 2k + 1 times (arXiv:2005.10921).

    Raises :class:`InputError` for an even factor.
    """
    if factor < 1 or factor % 2 == 0:
        raise InputError(f"a gate cannot be folded {factor} times: expected 1, 3, 5, …")
    circuit = isa.circuit.copy_empty_like()
    for step in isa.circuit.data:
        circuit.append(step)
        if len(step.qubits) == 2 and step.operation.name != "barrier":
            for _ in range(factor // 2):
                circuit.append(step.operation.inverse(), step.qubits)
                circuit.append(step)
    return ISA(circuit, isa.exported, isa.free)


def duration(circuit: QuantumCircuit, target: Target) -> float | None:
    """Length of one execution [s], by the durations in ``target``; None where it does not know them all."""
    try:
        return float(circuit.estimate_duration(target))
    except QiskitError:
        return None


def digest(circuit: QuantumCircuit) -> str:
    """SHA-256 of the gates, angles and qubits of ``circuit``: the same for one that was saved and loaded."""
    lines = [f"{circuit.num_qubits} {circuit.num_clbits}", *(str(p) for p in circuit.parameters)]
    for step in circuit.data:
        angles = [str(a) if isinstance(a, ParameterExpression) else f"{a:.12g}" for a in step.operation.params]
        places = [circuit.find_bit(b).index for b in (*step.qubits, *step.clbits)]
        lines.append(f"{step.operation.name} {angles} {places}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def to_qpy(circuits: list[QuantumCircuit]) -> bytes:
    """Circuits as a QPY file."""
    file = io.BytesIO()
    qpy.dump(circuits, file)
    return file.getvalue()


def from_qpy(content: bytes, where: str) -> list[QuantumCircuit]:
    """The circuits of a QPY file. Raises :class:`InputError` naming ``where`` for anything else.

    Older versions kept expressions as text to be evaluated: they are not read.
    """
    if content[:6] != b"QISKIT" or len(content) < 7 or content[6] < OLDEST_QPY:
        raise InputError(f"{where} is damaged: expected a QPY file of version {OLDEST_QPY} or later")
    try:
        return qpy.load(io.BytesIO(content))
    except Exception as error:  # whatever a damaged file makes of its reader
        raise InputError(f"{where} is damaged: {type(error).__name__}") from None
