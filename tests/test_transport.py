"""The exact 1-Wasserstein distance against SciPy's assignment and its distance in one dimension."""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from qad.errors import InputError
from qad.transport import wasserstein


def events(n, d, seed, at=0.0):
    return torch.as_tensor(np.random.default_rng(seed).normal(at, 1, (n, d)))


@pytest.mark.parametrize(("n", "d"), [(1, 2), (40, 2), (150, 5)])
def test_equal_numbers_are_an_assignment(n, d):
    a, b = events(n, d, 0), events(n, d, 1, 0.4)
    cost = cdist(a, b)
    assert float(wasserstein(a, b)) == pytest.approx(cost[linear_sum_assignment(cost)].sum() / n, rel=1e-9)


@pytest.mark.parametrize(("n", "m"), [(200, 200), (30, 70), (1, 50)])
def test_one_dimension_is_scipys_whatever_the_numbers(n, m):
    a, b = events(n, 1, 0), events(m, 1, 1, 0.7)
    assert float(wasserstein(a, b)) == pytest.approx(stats.wasserstein_distance(a[:, 0], b[:, 0]), rel=1e-9)
    assert wasserstein(a.float(), b.float()).dtype == torch.float32


def test_unequal_numbers_are_repeated_events():
    """12 against 18 events are 36 against 36."""
    a, b = events(12, 3, 0), events(18, 3, 1, 0.5)
    cost = cdist(np.repeat(a.numpy(), 3, 0), np.repeat(b.numpy(), 2, 0))
    assert float(wasserstein(a, b)) == pytest.approx(cost[linear_sum_assignment(cost)].mean(), rel=1e-9)


def test_it_is_a_distance():
    a, b, c = events(20, 2, 0), events(30, 2, 1, 1.0), events(25, 2, 2, -1.0)
    assert float(wasserstein(a, a.flip(0))) == pytest.approx(0, abs=1e-6)
    assert float(wasserstein(a, b)) == pytest.approx(float(wasserstein(b, a)), rel=1e-9)
    assert float(wasserstein(a, c)) <= float(wasserstein(a, b) + wasserstein(b, c))
    moved = torch.tensor([3.0, -4.0], dtype=torch.float64)
    assert float(wasserstein(a, a + moved)) == pytest.approx(5.0, rel=1e-9)  # a translation moves each event by its length


def test_the_gradient_goes_to_both():
    a, b = events(8, 2, 0).requires_grad_(), events(11, 2, 1, 0.5).requires_grad_()
    assert torch.autograd.gradcheck(wasserstein, (a, b))
    wasserstein(a, b).backward()
    torch.testing.assert_close(a.grad.sum(0), -b.grad.sum(0))  # it does not change if both are moved


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_events_that_are_not_finite_are_one_sentence(bad):
    a, b = events(5, 2, 0), events(5, 2, 1)
    b[3, 1] = bad
    for pair in ((a, b), (b, a)):
        with pytest.raises(InputError, match="needs finite events: look for a learning_rate"):
            wasserstein(*pair)
