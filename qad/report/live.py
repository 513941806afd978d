"""A report that follows a running study: a server on this computer, whose page asks for a newer one and keeps its state."""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from qad.errors import InputError
from qad.report.environment import environment
from qad.report.page import make

HOST = "127.0.0.1"
#: Seconds between two looks at the runs.
PAUSE = 1.0


def stamp(root: Path) -> str:
    """A short hash that changes with the study's notes and with every run that appears, changes or goes."""
    seen = []
    # glob.glob, other than Path.glob, passes over folders that go while it looks; and over hidden ones
    for name in ("study.json", *sorted(glob.glob("*/*/*/*/run.json", root_dir=root))):
        try:
            state = (root / name).stat()
        except OSError:  # not there yet, or replaced just now
            continue
        seen.append(f"{name} {state.st_mtime_ns} {state.st_size}")
    return hashlib.sha256("\n".join(seen).encode()).hexdigest()[:16]


class Watch:
    """The newest page of the runs in ``root``, made again in the background whenever they change."""

    def __init__(self, root: Path, data: Path | None = None) -> None:
        self.root, self.data = root, data
        self.version, self.page, self.said, self.fault = "", "", "", ""
        self._memory: dict[Any, Any] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def start(self) -> None:
        """Make the first page, then follow."""
        self._try()
        self._thread.start()

    def stop(self) -> None:
        """End following; a page in the making is finished first."""
        self._ended.set()
        self._thread.join(60)

    def _follow(self) -> None:
        pause = PAUSE
        while not self._ended.wait(pause):
            begun = time.perf_counter()
            self._try()
            pause = max(PAUSE, time.perf_counter() - begun)  # half of the time at most goes into pages

    def _try(self) -> None:
        """Look, whatever happens: runs that are being written may fail in any way, and the next look may succeed."""
        try:
            self.look()
            self.fault = ""
        except Exception as error:
            self.fault = f"the newest page could not be made ({type(error).__name__}: {error}); it is tried again"
            if not self.page:
                self.page = self._waiting(self.fault, "")

    def look(self) -> None:
        """Make the page anew if the runs are other than before."""
        version = stamp(self.root)
        if version == self.version:
            return
        try:
            made = make(self.root, self.data, self._memory, served=version)
            page, said = made.page, _progress(made.missing, made.failed)
        except InputError as error:  # nothing is there yet, or nothing that can be shown
            said = str(error)
            page = self._waiting(said, version)
        self.version, self.page, self.said = version, page, said

    def _waiting(self, reason: str, version: str) -> str:
        return environment().get_template("waiting.html").render(root=str(self.root), reason=reason, served=version)

    @property
    def state(self) -> dict[str, str]:
        """What the page asks for: its newest version, and a line on how far the study is."""
        return {"version": self.version, "said": self.fault or self.said}


def _progress(missing: int, failed: int) -> str:
    """``failed`` of the ``missing`` are there no more to come."""
    broken = f"{failed} failed; " if failed else ""
    if missing <= failed:
        ended = "the study has ended" if failed else "the study is complete"
        return f"{ended}; {broken}this page follows if it is run again"
    to_come = missing - failed
    return f"{to_come} model{'s' * (to_come > 1)} to come; {broken}this page refreshes by itself"


def server(watch: Watch, port: int) -> ThreadingHTTPServer:
    """A server of ``watch`` on this computer only; port 0 takes a free one. Raises :class:`InputError` for one in use."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = {"/": (watch.page, "text/html"), "/state": (json.dumps(watch.state), "application/json"),
                     "/favicon.ico": ("", "image/x-icon")}
            host = self.headers.get("Host", "").partition(":")[0]
            found = known.get(self.path) if host in (HOST, "localhost") else None  # no other site may ask through a browser
            body = (found or ("not here", "text/plain"))[0].encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", f"{found[1] if found else 'text/plain'}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            return

    try:
        return ThreadingHTTPServer((HOST, port), Answer)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            other = port + 1 if port < 65535 else port - 1
            raise InputError(f"port {port} is in use; choose another:  qad report {watch.root} --serve --port {other}  "
                             "(0 takes any that is free)") from None
        raise InputError(f"cannot listen on port {port}: {error.strerror}; choose another with --port") from None


def serve(runs: str | Path, port: int = 8765, data: str | Path | None = None,
          ready: Callable[[str], None] = lambda address: None) -> None:
    """Serve the report of the folder ``runs`` until interrupted; the folder may still be empty, or not there yet.

    ready  called with the address once the page can be opened

    Raises :class:`InputError` for a port in use or a ``runs`` that is a file.
    """
    root = Path(runs)
    if root.is_file():
        raise InputError(f"{root} is a file; expected the folder of a study's runs, such as runs/quick")
    watch = Watch(root, None if data is None else Path(data))
    with server(watch, port) as http:
        watch.start()
        ready(f"http://{HOST}:{http.server_address[1]}/")
        try:
            http.serve_forever(poll_interval=0.2)
        finally:
            watch.stop()
