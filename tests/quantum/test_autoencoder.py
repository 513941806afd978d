import warnings
from functools import partial

import numpy as np
import pennylane as qml
import pytest
import torch
from qiskit.quantum_info import Statevector
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from qad import load, save
from qad.errors import DeadParameterWarning, DirectionWarning, InputError
from qad.metrics import auc
from qad.quantum import encodings, engine, export
from qad.quantum.autoencoder import QuantumAutoencoder
from qad.quantum.controls import CeilingUnitary, RandomCircuit, UntrainedCircuit
from qad.quantum.feature_autoencoder import FeatureAutoencoder
from qad.quantum.optimizers import OPTIMIZERS
from qad.representations.constituents import Constituents
from qad.training import Checkpoint


@pytest.fixture(scope="module")
def jets(qcd_toys, top_toys):
    return Constituents(5).transform(qcd_toys), Constituents(5).transform(top_toys)


def test_training_lowers_the_loss_to_what_the_circuit_can_reach(jets):
    trained = QuantumAutoencoder(latent=1).fit(jets[0])
    random = RandomCircuit(latent=1).fit(jets[0])
    notes = trained.diagnostics_
    assert notes["loss"] < random.diagnostics_["loss"]
    assert notes["loss"] <= notes["loss_at_zero"] + 1e-6
    assert notes["distance_to_ceiling"] >= -1e-12
    assert notes["loss"] == pytest.approx(trained.anomaly_score(jets[0]).mean())
    history = notes["history"]["train"]
    assert min(history) == pytest.approx(notes["loss"])


def test_the_ceiling_is_reached_by_its_control(jets):
    ceiling = CeilingUnitary(latent=2).fit(jets[0])
    assert ceiling.diagnostics_["distance_to_ceiling"] == pytest.approx(0, abs=1e-12)
    assert ceiling.anomaly_score(jets[0]).mean() == pytest.approx(1 - ceiling.ceiling_)


def test_published_ansatz_has_two_effective_parameters_per_trash_qubit(jets):
    """Rotations act last and locally: 3n parameters, 2 per trash qubit matter (a fact of arXiv:2502.17301's circuit)."""
    for latent in (1, 2, 3):
        fitted = RandomCircuit(latent=latent).fit(jets[0])
        assert fitted.parameters_ == 15 and fitted.effective_parameters_ == 2 * (5 - latent)


def test_one_trash_qubit_of_all_pairs_is_independent_of_its_weights():
    """arXiv:2112.04958's circuit with one trash qubit scores ½ - c(w) ∏ cos x_i: the weights never change the order.

    Pulled back through the CNOTs on all pairs of four qubits, Z of the last becomes Z_2 Z_3: the product has two factors.
    """
    x = np.random.default_rng(0).uniform(0, 1.5, (200, 4, 3)) * [1, 0, 1]
    x[..., 0] = 1  # angles are Δφ alone: RX encoding

    def order(seed):
        scores = RandomCircuit(latent=3, ansatz="all-pairs", scale=1.0, random_state=seed).fit(x).anomaly_score(x)
        return np.abs(scores - 0.5)

    expected = np.abs(np.prod(np.cos(x[:, 2:, 2]), axis=1))
    for seed in range(3):
        correlation = np.corrcoef(order(seed), expected)[0, 1]
        assert correlation == pytest.approx(1, abs=1e-9)


def test_scale_multiplies_the_angles(jets):
    a = QuantumAutoencoder(latent=1, scale=3.0, epochs=5).fit(jets[0])
    b = QuantumAutoencoder(latent=1, scale=1.0, epochs=5).fit(jets[0] * [3, 1, 1])
    np.testing.assert_allclose(a.anomaly_score(jets[1]), b.anomaly_score(jets[1] * [3, 1, 1]), atol=1e-10)
    c = QuantumAutoencoder(latent=1, scale=1.0, epochs=5).fit(jets[0])
    assert not np.allclose(a.anomaly_score(jets[1]), c.anomaly_score(jets[1]))


