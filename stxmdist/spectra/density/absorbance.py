"""From counts to optical density: where the field holds no particle, what beam came in there, and its error."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from stxmdist.arrays import F32, F64, Mask, Real
from stxmdist.errors import InputError


@dataclass(frozen=True)
class AbsorbanceOptions:
    """How the incident beam is found."""

    free_sigma: float = 2.5
    """A pixel is free when it absorbs no more than the background's mode plus so many of its standard deviations"""
    margin_px: int = 2
    """Free pixels keep this distance from particles, against drift between energies and the beam's tails"""
    least_free_px: int = 30
    """With fewer free pixels than this there is no incident beam to be had from the field"""
    contrast_energies: int = 8
    """The field is searched in the mean of so many energies at which its contrast is highest"""


def contrast_map(counts: Sequence[F32] | F32, n_energies: int = 8) -> F32:
    """Mean of -ln(counts), up to a constant, over the energies at which it varies most; (Y, X) float32.

    ``counts`` (ENERGY, Y, X) are raw, of any scale and drift, and read one frame at a time; frames without a finite
    pixel are passed over. The sign is that of an optical density: particles are bright.

    Raises
    ------
    InputError
        if no frame holds anything but NaN and zeros
    """
    contrasts = np.full(len(counts), np.nan)
    for k in range(len(counts)):
        absorbing = _absorbing(counts[k])
        if absorbing is not None:
            contrasts[k] = np.nanpercentile(absorbing, 99.0) - np.nanpercentile(absorbing, 5.0)
    frames = np.flatnonzero(np.isfinite(contrasts))
    if not frames.size:
        raise InputError(
            where="absorbance",
            problem="no frame holds any counts",
            got="zeros or NaN in every frame",
            wanted="at least one frame with counts",
            mend="Exclude the scan in the sample sheet, or check the detector channel",
        )
    best = frames[np.argsort(contrasts[frames])[::-1][:n_energies]]
    total = np.zeros(np.shape(counts[0]), np.float32)
    number = np.zeros(total.shape, np.int64)
    for k in best:
        absorbing = _absorbing(counts[int(k)])
        assert absorbing is not None
        known = np.isfinite(absorbing)
        total += np.where(known, absorbing, np.float32(0.0))
        number += known
    return np.where(number > 0, total / np.maximum(number, 1), np.nan).astype(np.float32)


