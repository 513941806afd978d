import numpy as np
import pytest

from qad import pipeline, representations
from qad.data import Sample
from qad.errors import InputError

SLOTS = ["met", "e", "mu", "jet", "jet"]


def events(n=200, seed=1):
    particles = np.abs(np.random.default_rng(seed).normal(30, 10, (n, 5, 4))).astype(np.float32)
    particles[..., 1:3] /= 20  # η and φ as they are in a detector
    particles[..., 3] = 0
    return Sample(particles=particles, meta={"slots": SLOTS})


def test_every_slot_gives_three_numbers():
    sample = events()
    array = representations.get("objects").fit_transform(sample)
    np.testing.assert_array_equal(array, sample.particles[..., :3])


def test_sums_are_those_of_the_objects():
    sample = events()
    pt = sample.particles[..., 0].astype(float)
    sums = dict(zip(representations.get("object-sums").names, representations.get("object-sums").fit_transform(sample).T,
                    strict=True))
    np.testing.assert_allclose(sums["met"], pt[:, 0])
    np.testing.assert_allclose(sums["h_t"], pt[:, 3] + pt[:, 4])
    np.testing.assert_allclose(sums["s_t"], pt.sum(1))
    np.testing.assert_allclose(sums["sum_pt2"], (pt**2).sum(1))
    np.testing.assert_allclose(sums["leading"], pt.max(1))
    assert (sums["n_objects"] == 4).all()
    rotated = sample.particles.copy()
    rotated[..., 2] += 1.0
    np.testing.assert_array_equal(
        representations.get("object-sums").fit_transform(Sample(particles=rotated, meta=sample.meta)).T, list(sums.values()))
    with pytest.raises(InputError, match="takes events with objects"):
        representations.get("object-sums").fit_transform(Sample(particles=np.zeros((2, 3, 4))))


def test_what_has_no_slots_is_sent_elsewhere(qcd_toys):
    with pytest.raises(InputError, match="for jets use 'constituents'"):
        representations.get("objects").fit_transform(qcd_toys)
    with pytest.raises(InputError, match="use the representation 'objects'"):
        representations.get("event-features").fit_transform(events())
    with pytest.raises(InputError, match="met, e, mu, jet: use the representation 'objects'"):
        representations.get("substructure").fit_transform(events())


def test_a_jet_of_an_event_is_offered():
    dijets = Sample(particles=np.zeros((3, 2, 4)), extras={"j1_pt": np.ones(3)}, meta={"slots": ["j1", "j2"]})
    with pytest.raises(InputError, match="object: j1"):
        representations.get("substructure").fit_transform(dijets)


def test_a_detector_takes_such_events_as_they_are():
    model = pipeline.fit("mahalanobis", events())
    assert [type(s).__name__ for _, s in model.steps[:-1]] == ["Objects", "Flatten", "Standardise"]
    assert np.isfinite(pipeline.anomaly_score(model, events(50, 2))).all()
