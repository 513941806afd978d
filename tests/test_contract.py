"""The contracts, over everything registered: a new detector or representation is tested by being there."""

import json
import linecache
from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import estimator_checks_generator

from qad import detector, load, pipeline, registry, representations, save
from qad.data import Sample
from qad.data.sample import concatenate
from qad.detector import KINDS, LABELLED, SHAPES, Detector
from qad.errors import InputError
from qad.metrics import auc
from qad.neural import NeuralDetector
from qad.representations import Representation
from tests.conftest import toy_events, toy_jets

DETECTORS = {n: registry.find(registry.DETECTORS, n) for n in detector.names()}
REPRESENTATIONS = {n: registry.find(registry.REPRESENTATIONS, n) for n in representations.names()}
TABULAR = [n for n, c in DETECTORS.items() if c.takes == "tabular"]
#: Shorter training where the default would make the tests wait; nothing else may differ.
FAST = {"dense-autoencoder": {"epochs": 15}, "conv-autoencoder": {"epochs": 3, "batch_size": 16},
        "conv-autoencoder-objects": {"epochs": 20, "batch_size": 32},
        "graph-autoencoder": {"epochs": 20}, "flow": {"epochs": 6}, "deep-svdd": {"epochs": 20},
        "normalised-graph-autoencoder": {"epochs": 3, "warm_up": 8, "width": 16, "batch_size": 32, "buffer": 32, "steps": 4,
                                         "latent_steps": 2},
        "normalised-autoencoder": {"epochs": 10, "warm_up": 10}, "wasserstein-autoencoder": {"epochs": 6, "warm_up": 10},
        "normalised-conv-autoencoder": {"epochs": 2, "warm_up": 4, "batch_size": 16, "steps": 3, "latent_steps": 2,
                                        "buffer": 64, "channels": (4, 4), "dense": (20,)},
        "quantum-normalised": {"points": 512},
        "quantum-measured": {"epochs": 25}, "quantum-measured-features": {"epochs": 25},
        "boosted-trees": {"n_trees": 60}, "weak-boosted-trees": {"n_trees": 60, "n_members": 2},
        "particle-transformer": {"epochs": 5},
        "hybrid-autoencoder": {"epochs": 20}, "hybrid-frozen": {"epochs": 20}, "hybrid-without-circuit": {"epochs": 20}}

#: The same of representations that learn.
FAST_LEARNED = {name: {"epochs": 2, "batch_size": 16} for name in ("jetclr", "anomalyclr", "anomalyclr-jets", "supcon")}

#: Their scores are logarithms, on both sides of zero or by chance on one.
LOGARITHMS = ("flow",)

#: scikit-learn's checks that fit an outlier detector without y, which one that is told labels refuses.
WITHOUT_Y = ("check_outliers_fit_predict", "check_outliers_train")

#: The representation a detector asks for, where one of the kind it takes does not do.
ASKS = {"normalised-graph-autoencoder": "lund-graph"}


def given(name):
    return ASKS.get(name, DETECTORS[name].takes)


def make(name, **params):
    return detector.get(name, **{**FAST.get(name, {}), **params})


def train(name, events, n, most=None, **params):
    """``name`` fitted on the first ``n`` of the background events, those up to ``most`` held back for early stopping.

    One that is told labels is given as many signal events besides, and holds back its own; a weakly supervised one is given
    a third of the background as data.
    """
    background, signal = events
    if (kind := DETECTORS[name].kind) in LABELLED:
        reference = n if kind == "supervised" else n * 2 // 3
        told = np.repeat([0, 1], [reference, 2 * n - reference])
        return make(name, **params).fit(np.concatenate([background[:n], signal[:n]]), told)
    return make(name, **params).fit(background[:n], validation=None if most is None else background[n:most])


def once(name, data, fitted={}):  # noqa: B006
    """``name`` fitted on 300 background events: the same one for all tests that only look at it."""
    if name not in fitted:
        fitted[name] = train(name, data[given(name)], 300)
    return fitted[name]


