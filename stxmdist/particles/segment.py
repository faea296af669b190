"""Particles as labelled regions of a thickness map: threshold, cuts between touching plates, half-height outline."""

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.segmentation import watershed

from stxmdist.arrays import F64, I32, Mask, Real
from stxmdist.errors import InputError
from stxmdist.particles.touching import CutOptions, part_touching

CUT_PIXEL_NM = 30.0
"""Touching plates are parted on pixels of about this pitch, so that notches have the same size on fine maps."""

NOISE_SIGMAS = 4.0
"""A particle stands this many standard deviations of the empty field above it (one false pixel in 30,000)."""

LEAST_CONTRAST = 5.0
"""In these, of what stands out of a field with particles: the median of noise beyond ``NOISE_SIGMAS`` is 4.2"""

GROWN_SIGMAS = 2.5
"""What is connected to a particle is searched for more of it as far as it stands out by so many."""

FIELD_UM, FIELD_PASSES, FIELD_SIGMAS = 0.6, 4, 3.0
"""The level of the empty field is taken over so many micrometres (sigma): films vary over more, and between particles
there is room. What stands so far out of it is taken for no part of it the next time."""
UNEVEN = 2.0
"""A field is uneven where its level, taken off, leaves so many times less scatter. Noise alone leaves it as it is."""

SMOOTHING_STEP = 2.0**0.25
"""Each smoothing that is tried is wider than the last one by this factor."""


@dataclass(frozen=True)
class SegmentOptions:
    """How particles are separated from the empty field and from each other."""

    smoothing_px: float = 0.7
    """Least Gaussian sigma of the smoothing before the threshold, pixels."""
    most_smoothing_px: float = 2.0
    """In few photons it grows up to this, until plates stand out: wider, narrow plates would fade with the noise."""
    wanted_contrast: float = 12.0
    """It grows no further once plates stand so many standard deviations of the noise of pixels above the empty field:
    thinner ones in the same field are not cut into pieces by noise then."""
    minimum_thickness_nm: float = 20.0
    """No particle is thinner than this: its edge jump would be too small to give a state of charge."""
    minimum_diameter_um: float = 0.15
    """Regions of a smaller equivalent diameter are dropped: they are noise, or smaller than the resolution."""
    outline_fraction: float = 0.5
    """The outline lies where thickness falls to this fraction of the particle's plateau; a half is unbiased for any
    symmetric point spread function at a straight edge."""
    cut: CutOptions = field(default_factory=CutOptions)
    """When plates that touch are parted."""


def segment(thickness_nm: Real, known: Mask, pixel_nm: float, options: SegmentOptions | None = None) -> I32:
    """Label the particles of a thickness map; 0 is the empty field and what is not known.

    Otsu's threshold is taken twice, the second time on thickness clipped at the median plateau of the first, because
    it sits too high where thickness varies from particle to particle. The map is smoothed no more than its noise
    demands. Plates that touch are parted at the notches of their common outline, and each is then trimmed to half of
    its own plateau.

    Parameters
    ----------
    thickness_nm
        (Y, X) floating, nm; NaN where not known
    known
        (Y, X) bool, False where thickness was not measured or may not be trusted
    pixel_nm
        pitch of the (square) pixels, nm

    Returns
    -------
    labels
        (Y, X) int32, numbered 1, 2, ... by the position of the centroid (rows first)

    Raises
    ------
    InputError
        where shapes differ or the pixel pitch is not positive.

    Source: Otsu, IEEE Trans. Syst. Man Cybern. 9, 62 (1979); Soille, Morphological Image Analysis (2003), 6.3 and 9.2.
    """
    options = options or SegmentOptions()
    _check(thickness_nm, known, pixel_nm)
    usable = known & np.isfinite(thickness_nm)
    labels = np.zeros(thickness_nm.shape, dtype=np.int32)
    if not usable.any():
        return labels
    thickness_nm = levelled(thickness_nm, usable, pixel_nm, options.smoothing_px)
    smooth, contrast = _standing_out(thickness_nm, usable, options)
    if contrast is None or not contrast.is_of_plates(options.minimum_thickness_nm):
        return labels
    minimum_px = np.pi / 4.0 * (options.minimum_diameter_um * 1e3 / pixel_nm) ** 2
    found = usable & (smooth > contrast.threshold(options.minimum_thickness_nm))
    basins = _parted(_without_small(found, minimum_px), smooth, minimum_px, pixel_nm, options.cut)
    around = usable & (smooth > contrast.level(GROWN_SIGMAS, options.minimum_thickness_nm))
    grown = np.asarray(watershed(-smooth, basins, mask=around | (basins > 0)), dtype=np.int32)
    outlined = _outline(grown, smooth, options.outline_fraction)
    return renumbered(_without_small_labels(outlined, minimum_px))


