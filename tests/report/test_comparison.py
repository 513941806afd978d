"""Two samples compared: closed forms, equal distributions, weights, chunks, and a page that stands alone."""

import json
import re
import tracemalloc
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy import stats

from qad.data import Sample, read
from qad.data.kinematics import cartesian, invariant_mass
from qad.errors import InputError
from qad.report.comparison import compare, validate
from qad.report.observables import observables
from qad.representations import Substructure
from tests.conftest import toy_jets
from tests.report.test_display import dijets, level1


def table(n, seed, shift=0.0, weight=None, names=("x", "y", "z"), **more):
    """Gaussian features, the second moved by ``shift``; the third whole numbers."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.normal(0, 1, n), rng.normal(shift, 2, n), rng.poisson(4, n)])
    return Sample(particles=np.zeros((n, 0, 4)), features=x, feature_names=names, feature_units=("GeV", "rad", ""),
                  weight=weight, meta={"slots": []}, **more)


def test_the_one_that_differs_is_found():
    found = compare(table(4000, 1), table(3000, 2, shift=0.6))
    assert [o.name for o in found.differing] == ["y"] and found.observables[0].name == "y"
    y = found.observables[0]
    assert y.in_sd == pytest.approx(0.3, abs=0.1) and y.wasserstein == pytest.approx(y.in_sd * y.sd[0])
    assert y.wasserstein > 5 * y.wasserstein_chance_95 > 5 * y.wasserstein_chance and y.ks > 5 * y.ks_chance
    assert y.n == (4000, 3000) and y.unit == "rad" and y.mean[1] - y.mean[0] == pytest.approx(0.6, abs=0.15)
    assert found.verdict == ("A and B differ in 1 of 3 observables beyond what 4,000 and 3,000 events explain "
                             "(p < 0.001 after Bonferroni): y.")
    assert [o.statistic for o in found.observables] == sorted((o.statistic for o in found.observables), reverse=True)
    a, b = table(4000, 1).features[:, 1], table(3000, 2, shift=0.6).features[:, 1]
    assert y.wasserstein == pytest.approx(stats.wasserstein_distance(a, b)) and y.ks == pytest.approx(stats.ks_2samp(a, b)[0])


def test_equal_distributions_do_not_differ():
    p, above = [], 0
    for i in range(60):
        found = compare(table(400, 2 * i), table(300, 2 * i + 1), draws=40)
        assert found.verdict.startswith("A and B differ in none of 3 observables beyond what 400 and 300 events explain")
        p += [o.p_value for o in found.observables if o.name != "z"]  # ties make it too large
        above += sum(o.wasserstein > o.wasserstein_chance_95 for o in found.observables)
    assert stats.kstest(p, "uniform").pvalue > 1e-3
    assert above / 180 < 0.12  # one in twenty, as promised
    assert re.search(r"distances below 0\.\d+ standard deviations would not be seen", found.verdict)


def test_weights_count():
    """Events of N(0, 1) weighted with exp(s x - s²/2) are those of N(s, 1)."""
    a = table(10_000, 1)
    x, s = a.features[:, 0].astype(np.float64), 0.5
    moved = replace(a, weight=np.exp(s * x - s * s / 2))
    target = table(10_000, 2)
    target = replace(target, features=target.features + np.float32([s, 0, 0]))
    assert [o.name for o in compare(a, target, draws=2).differing] == ["x"]
    found = compare(moved, target, draws=2)
    assert not found.differing
    side = found.a
    assert side.effective == pytest.approx(10_000 * np.exp(-s * s), rel=0.05)


def test_histograms_are_shares_with_their_errors():
    found = {o.name: o for o in compare(table(900, 1), table(800, 2)).observables}
    h = found["x"].histogram
    assert h.a.sum() == pytest.approx(1) == pytest.approx(h.b.sum())
    np.testing.assert_allclose(h.error_a, np.sqrt(h.a * 900) / 900)
    x = table(900, 1).features[:, 0].astype(np.float64)
    inside, _ = np.histogram(np.clip(x, h.edges[0], h.edges[-1]), h.edges)
    np.testing.assert_allclose(h.a, inside / 900)
    z = found["z"].histogram
    assert np.allclose(np.diff(z.edges), 1) and np.allclose(z.edges % 1, 0.5)
    assert z.a[4 - int(z.edges[0] + 0.5)] == pytest.approx((table(900, 1).features[:, 2] == 4).mean())


def test_files_and_chunks_change_nothing(tmp_path, monkeypatch):
    a, b = toy_jets(300, 1), toy_jets(200, 2, prongs=3)
    a.save(tmp_path / "a.h5")
    b.save(tmp_path / "b.h5")
    one = compare(a, b).as_dict()
    monkeypatch.setattr("qad.report.drawn.CHUNK", 37)
    other = compare(tmp_path / "a.h5", str(tmp_path / "b.h5")).as_dict()
    for record in (one, other):
        record["a"].pop("name"), record["b"].pop("name")
    assert one == other and one["a"]["fingerprint"] == a.fingerprint


def test_a_draw_is_uniform_and_histograms_are_of_all(monkeypatch):
    monkeypatch.setattr("qad.report.drawn.CHUNK", 100)
    n = 3000
    weight = np.random.default_rng(5).exponential(1, n).astype(np.float32)
    sample = replace(table(n, 1, weight=weight), extras={"number": np.arange(n)})
    drawn = np.zeros(n)
    for seed in range(20):
        found = compare(sample, table(500, 2), most=300, seed=seed, draws=2)
        assert found.a.used == 300 and found.a.events == n and found.b.used == 300
    from qad.report.drawn import Drawn

    for seed in range(60):
        drawn[Drawn(sample, "a", 300, seed).column("number")[0].astype(int)] += 1
    thirds = drawn.reshape(3, -1).sum(1)
    assert drawn.sum() == 60 * 300 and np.ptp(thirds) < 5 * np.sqrt(6000)
    h = {o.name: o for o in found.observables}["x"].histogram
    x = np.clip(sample.features[:, 0].astype(np.float64), h.edges[0], h.edges[-1])
    for told, w in ((h.a * weight.sum(), weight), ((h.error_a * weight.sum()) ** 2, weight**2)):
        np.testing.assert_allclose(told, np.histogram(x, h.edges, weights=w)[0], rtol=1e-4)  # of 3,000 events, not of 300


def test_memory_is_constant(tmp_path, monkeypatch):
    monkeypatch.setattr("qad.report.drawn.CHUNK", 1000)
    peaks = []
    for n in (3000, 12_000):
        toy_jets(n, 1, particles=8).save(tmp_path / f"{n}.h5")
        tracemalloc.start()
        compare(tmp_path / f"{n}.h5", tmp_path / f"{n}.h5", most=500, draws=2)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


def test_what_jets_are_compared_in():
    jets = toy_jets(50, 3)
    pdg = np.where(np.arange(40) % 2, 22, 211) * np.ones((50, 1), int)
    columns = observables(replace(jets, particle_extras={"pdg_id": pdg}))
    assert set(columns) == {"pT", "η", "φ", "mass", "multiplicity", "width", "τ2/τ1", "hardest share of pT",
                            "charged share of pT"}
    momentum = cartesian(jets.particles.astype(np.float64)).sum(1)
    np.testing.assert_allclose(columns["mass"].values, invariant_mass(momentum))
    np.testing.assert_allclose(columns["pT"].values, np.hypot(*momentum[:, :2].T))
    np.testing.assert_allclose(columns["τ2/τ1"].values, Substructure(("tau21",)).transform(jets)[:, 0])
    pt = jets.particles[..., 0].astype(np.float64)
    np.testing.assert_allclose(columns["charged share of pT"].values, pt[:, ::2].sum(1) / pt.sum(1))
    said = observables(replace(jets, extras={"event": np.arange(50), "jet_mass": np.ones(50), "list": np.ones((50, 2))}))
    assert "event" not in said and "mass" not in said and "list" not in said and (said["jet_mass"].values == 1).all()


def test_what_events_are_compared_in():
    events = level1(40)
    columns = observables(events)
    assert {"met pT", "met φ", "number of jet", "sum of jet pT", "jet1 pT", "jet2 η", "e1 pT"} <= set(columns)
    assert "met η" not in columns and "jet3 pT" not in columns
    np.testing.assert_array_equal(columns["number of jet"].values, events.present[:, 9:].sum(1))
    np.testing.assert_array_equal(np.isnan(columns["mu2 pT"].values), ~events.present[:, 6])
    pair = dijets(20)
    columns, alone = observables(pair), observables(toy_jets(20, 2, prongs=3, particles=30))
    for name in ("mass", "τ2/τ1", "multiplicity"):
        np.testing.assert_allclose(columns[f"j2 {name}"].values, alone[name].values, rtol=1e-5)
    assert (columns["m_jj"].values == 1234.5).all()
    found = compare(events, level1(50, seed=3), draws=5)
    rows = {o.name: o for o in found.observables}
    assert rows["mu1 pT"].n == (events.present[:, 5].sum(), level1(50, seed=3).present[:, 5].sum())


def test_what_is_not_common_is_said():
    a = replace(toy_jets(30, 1), features=np.ones((30, 1)), feature_names=("only",), feature_units=("",))
    b = replace(toy_jets(30, 2), extras={"event": np.arange(30), "flag": np.ones(30)})
    b.meta["selection"] = {"radius": 1.0}
    rare = np.full(30, np.nan)
    rare[:9] = 1
    a, b = (replace(s, extras={**s.extras, "rare": rare}) for s in (a, b))
    found = compare(a, b, draws=5)
    assert found.only_a == ("feature only",) and found.only_b == ("extra flag",) and found.too_few == ("rare",)
    assert ("seed", "1", "2") in found.settings and ("selection.radius", "–", "1.0") in found.settings
    assert found.a.process == {"qcd": 30} and found.a.label == {0: 30}


def test_identical_events_are_said(tmp_path):
    jets = toy_jets(60, 1)
    jets.save(tmp_path / "a.h5")
    path, found = validate(tmp_path / "a.h5", jets, tmp_path / "same.html", draws=5)
    assert found.identical and found.verdict == "A and B hold identical events (equal fingerprints, 60 events)."
    assert all(o.ks < 1e-12 and o.p_value == 1 for o in found.observables) and "identical events" in path.read_text()


def test_a_constant_is_no_trouble(tmp_path):
    a = table(50, 1)
    flat = replace(a, features=np.ones_like(a.features))
    found = validate(flat, flat[:40], tmp_path / "flat.html", draws=3)[1]
    assert all(o.in_sd is None and o.p_value == 1 for o in found.observables)
    assert validate(flat, a[:40], tmp_path / "flat.html", draws=3)[1].differing


def test_the_page_stands_alone_and_runs_nothing_of_the_files(tmp_path):
    names = ("<script>alert(1)</script>", "$\\frac$ 'x' & y", "z")
    a, b = (table(200, i, shift=i / 4, names=names, process=f"p{i}<i>") for i in (1, 2))
    out, found = validate(a, b, tmp_path / "page.html", draws=5)
    text = out.read_text()
    assert out.stat().st_size < 2e6 and text.count("<script") == 1 and "<script>alert" not in text and "<i>" not in text
    assert not re.search(r"""(src|href)=["'](?!#)""", text.replace("xlink:href=\"#", ""))
    assert set(re.findall(r"https?://[^\s\"'<]*", text)) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    drawings = re.findall(r"<svg.*?</svg>", text, re.S)
    assert len(drawings) == 3 and all(ElementTree.fromstring(d) is not None for d in drawings)
    ids = re.findall(r' id="([^"]*)"', text)
    assert len(ids) == len(set(ids))
    assert {r[1:] for r in re.findall(r'href="(#[^"]*)"', text)} <= set(ids)
    again = validate(a, b, tmp_path / "again.html", draws=5)[0].read_text()
    assert again == text
    record = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert record["verdict"] == found.verdict and len(record["observables"][0]["histogram"]["a"]) > 5


