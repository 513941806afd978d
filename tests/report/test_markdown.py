import json
import shutil

import numpy as np
import pytest

from qad.benchmark.runs import Run
from qad.errors import InputError
from qad.metrics import auc, rejection, roc
from qad.report import as_markdown, write_report
from qad.report.markdown import error
from qad.report.tables import Replicas, read_rows, rows_of, summarise
from tests.report.test_report import BOTH, KINDS, invented
from tests.test_cli import qad


def cells(text):
    """Heads, and per row a dict of cells, of every table in ``text``."""
    tables, rows = [], []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            rows.append([c.strip() for c in line.strip("|").split(" | ")])
        elif rows:
            assert len({len(r) for r in rows}) == 1 and set("".join(rows[1])) <= set("-:")
            tables.append((rows[0], [dict(zip(rows[0], r, strict=True)) for r in rows[2:]]))
            rows = []
    return tables


def test_the_table_says_what_the_runs_say(finished):
    text = as_markdown(finished)
    [(heads, rows)] = cells(text)
    assert heads == ["detector (representation)", "qcd → top", "top → qcd", "worst", "kind", "parameters", "fit seconds",
                     "events/s"]
    summaries = {(s.name, f"{s.train} → {s.signal}"): s for s in summarise(read_rows(finished)[1])}
    assert {r[heads[0]] for r in rows} == {name for name, _ in summaries}
    for row in rows:
        means = []
        for pair in heads[1:3]:
            value, _, spread = row[pair].partition(" ± ")
            s = summaries[row[heads[0]], pair]
            assert float(value) == pytest.approx(s.auc.mean(), abs=6e-5)
            assert float(spread) == pytest.approx(np.hypot(s.boot.mean(0).std(ddof=1), s.auc.std(ddof=1) / 2**0.5), abs=6e-5)
            means.append(float(value))
        assert float(row["worst"]) == min(means) and row["kind"] == s.kind
    kinds = [r["kind"] for r in rows]
    assert kinds == sorted(kinds, key=["quantum", "classical", "control"].index) and len(set(kinds)) == 3
    for kind in set(kinds):
        worst = [float(r["worst"]) for r in rows if r["kind"] == kind]
        assert worst == sorted(worst, reverse=True)
    assert write_report(finished)[1].headline in text and "mean of 2 seeds" in text
    assert f"`qad benchmark toys.yaml` and `qad report {finished} --format markdown`" in text


def test_one_background_still_shows_the_worst_of_all(finished):
    _, whole = cells(as_markdown(finished))[0]
    [(heads, rows)] = cells(as_markdown(finished, train="top"))
    assert heads[1:3] == ["top → qcd", "worst of all 2"]
    assert [r["worst of all 2"] for r in rows] == [r["worst"] for r in whole]
    assert "--train top`" in as_markdown(finished, train="top")


@pytest.mark.parametrize("metric", ["rejection_03", "rejection_05", "max_sic"])
def test_other_metrics(finished, metric):
    text = as_markdown(finished, metric)
    [(_, rows)] = cells(text)
    summaries = {(s.name, f"{s.train} → {s.signal}"): s for s in summarise(read_rows(finished)[1])}
    for row in rows:
        for pair in ("qcd → top", "top → qcd"):
            mean = summaries[row["detector (representation)"], pair].mean[metric]
            if np.isfinite(mean):
                value, spread = map(float, row[pair].split(" ± "))
                assert value == pytest.approx(mean, rel=0.06) and spread >= 0
            else:
                assert row[pair] == ("too few events" if metric == "max_sic" else "> 20")
    assert f"--metric {metric}`" in text


