"""The exported circuit gives the engine's scores: PennyLane, SWAP test, Qiskit statevectors, Aer with shots, OpenQASM 3."""

import math
from functools import partial
from itertools import pairwise

import numpy as np
import pennylane as qml
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit, qasm3, transpile
from qiskit.quantum_info import Operator, Statevector
from qiskit_aer import AerSimulator
from qiskit_aer.primitives import SamplerV2

from qad.errors import InputError
from qad.quantum import ansatze, encodings, export
from qad.quantum.circuit import Circuit

seeds = st.integers(0, 2**31)


def entangling(x, wires):
    """Data in rotations of every kind, in products of features, and after entangling gates."""
    qml.Hadamard(wires[0])
    for q, wire in enumerate(wires):
        qml.Rot(x[..., q], x[..., q] * x[..., 0], -x[..., q], wires=wire)
        qml.RX(0.4, wires=wire)
    for a, b in pairwise(wires):
        qml.CNOT(wires=[a, b])
    qml.CRX(x[..., 0], wires=wires[:2])
    qml.adjoint(qml.RZ(2 * x[..., 1], wires=wires[1]), lazy=True)
    qml.IsingXX(x[..., 1], wires=wires[:2])
    qml.PauliRot(x[..., 0], "YX", wires=wires[:2])
    qml.ISWAP(wires=wires[:2])
    qml.ControlledPhaseShift(x[..., 1], wires=wires[1::-1])


def zoo(w, wires):
    """Gates of every kind: fixed, shared, controlled, on many qubits, taken apart or a matrix."""
    qml.Rot(w[0], w[1], w[2], wires=wires[1])
    qml.CRX(w[0] / 3, wires=[wires[-1], wires[0]])
    qml.IsingXY(w[3], wires=[wires[-1], wires[0]])
    qml.PauliRot(2 * w[2] + 1, "XY", wires=wires[:2])
    qml.MultiRZ(w[3] - w[1], wires=wires)
    qml.U3(w[1], w[2], w[3], wires=wires[-1])
    qml.adjoint(qml.S(wires[0]))
    qml.PhaseShift(w[0], wires=wires[0])
    qml.ISWAP(wires=wires[:2])
    qml.IsingZZ(-w[2], wires=wires[1::-1])
    qml.SX(wires[1])
    qml.QFT(wires)
    qml.QubitUnitary(qml.matrix(qml.CRot(0.1, 0.2, 0.3, wires=[0, 1])), wires[:2])
    qml.SingleExcitation(w[0], wires=wires[:2])


def curved(w, wires):
    """Angles that do not depend linearly on the weights."""
    qml.BasicEntanglerLayers(torch.sin(w) * w.sum(), wires)


def features(encoding, n):
    """The shape of one event on n qubits."""
    if encoding.takes == "particles":
        return n, 3
    return next((f,) for f in (2 * n, n) if encoding.qubits((f,)) == n)


ENCODINGS = {e.function.__name__: e for e in vars(encodings).values() if isinstance(e, encodings.Encoding)}
del ENCODINGS["amplitude"]  # no angles
ENCODINGS |= {"entangling": encodings.Encoding(entangling), "IQP": encodings.Encoding(qml.IQPEmbedding),
              "AngleEmbedding": encodings.Encoding(lambda x, wires: qml.AngleEmbedding(x, wires, rotation="Y"))}
ANSATZE = {name: a for name, a in vars(ansatze).items() if isinstance(a, ansatze.Ansatz)}
ANSATZE["zoo"] = ansatze.Ansatz(zoo, lambda n, latent, layers: (4,))


def build(seed, encoding, ansatz, n, latent=1, events=3):
    rng = np.random.default_rng(seed)
    data, trained = ENCODINGS[encoding], ANSATZE[ansatz]
    shape = trained.shape(n, latent, 2)
    function = partial(trained.function, latent=latent) if trained.knows_latent else trained.function
    X = rng.uniform(-0.8, 0.8, (events, *features(data, n)))
    return Circuit(data.function, function, shape, n), torch.tensor(X), torch.tensor(rng.uniform(-np.pi, np.pi, shape))


