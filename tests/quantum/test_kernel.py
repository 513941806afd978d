"""The fidelity kernel and its detectors against PennyLane, Qiskit, scikit-learn and identities that must hold exactly."""

from functools import partial

import numpy as np
import pennylane as qml
import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.quantum_info import Statevector
from sklearn import cluster, svm

from qad import detector
from qad.errors import InputError
from qad.quantum import encodings
from qad.quantum import fidelity_kernel as kernel
from qad.quantum.kernel_machine import distances, kernel_k_means

TABULAR = [n for n in encodings.names() if encodings.get(n).takes == "tabular"]


def events(encoding, features=4, n=6, seed=0):
    found = encodings.get(encoding)
    X = torch.as_tensor(np.random.default_rng(seed).uniform(0.1, 3, (n, features)))
    return found.function, X, found.qubits((features,))


@pytest.mark.parametrize("encoding", TABULAR)
def test_gram_against_pennylane_circuits(encoding):
    """A circuit per pair, φ(x) and then φ(y) undone: slow and obviously right."""
    encode, X, n = events(encoding)
    _, Y, _ = events(encoding, n=3, seed=1)

    @qml.qnode(qml.device("default.qubit", wires=n))
    def pair(x, y):
        encode(torch.as_tensor(x), range(n))
        qml.adjoint(encode)(torch.as_tensor(y), range(n))
        return qml.probs(wires=range(n))

    if encoding == "amplitude":  # a prepared state cannot be undone
        unit = [A / np.linalg.norm(A, axis=1, keepdims=True) for A in (X.numpy(), Y.numpy())]
        square, across = (unit[0] @ unit[0].T) ** 2, (unit[0] @ unit[1].T) ** 2
    else:
        square = qml.kernels.square_kernel_matrix(X.numpy(), lambda x, y: pair(x, y)[0])
        across = qml.kernels.kernel_matrix(X.numpy(), Y.numpy(), lambda x, y: pair(x, y)[0])
    np.testing.assert_allclose(kernel.gram(encode, X, None, n), square, rtol=0, atol=1e-12)
    np.testing.assert_allclose(kernel.gram(encode, X, Y, n), across, rtol=0, atol=1e-12)


@pytest.mark.parametrize("features", [1, 2, 5, 6])
def test_dense_kernel_against_qiskit(features):
    """The published circuit, with Qiskit's U; of an odd number of features the last stands with a zero."""
    _, X, n = events("dense-kernel", features)
    psi = kernel.encoded(partial(encodings.dense_kernel, repeats=2), X, n)
    for x, found in zip(X.numpy(), psi, strict=True):
        pairs = np.pad(x, (0, features % 2)).reshape(-1, 2)
        circuit = QuantumCircuit(n)
        for _ in range(2):
            for q, (a, b) in enumerate(pairs):
                circuit.u(np.pi / 2, a, b, q)
            for q in range(n - 1):
                circuit.cx(q, q + 1)
            for q, (a, b) in enumerate(pairs):
                circuit.u(a, b, 0, q)
        theirs = Statevector(circuit.reverse_bits()).data  # Qiskit's qubit 0 is the least significant bit
        assert abs(np.vdot(theirs, found.numpy())) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("encoding", TABULAR)
def test_a_kernel_is_symmetric_positive_and_one_on_the_diagonal(encoding):
    encode, X, n = events(encoding, features=6, n=40)
    K = kernel.gram(encode, X, None, n).numpy()
    np.testing.assert_array_equal(K, K.T)
    np.testing.assert_array_equal(K.diagonal(), 1)
    assert K.min() >= 0 and K.max() <= 1 + 1e-12 and np.linalg.eigvalsh(K)[0] > -1e-10
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(kernel.gram(encode, X[order], None, n), K[order][:, order], atol=1e-14)


def test_chunks_do_not_matter():
    encode, X, n = events("dense-kernel", features=6, n=50)
    references, coefficients = kernel.encoded(encode, X[:9], n), torch.randn(9, 2, dtype=torch.float64)
    small = list(kernel.rows(encode, X, references, n, memory=4096))
    assert len(small) > 3 and all(len(part) * 9 * 16 <= 4096 for part in small)
    torch.testing.assert_close(torch.cat(small), kernel.gram(encode, X, X[:9], n), atol=1e-14, rtol=0)
    torch.testing.assert_close(kernel.weighted(encode, X, references, coefficients, n, memory=4096),
                               kernel.gram(encode, X, X[:9], n) @ coefficients, atol=1e-13, rtol=0)


def test_a_weighted_sum_of_kernels_is_an_expectation_value():
    """Σ c_i k(x_i, x) = ⟨φ|O|φ⟩, O = Σ c_i |φ_i⟩⟨φ_i|."""
    encode, X, n = events("dense-kernel", features=6, n=30)
    psi, c = kernel.encoded(encode, X, n), torch.linspace(-1, 2, 12, dtype=torch.float64)
    O = torch.einsum("i,ia,ib->ab", c.to(psi.dtype), psi[:12], psi[:12].conj())
    expected = torch.einsum("na,ab,nb->n", psi.conj(), O, psi).real
    torch.testing.assert_close(kernel.weighted(encode, X, psi[:12], c[:, None], n)[:, 0], expected, atol=1e-12, rtol=0)


