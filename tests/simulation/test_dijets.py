"""Dijet events: FastJet as the judge of what is clustered, masses of the cards, and the published LHC Olympics features."""

import numpy as np
import pytest

pytest.importorskip("pythia8mc", reason="needs the extra 'simulation'")
from qad.data import Sample
from qad.data.dijet import FEATURES
from qad.data.kinematics import eta_phi, wrap
from qad.data.slots import object_of
from qad.errors import InputError
from qad.simulation import cards, dijets, generate, produce, simulate
from qad.simulation.cluster import _fastjet
from qad.simulation.dijets import GRID, DijetSelection, dijets_of
from qad.simulation.record import Record
from qad.simulation.respond import Response, respond
from tests.simulation.test_physics import peak

#: Process: ids of the heavy particles with the option that gives their mass.
HEAVY = {
    "wprime_xy": {34: "m_wprime", 24: "m_x", 23: "m_y"},
    "wprime_xy_qqq": {34: "m_wprime", 24: "m_x", 23: "m_y"},
    "x_yy": {34: "m_x", 24: "m_yprime", 23: "m_y"},
    "qstar_qw": {24: "m_w"},
    "wkk_wr": {34: "m_wkk", 35: "m_r"},
    "wprime_bt": {34: "m_wprime", 7: "m_b", 6: 173.0},
    "zprime_tt": {32: "m_zprime", 8: "m_t"},
    "y_hh": {35: "m_y", 25: "m_h"},
}
#: How many quarks each chain ends in.
QUARKS = {"wprime_xy": 4, "wprime_xy_qqq": 6, "x_yy": 4, "wkk_wr": 6, "wprime_bt": 6, "zprime_tt": 10, "y_hh": 12}


@pytest.fixture(scope="module")
def made():
    """Record, seen objects and dijets of a few hundred events of every process."""
    out = {}
    for process in cards.processes("dijets"):
        card = cards.load_card(process)
        record = Record.of(generate.Generator(card, 7).events(1500 if process == "dijet_qcd" else 200))
        seen = respond(record, Response(), 1)
        out[process] = (record, seen, DijetSelection().select(record, seen, card, 0, lambda name: None))
    return out


def whole_events(seen, first=0, last=None):
    """The seen objects as a sample of whole events, pT-sorted and padded as the low-level files are."""
    last = seen.n if last is None else last
    rows = []
    for event in range(first, last):
        mine = np.flatnonzero((seen.event == event) & seen.p4[:, :2].any(1))  # remnants of the beams have no pT at all
        pt = np.hypot(*seen.p4[mine, :2].T)
        order = np.argsort(-pt, kind="stable")
        px, py, pz, _ = seen.p4[mine][order].T
        rows.append((np.column_stack([pt[order], np.arcsinh(pz / pt[order]), np.arctan2(py, px), seen.mass[mine][order]]),
                     seen.pdg_id[mine][order]))
    most = max(len(r) for r, _ in rows)
    return Sample(particles=np.stack([np.pad(r, ((0, most - len(r)), (0, 0))) for r, _ in rows]), process="whole",
                  label=np.arange(last - first) % 2, weight=np.arange(last - first) + 1.0,
                  particle_extras={"pdg_id": np.stack([np.pad(i, (0, most - len(i))) for _, i in rows])})


def test_layout(made):
    _, _, events = made["wprime_xy"]
    assert events.feature_names == tuple(FEATURES) == ("m_light", "dm", "tau21_light", "tau21_heavy")
    assert events.feature_units == ("GeV", "GeV", "", "") and events.particles.shape[1:] == (200, 4)
    assert events.meta["slots"] == ["j1"] * 100 + ["j2"] * 100
    of_jet = [f"{j}_{q}" for j in ("j1", "j2") for q in ("pt", "eta", "phi", "mass", "tau1", "tau2", "tau3")]
    assert set(events.extras) == {"event", "m_jj", "delta_eta_jj", *of_jet} and set(events.particle_extras) == {"pdg_id"}
    assert (events.extras["j1_pt"] >= events.extras["j2_pt"]).all() and (events.extras["j1_pt"] > 1200).all()
    assert (np.abs(events.extras["j1_eta"]) < 2.5).all() and (np.abs(events.extras["j2_eta"]) < 2.5).all()
    assert not np.isin(np.abs(events.particle_extras["pdg_id"]), [12, 14, 16]).any()
    assert set(made["dijet_qcd"][2].label) == {0} and set(events.label) == {1}


