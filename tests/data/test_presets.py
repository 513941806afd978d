"""The published splits: their numbers, in their order, with the contamination that they state."""

import re

import numpy as np
import pytest

from qad.data import Sample
from qad.data.presets import PRESETS, apply, preset
from qad.data.splits import injected
from qad.errors import InputError


def numbered(n, label=0, process="qcd", first=0, **contents):
    """Samples whose events can be told apart by their number."""
    return Sample(np.zeros((n, 0, 4)), extras={"event": np.arange(first, first + n), **contents.pop("extras", {})},
                  label=np.full(n, label), process=process, meta={"slots": []}, **contents)


def numbers(sample):
    return sample.extras["event"].tolist()


def dijets(n, label=0, seed=1, width=400.0):
    rng = np.random.default_rng(seed)
    m = 2500 + rng.exponential(600, n) if label == 0 else rng.normal(3500, width, n)
    return numbered(n, label, "signal" if label else "qcd", extras={"m_jj": m.astype(np.float32)})


def inner(sample):
    return np.flatnonzero((sample.extras["m_jj"] >= 3300) & (sample.extras["m_jj"] < 3700))


@pytest.mark.parametrize("chosen", PRESETS.values(), ids=list(PRESETS))
def test_every_preset_is_whole(chosen):
    assert chosen.title and re.fullmatch(r"arXiv:\d{4}\.\d{5}", chosen.paper) and chosen.parts
    assert "test" in chosen.parts or chosen.name == "jetclr"
    assert sum(s for s in chosen.parts.values() if not isinstance(s, int)) <= 1
    with pytest.raises(InputError, match=f"unknown split '{chosen.name}x'; did you mean '{chosen.name}'"):
        preset(chosen.name + "x")


@pytest.mark.parametrize("name, sizes", [
    ("adc2021", {"train": 640, "validation": 160, "test": 200}),
    ("jetnet", {"train": 700, "validation": 150, "test": 150}),
])
def test_shares(name, sizes):
    parts = apply(preset(name), numbered(1000))
    assert {k: len(s) for k, s in parts.items()} == sizes
    assert sorted(e for s in parts.values() for e in numbers(s)) == list(range(1000))
    told = {"preset": name, "paper": preset(name).paper, "scale": 1.0, "seed": 0, "part": "train"}
    assert parts["train"].meta["split"] == told
    in_order = numbers(parts["train"]) == list(range(sizes["train"]))
    assert in_order == (name == "jetnet")


def test_shares_leave_no_event_out():
    for n in range(1, 60):
        assert sum(map(len, apply(preset("jetnet"), numbered(n)).values())) == n


def test_the_published_jetnet_sizes():
    """177,252 gluon jets: 124,076 / 26,588 / 26,588 by 70, 85 and 100 % of the file."""
    parts = apply(preset("jetnet"), numbered(177_252))
    assert [len(parts[k]) for k in ("train", "validation", "test")] == [124_076, 26_588, 26_588]


def test_nae_takes_the_ends_of_the_file():
    parts = apply(preset("nae2022"), {"background": numbered(1000), "signal": numbered(7, 1, "top")}, scale=0.005)
    assert numbers(parts["train"]) == list(range(500))
    assert numbers(parts["validation"]) == list(range(600, 800)) and numbers(parts["test"]) == list(range(800, 1000))
    assert len(parts["signal_test"]) == 7
    with pytest.raises(InputError, match="'validation' from event 600 of 1,001 on, where others stand until 601"):
        apply(preset("nae2022"), numbered(1001), scale=0.00601)


def test_official_parts_go_by_their_column():
    ttv = np.repeat([0, 1, 2], [6, 3, 1])
    parts = apply(preset("top-tagging"), numbered(10, extras={"ttv": ttv}))
    assert {k: numbers(s) for k, s in parts.items()} == {"train": [0, 1, 2, 3, 4, 5], "test": [6, 7, 8], "validation": [9]}
    with pytest.raises(InputError, match="goes by the extra 'ttv', which this sample lacks"):
        apply(preset("top-tagging"), numbered(10))


def test_cathode_in_miniature():
    """A hundredth of the published: 10 of 1,000 signal events in the background, half, a sixth and a third of the region."""
    background, signal, more = dijets(10_000), dijets(1_000, 1, seed=2, width=50.0), dijets(60_000, seed=3)
    extra = more[np.concatenate([inner(more)[:6120], [k for k in range(500) if more.extras["m_jj"][k] < 3300]])]
    parts = apply(preset("lhco-cathode"), {"background": background, "signal": signal, "extra": extra}, scale=0.01)
    inside = ((background.extras["m_jj"] >= 3300) & (background.extras["m_jj"] < 3700)).sum()
    sizes = {k: len(s) for k, s in parts.items()}
    region = sizes["train"] + sizes["validation"] + sizes["test"]
    held = {k: injected(parts[k]).number for k in ("train", "validation", "test", "sideband")}
    assert sum(held.values()) == 10 and region == inside + 10 - held["sideband"]
    assert sizes["train"] == region // 2 and sizes["validation"] == region * 2 // 3 - region // 2
    assert (sizes["extra_train"], sizes["extra_validation"], sizes["extra_test"]) == (2000, 667, 6120 - 2667)
    m = parts["train"].extras["m_jj"]
    assert (m >= 3300).all() and (m < 3700).all()
    outside = parts["sideband"].extras["m_jj"]
    assert ((outside < 3300) | (outside >= 3700)).all()
    # each part tells its own share, and the signal that is left was never mixed in
    told = parts["train"].meta["injected"]
    assert told["number"] == held["train"] and told["background"] == sizes["train"] - held["train"]
    assert sizes["signal"] == len(inner(signal)) - sum(held[k] for k in ("train", "validation", "test"))
    assert len(inner(parts["extra_test"])) == sizes["extra_test"]
    offset = told["event_offset"]
    mixed = {e - offset for k in held for e, y in zip(numbers(parts[k]), parts[k].label, strict=True) if y == 1}
    assert len(mixed) == 10 and not mixed & set(numbers(parts["signal"]))


