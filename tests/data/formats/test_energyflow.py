import io
import zipfile

import numpy as np
import pytest

from qad.data import formats, read
from qad.errors import InputError

SUFFIX = ".npz"
LOST = {"weight"}
PIDS = np.array([22, 211, -211, 321, -321, 130, 2112, -2112, 2212, -2212, 11, -11, 13, -13])
MASS = {22: 0, 211: 0.13957, 321: 0.49368, 130: 0.49761, 2112: 0.93957, 2212: 0.93827, 11: 0.000511, 13: 0.10566}


def jets(n, seed, m=30):
    rng = np.random.default_rng(seed)
    there = np.arange(m) < rng.integers(5, m + 1, n)[:, None]
    X = np.stack([rng.pareto(1.2, (n, m)) + 0.3, rng.normal(0.5, 0.4, (n, m)), rng.uniform(0, 2 * np.pi, (n, m)),
                  rng.choice(PIDS, (n, m)).astype(float)], -1) * there[..., None]
    return X, rng.integers(0, 2, n).astype(float)


def write_example(path, n, seed, name="energyflow", packed=True):
    X, y = jets(n, seed)
    with open(path, "wb") as file:
        (np.savez_compressed if packed else np.savez)(file, X=X, y=y)


def packed(**members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return out.getvalue()


def saved(array):
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


def hostile(example):
    X, y = jets(5, 1)
    yield packed(X=saved(np.array([[[print] * 4]] * 5, dtype=object)), y=saved(y))
    yield packed(X=saved(X), y=saved(np.array([print] * 5, dtype=object)))
    n = 70_000  # a bomb: 67 MB of zeros packed a thousandfold, with headers that agree
    yield packed(X=saved(X)[:128].replace(b"(5, 30, 4), }    ", b"(70000, 30, 4), }") + bytes(n * 960),
                 y=saved(np.zeros(n)))
    yield packed(X=saved(X).replace(b"(5, 30, 4)", b"(1152921504606846976, 30, 4)"), y=saved(y))
    yield packed(X=saved(X)[:8] + b"\xff\xff" + saved(X)[10:], y=saved(y))
    yield packed(X=saved(np.asfortranarray(X)), y=saved(y))
    yield packed(X=saved(X[..., :3]), y=saved(y))
    yield packed(X=saved(X), y=saved(y[:3]))
    yield packed(X=saved(X), y=saved(y + 0.5))
    for k, value in ((0, -1), (0, np.nan), (1, 800), (2, np.inf), (3, 1e30)):
        bad = X.copy()
        bad[2, 3, k] = value
        yield packed(X=saved(bad), y=saved(y))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, pytest.warns(UserWarning):
        for _ in range(2):
            archive.writestr("X.npy", saved(X))
        archive.writestr("y.npy", saved(y))
    yield out.getvalue()


def test_rapidity_becomes_pseudorapidity_of_the_same_momentum(tmp_path):
    """pz = m_T sinh y in the file must be pT sinh eta in the sample, whatever the particle."""
    write_example(tmp_path / "x.npz", 40, 1)
    X, y = jets(40, 1)
    s = read(tmp_path / "x.npz")
    mass = np.vectorize(lambda p: MASS.get(abs(int(p)), 0))(X[..., 3])
    pz = np.hypot(X[..., 0], mass) * np.sinh(X[..., 1])
    for k in range(40):
        order = np.argsort(-X[k, :, 0], kind="stable")
        p = s.particles[k].astype(float)
        np.testing.assert_allclose(p[:, 0] * np.sinh(p[:, 1]), pz[k, order], rtol=2e-4, atol=1e-5)
        np.testing.assert_allclose(p[:, 0], X[k, order, 0], rtol=1e-6)
        np.testing.assert_allclose(np.exp(1j * p[:, 2]), np.exp(1j * X[k, order, 2]), atol=1e-6)
        np.testing.assert_array_equal(s.particle_extras["pdg_id"][k], X[k, order, 3])
    assert (s.label == 0).all() and s.process.tolist() == ["quark" if q else "gluon" for q in y]
    pions = np.abs(s.particle_extras["pdg_id"]) == 211
    assert (np.abs(s.particles[..., 1][pions]) > 0).any() and np.allclose(s.particles[..., 3][pions], 0.13957, rtol=1e-4)


def test_our_file_is_read_by_numpy(tmp_path):
    write_example(tmp_path / "x.npz", 50, 2)
    s = read(tmp_path / "x.npz")
    formats.get("energyflow").write(tmp_path / "y.npz", [s[:20], s[20:]])
    X, y = jets(50, 2)
    with np.load(tmp_path / "y.npz", allow_pickle=False) as ours:
        assert sorted(ours.files) == ["X", "y"]
        np.testing.assert_array_equal(ours["y"], y)
        ours = ours["X"]
    for k in range(50):
        order = np.argsort(-X[k, :, 0], kind="stable")
        np.testing.assert_allclose(ours[k, :, [0, 1, 3]], X[k, order][:, [0, 1, 3]].T, rtol=1e-5, atol=1e-6)
    formats.get("energyflow").write(tmp_path / "z.npz", [s])
    assert (tmp_path / "y.npz").read_bytes() == (tmp_path / "z.npz").read_bytes(), "chunking and clock leave no trace"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.npz", "y.npz", "z.npz"]


def test_what_is_missing_is_said(tmp_path, qcd_toys):
    with pytest.raises(InputError, match="lacks the particle extra 'pdg_id'"):
        formats.get("energyflow").write(tmp_path / "x.npz", [qcd_toys])


def test_a_cut_stream_and_a_wrong_checksum(tmp_path):
    write_example(tmp_path / "x.npz", 50, 2)
    content = bytearray((tmp_path / "x.npz").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "y.npz").write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        read(tmp_path / "y.npz")
