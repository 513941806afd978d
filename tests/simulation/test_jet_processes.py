"""Dark showers and the JetClass-like classes. Expected numbers: the cards' options, PDG masses, counting of decay products."""

import numpy as np
import pytest

pytest.importorskip("pythia8mc", reason="needs the extra 'simulation'")
from qad.data.charges import charge_of
from qad.representations.substructure import Substructure
from qad.simulation import JetSelection, cards, generate
from qad.simulation import cluster as cluster_module
from qad.simulation.cluster import Jets, cluster, constituents, particle_rows, reach
from qad.simulation.jets import contains_decay, decay_products
from qad.simulation.record import Record
from qad.simulation.respond import Response, respond
from tests.simulation.test_cards import JETCLASS
from tests.simulation.test_physics import along, hand_made, peak

EVENTS = {"svj_aachen": 300, "qcd_aachen": 300, "dark_shower": 200, "dark_photon": 300, "jetclass_hqql": 1500,
          "jetclass_tbl": 600, "jetclass_qcd": 600}


@pytest.fixture(scope="module")
def made():
    """Record, seen objects and jets of every process beyond those of the top-tagging kind."""
    out = {}
    for process in (*EVENTS, *(f"jetclass_{c}" for c in JETCLASS)):
        if process not in out:
            card = cards.load_card(process)
            record = Record.of(generate.Generator(card, 7).events(EVENTS.get(process, 400)))
            seen = respond(record, Response(), 1)
            out[process] = (record, seen, JetSelection(**card.cuts).select(record, seen, card, 0, lambda name: None))
    return out


def test_windows_labels_and_columns(made):
    for process, (_, _, jets) in made.items():
        low, high = (150, 300) if "aachen" in process else (500, 1000) if "jetclass" in process else (550, 650)
        pt = jets.extras["jet_pt"]
        assert len(jets) > 20 and (pt > low).all() and (pt < high).all() and (np.abs(jets.extras["jet_eta"]) < 2).all()
        assert set(jets.label) == {0 if "qcd" in process else 1} and set(jets.process) == {process}
        ids = jets.particle_extras["pdg_id"]
        assert not np.isin(np.abs(ids), [12, 14, 16, 51, 53]).any() and (np.abs(ids) < 4_900_000).all()
        if "jetclass" in process:
            np.testing.assert_array_equal(jets.particle_extras["charge"], charge_of(ids))
            assert 0.4 < (jets.particle_extras["charge"] != 0)[jets.present].mean() < 0.8  # pions: two of three
        else:
            assert set(jets.particle_extras) == {"pdg_id"}


def test_jets_are_filled_as_a_plain_loop_fills_them(made):
    """Obviously right: one jet after another, its constituents sorted by pT; the same bits."""
    _, seen, _ = made["jetclass_tbqq"]
    found = cluster(seen.p4, seen.counts, 0.8, 500.0)
    held = constituents(found, np.arange(len(found.event)), seen.p4, seen.counts)
    first = np.concatenate([[0], np.cumsum(seen.counts)])
    at = 0
    for j, event in enumerate(found.event):
        members = first[event] + found.constituents[found.offsets[j] : found.offsets[j + 1]]
        members = members[np.argsort(-np.hypot(*seen.p4[members, :2].T), kind="stable")]
        mine = slice(at, at + len(members))
        at += len(members)
        assert (held.row[mine] == j).all() and (held.place[mine] == np.arange(len(members))).all()
        np.testing.assert_array_equal(held.index[mine], members)
        np.testing.assert_allclose(seen.p4[members].sum(0), found.momentum[j], rtol=1e-9, atol=1e-9)
    assert at == len(held.row)
    row = particle_rows(seen.p4[:1], seen.mass[:1])[0]
    assert row.dtype == np.float32 and row[0] == np.float32(np.hypot(*seen.p4[0, :2])) and row[3] == np.float32(seen.mass[0])


HADRONS = [4900111, 4900211, 4900113, 4900213]


@pytest.mark.parametrize(("process", "r_inv"), [("svj_aachen", 0.75), ("dark_shower", 0.0)])
def test_invisible_share(made, process, r_inv):
    """Energy of dark matter over that of all dark hadrons: r_inv, within the statistics of the dark hadrons."""
    record, _, _ = made[process]
    hadron = np.isin(np.abs(record.pdg_id), HADRONS)
    dark = np.flatnonzero(record.final & np.isin(np.abs(record.pdg_id), [51, 53]))
    assert hadron[record.mother[dark]].all() and not (record.final & hadron).any()
    share = record.p4[dark, 3].sum() / record.p4[np.flatnonzero(hadron), 3].sum()
    assert share == pytest.approx(r_inv, abs=0.03)
    z_prime = record.mass[np.abs(record.pdg_id) == 4900023]
    np.testing.assert_allclose(z_prime, cards.load_card(process).options["m_zprime"], atol=1.0)


