"""Level-1 events: the physics of each card, and the nineteen objects against an obviously right loop.

Expected masses are those of the particle data group or of the card. Expected filter efficiencies (one electron, |η| < 3, or
muon, |η| < 2.1, above 23 GeV) were measured once with separate runs of plain Pythia 8.317, 1,000 to 24,000 events each.
"""

import awkward as ak
import numpy as np
import pytest

pytest.importorskip("pythia8mc", reason="needs the extra 'simulation'")
import fastjet

from qad.data.formats import adc2021
from qad.errors import InputError
from qad.simulation import cards, generate
from qad.simulation.level1 import SLOTS, Level1Selection, bias_weight, isolation_of, leptons_of
from qad.simulation.mixture import simulate_level1
from qad.simulation.record import HARD_OUTGOING, Record
from qad.simulation.respond import Response, Seen, respond
from qad.simulation.veto import HEAVY_FLAVOUR_PT, user_hook

N = 200
EFFICIENCY = {"level1_w": 0.36, "level1_z": 0.49, "level1_ttbar": 0.38, "a_4l": 0.21, "lq_btau": 0.158, "lq_bnu": 0.038,
              "h0_tautau": 0.065, "hplus_taunu": 0.0075, "hplus_top": 0.317}


@pytest.fixture(scope="module")
def made():
    """Of each process, generated once: its card, the record, what is seen, and the events that pass."""
    found = {}

    def make(process):
        if process not in found:
            card = cards.load_card(process, "level1")
            batch = generate.Generator(card, 4).events(N)
            record = Record.of(batch)
            seen = respond(record, Response(), 4)
            sample = Level1Selection().select(record, seen, card, 1000, lambda name: None)
            found[process] = card, record, seen, sample, ak.to_numpy(batch["info"].weights[:, 0])
        return found[process]

    return make


def masses(record, pdg_id):
    """Masses [GeV] of the resonances of the hard process."""
    return record.mass[(np.abs(record.pdg_id) == pdg_id) & (np.abs(record.status) == 22)]


def products(record, resonance):
    """For each event, the sorted |ids| of what the hard ``resonance`` and its descendants decay to."""
    hard = np.flatnonzero(np.abs(record.status) == HARD_OUTGOING)
    hard = hard[record.ancestor(hard, resonance) != 0]
    return [tuple(sorted(np.abs(record.pdg_id[hard[record.event[hard] == e]]).tolist())) for e in range(N)]


def test_every_process_of_the_challenge_has_a_card():
    signals = {"a_4l", "lq_btau", "lq_bnu", "h0_tautau", "hplus_taunu", "hplus_top"}
    assert set(cards.processes("level1")) == signals | {"level1_w", "level1_z", "level1_ttbar", "level1_qcd"}
    for process in cards.processes("level1"):
        card = cards.load_card(process, "level1")
        assert card.label == (process in signals) and card.sqrt_s == 13000
        assert not any("MPI" in c for c in card.commands)  # multiple interactions stay on


@pytest.mark.parametrize(("process", "resonance", "mass", "within"), [
    ("level1_w", 24, 80.4, 1.0), ("level1_z", 23, 91.2, 1.0), ("level1_ttbar", 6, 172.8, 1.5), ("a_4l", 36, 50.0, 0.05),
    ("lq_btau", 42, 80.0, 0.5), ("lq_bnu", 42, 80.0, 0.5), ("h0_tautau", 25, 60.0, 0.1), ("hplus_taunu", 37, 60.0, 0.1),
    ("hplus_top", 37, 60.0, 0.1)])
def test_resonance_masses(made, process, resonance, mass, within):
    found = masses(made(process)[1], resonance)
    assert len(found) >= N and abs(np.median(found) - mass) < within


