"""Systematic uncertainties: a sample and its twins, the same events with an energy scale or resolution changed.

| systematic | changes | twins |
|---|---|---|
| :class:`JetEnergyScale` | pT and mass of jets and their constituents by 1 ± shift; MET by what that changes | up, down |
| :class:`JetEnergyResolution` | the same, each jet by a random factor | up: worse; down: nominal |
| :class:`MetSmearing` | MET by a Gaussian 2-vector | up: worse; down: nominal |

Events stay in order, so nominal, up and down are paired, and the selection is not applied anew. Features that follow from
the objects are worked out again, those that would be stale are refused (or left out, if one says so): :mod:`qad.data.derived`.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from qad.data.derived import Meanings, jet_columns, meanings, met_column
from qad.data.moved import Moved, jet_pt, push, rebuilt, scaled
from qad.data.sample import Fingerprint, Sample
from qad.data.store import SampleWriter, iter_chunks
from qad.errors import InputError, did_you_mean

#: Random numbers are drawn in blocks of events, each with its own seed: a file in chunks gives the same bits as the whole.
BLOCK = 10_000
DIRECTIONS = {"up": 1, "down": -1}


class Systematic(ABC):
    """A source of uncertainty. :meth:`twins` gives the nominal sample and its variations."""

    #: whether it can only be made worse: then the twin "down" is the nominal sample
    one_sided: ClassVar[bool] = False

    def twins(self, sample: Sample, seed: int = 0, *, drop_stale: bool = False) -> dict[str, Sample]:
        """``{"nominal": sample, "up": …, "down": …}``: the same events in the same order.

        seed        of the random numbers, where there are any; same seed, same bits
        drop_stale  leave out features and extras that cannot be worked out again, rather than refuse

        ``meta["variation"]`` of a twin tells what was done. Raises :class:`InputError`: no jets or no MET in the sample, or
        stale columns.
        """
        known = meanings(sample)
        twins = {d: self.vary(sample, d, seed, drop_stale=drop_stale, known=known) for d in DIRECTIONS}
        for twin in twins.values():
            twin.meta["variation"]["nominal"] = sample.fingerprint
        return {"nominal": sample, **twins}

    def vary(self, sample: Sample, direction: str, seed: int = 0, *, first: int = 0, drop_stale: bool = False,
             known: Meanings | None = None) -> Sample:
        """One twin. Of a part of a file: ``first`` is the number of its first event there, a multiple of 10,000, ``known``
        what the columns of the whole file mean."""
        if direction not in DIRECTIONS:
            raise InputError(f"direction: expected 'up' or 'down', got {direction!r}")
        if not isinstance(seed, int | np.integer) or seed < 0 or first % BLOCK:
            raise InputError(f"expected a whole number from 0 as seed, first a multiple of {BLOCK:,}; got {seed!r}, {first!r}")
        told: dict[str, Any] = {"systematic": type(self).__name__, "parameters": asdict(self), "direction": direction,  # type: ignore[call-overload]
                                "seed": int(seed), "one_sided": self.one_sided}
        if "variation" in sample.meta:
            told["after"] = sample.meta["variation"]
        draw = _Draw(type(self).__name__, int(seed), first, len(sample))
        sign = 0 if self.one_sided and direction == "down" else DIRECTIONS[direction]
        return rebuilt(sample, self._moved(sample, sign, draw), told, drop_stale, known)

    @abstractmethod
    def _moved(self, sample: Sample, sign: int, draw: _Draw) -> Moved:
        """What the change does to the particles of ``sample``; ``sign`` is +1, -1, or 0 for nothing."""


@dataclass(frozen=True)
class _Draw:
    """Standard normal numbers for events ``first`` to ``first + n``, the same however the events are cut into chunks.

    Every systematic has its own, for independent uncertainties must not move together.
    """

    name: str
    seed: int
    first: int
    n: int

    def __call__(self, columns: int) -> np.ndarray:
        name = zlib.crc32(self.name.encode())
        blocks = [np.random.default_rng([self.seed, (self.first + start) // BLOCK, name]).standard_normal((BLOCK, columns))
                  for start in range(0, self.n, BLOCK)]
        return np.concatenate(blocks)[: self.n] if blocks else np.zeros((0, columns))


def _from_zero(name: str, value: Any, low: float = 0.0, what: str = "a number from 0") -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value < np.inf:
        raise InputError(f"{name}: expected {what}, got {value!r}")


@dataclass(frozen=True)
class JetEnergyScale(Systematic):
    """All jets at (1 ± shift) times their energy: pT and mass of each jet and of its constituents; directions stay.

    MET takes the difference, MET' = MET − Σ (f − 1) pT over jets, so visible + missing momentum is conserved.
    """

    shift: float = 0.02

    def __post_init__(self) -> None:
        if isinstance(self.shift, bool) or not isinstance(self.shift, int | float) or not -0.9 <= self.shift <= 0.9:
            raise InputError(f"shift: expected a number from -0.9 to 0.9 (0.02 is 2 %), got {self.shift!r}")

    def _moved(self, sample: Sample, sign: int, draw: _Draw) -> Moved:
        jets = jet_columns(sample)
        if not jets and (sample.particles.shape[1] or not sample.feature_names):
            raise _no_jets(sample)
        factors = np.full((len(sample), max(len(jets), 1)), 1 + sign * self.shift)
        return Moved(scaled(sample, jets, factors), factors, alike=True)


@dataclass(frozen=True)
class JetEnergyResolution(Systematic):
    """A jet energy resolution that is worse by ``factor``: each jet's energy times 1 + σ √(factor² − 1) · N(0, 1).

    σ(pT) = √(noise²/pT² + stochastic²/pT + constant²) is the relative resolution that the sample is taken to have. The defaults
    give 17 % at 30 GeV, 10 % at 100 GeV and 5 % at 1 TeV, as arXiv:1607.03663 has it. A better resolution cannot be had by
    smearing: the twin "down" is the nominal sample. No energy falls below a hundredth; MET as in :class:`JetEnergyScale`.
    """

    factor: float = 1.1
    noise: float = 0.0  # GeV
    stochastic: float = 0.9  # √GeV
    constant: float = 0.04
    one_sided: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _from_zero("factor", self.factor, 1.0, "a number from 1 (1.1: 10 % worse)")
        for name in ("noise", "stochastic", "constant"):
            _from_zero(name, getattr(self, name))

    def sigma(self, pt: np.ndarray) -> np.ndarray:
        """Relative resolution at ``pt`` [GeV]."""
        pt = np.maximum(pt, 1e-6)
        return np.sqrt((self.noise / pt) ** 2 + self.stochastic**2 / pt + self.constant**2)

    def _moved(self, sample: Sample, sign: int, draw: _Draw) -> Moved:
        jets = jet_columns(sample)
        if not jets:
            raise _no_jets(sample)
        pt = np.stack([jet_pt(sample, name, columns) for name, columns in jets], axis=1)
        width = sign * self.sigma(pt) * np.sqrt(self.factor**2 - 1)
        factors = np.maximum(1 + width * draw(len(jets)), 0.01)
        return Moved(scaled(sample, jets, factors), factors)


@dataclass(frozen=True)
class MetSmearing(Systematic):
    """Missing transverse momentum plus a Gaussian 2-vector of width √(sigma² + (relative · MET)²) in each direction.

    For samples with a slot ``met``, or with a feature ``met`` and no particles: there the azimuth is not known and not needed.
    """

    sigma: float = 10.0  # GeV
    relative: float = 0.0
    one_sided: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _from_zero("sigma", self.sigma)
        _from_zero("relative", self.relative)

    def _moved(self, sample: Sample, sign: int, draw: _Draw) -> Moved:
        column, particles = met_column(sample), sample.particles.astype(np.float64)
        if column is None and ("met" not in sample.feature_names or sample.particles.shape[1]):
            raise InputError(f"{sample!r} has no missing transverse energy to smear: expected events with an object 'met', or "
                             "with a feature 'met' and no particles")
        met = particles[:, column, 0] if column is not None else sample.feature("met").astype(np.float64)
        kick = sign * np.hypot(self.sigma, self.relative * met)[:, None] * draw(2)
        if column is None:  # along and across it
            smeared = np.where((kick != 0).any(1), np.hypot(met + kick[:, 0], kick[:, 1]), met)
            return Moved(particles, visible=False, features={"met": smeared.astype(np.float32)})
        push(particles[:, column], kick)
        return Moved(particles, visible=False)


def _no_jets(sample: Sample) -> InputError:
    return InputError(f"{sample!r} holds no momenta of jets: expected jets with constituents, or events with objects such as "
                      "'jet', 'b1', 'j1'")


def vary_file(file: str | Path, systematic: Systematic, folder: str | Path | None = None, *, seed: int = 0,
              drop_stale: bool = False, overwrite: bool = False,
              progress: Callable[[int], None] | None = None) -> dict[str, Path]:
    """The twins of the sample at ``file`` as files, in constant memory: ``{"up": qcd-up.h5, "down": qcd-down.h5}``.

    The file is read twice: what its columns mean is decided by all of its events, before any is changed.

    folder    where they go; beside ``file`` if left out
    progress  called with the number of events done

    The same bits as :meth:`Systematic.twins` of the whole sample. Raises :class:`InputError` as that does, and for files that
    exist.
    """
    file = Path(file)
    folder = file.parent if folder is None else Path(folder)
    paths = {d: folder / f"{file.stem}-{d}.h5" for d in DIRECTIONS}
    there = [str(p) for p in paths.values() if p.exists()]
    if there and not overwrite:
        raise InputError(f"{' and '.join(there)} exist; choose another folder or add --overwrite")
    known: Meanings | None = None
    for chunk in iter_chunks(file, BLOCK):
        here = meanings(chunk)
        known = here if known is None else (known[0] & here[0], known[1] & here[1])
    with ExitStack() as stack:
        writers = {d: stack.enter_context(SampleWriter(p)) for d, p in paths.items()}
        done, hasher = 0, Fingerprint()
        for chunk in iter_chunks(file, BLOCK):
            hasher.update(chunk)
            for direction, writer in writers.items():
                writer.append(systematic.vary(chunk, direction, seed, first=done, drop_stale=drop_stale,
                                               known=known))
            done += len(chunk)
            if progress is not None:
                progress(done)
        for writer in writers.values():
            if writer.meta is not None:
                writer.meta["variation"]["nominal"] = hasher.hexdigest()
    return paths


NAMES: dict[str, type[Systematic]] = {"jet-energy-scale": JetEnergyScale, "jet-energy-resolution": JetEnergyResolution,
                                      "met-smearing": MetSmearing}


def get(name: str, **parameters: Any) -> Systematic:
    """The variation called ``name``. Raises :class:`InputError` for an unknown name or parameter."""
    if name not in NAMES:
        raise InputError(did_you_mean(name, NAMES, "systematic variation"))
    known = [f.name for f in fields(NAMES[name])]  # type: ignore[arg-type]
    for parameter in parameters:
        if parameter not in known:
            raise InputError(did_you_mean(parameter, known, f"parameter of {name}"))
    return NAMES[name](**parameters)
