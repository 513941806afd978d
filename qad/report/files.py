"""Files that a reader names: written to a temporary name and renamed; what goes wrong is one sentence."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qad.errors import InputError
from qad.persistence import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def check_folder(out: Path) -> None:
    """Raise :class:`InputError` if the folder of ``out`` is not there: before minutes are spent."""
    if not out.parent.is_dir():
        raise InputError(f"cannot write {out}: the folder {out.parent} is not there; make it, or give another name")


def write_file(out: Path, content: str | bytes) -> Path:
    """Write ``content`` to ``out``; returns it. Raises :class:`InputError` if that cannot be."""
    check_folder(out)
    try:
        atomic_write(out, content)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror}") from None
    return out


def write_picture(figure: Figure, out: Path, **options: Any) -> Path:
    """Write ``figure`` in the format that the suffix of ``out`` names; ``options`` of savefig. Raises :class:`InputError`."""
    drawn = BytesIO()
    figure.savefig(drawn, format=out.suffix.removeprefix("."), **options)
    return write_file(out, drawn.getvalue())
