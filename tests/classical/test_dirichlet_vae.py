"""The Dirichlet autoencoder: its approximation against Dirichlet draws, its inputs, its loss and its weights."""

import numpy as np
import pytest
import torch
from scipy.special import digamma, polygamma
from scipy.stats import entropy

from classical.dirichlet_vae import PRESETS, DirichletVAE, laplace
from qad.errors import InputError

RNG = np.random.default_rng(7)
PATTERNS = RNG.dirichlet(np.full(20, 0.5), 2)
SHARE = RNG.beta(1, 4, size=(700, 1))
X = RNG.poisson(400 * (SHARE * PATTERNS[0] + (1 - SHARE) * PATTERNS[1])).astype(float)
QUICK = {"epochs": 15, "batch_size": 50}


def centred_logs(alpha, n=400_000):
    logs = np.log(np.random.default_rng(0).dirichlet(alpha, n))
    logs -= logs.mean(1, keepdims=True)
    return logs.mean(0), logs.var(0)


def test_approximation_against_draws():
    """Of the logs about their mean. Laplace's log α and 1/α stand for ψ(α) and ψ'(α), and meet them as α grows."""
    for alpha in ([40.0, 60, 90], [25.0, 25], [80.0, 30, 50, 120, 60]):
        mean, variance = laplace(np.array(alpha))
        drawn_mean, drawn_variance = centred_logs(alpha)
        np.testing.assert_allclose(mean, drawn_mean, atol=0.012)
        np.testing.assert_allclose(variance, drawn_variance, rtol=0.04)
    alpha = np.array([0.9, 2.0, 3.0])
    mean, variance = centred_logs(alpha)
    np.testing.assert_allclose(mean, digamma(alpha) - digamma(alpha).mean(), atol=0.01)
    trigamma = polygamma(1, alpha)
    np.testing.assert_allclose(variance, trigamma / 3 + trigamma.sum() / 9, rtol=0.02)


def test_approximation_at_the_published_alpha():
    """The notebook of the published code prints 0 and 0.55555556."""
    mean, variance = laplace(np.array([0.9, 0.9]))
    np.testing.assert_allclose(mean, 0, atol=1e-15)
    np.testing.assert_allclose(variance, 0.55555556, rtol=1e-8)


def test_published_size():
    """164,004 in the published code: 300 of them of the batch normalisation that is left out."""
    images = np.random.default_rng(0).random((20, 1600))
    vae = DirichletVAE(**PRESETS["published"] | {"epochs": 0}).fit(images)
    assert vae.parameters_ == 164_004 - 300


def test_intensities_count_by_their_shares():
    vae = DirichletVAE(**QUICK).fit(X)
    p = vae._shares(X)
    np.testing.assert_allclose(p, X / X.sum(1, keepdims=True), rtol=1e-12)
    factor = 10.0 ** RNG.uniform(-200, 200, (len(X), 1))
    np.testing.assert_allclose(vae.anomaly_score(factor * X), vae.anomaly_score(X), rtol=1e-9)
    np.testing.assert_allclose(vae._shares(np.zeros((1, 20))), 1 / 20)
    with pytest.raises(InputError, match="1 of 700 events have negative values"):
        vae.anomaly_score(np.r_[-X[:1], X[1:]])


def test_columns_with_negative_values_lose_nothing():
    z = RNG.normal(size=(300, 4))
    vae = DirichletVAE(**QUICK).fit(z)
    p = vae._shares(z)
    assert p.shape == (300, 5) and (p > 0).all()
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-12)
    np.testing.assert_allclose(np.log(p[:, :4] / p[:, 4:]), z, atol=1e-12)
    assert np.isfinite(vae.anomaly_score(1e6 * z)).all()
    assert np.isfinite(vae.anomaly_score(np.abs(z))).all()  # events may well be all positive


def test_reconstruction_is_the_relative_entropy():
    vae = DirichletVAE(latent=3, **QUICK).fit(X)
    r = torch.as_tensor(vae.latent_means(X)).softmax(1).numpy()
    logits = r @ vae.network_.decoder.weight.detach().numpy().T
    reco = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    judge = np.array([entropy(p, q) for p, q in zip(X, reco, strict=True)])
    np.testing.assert_allclose(vae.anomaly_score(X), judge, rtol=1e-8, atol=1e-12)
    assert vae.network_.decoder.bias is None
    weights = vae.network_.decoder.weight.detach().numpy()
    np.testing.assert_allclose(vae.patterns(), (np.exp(weights) / np.exp(weights).sum(0)).T, rtol=1e-12)


def test_it_learns_the_mixture():
    """The share of a pattern is found without being told, and the reconstruction beats the mean event's."""
    vae = DirichletVAE(beta=0.005, epochs=80, batch_size=50).fit(X)
    r = torch.as_tensor(vae.latent_means(X)).softmax(1).numpy()
    assert abs(np.corrcoef(r[:, 0], SHARE[:, 0])[0, 1]) > 0.9
    mean = X.mean(0)
    assert vae.anomaly_score(X).mean() < 0.5 * np.mean([entropy(p, mean) for p in X])


def test_weight_is_that_of_all_but_the_common_pattern():
    vae = DirichletVAE(score_as="weight", alpha=[0.3, 1.5], **QUICK).fit(X)
    r = torch.as_tensor(vae.latent_means(X)).softmax(1).numpy()
    np.testing.assert_allclose(vae.diagnostics_["weights"], r.mean(0), rtol=1e-12)
    assert vae.common_ == r.mean(0).argmax() == 1  # the prior favours the second
    np.testing.assert_allclose(vae.anomaly_score(X), r[:, 0], rtol=1e-9)


@pytest.mark.parametrize(("settings", "sentence"), [
    ({"latent": 1}, "latent=1: expected a whole number from 2"),
    ({"alpha": 0}, "alpha=0: expected a number above 0, or one for each of the 2"),
    ({"alpha": [1.0, 2, 3]}, "or one for each of the 2 patterns"),
    ({"alpha": "flat"}, "alpha='flat'"),
    ({"score_as": "radius"}, "expected one of reconstruction, kl, combined, weight"),
])
def test_settings_out_of_range_are_one_sentence(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        DirichletVAE(**settings).fit(X)
