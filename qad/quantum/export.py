"""A circuit for other tools: a PennyLane QNode, a Qiskit circuit with named parameters, OpenQASM 3.

What to use when: :func:`qnode` for any PennyLane device; :func:`qiskit_circuit` for Aer and IBM (one circuit, and a table of
angles with a row for each event); :func:`openqasm3` for every other machine. All read the trash qubits out directly: the score
of an event is 1 - P(0…0). Wire q of PennyLane is qubit q of Qiskit, whose basis indices count qubit 0 as the least significant.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pennylane as qml
import torch
from pennylane.exceptions import DecompositionUndefinedError
from pennylane.operation import StatePrepBase

from qad.errors import InputError
from qad.quantum.circuit import Circuit
from qad.quantum.program import ROTATIONS, is_phase, record

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

#: PennyLane's gate → the method of Qiskit's QuantumCircuit. Those of one angle may hold a named parameter.
ONE_ANGLE = {"RX": "rx", "RY": "ry", "RZ": "rz", "PhaseShift": "p", "U1": "p", "CRX": "crx", "CRY": "cry", "CRZ": "crz",
             "ControlledPhaseShift": "cp", "IsingXX": "rxx", "IsingYY": "ryy", "IsingZZ": "rzz"}
OTHERS = {"Hadamard": "h", "PauliX": "x", "PauliY": "y", "PauliZ": "z", "S": "s", "T": "t", "SX": "sx", "Adjoint(S)": "sdg",
          "Adjoint(T)": "tdg", "Adjoint(SX)": "sxdg", "CNOT": "cx", "CY": "cy", "CZ": "cz", "CH": "ch", "SWAP": "swap",
          "ISWAP": "iswap", "Toffoli": "ccx", "CCZ": "ccz", "CSWAP": "cswap", "U3": "u"}
GATES = ONE_ANGLE | OTHERS
WORDS = {"PauliRot", "MultiRZ"}  # of one angle too, written with cx and rz


def trash_qubits(circuit: Circuit, latent: int) -> tuple[int, ...]:
    """All but the first ``latent`` qubits. Raises :class:`InputError` if that is none."""
    if not 0 <= latent < circuit.n_qubits:
        raise InputError(f"latent={latent}: expected 0 to {circuit.n_qubits - 1}, fewer than the {circuit.n_qubits} qubits, "
                         "so that some are trash")
    return tuple(range(latent, circuit.n_qubits))


def checked(circuit: Circuit, weights: Any) -> torch.Tensor:
    """``weights`` as float64. Raises :class:`InputError` for another shape than the circuit's."""
    weights = torch.as_tensor(weights, dtype=torch.float64).detach().cpu()
    if tuple(weights.shape) != tuple(circuit.shape):
        raise InputError(f"weights of shape {tuple(weights.shape)}: this circuit expects {tuple(circuit.shape)}")
    return weights


def _node(circuit: Circuit, weights: Any, device: Any, shots: int | None, wires: int, read: Callable[[], Any]) -> qml.QNode:
    weights = checked(circuit, weights)
    device = qml.device(device, wires=wires) if isinstance(device, str) else device

    @qml.qnode(device)
    def node(x: Any) -> Any:
        circuit.encoding(torch.as_tensor(x, dtype=torch.float64), list(range(circuit.n_qubits)))
        circuit.ansatz(weights, list(range(circuit.n_qubits)))
        return read()

    return qml.set_shots(node, shots)


def qnode(circuit: Circuit, weights: Any, latent: int, device: Any = "default.qubit", shots: int | None = None) -> qml.QNode:
    """The QNode x → probabilities of the trash qubits, ``(…, 2^trash)``; the score is 1 - probs[..., 0].

    weights   of ``circuit.shape`` [rad]
    device    the name of a PennyLane device, or a device with wires 0 … n-1 (with its own seed)
    shots     None: exact

    ``x`` is one event, or a batch by broadcasting. Raises :class:`InputError` if no qubit is trash or the shape is wrong.
    """
    trash = trash_qubits(circuit, latent)
    return _node(circuit, weights, device, shots, circuit.n_qubits, lambda: qml.probs(wires=trash))


def swap_test(circuit: Circuit, weights: Any, latent: int, device: Any = "default.qubit",
              shots: int | None = None) -> qml.QNode:
    """The QNode x → ⟨Z_ancilla⟩ = Tr(ρ_trash |0…0⟩⟨0…0|), the fidelity, by the SWAP test of arXiv:2112.04958.

    Wires n … n+trash-1 are the reference |0…0⟩, the last of the n + trash + 1 is the ancilla. For comparison with the papers:
    :func:`qnode` gives the same number with fewer wires and, event by event, at most half the variance.
    """
    trash, n = trash_qubits(circuit, latent), circuit.n_qubits
    ancilla = n + len(trash)

    def read() -> Any:
        qml.Hadamard(ancilla)
        for reference, wire in enumerate(trash, start=n):
            qml.CSWAP(wires=[ancilla, wire, reference])
        qml.Hadamard(ancilla)
        return qml.expval(qml.Z(ancilla))

    return _node(circuit, weights, device, shots, ancilla + 1, read)


