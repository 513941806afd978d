"""Augmentations of jets: what each keeps, what it changes, and what its random numbers are."""

import numpy as np
import pytest
import torch
from scipy import stats

from qad import augmentations
from qad.augmentations.jets import restored, turned
from qad.errors import InputError

P = 24
POSITIVE = ["rotate", "translate", "collinear", "soft"]
ANOMALOUS = ["drop", "subjet-shift", "reweight"]


@pytest.fixture(scope="module")
def jets():
    rng = np.random.default_rng(3)
    x = np.zeros((400, P, 3))
    for jet, n in zip(x, rng.integers(1, P + 1, len(x)), strict=True):
        jet[:n, 0] = -np.sort(-rng.exponential(20, n) - 0.2)
        jet[:n, 1:] = rng.normal(0, 0.2, (n, 2))
    return torch.as_tensor(x)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def moments(x):
    """Sums over a jet's particles that no collinear splitting changes: pT, pT η, pT φ, pT η², pT ηφ, pT φ²."""
    pt, eta, phi = x.unbind(-1)
    return torch.stack([(pt * f).sum(1) for f in (1 + 0 * pt, eta, phi, eta**2, eta * phi, phi**2)], -1)


def distances(x):
    return torch.cdist(x[..., 1:], x[..., 1:]) * (x[:, :, None, 0] > 0) * (x[:, None, :, 0] > 0)


@pytest.mark.parametrize("name", POSITIVE + ANOMALOUS)
class TestEvery:
    def test_leaves_its_input_and_obeys_its_seed(self, name, jets):
        before, augment = jets.clone(), augmentations.get(name)
        first = augment(jets, generator())
        torch.testing.assert_close(jets, before, rtol=0, atol=0)
        torch.testing.assert_close(augment(jets, generator()), first, rtol=0, atol=0)
        assert first.shape == jets.shape and first.dtype == jets.dtype and torch.isfinite(first).all()
        assert not torch.equal(first, jets)
        if name != "reweight":  # the one without random numbers
            assert not torch.equal(augment(jets, generator(1)), first)

    def test_keeps_pt_and_empty_slots(self, name, jets):
        out = augmentations.get(name)(jets, generator())
        torch.testing.assert_close(out[..., 0].sum(1), jets[..., 0].sum(1))
        assert (out[..., 0] >= 0).all() and (out[out[..., 0] == 0] == 0).all()

    def test_order_of_particles_does_not_matter(self, name, jets):
        """The distribution cannot depend on it: with one particle, nothing but the jet itself can come out."""
        one = torch.zeros(5, 6, 3, dtype=torch.float64)
        one[:, 4, 0] = 10.0  # not in the first slot
        out = augmentations.get(name)(one, generator())
        torch.testing.assert_close(out[..., 0].sum(1), torch.full((5,), 10.0, dtype=torch.float64))
        if name in ("rotate", "collinear", *ANOMALOUS):
            torch.testing.assert_close(out[..., 1:], torch.zeros(5, 6, 2, dtype=torch.float64))

    def test_jets_without_particles_stay_so(self, name):
        none = torch.zeros(3, 5, 3)
        torch.testing.assert_close(augmentations.get(name)(none, generator()), none)


class TestRotate:
    def test_keeps_distances_and_pt(self, jets):
        out = augmentations.get("rotate")(jets, generator())
        torch.testing.assert_close(distances(out), distances(jets))
        torch.testing.assert_close(out[..., 0], jets[..., 0])
        torch.testing.assert_close(out[..., 1:].norm(dim=-1), jets[..., 1:].norm(dim=-1))

    def test_angles_are_uniform(self, jets):
        x = jets[:, 0][:, None].repeat(1, 1, 1)
        out = augmentations.get("rotate")(x, generator())
        turn = (torch.atan2(out[:, 0, 2], out[:, 0, 1]) - torch.atan2(x[:, 0, 2], x[:, 0, 1])) % (2 * torch.pi)
        assert stats.kstest(turn / (2 * torch.pi), "uniform").pvalue > 1e-3

    def test_quarter_turn(self):
        x = torch.tensor([[[5.0, 0.3, 0.1]]])
        torch.testing.assert_close(turned(x, torch.tensor([torch.pi / 2])), torch.tensor([[[5.0, -0.1, 0.3]]]))


class TestTranslate:
    def test_is_one_shift_per_jet_within_its_extent(self, jets):
        out = augmentations.get("translate")(jets, generator())
        torch.testing.assert_close(distances(out), distances(jets))
        there = jets[..., 0] > 0
        for jet, moved, there_ in zip(jets, out, there, strict=True):
            shift = (moved - jet)[there_][:, 1:]
            assert (shift - shift[0]).abs().max() < 1e-12
            extent = jet[there_][:, 1:].amax(0) - jet[there_][:, 1:].amin(0)
            assert (shift[0].abs() <= extent + 1e-12).all()

    def test_as_published_counts_empty_slots(self):
        x = torch.zeros(2000, 3, 3)
        x[:, 0] = torch.tensor([5.0, 1.0, 0.5])  # one particle far from the origin, two empty slots
        assert torch.equal(augmentations.get("translate")(x, generator()), x)
        moved = augmentations.get("translate", as_published=True)(x, generator())
        assert (moved[:, 0, 1] - 1).abs().max() > 0.9 and (moved[:, 1:] == 0).all()

    def test_phi_stays_in_range(self):
        x = torch.tensor([[[5.0, 0.0, 3.0], [4.0, 0.0, -3.0]]]).repeat(500, 1, 1)
        assert (augmentations.get("translate")(x, generator())[..., 2].abs() <= torch.pi).all()


