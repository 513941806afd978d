import numpy as np
import pytest

from qad import detector

RNG = np.random.default_rng(1)
X = RNG.normal(size=(60, 3)) @ RNG.normal(size=(3, 3))
NEW = RNG.normal(size=(20, 3)) * 1.5


@pytest.mark.parametrize("bandwidth", [0.5, 2.0])
def test_without_contrast_it_is_kernel_pca(bandwidth):
    ours, plain = (detector.get(name, bandwidth=bandwidth, n_references=40, random_state=2, **more).fit(X)
                   for name, more in (("contrastive-kernel-pca", {"contrast": 0.0}), ("kernel-pca", {})))
    np.testing.assert_allclose(ours.anomaly_score(NEW), plain.anomaly_score(NEW), atol=1e-10)


@pytest.mark.parametrize("bandwidth", [0.3, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("contrast", [0.5, 0.75, 0.99])
def test_against_operators_written_out(bandwidth, contrast):
    """ρ - λσ as a matrix: features of all events concerned are the rows of a square root of their kernel matrix."""
    ours = detector.get("contrastive-kernel-pca", bandwidth=bandwidth, contrast=contrast).fit(X)
    events = np.r_[ours.references_, NEW]
    kernel = np.exp(-((events[:, None] - events) ** 2).sum(2) / (2 * bandwidth**2 * 3))
    values, vectors = np.linalg.eigh(kernel)
    phi = vectors * np.sqrt(values.clip(0))
    real, shuffled, new = phi[:60], phi[60:120], phi[120:]
    top, v = np.linalg.eigh(real.T @ real / 60 - contrast * shuffled.T @ shuffled / 60)
    assert top[-1] > 0
    np.testing.assert_allclose(ours.anomaly_score(NEW), 1 - (new @ v[:, -1]) ** 2, atol=1e-6)


def test_the_shuffled_references_keep_their_marginals_and_lose_their_correlation():
    x = np.random.default_rng(0).normal(size=(1000, 1))
    ours = detector.get("contrastive-kernel-pca").fit(np.c_[x, x])
    real, shuffled = np.split(ours.references_, 2)
    np.testing.assert_array_equal(np.sort(real, axis=0), np.sort(shuffled, axis=0))
    assert np.corrcoef(real.T)[0, 1] > 0.999 and abs(np.corrcoef(shuffled.T)[0, 1]) < 0.15


def test_v_has_unit_norm():
    ours = detector.get("contrastive-kernel-pca").fit(X)
    a = ours.coefficients_
    assert a @ ours._kernel(ours.references_, ours.references_) @ a == pytest.approx(1, abs=1e-9)
    score = ours.anomaly_score(NEW)
    assert (score >= -1e-12).all() and (score <= 1).all()