def smoothed(values: Real, usable: Mask, sigma_px: float) -> F64:
    """Gaussian smoothing of (Y, X) that ignores what is not usable (normalised convolution); 0 there."""
    if sigma_px <= 0:
        return np.where(usable, values, 0.0).astype(np.float64)
    return np.where(usable, _mean_around(values, usable, sigma_px), 0.0)


def _mean_around(values: Real, usable: Mask, sigma_px: float) -> F64:
    """(Y, X) Gaussian mean of what is usable around each pixel, whether it is itself or not."""
    weight = ndimage.gaussian_filter(usable.astype(np.float64), sigma_px, mode="nearest")
    total = ndimage.gaussian_filter(np.where(usable, values, 0.0).astype(np.float64), sigma_px, mode="nearest")
    return np.asarray(total / np.maximum(weight, 1e-9), dtype=np.float64)


def levelled(thickness_nm: Real, usable: Mask, pixel_nm: float, smoothing_px: float = 0.7) -> Real:
    """The map (Y, X) without the level of its empty field, where that is not the same everywhere; else as it was.

    A film of which the fit knows nothing lifts some of the field above thin plates elsewhere, and one threshold finds
    no plates there. The level is the mean of what is empty around each pixel; what stands out of it by more than its
    scatter is left out, time after time.
    """
    smooth = smoothed(thickness_nm, usable, smoothing_px)
    contrast = contrast_of(smooth[usable])
    if contrast is None or not contrast.noise > 0.0:
        return thickness_nm
    empty = usable & (smooth <= contrast.split)
    level = np.zeros(smooth.shape)
    for _ in range(FIELD_PASSES):
        if not empty.any():
            return thickness_nm
        level = _mean_around(smooth, empty, FIELD_UM * 1e3 / pixel_nm)
        above = smooth - level
        centre = float(np.median(above[empty]))
        noise = 1.4826 * float(np.median(np.abs(above[empty] - centre)))
        empty = usable & (np.abs(above - centre) <= FIELD_SIGMAS * noise)
    after = contrast_of((smooth - level)[usable])
    if after is None or after.noise * UNEVEN > contrast.noise:
        return thickness_nm
    return np.asarray(thickness_nm - level)


@dataclass(frozen=True)
class Contrast:
    """How far the plates of a field stand out from what is empty, in the unit of the map."""

    empty: float
    """Level of the empty field"""
    noise: float
    """Standard deviation of the empty field"""
    split: float
    """Where Otsu's threshold lies"""
    plateau: float
    """Median of what stands out"""

    @property
    def height(self) -> float:
        """Of the plateau above the empty field."""
        return self.plateau - self.empty

    @property
    def in_noise(self) -> float:
        """The height in standard deviations of the empty field."""
        return self.height / self.noise if self.noise > 0.0 else np.inf

    def is_of_plates(self, minimum: float) -> bool:
        """Whether there is anything to separate: Otsu cuts a field without particles somewhere inside its noise."""
        return self.height >= minimum and self.in_noise >= LEAST_CONTRAST

    def threshold(self, minimum: float) -> float:
        """The level above which particles are found."""
        # Half of Otsu's height above the empty field lets plates much thinner than the median in;
        # each outline is set by its own plateau later, so this does not swell the others.
        return max(self.empty + 0.6 * (self.split - self.empty), self.level(NOISE_SIGMAS, minimum))

    def level(self, sigmas: float, minimum: float) -> float:
        """So many standard deviations above the empty field, and not below half the minimum."""
        return max(self.empty + sigmas * self.noise, 0.5 * minimum)


