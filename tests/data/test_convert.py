"""Import and export through a toy format, and through real ones where they stand."""

import tracemalloc
from contextlib import contextmanager
from dataclasses import asdict

import numpy as np
import pytest

from qad.data import Sample, concatenate, describe, format_of, formats, read
from qad.data.convert import export_file, import_file
from qad.data.formats import Events, Format
from qad.data.kinematics import cartesian, eta_phi, invariant_mass
from qad.errors import InputError
from tests.conftest import toy_jets


class Toy(Format):
    """A flat ``.toy`` file of float32 numbers, 8 particles a jet."""

    name, title, reference, suffixes = "toy", "toy jets", "none", (".toy",)

    def __init__(self):
        self.largest = 0
        self.fail = None

    def recognises(self, path):
        return True

    @contextmanager
    def open(self, path):
        data = np.memmap(path, np.float32, "r").reshape(-1, 8, 4)

        def slice_of(start, stop):
            self.largest = max(self.largest, stop - start)
            return Sample(particles=np.array(data[start:stop]), extras={"event": np.arange(start, stop)}, meta={"toy": True})

        yield Events(len(data), slice_of)

    def write(self, path, chunks):
        with open(path, "wb") as file:
            for i, sample in enumerate(chunks):
                if self.fail is not None and i == 1:
                    raise self.fail
                file.write(np.ascontiguousarray(sample.particles[:, :8]).tobytes())


@pytest.fixture
def toy(monkeypatch):
    """The toy format beside the registered ones."""
    there, names, mine = formats.get, formats.names, Toy()
    monkeypatch.setattr(formats, "get", lambda name: mine if name == "toy" else there(name))
    monkeypatch.setattr(formats, "names", lambda: [*names(), "toy"])
    return mine


def write_toy(path, n, seed=1):
    toy_jets(n, seed, particles=8).particles.astype(np.float32).tofile(path)
    return path


