"""Circuits on Aer against PennyLane, closed forms of noise, Aer's own counts, and the detector's exact score."""

import sys

import numpy as np
import pennylane as qml
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.transpiler import CouplingMap
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, ReadoutError, depolarizing_error

from qad.errors import InputError, MissingExtra
from qad.quantum import encodings, export
from qad.quantum.backends import aer
from qad.quantum.backends.aer import Aer
from qad.quantum.backends.base import sampled
from qad.quantum.circuit import Circuit
from qad.quantum.contrastive import ContrastiveAutoencoder


def measure(out, angles, shots=None, seed=0, **settings):
    """From the angles [rad] of an exported circuit, in the order of its parameters."""
    machine = Aer(**settings).on(out)
    column = {p: i for i, p in enumerate(out.circuit.parameters)}
    angles = np.asarray(angles)[:, [column[p] for p in machine.isa.circuit.parameters]]
    return sampled(machine.exact(machine.isa.circuit, angles), shots, seed)


def line(n):
    """A chain of n qubits, each reading out and each pair coupling worse than the one before."""
    backend = GenericBackendV2(n, coupling_map=CouplingMap.from_line(n), noise_info=True, seed=1)
    for name, scale in (("measure", 0.02), ("cx", 0.03), ("sx", 0.002)):
        for qubits, properties in backend.target[name].items():
            properties.error = scale * (1 + min(qubits))
    return backend


def build(seed, n, order=None, events=6):
    """Angles and an entangling ansatz whose wires come in any ``order``; nothing of it looks the same on two qubits."""
    rng = np.random.default_rng(seed)
    order = list(range(n)) if order is None else list(order)

    def ansatz(w, wires):
        qml.StronglyEntanglingLayers(w, wires=[wires[q] for q in order])

    shape = (2, n, 3)
    circuit = Circuit(encodings.angle_y, ansatz, shape, n)
    return circuit, rng.uniform(-np.pi, np.pi, shape), rng.uniform(0, np.pi, (events, n))


def only(n=1, entangled=False):
    """RY(x) on every qubit, the exported circuit; a CNOT from the first to the second."""
    def ansatz(w, wires):
        if entangled:
            qml.CNOT(wires=wires[:2])

    return export.qiskit_circuit(Circuit(encodings.angle_y, ansatz, (1,), n), np.zeros(1))


def within(found, exact, shots, sigmas=5):
    return (abs(found - exact) <= sigmas * np.sqrt(exact * (1 - exact) / shots) + sigmas / shots).all()


@settings(deadline=None, max_examples=12)
@given(st.integers(0, 2**31), st.data())
def test_without_noise_as_pennylane(seed, data):
    n = data.draw(st.integers(2, 5))
    latent, order = data.draw(st.integers(0, n - 1)), data.draw(st.permutations(range(n)))
    circuit, weights, X = build(seed, n, order)
    out = export.qiskit_circuit(circuit, weights, latent, measure=data.draw(st.booleans()))
    exact = export.qnode(circuit, weights, latent)(X).numpy()
    level = data.draw(st.integers(0, 3))
    np.testing.assert_allclose(measure(out, out.angles(X), optimization_level=level), exact, rtol=0, atol=1e-9)
    counted = measure(out, out.angles(X), shots=4000, seed=seed, optimization_level=level)
    assert within(counted, exact, 4000) and np.allclose(counted * 4000, np.round(counted * 4000))


def test_the_first_trash_qubit_is_the_most_significant_bit():
    out = only(n=3)
    np.testing.assert_allclose(measure(out, [[np.pi, 0, 0], [0, 0, np.pi]])[:, [0b100, 0b001]], np.eye(2), atol=1e-12)


def test_shots_follow_the_seed():
    circuit, weights, X = build(0, 3, events=50)
    out = export.qiskit_circuit(circuit, weights, 1)
    machine = Aer().on(out)
    first = machine.probabilities(X, shots=200, seed=4)
    np.testing.assert_array_equal(first, measure(out, out.angles(X), shots=200, seed=4))
    np.testing.assert_array_equal(first, sampled(machine.probabilities(X), 200, seed=4))
    assert (first != machine.probabilities(X, shots=200, seed=5)).any()
    same = machine.probabilities(np.repeat(X[:1], 50, 0), shots=200, seed=4)
    assert len(np.unique(same, axis=0)) > 20  # equal events are measured one by one


