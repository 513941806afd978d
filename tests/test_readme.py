"""What the README shows is run, and what it says was measured."""

import csv
import re
import subprocess
import sys
from collections import defaultdict

import pytest

from qad.report.record import read_record
from tests.conftest import PROJECT

README = (PROJECT / "README.md").read_text()


def test_the_python_block_runs(tmp_path):
    pytest.importorskip("pythia8mc")
    block = re.search(r"```python\n(.*?)```", README, re.S)[1]
    assert len([line for line in block.splitlines() if line.strip()]) < 10
    code = block + "\nprint(curve.auc)\n"
    command = [sys.executable, "-W", "error", "-W", "ignore:12 of 24 weights", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path,
                          env={"MPLBACKEND": "Agg", "PATH": "", "HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 0.85


def test_the_commands_exist():
    from typer.main import get_command

    from qad.cli import app

    root = get_command(app)
    for line in re.findall(r"^qad ([a-z]+)(?: ([a-z0-9]+))?", README, re.M):
        command = root.commands[line[0]]
        if hasattr(command, "commands"):
            assert line[1] in command.commands


def table():
    rows = re.search(r"<!-- quick:begin -->\n(.*?)<!-- quick:end -->", README, re.S)[1].splitlines()[2:]
    return [[c.strip(" *") for c in row.strip("|").split("|")] for row in rows if row.strip()]


def test_the_table_has_its_controls_and_both_directions():
    names = {row[0] for row in table()}
    assert {"quantum-autoencoder", "quantum-untrained", "quantum-ceiling", "dense-autoencoder", "pca", "mahalanobis",
            "mass-high", "mass-rare", "kernel-pca", "mode-distance", "total"} <= names
    assert all(len(row) == 5 for row in table())


def test_the_table_is_that_of_the_record():
    """Which `qad report runs/quick --format record` made, and from which the page of the study is drawn."""
    record = read_record(PROJECT / "docs/benchmarks/records/quick.json")
    found = {(m["detector"], m["representation"], m["train"]): r["mean"][record["metrics"].index("auc")]
             for r in record["rows"] for m in [record["models"][r["model"]]]}
    for name, sees, _, forward, backward in table():
        for train, value in (("qcd", forward), ("top", backward)):
            assert float(value) == pytest.approx(found[name, sees, train], abs=0.0005 + 1e-9), (name, sees, train)
    for sentence in re.findall(r"AUC (0\.\d{4})", README.partition("```python")[0]):
        assert any(sentence in said for said in [record["verdict"]["headline"], *record["verdict"]["sentences"]]), sentence


def test_the_first_forty_lines():
    """One sentence, one picture, one command, its output, ten lines of Python: what somebody with five minutes reads."""
    first = "\n".join(README.splitlines()[:40])
    assert len(README.splitlines()[2]) < 130 and README.splitlines()[2].endswith(".")
    assert (PROJECT / re.search(r"!\[.+\]\((.+?)\)", first)[1]).is_file()
    assert "```\nmake benchmark\n```" in first and "None of the detectors" in first and "report.html" in first
    block = re.search(r"```python\n(.*?)```", first, re.S)[1]
    assert len(block.splitlines()) <= 10


def test_every_link_leads_somewhere():
    for link in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", README):
        assert link.startswith("http") or (PROJECT / link).exists(), link


@pytest.mark.slow
def test_the_table_is_what_make_benchmark_gives(tmp_path):
    """Simulates and trains the quick study anew: minutes. Trained networks may differ by rounding between machines."""
    subprocess.run([sys.executable, "-m", "qad", "benchmark", "quick"], check=True, cwd=tmp_path)
    measured = defaultdict(list)
    with open(tmp_path / "runs/quick/results.csv") as f:
        for row in csv.DictReader(f):
            measured[row["detector"], row["representation"], row["train"]].append(float(row["auc"]))
    for name, representation, _, forward, backward in table():
        tolerance = 0.03 if "dense" in name else 0.001
        for train, value in (("qcd", forward), ("top", backward)):
            mean = sum(measured[name, representation, train]) / 3
            assert float(value) == pytest.approx(mean, abs=tolerance), (name, representation, train)
    quantum = measured["quantum-autoencoder", "constituents", "qcd"]
    assert min(quantum) >= 0.88
