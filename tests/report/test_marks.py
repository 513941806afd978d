"""What detectors and their representations were told stands behind their names, also for runs that noted less."""

import importlib
import json
import shutil

import pytest

from qad.benchmark.runs import Run
from qad.detector import KINDS
from qad.report import as_latex, as_markdown
from qad.report.record import as_record, read_record
from qad.report.told import marks, remarks, told_classes
from tests.conftest import PROJECT


def run(kind="classical", learned=(), steps=(), learns_from=None):
    representation = {"name": "x", "steps": list(steps), "learned": list(learned)}
    return Run(None, {"detector": {"kind": kind}, "representation": representation, "seed": 0, "train": "qcd",
                      "configuration": {"learns_from": learns_from} if learns_from else {}}, {})


def test_marks_are_those_of_labels_classes_and_mixtures():
    assert marks([run(), run("control")]) == []
    assert marks([run("weak"), run("supervised")]) == ["told labels"]
    assert marks([run(learned=[{"told": True}]), run(learned=[{"told": True}])]) == ["told classes"]
    assert marks([run("supervised", learns_from=["qcd", "top"])]) == ["told labels", "learned from qcd + top"]


@pytest.mark.parametrize("told, learned, steps", [
    (True, {"step": "SupervisedContrastive"}, {"use": "supcon", "epochs": 6}),  # a run that did not note it yet
    (False, {"step": "SupervisedContrastive"}, {"use": "supcon", "epochs": 0}),  # an untrained network is told nothing
    (False, {"step": "SupervisedContrastive", "told": False}, {"use": "supcon"}),
    (False, {"step": "JetCLR"}, {"use": "jetclr", "epochs": 6}),
])
def test_earlier_runs_are_known_by_their_step(told, learned, steps):
    assert told_classes(run(learned=[learned], steps=[steps])) == told


def test_remarks_say_also_what_did_not_converge():
    done = [run("weak"), run("weak")]
    done[1].record.update(diagnostics={"converged": False}, seed=1)
    done[0].record.update(diagnostics={"converged": True})
    assert remarks(done) == ["told labels", "not converged: 1 of 2 seeds"]


def test_every_table_and_the_record_have_the_marks(finished, tmp_path):
    root = tmp_path / "runs"
    shutil.copytree(finished, root)
    for path in root.glob("*/constituents/*/*/run.json"):
        record = json.loads(path.read_text())
        record["representation"]["learned"] = [{"told": True}]
        record["finished"] = f"2021-02-0{1 + record['seed']}T00:00:00+00:00"
        path.write_text(json.dumps(record))
    for path in root.glob("*/substructure/*/*/run.json"):
        record = json.loads(path.read_text())
        record["finished"] = "2020-01-01T00:00:00+00:00"
        path.write_text(json.dumps(record))
    record = as_record(root)
    told = {m["representation"]: m["marks"] for m in record["models"]}
    assert told == {"constituents": ["told classes"], "substructure": []}
    assert record["date"] == "2021-02-02"  # when the last run ended, not when its file was copied
    for text in (as_markdown(root), as_latex(root)):
        assert "mahalanobis (constituents) [told classes]" in text and "mahalanobis (substructure) [" not in text


def test_tables_of_the_documentation_have_the_marks(monkeypatch):
    pytest.importorskip("sphinx", reason="needs sphinx, of the extra 'docs'")
    monkeypatch.syspath_prepend(PROJECT / "docs" / "_ext")
    records = importlib.import_module("records")
    record = read_record(PROJECT / "docs/benchmarks/records/supcon.json")
    told = {(m["detector"], m["representation"]) for m in record["models"] if "told classes" in m["marks"]}
    assert {representation for _, representation in told} >= {"classes", "classes-qubits"}
    table = records.table(record, record["directions"], ["auc"], KINDS)
    assert table.count("told classes") == len(told) > 5
