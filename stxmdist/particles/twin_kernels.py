"""Compiled passes over the pixels of a particle and its twins: their covariance, and their maps."""

import numpy as np

from stxmdist.arrays import F32, F64, Mask, compiled


@compiled
def counting_covariance(thickness_nm: F64, design_per_nm: F64, counts: F64) -> F64:
    """(3, PIXEL) in the order 00, 01, 11: inverse of ``A' diag(N exp(-A t)) A``; 0 where it has none."""
    n_energies, terms = design_per_nm.shape
    pixels = thickness_nm.shape[1]
    out = np.zeros((3, pixels))
    information, root = np.empty((terms, terms)), np.zeros((terms, terms))
    scale, inverse = np.empty(terms), np.zeros((terms, terms))
    for p in range(pixels):
        information[:] = 0.0
        for e in range(n_energies):
            od = design_per_nm[e, 0] * thickness_nm[0, p] + design_per_nm[e, 1] * thickness_nm[1, p]
            expected = counts[e] * np.exp(-min(max(od, -1.0), 20.0))
            for i in range(terms):
                for j in range(i + 1):
                    information[i, j] += expected * design_per_nm[e, i] * design_per_nm[e, j]
        # Scaled to a unit diagonal: a background per optical density stands beside thicknesses in nm.
        solvable = True
        for i in range(terms):
            scale[i] = np.sqrt(max(information[i, i], 1e-300))
        for i in range(terms):
            for j in range(i + 1):
                left = information[i, j] / (scale[i] * scale[j])
                for k in range(j):
                    left -= root[i, k] * root[j, k]
                if i > j:
                    root[i, j] = left / root[j, j]
                else:
                    solvable = solvable and left > 1e-14
                    root[i, i] = np.sqrt(left) if solvable else 1.0
        if not solvable:
            continue
        for j in range(terms):
            for i in range(j, terms):
                left = 1.0 if i == j else 0.0
                for k in range(j, i):
                    left -= root[i, k] * inverse[k, j]
                inverse[i, j] = left / root[i, i]
        for k in range(terms):
            first, second = inverse[k, 0] / scale[0], (inverse[k, 1] if k > 0 else 0.0) / scale[1]
            out[0, p] += first * first
            out[1, p] += first * second
            out[2, p] += second * second
    return out


@compiled
def imaged_twins(
    measured_nm: F64,
    homogeneous_nm: F64,
    covariance: F64,
    white: F32,
    corner: tuple[int, int],
    known: Mask,
    has_soc: Mask,
    level: float,
    seen: Mask,
    response: F64,
) -> tuple[F64, F64, F64]:
    """Thickness, state of charge and excess, each (VIEW, Y, X): of what was measured, then of its twins.

    ``white`` (TWIN, 2, ROW, COLUMN) is noise of unit variance where the particle is looked at, from the pixel
    ``corner`` on; elsewhere twins are not known. ``covariance`` (3, Y, X) is that of both thicknesses in a pixel.
    The excess is charged less ``level`` times total thickness, less the same of the homogeneous plate, over the
    ``response``; 0 where it is not ``seen``. Thickness and state of charge are NaN where they are not ``known``.
    """
    twins, rows, columns = white.shape[0], known.shape[0], known.shape[1]
    shape = (twins + 1, rows, columns)
    total, soc, excess = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape)
    for y in range(rows):
        for x in range(columns):
            v00, v01, v11 = covariance[0, y, x], covariance[1, y, x], covariance[2, y, x]
            first = np.sqrt(max(v00, 0.0))
            slope = v01 / first if first > 0.0 else 0.0
            rest = np.sqrt(max(v11 - slope * slope, 0.0))
            row, column = y - corner[0], x - corner[1]
            drawn = 0 <= row < white.shape[2] and 0 <= column < white.shape[3]
            for k in range(twins + 1 if drawn else 1):
                if k == 0:
                    off0 = measured_nm[0, y, x] - homogeneous_nm[0, y, x]
                    off1 = measured_nm[1, y, x] - homogeneous_nm[1, y, x]
                else:
                    off0 = first * white[k - 1, 0, row, column]
                    off1 = slope * white[k - 1, 0, row, column] + rest * white[k - 1, 1, row, column]
                charged = homogeneous_nm[1, y, x] + off1
                thick = homogeneous_nm[0, y, x] + off0 + charged
                excess[k, y, x] = (off1 - level * (off0 + off1)) / response[y, x] if seen[y, x] else 0.0
                total[k, y, x] = thick if known[y, x] else np.nan
                sayable = known[y, x] and has_soc[y, x] and abs(thick) > 1e-6
                soc[k, y, x] = charged / thick if sayable else np.nan
    return total, soc, excess


@compiled
def smoothed_noise(white: F32, stencil: F32) -> F32:
    """Noise (IMAGE, Y, X) from white noise on a cut-out that is wider by half a stencil (K, K) at each side."""
    n = white.shape[0]
    rows, columns = white.shape[1] - stencil.shape[0] + 1, white.shape[2] - stencil.shape[1] + 1
    out = np.zeros((n, rows, columns), dtype=np.float32)
    for k in range(n):
        for i in range(stencil.shape[0]):
            for j in range(stencil.shape[1]):
                weight = stencil[i, j]
                if weight != 0.0:
                    for y in range(rows):
                        for x in range(columns):
                            out[k, y, x] += weight * white[k, y + i, x + j]
    return out
