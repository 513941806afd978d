import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import qad
from qad import detector, pipeline
from qad.benchmark import load_study, read_runs, run_study
from qad.benchmark.inputs import Inputs
from qad.benchmark.runner import Reporter
from qad.benchmark.runs import is_whole
from qad.detector import Detector
from qad.errors import InputError
from qad.representations import Representation


class Counting(Reporter):
    def __init__(self):
        self.missing = self.trained = 0

    def planned(self, total, missing):
        self.missing = missing

    def finished(self, cell, seconds, failure):
        self.trained += 1


class Broken(Detector):
    """Always fails."""

    def _fit(self, X, validation):
        raise ZeroDivisionError("as expected")


class NotFinite(Detector):
    """Scores NaN."""

    def _fit(self, X, validation):
        return

    def _score(self, X):
        return np.full(len(X), np.nan)


class Resumes(Detector):
    """Notes where it is told to write; its epochs took five minutes, all but the last before a kill."""

    resumable = True

    def __init__(self, checkpoint=None):
        self.checkpoint = checkpoint

    def _fit(self, X, validation):
        assert bool(self.checkpoint) is self.resumable
        self.diagnostics_ = {"history": {"seconds": [100.0, 199.0, 1.0]}}

    def _score(self, X):
        return X[:, 0]


class Never(Resumes):
    """One whose checkpoint would not hold all that it needs."""

    resumable = False


def test_who_can_is_resumed_and_its_time_is_that_of_all_epochs(write_study, tmp_path):
    detectors = [{"use": f"{__name__}:{name}", "representations": ["substructure"]} for name in ("Resumes", "Never")]
    root = run_study(load_study(write_study(detectors=detectors, seeds=[0], train=["qcd"])), tmp_path / "r", tmp_path / "d")
    runs = read_runs(root)
    assert len(runs) == 2
    for run in runs:
        assert 300 <= run.record["fit_seconds"] < 301 and run.record["detector"]["params"] == {"checkpoint": None}


def test_every_run_is_complete(finished):
    runs = read_runs(finished)
    assert len(runs) == 2 * 2 * 7  # directions × seeds × pairings that make sense
    for run in runs:
        assert set(run.scores) == {"qcd", "top"} and all(len(s) == 200 for s in run.scores.values())
        assert 240 <= run.record["n_train"] <= 270 and run.record["n_validation"] == 30
        assert {"fit_seconds", "events_per_second", "versions", "fingerprints", "configuration"} <= run.record.keys()
        assert run.path.name.startswith(f"{run.seed}-")
    notes = json.loads((finished / "study.json").read_text())
    assert [s["detector"] for s in notes["skipped"]] == ["quantum-autoencoder"] and not notes["failed"]


def test_starting_again_does_nothing_twice(finished, write_study):
    before = {p: p.stat().st_mtime_ns for p in finished.rglob("run.json")}
    counting = Counting()
    run_study(load_study(write_study()), finished.parent, finished.parent / "data", reporter=counting)
    assert counting.missing == counting.trained == 0
    assert before == {p: p.stat().st_mtime_ns for p in finished.rglob("run.json")}


def test_only_what_is_missing_or_damaged_is_done(finished, write_study, tmp_path):
    root = tmp_path / "toys"
    shutil.copytree(finished, root)
    runs = read_runs(root)
    expected = {str(r.path): r.scores for r in runs}
    shutil.rmtree(runs[3].path)
    (runs[5].path / "scores.npz").write_bytes(b"PK damaged")
    counting = Counting()
    run_study(load_study(write_study()), tmp_path, tmp_path / "data", reporter=counting)
    assert counting.trained == 2
    for run in read_runs(root):  # and with the same result
        for process, scores in run.scores.items():
            np.testing.assert_array_equal(scores, expected[str(run.path)][process])


