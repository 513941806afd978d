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
                          "detector": described(name, kinds),
                          "fingerprints": {p: {"train": f"{p}1", "test": f"{p}2"} for p in ("qcd", "top")},
                          "fit_seconds": 1.0, "events_per_second": 10.0, "diagnostics": {}}
                runs.append(Run(None, record, {train: b, signal: s}))
    return runs


def described(name, kinds):
    family = "quantum" if kinds[name] == "quantum" or name.startswith("quantum") else "classical"
    return {"name": name, "kind": kinds[name], "family": family, "use": name, "params": {}}


def verdict(scores_of, kinds, **kwargs):
    return judge(summarise(rows_of(invented(scores_of, kinds, **kwargs))))


BOTH = {"qcd": 1.5, "top": 1.5}
KINDS = {"new": "quantum", "old": "classical", "cut": "control"}


def test_a_winner_is_named():
    v = verdict({"new": BOTH, "old": {"qcd": 1.0, "top": 1.0}, "cut": {"qcd": 0.9, "top": 0.9}}, KINDS)
    assert v.headline == "new (x) and old (x) beat every control in every direction (1 control, 2 directions)."
    assert "ahead of every control is new (x)" in v.sentences[0]
    assert any("new (x), is ahead of the best classical detector or control, old (x)" in s for s in v.sentences)


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
    assert v.headline.startswith("Undecided") and all("no control" in s for s in v.sentences[:2])


def test_every_control_must_be_beaten():
    kinds = {**KINDS, "cut2": "control"}
    v = verdict({"new": BOTH, "old": {"qcd": 0.5, "top": 0.5}, "cut": {"qcd": 0.9, "top": 0.9}, "cut2": BOTH}, kinds)
    assert v.headline.startswith("None") and "ahead of every control" in v.sentences[0]
    assert "none" in v.sentences[0]


def test_the_winner_named_has_won():
    """The largest mean does not win if its seeds scatter; the sentence names the one that did."""
    runs = invented({"new": BOTH, "old": {"qcd": 1.4, "top": 1.4}, "cut": {"qcd": 1.0, "top": 1.0}}, KINDS)
    for run in runs:
        if run.detector == "new":  # a better mean, a wild scatter
            run.scores[next(k for k in run.scores if k != run.train)][:] += (-0.9, 0.1, 1.9)[run.seed]
    v = judge(summarise(rows_of(runs)))
    assert v.headline == "old (x) beats every control in every direction (1 control, 2 directions)."
    assert "ahead of every control is old (x)" in v.sentences[0]


def test_a_control_that_stands_in_the_way_is_named():
    """One that is worse than the best control, but whose seeds scatter so much that it cannot be said to be beaten."""
    means = {"new": BOTH, "cut": {"qcd": 1.0, "top": 1.0}, "wild": {"qcd": 0.0, "top": 0.0}}
    runs = invented(means, {**KINDS, "wild": "control"})
    for run in runs:
        if run.detector == "wild":
            run.scores[next(k for k in run.scores if k != run.train)][:] += (-3.0, 0.0, 1.5)[run.seed]
    said = judge(summarise(rows_of(runs))).sentences[0]
    assert "none is significantly ahead of every control; the best is new (x)" in said and "of 2 controls, cut (x)" in said
    assert "; but wild (x), whose seeds scatter, cannot be said to be beaten: difference +" in said


def test_nothing_is_awarded_for_one_seed_missing_models_or_other_events():
    good = {"new": BOTH, "old": {"qcd": 0.5, "top": 0.5}, "cut": {"qcd": 0.2, "top": 0.2}}
    assert "one seed" in verdict(good, KINDS, seeds=1).headline
    runs = invented(good, KINDS)
    assert "2 of the study's models are missing" in judge(summarise(rows_of(runs)), missing=2).headline
    runs[0].record["fingerprints"]["qcd"]["test"] = "others"
    assert "not compared on identical events" in judge(summarise(rows_of(runs))).headline


def test_seeds_are_paired_by_their_number():
    runs = invented({"new": BOTH, "cut": BOTH}, KINDS, seeds=4, trains=("qcd",))
    whole = summarise(rows_of(runs))
    assert whole[0].mean["auc"] == pytest.approx(np.mean(whole[0].auc)) and len(set(whole[0].auc)) == 4
    assert whole[0].sd["auc"] == pytest.approx(np.std(whole[0].auc, ddof=1))
    less = summarise(rows_of([r for r in runs if (r.detector, r.seed) not in (("new", 0), ("cut", 3))]))
    assert less[0].minus(less[1]).value == pytest.approx((whole[0].auc[1:3] - whole[1].auc[1:3]).mean())


