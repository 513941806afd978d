"""Langevin chains against densities that are known, and the sliced distance against SciPy's."""

import numpy as np
import pytest
import torch
from scipy import stats

from qad.errors import InputError
from qad.sampling import Langevin
from qad.transport import Slices

BOX = torch.tensor([-2.0, -1.5], dtype=torch.float64), torch.tensor([2.0, 1.5], dtype=torch.float64)


def ring(x):
    return 8 * (x.norm(dim=1) - 1).square()


def two_modes(x):
    centres = torch.tensor([[-1.0, 0.5], [1.2, -0.7]], dtype=x.dtype)
    logs = -((x[:, None] - centres).square().sum(2)) / (2 * 0.25**2) + torch.tensor([0.3, 0.7]).log().to(x)
    return -logs.logsumexp(1)


def slope(x):
    return 1.5 * x[:, 0] - x[:, 1]  # the box alone bounds it


def truth(energy, n, seed, temperature=1.0):
    """Exact samples by rejection from the box."""
    rng = np.random.default_rng(seed)
    grid = torch.cartesian_prod(*(torch.linspace(a, b, 200, dtype=torch.float64) for a, b in zip(*BOX, strict=True)))
    least = float(energy(grid).min()) - 0.05
    found = np.empty((0, 2))
    while len(found) < n:
        x = rng.uniform(BOX[0].numpy(), BOX[1].numpy(), (40 * n, 2))
        keep = rng.uniform(size=len(x)) < np.exp(-(energy(torch.as_tensor(x)).numpy() - least) / temperature)
        found = np.r_[found, x[keep]]
    return torch.as_tensor(found[:n])


def distance(a, b):
    return float(Slices(a, 16).against(b)(torch.full((len(b),), 1 / len(b), dtype=torch.float64)))


@pytest.mark.parametrize(("energy", "temperature"), [(ring, 1.0), (ring, 0.3), (two_modes, 1.0), (slope, 0.7)])
def test_a_known_density_is_recovered(energy, temperature):
    chains = Langevin(*BOX, chains=2000, restart=0, seed=3)
    x = chains.run(energy, 300, burn_in=300, temperature=temperature)
    exact = truth(energy, 20_000, 0, temperature)
    fresh = np.mean([distance(exact, truth(energy, 2000, i, temperature)) for i in range(1, 6)])
    assert distance(exact, x) < 1.2 * fresh + 2 * fresh / np.sqrt(5)
    # the tool can tell: the same points, a tenth wider
    assert distance(exact, x * 1.1) > 1.5 * fresh
    mean = chains.run(energy, 200, temperature=temperature, every=10)
    assert mean.shape == (40_000, 2)
    np.testing.assert_allclose(mean.mean(0), exact.mean(0), atol=0.03)


def test_acceptance_reaches_its_target_and_the_step_is_frozen():
    for target in (0.4, 0.57, 0.8):
        for first in (1e-5, 5.0):
            chains = Langevin(*BOX, chains=500, target=target, step=first, jumps=0.2, seed=0)
            chains.run(ring, 200, burn_in=150)
            assert chains.diagnostics["acceptance"] == pytest.approx(target, abs=0.04)
            frozen = chains.step
            chains.run(ring, 5)
            assert chains.step == frozen == chains.diagnostics["step"]


@pytest.mark.parametrize("jumps", [0.0, 0.3])
def test_detailed_balance_on_a_grid(jumps):
    """In equilibrium as many chains go from cell a to cell b in a step as from b to a."""
    def energy(x):
        return 2 * torch.cos(3 * x[:, 0]) + x[:, 0]

    low, high, n, cells = -1.0, 2.0, 200_000, 12
    fine = torch.linspace(low, high, 100_001, dtype=torch.float64)
    mass = torch.exp(-energy(fine[:, None])).numpy()
    cumulative = np.r_[0, np.cumsum((mass[1:] + mass[:-1]) / 2)]
    x = np.interp(np.random.default_rng(0).uniform(size=n), cumulative / cumulative[-1], fine.numpy())[:, None]
    chains = Langevin(torch.tensor([low]).double(), torch.tensor([high]).double(), chains=n, restart=0, jumps=jumps, step=0.02)
    chains.points = torch.as_tensor(x.copy())
    chains.run(energy, 1)
    a, b = (np.clip(((v - low) / (high - low) * cells).astype(int), 0, cells - 1).ravel() for v in (x, chains.points.numpy()))
    flow = np.zeros((cells, cells))
    np.add.at(flow, (a, b), 1)
    upper = np.triu_indices(cells, 1)
    there, back = flow[upper], flow.T[upper]
    some = there + back > 20
    chi2 = ((there - back)[some] ** 2 / (there + back)[some]).sum()
    assert some.sum() >= 15 and stats.chi2.sf(chi2, some.sum()) > 1e-3
    assert 0.1 < (chains.points.numpy() != x).mean() < 0.9  # it moves


