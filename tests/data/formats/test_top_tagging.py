"""Top Quark Tagging Reference: files as pandas writes them."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from qad.data import read
from qad.data.formats import get
from qad.data.kinematics import cartesian
from qad.errors import InputError
from tests.conftest import toy_jets

pd = pytest.importorskip("pandas")
pytest.importorskip("tables")

SUFFIX = ".h5"
NAMES = [f"{c}_{i}" for i in range(200) for c in ("E", "PX", "PY", "PZ")]


def frame(n: int, seed: int) -> "pd.DataFrame":
    """As the published files: float32 four-vectors, the truth that gives the label away, two columns of whole numbers."""
    rng = np.random.default_rng(seed)
    top = rng.random(n) < 0.5
    jets = toy_jets(n, seed, prongs=3, particles=60).particles.astype(np.float64)
    p4 = np.zeros((n, 200, 4), np.float32)
    p4[:, :60] = np.roll(cartesian(jets), 1, -1)  # E first
    truth = np.where(top[:, None], p4.sum(1), 0).astype(np.float32)
    table = pd.DataFrame(np.hstack([p4.reshape(n, -1), truth]), columns=[*NAMES, "truthE", "truthPX", "truthPY", "truthPZ"])
    return table.assign(ttv=rng.integers(0, 3, n), is_signal_new=top.astype(np.int64))


def write_example(path: Path, n: int, seed: int, name: str = "top-tagging") -> None:
    frame(n, seed).to_hdf(path, key="table", format="table")


@pytest.fixture(scope="module")
def table():
    return frame(64, 1)


@pytest.fixture
def file(table, tmp_path):
    path = tmp_path / "val.h5"
    table.to_hdf(path, key="table", format="table")
    return path


def test_every_number_arrives(table, file):
    s = read(file)
    p4 = np.roll(table.iloc[:, :800].to_numpy().reshape(-1, 200, 4), -1, -1).astype(np.float64)
    order = np.argsort(-np.hypot(p4[..., 0], p4[..., 1]), axis=1, kind="stable")
    p4 = np.take_along_axis(p4, order[..., None], 1)
    np.testing.assert_allclose(cartesian(s.particles.astype(np.float64)), p4, rtol=3e-6, atol=2e-4)
    assert s.label.tolist() == table.is_signal_new.tolist() and s.extras["ttv"].tolist() == table.ttv.tolist()
    assert (s.process == np.where(s.label == 1, "top", "qcd")).all()
    assert s.present.sum(1).tolist() == (p4[..., 3] > 0).sum(1).tolist()
    assert s.meta["file"] == "val.h5" and "1902.09914" in get("top-tagging").reference


def test_jets_are_the_sums_of_their_constituents(table, file):
    """Judge: the vector package."""
    vector = pytest.importorskip("vector")
    s = read(file)
    E, px, py, pz = table.iloc[:, :800].to_numpy().reshape(-1, 200, 4).astype(np.float64).sum(1).T
    jets = vector.array({"px": px, "py": py, "pz": pz, "E": E})
    for name, expected in {"jet_pt": jets.pt, "jet_eta": jets.eta, "jet_phi": jets.phi, "jet_mass": jets.mass}.items():
        np.testing.assert_allclose(s.extras[name], expected, rtol=2e-6, atol=1e-6, err_msg=name)


def test_the_truth_never_arrives(table, tmp_path):
    """The top's four-vector is zero for QCD: whatever stands there changes nothing that is read."""
    a, b = tmp_path / "a.h5", tmp_path / "b.h5"
    table.to_hdf(a, key="table", format="table")
    other = table.assign(**{c: np.float32(12345.0) for c in ("truthE", "truthPX", "truthPY", "truthPZ")})
    other = other[table.columns]
    other.to_hdf(b, key="table", format="table")
    assert read(a).fingerprint == read(b).fingerprint
    assert not read(a).feature_names and not [k for k in read(a).extras if "truth" in k]


def test_massless_particles_have_no_mass_from_rounding(tmp_path):
    """E² - p² of float32 numbers is off by up to 2⁻²²E²: noise of 0.1 GeV at 300 GeV is no mass."""
    table = frame(16, 3)
    p4 = table.iloc[:, :800].to_numpy(copy=True).reshape(16, 200, 4)
    p4[..., 0] = np.sqrt((p4[..., 1:].astype(np.float64) ** 2).sum(-1)).astype(np.float32)
    table.iloc[:, :800] = p4.reshape(16, -1)
    table.to_hdf(tmp_path / "a.h5", key="table", format="table")
    s = read(tmp_path / "a.h5")
    assert s.present.any() and (s.particles[..., 3] == 0).all()


@pytest.mark.parametrize("options", [{}, {"complib": "zlib", "complevel": 5}, {"complib": "blosc", "complevel": 5},
                                     {"complib": "blosc2:zstd", "complevel": 5}])
def test_compressed_files(table, file, tmp_path, options):
    pytest.importorskip("hdf5plugin")
    path = tmp_path / "packed.h5"
    table.to_hdf(path, key="table", format="table", **options)
    assert read(path).fingerprint == read(file).fingerprint


