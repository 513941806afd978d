"""Diagnostics against closed forms: GHZ, W, product and T states, Clifford gates, brute-force sums, known gradients."""

from functools import reduce
from itertools import product

import numpy as np
import pennylane as qml
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qad.errors import InputError
from qad.quantum import ansatze, diagnostics
from qad.quantum.circuit import Circuit
from qad.quantum.encodings import angle
from qad.quantum.mean_state import MeanState
from qad.quantum.program import apply_matrix, compile_program

seeds = st.integers(0, 2**31)
PAULIS = {"I": np.eye(2), "X": np.array([[0, 1], [1, 0]]), "Y": np.array([[0, -1j], [1j, 0]]), "Z": np.diag([1, -1])}
T_STATE = np.array([1, np.exp(1j * np.pi / 4)]) / np.sqrt(2)


def tensor_product(*states):
    return torch.tensor(reduce(np.kron, states))[None]


def random_states(seed, n, count=3):
    rng = np.random.default_rng(seed)
    psi = rng.normal(size=(count, 2**n)) + 1j * rng.normal(size=(count, 2**n))
    return torch.tensor(psi / np.linalg.norm(psi, axis=1, keepdims=True))


def ghz(n):
    psi = torch.zeros(1, 2**n, dtype=torch.complex128)
    psi[0, [0, -1]] = 2**-0.5
    return psi


def w_state(n):
    psi = torch.zeros(1, 2**n, dtype=torch.complex128)
    psi[0, [2**q for q in range(n)]] = n**-0.5
    return psi


def cliffords(psi, n, seed, gates=12):
    rng = np.random.default_rng(seed)
    for _ in range(gates):
        gate = rng.choice(["H", "S", "X", "CNOT", "CZ"])
        wires = [int(q) for q in rng.permutation(n)[: 1 if len(gate) == 1 else 2]]
        op = {"H": qml.H, "S": qml.S, "X": qml.X, "CNOT": qml.CNOT, "CZ": qml.CZ}[str(gate)](wires=wires)
        psi = apply_matrix(psi, torch.tensor(op.matrix(), dtype=torch.complex128), wires, n)
    return psi


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_meyer_wallach_of_known_states(n):
    assert diagnostics.meyer_wallach(ghz(n)).item() == pytest.approx(1)  # n = 2: a Bell state
    assert diagnostics.meyer_wallach(w_state(n)).item() == pytest.approx(4 * (n - 1) / n**2)
    one = [random_states(q, 1, 1)[0].numpy() for q in range(n)]
    assert diagnostics.meyer_wallach(tensor_product(*one)).item() == pytest.approx(0, abs=1e-12)


@settings(deadline=None, max_examples=20)
@given(seeds, st.integers(2, 4))
def test_meyer_wallach_is_the_mean_linear_entropy(seed, n):
    psi = random_states(seed, n)
    purity = np.zeros(3)
    for q in range(n):
        m = psi.reshape(3, *(2,) * n).movedim(1 + q, 1).reshape(3, 2, -1).numpy()
        purity += [np.trace(np.linalg.matrix_power(a @ a.conj().T, 2)).real for a in m]
    np.testing.assert_allclose(diagnostics.meyer_wallach(psi), 2 * (1 - purity / n), atol=1e-12)
    # no one-qubit gate changes it
    turned = apply_matrix(psi, torch.tensor(qml.Rot(0.3, 1.1, -0.7, wires=0).matrix()), [n - 1], n)
    torch.testing.assert_close(diagnostics.meyer_wallach(turned), diagnostics.meyer_wallach(psi))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_magic_against_the_sum_over_pauli_words(n):
    psi = random_states(n, n)
    theirs = []
    for state in psi.numpy():
        words = (reduce(np.kron, [PAULIS[letter] for letter in word]) for word in product("IXYZ", repeat=n))
        theirs.append(-np.log2(sum((state.conj() @ P @ state).real ** 4 for P in words) / 2**n))
    np.testing.assert_allclose(diagnostics.magic(psi), theirs, atol=1e-12)
    assert min(theirs) > 0.01  # a random state has magic


def test_magic_of_known_states():
    t = np.log2(4 / 3)
    assert diagnostics.magic(tensor_product(T_STATE)).item() == pytest.approx(t)
    assert diagnostics.magic(tensor_product(*[T_STATE] * 4)).item() == pytest.approx(4 * t)
    for n in (1, 3, 6):
        assert diagnostics.magic(ghz(n)).item() == pytest.approx(0, abs=1e-12)
    zero = torch.eye(32, dtype=torch.complex128)
    np.testing.assert_allclose(diagnostics.magic(cliffords(zero, 5, 1, 40)), 0, atol=1e-11)


@settings(deadline=None, max_examples=15)
@given(seeds, st.integers(2, 4))
def test_magic_is_invariant_under_cliffords_and_adds_up(seed, n):
    psi = random_states(seed, n)
    torch.testing.assert_close(diagnostics.magic(cliffords(psi, n, seed)), diagnostics.magic(psi), atol=1e-10, rtol=0)
    a, b = random_states(seed, n, 1), random_states(seed + 1, 2, 1)
    both = diagnostics.magic(tensor_product(a[0].numpy(), b[0].numpy()))
    torch.testing.assert_close(both, diagnostics.magic(a) + diagnostics.magic(b), atol=1e-10, rtol=0)


