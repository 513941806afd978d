import numpy as np
import pytest

from qad.data import Sample
from qad.errors import InputError
from qad.representations.constituents import Constituents, PtWeighted
from qad.representations.images import Images
from tests.conftest import toy_jets


def moved(sample, rotate=0.0, phi=0.0, boost=0.0, mirror=False):
    """The same jets rotated about their axis, turned in φ, boosted along the beam (massless), or mirrored."""
    p = sample.particles.astype(np.float64)
    axis = (p[..., 0:1] * p[..., 1:3]).sum(1, keepdims=True) / p[..., 0:1].sum(1, keepdims=True)
    d = p[..., 1:3] - axis
    d[..., 1] = (d[..., 1] + np.pi) % (2 * np.pi) - np.pi
    c, s = np.cos(rotate), np.sin(rotate)
    d = np.stack([c * d[..., 0] - s * d[..., 1], s * d[..., 0] + c * d[..., 1]], -1)
    if mirror:
        d[..., 0] *= -1
    p[..., 1:3] = np.where(p[..., :1] > 0, axis + d + [boost, phi], 0)
    p[..., 3] = 0
    return Sample(particles=p)


@pytest.mark.parametrize("change", [{"phi": 0.7}, {"boost": 0.4}, {"phi": 3.0, "boost": -0.3}])
def test_invariant_under_azimuth_and_boost(top_toys, change):
    a, b = moved(top_toys, **change), moved(top_toys)
    np.testing.assert_allclose(Constituents(10).transform(a), Constituents(10).transform(b), atol=2e-5)
    # rounding carries single particles across pixel edges: of the pT at most one part in a thousand
    assert np.abs(Images(20).transform(a) - Images(20).transform(b)).sum((1, 2)).mean() / 2 < 1e-3


@pytest.mark.parametrize("change", [{"rotate": 1.0}, {"rotate": 2.9}, {"mirror": True}])
def test_invariant_under_rotation_and_reflection(change):
    # small, central jets: the plane of rapidity and azimuth is flat there
    jets = toy_jets(200, 9, prongs=3)
    jets = moved(Sample(particles=jets.particles * [1, 0.01, 0.01, 0]))
    a, b = (Constituents(10).transform(s) for s in (moved(jets, **change), jets))
    different = np.abs(a - b).max((1, 2)) > 1e-4
    assert different.mean() < 0.02  # flips are ambiguous for a symmetric jet


def test_without_rotation_it_is_not_invariant(top_toys):
    r = Constituents(10, rotate=False)
    assert np.abs(r.transform(moved(top_toys, rotate=1.0)) - r.transform(moved(top_toys))).max() > 0.1


def test_order_padding_and_sums(qcd_toys):
    x = Constituents(64).transform(qcd_toys)
    assert x.shape == (400, 64, 3) and (x[:, 40:] == 0).all()
    assert (np.diff(x[..., 0], axis=1) <= 0).all()
    assert abs(x[..., 0].sum(1).mean() - 1) < 0.1  # scalar sum of pT over jet pT
    np.testing.assert_array_equal(PtWeighted().transform(x), x[..., 1:] * x[..., :1])


def test_images_hold_all_of_the_jet(qcd_toys):
    image = Images(40).transform(qcd_toys)
    assert image.shape == (400, 40, 40)
    np.testing.assert_allclose(image.sum((1, 2)), 1, rtol=1e-5)
    np.testing.assert_allclose(Images(40, power=0.5).transform(qcd_toys) ** 2, image, atol=1e-6)


def test_arrays_and_events_are_refused(qcd_toys):
    with pytest.raises(InputError, match="takes a Sample"):
        Constituents().transform(qcd_toys.particles)
    events = Sample(particles=qcd_toys.particles[:, :5], meta={"slots": ["lep1", "lep2", "b1", "b2", "met"]})
    with pytest.raises(InputError, match="lep1, lep2, b1, b2, met: use the representation 'objects'"):
        Constituents().transform(events)