@pytest.mark.parametrize(("metric", "value"), [("auc", lambda c: c.auc), ("rejection_05", lambda c: rejection(c, 0.5))])
def test_errors_are_the_scatter_of_repeated_experiments(metric, value):
    record = invented({"new": BOTH}, KINDS, seeds=1, trains=("qcd",))[0].record
    found, told = [], []
    for i in range(60):
        rng = np.random.default_rng(i)
        b, s = rng.normal(0, 1, 1500), rng.normal(1, 1, 1500)
        found.append(value(roc(b, s)))
        [summary] = summarise(rows_of([Run(None, record, {"qcd": b, "top": s})]))
        if i < 3:
            told.append(error(summary, metric, Replicas(100)))
    assert np.mean(told) == pytest.approx(np.std(found), rel=0.3)


def test_seeds_that_scatter_widen_the_error():
    runs = invented({"new": BOTH}, KINDS, seeds=2, trains=("qcd",))
    quiet = error(summarise(rows_of(runs))[0], "auc", Replicas())
    runs[0].scores["top"][:] -= 1
    noisy = summarise(rows_of(runs))[0]
    a = [auc(r.scores["qcd"], r.scores["top"]) for r in runs]
    assert error(noisy, "auc", Replicas()) > abs(a[0] - a[1]) / 2 > 5 * quiet


def test_a_detector_that_lacks_a_direction_has_no_worst(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "runs")
    for run in (tmp_path / "runs").glob("top/*/mahalanobis/*/run.json"):
        run.unlink()
    text = as_markdown(tmp_path / "runs")
    rows = [r for r in cells(text)[0][1] if r["detector (representation)"].startswith("mahalanobis")]
    assert len(rows) == 2 and all(r["top → qcd"] == r["worst"] == "–" != r["qcd → top"] for r in rows)
    assert "Undecided: 4 of the study's models are missing" in text


def test_many_directions_are_a_table_per_background(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "runs")
    for path in (tmp_path / "runs").glob("*/*/*/*/"):
        record = json.loads((path / "run.json").read_text())
        with np.load(path / "scores.npz") as file:
            scores = dict(file)
        for extra in ("a", "b", "c"):
            scores[extra] = scores["top"]
            record["fingerprints"][extra] = {"test": extra}
        (path / "run.json").write_text(json.dumps(record))
        np.savez(path / "scores.npz", **scores)
    assert len(cells(as_markdown(tmp_path / "runs"))) == 1  # 8 directions
    (tmp_path / "runs9").mkdir()
    for path in (tmp_path / "runs").glob("top/*/*/*/"):
        with np.load(path / "scores.npz") as file:
            scores = dict(file)
        record = json.loads((path / "run.json").read_text())
        record["fingerprints"]["d"] = {"test": "d"}
        (path / "run.json").write_text(json.dumps(record))
        np.savez(path / "scores.npz", **scores, d=scores["a"])
    tables = cells(as_markdown(tmp_path / "runs"))
    assert [len(heads) for heads, _ in tables] == [10, 11] and all("worst of all 9" in heads for heads, _ in tables)


def test_one_seed_is_said(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "runs")
    for run in (tmp_path / "runs").glob("*/*/*/1-*/run.json"):
        run.unlink()
    assert as_markdown(tmp_path / "runs").startswith("AUC of one seed ± error of the test events; the spread")


def test_mistakes_are_one_sentence(finished, tmp_path):
    with pytest.raises(InputError, match="unknown background 'qdc'; did you mean 'qcd'"):
        as_markdown(finished, train="qdc")
    with pytest.raises(InputError, match="unknown metric 'aux'; did you mean 'auc'"):
        as_markdown(finished, "aux")
    with pytest.raises(InputError, match="holds no runs"):
        as_markdown(tmp_path)


def test_on_the_command_line(finished):
    done = qad("report", finished, "--format", "markdown", "--train", "qcd")
    assert done.returncode == 0 and done.stdout == as_markdown(finished, train="qcd") + "\n"
    for options, piece in ((("--format", "word"), "Known: html, latex, markdown, pdf, record"),
                           (("--metric", "max_sic"), "go with --format markdown"),
                           (("--format", "markdown", "--train", "w"), "unknown background 'w'")):
        done = qad("report", finished, *options)
        assert done.returncode == 2 and piece in done.stderr and done.stderr.count("\n") == 1
