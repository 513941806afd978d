"""Exact noisy evolution against Aer's density matrices, closed forms, and itself in smaller pieces."""

import numpy as np
import pennylane as qml
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, ReadoutError, depolarizing_error, thermal_relaxation_error

from qad.errors import InputError
from qad.quantum import encodings
from qad.quantum.backends import channels
from qad.quantum.backends.aer import Aer
from qad.quantum.backends.channels import Noise, NoisyCircuit
from qad.quantum.backends.isa import folded
from qad.quantum.backends.noise import from_rates
from qad.quantum.circuit import Circuit


def noisy(n):
    """Every gate and qubit with errors of its own, none of them the same on two qubits."""
    model, rng = NoiseModel(basis_gates=["rx", "rz", "sx", "cx", "rzz"]), np.random.default_rng(n)
    for q in range(n):
        relax = thermal_relaxation_error(50e-6 * (1 + q), 60e-6 * (1 + q), 2e-6)
        model.add_quantum_error(relax.compose(depolarizing_error(0.01 * (1 + q), 1)), ["rx", "sx"], [q])
        model.add_readout_error(ReadoutError([[1 - 0.01 * (1 + q), 0.01 * (1 + q)], [0.05, 0.95]]), [q])
        for other in range(n):
            if other != q:
                lopsided = thermal_relaxation_error(40e-6, 30e-6, 3e-6).tensor(thermal_relaxation_error(90e-6, 80e-6, 1e-6))
                model.add_quantum_error(lopsided.compose(depolarizing_error(0.03 * rng.random(), 2)), ["cx", "rzz"], [q, other])
    return model


def random_circuit(n, seed, entangled_first, gates=14):
    """Angles of events somewhere, or each on a qubit of its own before all else."""
    rng, x = np.random.default_rng(seed), [Parameter(f"x{i}") for i in range(3)]
    circuit = QuantumCircuit(n)
    moving = [lambda q, p: circuit.rx(2 * p + 0.1, q), lambda q, p: circuit.rz(p - x[0], q)]
    if entangled_first:
        moving.append(lambda q, p: circuit.rzz(p * p, q, (q + 1) % n))
    else:
        for q in range(n):
            moving[q % 2](q, x[q % 3])
    for i in range(gates):
        a, b = (int(q) for q in rng.choice(n, 2, replace=False))
        if entangled_first and i % 4 == 1:
            moving[i // 4 % 3](a, x[i % 3])
        elif i % 3 == 0:
            circuit.cx(a, b)
        elif i % 3 == 1:
            circuit.sx(a)
        else:
            circuit.rzz(rng.uniform(0, 3), a, b)
    return circuit


def by_aer(circuit, model, angles, read):
    """Aer's density matrices, and its readout errors by hand."""
    out = []
    for row in angles:
        bound = circuit.assign_parameters(dict(zip(circuit.parameters, row, strict=True)))
        bound.save_probabilities(list(read)[::-1])
        p = AerSimulator(method="density_matrix", noise_model=model).run(bound, shots=1).result().data(0)["probabilities"]
        for place, qubit in enumerate(read):
            C = next(np.array(e["probabilities"]) for e in model.to_dict()["errors"]
                     if e["type"] == "roerror" and e["gate_qubits"] == [(qubit,)])
            p = np.moveaxis(np.tensordot(p.reshape([2] * len(read)), C, (place, 0)), -1, place).ravel()
        out.append(p)
    return np.array(out)


@pytest.mark.parametrize("entangled_first", [False, True])
@pytest.mark.parametrize("n, read, seed", [(2, (1, 0), 0), (3, (2, 0), 1), (4, (1, 3, 0, 2), 2), (4, (2,), 3)])
def test_as_aers_density_matrices(n, read, seed, entangled_first, monkeypatch):
    circuit, model = random_circuit(n, seed, entangled_first), noisy(n)
    angles = np.random.default_rng(seed).uniform(-3, 3, (5, len(circuit.parameters)))
    ours = NoisyCircuit(circuit, Noise(model), read)
    assert any(len(g.qubits) == 2 for g in ours.head) is entangled_first
    found, truth = ours.probabilities(angles), by_aer(circuit, model, angles, read)
    np.testing.assert_allclose(found, truth, rtol=0, atol=1e-10)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-12)
    np.testing.assert_allclose(ours.probabilities(angles, 1)[:, 0], found[:, 0], atol=1e-12)
    np.testing.assert_allclose(ours.probabilities(angles[:1]), found[:1], atol=1e-12)  # more outcomes than events
    assert ours.probabilities(angles[:0]).shape == (0, 2 ** len(read))
    for states in (1, 2, 3):  # in pieces, forwards and backwards
        monkeypatch.setattr(channels, "MEMORY", states * 8 * 4**n)
        np.testing.assert_allclose(ours.probabilities(angles), found, rtol=0, atol=1e-12)


def test_fusing_gates_changes_nothing_and_saves_steps():
    circuit = random_circuit(3, 5, entangled_first=False, gates=40)
    gates = NoisyCircuit(circuit, Noise(noisy(3)), (0, 1, 2))
    assert len(gates.tail) < 0.6 * len(circuit.data)


