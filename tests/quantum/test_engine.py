"""The engine against dense matrices, PennyLane and Qiskit; identities that must hold exactly."""

import numpy as np
import pennylane as qml
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.quantum_info import Statevector

from qad.errors import InputError
from qad.quantum import Circuit, ansatze, encodings, engine, readout
from qad.quantum.program import check_size, compile_program
from tests.reference import dense

seeds = st.integers(0, 2**31)


def compiled(function, shape):
    return compile_program(function, shape, shape[-2] if len(shape) > 1 else shape[-1])


def scores_of(rows, encoding, X, n):
    """What a detector scores: the compiled read-out, or torch where the encoding entangles."""
    return 1 - readout.fidelities(rows, encoding, X, n)


def random_jets(seed, n_jets, n):
    rng = np.random.default_rng(seed)
    return rng.uniform([0, -0.8, -0.8], [1, 0.8, 0.8], (n_jets, n, 3))


@settings(deadline=None, max_examples=20)
@given(seeds, st.integers(2, 5), st.integers(1, 4))
def test_scores_against_dense_matrices(seed, n, latent):
    latent = min(latent, n - 1)
    x = random_jets(seed, 6, n)
    w = np.random.default_rng(seed).uniform(-np.pi, np.pi, (n, 3))
    rows = engine.kept_rows(compiled(ansatze.one_particle_one_qubit, (n, 3)), torch.tensor(w), latent)
    encoder = lambda a, wires: encodings.one_particle_one_qubit(a, wires, scale=5.0)  # noqa: E731
    ours = scores_of(rows, encoder, torch.tensor(x), n).numpy()
    u = dense.one_particle_one_qubit_unitary(w)
    theirs = [dense.infidelity(dense.one_particle_one_qubit_state(jet, 5.0), u, latent) for jet in x]
    np.testing.assert_allclose(ours, theirs, atol=1e-12)
    np.testing.assert_allclose(rows.numpy(), u[:: 2 ** (n - latent)], atol=1e-12)


LAYERS = {name: 2 for name in ("strongly-entangling", "brick-wall", "trash-latent", "trash-latent-sparse")}


ONE_EACH = encodings.get("angle").qubits


def features_for(encoding, n, seed=3, events=4):
    """Events on n qubits, and how the encoding reads them."""
    rng = np.random.default_rng(seed)
    found = encodings.get(encoding)
    if found.takes == "particles":
        return random_jets(seed, events, n)
    columns = next(f for f in (n, 2 * n, 2**n) if (f % 2 == 0 and found.qubits((f,)) == n) or found.qubits is ONE_EACH)
    return rng.uniform(0.1, np.pi, (events, columns))


def trash_of_pennylane(encode, function, n, latent, x, weights):
    """1 - P(trash = 0) event by event, by default.qubit, differentiable in the weights."""
    @qml.qnode(qml.device("default.qubit", wires=n), interface="torch")
    def trash(event, w):
        encode(event, range(n))
        function(w, range(n))
        return qml.probs(wires=range(latent, n))

    return torch.stack([1 - trash(torch.tensor(event), weights)[0] for event in x])


@pytest.mark.parametrize("ansatz", ansatze.names())
@pytest.mark.parametrize("encoding", encodings.names())
def test_scores_and_gradient_against_pennylane(ansatz, encoding):
    n, latent = 4, 2
    x = features_for(encoding, n)
    encode = encodings.get(encoding).function
    function, shape = ansatze.get(ansatz, n, latent, LAYERS.get(ansatz))
    weights = torch.tensor(np.random.default_rng(3).uniform(-3, 3, shape), requires_grad=True)
    theirs = trash_of_pennylane(encode, function, n, latent, x, weights)
    rows = engine.kept_rows(compile_program(function, shape, n), weights, latent)
    ours = scores_of(rows, encode, torch.tensor(x), n)
    torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=0)
    loss = engine.infidelity(rows, engine.mean_state(encode, torch.tensor(x), n))
    torch.testing.assert_close(loss, theirs.mean(), atol=1e-10, rtol=0)
    (a,), (b,) = torch.autograd.grad(loss, weights), torch.autograd.grad(theirs.mean(), weights)
    torch.testing.assert_close(a, b, atol=1e-10, rtol=0)


GATES = ("RX", "RY", "RZ", "Rot", "CNOT", "CRY", "IsingXY", "PauliRot", "H", "SWAP", "Toffoli", "CZ", "CY", "ISWAP", "T")


