import numpy as np
import pytest

from qad.errors import InputError
from qad.metrics import auc
from qad.quantum.autoencoder import QuantumAutoencoder
from qad.quantum.controls import CeilingUnitary, RandomCircuit, UntrainedCircuit
from qad.representations.constituents import Constituents


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


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"latent": 5}, "latent=5: expected 1 to 4"),
        ({"latent": 0}, "latent=0"),
        ({"ansatz": "1p2q"}, "did you mean '1p1q'"),
        ({"encoding": "angel"}, "did you mean 'angle'"),
        ({"encoding": "angle"}, "takes a table"),
    ],
)
def test_mistakes_are_one_sentence(jets, params, sentence):
    with pytest.raises(InputError, match=sentence):
        QuantumAutoencoder(**params).fit(jets[0])


def test_too_many_particles_is_one_sentence():
    with pytest.raises(InputError, match="1 to 12 qubits"):
        QuantumAutoencoder().fit(np.zeros((10, 30, 3)))
