"""One-class support vector machine and k-means against scikit-learn."""

import numpy as np
import pytest
from sklearn import cluster, svm

from qad import detector
from qad.errors import InputError


def background(n=300, features=6, seed=0):
    return np.random.default_rng(seed).normal(size=(n, features)) * [1, 2, 1, 1, 3, 1]


def test_one_class_svm_against_sklearn():
    X, test = background(), background(50, seed=1)
    for gamma in ("scale", 0.3):
        ours = detector.get("one-class-svm", nu=0.1, gamma=gamma, n_references=1000).fit(X)
        theirs = svm.OneClassSVM(nu=0.1, gamma=gamma).fit(X)
        np.testing.assert_allclose(ours.anomaly_score(test), -theirs.decision_function(test), atol=1e-6)
        assert ours.support_vectors_.shape == theirs.support_vectors_.shape


def test_k_means_against_sklearn():
    X, test = background(), background(50, seed=1)
    ours = detector.get("k-means", n_clusters=3, n_references=1000).fit(X)
    theirs = cluster.KMeans(3, n_init=10, random_state=0).fit(X)
    np.testing.assert_allclose(ours.anomaly_score(test), theirs.transform(test).min(1) ** 2, rtol=1e-9)
    one = detector.get("k-means", n_clusters=1, n_references=1000).fit(X)
    np.testing.assert_allclose(one.anomaly_score(test), ((test - X.mean(0)) ** 2).sum(1))


@pytest.mark.parametrize("name", ["one-class-svm", "k-means"])
def test_references_are_drawn_by_seed(name):
    X = background()
    scores = [detector.get(name, n_references=40, random_state=s).fit(X).anomaly_score(X) for s in (0, 0, 1)]
    np.testing.assert_array_equal(scores[0], scores[1])
    assert not np.allclose(scores[0], scores[2])


@pytest.mark.parametrize(("name", "params"), [
    ("one-class-svm", {"nu": 1.5}), ("one-class-svm", {"gamma": "auto"}), ("one-class-svm", {"gamma": -1.0}),
    ("one-class-svm", {"n_references": 0}), ("k-means", {"n_clusters": 0}), ("k-means", {"n_init": 0}),
    ("k-means", {"n_references": 1})])
def test_what_a_user_may_get_wrong(name, params):
    with pytest.raises(InputError, match=f"{next(iter(params))}=.*expected"):
        detector.get(name, **params).fit(background(20))
