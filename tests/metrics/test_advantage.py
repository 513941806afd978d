"""Δ = (1/ε_b)_a / (1/ε_b)_b with its error, against closed forms and a simulation."""

import numpy as np
import pytest

from qad.errors import InputError
from qad.metrics import rejection, rejection_ratio, roc


def test_closed_form():
    """Means 8 and 4, standard deviations 2 and 1: Δ = 2 ± 2 √(1/16 + 1/16)."""
    found = rejection_ratio([6, 8, 10], [3, 4, 5])
    assert found.value == pytest.approx(2) and found.error == pytest.approx(2 * np.sqrt(1 / 8))
    back = rejection_ratio([3, 4, 5], [6, 8, 10])
    assert back.value == pytest.approx(1 / found.value)
    assert back.error / back.value == pytest.approx(found.error / found.value)
    assert rejection_ratio([60, 80, 100], [30, 40, 50]) == found  # units do not matter


def test_the_error_is_the_spread_of_ratios():
    rng = np.random.default_rng(0)
    a, b = rng.normal(100, 3, 40_000), rng.normal(50, 1, 40_000)
    assert rejection_ratio(a, b).error == pytest.approx((a / b).std(), rel=0.02)


def test_uniform_scores():
    """Background uniform on [0, 1]; signal min of it and another: ε_s(ε_b) known, Δ from rejections follows."""
    b, s = np.arange(20_000) / 20_000, np.sqrt(np.arange(20_000) / 20_000)  # P(s < t) = t²
    at = rejection(roc(b, s), 0.6)
    assert at == pytest.approx(1 / (1 - np.sqrt(0.4)), rel=1e-3)
    assert rejection_ratio([at, at], [1 / 0.6, 1 / 0.6]).value == pytest.approx(0.6 / (1 - np.sqrt(0.4)), rel=1e-3)
    assert rejection_ratio([at, at], [at, at]).error == 0


def test_missing_numbers_and_mistakes():
    assert np.isnan(rejection_ratio([np.nan, 3], [1, 2]).value) and np.isnan(rejection_ratio([np.nan, 3], [1, 2]).error)
    with pytest.raises(InputError, match="two seeds or more"):
        rejection_ratio([1], [1, 2])
    with pytest.raises(InputError, match="above 0"):
        rejection_ratio([1, 0], [1, 2])
