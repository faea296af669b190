"""Corrections of counts for the detector and the storage ring, with the variance of the corrected counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import lambertw

from stxmdist.arrays import F32, F64, Index, Mask
from stxmdist.errors import InputError

DeadTime = Literal["nonparalysable", "paralysable"]

LEAST_LINE_PX = 8
"""Fewest particle-free pixels from which the level of a line is estimated"""
LEAST_GLITCH = 0.03
"""Smaller relative steps of a line's level are taken for drift and noise"""
FAINTEST_LINE = 0.2
"""A line with less than this share of the beam is masked instead of scaled"""
_NEIGHBOURS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]


@dataclass(frozen=True)
class DetectorOptions:
    """Corrections of the counts, which are made before anything else."""

    dark_counts: float = 0.0
    """Counts per pixel that the detector gives without beam; subtracting them leaves their noise"""
    dead_time_us: float = 0.0
    """Time for which the detector is blind after each photon; needs the dwell time"""
    dead_time_model: DeadTime = "nonparalysable"
    """``paralysable``: a photon that arrives during the dead time prolongs it"""
    ring_current: bool = True
    """Divide by the ring current over its median, unless the incident beam is taken from the same frame"""
    glitches: bool = True
    """Scale lines whose particle-free level jumps (top-up, shutter) to the level of the frame"""
    glitch_sigma: float = 6.0
    """A step of a line's level counts as a jump from this many robust standard deviations of the levels on"""
    spikes: bool = True
    """Mask single pixels far above their neighbours"""
    spike_sigma: float = 8.0
    """How many standard deviations of the shot noise a spike lies above its neighbours"""

    def __post_init__(self) -> None:
        for name in ("dark_counts", "dead_time_us"):
            if not 0.0 <= getattr(self, name) < np.inf:
                raise InputError(
                    where=name,
                    problem="the value is negative or not a number",
                    got=getattr(self, name),
                    wanted="0 or more",
                    mend="Correct it, or remove it",
                )
        for name in ("glitch_sigma", "spike_sigma"):
            if not getattr(self, name) >= 3.0:
                raise InputError(
                    where=name,
                    problem="noise would be taken for a fault",
                    got=getattr(self, name),
                    wanted="at least 3",
                    mend="Raise it, or remove it",
                )


def without_dead_time(
    counts: F32, dwell_ms: float, dead_time_us: float, model: DeadTime = "nonparalysable"
) -> tuple[F32, F32]:
    """Photons that arrived and the variance of this estimate, both (Y, X) float32, from the photons counted.

    With x photons per dead time, a non-paralysable detector counts m = N / (1 + x) of N photons and a paralysable one
    m = N exp(-x), which Lambert's W inverts: x = -W(-m tau / t) (Marcus, J. Electron Spectrosc. 264, 147310 (2023)).
    Counts are more regular than Poisson's: Var m = N / (1 + x)^3, or m (1 - 2 x exp(-x)) (Mueller, Nucl. Instrum.
    Methods 117, 401 (1974)), hence Var N = N (1 + x), or N (exp(x) - 2 x) / (1 - x)^2. NaN where more photons were
    counted than the detector can count.

    Raises
    ------
    InputError
        if the dwell time is not known
    """
    if not dwell_ms > 0.0:
        raise InputError(
            where="dead_time_us",
            problem="dead time cannot be corrected without the dwell time",
            got=f"a dwell time of {dwell_ms} ms",
            wanted="a dwell time in the scan's file",
            mend="Remove dead_time_us, or convert the scan into a format that keeps the dwell time",
        )
    share: F64 = np.asarray(counts, dtype=np.float64) * (dead_time_us * 1e-3 / dwell_ms)
    with np.errstate(divide="ignore", invalid="ignore"):
        if model == "nonparalysable":
            busy = np.where(share < 1.0, share / (1.0 - share), np.nan)
            factor, regular = 1.0 + busy, 1.0 + busy
        else:
            # Above 1/e counts fall when the beam grows, and close to 1/e the error of the inverse is not finite.
            busy = np.where(share < 0.99 / np.e, -lambertw(-share).real, np.nan)
            factor, regular = np.exp(busy), (np.exp(busy) - 2.0 * busy) / (1.0 - busy) ** 2
    photons = np.asarray(counts * factor, dtype=np.float64)
    variance = photons * regular
    return photons.astype(np.float32), variance.astype(np.float32)


