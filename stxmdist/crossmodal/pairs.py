"""The same particle in both images, whole or in parts, and maps of one brought to the grid of the other."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import ndimage, optimize

from stxmdist.arrays import F32, F64, I32, I64, U8, Mask, MaskClass, Real
from stxmdist.crossmodal.transform import Axes, Registration, sample

OD_PER_UNIT: Mapping[str, float] = {"nm": 0.01, "1": 1.0}
"""Approximate optical density at the white line of one unit of thickness, by the unit of the maps: a nanometre, or a
reference sample (``1``)."""

LEAST_OD = 0.2
"""Optical density below which a pixel has no state of charge to compare."""

MEASURED_COLUMNS = ("soc_mean", "soc_se", "d_eq_um")
"""Columns of the particle table that stand in the table of pairs, once for each modality."""

PAIR_COLUMNS = ("particle_id_stxm", "particle_id_ptychography", "iou", "distance_um", "relation", "group_id")

PART_WITHIN = 0.6
"""Share of a particle's area that must lie in one of the other modality to be a part of that one"""

PART_OF_WHOLE = 0.1
"""Share of the whole below which what lies beside the largest part is debris and parts nothing"""


def pair_particles(
    labels_stxm: I32,
    axes_stxm: Axes,
    labels_ptychography: I32,
    axes_ptychography: Axes,
    registration: Registration,
    least_iou: float = 0.3,
) -> pd.DataFrame:
    """Pair the particles of two label images: one to one, or all parts of what one of them shows as a whole.

    Overlap is intersection over union, counted on ptychography pixels carried into the STXM frame. Where one image
    shows as one what the other parts into two or more, each part has a row in the whole's group. The rest is paired one
    to one so that the sum of their overlaps is largest. Only particles that both images see can be paired: one cut by
    the border of the ptychography field overlaps little and drops out.

    Parameters
    ----------
    labels_stxm, axes_stxm
        (Y, X) int32; (y_um, x_um)
    labels_ptychography, axes_ptychography
        (V, U) int32; (y_um, x_um)
    registration
        from ptychography to STXM
    least_iou
        pairs below are not pairs, nor are wholes and the union of their parts

    Returns
    -------
    DataFrame
        columns ``PAIR_COLUMNS``, by particle_id_stxm: ``relation`` is one-to-one, merged (one in STXM, several in
        ptychography) or split (the reverse); rows of one ``group_id`` are of one whole; iou is that of the whole with
        the union of its parts, distance_um that between both centres in the STXM frame

    Source: Kuhn, Nav. Res. Logist. 2, 83 (1955), for the assignment; own rule for parts.
    """
    # The store writes -1 where nothing is known.
    labels_stxm, labels_ptychography = np.maximum(labels_stxm, 0), np.maximum(labels_ptychography, 0)
    if not (labels_ptychography > 0).any() or not (labels_stxm > 0).any():
        return _table([], np.zeros(0))
    y, x = registration(*np.meshgrid(*axes_ptychography, indexing="ij"))
    shared, area_a, area_b = _overlaps(labels_stxm, axes_stxm, labels_ptychography, axes_ptychography, registration)
    groups = _parted(shared, area_a, area_b, "merged", least_iou)
    groups += [replace(group, a=group.b, b=group.a) for group in _parted(shared.T, area_b, area_a, "split", least_iou)]
    union = area_a[:, None] + area_b[None, :] - shared
    iou = np.where(union > 0, shared / np.where(union > 0, union, 1.0), 0.0)
    taken: list[_Group] = []
    for group in sorted(groups, key=lambda each: -each.iou):
        # A chain of wholes and parts has no one whole: the closest fit of them stands.
        if not any(set(group.a) & set(other.a) or set(group.b) & set(other.b) for other in taken):
            taken.append(group)
            iou[list(group.a), :] = iou[:, list(group.b)] = 0.0
    # Overlaps of less than the least must not be bought at the price of a true pair.
    first, second = optimize.linear_sum_assignment(np.where(iou >= least_iou, iou, 0.0), maximize=True)
    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        if iou[a, b] >= least_iou:
            taken.append(_Group((a,), (b,), float(iou[a, b]), "one-to-one"))
    if not taken:
        return _table([], np.zeros(0))
    centres = [
        np.stack(
            [
                _centroids(labels_stxm, np.array(group.a), *np.meshgrid(*axes_stxm, indexing="ij")),
                _centroids(labels_ptychography, np.array(group.b), y, x),
            ]
        )
        for group in taken
    ]
    return _table(taken, np.array([float(np.hypot(*(one - other))) for one, other in centres]))


