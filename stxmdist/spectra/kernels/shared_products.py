"""Exact non-negative least squares of many right-hand sides with the same matrix of products."""

import numpy as np

from stxmdist.arrays import F64, compiled

MOST_UNKNOWNS = 8
"""The inverses for all supports are tabulated, which are 256 for eight unknowns"""


def nonnegative_solutions(products: F64, projections: F64) -> F64:
    """Minimise h' G h / 2 - c' h over h >= 0 for every column c, exactly; (UNKNOWN, COLUMN) float64.

    ``products`` G (UNKNOWN, UNKNOWN) float64 is positive definite; ``projections`` (UNKNOWN, COLUMN) float64 holds the
    columns c. The method is block principal pivoting, which exchanges all infeasible unknowns at once or, if that
    cycles, one at a time: Kim and Park, SIAM J. Sci. Comput. 33, 3261 (2011), algorithm 1. G is the same for all
    columns, so each support is inverted once.
    """
    solutions = np.empty_like(projections)
    _pivot(support_inverses(products), products, np.ascontiguousarray(projections), solutions)
    return solutions


def support_inverses(products: F64) -> F64:
    """Inverse of the products for every support, (2^UNKNOWN, UNKNOWN, UNKNOWN) float64, zero outside the support."""
    n = len(products)
    inverses = np.zeros((1 << n, n, n))
    for support in range(1, 1 << n):
        chosen = np.flatnonzero([support >> k & 1 for k in range(n)])
        inverses[support][np.ix_(chosen, chosen)] = np.linalg.inv(products[np.ix_(chosen, chosen)])
    return inverses


@compiled
def _pivot(inverses: F64, products: F64, projections: F64, solutions: F64) -> None:
    n = products.shape[0]
    every = (1 << n) - 1
    for p in range(projections.shape[1]):
        support = every
        fewest = n + 1
        chances = 3
        # The loop always ends before: with exchanges one at a time, no support is repeated.
        for _ in range(4 * (every + 1)):
            wrong = 0
            number = 0
            highest = 0
            for i in range(n):
                h = 0.0
                if support >> i & 1:
                    for j in range(n):
                        h += inverses[support, i, j] * projections[j, p]
                solutions[i, p] = h
            for i in range(n):
                value = solutions[i, p]
                if not support >> i & 1:
                    value = -projections[i, p]
                    for j in range(n):
                        value += products[i, j] * solutions[j, p]
                if value < 0.0:
                    wrong |= 1 << i
                    number += 1
                    highest = 1 << i
            if number == 0:
                break
            if number < fewest:
                fewest = number
                chances = 3
                support ^= wrong
            elif chances > 0:
                chances -= 1
                support ^= wrong
            else:
                support ^= highest
        for i in range(n):
            solutions[i, p] = max(solutions[i, p], 0.0)
