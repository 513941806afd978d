"""Substructure against FastJet and FastJet contrib, on real and toy jets."""

import numpy as np
import pytest

from qad.data import Sample, concatenate
from qad.data.kinematics import cartesian
from qad.errors import InputError
from qad.representations.substructure import FEATURES, Substructure
from tests.conftest import toy_jets

fastjet = pytest.importorskip("fastjet", reason="needs the extra 'simulation'")


@pytest.fixture(scope="module")
def jets(real_jets):
    return concatenate([real_jets[p][:120] for p in ("qcd", "top", "svj")])


@pytest.fixture(scope="module")
def columns(jets):
    return dict(zip(FEATURES, Substructure(tuple(FEATURES)).fit_transform(jets).T, strict=True))


@pytest.fixture(scope="module")
def clustered(jets):
    import awkward as ak
    import vector

    vector.register_awkward()
    p4 = cartesian(jets.particles.astype(np.float64))
    rows = [[dict(zip(("px", "py", "pz", "E"), p, strict=True)) for p in event[:n]]
            for event, n in zip(p4.tolist(), jets.present.sum(1), strict=True)]
    definition = fastjet.JetDefinition(fastjet.cambridge_algorithm, 1000.0)
    return fastjet.ClusterSequence(ak.Array(rows, with_name="Momentum4D"), definition)


def test_soft_drop(columns, clustered):
    groomed = clustered.exclusive_jets_softdrop_grooming(njets=1, beta=0, symmetry_cut=0.1, R0=0.8)
    np.testing.assert_allclose(columns["soft_drop_mass"], groomed.msoftdrop, rtol=1e-6, atol=1e-3)


def test_subjettiness(columns, clustered):
    tau = np.asarray(clustered.njettiness(measure_definition="NormalizedMeasure", axes_definition="KT_Axes",
                                          njets=[1, 2, 3], beta=1.0, R0=0.8))
    np.testing.assert_allclose(columns["tau21"], tau[:, 1] / tau[:, 0], rtol=1e-9)
    np.testing.assert_allclose(columns["tau32"], tau[:, 2] / tau[:, 1], rtol=1e-9)


@pytest.mark.parametrize(("name", "alpha"), [("c2", 0), ("d2", 1)])
def test_energy_correlators(columns, clustered, name, alpha):
    import awkward as ak

    theirs = clustered.exclusive_jets_energy_correlator(njets=1, beta=1, npoint=0, angles=0, alpha=alpha, func=name)
    np.testing.assert_allclose(columns[name], ak.to_numpy(ak.flatten(theirs, axis=None)), rtol=1e-9)


def test_two_point_correlator_and_primary_lund_plane(columns, jets, clustered):
    import awkward as ak

    np.testing.assert_allclose(columns["c2"] / columns["d2"], columns["e2"], rtol=1e-9)  # c2 and d2 are FastJet's
    planes = clustered.exclusive_jets_lund_declusterings(njets=1)
    for i, plane in enumerate(planes.kt):
        kt = np.sort(ak.to_numpy(ak.flatten(plane, axis=None)))[::-1]
        np.testing.assert_allclose([columns["kt1"][i], columns["kt2"][i]], kt[:2], rtol=1e-6)


def test_mass_is_the_jet_mass_of_the_clustering(jets, columns):
    whole = jets.extras["n_constituents"] <= 128  # nothing was cut away
    np.testing.assert_allclose(columns["mass"][whole], jets.extras["jet_mass"][whole], rtol=1e-3, atol=0.05)
    np.testing.assert_array_equal(columns["multiplicity"][whole], jets.extras["n_constituents"][whole])


def test_permuted_particles_change_nothing():
    jets = toy_jets(50, 3)
    x = Substructure().transform(jets)
    shuffled = Sample(particles=jets.particles[:, np.random.default_rng(0).permutation(40)], meta={"slots": ["any order"] * 40})
    count = Sample(particles=shuffled.particles, meta={"slots": [""] * 40}).present.sum(1)
    assert (count == jets.present.sum(1)).all()
    light = Substructure(("mass", "multiplicity", "width", "ptd"))
    order = np.argsort(-shuffled.particles[..., 0], axis=1)[..., None]
    back = Sample(particles=np.take_along_axis(shuffled.particles, order, 1))
    np.testing.assert_allclose(light.transform(back), x[:, :4], rtol=1e-5)


def test_few_particles_and_chosen_columns():
    one = np.zeros((3, 5, 4), np.float32)
    one[:, 0] = [600, 0.1, 0.2, 0.1]
    one[1:, 1] = [100, 0.3, 0.2, 0.1]
    one[2, 2] = [50, -0.2, 0.2, 0.1]
    x = Substructure(("tau21", "tau32", "c2", "d2", "multiplicity")).transform(Sample(particles=one))
    assert np.isfinite(x).all() and x[:, 4].tolist() == [1, 2, 3]
    assert x[0, 0] == 0 and x[1, 0] == 0  # one particle has no τ1, two have no τ2
    with pytest.raises(InputError, match="did you mean 'mass'"):
        Substructure(("masss",)).transform(Sample(particles=one))