@dataclass(frozen=True)
class _Group:
    """Particles of both images that cover one another: one on either side, or one and its parts."""

    a: tuple[int, ...]
    b: tuple[int, ...]
    iou: float
    relation: str


def _table(groups: list[_Group], distance_um: F64) -> pd.DataFrame:
    order = sorted(range(len(groups)), key=lambda index: (groups[index].a, groups[index].b))
    rows = [
        (a, b, groups[index].iou, float(distance_um[index]), groups[index].relation, number)
        for number, index in enumerate(order, start=1)
        for a in groups[index].a
        for b in groups[index].b
    ]
    table = pd.DataFrame(rows, columns=list(PAIR_COLUMNS))
    kinds = {"particle_id_stxm": "int64", "particle_id_ptychography": "int64", "group_id": "int64"}
    return table.astype(kinds | {"iou": "float64", "distance_um": "float64", "relation": "object"})


def _overlaps(
    labels_stxm: I32, axes_stxm: Axes, labels_ptychography: I32, axes_ptychography: Axes, registration: Registration
) -> tuple[F64, F64, F64]:
    """Shared area (A, B), that of each STXM particle (A,) and of each other one (B,), in ptychography pixels.

    Index 0, which is no particle, shares nothing.
    """
    y, x = registration(*np.meshgrid(*axes_ptychography, indexing="ij"))
    row, column = (
        np.round((where - axis[0]) / (axis[1] - axis[0])).astype(np.int64)
        for where, axis in zip((y, x), axes_stxm, strict=True)
    )
    inside = (row >= 0) & (row < labels_stxm.shape[0]) & (column >= 0) & (column < labels_stxm.shape[1])
    under = np.zeros(labels_ptychography.shape, dtype=np.int64)
    under[inside] = labels_stxm[row[inside], column[inside]]
    shared = np.zeros((int(labels_stxm.max()) + 1, int(labels_ptychography.max()) + 1))
    np.add.at(shared, (under.ravel(), labels_ptychography.ravel().astype(np.int64)), 1.0)
    area_b = np.asarray(shared.sum(axis=0), dtype=np.float64)
    stretch = abs(float(np.linalg.det(registration.matrix[:, :2])))
    pixels_per_pixel = _pixel_area(axes_stxm) / (_pixel_area(axes_ptychography) * stretch)
    area_a = np.asarray(np.bincount(labels_stxm.ravel(), minlength=shared.shape[0]) * pixels_per_pixel)
    shared[0, :] = shared[:, 0] = 0.0
    return shared, area_a, area_b


def _parted(shared: F64, whole: F64, part: F64, relation: str, least_iou: float) -> list[_Group]:
    """Wholes (first axis of the shared area) of which the other image shows two parts or more."""
    within = shared >= PART_WITHIN * np.maximum(part, 1e-9)[None, :]
    share = np.where(within, shared, 0.0) / np.maximum(whole, 1e-9)[:, None]
    out = []
    for index in np.flatnonzero((share >= PART_OF_WHOLE).sum(axis=1) > 1):
        parts = np.flatnonzero(share[index] >= PART_OF_WHOLE)
        common = float(shared[index, parts].sum())
        iou = common / (float(whole[index]) + float(part[parts].sum()) - common)
        if iou >= max(least_iou, 0.5):
            out.append(_Group((int(index),), tuple(parts.tolist()), iou, relation))
    return out