def test_aachen_like_events_lose_most_of_their_momentum(made):
    """33 dark hadrons of 5 GeV an event in earlier studies; no b quark can be made, and jets are lighter than the window's QCD
    jets are wide: masses 38 [21, 58] GeV."""
    record, seen, jets = made["svj_aachen"]
    hadrons = np.isin(np.abs(record.pdg_id), HADRONS)
    assert hadrons.sum() / 300 == pytest.approx(33, abs=3)
    np.testing.assert_allclose(record.mass[hadrons], 5.0, atol=0.01)
    from_dark = np.flatnonzero((np.abs(record.pdg_id) == 5) & hadrons[record.mother])
    assert len(from_dark) == 0
    assert 30 < np.median(jets.extras["jet_mass"]) < 46
    met = np.hypot(*seen.missing.T)
    assert np.median(met) > 5 * np.median(np.hypot(*made["qcd_aachen"][1].missing.T))


def test_dark_shower_is_seen_whole(made):
    """r_inv = 0: what is missing is what neutrinos of heavy-flavour decays take; masses 152 GeV in earlier studies."""
    _, seen, jets = made["dark_shower"]
    assert 130 < np.median(jets.extras["jet_mass"]) < 175
    assert np.median(np.hypot(*seen.missing.T)) < 150


def test_dark_photons(made):
    """6.5 dark photons an event at alpha = 0.5 in earlier studies; all decay to quark pairs, two dark quarks remain unseen."""
    record, _, jets = made["dark_photon"]
    photons = np.abs(record.pdg_id) == 4900022
    decaying = photons & (record.status < 0)
    assert not (photons & record.final).any()
    children = np.flatnonzero(photons[record.mother] & ~photons)
    assert (np.abs(record.pdg_id[children]) <= 4).all()  # 5 GeV: no b
    assert len(children) / 2 / 300 == pytest.approx(6.5, abs=0.8) and decaying.any()
    dark_quarks = record.final & (np.abs(record.pdg_id) == 4900101)
    assert set(np.bincount(record.event[dark_quarks], minlength=300)) == {2}
    assert np.median(jets.extras["n_constituents"]) < np.median(made["dark_shower"][2].extras["n_constituents"])


@pytest.mark.parametrize(("name", "mass"), [("hbb", 125.0), ("hcc", 125.0), ("hgg", 125.0), ("h4q", 125.0), ("zqq", 91.2),
                                            ("wqq", 80.4), ("tbqq", 172.8)])
def test_hadronic_classes_have_their_mass(made, name, mass):
    assert peak(made[f"jetclass_{name}"][2].extras["jet_mass"], 10) == pytest.approx(mass, abs=6)


def test_leptonic_classes(made):
    """The neutrino takes its share of the mass; exactly one hard lepton of either charge is in each jet, e or μ alike."""
    for name, mass in (("hqql", 125.0), ("tbl", 172.8)):
        _, _, jets = made[f"jetclass_{name}"]
        assert 0.5 * mass < np.median(jets.extras["jet_mass"]) < 0.95 * mass
        lepton = np.isin(np.abs(jets.particle_extras["pdg_id"]), [11, 13])
        hardest = np.where(lepton, jets.particles[..., 0], 0)
        charge = np.take_along_axis(jets.particle_extras["charge"], hardest.argmax(1)[:, None], 1)[:, 0]
        assert (hardest.max(1) > 5).mean() > 0.9
        assert 0.25 < (charge > 0).mean() < 0.75
        kinds = np.take_along_axis(np.abs(jets.particle_extras["pdg_id"]), hardest.argmax(1)[:, None], 1)[:, 0]
        assert 0.25 < (kinds == 11).mean() < 0.75
    for name in ("h4q", "wqq", "tbqq"):
        _, _, jets = made[f"jetclass_{name}"]
        lepton = np.isin(np.abs(jets.particle_extras["pdg_id"]), [11, 13])
        assert np.median(np.where(lepton, jets.particles[..., 0], 0).max(1)) < 30


#: What each decay ends in: |ids| of the products, for one resonance.
ENDS = {"hbb": {(5, 5)}, "hcc": {(4, 4)}, "hgg": {(21, 21)}}


@pytest.mark.parametrize(("name", "number"), [("hbb", 2), ("hcc", 2), ("hgg", 2), ("h4q", 4), ("zqq", 2), ("wqq", 2),
                                              ("tbqq", 3), ("tbl", 2)])
def test_decay_chains(made, name, number):
    record, _, _ = made[f"jetclass_{name}"]
    card = cards.load_card(f"jetclass_{name}")
    found, origin = decay_products(record, card.resonance, card.products)
    ends = [tuple(sorted(np.abs(record.pdg_id[found[(record.event[found] == event) & (origin == sign)]])))
            for event in range(50) for sign in {card.resonance, -card.resonance} & set(origin[record.event[found] == event])]
    assert {len(e) for e in ends} == {number}
    assert set(ends) == ENDS.get(name, set(ends))
    if name.startswith("t"):
        assert np.mean([5 in e for e in ends]) > 0.97 and len(ends) == 100  # V_tb; the others are s