class TestCollinear:
    def test_energy_flow_is_kept_and_slots_are_filled(self, jets):
        out = augmentations.get("collinear", rounds=1)(jets, generator())
        torch.testing.assert_close(moments(out), moments(jets))
        n, m = ((x[..., 0] > 0).sum(1) for x in (jets, out))
        torch.testing.assert_close(m, n + torch.minimum(n, P - n))
        # every new particle lies where one was before
        for before, after in zip(jets[:50], out[:50], strict=True):
            old = {tuple(v) for v in before[before[:, 0] > 0][:, 1:].tolist()}
            assert {tuple(v) for v in after[after[:, 0] > 0][:, 1:].tolist()} <= old

    def test_every_particle_is_split_once_at_most_and_shares_are_uniform(self):
        x = torch.zeros(3000, 8, 3, dtype=torch.float64)
        x[:, :2, 0] = torch.tensor([2.0, 1.0])
        x[:, 1, 1] = 0.3
        out = augmentations.get("collinear", rounds=1)(x, generator())
        assert ((out[..., 0] > 0).sum(1) == 4).all()
        assert stats.kstest(out[:, 0, 0] / 2, "uniform").pvalue > 1e-3

    def test_chooses_among_all(self):
        x = torch.zeros(3000, 4, 3, dtype=torch.float64)
        x[:, :3, 0] = torch.tensor([3.0, 2.0, 1.0])  # one empty slot for three
        out = augmentations.get("collinear", rounds=1)(x, generator())
        split = (out[:, :3, 0] < x[:, :3, 0]).double()
        assert (split.sum(1) == 1).all() and (split.mean(0) - 1 / 3).abs().max() < 0.04


class TestSoft:
    def test_width_is_strength_over_pt(self):
        x = torch.zeros(4000, 3, 3, dtype=torch.float64)
        x[:, :, 0] = torch.tensor([10.0, 1.0, 0.01])
        out = augmentations.get("soft", strength=0.2, clip=0.1)(x, generator())
        torch.testing.assert_close(out[..., 1:].std(0).mean(-1), torch.tensor([0.02, 0.2, 2.0], dtype=torch.float64),
                                   rtol=0.05, atol=0)
        torch.testing.assert_close(out[..., 0], x[..., 0])

    def test_as_published_moves_empty_slots(self):
        x = torch.zeros(10, 3, 3)
        assert (augmentations.get("soft", as_published=True)(x, generator())[..., 1:] != 0).all()


class TestAnomalous:
    def test_centre_is_at_the_origin(self, jets):
        for name in ANOMALOUS:
            out = augmentations.get(name)(jets, generator())
            assert moments(out)[:, 1:3].abs().max() < 1e-9

    def test_drop_loses_the_share(self):
        x = torch.rand(500, 40, 3, dtype=torch.float64)
        out = augmentations.get("drop", share=0.3)(x, generator())
        assert abs(float((out[..., 0] > 0).double().mean()) - 0.7) < 0.02
        assert ((augmentations.get("drop", share=0.99)(x, generator())[..., 0] > 0).sum(1) >= 1).all()

    def test_shifted_subjet_is_rigid(self, jets):
        x = restored(jets, jets[..., 0].sum(1))
        out = augmentations.get("subjet-shift", radius=100.0)(x, generator())
        torch.testing.assert_close(out[..., 0], x[..., 0])
        move = (out - x)[..., 1:]
        for jet, shift in zip(x, move, strict=True):  # two rigid parts: no more than two displacements
            here = shift[jet[:, 0] > 0]
            assert len(np.unique(here.numpy().round(9), axis=0)) <= 2

    def test_what_leaves_the_jet_is_lost(self, jets):
        out = augmentations.get("subjet-shift", radius=0.5, reach=3.0)(jets, generator())
        assert ((out[..., 0] > 0).sum(1) <= (jets[..., 0] > 0).sum(1)).all() and ((out[..., 0] > 0).sum(1) >= 1).all()

    def test_reweight(self):
        x = torch.tensor([[[4.0, 0.1, 0.0], [1.0, -0.1, 0.0]]], dtype=torch.float64)
        out = augmentations.get("reweight", beta=0.5)(x, generator())
        torch.testing.assert_close(out[0, :, 0], torch.tensor([10 / 3, 5 / 3], dtype=torch.float64))


def test_errors():
    with pytest.raises(InputError, match="did you mean 'rotate'"):
        augmentations.get("rotat")
    with pytest.raises(InputError, match="takes strength, clip"):
        augmentations.get("soft", strenth=2)
    for name, bad in (("soft", {"strength": 0}), ("drop", {"share": 1.5}), ("collinear", {"rounds": 1.5}),
                      ("reweight", {"beta": "x"})):
        with pytest.raises(InputError, match="expected"):
            augmentations.get(name, **bad)
    with pytest.raises(InputError, match="is anomalous; expected one that is positive"):
        augmentations.chain(["drop"], "positive")
    with pytest.raises(InputError, match="a list"):
        augmentations.chain("rotate", "positive")
