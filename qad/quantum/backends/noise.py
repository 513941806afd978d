"""Noise of a machine: of a snapshot by its name, or from T1, T2, gate and readout errors."""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import Any

from qiskit import QuantumCircuit
from qiskit.circuit.library import CXGate, SXGate, XGate
from qiskit.providers import BackendV2
from qiskit.transpiler import InstructionProperties, QubitProperties, Target
from qiskit_aer.noise import NoiseModel, ReadoutError
from qiskit_aer.noise.device import basic_device_gate_errors, basic_device_readout_errors

from qad.errors import InputError, did_you_mean, require


def snapshots() -> dict[str, type]:
    """Snapshots of IBM machines that Qiskit Runtime brings, by name: ``fake_manila``, ``fake_torino``, …

    Raises :class:`~qad.errors.MissingExtra` where the extra ``ibm`` is not installed.
    """
    require("qiskit_ibm_runtime", "ibm")
    from qiskit_ibm_runtime import fake_provider

    return {kind.backend_name: kind for kind in vars(fake_provider).values()
            if inspect.isclass(kind) and issubclass(kind, BackendV2) and isinstance(getattr(kind, "backend_name", None), str)}


@lru_cache(maxsize=4)  # one of 133 qubits takes seconds to read
def snapshot(name: str) -> BackendV2:
    """The snapshot ``name``. Raises :class:`InputError` if there is none."""
    known = snapshots()
    if name not in known:
        raise InputError(did_you_mean(name, known, "machine"))
    return known[name]()


def of_target(target: Target, layout: tuple[int, ...], circuit: QuantumCircuit) -> NoiseModel:
    """Noise of the laid-out qubits, numbered by their place in ``layout``, and of the gates of ``circuit``.

    That of all 133 qubits takes seconds to build. Gates suffer depolarisation and relaxation so that their error is that of the
    calibration, readout its error rates; idle qubits and crosstalk are not simulated.
    """
    place = {q: i for i, q in enumerate(layout)}
    small = Target(num_qubits=len(layout), dt=target.dt,
                   qubit_properties=[target.qubit_properties[q] for q in layout] if target.qubit_properties else None)
    for name in sorted({*circuit.count_ops(), "x"} - {"barrier"}):  # x: readout is calibrated with it
        if target.instruction_supported(name):
            properties = {tuple(place[q] for q in qubits): p for qubits, p in (target[name] or {}).items()
                          if qubits is not None and place.keys() >= set(qubits)}
            small.add_instruction(target.operation_from_name(name), properties or None)
    model = NoiseModel(basis_gates=list(small.operation_names))
    for qubits, error in basic_device_readout_errors(target=small):
        model.add_readout_error(error, qubits)
    for name, qubits, error in basic_device_gate_errors(target=small, thermal_relaxation=bool(small.qubit_properties)):
        model.add_quantum_error(error, name, qubits)
    return model


def from_rates(t1: float = 100e-6, t2: float = 100e-6, error_1q: float = 2e-4, error_2q: float = 5e-3,
               readout: float | tuple[float, float] = 1e-2, time_1q: float = 50e-9, time_2q: float = 300e-9) -> NoiseModel:
    """The same noise on all qubits, any two coupled by a CNOT.

    t1, t2              relaxation and dephasing times [s], t2 ≤ 2 t1
    error_1q, error_2q  average gate infidelities of SX and X, of CX, relaxation during the gate included, and at least that
    readout             P(1 read | 0) and P(0 read | 1), or one number for both
    time_1q, time_2q    of a gate [s]

    The defaults are the size of today's machines, not of any one. Raises :class:`InputError`.
    """
    flips = tuple(readout) if isinstance(readout, list | tuple) else (readout, readout)
    for name, value, most in (("error_1q", error_1q, 0.5), ("error_2q", error_2q, 0.75), ("readout", max(flips), 1.0)):
        if len(flips) != 2 or not 0 <= value <= most or min(flips) < 0:
            raise InputError(f"{name}={value!r}: expected a probability from 0 to {most}")
    if min(t1, t2, time_1q, time_2q) <= 0 or t2 > 2 * t1:
        raise InputError(f"t1={t1}, t2={t2}, time_1q={time_1q}, time_2q={time_2q}: expected times above 0 s, and t2 up to 2 t1")
    pair = Target(num_qubits=2, qubit_properties=[QubitProperties(t1=t1, t2=t2)] * 2)
    for gate in (SXGate(), XGate()):
        pair.add_instruction(gate, {(q,): InstructionProperties(time_1q, error_1q) for q in (0, 1)})
    pair.add_instruction(CXGate(), {(0, 1): InstructionProperties(time_2q, error_2q)})
    model = NoiseModel(basis_gates=["rz", "sx", "x", "cx"])
    for name, qubits, error in basic_device_gate_errors(target=pair):
        if tuple(qubits) in ((0,), (0, 1)):
            model.add_all_qubit_quantum_error(error, name)
    up, down = flips
    model.add_all_qubit_readout_error(ReadoutError([[1 - up, up], [down, 1 - down]]))
    return model


def understood(noise: Any) -> BackendV2 | NoiseModel | None:
    """What ``noise`` names: None, a snapshot's name, a machine, a noise model, or rates as :func:`from_rates` takes them."""
    if isinstance(noise, str):
        return snapshot(noise)
    if isinstance(noise, dict):
        try:
            return from_rates(**noise)
        except TypeError:
            known = list(inspect.signature(from_rates).parameters)
            raise InputError(f"noise={noise}: expected numbers for some of {', '.join(known)}") from None
    if noise is None or isinstance(noise, NoiseModel):
        return noise
    if isinstance(noise, BackendV2) and not type(noise).__module__.startswith("qiskit_aer"):
        return noise
    raise InputError(f"noise of type {type(noise).__name__}: expected None, a name such as 'fake_manila', a Qiskit BackendV2 "
                     "with error rates, a qiskit_aer.noise.NoiseModel, or rates such as {'error_2q': 0.01}")