def scores(circuit, X, weights, latent):
    return (1 - (circuit.states(X) @ circuit.rows(weights, latent).mT).abs().square().sum(1)).numpy()


def of_statevector(circuit, trash):
    return 1 - Statevector(circuit.remove_final_measurements(inplace=False)).probabilities(list(trash))[0]


def of_text(text, names, rows, trash):
    """Scores of OpenQASM 3 text with its inputs bound by name."""
    pytest.importorskip("qiskit_qasm3_import")
    parsed = qasm3.loads(text)
    known = {p.name: p for p in parsed.parameters}
    assert set(known) == set(names)
    return [of_statevector(parsed.assign_parameters({known[k]: v for k, v in zip(names, row, strict=True)}), trash)
            for row in rows]


@settings(deadline=None, max_examples=30)
@given(seeds, st.sampled_from(sorted(ENCODINGS)), st.sampled_from(sorted(ANSATZE)), st.integers(2, 5), st.booleans(),
       st.booleans(), st.data())
def test_every_export_gives_the_engines_scores(seed, encoding, ansatz, n, bound, guessed, data):
    latent = data.draw(st.integers(int(ANSATZE[ansatz].knows_latent), n - 1))
    circuit, X, weights = build(seed, encoding, ansatz, n, latent)
    example = None if guessed else X[:1]
    ours = scores(circuit, X, weights, latent)
    np.testing.assert_allclose(1 - export.qnode(circuit, weights, latent)(X)[..., 0], ours, rtol=0, atol=1e-9)
    np.testing.assert_allclose(1 - export.swap_test(circuit, weights, latent)(X), ours, rtol=0, atol=1e-9)

    given_weights = weights if bound else None
    out = export.qiskit_circuit(circuit, given_weights, latent, example=example)
    rows = out.angles(X) if bound else out.angles(X, weights)
    assert rows.shape == (3, len(out.circuit.parameters)) and rows.dtype == np.float64
    found = [of_statevector(out.circuit.assign_parameters(row), out.trash) for row in rows]
    np.testing.assert_allclose(found, ours, rtol=0, atol=1e-9)

    text = export.openqasm3(circuit, given_weights, latent, example=example)
    names = [p.name.replace("[", "_").rstrip("]") for p in out.circuit.parameters]
    np.testing.assert_allclose(of_text(text, names, rows, out.trash), ours, rtol=0, atol=1e-9)


def test_one_event_and_shots():
    circuit, X, weights = build(0, "one_particle_one_qubit", "ONE_PARTICLE_ONE_QUBIT", 4, events=50)
    ours = scores(circuit, X, weights, 1)
    assert 1 - export.qnode(circuit, weights, 1)(X[0])[0].item() == pytest.approx(ours[0], rel=0, abs=1e-12)
    device = qml.device("default.qubit", wires=4, seed=1)
    counted = 1 - export.qnode(circuit, weights.numpy(), 1, device, shots=1000)(X.numpy())[..., 0].numpy()
    assert (abs(counted - ours) < 5 * np.sqrt(ours * (1 - ours) / 1000) + 1e-3).all()
    assert np.allclose(counted * 1000, np.round(counted * 1000)) and abs(counted - ours).max() > 1e-6


@pytest.mark.parametrize("latent", [1, 3])
def test_swap_test_is_wired_as_in_the_papers(latent):
    circuit, X, weights = build(1, "one_particle_one_qubit", "ONE_PARTICLE_ONE_QUBIT", 4)
    tape = qml.workflow.construct_tape(export.swap_test(circuit, weights, latent))(X[0])
    trash = 4 - latent
    assert len(tape.wires) == 4 + trash + 1
    assert [op.name for op in tape.operations].count("CSWAP") == trash


