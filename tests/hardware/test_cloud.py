"""The whole way with the vendor's own client, against IBM's REST interface in a thread."""

import json

import numpy as np
import pytest

pytest.importorskip("qiskit_ibm_runtime", reason="needs the extra 'ibm'")

from qiskit_ibm_runtime.api import session as vendor

import qad
from qad import hardware, pipeline
from qad.hardware.folder import Folder
from qad.quantum.backends.service import ServiceError, UnreachableError
from tests.quantum import cloud as rest
from tests.quantum.test_ibm import environment

JOBS = ("POST", "/jobs")


@pytest.fixture
def cloud(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("qiskit_ibm_runtime.accounts.management._DEFAULT_ACCOUNT_CONFIG_JSON_FILE", str(tmp_path / "no.json"))
    monkeypatch.setattr(vendor.PostForcelistRetry, "sleep", lambda *_: None)
    with rest.running() as (found, url):
        for name, value in environment(url).items():
            monkeypatch.setenv(name, value)
        yield found


@pytest.fixture
def given(trained, tmp_path):
    return {"model": trained / "model", "data": trained / "events.h5", "backend": "ibm_manila", "out": tmp_path / "run",
            "shots": 2000, "chunk": 10, "grace": 0.2}


def once(cloud, chunks):
    """One job for every chunk."""
    tags = [job["tags"][0] for job in cloud.jobs.values()]
    return len(tags) == len(set(tags)) == chunks


def test_from_submission_to_scores(cloud, given, trained):
    """In one batch, closed when all is sent; the scores are the model's, for this machine has no noise."""
    cloud.status = "Queued"
    assert hardware.submit(**given).counts == {"queued": 4} and once(cloud, 4)
    assert {job["session_id"] for job in cloud.jobs.values()} == {"session0"}
    assert not cloud.sessions["session0"]["accepting_jobs"]
    assert hardware.fetch(given["out"]).counts == {"queued": 4}
    for job in [*cloud.jobs.values()][:3]:
        job["state"] = {"status": "Completed"}
    found = hardware.fetch(given["out"])
    assert found.scored == 30 and found.counts == {"fetched": 3, "queued": 1} and found.qpu_seconds == 7.5
    [*cloud.jobs.values()][3]["state"] = {"status": "Failed", "reason": "the machine was cooled", "reason_code": 1500}
    assert hardware.fetch(given["out"]).counts == {"fetched": 3, "failed": 1}
    cloud.status = "Completed"
    assert hardware.submit(**given, retry=True).counts == {"fetched": 3, "queued": 1}
    assert hardware.fetch(given["out"]).scored == 40 and once(cloud, 5)
    scores = np.genfromtxt(given["out"] / "scores.csv", delimiter=",", names=True)
    exact = pipeline.anomaly_score(qad.load(trained / "model"), qad.read(trained / "events.h5"))
    assert (np.abs(scores["score"] - exact) < 5 * np.maximum(scores["error"], 1 / 2000)).all()


def test_mitigated(cloud, given):
    assert hardware.submit(**given, mitigation="readout", mode="job").counts == {"queued": 6}
    assert hardware.fetch(given["out"]).scored == 40 and once(cloud, 6) and not cloud.sessions


@pytest.mark.parametrize("what", ["take", "drop", 503])
def test_no_answer(cloud, given, what):
    """The first job is taken without an answer, or not taken; more often than one command tries."""
    cloud.fail(*JOBS, what, times={"take": 1, "drop": 4, 503: 4}[what])
    try:
        hardware.submit(**given)
    except UnreachableError:
        hardware.resume(given["out"], grace=0.2)
    assert hardware.fetch(given["out"]).scored == 40 and once(cloud, 4)


def test_too_large(cloud, given):
    cloud.fail(*JOBS, 413)
    assert hardware.submit(**given).counts == {"queued": 5}
    assert hardware.fetch(given["out"]).scored == 40 and once(cloud, 5)


def test_no_token_anywhere(cloud, given, capsys, caplog):
    """An expired token, with the token in IBM's words, at every stage."""
    caplog.set_level(0)
    refused = (401, json.dumps({"errors": [{"code": 1200, "message": f"bad key {rest.TOKEN}"}]}))
    said = []

    def refuse(*faults):
        cloud.faults = []
        for method, path in faults:
            cloud.fail(method, path, refused, 9)

    refuse(JOBS)
    with pytest.raises(ServiceError) as error:
        hardware.submit(**given)
    said.append(str(error.getrepr(showlocals=False, style="long")))
    refuse()
    hardware.resume(given["out"], grace=0.2)
    refuse(("GET", "/jobs/job[1-9].*"))
    with pytest.raises(ServiceError) as error:
        hardware.fetch(given["out"])
    said += [str(error.getrepr(style="long")), repr(hardware.status(given["out"]))]
    cloud.faults = []
    cloud.jobs["job1"]["state"] = {"status": "Failed", "reason": f"{rest.TOKEN} was not there", "reason_code": 1500}
    said += [repr(hardware.fetch(given["out"])), str(hardware.status(given["out"]))]
    assert "was not there" in said[-1] and "bad key …" in said[0] and Folder(given["out"]).scored() == 30
    out, err = capsys.readouterr()
    files = [p for p in given["out"].rglob("*") if p.is_file()]
    assert len(files) > 12 and not [p for p in files if rest.TOKEN.encode() in p.read_bytes()]
    assert rest.TOKEN not in "".join(said) + out + err + caplog.text
