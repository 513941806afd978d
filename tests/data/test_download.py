"""Downloads from a server on this computer that cuts, lies, forgets and redirects."""

import hashlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from qad.data import download, formats, read
from qad.data import records as catalogue
from qad.data.download import get, locate, records
from qad.data.records import File, Record
from qad.errors import InputError
from tests.conftest import PROJECT, toy_jets

BODY = np.random.default_rng(1).bytes(3_000_000)
MD5 = hashlib.md5(BODY, usedforsecurity=False).hexdigest()
HALF = len(BODY) // 2


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server
        server.asked.append((self.path, self.headers.get("Range"), self.headers.get("If-Range")))
        if server.status:
            return self.send_error(server.status.pop(0))
        if server.redirect:
            self.send_response(302)
            self.send_header("Location", server.redirect)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        if self.path.startswith("/api/"):
            return self.send(server.api.encode(), len(server.api.encode()))
        start = 0
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range") in (None, server.etag)
        if wanted and server.ranges and same:
            start = int(wanted[1])
            if start >= len(server.body):
                return self.send_error(416)
        body = server.body[start:]
        self.send(body, server.cuts.pop(0) if server.cuts else len(body), start)

    def send(self, body, until, start=0):
        server = self.server
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{start + len(body)}")
        if server.etag:
            self.send_header("ETag", server.etag)
        if server.tells_length:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        for k in range(0, until, 100_000):
            self.wfile.write(body[k : min(k + 100_000, until)])
            self.wfile.flush()
            time.sleep(server.slow)
        if until < len(body):
            time.sleep(server.hangs)
            self.close_connection = True


class Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        pass  # the other side hung up


@pytest.fixture
def server():
    http = Server(("127.0.0.1", 0), Handler)
    http.asked, http.status, http.cuts, http.redirect = [], [], [], None
    http.body, http.api, http.etag, http.ranges, http.tells_length, http.slow, http.hangs = BODY, "", '"one"', True, True, 0, 0
    http.daemon_threads = True
    http.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield http
    http.shutdown()
    http.server_close()


@pytest.fixture
def known(monkeypatch):
    """A data set of one file with a checksum, one of a file without, one that only the record can list."""
    table = {name: Record(name, name, "arXiv:0000.00000", None, None, files) for name, files in {
        "pinned": (File("11", "events.h5", None, MD5, "events"),),
        "open": (File("22", "open.h5", None, None, "events"),),
        "listed": (File("33", None, None, None, "events", "key"),),
        "two": (File("11", "events.h5", None, MD5, "events"), File("22", "open.h5", None, None, "events")),
    }.items()}
    monkeypatch.setattr(catalogue, "_all", lambda: table)


def fetch(server, folder, name="pinned", **settings):
    return get(name, folder, base=server.url, **{"pause": 0, "timeout": 5, **settings})


def api(*files, shape="new"):
    if shape == "old":
        return json.dumps({"files": [{"filename": n, "filesize": s, "checksum": m} for n, s, m in files]})
    listed = [{"key": n, "size": s, "checksum": f"md5:{m}"} for n, s, m in files]
    return json.dumps({"files": {"entries": {f["key"]: f for f in listed}} if shape == "entries" else listed})


def test_a_file_is_fetched_checked_and_then_there(server, known, tmp_path):
    seen = []
    (done,) = fetch(server, tmp_path, progress=lambda *a: seen.append(a))
    assert done.path.read_bytes() == BODY and (done.md5, done.was_there, done.checked) == (MD5, False, True)
    assert seen[-1] == ("events.h5", len(BODY), len(BODY))
    assert server.asked == [("/records/11/files/events.h5?download=1", None, None)]
    (again,) = fetch(server, tmp_path)
    assert again.was_there and again.checked and len(server.asked) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["events.h5"]


@pytest.mark.parametrize("etag", ['"one"', 'W/"weak"', None])
def test_cuts_are_taken_up_where_they_were(server, known, tmp_path, etag):
    server.etag, server.cuts = etag, [HALF, 100_000, 0]
    (done,) = fetch(server, tmp_path, tries=3)
    assert done.path.read_bytes() == BODY
    starts = [int(r.split("=")[1][:-1]) for _, r, _ in server.asked if r]
    assert starts == [HALF, HALF + 100_000, HALF + 100_000]
    assert {i for _, r, i in server.asked if r} == {'"one"' if etag == '"one"' else None}


