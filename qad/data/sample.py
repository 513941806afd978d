"""The Sample: events with particles, features, labels and provenance. The only data type that travels."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from qad.errors import InputError, beyond, nearest

PARTICLE_COLUMNS = ("pt", "eta", "phi", "mass")
PARTICLE_UNITS = ("GeV", "", "rad", "GeV")
BACKGROUND, SIGNAL, UNKNOWN = 0, 1, -1

#: What is left out is made: once there is a sample, every one of its fields is an array.
_LEFT_OUT: Any = None
_UNNAMED: Any = "unknown"


@dataclass(frozen=True, eq=False)
class Sample:
    """``n`` events.

    particles        float32 ``(n, p, 4)``: pT [GeV], eta, phi [rad], mass [GeV]; zero-padded, pT-descending
                     (inside each object slot for events)
    features         float32 ``(n, f)``, with ``feature_names`` and ``feature_units``
    label            int8 ``(n,)``: 0 background, 1 signal, -1 unknown
    process          str ``(n,)``: ``qcd``, ``top``, …
    weight           float32 ``(n,)``
    particle_extras  named ``(n, p)`` arrays (PDG id, charge, …)
    extras           named ``(n, …)`` arrays per event (``event``, ``jet_pt``, ``m_jj``, …)
    meta             provenance: generator and version, card, seed, sqrt(s), detector mode, …

    Arrays left out are made: no features, label unknown, weight one. Raises :class:`InputError` if the contents
    break the contract (wrong shapes, NaN, negative pT, unsorted particles, gaps in the padding).

    >>> jet = Sample(particles=[[[80.0, 0.1, 0.0, 0.14], [20.0, -0.2, 0.3, 0.0]]], process="qcd")
    >>> jet.present.tolist(), jet.label.tolist(), len(jet)
    ([[True, True]], [-1], 1)
    """

    particles: np.ndarray
    features: np.ndarray = _LEFT_OUT
    feature_names: tuple[str, ...] = ()
    feature_units: tuple[str, ...] = ()
    label: np.ndarray = _LEFT_OUT
    process: np.ndarray = _UNNAMED
    weight: np.ndarray = _LEFT_OUT
    particle_extras: Mapping[str, np.ndarray] = field(default_factory=dict)
    extras: Mapping[str, np.ndarray] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)

    if TYPE_CHECKING:  # what may be given; what is then read is typed above

        def __init__(self, particles: ArrayLike, features: ArrayLike | None = None, feature_names: Sequence[str] = (),
                     feature_units: Sequence[str] = (), label: ArrayLike | None = None, process: ArrayLike = "unknown",
                     weight: ArrayLike | None = None, particle_extras: Mapping[str, ArrayLike] = ...,
                     extras: Mapping[str, ArrayLike] = ..., meta: Mapping[str, Any] = ...) -> None: ...

    def __post_init__(self) -> None:
        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        try:
            particles = np.asarray(self.particles, dtype=np.float32)
        except (ValueError, TypeError) as error:
            raise InputError(f"particles: expected one array of numbers (n, p, 4) = pT, eta, phi, mass; got "
                             f"{type(self.particles).__name__} ({error}): pad shorter events with zeros") from None
        put("particles", particles)
        if particles.ndim != 3 or particles.shape[2] != 4:
            raise InputError(f"particles: expected shape (n, p, 4) = pT, eta, phi, mass; got {particles.shape}")
        n = len(particles)
        features = np.zeros((n, 0)) if self.features is None else self.features
        put("features", np.asarray(features, dtype=np.float32))
        label = np.full(n, UNKNOWN) if self.label is None else np.asarray(self.label)
        if not np.isin(label, (BACKGROUND, SIGNAL, UNKNOWN)).all():
            names = "; names of processes go to process=" if label.dtype.kind in "UO" else ""
            raise InputError(f"label: expected 0 (background), 1 (signal) or -1 (unknown); got {np.unique(label)[:5]}{names}")
        put("label", label.astype(np.int8))
        process = np.full(n, self.process) if isinstance(self.process, str) else np.asarray(self.process, dtype=np.str_)
        put("process", process)
        put("weight", np.ones(n, np.float32) if self.weight is None else np.asarray(self.weight, dtype=np.float32))
        put("feature_names", tuple(self.feature_names))
        put("feature_units", tuple(self.feature_units) or ("",) * len(self.feature_names))
        for name in ("particle_extras", "extras"):
            put(name, {k: np.asarray(v) for k, v in sorted(getattr(self, name).items())})
        put("meta", dict(self.meta))
        self._validate()

    def _validate(self) -> None:
        n, p, _ = self.particles.shape
        if self.features.ndim != 2 or self.features.shape != (n, len(self.feature_names)):
            raise InputError(
                f"features: expected shape ({n}, {len(self.feature_names)}), a column for each of "
                f"{list(self.feature_names)}; got {self.features.shape}"
            )
        if len(self.feature_units) != len(self.feature_names):
            raise InputError(f"feature_units: expected {len(self.feature_names)}, got {len(self.feature_units)}")
        for name, array in (*self.extras.items(), *self.particle_extras.items()):
            if array.dtype.kind not in "biuf" or "/" in name:
                raise InputError(f"extra '{name}': expected numbers under a name without '/', got {array.dtype}")
        columns = [("label", self.label), ("process", self.process), ("weight", self.weight), *self.extras.items()]
        for name, array in columns:
            if array.shape[:1] != (n,):
                raise InputError(f"{name}: expected {n} entries, one for each event; got shape {array.shape}")
        for name, array in self.particle_extras.items():
            if array.shape != (n, p):
                raise InputError(f"particle extra '{name}': expected shape ({n}, {p}), got {array.shape}")
        for name, array in (("particles", self.particles), ("features", self.features), ("weight", self.weight)):
            finite = np.isfinite(array).reshape(n, int(np.prod(array.shape[1:]))).all(1)
            if not finite.all():
                raise InputError(
                    f"{name}: {int((~finite).sum())} of {n} events contain NaN or infinity, the first is event "
                    f"{int(np.argmin(finite))}; remove them before making a sample"
                )
        pt = self.particles[..., 0]
        if (pt < 0).any():
            raise InputError(f"particles: negative pT in event {int(np.argmax((pt < 0).any(1)))}; expected pT >= 0 GeV")
        ghosts = ((pt == 0) & (self.particles[..., 3] != 0)).any(1)
        if ghosts.any():
            raise InputError(f"particles: event {int(np.argmax(ghosts))} has a particle with mass but no pT; "
                             "absent particles are zero")
        slots = self.meta.get("slots", ())
        named = isinstance(slots, list | tuple) and all(isinstance(s, str) for s in slots)
        if not named or len(slots) != (p if "slots" in self.meta else 0):
            raise InputError(f"meta['slots']: expected the name of an object for each of {p} particle columns, got "
                             f"{str(slots)[:80]}")
        if "slots" not in self.meta and p > 1 and (np.diff(pt, axis=1) > 0).any():
            bad = int(np.argmax((np.diff(pt, axis=1) > 0).any(1)))
            raise InputError(f"particles: event {bad} is not sorted by descending pT; sort each event's particles first "
                             "(qad.data.from_momenta sorts, and takes px, py, pz, E)")
        self._doubt()

    def _doubt(self) -> None:
        """Warn of numbers in other units, or in another order, than they are expected."""
        largest = np.abs(self.particles).max((0, 1), initial=0)
        if largest[0] > 1e5 or largest[3] > 1e5:
            warnings.warn(f"particles: pT up to {largest[0]:.3g} and masses up to {largest[3]:.3g} GeV are beyond any "
                          "collider: are they in MeV? Divide both by 1000", stacklevel=beyond())
        if largest[2] > 7:
            warnings.warn(f"particles: phi up to {largest[2]:.3g}, expected rad within ±2π: degrees (np.deg2rad), or columns "
                          "in another order than pT, eta, phi, mass?", stacklevel=beyond())

    def __len__(self) -> int:
        return len(self.particles)

    def __getitem__(self, index: Any) -> Sample:
        """Events chosen by a slice, a boolean mask or an array of integers (one event as a slice of length one)."""
        if isinstance(index, str):
            raise InputError(f"a sample is indexed by events; for a column write sample.feature('{index}') or "
                             f"sample.extras['{index}']")
        if isinstance(index, int | np.integer):
            if not -len(self) <= index < len(self):
                raise IndexError(f"event {index} is out of range; the sample holds {len(self)} events")
            index = [index]
        return Sample(
            particles=self.particles[index],
            features=self.features[index],
            feature_names=self.feature_names,
            feature_units=self.feature_units,
            label=self.label[index],
            process=self.process[index],
            weight=self.weight[index],
            particle_extras={k: v[index] for k, v in self.particle_extras.items()},
            extras={k: v[index] for k, v in self.extras.items()},
            meta=self.meta,
        )

    def __repr__(self) -> str:
        kinds, counts = np.unique(self.process, return_counts=True)
        contents = ", ".join(f"{c:,} {k}" for k, c in zip(kinds, counts, strict=True))
        return f"Sample({contents or 'no events'}; {self.particles.shape[1]} particles, {len(self.feature_names)} features)"

    @property
    def present(self) -> np.ndarray:
        """Which particle slots are filled, bool ``(n, p)``."""
        return self.particles[..., 0] > 0

    def feature(self, name: str) -> np.ndarray:
        """One feature column, float32 ``(n,)``."""
        if name not in self.feature_names:
            raise InputError(f"no feature '{name}'; this sample has {', '.join(self.feature_names) or 'none'}"
                             f"{nearest(name, self.feature_names)}")
        return self.features[:, self.feature_names.index(name)]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the arrays: equal for identical events, whatever file, chunking or provenance they came with."""
        hasher = Fingerprint()
        hasher.update(self)
        return hasher.hexdigest()

    def save(self, path: Any) -> None:
        """Write to HDF5; see :mod:`qad.data.store`."""
        from qad.data.store import write

        write(self, path)