def test_chunks_change_nothing(monkeypatch):
    circuit, weights, X = build(1, 3, events=7)
    out = export.qiskit_circuit(circuit, weights, 1)
    angles = out.angles(X)
    whole = measure(out, angles, noise=line(3))
    monkeypatch.setattr(aer, "CHUNK", 3)
    np.testing.assert_allclose(measure(out, angles, noise=line(3)), whole, rtol=0, atol=1e-12)
    assert measure(out, angles[:0], shots=10).shape == (0, 4)


@pytest.mark.parametrize("strength", [0.0, 0.1, 1.0])
def test_depolarised_rotation(strength):
    """λ: P(1) = (1 - λ) sin²(x/2) + λ/2; the noise of one qubit leaves the other alone."""
    noise = NoiseModel()
    noise.add_quantum_error(depolarizing_error(strength, 1), ["ry"], [0])
    x = np.linspace(0, np.pi, 9)
    p = measure(only(n=2), np.stack([x, x[::-1]], 1), noise=noise).reshape(-1, 2, 2)
    np.testing.assert_allclose(p.sum(2)[:, 1], (1 - strength) * np.sin(x / 2) ** 2 + strength / 2, atol=1e-12)
    np.testing.assert_allclose(p.sum(1)[:, 1], np.cos(x / 2) ** 2, atol=1e-12)


def test_depolarised_cnot():
    noise = NoiseModel()
    noise.add_all_qubit_quantum_error(depolarizing_error(0.2, 2), ["cx"])
    noise.add_all_qubit_quantum_error(depolarizing_error(0.0, 1), ["ry"])
    p = measure(only(n=2, entangled=True), [[np.pi, 0.0]], noise=noise)
    np.testing.assert_allclose(p[0], [0.05, 0.05, 0.05, 0.85], atol=1e-12)


def test_readout_errors_of_each_qubit():
    """P(read 1 | 0) and P(read 0 | 1) differ, and differ between qubits; one for all is overruled by a qubit's own."""
    own = {0: [[0.9, 0.1], [0.3, 0.7]], 2: [[0.6, 0.4], [0.0, 1.0]]}
    rest = [[0.95, 0.05], [0.2, 0.8]]
    noise = NoiseModel()
    noise.add_all_qubit_readout_error(ReadoutError(rest))
    for q, matrix in own.items():
        noise.add_readout_error(ReadoutError(matrix), [q])
    x = np.array([0.4, 1.1, 2.5])
    truth = [np.array([np.cos(a / 2) ** 2, np.sin(a / 2) ** 2]) @ np.array(own.get(q, rest)) for q, a in enumerate(x)]
    expected = np.einsum("a,b,c->abc", *truth).ravel()
    found = measure(only(n=3), x[None], noise=noise)[0]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    trash = export.qiskit_circuit(Circuit(encodings.angle_y, lambda w, wires: None, (1,), 3), np.zeros(1), latent=2)
    np.testing.assert_allclose(measure(trash, x[None], noise=noise)[0], truth[2], atol=1e-12)


@pytest.mark.parametrize("n, machine, latent, level", [(4, 4, 0, 1), (3, 6, 1, 2), (3, 3, 2, 3)])
def test_noise_of_a_machine_is_that_of_aers_own_counts(n, machine, latent, level):
    """Aer takes the whole machine's noise and samples every shot; ours keeps the laid-out qubits and the distribution."""
    shots, backend = 20_000, line(machine)
    circuit, weights, X = build(2, n, events=4)
    out = export.qiskit_circuit(circuit, weights, latent)
    ours = Aer(backend, optimization_level=level).on(out)
    assert len(ours.layout) == n and ours.two_qubit_gates > 0 and ours.depth > ours.two_qubit_gates / n
    found, angles = ours.probabilities(X), ours.isa.angles(X)
    binds = [{p: angles[:, i].tolist() for i, p in enumerate(ours.isa.circuit.parameters)}]
    simulator = AerSimulator.from_backend(backend, seed_simulator=3)
    done = simulator.run(ours.isa.circuit, parameter_binds=binds, shots=shots).result()
    counted = np.zeros_like(found)
    for row, result in zip(counted, done.results, strict=True):
        for key, count in result.data.counts.items():
            row[int(key, 16)] = count / shots
    assert within(counted, found, shots)
    assert not within(counted, export.qnode(circuit, weights, latent)(X).numpy(), shots), "the noise is seen"


