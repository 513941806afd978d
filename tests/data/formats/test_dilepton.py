import json
import subprocess
import sys

import numpy as np
import pytest

import qad
from qad.data import describe, iter_chunks, read
from qad.data.formats import dilepton
from qad.errors import InputError
from tests.conftest import PROJECT

HEADER = ",lep1pt,lep2pt,theta_ll,b1pt,b2pt,theta_bb,MET,dR_l1,dR_l2"
LINES = ["1,102.528,96.6494,1.85933,274.571,92.7559,1.69999,333.65,0.548711,3.00676",
         "4,490.443,36.4881,2.75602,98.0446,59.8014,2.26747,583.204,0.539577,0.909465",
         "7,1043.21,64.5,0.1,310.5,45.25,3.125,12.5,0.7,0.9"]
PUBLISHED = PROJECT.parent / "shared" / "data"
SUFFIX = ".csv"
LOST = {"label", "process", "weight"}  # what the format cannot hold


def write_example(path, n, seed, name="dilepton"):
    rng = np.random.default_rng(seed)
    columns = [3 * np.arange(n) + 1, *rng.uniform(30, 500, (2, n)), rng.uniform(0, 3.1, n),
               *rng.uniform(30, 500, (2, n)), rng.uniform(0, 3.1, n), *rng.uniform(0.4, 300, (3, n))]
    lines = [",".join(f"{x:g}" for x in row) for row in zip(*columns, strict=True)]
    path.write_bytes(table(HEADER, *lines).encode())


def hostile(example):
    yield example[:100] + b"7" * 3_000_000 + example[100:]
    yield b"," * 2_000_000
    yield HEADER.encode() + b"\n" + b"\n" * 2_000_000
    yield HEADER.encode() + b"\n" + b",".join([b"1e400"] * 10) + b"\n"
    yield HEADER.encode() + b"\n" + b"9" * 400 + b"," + b",".join([b"1"] * 9) + b"\n"
    yield HEADER.encode() + b"\n\xff\xfe,1,1,1,1,1,1,1,1,1\n"


def table(*lines, end="\r\n"):
    return end.join(lines) + end


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "events.csv"
    path.write_text(table(HEADER, *LINES))
    return path


def test_every_number_arrives_with_its_name_and_unit(file):
    s = read(file)
    assert len(s) == 3 and s.particles.shape == (3, 0, 4)
    assert dict(zip(s.feature_names, s.feature_units, strict=True)) == {
        "lep1pt": "GeV", "lep2pt": "GeV", "theta_ll": "rad", "b1pt": "GeV", "b2pt": "GeV", "theta_bb": "rad", "met": "GeV",
        "dr_l1": "", "dr_l2": ""}
    for i, line in enumerate(LINES):
        np.testing.assert_allclose(s.features[i], [float(x) for x in line.split(",")[1:]], rtol=1e-6)
    assert s.extras["event"].tolist() == [1, 4, 7]
    assert (s.label == -1).all() and (s.process == "unknown").all() and "2112.04958" in s.meta["source"]


def test_names_are_those_of_simulated_events(file):
    from qad.simulation.events import FEATURES, UNITS

    s = read(file)
    units = dict(zip(s.feature_names, s.feature_units, strict=True))
    assert {name: units[name] for name in FEATURES} == dict(zip(FEATURES, UNITS, strict=True))


def test_the_caller_says_what_the_events_are(file):
    s = dilepton.read(file, process="heavy_higgs", label=1)
    assert (s.label == 1).all() and (s.process == "heavy_higgs").all()


def test_columns_go_by_name_and_two_may_be_missing(tmp_path, file):
    order = [7, 6, 5, 4, 3, 2, 1]
    path = tmp_path / "other.csv"
    path.write_text(table(*(",".join(line.split(",")[i] for i in order) for line in (HEADER, *LINES)), end="\n"))
    s, reference = read(path), read(file)
    for name in s.feature_names:
        np.testing.assert_array_equal(s.feature(name), reference.feature(name))
    assert "dr_l1" not in s.feature_names and s.extras["event"].tolist() == [0, 1, 2]


def test_parts_chunks_and_a_file_of_ours_hold_the_same_events(tmp_path, file):
    s = read(file)
    assert read(file, 1, 3).fingerprint == s[1:3].fingerprint
    assert qad.data.concatenate(list(iter_chunks(file, 2))).fingerprint == s.fingerprint
    s.save(tmp_path / "events.h5")
    assert read(tmp_path / "events.h5").fingerprint == s.fingerprint


def test_info(file):
    info = describe(file)
    assert info["events"] == 3 and info["features"]["met"] == "GeV" and info["fingerprint"] == read(file).fingerprint
    assert info["intact"] is None, "there is no fingerprint in the file that could hold"
    done = subprocess.run([sys.executable, "-m", "qad", "data", "info", str(file)], capture_output=True, text=True)
    assert done.returncode == 0 and "met [GeV]" in done.stdout and "carries none" in done.stdout, done.stderr
    done = subprocess.run([sys.executable, "-m", "qad", "data", "info", str(file), "--json"], capture_output=True, text=True)
    assert json.loads(done.stdout)["intact"] is None


