"""Mitigation against closed forms, mitiq's factories, and Aer with its own gate and readout errors."""

import numpy as np
import pennylane as qml
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, ReadoutError, depolarizing_error

from qad.errors import InputError
from qad.quantum import backends, encodings, export
from qad.quantum.backends import isa as circuits
from qad.quantum.backends import mitigation
from qad.quantum.circuit import Circuit
from qad.quantum.outcomes import weights as outcome_weights
from tests.quantum.test_aer import line

BASIS = ["cx", "rz", "sx", "x"]


class Bench:
    """A machine made of Aer: density matrices with gate errors of ``model``, then the confusion of each of its qubits."""

    def __init__(self, isa, depolarised=0.0, confusion=None):
        self.isa, self.confusion, self.ran = isa, confusion or {}, []
        self.model = NoiseModel(BASIS)
        if depolarised:
            self.model.add_all_qubit_quantum_error(depolarizing_error(depolarised, 2), ["cx"])

    def run(self, isa, X, weights=None, shots=None, seed=0):
        angles = isa.angles(X, weights)
        return self.run_circuits([isa.circuit.assign_parameters(row) for row in angles], shots, seed)

    def run_circuits(self, given, shots=None, seed=0):
        self.ran.append((len(given), shots, seed))
        rng, out = np.random.default_rng(seed), []
        for circuit in given:
            read = circuits.read_out(circuit)
            plain = circuit.remove_final_measurements(inplace=False)
            plain.save_probabilities(list(read[::-1]))
            done = AerSimulator(method="density_matrix", noise_model=self.model).run(plain).result()
            p = np.asarray(done.data()["probabilities"])
            matrix = np.ones((1, 1))
            for q in read:
                matrix = np.kron(matrix, np.asarray(self.confusion.get(q, np.eye(2))))
            p = np.maximum(p, 0) @ matrix
            out.append(p / p.sum() if shots is None else rng.multinomial(shots, p / p.sum()) / shots)
        return np.array(out)


def build(n=3, latent=1, seed=0, events=5, layers=1, **options):
    """A transpiled circuit of RY angles and an entangling ansatz, its events and its exact distribution."""
    rng = np.random.default_rng(seed)
    circuit = Circuit(encodings.angle_y, lambda w, wires: qml.StronglyEntanglingLayers(w, wires=wires), (layers, n, 3), n)
    weights, X = rng.uniform(-np.pi, np.pi, (layers, n, 3)), rng.uniform(0, np.pi, (events, n))
    isa = circuits.transpiled(export.qiskit_circuit(circuit, weights, latent), BASIS, **options)
    return isa, X, export.qnode(circuit, weights, latent)(X).numpy()


UNEQUAL = {0: [[0.97, 0.03], [0.08, 0.92]], 1: [[0.9, 0.1], [0.3, 0.7]], 2: [[0.99, 0.01], [0.05, 0.95]]}


@given(st.integers(1, 4), st.integers(0, 2**31))
def test_unfolding_inverts_the_confusion(n, seed):
    """p = truth ⊗C: the inverse gives the truth, and the confusions come out of the two calibration distributions."""
    rng = np.random.default_rng(seed)
    wrong = rng.uniform(0, 0.4, (n, 2))
    confusion = np.stack([[1 - wrong[:, 0], wrong[:, 0]], [wrong[:, 1], 1 - wrong[:, 1]]]).transpose(2, 0, 1)
    whole = np.ones((1, 1))
    for one in confusion:
        whole = np.kron(whole, one)
    np.testing.assert_allclose(mitigation.confusions(whole[0], whole[-1]), confusion, atol=1e-12)
    np.testing.assert_allclose(mitigation.confusions(whole[0] * 500, whole[-1] * 700), confusion, atol=1e-12)  # counts
    truth = rng.dirichlet(np.ones(2**n), 3)
    np.testing.assert_allclose(mitigation.unfolded(truth @ whole, confusion), truth, atol=1e-9)
    other = rng.dirichlet(np.ones(2**n), 3)  # any distribution, possible or not
    np.testing.assert_allclose(mitigation.unfolded(other, confusion), other @ mitigation.unfolding(confusion), atol=1e-9)
    np.testing.assert_allclose(mitigation.unfolded(other, confusion).sum(1), 1, atol=1e-9)


