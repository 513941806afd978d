"""Events of one's own: numbers arrive under their names and units, and what is wrong is said in one sentence."""

import numpy as np
import pytest

import qad
from qad.data import from_columns, from_csv, from_momenta
from qad.data.kinematics import cartesian
from qad.errors import InputError


def test_columns_are_features_but_for_those_that_say_something_else():
    s = from_columns({"m [GeV]": [1, 2, 3], "tau21": [0.1, 0.2, 0.3], "label": [0, 1, -1], "weight": [1, 2, 3],
                      "event": [7, 8, 9]}, units={"tau21": "1"}, process="mine", meta={"cut": "none"})
    assert s.feature_names == ("m", "tau21") and s.feature_units == ("GeV", "1")
    assert s.feature("m").tolist() == [1, 2, 3] and s.label.tolist() == [0, 1, -1] and s.weight.tolist() == [1, 2, 3]
    assert s.extras["event"].tolist() == [7, 8, 9] and set(s.process) == {"mine"}
    assert s.meta == {"cut": "none", "slots": []}


def test_a_data_frame_is_a_mapping():
    pandas = pytest.importorskip("pandas")
    s = from_columns(pandas.DataFrame({"m": [1.0, 2.0], "process": ["a", "b"]}))
    assert s.features.tolist() == [[1], [2]] and s.process.tolist() == ["a", "b"]


def test_a_csv_comes_back_and_can_be_fitted(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2)).astype(np.float32)
    lines = [",m [GeV],tau21,process", *(f"{i},{a:.9g},{b:.9g},qcd" for i, (a, b) in enumerate(x))]
    (tmp_path / "x.csv").write_text("\n".join(lines) + "\n")
    s = from_csv(tmp_path / "x.csv", label=np.zeros(60))
    np.testing.assert_array_equal(s.features, x)
    assert s.feature_units == ("GeV", "") and s.extras["event"].tolist() == list(range(60)) and s.process[0] == "qcd"
    s.save(tmp_path / "x.h5")
    assert qad.read(tmp_path / "x.h5").fingerprint == s.fingerprint
    from qad import pipeline

    model = pipeline.fit("mahalanobis", s)
    assert pipeline.anomaly_score(model, s).shape == (60,)


@pytest.mark.parametrize(("text", "sentence"), [
    ("", "holds no events"),
    ("a,b\n", "holds no events"),
    ("a,b\n1,2\n3\n", "line 3: 1 entries under 2 names"),
    ("a,b\n1,2\n3,nan\n", "line 3: b = 'nan'; expected a finite number"),
    ("a,b\n1,x\n", "line 2: b = 'x'"),
    ("a,a\n1,2\n", "stands twice"),
    ("1,2\n3,4\n", "begins with numbers"),
    ("label,weight\n1,2\n", "expected columns of numbers"),
])
def test_a_wrong_csv_is_one_sentence(tmp_path, text, sentence):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(InputError, match=sentence) as caught:
        from_csv(tmp_path / "x.csv")
    assert "\n" not in str(caught.value)


def test_a_csv_that_is_none(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00")
    for name in ("x.csv", "y.csv"):
        with pytest.raises(InputError, match="cannot be read"):
            from_csv(tmp_path / name)


@pytest.mark.parametrize(("columns", "more", "sentence"), [
    ({"a": [1, 2], "b": [1]}, {}, "same length; got a \\(2,\\), b \\(1,\\)"),
    ({"a": ["x", "y"]}, {}, "column 'a': expected numbers, got \\['x', 'y'\\]"),
    ({"a": [1], "a [GeV]": [2]}, {}, "two columns are called 'a'"),
    ({"a": [1], "label": [1]}, {"label": [0]}, "label is a column"),
    ({"a": [1]}, {"units": {"b": "GeV"}}, "units of 'b'"),
    ({"a": [np.nan]}, {}, "1 of 1 events contain NaN"),
])
def test_wrong_columns_are_one_sentence(columns, more, sentence):
    with pytest.raises(InputError, match=sentence):
        from_columns(columns, **more)


@pytest.mark.parametrize("columns", [("pt", "eta", "phi", "mass"), ("pt", "eta", "phi"), ("E", "px", "py", "pz"),
                                     ("px", "py", "pz", "E")])
def test_momenta_in_any_order_and_any_coordinates_are_the_same_jets(qcd_toys, columns):
    there = qcd_toys.particles.astype(np.float64)
    if len(columns) == 3:
        there[..., 3] = 0
    named = dict(zip(("px", "py", "pz", "E"), np.moveaxis(cartesian(there), -1, 0), strict=True))
    named |= dict(zip(("pt", "eta", "phi", "mass"), np.moveaxis(there, -1, 0), strict=True))
    given = np.stack([named[c] for c in columns], -1)
    shuffled = given[:, ::-1]
    s = from_momenta(shuffled, columns, process="qcd")
    assert set(s.process) == {"qcd"}
    np.testing.assert_allclose(cartesian(s.particles.astype(np.float64)), cartesian(there), rtol=1e-4, atol=1e-4)
    assert (s.particles[..., 0] > 0).sum() == (there[..., 0] > 0).sum()


def test_momenta_that_are_none():
    with pytest.raises(InputError, match="columns=\\['pt', 'phi', 'eta'\\]: expected one of"):
        from_momenta(np.zeros((2, 3, 3)), ("pt", "phi", "eta"))
    with pytest.raises(InputError, match="expected momenta of shape \\(jets, constituents, 4\\)"):
        from_momenta(np.zeros((2, 3, 3)))
    for wrong, sentence in ((np.nan, "contain NaN"), (-1.0, "negative pT")):
        with pytest.raises(InputError, match=sentence):
            from_momenta(np.full((2, 3, 4), wrong))
