"""What the report says of trainings that converged and that did not, from made records."""

import csv
import io
import json
import math
import re
import shutil

import numpy as np
import pytest

from qad.report import as_markdown, write_report
from qad.report.convergence import HEADS, curves_of, energy_models, mark, problems_of, table_of
from qad.report.figures import training_curves
from qad.report.tables import rows_of, summarise
from qad.report.verdict import judge
from tests.report.test_markdown import cells
from tests.report.test_report import BOTH, KINDS, invented

WARM, EPOCHS = 2, 6
OLD = {"qcd": 0.5, "top": 0.5}


def noted(converged=True, **changes):
    """Diagnostics of an energy model; its epochs begin with those of the plain autoencoder, which know no model samples."""
    early = [None] * WARM
    notes = {"energy_data": [4.0, 2.0, 1.0, 1.0, 0.5, 0.5], "energy_model": [*early, 9.0, 3.0, 1.0, 0.5],
             "acceptance": [*early, 0.2, 0.4, 0.6, 0.6], "acceptance_latent": [*early, 0.9, 0.8, 0.7, 0.7],
             "at_bounds": [*early, 0.5, 0.1, 0.0, 0.0], "wasserstein": [*early, math.nan, 5.0, 2.0, 1.5],
             "step": [*early, 1, 1, 1, 1]}
    return {"history": {"train": [1.0] * EPOCHS, "validation": [], "best_epoch": 4, "seconds": [0.1] * EPOCHS, "notes": notes},
            "warm_up": WARM, "converged": converged, "problems": [] if converged else ["E₋/E₊ is 3: take more epochs", "stuck"],
            "temperature": 0.5, "energy_data": 0.5, "energy_model": 0.55, "energy_ratio": 1.1, "acceptance": 0.6,
            "at_bounds": 0.02, "at_bounds_data": None, "wasserstein": 1.5, "wasserstein_fresh": 1.2, **changes}


def made(diagnostics, detector="new", **kwargs):
    """Invented runs of a winner, an ordinary detector and a control; ``diagnostics(train, seed)`` are those of ``detector``."""
    runs = invented({"new": BOTH, "old": OLD, "cut": {"qcd": 0.2, "top": 0.2}}, KINDS, **kwargs)
    for run in runs:
        if run.detector == detector:
            run.record["diagnostics"] = diagnostics(run.train, run.seed)
    return runs


def test_the_mark_counts_seeds():
    runs = [r for r in made(lambda train, seed: noted(seed != 1 or train == "top")) if r.detector == "new"]
    assert mark(r for r in runs if r.train == "qcd") == "not converged: 1 of 3 seeds"
    assert mark(runs) == "not converged: 1 of 3 seeds on qcd" and mark([*runs, *runs]) == mark(runs)
    assert mark(r for r in runs if r.train == "top") == "" == mark([])
    runs[-1].record["diagnostics"]["converged"] = False
    assert mark(runs) == "not converged: 1 of 3 seeds on qcd, 1 of 3 seeds on top"
    assert mark(runs[1:2]) == "not converged: 1 of 1 seed"


def test_the_verdict_names_no_such_detector_without_saying_so():
    v = judge(summarise(rows_of(made(lambda train, seed: noted(train == "top" or seed != 0)))))
    assert v.headline == ("new (x) [not converged: 1 of 3 seeds on qcd] and old (x) beat every control in every direction "
                          "(1 control, 2 directions).")
    of_qcd = [s for s in v.sentences if s.startswith("Trained on qcd")]
    assert len(of_qcd) == 2 and all(s.count("new (x)") == s.count("new (x) [not converged: 1 of 3 seeds]") > 0 for s in of_qcd)
    assert "not converged" not in " ".join(s for s in v.sentences if s.startswith("Trained on top"))
    calm = judge(summarise(rows_of(made(lambda *_: noted()))))
    assert calm == judge(summarise(rows_of(made(lambda *_: {}))))


def test_a_control_that_did_not_converge_is_called_so_too():
    v = judge(summarise(rows_of(made(lambda *_: {"converged": False, "n_iter": 1}, "cut"))))
    assert "cut (x) [not converged: 3 of 3 seeds]" in v.sentences[0]
    assert energy_models(made(lambda *_: {"converged": False, "n_iter": 1}, "cut")) == []  # it has no energy


