"""The mixture prior: its divergence against torch.distributions and against every other assignment, and its components."""

import numpy as np
import pytest
import torch
from torch import distributions as D

from classical.gaussian_mixture_vae import GaussianMixtureVAE
from classical.variational_autoencoder import VariationalAutoencoder, gaussian_divergence
from qad.errors import InputError

RNG = np.random.default_rng(6)
CENTRES = 6 * np.eye(3, 5)
X = CENTRES[RNG.integers(0, 3, 900)] + RNG.normal(size=(900, 5))
QUICK = {"epochs": 6, "batch_size": 64}


@pytest.fixture(scope="module")
def fitted():
    return GaussianMixtureVAE(latent=2, components=3, epochs=40, batch_size=64).fit(X)


def prior(network):
    parts = D.Independent(D.Normal(network.centres, (network.log_var / 2).exp()), 1)
    return D.MixtureSameFamily(D.Categorical(logits=network.logits), parts)


def test_one_standard_component_is_the_plain_divergence():
    vae = GaussianMixtureVAE(components=1, **QUICK).fit(X)
    with torch.no_grad():
        vae.network_.centres.zero_()
        vae.network_.log_var.zero_()
    mean, log_var = vae.network_.encode(torch.as_tensor(X))
    torch.testing.assert_close(vae._divergence(vae.network_, mean, log_var), gaussian_divergence(mean, log_var))


def test_divergence_is_the_least_over_assignments(fitted):
    """KL(q(z|x) q(c|x) ‖ p(z, c)) of VaDE, for any q(c|x)."""
    network = fitted.network_
    mean, log_var = (t.detach()[:, :] for t in network.encode(torch.as_tensor(X[:40])))
    ours = fitted._divergence(network, mean, log_var)
    each = D.kl_divergence(D.Independent(D.Normal(mean[:, None], (log_var[:, None] / 2).exp()), 1),
                           D.Independent(D.Normal(network.centres, (network.log_var / 2).exp()), 1))
    weights = network.logits.softmax(0)
    best = network.joint(mean, log_var).softmax(1)
    draws = D.Dirichlet(torch.ones(3, dtype=torch.float64)).sample((200, 40))
    for assignment in [best[None], draws]:
        bound = (assignment * (each + (assignment / weights).log())).sum(-1)
        assert (bound > ours - 1e-9).all()
    torch.testing.assert_close((best * (each + (best / weights).log())).sum(-1), ours)


def test_divergence_is_not_less_than_that_to_the_mixture(fitted):
    mean, log_var = (t.detach() for t in fitted.network_.encode(torch.as_tensor(X[:40])))
    q = D.Independent(D.Normal(mean, (log_var / 2).exp()), 1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        z = q.sample((20_000,))
    sampled = q.log_prob(z) - prior(fitted.network_).log_prob(z)
    error = sampled.std(0) / len(z) ** 0.5
    ours = fitted._divergence(fitted.network_, mean, log_var)
    assert (ours > sampled.mean(0) - 5 * error).all()
    assert (ours - sampled.mean(0)).mean() < 0.5  # and not far above: events belong to one component


def test_prior_density(fitted):
    means = torch.as_tensor(fitted.latent_means(X))
    fitted.set_params(score_as="prior-density")
    np.testing.assert_allclose(fitted.anomaly_score(X), -prior(fitted.network_).log_prob(means).detach().numpy(), rtol=1e-9)
    fitted.set_params(score_as="reconstruction")


def test_components_are_told(fitted):
    told = fitted.diagnostics_
    assert sum(told["weights"]) == pytest.approx(1) and sum(told["shares"]) == pytest.approx(1)
    assert 1 <= told["components_used"] <= 3 and min(told["shares"]) > 0.1
    assert np.abs(np.array(told["weights"]) - told["shares"]).max() < 0.15


@pytest.mark.parametrize("balance", [0.1, 0.0])
def test_a_component_without_events_is_drawn_back_by_balance_only(balance):
    vae = GaussianMixtureVAE(latent=2, components=3, balance=balance, epochs=0).fit(X)
    network = vae.network_
    with torch.no_grad():
        network.centres[2] = 60.0
    vae._latent_loss(network, *network.encode(torch.as_tensor(X))).backward()
    pull = network.centres.grad[2]
    assert (pull > 1).all() if balance else (pull.abs() < 1e-12).all()


def test_without_a_prior_it_is_the_same_autoencoder():
    mixture, plain = (cls(beta=0, **QUICK).fit(X).anomaly_score(X) for cls in (GaussianMixtureVAE, VariationalAutoencoder))
    np.testing.assert_array_equal(mixture, plain)


@pytest.mark.parametrize(("settings", "sentence"), [
    ({"components": 0}, "components=0: expected a whole number from 1"),
    ({"balance": -0.1}, "balance=-0.1: expected a number from 0"),
    ({"score_as": "radius"}, "expected one of reconstruction, kl, combined, prior-density"),
    ({"score_as": "prior-density", "beta": 0}, "take beta above 0"),
])
def test_settings_out_of_range_are_one_sentence(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        GaussianMixtureVAE(**settings).fit(X)
