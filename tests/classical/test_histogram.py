"""Histograms: a density that integrates to one, finite and growing where no training event was."""

from itertools import pairwise

import numpy as np
import pytest

from qad import detector
from qad.errors import InputError

RNG = np.random.default_rng(5)
BINS = ("equal-population", "equal-width")
SHAPES = {"gaussian": RNG.normal(3, 2, 3000), "exponential": RNG.exponential(2, 3000), "whole": RNG.poisson(4, 3000) * 1.0,
          "half-zero": np.maximum(RNG.normal(size=3000), 0), "two-valued": RNG.integers(0, 2, 3000) * 1.0}


def fit(x, **params):
    return detector.get("histogram", **params).fit(x[:, None])


@pytest.mark.parametrize("bins", BINS)
@pytest.mark.parametrize("shape", SHAPES)
def test_integrates_to_one(bins, shape):
    fitted = fit(SHAPES[shape], bins=bins)
    knots = fitted.knots_
    grid = np.unique(np.r_[np.linspace(knots[0] - 60, knots[-1] + 60, 400_001),
                           np.concatenate([np.linspace(a, b, 200) for a, b in pairwise(knots)])])
    assert np.trapezoid(np.exp(-fitted.anomaly_score(grid[:, None])), grid) == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("bins", BINS)
def test_near_the_true_density(bins):
    x = np.random.default_rng(0).normal(size=(20_000, 2)) * [1, 5] + [0, 7]
    grid = np.stack(np.meshgrid(np.linspace(-2, 2, 21), 7 + 5 * np.linspace(-2, 2, 21)), -1).reshape(-1, 2)
    true = 0.5 * (((grid - [0, 7]) / [1, 5]) ** 2).sum(1) + np.log(2 * np.pi * 5)
    score = detector.get("histogram", bins=bins, n_bins=40).fit(x).anomaly_score(grid)
    assert np.abs(score - true).mean() < 0.1 and np.abs(score - true).max() < 0.5


@pytest.mark.parametrize("bins", BINS)
@pytest.mark.parametrize("shape", SHAPES)
def test_grows_outside(bins, shape):
    x = SHAPES[shape]
    fitted = fit(x, bins=bins)
    far = np.array([1e-6, 0.1, 1, 10, 1e3, 1e6, 1e9])
    for side in (x.max() + far, x.min() - far):
        score = fitted.anomaly_score(side[:, None])
        assert np.isfinite(score).all() and (np.diff(score) > 0).all()
        assert score[-1] > fitted.anomaly_score(x[:, None]).max()


def test_columns_add_up_and_order_does_not_matter():
    x = np.stack([SHAPES["gaussian"], SHAPES["exponential"]], 1)
    alone = sum(fit(c).anomaly_score(c[:, None]) for c in x.T)
    np.testing.assert_allclose(detector.get("histogram").fit(x).anomaly_score(x), alone, rtol=1e-12)
    np.testing.assert_allclose(detector.get("histogram").fit(x[:, ::-1]).anomaly_score(x[:, ::-1]), alone, rtol=1e-12)


def test_units_shift_the_score_by_a_constant():
    x = SHAPES["exponential"]
    np.testing.assert_allclose(fit(1000 * x).anomaly_score(1000 * x[:, None]), fit(x).anomaly_score(x[:, None]) + np.log(1000),
                               atol=1e-6)


@pytest.mark.parametrize("bins", BINS)
def test_many_scores(bins):
    score = fit(SHAPES["gaussian"], bins=bins).anomaly_score(np.random.default_rng(1).normal(3, 2, (10_000, 1)))
    assert len(np.unique(score.round(8))) > 9000


@pytest.mark.parametrize("bins", BINS)
@pytest.mark.parametrize("x", [np.ones((30, 3)), np.zeros((30, 1)), np.array([[1.0], [2.0]]), 1e30 * RNG.normal(size=(40, 2)),
                               1e-30 * RNG.normal(size=(40, 2)), np.repeat([[0.0, 5.0]], 40, axis=0)])
def test_poor_inputs_still_give_scores(bins, x):
    score = detector.get("histogram", bins=bins).fit(x).anomaly_score(np.r_[x, x[:1] + 3 * np.abs(x).max() + 1])
    assert np.isfinite(score).all() and score[-1] >= score[:-1].max()


@pytest.mark.parametrize("params", [{"bins": "none"}, {"smoothing": 0}, {"n_bins": 0}])
def test_parameters_out_of_range_are_one_sentence(params):
    with pytest.raises(InputError, match="expected"):
        fit(SHAPES["gaussian"], **params)