def line(energy, low, high):
    """Exact draws of exp(-E) on [low, high], ``(n, 1)``, by inverting its integral on a fine grid, and that integral."""
    fine = torch.linspace(low, high, 200_001, dtype=torch.float64)
    mass = torch.exp(-energy(fine[:, None])).numpy()
    cumulative = np.r_[0, np.cumsum((mass[1:] + mass[:-1]) / 2)]
    cumulative /= cumulative[-1]
    x = np.interp(np.random.default_rng(0).uniform(size=100_000), cumulative, fine.numpy())
    return torch.as_tensor(x[:, None]), lambda v: np.interp(v, fine.numpy(), cumulative)


@pytest.mark.parametrize(("energy", "high", "step"), [
    (lambda x: x[:, 0].square() / 2, 5.0, 0.02),  # half a normal, densest at the wall: noise as wide as it is
    (lambda x: 3 * x[:, 0], 5.0, 0.01),  # the drift goes into the wall
    (lambda x: 5e3 * (x[:, 0] - 1).pow(4), 2.0, 3e-3),  # so steep that the drift is cut off
], ids=["half-normal", "exponential", "quartic"])
def test_exact_points_stay_exact(energy, high, step):
    exact, distribution = line(energy, 0.0, high)
    chains = Langevin(torch.zeros(1).double(), torch.full((1,), high).double(), restart=0, jumps=0, step=step, seed=0,
                      chains=len(exact), points=exact)
    chains.run(energy, 8)
    assert 0.3 < chains.diagnostics["acceptance"] < 0.95
    assert (chains.points - exact).abs().mean() > 0.3 * exact.std()
    assert stats.kstest(chains.points.numpy().ravel(), distribution).pvalue > 1e-3


def test_each_block_has_a_step_of_its_own():
    """Coordinates that differ in width by a factor of a hundred: one step for both would leave one still."""
    def energy(x):
        return (x / torch.tensor([0.01, 1.0], dtype=torch.float64)).square().sum(1) / 2

    chains = Langevin(*BOX, chains=2000, restart=0, jumps=0, blocks=torch.eye(2).bool(), seed=0)
    chains.run(energy, 2, burn_in=400)
    before = chains.points.clone()
    chains.run(energy, 2)
    assert (chains.points != before).double().mean(0).tolist() == pytest.approx([0.57, 0.57], abs=0.05)
    assert chains.steps[1] > 300 * chains.steps[0]
    x = chains.run(energy, 400, every=40)
    assert float(x[:, 0].std()) == pytest.approx(0.01, rel=0.05)
    assert float(x[:, 1].std()) == pytest.approx(stats.truncnorm(-1.5, 1.5).std(), rel=0.03)


