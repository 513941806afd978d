"""The dense autoencoder's scores: what each is, and that the loss follows it."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy

from classical.dense_autoencoder import PRESETS
from qad import detector
from qad.errors import InputError
from qad.metrics import auc

RNG = np.random.default_rng(0)
MIX = RNG.normal(size=(3, 9))
X = RNG.normal(size=(500, 3)) @ MIX / 2
ODD = RNG.normal(size=(200, 9))


def fit(**params):
    return detector.get("dense-autoencoder", epochs=10, batch_size=64, **params).fit(X[:400], validation=X[400:])


@pytest.mark.parametrize("weight", [0.0, 1.0, 2.5])
def test_scores_are_the_formulas(weight):
    for score_as in ("mse", "kl", "combined"):
        fitted = fit(score_as=score_as, kl_weight=weight)
        with torch.no_grad():
            back = fitted.network_(torch.tensor(ODD)).numpy()
        mse = ((back - ODD) ** 2).mean(1)
        kl = entropy(softmax(ODD, axis=1), softmax(back, axis=1), axis=1)
        want = {"mse": mse, "kl": kl, "combined": mse + weight * kl}[score_as]
        np.testing.assert_allclose(fitted.anomaly_score(ODD), want, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("score_as", ["mse", "kl", "combined"])
def test_the_loss_is_the_mean_score_and_falls(score_as):
    fitted = fit(score_as=score_as)
    noted = fitted.diagnostics_
    assert noted["loss"] == pytest.approx(fitted.anomaly_score(X[400:]).mean(), rel=1e-5)
    assert noted["loss"] < 0.7 * noted["loss_untrained"]
    assert auc(fitted.anomaly_score(X[400:]), fitted.anomaly_score(ODD)) > 0.6


def test_the_default_is_the_squared_error():
    np.testing.assert_array_equal(fit().anomaly_score(ODD), fit(score_as="combined", kl_weight=0.0).anomaly_score(ODD))


def test_kl_is_not_negative_and_zero_for_a_perfect_copy():
    fitted = fit(score_as="kl")
    assert (fitted.anomaly_score(np.r_[X, 100 * ODD]) >= -1e-12).all()
    copy = torch.nn.Identity()
    assert fitted._event_scores(copy, torch.tensor(ODD)).abs().max() == 0


@pytest.mark.parametrize(("preset", "sizes"), [("level1", [57, 32, 16, 8, 16, 32, 57]),
                                               ("deep", [57, 256, 128, 64, 32, 16, 5, 16, 32, 64, 128, 256, 57])])
def test_presets(preset, sizes):
    events = RNG.normal(size=(40, 57))
    network = detector.get("dense-autoencoder", **PRESETS[preset], epochs=1).fit(events).network_
    layers = [m for m in network if isinstance(m, torch.nn.Linear)]
    assert [layers[0].in_features, *(m.out_features for m in layers)] == sizes


@pytest.mark.parametrize("params", [{"score_as": "cosine"}, {"kl_weight": -1.0}, {"hidden": 3}])
def test_parameters_out_of_range_are_one_sentence(params):
    with pytest.raises(InputError, match="expected"):
        fit(**params)
