"""Dijet and level-1 events in a study."""

import numpy as np
import pytest

from qad.benchmark import load_study, read_runs, run_study
from qad.data import Sample
from qad.errors import InputError

STUDY = """
name: objects
title: objects of events
samples:
  a: {{file: a.h5, {more}}}
  b: {{file: b.h5, {more}}}
split: {{train: 60, test: 30}}
train: [a]
representations:
  r: {{steps: [{{use: {use}}}], tabular: [{{use: flatten}}]}}
detectors: [{{use: mahalanobis}}, {{use: total}}]
seeds: [0, 1]
"""


def save(path, shift, weights=None, **meta):
    rng = np.random.default_rng(shift)
    particles = np.sort(np.abs(rng.normal(30 + shift, 10, (100, 6, 4))).astype(np.float32), axis=1)[:, ::-1]
    particles[..., 1:3] = rng.normal(0, 0.3, (100, 6, 2))
    extras = {f"{j}_{c}": np.ones(100) for j in ("j1", "j2") for c in ("pt", "eta", "phi", "mass")}
    Sample(particles=particles, process=path.stem, extras=extras, weight=weights,
           meta={"slots": ["j1"] * 3 + ["j2"] * 3, **meta}).save(path)


@pytest.mark.parametrize(("use", "more"), [("objects", ""), ("substructure", "object: j1")])
def test_events_with_objects_are_judged(tmp_path, use, more):
    save(tmp_path / "a.h5", 0)
    save(tmp_path / "b.h5", 20)
    (tmp_path / "s.yaml").write_text(STUDY.format(use=use, more=more))
    root = run_study(load_study(tmp_path / "s.yaml"), tmp_path / "runs", tmp_path)
    assert len(read_runs(root)) == 4


def test_weighted_events_are_refused_or_taken_without_their_weights(tmp_path):
    save(tmp_path / "a.h5", 0, np.linspace(0.1, 2, 100))
    save(tmp_path / "b.h5", 20)
    (tmp_path / "s.yaml").write_text(STUDY.format(use="objects", more=""))
    with pytest.raises(InputError, match=r"sample 'a' .* weights: ignore"):
        run_study(load_study(tmp_path / "s.yaml"), tmp_path / "runs", tmp_path)
    (tmp_path / "s.yaml").write_text(STUDY.format(use="objects", more="weights: ignore"))
    assert len(read_runs(run_study(load_study(tmp_path / "s.yaml"), tmp_path / "runs", tmp_path))) == 4


def test_samples_of_different_detectors_or_selections_are_refused(tmp_path):
    """Otherwise a detector of anomalies finds the detector: QCD among QCD with AUC 0.98."""
    save(tmp_path / "a.h5", 0, detector="particle", selection={"pt_min": 1200.0, "radius": 1.0})
    save(tmp_path / "b.h5", 20, detector="towers", selection={"pt_min": 1200.0, "radius": 1.0})
    study = tmp_path / "s.yaml"
    study.write_text(STUDY.format(use="objects", more=""))
    with pytest.raises(InputError, match="different detectors, particle and towers"):
        run_study(load_study(study), tmp_path / "runs", tmp_path)
    study.write_text(STUDY.format(use="objects", more="") + "mixed: true\n")
    assert len(read_runs(run_study(load_study(study), tmp_path / "runs", tmp_path))) == 4
    save(tmp_path / "b.h5", 20, detector="particle", selection={"pt_min": 600.0, "radius": 1.0})
    study.write_text(STUDY.format(use="objects", more=""))
    with pytest.raises(InputError, match=r"selections, \{'pt_min': 1200.0\} and \{'pt_min': 600.0\}"):
        run_study(load_study(study), tmp_path / "runs", tmp_path)
