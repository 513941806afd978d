import json

import awkward as ak
import numpy as np
import pytest
import vector

from qad.data import Sample, formats, read
from qad.data.kinematics import cartesian
from qad.errors import InputError
from tests.data.formats.test_root import rich

SUFFIX = ".parquet"
LOST = set()


def write_example(path, n, seed, name="parquet", packed=True, slots=8):
    """By Awkward alone."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 9, n)
    total = int(counts.sum())
    pt = rng.pareto(1.5, total) + 0.5
    pt = pt[np.lexsort((-pt, np.repeat(np.arange(n), counts)))]
    fields = {"pt": pt, "eta": rng.normal(size=total), "phi": rng.uniform(-3, 3, total), "mass": rng.random(total)}
    particles = ak.zip({**{k: ak.unflatten(v.astype(np.float32), counts) for k, v in fields.items()},
                        "charge": ak.unflatten(rng.integers(-1, 2, total).astype(np.int8), counts)}, with_name="Momentum4D")
    plan = {"format": "qad.sample", "version": 1, "slots": slots, "features": [["feature_met", "met", "GeV"]],
            "particle_extras": [["charge", "charge", "|i1"]], "extras": [["extra_event", "event", "<i8", []]],
            "meta": {"seed": seed}}
    array = ak.zip({"particles": particles, "label": rng.integers(0, 2, n).astype(np.int8), "weight": np.ones(n, np.float32),
                    "process": ak.Array(rng.choice(["qcd", "top"], n).tolist()), "extra_event": np.arange(n),
                    "feature_met": rng.random(n).astype(np.float32)}, depth_limit=1, attrs={"qad": json.dumps(plan)})
    ak.to_parquet(array, str(path), extensionarray=True, row_group_size=50, compression="zstd" if packed else None)


def hostile(example):
    for a, b in ((b'\\"slots\\": 8', b'\\"slots\\": -1'), (b"|i1", b"|O1"), (b"<i8", b"|O8"), (b"qad.sample", b"qad.simple")):
        yield example.replace(a, b[: len(a)].ljust(len(a)))
    yield example.replace(b"feature_met", b"feature_mtt")
    yield example[:4] + b"\xff" * 200 + example[204:]
    yield example[:-8] + b"\xff\xff\xff\x7f" + b"PAR1"
    yield example[:-8] + (2).to_bytes(4, "little") + b"PAR1"


def test_every_bit_comes_back(tmp_path):
    s = rich(9000, 1)
    formats.get("parquet").write(tmp_path / "x.parquet", (s[i : i + 2500] for i in range(0, 9000, 2500)))
    again = read(tmp_path / "x.parquet")
    assert again.fingerprint == s.fingerprint and again.meta == s.meta
    for start, stop in ((4000, 6000), (2499, 2501), (8999, 9000), (100, 100)):
        assert read(tmp_path / "x.parquet", start, stop).fingerprint == s[start:stop].fingerprint


def test_awkward_and_vector_read_our_file(tmp_path):
    """Momenta: px, py, pz, E of the package vector are those of the sample."""
    vector.register_awkward()
    s = rich(300, 2)
    formats.get("parquet").write(tmp_path / "x.parquet", [s])
    array = ak.from_parquet(tmp_path / "x.parquet")
    assert array.process.tolist() == s.process.tolist() and array.particles.pt_2.ndim == 2
    ours = cartesian(s.particles.astype(float))[s.present]
    for k, name in enumerate(("px", "py", "pz", "E")):
        theirs = ak.to_numpy(ak.flatten(getattr(array.particles, name)))
        np.testing.assert_allclose(theirs, ours[:, k], rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(ak.to_numpy(array.extra_tensor), s.extras["tensor"])


@pytest.mark.parametrize("slots", [["met", *["e"] * 3], []])
def test_events_with_gaps_and_events_without_particles(tmp_path, slots):
    particles = np.zeros((5, len(slots), 4), np.float32)
    particles[:, 2:3, 0] = 7
    s = Sample(particles=particles, meta={"slots": slots}, particle_extras={"px": particles[..., 0]})
    formats.get("parquet").write(tmp_path / "x.parquet", [s])
    assert read(tmp_path / "x.parquet").fingerprint == s.fingerprint


def test_a_small_file_cannot_ask_for_all_memory(tmp_path):
    write_example(tmp_path / "x.parquet", 2000, 1, slots=60_000)
    with pytest.raises(InputError, match=r"claims [\d,]+ bytes"):
        read(tmp_path / "x.parquet")


def test_checksums_find_a_changed_byte(tmp_path):
    """One flipped bit in the packed numbers of an honest file is told."""
    s = rich(500, 3)
    formats.get("parquet").write(tmp_path / "x.parquet", [s])
    content = bytearray((tmp_path / "x.parquet").read_bytes())
    changed = 0
    for at in range(300, len(content) // 2, len(content) // 20):
        content[at] ^= 4
        (tmp_path / "y.parquet").write_bytes(content)
        content[at] ^= 4
        with pytest.raises(InputError):
            read(tmp_path / "y.parquet")
        changed += 1
    assert changed > 5
