"""The phases that a particle shows: boundaries between them, domains, and what is mixed beyond blur."""

from collections.abc import Mapping

import numpy as np
from scipy import ndimage

from stxmdist.arrays import F64, Mask, compiled
from stxmdist.particles.metrics.views import ParticleViews, at_pixels

QUIET = 0.08
"""Noise of a pixel's state of charge down to which maps are smoothed before phases are told apart."""
MOST_SMOOTHED_PX = 2.0
CHARGED_ABOVE, DISCHARGED_BELOW = 0.7, 0.3
LEAST_DOMAIN_PX = 6
"""Smaller patches are noise."""
LEAST_PIXELS = 12
CALM_SHARE = 0.05
"""Gaussian that a map is smoothed with to see where noise may cross a level, over the root of the particle's area: what
is inside particles is wider"""
MIXED_WIDTH_SIGMAS = 1.05
"""A step blurred by a Gaussian lies between 0.3 and 0.7 over this many sigmas (2 * 0.524)."""


def phase_map(views: ParticleViews) -> tuple[F64, Mask, float] | None:
    """State of charge (VIEW, Y, X) quiet enough to tell phases apart, where it is one (Y, X), and its blur in px.

    The maps are sharpened, and smoothed by as much as their noise (that of the twins) asks for. None of a particle
    without twins or with few pixels.
    """
    sharp = views.sharp
    if sharp is None or views.soc.shape[0] < 3:
        return None
    inside = views.inside & sharp.seen & (sharp.mass_nm > 0.5 * sharp.thick_nm)
    if inside.sum() < LEAST_PIXELS:
        return None
    soc = sharp.level + sharp.sharp_soc
    noise = float(at_pixels(soc[1:], inside).std(axis=0, ddof=1).mean())
    sigma = min(noise / QUIET / (2.0 * np.sqrt(np.pi)), MOST_SMOOTHED_PX) if noise > QUIET else 0.0
    if sigma > 0.0:
        filled = ndimage.gaussian_filter(np.where(inside, soc, 0.0), (0.0, sigma, sigma), mode="constant")
        share = ndimage.gaussian_filter(inside.astype(np.float64), sigma, mode="constant")
        soc = filled / np.maximum(share, 1e-9)
    # Two iterations leave (1 - h)^3 of each wave: of the blur about a third.
    return soc, inside, float(np.hypot(sigma, views.sigma_px / 3.0))


def phases(views: ParticleViews) -> Mapping[str, F64]:
    """Boundaries, domains, and the mixed excess: what is mixed and blur does not explain.

    ``boundary_density_per_um``: length of the line soc = 0.5 over the area, after Cauchy and Crofton, from crossings
    along rows, columns and both diagonals. What noise may have added to it where soc is near 0.5 is part of its
    standard error, and is not taken off: where charge slopes gently, that would take the boundary with it.
    ``mixed_excess = f_mix - L_b w / A``: a sharp boundary looks mixed over its length times the blur's width. Domains
    are patches of pixels above .7 or below .3 that touch by their sides; those of fewer pixels than
    ``LEAST_DOMAIN_PX`` or the blur's area are not counted.

    Source: density Yu et al., Nano Lett. 15, 4282 (2015); domains after Yu et al., Nat. Commun. 9, 921 (2018); mixed
    excess own.
    """
    names = (
        "boundary_density_per_um",
        "mixed_excess",
        "n_domains_charged",
        "n_domains_discharged",
        "largest_domain_um2",
    )
    found = phase_map(views)
    if found is None:
        return {name: np.full(views.soc.shape[0], np.nan) for name in names}
    soc, inside, blur_px = found
    soc = np.ascontiguousarray(soc)
    length_px = crossing_length_px(soc > 0.5, inside)
    by_noise_px = np.minimum(length_by_noise_px(soc, inside), length_px)
    area, pixel_um = float(inside.sum()), 1e-3 * views.pixel_nm
    width = MIXED_WIDTH_SIGMAS * float(np.hypot(blur_px, 0.3))
    least = max(LEAST_DOMAIN_PX, np.pi * blur_px**2)
    charged, largest_charged = _patches((soc > CHARGED_ABOVE) & inside, least)
    discharged, largest_discharged = _patches((soc < DISCHARGED_BELOW) & inside, least)
    largest = np.maximum(largest_charged, largest_discharged) * pixel_um**2
    pixels = at_pixels(soc, inside)
    mixed = ((pixels >= DISCHARGED_BELOW) & (pixels <= CHARGED_ABOVE)).mean(axis=1)
    density, excess = length_px / area / pixel_um, mixed - length_px * width / area
    doubted = np.hypot(by_noise_px, length_px[1:].std(ddof=1))
    error = {"boundary_density_per_um_se": doubted / area / pixel_um}
    return dict(zip(names, (density, excess, charged, discharged, largest), strict=True)) | error


