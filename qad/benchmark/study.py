"""A study: samples × representations × detectors × seeds, one YAML file."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from qad import detector, representations
from qad.data import systematics
from qad.errors import InputError, did_you_mean

SHIPPED = Path(__file__).parent / "studies"
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SampleSpec(_Strict):
    """Where the events of one process come from: simulated (``n``, ``seed``, ``options``) or read from a ``file``.

    ``selection`` has cuts of the simulation in the place of the usual ones, ``response`` its detector (``mode``, ``card``,
    ``pile_up``). ``object: j1`` takes one jet of each event, as an ordinary sample of jets. Events with weights are refused,
    unless ``weights: ignore`` takes them as they were simulated, or ``weights: resample`` draws as many events with
    replacement, as often as their weights say: an event drawn twice counts as one where errors are worked out.
    ``mix`` has several such specifications, whose events together are the sample, a background of known classes for instance.
    ``file`` (or several: a list) is looked for as it stands and in the folder of data; ``train`` and ``test`` take the place of
    the split's sizes. ``label``: only background (0) or signal (1) of a file that knows.
    ``cuts``: ``{feature: [low, high]}`` keeps the events with low <= feature < high, ``null`` being no bound.
    """

    simulate: Literal["jets", "events", "level1", "dijets"] | None = None
    process: str | None = None
    n: int = 0
    seed: int = 1
    options: dict[str, float] = {}
    object: str | None = None
    weights: Literal["refuse", "ignore", "resample"] = "refuse"
    selection: dict[str, Any] = {}
    response: dict[str, Any] = {}
    file: Path | Annotated[list[Path], Field(min_length=1)] | None = None
    label: Literal[0, 1] | None = None
    cuts: dict[str, tuple[float | None, float | None]] = {}
    mix: Annotated[list[SampleSpec], Field(min_length=2)] | None = None
    train: Annotated[int, Field(ge=2)] | None = None
    test: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> SampleSpec:
        if [self.file, self.simulate, self.mix].count(None) != 2:
            raise ValueError("a sample needs either 'simulate' or 'file' or 'mix'")
        inside = ("train", "test", "object", "label", "cuts", "mix")
        if any(getattr(part, name) for part in self.mix or [] for name in inside):
            raise ValueError(f"{', '.join(inside)} are said of a mixture, not of its parts")
        if self.simulate and self.n < 1:
            raise ValueError("a simulated sample needs its number of events 'n'")
        if self.simulate and self.process is None:
            raise ValueError("a simulated sample needs a 'process'")
        _check_windows("cuts", self.cuts)
        return self


def _check_windows(what: str, windows: Mapping[str, tuple[float | None, float | None]]) -> None:
    for name, (low, high) in windows.items():
        if not (-math.inf if low is None else low) < (math.inf if high is None else high):
            raise ValueError(f"{what}: {name}: expected [low, high], low < high, null for no bound; got [{low}, {high}]")


class Split(_Strict):
    """Sizes of the training part (of which ``validation`` is held back for early stopping) and of the test part."""

    train: int = Field(ge=2)
    test: int = Field(ge=1)
    validation: float = Field(default=0.1, ge=0, lt=1)
    seed: int = Field(default=0, ge=0)


class Step(BaseModel):
    """A registered class and its parameters: ``{use: NAME, parameter: value, …}``."""

    model_config = ConfigDict(extra="allow", frozen=True)
    use: str

    @property
    def params(self) -> dict[str, Any]:
        """Everything but ``use``."""
        return dict(self.__pydantic_extra__ or {})


class RepresentationSpec(_Strict):
    """A chain of representations; ``tabular`` is what follows for detectors that take a table.

    ``seeded``: learned anew for every seed of the study, where a step has a ``random_state``; otherwise all share one.
    ``learns_from``: the first step learns from the training events of these samples together, without labels, in the place
    of the background's; only detectors that are told labels may stand on it, for such a mixture holds signal.
    ``backgrounds``: the samples it is for, where it cannot learn from every one (one process has no classes).
    """

    steps: list[Step] = Field(min_length=1)
    tabular: list[Step] = []
    seeded: bool = False
    learns_from: Annotated[list[str], Field(min_length=1)] | None = None
    backgrounds: Annotated[list[str], Field(min_length=1)] | None = None


class Told(_Strict):
    """What a detector that is told labels is told.

    signal     the sample (or a list of them) whose training events are the signal; where it is trained on as background
               itself it is left out
    number     of signal events, drawn by the seed, fewer being part of more; all if left out. 0 is the null run
    reference  weak: this share of the background's training events is the reference, y = 0; the others and the signal are the
               data, y = 1 (idealised anomaly detection)
    region     weak, in its place: ``{m_jj: [low, high]}``, the data are what lies inside, the reference what lies outside,
               signal included (CWoLa, arXiv:1708.02949)
    """

    signal: str | Annotated[list[str], Field(min_length=1)]
    number: Annotated[int, Field(ge=0)] | None = None
    reference: Annotated[float, Field(gt=0, lt=1)] | None = None
    region: dict[str, tuple[float | None, float | None]] | None = None

    @model_validator(mode="after")
    def _windows(self) -> Told:
        _check_windows("region", self.region or {})
        return self

    @property
    def signals(self) -> list[str]:
        """``signal`` as a list."""
        return [self.signal] if isinstance(self.signal, str) else self.signal


class DetectorSpec(_Strict):
    """A detector (``use``, ``params``), its ``representations`` (default: all), and its name in tables.

    ``events``: it, and what its representation learns, gets this many of the training events, drawn by the seed.
    ``told``: what a weakly or fully supervised one is told. ``kind: control`` judges others by it (an untrained network, say).
    """

    use: str
    params: dict[str, Any] = {}
    representations: list[str] | None = None
    name: Name | None = None
    events: Annotated[int, Field(ge=2)] | None = None
    told: Told | None = None
    kind: Literal["control"] | None = None

    @property
    def label(self) -> str:
        """Name in folders and tables."""
        return self.name or self.use.replace(":", ".")


class Study(_Strict):
    """What to compare. Each of ``train`` is the background in turn; all other samples are its signals.

    ``systematics``: ``{jes: {use: jet-energy-scale, shift: 0.02}}`` scores the test events again with each one up and down;
    a detector that is trained on such twins is given those of its training events.
    """

    name: Name
    title: str
    samples: dict[Name, SampleSpec]
    split: Split
    train: list[str] = Field(min_length=1)
    representations: dict[Name, RepresentationSpec] = Field(min_length=1)
    detectors: list[DetectorSpec] = Field(min_length=1)
    seeds: list[Annotated[int, Field(ge=0)]] = Field(min_length=1)
    systematics: dict[Name, Step] = {}
    mixed: bool = False  # whether samples may come from different detectors or selections

    @field_validator("detectors")
    @classmethod
    def _unique(cls, specs: list[DetectorSpec]) -> list[DetectorSpec]:
        labels = [d.label for d in specs]
        twice = {x for x in labels if labels.count(x) > 1}
        if twice:
            raise ValueError(f"detectors need distinct names; give a 'name' to each of {sorted(twice)}")
        return specs

    @field_validator("train", "seeds")
    @classmethod
    def _once(cls, values: list[Any]) -> list[Any]:
        if len(set(values)) < len(values):
            raise ValueError(f"each may stand here once only; got {values}")
        return values

    @model_validator(mode="after")
    def _different_events(self) -> Study:
        sources = [s.model_dump_json(exclude={"train", "test"}) for s in self.samples.values()]
        if len(set(sources)) < len(sources):
            raise ValueError("two samples are the same events; training and test events would overlap")
        return self

    @model_validator(mode="after")
    def _names_exist(self) -> Study:
        for name in self.train:
            if name not in self.samples:
                raise ValueError(did_you_mean(name, self.samples, "sample to train on"))
        smallest = min(self.samples[name].train or self.split.train for name in self.train)
        for spec in self.detectors:
            if spec.events is not None and spec.events > smallest:
                raise ValueError(f"detector '{spec.label}' asks for {spec.events} events; the training samples have {smallest}")
            if len(set(spec.representations or [])) < len(spec.representations or []):
                raise ValueError(f"detector '{spec.label}' names a representation twice")
            for name in spec.told.signals if spec.told else []:
                if name not in self.samples:
                    raise ValueError(f"detector '{spec.label}': {did_you_mean(name, self.samples, 'sample of signal')}")
        for key, chain in self.representations.items():
            for name in chain.learns_from or []:
                if name not in self.samples:
                    raise ValueError(f"representation '{key}': {did_you_mean(name, self.samples, 'sample to learn from')}")
            for name in chain.backgrounds or []:
                if name not in self.train:
                    raise ValueError(f"representation '{key}': {did_you_mean(name, self.train, 'sample to train on')}")
        for spec in self.detectors:
            for name in spec.representations or []:
                if name not in self.representations:
                    raise ValueError(f"detector '{spec.label}': {did_you_mean(name, self.representations, 'representation')}")
        return self

    def check(self) -> None:
        """Find every detector and representation before anything is computed. Raises :class:`InputError`."""
        for spec in self.detectors:
            self._check_told(spec, type(detector.get(spec.use, **spec.params)).kind)
        for step in self.systematics.values():
            systematics.get(step.use, **step.params)
        for chain in self.representations.values():
            for step in (*chain.steps, *chain.tabular):
                representations.get(step.use, **step.params)

    @property
    def told(self) -> set[str]:
        """Samples whose training events are signal to some detector, or learned from by some representation."""
        return {name for spec in self.detectors if spec.told for name in spec.told.signals} | {
            name for chain in self.representations.values() for name in chain.learns_from or []}

    @staticmethod
    def _check_told(spec: DetectorSpec, kind: str) -> None:
        told = spec.told
        me = f"detector '{spec.label}' is {kind}"
        if told is None and kind in detector.LABELLED:
            raise InputError(f"{me}: say what it is told, such as  told: {{signal: SAMPLE}}")
        if told is not None and kind not in detector.LABELLED:
            raise InputError(f"{me}: it is told no labels; leave 'told' out")
        if spec.kind == "control" and kind in detector.LABELLED:
            raise InputError(f"{me}: no control may be told labels, for others are judged by it; leave 'kind' out")
        if told is not None and kind == "weak" and (told.reference is None) == (told.region is None):
            raise InputError(f"{me}: expected one of  reference: SHARE  and  region: {{COLUMN: [low, high]}}  in 'told'")
        if told is not None and kind == "supervised" and (told.reference, told.region) != (None, None):
            raise InputError(f"{me}: 'reference' and 'region' are for weak supervision")

    def pairings(self) -> list[tuple[DetectorSpec, str, str | None]]:
        """Every (detector, representation) pairing, with the reason where it makes no sense."""
        found = []
        for spec in self.detectors:
            takes = detector.find(spec.use).takes
            for name in spec.representations or self.representations:
                chain = self.representations[name]
                gives = representations.get(chain.steps[-1].use).gives
                reason = None
                if takes == "tabular" and gives != "tabular" and not chain.tabular:
                    reason = f"takes a table; '{name}' gives {gives} and no 'tabular' steps follow"
                elif takes not in ("tabular", gives):
                    reason = f"takes {takes}; '{name}' gives {gives}"
                elif chain.learns_from and detector.find(spec.use).kind not in detector.LABELLED:
                    reason = f"is told no labels; '{name}' learns from {', '.join(chain.learns_from)}, signal among them"
                elif chain.learns_from and spec.events is not None:
                    reason = f"is given {spec.events} events; '{name}' learns from all of {', '.join(chain.learns_from)}"
                found.append((spec, name, reason))
        return found


def _told(error: ValidationError, content: dict[str, Any]) -> str:
    """The first thing that is wrong, a misspelt word before what is missing for its sake."""
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    loc = [str(p) for p in first["loc"]]
    if loc[:1] == ["detectors"] and len(loc) > 1:
        given = content["detectors"][int(loc[1])]
        if isinstance(given, dict) and isinstance(given.get("use"), str):
            loc[:2] = [f"detector '{given.get('name', given['use'])}'"]
    where = ".".join(loc) or "the file"
    if first["type"] != "extra_forbidden":
        came = "" if first["type"] in ("value_error", "missing") else f"; got {str(first['input'])[:60]}"
        return f"at {where}: {first['msg'].removeprefix('Value error, ')}{came}"
    kinds: dict[str, type[BaseModel]] = {"samples": SampleSpec, "split": Split, "representations": RepresentationSpec,
                                         "detectors": DetectorSpec}
    cls: type[BaseModel] = Told if "told" in loc[:-1] else kinds.get(str(first["loc"][0]), Study) if len(loc) > 1 else Study
    hint = " (settings of the detector itself go under  params: {…})" if cls is DetectorSpec else ""
    return f"at {'.'.join(loc[:-1]) or 'the file'}: {did_you_mean(loc[-1], cls.model_fields, 'word')}{hint}"


def studies() -> list[str]:
    """Names of the studies that come with the package."""
    return sorted(f.stem for f in SHIPPED.glob("*.yaml"))


def load_study(name: str | Path) -> Study:
    """A study that comes with the package, by name, or a YAML file of your own, by path. Raises :class:`InputError`."""
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        if str(name) not in studies():
            raise InputError(did_you_mean(str(name), studies(), "study") + "; or give the path of a .yaml file")
        path = SHIPPED / f"{name}.yaml"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"study {path} cannot be read: {error.strerror}") from None
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        tab = "; indent with spaces, not with tabs" if "\\t" in str(error) else ""
        raise InputError(f"study {path} is no valid YAML: {' '.join(str(error).split())}{tab}") from None
    if not isinstance(content, dict) or not all(isinstance(k, str) for k in content):
        raise InputError(f"study {path}: expected a mapping with name, title, samples, …; got {type(content).__name__}")
    try:
        study = Study(**content)
    except ValidationError as error:
        raise InputError(f"study {path}: {_told(error, content)}") from None
    if path.parent != SHIPPED and str(path.parent.resolve()) not in sys.path:
        sys.path.append(str(path.parent.resolve()))  # module:Class finds what lies beside the study
    try:
        study.check()
    except InputError as error:
        raise InputError(f"study {path}: {error}") from None
    return study
