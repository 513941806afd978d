"""Split a sample into named parts, and mix a known amount of signal into background. Jets of one event stay together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from numbers import Real
from typing import Any

import numpy as np

from qad.data.sample import SIGNAL, UNKNOWN, Sample, concatenate
from qad.errors import InputError


def split_indices(n: int, sizes: Mapping[str, int | float], seed: int,
                  groups: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Disjoint sorted indices for each named part; see :func:`split`."""
    wanted = {k: round(v * n) if isinstance(v, float) else int(v) for k, v in sizes.items()}
    if any(v < 0 for v in wanted.values()) or sum(wanted.values()) > n:
        raise InputError(f"cannot split {n:,} events into {wanted}: together at most {n:,}, none negative")
    rng = np.random.default_rng(seed)
    if groups is None:
        groups = np.arange(n)
    _, group = np.unique(groups, return_inverse=True)
    shuffled = np.argsort(rng.permutation(group.max() + 1 if n else 0)[group], kind="stable")
    parts, start = {}, 0
    for name, size in wanted.items():
        # a group cut by the previous part is left out whole: start at the next group's first event
        while 0 < start < n and group[shuffled[start]] == group[shuffled[start - 1]]:
            start += 1
        part = shuffled[start : start + size]
        if len(part) < size:
            raise InputError(
                f"cannot split {n:,} events into {wanted}: events that share a collision stay together, which leaves "
                f"{len(part):,} for '{name}'; ask for slightly fewer"
            )
        parts[name] = np.sort(part)
        start += size
    return parts