def test_random_circuits_differ_by_seed_and_the_untrained_one_is_zero(jets):
    scores = [RandomCircuit(latent=1, random_state=s).fit(jets[0]).anomaly_score(jets[1]) for s in (0, 1)]
    assert not np.allclose(*scores)
    assert (UntrainedCircuit(latent=1).fit(jets[0]).weights_ == 0).all()


def test_it_finds_tops_and_inverts_on_them(jets):
    """What the published kind of circuit does, on toys: distance from |0…0⟩, so the broader class looks anomalous."""
    a, b = jets
    for cls in (QuantumAutoencoder, UntrainedCircuit):
        forward, backward = cls(latent=2).fit(a), cls(latent=2).fit(b)
        assert auc(forward.anomaly_score(a), forward.anomaly_score(b)) > 0.8
        assert auc(backward.anomaly_score(b), backward.anomaly_score(a)) < 0.5


SLOW_STEPS = {"gradient-descent": 0.5, "qbang": 0.02, "qn-spsa": 0.1, "momentum-natural-gradient": 0.02}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimiser_trains_it_and_repeats_itself(jets, optimizer):
    options = {"optimizer_options": {"metric_events": 50}} if optimizer not in ("adam", "gradient-descent") else {}
    def fitted(epochs):
        return QuantumAutoencoder(latent=1, optimizer=optimizer, epochs=epochs, patience=100, **options,
                                  learning_rate=SLOW_STEPS.get(optimizer, 0.1)).fit(jets[0][:100])

    first, last, again = fitted(1), fitted(25), fitted(25)
    assert last.diagnostics_["loss"] < 0.9 * first.diagnostics_["loss"]
    np.testing.assert_array_equal(last.weights_, again.weights_)


@pytest.mark.parametrize("optimizer", ["adam", "natural-gradient"])
def test_the_scale_of_the_encoding_is_trained_too(jets, optimizer):
    """Event by event; a smaller scale brings jets closer to |0…0⟩, so the loss falls by the scale alone."""
    model = QuantumAutoencoder(latent=1, train_encoding=True, scale=4.0, epochs=15, optimizer=optimizer, learning_rate=0.1)
    model.fit(jets[0][:200], validation=jets[0][200:300])
    scale = 1 + 2 * np.pi / (1 + np.exp(-float(model.encoding_weights_)))
    assert scale < 3.8
    history = model.diagnostics_["history"]
    assert min(history["validation"]) < history["validation"][0]
    assert model.diagnostics_["loss"] == pytest.approx(model.anomaly_score(jets[0][:200]).mean())  # ρ̄ of the trained encoding
    fixed = QuantumAutoencoder(latent=1, scale=float(scale), epochs=0).fit(jets[0][:200])
    fixed.rows_real_, fixed.rows_imag_ = model.rows_real_, model.rows_imag_
    np.testing.assert_allclose(fixed.anomaly_score(jets[1]), model.anomaly_score(jets[1]), atol=1e-9)


def test_a_trained_encoding_is_saved_as_it_is(jets, tmp_path):
    model = QuantumAutoencoder(latent=1, train_encoding=True, scale=4.0, epochs=2).fit(jets[0])
    save(model, tmp_path / "m")
    back = load(tmp_path / "m")
    assert back.encoding_weights_.shape == model.encoding_weights_.shape == ()
    np.testing.assert_array_equal(back.anomaly_score(jets[1]), model.anomaly_score(jets[1]))
    with pytest.raises(NotFittedError):
        QuantumAutoencoder().circuit()


def test_a_loss_that_is_not_linear_goes_event_by_event(jets):
    logs = {"latent": 1, "loss": "log-fidelity", "score_as": "log-fidelity"}
    model = QuantumAutoencoder(**logs, epochs=20, learning_rate=0.2).fit(jets[0])
    start = QuantumAutoencoder(**logs, epochs=1, learning_rate=1e-9).fit(jets[0])
    assert model.anomaly_score(jets[0]).mean() < 0.5 * start.anomaly_score(jets[0]).mean()
    model.score_as = "infidelity"
    infidelity = model.anomaly_score(jets[1])
    model.score_as = "log-fidelity"
    np.testing.assert_allclose(model.anomaly_score(jets[1]), -np.log(1 - infidelity), rtol=1e-9)


