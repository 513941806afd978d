"""Our engine: exact states of all events in one batch, with or without shots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from qad.errors import InputError
from qad.quantum import engine
from qad.quantum.backends.base import Backend, Compiled, check_weights, checked_events, groups_of, sampled
from qad.quantum.circuit import Circuit
from qad.quantum.export import checked, trash_qubits
from qad.quantum.moments import through


class Exact(Backend):
    """The batched statevector engine.

    dtype, device   ``float64`` or ``float32``; ``cpu`` or ``cuda``
    """

    name = "exact"
    exact = drawable = True

    def __init__(self, dtype: str = "float64", device: str = "cpu") -> None:
        if dtype not in ("float32", "float64"):
            raise InputError(f"dtype='{dtype}': expected float64 or float32")
        if device != "cpu" and not (device.startswith("cuda") and torch.cuda.is_available()):
            raise InputError(f"device='{device}': expected cpu, or cuda where torch can use a GPU")
        self.dtype, self.device = dtype, device

    def compile(self, circuit: Circuit, latent: int, weights: Any = None, example: Any = None) -> Compiled:
        trash_qubits(circuit, latent)
        weights = weights if weights is None else checked(circuit, weights)
        return _States(circuit, latent, weights, getattr(torch, self.dtype), self.device)


@dataclass
class _States(Compiled):
    circuit: Circuit
    latent: int
    weights: Any
    dtype: torch.dtype
    device: str

    def probabilities(self, X: Any, weights: Any = None, shots: int | None = None, seed: int = 0) -> np.ndarray:
        check_weights(weights, self.weights is not None)
        X = torch.as_tensor(np.ascontiguousarray(checked_events(X)), dtype=self.dtype, device=self.device)
        n = self.circuit.n_qubits
        program = self.circuit.program.to(self.device, self.dtype)
        p = torch.empty(len(X), 2 ** (n - self.latent), dtype=self.dtype, device=self.device)
        groups = groups_of(self.weights if weights is None else weights, self.circuit, len(X))
        unitaries: dict[int, torch.Tensor] = {}
        with torch.no_grad():
            for start in range(0, len(X), size := engine.chunk_size(n)):
                psi = self.circuit.states(X[start : start + size])
                for k, (w, where) in enumerate(groups):
                    here = where[(where >= start) & (where < start + size)] if len(X) > size else where
                    w = torch.as_tensor(w, dtype=self.dtype, device=self.device)
                    if len(where) < 2**n:  # cheaper without the whole unitary
                        out = through(program, program.angles(w), psi[here - start])
                    else:
                        if k not in unitaries:
                            unitaries[k] = self.circuit.rows(w, n).mT
                        out = psi[here - start] @ unitaries[k].to(psi.dtype)
                    p[here] = out.abs().square().reshape(len(here), 2**self.latent, -1).sum(1)
        return sampled(p.double().cpu().numpy(), shots, seed)
