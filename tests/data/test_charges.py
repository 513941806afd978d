"""Charges from PDG ids, in one place for all who ask; the generator's own table is the judge in tests/simulation."""

from dataclasses import replace

import numpy as np
import pytest

from qad.data.charges import charge_of
from qad.report.display import KINDS, picture_of
from qad.report.observables import observables
from tests.conftest import toy_jets

NEUTRAL = (111, 12, 14, 16, 3212, 421, 22, 130, 310, 311, 2112, 3122, 3322, 511, 1000022)  # pi0, nu, Sigma0, D0 among them


def test_charges_keep_the_shape_of_their_ids():
    ids = np.array([[211, -211, 0], [1000020040, -1000010020, 1000024]])  # nuclei and a chargino are in no table
    assert charge_of(ids).tolist() == [[1, -1, 0], [2, -1, 1]] and charge_of(ids).dtype == np.int8
    assert charge_of(np.zeros((2, 0), int)).shape == (2, 0)
    assert charge_of(np.array([-11, 11, 2212, 3112, 411, 521, *NEUTRAL])).tolist() == [1, -1, 1, -1, 1, 1] + [0] * len(NEUTRAL)


@pytest.mark.parametrize("pdg_id", NEUTRAL)
def test_pictures_and_comparisons_agree_on_what_is_neutral(pdg_id):
    jets = toy_jets(1, 3)
    pdg = np.where(np.arange(40) == 0, 211, pdg_id)[None]
    jets = replace(jets, particle_extras={"pdg_id": pdg})
    pt = jets.particles[0, :, 0].astype(float)
    assert observables(jets)["charged share of pT"].values == pytest.approx(pt[0] / pt.sum())
    kinds = [KINDS[k] for k in picture_of(jets, 0).kind]
    assert kinds == ["charged hadron"] + ["photon" if pdg_id == 22 else "neutral hadron"] * (len(kinds) - 1)
