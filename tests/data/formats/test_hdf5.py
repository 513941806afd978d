"""Hostile and damaged HDF5 through every format that reads it: one sentence each, no crash, no hang, no memory, no code run.

``python -m tests.data.formats.test_hdf5 NAME FIRST COUNT`` reads COUNT mutated files of format NAME and prints what became
of them.
"""

import collections
import functools
import os
import resource
import signal
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from qad.data import format_of, read
from qad.data.formats import chunks_of, get, hdf5
from qad.errors import InputError, WriteError
from tests.conftest import PROJECT

pytest.importorskip("pandas")
pytest.importorskip("tables")

from tests.data.formats import test_adc2021, test_cms_case, test_jetnet, test_lhc_olympics, test_top_tagging

EXAMPLES = {
    "top-tagging": (test_top_tagging, "table/table"), "lhco": (test_lhc_olympics, "df/block0_values"),
    "lhco-features": (test_lhc_olympics, "df/block0_values"), "adc2021": (test_adc2021, "Particles"),
    "jetnet": (test_jetnet, "particle_features"), "case": (test_cms_case, "jet1_PFCands"),
}
every_format = pytest.mark.parametrize("name", EXAMPLES)


def example(name: str, path: Path, n: int = 20) -> Path:
    path.unlink(missing_ok=True)
    EXAMPLES[name][0].write_example(path, n, 1, name)
    return path


def refused(name: str, path: Path) -> str:
    """The one sentence with which the file is refused, by name and unasked."""
    with pytest.raises(InputError) as told:
        read(path, format=name)
    assert str(path) in str(told.value) and "\n" not in str(told.value)
    with pytest.raises(InputError):
        read(path)
    assert not get(name).recognises(path) or format_of(path).name == name
    return str(told.value)


@every_format
def test_each_format_knows_its_own_and_no_other(name, tmp_path):
    path = example(name, tmp_path / "a.h5")
    assert [other for other in EXAMPLES if get(other).recognises(path)] == [name] == [format_of(path).name]
    assert len(read(path)) == 20
    with get(name).open(path) as events:
        assert len(events.read(0, 0)) == 0 and len(events.read(20, 20)) == 0
        whole = events.read(0, 20)
        parts = list(chunks_of(events, 7))
    assert [len(p) for p in parts] == [7, 7, 6]
    for part, start in zip(parts, (0, 7, 14), strict=True):
        assert part.fingerprint == whole[start : start + 7].fingerprint


@every_format
def test_no_events(name, tmp_path):
    get(name).write(tmp_path / "b.h5", [read(example(name, tmp_path / "a.h5"))[:0]])
    assert format_of(tmp_path / "b.h5").name == name and len(read(tmp_path / "b.h5")) == 0


@every_format
def test_links_are_not_followed(name, tmp_path):
    place = EXAMPLES[name][1]
    example(name, tmp_path / "whole.h5")
    for link in (h5py.SoftLink("/hidden"), h5py.ExternalLink("whole.h5", place), h5py.SoftLink(f"/{place}")):
        path = example(name, tmp_path / "a.h5")
        with h5py.File(path, "r+") as f:
            f.move(place, "/hidden")
            f[place] = link
        assert "link leads elsewhere" in refused(name, path)


@every_format
def test_cycles_of_links_are_harmless(name, tmp_path):
    path, place = example(name, tmp_path / "a.h5"), EXAMPLES[name][1]
    with h5py.File(path, "r+") as f:
        f["again"] = f["/"]
        f["again/again2"] = f["/"]
        if "/" in place:
            f[place.split("/")[0]]["up"] = f["/"]
    assert len(read(path, format=name)) == 20
    with h5py.File(path, "r+") as f:
        del f[place]
        f[place] = f["/"]
    assert "got a group" in refused(name, path)