def length_by_noise_px(soc: F64, inside: Mask) -> F64:
    """Length (VIEW,) in px that noise is expected to add to the line soc = 0.5 of maps (VIEW, Y, X) inside (Y, X).

    A map s with the gradient g and Gaussian noise of standard deviation v, whose gradient has m along each axis,
    crosses a level over the length ``p(s) E|g + noise|`` for each area, where ``E|g + noise| ~ sqrt(g^2 + pi m^2/2)``;
    without noise the last factor is g. The first view is a particle, smoothed to have s; the others are homogeneous
    twins, whose lines at their own means show m: they are ``m / 2v`` long for each area.

    Source: Rice, Bell Syst. Tech. J. 24, 46 (1945); Longuet-Higgins, Phil. Trans. R. Soc. A 249, 321 (1957).
    """
    twins = soc[1:] - soc[1:].mean(axis=0)
    v = np.where(inside, twins.std(axis=0, ddof=1), 1.0)
    if not (v > 0.0).all():
        return np.zeros(len(soc))
    area = float(inside.sum())
    m = 2.0 * v * float(crossing_length_px(np.ascontiguousarray(twins) > 0.0, inside).mean()) / area
    wide = CALM_SHARE * np.sqrt(area)
    share = np.maximum(ndimage.gaussian_filter(inside.astype(np.float64), wide), 1e-9)
    calm = ndimage.gaussian_filter(np.where(inside, soc, 0.0), (0.0, wide, wide)) / share
    framed = np.where(inside, calm, np.nan)
    # A line scan has no second direction.
    slopes = [np.gradient(framed, axis=axis) for axis in (1, 2) if framed.shape[axis] > 1]
    steep = np.nan_to_num(np.linalg.norm(slopes, axis=0))
    often = np.exp(-0.5 * ((calm - 0.5) / v) ** 2) / (np.sqrt(2.0 * np.pi) * v)
    added = often * (np.hypot(steep, np.sqrt(0.5 * np.pi) * m) - steep)
    return np.asarray(at_pixels(added, inside).sum(axis=1))


@compiled
def crossing_length_px(high: Mask, inside: Mask) -> F64:
    """Length (VIEW,) in px of the line between high and low pixels (VIEW, Y, X) inside (Y, X).

    Crossings along four directions, each with the distance of its lines: pi/8 (n_0 + n_90 + (n_45 + n_135) / sqrt 2).
    """
    views, rows, columns = high.shape
    out = np.empty(views)
    for k in range(views):
        straight, slanted = 0, 0
        for y in range(rows):
            for x in range(columns):
                if not inside[y, x]:
                    continue
                here = high[k, y, x]
                if x + 1 < columns and inside[y, x + 1]:
                    straight += here != high[k, y, x + 1]
                if y + 1 < rows and inside[y + 1, x]:
                    straight += here != high[k, y + 1, x]
                if y + 1 < rows and x + 1 < columns and inside[y + 1, x + 1]:
                    slanted += here != high[k, y + 1, x + 1]
                if y + 1 < rows and x > 0 and inside[y + 1, x - 1]:
                    slanted += here != high[k, y + 1, x - 1]
        out[k] = np.pi / 8.0 * (straight + np.sqrt(0.5) * slanted)
    return out


@compiled
def _patches(phase: Mask, least_px: float) -> tuple[F64, F64]:
    """(VIEW,) number of patches of at least so many pixels, and pixels of the largest, 0 where there is none.

    Pixels (VIEW, Y, X) of a patch touch by their sides.
    """
    views, rows, columns = phase.shape
    number, largest = np.zeros(views), np.zeros(views)
    waiting = np.empty(rows * columns, dtype=np.int64)
    for k in range(views):
        left = phase[k].copy()
        for start in range(rows * columns):
            if not left[start // columns, start % columns]:
                continue
            size, known, waiting[0] = 0, 1, start
            left[start // columns, start % columns] = False
            while size < known:
                y, x = waiting[size] // columns, waiting[size] % columns
                size += 1
                for at, beside in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                    if 0 <= at < rows and 0 <= beside < columns and left[at, beside]:
                        left[at, beside] = False
                        waiting[known] = at * columns + beside
                        known += 1
            if size >= least_px:
                number[k] += 1.0
                largest[k] = max(largest[k], float(size))
    return number, largest
