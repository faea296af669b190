"""The mean spectrum of the particles of a stack, from which the error of its energy scale is found."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy import ndimage

from stxmdist.arrays import F32, F64, Mask, Real

CHOICE_SIGMA_PX = 1.5
"""Smoothing of the map by which pixels are chosen: their own noise makes a fortieth of its variance then"""
LEAST_SAMPLE_PX = 10
"""With fewer pixels than this a choice of pixels is not used"""


def sample_pixels(mean_od: Real, known: Mask, level: float = 0.5) -> Mask:
    """Pixels (Y, X) in the interior of particles: of the thick pixels, the half farther from the boundary.

    A pixel is thick if its mean optical density lies beyond ``level`` of the way from the median to the 98th
    percentile. At the edges of particles transmissions are averaged, not optical densities: strong absorption is
    measured too weak there, which a fit would take for an energy shift. How far edges reach depends on the instrument;
    taking the half farther from the boundary excludes them without knowing it. ``mean_od`` (Y, X) may be off by a
    constant. With fewer than ten thick pixels every known pixel is taken.
    """
    mean = np.asarray(mean_od, dtype=np.float64)
    inside = known & np.isfinite(mean)
    if not inside.any():
        return inside
    floor = float(np.median(mean[inside]))
    top = float(np.percentile(mean[inside], 98.0))
    thick = np.asarray(inside & (mean > floor + level * (top - floor)))
    depth_px = ndimage.distance_transform_edt(thick)
    deep = thick & (depth_px >= np.median(depth_px[thick])) if thick.any() else thick
    return next((chosen for chosen in (deep, thick) if int(chosen.sum()) >= LEAST_SAMPLE_PX), inside)


def mean_absorption(transmission: Iterable[F32]) -> F64:
    """-ln of the mean transmission over energies, (Y, X) float64, from frames (Y, X) one at a time.

    A pixel that is NaN in any frame is NaN.
    """
    total, n = np.zeros(1), 0
    for plane in transmission:
        total, n = total + plane.astype(np.float64), n + 1
    return np.asarray(-np.log(np.maximum(total / max(n, 1), 1e-4)), dtype=np.float64)


def mean_where_known(transmission: Iterable[F32]) -> F64:
    """The same from the energies at which each pixel is known; a pixel without any is NaN."""
    total, n = np.zeros(1), np.zeros(1)
    for plane in transmission:
        known = np.isfinite(plane)
        total, n = total + np.where(known, plane, 0.0).astype(np.float64), n + known
    with np.errstate(invalid="ignore"):
        return np.asarray(-np.log(np.maximum(total / np.where(n > 0, n, np.nan), 1e-4)), dtype=np.float64)


def smooth_absorption(transmission: Sequence[F32], whole: Mask, inside: Mask) -> tuple[F64, Mask]:
    """Mean optical density (Y, X) of the pixels ``inside`` (Y, X) the field, smoothed, and where it is known (Y, X).

    It is known where a pixel is at every energy that is ``whole`` (ENERGY,); where too few pixels are, at some of them.
    """
    frames = [int(energy) for energy in np.flatnonzero(whole)]
    absorption = mean_absorption(transmission[energy] for energy in frames)
    known = inside & np.isfinite(absorption)
    if int(known.sum()) < LEAST_SAMPLE_PX:
        absorption = mean_where_known(transmission[energy] for energy in frames)
        known = inside & np.isfinite(absorption)
    return _smoothed(absorption, known), known


def _smoothed(absorption: F64, known: Mask) -> F64:
    """A map (Y, X) averaged over neighbours that are known.

    Pixels that are chosen because of their own noise absorb more than they should at all energies, as under a film.
    """
    weight = ndimage.gaussian_filter(known.astype(np.float64), CHOICE_SIGMA_PX)
    total = ndimage.gaussian_filter(np.where(known, absorption, 0.0), CHOICE_SIGMA_PX)
    return np.where(known, total / np.maximum(weight, 1e-9), np.nan)


def mean_spectrum(
    transmission: Sequence[F32] | F32, chosen: Mask, effective_counts: F64, i0_relative_variance: F64
) -> tuple[F64, F64]:
    """Mean optical density of chosen pixels and its variance, both (ENERGY,) float64.

    ``transmission`` is (ENERGY, Y, X) with Var(T) = T/N, N being the ``effective_counts`` (ENERGY,). Averaging over
    pixels reduces Var(OD) = 1/(N T), but not ``i0_relative_variance`` (ENERGY,), which is common to all pixels. NaN for
    energies that were not measured.

    The logarithm of few counts is biased: -ln of a Poisson number n exceeds -ln of its mean m by 1/(2m) to second
    order. -ln(n + 1/2) does not, is true within .03 from two photons on, and leaves no pixel out that saw none: without
    dark pixels the mean would be too low where absorption is strongest (``mean_od``).

    Source: Haldane, Ann. Hum. Genet. 20, 309 (1956), for the half.
    """
    mean = np.full(len(transmission), np.nan)
    variance = np.full(len(transmission), np.nan)
    for energy, counts in enumerate(effective_counts):
        if counts > 0.0:
            mean[energy], noise = mean_od(transmission[energy][chosen], float(counts))
            variance[energy] = noise + i0_relative_variance[energy]
    return mean, variance


def mean_od(transmission: Real, counts: float) -> tuple[float, float]:
    """Mean optical density of some pixels (PIXEL,) and its variance by the noise of their ``counts`` photons each.

    NaN where no pixel is known.
    """
    values = transmission[np.isfinite(transmission)].astype(np.float64)
    if values.size == 0:
        return float("nan"), float("nan")
    raised = np.maximum(values, 0.0) + 0.5 / counts
    return float(-np.log(raised).mean()), float((1.0 / (counts * raised)).sum()) / values.size**2


def excess_variance(n_pixels: int, noise_correlation_px2: float) -> float:
    """By how much the variance of a mean of pixels exceeds that of independent ones.

    ``noise_correlation_px2`` is the sum of the noise's autocorrelation over all lags; neighbours cannot be alike more
    than all pixels being one.
    """
    return float(min(max(1.0, noise_correlation_px2), max(1, n_pixels)))


def soc_of(mean_od: F64, mu_per_nm: F64) -> float:
    """State of charge of a mean spectrum (ENERGY,) by least squares with end-members (2, ENERGY).

    NaN if fewer than two energies are known.
    """
    used = np.isfinite(mean_od) & np.isfinite(mu_per_nm).all(axis=0)
    if int(used.sum()) < 2:
        return float("nan")
    discharged, charged = np.linalg.lstsq(mu_per_nm[:, used].T, mean_od[used], rcond=None)[0]
    total = discharged + charged
    return float(charged / total) if total else float("nan")


def soc_effects(mean_od: F64, without: Mapping[str, F64], mu_per_nm: F64) -> dict[str, float | None]:
    """By how much each correction changes the state of charge of a mean spectrum; None where it cannot be computed.

    ``mean_od`` (ENERGY,) has all corrections; ``without`` gives, for each correction, the spectrum without it, NaN
    where it makes no difference. ``mu_per_nm`` (2, ENERGY) as in ``soc_of``.
    """
    corrected = soc_of(mean_od, mu_per_nm)
    changes = {
        name: abs(soc_of(np.where(np.isfinite(left_out), left_out, mean_od), mu_per_nm) - corrected)
        for name, left_out in without.items()
    }
    return {name: float(change) if np.isfinite(change) else None for name, change in changes.items()}
