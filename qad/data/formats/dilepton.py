"""The di-lepton events of arXiv:2112.04958 as their authors publish them: a CSV table, one event a line.

Header ``,lep1pt,lep2pt,theta_ll,b1pt,b2pt,theta_bb,MET,dR_l1,dR_l2``: the number of the event, transverse momenta and missing
transverse energy [GeV], opening angles of the leptons and of the b-jets [rad], distances ΔR. The features are named as those of
:func:`qad.simulate_events` are, so that a study takes either.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np

from qad.data.formats.base import Events, Format, lacks
from qad.data.formats.lines import Lines, first_line, numbers
from qad.data.formats.whole import reading, written
from qad.data.sample import UNKNOWN, Sample
from qad.errors import InputError

#: Column of the file: name and unit of the feature.
COLUMNS = {
    "lep1pt": ("lep1pt", "GeV"), "lep2pt": ("lep2pt", "GeV"), "theta_ll": ("theta_ll", "rad"),
    "b1pt": ("b1pt", "GeV"), "b2pt": ("b2pt", "GeV"), "theta_bb": ("theta_bb", "rad"), "MET": ("met", "GeV"),
    "dR_l1": ("dr_l1", ""), "dR_l2": ("dr_l2", ""),
}
#: Those that may be missing, for the published detectors do not use them.
OPTIONAL = ("dR_l1", "dR_l2")
INDEX = ("", "event")
SOURCE = "di-lepton events in the format of arXiv:2112.04958"
#: No honest line is longer [bytes].
LONGEST = 4096
#: Lines turned into numbers at a time.
BLOCK = 8192


def _names(path: Path) -> list[str]:
    """The columns of the file at ``path``, its first called ``event`` if it has no name. Raises :class:`InputError`."""
    expected = f"expected the header of arXiv:2112.04958's events, {','.join(COLUMNS)}, after a column of event numbers"
    try:
        names = [name.strip() for name in first_line(path, LONGEST).split(",")]
    except UnicodeDecodeError:
        raise InputError(f"{path} is no table of text: {expected}") from None
    if names[0] in INDEX:
        names[0] = "event"
    wanted, found = {*COLUMNS} - {*OPTIONAL}, {*names} - {"event"}
    if not wanted <= found <= {*COLUMNS} or len(names) != len({*names}):
        text = ",".join(names)
        raise InputError(f"{path}: {expected}; got {text if len(text) < 120 else text[:117] + '…'}. A table of your own is "
                         "of the format 'table'")
    return names


def recognises(path: Path) -> bool:
    """Whether the first line of the file at ``path`` is the header of these events."""
    try:
        return bool(_names(path))
    except InputError:
        return False


def _header(path: Path) -> list[str]:
    names = _names(path)
    with reading(path), open(path, "rb") as file:
        file.seek(-1, 2)
        if file.read(1) != b"\n":
            raise InputError(f"{path} ends in the middle of a line: copy it again, or end the last line if it is whole")
    return names


def _table(lines: Lines, start: int, stop: int, width: int, path: Path) -> np.ndarray:
    try:
        return numbers(lines.read(start, stop), width)
    except ValueError as error:  # bytes that are no text as well
        raise InputError(f"{path} is damaged: expected {width} numbers in every line ({error}); copy it again") from None


def _sample(table: np.ndarray, names: list[str], start: int, path: Path, process: str, label: int) -> Sample:
    columns = dict(zip(names, table.T, strict=True))
    for name in COLUMNS:
        if name not in columns:
            continue
        x = columns[name]
        angle = name.startswith("theta")
        wrong = ~((x >= 0) & (x <= np.float32(np.pi))) if angle else ~((x >= 0) & (x < np.finfo(np.float32).max))
        if wrong.any():
            line = int(np.argmax(wrong))
            what = "an angle from 0 to π rad" if angle else "a finite number from 0"
            raise InputError(f"{path}, line {start + line + 2}: {name} = {x[line]:g}; expected {what}: the file is damaged")
    kept = [name for name in COLUMNS if name in columns]
    number = columns.get("event", np.arange(start, start + len(table)))
    if not (np.abs(number) < 2**53).all() or (number != np.round(number)).any() or len(np.unique(number)) < len(number):
        raise InputError(f"{path} is damaged: expected a whole number of its own for each event in the first column")
    return Sample(
        particles=np.zeros((len(table), 0, 4), dtype=np.float32),
        features=np.column_stack([columns[name] for name in kept]),
        feature_names=tuple(COLUMNS[name][0] for name in kept),
        feature_units=tuple(COLUMNS[name][1] for name in kept),
        label=np.full(len(table), label),
        process=process,
        extras={"event": number.astype(np.int64)},
        meta={"source": SOURCE, "file": path.name, "slots": []},
    )


@contextmanager
def _events(path: Path, process: str = "unknown", label: int = UNKNOWN) -> Iterator[Events]:
    names = _header(path)
    with open(path, "rb") as file:
        with reading(path):
            lines = Lines(file, path, LONGEST)
        if not lines.n:
            raise InputError(f"{path} holds no events, only a header; copy it again")

        def read(start: int, stop: int) -> Sample:
            with reading(path):
                # some lines at a time: their text takes ten times the room of their numbers
                parts = [_table(lines, i, min(i + BLOCK, stop), len(names), path) for i in range(start, stop, BLOCK)]
                table = np.concatenate(parts) if parts else np.zeros((0, len(names)))
                return _sample(table, names, start, path, process, label)

        yield Events(lines.n, read)


def read(path: str | Path, process: str = "unknown", label: int = UNKNOWN) -> Sample:
    """The events at ``path`` as a Sample: features with units, no particles, the event's number in ``extras``.

    process, label   what the caller knows; the file does not say

    Raises :class:`InputError` for another header, a line that is not numbers or is cut short, a pT that is not above 0 GeV, an
    angle outside [0, π] rad, two events of one number (among those that are read together).
    """
    with _events(Path(path), process, label) as events:
        return events.read(0, events.n)


class Dilepton(Format):
    """The di-lepton events of arXiv:2112.04958, ``.csv``."""

    name = "dilepton"
    title = SOURCE
    reference = "arXiv:2112.04958"
    suffixes = (".csv",)

    def recognises(self, path: Path) -> bool:
        return recognises(path)

    def open(self, path: Path) -> AbstractContextManager[Events]:
        return _events(path)

    def write(self, path: Path, chunks: Iterable[Sample]) -> None:
        """One line an event, numbers to nine digits (float32 comes back exactly); neither labels nor processes are held."""
        header: list[str] = []
        n, columns = 0, {feature: column for column, (feature, _) in COLUMNS.items()}
        with written(path) as tmp, open(tmp, "w", encoding="ascii", newline="") as file:
            for chunk in chunks:
                for feature, column in columns.items():
                    if feature not in chunk.feature_names and column not in OPTIONAL:
                        raise lacks(self.name, f"the feature '{feature}'; the format holds {', '.join(columns)}")
                mine = [column for feature, column in columns.items() if feature in chunk.feature_names]
                if not header:
                    header = mine
                    file.write(f",{','.join(header)}\n")
                if mine != header:
                    raise lacks(self.name, "the same features in all its events")
                number = chunk.extras.get("event", np.arange(n, n + len(chunk)))
                if len(np.unique(number)) < len(chunk) or number.ndim != 1 or number.dtype.kind not in "iu":
                    raise lacks(self.name, "a whole number of its own for each event (the extra 'event')")
                values = [chunk.feature(COLUMNS[column][0]) for column in header]
                np.savetxt(file, np.column_stack([number, *values]), fmt=["%d"] + ["%.9g"] * len(values), delimiter=",")
                n += len(chunk)
            if not n:
                raise InputError(f"cannot write {path}: no events were given")
