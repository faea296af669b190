"""From counts to optical density: particle-free pixels, the incident beam measured there, and its error."""

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
    """A pixel is free if it absorbs no more than the background's mode plus so many of its standard deviations"""
    margin_px: int = 2
    """Distance of free pixels from particles, against drift between energies and the tails of the beam"""
    least_free_px: int = 30
    """With fewer free pixels than this the incident beam is not taken from the field"""
    contrast_energies: int = 8
    """Particles are searched for in the mean over this many energies, those with the highest contrast"""


WHOLE = 0.95
"""A frame is whole if it has numbers in this share of the pixels that the most complete frame has"""


def contrast_map(counts: Sequence[F32] | F32, n_energies: int = 8) -> F32:
    """Mean of -ln(counts), up to a constant, over the energies with the highest contrast; (Y, X) float32.

    ``counts`` (ENERGY, Y, X) are raw counts of any scale, with any drift, and are read one frame at a time; frames
    without a finite pixel are skipped, and so are those that lack much of what others have. The sign is that of an
    optical density: particles are bright.

    Raises
    ------
    InputError
        if all frames contain only NaN and zeros
    """
    contrasts, share = np.full(len(counts), np.nan), np.zeros(len(counts))
    for k in range(len(counts)):
        absorbing = _absorbing(counts[k])
        if absorbing is not None:
            share[k] = np.isfinite(absorbing).mean()
            contrasts[k] = np.nanpercentile(absorbing, 99.0) - np.nanpercentile(absorbing, 5.0)
    frames = np.flatnonzero(np.isfinite(contrasts) & (share >= WHOLE * share.max()))
    if not frames.size:
        raise InputError(
            where="absorbance",
            problem="no frame holds any counts",
            got="no number above 0 in any frame",
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
    """-ln of a smoothed frame relative to its 95th percentile; None for a frame without counts."""
    frame = np.asarray(counts, dtype=np.float32)
    known = np.isfinite(frame)
    if not known.any() or not (frame[known] > 0.0).any():
        return None
    # The frame is smoothed before the logarithm, which would be biased by few counts.
    mean = _smoothed(frame, known, sigma_px=1.0)
    scale = np.nanpercentile(mean, 95.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(-np.log(np.maximum(mean / scale, 1e-4)), dtype=np.float32)


def particle_free(contrast: Real, options: AbsorbanceOptions | None = None) -> Mask:
    """Pixels (Y, X) without a particle, from a map that is brighter where more is absorbed.

    Otsu's threshold separates particles from background. The mode of the background and the spread below the mode give
    the width of its distribution, so that thin particles, which Otsu's threshold misses, are excluded too. Free pixels
    keep a margin from every particle.

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
        # Single bright pixels are noise, not particles: only what remains after an opening gets a margin.
        particles = ndimage.binary_opening(~free & known, iterations=1)
        if options.margin_px > 0:
            free &= ~ndimage.binary_dilation(particles, iterations=options.margin_px)
        free &= known
    if int(free.sum()) < options.least_free_px:
        raise InputError(
            where="absorbance",
            problem="the field has no particle-free pixels to take the incident beam from",
            got=f"{int(free.sum())} of {contrast.size} pixels",
            wanted=f"at least {options.least_free_px}",
            mend="Give an incident spectrum (references: i0: FILE, with stages: absorbance: i0: file) or a free region "
            "(stages: absorbance: region)",
        )
    return free


def incident_counts(counts: Sequence[F32] | F32, free: Mask) -> tuple[F64, F64]:
    """Incident counts per pixel and their variance, both (ENERGY,) float64, from particle-free pixels.

    The mean is clipped at four robust standard deviations, so that dust and glitches do not contribute. The variance is
    estimated from the scatter of the pixels, so it contains flicker as well as shot noise. NaN for a frame that is
    missing or dark in these pixels.

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
            mend="Correct the region in the campaign file, or remove it: free pixels are then found automatically",
        )
    i0 = np.full(len(counts), np.nan)
    variance = np.full(len(counts), np.nan)
    for k in range(len(counts)):
        values = np.asarray(counts[k][free], dtype=np.float64)
        values = values[np.isfinite(values)]
        if values.size == 0 or not (values > 0.0).any():
            continue
        median = np.median(values)
        # Shot noise sets a lower limit: with few counts the median deviation of integers may be zero.
        spread = max(1.4826 * np.median(np.abs(values - median)), np.sqrt(max(median, 1.0)) * 0.5)
        kept = values[np.abs(values - median) <= 4.0 * spread]
        i0[k] = kept.mean()
        variance[k] = (kept.var(ddof=1) if kept.size > 1 else i0[k]) / kept.size
    return i0, variance


def optical_density(counts: F32, i0: F64, i0_variance: F64, counts_variance: F32 | None = None) -> tuple[F32, F32]:
    """Natural-log optical density (ENERGY, Y, X) float32 and its variance, Var(N)/N^2 + Var(I0)/I0^2.

    Without ``counts_variance`` (ENERGY, Y, X) the counts are taken to be Poisson distributed, Var(N) = N. ``i0`` and
    ``i0_variance`` are (ENERGY,). NaN where nothing was counted, or where the incident beam is not known. The
    contribution of the incident beam is common to all pixels of an energy, so averaging over pixels does not reduce it.
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
    """Transmission without the light that the sample does not absorb, float32 of the same shape.

    ``fraction`` eps is the light of higher orders and leakage relative to the incident beam: the measured transmission
    is T' = (T + eps)/(1 + eps), and T = T' (1 + eps) - eps. Without this correction the optical density saturates at
    -ln eps, and a fraction of 5 % changes the state of charge at 200 nm by up to 0.05.
    """
    return np.asarray(transmission * np.float32(1.0 + fraction) - np.float32(fraction), dtype=np.float32)


def effective_counts_from_halves(half_a: F32, half_b: F32, inside: Mask | None = None) -> F64:
    """Effective photons per pixel at T = 1, (ENERGY,) float64, from the transmissions of two half data sets.

    ``half_a`` and ``half_b`` (ENERGY, Y, X) come from disjoint halves of the frames, so the variance of their mean is a
    quarter of the variance of their difference. With Var(T) = T/N the median of (a - b)^2/T is 0.4549 x 4/N
    (chi-square of one degree of freedom). The median is used because reconstructions fail in places. NaN for an energy
    with fewer than ten known pixels.
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
        # A common difference in scale between the halves is not noise.
        difference -= mean[use] * np.median(difference / mean[use])
        variance = np.median(difference**2 / mean[use]) / 0.4549
        result[k] = 4.0 / variance if variance > 0.0 else np.nan
    return result


def noise_factor(counts: Sequence[F32] | F32, free: Mask) -> F64:
    """Variance over mean of the counts in free pixels, (ENERGY,) float64; effective counts are I0 over this factor.

    It is 1 for single photons and the gain for scaled counts. It is computed from differences of horizontal neighbours,
    so that slow variations over the field do not contribute. Frames that another program has resampled give less than
    1, because their noise is correlated.
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
    """Correlation area of noise (Y, X) in px: the sum of its autocorrelation around zero lag.

    In ptychography the noise is the difference of two half reconstructions. Averaging n pixels reduces its variance by
    n / area only.
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
    # Only the central region with a correlation above five per cent is summed: the rest is noise.
    centre = (correlation.shape[0] // 2, correlation.shape[1] // 2)
    label, _ = ndimage.label(correlation > 0.05)
    return float(max(1.0, correlation[label == label[centre]].sum()))


def _smoothed(image: F32, known: Mask, sigma_px: float) -> F32:
    weight = ndimage.gaussian_filter(known.astype(np.float32), sigma_px, mode="constant")
    total = ndimage.gaussian_filter(np.where(known, image, np.float32(0.0)), sigma_px, mode="constant")
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(weight > 0.05, total / weight, np.nan).astype(np.float32)


def _otsu(values: F64) -> float:
    # Outliers would leave too few bins of the histogram for all other pixels.
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
    """Mode by repeatedly keeping the densest half (Bickel and Fruehwirth 2006), stopped at a twentieth of the values.

    Stopping there keeps the estimate smooth.
    """
    kept = np.sort(values)
    least = max(8, values.size // 20)
    while kept.size > least:
        half = (kept.size + 1) // 2
        width = kept[half - 1 :] - kept[: kept.size - half + 1]
        start = int(np.argmin(width))
        kept = kept[start : start + half]
    return float(np.median(kept))
