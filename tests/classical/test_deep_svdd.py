"""The deep one-class network: it learns a shape, has no way to a constant, and says when it has collapsed."""

import warnings

import numpy as np
import pytest
import torch

from classical.deep_svdd import DeepSVDD
from qad import detector
from qad.errors import InputError, NotConvergedWarning
from qad.metrics import auc


def sheet(n, seed, off=0.0):
    """Points near a curved sheet in five dimensions, or ``off`` it, with the same ranges."""
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(-1, 1, (2, n))
    away = off * rng.choice([-1, 1], n)
    x = np.stack([a, b, a * b + away, a**2 - away, 0.5 * (a + b)], 1)
    return x + 0.03 * rng.normal(size=x.shape)


def test_better_than_its_untrained_network():
    x, y, odd = sheet(3000, 0), sheet(2000, 1), sheet(2000, 2, off=0.3)
    found, losses = {}, {}
    for epochs in (0, 30):
        fitted = detector.get("deep-svdd", epochs=epochs).fit(x[:2500], validation=x[2500:])
        found[epochs] = auc(fitted.anomaly_score(y), fitted.anomaly_score(odd))
        losses[epochs] = fitted.diagnostics_
    assert found[30] > found[0] + 0.1 and found[30] > 0.85
    assert losses[30]["loss"] < 0.05 * losses[30]["loss_untrained"]
    assert losses[0]["loss"] == losses[0]["loss_untrained"] == losses[30]["loss_untrained"]


def test_many_scores_and_no_collapse():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = detector.get("deep-svdd", epochs=15).fit(sheet(2000, 0))
    score = fitted.anomaly_score(sheet(10_000, 5))
    assert len(np.unique(np.char.mod("%.7e", score))) > 9000
    noted = fitted.diagnostics_
    assert noted["collapsed"] is False and noted["distinct"] > 1900 and noted["spread"] > 0.1 and 1e-9 < noted["radius"] < 1


class Dead(DeepSVDD):
    """All weights are almost 0, and so is φ."""

    def _network(self):
        network = super()._network()
        with torch.no_grad():
            for weights in network.parameters():
                weights.mul_(1e-4)
        return network


def test_a_collapse_is_told():
    with pytest.warns(NotConvergedWarning, match="collapsed: 1 distinct scores for 300"):
        fitted = Dead(epochs=0).fit(sheet(300, 0))
    assert fitted.diagnostics_["collapsed"] is True and fitted.diagnostics_["spread"] < 1e-3


def test_the_centre_is_the_mean_of_the_untrained_network_and_away_from_zero():
    x = sheet(500, 3)
    fitted = detector.get("deep-svdd", epochs=0).fit(x)
    network = fitted.network_
    with torch.no_grad():
        mean = network(torch.tensor((x - x.min(0)) / (x.max(0) - x.min(0)))).mean(0)
    far = mean.abs() >= 0.1
    assert far.any()
    torch.testing.assert_close(network.centre[far], mean[far], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(network.centre[~far], 0.1 * mean[~far].sign(), rtol=1e-5, atol=1e-6)
    trained = detector.get("deep-svdd", epochs=3).fit(x).network_
    torch.testing.assert_close(trained.centre, network.centre)
    assert not torch.equal(trained[0].weight, network[0].weight)


def test_no_bias_so_that_no_constant_fits():
    network = detector.get("deep-svdd", epochs=1).fit(sheet(100, 0)).network_
    assert not [name for name, _ in network.named_parameters() if "bias" in name]
    with torch.no_grad():
        assert network(torch.zeros(1, 5, dtype=torch.float64)).abs().max() == 0
    x = torch.rand(7, 5, dtype=torch.float64)
    torch.testing.assert_close(network(3 * x), 3 * network(x))  # positively homogeneous


def test_units_do_not_matter():
    x, y = sheet(300, 0), sheet(100, 1)
    scale, shift = np.array([1, 8, 0.25, 64, 2.0]), np.array([0, 5, -3, 100, 1.0])
    a = detector.get("deep-svdd", epochs=2).fit(x).anomaly_score(y)
    b = detector.get("deep-svdd", epochs=2).fit(x * scale + shift).anomaly_score(y * scale + shift)
    np.testing.assert_allclose(a, b, rtol=1e-3)


@pytest.mark.parametrize("events", [np.ones((30, 3)), np.random.default_rng(0).normal(size=(2, 1)),
                                    np.repeat(np.eye(3), 20, axis=0)])
@pytest.mark.filterwarnings("ignore::qad.errors.NotConvergedWarning")
def test_poor_inputs_still_give_scores(events):
    assert np.isfinite(detector.get("deep-svdd", epochs=2).fit(events).anomaly_score(np.r_[events, events + 50])).all()


@pytest.mark.parametrize("params", [{"hidden": 3}, {"hidden": [0]}, {"latent": 0}, {"weight_decay": -1.0}])
def test_parameters_out_of_range_are_one_sentence(params):
    with pytest.raises(InputError, match="expected"):
        detector.get("deep-svdd", **params).fit(sheet(20, 0))
