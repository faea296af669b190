"""Mask classes of pixels: which pixels have a reliable state of charge, and why the others do not."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.stats import chi2

from stxmdist.arrays import F64, I32, I64, U8, Mask, MaskClass, Real

LEAST_INNER = 12
"""Fewer pixels away from edges do not stand for their particle"""
BY_CHANCE = 1e-4
"""Largest share of pixels that are called a poor fit by chance, although the end-members explain them"""


@dataclass(frozen=True)
class ClassOptions:
    """Limits beyond which a pixel is not used for chemistry."""

    least_thickness_nm: float = 20.0
    """A thinner pixel is background; not applied if thickness is in units of the reference samples"""
    least_od_jump: float = 0.05
    """A pixel with a smaller step of optical density across the edge is background"""
    most_od: float = 6.0
    """Above this optical density the leak and the dark level of the detector dominate"""
    most_soc_se: float = 0.5
    """A pixel whose state of charge has a larger standard error has too few counts"""
    least_counts: float = 0.0
    """Fewest effective counts at the strongest absorption; 0: only ``most_soc_se`` decides"""
    most_chi2: float = 3.0
    """Chi-square over what noise and misfit give, above which the end-members do not explain the pixel; raised if there
    are few energies"""
    tolerated_misfit: float = 0.02
    """Share of the optical density by which end-members and incident beam may always be wrong: high counts make it
    visible in every pixel"""


def classify(
    od_jump: Real,
    *,
    thickness_nm: Real | None = None,
    soc_se: Real | None = None,
    od_max: Real | None = None,
    least_counts: Real | None = None,
    chi2_reduced: Real | None = None,
    degrees_of_freedom: int | I64 = 0,
    misfit_chi2: Real | float = 0.0,
    missing: Mask | None = None,
    outside: Mask | None = None,
    saturated: Mask | None = None,
    options: ClassOptions | None = None,
) -> U8:
    """Class of every pixel (Y, X) uint8, ``stxmdist.arrays.MaskClass``.

    ``od_jump`` and ``od_max`` come from ``od_range``; ``thickness_nm`` is the total thickness, None if thickness is in
    units of the reference samples; ``least_counts`` are the effective counts at the energy of ``od_max``;
    ``degrees_of_freedom`` are those of ``chi2_reduced``, one number or one for each pixel, 0 if not known, and
    ``misfit_chi2`` is what the misfit of the stack adds to it (``misfit.expected_misfit_chi2``). All maps are (Y, X).
    Where several classes apply, a pixel that was not measured is called so rather than poor. A pixel whose fit failed
    although it is neither missing nor outside has too little light and becomes low_count.

    The class of a pixel does not depend on other pixels, so a block of an image gives the same as the whole image. The
    class ``edge`` depends on neighbours; it is found by ``edge_zone`` from the whole image.
    """
    options = options or ClassOptions()
    known = np.isfinite(od_jump)
    result = np.full(od_jump.shape, MaskClass.valid, dtype=np.uint8)

    def mark(where: Mask | None, cause: MaskClass) -> None:
        if where is not None:
            result[where] = cause

    with np.errstate(invalid="ignore"):
        # From the weakest reason to the strongest: the last one that applies is kept.
        if chi2_reduced is not None:
            mark(chi2_reduced > most_chi2(options, degrees_of_freedom) * (1.0 + misfit_chi2), MaskClass.poor_fit)
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


def most_chi2(options: ClassOptions, degrees_of_freedom: int | I64) -> F64:
    """The limit of chi-square over what noise and misfit give, for degrees of freedom (0: not known)."""
    known = np.maximum(degrees_of_freedom, 1)
    by_chance = np.asarray(chi2.isf(BY_CHANCE, known) / known)
    return np.where(np.asarray(degrees_of_freedom) < 1, options.most_chi2, np.maximum(options.most_chi2, by_chance))


def judged_by_particle(
    mask_class: U8, chi2_reduced: Real, labels: I32, inner: Mask, limit: F64 | float, tolerated_chi2: Real
) -> U8:
    """Classes (Y, X) in which pixels of particles are a poor fit only where they differ from their particle.

    A pixel of the classes valid and poor_fit is a poor fit where its chi-square is more than ``limit`` times what is
    expected: the median of its particle, and what noise and a tolerated misfit give. So a particle that the
    end-members explain badly, but alike everywhere, keeps its pixels.

    Parameters
    ----------
    mask_class, chi2_reduced, labels
        (Y, X) as fitted, and the particles
    inner
        (Y, X) pixels away from edges, by which a particle is judged where it has enough of them
    tolerated_chi2
        (Y, X) what a tolerated misfit adds to chi-square
    """
    judged = (labels > 0) & np.isin(mask_class, (MaskClass.valid, MaskClass.poor_fit)) & np.isfinite(chi2_reduced)
    result = mask_class.copy()
    for label, box in enumerate(ndimage.find_objects(np.maximum(labels, 0)), start=1):
        if box is None:
            continue
        mine = judged[box] & (labels[box] == label)
        deep = mine & inner[box]
        by = deep if deep.sum() >= LEAST_INNER else mine
        if not by.any():
            continue
        chi2_here = chi2_reduced[box]
        expected = np.maximum(np.median(chi2_here[by]), 1.0 + tolerated_chi2[box])
        poor = mine & (chi2_here > limit * expected)
        result[box][mine] = np.where(poor, MaskClass.poor_fit, MaskClass.valid)[mine]
    return result


def without_blurred(mask_class: U8, chi2_reduced: Real, blurred_chi2: Real, limit: F64 | float) -> U8:
    """Classes (Y, X) in which what blur alone explains is an edge and no poor fit.

    Where blur brings unlike transmissions together their mean is no transmission of any thickness; what that does to a
    particle is undone. A pixel fits as well as can be where its chi-square (Y, X) is at most ``limit`` times that of
    noise and ``blurred_chi2`` (Y, X) together.
    """
    explained = (mask_class == MaskClass.poor_fit) & (chi2_reduced <= limit * (1.0 + blurred_chi2))
    return np.where(explained, np.uint8(MaskClass.edge), mask_class).astype(np.uint8)


def od_range(design: Real, thickness: Real) -> tuple[Real, Real, int]:
    """Fitted optical density where the end-members absorb most, its excess over where they absorb least, and an index.

    The energies are those at which the sum of the end-members is largest and smallest; the index is that of the former.
    Both maps are (Y, X), computed from the absorption ``design`` (ENERGY, COMPONENT) and ``thickness`` (COMPONENT, Y,
    X). They are linear in the thicknesses and not clipped, so without a sample they scatter about zero.
    """
    together = design.sum(axis=1)
    steepest = int(np.argmax(together))
    strongest = np.tensordot(design[steepest], thickness, axes=1)
    weakest = np.tensordot(design[int(np.argmin(together))], thickness, axes=1)
    return np.asarray(strongest), np.asarray(strongest - weakest), steepest


def edge_zone(area: Mask, pixel_nm: float, reach_nm: float) -> Mask:
    """Pixels (Y, X) of the particle area within ``reach_nm`` of its boundary, which contain light of both sides."""
    if reach_nm <= 0.0 or not area.any() or area.all():
        return np.zeros(area.shape, dtype=np.bool_)
    # Distances are between pixel centres; the boundary lies half a pixel before the first centre outside.
    depth_nm = (ndimage.distance_transform_edt(area) - 0.5) * pixel_nm
    return np.asarray(area & (depth_nm < reach_nm), dtype=np.bool_)
