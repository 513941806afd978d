"""Is it the physics the card promises? Expected numbers: PDG masses; card options; cards as checked in earlier studies."""

import numpy as np
import pytest

pytest.importorskip("pythia8mc", reason="needs the extra 'simulation'")
from qad.data.kinematics import cartesian, opening_angle
from qad.simulation import EventSelection, JetSelection, cards, generate, simulate_events, simulate_jets
from qad.simulation.cluster import Jets
from qad.simulation.events import select_events
from qad.simulation.jets import contains_decay
from qad.simulation.record import Record

MASSES = {"top": (172.8, 10), "w": (80.4, 5), "z": (91.2, 5), "higgs_bb": (125.0, 10)}


def peak(values, width):
    """Centre of the ``width`` GeV window that holds most entries."""
    values = np.sort(values)
    inside = np.searchsorted(values, values + width) - np.arange(len(values))
    return values[np.argmax(inside)] + width / 2


@pytest.mark.parametrize("process", MASSES)
def test_jet_mass_peaks_at_the_resonance(real_jets, process):
    expected, tolerance = MASSES[process]
    assert abs(peak(real_jets[process].extras["jet_mass"], 10) - expected) < tolerance


def test_the_qcd_mass_spectrum_falls(real_jets):
    counts, _ = np.histogram(real_jets["qcd"].extras["jet_mass"], [50, 100, 150, 200, 250])
    assert (np.diff(counts) < 0).all()


@pytest.mark.parametrize("process", ["qcd", "svj", *MASSES])
def test_window_and_labels(real_jets, process):
    jets = real_jets[process]
    assert ((jets.extras["jet_pt"] > 550) & (jets.extras["jet_pt"] < 650)).all()
    assert (np.abs(jets.extras["jet_eta"]) < 2).all()
    assert set(jets.label) == {0 if process == "qcd" else 1} and set(jets.process) == {process}
    invisible = np.isin(np.abs(jets.particle_extras["pdg_id"]), [12, 14, 16, 51, 53])
    assert not invisible.any() and (np.abs(jets.particle_extras["pdg_id"]) < 4_900_000).all()


def hard_decay(process, resonance, **options):
    """Per event, the sorted |ids| of the quarks that each ``resonance`` decays to."""
    record = Record.of(generate.Generator(cards.load_card(process, **options), 3).events(50))
    quarks, origin = record.decay_quarks(resonance)
    found = []
    for event in range(50):
        mine = record.event[quarks] == event
        found += [tuple(sorted(np.abs(record.pdg_id[quarks[mine & (origin == o)]]))) for o in set(origin[mine])]
    return found


def test_decay_chains():
    tops = hard_decay("top", 6)
    assert len(tops) == 100 and all(len(q) == 3 and 5 in q for q in tops)
    assert all(len(q) == 2 and (sum(q) % 2) for q in hard_decay("w", 24))  # an up and a down type
    assert all(len(q) == 2 and q[0] == q[1] for q in hard_decay("z", 23))
    assert set(hard_decay("higgs_bb", 25)) == {(5, 5)}


def hand_made(particles):
    """A record of one event from rows (id, status, mother or None, px, py, pz, E)."""
    ids, status, mothers, p4 = zip(*((r[0], r[1], r[2], r[3:]) for r in particles), strict=True)
    n = len(ids)
    mother = np.array([i if m is None else m for i, m in enumerate(mothers)])
    return Record(start=np.array([0, n]), event=np.zeros(n, int), pdg_id=np.array(ids), status=np.array(status),
                  mother=mother, p4=np.array(p4, float), mass=np.zeros(n))


def along(eta, phi, pt):
    return pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), pt * np.cosh(eta)


def test_a_matched_jet_contains_every_decay_quark():
    def jets_of(*etas):
        momenta = np.array([along(e, 0.0, 600.0) for e in etas])
        n = len(etas)
        return Jets(np.zeros(n, int), momenta, np.arange(n + 1), np.zeros(n, int))

    top = (6, -22, None, *along(0, 0, 600))
    antitop = (-6, -22, None, *along(-1.5, 0, 600))
    w = (24, -22, 0, *along(0, 0, 400))
    rows = [top, antitop, w, (5, -23, 0, *along(0.5, 0, 200)), (2, -23, 2, *along(-0.2, 0.1, 200)),
            (-1, -23, 2, *along(0.1, 0, 200)), (-5, -23, 1, *along(-1.5, 0.1, 600))]
    record = hand_made(rows)
    quarks, origin = record.decay_quarks(6)
    assert quarks.tolist() == [3, 4, 5, 6] and origin.tolist() == [6, 6, 6, -6]
    # the first holds all of the top, the second misses its b quark, the third holds all of the antitop, the fourth nothing
    found = contains_decay(record, jets_of(0.0, -0.4, -1.5, 1.9), 6, 0.8)
    assert found.tolist() == [True, False, True, False]


