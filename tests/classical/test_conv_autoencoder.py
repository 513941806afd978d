"""Convolutional autoencoders: closed forms with a network that says a constant, sizes, symmetries, mistakes."""

import math

import numpy as np
import pytest
import torch

from classical.conv_autoencoder import PRESETS, ConvAutoencoder, ObjectConvAutoencoder
from qad.errors import InputError

RNG = np.random.default_rng(5)
SMALL = {"channels": [3, 4], "pool_after": [2], "dense": [6], "latent": 2, "epochs": 2, "batch_size": 16}


def images(n=60, side=8):
    return (RNG.random((n, side, side)) * (RNG.random((n, side, side)) < 0.2)).astype(np.float32)


def events(n=80, slots=19):
    x = np.stack([RNG.exponential(40, (n, slots)), RNG.normal(0, 1.2, (n, slots)), RNG.uniform(-np.pi, np.pi, (n, slots))], -1)
    x[RNG.random((n, slots)) < 0.5] = 0
    x[:, 0] = [30.0, 0.0, 1.0]
    return x


class Says(torch.nn.Module):
    """A network that says ``values`` of every pixel or object, in its own units."""

    def __init__(self, scale, values):
        super().__init__()
        self.register_buffer("scale", torch.as_tensor(scale, dtype=torch.float64))
        self.values = torch.as_tensor(values, dtype=torch.float64) / self.scale
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return self.values.expand_as(x)


def test_the_preset_of_a_paper_has_the_layers_of_the_paper():
    x = np.zeros((2, 40, 40), dtype=np.float32)
    x[:, 20, 20] = 1
    three, dense = 128 * 128 * 9 + 128, 12_800 * 32 + 32 + 32 * 6 + 6
    fitted = ConvAutoencoder(**PRESETS["farina"], epochs=0).fit(x)
    assert fitted.parameters_ == (128 * 9 + 128) + 2 * three + dense + (6 * 32 + 32 + 32 * 12_800 + 12_800) + 2 * three + 1153
    shapes = []
    for layer in fitted.network_.layers:
        layer.register_forward_hook(lambda layer, given, out: shapes.append((type(layer).__name__, tuple(out.shape[1:]))))
    fitted.anomaly_score(x[:1])
    assert [s for n, s in shapes if n in ("Conv2d", "MaxPool2d", "Linear", "Upsample")] == [
        (128, 40, 40), (128, 20, 20), (128, 20, 20), (128, 10, 10), (128, 10, 10), (32,), (6,), (32,), (12_800,),
        (128, 10, 10), (128, 20, 20), (128, 20, 20), (128, 40, 40), (1, 40, 40)]


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_networks(name):
    x = images(6)
    fitted = ConvAutoencoder(**PRESETS[name], epochs=0).fit(x)
    assert fitted.network_(torch.as_tensor(x, dtype=torch.float64)).shape == x.shape


@pytest.mark.parametrize("power", [1.0, 0.25])
def test_a_black_reconstruction_costs_the_square_over_the_mean_square(power):
    x = images() ** power
    fitted = ConvAutoencoder(**SMALL).fit(x)
    fitted.network_ = Says(fitted.network_.scale.double(), [0.0])
    score = fitted.anomaly_score(x)
    np.testing.assert_allclose(score, np.square(x, dtype=np.float64).mean((1, 2)) / np.square(x, dtype=np.float64).mean(), 1e-6)
    assert score.mean() == pytest.approx(1, rel=1e-6)


def test_the_unit_of_a_pixel_changes_nothing():
    x = images()
    np.testing.assert_array_equal(ConvAutoencoder(**SMALL).fit(x).anomaly_score(x),
                                  ConvAutoencoder(**SMALL).fit(1024 * x).anomaly_score(1024 * x))


def test_training_ends_below_untrained_on_images_held_back():
    x = images(200)
    x[:, 2:6, 2:6] += RNG.random((200, 1, 1)).astype(np.float32)
    fitted = ConvAutoencoder(**{**SMALL, "epochs": 12, "learning_rate": 5e-3}).fit(x[:150], validation=x[150:])
    assert fitted.diagnostics_["loss"] < 0.6 * fitted.diagnostics_["loss_untrained"]


