"""Principal components against scikit-learn and closed forms; smeared images against SciPy and their own sums."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from sklearn.decomposition import PCA

from qad.errors import InputError
from qad.representations.components import PrincipalComponents
from qad.representations.images import Images
from tests.conftest import toy_jets

RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 6)) * [5, 3, 2, 1, 0.5, 0.1] @ np.linalg.qr(RNG.normal(size=(6, 6)))[0] + 7


def test_they_are_scikit_learns():
    found = PrincipalComponents(3).fit(X).transform(X)
    expected = PCA(3, whiten=True).fit_transform(X)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    plain = PrincipalComponents(3, whiten=False).fit(X).transform(X)
    np.testing.assert_allclose(plain.std(0, ddof=1), np.sqrt(PCA(3).fit(X).explained_variance_), rtol=1e-9)


def test_white_means_white():
    found = PrincipalComponents(6).fit(X).transform(X)
    np.testing.assert_allclose(np.cov(found.T), np.eye(6), atol=1e-9)
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-9)


def test_what_lies_outside_is_forgotten():
    model = PrincipalComponents(2).fit(X)
    outside = np.linalg.svd(model.directions_)[2][2:]
    np.testing.assert_allclose(model.transform(X + 3 * outside[0]), model.transform(X), atol=1e-9)


def test_directions_without_variance_divide_by_one():
    found = PrincipalComponents(3).fit(np.c_[X[:, :2], np.ones((400, 2))]).transform(np.c_[X[:, :2], np.ones((400, 2))])
    np.testing.assert_allclose(found[:, 2], 0, atol=1e-9)


@pytest.mark.parametrize(("k", "X", "sentence"), [
    (7, X, "from 1 to 6"), (0, X, "from 1 to 6"), (True, X, "from 1 to 6"), (2, X[:, :, None], "put 'flatten' in front")])
def test_wrong_input_is_one_sentence(k, X, sentence):
    with pytest.raises(InputError, match=sentence):
        PrincipalComponents(k).fit(X)


def test_other_columns_are_one_sentence():
    with pytest.raises(InputError, match="fitted on 6 columns; got 5"):
        PrincipalComponents(2).fit(X).transform(X[:, :5])


def test_a_smeared_image_is_the_image_smeared():
    jets = toy_jets(20, seed=0)
    sharp, smeared = (Images(pixels=20, power=0.5, blur=b).fit(jets).transform(jets) for b in (0, 1.0))
    for a, b in zip(sharp, smeared, strict=True):
        np.testing.assert_allclose(b, gaussian_filter(a, 1.0, mode="constant"), rtol=1e-5, atol=1e-7)
    assert smeared.dtype == np.float32 and not np.array_equal(sharp, smeared)


def test_a_negative_blur_is_one_sentence():
    with pytest.raises(InputError, match="blur=-1"):
        Images(blur=-1).fit(toy_jets(2, seed=0)).transform(toy_jets(2, seed=0))
