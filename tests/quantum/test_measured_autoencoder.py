"""Training under shots: as the engine's without them, from the backend's numbers alone, and noise is no improvement."""

import json

import numpy as np
import pytest
import torch
from scipy.stats import binom

from qad import load, save
from qad.data import Sample
from qad.errors import InputError
from qad.metrics import auc
from qad.quantum.backends.exact import Exact, _States
from qad.quantum.feature_autoencoder import FeatureAutoencoder
from qad.quantum.measured_autoencoder import MeasuredAutoencoder, MeasuredFeatures, drawn
from qad.quantum.stopping import Smoothed
from qad.representations.constituents import Constituents
from qad.training import train

ANGLES = {"latent": 2, "encoding": "angle-y", "ansatz": "trash-latent", "layers": 2, "bounds": None}


@pytest.fixture(scope="module")
def events():
    rng = np.random.default_rng(0)
    background = np.clip(rng.normal(1.2, 0.25, (300, 4)), 0, 3)
    return background[:200], background[200:], rng.uniform(0, 3, (100, 4))


@pytest.mark.parametrize("optimizer, options, exact", [
    ("adam", {}, {}), ("gradient-descent", {}, {}), ("qn-spsa", {"spread": 0.2}, {"metric_events": 200}),
    ("natural-gradient", {"damping": 0.02}, {"approximation": "block-diag", "metric_events": 200})])
def test_without_shots_training_is_the_engines(events, optimizer, options, exact):
    """The same losses epoch by epoch when each step takes all events."""
    X = events[0]
    common = {**ANGLES, "optimizer": optimizer, "epochs": 8, "random_state": 3, "start": 1.0}
    engine = FeatureAutoencoder(**common, optimizer_options={**options, **exact}).fit(X)
    measured = MeasuredFeatures(**common, optimizer_options=options, shots=None, batch_size=len(X)).fit(X)
    ours, theirs = (m.diagnostics_["history"]["train"] for m in (measured, engine))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-8)
    assert theirs[-1] < theirs[0] - 0.01
    cost = measured.diagnostics_["measured"]
    assert cost["shots"] == 0 and cost["circuits"] >= 8 * 2 * len(X)
    np.testing.assert_allclose(measured.anomaly_score(X), 1 - measured.fidelity(X), rtol=0, atol=1e-12)


@pytest.mark.parametrize("optimizer", ["adam", "gradient-descent", "natural-gradient", "qn-spsa"])
def test_with_shots_it_learns(events, optimizer):
    X, held, other = events
    trained = MeasuredFeatures(**ANGLES, optimizer=optimizer, shots=200, epochs=60).fit(X, validation=held)
    untrained = MeasuredFeatures(**ANGLES, epochs=0).fit(X)
    assert trained.diagnostics_["loss"] < 0.6 * untrained.diagnostics_["loss"]
    assert auc(trained.anomaly_score(held), trained.anomaly_score(other)) > 0.75
    notes = trained.diagnostics_["measured"]
    assert notes["loss"] == pytest.approx(1 - trained.fidelity(held).mean(), abs=0.05)
    assert notes["shots"] == 200 * notes["circuits"] and notes["epochs"] == len(notes["losses"])
    json.dumps(trained.diagnostics_)


class Backwards(Exact):
    """Shows 1 - p for p."""

    def compile(self, circuit, latent, weights=None, example=None):
        return _Backwards(circuit, latent, weights, torch.float64, "cpu")


class _Backwards(_States):
    def zeros(self, X, weights=None, shots=None, seed=0):
        return 1 - super().zeros(X, weights, shots, seed)


def test_training_sees_the_backend_alone(events):
    """A backend that shows the opposite trains the opposite: nothing comes from the engine behind its back."""
    X = events[0]
    start = MeasuredFeatures(**ANGLES, epochs=0).fit(X).diagnostics_["loss"]
    trained = MeasuredFeatures(**ANGLES, epochs=40, backend=Backwards()).fit(X)
    assert trained.diagnostics_["loss"] > max(0.9, start)
    assert trained.diagnostics_["measured"]["loss"] < 0.1
    assert trained.anomaly_score(X).mean() == pytest.approx(1 - trained.diagnostics_["loss"], abs=0.02)


