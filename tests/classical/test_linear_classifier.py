"""The linear classifier: its loss minimised by others, closed forms, columns that are copies of each other."""

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from classical.linear_classifier import STRENGTHS, LinearClassifier
from qad.errors import InputError, NotConvergedWarning
from qad.metrics import auc


def events(n=400, seed=0, shift=1.0, columns=4):
    rng = np.random.default_rng(seed)
    y = np.repeat([0, 1], [n, n // 4])
    mixing = np.random.default_rng(99).normal(size=(columns, columns))
    X = (rng.normal(size=(len(y), columns)) + shift * np.outer(y, np.arange(columns) == 0)) @ mixing
    return 5 + X * np.logspace(-9, 3, columns), y


@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize("C", [0.003, 1.0])
def test_the_minimum_is_that_of_the_loss_written_down(balanced, C):
    X, y = events()
    Z = (X - X.mean(0)) / X.std(0)
    weight = np.where(y == 1, len(y) / (2 * y.sum()), len(y) / (2 * (1 - y).sum())) if balanced else np.ones(len(y))

    def loss(w):
        odds = Z @ w[:-1] + w[-1]
        return C * (weight * np.logaddexp(0, np.where(y == 1, -odds, odds))).sum() + (w[:-1] ** 2).sum() / 2

    best = minimize(loss, np.zeros(5), method="Nelder-Mead", options={"maxiter": 20_000, "xatol": 1e-7, "fatol": 1e-10}).x
    model = LinearClassifier(C=C, balanced=balanced).fit(X, y)
    np.testing.assert_allclose(np.r_[model.coef_, model.intercept_], best, atol=1e-4)
    np.testing.assert_allclose(model.anomaly_score(X), Z @ best[:-1] + best[-1], atol=1e-3)
    assert model.diagnostics_["converged"] and model.diagnostics_["C"] == C and model.parameters_ == 5


def test_gaussians_of_one_width():
    """ln p(x|1)/p(x|0) = (x - Δ/2)·Δ for N(0, 1) and N(Δ, 1), however many of each: its slope and its zero."""
    rng = np.random.default_rng(3)
    y = np.repeat([0, 1], [20_000, 10_000])
    X = rng.normal(size=(len(y), 2)) + np.outer(y, [1.5, 0])
    model = LinearClassifier().fit(X, y)
    score = model.anomaly_score([[0.75, 0], [1.75, 0], [0.75, 1]])
    assert score[0] == pytest.approx(0, abs=0.05) and score[1] - score[0] == pytest.approx(1.5, abs=0.06)
    assert score[2] - score[0] == pytest.approx(0, abs=0.05)
    counted = LinearClassifier(balanced=False).fit(X, y).anomaly_score([[0.75, 0]])
    assert counted[0] == pytest.approx(np.log(0.5), abs=0.05)


def test_collinear_columns():
    """A thousand mixtures of five: as good as the five, and found in a few steps."""
    rng = np.random.default_rng(4)
    y = np.arange(3000) % 2
    five = rng.normal(size=(3000, 5)) + np.outer(y, [1, 0, 0, 0, 0])
    many = five @ rng.normal(size=(5, 1000))
    few, all_of = LinearClassifier(C=1e4).fit(five, y), LinearClassifier(C=1e4).fit(many, y)
    assert all_of.diagnostics_["converged"] and all_of.diagnostics_["iterations"] < 20
    np.testing.assert_allclose(all_of.anomaly_score(many), few.anomaly_score(five), atol=2e-3)


@pytest.mark.parametrize(("n", "columns"), [(60, 200), (300, 20)])
def test_turning_the_axes_changes_nothing(n, columns):
    """On principal directions, of which there are fewer than columns, the same as scikit-learn on the columns themselves."""
    rng = np.random.default_rng(5)
    X, y = rng.normal(size=(n, columns)), np.arange(n) % 2
    X[:, 0] += y
    X[:, -1] = 7.0
    Z = (X - X.mean(0)) / np.where(X.std(0) > 0, X.std(0), np.inf)
    judge = LogisticRegression(C=0.1, tol=1e-10, max_iter=10_000).fit(Z, y)
    model = LinearClassifier(C=0.1).fit(X, y)
    np.testing.assert_allclose(model.coef_, judge.coef_[0], atol=1e-5)
    assert model.coef_[-1] == pytest.approx(0, abs=1e-12)
    X[:, -1] += 1e6  # what was constant counts for nothing afterwards
    np.testing.assert_allclose(model.anomaly_score(X), judge.decision_function(Z), atol=1e-4)


def test_units_change_nothing():
    X, y = events()
    plain = LinearClassifier().fit(X, y)
    scaled = LinearClassifier().fit(X * [1e-12, 1, 1e9, -1] + [0, 0, 5, 0], y)
    np.testing.assert_allclose(scaled.anomaly_score(X * [1e-12, 1, 1e9, -1] + [0, 0, 5, 0]), plain.anomaly_score(X), atol=1e-5)


def test_strength_is_chosen_on_events_held_back():
    rng = np.random.default_rng(6)
    y = np.arange(400) % 2
    noisy = rng.normal(size=(400, 150)) + np.outer(y, 0.3 * (np.arange(150) < 10))
    clear = rng.normal(size=(400, 2)) + np.outer(y, [1, 0])
    for X, least, most in ((noisy, 1e-4, 1e-2), (clear, 1, 1e4)):
        found = LinearClassifier().fit(X, y).diagnostics_
        tried = {float(k): v for k, v in found["held_back"].items()}
        assert found["C"] == min(tried, key=tried.get) and least <= found["C"] <= most and set(tried) <= set(STRENGTHS)
    test = rng.normal(size=(2000, 150)) + np.outer(t := np.arange(2000) % 2, 0.3 * (np.arange(150) < 10))
    chosen, free = (LinearClassifier(C=C).fit(noisy, y).anomaly_score(test) for C in (None, 1e4))
    assert auc(chosen[t == 0], chosen[t == 1]) > auc(free[t == 0], free[t == 1]) + 0.02
    small = LinearClassifier().fit(clear[:4], y[:4])
    assert small.diagnostics_["C"] == 1 and small.diagnostics_["held_back"] == {}


@pytest.mark.filterwarnings("always::qad.errors.NotConvergedWarning")
def test_what_has_not_converged_is_called_so():
    X, y = events(shift=3.0)
    with pytest.warns(NotConvergedWarning, match="1 iterations with C=100 did not reach the minimum: take a smaller C"):
        model = LinearClassifier(C=100.0, max_iter=1).fit(X, y)
    assert not model.diagnostics_["converged"] and len(model.diagnostics_["problems"]) == 1
    assert np.isfinite(model.anomaly_score(X)).all()


@pytest.mark.filterwarnings("error::qad.errors.NotConvergedWarning")
def test_separable_classes_and_no_information_converge():
    y = np.arange(200) % 2
    apart = LinearClassifier(C=1e4).fit(np.c_[y * 2.0, np.random.default_rng(0).normal(size=200)], y)
    assert (apart.anomaly_score(np.c_[[0.0, 2.0], [0, 0]]) > 0).tolist() == [False, True]
    np.testing.assert_allclose(LinearClassifier().fit(np.zeros((200, 3)), y).anomaly_score(np.ones((2, 3))), 0, atol=1e-12)


@pytest.mark.parametrize(("settings", "sentence"), [
    ({"C": 0}, "C=0: expected a number above 0"), ({"validation_fraction": 1}, "below 1"), ({"balanced": 1}, "true or false"),
    ({"max_iter": 0}, "max_iter=0"), ({"random_state": -1}, "random_state=-1")])
def test_settings_are_checked(settings, sentence):
    X, y = events(50)
    with pytest.raises(InputError, match=sentence):
        LinearClassifier(**settings).fit(X, y)
