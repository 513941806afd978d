"""The contract of every format that is registered, and 2,000 damaged files for each.

A format's own tests give ``write_example(path, n, seed, name)``, an honest file made by the format's own library, ``SUFFIX`` or
``SUFFIXES``, and if they like ``LOST`` (what the format cannot hold) and ``hostile(example)`` (files made to hurt).

``python -m tests.data.formats.test_contract COUNT NAME …`` reads COUNT damaged files of each format, in a process of its own,
and prints what became of them.
"""

import collections
import errno
import importlib
import inspect
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from qad.data import Sample, describe, format_of, formats, iter_chunks, read
from qad.data.kinematics import cartesian
from qad.errors import InputError, MissingExtra
from tests.conftest import PROJECT

for extra in ("uproot", "awkward", "vector", "pyarrow", "pandas", "tables"):
    pytest.importorskip(extra)

NAMES = formats.names()
ANYTHING = ("parquet", "root")  # they hold every sample
each = pytest.mark.parametrize("name", NAMES)


def module_of(name):
    return importlib.import_module(f"tests.data.formats.test_{type(formats.get(name)).__module__.rpartition('.')[2]}")


def example(name, folder, n=60, seed=1, packed=True):
    module = module_of(name)
    path = folder / f"example{getattr(module, 'SUFFIXES', {}).get(name) or module.SUFFIX}"
    path.unlink(missing_ok=True)
    more = {} if packed else {"packed": False}
    module.write_example(path, n, seed, name, **more)
    return path


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    return {name: example(name, tmp_path_factory.mktemp(name)) for name in NAMES}


@each
def test_a_file_is_known_for_what_it_is_and_for_nothing_else(name, examples):
    path = examples[name]
    assert format_of(path).name == name
    claimed = [f for f in NAMES if path.name.endswith(formats.get(f).suffixes) and formats.get(f).recognises(path)]
    assert claimed == [name]
    for other in NAMES:
        if path.name.endswith(formats.get(other).suffixes) and other != name:
            with pytest.raises(InputError):
                read(path, format=other)


@each
def test_chunks_and_slices_are_the_whole(name, examples):
    path = examples[name]
    whole = read(path)
    assert len(whole) > 0
    for size in (7, 13, 10_000):
        chunks = list(iter_chunks(path, size))
        assert {len(c) for c in chunks[:-1]} <= {size}
        hasher = sum_of(chunks)
        assert hasher == whole.fingerprint, f"chunks of {size}"
    n = len(whole)
    for start, stop in ((0, 0), (0, 1), (n - 1, n), (3, 17), (n, n), (5, n + 100), (17, 3)):
        assert read(path, start, stop).fingerprint == whole[start:max(start, stop)].fingerprint, (start, stop)
    with formats.get(name).open(path) as events:  # forwards, backwards, twice
        for start, stop in ((20, 30), (2, 9), (2, 9), (n - 4, n), (0, n)):
            assert events.read(start, stop).fingerprint == whole[start:stop].fingerprint, (start, stop)
    assert read(path, 5).fingerprint == whole[5:].fingerprint and read(path, format=name).fingerprint == whole.fingerprint


def sum_of(chunks):
    from qad.data.sample import Fingerprint

    hasher = Fingerprint()
    for chunk in chunks:
        hasher.update(chunk)
    return hasher.hexdigest()


@each
def test_labels_and_features_are_honest(name, examples):
    s = read(examples[name])
    assert np.isin(s.label, (0, 1, -1)).all() and s.label.dtype == np.int8
    assert not [f for f in s.feature_names if f.lower().startswith(("truth", "is_signal", "label"))]
    assert len(s.feature_units) == len(s.feature_names)
    if s.particles.shape[1] and "slots" not in s.meta:
        assert (s.particles[:, 0, 0] > 0).any() and (np.abs(s.particles[..., 2]) <= np.pi + 1e-6).all()


@each
def test_it_describes_itself(name, examples):
    info = describe(examples[name])
    s = read(examples[name])
    assert info["events"] == len(s) and info["fingerprint"] == s.fingerprint and info["intact"] is None
    assert info["meta"]["format"] == formats.get(name).title and json.dumps(info["meta"])
    f = formats.get(name)
    assert f.name == name and f.title and f.reference and f.suffixes and all(x.startswith(".") for x in f.suffixes)


@each
def test_what_is_written_comes_back(name, examples, tmp_path):
    s = read(examples[name])
    path = tmp_path / examples[name].name
    formats.get(name).write(path, (s[i : i + 17] for i in range(0, len(s), 17)))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert format_of(path).name == name
    back = read(path)
    assert_alike(s, back, getattr(module_of(name), "LOST", set()))
    if name in ANYTHING:
        assert back.fingerprint == s.fingerprint