def ring_factor(ring_current_ma: F64) -> F64:
    """Ring current over its median, (ENERGY,) float64, by which counts are divided; 1 where it is not known."""
    known = np.isfinite(ring_current_ma) & (ring_current_ma > 0.0)
    if not known.any():
        return np.ones(len(ring_current_ma))
    return np.where(known, ring_current_ma / np.median(ring_current_ma[known]), 1.0)


def spikes(counts: F32, other_frames: Sequence[F32], sigma: float = 8.0) -> Mask:
    """Mask (Y, X) of single pixels far above all eight neighbours, and further above them than at other energies.

    ``other_frames`` (Y, X) are those of neighbouring energies: a gap between particles is bright in all of them, a
    spike in one. The noise is estimated from differences of horizontal neighbours, so that it is right for scaled
    counts too.
    """
    bright = np.zeros(counts.shape, dtype=np.bool_)
    if min(counts.shape) < 2 or not np.isfinite(counts).any():
        return bright
    # A pixel that is not known does not count as a neighbour.
    padded = np.pad(np.where(np.isfinite(counts), counts, np.float32(-np.inf)), 1, mode="reflect")
    highest = np.full(counts.shape, -np.inf, dtype=np.float32)
    for dy, dx in _NEIGHBOURS:
        np.maximum(highest, padded[1 + dy : 1 + dy + len(counts), 1 + dx : 1 + dx + counts.shape[1]], out=highest)
    limit = np.float32(sigma * _noise_unit(counts)) * np.sqrt(np.maximum(highest, np.float32(1.0)))
    with np.errstate(invalid="ignore"):
        rows, columns = np.nonzero((counts - highest > limit) & np.isfinite(highest))
    own, level = counts[rows, columns], highest[rows, columns]
    stays = np.ones(rows.size, dtype=np.bool_)
    for frame in other_frames:
        around = np.stack([_at(frame, rows + dy, columns + dx) for dy, dx in _NEIGHBOURS])
        around = np.where(np.isfinite(around), around, -np.inf).max(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            there = np.maximum((_at(frame, rows, columns) - around) * level / around, 0.0)
        stays &= ~(own - level - there <= limit[rows, columns])
    bright[rows[stays], columns[stays]] = True
    return bright


def _noise_unit(counts: F32) -> float:
    """Standard deviation of counts over their square root, from differences of horizontal neighbours."""
    # 256 lines are enough for this estimate.
    lines = counts[:: max(1, len(counts) // 256)]
    with np.errstate(invalid="ignore"):
        off = np.abs(np.diff(lines, axis=1)) / np.sqrt(np.maximum(lines[:, 1:] + lines[:, :-1], np.float32(1.0)))
    off = off[np.isfinite(off)]
    # With few counts the median difference of integers may be zero; for single photons the result is 1.
    return (1.4826 * float(np.median(off)) if off.size else 0.0) or 1.0


def _at(frame: F32, rows: Index, columns: Index) -> F64:
    """Values at pixels, mirrored at the borders."""
    y, x = (n - 1 - np.abs(n - 1 - np.abs(i)) for n, i in zip(frame.shape, (rows, columns), strict=True))
    return np.asarray(frame[y, x], dtype=np.float64)


def line_levels(counts: F32, free: Mask, sigma: float = 6.0) -> F64:
    """Level of each line over that of the frame's median line, (Y,) float64: 1 for all lines except those that jump.

    The levels are estimated from the particle-free pixels ``free`` (Y, X). NaN for a line that is too faint to be
    scaled; 1 for a line with too few free pixels.
    """
    known = free & np.isfinite(counts)
    number = known.sum(axis=1)
    enough = number >= LEAST_LINE_PX
    levels = np.ones(len(counts))
    if int(enough.sum()) < LEAST_LINE_PX:
        return levels
    mean = np.where(known, counts, 0.0).sum(axis=1, dtype=np.float64)[enough] / number[enough]
    middle = float(np.median(mean))
    if not middle > 0.0:
        return levels
    ratio = mean / middle
    spread = 1.4826 * float(np.median(np.abs(ratio - np.median(ratio))))
    # Lines differ in their number of free pixels: the shot noise of each is the least spread to expect.
    floor = np.sqrt(1.0 / (middle * number[enough]))
    jumped = np.abs(ratio - 1.0) > np.maximum(sigma * np.maximum(spread, floor), LEAST_GLITCH)
    ratio = np.where(ratio < FAINTEST_LINE, np.nan, ratio)
    levels[enough] = np.where(jumped, ratio, 1.0)
    return levels
