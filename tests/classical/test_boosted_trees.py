"""Boosted trees that are told labels: scikit-learn judges the arrays they are kept as; closed forms judge the rest."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from classical.boosted_trees import BLOCK, BoostedTrees
from classical.weak_boosted_trees import WeakBoostedTrees
from qad.errors import InputError
from qad.metrics import auc


def events(n=1500, seed=0, shift=1.0):
    rng = np.random.default_rng(seed)
    y = np.repeat([0, 1], [n, n // 3])
    return rng.normal(size=(len(y), 3)) + np.outer(y, [shift, 0, 0]), y


def members(model, X, y):
    """The same classifiers, scored by scikit-learn."""
    early = model.validation_fraction > 0
    seeds = np.random.SeedSequence(model.random_state).generate_state(model.n_members)
    return [HistGradientBoostingClassifier(
        max_iter=model.n_trees, learning_rate=model.learning_rate, max_leaf_nodes=model.max_leaf_nodes,
        l2_regularization=model.l2_regularization, early_stopping=early, n_iter_no_change=model.patience,
        validation_fraction=model.validation_fraction or None, class_weight="balanced" if model.balanced else None,
        random_state=int(seed)).fit(X, y) for seed in seeds]


@pytest.mark.parametrize("settings", [
    {}, {"balanced": False, "max_leaf_nodes": 8, "l2_regularization": 2.0}, {"n_members": 3, "random_state": 5},
    {"validation_fraction": 0, "n_trees": 15}, {"n_trees": 1, "max_leaf_nodes": 2}])
def test_scores_are_scikit_learns_log_odds(settings):
    X, y = events()
    model = BoostedTrees(**settings).fit(X, y)
    judges = members(model, X, y)
    # at every cut itself (<= goes left), and just beside it
    at = np.tile(X[: len(model.threshold_)], (len(model.threshold_) // len(X) + 1, 1))[: len(model.threshold_)]
    at[np.arange(len(at)), model.feature_] = model.threshold_
    beside = at.copy()
    beside[np.arange(len(at)), model.feature_] = np.nextafter(model.threshold_, np.inf)
    far = np.array([[-1e300, 1e300, 0], [1e300, -1e300, 1e-300]])
    for given in (X, X.astype(np.float32), at, beside, far, np.tile(X, (3, 1))[: 2 * BLOCK + 7]):
        wanted = np.mean([j.decision_function(given) for j in judges], axis=0)
        np.testing.assert_allclose(model.anomaly_score(given), wanted, atol=1e-9, rtol=0)
    assert model.diagnostics_["trees"] == [j.n_iter_ for j in judges]
    if len(model.threshold_) > 100:
        assert (model.anomaly_score(at) != model.anomaly_score(beside)).mean() > 0.1  # so that <= and < would differ


def test_classes_too_small_to_hold_back_grow_all_trees():
    X, _ = events(60)
    y = (np.arange(len(X)) < 3).astype(int)
    assert BoostedTrees(n_trees=12).fit(X, y).diagnostics_["trees"] == [12]
    assert BoostedTrees(n_trees=200, validation_fraction=0.4).fit(X, y).diagnostics_["trees"][0] < 200


def test_balanced_classes_weigh_the_same():
    """Where nothing can be learnt the log-odds are 0, or without weights those of the class sizes."""
    X, y = np.zeros((400, 2)), np.repeat([0, 1], [300, 100])
    np.testing.assert_allclose(BoostedTrees().fit(X, y).anomaly_score(X), 0, atol=1e-9)
    np.testing.assert_allclose(BoostedTrees(balanced=False).fit(X, y).anomaly_score(X), np.log(1 / 3), atol=1e-6)


def test_an_ensemble_is_the_mean_of_different_members():
    X, y = events()
    both = BoostedTrees(n_members=2).fit(X, y)
    one, two = (j.decision_function(X) for j in members(both, X, y))
    assert np.abs(one - two).max() > 0.01
    np.testing.assert_allclose(both.anomaly_score(X), (one + two) / 2, atol=1e-9)
    # no member of one seed is a member of the next
    assert not np.array_equal(BoostedTrees(random_state=1).fit(X, y).anomaly_score(X), two)


def test_mixtures_teach_what_pure_classes_teach():
    """CWoLa: half of the data are signal, and no event's label is known; the log-odds saturate at ln(1 - f) below."""
    X, y = events(4000, shift=2.5)
    rng = np.random.default_rng(1)
    background, signal = X[y == 0], X[y == 1]
    mixed = np.concatenate([background[:2000], background[2000:3300], signal])
    told = np.repeat([0, 1], [2000, 1300 + len(signal)])
    order = rng.permutation(len(mixed))
    weak = WeakBoostedTrees(n_members=5).fit(mixed[order], told[order])
    test, truth = events(3000, seed=9, shift=2.5)
    score = weak.anomaly_score(test)
    best = auc(test[truth == 0, 0], test[truth == 1, 0])  # the first feature is the likelihood ratio
    assert auc(score[truth == 0], score[truth == 1]) > best - 0.02
    fraction = len(signal) / told.sum()
    assert np.median(score[truth == 0]) == pytest.approx(np.log(1 - fraction), abs=0.15)
    assert weak.kind == "weak" and BoostedTrees.kind == "supervised"


def test_data_like_the_reference_find_nothing():
    X, _ = events(4000, shift=0.0)
    told = np.arange(len(X)) % 2
    weak = WeakBoostedTrees(n_members=5).fit(X, told)
    assert np.abs(weak.anomaly_score(X)).mean() < 0.2


@pytest.mark.parametrize(("settings", "sentence"), [
    ({"n_members": 0}, "n_members=0: expected a whole number from 1"), ({"n_trees": True}, "n_trees=True"),
    ({"max_leaf_nodes": 1}, "from 2"), ({"learning_rate": 0}, "learning_rate=0: expected a number above 0"),
    ({"validation_fraction": 1.0}, "below 1"), ({"l2_regularization": -1}, "l2_regularization=-1: expected a number from 0")])
def test_settings_are_checked(settings, sentence):
    X, y = events(50)
    with pytest.raises(InputError, match=sentence):
        BoostedTrees(**settings).fit(X, y)


def test_progress_counts_members():
    X, y = events(200)
    told = []
    model = WeakBoostedTrees(n_members=3)
    model.progress = lambda done, planned: told.append((done, planned))
    model.fit(X, y)
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_published_signal_region(published):
    """The LHC Olympics features: far better with labels than the best single feature (max SIC near 2)."""
    from qad.metrics import max_sic, roc

    train, test = (np.load(published / f"lhco_signal_region_{part}.npy") for part in ("train", "validation"))
    score = BoostedTrees().fit(train[:, 1:5], train[:, 5]).anomaly_score(test[:, 1:5])
    signal = test[:, 5] == 1
    assert auc(score[~signal], score[signal]) > 0.93
    assert max_sic(roc(score[~signal], score[signal])) > 7


def test_inliers_are_those_of_the_background():
    rng = np.random.default_rng(0)
    X, y = np.r_[rng.normal(0, 1, (300, 2)), rng.normal(2, 1, (300, 2))], np.repeat([0, 1], 300)
    fitted = BoostedTrees(n_trees=20).fit(X, y)
    assert fitted.offset_ == np.quantile(-fitted.anomaly_score(X[:300]), 0.01)