def test_a_missing_filter_names_the_extra(table, tmp_path):
    import subprocess
    import sys

    path = tmp_path / "packed.h5"
    table.to_hdf(path, key="table", format="table", complib="blosc", complevel=5)
    code = ("import sys; sys.modules['hdf5plugin'] = None\nfrom qad.data import read\nfrom qad.errors import MissingExtra\n"
            f"try: read({str(path)!r})\nexcept MissingExtra as e: print(e)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'qad-hep[hep]'" in done.stdout, done.stderr


def test_all_columns_of_one_type_share_a_block(table, file, tmp_path):
    table.astype(np.float32).to_hdf(tmp_path / "a.h5", key="table", format="table")
    assert read(tmp_path / "a.h5").fingerprint == read(file).fingerprint


@pytest.mark.parametrize("change", [
    lambda t: t.astype({"ttv": np.int32}),  # pandas puts is_signal_new before ttv then
    lambda t: t.astype({"truthE": np.float64}),
    lambda t: t.astype({"E_3": np.float64}),
    lambda t: t.drop(columns=["E_199"]),
    lambda t: t.assign(more=1.0),
])
def test_columns_in_other_blocks_are_not_guessed(table, tmp_path, change):
    change(table).to_hdf(tmp_path / "a.h5", key="table", format="table")
    assert not get("top-tagging").recognises(tmp_path / "a.h5")
    with pytest.raises(InputError, match="expected 806"):
        read(tmp_path / "a.h5", format="top-tagging")


def test_columns_in_another_order_are_noticed(table, tmp_path):
    names = [f"{c}_{i}" for i in range(200) for c in ("PX", "PY", "PZ", "E")]
    table[[*names, *table.columns[800:]]].to_hdf(tmp_path / "a.h5", key="table", format="table")
    with pytest.raises(InputError, match="another order"):
        read(tmp_path / "a.h5")


def test_an_impossible_label_is_damage(table, tmp_path):
    table.assign(is_signal_new=2).to_hdf(tmp_path / "a.h5", key="table", format="table")
    with pytest.raises(InputError, match=r"a\.h5.*0 or 1"):
        read(tmp_path / "a.h5")


def test_round_trip_and_pandas_reads_what_we_write(table, file, tmp_path):
    s, out = read(file), tmp_path / "deep" / "out.h5"
    get("top-tagging").write(out, [s[:20], s[20:]])
    back = pd.read_hdf(out, key="table")
    assert list(back.columns) == list(table.columns) and back.index.tolist() == list(range(64))
    assert (back.dtypes == table.dtypes).all()
    assert back.is_signal_new.tolist() == table.is_signal_new.tolist() and back.ttv.tolist() == table.ttv.tolist()
    np.testing.assert_allclose(back.iloc[:, :800].to_numpy().reshape(64, 200, 4).sum(1),
                               table.iloc[:, :800].to_numpy().reshape(64, 200, 4).sum(1), rtol=1e-5, atol=1e-2)
    assert (back.iloc[:, 800:804] == 0).all(axis=None)
    part = pd.read_hdf(out, key="table", start=10, stop=30)
    pd.testing.assert_frame_equal(part, back.iloc[10:30])
    t = read(out)
    np.testing.assert_allclose(t.particles[..., :3], s.particles[..., :3], rtol=1e-5, atol=1e-5)
    energy = cartesian(s.particles.astype(np.float64))[..., 3]
    assert (np.abs(t.particles[..., 3] ** 2 - s.particles[..., 3].astype(np.float64) ** 2) <= 2.0**-20 * energy**2).all()
    assert (t.label == s.label).all() and (t.process == s.process).all() and (t.extras["ttv"] == s.extras["ttv"]).all()
    for name in ("jet_pt", "jet_eta", "jet_phi", "jet_mass"):
        np.testing.assert_allclose(t.extras[name], s.extras[name], rtol=1e-4, atol=1e-4, err_msg=name)


def test_what_cannot_be_written(tmp_path):
    write, out = get("top-tagging").write, tmp_path / "out.h5"
    s = toy_jets(4, 1)
    for sample, words in ((type(s)(particles=s.particles), "label"), (toy_jets(4, 1, particles=450), "200 particles"),
                          (type(s)(particles=s.particles, label=s.label, meta={"slots": ["jet"] * 40}), "jets")):
        with pytest.raises(InputError, match=words):
            write(out, [sample])
    with pytest.raises(InputError, match="no events"):
        write(out, [])
    assert not list(tmp_path.iterdir())


def test_attributes_are_never_decoded(file, tmp_path):
    """pandas' attributes can run code: put there what would leave a trace, and look for the trace."""
    trace = tmp_path / "trace"
    bomb = f"cos\nsystem\n(S'touch {trace}'\ntR.".encode()
    with h5py.File(file, "r+") as f:
        for place in ("table", "table/table"):
            for key in list(f[place].attrs):
                if "kind" in key or "cols" in key or "axes" in key or key in ("info", "nan_rep"):
                    f[place].attrs[key] = np.bytes_(bomb)
    assert len(read(file)) == 64 and not trace.exists()
