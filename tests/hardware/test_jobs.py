"""Each event is run once, whatever the service does."""

import contextlib
import json
import shutil
import warnings

import numpy as np
import pytest

from qad import hardware
from qad.errors import InputError
from qad.hardware.folder import Folder
from qad.quantum.backends.service import JobState, ServiceError, UnreachableError
from tests.hardware.double import Double

SIZE = {"shots": 100, "chunk": 8}
FAST = {"grace": 0.05}


@pytest.fixture
def go(trained, tmp_path, double):
    """Submit to the double; ``service=`` for another."""
    def submit(service=double, out=tmp_path / "run", **options):
        return hardware.submit(trained / "model", trained / "events.h5", "double", out, service=service, **FAST, **SIZE,
                               **options)

    return submit


def once(service, out):
    """Every event ran exactly once, every tag has one job."""
    runs, tags = service.executions(Folder(out).read_array("angles.npz", "angles"))
    return (runs == 1).all() and set(tags.values()) == {1}


@pytest.fixture(scope="module")
def undisturbed(trained, tmp_path_factory, machine):
    """scores.csv of a run that nothing happened to."""
    tmp_path = tmp_path_factory.mktemp("undisturbed")
    service = Double(tmp_path / "calm", machine)
    hardware.submit(trained / "model", trained / "events.h5", "double", tmp_path / "peace", service=service, **SIZE)
    hardware.fetch(tmp_path / "peace", service=service)
    return (tmp_path / "peace/scores.csv").read_text()


def test_from_submission_to_scores(go, double, tmp_path, undisturbed):
    found = go()
    assert found.counts == {"queued": 5} and found.scored == 0 and "qad hardware fetch" in found.next
    assert hardware.status(tmp_path / "run", double).counts == {"done": 5}
    found = hardware.fetch(tmp_path / "run", service=double)
    assert found.counts == {"fetched": 5} and found.scored == 40 and found.qpu_seconds == 10 and "complete" in found.next
    assert (tmp_path / "run/scores.csv").read_text() == undisturbed
    assert once(double, tmp_path / "run")


def test_fetch_again_asks_nothing(go, double, tmp_path):
    go()
    hardware.fetch(tmp_path / "run", service=double)
    double.asked, double.down = 0, True
    assert hardware.fetch(tmp_path / "run", service=double).scored == 40 and double.asked == 0
    assert go().counts == {"fetched": 5} and double.asked == 0


def test_scores_of_what_is_done(go, double, tmp_path, undisturbed):
    double.script = ["ok", "ok", "expired"]
    with pytest.raises(ServiceError, match=r"expired.* qad hardware submit -o .*run"):
        go()
    found = hardware.fetch(tmp_path / "run", service=double)
    assert found.scored == 16 and found.counts == {"fetched": 2, "not sent": 3} and "submit -o" in found.next
    assert (tmp_path / "run/scores.csv").read_text() == "".join(undisturbed.splitlines(True)[:17])
    assert hardware.resume(tmp_path / "run", service=double).counts == {"fetched": 2, "queued": 3}
    hardware.fetch(tmp_path / "run", service=double)
    assert (tmp_path / "run/scores.csv").read_text() == undisturbed and once(double, tmp_path / "run")


@pytest.mark.parametrize("script", [["silent"], ["lost"], ["lost", "silent"], ["ok", "silent", "lost", "lost", "ok"]], ids=str)
def test_time_outs(go, machine, tmp_path, script, undisturbed):
    """No answer: the service may have taken the job or not, and its list lags."""
    service = Double(tmp_path / "lagging", machine, lag=0.04, script=script)
    assert go(service).counts == {"queued": 5}
    hardware.fetch(tmp_path / "run", service=service)
    assert once(service, tmp_path / "run") and (tmp_path / "run/scores.csv").read_text() == undisturbed


def test_that_test_can_fail(go, machine, tmp_path):
    """Asked too early, a list that lags does not know the job, which is then sent twice."""
    service = Double(tmp_path / "lagging", machine, lag=5, script=["silent"])
    go(service)
    assert not once(service, tmp_path / "run")


