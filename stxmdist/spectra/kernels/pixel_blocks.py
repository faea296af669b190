"""Compiled passes over a block of pixels, energy by energy, that all fitters share.

Layout: a stack lies as (ENERGY, PIXEL), so one pixel's spectrum is spread over memory in strides of a whole image. A
block of LANES neighbouring pixels is copied into a small scratch (ENERGY, LANES) and everything runs over its last
axis, which the compiler turns into SIMD. The last block is padded, never shortened: every pixel meets the same
instructions wherever it stands, so results depend neither on how an image was cut into blocks nor on how many threads
share them.

The design is orthogonalised beforehand (``whitened``), which keeps float32 sums of squares well conditioned.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np

from stxmdist.arrays import F32, F64, I64, Mask, Real, compiled

LANES = 128
"""Pixels per block: a scratch of 100 energies is then 51 kB and stays in the second-level cache"""

_f = np.float32
_i = np.int32
LOG2_E = _f(1.44269504)
LN2_HIGH = _f(0.693359375)
LN2_LOW = _f(-2.12194440e-4)
SMALLEST_COUNT = _f(1e-30)
HALF = _f(0.5)
ONE = _f(1.0)
ZERO = _f(0.0)


def whitened(design: F64, effective_counts: F64) -> tuple[F64, F64]:
    """Design with orthogonal columns (ENERGY, TERM) under weights N, and R (TERM, TERM) with design = result @ R."""
    weight = np.sqrt(effective_counts / effective_counts.mean())[:, None]
    _, triangle = np.linalg.qr(weight * design)
    white = np.linalg.solve(triangle.T, design.T).T
    return np.ascontiguousarray(white), np.ascontiguousarray(triangle)


def pair_products(white: F64) -> F32:
    """Products of terms (PAIR, ENERGY) float32, PAIR running over 00, 10, 11, 20, 21, 22, ..."""
    n_terms = white.shape[1]
    pairs = [white[:, i] * white[:, j] for i in range(n_terms) for j in range(i + 1)]
    return np.ascontiguousarray(np.stack(pairs), dtype=np.float32)


def in_threads(kernel: Callable[..., None], n_pixels: int, threads: int, *arguments: Any) -> None:
    """Run kernel(begin, end, *arguments) over all pixels, dealt in whole blocks to ``threads`` threads.

    Kernels are compiled without Python's global lock and write to pixels begin to end alone.
    """
    blocks = -(-n_pixels // LANES)
    parts = max(1, min(threads, blocks))
    cuts = [min(n_pixels, LANES * (blocks * part // parts)) for part in range(parts + 1)]
    if parts == 1:
        kernel(0, n_pixels, *arguments)
        return
    with ThreadPoolExecutor(parts) as pool:
        running = [pool.submit(kernel, begin, end, *arguments) for begin, end in pairwise(cuts)]
        for one in running:
            one.result()


@compiled
def exponential(x: np.float32) -> np.float32:
    """e^x to 2e-7 relative, clamped to |x| <= 87; Cephes' polynomial (Moshier 1989), free of branches so that it
    vectorises.
    """
    x = min(max(x, _f(-87.0)), _f(87.0))
    k = np.floor(x * LOG2_E + HALF)
    r = x - k * LN2_HIGH
    r = r - k * LN2_LOW
    y = _f(1.9875691500e-4)
    y = y * r + _f(1.3981999507e-3)
    y = y * r + _f(8.3334519073e-3)
    y = y * r + _f(4.1665795894e-2)
    y = y * r + _f(1.6666665459e-1)
    y = y * r + _f(5.0000001201e-1)
    y = y * r * r + r + ONE
    power = _i((_i(k) + _i(127)) << _i(23))
    return np.float32(y * np.int32(power).view(np.float32))


@compiled
def logarithm(x: np.float32) -> np.float32:
    """ln x of a positive normal number to 2e-7; Cephes' polynomial, free of branches."""
    bits = np.float32(x).view(np.int32)
    # The mantissa is brought to [sqrt(1/2), sqrt(2)): 0x3f3504f3 are the bits of sqrt(1/2).
    k = _i((bits - _i(0x3F3504F3)) >> _i(23))
    m = np.int32(bits - _i(k << _i(23))).view(np.float32) - ONE
    z = m * m
    y = _f(7.0376836292e-2)
    y = y * m - _f(1.1514610310e-1)
    y = y * m + _f(1.1676998740e-1)
    y = y * m - _f(1.2420140846e-1)
    y = y * m + _f(1.4249322787e-1)
    y = y * m - _f(1.6668057665e-1)
    y = y * m + _f(2.0000714765e-1)
    y = y * m - _f(2.4999993993e-1)
    y = y * m + _f(3.3333331174e-1)
    y = y * m * z
    e = _f(k)
    y = y + e * LN2_LOW
    y = y - HALF * z
    return m + y + e * LN2_HIGH


