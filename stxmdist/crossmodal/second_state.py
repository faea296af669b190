"""The same field at another time: its state of charge and variance on the grid of the first."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from stxmdist.arrays import F64, U8, MaskClass, Real
from stxmdist.crossmodal.pairs import onto_fixed
from stxmdist.crossmodal.transform import Axes, Registration

FRACTIONS = 33
"""Places between two pixels at which the weights of the interpolation are tabulated."""
REACH = 12
"""Pixels on either side that the weights of a cubic spline are followed for."""


@dataclass(frozen=True, eq=False)
class StateMap:
    """What a fit says of the state of charge of a field; each (Y, X) float64, NaN where not known."""

    soc: F64
    variance: F64
    """By counting"""
    total: F64
    """Thickness of both end-members together, in their unit"""


def state_of(thickness: Real, covariance: Real, mask_class: U8) -> StateMap:
    """State of charge of a scan on its own grid, from its thicknesses (2, Y, X) and their covariance (3, Y, X)."""
    known = ~np.isin(mask_class, (MaskClass.missing, MaskClass.outside))
    parts = np.where(known, np.asarray(thickness, dtype=np.float64), np.nan)
    return _state(parts, np.where(known, np.asarray(covariance, dtype=np.float64), np.nan))


def state_onto(
    thickness: Real,
    covariance: Real,
    mask_class: U8,
    axes: Axes,
    fixed_axes: Axes,
    registration: Registration,
    noise_correlation_px2: float = 1.0,
) -> StateMap:
    """State of charge of a later scan on the grid of an earlier one; NaN beyond its field.

    Thicknesses are interpolated, not their ratio. A cubic spline between pixels averages their noise: the variance
    falls by ``w^T R w`` along each axis, with the weights w that a place between pixels gives its neighbours, and the
    correlation R of noise that is white where ``noise_correlation_px2`` is 1.

    Parameters
    ----------
    thickness, covariance
        (2, V, U) and (3, V, U) of the later scan; ``covariance`` in the order 00, 01, 11
    axes, fixed_axes
        (y_um, x_um) of the later and of the earlier scan
    registration
        from the later to the earlier scan

    Source: own; the cardinal spline is that of Thevenaz, Blu, IEEE Trans. Med. Imaging 19, 739 (2000).
    """
    known = ~np.isin(mask_class, (MaskClass.missing, MaskClass.outside))
    maps = onto_fixed(np.where(known, thickness, np.nan), axes, fixed_axes, registration, 0.0)
    y, x = registration.inverse(*np.meshgrid(*fixed_axes, indexing="ij"))
    row, column = ((at - axis[0]) / (axis[1] - axis[0]) for at, axis in zip((y, x), axes, strict=True))
    kept = _noise_left(row, noise_correlation_px2) * _noise_left(column, noise_correlation_px2)
    smooth = np.where(known, np.asarray(covariance, dtype=np.float64), 0.0)
    there = np.stack([ndimage.map_coordinates(part, [row, column], order=1, mode="nearest") for part in smooth])
    return _state(maps, np.where(np.isfinite(maps).all(axis=0), there * kept, np.nan))


def _state(parts: F64, covariance: F64) -> StateMap:
    total = parts.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        soc = parts[1] / total
        v00, v01, v11 = covariance
        variance = ((1 - soc) ** 2 * v11 - 2 * soc * (1 - soc) * v01 + soc**2 * v00) / total**2
    known = np.isfinite(soc) & np.isfinite(variance)
    return StateMap(np.where(known, soc, np.nan), np.where(known, variance, np.nan), total)


def _noise_left(place: F64, correlation_px2: float) -> F64:
    """Share of the variance of noise that interpolation along one axis leaves, at places in pixels."""
    fractions = np.linspace(0.0, 1.0, FRACTIONS)
    impulses = np.eye(2 * REACH + 1)
    at = REACH + fractions
    weights = np.stack([ndimage.map_coordinates(one, at[None], order=3, mode="mirror") for one in impulses])
    lag = np.arange(2 * REACH + 1)
    alike = np.exp(-np.pi * (lag[:, None] - lag) ** 2 / correlation_px2) if correlation_px2 > 1.0 else np.eye(lag.size)
    left = np.einsum("if,ij,jf->f", weights, alike, weights)
    return np.asarray(np.interp(place - np.floor(place), fractions, left / left[0]))
