"""What to cite: BibTeX of qad, the data, the methods and the software that a study, a model or a detector uses.

Which papers these are is read from the code: every arXiv number in the docstrings of the classes that take part, the
``reference`` of a file's format and of a process card. ``references.bib`` beside this file holds an entry for each, keyed by
its number.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from qad import detector, persistence, registry, representations
from qad.errors import InputError, did_you_mean

BIBLIOGRAPHY = Path(__file__).with_name("references.bib")
NUMBER = re.compile(r"(?<![\d.])(?:\d{4}\.\d{5}|(?<=arXiv:)\d{4}\.\d{4}(?!\d))|(?:hep-ph|quant-ph)/\d{7}")
GROUPS = ("qad", "data", "methods", "software")
#: Software with a paper, by the module that is imported.
SOFTWARE = {"sklearn": "scikit-learn", "torch": "pytorch", "pennylane": "pennylane", "qiskit": "qiskit", "qiskit_aer": "qiskit",
            "zuko": "zuko", "ot": "pot", "awkward": "arXiv:2001.06307"}
SIMULATION = ("arXiv:2203.11601", "arXiv:1111.6097", "arXiv:0802.1189")  # Pythia 8.3, FastJet, anti-kT
ADAM = "arXiv:1412.6980"
#: Where what trains by Adam, and is given no other optimiser, is written.
TRAINED = ("qad.neural", "qad.normalised", "qad.representations.contrastive")
#: Classes that all share: what they are built on says nothing of a method.
SHARED = ("qad.detector", "qad.persistence", "qad.neural", "qad.representations.base")


@dataclass(frozen=True)
class Entry:
    """A BibTeX entry: ``kind`` (article, misc, …), its key, its fields, and its text as it stands in the file."""

    kind: str
    key: str
    fields: dict[str, str]
    text: str


@dataclass
class Citation:
    """An entry, in which group it stands, and for what it is cited."""

    entry: Entry
    group: str
    why: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"key": self.entry.key, "group": self.group, "for": self.why, **self.entry.fields, "bibtex": self.entry.text}


@cache
def bibliography() -> dict[str, Entry]:
    """All entries by key. Raises ValueError for a file that is no BibTeX, or names a key twice."""
    found: dict[str, Entry] = {}
    for block in re.split(r"\n\s*\n", BIBLIOGRAPHY.read_text(encoding="utf-8").strip()):
        if block.startswith("%"):
            continue
        head = re.fullmatch(r"@(\w+)\{([^,\s]+),\n(.*)\n\}", block, re.S)
        fields = dict(re.findall(r"^  (\w+) = \{(.*)\},$", head[3], re.M)) if head else {}
        if head is None or len(fields) != len(head[3].splitlines()) or block.count("{") != block.count("}") or head[2] in found:
            raise ValueError(f"{BIBLIOGRAPHY.name}: no BibTeX entry, or one that was there before: {block[:80]}")
        found[head[2]] = Entry(head[1], head[2], fields, block)
    return found


def numbers(text: str) -> list[str]:
    """Every arXiv number in ``text``, once, in order."""
    return list(dict.fromkeys(NUMBER.findall(text)))


def documentation(thing: Any, chosen: Iterable[str] | None = None) -> str:
    """What the code says of a registered class, ansatz or encoding: docstrings of it, its bases and their modules.

    Of a module's table that holds all of ``chosen``, the rows of these alone.
    """
    if not isinstance(thing, type):
        return "\n".join(getattr(value, "__doc__", None) or "" for value in (thing, *vars(thing).values()) if callable(value))
    texts = [getattr(thing, "reference", "")]
    for base in thing.__mro__:
        if base.__module__ not in (*SHARED, "builtins", "abc") and base.__module__.partition(".")[0] != "sklearn":
            texts += [base.__doc__ or "", *_comments(base.__module__, chosen)]
    return "\n".join(texts)


def _comments(module: str, chosen: Iterable[str] | None = None) -> Iterator[str]:
    """The module's docstring, and what stands above and in its tables."""
    loaded = sys.modules[module]
    yield loaded.__doc__ or ""
    for name, value in vars(loaded).items():
        if name.isupper() and isinstance(value, dict):
            rows = list(chosen) if chosen and set(chosen) <= value.keys() else list(value)
            yield "\n".join(str(value[row]) for row in rows)


