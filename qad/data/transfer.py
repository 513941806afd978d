"""One file over https, taken up where it was cut off (HTTP Range), with an eye on whether it is still the same file."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qad.errors import InputError

BLOCK = 1 << 20
#: No answer of a record's interface is longer [bytes].
LONGEST = 1 << 23
Progress = Callable[[str, int, int | None], None]  # (file, bytes done, bytes in all)


class _Cut(Exception):
    """The connection ended early; what came is kept."""

    def __init__(self, why: object, code: int | None = None) -> None:
        super().__init__(str(why) or type(why).__name__)
        self.code = code


class _Redirects(urllib.request.HTTPRedirectHandler):
    def __init__(self, local: bool) -> None:
        self.local = local

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        _allowed(newurl, self.local)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _allowed(url: str, local: bool) -> None:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "https" and not (local and parts.scheme == "http" and parts.hostname == "127.0.0.1"):
        raise InputError(f"{url} is refused: files are fetched over https only")


class Server:
    """Where files come from, and how patient to be.

    base     https://…, or http://127.0.0.1:… on this computer
    timeout  seconds without an answer until the connection counts as cut
    tries    times in a row that it may be cut with nothing new; ``pause`` seconds between them

    Raises :class:`InputError` for any other base.
    """

    def __init__(self, base: str, timeout: float, tries: int, pause: float) -> None:
        self.base, self.timeout, self.tries, self.pause = base.rstrip("/"), timeout, max(tries, 1), pause
        local = urllib.parse.urlsplit(base).hostname == "127.0.0.1"
        _allowed(base, local)
        # what lies on this computer is asked directly
        self._opener = urllib.request.build_opener(_Redirects(local), *([urllib.request.ProxyHandler({})] if local else []))

    def read(self, path: str) -> bytes:
        """A short answer as a whole."""
        url = self.base + path

        def action() -> bytes:
            with self._open(url, {"Accept": "application/json"}) as answer:
                try:
                    return bytes(answer.read(LONGEST + 1))
                except (OSError, http.client.HTTPException) as error:
                    raise _Cut(error) from None

        body: bytes = self._patiently(url, action, lambda: 0)
        if len(body) > LONGEST:
            raise InputError(f"{url} answers with more than {LONGEST:,} bytes; that is no list of files")
        return body

    def download(self, path: str, part: Path, size: int | None, progress: Progress | None = None) -> None:
        """The file at ``path`` of the server into ``part``, continued where that ends. ``size`` in bytes, where it is known."""
        url = self.base + path
        self._patiently(url, lambda: self._continue(url, part, size, progress),
                        lambda: part.stat().st_size if part.exists() else 0)

    def _open(self, url: str, headers: dict[str, str]) -> Any:
        request = urllib.request.Request(url, headers={"User-Agent": "qad", **headers})
        try:
            return self._opener.open(request, timeout=self.timeout)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416 or error.code >= 500:
                raise _Cut(f"the server answered {error.code}", error.code) from None
            reason = {404: "there is no such file", 403: "access is refused", 410: "it has been withdrawn",
                      429: "the server asks for a pause, try again in some minutes"}.get(error.code, ascii(error.reason)[:100])
            raise InputError(f"{url} cannot be fetched: {reason} ({error.code})") from None
        except urllib.error.URLError as error:
            raise _Cut(error.reason) from None
        except (OSError, http.client.HTTPException) as error:
            raise _Cut(error) from None

    def _patiently(self, url: str, action: Callable[[], Any], kept: Callable[[], int]) -> Any:
        """``action`` until it is through; tries are counted only as long as nothing more arrives."""
        left, before = self.tries, kept()
        while True:
            try:
                return action()
            except _Cut as cut:
                left, before = (self.tries if kept() > before else left) - 1, kept()
                if left <= 0:
                    kept_bytes = f"; {before:,} bytes are kept, the same command goes on from there" if before else \
                        "; is this computer online?"
                    raise InputError(f"{url} was cut off {self.tries} times in a row ({cut}){kept_bytes}") from None
                time.sleep(self.pause)

    def _continue(self, url: str, part: Path, size: int | None, progress: Progress | None) -> None:
        state = part.with_name(f"{part.name}.json")
        have = part.stat().st_size if part.exists() else 0
        seen = _state(state) if have else {}
        whole = size if size is not None else seen.get("size")
        if have and have == whole:
            return
        if whole is not None and have > whole:
            have, seen = 0, {}
        headers = {"Range": f"bytes={have}-"} if have else {}
        if have and seen.get("etag", "").startswith('"'):  # a weak one does not do
            headers["If-Range"] = seen["etag"]
        try:
            answer = self._open(url, headers)
        except _Cut as cut:
            if cut.code == 416:  # what is kept is no beginning of this file
                part.unlink(missing_ok=True)
            raise
        with answer:
            start, total = _range(answer)
            if None not in (size, total) and size != total:
                raise InputError(f"{url} is {total:,} bytes long, expected {size:,}: it is not the file of the record")
            if start not in (0, have) or (start and None not in (total, seen.get("size")) and total != seen["size"]):
                part.unlink(missing_ok=True)
                raise _Cut("it is no longer the file that was begun")
            free = shutil.disk_usage(part.parent).free
            if total is not None and total - start > free:
                raise InputError(f"{part.name.removesuffix('.part')} needs {total - start:,} more bytes and {part.parent} has "
                                 f"{free:,}; make room, or choose another folder")
            self._store(answer, part, state, start, total, progress)

    def _store(self, answer: Any, part: Path, state: Path, start: int, total: int | None, progress: Progress | None) -> None:
        done = start
        try:
            with open(part, "r+b" if start else "wb") as out:
                state.write_text(json.dumps({"etag": answer.headers.get("ETag"), "size": total}), encoding="utf-8")
                out.seek(start)
                while True:
                    try:
                        block = answer.read1(BLOCK)  # what is there, so that nothing is lost if silence follows
                    except (OSError, http.client.HTTPException) as error:
                        raise _Cut(error) from None
                    if not block:
                        break
                    out.write(block)
                    done += len(block)
                    if progress is not None:
                        progress(part.name.removesuffix(".part"), done, total)
                out.flush()
                os.fsync(out.fileno())
        except OSError as error:
            raise InputError(f"writing {part} failed: {error.strerror}; what came is kept, the same command goes on from "
                             "there") from None
        if total is not None and done < total:
            raise _Cut(f"after {done:,} of {total:,} bytes")


def _state(path: Path) -> dict[str, Any]:
    """What an earlier call noted of the file that it began; nothing if that cannot be read."""
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        return {"etag": str(state["etag"] or ""), "size": None if state["size"] is None else int(state["size"])}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def _range(answer: Any) -> tuple[int, int | None]:
    """Where the answer starts, and how long the whole file is (None where the server does not say)."""
    if answer.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
        if match is None:
            raise _Cut("the server does not say which part it sends")
        return int(match[1]), None if match[2] == "*" else int(match[2])
    length = answer.headers.get("Content-Length")
    return 0, int(length) if length is not None and length.isdigit() else None
