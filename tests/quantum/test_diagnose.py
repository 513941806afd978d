"""``qad diagnose``: what it says of models whose limits are known."""

import numpy as np
import pytest

from qad import detector
from qad.errors import InputError
from qad.quantum import CeilingUnitary, ContrastiveAutoencoder, FeatureAutoencoder, QuantumAutoencoder, UntrainedCircuit
from qad.quantum.diagnose import diagnose
from qad.representations.constituents import Constituents


@pytest.fixture(scope="module")
def jets(qcd_toys):
    return Constituents(4).transform(qcd_toys)


def test_a_trained_model(jets):
    model = QuantumAutoencoder(latent=1, ansatz="strongly-entangling", layers=2, epochs=60).fit(jets)
    found = diagnose(model, jets, draws=8)
    assert found["loss"]["here"] == pytest.approx(model.diagnostics_["loss"]) == pytest.approx(found["trained_loss"])
    assert found["loss"]["ceiling"] <= found["loss"]["here"] + 1e-12
    assert found["loss"]["random weights"] > found["loss"]["here"]
    assert found["effective_parameters"] <= found["metric_rank"] <= found["parameters"] == 24
    assert found["dead"] == model.dead_ and len(found["dead"]) >= 4  # the last RZ of every qubit
    values = found["spectrum"]["eigenvalues"]
    assert values == sorted(values, reverse=True) and sum(values) == pytest.approx(1)
    np.testing.assert_allclose(sorted(model.spectrum_)[::-1], values[: len(model.spectrum_)], atol=1e-9)
    assert found["entanglement"]["encoded"] == pytest.approx(0, abs=1e-9)  # 1P1Q is a product
    assert found["entanglement"]["random weights"] > 0.3 and found["magic"]["random weights"] > 0.3
    assert set(found["gradient_variance"]["qubits"]) == {2, 3, 4} and found["gradient_variance"]["slope_per_qubit"] < 0
    assert set(found["gradient_variance"]["layers"]) == {1, 2, 4, 8}


def test_what_it_concludes(jets):
    assert "at its ceiling" in diagnose(CeilingUnitary(latent=1).fit(jets), jets, draws=2)["verdict"]
    stuck = QuantumAutoencoder(latent=1, epochs=400).fit(jets)
    assert "did not beat weights of zero" in diagnose(stuck, jets, draws=2)["verdict"]
    assert "the ansatz or its training limits" in diagnose(UntrainedCircuit(latent=1).fit(jets), jets, draws=2)["verdict"]


def test_features_and_entangling_encodings():
    x = np.random.default_rng(0).normal(size=(100, 4))
    found = diagnose(FeatureAutoencoder(encoding="particle-embedding", epochs=5).fit(x), x, draws=4)
    assert found["qubits"] == 2 and found["gradient_variance"]["qubits"].keys() == {2}
    assert found["entanglement"]["encoded"] > 0.05
    trained = FeatureAutoencoder(encoding="re-uploading", train_encoding=True, epochs=3).fit(x)
    assert diagnose(trained, x, draws=4)["gradient_variance"]["qubits"] == {}


def test_mistakes_are_one_sentence(jets):
    with pytest.raises(InputError, match="PCA is no quantum autoencoder"):
        diagnose(detector.get("pca"), np.ones((3, 3)))
    with pytest.raises(InputError, match="fitted on events of shape"):
        diagnose(QuantumAutoencoder(epochs=1).fit(jets), jets[:, :3])


def test_the_metric_s_rank_bounds_the_effective_parameters(jets):
    """What moves no state moves no score."""
    for ansatz in ("1p1q", "mera", "brick-wall"):
        model = QuantumAutoencoder(latent=1, ansatz=ansatz, epochs=1).fit(jets)
        found = diagnose(model, jets, draws=2)
        assert found["effective_parameters"] <= found["metric_rank"]


def test_a_contrastive_model_is_judged_by_what_it_was_asked_for():
    X = np.random.default_rng(0).gamma(2, 1, (200, 3))
    model = ContrastiveAutoencoder(unitary="circuit", epochs=40).fit(X)
    found = diagnose(model, X, events=200, draws=4)
    assert found["loss"]["ceiling"] == pytest.approx(model.diagnostics_["loss_at_ceiling"], abs=1e-9)
    assert found["loss"]["here"] == pytest.approx(model.diagnostics_["loss"], abs=1e-9)
    with pytest.raises(InputError, match="no circuit"):
        diagnose(ContrastiveAutoencoder().fit(X), X)
