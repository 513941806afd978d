"""The house: imports point one way, doors are closed, nothing heavy is loaded without need."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT

QUANTUM_SOFTWARE = ("pennylane", "qiskit", "qiskit_aer", "qiskit_ibm_runtime")
GENERATORS = ("pythia8mc", "fastjet")


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; before = set(sys.modules)\n{statement}\nprint('\\n'.join(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {m.partition(".")[0] for m in done.stdout.split()}


def test_import_contracts():
    """The layers drawn in the design, checked by import-linter; and it must notice when one is broken."""
    done = subprocess.run([Path(sys.executable).parent / "lint-imports"], capture_output=True, text=True, cwd=PROJECT)
    assert done.returncode == 0, done.stdout


def test_import_contracts_can_fail(tmp_path):
    text = (PROJECT / "pyproject.toml").read_text()
    start = text.index('layers = [\n')
    names = re.findall(r'  "(qad\.report|qad\.benchmark)",\n', text[start:])
    assert names == ["qad.report", "qad.benchmark"]
    swapped = text.replace('  "qad.report",\n  "qad.benchmark",\n', '  "qad.benchmark",\n  "qad.report",\n')
    (tmp_path / "pyproject.toml").write_text(swapped)
    done = subprocess.run([Path(sys.executable).parent / "lint-imports", "--config", tmp_path / "pyproject.toml"],
                          capture_output=True, text=True, cwd=PROJECT)
    assert done.returncode != 0 and "qad.report.tables -> qad.benchmark.runs" in done.stdout


ALL_OF_CLASSICAL = ("import classical, importlib, pkgutil\n"
                    "for m in pkgutil.iter_modules(classical.__path__): importlib.import_module('classical.' + m.name)")


def test_classical_loads_no_quantum_software():
    found = loaded_by(ALL_OF_CLASSICAL)
    assert "classical" in found and "sklearn" in found
    assert not found & set(QUANTUM_SOFTWARE)


def test_that_test_can_fail():
    assert "pennylane" in loaded_by(ALL_OF_CLASSICAL + "\nimport qad.quantum.engine")


@pytest.mark.parametrize("module", ["qad.benchmark", "qad.report", "qad.cli", "qad.quantum.autoencoder", "qad.data",
                                    "qad.simulation"])
def test_generators_are_loaded_only_where_jets_are_made(module):
    assert not loaded_by(f"import {module}") & set(GENERATORS)


def test_import_qad_loads_nothing():
    heavy = {"numpy", "torch", "sklearn", "h5py", "pennylane", "qiskit", "numba", "typer", "scipy"}
    assert not loaded_by("import qad") & heavy
    assert loaded_by("import qad; qad.Sample") & heavy  # and the test can fail


def test_help_loads_nothing_heavy():
    heavy = {"torch", "sklearn", "h5py", "pennylane", "qiskit", "numba", "plotly"}
    assert not loaded_by("import qad.cli") & heavy


def sources():
    return [p for folder in ("qad", "classical") for p in (PROJECT / folder).rglob("*.py")]


@pytest.mark.parametrize("file", sources(), ids=lambda p: str(p.relative_to(PROJECT)))
def test_style(file):
    text = file.read_text()
    assert file.stem not in ("utils", "core", "common", "helpers")
    assert text.lstrip().startswith('"""'), "a module begins by saying what it is"
    for word in ("pickle", "torch.load", "yaml.load(", "eval(", "exec("):
        assert word not in text.replace("allow_pickle=False", ""), f"{word}: loading a file never executes it"
    assert not re.search(r"np\.random\.seed|torch\.set_default|^global ", text, re.M), "no global state"
    assert not re.search(r"^\s*assert ", text, re.M), "users get sentences, not assertions"


def test_lint():
    done = subprocess.run([sys.executable, "-m", "ruff", "check", "."], capture_output=True, text=True, cwd=PROJECT)
    assert done.returncode == 0, done.stdout


def test_pages_and_scripts_name_folders_of_a_user():
    """``data`` or FOLDER: a path out of the project is somebody's own."""
    pages = [p for p in (PROJECT / "docs").rglob("*") if p.suffix in (".md", ".py", ".ipynb") and "_build" not in p.parts]
    pages += [*(PROJECT / "notebooks").glob("*.ipynb"), *sources(), PROJECT / "README.md", PROJECT / "CONTRIBUTING.md"]
    assert len(pages) > 100
    assert not [p for p in pages if re.search(r"\.\./shared|/work/|shared/data", p.read_text(encoding="utf-8"))]


def test_no_data_enters_the_project():
    files = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=PROJECT).stdout.split()
    assert not [f for f in files if f.endswith((".h5", ".npy", ".npz", ".csv", ".root", ".pkl"))]
