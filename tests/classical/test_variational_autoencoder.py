"""The variational autoencoder: closed forms against torch.distributions, PCA as its linear limit, and the scores."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import distributions as D

from classical.variational_autoencoder import LIMIT, VariationalAutoencoder, gaussian_divergence
from qad import detector, load, save
from qad.errors import InputError

RNG = np.random.default_rng(5)
X = RNG.normal(size=(800, 6)) @ RNG.normal(size=(6, 6))
NEW = np.r_[3 * RNG.normal(size=(60, 6)), 1e3 * RNG.normal(size=(5, 6))]
QUICK = {"epochs": 4, "batch_size": 64}
FLOW = {"epochs": 3}
ALL = [(name, way) for name in ("variational-autoencoder", "gaussian-mixture-vae", "dirichlet-vae")
       for way in detector.find(name).scores_as]


def spectrum(shares, n=4000):
    """Events whose covariance has exactly the eigenvalues ``shares``, in a rotated frame."""
    rng = np.random.default_rng(1)
    white = rng.normal(size=(n, len(shares)))
    white = (white - white.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(white.T, bias=True))).T
    rotation, _ = np.linalg.qr(rng.normal(size=(len(shares), len(shares))))
    return white * np.sqrt(shares) @ rotation


def test_divergence_of_gaussians():
    mean, log_var, m, v = torch.randn(4, 50, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    q = D.Normal(mean, (log_var / 2).exp())
    torch.testing.assert_close(gaussian_divergence(mean, log_var), D.kl_divergence(q, D.Normal(0.0, 1.0)).sum(-1))
    prior = D.Normal(m, (v / 2).exp())
    torch.testing.assert_close(gaussian_divergence(mean, log_var, m, v), D.kl_divergence(q, prior).sum(-1))


def test_the_loss_is_misfit_and_beta_times_divergence():
    vae = VariationalAutoencoder(beta=0.3, epochs=0).fit(X)
    network, x = vae.network_, torch.as_tensor(X)
    drawn = torch.Generator().manual_seed(9)
    loss = vae._loss(network, x, drawn)
    mean, log_var = network.encode(x)
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(9)).double()
    reco = network.decoder(mean + (log_var / 2).exp() * noise)
    scaled = (X - X.mean(0)) / np.sqrt(X.var(0).mean())
    misfit = (reco - torch.as_tensor(scaled)).square().mean()
    torch.testing.assert_close(loss, misfit + 0.3 * gaussian_divergence(mean, log_var).mean(), rtol=1e-5, atol=0)


def test_without_beta_it_is_an_autoencoder_and_a_linear_one_is_pca():
    data = spectrum([0.5, 0.3, 0.15, 0.05])
    vae = VariationalAutoencoder(hidden=(), latent=2, beta=0, epochs=60, learning_rate=1e-2).fit(data)
    x = torch.as_tensor(data)
    drawn = torch.Generator().manual_seed(0)
    plain = torch.nn.functional.mse_loss(vae.network_.decoder(vae.network_.encode(x)[0]), vae.network_.scaled(x))
    torch.testing.assert_close(vae._loss(vae.network_, x, drawn), plain)
    assert drawn.initial_seed() == 0 and torch.equal(drawn.get_state(), torch.Generator().manual_seed(0).get_state())
    pca = PCA(2).fit(data)
    lost = np.square(data - pca.inverse_transform(pca.transform(data))).mean(1) / data.var(0).mean()
    assert lost.mean() == pytest.approx(0.2, abs=1e-9)
    assert vae.diagnostics_["reconstruction"] == pytest.approx(0.2, rel=2e-3)
    assert np.corrcoef(vae.anomaly_score(data), lost)[0, 1] > 0.999


@pytest.mark.parametrize(("beta", "used"), [(0.08, 3), (0.3, 2), (2.0, 0)])
def test_a_latent_dimension_is_used_where_it_saves_more_than_half_of_beta(beta, used):
    """Probabilistic PCA: shares of variance against beta/2, and what remains is lost."""
    vae = VariationalAutoencoder(hidden=(), latent=4, beta=beta, epochs=50, learning_rate=1e-2, patience=50)
    vae.fit(spectrum([0.6, 0.25, 0.1, 0.02, 0.02, 0.01], 2500))
    assert vae.diagnostics_["active_units"] == used


def test_units_do_not_matter():
    one, other = (VariationalAutoencoder(**QUICK, score_as="combined").fit(c * X).anomaly_score(c * NEW) for c in (1, 1024))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("name", "way"), ALL)
def test_every_score(name, way, tmp_path):
    """Finite, deterministic, whatever the batch, the same after loading, and training does not depend on it."""
    settings = QUICK | {"score_as": way, "density": FLOW}
    fitted = detector.get(name, **settings).fit(X, validation=X[:100])
    score = fitted.anomaly_score(NEW)
    assert np.isfinite(score).all() and len(np.unique(score)) > 50
    parts = np.r_[fitted.anomaly_score(NEW[:1]), fitted.anomaly_score(NEW[1:])]
    np.testing.assert_allclose(parts, score, rtol=1e-9, atol=1e-12)
    save(fitted, tmp_path / "m")
    back = load(tmp_path / "m")
    np.testing.assert_array_equal(back.anomaly_score(NEW), score)
    assert back.diagnostics_ == fitted.diagnostics_
    if way != "latent-density":
        other = detector.get(name, **QUICK).fit(X, validation=X[:100])
        np.testing.assert_array_equal(other.set_params(score_as=way).anomaly_score(NEW), score)
        with pytest.raises(InputError, match="fitted without a density"):
            other.set_params(score_as="latent-density").anomaly_score(NEW)


def test_what_the_scores_are():
    vae = VariationalAutoencoder(beta=0.5, **QUICK).fit(X)
    by = {way: vae.set_params(score_as=way).anomaly_score(NEW) for way in vae.scores_as[:-1]}
    np.testing.assert_allclose(by["combined"], by["reconstruction"] + 0.5 * by["kl"], rtol=1e-12)
    mean, log_var = (t.detach().numpy() for t in vae.network_.encode(torch.as_tensor(NEW)))
    np.testing.assert_array_equal(vae.latent_means(NEW), mean)
    np.testing.assert_allclose(by["radius"], (mean**2).sum(1), rtol=1e-12)
    np.testing.assert_allclose(by["pull"], (mean**2 / np.exp(log_var)).sum(1), rtol=1e-12)
    reco = vae.network_.decoder(torch.as_tensor(mean)).detach().numpy()
    truth = (NEW - X.mean(0)) / np.sqrt(X.var(0).mean())
    np.testing.assert_allclose(by["reconstruction"], ((reco - truth) ** 2).mean(1), rtol=1e-4)
    assert vae.diagnostics_["kl"] == pytest.approx(vae.set_params(score_as="kl").anomaly_score(X).mean(), rel=1e-12)


def test_extreme_events_have_finite_scores():
    vae = VariationalAutoencoder(**QUICK).fit(X)
    far = 1e9 * NEW
    assert np.abs(vae.network_.encode(torch.as_tensor(far))[1].detach().numpy()).max() == LIMIT
    for way in vae.scores_as[:-1]:
        assert np.isfinite(vae.set_params(score_as=way).anomaly_score(far)).all()


def test_latent_density_integrates_to_one():
    """And is a density of the latent means: the flow is fitted to those of the background."""
    vae = VariationalAutoencoder(latent=2, score_as="latent-density", epochs=20, batch_size=64, density={"epochs": 30}).fit(X)
    means = vae.latent_means(X)
    np.testing.assert_array_equal(vae.anomaly_score(NEW), vae.density_.anomaly_score(vae.latent_means(NEW)))
    low, high = means.min(0) - 4 * means.std(0), means.max(0) + 4 * means.std(0)
    axes = [np.linspace(a, b, 300) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)
    cell = np.prod([axis[1] - axis[0] for axis in axes])
    assert np.exp(-vae.density_.anomaly_score(grid)).sum() * cell == pytest.approx(1, abs=0.02)
    normal = D.MultivariateNormal(torch.as_tensor(means.mean(0)), torch.as_tensor(np.cov(means.T)))
    assert vae.anomaly_score(X).mean() < -float(normal.log_prob(torch.as_tensor(means)).mean()) + 0.2


def test_a_second_fit_forgets_the_density():
    vae = VariationalAutoencoder(**QUICK, score_as="latent-density", density=FLOW).fit(X)
    vae.set_params(score_as="kl").fit(X)
    assert "density_" not in vars(vae)


def test_mixed_precision_trains():
    vae = VariationalAutoencoder(epochs=20, batch_size=64, precision="bfloat16").fit(X)
    assert vae.diagnostics_["loss"] < 0.7 * vae.diagnostics_["loss_untrained"]


@pytest.mark.parametrize(("settings", "sentence"), [
    ({"beta": -1}, "beta=-1: expected a number from 0"),
    ({"beta": float("nan")}, "beta=nan"),
    ({"beta": "1"}, "beta='1'"),
    ({"latent": 0}, "latent=0: expected a whole number from 1"),
    ({"hidden": 32}, "hidden=32: expected a list"),
    ({"score_as": "mse"}, "score_as='mse': expected one of reconstruction, kl"),
    ({"score_as": "pull", "beta": 0}, "take beta above 0"),
])
def test_settings_out_of_range_are_one_sentence(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        VariationalAutoencoder(**settings).fit(X)
