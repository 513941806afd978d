"""Loops over lanes of events, compiled: products of one-qubit states against rows of a unitary.

Every array is flat and laid out lane after lane, so that LLVM makes vector instructions of the innermost loop; the arrays of a
block stay in the L1 cache. φ = φ_A ⊗ φ_B with φ_B three qubits, and ⟨r|φ⟩ = Σ_a φ_A[a] Σ_b r[a, b] φ_B[b]: eight multiply-adds
for each number that is read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload
from numpy.polynomial import Chebyshev, Polynomial

#: Events a kernel takes at once: the work arrays of a block stay in the L1 cache.
LANES = 512
FAST: dict[str, Any] = {"nogil": True, "cache": True, "fastmath": {"contract"}, "error_model": "numpy"}


def _series(function: Callable[[np.ndarray], np.ndarray], terms: int, dtype: type) -> tuple[Any, ...]:
    """Coefficients of a polynomial in z = r² on 0 … π², near minimax (Chebyshev points)."""
    fit = Chebyshev.interpolate(function, terms - 1, domain=[0, np.pi**2])
    return tuple(map(dtype, fit.convert(kind=Polynomial).coef))


def _cos(z: np.ndarray) -> np.ndarray:
    return np.cos(np.sqrt(z) / 2)


def _sin(z: np.ndarray) -> np.ndarray:
    return np.sinc(np.sqrt(z) / (2 * np.pi)) / 2


COS32, SIN32 = _series(_cos, 6, np.float32), _series(_sin, 5, np.float32)
COS64, SIN64 = _series(_cos, 10, np.float64), _series(_sin, 9, np.float64)
# 2π in two parts, the first short enough that k · part is exact
TURN32 = (np.float32(1 / (2 * np.pi)), np.float32(6.28125), np.float32(2 * np.pi - 6.28125))
TURN64 = (1 / (2 * np.pi), float(np.float32(2 * np.pi)), 2 * np.pi - float(np.float32(2 * np.pi)) + 2.4492935982947064e-16)


def half(angle):  # type: ignore[no-untyped-def]
    """(cos θ/2, sin θ/2) up to a common sign, which no fidelity sees. Compiled code only.

    Absolute error 2.5e-7 in float32 for |θ| < 100, 2e-15 in float64; of no use beyond 1e6 and 1e14 rad.
    """
    raise NotImplementedError


@overload(half)
def _half(angle):  # type: ignore[no-untyped-def]
    def single(angle):  # type: ignore[no-untyped-def]
        k = np.rint(angle * TURN32[0])
        r = (angle - k * TURN32[1]) - k * TURN32[2]
        z = r * r
        c = COS32[0] + z * (COS32[1] + z * (COS32[2] + z * (COS32[3] + z * (COS32[4] + z * COS32[5]))))
        s = SIN32[0] + z * (SIN32[1] + z * (SIN32[2] + z * (SIN32[3] + z * SIN32[4])))
        return c, r * s

    def double(angle):  # type: ignore[no-untyped-def]
        k = np.rint(angle * TURN64[0])
        r = (angle - k * TURN64[1]) - k * TURN64[2]
        z = r * r
        c = COS64[4] + z * (COS64[5] + z * (COS64[6] + z * (COS64[7] + z * (COS64[8] + z * COS64[9]))))
        c = COS64[0] + z * (COS64[1] + z * (COS64[2] + z * (COS64[3] + z * c)))
        s = SIN64[4] + z * (SIN64[5] + z * (SIN64[6] + z * (SIN64[7] + z * SIN64[8])))
        s = SIN64[0] + z * (SIN64[1] + z * (SIN64[2] + z * (SIN64[3] + z * s)))
        return c, r * s

    return single if angle == types.float32 else double


@intrinsic
def vectors(typingctx: Any) -> Any:
    """Tell LLVM that no two arrays overlap, and to use its widest vectors: without, it gives up, or halves AVX-512."""
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        function = builder.function
        function.attributes.add("noinline")
        if isinstance(function.attributes, set):
            set.add(function.attributes, '"prefer-vector-width"="512"')  # llvmlite's own add knows no such strings
        for argument in function.args:
            if isinstance(argument.type, ir.PointerType):
                argument.add_attribute("noalias")
        return ir.Constant(ir.IntType(8).as_pointer(), None)

    return types.none(), generate


@njit(**FAST)
def _halves(theta, T):  # type: ignore[no-untyped-def]
    """cos and sin of half the angles ``theta`` (LANES,), to T (2, LANES) flat."""
    vectors()
    for e in range(LANES):
        T[e], T[e + LANES] = half(theta[e])


@njit(**FAST)
def _twice(a, t, b):  # type: ignore[no-untyped-def]
    """A node of the tree of products times (cos, sin) of the next qubit: its two children."""
    vectors()
    for e in range(LANES):
        b[e] = a[e] * t[e]
        b[e + LANES] = a[e] * t[e + LANES]


@njit(**FAST)
def _eight(t, b):  # type: ignore[no-untyped-def]
    """φ_B (8, LANES) of three qubits t (3, 2, LANES), both flat."""
    vectors()
    for e in range(LANES):
        c0, s0, c1, s1 = t[e], t[e + LANES], t[e + 2 * LANES], t[e + 3 * LANES]
        c2, s2 = t[e + 4 * LANES], t[e + 5 * LANES]
        cc, cs, sc, ss = c0 * c1, c0 * s1, s0 * c1, s0 * s1
        b[e], b[e + LANES], b[e + 2 * LANES], b[e + 3 * LANES] = cc * c2, cc * s2, cs * c2, cs * s2
        b[e + 4 * LANES], b[e + 5 * LANES], b[e + 6 * LANES], b[e + 7 * LANES] = sc * c2, sc * s2, ss * c2, ss * s2


@njit(**FAST)
def _two_rows(rows, used, A, B, x, out):  # type: ignore[no-untyped-def]
    """out += Σ_j (Σ_a A[a] Σ_b rows[j, a, b] B[b])² of two rows (2, A, 8); x (2, LANES) is scratch."""
    vectors()
    for e in range(2 * LANES):
        x[e] = 0
    for k in range(len(used)):
        if used[k]:
            a, u, v = A[k * LANES : (k + 1) * LANES], rows[0, k], rows[1, k]
            u0, u1, u2, u3, u4, u5, u6, u7 = u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7]
            v0, v1, v2, v3, v4, v5, v6, v7 = v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]
            for e in range(LANES):
                b0, b1, b2, b3 = B[e], B[e + LANES], B[e + 2 * LANES], B[e + 3 * LANES]
                b4, b5, b6, b7 = B[e + 4 * LANES], B[e + 5 * LANES], B[e + 6 * LANES], B[e + 7 * LANES]
                x[e] += a[e] * (u0 * b0 + u1 * b1 + u2 * b2 + u3 * b3 + u4 * b4 + u5 * b5 + u6 * b6 + u7 * b7)
                x[e + LANES] += a[e] * (v0 * b0 + v1 * b1 + v2 * b2 + v3 * b3 + v4 * b4 + v5 * b5 + v6 * b6 + v7 * b7)
    for e in range(LANES):
        out[e] += x[e] * x[e] + x[e + LANES] * x[e + LANES]


@njit(**FAST)
def real_products(angles, rows, used, out):  # type: ignore[no-untyped-def]
    """F of real products: ``angles`` (n, N), ``rows`` (2J, A, 8), ``used`` (J, A), ``out`` (N,); N is whole blocks."""
    n, n_a, two = len(angles), used.shape[1], 2 * LANES
    T, A, B = np.empty(n * two, out.dtype), np.ones(n_a * two, out.dtype), np.empty(4 * two, out.dtype)
    x = np.empty(two, out.dtype)
    out[:] = 0
    for start in range(0, len(out), LANES):
        for q in range(n):
            _halves(angles[q, start : start + LANES], T[q * two : (q + 1) * two])
        for q in range(n - 3):
            for i in range(2**q, 2 ** (q + 1)):
                _twice(A[i * LANES : (i + 1) * LANES], T[q * two : (q + 1) * two], A[i * two : (i + 1) * two])
        _eight(T[(n - 3) * two :], B)
        for j in range(len(used)):
            _two_rows(rows[2 * j : 2 * j + 2], used[j], A[n_a * LANES :], B, x, out[start : start + LANES])


@njit(**FAST)
def _times(ar, ai, br, bi):  # type: ignore[no-untyped-def]
    return ar * br - ai * bi, ar * bi + ai * br


@njit(**FAST)
def _mix(m, x, y):  # type: ignore[no-untyped-def]
    """Amplitudes ``y`` (re, im, re, im) = M x, ``m`` the real and imaginary parts of M (2, 2)."""
    vectors()
    m0, m1, m2, m3, m4, m5, m6, m7 = m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7]
    for e in range(LANES):
        pr, pi, qr, qi = x[e], x[e + LANES], x[e + 2 * LANES], x[e + 3 * LANES]
        y[e] = m0 * pr - m1 * pi + m2 * qr - m3 * qi
        y[e + LANES] = m0 * pi + m1 * pr + m2 * qi + m3 * qr
        y[e + 2 * LANES] = m4 * pr - m5 * pi + m6 * qr - m7 * qi
        y[e + 3 * LANES] = m4 * pi + m5 * pr + m6 * qi + m7 * qr


@njit(**FAST)
def _start(m, t, y):  # type: ignore[no-untyped-def]
    """Amplitudes ``y`` = M (cos, sin)."""
    vectors()
    m0, m1, m2, m3, m4, m5, m6, m7 = m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7]
    for e in range(LANES):
        c, s = t[e], t[e + LANES]
        y[e], y[e + LANES] = m0 * c + m2 * s, m1 * c + m3 * s
        y[e + 2 * LANES], y[e + 3 * LANES] = m4 * c + m6 * s, m5 * c + m7 * s


@njit(**FAST)
def _turn(t, x, y):  # type: ignore[no-untyped-def]
    """Amplitudes ``y`` = RY x."""
    vectors()
    for e in range(LANES):
        c, s, pr, pi, qr, qi = t[e], t[e + LANES], x[e], x[e + LANES], x[e + 2 * LANES], x[e + 3 * LANES]
        y[e], y[e + LANES] = c * pr - s * qr, c * pi - s * qi
        y[e + 2 * LANES], y[e + 3 * LANES] = s * pr + c * qr, s * pi + c * qi


@njit(**FAST)
def _twice_complex(a, q, b):  # type: ignore[no-untyped-def]
    """As :func:`_twice`: a node a (2, LANES), a qubit q (4, LANES), the children b (4, LANES)."""
    vectors()
    for e in range(LANES):
        ar, ai = a[e], a[e + LANES]
        b[e], b[e + LANES] = _times(ar, ai, q[e], q[e + LANES])
        b[e + 2 * LANES], b[e + 3 * LANES] = _times(ar, ai, q[e + 2 * LANES], q[e + 3 * LANES])


@njit(**FAST)
def _one_row(rows, used, A, B, x, out):  # type: ignore[no-untyped-def]
    """out += |Σ_a A[a] Σ_b rows[a, b] B[b]|² of a complex row (A, 16); B (8, 2, LANES), x (2, LANES) is scratch."""
    vectors()
    for e in range(2 * LANES):
        x[e] = 0
    for k in range(len(used)):
        if used[k]:
            a, r = A[2 * k * LANES : 2 * (k + 1) * LANES], rows[k]
            u0, u1, u2, u3, u4, u5, u6, u7 = r[0], r[2], r[4], r[6], r[8], r[10], r[12], r[14]
            v0, v1, v2, v3, v4, v5, v6, v7 = r[1], r[3], r[5], r[7], r[9], r[11], r[13], r[15]
            for e in range(LANES):
                b0, b1, b2, b3 = B[e], B[e + 2 * LANES], B[e + 4 * LANES], B[e + 6 * LANES]
                b4, b5, b6, b7 = B[e + 8 * LANES], B[e + 10 * LANES], B[e + 12 * LANES], B[e + 14 * LANES]
                c0, c1, c2, c3 = B[e + LANES], B[e + 3 * LANES], B[e + 5 * LANES], B[e + 7 * LANES]
                c4, c5, c6, c7 = B[e + 9 * LANES], B[e + 11 * LANES], B[e + 13 * LANES], B[e + 15 * LANES]
                u = (u0 * b0 + u1 * b1 + u2 * b2 + u3 * b3 + u4 * b4 + u5 * b5 + u6 * b6 + u7 * b7
                     - v0 * c0 - v1 * c1 - v2 * c2 - v3 * c3 - v4 * c4 - v5 * c5 - v6 * c6 - v7 * c7)
                v = (u0 * c0 + u1 * c1 + u2 * c2 + u3 * c3 + u4 * c4 + u5 * c5 + u6 * c6 + u7 * c7
                     + v0 * b0 + v1 * b1 + v2 * b2 + v3 * b3 + v4 * b4 + v5 * b5 + v6 * b6 + v7 * b7)
                re, im = _times(a[e], a[e + LANES], u, v)
                x[e] += re
                x[e + LANES] += im
    for e in range(LANES):
        out[e] += x[e] * x[e] + x[e + LANES] * x[e + LANES]


@njit(**FAST)
def complex_products(angles, matrices, first, rows, used, out):  # type: ignore[no-untyped-def]
    """As :func:`real_products` for complex products: qubit q has the angles first[q] to first[q+1]; ``rows`` (J, A, 16)."""
    n, n_a, two = len(first) - 1, used.shape[1], 2 * LANES
    T, A, Q = np.empty(two, out.dtype), np.zeros(2 * n_a * two, out.dtype), np.empty(2 * n * two, out.dtype)
    P, B, x = np.empty(2 * two, out.dtype), np.empty(15 * two, out.dtype), np.empty(two, out.dtype)
    A[two : two + LANES] = 1
    B[: two] = A[two : 2 * two]
    out[:] = 0
    for start in range(0, len(out), LANES):
        for q in range(n):
            y = Q[2 * q * two : 2 * (q + 1) * two]
            for g in range(first[q], first[q + 1]):
                _halves(angles[g, start : start + LANES], T)
                if g == first[q]:
                    _start(matrices[g], T, y)
                else:
                    _turn(T, y, P)
                    _mix(matrices[g], P, y)
        for q in range(n - 3):
            for i in range(2**q, 2 ** (q + 1)):
                y = A[2 * i * two : 2 * (i + 1) * two]
                _twice_complex(A[i * two : (i + 1) * two], Q[2 * q * two : 2 * (q + 1) * two], y)
        for q in range(n - 3, n):
            level = 2 ** (q - n + 3)
            for i in range(level):
                x0 = (level - 1 + i) * two
                y0 = (2 * level - 1 + 2 * i) * two
                _twice_complex(B[x0 : x0 + two], Q[2 * q * two : 2 * (q + 1) * two], B[y0 : y0 + 2 * two])
        for j in range(len(used)):
            _one_row(rows[j], used[j], A[n_a * two :], B[7 * two :], x, out[start : start + LANES])


@njit(**FAST)
def multiply_add(x, m, repeats):  # type: ignore[no-untyped-def]
    """8 independent chains of multiply-adds on each lane of ``x`` (8, LANES) flat: 16 flops a number and repeat."""
    vectors()
    for _ in range(repeats):
        for e in range(LANES):
            v0, v1, v2, v3 = x[e], x[e + LANES], x[e + 2 * LANES], x[e + 3 * LANES]
            v4, v5, v6, v7 = x[e + 4 * LANES], x[e + 5 * LANES], x[e + 6 * LANES], x[e + 7 * LANES]
            for _ in range(8):
                v0, v1, v2, v3 = v0 * m + m, v1 * m + m, v2 * m + m, v3 * m + m
                v4, v5, v6, v7 = v4 * m + m, v5 * m + m, v6 * m + m, v7 * m + m
            x[e], x[e + LANES], x[e + 2 * LANES], x[e + 3 * LANES] = v0, v1, v2, v3
            x[e + 4 * LANES], x[e + 5 * LANES], x[e + 6 * LANES], x[e + 7 * LANES] = v4, v5, v6, v7


@njit(**FAST)
def copy(x, y):  # type: ignore[no-untyped-def]
    vectors()
    for e in range(len(x)):
        y[e] = x[e]