def test_jets_of_one_collision_are_resampled_together():
    rng = np.random.default_rng(0)
    b, s = rng.normal(0, 1, 500), rng.normal(1, 1, 500)
    record = invented({"new": BOTH}, KINDS, seeds=1, trains=("qcd",))[0].record
    pairs = {"qcd": np.arange(1000) // 2, "top": np.arange(1000) // 2}
    twice = Run(None, record, {"qcd": np.repeat(b, 2), "top": np.repeat(s, 2)}, pairs)
    once = Run(None, record, {"qcd": b, "top": s})
    spread = [summarise(rows_of([run]))[0].boot.std() for run in (twice, once)]
    assert spread[0] == pytest.approx(spread[1], rel=0.15)  # copies bring no information


@pytest.mark.parametrize(("events", "noise_of_seeds"), [(800, 0.5), (1500, 0.0), (800, 6.0)])
def test_errors_cover_repeated_experiments(events, noise_of_seeds):
    """Paired differences of equal detectors over invented studies: z has unit spread, whichever noise dominates."""
    z = []
    for i in range(60):
        rng = np.random.default_rng(i)
        b, s = rng.normal(0, 1, events), rng.normal(1, 1, events)
        runs = []
        for name in ("new", "cut"):
            for seed in range(4):
                own = np.random.default_rng([i, seed, ord(name[0])])
                # noise per event; and a quality that differs from seed to seed
                noise = own.normal(0, 0.5, (2, events))
                noise[1] += 0.02 * noise_of_seeds * own.normal()
                record = {"train": "qcd", "representation": {"name": "x"}, "seed": seed,
                          "detector": described(name, KINDS),
                          "fingerprints": {p: {"train": "1", "test": "2"} for p in ("qcd", "top")}, "diagnostics": {}}
                runs.append(Run(None, record, {"qcd": b + noise[0], "top": s + noise[1]}))
        new, cut = summarise(rows_of(runs))
        z.append(new.minus(cut).z)
    # noise per event counts in both terms, which errs on the safe side
    assert 0.6 < np.std(z) < 1.3 and abs(np.mean(z)) < 0.5


def test_results_csv(finished):
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


def test_the_page_is_self_contained_and_whole(finished):
    path, told = write_report(finished)
    page = path.read_text()
    without_scripts = re.sub(r"<script>.*?</script>", "", page, flags=re.S)
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//|url\(|@import""", without_scripts)
    for text in (told.headline, "Toy jets", "qcd → top", "top → qcd", "quantum-ceiling", "too few events", "takes particles",
                 "identical events"):
        assert text in page
    figures = [json.loads(f) for f in re.findall(r'<script type="application/json">(.*?)</script>', page, re.S)]
    assert len(figures) == 1 + 2 * (3 + 3) and all(f["data"] for f in figures)
    assert without_scripts.count("<table") == 4 and "u003c" in page


def test_text_from_a_study_cannot_become_markup(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "runs")
    notes = json.loads((tmp_path / "runs" / "study.json").read_text())
    notes["study"]["title"] = "<script>alert(1)</script>"
    notes["failed"] = [{"cell": "a", "reason": "</script><img onerror=x>"}]
    (tmp_path / "runs" / "study.json").write_text(json.dumps(notes))
    page = write_report(tmp_path / "runs")[0].read_text()
    assert "<script>alert" not in page and "<img" not in page


def test_different_events_are_called_so(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "runs")
    run = next((tmp_path / "runs").glob("qcd/*/*/*/run.json"))
    record = json.loads(run.read_text())
    record["fingerprints"]["qcd"]["test"] = "other"
    run.write_text(json.dumps(record))
    assert "<b>not</b> compared on identical events" in write_report(tmp_path / "runs")[0].read_text()


def test_missing_and_damaged_runs_are_one_sentence(finished, tmp_path):
    with pytest.raises(InputError, match="holds no runs"):
        write_report(tmp_path)
    shutil.copytree(finished, tmp_path / "runs")
    next((tmp_path / "runs").glob("qcd/*/*/*/scores.npz")).write_bytes(b"")
    assert "1 of the study's models are missing" in write_report(tmp_path / "runs")[1].headline
    for damage in ("{}", "[]", "{", '{"cells": 3}'):
        saved = (tmp_path / "runs" / "study.json").read_text()
        (tmp_path / "runs" / "study.json").write_text(damage)
        with pytest.raises(InputError, match="damaged"):
            write_report(tmp_path / "runs")
        (tmp_path / "runs" / "study.json").write_text(saved)
    for folder in (tmp_path / "runs").glob("*/"):
        if folder.is_dir():
            shutil.rmtree(folder)
    with pytest.raises(InputError, match="no finished run"):
        write_report(tmp_path / "runs")


def test_metrics_never_come_alone():
    from qad.metrics import roc

    rng = np.random.default_rng(0)
    values = metrics_of(roc(rng.normal(0, 1, 2000), rng.normal(1, 1, 2000)))
    assert {"auc", "rejection_03", "rejection_05", "max_sic", "tpr_1e2", "tpr_1e5"} <= values.keys()
    assert np.isnan(values["tpr_1e5"]) and values["tpr_1e2"] > 0.01
