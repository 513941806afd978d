"""Jobs on an IBM machine: the vendor's own client against a service in a thread, with faults, and no token anywhere."""

import gc
import inspect
import logging
import os
import re
import subprocess
import sys
import traceback
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("qiskit_ibm_runtime", reason="needs the extra 'ibm'")

import requests
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.primitives import BitArray, DataBin
from qiskit_ibm_runtime import QiskitRuntimeService
from qiskit_ibm_runtime.accounts.exceptions import AccountNotFoundError, InvalidAccountError
from qiskit_ibm_runtime.api import auth
from qiskit_ibm_runtime.api import session as vendor

from qad.errors import InputError
from qad.quantum import backends, export
from qad.quantum.backends import account, ibm, primitive
from qad.quantum.backends.isa import transpiled
from qad.quantum.backends.options import RuntimeOptions
from qad.quantum.backends.service import JobState, ServiceError, TooLargeError, UnreachableError
from tests.conftest import PROJECT
from tests.quantum import cloud as double
from tests.quantum.test_aer import build, within


@pytest.fixture
def home(monkeypatch, tmp_path):
    """A home without an account."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [n for n in os.environ if n.startswith("QISKIT_IBM")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr("qiskit_ibm_runtime.accounts.management._DEFAULT_ACCOUNT_CONFIG_JSON_FILE",
                        str(tmp_path / ".qiskit" / "qiskit-ibm.json"))
    return tmp_path


@pytest.fixture
def cloud(home, monkeypatch):
    with double.running() as (found, url):
        for name, value in environment(url).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(vendor.PostForcelistRetry, "sleep", lambda *_: None)
        monkeypatch.setattr(ibm, "PAUSE", 0.0)
        monkeypatch.setattr(ibm, "GRACE", 0.05)
        yield found


def environment(url):
    return {"QISKIT_IBM_TOKEN": double.TOKEN, "QISKIT_IBM_URL": f"{url}/experimental", "QISKIT_IBM_INSTANCE": double.CRN,
            "IAM_URL": url, "QISKIT_FUNCTIONS_EXPERIMENTAL": "1", "USAGE_DATA_OPT_OUT": "True"}


def prepared(service, events=5, n=4):
    circuit, weights, X = build(3, n, events=events)
    out = export.qiskit_circuit(circuit, weights, n - 2)
    isa = transpiled(out, service.machine)
    return isa, isa.angles(X), export.qnode(circuit, weights, n - 2)(X).numpy()


def test_a_job_from_submission_to_counts(cloud):
    service = ibm.open_service("ibm_manila", mode="batch")
    assert not cloud.sessions and service.session_id is None  # nothing is opened before there is a job
    isa, angles, exact = prepared(service)
    cloud.status = "Queued"
    job = service.submit(isa.circuit, angles, 4000, "run 0-5")
    assert service.session_id == "session0" and cloud.jobs[job]["session_id"] == "session0"
    assert cloud.jobs[job]["tags"] == ["run 0-5"] and service.find("run 0-5") == job and service.find("other") is None
    assert service.state(job) == JobState("queued")
    with pytest.raises(ServiceError, match="no counts, it is queued"):
        service.counts(job)
    for vendors, ours in (("Running", "running"), ("Completed", "done")):
        cloud.jobs[job]["state"] = {"status": vendors}
        assert service.state(job) == JobState(ours, qpu_seconds=2.5)
    counts = service.counts(job)
    assert counts.shape == (5, 4) and counts.dtype == np.int64 and (counts.sum(1) == 4000).all()
    assert within(counts / 4000, exact, 4000)
    assert len([p for p in cloud.seen if p == ("POST", "/sessions")]) == 1


def test_a_circuit_without_parameters(cloud):
    """The readout is calibrated with such."""
    service = ibm.open_service("ibm_manila", options={"mode": "job"})
    circuit = QuantumCircuit(5)
    circuit.add_register(register := ClassicalRegister(3, "trash"))
    circuit.x(4)
    circuit.measure([2, 3, 4], register)
    job = service.submit(circuit, np.zeros((1, 0)), 100, "readout")
    np.testing.assert_array_equal(service.counts(job), 100 * np.eye(8, dtype=int)[[0b100]])
    with pytest.raises(InputError, match="every event would score the same"):
        service.submit(circuit, np.zeros((2, 0)), 100, "two")


@pytest.mark.parametrize("mode", ["batch", "session"])
def test_a_later_process_goes_on(cloud, mode):
    service = ibm.open_service("ibm_manila", mode=mode, options={"max_open_time": 600})
    isa, angles, _ = prepared(service)
    first = service.submit(isa.circuit, angles, 10, "a")
    assert cloud.sessions["session0"]["mode"] == {"batch": "batch", "session": "dedicated"}[mode]
    assert cloud.sessions["session0"]["max_ttl"] == 600
    later = ibm.open_service("ibm_manila", mode=mode, session_id=service.session_id)
    second = later.submit(isa.circuit, angles, 10, "b")
    assert {cloud.jobs[j]["session_id"] for j in (first, second)} == {"session0"} and later.state(first).status == "done"
    later.close()
    assert cloud.sessions["session0"]["state"] == "closed"
    third = service.submit(isa.circuit, angles, 10, "c")  # closed under its feet
    assert cloud.jobs[third]["session_id"] == service.session_id == "session1"
    for known in ("session0", "of-another-account"):  # closed or unknown: a new one
        fresh = ibm.open_service("ibm_manila", mode=mode, session_id=known)
        assert fresh.open() != known  # seen before a job is refused
        fresh.submit(isa.circuit, angles, 10, "d")
        assert fresh.session_id not in ("session0", "session1", known)
    assert len(cloud.jobs) == 5
    other = ibm.open_service("ibm_manila", mode="session" if mode == "batch" else "batch", session_id="session1")
    with pytest.raises(ServiceError, match="execution mode"):
        other.submit(isa.circuit, angles, 10, "e")


def test_options_reach_the_service(cloud):
    service = ibm.open_service("ibm_manila", options={"dynamical_decoupling": "XY4", "twirl_measure": True, "mode": "job",
                                                      "num_randomizations": 4, "max_execution_time": 30})
    isa, angles, exact = prepared(service)
    job = service.submit(isa.circuit, angles, 1000, "t")
    sent = cloud.jobs[job]
    assert sent["cost"] == 30 and "session_id" not in sent
    item = sent["params"]["quantum_program"]["items"][0]
    assert item["item_type"] == "samplex" and item["shape"] == [4, 5] and sent["params"]["quantum_program"]["shots"] == 250
    counts = service.counts(job)
    assert (counts.sum(1) == service.options.executions(1000)).all() and within(counts / 1000, exact, 1000)


def test_the_sampler_of_older_versions(cloud, monkeypatch, tmp_path):
    monkeypatch.setattr(primitive, "version", lambda _: "0.49.1")
    everything = EVERYTHING | {"mode": "batch"}
    service = ibm.open_service("ibm_manila", options=everything)
    isa, angles, exact = prepared(service)
    job = service.submit(isa.circuit, angles, 4000, "t")
    sent = cloud.jobs[job]
    assert sent["program_id"] == "sampler" and sent["cost"] == 60 and service.find("t") == job
    assert sent["params"]["options"] == {"dynamical_decoupling": {"enable": True, "sequence_type": "XX"},
                                         "twirling": {"enable_gates": True, "enable_measure": True, "num_randomizations": 8},
                                         "execution": {"rep_delay": 2e-4}}
    assert within(service.counts(job) / 4000, exact, 4000)
    named = " ".join(ibm.ignored({"twirl_gates": True, "sampler": "runtime"}, "fake_manila"))
    assert named.startswith("twirl_gates=True has no effect: local testing mode of this qiskit-ibm-runtime")
    local = ibm.open_service("fake_manila", tmp_path, options={"twirl_gates": True, "sampler": "runtime"})
    counts = local.counts(local.submit(isa.circuit, angles, 1000, "t"))
    assert (counts.sum(1) == 1000).all() and abs(counts / 1000 - exact).max() < 0.3


@pytest.mark.parametrize("shots", [1, 63, 64, 1000, 4096, 10_001])
@pytest.mark.parametrize("number", [None, 3, 32])
def test_executions_are_those_of_the_vendor(shots, number):
    from qiskit_ibm_runtime.executor.calculate_twirling_shots import calculate_twirling_shots

    options = RuntimeOptions(twirl_gates=True, num_randomizations=number)
    assert options.executions(shots) == np.prod(calculate_twirling_shots(shots, number or "auto", "auto"))
    assert RuntimeOptions().executions(shots) == shots


SUBMIT = ("POST", "/jobs")
ERROR = '{{"error": {{"code": {}, "message": "{}"}}}}'


@pytest.mark.parametrize(("fault", "times", "error", "match"), [
    (413, 1, TooLargeError, "fewer events"),
    ((400, ERROR.format(8057, "The job payload is too large")), 1, TooLargeError, "fewer events"),
    ((400, ERROR.format(1205, "The job tag exceeds 86 characters")), 1, ServiceError, "says no"),
    ((400, ERROR.format(1287, "Job create exceeds open plan job usage limits")), 1, ServiceError, "says no"),
    ((400, ERROR.format(1000, "Rejected")), 1, ServiceError, "says no"),
    ((401, ERROR.format(1200, f"bad key {double.TOKEN}")), 1, ServiceError, "API key has expired.*save_account"),
    (403, 1, ServiceError, "plan does not allow"),
    (429, 1, UnreachableError, "ask again later"),
    (500, 9, UnreachableError, "ask again later"),
    (503, 9, UnreachableError, "ask again later"),
    ("drop", 1, UnreachableError, "ask again later"),
    ((200, "<html>maintenance</html>"), 1, UnreachableError, "ask again later"),
])
def test_refusals(cloud, fault, times, error, match):
    service = ibm.open_service("ibm_manila", mode="job")
    isa, angles, _ = prepared(service)
    cloud.fail(*SUBMIT, fault, times)
    with pytest.raises(ServiceError, match=match) as raised:
        service.submit(isa.circuit, angles, 10, "t")
    assert raised.type is error and not cloud.jobs and raised.value.__context__ is None
    assert double.TOKEN not in "".join(traceback.format_exception(raised.value))


def test_questions_are_repeated_and_submissions_are_not(cloud):
    service = ibm.open_service("ibm_manila", mode="job")
    isa, angles, _ = prepared(service)
    cloud.fail(*SUBMIT, 502)
    with pytest.raises(UnreachableError):
        service.submit(isa.circuit, angles, 10, "t")
    assert cloud.seen.count(SUBMIT) == 1 and not cloud.jobs
    job = service.submit(isa.circuit, angles, 10, "t")
    cloud.fail("GET", f"/jobs/{job}", 502, times=2)
    assert service.state(job).status == "done" and not cloud.faults


@pytest.mark.parametrize(("answer", "mode"), [
    ("take", "job"), (("take", 504, "gateway timeout"), "batch"), (("take", 200, "{}"), "batch"), (("take", 200, "[]"), "job"),
    (("take", 200, '{"backend": "ibm_manila"}'), "job"), (("take", 200, '{"backend": "ibm_manila", "id": null}'), "job")])
def test_a_job_that_was_taken_without_an_answer_is_in_doubt_and_found(cloud, answer, mode):
    service = ibm.open_service("ibm_manila", mode=mode)
    isa, angles, _ = prepared(service)
    cloud.fail(*SUBMIT, answer)
    with pytest.raises(UnreachableError) as raised:
        service.submit(isa.circuit, angles, 10, "t")
    assert service.find("t") == "job0" and len(cloud.jobs) == 1 and raised.value.__context__ is None
    cloud.fail(*SUBMIT, (400, ERROR.format(1000, "Rejected")))  # a later one is refused for good
    with pytest.raises(ServiceError, match="says no") as raised:
        service.submit(isa.circuit, angles, 10, "u")
    assert raised.type is ServiceError


def test_what_is_refused_before_it_is_sent_is_not_in_doubt(cloud, monkeypatch):
    service = ibm.open_service("ibm_manila", mode="job")
    isa, angles, _ = prepared(service)
    service.submit(isa.circuit, angles, 10, "t")
    monkeypatch.setattr(primitive, "pub", lambda *_: ("no circuit",))
    with pytest.raises(ServiceError) as raised:
        service.submit(isa.circuit, angles, 10, "u")
    assert raised.type is ServiceError and cloud.seen.count(SUBMIT) == 1


@pytest.mark.parametrize("text", ["Maximum number of sessions exceeded", "Cost limit exceeded for this instance",
                                  "Exceeded the maximum number of open jobs", "You have exceeded the limit",
                                  "The job tag exceeds 86 characters", "Job create exceeds open plan job usage limits",
                                  "rep_delay is too large", "These jobs exceed what this session may take"])
def test_what_smaller_jobs_would_not_mend(text):
    assert not account.too_large(text)


@pytest.mark.parametrize("text", ["Request Entity Too Large", "The job payload is too large", "Job ran too long", "code 1305",
                                  "Result size exceeds the limit", "The circuits exceed the memory of the controller",
                                  "Job exceeded the maximum execution time", 'failed, "code": 6053'])
def test_what_smaller_jobs_mend(text):
    assert account.too_large(text)


@pytest.mark.parametrize(("state", "expected"), [
    ({"status": "Failed", "reason": "Result payload exceeds the limit", "reason_code": 5302}, ("failed", True)),
    ({"status": "Failed", "reason": "Too many instructions", "reason_code": 6053}, ("failed", True)),
    ({"status": "Cancelled - Ran too long", "reason": "maximum execution time"}, ("failed", True)),
    ({"status": "Cancelled", "reason": "Job maximum execution time reached", "reason_code": 1305}, ("failed", True)),
    ({"status": "Failed", "reason": "Backend fell over", "reason_code": 9701}, ("failed", False)),
    ({"status": "Failed"}, ("failed", False)),
    ({"status": "Cancelled", "reason": "by user"}, ("cancelled", False)),
    ({"status": "Something new"}, ("running", False)),
])
def test_how_jobs_end(cloud, state, expected):
    service = ibm.open_service("ibm_manila", mode="job")
    isa, angles, _ = prepared(service)
    job = service.submit(isa.circuit, angles, 10, "t")
    cloud.jobs[job]["state"] = state
    found = service.state(job)
    assert (found.status, found.too_large) == expected and found.qpu_seconds == 2.5
    assert found.reason == "" if found.status == "running" else found.reason
    with pytest.raises(ServiceError, match="no counts"):
        service.counts(job)


def test_cancelling(cloud):
    service = ibm.open_service("ibm_manila", mode="job")
    isa, angles, _ = prepared(service)
    done = service.submit(isa.circuit, angles, 10, "a")
    cloud.status = "Queued"
    queued = service.submit(isa.circuit, angles, 10, "b")
    service.cancel(done)
    service.cancel(queued)
    assert service.state(done).status == "done" and service.state(queued).status == "cancelled"
    with pytest.raises(ServiceError, match="not found"):
        service.cancel("job77")


def test_unknown_machines_and_accounts(cloud, home, monkeypatch):
    with pytest.raises(ServiceError, match=r"unknown machine.*did you mean 'ibm_manila'"):
        ibm.machine("ibm_manilla")
    with pytest.raises(InputError, match="did you mean 'fake_torino'"):
        ibm.machine("fake_torin")
    for fault, error, match in ((401, ServiceError, "save_account"), ("drop", UnreachableError, "ask again")):
        cloud.faults = [("GET", "/(backends|instances/usage).*", fault)] * 40
        with pytest.raises(ServiceError, match=match) as raised:
            ibm.open_service("ibm_manila")
        assert raised.type is error
    monkeypatch.delenv("QISKIT_IBM_TOKEN")
    with pytest.raises(ServiceError, match=r"no IBM account.*save_account"):
        ibm.open_service("ibm_manila")


def test_an_account_is_saved_by_one_line_everywhere():
    line = account.SAVE.partition("  with")[0]
    for page in ("reference", "how-to"):
        assert line in (PROJECT / "docs" / page / "hardware.md").read_text(encoding="utf-8")
    words = re.findall(r"(\w+)=", line)
    assert words and set(words) <= set(inspect.signature(QiskitRuntimeService.save_account).parameters)


def test_what_the_vendor_raises_before_it_asks():
    unreachable, wrong = InvalidAccountError("Unable to retrieve"), InvalidAccountError("Unable to retrieve")
    unreachable.__cause__ = requests.ConnectionError("no route")
    wrong.__cause__ = type("ApiException", (Exception,), {})("bad key")
    wrong.__cause__.status_code = 400
    assert type(account.translated(unreachable, "opening")) is UnreachableError
    assert type(account.translated(requests.Timeout("read"), "asking")) is UnreachableError
    assert "cannot be used" in str(account.translated(wrong, "opening"))
    assert "no IBM account" in str(account.translated(AccountNotFoundError("no"), "opening"))


def test_too_many_executions(cloud):
    service = ibm.open_service("ibm_manila", mode="job", options={"twirl_gates": True, "num_randomizations": 3})
    isa, angles, _ = prepared(service)
    cloud.seen.clear()
    with pytest.raises(TooLargeError, match="10,000,020 executions"):
        service.submit(isa.circuit, angles, 2_000_003, "t")
    for table, shots in ((angles[:, 1:], 10), (angles * np.nan, 10), (angles[:0], 10), (angles, 0), (angles, True)):
        with pytest.raises(InputError, match="expected"):
            service.submit(isa.circuit, table, shots, "t")
    assert not cloud.seen  # all that before anything is sent


def test_the_backend_waits_splits_and_finds(cloud, monkeypatch):
    """7 events in chunks of 4: the first is too large, the second is taken without an answer, a half of the first fails."""
    circuit, weights, X = build(3, 4, events=7)
    compiled = backends.get("ibm", machine="ibm_manila", chunk=4, mode="job", tries=1).compile(circuit, 2, weights)
    cloud.fail(*SUBMIT, 413)
    cloud.fail(*SUBMIT, "take")
    taken = cloud.answer

    def one_fails(method, path, query, body):
        status, found = taken(method, path, query, body)
        if (method, path) == SUBMIT and len(cloud.jobs) == 2:
            cloud.jobs["job1"]["state"] = {"status": "Failed", "reason": "Result exceeds the limit", "reason_code": 5302}
        return status, found

    monkeypatch.setattr(cloud, "answer", one_fails)
    p = compiled.probabilities(X, shots=3000, seed=1)
    exact = export.qnode(circuit, weights, 2)(X).numpy()
    assert p.shape == (7, 4) and within(p, exact, 3000)
    tags = sorted(job["tags"][0].partition(" ")[2] for job in cloud.jobs.values())
    assert tags == ["0-1", "0-2", "1-2", "2-4", "4-7"]
    cloud.fail(*SUBMIT, 413, times=9)
    with pytest.raises(TooLargeError, match="fewer shots"):
        compiled.probabilities(X, shots=10)
    cloud.faults.clear()
    cloud.status = "Cancelled"
    with pytest.raises(ServiceError, match="it was cancelled"):
        compiled.probabilities(X, shots=10)


@pytest.mark.parametrize(("fault", "lag", "posts"), [("take", 3, 1), (("take", 504, ""), 3, 1), ("drop", 0, 2)])
def test_a_job_in_doubt_has_its_grace(cloud, monkeypatch, fault, lag, posts):
    """The list of jobs lags: it is asked again before the job is sent again, which happens once the grace is over."""
    monkeypatch.setattr(ibm, "GRACE", 30.0 if lag else 0.05)
    circuit, weights, X = build(3, 4, events=2)
    compiled = backends.get("ibm", machine="ibm_manila", mode="job", tries=1).compile(circuit, 2, weights)
    cloud.fail(*SUBMIT, fault)
    cloud.lag = lag
    cloud.seen.clear()
    assert compiled.probabilities(X, shots=10).shape == (2, 4)
    assert len(cloud.jobs) == 1 and cloud.seen.count(SUBMIT) == posts and cloud.seen.count(("GET", "/jobs")) > lag


@pytest.mark.parametrize("mode", ["batch", "session"])
def test_the_backend_closes_what_it_opened(cloud, mode):
    circuit, weights, X = build(3, 4, events=2)
    compiled = backends.get("ibm", machine="ibm_manila", mode=mode, tries=1).compile(circuit, 2, weights)
    for _ in range(2):  # one for all calls, as training makes them
        compiled.probabilities(X, shots=10)
    assert [s["state"] for s in cloud.sessions.values()] == ["open"]
    del compiled
    gc.collect()
    assert [s["state"] for s in cloud.sessions.values()] == ["closed"]


def test_a_session_that_cannot_be_closed_is_named(cloud):
    service = ibm.open_service("ibm_manila", mode="session")
    name = service.open()
    cloud.fail("PATCH", "/sessions/.*", 401, 9)
    cloud.fail("DELETE", "/sessions/.*", 401, 9)
    with pytest.warns(UserWarning, match=f"{name} may still be open"):
        ibm._close(service)


@pytest.mark.parametrize("bits", [1, 2, 8, 9, 11])
def test_bits_in_their_order(bits):
    """Against the vendor's own counting, for registers of more than a byte."""
    rng = np.random.default_rng(bits)
    table = rng.random((3, 50, bits)) < rng.random(bits)
    found = BitArray.from_bool_array(table, order="big")
    counts = primitive.counts([SimpleNamespace(data=DataBin(trash=found, shape=(3,)))])
    assert counts.shape == (3, 2**bits) and counts.dtype == np.int64
    for row in range(3):
        expected = np.zeros(2**bits, dtype=int)
        for text, number in found.get_counts(row).items():
            expected[int(text, 2)] = number
        np.testing.assert_array_equal(counts[row], expected)


