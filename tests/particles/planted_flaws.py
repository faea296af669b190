"""Plates with cracks and grains of known place, as ptychography shows them: blurred, with noise in both maps."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from stxmdist.arrays import F64, I32, Mask
from stxmdist.particles.metrics.views import ParticleViews
from stxmdist.simulation.design import Design
from stxmdist.simulation.flaw_drawing import draw_flaws
from stxmdist.simulation.phantom import Outline, Region, make_particle

PIXEL_NM, SIGMA_NM, FINER = 10.0, 6.0, 2
RAD_PER_NM = 0.0015
"""Phase of LiFePO4 near its edge"""


@dataclass(frozen=True, eq=False)
class PlantedPlate:
    """A plate as it is, and as it is seen."""

    views: ParticleViews
    missing: F64
    """(Y, X) share of the plate that is missing in cracks, seen as sharply as the image"""
    grains: I32
    """(Y, X) 1, 2, ... over the outline; 0 outside, or where the plate is one crystal"""
    outline: Mask
    """(Y, X)"""


def planted_plate(
    rng: np.random.Generator,
    design: Design,
    pattern: str = "solid_solution",
    noise: float = 0.05,
    phase: bool = True,
    diameter_um: float | None = None,
) -> PlantedPlate:
    """One plate of about a micrometre; ``noise`` is a share of its thickness, in a pixel of either map.

    Its phase knows a little of its chemistry.
    """
    diameter = float(rng.uniform(0.8, 1.2)) if diameter_um is None else diameter_um
    outline = Outline(0.0, 0.0, diameter, 1.3, float(rng.uniform(0, 3)), 2.6, 110.0)
    flaws = draw_flaws(outline, design, rng)
    particle = make_particle(1, outline, pattern, 0.5, rng, flaws=flaws)
    n = int(np.ceil(2e3 * outline.reach_um / PIXEL_NM)) + 14
    fine = (np.arange(n * FINER) + 0.5 - n * FINER / 2) * PIXEL_NM * 1e-3 / FINER
    y, x = fine[:, None], fine[None, :]
    parts = np.asarray(Region((particle,)).thickness_nm(fine, fine))[:2]
    u, v = outline.axes(y, x)
    inside = outline.cover(u, v, outline.radius(u, v))
    missing = np.zeros(inside.shape) if flaws is None or flaws.cracks is None else 1.0 - flaws.cracks.left(u, v)
    grains = np.zeros(inside.shape, dtype=np.int32)
    if flaws is not None and flaws.grains is not None:
        grains = flaws.grains.nearest(u, v)[0].astype(np.int32) + 1
    discharged, charged = (_seen(part) for part in parts)
    total, whole = discharged + charged, _seen(inside) > 0.5
    with np.errstate(divide="ignore", invalid="ignore"):
        soc = np.where(total > 10.0, charged / total, np.nan)
    sd = noise * outline.thickness_nm
    thickness = total + rng.normal(0.0, sd, total.shape)
    seen_phase = -RAD_PER_NM * (discharged + 1.1 * charged) + rng.normal(0.0, sd * RAD_PER_NM, total.shape)
    label, count = ndimage.label(total > 0.5 * outline.thickness_nm)
    largest = label == 1 + int(np.argmax(np.bincount(label.ravel())[1:])) if count else whole
    labels = ndimage.binary_fill_holes(largest).astype(np.int32)
    views = ParticleViews(
        label=1,
        labels=labels,
        interior=ndimage.binary_erosion(labels > 0, iterations=2),
        known=np.ones(total.shape, dtype=bool),
        soc=(soc + rng.normal(0.0, 0.04, soc.shape))[None],
        total_nm=thickness[None],
        soc_variance=np.full(soc.shape, 0.04**2),
        pixel_nm=PIXEL_NM,
        psf_sigma_nm=SIGMA_NM,
        modality="ptychography",
        phase_rad=seen_phase if phase else None,
    )
    middle = grains[FINER // 2 :: FINER, FINER // 2 :: FINER]
    return PlantedPlate(views, _seen(missing * (inside > 0.5)), np.where(whole, middle, 0).astype(np.int32), whole)


def _seen(values: F64) -> F64:
    """Blurred by the point spread function and averaged over pixels."""
    blurred = ndimage.gaussian_filter(np.asarray(values, dtype=np.float64), SIGMA_NM / PIXEL_NM * FINER)
    n = blurred.shape[0] // FINER
    return np.asarray(blurred.reshape(n, FINER, n, FINER).mean(axis=(1, 3)))
