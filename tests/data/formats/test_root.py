import json
import re

import awkward as ak
import numpy as np
import pytest
import uproot

from qad.data import Sample, formats, read
from qad.errors import InputError

SUFFIX = ".root"
LOST = set()


def rich(n, seed, p=12):
    """A sample that uses all there is: extras of every dtype and shape, odd names, several processes, weights."""
    rng = np.random.default_rng(seed)
    there = np.arange(p) < rng.integers(0, p + 1, n)[:, None]
    particles = np.stack([-np.sort(-rng.pareto(1.5, (n, p)) - 0.1, 1), rng.normal(0, 1, (n, p)), rng.uniform(-3, 3, (n, p)),
                          rng.random((n, p))], -1)
    particles[~there] = 0
    dtypes = ["?", "i1", "u1", "i2", "u2", "<i4", "u4", "i8", "u8", "f2", "f4", "f8", ">f4"]
    return Sample(
        particles=particles, features=rng.normal(size=(n, 3)), feature_names=("tau 2/1", "tau_2_1", "m"),
        feature_units=("", "", "GeV"), label=rng.integers(-1, 2, n), process=rng.choice(["qcd", "top", "É"], n),
        weight=rng.random(n), particle_extras={"pdg_id": rng.integers(-300, 300, (n, p)).astype(np.int32) * there, "pt": there},
        extras={**{f"x_{d}": (100 * rng.random(n)).astype(d) for d in dtypes}, "tensor": rng.random((n, 2, 3)),
                "none": np.zeros((n, 0)), "two words": rng.integers(0, 9, n)},
        meta={"seed": seed, "card": "a = b\n", "nested": {"x": [1, 2.5, None]}})


def write_example(path, n, seed, name="root", packed=True, slots=8):
    """By uproot alone."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 9, n)
    pt = ak.Array([sorted((rng.pareto(1.5, c) + 0.5).astype(np.float32).tolist(), reverse=True) for c in counts])
    pt = ak.values_astype(pt, np.float32)
    other = {k: ak.unflatten(rng.uniform(-3, 3, int(counts.sum())).astype(np.float32), counts) for k in ("eta", "phi")}
    with open(path, "w+b") as raw, uproot.recreate(raw, compression=uproot.ZLIB(1) if packed else None) as file:
        lists = "var * {pt: float32, eta: float32, phi: float32, mass: float32, charge: int8}"
        types = {"particle": ak.types.from_datashape(lists, highlevel=False), "label": "int8", "weight": "float32",
                 "process": "int32", "feature_met": "float32", "extra_event": "int64"}
        file.mktree("events", types)
        file["events"].extend({
            "particle": ak.zip({"pt": pt, **other, "mass": abs(other["eta"]),
                                "charge": ak.values_astype(other["phi"] > 0, np.int8)}),
            "label": rng.integers(0, 2, n).astype(np.int8), "weight": np.ones(n, np.float32),
            "process": rng.integers(0, 2, n).astype(np.int32), "feature_met": rng.random(n).astype(np.float32),
            "extra_event": np.arange(n)})
        file["qad"] = json.dumps({
            "format": "qad.sample", "version": 1, "slots": slots, "features": [["feature_met", "met", "GeV"]],
            "particle_extras": [["charge", "charge", "|i1"]], "extras": [["extra_event", "event", "<i8", []]],
            "processes": ["qcd", "top"], "meta": {"seed": seed}})


def hostile(example):
    for a, b in ((b'"slots": 8', b'"slots": 9e99'), (b'"slots": 8', b'"slots": -1'), (b'"|i1"', b'"|O"'), (b'"<i8"', b'"<f16"'),
                 (b'"version": 1', b'"version": 7'), (b'"processes"', b'"prozesses"'), (b'"meta": {', b'"meta": [')):
        pad = len(a) - len(b)  # lengths are kept by what JSON ignores
        yield example.replace(a, b + b" " * max(pad, 0))
    yield example.replace(b"events", b"evnets")
    yield example[:4] + b"\x7f\xff\xff\xff" * 12 + example[52:]


def test_every_bit_comes_back(tmp_path):
    s = rich(9000, 1)
    formats.get("root").write(tmp_path / "x.root", (s[i : i + 2500] for i in range(0, 9000, 2500)))
    again = read(tmp_path / "x.root")
    assert again.fingerprint == s.fingerprint and again.meta == s.meta
    assert {k: v.dtype.str for k, v in again.extras.items()} == {k: v.dtype.str for k, v in s.extras.items()}
    assert read(tmp_path / "x.root", 4000, 4200).fingerprint == s[4000:4200].fingerprint


def test_uproot_reads_our_file(tmp_path):
    s = rich(300, 2)
    formats.get("root").write(tmp_path / "x.root", [s])
    with uproot.open(tmp_path / "x.root") as file:
        tree = file["events"]
        assert json.loads(str(file["qad"]))["processes"] == list(dict.fromkeys(s.process.tolist()))
        np.testing.assert_array_equal(tree["feature_m"].array(library="np"), s.feature("m"))
        np.testing.assert_array_equal(tree["nparticle"].array(library="np"), s.present.sum(1))
        pt = tree["particle_pt"].array()
        for k in (0, 17, 299):
            np.testing.assert_array_equal(pt[k], s.particles[k, : len(pt[k]), 0])


@pytest.mark.parametrize("slots", [["met", *["e"] * 3], []])
def test_events_with_gaps_and_events_without_particles(tmp_path, slots):
    particles = np.zeros((5, len(slots), 4), np.float32)
    particles[:, 2:3, 0] = 7
    s = Sample(particles=particles, meta={"slots": slots}, particle_extras={"index": np.full((5, len(slots)), -1)})
    formats.get("root").write(tmp_path / "x.root", [s])
    assert read(tmp_path / "x.root").fingerprint == s.fingerprint


def test_the_classes_that_a_file_describes_are_never_compiled(tmp_path, monkeypatch):
    """uproot writes Python from a file's TStreamerInfo and runs it where it does not know a version: not here."""
    def refuse(*args):
        raise SystemExit("source from the file was about to run")

    write_example(tmp_path / "x.root", 30, 1, packed=False)
    content = (tmp_path / "x.root").read_bytes()
    tree = rb"(\x40\x00..)\x00\x14(\x40\x00..\x00\x01\x00\x01)"  # TTree version 20, TNamed
    unknown, count = re.subn(tree, lambda m: m[1] + b"\x00\x63" + m[2], content, flags=re.DOTALL)
    assert count == 1, "the version of the TTree"
    (tmp_path / "y.root").write_bytes(unknown)
    monkeypatch.setattr(uproot.deserialization, "_actually_compile", refuse)
    with pytest.raises(SystemExit, match="about to run"), uproot.open(tmp_path / "y.root") as file:
        file["events"]
    with pytest.raises(InputError):
        read(tmp_path / "y.root", format="root")
    assert len(read(tmp_path / "x.root")) == 30


def test_a_small_file_cannot_ask_for_all_memory(tmp_path):
    write_example(tmp_path / "x.root", 2000, 1, slots=60_000)
    with pytest.raises(InputError, match=r"claims [\d,]+ bytes"):
        read(tmp_path / "x.root")


def test_a_number_too_long_is_refused(tmp_path):
    s = Sample(particles=np.zeros((2, 1, 4)), extras={"x": np.zeros(2, np.longdouble)})
    with pytest.raises(InputError, match="'x' has dtype"):
        formats.get("root").write(tmp_path / "x.root", [s])
    assert not list(tmp_path.iterdir())
