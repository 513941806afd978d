"""The normalised autoencoders of images and by the Wasserstein distance: what they have beside what all share."""

import numpy as np
import pytest
import torch
from sklearn.pipeline import make_pipeline

from classical.conv_autoencoder import ConvAutoencoder
from classical.normalised_autoencoder import NormalisedAutoencoder
from classical.normalised_conv_autoencoder import PRESETS, NormalisedConvAutoencoder
from classical.wasserstein_autoencoder import WassersteinAutoencoder
from qad.errors import InputError
from qad.representations.latent import LearnedLatent
from tests.conftest import toy_jets

SMALL = {"channels": (4, 4), "dense": (12,), "epochs": 1, "warm_up": 2, "batch_size": 32, "steps": 2, "latent_steps": 2,
         "buffer": 32, "device": "cpu"}
IMAGES = np.abs(np.random.default_rng(0).normal(size=(120, 8, 8)))


def test_the_score_is_the_mean_squared_error_in_units_of_the_pixels_root_mean_square():
    model = NormalisedConvAutoencoder(**SMALL).fit(IMAGES[:100])
    scale = np.sqrt((IMAGES[:100] ** 2).mean())
    with torch.no_grad():
        u = torch.as_tensor(IMAGES[100:] / scale)
        z = model.network_.layers.encode(u)
        again = model.network_.layers.decode(z / z.norm(dim=1, keepdim=True))
    np.testing.assert_allclose(model.anomaly_score(IMAGES[100:]), (u - again).square().mean((1, 2)), rtol=1e-5)


def test_the_models_images_lie_between_black_and_the_brightest():
    model = NormalisedConvAutoencoder(**SMALL).fit(IMAGES)
    assert model.samples_.shape[1:] == (8, 8)
    assert 0 <= model.samples_.min() and model.samples_.max() <= IMAGES.max() * (1 + 1e-5)


def test_it_has_the_network_of_the_convolutional_autoencoder():
    ours = NormalisedConvAutoencoder(**SMALL).fit(IMAGES)
    plain = ConvAutoencoder(channels=(4, 4), dense=(12,), latent=3, epochs=0, device="cpu").fit(IMAGES)
    assert ours.parameters_ == plain.parameters_


@pytest.mark.parametrize("model", [NormalisedConvAutoencoder(**SMALL, spectral=True),
                                   NormalisedAutoencoder(epochs=1, warm_up=1, spectral=True, device="cpu")])
def test_spectral_norms_are_one_and_do_not_depend_on_the_global_state(model):
    X = IMAGES if model.takes == "image" else IMAGES[:, 0]
    scores = []
    for state in (1, 2):
        torch.manual_seed(state)
        scores.append(model.fit(X).anomaly_score(X[:20]))
    np.testing.assert_array_equal(*scores)
    layers = [m for m in model.network_.modules() if isinstance(m, torch.nn.Linear | torch.nn.Conv2d)]
    norms = [torch.linalg.matrix_norm(m.weight.detach().flatten(1), 2) for m in layers]
    assert len(norms) >= 4 and max(abs(float(n) - 1) for n in norms) < 0.3


def test_sides_that_poolings_do_not_divide_are_one_sentence():
    with pytest.raises(InputError, match="sides divisible by 4"):
        NormalisedConvAutoencoder(**SMALL).fit(IMAGES[:, :6, :6])


def test_presets_build():
    for name, params in PRESETS.items():
        model = NormalisedConvAutoencoder(**params)
        model.shape_in_ = (40, 40)
        network = model._network()
        assert network.energy(torch.zeros(2, 1600)).shape == (2,), name


def test_the_wasserstein_loss_is_a_distance_and_falls():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(600, 3)) @ rng.normal(size=(3, 3))
    model = WassersteinAutoencoder(epochs=8, warm_up=3, learning_rate=3e-3, device="cpu").fit(X[:500], validation=X[500:])
    losses = model.diagnostics_["history"]["train"][3:]
    assert min(losses) > 0 and losses[-1] < losses[0]
    assert model.loss == "wasserstein" and "loss" not in model.get_params()


def test_as_a_head_on_a_learned_representation():
    background, signal = (toy_jets(300, seed=1, prongs=k) for k in (1, 3))
    from qad.representations.constituents import Constituents, PtWeighted
    from qad.representations.scaling import Flatten, Standardise

    pipe = make_pipeline(Constituents(n_particles=8), PtWeighted(), Flatten(), Standardise(), LearnedLatent(latent=4, epochs=5),
                         NormalisedAutoencoder(epochs=5, warm_up=5, device="cpu"))
    scores = pipe.fit(background)[-1].anomaly_score(pipe[:-1].transform(signal))
    assert scores.shape == (300,) and np.isfinite(scores).all()