def test_the_table_is_means_over_seeds():
    ratios, waves = (0.9, 1.0, 1.4), (1.2, 1.8, 3.0)
    runs = made(lambda train, seed: noted(seed < 2, energy_ratio=ratios[seed], wasserstein=waves[seed],
                                          acceptance=(0.5, None, 0.7)[seed]))
    found = energy_models(runs)
    assert [(c.train, c.name) for c in found] == [("qcd", "new (x)"), ("top", "new (x)")]
    [row] = table_of(found, "qcd")
    told = dict(zip(HEADS, row, strict=True))
    assert told["converged"] == "2 of 3"
    assert told["E₋/E₊"] == f"{np.mean(ratios):.3f} ± {np.std(ratios, ddof=1):.3f}"
    assert told["W₁"] == f"{np.mean(waves):.3f} ± {np.std(waves, ddof=1):.3f}"
    assert told["W₁/halves"] == f"{np.mean(waves) / 1.2:.2f} ± {np.std(waves, ddof=1) / 1.2:.2f}"
    assert told["acceptance"] == "0.600 ± 0.141"  # of the two that know one
    assert told["data at bounds"] == "–" and told["at bounds"] == "0.020 ± 0.000" and told["epoch kept"] == "5 ± 0"


def test_problems_are_told_once_for_the_seeds_that_share_them():
    runs = made(lambda train, seed: noted(seed == 3, **({"problems": None} if seed == 1 else {})), seeds=4, trains=("qcd",))
    [found] = energy_models(runs)
    assert problems_of(found) == [("seeds 0, 2", "E₋/E₊ is 3: take more epochs; stuck"), ("seed 1", "the run does not say why")]


def test_curves_are_what_the_record_holds():
    [found] = energy_models(made(lambda *_: noted(), seeds=1, trains=("qcd",)))
    panels = curves_of(found)
    assert list(panels) == ["energy", "E₋/E₊", "Wasserstein distance", "acceptance", "share at the bounds"]
    data, model = panels["energy"]
    assert (data.whose, data.epochs, data.values) == ("data", (1, 2, 3, 4, 5, 6), (4.0, 2.0, 1.0, 1.0, 0.5, 0.5))
    assert (model.whose, model.epochs, model.kept) == ("model", (3, 4, 5, 6), 5)
    assert panels["E₋/E₊"][0].values == (9.0, 3.0, 2.0, 1.0)
    assert panels["Wasserstein distance"][0].epochs == (4, 5, 6)  # null and nan are left out
    assert [c.whose for c in panels["acceptance"]] == ["model", "latent chain"]
    figure = training_curves(found)
    assert len(figure.data) == 7 and [s.x1 for s in figure.layout.shapes if s.type == "rect"] == [WARM + 0.5] * 5
    kept = [(t.x[i], t.y[i]) for t in figure.data for i, size in enumerate(t.marker.size) if size]
    assert kept == [(5, y) for y in (0.5, 1.0, 2.0, 2.0, 0.6, 0.7, 0.0)]
    assert {s.y0 for s in figure.layout.shapes if s.type == "line"} == {1.0, 1.2}  # of the data themselves


@pytest.mark.parametrize("lost", ["acceptance", "energy_data", "energy_model", "wasserstein", "at_bounds"])
def test_notes_may_be_missing(lost):
    diagnostics = noted()
    for name in (lost, f"{lost}_latent"):
        diagnostics["history"]["notes"].pop(name, None)
    [found] = energy_models(made(lambda *_: diagnostics, seeds=1, trains=("qcd",)))
    whole = curves_of(energy_models(made(lambda *_: noted(), seeds=1, trains=("qcd",)))[0])
    titles = {"acceptance": "acceptance", "wasserstein": "Wasserstein distance", "at_bounds": "share at the bounds"}
    assert whole.keys() - curves_of(found).keys() == {titles.get(lost, "E₋/E₊")}
    assert len(training_curves(found).data) == 7 - (2 if lost in ("acceptance", "energy_data", "energy_model") else 1)


