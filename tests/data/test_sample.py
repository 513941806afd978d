import numpy as np
import pytest

from qad.data import Sample, concatenate
from qad.errors import InputError
from tests.conftest import toy_jets


def test_defaults_are_made(qcd_toys):
    s = Sample(particles=qcd_toys.particles)
    assert s.features.shape == (len(s), 0) and (s.label == -1).all() and (s.weight == 1).all()
    assert set(s.process) == {"unknown"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda p: p[:, 0], "expected shape"),
        (lambda p: np.where(np.arange(len(p))[:, None, None] == 3, np.nan, p), "1 of 400 events contain NaN"),
        (lambda p: p * [-1, 1, 1, 1], "negative pT"),
        (lambda p: p[:, ::-1], "not sorted by descending pT"),
        (lambda p: p + np.array([0, 0, 0, 0.1]), "mass but no pT"),
        (lambda p: np.where(np.arange(len(p))[:, None, None] == 0, np.inf, p), "infinity"),
    ],
)
def test_bad_particles_are_one_sentence(qcd_toys, change, sentence):
    with pytest.raises(InputError, match=sentence):
        Sample(particles=change(qcd_toys.particles))


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"label": [0, 1]}, "expected 400 entries"),
        ({"label": np.full(400, 7)}, "expected 0"),
        ({"label": np.full(400, 256)}, "expected 0"),
        ({"label": np.full(400, 0.7)}, "expected 0"),
        ({"features": np.ones((400, 2)), "feature_names": ("a",)}, "a column for each"),
        ({"extras": {"event": np.arange(3)}}, "expected 400 entries"),
        ({"particle_extras": {"pdg_id": np.ones((400, 2))}}, "expected shape"),
    ],
)
def test_bad_columns_are_one_sentence(qcd_toys, columns, sentence):
    with pytest.raises(InputError, match=sentence):
        Sample(particles=qcd_toys.particles, **columns)


def test_fingerprint_is_of_the_events_alone(qcd_toys):
    s = qcd_toys
    same = Sample(particles=s.particles.copy(), label=s.label, process=s.process, extras=s.extras, meta={"other": "provenance"})
    assert same.fingerprint == s.fingerprint
    moved = s.particles.copy()
    moved[7, 0, 1] = np.nextafter(moved[7, 0, 1], 1)
    assert Sample(particles=moved, label=s.label, process=s.process, extras=s.extras).fingerprint != s.fingerprint
    assert s[::-1].fingerprint != s.fingerprint
    assert Sample(particles=s.particles, label=s.label, process="top", extras=s.extras).fingerprint != s.fingerprint


def test_indexing_and_concatenation_are_inverse(qcd_toys):
    s = qcd_toys
    assert concatenate([s[:100], s[100:]]).fingerprint == s.fingerprint
    assert len(s[5]) == 1 and len(s[-1]) == 1
    assert s[s.label == 0].fingerprint == s.fingerprint


def test_concatenation_pads_and_refuses_other_columns(qcd_toys):
    short = toy_jets(3, 5, particles=10)
    both = concatenate([qcd_toys, short])
    assert both.particles.shape[1] == 40 and (both.particles[-1, 10:] == 0).all()
    with pytest.raises(InputError, match="different columns"):
        concatenate([qcd_toys, Sample(particles=short.particles)])


def test_samples_with_the_same_slots_keep_them_together():
    def dijet(process):
        particles = np.zeros((3, 2, 4), dtype=np.float32)
        particles[:, :, 0] = [100, 200]  # ascending, as slots may be
        return Sample(particles=particles, process=process, meta={"slots": ["j1", "j2"], "process": process})

    both = concatenate([dijet("a"), dijet("b")])
    assert both.meta["slots"] == ["j1", "j2"] and [part["process"] for part in both.meta["parts"]] == ["a", "b"]


@pytest.mark.parametrize("slots", [None, 5, [1, 2], ["j1", ["x"]], ["j1"]])
def test_slots_name_every_particle_column(slots):
    with pytest.raises(InputError, match="name of an object for each of 2"):
        Sample(particles=np.zeros((3, 2, 4)), meta={"slots": slots})


def test_other_units_are_other_columns():
    def mass(unit):
        return Sample(particles=np.zeros((3, 0, 4)), features=np.ones((3, 1)), feature_names=("m",), feature_units=(unit,))

    with pytest.raises(InputError, match="units"):
        concatenate([mass("GeV"), mass("TeV")])
