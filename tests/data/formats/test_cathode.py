import os

import numpy as np
import pytest

from qad.data import formats, read
from qad.errors import InputError

SUFFIX = ".npy"
LOST = {"weight"}  # what the format cannot hold


def table(n, seed, columns=6, signal=0.3):
    rng = np.random.default_rng(seed)
    label = (rng.random(n) < signal).astype(float)
    parts = [rng.uniform(3.3, 3.7, n), rng.uniform(0, 0.4, n), rng.uniform(0, 0.4, n), rng.random(n), rng.random(n)]
    parts += {5: [], 6: [label], 7: [rng.uniform(2, 4, n), label]}[columns]
    return np.column_stack(parts).astype(np.float32)


def write_example(path, n, seed, name="cathode"):
    with open(path, "wb") as file:
        np.save(file, table(n, seed), allow_pickle=False)


def hostile(example):
    """Whole files that a careless reader would fall for."""
    import io

    out = io.BytesIO()
    np.save(out, np.array([[print] * 6] * 3, dtype=object), allow_pickle=True)
    yield out.getvalue()
    yield example.replace(b"'shape': (", b"'shape': (1152921504606846976, 6), 'x': (", 1)
    for shape in ("(1152921504606846976, 6)", "(999999999999999999, 6)", "(-1, 6)", "(" * 60 + "2, 6" + ")" * 60, "()", "(6,)"):
        text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
        yield example[:8] + len(text).to_bytes(2, "little") + text + example[128:]
    for descr in ("'|O'", "[('a', '<f4')]", "'<f3'", "'<M8[s]'", "'|V4000000000'", "'<f16'"):
        text = f"{{'descr': {descr}, 'fortran_order': True, 'shape': (2, 6), }}".ljust(117).encode() + b"\n"
        yield example[:8] + len(text).to_bytes(2, "little") + text + example[128:]
    yield example[:6] + b"\x02\x00" + (2**32 - 1).to_bytes(4, "little") + example[10:]
    yield example[:6] + b"\x09\x00" + example[8:]


@pytest.mark.parametrize("columns", [5, 6, 7])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", "<f8", ">f4"])
def test_every_width_order_and_dtype(tmp_path, columns, order, dtype):
    t = table(50, 1, columns)
    np.save(tmp_path / "x.npy", np.asarray(t, dtype=dtype, order=order))
    s = read(tmp_path / "x.npy", 7, 31)
    np.testing.assert_allclose(s.features, t[7:31, 1:5] * np.array([1000, 1000, 1, 1]), rtol=1e-6)
    np.testing.assert_allclose(s.extras["m_jj"], 1000 * t[7:31, 0], rtol=1e-6)
    assert s.feature_names == ("m_light", "dm", "tau21_light", "tau21_heavy") and s.feature_units == ("GeV", "GeV", "", "")
    assert s.particles.shape == (24, 0, 4) and s.meta["slots"] == []
    np.testing.assert_array_equal(s.label, t[7:31, -1] if columns > 5 else np.full(24, -1))
    assert ("delta_r" in s.extras) == (columns == 7)
    assert set(s.process) == ({"lhco_signal", "lhco_background"} if columns > 5 else {"unknown"})


def test_six_columns_without_label_end_in_a_distance(tmp_path):
    np.save(tmp_path / "x.npy", table(20, 2, 7)[:, :6])
    s = read(tmp_path / "x.npy")
    assert (s.label == -1).all() and (s.extras["delta_r"] >= 2).all()
    formats.get("cathode").write(tmp_path / "y.npy", [s])
    assert read(tmp_path / "y.npy").fingerprint == s.fingerprint


@pytest.mark.parametrize(("column", "value", "sentence"), [
    (0, 3500.0, r"m_jj = 3500 TeV; expected 0 to 14 TeV"), (0, np.nan, "m_jj = nan"),
    (1, -0.5, "m_light"), (3, np.inf, "tau21_light"),
    (5, 2.0, "label = 2; expected 0 or 1")])
def test_a_value_out_of_range_is_named(tmp_path, column, value, sentence):
    t = table(20, 2)
    t[11, column] = value
    np.save(tmp_path / "x.npy", t)
    with pytest.raises(InputError, match=r"event 11: .*" + sentence[:10]) as caught:
        read(tmp_path / "x.npy")
    assert sentence in str(caught.value)
    assert len(read(tmp_path / "x.npy", 0, 11)) == 11, "a slice reads only itself"


@pytest.mark.parametrize("change", [lambda b: b + b"more", lambda b: b[:-4]])
def test_a_file_has_the_length_that_its_header_says(tmp_path, change):
    write_example(tmp_path / "x.npy", 20, 1)
    (tmp_path / "y.npy").write_bytes(change((tmp_path / "x.npy").read_bytes()))
    with pytest.raises(InputError, match="its header says 20 events, that is 480 bytes after byte 128"):
        read(tmp_path / "y.npy", 0, 3)


@pytest.mark.parametrize("name", ["lhco_signal_region_train.npy", "lhco_signal_region_validation.npy"])
def test_the_published_events(published, tmp_path, name):
    if not (published / name).is_file():
        pytest.skip(f"{name} is not there")
    s = read(published / name)
    t = np.load(published / name, allow_pickle=False)
    assert len(s) == 60_000 and int((s.label == 1).sum()) == {"train": 395, "validation": 369}[name[19:-4]]
    assert 3300 <= s.extras["m_jj"].min() and s.extras["m_jj"].max() <= 3700, "the signal region of arXiv:2109.00546"
    np.testing.assert_allclose(s.features, t[:, 1:5] * np.array([1000, 1000, 1, 1]), rtol=1e-6)
    formats.get("cathode").write(tmp_path / "again.npy", (s[i : i + 7001] for i in range(0, len(s), 7001)))
    np.testing.assert_allclose(np.load(tmp_path / "again.npy", allow_pickle=False), t, rtol=3e-7)
    assert not [f for f in os.listdir(tmp_path) if f != "again.npy"]