class Citations:
    """The papers of one thing, gathered."""

    def __init__(self, data: Path = Path("data")) -> None:
        self._found: dict[str, Citation] = {}
        self._data = data
        #: Files that a study names and that are not there: what they hold is not cited.
        self.missing: list[str] = []
        self.add("qad", "qad", "this program")

    def add(self, key: str, group: str, why: str) -> None:
        """Cite the entry ``key``; one that the bibliography does not have is left out."""
        key = key if key in bibliography() else f"arXiv:{key}"
        if key in bibliography():
            citation = self._found.setdefault(key, Citation(bibliography()[key], group))
            if why not in citation.why:
                citation.why.append(why)

    def text(self, text: str, group: str, why: str) -> None:
        """Cite every arXiv number in ``text``."""
        for number in numbers(text):
            self.add(number, group, why)

    def part(self, group: str, name: str, chosen: Iterable[str] | None = None) -> None:
        """Cite what a registered detector, representation, ansatz, encoding or format stands on; of observables, ``chosen``."""
        try:
            found = registry.find(group, name, installed_only=True)
        except InputError:
            return
        data = group == registry.FORMATS
        self.text(documentation(found, chosen), "data" if data else "methods", name)
        if not data:
            self.software(found)
        if any(base.__module__ in TRAINED for base in getattr(found, "__mro__", ())):
            self.add(ADAM, "methods", "adam")

    def detector(self, name: str, params: dict[str, Any]) -> None:
        """Cite a detector, and the circuit, optimiser and backend that it is given."""
        cls = detector.find(name)
        self.part(registry.DETECTORS, name)
        settings = {k: p.default for k, p in _signature(cls).items()} | params
        for key, group in (("ansatz", registry.ANSATZE), ("encoding", registry.ENCODINGS)):
            if isinstance(settings.get(key), str):
                self.part(group, settings[key])
        if isinstance(settings.get("optimizer"), str):
            module = import_module("qad.quantum.optimizers")
            known = {"adam": ADAM, "natural-gradient": module.NaturalGradient.__doc__, "qbang": module.QBang.__doc__,
                     "momentum-natural-gradient": module.NaturalGradient.__doc__, "qn-spsa": module.QNSPSA.__doc__}
            self.text(known.get(settings["optimizer"]) or "", "methods", settings["optimizer"])
        if cls.family == "quantum":
            self.add("pennylane", "software", "circuits")
        if settings.get("backend") in ("aer", "ibm"):
            self.add("qiskit", "software", f"backend {settings['backend']}")
        if settings.get("mitigation") or (settings.get("backend_options") or {}).get("mitigation"):
            self.text(import_module("qad.quantum.backends.mitigation").__doc__ or "", "methods", "mitigation")

    def software(self, cls: Any) -> None:
        """Cite the packages that the modules of a class import."""
        todo = [b.__module__ for b in getattr(cls, "__mro__", ()) if b.__module__.startswith(("qad.", "classical."))]
        seen: set[str] = set()
        while todo:
            module = todo.pop()
            seen.add(module)
            for value in list(vars(sys.modules[module]).values()):
                name = getattr(value, "__module__", None) or getattr(value, "__name__", None)
                if not isinstance(name, str):
                    continue
                package = name.partition(".")[0]
                if package in SOFTWARE:
                    self.add(SOFTWARE[package], "software", package)
                if re.fullmatch(r"qad\.\w+", name) and name in sys.modules and name not in (*seen, *todo):
                    todo.append(name)  # shared trainers and samplers; what lies deeper belongs to others

    def simulated(self, process: str | None, detector_mode: str = "particle") -> None:
        """Cite the generator, the clustering and the papers of a process."""
        from qad.simulation.cards import PROCESSES

        for key in SIMULATION:
            self.add(key, "data", "simulated samples")
        for name in ("background", process) if process == "background" else (process,):
            card = PROCESSES / f"{name}.cmnd"
            if name and card.is_file():
                self.text("\n".join(line for line in card.read_text(encoding="utf-8").splitlines()
                                    if line.startswith("! reference")), "data", name)
        if detector_mode != "particle":
            self.text("\n".join(import_module(f"qad.simulation.{m}").__doc__ or "" for m in ("eflow", "resolutions")), "data",
                      f"detector {detector_mode}")

    def file(self, path: Path) -> None:
        """Cite where a sample comes from: its own notes, its public format, or the list of data sets by its name."""
        from qad.data.records import places, records
        from qad.data.store import format_of, read

        listed = [record for record in records().values() if any(path.name in (f.name, f.key) for f in record.files)]
        for record in listed:
            self.text(record.paper, "data", record.name)
        path = next((p for p in (path, *(folder / path for folder in (self._data, *places()))) if p.is_file()), path)
        if not path.is_file() and not listed:
            self.missing += [str(path)] * (str(path) not in self.missing)
        elif path.is_file():
            public = format_of(path)
            if public is not None:
                self.part(registry.FORMATS, public.name)
            else:
                self.meta(dict(read(path, 0, 1).meta))

    def meta(self, meta: dict[str, Any]) -> None:
        """Cite what the notes of a sample name."""
        if "pythia" in str(meta.get("generator", "")).lower():
            self.simulated(meta.get("process"), str((meta.get("response") or {}).get("mode", "particle"))
                           if isinstance(meta.get("response"), dict) else "particle")
        self.text(" ".join(str(meta.get(k, "")) for k in ("format", "reference", "source")), "data",
                  str(meta.get("format", "sample")))

    def __iter__(self) -> Iterator[Citation]:
        """By group, then in the order they were met."""
        return iter(sorted(self._found.values(), key=lambda c: GROUPS.index(c.group)))