def test_a_later_call_goes_on(server, known, tmp_path):
    server.cuts = [HALF, 0]
    with pytest.raises(InputError, match=rf"cut off 1 times in a row .*; {HALF:,} bytes are kept, the same command goes on"):
        fetch(server, tmp_path, tries=1)
    assert not (tmp_path / "events.h5").exists() and (tmp_path / "events.h5.part").stat().st_size == HALF
    server.cuts = []
    (done,) = fetch(server, tmp_path)
    assert done.path.read_bytes() == BODY and server.asked[-1][1] == f"bytes={HALF}-"
    assert [p.name for p in tmp_path.iterdir()] == ["events.h5"]


def test_a_server_without_ranges_starts_again(server, known, tmp_path):
    server.cuts, server.ranges = [HALF], False
    assert fetch(server, tmp_path)[0].path.read_bytes() == BODY


def test_a_file_that_changed_meanwhile_starts_again(server, known, tmp_path):
    server.body, server.cuts, server.etag = bytes(len(BODY)), [HALF], '"other"'
    with pytest.raises(InputError):
        fetch(server, tmp_path, tries=1)
    server.body, server.etag = BODY, '"one"'
    assert fetch(server, tmp_path)[0].path.read_bytes() == BODY
    assert server.asked[-1][2] == '"other"'


def test_a_file_of_another_length_is_not_continued(server, known, tmp_path):
    server.body, server.cuts, server.etag = bytes(len(BODY) + 1), [HALF], None
    with pytest.raises(InputError):
        fetch(server, tmp_path, tries=1)
    server.body, seen = BODY, []
    assert fetch(server, tmp_path, progress=lambda *a: seen.append(a))[0].path.read_bytes() == BODY
    assert seen[0][1] < HALF  # not a byte was added to what came of the other


@pytest.mark.parametrize("left", [bytes(HALF), bytes(len(BODY)), bytes(len(BODY) + 5), BODY[:7]])
def test_rubbish_that_an_earlier_call_left(server, known, tmp_path, left):
    (tmp_path / "events.h5.part").write_bytes(left)
    assert fetch(server, tmp_path)[0].path.read_bytes() == BODY


def test_a_server_that_does_not_tell_the_length(server, known, tmp_path):
    server.tells_length = False
    assert fetch(server, tmp_path)[0].path.read_bytes() == BODY


def test_wrong_bytes_never_get_the_name(server, known, tmp_path):
    server.body = BODY[:-1] + bytes([BODY[-1] ^ 1])
    with pytest.raises(InputError, match=f"arrived with MD5 sum [0-9a-f]{{32}}, expected {MD5}: it was removed"):
        fetch(server, tmp_path)
    assert not list(tmp_path.iterdir())


def test_another_file_of_that_name_is_not_touched(server, known, tmp_path):
    (tmp_path / "events.h5").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"is there, but is not the file of record 11.*move it away"):
        fetch(server, tmp_path)
    assert (tmp_path / "events.h5").read_bytes() == b"mine" and not server.asked


@pytest.mark.parametrize("shape", ["new", "old", "entries"])
def test_an_unknown_checksum_is_asked_once_and_pinned(server, known, tmp_path, shape):
    server.api = api(("open.h5", len(BODY), MD5), ("other.h5", 5, "0" * 32), shape=shape)
    (done,) = fetch(server, tmp_path, "open")
    assert done.checked and [a[0] for a in server.asked] == ["/api/records/22", "/records/22/files/open.h5?download=1"]
    lock = json.loads((tmp_path / "qad-lock.json").read_text())
    assert lock["22"]["open.h5"] == {"md5": MD5, "size": len(BODY)}
    # from now on the lock holds, whatever the record says
    done.path.unlink()
    server.api = api(("open.h5", 3, "f" * 32))
    assert fetch(server, tmp_path, "open")[0].path.read_bytes() == BODY
    assert [a[0] for a in server.asked][2:] == ["/records/22/files/open.h5?download=1"]
    server.body = BODY[:-1] + b"?"
    done.path.unlink()
    with pytest.raises(InputError, match="it was removed"):
        fetch(server, tmp_path, "open")


def test_a_record_lists_its_own_files(server, known, tmp_path):
    server.api = api(("a b.h5", len(BODY), MD5), ("c.h5", len(BODY), MD5))
    for _ in range(2):
        assert [f.path.name for f in fetch(server, tmp_path, "listed")] == ["a b.h5", "c.h5"]
    assert [a[0] for a in server.asked].count("/api/records/33") == 1
    assert "/records/33/files/a%20b.h5?download=1" in [a[0] for a in server.asked]


def test_what_is_there_without_a_checksum_stays_offline(server, known, tmp_path):
    (tmp_path / "open.h5").write_bytes(b"copied by hand")
    (there,) = fetch(server, tmp_path, "open")
    assert there.was_there and not there.checked and not server.asked


