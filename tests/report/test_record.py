import json
import re

import numpy as np
import pytest

from qad.benchmark.runs import read_runs
from qad.errors import InputError
from qad.metrics import rejection, roc
from qad.report import write_report
from qad.report.record import EFFICIENCIES, SCHEMA_VERSION, as_record, as_text, read_record, write_record
from qad.report.tables import read_rows, summarise
from tests.benchmark.conftest import finished, toy_files, write_study  # noqa: F401
from tests.test_cli import qad


@pytest.fixture(scope="module")
def record(finished):  # noqa: F811
    return as_record(finished)


def rows_of(record):
    for row in record["rows"]:
        model = record["models"][row["model"]]
        yield (model["train"], row["signal"], model["representation"], model["detector"]), model, row


def test_the_record_says_what_the_runs_say(record, finished):  # noqa: F811
    summaries = {(s.train, s.signal, s.representation, s.detector): s for s in summarise(read_rows(finished)[1])}
    assert {key for key, _, _ in rows_of(record)} == set(summaries)
    for key, model, row in rows_of(record):
        s = summaries[key]
        for metric, mean, sd in zip(record["metrics"], row["mean"], row["sd"], strict=True):
            assert (mean is None) == (not np.isfinite(s.mean[metric]))
            if mean is not None:
                assert mean == pytest.approx(s.mean[metric], rel=1e-4) and sd == pytest.approx(s.sd[metric], rel=0.06)
        assert row["interval"] == pytest.approx(s.interval, abs=1e-4)
        assert row["error"] == pytest.approx(np.hypot(s.boot.mean(0).std(ddof=1), s.auc.std(ddof=1) / 2**0.5), rel=0.06)
        assert model["kind"] == s.kind and model["seeds"] == 2 and model["told"] is None
        assert model["fit_seconds"] == pytest.approx(np.mean([r.values["fit_seconds"] for r in s.rows]), rel=1e-3)
    assert record["verdict"]["headline"] == write_report(finished)[1].headline
    assert record["seeds"] == [0, 1] and record["missing"] == 0 and re.fullmatch(r"\d{4}-\d\d-\d\d", record["date"])


def test_differences_are_to_the_best_control(record, finished):  # noqa: F811
    summaries = {(s.train, s.signal, s.name): s for s in summarise(read_rows(finished)[1])}
    for direction in record["directions"]:
        pair = direction["train"], direction["signal"]
        controls = {name: s for (*p, name), s in summaries.items() if tuple(p) == pair and s.kind == "control"}
        assert direction["best_control"] == max(controls, key=lambda n: controls[n].mean["auc"])
        assert len(direction["fingerprints"]) == 1 and direction["background_events"] == direction["signal_events"] == 200
        assert direction["least_rejection"] == 20
        for (train, signal, sees, name), _, row in rows_of(record):
            if (train, signal) != pair:
                continue
            called = f"{name} ({sees})"
            if called == direction["best_control"]:
                assert row["difference"] is None
            else:
                found = summaries[(*pair, called)].minus(controls[direction["best_control"]])
                assert row["difference"] == pytest.approx([found.value, found.error], rel=6e-3, abs=1e-6)


def test_curves_are_those_of_the_best(record, finished):  # noqa: F811
    runs = read_runs(finished)
    assert sum(v is not None for _, _, row in rows_of(record) for v in row.get("rejection", ())) > len(EFFICIENCIES)
    for train, signal in (("qcd", "top"), ("top", "qcd")):
        drawn = [(key, model, row) for key, model, row in rows_of(record) if key[:2] == (train, signal) and "rejection" in row]
        assert {model["kind"] for _, model, _ in drawn} == {"quantum", "classical", "control"}
        assert sum(model["kind"] == "control" for _, model, _ in drawn) == 3
        for (_, _, sees, name), _, row in drawn:
            curves = [roc(r.scores[train], r.scores[signal]) for r in runs
                      if (r.train, r.representation, r.detector) == (train, sees, name)]
            at = EFFICIENCIES.index(0.8)
            mean = np.mean([1 / rejection(c, 0.8, 1) for c in curves])
            assert len(row["rejection"]) == len(EFFICIENCIES)
            assert row["rejection"][at] == (pytest.approx(1 / mean, rel=1e-3) if mean * 200 >= 10 else None)
            known = [v for v in row["rejection"] if v is not None]
            assert known == sorted(known, reverse=True) and all(v >= 1 for v in known)


def test_it_is_small_json_without_places_on_a_computer(record, tmp_path):
    text = as_text(record)
    assert json.loads(text) == json.loads(json.dumps(record)) == record  # no NaN, no tuple, no key that is no text
    assert "NaN" not in text and str(tmp_path.parent.parent) not in text and "/tmp" not in text
    assert len(text) < 400 * len(record["rows"]) + 20_000
    assert record["samples"]["qcd"]["file"] == "qcd.h5" and record["configuration"]["samples"]["qcd"]["file"] == "qcd.h5"
    assert record["commands"] == ["qad benchmark toys.yaml", "qad report runs/toys --format record -o toys.json"]


def test_written_and_read(finished, record, tmp_path):  # noqa: F811
    assert read_record(write_record(finished, tmp_path / "toys.json")) == record
    old = {**record, "schema_version": SCHEMA_VERSION - 1}
    (tmp_path / "old.json").write_text(as_text(old))
    with pytest.raises(InputError, match=r"schema version 0, expected 1; write it again:  qad report RUNS --format record"):
        read_record(tmp_path / "old.json")
    (tmp_path / "half.json").write_text(as_text(record)[:500])
    with pytest.raises(InputError, match="is no record of a study"):
        read_record(tmp_path / "half.json")
    with pytest.raises(InputError, match="cannot read"):
        read_record(tmp_path / "none.json")
    with pytest.raises(InputError, match="holds no runs"):
        as_record(tmp_path)


def test_on_the_command_line(finished, record, tmp_path):  # noqa: F811
    done = qad("report", finished, "--format", "record", "-o", tmp_path / "toys.json")
    assert done.returncode == 0 and done.stdout.strip() == str(tmp_path / "toys.json")
    assert read_record(tmp_path / "toys.json") == record
    done = qad("report", finished, "-o", tmp_path / "report.html")
    assert done.returncode == 2 and "-o goes with --format" in done.stderr and done.stderr.count("\n") == 1
