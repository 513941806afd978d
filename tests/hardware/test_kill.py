"""A client killed at any instant: the same scores in the end, and no event is run twice."""

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import PROJECT

#: A service that splits, delays and does not answer.
HARD = {"most": 6, "most_run": 3, "delay": 0.02, "trouble": 0.1}
SMALL = {"events": 3, "chunk": 2, "most_run": 1}
REQUESTS = {"twenty": {"kills": 20, "seed": 1, "events": 10, **HARD}, "submit": {"every": "submit", **SMALL},
            "fetch": {"every": "fetch", **SMALL}}


def killed(trained, folder, *requests):
    """What kill.py says of each request."""
    command = [sys.executable, "-m", "tests.hardware.kill", str(trained), str(folder), *map(json.dumps, requests)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def quick(trained, tmp_path_factory):
    """All that is quick, in one process: most of its time is imports."""
    return dict(zip(REQUESTS, killed(trained, tmp_path_factory.mktemp("kills"), *REQUESTS.values()), strict=True))


def check(found, kills):
    assert found["kills"] >= kills and found["calm"]["once"]
    for run in found["found"]:
        assert run["scores"] == found["calm"]["scores"]
        assert run["once"] and run["jobs"] == 1, f"events run so often: {run['runs']}, jobs of a tag: {run['jobs']}"
        assert not run["left"]


def test_twenty_kills(quick):
    check(quick["twenty"], 20)


@pytest.mark.parametrize("work", ["submit", "fetch"])
def test_killed_around_every_effect(quick, work):
    """Before and after every rename and every question, one after the other."""
    check(quick[work], 25)


@pytest.mark.slow
def test_a_hundred_kills(trained, tmp_path):
    check(*killed(trained, tmp_path, {"kills": 100, "seed": 2, "mitigation": "readout", **HARD}), 100)