def test_rates_are_those_of_the_gates():
    """The average gate infidelity of the channel of each gate is the one asked for, relaxation included."""
    from qiskit.quantum_info import SuperOp, average_gate_fidelity
    from qiskit_aer.noise.errors import QuantumError

    model = from_rates(t1=80e-6, t2=60e-6, error_1q=1e-3, error_2q=2e-2, readout=(0.01, 0.03))
    errors = {e["operations"][0]: e for e in model.to_dict()["errors"] if e["type"] == "qerror"}
    for name, wanted in (("sx", 1e-3), ("cx", 2e-2)):
        fidelity = average_gate_fidelity(SuperOp(QuantumError.from_dict(errors[name])))
        assert 1 - fidelity == pytest.approx(wanted, rel=1e-6)
    for wrong in ({"t2": 1.0}, {"error_2q": 2.0}, {"readout": -0.1}, {"time_1q": 0.0}):
        with pytest.raises(InputError, match="expected"):
            from_rates(**wrong)
    with pytest.raises(InputError, match="expected numbers for some of t1, t2, error_1q"):
        Aer(noise={"T1": 1e-4})


def test_no_noise_is_no_noise():
    """Rates that go to nothing give the ideal circuit; the defaults do not."""
    def ansatz(w, wires):
        qml.StronglyEntanglingLayers(w, wires=wires)

    rng = np.random.default_rng(0)
    circuit, weights = Circuit(encodings.angle_y, ansatz, (1, 3, 3), 3), rng.uniform(-3, 3, (1, 3, 3))
    X = rng.uniform(0, 3, (4, 3))
    ideal = Aer().compile(circuit, 1, weights).probabilities(X)
    silent = {"t1": 1e6, "t2": 1e6, "error_1q": 0.0, "error_2q": 0.0, "readout": 0.0}
    np.testing.assert_allclose(Aer(noise=silent).compile(circuit, 1, weights).probabilities(X), ideal, atol=1e-9)
    assert 1e-3 < abs(Aer(noise={}).compile(circuit, 1, weights).probabilities(X) - ideal).max() < 0.1


def test_an_error_of_some_qubits_overrules_one_of_all():
    model = NoiseModel(basis_gates=["sx", "cx"])
    model.add_all_qubit_quantum_error(depolarizing_error(1.0, 1), "sx")
    model.add_quantum_error(depolarizing_error(1e-9, 1), "sx", [1], warnings=False)  # of none Aer keeps nothing
    circuit = QuantumCircuit(2)
    for _ in range(2):
        circuit.sx([0, 1])  # X on both
    p = NoisyCircuit(circuit, Noise(model), (0, 1)).probabilities(np.empty((1, 0)))
    np.testing.assert_allclose(p, [[0, 0.5, 0, 0.5]], atol=1e-8)


def test_folding_keeps_the_unitary_of_gates_that_are_not_their_own_inverse():
    def ansatz(w, wires):
        qml.IsingZZ(w[0], wires=wires[:2])
        qml.ISWAP(wires=wires[1:])
        qml.RX(w[1], wires=wires[1])

    circuit = Circuit(encodings.angle_y, ansatz, (2,), 3)
    X = np.random.default_rng(1).uniform(0, 3, (4, 3))
    model = NoiseModel(basis_gates=["rx", "ry", "rz", "rzz", "iswap"])
    model.add_all_qubit_readout_error(ReadoutError([[1, 0], [0, 1]]))
    machine = Aer(noise=model).compile(circuit, 0, [0.7, 0.4])
    assert {"rzz", "iswap"} <= set(machine.isa.circuit.count_ops())
    plain = machine.run(machine.isa, X)
    np.testing.assert_allclose(machine.run(folded(machine.isa, 3), X), plain, atol=1e-9)
    assert folded(machine.isa, 3).two_qubit_gates == 3 * machine.two_qubit_gates


def test_the_columns_of_parameters_that_the_transpiler_leaves():
    """A phase before the measurement is dropped, with its parameter in the middle of the others."""
    def encoding(x, wires):
        qml.RX(x[..., 0], wires=wires[0])
        qml.RZ(x[..., 1], wires=wires[0])
        qml.RX(x[..., 2], wires=wires[1])

    circuit = Circuit(encoding, lambda w, wires: None, (0,), 2, (3,))
    X = np.random.default_rng(2).uniform(0, 3, (5, 3))
    compiled = Aer(optimization_level=2).compile(circuit, 0, np.zeros(0))
    assert len(compiled.isa.circuit.parameters) == 2
    one, other = np.sin(X[:, 0] / 2) ** 2, np.sin(X[:, 2] / 2) ** 2
    truth = np.stack([(1 - one) * (1 - other), (1 - one) * other, one * (1 - other), one * other], 1)
    np.testing.assert_allclose(compiled.probabilities(X), truth, atol=1e-9)


def test_what_is_no_gate():
    circuit = QuantumCircuit(1)
    circuit.reset(0)
    with pytest.raises(InputError, match="'reset', which is no unitary gate"):
        NoisyCircuit(circuit, Noise(noisy(1)), (0,))
