"""Where a few particles lie among many: pairs of alike distance and size propose, all particles vote."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from stxmdist.arrays import F64, Real
from stxmdist.crossmodal.landmarks import level_of
from stxmdist.crossmodal.transform import Axes

MOST_MOVING, MOST_FIXED, MOST_PROPOSALS = 14, 300, 4000
"""Largest particles of either image whose pairs are tried, and pairs of pairs that are judged"""

AREA_RATIO = 1.6
"""Particles whose areas differ by a larger factor are not alike: the edges of the blurred image are not its outlines"""

REACH_UM = 0.25
"""How far a particle may lie from where a proposal wants it: shear and drift are not known yet"""

LEAST_DISTANCE_UM = 0.6
"""Closer pairs say too little of the rotation"""


@dataclass(frozen=True, eq=False)
class Constellation:
    """Particles of one image that its edge does not cut."""

    place_um: F64
    """(PARTICLE, 2): y, x"""
    area_um2: F64
    """(PARTICLE,)"""


@dataclass(frozen=True)
class Proposal:
    """A placement of the moving image that its particles propose."""

    parameters: tuple[float, float, float, float]
    """Shift y, x (um) of the centre, rotation (rad), log scale"""
    share: float
    """Of the area of the moving image's particles, how much finds a particle alike"""
    n: int
    """Particles that do"""


def constellation(image: Real, axes: Axes) -> Constellation:
    """Centres and areas of the particles of an optical density (Y, X), NaN where not known."""
    known = np.isfinite(image)
    smooth = ndimage.gaussian_filter(np.where(known, image, 0.0), 1.0)
    labels, n = ndimage.label(known & (smooth > level_of(image)))
    beside = ndimage.binary_dilation(~known)
    beside[[0, -1]] = beside[:, [0, -1]] = True
    cut = np.unique(labels[beside])
    ids = np.setdiff1d(np.arange(1, n + 1), cut)
    pitch = [float(axis[1] - axis[0]) for axis in axes]
    area = np.bincount(labels.ravel(), minlength=n + 1)[ids] * pitch[0] * pitch[1]
    ids, area = ids[area > 12 * pitch[0] * pitch[1]], area[area > 12 * pitch[0] * pitch[1]]
    if not ids.size:
        return Constellation(np.zeros((0, 2)), np.zeros(0))
    centres = np.array(ndimage.center_of_mass(np.where(known, image, 0.0), labels, ids))
    return Constellation(centres * pitch + [axes[0][0], axes[1][0]], np.asarray(area, dtype=np.float64))


def proposals(
    fixed: Constellation,
    moving: Constellation,
    centre: F64,
    most_rotation_deg: float,
    most_scale_error: float,
    most: int = 3,
) -> list[Proposal]:
    """The best placements of one constellation on another, best first, each more than a micrometre from the others.

    Every pair of moving particles is laid on every pair of fixed ones whose distance and areas are alike; the
    similarity that this gives is judged by the share of all moving particles that find one alike where they land.

    Parameters
    ----------
    centre
        (2,) of the moving field, um

    Source: Fischler, Bolles, Commun. ACM 24, 381 (1981); all pairs are tried instead of random ones.
    """
    first = np.argsort(-moving.area_um2)[:MOST_MOVING]
    second = np.argsort(-fixed.area_um2)[:MOST_FIXED]
    m, f = moving.place_um[first], fixed.place_um[second]
    m_area, f_area = moving.area_um2[first], fixed.area_um2[second]
    if len(m) < 3 or len(f) < 3:
        return []
    alike = np.abs(np.log(m_area[:, None] / f_area[None, :])) < np.log(AREA_RATIO)
    m_z, f_z = m[:, 0] + 1j * m[:, 1], f[:, 0] + 1j * f[:, 1]
    between = f_z[None, :] - f_z[:, None]
    found = []
    for i in range(len(m)):
        for j in range(i):
            pair = m_z[i] - m_z[j]
            if abs(pair) < LEAST_DISTANCE_UM:
                continue
            start, end = np.nonzero(alike[j][:, None] & alike[i][None, :])
            ratio = between[start, end] / pair
            size, angle = np.abs(ratio), np.degrees(np.angle(ratio))
            slack = REACH_UM / abs(pair)
            good = np.abs(size - 1.0) < most_scale_error + slack
            good &= np.abs(angle) < most_rotation_deg + np.degrees(slack)
            found.append(np.stack([ratio[good], f_z[start[good]] - ratio[good] * m_z[j]], axis=1))
    every = np.concatenate(found) if found else np.zeros((0, 2), complex)
    if len(every) > MOST_PROPOSALS:
        # Alike to themselves: every n-th, in order, keeps all neighbourhoods.
        every = every[:: len(every) // MOST_PROPOSALS + 1]
    if not len(every):
        return []
    landed = every[:, :1] * m_z[None, :] + every[:, 1:]
    distance = np.abs(landed[:, :, None] - f_z[None, None, :])
    hit = ((distance < REACH_UM) & alike[None]).any(axis=2)
    share = hit @ m_area / m_area.sum()
    # Of equal shares the one that fits closer.
    miss = np.where(alike[None], distance, np.inf).min(axis=2)
    miss = np.where(hit, miss, REACH_UM).mean(axis=1)
    order = np.lexsort((miss, -np.round(share, 3)))
    c = complex(centre[0], centre[1])
    out: list[Proposal] = []
    shifts: list[complex] = []
    for index in order:
        ratio, offset = every[index]
        shift = ratio * c + offset - c
        if any(abs(shift - other) < 1.0 for other in shifts):
            continue
        shifts.append(shift)
        parameters = (float(shift.real), float(shift.imag), float(np.angle(ratio)), float(np.log(abs(ratio))))
        out.append(Proposal(parameters, float(share[index]), int(hit[index].sum())))
        if len(out) == most:
            break
    return out