def test_the_first_qubit_is_the_most_significant():
    confusion = np.array([[[0.9, 0.1], [0.3, 0.7]], np.eye(2)])
    np.testing.assert_allclose(mitigation.unfolded([[0.3, 0, 0.7, 0]], confusion), [[0, 0, 1, 0]], atol=1e-12)


def test_projection_is_the_closest_distribution():
    rng = np.random.default_rng(0)
    quasi = rng.normal(0.25, 0.3, (200, 4))
    quasi += (1 - quasi.sum(1, keepdims=True)) / 4
    p = mitigation.projected(quasi)
    assert (p >= 0).all() and np.allclose(p.sum(1), 1)
    inside = rng.dirichlet(np.ones(4), 50)
    np.testing.assert_allclose(mitigation.projected(inside), inside, atol=1e-12)
    np.testing.assert_allclose(mitigation.projected([[1.2, -0.2], [0.4, 0.6]]), [[1, 0], [0.4, 0.6]], atol=1e-12)
    for other in rng.dirichlet(np.ones(4), 300):  # obtuse angle at the closest point of a convex set
        assert ((quasi - p) * (other - p)).sum(1).max() < 1e-12


def test_the_projected_score_is_biased_and_the_quasi_score_is_not():
    confusion = np.array([UNEQUAL[1]])
    truth = np.array([0.98, 0.02])
    shots, draws = 400, 4000
    p = np.random.default_rng(1).multinomial(shots, truth @ np.linalg.inv(mitigation.unfolding(confusion)), draws) / shots
    quasi = mitigation.unfolded(p, confusion)
    error = quasi[:, 0].std() / np.sqrt(draws)
    assert abs(quasi[:, 0].mean() - 0.98) < 5 * error
    assert abs(mitigation.projected(quasi)[:, 0].mean() - 0.98) > 6 * error


def test_calibration_circuits():
    """On the machine's own qubits; bit i of the register is the i-th qubit read out, from the end; any basis."""
    isa = build(4, 1)[0]
    for basis in (None, ["sx", "rz", "cx"], ["rx", "rz", "cz"], ["u3", "cx"]):
        off, on = mitigation.calibration_circuits(isa, basis)
        for circuit, expected in ((off, 0), (on, 1)):
            assert circuits.read_out(circuit) == isa.read and circuit.num_qubits == isa.circuit.num_qubits
            assert [r.name for r in circuit.cregs] == ["trash"]
            p = Bench(isa).run_circuits([circuit])[0]
            np.testing.assert_allclose(p[-expected], 1, atol=1e-12)
            assert set(circuit.count_ops()) <= {"measure"} | set(basis or {"x"})
    bench = Bench(isa, confusion=UNEQUAL)
    found = mitigation.confusions(*bench.run_circuits(mitigation.calibration_circuits(isa)))
    np.testing.assert_allclose(found, [UNEQUAL.get(q, np.eye(2)) for q in isa.read], atol=1e-12)


@pytest.mark.parametrize("n, latent", [(3, 0), (3, 1), (4, 2), (2, 1)])
def test_readout_errors_are_undone(n, latent):
    """Readout errors alone, exact: mitigated = ideal to 1e-9; without mitigation it is not."""
    isa, X, ideal = build(n, latent)
    bench = Bench(isa, confusion=UNEQUAL)
    assert abs(bench.run(isa, X) - ideal).max() > 0.02
    found = mitigation.Mitigated(bench, factors=(1,)).probabilities(X)
    np.testing.assert_allclose(found, ideal, rtol=0, atol=1e-9)
    off = mitigation.Mitigated(bench, readout=False, factors=(1,)).probabilities(X)
    np.testing.assert_allclose(off, bench.run(isa, X), atol=1e-12)


def test_aers_own_readout_errors_are_undone():
    """Aer draws the shots and applies its ReadoutError itself; five standard errors of counts and calibration."""
    isa, X, ideal = build(3, 1)
    model = NoiseModel(BASIS)
    for q, matrix in UNEQUAL.items():
        model.add_readout_error(ReadoutError(matrix), [q])
    shots = 40_000

    def counted(given):
        done = AerSimulator(noise_model=model, seed_simulator=7).run(given, shots=shots).result()
        p = np.zeros((len(given), 4))
        for row, result in zip(p, done.results, strict=True):
            for key, count in result.data.counts.items():
                row[int(key, 16)] = count / shots
        return p

    confusion = mitigation.confusions(*counted(mitigation.calibration_circuits(isa)))
    p = counted([isa.circuit.assign_parameters(row) for row in isa.angles(X)])
    found, matrix = mitigation.unfolded(p, confusion), mitigation.unfolding(confusion)
    error = np.sqrt((p @ matrix**2 - found**2) / shots) + 0.5 / np.sqrt(shots)  # of the events', and of the calibration's shots
    assert (abs(found - ideal) < 5 * error).all()
    assert (abs(p - ideal) > 5 * error).any()