def test_a_changed_detector_is_a_new_run_and_the_report_uses_only_it(finished, write_study, tmp_path):
    shutil.copytree(finished, tmp_path / "toys")
    counting = Counting()
    study = load_study(write_study(detectors=[{"use": "mahalanobis"}, {"use": "dense-autoencoder", "params": {"epochs": 4}}]))
    run_study(study, tmp_path, tmp_path / "data", reporter=counting)
    assert counting.trained == 2 * 2 * 2  # the autoencoder on two representations; Mahalanobis stands already
    assert {r.detector for r in read_runs(tmp_path / "toys")} == {"mahalanobis", "dense-autoencoder"}


def test_representations_learn_from_the_training_background_only(write_study):
    study = load_study(write_study())
    parts = {n: qad.split(qad.read(s.file), {"train": 300, "test": 200}, 0) for n, s in study.samples.items()}
    for train in ("qcd", "top"):
        steps, background, _ = arrays = Inputs(study, parts).arrays("substructure", train, False)
        np.testing.assert_allclose(background.mean(0), 0, atol=1e-9)
        alone = steps[0].transform(parts[train]["train"])
        np.testing.assert_allclose(steps[1].mean_, alone.mean(0))
        other = "top" if train == "qcd" else "qcd"
        assert np.abs(arrays.tests[other].mean(0)).max() > 0.3


def test_saved_models_score_as_the_run_did(finished):
    run = next(r for r in read_runs(finished) if r.detector == "quantum-autoencoder" and r.train == "top")
    study = json.loads((finished / "study.json").read_text())["study"]
    jets = qad.split(qad.read(study["samples"]["qcd"]["file"]), {"train": 300, "test": 200}, 0)["test"]
    np.testing.assert_allclose(pipeline.anomaly_score(qad.load(run.path / "model"), jets), run.scores["qcd"])


@pytest.mark.parametrize(("cls", "reason"), [("Broken", "ZeroDivisionError: as expected"), ("NotFinite", "not finite")])
def test_a_failing_detector_is_a_reason_not_a_crash(write_study, tmp_path, cls, reason):
    study = load_study(write_study(detectors=[{"use": f"{__name__}:{cls}", "representations": ["substructure"]},
                                              {"use": "mahalanobis", "representations": ["substructure"]}]))
    root = run_study(study, tmp_path, tmp_path)
    notes = json.loads((root / "study.json").read_text())
    assert len(notes["failed"]) == 4 and all(reason in f["reason"] for f in notes["failed"])
    assert {r.detector for r in read_runs(root)} == {"mahalanobis"}


def test_too_few_events_is_one_sentence(write_study, tmp_path):
    study = load_study(write_study(split={"train": 3000, "test": 200}))
    with pytest.raises(InputError, match="sample 'qcd'"):
        run_study(study, tmp_path, tmp_path)


def test_killed_at_any_moment_it_ends_in_the_same_runs(finished, write_study, tmp_path):
    """Kill the command while it trains; what is there is whole, and the next start does the rest."""
    command = [sys.executable, "-m", "qad", "benchmark", str(write_study()), "--runs", str(tmp_path), "--data", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list(tmp_path.rglob("run.json"))) < 3:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = [p.parent for p in tmp_path.rglob("run.json") if not p.parent.name.startswith(".")]
    assert kept and all(is_whole(p) for p in kept)
    counting = Counting()
    root = run_study(load_study(write_study()), tmp_path, tmp_path, reporter=counting)
    assert counting.missing == 28 - len(kept)
    expected = {r.path.relative_to(finished): r.scores for r in read_runs(finished)}
    for run in read_runs(root):
        for name, scores in run.scores.items():
            np.testing.assert_array_equal(scores, expected[run.path.relative_to(root)][name])


def steps_of(study):
    """The study's first representation, fitted on the jets it is given; its first column."""
    from qad import representations

    def apply(jets):
        array = jets
        for step in next(iter(study.representations.values())).steps:
            array = representations.get(step.use, **step.params).fit(array).transform(array)
        return array[:, 0].tolist()
    return apply


