"""How much longer the way through the pores of a thin section is: diffusion through a binary image."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.linalg import spsolve

from stxmdist.arrays import F64, I32, Mask

MOST_PIXELS = 250_000
"""More are put together in squares, which conduct by the share of pores in them."""
LEAST_KNOWN = 0.9
"""Where less of the field was measured, the pores are not known."""


@dataclass(frozen=True)
class Tortuosity:
    """Transport through the pores of a section along one axis."""

    porosity: float
    """Share of the section that is pore"""
    relative_diffusivity: float
    """D_eff / D0; 0 where no pore goes through"""
    tortuosity: float
    """porosity D0 / D_eff; NaN where no pore goes through"""
    note: str = ""


def tortuosity(pores: Mask, axis: int, known: Mask | None = None) -> Tortuosity:
    """tau = eps D0 / D_eff of the pores (Y, X) of a section, by Fick's law from one side of the field to the other.

    Finite volumes: concentration 1 and 0 on the two sides, no flux through the others nor into particles; between two
    pixels the harmonic mean of what they conduct. Sections are taken as uniform over their depth, which makes pores
    longer ways than they have in three dimensions: tau of a section bounds that of the electrode from above.

    Parameters
    ----------
    pores
        (Y, X) bool
    axis
        0: from the first row to the last, 1: from the first column to the last
    known
        (Y, X) bool, where the section was measured; what was not counts as solid

    Source: Epstein, Chem. Eng. Sci. 44, 777 (1989), for tau; Cooper et al., SoftwareX 5, 203 (2016), for the method.
    """
    measured = np.ones(pores.shape, dtype=bool) if known is None else known
    unknown = float("nan")
    if pores.size == 0 or measured.mean() < LEAST_KNOWN:
        share = float(measured.mean()) if pores.size else 0.0
        return Tortuosity(unknown, unknown, unknown, f"{share:.0%} of the section were measured")
    open_pores = pores & measured
    porosity = float(open_pores.sum() / measured.sum())
    conductance = _coarse(open_pores.astype(np.float64))
    conductance = np.moveaxis(conductance, axis, 0)
    through = _percolating(conductance > 0.0)
    if not through.any():
        return Tortuosity(porosity, 0.0, unknown, "no pore goes through the section")
    flux = _flux(np.where(through, conductance, 0.0))
    rows, columns = conductance.shape
    relative = flux * rows / columns
    return Tortuosity(porosity, relative, porosity / relative)


def pores_of(labels: I32) -> tuple[Mask, Mask]:
    """Pores and what is known (Y, X) of a label image: 0 between particles, below 0 where nothing is known."""
    return np.asarray(labels == 0), np.asarray(labels >= 0)


def _coarse(pores: F64) -> F64:
    """The share of pores in squares, as small as ``MOST_PIXELS`` allows; a rest of a square at the border is left."""
    side = int(np.ceil(np.sqrt(pores.size / MOST_PIXELS)))
    if side <= 1:
        return pores
    rows, columns = (n // side for n in pores.shape)
    cut = pores[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return np.asarray(cut.mean(axis=(1, 3)))


def _percolating(open_pores: Mask) -> Mask:
    """Pores that hang together with both the first and the last row."""
    pieces, _ = ndimage.label(open_pores)
    both = np.intersect1d(pieces[0], pieces[-1])
    return np.asarray(np.isin(pieces, both[both > 0]))


def _flux(conductance: F64) -> float:
    """Flux from the first row's side (concentration 1) to the last row's (0) per unit of diffusivity."""
    inside = conductance > 0.0
    number = np.full(conductance.shape, -1)
    number[inside] = np.arange(int(inside.sum()))
    n = int(inside.sum())
    one, other, weight = [], [], []
    for axis in (0, 1):
        first, second = (np.moveaxis(conductance, axis, 0)[part] for part in (slice(None, -1), slice(1, None)))
        a, b = (np.moveaxis(number, axis, 0)[part] for part in (slice(None, -1), slice(1, None)))
        joined = (a >= 0) & (b >= 0)
        one.append(a[joined])
        other.append(b[joined])
        weight.append(2.0 * first[joined] * second[joined] / (first[joined] + second[joined]))
    i, j, w = np.concatenate(one), np.concatenate(other), np.concatenate(weight)
    # The sides lie half a pixel from the middle of the outermost pixels.
    source, sink = np.zeros(n), np.zeros(n)
    source[number[0][inside[0]]] = 2.0 * conductance[0][inside[0]]
    sink[number[-1][inside[-1]]] += 2.0 * conductance[-1][inside[-1]]
    diagonal = np.bincount(i, w, n) + np.bincount(j, w, n) + source + sink
    entries = (
        np.concatenate([-w, -w, diagonal]),
        (np.concatenate([i, j, np.arange(n)]), np.concatenate([j, i, np.arange(n)])),
    )
    concentration = spsolve(sparse.csr_matrix(entries, shape=(n, n)), source)
    return float((sink * concentration).sum())
