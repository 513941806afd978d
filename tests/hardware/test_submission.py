"""Before, around and after the jobs: what is asked, what it costs, whose scores they are."""

import contextlib
import io
import json
import math
import os
import traceback
from dataclasses import asdict

import numpy as np
import pytest
from qiskit import qpy

import qad
from qad import hardware, pipeline
from qad.errors import InputError
from qad.hardware import cost, scoring
from qad.hardware.folder import Folder
from qad.persistence import save
from qad.quantum.backends import isa as compiled
from qad.quantum.backends import mitigation
from qad.quantum.backends.service import ServiceError
from tests.hardware.conftest import features
from tests.hardware.double import TOKEN, Double


@pytest.fixture
def given(trained, double):
    """Arguments of a submission to the double."""
    return {"model": trained / "model", "data": trained / "events.h5", "backend": "double", "service": double, "shots": 100}


def table(folder):
    """event, score, error of scores.csv."""
    return np.genfromtxt(folder / "scores.csv", delimiter=",", names=True)


KINDS = {
    "infidelity": ("quantum-features", {"latent": 1, "ansatz": "strongly-entangling", "layers": 1, "epochs": 3}),
    "log-fidelity": ("quantum-features", {"latent": 2, "ansatz": "strongly-entangling", "layers": 1, "epochs": 3,
                                          "score_as": "log-fidelity"}),
    "all bit strings": ("quantum-contrastive", {"score_as": "mean-fidelity", "unitary": "circuit", "epochs": 20}),
    "eigenvectors": ("quantum-contrastive", {"latent": 1}),
}


@pytest.mark.parametrize("mitigated", ["none", "readout"])
@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_the_models(kind, mitigated, machine, tmp_path):
    """Qiskit's state vector of the circuit that was sent gives the exact scores within five errors: qubits, bits, columns."""
    name, parameters = KINDS[kind]
    model = pipeline.fit(name, features(200), **parameters)
    save(model, tmp_path / "model")
    events = features(12, 3)
    events.save(tmp_path / "events.h5")
    service = Double(tmp_path / "service", machine, ideal=True)
    given = {"backend": "double", "out": tmp_path / "run", "service": service, "shots": 500_000, "mitigation": mitigated}
    hardware.submit(tmp_path / "model", tmp_path / "events.h5", **given)
    hardware.fetch(tmp_path / "run", service=service)
    found, exact = table(tmp_path / "run"), pipeline.anomaly_score(model, events)
    assert found["event"].tolist() == list(range(12))
    if mitigated == "none":
        assert (np.abs(found["score"] - exact) < 5 * found["error"] + 1e-9).all() and np.ptp(exact) > 20 * found["error"].max()
    else:  # the double's readout circuits show errors that its events do not have
        assert (found["error"] > 0).all() and np.corrcoef(found["score"], exact)[0, 1] > 0.99


@pytest.mark.parametrize("score_as", ["infidelity", "log-fidelity", "mean-fidelity"])
def test_error_of_mitigated_scores(score_as):
    """Against the spread of many repetitions, and the mean against the exact score."""
    name = "quantum-contrastive" if score_as == "mean-fidelity" else "quantum-features"
    extra = {"unitary": "circuit"} if score_as == "mean-fidelity" else {"ansatz": "strongly-entangling", "layers": 1}
    model = pipeline.fit(name, features(100), score_as=score_as, latent=1, epochs=3, **extra)[-1]
    read = 3 if score_as == "mean-fidelity" else 2
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(2**read))
    confusion = np.stack([[[1 - a, a], [b, 1 - b]] for a, b in rng.uniform(0.02, 0.2, (read, 2))])
    seen = p
    for q in range(read):
        seen = np.einsum("abc,bd->adc", seen.reshape(2**q, 2, -1), confusion[q]).reshape(-1)
    np.testing.assert_allclose(mitigation.unfolded(seen[None], confusion)[0], p, atol=1e-12)
    counts = rng.multinomial(4000, seen, size=4000)
    score, error = scoring.scored(model, counts, confusion)
    assert abs(score.std() / error.mean() - 1) < 0.05
    if score_as != "log-fidelity":  # which is not linear
        exact = scoring.measured.scores(model, p[None]).score[0]
        assert abs(score.mean() - exact) < 5 * score.std() / math.sqrt(len(score))