def test_prongs_and_multiplicities(made):
    """τ21 of two prongs and τ32 of three below QCD's; gluons radiate more than b quarks, and those more than c quarks."""
    columns = {c: Substructure(("tau21", "tau32", "multiplicity")).transform(made[f"jetclass_{c}"][2])
               for c in ("qcd", "hbb", "hcc", "hgg", "zqq", "wqq", "tbqq")}
    median = {c: np.median(x, 0) for c, x in columns.items()}
    for two in ("hbb", "hcc", "zqq", "wqq"):
        assert median[two][0] < median["qcd"][0] - 0.1, two
    assert median["tbqq"][1] < median["qcd"][1] - 0.1
    assert median["hgg"][2] > median["hbb"][2] + 5 and median["hbb"][2] > median["hcc"][2] + 2


def test_a_jet_contains_gluons_and_leptons_only_where_they_are_asked_for():
    def jets_of(*etas):
        n = len(etas)
        return Jets(np.zeros(n, int), np.array([along(e, 0.0, 600.0) for e in etas]), np.arange(n + 1), np.zeros(n, int))

    higgs = (25, -22, None, *along(0, 0, 600))
    pair = hand_made([higgs, (21, -23, 0, *along(0.3, 0, 300)), (21, -23, 0, *along(-0.3, 0, 300)),
                      (21, -23, None, *along(1.8, 0, 50))])
    assert contains_decay(pair, jets_of(0.0, 0.8, 1.8), 25, 0.8, (21,)).tolist() == [True, False, False]
    assert not contains_decay(pair, jets_of(0.0), 25, 0.8).any()  # no quarks in it
    w = (24, -22, 0, *along(0, 0, 300))
    rows = [higgs, w, (-24, -22, 0, *along(0, 0, 300)), (2, -23, 1, *along(0.2, 0, 150)), (-1, -23, 1, *along(-0.2, 0, 150)),
            (11, -23, 2, *along(0.6, 0, 150)), (-12, -23, 2, *along(-0.9, 0, 150))]
    both = (1, 2, 3, 4, 5, 11, 13)
    record = hand_made(rows)
    # the first holds quarks and lepton (the neutrino may go where it likes), the second misses the lepton
    assert contains_decay(record, jets_of(0.0, -0.5), 25, 0.8, both, 1).tolist() == [True, False]
    assert contains_decay(record, jets_of(0.0, -0.5), 25, 0.8).tolist() == [True, True]
    assert not contains_decay(record, jets_of(0.0), 25, 0.8, both, 2).any()
    hadronic = hand_made([*rows[:5], (3, -23, 2, *along(0.6, 0, 150)), (-4, -23, 2, *along(-0.5, 0, 150))])
    assert contains_decay(hadronic, jets_of(0.0), 25, 0.8, both).all()
    assert not contains_decay(hadronic, jets_of(0.0), 25, 0.8, both, 1).any()


def test_events_that_cannot_reach_the_threshold_are_left_out_without_loss(made, monkeypatch):
    """No jet has more pT than its event's reach; leaving such events out gives the same bits as asking FastJet about all."""
    for process in ("qcd_aachen", "jetclass_qcd", "dark_shower"):
        _, seen, _ = made[process]
        limit = reach(seen.p4, seen.counts)
        monkeypatch.setattr(cluster_module, "WORTH_ASKING", np.inf)
        for radius in (0.4, 1.5):
            every = cluster(seen.p4, seen.counts, radius, 20.0)
            assert (np.hypot(*every.momentum[:, :2].T) <= limit[every.event]).all()
        for min_pt in (150.0, 500.0):
            monkeypatch.setattr(cluster_module, "WORTH_ASKING", np.inf)
            every = cluster(seen.p4, seen.counts, 0.8, min_pt)
            monkeypatch.setattr(cluster_module, "WORTH_ASKING", 0.0)
            hopeful = cluster(seen.p4, seen.counts, 0.8, min_pt)
            for a, b in zip(every, hopeful, strict=True):
                np.testing.assert_array_equal(a, b)
        assert (limit < 500).any()


def test_reach_by_hand():
    """All in one direction, whichever: their sum, and at most 1/cos 15° more; back to back: one side; nothing: zero."""
    angle = np.linspace(0, 2 * np.pi, 37)
    one_way = np.stack([np.cos(angle), np.sin(angle), 0 * angle, 1 + 0 * angle], 1)
    single = reach(100 * one_way, np.ones(37, int))
    assert (single >= 100).all() and (single <= 100 * 1.0001 / np.cos(np.pi / 12)).all()
    pairs = reach(100 * np.stack([one_way, -one_way], 1).reshape(-1, 4), np.full(37, 2))
    np.testing.assert_allclose(pairs, single, rtol=1e-9)
    assert reach(one_way[:2], np.array([0, 2, 0])).tolist()[::2] == [0, 0]
    assert reach(one_way[:0], np.array([0, 0])).tolist() == [0, 0]