def assert_alike(a, b, lost):
    """Equal to the precision of float32; of a mass, which is a small difference of large numbers, the square."""
    assert len(a) == len(b) and a.particles.shape == b.particles.shape
    np.testing.assert_array_equal(a.present, b.present)
    np.testing.assert_allclose(b.particles[..., 0], a.particles[..., 0], rtol=1e-5)
    np.testing.assert_allclose(b.particles[..., 1], a.particles[..., 1], atol=1e-4)
    np.testing.assert_allclose(np.exp(1j * b.particles[..., 2]), np.exp(1j * a.particles[..., 2]), atol=1e-4)
    p4, q4 = (cartesian(x.particles.astype(float)) for x in (a, b))
    if "mass" not in lost:
        error = np.abs(a.particles[..., 3].astype(float) ** 2 - b.particles[..., 3].astype(float) ** 2)
        assert (error <= 1e-5 * p4[..., 3] ** 2).all()
        np.testing.assert_allclose(q4, p4, rtol=1e-3, atol=1e-3)
    assert a.feature_names == b.feature_names and a.feature_units == b.feature_units
    np.testing.assert_allclose(b.features, a.features, rtol=1e-5, atol=1e-4)
    for column in {"label", "process", "weight"} - lost:
        np.testing.assert_array_equal(getattr(b, column), getattr(a, column))
    for kind in ("extras", "particle_extras"):
        theirs, ours = getattr(a, kind), getattr(b, kind)
        assert theirs.keys() - lost == ours.keys() - lost
        for key in theirs.keys() - lost:
            np.testing.assert_allclose(ours[key].astype(float), theirs[key].astype(float), rtol=1e-4, atol=1e-3, err_msg=key)


@each
def test_what_a_sample_lacks_is_said_in_one_sentence(name, examples, tmp_path):
    path = tmp_path / examples[name].name
    more = {"extras": {"x": np.zeros(3, np.longdouble)}} if name in ANYTHING else {}
    poor = Sample(particles=np.zeros((3, 0, 4)), meta={"slots": []}, **more)
    for chunks in ([poor], []):
        with pytest.raises(InputError) as said:
            formats.get(name).write(path, chunks)
        assert "\n" not in str(said.value) and len(str(said.value)) > 20
        assert not list(tmp_path.iterdir())


@each
@pytest.mark.parametrize("stop", [KeyboardInterrupt, InputError, "disk"])
def test_an_interrupted_write_leaves_what_was_there(name, stop, examples, tmp_path, monkeypatch):
    s = read(examples[name])
    path = tmp_path / examples[name].name
    path.write_bytes(b"before")

    def chunks():
        yield s[:20]
        if stop != "disk":
            raise stop("now")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    if stop == "disk":
        monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError if stop == "disk" else stop, match="[Nn]o space left" if stop == "disk" else "now"):
        formats.get(name).write(path, chunks())
    assert [p.name for p in tmp_path.iterdir()] == [path.name] and path.read_bytes() == b"before"


@each
def test_a_folder_that_is_none(name, examples, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError):
        formats.get(name).write(tmp_path / "file" / examples[name].name, [read(examples[name])])


@pytest.mark.parametrize(("name", "package"), [("root", "uproot"), ("jetclass", "uproot"), ("nanoaod", "awkward"),
                                             ("parquet", "pyarrow.parquet")])
def test_a_package_that_is_not_installed_is_named(name, package, examples, monkeypatch, tmp_path):
    s = read(examples[name])
    monkeypatch.setitem(sys.modules, package, None)
    missing = rf"{package} is not installed.*pip install 'qad-hep\[hep\]'"
    for act in (lambda: read(examples[name]), lambda: read(examples[name], format=name)):
        with pytest.raises(MissingExtra, match=missing):
            act()
    if package != "pyarrow.parquet":
        with pytest.raises(MissingExtra, match=missing):
            formats.get(name).write(tmp_path / examples[name].name, [s])
        assert not list(tmp_path.iterdir())


# ---- memory: chunks of a file far larger than the bound ----------------------------------------------------------------------


