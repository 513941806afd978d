"""The particle transformer: symmetries are exact, pair features are kinematics, and its network must do something."""

import numpy as np
import pytest
import torch

from classical.particle_transformer import PRESETS, ParticleTransformer
from qad import representations
from qad.encoders import SMALLEST, pair_features
from qad.errors import InputError
from qad.metrics import auc
from tests.conftest import toy_jets


@pytest.fixture(scope="module")
def jets():
    chosen = representations.get("constituents", n_particles=8)
    return tuple(chosen.fit(j).transform(j) for j in (toy_jets(300, 0), toy_jets(300, 50, prongs=3)))


@pytest.fixture(scope="module")
def told(jets):
    return np.concatenate([j[:200] for j in jets]), np.repeat([0, 1], 200)


@pytest.fixture(scope="module")
def fitted(told):
    return ParticleTransformer(epochs=6, width=16).fit(*told)


def test_order_of_particles_changes_nothing(fitted, jets):
    rng = np.random.default_rng(0)
    shuffled = np.stack([j[rng.permutation(8)] for j in jets[1]])
    np.testing.assert_allclose(fitted.anomaly_score(shuffled), fitted.anomaly_score(jets[1]), atol=1e-9, rtol=0)


def test_padding_changes_nothing(fitted, jets):
    """More empty places, at the end or in between, and whatever stands in them."""
    short = jets[1].copy()
    short[:, 5:] = 0
    wanted = fitted.anomaly_score(short)
    assert np.abs(wanted - fitted.anomaly_score(jets[1])).max() > 1e-3
    more = np.zeros((300, 12, 3))
    more[:, [0, 2, 3, 7, 11]] = short[:, :5]
    more[:, 1, 1:] = 0.3
    with torch.no_grad():
        np.testing.assert_allclose(fitted.network_(torch.as_tensor(more)).numpy(), wanted, atol=1e-9, rtol=0)


def test_a_jet_without_particles_has_a_score(fitted):
    assert np.isfinite(fitted.anomaly_score(np.zeros((2, 8, 3)))).all()


def test_pair_features_are_kinematics():
    """Against invariant masses of massless four-vectors, and with the softer particle's share and kT."""
    rng = np.random.default_rng(1)
    z, eta, phi = rng.dirichlet(np.ones(6)), rng.normal(0, 0.4, 6), rng.normal(0, 0.4, 6)
    found = pair_features(torch.as_tensor(np.stack([z, eta, phi], -1)[None]))[0].numpy()
    p4 = np.stack([z * np.cosh(eta), z * np.cos(phi), z * np.sin(phi), z * np.sinh(eta)], -1)
    for a in range(6):
        np.testing.assert_allclose(found[a, a, [0, 1, 3]], np.log(SMALLEST))
        for b in set(range(6)) - {a}:
            total = p4[a] + p4[b]
            angle, softer = np.hypot(eta[a] - eta[b], phi[a] - phi[b]), min(z[a], z[b])
            wanted = [angle, softer * angle, softer / (z[a] + z[b]), total[0] ** 2 - (total[1:] ** 2).sum()]
            np.testing.assert_allclose(found[a, b], np.log(wanted), rtol=1e-9)


def test_rotation_reaches_scores_by_the_particles_only(fitted, jets):
    """ΔR, kT and z of pairs are the same in a turned frame, the mass to second order in the angles; Δη and Δφ are not."""
    c, s = np.cos(0.7), np.sin(0.7)
    turned = jets[1] @ np.array([[1, 0, 0], [0, c, s], [0, -s, c]])
    before, after = (pair_features(torch.as_tensor(j)).numpy() for j in (jets[1], turned))
    np.testing.assert_allclose(after[..., :3], before[..., :3], atol=1e-6)
    present = (jets[1][:, :, None, 0] > 0) & (jets[1][:, None, :, 0] > 0)
    assert 0 < np.abs(after - before)[..., 3][present].max() < 0.2
    assert np.abs(fitted.anomaly_score(turned) - fitted.anomaly_score(jets[1])).max() > 1e-3


def test_learns_and_says_log_odds(fitted, jets, told):
    background, signal = (fitted.anomaly_score(j[200:]) for j in jets)
    assert auc(background, signal) > 0.97
    assert background.mean() < 0 < signal.mean()
    untrained = ParticleTransformer(epochs=0, width=16).fit(*told)
    assert untrained.diagnostics_["loss"] > 2 * fitted.diagnostics_["loss"]


def test_each_class_is_held_back_by_its_own_share(jets, monkeypatch):
    X, y = np.concatenate([jets[0], jets[1][:20]]), np.repeat([0, 1], [300, 20])
    seen = []
    monkeypatch.setattr(ParticleTransformer, "_optimise", lambda self, data, held, *arrays: seen.append((data, held)))
    monkeypatch.setattr(ParticleTransformer, "_score", lambda self, X: np.zeros(len(X)))
    ParticleTransformer(validation_fraction=0.25).fit(X, y)
    (events, label, weight), held = seen[0]
    assert (len(label), int(label.sum())) == (240, 15) and (len(held[1]), int(held[1].sum())) == (80, 5)
    assert len(np.unique(torch.cat([events, held[0]]).numpy(), axis=0)) == 320
    np.testing.assert_allclose(float(weight[label == 1].sum()), float(weight[label == 0].sum()), rtol=1e-5)
    ParticleTransformer(validation_fraction=0.25, balanced=False).fit(X[:303], y[:303])  # three are too few to hold one back
    (_, label, weight), held = seen[1]
    assert held is None and len(label) == 303 and set(weight.tolist()) == {1.0}


@pytest.mark.parametrize("sizes", PRESETS.values(), ids=PRESETS)
def test_presets_are_sizes(sizes, told):
    fitted = ParticleTransformer(**sizes, epochs=0).fit(told[0][::50], told[1][::50])
    assert len(fitted.network_[0].blocks) == sizes["blocks"]
    assert (fitted.parameters_ > 1_000_000) == (sizes is PRESETS["published"])
    assert np.isfinite(fitted.anomaly_score(told[0][:3])).all()


def test_mixed_precision_trains(told):
    fitted = ParticleTransformer(width=8, heads=2, epochs=2, precision="bfloat16").fit(*told)
    assert fitted.diagnostics_["loss"] < fitted.diagnostics_["loss_untrained"]


@pytest.mark.parametrize(("settings", "sentence"), [
    ({"width": 30}, "multiple of heads=4"), ({"blocks": 0}, "blocks=0"), ({"embedding": 64}, "list of positive"),
    ({"validation_fraction": 1}, "below 1"), ({"epochs": -1}, "epochs=-1")])
def test_settings_are_checked(settings, sentence, told):
    with pytest.raises(InputError, match=sentence):
        ParticleTransformer(**settings).fit(*told)


def test_scaled_inputs_are_refused(told):
    with pytest.raises(InputError, match="unscaled"):
        ParticleTransformer().fit(told[0] - 1, told[1])
    with pytest.raises(InputError, match="unscaled"):
        ParticleTransformer().fit(told[0][..., :2], told[1])
