"""The contrastive autoencoder against closed forms, SciPy, PennyLane and Qiskit."""

import numpy as np
import pytest
import scipy.linalg
import torch
from qiskit.quantum_info import Statevector

from qad import detector, load, save
from qad.errors import InputError
from qad.metrics import auc
from qad.quantum import export, outcomes, references
from qad.quantum.contrastive import ContrastiveAutoencoder, _completed, _measured
from qad.quantum.controls import CeilingContrastive, RandomContrastive, UntrainedContrastive
from qad.quantum.outcomes import SCORES


@pytest.fixture(scope="module")
def table():
    """Three skewed, correlated features; a background and an anomaly."""
    rng = np.random.default_rng(0)
    common = rng.gamma(2, 1, (900, 1))
    X = np.hstack([common, common, 0 * common]) + rng.gamma(2, 0.5, (900, 3))
    return X[:500], X[500:700], X[700:] + np.array([2, -1, 2])


def states(model, X):
    angles = model.inputs(X) / 2
    psi = np.ones((len(X), 1))
    for c, s in zip(np.cos(angles).T, np.sin(angles).T, strict=True):
        psi = (psi[:, :, None] * np.stack([c, s], -1)[:, None]).reshape(len(X), -1)
    return psi


def reduced(rho):
    n = rho.shape[0].bit_length() - 1
    out = np.ones((1, 1))
    for q in range(n):
        t = rho.reshape(2**q, 2, 2 ** (n - q - 1), 2**q, 2, 2 ** (n - q - 1))
        out = np.kron(out, np.einsum("aibajb->ij", t))
    return out


@pytest.mark.parametrize("contrast", [0.0, 0.5, 0.9])
def test_the_score_is_that_of_the_top_eigenvector(table, contrast):
    train, test, _ = table
    model = ContrastiveAutoencoder(contrast=contrast).fit(train)
    rho = states(model, train).T @ states(model, train) / len(train)
    v = np.linalg.eigh(rho - contrast * reduced(rho))[1][:, -1]
    np.testing.assert_allclose(model.anomaly_score(test), 1 - (states(model, test) @ v) ** 2, atol=1e-10)


def test_the_reference_without_correlations_is_the_mean_over_all_shifts(table):
    model = ContrastiveAutoencoder().fit(table[0][:40, :2])
    angles = torch.as_tensor(model.inputs(table[0][:40, :2]))
    circuit = model.circuit()
    mean = circuit.mean_state(angles)
    sigma = references.marginals(circuit, angles, mean, None).dense()
    shifts = torch.cat([torch.stack([angles[:, 0], angles[:, 1].roll(k)], 1) for k in range(40)])
    torch.testing.assert_close(sigma, circuit.mean_state(shifts).dense(), atol=1e-12, rtol=0)
    assert float((sigma - mean.dense()).abs().max()) > 1e-3


@pytest.mark.parametrize("name", references.REFERENCES)
def test_references_are_states(table, name):
    model = ContrastiveAutoencoder(reference=name).fit(table[0])
    circuit, angles = model.circuit(), torch.as_tensor(model.inputs(table[0]))
    sigma = references.get(name)(circuit, angles, circuit.mean_state(angles), np.random.default_rng(0))
    assert sigma.trace == pytest.approx(1, abs=1e-9) and float(torch.linalg.eigvalsh(sigma.dense()).min()) > -1e-12


def test_the_spread_follows_the_purity_rule(table):
    for rank in (1.5, 2.0, 3.0):
        model = ContrastiveAutoencoder(rank=rank).fit(table[0])
        psi = states(model, table[0])
        assert 1 / ((psi.T @ psi / len(psi)) ** 2).sum() == pytest.approx(rank, rel=1e-4)


