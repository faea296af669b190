"""How deep a sample may be before the wave changes inside it, and how deep it is at least.

A single product of probe and object holds for samples thinner than the depth of field; in thicker ones, light from
details at the entrance has spread before it leaves, and details of the half-period seen are smeared.

Source: T <= 5.2 dr^2 / lambda with the half-period dr, Tsai, Usov, Diaz, Menzel and Guizar-Sicairos, Opt. Express 24,
29089 (2016).
"""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import uniform_filter

from stxmdist.arrays import C64, F32, F64
from stxmdist.units import wavelength_nm

DEPTH_FACTOR = 5.2
DEEPEST_SHARE = 0.05
"""Of the lit area: what is deeper is left out, a few pixels of which are noise"""
SMOOTHED_PX = 3
"""Over so many pixels on a side light is averaged before its logarithm is taken, which noise would raise"""


def depth_of_field_nm(half_period_nm: float, energy_ev: float) -> float:
    """Thickness up to which details of a half-period are seen as if the sample were thin; NaN where it is not known."""
    return DEPTH_FACTOR * half_period_nm**2 / wavelength_nm(energy_ev)


def deep_optical_density(object_: C64, illumination: F32) -> float:
    """Optical density -ln |O|^2 that a twentieth of the well lit area (Y, X) exceeds."""
    known = np.isfinite(object_) & (illumination > 0.0)
    lit = known & (illumination > 0.5 * np.median(illumination[known])) if known.any() else known
    if not lit.any():
        return float("nan")
    share = uniform_filter(lit.astype(np.float64), SMOOTHED_PX)
    light = uniform_filter(np.where(lit, np.abs(object_) ** 2, 0.0).astype(np.float64), SMOOTHED_PX)
    dimmest = float(np.quantile(light[lit] / share[lit], DEEPEST_SHARE))
    return float(-np.log(max(dimmest, 1e-12)))


def too_deep(least_nm: F64, depth_nm: F64, half_period_nm: Sequence[float] | F64) -> tuple[str, ...]:
    """What to say where a tile (TILE,) is deeper than its depth of field: of the worst one; nothing is said of NaN.

    Parameters
    ----------
    least_nm
        thickness of the deep part of the sample, at least
    """
    ratios = np.nan_to_num(np.asarray(least_nm, np.float64) / np.asarray(depth_nm, np.float64))
    if not ratios.size or not ratios.max() > 1.0:
        return ()
    worst = int(ratios.argmax())
    finest_nm = half_period_nm[worst] * np.sqrt(ratios[worst])
    said = (
        f"the sample is {least_nm[worst]:.0f} nm thick at least, and only {depth_nm[worst]:.0f} nm are in focus "
        f"together for details of {half_period_nm[worst]:.0f} nm (5.2 half-period^2 / wavelength): where it is thicker "
        "one thin object does not explain the frames, and such details are smeared along the beam; trust none finer "
        f"than {finest_nm:.0f} nm there, or thin the sample"
    )
    return (said,)


__all__ = ["deep_optical_density", "depth_of_field_nm", "too_deep"]
