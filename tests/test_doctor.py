"""qad doctor: what is missing, too old or broken is named, with what to type."""

import json
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError

import pytest

from qad import doctor, registry
from qad.quantum.backends import account


@pytest.fixture(autouse=True)
def nobody(monkeypatch, tmp_path):
    """No account of whoever runs the tests, and a cache of their own."""
    monkeypatch.setattr(account, "_file", lambda: tmp_path / "none.json")
    monkeypatch.delenv(account.VARIABLE, raising=False)
    monkeypatch.setenv("QAD_DATA", str(tmp_path / "cache"))


def found():
    return {f.what: f for f in doctor.examine().findings}


def test_a_healthy_installation(in_process):
    done = in_process("doctor")
    assert not done.returncode and done.stdout.endswith("qad works.\n")
    for piece in ("Python 3.", "torch", "cores", "GB of memory", "GPU", "P(0) behind RX(x) is cos²(x/2)", "save_account"):
        assert piece in done.stdout


def test_a_package_that_is_missing_and_one_that_is_old(in_process, monkeypatch):
    real = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: {"h5py": None, "numpy": "1.26.4"}.get(name, real(name)))
    done = in_process("doctor", "--json")
    told = json.loads(done.stdout)
    packages = next(f for f in told["findings"] if f["what"] == "packages")
    assert done.returncode == 3 and not told["healthy"] and packages["state"] == "wrong"
    assert "h5py is missing" in packages["found"] and "numpy is 1.26.4, expected >=2.0" in packages["found"]
    assert packages["do"] == "pip install qad-hep"


def test_an_extra_that_is_absent_is_no_illness(monkeypatch):
    real = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: None if name == "qiskit-ibm-runtime" else real(name))
    assert found()["extra ibm"] == doctor.Finding("extra ibm", "absent", "for snapshots of IBM machines, and the machines",
                                                  "pip install 'qad-hep[ibm]'")
    assert doctor.examine().healthy


def test_an_extra_that_shares_packages_with_one_that_is_there_is_absent_too(monkeypatch):
    """After `make benchmark`: awkward and vector come with the simulation."""
    real, of_hep = doctor._version, ("uproot", "pyarrow", "hdf5plugin")
    monkeypatch.setattr(doctor, "_version", lambda name: None if name in of_hep else real(name))
    assert found()["extra hep"].state == "absent" and doctor.examine().healthy
    monkeypatch.setattr(doctor, "_version", lambda name: None if name in of_hep[1:] else real(name))
    assert found()["extra hep"].state == "wrong" and {"engine", "IBM account"} <= set(found())


def test_half_an_extra_is(monkeypatch):
    real = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: None if name == "fastjet" else real(name) or "9.9")
    assert found()["extra simulation"].state == "wrong" and "fastjet is missing" in found()["extra simulation"].found


def test_sources_that_are_not_installed(monkeypatch):
    def requires(_):
        raise PackageNotFoundError

    monkeypatch.setattr(doctor, "requires", requires)
    assert "pip install -e ." in found()["qad"].do and not doctor.examine().healthy


def test_an_engine_that_is_off(monkeypatch):
    from qad.quantum.backends.exact import _States

    real = _States.probabilities
    monkeypatch.setattr(_States, "probabilities", lambda *a, **k: real(*a, **k) + 1e-6)
    assert found()["engine"].state == "wrong" and "off cos²(x/2) by 1.0e-06" in found()["engine"].found


def test_other_packages_entry_points(monkeypatch):
    class Entry:
        def __init__(self, name, value):
            self.name, self.value, self.dist = name, value, type("Dist", (), {"name": "qad-another"})

        def load(self):
            import importlib

            module, _, cls = self.value.partition(":")
            return getattr(importlib.import_module(module), cls)

    entries = [Entry("theirs", "classical.pca:PCA"), Entry("broken", "no_such_module:X")]
    monkeypatch.setattr(doctor, "entry_points", lambda group: entries if group == registry.DETECTORS else [])
    for entry in entries:
        monkeypatch.setitem(registry._table(registry.DETECTORS), entry.name, entry)
    told = found()
    assert told["detector theirs"] == doctor.Finding("detector theirs", "ok", "of qad-another")
    assert told["detector broken"].state == "note" and "no_such_module" in told["detector broken"].found
    assert "pip uninstall qad-another" in told["detector broken"].do and doctor.examine().healthy


