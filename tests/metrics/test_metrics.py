"""Metrics against scikit-learn, closed forms and brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import roc_auc_score, roc_curve

from qad.errors import InputError
from qad.metrics import (
    Difference,
    auc,
    auc_error,
    bootstrap_weights,
    jensen_shannon,
    mass_sculpting,
    max_sic,
    paired_difference,
    rejection,
    roc,
    sic,
    tpr_at_fpr,
    wilson,
)
from qad.metrics.intervals import bootstrap_auc, bootstrap_metric

scores = arrays(np.float64, st.integers(1, 60), elements=st.integers(-5, 5).map(float))  # many ties


@given(scores, scores)
def test_auc_and_roc_against_sklearn(b, s):
    y, x = np.r_[np.zeros(len(b)), np.ones(len(s))], np.r_[b, s]
    assert auc(b, s) == pytest.approx(roc_auc_score(y, x))
    curve = roc(b, s)
    assert curve.auc == pytest.approx(roc_auc_score(y, x))
    fpr, tpr, threshold = roc_curve(y, x, drop_intermediate=False)
    np.testing.assert_allclose(curve.fpr, fpr)
    np.testing.assert_allclose(curve.tpr, tpr)
    np.testing.assert_array_equal(curve.threshold[1:], threshold[1:])


@given(scores, scores)
def test_symmetries(b, s):
    assert auc(b, s) == pytest.approx(1 - auc(s, b))
    assert auc(b, s) == pytest.approx(auc(np.exp(b), np.exp(s)))  # any increasing function
    assert auc(-b, -s) == pytest.approx(1 - auc(b, s))


def test_constant_scores_are_chance():
    assert auc(np.zeros(10), np.zeros(20)) == 0.5
    assert np.isnan(max_sic(roc(np.zeros(10), np.zeros(20))))


def test_two_gaussians_closed_form():
    """Shift d between unit Gaussians: AUC = Φ(d/√2), ε_b(ε_s) = 1 - Φ(d + Φ⁻¹(1 - ε_s))."""
    from scipy.stats import norm

    rng = np.random.default_rng(0)
    d, n = 1.5, 400_000
    curve = roc(rng.normal(0, 1, n), rng.normal(d, 1, n))
    assert curve.auc == pytest.approx(norm.cdf(d / np.sqrt(2)), abs=2e-3)
    for eps in (0.3, 0.5):
        assert rejection(curve, eps) == pytest.approx(1 / norm.sf(norm.isf(eps) + d), rel=0.03)
    assert tpr_at_fpr(curve, 1e-2) == pytest.approx(norm.sf(norm.isf(1e-2) - d), rel=0.03)
    x, y = sic(curve)
    expected = x / np.sqrt(norm.sf(norm.isf(x) + d))
    inside = (x > 0.2) & (x < 0.8)
    np.testing.assert_allclose(y[inside], expected[inside], rtol=0.05)


def test_too_few_events_are_not_a_number():
    rng = np.random.default_rng(0)
    curve = roc(rng.normal(0, 1, 999), rng.normal(3, 1, 1000))
    assert not np.isnan(tpr_at_fpr(curve, 1e-2, fewest=9)) and np.isnan(tpr_at_fpr(curve, 1e-2))
    assert np.isnan(tpr_at_fpr(curve, 1e-5))
    assert np.isnan(rejection(roc([0.0], [1.0]), 0.3))  # no background left: a bound, not a number
    _, y = sic(curve)
    assert len(y) == (curve.n_background >= 25).sum()


@pytest.mark.parametrize("b, s", [([], [1.0]), ([1.0], []), ([np.nan], [1.0])])
def test_bad_scores_are_one_sentence(b, s):
    with pytest.raises(InputError):
        roc(b, s)


def test_bootstrap_equals_brute_force():
    rng = np.random.default_rng(1)
    b, s = rng.integers(0, 9, 50).astype(float), rng.integers(2, 12, 40).astype(float)
    wb, ws = bootstrap_weights(50, 7, 0), bootstrap_weights(40, 7, 1)
    expected = [auc(np.repeat(b, i), np.repeat(s, j)) for i, j in zip(wb, ws, strict=True)]
    np.testing.assert_allclose(bootstrap_auc(b, s, wb, ws), expected)


def test_any_metric_of_a_replica_is_that_of_the_events_drawn():
    rng = np.random.default_rng(4)
    b, s = rng.normal(0, 1, 300).round(1), rng.normal(1, 1, 200).round(1)
    wb, ws = bootstrap_weights(300, 7, 0), bootstrap_weights(200, 7, 1)
    for metric in (lambda c: c.auc, lambda c: rejection(c, 0.3), lambda c: rejection(c, 0.5), max_sic):
        expected = [metric(roc(np.repeat(b, x), np.repeat(s, y))) for x, y in zip(wb, ws, strict=True)]
        assert np.isfinite(expected).all()
        np.testing.assert_allclose(bootstrap_metric(b, s, wb, ws, metric), expected)


def test_bootstrap_spread_is_the_sampling_spread():
    rng = np.random.default_rng(2)
    truth = np.std([auc(rng.normal(0, 1, 300), rng.normal(1, 1, 300)) for _ in range(400)])
    b, s = rng.normal(0, 1, 300), rng.normal(1, 1, 300)
    boot = np.std(bootstrap_auc(b, s, bootstrap_weights(300, 400, 0), bootstrap_weights(300, 400, 1)))
    assert boot == pytest.approx(truth, rel=0.2)
    assert auc_error(b, s) == pytest.approx(truth, rel=0.2) and auc_error(b, s) != auc_error(b, s, seed=1)
    assert auc_error(b[:75], s[:75]) == pytest.approx(2 * auc_error(b, s), rel=0.3)  # a quarter of the events
    with pytest.raises(InputError):
        auc_error([], s)


def test_paired_differences_are_sharper_than_unpaired():
    rng = np.random.default_rng(3)
    b, s = rng.normal(0, 1, 1000), rng.normal(1, 1, 1000)
    noisy = [(b + rng.normal(0, 0.1, 1000), s + rng.normal(0, 0.1, 1000)) for _ in range(2)]
    wb, ws = bootstrap_weights(1000, 300, 0), bootstrap_weights(1000, 300, 1)
    boots = [bootstrap_auc(x, y, wb, ws)[None] for x, y in noisy]
    aucs = [np.array([auc(x, y)]) for x, y in noisy]
    both = [np.repeat(a, 2) for a in aucs], [np.repeat(x, 2, axis=0) for x in boots]  # two seeds alike
    paired = paired_difference(both[0][0], both[0][1], both[1][0], both[1][1])
    assert paired.error < 0.4 * boots[0].std() and abs(paired.z) < 5
    assert paired_difference(both[0][0], both[0][0], both[1][0], both[1][0]).z == 0
    assert np.isnan(paired_difference(aucs[0], aucs[1], boots[0], boots[1]).z)  # one seed: spread of training unknown


@pytest.mark.parametrize("dof", [2, 4, 9, 100])
@pytest.mark.parametrize("t", [0.5, 1.0, 3.0, 6.0, -3.0])
def test_few_seeds_have_students_tails(t, dof):
    from scipy.stats import norm
    from scipy.stats import t as student

    expected = np.sign(t) * norm.isf(student.sf(abs(t), dof))
    assert Difference(t, 1.0, dof).z == pytest.approx(expected, rel=0.03)


def test_rejection_is_where_the_efficiency_is_first_reached():
    """Signal on a few thresholds with much background between: the strict side counts."""
    signal = np.repeat([3.0, 1.0], 50)
    background = np.r_[np.full(20, 3.5), np.full(40, 2.0), np.zeros(40)]
    assert rejection(roc(background, signal), 0.5) == pytest.approx(100 / 20)
    assert np.isnan(rejection(roc(background, signal), 0.5, fewest=21))


def test_wilson_against_scipy():
    from scipy.stats import binomtest

    for k, n in ((0, 10), (3, 10), (10, 10), (499, 1000)):
        theirs = binomtest(k, n).proportion_ci(0.6826894921, method="wilson")
        assert wilson(k, n) == pytest.approx((theirs.low, theirs.high), abs=1e-6)
    with pytest.raises(InputError):
        wilson(3, 2)


def test_sculpting():
    rng = np.random.default_rng(4)
    mass = rng.exponential(50, 50_000)
    assert mass_sculpting(mass, rng.normal(0, 1, 50_000)) < 0.01
    assert mass_sculpting(mass, mass) > 0.5
    assert jensen_shannon([1, 0], [0, 1]) == 1 and jensen_shannon([1, 2], [2, 4]) == 0
