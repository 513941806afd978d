"""Detectors on the fidelity kernel of an encoding: one-class support vector machine and k-means (arXiv:2301.10780)."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn import svm

from qad import networks
from qad.detector import Detector
from qad.errors import InputError
from qad.quantum import encodings, engine
from qad.quantum import fidelity_kernel as kernel
from qad.quantum.bounds import Bounded


class KernelMachine(Bounded, Detector):
    """Score = min_k (c_k - Σ_i a_ik k(x_i, x)), k(x, y) = |⟨φ(x)|φ(y)⟩|²; a subclass learns a and c from the kernel matrix."""

    kind = "quantum"
    family = "quantum"
    n_references: int
    random_state: int

    def _learn(self, K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients a ``(m, k)`` and constants c ``(k,)`` from the kernel matrix ``(m, m)`` of the reference events."""
        raise NotImplementedError

    def encoder(self) -> tuple[Callable[..., None], int]:
        """The encoding for the features it was fitted on, and its number of qubits. Raises :class:`InputError`."""
        found = encodings.get(self.encoding)
        if found.takes != "tabular":
            raise InputError(f"encoding '{self.encoding}' takes {found.takes} input; {type(self).__name__} takes a table: use "
                             "dense-kernel, dense-angle or angle")
        n = found.qubits((self.n_features_in_,))
        engine.check_size(n)
        if "scale" in inspect.signature(found.function).parameters:
            return partial(found.function, scale=self.scale), n
        if self.scale != 1:
            raise InputError(f"scale={self.scale}: encoding '{self.encoding}' takes no scale; leave it out")
        return found.function, n

    def _fit(self, X: np.ndarray, validation: np.ndarray | None) -> None:
        if self.n_references < 2:
            raise InputError(f"n_references={self.n_references}: expected 2 or more training events to compare with")
        encode, n = self.encoder()
        X = X.astype(np.float64)
        self._prepare(X)
        chosen = np.random.default_rng(self.random_state).permutation(len(X))[: self.n_references]
        angles = np.ascontiguousarray(self.inputs(X[np.sort(chosen)]))
        K = kernel.gram(encode, torch.as_tensor(angles), None, n).numpy()
        coefficients, self.constants_ = self._learn(K)
        used = coefficients.any(1)
        self.references_, self.coefficients_ = angles[used], np.ascontiguousarray(coefficients[used])
        self.parameters_ = int(self.references_.size + self.coefficients_.size + self.constants_.size)
        apart = K[np.triu_indices(len(K), 1)]
        self.diagnostics_ = {"qubits": n, "references": int(used.sum()), "kernel_mean": float(apart.mean()),
                             "kernel_variance": float(apart.var())}

    def _score(self, X: np.ndarray) -> np.ndarray:
        encode, n = self.encoder()
        events = networks.tensor(self.inputs(X.astype(np.float64)), torch.float64)
        references = kernel.encoded(encode, torch.as_tensor(self.references_), n)
        values = kernel.weighted(encode, events, references, torch.as_tensor(self.coefficients_), n)
        return (self.constants_ - values.numpy()).min(1)


