"""The metric against PennyLane, event by event and averaged, and against its definition by finite differences."""

from itertools import pairwise

import numpy as np
import pennylane as qml
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pennylane import numpy as pnp

from qad.errors import InputError
from qad.quantum import encodings, engine, geometry, moments
from qad.quantum.circuit import Circuit
from qad.quantum.mean_state import MeanState
from qad.quantum.moments import through as run
from qad.quantum.program import compile_program
from tests.quantum.test_engine import random_circuit

N = 4


def layered(w, wires):
    for layer in w:
        for q, wire in enumerate(wires):
            qml.RY(layer[q, 0], wires=wire)
            qml.RZ(layer[q, 1], wires=wire)
        for a, b in pairwise(wires):
            qml.CNOT(wires=[a, b])


def words(w, wires):
    qml.PauliRot(w[0], "XY", wires=wires[:2])
    qml.Hadamard(wires=wires[3])
    qml.IsingZZ(w[1], wires=[wires[3], wires[1]])
    qml.RX(w[2], wires=wires[2])
    qml.SWAP(wires=[wires[0], wires[2]])
    qml.PauliRot(w[3], "YIZ", wires=wires[1:])


def spread(w, wires):
    """A rotation reaches the last through two CNOTs only: another layer."""
    qml.RX(w[0], wires=wires[0])
    qml.RY(w[1], wires=wires[3])
    qml.CNOT(wires=wires[:2])
    qml.CNOT(wires=wires[1:3])
    qml.RX(w[2], wires=wires[2])
    qml.CZ(wires=wires[2:])
    qml.RX(w[3], wires=wires[1])


CIRCUITS = {"layered": (layered, (2, N, 2)), "words": (words, (4,)), "spread": (spread, (4,))}


@pytest.fixture(params=CIRCUITS)
def case(request):
    circuit, shape = CIRCUITS[request.param]
    rng = np.random.default_rng(5)
    x = rng.uniform(-1.5, 1.5, (6, N))
    return circuit, rng.uniform(-2, 2, shape), x, compile_program(circuit, shape, N)


def states_of(x):
    return engine.states(encodings.angle, torch.tensor(x), N)


def pennylane_metric(case, function, **options):
    circuit, w, x, _ = case
    device = qml.device("default.qubit", wires=N + 1)

    @qml.qnode(device)
    def node(weights, event):
        encodings.angle(event, range(N))
        circuit(weights, range(N))
        return qml.expval(qml.Z(0))

    total = 0
    for event in x:
        metric = function(node, **options)(pnp.array(w, requires_grad=True), pnp.array(event, requires_grad=False))
        total = total + np.asarray(metric).reshape(w.size, w.size)
    return total / len(x)


def test_full_metric_against_pennylane(case):
    _, w, x, program = case
    ours = geometry.metric_tensor(program, torch.tensor(w), states_of(x))
    np.testing.assert_allclose(ours, pennylane_metric(case, qml.adjoint_metric_tensor), atol=1e-12)


def test_block_diagonal_metric_against_pennylane(case):
    _, w, x, program = case
    ours = geometry.metric_tensor(program, torch.tensor(w), states_of(x), "block-diag")
    np.testing.assert_allclose(ours, pennylane_metric(case, qml.metric_tensor, approx="block-diag"), atol=1e-12)


def test_diagonal_is_the_diagonal(case):
    _, w, x, program = case
    full = geometry.metric_tensor(program, torch.tensor(w), states_of(x))
    diagonal = geometry.metric_tensor(program, torch.tensor(w), states_of(x), "diag")
    np.testing.assert_allclose(diagonal, torch.diag(torch.diagonal(full)), atol=1e-12)


def test_it_is_a_mean_over_events_and_partial_means_add_up(case):
    _, w, x, program = case
    whole = geometry.metric_tensor(program, torch.tensor(w), states_of(x))
    parts = [geometry.metric_tensor(program, torch.tensor(w), states_of(x[i : i + 2])) for i in (0, 2, 4)]
    np.testing.assert_allclose(sum(parts) / 3, whole, atol=1e-12)
    np.testing.assert_allclose(whole, whole.mT, atol=1e-14)
    assert torch.linalg.eigvalsh(whole).min() > -1e-12


def test_it_is_the_definition(case):
    """1 - |⟨ψ(θ)|ψ(θ + ε d)⟩|² = ε² dᵀ G d to leading order, averaged over events."""
    _, w, x, program = case
    states = states_of(x)
    d = np.random.default_rng(1).normal(size=w.shape)
    eps = 1e-3
    a, b = (run(program, program.angles(torch.tensor(w + s * eps * d / 2)), states) for s in (-1, 1))
    loss = (1 - torch.linalg.vecdot(a, b).abs().square()).mean()
    G = geometry.metric_tensor(program, torch.tensor(w), states)
    flat = torch.tensor(d).reshape(-1)
    assert loss.item() / eps**2 == pytest.approx((flat @ G @ flat).item(), rel=1e-5)


def test_chunks_and_the_mean_state_change_nothing(case):
    """Tangents of the events, of the eigenvectors of ρ̄, all at once or one by one."""
    _, w, x, program = case
    states, w = states_of(np.repeat(x, 5, 0)), torch.tensor(w)
    whole = geometry.metric_tensor(program, w, states)
    mean = MeanState.of_states(states)
    assert len(mean.vectors) < len(states)
    for options in ({"memory": 1}, {"mean": mean}, {"mean": mean, "memory": 1}):
        np.testing.assert_allclose(geometry.metric_tensor(program, w, states, **options), whole, atol=1e-12)