def test_options_are_checked_early():
    for wrong, match in (({"dynamical_decoupling": "XY8"}, "unknown dynamical_decoupling 'XY8'"), ({"mode": "bach"}, "'batch'"),
                         ({"twirl_gates": "yes"}, "expected true or false"), ({"rep_delay": 250}, "seconds"),
                         ({"max_execution_time": 0}, "from 1"), ({"num_randomizations": 2.5}, "from 1"),
                         ({"twirl_gate": True}, "did you mean 'twirl_gates'"), ({"sampler": "aer"}, "Known: exact, runtime")):
        with pytest.raises(InputError, match=match):
            RuntimeOptions.of(wrong)
    with pytest.raises(InputError, match="expected a folder"):
        ibm.open_service("fake_manila")
    with pytest.raises(InputError, match="chunk"):
        ibm.IBM("fake_manila", chunk=0)
    with pytest.raises(InputError, match="without a machine"):
        ibm.IBM()


EVERYTHING = {"dynamical_decoupling": "XX", "twirl_gates": True, "twirl_measure": True, "num_randomizations": 8,
              "rep_delay": 2e-4, "max_execution_time": 60, "mode": "session", "max_open_time": 100}


def test_every_option_without_effect_is_named(cloud):
    def names(options, machine):
        found = ibm.ignored(options, machine)
        assert all(" has no effect: " in f for f in found)
        return {f.partition("=")[0] for f in found}

    assert names(EVERYTHING, "fake_manila") == set(EVERYTHING)
    fake, real = ibm.machine("fake_manila"), ibm.machine("ibm_manila")
    of_local = {"rep_delay", "max_execution_time", "mode", "max_open_time"}
    assert names(EVERYTHING | {"sampler": "runtime"}, fake) == of_local
    assert names(EVERYTHING, real) == set() and names(EVERYTHING | {"mode": "job"}, real) == {"max_open_time"}
    cloud.files["configuration"]["dynamic_reprate_enabled"] = False
    real = ibm.machine("ibm_manila")
    assert names(EVERYTHING | {"mode": "job", "sampler": "runtime"}, real) == {"rep_delay", "max_open_time", "sampler"}
    assert names({"num_randomizations": 3}, real) == {"num_randomizations"} and names(None, real) == set()
    with pytest.warns(ibm.IgnoredOptionWarning, match="rep_delay=0.0002 has no effect: a snapshot has no clock"):
        ibm.IBM("fake_manila", rep_delay=2e-4)