def test_light_resonances_are_not_cut_in_half(made):
    """Pythia's own lower edge of 50 GeV: it would leave nothing below the peak of A(50)."""
    found = masses(made("a_4l")[1], 36)
    assert 0.3 < (found < 50).mean() < 0.7 and np.ptp(found) < 5
    z_star = masses(made("a_4l")[1], 23)
    assert len(z_star) == 2 * N and z_star.min() > 10 and z_star.max() < 40


def test_decay_chains(made):
    def chains(process, resonance):
        return set(products(made(process)[1], resonance))

    assert chains("level1_w", 24) == {(11, 12), (13, 14), (15, 16)}
    assert chains("level1_z", 23) == {(11, 11), (13, 13), (15, 15)}
    tops = products(made("level1_ttbar")[1], 6)  # |V_tb|^2 = 0.998: once in a while the quark is no bottom
    assert all(len(c) == 6 for c in tops) and np.mean([c.count(5) >= 2 for c in tops]) > 0.97
    assert all(len(c) == 4 and c[0] == c[1] and c[2] == c[3] and set(c) <= {11, 13, 15} for c in chains("a_4l", 36))
    assert chains("lq_btau", 42) == {(5, 5, 15, 15)} and chains("lq_bnu", 42) == {(5, 5, 16, 16)}
    assert chains("h0_tautau", 25) == {(15, 15)} and chains("hplus_taunu", 37) == {(15, 16)}
    assert all({5, 15, 16} <= set(c) and len(c) == 6 for c in chains("hplus_top", 6))


@pytest.mark.parametrize("process", [p for p, expected in EFFICIENCY.items() if expected > 0.1])
def test_filter_efficiency(made, process):
    """Within four binomial standard deviations, a range that does not reach zero."""
    expected = EFFICIENCY[process]
    spread = 4 * np.sqrt(expected * (1 - expected) / N)
    assert spread < expected and abs(len(made(process)[3]) / N - expected) < spread


@pytest.mark.slow
@pytest.mark.parametrize("process", [p for p, expected in EFFICIENCY.items() if expected < 0.1])
def test_filter_efficiency_of_the_rare(process):
    """The same, of as many events as it takes for 40 to pass: within 16 to 64 of them."""
    expected = EFFICIENCY[process]
    n = int(40 / expected)
    card = cards.load_card(process, "level1")
    generator, passed = generate.Generator(card, 5), 0
    for first in range(0, n, 1000):
        record = Record.of(generator.events(min(1000, n - first)))
        passed += len(Level1Selection().select(record, respond(record, Response(), 5), card, first, lambda name: None))
    spread = 4 * np.sqrt(expected * (1 - expected) / n)
    assert spread < expected and abs(passed / n - expected) < spread


def test_leptons_and_missing_momentum_tell_the_processes_apart(made):
    """W has one lepton and a neutrino; Z two leptons and none; A up to four; a top pair many jets."""
    hard = {}
    for process in ("level1_w", "level1_z", "level1_ttbar", "a_4l"):
        sample = made(process)[3]
        leptons = (sample.particles[:, 1:9, 0] > 10).sum(1)
        hard[process] = leptons.mean(), np.median(sample.particles[:, 0, 0]), sample.extras["n_jets"].mean()
    assert hard["level1_w"][0] < 1.15 and 1.5 < hard["level1_z"][0] < 2.1 and hard["a_4l"][0] > 1.6
    assert 30 < hard["level1_w"][1] < 45 and hard["level1_z"][1] < 10 and hard["level1_ttbar"][1] > 35  # W: about m_W / 2
    assert hard["level1_ttbar"][2] > 4 > 2 * hard["level1_z"][2]