def contrast_of(thickness: Real) -> Contrast | None:
    """The contrast of a field from all of its finite values (PIXEL,); None where they are all alike.

    Where few pixels are plates, Otsu's threshold may lie within the noise: the plateau is that of the pixels which
    stand out from the noise as well.
    """
    low, high = np.percentile(thickness, [0.1, 99.9])
    if not high > low:
        return None
    clipped = np.clip(thickness, low, high)
    first = float(threshold_otsu(clipped))
    above = clipped > first
    if not above.any() or above.all():
        return None
    plateau = float(np.median(clipped[above]))
    split = float(threshold_otsu(np.minimum(clipped, plateau)))
    empty = clipped[clipped <= split]
    centre = float(np.median(empty))
    # The lower half only: the upper half of the empty field holds the blurred feet of the particles.
    below = empty[empty <= centre]
    noise = 1.4826 * float(np.median(centre - below))
    standing = clipped[clipped > max(first, centre + NOISE_SIGMAS * noise)]
    return Contrast(centre, noise, split, float(np.median(standing)) if standing.size else plateau)


def _standing_out(thickness_nm: Real, usable: Mask, options: SegmentOptions) -> tuple[F64, Contrast | None]:
    """The map smoothed as little as lets its plates stand out as wanted, or else as lets them stand out most."""
    sigma_px, pixel_noise = options.smoothing_px, noise_of_pixels(thickness_nm, usable)
    smooth = best = smoothed(thickness_nm, usable, sigma_px)
    best_contrast: Contrast | None = None
    while True:
        contrast = contrast_of(smooth[usable])
        if contrast is None or sigma_px <= 0.0:
            return smooth, contrast
        # A film adds to the scatter of the empty field too, but no smoothing takes that away.
        wanted = options.wanted_contrast * pixel_noise / (2.0 * np.sqrt(np.pi) * sigma_px)
        if contrast.is_of_plates(options.minimum_thickness_nm) and contrast.height >= wanted:
            return smooth, contrast
        if best_contrast is None or contrast.in_noise > best_contrast.in_noise:
            best, best_contrast = smooth, contrast
        sigma_px *= SMOOTHING_STEP
        if sigma_px > options.most_smoothing_px:
            return best, best_contrast
        smooth = smoothed(thickness_nm, usable, sigma_px)


def noise_of_pixels(values: Real, usable: Mask) -> float:
    """Standard deviation of the noise of a map (Y, X) that is not correlated, from differences of neighbours; where
    pixels are correlated it is less.
    """
    steps = [np.diff(np.where(usable, values, np.nan), axis=axis).ravel() for axis in (0, 1)]
    known = np.concatenate(steps)
    known = known[np.isfinite(known)]
    return 1.4826 * float(np.median(np.abs(known))) / np.sqrt(2.0) if known.size else 0.0


def _outline(basins: I32, smooth: F64, fraction: float) -> I32:
    """Trim each basin to what stands above a fraction of its plateau: the largest connected piece, holes filled."""
    out = np.zeros_like(basins)
    for label, box in enumerate(ndimage.find_objects(basins), start=1):
        if box is None:
            continue
        inside = basins[box] == label
        values = smooth[box][inside]
        # The 80th percentile is on the plateau even of a plate with as many rim as inner pixels.
        plateau = float(np.percentile(values, 80))
        pieces, count = ndimage.label(inside & (smooth[box] >= fraction * plateau))
        if count == 0:
            continue
        sizes = np.bincount(pieces.ravel())[1:]
        body = ndimage.binary_fill_holes(pieces == 1 + int(np.argmax(sizes))) & inside
        out[box][body] = label
    return out


def _parted(foreground: Mask, smooth: F64, minimum_px: float, pixel_nm: float, cut: CutOptions) -> I32:
    """Each connected region of (Y, X) foreground cut into the plates that touch in it."""
    regions, _ = ndimage.label(foreground)
    out = np.zeros(foreground.shape, dtype=np.int32)
    block = max(1, round(CUT_PIXEL_NM / pixel_nm))
    count = 0
    for label, box in enumerate(ndimage.find_objects(regions), start=1):
        inside = regions[box] == label
        if block == 1:
            parts = part_touching(np.pad(inside, 1), np.pad(smooth[box], 1), minimum_px, cut)[1:-1, 1:-1]
        else:
            parts = _parted_in_blocks(inside, smooth[box], minimum_px, block, cut)
        out[box] = np.where(parts > 0, parts + count, out[box])
        count += int(parts.max())
    return out


