"""To be written."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from qad.data.formats.base import Format
from qad.data.sample import Sample


class EnergyFlow(Format):
    """To be written."""

    name = "energyflow"
    title = "to be written"
    reference = ""
    suffixes = ()

    def recognises(self, path: Path) -> bool:
        return False

    def open(self, path: Path) -> Any:
        raise NotImplementedError

    def write(self, path: Path, chunks: Iterable[Sample]) -> None:
        raise NotImplementedError