@pytest.mark.parametrize("process", ["dijet_qcd", "wprime_xy"])
def test_against_fastjet_event_by_event(made, process):
    """The two hardest central jets, found one event at a time with FastJet's own classes; τ_N by FastJet contrib."""
    fastjet = _fastjet()
    import awkward as ak

    _, seen, events = made[process]
    eta, _ = eta_phi(seen.p4)
    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, 1.0)
    kept = dict(zip(events.extras["event"].tolist(), range(len(events)), strict=True))
    checked = 0
    for event in range(60 if process == "wprime_xy" else 300):
        mine = np.flatnonzero((seen.event == event) & (np.abs(eta) < 5))
        inputs = []
        for k, p in enumerate(seen.p4[mine]):
            inputs.append(fastjet.PseudoJet(*map(float, p)))
            inputs[-1].set_user_index(k)
        sequence = fastjet.ClusterSequence(inputs, definition)
        found = [j for j in fastjet.sorted_by_pt(sequence.inclusive_jets(200.0)) if abs(j.eta()) < 2.5][:2]
        passes = len(found) == 2 and found[0].pt() > 1200
        assert passes == (event in kept)
        if not passes:
            continue
        row, checked = kept[event], checked + 1
        for name, jet in zip(("j1", "j2"), found, strict=True):
            ours = [events.extras[f"{name}_{q}"][row] for q in ("pt", "eta", "mass")]
            np.testing.assert_allclose(ours, [jet.pt(), jet.eta(), jet.m()], rtol=1e-5, atol=1e-3)
            assert abs(wrap(events.extras[f"{name}_phi"][row] - jet.phi())) < 1e-5
            p4 = seen.p4[mine[[c.user_index() for c in jet.constituents()]]]
            pt = np.sort(np.hypot(*p4[:, :2].T))[::-1][:100]
            slots = events.particles[row, :100, 0] if name == "j1" else events.particles[row, 100:, 0]
            np.testing.assert_allclose(slots[: len(pt)], pt, rtol=1e-6)
            assert (slots[len(pt) :] == 0).all()
            if checked > 15:
                continue
            names = ("px", "py", "pz", "E")
            one = ak.Array([[dict(zip(names, map(float, p), strict=True)) for p in p4]], with_name="Momentum4D")
            contrib = fastjet.ClusterSequence(one, definition).njettiness(
                measure_definition="UnnormalizedMeasure", axes_definition="KT_Axes", njets=[1, 2, 3], beta=1.0, R0=1.0)
            ours = [events.extras[f"{name}_tau{k}"][row] for k in (1, 2, 3)]
            np.testing.assert_allclose(ours, np.asarray(contrib)[0], rtol=1e-5)
        total = found[0] + found[1]
        assert events.extras["m_jj"][row] == pytest.approx(total.m(), rel=1e-5)
        assert events.extras["delta_eta_jj"][row] == pytest.approx(abs(found[0].eta() - found[1].eta()), abs=1e-4)
    assert checked > 15


def test_features_follow_the_cathode_convention(made):
    """By hand, one event after another: the lighter jet first, τ21 with the published 10⁻⁵ (arXiv:2109.00546)."""
    for _, _, events in made.values():
        e = events.extras
        for row in range(len(events)):
            light, heavy = ("j1", "j2") if e["j1_mass"][row] < e["j2_mass"][row] else ("j2", "j1")
            expected = [e[f"{light}_mass"][row], e[f"{heavy}_mass"][row] - e[f"{light}_mass"][row],
                        e[f"{light}_tau2"][row] / (1e-5 + e[f"{light}_tau1"][row]),
                        e[f"{heavy}_tau2"][row] / (1e-5 + e[f"{heavy}_tau1"][row])]
            np.testing.assert_allclose(events.features[row], expected, rtol=1e-4, atol=1e-2)


def test_whole_events_cluster_to_the_same_dijets(made, monkeypatch):
    """The detour over a file of whole events, in float32: the same events, the same jets, labels and weights carried over."""
    _, seen, events = made["wprime_xy"]
    whole = whole_events(seen)
    again = dijets_of(whole)
    np.testing.assert_array_equal(again.extras["event"], events.extras["event"])
    np.testing.assert_allclose(again.features, events.features, rtol=2e-3, atol=0.05)
    for name in ("m_jj", "j1_pt", "j2_mass", "j1_tau3"):
        np.testing.assert_allclose(again.extras[name], events.extras[name], rtol=1e-3, atol=0.05)
    np.testing.assert_array_equal(again.label, again.extras["event"] % 2)
    np.testing.assert_array_equal(again.weight, again.extras["event"] + 1)
    assert (again.particle_extras["pdg_id"] == events.particle_extras["pdg_id"]).mean() > 0.99  # equal pT may swap
    monkeypatch.setattr(dijets, "EVENTS_AT_ONCE", 33)
    assert dijets_of(whole).fingerprint == again.fingerprint
    few = dijets_of(whole[:0])
    assert len(few) == 0 and few.feature_names == tuple(FEATURES)
    with pytest.raises(InputError, match="holds the objects j1, j2"):
        dijets_of(events)