def random_circuit(seed, n, gates):
    """A quantum function of random gates on random wires; weights are drawn from in order, some shared, some scaled."""
    def circuit(w, wires):
        rng = np.random.default_rng(seed)
        weight = lambda: w[rng.integers(len(w))] * rng.choice([1.0, -0.5]) + rng.choice([0.0, 0.3])  # noqa: E731
        for name in rng.choice(GATES, gates):
            on = [wires[q] for q in rng.permutation(n)]
            if name in ("RX", "RY", "RZ"):
                getattr(qml, name)(weight(), wires=on[0])
            elif name == "Rot":
                qml.Rot(weight(), weight(), weight(), wires=on[0])
            elif name in ("CRY", "IsingXY"):
                getattr(qml, name)(weight(), wires=on[:2])
            elif name == "PauliRot":
                qml.PauliRot(weight(), "".join(rng.choice(list("XYZ"), 2)), wires=on[:2])
            elif name == "Toffoli" and n > 2:
                qml.Toffoli(wires=on[:3])
            elif name == "T":
                qml.T(on[0])
            elif name in ("CNOT", "SWAP", "CZ", "CY", "ISWAP"):
                getattr(qml, name)(wires=on[:2])
            else:
                qml.H(on[0])
        qml.RY(w[0], wires=wires[n - 1])  # something to train, always

    return circuit


@settings(deadline=None, max_examples=25)
@given(seeds, st.integers(2, 5), st.integers(1, 4), st.integers(1, 12), st.sampled_from(encodings.names()))
def test_random_circuits_against_pennylane(seed, n, latent, gates, encoding):
    latent = min(latent, n - 1)
    circuit = random_circuit(seed, n, gates)
    x, encode = features_for(encoding, n, seed, 3), encodings.get(encoding).function
    weights = torch.tensor(np.random.default_rng(seed).uniform(-3, 3, 3), requires_grad=True)
    theirs = trash_of_pennylane(encode, circuit, n, latent, x, weights)
    rows = engine.kept_rows(compile_program(circuit, (3,), n), weights, latent)
    torch.testing.assert_close(scores_of(rows, encode, torch.tensor(x), n), theirs, atol=1e-10, rtol=0)
    loss = engine.infidelity(rows, engine.mean_state(encode, torch.tensor(x), n))
    (a,), (b,) = torch.autograd.grad(loss, weights), torch.autograd.grad(theirs.mean(), weights)
    torch.testing.assert_close(a, b, atol=1e-9, rtol=0)


def zoo(w, wires):
    """Gates of every kind: fixed, shared, controlled, multi-qubit, composite."""
    qml.Hadamard(wires[0])
    qml.Rot(w[0], w[1], w[2], wires=wires[1])
    qml.IsingXY(w[3], wires=[wires[3], wires[1]])
    qml.Toffoli(wires=[wires[2], wires[0], wires[3]])
    qml.SWAP(wires=[wires[0], wires[2]])
    qml.CRY(w[0], wires=[wires[3], wires[0]])
    qml.PauliRot(2 * w[2] + 1, "XIY", wires=wires[:3])
    qml.U3(w[1], w[2], w[3], wires=wires[2])
    qml.MultiRZ(w[3], wires=wires[1:])
    qml.RX(0.3, wires=wires[1])
    qml.CPhase(w[1], wires=[wires[0], wires[2]])
    qml.DoubleExcitation(w[0], wires=wires)


def curved(w, wires):
    """Angles that do not depend linearly on the weights."""
    qml.BasicEntanglerLayers(torch.sin(w) * w.sum(), wires)


CIRCUITS = {
    "zoo": (zoo, (4,), True),
    "curved": (curved, (2, 4), False),
    "StronglyEntanglingLayers": (lambda w, wires: qml.StronglyEntanglingLayers(w, wires), (2, 4, 3), True),
}


@pytest.mark.parametrize("name", CIRCUITS)
def test_any_pennylane_circuit_works(name):
    n = 4
    circuit, shape, linear = CIRCUITS[name]
    program = compile_program(circuit, shape, n)
    assert (program.linear is not None) == linear
    w = np.random.default_rng(0).uniform(-3, 3, shape)
    rows = engine.kept_rows(program, torch.tensor(w), 3).numpy()
    with qml.queuing.QueuingManager.stop_recording():
        theirs = np.asarray(qml.matrix(lambda: circuit(torch.tensor(w), range(n)), wire_order=range(n))())[::2]
    phase = np.vdot(theirs, rows)
    np.testing.assert_allclose(rows, theirs * phase / abs(phase), atol=1e-12)  # up to a global phase


