"""CASE: dijet events as the group's tools write them, with h5py."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from qad.data import Sample, read
from qad.data.formats import get
from qad.data.kinematics import cartesian
from qad.errors import InputError
from tests.conftest import toy_jets

SUFFIX = ".h5"
K = 100


def arrays(n: int, seed: int, half: bool = False) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    kinematics, candidates = np.zeros((n, 14)), []
    mass = np.sort(rng.uniform(20, 400, (n, 2)), axis=1)[:, ::-1]  # the heavier first
    for j in (0, 1):
        jets = np.zeros((n, K, 4))
        jets[:, :60] = toy_jets(n, seed + j, prongs=2 + j, particles=60).particles
        candidates.append(cartesian(jets).astype(np.float16 if half else np.float32))
        total = cartesian(jets).sum(1)
        pt = np.hypot(total[:, 0], total[:, 1])
        kinematics[:, 2 + 4 * j : 6 + 4 * j] = np.stack(
            [pt, np.arcsinh(total[:, 2] / pt), np.arctan2(total[:, 1], total[:, 0]), mass[:, j]], -1)
    kinematics[:, 0], kinematics[:, 1] = rng.uniform(1200, 5000, n), np.abs(kinematics[:, 3] - kinematics[:, 7])
    info = [np.abs(rng.normal(0.3, 0.1, (n, 7))) + 0.01 for _ in (1, 2)]
    return {"jet_kinematics": kinematics.astype(np.float32), "jet1_PFCands": candidates[0], "jet2_PFCands": candidates[1],
            "jet1_extraInfo": info[0].astype(np.float32), "jet2_extraInfo": info[1].astype(np.float32),
            "truth_label": rng.integers(-3, 3, (n, 1)).astype(np.int8),
            "event_info": rng.uniform(0, 9, (n, 8)).astype(np.float32)}


def write(path: Path, data: dict[str, np.ndarray]) -> None:
    with h5py.File(path, "w") as f:
        for name, x in data.items():
            f.create_dataset(name, data=x, chunks=True, maxshape=(None, *x.shape[1:]), compression="gzip")
        f["preselection_eff"] = np.array([0.5])


def write_example(path: Path, n: int, seed: int, name: str = "case") -> None:
    write(path, arrays(n, seed))


@pytest.fixture
def data():
    return arrays(40, 1)


@pytest.fixture
def file(tmp_path, data):
    write(tmp_path / "a.h5", data)
    return tmp_path / "a.h5"


def test_every_number_arrives(file, data):
    s = read(file)
    assert s.particles.shape == (40, 2 * K, 4) and s.meta["slots"] == ["j1"] * K + ["j2"] * K
    for j in (0, 1):
        ours, theirs = cartesian(s.particles[:, j * K : (j + 1) * K].astype(np.float64)), data[f"jet{j + 1}_PFCands"]
        np.testing.assert_allclose(ours.sum(1), theirs.sum(1, dtype=np.float64), rtol=1e-5, atol=1e-2)
        assert ((ours[..., 3] > 0).sum(1) == (theirs[..., 3] > 0).sum(1)).all()
        assert (np.diff(s.particles[:, j * K : (j + 1) * K, 0], axis=1) <= 0).all()
        for i, name in enumerate(("pt", "eta", "phi", "mass")):
            assert (s.extras[f"j{j + 1}_{name}"] == data["jet_kinematics"][:, 2 + 4 * j + i]).all()
        for i, name in enumerate(("tau1", "tau2", "tau3", "tau4", "lsf3", "btag", "nparticles")):
            assert (s.extras[f"j{j + 1}_{name}"] == data[f"jet{j + 1}_extraInfo"][:, i]).all()
    assert (s.extras["m_jj"] == data["jet_kinematics"][:, 0]).all()
    assert (s.extras["delta_eta_jj"] == data["jet_kinematics"][:, 1]).all()
    assert (s.extras["event_info"] == data["event_info"]).all()
    m1, m2 = data["jet_kinematics"][:, 5], data["jet_kinematics"][:, 9]
    tau = [data[f"jet{j}_extraInfo"].astype(np.float64) for j in (2, 1)]  # jet 2 is the lighter one
    expected = np.stack([m2, m1 - m2, *(t[:, 1] / (t[:, 0] + 1e-5) for t in tau)], 1)
    np.testing.assert_allclose(s.features, expected, rtol=1e-5, atol=1e-4)
    assert s.feature_names == ("m_light", "dm", "tau21_light", "tau21_heavy") and s.feature_units == ("GeV", "GeV", "", "")


def test_truth(file, data):
    s, raw = read(file), data["truth_label"][:, 0]
    assert (s.extras["truth_label"] == raw).all() and (s.label == (raw > 0)).all()
    names = {-3: "v_jets", -2: "ttbar", -1: "single_top", 0: "qcd", 1: "signal", 2: "signal"}
    assert s.process.tolist() == [names[t] for t in raw.tolist()]


def test_flat_candidates_and_half_precision(tmp_path, file, data):
    write(tmp_path / "flat.h5", {k: v.reshape(40, 400) if "PFCands" in k else v for k, v in data.items()})
    assert read(tmp_path / "flat.h5").fingerprint == read(file).fingerprint
    write(tmp_path / "half.h5", arrays(40, 1, half=True))
    a, b = (cartesian(read(p).particles.astype(np.float64)).sum(1) for p in (tmp_path / "half.h5", file))
    np.testing.assert_allclose(a, b, rtol=2e-3, atol=0.5)


def test_faint_particles_are_no_damage(tmp_path, data):
    """In half precision a particle of far less than a MeV may lose its px and py, or keep more of them than of its energy."""
    data["jet1_PFCands"] = data["jet1_PFCands"].astype(np.float16)
    data["jet1_PFCands"][0, 99] = [0, 0, 6e-8, 1.2e-7]
    data["jet1_PFCands"][1, 99] = [1.2e-7, 1.2e-7, 0, 6e-8]
    write(tmp_path / "a.h5", data)
    s = read(tmp_path / "a.h5")
    assert s.present[0, :K].sum() == (data["jet1_PFCands"][0, :99, 3] > 0).sum()
    data["jet1_PFCands"][2, 99] = [0, 0, 5, 5]
    write(tmp_path / "a.h5", data)
    with pytest.raises(InputError, match="along the beam"):
        read(tmp_path / "a.h5")


@pytest.mark.parametrize(("key", "place"), [("jet_kinematics", (3, 0)), ("jet1_extraInfo", (3, 1)), ("jet2_PFCands", (3, 0, 3)),
                                            ("jet_kinematics", (3, 5)), ("jet_kinematics", (3, 10))])
def test_bad_numbers_are_told(tmp_path, data, key, place):
    for bad in (np.nan, np.inf):
        data[key][place] = bad
        write(tmp_path / "a.h5", data)
        with pytest.raises(InputError, match=r"a\.h5"):
            read(tmp_path / "a.h5")


def test_what_may_be_missing(tmp_path, data):
    for name in ("jet1_extraInfo", "jet2_extraInfo", "truth_label", "event_info"):
        del data[name]
    write(tmp_path / "a.h5", data)
    s = read(tmp_path / "a.h5")
    assert (s.label == -1).all() and s.features.shape == (40, 0) and "event_info" not in s.extras
    get("case").write(tmp_path / "b.h5", [s])
    assert (read(tmp_path / "b.h5").label == -1).all()


def test_round_trip(tmp_path, file, data):
    s, out = read(file), tmp_path / "out.h5"
    get("case").write(out, [s[:15], s[15:]])
    t = read(out)
    np.testing.assert_allclose(t.particles[..., :3], s.particles[..., :3], rtol=1e-5, atol=1e-5)
    assert t.extras.keys() == s.extras.keys() and all((t.extras[k] == s.extras[k]).all() for k in s.extras)
    assert (t.features == s.features).all() and (t.label == s.label).all() and (t.process == s.process).all()
    with h5py.File(out) as f:
        for name, x in data.items():
            assert f[name].shape == x.shape
            if "PFCands" not in name:
                np.testing.assert_array_equal(f[name][:], x)
            else:
                np.testing.assert_allclose(f[name][:].sum(1), x.sum(1), rtol=1e-5, atol=1e-2)


def test_the_heavier_jet_is_written_first(tmp_path, file):
    s = read(file)
    turned = {k: s.extras[{"j1": "j2", "j2": "j1"}.get(k[:2], k[:2]) + k[2:]] for k in s.extras}
    t = Sample(particles=np.concatenate([s.particles[:, K:], s.particles[:, :K]], 1), label=s.label, extras=turned, meta=s.meta)
    get("case").write(tmp_path / "out.h5", [t])
    again = read(tmp_path / "out.h5")
    assert all((again.extras[k] == s.extras[k]).all() for k in s.extras)
    np.testing.assert_allclose(again.particles[..., 0], s.particles[..., 0], rtol=1e-5)


def test_the_features_of_the_olympics_can_be_written_from_it(tmp_path, file):
    s = read(file)
    get("lhco-features").write(tmp_path / "f.h5", [s])
    np.testing.assert_allclose(read(tmp_path / "f.h5").features, s.features, rtol=1e-5, atol=1e-4)


def test_nothing_is_invented_for_what_a_sample_does_not_say(tmp_path, file):
    """Simulated dijets know no third jet, no τ4, LSF3 or b-tag score; how many particles they have can be counted."""
    s = read(file)
    gone = {f"j{j}_{name}" for j in (1, 2) for name in ("tau4", "lsf3", "btag", "nparticles")} | {
        f"j3_{c}" for c in ("pt", "eta", "phi", "mass")}
    t = Sample(s.particles, s.features, s.feature_names, s.feature_units, s.label, s.process, meta=s.meta,
               extras={k: v for k, v in s.extras.items() if k not in gone})
    get("case").write(tmp_path / "out.h5", [t[:15], t[15:]])
    again = read(tmp_path / "out.h5")
    assert again.extras.keys() == t.extras.keys() | {"j1_nparticles", "j2_nparticles"}
    assert all((again.extras[k] == t.extras[k]).all() for k in t.extras) and (again.features == t.features).all()
    for j in (1, 2):
        assert (again.extras[f"j{j}_nparticles"] == s.present[:, (j - 1) * K : j * K].sum(1)).all()
        assert again.extras[f"j{j}_nparticles"].min() > 0
    with h5py.File(tmp_path / "out.h5") as f:
        assert np.isnan(f["jet1_extraInfo"][:, 3:6]).all() and np.isnan(f["jet_kinematics"][:, 10:]).all()


def test_what_cannot_be_written(tmp_path, file):
    s = read(file)
    more = Sample(particles=np.ones((1, 202, 4)), extras={k: v[:1] for k, v in s.extras.items()},
                  meta={"slots": ["j1"] * 101 + ["j2"] * 101})
    partly = Sample(particles=s.particles, extras={k: v for k, v in s.extras.items() if k != "truth_label"}, meta=s.meta,
                    label=np.arange(40) % 2 - 1)
    for sample, words in ((toy_jets(3, 1), "m_jj"), (more, "100 particles"), (partly, "label of some"),
                          (Sample(particles=s.particles[:, :4], extras=s.extras, meta={"slots": ["j1"] * 4}), "two jets")):
        with pytest.raises(InputError, match=words):
            get("case").write(tmp_path / "out.h5", [sample])
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]