def arrays_of(sample: Sample) -> Iterator[tuple[str, np.ndarray]]:
    """Every array of a sample with its name in the store, in fixed order (process as strings)."""
    yield "particles", sample.particles
    yield "features", sample.features
    yield "label", sample.label
    yield "process", sample.process
    yield "weight", sample.weight
    for k, v in sample.particle_extras.items():
        yield f"particle_extras/{k}", v
    for k, v in sample.extras.items():
        yield f"extras/{k}", v


class Fingerprint:
    """SHA-256 of a sample's arrays, fed in chunks of events; the chunking does not matter."""

    def __init__(self) -> None:
        self._columns: dict[str, Any] = {}
        self._header: tuple[Any, ...] | None = None

    def update(self, sample: Sample) -> None:
        header = (sample.feature_names, sample.feature_units,
                  tuple((k, v.dtype.kind if k == "process" else v.dtype.str, v.shape[1:]) for k, v in arrays_of(sample)))
        if self._header is None:
            self._header = header
            self._columns = {k: hashlib.sha256() for k, _ in arrays_of(sample)}
        elif header != self._header:
            raise InputError("chunks of one sample must have the same columns, types and shapes")
        for name, array in arrays_of(sample):
            if name == "process":
                self._columns[name].update("".join(f"{p}\n" for p in array).encode())
            else:
                self._columns[name].update(np.ascontiguousarray(array).data)

    def hexdigest(self) -> str:
        total = hashlib.sha256(repr(self._header).encode())
        for name in sorted(self._columns):
            total.update(name.encode() + self._columns[name].digest())
        return total.hexdigest()


