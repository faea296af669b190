"""Sizes of the particles of one scan through its point spread function: which optics, which noise."""

from dataclasses import replace

import numpy as np
import pandas as pd

from stxmdist.arrays import F64, I32, Mask, Real
from stxmdist.particles.metrics.engine import MeasuredField
from stxmdist.particles.overlap import much_thicker, overlapping_plates
from stxmdist.particles.sharp_sizes import Imaging, SharpSizes, sharp_sizes
from stxmdist.particles.table import OVERLAP, with_flag, with_sizes
from stxmdist.stages.segment.options import Options

FINE_NM = 17.0
"""Plates are drawn on parts of pixels of about this pitch."""


def sized(
    table: pd.DataFrame,
    labels: I32,
    thickness_nm: Real,
    covariance_nm2: Real,
    known: Mask,
    *,
    design_per_nm: F64,
    weights: F64,
    noise_correlation_px2: float,
    modality: str,
    pixel_nm: float,
    options: Options,
) -> tuple[pd.DataFrame, SharpSizes | None]:
    """The particle table with sizes, masses and flags of overlap, and the outlines; none of a single pixel.

    Arguments as in ``sharp_sizes``; the covariance (3, Y, X) is that of both end-members: 00, 01, 11.
    """
    if not len(table) or not pixel_nm > 0.0:
        return table, None
    sub = max(1, round(pixel_nm / FINE_NM))
    imaging = Imaging(
        psf=options.kernel(modality, pixel_nm / sub),
        sub=sub,
        design_per_nm=design_per_nm,
        weights=weights,
        rim_px=options.rim.width_nm / pixel_nm,
        rim_doubt_px=options.rim.doubt_nm / pixel_nm,
    )
    variance = covariance_nm2[0] + 2.0 * covariance_nm2[1] + covariance_nm2[2]
    sizes = sharp_sizes(labels, thickness_nm, variance, imaging, known, max(1.0, noise_correlation_px2))
    total = np.asarray(thickness_nm.sum(axis=0))
    sigma_px = options.sigma_nm(modality) / pixel_nm
    overlapping = overlapping_plates(labels, total, known, sizes.misfit, sigma_px, sizes.particle_id)
    table = with_sizes(table, sizes, pixel_nm * 1e-3)
    return with_flag(table, OVERLAP, overlapping | much_thicker(sizes.thickness_nm)), sizes


def with_outlines(field: MeasuredField, sizes: SharpSizes | None) -> MeasuredField:
    """The field with the rims of its particles, for the metrics of shape."""
    if sizes is None:
        return field
    return replace(field, outlines_px=sizes.outlines_px, outline_se_px=sizes.outline_se_px)
