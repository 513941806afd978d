"""The normalised quantum autoencoder against closed forms, SciPy's integrals, a density that it can hold, its own chains."""

import math
import warnings

import numpy as np
import pennylane as qml
import pytest
import torch
from scipy import integrate, special, stats

from qad import load, save
from qad.errors import InputError, NotConvergedWarning
from qad.quantum import engine, ensemble
from qad.quantum.circuit import Circuit
from qad.quantum.encodings import angle_y, dense_angle
from qad.quantum.ensemble import Chains, QuasiRandom, spread_points
from qad.quantum.mean_state import MeanState
from qad.quantum.normalised import NormalisedAutoencoder
from qad.sampling import Langevin
from qad.transport import Slices

HALF = math.pi / 2


def entangled(w, wires):
    qml.StronglyEntanglingLayers(w, wires=wires)


def product(w, wires):
    for q, wire in enumerate(wires):
        qml.RY(w[q], wires=wire)


def circuit(n, ansatz=entangled, encoding=angle_y):
    return Circuit(encoding, ansatz, (2, n, 3) if ansatz is entangled else (n,), n)


def background(n=400, f=3, seed=0):
    """Correlated angles around the middle of the box."""
    rng = np.random.default_rng(seed)
    return torch.as_tensor(np.clip(HALF + 0.4 * rng.normal(size=(n, f)) @ (np.eye(f) + 0.5), 0, np.pi))


def random_weights(shape, seed=0):
    return torch.as_tensor(np.random.default_rng(seed).uniform(-np.pi, np.pi, shape))


def compared(kind, made, X, *size, weights=None, latent=0, beta=1.0, seed=0):
    """A model of energy that is the circuit's with these weights; β = e^log_beta may be trained."""
    w = random_weights(made.shape) if weights is None else weights
    log_beta = torch.tensor(math.log(beta), dtype=torch.float64, requires_grad=True)
    return kind(made, w, latent, log_beta, Slices(X), *([X] if kind is QuasiRandom else []), *size, seed)


def held_exactly(n, f, T, seed=0):
    """Events of p ∝ exp(-E/T) with E = 1 - Π cos²((x - π/2)/2) on [0, π]^f, by rejection, and their mean E."""
    rng = np.random.default_rng(seed)
    X, E = np.empty((0, f)), np.empty(0)
    while len(X) < n:
        x = rng.uniform(0, np.pi, (50 * n, f))
        e = 1 - (np.cos((x - HALF) / 2) ** 2).prod(1)
        keep = rng.uniform(size=len(x)) < np.exp(-e / T)
        X, E = np.r_[X, x[keep]], np.r_[E, e[keep]]
    return X[:n], E[:n]


@pytest.mark.parametrize("latent", [0, 1])
def test_the_mean_energy_of_the_box_is_the_closed_form(latent):
    """∫ ⟨φ|O|φ⟩ over the box is Tr(O ⊗_q ρ_q), for RY ρ_q = ½ + X/π."""
    made = circuit(4)
    rows = made.rows(random_weights(made.shape), latent)
    rho = torch.tensor([[1.0]], dtype=torch.float64)
    for _ in range(4):
        rho = torch.kron(rho, torch.tensor([[0.5, 1 / math.pi], [1 / math.pi, 0.5]], dtype=torch.float64))
    exact = float(engine.infidelity(rows, MeanState.of_matrix(rho.to(torch.complex128))))
    for points in (4096, 5000):  # the shares need not be powers of two
        model = compared(QuasiRandom, made, background(f=4), points, latent=latent, seed=1)
        weight = (-model.log_q).exp() / points
        assert float(weight.sum()) == pytest.approx(1, abs=5e-3)
        assert float(weight @ model.energies()) == pytest.approx(exact, abs=5e-3)
        np.testing.assert_allclose(float(weight @ model.points[:, 2]), HALF, atol=0.01)


def test_points_fill_the_box_by_their_density():
    X = background(f=2)
    points, log_q = spread_points(X, 2**14, seed=0)
    assert points.min() >= 0 and points.max() <= math.pi
    weight = (-log_q).exp() / len(points)
    for i in range(2):
        for edge in (0.3, 1.2, 2.0, 3.0):
            assert float(weight[points[:, i] < edge].sum()) == pytest.approx(edge / math.pi, abs=3e-3)