@pytest.mark.parametrize("process", ["top", "w"])
def test_jets_are_matched_by_default(process):
    tight = simulate_jets(process, 150, seed=3)
    loose = simulate_jets(process, 150, seed=3, selection=JetSelection(matched=False))
    expected, width = MASSES[process]

    def share(jets):
        return (np.abs(jets.extras["jet_mass"] - expected) < 2 * width).mean()

    assert share(tight) > share(loose) + 0.03


def test_leptons_are_prompt_and_features_follow_from_objects():
    """Each feature recomputed from the objects, on batches in which leptons from b decays abound."""
    selection = EventSelection(lepton_pt=3.0)
    batch = generate.Generator(cards.load_card("ttbar"), 2).events(250)
    record = Record.of(batch)
    events = select_events(record, cards.load_card("ttbar"), selection, 0, lambda name: None)
    prompt = record.ancestor(np.arange(len(record.pdg_id)), 24) != 0
    p4 = cartesian(events.particles.astype(float))
    for row, event in enumerate(events.extras["event"]):
        mine = np.flatnonzero((record.event == event) & record.final & np.isin(np.abs(record.pdg_id), [11, 13]))
        pt = np.hypot(*record.p4[mine, :2].T)
        for slot in (0, 1):
            nearest = mine[np.argmin(np.abs(pt - events.particles[row, slot, 0]))]
            assert prompt[nearest]
            climbed = nearest
            while record.pdg_id[record.mother[climbed]] == record.pdg_id[climbed]:
                climbed = record.mother[climbed]
            assert abs(record.pdg_id[record.mother[climbed]]) == 24
    columns = dict(zip(events.feature_names, events.features.T, strict=True))
    for slot, name in enumerate(("lep1pt", "lep2pt", "b1pt", "b2pt", "met")):
        np.testing.assert_allclose(columns[name], events.particles[:, slot, 0], rtol=1e-5)
    np.testing.assert_allclose(columns["theta_ll"], opening_angle(p4[:, 0], p4[:, 1]), atol=1e-3)
    np.testing.assert_allclose(columns["theta_bb"], opening_angle(p4[:, 2], p4[:, 3]), atol=1e-3)
    # missing momentum balances everything that is seen
    for row, event in enumerate(events.extras["event"]):
        seen = record.p4[(record.event == event) & record.visible, :2].sum(0)
        np.testing.assert_allclose(-seen, p4[row, 4, :2], atol=0.5)


@pytest.mark.parametrize("r_inv", [0.0, 0.3, 0.6])
def test_semi_visible_jets_lose_r_inv_of_their_pt(r_inv):
    """Energy of dark matter over energy of all dark hadrons: r_inv, within the statistics of 400 events."""
    record = Record.of(generate.Generator(cards.load_card("svj", r_inv=r_inv), 5).events(400))
    hadron = np.isin(np.abs(record.pdg_id), [4900111, 4900211, 4900113, 4900213])
    dark = np.flatnonzero(record.final & np.isin(np.abs(record.pdg_id), [51, 53]))
    assert hadron[record.mother[dark]].all()
    pt = np.hypot(record.p4[:, 0], record.p4[:, 1])
    pt_hadron = np.hypot(*record.p4[np.unique(np.flatnonzero(hadron)), :2].T).sum()
    parents = np.unique(record.mother[dark])
    assert pt[parents].sum() / pt_hadron == pytest.approx(r_inv, abs=0.03)


def test_dileptons_look_like_the_published_events(published):
    """Medians of simulated di-lepton tt̄ against the events of arXiv:2112.04958, which had a detector: within 20 %."""
    names = (published / "ttbar_background.csv").read_text().partition("\n")[0].split(",")
    columns = np.loadtxt(published / "ttbar_background.csv", delimiter=",", skiprows=1).T
    table = dict(zip(names, columns, strict=True))
    events = simulate_events("ttbar", 200, seed=4)
    for ours, theirs in (("met", "MET"), ("lep1pt", "lep1pt"), ("lep2pt", "lep2pt"), ("b1pt", "b1pt"), ("b2pt", "b2pt"),
                         ("theta_ll", "theta_ll"), ("theta_bb", "theta_bb")):
        assert np.median(events.feature(ours)) == pytest.approx(np.median(table[theirs]), rel=0.2), ours


def test_heavy_higgs_is_harder_than_top_pairs():
    events = simulate_events("heavy_higgs", 60, seed=4, m_h=2500)
    assert set(events.label) == {1} and np.median(events.feature("b1pt")) > 180
    assert (events.feature("lep1pt") >= events.feature("lep2pt")).all()
    assert (events.feature("b1pt") >= events.feature("b2pt")).all()
    assert events.feature_units == ("GeV",) * 5 + ("rad",) * 2