def test_without_notes_the_loss_is_drawn_and_without_epochs_nothing():
    history = {"train": [3.0, 2.0], "validation": [3.5, 2.5], "best_epoch": 1, "seconds": [1, 1]}
    bare = {"history": history, "converged": False, "energy_data": 0.3, "energy_ratio": None, "wasserstein": math.inf,
            "acceptance": 0.57, "at_bounds_data": 0.06}
    [found] = energy_models(made(lambda *_: bare, seeds=1, trains=("qcd",)))
    assert {(c.whose, c.values, c.kept) for c in curves_of(found)["loss"]} == {
        ("training", (3.0, 2.0), 2), ("validation", (3.5, 2.5), 2)}
    told = dict(zip(HEADS, *table_of([found], "qcd"), strict=True))
    assert told["at bounds"] == "–" and told["data at bounds"] == "0.060"
    assert told["acceptance"] == "0.570" and told["E₋/E₊"] == told["W₁"] == "–"
    for empty in ({}, {"train": []}, None):
        [found] = energy_models(made(lambda *_, h=empty: {**bare, "history": h}, seeds=1, trains=("qcd",)))
        assert training_curves(found) is None and "–" in table_of([found], "qcd")[0][-1]


@pytest.fixture
def doubtful(finished, tmp_path):
    """The toy study whose dense autoencoder is an energy model that did not converge with seed 1 on QCD."""
    shutil.copytree(finished, tmp_path / "runs")
    for path in (tmp_path / "runs").glob("*/*/dense-autoencoder/*/run.json"):
        record = json.loads(path.read_text())
        record["diagnostics"] = noted((record["train"], record["seed"]) != ("qcd", 1), problems=["<b>stuck</b>"])
        path.write_text(json.dumps(record))
    return tmp_path / "runs"


def test_the_page_says_it_wherever_the_detector_stands(doubtful):
    page = write_report(doubtful)[0].read_text()
    assert "Did the energy models converge?" in page and "<b>1 of 4</b> trainings of energy models did not converge" in page
    section = page[page.index('id="convergence"'):page.index('id="provenance"')]
    assert "<b>dense-autoencoder (substructure)</b>, seed 1: &lt;b&gt;stuck&lt;/b&gt;." in section and "<b>stuck" not in page
    assert section.count('<div class="plot">') == 2 and '<details class="fold epochs" open>' in section
    figures = re.findall(r'<script type="application/json">(.*?)</script>', section, re.S)
    assert [len(json.loads(f)["data"]) for f in figures] == [14, 14]  # two seeds
    rows = re.findall(r'<span class="who">dense-autoencoder.*?</span></span>(.*?)</td>', page[:page.index('id="convergence"')])
    said = [re.sub("<.*?>", "", r).strip() for r in rows]
    assert said == ["not converged: 1 of 2 seeds on qcd", "not converged: 1 of 2 seeds", ""]


def test_many_trainings_are_folded_away(doubtful):
    for path in doubtful.glob("*/*/mahalanobis/*/run.json"):
        record = json.loads(path.read_text())
        record["diagnostics"] = noted()
        path.write_text(json.dumps(record))
    assert '<details class="fold epochs">' in write_report(doubtful)[0].read_text()


def test_a_study_without_energy_models_has_no_such_section(finished):
    page = write_report(finished)[0].read_text().partition("</head>")[2].partition('id="bright"')[0]
    assert "converge" not in page and 'class="mark' not in page


def test_the_markdown_table_and_the_csv_say_it(doubtful):
    [(heads, rows)] = cells(as_markdown(doubtful))
    assert "dense-autoencoder (substructure) [not converged: 1 of 2 seeds on qcd]" in {r[heads[0]] for r in rows}
    [(_, rows)] = cells(as_markdown(doubtful, train="top"))
    assert "dense-autoencoder (substructure)" in {r[heads[0]] for r in rows}
    write_report(doubtful)
    rows = list(csv.DictReader(io.StringIO((doubtful / "results.csv").read_text())))
    told = {(r["train"], r["seed"]): r["converged"] for r in rows if r["detector"] == "dense-autoencoder"}
    assert told == {("qcd", "0"): "true", ("qcd", "1"): "false", ("top", "0"): "true", ("top", "1"): "true"}
    assert {r["converged"] for r in rows if r["detector"] != "dense-autoencoder"} == {""}
