"""One frame of counts as its density is taken from it: every correction of a detector, in the order that undoes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from stxmdist.arrays import F32, Array, Mask
from stxmdist.spectra.density.absorbance import WHOLE, optical_density, remove_leak
from stxmdist.spectra.density.detector import DetectorOptions, line_levels, spikes, without_dead_time


@dataclass(frozen=True, eq=False)
class CountedFrame:
    """One frame as it was counted, and what its corrections need to know of it."""

    counts: F32
    """(Y, X) NaN where nothing was measured"""
    neighbours: Sequence[F32]
    """Frames (Y, X) at the neighbouring energies, as counted"""
    dwell_ms: float
    """NaN where the file does not say"""
    ring_factor: float
    """Ring current over its median; 1 where counts are not divided by it"""
    measured: bool
    """False for a frame that was never written or is saturated: no fault is looked for in it"""


@dataclass(frozen=True, eq=False)
class CorrectedFrame:
    """One frame after its corrections."""

    counts: F32
    """(Y, X) NaN where masked"""
    variance: F32
    """(Y, X) of the counts"""
    spikes: int
    """Pixels masked"""
    lines_scaled: int
    lines_masked: int


def corrected(frame: CountedFrame, options: DetectorOptions, free: Mask | None = None) -> CorrectedFrame:
    """Counts of a frame without spikes, dead time, dark counts, and jumps of its lines and of the ring current.

    Lines are scaled only where the particle-free pixels ``free`` (Y, X) are known.

    Raises
    ------
    InputError
        where dead time is to be undone and the dwell time is not known.
    """
    masked = np.zeros(frame.counts.shape, dtype=np.bool_)
    if options.spikes and frame.measured:
        masked = spikes(frame.counts, frame.neighbours, options.spike_sigma)
    counts = np.where(masked, np.float32(np.nan), frame.counts)
    variance = counts
    if options.dead_time_us > 0.0 and frame.measured:
        counts, variance = without_dead_time(counts, frame.dwell_ms, options.dead_time_us, options.dead_time_model)
    counts = counts - np.float32(options.dark_counts)
    factor = np.float32(frame.ring_factor) if options.ring_current else np.float32(1.0)
    levels = np.ones(len(frame.counts))
    if options.glitches and free is not None and frame.measured:
        levels = line_levels(counts, free, options.glitch_sigma)
    scale = levels[:, None].astype(np.float32) * factor
    return CorrectedFrame(
        counts / scale,
        variance / scale**2,
        int(masked.sum()),
        int((np.isfinite(levels) & (levels != 1.0)).sum()),
        int(np.isnan(levels).sum()),
    )


def left_out_one_by_one(
    frame: CountedFrame, found: CorrectedFrame, options: DetectorOptions, free: Mask | None = None
) -> dict[str, F32]:
    """Counts (Y, X) of a frame without each of the corrections that changed it, by the name of the option.

    ``found`` is the frame with all of them.
    """
    without: dict[str, DetectorOptions] = {}
    if options.dark_counts > 0.0:
        without["dark_counts"] = replace(options, dark_counts=0.0)
    if options.dead_time_us > 0.0:
        without["dead_time_us"] = replace(options, dead_time_us=0.0)
    if frame.ring_factor != 1.0:
        without["ring_current"] = replace(options, ring_current=False)
    if found.spikes:
        without["spikes"] = replace(options, spikes=False)
    if found.lines_scaled or found.lines_masked:
        without["glitches"] = replace(options, glitches=False)
    return {name: corrected(frame, others, free).counts for name, others in without.items()}


def transmission_of(counts: F32, i0_counts: float, leak_fraction: float = 0.0) -> F32:
    """Transmission (Y, X) float32: counts over ``i0_counts`` incident ones, without the light that no sample absorbs.

    ``leak_fraction`` is that light over the incident beam, see ``remove_leak``.
    """
    transmission = counts / np.float32(i0_counts)
    return remove_leak(transmission, leak_fraction) if leak_fraction else transmission


def density_of_frame(
    frame: CorrectedFrame, i0_counts: float, i0_variance: float, leak_fraction: float = 0.0
) -> tuple[F32, F32]:
    """Optical density of one frame and its variance, both (Y, X) float32, NaN where nothing was counted.

    ``leak_fraction`` as in ``transmission_of``: taking it off stretches the counts' noise by 1 + leak_fraction.
    """
    counts = frame.counts
    if leak_fraction:
        counts = transmission_of(counts, i0_counts, leak_fraction) * np.float32(i0_counts)
    stretch = np.float32(1.0) + np.float32(leak_fraction)
    density, variance = optical_density(
        counts[None], np.array([i0_counts]), np.array([i0_variance]), frame.variance[None] * stretch**2
    )
    return density[0], variance[0]


class CorrectionTally:
    """What corrections did to a scan, gathered frame by frame: how often, and to the particles' mean spectrum."""

    def __init__(self, n_energies: int, sample: Mask, leak_fraction: float, free: Mask | None = None) -> None:
        """Begin with nothing; ``sample`` (Y, X) are pixels of particles.

        ``free`` (Y, X) are the pixels that the incident beam was taken from, which counts without a correction change
        as well; None where it comes from elsewhere.
        """
        self.spikes = self.lines_scaled = self.lines_masked = 0
        self.pixels_without_counts = 0
        self.mean_od = np.full(n_energies, np.nan)
        """(ENERGY,) float64 optical density of the particles' mean transmission"""
        self.mean_od_without: dict[str, Array] = {}
        """Option to the same (ENERGY,) without that correction; NaN where the correction changes nothing"""
        self._sample, self._leak_fraction = sample, leak_fraction
        self._free = free if free is not None and free.any() else None

    def add(self, energy: int, frame: CorrectedFrame, i0_counts: float, without: Mapping[str, F32]) -> None:
        """Count one frame; ``without`` are its counts (Y, X) without each correction, from ``left_out_one_by_one``."""
        self.spikes += frame.spikes
        self.lines_scaled += frame.lines_scaled
        self.lines_masked += frame.lines_masked
        self.pixels_without_counts += int((frame.counts <= 0.0).sum())
        if not i0_counts > 0.0 or not self._sample.any():
            return
        if np.isfinite(frame.counts[self._sample]).mean() < WHOLE:
            # The mean of other pixels than at other energies would be no point of the same spectrum.
            return
        self.mean_od[energy] = self._mean_od(frame.counts, i0_counts, self._leak_fraction)
        for name, counts in without.items():
            i0 = i0_counts if self._free is None else float(np.nanmean(counts[self._free]))
            self._spectrum_without(name)[energy] = self._mean_od(counts, i0, self._leak_fraction)
        if self._leak_fraction:
            self._spectrum_without("leak_fraction")[energy] = self._mean_od(frame.counts, i0_counts, 0.0)

    def _spectrum_without(self, name: str) -> Array:
        return self.mean_od_without.setdefault(name, np.full(len(self.mean_od), np.nan))

    def _mean_od(self, counts: F32, i0_counts: float, leak_fraction: float) -> float:
        values = counts[self._sample]
        values = values[np.isfinite(values)]
        seen = float(values.mean(dtype=np.float64)) / i0_counts if values.size else 0.0
        transmission = seen * (1.0 + leak_fraction) - leak_fraction
        return float(-np.log(transmission)) if transmission > 0.0 else float("nan")
