"""Narrow valleys in the height of a plate: where material is missing along lines, how much, and how long they are."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.filters import apply_hysteresis_threshold
from skimage.filters.rank import percentile
from skimage.morphology import disk, skeletonize

from stxmdist.arrays import F64, Mask

LEVELS, TALLEST = 255, 1.6
"""Steps of the relative height for the rank filter, and the greatest height."""
LEAST_PIXELS = 120
"""Of fewer pixels away from the outline there is no plate to look for valleys in."""


@dataclass(frozen=True)
class CreviceOptions:
    """How valleys are told from noise and from slopes."""

    reach_nm: float = 90.0
    """Radius of the disc whose usual height is taken for the plate's; valleys are narrower than it."""
    smoothing_sigmas: float = 0.7
    """Gaussian that the height is smoothed with, in sigmas of the point spread function"""
    least_depth: float = 0.12
    """A valley misses at least this share of the height ..."""
    sure_depth: float = 0.25
    """... and somewhere this share"""
    noise_low: float = 2.5
    """The same in standard deviations of the noise"""
    noise_high: float = 4.5
    rim_sigmas: float = 2.0
    """Closer to the outline the height falls anyway."""
    least_length_sigmas: float = 8.0
    """Shorter valleys are specks."""
    least_phase_correlation: float = 0.9
    """The phase is believed to show the thickness where both correlate so well."""


@dataclass(frozen=True, eq=False)
class Crevices:
    """Valleys of one particle; every array (Y, X)."""

    depth: F64
    """Share of the height that is missing, smoothed; about 0 on the plate, NaN outside"""
    raw_depth: F64
    """The same, not smoothed"""
    noise: float
    """Standard deviation of ``depth`` on the plate"""
    valley: Mask
    """Pixels of valleys"""
    line: Mask
    """Their middle lines"""
    body: Mask
    """Pixels of the particle away from its outline, where valleys can be seen"""


def height_of(total_nm: F64, phase_rad: F64 | None, body: Mask, options: CreviceOptions) -> F64:
    """Height (Y, X) in nm of the plate: thickness by absorption, and the phase where it shows the same.

    The phase is scaled to the thickness by least squares over the particle's pixels, and both are weighted by the
    inverse of their noise at the finest scale. The phase of a particle whose phase follows its chemistry rather than
    its thickness is left out.
    """
    if phase_rad is None:
        return total_nm
    known = body & np.isfinite(total_nm) & np.isfinite(phase_rad)
    if known.sum() < 10:
        return total_nm
    grown = ndimage.binary_dilation(known, iterations=3) & np.isfinite(total_nm) & np.isfinite(phase_rad)
    x, y = phase_rad[grown], total_nm[grown]
    if x.std() == 0.0 or abs(np.corrcoef(x, y)[0, 1]) < options.least_phase_correlation:
        return total_nm
    slope, offset = np.polyfit(x, y, 1)
    by_phase = slope * phase_rad + offset
    weights = [1.0 / max(fine_noise(image, known), 1e-9) ** 2 for image in (total_nm, by_phase)]
    both = (weights[0] * total_nm + weights[1] * by_phase) / sum(weights)
    return np.where(np.isfinite(by_phase), both, total_nm)


def fine_noise(image: F64, pixels: Mask) -> float:
    """Standard deviation of white noise from differences of pixels with their neighbours, by the median."""
    kernel = np.array([[1.0, -2.0, 1.0], [-2.0, 4.0, -2.0], [1.0, -2.0, 1.0]]) / 6.0
    filled = np.where(np.isfinite(image), image, 0.0)
    values = ndimage.convolve(filled, kernel, mode="nearest")[ndimage.binary_erosion(pixels)]
    return 1.4826 * float(np.median(np.abs(values))) if values.size else 0.0