@pytest.mark.slow
@each
def test_chunks_are_read_in_constant_memory(name, examples, tmp_path):
    """A file of up to 160 MB of events is walked through within a quarter of that, counted from the first chunk on."""
    s = read(examples[name])
    s = s[np.arange(2000) % len(s)]
    if "event" in s.extras:
        s.extras["event"][:] = np.arange(2000)
    size = sum(a.nbytes for a in (s.particles, s.features, s.label, s.weight, *s.extras.values(), *s.particle_extras.values()))
    repeats = min(max(int(160e6 / size), 10), 400)
    path = tmp_path / examples[name].name
    formats.get(name).write(path, (s for _ in range(repeats)))
    n, growth = in_a_child(walk, path, name, 2000)
    held = repeats * size
    assert n == repeats * 2000 and growth < held / 4, f"{growth / 1e6:.1f} MB for {held / 1e6:.0f} MB of events"


def walk(path, name, size):
    n, before = 0, None
    for chunk in iter_chunks(path, size, format=name):
        n += len(chunk)
        if before is None:
            before = peak()
    return n, peak() - before


def peak():
    """The most memory that this process has had, in bytes (ru_maxrss would count the process that started it)."""
    return 1024 * int(next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM")).split()[1])


def in_a_child(function, *arguments):
    """What ``function`` returns, worked out in a process of its own."""
    code = ("import json, sys; from pathlib import Path; from tests.data.formats import test_contract as t;"
            "a = json.loads(sys.argv[2]); print(json.dumps(getattr(t, sys.argv[1])(Path(a[0]), *a[1:])))")
    done = subprocess.run([sys.executable, "-c", code, function.__name__, json.dumps([str(arguments[0]), *arguments[1:]])],
                          capture_output=True, text=True, cwd=PROJECT)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


# ---- damaged files -----------------------------------------------------------------------------------------------------------

MEMORY, SECONDS = 2**30, 20  # over what the process has after an honest file
HUGE = [2**31 - 1, 2**32 - 1, 2**60, 2**63 - 1, 2**64 - 1, 0, 1, 2**16, 2**24]
FORBIDDEN = ("pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect", "os.putenv")


def damaged(rng, example, others):
    """One damaged file out of an honest one: (what was done, content)."""
    b = bytearray(example)
    n = len(b)

    def place(width):
        """Half of the time near an end, where formats keep their tables of contents."""
        span = max(n - width, 1)
        edge = min(span, 4096)
        return int(rng.choice([rng.integers(span), rng.integers(edge), span - 1 - rng.integers(edge),
                               rng.integers(min(span, 512))]))

    kind = rng.choice(["cut", "bits", "bits", "run", "huge", "huge", "float", "shift", "copy", "swap", "mix"])
    if kind == "cut":
        b = b[: int(rng.choice([rng.integers(n), n - 1 - rng.integers(min(n, 64)), rng.integers(min(n, 64))]))]
    elif kind == "bits":
        for _ in range(int(rng.choice([1, 1, 2, 5, 20]))):
            b[place(1)] ^= 1 << int(rng.integers(8))
    elif kind == "run":
        width = int(rng.choice([1, 4, 16, 64, 512, 4096]))
        at = place(width)
        content = [rng.bytes(width), bytes(width), b"\xff" * width][rng.integers(3)]
        b[at : at + width] = content[: max(n - at, 0)]
    elif kind == "huge":
        for _ in range(int(rng.choice([1, 1, 3]))):
            width = int(rng.choice([2, 4, 8]))
            at = place(width)
            value = int(HUGE[rng.integers(len(HUGE))]) % 2 ** (8 * width)
            b[at : at + width] = value.to_bytes(width, str(rng.choice(["little", "big"])))
    elif kind == "float":
        for _ in range(int(rng.choice([1, 10]))):
            dtype = str(rng.choice(["<f4", ">f4", "<f8", ">f8"]))
            at = place(8) // 4 * 4
            value = np.array(rng.choice([np.nan, np.inf, -np.inf, -1, 1e30]), dtype).tobytes()
            b[at : at + len(value)] = value
    elif kind == "shift":
        at, width = place(64), int(rng.integers(1, 64))
        b = b[:at] + (rng.bytes(width) if rng.random() < 0.5 else b"") + b[at + (width if rng.random() < 0.5 else 0) :]
    elif kind == "copy":
        width = int(rng.choice([8, 64, 512]))
        at, source = place(width), place(width)
        b[at : at + width] = b[source : source + width]
    elif kind == "swap":
        b = others[rng.integers(len(others))]
    else:
        at = int(rng.integers(n))
        b = b[:at] + others[rng.integers(len(others))][at:]
    return kind, bytes(b)


def fuzz(name, count, seed, folder, examples):
    """Read ``count`` damaged files of format ``name``: how many were read and refused; SystemExit where one went wrong."""
    rng = np.random.default_rng([seed, NAMES.index(name)])
    path = folder / f"damaged{examples[name][0][1]}"
    honest = [content for content, _ in examples[name]]
    others = [content for other in NAMES if other != name for content, _ in examples[other]]
    files = [("empty", b"")]
    if hasattr(module_of(name), "hostile"):
        files += [("hostile", content) for content in module_of(name).hostile(honest[-1])]
    executed = []
    sys.addaudithook(lambda event, args: executed.append((event, str(args)[:200])) if event.startswith(FORBIDDEN) or (
        event == "exec" and getattr(args[0], "co_filename", "") == "<dynamic>") else None)
    for content in honest:
        path.write_bytes(content)
        assert len(read(path)) == len(read(path, format=name)) > 0
    base = peak()
    address_space = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (address_space + 4 * MEMORY, resource.RLIM_INFINITY))
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", message=r"particles: (pT|phi) up to")  # a damaged number may be doubted
    became = collections.Counter()
    for k in range(count):
        kind, content = files[k] if k < len(files) else damaged(rng, honest[k % len(honest)], others)
        path.write_bytes(content)
        print(f"{k} {kind}", flush=True)
        signal.alarm(SECONDS)
        for chosen in (None, name) if k % 2 else (name,):
            try:
                s = read(path, format=chosen)
                became["read"] += chosen == name
                assert isinstance(s, Sample)
            except InputError as error:
                became["refused"] += chosen == name
                said = str(error)
                if "\n" in said or str(path) not in said or len(said) > len(str(path)) + 600:
                    raise SystemExit(f"file {k} ({kind}): the sentence is {said!r}") from None
            except BaseException as error:
                raise SystemExit(f"file {k} ({kind}): {type(error).__name__}: {str(error)[:300]}") from error
        signal.alarm(0)
        if peak() - base > MEMORY:
            raise SystemExit(f"file {k} ({kind}) took {(peak() - base) / 1e6:.0f} MB")
        if executed:
            raise SystemExit(f"file {k} ({kind}) made something run: {executed[:3]}")
    return dict(became)


