"""A particle among its neighbours: contact, distance, cover around it."""

from collections.abc import Mapping

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

from stxmdist.arrays import F64, I32
from stxmdist.particles.metrics.field_table import LabelledField

NEIGHBOURS = 6
"""As many as a plane packing has."""
DISC_UM = 1.0
"""Radius of the disc in which cover is counted."""
LEAST_KNOWN = 0.5
"""Of a disc or a ring that was measured, below which nothing is said of it."""


def contacts(field: LabelledField) -> Mapping[str, F64]:
    """Contact share, mean distance to the six nearest particles, and cover by others within 1 um.

    The ring is the pixels that share a side or a corner with the particle. Where the ring or the disc reaches beyond
    what was measured, shares are those of the measured part, and unknown if that is less than half. A particle with
    fewer than six others in its field has no neighbour distance; near the border of the field neighbours are unseen,
    and the distance is an upper bound where it exceeds that to the border.

    Source: contact and local density as in Li et al., Science 376, 517 (2022), here in projection.
    """
    n = field.particle_id.size
    share, distance, cover = np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan)
    if n:
        pitch_um = field.pixel_nm * 1e-3
        labels = np.maximum(field.labels, 0)
        centres = np.asarray(ndimage.center_of_mass(labels > 0, labels, field.particle_id)).reshape(n, 2)
        if n > NEIGHBOURS:
            distance = KDTree(centres).query(centres, NEIGHBOURS + 1)[0][:, 1:].mean(axis=1) * pitch_um
        reach = int(np.ceil(DISC_UM / pitch_um))
        boxes = ndimage.find_objects(labels)
        for row, label in enumerate(field.particle_id.tolist()):
            share[row] = _contact_share(field, labels, label, boxes[label - 1])
            cover[row] = _local_cover(field, labels, label, centres[row], reach, DISC_UM / pitch_um)
    return {"contact_share": share, "neighbour_distance_um": distance, "local_cover": cover}


def _contact_share(field: LabelledField, labels: I32, label: int, box: tuple[slice, slice]) -> float:
    wide = tuple(slice(max(0, side.start - 1), side.stop + 1) for side in box)
    here = labels[wide] == label
    ring = ndimage.binary_dilation(here, np.ones((3, 3), dtype=bool)) & ~here
    whole = int((ndimage.binary_dilation(np.pad(here, 1), np.ones((3, 3), dtype=bool))).sum() - here.sum())
    measured = ring & field.known[wide]
    if measured.sum() < LEAST_KNOWN * whole:
        return float("nan")
    return float((labels[wide][measured] > 0).mean())


def _local_cover(field: LabelledField, labels: I32, label: int, centre: F64, reach: int, radius_px: float) -> float:
    y, x = np.rint(centre).astype(int).tolist()
    box = (slice(max(0, y - reach), y + reach + 1), slice(max(0, x - reach), x + reach + 1))
    here = labels[box]
    rows, columns = np.ogrid[: here.shape[0], : here.shape[1]]
    disc = np.hypot(rows + box[0].start - centre[0], columns + box[1].start - centre[1]) <= radius_px
    seen = disc & field.known[box]
    others = seen & (here != label)
    if seen.sum() < LEAST_KNOWN * np.pi * radius_px**2 or not others.any():
        return float("nan")
    return float((here[others] > 0).mean())
