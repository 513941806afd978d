"""The measured metric and overlaps against the engine's, and without bias from few shots."""

import numpy as np
import pennylane as qml
import pytest
import torch

from qad.errors import InputError
from qad.quantum import backends, encodings, geometry
from qad.quantum.circuit import Circuit
from qad.quantum.measured_geometry import MeasuredMetric, MeasuredOverlap, layers
from qad.quantum.shift import Meter
from tests.quantum.test_geometry import CIRCUITS, N
from tests.quantum.test_shift import cases, small

EXACT = backends.get("exact")
ALL = cases() | CIRCUITS


def behind(w, wires):
    """Gates between the rotations of one layer: some that a later one needs, some that would spoil an earlier one."""
    qml.RX(w[0], wires=wires[0])
    qml.Hadamard(wires=wires[0])
    qml.CNOT(wires=wires[1:3])
    qml.RY(w[1], wires=wires[1])
    qml.CNOT(wires=wires[:2])
    qml.Hadamard(wires=wires[3])
    qml.PauliRot(w[2], "YZ", wires=wires[2:])
    qml.RX(w[3], wires=wires[1])


ALL["behind"] = (behind, (4,))


def build(name, events=5, encoding=encodings.dense_angle):
    function, shape = ALL[name]
    rng = np.random.default_rng(len(name))
    X = rng.uniform(-1.5, 1.5, (events, 2 * N))
    return Circuit(encoding, function, shape, N, (2 * N,)), X, torch.tensor(rng.uniform(-2, 2, shape))


@pytest.mark.parametrize("name", ALL)
def test_without_shots_it_is_the_block_diagonal_metric(name):
    circuit, X, weights = build(name)
    expected = geometry.metric_tensor(circuit.program, weights, circuit.states(torch.tensor(X)), "block-diag")
    meter = Meter(None)
    found = MeasuredMetric(circuit, EXACT, meter, lambda: X, weights)()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)
    assert found.abs().max() > 0.01
    found = layers(circuit)
    assert [r.slot for layer in found for r in layer.rotations] == list(range(circuit.program.n_angles))
    assert [i for i, layer in enumerate(found) for _ in layer.rotations] == geometry.layers(circuit.program).tolist()
    assert meter.circuits == len(X) * len(found)


def test_few_shots_leave_no_bias():
    """The square of a mean of S shots is too large: with 4 shots the metric would come out a quarter too small."""
    circuit, X, weights = build("layered")
    expected = geometry.metric_tensor(circuit.program, weights, circuit.states(torch.tensor(X)), "block-diag")
    metric = MeasuredMetric(circuit, EXACT, Meter(4, seed=2), lambda: X, weights)
    drawn = torch.stack([metric() for _ in range(150)])
    assert (abs(drawn.mean(0) - expected) <= 5 * drawn.std(0) / 150**0.5 + 1e-12).all()
    assert drawn.mean(0).trace() == pytest.approx(float(expected.trace()), rel=0.05)
    many = MeasuredMetric(circuit, EXACT, Meter(20_000), lambda: X, weights)()
    np.testing.assert_allclose(many, expected, rtol=0, atol=0.01)


@pytest.mark.parametrize("name", ["pennylane", "aer"])
def test_on_other_backends(name):
    circuit, X, weights = build("behind", events=2)
    expected = geometry.metric_tensor(circuit.program, weights, circuit.states(torch.tensor(X)), "block-diag")
    backend = backends.get(name)
    np.testing.assert_allclose(MeasuredMetric(circuit, backend, Meter(None), lambda: X, weights, X)(), expected, atol=1e-8)
    other = weights + 0.4
    found = MeasuredOverlap(circuit, backend, Meter(None), lambda: X)(weights.reshape(-1), other.reshape(-1))
    assert float(found) == pytest.approx(float(geometry.Overlap(circuit, torch.tensor(X))(weights, other)), abs=1e-8)


def test_noise_shrinks_the_overlap_of_a_state_with_itself():
    circuit, X, weights = build("layered", events=2)
    found = MeasuredOverlap(circuit, backends.get("aer", noise=small()), Meter(None), lambda: X)(weights, weights)
    assert 0.05 < float(found) < 0.9


@pytest.mark.parametrize("name", ["mixed", "curved", "layered", "words"])
@pytest.mark.parametrize("encoding, event", [("angle-z", (N,)), ("1p1q", (N, 3)), ("particle-embedding", (2 * N,)),
                                             ("re-uploading", (N,))])
def test_overlaps_are_the_engines(name, encoding, event):
    function, shape = ALL[name]
    circuit = Circuit(encodings.get(encoding).function, function, shape, N, event)
    rng = np.random.default_rng(1)
    X = rng.uniform(-1, 1, (4, *event))
    a, b = (torch.tensor(rng.uniform(-2, 2, shape)) for _ in range(2))
    overlap = MeasuredOverlap(circuit, EXACT, Meter(None), lambda: X)
    assert float(overlap(a, b)) == pytest.approx(float(geometry.Overlap(circuit, torch.tensor(X))(a, b)), abs=1e-10)
    assert float(overlap(a.reshape(-1), a.reshape(-1))) == pytest.approx(1, abs=1e-10)


def test_amplitudes_have_no_inverse():
    circuit = Circuit(encodings.amplitude, *CIRCUITS["layered"], N, (2**N,))
    with pytest.raises(InputError, match="no inverse in gates: for qn-spsa take"):
        MeasuredOverlap(circuit, EXACT, Meter(None), lambda: np.ones((2, 2**N)))(*torch.zeros(2, 2, N, 2))
