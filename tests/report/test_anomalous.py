"""Which events the page draws, and that they are the events that were scored."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import qad
from qad.report import write_report
from qad.report.anomalous import SHOWN, Event, Events, Jet, choose, galleries, portrait
from qad.report.tables import read_rows, summarise
from tests.conftest import toy_events, toy_jets


@pytest.fixture(scope="module")
def known(finished):
    record, rows, _ = read_rows(finished)
    return record, [s for s in summarise(rows) if s.train == "qcd"]


def test_the_most_anomalous_are_those_with_the_highest_scores(known):
    _, here = known
    shown = galleries(here)
    assert [s.kind for s in choose(here)] == ["quantum", "classical", "control"]
    for gallery, summary in zip(shown, choose(here), strict=True):
        scores = summary.rows[0].run.scores
        assert gallery.name == summary.name and gallery.n_background == 200
        for process, seen in (("qcd", gallery.background), ("top", gallery.signal)):
            assert len(seen) == SHOWN and [s.rank for s in seen] == [1, 2, 3, 4]
            np.testing.assert_array_equal([s.score for s in seen], np.sort(scores[process])[::-1][:SHOWN])
            for s in seen:
                assert scores[process][s.index] == s.score and s.higher == (scores["qcd"] > s.score).sum()


def test_an_event_that_was_drawn_twice_by_its_weight_is_shown_once(known):
    summary = next(s for s in known[1] if s.kind == "classical")
    [gallery] = galleries([summary])
    run = summary.rows[0].run
    again = {k: np.repeat(v, 2) for k, v in run.scores.items()}
    twice = replace(run, scores=again, collisions={k: np.repeat(np.arange(len(v)), 2) for k, v in run.scores.items()})
    rows = (replace(summary.rows[0], run=twice), *summary.rows[1:])
    [doubled] = galleries([replace(summary, rows=rows)])
    assert [s.index // 2 for s in doubled.background] == [s.index for s in gallery.background]


def test_the_events_drawn_are_those_that_were_scored(known, finished):
    record, here = known
    events = Events(record, finished)
    sample = events.sample("qcd")
    assert sample.fingerprint == record["samples"]["qcd"]["fingerprints"]["test"]
    run = next(s for s in here if s.detector == "mass-high").rows[0].run
    best = int(run.scores["qcd"].argmax())
    masses = [portrait(sample, i).mass for i in range(len(sample))]
    assert np.argmax(masses) == best  # the highest score of a cut on the mass is the heaviest jet


def test_a_jet_and_an_event_as_they_are_drawn():
    jet = portrait(toy_jets(3, 5), 1)
    assert isinstance(jet, Jet) and jet.particles[:, 0].sum() == pytest.approx(1, abs=0.1) and jet.pt < 600
    assert (jet.particles[:, 0] * jet.particles[:, 1]).sum() == pytest.approx(0, abs=0.05)
    event = portrait(toy_events(3, 5), 1)
    assert isinstance(event, Event) and any(i.group == "met" for i in event.items) and "objects, sum of pT" in event.words
    features = qad.Sample(np.zeros((2, 1, 4)), features=np.ones((2, 1)), feature_names=("x",), feature_units=("",))
    assert portrait(features, 0) is None


def test_events_that_are_not_here_are_one_sentence(finished, tmp_path):
    root = tmp_path / "runs" / "toys"
    shutil.copytree(finished, root)
    record = json.loads((root / "study.json").read_text())
    files = {n: s["file"] for n, s in record["samples"].items()}
    for name, sample in record["samples"].items():
        sample["file"] = f"gone/{name}.h5"
    (root / "study.json").write_text(json.dumps(record))
    page = write_report(root)[0].read_text()
    assert f"gone/qcd.h5 is not there; say where the samples are:  qad report {root} --data FOLDER." in page
    assert 'class="jet"' not in page
    (tmp_path / "moved").mkdir()
    for name, file in files.items():
        shutil.copy(file, tmp_path / "moved" / f"{name}.h5")
    assert write_report(root, tmp_path / "moved")[0].read_text().count('class="jet"') == 2 * 3 * 2 * SHOWN
    toy_jets(520, 99).save(tmp_path / "moved" / "qcd.h5")  # other events under the same name
    page = write_report(root, tmp_path / "moved")[0].read_text()
    assert "no longer holds the events that were scored" in page and 'class="jet"' in page
