"""Qiskit Aer: an exported circuit on a simulated machine, exact or with shots, without noise or with that of a real one.

The circuit is transpiled once; all events go through Aer as one table of parameter values. Aer evolves the state, or with noise
the density matrix, of the laid-out qubits only, once for each event, up to the last gate that depends on events; what follows
is one channel, the same for all, found once on up to five qubits. Readout errors are a matrix on the probabilities, and shots
are drawn from these. That is the distribution of the machine's counts at a cost that does not grow with the shots.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from qiskit import ClassicalRegister, QuantumCircuit, transpile
from qiskit.circuit import ParameterExpression
from qiskit.providers import BackendV2
from qiskit.transpiler import Target
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel
from qiskit_aer.noise.device import basic_device_gate_errors, basic_device_readout_errors

from qad.errors import InputError, did_you_mean, require
from qad.quantum.export import Exported

#: A density matrix of 12 qubits has 17 million entries.
MOST_NOISY_QUBITS = 12
#: A channel on 5 qubits has a million entries, on 6 already 17.
MOST_FOLDED_QUBITS = 5
#: Events that go through Aer together.
CHUNK = 4096


@dataclass(frozen=True)
class Machine:
    """A circuit compiled for a machine.

    circuit     the ISA circuit, in the machine's own gates and qubits; bit i of its register ``trash`` is the i-th trash qubit
                from the end
    parameters  those of the exported circuit: the columns of the angles
    noise       Aer's noise model of the laid-out qubits, numbered by their place in ``layout``; None: no noise
    layout      the machine's qubits in use, ascending
    """

    circuit: QuantumCircuit
    parameters: tuple[Any, ...]
    noise: NoiseModel | None
    layout: tuple[int, ...]
    _readout: dict[int, np.ndarray] = field(repr=False)

    @property
    def two_qubit_gates(self) -> int:
        """Gates on two qubits or more."""
        return self.circuit.num_nonlocal_gates()

    @property
    def depth(self) -> int:
        """Layers of gates, the measurement among them."""
        return self.circuit.depth()

    @cached_property
    def _read(self) -> list[int]:
        """The laid-out qubits that are read out, most significant bit first."""
        read = {self.circuit.find_bit(step.clbits[0]).index: self.circuit.find_bit(step.qubits[0]).index
                for step in self.circuit.data if step.operation.name == "measure"}
        return [self.layout.index(read[bit]) for bit in reversed(range(len(read)))]

    @cached_property
    def _parts(self) -> tuple[QuantumCircuit, np.ndarray | None]:
        """The gates that events change and those before them; and what follows, the same for all: P(read | ρ), (2^trash, 4^n).

        Where nothing is fixed or there are many qubits, all gates and None.
        """
        place, n = {q: i for i, q in enumerate(self.layout)}, len(self.layout)
        head, tail, busy = [], [], set(range(n) if self.noise is None or n > MOST_FOLDED_QUBITS else ())
        for step in reversed(self.circuit.data):
            if step.operation.name not in ("measure", "barrier"):
                qubits = [place[self.circuit.find_bit(q).index] for q in step.qubits]
                changes = not busy.isdisjoint(qubits) or any(isinstance(a, ParameterExpression) for a in step.operation.params)
                busy |= set(qubits) if changes else set()
                (head if changes else tail).append((step.operation, qubits))
        first = QuantumCircuit(n)
        for operation, qubits in reversed(head):
            first.append(operation, qubits)
        if not tail:
            first.save_probabilities(self._read[::-1])
            return first, None
        rest = QuantumCircuit(n)
        first.save_density_matrix()
        for operation, qubits in reversed(tail):
            rest.append(operation, qubits)
        rest.save_superop()
        done = AerSimulator(method="superop", noise_model=self.noise, fusion_threshold=1).run(rest).result()
        channel = np.asarray(done.results[0].data.superop)[:: 2**n + 1]  # the diagonal of the state that comes out
        channel = channel.reshape(*[2] * n, -1)  # qubit n-1 first
        others = tuple(n - 1 - q for q in range(n) if q not in self._read)
        kept = [q for q in reversed(range(n)) if q in self._read]
        channel = channel.sum(others).transpose([kept.index(q) for q in self._read] + [len(kept)])
        return first, channel.reshape(2 ** len(kept), -1)

    def probabilities(self, angles: Any, shots: int | None = None, seed: int = 0) -> np.ndarray:
        """Probabilities, or shares of ``shots`` shots, ``(events, 2^trash)``; the first trash qubit is the highest bit.

        angles   ``(events, parameters)`` [rad], from ``exported.angles(X)``
        shots    None: the machine's exact distribution, its noise included
        seed     of the shots

        Raises :class:`InputError`.
        """
        angles = np.asarray(angles, dtype=np.float64)
        if angles.ndim != 2 or angles.shape[1] != len(self.parameters) or not np.isfinite(angles).all():
            raise InputError(f"angles of shape {angles.shape}: expected finite numbers [rad] of shape "
                             f"(events, {len(self.parameters)}); type exported.angles(X)")
        if shots is not None:
            _check(shots)
        simulator = AerSimulator(method="density_matrix" if self.noise is not None else "statevector", noise_model=self.noise)
        parts = [self._run(simulator, angles[i : i + CHUNK]) for i in range(0, len(angles), CHUNK)]
        p = np.concatenate([np.empty((0, 2 ** len(self._read))), *parts])
        p = np.maximum(p, 0) / np.maximum(p, 0).sum(1, keepdims=True)
        return p if shots is None else measured(p, shots, seed)

    def _run(self, simulator: AerSimulator, angles: np.ndarray) -> np.ndarray:
        circuit, channel = self._parts
        column = {p: i for i, p in enumerate(self.parameters)}
        binds = [{p: angles[:, column[p]].tolist() for p in circuit.parameters}]
        done = simulator.run(circuit, shots=1, parameter_binds=binds if circuit.parameters else None).result()
        if not done.success:
            raise InputError(f"Aer could not simulate this circuit: {done.status}")
        if channel is None:
            p = np.array([result.data.probabilities for result in done.results])
        else:  # Aer stacks columns
            states = np.array([np.asarray(result.data.density_matrix).T.ravel() for result in done.results])
            p = (states @ channel.T).real
        p = np.broadcast_to(p, (len(angles), p.shape[1]))  # the transpiler may find that no angle matters
        for bit, qubit in enumerate(self._read):
            if qubit in self._readout:  # row: the state, column: what is read
                p = np.einsum("eabc,bd->eadc", p.reshape(len(p), 2**bit, 2, -1), self._readout[qubit]).reshape(len(p), -1)
        return p


def compiled(exported: Exported, noise: Any = None, seed: int = 0, optimization_level: int = 1) -> Machine:
    """The circuit transpiled once for the machine that ``noise`` names.

    noise    None; the name of a snapshot of a machine (``fake_manila``, ``fake_torino``, …: the extra ``ibm``); a Qiskit
             ``BackendV2`` with error rates; an Aer ``NoiseModel`` (its basis gates, any two qubits coupled)
    seed     of the transpiler
    optimization_level   the transpiler's, 0 to 3; from 2 the qubits are chosen by their error rates

    Gates suffer depolarisation and relaxation, readout its error rates; idle qubits and crosstalk are not simulated. Raises
    :class:`InputError`, and :class:`~qad.errors.MissingExtra` where a snapshot is not installed.
    """
    if optimization_level not in range(4):
        raise InputError(f"optimization_level={optimization_level!r}: expected 0, 1, 2 or 3")
    circuit = exported.circuit.remove_final_measurements(inplace=False)
    register = ClassicalRegister(len(exported.trash), "trash")
    circuit.add_register(register)
    circuit.measure(exported.trash[::-1], register)
    options = {"optimization_level": optimization_level, "seed_transpiler": seed}
    noise = _snapshot(noise) if isinstance(noise, str) else noise
    if isinstance(noise, AerSimulator) or not (noise is None or isinstance(noise, BackendV2 | NoiseModel)):
        raise InputError(f"noise of type {type(noise).__name__}: expected None, a name such as 'fake_manila', a Qiskit "
                         "BackendV2 with error rates, or a qiskit_aer.noise.NoiseModel")
    if isinstance(noise, BackendV2):
        if circuit.num_qubits > noise.num_qubits:
            raise InputError(f"{noise.name} has {noise.num_qubits} qubits: expected at least {circuit.num_qubits}; take a "
                             "larger machine, or fewer features")
        isa = transpile(circuit, noise, **options)
    elif noise is None:
        isa = transpile(circuit, AerSimulator(), **options)
    else:
        isa = transpile(circuit, basis_gates=noise.basis_gates, **options)
    used = {isa.find_bit(q).index for step in isa.data if step.operation.name != "barrier" for q in step.qubits}
    if isinstance(noise, NoiseModel):  # its errors are numbered as the circuit's qubits
        used = set(range(isa.num_qubits))
    layout = tuple(sorted(used))
    if noise is not None and len(layout) > MOST_NOISY_QUBITS:
        raise InputError(f"{len(layout)} qubits with noise: expected at most {MOST_NOISY_QUBITS}; take fewer, or noise=None")
    model = _of_target(noise.target, layout, isa) if isinstance(noise, BackendV2) else noise
    return Machine(isa, tuple(exported.circuit.parameters), model, layout, _confusion(model, len(layout)))


def probabilities(exported: Exported, angles: Any, *, shots: int | None = None, noise: Any = None, seed: int = 0,
                  optimization_level: int = 1) -> np.ndarray:
    """Probabilities of the trash qubits of ``exported`` for every row of ``angles``, ``(events, 2^trash)``, on Aer.

    The first trash qubit is the most significant bit; export with ``latent=None`` to read all qubits. ``shots``, ``noise`` and
    the rest as in :func:`compiled` and :meth:`Machine.probabilities`, which compile once for several calls.
    """
    return compiled(exported, noise, seed, optimization_level).probabilities(angles, shots, seed)


def measured(p: np.ndarray, shots: int, seed: int = 0) -> np.ndarray:
    """Shares of ``shots`` shots from exact probabilities ``(events, outcomes)``: one simulation serves any number of shots."""
    _check(shots)
    return np.random.default_rng(seed).multinomial(shots, p) / shots


def _check(shots: Any) -> None:
    if isinstance(shots, bool) or not isinstance(shots, int | np.integer) or shots < 1:
        raise InputError(f"shots={shots!r}: expected a whole number from 1, or None for the exact distribution")


def _snapshot(name: str) -> BackendV2:
    require("qiskit_ibm_runtime", "ibm")
    from qiskit_ibm_runtime import fake_provider

    known = {kind.backend_name: kind for kind in vars(fake_provider).values()
             if inspect.isclass(kind) and issubclass(kind, BackendV2) and isinstance(getattr(kind, "backend_name", None), str)}
    if name not in known:
        raise InputError(did_you_mean(name, known, "machine"))
    return known[name]()


def _of_target(target: Target, layout: tuple[int, ...], isa: QuantumCircuit) -> NoiseModel:
    """The noise model of the laid-out qubits and the gates in use: that of 133 qubits takes seconds to build."""
    place = {q: i for i, q in enumerate(layout)}
    small = Target(num_qubits=len(layout), dt=target.dt,
                   qubit_properties=[target.qubit_properties[q] for q in layout] if target.qubit_properties else None)
    for name in isa.count_ops():
        if name != "barrier" and target.instruction_supported(name):
            properties = {tuple(place[q] for q in qubits): p for qubits, p in (target[name] or {}).items()
                          if qubits is not None and place.keys() >= set(qubits)}
            small.add_instruction(target.operation_from_name(name), properties or None)
    model = NoiseModel(basis_gates=list(small.operation_names))
    for qubits, error in basic_device_readout_errors(target=small):
        model.add_readout_error(error, qubits)
    for name, qubits, error in basic_device_gate_errors(target=small, thermal_relaxation=bool(small.qubit_properties)):
        model.add_quantum_error(error, name, qubits)
    return model


def _confusion(noise: NoiseModel | None, n_qubits: int) -> dict[int, np.ndarray]:
    """P(read | state) of each qubit with readout errors, ``(2, 2)``."""
    found: dict[int, np.ndarray] = {}
    for error in noise.to_dict()["errors"] if noise is not None else []:
        if error["type"] != "roerror":
            if "measure" in error["operations"]:
                raise InputError("noise has a quantum error on 'measure': expected readout errors there; type "
                                 "noise.add_readout_error(…)")
            continue
        matrix = np.array(error["probabilities"])
        if matrix.shape != (2, 2):
            raise InputError("noise has a readout error on several qubits together: expected one for each qubit; type "
                             "noise.add_readout_error(error, [qubit])")
        # one for all qubits is overruled by a qubit's own
        for (q,) in error.get("gate_qubits", []):
            found[q] = matrix
        if "gate_qubits" not in error:
            found = {q: matrix for q in range(n_qubits)} | found
    return found
