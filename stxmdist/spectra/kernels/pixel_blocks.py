"""Compiled functions on a block of pixels that all fit kernels share, and the memory that a kernel works in.

A stack lies in memory as (ENERGY, PIXEL), so the values of one pixel's spectrum are a whole image apart. A kernel
therefore copies a block of LANES neighbouring pixels into scratch memory (ENERGY, LANES) and loops over the last axis,
which the compiler turns into SIMD instructions. The last block is padded and never shortened: every pixel goes through
the same instructions wherever it stands, so results depend neither on how an image was cut into blocks nor on the
number of threads.

The design is orthogonalised beforehand (``orthogonalised``), which keeps float32 sums of squares well conditioned. The
coefficients of the orthogonal design are called phi, those of the design itself theta.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple

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


def orthogonalised(design: F64, effective_counts: F64) -> tuple[F64, F64]:
    """Design (ENERGY, TERM) whose columns are orthogonal under the weights N, and R (TERM, TERM), both float64.

    ``design`` (ENERGY, TERM) is their product, orthogonal @ R; ``effective_counts`` N are (ENERGY,).
    """
    weight = np.sqrt(effective_counts / effective_counts.mean())[:, None]
    _, triangle = np.linalg.qr(weight * design)
    orthogonal = np.linalg.solve(triangle.T, design.T).T
    return np.ascontiguousarray(orthogonal), np.ascontiguousarray(triangle)


def pair_products(orthogonal: F64) -> F32:
    """Products (PAIR, ENERGY) float32 of two columns each of a design (ENERGY, TERM).

    PAIR runs over 00, 10, 11, 20, 21, 22, ...
    """
    n_terms = orthogonal.shape[1]
    pairs = [orthogonal[:, i] * orthogonal[:, j] for i in range(n_terms) for j in range(i + 1)]
    return np.ascontiguousarray(np.stack(pairs), dtype=np.float32)


class PixelFit(NamedTuple):
    """The result of a kernel, into which it writes pixel by pixel; NaN where a pixel cannot be fitted."""

    coefficients: F32
    """(TERM, PIXEL) float32"""
    covariance: F32
    """(TERM, TERM, PIXEL) float32"""
    chi2_reduced: F32
    """(PIXEL,) float32"""


def empty_fit(n_terms: int, n_pixels: int) -> PixelFit:
    """Memory for the result of a kernel."""
    return PixelFit(
        coefficients=np.empty((n_terms, n_pixels), np.float32),
        covariance=np.empty((n_terms, n_terms, n_pixels), np.float32),
        chi2_reduced=np.empty(n_pixels, np.float32),
    )


class Scratch(NamedTuple):
    """Memory in which a kernel works on one block of pixels; sums over energies are float32, equations float64."""

    block: F32
    """(ROW, LANES) transmission, energy by energy, followed by the phase if there is one"""
    lane: F32
    """(3, LANES) values of the energy at hand"""
    chi2: F32
    """(LANES,)"""
    g32: F32
    """(TERM, LANES) gradient, as summed"""
    h32: F32
    """(PAIR, LANES) Hessian, as summed"""
    phi32: F32
    """(TERM, LANES) coefficients of the orthogonal design, as used in sums"""
    g: F64
    """(TERM, LANES) gradient"""
    h: F64
    """(PAIR, LANES) Hessian"""
    lower: F64
    """(PAIR, LANES) Cholesky factor of the Hessian"""
    step: F64
    """(TERM, LANES) by how much phi changes"""
    phi: F64
    """(TERM, LANES) coefficients of the orthogonal design"""
    work: F64
    """(2 TERM, LANES) right-hand side and solution while the covariance is computed"""
    known: Mask
    """(LANES,) pixels that can be fitted"""
    active: Mask
    """(LANES,) pixels that have not converged yet"""


@compiled
def scratch_for(n_rows: int, n_terms: int) -> Scratch:
    """Scratch memory for blocks of ``n_rows`` values per pixel and ``n_terms`` coefficients."""
    n_pairs = n_terms * (n_terms + 1) // 2
    return Scratch(
        np.empty((n_rows, LANES), np.float32),
        np.empty((3, LANES), np.float32),
        np.empty(LANES, np.float32),
        np.empty((n_terms, LANES), np.float32),
        np.empty((n_pairs, LANES), np.float32),
        np.empty((n_terms, LANES), np.float32),
        np.empty((n_terms, LANES), np.float64),
        np.empty((n_pairs, LANES), np.float64),
        np.empty((n_pairs, LANES), np.float64),
        np.empty((n_terms, LANES), np.float64),
        np.empty((n_terms, LANES), np.float64),
        np.empty((2 * n_terms, LANES), np.float64),
        np.empty(LANES, np.bool_),
        np.empty(LANES, np.bool_),
    )


def in_threads(kernel: Callable[..., None], n_pixels: int, threads: int, *arguments: object) -> None:
    """Run ``kernel(begin, end, *arguments)`` over all pixels, which are split into whole blocks for each thread.

    A kernel runs without Python's global lock and writes to the pixels from begin to end only.
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
    """e^x to 2e-7 relative, with x clamped to |x| <= 87.

    The polynomial is that of Cephes (Moshier 1989), without branches so that the compiler can vectorise it.
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
    """ln x of a positive normal number to 2e-7, by the polynomial of Cephes, without branches."""
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
    """Copy LANES pixels, the first of them at ``first``, into block (ENERGY, LANES).

    Lanes beyond the image, and lanes with a NaN or an infinity, are set to 1 and are not known.
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
            # NaN and infinity do not pass this comparison.
            known[p] = known[p] & (abs(block[k, p]) < _f(1e30))
    for p in range(LANES):
        if not known[p]:
            for k in range(energies.size):
                block[k, p] = ONE


