"""What a detector and a storage ring do to counts, undone in counts, with the variance that undoing leaves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import lambertw

from stxmdist.arrays import F32, F64, Index, Mask
from stxmdist.errors import InputError

DeadTime = Literal["nonparalysable", "paralysable"]

LEAST_LINE_PX = 8
"""A line's level is told from so many particle-free pixels"""
LEAST_GLITCH = 0.03
"""Smaller steps of a line's level are drift and noise"""
FAINTEST_LINE = 0.2
"""A line with less than this share of the beam is masked: there is little to scale"""
_AROUND = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]


@dataclass(frozen=True)
class DetectorOptions:
    """What is corrected in counts, before anything else."""

    dark_counts: float = 0.0
    """Counts per pixel that the detector gives without beam; their noise stays when they are taken off"""
    dead_time_us: float = 0.0
    """Time for which the detector is blind after each photon; needs the dwell time"""
    dead_time_model: DeadTime = "nonparalysable"
    """``paralysable``: a photon that comes meanwhile prolongs it"""
    ring_current: bool = True
    """Divide by the ring current over its median, where the incident beam is not of the same frame"""
    glitches: bool = True
    """Scale lines whose particle-free level jumps (top-up, shutter) to the level of the frame"""
    glitch_sigma: float = 6.0
    """A jump is a step by so many robust deviations of the lines' levels"""
    spikes: bool = True
    """Mask single pixels far above their neighbours"""
    spike_sigma: float = 8.0
    """By so many standard deviations of the counting noise"""

    def __post_init__(self) -> None:
        for name in ("dark_counts", "dead_time_us"):
            if not 0.0 <= getattr(self, name) < np.inf:
                raise InputError(
                    where=name,
                    problem="the value makes no sense",
                    got=getattr(self, name),
                    wanted="0 or more",
                    mend="Correct it, or take it out",
                )
        for name in ("glitch_sigma", "spike_sigma"):
            if not getattr(self, name) >= 3.0:
                raise InputError(
                    where=name,
                    problem="noise would be taken for a fault",
                    got=getattr(self, name),
                    wanted="at least 3",
                    mend="Raise it, or take it out",
                )


