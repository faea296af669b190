"""Linear dichroism: the axis along which absorption is strongest, and how much stronger it is there."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from stxmdist.arrays import F64, Mask
from stxmdist.heterogeneity.intervals import UNKNOWN

LEAST_ANGLES = 3
"""Level, contrast and axis are three unknowns."""


@dataclass(frozen=True, eq=False)
class Dichroism:
    """I = A + B cos^2(theta - theta0) of each pixel or particle; arrays (PLACE,) float64, NaN where not known."""

    level: F64
    """Mean over all angles, A + B / 2"""
    contrast: F64
    """(I_max - I_min) / (I_max + I_min), what noise adds to it taken off; at least 0"""
    contrast_se: F64
    axis_deg: F64
    """theta0, 0 to 180 degrees"""
    axis_se_deg: F64
    p: F64
    """How often noise alone shows as much contrast"""
    note: str = ""


def malus(angle_deg: F64, values: F64, variance: F64 | None = None) -> Dichroism:
    """Fit Malus' law to intensities at several polarisations, by least squares in cos 2 theta and sin 2 theta.

    Errors come from the given variances, or from the residuals of all places together, relative to their levels, where
    there are more than three angles.

    Parameters
    ----------
    angle_deg
        (ANGLE,) of the linear polarisation
    values
        (PLACE, ANGLE) optical densities, thicknesses, or other absorptions; a place with an unknown one is not fitted
    variance
        (PLACE, ANGLE), or None

    Source: Stohr, Siegmann, Magnetism (2006), 9.7 (angular dependence); amplitude bias after Rice, Bell Syst. Tech. J.
    24, 46 (1945).
    """
    turn = 2.0 * np.radians(np.asarray(angle_deg, dtype=np.float64))
    design = np.stack([np.ones_like(turn), np.cos(turn), np.sin(turn)], axis=1)
    nothing = np.full(len(values), np.nan)
    if np.linalg.matrix_rank(design, tol=1e-6) < LEAST_ANGLES:
        note = f"{np.unique(np.round(np.mod(angle_deg, 180.0), 6)).size} polarisations: an axis needs three"
        return Dichroism(nothing, nothing, nothing, nothing, nothing, nothing, note)
    known: Mask = np.isfinite(values.sum(axis=1))
    coefficients = np.where(known[:, None], np.where(known[:, None], values, 0.0) @ np.linalg.pinv(design).T, np.nan)
    level = coefficients[:, 0]
    square = _variances(values, coefficients, design, variance, known)
    spread = np.linalg.inv(design.T @ design)
    amplitude = np.hypot(coefficients[:, 1], coefficients[:, 2])
    # Of equally spaced angles both terms have the same error; of others its mean.
    se = np.sqrt(square * 0.5 * (spread[1, 1] + spread[2, 2]))
    with np.errstate(divide="ignore", invalid="ignore"):
        true = np.where(np.isfinite(se), np.sqrt(np.maximum(amplitude**2 - 2.0 * se**2, 0.0)), amplitude)
        axis = np.mod(0.5 * np.degrees(np.arctan2(coefficients[:, 2], coefficients[:, 1])), 180.0)
        # Beyond one radian in 2 theta nothing is known of the axis: that of a flat distribution.
        axis_se = np.minimum(0.5 * np.degrees(se / amplitude), 180.0 / np.sqrt(12.0))
        p = stats.chi2.sf((amplitude / se) ** 2, 2)
    note = "" if np.isfinite(se[known]).any() or not known.any() else "three polarisations leave no residual: no errors"
    return Dichroism(level, true / level, se / level, axis, axis_se, np.asarray(p), note)


def _variances(values: F64, coefficients: F64, design: F64, variance: F64 | None, known: Mask) -> F64:
    """(PLACE,) mean variance of one intensity; NaN where nothing tells it."""
    if variance is not None:
        return np.asarray(np.mean(variance, axis=1), dtype=np.float64)
    spare = len(design) - LEAST_ANGLES
    if spare < 1 or not known.any():
        return np.full(len(values), UNKNOWN)
    relative = (values[known] - coefficients[known] @ design.T) / coefficients[known, :1]
    pooled = float((relative**2).sum()) / (spare * int(known.sum()))
    return np.asarray(pooled * coefficients[:, 0] ** 2)
