import numpy as np
import pytest

from qad import detector
from qad.errors import InputError
from qad.representations.ablate import COLUMNS, Ablate
from qad.representations.constituents import Constituents, PtWeighted


@pytest.fixture(scope="module")
def jets(qcd_toys):
    few = qcd_toys.particles.copy()
    few[:50, 4:] = 0  # some jets have fewer particles than qubits
    return Constituents(8, rotate=False).transform(type(qcd_toys)(particles=few))


@pytest.mark.parametrize("without", COLUMNS)
def test_one_column_says_nothing_and_the_others_stay(jets, without):
    column, out = COLUMNS.index(without), Ablate(without).transform(jets)
    others = [i for i in range(3) if i != column]
    np.testing.assert_array_equal(out[..., others], jets[..., others])
    present = jets[..., 0] > 0
    assert 0 < present.mean() < 1
    np.testing.assert_array_equal(out[..., column], present * (without == "pt"))
    assert (out[~present] == 0).all()


def test_what_the_encoding_is_given(jets):
    """Without pT the angles are f·Δη and f·Δφ themselves; without η one rotation of each qubit is the identity."""
    np.testing.assert_array_equal(PtWeighted().transform(Ablate("pt").transform(jets)), jets[..., 1:])
    weighted = PtWeighted().transform(Ablate("eta").transform(jets))
    assert (weighted[..., 0] == 0).all()
    np.testing.assert_array_equal(weighted[..., 1], PtWeighted().transform(jets)[..., 1])


def test_scores_no_longer_depend_on_what_is_left_out(jets):
    shifted = jets.copy()
    shifted[..., 1] += 0.1 * (jets[..., 0] > 0)
    fitted = detector.get("quantum-untrained", latent=2).fit(Ablate("eta").transform(jets))
    a, b = (fitted.anomaly_score(Ablate("eta").transform(x)) for x in (jets, shifted))
    np.testing.assert_array_equal(a, b)
    full = detector.get("quantum-untrained", latent=2).fit(jets)
    assert np.abs(full.anomaly_score(jets) - full.anomaly_score(shifted)).max() > 1e-3


def test_nothing_left_out_is_the_identity_and_mistakes_are_one_sentence(jets):
    np.testing.assert_array_equal(Ablate().transform(jets), jets)
    with pytest.raises(InputError, match="did you mean 'eta'"):
        Ablate("etta").transform(jets)
    with pytest.raises(InputError, match="takes constituents"):
        Ablate("pt").transform(jets[..., :2])
