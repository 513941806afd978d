"""The quantum feature map as an array: what linear functions of an encoded event can see of it."""

from __future__ import annotations

import functools
import inspect
import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from qad import settings
from qad.errors import InputError
from qad.quantum import encodings, engine
from qad.quantum.bounds import Bounded
from qad.representations.base import Representation
from qad.representations.scaling import _table

#: Columns that an array may have; eight qubits have 65,535 Pauli strings.
MOST_COLUMNS = 2**16
#: Bytes that one chunk of encoded events may take: they are passed over again and again, so it should fit a cache.
MEMORY = 2**20
#: Fewest events in a chunk, over which the signs of the strings are shared.
LEAST = 64

String = tuple[tuple[int, ...], str]  # the qubits and, one for each, X, Y or Z


class PauliFeatures(Bounded, Representation):
    """⟨φ(x)|P|φ(x)⟩ of all Pauli strings P on 1 to ``weight`` qubits, ``(n, Σ_k (qubits over k) 3^k)``, each in [-1, 1].

    |φ⟩⟨φ| = 2^-n (1 + Σ_P ⟨P⟩ P): with ``weight`` the number n of qubits every linear function of |φ⟩⟨φ| is linear in the
    4^n - 1 columns, and their scalar product is the fidelity kernel, |⟨φ(x)|φ(y)⟩|² = 2^-n (1 + Σ_P ⟨P⟩_x ⟨P⟩_y). A linear
    classifier on them is the linear test of the quantum feature space (arXiv:1803.07128); with fewer, of what it takes few
    qubits at once to measure.

    encoding  a name from ``qad.quantum.encodings.names()``, or a quantum function ``f(x, wires)``: of a table (n, features), or
              (``1p1q``) of particles (n, particles, 3), as ``constituents`` gives them. Trainable weights are left out
    weight    most qubits that a string acts on, in order of number, qubits, then X, Y, Z
    scale     factor on the angles
    bounds    how the features of a table become angles, as in :class:`FeatureAutoencoder`: ``fitted`` on background onto
              [0, π], pairs (low, high), or None: they are angles already

    Raises :class:`InputError` for a setting out of range, more than 65,536 columns, or events the encoding cannot write.
    """

    def __init__(self, encoding: Any = "angle", weight: int = 2, scale: float = 1.0, bounds: Any = "fitted") -> None:
        self.encoding = encoding
        self.weight = weight
        self.scale = scale
        self.bounds = bounds

    def encoder(self) -> tuple[Callable[..., None], int]:
        """The encoding for events as it was fitted on, and its number of qubits. Raises :class:`InputError`."""
        found = encodings.get(self.encoding)
        n = found.qubits(tuple(self.shape_in_))
        engine.check_size(n)
        settings.whole("weight", self.weight, 1)
        if self.weight > n:
            raise InputError(f"weight={self.weight}: expected at most {n}, the number of qubits of encoding '{self.encoding}'")
        columns = sum(math.comb(n, k) * 3**k for k in range(1, self.weight + 1))
        if columns > MOST_COLUMNS:
            raise InputError(f"{columns:,} Pauli strings on at most {self.weight} of {n} qubits: expected at most "
                             f"{MOST_COLUMNS:,}; take a smaller weight, or fewer qubits")
        if "scale" in inspect.signature(found.function).parameters:
            return partial(found.function, scale=self.scale), n
        if self.scale != 1:
            raise InputError(f"scale={self.scale}: encoding '{self.encoding}' takes no scale; leave it out")
        return found.function, n

    def _check(self, X: Any) -> np.ndarray:
        X = _table(X, self)
        takes = encodings.get(self.encoding).takes
        if X.ndim != (3 if takes == "particles" else 2):
            wanted = "(n, particles, 3), as 'constituents' gives them" if takes == "particles" else "(n, features)"
            raise InputError(f"encoding '{self.encoding}' takes numbers of shape {wanted}; got shape {X.shape}"
                             f"{'' if takes == 'particles' else ': put flatten in front'}")
        return X

    def _fit(self, X: Any) -> None:
        X = self._check(X)
        self.shape_in_ = list(X.shape[1:])
        self.encoder()
        self.low_ = self.high_ = None
        if X.ndim == 2:
            self._prepare(X)

    def _transform(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        X = self._check(X)
        if list(X.shape[1:]) != list(self.shape_in_):
            raise InputError(f"PauliFeatures was fitted on events of shape {tuple(self.shape_in_)}; got {X.shape[1:]}")
        encode, n = self.encoder()
        out = np.empty((len(X), len(strings(n, self.weight))))
        size = max(LEAST, MEMORY // (16 * 2**n))
        for i in range(0, len(X), size):
            angles = self.inputs(X[i : i + size]) if X.ndim == 2 else X[i : i + size]
            out[i : i + size] = expectations(engine.states(encode, torch.as_tensor(angles), n), n, self.weight)
        return out

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """The string of each column, such as "X0 Z3"."""
        check_is_fitted(self)
        return np.array([" ".join(f"{p}{q}" for p, q in zip(word, qubits, strict=True))
                         for qubits, word in strings(self.encoder()[1], self.weight)])


@functools.cache
def strings(n: int, weight: int) -> tuple[String, ...]:
    """All Pauli strings on 1 to ``weight`` of ``n`` qubits, by their number, by qubits, by letters."""
    return tuple((qubits, "".join(word)) for k in range(1, weight + 1) for qubits in itertools.combinations(range(n), k)
                 for word in itertools.product("XYZ", repeat=k))


@functools.lru_cache(2)
def _signs(n: int, weight: int) -> list[tuple[int, int, torch.Tensor, torch.Tensor]]:
    """The strings by the bits a that they flip and by the parity of their number of Y: columns, signs ``(strings, 2^n)``."""
    found: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    for column, (qubits, word) in enumerate(strings(n, weight)):
        letters = [(1 << (n - 1 - q), p) for q, p in zip(qubits, word, strict=True)]
        flips, bits = (sum(bit for bit, p in letters if p in those) for those in ("XY", "YZ"))
        y = word.count("Y")
        found.setdefault((flips, y % 2), []).append((column, bits, (y + 1) // 2))  # Re i^y(c + is) is c, -s, -c, s
    basis, signs = torch.arange(2**n), []
    for (flips, odd), members in found.items():
        columns, bits, minus = torch.tensor(members).T[..., None]
        for q in range(n):
            minus = minus + ((basis & bits) >> q)
        signs.append((flips, odd, columns[:, 0], (1 - 2 * (minus % 2)).to(torch.int8)))
    return signs


def expectations(states: torch.Tensor, n: int, weight: int) -> torch.Tensor:
    """⟨P⟩ of the :func:`strings` for each of the ``states`` ``(B, 2^n)``, real ``(B, strings)``, differentiable.

    P = i^y X^a Z^b with y the number of Y, as Y = iXZ, so ⟨P⟩ = Re i^y Σ_s ψ*[s ⊕ a] ψ[s] (-1)^(b·s): the products of
    amplitudes are the same for all strings that flip the bits a, and the rest is a real matrix of signs.
    """
    re, im = states.real.mT.contiguous(), states.imag.mT.contiguous()
    basis = torch.arange(2**n, device=states.device)
    out = torch.empty(len(strings(n, weight)), len(states), dtype=re.dtype, device=states.device)
    for flips, odd, columns, signs in _signs(n, weight):
        there = basis ^ flips
        pairs = re[there] * im - im[there] * re if odd else re[there] * re + im[there] * im
        out[columns.to(states.device)] = signs.to(re) @ pairs
    return out.mT
