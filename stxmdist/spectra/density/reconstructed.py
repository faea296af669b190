"""The optical density and phase of ptychographic images, and the noise that reconstructions of half the frames show."""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import C64, F32, F64, Array, Mask, Real
from stxmdist.spectra.density.halves import split_noise

SLOW_NM = 150.0
"""Differences of half reconstructions over longer distances than this act on a particle as a whole."""
FAINT = 0.1
"""Where the beam has less than this share of its strongest illumination, data do not hold the reconstruction."""
FREE_MARGIN_NM = 50.0
"""Particle-free pixels keep this distance from particles"""
LEAST_MARGIN_PX = 2


def free_margin_px(pixel_nm: float) -> int:
    """Distance in pixels that particle-free pixels keep from particles."""
    return max(LEAST_MARGIN_PX, round(FREE_MARGIN_NM / pixel_nm))


def lit_pixels(images: C64, illumination: Real) -> Mask:
    """Pixels (ENERGY, Y, X) of complex images that the beam lit, where the image is a number."""
    lit = illumination > FAINT * np.nanmax(illumination, axis=(1, 2), keepdims=True)
    return np.asarray(lit & np.isfinite(images))


def intensity(images: C64, lit: Mask) -> F32:
    """Squared modulus (ENERGY, Y, X) float32 of complex images; NaN where they are not lit."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(lit, np.abs(images) ** 2, np.nan).astype(np.float32)


@dataclass(frozen=True, eq=False)
class ReconstructedDensity:
    """What complex images say of a sample; the incident beam is counted in photons per pixel that give their noise."""

    optical_density: F32
    """(ENERGY, Y, X)"""
    variance: F32
    """(ENERGY, Y, X) by the fine grain"""
    phase: F32
    """(ENERGY, Y, X) rad"""
    effective_counts: F64
    """(ENERGY,) photons per pixel at T = 1"""
    effective_counts_variance: F64
    """(ENERGY,) of an incident beam that acts on all pixels alike"""
    correlation_px2: float
    """Area over which the fine grain is one and the same"""
    slow_noise_od: F64
    """(ENERGY,) standard error of optical densities over distances longer than a particle"""


def density_of_images(
    whole: C64, halves: tuple[C64, C64], lit: Mask, free: Mask, pixel_nm: float, shared_od_error: float
) -> ReconstructedDensity:
    """Optical density and phase of complex images (ENERGY, Y, X) in which vacuum is 1, with their noise.

    Parameters
    ----------
    halves
        images (ENERGY, Y, X) from two disjoint halves of the frames
    lit
        (ENERGY, Y, X)
    free
        (Y, X) particle-free pixels that vacuum was set to 1 on
    shared_od_error
        standard error of optical densities that both halves share, at each energy
    """
    transmission, inside = intensity(whole, lit), np.asarray(lit.all(axis=0))
    noise = split_noise(intensity(halves[0], lit), intensity(halves[1], lit), inside, SLOW_NM / pixel_nm)
    counts = noise.effective_counts
    with np.errstate(divide="ignore", invalid="ignore"):
        od = np.where(transmission > 0, -np.log(transmission), np.nan).astype(np.float32)
        variance: Array = 1.0 / (counts[:, None, None] * transmission)
    # Waves longer than a particle act on it as another incident beam would, and so does what the halves share. The
    # scale, which is set on the free pixels, adds the error of their mean.
    scale_variance = noise.correlation_px2 / max(1, int(free.sum())) / counts
    return ReconstructedDensity(
        optical_density=od,
        variance=variance.astype(np.float32),
        phase=np.where(lit, np.angle(whole), np.nan).astype(np.float32),
        effective_counts=counts,
        effective_counts_variance=counts**2 * (noise.slow_variance + scale_variance + shared_od_error**2),
        correlation_px2=noise.correlation_px2,
        slow_noise_od=np.sqrt(noise.slow_variance),
    )
