"""The command line as a user meets it: real processes, exit codes, one sentence when something is wrong."""

import json
import os
import re
import subprocess
import sys
import time

import numpy as np
import pytest

from qad import load as qad_load
from tests.conftest import PROJECT, toy_jets


def qad(*args, **kwargs):
    environment = {**os.environ, "COLUMNS": "200", "TERM": "dumb", **kwargs.pop("env", {})}
    command = [sys.executable, "-m", "qad", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, **kwargs)


@pytest.fixture
def jets(tmp_path):
    toy_jets(300, 1).save(tmp_path / "qcd.h5")
    toy_jets(100, 2, prongs=3).save(tmp_path / "top.h5")
    return tmp_path


COMMANDS = [(), ("simulate",), ("simulate", "jets"), ("simulate", "events"), ("data",), ("data", "info"), ("detectors",),
            ("fit",), ("score",), ("diagnose",), ("circuit",), ("speed",), ("benchmark",), ("report",), ("doctor",)]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_an_example(command):
    done = qad(*command, "--help")
    assert done.returncode == 0
    if command and command not in (("simulate",), ("data",)):
        assert f"qad {' '.join(command)}" in done.stdout.replace("python -m qad", "qad") and "Example" in done.stdout


def test_data_info(jets):
    done = qad("data", "info", jets / "qcd.h5")
    assert done.returncode == 0 and "300 qcd" in done.stdout and "pt [GeV]" in done.stdout and "intact" in done.stdout
    info = json.loads(qad("data", "info", jets / "qcd.h5", "--json").stdout)
    assert info["events"] == 300 and len(info["fingerprint"]) == 64


def test_detectors(jets):
    rows = json.loads(qad("detectors", "--json").stdout)
    assert {"quantum-autoencoder", "pca"} <= {r["name"] for r in rows}
    assert "quantum-autoencoder" in qad("detectors").stdout


TRAINING = ("-r", "constituents:n_particles=4", "-p", "latent=1", "-p", "ansatz=strongly-entangling", "-p", "layers=2",
            "-p", "optimizer=natural-gradient", "-p", "patience=1000")


