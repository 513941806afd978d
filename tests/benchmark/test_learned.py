"""What takes long to learn is learned once: kept, found again, shared, seeded, from mixtures, with a portrait."""

import inspect
import json
from dataclasses import replace

import numpy as np
import pytest

import qad
from qad import registry
from qad.benchmark import load_study, read_runs, run_study
from qad.benchmark.learned import portrait
from qad.benchmark.runner import Reporter
from qad.data.sample import concatenate
from qad.errors import InputError, WriteError
from qad.representations.jetclr import JetCLR
from tests.conftest import toy_events, toy_jets

SMALL = {"use": "jetclr", "n_particles": 8, "width": 8, "heads": 2, "blocks": 1, "feed": 8, "head": [6], "epochs": 2}


class Counting(Reporter):
    def __init__(self):
        self.learned = []

    def learning(self, name):
        self.learned.append(name)
        return lambda done, total: None


def study_of(write_study, **changes):
    usual = {"representations": {"embedding": {"steps": [SMALL, {"use": "standardise"}]}},
             "detectors": [{"use": "mahalanobis"}, {"use": "pca"}]}
    return load_study(write_study(**{**usual, **changes}))


def run(study, folder):
    told = Counting()
    root = run_study(study, folder / "runs", folder / "data", reporter=told)
    record = json.loads((root / "study.json").read_text())
    return root, told.learned, record


def test_learned_once_and_kept(write_study, tmp_path):
    root, learned, _ = run(study_of(write_study), tmp_path)
    assert learned == ["jetclr"] * 2  # once for each background, whatever seeds and detectors
    more = study_of(write_study, detectors=[{"use": "mahalanobis"}, {"use": "pca"}, {"use": "total"}])
    before = {r.path: r.scores for r in read_runs(root)}
    root, learned, _ = run(more, tmp_path)
    assert learned == []
    runs = read_runs(root)
    assert len(runs) == 12
    for r in runs:
        (note,) = r.record["representation"]["learned"]
        kept = qad.load(root / note["folder"])
        assert isinstance(kept, JetCLR) and note["seconds"] > 0 and note["parameters"] == kept.parameters_
        assert note["loss"] == kept.diagnostics_["loss"] and "history" not in note
        for process in before.get(r.path, {}):
            np.testing.assert_array_equal(before[r.path][process], r.scores[process])


def test_other_settings_are_another_embedding(write_study, tmp_path):
    run(study_of(write_study), tmp_path)
    other = study_of(write_study, representations={"embedding": {"steps": [{**SMALL, "temperature": 0.2}]}})
    assert len(run(other, tmp_path)[1]) == 2


def test_a_learned_step_behind_others_is_kept_too(write_study, tmp_path):
    chain = [{"use": "substructure", "features": ["mass", "width"]}, {"use": "standardise"},
             {"use": "learned-latent", "latent": 2, "epochs": 2}]
    study = study_of(write_study, representations={"latent": {"steps": chain}})
    assert run(study, tmp_path)[1] == ["learned-latent"] * 2
    more = study_of(write_study, representations={"latent": {"steps": chain}}, detectors=[{"use": "total"}])
    assert run(more, tmp_path)[1] == []


def test_seeded(write_study, tmp_path):
    study = study_of(write_study, representations={"embedding": {"seeded": True, "steps": [SMALL]}}, train=["qcd"])
    root, learned, _ = run(study, tmp_path)
    assert len(learned) == 2
    folders = {r.seed: r.record["representation"]["learned"][0]["folder"] for r in read_runs(root)}
    assert len(set(folders.values())) == 2
    assert [qad.load(root / folders[seed]).random_state for seed in (0, 1)] == [0, 1]


def test_learns_from_a_mixture(write_study, tmp_path):
    """Signal without labels may be in what is learned from, but no detector without labels may stand on it."""
    study = study_of(write_study, seeds=[0],
                     representations={"embedding": {"learns_from": ["qcd", "top"], "steps": [SMALL]}},
                     detectors=[{"use": "linear-classifier", "told": {"signal": ["qcd", "top"]}}, {"use": "mahalanobis"}])
    root, learned, record = run(study, tmp_path)
    assert learned == ["jetclr"]  # one for both directions
    assert {r.detector for r in read_runs(root)} == {"linear-classifier"}
    (skipped,) = record["skipped"]
    assert skipped["detector"] == "mahalanobis" and "signal among them" in skipped["reason"]
    with pytest.raises(InputError, match="did you mean 'top'"):
        study_of(write_study, representations={"e": {"learns_from": ["tops"], "steps": [SMALL]}})


