"""What the report says of learned embeddings: of a study of toy jets, and of made records."""

import importlib.util
import json
import re
import shutil

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from qad.benchmark import load_study, read_runs, run_study
from qad.benchmark.learned import ANGLES
from qad.errors import InputError
from qad.report import write_report
from qad.report.embedding_figures import COLOURS, losses, neighbours, rotation_curves
from qad.report.embeddings import HEADS, Training, embeddings, table_of
from qad.report.tables import rows_of, summarise
from tests.conftest import PROJECT
from tests.report.test_report import BOTH, KINDS, invented

STEP = {"use": "jetclr", "n_particles": 8, "width": 8, "heads": 2, "blocks": 1, "feed": 8, "head": [6], "epochs": 3}
STILL = {**STEP, "positives": ["collinear", "soft"]}


@pytest.fixture(scope="module")
def embedded(tmp_path_factory, write_study):
    """Turned and not, both from the mixture, a training per seed; and one from background that two representations share."""
    mixed = {"learns_from": ["qcd", "top"], "seeded": True}
    study = load_study(write_study(
        train=["qcd"],
        representations={"turned": {**mixed, "steps": [STEP]}, "still": {**mixed, "steps": [STILL]},
                         "one": {"steps": [STEP]}, "two": {"steps": [STEP, {"use": "standardise"}]},
                         "substructure": {"steps": [{"use": "substructure", "features": ["mass", "width"]}]}},
        detectors=[{"use": "mahalanobis"}, {"use": "pca"}, {"use": "linear-classifier", "told": {"signal": ["top"]}}]))
    return run_study(study, tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("data"))


def of(root):
    return {e.title: e for e in embeddings(root, read_runs(root))}


def kept(root, note):
    return json.loads((root / note["folder"] / "model.json").read_text())


def told(root, title):
    runs = read_runs(root)
    heads, rows = table_of(embeddings(root, runs), summarise(rows_of(runs)))
    assert {len(heads)} == {len(row) for row in rows}
    [row] = [r for r in rows if r[0] == title]
    named = [f"{h} {heads[i - 1]}" if h == "untrained" else h for i, h in enumerate(heads)]
    return dict(zip(named, row, strict=True))


def test_a_row_for_each_embedding_whatever_stands_on_it(embedded):
    found = of(embedded)
    assert {t: (len(e.trainings), e.source, e.turns) for t, e in found.items()} == {
        "turned": (2, ("qcd", "top"), True), "still": (2, ("qcd", "top"), False), "one, two": (1, ("qcd",), True)}
    assert {r.representation for r in found["one, two"].runs} == {"one", "two"} and len(found["one, two"].runs) == 12
    assert [t.seed for t in found["still"].trainings] == [0, 1]


def test_the_table_is_what_the_runs_noted(embedded):
    row = told(embedded, "still")
    notes = {r.seed: r.record["representation"]["learned"][0] for r in read_runs(embedded) if r.representation == "still"}
    for key, name, digits in (("seconds", "seconds", 1), ("alignment", "alignment", 3), ("uniformity", "uniformity", 3),
                              ("loss", "loss", 3), ("loss_untrained", "untrained loss", 3),
                              ("alignment_untrained", "untrained alignment", 3)):
        values = [notes[seed][key] for seed in (0, 1)]
        assert row[name] == f"{np.mean(values):.{digits}f} ± {np.std(values, ddof=1):.{digits}f}"
    assert row["trainings"] == "2" and row["learned from"] == "qcd + top" and row["step"] == "JetCLR"
    assert row["parameters"] == f"{notes[0]['parameters']:,}"
    curves = [kept(embedded, notes[seed])["portrait"]["rotation"]["two prongs"]["mean"][1:-1] for seed in (0, 1)]
    assert row["s turned, two prongs"] == f"{np.mean(curves):.4f} ± {np.std(np.mean(curves, 1), ddof=1):.4f}"


def test_the_quality_of_detectors_stands_beside_the_cost(embedded):
    auc = {}
    for r in read_runs(embedded):
        scores = np.concatenate([r.scores["qcd"], r.scores["top"]])
        auc.setdefault((r.representation, r.detector), []).append(roc_auc_score([0] * 200 + [1] * 200, scores))
    row = told(embedded, "one, two")
    best = max((np.mean(v), d) for (rep, d), v in auc.items() if rep in ("one", "two") and d != "linear-classifier")
    assert row["AUC qcd → top"] == f"{best[0]:.4f} {best[1]}"
    best = max(np.mean(v) for (rep, d), v in auc.items() if rep in ("one", "two") and d == "linear-classifier")
    assert row["AUC qcd → top, told labels"] == f"{best:.4f} linear-classifier"
    assert told(embedded, "still")["AUC qcd → top"] == "–"  # no detector without labels may stand on it


