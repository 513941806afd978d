"""The verdict in words, worked out from the numbers alone. "None" is an answer, and so is "undecided"."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qad.metrics import Difference
from qad.report.convergence import mark
from qad.report.tables import Summary

#: Significance a paired difference must reach before a detector is said to be ahead.
NEEDED = 3.0
JUDGED = ("quantum", "classical")
#: Parameters of a circuit's training, not of the circuit.
TRAINING = ("epochs", "learning_rate", "patience", "start", "random_state")


@dataclass(frozen=True)
class Verdict:
    """One headline and the sentences behind it."""

    headline: str
    sentences: tuple[str, ...]


def directions(summaries: Sequence[Summary]) -> list[tuple[str, str]]:
    """Every (background, signal) pair, in order."""
    return list(dict.fromkeys((s.train, s.signal) for s in summaries))


def ahead_of_all(candidate: Summary, controls: Sequence[Summary]) -> bool:
    """Whether ``candidate`` beats each control with more than ``NEEDED`` paired standard deviations (unknown is not more)."""
    return bool(controls) and all(candidate.minus(c).z > NEEDED for c in controls)


def best_of(group: Sequence[Summary]) -> Summary:
    """The summary with the largest mean AUC."""
    return max(group, key=lambda s: s.mean["auc"])


def judge(summaries: Sequence[Summary], missing: int = 0) -> Verdict:
    """Which detector beats every control, by how much and with what confidence, in each direction and in all of them.

    ``missing``: how many of the study's models are not there; then nothing is awarded.
    """
    sentences: list[str] = []
    winners: dict[tuple[str, str], set[str]] = {}
    for train, signal in directions(summaries):
        here = [s for s in summaries if (s.train, s.signal) == (train, signal)]
        sentences += _direction(f"Trained on {train}, looking for {signal}", here, winners.setdefault((train, signal), set()))
    sentences += _inverted(summaries) + _training(summaries)
    return Verdict(_headline(summaries, winners, missing), tuple(sentences))


def _headline(summaries: Sequence[Summary], winners: dict[tuple[str, str], set[str]], missing: int) -> str:
    if missing:
        return f"Undecided: {missing} of the study's models are missing; the same command trains them or says why not."
    if not any(s.kind in JUDGED for s in summaries):
        return "Undecided: the study holds controls only."
    for train, signal in directions(summaries):
        here = [s for s in summaries if (s.train, s.signal) == (train, signal)]
        if not any(s.kind == "control" for s in here):
            return f"Undecided: the study holds no control for {train} → {signal}."
        if len({r.values["fingerprint"] for s in here for r in s.rows}) > 1:
            return f"Undecided: the detectors were not compared on identical events in {train} → {signal}."
    if max(len(s.rows) for s in summaries) < 2:
        return "Undecided: with one seed the spread of training is unknown; give at least two, better five."
    everywhere = sorted(set.intersection(*winners.values()))
    if everywhere:
        controls = len({s.name for s in summaries if s.kind == "control"})
        pairs = directions(summaries)
        tried = f"{controls} control{'s' * (controls > 1)}, {len(pairs)} direction{'s' * (len(pairs) > 1)}"
        one_way = "" if any((b, a) in pairs for a, b in pairs) else " The reverse direction was not tried."
        marks = {n: mark(r.run for s in summaries if s.name == n for r in s.rows) for n in everywhere}
        called = [f"{n} [{m}]" if m else n for n, m in marks.items()]
        return f"{_list(called)} beat{'s' * (len(everywhere) == 1)} every control in every direction ({tried}).{one_way}"
    return "None of the detectors beats every control in every direction."


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def _told(d: Difference) -> str:
    if not math.isfinite(d.error):
        return f"difference {d.value:+.4f}, its error unknown"
    digits = 4 if d.error >= 1e-4 else 6
    significance = f" ({d.z:+.1f} s.d., paired)" if math.isfinite(d.z) else ""
    return f"difference {d.value:+.{digits}f} ± {d.error:.{digits}f}{significance}"


def _direction(what: str, here: list[Summary], winners: set[str]) -> list[str]:
    controls = [s for s in here if s.kind == "control"]
    candidates = [s for s in here if s.kind in JUDGED]
    if not candidates or not controls:
        return [f"{what}: {'no detector to judge' if not candidates else 'no control to judge by'}."]
    won = [s for s in candidates if ahead_of_all(s, controls)]
    winners |= {s.name for s in won}
    best, control = best_of(won or candidates), best_of(controls)
    d = best.minus(control)
    compared = (f"{best.called} with AUC {best.mean['auc']:.4f} against {control.mean['auc']:.4f} of the best of "
                f"{len(controls)} controls, {control.called}: {_told(d)}")
    if won:
        more = f". {len(won)} detectors are: {_list([s.called for s in won])}" if len(won) > 1 else ""
        out = [f"{what}: ahead of every control is {compared}{more}."]
    elif d.value > 0:
        out = [f"{what}: none is significantly ahead of every control; the best is {compared}{_unbeaten(best, controls, d)}."]
    else:
        out = [f"{what}: none beats every control; the best is {compared}."]
    quantum = [s for s in candidates if s.kind == "quantum"]
    classical = [s for s in here if s.family == "classical" and s.kind in ("classical", "control")]
    if quantum and classical:
        q, c = best_of(quantum), best_of(classical)
        d = q.minus(c)
        word = "ahead of" if d.z > NEEDED else "behind" if d.z < -NEEDED else "not told apart from"
        out.append(f"{what}: the best quantum detector, {q.called}, is {word} the best classical detector or control, "
                   f"{c.called}: AUC {q.mean['auc']:.4f} against {c.mean['auc']:.4f}, {_told(d)}.")
    return out


def _unbeaten(best: Summary, controls: Sequence[Summary], d: Difference) -> str:
    """Which control stands in the way of one that is ahead of the best control: one whose seeds scatter."""
    left = [c for c in controls if not best.minus(c).z > NEEDED]
    if not (d.z > NEEDED and left):
        return ""
    more = f" and {len(left) - 1} more" if len(left) > 1 else ""
    return f"; but {left[0].called}{more}, whose seeds scatter, cannot be said to be beaten: {_told(best.minus(left[0]))}"


def _inverted(summaries: Sequence[Summary]) -> list[str]:
    """Which judged detectors call the anomaly more ordinary than the background, and what it means if only one way."""

    def inverts(s: Summary) -> bool:
        half = (s.interval[1] - s.interval[0]) / 2  # of the mean AUC, over events
        spread = s.sd["auc"] / math.sqrt(len(s.rows)) if len(s.rows) > 1 else 0.0
        return s.mean["auc"] + NEEDED * math.hypot(half, spread) < 0.5

    out = []
    for s in summaries:
        if s.kind not in JUDGED or not inverts(s):
            continue
        swapped = [o for o in summaries if o.name == s.name and (o.train, o.signal) == (s.signal, s.train)]
        meaning = " It measures complexity, not strangeness." if swapped and not inverts(swapped[0]) else ""
        out.append(f"{s.called} inverts: trained on {s.train}, it calls {s.signal} less anomalous than {s.train} "
                   f"(AUC {s.mean['auc']:.4f}).{meaning}")
    return out


#: What is asked of the kept rows, which a circuit with weights zero or random does not know.
ASKED = ("contrast", "reference", "unitary", "starts", "epsilon")


def _circuit(s: Summary) -> dict[str, Any]:
    record = s.rows[0].run.record
    shared = {k: v for k, v in record["detector"]["params"].items() if k not in (*TRAINING, *ASKED)}
    return {**shared, "n_train": record.get("n_train")}


def _role(s: Summary) -> str:
    """``untrained``, ``ceiling``, … of a control ``quantum-…-untrained``."""
    return s.rows[0].run.record["detector"]["use"].rpartition("-")[2]


def _floor(s: Summary) -> float:
    """Least loss of any unitary on what ``s`` was asked for, mean over the seeds; NaN if unknown."""
    notes = [r.run.record["diagnostics"].get("loss_at_ceiling", math.nan) for r in s.rows]
    return sum(notes) / len(notes)


def _training(summaries: Sequence[Summary]) -> list[str]:
    """Does training the circuit gain anything over the same circuit untrained, and how far from the ceiling does it end?"""
    out, told = [], set()
    for s in summaries:
        if s.kind != "quantum":
            continue
        beside = {_role(o): o for o in summaries
                  if (o.train, o.signal, o.representation) == (s.train, s.signal, s.representation)
                  and o.family == "quantum" and o.kind == "control" and _circuit(o) == _circuit(s)}
        where = f"{s.called}, {s.train} → {s.signal}"
        trained = s.rows[0].run.record["detector"]["params"].get("unitary", "circuit") == "circuit"
        if "untrained" in beside and trained:
            control = beside["untrained"]
            d = s.minus(control)
            gain = "gains something" if d.z > NEEDED else "loses something" if d.z < -NEEDED else "gains nothing"
            out.append(f"{where}: training {gain} over the same circuit with all weights zero: AUC {s.mean['auc']:.4f} "
                       f"against {control.mean['auc']:.4f}, {_told(d)}.")
        notes = [r.run.record["diagnostics"] for r in s.rows]
        if (s.name, s.train) not in told and all("distance_to_ceiling" in n for n in notes):
            told.add((s.name, s.train))  # the loss belongs to the training sample, whatever the signal
            gap = sum(n["distance_to_ceiling"] for n in notes) / len(notes)
            gap = 0.0 if abs(gap) < 5e-6 else gap  # rounding, of one that is the ceiling: no -0.00000
            floor = sum(n["loss_at_ceiling"] for n in notes) / len(notes)
            reached = beside.get("ceiling")
            if reached and abs(floor - _floor(reached)) > 1e-9:  # the ceiling of another objective, without contrast say
                reached = None
            detects = f"; that unitary finds {s.signal} with AUC {reached.mean['auc']:.4f}" if reached else ""
            zero = sum(n["loss_at_zero"] for n in notes) / len(notes)
            out.append(f"{s.called}, trained on {s.train}: its loss is {floor + gap:.5f} ({zero:.5f} with all weights zero), "
                       f"{gap:.5f} above the least loss of any unitary ({floor:.5f}){detects}.")
    return out