def test_turned_and_mirrored_events_give_the_same_numbers(made):
    whole = whole_events(made["wprime_xy_qqq"][1], 0, 100)
    turned = whole.particles.copy()
    turned[..., 2] = np.where(turned[..., 0] > 0, wrap(turned[..., 2] + 1.2345), 0)
    turned[..., 1] *= -1
    a, b = dijets_of(whole), dijets_of(Sample(particles=turned))
    np.testing.assert_array_equal(a.extras["event"], b.extras["event"])
    np.testing.assert_allclose(a.features, b.features, rtol=3e-3, atol=0.1)
    np.testing.assert_allclose(a.extras["m_jj"], b.extras["m_jj"], rtol=1e-3)
    np.testing.assert_allclose(a.extras["j1_eta"], -b.extras["j1_eta"], atol=1e-3)
    np.testing.assert_allclose(wrap(a.extras["j1_phi"] + 1.2345 - b.extras["j1_phi"]), 0, atol=1e-3)


@pytest.mark.parametrize("process", HEAVY)
def test_masses_of_the_chain(made, process):
    """Medians of the generated masses: the options of the card, within 2 %; and how many quarks the chain ends in."""
    record, _, _ = made[process]
    options = cards.load_card(process).options
    hard = np.abs(record.status) == 22
    for pdg_id, name in HEAVY[process].items():
        masses = record.mass[hard & (np.abs(record.pdg_id) == pdg_id)]
        assert len(masses) >= 200
        assert np.median(masses) == pytest.approx(options.get(name, name), rel=0.02), pdg_id
    if process == "qstar_qw":
        excited = hard & np.isin(np.abs(record.pdg_id), [4000001, 4000002])
        assert np.median(record.mass[excited]) == pytest.approx(3000, rel=0.02)
        return
    top = next(iter(HEAVY[process]))
    quarks = np.flatnonzero((np.abs(record.status) == 23) & (np.abs(record.pdg_id) <= 5))
    quarks = quarks[record.ancestor(quarks, top) != 0]
    assert set(np.bincount(record.event[quarks], minlength=200)) == {QUARKS[process]}


#: Width over mass where it is not the card's: Γ_Z / m_Z = 2.4955 / 91.188 of the particle data group.
NATURAL = {("wprime_xy", 23): 0.0274, ("x_yy", 23): 0.0274}


@pytest.mark.parametrize("process", HEAVY)
def test_widths_of_the_chain(made, process):
    """1 % for the resonance, 0.5 % for its daughters: the quartiles of a Breit–Wigner lie at m ∓ Γ/2, so Γ is their distance.

    From 200 masses that distance is known to 11 % (1.57 / √200), hence 0.7 to 1.5 times.
    """
    record, _, _ = made[process]
    expected = {(i,): NATURAL.get((process, i), 0.005 if k else 0.01) for k, i in enumerate(HEAVY[process]) if i != 6}
    if process == "qstar_qw":
        expected = {(4000001, 4000002): 0.01, (24,): 0.005}
    for pdg_ids, width in expected.items():
        masses = record.mass[(np.abs(record.status) == 22) & np.isin(np.abs(record.pdg_id), pdg_ids)]
        low, middle, high = np.quantile(masses, [0.25, 0.5, 0.75])
        assert 0.7 < (high - low) / middle / width < 1.5, pdg_ids


#: Where m_jj peaks [GeV], and medians of the lighter and heavier jet mass; None where a jet does not hold its whole parent.
SEEN = {"wprime_xy": (3500, 100, 500), "wprime_xy_qqq": (3500, 100, 500), "x_yy": (3000, 170, 400),
        "qstar_qw": (3000, None, 400), "wkk_wr": (3000, 80.4, 400), "wprime_bt": (3000, 173, 400),
        "zprime_tt": (3000, None, 400), "y_hh": (3000, None, 400)}


@pytest.mark.parametrize("process", SEEN)
def test_what_is_seen_peaks_where_it_should(made, process):
    """m_jj within 5 % of the resonance, jet masses within 15 % of the daughters (no detector; a jet picks up radiation)."""
    _, _, events = made[process]
    m_jj, light, heavy = SEEN[process]
    assert peak(events.extras["m_jj"], 300) == pytest.approx(m_jj, rel=0.05)
    assert peak(events.feature("m_light") + events.feature("dm"), 40) == pytest.approx(heavy, rel=0.1)
    if light:
        assert peak(events.feature("m_light"), 15) == pytest.approx(light, rel=0.15)


