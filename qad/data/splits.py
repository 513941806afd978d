"""Split a sample into named parts. Jets of one event always go to the same part."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from qad.data.sample import Sample
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
    parts = split_indices(len(sample), sizes, seed, sample.extras.get("event"))
    return {name: sample[index] for name, index in parts.items()}