#: By mitiq 1.1.0 (numpy 2.2.6) in an environment of its own (docs/benchmarks/shots.md tells why): LinearFactory,
#: RichardsonFactory and ExpFactory(asymptote=0.25).extrapolate(factors, values). mitiq weighs the logarithms by √|y - a|,
#: we do not: with two factors there is no difference.
MITIQ = [("linear", (1, 3, 5), (0.9313, 0.8127, 0.7411), 0.9710166666666665, 1e-12),
         ("linear", (1, 3, 5), (0.0612, 0.1035, 0.1409), 0.042091666666666645, 1e-12),
         ("linear", (1, 3, 5, 7), (0.91, 0.83, 0.72, 0.69), 0.9414999999999998, 1e-12),
         ("richardson", (1, 3, 5), (0.9313, 0.8127, 0.7411), 1.0082249999999993, 1e-12),
         ("richardson", (1, 3, 5), (0.0612, 0.1035, 0.1409), 0.038212500000000045, 1e-12),
         ("richardson", (1, 3, 5, 7), (0.91, 0.83, 0.72, 0.69), 0.9043749999999999, 1e-12),
         ("exponential", (1, 3), (0.9313, 0.8127), 0.9996682635772728, 1e-12),
         ("exponential", (1, 3), (0.0612, 0.1035), 0.03566940352103068, 1e-12),
         ("exponential", (1, 3, 5), (0.9313, 0.8127, 0.7411), 0.9843248832740693, 2e-3),
         ("exponential", (1, 3, 5), (0.0612, 0.1035, 0.1409), 0.03253148496486999, 2e-3)]


@pytest.mark.parametrize("method, factors, values, golden, within", MITIQ)
def test_as_mitiq(method, factors, values, golden, within):
    found = mitigation.extrapolated(dict(zip(factors, values, strict=True)), method, 0.25)
    assert found == pytest.approx(golden, abs=within)


@given(st.lists(st.sampled_from([1, 3, 5, 7, 9]), min_size=2, max_size=4, unique=True), st.integers(0, 2**31))
def test_polynomials_and_exponentials_are_continued_exactly(factors, seed):
    rng = np.random.default_rng(seed)
    x, a = np.array(factors), rng.normal(size=len(factors))
    line = {k: np.array([2.0, a[0]]) + k * np.array([0.3, a[1]]) for k in factors}
    polynomial = {k: np.polyval(a, k) for k in factors}
    curve = {k: 0.25 + np.array([0.7, -0.2]) * np.exp(-0.3 * k) for k in factors}
    for method in ("linear", "richardson"):
        np.testing.assert_allclose(mitigation.extrapolated(line, method), [2, a[0]], atol=1e-9)
    assert mitigation.extrapolated(polynomial, "richardson") == pytest.approx(a[-1], abs=1e-6)
    np.testing.assert_allclose(mitigation.extrapolated(curve, "exponential", 0.25), [0.95, 0.05], atol=1e-9)
    y = rng.normal(size=len(x))
    assert mitigation.extrapolated(dict(zip(factors, y, strict=True))) == pytest.approx(np.polyfit(x, y, 1)[1], abs=1e-9)
    assert mitigation.coefficients(factors).sum() == pytest.approx(1)


def test_no_curve_through_both_sides_of_the_asymptote():
    values = {1: np.array([0.4, 0.3]), 3: np.array([0.2, 0.27]), 5: np.array([0.3, 0.26])}
    found = mitigation.extrapolated(values, "exponential", 0.25)
    assert found[0] == mitigation.extrapolated(values)[0] and found[1] > 0.32