@pytest.mark.parametrize("memory", [1, 64 * 16 * 5, 64 * 16 * 16 * 2])
def test_magic_in_small_memory(memory):
    psi = random_states(0, 4, 7)
    torch.testing.assert_close(diagnostics.magic(psi, memory=memory), diagnostics.magic(psi))
    assert diagnostics.magic(psi[:0]).shape == diagnostics.meyer_wallach(psi[:0]).shape == (0,)


@pytest.mark.parametrize("function", [diagnostics.meyer_wallach, diagnostics.magic])
@pytest.mark.parametrize("shape", [(8,), (2, 6), (2, 1), (1, 2, 4)])
def test_states_of_wrong_shape_are_refused(function, shape):
    with pytest.raises(InputError, match=r"expected \(events, 2\^n\)"):
        function(torch.ones(shape, dtype=torch.complex128))


def zero_state(n):
    return MeanState(torch.eye(2**n, dtype=torch.complex128)[:1], torch.ones(1, dtype=torch.float64))


def test_gradient_variance_in_closed_form():
    """RY on each of t trash qubits in |0⟩: L = 1 - Π cos²(θ/2), Var ∂L = (1/8)(3/8)^(t-1); latent weights are left out."""
    def turns(w, wires):
        for q, wire in enumerate(wires):
            qml.RY(w[q], wires=wire)

    sizes = (2, 3, 4)
    found = []
    for n in sizes:
        program = compile_program(turns, (n,), n)
        found.append(diagnostics.gradient_variance(program, zero_state(n), 1, draws=400))
        assert found[-1] == pytest.approx((3 / 8) ** (n - 2) / 8, rel=0.25)
        assert found[-1] == diagnostics.gradient_variance(program, zero_state(n), 1, draws=400)
    assert found[0] != diagnostics.gradient_variance(compile_program(turns, (2,), 2), zero_state(2), 1, draws=400, seed=1)
    assert diagnostics.slope(sizes, found) == pytest.approx(np.log2(3 / 8), abs=0.15)


def test_gradient_variance_of_a_circuit_that_moves_nothing():
    program = compile_program(lambda w, wires: qml.RZ(w[0], wires=wires[1]), (1,), 2)
    assert diagnostics.gradient_variance(program, MeanState.of_matrix(torch.eye(4, dtype=torch.complex128) / 4), 1) == 0


def test_gradient_variance_input():
    program = compile_program(ansatze.all_pairs, (3,), 3)
    for arguments, sentence in (((zero_state(2), 1), "has 2 qubits, this circuit 3"), ((zero_state(3), 3), "latent=3"),
                                ((zero_state(3), 1, 1), "draws=1")):
        with pytest.raises(InputError, match=sentence):
            diagnostics.gradient_variance(program, *arguments)


def test_slope():
    assert diagnostics.slope([2, 3, 5], [2.0**-4, 2.0**-6, 2.0**-10]) == pytest.approx(-2)
    for qubits, variances in (([2], [0.1]), ([2, 2], [0.1, 0.2]), ([2, 3], [0.1])):
        with pytest.raises(InputError, match="two or more numbers of qubits"):
            diagnostics.slope(qubits, variances)
    with pytest.raises(InputError, match="has no logarithm"):
        diagnostics.slope([2, 3], [0.1, 0])


def test_effective_and_dead_parameters_of_1p1q():
    """Rotations act last and locally: 2·trash parameters are effective, latent ones and each trash qubit's RZ are dead."""
    n, latent = 4, 2
    c = Circuit(angle, ansatze.one_particle_one_qubit, (n, 3), n)
    rng = np.random.default_rng(0)
    psi = c.states(torch.tensor(rng.uniform(0, 3, (40, n))))
    w = torch.tensor(rng.uniform(-3, 3, (n, 3)))
    score = lambda v: 1 - (psi @ c.rows(v, latent).mT).abs().square().sum(1)  # noqa: E731
    jacobian = torch.autograd.functional.jacobian(score, w).reshape(40, -1)
    indices = diagnostics.dead(jacobian)
    theirs = [f"weights[{q}, {k}]" for q in range(n) for k in range(3) if q < latent or k == 2]
    assert diagnostics.names((n, 3), indices) == theirs
    assert diagnostics.effective_dimension(jacobian.mT @ jacobian) == 2 * (n - latent)
    assert diagnostics.effective_dimension(torch.zeros(3, 3, dtype=torch.float64)) == 0
    assert diagnostics.effective_dimension(torch.diag(torch.tensor([1.0, 1e-3, 1e-12, 0.0]))) == 2
    assert diagnostics.dead(torch.zeros(5, 2)) == [0, 1]
    assert diagnostics.names((4,), [3]) == ["weights[3]"]


@pytest.mark.parametrize("n", [1, 3])
def test_spectrum(n):
    size = 2**n
    mixed = diagnostics.spectrum(MeanState.of_matrix(torch.eye(size, dtype=torch.complex128) / size))
    assert (mixed.purity, mixed.participation, mixed.entropy) == pytest.approx((1 / size, size, n))
    pure = diagnostics.spectrum(zero_state(n))
    assert (pure.purity, pure.participation, pure.entropy) == pytest.approx((1, 1, 0))
    p = np.random.default_rng(n).dirichlet(np.ones(size))
    q, _ = np.linalg.qr(np.random.default_rng(n).normal(size=(size, size, 2)) @ [1, 1j])
    found = diagnostics.spectrum(MeanState.of_matrix(torch.tensor(q @ np.diag(p) @ q.conj().T)))
    np.testing.assert_allclose(found.eigenvalues, np.sort(p)[::-1], atol=1e-12)
    assert found.purity == pytest.approx((p**2).sum())
    assert found.entropy == pytest.approx(-(p * np.log2(p)).sum())