def test_cathode_has_the_published_contamination():
    """A million QCD events, of which 120,000 in the region, and a signal of which three quarters are: S/B = 0.6 %."""
    rng = np.random.default_rng(1)
    m = np.where(rng.uniform(size=1_000_000) < 0.12, rng.uniform(3300, 3700, 1_000_000), 3000).astype(np.float32)
    background = numbered(1_000_000, extras={"m_jj": m})
    signal = numbered(100_000, 1, "signal", extras={"m_jj": np.where(rng.uniform(size=100_000) < 0.765, 3500, 2000)})
    signal = Sample(signal.particles, label=signal.label, process=signal.process, meta=signal.meta,
                    extras={k: v.astype(np.float32) if k == "m_jj" else v for k, v in signal.extras.items()})
    parts = apply(preset("lhco-cathode"), {"background": background, "signal": signal})
    assert injected(parts["train"]).s_over_b == pytest.approx(0.0064, rel=0.15)
    mixed = sum(injected(parts[k]).number for k in ("train", "validation", "test"))
    assert 700 < mixed < 830 and len(parts["signal"]) == len(inner(signal)) - mixed  # the published rest is of the region too


def test_the_null_test_needs_no_signal():
    parts = apply(preset("lhco-cathode"), dijets(5000), contaminated=0)
    assert all((s.label == 0).all() for s in parts.values()) and injected(parts["train"]) is None
    with pytest.raises(InputError, match="mixes 1,000 signal events into the background: give them as 'signal'"):
        apply(preset("lhco-cathode"), dijets(5000))
    with pytest.raises(InputError, match="wants 1,000 signal events in the background, 50 are there"):
        apply(preset("lhco-cathode"), {"background": dijets(5000), "signal": dijets(50, 1)})


def test_published_dilepton_events_are_cut_as_published(published):
    from qad.data import read

    background, signal = (read(published / f) for f in ("ttbar_background.csv", "heavy_higgs_2500.csv"))
    signal = Sample(signal.particles, signal.features, signal.feature_names, signal.feature_units, np.ones(len(signal)),
                    "heavy_higgs", extras=signal.extras, meta=signal.meta)
    parts = apply(preset("qae2022"), {"background": background, "signal": signal}, scale=0.79)
    # the authors' reader leaves 9,453 of 9,500: 99.5 %
    left = len(parts.pop("signal_test"))
    assert 0.99 * len(signal) < left < len(signal)
    assert {k: len(s) for k, s in parts.items()} == {"train": 23_700, "validation": 3_950, "test": 11_850}
    with pytest.raises(InputError, match=r"wants 30,000 train, 5,000 validation, 15,000 test, 40,000 events are there; scale "
                                         r"the numbers down, as in scale=0\.8"):
        apply(preset("qae2022"), background)


def test_same_seed_same_parts_other_seed_other_parts():
    a, b, c = (apply(preset("1p1q"), numbered(2000), scale=0.05, seed=s) for s in (1, 1, 2))
    assert numbers(a["test"]) == numbers(b["test"]) != numbers(c["test"])
    assert {k: len(s) for k, s in a.items()} == {"train": 500, "validation": 125, "test": 500}


@pytest.mark.parametrize("call, message", [
    (lambda: apply(preset("adc2021"), {"bkg": numbered(5)}), "expected samples under 'background'"),
    (lambda: apply(preset("quantum-kernel"), {"background": numbered(9), "signal": numbered(9, 1)}),
     "quantum-kernel has no use for a sample 'signal': leave it out"),
    (lambda: apply(preset("adc2021"), {"background": numbered(9), "extra": numbered(9)}), "no use for a sample 'extra'"),
    (lambda: apply(preset("top-tagging"), numbered(9, extras={"ttv": np.zeros(9)}), scale=0.5),
     "'ttv', not by numbers of events"),
    (lambda: apply(preset("adc2021"), numbered(9), contaminated=2), "mixes 2 signal events into the background: give them"),
    (lambda: apply(preset("lhco-cathode"), {"background": dijets(5000), "signal": numbered(9, 1)}, contaminated=0),
     "the signal has no extra 'm_jj'"),
    (lambda: apply(preset("adc2021"), numbered(5), scale=2), "above 0 up to 1, got 2"),
    (lambda: apply(preset("adc2021"), {"background": numbered(9), "signal": numbered(9)}), "expected label 1 for every event"),
    (lambda: apply(preset("trash-latent"), numbered(100)), r"wants 1,000 train, .* 100 events are there; .* scale=0\.0062"),
    (lambda: apply(preset("lhco-cathode"), numbered(100), contaminated=0), "has no extra 'm_jj'"),
    (lambda: apply(preset("lhco-cathode"), numbered(9, extras={"m_jj": np.full(9, 3.5)}), contaminated=0), "is m_jj in GeV"),
    (lambda: apply(preset("qae2022"), numbered(100)), "drops events with met from 1000 on, and the background has no such"),
])
def test_mistakes_are_one_sentence(call, message):
    with pytest.raises(InputError, match=message):
        call()