def background(n=300, features=6, seed=0):
    return np.random.default_rng(seed).normal(size=(n, features))


def test_one_class_svm_against_sklearn():
    X, test = background(), background(50, seed=1)
    ours = detector.get("quantum-one-class-svm", nu=0.1, n_references=1000).fit(X)
    encode, n = ours.encoder()
    angles = torch.as_tensor(ours.inputs(X))
    theirs = svm.OneClassSVM(kernel="precomputed", nu=0.1).fit(kernel.gram(encode, angles, None, n).numpy())
    K = kernel.gram(encode, torch.as_tensor(ours.inputs(test)), angles, n).numpy()
    np.testing.assert_allclose(ours.anomaly_score(test), -theirs.decision_function(K), atol=1e-10)
    assert len(ours.references_) == len(theirs.support_) < 300 and ours.coefficients_.shape == (len(theirs.support_), 1)


def test_k_means_are_distances_to_mean_states():
    """With the density matrices written out as vectors, scikit-learn's k-means finds the same clusters and distances."""
    two = np.concatenate([background(60, 4) * 0.2 - 2, background(40, 4, 1) * 0.2 + 2])
    ours = detector.get("quantum-kmeans", encoding="angle").fit(two)
    encode, n = ours.encoder()
    psi = kernel.encoded(encode, torch.as_tensor(ours.inputs(two)), n).numpy()
    rho = np.einsum("na,nb->nab", psi, psi.conj()).reshape(len(psi), -1)
    flat = np.concatenate([rho.real, rho.imag], 1)
    theirs = cluster.KMeans(2, n_init=10, random_state=0).fit(flat)
    np.testing.assert_allclose(ours.anomaly_score(two), theirs.transform(flat).min(1) ** 2, atol=1e-10)
    assert sorted(np.bincount(theirs.labels_)) == [40, 60] == sorted((ours.coefficients_ > 0).sum(0))


def test_one_cluster_is_a_kernel_density():
    X, test = background(), background(40, seed=3)
    ours = detector.get("quantum-kmeans", n_clusters=1).fit(X)
    encode, n = ours.encoder()
    density = kernel.gram(encode, torch.as_tensor(ours.inputs(test)), torch.as_tensor(ours.inputs(X)), n).numpy().mean(1)
    score = ours.anomaly_score(test)
    np.testing.assert_allclose(score - score[0], -2 * (density - density[0]), atol=1e-12)


def test_more_centres_are_nearer_and_copies_need_no_care():
    K = kernel.gram(encodings.angle, torch.as_tensor(background(80, 3)), None, 3).numpy()
    inertia = [distances(K, kernel_k_means(K, k, 10, np.random.default_rng(0))).min(1).mean() for k in (1, 2, 4, 80)]
    assert inertia[0] > inertia[1] > inertia[2] > inertia[3] and inertia[3] == pytest.approx(0, abs=1e-12)
    shares = kernel_k_means(np.ones((5, 5)), 3, 2, np.random.default_rng(0))
    np.testing.assert_allclose(shares.sum(0), 1)


@pytest.mark.parametrize("name", ["quantum-one-class-svm", "quantum-kmeans"])
def test_settings(name):
    X = background()
    few = detector.get(name, n_references=50).fit(X)
    assert len(few.references_) <= 50 and few.diagnostics_["qubits"] == 3
    fixed = detector.get(name, bounds=[-6, 6]).fit(X)
    np.testing.assert_allclose(fixed.inputs(np.full((1, 6), -6.0)), 0)
    np.testing.assert_allclose(fixed.inputs(np.full((1, 6), 6.0)), np.pi)
    with pytest.raises(InputError, match="outside the bounds"):
        fixed.anomaly_score(np.full((1, 6), 7.0))
    assert np.isfinite(detector.get(name, encoding="amplitude").fit(X).anomaly_score(X)).all()


@pytest.mark.parametrize(("name", "params", "sentence"), [
    ("quantum-one-class-svm", {"nu": 0}, "nu=0"),
    ("quantum-one-class-svm", {"n_references": 1}, "n_references=1"),
    ("quantum-one-class-svm", {"encoding": "1p1q"}, "takes a table"),
    ("quantum-one-class-svm", {"encoding": "amplitude", "scale": 2.0}, "takes no scale"),
    ("quantum-one-class-svm", {"encoding": "dense-kernal"}, "did you mean 'dense-kernel'"),
    ("quantum-one-class-svm", {"bounds": "fited"}, "expected 'fitted'"),
    ("quantum-kmeans", {"n_clusters": 0}, "n_clusters=0"),
    ("quantum-kmeans", {"n_init": 0}, "n_init=0"),
])
def test_what_a_user_may_get_wrong(name, params, sentence):
    with pytest.raises(InputError, match=sentence):
        detector.get(name, **params).fit(background(20))


def test_reference_states_of_another_size_are_one_sentence():
    encode, X, n = events("angle")
    with pytest.raises(InputError, match=r"expected \(events, 16\)"):
        next(kernel.rows(encode, X, torch.ones(3, 8, dtype=torch.complex128), n))
