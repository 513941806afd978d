"""What detectors are told, which events they are scored on again, and how weighted events are drawn."""

import json
from dataclasses import replace

import numpy as np
import pytest

import qad
from qad.benchmark import load_study, read_runs, run_study
from qad.benchmark.events import copies, resampled, within
from qad.benchmark.inputs import Inputs
from qad.benchmark.study import DetectorSpec
from qad.data import Sample
from qad.detector import Detector
from qad.errors import InputError
from qad.metrics import roc
from qad.report import write_report
from qad.report.shifts import shifts_of
from qad.report.tables import metrics_of


class Weak(Detector):
    """Score = x · (mean of the data - mean of the reference)."""

    kind = "weak"

    def _fit_labelled(self, X, y):
        self.told_ = np.bincount(y)
        self.w_ = X[y == 1].mean(0) - X[y == 0].mean(0)

    def _score(self, X):
        return X @ self.w_


class Supervised(Weak):
    """The same, told the truth."""

    kind = "supervised"


class Twins(Detector):
    """Score = |x| / (1 + largest change that a variation makes)."""

    uses_twins = True

    def _fit(self, X, validation):
        self.scale_ = 1.0

    def _fit_twins(self, X, validation, twins):
        self.scale_ = 1 + max(float(np.abs(t - X).max()) for t in twins.values())

    def _score(self, X):
        return np.abs(X).sum(1) / self.scale_


ME = __name__
TOLD = [
    {"use": f"{ME}:Supervised", "name": "supervised", "told": {"signal": "top"}},
    {"use": f"{ME}:Weak", "name": "weak-0", "told": {"signal": "top", "number": 0, "reference": 0.4}},
    {"use": f"{ME}:Weak", "name": "weak-20", "told": {"signal": ["top", "qcd"], "number": 20, "reference": 0.4}},
    {"use": f"{ME}:Weak", "name": "cwola", "told": {"signal": "top", "number": 50, "region": {"jet_mass": [0.0, 1.0]}}},
    {"use": "mahalanobis", "name": "as-control", "kind": "control"},
]


def samples(toy_files):
    return {n: {**s, "train": 250, "test": 150} for n, s in toy_files.items()}


def study(write_study, toy_files, detectors=TOLD, **changes):
    return load_study(write_study(detectors=detectors, samples=samples(toy_files), **{"train": ["qcd"]} | changes))


def test_what_is_told(write_study, toy_files, tmp_path):
    told = study(write_study, toy_files, [d for d in TOLD if d["name"] != "cwola"], representations={
        "substructure": {"steps": [{"use": "substructure", "features": ["mass", "width"]}, {"use": "standardise"}]}})
    root = run_study(told, tmp_path / "runs", tmp_path / "data")
    runs = {r.detector: r for r in read_runs(root) if r.seed == 0}
    assert runs["supervised"].record["told"] | {"y=0": 250, "y=1": 250} == runs["supervised"].record["told"]
    assert runs["supervised"].kind == "supervised" and runs["as-control"].kind == "control"
    for name, number in (("weak-0", 0), ("weak-20", 20)):
        counts = runs[name].record["told"]
        assert counts["y=0"] + counts["y=1"] + 1 >= 250 + number and abs(counts["y=0"] - 100) <= 1
    assert runs["as-control"].record["told"] is None
    page, _ = write_report(root)
    text = page.read_text()
    assert "Told labels, and therefore not judged: supervised" in text and "No detector saw a label" not in text


def test_fewer_signal_events_are_part_of_more_and_regions_are_cuts(write_study, toy_files):
    spec = study(write_study, toy_files, TOLD[:3])
    parts = {n: qad.split(qad.read(s.file), {"train": 250, "test": 150}, 0) for n, s in spec.samples.items()}
    for kinds in parts.values():  # a column to cut on
        for part, sample in kinds.items():
            kinds[part] = replace(sample, extras={**sample.extras, "x": np.arange(len(sample)) / len(sample)})
    inputs = Inputs(spec, parts)
    arrays = inputs.arrays("substructure", "qcd", False)

    def signal(number, **more):
        told = {"signal": "top", "number": number, **({"reference": 0.4} | more)}
        X, y = inputs.labelled("qcd", DetectorSpec(use="x", told=told), 3, arrays)
        return X[250:], y

    few, y = signal(10)
    many, _ = signal(40)
    assert y[250:].all() and {tuple(x) for x in few} <= {tuple(x) for x in many}
    top = {tuple(x) for x in arrays.others["top", "train"]}
    assert {tuple(x) for x in many} <= top
    assert not top & {tuple(x) for x in arrays.tests["top"]}
    _, y = signal(40, reference=None, region={"x": (0.5, None)})
    np.testing.assert_array_equal(y[:250], parts["qcd"]["train"].extras["x"] >= 0.5)
    with pytest.raises(InputError, match="training part of top has 250"):
        signal(251)
    with pytest.raises(InputError, match="both are needed"):
        signal(3, reference=None, region={"x": (5.0, None)})


