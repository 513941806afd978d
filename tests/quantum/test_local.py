"""Jobs on a snapshot: the queue on disk, and counts against those of IBM's local testing mode."""

import json
import multiprocessing
import os
import signal
import time

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.providers.fake_provider import GenericBackendV2

pytest.importorskip("qiskit_ibm_runtime", reason="needs the extra 'ibm'")

from qad.errors import InputError, WriteError
from qad.quantum import backends, export
from qad.quantum.backends import ibm
from qad.quantum.backends.isa import transpiled
from qad.quantum.backends.local import LocalService
from qad.quantum.backends.service import JobState, ServiceError, TooLargeError
from tests.quantum.test_aer import build


@pytest.fixture(scope="module")
def manila():
    return ibm.machine("fake_manila")


def prepared(machine, events=5, n=4, level=1):
    circuit, weights, X = build(3, n, events=events)
    isa = transpiled(export.qiskit_circuit(circuit, weights, n - 2), machine, optimization_level=level)
    return isa, isa.angles(X)


def test_a_job_lies_on_disk_until_it_is_asked_for(manila, tmp_path):
    service = LocalService(manila, tmp_path / "jobs")
    isa, angles = prepared(manila)
    job = service.submit(isa.circuit, angles, 500, "run 0-5")
    assert sorted(p.name for p in (tmp_path / "jobs" / job).iterdir()) == ["angles.npy", "circuit.qpy", "job.json"]
    later = ibm.open_service("fake_manila", tmp_path / "jobs")  # another process would do the same
    assert later.find("run 0-5") == job and later.find("run 0-6") is None
    assert later.state(job) == JobState("done", qpu_seconds=0.0)
    counts = service.counts(job)
    assert counts.shape == (5, 4) and counts.dtype == np.int64 and (counts.sum(1) == 500).all()
    assert [p.name for p in (tmp_path / "jobs").iterdir()] == [job]  # nothing is left beside it


def test_counts_follow_from_the_tag(manila, tmp_path):
    service = LocalService(manila, tmp_path)
    isa, angles = prepared(manila)
    first, again, other = (service.submit(isa.circuit, angles, 500, tag) for tag in ("a", "a", "b"))
    assert len({first, again, other}) == 3 and service.find("a") == first  # sent twice is two jobs, and it shows
    np.testing.assert_array_equal(service.counts(first), service.counts(again))
    assert (service.counts(first) != service.counts(other)).any()
    (tmp_path / first / "counts.npy").unlink()
    np.testing.assert_array_equal(LocalService(manila, tmp_path).counts(first), service.counts(again))


def test_columns_go_by_the_names_of_their_parameters(manila, tmp_path):
    """Whatever order a circuit has them in when it is read again."""
    service = LocalService(manila, tmp_path)
    isa, angles = prepared(manila)
    job = service.submit(isa.circuit, angles, 500, "t")
    other = service.submit(isa.circuit, angles, 500, "t")
    header = json.loads((tmp_path / other / "job.json").read_text())
    order = np.roll(np.arange(angles.shape[1]), 1)
    header["parameters"] = [header["parameters"][k] for k in order]
    (tmp_path / other / "job.json").write_text(json.dumps(header))
    np.save(tmp_path / other / "angles.npy", angles[:, order])
    np.testing.assert_array_equal(service.counts(job), service.counts(other))


def test_what_a_kill_left_goes_after_a_day(manila, tmp_path):
    isa, angles = prepared(manila)
    job = LocalService(manila, tmp_path).submit(isa.circuit, angles, 10, "t")
    old, new = tmp_path / ".new-old", tmp_path / ".new-now"
    counts = tmp_path / job / ".counts-old.npy"
    for folder in (old, new):
        folder.mkdir()
        (folder / "job.json").touch()
    counts.touch()
    for left in (old, counts):
        os.utime(left, (0, time.time() - 90_000))
    service = LocalService(manila, tmp_path)
    service.submit(isa.circuit, angles, 10, "t")
    assert new.is_dir() and not old.exists() and not counts.exists() and service.state(job).status == "done"
    assert service.open() is None and not service.lags and ibm.Service.lags


