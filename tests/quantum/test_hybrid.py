import json

import numpy as np
import pennylane as qml
import pytest
import torch

from qad import load, save
from qad.errors import InputError
from qad.metrics import auc
from qad.quantum import engine, export
from qad.quantum.hybrid import FrozenHybrid, HybridAutoencoder, WithoutCircuit, readings
from qad.representations import Standardise, Substructure

SMALL = {"hidden": (8,), "qubits": 4, "latent": 2, "layers": 2}
TRAINED = {**SMALL, "epochs": 60, "batch_size": 32, "learning_rate": 0.01, "patience": 60}


def table(n=300, seed=0):
    """Background on a curved two-dimensional surface in six dimensions."""
    rng = np.random.default_rng(seed)
    t = rng.normal(size=(n, 2))
    X = np.c_[t, t[:, :1] * t[:, 1:], np.tanh(2 * t), np.sin(t.sum(1))] + 0.05 * rng.normal(size=(n, 6))
    return X


@pytest.fixture(scope="module")
def fitted():
    return HybridAutoencoder(**TRAINED).fit(table())


def judge(model, theta):
    """⟨Z⟩ and ⟨X⟩ of the latent qubits and P(trash = 0) of one event, by PennyLane."""
    circuit, weights, latent = model.exported()

    @qml.qnode(qml.device("default.qubit", wires=circuit.n_qubits))
    def node():
        circuit.encoding(theta, range(circuit.n_qubits))
        circuit.ansatz(weights, range(circuit.n_qubits))
        return ([qml.expval(qml.Z(q)) for q in range(latent)], [qml.expval(qml.X(q)) for q in range(latent)],
                qml.probs(wires=range(latent, circuit.n_qubits)))

    Z, X, p = node()
    return np.r_[Z, X], p[0]


@pytest.mark.parametrize(("ansatz", "layers"), [("strongly-entangling", 2), ("1p1q", None), ("tree", None)])
def test_what_is_read_is_what_pennylane_reads(ansatz, layers):
    X = table(40)
    model = FrozenHybrid(**{**SMALL, "ansatz": ansatz, "layers": layers}, epochs=2).fit(X)
    theta = model.angles(X)
    assert theta.shape == (40, 4) and (theta > 0).all() and (theta < np.pi).all()
    circuit, weights, latent = model.exported()
    U = engine.kept_rows(circuit.program, torch.as_tensor(weights), 4)
    r, F = readings(circuit.states(torch.as_tensor(theta)) @ U.mT, latent)
    for i in range(6):
        expected, fidelity = judge(model, theta[i])
        np.testing.assert_allclose(r[i], expected, atol=1e-12)
        assert F[i] == pytest.approx(fidelity, abs=1e-12)
    # the decoder, by hand, on PennyLane's numbers: the score is what the docstring says
    expected, fidelity = judge(model, theta[7])
    back = model.decoder_(torch.as_tensor(expected)).detach().numpy()
    assert model.anomaly_score(X)[7] == pytest.approx(((back - X[7]) ** 2).mean() + model.beta * (1 - fidelity), abs=1e-12)


def test_it_is_exported(fitted):
    circuit, weights, latent = fitted.exported()
    assert export.openqasm3(circuit, weights, latent).startswith("OPENQASM 3")


