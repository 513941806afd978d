"""Gradients of measured circuits against the engine's, finite differences under noise, and the statistics of shots."""

from itertools import pairwise

import numpy as np
import pennylane as qml
import pytest
import torch
from qiskit_aer.noise import NoiseModel, depolarizing_error

from qad.errors import InputError
from qad.quantum import ansatze, backends, encodings, engine
from qad.quantum.circuit import Circuit
from qad.quantum.program import Rotation, pieces
from qad.quantum.shift import Infidelity, Meter, by_angles

N = 4
EXACT = backends.get("exact")


def mixed(w, wires):
    """Controlled rotations, words of Pauli letters, phases, a weight in three angles, fixed gates of every kind."""
    qml.CRX(w[0], wires=wires[:2])
    qml.PauliRot(w[1], "XIZY", wires=wires)
    qml.Toffoli(wires=wires[:3])
    qml.PhaseShift(2 * w[2] + 0.3, wires=wires[1])
    qml.Hadamard(wires=wires[3])
    qml.Rot(w[0], w[3], -w[0], wires=wires[2])
    qml.IsingXX(w[4], wires=[wires[3], wires[1]])
    qml.QubitUnitary(np.kron([[0.6, 0.8], [-0.8, 0.6]], np.eye(2)), wires=wires[1:3])
    qml.CRot(w[4], w[1], w[5], wires=wires[2:])


def curved(w, wires):
    """Angles that are no linear function of the weights."""
    for q, wire in enumerate(wires):
        qml.RY(torch.sin(w[q]) * w[0], wires=wire)
    for a, b in pairwise(wires):
        qml.CNOT(wires=[a, b])


def cases():
    found = {name: ansatze.get(name, N, 2, 2 if name in ("strongly-entangling", "brick-wall", "trash-latent") else None)
             for name in ansatze.names()}
    return found | {"mixed": (mixed, (6,)), "curved": (curved, (N,))}


def build(name, events=5, encoding=encodings.angle_y):
    function, shape = cases()[name]
    rng = np.random.default_rng(len(name))
    return (Circuit(encoding, function, shape, N, (N,)), rng.uniform(0, np.pi, (events, N)),
            torch.tensor(rng.uniform(-3, 3, shape), requires_grad=True))


def small(strength=0.05):
    noise = NoiseModel(basis_gates=["cx", "rz", "ry", "rx", "h", "x"])
    noise.add_all_qubit_quantum_error(depolarizing_error(strength, 2), ["cx"])
    noise.add_all_qubit_quantum_error(depolarizing_error(strength / 5, 1), ["ry", "rx", "h", "x"])
    return noise


@pytest.mark.parametrize("name", cases())
def test_without_shots_the_gradient_is_the_engines(name):
    circuit, X, weights = build(name)
    engine_loss = 1 - engine.fidelities(circuit.rows(weights, 2), circuit.states(torch.tensor(X))).mean()
    engine_loss.backward()
    loss, gradient = Infidelity(circuit, 2, EXACT, Meter(None)).with_gradient(X, weights)
    assert loss == pytest.approx(engine_loss.item(), abs=1e-12)
    np.testing.assert_allclose(gradient, weights.grad, rtol=0, atol=1e-8)
    assert gradient.abs().max() > 1e-3 and gradient.shape == weights.shape


@pytest.mark.parametrize("name", cases())
def test_a_circuit_by_its_angles_is_the_same(name):
    circuit, X, weights = build(name)
    other = by_angles(circuit)
    angles = circuit.program.angles(weights).detach()
    assert other.shape == angles.shape and torch.equal(other.program.linear[0], torch.eye(len(angles)))
    for latent in (0, 1):
        np.testing.assert_allclose(EXACT.compile(other, latent).probabilities(X, angles.numpy()),
                                   EXACT.compile(circuit, latent, weights.detach()).probabilities(X), rtol=0, atol=1e-12)
    slots = [part.slot for part in pieces(circuit.ansatz, circuit.shape, N) if isinstance(part, Rotation)]
    assert slots == list(range(len(angles)))


@pytest.mark.parametrize("name, options", [("pennylane", {"device": "default.mixed"}), ("aer", {})])
def test_other_backends_give_the_same_gradient(name, options):
    circuit, X, weights = build("mixed", events=2)
    expected = Infidelity(circuit, 1, EXACT, Meter(None)).with_gradient(X, weights)[1]
    found = Infidelity(circuit, 1, backends.get(name, **options), Meter(None), X).with_gradient(X, weights)[1]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7)


