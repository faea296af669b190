"""What lies inside a particle, from its formula on a fine grid: grains, cracks, third phase, domains and gradients.

None of it is computed with the product's own metrics, so that agreement with them is a finding.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage import measure

from stxmdist.arrays import F64, Mask
from stxmdist.simulation.design import Interior
from stxmdist.simulation.flaws import Cracks, Grains
from stxmdist.simulation.phantom import RIM_DEPTH, Particle

STEP_UM = 0.001
"""Of points along cracks and grain boundaries."""
CHARGED_ABOVE, DISCHARGED_BELOW = 0.7, 0.3
LEAST_DOMAIN_UM2 = 2.5e-3
"""A domain is at least so large: a square of 50 nm."""
TANH_SIGMA = np.pi / np.sqrt(12.0)
"""Standard deviation of the derivative of tanh(d / w), over w: it adds in square to that of a point spread function."""
_NAN = float("nan")


@dataclass(frozen=True)
class TrueInterior:
    """Structure and state of charge inside a whole particle; NaN where it has none of a kind."""

    third_share: float
    """Of its iron, in the third phase"""
    crack_share: float
    """Of its area, where more than half of the thickness is missing in a crack"""
    crack_length_um: float
    crack_length_per_um: float
    """Length of cracks over area"""
    n_grains: int
    grain_d50_um: float
    """Median equivalent diameter of its grains, each counted once"""
    grain_boundary_per_um: float
    """Length of grain boundaries over area"""
    boundary_length_um: float
    """Of the contour where soc is one half"""
    boundary_density_per_um: float
    """The same over the area"""
    boundary_width_nm: float
    """Two phases: standard deviation of the derivative of soc across the boundary, pi / sqrt(12) w for tanh(d / w)"""
    boundary_normal_deg: float
    """Two phases: direction of the boundary's normal, from +x towards +y, 0 to 180"""
    boundary_to_long_axis_deg: float
    """Two phases: angle between the boundary's normal and the long axis, 0 to 90"""
    n_domains: int
    """Charged and discharged ones together"""
    n_domains_charged: int
    n_domains_discharged: int
    domain_area_um2: float
    """Mean over domains"""
    largest_domain_um2: float
    mixed_excess: float
    """Share of the mass between both phases: a perfect instrument sees no boundary wider than it is"""
    soc_one_sidedness: float
    """abs(c1) / c0 with c1 the mean by mass of (soc - mean) exp(i theta) about the centre of mass, c0 the mean"""
    soc_gradient_per_um: float
    """sqrt(<abs(grad soc)^2>) over the area"""
    soc_gradient_y_per_um: float
    soc_gradient_x_per_um: float
    """Slope, weighted by mass, of soc over place"""
    soc_correlation_nm: float
    """Solid solution: where the planted field's correlation has fallen to 1 / e, sqrt(2) L"""
    reaction_depth_nm: float
    """L of exp(-depth / L), where the reaction came in from the rim"""
    soc_first: float
    """Mean by mass at the first look"""
    rate_per_h: float
    """Mean by mass of (soc now - soc first) / hours; at the first look that of the beginning; 0 where it waits"""
    rate_sd_per_h: float
    """Spread of the rate inside the particle"""
    rate_over_soc_per_h: float
    """Slope of the rate over soc inside the particle, 2 autocatalysis x its rate"""