def test_no_answer_at_all(go, machine, tmp_path, undisturbed):
    service = Double(tmp_path / "away", machine)
    service.down = True
    with pytest.raises(UnreachableError, match="submit -o"):
        go(service)
    assert hardware.status(tmp_path / "run", service).counts == {"not sent": 5}  # nothing was tried
    service.down, service.script = False, ["lost"] * 3
    with pytest.raises(UnreachableError, match="submit -o"):
        go(service)
    found = hardware.status(tmp_path / "run", service)
    assert found.counts == {"in doubt": 1, "not sent": 4} and "submit -o" in found.next
    service.down = False
    go(service)
    service.down = True
    with pytest.raises(UnreachableError, match="0 of 40 events are scored, and the same command goes on"):
        hardware.fetch(tmp_path / "run", service=service)
    found = hardware.status(tmp_path / "run", service)
    assert found.counts == {"queued": 5} and "last known" in found.problem
    service.down = False
    hardware.fetch(tmp_path / "run", service=service)
    assert (tmp_path / "run/scores.csv").read_text() == undisturbed and once(service, tmp_path / "run")


def test_expired_token_keeps_what_is_there(go, double, tmp_path):
    double.script = ["ok", "ok", "expired"]
    with pytest.raises(ServiceError):
        go()
    hardware.fetch(tmp_path / "run", service=double)
    hardware.resume(tmp_path / "run", service=double)
    double.expired = True
    with pytest.raises(ServiceError, match=r"expired.*16 of 40 events are scored in .*scores.csv"):
        hardware.fetch(tmp_path / "run", service=double, wait=True)
    assert len((tmp_path / "run/scores.csv").read_text().splitlines()) == 17


@pytest.mark.parametrize("limits", [{"most": 3}, {"most_run": 3}, {"most": 5, "most_run": 2}], ids=str)
def test_too_large_is_split(go, machine, tmp_path, limits, undisturbed):
    service = Double(tmp_path / "small", machine, **limits)
    go(service)
    found = hardware.fetch(tmp_path / "run", wait=True, poll=0, service=service)
    assert found.scored == 40 and all(row.events <= min(limits.values()) for row in found.rows)
    assert (tmp_path / "run/scores.csv").read_text() == undisturbed and once(service, tmp_path / "run")


def test_one_event_too_large(go, machine, tmp_path):
    with pytest.raises(InputError, match=r"event 0 alone, with 100 shots, is too large .*fewer --shots"):
        go(Double(tmp_path / "nothing", machine, most=0))
    with pytest.raises(InputError, match="event 0 alone"):
        service = Double(tmp_path / "little", machine, most_run=0)
        go(service, out=tmp_path / "other")
        hardware.fetch(tmp_path / "other", wait=True, poll=0, service=service)


def test_failed_and_cancelled_jobs_wait_for_retry(go, machine, tmp_path, undisturbed):
    service = Double(tmp_path / "moody", machine, ends=["failed", "done", "cancelled"])
    go(service)
    found = hardware.fetch(tmp_path / "run", wait=True, poll=0, service=service)
    assert found.counts == {"failed": 1, "fetched": 3, "cancelled": 1} and "--retry" in found.next
    assert "the machine was being calibrated" in str(found) and "cancelled by an operator" in str(found)
    assert go(service).counts == found.counts  # without --retry nothing is sent
    assert go(service, retry=True).counts == {"queued": 2, "fetched": 3}
    found = hardware.fetch(tmp_path / "run", service=service)
    assert found.scored == 40 and found.qpu_seconds == 1 + 5 * 2
    assert (tmp_path / "run/scores.csv").read_text() == undisturbed and once(service, tmp_path / "run")


def test_retry_sees_what_failed_since(go, machine, tmp_path):
    service = Double(tmp_path / "moody", machine, ends=["failed"])
    go(service)
    assert go(service, retry=True).counts == {"queued": 1, "done": 4}
    assert hardware.fetch(tmp_path / "run", service=service).scored == 40


def test_a_job_in_the_queue_is_not_sent_again(go, machine, tmp_path):
    service = Double(tmp_path / "slow", machine, delay=3600)
    go(service)
    assert go(service, retry=True).counts == {"queued": 5}
    assert hardware.fetch(tmp_path / "run", service=service).scored == 0
    assert once(service, tmp_path / "run") and not (tmp_path / "run/scores.csv").exists()


