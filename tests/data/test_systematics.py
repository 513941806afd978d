"""Twins of jets and events: exact where they must be, of the stated width where they are random."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qad.data import Sample, read
from qad.data.kinematics import cartesian, delta_r, eta_phi, invariant_mass, opening_angle
from qad.data.systematics import BLOCK, JetEnergyResolution, JetEnergyScale, MetSmearing, get, vary_file
from qad.errors import InputError
from tests.conftest import toy_jets

ALL = [JetEnergyScale(0.05), JetEnergyResolution(1.5), MetSmearing(20.0)]


def jets(n=200, seed=1):
    """Toy jets with their momentum in the extras, as simulated ones have."""
    toys = toy_jets(n, seed)
    total = cartesian(toys.particles.astype(np.float64)).sum(1)
    eta, phi = eta_phi(total)
    return Sample(toys.particles, label=toys.label, process=toys.process,
                  features=np.random.default_rng(seed).uniform(0, 1, (n, 2)), feature_names=("tau21", "mass_sd"[:4]),
                  feature_units=("", "GeV"), particle_extras={"pdg_id": np.arange(n * 40).reshape(n, 40)},
                  extras={**toys.extras, "jet_pt": np.hypot(total[:, 0], total[:, 1]), "jet_eta": eta, "jet_phi": phi,
                          "jet_mass": invariant_mass(total), "n_constituents": toys.present.sum(1)})


def objects(n, rng, count, pt=80.0):
    p = np.stack([pt * (1 + rng.pareto(2.5, (n, count))), rng.normal(0, 1, (n, count)), rng.uniform(-np.pi, np.pi, (n, count)),
                  rng.uniform(1, 15, (n, count))], axis=-1)
    return np.take_along_axis(p, np.argsort(-p[..., 0], axis=1)[..., None], axis=1).astype(np.float32)


def dilepton(n=300, seed=1):
    """Events as `qad simulate events` makes them, without a generator."""
    rng = np.random.default_rng(seed)
    leptons, b = objects(n, rng, 2), objects(n, rng, 2)
    met = np.stack([rng.exponential(80, n), np.zeros(n), rng.uniform(-np.pi, np.pi, n), np.zeros(n)], axis=-1)[:, None]
    p = np.concatenate([leptons, b, met.astype(np.float32)], axis=1)
    l4, b4 = cartesian(leptons.astype(np.float64)), cartesian(b.astype(np.float64))
    features = np.column_stack([p[:, 4, 0], p[:, :4, 0], opening_angle(l4[:, 0], l4[:, 1]), opening_angle(b4[:, 0], b4[:, 1])])
    return Sample(p, features, ("met", "lep1pt", "lep2pt", "b1pt", "b2pt", "theta_ll", "theta_bb"),
                  extras={"event": np.arange(n)}, meta={"slots": ("lep1", "lep2", "b1", "b2", "met")})


def level1(n=300, seed=1):
    """Events as in arXiv:2107.02157: MET, 4 e, 4 mu, 10 jets, some of them there."""
    rng = np.random.default_rng(seed)
    p = np.zeros((n, 19, 4), np.float32)
    p[:, 0, 0], p[:, 0, 2] = rng.exponential(40, n), rng.uniform(-np.pi, np.pi, n)
    for first, count in ((1, 4), (5, 4), (9, 10)):
        some = objects(n, rng, count, 20.0)
        p[:, first : first + count] = some * (np.arange(count) < rng.integers(0, count + 1, (n, 1)))[..., None]
    p[..., 3] = 0
    h_t = p[:, 9:, 0].sum(1) + np.where(np.arange(n) % 7 == 0, 20, 0)  # some have an eleventh jet
    return Sample(p, extras={"event": np.arange(n), "h_t": h_t.astype(np.float32)},
                  meta={"slots": ("met",) + ("e",) * 4 + ("mu",) * 4 + ("jet",) * 10})


def dijets(n=300, seed=1):
    """Two jets with constituents in slots, momenta in the extras."""
    a, b = jets(n, seed), jets(n, seed + 1)
    extras = {f"{j}_{c}": s.extras[f"jet_{c}"] for j, s in (("j1", a), ("j2", b)) for c in ("pt", "eta", "phi", "mass")}
    extras |= {f"{j}_tau1": extras[f"{j}_pt"] * 0.1 for j in ("j1", "j2")}  # GeV
    p4 = [cartesian(np.stack([extras[f"{j}_{c}"] for c in ("pt", "eta", "phi", "mass")], -1)) for j in ("j1", "j2")]
    m = np.stack([extras["j1_mass"], extras["j2_mass"]])
    first = m[0] < m[1]
    features = np.column_stack([m.min(0), np.abs(m[0] - m[1]), np.where(first, 0.1, 0.2), np.where(first, 0.2, 0.1)])
    return Sample(np.concatenate([a.particles, b.particles], axis=1), features,
                  ("m_light", "dm", "tau21_light", "tau21_heavy"),
                  extras={**extras, "event": np.arange(n), "m_jj": invariant_mass(p4[0] + p4[1]), "delta_r": delta_r(*p4)},
                  meta={"slots": ("j1",) * 40 + ("j2",) * 40})


KINDS = {"jets": jets, "dilepton": dilepton, "level1": level1, "dijets": dijets}


def vector_sum(sample):
    p4 = cartesian(sample.particles.astype(np.float64))
    return p4[..., :2].sum(1)


@settings(max_examples=20, deadline=None)
@given(st.floats(-0.5, 0.5), st.sampled_from(sorted(KINDS)), st.integers(0, 100))
def test_scaling_and_its_inverse_give_the_nominal_sample(shift, kind, seed):
    sample = KINDS[kind](30, seed)
    up = JetEnergyScale(shift).twins(sample)["up"]
    back = JetEnergyScale(1 / (1 + shift) - 1).vary(up, "up") if -0.9 <= 1 / (1 + shift) - 1 <= 0.9 else sample
    np.testing.assert_allclose(cartesian(back.particles.astype(np.float64)), cartesian(sample.particles.astype(np.float64)),
                               rtol=1e-5, atol=1e-4 * 600)
    np.testing.assert_allclose(back.features, sample.features, rtol=1e-4, atol=1e-2)
    for name in sample.extras:
        np.testing.assert_allclose(back.extras[name], sample.extras[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_no_change_is_no_change_bit_for_bit(kind):
    sample = KINDS[kind]()
    with_met = [MetSmearing(0.0)] if kind in ("dilepton", "level1") else []
    for nothing in (JetEnergyScale(0.0), JetEnergyResolution(1.0), *with_met):
        twins = nothing.twins(sample, seed=3)
        assert twins["up"].fingerprint == twins["down"].fingerprint == sample.fingerprint
        assert twins["nominal"] is sample


@pytest.mark.parametrize("shift", [-0.3, 0.02, 0.4])
def test_pt_and_mass_of_a_jet_scale_exactly(shift):
    sample = jets()
    up = JetEnergyScale(shift).twins(sample)["up"]
    before, after = (cartesian(s.particles.astype(np.float64)).sum(1) for s in (sample, up))
    np.testing.assert_allclose(after, (1 + shift) * before, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(invariant_mass(after), (1 + shift) * invariant_mass(before), rtol=1e-4)
    for name in ("jet_pt", "jet_mass"):
        np.testing.assert_allclose(up.extras[name], (1 + shift) * sample.extras[name], rtol=1e-6)
    for name in ("jet_eta", "jet_phi", "n_constituents", "event"):
        assert np.array_equal(up.extras[name], sample.extras[name])
    assert np.array_equal(up.feature("tau21"), sample.feature("tau21"))
    np.testing.assert_allclose(up.feature("mass"), (1 + shift) * sample.feature("mass"), rtol=1e-6)
    assert np.array_equal(up.particle_extras["pdg_id"], sample.particle_extras["pdg_id"])
    assert np.array_equal(up.particles[..., 1:3], sample.particles[..., 1:3])


@pytest.mark.parametrize("systematic", [JetEnergyScale(0.2), JetEnergyResolution(2.0)])
@pytest.mark.parametrize("kind", ["dilepton", "level1"])
def test_visible_and_missing_momentum_balance(systematic, kind):
    sample = KINDS[kind]()
    for twin in systematic.twins(sample, 1).values():
        np.testing.assert_allclose(vector_sum(twin), vector_sum(sample), atol=2e-2)
    up = systematic.twins(sample, 1)["up"]
    slots = list(sample.meta["slots"])
    leptons = [k for k, s in enumerate(slots) if s[0] in "lem" and s != "met"]
    assert np.array_equal(up.particles[:, leptons], sample.particles[:, leptons])
    assert (up.particles[:, slots.index("met"), 0] != sample.particles[:, slots.index("met"), 0]).mean() > 0.5


def test_dilepton_features_follow_their_objects():
    sample = dilepton()
    for systematic in ALL:
        up = systematic.twins(sample, 2)["up"]
        p = up.particles.astype(np.float64)
        p4 = cartesian(p)
        assert np.array_equal(up.feature("met"), up.particles[:, 4, 0])
        assert np.array_equal(up.features[:, 1:5], up.particles[:, :4, 0])
        assert np.allclose(up.feature("theta_bb"), opening_angle(p4[:, 2], p4[:, 3]), atol=1e-4)
        assert np.array_equal(up.feature("theta_ll"), sample.feature("theta_ll"))
        assert (up.feature("b1pt") >= up.feature("b2pt")).all()
    assert not np.array_equal(MetSmearing(20.0).twins(sample, 2)["up"].feature("met"), sample.feature("met"))


def test_dijet_features_follow_their_jets():
    sample = dijets()
    up = JetEnergyScale(0.1).twins(sample)["up"]
    for name in ("m_jj", "j1_pt", "j2_mass"):
        np.testing.assert_allclose(up.extras[name], 1.1 * sample.extras[name], rtol=1e-5)
    np.testing.assert_allclose(up.features[:, :2], 1.1 * sample.features[:, :2], rtol=1e-4, atol=1e-3)
    assert np.array_equal(up.features[:, 2:], sample.features[:, 2:])
    worse = JetEnergyResolution(4.0).twins(sample, 1)["up"]
    m = np.stack([worse.extras["j1_mass"], worse.extras["j2_mass"]])
    np.testing.assert_allclose(worse.feature("m_light"), m.min(0), rtol=1e-5)
    # τ21 goes with its jet where the lighter has become the heavier
    assert np.array_equal(worse.feature("tau21_light"), np.where(m[0] < m[1], np.float32(0.1), np.float32(0.2)))
    assert ((m[0] < m[1]) != (sample.extras["j1_mass"] < sample.extras["j2_mass"])).any()
    for k, j in enumerate(("j1", "j2")):  # constituents and τ1 in GeV go with their jet
        np.testing.assert_allclose(worse.extras[f"{j}_tau1"], 0.1 * worse.extras[f"{j}_pt"], rtol=1e-5)
        pt = np.hypot(*cartesian(worse.particles[:, 40 * k : 40 * k + 40].astype(np.float64)).sum(1)[:, :2].T)
        np.testing.assert_allclose(pt, worse.extras[f"{j}_pt"], rtol=1e-4)


def test_sums_over_jets_and_subjettiness():
    sample = level1()
    up = JetEnergyResolution(2.0).twins(sample, 1)["up"]
    gained = (up.particles[:, 9:, 0] - sample.particles[:, 9:, 0]).sum(1)
    np.testing.assert_allclose(up.extras["h_t"], sample.extras["h_t"] + gained, rtol=1e-5, atol=1e-3)
    assert np.array_equal(MetSmearing().twins(sample)["up"].extras["h_t"], sample.extras["h_t"])
    toys = toy_jets(20, 1)
    for unit, factor in (("GeV", 1.1), ("", 1.0)):
        jets = Sample(toys.particles, np.full((20, 1), 0.3), ("tau1",), (unit,))
        np.testing.assert_allclose(JetEnergyScale(0.1).twins(jets)["up"].features, 0.3 * factor, rtol=1e-6)


def test_a_common_scale_moves_also_the_jets_that_are_not_kept():
    sample = level1()
    assert (sample.extras["h_t"] > sample.particles[:, 9:, 0].sum(1) + 1).any()
    np.testing.assert_allclose(JetEnergyScale(0.1).twins(sample)["up"].extras["h_t"], 1.1 * sample.extras["h_t"], rtol=1e-6)


def test_energies_are_not_kept_for_the_look_of_their_name():
    toys = toy_jets(20, 1)
    names, units = ("m2", "isr_pt", "n_jets_pt", "n_subjets", "d2", "is_b"), ("GeV", "GeV", "GeV", "", "", "")
    sample = Sample(toys.particles, np.ones((20, 6)), names, units, extras={"isr_pt": np.ones(20), "n_tracks": np.ones(20)})
    up = JetEnergyScale(0.1).twins(sample, drop_stale=True)["up"]
    assert up.meta["variation"]["left_out"] == ["m2", "isr_pt", "n_jets_pt", "isr_pt"]
    assert up.feature_names == names[3:] and [*up.extras] == ["n_tracks"]


def test_whole_events_are_no_jets():
    rng = np.random.default_rng(1)
    events = Sample(objects(50, rng, 60))
    with pytest.raises(InputError, match="not of single jets"):
        JetEnergyResolution().twins(events)


def test_one_jet_of_a_dijet():
    """A common scale moves m_jj as well; a resolution moves this jet by a known, the other by an unknown amount."""
    from qad.data.slots import object_of

    events = dijets()
    one = Sample(**{**vars(object_of(events, "j1")), "extras": {k: events.extras[v] for k, v in (
        ("event", "event"), ("m_jj", "m_jj"), ("jet_pt", "j1_pt"), ("jet_mass", "j1_mass"))}})
    up = JetEnergyScale(0.1).twins(one)["up"]
    np.testing.assert_allclose(up.extras["m_jj"], JetEnergyScale(0.1).twins(events)["up"].extras["m_jj"], rtol=1e-5)
    with pytest.raises(InputError, match="would leave m_jj as before"):
        JetEnergyResolution().twins(one)


def test_features_alone_follow_a_common_scale():
    """The arrays of CATHODE: masses scale, τ21 stays; a resolution needs the jets."""
    sample = Sample(np.zeros((5, 0, 4)), np.full((5, 4), 0.5), ("m_light", "dm", "tau21_light", "tau21_heavy"),
                    extras={"m_jj": np.full(5, 3500.0)}, meta={"slots": []})
    up = JetEnergyScale(0.1).twins(sample)["up"]
    np.testing.assert_allclose(up.features[0], [0.55, 0.55, 0.5, 0.5], rtol=1e-6)
    np.testing.assert_allclose(up.extras["m_jj"], 3850)
    with pytest.raises(InputError, match="holds no momenta of jets"):
        JetEnergyResolution().twins(sample)


def test_resolution_grows_by_the_stated_factor():
    """σ² of the response to a jet of known pT grows from σ_JER² to s² σ_JER²: 1 % of error with 20,000 jets is 2 s.d."""
    rng = np.random.default_rng(1)
    n, s, true = 20_000, 1.5, 200.0
    jer = JetEnergyResolution(s)
    sigma = jer.sigma(np.array([true]))[0]
    assert sigma == pytest.approx(np.hypot(0.9 / np.sqrt(true), 0.04))
    pt = true * (1 + sigma * rng.standard_normal(n))
    sample = Sample(np.stack([pt, 0 * pt, 0 * pt, 0 * pt], -1)[:, None])
    up = jer.twins(sample, 7)["up"].particles[:, 0, 0]
    assert np.std(up / true) == pytest.approx(s * sigma, rel=0.02)
    assert np.mean(up / true) == pytest.approx(1, abs=4 * s * sigma / np.sqrt(n))


@pytest.mark.parametrize("pt, sigma", [(30, 0.17), (100, 0.10), (1000, 0.05)])
def test_default_resolution(pt, sigma):
    assert JetEnergyResolution().sigma(np.array([float(pt)]))[0] == pytest.approx(sigma, abs=0.005)


def test_met_smearing_has_the_stated_width():
    sample = level1(20_000)
    up = MetSmearing(15.0, relative=0.1).twins(sample, 1)["up"]
    kick = vector_sum(up) - vector_sum(sample)
    width = np.sqrt(15.0**2 + (0.1 * sample.particles[:, 0, 0]) ** 2)
    assert np.std(kick / width[:, None], axis=0) == pytest.approx([1, 1], rel=0.02)
    assert abs(np.mean(kick / width[:, None])) < 0.02
    assert np.array_equal(up.particles[:, 1:], sample.particles[:, 1:])


def test_met_of_published_events_needs_no_azimuth():
    """Smeared as a feature or as a vector: the same distribution of MET."""
    events = dilepton(20_000)
    alone = Sample(np.zeros((20_000, 0, 4)), events.features, events.feature_names, meta={"slots": []})
    a, b = (MetSmearing(40.0).twins(s, k)["up"] for k, s in enumerate((events, alone)))
    assert np.array_equal(b.features[:, 1:], alone.features[:, 1:])
    for q in (0.1, 0.5, 0.9):
        assert np.quantile(a.feature("met"), q) == pytest.approx(np.quantile(b.feature("met"), q), rel=0.03)


@pytest.mark.parametrize("systematic", [JetEnergyResolution(1.3), MetSmearing(5.0)])
def test_one_sided_twins_and_provenance(systematic):
    sample = level1()
    twins, again, other = (systematic.twins(sample, seed) for seed in (5, 5, 6))
    assert twins["down"].fingerprint == sample.fingerprint != twins["up"].fingerprint
    assert twins["up"].fingerprint == again["up"].fingerprint != other["up"].fingerprint
    told = twins["up"].meta["variation"]
    assert told["systematic"] == type(systematic).__name__ and told["direction"] == "up" and told["one_sided"]
    assert told["nominal"] == sample.fingerprint and told["seed"] == 5
    assert "variation" not in sample.meta
    twice = JetEnergyScale(0.1).twins(twins["up"])["down"].meta["variation"]
    assert twice["after"]["systematic"] == told["systematic"] and twice["parameters"] == {"shift": 0.1}


def test_independent_systematics_are_independent():
    """At one seed, the pull of a jet's energy tells nothing of the kick on MET."""
    n = 5000
    p = np.zeros((n, 3, 4))
    p[:, 0, :3], p[:, 1, :3], p[:, 2, 0] = [500, 0, 0], [300, 0, 3], 50
    sample = Sample(p, meta={"slots": ("j1", "j2", "met")})
    pulls = JetEnergyResolution(1.5).twins(sample, 3)["up"].particles[:, :2, 0].astype(np.float64)
    kicks = vector_sum(MetSmearing(10.0).twins(sample, 3)["up"])
    assert np.abs(np.corrcoef(np.column_stack([pulls, kicks]), rowvar=False) - np.eye(4)).max() < 0.05


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_events_stay_paired_and_sorted(kind):
    sample = KINDS[kind]()
    up = JetEnergyResolution(2.0).twins(sample, 1)["up"]
    assert np.array_equal(up.extras["event"], sample.extras["event"])
    slots = np.array(sample.meta.get("slots", ["jet"] * 40))
    for slot in set(slots):
        assert (np.diff(up.particles[:, slots == slot, 0], axis=1) <= 0).all()