def test_published_events(published, tmp_path):
    signal, background = (published / f"{name}.csv" for name in ("heavy_higgs_2500", "ttbar_background"))
    found = validate(signal, background, tmp_path / "page.html", draws=5)[1]
    x, y = (np.loadtxt(p, delimiter=",", skiprows=1, usecols=1) for p in (signal, background))
    lep = next(o for o in found.observables if o.name == "lep1pt")
    assert lep.wasserstein == pytest.approx(stats.wasserstein_distance(x, y), rel=1e-4) and len(found.differing) == 9
    half = read(background)[::2]
    assert not compare(half, background, draws=2).differing


def test_mistakes_are_one_sentence(tmp_path):
    a = table(30, 1)
    for args, piece in (((a, a[:0]), "sample B holds no events"),
                        ((a, toy_jets(30, 1)), "nothing in common to compare: one has x, y, z"),
                        ((a[:9], a), "fewer than 10 events"), ((tmp_path / "no.h5", a), "does not exist"),
                        ((replace(a, weight=np.zeros(30)), a), "sum above 0")):
        with pytest.raises(InputError, match=piece):
            compare(*args, draws=2)
    with pytest.raises(InputError, match="most=3"):
        compare(a, a, most=3)
    for out, piece in ((tmp_path / "page.txt", r"ends in \.html"), (tmp_path / "no" / "page.html", "is not there")):
        with pytest.raises(InputError, match=piece):
            validate(a, a, out)