def depolarised(strength, method, factors=(1, 3, 5)):
    """Largest error of P after ``method`` on a circuit whose CNOTs are depolarised."""
    isa, X, ideal = build(3, 0, events=4)
    bench = Bench(isa, strength)
    found = mitigation.Mitigated(bench, readout=False, factors=factors, method=method).probabilities(X)
    return abs(found - ideal).max()


def test_orders_of_zero_noise_extrapolation():
    """Depolarised CNOTs: the noise enters as a polynomial; a line leaves the second order, Richardson on three the third."""
    plain, line, cubic = ([depolarised(s, m, f) for s in (0.004, 0.002)]
                          for m, f in (("linear", (1,)), ("linear", (1, 3, 5)), ("richardson", (1, 3, 5))))
    for errors, order in ((plain, 1), (line, 2), (cubic, 3)):
        assert errors[0] / errors[1] == pytest.approx(2**order, rel=0.1)
    assert cubic[0] < line[0] / 5 < plain[0] / 10


def test_one_depolarised_cnot_closed_form():
    """RY(π/2) and one CNOT of strength λ: P(00) = (1-λ)^k/2 + (1-(1-λ)^k)/4; the exponential is exact, the line c·y."""
    circuit = Circuit(encodings.angle_y, lambda w, wires: qml.CNOT(wires=wires), (1,), 2)
    isa = circuits.transpiled(export.qiskit_circuit(circuit, np.zeros(1)), BASIS)
    bench, X = Bench(isa, 0.1), [[np.pi / 2, 0.0]]
    y = {k: 0.25 + 0.25 * 0.9**k for k in (1, 3, 5)}
    for k in y:
        np.testing.assert_allclose(bench.run(circuits.folded(isa, k), X)[0, 0], y[k], atol=1e-9)
    for method, expected in (("exponential", 0.5), ("linear", (13 * y[1] + 4 * y[3] - 5 * y[5]) / 12),
                             ("richardson", (15 * y[1] - 10 * y[3] + 3 * y[5]) / 8)):
        found = mitigation.Mitigated(bench, readout=False, method=method).probabilities(X)
        assert found[0, 0] == pytest.approx(expected, abs=1e-9)


def test_readout_and_gates_together():
    isa, X, ideal = build(3, 1)
    bench = Bench(isa, 0.004, UNEQUAL)
    both = abs(mitigation.Mitigated(bench).probabilities(X) - ideal).max()
    for less in ({"readout": False}, {"factors": (1,)}):
        assert both < abs(mitigation.Mitigated(bench, **less).probabilities(X) - ideal).max() / 5


def test_budget_and_seeds():
    """Shots are shared as |c|, none is lost; one calibration for all events; the same seed gives the same numbers."""
    isa, X, _ = build(3, 1, events=2)
    bench = Bench(isa, 0.01, UNEQUAL)
    machine = mitigation.Mitigated(bench, calibration_shots=5000)
    first = machine.probabilities(X, shots=2200, seed=3)
    shares = [n for _, n, _ in bench.ran if n != 5000]
    assert np.abs(np.array(shares) - [1300, 400, 500]).max() <= 1 and sum(shares) == 2200
    assert [r[:2] for r in bench.ran].count((2, 5000)) == 1
    assert len({seed for _, _, seed in bench.ran}) == 4
    np.testing.assert_array_equal(machine.probabilities(X, shots=2200, seed=3), first)
    again = mitigation.Mitigated(bench, calibration_shots=5000)
    np.testing.assert_array_equal(again.probabilities(X, shots=2200, seed=3), first)
    assert (machine.probabilities(X, shots=2200, seed=4) != first).any()
    for shots in (3, 4, 7, 100, 101):
        for method in mitigation.METHODS:
            shares = mitigation.split(shots, (1, 3, 5), method)
            assert sum(shares) == shots and min(shares) > 0
    assert (machine.two_qubit_gates, machine.depth, machine.layout) == (isa.two_qubit_gates, isa.depth, isa.layout)


@pytest.mark.parametrize("method", ["linear", "richardson"])
def test_what_extrapolation_costs(method):
    """The spread of the score at a fixed budget: (Σ|c|)² times the variance, for factors whose distributions are alike."""
    isa, X, _ = build(2, 1, events=1)
    bench, shots = Bench(isa, 1e-6), 4000
    machine = mitigation.Mitigated(bench, readout=False, method=method)
    p = bench.run(isa, X)[0, 0]
    rng = np.random.default_rng(0)
    bench.run = lambda isa, X, weights, n, seed: rng.multinomial(n, [p, 1 - p], len(X)) / n
    found = machine.probabilities(np.repeat(X, 20_000, 0), shots=shots)[:, 0]
    assert found.var() / (p * (1 - p) / shots) == pytest.approx(mitigation.amplification((1, 3, 5), method), rel=0.05)