def test_gradients_are_those_of_finite_differences():
    model = HybridAutoencoder(**SMALL)
    model._networks(6)
    circuit = model.circuit()
    x = torch.as_tensor(table(20))
    weights = model._start_weights(circuit).requires_grad_()

    def loss():
        error, infidelity = model._terms(x, model._unitary(circuit, weights))
        return (error + model.beta * infidelity).mean()

    everything = {"circuit": weights, **{f"encoder {k}": p for k, p in model.encoder_.named_parameters()},
                  **{f"decoder {k}": p for k, p in model.decoder_.named_parameters()}}
    loss().backward()
    for name, p in everything.items():
        flat, step = p.detach().view(-1), 1e-6  # shares memory with p
        for i in range(0, len(flat), max(1, len(flat) // 4)):
            was = float(flat[i])
            with torch.no_grad():
                flat[i] = was + step
                up = float(loss())
                flat[i] = was - step
                down = float(loss())
                flat[i] = was
            assert (up - down) / (2 * step) == pytest.approx(float(p.grad.view(-1)[i]), abs=1e-7), name
    assert float(weights.grad.abs().max()) > 1e-4  # the gradient reaches through the circuit, to the encoder too
    assert all(float(p.grad.abs().max()) > 1e-6 for p in model.encoder_.parameters())


def test_the_encoder_does_not_collapse(fitted):
    """With the infidelity alone one point for every event would be perfect; the reconstruction forbids it."""
    notes = fitted.diagnostics_
    assert min(notes["angle_spread"]) > 0.05 and notes["mean_squared_error"] < 0.2 * table().var(0).mean()
    collapsed = HybridAutoencoder(**TRAINED, beta=1e6).fit(table()).diagnostics_  # and this can fail
    assert max(collapsed["angle_spread"]) < 0.01 and collapsed["infidelity"] < 1e-4
    assert collapsed["mean_squared_error"] > 0.9 * table().var(0).mean()


def test_it_finds_what_leaves_the_surface(fitted):
    rng = np.random.default_rng(5)
    strange = rng.permuted(table(300, 7), axis=0)  # the same columns, their relations destroyed
    assert auc(fitted.anomaly_score(table(300, 8)), fitted.anomaly_score(strange)) > 0.8


def test_controls_differ_by_the_circuit_alone():
    """Same encoder and decoder at the start, same number of their parameters; frozen weights stay, trained ones move."""
    X = table(200)
    hybrid, frozen, none = (cls(**SMALL, epochs=3, random_state=3).fit(X)
                            for cls in (HybridAutoencoder, FrozenHybrid, WithoutCircuit))
    start = hybrid._start_weights(hybrid.circuit()).numpy()
    np.testing.assert_array_equal(frozen.weights_, start)
    assert np.abs(hybrid.weights_ - start).max() > 1e-3
    assert hybrid.parameters_ - start.size == frozen.parameters_ == none.parameters_
    fresh = [cls(**SMALL, random_state=3) for cls in (HybridAutoencoder, WithoutCircuit)]
    for model in fresh:
        model._networks(6)
    for a, b in zip(fresh[0].encoder_.parameters(), fresh[1].encoder_.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert none.diagnostics_["infidelity"] == 0 and none.diagnostics_["qubits"] == 0
    theta = torch.as_tensor(none.angles(X))
    error = (none.decoder_(torch.cos(theta)).detach().numpy() - X) ** 2
    np.testing.assert_allclose(none.anomaly_score(X), error.mean(1), atol=1e-12)
    with pytest.raises(InputError, match="no circuit"):
        none.exported()


def test_saved_loaded_and_resumed(tmp_path, monkeypatch, fitted):
    X = table()
    save(fitted, tmp_path / "model")
    np.testing.assert_array_equal(load(tmp_path / "model").anomaly_score(X), fitted.anomaly_score(X))
    monkeypatch.setenv("QAD_CHECKPOINT_SECONDS", "0")
    path = tmp_path / "training.safetensors"
    cut = HybridAutoencoder(**TRAINED, checkpoint=str(path))

    def stop(done, planned):
        if done == 8:
            raise KeyboardInterrupt

    cut.progress = stop
    with pytest.raises(KeyboardInterrupt):
        cut.fit(X)
    assert path.exists()
    with pytest.raises(InputError, match="other settings or events"):
        HybridAutoencoder(**TRAINED, beta=0.5, checkpoint=str(path)).fit(X)
    seen = []
    again = HybridAutoencoder(**TRAINED, checkpoint=str(path))
    again.progress = lambda done, planned: seen.append(done)
    again.fit(X)
    assert seen[0] <= 8 and not path.exists()
    np.testing.assert_array_equal(again.anomaly_score(X), fitted.anomaly_score(X))


def test_one_feature_and_jets(qcd_toys, top_toys):
    assert np.isfinite(HybridAutoencoder(epochs=2).fit(table()[:, :1]).anomaly_score(table()[:, :1])).all()
    chain = Standardise().fit(Substructure().transform(qcd_toys))
    jets, signal = (chain.transform(Substructure().transform(s)) for s in (qcd_toys, top_toys))
    model = HybridAutoencoder(epochs=20).fit(jets[:300], validation=jets[300:])
    assert auc(model.anomaly_score(jets[300:]), model.anomaly_score(signal)) > 0.7
    assert json.dumps(model.diagnostics_)


@pytest.mark.parametrize(("params", "sentence"), [
    ({"latent": 4}, "expected 1 to 3"), ({"latent": 0}, "whole number from 1"), ({"epochs": -1}, "epochs=-1"),
    ({"hidden": 5}, "a list"), ({"hidden": (0,)}, "positive layer sizes"),
    ({"beta": -1.0}, "at least 0"), ({"beta": float("nan")}, "at least 0"), ({"qubits": 99, "latent": 2}, "expected 1 to"),
    ({"ansatz": "strongly-entangeling"}, "did you mean")])
def test_mistakes_are_one_sentence(params, sentence):
    with pytest.raises(InputError, match=sentence):
        HybridAutoencoder(**{**SMALL, **params}).fit(table(20))
