"""Sizes of the particles of one scan through its point spread function: which optics, which noise."""

from dataclasses import replace

import numpy as np
import pandas as pd

from stxmdist.arrays import F64, I32, Mask, MaskClass, Real
from stxmdist.crossmodal.psf import FAR_RINGS_NM
from stxmdist.particles.cracked import cracks_are_seen
from stxmdist.particles.inside import ChemicalMaps
from stxmdist.particles.metrics.engine import MeasuredField
from stxmdist.particles.overlap import hidden_sd, mixture_sd, much_thicker, overlapping_plates
from stxmdist.particles.sharp_sizes import Imaging, SharpSizes, sharp_sizes
from stxmdist.particles.size_doubts import doubted_sizes, size_doubts
from stxmdist.particles.table import OVERLAP, PARTED, with_flag, with_mixtures, with_sizes
from stxmdist.stages.segment.options import Options

FINE_SIGMAS = 0.8
"""Plates are drawn on parts of pixels no wider than so many sigmas of the point spread function: on whole pixels of
ptychography outlines have steps, and perimeters are 2 to 5 % too long."""
RECONSTRUCTION_WIDTH_DOUBT = 0.3
"""Standard error of the width of a reconstruction's point spread function, as a share of it"""
RECONSTRUCTION_OUTLINE_DOUBT = 0.05
"""Standard error of outlines in a reconstruction, in its pixels: they lie 0.6 nm out on pixels of 12.2 nm, whatever
rim and blur are assumed, and where blurred amplitudes of the same plates are drawn they do not (demo, 31 plates)"""
MOST_PARTS = 4
"""Of a pixel, along each axis: finer ones cost time and tell no more."""


def sharp_sizes_of(
    labels: I32,
    thickness_nm: Real,
    covariance_nm2: Real,
    known: Mask,
    optics: tuple[F64, F64, str, float],
    noise_correlation_px2: float,
    options: Options,
    phase_per_nm: F64 | None = None,
) -> SharpSizes | None:
    """The particles (Y, X) as plates with sharp rims; None where there are none, or only a single pixel.

    ``thickness_nm`` (2, Y, X) and ``covariance_nm2`` (3, Y, X) are those of the fit. ``optics`` is the optical density
    per nm (ENERGY, TERM), the weights (ENERGY,) of the fit, the modality and the pitch of the pixels in nm.
    ``phase_per_nm`` (ENERGY, 2) in radians where amplitudes are averaged.
    """
    design_per_nm, weights, modality, pixel_nm = optics
    if not (labels > 0).any() or not pixel_nm > 0.0:
        return None
    sigma_nm = options.sigma_nm(modality)
    sub = int(np.clip(np.ceil(pixel_nm / (FINE_SIGMAS * max(sigma_nm, 1.0))), 1, MOST_PARTS))
    if phase_per_nm is not None:
        # Pixels of a reconstruction sample it in their middle.
        sub += 1 - sub % 2
    fine_nm, widest_nm = pixel_nm / sub, options.join.widest_crack_nm
    imaging = Imaging(
        psf=options.kernel(modality, fine_nm, FAR_RINGS_NM)
        if phase_per_nm is None
        else options.amplitude_kernel(fine_nm),
        sub=sub,
        design_per_nm=design_per_nm,
        weights=weights,
        phase_per_nm=phase_per_nm,
        wider_psf=None if phase_per_nm is None else _wider(options).amplitude_kernel(fine_nm),
        crack_px=widest_nm / pixel_nm if cracks_are_seen(pixel_nm, sigma_nm, options.join) else 0.0,
        rim_px=options.rim.width_nm / pixel_nm,
        rim_doubt_px=options.rim.doubt_nm / pixel_nm,
        stray_doubt=options.leak_sd if modality == "stxm" else 0.0,
        outline_doubt_px=0.0 if phase_per_nm is None else RECONSTRUCTION_OUTLINE_DOUBT,
    )
    variance = covariance_nm2[0] + 2.0 * covariance_nm2[1] + covariance_nm2[2]
    return sharp_sizes(labels, thickness_nm, variance, imaging, known, max(1.0, noise_correlation_px2))


def _wider(options: Options) -> Options:
    """Optics whose reconstructions are as wide as they may be within one standard error."""
    width_nm = (1.0 + RECONSTRUCTION_WIDTH_DOUBT) * options.psf_sigma_ptychography_nm
    return replace(options, psf_sigma_ptychography_nm=width_nm)


def sized(
    table: pd.DataFrame,
    sizes: SharpSizes,
    labels: I32,
    maps: ChemicalMaps,
    known: Mask,
    optics: tuple[F64, F64, str, float],
    options: Options,
    other: I32,
) -> pd.DataFrame:
    """The particle table with sizes, masses and flags of overlap, and errors that allow for what is flagged.

    Plates that were parted are flagged too. Where two of them lie, ``other`` (Y, X) says the one that the labels do
    not; such pixels are left out of errors as they are of means, and say what a mean without them may be off by.
    """
    _, _, modality, pixel_nm = optics
    sigma_px, ids = options.sigma_nm(modality) / pixel_nm, sizes.particle_id
    total_nm = np.asarray(maps.thickness_nm.sum(axis=0))
    overlapping = overlapping_plates(labels, total_nm, known, sizes.misfit, sigma_px, ids)
    was_parted = np.isin(ids, np.concatenate([labels[other > 0], other[other > 0]]))
    suspected = overlapping | much_thicker(sizes.thickness_nm)
    doubts = size_doubts(labels, other, suspected, sizes, sigma_px)
    table = with_sizes(table, doubted_sizes(sizes, doubts), pixel_nm * 1e-3)
    table = with_flag(table, OVERLAP, suspected | was_parted)
    table = with_flag(table, PARTED, was_parted)
    noise_nm2 = max(1.0, maps.noise_correlation_px2) * maps.covariance
    alone = np.where(maps.mask_class == MaskClass.overlap, np.int32(0), labels)
    hidden = hidden_sd(labels, other, maps.thickness_nm, known, ids)
    doubt = mixture_sd(alone, maps.thickness_nm, noise_nm2, known, sigma_px, ids)
    return with_mixtures(table, np.hypot(doubt, hidden), options.chemistry)


def with_outlines(field: MeasuredField, sizes: SharpSizes | None) -> MeasuredField:
    """The field with the rims of its particles, for the metrics of shape."""
    if sizes is None:
        return field
    return replace(
        field,
        outlines_px=sizes.outlines_px,
        outline_se_px=sizes.outline_se_px,
        outline_noise_px=sizes.outline_noise_px,
    )