def true_interior(
    particle: Particle, axes_um: tuple[F64, F64], inside: Mask, mass: F64, soc: F64, interior: Interior
) -> TrueInterior:
    """Interior of a particle from its formula on a fine grid.

    Parameters
    ----------
    axes_um
        (Y,), (X,) of the grid, equal steps
    inside
        (Y, X) where the plate has half its thickness, cracks included
    mass
        (Y, X) thickness of the two end-members
    soc
        (Y, X)
    """
    pitch = float(axes_um[0][1] - axes_um[0][0])
    area = float(inside.sum()) * pitch**2
    y, x = axes_um[0][:, None], axes_um[1][None, :]
    u, v = particle.outline.axes(y, x)
    flaws = particle.flaws
    third = 0.0
    if flaws is not None and flaws.third is not None:
        full, _ = particle.sample(y, x)
        third = float((full * particle.third_share(y, x)).sum() / full.sum())
    contour = _contour_length_um(soc, inside, pitch)
    two_phase, spread = particle.pattern == "two_phase", particle.pattern == "solid_solution" and particle.is_active
    normal = np.rad2deg(particle.direction_rad + particle.outline.angle_rad) % 180.0
    to_axis = np.rad2deg(particle.direction_rad) % 180.0
    charged = _domains(inside & (soc > CHARGED_ABOVE), pitch)
    discharged = _domains(inside & (soc < DISCHARGED_BELOW), pitch)
    framed: F64 = np.where(inside, soc, np.nan)
    slopes: list[F64] = [np.asarray(slope) for slope in np.gradient(framed, pitch)]
    gradient = np.stack(slopes)
    known = np.isfinite(gradient).all(axis=0)
    one_sided, slope_y, slope_x = _sides(axes_um, mass, soc)
    crack_share, crack_length = _cracks(particle, flaws.cracks if flaws else None, u, v, inside)
    grain_count, grain_d50, boundary = _grains(particle, flaws.grains if flaws else None, u, v, inside, pitch)
    return TrueInterior(
        third_share=third,
        crack_share=crack_share,
        crack_length_um=crack_length,
        crack_length_per_um=crack_length / area,
        n_grains=grain_count,
        grain_d50_um=grain_d50,
        grain_boundary_per_um=boundary / area,
        boundary_length_um=contour,
        boundary_density_per_um=contour / area,
        boundary_width_nm=particle.width * 1e3 * TANH_SIGMA if two_phase else _NAN,
        boundary_normal_deg=float(normal) if two_phase else _NAN,
        boundary_to_long_axis_deg=float(min(to_axis, 180.0 - to_axis)) if two_phase else _NAN,
        n_domains=len(charged) + len(discharged),
        n_domains_charged=len(charged),
        n_domains_discharged=len(discharged),
        domain_area_um2=float(np.mean([*charged, *discharged])) if charged or discharged else _NAN,
        largest_domain_um2=max([*charged, *discharged], default=_NAN),
        mixed_excess=float(mass[(soc >= DISCHARGED_BELOW) & (soc <= CHARGED_ABOVE)].sum() / mass.sum()),
        soc_one_sidedness=one_sided,
        soc_gradient_per_um=float(np.sqrt((gradient[:, known] ** 2).sum(axis=0).mean())) if known.any() else _NAN,
        soc_gradient_y_per_um=slope_y,
        soc_gradient_x_per_um=slope_x,
        soc_correlation_nm=2.0**0.5 * 1e3 * interior.length_um if spread else _NAN,
        reaction_depth_nm=1e3 * particle.width if particle.pattern == RIM_DEPTH else _NAN,
        **_reaction(particle, u, v, inside, mass, soc),
    )


def _contour_length_um(soc: F64, inside: Mask, pitch_um: float) -> float:
    """Length of the contour of soc at one half inside the outline."""
    here = soc[inside]
    if not here.size or not here.min() < 0.5 < here.max():
        return 0.0
    lines = measure.find_contours(soc, 0.5, mask=inside)
    return float(sum(np.hypot(*np.diff(line, axis=0).T).sum() for line in lines)) * pitch_um


def _domains(where: Mask, pitch_um: float) -> list[float]:
    """Areas, um2, of connected domains that are not too small."""
    labels, count = ndimage.label(where)
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:] * pitch_um**2
    return [float(area) for area in areas if area >= LEAST_DOMAIN_UM2]


