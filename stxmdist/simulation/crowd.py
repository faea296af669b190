"""Plates as they really lie: some across one another, some on edge."""

from dataclasses import dataclass, replace
from math import pi

import numpy as np

from stxmdist.simulation.design import Design
from stxmdist.simulation.phantom import Outline
from stxmdist.simulation.powder import Powder, draw_diameters, draw_outline, lay_plates, overlap

_TRIES = 60


@dataclass(frozen=True, eq=False)
class Plate:
    """A plate as the beam sees it, and the size that it has when it lies flat."""

    outline: Outline
    face_um: float
    """Equivalent diameter of its face: what its chemistry knows of its size"""
    edge_on: bool = False


def lay_crowd(
    low_um: tuple[float, float], high_um: tuple[float, float], powder: Powder, design: Design, rng: np.random.Generator
) -> list[Plate]:
    """Plates as ``powder.lay_plates`` lays them, then some turned on edge and some more laid across others.

    A plate on edge is as wide as it was thick and as thick as it was wide, up to a limit. Plates across others are laid
    until the share of plates that overlap is the planted one, a pair counting twice; they come on top of the cover.
    """
    flat = lay_plates(low_um, high_um, powder, rng)
    plates = [Plate(outline, outline.diameter_um) for outline in flat]
    if design.edge_on > 0.0:
        plates = [_on_edge(plate, design) if rng.random() < design.edge_on else plate for plate in plates]
    if design.overlapping > 0.0:
        wanted = int(np.round(design.overlapping * len(plates) / (2.0 - design.overlapping)))
        lower = [int(index) for index in rng.permutation(len(plates))]
        free = set(lower)
        for index in lower:
            if wanted == 0:
                break
            # One plate under each: triples would count otherwise.
            upper = _across(plates[index], plates, powder, rng) if index in free else None
            if upper is not None:
                plates.append(upper)
                wanted -= 1
    return sorted(plates, key=lambda plate: (plate.outline.y_um, plate.outline.x_um))


def _on_edge(plate: Plate, design: Design) -> Plate:
    outline = plate.outline
    long, short = outline.semi_axes_um
    width_um = outline.thickness_nm * 1e-3
    # The area of a superellipse of the same exponent and long axis, as wide as the plate was thick.
    diameter = outline.diameter_um * (0.5 * width_um / short) ** 0.5
    turned = replace(
        outline,
        diameter_um=diameter,
        aspect=max(long / (0.5 * width_um), 1.0),
        thickness_nm=min(2e3 * short, design.edge_on_limit_nm),
    )
    return replace(plate, outline=turned, edge_on=True)


def _across(lower: Plate, plates: list[Plate], powder: Powder, rng: np.random.Generator) -> Plate | None:
    """A new plate across one plate and no other, or None where there is no room."""
    outline = draw_outline(float(draw_diameters(1, powder, rng)[0]), powder, rng)
    others = [plate.outline for plate in plates if plate is not lower]
    for _ in range(_TRIES):
        angle, depth = float(rng.uniform(0.0, 2.0 * pi)), float(rng.uniform(0.35, 0.8))
        near, far = 0.0, outline.reach_um + lower.outline.reach_um
        for _ in range(14):
            middle = 0.5 * (near + far)
            crossing = overlap(_moved(outline, lower.outline, angle, middle), lower.outline)
            near, far = (middle, far) if crossing else (near, middle)
        candidate = _moved(outline, lower.outline, angle, depth * far)
        close = (
            other
            for other in others
            if np.hypot(candidate.y_um - other.y_um, candidate.x_um - other.x_um)
            < candidate.reach_um + other.reach_um + powder.gap_um
        )
        if next(close, None) is None:
            return Plate(candidate, candidate.diameter_um)
    return None


def _moved(outline: Outline, other: Outline, angle_rad: float, distance_um: float) -> Outline:
    return replace(
        outline,
        y_um=float(other.y_um + distance_um * np.sin(angle_rad)),
        x_um=float(other.x_um + distance_um * np.cos(angle_rad)),
    )