def test_full_batches_event_by_event_are_the_mean_state(jets, monkeypatch):
    """Two ways to one number: the loss through ρ̄, and the mean over events."""
    through_mean = QuantumAutoencoder(latent=1, epochs=8).fit(jets[0])
    monkeypatch.setattr("qad.quantum.autoencoder.engine.infidelity",
                        lambda rows, mean: 1 - engine.fidelities(rows, CURRENT["psi"]).mean())
    CURRENT["psi"] = engine.states(through_mean.circuit().encoding, torch.tensor(jets[0]), 5)
    by_event = QuantumAutoencoder(latent=1, epochs=8).fit(jets[0])
    np.testing.assert_allclose(by_event.weights_, through_mean.weights_, atol=1e-9)


CURRENT = {}


def test_a_validation_loss_in_chunks_is_the_mean_over_events(jets, monkeypatch):
    monkeypatch.setattr("qad.quantum.autoencoder.engine.chunk_size", lambda n, memory=0: 7)
    model = QuantumAutoencoder(latent=1, loss="log-fidelity", score_as="log-fidelity", epochs=1)
    model.fit(jets[0][:300], validation=jets[0][300:350])
    assert model.diagnostics_["history"]["validation"][0] == pytest.approx(model.anomaly_score(jets[0][300:350]).mean())


def test_effective_parameters_are_counted_on_enough_events():
    x = np.random.default_rng(0).normal(size=(400, 5))
    model = FeatureAutoencoder(latent=2, layers=6, epochs=1).fit(x)
    assert model.parameters_ == 90 and model.effective_parameters_ > 64
    none = QuantumAutoencoder(latent=1, ansatz="strongly-entangling", start=0, epochs=0)
    assert len(none.fit(np.random.default_rng(0).uniform(0, 0.5, (50, 4, 3))).dead_) == 4


def test_early_stopping_looks_at_the_validation_loss(jets):
    model = QuantumAutoencoder(latent=1, epochs=400, patience=5, learning_rate=0.3).fit(jets[0][:300], validation=jets[0][300:])
    history = model.diagnostics_["history"]
    assert len(history["validation"]) == len(history["train"]) < 400
    assert history["best_epoch"] == int(np.argmin(history["validation"]))
    held = QuantumAutoencoder(latent=1, epochs=0).fit(jets[0][300:])
    held.rows_real_, held.rows_imag_ = model.rows_real_, model.rows_imag_
    assert held.anomaly_score(jets[0][300:]).mean() == pytest.approx(min(history["validation"]))


def test_shots_have_the_right_mean_and_spread(jets):
    """Direct: F(1 - F)/S. A SWAP test: (1 - F²)/S, never less (arXiv:2112.04958 reads out this way)."""
    model = UntrainedCircuit(latent=1, shots=400).fit(jets[0])
    exact = UntrainedCircuit(latent=1).fit(jets[0]).anomaly_score(jets[1])
    swap = UntrainedCircuit(latent=1, shots=400, readout="swap").fit(jets[0])
    F = 1 - exact
    for fitted, variance in ((model, F * (1 - F) / 400), (swap, (1 - F**2) / 400)):
        pulls = (fitted.anomaly_score(jets[1]) - exact) / np.sqrt(np.maximum(variance, 1e-12))
        assert abs(pulls.mean()) < 5 / np.sqrt(len(pulls)) and 0.85 < pulls.std() < 1.15
    np.testing.assert_array_equal(model.anomaly_score(jets[1])[::-1], model.anomaly_score(jets[1][::-1]))
    shifted = model.anomaly_score(jets[1] * [1, 1 + 1e-9, 1])
    assert abs(np.corrcoef(shifted - exact, model.anomaly_score(jets[1]) - exact)[0, 1]) < 0.2
    np.testing.assert_array_equal(UntrainedCircuit(latent=1, readout="swap").fit(jets[0]).anomaly_score(jets[1]), exact)


