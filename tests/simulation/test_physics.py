"""Is it the physics the card promises? Expected numbers: PDG masses; card options; cards as checked in earlier studies."""

import numpy as np
import pytest

pytest.importorskip("pythia8mc", reason="needs the extra 'simulation'")
from qad.simulation import cards, generate, simulate_events
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


def test_window_and_labels(real_jets):
    for process, jets in real_jets.items():
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
