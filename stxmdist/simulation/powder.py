"""A powder: plates with the sizes that battery powders have, laid apart from one another but for a few that touch."""

from dataclasses import dataclass, replace
from math import pi

import numpy as np

from stxmdist.arrays import F64
from stxmdist.simulation.phantom import BEVEL_UM, Outline

_TRIES = 400


@dataclass(frozen=True)
class Powder:
    """Distribution of plates: log-normal sizes (Bobyl and Kasatkin 2021), thickness weakly with size."""

    median_um: float = 0.55
    sigma_log: float = 0.35
    smallest_um: float = 0.25
    largest_um: float = 1.6
    aspect_median: float = 1.45
    aspect_sigma_log: float = 0.15
    thickness_nm: float = 115.0
    """Thickness of a plate of the median size; others have this times their relative size to ``thickness_power``."""
    thickness_power: float = 0.25
    thickness_sigma_log: float = 0.10
    thickness_limits_nm: tuple[float, float] = (80.0, 160.0)
    cover: float = 0.15
    """Share of the field under plates."""
    touching: float = 0.06
    """Share of plates that were laid against another one."""
    gap_um: float = 0.14
    """Least distance between the circles around two plates that do not touch."""


def draw_diameters(count: int, powder: Powder, rng: np.random.Generator) -> F64:
    """Equivalent diameters (PARTICLE,) in um, log-normal; a diameter outside the limits is drawn again."""
    drawn = rng.lognormal(np.log(powder.median_um), powder.sigma_log, count)
    bad = (drawn < powder.smallest_um) | (drawn > powder.largest_um)
    while bad.any():
        drawn[bad] = rng.lognormal(np.log(powder.median_um), powder.sigma_log, int(bad.sum()))
        bad = (drawn < powder.smallest_um) | (drawn > powder.largest_um)
    return drawn


def draw_outline(diameter_um: float, powder: Powder, rng: np.random.Generator) -> Outline:
    """A plate of a given size at the origin."""
    thickness = powder.thickness_nm * (diameter_um / powder.median_um) ** powder.thickness_power
    thickness *= np.exp(rng.normal(0.0, powder.thickness_sigma_log))
    return Outline(
        y_um=0.0,
        x_um=0.0,
        diameter_um=float(diameter_um),
        aspect=float(max(1.0, rng.lognormal(np.log(powder.aspect_median), powder.aspect_sigma_log))),
        angle_rad=float(rng.uniform(0.0, pi)),
        exponent=float(rng.uniform(2.2, 4.0)),
        thickness_nm=float(np.clip(thickness, *powder.thickness_limits_nm)),
    )


def lay_plates(
    low_um: tuple[float, float], high_um: tuple[float, float], powder: Powder, rng: np.random.Generator
) -> list[Outline]:
    """Plates in the box between two corners (y, x) um, centres inside, until the powder's cover is reached.

    Random sequential addition, the largest first so that they find room. Plates are returned in the order of position.
    """
    area = (high_um[0] - low_um[0]) * (high_um[1] - low_um[1])
    diameters = draw_diameters(int(np.ceil(area * powder.cover / 0.05)) + 8, powder, rng)
    count = int(np.searchsorted(np.cumsum(pi * (diameters / 2.0) ** 2), powder.cover * area)) + 1
    laid: list[Outline] = []
    for diameter in np.sort(diameters[:count])[::-1]:
        outline = draw_outline(float(diameter), powder, rng)
        against = rng.random() < powder.touching and len(laid) > 0
        for _ in range(_TRIES):
            if against:
                candidate = _against(outline, laid[int(rng.integers(len(laid)))], float(rng.uniform(0.0, 2.0 * pi)))
                gap = 0.0
            else:
                candidate = replace(
                    outline,
                    y_um=float(rng.uniform(low_um[0], high_um[0])),
                    x_um=float(rng.uniform(low_um[1], high_um[1])),
                )
                gap = powder.gap_um
            if _free(candidate, laid, gap, touching_allowed=against):
                laid.append(candidate)
                break
    return sorted(laid, key=lambda outline: (outline.y_um, outline.x_um))


def _free(candidate: Outline, laid: list[Outline], gap_um: float, touching_allowed: bool) -> bool:
    for other in laid:
        distance = np.hypot(candidate.y_um - other.y_um, candidate.x_um - other.x_um)
        if distance >= candidate.reach_um + other.reach_um + gap_um:
            continue
        if not touching_allowed or overlap(candidate, other):
            return False
    return True


def overlap(one: Outline, other: Outline) -> bool:
    """Whether the outlines of two plates cross, from 120 points on each."""
    return bool(_inside(one, other) or _inside(other, one))


def _inside(one: Outline, other: Outline) -> bool:
    t = np.linspace(0.0, 2.0 * pi, 120, endpoint=False)
    long, short = other.semi_axes_um
    power = 2.0 / other.exponent
    u = long * np.sign(np.cos(t)) * np.abs(np.cos(t)) ** power
    v = short * np.sign(np.sin(t)) * np.abs(np.sin(t)) ** power
    cos, sin = np.cos(other.angle_rad), np.sin(other.angle_rad)
    y, x = other.y_um + u * sin + v * cos, other.x_um + u * cos - v * sin
    return bool((one.radius(*one.axes(y, x)) < 1.0).any())


def _against(outline: Outline, other: Outline, direction_rad: float) -> Outline:
    """The plate moved along a direction from another one's centre until the two just do not cross."""
    low, high = 0.0, outline.reach_um + other.reach_um

    def at(distance: float) -> Outline:
        return replace(
            outline,
            y_um=float(other.y_um + distance * np.sin(direction_rad)),
            x_um=float(other.x_um + distance * np.cos(direction_rad)),
        )

    for _ in range(20):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if overlap(at(middle), other) else (low, middle)
    return at(high + 0.25 * BEVEL_UM)
