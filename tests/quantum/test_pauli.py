"""Pauli features against PennyLane's expectation values, closed forms, and the identities that make them a feature map."""

import functools
from math import comb

import numpy as np
import pennylane as qml
import pytest
import torch

from qad import representations
from qad.errors import InputError
from qad.quantum import encodings, engine, pauli
from qad.quantum import fidelity_kernel as kernel
from qad.quantum.pauli import PauliFeatures, expectations, strings
from tests.conftest import toy_jets

TABULAR = [n for n in encodings.names() if encodings.get(n).takes == "tabular"]


def angles(n=5, features=4, seed=0):
    return np.random.default_rng(seed).uniform(0.1, 3, (n, features))


def judged(encode, X, words, n):
    """One expectation value after the other, on PennyLane's own device."""
    @qml.qnode(qml.device("default.qubit", wires=n))
    def circuit(x):
        encode(x, range(n))
        return [qml.expval(functools.reduce(lambda a, b: a @ b, [getattr(qml, f"Pauli{p}")(q) for q, p in zip(
            qubits, word, strict=True)])) for qubits, word in words]

    return np.array([[float(v) for v in circuit(torch.as_tensor(x))] for x in X])


@pytest.mark.parametrize("encoding", TABULAR)
@pytest.mark.parametrize("weight", [1, 2, "all"])
def test_against_pennylane(encoding, weight):
    X, found = angles(3), encodings.get(encoding)
    n = found.qubits((4,))
    weight = n if weight == "all" else weight
    given = PauliFeatures(encoding, weight=weight, bounds=None)
    features = given.fit_transform(X)
    words = strings(n, weight)
    assert features.shape == (3, sum(comb(n, k) * 3**k for k in range(1, weight + 1))) and features.dtype == np.float64
    np.testing.assert_allclose(features, judged(found.function, X, words, n), atol=1e-12)
    names = [" ".join(f"{p}{q}" for p, q in zip(word, qubits, strict=True)) for qubits, word in words]
    assert given.get_feature_names_out().tolist() == names and len(set(names)) == len(names)


def test_particles_against_pennylane():
    jets = representations.get("constituents", n_particles=4).transform(toy_jets(3, 2, prongs=3))
    features = PauliFeatures("1p1q", weight=2, scale=3.0).fit_transform(jets)
    encode = functools.partial(encodings.one_particle_one_qubit, scale=3.0)
    np.testing.assert_allclose(features, judged(encode, jets, strings(4, 2), 4), atol=1e-12)


@pytest.mark.parametrize("encoding", TABULAR)
def test_their_scalar_product_is_the_fidelity_kernel(encoding):
    """|⟨φ(x)|φ(y)⟩|² = 2^-n (1 + Σ_P ⟨P⟩_x ⟨P⟩_y), and so Σ_P ⟨P⟩² = 2^n - 1: nothing of a pure state is left out."""
    X, found = angles(8), encodings.get(encoding)
    n = found.qubits((4,))
    P = PauliFeatures(encoding, weight=n, bounds=None).fit_transform(X)
    assert P.shape == (8, 4**n - 1)
    np.testing.assert_allclose((1 + P @ P.T) / 2**n, kernel.gram(found.function, torch.as_tensor(X), None, n), atol=1e-12)


def test_linear_functions_of_the_density_matrix_are_linear_in_them():
    """Tr(Oρ) of any O by least squares without a rest; from two of three qubits only where O acts on no more."""
    X, n = angles(200, 3), 3
    rng = np.random.default_rng(1)
    O = rng.normal(size=(8, 8)) + 1j * rng.normal(size=(8, 8))
    O = O + O.conj().T
    psi = engine.states(encodings.re_uploading, torch.as_tensor(X), n).numpy()
    wanted = np.einsum("bi,ij,bj->b", psi.conj(), O, psi).real

    def rest(weight):
        P = np.c_[np.ones(200), PauliFeatures("re-uploading", weight=weight, bounds=None).fit_transform(X)]
        return np.abs(P @ np.linalg.lstsq(P, wanted, rcond=None)[0] - wanted).max()

    assert rest(3) < 1e-10 and rest(2) > 1e-2