def test_import_and_export_give_the_same_events(tmp_path, toy):
    source = write_toy(tmp_path / "a.toy", 250)
    seen = []
    done = import_file("toy", source, tmp_path / "a.h5", chunk=100, progress=lambda n, all: seen.append((n, all)))
    assert done.events == 250 and seen == [(100, 250), (200, 250), (250, 250)] and toy.largest == 100
    ours = read(tmp_path / "a.h5")
    assert ours.fingerprint == read(source, format="toy").fingerprint == done.fingerprint
    assert ours.meta["imported"] == {"format": "toy", "files": ["a.toy"]} and ours.meta["toy"] is True
    back = export_file(tmp_path / "a.h5", "toy", tmp_path / "b.toy", chunk=64)
    assert (tmp_path / "b.toy").read_bytes() == source.read_bytes()
    assert back.fingerprint == ours.fingerprint and back.bytes == source.stat().st_size
    assert set(asdict(back)) == {"out", "format", "events", "bytes", "seconds", "fingerprint", "lost"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.h5", "a.toy", "b.toy"]


def test_the_format_is_recognised(tmp_path, toy):
    source = write_toy(tmp_path / "a.toy", 20)
    assert import_file(None, source, tmp_path / "a.h5").format == "toy"


def test_several_files_follow_one_another(tmp_path, toy):
    files = [write_toy(tmp_path / f"{i}.toy", 30, seed=i) for i in (1, 2)]
    import_file("toy", files, tmp_path / "all.h5", process="qcd", label=0)
    ours = read(tmp_path / "all.h5")
    assert np.array_equal(ours.particles, concatenate([read(f, format="toy") for f in files]).particles)
    assert set(ours.process) == {"qcd"} and set(ours.label) == {0}
    assert ours.meta["imported"]["files"] == ["1.toy", "2.toy"]


def test_events_of_several_files_are_not_taken_for_one_collision(tmp_path, toy):
    files = [write_toy(tmp_path / f"{i}.toy", 30, seed=i) for i in (1, 2, 3)]
    import_file("toy", files, tmp_path / "all.h5", chunk=20)
    ours = read(tmp_path / "all.h5")
    assert np.array_equal(ours.extras["event"], np.arange(90)) and ours.meta["imported"]["event_offsets"] == [0, 30, 60]
    assert describe(tmp_path / "all.h5")["intact"]


def test_what_is_known_is_never_overwritten(tmp_path, toy):
    half = toy_jets(20, 1)
    half = concatenate([half, Sample(particles=toy_jets(20, 2).particles, extras={"event": np.arange(20)})])
    half.save(tmp_path / "half.h5")
    import_file(None, tmp_path / "half.h5", tmp_path / "full.h5", process="data", label=1)
    full = read(tmp_path / "full.h5")
    assert list(full.label) == [0] * 20 + [1] * 20 and list(full.process) == ["qcd"] * 20 + ["data"] * 20


def test_the_key_of_a_black_box(tmp_path, toy):
    source = write_toy(tmp_path / "box.toy", 250)
    key = np.random.default_rng(1).integers(0, 2, 250)
    np.savetxt(tmp_path / "box.masterkey", key)  # as 1.000000000000000000e+00
    import_file("toy", source, tmp_path / "box.h5", labels=tmp_path / "box.masterkey", chunk=100)
    assert np.array_equal(read(tmp_path / "box.h5").label, key)
    assert describe(tmp_path / "box.h5")["intact"]


@pytest.mark.parametrize("text, message", [
    ("1\n" * 249, "has 249 labels, too few"),
    ("1\n" * 252, "has 252 labels for 250 events"),
    ("1\n" * 120 + "2\n" * 130, "line 121: expected 0 \\(background\\) or 1 \\(signal\\), got '2'"),
    ("1\n" * 120 + "\n" * 130, "line 121"),
    ("1\n" * 249 + "nan\n", "line 250"),
    ("1" * 10_000_000, "line 1"),
])
def test_a_key_that_does_not_fit(tmp_path, toy, text, message):
    source = write_toy(tmp_path / "box.toy", 250)
    (tmp_path / "key").write_text(text)
    with pytest.raises(InputError, match=message):
        import_file("toy", source, tmp_path / "box.h5", labels=tmp_path / "key", chunk=100)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["box.toy", "key"]


def test_a_key_against_the_file(tmp_path):
    toy_jets(20, 1).save(tmp_path / "qcd.h5")
    (tmp_path / "key").write_text("0\n" * 7 + "1\n" * 13)
    with pytest.raises(InputError, match="event 7: the file says label 0, the labels say 1"):
        import_file(None, tmp_path / "qcd.h5", tmp_path / "out.h5", labels=tmp_path / "key")


def test_mistakes_are_one_sentence(tmp_path, toy):
    source = write_toy(tmp_path / "a.toy", 20)
    import_file("toy", source, tmp_path / "a.h5")
    before = (tmp_path / "a.h5").read_bytes()
    for call, message in [
        (lambda: import_file("toy", source, tmp_path / "a.h5"), "exists; choose another name or add --overwrite"),
        (lambda: import_file("toy", source, source, overwrite=True), "is the file to be read"),
        (lambda: import_file("toys", source, tmp_path / "b.h5"), "did you mean 'toy'|unknown format 'toys'"),
        (lambda: import_file("toy", tmp_path / "none.toy", tmp_path / "b.h5"), "does not exist"),
        (lambda: import_file("toy", source, tmp_path / "b.h5", label=2), "expected 0 \\(background\\) or 1"),
        (lambda: import_file("toy", source, tmp_path / "b.h5", label=1, labels=source), "not both"),
        (lambda: import_file("toy", source, tmp_path / "b.h5", labels=tmp_path / "none"), "cannot be read"),
        (lambda: import_file("toy", [], tmp_path / "b.h5"), "at least one file"),
        (lambda: import_file("toy", source, tmp_path / "b.h5", chunk=0), "from 1, got 0"),
        (lambda: export_file(tmp_path / "a.h5", "toy", tmp_path / "a.txt"), "ends in .toy; type  -o a.toy"),
        (lambda: export_file(tmp_path / "a.h5", "toy", tmp_path), "is a folder"),
    ]:
        with pytest.raises(InputError, match=message) as told:
            call()
        assert "\n" not in str(told.value)
    assert (tmp_path / "a.h5").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.h5", "a.toy"]
    import_file("toy", source, tmp_path / "a.h5", overwrite=True)


@pytest.mark.parametrize("fail", [OSError(28, "No space left on device"), InputError("it lacks legs"), KeyboardInterrupt()],
                         ids=["disk", "input", "ctrl-c"])
def test_a_failed_export_leaves_nothing_and_touches_nothing(tmp_path, toy, fail):
    toy_jets(40, 1, particles=8).save(tmp_path / "a.h5")
    (tmp_path / "b.toy").write_bytes(b"precious")
    toy.fail = fail
    with pytest.raises(KeyboardInterrupt if isinstance(fail, KeyboardInterrupt) else InputError):
        export_file(tmp_path / "a.h5", "toy", tmp_path / "b.toy", chunk=10, overwrite=True)
    assert (tmp_path / "b.toy").read_bytes() == b"precious"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.h5", "b.toy"]


def test_memory_does_not_grow_with_the_file(tmp_path, toy):
    peaks = []
    for n in (5_000, 40_000):
        source = write_toy(tmp_path / f"{n}.toy", n)
        tracemalloc.start()
        import_file("toy", source, tmp_path / f"{n}.h5", chunk=1_000)
        export_file(tmp_path / f"{n}.h5", "toy", tmp_path / f"{n}-back.toy", chunk=1_000)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0] and peaks[1] < 5e6