def test_estimate(given, machine, tmp_path):
    """IBM's formula by hand, and a dry run that leaves nothing."""
    found = hardware.dry_run(**given, events=30, chunk=8, mitigation="readout")
    assert (found.jobs, found.executions, found.qubits) == (4 + 2, 3200, 3)
    assert found.rep_delay == machine.default_rep_delay == 250e-6
    assert found.qpu_seconds == pytest.approx(2 * 6 + 3200 * (250e-6 + found.circuit_seconds))
    assert 0.5 < found.success < 1 and found.two_qubit_gates > 0 and "3,200" in str(found) and "6" in str(found)
    assert not (tmp_path / "service/jobs").exists() or not list((tmp_path / "service/jobs").iterdir())
    with pytest.warns(UserWarning, match="a snapshot has no queue"):
        assert "a session is charged" in str(hardware.dry_run(**given, events=30, mode="session"))
    with pytest.warns(UserWarning, match="a snapshot has no clock"):
        assert hardware.dry_run(**given, events=30, options={"rep_delay": 0.001}).rep_delay == 0.001


def test_max_seconds(given, tmp_path):
    with pytest.raises(InputError, match=r"QPU s are estimated, and max_seconds=5: nothing was sent"):
        hardware.submit(**given, out=tmp_path / "run", chunk=8, max_seconds=5)
    assert not (tmp_path / "run").exists()
    hardware.submit(**given, out=tmp_path / "run", chunk=8, max_seconds=11.2)
    given["service"].ends = []
    for name in list((tmp_path / "service/jobs").iterdir())[:1]:
        given["service"].cancel(name.name)
    hardware.fetch(tmp_path / "run", service=given["service"])
    for limit, sent in ((4.0, False), (None, True)):  # four jobs have cost 2 s each; None: the submission's
        with contextlib.nullcontext() if sent else pytest.raises(InputError, match="nothing more was sent"):
            hardware.resume(tmp_path / "run", retry=True, service=given["service"], max_seconds=limit)
    assert hardware.status(tmp_path / "run", given["service"]).counts == {"fetched": 4, "done": 1}


@pytest.mark.parametrize(("shots", "asked", "size"), [(100, None, 1000), (4096, None, 244), (2_000_000, None, 1), (4096, 9, 9)])
def test_chunk_size(shots, asked, size):
    assert cost.chunk_size(shots, asked) == size and size * shots <= cost.MOST_EXECUTIONS


@pytest.mark.parametrize(("shots", "asked"), [(20_000_000, None), (4096, 2442), (4096, 0)])
def test_jobs_beyond_the_services_limit(shots, asked):
    with pytest.raises(InputError, match="10,000,000"):
        cost.chunk_size(shots, asked)


