"""Events of your own as a Sample: a CSV file, named columns, an array of momenta."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from qad.data.formats.table import SPOKEN_FOR, columns_of, named
from qad.data.kinematics import eta_phi, invariant_mass
from qad.data.sample import Sample
from qad.errors import InputError

#: What the last axis of an array of momenta may hold.
MOMENTA = (("pt", "eta", "phi", "mass"), ("pt", "eta", "phi"), ("E", "px", "py", "pz"), ("px", "py", "pz", "E"))


def from_columns(columns: Mapping[str, ArrayLike], units: Mapping[str, str] | None = None, **more: Any) -> Sample:
    """A Sample whose features are named ``columns``, ``(n,)`` each: a dictionary, a pandas DataFrame.

    units   of some of them, by name; ``"m [GeV]"`` as a name does as well
    more    what else :class:`Sample` takes: ``process``, ``label``, ``weight``, ``extras``, ``meta``

    Columns called label (0, 1 or -1), process, weight and event (a number) are what they say, and no features. Raises
    :class:`InputError` for columns of different length, or that are not numbers.
    """
    units, taken, features = dict(units or {}), {}, {}
    for column, values in columns.items():
        name, unit = named(str(column))
        if name in taken or name in features:
            raise InputError(f"two columns are called '{name}': rename one of them")
        if name in SPOKEN_FOR:
            taken[name] = np.asarray(values)
            continue
        try:
            features[name] = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError):
            raise InputError(f"column '{name}': expected numbers, got {np.asarray(values).ravel()[:3].tolist()}; leave it out, "
                             "or turn it into numbers first") from None
        units.setdefault(name, unit)
    lengths = {name: np.shape(values) for name, values in (*features.items(), *taken.items())}
    if not features or len({*lengths.values()}) != 1 or len(next(iter(lengths.values()))) != 1:
        said = ", ".join(f"{name} {shape}" for name, shape in lengths.items()) or "none"
        raise InputError(f"expected columns of numbers, one an event and all of the same length; got {said}")
    if unknown := [name for name in units if name not in features]:
        raise InputError(f"units of '{unknown[0]}', which is none of the features {', '.join(features)}")
    extras = dict(more.pop("extras", {}))
    if "event" in taken:
        extras["event"] = taken.pop("event")
    if twice := [name for name in taken if name in more]:
        raise InputError(f"{twice[0]} is a column of the table: leave {twice[0]}= out")
    table = np.column_stack([*features.values()])
    return Sample(particles=np.zeros((len(table), 0, 4)), features=table, feature_names=tuple(features),
                  feature_units=tuple(units[name] for name in features), extras=extras,
                  **{**more, **taken, "meta": {**more.get("meta", {}), "slots": []}})


def from_csv(path: str | Path, units: Mapping[str, str] | None = None, **more: Any) -> Sample:
    """A Sample from a CSV file: a line of names (``m_jj`` or ``m_jj [GeV]``), then a line of numbers for each event.

    Read as the format ``table`` is; ``units`` and ``more`` as in :func:`from_columns`. An unnamed first column, which pandas
    writes, is the event's number. Raises :class:`InputError` with the line where something else stands, NaN and empty entries
    included.
    """
    path = Path(path)
    meta = {"source": "table", "file": path.name, **more.pop("meta", {})}
    return from_columns(columns_of(path), units, meta=meta, **more)


def from_momenta(momenta: ArrayLike, columns: Sequence[str] = ("pt", "eta", "phi", "mass"), **more: Any) -> Sample:
    """A Sample of jets from the momenta of their constituents, ``(n, p, 3 or 4)`` GeV and rad, in any order, zero where absent.

    columns   what the last axis holds: pt eta phi (massless), pt eta phi mass, E px py pz or px py pz E
    more      what else :class:`Sample` takes: ``process``, ``label``, ``extras``, ``meta``

    Constituents are sorted by pT, massless below rounding. Raises :class:`InputError` for other columns or shapes.
    """
    columns, x = tuple(columns), np.asarray(momenta, dtype=np.float64)
    if columns not in MOMENTA:
        raise InputError(f"columns={list(columns)}: expected one of " + "; ".join(" ".join(known) for known in MOMENTA))
    if x.ndim != 3 or x.shape[2] != len(columns):
        raise InputError(f"expected momenta of shape (jets, constituents, {len(columns)}), {' '.join(columns)}; got {x.shape}")
    if "E" in columns:
        p4 = x[..., [columns.index(c) for c in ("px", "py", "pz", "E")]]
        pt, mass = np.hypot(p4[..., 0], p4[..., 1]), invariant_mass(p4)
        mass = np.where(mass > 1e-3 * p4[..., 3], mass, 0.0)  # what float32 leaves of a massless one
        particles = np.stack([pt, *eta_phi(p4), mass], -1)
    else:
        particles = np.zeros((*x.shape[:2], 4))
        particles[..., : x.shape[2]] = x
    particles *= particles[..., :1] != 0  # η and φ of what is absent
    order = np.argsort(-particles[..., 0], axis=1, kind="stable")
    return Sample(particles=np.take_along_axis(particles, order[..., None], axis=1), **more)
