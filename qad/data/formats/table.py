"""A table of one's own as CSV: a line of names (``m_jj`` or ``m_jj [GeV]``), then a line of numbers for each event.

Columns called ``label`` (0 background, 1 signal, -1 unknown), ``process`` (text), ``weight`` and ``event`` (a whole number) are
what they say; all others are features. A first column without a name, or called ``index``, is the event's number, as pandas
writes it. Text may stand in quotation marks, and the last line may lack its end.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import chain
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np

from qad.data.formats import dilepton
from qad.data.formats.base import Events, Format, lacks
from qad.data.formats.lines import Lines, first_line, numbers
from qad.data.formats.whole import reading, written
from qad.data.sample import UNKNOWN, Sample, concatenate
from qad.errors import InputError

#: Columns that are no features.
SPOKEN_FOR = ("label", "process", "weight", "event")
#: What a first column of event numbers may be called.
INDEX = ("", "index")
#: No header is longer, and no line than so much and so much more for each column [bytes].
HEADER, LINE, ENTRY = 2**20, 1024, 64
#: Entries turned into numbers at a time.
BLOCK = 2**16
#: Letters in the name of a process.
NAME = 100
LARGEST = float(np.finfo(np.float32).max)


def named(column: str) -> tuple[str, str]:
    """Name and unit of a column: ``"m_jj [GeV]"`` → ``("m_jj", "GeV")``."""
    name, _, unit = column.strip().removesuffix("]").partition("[")
    return name.strip(), unit.strip()


def header(text: str) -> list[tuple[str, str]]:
    """Name and unit of each column in the first line of a table. Raises :class:`InputError`."""
    text = re.sub(r"^#\s*", "", text)  # as np.savetxt writes it
    try:
        columns = [column.strip() for column in next(csv.reader([text], strict=True), [])]
    except csv.Error as error:
        raise InputError(f"its first line is none of names between commas ({error})") from None
    if not columns or columns == [""]:
        raise InputError("it holds no events: expected a line of names, then a line of numbers for each event")
    if all(map(is_number, columns)):
        raise InputError(f"it begins with numbers: expected a first line with the names of its columns, such as  "
                         f"{','.join(f'x{i}' for i in range(1, min(len(columns), 3) + 1))}{',…' * (len(columns) > 3)}")
    for mark, called in ((";", "semicolons"), ("\t", "tabs")):
        if len(columns) == 1 and mark in columns[0]:
            raise InputError(f"its first line has {called} between the names; expected commas")
    found = [named(column) for column in columns]
    if found[0][0] in INDEX:
        found[0] = ("event", "")
    seen: set[str] = set()
    for place, (name, unit) in enumerate(found, 1):
        if not name:
            raise InputError(f"column {place} has no name in its first line; expected one for each column")
        if not f"{name}{unit}".isprintable():
            raise InputError(f"the name of column {place} has letters that cannot be shown")
        if name in seen:
            raise InputError(f"a name stands twice in its header, '{name[:40]}': rename one of the columns")
        seen.add(name)
    if not seen - {*SPOKEN_FOR}:
        raise InputError(f"expected columns of numbers that are features; got only {', '.join(sorted(seen))}")
    return found


def is_number(text: str) -> bool:
    """Whether ``text`` is a finite number as float32, in plain digits."""
    try:
        return text.isascii() and "_" not in text and abs(float(text)) <= LARGEST
    except ValueError:
        return False


class Table:
    """The open file of a table: ``n`` events in ``columns`` (name, unit), any slice of them as named arrays.

    Raises :class:`InputError` for a header that is none, a line that is too long, no events.
    """

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.path = path
        try:
            first = first_line(path, HEADER)
        except UnicodeDecodeError:
            raise InputError(f"{path} cannot be read as a table of text: expected UTF-8 with commas between columns; save it "
                             "anew as CSV (UTF-8)") from None
        if len(file.readline(HEADER)) == HEADER:
            raise InputError(f"{path}: expected a first line of names; it has no end within {HEADER:,} bytes")
        self.columns = header(first)
        self.names = [name for name, _ in self.columns]
        self.size = max(BLOCK // len(self.names), 1)  # of lines at a time
        self.lines = Lines(file, path, LINE + ENTRY * len(self.names), HEADER, min(self.size, 1024), open_end=True)
        self.n = self.lines.n
        if not self.n:
            raise InputError(f"{path} holds no events: expected a line of names, then a line of numbers for each event")

    def blocks(self, start: int, stop: int) -> Iterator[dict[str, np.ndarray]]:
        """Events ``start:stop`` as named arrays ``(k,)``, some at a time; at least once."""
        for begin in range(start, stop, self.size) if stop > start else (start,):
            yield self._columns(begin, min(begin + self.size, stop))

    def _columns(self, start: int, stop: int) -> dict[str, np.ndarray]:
        lines = self.lines.read(start, stop, errors="replace")
        texts: dict[str, int] = {}

        def code(text: str) -> int:
            return texts.setdefault(text.strip(), len(texts))

        place = self.names.index("process") if "process" in self.names else None
        try:
            table = numbers(lines, len(self.names), quote='"', converters={} if place is None else {place: code})
        except ValueError as error:
            self._wrong(lines, start, str(error))
        columns = dict(zip(self.names, table.T, strict=True))
        if not (np.abs(table) <= LARGEST).all() or not all(map(_is_name, texts)):
            self._wrong(lines, start, "expected finite numbers")
        self._check(columns, start)
        if place is not None:
            columns["process"] = np.array([*texts, ""], dtype=np.str_)[columns["process"].astype(np.int64)]
        for name, dtype in (("label", np.int8), ("event", np.int64)):
            if name in columns:
                columns[name] = columns[name].astype(dtype)
        return columns

    def _check(self, columns: dict[str, np.ndarray], start: int) -> None:
        """Raise for labels and numbers of events that are none."""
        for name, expected in (("label", "0 (background), 1 (signal) or -1 (unknown)"), ("event", "a whole number below 2^53")):
            if name in columns:
                x = columns[name]
                good = np.isin(x, (0, 1, UNKNOWN)) if name == "label" else (x == np.round(x)) & (np.abs(x) < 2**53)
                if not good.all():
                    line = int(np.argmin(good))
                    raise InputError(f"{self.path}, line {start + line + 2}: {name} = {x[line]:g}; expected {expected}")

    def _wrong(self, lines: list[str], start: int, said: str) -> NoReturn:
        """Raise with the line in which something else than numbers stands."""
        for number, line in enumerate(lines, start + 2):
            at = f"{self.path}, line {number}"
            if not line:
                raise InputError(f"{at} is empty: expected a number under each of {len(self.names)} names; take it out")
            try:
                entries = next(csv.reader([line], strict=True))
            except csv.Error as error:
                raise InputError(f"{at}: {str(error)[:80]}; expected one event a line, with commas between its "
                                 "numbers") from None
            if len(entries) != len(self.names):
                raise InputError(f"{at}: {len(entries)} entries under {len(self.names)} names")
            for name, entry in zip(self.names, entries, strict=True):
                if name == "process" and not _is_name(entry.strip()):
                    raise InputError(f"{at}: process = {entry[:20]!r}; expected a name of at most {NAME} letters")
                if name != "process" and not is_number(entry):
                    raise InputError(f"{at}: {name[:40]} = {entry[:20]!r}; expected a finite number. Leave such events, or "
                                     "this column, out")
        raise InputError(f"{self.path}, lines {start + 2} to {start + 1 + len(lines)}: {said[:160]}")

    def sample(self, start: int, stop: int) -> Sample:
        """Events ``start:stop``: features with units, no particles, the event's number in ``extras``."""
        return concatenate([self._sample(columns) for columns in self.blocks(start, stop)])

    def _sample(self, columns: dict[str, np.ndarray]) -> Sample:
        features = [(name, unit) for name, unit in self.columns if name not in SPOKEN_FOR]
        table = np.column_stack([columns[name] for name, _ in features])
        return Sample(
            particles=np.zeros((len(table), 0, 4), dtype=np.float32),
            features=table,
            feature_names=tuple(name for name, _ in features),
            feature_units=tuple(unit for _, unit in features),
            label=columns.get("label"),
            process=columns.get("process", "unknown"),
            weight=columns.get("weight"),
            extras={"event": columns["event"]} if "event" in columns else {},
            meta={"source": "table", "file": self.path.name, "slots": []},
        )


