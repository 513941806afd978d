"""How fast the read-out could be: the operations and bytes of an event, and what this machine reaches."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from qad.errors import InputError
from qad.quantum.kernels import COS32, COS64, LANES, SIN32, SIN64, copy, multiply_add
from qad.quantum.program import COMPLEX, record
from qad.quantum.readout import checked, make_plan, product_gates


@dataclass(frozen=True)
class Work:
    """Floating point operations and bytes of memory traffic of one event."""

    flops: int
    bytes: int


def work(rows: torch.Tensor, encoding: Callable[..., None], X_example: torch.Tensor, n_qubits: int) -> Work:
    """What one event costs on the path that :func:`qad.quantum.readout.fidelities` takes, for a roofline.

    A multiply-add counts 2 flops; bytes are the event read and the score written once, all else stays in cache. A product
    encoding counts range reduction and polynomials of each angle, the products φ_A and φ_B, the blocks of rows that are not
    zero, and the squares. Otherwise: each gate on 2^n amplitudes, then 8 K 2^n for ψ @ rowsᵀ, with ψ written and read once.
    """
    X = checked(X_example)[:1]
    size = X.element_size()
    traffic = (X.numel() + 1) * size
    gates = product_gates(encoding, X, n_qubits) if X.device.type == "cpu" else None
    if gates is None:
        ops = record(encoding, X, n_qubits=n_qubits)
        flops = 8 * 2**n_qubits * (len(rows) + sum(2 ** len(op.wires) for op in ops))
        return Work(flops, traffic + 4 * size * 2**n_qubits)
    plan = make_plan(rows, gates, n_qubits, np.float32 if size == 4 else np.float64)
    series = len(COS32) + len(SIN32) if size == 4 else len(COS64) + len(SIN64)
    n, (n_rows, n_a) = len(plan.first) - 1, plan.used.shape
    flops = len(plan.gates) * (2 * (series - 2) + 8) + int(plan.used.sum()) * (34 if plan.real else 70)
    if plan.real:
        return Work(flops + 2 * (n_a - 1) + 12 + 4 * n_rows, traffic)
    turns = 12 * n + 40 * (len(plan.gates) - n)
    return Work(flops + turns + 12 * (n_a - 1) + 84 + 4 * n_rows, traffic)


@dataclass(frozen=True)
class Peak:
    """What this machine reaches: flop/s of independent multiply-adds, bytes/s of a copy (read and written)."""

    flops: float
    bytes: float


def peak(dtype: torch.dtype, threads: int | None = None) -> Peak:
    """The measured :class:`Peak` of ``dtype`` (float32 or float64) on ``threads`` threads (torch's number), best of several."""
    if dtype not in COMPLEX:
        raise InputError(f"expected torch.float32 or torch.float64, got {dtype}")
    threads = torch.get_num_threads() if threads is None else threads
    kind = np.float32 if dtype == torch.float32 else np.float64
    repeats, size = 4_000, 2**23
    lanes, source, target = (np.ones((threads, k), kind) for k in (8 * LANES, size // threads, size // threads))
    multiply_add(lanes[0], kind(0.5), 1)
    copy(source[0, :1], target[0, :1])
    with ThreadPoolExecutor(threads) as pool:
        def best(task: Callable[[int], None]) -> float:
            times = []
            for _ in range(5):
                began = time.perf_counter()
                list(pool.map(task, range(threads)))
                times.append(time.perf_counter() - began)
            return min(times)

        flops = threads * repeats * 8 * LANES * 16 / best(lambda i: multiply_add(lanes[i], kind(0.5), repeats))
        return Peak(flops, 2 * source.nbytes / best(lambda i: copy(source[i], target[i])))