def test_qubit_order_against_qiskit():
    """Qiskit puts qubit 0 rightmost; PennyLane and the engine leftmost."""
    n, latent = 4, 1
    x, w = random_jets(5, 1, n)[0], np.random.default_rng(6).uniform(-3, 3, (n, 3))
    circuit = QuantumCircuit(n)
    for q, (z, deta, dphi) in enumerate(x):
        circuit.ry(5 * z * deta, q)
        circuit.rx(5 * z * dphi, q)
    for i in range(n):
        for j in range(i + 1, n):
            circuit.cx(i, j)
    for q, (a, b, c) in enumerate(w):
        circuit.rx(a, q)
        circuit.ry(b, q)
        circuit.rz(c, q)
    theirs = 1 - Statevector(circuit).probabilities(list(range(latent, n)))[0]
    rows = engine.kept_rows(compiled(ansatze.one_particle_one_qubit, (n, 3)), torch.tensor(w), latent)
    encoder = lambda a, wires: encodings.one_particle_one_qubit(a, wires, scale=5.0)  # noqa: E731
    assert scores_of(rows, encoder, torch.tensor(x[None]), n).item() == pytest.approx(theirs, abs=1e-12)


@settings(deadline=None, max_examples=15)
@given(seeds, st.integers(2, 5))
def test_identities(seed, n):
    x = torch.tensor(random_jets(seed, 30, n))
    encode = encodings.one_particle_one_qubit
    psi = engine.states(encode, x, n)
    torch.testing.assert_close(psi.abs().square().sum(1), torch.ones(30, dtype=torch.float64))
    rho = engine.mean_state(encode, x, n)
    assert rho.trace == pytest.approx(1)
    torch.testing.assert_close(rho.dense(), psi.mT @ psi.conj() / 30)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(engine.mean_state(encode, x[order], n).dense(), rho.dense())
    halves = engine.mean_state(encode, x[:10], n) * (1 / 3) + engine.mean_state(encode, x[10:], n) * (2 / 3)
    torch.testing.assert_close(halves.dense(), rho.dense())  # partial means add up
    w = torch.tensor(np.random.default_rng(seed).uniform(-3, 3, (n, 3)))
    rows = engine.kept_rows(compiled(ansatze.one_particle_one_qubit, (n, 3)), w, n - 1)
    torch.testing.assert_close(rows @ rows.mH, torch.eye(2 ** (n - 1), dtype=rows.dtype))  # unitarity
    scores = scores_of(rows, encode, x, n)
    assert ((scores > -1e-12) & (scores < 1 + 1e-12)).all()
    assert scores.mean().item() == pytest.approx(engine.infidelity(rows, rho).item())
    circuit = Circuit(encode, ansatze.one_particle_one_qubit, (n, 3), n)
    assert circuit.loss(w, rho, n - 1).item() == pytest.approx(scores.mean().item())
    # Ky Fan: no unitary does better than the ceiling, and the ideal rows reach it
    best, ideal = rho.ceiling(1)
    assert 1 - engine.infidelity(ideal, rho).item() == pytest.approx(best)
    q, _ = torch.linalg.qr(torch.randn(2**n, 2, dtype=torch.complex128, generator=torch.Generator().manual_seed(seed)))
    assert 1 - engine.infidelity(q.mH.contiguous(), rho).item() <= best + 1e-12


def test_chunks_change_nothing():
    x = torch.tensor(random_jets(0, 50, 4))
    parts = list(engine.chunks_of_states(encodings.one_particle_one_qubit, x, 4, memory=4 * 16 * 16 * 7))
    assert [len(p) for p in parts] == [7] * 7 + [1]
    torch.testing.assert_close(torch.cat(parts), engine.states(encodings.one_particle_one_qubit, x, 4))


def busy(x, wires):
    """An encoding with templates, controlled and mixed gates of the data."""
    qml.AngleEmbedding(x[..., :3], wires=wires[:3], rotation="Y")
    qml.U3(x[..., 0], 0.3, x[..., 1], wires=wires[1])
    qml.IsingXY(x[..., 2], wires=[wires[2], wires[0]])
    qml.CRX(x[..., 1], wires=wires[:2])
    qml.PauliRot(x[..., 3], "XZ", wires=wires[2:])
    qml.Rot(0.1, x[..., 3], x[..., 2], wires=wires[3])
    qml.IQPEmbedding(x, wires=wires)
    qml.MultiRZ(x[..., 0], wires=wires[1:])


