"""Curves of the page, of figures and of records are those that the numbers of the tables lie on."""

import numpy as np
import pytest

from qad.benchmark.runs import Run
from qad.metrics import max_sic, rejection
from qad.metrics.ranking import FEWEST_BACKGROUND
from qad.report import figures
from qad.report.record import EFFICIENCIES, _rows
from qad.report.tables import rows_of, summarise
from tests.report.test_report import BOTH, KINDS, invented


@pytest.fixture
def few():
    """Three seeds of a detector on 2,000 background events and 40 signal events."""
    record = invented({"new": BOTH}, KINDS, seeds=1, trains=("qcd",))[0].record
    rng = np.random.default_rng(3)
    b, s = rng.normal(0, 1, (3, 2000)), rng.normal(1, 1, (3, 40))
    return [Run(None, {**record, "seed": i}, {"qcd": b[i], "top": s[i]}) for i in range(3)]


def test_rejection_is_that_of_the_table_where_signal_events_are_few(few):
    [s] = summarise(rows_of(few[:1]))
    curve = s.rows[0].curve
    x, y = figures.rejection_points(s)
    assert y == pytest.approx([rejection(curve, e) for e in x], rel=1e-9) and len(x) > 50
    kept = _rows([s], [("qcd", "x", "new")])[0]["rejection"]
    expected = [rejection(curve, e) for e in EFFICIENCIES]
    assert kept == [None if np.isnan(v) else pytest.approx(v, rel=1e-3) for v in expected] and None in kept
    naive = 1 / np.interp(x, curve.tpr, curve.fpr)  # the last of equal ε_s
    assert (naive < 0.9 * y).any()


def test_curves_end_where_the_table_does(few, monkeypatch):
    [s] = summarise(rows_of(few[:1]))
    left = len(figures.rejection_points(s)[0])
    monkeypatch.setattr("qad.report.tables.mean_fpr.__defaults__", (10 * FEWEST_BACKGROUND,))
    assert 0 < len(figures.rejection_points(s)[0]) < left


def test_sic_is_of_all_seeds(few):
    [s] = summarise(rows_of(few))
    x, y = figures.sic_points(s)
    fpr = np.mean([[1 / rejection(r.curve, e, 0) for e in x] for r in s.rows], axis=0)
    assert y == pytest.approx(x / np.sqrt(fpr), rel=1e-9) and (fpr * 2000 >= 25 - 1e-9).all() and len(x) > 50
    [one] = summarise(rows_of(few[:1]))
    assert figures.sic_points(one)[1].max() <= max_sic(one.rows[0].curve) + 1e-9
    assert figures.sic_points(one)[1].max() == pytest.approx(max_sic(one.rows[0].curve), rel=0.05)
    assert x[-1] == 1 <= y[-1]


def test_a_detector_that_is_the_ceiling_lies_zero_above_it():
    from qad.report.verdict import judge

    runs = invented({"new": BOTH, "cut": BOTH}, {"new": "quantum", "cut": "control"})
    for run in runs:
        run.record["diagnostics"] = {"distance_to_ceiling": -3e-9, "loss_at_ceiling": 0.1, "loss_at_zero": 0.2}
    sentences = " ".join(judge(summarise(rows_of(runs))).sentences)
    assert "0.00000 above the least loss" in sentences and "-0.00000" not in sentences
