"""`qad hardware` as a user types it."""

import json
import os
import subprocess
import sys
import warnings

import pytest

from qad import cli
from qad.hardware.folder import Folder
from qad.quantum.backends import ibm
from tests.hardware.double import TOKEN


@pytest.fixture
def qad(monkeypatch, capsys):
    """What a command prints, says on the side, and its exit code."""
    def run(*words):
        monkeypatch.setattr(sys, "argv", ["qad", *map(str, words)])
        with pytest.raises(SystemExit) as end, warnings.catch_warnings():
            warnings.simplefilter("default")  # as outside of the tests
            cli.main()
        said = capsys.readouterr()
        return said.out, said.err, end.value.code

    return run


@pytest.fixture
def at_the_double(monkeypatch, double):
    monkeypatch.setattr(ibm, "open_service", lambda *args, **kwargs: double)
    return double


def test_in_processes_of_their_own(trained, tmp_path):
    """submit and fetch on a snapshot: nothing but the folder lies between them."""
    def run(*words):
        done = subprocess.run([sys.executable, "-m", "qad", "hardware", *map(str, words)], capture_output=True, text=True,
                              cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", "TERM": "dumb"})
        assert done.returncode == 0, done.stderr
        return done.stdout

    given = (trained / "model", "--data", trained / "events.h5", "--backend", "fake_manila", "--shots", 100)
    assert "qad hardware fetch jobs/run1" in run("submit", *given, "-o", "jobs/run1")
    assert "queued              runs here when fetched\n" in run("status", "jobs/run1")
    assert "complete: jobs/run1/scores.csv" in run("fetch", "jobs/run1")
    lines = (tmp_path / "jobs/run1/scores.csv").read_text().splitlines()
    assert lines[0] == "event,score,error" and len(lines) == 41
    assert all(float(f"{float(x):.9g}") == float(x) for line in lines[1:] for x in line.split(",")), lines


@pytest.mark.parametrize("command", [("hardware",), ("hardware", "submit"), ("hardware", "status"), ("hardware", "fetch")])
def test_help(qad, command):
    out, _, code = qad(*command, "--help")
    assert code == 0 and (len(command) == 1 or ("Example" in out and f"qad {' '.join(command)}" in out))


def test_dry_run_prints_the_cost(qad, trained, at_the_double):
    given = ("hardware", "submit", trained / "model", "--data", trained / "events.h5", "--backend", "fake_manila", "--dry-run",
             "--chunk", 16, "--mitigation", "readout", "--option", "rep_delay=0.001")
    out, err, code = qad(*given)
    assert code == 0 and "two-qubit gates" in out and "jobs                  5" in out
    assert "qad: note: rep_delay=0.001 has no effect" in err
    cost = json.loads(qad(*given, "--json")[0])
    assert cost["jobs"] == 5 and cost["executions"] == 42 * 4096 and cost["rep_delay"] == 0.001


def test_faults_are_one_sentence_and_2(qad, trained, tmp_path, at_the_double):
    """An expired token in the middle: what is done is scored, the table says what to type."""
    run = tmp_path / "run"
    given = ("hardware", "submit", trained / "model", "--data", trained / "events.h5", "--backend", "double", "--shots", 100,
             "--chunk", 10, "-o", run)
    at_the_double.script = ["ok", "ok", "expired"]
    out, err, code = qad(*given)
    assert code == 2 and f"qad hardware submit -o {run}" in err and err.count("qad: ") == 1
    assert qad("hardware", "fetch", run)[2] == 0 and Folder(run).scored() == 20
    assert "2 fetched, 2 queued" in qad("hardware", "submit", "-o", run)[0]
    at_the_double.expired = True
    out, err, code = qad("hardware", "fetch", run)
    assert code == 2 and "20 of 40 events are scored" in err and Folder(run).scored() == 20
    out, err, code = qad("hardware", "status", run)
    assert code == 0 and "last known" in err and "20 of 40" in out
    at_the_double.expired = False
    with Folder(run).locked():
        _, err, code = qad("hardware", "fetch", run)
        assert code == 2 and "another process is at work" in err
    assert "complete" in qad("hardware", "fetch", run, "--wait")[0]
    _, err, code = qad(*given[:-4], "--chunk", 10, "--max-seconds", 1, "-o", tmp_path / "other")
    assert code == 2 and "nothing was sent" in err and not (tmp_path / "other").exists()
    for words in (("submit",), ("submit", trained / "model", "-o", run), ("submit", "-o", tmp_path / "none")):
        _, err, code = qad("hardware", *words)
        assert code == 2 and "qad hardware submit" in err


def test_no_token_in_a_traceback(qad, trained, tmp_path, at_the_double, monkeypatch):
    """Even of a fault that nobody foresaw, and asked for."""
    monkeypatch.setenv("QAD_TRACEBACK", "1")
    monkeypatch.setenv("QISKIT_IBM_TOKEN", TOKEN)
    monkeypatch.setattr(at_the_double, "submit", lambda *args: 1 / 0)
    monkeypatch.setattr(sys, "argv", ["qad", "hardware", "submit", str(trained / "model"), "--data", str(trained / "events.h5"),
                                      "--backend", "double", "-o", str(tmp_path / "run")])
    with pytest.raises(ZeroDivisionError) as error:
        cli.main()
    assert TOKEN not in str(error.getrepr(showlocals=True, style="long"))
    assert "in doubt" in qad("hardware", "status", tmp_path / "run")[0]  # it may have been taken
