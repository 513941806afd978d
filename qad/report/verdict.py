"""The verdict in words, worked out from the numbers alone. "None" is an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qad.report.tables import Summary

#: Standard deviations a paired difference must reach before a detector is said to be ahead.
NEEDED = 3.0
JUDGED = ("quantum", "classical")


@dataclass(frozen=True)
class Verdict:
    """One headline and the sentences behind it."""

    headline: str
    sentences: tuple[str, ...]


def directions(summaries: Sequence[Summary]) -> list[tuple[str, str]]:
    """Every (background, signal) pair, in order."""
    return list(dict.fromkeys((s.train, s.signal) for s in summaries))


def ahead_of_all(candidate: Summary, controls: Sequence[Summary]) -> bool:
    """Whether ``candidate`` beats each control by more than ``NEEDED`` paired standard deviations."""
    return all(candidate.minus(c).z > NEEDED for c in controls)


def judge(summaries: Sequence[Summary]) -> Verdict:
    """Which detector beats every control, by how much and with what confidence, in each direction and in all of them."""
    sentences: list[str] = []
    winners: dict[tuple[str, str], set[str]] = {}
    for train, signal in directions(summaries):
        here = [s for s in summaries if (s.train, s.signal) == (train, signal)]
        sentences += _direction(train, signal, here, winners)
    sentences += _worst_direction(summaries) + _training(summaries)
    judged = {s.name for s in summaries if s.kind in JUDGED}
    everywhere = sorted(set.intersection(*winners.values())) if winners else []
    if not judged:
        headline = "No detector was judged: the study holds controls only."
    elif everywhere:
        headline = f"{_list(everywhere)} beat{'s' if len(everywhere) == 1 else ''} every control in every direction."
    else:
        headline = "None of the detectors beats every control in every direction."
    return Verdict(headline, tuple(sentences))


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def _direction(train: str, signal: str, here: list[Summary], winners: dict[tuple[str, str], set[str]]) -> list[str]:
    controls = [s for s in here if s.kind == "control"]
    candidates = [s for s in here if s.kind in JUDGED]
    winners[train, signal] = {s.name for s in candidates if controls and ahead_of_all(s, controls)}
    what = f"Trained on {train}, looking for {signal}"
    if not candidates or not controls:
        missing = "no detector to judge" if not candidates else "no control to judge by"
        return [f"{what}: {missing}."]
    best, control = (max(group, key=lambda s: s.mean["auc"]) for group in (candidates, controls))
    d = best.minus(control)
    compared = (f"{best.name} with AUC {best.mean['auc']:.4f} against {control.mean['auc']:.4f} of the best control, "
                f"{control.name}: difference {d.value:+.4f} ± {d.error:.4f} ({d.z:+.1f} s.d., paired)")
    if winners[train, signal]:
        number = len(winners[train, signal])
        more = "" if number == 1 else f" {number} detectors do: {_list(sorted(winners[train, signal]))}."
        out = [f"{what}: ahead of every control is {compared}.{more}"]
    elif d.z > 0:
        out = [f"{what}: none is significantly ahead of every control; the best is {compared}."]
    else:
        out = [f"{what}: none beats every control; the best is {compared}."]
    quantum = [s for s in candidates if s.kind == "quantum"]
    classical = [s for s in here if s.kind in ("classical", "control")
                 and not s.rows[0].run.record["detector"]["use"].startswith("quantum")]
    if quantum and classical:
        q, c = (max(group, key=lambda s: s.mean["auc"]) for group in (quantum, classical))
        d = q.minus(c)
        word = "ahead of" if d.z > NEEDED else "behind" if d.z < -NEEDED else "level with"
        out.append(f"{what}: the best quantum detector, {q.name}, is {word} the best classical one, {c.name}: "
                   f"AUC {q.mean['auc']:.4f} against {c.mean['auc']:.4f} ({d.value:+.4f} ± {d.error:.4f}).")
    return out


def _worst_direction(summaries: Sequence[Summary]) -> list[str]:
    """Which judged detectors call the anomaly more ordinary than the background."""
    out = []
    for s in summaries:
        # inverted: one half lies outside the interval of the mean AUC by more than NEEDED times its half-width
        half = (s.interval[1] - s.interval[0]) / 2
        if s.kind in JUDGED and s.mean["auc"] + NEEDED * half < 0.5:
            out.append(f"{s.name} inverts: trained on {s.train}, it calls {s.signal} less anomalous than {s.train} "
                       f"(AUC {s.mean['auc']:.4f}). It measures complexity, not strangeness.")
    return out


def _training(summaries: Sequence[Summary]) -> list[str]:
    """Does training the circuit gain anything over the same circuit untrained, and how far from the ceiling does it end?"""
    out = []
    for s in summaries:
        if s.kind != "quantum":
            continue
        beside = {o.rows[0].run.record["detector"]["use"]: o for o in summaries
                  if (o.train, o.signal, o.representation) == (s.train, s.signal, s.representation)}
        where = f"{s.name}, {s.train} → {s.signal}"
        if "quantum-untrained" in beside:
            control = beside["quantum-untrained"]
            d = s.minus(control)
            gain = "gains nothing" if d.z < NEEDED else "gains"
            out.append(f"{where}: training {gain} over the same circuit with all weights zero: AUC {s.mean['auc']:.4f} against "
                       f"{control.mean['auc']:.4f} ({d.value:+.4f} ± {d.error:.4f}).")
        notes = [r.run.record["diagnostics"] for r in s.rows]
        if all("distance_to_ceiling" in n for n in notes):
            gap = sum(n["distance_to_ceiling"] for n in notes) / len(notes)
            floor = sum(n["loss_at_ceiling"] for n in notes) / len(notes)
            reached = beside.get("quantum-ceiling")
            detects = f"; the ideal unitary detects with AUC {reached.mean['auc']:.4f}" if reached else ""
            out.append(f"{where}: the trained loss is {floor + gap:.5f}, {gap:.5f} above the ceiling of any unitary "
                       f"({floor:.5f}){detects}.")
    return out