@pytest.mark.parametrize(("detector", "sentence"), [
    ({"use": f"{ME}:Weak"}, "is weak: say what it is told"),
    ({"use": "mahalanobis", "told": {"signal": "top"}}, "it is told no labels"),
    ({"use": f"{ME}:Weak", "told": {"signal": "top"}}, "expected one of  reference"),
    ({"use": f"{ME}:Supervised", "told": {"signal": "top", "reference": 0.5}}, "are for weak supervision"),
    ({"use": f"{ME}:Supervised", "told": {"signal": "tpo"}}, "did you mean 'top'"),
    ({"use": f"{ME}:Weak", "name": "w", "told": {"signals": "top"}}, "detector 'w'.told: unknown word 'signals'; did you mean"),
    ({"use": "pca", "epochs": 2}, "at detector 'pca': unknown word 'epochs'.* go under  params"),
    ({"use": f"{ME}:Weak", "told": {"signal": "top", "region": {"m": [5, 2]}}}, "region: m: expected .low, high., low < high"),
    ({"use": f"{ME}:Supervised", "told": {"signal": "top"}, "kind": "control"}, "no control may be told labels"),
])
def test_senseless_studies_are_one_sentence(write_study, toy_files, detector, sentence):
    with pytest.raises(InputError, match=sentence):
        study(write_study, toy_files, [detector])


def test_signal_is_never_its_own_background(write_study, toy_files, tmp_path):
    root = run_study(study(write_study, toy_files, [TOLD[0]], train=["qcd", "top"], seeds=[0]), tmp_path, tmp_path)
    notes = json.loads((root / "study.json").read_text())
    assert {r.train for r in read_runs(root)} == {"qcd"}
    assert any("cannot be its background" in s["reason"] for s in notes["skipped"])


def test_twins_are_scored_and_handed_over(write_study, toy_files, tmp_path):
    varied = study(write_study, toy_files, [{"use": "mahalanobis"}, {"use": f"{ME}:Twins"}], seeds=[0],
                   systematics={"jes": {"use": "jet-energy-scale", "shift": 0.1},
                                "jer": {"use": "jet-energy-resolution", "factor": 2.0}},
                   representations={"substructure": {"steps": [{"use": "substructure", "features": ["mass"]}]}})
    root = run_study(varied, tmp_path / "runs", tmp_path / "data")
    runs = {r.detector: r for r in read_runs(root)}
    assert set(runs["mahalanobis"].scores) == {"qcd", "top"}
    expected = {p: {"jes-up", "jes-down", "jer-up"} for p in ("qcd", "top")}
    assert {p: set(t) for p, t in runs["mahalanobis"].twins.items()} == expected
    twins = runs[f"{ME}.Twins"]
    # its score is the mass: ten per cent more energy is ten per cent more mass, and it was told so in training
    np.testing.assert_allclose(twins.twins["qcd"]["jes-up"], 1.1 * twins.scores["qcd"], rtol=1e-5)
    largest = np.abs(twins.twins["qcd"]["jer-up"] - twins.scores["qcd"]).max()
    assert largest > 0
    rows = {(s.detector, s.process, s.variation): s for s in shifts_of(runs.values())}
    row = rows[f"{ME}.Twins", "qcd", "jes-up"]
    assert row.shift == pytest.approx(0.1 * twins.scores["qcd"].mean() / twins.scores["qcd"].std(), rel=1e-5)
    assert row.efficiency == pytest.approx(0.01, abs=0.005) and row.varied >= row.efficiency
    page, _ = write_report(root)
    assert "Systematic uncertainties" in page.read_text()
    assert len((root / "shifts.csv").read_text().splitlines()) == 1 + 2 * 2 * 3


def test_drawn_by_weight_copies_stay_together():
    n = 4000
    particles = np.zeros((n, 1, 4), np.float32)
    particles[:, 0, 0] = 1 + np.arange(n)
    heavy = np.arange(n) % 4 == 0
    sample = Sample(particles=particles, weight=np.where(heavy, 9.0, 1.0))
    drawn = resampled(sample, 0)
    assert len(drawn) == n and (drawn.weight == 1).all()
    origin = drawn.particles[:, 0, 0].astype(int) - 1
    assert heavy[origin].mean() == pytest.approx(0.75, abs=0.03)  # 9/(9 + 3)
    np.testing.assert_array_equal(drawn.extras["event"], origin)
    k = np.bincount(origin)
    assert copies(drawn) == pytest.approx((k**2).sum() / n)  # n over this is Kish's effective number of events
    parts = qad.split(drawn, {"train": 1000, "test": 1000}, 1)
    assert not set(parts["train"].extras["event"]) & set(parts["test"].extras["event"])
    curve = roc(np.arange(2000.0), np.arange(2000.0) + 1500)
    alone, thrice = metrics_of(curve), metrics_of(curve, 3.0)
    assert alone["tpr_1e2"] > 0 and np.isnan(thrice["tpr_1e2"]) and alone["auc"] == thrice["auc"]
    with pytest.raises(InputError, match="not all positive"):
        resampled(replace(sample, weight=np.where(heavy, -1.0, 1.0)), 0)
    assert within(sample, {}).all()
