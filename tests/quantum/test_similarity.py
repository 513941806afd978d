"""The fidelity of a re-uploading circuit as the similarity of contrastive learning, and the representation that learns so."""

import math

import numpy as np
import pennylane as qml
import pytest
import torch
from sklearn.base import clone

from qad import contrastive, load, pipeline, representations, save
from qad.errors import InputError
from qad.quantum import encodings
from qad.quantum.feature_autoencoder import FeatureAutoencoder
from qad.quantum.pauli import expectations
from qad.quantum.similarity import Fidelity, QuantumSimilarity, ReUploading
from tests.conftest import toy_jets

SMALL = {"qubits": 3, "n_particles": 12, "width": 16, "heads": 2, "blocks": 1, "feed": 16, "head": (16,), "batch_size": 64,
         "device": "cpu"}
#: With soft splittings a jet of few particles is another one; turned and moved it is the same.
TRAINED = SMALL | {"positives": ("rotate", "translate"), "epochs": 15, "patience": 15, "learning_rate": 5e-3}


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
        np.testing.assert_allclose(expectations(a, qubits, 1)[i], measured(z[i]), atol=1e-12)
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
        circuit.encoding(other, range(3))
        qml.adjoint(circuit.encoding)(z, range(3))
        return qml.probs(wires=range(3))

    with torch.no_grad():
        found = Fidelity(circuit).pairs(z[None], other[None])
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
        return Fidelity().matrix(a, b), Fidelity().pairs(a, b[:3]), expectations(a, 3, 1)

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


def as_vectors(psi):
    """Density matrices as real vectors, whose scalar product is Tr ρρ'."""
    rho = (psi[:, :, None] * psi[:, None, :].conj()).flatten(1)
    return torch.cat([rho.real, rho.imag], 1)


@pytest.mark.parametrize("loss", [*contrastive.TWO, *contrastive.THREE])
def test_a_fidelity_in_a_loss_is_the_cosine_of_density_matrices(loss):
    """All losses take it as they take any similarity: here the classical one, of other vectors."""
    function = {**contrastive.TWO, **contrastive.THREE}[loss]
    circuit = ReUploading(3, 3, seed=4).double()
    z = [angles(7, 3, i).requires_grad_() for i in range(3 if loss in contrastive.THREE else 2)]
    by_fidelity = function(*z, temperature=0.3, similarity=Fidelity(circuit))
    by_cosine = function(*(as_vectors(circuit(t)) for t in z), temperature=0.3)
    torch.testing.assert_close(by_fidelity, by_cosine)
    for a, b in zip(torch.autograd.grad(by_fidelity, z), torch.autograd.grad(by_cosine, z), strict=True):
        torch.testing.assert_close(a, b)


def test_of_one_qubit_it_is_the_cosine_on_the_bloch_sphere_at_twice_the_temperature():
    """|⟨a|b⟩|² = (1 + a·b)/2, and NT-Xent does not see the constant."""
    circuit = ReUploading(1, 3, seed=4).double()
    a, b = circuit(angles(8, 1)), circuit(angles(8, 1, 1))
    points = [expectations(psi, 1, 1) for psi in (a, b)]
    torch.testing.assert_close(contrastive.nt_xent(a, b, 0.2, Fidelity()), contrastive.nt_xent(*points, 0.4))


def test_supervised_contrastive_takes_it_too():
    circuit, z, classes = ReUploading(2, 2).double(), angles(9, 2), torch.arange(9) % 3
    torch.testing.assert_close(contrastive.supervised(z, classes, similarity=Fidelity(circuit)),
                               contrastive.supervised(as_vectors(circuit(z)), classes))


@pytest.fixture(scope="module")
def jets():
    return toy_jets(600, 3, prongs=3)


@pytest.fixture(scope="module")
def fitted(jets):
    return QuantumSimilarity(**TRAINED).fit(jets)


def test_is_found_by_name():
    found = representations.get("quantum-similarity", qubits=4)
    assert type(found) is QuantumSimilarity and found.gives == "tabular" and clone(found).get_params() == found.get_params()


def test_training_brings_views_together_and_keeps_jets_apart(fitted, jets):
    noted = fitted.diagnostics_
    assert noted["loss"] < noted["loss_untrained"] - 2
    assert noted["alignment"] < 0.1 * noted["alignment_untrained"]
    assert noted["uniformity"] < noted["uniformity_untrained"] - 0.5
    # jets that no step has seen: turned they stay what they are, others are others; untrained all are nearly one
    fresh = toy_jets(200, 77, prongs=3)
    untrained = QuantumSimilarity(**TRAINED | {"epochs": 0}).fit(jets)
    turned, other = ([f(m) for m in (fitted, untrained)] for f in (
        lambda m: m.turned_similarity(fresh, [0.5, 1.7, 3.0]).mean(), lambda m: m.similarity(fresh[:100], fresh[100:]).mean()))
    assert turned[0] > 0.998 > turned[1] and other[0] < 0.5 < 0.9 < other[1]


def test_what_is_minimised_is_the_loss_of_the_fidelities(fitted):
    z = [angles(6, 3, i).float() for i in range(2)]
    network = QuantumSimilarity(**SMALL)._encoder()
    by_hand = contrastive.nt_xent(*z, temperature=0.1, similarity=fitted._similarity(network))
    torch.testing.assert_close(QuantumSimilarity(**SMALL)._value(network, z), by_hand)
    circuit = network.circuit.weights
    gradient = torch.autograd.grad(QuantumSimilarity(**SMALL)._value(network, z), circuit)[0]
    assert float(gradient.abs().max()) > 1e-3  # the circuit is trained with the network
    assert not np.array_equal(fitted.network_.circuit.weights.detach(), ReUploading(3, 3, 0).weights.detach())