@every_format
def test_events_kept_in_another_file_are_not_read(name, tmp_path):
    place = EXAMPLES[name][1]
    path = example(name, tmp_path / "a.h5")
    with h5py.File(path, "r+") as f:
        shape, dtype = f[place].shape, f[place].dtype
        del f[place]
        f.create_dataset(place, shape, dtype, external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])
    assert "another file" in refused(name, path)
    example(name, tmp_path / "source.h5")
    with h5py.File(path, "r+") as f:
        del f[place]
        layout = h5py.VirtualLayout(shape, dtype)
        layout[:] = h5py.VirtualSource(tmp_path / "source.h5", place, shape, dtype)
        f.create_virtual_dataset(place, layout)
    assert "another file" in refused(name, path)


@every_format
@pytest.mark.parametrize("what", ["text", "objects", "compound", "complex", "flat", "deep", "scalar", "empty", "group"])
def test_another_type_or_shape(name, what, tmp_path):
    path, place = example(name, tmp_path / "a.h5"), EXAMPLES[name][1]
    with h5py.File(path, "r+") as f:
        shape = f[place].shape
        del f[place]
        if what == "group":
            f.create_group(place)
        elif what == "objects":
            f.create_dataset(place, shape[:1], h5py.vlen_dtype(np.int32))
        else:
            f[place] = {"text": lambda: np.zeros(shape, "S8"), "compound": lambda: np.zeros(shape, [("a", "f4"), ("b", "S3")]),
                        "complex": lambda: np.zeros(shape, "c16"), "flat": lambda: np.zeros(7), "scalar": lambda: 1.0,
                        "deep": lambda: np.zeros((2,) * 9), "empty": lambda: h5py.Empty("f4")}[what]()
    assert "expected" in refused(name, path)


