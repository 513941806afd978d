"""The server of a running study: what it answers, and to whom."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest

from qad.errors import InputError
from qad.report import live


@pytest.fixture
def served(tmp_path):
    """A watch of an empty folder and a function that asks its server."""
    watch = live.Watch(tmp_path / "toys")
    with live.server(watch, 0) as http:
        watch.look()
        threading.Thread(target=http.serve_forever, daemon=True).start()

        def ask(path="", host=None):
            address = f"http://127.0.0.1:{http.server_address[1]}/{path}"
            asked = urllib.request.Request(address, headers={"Host": host} if host else {})
            with urllib.request.urlopen(asked) as answer:
                return answer.read().decode()

        yield watch, ask, http.server_address[1]
        http.shutdown()


def test_a_page_for_every_state_of_the_runs(served, finished):
    watch, ask, _ = served
    assert "Waiting for the first run" in ask() and "qad benchmark STUDY" in ask()
    assert f"<p>{watch.root} holds no runs" in ask()  # a path is written as it is
    before = json.loads(ask("state"))
    watch.look()
    assert json.loads(ask("state")) == before  # nothing changed, nothing is made
    shutil.copytree(finished, watch.root)
    (watch.root / "study.json").rename(watch.root / "later.json")
    watch.look()
    assert "Waiting for the first run" in ask()
    (watch.root / "later.json").rename(watch.root / "study.json")
    watch.look()
    state = json.loads(ask("state"))
    assert state["version"] != before["version"] and "complete" in state["said"]
    assert f'data-served="{state["version"]}"' in ask() and "Toy jets" in ask()
    shutil.rmtree(next(watch.root.glob("qcd/*/mahalanobis")))
    watch.look()
    assert json.loads(ask("state"))["said"].startswith("2 models to come")
    notes = json.loads((watch.root / "study.json").read_text())
    (watch.root / "study.json").write_text("{")
    watch.look()
    assert "damaged" in ask()
    (watch.root / "study.json").write_text(json.dumps(notes))


def test_a_failed_model_is_not_to_come(served, finished):
    watch, ask, _ = served
    shutil.copytree(finished, watch.root)
    gone = sorted(watch.root.glob("*/*/mahalanobis/*/"))[:3]
    notes = json.loads((watch.root / "study.json").read_text())
    for folder in gone:
        shutil.rmtree(folder)
        notes["failed"].append({"cell": str(folder.relative_to(watch.root)), "reason": "ValueError: no"})
        (watch.root / "study.json").write_text(json.dumps({**notes, "failed": notes["failed"][:2]}))
    watch.look()
    assert json.loads(ask("state"))["said"] == "1 model to come; 2 failed; this page refreshes by itself"
    (watch.root / "study.json").write_text(json.dumps(notes))
    watch.look()
    assert json.loads(ask("state"))["said"] == "the study has ended; 3 failed; this page follows if it is run again"


def test_folders_that_go_while_they_are_looked_at(finished, monkeypatch):
    scandir, whole = os.scandir, live.stamp(finished)

    def gone(path="."):
        if str(path).endswith("mahalanobis"):
            raise FileNotFoundError(errno.ENOENT, "gone", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", gone)
    assert live.stamp(finished) != whole
    monkeypatch.undo()
    assert live.stamp(finished) == whole


def test_following_goes_on_after_any_error(tmp_path, monkeypatch):
    monkeypatch.setattr(live, "PAUSE", 0.01)
    looks = []

    def stamp(root):
        looks.append(root)
        if len(looks) < 4:
            raise OSError(errno.ESTALE, "stale file handle")
        return "later"

    def until(true):
        end = time.monotonic() + 60
        while not true() and time.monotonic() < end:
            time.sleep(0.01)
        assert true()

    monkeypatch.setattr(live, "stamp", stamp)
    watch = live.Watch(tmp_path)
    watch.start()
    try:
        assert "stale file handle" in watch.state["said"] and "it is tried again" in watch.page
        until(lambda: watch.version == "later" and "stale" not in watch.state["said"])
        before, made = len(looks), watch.page
        monkeypatch.setattr(live, "stamp", lambda root: (looks.append(root), 1 / 0)[0])
        until(lambda: "ZeroDivisionError" in watch.state["said"] and len(looks) > before + 2)
        assert watch.page == made  # the last whole page stays
    finally:
        watch.stop()


def test_nobody_else_is_answered(served):
    _, ask, port = served
    for host in (None, f"localhost:{port}", "localhost", "127.0.0.1"):  # a browser leaves out port 80
        assert "Waiting" in ask("", host)
    for path, host in (("../study.json", None), ("report.html", None), ("", "evil.example:80")):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            ask(path, host)


def test_mistakes_are_one_sentence(served, tmp_path, monkeypatch):
    def in_use(*address):
        raise OSError(errno.EADDRINUSE, "in use")

    watch, _, port = served
    with pytest.raises(InputError, match=rf"port {port} is in use; choose another:  qad report .* --port {port + 1}"):
        live.server(watch, port)
    monkeypatch.setattr(live, "ThreadingHTTPServer", in_use)
    with pytest.raises(InputError, match="--port 65534"):
        live.server(watch, 65535)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file; expected the folder"):
        live.serve(tmp_path / "file")


@pytest.mark.parametrize("as_json", [False, True])
def test_an_interruption_ends_it_with_one_line(tmp_path, as_json):
    command = [sys.executable, "-m", "qad", "report", "--serve", str(tmp_path / "none"), "--port", "0", *["--json"] * as_json]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        said = process.stdout.readline()
        address = json.loads(said)["address"] if as_json else said.split()[0]
        with urllib.request.urlopen(address) as answer:
            assert "Waiting for the first run" in answer.read().decode()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    assert said.strip() == "qad: the server has ended" and process.returncode == 0