def test_seeds_reach_the_detectors(finished):
    runs = [r for r in read_runs(finished) if r.detector == "dense-autoencoder" and r.train == "qcd"]
    assert sorted(r.record["detector"]["params"]["random_state"] for r in runs) == [0, 1]
    assert not np.array_equal(runs[0].scores["top"], runs[1].scores["top"])


def test_detectors_see_the_same_training_events(write_study, tmp_path, monkeypatch):
    seen = []
    original = Detector.fit

    def spy(self, X, y=None, *, validation=None):
        seen.append((tuple(X[:, 0]), tuple(validation[:, 0]), y))
        return original(self, X, y, validation=validation)

    monkeypatch.setattr(Detector, "fit", spy)
    study = load_study(write_study(train=["qcd"], seeds=[3], representations={
        "substructure": {"steps": [{"use": "substructure", "features": ["mass"]}, {"use": "standardise"}]}},
        detectors=[{"use": "mahalanobis"}, {"use": "feature"}, {"use": "total"}]))
    run_study(study, tmp_path, tmp_path)
    assert len(seen) == 3 and len({s[:2] for s in seen}) == 1
    fit, held, _ = seen[0]
    assert len(held) == 30 and 240 <= len(fit) <= 270 and not set(fit) & set(held)
    jets = qad.split(qad.read(study.samples["qcd"].file), {"train": 300, "test": 200}, 0)["train"]
    mass = steps_of(study)(jets)
    collision = jets.extras["event"]
    of = {m: c for m, c in zip(mass, collision, strict=True)}
    assert not {of[m] for m in fit} & {of[m] for m in held}, "the jets of one collision are not on both sides"
    assert all(y is None for *_, y in seen), "no label reaches fit"


def test_detector_names_cover_both_families():
    assert {"quantum-autoencoder", "dense-autoencoder", "pca", "mahalanobis", "feature"} <= set(detector.names())