def onto_fixed(
    thickness_nm: Real, moving_axes: Axes, fixed_axes: Axes, registration: Registration, sigma_um: float
) -> F64:
    """Maps of the moving image on the fixed grid, blurred by a Gaussian first; NaN beyond the moving image.

    Thicknesses are blurred linearly: soc on the fixed grid is the ratio of two maps brought over, not a map of
    ratios.

    Parameters
    ----------
    thickness_nm
        (..., V, U) floating
    sigma_um
        sigma of the blur that gives the moving image the resolution of the fixed one, um in the fixed frame

    Returns
    -------
    maps
        (..., Y, X) float64
    """
    pitch = float(moving_axes[0][1] - moving_axes[0][0]) * registration.scale
    y, x = registration.inverse(*np.meshgrid(*fixed_axes, indexing="ij"))
    maps = np.asarray(thickness_nm, dtype=np.float64)
    planes = maps.reshape(-1, *maps.shape[-2:])
    out = np.stack([sample(_blurred(plane, sigma_um / pitch), moving_axes, y, x) for plane in planes])
    return out.reshape(*maps.shape[:-2], *y.shape)


def known_thickness(thickness: Real, mask_class: U8) -> Real:
    """The thicknesses (COMPONENT, Y, X) of a fit; NaN where nothing was measured."""
    return np.asarray(np.where(_unknown(mask_class), np.nan, thickness))


def total_thickness(thickness: Real, mask_class: U8) -> Real:
    """Sum (Y, X) of the thicknesses (COMPONENT, Y, X), in their unit; NaN where nothing was measured."""
    return np.asarray(np.where(_unknown(mask_class), np.nan, thickness.sum(axis=0)))


def soc_onto_fixed(
    thickness: Real,
    mask_class: U8,
    moving_axes: Axes,
    fixed_axes: Axes,
    registration: Registration,
    *,
    blur_nm: float,
    od_per_unit: float,
) -> F32:
    """State of charge of the moving image as the fixed one would show it.

    Parameters
    ----------
    thickness
        (2, V, U) floating, thicknesses of (discharged, charged) material on the moving grid
    mask_class
        (V, U) uint8, ``stxmdist.arrays.MaskClass``
    blur_nm
        sigma in nm of the Gaussian that gives the moving image the resolution of the fixed one
    od_per_unit
        optical density per unit of thickness (``OD_PER_UNIT``)

    Returns
    -------
    soc
        (Y, X) float32; NaN outside the moving image, where it absorbs less than ``LEAST_OD``, and everywhere where the
        registration was refused
    """
    if not registration.accepted:
        return np.full((len(fixed_axes[0]), len(fixed_axes[1])), np.nan, np.float32)
    known = np.where(_unknown(mask_class), np.nan, thickness)
    discharged, charged = onto_fixed(known, moving_axes, fixed_axes, registration, 1e-3 * blur_nm)
    total = discharged + charged
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(total * od_per_unit > LEAST_OD, charged / total, np.nan).astype(np.float32)


def with_measurements(pairs: pd.DataFrame, particles: Mapping[str, tuple[str, pd.DataFrame]]) -> pd.DataFrame:
    """Pairs with what either modality measured of the particle, in ``MEASURED_COLUMNS`` with the modality behind.

    ``particles`` gives, for each modality, the scan's identifier and its particle table.
    """
    joined = pairs
    for modality, (scan_id, table) in particles.items():
        columns = table[["particle_id", *MEASURED_COLUMNS]].add_suffix(f"_{modality}")
        joined = joined.merge(columns, on=f"particle_id_{modality}", how="left")
        joined.insert(0, f"scan_id_{modality}", scan_id)
    return joined


def _unknown(mask_class: U8) -> Mask:
    return np.isin(mask_class, (MaskClass.missing, MaskClass.outside))


def _blurred(plane: F64, sigma_px: float) -> F64:
    known = np.isfinite(plane)
    weight = ndimage.gaussian_filter(known.astype(np.float64), sigma_px, mode="nearest")
    total = ndimage.gaussian_filter(np.where(known, plane, 0.0), sigma_px, mode="nearest")
    return np.where(known, total / np.where(weight > 0, weight, 1.0), np.nan)


def _pixel_area(axes: Axes) -> float:
    return float(abs((axes[0][1] - axes[0][0]) * (axes[1][1] - axes[1][0])))


def _centroids(labels: I32, ids: I64, y: Real, x: Real) -> F64:
    """(2,) mean coordinates of the pixels of some labels together."""
    here = np.isin(labels, ids)
    return np.array([float(axis[here].mean()) for axis in (y, x)])
