"""A table of one's own: what pandas and the csv module write is read, and what is wrong is said with its line."""

import csv
import re

import numpy as np
import pytest

import qad
from qad.data import Sample, describe, format_of, formats, from_csv, iter_chunks, read
from qad.data.convert import export_file, import_file
from qad.data.formats import table
from qad.errors import InputError
from tests.data.formats.test_dilepton import write_example as write_dilepton

SUFFIX = ".csv"


def write_example(path, n, seed, name="table"):
    """By the csv module, with a name that needs quotation marks."""
    rng = np.random.default_rng(seed)
    x = rng.exponential(80, (n, 3)).astype(np.float32)
    with open(path, "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["pt [GeV]", "mass [GeV]", "tau21, groomed", "label", "process", "weight", "event"])
        for k, row in enumerate(x):
            process = ["qcd", "top", "W, Z"][k % 3]
            out.writerow([*(f"{v:.9g}" for v in row), k % 3 - 1, process, f"{1 + k / 4:g}", 2**40 + 7 * k])


def hostile(example):
    head, _, body = example.partition(b"\r\n")
    row = body.partition(b"\r\n")[0]
    yield b"7" * 3_000_000
    yield b"," * 2_000_000
    yield head + b"\r\n" + b"7" * 3_000_000
    yield head + b"\n" + b"\n" * 2_000_000
    yield head + b"\n" + b",".join([b"1e400"] * 7) + b"\n"
    yield head + b"\n" + row.replace(b"top", b"t" * 400).replace(b"qcd", b"q" * 400) + b"\n"
    yield head + b"\n" + row.replace(b",qcd,", b',"qcd,') + b"\n" + row + b"\n"
    yield head + b"\n" + row.replace(b",qcd,", b",q\x00d,") + b"\n"
    yield head + b"\n" + row.replace(b",qcd,", b",\xff\xfe,") + b"\n"
    yield head + b"\n" + b"1_0" + row + b"\n"
    yield "x,y\n1,2\n".encode("utf-16")
    yield b"a\rb\rc\r1\r2"
    yield b'"a\n1,2\n'
    yield b"a" * 100_000 + b",b\n1\n"
    yield b"process\nqcd\n"
    yield ",".join(f"x{i}" for i in range(100_000)).encode() + b"\n1\n"


def text(tmp_path, content, name="x.csv"):
    (tmp_path / name).write_text(content, newline="")
    return tmp_path / name


def test_every_column_is_what_its_name_says(tmp_path):
    path = text(tmp_path, 'pt [GeV], "a, b" ,label,process,weight,event\n1.5, 2 ,0, qcd ,1,7\n3,"4",1,"W, Z",0.5,9\n'
                .replace(', "a, b" ,', ',"a, b",'))
    s = read(path)
    assert s.feature_names == ("pt", "a, b") and s.feature_units == ("GeV", "") and s.features.tolist() == [[1.5, 2], [3, 4]]
    assert s.label.tolist() == [0, 1] and s.process.tolist() == ["qcd", "W, Z"] and s.weight.tolist() == [1, 0.5]
    assert s.extras["event"].tolist() == [7, 9] and s.particles.shape == (2, 0, 4)
    assert s.meta == {"source": "table", "file": "x.csv", "slots": []}


def test_without_the_columns_nothing_is_known(tmp_path):
    s = read(text(tmp_path, "a,b\n1,2\n3,4\n"))
    assert s.label.tolist() == [-1, -1] and set(s.process) == {"unknown"} and s.weight.tolist() == [1, 1] and not s.extras


@pytest.mark.parametrize("content", [
    "a,b\n1,2\n3,4\n", "a,b\n1,2\n3,4", "a,b\r\n1,2\r\n3,4\r\n", "a,b\r\n1,2\r\n3,4", "a,b\n1,2\n3,4\n\n\n",
    "a,b\r\n1,2\r\n3,4\r\n\r\n", "\ufeffa,b\n1,2\n3,4\n", "# a,b\n1,2\n3,4\n", '"a","b"\n1,2\n3,4\n',
    " a , b \n 1 , 2 \n3,\t4\n",
])
def test_ends_of_lines_marks_and_spaces_do_not_matter(tmp_path, content):
    s = read(text(tmp_path, content))
    assert s.feature_names == ("a", "b") and s.features.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("first", ["", "index", "event"])
def test_a_first_column_without_a_name_is_the_number_of_the_event(tmp_path, first):
    s = read(text(tmp_path, f"{first},a\n5,1\n6,2\n"))
    assert s.feature_names == ("a",) and s.extras["event"].tolist() == [5, 6]


def test_what_pandas_writes(tmp_path):
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame({"pt [GeV]": rng.random(50), "n": rng.integers(0, 9, 50)})
    frame["process"] = rng.choice(["qcd", "W, Z"], 50)
    frame.to_csv(tmp_path / "x.csv")
    s = read(tmp_path / "x.csv")
    assert s.extras["event"].tolist() == list(range(50)) and s.process.tolist() == frame["process"].tolist()
    np.testing.assert_array_equal(s.features, frame[["pt [GeV]", "n"]].to_numpy(np.float32))
    frame.to_csv(tmp_path / "y.csv", index=False)
    assert "event" not in read(tmp_path / "y.csv").extras


WRONG = [
    ("a,b\n", "holds no events"),
    ("a,b", "holds no events"),
    ("\n1,2\n", "holds no events"),
    ("a,b\n\n\n", "holds no events"),
    ("1,2\n3,4\n", r"begins with numbers.*such as  x1,x2"),
    ("a;b\n1;2\n", "semicolons between the names; expected commas"),
    ("a\tb\n1\t2\n", "tabs between the names"),
    ("a,b,a\n1,2,3\n", "a name stands twice in its header, 'a'"),
    ("a [GeV],a\n1,2\n", "a name stands twice"),
    ("a,b,\n1,2,3\n", "column 3 has no name"),
    ("label,weight\n1,2\n", "expected columns of numbers that are features"),
    ("a,b\n1,2\n3\n", "line 3: 1 entries under 2 names"),
    ("a,b\n1,2,3\n1,2,3\n", "line 2: 3 entries under 2 names"),
    ("a,b\n1,2\n\n3,4\n", "line 3 is empty"),
    ("a,b\n1,2\n3,nan\n", "line 3: b = 'nan'; expected a finite number"),
    ("a,b\n1,2\n3,\n", "line 3: b = ''; expected a finite number"),
    ("a,b\n1,2\n-inf,1\n", "line 3: a = '-inf'"),
    ("a,b\n1,1e39\n", "line 2: b = '1e39'"),
    ("a,b\n1,high\n", "line 2: b = 'high'; expected a finite number. Leave such events, or this column, out"),
    ("a,b\n1,1_0\n", "line 2: b = '1_0'"),
    ("a,process\n1,qcd\n2,\n", "line 3: process = ''; expected a name"),
    ("a,process\n1," + "q" * 101 + "\n", "expected a name of at most 100 letters"),
    ("a,process\n1,\"qcd\n2,qcd\"\n", "line 2: unexpected end of data"),
    ("a,label\n1,1\n2,2\n", "line 3: label = 2; expected 0"),
    ("a,event\n1,1.5\n", "line 2: event = 1.5; expected a whole number"),
    ("a,event\n1,9007199254740992\n", "expected a whole number below"),
    ("a,weight\n1,1\n1,x\n", "line 3: weight = 'x'"),
    ("a,b\n1,\ufffd\n", "line 2: b = "),
]


@pytest.mark.parametrize(("content", "sentence"), WRONG)
def test_what_is_wrong_is_one_sentence_wherever_it_is_read(tmp_path, content, sentence):
    path = text(tmp_path, content)
    for act in (lambda: read(path), lambda: from_csv(path), lambda: import_file(None, path, tmp_path / "x.h5")):
        with pytest.raises(InputError, match=sentence) as caught:
            act()
        assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    assert not (tmp_path / "x.h5").exists()


def test_a_line_far_down_is_named_and_slices_begin_at_the_right_one(tmp_path, monkeypatch):
    for block in (2**16, 700, 1):  # many blocks, of many or few lines
        monkeypatch.setattr(table, "BLOCK", block)
        write_example(tmp_path / "x.csv", 5000, 1)
        s = read(tmp_path / "x.csv")
        for start, stop in ((0, 1), (1023, 1025), (1024, 1024), (2047, 2060), (4999, 5000), (5000, 5000)):
            assert read(tmp_path / "x.csv", start, stop).fingerprint == s[start:stop].fingerprint
        lines = (tmp_path / "x.csv").read_text().splitlines()
        lines[3001] = lines[3001].replace(",", ",x", 1)
        with pytest.raises(InputError, match="line 3002: mass = 'x"):
            read(text(tmp_path, "\n".join(lines)))


def test_a_file_of_the_published_dilepton_events_is_theirs(tmp_path):
    write_dilepton(tmp_path / "x.csv", 20, 1)
    assert format_of(tmp_path / "x.csv").name == "dilepton"
    with pytest.raises(InputError, match=r"qad data import dilepton x\.csv"):
        read(tmp_path / "x.csv", format="table")
    s = read(tmp_path / "x.csv")
    export_file(tmp_path / "x.csv", "table", tmp_path / "y.csv")
    assert format_of(tmp_path / "y.csv").name == "table"
    assert read(tmp_path / "y.csv").fingerprint == s.fingerprint


def test_every_bit_of_what_it_holds_comes_back(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2**32, (3000, 2), dtype=np.uint32).view(np.float32)
    x[~np.isfinite(x)] = np.finfo(np.float32).tiny
    s = Sample(particles=np.zeros((3000, 0, 4)), features=x, feature_names=("m_jj", "τ, \"21\""), feature_units=("GeV", ""),
               label=rng.integers(-1, 2, 3000), process=rng.choice(["qcd", "W, Z", "tt̄ H"], 3000),
               weight=rng.normal(size=3000), extras={"event": rng.integers(0, 2**53, 3000)}, meta={"slots": []})
    formats.get("table").write(tmp_path / "x.csv", (s[i : i + 700] for i in range(0, 3000, 700)))
    assert read(tmp_path / "x.csv").fingerprint == s.fingerprint
    assert from_csv(tmp_path / "x.csv").fingerprint == s.fingerprint


@pytest.mark.parametrize(("change", "sentence"), [
    ({"feature_names": ("label", "b")}, "names and units of features"),
    ({"feature_names": ("a", "a")}, "names and units of features"),
    ({"feature_names": ("a[0]", "b")}, "names and units of features"),
    ({"feature_names": ("", "b")}, "names and units of features"),
    ({"feature_names": ("a\nc", "b")}, "names and units of features"),
    ({"process": " qcd"}, "names of processes"),
    ({"process": 'q"d'}, "names of processes"),
    ({"process": "q\nd"}, "names of processes"),
    ({"process": "q" * 101}, "names of processes"),
    ({"extras": {"event": np.array([0.5, 1])}}, "a whole number"),
    ({"extras": {"event": np.array([2**60, 1])}}, "a whole number"),
])
def test_what_a_table_cannot_hold_is_refused(tmp_path, change, sentence):
    whole = {"particles": np.zeros((2, 0, 4)), "features": np.ones((2, 2)), "feature_names": ("a", "b"), "meta": {"slots": []}}
    with pytest.raises(InputError, match=sentence):
        formats.get("table").write(tmp_path / "x.csv", [Sample(**{**whole, **change})])
    with pytest.raises(InputError, match="the same features in all"):
        formats.get("table").write(tmp_path / "x.csv", [Sample(**whole), Sample(**{**whole, "feature_names": ("a", "c")})])
    assert not list(tmp_path.iterdir())


def test_what_has_no_place_is_told(tmp_path, qcd_toys):
    s = qcd_toys[:20]
    with_features = Sample(particles=s.particles, features=np.ones((20, 1)), feature_names=("a",), extras={"m_jj": np.ones(20)})
    with_features.save(tmp_path / "x.h5")
    done = export_file(tmp_path / "x.h5", "table", tmp_path / "x.csv")
    assert {*done.lost} == {"particles", "m_jj"}
    assert re.match("a,label,process,weight\n1,-1,unknown,1\n", (tmp_path / "x.csv").read_text())


def test_wherever_a_sample_is_read(tmp_path):
    """Fitted, scored, described, imported: a table as it is."""
    from qad import pipeline

    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2)).astype(np.float32)
    np.savetxt(tmp_path / "x.csv", x, delimiter=",", fmt="%.9g", header="m [GeV],tau21")
    path = tmp_path / "x.csv"
    info = describe(path)
    assert info["events"] == 300 and info["features"] == {"m": "GeV", "tau21": ""} and info["intact"] is None
    assert qad.data.concatenate(list(iter_chunks(path, 70))).fingerprint == read(path).fingerprint
    done = import_file(None, path, tmp_path / "x.h5", process="data", label=0)
    ours = read(tmp_path / "x.h5")
    assert done.format == "table" and set(ours.label) == {0} and set(ours.process) == {"data"}
    np.testing.assert_array_equal(ours.features, x)
    model = pipeline.fit("mahalanobis", read(path))
    qad.save(model, tmp_path / "model")
    pipeline.score(tmp_path / "model", path, tmp_path / "scores.csv")
    scores = np.genfromtxt(tmp_path / "scores.csv", delimiter=",", names=True)["score"]
    np.testing.assert_allclose(scores, pipeline.anomaly_score(model, read(path)), rtol=1e-4)
    assert read(tmp_path / "scores.csv").feature_names == ("score",), "and its own scores are a table"