def test_fine_tuning(events):
    """Exact training first: no worse than its start, and with no epochs after it the model only meets the noise when scored."""
    X, held, _ = events
    rates = {"error_2q": 0.03, "readout": 0.05}
    exact = MeasuredFeatures(**ANGLES, epochs=0, exact_epochs=60, backend="aer", backend_options={"noise": rates}).fit(X)
    assert exact.diagnostics_["loss"] < 0.2 and exact.diagnostics_["measured"]["circuits"] == 0
    assert exact.anomaly_score(X).mean() > exact.diagnostics_["loss"] + 0.01
    tuned = MeasuredFeatures(**ANGLES, epochs=5, exact_epochs=60, learning_rate=0.02, backend="aer",
                             backend_options={"noise": rates}).fit(X, validation=held)
    assert tuned.anomaly_score(X).mean() < exact.anomaly_score(X).mean() + 0.01
    assert 0 < np.abs(tuned.weights_ - exact.weights_).max() < 0.2
    assert len(tuned.diagnostics_["measured"]["exact"]["train"]) > 10


class Counting(Exact):
    """No exact distribution: every score must be asked for with shots and a seed."""

    exact = drawable = False

    def __init__(self):
        super().__init__()
        self.asked, self.seen = [], []

    def compile(self, circuit, latent, weights=None, example=None):
        compiled = super().compile(circuit, latent, weights, example)
        inner = compiled.probabilities

        def probabilities(X, weights=None, shots=None, seed=0):
            self.asked.append((len(X), shots, seed))
            self.seen.append(np.array(X))
            return inner(X, weights, shots, seed)

        compiled.probabilities = probabilities
        return compiled


def test_a_backend_of_shots_only_is_never_asked_for_more(events):
    X, held, _ = events
    backend = Counting()
    model = MeasuredFeatures(**ANGLES, epochs=2, shots=64, score_shots=128, batch_size=10, backend=backend).fit(X)
    rotations = 8
    assert [a[:2] for a in backend.asked] == [(10 * (1 + 2 * rotations), 64), (200, 64)] * 2 + [(200, 128)]
    assert len({a[2] for a in backend.asked[:4]}) == 4
    steps = [np.unique(X, axis=0) for X in backend.seen[:4:2]]
    assert len(np.unique(np.concatenate(steps), axis=0)) == 20  # other events each step, and all settings on the same
    np.testing.assert_array_equal(backend.seen[1], backend.seen[3])  # the monitored ones are always the same
    first = model.anomaly_score(held)
    np.testing.assert_array_equal(first, model.anomaly_score(held))
    assert np.allclose(first * 128, np.round(first * 128))


def test_shots_of_a_score(events):
    X = events[0]
    rng = np.random.default_rng(5)
    many = rng.uniform(0, 3, (4000, 4))
    F = rng.uniform(0, 1, 4000)
    shares = drawn(F, 50, many, seed=2)
    assert np.allclose(shares * 50, np.round(shares * 50))
    pull = (shares - F) / np.sqrt(F * (1 - F) / 50)
    assert abs(pull.mean()) < 5 / 4000**0.5 and pull.std() == pytest.approx(1, abs=0.06)
    np.testing.assert_array_equal(drawn(F[::-1], 50, many[::-1], seed=2), shares[::-1])
    assert (drawn(F, 50, many, seed=3) != shares).mean() > 0.5
    equal = drawn(np.full(3000, 0.3), 40, np.ones((3000, 4)))
    counts = np.bincount((equal * 40).round().astype(int), minlength=41) / 3000
    expected = binom.pmf(np.arange(41), 40, 0.3)
    assert (abs(counts - expected) <= 5 * np.sqrt(expected / 3000) + 1e-3).all()  # equal events one by one
    model = MeasuredFeatures(**ANGLES, epochs=0, exact_epochs=20).fit(X)
    few = MeasuredFeatures(**ANGLES, epochs=0, exact_epochs=20, score_shots=10).fit(X)
    assert np.allclose(few.anomaly_score(X) * 10, np.round(few.anomaly_score(X) * 10))
    assert np.abs(few.anomaly_score(X) - model.anomaly_score(X)).max() > 0.02


