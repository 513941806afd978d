"""What a circuit and its states are like: entanglement, magic, gradients, parameters that count, the spectrum of ρ̄.

What to use when: :func:`meyer_wallach` and :func:`magic` ask whether the encoded events use more than product or Clifford
states; :func:`spectrum` how many directions ρ̄ fills; :func:`effective_dimension` and :func:`dead` how many parameters count;
:func:`gradient_variance` with :func:`slope` whether training survives more qubits or layers (barren plateaus).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from qad.errors import InputError
from qad.quantum.engine import infidelity, kept_rows
from qad.quantum.mean_state import MeanState
from qad.quantum.program import Program


def _checked(states: torch.Tensor) -> tuple[torch.Tensor, int]:
    """States ``(B, 2^n)`` as complex128, and n."""
    n = states.shape[-1].bit_length() - 1 if states.ndim == 2 else 0
    if n < 1 or states.shape[-1] != 2**n:
        raise InputError(f"states of shape {tuple(states.shape)}: expected (events, 2^n); give states[None] for one state")
    return states.to(torch.complex128), n


def meyer_wallach(states: torch.Tensor) -> torch.Tensor:
    """Entanglement Q = 2 (1 - mean_q Tr ρ_q²) of each pure state, ρ_q its qubit q: 0 product, 1 all qubits fully mixed.

    states ``(B, 2^n)`` → ``(B,)``. Meyer and Wallach, quant-ph/0108104, in the form of Brennen, quant-ph/0305094.
    """
    states, n = _checked(states)
    purity = torch.zeros(len(states), dtype=torch.float64, device=states.device)
    for q in range(n):
        low, high = states.reshape(len(states), 2**q, 2, 2 ** (n - 1 - q)).unbind(2)
        p, r = low.abs().square().sum((1, 2)), high.abs().square().sum((1, 2))
        off = (low.conj() * high).sum((1, 2)).abs()
        purity += p**2 + r**2 + 2 * off**2
    return 2 * (1 - purity / n)


def _walsh_hadamard(rows: torch.Tensor) -> torch.Tensor:
    """Σ_b (-1)^{z·b} v[b] of each row, over z."""
    size, step = rows.shape[-1], 1
    while step < size:
        low, high = rows.reshape(*rows.shape[:-1], size // (2 * step), 2, step).unbind(-2)
        rows = torch.stack((low + high, low - high), -2).reshape(rows.shape)
        step *= 2
    return rows


def magic(states: torch.Tensor, memory: int = 2**27) -> torch.Tensor:
    """Stabiliser 2-Rényi entropy M₂ = -log₂ Σ_P ⟨P⟩⁴ / 2^n of each pure state, over all 4^n Pauli words [bits].

    states ``(B, 2^n)`` → ``(B,)``; 0 for stabiliser states, unchanged by Clifford gates, adds up over tensor products.
    Exact, in n 4^n operations: for words that flip the bits x, |⟨P⟩| is the Walsh-Hadamard transform of ψ*[b ⊕ x] ψ[b] over b.
    ``memory``: bytes to work in. Leone, Oliviero and Hamma, arXiv:2106.12587.
    """
    states, n = _checked(states)
    size = 2**n
    at_once = max(1, memory // (4 * 16 * size))  # rows of 2^n, with the copies that the transform makes
    basis = torch.arange(size, device=states.device)
    parts = []
    for psi in states.split(max(1, at_once // size)):
        total = torch.zeros(len(psi), dtype=torch.float64, device=states.device)
        for flips in basis.split(max(1, at_once // max(1, len(psi)))):
            rows = psi[:, flips[:, None] ^ basis].conj() * psi[:, None, :]
            total += _walsh_hadamard(rows).abs().pow(4).sum((1, 2))
        parts.append(-torch.log2(total / size))
    return torch.cat(parts)


def gradient_variance(program: Program, mean: MeanState, latent: int, draws: int = 64, seed: int = 0) -> float:
    """Var_θ ∂L/∂θ_p of the loss L = 1 - Tr(ΠUρ̄U†), θ uniform in [-π, π], averaged over the p whose gradient is not always zero.

    ``draws`` of all weights. 0 if no parameter moves the loss. It falls like 2^-n or faster on a barren
    plateau (McClean et al., arXiv:1803.11173): give :func:`slope` the values of a family of circuits.
    """
    if draws < 2:
        raise InputError(f"draws={draws}: a variance needs 2 or more; 64 is a good number")
    if mean.n_qubits != program.n_qubits:
        raise InputError(f"the mean state has {mean.n_qubits} qubits, this circuit {program.n_qubits}")
    if not 0 <= latent < program.n_qubits:
        raise InputError(f"latent={latent}: expected 0 to {program.n_qubits - 1}, so that some qubits are trash")
    generator = torch.Generator().manual_seed(seed)
    gradients = []
    for _ in range(draws):
        drawn = torch.empty(program.shape, dtype=torch.float64).uniform_(-torch.pi, torch.pi, generator=generator)
        weights = drawn.to(mean.weights).requires_grad_()
        loss = infidelity(kept_rows(program, weights, latent), mean)
        gradients.append(torch.autograd.grad(loss, weights)[0].reshape(-1))
    table = torch.stack(gradients)  # (draws, parameters)
    alive = table.abs().amax(0) > 1e-12  # of a loss in [0, 1]: less is rounding
    return float(table[:, alive].var(0).mean()) if alive.any() else 0.0


def slope(qubits: Sequence[float], variances: Sequence[float]) -> float:
    """The slope of log₂ variance against qubits (or layers), by least squares: -1 halves with each, 0 stays [bits per qubit].

    Raises :class:`InputError` for fewer than two different numbers or a variance that is not positive.
    """
    x, y = np.asarray(qubits, dtype=float), np.asarray(variances, dtype=float)
    if x.shape != y.shape or x.ndim != 1 or len(np.unique(x)) < 2:
        raise InputError(f"a slope needs a variance for each of two or more numbers of qubits, got {x.shape} and {y.shape}; "
                         "give gradient_variance of a few circuits")
    if not (y > 0).all():
        raise InputError(f"the variance {y[~(y > 0)][0]:g} has no logarithm; leave out circuits whose loss no parameter moves")
    x = x - x.mean()
    return float(x @ np.log2(y) / (x @ x))


def effective_dimension(metric: torch.Tensor, tolerance: float = 1e-8) -> int:
    """The rank of a metric ``(p, p)``: eigenvalues above ``tolerance`` × the largest. Parameters beyond it are redundant."""
    values = torch.linalg.eigvalsh(metric)
    return int((values > tolerance * values[-1]).sum()) if values[-1] > 0 else 0


def dead(jacobian: torch.Tensor, tolerance: float = 1e-10) -> list[int]:
    """Parameters that change no score: columns of ``jacobian`` ``(events, p)`` within ``tolerance`` × the largest entry."""
    largest = jacobian.abs().amax(0)  # of each parameter
    return torch.nonzero(largest <= tolerance * largest.max()).reshape(-1).tolist()


def names(shape: Sequence[int], indices: Iterable[int]) -> list[str]:
    """Names such as ``weights[2, 0]`` of flat ``indices`` into weights of ``shape``."""
    return [f"weights[{', '.join(str(int(i)) for i in np.unravel_index(index, tuple(shape)))}]" for index in indices]


class Spectrum(NamedTuple):
    """Eigenvalues that are not zero, descending; Tr ρ²; 1/Tr ρ²; -Tr ρ log₂ ρ [bits]."""

    eigenvalues: torch.Tensor
    purity: float
    participation: float
    entropy: float


def spectrum(mean: MeanState) -> Spectrum:
    """The :class:`Spectrum` of ρ̄: how many directions of the Hilbert space the events fill."""
    values = mean.spectrum[0].clamp_min(0)  # rounding leaves some at -1e-17
    purity = float(values.square().sum())
    entropy = float(-torch.special.xlogy(values, values).sum() / np.log(2))
    return Spectrum(values, purity, 1 / purity, max(entropy, 0.0))
