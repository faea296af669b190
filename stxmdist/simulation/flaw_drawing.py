"""Draws the grains, cracks and third phase of a plate from the design."""

from dataclasses import replace
from math import pi

import numpy as np

from stxmdist.arrays import F64
from stxmdist.simulation.design import Design
from stxmdist.simulation.flaws import Cracks, Flaws, Grains, ThirdPhase
from stxmdist.simulation.phantom import BEVEL_UM, Outline

_SAMPLES = 97
_KINK_RAD = 0.35
_FARTHEST = 0.75
"""Sites of grains lie inside this share of the outline's radius, so that every grain has an area."""


def draw_flaws(outline: Outline, design: Design, rng: np.random.Generator, *, edge_on: bool = False) -> Flaws | None:
    """Flaws of a plate; None where it has none. Plates on edge show neither grains nor cracks."""
    # All is drawn whether it is used or not: one switch does not change what another one draws.
    seeds = rng.integers(0, 2**63, 3)
    drawn = rng.random(3)
    grains = cracks = third = None
    if design.grain_um > 0.0 and drawn[0] < design.grained and not edge_on:
        grains = _grains(outline, design, np.random.default_rng(seeds[0]))
    if drawn[1] < design.cracked and not edge_on:
        cracks = _cracks(outline, design, np.random.default_rng(seeds[1]))
    left = Flaws(grains, cracks)
    if drawn[2] < design.third_particles:
        third = _third(outline, design, left, np.random.default_rng(seeds[2]))
    if grains is None and cracks is None and third is None:
        return None
    return Flaws(grains, cracks, third, design.crack_halo_soc, design.crack_halo_um)


def _grains(outline: Outline, design: Design, rng: np.random.Generator) -> Grains | None:
    """Sites as far from one another as grains of the planted size are; None where one grain fills the plate."""
    count = round((outline.diameter_um / design.grain_um) ** 2)
    if count < 2:
        return None
    sites: list[F64] = []
    least = 0.7 * design.grain_um
    long, short = outline.semi_axes_um
    while len(sites) < count:
        for _ in range(200):
            site = rng.uniform(-1.0, 1.0, 2) * (long, short)
            inside = float(outline.radius(site[0], site[1])) < _FARTHEST
            if inside and all(np.hypot(*(site - other)) > least for other in sites):
                sites.append(site)
                break
        else:
            least *= 0.9
    grains = Grains(
        sites_um=np.array(sites),
        width_um=design.grain_boundary_nm * 1e-3,
        depth=design.grain_boundary_depth,
        soc_offset=rng.normal(0.0, 1.0, count) * design.grain_soc_sd,
        axis_rad=rng.uniform(0.0, pi, count),
    )
    # Together they leave the particle's mean where it is.
    u, v, cover = _grid(outline)
    mass = np.bincount(grains.nearest(u, v)[0].ravel(), weights=cover.ravel(), minlength=count)
    return replace(grains, soc_offset=grains.soc_offset - float(mass @ grains.soc_offset / mass.sum()))


def _grid(outline: Outline) -> tuple[F64, F64, F64]:
    """Points u, v over a plate and the share of its thickness there."""
    long, short = outline.semi_axes_um
    u, v = np.meshgrid(
        np.linspace(-long - BEVEL_UM, long + BEVEL_UM, _SAMPLES),
        np.linspace(-short - BEVEL_UM, short + BEVEL_UM, _SAMPLES),
        indexing="ij",
    )
    return u, v, outline.cover(u, v, outline.radius(u, v))


def _cracks(outline: Outline, design: Design, rng: np.random.Generator) -> Cracks:
    """Chains of straight pieces from the rim inwards, until their length is the planted one."""
    wanted = design.crack_per_um * pi * (outline.diameter_um / 2.0) ** 2
    long, short = outline.semi_axes_um
    lines, widths = [], []
    while wanted > 0.05:
        start = rng.uniform(0.0, 2.0 * pi)
        power = 2.0 / outline.exponent
        point = np.array(
            [
                long * np.sign(np.cos(start)) * np.abs(np.cos(start)) ** power,
                short * np.sign(np.sin(start)) * np.abs(np.sin(start)) ** power,
            ]
        )
        aim = rng.uniform(-0.3, 0.3, 2) * (long, short) - point
        angle = float(np.arctan2(aim[1], aim[0]))
        length = min(wanted, float(rng.uniform(0.5, 1.3)) * float(np.hypot(*aim)))
        piece = length / 3.0
        line = [point]
        for _ in range(3):
            line.append(line[-1] + piece * np.array([np.cos(angle), np.sin(angle)]))
            angle += float(rng.normal(0.0, _KINK_RAD))
        lines.append(np.array(line))
        widths.append(float(rng.uniform(*design.crack_nm)) * 1e-3)
        wanted -= length
    return Cracks(tuple(lines), np.array(widths))


def _third(outline: Outline, design: Design, left: Flaws, rng: np.random.Generator) -> ThirdPhase:
    """A third phase of the planted share of the plate's mass."""
    if design.third_form == "mixed":
        return ThirdPhase(design.third_mass)
    direction, width = float(rng.uniform(0.0, 2.0 * pi)), 0.02
    long, short = outline.semi_axes_um
    u, v, mass = _grid(outline)
    mass = mass * left.left(u, v)
    mass = mass / mass.sum()
    low, high = -long - short, long + short
    for _ in range(28):
        centre = 0.5 * (low + high)
        found = float(np.sum(mass * ThirdPhase(1.0, direction, centre, width).share(u, v)))
        low, high = (centre, high) if found > design.third_mass else (low, centre)
    return ThirdPhase(1.0, direction, centre, width)


def waiting_flaws(flaws: Flaws) -> Flaws:
    """The same flaws of a particle that waits at an end-member: no grain and no crack changes its state of charge."""
    grains = flaws.grains
    if grains is not None:
        grains = replace(grains, soc_offset=np.zeros(len(grains.sites_um)))
    return replace(flaws, grains=grains, halo_soc=0.0)