def test_stale_features_are_refused_or_left_out():
    sample = jets()
    odd = Sample(sample.particles, np.ones((200, 2)), ("jet_pt", "sphericity"), extras={**sample.extras, "z_cut": np.ones(200)})
    with pytest.raises(InputError, match="would leave sphericity, z_cut as before the change"):
        JetEnergyScale(0.1).twins(odd)
    up = JetEnergyScale(0.1).twins(odd, drop_stale=True)["up"]
    assert up.feature_names == ("jet_pt",) and "z_cut" not in up.extras
    assert up.meta["variation"]["left_out"] == ["sphericity", "z_cut"]
    # a name that is known, with values that are something else
    events = dilepton()
    wrong = Sample(events.particles, events.features[:, ::-1], events.feature_names, meta=events.meta)
    with pytest.raises(InputError, match="would leave met as before"):
        MetSmearing().twins(wrong)


@pytest.mark.parametrize("systematic, sample, message", [
    (MetSmearing(), jets(5), "no missing transverse energy to smear"),
    (JetEnergyScale(), Sample(np.zeros((3, 0, 4)), meta={"slots": []}), "holds no momenta of jets"),
    (JetEnergyResolution(), Sample(np.ones((3, 1, 4)), meta={"slots": ["e"]}), "holds no momenta of jets"),
    (JetEnergyScale(), Sample(np.ones((3, 1, 4)), meta={"slots": ["e"]}), "holds no momenta of jets"),
])
def test_nothing_to_vary(systematic, sample, message):
    with pytest.raises(InputError, match=message):
        systematic.twins(sample)