def crevices(
    total_nm: F64,
    inside: Mask,
    pixel_nm: float,
    sigma_nm: float,
    phase_rad: F64 | None = None,
    options: CreviceOptions | None = None,
) -> Crevices:
    """Find the valleys of a plate: a black top-hat whose closing is a rank filter, thresholded with hysteresis.

    Parameters
    ----------
    total_nm
        (Y, X) thickness, NaN where not known
    inside
        (Y, X) the particle's outline; holes in it belong to it
    sigma_nm
        of the point spread function
    phase_rad
        (Y, X) phase of the transmission, or None

    Source: Soille, Morphological Image Analysis (2003), 4.5 (top-hat); Canny, IEEE Trans. Pattern Anal. Mach. Intell.
    8, 679 (1986) (hysteresis); the rank in place of the closing, which noise lifts, is ours.
    """
    options = options or CreviceOptions()
    sigma_px = sigma_nm / pixel_nm
    # A crack that runs into the outline cuts the label: what is narrower than the disc belongs to the particle.
    whole = closed_outline(inside, max(1, round(0.5 * options.reach_nm / pixel_nm)))
    body = ndimage.distance_transform_edt(whole) > max(1.0, options.rim_sigmas * sigma_px)
    known = body & np.isfinite(total_nm)
    nothing = np.zeros(inside.shape, dtype=bool)
    if known.sum() < LEAST_PIXELS:
        unknown = np.full(inside.shape, np.nan)
        return Crevices(unknown, unknown, float("nan"), nothing, nothing, known)
    height = height_of(total_nm, phase_rad, known, options)
    plate = _plate(height, known, max(2, round(options.reach_nm / pixel_nm)))
    raw = np.where(known, 1.0 - height / plate, np.nan)
    s = options.smoothing_sigmas * sigma_px
    weight = ndimage.gaussian_filter(known.astype(np.float64), s)
    smooth = ndimage.gaussian_filter(np.where(known, raw, 0.0), s) / np.maximum(weight, 1e-9)
    depth = np.where(known, smooth, np.nan)
    noise = _bright_noise(smooth[known])
    low, high = max(options.least_depth, options.noise_low * noise), max(options.sure_depth, options.noise_high * noise)
    found = apply_hysteresis_threshold(np.where(known, smooth, -1.0), low, high)
    line = skeletonize(found)
    valley, line = _long(found, line, max(4.0, options.least_length_sigmas * sigma_px))
    return Crevices(depth, raw, noise, valley, line, known)


def closed_outline(inside: Mask, radius_px: int) -> Mask:
    """The outline with notches and holes narrower than a disc filled."""
    padded = np.pad(inside, radius_px + 1)
    near = ndimage.distance_transform_edt(~padded) <= radius_px
    closed = ndimage.distance_transform_edt(near) > radius_px
    filled = ndimage.binary_fill_holes(closed | padded)
    cut = slice(radius_px + 1, -radius_px - 1)
    return np.asarray(filled[cut, cut])


def _plate(height: F64, known: Mask, radius_px: int) -> F64:
    """The 60th percentile of the height (Y, X) within a disc, of the particle's pixels only."""
    middle = float(np.median(height[known]))
    scaled = np.clip(np.where(known, height, 0.0) / max(middle, 1e-9), 0.0, TALLEST) * (LEVELS / TALLEST)
    ranked = percentile(np.round(scaled).astype(np.uint8), disk(radius_px), mask=known.astype(np.uint8), p0=0.6)
    return np.asarray(np.maximum(ranked.astype(np.float64) * TALLEST / LEVELS, 1e-3) * middle)


def _bright_noise(values: F64) -> float:
    """Standard deviation of noise about 0 from what stands out of the plate: valleys only reach down."""
    bright = values[values < 0.0]
    return 1.4826 * float(np.median(-bright)) if bright.size else 0.0


def _long(found: Mask, line: Mask, least_px: float) -> tuple[Mask, Mask]:
    """Valleys whose middle line is at least so long, and their lines."""
    pieces, count = ndimage.label(found, structure=np.ones((3, 3)))
    if count == 0:
        return found, line
    lengths = ndimage.sum_labels(line, pieces, np.arange(count + 1))
    keep = lengths >= least_px
    keep[0] = False
    return np.asarray(keep[pieces]), line & keep[pieces]


def line_length_px(line: Mask) -> float:
    """Length of middle lines in pixels: 0.948 for each step along an axis, 1.340 for each diagonal one.

    Diagonal steps beside an axial way are corners, not ways.

    Source: Vossepoel, Smeulders, Comput. Graph. Image Process. 20, 347 (1982); weights of Dorst, Smeulders, Comput.
    Vision Graph. Image Process. 40, 311 (1987).
    """
    if not line.any():
        return 0.0
    padded = np.pad(line, 1)
    right, down = padded[:, :-1] & padded[:, 1:], padded[:-1] & padded[1:]
    one, other = padded[:-1, :-1] & padded[1:, 1:], padded[1:, :-1] & padded[:-1, 1:]
    corner_one = padded[:-1, 1:] | padded[1:, :-1]
    corner_other = padded[:-1, :-1] | padded[1:, 1:]
    diagonal = int((one & ~corner_one).sum()) + int((other & ~corner_other).sum())
    return 0.948 * float(int(right.sum()) + int(down.sum())) + 1.340 * float(diagonal)