def test_the_rotation_figure_draws_the_portraits(embedded):
    found = of(embedded)
    figure = rotation_curves(list(found.values()))
    assert [a.text for a in figure.layout.annotations] == ["two prongs", "three prongs"]
    drawn = [t for t in figure.data if t.mode == "lines"]
    bands, lines = ([t for t in drawn if (t.fill == "toself") == filled] for filled in (True, False))
    others = {(t.name, t.xaxis): t.y[0] for t in figure.data if t.mode == "markers"}
    assert len(bands) == len(lines) == 6 and sum(t.showlegend for t in lines) == 3
    assert {t.name: t.line.dash for t in lines} == {"turned": "solid", "still": "dot", "one, two": "solid"}
    curve = kept(embedded, found["still"].trainings[0].noted)["portrait"]["rotation"]["three prongs"]
    assert len(others) == 6 and others["still", "x2"] == pytest.approx(curve["other"], abs=1e-4)
    [line] = [t for t in lines if t.name == "still" and t.xaxis == "x2"]
    [band] = [t for t in bands if t.legendgroup == line.legendgroup and t.xaxis == "x2"]
    np.testing.assert_allclose(line.x, np.linspace(0, 360, len(ANGLES)), atol=1e-2)
    np.testing.assert_allclose(line.y, curve["mean"], atol=1e-5)
    n = len(ANGLES)
    np.testing.assert_allclose(np.subtract(band.y[:n], band.y[:n - 1:-1]),
                               np.minimum(np.add(curve["mean"], curve["sd"]), 1) - np.subtract(curve["mean"], curve["sd"]),
                               atol=2e-4)
    assert max(band.y) <= 1 and figure.layout.yaxis.range[0] < min(band.y)


def test_neighbours_keep_their_process_and_its_colour(embedded):
    found = of(embedded)
    for processes in (["qcd", "top"], ["w", "top", "qcd"]):
        for e in found.values():
            drawn = {t.name: t for t in neighbours(e, processes).data}
            portrait = kept(embedded, e.trainings[0].noted)["portrait"]["neighbours"]
            assert drawn.keys() == portrait.keys() == {"qcd", "top"}
            for process, trace in drawn.items():
                np.testing.assert_allclose(np.column_stack([trace.x, trace.y]), portrait[process], atol=0.006)
                assert trace.marker.color == COLOURS[processes.index(process)]


def test_more_processes_than_colours_are_told_apart():
    places = {f"p{i}": [[i, 0.0], [i, 1.0]] for i in range(20)}
    [found] = embeddings_of_records([{"folder": "a"}], {"portrait": {"neighbours": places}})
    drawn = neighbours(found, list(places)).data
    assert len({(t.marker.color, t.marker.symbol) for t in drawn}) == 20


def test_losses_are_those_of_every_epoch(embedded):
    found = of(embedded)
    figure = losses(list(found.values()))
    history = kept(embedded, found["still"].trainings[1].noted)["steps"][0]["values"]["diagnostics_"]["history"]
    here = [t for t in figure.data if t.xaxis == "x2" and t.hovertemplate.startswith("seed 1")]
    assert [t.name for t in here] == ["training", "held back"]
    for trace, key in zip(here, ("train", "validation"), strict=True):
        assert list(trace.x) == [1, 2, 3]
        np.testing.assert_allclose(trace.y, history[key], rtol=1e-3)
        assert [e for e, size in zip(trace.x, trace.marker.size, strict=True) if size] == [history["best_epoch"] + 1]


def embeddings_of_records(learned, model=None, **kwargs):
    """Embeddings of invented runs; ``learned`` is a list, or a function of (train, seed)."""
    runs = invented({"new": BOTH}, KINDS, **{"trains": ("qcd",), "seeds": 1, **kwargs})
    for run in runs:
        run.record["representation"]["learned"] = learned(run.train, run.seed) if callable(learned) else learned
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("qad.report.embeddings.load_notes", lambda folder: model or {})
        return embeddings(PROJECT, runs)


def test_trainings_that_differ_are_rows_that_can_be_told_apart():
    both = {"trains": ("qcd", "top"), "seeds": 3}
    shared = embeddings_of_records(lambda train, seed: [{"folder": f"_learned/{seed}"}], **both)
    assert [(e.title, e.source, len(e.trainings), len(e.runs)) for e in shared] == [("x", ("qcd", "top"), 3, 6)]
    own = embeddings_of_records(lambda train, seed: [{"folder": f"_learned/{train}{seed}"}], **both)
    assert [(e.title, e.source, len(e.trainings)) for e in own] == [("x, from qcd", ("qcd",), 3), ("x, from top", ("top",), 3)]
    chain = embeddings_of_records([{"folder": "a", "step": "JetCLR"}, {"folder": "b", "step": "LearnedLatent"}])
    assert [e.title for e in chain] == ["x, JetCLR", "x, LearnedLatent"]


@pytest.mark.parametrize(("shown", "turns"), [
    (["soft", "rotate"], True), ([{"use": "rotate", "as_published": True}], True), (["azimuth"], True), (["soft"], False),
    ([], False), (None, False)])
def test_whether_turns_were_shown(shown, turns):
    for epochs in (3, 0):
        [found] = embeddings_of_records([{"folder": "a"}], {"key": {"steps": [{}, {"positives": shown, "epochs": epochs}]}})
        assert found.turns is (turns and epochs > 0)