def test_dead_weights_are_named(jets):
    with pytest.warns(DeadParameterWarning, match=r"9 of 15 weights cannot change any score .*weights\[0, 0\]"):
        model = QuantumAutoencoder(latent=2, epochs=2).fit(jets[0])
    assert model.dead_ == ["weights[0, 0]", "weights[0, 1]", "weights[0, 2]", "weights[1, 0]", "weights[1, 1]",
                           "weights[1, 2]", "weights[2, 2]", "weights[3, 2]", "weights[4, 2]"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DirectionWarning)  # two epochs decide nothing
        assert not QuantumAutoencoder(latent=2, epochs=2, ansatz="mera").fit(jets[0]).dead_


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_precisions_agree(jets, dtype):
    model = QuantumAutoencoder(latent=2, epochs=20, dtype=dtype).fit(jets[0])
    exact = QuantumAutoencoder(latent=2, epochs=20).fit(jets[0])
    np.testing.assert_allclose(model.anomaly_score(jets[1]), exact.anomaly_score(jets[1]), atol=1e-4)
    assert model.effective_parameters_ == exact.effective_parameters_


def test_a_killed_training_goes_on_with_the_same_bits(jets, tmp_path, monkeypatch):
    monkeypatch.setattr("qad.quantum.autoencoder.Checkpoint", partial(Checkpoint, every=0.0))
    params = {"latent": 1, "epochs": 12, "optimizer": "momentum-natural-gradient", "learning_rate": 0.02}
    expected = QuantumAutoencoder(**params).fit(jets[0])
    model = QuantumAutoencoder(**params, checkpoint=str(tmp_path / "c"))

    def stop(done, of):
        if done == 7:
            raise KeyboardInterrupt

    model.progress = stop
    with pytest.raises(KeyboardInterrupt):
        model.fit(jets[0])
    assert (tmp_path / "c").exists()
    told = []
    model.progress = lambda done, of: told.append(done)
    model.fit(jets[0])
    assert told[0] == 7 and not (tmp_path / "c").exists()  # epoch 6 was the last one written
    np.testing.assert_array_equal(model.weights_, expected.weights_)
    model.progress = stop
    with pytest.raises(KeyboardInterrupt):
        model.fit(jets[0])
    for other in ({"learning_rate": 0.03}, {"encoding": own_encoding}, {"ansatz": "all-pairs"}):
        with pytest.raises(InputError, match="other settings or events"):
            clone(model).set_params(**other, checkpoint=str(tmp_path / "c")).fit(jets[0])
    with pytest.raises(InputError, match="other settings or events"):
        clone(model).fit(jets[0], validation=jets[1])


def own_encoding(x, wires):
    for q, wire in enumerate(wires):
        qml.RY(x[..., q, 1] * x[..., q, 0], wires=wire)
        qml.RZ(x[..., q, 2], wires=wire)


def own_ansatz(weights, wires):
    for q, wire in enumerate(wires):
        qml.RY(weights[q] ** 2, wires=wire)
    qml.broadcast(qml.CNOT, wires, "ring") if hasattr(qml, "broadcast") else qml.CNOT(wires[:2])


def mixes(x, wires):
    for q, wire in enumerate(wires):
        qml.RY(x[..., q, 1] - x[..., q, 1].mean(), wires=wire)


def frozen(weights, wires):
    qml.RX(weights[0].item(), wires=wires[0])
    qml.RY(weights[1], wires=wires[0])