def _signature(cls: type) -> dict[str, Any]:
    import inspect

    return dict(inspect.signature(cls).parameters)


def cite(what: str | Path, data: str | Path = "data") -> Citations:
    """What to cite for ``what``, in order: iterate over it, or hand it to :func:`as_bibtex`.

    what   a study (its name, a YAML file, a folder of its runs), a folder with a saved model, a sample, or the name of a
           detector, representation, ansatz, encoding, format or data set
    data   folder where files that a study names are looked for; those that are nowhere stand in ``missing``

    Raises :class:`InputError` if it is none of these.
    """
    found, path, name = Citations(Path(data)), Path(what), str(what)
    from qad.benchmark.study import studies

    if path.suffix in (".yaml", ".yml") or name in studies():
        _study(found, name)
    elif (path / "study.json").is_file():
        _runs(found, path)
    elif (path / "model.json").is_file():
        _model(found, path)
    elif path.is_file():
        found.file(path)
    else:
        _named(found, name)
    return found


def _study(found: Citations, name: str) -> None:
    from qad.benchmark import load_study

    study = load_study(name)
    for sample in study.samples.values():
        for part in sample.mix or [sample]:
            for file in [part.file] if isinstance(part.file, Path) else part.file or []:
                found.file(file)
            if part.simulate:
                found.simulated(part.process, str(part.response.get("mode", "particle")))
    for chain in study.representations.values():
        for step in (*chain.steps, *chain.tabular):
            _representation(found, step.use, step.params)
    for spec in study.detectors:
        found.detector(spec.use, spec.params)


def _runs(found: Citations, root: Path) -> None:
    from qad.benchmark.runs import read_study_record

    record = read_study_record(root)
    for sample in record["samples"].values():
        found.meta(sample["meta"])
        for file in str(sample.get("file", "")).split(", "):
            found.file(Path(file))
    for chain in record["study"]["representations"].values():
        for step in (*chain["steps"], *chain.get("tabular", [])):
            _representation(found, step["use"], step)
    for spec in record["study"]["detectors"]:
        found.detector(spec["use"], spec["params"])


def _model(found: Citations, folder: Path) -> None:
    notes = persistence.load_notes(folder)
    for step in notes["steps"]:
        if step["group"] == registry.DETECTORS:
            found.detector(step["name"], step["params"])
        elif step["group"] == registry.REPRESENTATIONS:
            _representation(found, step["name"], step["params"])
    if file := notes.get("trained_on", {}).get("file"):
        found.file(Path(file))


def _representation(found: Citations, name: str, params: dict[str, Any]) -> None:
    try:
        chosen = params.get("features") or _signature(registry.find(registry.REPRESENTATIONS, name))["features"].default
    except (InputError, KeyError):
        chosen = None
    listed = isinstance(chosen, (list, tuple)) and all(isinstance(row, str) for row in chosen)
    found.part(registry.REPRESENTATIONS, name, chosen if listed else None)


def _named(found: Citations, name: str) -> None:
    from qad.benchmark.study import studies
    from qad.data.records import records

    groups = [g for g in (registry.DETECTORS, registry.REPRESENTATIONS, registry.ANSATZE, registry.ENCODINGS, registry.FORMATS)
              if name in registry.names(g)]
    if registry.DETECTORS in groups:
        found.detector(name, {})
    for group in groups:
        found.part(group, name)
    if name in records():
        found.text(records()[name].paper, "data", name)
    if not groups and name not in records() and (Path(name).suffix or Path(name).name != name):
        raise InputError(f"{name} does not exist; give a file or a folder that is there, or the name of a study or detector, "
                         "as in  qad cite quick")
    if not groups and name not in records():
        known = [*studies(), *detector.names(), *representations.names(), *records()]
        raise InputError(did_you_mean(name, known, "study, detector, representation or data set")
                         + "; or give a YAML file, a folder of runs or of a model, or a sample")


def as_bibtex(citations: Iterable[Citation]) -> str:
    """The entries, each group under a comment that says what it is cited for."""
    lines, group = [], ""
    for citation in citations:
        if citation.group != group:
            group = citation.group
            lines.append(f"% {group}")
        lines.append(f"% {', '.join(citation.why)}\n{citation.entry.text}\n")
    return "\n".join(lines)


def as_json(citations: Iterable[Citation]) -> str:
    """The same as JSON."""
    return json.dumps([citation.as_dict() for citation in citations])
