import numpy as np
import pennylane as qml
import pytest
import torch

from qad.errors import InputError
from qad.quantum import encodings, engine, geometry
from qad.quantum.circuit import Circuit
from qad.quantum.mean_state import MeanState
from qad.quantum.optimizers import OPTIMIZERS, QNSPSA, NaturalGradient, QBang, build, solve
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

    def closure():
        optimizer.zero_grad()
        loss = engine.infidelity(engine.kept_rows(program, scale * u, 1), rho)
        if loss.requires_grad:
            loss.backward()
        return loss.detach()

    return [float(optimizer.step(closure)) for _ in range(steps)]


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
    carried = NaturalGradient([w], lambda: G, lr=100.0, trust=0.05, momentum=0.9)
    for _ in range(10):
        before = w.detach().clone().reshape(-1)
        carried.step()
        d = w.detach().reshape(-1) - before
        assert float((d @ G @ d).sqrt()) <= 0.05 * (1 + 1e-6)


def test_momentum_carries_on(problem):
    with_momentum = descend(problem, lambda p, m: NaturalGradient(p, m, lr=0.02, momentum=0.8), 30)
    without = descend(problem, lambda p, m: NaturalGradient(p, m, lr=0.02), 30)
    assert with_momentum[0] == without[0] and with_momentum[1] == without[1] and with_momentum[-1] < without[-1]


def test_directions_in_which_nothing_moves_are_left_alone():
    G = torch.diag(torch.tensor([1.0, 0.0]))
    assert solve(G, torch.tensor([2.0, 3.0]), 0.0).tolist() == [2.0, 0.0]


def overlap_of(problem):
    program, states, _ = problem
    overlap = geometry.Overlap(Circuit(encodings.angle, circuit, program.shape, N), torch.zeros(1, N))
    overlap.states = states
    return overlap


def test_qbang_is_its_formula(problem):
    """Two steps by hand: B is measured once, then B ← (1 - ε)B + ε g gᵀ, the inverse kept by Sherman-Morrison."""
    program, states, rho = problem
    w = torch.tensor(np.random.default_rng(1).uniform(-1, 1, program.shape), requires_grad=True)
    calls = []

    def metric():
        calls.append(1)
        return geometry.metric_tensor(program, w, states, mean=rho)

    B = metric() + 0.05 * torch.eye(w.numel(), dtype=torch.float64)
    theta, m, v = w.detach().clone().reshape(-1), 0, 0
    optimizer = QBang([w], metric, lr=0.1, discount=0.3, damping=0.05)
    for k in range(3):
        optimizer.zero_grad()
        engine.infidelity(engine.kept_rows(program, w, 1), rho).backward()
        g = w.grad.reshape(-1).clone()
        optimizer.step()
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        p = m / (1 - 0.9 ** (k + 1)) / ((v / (1 - 0.999 ** (k + 1))).sqrt() + 1e-8)
        theta = theta - 0.1 / (k + 1) ** 0.3 * torch.linalg.solve(B, p)
        eps = 0.3 / (k + 1)
        B = (1 - eps) * B + eps * torch.outer(g, g)
        torch.testing.assert_close(w.detach().reshape(-1), theta)
    assert len(calls) == 2  # one of them ours


def test_the_metric_of_random_directions_is_right_on_average():
    """QN-SPSA on fidelities 1 - dᵀ M d finds M, and the gradient of a linear loss."""
    rng = np.random.default_rng(0)
    M = rng.normal(size=(5, 5))
    M, slope = torch.tensor(M @ M.T / 20), torch.tensor(rng.normal(size=5))
    w = torch.zeros(5, dtype=torch.float64)
    optimizer = QNSPSA([w], lambda a, b: 1 - (a - b) @ M @ (a - b), lr=1e-12, spread=0.02)
    for _ in range(4000):
        optimizer.step(lambda: w @ slope)
    np.testing.assert_allclose(optimizer.state[w]["metric"], M, atol=0.06)
    big = QNSPSA([w], lambda a, b: torch.tensor(1.0), lr=0.5, damping=1e-9)
    steps = []
    for _ in range(2000):  # no metric: the identity's share 1/(k + 1) is left
        before = w.clone()
        big.state.clear()
        big.step(lambda: w @ slope)
        steps.append((w - before).numpy())
    np.testing.assert_allclose(np.mean(steps, 0), -2 * 0.5 * slope, atol=0.15)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimiser_descends_and_repeats_itself(problem, name):
    options = {"learning_rate": {"qn-spsa": 0.05, "gradient-descent": 0.5, "qbang": 0.02}.get(name, 0.05)}

    def make(params, metric):
        return build(name, params[0], [], options["learning_rate"], metric, overlap_of(problem), seed=1)

    first, again = (descend(problem, make, 60) for _ in range(2))
    assert first == again
    assert min(first[-10:]) < first[0] - 0.05


