"""Outline and neighbourhood of particles from their formulae: what touches what, what lies across what."""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F64
from stxmdist.simulation.phantom import BEVEL_UM, Outline, Particle, Region

TOUCHING_UM = 2.0 * BEVEL_UM
"""Outlines that come nearer than this touch."""
CONTACT_UM = 0.05
"""A stretch of outline is in contact where another plate lies within this distance outside it: a pixel of STXM."""
DISC_UM = 1.0
"""Radius of the disc of the local cover."""
NEAREST = 6
_POINTS = 720
_GRID = 101


@dataclass(frozen=True)
class TrueNeighbours:
    """Outline and neighbourhood of a whole particle."""

    perimeter_um: float
    feret_max_um: float
    feret_min_um: float
    """Largest and smallest distance of parallel lines that hold the outline between them"""
    circularity: float
    """4 pi area / perimeter^2"""
    convexity: float
    """Perimeter of the convex hull over the perimeter: superellipses are convex"""
    orientation_deg: float
    """Of the long axis, from +x towards +y, 0 to 180"""
    face_um: float
    """Equivalent diameter seen along the beam"""
    edge_on: bool
    overlapping: bool
    overlapping_ids: str
    """particle_id of those across it, separated by `;`"""
    overlap_share: float
    """Of its area, under or over others"""
    touching: bool
    touching_ids: str
    contact_share: float
    """Of its perimeter, along which another plate lies within CONTACT_UM"""
    neighbour_distance_um: float
    """Mean distance of centres to the six nearest"""
    local_cover: float
    """Share of the disc of one micrometre about its centre, itself left out, that others cover"""
    planted_active: bool
    """It reacts: it was not planted at an end-member"""


def curve(outline: Outline, points: int = _POINTS) -> F64:
    """Points (POINT, 2), (y, x) um, on an outline."""
    long, short = outline.semi_axes_um
    t = np.linspace(0.0, 2.0 * np.pi, points, endpoint=False)
    power = 2.0 / outline.exponent
    u = long * np.sign(np.cos(t)) * np.abs(np.cos(t)) ** power
    v = short * np.sign(np.sin(t)) * np.abs(np.sin(t)) ** power
    cos, sin = np.cos(outline.angle_rad), np.sin(outline.angle_rad)
    return np.stack([outline.y_um + u * sin + v * cos, outline.x_um + u * cos - v * sin], axis=1)


def true_neighbours(particle: Particle, region: Region) -> TrueNeighbours:
    """Outline and neighbourhood of one particle of a region; particles beyond the field count where they are known."""
    outline = particle.outline
    line = curve(outline)
    steps = np.roll(line, -1, axis=0) - line
    lengths = np.hypot(steps[:, 0], steps[:, 1])
    perimeter = float(lengths.sum())
    area = np.pi * (outline.diameter_um / 2.0) ** 2
    angle = np.linspace(0.0, np.pi, 360, endpoint=False)
    widths = np.ptp(line @ np.stack([np.sin(angle), np.cos(angle)]), axis=0)
    others = [other for other in region.particles if other is not particle]
    away = np.array([np.hypot(o.outline.y_um - outline.y_um, o.outline.x_um - outline.x_um) for o in others])
    near = [other for other, r in zip(others, away, strict=True) if r < outline.reach_um + other.outline.reach_um + 0.1]
    outward = np.stack([-steps[:, 1], steps[:, 0]], axis=1) / np.maximum(lengths, 1e-12)[:, None]
    centre = np.array([outline.y_um, outline.x_um])
    outward *= np.sign((outward * (line + 0.5 * steps - centre)).sum(axis=1))[:, None]
    crossing = [
        other for other in near if _inside(line, other.outline).any() or _inside(curve(other.outline), outline).any()
    ]
    touching = [other for other in near if other not in crossing and _gap(line, other.outline) < TOUCHING_UM]
    contact = np.zeros(len(line), dtype=bool)
    for other in near:
        for distance in (0.0, 0.5 * CONTACT_UM, CONTACT_UM):
            contact |= _inside(line + 0.5 * steps + distance * outward, other.outline)
    return TrueNeighbours(
        perimeter_um=perimeter,
        feret_max_um=float(widths.max()),
        feret_min_um=float(widths.min()),
        convexity=1.0,
        circularity=float(4.0 * np.pi * area / perimeter**2),
        orientation_deg=float(np.rad2deg(outline.angle_rad) % 180.0),
        face_um=outline.diameter_um,
        edge_on=particle.edge_on,
        overlapping=bool(crossing),
        overlapping_ids=";".join(str(other.particle_id) for other in crossing),
        overlap_share=_covered(outline, [other.outline for other in crossing], outline.reach_um, within=outline),
        touching=bool(touching),
        touching_ids=";".join(str(other.particle_id) for other in touching),
        contact_share=float(lengths[contact].sum() / perimeter),
        neighbour_distance_um=float(np.sort(away)[:NEAREST].mean()) if away.size >= NEAREST else float("nan"),
        local_cover=_covered(
            outline,
            [o.outline for o, r in zip(others, away, strict=True) if r < DISC_UM + o.outline.reach_um],
            DISC_UM,
            without=outline,
        ),
        planted_active=particle.is_active,
    )


def _inside(points: F64, outline: Outline) -> F64:
    return np.asarray(outline.radius(*outline.axes(points[:, 0], points[:, 1])) < 1.0)


def _gap(line: F64, outline: Outline) -> float:
    other = curve(outline, 240)
    return float(np.hypot(line[:, None, 0] - other[None, :, 0], line[:, None, 1] - other[None, :, 1]).min())


def _covered(
    centre: Outline,
    others: list[Outline],
    radius_um: float,
    within: Outline | None = None,
    without: Outline | None = None,
) -> float:
    """Share that others cover of a disc about a centre, or of the part of it inside or outside an outline."""
    if not others:
        return 0.0
    offsets = np.linspace(-radius_um, radius_um, _GRID)
    y, x = centre.y_um + offsets[:, None], centre.x_um + offsets[None, :]
    asked = np.hypot(y - centre.y_um, x - centre.x_um) <= radius_um
    if within is not None:
        asked &= within.radius(*within.axes(y, x)) < 1.0
    if without is not None:
        asked &= without.radius(*without.axes(y, x)) >= 1.0
    covered = np.zeros(asked.shape, dtype=bool)
    for other in others:
        covered |= other.radius(*other.axes(y, x)) < 1.0
    return float((covered & asked).sum() / asked.sum())