def lines(*changed):
    return table(HEADER, *changed, *LINES[len(changed):])


@pytest.mark.parametrize(("content", "sentence"), [
    ("", "is empty"),
    (table(HEADER), "holds no events"),
    (lines(LINES[0] + ",5"), "damaged"),
    (lines(LINES[0].rpartition(",")[0]), "damaged"),
    (lines(LINES[0].replace("96.6494", "os.system('x')")), "damaged"),
    (lines(LINES[0].replace("96.6494", "")), "damaged"),
    (lines(LINES[0].replace("96.6494", "nan")), "line 2: lep2pt = nan"),
    (lines(LINES[0].replace("96.6494", "inf")), "line 2: lep2pt = inf"),
    (lines(LINES[0], LINES[1].replace("36.4881", "-36.4881")), "line 3: lep2pt = -36.4881"),
    (lines(LINES[0].replace("1.85933", "4.85933")), "theta_ll = 4.85933; expected an angle"),
    (lines("1.5" + LINES[0][1:]), "whole number"),
    (lines(LINES[0], LINES[0]), "whole number of its own"),
    (table(HEADER, *LINES)[:-20], "ends in the middle of a line"),
])
def test_a_wrong_or_damaged_file_is_one_sentence(tmp_path, content, sentence):
    path = tmp_path / "events.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=sentence) as caught:
        read(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize(("content", "other"), [
    (table("a,b,c", "1,2,3"), "a"),
    (table(HEADER + ",mass", *(x + ",1" for x in LINES)), "mass"),
    (table(HEADER.replace("b2pt", "b2 [GeV]"), *LINES), "b2"),
    (table(HEADER.replace("b2pt", "b1pt"), *LINES), "a name stands twice"),
    (table(*LINES), "begins with numbers"),
])
def test_another_header_is_a_table_of_ones_own(tmp_path, content, other):
    path = tmp_path / "events.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=r"expected the header.*; got .*of the format 'table'"):
        read(path, format="dilepton")
    if " " in other:
        with pytest.raises(InputError, match=other):
            read(path)
    else:
        assert other in read(path).feature_names


def test_bytes_that_are_no_text_and_files_that_are_not_there(tmp_path):
    for content in (b"\x80\x04\x95cos\nsystem\n", b"\x89HDF\r\n\x1a\n" + bytes(100), b"\xff" * 10_000):
        (tmp_path / "events.csv").write_bytes(content)
        with pytest.raises(InputError, match=r"is no table of text|expected the header"):
            read(tmp_path / "events.csv", format="dilepton")
        with pytest.raises(InputError, match=r"cannot be read as a table of text"):
            read(tmp_path / "events.csv")
    with pytest.raises(InputError, match="does not exist"):
        read(tmp_path / "other.csv")
    with pytest.raises(InputError, match="is a folder"):
        (tmp_path / "folder.csv").mkdir()
        read(tmp_path / "folder.csv")


@pytest.mark.parametrize(("name", "events"), [("ttbar_background.csv", 40_000), ("heavy_higgs_2500.csv", 5_000)])
def test_the_published_events(name, events):
    path = PUBLISHED / name
    if not path.is_file():
        pytest.skip(f"the published events are not here: {path} is absent")
    s = read(path)
    assert len(s) == events and (s.feature("lep1pt") >= s.feature("lep2pt")).all()
    assert s.feature("lep1pt").min() >= 30, "selected with pT > 30 GeV"
    table = np.loadtxt(path, delimiter=",", skiprows=1, max_rows=100)
    np.testing.assert_allclose(s.features[:100], table[:, 1:], rtol=1e-6)


def test_a_file_of_ours_is_one_of_theirs(tmp_path, file):
    """Line by line the numbers of the example, and pandas reads it as it reads theirs (index in the first column)."""
    pandas = pytest.importorskip("pandas")
    s = read(file)
    qad.data.formats.get("dilepton").write(tmp_path / "again.csv", [s[:1], s[1:]])
    theirs, ours = pandas.read_csv(file, index_col=0), pandas.read_csv(tmp_path / "again.csv", index_col=0)
    assert list(theirs.columns) == list(ours.columns) and list(theirs.index) == list(ours.index)
    np.testing.assert_allclose(ours.values, theirs.values, rtol=1e-6)
    assert read(tmp_path / "again.csv").fingerprint == s.fingerprint


def test_slices_begin_at_the_right_line(tmp_path):
    """The index keeps every 1024th line: slices on and around its borders."""
    write_example(tmp_path / "x.csv", 5000, 1)
    s = read(tmp_path / "x.csv")
    for start, stop in ((0, 1), (1023, 1025), (1024, 1024), (2047, 4097), (4999, 5000), (5000, 5000)):
        assert read(tmp_path / "x.csv", start, stop).fingerprint == s[start:stop].fingerprint
    with pytest.raises(InputError, match="line 3002: MET = -1"):
        lines = (tmp_path / "x.csv").read_text().splitlines()
        lines[3001] = ",".join([*lines[3001].split(",")[:7], "-1", *lines[3001].split(",")[8:]])
        (tmp_path / "x.csv").write_text("\n".join(lines) + "\n")
        read(tmp_path / "x.csv", 3000)
