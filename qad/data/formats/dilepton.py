"""The di-lepton events of arXiv:2112.04958 as their authors publish them: a CSV table, one event a line.

Header ``,lep1pt,lep2pt,theta_ll,b1pt,b2pt,theta_bb,MET,dR_l1,dR_l2``: the number of the event, transverse momenta and missing
transverse energy [GeV], opening angles of the leptons and of the b-jets [rad], distances ΔR. The features are named as those of
:func:`qad.simulate_events` are, so that a study takes either.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from qad.data.formats.base import Events, Format
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


def _header(path: Path) -> list[str]:
    try:
        with open(path, "rb") as file:
            first = file.readline(LONGEST)
            file.seek(0, 2)
            size = file.tell()
            file.seek(max(size - 1, 0))
            last = file.read(1)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    expected = f"expected the header of arXiv:2112.04958's events, {','.join(COLUMNS)}, after a column of event numbers"
    try:
        names = [name.strip() for name in first.decode("utf-8-sig").split(",")]
    except UnicodeDecodeError:
        raise InputError(f"{path} is no table of text: {expected}") from None
    if names[0] in INDEX:
        names[0] = "event"
    wanted, found = {*COLUMNS} - {*OPTIONAL}, {*names} - {"event"}
    if not wanted <= found <= {*COLUMNS} or len(names) != len({*names}):
        text = ",".join(names)
        raise InputError(f"{path}: {expected}; got {text if len(text) < 120 else text[:117] + '…'}")
    if last != b"\n":
        raise InputError(f"{path} ends in the middle of a line: copy it again, or end the last line if it is whole")
    return names


def read(path: str | Path, process: str = "unknown", label: int = UNKNOWN) -> Sample:
    """The events at ``path`` as a Sample: features with units, no particles, the event's number in ``extras``.

    process, label   what the caller knows; the file does not say

    Raises :class:`InputError` for another header, a line that is not numbers or is cut short, a pT that is not above 0 GeV, an
    angle outside [0, π] rad.
    """
    path = Path(path)
    names = _header(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # no events: said below
            table = np.loadtxt(path, delimiter=",", skiprows=1, comments=None, ndmin=2, encoding="utf-8-sig")
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is damaged: expected {len(names)} numbers in every line ({error}); copy it again") from None
    if not len(table):
        raise InputError(f"{path} holds no events, only a header; copy it again")
    if table.shape[1] != len(names):
        raise InputError(f"{path} is damaged: {len(names)} columns in the header, {table.shape[1]} in the lines; copy it again")
    columns = dict(zip(names, table.T, strict=True))
    for name in COLUMNS:
        if name not in columns:
            continue
        x = columns[name]
        angle = name.startswith("theta")
        wrong = ~((x >= 0) & (x <= np.float32(np.pi))) if angle else ~((x >= 0) & np.isfinite(x))
        if wrong.any():
            line = int(np.argmax(wrong))
            what = "an angle from 0 to π rad" if angle else "a finite number from 0"
            raise InputError(f"{path}, line {line + 2}: {name} = {x[line]:g}; expected {what}: the file is damaged")
    kept = [name for name in COLUMNS if name in columns]
    number = columns.get("event", np.arange(len(table)))
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


class Dilepton(Format):
    """The di-lepton events of arXiv:2112.04958, ``.csv``."""

    name = "dilepton"
    title = SOURCE
    reference = "arXiv:2112.04958"
    suffixes = (".csv",)

    def recognises(self, path: Path) -> bool:
        return True  # the only format of text: a wrong header is told as such

    @contextmanager
    def open(self, path: Path) -> Iterator[Events]:
        sample = read(path)
        yield Events(len(sample), lambda start, stop: sample[start:stop])

    def write(self, path: Path, chunks: Iterable[Sample]) -> None:
        raise NotImplementedError
