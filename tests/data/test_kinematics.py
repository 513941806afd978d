import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qad.data.kinematics import cartesian, delta_r, eta_phi, invariant_mass, opening_angle, rapidity, wrap

vector = pytest.importorskip("vector")


@pytest.fixture
def particles():
    rng = np.random.default_rng(0)
    pt, eta, phi = rng.exponential(50, 500) + 1, rng.normal(0, 2, 500), rng.uniform(-np.pi, np.pi, 500)
    return np.stack([pt, eta, phi, rng.exponential(2, 500)], -1)


def test_against_vector(particles):
    p4 = cartesian(particles)
    v = vector.array({"pt": particles[:, 0], "eta": particles[:, 1], "phi": particles[:, 2], "mass": particles[:, 3]})
    np.testing.assert_allclose(p4, np.stack([v.px, v.py, v.pz, v.E], -1), rtol=1e-12)
    np.testing.assert_allclose(rapidity(p4), v.rapidity, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(eta_phi(p4)[0], v.eta, rtol=1e-9)
    np.testing.assert_allclose(delta_r(p4[:250], p4[250:]), v[:250].deltaR(v[250:]), rtol=1e-9)
    np.testing.assert_allclose(opening_angle(p4[:250], p4[250:]), v[:250].deltaangle(v[250:]), rtol=1e-6)
    # E² - p² loses digits where p ≫ m
    np.testing.assert_allclose(invariant_mass(p4) ** 2, v.mass**2, atol=1e-12 * (p4[:, 3] ** 2).max())


@given(st.floats(-100, 100))
def test_wrap(phi):
    w = wrap(np.array(phi))
    assert -np.pi <= w <= np.pi
    assert np.isclose(np.cos(w), np.cos(phi), atol=1e-9) and np.isclose(np.sin(w), np.sin(phi), atol=1e-9)


def test_boosting_along_the_beam_shifts_rapidity(particles):
    p4 = cartesian(particles)
    b = 0.6
    gamma = 1 / np.sqrt(1 - b * b)
    boosted = p4.copy()
    boosted[:, 3], boosted[:, 2] = gamma * (p4[:, 3] + b * p4[:, 2]), gamma * (p4[:, 2] + b * p4[:, 3])
    np.testing.assert_allclose(rapidity(boosted) - rapidity(p4), np.arctanh(b), rtol=1e-6)
