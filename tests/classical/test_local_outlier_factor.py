"""Local outlier factor against scikit-learn's own scores."""

import numpy as np
import pytest
from sklearn import neighbors

from qad import detector
from qad.errors import InputError

RNG = np.random.default_rng(3)
X = RNG.normal(size=(700, 4)) @ RNG.normal(size=(4, 4))
NEW = np.r_[3 * RNG.normal(size=(300, 4)), [[60.0, -60, 60, -60]]]


@pytest.mark.parametrize(("n", "k"), [(700, 1), (700, 20), (15, 20), (2, 1)])
def test_equal_to_scikit_learn(n, k):
    ours = detector.get("local-outlier-factor", k=k).fit(X[:n])
    judge = neighbors.LocalOutlierFactor(min(k, n - 1), algorithm="kd_tree", novelty=True).fit(X[:n])
    np.testing.assert_allclose(ours.anomaly_score(NEW), -judge.score_samples(NEW), rtol=1e-9)


def test_references_are_a_subset_drawn_by_the_seed():
    few = [detector.get("local-outlier-factor", n_references=50, random_state=seed).fit(X) for seed in (0, 0, 1)]
    first, again, other = (f.references_ for f in few)
    assert first.shape == (50, 4) and (first[:, None] == X).all(2).any(1).all()
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    judge = neighbors.LocalOutlierFactor(20, algorithm="kd_tree", novelty=True).fit(first)
    np.testing.assert_allclose(few[0].anomaly_score(NEW), -judge.score_samples(NEW), rtol=1e-9)


@pytest.mark.parametrize("events", [np.ones((30, 3)), np.repeat(X[:2], 40, axis=0), np.r_[np.zeros((21, 4)), X[:50]]])
def test_equal_events_give_no_infinity(events):
    fitted = detector.get("local-outlier-factor").fit(events)
    score = fitted.anomaly_score(np.r_[events, events[:1] + 1e-12, events[:1] + 1, events[:1] + 100])
    assert np.isfinite(score).all() and (score > 0).all() and score.max() < 1e14
    assert score[-2] > score[-3] > score[0] == pytest.approx(1)


def test_where_all_is_as_dense_the_score_is_one():
    line = np.arange(400.0)[:, None]
    score = detector.get("local-outlier-factor", k=4).fit(line).anomaly_score(line[100:300] + 0.5)
    np.testing.assert_allclose(score, score[0])
    assert score[0] == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("params", [{"k": 0}, {"n_references": 1}])
def test_parameters_out_of_range_are_one_sentence(params):
    with pytest.raises(InputError, match="expected k"):
        detector.get("local-outlier-factor", **params).fit(X)
