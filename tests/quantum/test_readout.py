"""The compiled read-out against the exact engine, on encodings that hypothesis invents."""

from __future__ import annotations

import numpy as np
import pennylane as qml
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from qad.errors import InputError
from qad.quantum import encodings, engine, readout
from qad.quantum.kernels import LANES, half
from qad.quantum.readout import fidelities
from qad.quantum.roofline import Work, peak, work

BY_DATA = {"RX": qml.RX, "RY": qml.RY, "RZ": qml.RZ, "PhaseShift": qml.PhaseShift}
FIXED = {"H": qml.Hadamard, "S": qml.S, "T": qml.T, "X": qml.PauliX, "SX": qml.SX}


def rows_of(n: int, latent: int, seed: int) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.normal(size=(2**n, 2**n)) + 1j * rng.normal(size=(2**n, 2**n)))
    return torch.from_numpy(q[: 2**latent].copy())


def reference(rows: torch.Tensor, encoding, X: torch.Tensor, n: int) -> torch.Tensor:
    return (engine.states(encoding, X.double(), n) @ rows.mT).abs().square().sum(1)


def events(N: int, n: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.empty(N, n, dtype=dtype).uniform_(-4, 4, generator=torch.Generator().manual_seed(seed))


@st.composite
def products(draw):
    n = draw(st.integers(1, 6))
    wire = st.integers(0, n - 1)
    gate = st.one_of(st.tuples(st.sampled_from([*BY_DATA, "Rot"]), wire, wire), st.tuples(st.sampled_from([*FIXED]), wire),
                     st.tuples(st.just("fixed RY"), wire, st.floats(-3, 3)))
    gates = draw(st.lists(gate, max_size=3 * n))

    def encoding(x, wires):
        for name, w, *rest in gates:
            if name in BY_DATA:
                BY_DATA[name](x[..., rest[0]], wires=wires[w])
            elif name == "Rot":
                qml.Rot(x[..., rest[0]], 0.5 * x[..., w], x[..., rest[0]] + 1, wires=wires[w])
            elif name == "fixed RY":
                qml.RY(rest[0], wires=wires[w])
            else:
                FIXED[name](wires=wires[w])

    return encoding, n, draw(st.integers(0, n)), draw(st.integers(0, 2**16))


@settings(max_examples=60, deadline=None)
@given(products(), st.sampled_from([1, 5, 300]))
def test_any_product_encoding_agrees_with_the_engine(case, N):
    encoding, n, latent, seed = case
    rows, X = rows_of(n, latent, seed), events(N, n, seed)
    single = X.float()
    assert readout.product_gates(encoding, X, n) is not None  # not by the general path
    assert (fidelities(rows, encoding, X, n) - reference(rows, encoding, X, n)).abs().max() < 1e-12
    F = fidelities(rows, encoding, single, n)
    assert F.dtype == torch.float32
    assert (F - reference(rows, encoding, single, n)).abs().max() < 1e-5


@pytest.mark.parametrize("dtype, accuracy", [(np.float32, 2.5e-7), (np.float64, 2e-15)])
def test_cosine_and_sine(dtype, accuracy):
    @njit
    def both(angles, c, s):
        for i in range(len(angles)):
            c[i], s[i] = half(angles[i])

    angles = np.linspace(-100, 100, 200_001, dtype=dtype)
    c, s = np.empty_like(angles), np.empty_like(angles)
    both(angles, c, s)
    exact = angles.astype(np.longdouble) / 2
    true = np.stack([np.cos(exact), np.sin(exact)])
    sign = np.sign(true[0] * c + true[1] * s)  # common to both: no fidelity sees it
    assert np.abs(true * sign - [c, s]).max() < accuracy
    assert (sign < 0).any()


@pytest.mark.parametrize("encoding, shape", [(encodings.angle, (5,)), (encodings.one_particle_one_qubit, (5, 3))])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_event_has_the_same_bits_in_any_batch_and_on_any_number_of_threads(encoding, shape, dtype):
    rows = rows_of(5, 2, 3)
    N = 2 * readout.CHUNK + LANES + 7
    X = torch.rand(N, *shape, generator=torch.Generator().manual_seed(1), dtype=dtype)
    F = fidelities(rows, encoding, X, 5, threads=1)
    for threads in (2, 3, 8):
        assert torch.equal(F, fidelities(rows, encoding, X, 5, threads=threads))
    assert torch.equal(F[11:300], fidelities(rows, encoding, X[11:300], 5))
    assert torch.equal(F[-1:], fidelities(rows, encoding, X[-1:], 5))
    assert torch.equal(F[::1000], fidelities(rows, encoding, X[::1000], 5))
    few = slice(N - 300, N)
    assert (F[few] - reference(rows, encoding, X[few], 5)).abs().max() < (1e-5 if dtype == torch.float32 else 1e-12)


def entangling(x, wires):
    for q, wire in enumerate(wires):
        qml.RX(x[..., q], wires=wire)
    qml.CNOT(wires=[wires[0], wires[1]])
    qml.RY(x[..., 0], wires=wires[1])


def test_an_entangling_encoding_takes_the_general_path_and_agrees():
    rows, X = rows_of(3, 1, 5), events(100, 3)
    assert readout.product_gates(entangling, X, 3) is None
    assert (fidelities(rows, entangling, X, 3) - reference(rows, entangling, X, 3)).abs().max() < 1e-14
    assert work(rows, entangling, X, 3).flops > 0


@pytest.mark.parametrize("encoding", [encodings.angle, entangling])
def test_no_event(encoding):
    F = fidelities(rows_of(3, 1, 5), encoding, torch.zeros(0, 3), 3)
    assert F.shape == (0,) and F.dtype == torch.float32


def test_gates_that_depend_on_the_batch_are_planned_anew():
    def centred(x, wires):
        for q, wire in enumerate(wires):
            qml.RY(float(x[..., q].mean()), wires=wire)
            qml.RX(x[..., q], wires=wire)

    rows, X = rows_of(2, 1, 5), events(readout.CHUNK + 50, 2)
    F = fidelities(rows, centred, X, 2)
    for part in (slice(0, readout.CHUNK), slice(readout.CHUNK, None)):
        assert (F[part] - reference(rows, centred, X[part], 2)).abs().max() < 1e-12


def test_sparse_rows_cost_less_and_agree():
    rows = torch.zeros(4, 2**6, dtype=torch.complex128)
    for k in range(4):
        rows[k, 16 * k : 16 * (k + 1)] = rows_of(4, 0, k)[0]
    mixed = rows_of(2, 2, 9) @ rows  # the same subspace, no zero left
    X = events(300, 6)
    assert (fidelities(mixed, encodings.angle, X, 6) - reference(rows, encodings.angle, X, 6)).abs().max() < 1e-12
    assert work(mixed, encodings.angle, X, 6).flops < work(rows_of(6, 2, 1), encodings.angle, X, 6).flops / 1.5


def test_no_number_in_is_no_number_out():
    X = events(3, 3)
    X[1, 2] = torch.nan
    assert fidelities(rows_of(3, 1, 5), encodings.angle, X, 3).isnan().tolist() == [False, True, False]


def test_what_cannot_be_used_is_an_input_error():
    rows, X = rows_of(3, 1, 5), events(4, 3)
    for arguments in ((rows[:, :4], encodings.angle, X, 3), (rows.real, encodings.angle, X, 3),
                      (rows, encodings.angle, X.int(), 3), (rows, encodings.angle, X, 3, 0)):
        with pytest.raises(InputError, match="expected"):
            fidelities(*arguments)
    with pytest.raises(InputError, match="expected"):
        peak(torch.int32)


def test_work_counts_the_event_and_the_score():
    assert work(rows_of(4, 2, 1), encodings.angle, torch.zeros(1, 4), 4) == Work(406, 20)
    assert peak(torch.float32).flops > 0


def only_tensors(x, wires):
    """Torch's own functions: no NumPy array gets through."""
    for q, wire in enumerate(wires):
        qml.RX(torch.sin(x[..., q]), wires=wire)


def another_for_arrays(x, wires):
    """Gives other angles for arrays than for tensors: what a tensor gives counts."""
    for q, wire in enumerate(wires):
        qml.RY(x[..., q] if isinstance(x, torch.Tensor) else 2 * x[..., q], wires=wire)


@pytest.mark.parametrize("encoding", [only_tensors, another_for_arrays])
def test_encodings_that_want_tensors_get_them(encoding):
    rows, X = rows_of(3, 1, 0), events(200, 3)
    expected = (engine.states(encoding, X, 3) @ rows.mT).abs().square().sum(1)
    torch.testing.assert_close(fidelities(rows, encoding, X, 3), expected, atol=1e-12, rtol=0)
