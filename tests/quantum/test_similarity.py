"""The fidelity of a re-uploading circuit as the similarity of contrastive learning."""

import math

import numpy as np
import pennylane as qml
import pytest
import torch

from qad.errors import InputError
from qad.quantum import encodings
from qad.quantum.similarity import Fidelity, ReUploading, bloch


def angles(n, qubits, seed=0):
    return math.pi * (2 * torch.rand(n, qubits, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 1)


def made_by_hand(z, weights):
    """The circuit's gates once more, in PennyLane's words alone."""
    qubits = len(z)
    for layer in range(len(weights) + 1):
        for q in range(qubits):
            qml.RX(float(z[q]), wires=q)
        if layer < len(weights):
            for q in range(qubits):
                qml.RZ(float(weights[layer, q, 0]), wires=q)
                qml.RY(float(weights[layer, q, 1]), wires=q)
                qml.RZ(float(weights[layer, q, 2]), wires=q)
            ring = [(q, (q + 1) % qubits) for q in range(qubits)]
            for pair in ring if qubits > 2 else ring[:1] if qubits > 1 else []:
                qml.CNOT(wires=pair)


@pytest.mark.parametrize(("qubits", "uploads"), [(1, 3), (2, 2), (3, 4), (4, 1), (5, 3)])
def test_states_and_fidelities_are_pennylanes(qubits, uploads):
    circuit = ReUploading(qubits, uploads, seed=3).double()
    z, other = angles(4, qubits), angles(4, qubits, 1)
    w = circuit.weights.detach()
    device = qml.device("default.qubit", wires=qubits)

    @qml.qnode(device)
    def state(z):
        made_by_hand(z, w)
        return qml.state()

    @qml.qnode(device)
    def measured(z):
        made_by_hand(z, w)
        return [qml.expval(P(q)) for q in range(qubits) for P in (qml.X, qml.Y, qml.Z)]

    with torch.no_grad():
        a, b = circuit(z), circuit(other)
    assert a.dtype == torch.complex128 and circuit.float()(z.float()).dtype == torch.complex64
    for i in range(4):  # up to a phase
        assert abs(np.vdot(state(z[i]), a[i].numpy())) == pytest.approx(1, abs=1e-12)
        np.testing.assert_allclose(bloch(a)[i], measured(z[i]), atol=1e-12)
    by_pennylane = np.array([[float(qml.math.fidelity_statevector(state(z[i]), state(other[j]))) for j in range(4)]
                             for i in range(4)])
    found = Fidelity().matrix(a, b)
    np.testing.assert_allclose(found, by_pennylane, atol=1e-10)
    np.testing.assert_allclose(Fidelity().pairs(a, b), np.diag(by_pennylane), atol=1e-10)


def test_a_fidelity_is_measured_by_the_circuit_and_its_inverse():
    """|⟨φ(z)|φ(z')⟩|² is the probability of |0…0⟩ after V(z') and V(z)†: what a quantum computer would count."""
    circuit = ReUploading(3, 3, seed=1).double()
    z, other = angles(2, 3)

    @qml.qnode(qml.device("default.qubit", wires=3))
    def inverted():
        circuit.encoding()(other, range(3))
        qml.adjoint(circuit.encoding())(z, range(3))
        return qml.probs(wires=range(3))

    with torch.no_grad():
        found = Fidelity().pairs(circuit(z[None]), circuit(other[None]))
        assert float(found) == pytest.approx(float(inverted()[0]), abs=1e-10)


def test_a_fidelity_is_one_on_itself_symmetric_and_between_zero_and_one():
    circuit = ReUploading(4).double()
    with torch.no_grad():
        a, b = circuit(angles(30, 4)), circuit(angles(20, 4, 1))
    s = Fidelity()
    matrix = s.matrix(a, b)
    assert matrix.shape == (30, 20) and float(matrix.min()) >= 0 and float(matrix.max()) <= 1 + 1e-12
    torch.testing.assert_close(matrix, s.matrix(b, a).mT)
    torch.testing.assert_close(s.pairs(a, a), torch.ones(30, dtype=torch.float64))
    torch.testing.assert_close(s.pairs(a[:20], b), matrix[:20].diagonal())
    assert matrix.std() > 0.01  # and is no constant


def test_one_upload_is_the_angle_encoding_and_a_product_of_cosines():
    circuit, z, other = ReUploading(4, 1).double(), angles(6, 4), angles(6, 4, 1)
    assert sum(p.numel() for p in circuit.parameters()) == 0
    torch.testing.assert_close(Fidelity().pairs(circuit(z), circuit(other)), torch.cos((z - other) / 2).square().prod(1))
    whole_turn = circuit(z + 2 * math.pi)
    torch.testing.assert_close(Fidelity().pairs(circuit(z), whole_turn), torch.ones(6, dtype=torch.float64))


@pytest.mark.parametrize("uploads", [1, 3])
def test_gradients_are_finite_differences(uploads):
    circuit = ReUploading(3, uploads, seed=2).double()
    z, other = angles(3, 3).requires_grad_(), angles(4, 3, 1).requires_grad_()
    weights = circuit.weights.detach().clone().requires_grad_()

    def of(z, other, w):
        a, b = (torch.func.functional_call(circuit, {"weights": w}, t) for t in (z, other))
        return Fidelity().matrix(a, b), Fidelity().pairs(a, b[:3]), bloch(a)

    assert torch.autograd.gradcheck(of, (z, other, weights))


def test_gradients_are_finite_where_states_are_equal_or_orthogonal():
    circuit = ReUploading(2, 1).double()
    z = torch.zeros(2, 2, dtype=torch.float64, requires_grad=True)
    other = torch.tensor([[0.0, 0.0], [math.pi, 0.0]], dtype=torch.float64, requires_grad=True)
    Fidelity().matrix(circuit(z), circuit(other)).sum().backward()
    assert torch.isfinite(z.grad).all() and torch.isfinite(other.grad).all()


def test_events_are_treated_one_by_one_and_weights_come_from_the_seed():
    circuit = ReUploading(4, 3, seed=5).double()
    z = angles(9, 4)
    torch.testing.assert_close(torch.cat([circuit(z[i : i + 1]) for i in range(9)]), circuit(z))
    assert torch.equal(ReUploading(4, 3, seed=5).weights, ReUploading(4, 3, seed=5).weights)
    assert not torch.equal(ReUploading(4, 3, seed=5).weights, ReUploading(4, 3, seed=6).weights)
    assert circuit.weights.shape == encodings.get("re-uploading").weights(4)


def test_wrong_circuits_are_one_sentence():
    for wrong, says in (({"qubits": 11}, "qubits=11: expected at most 10"), ({"qubits": 0}, "qubits=0"),
                        ({"qubits": 3, "uploads": 0}, "uploads=0")):
        with pytest.raises(InputError, match=says):
            ReUploading(**wrong)
    with pytest.raises(InputError, match="one for each qubit"):
        ReUploading(3)(torch.zeros(5, 4))
