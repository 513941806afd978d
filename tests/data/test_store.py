import json

import h5py
import numpy as np
import pytest

from qad.data import Sample, SampleWriter, describe, iter_chunks, read, write
from qad.errors import InputError


@pytest.fixture
def file(tmp_path, qcd_toys):
    write(qcd_toys, tmp_path / "qcd.h5")
    return tmp_path / "qcd.h5"


def test_round_trip(file, qcd_toys):
    back = read(file)
    assert back.fingerprint == qcd_toys.fingerprint and back.meta == qcd_toys.meta
    assert (back.process == qcd_toys.process).all()


def test_identical_samples_are_identical_files(tmp_path, file, qcd_toys):
    write(qcd_toys, tmp_path / "again.h5")
    assert (tmp_path / "again.h5").read_bytes() == file.read_bytes()


def test_chunked_writing_changes_nothing(tmp_path, file, qcd_toys):
    with SampleWriter(tmp_path / "chunks.h5") as out:
        for start in range(0, 400, 37):
            out.append(qcd_toys[start : start + 37])
    assert read(tmp_path / "chunks.h5").fingerprint == read(file).fingerprint


def test_chunked_reading_gives_every_event_once(file, qcd_toys):
    chunks = list(iter_chunks(file, 90))
    assert [len(c) for c in chunks] == [90, 90, 90, 90, 40]
    assert (np.concatenate([c.particles for c in chunks]) == qcd_toys.particles).all()


def test_describe(file, qcd_toys):
    info = describe(file)
    assert info["events"] == 400 and info["process"] == {"qcd": 400} and info["intact"]
    assert info["fingerprint"] == qcd_toys.fingerprint


def test_features_and_extras_survive(tmp_path, qcd_toys):
    s = Sample(particles=qcd_toys.particles, features=np.ones((400, 2)), feature_names=("met", "x"), feature_units=("GeV", ""),
               particle_extras={"pdg_id": np.full((400, 40), 211)}, extras={"m_jj": np.linspace(0, 1, 400)})
    write(s, tmp_path / "s.h5")
    back = read(tmp_path / "s.h5")
    assert back.feature_names == ("met", "x") and back.feature_units == ("GeV", "") and back.fingerprint == s.fingerprint


def damage_truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damage_bits(path):
    raw = bytearray(path.read_bytes())
    with h5py.File(path) as f:
        offset = f["particles"].id.get_chunk_info(0).byte_offset
    raw[offset + 50 : offset + 150] = bytes(100)
    path.write_bytes(raw)


def edit(change):
    def damage(path):
        with h5py.File(path, "r+") as f:
            change(f)
    return damage


def shorten(f):
    f["label"].resize(3, axis=0)


def external(f):
    del f["label"]
    f["label"] = h5py.ExternalLink("/etc/passwd", "/")


def stored_elsewhere(f):
    del f["weight"]
    f.create_dataset("weight", shape=(400,), dtype="f4", external=[("/etc/passwd", 0, 1600)])


def virtual(f):
    del f["weight"]
    layout = h5py.VirtualLayout(shape=(400,), dtype="f4")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "x", shape=(400,))
    f.create_virtual_dataset("weight", layout)


def strings(f):
    del f["weight"]
    f["weight"] = np.array([b"a"] * 400, dtype=object)


def huge(f):
    del f["weight"]
    f.create_dataset("weight", shape=(2**40,), chunks=(1024,), dtype="f4")


def poke(f, event, value):
    f["particles"][event, 0, 0] = value


def wrong_shape(f):
    flat = f["particles"][:, :, :3]
    del f["particles"]
    f["particles"] = flat


def change_value(f):
    f["particles"][0, 0, 1] += 0.5


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda p: p.write_bytes(b""), "is empty"),
        (lambda p: p.write_text("pt,eta,phi\n1,2,3\n"), "no HDF5 file"),
        (lambda p: p.unlink(), "does not exist"),
        (damage_truncate, "truncated"),
        (damage_bits, "damaged|do not match"),
        (edit(shorten), "different lengths"),
        (edit(external), "expected a dataset 'label'"),
        (edit(strings), "expected numbers"),
        (edit(stored_elsewhere), "keeps its events in another file"),
        (edit(virtual), "keeps its events in another file"),
        (edit(lambda f: f.attrs.__delitem__("meta")), "says nothing of where its events come from"),
        (edit(huge), "damaged"),
        (edit(lambda f: poke(f, 3, np.nan)), "1 of 400 events contain NaN"),
        (edit(lambda f: poke(f, 3, -5.0)), "negative pT in event 3"),
        (edit(wrong_shape), r"expected shape \(n, p, 4\)"),
        (edit(change_value), "do not match their fingerprint"),
        (edit(lambda f: f.attrs.__delitem__("format")), "nor a public format"),
        (edit(lambda f: f.attrs.__setitem__("schema_version", 99)), "schema version 99"),
        (edit(lambda f: f.attrs.__setitem__("meta", "{")), "damaged"),
        (edit(lambda f: f["process"].attrs.__setitem__("names", json.dumps([]))), "damaged"),
    ],
)
def test_damaged_files_are_one_sentence(file, damage, sentence):
    damage(file)
    with pytest.raises(InputError, match=sentence) as caught:
        read(file)
    assert "\n" not in str(caught.value)


def test_a_failed_write_leaves_what_stood_there(file, qcd_toys, top_toys):
    before = file.read_bytes()
    with pytest.raises(RuntimeError, match="boom"), SampleWriter(file) as out:
        out.append(top_toys)
        raise RuntimeError("boom")
    assert file.read_bytes() == before and len(list(file.parent.iterdir())) == 1


def test_unwritable_folder_is_one_sentence(qcd_toys):
    with pytest.raises(InputError, match="choose a folder you can write to"):
        write(qcd_toys, "/proc/nowhere/qcd.h5")