def test_the_log_odds_of_each_qubit_are_linear(table):
    model = ContrastiveAutoencoder(spread=0.7).fit(table[0])
    p = np.sin(model.inputs(table[1]) / 2) ** 2
    z = (table[1] - table[0].mean(0)) / table[0].std(0)
    np.testing.assert_allclose(np.log(p / (1 - p)), 1.4 * z, atol=1e-9)
    assert np.isfinite(model.anomaly_score(table[1] * 1e9)).all()


def test_units_signs_and_order_of_features_change_nothing(table):
    train, test, _ = table
    a = ContrastiveAutoencoder().fit(train).anomaly_score(test)
    change = np.array([1000.0, -0.1, 3.0]), np.array([5.0, 1.0, -7.0])
    b = ContrastiveAutoencoder().fit(train * change[0] + change[1]).anomaly_score(test * change[0] + change[1])
    c = ContrastiveAutoencoder().fit(train[:, [2, 0, 1]]).anomaly_score(test[:, [2, 0, 1]])
    np.testing.assert_allclose(b, a, atol=1e-9)
    np.testing.assert_allclose(c, a, atol=1e-9)


@pytest.mark.parametrize("score", ["mean-fidelity", "relative-entropy", "inverse"])
def test_scores_of_the_whole_distribution_are_functions_of_the_mean_state(table, score):
    train, test, _ = table
    model = ContrastiveAutoencoder(contrast=0.0, score_as=score, epsilon=1e-3).fit(train)
    phi, psi = states(model, train), states(model, test)
    rho = phi.T @ phi / len(phi)
    if score == "mean-fidelity":  # a kernel density: (1/N) Σ_i Π_q cos²(Δ_iq/2)
        delta = model.inputs(test)[:, None] - model.inputs(train)[None]
        expected = 1 - (np.cos(delta / 2) ** 2).prod(2).mean(1)
    elif score == "relative-entropy":
        expected = -np.einsum("ni,ij,nj->n", psi, scipy.linalg.logm(rho + 1e-3 * np.eye(8)), psi)
    else:
        expected = np.einsum("ni,ij,nj->n", psi, np.linalg.inv(rho + 1e-3 * np.eye(8)), psi)
    np.testing.assert_allclose(model.anomaly_score(test), expected, rtol=1e-8)


def test_a_deep_circuit_reaches_the_eigenvector_and_a_product_comes_close(table):
    train, test, _ = table
    best = ContrastiveAutoencoder().fit(train)
    deep = ContrastiveAutoencoder(unitary="circuit", ansatz="strongly-entangling", layers=3, epochs=600).fit(train)
    product = ContrastiveAutoencoder(unitary="circuit").fit(train)
    assert deep.diagnostics_["distance_to_ceiling"] < 1e-4
    assert deep.diagnostics_["distance_to_ceiling"] < product.diagnostics_["distance_to_ceiling"] < 0.1
    np.testing.assert_allclose(deep.anomaly_score(test), best.anomaly_score(test), atol=0.03)
    assert product.parameters_ == product.effective_parameters_ == 3 and not product.dead_


def test_early_stopping_contrasts_the_events_held_back_too(table):
    model = ContrastiveAutoencoder(unitary="circuit", epochs=40).fit(table[0], validation=table[1])
    held = ContrastiveAutoencoder(unitary="circuit", epochs=40)
    assert len(model.diagnostics_["history"]["validation"]) > 1
    assert min(model.diagnostics_["history"]["validation"]) > held.fit(table[0]).diagnostics_["loss_at_ceiling"] - 0.2


MEASURED = [("eigenvectors", s, k) for s in SCORES if s != "trash-populations" for k in (0, 1)] + [
    ("circuit", s, k) for s in SCORES for k in (0, 1)]