def test_another_plan_is_refused(given, trained, tmp_path):
    out = tmp_path / "run"
    hardware.submit(**given, out=out, chunk=20)
    model = pipeline.fit("quantum-features", features(100), latent=2, ansatz="strongly-entangling", layers=1, epochs=2)
    save(model, tmp_path / "model")
    features(40, 5).save(tmp_path / "events.h5")
    changes = {"shots": 200, "chunk": 10, "backend": "fake_manila", "model": tmp_path / "model", "data": tmp_path / "events.h5",
               "seed": 1, "mode": "job", "events": 20, "options": {"twirl_gates": True}, "mitigation": "readout"}
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    for name, value in changes.items():
        with pytest.raises(InputError, match=rf"holds another submission \({name} .* there, .* asked for"):
            hardware.submit(**{**given, "chunk": 20, name: value}, out=out)
    assert before == {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    assert hardware.submit(**given, out=out, chunk=20).counts == {"queued": 2}


def test_wrong_input(given, trained, tmp_path):
    for changes, words in (({"mitigation": "magic"}, "unknown mitigation 'magic'"), ({"mode": "slow"}, "unknown mode 'slow'"),
                           ({"events": 41}, "expected 1 to 40"), ({"events": 0}, "expected 1 to 40"), ({"shots": 0}, "shots=0"),
                           ({"max_seconds": math.nan}, "max_seconds=nan: expected seconds"),
                           ({"max_seconds": -1}, "max_seconds=-1"),
                           ({"grace": math.nan}, "grace=nan"), ({"seed": -5}, "seed=-5: expected"),
                           ({"options": {"mode": "session"}}, "type  --mode session"),
                           ({"shots": 20_000_000, "chunk": 1}, "shots=20000000: expected at most 10,000,000"),
                           ({"options": {"api_token": "x"}}, "looks like a credential"),
                           ({"options": {"dd": 1}}, "unknown option of a job 'dd'"),
                           ({"model": tmp_path}, "holds no model"), ({"data": tmp_path / "none.h5"}, "does not exist")):
        with pytest.raises(InputError, match=words):
            hardware.submit(**{**given, **changes}, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.tex").touch()
    with pytest.raises(InputError, match="holds no submission: give another folder"):
        hardware.submit(**given, out=tmp_path / "full")
    for command in (hardware.status, hardware.fetch, hardware.resume):
        with pytest.raises(InputError, match="type  qad hardware submit MODEL"):
            command(tmp_path / "full")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="holds no submission"):
        hardware.submit(**given, out=tmp_path / "file")
    with pytest.raises(InputError, match="holds no submission"):
        hardware.status(tmp_path / "file")
    model = pipeline.fit("pca", features(100))
    save(model, tmp_path / "pca")
    with pytest.raises(InputError, match="not read from one circuit"):
        hardware.submit(**{**given, "model": tmp_path / "pca"}, out=tmp_path / "run")


def test_two_processes(given, tmp_path):
    """The second is told, and the folder is as it was; a reader is not in the way."""
    hardware.submit(**given, out=tmp_path / "run")
    with Folder(tmp_path / "run").locked():
        for command in (hardware.resume, hardware.fetch):
            with pytest.raises(InputError, match=r"another process is at work in .*run"):
                command(tmp_path / "run", service=given["service"])
        assert hardware.status(tmp_path / "run", given["service"]).counts == {"done": 1}
    assert hardware.fetch(tmp_path / "run", service=given["service"]).scored == 40


def test_status_changes_nothing(given, tmp_path):
    hardware.submit(**given, out=tmp_path / "run")
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in (tmp_path / "run").rglob("*") if p.is_file()}
    hardware.status(tmp_path / "run", given["service"])
    assert before == {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in (tmp_path / "run").rglob("*") if p.is_file()}


def test_what_is_on_disk(given, trained, tmp_path):
    """The circuit by its hash, angles, calibration, and the model as it was."""
    hardware.submit(**given, out=tmp_path / "run", mitigation="readout")
    record = Folder(tmp_path / "run").plan()
    with open(tmp_path / "run/circuit.qpy", "rb") as file:
        circuits = qpy.load(file)
    assert [compiled.digest(c) for c in circuits] == record["circuit"] and len(circuits) == 3
    assert Folder(tmp_path / "run").read_array("angles.npz", "angles").shape == (40, circuits[0].num_parameters)
    known = json.loads((tmp_path / "run/calibration.json").read_text())
    assert known["machine"] == "fake_manila" and len(known["qubits"]) == record["estimate"]["qubits"]
    assert all(q["t1"] > 0 and 0 < q["readout_error"] < 1 for q in known["qubits"].values())
    events = qad.read(trained / "events.h5")
    np.testing.assert_array_equal(*(pipeline.anomaly_score(qad.load(f / "model"), events) for f in (trained, tmp_path / "run")))


@pytest.mark.parametrize("name", ["circuit.qpy", "angles.npz", "plan.json", "chunks/0000000-0000040.json",
                                  "counts/0000000-0000040.npz"])
def test_damaged_files_are_named(given, tmp_path, name):
    """Cut short, or another circuit: a sentence, and never a wrong score."""
    out = tmp_path / "run"
    hardware.submit(**given, out=out)
    if name.startswith("counts"):
        hardware.fetch(out, service=given["service"])
    (out / name).write_bytes((out / name).read_bytes()[:-20])
    with pytest.raises(InputError, match=name.rpartition("/")[2]):
        hardware.fetch(out, service=given["service"])


