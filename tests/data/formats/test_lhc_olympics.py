"""LHC Olympics 2020: frames as pandas writes them, through pandas and through h5py alone."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from qad.data import Sample, read
from qad.data.formats import get
from qad.data.formats.lhc_olympics import COLUMNS, of_table
from qad.errors import InputError

pd = pytest.importorskip("pandas")
pytest.importorskip("tables")

SUFFIXES = {"lhco": ".h5", "lhco-features": ".h5"}
UNITS = {"m_light": "GeV", "dm": "GeV", "tau21_light": "", "tau21_heavy": ""}


def events(n: int, seed: int, particles: int = 200) -> np.ndarray:
    """(n, 2101) float64, particles in no order, signal last as in the published file."""
    rng = np.random.default_rng(seed)
    x = np.zeros((n, 700, 3))
    x[:, :particles] = np.stack([rng.exponential(8, (n, particles)) + 0.1, rng.uniform(-2.5, 2.5, (n, particles)),
                                 rng.uniform(-np.pi, np.pi, (n, particles))], -1)
    x[np.arange(700) >= rng.integers(particles // 2, particles + 1, (n, 1))] = 0
    return np.hstack([x.reshape(n, -1), (np.arange(n) >= 0.7 * n)[:, None]])


def features(n: int, seed: int) -> np.ndarray:
    """(n, 15) float64."""
    rng = np.random.default_rng(seed)
    pt = np.sort(rng.uniform(500, 2000, (n, 2)))[:, ::-1]
    eta, phi = rng.uniform(-2.5, 2.5, (n, 2)), rng.uniform(-np.pi, np.pi, (n, 2))
    tau1 = rng.uniform(50, 300, (n, 2))
    tau2 = tau1 * rng.uniform(0.1, 0.9, (n, 2))
    jets = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), rng.uniform(10, 600, (n, 2)), tau1, tau2,
                     tau2 * 0.8], -1)
    return np.hstack([jets.reshape(n, 14), rng.integers(0, 2, (n, 1))])


def features_frame(n: int, seed: int) -> "pd.DataFrame":
    return pd.DataFrame(features(n, seed), columns=[*COLUMNS, "label"])


def write_example(path: Path, n: int, seed: int, name: str) -> None:
    (pd.DataFrame(events(n, seed)) if name == "lhco" else features_frame(n, seed)).to_hdf(path, key="df")


def test_both_routes_give_the_same_sample(tmp_path):
    """1000 x 2101, the published layout: pandas' numbers handed over, and h5py alone."""
    table = events(1000, 1)
    path = tmp_path / "events_anomalydetection_v2.h5"
    pd.DataFrame(table).to_hdf(path, key="df")
    a, b = read(path), of_table(pd.read_hdf(path).to_numpy())
    assert a.fingerprint == b.fingerprint and a.particles.shape == (1000, 700, 4)
    assert (a.label == table[:, -1]).all()
    assert (a.process == np.where(table[:, -1] == 1, "lhco_signal", "lhco_background")).all()
    assert "slots" not in a.meta and (a.particles[..., 3] == 0).all()
    # judged by a plain loop
    for i in (0, 999):
        rows = table[i, :-1].reshape(700, 3)
        rows = rows[np.argsort(-rows[:, 0], kind="stable")].astype(np.float32)
        np.testing.assert_array_equal(a.particles[i, :, :3], rows)


