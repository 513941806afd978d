import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qad.data import Sample, read, split
from qad.data.splits import inject, injected, split_indices
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


def rows(sample):
    """Every event as bytes, to find it again."""
    return [p.tobytes() for p in sample.particles]


@pytest.mark.parametrize("amount, expected", [({"number": 40}, 40), ({"s_over_b": 0.1}, 40), ({"fraction": 0.2}, 100),
                                              ({"number": 0}, 0), ({"s_over_b": 0.006}, 2)])
def test_a_mixture_holds_what_was_asked_and_says_so(qcd_toys, top_toys, amount, expected):
    mixed = inject(qcd_toys, top_toys, seed=3, **amount)
    told = injected(mixed)
    assert (told.number, told.background, told.process) == (expected, 400, ("top",))
    assert told.s_over_b == expected / 400 and told.share == expected / (400 + expected)
    assert mixed.meta["injected"]["number"] == expected == (mixed.label == 1).sum()
    # label and process stay true, no background is lost, no signal is drawn twice
    signal = mixed.label == 1
    assert set(mixed.process[signal]) <= {"top"} and set(mixed.process[~signal]) == {"qcd"}
    assert sorted(rows(mixed[~signal])) == sorted(rows(qcd_toys))
    found = rows(mixed[signal])
    assert len(set(found)) == expected and set(found) <= set(rows(top_toys))


def test_collisions_stay_together_and_never_share_a_number(qcd_toys, top_toys):
    mixed = inject(qcd_toys, top_toys, number=100, seed=5)
    event = mixed.extras["event"]
    assert not set(event[mixed.label == 1]) & set(event[mixed.label == 0])
    boundaries = np.flatnonzero(np.diff(event))
    assert len(boundaries) + 1 == len(np.unique(event))  # side by side: every number is one run
    parts = split(mixed, {"train": 0.5, "test": 0.4}, seed=1)
    assert not set(parts["train"].extras["event"]) & set(parts["test"].extras["event"])
    back = event[mixed.label == 1] - mixed.meta["injected"]["event_offset"]
    assert set(back) <= set(top_toys.extras["event"])


def test_same_seed_same_mixture_and_it_is_shuffled(qcd_toys, top_toys):
    a, b, c = (inject(qcd_toys, top_toys, number=100, seed=s) for s in (1, 1, 2))
    assert a.fingerprint == b.fingerprint != c.fingerprint
    # mean position of the signal of a shuffled mixture: 250 ± 500/√12/√50 pairs
    assert abs(np.flatnonzero(a.label == 1).mean() - 250) < 5 * 500 / np.sqrt(12 * 50)


def test_slices_and_files_know_how_much(tmp_path, qcd_toys, top_toys):
    mixed = inject(qcd_toys, top_toys, number=100, seed=1)
    half = mixed[:250]
    assert injected(half).number == (half.label == 1).sum() < 100
    mixed.save(tmp_path / "mixed.h5")
    back = read(tmp_path / "mixed.h5")
    assert injected(back) == injected(mixed) and back.meta["injected"]["signal"]["seed"] == 2
    assert injected(qcd_toys) is None


def test_weights_count_apart(qcd_toys, top_toys):
    half = Sample(particles=top_toys.particles, label=top_toys.label, process="top", weight=np.full(400, 0.5),
                  extras=top_toys.extras)
    told = injected(inject(qcd_toys, half, number=100, seed=1))
    assert told.s_over_b == 0.25 and told.weighted_s_over_b == pytest.approx(0.125)


@pytest.mark.parametrize("change, message", [
    ({}, "expected exactly one of number="),
    ({"number": 10, "fraction": 0.1}, "expected exactly one of number="),
    ({"number": 401}, "401 signal events are wanted, 400 are there"),
    ({"number": 1.5}, "number: expected a whole number from 0, got 1.5"),
    ({"number": True}, "a whole number"),
    ({"number": "3"}, "a whole number"),
    ({"fraction": 1.0}, "0 ≤ S/\\(S\\+B\\) < 1"),
    ({"s_over_b": -1}, "S/B from 0"),
    ({"s_over_b": float("nan")}, "S/B from 0"),
    ({"s_over_b": 1e-4}, "less than one signal event"),
])
def test_amounts_that_make_no_sense(qcd_toys, top_toys, change, message):
    with pytest.raises(InputError, match=message):
        inject(qcd_toys, top_toys, seed=1, **change)


def test_samples_that_are_no_one_experiment(qcd_toys, top_toys):
    def at(energy, toys):
        return Sample(particles=toys.particles, label=toys.label, process=toys.process, extras=toys.extras,
                      meta={"sqrt_s_GeV": energy})

    with pytest.raises(InputError, match="different collision energies"):
        inject(at(13000, qcd_toys), at(14000, top_toys), number=1, seed=1)
    with pytest.raises(InputError, match="already holds 400 events labelled as signal"):
        inject(top_toys, top_toys, number=1, seed=1)
    with pytest.raises(InputError, match="expected signal events only"):
        inject(qcd_toys, qcd_toys, number=1, seed=1)
    with pytest.raises(InputError, match="no background to mix"):
        inject(qcd_toys[:0], top_toys, number=1, seed=1)
