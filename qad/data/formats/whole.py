"""Files that appear whole or not at all, and other people's readers that end in one sentence."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from qad.errors import InputError, MissingExtra, WriteError

#: No honest file is compressed a thousandfold: a small file must not ask for all memory.
RATIO, SLACK = 1000, 2**20


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path`` to write to; it is renamed when all is on the disk, and goes if anything fails.

    Raises :class:`WriteError` where the disk is full or the folder cannot be written to.
    """
    tmp = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield tmp
        with open(tmp, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(tmp, path)
    except OSError as error:
        what = error.strerror or error
        raise WriteError(f"cannot write {path}: {what}; nothing that stood there before was touched") from None
    finally:
        with contextlib.suppress(OSError):
            tmp.unlink()


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever a reader raises over the bytes of ``path`` becomes one :class:`InputError` that names the file.

    The libraries that read these files raise dozens of exceptions over damaged bytes; all mean the same to a user. Sizes are
    checked before memory is asked for, so a :class:`MemoryError` stays what it is.
    """
    try:
        with np.errstate(all="ignore"):
            yield
    except InputError as error:
        said = str(error)
        raise (error if str(path) in said else InputError(f"{path}: {said}")) from None
    except (MemoryError, MissingExtra):
        raise
    except Exception as error:
        what = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(f"{path} is damaged: {what}; copy it again") from None


def affordable(path: Path, claimed: int) -> None:
    """Raise :class:`InputError` if the file at ``path`` claims more bytes of events than it can hold."""
    if not 0 <= claimed <= RATIO * os.path.getsize(path) + SLACK:
        raise InputError(f"{path} is damaged: it claims {claimed:,} bytes of events; copy it again")


def as_json(meta: Mapping[str, Any]) -> str:
    """``meta`` as a line of JSON; NumPy's numbers become plain ones."""
    return json.dumps(meta, sort_keys=True, default=lambda value: value.tolist())