def arrays(takes, seed=0, n=600):
    """Background and signal of the kind a detector takes, from toy jets."""
    jets = toy_jets(n, seed), toy_jets(600, seed + 50, prongs=3)
    if takes == "tabular":
        features = ["mass", "multiplicity", "width", "ptd"]
        chain = [representations.get("substructure", features=features), representations.get("standardise")]
    elif takes == "objects":
        jets = tuple(Sample(particles=j.particles[:, :10], meta={"slots": ["jet"] * 10}) for j in jets)
        chain = [representations.get("objects")]
    else:
        chain = [representations.get({"particles": "constituents", "image": "images", "graph": "particle-graph",
                                      "lund-graph": "lund-graph"}[takes])]
        if takes == "lund-graph":
            chain[0].n_nodes = 6
        elif takes != "image":
            chain[0].n_particles = 5 if takes == "particles" else 6
    for step in chain:
        step.fit(jets[0])
        jets = tuple(step.transform(j) for j in jets)
    return jets


@pytest.fixture(scope="module")
def data():
    return {takes: arrays(takes) for takes in {given(name) for name in DETECTORS}}


@pytest.fixture(scope="module")
def many():
    """10,000 background events of each kind, one kind at a time."""
    held = {}

    def of(takes):
        if takes not in held:
            held.clear()
            held[takes] = arrays(takes, n=10_000)[0]
        return held[takes]

    return of


def checks():
    for name in TABULAR:
        brief = {"epochs": 2} if issubclass(DETECTORS[name], NeuralDetector) else {}  # nothing here asks for good scores
        for estimator, check in estimator_checks_generator(make(name, **brief)):
            unlabelled = DETECTORS[name].kind in LABELLED and check.func.__name__ in WITHOUT_Y
            marks = [pytest.mark.xfail(reason="fits without y", raises=InputError, strict=True)] if unlabelled else []
            yield pytest.param(estimator, check, id=f"{name}-{check.func.__name__}", marks=marks)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.parametrize(("estimator", "check"), list(checks()))
def test_check_estimator(estimator, check, monkeypatch):
    """scikit-learn's checks hand over any y: detectors that are told labels see alternating ones here."""
    labels = Detector._labels
    monkeypatch.setattr(Detector, "_labels", lambda self, y, n: labels(self, None if y is None else np.arange(n) % 2, n))
    check(estimator)