def test_under_noise_it_is_the_gradient_of_the_noisy_loss():
    """The two-term rule does not mind channels between the gates: finite differences of what the noisy machine shows."""
    circuit, X, weights = build("trash-latent", events=3)
    noisy = Infidelity(circuit, 2, backends.get("aer", noise=small()), Meter(None), X)
    loss, gradient = noisy.with_gradient(X, weights)
    h, flat = 1e-4, weights.detach().reshape(-1)
    for j in range(flat.numel()):
        step = h * torch.eye(flat.numel(), dtype=torch.float64)[j]
        up, down = (noisy.mean(X, (flat + s * step).reshape(weights.shape))[0] for s in (1, -1))
        assert gradient.reshape(-1)[j].item() == pytest.approx((up - down) / (2 * h), abs=1e-6)
    clean, slope = Infidelity(circuit, 2, EXACT, Meter(None)).with_gradient(X, weights)
    assert abs(loss - clean) > 0.005 and (gradient - slope).abs().max() > 1e-3


def test_with_shots_it_is_unbiased_and_its_error_is_binomial():
    circuit, X, weights = build("1p1q")
    exact = Infidelity(circuit, 2, EXACT, Meter(None))
    loss, gradient = exact.with_gradient(X, weights)
    shots, meter = 50, Meter(50, seed=3)
    measured = Infidelity(circuit, 2, EXACT, meter)
    values, slopes = zip(*(measured.with_gradient(X, weights) for _ in range(200)), strict=True)
    slopes = torch.stack(slopes).reshape(200, -1)
    spread = slopes.std(0)
    assert (abs(slopes.mean(0) - gradient.reshape(-1)) <= 5 * spread / 200**0.5 + 1e-12).all()
    F = exact.fidelities(X, weights)
    expected = np.sqrt((F * (1 - F) / shots).sum()) / len(X)
    assert np.mean(values) == pytest.approx(loss, abs=5 * expected / 200**0.5)
    assert np.std(values) == pytest.approx(expected, rel=0.3)
    told = [measured.mean(X, weights)[1] for _ in range(50)]
    assert np.mean(told) == pytest.approx(expected**2, rel=0.1)


def test_cost_is_counted_and_seeds_are_used_once():
    circuit, X, weights = build("1p1q")
    rotations = circuit.program.n_angles
    meter = Meter(100, seed=1)
    loss = Infidelity(circuit, 2, EXACT, meter)
    first, again = loss.with_gradient(X, weights)[1], loss.with_gradient(X, weights)[1]
    assert not torch.equal(first, again)
    loss.mean(X, weights)
    circuits = len(X) * (2 * (1 + 2 * rotations) + 1)
    assert meter.cost() == {"circuits": circuits, "shots": 100 * circuits, "calls": 3}
    repeated = Infidelity(circuit, 2, EXACT, Meter(100, seed=1)).with_gradient(X, weights)[1]
    assert torch.equal(first, repeated)


def test_backward_gives_the_measured_gradient():
    circuit, X, weights = build("1p1q")
    loss = Infidelity(circuit, 2, EXACT, Meter(None))
    value = loss.differentiable(X, weights)
    value.backward()
    torch.testing.assert_close(weights.grad, loss.with_gradient(X, weights)[1])
    with torch.no_grad():
        before = loss.meter.circuits
        assert float(loss.differentiable(X, weights)) == pytest.approx(float(value.detach()), abs=1e-12)
        assert loss.meter.circuits - before == len(X)


@pytest.mark.parametrize("name, options", [("exact", {}), ("pennylane", {}), ("aer", {}), ("aer", {"noise": small()})])
def test_weights_of_its_own_for_each_event(name, options):
    """The contract that one call for all shifts rests on: as one by one, in any order, equal ones together."""
    circuit, X, _ = build("strongly-entangling", events=6)
    table = np.random.default_rng(0).uniform(-3, 3, (6, *circuit.shape))
    table[4] = table[1]
    compiled = backends.get(name, **options).compile(circuit, 1, example=X)
    found = compiled.probabilities(X, table)
    np.testing.assert_allclose(compiled.zeros(X, table), found[:, 0], rtol=0, atol=1e-9)
    for i in range(6):
        np.testing.assert_allclose(found[i], compiled.probabilities(X[i : i + 1], table[i])[0], rtol=0, atol=1e-9)
    counted = compiled.probabilities(X, table, shots=3000, seed=2)
    assert (abs(counted - found) <= 5 * np.sqrt(found * (1 - found) / 3000) + 5 / 3000).all()
    same = compiled.probabilities(np.repeat(X[:1], 6, 0), np.repeat(table[:1], 6, 0), shots=3000, seed=2)
    assert len(np.unique(same, axis=0)) == 6
    with pytest.raises(InputError, match="weights of shape"):
        compiled.probabilities(X[:5], table)