@pytest.mark.parametrize("process", ["level1_ttbar", "level1_z", "a_4l"])
def test_objects_against_a_loop(made, process):
    """Leptons by a loop, jets by FastJet's own classes, missing momentum as the sum of the neutrinos."""
    _, record, seen, sample, _ = made(process)
    cuts = Level1Selection()
    passed = []
    for event in range(N):
        p4, ids = seen.p4[seen.event == event], np.abs(seen.pdg_id[seen.event == event])
        pt = np.hypot(p4[:, 0], p4[:, 1])
        eta, phi = np.arcsinh(p4[:, 2] / pt), np.arctan2(p4[:, 1], p4[:, 0])
        good = {k: [i for i in np.argsort(-pt) if ids[i] == k and pt[i] > 3 and abs(eta[i]) < limit]
                for k, limit in ((11, 3.0), (13, 2.1))}
        if max((pt[i] for k in good for i in good[k]), default=0) <= 23:
            continue
        passed.append(event)
        if len(passed) > 40:
            continue
        row = sample.particles[len(passed) - 1]
        for first, k in ((1, 11), (5, 13)):
            expected = [(pt[i], eta[i], phi[i]) for i in good[k][:4]]
            np.testing.assert_allclose(row[first : first + len(expected), :3], np.reshape(expected, (-1, 3)), rtol=1e-5)
            assert not row[first + len(expected) : first + 4].any()
        isolated = []
        for i in good[11] + good[13]:
            distance = np.hypot(eta - eta[i], (phi - phi[i] + np.pi) % (2 * np.pi) - np.pi)
            around = sum(pt[j] for j in range(len(pt)) if j != i and distance[j] < 0.5 and pt[j] > 0.5)
            isolated += [i] if around / pt[i] < cuts.clean else []
        inputs = [fastjet.PseudoJet(*p4[i]) for i in range(len(pt)) if i not in isolated]
        sequence = fastjet.ClusterSequence(inputs, fastjet.JetDefinition(fastjet.antikt_algorithm, 0.4))
        jets = [j for j in fastjet.sorted_by_pt(sequence.inclusive_jets(15.0)) if abs(j.eta()) < 4]
        expected = np.reshape([(j.pt(), j.eta(), j.phi_std()) for j in jets[:10]], (-1, 3))
        np.testing.assert_allclose(row[9 : 9 + len(expected), :3], expected, rtol=1e-4, atol=1e-5)
        assert not row[9 + len(expected) :].any() and sample.extras["n_jets"][len(passed) - 1] == len(jets)
        neutrinos = (record.event == event) & record.final & np.isin(np.abs(record.pdg_id), (12, 14, 16))
        met = record.p4[neutrinos, :2].sum(0)
        np.testing.assert_allclose(row[0, 0] * np.array([np.cos(row[0, 2]), np.sin(row[0, 2])]), met, atol=0.05)
    assert (sample.extras["event"] == 1000 + np.array(passed)).all()


def test_without_neutrinos_nothing_is_missing(made):
    """Not a momentum of 1e-12 GeV with a random direction."""
    _, record, _, sample, _ = made("level1_z")
    neutrinos = np.flatnonzero(record.final & ~record.visible)
    without = ~np.isin(sample.extras["event"] - 1000, record.event[neutrinos])
    assert 0.3 < without.mean() < 0.9
    assert (sample.present[:, 0] == ~without).all() and (sample.particles[without, 0] == 0).all()


def test_slots_are_those_of_the_public_file(made):
    sample = made("level1_ttbar")[3]
    assert adc2021.SLOTS == SLOTS and sample.meta["slots"] == list(SLOTS) and sample.particles.shape[1:] == (19, 4)
    assert (sample.particles[..., 3] == 0).all() and (sample.particles[:, 0, 1] == 0).all()
    for first, last in ((1, 5), (5, 9), (9, 19)):
        assert (np.diff(sample.particles[:, first:last, 0], axis=1) <= 0).all()
    assert (sample.particles[:, 1:9, 0].max(1) > 23).all() and not sample.particles[~sample.present].any()