@pytest.mark.parametrize(("name", "change"), [
    ("plan.json", {"tag": None}), ("plan.json", {"request": {}}), ("plan.json", {"max_seconds": "x"}),
    ("plan.json", {"estimate": {}}),
    ("chunks/0000000-0000040.json", {"split": "x"}), ("chunks/0000000-0000040.json", {"split": 90}),
    ("chunks/0000000-0000040.json", {"attempts": [{}]})], ids=str)
def test_changed_files_are_named(given, tmp_path, name, change):
    out = tmp_path / "run"
    hardware.submit(**given, out=out)
    (out / name).write_text(json.dumps(json.loads((out / name).read_text()) | change))
    for command in (hardware.status, hardware.fetch, hardware.resume):
        with pytest.raises(InputError, match=rf"{name.rpartition('/')[2]} is damaged"):
            command(out, service=given["service"])


def test_another_circuit_is_not_sent(given, tmp_path):
    out = tmp_path / "run"
    hardware.submit(**given, out=out)
    circuit = compiled.from_qpy((out / "circuit.qpy").read_bytes(), "")[0]
    circuit.x(0)
    (out / "circuit.qpy").write_bytes(compiled.to_qpy([circuit]))
    with pytest.raises(InputError, match="not the circuit that was planned"):
        hardware.fetch(out, service=given["service"])
    with pytest.raises(InputError, match="expected a QPY file of version 13"):
        compiled.from_qpy(b"QISKIT\x09" + bytes(100), "circuit.qpy")


def test_no_token_anywhere(given, trained, tmp_path, monkeypatch, caplog):
    """A token in the environment, in the service and in a fault: not in a file, a message, a traceback or a repr."""
    monkeypatch.setenv("QISKIT_IBM_TOKEN", TOKEN)
    caplog.set_level(0)
    said, service = io.StringIO(), given["service"]
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        service.script = ["ok", "silent", "expired"]
        for attempt in range(3):
            try:
                found = hardware.submit(**given, out=tmp_path / "run", chunk=8, grace=0.01)
                print(found, repr(found), json.dumps(found.as_dict()))
            except ServiceError as error:
                traceback.print_exc()
                print(repr(error), error.__cause__, error.__context__)
            service.expired = attempt == 0
        service.expired = True
        for command in (hardware.status, hardware.fetch):
            with contextlib.suppress(ServiceError):
                print(repr(command(tmp_path / "run", service=service)))
        service.expired = False
        print(hardware.fetch(tmp_path / "run", service=service), repr(hardware.dry_run(**given)))
    files = [p for p in (tmp_path / "run").rglob("*") if p.is_file()]
    assert len(files) > 15 and said.getvalue() and TOKEN == os.environ["QISKIT_IBM_TOKEN"]
    assert not [p for p in files if TOKEN.encode() in p.read_bytes()]
    assert TOKEN not in said.getvalue() + caplog.text


def test_ignored_options_are_named(trained, tmp_path):
    """On a snapshot there is no clock: the user hears of it, in a dry run and when submitting."""
    given = {"model": trained / "model", "data": trained / "events.h5", "backend": "fake_manila",
             "options": {"rep_delay": 0.001}}
    for command in (hardware.dry_run, lambda **g: hardware.submit(**g, out=tmp_path / "run")):
        with pytest.warns(UserWarning, match="rep_delay=0.001 has no effect"):
            command(**given, shots=10, events=2)
    assert "rep_delay" in asdict(cost.Estimate(**Folder(tmp_path / "run").plan()["estimate"]))["ignored"][0]


def test_on_a_snapshot(trained, tmp_path):
    """A real queue on disk: the same seed gives the same scores; a copy of the folder is enough."""
    for name in ("one", "other"):
        hardware.submit(trained / "model", trained / "events.h5", "fake_manila", tmp_path / name, shots=20_000, chunk=16)
        assert hardware.status(tmp_path / name).counts == {"queued": 3}
        os.rename(tmp_path / name, tmp_path / f"{name}-moved")
        assert hardware.fetch(tmp_path / f"{name}-moved").scored == 40
    assert (tmp_path / "one-moved/scores.csv").read_text() == (tmp_path / "other-moved/scores.csv").read_text()
    exact = pipeline.anomaly_score(qad.load(trained / "model"), qad.read(trained / "events.h5"))
    assert np.corrcoef(table(tmp_path / "one-moved")["score"], exact)[0, 1] > 0.9