@every_format
def test_a_small_file_does_not_ask_for_all_memory(name, tmp_path):
    path, place = example(name, tmp_path / "a.h5"), EXAMPLES[name][1]
    with h5py.File(path, "r+") as f:
        shape, dtype = f[place].shape, f[place].dtype
        del f[place]
        # 20 large pieces, none of them there
        many = (75 * os.path.getsize(path) + 2**20) // (dtype.itemsize * int(np.prod(shape[1:])))
        f.create_dataset(place, (20 * many, *shape[1:]), dtype, chunks=(many, *shape[1:]), compression="gzip")
    assert "bytes of events" in refused(name, path)
    with h5py.File(path, "r+") as f:
        del f[place]
        f.create_dataset(place, (10, *shape[1:]), dtype, maxshape=(None, *shape[1:]), compression="gzip",
                         chunks=(2**29 // (dtype.itemsize * int(np.prod(shape[1:]))), *shape[1:]))
    assert "chunks" in refused(name, path)


@functools.cache
def swelling() -> bytes:
    return zlib.compress(bytes(3 * 10**8), 9)


@every_format
def test_a_piece_that_swells_when_it_is_unpacked(name, tmp_path):
    """HDF5 unpacks whatever a gzip stream holds, here 300 MB from 300 kB, before it looks whether it fits."""
    path, place = example(name, tmp_path / "a.h5"), EXAMPLES[name][1]
    with h5py.File(path, "r+") as f:
        shape, dtype = f[place].shape, f[place].dtype
        del f[place]
        d = f.create_dataset(place, shape, dtype, chunks=shape, compression="gzip")
        d.id.write_direct_chunk((0,) * len(shape), swelling())
    assert "unpacks to more" in refused(name, path)
    with h5py.File(path, "r+") as f:
        f[place].id.write_direct_chunk((0,) * len(shape), zlib.compress(os.urandom(2 * f[place].nbytes + 9999)))
    assert "unpacks to more" in refused(name, path)


@every_format
def test_ways_of_packing_that_no_public_file_uses(name, tmp_path):
    path, place = example(name, tmp_path / "a.h5"), EXAMPLES[name][1]
    with h5py.File(path, "r+") as f:
        shape, dtype = f[place].shape, f[place].dtype
        del f[place]
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk(shape)
        if dtype.kind == "f":
            plist.set_scaleoffset(h5py.h5z.SO_FLOAT_DSCALE, 3)  # HDF5 knows it: it is refused all the same
        else:
            plist.set_filter(305, h5py.h5z.FLAG_OPTIONAL, (1,))
        h5py.h5d.create(f[place.rpartition("/")[0] or "/"].id, place.rpartition("/")[2].encode(), h5py.h5t.py_create(dtype),
                        h5py.h5s.create_simple(shape), plist)
    assert "packed in a way that is not read here" in refused(name, path)


@every_format
def test_more_pieces_than_a_file_can_hold(name, tmp_path):
    path, place = example(name, tmp_path / "a.h5"), EXAMPLES[name][1]
    with h5py.File(path, "r+") as f:
        shape, dtype = f[place].shape, f[place].dtype
        del f[place]
        f.create_dataset(place, (10**6, *shape[1:]), dtype, chunks=(1,) * len(shape))
    assert "pieces of" in refused(name, path)


@every_format
def test_columns_of_different_lengths(name, tmp_path):
    path, place = example(name, tmp_path / "a.h5"), EXAMPLES[name][1]
    other = {"case": "jet_kinematics", "jetnet": "jet_features", "adc2021": "EvtId"}.get(name)
    if other is None:
        pytest.skip("one block holds all columns")
    with h5py.File(path, "r+") as f:
        x = f[other][:7] if other in f else np.arange(7)
        if other in f:
            del f[other]
        f[other] = x
    assert "different lengths" in refused(name, path) and place


@every_format
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none(name, bad, tmp_path):
    path, place = example(name, tmp_path / "a.h5"), EXAMPLES[name][1]
    with h5py.File(path, "r+") as f:
        if name == "top-tagging":
            row = f[place][3:4]
            row["values_block_0"][0, 0] = bad
            f[place][3:4] = row
        else:
            f[place][(3, *(0,) * (f[place].ndim - 1))] = bad
    refused(name, path)
    with get(name).open(path) as events:
        assert len(events.read(0, 3)) == 3  # only those rows are touched


@every_format
def test_truncated_anywhere(name, tmp_path):
    whole = example(name, tmp_path / "whole.h5", 3).read_bytes()
    path = tmp_path / "a.h5"
    for size in np.unique(np.r_[np.arange(1, 200, 13), np.linspace(200, len(whole) - 1, 25).astype(int)]):
        path.write_bytes(whole[:size])
        refused(name, path)


def test_no_hdf5_at_all(tmp_path):
    for content in (b"\x89HDF\r\n\x1a\n", b"PK\x03\x04" + bytes(100), b"pt,eta\n1,2\n", bytes(5000)):
        (tmp_path / "a.h5").write_bytes(content)
        for name in EXAMPLES:
            refused(name, tmp_path / "a.h5")


def test_a_sample_of_ours_is_no_public_file(tmp_path, qcd_toys):
    qcd_toys.save(tmp_path / "a.h5")
    for name in EXAMPLES:
        with pytest.raises(InputError):
            read(tmp_path / "a.h5", format=name)
    assert format_of(tmp_path / "a.h5") is None


def test_text_of_attributes(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as f:
        f.attrs["fixed"] = np.bytes_("pT ≥ 0".encode())
        f.attrs["variable"] = "qad.sample"
        f.attrs["number"], f.attrs["list"] = 1.0, np.array([b"a", b"b"])
        assert hdf5.text(f, "fixed") == "pT ≥ 0" and hdf5.text(f, "missing") is None
        for key in ("variable", "number", "list"):
            with pytest.raises(InputError, match="text of fixed length"):
                hdf5.text(f, key)


# ---- writing ---------------------------------------------------------------------------------------------------------

@every_format
def test_a_write_that_fails_leaves_what_stood_there(name, tmp_path):
    sample = read(example(name, tmp_path / "a.h5"))
    before = (tmp_path / "a.h5").read_bytes()

    def chunks():
        yield sample
        raise InputError("the source ended")

    with pytest.raises(InputError, match="the source ended"):
        get(name).write(tmp_path / "a.h5", chunks())
    assert (tmp_path / "a.h5").read_bytes() == before and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(WriteError, match="cannot write"):
        get(name).write(tmp_path / "a.h5" / "b.h5", [sample])


@every_format
def test_a_full_disk(name, tmp_path):
    sample = read(example(name, tmp_path / "a.h5"))

    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    sample.save(tmp_path / "ours.h5")
    code = ("from pathlib import Path\nfrom qad.data import read\nfrom qad.data.formats import get\n"
            "from qad.errors import WriteError\n"
            f"s = read({str(tmp_path / 'ours.h5')!r})\n"
            f"try: get({name!r}).write(Path({str(tmp_path / 'full.h5')!r}), [s, s])\nexcept WriteError as e: print(e)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, preexec_fn=limited)
    assert "the file size limit is reached" in done.stdout and done.returncode == 0, done.stderr
    assert {p.name for p in tmp_path.iterdir()} == {"a.h5", "ours.h5"}


@every_format
def test_the_same_events_give_the_same_bytes(name, tmp_path):
    sample = read(example(name, tmp_path / "a.h5"))
    for out in ("b.h5", "c.h5"):
        get(name).write(tmp_path / out, [sample])
    assert (tmp_path / "b.h5").read_bytes() == (tmp_path / "c.h5").read_bytes()


# ---- constant memory -------------------------------------------------------------------------------------------------

MEMORY = """
import resource, sys
from pathlib import Path
from qad.data import iter_chunks, read
from qad.data.formats import get
small, large, out = sys.argv[1:]
for chunk in iter_chunks(small, 250): pass
get("lhco").write(Path(out), iter_chunks(small, 250))
used = next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (used + 48 * 2**20,) * 2)
print(sum(len(chunk) for chunk in iter_chunks(large, 250)))
get("lhco").write(Path(out), iter_chunks(large, 250))
print("written")
try: read(large)
except ValueError: print("all at once does not fit")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is limited as Linux does")
def test_a_large_file_is_read_and_written_in_constant_memory(tmp_path):
    """100 MB of events inside 48 MB."""
    example("lhco", tmp_path / "small.h5", 500)
    block = test_lhc_olympics.events(500, 1)
    with h5py.File(tmp_path / "large.h5", "w") as f:
        d = f.create_dataset("df/block0_values", (6_000, 2101), "f8")
        for start in range(0, 6_000, 500):
            d[start : start + 500] = block
    assert os.path.getsize(tmp_path / "large.h5") > 100e6
    done = subprocess.run([sys.executable, "-c", MEMORY, tmp_path / "small.h5", tmp_path / "large.h5", tmp_path / "out.h5"],
                          capture_output=True, text=True, cwd=PROJECT)
    assert done.stdout.splitlines() == ["6000", "written", "all at once does not fit"], done.stderr


# ---- fuzzing ---------------------------------------------------------------------------------------------------------

SIGNATURES = (b"\x89HDF", b"OHDR", b"TREE", b"SNOD", b"HEAP", b"BTHD", b"FRHP", b"GCOL", b"FADB", b"EAHD", b"FAHD", b"OCHK")


def mutate(rng: np.random.Generator, data: bytes, other: bytes) -> bytes:
    """``data`` damaged: cut, flipped, overwritten, shifted, spliced; half the time near the library's own structures."""
    x = bytearray(data)
    marks = [i for s in SIGNATURES for i in _all(data, s)] or [0]
    for _ in range(rng.integers(1, 6)):
        if not x:
            break
        at = int(rng.integers(len(x)))
        if rng.random() < 0.6:
            at = min(int(rng.choice(marks)) + int(rng.integers(0, 200)), len(x) - 1)
        kind = rng.integers(8)
        if kind == 0:
            x[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            x[at : at + 1] = bytes([int(rng.integers(256))])
        elif kind == 2:
            word = int(rng.choice([0, 1, len(x), at, 2**31 - 1, 2**32 - 1, 2**62, 2**63 - 1, 96, 800], shuffle=False))
            size = int(rng.choice([1, 2, 4, 8]))
            x[at : at + size] = (word % 256**size).to_bytes(size, "little")
        elif kind == 3:
            x[at : at + 8] = b"\xff" * 8
        elif kind == 4:
            size = int(rng.integers(1, 64))
            x[at : at + size] = bytes(len(x[at : at + size]))
        elif kind == 5:
            source, size = int(rng.integers(len(other))), int(rng.integers(1, 128))
            x[at : at + size] = other[source : source + size]
        elif kind == 6:
            del x[at : at + int(rng.integers(1, 9))]
        elif rng.random() < 0.3:
            del x[at:]
    return bytes(x)


def _all(data: bytes, sign: bytes):
    at = data.find(sign)
    while at >= 0:
        yield at
        at = data.find(sign, at + 1)


def seeds(name: str, folder: Path) -> list[bytes]:
    """Honest files: by the format's own library, by our writer, and in HDF5's newest structures."""
    own = example(name, folder / "own.h5", 4)
    get(name).write(folder / "ours.h5", [read(own)])
    with h5py.File(own) as f, h5py.File(folder / "new.h5", "w", libver="latest") as g:
        for key in f:
            f.copy(key, g)
    return [(folder / file).read_bytes() for file in ("own.h5", "ours.h5", "new.h5")]


def fuzz(name: str, first: int, count: int) -> None:
    """Read mutated files one after another and say what became of each; the seed is printed first, lest it be the last."""
    resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, 6 * 2**30))
    with tempfile.TemporaryDirectory() as folder:
        honest = seeds(name, Path(folder))
        path = Path(folder) / "mutated.h5"
        for seed in range(first, first + count):
            rng = np.random.default_rng(seed)
            path.write_bytes(mutate(rng, honest[seed % 3], honest[int(rng.integers(3))]))
            print(seed, end=" ", flush=True)
            signal.setitimer(signal.ITIMER_PROF, 10)  # seconds of work: a hang
            for other in EXAMPLES:
                get(other).recognises(path)
            try:
                with get(name).open(path) as events:
                    for _ in chunks_of(events, 2):
                        pass
                print("read")
            except InputError as error:
                print("refused" if "\n" not in str(error) and str(path) in str(error) else f"badly told: {error!r}")
            signal.setitimer(signal.ITIMER_PROF, 0)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            if peak > 1.5:
                print(f"memory {peak:.1f} GiB")


def outcomes(name: str, first: int, count: int) -> collections.Counter:
    """What became of ``count`` mutated files, counted; a dead process is followed by another that goes on."""
    found: collections.Counter = collections.Counter()
    seed, last = first, first + count
    while seed < last:
        command = [sys.executable, "-W", "error", "-m", "tests.data.formats.test_hdf5", name, str(seed), str(last - seed)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT)
        lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
        if done.returncode:
            lines[-1] = [lines[-1][0], f"died of {done.returncode} at seed {lines[-1][0]}: {done.stderr[-600:]}"]
        found.update(what.strip() for _, what in lines)
        seed = last if not done.returncode else int(lines[-1][0]) + 1
    return found


@every_format
def test_mutated_files_end_in_one_sentence(name):
    found = outcomes(name, 0, 120)
    assert not found.keys() - {"read", "refused"}, found
    assert found["refused"] > 10


@pytest.mark.slow
@every_format
def test_two_thousand_mutated_files(name):
    found = outcomes(name, 1000, 2000)
    assert not found.keys() - {"read", "refused"}, found


if __name__ == "__main__":
    fuzz(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))


def test_a_file_that_names_a_driver_is_not_opened(tmp_path):
    """HDF5 clears as much memory as such a block claims; ordinary files of every version have none."""
    for version in ("earliest", "v108", "v110", "latest"):
        with h5py.File(tmp_path / "plain.h5", "w", libver=version) as f:
            f["x"] = np.arange(3)
        with hdf5.opened(tmp_path / "plain.h5") as f:
            assert f["x"][2] == 2
    with h5py.File(tmp_path / "user.h5", "w", userblock_size=1024) as f:
        f["x"] = np.arange(3)
    with hdf5.opened(tmp_path / "user.h5") as f:
        assert f["x"][2] == 2
    with h5py.File(tmp_path / "old.h5", "w", libver="earliest") as f:
        f["x"] = np.arange(3)
    raw = bytearray((tmp_path / "old.h5").read_bytes())
    assert raw[8] == 0 and raw[13] == 8, "a header of version 0 with addresses of 8 bytes"
    raw[48:56] = (800).to_bytes(8, "little")
    (tmp_path / "old.h5").write_bytes(raw)
    with pytest.raises(InputError, match="names a driver"), hdf5.opened(tmp_path / "old.h5"):
        pass
