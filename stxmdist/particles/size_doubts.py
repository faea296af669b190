"""What is not seen of a plate beside, across or under another one: how far that leaves its size uncertain."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from stxmdist.arrays import F64, I32, I64, Mask
from stxmdist.particles.sharp_sizes import SharpSizes

CONTACT_DOUBT_SIGMAS = 0.5
"""Standard error of where a plate ends at another one, in sigmas of the point spread function: the line between both is
drawn where the thickness is least"""
PARTED_DOUBT = 0.2
"""Standard error of where two plates lie across one another, as a share of the area that both cover; assumed"""
SUSPECTED_DOUBT = 0.25
"""Standard error of area and thickness of an outline that may hold two plates, as a share of them; assumed: a second
plate may be as large as the first, or nothing, which is even between 0 and 1 with a standard deviation of 0.29"""
UNSEEN_PER_MISFIT = 2.0
"""Share of the thickness that a phase beside the end-members takes from it, over the share of its optical density that
they leave over (planted third phases of a fifth of the iron, 1 to 3)"""


@dataclass(frozen=True, eq=False)
class SizeDoubts:
    """Of each particle, in the order of its sizes."""

    hidden_px2: F64
    """(PARTICLE,) area under another plate, which the labels give to that one"""
    area_sd_px2: F64
    """(PARTICLE,) standard error that contacts and overlaps add to the area"""
    thickness_share: F64
    """(PARTICLE,) standard error that they add to the thickness, as a share of it"""


def size_doubts(labels: I32, other: I32, suspected: Mask, sizes: SharpSizes, sigma_px: float) -> SizeDoubts:
    """What contacts, partings and suspected overlaps add to areas and thicknesses.

    Parameters
    ----------
    labels
        (Y, X) int32, 0 where there is no particle
    other
        (Y, X) where two plates lie that were parted, the one that ``labels`` does not say; 0 elsewhere
    suspected
        (PARTICLE,) outlines that may hold two plates
    """
    ids = sizes.particle_id
    hidden = _pixels_of(other, ids)
    across = hidden + _pixels_of(np.where(other > 0, labels, 0), ids)
    contact = contact_length_px(labels, ids) * CONTACT_DOUBT_SIGMAS * sigma_px
    whole = np.where(suspected & (across == 0.0), SUSPECTED_DOUBT, 0.0)
    parts = (contact, PARTED_DOUBT * across, whole * sizes.area_px2)
    return SizeDoubts(hidden, np.sqrt(np.sum(np.square(parts), axis=0)), whole)


def doubted_sizes(sizes: SharpSizes, doubts: SizeDoubts) -> SharpSizes:
    """The sizes with what is hidden added and the doubts in their errors."""
    area, thickness = sizes.area_px2 + doubts.hidden_px2, sizes.thickness_nm
    by_thickness = doubts.thickness_share * thickness
    added = np.hypot(doubts.area_sd_px2 * thickness, by_thickness * area)
    return replace(
        sizes,
        area_px2=area,
        area_se=np.hypot(sizes.area_se, doubts.area_sd_px2),
        thickness_se=np.hypot(sizes.thickness_se, by_thickness),
        mass_px2_nm=sizes.mass_px2_nm + doubts.hidden_px2 * thickness,
        mass_se=np.hypot(sizes.mass_se, added),
    )


def contact_length_px(labels: I32, particle_id: I64) -> F64:
    """Length (PARTICLE,) in px along which each particle's pixels touch another's by their sides.

    A line in any direction crosses ``4 / pi`` sides of pixels for each pixel of its length (Cauchy and Crofton).
    """
    sides = np.zeros(int(labels.max(initial=0)) + 1)
    for one, beside in ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])):
        touching = (one > 0) & (beside > 0) & (one != beside)
        for side in (one[touching], beside[touching]):
            sides += np.bincount(side, minlength=sides.size)
    return np.asarray(0.25 * np.pi * sides[particle_id])


def _pixels_of(labels: I32, particle_id: I64) -> F64:
    return np.asarray(ndimage.sum_labels(np.ones(labels.shape), labels, particle_id), dtype=np.float64)


def third_phase_share(misfit_share: F64, bound: F64, missing: Mask) -> F64:
    """(PARTICLE,) standard error that phases beside the end-members add to a thickness, as a share of it.

    End-members that explain another phase badly give it another thickness. Where one is ``missing``, the thickness is
    as uncertain as the ``bound`` of what such a phase does to the state of charge, both shares of the iron; where the
    end-members leave over a share of the optical density, as that says. What is not known (NaN) adds nothing.
    """
    by_misfit = UNSEEN_PER_MISFIT * np.nan_to_num(misfit_share)
    return np.hypot(by_misfit, np.where(missing, np.nan_to_num(bound), 0.0))