@torch.no_grad()
def test_alignment_and_uniformity_are_those_of_density_matrices(fitted, monkeypatch):
    monkeypatch.setattr(QuantumSimilarity, "_columns", lambda self, x: x)
    network = torch.nn.Identity()
    network.circuit = ReUploading(3, 2).double()
    a, b = angles(9, 3), angles(9, 3, 1)
    found = fitted._figures(network, lambda x, generator: [a, b], [a], lambda tensors: torch.zeros(()))
    first, second = (as_vectors(network.circuit(z)) for z in (a, b))
    assert found["alignment"] == pytest.approx(float(contrastive.alignment(first, second)))
    assert found["uniformity"] == pytest.approx(float(contrastive.uniformity(first)))


@pytest.mark.parametrize("give", QuantumSimilarity.GIVES)
def test_what_it_gives(give, fitted, jets, tmp_path):
    fitted.give = give
    few = jets[:20]
    array = fitted.transform(few)
    save(fitted, tmp_path / "m")
    np.testing.assert_array_equal(load(tmp_path / "m").transform(few), array)
    fitted.give = "angles"
    z = fitted.transform(few)
    assert z.shape == (20, 3) and z.dtype == np.float64 and (np.abs(z) < np.pi).all() and z.std(0).min() > 0.05
    if give == "angles":
        return

    @qml.qnode(qml.device("default.qubit", wires=3))
    def measured(x):
        made_by_hand(x, fitted.network_.circuit.weights.detach())
        return [qml.expval(P(q)) for q in range(3) for P in (qml.X, qml.Y, qml.Z)]

    assert array.shape == (20, 9)
    np.testing.assert_allclose(array[:5], [measured(x) for x in z[:5]], atol=1e-10)


def test_seeds(fitted, jets):
    short = SMALL | {"epochs": 2}
    a, b, c = (QuantumSimilarity(**short, random_state=seed).fit(jets[:100]).transform(jets[:9]) for seed in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert (a != c).all()


def test_a_killed_training_goes_on_with_the_same_bits(jets, tmp_path, monkeypatch):
    monkeypatch.setenv("QAD_CHECKPOINT_SECONDS", "0")
    settings = SMALL | {"epochs": 4}
    whole = QuantumSimilarity(**settings).fit(jets)

    def stop(done, planned):
        if done == 3:  # told of an epoch before it is written
            raise KeyboardInterrupt

    path = str(tmp_path / "c")
    monkeypatch.setattr(QuantumSimilarity, "progress", staticmethod(stop))
    with pytest.raises(KeyboardInterrupt):
        QuantumSimilarity(**settings, checkpoint=path).fit(jets)
    monkeypatch.setattr(QuantumSimilarity, "progress", None)
    resumed = QuantumSimilarity(**settings, checkpoint=path).fit(jets)
    np.testing.assert_array_equal(resumed.transform(jets[:9]), whole.transform(jets[:9]))
    torch.testing.assert_close(resumed.network_.circuit.weights, whole.network_.circuit.weights, rtol=0, atol=0)


def test_anomalous_views_are_pushed_away(jets):
    model = QuantumSimilarity(**TRAINED | {"anomalies": ("drop",), "loss": "anomalous-plus", "epochs": 8}).fit(jets)
    # -[s(z,z') - s(z,z*)]/T: -10 at the least, 0 where a view is as near as an anomaly
    assert model.diagnostics_["loss"] < -6 < -1 < model.diagnostics_["loss_untrained"]


@pytest.mark.parametrize("uploads", [1, 3])
def test_a_quantum_detector_sits_on_the_same_states(uploads, jets):
    """In one pipeline: what the detector encodes has the fidelities of the contrastive training."""
    embedding = QuantumSimilarity(**SMALL | {"uploads": uploads, "epochs": 2}).fit(jets)
    encoding = "angle" if uploads == 1 else embedding.encoding()
    z = embedding.transform(jets)
    detector = FeatureAutoencoder(encoding=encoding, bounds=None, epochs=20).fit(z)
    psi = detector.circuit().states(torch.as_tensor(detector.inputs(z[:40])))
    assert psi.shape == (40, 8)
    np.testing.assert_allclose(Fidelity().pairs(psi[:20], psi[20:]), embedding.similarity(jets[:20], jets[20:40]), atol=1e-10)
    score = detector.anomaly_score(z)
    assert np.isfinite(score).all() and score.mean() < detector.diagnostics_["loss_at_zero"]


def test_a_pipeline_of_both(jets, tmp_path):
    model = pipeline.fit("quantum-features", jets, [QuantumSimilarity(**SMALL | {"uploads": 1, "epochs": 2})])
    save(model, tmp_path / "m")
    np.testing.assert_array_equal(pipeline.anomaly_score(load(tmp_path / "m"), jets), pipeline.anomaly_score(model, jets))


@pytest.mark.parametrize(("wrong", "says"), [
    ({"qubits": 11}, "qubits=11: expected at most 10"), ({"qubits": 0}, "qubits=0"), ({"uploads": 0}, "uploads=0"),
    ({"uploads": 2.5}, "uploads=2.5"), ({"give": "paulis"}, "did you mean 'pauli'"), ({"loss": "cosine"}, "loss"),
    ({"head": "wide"}, "head='wide'"), ({"loss": "anomalous"}, "give anomalies"),
])
def test_wrong_settings_are_one_sentence(wrong, says, jets):
    with pytest.raises(InputError) as error:
        QuantumSimilarity(**SMALL | wrong).fit(jets)
    assert says in str(error.value)
