"""What detectors and their representations were told stands behind their names, also for runs that noted less."""

import pytest

from qad.benchmark.runs import Run
from qad.report.told import marks, told_classes


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
