"""Contrastive learning by fidelity: two views of a jet become two states of a small circuit, and s = |⟨φ(z)|φ(z')⟩|².

After quantum similarity learning (arXiv:2411.09927, di-Higgs events). Augmentations and losses are those of the classical
embeddings, with this s in the place of the cosine. It is one: s = Tr ρρ', the cosine of two density matrices as vectors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from sklearn.utils.validation import check_is_fitted
from torch import nn

from qad import contrastive, settings
from qad.encoders import SetTransformer
from qad.errors import InputError, did_you_mean
from qad.quantum import encodings, engine
from qad.quantum.fidelity_kernel import overlaps
from qad.quantum.pauli import expectations
from qad.representations.jetclr import JetCLR

#: Beyond, 256 events of every layer would not fit a cache, and a step takes seconds.
MOST_QUBITS = 10


def check_circuit(qubits: int, uploads: int) -> None:
    """Raise :class:`InputError` for a circuit that cannot be."""
    settings.whole("qubits", qubits, 1)
    settings.whole("uploads", uploads, 1)
    if qubits > MOST_QUBITS:
        raise InputError(f"qubits={qubits}: expected at most {MOST_QUBITS}, since every event is simulated in every step")


class ReUploading(nn.Module):
    """Angles z ``(B, qubits)`` [rad] → states |φ(z)⟩ ``(B, 2^qubits)``: data written ``uploads`` times (arXiv:1907.02085).

    RX(z_q) on each qubit, and between two uploads Rot(w) on each and a ring of CNOTs: the encoding ``re-uploading``, with
    weights w ``(uploads - 1, qubits, 3)`` uniform in [-π, π] from ``seed``. With one upload it is the encoding ``angle``, no
    weights, and the fidelity is Π_q cos²((z_q - z'_q)/2). A trainable layer after the last upload would not change a fidelity.
    Differentiable in z and w; complex64 for float32 angles, complex128 for float64. Raises :class:`InputError`.
    """

    def __init__(self, qubits: int, uploads: int = 3, seed: int = 0) -> None:
        super().__init__()
        check_circuit(qubits, uploads)
        self.qubits = qubits
        drawn = torch.rand(uploads - 1, qubits, 3, generator=torch.Generator().manual_seed(seed))
        self.weights = nn.Parameter(math.pi * (2 * drawn - 1))

    @property
    def encoding(self) -> partial[None]:
        """The quantum function ``f(z, wires)`` with the weights it now has."""
        return partial(encodings.re_uploading, weights=self.weights)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        if z.ndim != 2 or z.shape[1] != self.qubits:
            raise InputError(f"angles of shape {tuple(z.shape)}: expected (events, {self.qubits}), one for each qubit")
        with torch.autocast(z.device.type, enabled=False):
            return engine.states(self.encoding, z if z.dtype in engine.COMPLEX else z.float(), self.qubits)


class Fidelity:
    """s = |⟨φ(a)|φ(b)⟩|² in [0, 1], a similarity for the losses of :mod:`qad.contrastive`.

    circuit  that gives the states of a and b; without it they are states ``(B, 2^n)`` themselves
    """

    def __init__(self, circuit: nn.Module | None = None) -> None:
        self.states = circuit or nn.Identity()

    def matrix(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Every with every, ``(A, B)``: one product of matrices."""
        first = self.states(a)
        return overlaps(first, first if b is a else self.states(b))

    def pairs(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Each with its own, ``(B,)``."""
        return (self.states(a).conj() * self.states(b)).sum(-1).abs().square()


class QuantumSimilarity(JetCLR):
    """Jets → ``(n, qubits)`` angles [rad]: JetCLR whose embedding is a state of a circuit, and the similarity a fidelity.

    The transformer of JetCLR ends in ``qubits`` numbers, z = π tanh(·) in (-π, π); :class:`ReUploading` makes states of them,
    and network and circuit are trained together by the loss with s = |⟨φ(z)|φ(z')⟩|² (arXiv:2411.09927 for di-Higgs events).

    qubits, uploads  of the circuit; with ``uploads`` = 1 there is no gate between qubits, and s is a product of cosines
    give             ``angles``: z, on which a quantum detector with the encoding ``encoding()`` sits directly, as
                     ``quantum-features`` does with ``bounds=None``; after one upload that is the encoding ``angle``.
                     ``pauli``: ⟨X⟩, ⟨Y⟩, ⟨Z⟩ of each qubit ``(n, 3·qubits)``, which know the circuit
    head             layers between the sum over particles and the angles

    ``alignment`` and ``uniformity`` in ``diagnostics_`` are those of the density matrices: mean 2(1 - s), and
    ln mean e^{-4(1 - s)}. The other settings are those of :class:`qad.representations.jetclr.JetCLR`. Raises
    :class:`InputError`.
    """

    GIVES = ("angles", "pauli")

    def __init__(self, qubits: int = 6, uploads: int = 3, give: str = "angles", n_particles: int = 50,
                 pt_scale: float | None = None, positives: Sequence[Any] = ("rotate", "collinear", "soft", "translate"),
                 anomalies: Sequence[Any] = (), loss: str = "nt-xent", temperature: float = 0.1, width: int = 64,
                 heads: int = 4, blocks: int = 2, feed: int = 128, head: Sequence[int] = (64,), dropout: float = 0.0,
                 epochs: int = 20, learning_rate: float = 1e-3, batch_size: int = 128, patience: int = 10,
                 validation_fraction: float = 0.1, device: str = "auto", precision: str = "float32",
                 checkpoint: str | None = None, random_state: int = 0) -> None:
        super().__init__(n_particles, pt_scale, positives, anomalies, loss, temperature, width, heads, blocks, feed, head,
                         dropout, -1, False, epochs, learning_rate, batch_size, patience, validation_fraction, device,
                         precision, checkpoint, random_state)
        self.qubits = qubits
        self.uploads = uploads
        self.give = give

    def encoding(self) -> partial[None]:
        """The trained quantum function ``f(z, wires)``, for ``encoding=`` of a quantum detector of the angles."""
        check_is_fitted(self)
        return partial(encodings.re_uploading, weights=self.network_.circuit.weights.detach().cpu())

    def _check_settings(self) -> None:
        super()._check_settings()
        check_circuit(self.qubits, self.uploads)
        if self.give not in self.GIVES:
            raise InputError(did_you_mean(str(self.give), self.GIVES, "give"))

    def _encoder(self) -> nn.Module:
        head = [*self.head, self.qubits]
        return _Network(SetTransformer(3, self.width, self.heads, self.blocks, self.feed, head, self.dropout),
                        ReUploading(self.qubits, self.uploads, self.random_state))

    def _similarity(self, network: nn.Module) -> contrastive.Similarity:
        return Fidelity(network.circuit)

    def _value(self, network: nn.Module, z: Sequence[torch.Tensor], *classes: torch.Tensor) -> torch.Tensor:
        states = network.circuit(torch.cat(list(z))).chunk(len(z))  # each once, however often the loss asks for it
        losses = {**contrastive.TWO, **contrastive.THREE}
        return losses[self.loss](*states, temperature=self.temperature, similarity=Fidelity())

    @torch.no_grad()
    def _figures(self, network: nn.Module, views: Any, tensors: Sequence[torch.Tensor], judge: Any) -> dict[str, float]:
        found = {"loss": float(judge(tensors))}
        x = tensors[0][:2048]
        same = torch.Generator(x.device).manual_seed(self.random_state + 2)
        first, second = (network.circuit(network(self._columns(v))) for v in views(x, same)[:2])
        s = Fidelity().matrix(first, first)
        others = s[tuple(torch.triu_indices(*s.shape, 1))]
        return found | {"alignment": float(2 * (1 - Fidelity().pairs(first, second)).mean()),
                        "uniformity": float((-4 * (1 - others)).exp().mean().log())}

    def _embedded(self, columns: torch.Tensor) -> torch.Tensor:
        z = self.network_(columns)
        return expectations(self.network_.circuit(z), self.qubits, 1) if self.give == "pauli" else z

    def _size(self) -> int:
        return self.qubits * (3 if self.give == "pauli" else 1)


class _Network(nn.Module):
    """Particles → angles z [rad]; beside it the circuit that they are for."""

    def __init__(self, encoder: nn.Module, circuit: ReUploading) -> None:
        super().__init__()
        self.encoder, self.circuit = encoder, circuit

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return math.pi * torch.tanh(_wide(self.encoder(x)))


def _wide(z: torch.Tensor) -> torch.Tensor:
    """Mixed precision ends here: angles in bfloat16 would be off by some 0.01."""
    return z.float() if z.dtype == torch.bfloat16 else z