def main(count, names, seed=1):
    """One process for each format, forked off one that has loaded everything."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        examples = {}
        for name in NAMES:
            variants = (True, False) if "packed" in inspect.signature(module_of(name).write_example).parameters else (True,)
            files = [example(name, folder, 20, packed=packed) for packed in variants[:1]]
            examples[name] = [(files[0].read_bytes(), files[0].suffix)]
            if len(variants) > 1:
                path = example(name, folder, 20, packed=False)
                examples[name].append((path.read_bytes(), path.suffix))
            path = files[0]
            if path.exists() and name in names:
                read(path)
        for name in names:
            begun = time.process_time(), time.monotonic()
            report = folder / f"{name}.txt"
            child = os.fork()
            if not child:
                code = 1
                try:
                    (folder / name).mkdir()
                    with open(report, "w") as out:
                        os.dup2(out.fileno(), 1)
                        os.dup2(out.fileno(), 2)
                        print(json.dumps(fuzz(name, count, seed, folder / name, examples)), flush=True)
                    code = 0
                except BaseException as error:
                    print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
                finally:
                    os._exit(code)
            _, status = os.waitpid(child, 0)
            seconds = time.monotonic() - begun[1]
            last = report.read_text().splitlines()[-3:]
            became = json.loads(last[-1]) if status == 0 else {"failed": f"status {status}; last words: {' | '.join(last)}"}
            if status:  # the last file that it read, for whoever looks into it
                became["culprit"] = str(Path(tempfile.gettempdir()) / f"culprit-{name}")
                Path(became["culprit"]).write_bytes((folder / name / f"damaged{examples[name][0][1]}").read_bytes())
            print(json.dumps({"name": name, "seconds": round(seconds, 1), **became}), flush=True)


def run(count, names=NAMES):
    done = subprocess.run([sys.executable, "-m", "tests.data.formats.test_contract", str(count), *names],
                          capture_output=True, text=True, cwd=PROJECT)
    assert done.returncode == 0, done.stderr[-2000:]
    return {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}


@pytest.fixture(scope="module")
def some_damaged():
    return run(60)


@each
def test_damaged_files_end_in_one_sentence(name, some_damaged):
    judge(some_damaged[name], 60)


@pytest.mark.slow
@each
def test_two_thousand_damaged_files_end_in_one_sentence_each(name):
    judge(run(2000, [name])[name], 2000)


def judge(found, count):
    assert "failed" not in found, found
    assert found["refused"] + found.get("read", 0) == count and found["refused"] > count // 4


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:] or NAMES, int(os.environ.get("SEED", "1")))