def test_calibration(cloud):
    service = ibm.open_service("ibm_manila")
    isa, _, _ = prepared(service, n=3)
    found = ibm.calibration(isa.circuit, service.machine)
    assert found["machine"] == "ibm_manila" and found["date"].startswith("2024-05-27")
    properties = service.machine.properties()
    assert found["qubits"].keys() == {str(q) for q in isa.layout}
    for q, values in found["qubits"].items():
        assert values["t1"] == pytest.approx(properties.t1(int(q))) and values["t2"] == pytest.approx(properties.t2(int(q)))
        assert values["readout_error"] == pytest.approx(properties.readout_error(int(q)))
    assert {g["gate"] for g in found["gates"]} == isa.circuit.count_ops().keys() - {"measure", "barrier"}
    for gate in found["gates"]:
        assert gate["error"] == pytest.approx(properties.gate_error(gate["gate"], gate["qubits"]))
        assert gate["duration"] == pytest.approx(properties.gate_length(gate["gate"], gate["qubits"]))


def test_where_the_account_lies(home, monkeypatch):
    assert account.present() is None and account.tokens() == set()
    (home / ".qiskit").mkdir()
    (home / ".qiskit" / "qiskit-ibm.json").write_text('{"a": {"token": "saved-token", "channel": "ibm_quantum_platform"}}')
    assert account.present().endswith("qiskit-ibm.json") and account.redacted("x saved-token y") == "x … y"
    monkeypatch.setenv("QISKIT_IBM_TOKEN", "a/b")
    assert "QISKIT_IBM_TOKEN" in account.present()
    monkeypatch.setenv("QISKIT_IBM_TOKEN", double.TOKEN)
    assert double.TOKEN in account.tokens() and account.redacted(requests.utils.quote(double.TOKEN, safe="")) == "…"
    assert account.redacted("Authorization: Bearer abc.def, apikey=qwe; x") == "Authorization: Bearer …, apikey=…; x"
    (home / ".qiskit" / "qiskit-ibm.json").write_text("damaged")
    assert account.present() == "the variable QISKIT_IBM_TOKEN"


