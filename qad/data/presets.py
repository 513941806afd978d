"""How each paper splits its data, as data: sizes, order, seed, contamination. Numbers are the papers' own or their code's.

>>> parts = apply(preset("adc2021"), sample)                                 # doctest: +SKIP
>>> sorted(parts)                                                            # doctest: +SKIP
['test', 'train', 'validation']
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np

from qad.data.sample import SIGNAL, Sample
from qad.data.splits import how_to_label, inject, injected, split_indices
from qad.errors import InputError, did_you_mean

Size = int | Fraction


@dataclass(frozen=True)
class Preset:
    """A published split.

    parts        number (int) or share (Fraction) of the background's events in each part
    order        ``random``, ``first`` (in the order of the file), or the name of an extra that holds each part's number
    values       the extra's value for each part, where ``order`` is an extra
    starts       where a part begins, as a share of the file, if not where the one before it ends
    signal       which parts of the result take signal events and how many of them; None: all that are left
    contaminated number of signal events mixed into the background before it is split
    region       the signal region, range of ``m_jj`` [GeV]: only events inside are split, the background's others are the part
                 ``sideband``; of ``extra``, and of the signal that is left after the mixing, only events inside are taken
    extra        parts of the sample ``extra``, more background, that are added beside the others
    cuts         feature: events at or above this value are dropped, in background and signal alike
    seed         of what is random; the papers' own splits cannot be drawn again, their shares can
    notes        what else one should know, and which of the numbers are whose
    """

    name: str
    title: str
    paper: str
    parts: Mapping[str, Size]
    order: str = "random"
    values: Mapping[str, int] = field(default_factory=dict)
    starts: Mapping[str, Fraction] = field(default_factory=dict)
    signal: Mapping[str, int | None] = field(default_factory=dict)
    contaminated: int = 0
    region: tuple[float, float] | None = None
    extra: Mapping[str, int | None] = field(default_factory=dict)
    cuts: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    notes: str = ""


def _share(*of: str) -> tuple[Fraction, ...]:
    return tuple(map(Fraction, of))


_TRAIN_VALIDATION_TEST = ("train", "validation", "test")
_ALL = (
    Preset("top-tagging", "Top Quark Tagging Reference: the official parts", "arXiv:1902.09914",
           dict(zip(_TRAIN_VALIDATION_TEST, (1_200_000, 400_000, 400_000), strict=True)), order="ttv",
           values={"train": 0, "test": 1, "validation": 2},
           notes="Three files; the column ttv tells the same of each jet: 0 training, 1 test, 2 validation."),
    Preset("jetclr", "JetCLR: the first 100,000 jets of the training file, tops and QCD mixed", "arXiv:2108.04253",
           {"train": 100_000}, order="first", notes="Of the top-tagging file as it stands, S/B = 1, without labels."),
    Preset("nae2022", "Normalised autoencoders: training on the first 100,000 jets of one kind", "arXiv:2206.14225",
           {"train": 100_000, "validation": Fraction("0.2"), "test": Fraction("0.2")}, order="first",
           starts={"validation": Fraction("0.6"), "test": Fraction("0.8")}, signal={"test": None},
           notes="As the authors' code has it: validation is the file from 60 to 80 %, test from 80 to 100 %."),
    Preset("adc2021", "Anomaly detection challenge at 40 MHz: 64 %, 16 %, 20 %", "arXiv:2107.02157",
           dict(zip(_TRAIN_VALIDATION_TEST, _share("0.64", "0.16", "0.2"), strict=True)), signal={"test": None}),
    Preset("lhco-cathode", "LHC Olympics in the signal region, after CATHODE", "arXiv:2109.00546",
           dict(zip(_TRAIN_VALIDATION_TEST, _share("1/2", "1/6", "1/3"), strict=True)), contaminated=1000,
           region=(3300.0, 3700.0), signal={"signal": None},
           extra={"extra_train": 200_000, "extra_validation": 66_666, "extra_test": None},
           notes="A thousand signal events in the million of background: S/B = 0.6 % in the signal region. 'signal' is the "
                 "rest of the signal in that region, for the test; 'extra' more background of the region, record 5759087 of "
                 "Zenodo."),
    Preset("jetnet", "JetNet: 70 %, 15 %, 15 % in the order of the file", "arXiv:2106.11535",
           dict(zip(_TRAIN_VALIDATION_TEST, _share("0.7", "0.15", "0.15"), strict=True)), order="first", signal={"test": None}),
    Preset("qae2022", "Quantum autoencoder of di-lepton events", "arXiv:2112.04958",
           dict(zip(_TRAIN_VALIDATION_TEST, (30_000, 5_000, 15_000), strict=True)), signal={"test": None},
           cuts={"met": 1000.0, "lep1pt": 1000.0, "lep2pt": 900.0, "b1pt": 1000.0, "b2pt": 900.0},
           notes="As the authors' code has it, of 51,852 background events; 100, 1,000 or 10,000 of 'train' are used. Events "
                 "with a feature at or above its bound are dropped: 9,453 of 9,500 signal events are left."),
    Preset("1p1q", "One particle, one qubit, as reproduced with code", "arXiv:2502.17301",
           dict(zip(_TRAIN_VALIDATION_TEST, (10_000, 2_500, 10_000), strict=True)), signal={"test": 10_000},
           notes="The sizes are those of the reproduction in arXiv:2510.14001, trained on QCD alone; the paper's comparison of "
                 "classifiers takes 1,000 jets to train on."),
    Preset("trash-latent", "Ansätze of the quantum autoencoder", "arXiv:2407.07961",
           dict(zip(_TRAIN_VALIDATION_TEST, (1_000, 10_000, 5_000), strict=True)), signal={"test": 5_000}),
    Preset("quantum-kernel", "Quantum kernel machines in latent space", "arXiv:2301.10780", {"train": 600, "test": 100_000},
           notes="The published errors are over five folds."),
)
PRESETS: Mapping[str, Preset] = MappingProxyType({p.name: p for p in _ALL})


def preset(name: str) -> Preset:
    """The split called ``name``. Raises :class:`InputError` with the nearest name for an unknown one."""
    if name not in PRESETS:
        raise InputError(did_you_mean(name, PRESETS, "split"))
    return PRESETS[name]


def apply(chosen: Preset, samples: Sample | Mapping[str, Sample], *, scale: float = 1.0, seed: int | None = None,
          contaminated: int | None = None) -> dict[str, Sample]:
    """The parts of a published split: ``train``, ``validation``, ``test`` and what else it has.

    samples       the background, or ``{"background": …, "signal": …, "extra": …}``; signal and extra may be missing
    scale         of all numbers of events (not of shares), for samples smaller than the published ones
    seed          other than the preset's
    contaminated  number of signal events in the background, other than the preset's; 0 for the null test

    ``meta["split"]`` of every part tells preset, paper, part, scale and seed. Jets of one collision stay in one part where the
    order is random. Raises :class:`InputError`: too few events, a column that the split needs is missing, or a sample or a
    scale is given that it has no use for.
    """
    given = {"background": samples} if isinstance(samples, Sample) else dict(samples)
    unknown = given.keys() - {"background", "signal", "extra"}
    if "background" not in given or unknown:
        raise InputError(f"expected samples under 'background' and, if there are, 'signal' and 'extra'; got {', '.join(given)}")
    if not 0 < scale <= 1:
        raise InputError(f"scale: expected a number above 0 up to 1, got {scale!r}")
    seed = chosen.seed if seed is None else seed
    given = {k: _cut(s, chosen, k) for k, s in given.items()}
    background, signal = given["background"], given.get("signal")
    wanted = round(chosen.contaminated * scale) if contaminated is None else contaminated
    if wanted and signal is None:
        raise InputError(f"{chosen.name} mixes {wanted:,} signal events into the background: give them as 'signal', or say "
                         "contaminated=0")
    if signal is not None and not chosen.signal and not wanted:
        raise InputError(f"{chosen.name} has no use for a sample 'signal': leave it out, or say contaminated= to mix it "
                         "into the background")
    if "extra" in given and not chosen.extra:
        raise InputError(f"{chosen.name} has no use for a sample 'extra': leave it out")
    if chosen.values and scale != 1:
        raise InputError(f"{chosen.name} goes by the extra '{chosen.order}', not by numbers of events: leave out "
                         f"scale={scale:g}")
    if wanted and signal is not None:
        if wanted > len(signal):
            raise InputError(f"{chosen.name} wants {wanted:,} signal events in the background, {len(signal):,} are there; "
                             "scale the numbers down, or say contaminated=")
        inside = split_indices(len(signal), {"in": wanted}, seed, signal.extras.get("event"))["in"]
        background = inject(background, signal[inside], number=wanted, seed=seed)
        signal = _without(signal, inside)
    parts = _parts(background, chosen, scale, seed)
    parts = _with_signal(parts, chosen, signal, scale, seed)
    if "extra" in given:
        extra = given["extra"][_inside(given["extra"], chosen, "extra")]
        parts |= _cut_up(extra, chosen.extra, scale, seed, chosen)
    told: dict[str, Any] = {"preset": chosen.name, "paper": chosen.paper, "scale": scale, "seed": seed}
    return {k: replace(s, meta={**s.meta, "split": {**told, "part": k}, **_counted(s)}) for k, s in parts.items()}


def _counted(part: Sample) -> dict[str, Any]:
    """``meta["injected"]`` with the numbers of this part rather than of the whole mixture."""
    found = injected(part)
    return {} if found is None else {"injected": {**part.meta["injected"], **asdict(found), "process": list(found.process)}}


def _cut(sample: Sample, chosen: Preset, name: str) -> Sample:
    kept = np.ones(len(sample), dtype=bool)
    for feature, bound in chosen.cuts.items():
        if feature not in sample.feature_names:
            raise InputError(f"{chosen.name} drops events with {feature} from {bound:g} on, and the {name} has no such "
                             f"feature; it has {', '.join(sample.feature_names) or 'none'}")
        kept &= sample.feature(feature) < bound
    return sample if kept.all() else sample[kept]


def _without(sample: Sample, taken: np.ndarray) -> Sample:
    """What is left of ``sample``: neither those events nor others of their collisions."""
    gone = np.zeros(len(sample), dtype=bool)
    gone[taken] = True
    if "event" in sample.extras:
        gone |= np.isin(sample.extras["event"], sample.extras["event"][taken])
    return sample[~gone]


def _sizes(parts: Mapping[str, Size | None], n: int, scale: float) -> dict[str, int]:
    """Numbers of events; shares are rounded down at their ends, so that they never ask for more than there is."""
    sizes, begun = {}, Fraction(0)
    for name, size in parts.items():
        if isinstance(size, Fraction):
            sizes[name] = int((begun + size) * n) - int(begun * n)
            begun += size
        elif size is None:
            sizes[name] = n - sum(sizes.values())
        else:
            sizes[name] = round(size * scale)
    if sum(sizes.values()) > n or min(sizes.values()) < 0:
        raise InputError(f"the split wants {', '.join(f'{v:,} {k}' for k, v in sizes.items())}, {n:,} events are there; "
                         f"scale the numbers down, as in scale={_smaller(parts, n):g}")
    return sizes


def _smaller(parts: Mapping[str, Size | None], n: int) -> float:
    """A scale, to two digits and rounded down, with which ``n`` events are enough."""
    numbers = sum(v for v in parts.values() if isinstance(v, int))
    shares = sum((v for v in parts.values() if isinstance(v, Fraction)), Fraction(0))
    exact = float((1 - shares) * n / numbers) if numbers else 1.0
    digits = 1 - int(np.floor(np.log10(exact))) if exact > 0 else 2
    return float(np.floor(exact * 10**digits) / 10**digits)


def _cut_up(sample: Sample, parts: Mapping[str, Size | None], scale: float, seed: int, chosen: Preset,
            starts: Mapping[str, Fraction] | None = None) -> dict[str, Sample]:
    sizes = _sizes(parts, len(sample), scale)
    if chosen.order == "first":
        found, end = {}, 0
        for name, size in sizes.items():
            begin = int(starts[name] * len(sample)) if starts and name in starts else end
            if begin < end or begin + size > len(sample):
                raise InputError(f"{chosen.name} wants {size:,} events for '{name}' from event {begin:,} of {len(sample):,} "
                                 f"on, where others stand until {end:,}; scale the numbers down")
            found[name], end = sample[begin : begin + size], begin + size
        return found
    return {k: sample[i] for k, i in split_indices(len(sample), sizes, seed, sample.extras.get("event")).items()}


def _parts(background: Sample, chosen: Preset, scale: float, seed: int) -> dict[str, Sample]:
    if chosen.values:
        if chosen.order not in background.extras:
            raise InputError(f"{chosen.name} goes by the extra '{chosen.order}', which this sample lacks; it has "
                             f"{', '.join(background.extras) or 'none'}")
        return {name: background[background.extras[chosen.order] == value] for name, value in chosen.values.items()}
    outside = {}
    if chosen.region is not None:
        inside = _inside(background, chosen, "background")
        if not inside.any():
            raise InputError(f"no event has {chosen.region[0]:g} ≤ m_jj < {chosen.region[1]:g} GeV: is m_jj in GeV?")
        background, outside = background[inside], {"sideband": background[~inside]}
    return {**_cut_up(background, chosen.parts, scale, seed, chosen, chosen.starts), **outside}


def _inside(sample: Sample, chosen: Preset, name: str) -> np.ndarray:
    """Which events lie in the signal region, ``(n,)``; all where there is none."""
    if chosen.region is None:
        return np.ones(len(sample), dtype=bool)
    if "m_jj" not in sample.extras:
        raise InputError(f"{chosen.name} takes events with {chosen.region[0]:g} ≤ m_jj < {chosen.region[1]:g} GeV, and "
                         f"the {name} has no extra 'm_jj'")
    m = sample.extras["m_jj"]
    return (m >= chosen.region[0]) & (m < chosen.region[1])


def _with_signal(parts: dict[str, Sample], chosen: Preset, signal: Sample | None, scale: float, seed: int) -> dict[str, Sample]:
    """Signal beside the background: a part of its own, or under ``signal_`` and the name of the part that it goes with."""
    if signal is None or not chosen.signal:
        return parts
    if (signal.label != SIGNAL).any():
        raise InputError(f"expected label 1 for every event of the signal; {how_to_label(signal)}")
    found = _cut_up(signal[_inside(signal, chosen, "signal")], chosen.signal, scale, seed, chosen)
    return parts | {k if k not in parts else f"signal_{k}": s for k, s in found.items()}
