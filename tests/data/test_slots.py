"""One object of an event as a sample of jets."""

import numpy as np
import pytest

from qad.data import Sample, concatenate
from qad.data.slots import object_of, slot_names, slot_of
from qad.errors import InputError
from qad.representations.substructure import Substructure
from tests.conftest import toy_jets


@pytest.fixture(scope="module")
def pairs():
    """Dijets put together from two sets of toy jets, so that what must come out is known."""
    first, second = toy_jets(60, 1), toy_jets(60, 2, prongs=2, particles=30)
    padded = concatenate([second, toy_jets(1, 3)])[:60]  # 40 columns, as the first
    numbers = np.arange(60 * 80).reshape(60, 80)
    extras = {f"{j}_{q}": np.full(60, i * 10 + k, np.float32)
              for i, j in enumerate(("j1", "j2"), 1) for k, q in enumerate(("pt", "eta", "phi", "mass", "tau1"))}
    sample = Sample(particles=np.concatenate([first.particles, padded.particles], 1), features=np.zeros((60, 1)),
                    feature_names=("m_light",), label=np.arange(60) % 2, process="pairs", weight=np.arange(60),
                    particle_extras={"pdg_id": numbers}, extras=extras | {"m_jj": np.arange(60.0), "event": np.arange(60)},
                    meta={"slots": ["j1"] * 40 + ["j2"] * 40, "seed": 7})
    return sample, first, padded


def test_each_slot_is_the_jets_it_was_made_of(pairs):
    sample, *jets = pairs
    assert slot_names(sample) == ("j1", "j2") and slot_of(sample, "j2").tolist() == [False] * 40 + [True] * 40
    for number, (name, made_of) in enumerate(zip(("j1", "j2"), jets, strict=True)):
        one = object_of(sample, name)
        assert (one.particles == made_of.particles).all() and (one.label == sample.label).all()
        assert (one.weight == sample.weight).all() and (one.process == "pairs").all()
        assert (one.particle_extras["pdg_id"] == sample.particle_extras["pdg_id"][:, 40 * number : 40 * number + 40]).all()
        assert set(one.extras) == {"jet_pt", "jet_eta", "jet_phi", "jet_mass", "m_jj", "event"}
        assert set(one.extras["jet_mass"]) == {10 * (number + 1) + 3}
        assert one.meta == {"seed": 7, "object": name} and one.feature_names == ()


def test_jet_representations_take_it(pairs):
    sample, _, second = pairs
    with pytest.raises(InputError, match="takes jets"):
        Substructure(("mass",)).transform(sample)
    np.testing.assert_array_equal(Substructure(("mass", "tau21")).transform(object_of(sample, "j2")),
                                  Substructure(("mass", "tau21")).transform(second))


def test_unsorted_slots_are_sorted_with_their_columns(pairs):
    sample, first, _ = pairs
    back = sample.particles[:, ::-1]
    turned = Sample(particles=back, particle_extras={"pdg_id": sample.particle_extras["pdg_id"][:, ::-1]},
                    meta={"slots": ["j2"] * 40 + ["j1"] * 40})
    one = object_of(turned, "j1")
    np.testing.assert_array_equal(one.particles, first.particles)
    present = one.present
    np.testing.assert_array_equal(one.particle_extras["pdg_id"][present], sample.particle_extras["pdg_id"][:, :40][present])


def test_a_wrong_name_is_one_sentence(pairs):
    sample, first, _ = pairs
    with pytest.raises(InputError, match="did you mean 'j1'"):
        object_of(sample, "j11")
    with pytest.raises(InputError, match="no slots"):
        object_of(first, "j1")
