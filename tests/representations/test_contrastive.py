"""Contrastive embeddings: invariant where they were taught to be and not elsewhere, resumed with the same bits, seeded."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from qad import load, representations, save
from qad.data.sample import concatenate
from qad.errors import InputError
from qad.representations import contrastive, supcon
from qad.representations.anomalyclr import AnomalyCLR
from qad.representations.jetclr import AnomalyCLRJets, JetCLR
from qad.representations.supcon import SupervisedContrastive
from qad.training import History
from tests.conftest import toy_events, toy_jets

SMALL = {"width": 16, "heads": 2, "blocks": 1, "feed": 16, "head": (16, 8)}
ANGLES = np.linspace(0.1, 2 * np.pi, 12, endpoint=False)


@pytest.fixture(scope="module")
def jets():
    return concatenate([toy_jets(400, 1, particles=16), toy_jets(400, 2, prongs=2, particles=16),
                        toy_jets(400, 3, prongs=3, particles=16)])


@pytest.fixture(scope="module")
def test_jets():
    return {k: toy_jets(100, 9 + k, prongs=k, particles=16) for k in (2, 3)}


def jetclr(**settings):
    return JetCLR(**{"n_particles": 12, "epochs": 12, "batch_size": 64, "learning_rate": 3e-3, **SMALL, **settings})


def test_invariant_under_what_it_was_taught(jets, test_jets):
    """Mean s(z, z') over rotations: at least 0.99 after training with them, visibly not without."""
    taught = jetclr(positives=["rotate", {"use": "soft", "strength": 0.02}], epochs=40, patience=40).fit(jets)
    other = jetclr(positives=[{"use": "soft", "strength": 0.02}]).fit(jets)
    assert np.mean([taught.turned_similarity(sample, ANGLES) for sample in test_jets.values()]) >= 0.99
    for sample in test_jets.values():
        assert other.turned_similarity(sample, ANGLES).mean() < 0.5
    # and it has not become blind: another jet is another jet
    for sample in test_jets.values():
        assert taught.similarity(sample, sample[np.roll(np.arange(100), 1)]).mean() < 0.5


@pytest.mark.parametrize(("cls", "settings"), [(JetCLR, {"n_particles": 12}), (AnomalyCLRJets, {"n_particles": 12}),
                                               (AnomalyCLR, {}), (AnomalyCLR, {"loss": "anomalous-plus"}),
                                               (AnomalyCLR, {"loss": "decoupled", "anomalies": []})])
def test_training_helps_on_events_that_it_has_not_seen(cls, settings, jets):
    sample = toy_events(600) if cls is AnomalyCLR else jets
    fitted = cls(**{**SMALL, "epochs": 5, "batch_size": 64, "learning_rate": 3e-3, **settings}).fit(sample)
    found = fitted.diagnostics_
    assert found["loss"] < found["loss_untrained"] - 0.1
    z = fitted.transform(sample[:50])
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1)
    assert z.shape == (50, 16) and fitted.set_params(read=-1).transform(sample[:50]).shape == (50, 8)
    assert found.keys() == {"history", *(k + e for k in ("loss", "alignment", "uniformity") for e in ("", "_untrained"))}


def test_strange_views_are_far(jets):
    """What AnomCLR+ is taught to push away lies further away than what it pulls."""
    fitted = AnomalyCLRJets(n_particles=12, **{**SMALL, "epochs": 8, "batch_size": 64, "learning_rate": 3e-3}).fit(jets)
    x = torch.as_tensor(fitted._events(jets[:300]), dtype=torch.float64)
    first, second, strange = (fitted.network_(fitted._columns(v)).detach()
                              for v in fitted._views()(x, torch.Generator().manual_seed(5)))
    like, unlike = (torch.cosine_similarity(first, v).mean() for v in (second, strange))
    assert like > unlike + 0.2