def test_prongs(made):
    """Two-pronged jets have a smaller τ21 than QCD, three-pronged ones a smaller τ32 than two-pronged and QCD ones."""
    def median(process, jet, high, low):
        e = made[process][2].extras
        return np.median(e[f"{jet}_tau{high}"] / e[f"{jet}_tau{low}"])

    for jet in ("j1", "j2"):
        two, three, qcd = (median(p, jet, 2, 1) for p in ("wprime_xy", "wprime_xy_qqq", "dijet_qcd"))
        assert two < three - 0.1 and two < qcd - 0.1
        two, three, qcd = (median(p, jet, 3, 2) for p in ("wprime_xy", "wprime_xy_qqq", "dijet_qcd"))
        assert three < two - 0.05 and three < qcd - 0.05


def test_qcd_spectrum_falls_and_keeps_its_yield(made):
    """80 dijets a second at 760 events a second in earlier studies: a share of 0.105; here 1500 events."""
    _, _, events = made["dijet_qcd"]
    assert len(events) / 1500 == pytest.approx(0.105, abs=0.03)
    counts, _ = np.histogram(events.extras["m_jj"], [2400, 3400, 4400, 5400])
    assert (np.diff(counts) < 0).all()


def test_objects_are_jets(made):
    _, _, events = made["x_yy"]
    jets = object_of(events, "j1")
    np.testing.assert_array_equal(jets.extras["jet_pt"], events.extras["j1_pt"])
    np.testing.assert_array_equal(jets.particles, events.particles[:, :100])


@pytest.mark.parametrize(("process", "point"), [(p, dict(point)) for p, points in GRID.items() for point in points])
def test_every_point_of_the_grid_starts(process, point):
    card = cards.load_card(process, "dijets", **point)
    assert len(generate.Generator(card, 1).events(2)) == 2


@pytest.mark.parametrize(("process", "options", "sentence"), [
    ("wprime_xy", {"m_x": 1600}, r"m_x: expected 20 to 1400 GeV .*m_wprime must be able to decay to it\), got 1600"),
    ("wprime_xy", {"m_wprime": 20_000}, "m_wprime: expected 500 to 10000 GeV"),
    ("y_hh", {"m_h": 300}, r"m_h: expected 350 .*two tops"),
    ("wprime_bt", {"m_b": 90}, r"m_b: expected 100 .*b Z"),
    ("zprime_tt", {"m_t": 200}, r"m_t: expected 270 .*t Z"),
    ("wkk_wr", {"m_r": 100}, r"m_r: expected 165 .*two W"),
    ("dijet_qcd", {"pt_hat_min": 1}, "pt_hat_min: expected 20 to 3000"),
    ("wprime_xyz", {}, "did you mean 'wprime_xy'"),
])
def test_bad_masses_are_one_sentence(process, options, sentence):
    with pytest.raises(InputError, match=sentence):
        cards.load_card(process, "dijets", **options)


def test_through_the_front_door(monkeypatch):
    monkeypatch.setattr(produce, "EVENTS_PER_CHUNK", 100)
    events = simulate("dijets", "wprime_xy", 30, seed=2, m_x=300)
    again = simulate("dijets", "wprime_xy", 30, seed=2, m_x=300)
    assert events.fingerprint == again.fingerprint and events.meta["slots"] == ["j1"] * 100 + ["j2"] * 100
    assert peak(events.feature("m_light") + events.feature("dm"), 40) == pytest.approx(300, rel=0.1)
    assert (object_of(events, "j2").extras["jet_mass"] == events.extras["j2_mass"]).all()


@pytest.mark.slow
def test_the_signal_region_looks_like_the_published_one(published):
    """Features with 3.3 < m_jj < 3.7 TeV against LHC Olympics events (arXiv:2109.00546), which had a detector.

    Medians of masses within 25 %, of τ21 within 0.15 (a detector blurs the substructure of narrow jets).
    """
    theirs = np.load(published / "lhco_signal_region_train.npy")
    theirs[:, 1:3] *= 1000
    for process, label in (("dijet_qcd", 0), ("wprime_xy", 1)):
        events = simulate("dijets", process, 1200 if label == 0 else 400, seed=1)
        window = (events.extras["m_jj"] > 3300) & (events.extras["m_jj"] < 3700)
        ours, published_ones = events.features[window], theirs[theirs[:, 5] == label][:, 1:5]
        assert len(ours) > 100
        np.testing.assert_allclose(np.median(ours, 0)[:2], np.median(published_ones, 0)[:2], rtol=0.25)
        np.testing.assert_allclose(np.median(ours, 0)[2:], np.median(published_ones, 0)[2:], atol=0.15)