@pytest.mark.parametrize("answer", ["", "[]", "{}", '{"files": 3}', '{"files": [{"key": "open.h5"}]}', "x" * 100,
                                    api(("../open.h5", 3, MD5)), api(("/etc/x", 3, MD5)), api(("open.h5", 3, "sha")),
                                    api(("open.h5", -3, MD5)), api((".profile", 3, MD5))])
def test_a_record_that_answers_nonsense(server, known, tmp_path, answer):
    server.api = answer
    with pytest.raises(InputError, match="gave no list of files with their MD5 sums"):
        fetch(server, tmp_path, "open")
    assert not list(tmp_path.iterdir())


def test_a_record_without_the_file(server, known, tmp_path):
    server.api = api(("opened.h5", 3, MD5))
    with pytest.raises(InputError, match=r"unknown file of record 22 'open\.h5'; did you mean 'opened\.h5'"):
        fetch(server, tmp_path, "open")


def test_an_endless_answer(server, known, tmp_path, monkeypatch):
    monkeypatch.setattr("qad.data.transfer.LONGEST", 1000)
    server.api = "x" * 2000
    with pytest.raises(InputError, match="more than 1,000 bytes"):
        fetch(server, tmp_path, "open")


def test_a_damaged_lock(server, known, tmp_path):
    for text in ("{", '{"22": {"open.h5": {"md5": "no", "size": 1}}}', "[1]", '{"22": 3}'):
        (tmp_path / "qad-lock.json").write_text(text)
        with pytest.raises(InputError, match=r"qad-lock\.json is damaged"):
            fetch(server, tmp_path, "open")


@pytest.mark.parametrize("status, message", [(404, "there is no such file \\(404\\)"), (403, "access is refused"),
                                             (429, "asks for a pause"), (410, "withdrawn")])
def test_answers_that_end_it(server, known, tmp_path, status, message):
    server.status = [status]
    with pytest.raises(InputError, match=message):
        fetch(server, tmp_path)
    assert len(server.asked) == 1


def test_a_server_in_trouble_is_asked_again(server, known, tmp_path):
    server.status = [503, 500]
    assert fetch(server, tmp_path, tries=3)[0].path.read_bytes() == BODY
    server.status = [503] * 9
    (tmp_path / "events.h5").unlink()
    with pytest.raises(InputError, match="cut off 3 times in a row \\(the server answered 503\\); is this computer online"):
        fetch(server, tmp_path, tries=3)


def test_silence_is_a_cut(server, known, tmp_path):
    server.cuts, server.hangs = [HALF], 30
    assert fetch(server, tmp_path, timeout=0.3)[0].path.read_bytes() == BODY
    assert server.asked[-1][1] == f"bytes={HALF}-"


def test_nobody_there(known, tmp_path):
    with pytest.raises(InputError, match="is this computer online"):
        get("pinned", tmp_path, base="http://127.0.0.1:9", pause=0, tries=2)


@pytest.mark.parametrize("to", ["http://example.org/events.h5", "ftp://example.org/events.h5", "file:///etc/passwd"])
def test_redirects_away_from_https_are_refused(server, known, tmp_path, to):
    server.redirect = to
    with pytest.raises(InputError, match=f"{to} is refused: files are fetched over https only|{to}.* is not allowed"):
        fetch(server, tmp_path)


@pytest.mark.parametrize("base", ["http://zenodo.org", "ftp://zenodo.org", "file:///tmp", "http://127.0.0.1.example.org"])
def test_bases_that_are_refused(known, tmp_path, base):
    with pytest.raises(InputError, match="over https only"):
        get("pinned", tmp_path, base=base)


