import csv
import io
import json
import re
import shutil

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from qad.benchmark import read_runs
from qad.benchmark.runs import Run
from qad.errors import InputError
from qad.report import write_report
from qad.report.tables import COLUMNS, metrics_of, results_csv, rows_of, summarise
from qad.report.verdict import judge
from tests.benchmark.conftest import finished, toy_files, write_study  # noqa: F401


def invented(scores_of, kinds, seeds=3, trains=("qcd", "top"), n=1500):
    """Runs whose scores are Gaussians shifted by ``scores_of[detector][train]``, on common events."""
    runs = []
    for train in trains:
        signal = next(t for t in ("qcd", "top") if t != train)
        events = np.random.default_rng(len(train)).normal(0, 1, (2, n))
        for name, shift in scores_of.items():
            for seed in range(seeds):
                jitter = np.random.default_rng([seed, len(name)]).normal(0, 0.1, (2, n))
                b, s = events[0] + jitter[0], events[1] + jitter[1] + shift[train]
                record = {"train": train, "representation": {"name": "x"}, "seed": seed,
                          "detector": {"name": name, "kind": kinds[name], "use": name},
                          "fingerprints": {p: {"train": f"{p}1", "test": f"{p}2"} for p in ("qcd", "top")},
                          "fit_seconds": 1.0, "events_per_second": 10.0, "diagnostics": {}}
                runs.append(Run(None, record, {train: b, signal: s}))
    return runs


def verdict(scores_of, kinds, **kwargs):
    return judge(summarise(rows_of(invented(scores_of, kinds, **kwargs))))


BOTH = {"qcd": 1.5, "top": 1.5}
KINDS = {"new": "quantum", "old": "classical", "cut": "control"}


def test_a_winner_is_named():
    v = verdict({"new": BOTH, "old": {"qcd": 1.0, "top": 1.0}, "cut": {"qcd": 0.9, "top": 0.9}}, KINDS)
    assert v.headline == "new (x) and old (x) beat every control in every direction."
    assert "ahead of every control is new (x)" in v.sentences[0]
    assert any("new (x), is ahead of the best classical one, old (x)" in s for s in v.sentences)


def test_a_winner_in_one_direction_only_is_no_winner():
    v = verdict({"new": {"qcd": 1.5, "top": -1.0}, "old": {"qcd": 0.5, "top": 0.5}, "cut": {"qcd": 0.9, "top": 0.9}}, KINDS)
    assert v.headline == "None of the detectors beats every control in every direction."
    assert any("new (x) inverts: trained on top" in s for s in v.sentences)


def test_level_with_a_control_is_not_ahead():
    v = verdict({"new": {"qcd": 1.0, "top": 1.0}, "old": {"qcd": 0.5, "top": 0.5}, "cut": {"qcd": 1.0, "top": 1.0}}, KINDS)
    assert v.headline.startswith("None")
    assert any("none is significantly ahead" in s or "none beats every control" in s for s in v.sentences)


def test_training_that_gains_nothing_is_said():
    kinds = {**KINDS, "quantum-untrained": "control"}
    weak = {"old": {"qcd": 0.5, "top": 0.5}, "cut": {"qcd": 0.2, "top": 0.2}}
    v = verdict({"new": BOTH, "quantum-untrained": BOTH, **weak}, kinds)
    assert sum("training gains nothing over the same circuit with all weights zero" in s for s in v.sentences) == 2


def test_without_controls_nothing_is_claimed():
    v = verdict({"new": BOTH}, KINDS)
    assert v.headline.startswith("None") and all("no control" in s for s in v.sentences[:2])


def test_errors_cover_repeated_experiments():
    """Paired differences of equal detectors, over many invented studies: z has unit spread."""
    z = []
    for i in range(25):
        rng = np.random.default_rng(i)
        b, s = rng.normal(0, 1, 800), rng.normal(1, 1, 800)
        runs = []
        for name in ("new", "cut"):
            for seed in range(4):
                noise = np.random.default_rng([i, seed, len(name), ord(name[0])]).normal(0, 0.5, (2, 800))
                record = {"train": "qcd", "representation": {"name": "x"}, "seed": seed,
                          "detector": {"name": name, "kind": KINDS[name], "use": name},
                          "fingerprints": {p: {"train": "1", "test": "2"} for p in ("qcd", "top")}, "diagnostics": {}}
                runs.append(Run(None, record, {"qcd": b + noise[0], "top": s + noise[1]}))
        new, cut = summarise(rows_of(runs))
        z.append(new.minus(cut).z)
    assert 0.5 < np.std(z) < 1.5 and abs(np.mean(z)) < 0.6


