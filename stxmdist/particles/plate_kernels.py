"""Compiled passes over a cut-out plate and its views: blur, and blur undone.

A particle's cut-out is small and its views are many. So views lie innermost, where one instruction takes several, and
only pixels that hold something are visited; a Fourier transform of each cut-out would cost more.
"""

import numpy as np

from stxmdist.arrays import F64, Mask, compiled


@compiled
def blurred_at(images: F64, psf: F64, pixels: Mask) -> F64:
    """Images (IMAGE, Y, X) through a point spread function (K, K), K odd, at some pixels row by row: (IMAGE, PIXEL).

    Nothing lies beyond the cut-out.
    """
    n, rows, columns = images.shape
    half = psf.shape[0] // 2
    place = np.full((rows, columns), -1, dtype=np.int32)
    filled, size = np.empty((rows * columns, n)), 0
    for y in range(rows):
        for x in range(columns):
            holds = False
            for k in range(n):
                filled[size, k] = images[k, y, x]
                holds = holds or filled[size, k] != 0.0
            if holds:
                place[y, x] = size
                size += 1
    out, p = np.empty((n, pixels.sum())), 0
    seen = np.empty(n)
    for y in range(rows):
        for x in range(columns):
            if not pixels[y, x]:
                continue
            seen[:] = 0.0
            for at in range(max(0, y - half), min(rows, y + half + 1)):
                for beside in range(max(0, x - half), min(columns, x + half + 1)):
                    q = place[at, beside]
                    if q < 0:
                        continue
                    weight = psf[y - at + half, x - beside + half]
                    for k in range(n):
                        seen[k] += weight * filled[q, k]
            for k in range(n):
                out[k, p] = seen[k]
            p += 1
    return out


@compiled
def sharpened(excess: F64, mass: F64, step: F64, seen: Mask, psf: F64, iterations: int) -> F64:
    """State of charge (VIEW, Y, X) whose image explains the excess (VIEW, Y, X), after some iterations of van Cittert.

    Where there is neither mass nor an excess that is seen it is what the first step gives: 0.
    """
    n, rows, columns = excess.shape
    half = psf.shape[0] // 2
    place = np.full((rows, columns), -1, dtype=np.int32)
    ys, xs = np.empty(rows * columns, dtype=np.int32), np.empty(rows * columns, dtype=np.int32)
    size = 0
    for y in range(rows):
        for x in range(columns):
            if seen[y, x] and step[y, x] != 0.0:
                place[y, x], ys[size], xs[size] = size, y, x
                size += 1
    given, soc, filled = np.empty((size, n)), np.empty((size, n)), np.empty((size, n))
    for p in range(size):
        for k in range(n):
            given[p, k] = excess[k, ys[p], xs[p]]
            soc[p, k] = given[p, k] * step[ys[p], xs[p]]
    left = np.empty(n)
    for _ in range(iterations):
        for p in range(size):
            for k in range(n):
                filled[p, k] = mass[ys[p], xs[p]] * soc[p, k]
        for p in range(size):
            y, x = ys[p], xs[p]
            for k in range(n):
                left[k] = given[p, k]
            for at in range(max(0, y - half), min(rows, y + half + 1)):
                for beside in range(max(0, x - half), min(columns, x + half + 1)):
                    q = place[at, beside]
                    if q < 0:
                        continue
                    weight = psf[y - at + half, x - beside + half]
                    for k in range(n):
                        left[k] -= weight * filled[q, k]
            for k in range(n):
                soc[p, k] += left[k] * step[y, x]
    out = np.zeros((n, rows, columns))
    for p in range(size):
        for k in range(n):
            out[k, ys[p], xs[p]] = soc[p, k]
    return out