def test_folders_that_cannot_be_written(monkeypatch):
    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refused)
    assert "Permission denied" in found()["data folder"].found and "QAD_DATA" in found()["data folder"].do


def test_an_account_is_found_and_asked_only_on_demand(monkeypatch):
    from qad.quantum.backends import runtime
    from qad.quantum.backends.service import ServiceError

    monkeypatch.setenv(account.VARIABLE, "a-token-of-nobody")
    monkeypatch.setattr(runtime, "machines", lambda: pytest.fail("the network was asked"))
    assert found()["IBM account"].found.startswith(f"in the variable {account.VARIABLE}; not asked")
    monkeypatch.setattr(runtime, "machines", lambda: ["ibm_here"])
    assert "accepted; machines: ibm_here" in doctor.examine(online=True).findings[-1].found

    def refuses():
        raise ServiceError("the API key has expired")

    monkeypatch.setattr(runtime, "machines", refuses)
    said = doctor.examine(online=True)
    assert "has expired" in said.findings[-1].found and said.healthy and "a-token-of-nobody" not in str(said)


def test_a_torch_that_does_not_load(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert found()["torch"].state == "wrong" and "engine" not in found()


@pytest.mark.parametrize("error", [ImportError("libhdf5.so.310: cannot open shared object file"), OSError("no such library")])
def test_a_torch_that_raises_anything(monkeypatch, error):
    class Refuses:
        def find_spec(self, name, path=None, target=None):
            if name == "torch":
                raise error

    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(sys, "meta_path", [Refuses(), *sys.meta_path])
    assert found()["torch"].state == "wrong" and str(error) in found()["torch"].found


@pytest.mark.parametrize("module", ["h5py", "packaging", "markupsafe"])
def test_a_package_that_raises_on_import(module, tmp_path):
    """In a process of its own, where nothing is loaded yet."""
    (tmp_path / f"{module}.py").write_text("raise ImportError('libbroken.so: cannot open shared object file')\n")
    done = subprocess.run([sys.executable, "-m", "qad", "doctor", "--json"], capture_output=True, text=True, cwd=tmp_path,
                          env=os.environ | {"PYTHONPATH": str(tmp_path)}, check=False)
    assert done.returncode == 3 and done.stdout, done.stderr
    wrong = [f for f in json.loads(done.stdout)["findings"] if f["state"] == "wrong"]
    assert wrong and "libbroken.so" in wrong[0]["found"]
    assert f"rename or remove {tmp_path / module}.py" in [f["do"] for f in wrong]


def ours(line):
    """A function of a module of qad."""
    space = {"__name__": "qad.somewhere"}
    exec(f"def look():\n    {line}", space)
    return space["look"]


def test_whatever_raises_is_a_finding_with_a_line_to_type(monkeypatch):
    monkeypatch.setattr(doctor, "_machine", ours("raise RuntimeError('of ours')"))
    monkeypatch.setattr(doctor, "_folders", ours("import h5py; return [h5py.File('nowhere.h5')]"))
    monkeypatch.setattr(doctor, "_registered", ours("import no_such_module_of_anybody"))
    told = found()
    assert told["machine"] == doctor.Finding("machine", "wrong", "RuntimeError: of ours",
                                             "pip install --upgrade --force-reinstall qad-hep")
    assert told["folders"].do == "pip install --upgrade --force-reinstall h5py"
    assert told["other packages"].do == "pip install --upgrade no_such_module_of_anybody"
