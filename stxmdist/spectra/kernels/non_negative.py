"""Exact non-negative least squares of a single pixel of a block, by trying every support.

A support is a set of coefficients that may differ from zero; all others are held at zero.
"""

import numpy as np

from stxmdist.arrays import F64, compiled


@compiled
def best_support(hessian: F64, gradient: F64, solution: F64, trial: F64, lower: F64) -> None:
    """Minimise theta' H theta / 2 - g' theta subject to theta >= 0.

    Of the solutions on every support that have no negative value the best one is written to ``solution`` (TERM,).
    ``hessian`` H (TERM, TERM) and ``gradient`` g (TERM,) are float64 in the units of the coefficients theta; ``trial``
    (TERM,) and ``lower`` (TERM, TERM) are scratch memory.
    """
    n = gradient.size
    best = 0.0
    solution[:] = 0.0
    chosen = np.empty(n, np.int64)
    for support in range(1, 1 << n):
        m = 0
        for t in range(n):
            if support >> t & 1:
                chosen[m] = t
                m += 1
        feasible = True
        for i in range(m):
            for j in range(i + 1):
                total = hessian[chosen[i], chosen[j]]
                for k in range(j):
                    total -= lower[i, k] * lower[j, k]
                if i == j:
                    feasible = feasible and total > 0.0
                    lower[i, i] = np.sqrt(total) if total > 0.0 else 1.0
                else:
                    lower[i, j] = total / lower[j, j]
        for i in range(m):
            total = gradient[chosen[i]]
            for k in range(i):
                total -= lower[i, k] * trial[k]
            trial[i] = total / lower[i, i]
        gain = 0.0
        for i in range(m):
            gain += trial[i] * trial[i]
        for i in range(m - 1, -1, -1):
            total = trial[i]
            for k in range(i + 1, m):
                total -= lower[k, i] * trial[k]
            trial[i] = total / lower[i, i]
            feasible = feasible and trial[i] >= 0.0
        if feasible and gain > best:
            best = gain
            solution[:] = 0.0
            for i in range(m):
                solution[chosen[i]] = trial[i]


@compiled
def in_coefficient_units(h: F64, g: F64, p: int, triangle: F64, hessian: F64, gradient: F64) -> None:
    """Write the normal equations of lane p for theta instead of phi: R' H R (TERM, TERM) and R' g (TERM,).

    ``h`` H (PAIR, LANES) and ``g`` (TERM, LANES) are those of the orthogonal design, ``triangle`` R (TERM, TERM).
    """
    n_terms = triangle.shape[0]
    for s in range(n_terms):
        total = 0.0
        for i in range(n_terms):
            total += triangle[i, s] * g[i, p]
        gradient[s] = total
        for t in range(n_terms):
            total = 0.0
            for i in range(n_terms):
                for j in range(n_terms):
                    ij = i * (i + 1) // 2 + j if j <= i else j * (j + 1) // 2 + i
                    total += triangle[i, s] * h[ij, p] * triangle[j, t]
            hessian[s, t] = total