@pytest.mark.parametrize(("unitary", "score", "latent"), MEASURED)
def test_a_machine_measures_the_same_score(table, unitary, score, latent):
    """PennyLane and Qiskit run the exported circuit; the bit strings' weights make the score."""
    train, test, _ = table
    model = ContrastiveAutoencoder(latent=latent, unitary=unitary, score_as=score, epochs=20).fit(train)
    circuit, weights, kept = model.exported()
    whole = model.outcomes_ is not None
    p = export.qnode(circuit, weights, 0 if whole else kept)(model.inputs(test[:6])).numpy()
    found = p @ model.outcomes_ if whole else 1 - p[:, 0]
    exact = model.anomaly_score(test[:6])
    np.testing.assert_allclose(found, exact, atol=1e-9)
    made = export.qiskit_circuit(circuit, weights, 0 if whole else kept)
    for angles, expected in zip(made.angles(model.inputs(test[:3])), exact, strict=False):
        bound = made.circuit.assign_parameters(dict(zip(made.circuit.parameters, angles, strict=True)))
        p = Statevector(bound).probabilities(list(made.trash)[::-1])  # our first qubit is the most significant
        np.testing.assert_allclose(p @ model.outcomes_ if whole else 1 - p[0], expected, atol=1e-9)


@pytest.mark.parametrize("score", ["infidelity", "mean-fidelity", "relative-entropy"])
def test_shots_agree_with_the_exact_score(table, score):
    train, test, _ = table
    exact = ContrastiveAutoencoder(score_as=score).fit(train)
    noisy = ContrastiveAutoencoder(score_as=score, shots=2000, random_state=3).fit(train)
    difference = noisy.anomaly_score(test) - exact.anomaly_score(test)
    w = exact.outcomes_ if score != "infidelity" else np.array([0, 1])
    error = (w.max() - w.min()) / 2 / np.sqrt(2000)  # the largest possible
    assert 0 < np.abs(difference).max() < 5 * error and abs(difference.mean()) < 5 * error / np.sqrt(len(test))


def test_measured_shares_are_multinomial():
    p = np.random.default_rng(0).dirichlet(np.ones(6), 4000)
    p[0] = [0, 0, 1, 0, 0, 0]
    shares = _measured(p, 50, 1)
    np.testing.assert_allclose(shares.sum(1), 1)
    assert shares[0].tolist() == [0, 0, 1, 0, 0, 0]
    pull = (shares - p)[1:] / np.sqrt(p * (1 - p) / 50)[1:]
    assert abs(pull.mean()) < 0.03 and abs(pull.std() - 1) < 0.03


def test_weights_of_bit_strings_look_at_the_trash_qubits():
    """Three qubits, the first kept: of 0b101 one of two trash qubits is 1."""
    q = np.full(8, 0.125)
    assert outcomes.weights("trash-populations", q, q, 0.0, 0.0, 1).tolist() == [0, 0.5, 0.5, 1, 0, 0.5, 0.5, 1]
    assert outcomes.weights("trash-populations", q, q, 0.0, 0.0, 0)[5] == pytest.approx(2 / 3)


def test_equally_likely_bit_strings_have_noise_of_their_own():
    x = np.random.default_rng(0).uniform(0.2, 0.3, (3000, 1))
    noise = _measured(np.hstack([x, x, 1 - 2 * x]), 100, 0)[:, :2] - x
    assert np.corrcoef(noise.T)[0, 1] == pytest.approx(-1 / 3, abs=0.06)  # multinomial: -p/(1 - p)


def test_probabilities_need_a_score_of_the_whole_distribution():
    with pytest.raises(InputError, match="kept rows"):
        ContrastiveAutoencoder().fit(np.random.default_rng(0).normal(size=(40, 2))).probabilities(np.zeros((1, 2)))


def test_widened_events_are_twice_as_far_from_their_mean():
    angles = torch.tensor([[1.0], [1.4], [2.1]], dtype=torch.float64)
    circuit = ContrastiveAutoencoder().fit(np.random.default_rng(0).normal(size=(40, 1))).circuit()
    expected = circuit.mean_state(torch.tensor([[0.5], [1.3], [2.7]], dtype=torch.float64)).dense()
    found = references.get("widened")(circuit, angles, circuit.mean_state(angles), None).dense()
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


