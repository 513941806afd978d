"""Mistakes that new users make, on the command line and in a notebook: what each is told.

Every answer is one sentence that says what was expected, what came, and what to type next; each line below is a mistake in the
user's words and pieces of the answer. Notebook users get an exception whose text is that sentence.
"""

import json
import os
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline

import qad
from qad import detector, pipeline, representations
from qad.data import Sample
from qad.errors import DeadParameterWarning, InputError
from tests.conftest import STUDY, toy_events, toy_jets

#: A file of the user's, from the study above with one thing exchanged for another.
STUDIES = {
    "tabs": ("  qcd: {file", "\tqcd: {file"),
    "key": ("seeds:", "sedes:"),
    "twice": ("  - {use: mahalanobis}", "  - {use: mahalanobis}\n  - {use: mahalanobis}"),
    "representation": ("substructure", "substructur"),
    "detector": ("mahalanobis", "mahalanobs"),
    "parameter": ("{use: mahalanobis}", "{use: pca, params: {n_component: 2}}"),
    "place": ("{use: mahalanobis}", "{use: pca, n_components: 2}"),
    "file": ("top.h5", "topp.h5"),
    "shares": ("train: 150, test: 80", "train: 0.8, test: 0.2"),
    "validation": ("test: 80", "test: 80, validation: 10"),
    "many": ("train: 150", "train: 15000"),
    "seeds": ("seeds: [0]", "seeds: 3"),
    "train": ("[qcd]", "[qdc]"),
    "same": ("top.h5", "qcd.h5"),
    "detectorless": ("\n  - {use: mahalanobis}", " []"),
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with samples, a model, and what went wrong before."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(_workshop(tmp_path.parent), tmp_path, dirs_exist_ok=True)
    return tmp_path


def _workshop(root):
    """Made once: two samples, events, a single event, a model and its damaged copies, files of other programs."""
    folder = root / "workshop"
    if folder.exists():
        return folder
    folder.mkdir()
    toy_jets(300, 1).save(folder / "qcd.h5")
    toy_jets(100, 2, prongs=3).save(folder / "top.h5")
    toy_events(30).save(folder / "events.h5")
    toy_jets(1, 3).save(folder / "one.h5")
    model = pipeline.fit("pca", toy_jets(300, 1))
    qad.save(model, folder / "model", trained_on={"file": "gone.h5", "fingerprint": "", "events": 300})
    for name in ("corrupt", "cut", "older"):
        shutil.copytree(folder / "model", folder / name)
    (folder / "corrupt" / "model.json").write_text("{")
    (folder / "cut" / "model.safetensors").write_text("x")
    notes = json.loads((folder / "older" / "model.json").read_text())
    (folder / "older" / "model.json").write_text(json.dumps({**notes, "format": 0}))
    (folder / "empty.h5").touch()
    (folder / "text.h5").write_text("hello")
    raw = (folder / "qcd.h5").read_bytes()
    (folder / "trunc.h5").write_bytes(raw[: len(raw) // 2])
    (folder / "table.csv").write_text("pt,eta,phi\n1,high,3\n")
    (folder / "numbers.csv").write_text("1,2,3\n4,5,6\n")
    (folder / "lepton.csv").write_text("met,lep_pt\n" + "".join(f"{50 + i},{20 + i % 7}\n" for i in range(40)))
    (folder / "muon.csv").write_text("met,mu_pt\n50,20\n60,30\n")
    qad.save(pipeline.fit("pca", qad.read(folder / "lepton.csv")), folder / "columns")
    np.save(folder / "jets.npy", np.ones((3, 5, 4)))
    (folder / "notes.txt").write_text("hello")
    with h5py.File(folder / "other.h5", "w") as file:
        file["x"] = np.zeros(4)
    with h5py.File(folder / "schema1.h5", "w") as file:
        file.attrs["schema_version"] = 1
        for key, value in {"format": "qad.sample", "meta": "{}", "fingerprint": "0"}.items():
            file.attrs[key] = np.bytes_(value.encode())
    for name, (old, new) in STUDIES.items():
        assert old in STUDY
        (folder / f"{name}.yaml").write_text(STUDY.replace(old, new))
    (folder / "blank.yaml").touch()
    return folder


#: (what the user types after "qad", pieces of the sentence that comes back)
TYPED = [
    ("data info none.h5", ["does not exist"]),
    ("data info empty.h5", ["is empty"]),
    ("data info text.h5", ["no HDF5 file"]),
    ("data info trunc.h5", ["truncated"]),
    ("data info .", ["is a folder"]),
    ('fit quantum-autoencodr qcd.h5 -o m', ["did you mean 'quantum-autoencoder'? All ", ": type  qad detectors\n"]),
    ("fit zzzzzz qcd.h5 -o m", ["unknown detector 'zzzzzz'. Known: ", "mahalanobis, "]),
    ("fit pca none.h5 -o m", ["does not exist"]),
    ("fit pca qcd.h5 -o /proc/m", ["cannot write"]),
    ("fit pca qcd.h5 -o .", ["holds no model; give another folder"]),
    ("fit pca qcd.h5 -r substructure:features=mass -o m", ["expected a list"]),
    ("fit pca qcd.h5 -p n_components=-3 -o m", ["expected 0 or more"]),
    ("fit pca qcd.h5 -p n_components -o m", ["NAME=VALUE"]),
    ("fit pca qcd.h5 -p components=3 -o m", ["it takes n_components"]),
    ("fit pca qcd.h5 -r lund -o m", ["unknown representation"]),
    ("fit quantum-autoencoder qcd.h5 -r substructure -o m", ["takes particles"]),
    ("fit quantum-autoencoder qcd.h5 -r constituents:n_particles=30 -o m", ["1 to 14 qubits"]),
    ("fit quantum-autoencoder qcd.h5 -r constituents:n_particles=four -o m", ["n_particles = 'four'; expected a number"]),
    ("fit kernel-density qcd.h5 -p bandwidth=abc -o m", ["bandwidth = 'abc'; expected a number, such as bandwidth="]),
    ("fit quantum-autoencoder qcd.h5 -r constituents:n_particles=4 -p latent=4 -o m", ["latent=4"]),
    ("score none qcd.h5 -o s.csv", ["holds no model"]),
    ("score none qcd.h5 -o s.txt", [".csv or .npz"]),
    ('benchmark quik', ["did you mean 'quick'"]),
    ("benchmark none.yaml", ["cannot be read"]),
    ("report .", ["holds no runs"]),
    ('simulate jets --process qdc -o a.h5', ["did you mean 'qcd'"]),
    ('simulate jets --process qcd --r-inv 0.3 -o a.h5', ["no option 'r_inv'"]),
    ("simulate jets --process svj --r-inv 3 -o a.h5", ["0 <= r_inv < 1"]),
    ("simulate events --process heavy_higgs --m-h 10 -o a.h5", ["m_h"]),
    ("simulate jets --process qcd -n 10 -o /proc/a.h5", ["choose a folder you can write to"]),
    ("simulate jets --process svj --r-inv -o a.h5", ["has no value"]),
    ("simulate jets --process svj r_inv 0.3 -o a.h5", ["--NAME VALUE"]),
    ("simulate jets --process svj -o a.h5 --r-inv", ["has no value"]),
    ('simulate jets --process qcd -s pt_mn=3 -o a.h5', ["did you mean 'pt_min'"]),
    ("simulate jets --process qcd -s matched=3 -o a.h5", ["expected bool"]),
    ('simulate jets --process qcd --detector eflo -o a.h5', ["did you mean 'eflow'"]),
    ('simulate jets --process qcd --card cmss -o a.h5', ["did you mean 'cms'"]),
    ("simulate dijets --process qcd -o a.h5", ["qad simulate jets --process qcd"]),
    ('simulate level1 --process backgrund -o a.h5', ["did you mean 'background'"]),
    ("simulate level1 --process background --qcd-share 2 -o a.h5", ["between 0 and 1"]),
    ('simulate processes jet', ["did you mean 'jets'"]),
    ('data import lhc qcd.h5 -o a.h5', ["did you mean 'lhco'"]),
    ("data import auto none.csv -o a.h5", ["does not exist"]),
    ("data import adc2021 qcd.h5 -o a.h5", ["Particles"]),
    ("data export qcd.h5 --format lhco-features -o a.h5", ["it lacks"]),
    ("data export qcd.h5 --format root -o a.txt", ["ends in .root"]),
    ('data get jetnt', ["did you mean 'jetnet'"]),
    ("data show qcd.h5 -i 1000 -o a.png", ["it holds 300"]),
    ("data show qcd.h5 -o a.txt", [".png"]),
    ("data validate qcd.h5 none.h5 -o a.html", ["does not exist"]),
    ('data vary qcd.h5 --what jet-scale', ["did you mean 'jet-energy-scale'"]),
    ('data vary qcd.h5 --what jet-energy-scale -p shft=1', ["did you mean 'shift'"]),
    ("data vary qcd.h5 --what met-smearing", ["missing transverse"]),
    ("data cluster none.h5 -o a.h5", ["does not exist"]),
    ("simulate jets --process qcd -n 10 -o qcd.h5", ["--overwrite"]),
    # words that are not there
    ("benchmrk quick", ["did you mean 'benchmark'", "qad --help"]),
    ("doctr", ["did you mean 'doctor'"]),
    ("help", ["qad --help"]),
    ("version", ["qad --version"]),
    ("data infoo qcd.h5", ["did you mean 'info'", "qad data --help"]),
    ("hardware fech jobs", ["did you mean 'fetch'"]),
    ("fit pca qcd.h5 -o m --parm n_components=2", ["did you mean '--param'", "qad fit --help"]),
    ("detectors --jsn", ["did you mean '--json'"]),
    ("fit pca qcd.h5 -r substrukture -o m", ["did you mean 'substructure'? Known: substructure, ", " others"]),
    ("fit PCA qcd.h5 -o m", ["did you mean 'pca'"]),
    ("cite quikc", ["did you mean 'quick'", "a YAML file"]),
    ("speed scorng", ["expected training, batch, scoring"]),
    # words that are missing, too many, or in another order
    ("fit", ["expects DETECTOR", "type it as in  qad fit quantum-autoencoder qcd.h5"]),
    ("fit pca qcd.h5", ["expects -o / --out (Folder for the model)"]),
    ("fit pca qcd.h5 top.h5 -o m", ["unexpected extra argument", "top.h5"]),
    ("fit qcd.h5 pca -o m", ["expected the detector first", "qad fit DETECTOR FILE"]),
    ("score model -o s.csv", ["expects FILE (Sample to score)"]),
    ("score qcd.h5 model -o s.csv", ["expected the folder of a model first"]),
    ("score model qcd.h5", ["scores.csv or scores.npz"]),
    ("benchmark", ["expects STUDY", "type it as in  qad benchmark quick"]),
    ("report", ["expects RUNS"]),
    ("score model qcd.h5 -o s.csv --shots", ["requires an argument", "--help"]),
    ("simulate jets --process qcd", ["expects -o / --out"]),
    # numbers that cannot be
    ("simulate jets --process qcd -n 0 -o a.h5", ["--n: expected 1 or more; got '0'", "--process qcd -n 20000"]),
    ("simulate jets --process qcd -n many -o a.h5", ["expected a whole number; got 'many'"]),
    ("simulate jets --process qcd --seed -1 -o a.h5", ["--seed: expected 0 or more; got '-1'"]),
    ("benchmark quick --workers 0", ["--workers: expected 1 or more; got '0'"]),
    ("score model qcd.h5 -o s.csv --backend aer --shots 0", ["--shots: expected 1 or more; got '0'"]),
    ("data show qcd.h5 -i -1", ["--index: expected 0 or more; got '-1'"]),
    ("fit isolation-forest qcd.h5 -p contamination=10% -o m", ["it takes max_samples, n_estimators"]),
    ("fit one-class-svm qcd.h5 -p nu=5 -o m", ["nu=5: expected a share of the training events"]),
    ("fit quantum-autoencoder qcd.h5 -r constituents:n_particles=4 -p latent=2.5 -o m", ["latent=2.5: expected 1 to 3"]),
    ("fit quantum-autoencoder qcd.h5 -p ansatz=tre -o m", ["did you mean 'tree'"]),
    ("fit feature qcd.h5 -p column=99 -o m", ["column=99: expected 0 to 8"]),
    # files
    ("data info other.h5", ["neither a qad sample", "qad data formats", "from_momenta(", "docs/how-to/own-particles.md"]),
    ("data info jets.npy", ["is no HDF5 file", "from_momenta(", "docs/how-to/own-particles.md"]),
    ("data info schema1.h5", ["has schema version 1; this version reads 2"]),
    ("data info notes.txt", ["is no HDF5 file", "qad data formats"]),
    ("data info table.csv", ["line 2: eta = 'high'; expected a finite number", "this column, out"]),
    ("data info numbers.csv", ["begins with numbers", "first line with the names of its columns"]),
    ("data import dilepton table.csv -o a.h5", ["got pt,eta,phi", "the format 'table'"]),
    ("simulate jets --process qcd -n 5 -o a.csv", ["-o a.h5"]),
    ("score corrupt qcd.h5 -o s.csv", ["corrupt/model.json is damaged"]),
    ("score cut qcd.h5 -o s.csv", ["model.safetensors is missing or damaged"]),
    ("score older qcd.h5 -o s.csv", ["is not a model of format 1", "save it again"]),
    ("score columns qcd.h5 -o s.csv", ["expected events with the columns met, lep_pt", "sample has particles and no columns"]),
    ("score columns muon.csv -o s.csv", ["has met, mu_pt", "give one with lep_pt too"]),
    ("fit pca qcd.h5 -r event-features -o m", ["carries no features; use the representation 'substructure'"]),
    ("score model events.h5 -o s.csv", ["takes jets", "use the representation 'objects'"]),
    ("score model qcd.h5 -o /proc/s/s.csv", ["cannot write to /proc/s", "choose a folder you can write to"]),
    ("fit pca one.h5 -o m", ["cannot be fitted on 1 event"]),
    ("fit pca events.h5 -r substructure -o m", ["takes jets", "use the representation 'objects'"]),
    ("fit conv-autoencoder qcd.h5 -r substructure -o m", ["takes image; the last representation gives tabular"]),
    ("diagnose model", ["gone.h5 is not there", "qad diagnose model FILE"]),
    # backends and machines
    ("score model qcd.h5 -o s.csv --backend aeer", ["did you mean 'aer'"]),
    ("score model qcd.h5 -o s.csv --backend ibm_torino", ["is a machine", "--backend ibm --option machine=ibm_torino"]),
    ("score model qcd.h5 -o s.csv --shots 100", ["go with --backend"]),
    ("hardware submit model", ["expected MODEL, --data, --backend and --out"]),
    ("hardware status model", ["holds no submission", "qad hardware submit"]),
    # studies
    ("benchmark tabs.yaml", ["no valid YAML", "line 4", "spaces, not with tabs"]),
    ("benchmark key.yaml", ["did you mean 'seeds'"]),
    ("benchmark twice.yaml", ["distinct names", "mahalanobis"]),
    ("benchmark representation.yaml", ["study representation.yaml", "did you mean 'substructure'"]),
    ("benchmark detector.yaml", ["study detector.yaml", "did you mean 'mahalanobis'"]),
    ("benchmark parameter.yaml", ["no parameter 'n_component'; it takes n_components", "did you mean 'n_components'"]),
    ("benchmark place.yaml", ["unknown word 'n_components'", "params: {…}"]),
    ("benchmark file.yaml", ["expected the file topp.h5", "--data FOLDER"]),
    ("benchmark shares.yaml", ["split.train", "got 0.8"]),
    ("benchmark validation.yaml", ["split.validation", "less than 1; got 10"]),
    ("benchmark many.yaml", ["cannot split 300 events", "at most 300"]),
    ("benchmark seeds.yaml", ["at seeds", "list; got 3"]),
    ("benchmark train.yaml", ["did you mean 'qcd'"]),
    ("benchmark same.yaml", ["two samples are the same events"]),
    ("benchmark detectorless.yaml", ["at detectors", "at least 1 item"]),
    ("benchmark blank.yaml", ["expected a mapping with name, title, samples"]),
    ("report qcd.h5", ["is a file; expected the folder of a study's runs"]),
]


@pytest.mark.parametrize(("typed", "pieces"), TYPED, ids=lambda x: x if isinstance(x, str) else "")
def test_what_is_typed(here, typed, pieces, in_process):
    raw = (here / "qcd.h5").read_bytes()
    done = in_process(*typed.split())
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert all(piece in done.stderr for piece in pieces), done.stderr
    assert done.stderr.startswith("qad: ") and done.stderr.count("\n") == 1 and not done.stdout, done.stderr
    assert (here / "qcd.h5").read_bytes() == raw


JETS = toy_jets(60, 1)
P = JETS.particles
X = np.random.default_rng(0).normal(size=(60, 4))


def _fitted(name="pca", **params):
    return detector.get(name, **params).fit(X)


#: (what the user did in a notebook, how, pieces of what the exception says)
WRITTEN = [
    ("a list of arrays", lambda: Sample(particles=[p[: 3 + i] for i, p in enumerate(P[:5])]), ["one array of numbers", "pad"]),
    ("words in an array", lambda: Sample(particles=np.full((3, 2, 4), "a")), ["could not convert", "pT, eta, phi, mass"]),
    ("one event alone", lambda: Sample(particles=P[0]), ["expected shape (n, p, 4)", "got (40, 4)"]),
    ("no masses", lambda: Sample(particles=P[..., :3]), ["expected shape (n, p, 4)", "got (60, 40, 3)"]),
    ("NaN in an event", lambda: Sample(particles=np.where(np.arange(60)[:, None, None] == 4, np.nan, P)),
     ["1 of 60 events contain NaN", "event 4"]),
    ("unsorted pT", lambda: Sample(particles=P[:, ::-1]), ["not sorted by descending pT", "from_momenta"]),
    ("labels in words", lambda: Sample(particles=P, label=["qcd"] * 60), ["expected 0 (background)", "process="]),
    ("class numbers as labels", lambda: Sample(particles=P, label=np.arange(60)), ["expected 0 (background), 1 (signal)"]),
    ("too few labels", lambda: Sample(particles=P, label=[0, 1]), ["label: expected 60 entries"]),
    ("a column by its name", lambda: JETS["mass"], ["sample.feature('mass')"]),
    ("a feature that is not there", lambda: JETS.feature("mass"), ["no feature 'mass'"]),
    ("sizes without names", lambda: qad.split(JETS, 0.8), ["{'train': 0.8, 'test': 0.2}", "got 0.8"]),
    ("more than there is", lambda: qad.split(JETS, {"train": 600}), ["cannot split 60 events"]),
    ("a DataFrame with words", lambda: detector.get("pca").fit(pd.DataFrame({"a": ["x", "y"], "b": [1, 2]})),
     ["could not convert string to float: 'x'", "leave columns of words out"]),
    ("NaN in a table", lambda: detector.get("pca").fit(np.where(X > 2, np.nan, X)), ["events contain NaN", "remove or impute"]),
    ("a single column", lambda: detector.get("pca").fit(X[:, 0]), ["got shape (60,)", "Reshape your data"]),
    ("a sample in the place of an array", lambda: detector.get("pca").fit(JETS), ["takes a table", "make_pipeline("]),
    ("a sample to a quantum detector", lambda: detector.get("quantum-autoencoder").fit(JETS),
     ["takes particles", "make_pipeline("]),
    ("a table to a quantum autoencoder", lambda: detector.get("quantum-autoencoder").fit(X),
     ["(n, particles, columns)", "(60, 4)"]),
    ("an array to a representation", lambda: representations.get("constituents").fit_transform(P),
     ["takes a Sample", "qad.read"]),
    ("other columns than fitted", lambda: _fitted().anomaly_score(X[:, :2]),
     ["X has 2 features", "expecting 4", "it was fitted on"]),
    ("columns in another order", lambda: detector.get("pca").fit(pd.DataFrame(X, columns=[*"abcd"])).anomaly_score(
        pd.DataFrame(X, columns=[*"bacd"])), ["feature names", "in their order"]),
    ("scores before fit", lambda: detector.get("pca").anomaly_score(X), ["not fitted yet", "Call 'fit'"]),
    ("no events", lambda: detector.get("pca").fit(X[:0]), ["0 sample(s)", "minimum of 2"]),
    ("labels left out", lambda: detector.get("boosted-trees").fit(X), ["is told labels", "needs y"]),
    ("all labels alike", lambda: detector.get("boosted-trees").fit(X, np.zeros(60)), ["with both present"]),
    ("too many qubits", lambda: detector.get("quantum-features").fit(np.zeros((9, 40))), ["1 to 14 qubits", "got 40"]),
    ("no trash qubit", lambda: _fitted("quantum-features", latent=4), ["latent=4: expected 1 to 3"]),
    ("a misspelt ansatz", lambda: _fitted("quantum-features", ansatz="tre"), ["did you mean 'tree'"]),
    ("a misspelt encoding", lambda: _fitted("quantum-features", encoding="angel"), ["did you mean 'angle'"]),
    ("a device that is not there", lambda: _fitted("quantum-features", device="gpu"), ["device='gpu'", "cpu"]),
    ("a learning rate in words", lambda: _fitted("quantum-features", learning_rate="fast"), ["learning_rate='fast'"]),
    ("layers as a word", lambda: _fitted("dense-autoencoder", hidden="64"), ["hidden='64'", "[32, 16]"]),
    ("negative epochs", lambda: _fitted("dense-autoencoder", epochs=-1), ["epochs=-1: expected a whole number from 0"]),
    ("a parameter that is not there", lambda: detector.get("pca", components=2), ["it takes n_components"]),
    ("a misspelt observable", lambda: representations.get("substructure", features=["mas"]).fit_transform(JETS),
     ["did you mean 'mass'"]),
    ("a misspelt backend", lambda: qad.quantum.backends.get("aeer"), ["did you mean 'aer'"]),
    ("half an event", lambda: qad.simulate_jets("qcd", n=1.5), ["whole numbers", "n=1.5"]),
    ("a misspelt process", lambda: qad.simulate_jets("qdc", n=5), ["did you mean 'qcd'"]),
    ("a model that is not there", lambda: qad.load("nowhere"), ["holds no model", "qad fit"]),
    ("a sample that is not there", lambda: qad.read("nowhere.h5"), ["does not exist", "qad simulate jets"]),
    ("scores of nothing", lambda: qad.metrics.roc(np.zeros(3), np.zeros(0)), ["no signal scores were given"]),
    ("scores that are NaN", lambda: qad.metrics.roc(np.array([1, np.nan]), np.ones(2)), ["1 of 2 background scores are NaN"]),
]


@pytest.mark.parametrize(("said", "do", "pieces"), WRITTEN, ids=[w[0] for w in WRITTEN])
def test_what_is_written(said, do, pieces, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError) as told:
        do()
    text = str(told.value)
    assert all(piece in text for piece in pieces), text
    assert isinstance(told.value, InputError) or "sample(s)" in text or "not fitted" in text  # scikit-learn's own


@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a pipeline"])
def test_a_warning_names_the_users_line(inside):
    model = detector.get("quantum-autoencoder", latent=2, epochs=2)
    encode = representations.get("constituents", n_particles=4)
    with pytest.warns(DeadParameterWarning) as told:
        if inside:
            make_pipeline(encode, model).fit(JETS)
        else:
            model.fit(encode.fit_transform(JETS))
    assert {w.filename for w in told} == {__file__}


@pytest.mark.parametrize(("columns", "piece"), [((1000, 1, 1, 1000), "in MeV"), ((1, 1, 57.3, 1), "degrees")])
def test_units_that_cannot_be_are_doubted(columns, piece):
    with pytest.warns(UserWarning, match=piece) as told:
        Sample(particles=P * np.array(columns, dtype=np.float32))
    assert told[0].filename == __file__


def test_a_swap_that_no_number_shows_is_let_pass():
    """eta and phi exchanged are both angles of a few: nothing can tell them apart but the user."""
    assert len(Sample(particles=P[..., [0, 2, 1, 3]])) == 60


def test_a_full_disk_is_one_sentence(here, in_process, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    done = in_process("score", "model", "qcd.h5", "-o", "s.csv")
    assert done.returncode == 2 and done.stderr == "qad: cannot write s.csv: No space left on device\n"
    assert not (here / "s.csv").exists()


def test_a_file_that_is_open_elsewhere(here, in_process):
    """HDF5 locks what another program writes."""
    hold = "import h5py, sys; file = h5py.File('qcd.h5', 'r+'); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        other.stdout.readline()
        done = in_process("data", "info", "qcd.h5")
        other.stdin.close()
    assert done.returncode == 2 and "open for writing in another program" in done.stderr and "close it there" in done.stderr


def test_a_report_of_a_study_that_has_not_run(here, in_process):
    (here / "runs").mkdir()
    record = {key: [] for key in ("cells", "samples", "skipped", "failed", "versions")} | {"study": {}, "cells": ["qcd/a/b/0"]}
    (here / "runs" / "study.json").write_text(json.dumps(record))
    done = in_process("report", "runs")
    assert done.returncode == 2 and "runs holds no finished run; run its study again" in done.stderr


def test_a_folder_that_only_reads(here, in_process, monkeypatch):
    monkeypatch.setattr("os.access", lambda _, mode: mode != os.W_OK)  # a superuser may write anywhere
    for typed in ("fit pca qcd.h5 -o m", "score model qcd.h5 -o s.csv"):
        done = in_process(*typed.split())
        assert done.returncode == 2 and "choose a folder you can write to" in done.stderr, done.stderr


def test_there_are_fifty():
    assert len(TYPED) + len(WRITTEN) > 150 and len({*(t for t, _ in TYPED)}) == len(TYPED)