@compiled
def gather(transmission: F32, energies: I64, first: int, block: F32, known: Mask) -> None:
    """Copy LANES pixels from ``first`` on into block (ENERGY, LANES); lanes beyond the image or with a NaN become 1
    and unknown.
    """
    n = min(LANES, transmission.shape[1] - first)
    for p in range(LANES):
        known[p] = p < n
    for k in range(energies.size):
        row = transmission[energies[k]]
        for p in range(n):
            block[k, p] = row[first + p]
        for p in range(n, LANES):
            block[k, p] = ONE
    for k in range(energies.size):
        for p in range(LANES):
            # NaN and infinity fail this comparison.
            known[p] = known[p] & (abs(block[k, p]) < _f(1e30))
    for p in range(LANES):
        if not known[p]:
            for k in range(energies.size):
                block[k, p] = ONE


@compiled
def clear(rows: F32) -> None:
    """Set (ROW, LANES) to zero; plain loops compile far quicker than assignments to slices."""
    for t in range(rows.shape[0]):
        for p in range(LANES):
            rows[t, p] = ZERO


@compiled
def length_of_longest_row(white: F32) -> float:
    """Largest norm over energies of the terms (ENERGY, TERM): what a step of length 1 changes optical density by at
    most.
    """
    longest = 0.0
    for k in range(white.shape[0]):
        total = 0.0
        for t in range(white.shape[1]):
            total += white[k, t] * white[k, t]
        longest = max(longest, np.sqrt(total))
    return longest


@compiled
def copy_rows(source: Real, target: Real) -> None:
    """Copy (ROW, LANES) between precisions."""
    for t in range(source.shape[0]):
        for p in range(LANES):
            target[t, p] = source[t, p]


@compiled
def add_terms(weights: F32, factors: F32, sums: F32) -> None:
    """sums (ROW, LANES) += factors (ROW,) x weights (LANES,)."""
    for t in range(factors.size):
        c = factors[t]
        for p in range(LANES):
            sums[t, p] += c * weights[p]


@compiled
def solve(hessian: F64, gradient: F64, step: F64, lower: F64, known: Mask) -> None:
    """Solve H x = g in every lane by Cholesky: H (PAIR, LANES), g and x (TERM, LANES), L (PAIR, LANES) float64.

    A lane whose H is not positive definite becomes unknown and keeps x = 0.
    """
    n = gradient.shape[0]
    for i in range(n):
        for j in range(i + 1):
            ij = i * (i + 1) // 2 + j
            for p in range(LANES):
                lower[ij, p] = hessian[ij, p]
            for k in range(j):
                ik = i * (i + 1) // 2 + k
                jk = j * (j + 1) // 2 + k
                for p in range(LANES):
                    lower[ij, p] -= lower[ik, p] * lower[jk, p]
            if i == j:
                for p in range(LANES):
                    # The pivot must stand above the rounding of float32 sums.
                    sound = lower[ij, p] > 1e-6 * hessian[ij, p]
                    known[p] = known[p] & sound
                    lower[ij, p] = np.sqrt(lower[ij, p] if sound else 1.0)
            else:
                jj = j * (j + 1) // 2 + j
                for p in range(LANES):
                    lower[ij, p] /= lower[jj, p]
    for i in range(n):
        for p in range(LANES):
            step[i, p] = gradient[i, p] if known[p] else 0.0
        for k in range(i):
            ik = i * (i + 1) // 2 + k
            for p in range(LANES):
                step[i, p] -= lower[ik, p] * step[k, p]
        ii = i * (i + 1) // 2 + i
        for p in range(LANES):
            step[i, p] /= lower[ii, p]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            ki = k * (k + 1) // 2 + i
            for p in range(LANES):
                step[i, p] -= lower[ki, p] * step[k, p]
        ii = i * (i + 1) // 2 + i
        for p in range(LANES):
            step[i, p] /= lower[ii, p]


@compiled
def scatter_covariance(
    hessian: F64,
    lower: F64,
    inverse_triangle: F64,
    known: Mask,
    first: int,
    n: int,
    covariance: F32,
    work: F64,
) -> None:
    """Write R^-1 H^-1 R^-T of every lane into covariance (TERM, TERM, PIXEL) from ``first`` on; ``work`` (2 TERM,
    LANES).
    """
    n_terms = inverse_triangle.shape[0]
    unit = work[:n_terms]
    column = work[n_terms:]
    for t in range(n_terms):
        # Column t of H^-1 R^-T.
        for i in range(n_terms):
            for p in range(LANES):
                unit[i, p] = inverse_triangle[t, i]
        solve(hessian, unit, column, lower, known)
        for s in range(t + 1):
            for p in range(n):
                total = 0.0
                for i in range(n_terms):
                    total += inverse_triangle[s, i] * column[i, p]
                value = _f(total if known[p] else np.nan)
                covariance[s, t, first + p] = value
                covariance[t, s, first + p] = value


@compiled
def scatter_coefficients(
    coefficients_white: F64,
    inverse_triangle: F64,
    known: Mask,
    first: int,
    n: int,
    coefficients: F32,
) -> None:
    """Write R^-1 phi of every lane into coefficients (TERM, PIXEL) from ``first`` on; NaN for unknown lanes."""
    for t in range(inverse_triangle.shape[0]):
        for p in range(n):
            total = 0.0
            for i in range(inverse_triangle.shape[0]):
                total += inverse_triangle[t, i] * coefficients_white[i, p]
            coefficients[t, first + p] = _f(total if known[p] else np.nan)
