"""The user's IBM account: where it lies, and that nothing of it is ever shown.

Accounts are read by Qiskit Runtime, from its own file or from the environment; here is no way to give a token. Whatever the
vendor's code says, raises or logs passes through :func:`asked` and :func:`hush` and loses its tokens there.
"""

from __future__ import annotations

import json
import logging
import os
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from qad.quantum.backends.service import ServiceError, TooLargeError, UnreachableError

T = TypeVar("T")
VARIABLE = "QISKIT_IBM_TOKEN"
#: What a user types who has no account, or an old one.
SAVE = ("python -c \"from qiskit_ibm_runtime import QiskitRuntimeService as Q; Q.save_account(token='…', instance='…', "
        "set_as_default=True, overwrite=True)\"  with an API key and an instance from https://quantum.cloud.ibm.com")
#: Modules whose log may hold what went over the wire.
LOGGERS = ("qiskit_ibm_runtime", "ibm_cloud_sdk_core", "ibm_platform_services", "requests", "urllib3")
SECRET = re.compile(r"(?i)\b(bearer|apikey|access_token|refresh_token)\b([\"'\s:=]+)[^\s\"'&,;}]+")
SIZE_CODE = re.compile(r"(?i)\bcode[\"\s:]+(1305|5302|6053)\b")
#: Only what smaller jobs mend: sessions, open jobs, usage and costs can be exceeded too.
_JOB = r"(jobs?|circuits?|program|payload|results?|entity|body|input|instructions|executions|parameters)( size)?"
TOO_LARGE = re.compile(rf"(?i)\b{_JOB} (is |are |was )?too (large|big)|\bran (too long|longer)\b|\b{_JOB} (has |have )?exceed|"
                       r"\bexceed\w* (the |its )?(maximum )?(execution time|(job|payload|result) size)")
NOT_SIZE = re.compile(r"(?i)\b(tags?|usage|quota|rate|pending|plan|costs?|sessions?|retries)\b")
CLOSED = re.compile(r"(?i)\b1217\b|\b(session|batch)\b[^.]*\bclosed\b")


def _file() -> Path:
    return Path.home() / ".qiskit" / "qiskit-ibm.json"


def _saved() -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(_file().read_text())
    except (OSError, ValueError):
        return {}
    return {name: a for name, a in found.items() if isinstance(a, dict)} if isinstance(found, dict) else {}


def present() -> str | None:
    """Where an IBM account was found, in words, without asking the network; None if there is none."""
    if os.environ.get(VARIABLE):
        return f"the variable {VARIABLE}"
    return str(_file()) if any(a.get("token") for a in _saved().values()) else None


def tokens() -> set[str]:
    """All that must never be shown: tokens of the environment and of the saved accounts, as they are and as in an address."""
    found = {value for name, value in os.environ.items() if name.startswith("QISKIT_IBM") and "TOKEN" in name}
    found |= {str(a["token"]) for a in _saved().values() if a.get("token")}
    found = {t for t in found if len(t) > 3}
    return found | {quote(t, safe="") for t in found}


def redacted(text: str) -> str:
    """``text`` without tokens."""
    for token in sorted(tokens(), key=len, reverse=True):
        text = text.replace(token, "…")
    return SECRET.sub(r"\1\2…", text)


class _Redact(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redacted(record.getMessage()), ()
        if record.exc_info:
            record.exc_text = redacted(logging.Formatter().formatException(record.exc_info))
        return True


_REDACT = _Redact()


def hush() -> None:
    """Take tokens out of what the vendor's modules log, at any level."""
    for name in [*logging.root.manager.loggerDict]:
        if name.partition(".")[0] in LOGGERS:
            logging.getLogger(name).addFilter(_REDACT)  # a second time changes nothing


def too_large(text: str) -> bool:
    """Whether the service's words mean that a job is too large, or took too long: split it."""
    return bool(SIZE_CODE.search(text) or (TOO_LARGE.search(text) and not NOT_SIZE.search(text)))


def asked(doing: str, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """``function(…)``, the vendor's, with its errors and warnings in our words and without tokens.

    doing   what it is for, the begin of the sentence: "submitting 100 events"

    Raises :class:`ServiceError` and its kinds, never with the vendor's exception in the chain.
    """
    hush()
    problem: ServiceError | None = None
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            problem = error if isinstance(error, ServiceError) else translated(error, doing)
    if problem is not None:
        raise problem  # outside of the handler: no context that a traceback could show
    for warning in said:
        warnings.warn(redacted(str(warning.message)), warning.category, stacklevel=2)
    return result


def translated(error: BaseException, doing: str) -> ServiceError:
    """One of our errors for one of the vendor's."""
    from requests.exceptions import RequestException

    chain = list(_chain(error))
    kinds = {kind.__name__ for e in chain for kind in type(e).__mro__}
    status = _status(chain)
    text = redacted(_plain(str(error), status)) or type(error).__name__
    if status == 413 or (too_large(text) and status < 500 and status not in (401, 403, 408, 429)):
        return TooLargeError(f"{doing}: too large for IBM Quantum ({text}); take fewer events a job, or fewer shots")
    if kinds & {"AccountNotFoundError"}:
        return ServiceError(f"{doing}: no IBM account is saved or in {VARIABLE}; type once  {SAVE}")
    if status in (401, 403) or "IBMNotAuthorizedError" in kinds:
        return ServiceError(f"{doing}: IBM Quantum refuses the account: its API key has expired, or its plan does not allow "
                            f"this ({text}); for a new key type  {SAVE}")
    if status >= 500 or status in (408, 429) or (status < 0 and any(isinstance(e, RequestException) for e in chain)) \
            or "maintenance" in text:
        return UnreachableError(f"{doing}: no answer from IBM Quantum ({text}); ask again later")
    if kinds & {"IBMAccountError", "AccountsError", "InvalidAccountError"}:
        return ServiceError(f"{doing}: the IBM account cannot be used ({text}); type  {SAVE}")
    return ServiceError(f"{doing}: IBM Quantum says no ({text})")


def _plain(text: str, status: int) -> str:
    """What the service says, out of the address and the JSON around it."""
    said, code = re.search(r'"message"\s*:\s*"([^"]+)"', text), re.search(r'"code"\s*:\s*"?(\w+)', text)
    if said is not None:
        text = said[1] + (f", code {code[1]}" if code else "") + (f", HTTP status {status}" if status > 0 else "")
    return " ".join(text.strip("'\"").split()).rstrip(". ")[:600]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _status(chain: list[BaseException]) -> int:
    """The HTTP status of the first of ``chain`` that has one, else -1."""
    for error in chain:
        for value in (vars(error).get("status_code"), getattr(getattr(error, "response", None), "status_code", None)):
            if isinstance(value, int) and value > 0:
                return value
        if found := re.search(r"\b([45]\d\d) (?:Client|Server) Error", str(error)):
            return int(found[1])
    return -1