def hold_out(n: int, share: float, seed: int, groups: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Indices ``(kept, held)``: a random ``share`` is held back; what shares a collision with it is in neither."""
    held = split_indices(n, {"held": round(share * n)}, seed, groups)["held"]
    taken = np.zeros(n, dtype=bool)
    taken[held] = True
    if groups is not None:
        taken |= np.isin(groups, groups[held])
    return np.flatnonzero(~taken), held


def split(sample: Sample, sizes: Mapping[str, int | float], seed: int = 0) -> dict[str, Sample]:
    """Disjoint random parts of ``sample``: ``sizes`` gives each part's number (int) or share (float) of events.

    Events with the same ``extras["event"]`` (the two jets of one collision) never end in different parts.

    >>> parts = split(sample, {"train": 10_000, "test": 5_000}, seed=1)      # doctest: +SKIP
    """
    if not isinstance(sizes, Mapping):
        raise InputError(f"expected the sizes of named parts, such as {{'train': 0.8, 'test': 0.2}}; got {sizes!r}")
    parts = split_indices(len(sample), sizes, seed, sample.extras.get("event"))
    return {name: sample[index] for name, index in parts.items()}


@dataclass(frozen=True)
class Injected:
    """How much signal a mixture holds. S and B are numbers of events; ``weighted_s_over_b`` is the ratio of their weights."""

    process: tuple[str, ...]  # of the signal
    number: int  # S
    background: int  # B
    s_over_b: float
    share: float  # S / (S + B)
    weighted_s_over_b: float
    seed: int


#: What two samples must agree in before they may stand for one experiment: key of their provenance, and its name.
_SAME = {"slots": "objects", "sqrt_s_GeV": "collision energies √s [GeV]", "sqrt_s": "collision energies √s [GeV]",
         "detector": "detectors", "response": "detector settings", "selection": "selections"}


def unlike(a: Mapping[str, Any], b: Mapping[str, Any]) -> str | None:
    """In what samples of provenance ``a`` and ``b`` differ where events of one experiment would not; None if in nothing."""
    for key, name in _SAME.items():
        ours, theirs = _plain(a.get(key)), _plain(b.get(key))
        if ours is not None and theirs is not None and ours != theirs:
            if isinstance(ours, dict) and isinstance(theirs, dict):  # only what differs
                ours, theirs = ({k: v for k, v in x.items() if y.get(k) != v} for x, y in ((ours, theirs), (theirs, ours)))
            return f"{name}, {ours} and {theirs}"
    return None


def how_to_label(signal: Sample) -> str:
    """What to type where ``signal`` should hold signal events only."""
    if (signal.label == UNKNOWN).all():
        return "their labels are unknown; say what they are:  qad data import auto FILE --process NAME --label 1 -o signal.h5"
    return "take the others out: signal[signal.label == 1]"


def _number(background: int, number: int | None, fraction: float | None, s_over_b: float | None) -> int:
    given = {k: v for k, v in (("number", number), ("fraction", fraction), ("s_over_b", s_over_b)) if v is not None}
    if len(given) != 1:
        raise InputError("expected exactly one of number=, fraction= (S/(S+B)) and s_over_b= (S/B); got "
                         f"{', '.join(given) or 'none'}")
    (name, value), = given.items()
    number_like = isinstance(value, Real) and not isinstance(value, bool)
    top = 1 if name == "fraction" else np.inf
    if not (number_like and 0 <= value < top) or (name == "number" and value != int(value)):
        expected = {"number": "a whole number from 0", "fraction": "0 ≤ S/(S+B) < 1", "s_over_b": "S/B from 0"}[name]
        raise InputError(f"{name}: expected {expected}, got {value!r}")
    if name == "number":
        return int(value)
    wanted = background * (value if name == "s_over_b" else value / (1 - value))
    if value > 0 and round(wanted) == 0:
        raise InputError(f"{name} = {value:g} of {background:,} background events is less than one signal event; "
                         "give more background, or number=1")
    return round(wanted)


def inject(background: Sample, signal: Sample, *, number: int | None = None, fraction: float | None = None,
           s_over_b: float | None = None, seed: int) -> Sample:
    """All of ``background`` with randomly drawn events of ``signal`` among it, shuffled; labels and processes stay true.

    number, fraction, s_over_b   one of S, S/(S + B), S/B, counted in events; 0 gives the null mixture
    seed                         same seed, same bits

    Jets of one collision stay side by side, and collisions of the two samples never share a number in ``extras["event"]``:
    those of the signal are counted on from the background's. :func:`injected` tells how much is inside, of any slice too.
    Raises :class:`InputError` for too little signal, or samples that cannot be one experiment.
    """
    if (background.label == SIGNAL).any():
        raise InputError(f"the background already holds {int((background.label == SIGNAL).sum()):,} events labelled as signal; "
                         "take them out first: background[background.label != 1]")
    if len(signal) and not (signal.label == SIGNAL).all():
        raise InputError(f"expected signal events only (label 1); {int((signal.label != SIGNAL).sum()):,} of {len(signal):,} "
                         f"are not: {how_to_label(signal)}")
    if said := unlike(background.meta, signal.meta):
        raise InputError(f"background and signal have different {said}: no one experiment has both")
    if not len(background):
        raise InputError("there is no background to mix signal into: expected at least one event")
    wanted = _number(len(background), number, fraction, s_over_b)
    if wanted > len(signal):
        raise InputError(f"{wanted:,} signal events are wanted, {len(signal):,} are there; simulate more, or inject fewer")
    chosen = signal[split_indices(len(signal), {"in": wanted}, seed, signal.extras.get("event"))["in"]]
    offset = 0
    if "event" in background.extras and "event" in chosen.extras and wanted:
        offset = int(background.extras["event"].max()) + 1 - int(chosen.extras["event"].min())
        chosen = _with_extras(chosen, {**chosen.extras, "event": chosen.extras["event"] + offset})
    mixed = concatenate([background, chosen])
    groups = mixed.extras.get("event", np.arange(len(mixed)))
    _, group = np.unique(groups, return_inverse=True)
    # drawn after, and apart from, the choice of events
    shuffled = np.random.default_rng([seed, 1]).permutation(group.max() + 1)
    mixed = mixed[np.argsort(shuffled[group], kind="stable")]
    told = _count(mixed, np.unique(chosen.process).tolist() or np.unique(signal.process).tolist(), seed)
    record = {**asdict(told), "process": list(told.process), "event_offset": offset, "signal": _plain(signal.meta)}
    return _with_meta(mixed, {**background.meta, "injected": record})


def injected(sample: Sample) -> Injected | None:
    """How much signal a mixture of :func:`inject`, or a slice of it, holds, counted from its labels; None for no mixture."""
    record = sample.meta.get("injected")
    return None if record is None else _count(sample, record["process"], record["seed"])


def _count(sample: Sample, process: list[str], seed: int) -> Injected:
    signal = sample.label == SIGNAL
    s, b = int(signal.sum()), int((~signal).sum())
    ws, wb = float(sample.weight[signal].sum(dtype=np.float64)), float(sample.weight[~signal].sum(dtype=np.float64))
    return Injected(process=tuple(process), number=s, background=b, s_over_b=s / b if b else float("inf") if s else 0.0,
                    share=s / (s + b) if s + b else 0.0,
                    weighted_s_over_b=ws / wb if wb else float("inf") if ws else 0.0, seed=int(seed))


def _plain(value: Any) -> Any:
    """Tuples as lists, as they come back from a file."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def _with_extras(sample: Sample, extras: Mapping[str, np.ndarray]) -> Sample:
    return Sample(sample.particles, sample.features, sample.feature_names, sample.feature_units, sample.label, sample.process,
                  sample.weight, sample.particle_extras, extras, sample.meta)


def _with_meta(sample: Sample, meta: Mapping[str, Any]) -> Sample:
    return Sample(sample.particles, sample.features, sample.feature_names, sample.feature_units, sample.label, sample.process,
                  sample.weight, sample.particle_extras, sample.extras, meta)
