"""The mean spectrum of all that is not background: bright enough to say how far a stack's energies are off."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float64]
Pixels = NDArray[np.float32]
Mask = NDArray[np.bool_]

LEAST_SAMPLE_PX = 10


def sample_pixels(transmission: Pixels, known: Mask, level: float = 0.5) -> Mask:
    """Pixels (Y, X) in the inside of particles: the deeper half of those whose mean optical density is beyond ``level``
    of the way from the median to the thick ones (the 98th percentile).

    At edges transmissions are averaged, not optical densities: strong absorption comes out too weak there, which a fit
    takes for a shift of energy. How far edges reach depends on the instrument; the deeper half, by distance to where
    the level is not reached, leaves them out without knowing. ``transmission`` is (ENERGY, Y, X); where fewer than ten
    pixels stand out, every known one is taken.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = -np.log(np.maximum(np.mean(transmission, axis=0, dtype=np.float64), 1e-4))
    inside = known & np.isfinite(mean)
    if not inside.any():
        return inside
    floor = float(np.median(mean[inside]))
    top = float(np.percentile(mean[inside], 98.0))
    thick = np.asarray(inside & (mean > floor + level * (top - floor)))
    depth_px = ndimage.distance_transform_edt(thick)
    deep = thick & (depth_px >= np.median(depth_px[thick])) if thick.any() else thick
    return next((chosen for chosen in (deep, thick) if int(chosen.sum()) >= LEAST_SAMPLE_PX), inside)


def mean_spectrum(
    transmission: Pixels, chosen: Mask, effective_counts: Floats, i0_relative_variance: Floats
) -> tuple[Floats, Floats]:
    """Mean optical density of chosen pixels and its variance, both (ENERGY,) float64.

    ``transmission`` (ENERGY, Y, X), ``effective_counts`` (ENERGY,) with Var(T) = T/N; Var(OD) = 1/(N T) averages over
    pixels, the incident beam's relative variance is common to them all. NaN for energies that were not measured.

    Few counts have a biased logarithm: -ln of a Poisson number n exceeds that of its mean by 1/(2n) to second order,
    which is taken off pixel by pixel. Otherwise the strongest absorption, where counts are fewest, would stand out.
    """
    mean = np.full(len(transmission), np.nan)
    variance = np.full(len(transmission), np.nan)
    for energy, plane in enumerate(transmission):
        values = plane[chosen].astype(np.float64)
        values = values[np.isfinite(values) & (values > 0.0)]
        counts = effective_counts[energy]
        if values.size == 0 or not counts > 0.0:
            continue
        mean[energy] = float((-np.log(values) - 0.5 / (counts * values)).mean())
        variance[energy] = float((1.0 / (counts * values)).sum()) / values.size**2 + i0_relative_variance[energy]
    return mean, variance
