"""Spectra of single particles of a stack: each of one thickness and one composition, as their mean is not."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from stxmdist.arrays import F32, F64, I32, Mask
from stxmdist.spectra.density.mean_spectrum import LEAST_SAMPLE_PX, mean_od

MOST_PARTICLES = 48
"""Of more than this the largest are taken: the energy scale is known by then"""
PIECE_PX = 20
"""A region of more than the square of this is cut along a grid of so many pixels: what touches is taken for one, and a
flake has no one thickness"""
_LEVEL = 0.3
"""A pixel belongs to a particle from so far between the median and the 98th percentile of the optical density"""


def particle_pixels(absorption: F64, known: Mask) -> I32:
    """Numbers (Y, X) int32 of the particles whose spectra are taken, from 1, 0 elsewhere.

    ``absorption`` (Y, X) is the mean optical density, smooth enough that noise does not choose. Of each connected
    region, or piece of a large one, the half farther from the boundary is taken, as ``mean_spectrum.sample_pixels``
    does: at edges transmissions are averaged, not optical densities.
    """
    labels = np.zeros(absorption.shape, dtype=np.int32)
    if not known.any():
        return labels
    floor, top = float(np.median(absorption[known])), float(np.percentile(absorption[known], 98.0))
    inside = known & (np.nan_to_num(absorption, nan=-np.inf) > floor + _LEVEL * (top - floor))
    pieces = _pieces(inside)
    depth_px = ndimage.distance_transform_edt(inside)
    deep = []
    for number, box in enumerate(ndimage.find_objects(pieces), start=1):
        here = pieces[box] == number
        if int(here.sum()) >= 2 * LEAST_SAMPLE_PX:
            deep.append((box, here & (depth_px[box] >= np.median(depth_px[box][here]))))
    deep.sort(key=lambda one: -int(one[1].sum()))
    for number, (box, here) in enumerate(deep[:MOST_PARTICLES], start=1):
        labels[box][here] = number
    return labels


def _pieces(inside: Mask) -> I32:
    """Connected regions (Y, X) int32 from 1, the large ones cut along a grid."""
    regions, _ = ndimage.label(inside)
    sizes = np.bincount(regions.ravel())
    rows, columns = (np.arange(n) // PIECE_PX for n in inside.shape)
    cell = 1 + rows[:, None] * (columns[-1] + 1) + columns
    wide = sizes[regions] > PIECE_PX**2
    key = regions.astype(np.int64) * (int(cell.max()) + 1) + np.where(wide, cell, 0)
    key[regions == 0] = 0
    numbers = np.unique(key, return_inverse=True)[1].reshape(inside.shape)
    return np.asarray(numbers + (key.min() > 0), dtype=np.int32)


def particle_spectra(transmission: Sequence[F32] | F32, labels: I32, effective_counts: F64) -> tuple[F64, F64]:
    """Mean optical density of each particle and its variance by noise, both (PARTICLE, ENERGY) float64.

    ``transmission`` is (ENERGY, Y, X), ``labels`` (Y, X) as of ``particle_pixels``, ``effective_counts`` (ENERGY,) as
    in ``mean_spectrum.mean_spectrum``, whose logarithm of few counts this is. NaN where not known.
    """
    n = int(labels.max())
    od, variance = (np.full((n, len(transmission)), np.nan) for _ in range(2))
    chosen = [np.flatnonzero(labels == number) for number in range(1, n + 1)]
    for energy, counts in enumerate(effective_counts):
        if counts > 0.0:
            plane = transmission[energy].ravel()
            for row, here in enumerate(chosen):
                od[row, energy], variance[row, energy] = mean_od(plane[here], float(counts))
    return od, variance
