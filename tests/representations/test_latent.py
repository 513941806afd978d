"""The learned embedding: frozen, deterministic, and better than a random one of the same shape."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from qad import load, representations, save
from qad.errors import InputError
from qad.representations.latent import LearnedLatent


def table(n=500, seed=0):
    """Twelve columns that three numbers determine."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(n, 3))
    mix = np.random.default_rng(7).normal(size=(3, 12))
    return np.tanh(hidden @ mix) + 0.01 * rng.normal(size=(n, 12))


def test_it_keeps_what_its_inputs_hold():
    X, test = table(), table(200, 1)
    R2 = {}
    for epochs in (0, 60):
        z = LearnedLatent(latent=3, epochs=epochs).fit(X)
        R2[epochs] = LinearRegression().fit(z.transform(X), X).score(z.transform(test), test)
    assert R2[60] > 0.85 and R2[60] > R2[0] + 0.1


def test_it_is_bounded_and_changes_only_by_its_own_seed(tmp_path):
    X = table()
    a, b, c = (LearnedLatent(latent=4, epochs=3, random_state=s).fit(X) for s in (0, 0, 1))
    far = a.transform(1e3 * X)
    assert a.transform(X).shape == (500, 4) and np.abs(far).max() <= 1 and a.transform(X).dtype == np.float64
    np.testing.assert_array_equal(a.transform(X), b.transform(X))
    assert not np.allclose(a.transform(X), c.transform(X))
    frozen = a.transform(X)
    a.transform(table(100, 5))
    np.testing.assert_array_equal(a.transform(X), frozen)
    np.testing.assert_allclose(a.transform(X[:1]), frozen[:1], atol=1e-12)
    save(c, tmp_path / "z")
    np.testing.assert_array_equal(load(tmp_path / "z").transform(X), c.transform(X))


def test_bad_input_is_one_sentence(qcd_toys):
    fitted = LearnedLatent(epochs=1).fit(table(50))
    for wrong, sentence in ((qcd_toys, "got a Sample"), (np.ones((3, 12, 2)), "put 'flatten' in front"),
                            (np.ones((3, 5)), "fitted on 12 features; got 5"), (np.full((3, 12), np.nan), "finite numbers")):
        with pytest.raises(InputError, match=sentence):
            fitted.transform(wrong)
    with pytest.raises(InputError, match="at least 2 events"):
        LearnedLatent().fit(table(1))
    for params in ({"latent": 0}, {"hidden": (8, 0)}):
        with pytest.raises(InputError, match="positive layer sizes"):
            representations.get("learned-latent", **params).fit(table(50))