def test_through_the_fast_detector(made):
    """Nearly the same events pass; leptons are smeared by per cents, missing momentum by a few GeV."""
    card, record, _, truth, _ = made("level1_w")
    seen = respond(record, Response("eflow", card="cms-phase2"), 4)
    sample = Level1Selection().select(record, seen, card, 1000, lambda name: None)
    both, ours, theirs = np.intersect1d(sample.extras["event"], truth.extras["event"], return_indices=True)
    assert 0.8 * len(truth) < len(both) <= len(sample) < 1.05 * len(truth)
    hardest = [s.particles[rows, 1:9, 0].max(1) for s, rows in ((sample, ours), (truth, theirs))]
    assert 1e-4 < np.median(np.abs(hardest[0] / hardest[1] - 1)) < 0.05
    met = [s.particles[rows, 0, 0] for s, rows in ((sample, ours), (truth, theirs))]
    assert 1 < np.median(np.abs(met[0] - met[1])) < 10


def by_hand(*objects):
    """One event from rows (id, pT, η, φ)."""
    ids, pt, eta, phi = (np.array(c, dtype=float) for c in zip(*objects, strict=True))
    p4 = np.column_stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), pt * np.cosh(eta)])
    k = len(ids)
    return Seen(1, np.zeros(k, int), p4, np.zeros(k), ids.astype(int), np.zeros(k, np.int8), np.full(k, -1))


def test_isolation_and_jets_without_isolated_leptons(made):
    card, record = made("level1_w")[:2]
    one = Record(*(getattr(record, f)[: record.start[1]] if f != "start" else record.start[:2] for f in (
        "start", "event", "pdg_id", "status", "mother", "p4", "mass")))
    # an electron with 4 GeV around it (and 0.4 GeV too soft, 9 GeV too far) and a muon inside a jet of 60 GeV
    seen = by_hand((11, 40, 0.0, 3.1), (211, 3, 0.2, -3.1), (22, 1, -0.3, 3.1), (22, 0.4, 0.0, 3.1), (22, 9, 0.0, 2.5),
                   (13, 30, 1.5, 0.0), (211, 60, 1.6, 0.1))
    cuts = Level1Selection()
    leptons = leptons_of(seen, cuts)
    np.testing.assert_allclose(isolation_of(seen, leptons, 0.5), [4 / 40, 60 / 30])
    event = cuts.select(one, seen, card, 0, lambda name: None)
    np.testing.assert_allclose(event.particle_extras["isolation"][0, [1, 5]], [0.1, 2.0], rtol=1e-5)
    assert event.particles[0, 1, 0] == pytest.approx(40) and event.particles[0, 5, 0] == pytest.approx(30)
    assert event.extras["n_jets"] == 1 and event.particles[0, 9, 0] == pytest.approx(90, rel=0.01)  # with the muon in it
    asked = Level1Selection(isolation=0.25).select(one, seen, card, 0, lambda name: None)
    assert asked.extras["n_muons"] == 0 and asked.extras["n_electrons"] == 1
    # the trigger asks for a lepton that survives the isolation
    assert len(Level1Selection(isolation=0.05).select(one, seen, card, 0, lambda name: None)) == 0
    kept = Level1Selection(clean=0.05).select(one, seen, card, 0, lambda name: None)
    assert kept.extras["n_jets"] == 2  # the electron is a jet as well


def test_the_bias_weight_is_pythias(made):
    """Worked out from the record, against the weight that Pythia itself gives for each event."""
    card, record, _, sample, theirs = made("level1_qcd")
    ours = bias_weight(record, card)
    assert np.ptp(theirs) > 1
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    np.testing.assert_array_equal(sample.weight, theirs[sample.extras["event"] - 1000].astype(np.float32))
    assert (made("level1_w")[3].weight == 1).all()


def test_a_bias_on_anything_but_two_to_two_is_refused(made):
    card, record = made("level1_w")[:2]
    biased = cards.Card("w", card.header, {}, (*card.commands, "PhaseSpace:bias2SelectionPow = 2.",
                                               "PhaseSpace:bias2SelectionRef = 50."))
    with pytest.raises(InputError, match="no scattering of two partons into two"):
        bias_weight(record, biased)