def test_results_csv(finished):  # noqa: F811
    path, _ = write_report(finished)
    rows = list(csv.DictReader(io.StringIO((path.parent / "results.csv").read_text())))
    assert list(rows[0]) == list(COLUMNS) and len(rows) == 28
    runs = {(r.train, r.representation, r.detector, r.seed): r for r in read_runs(finished)}
    for row in rows:
        run = runs[row["train"], row["representation"], row["detector"], int(row["seed"])]
        b, s = run.scores[row["train"]], run.scores[row["signal"]]
        assert float(row["auc"]) == pytest.approx(roc_auc_score(np.r_[np.zeros(200), np.ones(200)], np.r_[b, s]), abs=1e-5)
        assert row["tpr_1e5"] == "" and row["shots"] == ""
        assert row["kind"] == run.kind and len(row["fingerprint"]) == 16
    assert len({r["fingerprint"] for r in rows}) == 2  # one per direction
    assert results_csv(rows_of(read_runs(finished))) == (path.parent / "results.csv").read_text()


def test_the_page_is_self_contained_and_whole(finished):  # noqa: F811
    path, told = write_report(finished)
    page = path.read_text()
    without_plotly = re.sub(r"<script>.*?</script>", "", page, count=1, flags=re.S)
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", without_plotly)
    for text in (told.headline, "Toy jets", "qcd → top", "top → qcd", "quantum-ceiling", "too few events", "takes particles",
                 "identical events"):
        assert text in page
    figures = [json.loads(f) for f in re.findall(r'<script type="application/json">(.*?)</script>', page, re.S)]
    assert len(figures) == 2 * (3 + 3) and all(f["data"] for f in figures)
    assert page.count("<table") == 4


def test_text_from_a_study_cannot_become_markup(finished, tmp_path):  # noqa: F811
    shutil.copytree(finished, tmp_path / "runs")
    notes = json.loads((tmp_path / "runs" / "study.json").read_text())
    notes["study"]["title"] = "<script>alert(1)</script>"
    notes["failed"] = [{"cell": "a", "reason": "</script><img onerror=x>"}]
    (tmp_path / "runs" / "study.json").write_text(json.dumps(notes))
    page = write_report(tmp_path / "runs")[0].read_text()
    assert "<script>alert" not in page and "<img" not in page


def test_different_events_are_called_so(finished, tmp_path):  # noqa: F811
    shutil.copytree(finished, tmp_path / "runs")
    run = next((tmp_path / "runs").glob("qcd/*/*/*/run.json"))
    record = json.loads(run.read_text())
    record["fingerprints"]["qcd"]["test"] = "other"
    run.write_text(json.dumps(record))
    assert "<b>not</b> compared on identical events" in write_report(tmp_path / "runs")[0].read_text()


def test_missing_and_damaged_runs_are_one_sentence(finished, tmp_path):  # noqa: F811
    with pytest.raises(InputError, match="holds no runs"):
        write_report(tmp_path)
    shutil.copytree(finished, tmp_path / "runs")
    next((tmp_path / "runs").glob("qcd/*/*/*/scores.npz")).write_bytes(b"")
    with pytest.raises(InputError, match="is damaged"):
        write_report(tmp_path / "runs")
    for folder in (tmp_path / "runs").glob("*/"):
        if folder.is_dir():
            shutil.rmtree(folder)
    with pytest.raises(InputError, match="no finished run yet"):
        write_report(tmp_path / "runs")


def test_metrics_never_come_alone():
    from qad.metrics import roc

    rng = np.random.default_rng(0)
    values = metrics_of(roc(rng.normal(0, 1, 2000), rng.normal(1, 1, 2000)))
    assert {"auc", "rejection_03", "rejection_05", "max_sic", "tpr_1e2", "tpr_1e5"} <= values.keys()
    assert np.isnan(values["tpr_1e5"]) and values["tpr_1e2"] > 0.01