def _is_name(process: str) -> bool:
    return 0 < len(process) <= NAME and process.isprintable() and not {'"', "\ufffd"} & {*process}


@contextmanager
def opened(path: Path) -> Iterator[Table]:
    """The table at ``path``. Raises :class:`InputError`."""
    with reading(path):
        try:
            file = open(path, "rb")
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from None
    with file:
        with reading(path):
            table = Table(file, path)
        yield table


def columns_of(path: Path) -> dict[str, np.ndarray]:
    """All columns of the table at ``path``, ``(n,)`` each, named with units (``"m_jj [GeV]"``). Raises :class:`InputError`."""
    with opened(path) as table, reading(path):
        blocks = list(table.blocks(0, table.n))
        return {f"{name} [{unit}]" if unit else name: np.concatenate([block[name] for block in blocks])
                for name, unit in table.columns}


class OwnTable(Format):
    """A table of one's own, ``.csv``: a line of names, then a line of numbers for each event."""

    name = "table"
    title = "a table of one's own: a line of names with units in brackets, a line of numbers for each event"
    reference = "RFC 4180"
    suffixes = (".csv",)

    def recognises(self, path: Path) -> bool:
        return not dilepton.recognises(path)  # any other text: what is wrong with it is told when it is opened

    def open(self, path: Path) -> AbstractContextManager[Events]:
        return _events(path)

    def write(self, path: Path, chunks: Iterable[Sample]) -> None:
        """Features, label, process, weight and the number of the event; to nine digits, so that float32 comes back exactly.

        Particles and other extras have no place. Raises :class:`InputError` without features, for names that a header or an
        entry cannot hold, numbers of events that are not whole.
        """
        first: Sample | None = None
        with written(path) as tmp, open(tmp, "w", encoding="utf-8", newline="") as file:
            for chunk in chunks:
                if first is None:
                    file.write(_first_line(first := chunk))
                if _kind(chunk) != _kind(first):
                    raise lacks(self.name, "the same features in all its events")
                file.writelines(_lines(chunk))
            if first is None or not file.tell():
                raise InputError(f"cannot write {path}: no events were given")