@pytest.mark.parametrize("blocks", [None, [[True, True, False], [False, False, True]]])
def test_what_is_not_free_never_moves(blocks):
    """Events say themselves which coordinates they have: here the third tells whether the second is there."""
    def free(x):
        return torch.stack([torch.ones(len(x), dtype=torch.bool), x[:, 2] > 0.5, torch.zeros(len(x), dtype=torch.bool)], 1)

    start = torch.rand(4000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    start[:, 2] = (start[:, 2] > 0.4).double()
    there = start[:, 2] > 0.5
    start[~there, 1] = 0.123
    chains = Langevin(torch.zeros(3).double(), torch.ones(3).double(), chains=4000, restart=0.2, jumps=0.2, points=start,
                      free=free, seed=1, blocks=None if blocks is None else torch.tensor(blocks))
    chains.run(lambda x: 4 * x[:, 0] + 4 * x[:, 1], 150, burn_in=50)
    chains.restart = 0.0  # what has just begun anew is not yet exact
    chains.run(lambda x: 4 * x[:, 0] + 4 * x[:, 1], 50)
    x = chains.points
    assert torch.equal(x[:, 2], start[:, 2]) and torch.equal(x[~there, 1], start[~there, 1])
    for what, was in ((x[:, 0], start[:, 0]), (x[there, 1], start[there, 1])):
        assert (what != was).double().mean() > 0.99
        assert stats.kstest(what.numpy(), stats.truncexpon(4, scale=0.25).cdf).pvalue > 1e-3


@pytest.mark.parametrize("blocks", [None, torch.eye(2).bool()])
def test_the_gradient_through_a_chain(blocks):
    """Against differences at the same random numbers: of the energy's parameters, and of the temperature."""
    def moments(theta):
        def energy(x):
            return theta[0] * (x.norm(dim=1) - theta[1]).square() + x[:, 0]

        chains = Langevin(*BOX, chains=64, restart=0, jumps=0.1, step=3e-3, seed=5, blocks=blocks)
        x = chains.run(energy, 6, temperature=theta[2].exp(), through=True)
        return (x[:, 0] * x[:, 1].exp()).mean() + x.square().mean()

    theta = torch.tensor([6.0, 1.0, -0.4], dtype=torch.float64, requires_grad=True)
    slope = torch.autograd.grad(moments(theta), theta)[0]
    differences = [(moments(theta.detach() + e) - moments(theta.detach() - e)) / 2e-6 for e in 1e-6 * torch.eye(3).double()]
    assert slope.abs().min() > 1e-3
    torch.testing.assert_close(slope, torch.stack(differences).detach(), rtol=1e-4, atol=1e-8)


def test_without_through_nothing_is_differentiable_and_the_points_are_the_same():
    w = torch.tensor(6.0, dtype=torch.float64, requires_grad=True)
    found = [Langevin(*BOX, chains=64, seed=5).run(lambda x: w * ring(x), 6, burn_in=2, through=t) for t in (True, False)]
    assert found[0].requires_grad and not found[1].requires_grad
    assert torch.equal(found[0].detach(), found[1])


def test_chains_go_on_from_their_state_and_generator():
    def chains(seed):
        return Langevin(*BOX, chains=100, buffer=300, blocks=torch.eye(2).bool(), seed=seed)

    whole, other = chains(0), chains(1)
    whole.run(ring, 5, burn_in=7)
    for mine, its in zip(other.state, whole.state, strict=True):
        mine.copy_(its)
    other.random.set_state(whole.random.get_state())
    for run in ({"steps": 6, "adapt": True}, {"steps": 4}):
        assert torch.equal(whole.run(ring, **run), other.run(ring, **run))
    assert all(torch.equal(a, b) for a, b in zip(whole.state, other.state, strict=True))


def test_same_seed_same_samples_whatever_the_global_state():
    def run(seed):
        torch.manual_seed(np.random.default_rng().integers(1000))
        chains = Langevin(*BOX, chains=50, buffer=200, seed=seed)
        return torch.cat([chains.run(ring, 5, burn_in=3) for _ in range(4)])

    torch.testing.assert_close(run(1), run(1), rtol=0, atol=0)
    assert not torch.equal(run(1), run(2))


def test_the_buffer_goes_on_where_it_was_and_a_share_begins_anew():
    chains = Langevin(*BOX, chains=100, buffer=400, restart=0, jumps=0, step=1e-6, seed=0)
    before = chains.points.clone()
    chains.run(ring, 1)
    moved = (chains.points != before).any(1)
    assert 80 < int(moved.sum()) <= 100 and (chains.points - before).abs().max() < 0.03
    events = torch.tensor([[0.3, 0.3], [-0.3, 0.3]], dtype=torch.float64)
    chains.restart = 1.0
    x = chains.run(ring, 1, fresh=events)
    assert torch.cdist(x, events).min(1).values.max() < 0.03
    assert torch.cdist(x, events).argmin(1).unique().tolist() == [0, 1]
    cold = Langevin(*BOX, chains=100, restart=0, seed=0).run(slope, 200, burn_in=200, temperature=0.01)
    assert cold[:, 0].mean() < -1.9 and cold[:, 1].mean() > 1.2


def test_the_share_at_the_bounds():
    chains = Langevin(*BOX, chains=2000, restart=0, seed=0)
    chains.run(lambda x: 0 * x[:, 0], 20)
    assert chains.diagnostics["at_bounds"] == pytest.approx(1 - 0.98**2, abs=0.015)


def test_r_hat_finds_chains_that_do_not_mix():
    stuck = Langevin(*BOX, chains=300, restart=0, jumps=0, seed=0)
    stuck.run(lambda x: 20 * two_modes(x), 100, burn_in=100)
    assert stuck.diagnostics["r_hat"] > 1.5
    mixing = Langevin(*BOX, chains=300, restart=0, seed=0)
    mixing.run(ring, 2000, burn_in=200)
    assert mixing.diagnostics["r_hat"] < 1.03
    stuck.run(ring, 3)
    assert stuck.diagnostics["r_hat"] is None


def test_flat_energy_and_float32():
    chains = Langevin(*(b.float() for b in BOX), chains=3000, restart=0, seed=0)
    x = chains.run(lambda x: torch.zeros(len(x)), 200, burn_in=50)
    assert x.dtype == torch.float32
    for i in range(2):
        low, high = (float(b[i]) for b in BOX)
        assert stats.kstest(x[:, i].numpy(), stats.uniform(low, high - low).cdf).pvalue > 1e-3


@pytest.mark.parametrize("wrong", [{"chains": 0}, {"chains": 10, "buffer": 5}, {"restart": 1.5}, {"jumps": -1}, {"target": 1.0},
                                   {"step": 0.0}])
def test_wrong_settings_are_one_sentence(wrong):
    with pytest.raises(InputError, match="expected"):
        Langevin(*BOX, **wrong)


def test_wrong_bounds_and_steps():
    with pytest.raises(InputError, match="low < high"):
        Langevin(BOX[1], BOX[0])
    for wrong in ({"steps": 0}, {"steps": 1, "temperature": 0.0}, {"steps": 1, "burn_in": -1}, {"steps": 1, "every": 0}):
        with pytest.raises(InputError, match="expected at least one step"):
            Langevin(*BOX, chains=2).run(ring, **wrong)


def test_sliced_distance_is_scipys_slice_by_slice():
    rng = np.random.default_rng(0)
    events, points = torch.as_tensor(rng.normal(0.3, 1, (700, 3))), torch.as_tensor(rng.uniform(-4, 3, (4000, 3)))
    w = torch.as_tensor(rng.dirichlet(np.ones(4000)))
    slices = Slices(events, 5, seed=1)
    assert torch.equal(slices.axes[:3], torch.eye(3).double()) and len(slices.axes) == 8
    exact = [stats.wasserstein_distance((events @ u).numpy(), (points @ u).numpy(), None, w.numpy()) for u in slices.axes]
    assert float(slices.against(points)(w)) == pytest.approx(np.mean(exact), rel=2e-3)
    exact = [stats.wasserstein_distance(events[:, i], points[:, i] + 100, None, w) for i in range(3)]  # no overlap: exact
    assert float(Slices(events, 0).against(points + 100)(w)) == pytest.approx(np.mean(exact), rel=1e-12)
    assert len(Slices(events[:, :1]).axes) == 1


def test_sliced_distance_has_the_right_gradient():
    rng = np.random.default_rng(1)
    events, points = torch.as_tensor(rng.normal(0, 1, (50, 2))), torch.as_tensor(rng.normal(1, 1, (30, 2)))
    distance = Slices(events, 4).against(points)
    z = torch.as_tensor(rng.normal(size=30)).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: distance(z.softmax(0)), (z,))