def test_pooling_and_activation_are_what_they_are_called():
    layers = [type(layer).__name__ for layer in
              ConvAutoencoder(**SMALL, pooling="average", activation="prelu").fit(images()).network_.layers]
    assert layers[:5] == ["Conv2d", "PReLU", "Conv2d", "PReLU", "AvgPool2d"] and "MaxPool2d" not in layers
    assert layers.count("PReLU") == 6 and layers[-1] == "Conv2d"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"pool_after": [1, 1]}, "distinct numbers from 1 to 2"),
        ({"pool_after": [3]}, "distinct numbers from 1 to 2"),
        ({"channels": []}, "take dense-autoencoder"),
        ({"channels": 8}, "such as .8, 8, 8."),
        ({"dense": [0]}, "such as .100."),
        ({"latent": 0}, "whole number from 1"),
        ({"pooling": "min"}, "expected one of max, average"),
        ({"activation": "tanh"}, "expected one of prelu"),
        ({"channels": [2, 2, 2, 2], "pool_after": [1, 2, 3, 4]}, "divisible by 16; got 8×8 pixels: choose pixels=16"),
    ],
)
def test_mistakes_are_one_sentence(changes, sentence):
    with pytest.raises(InputError, match=sentence):
        ConvAutoencoder(**{**SMALL, **changes}).fit(images())


def test_black_images_and_empty_events_are_refused():
    with pytest.raises(InputError, match="black"):
        ConvAutoencoder(**SMALL).fit(np.zeros((5, 8, 8)))
    with pytest.raises(InputError, match="no object"):
        ObjectConvAutoencoder(epochs=0).fit(np.zeros((5, 19, 3)))
    with pytest.raises(InputError, match=r"shape \(n, slots, 3\).*got 4 columns"):
        ObjectConvAutoencoder(epochs=0).fit(np.ones((5, 19, 4)))


def test_objects_are_scaled_by_what_is_there_and_absent_ones_do_not_count():
    x = events()
    fitted = ObjectConvAutoencoder(epochs=0).fit(x)
    there = x[..., 0] > 0
    size = np.sqrt(np.square(x[there]).mean(0))
    np.testing.assert_allclose(fitted.network_.scale, size, rtol=1e-6)
    said = np.array([25.0, 0.5, -3.0])
    fitted.network_ = Says(size, said)
    d = said - x
    d[..., 2] = np.remainder(d[..., 2] + math.pi, 2 * math.pi) - math.pi
    np.testing.assert_allclose(fitted.anomaly_score(x), (np.square(d / size) * there[..., None]).mean((1, 2)), rtol=1e-12)


def test_phi_is_compared_the_short_way_round():
    x = events()
    fitted = ObjectConvAutoencoder(epochs=0).fit(x)
    fitted.network_ = Says([1.0, 1.0, 1.0], [30.0, 0.0, 3.1])
    one = np.zeros((1, 19, 3))
    one[0, 0] = 30, 0, -3.1
    assert fitted.anomaly_score(one)[0] == pytest.approx((2 * math.pi - 6.2) ** 2 / 57, rel=1e-9)


def test_what_stands_in_an_empty_slot_changes_nothing():
    x = events()
    fitted = ObjectConvAutoencoder(epochs=2).fit(x)
    dirty = x.copy()
    dirty[..., 1:][x[..., 0] == 0] = 2.0
    np.testing.assert_array_equal(fitted.anomaly_score(dirty), fitted.anomaly_score(x))


@pytest.mark.parametrize("slots", [1, 2, 19])
def test_any_number_of_slots(slots):
    x = events(40, slots)
    score = ObjectConvAutoencoder(epochs=2).fit(x).anomaly_score(x)
    assert score.shape == (40,) and np.isfinite(score).all()


def test_an_event_without_objects_has_score_zero():
    fitted = ObjectConvAutoencoder(epochs=1).fit(events())
    assert fitted.anomaly_score(np.zeros((1, 19, 3)))[0] == 0
