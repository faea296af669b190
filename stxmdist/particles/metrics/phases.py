"""The phases that a particle shows: boundaries between them, domains, and what is mixed beyond blur."""

from collections.abc import Mapping

import numpy as np
from scipy import ndimage

from stxmdist.arrays import F64, Mask
from stxmdist.particles.metrics.views import ParticleViews

QUIET = 0.08
"""Noise of a pixel's state of charge down to which maps are smoothed before phases are told apart."""
MOST_SMOOTHED_PX = 2.0
CHARGED_ABOVE, DISCHARGED_BELOW = 0.7, 0.3
LEAST_DOMAIN_PX = 6
"""Smaller patches are noise."""
LEAST_PIXELS = 12
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
    thick = float(np.max(sharp.mass_nm, initial=0.0))
    inside = views.inside & sharp.seen & (sharp.mass_nm > 0.5 * thick)
    if inside.sum() < LEAST_PIXELS:
        return None
    soc = sharp.level + sharp.sharp_soc
    noise = float(soc[1:, inside].std(axis=0, ddof=1).mean())
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
    along rows, columns and both diagonals. ``mixed_excess = f_mix - L_b w / A``: a sharp boundary looks mixed over its
    length times the blur's width. Domains are patches of pixels above .7 or below .3 that touch by their sides; those
    of fewer pixels than ``LEAST_DOMAIN_PX`` or the blur's area are not counted.

    Source: density Yu et al., Nano Lett. 15, 4282 (2015); domains after Yu et al., Nat. Commun. 9, 921 (2018); mixed
    excess heterogeneity.md 3.
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
    length_px = crossing_length_px(soc > 0.5, inside)
    area, pixel_um = float(inside.sum()), 1e-3 * views.pixel_nm
    mixed = ((soc >= DISCHARGED_BELOW) & (soc <= CHARGED_ABOVE))[:, inside].mean(axis=1)
    width = MIXED_WIDTH_SIGMAS * float(np.hypot(blur_px, 0.3))
    least = max(LEAST_DOMAIN_PX, np.pi * blur_px**2)
    charged, largest_charged = _patches((soc > CHARGED_ABOVE) & inside, least)
    discharged, largest_discharged = _patches((soc < DISCHARGED_BELOW) & inside, least)
    largest = np.maximum(largest_charged, largest_discharged) * pixel_um**2
    density, excess = length_px / area / pixel_um, mixed - length_px * width / area
    return dict(zip(names, (density, excess, charged, discharged, largest), strict=True))


def crossing_length_px(high: Mask, inside: Mask) -> F64:
    """Length (VIEW,) in px of the line between high and low pixels (VIEW, Y, X) inside (Y, X).

    Crossings along four directions, each with the distance of its lines: pi/8 (n_0 + n_90 + (n_45 + n_135) / sqrt 2).
    """
    total = np.zeros(high.shape[0])
    for ahead, behind, weight in (
        (np.s_[1:, :], np.s_[:-1, :], 1.0),
        (np.s_[:, 1:], np.s_[:, :-1], 1.0),
        (np.s_[1:, 1:], np.s_[:-1, :-1], np.sqrt(0.5)),
        (np.s_[1:, :-1], np.s_[:-1, 1:], np.sqrt(0.5)),
    ):
        both = inside[ahead] & inside[behind]
        changed = high[:, *ahead] != high[:, *behind]
        total += weight * (changed & both).sum(axis=(1, 2))
    return np.asarray(np.pi / 8.0 * total)


def _patches(phase: Mask, least_px: float) -> tuple[F64, F64]:
    """(VIEW,) number of patches of at least so many pixels, and pixels of the largest, 0 where there is none."""
    within = np.zeros((3, 3, 3), dtype=bool)
    within[1] = ndimage.generate_binary_structure(2, 1)
    labels, n = ndimage.label(phase, within)
    if n == 0:
        return np.zeros(phase.shape[0]), np.zeros(phase.shape[0])
    sizes = np.bincount(labels.ravel(), minlength=n + 1)
    view = ndimage.maximum(
        np.broadcast_to(np.arange(phase.shape[0])[:, None, None], phase.shape), labels, range(1, n + 1)
    )
    view = np.asarray(view).astype(np.int64)
    kept = sizes[1:] >= least_px
    count = np.bincount(view[kept], minlength=phase.shape[0]).astype(np.float64)
    largest = np.zeros(phase.shape[0])
    np.maximum.at(largest, view[kept], sizes[1:][kept].astype(np.float64))
    return count, largest