@contextmanager
def _events(path: Path) -> Iterator[Events]:
    if dilepton.recognises(path):
        raise InputError(f"{path} holds {dilepton.SOURCE}: read it as such,  qad data import dilepton {path.name}")
    with opened(path) as table:

        def read(start: int, stop: int) -> Sample:
            with reading(path):
                return table.sample(start, stop)

        yield Events(table.n, read)


def _kind(sample: Sample) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
    return sample.feature_names, sample.feature_units, "event" in sample.extras


def _first_line(sample: Sample) -> str:
    """The header of ``sample``, if reading it gives the same names and units."""
    if not sample.feature_names:
        raise lacks("table", "features: a table has a column for each, and no place for particles")
    features = list(zip(sample.feature_names, sample.feature_units, strict=True))
    more = [(name, "") for name in SPOKEN_FOR if name != "event" or "event" in sample.extras]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([f"{name} [{unit}]" if unit else name for name, unit in features] +
                                                   [name for name, _ in more])
    try:
        whole = header(text.getvalue().rstrip("\n")) == [*features, *more]
    except InputError:
        whole = False
    if not whole:
        raise lacks("table", "names and units of features that a line of names can hold, none of them "
                             f"{', '.join(SPOKEN_FOR)}, with [ or of odd letters; got {str(sample.feature_names)[:200]}")
    return text.getvalue()


def _lines(sample: Sample) -> Iterator[str]:
    """A line for each event of ``sample``."""
    process = {name: f'"{name}"' if "," in name else name for name in {*sample.process.tolist()}}
    if wrong := [name for name in process if not _is_name(name) or name != name.strip()]:
        raise lacks("table", f"names of processes of at most {NAME} letters, without quotation marks; got {wrong[0][:40]!r}")
    form = ",".join(["%.9g"] * sample.features.shape[1]) + ",%d,%s,%.9g"
    columns: list[Iterable[object]] = [sample.label.tolist(), map(process.__getitem__, sample.process.tolist()),
                                       sample.weight.tolist()]
    if "event" in sample.extras:
        number = sample.extras["event"]
        if number.ndim != 1 or number.dtype.kind not in "iu" or (np.abs(number.astype(np.float64)) >= 2**53).any():
            raise lacks("table", "a whole number below 2^53 for each event (the extra 'event')")
        form += ",%d"
        columns.append(number.tolist())
    for features, *rest in zip(sample.features.tolist(), *columns, strict=True):
        yield form % tuple(chain(features, rest)) + "\n"
