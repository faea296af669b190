"""Homogeneous twins of particles: what counting would make of a plate that has one state of charge.

A twin has its particle's outline and thickness. It is imaged once, since blur is no chance; noise is then drawn anew
for each twin, with the covariance that the fit has at the twin's own thickness, and as strong and as alike as in the
field's particle-free pixels. The covariance that was found at each
pixel will not do: it goes up and down with the pixel's noise, and would count noise twice where photons are few.
"""

import hashlib

import numpy as np

from stxmdist.arrays import F32, F64, Mask, Real
from stxmdist.particles.twin_kernels import counting_covariance, smoothed_noise

LEAST_PIXELS = 20
"""Pixels from which it is judged by how much the fit's errors differ from those of counting."""


def twin_generator(seed: int, scan_id: str, particle_id: int) -> np.random.Generator:
    """The generator of one particle's twins: it depends on nothing else, neither on workers nor on order."""
    words = np.frombuffer(hashlib.sha256(scan_id.encode()).digest()[:16], dtype="<u4")
    return np.random.default_rng([seed, *words.tolist(), particle_id])


def expected_covariance(thickness_nm: Real, design_per_nm: Real, effective_counts: Real) -> F64:
    """Covariance (3, PIXEL) in nm^2, in the order 00, 01, 11, of thicknesses fitted to photons that are counted.

    The inverse of the Fisher information ``A' diag(N exp(-A t)) A``: the least that any fit can have.

    Parameters
    ----------
    thickness_nm
        (2, PIXEL) floating, nm
    design_per_nm
        (ENERGY, TERM) floating, optical density per nm in the first two columns; further ones are fitted too
    effective_counts
        (ENERGY,) floating, photons per pixel at full transmission

    Source: Cramer, Mathematical Methods of Statistics (1946), 32.3.
    """
    counts = np.nan_to_num(np.asarray(effective_counts, dtype=np.float64))
    thickness = np.ascontiguousarray(thickness_nm, dtype=np.float64)
    return counting_covariance(thickness, np.ascontiguousarray(design_per_nm, dtype=np.float64), counts)


def error_ratio(found: Real, expected: Real, level: float, trusted: Mask) -> float:
    """By how much the fit's variances differ from those expected of counting: the median over pixels; NaN of too few.

    Both are (3, PIXEL); compared is the variance of ``charged - level * total``, on the ``trusted`` (PIXEL,) pixels.
    """
    if trusted.sum() < LEAST_PIXELS:
        return float("nan")
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (excess_variance(found, level) / excess_variance(expected, level))[trusted]
    known = ratio[np.isfinite(ratio) & (ratio > 0.0)]
    return float(np.median(known)) if known.size >= LEAST_PIXELS else float("nan")


def excess_variance(covariance: Real, level: float) -> F64:
    """Variance (...) of ``charged - level * total`` from covariances (3, ...)."""
    v00, v01, v11 = np.asarray(covariance, dtype=np.float64)
    return np.asarray((1.0 - level) ** 2 * v11 - 2.0 * level * (1.0 - level) * v01 + level**2 * v00)


def twin_noise(shape: tuple[int, int], stencil: F32, n_twins: int, rng: np.random.Generator) -> F32:
    """Noise (TWIN, 2, Y, X) of unit variance: white noise through a stencil (K, K)."""
    wider = [n + k - 1 for n, k in zip(shape, stencil.shape, strict=True)]
    white = rng.standard_normal((n_twins, 2, *wider), dtype=np.float32)
    if stencil.size == 1:
        return white
    return smoothed_noise(white.reshape(-1, *wider), stencil).reshape(n_twins, 2, *shape)