def _of_data(op: Any) -> bool:
    return op.batch_size is not None


def _of_weights(op: Any) -> bool:
    return any(isinstance(p, torch.Tensor) and p.requires_grad for p in op.parameters)


def _parts(op: Any) -> list[Any]:
    try:
        return op.decomposition()
    except DecompositionUndefinedError:
        return []


def _leaves(operations: Sequence[Any], varies: Callable[[Any], bool], names: set[str]) -> Iterator[tuple[Any, bool]]:
    """Operations taken apart until each is fixed or one of the one-angle gates ``names``, and whether it varies."""
    for op in operations:
        if is_phase(op):
            continue
        if not (varying := varies(op)) or op.name in names:
            yield op, varying
        elif not isinstance(op, StatePrepBase) and (parts := _parts(op)):
            yield from _leaves(parts, varies, names)
        else:
            raise InputError(f"{op.name} has no rotation angles that could be named parameters; write it with RX, RY, RZ, Rot, "
                             "PauliRot, …, or evaluate the circuit with qad.quantum.export.qnode instead")


def _append(target: QuantumCircuit, op: Any, varies: Callable[[Any], bool], angle: Any = None) -> None:
    """Append one operation; ``angle`` takes the place of the angle that varies."""
    if is_phase(op):
        return
    wires = list(op.wires)
    if op.name in GATES:
        angles = [torch.as_tensor(p, dtype=torch.float64).item() for p in op.parameters] if angle is None else [angle]
        getattr(target, GATES[op.name])(*angles, *wires)
    elif parts := _parts(op):
        for part in parts:
            _append(target, part, varies, angle if varies(part) else None)
    elif op.has_matrix:
        target.unitary(np.asarray(op.matrix()), wires[::-1])  # Qiskit's first qubit is the least significant
    else:
        raise InputError(f"the gate {op.name} has neither a decomposition nor a matrix; write it with gates that do")