@pytest.mark.parametrize("model", [
    {}, {"portrait": None, "steps": None, "key": None}, {"portrait": {}, "steps": [], "key": {}},
    {"portrait": {"angles": [0, 1], "rotation": {"events": None}, "neighbours": {"qcd": None, "top": []}}, "steps": ["?"]},
    {"portrait": {"angles": None, "rotation": {"events": {"mean": [1, 1]}}, "neighbours": {"qcd": [None, [1], ["a", 2]]}},
     "steps": [{"values": {"diagnostics_": {"history": {"train": None}}}}], "key": {"steps": ["?"], "source": None}},
    {"portrait": {"angles": [0, 1], "rotation": {"events": {"mean": [None, "1"], "sd": [0, 0]}}}},
], ids=str)
def test_anything_may_be_missing(model):
    notes = [{"folder": "a", "seconds": None, "loss": float("nan"), "parameters": "many"}, {"step": "nothing kept"}, None]
    [found] = embeddings_of_records(notes, model)
    assert rotation_curves([found]) is neighbours(found, []) is losses([found]) is None
    assert table_of([found]) == ([*HEADS, *(h for f in ("alignment", "uniformity", "loss") for h in (f, "untrained"))],
                                 [["x", "unknown", "qcd", "1", *["–"] * 8]])
    assert embeddings_of_records(None) == embeddings_of_records("none") == []


def test_half_a_portrait_is_drawn():
    rotation = {"events": {"mean": [1, None, 0.5], "sd": [0, 0, 0.25], "events": None}}
    seen = Training(0, {}, {"portrait": {"angles": [0, 1, np.pi, 5], "rotation": rotation,
                                         "neighbours": {"qcd": [[1, 2], [None, 3]]}}})
    assert seen.rotation["events"].mean.tolist() == [1, 0.5] and seen.rotation["events"].overall == 0.5
    assert seen.neighbours["qcd"].tolist() == [[1, 2]]
    latent = Training(0, {}, {"steps": [{"values": {"history_": {"train": [2.0, 1.0], "best_epoch": 0}}}]})
    [curve] = latent.curves
    assert (curve.values, curve.kept) == ((2.0, 1.0), 1)


def section(page):
    return page[page.index('id="embeddings"'):page.index('id="provenance"')]


def test_the_page_has_a_section(embedded):
    page = write_report(embedded)[0].read_text()
    assert '<a href="#embeddings"' in page
    here = section(page)
    assert "Labels only colour the picture" in here and here.count("<tr>") == 4
    figures = [json.loads(f) for f in re.findall(r'<script type="application/json">(.*?)</script>', here, re.S)]
    assert [len(f["data"]) for f in figures] == [18, 2, 2, 2, 10]  # rotation, neighbours, losses of five trainings
    assert here.count('<div class="plot">') == 5
    assert '<details class="fold embeddings" open>' in here


def test_many_are_folded_and_text_cannot_become_markup(embedded, tmp_path):
    shutil.copytree(embedded, tmp_path / "runs")
    for i, path in enumerate(sorted((tmp_path / "runs").glob("qcd/t*/*/*/run.json"))):
        record = json.loads(path.read_text())
        [note] = record["representation"]["learned"]
        other = f"_learned/other-{i}"
        if not i:
            shutil.rmtree(tmp_path / "runs" / note["folder"])  # a step that could not be saved
        else:
            shutil.copytree(embedded / note["folder"], tmp_path / "runs" / other)
        record["representation"] |= {"name": f"<b>{i}</b>", "learned": [{**note, "folder": other, "step": "</script>"}]}
        path.write_text(json.dumps(record))
    here = section(write_report(tmp_path / "runs")[0].read_text())
    n = here.count('<td class="l">&lt;b&gt;')
    assert n > 3 and "<b>1" not in here and "</script></td>" not in here
    # the first has no portrait
    assert here.partition("<details")[0].count('<div class="plot">') == 1 + 3
    assert f"<summary>{n + 2 - 1 - 3} more</summary>" in here
    assert '<details class="fold embeddings" open>' not in here


def test_a_study_that_learned_nothing_has_no_such_section(finished):
    page = write_report(finished)[0].read_text().partition("</head>")[2]
    assert "embedding" not in page.partition('id="bright"')[0].lower()


def test_the_picture_for_documents(embedded, tmp_path):
    spec = importlib.util.spec_from_file_location("embeddings_picture", PROJECT / "docs" / "scripts" / "embeddings.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    figure = script.draw(list(of(embedded).values()), ["qcd", "top"])
    titles = [ax.get_title() for ax in figure.axes if ax.get_visible()]
    assert titles == ["two prongs", "three prongs", "one, two", "still", "turned"]
    assert [line.get_linestyle() for line in figure.axes[0].lines if line.get_marker() == "None"] == ["-", ":", "-"]
    script.main([str(embedded), str(tmp_path / "a.png"), "--only", "one"])
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="no embedding with a portrait"):
        script.main([str(embedded), str(tmp_path / "b.png"), "--only", "substructure"])
    with pytest.raises(InputError, match=r"ends in \.png"):
        script.main([str(embedded), str(tmp_path / "b.gif")])
