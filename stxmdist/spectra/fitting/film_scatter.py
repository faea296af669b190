"""How a film of binder and carbon shows between the particles: by its scatter from place to place."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy import ndimage

from stxmdist.arrays import F32, F64
from stxmdist.spectra.end_members.design_matrix import background_columns, condition_number

BLOCK_PX = 4
"""Pixels are averaged over squares this wide: noise of a quarter, and films are smooth over several of them"""
FREE_SHARE = 0.2
"""A square of less than this share of the particles' thickness holds none, if its neighbours do not either"""
LEAST_SCATTER_OD = 0.03
"""A film scatters by more over the field; .06 to .10 where patches have .25, .002 to .015 without one"""
SIGNIFICANT_SD = 3.0
"""and by this many standard errors of its variance"""
_DUST = (2.0, 98.0)
"""Percentiles beyond which a square counts as if it lay on them: a grain of dust is no film"""
_LEAST_PAIRS = 30
_WORST_CONDITION = 1e3


@dataclass(frozen=True)
class FilmScatter:
    """What absorbs alike at all energies between the particles of a field, as it varies over the field."""

    variance: float
    """Of its optical density, free of counting noise; below zero by chance"""
    variance_se: float

    @property
    def od(self) -> float:
        """Standard deviation of its optical density."""
        return sqrt(max(self.variance, 0.0))

    @property
    def shows(self) -> bool:
        """Whether this is beyond chance, and enough to matter."""
        return self.variance > SIGNIFICANT_SD * self.variance_se and self.od > LEAST_SCATTER_OD


def film_scatter(transmission: F32, effective_counts: F64, end_members: F64, mean_od: F64) -> FilmScatter | None:
    """Scatter over a field of what absorbs alike at all energies, in squares without a particle and not beside one.

    Each square is fitted with the end-members and a constant. The covariance of the constant between neighbouring
    squares holds what is smooth and no counting noise, whatever the number of photons; a drift of the incident beam
    moves all squares of an energy and drops out.

    Parameters
    ----------
    transmission
        (ENERGY, Y, X) float32, NaN where not known
    effective_counts
        (ENERGY,) photons per pixel at full transmission
    end_members
        (ENERGY, 2) optical density per unit of thickness
    mean_od
        (ENERGY,) of the inside of particles

    Returns
    -------
    scatter
        None where the energies do not tell a film from the end-members, or hardly a square is free

    Source: own; the covariance at one lag as in Matheron's variogram, which leaves the nugget (noise) out.
    """
    design = np.concatenate([end_members, background_columns(np.zeros(len(end_members)), "constant")], axis=1)
    known = np.isfinite(mean_od) & (effective_counts > 0.0)
    if known.sum() < design.shape[1] or not condition_number(design[known]) < _WORST_CONDITION:
        return None
    weighted = design[known].T * effective_counts[known]
    solve = np.linalg.solve(weighted @ design[known], weighted)
    inside = solve @ mean_od[known]
    amounts = np.tensordot(solve, _density_of_squares(transmission[known], effective_counts[known]), 1)
    thickness, film = amounts[0] + amounts[1], amounts[2]
    occupied = ~(thickness < FREE_SHARE * (inside[0] + inside[1]))
    free = ~ndimage.binary_dilation(occupied, np.ones((3, 3)))
    if not free.any():
        return None
    about = np.clip(film, *np.percentile(film[free], _DUST))
    about = np.where(free, about - about[free].mean(), np.nan)
    products = np.concatenate([(about[1:] * about[:-1]).ravel(), (about[:, 1:] * about[:, :-1]).ravel()])
    products = products[np.isfinite(products)]
    if products.size < _LEAST_PAIRS:
        return None
    return FilmScatter(float(products.mean()), float(products.std() / sqrt(products.size)))


def _density_of_squares(transmission: F32, effective_counts: F64) -> F64:
    """Optical density (ENERGY, SQUARE, SQUARE) of the mean transmission of squares of pixels."""
    n, ny, nx = transmission.shape
    y, x = ny // BLOCK_PX, nx // BLOCK_PX
    squares = transmission[:, : y * BLOCK_PX, : x * BLOCK_PX].reshape(n, y, BLOCK_PX, x, BLOCK_PX)
    mean = squares.mean(axis=(2, 4), dtype=np.float64)
    # The half photon takes the bias of the logarithm off, as in the mean spectrum.
    return np.asarray(-np.log(np.maximum(mean, 0.0) + 0.5 / (effective_counts[:, None, None] * BLOCK_PX**2)))
