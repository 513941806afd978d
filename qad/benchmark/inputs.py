"""Arrays for detectors, made from the parts of a study's samples by its representations."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from qad import representations
from qad.benchmark.events import one_after_another, within
from qad.benchmark.learned import Store
from qad.benchmark.runs import TWIN
from qad.benchmark.study import DetectorSpec, Step, Study
from qad.data.sample import Sample
from qad.data.splits import hold_out
from qad.errors import InputError
from qad.representations import Representation


class Arrays(NamedTuple):
    """``steps`` fitted on the training background, its array, and those of other parts by (sample, part)."""

    steps: list[Representation]
    background: np.ndarray
    others: dict[tuple[str, str], np.ndarray]

    @property
    def tests(self) -> dict[str, np.ndarray]:
        """What is scored: ``{"qcd": …, "qcd@jes-up": …}``."""
        return {name + part.removeprefix("test"): a for (name, part), a in self.others.items() if part.startswith("test")}

    def twins(self, train: str) -> dict[str, np.ndarray]:
        """The training background under each variation, ``{"jes-up": …}``."""
        return {part.partition(TWIN)[2]: a for (name, part), a in self.others.items() if name == train and TWIN in part
                and part.startswith("train")}


def _step(spec: Step, own: int | None) -> Representation:
    step = representations.get(spec.use, **spec.params)
    if own is not None and "random_state" in step.get_params() and "random_state" not in spec.params:
        step.set_params(random_state=own)
    return step


def hash_of(array: np.ndarray) -> str:
    """Of the numbers in an array."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


class Inputs:
    """Steps learn from the training background only (or as the study says); what is stateless is computed once."""

    def __init__(self, study: Study, parts: Mapping[str, Mapping[str, Sample]], store: Store | None = None) -> None:
        self.study, self.parts = study, parts
        self.store = store or Store(None, lambda name: lambda done, total: None)
        # cells come sorted by their inputs: few need to be kept
        self.arrays = lru_cache(maxsize=2)(self._arrays)
        self._stateless = lru_cache(maxsize=2 * sum(map(len, parts.values())))(self._first_step)

    def _first_step(self, representation: str, sample: str, part: str) -> np.ndarray:
        step = self.study.representations[representation].steps[0]
        return representations.get(step.use, **step.params).fit(None).transform(self.parts[sample][part])

    def chosen(self, train: str, events: int | None, seed: int) -> np.ndarray:
        """Indices of the training events that a detector may see: all of them, or ``events`` drawn by ``seed``."""
        n = len(self.parts[train]["train"])
        return np.arange(n) if events is None else np.sort(np.random.default_rng([seed, events]).permutation(n)[:events])

    def _arrays(self, representation: str, train: str, tabular: bool, events: int | None = None, seed: int = 0,
                own: int | None = None) -> Arrays:
        """``own``: the seed of steps that are learned anew for every seed of the study."""
        chosen = self.chosen(train, events, seed)
        chain = self.study.representations[representation]
        first, *rest = (_step(s, own) for s in (*chain.steps, *(chain.tabular if tabular else [])))
        wanted = [(name, part) for name, kinds in self.parts.items() for part in kinds
                  if part.startswith("test") or (part == "train" and name != train and name in self.study.told)]
        twins = [(train, part) for part in self.parts[train] if part.startswith(f"train{TWIN}")]
        if type(first)._fit is Representation._fit:  # nothing to learn: the same for every background
            first.fit(None)
            background = self._stateless(representation, train, "train")[chosen]
            others = {key: self._stateless(representation, *key) for key in (*wanted, *twins)}
        else:
            few = self.parts[train]["train"][chosen]
            first = self._fitted([first], few, train, chain.learns_from)
            background = first.transform(few)
            others = {(name, part): first.transform(self.parts[name][part]) for name, part in (*wanted, *twins)}
        for key in twins:
            others[key] = others[key][chosen]
        steps = [first]
        for step in rest:
            so_far = [*steps, step]
            steps.append(self._fitted(so_far, background, train, chain.learns_from) if step.learned else step.fit(background))
            background = steps[-1].transform(background)
            others = {place: steps[-1].transform(a) for place, a in others.items()}
        return Arrays(steps, background, others)

    def _fitted(self, steps: list[Representation], events: Any, train: str, learns_from: list[str] | None) -> Representation:
        """The last of ``steps``, fitted on ``events``, or, if it is the first, on the mixture that ``learns_from`` names."""
        source = [train]
        if learns_from and len(steps) == 1:
            source = list(learns_from)
            events = one_after_another([self.parts[name]["train"] for name in source])
            order = np.random.default_rng(0).permutation(len(events))  # no part of it is one process alone
            events = events[order]
        told = events.fingerprint if isinstance(events, Sample) else hash_of(events)
        plain = [{"step": type(s).__name__, **{k: v for k, v in s.get_params().items() if k != "checkpoint"}} for s in steps]
        tests = {name: parts["test"] for name, parts in self.parts.items()} if len(steps) == 1 else {}
        return self.store.fit(steps[-1], events, {"steps": plain, "events": told, "source": source}, tests)

    def labelled(self, train: str, spec: DetectorSpec, seed: int, arrays: Arrays) -> tuple[np.ndarray, np.ndarray]:
        """``(X, y)`` for a detector that is told labels, as ``spec.told`` says; all drawing by ``seed``."""
        if (told := spec.told) is None:
            raise InputError(f"{spec.label} is told labels: expected  told: {{signal: …}}  in the study")
        chosen = self.chosen(train, spec.events, seed if spec.events is not None else 0)
        names = [name for name in told.signals if name != train]
        signal = np.concatenate([arrays.others[name, "train"] for name in names])
        rng = np.random.default_rng([seed, 3])
        order = rng.permutation(len(signal))
        if told.number is not None and told.number > len(signal):
            raise InputError(f"is told {told.number} signal events; the training part of {', '.join(names)} has {len(signal)}")
        order = order[: told.number]
        background = self.parts[train]["train"][chosen]
        if told.region is not None:
            inside = np.concatenate([within(self.parts[name]["train"], told.region) for name in names])[order]
            data = within(background, told.region)
        else:
            inside = np.ones(len(order), dtype=bool)
            data = np.zeros(len(background), dtype=bool)
            if told.reference is not None:
                data[hold_out(len(background), told.reference, seed, background.extras.get("event"))[0]] = True
        X = np.concatenate([arrays.background, signal[order]])
        y = np.concatenate([data, inside]).astype(np.int8)
        if len(np.unique(y)) < 2:
            raise InputError(f"{int(y.sum())} of {len(y)} events are signal or data, the others background or reference; both "
                             "are needed: choose another 'reference', 'region' or 'number'")
        return X, y
