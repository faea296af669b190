"""Noise of detector readings: counts that stand for one photon, an offset, read-out noise; all told by the frames.

A reading of ``n`` photons is ``offset + counts_per_photon (n + readout)``. What a frame shows of light is smooth: its
Fourier transform, the autocorrelation of the exit wave, ends where two beams side by side do. Beyond is noise alone.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage, special

from stxmdist.arrays import F32, F64, Array, Mask
from stxmdist.errors import InputError

# Fourth differences along both axes: half as fast as a frame can change, light is down to .06 of its amplitude.
DIFFERENCE = np.array([1.0, -4.0, 6.0, -4.0, 1.0])
REACH_PX = 2
"""A fourth difference looks this far to every side"""
DIM = (0.3, 0.6, 0.8, 0.9)
"""The dimmest pixels, these shares of all, tell the noise. Bright ones show edges of light beside it, and are asked
only where dim ones see nothing but read-out noise
"""
BINS = 24
LEAST_DIMMEST = 8
BLINKING = 20.0
"""Pixels with fourth differences stronger by this factor than those of pixels as dim blink"""
LEAST_PIXELS = 200
"""Fewer pixels on fewer frames cannot tell noise"""
LEAST_ERROR = 0.05
CERTAIN, UNCERTAIN = 0.08, 0.25
"""A slope with a relative error below the first is known; above the second it tells nothing"""
AGREE_SIGMAS = 2.0
"""Slopes agree within so many of the errors of both"""
MOST_OF_COUNTED = 0.5
"""Detectors that count photons have less read-out noise than this, in steps"""
PHOTONS_COUNTED = 1.6
"""Whole multiples of a step are counted photons where noise says the same step within this factor"""
FLAT = 0.25
"""Where the dimmest tenth of the pixels differs by less than this share of its level, the level is no light's"""
FLOOR = 0.02
"""The dimmest pixels, as share of all"""
DIM_FLOOR = 0.2
"""A flat level above this share of the mean count may be light"""
WORTH = 2e-3
"""An offset below this share of the mean count is none"""
SIGMAS = 5.0
"""An offset is larger than so many of its errors"""
SHARE_OF_READOUT = 0.2
"""Less of the variance of the dimmest pixels than this share is no read-out noise"""
MANY_PHOTONS = 200.0
"""Above, the variance of a root is (n + readout^2) / 4 n within a part in five hundred"""
LEAST_VALUES, FEW_VALUES, MOST_STEPS = 3, 16, 1000.0
"""With fewer values there is no step, so many tell it, and readings up to so many steps are held against it"""
NEAR_STEP = 0.05
"""An offset as near to a whole multiple of the step of readings is that, in steps"""
MULTIPLE = 0.02
"""How far from whole multiples of a step readings may lie, in steps, to have one"""


@dataclass(frozen=True)
class CountModel:
    """What a reading of the detector means."""

    counts_per_photon: float = 1.0
    offset: float = 0.0
    """Counts that a pixel has without light"""
    readout: float = 0.0
    """Standard deviation of a reading without light, in photons: read-out, quantisation and flat background together"""

    told: bool = True
    """Whether the noise tells what a photon makes, or it was given"""

    @property
    def of_photons(self) -> bool:
        """Whether counts are photons already."""
        return self.counts_per_photon == 1.0 and self.offset == 0.0

    @property
    def words(self) -> tuple[str, ...]:
        """What is unusual, a sentence each."""
        found = []
        if not self.told:
            found.append(
                "read-out noise hides how many counts a photon makes (reconstruct: counts_per_photon): they are taken"
                " for photons, and the dose is not known"
            )
        if self.counts_per_photon != 1.0:
            found.append(f"a photon makes {self.counts_per_photon:.2g} counts, by the noise of the frames or as chosen")
        if self.offset:
            found.append(f"{self.offset:.2g} counts that pixels have without light are taken off")
        if self.readout:
            found.append(f"readings without light vary by {self.readout:.2g} photons")
        return tuple(found)

    def photons(self, frames: Array) -> Array:
        """Photons of frames (..., QY, QX), float32; as they are where counts are photons."""
        if self.of_photons:
            return frames
        found: F32 = (frames.astype(np.float32) - np.float32(self.offset)) * np.float32(1.0 / self.counts_per_photon)
        return found


PHOTONS = CountModel()
"""Counts are photons"""