def test_every_qcd_event_holds_a_hard_heavy_quark(made):
    card, record, _, sample, _ = made("level1_qcd")
    heavy = np.isin(np.abs(record.pdg_id), (4, 5)) & (np.hypot(*record.p4[:, :2].T) > HEAVY_FLAVOUR_PT)
    assert len(np.unique(record.event[heavy])) == N
    assert sample.meta["heavy_flavour_veto"] == {"shower_scale_GeV": 5.0, "quark_pt_GeV": 20.0}
    assert sample.meta["pt_hat"] == {"minimum_GeV": 25.0, "bias_power": 2.0, "bias_reference_GeV": 50.0}
    plain = cards.Card("qcd", {k: v for k, v in card.header.items() if k != "hook"}, {}, card.commands)
    record = Record.of(generate.Generator(plain, 4).events(50))
    heavy = np.isin(np.abs(record.pdg_id), (4, 5)) & (np.hypot(*record.p4[:, :2].T) > HEAVY_FLAVOUR_PT)
    assert len(np.unique(record.event[heavy])) < 40  # without the hook most events hold none


@pytest.mark.slow
def test_the_heavy_flavour_hook_keeps_the_leptons():
    """Cross-section of QCD with a hard lepton at 80 < pTHat < 160 GeV, with and without the hook.

    Separate runs gave 2.0e4 ± 0.14e4 pb with it and 2.5e4 ± 0.16e4 pb without: up to a fifth may be lost.
    """
    card = cards.load_card("level1_qcd", "level1")
    commands = ("PartonLevel:MPI = off", "HardQCD:all = on", "PhaseSpace:pTHatMin = 80.", "PhaseSpace:pTHatMax = 160.")

    def cross_section(header, batches):
        generator = generate.Generator(cards.Card("qcd", header, {}, commands), 8)
        passed = 0
        for _ in range(batches):
            record = Record.of(generator.events(1000))
            passed += len(Level1Selection().select(record, respond(record, Response(), 1), card, 0, lambda name: None))
        return generator.pythia.infoPython().sigmaGen() * 1e9 * passed / (1000 * batches), passed ** -0.5

    header = {"hook": "heavy_flavour", "label": "0", "sqrt_s": "13000"}
    with_hook, error = cross_section(header, 5)
    without, other_error = cross_section({k: v for k, v in header.items() if k != "hook"}, 20)
    spread = 3 * np.hypot(error, other_error)
    assert 0.8 - spread < with_hook / without < 1 + spread
    assert with_hook == pytest.approx(2.0e4, rel=0.07 + 3 * error)


@pytest.mark.parametrize(("process", "settings", "sentence"), [
    ("a_4", {}, "did you mean 'a_4l'"),
    ("a_4l", {"m_a": 5}, "m_a: expected 25 to 1000 GeV"),
    ("hplus_top", {"m_hplus": 170}, "m_hplus: expected 25 to 150 GeV"),
    ("a_4l", {"m_b": 5}, "no option 'm_b'"),
    ("a_4l", {"qcd_share": 0.1}, "qcd_share belongs to process 'background'"),
    ("level1_w", {"response": Response("towers")}, "towers have none"),
    ("level1_qcd", {"selection": {"trigger_pt": 15.0}}, "expected at least 20 GeV for 'level1_qcd'"),
])
def test_what_cannot_be_is_one_sentence(process, settings, sentence, monkeypatch):
    from qad.simulation import produce

    monkeypatch.setattr(produce, "EVENTS_PER_CHUNK", 2)
    with pytest.raises(InputError, match=sentence):
        simulate_level1(process, 5, **settings)


def test_an_unknown_hook_is_one_sentence():
    with pytest.raises(InputError, match="did you mean 'heavy_flavour'"):
        user_hook("heavy_flavor")


def test_a_mass_can_be_chosen():
    record = Record.of(generate.Generator(cards.load_card("a_4l", m_a=90), 1).events(20))
    assert masses(record, 36) == pytest.approx(np.full(20, 90.0), abs=0.5)