def without_dead_time(
    counts: F32, dwell_ms: float, dead_time_us: float, model: DeadTime = "nonparalysable"
) -> tuple[F32, F32]:
    """Photons that came, and the variance of that estimate, both (Y, X) float32, from photons counted.

    With x photons per dead time, a detector counts m = N / (1 + x) of N photons or, paralysable, N exp(-x), which
    Lambert's W inverts: x = -W(-m tau / t) (Marcus, J. Electron Spectrosc. 264, 147310 (2023)). Counts are more regular
    than Poisson's: Var m = N / (1 + x)^3, or m (1 - 2 x exp(-x)) (Mueller, Nucl. Instrum. Methods 117, 401 (1974)),
    hence Var N = N (1 + x), or N (exp(x) - 2 x) / (1 - x)^2. NaN where more was counted than such a detector can.

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
            mend="Take dead_time_us out, or convert the scan into a format that keeps the dwell time",
        )
    share: F64 = np.asarray(counts, dtype=np.float64) * (dead_time_us * 1e-3 / dwell_ms)
    with np.errstate(divide="ignore", invalid="ignore"):
        if model == "nonparalysable":
            busy = np.where(share < 1.0, share / (1.0 - share), np.nan)
            factor, regular = 1.0 + busy, 1.0 + busy
        else:
            # At 1/e counts fall with more beam; close to it the inverse has no finite error.
            busy = np.where(share < 0.99 / np.e, -lambertw(-share).real, np.nan)
            factor, regular = np.exp(busy), (np.exp(busy) - 2.0 * busy) / (1.0 - busy) ** 2
    photons = np.asarray(counts * factor, dtype=np.float64)
    variance = photons * regular
    return photons.astype(np.float32), variance.astype(np.float32)


def ring_factor(ring_current_ma: F64) -> F64:
    """Ring current over its median (ENERGY,): what to divide counts by. 1 where it is not known."""
    known = np.isfinite(ring_current_ma) & (ring_current_ma > 0.0)
    if not known.any():
        return np.ones(len(ring_current_ma))
    return np.where(known, ring_current_ma / np.median(ring_current_ma[known]), 1.0)


def spikes(counts: F32, beside: Sequence[F32], sigma: float = 8.0) -> Mask:
    """Single pixels (Y, X) far above all eight neighbours, and further than they are at neighbouring energies.

    ``beside`` are frames of neighbouring energies: a gap between particles is bright in all of them. What noise is,
    differences of horizontal neighbours say, so that scaled counts have their own.
    """
    bright = np.zeros(counts.shape, dtype=np.bool_)
    if min(counts.shape) < 2 or not np.isfinite(counts).any():
        return bright
    # Nothing known counts as nothing: such a pixel is no neighbour.
    padded = np.pad(np.where(np.isfinite(counts), counts, np.float32(-np.inf)), 1, mode="reflect")
    highest = np.full(counts.shape, -np.inf, dtype=np.float32)
    for dy, dx in _AROUND:
        np.maximum(highest, padded[1 + dy : 1 + dy + len(counts), 1 + dx : 1 + dx + counts.shape[1]], out=highest)
    limit = np.float32(sigma * _noise_unit(counts)) * np.sqrt(np.maximum(highest, np.float32(1.0)))
    with np.errstate(invalid="ignore"):
        rows, columns = np.nonzero((counts - highest > limit) & np.isfinite(highest))
    own, level = counts[rows, columns], highest[rows, columns]
    stays = np.ones(rows.size, dtype=np.bool_)
    for frame in beside:
        around = np.stack([_at(frame, rows + dy, columns + dx) for dy, dx in _AROUND])
        around = np.where(np.isfinite(around), around, -np.inf).max(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            there = np.maximum((_at(frame, rows, columns) - around) * level / around, 0.0)
        stays &= ~(own - level - there <= limit[rows, columns])
    bright[rows[stays], columns[stays]] = True
    return bright


def _noise_unit(counts: F32) -> float:
    """Standard deviation of counts over their square root, from differences of horizontal neighbours."""
    # So many lines tell it well enough.
    lines = counts[:: max(1, len(counts) // 256)]
    with np.errstate(invalid="ignore"):
        off = np.abs(np.diff(lines, axis=1)) / np.sqrt(np.maximum(lines[:, 1:] + lines[:, :-1], np.float32(1.0)))
    off = off[np.isfinite(off)]
    # Integers with few counts may show no difference at all; single photons have one of 1.
    return (1.4826 * float(np.median(off)) if off.size else 0.0) or 1.0


def _at(frame: F32, rows: Index, columns: Index) -> F64:
    """Values at pixels, mirrored at the borders."""
    y, x = (n - 1 - np.abs(n - 1 - np.abs(i)) for n, i in zip(frame.shape, (rows, columns), strict=True))
    return np.asarray(frame[y, x], dtype=np.float64)


def line_levels(counts: F32, free: Mask, sigma: float = 6.0) -> F64:
    """Level of each line of a frame over the frame's median line (Y,): 1 for all lines but those that jump.

    Told from particle-free pixels ``free`` (Y, X); NaN for a line so faint that it is better masked. Lines with few
    free pixels are taken to be as their frame.
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
    # Lines differ in how many pixels they have: the best that Poisson allows is a floor for each.
    floor = np.sqrt(1.0 / (middle * number[enough]))
    jumped = np.abs(ratio - 1.0) > np.maximum(sigma * np.maximum(spread, floor), LEAST_GLITCH)
    ratio = np.where(ratio < FAINTEST_LINE, np.nan, ratio)
    levels[enough] = np.where(jumped, ratio, 1.0)
    return levels
