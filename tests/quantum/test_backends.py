"""The contract of every registered backend, over random circuits, against products of dense matrices."""

import re

import numpy as np
import pennylane as qml
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qad.errors import InputError
from qad.quantum import backends
from qad.quantum.circuit import Circuit
from tests.reference import dense

#: Settings under which each backend is exact; and those that are sampled only, with what gives their exact distribution.
EXACT = {"exact": [{}], "pennylane": [{}, {"device": "default.mixed"}, {"device": "lightning.qubit"}], "aer": [{}]}
SAMPLED = {"ibm": ({"machine": "fake_manila"}, ("aer", {"noise": "fake_manila", "optimization_level": 3, "tries": 4}))}


def random_circuit(seed, n):
    """Rotations of the data, then rotations and CNOTs in random places: a circuit, its weights, and its dense matrix."""
    rng = np.random.default_rng(seed)
    axes, pairs = rng.choice(list("XYZ"), (3, n)), [rng.choice(n, 2, replace=False).tolist() for _ in range(3)]
    gate = {"X": qml.RX, "Y": qml.RY, "Z": qml.RZ}

    def encoding(x, wires):
        for q, wire in enumerate(wires):
            gate[axes[0][q]](x[..., q], wires=wire)

    def ansatz(w, wires):
        for layer in range(2):
            for q, wire in enumerate(wires):
                gate[axes[1 + layer][q]](w[layer, q], wires=wire)
            for a, b in pairs:
                qml.CNOT(wires=[wires[a], wires[b]])

    def probabilities(x, w, latent):
        state = np.eye(2**n)[0].astype(complex)
        for q in range(n):
            state = dense.on_qubit(dense.rotation(axes[0][q], x[q]), q, n) @ state
        for layer in range(2):
            for q in range(n):
                state = dense.on_qubit(dense.rotation(axes[1 + layer][q], w[layer, q]), q, n) @ state
            for a, b in pairs:
                state = dense.cnot(a, b, n) @ state
        return (abs(state) ** 2).reshape(2**latent, -1).sum(0)

    shape = (2, n)
    return Circuit(encoding, ansatz, shape, n, (n,)), rng.uniform(-np.pi, np.pi, shape), probabilities


@pytest.mark.parametrize("name, options", [(n, o) for n in EXACT for o in EXACT[n]])
@settings(deadline=None, max_examples=6)
@given(seed=st.integers(0, 2**31), data=st.data())
def test_exact_ones_agree_with_dense_matrices(name, options, seed, data):
    n = data.draw(st.integers(2, 4))
    latent = data.draw(st.integers(0, n - 1))
    circuit, weights, reference = random_circuit(seed, n)
    X = np.random.default_rng(seed).uniform(0, np.pi, (3, n))
    truth = np.array([reference(x, weights, latent) for x in X])
    backend = backends.get(name, **options)
    bound, free = backend.compile(circuit, latent, weights), backend.compile(circuit, latent)
    np.testing.assert_allclose(bound.probabilities(X), truth, rtol=0, atol=1e-6)
    np.testing.assert_allclose(free.probabilities(X, weights), truth, rtol=0, atol=1e-6)
    np.testing.assert_allclose(bound.zeros(X), truth[:, 0], rtol=0, atol=1e-6)
    shots = 3000
    for found in (bound.probabilities(X, shots=shots, seed=seed), free.probabilities(X, weights, shots, seed + 1)):
        assert found.shape == truth.shape and np.allclose(found * shots, np.round(found * shots))
        assert (abs(found - truth) <= 5 * np.sqrt(np.maximum(truth * (1 - truth), 0) / shots) + 5 / shots).all()


@pytest.mark.parametrize("name", SAMPLED)
@settings(deadline=None, max_examples=4)
@given(seed=st.integers(0, 2**31), data=st.data())
def test_sampled_ones_agree_within_five_standard_errors(name, seed, data):
    pytest.importorskip("qiskit_ibm_runtime", reason="needs the extra 'ibm'")
    n = data.draw(st.integers(2, 4))
    latent = data.draw(st.integers(0, n - 1))
    circuit, weights, reference = random_circuit(seed, n)
    X = np.random.default_rng(seed).uniform(0, np.pi, (3, n))
    options, (other, theirs) = SAMPLED[name]
    shots = 3000
    for bound in (weights, None):
        compiled, judge = backends.get(name, **options), backends.get(other, **theirs)
        compiled, judge = (b.compile(circuit, latent, bound) for b in (compiled, judge))
        own = () if bound is not None else (weights,)
        found, truth = compiled.probabilities(X, *own, shots=shots, seed=seed), judge.probabilities(X, *own)
        assert found.shape == truth.shape and np.allclose(found * shots, np.round(found * shots))
        assert (abs(found - truth) <= 5 * np.sqrt(np.maximum(truth * (1 - truth), 0) / shots) + 5 / shots).all()
        ideal = np.array([reference(x, weights, latent) for x in X])
        assert abs(found - ideal).max() < 0.35  # noise is small: bits and columns are in their places


