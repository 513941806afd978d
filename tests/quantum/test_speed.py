"""The speed table measures what it says; that it is fast is for `qad speed` to show."""

import json

import numpy as np
import pytest
import torch

from qad.errors import InputError
from qad.quantum import engine, speed
from qad.quantum.geometry import metric_tensor
from qad.quantum.optimizers import solve


def test_a_step_is_a_natural_gradient_step():
    problem = speed.Problem(3, 1, 50, latent=1)
    problem.mean()
    problem.stepper()()
    w = problem.start.clone().requires_grad_()
    engine.infidelity(problem.circuit.rows(w, 1), problem.rho).backward()
    G = metric_tensor(problem.circuit.program, w, problem.circuit.states(problem.X))
    expected = w.detach().reshape(-1) - 0.01 * solve(G, w.grad.reshape(-1), 1e-3)
    torch.testing.assert_close(problem.weights.detach().reshape(-1), expected)


def test_both_sides_of_a_ratio_compute_the_same():
    problem = speed.Problem(3, 1, 16, latent=1)
    problem.mean()
    full, blocks, _ = speed._pennylane(problem)
    program, psi = problem.circuit.program, problem.circuit.states(problem.X)
    for theirs, approximation in ((full, "full"), (blocks, "block-diag")):
        mean = sum(np.asarray(theirs(i)).reshape(9, 9) for i in range(16)) / 16
        np.testing.assert_allclose(metric_tensor(program, problem.start, psi, approximation), mean, atol=1e-12)


def test_scoring_rows_and_json():
    rows = speed.scoring_rows(events=3000)
    assert [r.target for r in rows] == [4e7, 5e6, 1e6] and all(r.value > 0 and "roofline" in r.how for r in rows)
    found = json.loads(speed.as_json(rows))
    assert found["rows"][0]["unit"] == "events/s" and found["machine"]["threads"] >= 1


def test_both_sides_of_the_noisy_contest_measure_the_same():
    pytest.importorskip("qiskit_ibm_runtime", reason="needs the extra 'ibm'")
    from qad.quantum.backends.speed import contest

    ours, table, one = contest("fake_manila", events=5, shots=2000)
    error = np.sqrt(2 * 0.25 / 2000)
    a, b = ours(), table()
    assert a.shape == b.shape == (5, 4) and abs(a - b).max() < 5 * error
    assert abs(one(3) - b[3]).max() < 5 * error


def test_targets():
    row = speed.Row("w", 2.0, "s", 2, "less", "")
    assert row.reached and not speed.Row("w", 2.1, "s", 2, "less", "").reached
    assert speed.Row("w", 2.1, "×", 2, "more", "").reached and not speed.Row("w", 1.9, "×", 2, "more", "").reached


def test_one_step_in_a_process_of_its_own(capsys):
    speed.one_step(4)
    assert 0 < float(capsys.readouterr().out) < 64


def test_unknown_sections_are_one_sentence():
    with pytest.raises(InputError, match="unknown section 'fast'"):
        speed.measure(["fast"])
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no GPU that torch can use"):
            speed.measure(["scoring"], device="cuda")


def test_the_start_is_measured_in_new_processes():
    rows = speed.start_rows()
    assert [r.work.split(" over ")[0] for r in rows] == ["import qad", "qad --help"]
    assert all(r.value > 0 and r.better == "less" and "import numpy" in r.how for r in rows)


@pytest.mark.slow
def test_the_whole_table():
    """Minutes: every row can be measured; the figures are for people."""
    told = []
    rows = speed.measure(progress=lambda done, of: told.append((done, of)))
    assert len(rows) == 14 and told[-1] == (6, 6)
    print(*rows, sep="\n")