@pytest.mark.parametrize("name", DETECTORS)
class TestDetector:
    def test_declares_itself(self, name):
        cls = DETECTORS[name]
        assert issubclass(cls, Detector) and cls.kind in KINDS and cls.takes in SHAPES
        first = (cls.__doc__ or "").partition("\n")[0]
        assert first and len(first) < 128, "a detector's docstring begins with one line"
        for method in ("fit", "anomaly_score", "score_samples", "decision_function", "predict"):
            assert method not in vars(cls), f"{method} belongs to the base class"

    def test_scores(self, name, data):
        background, signal = data[given(name)]
        fitted = train(name, data[given(name)], 400, 500)
        score = fitted.anomaly_score(background[500:])
        assert score.shape == (100,) and score.dtype == np.float64 and np.isfinite(score).all()
        everything = np.r_[score, fitted.anomaly_score(signal)]
        assert len(np.unique(everything.round(12))) > 0.05 * len(everything)
        np.testing.assert_array_equal(fitted.score_samples(background), -fitted.anomaly_score(background))
        np.testing.assert_allclose(fitted.decision_function(background), fitted.score_samples(background) - fitted.offset_)
        assert set(fitted.predict(background)) <= {-1, 1}
        assert 0.97 < (fitted.predict(background[:260]) == 1).mean() <= 1  # told to be background by all

    def test_scores_do_not_depend_on_the_batch(self, name, data):
        background, _ = data[given(name)]
        fitted = once(name, data)
        whole = fitted.anomaly_score(background)
        one_by_one = np.concatenate([fitted.anomaly_score(background[i : i + 1]) for i in range(20)])
        np.testing.assert_allclose(one_by_one, whole[:20], atol=1e-9, rtol=1e-7)
        np.testing.assert_allclose(fitted.anomaly_score(background[::-1]), whole[::-1], atol=1e-9, rtol=1e-7)

    def test_many_scores(self, name, data, many):
        """A collapsed detector ranks events by rounding, and its AUC does not show it: 8 digits must tell many apart."""
        if name.endswith("boosted-trees"):
            pytest.skip("a sum of the few trees that part two hundred toys has few values, by design")
        takes = given(name)
        score = train(name, data[takes], 100).anomaly_score(many(takes))
        least = 10 if "shots" in make(name).get_params() else 100  # a fraction of so many shots is one of few numbers
        assert len(score) == 10_000 and len(np.unique(np.char.mod("%.7e", score))) > least

    def test_same_seed_same_scores(self, name, data):
        _, signal = events = data[given(name)]
        a, b = (f.anomaly_score(signal) for f in (once(name, data), train(name, events, 300)))
        np.testing.assert_array_equal(a, b)

    def test_a_killed_training_goes_on_with_the_same_bits(self, name, data, tmp_path, monkeypatch):
        if not issubclass(DETECTORS[name], NeuralDetector):
            pytest.skip("no network of the one loop")
        _, signal = events = data[given(name)]
        monkeypatch.setenv("QAD_CHECKPOINT_SECONDS", "0")
        whole = train(name, events, 120, 160, epochs=4)
        checkpoint = tmp_path / "c"
        for last in (2, 3):  # told of an epoch before it is written
            def stop(done, planned, last=last):
                if done == last:
                    raise KeyboardInterrupt

            monkeypatch.setattr(DETECTORS[name], "progress", staticmethod(stop))
            with pytest.raises(KeyboardInterrupt):
                train(name, events, 120, 160, epochs=4, checkpoint=str(checkpoint))
            assert checkpoint.exists()
        monkeypatch.setattr(DETECTORS[name], "progress", None)
        resumed = train(name, events, 120, 160, epochs=4, checkpoint=str(checkpoint))
        assert not checkpoint.exists()
        np.testing.assert_array_equal(resumed.anomaly_score(signal), whole.anomaly_score(signal))
        for kind in ("train", "validation", "best_epoch"):
            assert resumed.diagnostics_["history"][kind] == whole.diagnostics_["history"][kind]

    def test_labels_change_nothing(self, name, data):
        background, signal = data[given(name)]
        if DETECTORS[name].kind in LABELLED:
            with pytest.raises(InputError, match="is told labels"):
                make(name).fit(background[:300])
            for wrong in (np.zeros(300), np.arange(300) % 3, np.arange(200) % 2, np.full(300, "a")):
                with pytest.raises(InputError, match="0 for background"):
                    make(name).fit(background[:300], wrong)
            return
        y = np.random.default_rng(0).integers(0, 2, 300)
        np.testing.assert_array_equal(make(name).fit(background[:300], y).anomaly_score(signal),
                                      once(name, data).anomaly_score(signal))

    def test_better_than_untrained(self, name, data):
        """On the loss it minimises where it has one, and in finding three-pronged toys: learning must do something."""
        cls = DETECTORS[name]
        if not cls.learns:
            pytest.skip("learns nothing, by design")
        background, signal = data[given(name)]
        fitted = train(name, data[given(name)], 500, 600)
        assert auc(fitted.anomaly_score(background[500:]), fitted.anomaly_score(signal[500:])) > 0.6
        noted = getattr(fitted, "diagnostics_", {})
        if isinstance(fitted, NeuralDetector):  # on events held back, which no step has seen
            assert noted["loss"] < noted["loss_untrained"]
        if "epochs" in fitted.get_params() and noted.get("history"):  # trained step by step
            bare = {"warm_up": 0} if "warm_up" in fitted.get_params() else {}
            untrained = train(name, data[given(name)], 500, epochs=1, learning_rate=1e-12, **bare)
            after, before = (f.anomaly_score(background[500:]) for f in (fitted, untrained))
            if before.min() > 0 and name not in LOGARITHMS:
                assert after.mean() < 0.8 * before.mean()
            else:  # a logarithm, whose zero means nothing
                assert after.mean() < before.mean() - 0.1 * before.std()

    def test_save_and_load(self, name, data, tmp_path):
        _, signal = data[given(name)]
        fitted = once(name, data)
        save(fitted, tmp_path / "model")
        assert {f.name for f in (tmp_path / "model").iterdir()} == {"model.json", "model.safetensors"}
        back = load(tmp_path / "model")
        assert type(back) is type(fitted) and back.get_params().keys() == fitted.get_params().keys()
        np.testing.assert_array_equal(back.anomaly_score(signal), fitted.anomaly_score(signal))
        np.testing.assert_array_equal(back.predict(signal), fitted.predict(signal))
        save(back, tmp_path / "model")  # replaced whole
        np.testing.assert_array_equal(load(tmp_path / "model").anomaly_score(signal), fitted.anomaly_score(signal))

    def test_clear_errors(self, name, data):
        background, _ = data[given(name)]
        fitted = once(name, data)
        bad = background[:10].copy()
        bad[3] = np.nan
        for wrong in (bad, background[:0], background[:10, :-1], background[0], np.array([["a", "b"]])):
            with pytest.raises(ValueError) as caught:
                fitted.anomaly_score(wrong)
            assert len(str(caught.value)) > 20
        with pytest.raises(ValueError):
            make(name).fit(bad, np.arange(10) % 2)
        with pytest.raises(ValueError):
            make(name).fit(background[:1])

    def test_is_a_scikit_learn_estimator(self, name, data):
        background, _ = data[given(name)]
        assert clone(make(name)).get_params() == make(name).get_params()
        before = background[:100].copy()
        estimator = make(name)
        params = estimator.get_params()
        estimator.fit(background[:100], np.arange(100) % 2)
        assert estimator.get_params() == params
        np.testing.assert_array_equal(background[:100], before)