def _parted_in_blocks(inside: Mask, smooth: F64, minimum_px: float, block: int, cut: CutOptions) -> I32:
    """A region of small pixels cut on blocks of them; the cuts then follow the grooves between the blocks."""
    rows, columns = (-(-n // block) * block for n in inside.shape)
    filled = np.pad(inside, ((0, rows - inside.shape[0]), (0, columns - inside.shape[1])))
    thick = np.pad(smooth, ((0, rows - inside.shape[0]), (0, columns - inside.shape[1])))
    share = _block_means(filled.astype(np.float64), block)
    mean = _block_means(np.where(filled, thick, 0.0), block) / np.maximum(share, 1e-9)
    coarse, _ = ndimage.label(share >= 0.5)
    parts = np.zeros(share.shape, dtype=np.int32)
    for label in range(1, int(coarse.max()) + 1):
        here = part_touching(np.pad(coarse == label, 1), np.pad(mean, 1), minimum_px / block**2, cut)[1:-1, 1:-1]
        parts = np.where(here > 0, here + parts.max(), parts)
    blocks = np.kron(parts, np.ones((block, block), dtype=np.int32))[: inside.shape[0], : inside.shape[1]]
    if parts.max() < 2:
        return inside.astype(np.int32)
    wide = 2 * block + 1
    uneven = ndimage.maximum_filter(blocks, wide) != ndimage.minimum_filter(
        np.where(blocks > 0, blocks, np.iinfo(np.int32).max), wide
    )
    markers = np.where(uneven | ~inside, 0, blocks)
    return np.asarray(watershed(-smooth, markers, mask=inside), dtype=np.int32)


def _block_means(values: F64, block: int) -> F64:
    rows, columns = values.shape
    return np.asarray(values.reshape(rows // block, block, columns // block, block).mean(axis=(1, 3)))


def _without_small(foreground: Mask, minimum_px: float) -> Mask:
    pieces, _ = ndimage.label(foreground)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.asarray(sizes[pieces] >= max(1.0, minimum_px))


def _without_small_labels(labels: I32, minimum_px: float) -> I32:
    sizes = np.bincount(labels.ravel())
    return np.where(sizes[labels] >= max(1.0, minimum_px), labels, 0).astype(np.int32)


def renumbered(labels: I32) -> I32:
    """Number by position alone, so that equal maps get equal numbers whatever order they were cut in."""
    present = np.unique(labels[labels > 0])
    if present.size == 0:
        return np.zeros_like(labels)
    centres = np.asarray(ndimage.center_of_mass(np.ones_like(labels), labels, present)).round(6)
    order = np.lexsort((present, centres[:, 1], centres[:, 0]))
    lookup = np.zeros(int(labels.max()) + 1, dtype=np.int32)
    lookup[present[order]] = np.arange(1, present.size + 1, dtype=np.int32)
    return np.asarray(lookup[labels])


def without_gaps(labels: I32) -> I32:
    """Labels (Y, X) numbered 1, 2, ... again, in the same order; what is below 1 stays."""
    present = np.unique(labels[labels > 0])
    return np.where(labels > 0, np.searchsorted(present, labels) + 1, labels).astype(np.int32)


def _check(thickness_nm: Real, known: Mask, pixel_nm: float) -> None:
    if thickness_nm.ndim != 2 or thickness_nm.shape != known.shape:
        raise InputError(
            where="particles.segment",
            problem="the thickness map and the map of known pixels do not match",
            got=f"shapes {thickness_nm.shape} and {known.shape}",
            wanted="two maps (Y, X) of one shape",
            mend="Pass both from the same fit",
        )
    if not pixel_nm > 0:
        raise InputError(
            where="particles.segment",
            problem="the pixel pitch is not a length",
            got=pixel_nm,
            wanted="nm above 0",
            mend="Take it from the map's x_um coordinates",
        )