def test_classes_are_told_apart(jets):
    sample = concatenate([toy_jets(300, 5, particles=16), toy_jets(300, 6, prongs=3, particles=16)])
    fitted = SupervisedContrastive(n_particles=12, width=8, heads=2, blocks=1, head=(8, 4), epochs=8, batch_size=24,
                                   learning_rate=3e-3).fit(sample)
    assert list(fitted.classes_) == ["qcd", "top"]
    found = fitted.diagnostics_  # what is held back is shuffled: a batch of one class would have no rivals
    assert found["loss"] < found["loss_untrained"] - 0.5
    z = fitted.transform(concatenate([toy_jets(50, 15, particles=16), toy_jets(50, 16, prongs=3, particles=16)]))
    same, other = z[:50] @ z[:50].T, z[:50] @ z[50:].T
    assert same.mean() > other.mean() + 0.5


@pytest.mark.parametrize("cls", [JetCLR, AnomalyCLR, SupervisedContrastive])
def test_resumes_with_the_same_bits(cls, jets, tmp_path, monkeypatch):
    monkeypatch.setenv("QAD_CHECKPOINT_SECONDS", "0")
    sample = toy_events(200) if cls is AnomalyCLR else jets[::3]
    settings = {"width": 8, "heads": 2, "blocks": 1, "head": (4,), "batch_size": 64, "epochs": 4, "random_state": 3}
    whole = cls(**settings).fit(sample)

    class Killed(Exception):
        pass

    def kill(done, total):
        if done == 3:
            raise Killed

    stopped = cls(**settings, checkpoint=str(tmp_path / "c"))
    stopped.progress = kill
    with pytest.raises(Killed):
        stopped.fit(sample)
    assert (tmp_path / "c").exists()
    again = cls(**settings, checkpoint=str(tmp_path / "c")).fit(sample)
    np.testing.assert_array_equal(again.transform(sample[:20]), whole.transform(sample[:20]))
    assert not (tmp_path / "c").exists()
    again = cls(**{**settings, "random_state": 4}).fit(sample)
    assert np.abs(again.transform(sample[:20]) - whole.transform(sample[:20])).max() > 1e-3
    save(whole, tmp_path / "m")
    np.testing.assert_array_equal(load(tmp_path / "m").transform(sample[:20]), whole.transform(sample[:20]))


def test_infrared_safe(jets):
    """A particle more, with next to no pT, at a wide angle: the same embedding."""
    fitted = jetclr(epochs=1).fit(jets)
    few = np.array(jets[:30].particles)
    few[:, 8:] = 0
    soft = few.copy()
    soft[:, 8, :3] = np.c_[np.full(30, 1e-6), few[:, 0, 1:3] + 0.4]
    found, wanted = (fitted.transform(replace(jets[:30], particles=p)) for p in (soft, few))
    np.testing.assert_allclose(found, wanted, atol=1e-3)


@pytest.mark.parametrize(("settings", "sentence"), [
    ({"loss": "nt-xents"}, "did you mean 'nt-xent'"),
    ({"loss": "anomalous"}, "give anomalies, such as drop"),
    ({"anomalies": ["drop"]}, "this loss knows none"),
    ({"positives": ["drop"]}, "expected one that is positive"),
    ({"positives": ["azimuth"]}, "unknown augmentation 'azimuth'"),
    ({"positives": [3]}, "expected the name of an augmentation"),
    ({"anomalies": None}, "expected a list of augmentations"),
    ({"positives": [{"use": "soft", "as_published": "no"}]}, "expected true or false"),
    ({"width": 10, "heads": 4}, "a multiple of heads"),
    ({"read": 3}, "0 to 2, a layer of the head"),
    ({"temperature": 0}, "above 0"),
    ({"precision": "half"}, "expected one of float32"),
    ({"batch_size": 1}, "from 2"),
    ({"pt_scale": -1}, "above 0"),
])
def test_settings_that_cannot_be(settings, sentence, jets):
    with pytest.raises(InputError, match=sentence):
        jetclr(**settings).fit(jets[:50])


def test_wrong_events_are_one_sentence(jets):
    with pytest.raises(InputError, match="at least 4"):
        jetclr().fit(jets[:3])
    with pytest.raises(InputError, match="takes jets"):
        jetclr().fit(toy_events(30))
    with pytest.raises(InputError, match="for jets use 'constituents'"):
        AnomalyCLR().fit(jets)
    with pytest.raises(InputError, match="two processes or more"):
        SupervisedContrastive().fit(toy_jets(20, 1))
    fitted = AnomalyCLR(**SMALL, epochs=0).fit(toy_events(20))
    with pytest.raises(InputError, match="learned from events with slots"):
        events = toy_events(20)
        fitted.transform(type(events)(particles=events.particles[:, 1:], meta={"slots": events.meta["slots"][1:]}))


