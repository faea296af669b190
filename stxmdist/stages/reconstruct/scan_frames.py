"""The frames of a scan at one energy as ingest left them: photons instead of readings, and which can be used."""

from dataclasses import dataclass

import numpy as np

from storage.output import Output
from stxmdist.arrays import F64, Array, Index, Mask, MaskClass
from stxmdist.ptychography.light import light_words, relative_light
from stxmdist.ptychography.noise import CountModel, count_model
from stxmdist.readers.frames.unread import known_readings

RUN = 256
"""Frames that are read at once, at most: they are held beside those of the tile."""
NOISE_FRAMES = 64
"""Frames whose noise tells what a count is."""
LEAST_LIGHT = 0.02
"""A frame with a smaller share of its neighbours' light tells more of noise than of the sample."""


@dataclass(frozen=True, eq=False)
class ScanFrames:
    """What holds for all tiles of a scan at one energy."""

    ingest: Output
    energy: int
    """Its place along the scan's energies"""
    good: Mask
    """(QY, QX)"""
    ceiling_counts: float
    """Readings from here on are saturated; NaN: none is"""
    readings: CountModel
    photons_per_frame: F64
    """(POSITION,) on good pixels"""
    light: F64
    """(POSITION,) against that of its neighbours; 1 where the sample explains the frame's sum"""
    usable: Mask
    """(POSITION,) frames that hold a signal"""
    notes: tuple[str, ...]
    """What is worth saying of them"""

    def photons(self, positions: Index) -> tuple[Array, Mask | None]:
        """Frames of a tile, and where they are but the least that there was, if anywhere on good pixels.

        They are read in runs, so that no more than a shard is held beside them.
        """
        array = self.ingest.array("frames")
        dtype = array.dtype if self.readings.of_photons else np.float32
        frames = np.empty((len(positions), *array.shape[2:]), dtype)
        at_least = np.zeros(frames.shape, bool)
        filled = 0
        for start in range(0, array.shape[1], RUN):
            wanted = positions[(positions >= start) & (positions < start + RUN)]
            if len(wanted):
                first, last = int(wanted[0]), int(wanted[-1]) + 1
                part = slice(filled, filled + len(wanted))
                read = np.asarray(array[self.energy, first:last])[wanted - first]
                values, at_least[part] = known_readings(read, self.ceiling_counts)
                at_least[part] &= self.good
                # What tells nothing is no less than none, whatever the offset.
                frames[part] = np.where(at_least[part] & (values == 0), 0, self.readings.photons(values))
                filled += len(wanted)
        return frames, at_least if at_least.any() else None


def scan_frames(ingest: Output, energy: int, counts_per_photon: float | None = None) -> ScanFrames:
    """What all tiles of a scan have to know of its frames at one energy, by a look at some and the sums of all."""
    good = ingest.read("detector_mask") == 0
    ceiling = float(ingest.read("ceiling_counts")[energy])
    valid = np.asarray(ingest.read("frame_class", (energy, slice(None))) == MaskClass.valid)
    readings = count_model(_sample(ingest, energy, np.flatnonzero(valid), ceiling), good, counts_per_photon)
    counts = ingest.read("frame_counts", (energy, slice(None))).astype(np.float64)
    photons = (counts - readings.offset * np.count_nonzero(good)) / readings.counts_per_photon
    light = np.ones(len(valid))
    light[valid] = relative_light(photons[valid], ingest.read("positions_um")[energy][valid])
    dark = valid & (light < LEAST_LIGHT)
    return ScanFrames(
        ingest=ingest,
        energy=energy,
        good=good,
        ceiling_counts=ceiling,
        readings=readings,
        photons_per_frame=photons,
        light=light,
        usable=valid & ~dark,
        notes=(*readings.words, *light_words(light, dark)),
    )


def _sample(ingest: Output, energy: int, valid: Index, ceiling: float) -> Array:
    """Frames across the whole scan, NaN where their readings are limits: all tiles take their counts for the same."""
    array = ingest.array("frames")
    chosen = valid[np.unique(np.linspace(0, len(valid) - 1, NOISE_FRAMES).astype(int))] if len(valid) else valid
    frames = np.stack([np.asarray(array[energy, int(at)]) for at in chosen]) if len(valid) else np.empty((0, 1, 1))
    values, at_least = known_readings(frames, ceiling)
    return np.where(at_least, np.float32(np.nan), values) if at_least.any() else values


__all__ = ["ScanFrames", "scan_frames"]