@pytest.mark.parametrize("name", REPRESENTATIONS)
class TestRepresentation:
    def given(self, name):
        jets = toy_jets(60, 4)
        if name in ("standardise", "angles", "power", "learned-latent", "pauli-features"):
            return np.random.default_rng(0).normal(3, 2, (60, 4))
        if name == "principal-components":
            return np.random.default_rng(0).normal(3, 2, (60, 20))
        if name in ("flatten", "pt-weighted", "ablate"):
            return representations.get("constituents").transform(jets)
        if name == "event-features":
            return Sample(particles=jets.particles, features=np.ones((60, 2)), feature_names=("met", "x"))
        if name == "supcon":
            return concatenate([replace(toy_jets(30, 4), process="one"), replace(toy_jets(30, 4, prongs=2), process="two")])
        if name == "anomalyclr":
            return toy_events(60)
        if name in ("objects", "object-sums"):
            return Sample(particles=jets.particles[:, :3], meta={"slots": ["met", "e", "jet"]})
        return jets

    def test_contract(self, name, tmp_path):
        cls, events = REPRESENTATIONS[name], self.given(name)
        assert issubclass(cls, Representation) and cls.gives in SHAPES
        assert (cls.__doc__ or "").partition("\n")[0]
        fitted = representations.get(name, **FAST_LEARNED.get(name, {})).fit(events)
        array = fitted.transform(events)
        assert len(array) == 60 and np.isfinite(array).all()
        # fitted on background once, it treats every event by itself
        np.testing.assert_allclose(fitted.transform(events[:7]), array[:7], rtol=1e-6, atol=1e-12)
        np.testing.assert_array_equal(clone(fitted).fit(events).transform(events), array)
        save(fitted, tmp_path / "r")
        np.testing.assert_array_equal(load(tmp_path / "r").transform(events), array)

    def test_wrong_input_is_one_sentence(self, name):
        events = self.given(name)
        fitted = representations.get(name, **FAST_LEARNED.get(name, {})).fit(events)
        if isinstance(events, Sample):
            with pytest.raises(InputError, match="takes a Sample"):
                fitted.transform(np.ones((3, 4)))
        elif events.ndim == 2:
            with pytest.raises(InputError, match="finite numbers"):
                fitted.transform(np.full((3, events.shape[1]), np.nan))
            with pytest.raises(InputError, match="table"):
                fitted.transform(toy_jets(3, 4))