def test_wait_through_faults(go, machine, tmp_path, undisturbed):
    service = Double(tmp_path / "flaky", machine, delay=0.2, trouble=0.3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(50):
            try:
                go(service)
                break
            except UnreachableError:
                pass
        found = hardware.fetch(tmp_path / "run", wait=True, poll=0.01, service=service)
    assert found.scored == 40 and once(service, tmp_path / "run")
    assert (tmp_path / "run/scores.csv").read_text() == undisturbed


def test_on_another_computer(go, double, tmp_path, undisturbed):
    """A copy of the folder is enough: the model and the data are gone."""
    go()
    shutil.copytree(tmp_path / "run", tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "run")
    assert hardware.fetch(tmp_path / "elsewhere", service=double).scored == 40
    assert (tmp_path / "elsewhere/scores.csv").read_text() == undisturbed
    for file in (tmp_path / "elsewhere").rglob("*.json"):
        if file.parent.name != "model":  # which notes where it was trained
            assert str(tmp_path) not in file.read_text()


def test_a_wrong_result_is_not_used(go, double, tmp_path, monkeypatch):
    go()
    monkeypatch.setattr(double, "counts", lambda name: np.ones((7, 4), int))
    with pytest.raises(ServiceError, match=r"counts of shape \(7, 4\); expected \(8, 4\)"):
        hardware.fetch(tmp_path / "run", service=double)
    monkeypatch.undo()
    assert hardware.fetch(tmp_path / "run", service=double).scored == 40


def test_the_intent_is_on_disk_before_the_service_hears_of_it(go, double, tmp_path, monkeypatch):
    seen, submit = [], double.submit

    def watched(circuit, angles, shots, tag):
        notes = [json.loads(p.read_text())["attempts"][-1] for p in (tmp_path / "run/chunks").iterdir()]
        seen.append([n for n in notes if n["tag"] == tag and n["state"] == "intended" and n["job"] is None])
        return submit(circuit, angles, shots, tag)

    monkeypatch.setattr(double, "submit", watched)
    go()
    assert len(seen) == 5 and all(len(s) == 1 for s in seen)


def test_copies_that_go_on_send_nothing_twice(go, machine, tmp_path, undisturbed):
    """Fetched on two computers, with halves to send; and resumed on two, with chunks to send."""
    service = Double(tmp_path / "small", machine, most_run=4)
    go(service)
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    for out in ("run", "copy"):
        hardware.fetch(tmp_path / out, wait=True, poll=0, service=service)
        assert (tmp_path / out / "scores.csv").read_text() == undisturbed
    assert once(service, tmp_path / "run")
    service = Double(tmp_path / "expiring", machine, script=["ok", "ok", "expired"])
    with pytest.raises(ServiceError):
        go(service, out=tmp_path / "cut")
    shutil.copytree(tmp_path / "cut", tmp_path / "cut-copy")
    for out in ("cut", "cut-copy"):
        assert hardware.resume(tmp_path / out, service=service).counts["queued"] >= 3
    assert once(service, tmp_path / "cut")


@pytest.mark.parametrize("wait", [False, True])
@pytest.mark.parametrize("fault", [ServiceError, UnreachableError])
def test_broken_results_hide_no_good_ones(go, double, tmp_path, monkeypatch, wait, fault):
    """Three in a row are gone; the two behind them come."""
    if wait and fault is UnreachableError:
        return  # it may answer one day
    go()
    counts = double.counts

    def broken(name):
        if int(double._job(name)["tag"].split("-")[2]) < 24:
            raise fault(f"job {name} is not found")
        return counts(name)

    monkeypatch.setattr(double, "counts", broken)
    with pytest.raises(fault, match="not found; 16 of 40 events are scored"):
        hardware.fetch(tmp_path / "run", wait=wait, poll=0, service=double)
    assert Folder(tmp_path / "run").scored() == 16


def test_a_service_that_says_no_is_left_alone(go, double, tmp_path):
    go()
    double.expired, double.asked = True, 0
    with pytest.raises(ServiceError, match="expired"):
        hardware.fetch(tmp_path / "run", wait=True, service=double)
    assert double.asked == 4  # three jobs, and whether it answers at all


def test_charges_count_in_fetch(go, double, tmp_path, monkeypatch):
    """Two jobs were charged 100 s each and are too large: their halves are not sent, the others come."""
    state = double.state

    def dear(name):
        large = int(double._job(name)["tag"].split("-")[2]) < 16
        return JobState("failed", "it ran too long", too_large=True, qpu_seconds=100.0) if large else state(name)

    monkeypatch.setattr(double, "state", dear)
    go(max_seconds=60)
    with pytest.raises(InputError, match=r"1\d\d QPU s are spent.*max_seconds=60.*24 of 40 events"):
        hardware.fetch(tmp_path / "run", service=double)
    assert len(double._all()) == 5


def test_every_half_counts(go, machine, tmp_path):
    """Halves that are refused and halved again, each within the limit, and together above it."""
    service = Double(tmp_path / "small", machine, most=2)
    with pytest.raises(InputError, match="nothing more was sent"):
        go(service, max_seconds=12)  # five jobs are estimated; of two events each it takes twenty
    assert len(service._all()) == 5


class Sessions(Double):
    """With a session, that is paid for until it is closed."""

    opened, open_now, note = 0, False, None

    def open(self):
        if not self.open_now:
            self.opened, self.open_now = self.opened + 1, True
            self.session_id = f"session{self.opened}"
        return self.session_id

    def submit(self, *args):
        assert json.loads(self.note.read_text()) == {"id": self.session_id, "closed": False}
        return super().submit(*args)

    def close(self):
        self.open_now = False


@pytest.mark.parametrize("script", [[], ["expired"], ["ok", "lost", "lost", "lost"]], ids=str)
def test_sessions_are_noted_and_closed(go, machine, tmp_path, script):
    service = Sessions(tmp_path / "paid", machine, most_run=4, script=script)
    service.note = tmp_path / "run/session.json"
    with contextlib.suppress(ServiceError):
        go(service)
    assert service.opened == 1 and not service.open_now
    assert json.loads(service.note.read_text()) == {"id": "session1", "closed": True}
    hardware.resume(tmp_path / "run", grace=0.05, service=service)
    hardware.fetch(tmp_path / "run", wait=True, poll=0, service=service)  # sends halves
    assert not service.open_now and service.opened > 1 and json.loads(service.note.read_text())["closed"]


def test_a_session_that_a_kill_left_open_is_closed_by_fetch(go, machine, tmp_path, monkeypatch):
    service = Sessions(tmp_path / "paid", machine)
    service.note = tmp_path / "run/session.json"
    with monkeypatch.context() as patched:
        patched.setattr("qad.hardware.jobs.Jobs.close", lambda self: None)
        go(service)
    assert service.open_now
    hardware.fetch(tmp_path / "run", service=service)
    assert not service.open_now and service.opened == 1 and json.loads(service.note.read_text())["closed"]


@pytest.mark.parametrize(("lags", "asked", "least", "most"), [(True, 0.0, 0.2, 0.4), (True, 3600.0, 0.2, 0.4),
                                                              (False, 0.0, 0.0, 0.0)])
def test_grace(go, double, tmp_path, monkeypatch, lags, asked, least, most):
    """So long a job in doubt is waited for: by this clock, or one that is an hour ahead; not where no list lags."""
    double.script = ["expired"]
    with pytest.raises(ServiceError):
        go()
    file = next((tmp_path / "run/chunks").iterdir())
    known, slept = json.loads(file.read_text()), []
    double.lags, now = lags, 1e9
    known["attempts"][-1] |= {"state": "intended", "intended": now, "asked": now + asked}
    file.write_text(json.dumps(known))
    monkeypatch.setattr("qad.hardware.jobs.time.time", lambda: now + sum(slept))
    monkeypatch.setattr("qad.hardware.jobs.time.sleep", slept.append)
    hardware.resume(tmp_path / "run", grace=0.3, service=double)
    assert least <= sum(slept) <= most
