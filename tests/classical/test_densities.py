"""Kernel density, mixture, nearest neighbours and isolation forest against scikit-learn's own scores."""

import numpy as np
import pytest
from sklearn import ensemble, mixture, neighbors

from qad import detector
from qad.errors import InputError

RNG = np.random.default_rng(3)
X = RNG.normal(size=(700, 4)) @ RNG.normal(size=(4, 4))
NEW = np.r_[3 * RNG.normal(size=(300, 4)), [[60.0, -60, 60, -60]]]  # the last is far from everything


@pytest.mark.parametrize("bandwidth", [0.3, 1.0, 2.5])
def test_kernel_density(bandwidth):
    ours = detector.get("kernel-density", bandwidth=bandwidth).fit(X)
    # one leaf: with several, scikit-learn's bounds cancel in the far tails (7e-3 off where the density is e⁻⁵⁶)
    judge = neighbors.KernelDensity(bandwidth=bandwidth, leaf_size=len(X)).fit(X)
    np.testing.assert_allclose(ours.anomaly_score(NEW), -judge.score_samples(NEW), rtol=1e-9)


@pytest.mark.parametrize(("n", "params"), [(700, {}), (700, {"n_components": 3}), (6, {}), (2, {})])
def test_gaussian_mixture(n, params):
    ours = detector.get("gaussian-mixture", **params).fit(X[:n])
    judge = mixture.GaussianMixture(min(n, params.get("n_components", 8)), max_iter=200, random_state=0,
                                    reg_covar=1e-6 * X[:n].var(0).mean()).fit(X[:n])
    np.testing.assert_allclose(ours.anomaly_score(NEW), -judge.score_samples(NEW), rtol=1e-9)
    assert ours.diagnostics_ == {"converged": True, "n_iter": judge.n_iter_}


def test_a_mixture_that_did_not_converge_says_so():
    assert detector.get("gaussian-mixture", max_iter=1).fit(X).diagnostics_ == {"converged": False, "n_iter": 1}


@pytest.mark.parametrize("k", [1, 25])
def test_nearest_neighbours(k):
    ours = detector.get("nearest-neighbours", k=k).fit(X)
    distance, _ = neighbors.NearestNeighbors(n_neighbors=k, algorithm="kd_tree").fit(X).kneighbors(NEW)
    np.testing.assert_allclose(ours.anomaly_score(NEW), distance.mean(1), rtol=1e-12)


@pytest.mark.parametrize("n", [2, 3, 100, 700])
def test_isolation_forest(n):
    rounded = X[:n].round(0)  # some events are the same: leaves hold several
    ours = detector.get("isolation-forest", random_state=5).fit(rounded)
    judge = ensemble.IsolationForest(max_samples=min(n, 256), random_state=5).fit(rounded)
    np.testing.assert_allclose(ours.anomaly_score(NEW), -judge.score_samples(NEW), rtol=1e-12)


@pytest.mark.parametrize("name", ["kernel-density", "nearest-neighbours", "contrastive-kernel-pca"])
def test_references_are_a_subset_drawn_by_the_seed(name):
    few = [detector.get(name, n_references=50, random_state=seed).fit(X) for seed in (0, 1)]
    first, second = (f.references_[:50] for f in few)
    assert len(first) == 50 and (first[:, None] == X).all(2).any(1).all() and not np.array_equal(first, second)


@pytest.mark.parametrize("name", ["kernel-density", "gaussian-mixture", "nearest-neighbours", "isolation-forest",
                                  "contrastive-kernel-pca"])
@pytest.mark.parametrize("events", [X[:2], X[:3, :1], np.ones((30, 3)), np.c_[X[:40], np.ones(40)], 1e4 * X[:40],
                                    np.repeat(X[:2], 20, axis=0)],
                         ids=["two", "one-feature", "constant", "constant-column", "large", "repeated"])
def test_poor_inputs_still_give_scores(name, events):
    score = detector.get(name).fit(events).anomaly_score(np.r_[events, events[:1] + 1])
    assert np.isfinite(score).all() and score[-1] >= score[:-1].min()


@pytest.mark.parametrize(("name", "params"), [
    ("kernel-density", {"bandwidth": 0}), ("kernel-density", {"n_references": 0}), ("gaussian-mixture", {"n_components": 0}),
    ("nearest-neighbours", {"k": 0}), ("isolation-forest", {"max_samples": 1}), ("isolation-forest", {"n_estimators": 0}),
    ("contrastive-kernel-pca", {"bandwidth": -1.0}), ("contrastive-kernel-pca", {"contrast": 1.0}),
    ("contrastive-kernel-pca", {"contrast": -0.1}),
])
def test_parameters_out_of_range_are_one_sentence(name, params):
    with pytest.raises(InputError, match="expected"):
        detector.get(name, **params).fit(X)
