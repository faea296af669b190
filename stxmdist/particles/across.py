"""Plates that lie across one another: two plates whose thicknesses add up, where they explain an outline and one does
not."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.special import erf
from skimage.segmentation import expand_labels

from stxmdist.arrays import F64, I32, Mask, Real
from stxmdist.particles.segment import noise_of_pixels, renumbered

AROUND_PX = 2.5
"""So far outside its outline a particle is compared with plates: their rims are half of what tells them."""
EXPONENT, EXPONENT_SD = 2.8, 0.25
"""Of superellipses, between ellipses and rectangles, and how far its logarithm is believed to lie from that."""
LONG_SD = 0.8
"""The same of the logarithm of the aspect: plates are no needles."""
RISING_NM = 100.0
"""The variance of noise is that of the empty field, and that once more for each such thickness: less light is left."""
STEP = 1e-3
"""Change of a parameter by which its effect is found."""
LONGEST_STEP = 1.5
FEW_TRIES, TRIES = 5, 30
"""Steps from each beginning, and from the best of them."""
ENOUGH = 1e-3
"""Where a step improves by less than this share, the plates are found."""
TURNS = 4
"""Straight lines through the centre that first part the outline, each turned on by a half of a right angle."""


@dataclass(frozen=True)
class AcrossOptions:
    """When a particle is believed to be two plates that lie across one another. The limits were set on 819 outlines of
    simulated hard fields: 18 that hold plates across one another are parted, and one other, of plates that touch."""

    least_misfit: float = 0.1
    """A particle that one plate explains to this share of its thickness is one plate"""
    most_left: float = 0.7
    """Of the misfit of one plate, what two may leave: cracks and grains leave more"""
    least_gain: float = 60.0
    """By so much two plates fall below one in chi-square, for noise and uneven plates"""
    unevenness: float = 0.06
    """Of the thickness of a plate, as a share of it"""
    least_alone_px: int = 8
    """Pixels of either plate beside the other one: a plate that hides in the other is not looked for, because blur and
    film look like it"""
    least_kept_px: int = 12
    """Pixels that either plate keeps where those around the other one are left out of its mean; else they stay in"""
    least_shared_px: int = 4
    """Pixels in which both lie: of plates side by side the outline decides (``touching``)"""
    least_area_px: int = 20
    """Pixels of either plate"""
    least_ratio: float = 0.4
    """Thickness of the thinner plate over that of the thicker one"""
    finest_pixel_nm: float = 20.0
    """On finer pixels, which show cracks as grooves, nothing is parted"""


@dataclass(frozen=True, eq=False)
class Across:
    """Particles after those that lie across one another were parted."""

    labels: I32
    """(Y, X), 1, 2, ...; where two plates lie, that of the thicker one"""
    other: I32
    """(Y, X) the other plate where both lie, and where blur mixes them; 0 elsewhere"""
    parted: Mask
    """(Y, X) of all plates that were parted"""


def part_across(
    labels: I32,
    total_nm: Real,
    known: Mask,
    pixel_nm: float,
    psf_sigma_nm: float,
    options: AcrossOptions | None = None,
) -> Across:
    """Part each outline that two plates explain whose thicknesses add up, and one plate does not.

    A plate is a superellipse of one thickness whose rim is blurred. One is fitted to each particle by least squares,
    and where it leaves much, two: from halves of the outline, from its thick part as another plate upon it, and from
    its thick part as what two share. They are believed where they leave much less, and less by more than noise and
    uneven plates can make; where both reach beyond each other; and where they overlap. Pixels of both go to the thicker
    plate.

    Parameters
    ----------
    labels
        (Y, X) int32, 0 between particles
    total_nm
        (Y, X) thickness of both end-members, NaN where not known
    known
        (Y, X) bool
    pixel_nm
        pitch of the (square) pixels

    Source: own; Gauss and Newton's method with Levenberg's damping, Quart. Appl. Math. 2, 164 (1944).
    """
    options = options or AcrossOptions()
    other, parted = np.zeros(labels.shape, dtype=np.int32), np.zeros(labels.shape, dtype=bool)
    if pixel_nm < options.finest_pixel_nm or not (labels > 0).any():
        return Across(labels, other, parted)
    usable = known & np.isfinite(total_nm)
    noise_nm = noise_of_pixels(total_nm, usable)
    sigma_px = float(np.hypot(psf_sigma_nm / pixel_nm, np.sqrt(1.0 / 12.0)))
    reach = np.where(usable, expand_labels(labels, AROUND_PX), 0)
    cut = set(np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])).tolist())
    out, count = labels.copy(), int(labels.max())
    for label, found in enumerate(ndimage.find_objects(labels), start=1):
        if found is None or label in cut:
            continue
        margin = int(np.ceil(AROUND_PX))
        box = tuple(slice(max(0, side.start - margin), side.stop + margin) for side in found)
        here, mine = (labels[box] == label) & usable[box], reach[box] == label
        seen = _Seen.of(here, mine, np.where(usable[box], total_nm[box], 0.0), noise_nm, sigma_px, options)
        pair = None if seen is None else seen.pair(options)
        if pair is None:
            continue
        second, both = pair
        count += 1
        out[box][second] = count
        other[box] = np.where(both, np.where(second, label, count), other[box])
        parted[box] |= here
    if not parted.any():
        return Across(labels, other, parted)
    numbered = renumbered(out)
    lookup = np.zeros(count + 1, dtype=np.int32)
    lookup[out] = numbered
    return Across(numbered, lookup[other], parted)


def plate_image(plate: F64, y: F64, x: F64, sigma_px: float) -> F64:
    """Thickness (PIXEL,) in nm at pixels (PIXEL,) of a superellipse whose rim is blurred by a Gaussian.

    ``plate`` (7,) is its centre y and x in pixels, the logarithms of its semi-axes in pixels, the direction of the
    first from +x towards +y, the logarithm of its exponent over ``EXPONENT``, and that of its thickness in nm.
    """
    long, short = np.exp(np.clip(plate[2:4], -1.0, 5.0))
    n = EXPONENT * float(np.exp(np.clip(plate[5], -0.7, 0.7)))
    dy, dx = y - plate[0], x - plate[1]
    cos, sin = np.cos(plate[4]), np.sin(plate[4])
    u, v = np.abs(dx * cos + dy * sin) / long + 1e-6, np.abs(dy * cos - dx * sin) / short + 1e-6
    by_u, by_v = u ** (n - 1.0), v ** (n - 1.0)
    radius = (u * by_u + v * by_v) ** (1.0 / n)
    # To first order the distance from the outline: exact for a circle.
    steepness = np.hypot(by_u / long, by_v / short) / radius ** (n - 1.0)
    depth = (1.0 - radius) / np.maximum(steepness, 1e-3)
    return np.asarray(np.exp(np.clip(plate[6], 0.0, 8.0)) * 0.5 * (1.0 + erf(depth / (np.sqrt(2.0) * sigma_px))))


@dataclass(frozen=True, eq=False)
class _Fit:
    """Plates (PLATE, 7), what they leave of the thickness (PIXEL,) in nm, and chi-square with what is believed."""

    plates: F64
    left_nm: F64
    chi2: float


@dataclass(frozen=True, eq=False)
class _Seen:
    """One particle cut out of the map, as plates are compared with it."""

    here: Mask
    """(Y, X) its outline"""
    image_nm: F64
    """(Y, X)"""
    rows: F64
    """(PIXEL,) of the pixels that are compared"""
    columns: F64
    total_nm: F64
    weight: F64
    """(PIXEL,) one over the standard deviation"""
    level_nm: float
    noise_nm: float
    sigma_px: float

    @classmethod
    def of(
        cls, here: Mask, mine: Mask, image_nm: F64, noise_nm: float, sigma_px: float, options: AcrossOptions
    ) -> "_Seen | None":
        """None where it is too small to be two plates."""
        if here.sum() < options.least_area_px:
            return None
        rows, columns = np.nonzero(mine)
        total = image_nm[rows, columns].astype(np.float64)
        level = max(float(np.percentile(image_nm[here], 60)), 1.0)
        variance = noise_nm**2 * (1.0 + np.maximum(total, 0.0) / RISING_NM)
        weight = 1.0 / np.sqrt(variance + (options.unevenness * level) ** 2)
        image = np.asarray(image_nm, dtype=np.float64)
        at = rows.astype(np.float64), columns.astype(np.float64)
        return cls(here, image, *at, total, weight, level, noise_nm, sigma_px)

    def pair(self, options: AcrossOptions) -> tuple[Mask, Mask] | None:
        """(Y, X) pixels of the second of two plates, and those in which both lie; None: it is one plate."""
        one = self.fitted(_about(self.here, self.level_nm)[None], FEW_TRIES + TRIES)
        if self.misfit(one) < options.least_misfit or one.chi2 < options.least_gain:
            return None
        tried = [self.fitted(start, FEW_TRIES) for start in self.beginnings(float(one.plates[0, 4]))]
        if not tried:
            return None
        two = self.fitted(min(tried, key=lambda fit: fit.chi2).plates, TRIES)
        left = self.misfit(two) <= options.most_left * self.misfit(one)
        if not left or one.chi2 - two.chi2 < options.least_gain:
            return None
        return self.parts(two.plates, options)

    def parts(self, plates: F64, options: AcrossOptions) -> tuple[Mask, Mask] | None:
        """See ``pair``; None where the plates are not two that reach beyond each other and overlap."""
        images = np.stack([plate_image(plate, self.rows, self.columns, self.sigma_px) for plate in plates])
        thickness = np.exp(plates[:, 6])
        on = images > 0.5 * thickness[:, None]
        both, inside = np.asarray(on.all(axis=0)), self.here[self.rows.astype(int), self.columns.astype(int)]
        alone = [(one & ~both & inside).sum() for one in on]
        enough = min(alone) >= options.least_alone_px and on.sum(axis=1).min() >= options.least_area_px
        if not enough or (both & inside).sum() < options.least_shared_px:
            return None
        if thickness.min() < options.least_ratio * thickness.max():
            return None
        thicker = bool(thickness[1] > thickness[0])
        second = self._drawn(np.asarray(np.where(both, thicker, images[1] > images[0]))) & self.here
        second = _without_scraps(second, self.here, options.least_alone_px)
        sides, core = (second, self.here & ~second), self._drawn(both) & self.here
        if min(side.sum() for side in sides) < options.least_alone_px:
            return None
        # Blur mixes what lies around as well, but each plate must keep pixels of its own.
        wide = ndimage.binary_dilation(core) & self.here
        return second, wide if min((side & ~wide).sum() for side in sides) >= options.least_kept_px else core

    def _drawn(self, values: Mask) -> Mask:
        out = np.zeros(self.here.shape, dtype=bool)
        out[self.rows.astype(int), self.columns.astype(int)] = values
        return out

    def misfit(self, fit: _Fit) -> float:
        """Rms of what plates leave, noise taken off, over the thickness."""
        excess = float(np.mean(fit.left_nm**2)) - self.noise_nm**2
        return float(np.sqrt(max(0.0, excess))) / self.level_nm

    def fitted(self, start: F64, tries: int) -> _Fit:
        """The plates (PLATE, 7) that leave least, from a beginning on."""
        plates, damping = start.astype(np.float64), 1e-2
        left, chi2 = self._left(plates)
        for _ in range(tries):
            jacobian = self._jacobian(plates)
            normal, slope, before = jacobian.T @ jacobian, jacobian.T @ left, chi2
            for _ in range(5):
                damped = normal + damping * np.diag(np.diag(normal) + 1e-6)
                step = np.clip(np.linalg.solve(damped, -slope), -LONGEST_STEP, LONGEST_STEP).reshape(plates.shape)
                then, chi2 = self._left(plates + step)
                if chi2 < before:
                    break
                damping *= 6.0
            else:
                chi2 = before
                break
            plates, left, damping = plates + step, then, max(damping / 6.0, 1e-5)
            if before - chi2 < ENOUGH * before:
                break
        return _Fit(plates, left[: self.weight.size] / self.weight, chi2)

    def _left(self, plates: F64) -> tuple[F64, float]:
        """What plates leave (PIXEL + 2 PLATE,) in standard deviations, shapes that are unlikely after pixels."""
        total = sum(plate_image(plate, self.rows, self.columns, self.sigma_px) for plate in plates)
        shapes = [plates[:, 5] / EXPONENT_SD, (plates[:, 2] - plates[:, 3]) / LONG_SD]
        left = np.concatenate([(total - self.total_nm) * self.weight, *shapes])
        return left, float(left @ left)

    def _jacobian(self, plates: F64) -> F64:
        n, pixels = len(plates), self.weight.size
        out = np.zeros((pixels + 2 * n, 7 * n))
        for k, plate in enumerate(plates):
            now = plate_image(plate, self.rows, self.columns, self.sigma_px)
            for j in range(7):
                moved = plate.copy()
                moved[j] += STEP
                then = plate_image(moved, self.rows, self.columns, self.sigma_px)
                out[:pixels, 7 * k + j] = (then - now) / STEP * self.weight
            out[pixels + k, 7 * k + 5] = 1.0 / EXPONENT_SD
            out[pixels + n + k, 7 * k + 2], out[pixels + n + k, 7 * k + 3] = 1.0 / LONG_SD, -1.0 / LONG_SD
        return out

    def beginnings(self, angle_rad: float) -> Iterator[F64]:
        """Pairs of plates (2, 7) that the particle may be, roughly."""
        here, image = self.here, self.image_nm
        y, x = np.nonzero(here)
        for turn in range(TURNS):
            way = angle_rad + turn * np.pi / TURNS
            half = np.zeros(here.shape, dtype=bool)
            half[y, x] = (x - x.mean()) * np.cos(way) + (y - y.mean()) * np.sin(way) >= 0.0
            sides = half, here & ~half
            if min(side.sum() for side in sides) >= 6:
                wider = (here & ndimage.binary_dilation(side) for side in sides)
                # Less thick than it looks, as the other one reaches over the line.
                levels = (0.85 * float(np.median(image[side])) for side in sides)
                yield np.stack([_about(side, level) for side, level in zip(wider, levels, strict=True)])
        smooth = np.asarray(ndimage.gaussian_filter(image, 0.7), dtype=np.float64)
        inner = here & (ndimage.distance_transform_edt(np.pad(here, 1))[1:-1, 1:-1] > 1.5)
        low, limit, high = _two_levels(smooth[inner if inner.sum() > 8 else here])
        patch = _largest(inner & (smooth > limit))
        if patch.sum() < 6:
            return
        around = here & ~ndimage.binary_dilation(patch)
        yield np.stack([_about(here, low), _about(ndimage.binary_dilation(patch), max(high - low, 0.2 * low))])
        pieces, count = ndimage.label(around)
        if count >= 2:
            sizes = np.bincount(pieces.ravel())[1:]
            largest = np.argsort(sizes)[::-1][:2]
            if sizes[largest].min() >= 4:
                ends = [pieces == 1 + one for one in largest]
                yield np.stack([_about(end | patch, float(np.median(image[end]))) for end in ends])
        if around.sum() >= 6:
            rest = _about(around, float(np.median(image[around])))
            yield np.stack([_about(ndimage.binary_dilation(patch) & here, high), rest])


def _about(pixels: Mask, thickness_nm: float) -> F64:
    """The plate (7,) with the moments of some pixels (Y, X)."""
    y, x = np.nonzero(pixels)
    spread, axes = np.linalg.eigh(np.cov(np.stack([x, y])) + 1e-3 * np.eye(2))
    # The semi-axes of an ellipse are twice its standard deviations, those of a rectangle 1.7 times.
    short, long = np.log(np.maximum(1.86 * np.sqrt(spread), 1.0))
    angle = np.arctan2(axes[1, 1], axes[0, 1])
    return np.array([y.mean(), x.mean(), long, short, angle, 0.0, np.log(max(thickness_nm, 5.0))])


def _two_levels(values_nm: F64) -> tuple[float, float, float]:
    """Mean of the lower, limit and mean of the upper of two classes of thicknesses (PIXEL,) (Otsu)."""
    values = np.sort(values_nm)
    below, running = np.arange(1, values.size), np.cumsum(values)
    low, high = running[:-1] / below, (running[-1] - running[:-1]) / (values.size - below)
    best = int(np.argmax(below * (values.size - below) * (high - low) ** 2))
    return float(low[best]), float(values[best]), float(high[best])


def _largest(pixels: Mask) -> Mask:
    pieces, count = ndimage.label(pixels)
    return pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:])) if count else pixels


def _without_scraps(second: Mask, here: Mask, least_px: int) -> Mask:
    """The second part (Y, X) of a particle; small pieces of either part change sides."""
    for of_second in (True, False):
        part = second if of_second else here & ~second
        pieces, _ = ndimage.label(part)
        second = second ^ (part & (np.bincount(pieces.ravel()) < least_px)[pieces])
    return second