def test_one_qubit_read_out_keeps_its_ranking():
    """Unfolding one qubit is one increasing line for all events: no AUC can change."""
    isa, X, _ = build(3, 2, events=30)
    bench = Bench(isa, 0.01, UNEQUAL)
    raw, found = bench.run(isa, X, None, 500, 1), mitigation.Mitigated(bench, factors=(1,))
    unfolded = mitigation.unfolded(raw, found.confusion())
    np.testing.assert_array_equal(np.argsort(raw[:, 0], kind="stable"), np.argsort(np.round(unfolded[:, 0], 12), kind="stable"))


def test_an_outcome_score_is_mitigated_too():
    isa, X, ideal = build(3, 0)
    q = np.random.default_rng(0).dirichlet(np.ones(8))
    w = outcome_weights("relative-entropy", q, q, 0, 1e-3, 0)
    bench = Bench(isa, confusion=UNEQUAL)
    np.testing.assert_allclose(mitigation.Mitigated(bench, factors=(1,)).probabilities(X) @ w, ideal @ w, atol=1e-8)


def test_through_the_aer_backend():
    """The backend's `mitigation`: readout errors alone are undone; with a machine's noise, both together come closest."""
    circuit = Circuit(encodings.angle_y, lambda w, wires: qml.StronglyEntanglingLayers(w, wires=wires), (1, 3, 3), 3)
    rng = np.random.default_rng(0)
    weights, X = rng.uniform(-np.pi, np.pi, (1, 3, 3)), rng.uniform(0, np.pi, (20, 3))
    ideal = backends.get("exact").compile(circuit, 1, weights).probabilities(X)

    def error(noise, mitigation, shots=None):
        compiled = backends.get("aer", noise=noise, mitigation=mitigation).compile(circuit, 1, weights)
        return abs(compiled.probabilities(X, shots=shots) - ideal).max()

    model = NoiseModel(BASIS)
    for q, matrix in UNEQUAL.items():
        model.add_readout_error(ReadoutError(matrix), [q])
    assert error(model, "readout") < 1e-9 < 0.02 < error(model, "none")
    assert error(model, "readout", 100_000) < 5 * (0.5 / 100_000**0.5 + 0.5 / 10_000**0.5) / 0.6  # of the worst qubit's det
    snapshot = line(3)  # of the strongest noise that a line can follow
    assert error(snapshot, "both") < min(error(snapshot, "readout"), error(snapshot, "zne")) < error(snapshot, "none")


def test_what_a_user_may_get_wrong():
    isa, X, _ = build(2, 0, events=1)
    bench = Bench(isa)
    for factors in ((), (3,), (1, 1), (0.5, 1), (1, -3)):
        with pytest.raises(InputError, match="expected two or more different numbers from 1, such as"):
            mitigation.Mitigated(bench, factors=factors)
    with pytest.raises(InputError, match="a gate cannot be folded 2 times"):
        mitigation.Mitigated(bench, factors=(1, 2))
    with pytest.raises(InputError, match="expected one of linear, richardson, exponential"):
        mitigation.Mitigated(bench, method="cubic")
    for shots in (0, 2.5, True):
        with pytest.raises(InputError, match="expected a whole number from 1"):
            mitigation.Mitigated(bench).probabilities(X, shots=shots)
    with pytest.raises(InputError, match="2 shots cannot be shared among 3 noise factors: expected at least 3"):
        mitigation.Mitigated(bench).probabilities(X, shots=2)
    with pytest.raises(InputError, match="no better than a coin"):
        mitigation.confusions([0.5, 0, 0.5, 0], [0, 0.5, 0, 0.5])
    with pytest.raises(InputError, match=r"expected \(events, 4\) for 2 qubits"):
        mitigation.unfolded(np.ones((3, 8)) / 8, np.stack([np.eye(2)] * 2))
    assert isinstance(mitigation.calibration_circuits(isa)[0], QuantumCircuit)
