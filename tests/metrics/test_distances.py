"""Distances of weighted samples against SciPy, closed forms and repeated experiments."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from qad.errors import InputError
from qad.metrics.distances import effective_size, equal_distances, kolmogorov, kolmogorov_smirnov, wasserstein

values = arrays(np.float64, st.integers(1, 40), elements=st.integers(-6, 6).map(float))  # many ties
weighted = st.integers(1, 40).flatmap(lambda n: st.tuples(
    arrays(np.float64, n, elements=st.floats(-100, 100)), arrays(np.float64, n, elements=st.floats(0.01, 10))))


@given(weighted, weighted)
def test_wasserstein_against_scipy(a, b):
    theirs = stats.wasserstein_distance(a[0], b[0], a[1], b[1])
    assert wasserstein(a[0], b[0], a[1], b[1]) == pytest.approx(theirs, rel=1e-9, abs=1e-9)


@given(values, values)
def test_kolmogorov_smirnov_against_scipy(a, b):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of their p-value, which is not asked for
        theirs = stats.ks_2samp(a, b, method="asymp").statistic
    assert kolmogorov_smirnov(a, b).distance == pytest.approx(theirs, abs=1e-12)


@given(values, values)
def test_whole_weights_are_repeated_events(a, b):
    w = np.random.default_rng(len(a)).integers(1, 4, len(a))
    repeated = np.repeat(a, w)
    assert wasserstein(a, b, w) == pytest.approx(wasserstein(repeated, b), abs=1e-9)
    assert kolmogorov_smirnov(a, b, w).distance == pytest.approx(kolmogorov_smirnov(repeated, b).distance, abs=1e-12)


@given(weighted, weighted, st.floats(-50, 50))
def test_symmetries(a, b, c):
    (x, w), (y, v) = a, b
    order = np.random.default_rng(0).permutation(len(x))
    for distance in (wasserstein, lambda *args: kolmogorov_smirnov(*args).distance):
        assert distance(x, y, w, v) == pytest.approx(distance(y, x, v, w), abs=1e-9)
        assert distance(x[order], y, w[order], v) == pytest.approx(distance(x, y, w, v), abs=1e-9)
        assert distance(x, x, w, 7 * w) == pytest.approx(0, abs=1e-9)
    assert wasserstein(x, x + c, w, w) == pytest.approx(abs(c), rel=1e-9, abs=1e-9)
    assert wasserstein(3 * x, 3 * y, w, v) == pytest.approx(3 * wasserstein(x, y, w, v), rel=1e-9, abs=1e-9)


def test_closed_forms():
    """Exponentials of means 1 and 2: W₁ = 1, D = max(e^{-x/2} - e^{-x}) = 1/4. Points 0 and 1: W₁ = D = 1."""
    u = (np.arange(200_000) + 0.5) / 200_000
    x = -np.log1p(-u)
    assert wasserstein(x, 2 * x) == pytest.approx(1, rel=1e-4)
    assert kolmogorov_smirnov(x, 2 * x).distance == pytest.approx(0.25, abs=1e-4)
    assert wasserstein([0.0], [1.0]) == kolmogorov_smirnov([0.0], [1.0]).distance == 1
    assert wasserstein([0.0, 1.0], [0.0, 1.0], [3, 1], [1, 3]) == pytest.approx(0.5)


def test_p_values():
    for x in (0.05, 0.3, 0.7, 0.999, 1.0, 1.3, 2.0, 5.0):
        assert kolmogorov(x) == pytest.approx(stats.kstwobign.sf(x), rel=1e-9, abs=1e-300)
    assert kolmogorov(0) == 1 and kolmogorov(50) == 0
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 1, 4000), rng.normal(0.05, 1, 3000)
    assert kolmogorov_smirnov(a, b).p_value == pytest.approx(stats.ks_2samp(a, b, method="asymp").pvalue, rel=0.05)


def test_weights_lower_the_significance():
    rng = np.random.default_rng(2)
    w = rng.exponential(1, 100_000)
    assert effective_size(w) == pytest.approx(len(w) / 2, rel=0.02) and effective_size(np.full(7, 3.0)) == pytest.approx(7)
    p = []
    for _ in range(200):
        a, b, w = rng.normal(0, 1, 500), rng.normal(0, 1, 400), rng.exponential(1, 500)
        p.append(kolmogorov_smirnov(a, b, w).p_value)
    assert stats.kstest(p, "uniform").pvalue > 1e-4  # flat, as a p-value must be
    wrong = [kolmogorov(x * np.sqrt(2)) for x in stats.kstwobign.isf(p)]
    assert stats.kstest(wrong, "uniform").pvalue < 1e-4  # and that test can fail


DRAWS = {"plain": lambda rng, n: (rng.normal(0, 1, n), None), "ties": lambda rng, n: (rng.poisson(3, n).astype(float), None),
         "weights": lambda rng, n: (rng.normal(0, 1, n), rng.exponential(1, n))}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_what_chance_gives_is_what_repeated_experiments_give(draw):
    rng = np.random.default_rng(3)
    found = []
    for _ in range(300):
        (a, w), (b, v) = draw(rng, 500), draw(rng, 800)
        found.append((wasserstein(a, b, w, v), kolmogorov_smirnov(a, b, w, v).distance))
    told = np.array(equal_distances(a, b, w, v, draws=300))
    np.testing.assert_allclose(told.mean(1), np.mean(found, axis=0), rtol=0.12)
    np.testing.assert_allclose(np.quantile(told, 0.95, axis=1), np.quantile(found, 0.95, axis=0), rtol=0.18)
    assert (told == equal_distances(a, b, w, v, draws=300)).all()


def test_what_chance_gives_does_not_grow_with_the_difference():
    rng = np.random.default_rng(4)
    a, b = rng.normal(0, 1, 1000), rng.normal(0, 1, 1000)
    near, far = equal_distances(a, b)[0], equal_distances(a, b + 10)[0]
    assert far.mean() == pytest.approx(near.mean() * 2**0.5, rel=0.15)  # ∫|G_a| + ∫|G_b| in place of ∫|G_a - G_b|
    assert far.max() < 0.5 < wasserstein(a, b + 10)


def test_bad_samples_are_one_sentence():
    for args, piece in ((([], [1.0]), "sample a is empty"), (([1.0], [np.nan]), "sample b: 1 of 1 values are NaN"),
                        (([1.0, np.inf], [1.0]), "sample a: 1 of 2 values"), (([1.0], [1.0], [1.0, 2.0]), "a weight for each"),
                        (([1.0], [1.0], [0.0]), "sum above 0"), (([1.0], [1.0], [np.nan]), "weights are NaN")):
        for function in (wasserstein, kolmogorov_smirnov, equal_distances):
            with pytest.raises(InputError, match=piece):
                function(*args)
    with pytest.raises(InputError, match="draws=0"):
        equal_distances([1.0], [1.0], draws=0)
