"""Scores from the whole measured distribution: p_k(x) = |⟨k|U|φ(x)⟩|² and a classical weight on each bit string k.

With populations q_k = ⟨k|Uρ̄U†|k⟩ of the background, σ's s_k and the contrast λ, score = Σ_k w_k p_k with

    ``infidelity``         w = 1 - [trash qubits of k are 0]: read from the kept rows alone, needs no weights
    ``mean-fidelity``      w = 1 - (q_k - λ s_k): for λ = 0 and U the eigenbasis of ρ̄, 1 - ⟨φ|ρ̄|φ⟩, a kernel density
    ``relative-entropy``   w = -log(q_k + ε): there -⟨φ|log(ρ̄ + ε)|φ⟩
    ``inverse``            w = 1/(q_k + ε): there ⟨φ|(ρ̄ + ε)⁻¹|φ⟩
    ``trash-populations``  w = share of k's trash qubits that are 1

In another basis than ρ̄'s these are the same functions of ρ̄'s diagonal there, which is what a machine can measure.
"""

from __future__ import annotations

import numpy as np

SCORES = ("infidelity", "mean-fidelity", "relative-entropy", "inverse", "trash-populations")


def weights(score: str, populations: np.ndarray, reference: np.ndarray, contrast: float, epsilon: float,
            latent: int) -> np.ndarray:
    """The classical weight of each of the 2^n bit strings, ``(2^n,)``; ``populations`` and ``reference`` are q and s."""
    k = np.arange(len(populations))
    trash = (len(k).bit_length() - 1) - latent
    ones = np.bitwise_count(k & (2**trash - 1))  # the first qubits, the latent ones, are the most significant bits
    match score:
        case "mean-fidelity":
            return 1 - (populations - contrast * reference)
        case "relative-entropy":
            return -np.log(np.maximum(populations, 0) + epsilon)
        case "inverse":
            return 1 / (np.maximum(populations, 0) + epsilon)
        case "trash-populations":
            return ones / trash
    raise ValueError(score)