class QuantumOneClassSVM(KernelMachine):
    """Score = ρ - Σ_i α_i k(x_i, x), the one-class support vector machine on k(x, y) = |⟨φ(x)|φ(y)⟩|² (arXiv:2301.10780).

    nu            share of background outside, and lower bound on the share of support vectors (Schölkopf et al. 2001)
    encoding      a name from ``qad.quantum.encodings.names()`` that takes a table, or a quantum function ``f(x, wires)``
    scale         factor on the angles
    bounds        how features become angles, as in :class:`FeatureAutoencoder`; published: (-1, 1) onto [0, π]
    n_references  training events, drawn by ``random_state``, among which the support vectors are found

    After ``fit``: ``references_`` (support vectors as angles), ``coefficients_`` (α), ``constants_`` (ρ).
    """

    def __init__(self, nu: float = 0.01, encoding: Any = "dense-kernel", scale: float = 1.0, bounds: Any = "fitted",
                 n_references: int = 600, random_state: int = 0) -> None:
        self.nu = nu
        self.encoding = encoding
        self.scale = scale
        self.bounds = bounds
        self.n_references = n_references
        self.random_state = random_state

    def _learn(self, K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not 0 < self.nu <= 1:
            raise InputError(f"nu={self.nu}: expected a share of the training events, above 0 and at most 1")
        machine = svm.OneClassSVM(kernel="precomputed", nu=self.nu).fit(K)
        alpha = np.zeros((len(K), 1))
        alpha[machine.support_, 0] = machine.dual_coef_[0]
        return alpha, -machine.intercept_


class QuantumKMeans(KernelMachine):
    """Score = min_c (1 - 2 ⟨φ|ρ_c|φ⟩ + Tr ρ_c²): the distance² of |φ⟩⟨φ| to the nearest centre ρ_c, by k-means with the kernel.

    ρ_c is the mean state of cluster c, so ⟨φ|ρ_c|φ⟩ = (1/n_c) Σ_{i∈c} k(x_i, x): k-means in the feature space of
    k(x, y) = |⟨φ(x)|φ(y)⟩|², by Lloyd's iteration on the kernel matrix from several random starts. One cluster is a kernel
    density. Not the quantum k-means of arXiv:2301.10780, which has another distance; its feature map is the default.

    n_clusters    number of centres
    n_init        random starts; the one with the least mean distance² is kept

    Everything else as in :class:`QuantumOneClassSVM`.
    """

    def __init__(self, n_clusters: int = 2, encoding: Any = "dense-kernel", scale: float = 1.0, bounds: Any = "fitted",
                 n_references: int = 600, n_init: int = 10, random_state: int = 0) -> None:
        self.n_clusters = n_clusters
        self.encoding = encoding
        self.scale = scale
        self.bounds = bounds
        self.n_references = n_references
        self.n_init = n_init
        self.random_state = random_state

    def _learn(self, K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.n_clusters < 1 or self.n_init < 1:
            raise InputError(f"n_clusters={self.n_clusters}, n_init={self.n_init}: expected 1 or more of each")
        share = kernel_k_means(K, min(self.n_clusters, len(K)), self.n_init, np.random.default_rng([self.random_state, 1]))
        return 2 * share, 1 + (share * (K @ share)).sum(0)


def distances(K: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Distance² in feature space of each event to each centre: K_ii - 2 (K s)_ic + s_cᵀ K s_c, ``(m, k)``.

    ``share`` ``(m, k)``: 1/n_c where event i belongs to cluster c, otherwise 0.
    """
    across = K @ share
    return K.diagonal()[:, None] - 2 * across + (share * across).sum(0)


def kernel_k_means(K: np.ndarray, n_clusters: int, n_init: int, rng: np.random.Generator, max_iter: int = 300) -> np.ndarray:
    """k-means in the feature space of a kernel matrix ``(m, m)``: the shares ``(m, n_clusters)`` of :func:`distances`."""
    best, least = np.zeros((len(K), n_clusters)), np.inf
    for _ in range(n_init):
        labels = distances(K, _seeds(K, n_clusters, rng)).argmin(1)
        for _ in range(max_iter):
            share = _shares(K, labels, n_clusters)
            far = distances(K, share)
            before, labels = labels, far.argmin(1)
            if (labels == before).all():
                break
        if (inertia := far.min(1).mean()) < least - 1e-12:
            best, least = share, inertia
    return best


def _seeds(K: np.ndarray, n_clusters: int, rng: np.random.Generator) -> np.ndarray:
    """Single events far apart as first centres (k-means++, Arthur and Vassilvitskii 2007)."""
    chosen = [int(rng.integers(len(K)))]
    while len(chosen) < n_clusters:
        far = (K.diagonal()[:, None] + K.diagonal()[chosen] - 2 * K[:, chosen]).min(1).clip(0)
        far[chosen] = 0
        if far.sum() <= 0:  # all the rest are copies
            far = np.ones(len(K))
            far[chosen] = 0
        chosen.append(int(rng.choice(len(K), p=far / far.sum())))
    share = np.zeros((len(K), n_clusters))
    share[chosen, np.arange(n_clusters)] = 1
    return share


def _shares(K: np.ndarray, labels: np.ndarray, n_clusters: int) -> np.ndarray:
    """Shares of :func:`distances` from labels; an empty cluster takes the event farthest from its own centre."""
    member = np.eye(n_clusters)[labels]
    for empty in np.flatnonzero(~member.any(0)):
        share = member / np.maximum(member.sum(0), 1)
        own = (distances(K, share) * member).sum(1)
        own[(member @ member.sum(0)) < 2] = -1  # the only one of its cluster
        member[own.argmax()] = np.eye(n_clusters)[empty]
    return member / member.sum(0)