def test_bits_and_columns_keep_their_order(tmp_path):
    """x[10] stands behind x[9], and the first bit read is the most significant; on a machine without errors."""
    machine = GenericBackendV2(12, seed=1, noise_info=False)
    for name in ("measure", "cx", "sx", "x", "rz"):
        for properties in machine.target[name].values():
            if properties is not None:
                properties.error = 0.0
    circuit = QuantumCircuit(12)
    from qiskit.circuit import ParameterVector

    x = ParameterVector("x", 12)
    for q in range(12):
        circuit.rz(x[q], q)
    circuit.x([1, 10])
    circuit.add_register(register := ClassicalRegister(4, "trash"))
    circuit.measure([1, 2, 9, 10], register)
    service = LocalService(machine, tmp_path)
    job = service.submit(circuit, np.zeros((2, 12)), 10, "t")
    np.testing.assert_array_equal(service.counts(job), 10 * np.eye(16, dtype=int)[[0b1001, 0b1001]])
    turned = QuantumCircuit(1)
    turned.add_register(register := ClassicalRegister(1, "trash"))
    for k in range(12):  # rx(0) but for x[10]
        turned.rz(np.pi / 2, 0), turned.sx(0), turned.rz(x[k] + np.pi, 0), turned.sx(0), turned.rz(5 * np.pi / 2, 0)
    turned.measure(0, register)
    table = np.zeros((2, 12))
    table[1, [10, 2]] = np.pi, 2 * np.pi
    job = service.submit(turned, table, 100, "u")
    header = json.loads((tmp_path / job / "job.json").read_text())
    assert header["parameters"] == [f"x[{k}]" for k in range(12)]
    low, high = service.counts(job)[:, 1]
    assert {low, high} == {0, 100}


def test_a_circuit_without_parameters(manila, tmp_path):
    circuit = QuantumCircuit(5)
    circuit.x(4)
    circuit.add_register(register := ClassicalRegister(3, "trash"))
    circuit.measure([2, 3, 4], register)
    for sampler in ("exact", "runtime"):
        service = LocalService(manila, tmp_path, {"sampler": sampler})
        counts = service.counts(service.submit(circuit, np.zeros((1, 0)), 1000, "readout"))
        assert counts.shape == (1, 8) and counts[0].argmax() == 0b100 and counts[0, 0b100] < 1000  # read with errors


def compare(name, tmp_path, events, n, shots, **options):
    """Five standard errors of every share, exact noise against the vendor's trajectories."""
    machine = ibm.machine(name)
    isa, angles = prepared(machine, events, n, level=2)
    found = []
    for sampler in ("exact", "runtime"):
        service = LocalService(machine, tmp_path / sampler, {"sampler": sampler} | (options if sampler == "runtime" else {}))
        found.append(service.counts(service.submit(isa.circuit, angles, shots, "t")))
    p, q = (f / f.sum(1, keepdims=True) for f in found)
    mean = (p + q) / 2
    error = np.sqrt(mean * (1 - mean) * (1 / found[0].sum(1, keepdims=True) + 1 / found[1].sum(1, keepdims=True)))
    assert (abs(p - q) <= 5 * error + 1e-12).all(), abs(p - q) / error
    noiseless = backends.get("exact").compile(isa.exported.source, n - 2, weights=build(3, n)[1])
    exact = noiseless.probabilities(build(3, n, events=events)[2])
    assert (abs(p - exact) > 5 * np.sqrt(exact * (1 - exact) / shots)).any()  # the noise is larger than what is tested


def test_against_local_testing_mode_on_manila(tmp_path):
    compare("fake_manila", tmp_path, 20, 4, 20_000)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_twirled_in_local_testing_mode(tmp_path):
    """Twirling the readout makes its errors symmetric, so only the machine's average error is as without: few shots, wide."""
    machine = ibm.machine("fake_manila")
    isa, angles = prepared(machine, 3)
    service = LocalService(machine, tmp_path, {"sampler": "runtime", "twirl_gates": True, "num_randomizations": 3})
    counts = service.counts(service.submit(isa.circuit, angles, 1000, "t"))
    assert (counts.sum(1) == service.options.executions(1000)).all() and service.options.executions(1000) == 1002
    plain = LocalService(machine, tmp_path)
    p = plain.counts(plain.submit(isa.circuit, angles, 100_000, "t")) / 100_000
    assert abs(counts / 1002 - p).max() < 0.08


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fake_torino", "fake_fez", "fake_marrakesh"])
def test_against_local_testing_mode_on_large_machines(name, tmp_path):
    compare(name, tmp_path, 4, 4, 10_000)


