"""Readout mitigation and zero-noise extrapolation of what a machine measured.

Readout: each qubit's confusion P(read b | prepared a), from two circuits, is inverted on the measured distribution. Qubits are
taken as independent, and the x gate that prepares 1 counts as readout (arXiv:2006.14044). Zero noise: two-qubit gates are run
1, 3, 5 times, which makes their noise as much larger, and the results continued to none (arXiv:1612.02058, arXiv:2005.10921).

Both move scores back to where they were and pay with variance. A ranking gains only what differs from event to event: with one
qubit read out, unfolding is the same increasing line for all, and no AUC changes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike
from qiskit import ClassicalRegister, QuantumCircuit, transpile

from qad.errors import InputError
from qad.quantum.backends.base import Compiled, check_shots
from qad.quantum.backends.isa import ISA, folded

METHODS = ("linear", "richardson", "exponential")


def calibration_circuits(isa: ISA, basis: Collection[str] | None = None) -> list[QuantumCircuit]:
    """Two circuits on the qubits that ``isa`` reads out, into a register ``trash`` alike: all in 0, and all in 1.

    basis   the machine's gates, where it has no x: 1 is then prepared with these
    """
    circuits = []
    for ones in (False, True):
        register = ClassicalRegister(len(isa.read), "trash")
        flip = QuantumCircuit(1)
        if ones:
            flip.x(0)
        if basis is not None and "x" not in basis:
            flip = transpile(flip, basis_gates=list(basis), optimization_level=1)
        circuit = QuantumCircuit(isa.circuit.num_qubits)
        circuit.add_register(register)
        for qubit in isa.read:
            circuit.compose(flip, [qubit], inplace=True)
        circuit.measure(isa.read[::-1], register)
        circuits.append(circuit)
    return circuits


def confusions(p0: ArrayLike, p1: ArrayLike) -> np.ndarray:
    """P(read b | prepared a) of each qubit, ``(read, 2, 2)`` indexed [qubit, a, b], the most significant qubit first.

    p0, p1   what the two circuits of :func:`calibration_circuits` gave, shares or counts, ``(2^read,)``

    Raises :class:`InputError` for a qubit that tells 0 from 1 no better than a coin.
    """
    measured = np.stack([np.asarray(p, dtype=np.float64) for p in (p0, p1)])
    n = measured.shape[1].bit_length() - 1
    cube = measured.reshape(2, *[2] * n)
    found = np.stack([cube.sum(tuple(k + 1 for k in range(n) if k != q)) for q in range(n)])
    found /= found.sum(2, keepdims=True)
    if (blind := np.flatnonzero(np.linalg.det(found) <= 0)).size:
        raise InputError(f"qubits {blind.tolist()} of those read out tell 0 from 1 no better than a coin: nothing can be "
                         "unfolded; expected other qubits, or no readout mitigation")
    return found


def unfolding(confusion: np.ndarray) -> np.ndarray:
    """The matrix M with ``unfolded(p, confusion) = p @ M``, ``(2^read, 2^read)``: column 0 weighs outcomes for P(0…0)."""
    matrix = np.ones((1, 1))
    for one in np.linalg.inv(confusion):
        matrix = np.kron(matrix, one)
    return matrix


def unfolded(p: ArrayLike, confusion: np.ndarray) -> np.ndarray:
    """Quasi-probabilities before readout, ``(events, 2^read)``: the inverse of each qubit's ``confusion`` on measured ``p``.

    They sum to 1 and may leave [0, 1]. A score linear in them is unbiased if the confusions are right; see :func:`projected`.
    """
    p = np.asarray(p, dtype=np.float64)
    out = p.reshape(-1, *[2] * len(confusion))
    if out.shape[0] != len(p):
        raise InputError(f"probabilities of shape {p.shape}: expected (events, {2 ** len(confusion)}) for {len(confusion)} "
                         "qubits")
    for axis, inverse in enumerate(np.linalg.inv(confusion), start=1):
        out = np.moveaxis(np.tensordot(out, inverse, (axis, 0)), -1, axis)
    return out.reshape(p.shape)


def projected(p: ArrayLike) -> np.ndarray:
    """The probabilities closest to quasi-probabilities ``p``, ``(events, outcomes)``: max(p - t, 0), t such that the sum is 1.

    Least squares (arXiv:1106.5458). Each event gains accuracy, but a score becomes biased near 0 and 1, where anomalies are
    told apart, and ties appear: rank events by the quasi-probabilities.
    """
    p = np.asarray(p, dtype=np.float64)
    falling = -np.sort(-p, axis=1)
    excess = (falling.cumsum(1) - 1) / np.arange(1, p.shape[1] + 1)
    kept = (falling > excess).sum(1)
    return np.maximum(p - np.take_along_axis(excess, kept[:, None] - 1, 1), 0)


def coefficients(factors: Sequence[float], method: str = "linear") -> np.ndarray:
    """c of the value at zero noise, Σ_i c_i y_i with Σ_i c_i = 1, ``(factors,)``.

    ``linear`` and ``exponential``: least squares of a line (through logarithms), c_i = 1/k - x̄ (x_i - x̄)/Σ(x - x̄)².
    ``richardson``: the polynomial through all points, c_i = Π_{j≠i} x_j/(x_j - x_i).

    Raises :class:`InputError` for an unknown method, factors below 1 or equal, or only one that is not 1.
    """
    x = np.asarray(factors, dtype=np.float64)
    if method not in METHODS:
        raise InputError(f"method='{method}': expected one of {', '.join(METHODS)}")
    if x.ndim != 1 or not len(x) or (x < 1).any() or len(np.unique(x)) < len(x) or (len(x) == 1 and x[0] != 1):
        raise InputError(f"noise factors {tuple(factors)}: expected two or more different numbers from 1, such as (1, 3, 5)")
    if len(x) == 1:
        return np.ones(1)
    if method == "richardson":
        return np.array([np.prod([b / (b - a) for b in x if b != a]) for a in x])
    away = x - x.mean()
    return 1 / len(x) - x.mean() * away / (away @ away)


def extrapolated(values: Mapping[float, ArrayLike], method: str = "linear", asymptote: float = 0.0) -> np.ndarray:
    """Values at zero noise from those at each noise factor, of the shape of one of them.

    method      ``linear``, ``richardson`` (:func:`coefficients`), or ``exponential``: y = a ± exp(b - c x), so that
                y_0 - a = Π_i (y_i - a)^c_i; where the values lie on both sides of a there is no such curve: the line is taken
    asymptote   a, where all signal is lost: 2^-read for a probability
    """
    c = coefficients(tuple(values), method)
    y = np.stack([np.asarray(v, dtype=np.float64) for v in values.values()])
    line = np.tensordot(c, y, 1)
    if method != "exponential":
        return line
    away = y - asymptote
    side = np.sign(away[0])
    curved = (np.sign(away) == side).all(0) & (side != 0)
    logs = np.log(np.where(curved, np.abs(away), 1.0))
    return np.where(curved, asymptote + side * np.exp(np.tensordot(c, logs, 1)), line)


def split(shots: int, factors: Sequence[float], method: str = "linear") -> list[int]:
    """``shots`` shared among the noise factors as |c_i|, at least one each: the smallest variance that this budget can buy.

    Raises :class:`InputError` if there are fewer shots than factors.
    """
    if shots < len(factors):
        raise InputError(f"{shots} shots cannot be shared among {len(factors)} noise factors: expected at least {len(factors)}")
    share = np.abs(coefficients(factors, method))
    upto = np.round((shots - len(factors)) * np.cumsum(share) / share.sum()).astype(int)
    return (np.diff(upto, prepend=0) + 1).tolist()


def amplification(factors: Sequence[float], method: str = "linear") -> float:
    """How much larger the shot variance is than without extrapolation at the same budget: (Σ|c_i|)², with :func:`split`.

    For ``exponential`` where noise is small. 3.4 for a line through 1, 3, 5; 12 for Richardson there.
    """
    return float(np.abs(coefficients(factors, method)).sum() ** 2)


class Machine(Protocol):
    """What can be mitigated: it runs other circuits than the one that was compiled."""

    isa: ISA

    def run(self, isa: ISA, X: Any, weights: Any = None, shots: int | None = None, seed: int = 0) -> np.ndarray:
        """Distribution of the qubits read out for each event, ``(events, 2^read)``."""

    def run_circuits(self, circuits: list[QuantumCircuit], shots: int | None = None, seed: int = 0) -> np.ndarray:
        """The same of circuits without parameters, ``(circuits, 2^read)``."""


@dataclass
class Mitigated(Compiled):
    """A machine whose probabilities are mitigated: quasi-probabilities, which may leave [0, 1].

    machine             what was compiled, with ``isa``, ``run`` and ``run_circuits``
    readout             unfold each qubit's confusion
    factors             of the noise, odd: how often each two-qubit gate is folded; ``(1,)`` extrapolates nothing
    method              of :func:`extrapolated`, with the asymptote 2^-read
    calibration_shots   for each of the two calibration circuits; once for all events, on top of their shots
    basis               see :func:`calibration_circuits`

    ``shots`` of an event are shared among the factors: the budget is that of an unmitigated run. With ``shots=None`` all is
    exact, the calibration too.
    """

    machine: Machine
    readout: bool = True
    factors: Sequence[int] = (1, 3, 5)
    method: str = "linear"
    calibration_shots: int = 10_000
    basis: Collection[str] | None = None
    folded: dict[int, ISA] = field(init=False, repr=False)  # the circuit at each noise factor
    _confusions: dict[int | None, np.ndarray] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        coefficients(self.factors, self.method)
        check_shots(self.calibration_shots)
        isa = self.machine.isa
        self.folded = {k: isa if k == 1 else folded(isa, k) for k in self.factors}
        self.two_qubit_gates, self.depth, self.layout = isa.two_qubit_gates, isa.depth, isa.layout

    def confusion(self, shots: int | None = None, seed: int = 0) -> np.ndarray:
        """:func:`confusions` of the qubits read out, measured once for each ``seed``; ``shots=None``: exact."""
        key = None if shots is None else seed
        if key not in self._confusions:
            circuits = calibration_circuits(self.machine.isa, self.basis)
            self._confusions[key] = confusions(*self.machine.run_circuits(circuits, shots, seed))
        return self._confusions[key]

    def probabilities(self, X: Any, weights: Any = None, shots: int | None = None, seed: int = 0) -> np.ndarray:
        runs, matrix = self._runs(X, weights, shots, seed)
        return extrapolated({k: p @ matrix for k, (p, _) in runs.items()}, self.method, 2.0 ** -len(self.machine.isa.read))

    def weighted(self, X: Any, values: np.ndarray | None = None, weights: Any = None, shots: int | None = None,
                 seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """As without mitigation; the variance is Σ_i c_i² Var_i of the shares measured at each noise factor, the confusions
        taken as known.
        """
        runs, matrix = self._runs(X, weights, shots, seed)
        values = np.eye(len(matrix))[0] if values is None else values
        v = matrix @ values  # of what is measured, before it is unfolded
        means = {k: p @ v for k, (p, _) in runs.items()}
        mean = extrapolated(means, self.method, float(np.mean(values)))
        if shots is None:
            return mean, np.zeros(len(mean))
        c = coefficients(self.factors, self.method)
        spread = [np.maximum(p @ v**2 - (p @ v) ** 2, 0) / share for p, share in runs.values()]
        return mean, (c[:, None] ** 2 * np.stack(spread)).sum(0)

    def _runs(self, X: Any, weights: Any, shots: int | None, seed: int) -> tuple[dict[int, tuple[np.ndarray, Any]], np.ndarray]:
        """What each noise factor measured and with how many shots; and the matrix that unfolds it."""
        check_shots(shots)
        # what a seed draws must not be drawn again for another factor
        calibration, *seeds = np.random.SeedSequence(seed).generate_state(len(self.factors) + 1).tolist()
        shares = [None] * len(self.factors) if shots is None else split(shots, self.factors, self.method)
        runs = {factor: (self.machine.run(isa, X, weights, share, own), share)
                for (factor, isa), share, own in zip(self.folded.items(), shares, seeds, strict=True)}
        if not self.readout:
            return runs, np.eye(2 ** len(self.machine.isa.read))
        return runs, unfolding(self.confusion(None if shots is None else self.calibration_shots, calibration))