def _sides(axes_um: tuple[F64, F64], mass: F64, soc: F64) -> tuple[float, float, float]:
    """One-sidedness, and the slopes of soc over y and x by least squares weighted by mass."""
    weight = mass / mass.sum()
    y, x = np.meshgrid(*axes_um, indexing="ij")
    y, x = y - float((weight * y).sum()), x - float((weight * x).sum())
    mean = float((weight * soc).sum())
    mode = complex((weight * (soc - mean) * np.exp(1j * np.arctan2(y, x))).sum())
    moments = np.array([[(weight * a * b).sum() for b in (y, x)] for a in (y, x)])
    slopes = np.linalg.solve(moments, [(weight * a * (soc - mean)).sum() for a in (y, x)])
    return abs(mode) / mean, float(slopes[0]), float(slopes[1])


def _cracks(particle: Particle, cracks: Cracks | None, u: F64, v: F64, inside: Mask) -> tuple[float, float]:
    """Share of the area in cracks, and their length inside the outline; where two cracks meet, both count."""
    if cracks is None:
        return 0.0, 0.0
    share = float((cracks.left(u, v)[inside] < 0.5).mean())
    length = 0.0
    for line in cracks.lines_um:
        pieces = np.hypot(*np.diff(line, axis=0).T)
        at = np.arange(0.5 * STEP_UM, pieces.sum(), STEP_UM)
        along = np.concatenate([[0.0], np.cumsum(pieces)])
        points = [np.interp(at, along, line[:, axis]) for axis in (0, 1)]
        length += float((particle.outline.radius(points[0], points[1]) < 1.0).sum()) * STEP_UM
    return share, length


def _grains(
    particle: Particle, grains: Grains | None, u: F64, v: F64, inside: Mask, pitch_um: float
) -> tuple[int, float, float]:
    """Number of grains, median of their equivalent diameters, and length of boundaries inside the outline."""
    if grains is None:
        return 1, 2.0 * float(np.sqrt(inside.sum() * pitch_um**2 / np.pi)), 0.0
    areas = np.bincount(grains.nearest(u, v)[0][inside], minlength=len(grains.sites_um)) * pitch_um**2
    areas = areas[areas > 0]
    reach = particle.outline.reach_um
    at = np.arange(-2.0 * reach, 2.0 * reach, STEP_UM)
    length, sites = 0.0, grains.sites_um
    for first in range(len(sites)):
        for second in range(first):
            # Points of the bisector of two sites to which no other site is nearer.
            middle, step = 0.5 * (sites[first] + sites[second]), sites[second] - sites[first]
            across = np.array([-step[1], step[0]]) / np.hypot(*step)
            points = middle[:, None] + across[:, None] * at
            mine = np.hypot(*(points - sites[first][:, None]))
            nearest = np.min([np.hypot(*(points - site[:, None])) for site in sites], axis=0)
            within = particle.outline.radius(points[0], points[1]) < 1.0
            length += float(((mine <= nearest + 1e-9) & within).sum()) * STEP_UM
    return len(areas), float(np.median(2.0 * np.sqrt(areas / np.pi))), length


def _reaction(particle: Particle, u: F64, v: F64, inside: Mask, mass: F64, soc: F64) -> dict[str, float]:
    """Rate of the reaction and state of charge at the first look."""
    total = float(mass[inside].sum())
    if particle.reaction is None:
        first = float((mass * soc)[inside].sum()) / total
        return {"soc_first": first, "rate_per_h": 0.0, "rate_sd_per_h": 0.0, "rate_over_soc_per_h": 0.0}
    start = particle.first_soc(u, v, particle.outline.radius(u, v))
    rate = particle.reaction.rate(start, u, v)
    mean = float((mass * rate)[inside].sum()) / total
    return {
        "soc_first": float((mass * start)[inside].sum()) / total,
        "rate_per_h": mean,
        "rate_sd_per_h": float(np.sqrt((mass * (rate - mean) ** 2)[inside].sum() / total)),
        "rate_over_soc_per_h": 2.0 * particle.reaction.autocatalysis * particle.reaction.rate_per_h,
    }
