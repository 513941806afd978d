"""ρ̄ as factors: sums, cuts, combinations, chunks and workers."""

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qad.errors import InputError
from qad.quantum import ansatze, encodings, engine, mean_state
from qad.quantum.program import compile_program

N = 4


def events(seed, n, qubits=N):
    return torch.tensor(np.random.default_rng(seed).uniform(-1, 1, (n, qubits)))


def mean_of(seed, n, qubits=N, **options):
    return engine.mean_state(encodings.angle, events(seed, n, qubits), qubits, **options)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31), st.sampled_from([3, 16, 60]), st.floats(-2, 2))
def test_combinations_are_what_they_say(seed, n, factor):
    """ρ̄ - λσ: trace, loss, spectrum and ceiling are those of the dense matrix."""
    a, b = mean_of(seed, n), mean_of(seed + 1, 20)
    combined, dense = a - factor * b, a.dense() - factor * b.dense()
    torch.testing.assert_close(combined.dense(), dense)
    torch.testing.assert_close(combined.diagonal().dense(), dense)
    assert combined.trace == pytest.approx(1 - factor)
    program = compile_program(ansatze.all_pairs, (N,), N)
    w = torch.tensor(np.random.default_rng(seed).uniform(-3, 3, N), requires_grad=True)
    rows = engine.kept_rows(program, w, 2)
    expected = torch.einsum("ki,ij,kj->", rows, dense, rows.conj()).real
    torch.testing.assert_close(engine.fidelity(rows, combined), expected)
    for ours, theirs in zip(torch.autograd.grad(engine.fidelity(rows, combined), w, retain_graph=True),
                            torch.autograd.grad(expected, w), strict=True):
        torch.testing.assert_close(ours, theirs)
    eigenvalues = torch.linalg.eigvalsh(dense).flip(0)
    for latent in range(N + 1):  # zeros and negative eigenvalues too, where the latent space is large
        best, ideal = combined.ceiling(latent)
        assert best == pytest.approx(float(eigenvalues[: 2**latent].sum()), abs=1e-11)
        assert float(engine.fidelity(ideal, combined)) == pytest.approx(best, abs=1e-11)
        torch.testing.assert_close(ideal @ ideal.mH, torch.eye(2**latent, dtype=ideal.dtype))


@pytest.mark.parametrize("qubits", [4, 12])
def test_cuts_lose_no_more_than_they_say(qubits):
    rho = mean_of(0, 60, qubits)
    assert rho.lost <= 1e-13 and rho.trace == pytest.approx(1)
    shorter = rho.diagonal(tolerance=1e-3)
    assert 0 < shorter.lost <= 1e-3 and len(shorter.vectors) < len(rho.vectors)
    assert shorter.trace == pytest.approx(1 - shorter.lost)
    assert (-2 * shorter).lost == (rho - 2 * shorter).lost - rho.lost == 2 * shorter.lost
    assert shorter.diagonal(tolerance=1e-2).lost > shorter.lost
    values = (rho - shorter).diagonal().weights
    assert float(values.abs().sum()) == pytest.approx(shorter.lost)  # the trace norm of the difference


@pytest.mark.parametrize(("dense", "n", "joined"), [(12, 100, 9), (0, 100, 9), (0, 100, 2048), (12, 10, 2048)])
def test_chunks_change_nothing(monkeypatch, dense, n, joined):
    """Summed as matrices, joined as factors that are cut often or once, and with fewer events than dimensions."""
    monkeypatch.setattr(mean_state, "DENSE_QUBITS", dense)
    monkeypatch.setattr(mean_state, "JOINED", joined)
    psi = engine.states(encodings.angle, events(3, n), N)
    expected = psi.mT @ psi.conj() / n
    for memory in (1, 4 * 16 * 16 * 7, 2**27):
        torch.testing.assert_close(mean_of(3, n, memory=memory).dense(), expected)


@pytest.mark.parametrize("dense", [12, 0])
def test_any_number_of_workers_gives_the_same_bits(monkeypatch, dense):
    monkeypatch.setattr(mean_state, "DENSE_QUBITS", dense)
    memory = 4 * 16 * 16 * 7
    alone = mean_of(5, 50, memory=memory)
    with ThreadPoolExecutor(2) as pool:
        together = mean_of(5, 50, memory=memory, executor=pool)
    assert torch.equal(alone.vectors, together.vectors) and torch.equal(alone.weights, together.weights)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_processes_work_too():
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        together = mean_of(5, 50, memory=4 * 16 * 16 * 20, executor=pool)
    torch.testing.assert_close(together.dense(), mean_of(5, 50).dense())


def test_precision_is_kept():
    x = events(0, 50).float()
    mean = engine.mean_state(encodings.angle, x, N)
    assert mean.vectors.dtype == torch.complex64 and mean.weights.dtype == torch.float32
    torch.testing.assert_close(mean.dense().to(torch.complex128), mean_of(0, 50).dense(), atol=1e-6, rtol=0)


def test_different_sizes_are_one_sentence():
    with pytest.raises(InputError, match="4 and 3 qubits cannot be added"):
        mean_of(0, 5) + mean_of(0, 5, 3)


def test_where_nothing_is_left_any_direction_will_do():
    """One event has one eigenvector; the other kept rows complete an orthonormal set."""
    best, rows = mean_of(0, 1).ceiling(2)
    assert best == pytest.approx(1) and rows.shape == (4, 16)
    torch.testing.assert_close(rows @ rows.mH, torch.eye(4, dtype=rows.dtype))