@pytest.mark.parametrize("name, qubits", [("fake_manila", 5), ("fake_torino", 133)])
def test_snapshots(name, qubits):
    pytest.importorskip("qiskit_ibm_runtime", reason="needs the extra 'ibm'")
    out = export.qiskit_circuit(*build(3, 3)[:2], 1)
    machine = Aer(name, optimization_level=2).on(out)
    assert machine.isa.circuit.num_qubits == qubits and len(machine.layout) == 3
    X = build(3, 3)[2]
    p, ideal = machine.probabilities(X), Aer().on(out).probabilities(X)
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-12)
    assert 1e-3 < abs(p - ideal).max() < 0.3


@pytest.mark.parametrize("settings", [{}, {"latent": 1}, {"unitary": "circuit", "epochs": 3},
                                      {"unitary": "circuit", "epochs": 3, "score_as": "trash-populations"},
                                      {"score_as": "relative-entropy", "latent": 1}])
def test_the_detectors_score_from_measured_bit_strings(settings):
    X = np.random.default_rng(0).gamma(2, 1, (120, 3)) @ [[1, 0.5, 0], [0, 1, 0.5], [0, 0, 1]]
    model = ContrastiveAutoencoder(**settings).fit(X)
    circuit, weights, latent = model.exported()
    out = export.qiskit_circuit(circuit, weights, latent if model.outcomes_ is None else None, example=model.inputs(X[:2]))
    angles = out.angles(model.inputs(X))
    p = measure(out, angles)
    score = 1 - p[:, 0] if model.outcomes_ is None else p @ model.outcomes_
    np.testing.assert_allclose(score, model.anomaly_score(X), rtol=0, atol=1e-9)


def test_an_angle_that_does_not_matter():
    """A phase before the measurement is taken away by the transpiler; events are still counted."""
    circuit = Circuit(lambda x, wires: qml.RZ(x[..., 0], wires[0]), lambda w, wires: qml.RX(w[0], wires[1]), (1,), 2)
    out = export.qiskit_circuit(circuit, torch.tensor([0.6]), example=np.ones((2, 1)))
    p = measure(out, [[0.1], [0.2], [0.3]], optimization_level=3, noise=line(2))
    assert p.shape == (3, 4) and np.ptp(p, axis=0).max() < 1e-9


def test_what_a_user_may_get_wrong(monkeypatch):
    out = only(n=3)
    angles = np.zeros((2, 3))
    machine = Aer().on(out)
    for wrong in (angles[0], angles[:, :2], angles + np.nan):
        with pytest.raises(InputError, match=r"expected finite numbers \[rad\] of shape \(events, 3\)"):
            machine.exact(machine.isa.circuit, wrong)
    for shots in (0, 2.5, True):
        with pytest.raises(InputError, match=r"expected a whole number from 1, or None"):
            measure(out, angles, shots=shots)
    with pytest.raises(InputError, match="expected 0, 1, 2 or 3"):
        measure(out, angles, optimization_level=4)
    for noise in (0.1, AerSimulator()):
        with pytest.raises(InputError, match=f"noise of type {type(noise).__name__}: expected None, a name"):
            measure(out, angles, noise=noise)
    with pytest.raises(InputError, match="has 2 qubits: expected at least 3; take a larger machine"):
        measure(out, angles, noise=line(2))
    together, on_measure = NoiseModel(), NoiseModel()
    together.add_readout_error(ReadoutError(np.eye(4)[::-1]), [0, 1])
    on_measure.add_all_qubit_quantum_error(depolarizing_error(0.1, 1), "measure")
    for noise, words in ((together, "readout error on several qubits"), (on_measure, "quantum error on 'measure'")):
        with pytest.raises(InputError, match=words):
            measure(out, angles, noise=noise)
    monkeypatch.setattr(aer, "MOST_NOISY_QUBITS", 2)
    with pytest.raises(InputError, match="3 qubits with noise: expected at most 2"):
        measure(out, angles, noise=line(3))


def test_an_unknown_machine():
    pytest.importorskip("qiskit_ibm_runtime", reason="needs the extra 'ibm'")
    with pytest.raises(InputError, match="unknown machine 'fake_manilla'; did you mean 'fake_manila'"):
        Aer("fake_manilla")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "qiskit_ibm_runtime", None)
    with pytest.raises(MissingExtra, match=r"qiskit_ibm_runtime is not installed; .* pip install 'qad-hep\[ibm\]'"):
        Aer("fake_quito")