def test_a_redirect_on_the_way_is_followed(server, known, tmp_path):
    other = Server(("127.0.0.1", 0), Handler)
    for name in ("asked", "status", "cuts", "api", "etag", "ranges", "tells_length", "slow", "hangs", "body"):
        setattr(other, name, getattr(server, name))
    other.redirect = f"{server.url}/elsewhere"
    threading.Thread(target=other.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    server.cuts.append(HALF)
    assert get("pinned", tmp_path, base=f"http://127.0.0.1:{other.server_address[1]}", pause=0)[0].path.read_bytes() == BODY
    assert server.asked[-1] == ("/elsewhere", f"bytes={HALF}-", '"one"')
    other.shutdown()
    other.server_close()


def test_no_room(server, known, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(InputError, match=r"events\.h5 needs 3,000,000 more bytes and .* has 1,000; make room"):
        fetch(server, tmp_path)


CHILD = """
import resource, signal, sys
from qad.data import records
from qad.data.download import get
from qad.data.records import File, Record
from qad.errors import InputError
base, folder, md5, limit = sys.argv[1:]
if int(limit):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
records._all = lambda: {"pinned": Record("pinned", "", "", None, None, (File("11", "events.h5", None, md5, ""),))}
try:
    get("pinned", folder, base=base, pause=0)
except InputError as error:
    print(error)
"""


def child(server, folder, limit=0):
    return subprocess.Popen([sys.executable, "-c", CHILD, server.url, str(folder), MD5, str(limit)], cwd=PROJECT,
                            stdout=subprocess.PIPE, text=True)


def test_a_full_disk_keeps_what_came(server, known, tmp_path):
    said, _ = child(server, tmp_path, 2_000_000).communicate(timeout=60)
    assert re.search(r"writing .*events\.h5\.part failed: File too large; what came is kept", said)
    assert len(said.splitlines()) == 1
    assert fetch(server, tmp_path)[0].path.read_bytes() == BODY
    assert server.asked[-1][1] is not None
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 2_000_000


def test_killed_in_the_middle(server, known, tmp_path):
    server.slow = 0.05
    process = child(server, tmp_path)
    part = tmp_path / "events.h5.part"
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size > 0):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    kept = part.stat().st_size
    assert 0 < kept < len(BODY) and not (tmp_path / "events.h5").exists()
    server.slow = 0
    assert fetch(server, tmp_path)[0].path.read_bytes() == BODY
    assert server.asked[-1][1] == f"bytes={kept}-"


def test_files_are_looked_for_offline(known, tmp_path, monkeypatch):
    monkeypatch.setenv("QAD_DATA", str(tmp_path / "mine"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"events\.h5 is not in .*mine, .*cache/qad, .*; fetch it with  qad data get pinned"):
        locate("pinned")
    order = [tmp_path / "events.h5", tmp_path / "cache/qad/events.h5", tmp_path / "cache/qad/pinned/events.h5",
             tmp_path / "mine/events.h5", tmp_path / "mine/pinned/events.h5"]
    for path in order:  # each comes before those that were there
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        assert locate("pinned").absolute() == path
    assert locate("two/events.h5", tmp_path) == tmp_path / "events.h5"
    with pytest.raises(InputError, match=r"'two' is 2 files: name one, as in  two/events\.h5"):
        locate("two")


def test_the_default_folder(server, known, tmp_path, monkeypatch):
    monkeypatch.setenv("QAD_DATA", str(tmp_path))
    (done,) = fetch(server, None)
    assert done.path == tmp_path / "pinned" / "events.h5" == locate("pinned")


def test_unknown_names():
    for name, message in [("top-taging", "unknown data set 'top-taging'; did you mean 'top-tagging'"),
                          ("jetnet/x.hdf5", r"unknown file of 'jetnet' 'x\.hdf5'")]:
        with pytest.raises(InputError, match=message):
            get(name, "nowhere")


def test_reading_downloads_nothing(tmp_path, monkeypatch):
    def no(*args, **kwargs):
        raise AssertionError("the network was touched")

    monkeypatch.setattr("socket.socket.connect", no)
    toy_jets(5, 1).save(tmp_path / "a.h5")
    assert len(read(tmp_path / "a.h5")) == 5
    with pytest.raises(InputError, match="does not exist"):
        read(tmp_path / "train.h5", format="top-tagging")
    code = "import sys, qad.data, qad.data.store; print([m for m in sys.modules if m in ('http.client', 'qad.data.transfer')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT).stdout.strip() == "[]"


def test_the_list_of_records():
    """Each entry is whole, over https, in a format that exists; published checksums stand as published."""
    table = records()
    assert {"top-tagging", "lhco", "adc2021", "jetclass", "jetnet", "energyflow"} <= set(table)
    for record in table.values():
        assert record.title and re.fullmatch(r"arXiv:\d{4}\.\d{5}", record.paper) and record.files
        assert record.format is None or record.format in formats.names()
        for file in record.files:
            assert file.md5 is None or re.fullmatch(r"[0-9a-f]{32}", file.md5)
            assert file.record.isdigit() and file.holds and file.url.startswith("https://zenodo.org/records/")
        assert len({f.name or f.key for f in record.files}) == len(record.files)
    sums = [f.md5 for r in table.values() for f in r.files if f.md5]
    assert len(sums) == len(set(sums)) == 15
    assert locate.__module__ == "qad.data.records" and download.find("jetclass/JetClass_Pythia_val_5M.tar")[1][0].md5 == \
        "7235ccb577ed85023ea3ab4d5e6160cf"
    assert len((Path(catalogue.__file__).with_name("records.json")).read_bytes()) < 20_000