def test_aer_sampler_within_five_standard_errors():
    n, latent, shots = 4, 2, 4000
    circuit, X, weights = build(3, "one_particle_one_qubit", "STRONGLY_ENTANGLING", n, events=12)
    out = export.qiskit_circuit(circuit, weights, latent, measure=True)
    ready = transpile(out.circuit, AerSimulator(), optimization_level=1)
    assert [p.name for p in ready.parameters] == [p.name for p in out.circuit.parameters]
    data = SamplerV2(seed=7).run([(ready, out.angles(X))], shots=shots).result()[0].data.trash
    found = np.array([1 - data[i].get_counts().get("00", 0) / shots for i in range(len(X))])
    exact = scores(circuit, X, weights, latent)
    assert (abs(found - exact) < 5 * np.sqrt(exact * (1 - exact) / shots)).all()


def test_wire_q_is_qubit_q():
    """Basis state |1 0 0⟩: the first qubit, which Qiskit prints last; measured bit i is trash qubit i."""
    def first(x, wires):
        qml.RX(x[..., 0], wires=wires[0])

    circuit = Circuit(first, lambda w, wires: qml.RX(w[0], wires=wires[1]), (1,), 3)
    out = export.qiskit_circuit(circuit, [0.0], 0, measure=True)
    bound = out.circuit.assign_parameters(out.angles([[math.pi, 0, 0]])[0])
    assert Statevector(bound.remove_final_measurements(inplace=False)).probabilities_dict(decimals=9) == {"001": 1}
    assert SamplerV2(seed=1).run([bound], shots=5).result()[0].data.trash.get_counts() == {"001": 5}
    assert circuit.states(torch.tensor([[math.pi, 0, 0]], dtype=torch.float64)).abs()[0].argmax() == 0b100


