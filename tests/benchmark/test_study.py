import pytest

from qad import detector
from qad.benchmark import load_study, studies
from qad.errors import InputError


@pytest.mark.parametrize("name", studies())
def test_every_study_that_comes_with_the_package_is_sound(name):
    study = load_study(name)
    assert study.name == name
    kinds = {d.use for d in study.detectors}
    controls = {"feature", "total", "mahalanobis", "pca", "kernel-pca", "mode-distance"}
    assert controls <= kinds, f"controls are missing: {controls - kinds}"
    roles = {use.rpartition("-")[2] for use in kinds if use.startswith("quantum-") and detector.find(use).kind == "control"}
    assert roles >= {"untrained", "random", "ceiling"}, f"controls of the circuit are missing: only {roles}"
    assert len(study.train) >= 2, "both directions"
    assert len(study.seeds) >= (5 if name == "full" else 3)
    assert not [reason for _, _, reason in study.pairings() if reason]


def test_pairings_that_make_no_sense_have_a_reason(write_study):
    reasons = {(spec.label, name): reason for spec, name, reason in load_study(write_study()).pairings()}
    assert reasons["quantum-autoencoder", "constituents"] is None
    assert "takes particles" in reasons["quantum-autoencoder", "substructure"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"detectors": [{"use": "mahalonobis"}]}, "did you mean 'mahalanobis'"),
        ({"detectors": [{"use": "pca", "params": {"n": 3}}]}, "it takes n_components"),
        ({"detectors": [{"use": "pca"}, {"use": "pca"}]}, "distinct names"),
        ({"detectors": [{"use": "pca", "representations": ["lund"]}]}, "unknown representation 'lund'"),
        ({"train": ["qdc"]}, "did you mean 'qcd'"),
        ({"samples": {"qcd": {}}}, "either 'simulate' or 'file'"),
        ({"representations": {"a": {"steps": [{"use": "lundplane"}]}}}, "unknown representation"),
        ({"seeds": []}, "at seeds"),
        ({"representations": {"a": {"steps": []}}}, "at representations.a.steps"),
        ({"detectors": []}, "at detectors"),
        ({"seeds": [0, 0]}, "once only"),
        ({"train": ["qcd", "qcd"]}, "once only"),
        ({"detectors": [{"use": "pca", "representations": ["substructure", "substructure"]}]}, "twice"),
        ({"samples": {"qcd": {"file": "a.h5"}, "top": {"file": "a.h5"}}}, "the same events"),
        ({"split": {"train": 10, "test": 0}}, "at split.test"),
        ({"split": {"train": 10, "test": 5, "validation": 1.0}}, "at split.validation"),
        ({"detectors": [{"use": "subprocess:Popen", "params": {"args": ["touch", "pwned"]}}]}, "is no detector"),
        ({"representations": {"a": {"steps": [{"use": "os:getcwd"}]}}, "detectors": [{"use": "pca"}]}, "is no representation"),
        ({"detectors": [{"use": "pca", "events": 301}]}, "asks for 301 events"),
        ({"samples": {"qcd": {"file": "a.h5", "cuts": {"met": [5, 5]}}}}, r"met: expected \[low, high\]"),
        ({"samples": {"qcd": {"file": "a.h5", "cuts": {"met": [7, 5]}}}}, r"got \[7.0, 5.0\]"),
        ({"samples": {"qcd": {"file": "a.h5", "cuts": {"met": [5]}}}}, "at samples.qcd.cuts.met"),
        ({"samples": {"qcd": {"file": "a.h5", "cuts": {"met": ["a", 5]}}}}, "at samples.qcd.cuts.met"),
        ({"name": "../../etc"}, "at name"),
        ({"colour": "red"}, "at the file: unknown word 'colour'"),
    ],
)
def test_mistakes_are_one_sentence(write_study, changes, sentence):
    with pytest.raises(InputError, match=sentence):
        load_study(write_study(**changes))


def test_unreadable_studies_are_one_sentence(tmp_path):
    with pytest.raises(InputError, match="did you mean 'quick'"):
        load_study("quik")
    with pytest.raises(InputError, match="cannot be read"):
        load_study(tmp_path / "none.yaml")
    (tmp_path / "a.yaml").write_text("name: [")
    with pytest.raises(InputError, match="no valid YAML"):
        load_study(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").write_text("!!python/object/apply:os.system [id]")
    with pytest.raises(InputError, match="no valid YAML"):
        load_study(tmp_path / "b.yaml")
    (tmp_path / "c.yaml").write_text("- a\n")
    with pytest.raises(InputError, match="expected a mapping"):
        load_study(tmp_path / "c.yaml")
