"""Flows against closed forms: the density approaches the true one, and it is a density."""

import numpy as np
import pytest
import torch

from classical.flow import PRESETS
from qad import detector
from qad.errors import InputError

ARCHITECTURES = ("spline", "affine")


def gaussian(n, seed):
    """Correlated, in uneven units; with -log p."""
    z = np.random.default_rng(seed).normal(size=(n, 2))
    return z @ np.array([[1.0, 8.0], [0.0, 6.0]]) + np.array([5, -200]), 0.5 * (z**2).sum(1) + np.log(2 * np.pi * 6)


def ring(n, seed):
    """Radius 2 ± 0.3; with -log p."""
    rng = np.random.default_rng(seed)
    radius, angle = 2 + 0.3 * rng.normal(size=n), rng.uniform(0, 2 * np.pi, n)
    true = 0.5 * ((radius - 2) / 0.3) ** 2 + np.log(0.3 * np.sqrt(2 * np.pi)) + np.log(2 * np.pi * np.abs(radius))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1), true


def fit(events, **params):
    return detector.get("flow", batch_size=128, **params).fit(events[:1000], validation=events[1000:])


@pytest.fixture(scope="module")
def rings():
    return {a: fit(ring(1300, 0)[0], architecture=a, epochs=15, transforms=t) for a, t in (("spline", 3), ("affine", 5))}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_gaussian(architecture):
    fitted = fit(gaussian(1300, 0)[0], architecture=architecture, epochs=6)
    events, true = gaussian(1000, 1)
    excess = fitted.anomaly_score(events) - true
    assert -0.02 < excess.mean() < 0.06 and np.abs(excess).mean() < 0.2


@pytest.mark.parametrize(("architecture", "most"), [("spline", 0.12), ("affine", 0.4)])
def test_ring(rings, architecture, most):
    events, true = ring(1000, 1)
    score = rings[architecture].anomaly_score(events)
    one_gaussian = 0.5 * np.log(np.linalg.det(np.cov(events.T))) + np.log(2 * np.pi) + 1
    assert -0.03 < (score - true).mean() < most < one_gaussian - true.mean()
    assert rings[architecture].anomaly_score(np.zeros((1, 2)))[0] > score.mean() + 1  # the hole


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("scale", [1.0, 40.0])
def test_integrates_to_one(rings, architecture, scale):
    """Also where ``bound`` is within the events, and the logarithmic tails hold part of them."""
    fitted, grid = rings[architecture], np.linspace(-8, 8, 201)
    if scale != 1:
        fitted = fit(scale * ring(1300, 0)[0], architecture=architecture, epochs=1, bound=0.8)
        grid = np.sinh(np.linspace(-5, 5, 301)) * scale
    points = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
    density = np.exp(-fitted.anomaly_score(points)).reshape(len(grid), -1)
    assert np.trapezoid(np.trapezoid(density, grid), grid) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_far_events_have_finite_scores(rings, architecture):
    far = 10.0 ** np.array([1, 2, 4, 10, 30, 100, 300])
    for direction in ([1, 0], [0, -1], [1, 1]):
        score = rings[architecture].anomaly_score(far[:, None] * np.array(direction))
        assert np.isfinite(score).all() and score.min() > 20


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_far_events_in_training(architecture):
    """One event a million standard deviations of the others away neither stops training nor spoils the scores."""
    events = ring(1300, 0)[0]
    events[7] = 1e8
    fitted = fit(events, architecture=architecture, epochs=2)
    assert np.isfinite(fitted.diagnostics_["loss"]) and np.isfinite(fitted.anomaly_score(events)).all()


def test_whole_numbers_and_constants_have_no_infinite_density():
    rng = np.random.default_rng(0)
    events = np.stack([rng.poisson(3, 1300), np.full(1300, 7), rng.normal(size=1300)], 1).astype(float)
    fitted = fit(events, epochs=5, smear=0.05)
    assert np.isfinite(fitted.anomaly_score(events)).all()
    entropy = np.log(0.05) + 0.5 * np.log(2 * np.pi * np.e)  # of the noise, all that is left of the constant
    assert fitted.diagnostics_["loss"] > 2 * entropy


def test_units_shift_the_score_by_a_constant():
    x = ring(600, 0)[0]
    a, b = (detector.get("flow", epochs=1).fit(s * x).anomaly_score(s * x) for s in (1.0, 1024.0))
    np.testing.assert_allclose(b, a + 2 * np.log(1024), rtol=1e-9)


def test_weights_come_from_the_seed_alone():
    x = ring(300, 0)[0]
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    a = detector.get("flow", epochs=1, random_state=1).fit(x)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(6)
    b, other = (detector.get("flow", epochs=1, random_state=seed).fit(x) for seed in (1, 2))
    assert np.array_equal(a.anomaly_score(x), b.anomaly_score(x))
    assert not np.allclose(a.anomaly_score(x), other.anomaly_score(x))


def test_one_column():
    x = np.random.default_rng(0).normal(2, 3, (1300, 1))
    for architecture in ARCHITECTURES:
        # a column alone has parameters in the place of a network, which begin far off and want larger steps
        score = fit(x, architecture=architecture, epochs=60, learning_rate=0.03).anomaly_score(x)
        assert score.mean() == pytest.approx(0.5 * np.log(2 * np.pi * np.e * 9), abs=0.1)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_train(preset):
    x = ring(300, 0)[0]
    fitted = detector.get("flow", **PRESETS[preset] | {"epochs": 1}).fit(x)
    assert np.isfinite(fitted.anomaly_score(x)).all() and fitted.parameters_ > 10_000


@pytest.mark.parametrize("params", [{"architecture": "glow"}, {"hidden": 64}, {"hidden": []}, {"bound": 0}, {"smear": -1.0},
                                    {"bins": 1}, {"transforms": 0}, {"weight_decay": -1.0}])
def test_parameters_out_of_range_are_one_sentence(params):
    with pytest.raises(InputError, match="expected"):
        detector.get("flow", **params).fit(ring(30, 0)[0])