def test_a_killed_fit_goes_on_with_the_same_bits(jets):
    """SIGKILL while it trains; the same command finishes, with the weights of a training left in peace."""
    command = [sys.executable, "-m", "qad", "fit", "quantum-autoencoder", str(jets / "qcd.h5"), *TRAINING]
    checkpoint = jets / "killed.checkpoint"
    environment = {**os.environ, "QAD_CHECKPOINT_SECONDS": "0.1"}
    process = subprocess.Popen([*command, "-p", "epochs=120", "-o", str(jets / "killed")], stderr=subprocess.DEVNULL,
                               env=environment)
    deadline = time.monotonic() + 120
    while not checkpoint.exists():
        assert process.poll() is None and time.monotonic() < deadline, "it never wrote a checkpoint"
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert checkpoint.exists() and not (jets / "killed").exists()
    for name in ("killed", "undisturbed"):
        done = subprocess.run([*command, "-p", "epochs=120", "-o", str(jets / name)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert not checkpoint.exists()
    one, other = (qad_load(jets / name)[-1].weights_ for name in ("killed", "undisturbed"))
    np.testing.assert_array_equal(one, other)


def test_diagnose(jets):
    done = qad("fit", "quantum-autoencoder", jets / "qcd.h5", *TRAINING, "-p", "epochs=5", "-o", jets / "model")
    assert done.returncode == 0 and "qad: note: " in done.stderr and "weights cannot change any score" in done.stderr
    done = qad("diagnose", jets / "model")
    assert done.returncode == 0 and "4 qubits, 1 latent" in done.stdout and "ceiling" in done.stdout
    done = qad("circuit", jets / "model", "-o", jets / "model.qasm")
    assert done.returncode == 0 and "OPENQASM 3" in (jets / "model.qasm").read_text()
    found = json.loads(qad("diagnose", jets / "model", jets / "top.h5", "--events", "50", "--json").stdout)
    assert found["events"] == 50 and found["parameters"] == 24
    (jets / "qcd.h5").unlink()
    done = qad("diagnose", jets / "model")
    assert done.returncode == 2 and "give the sample to look at" in done.stderr
    done = qad("fit", "mahalanobis", jets / "top.h5", "-o", jets / "plain")
    done = qad("diagnose", jets / "plain")
    assert done.returncode == 2 and "is no quantum autoencoder" in done.stderr
    done = qad("circuit", jets / "plain")
    assert done.returncode == 2 and "there is no circuit in it" in done.stderr


def test_speed_says_what_it_does_not_know():
    done = qad("speed", "everything")
    assert done.returncode == 2 and "expected training, batch, scoring, size" in done.stderr
    done = qad("speed", "scoring", "--plot", "curves.txt")
    assert done.returncode == 2 and ".png" in done.stderr


def test_fit_and_score(jets):
    done = qad("fit", "quantum-autoencoder", jets / "qcd.h5", "-r", "constituents:n_particles=4,rotate=true", "-p", "latent=1",
               "-p", "epochs=20", "-o", jets / "model")
    assert done.returncode == 0, done.stderr
    done = qad("score", jets / "model", jets / "top.h5", "-o", jets / "scores.csv")
    assert done.returncode == 0 and "100 scores" in done.stdout
    table = np.genfromtxt(jets / "scores.csv", delimiter=",", names=True)
    assert len(table) == 100 and np.isfinite(table["score"]).all()
    assert qad("score", jets / "model", jets / "top.h5", "-o", jets / "scores.npz").returncode == 0
    np.testing.assert_array_equal(np.load(jets / "scores.npz")["score"], table["score"])
    assert qad("fit", "pca", jets / "qcd.h5", "-o", jets / "pca").returncode == 0  # substructure by default


def test_simulate_says_what_it_did(tmp_path):
    pytest.importorskip("pythia8mc")
    out = tmp_path / "svj.h5"
    command = ("simulate", "jets", "--process", "svj", "--r-inv", "0.6", "-n", "20", "--workers", "1", "-o", out)
    done = qad(*command)
    assert done.returncode == 0, done.stderr
    assert "20 jets of svj" in done.stdout and "jets/s" in done.stdout and "Pythia" in done.stdout
    assert "FastJet release" not in done.stdout + done.stderr
    assert "already stand there" in qad(*command).stdout
    assert json.loads(qad("data", "info", tmp_path / "svj.h5", "--json").stdout)["meta"]["options"]["r_inv"] == 0.6


#: (what the user types, a piece of the sentence that comes back)
MISTAKES = [
    (("data", "info", "{}/none.h5"), "does not exist"),
    (("data", "info", "{}/empty.h5"), "is empty"),
    (("data", "info", "{}/text.h5"), "no HDF5 file"),
    (("data", "info", "{}/cut.h5"), "truncated"),
    (("data", "info", "{}"), "is a folder"),
    (("fit", "quantum-autoencodr", "{}/qcd.h5", "-o", "{}/m"), "did you mean 'quantum-autoencoder'"),
    (("fit", "pca", "{}/none.h5", "-o", "{}/m"), "does not exist"),
    (("fit", "pca", "{}/qcd.h5", "-o", "/proc/m"), "cannot write"),
    (("fit", "pca", "{}/qcd.h5", "-o", "{}"), "holds no model; give another folder"),
    (("fit", "pca", "{}/qcd.h5", "-r", "substructure:features=mass", "-o", "{}/m"), "expected a list"),
    (("fit", "pca", "{}/qcd.h5", "-p", "n_components=-3", "-o", "{}/m"), "expected 0 or more"),
    (("fit", "pca", "{}/qcd.h5", "-p", "n_components", "-o", "{}/m"), "NAME=VALUE"),
    (("fit", "pca", "{}/qcd.h5", "-p", "components=3", "-o", "{}/m"), "it takes n_components"),
    (("fit", "pca", "{}/qcd.h5", "-r", "lund", "-o", "{}/m"), "unknown representation"),
    (("fit", "quantum-autoencoder", "{}/qcd.h5", "-r", "substructure", "-o", "{}/m"), "takes particles"),
    (("fit", "quantum-autoencoder", "{}/qcd.h5", "-r", "constituents:n_particles=30", "-o", "{}/m"), "1 to 14 qubits"),
    (("fit", "quantum-autoencoder", "{}/qcd.h5", "-r", "constituents:n_particles=4", "-p", "latent=4", "-o", "{}/m"),
     "latent=4"),
    (("score", "{}/none", "{}/qcd.h5", "-o", "{}/s.csv"), "holds no model"),
    (("score", "{}/none", "{}/qcd.h5", "-o", "{}/s.txt"), ".csv or .npz"),
    (("benchmark", "quik"), "did you mean 'quick'"),
    (("benchmark", "{}/none.yaml"), "cannot be read"),
    (("report", "{}"), "holds no runs"),
    (("simulate", "jets", "--process", "qdc", "-o", "{}/a.h5"), "did you mean 'qcd'"),
    (("simulate", "jets", "--process", "qcd", "--r-inv", "0.3", "-o", "{}/a.h5"), "no option 'r_inv'"),
    (("simulate", "jets", "--process", "svj", "--r-inv", "3", "-o", "{}/a.h5"), "0 <= r_inv < 1"),
    (("simulate", "events", "--process", "heavy_higgs", "--m-h", "10", "-o", "{}/a.h5"), "m_h"),
    (("simulate", "jets", "--process", "qcd", "-n", "10", "-o", "/proc/a.h5"), "choose a folder you can write to"),
    (("simulate", "jets", "--process", "qcd", "-n", "10", "-o", "{}/qcd.h5"), "--overwrite"),
]


@pytest.mark.parametrize(("command", "piece"), MISTAKES, ids=lambda x: " ".join(x)[:60] if isinstance(x, tuple) else "")
def test_a_mistake_is_one_sentence(jets, command, piece):
    (jets / "empty.h5").touch()
    (jets / "text.h5").write_text("hello")
    raw = (jets / "qcd.h5").read_bytes()
    (jets / "cut.h5").write_bytes(raw[: len(raw) // 2])
    done = qad(*(str(c).replace("{}", str(jets)) for c in command))
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert piece in done.stderr and done.stderr.startswith("qad: ") and done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert (jets / "qcd.h5").read_bytes() == raw


def test_what_nobody_foresaw_is_one_sentence_too(jets):
    done = qad("fit", "dense-autoencoder", jets / "qcd.h5", "-p", "hidden=abc", "-o", jets / "m")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "QAD_TRACEBACK=1" in done.stderr
    done = qad("fit", "dense-autoencoder", jets / "qcd.h5", "-p", "hidden=abc", "-o", jets / "m", env={"QAD_TRACEBACK": "1"})
    assert "Traceback" in done.stderr


def test_a_detector_of_ones_own(jets):
    """The recipe of CONTRIBUTING.md, literally."""
    recipe = (PROJECT / "CONTRIBUTING.md").read_text()
    (jets / "mydetectors.py").write_text(re.search(r"```python\n(.*?class Median.*?)```", recipe, re.S)[1])
    study = re.search(r"```yaml\n(.*?)```", recipe, re.S)[1]
    (jets / "mine.yaml").write_text(study.replace("train: 5000, test: 2000", "train: 150, test: 80"))
    toy_jets(300, 2, prongs=3).save(jets / "top.h5")
    done = qad("benchmark", "mine.yaml", cwd=jets)
    assert done.returncode == 0 and "mydetectors.Median" in done.stdout, done.stderr
    first = (jets / "runs/mine/results.csv").read_text()
    edited = (jets / "mydetectors.py").read_text().replace("return np.abs", "return -np.abs")
    (jets / "mydetectors.py").write_text(edited)
    assert qad("benchmark", "mine.yaml", cwd=jets).returncode == 0
    assert (jets / "runs/mine/results.csv").read_text() != first, "an edited detector is trained again"
    assert qad("fit", "mydetectors:Median", "qcd.h5", "-o", "m", cwd=jets).returncode == 0
    assert "not registered" in qad("score", "m", "top.h5", "-o", "s.csv", cwd=jets).stderr
    assert qad("score", "m", "top.h5", "-o", "s.csv", "--trust", "mydetectors:Median", cwd=jets).returncode == 0


def test_version():
    assert qad("--version").stdout.startswith("qad 0.")


def test_a_missing_extra_names_the_line_to_type(tmp_path):
    (tmp_path / "pythia8mc.py").write_text("raise ModuleNotFoundError(name='pythia8mc')")
    done = qad("simulate", "jets", "--process", "qcd", "-n", "5", "-o", tmp_path / "a.h5", env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 2 and "pip install 'qad-hep[simulation]'" in done.stderr


def test_doctor():
    done = qad("doctor")
    assert done.returncode == 0 and "torch" in done.stdout
