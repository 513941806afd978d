"""What detectors that are torch networks share: settings, noise, resumption, precision, the untrained network."""

import numpy as np
import pytest
import torch
from torch import nn

from classical.dense_autoencoder import DenseAutoencoder
from classical.variational_autoencoder import VariationalAutoencoder
from qad import networks, training
from qad.errors import InputError
from qad.neural import NeuralDetector

X = np.random.default_rng(0).normal(size=(400, 5)) @ np.diag([3, 2, 1, 0.5, 0.1])


class Noisy(NeuralDetector):
    """An autoencoder of noisy events with a running mean: everything that a resumed training must bring back."""

    def __init__(self, epochs=8, learning_rate=1e-2, batch_size=50, patience=20, device="cpu", precision="float32",
                 checkpoint=None, random_state=0):
        super().__init__(epochs, learning_rate, batch_size, patience, device, precision, checkpoint, random_state)

    def _network(self):
        with networks.seeded(self.random_state):
            return nn.Sequential(nn.BatchNorm1d(self.n_features_in_, momentum=0.3), nn.Linear(self.n_features_in_, 2),
                                 nn.Linear(2, self.n_features_in_))

    def _loss(self, network, batch, generator):
        noise = torch.randn(batch.shape, generator=generator).to(batch)
        return (network(batch + 0.1 * noise) - batch).square().mean()

    def _event_scores(self, network, batch):
        return (network(batch) - batch).square().mean(1)


class Killed(Exception):
    """In the place of a kill."""


@pytest.mark.parametrize("cls", [Noisy, VariationalAutoencoder])
@pytest.mark.parametrize("validation", [None, X[300:]])
def test_killed_anywhere_it_goes_on_with_the_same_bits(cls, validation, tmp_path, monkeypatch):
    monkeypatch.setenv("QAD_CHECKPOINT_SECONDS", "0")

    def make():
        return cls(epochs=8, device="cpu", random_state=3)

    expected = make().fit(X[:300], validation=validation)
    path = tmp_path / "checkpoint"
    for kill_at in (3, 6):
        def progress(done, of, kill_at=kill_at):
            if done == kill_at:
                raise Killed

        model = make().set_params(checkpoint=str(path))
        model.progress = progress
        with pytest.raises(Killed):
            model.fit(X[:300], validation=validation)
        assert path.exists()
    model = make().set_params(checkpoint=str(path)).fit(X[:300], validation=validation)
    np.testing.assert_array_equal(model.anomaly_score(X), expected.anomaly_score(X))
    assert model.diagnostics_["history"]["train"] == expected.diagnostics_["history"]["train"]
    assert not path.exists(), "what is finished needs no checkpoint"


def test_that_test_can_fail(tmp_path, monkeypatch):
    """Without the random numbers of the loss in the checkpoint the bits differ."""
    monkeypatch.setenv("QAD_CHECKPOINT_SECONDS", "0")
    monkeypatch.setattr(training._Progress, "read", lambda self, source: _read_without_generator(self, source))
    expected = Noisy().fit(X)
    model = Noisy(checkpoint=str(tmp_path / "c"))

    def progress(done, of):
        if done == 4:
            raise Killed

    model.progress = progress
    with pytest.raises(Killed):
        model.fit(X)
    resumed = Noisy(checkpoint=str(tmp_path / "c")).fit(X)
    assert not np.array_equal(resumed.anomaly_score(X), expected.anomaly_score(X))


READ = training._Progress.read


def _read_without_generator(progress, source):
    begun = [g.get_state() for g in progress.generators]
    READ(progress, source)
    for g, state in zip(progress.generators, begun, strict=True):
        g.set_state(state)


def test_untrained_is_what_training_begins_with():
    untrained = DenseAutoencoder(epochs=0, random_state=1).fit(X)
    assert untrained.diagnostics_["loss"] == untrained.diagnostics_["loss_untrained"]
    assert untrained.diagnostics_["history"]["train"] == []
    trained = DenseAutoencoder(epochs=20, random_state=1).fit(X, validation=X[:50])
    assert trained.diagnostics_["loss"] < 0.8 * trained.diagnostics_["loss_untrained"]
    begun = networks.dense([5, 32, 16, 4, 16, 32, 5], 1).double()
    assert torch.equal(untrained.network_[0].weight, begun[0].weight)
    assert trained.diagnostics_["loss"] == pytest.approx(trained.anomaly_score(X[:50]).mean(), rel=1e-5)
    seconds = trained.diagnostics_["history"]["seconds"]
    assert len(seconds) == len(trained.diagnostics_["history"]["train"]) and min(seconds) > 0


def test_mixed_precision_trains_to_nearly_the_same():
    full, mixed = (DenseAutoencoder(epochs=20, precision=p, random_state=1).fit(X) for p in training.PRECISIONS)
    a, b = (m.diagnostics_["loss"] for m in (full, mixed))
    assert a != b and b == pytest.approx(a, rel=0.1)
    assert mixed.network_[0].weight.dtype == torch.float64


@pytest.mark.parametrize(("settings", "sentence"), [
    ({"epochs": -1}, "epochs=-1: expected a whole number from 0"),
    ({"epochs": 2.5}, "epochs=2.5: expected a whole number"),
    ({"batch_size": 0}, "batch_size=0: expected a whole number from 1"),
    ({"learning_rate": 0}, "learning_rate=0: expected a number above 0"),
    ({"learning_rate": "fast"}, "expected a number above 0"),
    ({"precision": "float8"}, "precision='float8': expected one of float32, bfloat16"),
    ({"device": "tpu9"}, "device='tpu9': expected auto, cpu, cuda"),
    ({"device": "cuda"}, "torch finds no GPU"),
    ({"checkpoint": "/nowhere/at/all"}, "make it first"),
])
def test_settings_that_cannot_be_are_one_sentence(settings, sentence):
    if settings.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(InputError, match=sentence):
        DenseAutoencoder(**settings).fit(X)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("cls", [Noisy, DenseAutoencoder, VariationalAutoencoder])
def test_a_gpu_gives_the_same_within_rounding(cls):
    on_cpu, on_gpu = (cls(device=d, random_state=2, epochs=5).fit(X) for d in ("cpu", "cuda"))
    np.testing.assert_allclose(on_gpu.anomaly_score(X), on_cpu.anomaly_score(X), rtol=0.05)