def test_mixed_samples(write_study, toy_files, tmp_path):
    """Two known classes are one background; the third is new."""
    toy_jets(520, 23, prongs=2).save(tmp_path / "two.h5")
    samples = {"known": {"mix": [toy_files["qcd"], {"file": str(tmp_path / "two.h5")}], "train": 600, "test": 300},
               "top": toy_files["top"]}
    step = {"use": "supcon", "n_particles": 8, "width": 8, "heads": 2, "blocks": 1, "head": [4], "epochs": 2}
    study = study_of(write_study, samples=samples, train=["known", "top"], seeds=[0],
                     representations={"classes": {"steps": [step], "backgrounds": ["known"]}})
    root, learned, record = run(study, tmp_path)
    assert {s["reason"] for s in record["skipped"]} == {"'classes' is for known as background, not for 'top'"}
    assert learned == ["supcon"] and record["samples"]["known"]["file"].count(".h5") == 2
    for r in read_runs(root):
        assert len(r.scores["known"]) == 300 and len(r.scores["top"]) == 200
        assert list(qad.load(root / r.record["representation"]["learned"][0]["folder"]).classes_) == ["qcd", "top"]
    with pytest.raises(InputError, match="'simulate' or 'file' or 'mix'"):
        study_of(write_study, samples={**samples, "top": {**toy_files["top"], "mix": samples["known"]["mix"]}}, train=["known"])
    with pytest.raises(InputError, match="of a mixture, not of its parts"):
        study_of(write_study, samples={**samples, "known": {"mix": [{**toy_files["qcd"], "train": 3}, toy_files["top"]]}},
                 train=["known"])


def test_what_is_kept_belongs_to_its_source(monkeypatch):
    """An edited augmentation, loss, network or training is another embedding."""
    before, real = registry.source_digest(JetCLR), inspect.getsource
    for name in ("qad.augmentations.jets", "qad.contrastive", "qad.encoders", "qad.training", "qad.representations.jetclr"):
        monkeypatch.setattr(inspect, "getsource", lambda m, name=name: real(m) + "# edited" * (m.__name__ == name))
        assert registry.source_digest(JetCLR) != before


def test_a_picture_that_fails_costs_no_training(write_study, tmp_path, monkeypatch):
    def fails(step, tests):
        raise RuntimeError("as expected")

    monkeypatch.setattr("qad.benchmark.learned.portrait", fails)
    root, _, _ = run(study_of(write_study), tmp_path)
    notes = [json.loads(f.read_text()) for f in root.glob("_learned/*/model.json")]
    assert len(notes) == 2 and all(n["portrait"] == {} for n in notes)
    assert run(study_of(write_study, detectors=[{"use": "total"}]), tmp_path)[1] == []


def test_what_is_damaged_is_learned_again(write_study, tmp_path):
    root, _, _ = run(study_of(write_study), tmp_path)
    first, second = sorted(root.glob("_learned/jetclr-*"))
    (first / "model.json").unlink()
    (second / "model.safetensors").write_bytes(b"half")
    assert len(run(study_of(write_study, detectors=[{"use": "total"}]), tmp_path)[1]) == 2
    assert isinstance(qad.load(first), JetCLR) and isinstance(qad.load(second), JetCLR)


def test_a_full_disk_stops_the_study(write_study, tmp_path, monkeypatch):
    def full(*arguments, **notes):
        raise WriteError("no space left")

    monkeypatch.setattr("qad.benchmark.learned.save", full)
    with pytest.raises(WriteError):
        run(study_of(write_study), tmp_path)


def test_portrait():
    jets = {"qcd": toy_jets(200, 1), "top": toy_jets(200, 2, prongs=3)}
    settings = {k: v for k, v in SMALL.items() if k != "use"}
    found = portrait(JetCLR(**settings).fit(jets["qcd"]), jets)
    assert found["rotation"].keys() == {"two prongs", "three prongs"}
    for curve in found["rotation"].values():
        assert curve["mean"][0] == pytest.approx(1) and curve["mean"][-1] == pytest.approx(1) and min(curve["mean"]) < 1
    assert {k: len(v) for k, v in found["neighbours"].items()} == {"qcd": 150, "top": 150}
    json.dumps(found, allow_nan=False)
    from qad.representations.anomalyclr import AnomalyCLR

    events = {"toy": toy_events(60)}
    del settings["n_particles"]
    found = portrait(AnomalyCLR(**settings).fit(events["toy"]), events)
    assert found["rotation"].keys() == {"events"}


def test_labels_do_not_reach_it():
    """The same jets with other labels and other names: the same embedding."""
    both = concatenate([toy_jets(60, 1), toy_jets(60, 2, prongs=3)])
    blind = replace(both, label=np.zeros(120, np.int8), process="unknown")
    settings = {k: v for k, v in SMALL.items() if k != "use"}
    np.testing.assert_array_equal(JetCLR(**settings).fit(both).transform(both), JetCLR(**settings).fit(blind).transform(both))
