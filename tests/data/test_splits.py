import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qad.data import split
from qad.data.splits import split_indices
from qad.errors import InputError


@given(st.integers(2, 200), st.integers(0, 100), st.integers(0, 2**31), st.integers(1, 3))
def test_parts_are_disjoint_exact_and_keep_collisions_together(n, train, seed, jets_per_event):
    groups = np.arange(n) // jets_per_event
    train = min(train, n // 2)
    test = max(n - train - jets_per_event, 0)
    parts = split_indices(n, {"train": train, "test": test}, seed, groups)
    assert len(parts["train"]) == train and len(parts["test"]) == test
    assert not set(parts["train"]) & set(parts["test"])
    assert not set(groups[parts["train"]]) & set(groups[parts["test"]])


def test_same_seed_same_split_other_seed_other_split(qcd_toys):
    a, b, c = (split(qcd_toys, {"train": 100, "test": 0.25}, seed) for seed in (1, 1, 2))
    assert a["train"].fingerprint == b["train"].fingerprint != c["train"].fingerprint
    assert len(a["test"]) == 100


def test_too_much_is_one_sentence(qcd_toys):
    with pytest.raises(InputError, match="together at most 400"):
        split(qcd_toys, {"train": 300, "test": 200})