def test_groups_of_qubits_change_nothing(case, monkeypatch):
    """One-qubit gates fused over groups of 1, 2, 3 and 4 qubits."""
    _, w, x, program = case
    states, angles = states_of(x), program.angles(torch.tensor(w))
    results = []
    for size in (1, 2, 3, 4):
        monkeypatch.setattr(moments, "GROUP", size)
        results.append([*moments.tangents(program, angles, states), moments.expectations(program, angles, states)])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            torch.testing.assert_close(a, b)


def test_the_diagonal_of_weights_that_are_shared_or_taken_apart():
    def circuit(w, wires):
        qml.RX(w[0], wires=wires[0])
        qml.CRY(w[1], wires=wires[:2])
        qml.RZ(w[0], wires=wires[1])
        qml.IsingXY(w[2], wires=wires[:2])

    program = compile_program(circuit, (3,), 2)
    states = engine.states(encodings.angle, torch.tensor(np.random.default_rng(0).uniform(0, 2, (5, 2))), 2)
    w = torch.tensor([0.7, -1.1, 0.4], dtype=torch.float64)
    full = geometry.metric_tensor(program, w, states)
    torch.testing.assert_close(geometry.metric_tensor(program, w, states, "diag"), torch.diag(full.diagonal()))


def test_metric_takes_the_first_events_and_follows_the_encoding(case):
    circuit, w, x, program = case
    w, scale = torch.tensor(w), [1.0]
    moving = Circuit(lambda x, wires: encodings.angle(x, wires, scale=scale[0]), circuit, w.shape, N)
    few, follows = geometry.Metric(moving, x, w, most=3), geometry.Metric(moving, x, w, encoding_moves=True)
    expected = [geometry.metric_tensor(program, w, states_of(s * x)) for s in (1.0, 0.5)]
    torch.testing.assert_close(few(), geometry.metric_tensor(program, w, states_of(x[:3])), atol=1e-8, rtol=0)
    torch.testing.assert_close(follows(), expected[0], atol=1e-8, rtol=0)
    scale[0] = 0.5
    torch.testing.assert_close(follows(), expected[1], atol=1e-8, rtol=0)
    with pytest.raises(InputError, match="with NaN or infinity"):
        geometry.Metric(moving, np.full((2, N), np.nan), w)


def test_jacobian_of_the_scores_is_that_of_autograd(case):
    _, w, x, program = case
    states, w = states_of(x), torch.tensor(w)
    theirs = torch.autograd.functional.jacobian(
        lambda v: engine.fidelities(engine.kept_rows(program, v, 2), states), w).reshape(len(x), -1)
    torch.testing.assert_close(geometry.score_jacobian(program, w, states, 2), theirs)


def test_overlap_is_the_definition(case):
    circuit, w, x, program = case
    overlap = geometry.Overlap(Circuit(encodings.angle, circuit, w.shape, N), torch.tensor(x))
    a, b = torch.tensor(w).reshape(-1), torch.tensor(w).reshape(-1) + 0.3
    bra, ket = (run(program, program.angles(v.reshape(w.shape)), states_of(x)) for v in (a, b))
    assert overlap(a, b).item() == pytest.approx((bra.conj() * ket).sum(1).abs().square().mean().item())
    assert overlap(a, a).item() == pytest.approx(1)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 2**31), st.integers(2, 4), st.integers(1, 8))
def test_metric_of_random_circuits_against_pennylane(seed, n, gates):
    circuit = random_circuit(seed, n, gates)
    rng = np.random.default_rng(seed)
    w, x = rng.uniform(-2, 2, 3), rng.uniform(-1.5, 1.5, (2, n))

    @qml.qnode(qml.device("default.qubit", wires=n))
    def node(weights, event):
        encodings.angle(event, range(n))
        circuit(weights, range(n))
        return qml.expval(qml.Z(0))

    theirs = sum(qml.adjoint_metric_tensor(node)(pnp.array(w, requires_grad=True), pnp.array(event, requires_grad=False))
                 for event in x) / len(x)
    program = compile_program(circuit, (3,), n)
    ours = geometry.metric_tensor(program, torch.tensor(w), engine.states(encodings.angle, torch.tensor(x), n))
    np.testing.assert_allclose(ours, theirs, atol=1e-10)


def test_shared_and_curved_weights_follow_the_chain_rule():
    def shared(w, wires):
        qml.RX(w[0], wires=wires[0])
        qml.CNOT(wires=wires[:2])
        qml.RY(2 * w[0] + w[1], wires=wires[1])

    def curved(w, wires):
        qml.RX(w[0] ** 2, wires=wires[0])
        qml.CNOT(wires=wires[:2])
        qml.RY(torch.sin(w[1]), wires=wires[1])

    states = engine.states(encodings.angle, torch.tensor(np.random.default_rng(0).uniform(0, 2, (5, 2))), 2)
    w, d, eps = torch.tensor([0.7, -1.1]), torch.tensor([0.3, 0.8]), 1e-3
    w, d = w.double(), d.double()
    for circuit in (shared, curved):
        program = compile_program(circuit, (2,), 2)
        a, b = (run(program, program.angles(w + s * eps * d / 2), states) for s in (-1, 1))
        loss = (1 - torch.linalg.vecdot(a, b).abs().square()).mean()
        G = geometry.metric_tensor(program, w, states)
        assert loss.item() / eps**2 == pytest.approx((d @ G @ d).item(), rel=1e-5)


def test_unknown_approximation():
    program = compile_program(layered, (1, N, 2), N)
    with pytest.raises(InputError, match="expected full, block-diag or diag"):
        geometry.metric_tensor(program, torch.zeros(1, N, 2, dtype=torch.float64), states_of(np.zeros((2, N))), "none")
