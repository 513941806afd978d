"""Counts that were fetched, as scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from qad import persistence, pipeline
from qad.errors import InputError
from qad.hardware.folder import READOUT, Folder
from qad.quantum import measured
from qad.quantum.backends import mitigation


def write_scores(folder: Folder, record: dict[str, Any], classes: dict[str, type] | None = None) -> int | None:
    """Write scores.csv for all events whose counts are here: ``event`` (place in the data), ``score``, ``error`` from shots.

    Returns how many; None, and nothing is written, while the readout that is to be mitigated is not measured. Mitigated scores
    take quasi-probabilities, so they may leave [0, 1]; their error holds what unfolding adds, not the error of the confusions.
    """
    outcomes = 2 ** record["read"]
    chunks = [c for c in folder.chunks(record) if folder.fetched(c)]
    confusion = None
    if record["request"]["mitigation"] == "readout":
        seen = {c.name: folder.counts(c, outcomes) for c in chunks if c.measures}
        if len(seen) < len(READOUT):
            return None
        confusion = mitigation.confusions(*(seen[name][0] / seen[name].sum() for name in READOUT))
    chunks = sorted((c for c in chunks if not c.measures), key=lambda c: c.start)
    if not chunks:
        return 0
    _, detector = pipeline.parts(persistence.load(folder.path / "model", classes))
    table: dict[str, list[np.ndarray]] = {"event": [], "score": [], "error": []}
    for chunk in chunks:
        found = scored(detector, folder.counts(chunk, outcomes), confusion)
        if not np.isfinite(found.score).all():
            raise InputError(f"{folder.path}: scores of events {chunk.start} to {chunk.stop} are not finite")
        for column, values in zip(table.values(), (np.arange(chunk.start, chunk.stop), *found), strict=True):
            column.append(values)
    for name in ("score", "error"):
        table[name] = [np.array([float(f"{x:.9g}") for x in np.concatenate(table[name]).tolist()])]  # counts know no more
    pipeline.write_scores(folder.path / "scores.csv", {name: np.concatenate(values) for name, values in table.items()})
    return sum(c.stop - c.start for c in chunks)


def scored(detector: Any, counts: np.ndarray, confusion: np.ndarray | None = None) -> measured.Measured:
    """Scores of ``counts`` ``(events, 2^read)`` and their errors; ``confusion`` ``(read, 2, 2)`` unfolds the readout.

    A score Σ_k w_k p_k of unfolded p is Σ_b v_b f_b of the measured shares f, v = M w: its variance is
    (Σ f v² - (Σ f v)²)/S. For -log p_0 that of p_0, divided by p_0².
    """
    shots = counts.sum(1)
    shares = counts / shots[:, None]
    if confusion is None:
        return measured.scores(detector, shares, shots)
    score = measured.scores(detector, mitigation.unfolded(shares, confusion), shots).score
    values = getattr(detector, "outcomes_", None)
    weights = np.arange(counts.shape[1]) != 0 if values is None else values  # 1 - p_0
    v = mitigation.unfolded(np.asarray(weights, dtype=np.float64)[None], confusion.transpose(0, 2, 1))[0]
    variance = np.maximum(shares @ v**2 - (shares @ v) ** 2, 0)
    if values is None and detector.score_as == "log-fidelity":
        variance = variance / np.exp(-score) ** 2
    return measured.Measured(score, np.sqrt(variance / shots))
