"""A package of somebody else's adds a detector: built, installed and used as docs/how-to/package.md says, literally."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from qad import detector, registry
from qad.contract import check_detector
from qad.detector import Detector
from qad.errors import InputError
from tests.conftest import PROJECT, toy_jets

PAGE = (PROJECT / "docs/how-to/package.md").read_text()


def files():
    return dict(re.findall(r"```\{code-block\} \w+\n:caption: (\S+)\n\n(.*?)```", PAGE, re.S))


def typed():
    blocks = re.findall(r"```\{code-block\} console\n(.*?)```", PAGE, re.S)
    return [line.removeprefix("$ ").split() for block in blocks for line in block.splitlines()]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of the package, and a place where its wheel is installed: the environment of the tests is left as it is."""
    pytest.importorskip("hatchling")
    folder, place = tmp_path_factory.mktemp("median"), tmp_path_factory.mktemp("site")
    for name, text in files().items():
        (folder / name).write_text(text)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    done = subprocess.run([*pip, "wheel", ".", "--no-deps", "--no-build-isolation", "-w", "dist"], cwd=folder, text=True,
                          capture_output=True)
    assert done.returncode == 0, done.stderr
    wheel, = (folder / "dist").glob("qad_median-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", place, wheel], check=True, capture_output=True)
    toy_jets(300, 0).save(folder / "qcd.h5")
    toy_jets(300, 1, prongs=3).save(folder / "top.h5")
    return folder, place


def run(installed, *command):
    folder, place = installed
    return subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, cwd=folder,
                          env={**os.environ, "PYTHONPATH": str(place), "OMP_NUM_THREADS": "1"})


def test_every_file_of_the_page_is_used():
    assert set(files()) == {"pyproject.toml", "qad_median.py", "test_median.py", "median.yaml"}
    assert [words[:2] for words in typed()] == [["pip", "install"], ["qad", "detectors"], ["qad", "fit"], ["qad", "benchmark"]]


def test_its_own_tests_pass(installed):
    done = run(installed, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_median.py")
    assert done.returncode == 0, done.stdout


def test_it_stands_beside_ours(installed):
    """In the list, in a fit, in a study and its report; every command as the page has it."""
    folder, _ = installed
    outputs = {}
    for words in typed():
        if words[0] == "qad":
            done = run(installed, "-m", *words)
            assert done.returncode == 0, done.stderr
            outputs[words[1]] = done.stdout
    assert re.search(r"^\W*median\b", outputs["detectors"], re.M) and "median of |x_i - median_i|" in outputs["detectors"]
    assert json.loads((folder / "model/model.json").read_text())["steps"][-1]["name"] == "median"
    rows = (folder / "runs/median/results.csv").read_text()
    assert rows.count(",median,classical,") == 6  # three seeds, two directions
    page = (folder / "runs/median/report.html").read_text()
    for train, signal in (("qcd", "top"), ("top", "qcd")):  # a row in the table of each
        assert rows.count(f"\n{train},{signal},substructure,median,") == 3
        table = page.partition(f"<h2>Trained on {train}, looking for {signal}</h2>")[2].partition("</table>")[0]
        assert re.search(r'<tr class="classical"[^>]*data-name="median \(substructure\)"', table)


def test_without_it_nothing_knows_it():
    assert "median" not in detector.names()
    with pytest.raises(InputError, match="unknown detector"):
        registry.find(registry.DETECTORS, "median")


class Sound(Detector):
    """Score = |x - mean|."""

    def _fit(self, X, validation):
        self.mean_ = X.mean(0)

    def _score(self, X):
        return np.abs(X - self.mean_).sum(1)


class ChangesSettings(Sound):
    def __init__(self, power=1):
        self.power = power

    def _fit(self, X, validation):
        super()._fit(X, validation)
        self.power = 2


class ChangesEvents(Sound):
    def _fit(self, X, validation):
        super()._fit(X, validation)
        X -= self.mean_


class Constant(Sound):
    def _score(self, X):
        return np.zeros(len(X))


class Endless(Sound):
    def _score(self, X):
        return np.where(X[:, 0] == X[:, 0].min(), -np.inf, super()._score(X))


class OfTheBatch(Sound):
    def _score(self, X):
        return np.abs(X - X.mean(0)).sum(1)


class Random(Sound):
    def _fit(self, X, validation):
        self.mean_ = np.random.default_rng().normal(size=X.shape[1])


class Forgetful(Sound):
    def _fit(self, X, validation):
        self.mean_ = X.mean(0)
        self._hidden = X[0]

    def _score(self, X):
        return super()._score(X) + getattr(self, "_hidden", np.zeros(1)).sum()


class Unsaved(Sound):
    def _fit(self, X, validation):
        self.mean_ = X.mean(0)
        self.secret = 1.0

    def _score(self, X):
        return super()._score(X) * getattr(self, "secret", 2.0)


class OddKind(Sound):
    kind = "magic"


BROKEN = {ChangesSettings: "leave the settings", ChangesEvents: "leave the events", Constant: "tell events apart",
          Endless: "finite", OfTheBatch: "its own", Random: "same seed", Forgetful: "save and load", Unsaved: "save and load",
          OddKind: "kind among"}


@pytest.mark.parametrize("cls", BROKEN, ids=lambda c: c.__name__)
def test_the_contract_notices(cls):
    X = np.random.default_rng(0).normal(1, 1, (60, 3))
    check_detector(Sound(), X)
    with pytest.raises(InputError, match=BROKEN[cls]):
        check_detector(cls(), X.copy())


@pytest.mark.parametrize("name", ["mahalanobis", "isolation-forest", "quantum-features", "boosted-trees"])
def test_ours_keep_it(name):
    X = np.random.default_rng(0).uniform(0, 3, (80, 3))
    check_detector(detector.get(name), X, np.arange(80) % 2)