def test_an_event_left_over_does_no_harm(jets):
    """65 events in batches of 64: the last has no rivals."""
    for cls, sample in ((AnomalyCLR, toy_events(65)), (JetCLR, jets[:65])):
        loss = {"loss": "decoupled", "anomalies": []}
        fitted = cls(**SMALL, **loss, epochs=2, batch_size=64, validation_fraction=0.0).fit(sample)
        assert np.isfinite(fitted.transform(sample)).all()


def test_dropout_has_its_seed_too(jets, tmp_path, monkeypatch):
    """Same seed, same bits; resumed too; torch's own random numbers stay as they were."""
    monkeypatch.setenv("QAD_CHECKPOINT_SECONDS", "0")
    settings = {"epochs": 3, "dropout": 0.2}
    before = torch.random.get_rng_state()
    whole = jetclr(**settings).fit(jets[::4])
    np.testing.assert_array_equal(jetclr(**settings).fit(jets[::4]).transform(jets[:9]), whole.transform(jets[:9]))
    stopped = jetclr(**settings, checkpoint=str(tmp_path / "c"))

    def kill(done, total):
        if done == 2:
            raise KeyboardInterrupt

    stopped.progress = kill
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(jets[::4])
    again = jetclr(**settings, checkpoint=str(tmp_path / "c")).fit(jets[::4])
    np.testing.assert_array_equal(again.transform(jets[:9]), whole.transform(jets[:9]))
    save(whole, tmp_path / "m")
    load(tmp_path / "m")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_copies_of_an_event_are_on_one_side(jets, monkeypatch):
    """What is held back shares no collision with what is learned from."""
    seen = {}
    monkeypatch.setattr("qad.representations.contrastive.train",
                        lambda parameters, loss, *, data, **settings: seen.update(kept=data[0]) or History([1.0]))
    sample = replace(jets[:100], extras={"event": np.arange(100) % 20})
    events = jetclr(epochs=1)._events(sample)
    jetclr(epochs=1).fit(sample)
    kept = {tuple(x.ravel().tolist()) for x in seen["kept"].numpy()}
    which = np.array([tuple(x.ravel().tolist()) in kept for x in events])
    assert 80 < which.sum() < 100 and all(len(set(which[k::20])) == 1 for k in range(20))


def test_splitting_acts_on_full_jets():
    """Jets with more particles than the network is given: a view still has particles split, its hardest are seen."""
    full = toy_jets(50, 3, particles=50)
    one = JetCLR(n_particles=20, positives=["collinear"])
    one.scale_ = 600.0
    x = torch.as_tensor(one._events(full))
    assert x.shape == (50, 60, 3)
    seen = one._columns(one._views()(x, torch.Generator().manual_seed(0))[1])
    assert seen.shape == (50, 20, 3) and (seen[:, :-1, 0] >= seen[:, 1:, 0]).all()
    assert ((seen - one._columns(x)).abs().amax((1, 2)) > 1e-3).all()


def test_presets_are_sizes(jets):
    """The published network has the number of weights that its own code counts: 26,046,000 (arXiv:2108.04253)."""
    assert contrastive.PRESETS["small"].items() <= representations.get("jetclr").get_params().items()
    published = JetCLR(**{**contrastive.PRESETS["published"], "epochs": 0}).fit(jets[:8])
    assert published.parameters_ == 26_046_000
    told = {**supcon.PRESETS["published"], "epochs": 0, "n_particles": 16}
    assert SupervisedContrastive(**told).fit(jets[::200]).parameters_ > 1_000_000


def test_untrained_is_a_control(jets):
    bare = representations.get("jetclr", epochs=0, n_particles=12, **SMALL).fit(jets)
    assert bare.diagnostics_["loss"] == bare.diagnostics_["loss_untrained"] and not bare.diagnostics_["history"]["train"]
