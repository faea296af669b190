"""Which pixels carry a state of charge that may be trusted, and why the others do not."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.stats import chi2

from stxmdist.arrays import U8, Mask, MaskClass, Real

BY_CHANCE = 1e-4
"""Of pixels that the end-members do explain, no more than this share is called a poor fit."""


@dataclass(frozen=True)
class ClassOptions:
    """Limits beyond which a pixel is not used for chemistry."""

    least_thickness_nm: float = 20.0
    """Thinner is background; not applied to thicknesses that count reference samples"""
    least_od_jump: float = 0.05
    """A smaller step of optical density across the edge is background"""
    most_od: float = 2.5
    """Above this the detector's leak and dark level decide"""
    most_soc_se: float = 0.5
    """A state of charge known worse than this has too few counts"""
    least_counts: float = 0.0
    """Fewer effective counts than this at the strongest absorption are too few; 0: only ``most_soc_se`` decides"""
    most_chi2: float = 3.0
    """Reduced chi-square above which the end-members do not explain the pixel; higher where few energies scatter far"""


def classify(
    od_jump: Real,
    *,
    thickness_nm: Real | None = None,
    soc_se: Real | None = None,
    od_max: Real | None = None,
    least_counts: Real | None = None,
    chi2_reduced: Real | None = None,
    degrees_of_freedom: int = 0,
    missing: Mask | None = None,
    outside: Mask | None = None,
    saturated: Mask | None = None,
    options: ClassOptions | None = None,
) -> U8:
    """Class of every pixel (Y, X) uint8, ``stxmdist.arrays.MaskClass``; what was not measured takes precedence over
    what is poor.

    ``od_jump`` and ``od_max`` come from ``od_range``; ``thickness_nm`` is the total (None where thickness counts
    reference samples); ``least_counts`` are the effective counts where ``od_max`` is;
    ``degrees_of_freedom`` those of ``chi2_reduced``, 0 where not known. A pixel whose fit failed, without being missing
    or outside, has too little light: low_count.

    Every pixel is judged by itself, so that blocks of an image give what the whole would: what is edge, neighbours
    decide, and ``edge_zone`` tells from the whole image.
    """
    options = options or ClassOptions()
    known = np.isfinite(od_jump)
    result = np.full(od_jump.shape, MaskClass.valid, dtype=np.uint8)

    def mark(where: Mask | None, cause: MaskClass) -> None:
        if where is not None:
            result[where] = cause

    with np.errstate(invalid="ignore"):
        # From the weakest reason to the strongest: the last one written stays.
        mark(None if chi2_reduced is None else chi2_reduced > _limit(options, degrees_of_freedom), MaskClass.poor_fit)
        mark(None if soc_se is None else (soc_se > options.most_soc_se), MaskClass.low_count)
        mark(None if least_counts is None else least_counts < options.least_counts, MaskClass.low_count)
        thin = od_jump < options.least_od_jump
        if thickness_nm is not None:
            thin = thin | (thickness_nm < options.least_thickness_nm)
        mark(None if od_max is None else od_max > options.most_od, MaskClass.thick)
        mark(thin & known, MaskClass.background)
    mark(~known, MaskClass.low_count)
    mark(saturated, MaskClass.saturated)
    mark(missing, MaskClass.missing)
    mark(outside, MaskClass.outside)
    return result


def _limit(options: ClassOptions, degrees_of_freedom: int) -> float:
    if degrees_of_freedom < 1:
        return options.most_chi2
    return max(options.most_chi2, float(chi2.isf(BY_CHANCE, degrees_of_freedom)) / degrees_of_freedom)


def od_range(design: Real, thickness: Real) -> tuple[Real, Real, int]:
    """Fitted optical density (Y, X) at the energy at which the end-members together absorb most, its step above where
    they absorb least, and the index of that energy.

    From absorption ``design`` (ENERGY, COMPONENT) and ``thickness`` (COMPONENT, Y, X). Linear in the thicknesses, hence
    unclipped: noise scatters about zero where nothing is.
    """
    together = design.sum(axis=1)
    steepest = int(np.argmax(together))
    strongest = np.tensordot(design[steepest], thickness, axes=1)
    weakest = np.tensordot(design[int(np.argmin(together))], thickness, axes=1)
    return np.asarray(strongest), np.asarray(strongest - weakest), steepest


def edge_zone(area: Mask, pixel_nm: float, reach_nm: float) -> Mask:
    """Pixels (Y, X) of the particle area within ``reach_nm`` of its boundary: they hold light of both sides."""
    if reach_nm <= 0.0 or not area.any() or area.all():
        return np.zeros(area.shape, dtype=np.bool_)
    # Distances run between pixel centres; the boundary lies half a pixel before the first one outside.
    depth_nm = (ndimage.distance_transform_edt(area) - 0.5) * pixel_nm
    return np.asarray(area & (depth_nm < reach_nm), dtype=np.bool_)
