"""The compiled read-out: fidelities F(x) = Σ_k |⟨r_k|φ(x)⟩|² of tens of millions of events a second on a CPU.

An encoding of one-qubit gates writes a product state. Every rotation is V RY(θ) V† with a constant V, so a qubit that one
rotation by data touches is W (cos θ/2, sin θ/2) with a constant W, which moves into the rows: what depends on the event
is real. More rotations make the qubit a complex pair. :mod:`qad.quantum.kernels` does the arithmetic.

Where an encoding entangles, or the data lies on another device, torch does the same with ψ @ rowsᵀ.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.sparse.csgraph import connected_components

from qad.errors import InputError
from qad.quantum import engine
from qad.quantum.kernels import LANES, complex_products, real_products
from qad.quantum.program import COMPLEX, ROTATIONS, check_size, is_phase, record

#: Events in a task, that its arrays stay in the L2 cache; above 2^15 elements torch would start threads of its own inside ours.
CHUNK, TORCH_CHUNK = 2**16, 2**15
AXES = {"X": np.diag([1, -1j]), "Y": np.eye(2), "Z": np.array([[1, -1j], [-1j, 1]]) / np.sqrt(2)}  # rotation = V RY V†
QUARTER = np.array([[0, -1], [1, 0]])  # RY(π)


class Plan(NamedTuple):
    """What the kernels need: rows that took in all constants, and the gates that give the angles (-1: none)."""

    gates: list[int]
    first: np.ndarray
    matrices: np.ndarray
    rows: np.ndarray
    used: np.ndarray
    real: bool


def _batched(op: Any) -> bool:
    if op.name == "Rot" or op.name in ROTATIONS:
        return any(np.ndim(p) > 0 for p in op.parameters)  # PennyLane's batch_size compares numbers: slow
    return op.batch_size is not None


def product_gates(encoding: Callable[..., None], X: Any, n_qubits: int) -> list[Any] | None:
    """The gates of a product encoding, or None if it entangles or takes data otherwise than as angles."""
    found: list[Any] = []
    for op in record(encoding, X, n_qubits=n_qubits):
        found += op.decomposition() if op.name == "Rot" and _batched(op) else [op]
    found = [op for op in found if not is_phase(op)]
    plain = all(len(op.wires) == 1 and (op.name in ROTATIONS if _batched(op) else op.has_matrix) for op in found)
    return found if plain else None


def _takes_arrays(encoding: Callable[..., None], X: torch.Tensor, gates: list[Any], n_qubits: int) -> bool:
    """Does the encoding give the same angles for NumPy arrays? They start no threads inside ours, and make larger chunks."""
    try:
        others = product_gates(encoding, X.numpy(), n_qubits)
        return others is not None and _layout(others) == _layout(gates) and all(
            np.array_equal(_array(a.parameters[0]), _array(b.parameters[0])) for a, b in zip(gates, others, strict=True)
            if _batched(a))
    except Exception:  # whatever a function of the user's own does with arrays: torch's tensors are what it is promised
        return False


def _array(parameter: Any) -> np.ndarray:
    return np.asarray(parameter.detach() if isinstance(parameter, torch.Tensor) else parameter)


def _layout(gates: list[Any]) -> list[tuple[Any, ...]]:
    return [(op.name, op.wires[0], _batched(op)) for op in gates]


def _signature(gates: list[Any]) -> tuple[Any, ...]:
    """Two chunks with the same signature share a plan."""
    def constants(op: Any) -> tuple[bytes, ...]:
        return () if _batched(op) else tuple(_array(p).tobytes() for p in op.parameters)

    return tuple((op.name, op.wires[0], constants(op)) for op in gates)


def _apart(rows: np.ndarray, tiny: float) -> np.ndarray:
    """The fewest rows with the same Σ|r·φ|², each on as few basis states as possible: ρ = R†R falls into blocks."""
    if rows.shape[0] * rows.shape[1] > 2**15:
        return rows  # the decomposition would cost more than it saves
    together = (P := np.abs(rows.conj().T @ rows)) > tiny * P.max()
    gram = np.linalg.eigvalsh(rows @ rows.conj().T)
    if together.all(1).any() and gram[0] > 1e-6 * gram[-1]:
        return rows  # one block, independent rows: the common case, found without a decomposition
    count, block = connected_components(together, directed=False)
    found = []
    for k in range(count):
        _, s, V = np.linalg.svd(rows[:, block == k], full_matrices=False)
        part = np.zeros((int((s > tiny).sum()), rows.shape[1]), rows.dtype)
        part[:, block == k] = (s[:, None] * V)[s > tiny]
        found.append(part)
    return np.concatenate(found)


def make_plan(rows: torch.Tensor, gates: list[Any], n_qubits: int, dtype: Any) -> Plan:
    """Move every constant into the rows: each qubit is then (cos, sin), or a short product of constants and RY."""
    constant = [[np.eye(2, dtype=complex)] for _ in range(n_qubits)]  # before, between and after the rotations of a qubit
    slots: list[list[int]] = [[] for _ in range(n_qubits)]
    for i, op in enumerate(gates):
        chain, turns = constant[op.wires[0]], slots[op.wires[0]]
        if not _batched(op):
            chain[-1] = engine.matrix_of(op).detach().cpu().numpy() @ chain[-1]
            continue
        V = AXES[ROTATIONS[op.name]]
        before = V.conj().T @ chain[-1]
        v = before[:, 0]
        if not turns and abs(v[0] ** 2 + v[1] ** 2) < 1e-15:
            continue  # an eigenstate only gets a phase
        chain[-1] = before
        chain.append(V.astype(complex))
        turns.append(i)
    R = rows.detach().cpu().to(torch.complex128).numpy().reshape(len(rows), *(2,) * n_qubits)
    pad = max(0, 3 - sum(map(bool, slots)))
    order, first, matrices = [-1] * pad, list(range(pad + 1)), [np.eye(2, dtype=complex)] * pad
    for chain, turns in zip(constant, slots, strict=True):
        last = chain[0][:, :1]
        if turns:
            v = chain[0][:, 0]
            steps = [chain[1] @ np.stack([v, QUARTER @ v], 1), *chain[2:]]
            last = steps[-1]
            order += turns
            first.append(len(order))
            matrices += [*steps[:-1], np.eye(2)]
        R = np.tensordot(R, last, axes=(1, 0))  # the next qubit's axis comes to the front
    R = R.reshape(len(rows), -1)
    real = len(order) == len(first) - 1
    tiny = 8 * torch.finfo(rows.dtype).eps
    R = _apart(np.concatenate([R.real, R.imag]) if real else R, tiny)
    full = np.zeros((len(R) + len(R) % 2 if real else len(R), 2**pad, R.shape[1]), R.dtype)
    full[: len(R), 0] = R
    blocks = full.reshape(len(full), -1, 8)
    used = (blocks != 0).any(2)
    if real:
        used = used[::2] | used[1::2]
    else:
        blocks = blocks.view(float)
    parts = np.ascontiguousarray(matrices, dtype=complex).reshape(-1, 4).view(float)
    return Plan(order, np.array(first), parts.astype(dtype), blocks.astype(dtype), used, real)


def checked(X: Any) -> torch.Tensor:
    X = torch.as_tensor(X).detach()
    if X.dtype not in COMPLEX or X.ndim < 1:
        raise InputError(f"expected events as float32 or float64 numbers, got {X.dtype} of shape {tuple(X.shape)}")
    return X


def _general(rows: torch.Tensor, encoding: Callable[..., None], X: torch.Tensor, n_qubits: int) -> torch.Tensor:
    R = rows.to(X.device, COMPLEX[X.dtype]).mT
    parts = [(psi @ R).abs().square().sum(1) for psi in engine.chunks_of_states(encoding, X, n_qubits)]
    return torch.cat([X.new_zeros(0), *parts])


def fidelities(rows: torch.Tensor, encoding: Callable[..., None], X: torch.Tensor, n_qubits: int,
               threads: int | None = None) -> torch.Tensor:
    """F(x) = Σ_k |⟨r_k|φ(x)⟩|² of each event, ``(N,)``, in the type and on the device of ``X``; no gradients.

    ``rows`` ``(K, 2^n)`` complex, ``encoding`` a quantum function ``f(x, wires)``, ``X`` ``(N, …)`` float32 or float64
    [whatever the encoding takes; angles in rad]. ``threads`` defaults to torch's; a product encoding gives the same bits
    for any number. Raises :class:`InputError` for rows or events that do not fit.
    """
    check_size(n_qubits)
    X = checked(X)
    rows = rows.detach()
    if rows.ndim != 2 or rows.shape[1] != 2**n_qubits or not rows.is_complex():
        raise InputError(f"expected complex rows of 2^{n_qubits} numbers, got {rows.dtype} of shape {tuple(rows.shape)}")
    threads = torch.get_num_threads() if threads is None else threads
    if threads < 1:
        raise InputError(f"expected at least one thread, got {threads}")
    if not len(X):
        return X.new_zeros(0)
    gates = product_gates(encoding, X[:2], n_qubits) if X.device.type == "cpu" else None
    if gates is None:
        return _general(rows, encoding, X, n_qubits)
    out = torch.empty(len(X), dtype=X.dtype)
    arrays = _takes_arrays(encoding, X[:2], gates, n_qubits)
    chunk = CHUNK if arrays else TORCH_CHUNK
    starts = range(0, len(X), chunk)
    threads = min(threads, len(starts))
    plans = {_signature(gates): make_plan(rows, gates, n_qubits, out.numpy().dtype)}  # nearly always the only one

    def work_off(worker: int) -> None:
        width = -(-min(chunk, len(X)) // LANES) * LANES
        columns = np.empty((*X.shape[1:], width), out.numpy().dtype)
        F, angles = np.empty(width, columns.dtype), None
        for start in starts[worker::threads]:
            x = X[start : start + chunk]
            view = columns[..., : len(x)]
            np.copyto(view, np.moveaxis(x.numpy(), 0, -1))  # x[..., i] is contiguous from here on
            events = np.moveaxis(view, -1, 0)
            gates = product_gates(encoding, events if arrays else torch.from_numpy(events), n_qubits)
            if gates is None:
                out[start : start + chunk] = _general(rows, encoding, x, n_qubits)
                continue
            key = _signature(gates)
            if key not in plans:
                plans[key] = make_plan(rows, gates, n_qubits, columns.dtype)
            plan = plans[key]
            if angles is None or len(angles) != len(plan.gates):
                angles = np.zeros((len(plan.gates), width), columns.dtype)
            for row, gate in zip(angles, plan.gates, strict=True):
                row[: len(x)] = 0 if gate < 0 else _array(gates[gate].parameters[0])
            if plan.real:
                real_products(angles, plan.rows, plan.used, F)
            else:
                complex_products(angles, plan.matrices, plan.first, plan.rows, plan.used, F)
            out[start : start + chunk] = torch.from_numpy(F[: len(x)])

    if threads == 1:
        work_off(0)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work_off, range(threads)))
    return out