def test_functions_and_templates_of_your_own(jets):
    model = QuantumAutoencoder(latent=2, encoding=own_encoding, ansatz=own_ansatz, shape=(5,), epochs=3).fit(jets[0])
    assert model.weights_.shape == (5,) and np.isfinite(model.anomaly_score(jets[1])).all()
    template = QuantumAutoencoder(latent=2, ansatz=qml.BasicEntanglerLayers, layers=2, epochs=3).fit(jets[0])
    assert template.weights_.shape == (2, 5)
    with pytest.raises(InputError, match="SimplifiedTwoDesign does not tell one shape"):
        QuantumAutoencoder(ansatz=qml.SimplifiedTwoDesign).fit(jets[0])
    with pytest.raises(InputError, match="shape of the weights of own_ansatz is not known"):
        QuantumAutoencoder(ansatz=own_ansatz).fit(jets[0])


def test_a_trained_model_leaves_as_a_circuit(jets):
    model = QuantumAutoencoder(latent=2, epochs=3).fit(jets[0])
    probabilities = export.qnode(*model.exported())(jets[1][:20])
    np.testing.assert_allclose(1 - probabilities[:, 0], model.anomaly_score(jets[1][:20]), atol=1e-9, rtol=0)
    x = np.random.default_rng(0).normal(size=(50, 3))
    features = FeatureAutoencoder(epochs=3).fit(x)
    found = export.qiskit_circuit(*features.exported())
    for event, angles in zip(x[:3], found.angles(features.inputs(x[:3])), strict=True):
        bound = found.circuit.assign_parameters(dict(zip(found.circuit.parameters, angles, strict=True)))
        score = 1 - Statevector(bound).probabilities(list(found.trash))[0]
        assert score == pytest.approx(features.anomaly_score([event])[0], abs=1e-9)
    assert "input float[64] x_2;" in export.openqasm3(*features.exported())
    trained = QuantumAutoencoder(latent=2, epochs=2, train_encoding=True).fit(jets[0])
    probabilities = export.qnode(*trained.exported())(jets[1][:5])
    np.testing.assert_allclose(1 - probabilities[:, 0], trained.anomaly_score(jets[1][:5]), atol=1e-9, rtol=0)
    odd = FeatureAutoencoder(encoding="dense-angle", epochs=1).fit(np.random.default_rng(0).normal(size=(50, 5)))
    found = export.qiskit_circuit(*odd.exported())
    assert len(found.circuit.parameters) == 5
    with pytest.raises(InputError, match="nothing to export"):
        CeilingUnitary(latent=2).fit(jets[0]).exported()


@pytest.mark.parametrize("encoding", [e for e in encodings.names() if encodings.get(e).takes == "tabular"])
@pytest.mark.parametrize("bounds", ["fitted", (-6, 6)])
def test_features(encoding, bounds):
    rng = np.random.default_rng(0)
    background = rng.normal(size=(300, 4)) @ rng.normal(size=(4, 4)) * 0.5
    signal = background + 2.0
    model = FeatureAutoencoder(encoding=encoding, bounds=bounds, epochs=30).fit(background)
    expected = {"dense-angle": 2, "particle-embedding": 2, "dense-kernel": 2, "amplitude": 2}.get(encoding, 4)
    assert model.diagnostics_["qubits"] == expected
    scores = model.anomaly_score(np.clip(signal, -5.9, 5.9))
    assert ((scores > -1e-9) & (scores < 1 + 1e-9)).all()


