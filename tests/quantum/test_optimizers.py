import numpy as np
import pennylane as qml
import pytest
import torch

from qad.errors import InputError
from qad.quantum import encodings, engine, geometry
from qad.quantum.mean_state import MeanState
from qad.quantum.optimizers import NaturalGradient, solve
from qad.quantum.program import compile_program

N = 4


def circuit(w, wires):
    qml.StronglyEntanglingLayers(w, wires)


@pytest.fixture(scope="module")
def problem():
    program = compile_program(circuit, (2, N, 3), N)
    x = torch.tensor(np.random.default_rng(0).uniform(-1, 1, (60, N)))
    states = engine.states(encodings.angle, x, N)
    return program, states, MeanState.of_states(states)


def descend(problem, make, steps, scale=1.0, start=3):
    """Losses along a descent in u with weights θ = scale · u."""
    program, states, rho = problem
    u = torch.tensor(np.random.default_rng(start).uniform(-1, 1, program.shape) / scale, requires_grad=True)

    def metric():
        return scale**2 * geometry.metric_tensor(program, scale * u, states, mean=rho)

    optimizer = make([u], metric)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = engine.infidelity(engine.kept_rows(program, scale * u, 1), rho)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def test_it_ends_where_adam_ends(problem):
    natural = descend(problem, lambda p, m: NaturalGradient(p, m, lr=0.3, damping=1e-2), 60)
    adam = descend(problem, lambda p, m: torch.optim.Adam(p, lr=0.1), 200)
    best, _ = problem[2].ceiling(1)
    assert natural[-1] == pytest.approx(adam[-1], abs=2e-3) and natural[0] > adam[-1] + 0.2
    assert min(natural) >= 1 - best - 1e-12


def test_its_path_does_not_depend_on_the_parametrisation(problem):
    """θ = 5 u: natural gradient takes the same path through state space, plain gradient descent another."""
    natural = [descend(problem, lambda p, m: NaturalGradient(p, m, lr=0.05, damping=0.0), 8, s) for s in (1.0, 5.0)]
    np.testing.assert_allclose(*natural, rtol=1e-6)
    plain = [descend(problem, lambda p, m: torch.optim.SGD(p, lr=0.05), 8, s) for s in (1.0, 5.0)]
    assert not np.allclose(*plain, rtol=1e-2)


def test_one_step_is_the_formula(problem):
    program, states, rho = problem
    w = torch.tensor(np.random.default_rng(1).uniform(-1, 1, program.shape), requires_grad=True)
    before = w.detach().clone().reshape(-1)
    G = geometry.metric_tensor(program, w, states)
    optimizer = NaturalGradient([w], lambda: G, lr=0.2, damping=0.1)
    loss = optimizer.step(lambda: (engine.infidelity(engine.kept_rows(program, w, 1), rho).backward(), 1.5)[1])
    step = torch.linalg.solve(G + 0.1 * torch.eye(len(G)), w.grad.reshape(-1))
    alive = torch.linalg.eigh(G)[1][:, torch.linalg.eigvalsh(G) > 1e-8]
    torch.testing.assert_close(alive.mT @ (w.detach().reshape(-1) - before), -0.2 * alive.mT @ step, atol=1e-9, rtol=1e-7)
    assert loss == 1.5


def test_trust_bounds_the_step(problem):
    program, states, rho = problem
    w = torch.tensor(np.random.default_rng(2).uniform(-1, 1, program.shape), requires_grad=True)
    before = w.detach().clone().reshape(-1)
    G = geometry.metric_tensor(program, w, states)
    optimizer = NaturalGradient([w], lambda: G, lr=100.0, damping=1e-3, trust=0.05)
    engine.infidelity(engine.kept_rows(program, w, 1), rho).backward()
    optimizer.step()
    d = w.detach().reshape(-1) - before
    assert float((d @ G @ d).sqrt()) == pytest.approx(0.05, rel=1e-6)


def test_momentum_carries_on(problem):
    with_momentum = descend(problem, lambda p, m: NaturalGradient(p, m, lr=0.02, momentum=0.8), 30)
    without = descend(problem, lambda p, m: NaturalGradient(p, m, lr=0.02), 30)
    assert with_momentum[0] == without[0] and with_momentum[1] == without[1] and with_momentum[-1] < without[-1]


def test_directions_in_which_nothing_moves_are_left_alone():
    G = torch.diag(torch.tensor([1.0, 0.0]))
    assert solve(G, torch.tensor([2.0, 3.0]), 0.0).tolist() == [2.0, 0.0]


@pytest.mark.parametrize("bad", [{"lr": 0.0}, {"damping": -1.0}, {"momentum": 1.0}, {"trust": 0.0}])
def test_settings_that_make_no_sense(bad):
    with pytest.raises(InputError, match="expected lr > 0"):
        NaturalGradient([torch.zeros(2, requires_grad=True)], lambda: torch.eye(2), **bad)


def test_a_metric_of_the_wrong_shape():
    w = torch.zeros(2, requires_grad=True)
    w.grad = torch.ones(2)
    with pytest.raises(InputError, match="the metric has shape"):
        NaturalGradient([w], lambda: torch.eye(3)).step()