def test_h5py_alone_is_enough(tmp_path):
    """Neither pandas nor PyTables nor hdf5plugin is needed for a file that gzip compressed."""
    path = tmp_path / "a.h5"
    pd.DataFrame(events(20, 1)).to_hdf(path, key="df", complib="zlib", complevel=1)
    code = ("import sys\nfor m in ('pandas', 'tables', 'hdf5plugin'): sys.modules[m] = None\n"
            f"from qad.data import read; print(read({str(path)!r}).fingerprint)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == of_table(events(20, 1)).fingerprint, done.stderr


@pytest.mark.parametrize("options", [{"complib": "blosc", "complevel": 5}, {"complib": "zlib", "complevel": 9}])
def test_compressed(tmp_path, options):
    pytest.importorskip("hdf5plugin")
    pd.DataFrame(events(20, 2)).to_hdf(tmp_path / "a.h5", key="df", **options)
    assert read(tmp_path / "a.h5").fingerprint == of_table(events(20, 2)).fingerprint


def test_another_key_and_a_label_of_whole_numbers(tmp_path):
    """pandas keeps columns of another type in a block of their own."""
    frame = pd.DataFrame(events(20, 3))
    frame.to_hdf(tmp_path / "a.h5", key="events")
    frame.astype({2100: np.int64}).to_hdf(tmp_path / "b.h5", key="df")
    frame.astype({0: np.float32}).to_hdf(tmp_path / "c.h5", key="df")
    expected = of_table(events(20, 3)).fingerprint
    assert read(tmp_path / "a.h5").fingerprint == expected == read(tmp_path / "b.h5").fingerprint
    assert (read(tmp_path / "c.h5").particles == of_table(events(20, 3)).particles).all()


def test_black_boxes_have_no_label(tmp_path):
    pd.DataFrame(events(20, 4)[:, :-1]).to_hdf(tmp_path / "events_LHCO2020_BlackBox1.h5", key="df")
    s = read(tmp_path / "events_LHCO2020_BlackBox1.h5")
    assert (s.label == -1).all() and (s.process == "unknown").all()
    pd.DataFrame(features(20, 4)[:, :-1], columns=[*COLUMNS]).to_hdf(tmp_path / "bb.h5", key="df")
    s = read(tmp_path / "bb.h5")
    assert (s.label == -1).all() and s.features.shape == (20, 4)


@pytest.mark.parametrize("table", [np.zeros((3, 2099)), np.zeros(2101), None, [[1.0]], np.zeros((2, 3, 4))])
def test_a_table_of_another_shape(table):
    with pytest.raises(InputError, match="2101"):
        of_table(table)


def test_a_table_of_another_type():
    with pytest.raises(InputError, match="numbers"):
        of_table(events(2, 1).astype(str))
    with pytest.raises(InputError, match="numbers"):
        of_table(events(2, 1).astype(object))


@pytest.mark.parametrize(("place", "value"), [((0, 0), np.nan), ((1, 3), np.inf), ((1, 3), 1e300), ((2, 6), -1.0),
                                              ((1, 1), np.nan), ((0, 2100), 2.0), ((0, 2100), np.nan)])
def test_bad_numbers_are_told(tmp_path, place, value):
    table = events(5, 5)
    table[place] = value
    with pytest.raises(InputError):
        of_table(table)
    pd.DataFrame(table).to_hdf(tmp_path / "a.h5", key="df")
    with pytest.raises(InputError, match=r"a\.h5"):
        read(tmp_path / "a.h5")


def test_round_trip_of_events(tmp_path):
    out = tmp_path / "out.h5"
    for table in (events(60, 6), events(60, 6)[:, :-1]):
        s = of_table(table)
        get("lhco").write(out, [s[:25], s[25:]])
        assert read(out).fingerprint == s.fingerprint
        back = pd.read_hdf(out)
        assert back.shape == table.shape and (back.dtypes == np.float64).all() and back.index.tolist() == list(range(60))
        assert back.columns.tolist() == list(range(table.shape[1]))
        assert of_table(back.to_numpy()).fingerprint == s.fingerprint
        with h5py.File(out) as f:
            assert (f["df"]["block0_values"][:] == back.to_numpy()).all()


def test_features_have_their_published_meaning(tmp_path):
    """Judges: the vector package for the kinematics, and CATHODE's order by mass (arXiv:2109.00546) as a plain loop."""
    vector = pytest.importorskip("vector")
    frame = features_frame(50, 7)
    frame.to_hdf(tmp_path / "a.h5", key="df")
    s = read(tmp_path / "a.h5")
    assert dict(zip(s.feature_names, s.feature_units, strict=True)) == UNITS
    jets = [vector.array({"px": frame[f"pxj{j}"], "py": frame[f"pyj{j}"], "pz": frame[f"pzj{j}"], "mass": frame[f"mj{j}"]})
            for j in (1, 2)]
    np.testing.assert_allclose(s.extras["m_jj"], (jets[0] + jets[1]).mass, rtol=1e-5)
    np.testing.assert_allclose(s.extras["delta_eta_jj"], np.abs(jets[0].eta - jets[1].eta), atol=1e-5)
    for j, jet in enumerate(jets):
        for i, x in enumerate((jet.pt, jet.eta, jet.phi, jet.mass)):
            np.testing.assert_allclose(s.particles[:, j, i], x, rtol=1e-5, atol=1e-5)
        assert (s.extras[f"j{j + 1}_pt"] == s.particles[:, j, 0]).all()
        np.testing.assert_allclose(s.extras[f"j{j + 1}_tau3"], frame[f"tau3j{j + 1}"], rtol=1e-6)
    for i, row in frame.iterrows():
        light, heavy = (1, 2) if row.mj1 < row.mj2 else (2, 1)
        tau21 = [row[f"tau2j{j}"] / (1e-5 + row[f"tau1j{j}"]) for j in (light, heavy)]
        np.testing.assert_allclose(s.features[i], [row[f"mj{light}"], row[f"mj{heavy}"] - row[f"mj{light}"], *tau21], rtol=1e-4)
    assert s.meta["slots"] == ["j1", "j2"] and (s.label == frame.label).all()


def test_round_trip_of_features(tmp_path):
    out = tmp_path / "out.h5"
    frame = features_frame(60, 8)
    for table in (frame, frame.drop(columns="label")):
        table.to_hdf(tmp_path / "a.h5", key="df")
        s = read(tmp_path / "a.h5")
        get("lhco-features").write(out, [s[:25], s[25:]])
        back = pd.read_hdf(out)
        assert list(back.columns) == list(table.columns)
        np.testing.assert_allclose(back.to_numpy(), table.to_numpy(), rtol=1e-6, atol=1e-3)
        t = read(out)
        np.testing.assert_allclose(t.particles, s.particles, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(t.features, s.features, rtol=1e-5, atol=1e-4)
        assert (t.label == s.label).all() and t.extras.keys() == s.extras.keys()


def test_the_jet_of_higher_pt_is_written_first(tmp_path):
    features_frame(20, 9).to_hdf(tmp_path / "a.h5", key="df")
    s = read(tmp_path / "a.h5")
    swapped = {k: s.extras[k.replace("j1_", "x_").replace("j2_", "j1_").replace("x_", "j2_")] if k[:3] in ("j1_", "j2_") else v
               for k, v in s.extras.items()}
    t = Sample(particles=s.particles[:, ::-1], label=s.label, extras=swapped, meta=s.meta)
    get("lhco-features").write(tmp_path / "b.h5", [t])
    np.testing.assert_allclose(pd.read_hdf(tmp_path / "b.h5").to_numpy(), pd.read_hdf(tmp_path / "a.h5").to_numpy(), rtol=1e-6,
                               atol=1e-3)


def test_other_names_are_not_ours(tmp_path):
    frame = features_frame(5, 1).rename(columns={"pxj1": "mass"})
    frame.to_hdf(tmp_path / "a.h5", key="df")
    assert not get("lhco-features").recognises(tmp_path / "a.h5")
    with pytest.raises(InputError, match="pxj1"):
        read(tmp_path / "a.h5", format="lhco-features")


def test_what_cannot_be_written(tmp_path):
    s = of_table(events(6, 1))
    mixed = Sample(particles=s.particles, label=[0, 1, -1, 0, 0, 0])
    crowd = Sample(particles=np.ones((1, 701, 4), np.float32))
    for name, chunks, words in (("lhco", [mixed], "label"), ("lhco", [crowd], "700 particles"), ("lhco", [], "no events"),
                                ("lhco", [s, of_table(events(6, 1)[:, :-1])], "labels"),
                                ("lhco", [Sample(particles=s.particles, meta={"slots": ["x"] * 700})], "slots"),
                                ("lhco-features", [s], "j1_pt")):
        with pytest.raises(InputError, match=words):
            get(name).write(tmp_path / "out.h5", chunks)
    assert not list(tmp_path.iterdir())