def test_noise_is_no_improvement():
    """A constant loss measured with noise stops about as soon as without; a slow real gain beneath one error is still seen."""
    def stopped(losses, sigma, seed, patience=30, epochs=400):
        rng, w = np.random.default_rng(seed), torch.zeros(1, dtype=torch.float64, requires_grad=True)
        feed = iter(losses)
        watch = Smoothed(lambda: (next(feed) + sigma * rng.normal(), sigma**2))
        history = train([w], lambda _: (w * 0).sum(), epochs=epochs, learning_rate=0.1, patience=patience, validation=watch,
                        tolerance=watch.tolerance)
        return len(watch.values), history, watch

    flat = [stopped(np.full(400, 0.3), 0.01, seed)[0] for seed in range(20)]
    assert stopped(np.full(400, 0.3), 0.0, 0)[0] == 31
    assert np.median(flat) <= 40 and max(flat) <= 80
    for seed in range(5):
        epochs, history, watch = stopped(0.3 - 0.001 * np.minimum(np.arange(400), 200), 0.01, seed)
        assert epochs > 200  # a tenth of an error an epoch
        kept = history.best_epoch
        assert kept > 150 and watch.values[kept] == pytest.approx(0.1, abs=0.08)
        assert watch.error() == pytest.approx(0.01 / 5**0.5)
    story = watch.story(history, 400, 30)
    assert "no improvement larger than its noise in 30 epochs" in story["why"] and story["kept_epoch"] == kept + 1
    assert story["loss"] == pytest.approx(np.mean(watch.values[kept - 4 : kept + 1]))


def test_saved_with_its_backend(events, tmp_path):
    X = events[0]
    model = MeasuredFeatures(**ANGLES, epochs=1, batch_size=5, backend="pennylane", shots=20,
                             backend_options={"device": "default.mixed"}).fit(X[:20])
    save(model, tmp_path / "m")
    back = load(tmp_path / "m")
    assert back.backend_options == {"device": "default.mixed"} and back.diagnostics_ == model.diagnostics_
    np.testing.assert_array_equal(back.anomaly_score(X[:5]), model.anomaly_score(X[:5]))
    with pytest.raises(InputError, match="register"):
        save(MeasuredFeatures(**ANGLES, epochs=0, backend=Exact()).fit(X), tmp_path / "n")


def test_it_is_scored_on_the_circuit_it_was_trained_on(events):
    """Weights of 0 as numbers would take their gates, and the gates' noise, with them."""
    X = events[0]
    options = {"noise": {"error_1q": 0.02}, "optimization_level": 3}
    settings = {**ANGLES, "backend": "aer", "backend_options": options, "shots": None, "start": 0.0}
    model = MeasuredFeatures(**settings, epochs=1, learning_rate=1e-12).fit(X)
    assert model.diagnostics_["measured"]["losses"][0] == pytest.approx(model.anomaly_score(X).mean(), abs=1e-6)


def test_particles(qcd_toys: Sample, top_toys: Sample):
    step = Constituents(4)
    background, signal = step.transform(qcd_toys), step.transform(top_toys)
    model = MeasuredAutoencoder(epochs=25, shots=100).fit(background)
    assert auc(model.anomaly_score(background), model.anomaly_score(signal)) > 0.9
    assert model.exported()[2] == 2


@pytest.mark.parametrize("wrong, sentence", [
    ({"backend": "exakt"}, "unknown backend 'exakt'; did you mean 'exact'"),
    ({"backend_options": {"noise": 1}}, "backend 'exact': unknown option 'noise'"),
    ({"backend_options": [1]}, "a dict of what it takes"),
    ({"backend": 3}, "backend=3"),
    ({"shots": 0}, "shots=0: expected a whole number from 1"),
    ({"score_shots": 2.5}, "score_shots=2.5: expected a whole number from 1"),
    ({"exact_epochs": -1}, "exact_epochs=-1: expected a whole number from 0"),
    ({"optimizer": "qbang"}, "unknown optimizer of measured circuits 'qbang'"),
    ({"optimizer": "adam", "optimizer_options": {"damping": 1}}, "optimizer 'adam'"),
])
def test_wrong_settings_are_one_sentence(events, wrong, sentence):
    with pytest.raises(InputError, match=sentence):
        MeasuredFeatures(**{**ANGLES, **wrong}).fit(events[0])