def concatenate(samples: Sequence[Sample]) -> Sample:
    """One sample after another; columns must agree, shorter particle lists are padded with zeros."""
    if not samples:
        raise InputError("nothing to concatenate: expected at least one sample")
    first = samples[0]
    for s in samples[1:]:
        same = (s.feature_names == first.feature_names and s.feature_units == first.feature_units
                and s.extras.keys() == first.extras.keys()
                and s.particle_extras.keys() == first.particle_extras.keys())
        if not same:
            raise InputError(f"samples with different columns or units cannot be concatenated: {first!r} and {s!r}")
    p = max(s.particles.shape[1] for s in samples)

    def pad(a: np.ndarray) -> np.ndarray:
        return np.pad(a, [(0, 0), (0, p - a.shape[1])] + [(0, 0)] * (a.ndim - 2))

    slots = first.meta.get("slots")
    shared = {"slots": slots} if slots is not None and all(s.meta.get("slots") == slots for s in samples) else {}
    return Sample(
        particles=np.concatenate([pad(s.particles) for s in samples]),
        features=np.concatenate([s.features for s in samples]),
        feature_names=first.feature_names,
        feature_units=first.feature_units,
        label=np.concatenate([s.label for s in samples]),
        process=np.concatenate([s.process for s in samples]),
        weight=np.concatenate([s.weight for s in samples]),
        particle_extras={k: np.concatenate([pad(s.particle_extras[k]) for s in samples]) for k in first.particle_extras},
        extras={k: np.concatenate([s.extras[k] for s in samples]) for k in first.extras},
        meta=first.meta if all(s.meta == first.meta for s in samples) else {"parts": [dict(s.meta) for s in samples], **shared},
    )