def no_token(self):
    raise RuntimeError(f"Provided API key {self.apikey} could not be found")


def test_no_token_in_logs_warnings_errors_or_reprs(cloud, caplog, monkeypatch):
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for at in ("qiskit_ibm_runtime", "ibm_cloud_sdk_core", "urllib3"):
            logging.getLogger(at).setLevel(logging.DEBUG)
        service = ibm.open_service("ibm_manila")
        isa, angles, _ = prepared(service)
        cloud.fail(*SUBMIT, (502, double.TOKEN))
        with pytest.raises(UnreachableError):
            service.submit(isa.circuit, angles, 10, "t")
        job = service.submit(isa.circuit, angles, 10, "t")
        cloud.fail("GET", "/jobs/job0", (401, ERROR.format(1200, double.TOKEN)), 9)
        monkeypatch.setattr(auth.IAMTokenManager, "get_token", no_token)
        for ask in (lambda: service.state(job), lambda: ibm.open_service("ibm_manila").state(job)):
            with pytest.raises(ServiceError) as raised:
                ask()
            assert double.TOKEN not in str(raised.value)
        logging.getLogger("qiskit_ibm_runtime.api.session").warning("this one holds %s", double.TOKEN)
    shown = caplog.text + "".join(str(w.message) for w in said) + repr(service) + str(service) + repr(service.options)
    assert "this one holds …" in shown and "API Key will be used instead" in shown and len(shown) > 1000
    assert double.TOKEN not in shown and requests.utils.quote(double.TOKEN, safe="") not in shown


def test_no_token_in_a_traceback(cloud):
    """A process that ends with the error, as a notebook cell does; chained exceptions would be printed too."""
    cloud.faults = [("GET", "/jobs/job0", (401, ERROR.format(1200, f"bad key {double.TOKEN}")))]
    code = "from qad.quantum.backends import ibm\ns = ibm.open_service('ibm_manila')\ns.state('job0')"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | {"QAD_TRACEBACK": "1"},
                          capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" in done.stderr and "refuses the account" in done.stderr
    assert "bad key …" in done.stderr and double.TOKEN not in done.stderr + done.stdout
    assert "During handling" not in done.stderr and "/qiskit_ibm_runtime/" not in done.stderr  # no frame of theirs
