"""Type hints: whole and strict where users call, and useful to a user's own checker and editor."""

import subprocess
import sys

import pytest

import qad
from tests.conftest import PROJECT


def mypy(*arguments, cwd=PROJECT):
    pytest.importorskip("mypy")
    return subprocess.run([sys.executable, "-m", "mypy", *arguments], capture_output=True, text=True, cwd=cwd)


def test_the_ground_is_strictly_typed():
    """``qad.data``, ``qad.metrics``, ``qad.detector`` and ``qad.benchmark``, as pyproject.toml names them."""
    done = mypy()
    assert done.returncode == 0, done.stdout


RIGHT = """
import numpy as np

import qad

sample = qad.Sample(particles=np.zeros((2, 1, 4)), label=[0, 1], process="qcd")
first: int = int(sample.label[0])
curve = qad.metrics.roc([0.0], [1.0])
area: float = curve.auc
detector: qad.detector.Detector = qad.detector.get("pca")
score = detector.fit(np.zeros((3, 2))).anomaly_score(np.zeros((3, 2)))
reveal_type(score)
reveal_type(qad.read)
"""
WRONG = {
    "qad.metrics.auc('a', 3, 4)": "Too many arguments",
    "qad.Sample(particle=[[[0.0] * 4]])": "Unexpected keyword argument",
    "qad.metrics.roc([0.0], [1.0]).area": "has no attribute",
    "qad.simulate_jet('qcd')": "has no attribute",
}

#: Packages whose types do not matter here and take a minute to read.
LARGE = [f"{name}.*" for name in ("torch", "pennylane", "qiskit", "qiskit_aer", "sklearn", "scipy", "plotly", "matplotlib",
                                  "numba")]


def test_a_user_s_own_code_is_checked(tmp_path):
    """With what an installed package shows: ``py.typed`` and the names of ``import qad``."""
    (tmp_path / "right.py").write_text(RIGHT)
    (tmp_path / "wrong.py").write_text("import qad\n\n" + "\n".join(WRONG))
    (tmp_path / "mypy.ini").write_text(f"[mypy]\nstrict = True\nfollow_imports = silent\n[mypy-{','.join(LARGE)}]\n"
                                       "follow_imports = skip\nignore_missing_imports = True\n")
    done = mypy("right.py", "wrong.py", cwd=tmp_path)
    right = [line for line in done.stdout.splitlines() if line.startswith("right.py")]
    assert not [line for line in right if " error: " in line], done.stdout
    assert "ndarray" in right[0] and "Sample" in right[1]
    for line, (code, complaint) in enumerate(WRONG.items(), 3):
        assert [said for said in done.stdout.splitlines() if said.startswith(f"wrong.py:{line}:") and complaint in said], code


def test_every_name_at_the_door_is_there():
    assert {*qad._PLACES, *qad._MODULES, "__version__"} == set(qad.__all__)
    for name in qad.__all__:
        assert getattr(qad, name) is not None