@pytest.mark.parametrize("latent", [0, 1])
def test_gradient_of_the_likelihood_is_the_difference_of_mean_states(latent):
    made, X = circuit(3), background()
    mean, w = made.mean_state(X), random_weights(made.shape, 2).requires_grad_()
    model = compared(QuasiRandom, made, X, 2048, weights=w, latent=latent, beta=4.0)
    nll = model.log_beta.exp() * model.energy(mean) + model.log_partition()
    slope, by_log_beta = torch.autograd.grad(nll, (w, model.log_beta))
    p = model.logits().detach().softmax(0)
    held = MeanState.of_matrix(torch.einsum("m,mi,mj->ij", p, model.psi, model.psi).to(torch.complex128), 0.0)
    rows = made.rows(w, latent)
    e_data, e_model = engine.infidelity(rows, mean), engine.infidelity(rows, held)
    (expected,) = torch.autograd.grad(4 * (e_data - e_model), w)
    assert slope.abs().max() > 0.1
    torch.testing.assert_close(slope, expected, rtol=1e-10, atol=1e-12)
    assert float(by_log_beta) == pytest.approx(float(4 * (e_data - e_model).detach()), abs=1e-12)
    noted = model.notes(mean, model.background)
    assert (noted["energy_data"], noted["energy_model"]) == pytest.approx((e_data.item(), e_model.item()), abs=1e-12)
    near = ((model.points < 0.01 * math.pi) | (model.points > 0.99 * math.pi)).double()
    assert noted["at_bounds"] == pytest.approx(float(p @ near.mean(1))) and float(near.mean()) > 0.01
    assert noted["wasserstein"] == pytest.approx(float(Slices(X).against(model.points)(p)))


def test_chains_have_the_gradient_of_the_likelihood():
    """(E₊ - E₋)/T with E₋ a mean over chains, against quadrature."""
    made, X = circuit(2), background(f=2)
    w = random_weights(made.shape, 5).requires_grad_()
    quadrature = compared(QuasiRandom, made, X, 2**14, weights=w, beta=3.0)
    chains = compared(Chains, made, X, 4000, 10, weights=w, beta=3.0)
    chains.run(60, 60)
    found = [torch.autograd.grad(m.log_partition(), w, retain_graph=True)[0] for m in (quadrature, chains)]
    assert float(chains.logits().detach().abs().max()) == 0
    assert found[0].abs().max() > 0.3
    torch.testing.assert_close(found[1], found[0], atol=0.04, rtol=0)


def test_one_qubit_has_a_known_normaliser():
    """E = (1 - cos(x + w))/2: half the circle by SciPy, two halves by the Bessel function I₀."""
    made, X = circuit(1, product), background(f=1)
    model = compared(QuasiRandom, made, X, 4096, beta=6.0)

    def Z(w):
        model.weights = torch.tensor([w], dtype=torch.float64)
        model.follow()
        return math.pi * math.exp(model.log_partition().item())

    for w in (-2.0, -0.3, 1.1):
        exact, _ = integrate.quad(lambda x, w=w: math.exp(-3 * (1 - math.cos(x + w))), 0, math.pi)
        assert Z(w) == pytest.approx(exact, rel=1e-3)
        assert Z(w) + Z(w + math.pi) == pytest.approx(2 * math.pi * special.i0e(3.0), rel=1e-3)


@pytest.mark.parametrize(("options", "close"), [({}, 0.02), ({"loss": "wasserstein"}, 0.06), ({"sampler": "langevin"}, 0.06)])
def test_a_density_it_can_hold_is_found(options, close):
    T, f = 0.2, 3
    theta, E = held_exactly(4000, f, T)
    X = np.log(np.tan(theta / 2))  # the angles are 2 arctan exp(s z)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = NormalisedAutoencoder(spread=float(X.std()), **options).fit(X[:3000], validation=X[3000:])
    d = model.diagnostics_
    assert model.temperature_ == pytest.approx(T, abs=close) and d["converged"]
    np.testing.assert_allclose(model.anomaly_score(X), E, atol=0.1)
    Z, _ = integrate.nquad(lambda *x: math.exp(-(1 - np.prod(np.cos((np.array(x) - HALF) / 2) ** 2)) / T), [(0, math.pi)] * f,
                           opts={"epsrel": 1e-3})
    assert model.log_likelihood(X).mean() == pytest.approx(-E.mean() / T - math.log(Z), abs=0.02)
    assert d["wasserstein"] < 0.1 and d["energy_ratio"] == pytest.approx(1, abs=0.1)
    assert d["problems"] == [] and 0 < d["wasserstein_fresh"] < 0.05
    for found in ("at_bounds", "at_bounds_data"):
        near = (np.abs(theta[:3000] - HALF) > 0.49 * np.pi).mean()
        assert d[found] == pytest.approx(near, abs=0.003) and 0.002 < near < 0.02
    notes, kept = d["history"]["notes"], d["history"]["best_epoch"]
    assert notes["energy_data"][kept] == pytest.approx(d["energy_data"], abs=1e-9)
    assert notes["energy_model"][kept] / d["energy_model"] == pytest.approx(1, abs=0.1)
    if "sampler" in options:
        assert abs(d["energy_chains"] - d["energy_model"]) < 5 * E.std() / math.sqrt(512)
        assert d["acceptance"] == pytest.approx(0.57, abs=0.03) and d["r_hat"] < 1.1
        assert np.mean(notes["acceptance"][-20:]) == pytest.approx(0.57, abs=0.05) and notes["step"][-1] > 0
    else:
        assert d["effective_points"] > 500 and abs(d["log_normaliser_error"]) < 5e-3