@compiled
def clear(rows: F32) -> None:
    """Set (ROW, LANES) to zero. Plain loops compile far faster than assignments to slices."""
    for t in range(rows.shape[0]):
        for p in range(LANES):
            rows[t, p] = ZERO


@compiled
def length_of_longest_row(orthogonal: F32) -> float:
    """Largest norm of a row of the orthogonal design (ENERGY, TERM).

    A step of length 1 in phi changes the optical density at any energy by no more than this.
    """
    longest = 0.0
    for k in range(orthogonal.shape[0]):
        total = 0.0
        for t in range(orthogonal.shape[1]):
            total += orthogonal[k, t] * orthogonal[k, t]
        longest = max(longest, np.sqrt(total))
    return longest


@compiled
def copy_rows(source: Real, target: Real) -> None:
    """Copy (ROW, LANES) from one precision to another."""
    for t in range(source.shape[0]):
        for p in range(LANES):
            target[t, p] = source[t, p]


@compiled
def add_terms(weights: F32, factors: F32, sums: F32) -> None:
    """Add factors (ROW,) x weights (LANES,) to sums (ROW, LANES)."""
    for t in range(factors.size):
        c = factors[t]
        for p in range(LANES):
            sums[t, p] += c * weights[p]


@compiled
def solve(hessian: F64, gradient: F64, step: F64, lower: F64, known: Mask) -> None:
    """Solve H x = g in every lane by Cholesky factorisation, H = L L'; all arrays are float64.

    ``hessian`` H and ``lower`` L are (PAIR, LANES), ``gradient`` g and ``step`` x (TERM, LANES). A lane whose H is not
    positive definite is no longer known afterwards, and its x is 0.
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
                    # The pivot must exceed the rounding errors of float32 sums.
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
    """Write the covariance R^-1 H^-1 R^-T of ``n`` lanes to pixels ``first`` to ``first + n``.

    ``covariance`` is (TERM, TERM, PIXEL), ``work`` scratch memory (2 TERM, LANES). NaN for lanes that are not known.
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
    phi: F64,
    inverse_triangle: F64,
    known: Mask,
    first: int,
    n: int,
    coefficients: F32,
) -> None:
    """Write the coefficients R^-1 phi of ``n`` lanes to pixels ``first`` to ``first + n`` of (TERM, PIXEL).

    NaN for lanes that are not known.
    """
    for t in range(inverse_triangle.shape[0]):
        for p in range(n):
            total = 0.0
            for i in range(inverse_triangle.shape[0]):
                total += inverse_triangle[t, i] * phi[i, p]
            coefficients[t, first + p] = _f(total if known[p] else np.nan)
