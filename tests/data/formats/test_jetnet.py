"""JetNet: ``particle_features`` and ``jet_features``, written with h5py as the data set's authors do."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from qad.data import Sample, read
from qad.data.formats import get
from qad.data.kinematics import cartesian
from qad.errors import InputError
from tests.conftest import toy_jets

SUFFIX = ".hdf5"


def arrays(n: int, seed: int, p: int = 30) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = np.stack([*rng.normal(0, 0.1, (2, n, p)), rng.exponential(0.03, (n, p)) + 1e-3, np.ones((n, p))], -1)
    x[np.arange(p) >= rng.integers(p // 2, p + 1, (n, 1))] = 0
    jets = np.stack([rng.normal(1000, 100, n), rng.uniform(-1.5, 1.5, n), rng.uniform(50, 200, n), x[..., 3].sum(1)], -1)
    return x.astype(np.float32), jets.astype(np.float32)


def write_example(path: Path, n: int, seed: int, name: str = "jetnet", p: int = 30) -> None:
    with h5py.File(path, "w") as f:
        f["particle_features"], f["jet_features"] = arrays(n, seed, p)


@pytest.mark.parametrize("p", [30, 150])
def test_every_number_arrives(tmp_path, p):
    write_example(tmp_path / "x.hdf5", 40, 1, p=p)
    s, (x, jets) = read(tmp_path / "x.hdf5"), arrays(40, 1, p)
    assert s.particles.shape == (40, p, 4) and s.present.sum(1).tolist() == jets[:, 3].tolist()
    for name, column in (("jet_pt", 0), ("jet_eta", 1), ("jet_mass", 2), ("jet_nparticles", 3)):
        assert (s.extras[name] == jets[:, column]).all()
    assert (s.extras["jet_phi"] == 0).all() and "not in the file" in s.meta["azimuth"] and (s.particles[..., 3] == 0).all()
    for i in range(40):  # judged by a plain loop
        there = x[i, x[i, :, 3] == 1]
        there = there[np.argsort(-there[:, 2], kind="stable")]
        expected = np.stack([there[:, 2] * jets[i, 0], there[:, 0] + jets[i, 1], there[:, 1]], -1)
        np.testing.assert_allclose(s.particles[i, : len(there), :3], expected, rtol=1e-6, atol=1e-6)


def test_constituents_add_up_to_the_jet(tmp_path):
    """Made of real four-vectors: what is read adds up to the jet's mass and pT."""
    jets = toy_jets(50, 3, prongs=3, particles=30)
    massless = jets.particles * np.float32([1, 1, 1, 0])
    total = cartesian(massless.astype(np.float64)).sum(1)
    pt, mass = np.hypot(total[:, 0], total[:, 1]), np.sqrt(total[:, 3] ** 2 - (total[:, :3] ** 2).sum(1))
    eta, phi = np.arcsinh(total[:, 2] / pt), np.arctan2(total[:, 1], total[:, 0])
    there = massless[..., 0] > 0
    x = np.stack([massless[..., 1] - eta[:, None], np.angle(np.exp(1j * (massless[..., 2] - phi[:, None]))),
                  massless[..., 0] / pt[:, None], there], -1) * there[..., None]
    with h5py.File(tmp_path / "t.hdf5", "w") as f:
        f["particle_features"], f["jet_features"] = x, np.stack([pt, eta, mass, there.sum(1)], -1)
    s = read(tmp_path / "t.hdf5")
    p4 = cartesian(s.particles.astype(np.float64)).sum(1)
    np.testing.assert_allclose(np.hypot(p4[:, 0], p4[:, 1]), s.extras["jet_pt"], rtol=1e-5)
    np.testing.assert_allclose(np.sqrt(p4[:, 3] ** 2 - (p4[:, :3] ** 2).sum(1)), s.extras["jet_mass"], rtol=1e-4)
    assert np.abs(np.arctan2(p4[:, 1], p4[:, 0])).max() < 1e-5  # at φ = 0


@pytest.mark.parametrize(("file", "process", "label"), [
    ("g.hdf5", "gluon", 0), ("q150.hdf5", "quark", 0), ("t.hdf5", "top", 1), ("w30.h5", "w", 1), ("Z150.hdf5", "z", 1),
    ("test.hdf5", "unknown", -1), ("jets.hdf5", "unknown", -1), ("quarks.hdf5", "unknown", -1)])
def test_the_published_names_tell_the_kind(tmp_path, file, process, label):
    """A file called test.hdf5 holds no top jets because of its t."""
    write_example(tmp_path / file, 3, 1)
    s = read(tmp_path / file)
    assert (s.process == process).all() and (s.label == label).all()


@pytest.mark.parametrize("p", [30, 150])
def test_round_trip(tmp_path, p):
    write_example(tmp_path / "x.hdf5", 40, 2, p=p)
    s, out = read(tmp_path / "x.hdf5"), tmp_path / "out.hdf5"
    get("jetnet").write(out, [s[:15], s[15:]])
    t = read(out)
    np.testing.assert_allclose(t.particles, s.particles, rtol=2e-6, atol=2e-6)
    for name in s.extras:
        assert (t.extras[name] == s.extras[name]).all()
    x, jets = arrays(40, 2, p)
    order = np.argsort(-x[..., 2], axis=1, kind="stable")[..., None]
    with h5py.File(out) as f:
        np.testing.assert_allclose(f["particle_features"][:], np.take_along_axis(x, order, 1), atol=1e-6)
        np.testing.assert_array_equal(f["jet_features"][:], jets)


def test_simulated_jets_turn_to_the_azimuth_of_their_jet(tmp_path):
    s = toy_jets(30, 5)
    extras = {"jet_pt": np.full(30, 600.0), "jet_eta": s.particles[:, 0, 1], "jet_phi": s.particles[:, 0, 2],
              "jet_mass": np.ones(30)}
    jets = Sample(particles=s.particles, extras=extras)
    get("jetnet").write(tmp_path / "out.hdf5", [jets])
    t = read(tmp_path / "out.hdf5")
    assert t.particles.shape == (30, 150, 4) and np.abs(t.particles[..., 2]).max() < 1
    np.testing.assert_allclose(t.particles[:, :40, 0], s.particles[..., 0], rtol=1e-5)


@pytest.mark.parametrize(("key", "place", "value"), [
    ("particle_features", (0, 0, 0), np.nan), ("particle_features", (0, 0, 2), -0.1), ("particle_features", (0, 0, 3), 0.5),
    ("particle_features", (0, 0, 2), np.inf), ("jet_features", (1, 0), np.nan), ("jet_features", (1, 2), np.inf)])
def test_bad_numbers_are_told(tmp_path, key, place, value):
    write_example(tmp_path / "x.hdf5", 4, 1)
    with h5py.File(tmp_path / "x.hdf5", "r+") as f:
        f[key][place] = value
    with pytest.raises(InputError, match=r"x\.hdf5"):
        read(tmp_path / "x.hdf5")


def test_what_cannot_be_written(tmp_path):
    jets = toy_jets(4, 1, particles=400)
    extras = {name: np.ones(4) for name in ("jet_pt", "jet_eta", "jet_phi", "jet_mass")}
    for sample, words in ((jets, "jet_pt, jet_eta, jet_mass, jet_phi"),
                          (Sample(particles=jets.particles, extras=extras), "150"),
                          (Sample(particles=jets.particles[:, :9], extras={**extras, "jet_pt": np.zeros(4)}), "above 0")):
        with pytest.raises(InputError, match=words):
            get("jetnet").write(tmp_path / "out.hdf5", [sample])
    assert not list(tmp_path.iterdir())
