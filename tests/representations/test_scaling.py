import numpy as np
import pytest

from qad import representations
from qad.errors import InputError
from qad.persistence import load, save


def angles(**params):
    return representations.get("angles", **params)


def test_fixed_bounds_are_linear_and_learn_nothing(tmp_path):
    X = np.array([[0.0, -1.0], [250.0, 0.0], [1000.0, 1.0]])
    expected = np.pi * np.array([[0, 0], [0.25, 0.5], [1, 1]])
    fitted = angles(bounds=[[0, 1000], [-1, 1]]).fit(X[:2])
    np.testing.assert_allclose(fitted.transform(X), expected)
    np.testing.assert_allclose(angles(bounds=[[0, 1000], [-1, 1]]).fit(X[1:] / 2).transform(X), expected)
    save(fitted, tmp_path / "m")
    np.testing.assert_array_equal(load(tmp_path / "m").transform(X), fitted.transform(X))


def test_one_pair_serves_all_columns():
    X = np.random.default_rng(0).uniform(-2, 5, (30, 3))
    np.testing.assert_allclose(angles(bounds=[-2, 5]).fit(X).transform(X), angles(bounds=[[-2, 5]] * 3).fit(X).transform(X))


def test_the_same_as_the_quantum_detectors_bounds():
    from qad.quantum import FeatureAutoencoder

    X, bounds = np.random.default_rng(1).uniform(0, 900, (60, 3)), [[0, 1000], [0, 900], [-10, 950]]
    model = FeatureAutoencoder(bounds=bounds, epochs=1).fit(X)
    np.testing.assert_allclose(angles(bounds=bounds).fit(X).transform(X), model.inputs(X))


def test_an_event_outside_is_a_sentence_that_names_the_column():
    fitted = angles(bounds=[[0, 10], [0, 1]]).fit(np.ones((5, 2)))
    with pytest.raises(InputError, match=r"2 of 3 events lie outside the bounds in column 1"):
        fitted.transform(np.array([[10.0, 1.0], [3.0, 1.01], [3.0, -0.1]]))


@pytest.mark.parametrize("bounds", [[1, 0], [[0, 1]], [[0, 1], [1, 1]], [[0, 1], [0, float("inf")]], "fitted", [0, 1, 2],
                                    [["a", 1]] * 2])
def test_bounds_that_make_no_sense_are_a_sentence(bounds):
    with pytest.raises(InputError, match=r"expected \[low, high\], low < high"):
        angles(bounds=bounds).fit(np.ones((5, 2)))
