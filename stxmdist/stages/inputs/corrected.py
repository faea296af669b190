"""Counts of a wide-field scan as absorbance and align see them: read frame by frame, corrected as the options say."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from storage.output import Output
from stxmdist.arrays import F32, Index, Mask, MaskClass
from stxmdist.spectra.density.detector import DetectorOptions, line_levels, ring_factor, spikes, without_dead_time


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


class CorrectedFrames(Sequence[F32]):
    """Corrected counts of frames, in the order of energies: a sequence of (Y, X) that reads on demand."""

    def __init__(
        self,
        ingest: Output,
        options: DetectorOptions,
        *,
        ring: bool,
        free: Mask | None = None,
        energies: Index | None = None,
    ) -> None:
        """Frames ``energies`` (all if None); lines are looked at where ``free`` pixels are known, ``ring`` divides."""
        self.options = options
        self.free = free
        self.valid = ingest.read("frame_class") == MaskClass.valid
        self.dwell_ms = ingest.read("dwell_ms")
        current = ingest.read("ring_current_ma")
        self.ring = ring_factor(current) if ring and options.ring_current else np.ones(len(current))
        self._ingest = ingest
        self._energies = np.arange(len(self.valid)) if energies is None else energies
        self._raw: dict[int, F32] = {}

    def __len__(self) -> int:
        return len(self._energies)

    def __getitem__(self, index: Any) -> Any:
        return self.frame(int(self._energies[index])).counts

    def frame(self, energy: int, options: DetectorOptions | None = None) -> CorrectedFrame:
        """One frame by its energy, under other options if given."""
        options = options or self.options
        raw = self._read(energy)
        masked = np.zeros(raw.shape, dtype=np.bool_)
        if options.spikes and self.valid[energy]:
            beside = [k for k in (energy - 1, energy + 1) if 0 <= k < len(self.valid) and self.valid[k]]
            masked = spikes(raw, [self._read(k) for k in beside], options.spike_sigma)
        counts = np.where(masked, np.float32(np.nan), raw)
        variance = counts
        if options.dead_time_us > 0.0 and self.valid[energy]:
            counts, variance = without_dead_time(
                counts, float(self.dwell_ms[energy]), options.dead_time_us, options.dead_time_model
            )
        counts = counts - np.float32(options.dark_counts)
        factor = np.float32(self.ring[energy]) if options.ring_current else np.float32(1.0)
        levels = np.ones(len(raw))
        if options.glitches and self.free is not None and self.valid[energy]:
            levels = line_levels(counts, self.free, options.glitch_sigma)
        scale = levels[:, None].astype(np.float32) * factor
        return CorrectedFrame(
            counts / scale,
            variance / scale**2,
            int(masked.sum()),
            int((np.isfinite(levels) & (levels != 1.0)).sum()),
            int(np.isnan(levels).sum()),
        )

    def switched_off(self, energy: int, frame: CorrectedFrame) -> dict[str, F32]:
        """Counts of a frame without each of the corrections that changed it, by their option."""
        options = self.options
        off: dict[str, DetectorOptions] = {}
        if options.dark_counts > 0.0:
            off["dark_counts"] = replace(options, dark_counts=0.0)
        if options.dead_time_us > 0.0:
            off["dead_time_us"] = replace(options, dead_time_us=0.0)
        if self.ring[energy] != 1.0:
            off["ring_current"] = replace(options, ring_current=False)
        if frame.spikes:
            off["spikes"] = replace(options, spikes=False)
        if frame.lines_scaled or frame.lines_masked:
            off["glitches"] = replace(options, glitches=False)
        return {name: self.frame(energy, other).counts for name, other in off.items()}

    def _read(self, energy: int) -> F32:
        if energy not in self._raw:
            for old in [k for k in self._raw if abs(k - energy) > 1]:
                del self._raw[old]
            self._raw[energy] = self._ingest.read("counts", (energy, slice(None), slice(None)))
        return self._raw[energy]
