"""Homogeneous twins of particles: what counting would make of a plate that has one state of charge.

A twin has its particle's outline and thickness. It is imaged once, since blur is no chance; noise is then drawn anew
for each twin, with the covariance that the fit has at the twin's own thickness. The covariance that was found at each
pixel will not do: it goes up and down with the pixel's noise, and would count noise twice where photons are few.
"""

import hashlib

import numpy as np

from stxmdist.arrays import F64, Mask, Real

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

    Source: Cramer, Mathematical Methods of Statistics (1946), 32.3; science.md 4.2 for counts.
    """
    design = np.asarray(design_per_nm, dtype=np.float64)
    counts = np.nan_to_num(np.asarray(effective_counts, dtype=np.float64))
    expected = counts[:, None] * np.exp(
        -np.clip(design[:, :2] @ np.asarray(thickness_nm, dtype=np.float64), -1.0, 20.0)
    )
    terms = design.shape[1]
    products = (design[:, :, None] * design[:, None, :]).reshape(len(design), -1)
    information = (expected.T @ products).reshape(-1, terms, terms)
    # Scaled to a unit diagonal: a background per optical density stands beside thicknesses in nm.
    scale = np.sqrt(np.maximum(np.einsum("pii->pi", information), 1e-300))
    covariance = np.linalg.pinv(information / (scale[:, :, None] * scale[:, None, :]), hermitian=True)
    covariance /= scale[:, :, None] * scale[:, None, :]
    return np.stack([covariance[:, 0, 0], covariance[:, 0, 1], covariance[:, 1, 1]])


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


def twin_noise(covariance: F64, correlation_px2: float, n_twins: int, rng: np.random.Generator) -> F64:
    """Noise (TWIN, 2, Y, X) in nm of twins: covariance (3, Y, X) in each pixel, correlated over an area in px^2."""
    white = rng.standard_normal((n_twins, 2, *covariance.shape[1:]), dtype=np.float32).astype(np.float64)
    white = _smoothed(white, correlation_px2)
    v00, v01, v11 = np.nan_to_num(covariance)
    first = np.sqrt(np.maximum(v00, 0.0))
    slope = np.where(first > 0.0, v01 / np.where(first > 0.0, first, 1.0), 0.0)
    rest = np.sqrt(np.maximum(v11 - slope**2, 0.0))
    return np.stack([first * white[:, 0], slope * white[:, 0] + rest * white[:, 1]], axis=1)


def _smoothed(white: F64, correlation_px2: float) -> F64:
    """Images (..., Y, X) of unit variance and a correlation area, from white ones; as far as three pixels can do it."""
    side = tap_of(correlation_px2)
    if side <= 0.0:
        return white
    norm = 1.0 / np.sqrt(1.0 + 2.0 * side**2)
    for axis in (-2, -1):
        # Beyond the border the noise is white again: taken from the other side, which is as good.
        white = norm * (white + side * (np.roll(white, 1, axis) + np.roll(white, -1, axis)))
    return white


def tap_of(correlation_px2: float) -> float:
    """The outer weights a of the kernel (a, 1, a) on both axes that gives white noise a correlation area, at most 9.

    The area is the square of (1 + 2 a)^2 / (1 + 2 a^2).
    """
    per_axis = min(np.sqrt(max(correlation_px2, 1.0)), 3.0)
    if per_axis <= 1.0:
        return 0.0
    # (4 - 2 c) a^2 + 4 a + (1 - c) = 0
    square, constant = 4.0 - 2.0 * per_axis, 1.0 - per_axis
    if abs(square) < 1e-9:
        return float(-constant / 4.0)
    return float((-4.0 + np.sqrt(max(16.0 - 4.0 * square * constant, 0.0))) / (2.0 * square))