def test_product_states_in_closed_form():
    """RX(x)|0⟩ has ⟨X⟩ = 0, ⟨Y⟩ = -sin x, ⟨Z⟩ = cos x, and products of those for strings."""
    X = angles(6, 3)
    given = PauliFeatures(weight=3, bounds=None).fit(X)
    one = {"X": 0 * X, "Y": -np.sin(X), "Z": np.cos(X)}
    for column, name in zip(given.transform(X).T, given.get_feature_names_out(), strict=True):
        wanted = np.prod([one[part[0]][:, int(part[1:])] for part in name.split()], 0)
        np.testing.assert_allclose(column, wanted, atol=1e-13, err_msg=name)


def test_smaller_weights_are_the_first_columns():
    X = angles(7, 4)
    P = [PauliFeatures("particle-embedding", weight=w, bounds=None).fit_transform(np.c_[X, X]) for w in (1, 2, 3)]
    np.testing.assert_allclose(P[2][:, : P[1].shape[1]], P[1], atol=1e-13)
    np.testing.assert_allclose(P[1][:, : P[0].shape[1]], P[0], atol=1e-13)


def test_single_precision_and_gradients():
    X = torch.tensor(angles(4, 3), requires_grad=True)
    found = expectations(engine.states(encodings.angle, X, 3), 3, 1)
    found[:, 2].sum().backward()  # ⟨Z⟩ of the first qubit
    np.testing.assert_allclose(X.grad[:, 0], -np.sin(X.detach().numpy()[:, 0]), atol=1e-13)
    single = expectations(engine.states(encodings.angle, X.detach().float(), 3), 3, 2)
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single[:, :9], found.detach(), atol=1e-6)


def test_bounds_are_learned_from_background():
    X = 5 + 10 * angles(50, 3)
    given = PauliFeatures(weight=1).fit(X)
    low, high = X.min(0), X.max(0)
    names = given.get_feature_names_out().tolist()
    found = given.transform(np.stack([low, high, (low + high) / 2, high + 7]))[:, [names.index(f"Z{q}") for q in range(3)]]
    np.testing.assert_allclose(found, [[1] * 3, [-1] * 3, [0] * 3, [-1] * 3], atol=1e-12)


def test_memory_is_bounded_by_chunks(monkeypatch):
    X = angles(23, 4)
    whole = PauliFeatures(bounds=None).fit_transform(X)
    monkeypatch.setattr(pauli, "MEMORY", 16 * 16 * 5)
    monkeypatch.setattr(pauli, "LEAST", 2)
    seen = []
    monkeypatch.setattr(pauli, "expectations", lambda psi, *rest: seen.append(len(psi)) or expectations(psi, *rest))
    np.testing.assert_allclose(PauliFeatures(bounds=None).fit_transform(X), whole, atol=1e-14)
    assert seen == [5, 5, 5, 5, 3]


@pytest.mark.parametrize(("settings", "sentence"), [
    ({"weight": 0}, "weight=0: expected a whole number from 1"), ({"weight": 5}, "at most 4, the number of qubits"),
    ({"encoding": "anlge"}, "did you mean 'angle'"), ({"encoding": "amplitude", "scale": 2.0}, "takes no scale"),
    ({"encoding": "1p1q"}, "takes numbers of shape .n, particles, 3."), ({"bounds": "fited"}, "expected 'fitted'"),
    ({"bounds": (0.0, 0.2)}, "outside the bounds"), ({"scale": 3.0}, "more than a full turn")])
def test_settings_are_checked(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        PauliFeatures(**settings).fit_transform(angles())


def test_wrong_events_are_one_sentence():
    with pytest.raises(InputError, match="262,143 Pauli strings on at most 9 of 9 qubits"):
        PauliFeatures(weight=9).fit(angles(5, 9))
    given = PauliFeatures().fit(angles())
    with pytest.raises(InputError, match="was fitted on events of shape"):
        given.transform(angles(5, 3))
    with pytest.raises(InputError, match="put flatten in front"):
        given.transform(np.ones((2, 4, 3)))