def _absorbing(counts: F32) -> F32 | None:
    """-ln of a smoothed frame over its bright end; None for a frame without counts."""
    frame = np.asarray(counts, dtype=np.float32)
    known = np.isfinite(frame)
    if not known.any() or not (frame[known] > 0.0).any():
        return None
    # Smoothed before the logarithm, which few counts would bias.
    mean = _smoothed(frame, known, sigma_px=1.0)
    scale = np.nanpercentile(mean, 95.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(-np.log(np.maximum(mean / scale, 1e-4)), dtype=np.float32)


def particle_free(contrast: Real, options: AbsorbanceOptions | None = None) -> Mask:
    """Which pixels (Y, X) hold no particle, from a map that is brighter where more is absorbed.

    Otsu's threshold separates particles from background; the background's mode and its lower half give its width, so
    that thin particles, which Otsu misses, are left out too. What remains keeps a margin from every particle.

    Raises
    ------
    InputError
        if fewer pixels than ``least_free_px`` are free
    """
    options = options or AbsorbanceOptions()
    known = np.isfinite(contrast)
    values = np.asarray(contrast[known], dtype=np.float64)
    free = np.zeros(contrast.shape, dtype=np.bool_)
    if values.size > 3:
        low = values[values <= _otsu(values)]
        mode = _half_sample_mode(low)
        below = low[low <= mode]
        width = float(np.sqrt(np.mean((below - mode) ** 2)))
        filled = np.where(known, contrast, np.inf)
        free = filled <= mode + options.free_sigma * max(width, 1e-6)
        # Single bright pixels of the background are noise, not particles: only what survives an opening gets a margin.
        particles = ndimage.binary_opening(~free & known, iterations=1)
        if options.margin_px > 0:
            free &= ~ndimage.binary_dilation(particles, iterations=options.margin_px)
        free &= known
    if int(free.sum()) < options.least_free_px:
        raise InputError(
            where="absorbance",
            problem="the field has no particle-free pixels to take the incident beam from",
            got=f"{int(free.sum())} free of {contrast.size} pixels",
            wanted=f"at least {options.least_free_px}",
            mend="Give an incident spectrum (references: i0: FILE, with stages: absorbance: i0: file) or a free region "
            "(stages: absorbance: region)",
        )
    return free


def incident_counts(counts: Sequence[F32] | F32, free: Mask) -> tuple[F64, F64]:
    """Incident counts per pixel and their variance, both (ENERGY,) float64, from particle-free pixels.

    A mean clipped at four robust standard deviations, so that dust and glitches do not count; the variance is what the
    pixels show, hence holds flicker as well as photons. NaN for a frame that is missing or dark there.

    Raises
    ------
    InputError
        if the free region is empty
    """
    if not free.any():
        raise InputError(
            where="absorbance",
            problem="the region for the incident beam holds no pixels",
            got="0 pixels",
            wanted="at least one",
            mend="Correct the region in the campaign file, or leave it out to have it found",
        )
    i0 = np.full(len(counts), np.nan)
    variance = np.full(len(counts), np.nan)
    for k in range(len(counts)):
        values = np.asarray(counts[k][free], dtype=np.float64)
        values = values[np.isfinite(values)]
        if values.size == 0 or not (values > 0.0).any():
            continue
        median = np.median(values)
        # Poisson sets a floor: of integers with few counts the median deviation may be zero.
        spread = max(1.4826 * np.median(np.abs(values - median)), np.sqrt(max(median, 1.0)) * 0.5)
        kept = values[np.abs(values - median) <= 4.0 * spread]
        i0[k] = kept.mean()
        variance[k] = (kept.var(ddof=1) if kept.size > 1 else i0[k]) / kept.size
    return i0, variance


def optical_density(counts: F32, i0: F64, i0_variance: F64, counts_variance: F32 | None = None) -> tuple[F32, F32]:
    """Natural-log optical density (ENERGY, Y, X) float32 and its variance, Var(N)/N^2 + Var(I0)/I0^2.

    Without ``counts_variance`` (ENERGY, Y, X) counts are Poisson's: Var(N) = N.
    NaN where nothing was counted, or where the incident beam is not known. The share of the incident beam in the
    variance is common to all pixels of an energy: it does not average down.
    """
    shape = (-1,) + (1,) * (counts.ndim - 1)
    incident = np.where(i0 > 0.0, i0, np.nan).reshape(shape).astype(np.float32)
    relative = np.asarray(i0_variance / np.where(i0 > 0.0, i0, np.nan) ** 2).reshape(shape).astype(np.float32)
    seen = np.asarray(counts, dtype=np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        seen = np.where(seen > 0.0, seen, np.float32(np.nan))
        own = np.float32(1.0) / seen if counts_variance is None else counts_variance / seen**2
        return np.log(incident / seen), np.asarray(own + relative, dtype=np.float32)


def remove_leak(transmission: F32, fraction: float) -> F32:
    """Transmission without the light that no sample absorbs: T = T' (1 + eps) - eps, from T' = (T + eps)/(1 + eps).

    ``fraction`` eps is higher orders and leakage relative to the incident beam. Unchecked, optical density saturates at
    -ln eps and 5 % shifts the state of charge at 200 nm by up to .05.
    """
    return np.asarray(transmission * np.float32(1.0 + fraction) - np.float32(fraction), dtype=np.float32)


def effective_counts_from_halves(half_a: F32, half_b: F32, inside: Mask | None = None) -> F64:
    """Effective photons per pixel at T = 1, (ENERGY,) float64, from transmissions of two half data sets.

    ``half_a``, ``half_b`` (ENERGY, Y, X) come from disjoint halves of the frames; the whole has a quarter of the
    variance of their difference. With Var(T) = T/N the median of (a - b)^2/T is .4549 x 4/N (chi-square of one degree
    of freedom): a median, because reconstructions fail in places. NaN where fewer than ten pixels are known.
    """
    result = np.full(len(half_a), np.nan)
    for k, (a, b) in enumerate(zip(half_a, half_b, strict=True)):
        first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
        mean = 0.5 * (first + second)
        use = np.isfinite(mean) & (mean > 0.01)
        if inside is not None:
            use &= inside
        if int(use.sum()) < 10:
            continue
        difference = first[use] - second[use]
        # Halves may differ in scale as a whole, which is not noise.
        difference -= mean[use] * np.median(difference / mean[use])
        variance = np.median(difference**2 / mean[use]) / 0.4549
        result[k] = 4.0 / variance if variance > 0.0 else np.nan
    return result


def noise_factor(counts: Sequence[F32] | F32, free: Mask) -> F64:
    """Variance over mean of counts in free pixels, (ENERGY,) float64: 1 for single photons, the gain for scaled counts.

    Taken from differences of horizontal neighbours, so that slow unevenness of the field does not enter. Frames that
    were resampled by others show less than 1: their noise is correlated. Effective counts are I0 divided by this
    factor.
    """
    pair = free[:, 1:] & free[:, :-1]
    result = np.full(len(counts), np.nan)
    for k in range(len(counts)):
        values = counts[k]
        difference = np.asarray(values[:, 1:][pair], dtype=np.float64) - values[:, :-1][pair]
        difference = difference[np.isfinite(difference)]
        open_beam = np.asarray(values[free], dtype=np.float64)
        mean = float(np.nanmean(open_beam)) if np.isfinite(open_beam).any() else 0.0
        if difference.size > 10 and mean > 0.0:
            limit = 4.0 * max(1.4826 * float(np.median(np.abs(difference))), 1e-12)
            result[k] = float(np.mean(difference[np.abs(difference) <= limit] ** 2)) / (2.0 * mean)
    return result


def noise_correlation_area(noise: Real) -> float:
    """Area in px over which noise (Y, X) is one and the same: the sum of its autocorrelation around zero lag.

    For ptychography: the difference of half reconstructions. Averaging n pixels reduces the variance by n / area only.
    """
    known = np.isfinite(noise)
    if int(known.sum()) < 16:
        return float("nan")
    centred = np.where(known, noise - np.mean(noise[known]), 0.0)
    shape = tuple(2 * n for n in noise.shape)
    power = np.abs(np.fft.rfft2(centred, shape)) ** 2
    overlap = np.fft.irfft2(np.abs(np.fft.rfft2(known.astype(np.float64), shape)) ** 2, shape)
    correlation = np.fft.irfft2(power, shape) / np.maximum(overlap, 1.0)
    correlation = np.fft.fftshift(correlation / correlation[0, 0])
    # Beyond where the correlation first falls below five per cent there is only noise to sum.
    centre = (correlation.shape[0] // 2, correlation.shape[1] // 2)
    label, _ = ndimage.label(correlation > 0.05)
    return float(max(1.0, correlation[label == label[centre]].sum()))


def _smoothed(image: F32, known: Mask, sigma_px: float) -> F32:
    weight = ndimage.gaussian_filter(known.astype(np.float32), sigma_px, mode="constant")
    total = ndimage.gaussian_filter(np.where(known, image, np.float32(0.0)), sigma_px, mode="constant")
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(weight > 0.05, total / weight, np.nan).astype(np.float32)


def _otsu(values: F64) -> float:
    # Outliers would spend the histogram's bins.
    low, high = np.percentile(values, (0.1, 99.9))
    if not high > low:
        return float(high)
    count, edges = np.histogram(np.clip(values, low, high), bins=256)
    centre = 0.5 * (edges[1:] + edges[:-1])
    below = np.cumsum(count)
    above = below[-1] - below
    mean_below = np.cumsum(count * centre) / np.maximum(below, 1)
    mean_above = (np.sum(count * centre) - np.cumsum(count * centre)) / np.maximum(above, 1)
    return float(edges[1 + int(np.argmax(below * above * (mean_below - mean_above) ** 2))])


def _half_sample_mode(values: F64) -> float:
    """Mode by repeatedly keeping the densest half (Bickel and Fruehwirth 2006), stopped at a twentieth to stay
    smooth.
    """
    kept = np.sort(values)
    least = max(8, values.size // 20)
    while kept.size > least:
        half = (kept.size + 1) // 2
        width = kept[half - 1 :] - kept[: kept.size - half + 1]
        start = int(np.argmin(width))
        kept = kept[start : start + half]
    return float(np.median(kept))
