"""Which pixels carry a state of charge that may be trusted, and why the others do not."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import chi2

from stxmdist.arrays import MaskClass

Mask = NDArray[np.bool_]

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


@dataclass(frozen=True)
class EdgeOptions:
    """How near to a particle's boundary a pixel is at its edge."""

    edge_sigmas: float = 2.0
    """Pixels nearer to a particle's boundary than so many standard deviations of the PSF hold light of both sides"""
    psf_sigma_nm: float = 0.0
    """Standard deviation of the point spread function; 0: no edge class"""
    boundary_level: float = 0.5
    """The boundary lies where the optical density falls to this share of the nearby maximum"""


def classify(
    od_jump: NDArray[np.floating],
    *,
    thickness_nm: NDArray[np.floating] | None = None,
    soc_se: NDArray[np.floating] | None = None,
    od_max: NDArray[np.floating] | None = None,
    least_counts: NDArray[np.floating] | None = None,
    chi2_reduced: NDArray[np.floating] | None = None,
    degrees_of_freedom: int = 0,
    missing: Mask | None = None,
    outside: Mask | None = None,
    saturated: Mask | None = None,
    pixel_nm: float = 1.0,
    options: ClassOptions | None = None,
    edges: EdgeOptions | None = None,
) -> NDArray[np.uint8]:
    """Class of every pixel (Y, X) uint8, ``stxmdist.arrays.MaskClass``; what was not measured takes precedence over
    what is poor.

    ``od_jump`` comes from the function of that name; ``thickness_nm`` is the total (None where thickness counts
    reference samples); ``od_max`` the largest fitted optical density; ``least_counts`` effective counts there;
    ``degrees_of_freedom`` those of ``chi2_reduced``, 0 where not known. A pixel whose fit failed, without being missing
    or outside, has too little light: low_count.

    Without a PSF every pixel is judged by itself, so that blocks of an image give what the whole would; with one,
    neighbours decide what is edge and the whole image is wanted.
    """
    options, edges = options or ClassOptions(), edges or EdgeOptions()
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
        if edges.psf_sigma_nm > 0.0:
            area = particle_area(od_jump, pixel_nm, options, edges)
            mark(edge_zone(area, pixel_nm, edges), MaskClass.edge)
            thin = thin | ~area
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


def od_jump(thickness: NDArray[np.floating], mu: NDArray[np.floating]) -> NDArray[np.floating]:
    """Step of optical density (...) across the edge from thicknesses (COMPONENT, ...) and absorption (COMPONENT,
    ENERGY).

    Linear in the thicknesses, hence unclipped: noise scatters about zero where nothing is.
    """
    step = np.asarray(mu).max(axis=1) - np.asarray(mu).min(axis=1)
    return np.asarray(np.tensordot(step.astype(thickness.dtype), thickness, axes=1))


def particle_area(
    od_jump: NDArray[np.floating],
    pixel_nm: float,
    options: ClassOptions | None = None,
    edges: EdgeOptions | None = None,
) -> Mask:
    """Where particles are, (Y, X): optical density above the background and above half of what is highest nearby.

    Half of the height marks the boundary whatever the thickness, where a threshold near zero would put it a PSF too far
    out. Noise is smoothed over a pixel first, and specks of fewer than five pixels are no particles.
    """
    options, edges = options or ClassOptions(), edges or EdgeOptions()
    known = np.isfinite(od_jump)
    weight = ndimage.gaussian_filter(known.astype(np.float32), 1.0)
    total = ndimage.gaussian_filter(np.where(known, od_jump, 0.0).astype(np.float32), 1.0)
    smooth = np.where(weight > 0.05, total / np.maximum(weight, 0.05), 0.0)
    # Empty places scatter about zero: what lies below tells how far above it noise alone reaches.
    below = smooth[known & (smooth < 0.0)]
    noise = float(np.sqrt(np.mean(below**2))) if below.size > 0.01 * smooth.size else 0.0
    reach = max(1, round(3.0 * edges.psf_sigma_nm / pixel_nm))
    nearby = ndimage.gaussian_filter(ndimage.maximum_filter(smooth, size=2 * reach + 1), 0.5 * reach)
    level = edges.boundary_level if edges.psf_sigma_nm > 0.0 else 0.0
    area = (smooth > max(options.least_od_jump, 4.0 * noise)) & (smooth > level * nearby)
    label, n = ndimage.label(area)
    if n:
        area &= np.bincount(label.ravel())[label] >= 5
    return np.asarray(area, dtype=np.bool_)


def edge_zone(area: Mask, pixel_nm: float, edges: EdgeOptions) -> Mask:
    """Pixels (Y, X) of the particle area that lie within ``edge_sigmas`` of the PSF of its boundary."""
    if edges.psf_sigma_nm <= 0.0 or not area.any() or area.all():
        return np.zeros(area.shape, dtype=np.bool_)
    # Distances run between pixel centres; the boundary lies half a pixel before the first one outside.
    depth_nm = (ndimage.distance_transform_edt(area) - 0.5) * pixel_nm
    return np.asarray(area & (depth_nm < edges.edge_sigmas * edges.psf_sigma_nm), dtype=np.bool_)
