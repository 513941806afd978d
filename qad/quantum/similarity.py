"""Similarity by fidelity: two views of a jet become two states of a small circuit, and s = |⟨φ(z)|φ(z')⟩|².

As in quantum similarity learning (arXiv:2411.09927, di-Higgs events). The losses are those of :mod:`qad.contrastive`, with
this s in the place of the cosine.
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import nn

from qad import settings
from qad.errors import InputError
from qad.quantum import encodings, engine
from qad.quantum.fidelity_kernel import overlaps

#: Beyond, 256 events of every layer would not fit a cache, and a step takes seconds.
MOST_QUBITS = 10


class ReUploading(nn.Module):
    """Angles z ``(B, qubits)`` [rad] → states |φ(z)⟩ ``(B, 2^qubits)``: data written ``uploads`` times (arXiv:1907.02085).

    RX(z_q) on each qubit, and between two uploads Rot(w) on each and a ring of CNOTs: the encoding ``re-uploading``, with
    weights w ``(uploads - 1, qubits, 3)`` uniform in [-π, π] from ``seed``. With one upload it is the encoding ``angle``, no
    weights, and the fidelity is Π_q cos²((z_q - z'_q)/2). A trainable layer after the last upload would not change a fidelity.
    Differentiable in z and w; complex64 for float32 angles, complex128 for float64. Raises :class:`InputError`.
    """

    def __init__(self, qubits: int, uploads: int = 3, seed: int = 0) -> None:
        super().__init__()
        settings.whole("qubits", qubits, 1)
        settings.whole("uploads", uploads, 1)
        if qubits > MOST_QUBITS:
            raise InputError(f"qubits={qubits}: expected at most {MOST_QUBITS}, since each event is simulated at each step")
        self.qubits = qubits
        drawn = torch.rand(uploads - 1, qubits, 3, generator=torch.Generator().manual_seed(seed))
        self.weights = nn.Parameter(math.pi * (2 * drawn - 1))

    def encoding(self) -> partial[None]:
        """The quantum function ``f(z, wires)`` with the weights it now has; ``encoding=`` of a quantum detector takes it."""
        return partial(encodings.re_uploading, weights=self.weights)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        if z.ndim != 2 or z.shape[1] != self.qubits:
            raise InputError(f"angles of shape {tuple(z.shape)}: expected (events, {self.qubits}), one for each qubit")
        with torch.autocast(z.device.type, enabled=False):
            return engine.states(self.encoding(), z if z.dtype in engine.COMPLEX else z.float(), self.qubits)


class Fidelity:
    """s = |⟨a|b⟩|² of states, in [0, 1]: the similarity that a contrastive loss is given in the place of the cosine."""

    def matrix(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Of all states ``(A, 2^n)`` with all ``(B, 2^n)``: ``(A, B)``, one product of matrices."""
        return overlaps(a, b)

    def pairs(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Of each state with the one beside it, ``(B,)``."""
        return (a.conj() * b).sum(-1).abs().square()


def bloch(psi: torch.Tensor) -> torch.Tensor:
    """⟨X⟩, ⟨Y⟩, ⟨Z⟩ of each qubit of states ``(B, 2^n)``, qubit after qubit, ``(B, 3n)``: three settings measure them all."""
    found = []
    for q in range(psi.shape[1].bit_length() - 1):
        zero, one = psi.reshape(len(psi), 2**q, 2, -1).unbind(2)
        cross = 2 * (zero.conj() * one).sum((1, 2))
        found += [cross.real, cross.imag, (zero.abs().square() - one.abs().square()).sum((1, 2))]
    return torch.stack(found, 1)