def table(n=600, f=2, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, f)) @ (np.eye(f) + 0.6) + 5


def test_the_likelihood_is_a_density_and_training_raises_it():
    X = table()
    model = NormalisedAutoencoder(ansatz="strongly-entangling", layers=2).fit(X)
    grid = (np.arange(300) + 0.5) * np.pi / 300
    angles = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
    back = model.mean_ + np.log(np.tan(angles / 2)) * model.deviation_ / model.spread_
    np.testing.assert_allclose(model.inputs(back), angles, atol=1e-9)
    assert np.exp(model.log_likelihood(back)).mean() * np.pi**2 == pytest.approx(1, abs=5e-3)
    assert np.argsort(model.log_likelihood(X)).tolist() == np.argsort(-model.anomaly_score(X)).tolist()
    assert model.log_likelihood(X).mean() == pytest.approx(model.diagnostics_["log_likelihood"])
    with pytest.warns(NotConvergedWarning, match="still falling"):
        begun = NormalisedAutoencoder(ansatz="strongly-entangling", layers=2, epochs=1, warm_up=0, learning_rate=1e-9).fit(X)
    new = table(seed=1)
    assert model.log_likelihood(new).mean() > begun.log_likelihood(new).mean() + 0.3
    assert model.log_likelihood(new).mean() > -2 * math.log(math.pi) + 0.1  # the uniform density's
    history, first = model.diagnostics_["history"], model.diagnostics_["warm_up"]
    losses, notes = history["train"][first:], history["notes"]
    assert min(losses) == losses[history["best_epoch"] - first] < losses[0]
    assert notes["energy_data"][:first] == history["train"][:first] and notes["energy_model"][:first] == [None] * first
    assert 0 < first <= model.warm_up and len(notes) == 4
    assert {len(v) for v in [*notes.values(), history["seconds"]]} == {len(history["train"])}


def test_too_few_points_are_told():
    with pytest.warns(NotConvergedWarning, match="effective points, log Z off by .*: take more points") as warned:
        model = NormalisedAutoencoder(points=16, temperature=0.02).fit(table(f=4))
    assert model.diagnostics_["converged"] is False
    assert str(warned[0].message).endswith(": " + "; ".join(model.diagnostics_["problems"]))
    with pytest.warns(NotConvergedWarning, match="no likelier than a uniform density"):
        NormalisedAutoencoder(temperature=0.01, ansatz="strongly-entangling", epochs=1, learning_rate=1e-9).fit(table())


@pytest.mark.filterwarnings("ignore::qad.errors.NotConvergedWarning")
def test_what_is_told_of_the_data_is_not_the_models():
    """Of the angles two fifths lie within π/100 of 0 or π, where no circuit can crowd; two halves by SciPy's distance."""
    X = np.random.default_rng(0).permutation(np.r_[np.linspace(-1, 1, 300), np.full(100, -5.0), np.full(100, 5.0)])[:, None]
    model = NormalisedAutoencoder(spread=float(X.std()), epochs=20, warm_up=0).fit(X)
    d, angles = model.diagnostics_, model.inputs(X)[:, 0]
    assert d["at_bounds_data"] == pytest.approx(0.4) and 0.01 < d["at_bounds"] < 0.1 and d["warm_up"] == 0
    assert d["wasserstein_fresh"] == pytest.approx(stats.wasserstein_distance(angles[::2], angles[1::2]))
    points, log_q = spread_points(torch.as_tensor(angles[:, None]), 2**15, seed=9)
    p = np.exp(model.log_likelihood(model.mean_ + np.log(np.tan(points.numpy().clip(1e-9, 3.1415926) / 2))
                                    * model.deviation_ / model.spread_) - log_q.numpy())
    exact = stats.wasserstein_distance(angles, points[:, 0], v_weights=p)
    assert d["wasserstein"] == pytest.approx(exact, abs=0.01)