def test_features_outside_their_range_are_one_sentence():
    x = np.random.default_rng(0).uniform(0, 900, (50, 3))
    model = FeatureAutoencoder(bounds=[(0, 1000), (0, 1000), (0, 900)], epochs=2).fit(x)
    with pytest.raises(InputError, match="1 of 2 events lie outside the bounds it was given, in feature 2"):
        model.anomaly_score([[1, 2, 3], [1, 2, 901]])
    with pytest.raises(InputError, match=r"outside \[-π, π\] rad \(times scale\), where two angles would be one state"):
        FeatureAutoencoder(bounds=None).fit(x)
    fitted = FeatureAutoencoder(epochs=2).fit(x)
    np.testing.assert_array_equal(fitted.anomaly_score([[1e6, 2, 3]]), fitted.anomaly_score([[x[:, 0].max(), 2, 3]]))
    for bounds, sentence in (("wide", "expected 'fitted'"), ((3, 2), "low < high"), ([(0, 1)] * 2, "3 of them")):
        with pytest.raises(InputError, match=sentence):
            FeatureAutoencoder(bounds=bounds).fit(x)
    with pytest.raises(InputError, match="more than a full turn"):
        FeatureAutoencoder(scale=2.5).fit(x)
    with pytest.raises(InputError, match="times scale"):
        FeatureAutoencoder(bounds=None, scale=2 * np.pi).fit(x / 900)
    with pytest.raises(InputError, match="takes 3 for these events; leave qubits out"):
        FeatureAutoencoder(qubits=2).fit(x)
    amplitude = FeatureAutoencoder(latent=1, encoding="amplitude", epochs=1).fit(x)
    assert np.isfinite(amplitude.anomaly_score(x * 0 - 5)).all()  # below all that was seen: clipped, not lost
    with pytest.raises(InputError, match="zero in every feature"):
        FeatureAutoencoder(encoding="amplitude", bounds=None).fit(x * 0)
    with pytest.raises(InputError, match="odd number"):
        FeatureAutoencoder(encoding="particle-embedding").fit(x)


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"latent": 5}, "latent=5: expected 1 to 4"),
        ({"latent": 0}, "latent=0"),
        ({"ansatz": "1p2q"}, "did you mean '1p1q'"),
        ({"encoding": "angel"}, "did you mean 'angle'"),
        ({"encoding": "angle"}, "takes tabular input; QuantumAutoencoder takes particles"),
        ({"encoding": own_encoding, "scale": 2.0}, "takes no scale"),
        ({"ansatz": "1p1q", "layers": 3}, "has one layer"),
        ({"ansatz": "brick-wall", "layers": 0}, "layers=0"),
        ({"ansatz": 7}, "expected a name, an Ansatz"),
        ({"encoding": 7}, "expected a name, an Encoding"),
        ({"loss": "fidelity"}, "did you mean 'infidelity'"),
        ({"optimizer": "natural"}, "did you mean 'natural-gradient'"),
        ({"optimizer": "qbang", "train_encoding": True}, "trains the circuit only"),
        ({"readout": "swop"}, "did you mean 'swap'"),
        ({"shots": 0}, "shots=0"),
        ({"learning_rate": -1.0}, "expected a number above 0"),
        ({"batch_size": 0}, "batch_size=0: expected a whole number from 1"),
        ({"epochs": 1.5}, "epochs=1.5: expected a whole number"),
        ({"patience": 0}, "patience=0"),
        ({"random_state": None}, "random_state=None"),
        ({"start": float("nan")}, "start=nan: expected a number"),
        ({"scale": "a"}, "scale='a': expected a number"),
        ({"latent": True}, "latent=True"),
        ({"optimizer_options": {"metric_events": 0}}, "metric_events=0"),
        ({"qubits": 4}, "leave qubits out"),
        ({"encoding": mixes}, "mixes events"),
        ({"ansatz": frozen, "shape": (5,)}, "change with the values of its weights"),
        ({"ansatz": qml.QNode(own_ansatz, qml.device("default.qubit")), "shape": (5,)}, "of a QNode give the function"),
        ({"checkpoint": "/nowhere/c"}, "make it first"),
        ({"dtype": "float16"}, "unknown dtype"),
        ({"device": "cuda"}, "no GPU"),
        ({"scale": 9.0, "train_encoding": True}, "lies between 1 and 7.28"),
        ({"encoding": "os:system"}, "unknown encoding 'os:system'"),
        ({"ansatz": "os:system"}, "unknown ansatz 'os:system'"),
    ],
)
def test_mistakes_are_one_sentence(jets, params, sentence):
    with pytest.raises(InputError, match=sentence):
        QuantumAutoencoder(**params).fit(jets[0])


def test_too_many_particles_is_one_sentence():
    with pytest.raises(InputError, match="1 to 14 qubits"):
        QuantumAutoencoder().fit(np.zeros((10, 30, 3)))
