"""The trainer of energy models, their chains on a manifold and what speaks against convergence."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from qad.energy import OnManifold, still_falling, train_energy, tube, unconverged
from qad.errors import InputError
from qad.transport import wasserstein

GOOD = {"energy_ratio": 1.02, "acceptance": 0.57, "at_bounds": 0.04, "at_bounds_data": 0.01, "wasserstein": 0.13,
        "wasserstein_fresh": 0.12}


class Sphere(nn.Module):
    """A decoder that is the sphere itself, and an energy of what it gives."""

    latent = 3

    def __init__(self, height):
        super().__init__()
        self.height = height

    def energy(self, u):
        return self.height(u)

    def decode(self, z):
        return z


def chains(network, T=1.0, **settings):
    bound = torch.full((network.latent,), 1.5)
    settings = {"chains": 4000, "steps": 10, "latent_steps": 120, "restart": 1.0, "through": False, "penalty": 0.0,
                "seed": 0} | settings
    return OnManifold(network, torch.tensor(-math.log(T)), -bound, bound, **settings)


@pytest.mark.parametrize(("height", "T"), [(0.0, 1.0), (0.0, 0.01), (1.5, 1.0), (0.3, 0.2)])
def test_latent_chains_sample_the_sphere(height, T):
    """exp(-c z₃/T) on the sphere gives z₃ that density on [-1, 1], for c = 0 a uniform one (Archimedes), and flat azimuths."""
    model = chains(Sphere(lambda u: height * u[:, 2]), T)
    z = model._anew(torch.tensor(T)).double().numpy()
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1, atol=1e-5)
    b = height / T
    expected = (lambda t: (t + 1) / 2) if b == 0 else (lambda t: np.expm1(-b * (t + 1)) / np.expm1(-2 * b))
    assert stats.kstest(z[:, 2], expected).pvalue > 1e-3
    assert stats.kstest(np.arctan2(z[:, 1], z[:, 0]), stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 1e-3


def test_chains_begin_anew_where_the_decoder_is_and_leave_the_network_as_it_was():
    network = Sphere(lambda u: 0 * u[:, 0])
    network.layer, network.frozen = nn.Linear(2, 2), nn.Linear(2, 2).requires_grad_(False)
    network.train()
    model = chains(network, steps=1, latent_steps=2, jumps=0.0)
    model.visible.steps.fill_(1e-8)
    x = model.run(1)
    assert (x.norm(dim=1) - 1).abs().max() < 0.02
    assert network.training and network.layer.weight.requires_grad and not network.frozen.weight.requires_grad
    network.train(False)
    model.run(1)
    assert not network.training


def normal(start):
    """exp(-a|x|²/2), a normal distribution with variance 1/a in three dimensions; log a is learned."""
    network = Sphere(lambda u: network.log_a.exp() * u.square().sum(1) / 2)
    network.log_a = nn.Parameter(torch.tensor(math.log(start)))
    return network


DATA = torch.as_tensor(np.random.default_rng(0).normal(0, 0.4, (1000, 3)), dtype=torch.float32)
EXACT = math.log(1 / float(DATA.square().mean()))


@pytest.mark.parametrize("start", [1.0, 30.0])
@pytest.mark.parametrize("loss", ["likelihood", "wasserstein"])
def test_training_finds_the_parameter_of_a_density(loss, start):
    """From both sides, by the chains alone: nobody tells the training Z."""
    network, told, found = normal(start), [], []
    model = chains(network, chains=250, restart=0.0, latent_steps=0, through=loss == "wasserstein")

    def notes():
        found.append(float(network.log_a.detach()))
        return model.notes()

    history = train_energy([network.log_a], lambda batch: network.energy(batch).mean(), model, log_beta=torch.zeros(()),
                           loss=loss, data=DATA, epochs=50, batch_size=250, learning_rate=0.05, patience=50, notes=notes,
                           begin=told.append)
    # the distance between as few as 250 events each is least for a model a little narrower than the data
    assert np.mean(found[-20:]) == pytest.approx(EXACT + (loss == "wasserstein") * 0.1, abs=0.06)
    assert told == list(range(50)) and len(history.notes["energy_data"]) == len(history.notes["energy_model"]) == 50
    if loss == "likelihood":  # T = 1 is right for it, too
        ratio = np.array(history.notes["energy_model"][-20:]) / history.notes["energy_data"][-20:]
        assert ratio.mean() == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize("a", [3.0, 15.0])
def test_the_gradient_through_the_chains_is_that_of_the_distance(a):
    """Against the distance of exact normal events whose width is changed: most of it is there, and nothing of it at 0.57."""
    def distance(log_a):
        drawn = torch.as_tensor(np.random.default_rng(1).normal(size=(1000, 3)), dtype=torch.float32)
        return float(wasserstein(DATA, drawn * math.exp(-log_a / 2)))

    def share(**settings):
        network = normal(a)
        model = chains(network, chains=250, restart=0.0, latent_steps=0, jumps=0.0, through=True, **settings)
        model.run(200)
        gradients = []
        for batch in DATA.split(250) * 3:
            model.advance()
            gradients.append(float(torch.autograd.grad(model.distance(batch), network.log_a)[0]))
        return np.mean(gradients) / (distance(math.log(a) + 0.1) - distance(math.log(a) - 0.1)) * 0.2

    assert 0.5 < share() < 1.2
    assert abs(share(target=0.57)) < 0.3


def test_warm_up_minimises_the_energy_alone():
    class Untouched:
        def advance(self):
            raise RuntimeError("a chain moved in the warm-up")

    w = torch.tensor(3.0, requires_grad=True)
    history = train_energy([w], lambda batch: (batch.mean() - w).square(), Untouched(), log_beta=torch.tensor(5.0), warm_up=30,
                           data=torch.ones(10, 1), epochs=30, learning_rate=0.1, begin=lambda epoch: pytest.fail("begun"))
    assert history.train == history.notes["energy_data"] and history.train[-1] < 0.1 * history.train[0]  # no log β in it
    with pytest.raises(InputError, match="expected 'likelihood' or 'wasserstein'"):
        train_energy([w], lambda batch: w, Untouched(), log_beta=w, loss="mse", epochs=1, learning_rate=1.0)


def test_the_partition_has_the_gradient_of_minus_the_model_s_energy():
    network = Sphere(None)
    network.w = nn.Parameter(torch.tensor(2.0))
    network.height = lambda u: network.w * u.square().sum(1)
    model = chains(network, 0.5, chains=50, restart=0.0, latent_steps=0, penalty=0.3)
    model.advance()
    log_beta = model.log_beta.requires_grad_()
    model.log_partition().backward()
    r = model.x.square().sum(1)
    mean, square = float(r.mean()), float(r.square().mean())
    assert float(network.w.grad) == pytest.approx(-2 * mean + 0.3 * 2 * 2 * 2 * square, rel=1e-5)  # γ/T · 2w⟨r²⟩, w = 2
    assert float(log_beta.grad) == pytest.approx(-2 * 2 * mean, rel=1e-5)  # the penalty says nothing of T


def test_a_model_that_converged_has_no_problems():
    assert unconverged(GOOD, True) == unconverged(GOOD, False) == unconverged({}, True) == []
    assert unconverged(dict.fromkeys(GOOD), True) == []


@pytest.mark.parametrize(("what", "value", "says"), [
    ("energy_ratio", 1.25, "E₋/E₊ is 1.25 at the trained temperature: take more epochs, or another learning_rate"),
    ("energy_ratio", 0.85, "E₋/E₊ is 0.85 at"),
    ("energy_ratio", math.nan, "E₋/E₊ is nan at"),
    ("acceptance", 0.1, "10% of the chains' steps are accepted: take more steps, that they adapt"),
    ("acceptance", 0.995, "100% of"),
    ("acceptance", math.nan, "nan% of"),
    ("at_bounds", 0.2, "the model's events lie at the bounds in 20% of their coordinates, the data in 1%: take a smaller "
                       "learning_rate or a larger penalty"),
    ("wasserstein", 0.2, "the model's events are 1.7 times as far from the data as two halves of the data from each other: "
                         "take more epochs, more steps or a larger network"),
    ("wasserstein", math.nan, "the model's events are nan times"),
])
def test_what_is_wrong_is_one_sentence(what, value, says):
    problems = unconverged(GOOD | {what: value}, True)
    assert len(problems) == 1 and problems[0].startswith(says)


def test_a_fixed_temperature_promises_nothing_of_the_energies():
    assert unconverged(GOOD | {"energy_ratio": 3.0}, False) == []
    bad = {"energy_ratio": 3.0, "acceptance": 0.0, "at_bounds": 1.0, "at_bounds_data": 0.0, "wasserstein": 1.0,
           "wasserstein_fresh": 0.1}
    assert len(unconverged(bad, True)) == 4 and len(unconverged(bad, False)) == 3


def test_still_falling():
    assert still_falling(list(range(100, 0, -1)), 100)
    assert not still_falling(list(range(100, 0, -1)), 200)  # it stopped by itself
    assert not still_falling([10.0, 5.0, *[1.0] * 50], 52)
    assert still_falling([10.0, math.nan, 5.0], 3)


@pytest.mark.parametrize(("d", "across"), [(2, 1), (10, 9), (10, 4), (5, 5)])
def test_the_temperature_of_a_tube(d, across):
    """Points about a flat manifold of d - across dimensions, exp(-|distance|²/dT): their mean energy must give T again."""
    T = 0.07
    off = np.random.default_rng(0).normal(0, math.sqrt(d * T / 2), (200_000, across))
    assert tube(float((off**2).sum(1).mean() / d), across) == pytest.approx(T, rel=0.02)
    assert tube(math.inf, 3) == 1.0 and tube(0.0, 3) > 0