def test_score_circuit_and_a_saved_model_agree(tmp_path):
    X = table(f=3)
    model = NormalisedAutoencoder(latent=1, ansatz="strongly-entangling", layers=1, epochs=20).fit(X)
    made, weights, latent = model.exported()

    @qml.qnode(qml.device("default.qubit", wires=3))
    def trash(x):
        made.encoding(x, range(3))
        made.ansatz(weights, range(3))
        return qml.probs(wires=range(latent, 3))

    score = model.anomaly_score(X[:5])
    np.testing.assert_allclose(score, [1 - trash(x)[0] for x in model.inputs(X[:5])], atol=1e-12)
    save(model, tmp_path / "m")
    np.testing.assert_array_equal(load(tmp_path / "m").log_likelihood(X), model.log_likelihood(X))
    shots = model.set_params(shots=1000).anomaly_score(X[:5])
    assert 0 < np.abs(shots - score).max() < 0.1


def test_states_with_complex_amplitudes_and_float32():
    made = Circuit(dense_angle, entangled, (2, 2, 3), 2)
    X = background(f=4)
    model = compared(QuasiRandom, made, X, 64, latent=1)
    rows = made.rows(random_weights(made.shape), 1)
    assert model.psi.is_complex()
    torch.testing.assert_close(model.energies(), 1 - engine.fidelities(rows, made.states(model.points)))
    model = NormalisedAutoencoder(encoding="dense-angle", ansatz="strongly-entangling", epochs=30, dtype="float32")
    model.fit(table(f=4))
    assert np.isfinite(model.log_likelihood(table(f=4))).all()


class Killed(Exception):
    pass


@pytest.mark.filterwarnings("ignore::qad.errors.NotConvergedWarning")
@pytest.mark.parametrize("settings", [{}, {"sampler": "langevin"}, {"sampler": "langevin", "loss": "wasserstein", "steps": 2}])
def test_goes_on_after_a_kill(tmp_path, monkeypatch, settings):
    """With the same bits, of the chains too: which ran on from where they had been, with their step and random numbers."""
    monkeypatch.setenv("QAD_CHECKPOINT_SECONDS", "0")
    X, file = table(100), tmp_path / "half"
    whole = NormalisedAutoencoder(epochs=20, **settings).fit(X)

    class Stopped(Langevin):
        """Nothing is left after a kill but the file: chains begin elsewhere, and draw other numbers."""

        def __init__(self, *args, seed, **more):
            super().__init__(*args, seed=seed + 1, **more)

    def kill(done, of):
        if done == 12:
            raise Killed

    model = NormalisedAutoencoder(epochs=20, checkpoint=str(file), **settings)
    model.progress = kill
    with pytest.raises(Killed):
        model.fit(X)
    assert file.exists()
    monkeypatch.setattr(ensemble, "Langevin", Stopped)
    again = NormalisedAutoencoder(epochs=20, checkpoint=str(file), **settings).fit(X)
    np.testing.assert_array_equal(again.weights_, whole.weights_)
    assert again.temperature_ == whole.temperature_ and not file.exists()
    told = [{k: v for k, v in m.diagnostics_.items() if k != "history"} for m in (again, whole)]
    assert told[0] == told[1]  # of the chains' last run too
    for kind in ("train", "validation", "notes", "best_epoch"):
        assert again.diagnostics_["history"][kind] == whole.diagnostics_["history"][kind]


@pytest.mark.parametrize(("wrong", "sentence"), [
    ({"loss": "infidelity"}, "likelihood, wasserstein"),
    ({"temperature": 0}, "temperature=0: expected a number above 0"),
    ({"temperature": "auto"}, "or 'likelihood'"),
    ({"sampler": "metropolis"}, "expected 'quasi-random' or 'langevin'"),
    ({"points": 1}, "points=1: expected a whole number from 2"),
    ({"points": 2**27}, "take fewer points, or sampler='langevin'"),
    ({"warm_up": -1}, "warm_up=-1"),
    ({"optimizer": "qbang"}, "give temperature=a number"),
])
def test_wrong_settings_are_one_sentence(wrong, sentence):
    with pytest.raises(InputError, match=sentence):
        NormalisedAutoencoder(**wrong).fit(table(50))


def test_slices_judge_the_model():
    """The distance told is that of a sample of the model, within noise: chains against weights."""
    X = table(2000)
    model = NormalisedAutoencoder(ansatz="strongly-entangling", layers=2).fit(X)
    events = model._tensor(model.inputs(X))
    chains = compared(Chains, model.circuit(), events, 4000, 10, weights=torch.as_tensor(model.weights_),
                      beta=1 / model.temperature_, seed=1)
    chains.run(100, 100)
    slices = Slices(events, 16, 0)
    drawn = float(slices.against(chains.points)(torch.full((4000,), 1 / 4000, dtype=torch.float64)))
    assert drawn == pytest.approx(model.diagnostics_["wasserstein"], abs=0.02)