def test_parameters_count_like_numbers():
    """Twelve angles: x[2] stands before x[10], and the angles are features' products, not features."""
    circuit, X, weights = build(4, "one_particle_one_qubit", "ALL_PAIRS", 6)
    out = export.qiskit_circuit(circuit, weights, 2)
    assert [p.name for p in out.circuit.parameters] == [f"x[{k}]" for k in range(12)]
    x, scale = X.numpy(), encodings.PUBLISHED_SCALE
    theirs = scale * x[:, :, :1] * x[:, :, 1:]
    np.testing.assert_allclose(out.angles(X), theirs.reshape(3, 12), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(out.angles(X[:1]), out.angles(X)[:1])
    free = export.qiskit_circuit(circuit).circuit.parameters
    assert [p.name for p in free] == [f"theta[{j}]" for j in range(6)] + [f"x[{k}]" for k in range(12)]


FIXED = {"Hadamard": qml.Hadamard, "X": qml.X, "Y": qml.Y, "Z": qml.Z, "S": qml.S, "T": qml.T, "SX": qml.SX, "CNOT": qml.CNOT,
         "CY": qml.CY, "CZ": qml.CZ, "CH": qml.CH, "SWAP": qml.SWAP, "ISWAP": qml.ISWAP, "Toffoli": qml.Toffoli,
         "CCZ": qml.CCZ, "CSWAP": qml.CSWAP, "ECR": qml.ECR, "SISWAP": qml.SISWAP,
         "sdg": lambda wires: qml.adjoint(qml.S(wires)), "tdg": lambda wires: qml.adjoint(qml.T(wires)),
         "sxdg": lambda wires: qml.adjoint(qml.SX(wires)), "QFT": qml.QFT,
         "MultiControlledX": lambda wires: qml.MultiControlledX(wires, control_values=[1, 0]),
         "QubitUnitary": lambda wires: qml.QubitUnitary(qml.matrix(qml.QFT(wires)), wires),
         "permutation": lambda wires: qml.Permute(wires[::-1], wires),
         "BasisState": lambda wires: qml.BasisState([1, 0, 1], wires)}
ANGLES = {"RX": 1, "RY": 1, "RZ": 1, "PhaseShift": 1, "U1": 1, "U2": 2, "U3": 3, "Rot": 3, "CRX": 1, "CRY": 1, "CRZ": 1,
          "CRot": 3, "ControlledPhaseShift": 1, "IsingXX": 1, "IsingYY": 1, "IsingZZ": 1, "IsingXY": 1, "PSWAP": 1,
          "MultiRZ": 1, "SingleExcitation": 1, "CPhaseShift01": 1}


def wires_of(name, order):
    number = {"QFT": 3, "MultiControlledX": 3, "QubitUnitary": 3, "permutation": 3, "BasisState": 3, "MultiRZ": 3}.get(name)
    kind = getattr(qml, name, None)
    known = number or (kind.num_wires if kind is not None and isinstance(kind.num_wires, int) else 1)
    return order[:known]


def check_gate(apply, n=3):
    """The exported gates are the gate's matrix, up to a phase."""
    out = QuantumCircuit(n)
    for op in qml.tape.make_qscript(apply)().operations:
        export._append(out, op, export._of_weights)
    theirs = qml.matrix(apply, wire_order=range(n))()
    ours = Operator(out.reverse_bits()).data
    phase = np.vdot(theirs, ours)
    np.testing.assert_allclose(ours, theirs * phase / abs(phase), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", FIXED)
def test_fixed_gates(name):
    if name == "BasisState":  # acts on |000⟩ only
        out = QuantumCircuit(3)
        export._append(out, qml.BasisState([1, 0, 1], wires=[2, 0, 1]), export._of_weights)
        assert Statevector(out).probabilities_dict(decimals=9) == {"110": 1}
        return
    for order in ([0, 1, 2], [2, 0, 1]):
        check_gate(lambda order=order: FIXED[name](wires=wires_of(name, order)))


@pytest.mark.parametrize("name", ANGLES)
def test_gates_with_angles(name):
    angles = np.random.default_rng(1).uniform(-3, 3, ANGLES[name])
    for order in ([0, 1, 2], [2, 0, 1]):
        check_gate(lambda order=order: getattr(qml, name)(*angles, wires=wires_of(name, order)))


def test_a_gate_with_only_a_matrix():
    class Odd(qml.operation.Operation):
        num_wires = 2

        @staticmethod
        def compute_matrix():
            return qml.matrix(qml.CRX(0.3, wires=[0, 1]))

    check_gate(lambda: Odd(wires=[2, 0]))


def test_text_of_a_trained_circuit():
    circuit, _, weights = build(5, "angle", "ONE_PARTICLE_ONE_QUBIT", 3)
    text = export.openqasm3(circuit, weights, 1)
    lines = text.splitlines()
    assert lines[0].startswith("OPENQASM 3")
    assert [line for line in lines if line.startswith("input")] == [f"input float[64] x_{k};" for k in range(3)]
    assert "bit[2] trash;" in lines and lines[-2:] == ["trash[0] = measure q[1];", "trash[1] = measure q[2];"]
    assert "measure" not in export.openqasm3(circuit, weights, 1, measure=False)
    free = export.openqasm3(circuit)
    assert "input float[64] theta_8;" in free and "rz(theta_8) q[2];" in free and "bit[3] trash;" in free
    shifted = Circuit(encodings.angle, lambda w, wires: qml.RZ(0.7 * (w[0] + 1) - 0.1 * w[1], wires=wires[0]), (2,), 2)
    assert "rz(0.7 + 0.7*theta_0 - 0.1*theta_1) q[0];" in export.openqasm3(shifted)
    mixed = Circuit(encodings.angle, lambda w, wires: qml.RZ(0.7 * w[0] - 0.1 * w[1] + w[2] / 3, wires=wires[0]), (3,), 2)
    texts = {export.openqasm3(mixed) for _ in range(200)}  # Qiskit's parameters are told apart by random numbers
    assert len(texts) == 1 and "rz(0.7*theta_0 - 0.1*theta_1 + 0.333333333333*theta_2) q[0];" in texts.pop()


def test_weights_that_enter_twice_or_not_at_all():
    def ansatz(w, wires):
        qml.RX(w[0] - w[2], wires=wires[0])
        qml.PauliRot(w[2], "II", wires=wires[:2])  # a global phase: no gate
        qml.CRY(w[2], wires=wires[:2])

    circuit = Circuit(encodings.angle, ansatz, (3,), 2)
    X, w = torch.tensor([[0.3, 1.2]], dtype=torch.float64), torch.tensor([0.5, 9.0, -0.7], dtype=torch.float64)
    out = export.qiskit_circuit(circuit, None, 1)
    assert [p.name for p in out.circuit.parameters] == ["theta[0]", "theta[2]", "x[0]", "x[1]"]
    row = out.angles(X, w)[0]
    np.testing.assert_allclose(row, [0.5, -0.7, 0.3, 1.2])
    found = of_statevector(out.circuit.assign_parameters(row), out.trash)
    assert found == pytest.approx(1 - export.qnode(circuit, w, 1)(X)[0, 0].item(), rel=0, abs=1e-12)


def test_curved_weights_need_numbers():
    circuit = Circuit(encodings.angle, curved, (2, 4), 4)
    with pytest.raises(InputError, match="not linear in its weights"):
        export.qiskit_circuit(circuit)
    X, w = torch.rand(2, 4, dtype=torch.float64), torch.rand(2, 4, dtype=torch.float64)
    out = export.qiskit_circuit(circuit, w, 2)
    found = [of_statevector(out.circuit.assign_parameters(row), out.trash) for row in out.angles(X)]
    np.testing.assert_allclose(found, scores(circuit, X, w, 2), rtol=0, atol=1e-12)


def test_an_event_of_another_shape_needs_an_example():
    def pairs(x, wires):
        for q, wire in enumerate(wires):
            qml.RY(x[..., 0, q, 5], wires=wire)

    circuit = Circuit(pairs, ansatze.all_pairs, (2,), 2)
    weights, X = torch.ones(2, dtype=torch.float64), torch.rand(4, 1, 2, 6, dtype=torch.float64)
    with pytest.raises(InputError, match="give a few events: example="):
        export.qiskit_circuit(circuit, weights)
    for example in (X[:1], X.numpy()):
        np.testing.assert_array_equal(export.qiskit_circuit(circuit, weights, example=example).angles(X), X[:, 0, :, 5])
    assert "x_1" in export.openqasm3(circuit, weights, example=X)
    with pytest.raises(InputError, match=r"no gate depends on example of shape \(1, 2, 6\)"):
        export.qiskit_circuit(circuit, weights, example=X[0])


@pytest.mark.parametrize("prepare", [lambda x, wires: qml.AmplitudeEmbedding(x, wires, normalize=True),
                                     lambda x, wires: qml.AmplitudeEmbedding(x, wires, normalize=True, pad_with=0.1),
                                     lambda x, wires: qml.StatePrep(x, wires, normalize=True)])
def test_state_preparation_is_refused(prepare):
    with pytest.raises(InputError, match=r"has no rotation angles .* qad\.quantum\.export\.qnode"):
        export.qiskit_circuit(Circuit(prepare, ansatze.all_pairs, (3,), 3))


def test_what_a_user_may_get_wrong():
    circuit, X, weights = build(6, "one_particle_one_qubit", "ONE_PARTICLE_ONE_QUBIT", 3)
    for latent in (-1, 3):
        for function in (export.qnode, export.swap_test, export.qiskit_circuit, export.openqasm3):
            with pytest.raises(InputError, match=f"latent={latent}: expected 0 to 2"):
                function(circuit, weights, latent)
    for function in (export.qnode, export.qiskit_circuit):
        with pytest.raises(InputError, match=r"weights of shape \(3,\): this circuit expects \(3, 3\)"):
            function(circuit, weights[0], 1)
    free, bound = export.qiskit_circuit(circuit), export.qiskit_circuit(circuit, weights)
    with pytest.raises(InputError, match=r"expected angles\(X, weights\)"):
        free.angles(X)
    with pytest.raises(InputError, match=r"weights of shape \(2,\): this circuit expects"):
        free.angles(X, [1.0, 2.0])
    for wrong in (X[0], X[0, 0]):
        with pytest.raises(InputError, match=r"X\[None\] for one event"):
            bound.angles(wrong)