def count_model(frames: Array, good: Mask, counts_per_photon: float | None = None) -> CountModel:
    """What readings of some frames (FRAME, QY, QX) mean, by their noise; NaN is not known.

    The mean square of fourth differences of dim pixels over their mean count is a line: its slope is the counts of a
    photon, and where it meets zero lies the offset, but for read-out noise. Where noise tells nothing, the smallest
    step between readings is taken for a photon.

    Parameters
    ----------
    good
        (QY, QX) pixels that may be used
    counts_per_photon
        where it is known

    Raises
    ------
    InputError
        for a number of counts that no photon has.

    Source: mean-variance lines as in Janesick, Photon Transfer (SPIE, 2007); differences in place of repeated frames
    as in Immerkaer, Computer Vision and Image Understanding 64, 300 (1996).
    """
    if counts_per_photon is not None and not counts_per_photon > 0.0:
        raise InputError(
            where="counts_per_photon",
            problem="the value makes no sense",
            got=counts_per_photon,
            wanted="above 0",
            mend="Change it, or leave it out: it is found from the noise of the frames",
        )
    step = smallest_step(frames)
    level, spread = pixel_noise(frames, good)
    seen = counts_per_photon or _best_slope(level, spread, step)
    slope = seen or step or 1.0
    if counts_per_photon is None and step and 1.0 / PHOTONS_COUNTED < slope / step < PHOTONS_COUNTED:
        slope = step
    if not len(level):
        return CountModel(slope)
    lowest = slice(max(LEAST_DIMMEST, int(FLOOR * len(level))))
    offset = _on_step(_offset(level, spread, slope, len(frames)), step)
    # What the dimmest pixels vary by, less the photons that they have beyond the offset.
    variance = float(spread[lowest].mean())
    rest = variance - slope * max(float(level[lowest].mean()) - offset, 0.0)
    readout = float(np.sqrt(rest)) / slope if rest > SHARE_OF_READOUT * variance else 0.0
    # Whole multiples of a step without read-out noise are counted photons, few as they may be.
    return CountModel(slope, offset, readout, told=seen is not None or readout < MOST_OF_COUNTED)


def smallest_step(frames: Array) -> float:
    """The step of which all readings are whole multiples; 0 where there is none."""
    values = np.unique(np.abs(np.asarray(frames)[np.isfinite(frames)]))
    values = values[values > 0]
    if not len(values):
        return 0.0
    if values.dtype.kind in "iu":
        return float(np.gcd.reduce(values))
    values = values.astype(np.float64)
    step = float(np.diff(values[: FEW_VALUES + 1], prepend=0.0).min())
    # Readings are less exact than their type where something was added and taken off: more of them tell the step.
    for most in (0.1 * MOST_STEPS / FEW_VALUES, 0.1 * MOST_STEPS, MOST_STEPS):
        some = values[values < most * step]
        whole = np.round(some / step)
        step = float((some * whole).sum() / (whole**2).sum()) if len(some) else step
    multiples = values[values < MOST_STEPS * step] / step
    exact = np.abs(multiples - np.round(multiples)) < MULTIPLE
    return step if exact.all() and len(multiples) >= LEAST_VALUES else 0.0