@pytest.mark.parametrize(("takes", "chain"), [("tabular", ["Substructure", "Standardise"]), ("particles", ["Constituents"]),
                                              ("image", ["Images"]), ("graph", ["ParticleGraph"])])
def test_jets_have_a_default_representation(takes, chain, qcd_toys):
    assert [type(step).__name__ for step in pipeline.suited(takes, qcd_toys)] == chain


def test_a_pipeline_is_saved_whole(tmp_path, qcd_toys, top_toys):
    model = pipeline.fit("pca", qcd_toys, [representations.get("constituents", n_particles=4)])
    assert [type(s).__name__ for _, s in model.steps] == ["Constituents", "Flatten", "PCA"]
    save(model, tmp_path / "m", trained_on={"events": 400})
    back = load(tmp_path / "m")
    np.testing.assert_array_equal(pipeline.anomaly_score(back, top_toys), pipeline.anomaly_score(model, top_toys))
    assert json.loads((tmp_path / "m" / "model.json").read_text())["trained_on"] == {"events": 400}
    plain = make_pipeline(*(clone(step) for _, step in model.steps)).fit(qcd_toys)
    assert auc(-plain.score_samples(qcd_toys), -plain.score_samples(top_toys)) > 0.6


def rewrite(old, new):
    return lambda m: (m / "model.json").write_text((m / "model.json").read_text().replace(old, new))


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda m: (m / "model.json").unlink(), "expected model.json"),
        (lambda m: (m / "model.json").write_text("{"), "damaged"),
        (lambda m: (m / "model.json").write_text("[]"), "not a model of format"),
        (lambda m: (m / "model.safetensors").write_bytes(b"\x80\x04"), "missing or damaged"),
        (lambda m: (m / "model.safetensors").unlink(), "missing or damaged"),
        (rewrite('"params"', '"parms"'), "damaged"),
        (rewrite('"pca"', '"os:system"'), "not registered"),
        (rewrite("n_components", "n_comp"), "damaged"),
    ],
)
def test_damaged_or_hostile_models_are_one_sentence(tmp_path, damage, sentence):
    save(detector.get("pca").fit(np.random.default_rng(0).normal(size=(50, 8))), tmp_path / "m")
    damage(tmp_path / "m")
    with pytest.raises(InputError, match=sentence):
        load(tmp_path / "m")


def test_unknown_names_and_parameters_are_one_sentence():
    with pytest.raises(InputError, match="did you mean 'mahalanobis'"):
        detector.get("mahalonobis")
    with pytest.raises(InputError, match="did you mean 'constituents'"):
        representations.get("constituent")
    with pytest.raises(InputError, match="it takes n_components"):
        detector.get("pca", components=3)
    with pytest.raises(InputError, match="cannot be imported"):
        detector.get("nowhere.to.be:Found")
    assert type(detector.get("classical.pca:PCA")).__name__ == "PCA"


def test_a_function_as_parameter_says_what_to_do(tmp_path):
    fitted = detector.get("pca").fit(np.random.default_rng(0).normal(size=(50, 8)))
    fitted.n_components = print
    with pytest.raises(InputError, match="register a function"):
        save(fitted, tmp_path / "m")


def test_an_edited_base_class_is_another_detector(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    text = "from classical.pca import PCA\n\n\nclass Base(PCA):\n    factor = 1\n"
    (tmp_path / "edited_base.py").write_text(text)
    (tmp_path / "edited_child.py").write_text("from edited_base import Base\n\n\nclass Child(Base):\n    pass\n")
    before = registry.source_digest(detector.find("edited_child:Child"))
    assert before == registry.source_digest(detector.find("edited_child:Child"))
    (tmp_path / "edited_base.py").write_text(text.replace("1", "2"))
    linecache.checkcache()
    assert registry.source_digest(detector.find("edited_child:Child")) != before


def test_an_edited_engine_is_another_quantum_detector():
    sources = registry._sources({"qad.quantum.controls"})
    assert {"qad.quantum.engine", "qad.quantum.program", "qad.quantum.encodings", "qad.quantum.readout"} <= sources
    assert not any(name.startswith("qad.benchmark") for name in sources)
    assert registry._sources({"classical.pca"}) == {"classical.pca"}
