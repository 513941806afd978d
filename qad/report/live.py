"""A report that follows a running study: a server on this computer, whose page asks for a newer one and keeps its state."""

from __future__ import annotations

import errno
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
    for path in (root / "study.json", *sorted(root.glob("*/*/*/*/run.json"))):
        try:
            state = path.stat()
        except OSError:  # not there yet, or replaced just now
            continue
        if not any(part.startswith(".") for part in path.relative_to(root).parts):
            seen.append(f"{path} {state.st_mtime_ns} {state.st_size}")
    return hashlib.sha256("\n".join(seen).encode()).hexdigest()[:16]


class Watch:
    """The newest page of the runs in ``root``, made again in the background whenever they change."""

    def __init__(self, root: Path, data: Path | None = None) -> None:
        self.root, self.data = root, data
        self.version, self.page, self.said = "", "", ""
        self._memory: dict[Any, Any] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def start(self) -> None:
        """Make the first page, then follow."""
        self.look()
        self._thread.start()

    def stop(self) -> None:
        """End following; a page in the making is finished first."""
        self._ended.set()
        self._thread.join(60)

    def _follow(self) -> None:
        pause = PAUSE
        while not self._ended.wait(pause):
            begun = time.perf_counter()
            self.look()
            pause = max(PAUSE, time.perf_counter() - begun)  # half of the time at most goes into pages

    def look(self) -> None:
        """Make the page anew if the runs are other than before."""
        version = stamp(self.root)
        if version == self.version:
            return
        try:
            made = make(self.root, self.data, self._memory, served=version)
            page, said = made.page, _progress(made.missing)
        except InputError as error:  # nothing is there yet, or nothing that can be shown
            said = str(error)
            page = environment().get_template("waiting.html").render(root=str(self.root), reason=said, served=version)
        self.version, self.page, self.said = version, page, said

    @property
    def state(self) -> dict[str, str]:
        """What the page asks for: its newest version, and a line on how far the study is."""
        return {"version": self.version, "said": self.said}


def _progress(missing: int) -> str:
    if not missing:
        return "the study is complete; this page follows if it is run again"
    return f"{missing} model{'s' * (missing > 1)} to come; this page refreshes by itself"


def server(watch: Watch, port: int) -> ThreadingHTTPServer:
    """A server of ``watch`` on this computer only; port 0 takes a free one. Raises :class:`InputError` for one in use."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = {"/": (watch.page, "text/html"), "/state": (json.dumps(watch.state), "application/json"),
                     "/favicon.ico": ("", "image/x-icon")}
            host = self.headers.get("Host", "").rpartition(":")[0]
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
            raise InputError(f"port {port} is in use; choose another:  qad report {watch.root} --serve --port {port + 1}  "
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
