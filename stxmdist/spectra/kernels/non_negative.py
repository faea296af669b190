"""Exact non-negative least squares of one pixel among those of a block: every support is tried."""

import numpy as np

from stxmdist.arrays import F64, compiled


@compiled
def best_support(hessian: F64, gradient: F64, solution: F64, trial: F64, lower: F64) -> None:
    """Minimise theta' H theta / 2 - g' theta subject to theta >= 0: the best of the solutions on every support that
    are non-negative.

    ``hessian`` (TERM, TERM) and ``gradient`` (TERM,) in the coefficients' own units; ``solution`` is overwritten.
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
def in_own_units(h: F64, g: F64, p: int, triangle: F64, hessian: F64, gradient: F64) -> None:
    """Write lane p's normal equations in the coefficients' own units: R' H R (TERM, TERM) and R' g (TERM,).

    ``h`` (PAIR, LANES) and ``g`` (TERM, LANES) are those of the orthogonalised design.
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