def test_a_full_disk_half_way_is_one_sentence_and_keeps_what_is_done(write_study, tmp_path):
    """The file size limit stands for a full disk: it falls while models are being trained."""
    code = ("import resource, sys\n"
            "from qad.benchmark import load_study, run_study\n"
            "from qad.benchmark.runner import Reporter\n"
            "from qad.errors import InputError\n"
            "class Fill(Reporter):\n"
            "    def finished(self, cell, seconds, failure):\n"
            "        resource.setrlimit(resource.RLIMIT_FSIZE, (500, resource.RLIM_INFINITY))\n"
            "try: run_study(load_study(sys.argv[1]), sys.argv[2], sys.argv[2], reporter=Fill())\n"
            "except InputError as error: print(error)\n")
    command = [sys.executable, "-c", code, str(write_study()), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "runs finished before are kept" in done.stdout and done.stdout.count("\n") == 1
    assert len(read_runs(tmp_path / "toys")) == 1
    assert not list(tmp_path.rglob("*.tmp"))
    counting = Counting()
    run_study(load_study(write_study()), tmp_path, tmp_path, reporter=counting)
    assert counting.trained == 27


def test_a_detector_on_few_events_and_what_precedes_it_see_these_alone(tmp_path, write_study, toy_files):
    few = [{"use": "mahalanobis", "name": "few", "events": 40}, {"use": "mahalanobis"}]
    study = load_study(write_study(detectors=few, train=["qcd"], samples={
        "qcd": {**toy_files["qcd"], "train": 400, "test": 100}, "top": toy_files["top"]}))
    runs = read_runs(run_study(study, tmp_path / "runs", tmp_path / "data"))
    sizes = {(r.detector, r.seed): r.record["n_train"] + r.record["n_validation"] for r in runs}
    assert all(n <= 40 if name == "few" else n > 300 for (name, _), n in sizes.items()) and len(sizes) == 4
    assert {len(r.scores["qcd"]) for r in runs} == {100} and {len(r.scores["top"]) for r in runs} == {200}
    means = [qad.load(r.path / "model").steps[-2][1].mean_ for r in runs if r.detector == "few"
             and r.representation == "substructure"]
    assert not np.allclose(*means), "each seed draws its own events, and the scaling is learned from them alone"


def test_a_file_that_is_not_there_is_one_sentence_and_the_data_folder_is_searched(tmp_path, write_study, toy_files):
    samples = {"qcd": {"file": "qcd.h5"}, "top": {"file": "top.h5"}}
    study = load_study(write_study(samples=samples, detectors=[{"use": "mahalanobis"}]))
    with pytest.raises(InputError, match="--data FOLDER"):
        run_study(study, tmp_path / "runs", tmp_path)
    assert read_runs(run_study(study, tmp_path / "runs", Path(toy_files["qcd"]["file"]).parent))


class Remembers(Representation):
    """Learns how many events it was given."""

    def _fit(self, X):
        self.n_ = len(X)

    def _transform(self, X):
        return np.full((len(X), 1), float(self.n_)) + np.random.default_rng(0).normal(size=(len(X), 1))


def test_a_first_step_that_learns_sees_the_few_events_alone(tmp_path, write_study):
    study = load_study(write_study(train=["qcd"], seeds=[0], detectors=[{"use": "mahalanobis", "events": 40}], representations={
        "learned": {"steps": [{"use": "tests.benchmark.test_runner:Remembers"}]}}))
    parts = {n: qad.data.split(qad.read(s.file), {"train": 300, "test": 200}, 0) for n, s in study.samples.items()}
    steps, background, _ = Inputs(study, parts).arrays("learned", "qcd", True, 40, 0)
    assert steps[0].n_ == len(background) == 40
    steps, background, _ = Inputs(study, parts).arrays("learned", "qcd", True, None, 0)
    assert steps[0].n_ == len(background) == 300


def test_the_same_events_under_two_names_are_refused(tmp_path, write_study, toy_files):
    """Another spelling of the path and other sizes: neither the study's text nor the fingerprints of the parts agree."""
    again = Path(toy_files["qcd"]["file"])
    samples = {"qcd": toy_files["qcd"], "top": {"file": str(again.parent / ".." / again.parent.name / again.name), "test": 150}}
    study = load_study(write_study(samples=samples, train=["qcd"], detectors=[{"use": "mahalanobis"}]))
    with pytest.raises(InputError, match=r"events of sample 'top' are .* events of sample 'qcd'"):
        run_study(study, tmp_path / "runs", tmp_path / "data")


def test_simulated_samples_have_cuts_and_a_detector(tmp_path, monkeypatch):
    """A study passes them on, and its files tell samples with other ones apart."""
    pytest.importorskip("pythia8mc")
    import qad.simulation
    from qad.benchmark.events import make_sample
    from qad.benchmark.study import SampleSpec

    made = {}

    def simulate(kind, process, n, seed, *, out, selection, response, **settings):
        made[out] = (kind, process, n, seed, selection, response.mode)
        out.touch()

    monkeypatch.setattr(qad.simulation, "simulate", simulate)

    def file(**settings):
        spec = SampleSpec(**({"simulate": "dijets", "process": "dijet_qcd", "n": 5} | settings))
        return make_sample(spec, "x", tmp_path, 1, Reporter().simulating)[0]

    plain, cut = file(), file(selection={"pt_min": 1500.0})
    seen, mixed = file(response={"mode": "eflow"}), file(simulate="level1", process="background", n=100)
    assert len({plain, cut, seen, mixed}) == 4 and file() == plain
    assert made[cut][4] == {"pt_min": 1500.0} and made[seen][5] == "eflow" and made[mixed][:2] == ("level1", "background")
    with pytest.raises(InputError, match="did you mean 'pile_up'"):
        file(response={"pileup": 3})
    with pytest.raises(InputError, match="did you mean 'pt_min'"):
        file(selection={"pt_mn": 3})
