"""Scores and AUCs from a finite number of shots: their errors, the pull of the AUC towards 1/2, and how many shots are enough.

An event of fidelity F is measured with S shots: K of them, binomial with S and q, say "background". Read out directly q = F,
by a SWAP test q = (1 + F)/2. Fewer K are more anomalous, and ties count half:
AUC(S) = mean over pairs of P(K_s < K_b) + ½ P(K_s = K_b), from exact binomials. Nothing here is drawn at random.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from qad.errors import InputError
from qad.metrics import ranking
from qad.metrics.counts import Binomial, Thinned

READOUTS = ("direct", "swap")
#: Beyond this many shots nothing is looked for.
MOST_SHOTS = 1_000_000


class ShotAuc(NamedTuple):
    """``expected`` AUC at a number of shots, and its standard deviation ``sd`` from shots alone, for these events."""

    expected: float
    sd: float


class Estimate(NamedTuple):
    """``value`` of the AUC without shot noise ± ``error`` (events and shots), and the AUC as ``measured``."""

    value: float
    error: float
    measured: float

    def interval(self, z: float = 1.0) -> tuple[float, float]:
        """``value`` ± z ``error``, within [0, 1]."""
        return max(self.value - z * self.error, 0.0), min(self.value + z * self.error, 1.0)


def score_error(F: ArrayLike, shots: int, readout: str = "direct") -> np.ndarray:
    """Standard deviation of the score 1 - F from ``shots`` shots, of F's shape.

    ``direct``: √(F(1 - F)/S). ``swap``: √((1 - F²)/S), a factor √((1 + F)/F) ≥ √2 larger. With a measured F of 0 or 1 it is 0
    (or too small): :func:`qad.metrics.wilson` has an interval there.
    """
    q = _chances(F, readout)
    return np.asarray(np.sqrt(q * (1 - q) / _whole(shots)) * (1 if readout == "direct" else 2))


def outcome_error(p: ArrayLike, weights: ArrayLike, shots: int) -> np.ndarray:
    """Standard deviation of the score Σ_k w_k p_k from ``shots`` shots: √((Σ w²p - (Σ w p)²)/S), ``(events,)``.

    p   probabilities or measured shares of the bit strings, ``(events, outcomes)``; ``weights`` ``(outcomes,)``
    """
    p, w = np.asarray(p, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    if p.ndim != 2 or w.shape != p.shape[1:]:
        raise InputError(f"probabilities of shape {p.shape} and weights of shape {w.shape}: expected (events, outcomes) and "
                         "(outcomes,)")
    mean = p @ w
    return np.asarray(np.sqrt(np.maximum((p * (w - mean[:, None]) ** 2).sum(1), 0) / _whole(shots)))


def auc_under_shots(F_background: ArrayLike, F_signal: ArrayLike, shots: int, readout: str = "direct") -> ShotAuc:
    """The AUC to expect when each event is measured with ``shots`` shots, and its spread if these events were measured again.

    F_background, F_signal   exact fidelities, ``(events,)`` each; on a noisy machine those that it has without shot noise

    sd² = Σ_i Var g(K_i)/n_b² + Σ_j Var f(K_j)/n_s², g(k) the share of signal below k and f(k) that of background above, ties
    half (Hájek's projection); what is left out of sd² is below 1/(4 n_b n_s). Raises :class:`InputError` for F outside [0, 1]
    or no events.
    """
    laws = [Binomial(_chances(F, readout), _whole(shots)) for F in (F_background, F_signal)]
    below, above = _lines(*(law.mixture() for law in laws))
    variance, value = 0.0, 0.0
    for law, line in zip(laws, (below, above), strict=True):
        mean, square = law.averages(line, line**2)
        value = float(mean.mean())
        variance += float(np.maximum(square - mean**2, 0).sum()) / len(mean) ** 2
    return ShotAuc(value, math.sqrt(variance))


def auc_without_shots(F_background: ArrayLike, F_signal: ArrayLike, shots: int, readout: str = "direct") -> Estimate:
    """The AUC of the exact scores, estimated from fidelities that are known from ``shots`` shots an event.

    Of S counts, s < S drawn without replacement are counts of s shots: averaged over all draws they give AUC(S), AUC(S/2) and
    AUC(S/4) without bias. The parabola in 1/s through the three has the estimate at 1/s = 0. Its error is that of a mean over
    pairs (DeLong 1988) and holds the chance of the events and of the shots.

    Assumed: independent shots, and scores that spread over more than the shot noise 1/√S, for then AUC(s) is a power series in
    1/s; where many fidelities lie closer together, or at 0 or 1, part of the bias stays. A machine's noise stays too. Raises
    :class:`InputError` for fewer than 4 shots, and for shares that are no counts, such as mitigated ones.
    """
    S = _whole(shots)
    if S < 4:
        raise InputError(f"{S} shots cannot be halved twice: expected 4 or more")
    counts = [_counts(F, S, readout) for F in (F_background, F_signal)]
    kinds, places = zip(*(np.unique(k, return_inverse=True) for k in counts), strict=True)
    parts = [np.zeros(len(k)) for k in counts]
    sizes = (S, S // 2, S // 4)
    for s in sizes:
        weight = math.prod(s / (s - other) for other in sizes if other != s)  # of the parabola at 1/s = 0
        laws = [Thinned(k, S, s) for k in kinds]
        lines = _lines(*(law.mixture(np.bincount(place)) for law, place in zip(laws, places, strict=True)))
        for part, law, place, line in zip(parts, laws, places, lines, strict=True):
            part += weight * law.averages(line)[0][place]
    error = math.sqrt(sum(part.var(ddof=1) / len(part) if len(part) > 1 else math.inf for part in parts))
    return Estimate(float(parts[0].mean()), error, ranking.auc(-counts[0], -counts[1]))


def shots_for(F_background: ArrayLike, F_signal: ArrayLike, *, loss: float | None = None, auc: float | None = None,
              readout: str = "direct") -> int:
    """The fewest shots an event with which the expected AUC is within ``loss`` of the exact one, or at least ``auc``.

    Found by bisection, to 1 % above 100; the expected AUC is taken to go one way. Raises :class:`InputError` unless one of
    ``loss`` and ``auc`` is given, and where a million shots are not enough.
    """
    exact = ranking.auc(*(-_chances(F, "direct") for F in (F_background, F_signal)))
    if (loss is None) == (auc is None) or (loss is not None and loss <= 0):
        raise InputError("expected either loss=… above 0, or auc=…: what the shots are to reach")
    if auc is not None and auc >= exact:
        raise InputError(f"auc={auc:g} is out of reach: the exact fidelities give {exact:.4f}; expected less")
    q = [_chances(F, readout) for F in (F_background, F_signal)]

    def enough(shots: int) -> bool:
        mixed = [Binomial(a, shots).mixture() for a in q]
        found = float(mixed[0] @ _lines(*mixed)[0])
        return found >= auc if auc is not None else loss is not None and abs(found - exact) <= loss

    low, high = 0, 1
    while not enough(high):
        if high == MOST_SHOTS:
            raise InputError(f"{MOST_SHOTS:,} shots are not enough: expected a larger loss or a smaller auc")
        low, high = high, min(2 * high, MOST_SHOTS)
    while high - low > max(1, high // 100):
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _whole(shots: int) -> int:
    if isinstance(shots, bool) or not isinstance(shots, int | np.integer) or shots < 1:
        raise InputError(f"shots={shots!r}: expected a whole number from 1")
    return int(shots)


def _chances(F: ArrayLike, readout: str) -> np.ndarray:
    """q of each event."""
    if readout not in READOUTS:
        raise InputError(f"readout='{readout}': expected direct or swap")
    given = np.asarray(F, dtype=np.float64)
    if not given.size or not ((given > -1e-6) & (given < 1 + 1e-6)).all():
        raise InputError("expected at least one fidelity, all from 0 to 1: type 1 - score")
    inside = np.clip(given, 0, 1)
    return inside if readout == "direct" else (1 + inside) / 2


def _counts(F: ArrayLike, shots: int, readout: str) -> np.ndarray:
    """K of each event, from its share."""
    F = np.asarray(F, dtype=np.float64)
    if readout not in READOUTS:
        raise InputError(f"readout='{readout}': expected direct or swap")
    K = shots * (F if readout == "direct" else (1 + F) / 2)  # a SWAP test's estimate 2K/S - 1 may be below 0
    if not F.size or not (abs(K - np.round(K)) < 1e-3).all() or K.min() < -0.5 or K.max() > shots + 0.5:
        raise InputError(f"expected at least one fidelity, all measured with {shots} shots; got numbers that are no shares of "
                         "these: give fidelities before any mitigation")
    return np.round(K).astype(np.int64)


def _lines(m_b: np.ndarray, m_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """From the distributions of K: the share of signal below k, and of background above k; ties count half."""
    return np.cumsum(m_s) - m_s / 2, 1 - np.cumsum(m_b) + m_b / 2
