"""ADC2021: ``Particles`` (N, 19, 4) as the challenge's authors write it, with h5py."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from qad.data import Sample, read
from qad.data.formats import get
from qad.errors import InputError

SUFFIX = ".h5"
SLOTS = ["met"] + ["e"] * 4 + ["mu"] * 4 + ["jet"] * 10
CLASS = np.array([1] + [2] * 4 + [3] * 4 + [4] * 10)


def events(n: int, seed: int) -> np.ndarray:
    """(n, 19, 4): pT, eta, phi, class; a few objects of each kind, hardest first."""
    rng = np.random.default_rng(seed)
    x = np.zeros((n, 19, 4))
    x[..., 0] = rng.exponential(30, (n, 19)) + 3
    for first, last in ((1, 5), (5, 9), (9, 19)):
        x[:, first:last, 0] = -np.sort(-x[:, first:last, 0], axis=1)
        x[:, first:last, 0] *= np.arange(last - first) < rng.integers(0, last - first + 1, (n, 1))
    x[..., 1], x[..., 2], x[..., 3] = rng.uniform(-3, 3, (n, 19)), rng.uniform(-np.pi, np.pi, (n, 19)), CLASS
    x[:, 0, 1] = 0
    x[x[..., 0] == 0] = 0
    return x


def write_example(path: Path, n: int, seed: int, name: str = "adc2021", dtype: type = np.float64, **more: np.ndarray) -> None:
    with h5py.File(path, "w") as f:
        f.create_dataset("Particles", data=events(n, seed).astype(dtype), compression="gzip")
        f.create_dataset("Particles_Names", data=[b"Pt", b"Eta", b"Phi", b"Class"], compression="gzip")
        f["Particles_Classes"] = [b"MET_class_1", b"Four_Ele_class_2", b"Four_Mu_class_3", b"Ten_Jet_class_4"]
        for key, value in more.items():
            f[key] = value


@pytest.mark.parametrize("dtype", [np.float32, np.float64, ">f8"])
def test_every_number_arrives(tmp_path, dtype):
    write_example(tmp_path / "a.h5", 100, 1, dtype=dtype)
    s, x = read(tmp_path / "a.h5"), events(100, 1)
    assert s.particles.shape == (100, 19, 4) and s.meta["slots"] == SLOTS
    np.testing.assert_array_equal(s.particles[..., :3], x[..., :3].astype(np.float32))
    assert (s.particles[..., 3] == 0).all() and (s.label == -1).all() and (s.process == "unknown").all()


@pytest.mark.parametrize(("file", "process", "label"), [
    ("Ato4l_lepFilter_13TeV_filtered.h5", "a_4l", 1), ("leptoquark_LOWMASS_lepFilter_13TeV.h5", "lq_btau", 1),
    ("hToTauTau_13TeV_PU20.h5", "h0_tautau", 1), ("hChToTauNu_13TeV_PU20_filtered.h5", "hplus_taunu", 1),
    ("background_for_training.h5", "level1_background", 0), ("BlackBox_background_mix.h5", "unknown", -1)])
def test_the_published_names_tell_the_process(tmp_path, file, process, label):
    write_example(tmp_path / file, 3, 1)
    s = read(tmp_path / file)
    assert (s.process == process).all() and (s.label == label).all()


def test_numbers_of_events(tmp_path):
    write_example(tmp_path / "BlackBox_13TeV_PU20.h5", 5, 1, EvtId=np.array([7, 3, 9, 1, 2]))
    s = read(tmp_path / "BlackBox_13TeV_PU20.h5", 1, 4)
    assert s.extras["event"].tolist() == [3, 9, 1]


def test_objects_are_put_in_order_inside_their_slots(tmp_path):
    x = events(50, 2)
    shuffled = x.copy()
    shuffled[:, 9:] = x[:, :8:-1]  # the jets backwards
    with h5py.File(tmp_path / "a.h5", "w") as f:
        f["Particles"] = shuffled
    np.testing.assert_array_equal(read(tmp_path / "a.h5").particles[..., :3], x[..., :3].astype(np.float32))


def test_an_object_in_the_wrong_slot_is_damage(tmp_path):
    x = events(50, 2)
    x[7, 0, 3] = 4
    with h5py.File(tmp_path / "a.h5", "w") as f:
        f["Particles"] = x
    with pytest.raises(InputError, match=r"a\.h5.*event 7 has class 4 in row 0, expected 1 \(met\)"):
        read(tmp_path / "a.h5")


def test_round_trip(tmp_path):
    write_example(tmp_path / "a.h5", 60, 3, EvtId=np.arange(60))
    s, out = read(tmp_path / "a.h5"), tmp_path / "out.h5"
    get("adc2021").write(out, [s[:25], s[25:]])
    assert read(out).fingerprint == s.fingerprint
    with h5py.File(out) as f:
        np.testing.assert_array_equal(f["Particles"][:], events(60, 3).astype(np.float32))
        assert f["Particles"].dtype == np.float64 and f["EvtId"][:].tolist() == list(range(60))


def test_what_cannot_be_written(tmp_path):
    s = Sample(particles=events(4, 1) * [1, 1, 1, 0], meta={"slots": SLOTS})
    numbered = Sample(particles=s.particles, meta=s.meta, extras={"event": np.arange(4)})
    for chunks, words in (([Sample(particles=np.ones((1, 5, 4)))], "19 objects"), ([], "no events"),
                          ([Sample(particles=s.particles, meta={"slots": SLOTS[::-1]})], "19 objects"),
                          ([numbered, s], "same columns")):
        with pytest.raises(InputError, match=words):
            get("adc2021").write(tmp_path / "out.h5", chunks)
    assert not list(tmp_path.iterdir())