def test_every_backend_is_tested():
    assert set(backends.names()) == {*EXACT, *SAMPLED}


@pytest.mark.parametrize("name, options", [(n, o) for n in EXACT for o in EXACT[n]])
def test_contract(name, options):
    circuit, weights, _ = random_circuit(1, 3)
    X = np.random.default_rng(0).uniform(0, np.pi, (5, 3))
    backend = backends.get(name, **options)
    compiled = backend.compile(circuit, 1, weights)
    first = compiled.probabilities(X, shots=100, seed=3)
    np.testing.assert_array_equal(first, compiled.probabilities(X, shots=100, seed=3))
    assert (first != compiled.probabilities(X, shots=100, seed=4)).any()
    assert compiled.probabilities(X[:0]).shape == (0, 4) and compiled.zeros(X[:0]).shape == (0,)
    assert compiled.probabilities(X[:1]).shape == (1, 4)
    np.testing.assert_allclose(compiled.zeros(X, shots=20_000), compiled.probabilities(X)[:, 0], rtol=0, atol=0.02)
    for wrong in (0, 1.5, True):
        with pytest.raises(InputError, match="expected a whole number from 1"):
            compiled.probabilities(X, shots=wrong)
        with pytest.raises(InputError, match="expected a whole number from 1"):
            compiled.zeros(X, shots=wrong)
    for events in (X[0], X * np.nan):
        with pytest.raises(InputError, match="expected finite numbers, a row for each event"):
            compiled.probabilities(events)
    with pytest.raises(InputError):
        compiled.probabilities(X[:, :2])
    assert compiled.probabilities(X, shots=np.int64(10)).shape == (5, 4)
    with pytest.raises(InputError, match="weights were bound"):
        compiled.probabilities(X, weights)
    free = backend.compile(circuit, 1)
    with pytest.raises(InputError, match=r"type probabilities\(X, weights\)"):
        free.probabilities(X)
    with pytest.raises(InputError, match=r"weights of shape \(2, 2\)"):
        free.probabilities(X, weights[:, :2])
    with pytest.raises(InputError, match="latent=3"):
        backend.compile(circuit, 3, weights)


@pytest.mark.parametrize("name, options", [*((n, o) for n in EXACT for o in EXACT[n]), ("aer", {"noise": {"error_2q": 0.02}})])
def test_weights_for_each_event(name, options):
    circuit, weights, _ = random_circuit(2, 3)
    rng = np.random.default_rng(0)
    X, each = rng.uniform(0, np.pi, (6, 3)), np.stack([weights, weights + 0.3])[[0, 1, 1, 0, 1, 0]]
    free = backends.get(name, **options).compile(circuit, 1)
    together = free.probabilities(X, each)
    alone = np.concatenate([free.probabilities(x[None], w) for x, w in zip(X, each, strict=True)])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-9)
    np.testing.assert_allclose(free.zeros(X, each), alone[:, 0], rtol=0, atol=1e-9)


def test_names_and_options_are_checked():
    with pytest.raises(InputError, match="'fake_torino' is a machine: type  --backend aer --noise fake_torino"):
        backends.get("fake_torino")
    with pytest.raises(InputError, match="did you mean 'aer'"):
        backends.get("air")
    for name, options, words in (
            ("aer", {"shot": 3}, "backend 'aer': unknown option 'shot'"), ("exact", {"noize": 1}, "Known: device, dtype"),
            ("aer", {"tries": 0}, "tries=0: expected a whole number from 1"), ("aer", {"seed": -1}, "seed=-1"),
            ("aer", {"mitigation": "zne"}, "without noise: there is nothing to mitigate"),
            ("exact", {"device": "xyz"}, "device='xyz': expected cpu, or cuda"),
            ("pennylane", {"shots": 5}, "shots of a PennyLane device: leave it out"),
            ("pennylane", {"api_key": "SECRET"}, "option 'api_key' looks like a credential"),
            ("pennylane", {"colour": "SECRET"}, "cannot make the device 'default.qubit' with colour")):
        with pytest.raises(InputError, match=re.escape(words)) as said:
            backends.get(name, **options)
        assert "SECRET" not in str(said.value).replace("TypeError", "")
    with pytest.raises(InputError, match="expected float64 or float32"):
        backends.get("exact", dtype="float16")
    with pytest.raises(InputError, match=r"PennyLane cannot make the device 'default\.qubits'"):
        backends.get("pennylane", device="default.qubits")
    with pytest.raises(InputError, match="unknown mitigation 'reedout'; did you mean 'readout'"):
        backends.get("aer", mitigation="reedout")


def test_single_precision():
    circuit, weights, reference = random_circuit(5, 3)
    X = np.random.default_rng(0).uniform(0, np.pi, (4, 3))
    found = backends.get("exact", dtype="float32").compile(circuit, 1, torch.as_tensor(weights)).probabilities(X)
    np.testing.assert_allclose(found, [reference(x, weights, 1) for x in X], rtol=0, atol=1e-6)
