"""The command line as a user meets it: real processes, exit codes, one sentence when something is wrong."""

import json
import os
import re
import shlex
import subprocess
import sys
import time

import numpy as np
import pytest
import typer

from qad import cli, pipeline, representations, save
from qad import load as qad_load
from qad.cli import complete, mistyped
from tests.conftest import PROJECT, STUDY, toy_jets


def qad(*args, **kwargs):
    environment = {**os.environ, "COLUMNS": "200", "TERM": "dumb", **kwargs.pop("env", {})}
    command = [sys.executable, "-m", "qad", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, **kwargs)


@pytest.fixture
def jets(tmp_path):
    toy_jets(300, 1).save(tmp_path / "qcd.h5")
    toy_jets(100, 2, prongs=3).save(tmp_path / "top.h5")
    return tmp_path


def _tree(command, words=()):
    """Every command and group there is, with the words that call it."""
    yield words, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from _tree(inner, (*words, name))


TREE = dict(_tree(typer.main.get_command(cli.app)))
LEAVES = {words: command for words, command in TREE.items() if not hasattr(command, "commands")}


@pytest.mark.parametrize("command", TREE, ids=" ".join)
def test_help(command, in_process, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    for word in ("--help", "-h"):
        done = in_process(*command, word)
        assert not done.returncode and f"Usage: {' '.join(('qad', *command))}" in done.stdout and not done.stderr
    assert command not in LEAVES or "Example" in done.stdout


@pytest.mark.parametrize("command", LEAVES, ids=" ".join)
def test_every_command_has_an_example_that_parses(command):
    """The words of an example are a command and options that exist, with every argument that is asked for."""
    found = mistyped.examples(LEAVES[command])
    assert found, f"qad {' '.join(command)} --help shows no example"
    for example in found:
        words = shlex.split(example)
        assert words[: len(command) + 1] == ["qad", *command]
        context = LEAVES[command].make_context(" ".join(command), words[len(command) + 1 :])
        loose = [word for word in context.args if word.startswith("--")]
        assert not loose or command[0] == "simulate", f"{example}: {loose}"


def test_an_example_that_does_not_parse_is_seen():
    with pytest.raises(Exception, match="No such option"):
        LEAVES["fit",].make_context("fit", ["pca", "qcd.h5", "--parm", "x=1", "-o", "m"])


def test_the_first_lines_tell_a_newcomer_what_to_type(in_process):
    said = in_process("--help").stdout
    assert said.index("qad doctor") < said.index("qad benchmark quick") < said.index("Options")
    panels = [said.index(f" {panel} ──") for panel in ("Studies", "Data", "Models", "Quantum computers", "Help")]
    assert panels == sorted(panels)
    said = " ".join(said.split())
    assert all(code in said for code in ("0 done", "1 ran", "2 a mistake", "3 something", "130 interrupted"))


@pytest.mark.parametrize(("typed", "expected", "not_there"), [
    ("qad bench", {"benchmark"}, {"fit"}),
    ("qad data in", {"info"}, {"get"}),
    ("qad fit quantum-a", {"quantum-autoencoder"}, {"pca"}),
    ("qad fit pca qcd.h5 -r sub", {"substructure"}, {"images"}),
    ("qad fit pca qcd.h5 --systematic jet", {"jet-energy-scale"}, set()),
    ("qad fit pca qcd.h5 --rep", {"--representation"}, set()),
    ("qad benchmark qu", {"quick", "quantum-kernel"}, {"full"}),
    ("qad benchmark mi", {"mine.yaml"}, set()),
    ("qad simulate jets --process s", {"svj"}, {"heavy_higgs", "qcd"}),
    ("qad simulate events --process h", {"heavy_higgs"}, {"svj"}),
    ("qad simulate level1 --process b", {"background"}, set()),
    ("qad simulate processes l", {"level1"}, set()),
    ("qad data import top", {"top-tagging"}, set()),
    ("qad data export a.h5 --format par", {"parquet"}, set()),
    ("qad data get jetnet/t", {"jetnet/t.hdf5"}, set()),
    ("qad data vary a.h5 --what met", {"met-smearing"}, set()),
    ("qad score model a.h5 --backend a", {"aer"}, {"exact"}),
    ("qad hardware submit model --backend fake_tor", {"fake_torino"}, set()),
    ("qad speed sc", {"scoring"}, set()),
    ("qad cite flo", {"flow"}, set()),
])
def test_the_shell_completes(typed, expected, not_there, in_process, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").touch()
    for name, value in {"_QAD_COMPLETE": "complete_bash", "COMP_WORDS": typed,
                        "COMP_CWORD": str(len(typed.split()) - 1)}.items():
        monkeypatch.setenv(name, value)
    if "fake_" in typed:
        pytest.importorskip("qiskit_ibm_runtime")
    done = in_process()
    found = set(done.stdout.split())
    assert not done.returncode and expected <= found and not found & not_there, found


def test_completion_loads_nothing_heavy():
    code = ("import sys\nfrom qad import cli\ntry: cli.main()\nexcept SystemExit: pass\n"
            "print(*(m for m in ('numpy', 'torch', 'sklearn', 'h5py', 'pennylane', 'qiskit') if m in sys.modules))")
    asked = {"_QAD_COMPLETE": "complete_bash", "COMP_WORDS": "qad fit quantum-autoencoder", "COMP_CWORD": "2"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | asked)
    assert done.stdout.splitlines() == ["quantum-autoencoder", ""], done.stdout


def test_completions_are_the_names_there_are():
    from qad.benchmark.study import studies
    from qad.data import systematics
    from qad.simulation import catalogue

    assert set(complete.studies()) >= set(studies())
    assert complete.variations() == sorted(systematics.NAMES)
    for kind in complete.KINDS:
        assert set(complete.processes(kind)()) == {entry.process for entry in catalogue(kind)}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_completion(shell, in_process, monkeypatch):
    monkeypatch.setenv("_QAD_COMPLETE", f"source_{shell}")
    said = in_process().stdout
    assert "_QAD_COMPLETE=complete_" + shell in said and "qad" in said


#: Commands whose answer a script reads, and what to type; {} is a folder with samples and models.
JSON = [
    "detectors", "data formats", "data get", "data info qcd.h5", "data validate qcd.h5 top.h5 -o page.html",
    "data export qcd.h5 --format parquet -o a.parquet", "data import auto qcd.h5 -o b.h5",
    "data vary qcd.h5 --what jet-energy-scale -p shift=0.05", "simulate processes jets", "fit pca qcd.h5 -o m",
    "score model top.h5 -o s.csv", "diagnose circuit qcd.h5 --events 20", "benchmark mine.yaml", "cite quick", "cite flow",
    "hardware submit circuit --data top.h5 --backend fake_manila --events 2 --shots 10 --dry-run", "doctor",
]


@pytest.mark.parametrize("typed", JSON)
def test_json_stands_alone(typed, jets, in_process, monkeypatch):
    monkeypatch.chdir(jets)
    if "parquet" in typed:
        pytest.importorskip("pyarrow")
    if "hardware" in typed:
        pytest.importorskip("qiskit_ibm_runtime")
    if "import" in typed:
        assert in_process(*"data export qcd.h5 --format parquet -o a.parquet".split()).returncode in (0, None)
        typed = typed.replace("qcd.h5", "a.parquet")
    save(pipeline.fit("pca", toy_jets(60, 1)), "model")
    if "circuit" in typed:
        chain = [representations.get("constituents", n_particles=3)]
        save(pipeline.fit("quantum-autoencoder", toy_jets(60, 1), chain, latent=1, epochs=2), "circuit")
    (jets / "mine.yaml").write_text(STUDY)
    done = in_process(*typed.split(), "--json")
    assert not done.returncode, done.stderr
    assert json.loads(done.stdout), typed


def test_json_is_offered_wherever_a_script_would_read():
    without = {words for words, command in LEAVES.items() if not any("--json" in p.opts for p in command.params)}
    assert without <= {("report",), ("circuit",), ("data", "show")}


@pytest.mark.parametrize(("typed", "code"), [("detectors", 0), ("benchmark broken.yaml", 1), ("fit pca none.h5 -o m", 2),
                                             ("fit pca", 2), ("", 0), ("data", 0),
                                             ("simulate jets --process qcd -n 5 -o a.h5", 3)])
def test_exit_codes_mean_something(typed, code, jets, in_process, monkeypatch):
    monkeypatch.chdir(jets)
    monkeypatch.setitem(sys.modules, "pythia8mc", None)
    (jets / "broken.py").write_text("from qad.detector import Detector\n\n\nclass Broken(Detector):\n"
                                    "    def _fit(self, X, validation):\n        raise RuntimeError('no')\n")
    (jets / "broken.yaml").write_text(STUDY.replace("{use: mahalanobis}", "{use: mahalanobis}\n  - {use: 'broken:Broken'}"))
    monkeypatch.syspath_prepend(str(jets))
    assert (in_process(*typed.split()).returncode or 0) == code


@pytest.mark.parametrize("typed", ["detectors", "fit pca qcd.h5 -o m"])
def test_an_interruption_is_130(typed, jets, in_process, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.chdir(jets)
    monkeypatch.setattr("qad.detector.names", interrupted)
    monkeypatch.setattr("qad.pipeline.fit", interrupted)
    assert in_process(*typed.split()).returncode == 130


def test_another_packages_broken_detector_hides_no_other(in_process, monkeypatch):
    """One that raises, and one that is no detector."""
    from importlib.metadata import EntryPoint

    from qad import registry

    table = registry._table(registry.DETECTORS)
    for name, value in {"raises": "this.that:Other", "nothing": "json:dumps"}.items():
        monkeypatch.setitem(table, name, EntryPoint(name, value, registry.DETECTORS))
    monkeypatch.setitem(sys.modules, "this.that", None)
    rows = {row["name"]: row for row in json.loads(in_process("detectors", "--json").stdout)}
    assert rows["raises"]["kind"] == rows["nothing"]["kind"] == "broken" and "fails" in rows["raises"]["summary"]
    assert rows["pca"]["kind"] == "control"


def test_data_info(jets):
    done = qad("data", "info", jets / "qcd.h5")
    assert done.returncode == 0 and "300 qcd" in done.stdout and "pt [GeV]" in done.stdout and "intact" in done.stdout
    info = json.loads(qad("data", "info", jets / "qcd.h5", "--json").stdout)
    assert info["events"] == 300 and len(info["fingerprint"]) == 64


def test_data_info_says_nothing_of_what_is_not_there(tmp_path, in_process):
    path = tmp_path / "table.csv"
    path.write_text("met,ht\n50,300\n60,400\n")
    out = in_process("data", "info", str(path)).stdout
    assert out.startswith(f"{path}  21 bytes\n") and "per event" not in out and "slots" not in out, out
    assert "met, ht" in out and "2 unknown" in out


def test_formats_name_each_paper_once(in_process):
    for line in in_process("data", "formats").stdout.splitlines():
        papers = re.findall(r"arXiv:[\d.]+", line)
        assert len(papers) == len(set(papers)) and "()" not in line, line


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


def test_fit_tells_labels_and_twins_to_those_that_use_them(jets):
    done = qad("fit", "boosted-trees", jets / "qcd.h5", "--signal", jets / "top.h5", "-o", jets / "trees")
    assert done.returncode == 0, done.stderr
    assert json.loads((jets / "trees" / "model.json").read_text())["trained_on"]["signal"]["events"] == 100
    done = qad("fit", "boosted-trees", jets / "qcd.h5", "-o", jets / "x")
    assert done.returncode == 2 and "with --signal FILE" in done.stderr.replace("\n", " ")
    done = qad("fit", "pca", jets / "qcd.h5", "--signal", jets / "top.h5", "-o", jets / "x")
    assert done.returncode == 2 and "told no labels" in done.stderr
    done = qad("fit", "adversarial-autoencoder", jets / "qcd.h5", "--systematic", "jet-energy-scale:shift=0.2",
               "-p", "epochs=2", "-o", jets / "robust")
    assert done.returncode == 0, done.stderr
    notes = json.loads((jets / "robust" / "model.json").read_text())["steps"][-1]["values"]["diagnostics_"]["systematics"]
    assert set(notes["shift"]) == {"jet-energy-scale-up", "jet-energy-scale-down"}
    done = qad("fit", "pca", jets / "qcd.h5", "--systematic", "jet-energy-scale", "-o", jets / "x")
    assert done.returncode == 2 and "no use of systematic twins" in done.stderr
    done = qad("fit", "adversarial-autoencoder", jets / "qcd.h5", "--systematic", "jet-energy", "-o", jets / "x")
    assert done.returncode == 2 and "did you mean" in done.stderr


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


def test_samples_go_out_and_come_back(jets):
    done = qad("data", "export", jets / "qcd.h5", "--format", "parquet", "-o", jets / "qcd.parquet")
    assert done.returncode == 0 and "300 events" in done.stdout, done.stderr
    done = qad("data", "import", "auto", jets / "qcd.parquet", "-o", jets / "again.h5", "--json")
    info = json.loads(qad("data", "info", jets / "qcd.h5", "--json").stdout)
    assert json.loads(done.stdout)["fingerprint"] == info["fingerprint"]
    done = qad("fit", "pca", jets / "qcd.parquet", "-o", jets / "pca-of-parquet")  # a public file as it is
    assert done.returncode == 0, done.stderr
    done = qad("data", "validate", jets / "qcd.h5", jets / "again.h5", "-o", jets / "page.html")
    assert done.returncode == 0 and "identical events" in done.stdout and (jets / "page.html").stat().st_size > 1000
    done = qad("data", "show", jets / "qcd.parquet", "-i", "3", "-o", jets / "jet.png")
    assert done.returncode == 0 and (jets / "jet.png").stat().st_size > 10_000
    done = qad("data", "vary", jets / "qcd.h5", "--what", "jet-energy-scale", "-p", "shift=0.05")
    assert done.returncode == 0 and (jets / "qcd-up.h5").exists() and (jets / "qcd-down.h5").exists(), done.stderr
    assert "jetclass" in qad("data", "formats").stdout and "JetNet" in qad("data", "get").stdout


def test_whole_events_are_clustered(jets):
    from tests.data.formats.test_lhc_olympics import write_example

    write_example(jets / "lhco.h5", 20, 1, "lhco")
    done = qad("data", "cluster", jets / "lhco.h5", "-o", jets / "dijets.h5", "-s", "pt_min=20", "-s", "second_pt_min=10")
    assert done.returncode == 0 and "20 dijet events" in done.stdout, done.stderr
    done = qad("data", "cluster", jets / "dijets.h5", "-o", jets / "twice.h5")
    assert done.returncode == 2 and "whole events" in done.stderr and not (jets / "twice.h5").exists()


def test_processes_are_listed():
    rows = json.loads(qad("simulate", "processes", "--json").stdout)
    assert {r["kind"] for r in rows} == {"jets", "events", "level1", "dijets"}
    assert len({r["process"] for r in rows}) == len(rows)
    assert "--m-x" in qad("simulate", "processes", "dijets").stdout


def test_a_single_event_is_one_sentence(jets):
    toy_jets(1, 3).save(jets / "one.h5")
    done = qad("fit", "flow", jets / "one.h5", "-o", jets / "m")
    assert done.returncode == 2 and "cannot be fitted on 1 event;" in done.stderr


def test_what_nobody_foresaw_is_one_sentence_too(jets):
    done = qad("fit", "kernel-density", jets / "qcd.h5", "-p", "bandwidth=[1]", "-o", jets / "m")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "QAD_TRACEBACK=1" in done.stderr
    done = qad("fit", "kernel-density", jets / "qcd.h5", "-p", "bandwidth=[1]", "-o", jets / "m", env={"QAD_TRACEBACK": "1"})
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
    assert done.returncode == 3 and "pip install 'qad-hep[simulation]'" in done.stderr


@pytest.mark.filterwarnings("always::qad.errors.NotConvergedWarning")
@pytest.mark.parametrize(("words", "out", "err"), [
    (("quantum-normalised", "-p", "epochs=3", "-p", "warm_up=2"), "",
     "qad: note: the normalised autoencoder has not converged: "),
    (("gaussian-mixture", "-p", "max_iter=1"), "", "qad: note: gaussian-mixture has not converged\n"),  # does not warn
    (("gaussian-mixture",), "converged\n", ""),
    (("mahalanobis",), "", ""),
])
def test_fit_says_once_whether_a_training_converged(jets, in_process, words, out, err):
    done = in_process("fit", *words, jets / "qcd.h5", "-r", "substructure:features=[mass,width]", "-r", "standardise",
                      "-o", jets / "model")
    assert done.returncode == 0 and done.stdout.partition("scores.csv\n")[2] == out
    notes = [line for line in done.stderr.splitlines(keepends=True) if "qad: note" in line or "Warning" in line]
    assert "".join(notes).startswith(err) and len(notes) == done.stderr.count("converged") == bool(err)


def test_the_line_of_an_energy_model():
    from qad.cli.models import _convergence

    found = {"converged": True, "energy_data": 0.4, "energy_ratio": 1.0213, "acceptance": None, "at_bounds": 0.0123,
             "at_bounds_data": None, "wasserstein": 1.034, "wasserstein_fresh": float("nan")}
    assert _convergence(found) == "converged: E₋/E₊ 1.021, at the bounds 1.23%, Wasserstein distance to data 1.03"
    assert _convergence({**found, "converged": False, "problems": ["one", "two"]}) == "not converged: one; two"
    assert _convergence({"history": {}}) == ""


def test_a_log_has_a_line_now_and_then(monkeypatch, capsys):
    from qad.cli import screen

    with screen.progress("jets") as bar:
        told = screen.row(bar, "simulate")
        told(100, 400)
        told(200, 400)
    assert capsys.readouterr().err == "", "short work says nothing"
    monkeypatch.setattr(screen, "PATIENCE", 0.0)
    with screen.progress("jets") as bar:
        told = screen.row(bar, "simulate")
        told(100, 400)  # done before
        told(250, 400)
    said = capsys.readouterr().err
    assert re.fullmatch(r"qad: simulate: 250 of 400 jets, \d+ s left\n", said), said
