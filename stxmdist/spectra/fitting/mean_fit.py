"""The spectrum that a fit gives for the mean of some pixels, as the sum of its terms."""

import numpy as np

from stxmdist.arrays import F64, Mask


def mean_fit(
    mean_od: F64,
    variance: F64,
    design: F64,
    thickness: F64,
    background_od: float = 0.0,
    before_edge: Mask | None = None,
) -> F64:
    """Optical density (ENERGY, TERM) float64 of each term of a fit whose sum is the fitted mean spectrum.

    A fit that is linear in optical density has as the mean of its pixels the model of their mean coefficients. Terms
    whose map is not kept (the power law) are those that come closest, by weighted least squares, to what the others
    leave over. Where the level before the edge was taken off, a last term is that level.

    Parameters
    ----------
    mean_od, variance
        (ENERGY,) mean optical density of the pixels, and its variance; NaN where it is not known
    design
        (ENERGY, TERM) optical density per unit of each coefficient, as of ``end_members.design_matrix``
    thickness
        (2,) mean thicknesses of the pixels, in the unit of the end-members
    background_od
        mean of the map of the constant background
    before_edge
        (ENERGY,) energies whose mean was taken off every pixel; None: nothing was
    """
    columns = design.copy()
    level = np.zeros((len(mean_od), 0))
    if before_edge is not None and before_edge.any():
        columns[:, :2] -= columns[before_edge, :2].mean(axis=0)
        level = np.full((len(mean_od), 1), np.nanmean(mean_od[before_edge]))
    known = np.append(thickness, background_od)[: columns.shape[1]]
    terms = columns[:, : len(known)] * known
    left = mean_od - terms.sum(axis=1) - level.sum(axis=1)
    rest = columns[:, len(known) :]
    if rest.shape[1]:
        seen = np.isfinite(left) & np.isfinite(variance)
        weight = 1.0 / np.sqrt(np.maximum(variance[seen], 1e-12))
        coefficients, *_ = np.linalg.lstsq(rest[seen] * weight[:, None], left[seen] * weight, rcond=None)
        terms = np.concatenate([terms, rest * coefficients], axis=1)
    return np.concatenate([terms, level], axis=1)