def test_cancelled(manila, tmp_path):
    service = LocalService(manila, tmp_path)
    isa, angles = prepared(manila)
    stopped, done = (service.submit(isa.circuit, angles, 10, tag) for tag in ("a", "b"))
    service.counts(done)
    for job in (stopped, done):
        service.cancel(job)
    assert service.state(stopped).status == "cancelled" and service.state(done).status == "done"
    with pytest.raises(ServiceError, match="cancelled"):
        service.counts(stopped)


def test_sentences(manila, tmp_path):
    service = LocalService(manila, tmp_path)
    isa, angles = prepared(manila)
    with pytest.raises(TooLargeError, match="10,000,005 executions"):
        service.submit(isa.circuit, angles, 2_000_001, "t")
    with pytest.raises(InputError, match="expected finite numbers"):
        service.submit(isa.circuit, angles[:, :1], 10, "t")
    job = service.submit(isa.circuit, angles, 10, "t")
    for wrong in ("local-none-0", "../jobs", ".", ""):
        with pytest.raises(ServiceError, match="no job"):
            service.state(wrong)
    with pytest.raises(ServiceError, match="for fake_manila, and this is fake_quito"):
        LocalService("fake_quito", tmp_path).state(job)
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError):
        LocalService(manila, tmp_path / "file").submit(isa.circuit, angles, 10, "t")
    (tmp_path / job / "circuit.qpy").write_bytes(b"QISKIT")
    assert LocalService(manila, tmp_path).state(job).status == "failed"
    assert "damaged" in LocalService(manila, tmp_path).state(job).reason


def working(service, isa, angles):
    while True:
        service.counts(service.submit(isa.circuit, angles, 100, "t"))


def test_a_kill_leaves_whole_jobs_or_none(manila, tmp_path):
    """Submitting and running, killed in the middle: what is listed can be run, and gives the counts of an undisturbed run."""
    isa, angles = prepared(manila)
    child = multiprocessing.get_context("fork").Process(target=working, args=(LocalService(manila, tmp_path), isa, angles))
    child.start()
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("local-*"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    service = LocalService(manila, tmp_path)
    jobs = [p.name for p in tmp_path.glob("local-*")]
    assert len(jobs) >= 3 and service.find("t") in jobs
    found = [service.counts(job) for job in jobs]
    for counts in found:
        np.testing.assert_array_equal(counts, found[0])


def test_the_backend_in_chunks_and_with_free_weights():
    circuit, weights, X = build(5, 4, events=7)
    compiled = backends.get("ibm", machine="fake_manila", chunk=3).compile(circuit, 2, weights)
    p = compiled.probabilities(X, shots=8000, seed=1)
    np.testing.assert_array_equal(p, compiled.probabilities(X, shots=8000, seed=1))
    assert (p != compiled.probabilities(X, shots=8000, seed=2)).any() and len(compiled.layout) == 4
    assert compiled.probabilities(X[:0]).shape == (0, 4) and compiled.probabilities(X[:1]).sum() == pytest.approx(1)
    free = backends.get("ibm", machine="fake_manila", tries=1).compile(circuit, 2)
    each = np.stack([weights, weights + 0.3, weights] + [weights] * 4)
    q = free.probabilities(X, each, shots=100_000)
    aer = backends.get("aer", noise="fake_manila", optimization_level=3).compile(circuit, 2).probabilities(X, each)
    assert (abs(q - aer) <= 5 * np.sqrt(aer * (1 - aer) / 100_000)).all()
    assert (abs(p[2:] - aer[2:]).max() < 0.1) and not np.allclose(aer[1], p[1], atol=0.02)
    with pytest.raises(InputError, match="shots=0"):
        compiled.probabilities(X, shots=0)
    assert os.path.isdir(compiled.service.folder)
    folder = compiled.service.folder
    del compiled
    assert not os.path.exists(folder)
