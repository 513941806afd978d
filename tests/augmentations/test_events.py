"""Augmentations of events: what each keeps, what it changes, and the same distributions from a slow version, event by event."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, ks_2samp, kstest
from torch.utils._python_dispatch import TorchDispatchMode

from qad.augmentations import events
from qad.augmentations.events import EVENTS, SLOTS
from qad.errors import InputError
from qad.simulation import level1

KINDS = {"e": (slice(1, 5), 3.0, 3.0), "mu": (slice(5, 9), 3.0, 2.1), "jet": (slice(9, 19), 15.0, 4.0)}  # slots, GeV, |η|
NAMES = sorted(EVENTS)


def toy_events(n, seed):
    """Events with up to 4 electrons, 4 muons and 10 jets, float64 (n, 19, 3); some without MET."""
    rng = np.random.default_rng(seed)
    x = np.zeros((n, len(SLOTS), 3))
    x[:, 0, 0] = rng.exponential(40, n) * (rng.random(n) > 0.02)
    x[:, 0, 2] = rng.uniform(-np.pi, np.pi, n) * (x[:, 0, 0] > 0)
    for slots, least, limit in KINDS.values():
        k = slots.stop - slots.start
        there = np.arange(k) < rng.integers(0, k + 1, (n, 1))
        x[:, slots, 0] = -np.sort(-(least + rng.exponential(30, (n, k))) * there, axis=1)
        x[:, slots, 1] = rng.uniform(-limit, limit, (n, k)) * there
        x[:, slots, 2] = rng.uniform(-np.pi, np.pi, (n, k)) * there
    return x


@pytest.fixture(scope="module")
def toys():
    return toy_events(4000, 5)


def changed(name, x, seed=0, **params):
    out = EVENTS[name](**params)(torch.as_tensor(x), torch.Generator().manual_seed(seed))
    return out.numpy()


def vector_sum(x):
    return np.stack([(x[..., 0] * np.cos(x[..., 2])).sum(1), (x[..., 0] * np.sin(x[..., 2])).sum(1)], -1)


def summary(x):
    """What two sets of events are compared by: for every kind number, pT (hardest, softest, all), η and φ of the hardest."""
    columns = {"met": x[:, 0, 0], "met phi": x[:, 0, 2], "balance": np.hypot(*vector_sum(x).T)}
    for name, (slots, _, _) in KINDS.items():
        pt = x[:, slots, 0]
        columns |= {f"{name} n": (pt > 0).sum(1), f"{name} hardest": pt[:, 0], f"{name} all": pt.sum(1),
                    f"{name} second": pt[:, 1], f"{name} softest": np.where(pt > 0, pt, np.inf).min(1),
                    f"{name} eta": x[:, slots.start, 1], f"{name} phi": x[:, slots.start, 2],
                    f"{name} eta of second": x[:, slots.start + 1, 1]}
    return columns


def alike(ours, slow):
    """The smallest p-value of a Kolmogorov-Smirnov test among all columns, times their number."""
    ours, slow = summary(ours), summary(slow)
    found = {name: ks_2samp(ours[name], slow[name], method="asymp").pvalue * len(ours) for name in ours}
    return min(found.values()), min(found, key=found.get)


# --- what all have in common


def test_slots_are_those_of_the_simulation_and_of_the_published_file():
    from qad.data.formats import adc2021

    assert SLOTS == level1.SLOTS == adc2021.SLOTS
    cuts = level1.Level1Selection()
    assert events.ACCEPTANCE == {"e": cuts.electron_eta, "mu": cuts.muon_eta, "jet": cuts.jet_eta}
    assert events.THRESHOLD == {"e": cuts.lepton_pt, "mu": cuts.lepton_pt, "jet": cuts.jet_pt}
    assert events.TRIGGER == cuts.trigger_pt


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", NAMES)
def test_form(name, dtype, toys):
    """Type, slots, acceptance, order; absent objects are zero; the input stays; a seed decides all."""
    x = torch.as_tensor(toys).to(dtype)
    kept = x.clone()
    out = EVENTS[name]()(x, torch.Generator().manual_seed(1))
    assert torch.equal(x, kept) and out.dtype == dtype and out.shape == x.shape and torch.isfinite(out).all()
    assert torch.equal(out, EVENTS[name]()(x, torch.Generator().manual_seed(1)))
    assert not torch.equal(out, EVENTS[name]()(x, torch.Generator().manual_seed(2)))
    differs = (out != x).flatten(1).any(1).double().mean()
    assert differs > (0.6 if name in ("smear-angles", "smear-energy", "split-objects") else 0.9)
    assert (out[..., 0] >= 0).all() and not out[out[..., 0] == 0].any()
    assert not out[:, 0, 1].any() and out[..., 2].abs().max() <= np.float32(np.pi)
    for slots, _, limit in KINDS.values():
        assert out[:, slots, 1].abs().max() <= limit
        assert (out[:, slots, 0].diff(dim=1) <= 0).all()
    if name not in ("add-objects", "split-objects"):
        assert (out[..., 0] > 0).sum() <= (x[..., 0] > 0).sum()
        assert not out[:, 1:][(x[:, 1:, 0] == 0)].any(), "absent stays absent"


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"add-objects"}))
def test_commutes_with_azimuth(name, toys):
    """None but the new objects knows a direction in φ: turned and changed is changed and turned."""
    turn = torch.as_tensor(np.random.default_rng(0).uniform(-np.pi, np.pi, (len(toys), 1)))

    def turned(x):
        phi = torch.where(x[..., 0] > 0, torch.remainder(x[..., 2] + turn + np.pi, 2 * np.pi) - np.pi, x[..., 2])
        return torch.stack([x[..., 0], x[..., 1], phi], -1)

    x = torch.as_tensor(toys)
    a = EVENTS[name]()(turned(x), torch.Generator().manual_seed(3))
    b = turned(EVENTS[name]()(x, torch.Generator().manual_seed(3)))
    assert torch.allclose(a[..., :2], b[..., :2], rtol=0, atol=1e-9)
    away = torch.remainder(a[..., 2] - b[..., 2] + np.pi, 2 * np.pi) - np.pi
    assert away.abs().max() < 1e-9


class Count(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.calls = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.calls += 1
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", NAMES)
def test_no_loop_over_events(name, toys):
    calls = []
    for n in (3, 300):
        with Count() as counting:
            EVENTS[name]()(torch.as_tensor(toys[:n]), torch.Generator().manual_seed(0))
        calls.append(counting.calls)
    assert calls[0] == calls[1] > 3


@pytest.mark.parametrize("name", NAMES)
def test_odd_events(name):
    """No event at all, one with nothing in it, one with every slot taken."""
    full = toy_events(3000, 1)
    full = full[(full[..., 0] > 0).all(1)][:1]
    assert len(full) == 1
    for x in (np.zeros((0, 19, 3)), np.zeros((2, 19, 3)), full):
        out = changed(name, x)
        assert out.shape == x.shape and np.isfinite(out).all()
    if name in ("add-objects", "split-objects"):
        np.testing.assert_array_equal(changed(name, full), full)
    if name != "add-objects":
        assert not changed(name, np.zeros((2, 19, 3))).any()


def test_slots_of_ones_own(toys):
    """The same events in fewer slots, in another order, as a list from a study."""
    mine = ["jet"] * 10 + ["met"] + ["mu"] * 4
    x = np.concatenate([toys[:, 9:], toys[:, :1], toys[:, 5:9]], 1)
    for name in NAMES:
        out = changed(name, x, slots=mine)
        assert not out[:, 10, 1].any() and out.shape == x.shape
    np.testing.assert_array_equal(changed("shift-met", x, slots=mine)[:, 10], changed("shift-met", toys)[:, 0])
    np.testing.assert_array_equal(changed("azimuth", toys[:, :1], slots=("met",)), changed("azimuth", toys)[:, :1])


@pytest.mark.parametrize(("name", "params", "words"), [
    ("azimuth", {"slots": ("met", "tau")}, "expected kinds among met, e, mu, jet.*got 'tau'"),
    ("azimuth", {"slots": ()}, "got 'none'"),
    ("azimuth", {"slots": ("jet", "met", "jet")}, "side by side"),
    ("azimuth", {"slots": ("met", "met")}, "at most one 'met'"),
    ("add-objects", {"slots": ("jet", "jet")}, "AddObjects changes the missing transverse energy; expected a slot 'met'"),
    ("shift-met", {"slots": ("jet",)}, "expected a slot 'met'"),
    ("shift", {"slots": ("jet",)}, "expected a slot 'met'"),
    ("shift-pt", {"low": 0.0}, "low=0.0: expected a number above 0"),
    ("shift-pt", {"high": "5"}, "high='5': expected a number above 0"),
    ("shift-all", {"low": 2.0, "high": 1.0}, "ShiftAll: expected low <= high; got low=2.0, high=1.0"),
    ("smear-energy", {"least": -1.0}, "least=-1.0: expected a number from 0"),
])
def test_bad_settings(name, params, words):
    with pytest.raises(InputError, match=words):
        EVENTS[name](**params)


def test_bad_batch(toys):
    for x in (toys[0], toys[:, :18], toys[..., :2]):
        with pytest.raises(InputError, match=r"expected events \(B, 19, 3\).*slots=sample.meta\['slots'\]"):
            changed("azimuth", x)


# --- positive


def test_azimuth(toys):
    out = changed("azimuth", toys)
    np.testing.assert_array_equal(out[..., :2], toys[..., :2])
    there = toys[..., 0] > 0
    np.testing.assert_allclose(np.hypot(*vector_sum(out).T), np.hypot(*vector_sum(toys).T), atol=1e-9)
    turn = np.where(there, (out - toys)[..., 2] % (2 * np.pi), np.nan)
    assert (np.nanmax(turn, 1) - np.nanmin(turn, 1) < 1e-9).all(), "one angle for all that is there"
    assert kstest(np.nanmean(turn, 1) / (2 * np.pi), "uniform").pvalue > 1e-3
    assert EVENTS["azimuth"].symmetry and EVENTS["azimuth"].kind == "positive"


def slow_smear_angles(x, rng, strength=1.0):
    out = x.copy()
    for event in out:
        for slots, _, limit in KINDS.values():
            for k in range(slots.start, slots.stop):
                if event[k, 0] > 0:
                    width = strength * 0.028 / (1 + np.exp(min((event[k, 0] - 25) / 0.1, 700)))
                    event[k, 1:] += rng.normal(0, width, 2) if width > 0 else 0.0
                    if abs(event[k, 2]) > np.pi:
                        event[k, 2] -= np.sign(event[k, 2]) * 2 * np.pi
                    if abs(event[k, 1]) > limit:
                        event[k] = 0
    return by_pt(out)


def by_pt(x):
    """Every kind in descending pT."""
    for slots, _, _ in KINDS.values():
        for event in x:
            event[slots] = event[slots][np.argsort(-event[slots, 0], kind="stable")]
    return x


def test_smear_angles(toys):
    out = changed("smear-angles", toys)
    np.testing.assert_array_equal(out[:, 0], toys[:, 0])
    rest = (out[..., 0] == toys[..., 0]) & (toys[..., 0] > 0)  # in the same slot as before
    hard, soft = rest & (toys[..., 0] > 30), rest & (toys[..., 0] < 24.5)
    hard[:, 0] = soft[:, 0] = False
    np.testing.assert_array_equal(out[hard], toys[hard])
    moved = out[soft][:, 1:] - toys[soft][:, 1:]
    moved[:, 1] = (moved[:, 1] + np.pi) % (2 * np.pi) - np.pi
    for c in (0, 1):
        assert kstest(moved[:, c], "norm", args=(0, 0.028)).pvalue > 1e-3
    assert abs(np.corrcoef(moved.T)[0, 1]) < 0.02
    half = np.zeros((20000, 19, 3))
    half[:, 9] = 25.0, 1.0, 0.5
    assert (changed("smear-angles", half)[:, 9] - half[:, 9]).std(0)[1:] == pytest.approx(0.014, rel=0.02)
    assert changed("smear-angles", half, strength=3.0)[:, 9, 1].std() == pytest.approx(0.042, rel=0.02)


@pytest.mark.parametrize("strength", [1.0, 60.0])
def test_smear_angles_as_the_slow_version(strength, toys):
    """The strong one throws a third of the soft objects out of the acceptance."""
    slow = slow_smear_angles(toys, np.random.default_rng(1), strength=strength)
    out = changed("smear-angles", toys, strength=strength)
    p, column = alike(out, slow)
    assert p > 1e-3, column
    lost = 1 - (out[..., 0] > 0).sum() / (toys[..., 0] > 0).sum()
    assert lost > (0.05 if strength > 1 else 1e-4)


def test_smear_angles_as_published():
    """The public code wraps by π and leaves holes: a jet pushed over the edge at π lands at 0."""
    x = np.zeros((20000, 19, 3))
    x[:, 9], x[:, 10] = (24.0, 3.999, 3.14), (20.0, 0.0, 1.0)
    out = changed("smear-angles", x, as_published=True)
    lost = out[:, 9, 0] == 0
    assert 0.3 < lost.mean() < 0.6 and (out[:, 10, 0] == 20).all() and not out[lost, 9].any()
    over = ~lost & (out[:, 9, 2] < 1)
    assert 0.3 < over.sum() / (~lost).sum() < 0.6 and np.abs(out[over, 9, 2]).max() < 0.2
    right = changed("smear-angles", x)
    assert (np.abs(right[~(right[:, 9, 0] == 20), 9, 2]) > 2.9).all() and (right[right[:, 10, 0] == 0, 9, 0] == 20).all()


def slow_smear_energy(x, rng, strength=1.0, least=0.0):
    out = x.copy()
    for event in out:
        for k in range(9, 19):
            pt = event[k, 0]
            event[k, 0] = pt + strength * np.sqrt(0.052 * pt**2 + 1.502 * pt) * rng.normal()
            if event[k, 0] <= least:
                event[k] = 0
    return by_pt(out)


@pytest.mark.parametrize("params", [{}, {"strength": 0.3}, {"least": 15.0}])
def test_smear_energy(params, toys):
    out = changed("smear-energy", toys, **params)
    np.testing.assert_array_equal(out[:, :9], toys[:, :9])
    p, column = alike(out, slow_smear_energy(toys, np.random.default_rng(2), **params))
    assert p > 1e-3, column
    places = {tuple(jet) for jet in toys[:, 9:, 1:].reshape(-1, 2)}
    assert all(tuple(jet) in places for jet in out[:, 9:, 1:].reshape(-1, 2)), "directions stay"
    if "least" in params:
        assert out[:, 9:, 0][out[:, 9:, 0] > 0].min() > 15


def test_smear_energy_width_and_as_published():
    x = np.zeros((40000, 19, 3))
    x[:, 9], x[:, 10] = (100.0, 1.0, 2.0), (16.0, -1.0, 0.5)
    out = changed("smear-energy", x, as_published=True)
    assert out[:, 9, 0].std() == pytest.approx(np.sqrt(0.052 * 100**2 + 1.502 * 100), rel=0.01)
    assert (out[:, 9, 1:] == x[:, 9, 1:]).all() and (out[:, 10, 1:] == x[:, 10, 1:]).all(), "also where pT has gone"
    assert (out[:, 10, 0] == 0).any() and (out[:, 9, 0] < out[:, 10, 0]).any(), "not ordered again"
    right = changed("smear-energy", x)
    np.testing.assert_array_equal(np.sort(right[:, 9:11, 0], 1), np.sort(out[:, 9:11, 0], 1))


# --- anomalous


def slow_add(x, rng):
    out = x.copy()
    for event in out:
        hardest = event[:, 0].max()
        px, py = event[0, 0] * np.cos(event[0, 2]), event[0, 0] * np.sin(event[0, 2])
        for slots, least, limit in KINDS.values():
            free = [k for k in range(slots.start, slots.stop) if event[k, 0] == 0]
            for k in free[: rng.integers(0, len(free) + 1)]:
                event[k] = rng.uniform(least, max(hardest, least)), rng.uniform(-limit, limit), rng.uniform(-np.pi, np.pi)
                px, py = px - event[k, 0] * np.cos(event[k, 2]), py - event[k, 0] * np.sin(event[k, 2])
        event[0, 0], event[0, 2] = np.hypot(px, py), np.arctan2(py, px) if np.hypot(px, py) else 0
    return by_pt(out)


def test_add_objects(toys):
    out = changed("add-objects", toys)
    np.testing.assert_allclose(vector_sum(out), vector_sum(toys), rtol=0, atol=1e-4)
    hardest = toys[..., 0].max(1)
    for slots, least, limit in KINDS.values():
        k = slots.stop - slots.start
        before, after = (toys[:, slots, 0] > 0).sum(1), (out[:, slots, 0] > 0).sum(1)
        assert (after >= before).all()
        for n in range(k):  # as many new ones as there may be, all numbers as often
            assert chisquare(np.bincount((after - before)[before == n], minlength=k - n + 1)).pvalue > 1e-3
        for old, new, top in zip(toys[:200, slots], out[:200, slots], hardest[:200], strict=True):
            old, new = ({tuple(o) for o in objects if o[0] > 0} for objects in (old, new))
            assert old <= new, "what was there is still there"
            assert all(least <= pt <= max(top, least) and abs(eta) <= limit for pt, eta, _ in new - old)
    same = ((out[:, 1:, 0] > 0).sum(1) == (toys[:, 1:, 0] > 0).sum(1))
    assert same.any()
    np.testing.assert_array_equal(out[same], toys[same])


def test_add_objects_single_precision(toys):
    x = torch.as_tensor(toys).float()
    out = EVENTS["add-objects"]()(x, torch.Generator().manual_seed(0)).double().numpy()
    np.testing.assert_allclose(vector_sum(out), vector_sum(x.double().numpy()), rtol=0, atol=1e-3)


def test_add_objects_as_the_slow_version(toys):
    p, column = alike(changed("add-objects", toys), slow_add(toys, np.random.default_rng(3)))
    assert p > 1e-3, column


def test_add_objects_to_a_soft_event():
    """Where nothing is harder than a threshold, new objects lie on it."""
    x = np.zeros((200, 19, 3))
    x[:, 5] = 5.0, 1.0, 2.0
    out = changed("add-objects", x)
    jets, electrons = out[:, 9:, 0], out[:, 1:5, 0]
    assert set(jets[jets > 0]) == {15.0} and 3 <= electrons[electrons > 0].min() and electrons.max() <= 5


def test_add_objects_as_published(toys):
    """The public code changes MET but not its φ, and leaves new objects behind old ones: the same objects all the same."""
    wrong, right = changed("add-objects", toys, as_published=True), changed("add-objects", toys)
    np.testing.assert_array_equal(wrong[:, 0, 2], toys[:, 0, 2])
    np.testing.assert_array_equal(wrong[:, 0, 0], right[:, 0, 0])
    assert np.abs(vector_sum(wrong) - vector_sum(toys)).mean() > 10
    there = toys[..., 0] > 0
    there[:, 0] = False
    np.testing.assert_array_equal(wrong[there], toys[there])
    assert (np.diff(wrong[:, 9:, 0], axis=1) > 0).any()
    np.testing.assert_array_equal(by_pt(wrong.copy())[:, 1:], right[:, 1:])


def slow_split(x, rng):
    out = x.copy()
    for event in out:
        for name, (slots, least, _) in KINDS.items():
            objects = [o.copy() for o in event[slots] if o[0] > 0]
            k, keeps = slots.stop - slots.start, [least] * len(objects)
            if objects and name != "jet" and objects[0][0] >= 23:
                keeps[0] = 23.0
            could = [i for i, o in enumerate(objects) for _ in range(min(k, int(max(0, (o[0] - keeps[i]) // least))))]
            number = rng.integers(0, min(len(could), k - len(objects)) + 1)
            parents = [could[i] for i in rng.choice(len(could), number, replace=False)] if number else []
            made = []
            for i, o in enumerate(objects):
                n = 1 + parents.count(i)
                floors = np.array([keeps[i]] + [least] * (n - 1))
                pts = floors + (o[0] - floors.sum()) * rng.dirichlet(np.ones(n)) if n > 1 else [o[0]]
                made += [(pt, o[1], o[2]) for pt in pts]
            event[slots] = 0
            event[slots.start:slots.start + len(made)] = made if made else np.zeros((0, 3))
    return by_pt(out)


def test_split_objects(toys):
    out = changed("split-objects", toys)
    np.testing.assert_array_equal(out[:, 0], toys[:, 0])
    for name, (slots, least, _) in KINDS.items():
        a, b = toys[:, slots], out[:, slots]
        np.testing.assert_allclose(b[..., 0].sum(1), a[..., 0].sum(1), rtol=0, atol=1e-4)
        np.testing.assert_allclose(vector_sum(b), vector_sum(a), rtol=0, atol=1e-4)
        assert ((b[..., 0] > 0).sum(1) >= (a[..., 0] > 0).sum(1)).all()
        assert b[..., 0][b[..., 0] > 0].min() >= least - 1e-9
        if name != "jet":
            fired = a[:, 0, 0] >= 23
            assert (b[fired, 0, 0] >= 23 - 1e-9).all() and (b[fired, 0, 0] < a[fired, 0, 0]).any()
        for old, new in zip(a[:300], b[:300], strict=True):  # parts have the direction of their parent and add up to it
            for pt, eta, phi in old[old[:, 0] > 0]:
                assert new[(new[:, 1] == eta) & (new[:, 2] == phi), 0].sum() == pytest.approx(pt, abs=1e-9)
            assert {tuple(o[1:]) for o in new if o[0] > 0} == {tuple(o[1:]) for o in old if o[0] > 0}
    kept = (out[:, 1:, 0] > 0).sum(1) == (toys[:, 1:, 0] > 0).sum(1)
    np.testing.assert_array_equal(out[kept], toys[kept])
    assert 0.02 < kept.mean() < 0.4


def test_split_objects_as_the_slow_version(toys):
    p, column = alike(changed("split-objects", toys), slow_split(toys, np.random.default_rng(4)))
    assert p > 1e-3, column


def test_split_of_one_jet():
    """A jet of 60 GeV with nine free slots: 1 … 4 parts, each number as often; two parts share what is above 30 GeV evenly."""
    x = np.zeros((20000, 19, 3))
    x[:, 9] = 60.0, 1.0, 2.0
    out = changed("split-objects", x)[:, 9:]
    n = (out[..., 0] > 0).sum(1)
    assert n.max() == 4 and chisquare(np.bincount(n)[1:]).pvalue > 1e-3
    assert kstest((out[n == 2, 0, 0] - 30) / 15, "uniform").pvalue > 1e-3  # the harder one: 15 + 30 u, u > 1/2
    assert np.abs(out[n == 4, :4, 0] - 15).max() < 1e-9
    muon = np.zeros((20000, 19, 3))
    muon[:, 5] = 28.9, 1.0, 2.0
    out = changed("split-objects", muon)[:, 5:9]
    assert (out[:, 0, 0] >= 23).all() and set((out[..., 0] > 0).sum(1)) == {1, 2}
    muon[:, 5, 0] = 22.0  # no trigger's muon: ordinary
    assert changed("split-objects", muon)[:, 5, 0].min() < 8


def test_split_of_objects_in_disorder(toys):
    """The hardest keeps its 23 GeV wherever it stands."""
    x = toys.copy()
    for slots, _, _ in KINDS.values():
        x[:, slots] = x[:, slots][:, ::-1]
    out = changed("split-objects", x)
    for name, (slots, least, _) in KINDS.items():
        a, b = x[:, slots], out[:, slots]
        np.testing.assert_allclose(vector_sum(b), vector_sum(a), rtol=0, atol=1e-4)
        assert b[..., 0][b[..., 0] > 0].min() >= least - 1e-9
        if name != "jet":
            assert (b[a[..., 0].max(1) >= 23, 0, 0] >= 23 - 1e-9).all()


#: On toy_events(20000, 0): share of empty slots and mean pT [GeV] in every slot, from the functions collinear_fill_e_mu_v2 and
#: collinear_fill_jets_v2 of the public code (bmdillon/AnomalyCLR at 139256a, EventLevelAnomalyAugmentations.py), scaler_pt=1.
PUBLISHED = {
    "e": ([0.202, 0.398, 0.477, 0.421], [29.57, 11.51, 10.86, 12.16]),
    "jet": ([0.092, 0.182, 0.269, 0.359, 0.450, 0.501, 0.486, 0.440, 0.362, 0.247],
            [30.56, 26.62, 23.58, 20.79, 17.87, 16.12, 16.35, 17.55, 19.79, 23.75]),
}


def test_split_objects_as_published():
    x = toy_events(20000, 0)
    out = changed("split-objects", x, as_published=True)
    for name, (empty, mean) in PUBLISHED.items():
        slots = KINDS[name][0]
        pt = out[:, slots, 0]
        assert (pt == 0).mean(0) == pytest.approx(empty, abs=0.012)
        assert np.abs(pt.mean(0) - mean).max() < 5 * (pt.std(0) * np.sqrt(2 / len(x))).max()
    np.testing.assert_array_equal(out[:, 0], x[:, 0])
    jets, three = out[:, 9:], (x[:, 9:, 0] > 0).sum(1) == 3  # no overlap: one threshold more, in the last slots
    np.testing.assert_allclose(jets[three, :, 0].sum(1), x[three, 9:, 0].sum(1) + 15)
    assert not jets[three, 3:7, 0].any() and jets[three, 7:, 0].any()
    np.testing.assert_array_equal(jets[three, 9, 1:], x[three, 9, 1:])
    many = (x[:, 9:, 0] > 0).sum(1) == 10  # every direction the sum of two
    np.testing.assert_allclose(jets[many, :, 1:], x[many, 9:, 1:] + x[many, 9:, 1:][:, ::-1])
    soft = (x[:, 1, 0] > 0) & (x[:, 1, 0] < 10) & (x[:, 2, 0] == 0)
    assert (out[soft, 1, 0] == 23).all(), "a soft electron becomes one of the trigger"


def test_shifts(toys):
    met, visible = toys[:, 0, 0] > 0, toys[:, 1:, 0] > 0
    some = met & visible.any(1)

    def factors(out):
        np.testing.assert_array_equal(out[..., 1:], toys[..., 1:])
        f = np.divide(out[..., 0], toys[..., 0], out=np.full(toys.shape[:2], np.nan), where=toys[..., 0] > 0)[some]
        assert (np.nanmax(f[:, 1:], 1) - np.nanmin(f[:, 1:], 1) < 1e-9).all(), "one factor for all visible objects"
        return f[:, 0], np.nanmax(f[:, 1:], 1)

    a, b = factors(changed("shift-met", toys))
    assert kstest((a - 0.5) / 4.5, "uniform").pvalue > 1e-3 and (b == 1).all()
    a, b = factors(changed("shift-pt", toys))
    assert kstest((b - 1) / 4, "uniform").pvalue > 1e-3 and (a == 1).all()
    a, b = factors(changed("shift-all", toys))
    assert kstest((b - 1) / 4, "uniform").pvalue > 1e-3 and np.allclose(a, b)
    np.testing.assert_allclose(vector_sum(changed("shift-all", toys))[some], b[:, None] * vector_sum(toys)[some], atol=1e-9)
    a, b = factors(changed("shift", toys))
    is_met, is_pt, is_all = (b == 1) & (a != 1), (a == 1) & (b != 1), np.isclose(a, b) & (b != 1)
    assert chisquare([is_met.sum(), is_pt.sum(), is_all.sum()]).pvalue > 1e-3
    assert is_met.sum() + is_pt.sum() + is_all.sum() == len(a)
    assert kstest((a[is_met] - 0.5) / 4.5, "uniform").pvalue > 1e-3 and kstest((b[is_all] - 1) / 4, "uniform").pvalue > 1e-3
    a, _ = factors(changed("shift-met", toys, low=2.0, high=2.0))
    np.testing.assert_allclose(a, 2.0)


def test_kinds():
    positive = {name for name, cls in EVENTS.items() if cls.kind == "positive"}
    assert positive == {"azimuth", "smear-angles", "smear-energy"}
    assert {cls.kind for cls in EVENTS.values()} == {"positive", "anomalous"}