@pytest.mark.parametrize("make, message", [
    (lambda: JetEnergyScale(2.0), "shift: expected a number from -0.9 to 0.9"),
    (lambda: JetEnergyScale(float("nan")), "shift"),
    (lambda: JetEnergyResolution(0.9), "factor: expected a number from 1"),
    (lambda: JetEnergyResolution(constant=-1), "constant"),
    (lambda: MetSmearing(-1.0), "sigma: expected a number from 0"),
    (lambda: get("jet-energy-scal"), "did you mean 'jet-energy-scale'"),
    (lambda: get("jet-energy-scale", shif=0.1), "did you mean 'shift'"),
    (lambda: JetEnergyScale().vary(jets(5), "sideways"), "expected 'up' or 'down'"),
    (lambda: JetEnergyScale().vary(jets(5), "up", seed=-1), "whole number from 0 as seed"),
])
def test_settings_that_make_no_sense(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_names_of_systematics():
    assert get("jet-energy-scale", shift=0.05) == JetEnergyScale(0.05) and get("met-smearing") == MetSmearing()
    assert get("jet-energy-resolution", factor=1.2) == JetEnergyResolution(1.2)


def test_files_in_chunks_are_the_twins_of_the_whole(tmp_path):
    sample = level1(BLOCK + 1234)
    sample.save(tmp_path / "events.h5")
    for systematic in ALL:
        paths = vary_file(tmp_path / "events.h5", systematic, tmp_path / type(systematic).__name__, seed=4)
        twins = systematic.twins(read(tmp_path / "events.h5"), 4)
        for direction, path in paths.items():
            back = read(path)
            assert back.fingerprint == twins[direction].fingerprint and path.name == f"events-{direction}.h5"
            assert back.meta["variation"] == twins[direction].meta["variation"]
    with pytest.raises(InputError, match=r"events-up\.h5 and .*exist; choose another folder or add --overwrite"):
        vary_file(tmp_path / "events.h5", ALL[0], tmp_path / "JetEnergyScale")


@pytest.mark.parametrize("gev_first", [True, False])
def test_what_columns_mean_is_decided_once_for_a_file(tmp_path, gev_first):
    """τ3 below 2 GeV in the first or last chunk alone, and a feature of one jet whose other half is missing."""
    rng = np.random.default_rng(1)
    n = BLOCK + 50
    p = np.zeros((n, 2, 4))
    p[..., 0], p[:, 1, 2], p[..., 3] = [600, 500], 3, rng.uniform(50, 52, (n, 2))
    small = (np.arange(n) < BLOCK) != gev_first
    extras = {"event": np.arange(n), "j1_tau3": np.where(small, 1.0, 5.0), "met": np.where(small, 0.0, 3.0)}
    extras |= {f"{j}_{c}": p[:, k, i] for k, j in enumerate(("j1", "j2")) for i, c in enumerate(("pt", "eta", "phi", "mass"))}
    Sample(p, np.full((n, 1), 0.3), ("tau21_light",), extras=extras, meta={"slots": ("j1", "j2")}).save(tmp_path / "d.h5")
    for systematic in (JetEnergyScale(0.1), JetEnergyResolution(1.2)):
        paths = vary_file(tmp_path / "d.h5", systematic, seed=2, drop_stale=True, overwrite=True)
        twins = systematic.twins(read(tmp_path / "d.h5"), 2, drop_stale=True)
        for direction, path in paths.items():
            assert read(path).fingerprint == twins[direction].fingerprint
            assert read(path).meta["variation"] == twins[direction].meta["variation"]
        up = twins["up"].extras
        np.testing.assert_allclose(up["j1_tau3"] / extras["j1_tau3"], up["j1_pt"] / 600, rtol=1e-5)


def test_a_failed_variation_leaves_no_file(tmp_path):
    jets(50).save(tmp_path / "jets.h5")
    with pytest.raises(InputError):
        vary_file(tmp_path / "jets.h5", MetSmearing())
    assert [p.name for p in tmp_path.iterdir()] == ["jets.h5"]


@pytest.mark.slow
def test_simulated_samples_vary():
    pytest.importorskip("pythia8mc", reason="needs the extra 'simulation'")
    from qad.simulation import simulate_events, simulate_jets

    qcd = simulate_jets("qcd", 20, seed=3)
    np.testing.assert_allclose(JetEnergyScale(0.02).twins(qcd)["up"].extras["jet_pt"], 1.02 * qcd.extras["jet_pt"], rtol=1e-6)
    ttbar = simulate_events("ttbar", 20, seed=3)
    for systematic in ALL:
        assert systematic.twins(ttbar, 1)["up"].feature_names == ttbar.feature_names