def _encoded(circuit: Circuit, X: torch.Tensor) -> list[tuple[Any, bool]]:
    """The gates of the encoding and whether each has an angle of the data; none if it cannot be run on ``X``."""
    try:
        return list(_leaves(record(circuit.encoding, X, n_qubits=circuit.n_qubits), _of_data, ONE_ANGLE.keys() | WORDS))
    except (IndexError, RuntimeError, ValueError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        return []


def _layout(gates: Sequence[tuple[Any, bool]]) -> list[tuple[str, Any, bool]]:
    return [(op.name, op.wires, varies) for op, varies in gates]


def _probe(circuit: Circuit, example: Any) -> list[tuple[Any, bool]]:
    """The encoding's gates. Without an example, events of n, (n, 3), 2n and 2^n numbers are tried."""
    n = circuit.n_qubits
    random = partial(torch.rand, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    shapes = ((2, n), (2, n, 3), (2, 2 * n), (2, 2**n)) if circuit.event is None else ((2, *circuit.event),)
    for events in map(random, shapes) if example is None else [torch.as_tensor(example, dtype=torch.float64)]:
        gates = _encoded(circuit, events)
        if any(varies for _, varies in gates):
            return gates
    raise InputError(f"no gate depends on events of {n}, ({n}, 3) or {2 * n} numbers; give a few events: example=X[:2]"
                     if example is None else f"no gate depends on example of shape {tuple(np.shape(example))}; expected a "
                     "batch of events that the encoding takes: example=X[:2]")


@dataclass(frozen=True)
class Exported:
    """A Qiskit circuit and what its parameters mean.

    circuit     ``qiskit.QuantumCircuit``; parameters ``x[k]``: the k-th angle that depends on an event [rad], ``theta[j]``:
                the j-th weight, if they were left free
    trash       qubits to read out; with ``measure``, bit i of the register ``trash`` is ``trash[i]``
    source      the :class:`Circuit` it was made from
    """

    circuit: QuantumCircuit
    trash: tuple[int, ...]
    source: Circuit
    gates: list[tuple[str, Any, bool]] = field(repr=False)  # of the encoding, as _layout gives them

    def angles(self, X: Any, weights: Any = None) -> np.ndarray:
        """A row for each event of ``X`` ``(N, …)``, a column for each of ``circuit.parameters``, in their order, float64 [rad].

        weights   where they were left free: one set for all, or ``(N, *shape)``, for each event its own

        Raises :class:`InputError` if they are missing or ``X`` does not fit.
        """
        X = torch.as_tensor(X, dtype=torch.float64).detach().cpu()
        gates = _encoded(self.source, X)
        if _layout(gates) != self.gates:
            raise InputError(f"events of shape {tuple(X.shape)} do not give the gates of this circuit; expected a batch "
                             "of the kind it was exported for: give X[None] for one event, or export again with example=X")
        columns = {"x": [torch.as_tensor(op.parameters[0]).detach().numpy() for op, varies in gates if varies]}
        if weights is not None and np.shape(weights) == (len(X), *self.source.shape):
            columns["theta"] = np.asarray(weights, dtype=np.float64).reshape(len(X), -1).T
        elif weights is not None:
            columns["theta"] = checked(self.source, weights).reshape(-1).tolist()
        elif any(p.vector.name == "theta" for p in self.circuit.parameters):
            raise InputError("the weights of this circuit are free parameters theta[j]; expected angles(X, weights)")
        out = np.empty((len(X), len(self.circuit.parameters)))
        for column, p in enumerate(self.circuit.parameters):
            out[:, column] = columns[p.vector.name][p.index]
        return out


def qiskit_circuit(circuit: Circuit, weights: Any = None, latent: int | None = None, measure: bool = False,
                   example: Any = None) -> Exported:
    """The circuit as gates of Qiskit, data (and weights, if None) as named parameters.

    weights   of ``circuit.shape``, bound as numbers; None: parameters ``theta[j]``, for angles linear in the weights
    latent    qubits kept, the others are trash; None: all are read out
    measure   measure the trash qubits into the classical register ``trash``
    example   a few events, where an event is neither ``(qubits,)``, ``(qubits, 3)`` nor ``(2·qubits,)`` numbers

    Raises :class:`InputError` for encodings without angles (AmplitudeEmbedding, …) and free weights that enter nonlinearly.
    """
    return _exported(circuit, weights, latent, measure, example, _vector)


def _exported(circuit: Circuit, weights: Any, latent: int | None, measure: bool, example: Any,
              named: Callable[[str, int], Any]) -> Exported:
    """The export of :func:`qiskit_circuit` with parameters from ``named(name, length)``."""
    from qiskit import ClassicalRegister, QuantumCircuit

    trash, n = trash_qubits(circuit, latent or 0), circuit.n_qubits
    target = QuantumCircuit(n)
    gates = _probe(circuit, example)
    # elements of a vector sort by number: x[2] before x[10]
    angles = iter(named("x", sum(varies for _, varies in gates)))
    for op, varies in gates:
        _append(target, op, _of_data, next(angles) if varies else None)
    if weights is not None:
        for op in record(circuit.ansatz, checked(circuit, weights), n_qubits=n):
            _append(target, op, _of_weights)
    else:
        angles = iter(_expressions(circuit, named("theta", math.prod(circuit.shape))))
        probe = torch.rand(circuit.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
        for op, varies in _leaves(record(circuit.ansatz, probe, n_qubits=n), _of_weights, ROTATIONS.keys() | WORDS):
            _append(target, op, _of_weights, next(angles) if varies else None)
    if measure:
        register = ClassicalRegister(len(trash), "trash")
        target.add_register(register)
        target.measure(trash, register)
    return Exported(target, trash, circuit, _layout(gates))


@lru_cache
def _vector(name: str, length: int) -> Any:
    """Parameters that are the same for every circuit, so that equal circuits are equal."""
    from qiskit.circuit import ParameterVector

    return ParameterVector(name, length)


def _expressions(circuit: Circuit, theta: Any) -> list[Any]:
    """The angles φ = A θ + b of the compiled ansatz, in its order."""
    if circuit.program.linear is None:
        raise InputError("the angles of this ansatz are not linear in its weights, so they cannot stay free; "
                         "give weights=… to export it with numbers")
    A, b = (np.round(t.numpy(), 12) + 0.0 for t in circuit.program.linear)  # traced by autograd: 1 + 2e-16 is 1
    return [sum((theta[j] if a[j] == 1 else float(a[j]) * theta[j] for j in np.flatnonzero(a)), start=float(c))
            for a, c in zip(A, b, strict=True)]


def openqasm3(circuit: Circuit, weights: Any = None, latent: int | None = None, measure: bool = True,
              example: Any = None) -> str:
    """The circuit as OpenQASM 3 text (arXiv:2104.14722), arguments as for :func:`qiskit_circuit`.

    Data are ``input float[64] x_0`` …, the k-th column of ``qiskit_circuit(…).angles(X)`` (bind them by name: the text
    declares them in alphabetical order, x_10 before x_2); free weights are ``theta_0`` ….
    """
    from qiskit import qasm3
    from qiskit.circuit import Parameter

    def named(name: str, length: int) -> list[Any]:
        # brackets do not survive in an identifier; renaming later would put the terms of a sum in any order
        return [Parameter(f"{name}_{k}") for k in range(length)]

    return qasm3.dumps(_exported(circuit, weights, latent, measure, example, named).circuit)