def test_groups_natural_gradient_for_the_circuit_adam_for_the_rest(problem):
    program, states, rho = problem
    w = torch.tensor(np.random.default_rng(1).uniform(-1, 1, program.shape), requires_grad=True)
    x = torch.tensor([2.0, -1.0], dtype=torch.float64, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    grouped = NaturalGradient([{"params": [w], "metric": lambda: geometry.metric_tensor(program, w, states, mean=rho)},
                               {"params": [x], "lr": 0.02}], lr=0.1)
    adam = torch.optim.Adam([y], lr=0.02)
    for _ in range(5):
        grouped.zero_grad()
        (engine.infidelity(engine.kept_rows(program, w, 1), rho) + x.square().sum()).backward()
        grouped.step()
        adam.zero_grad()
        y.square().sum().backward()
        adam.step()
    torch.testing.assert_close(x, y)


def test_blocking_never_takes_a_step_up(problem):
    losses = descend(problem, lambda p, m: QNSPSA(p, overlap_of(problem), lr=0.3, blocking=0.0), 40)
    assert (np.diff(losses) <= 1e-12).all() and losses[-1] < losses[0]


def test_state_dicts_go_round(problem):
    """As with any torch optimiser: five steps, saved and loaded, five more, are ten."""
    import copy
    program, states, rho = problem

    def run(steps, w, optimizer):
        for _ in range(steps):
            optimizer.zero_grad()
            engine.infidelity(engine.kept_rows(program, w, 1), rho).backward()
            optimizer.step()

    def make(values):
        w = values.clone().requires_grad_()
        return w, NaturalGradient([w], lambda: geometry.metric_tensor(program, w, states, mean=rho), momentum=0.5)

    start = torch.tensor(np.random.default_rng(1).uniform(-1, 1, program.shape))
    whole, optimizer = make(start)
    run(10, whole, optimizer)
    half, optimizer = make(start)
    run(5, half, optimizer)
    rest, resumed = make(half.detach())
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    run(5, rest, resumed)
    torch.testing.assert_close(rest, whole)


@pytest.mark.parametrize("bad", [{"lr": 0.0}, {"damping": -1.0}, {"momentum": 1.0}, {"trust": 0.0}])
def test_settings_that_make_no_sense(bad):
    with pytest.raises(InputError, match="expected lr > 0"):
        NaturalGradient([torch.zeros(2, requires_grad=True)], lambda: torch.eye(2), **bad)


def test_a_metric_of_the_wrong_shape():
    w = torch.zeros(2, requires_grad=True)
    w.grad = torch.ones(2)
    with pytest.raises(InputError, match="the metric has shape"):
        NaturalGradient([w], lambda: torch.eye(3)).step()


def test_mistakes_are_one_sentence(problem):
    w = torch.zeros(2, requires_grad=True)
    with pytest.raises(InputError, match="needs a metric"):
        NaturalGradient([w])
    with pytest.raises(InputError, match="discount"):
        QBang([w], lambda: torch.eye(2), discount=1.5)
    with pytest.raises(InputError, match="and no metric"):
        QBang([w], None)
    later = NaturalGradient([w], lambda: torch.eye(2))
    later.add_param_group({"params": [torch.zeros(1, requires_grad=True)], "metric": None, "lr": 0.1})
    assert later.metrics[1] is None
    with pytest.raises(InputError, match="lr > 0"):
        later.add_param_group({"params": [torch.zeros(1, requires_grad=True)], "lr": -1})
    with pytest.raises(InputError, match="closure"):
        QNSPSA([w], None).step()
    with pytest.raises(InputError, match="one group"):
        QNSPSA([{"params": [w]}, {"params": [torch.zeros(1)]}], None)
    with pytest.raises(InputError, match="spread"):
        QNSPSA([w], None, spread=0)
    with pytest.raises(InputError, match="did you mean 'adam'"):
        build("adm", w, [], 0.1, None, None)
    with pytest.raises(InputError, match="trains the circuit only"):
        build("qbang", w, [w], 0.1, None, None)
    with pytest.raises(InputError, match="optimizer 'adam':"):
        build("adam", w, [], 0.1, None, None, damp=3)