def pixel_noise(frames: Array, good: Mask) -> tuple[F64, F64]:
    """Mean count (PIXEL,), and mean square of fourth differences as variance, of good pixels from dim to bright.

    Each half of the frames says which pixels are dim in the other: chance would be taken for dimness. A pixel stands
    there twice, once for each half. Pixels beside others that are not good, or not known in some frame, are left out.
    """
    known = good & np.isfinite(frames).all(axis=0)
    size = 2 * REACH_PX + 1
    inner = ndimage.binary_erosion(known, np.ones((size, size)))
    if len(frames) < 2 or np.count_nonzero(inner) * len(frames) < LEAST_PIXELS:
        return np.empty(0), np.empty(0)
    level, spread = np.zeros((2, *good.shape)), np.zeros((2, *good.shape))
    weights = DIFFERENCE**2 / (DIFFERENCE**2).sum()
    for number, frame in enumerate(frames):
        here = np.where(known, frame, 0).astype(np.float64)
        level[number % 2] += _convolved(here, weights)
        spread[number % 2] += _convolved(here, DIFFERENCE) ** 2
    counts = np.array([[(len(frames) + 1) // 2], [len(frames) // 2]])
    level, spread = level[:, inner] / counts, spread[:, inner] / (counts * (DIFFERENCE**2).sum() ** 2)
    order = np.argsort(level[::-1], axis=1, kind="stable")
    ascending = [np.take_along_axis(values, order, axis=1).T.ravel() for values in (level, spread)]
    return ascending[0], ascending[1]


def root_variance(photons: ArrayLike, readout: float = 0.0) -> F64:
    """Variance of the root of a reading of this many photons in the mean, negative readings taken as zero.

    Of many photons 1/4; of far less than one, their number. ``readout`` is in photons.
    """
    mean = np.maximum(np.asarray(photons, np.float64), 0.0)
    at, values = _root_variances(round(float(readout), 3))
    many = 0.25 * (1.0 + readout**2 / np.maximum(mean, MANY_PHOTONS))
    return np.asarray(np.where(mean > MANY_PHOTONS, many, np.interp(mean, at, values)))


@lru_cache(maxsize=16)
def _root_variances(readout: float) -> tuple[F64, F64]:
    at = np.concatenate([[0.0], np.geomspace(1e-4, MANY_PHOTONS, 160)])
    n = np.arange(int(MANY_PHOTONS + 10 * np.sqrt(MANY_PHOTONS)))
    shares = np.exp(special.xlogy(n, at[:, None]) - at[:, None] - special.gammaln(n + 1))
    points = np.linspace(-5.0, 5.0, 201) if readout else np.zeros(1)
    weights = np.exp(-0.5 * points**2)
    weights /= weights.sum()
    readings = np.maximum(n[:, None] + readout * points, 0.0)
    root, square = shares @ (np.sqrt(readings) @ weights), shares @ (readings @ weights)
    return at, square - root**2


def _best_slope(level: F64, spread: F64, step: float) -> float | None:
    """Slope of spread over level: of the dimmest pixels that know it well, else of those that know it best.

    Where frames are coarse some light is left in the differences of brighter pixels, and their slope is too large: they
    count as long as they agree with dimmer ones. Where they do not, the dimmest may hold some of it, too, and the
    ``step`` of readings, which none can be without, is believed if it is no more.
    """
    counts = [int(share * len(level)) for share in DIM]
    found = [slope for count in counts if (slope := _slope(level[:count], spread[:count])) is not None]
    known = [one for one in found if one[1] < UNCERTAIN]
    if not known:
        return None
    dimmest, error = known[0]
    most = dimmest * (1.0 + AGREE_SIGMAS * error)
    agree = [slope for slope in known if slope[0] * (1.0 - AGREE_SIGMAS * slope[1]) < most]
    if len(agree) < len(known) and 0.0 < step < most:
        return step
    return next((slope for slope, error in agree if error < CERTAIN), min(agree, key=lambda one: one[1])[0])


def _slope(level: F64, spread: F64) -> tuple[float, float] | None:
    """Slope of spread over level, and its relative error; None where it does not rise."""
    parts = np.array_split(np.arange(len(level)), BINS)
    if len(level) < BINS * LEAST_DIMMEST:
        return None
    kept = [part[_steady(spread[part])] for part in parts]
    x, y = (np.array([values[part].mean() for part in kept]) for values in (level, spread))
    if not (x[-1] > x[0] and y.any()):
        return None
    error = np.array([spread[part].std() / np.sqrt(len(part)) for part in kept])
    # Dark pixels on few frames agree by chance.
    weight = 1.0 / np.maximum(error, LEAST_ERROR * y.mean())
    ahead = (x - x[0]) / (x[-1] - x[0])
    # Where the beam fills its window some light is left in the differences: it grows with the square of the level.
    for degree in (2, 1):
        terms = ahead[:, None] ** np.arange(degree + 1) * weight[:, None]
        found, *_ = np.linalg.lstsq(terms, y * weight, rcond=None)
        if found[-1] > 0.0:
            break
    uncertain = np.sqrt(np.linalg.pinv(terms.T @ terms)[1, 1])
    return (float(found[1] / (x[-1] - x[0])), float(uncertain / found[1])) if found[1] > 0.0 else None


def _steady(spread: F64) -> Mask:
    """Pixels that do not blink."""
    steady = np.ones(len(spread), bool)
    for _ in range(3):
        steady &= spread <= BLINKING * spread[steady].mean()
    return steady


def _offset(level: F64, spread: F64, slope: float, n_frames: int) -> float:
    """Counts of a pixel without light, by the dimmest pixels; 0 where it cannot be told from none."""
    count = max(LEAST_DIMMEST, int(FLOOR * len(level)))
    lowest, variance = float(level[:count].mean()), float(spread[:count].mean())
    tenth = level[: max(count + 1, len(level) // 10)]
    rise = float(tenth[-count:].mean()) - lowest
    error = np.sqrt(max(variance, 0.0) / (0.5 * n_frames * count))
    mean = float(level.mean())
    photons = variance / slope
    flat = abs(rise) < FLAT * abs(lowest) and lowest < DIM_FLOOR * mean
    # Photons that come evenly vary as photons do; an offset does not.
    unlike_photons = lowest > 0.0 and photons < 0.5 * lowest
    if lowest > 0.0 and not flat and not unlike_photons:
        return 0.0
    found = lowest - min(max(rise, 0.0), photons) if lowest > 0.0 else lowest
    return found if abs(found) > max(SIGMAS * error, WORTH * mean) else 0.0


def _on_step(offset: float, step: float) -> float:
    """The whole multiple of the step of readings that an offset is, within its error."""
    nearest = round(offset / step) * step if step else offset
    return nearest if abs(offset - nearest) < NEAR_STEP * step else offset


def _convolved(frame: F64, weights: F64) -> F64:
    once = ndimage.convolve1d(frame, weights, axis=0, mode="constant")
    return np.asarray(ndimage.convolve1d(once, weights, axis=1, mode="constant"))


__all__ = ["PHOTONS", "CountModel", "count_model", "pixel_noise", "root_variance", "smallest_step"]