def test_training_with_validation_reads_the_training_events_out(table):
    train, held, _ = table
    model = ContrastiveAutoencoder(unitary="circuit", epochs=5, score_as="mean-fidelity").fit(train, validation=held)
    psi = states(model, train)
    rows = model.basis_real_ + 1j * model.basis_imag_
    rho = psi.T @ psi / len(psi)
    q, s = (np.einsum("ki,ij,kj->k", rows, r, rows.conj()).real for r in (rho, reduced(rho)))
    np.testing.assert_allclose(model.outcomes_, 1 - (q - 0.75 * s), atol=1e-10)


def test_rows_are_completed_to_a_unitary():
    rows = torch.linalg.qr(torch.randn(8, 8, dtype=torch.complex128, generator=torch.Generator().manual_seed(0)))[0][:2]
    U = _completed(rows, 2)
    np.testing.assert_allclose(U @ U.conj().T, np.eye(8), atol=1e-12)
    np.testing.assert_allclose(U[[0, 4]], rows, atol=1e-12)


def test_the_contrast_and_its_controls(table):
    train, test, odd = table
    scores = {cls: auc(m.anomaly_score(test), m.anomaly_score(odd)) for cls in
              (ContrastiveAutoencoder, UntrainedContrastive, RandomContrastive) for m in [cls().fit(train)]}
    assert scores[ContrastiveAutoencoder] > max(scores[UntrainedContrastive], scores[RandomContrastive])
    plain = CeilingContrastive(contrast=0.9).fit(train)
    np.testing.assert_array_equal(plain.anomaly_score(test), ContrastiveAutoencoder(contrast=0).fit(train).anomaly_score(test))
    assert plain.kind == "control"


def test_saved_and_loaded(table, tmp_path):
    for i, params in enumerate([{"score_as": "relative-entropy"}, {"unitary": "circuit", "epochs": 5}, {"latent": 1}]):
        model = ContrastiveAutoencoder(**params).fit(table[0])
        save(model, tmp_path / str(i))
        np.testing.assert_array_equal(load(tmp_path / str(i)).anomaly_score(table[1]), model.anomaly_score(table[1]))


@pytest.mark.parametrize(("params", "sentence"), [
    ({"contrast": -1}, "contrast=-1: expected a number from 0"),
    ({"contrast": True}, "contrast=True"),
    ({"contrast": 1.5}, "from 0 to 1"),
    ({"epsilon": 0, "score_as": "inverse"}, "epsilon=0"),
    ({"spread": "narrow"}, "or 'purity'"),
    ({"spread": 0}, "above 0"),
    ({"rank": 0.5}, "rank=0.5: expected a number from 1"),
    ({"unitary": "eigenvector"}, "'eigenvectors' or 'circuit'"),
    ({"reference": "shuffle"}, "did you mean 'shuffled'"),
    ({"score_as": "entropy"}, "score_as 'entropy'"),
    ({"score_as": "trash-populations"}, "unitary='circuit'"),
    ({"latent": 3}, "latent=3: expected 0 to 2"),
    ({"starts": 0}, "starts=0"),
])
def test_mistakes_are_one_sentence(table, params, sentence):
    with pytest.raises(InputError, match=sentence):
        detector.get("quantum-contrastive", **params).fit(table[0])


def test_every_seed_finds_the_same_optimum():
    """From one random product state a third of these seeds end in a valley where the score inverts: loss 0.82, not 0.75."""
    rng = np.random.default_rng(0)
    X = 1.5 * rng.gamma(2, 1, (400, 1)) + rng.gamma(2, 0.7, (400, 5))
    losses = [ContrastiveAutoencoder(unitary="circuit", random_state=seed).fit(X).diagnostics_["loss"] for seed in range(6)]
    assert max(losses) - min(losses) < 1e-3