def test_the_published_events(tmp_path, published):
    done = import_file(None, published / "ttbar_background.csv", tmp_path / "ttbar.h5", process="ttbar", label=0)
    ours = read(tmp_path / "ttbar.h5")
    assert done.events == 40_000 and done.format == "dilepton" and set(ours.label) == {0}
    assert ours.feature("met")[0] == np.float32(42.1579)


def jets_with_extras(n=40):
    toys = toy_jets(n, 3)
    total = cartesian(toys.particles.astype(np.float64)).sum(1)
    eta, phi = eta_phi(total)
    return Sample(toys.particles, label=toys.label, process="qcd",
                  extras={"event": toys.extras["event"], "jet_pt": np.hypot(*total[:, :2].T).astype(np.float32),
                          "jet_eta": eta.astype(np.float32), "jet_phi": phi.astype(np.float32),
                          "jet_mass": invariant_mass(total).astype(np.float32), "n_constituents": toys.present.sum(1)})


@pytest.mark.parametrize("name", ["parquet", "root", "top-tagging", "jetnet", "lhco"])
def test_through_public_formats_and_back(tmp_path, name):
    """Jets leave as a public file and come back: particle by particle in the precision of the format."""
    if formats.get(name).extra:
        for module in ("uproot", "awkward", "pyarrow"):
            pytest.importorskip(module)
    jets = jets_with_extras()
    jets.save(tmp_path / "jets.h5")
    public = tmp_path / f"public{formats.get(name).suffixes[0]}"
    out = export_file(tmp_path / "jets.h5", name, public, chunk=15)
    assert out.events == 40 and out.fingerprint == jets.fingerprint and format_of(public).name == name
    done = import_file(None, public, tmp_path / "back.h5", process="qcd", label=0, chunk=17)
    back = read(tmp_path / "back.h5")
    assert done.format == name and len(back) == 40 and (back.label == 0).all()
    if name in ("parquet", "root"):  # these keep every bit
        assert back.fingerprint == jets.fingerprint
    ours = jets.particles[:, : back.particles.shape[1]]
    theirs = back.particles[:, : ours.shape[1]]
    if name == "jetnet":  # no azimuth of the jet in it
        assert np.allclose(theirs[..., 0], ours[..., 0], rtol=1e-4, atol=1e-3)
    else:
        assert np.allclose(theirs[..., :3], ours[..., :3], rtol=1e-4, atol=1e-3)


def test_what_a_format_cannot_hold_leaves_no_file(tmp_path):
    jets_with_extras().save(tmp_path / "jets.h5")
    with pytest.raises(InputError, match="cannot be written as adc2021: it lacks"):
        export_file(tmp_path / "jets.h5", "adc2021", tmp_path / "level1.h5")
    assert [p.name for p in tmp_path.iterdir()] == ["jets.h5"]


def test_what_a_format_has_no_place_for_is_told(tmp_path):
    particles = np.zeros((20, 19, 4), dtype=np.float32)
    particles[:, 0, 0] = 30
    slots = ["met"] + ["e"] * 4 + ["mu"] * 4 + ["jet"] * 10
    sample = Sample(particles=particles, label=np.zeros(20), process="level1_w", extras={"h_t": np.ones(20)},
                    weight=np.linspace(1, 2, 20), meta={"slots": slots})
    sample.save(tmp_path / "a.h5")
    with pytest.raises(InputError, match="no place for weights"):
        export_file(tmp_path / "a.h5", "adc2021", tmp_path / "b.h5")
    assert not (tmp_path / "b.h5").exists()
    done = export_file(tmp_path / "a.h5", "adc2021", tmp_path / "b.h5", drop_weights=True)
    assert {"label", "process", "weight", "h_t"} <= set(done.lost)
    assert pytest.importorskip("pyarrow") and export_file(tmp_path / "a.h5", "parquet", tmp_path / "b.parquet").lost == ()