def test_any_encoding_works():
    x = np.random.default_rng(2).uniform(-1, 1, (3, 4))
    ours = engine.states(busy, torch.tensor(x), 4)
    for event, psi in zip(x, ours, strict=True):
        theirs = qml.matrix(lambda e=event: busy(e, range(4)), wire_order=range(4))()[:, 0]
        assert abs(np.vdot(theirs, psi.numpy())) == pytest.approx(1, abs=1e-12)


def gates_of(name, n, latent, layers=None):
    function, shape = ansatze.get(name, n, latent, layers)
    tape = qml.tape.make_qscript(function)(torch.zeros(shape), list(range(n)))
    return [(op.name, *op.wires) for op in tape.operations]


def test_trash_and_latent_are_joined_as_published():
    """2407.07961: CNOTs from trash to latent, RY on each, CNOTs from latent to trash; latent qubits are the first."""
    n, latent = 5, 2
    turns = [("RY", q) for q in range(n)]
    dense = gates_of("trash-latent", n, latent)
    assert dense == ([("CNOT", t, k) for t in (2, 3, 4) for k in (0, 1)] + turns
                     + [("CNOT", k, t) for t in (2, 3, 4) for k in (0, 1)])
    sparse = gates_of("trash-latent-sparse", n, latent)
    assert sparse == [("CNOT", 2, 0), ("CNOT", 3, 1), ("CNOT", 4, 0), *turns, ("CNOT", 0, 2), ("CNOT", 1, 3), ("CNOT", 0, 4)]


def test_trees_end_on_the_latent_qubits():
    for name in ("tree", "mera"):
        merged = [b for gate, *on in gates_of(name, 8, 2) if gate == "CNOT" for b in on]
        assert set(merged) == set(range(8))
    pairs = [tuple(on) for gate, *on in gates_of("tree", 8, 2) if gate == "CNOT"]
    assert pairs == [(0, 4), (1, 5), (2, 6), (3, 7), (0, 2), (1, 3)]


def test_large_fixed_gates_are_taken_apart():
    def circuit(w, wires):
        qml.QFT(wires=wires)
        qml.RX(w[0], wires=wires[0])

    program = compile_program(circuit, (1,), 7)
    assert max(len(s.wires) for s in program.steps if hasattr(s, "matrix")) <= 5
    rows = engine.kept_rows(program, torch.tensor([0.3], dtype=torch.float64), 6).numpy()
    theirs = qml.matrix(lambda: circuit([0.3], range(7)), wire_order=range(7))()[::2]
    phase = np.vdot(theirs, rows)
    np.testing.assert_allclose(rows, theirs * phase / abs(phase), atol=1e-12)


def test_an_identity_word_is_a_phase():
    def circuit(w, wires):
        qml.PauliRot(w[0], "II", wires=wires)
        qml.RX(w[1], wires=wires[1])

    rows = engine.kept_rows(compile_program(circuit, (2,), 2), torch.tensor([0.4, 0.7], dtype=torch.float64), 1)
    assert abs(complex(rows[0, 0])) == pytest.approx(np.cos(0.35))


def test_float32_agrees():
    x = torch.tensor(random_jets(0, 20, 6))
    w = torch.tensor(np.random.default_rng(0).uniform(-3, 3, (6, 3)))
    a, b = (scores_of(engine.kept_rows(compiled(ansatze.one_particle_one_qubit, (6, 3)), w.to(t), 2),
                          encodings.one_particle_one_qubit, x.to(t), 6) for t in (torch.float32, torch.float64))
    assert a.dtype == torch.float32
    torch.testing.assert_close(a.double(), b, atol=1e-5, rtol=0)


@pytest.mark.parametrize("n", [0, 15, 30])
def test_sizes_that_do_not_fit(n):
    with pytest.raises(InputError, match="1 to 14 qubits"):
        check_size(n)


def test_circuits_that_cannot_be_trained_are_refused():
    def measures(w, wires):
        qml.RX(w[0], wires=wires[0])
        qml.expval(qml.Z(0))

    def noisy(w, wires):
        qml.RX(w[0], wires=wires[0])
        qml.DepolarizingChannel(0.1, wires=wires[0])

    def idle(w, wires):
        qml.CNOT(wires=wires[:2])

    def outside(w, wires):
        qml.RX(w[0], wires=7)

    def too_many(w, wires):
        qml.RX(w[5], wires=wires[0])

    for circuit, sentence in ((measures, "measures contains a measurement"), (noisy, "DepolarizingChannel has no matrix"),
                              (idle, "nothing to train"), (outside, "acts on wire 7"),
                              (too_many, "cannot be run with weights")):
        with pytest.raises(InputError, match=sentence):
            compile_program(circuit, (1,), 2)
