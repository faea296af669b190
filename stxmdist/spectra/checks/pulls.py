"""Tests whether residuals are the assumed noise: their pulls, and the spatial correlation of the misfit."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from stxmdist.arrays import F64, Mask


@dataclass(frozen=True)
class PullSummary:
    """Summary of pulls, which have a standard normal distribution if model and noise are right."""

    n: int
    mean: float
    sd: float
    beyond_3: float
    """Share beyond three standard deviations: 0.0027 for a normal distribution"""


def pulls(residual: F64, basis: F64) -> F64:
    """Pulls (PIXEL, ENERGY) float64: whitened residuals over their standard deviation sqrt(1 - leverage).

    ``residual`` and ``basis`` are those of ``components.whitened_residuals``. NaN where a term fits an energy exactly.
    """
    left = 1.0 - (basis**2).sum(axis=2)
    return np.asarray(residual / np.sqrt(np.where(left > 1e-6, left, np.nan)))


def pull_summary(values: F64) -> PullSummary:
    """Mean, standard deviation and tails of pulls of any shape; NaN are ignored."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return PullSummary(0, float("nan"), float("nan"), float("nan"))
    return PullSummary(
        int(finite.size), float(finite.mean()), float(finite.std()), float((np.abs(finite) > 3.0).mean())
    )


def morans_i(values: F64, inside: Mask) -> F64:
    """Moran's I of maps (..., Y, X) over the pixels inside (Y, X), neighbours sharing a side.

    (n / S0) sum w z z' / sum z^2, which is about -1 / (n - 1) for values that are not correlated.

    Source: Moran, Biometrika 37, 17 (1950).
    """
    n = int(inside.sum())
    z = np.where(inside, values, 0.0)
    z = np.where(inside, z - z.sum(axis=(-2, -1), keepdims=True) / max(n, 1), 0.0)
    pairs = int((inside[1:] & inside[:-1]).sum() + (inside[:, 1:] & inside[:, :-1]).sum())
    together = (z[..., 1:, :] * z[..., :-1, :]).sum(axis=(-2, -1)) + (z[..., 1:] * z[..., :-1]).sum(axis=(-2, -1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(n / pairs * together / (z**2).sum(axis=(-2, -1))) if pairs else np.full(z.shape[:-2], np.nan)


def morans_test(
    values: F64,
    inside: Mask,
    rng: np.random.Generator,
    noise_sigma_px: float = 0.0,
    draws: int = 199,
) -> tuple[float, float]:
    """Moran's I of a map (Y, X), and the probability that noise gives as large a value, from random draws.

    Noise that was blurred or resampled is correlated between neighbouring pixels. The null hypothesis is therefore
    white noise convolved with a Gaussian of ``noise_sigma_px``. (The shot noise of a scan is white whatever the point
    spread function is, because photons are counted after it.) If values are squares of such noise, as chi-square is,
    their correlation is the square of that of the noise: divide sigma by sqrt(2).
    """
    use = inside & np.isfinite(values)
    if use.sum() < 4:
        return float("nan"), float("nan")
    found = float(morans_i(np.nan_to_num(values), use))
    noise = rng.standard_normal((draws, *values.shape))
    if noise_sigma_px > 0.0:
        noise = ndimage.gaussian_filter(noise, (0.0, noise_sigma_px, noise_sigma_px))
    null = morans_i(noise, use)
    return found, float((1 + (null >= found).sum()) / (draws + 1))
