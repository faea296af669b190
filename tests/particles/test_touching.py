"""Plates that touch are parted, and plates that are one stay one: planted fields, counted and fitted."""

from dataclasses import replace

import numpy as np
import pytest

from stxmdist.arrays import F64, I32
from stxmdist.particles.segment import segment
from stxmdist.particles.touching import part_touching
from stxmdist.simulation.phantom import Outline
from stxmdist.simulation.powder import Powder
from tests.particles.planted_fields import FINE, Field, panoptic_quality, planted, powder_outlines

LEAST_PQ = 0.8
"""Up to a fifth of the field covered."""


def labelled(field: Field) -> I32:
    return segment(field.measured_nm.sum(axis=0), field.known, field.pixel_nm)


@pytest.mark.parametrize("touching", [0.06, 0.3, 0.6])
def test_touching_plates_are_parted(touching: float) -> None:
    scores, found, missed, extra = 0.0, 0, 0, 0
    for seed in (11, 12):
        rng = np.random.default_rng(seed)
        plates = powder_outlines(rng, 8.0, replace(Powder(), touching=touching, cover=0.2))
        field = planted(plates, 160, rng)
        _, iou, right, wrong, lost = panoptic_quality(labelled(field), field)
        scores, found, extra, missed = scores + iou * right, found + right, extra + wrong, missed + lost
    quality = scores / (found + (extra + missed) / 2)
    print(f"C9: touching share {touching}, cover .20: PQ {quality:.3f}, {found} found, {missed} lost, {extra} extra")
    assert quality >= LEAST_PQ


def test_ptychography_parts_them_on_its_small_pixels() -> None:
    rng = np.random.default_rng(2)
    field = planted(
        powder_outlines(rng, 2.4, replace(Powder(), touching=0.6, cover=0.25)), 240, rng, modality="ptychography",
        pixel_nm=10.0, counts=1000.0,
    )  # fmt: skip
    assert panoptic_quality(labelled(field), field)[0] >= 0.95


def cracks(plates: list[Outline], n_px: int, pixel_nm: float, share: float, width_um: float) -> F64:
    """Share of the thickness (Y, X) on the fine grid that cracks leave, which run from a rim across each plate."""
    axis = (np.arange(n_px * FINE) + 0.5) * pixel_nm * 1e-3 / FINE
    left = np.ones((axis.size, axis.size))
    for plate in plates:
        box = tuple(
            slice(*np.searchsorted(axis, [middle - plate.reach_um, middle + plate.reach_um]))
            for middle in (plate.y_um, plate.x_um)
        )
        u, v = plate.axes(axis[box[0], None], axis[None, box[1]])
        long, short = plate.semi_axes_um
        cracked = (np.abs(u - 0.2 * long) < width_um / 2) & (v > short * (1 - 2 * share))
        left[box] = np.where(cracked, 0.0, left[box])
    return left


@pytest.mark.parametrize("kind", ["two phases", "cracks", "bites", "100 photons"])
def test_a_single_plate_stays_one(kind: str) -> None:
    rng = np.random.default_rng(21)
    plates = powder_outlines(rng, 8.0, replace(Powder(), touching=0.0))
    carve = cracks(plates, 160, 50.0, 0.7, 0.04) if kind == "cracks" else None
    if kind == "bites":
        carve = cracks(plates, 160, 50.0, 0.1, 0.12)
    field = planted(plates, 160, rng, counts=100.0 if kind == "100 photons" else 3000.0, carve=carve)
    labels = labelled(field)
    shares = [np.bincount(labels[field.labels == n], minlength=2)[1:] / (field.labels == n).sum() for n in field.whole]
    split = sum(int((share > 0.1).sum() > 1) for share in shares)
    print(f"{kind}: {split} of {len(shares)} single plates cut in two")
    assert split == 0


def test_a_waist_parts_and_a_rough_edge_does_not() -> None:
    waist = np.zeros((31, 61), bool)
    waist[5:26, 4:28] = waist[5:26, 33:57] = True
    waist[13:18, 28:33] = True
    assert part_touching(waist, 100.0 * waist, 7.0).max() == 2
    rough = np.zeros((41, 67), bool)
    rough[10:31, 5:62] = True
    rough[9, 5:62:2] = True
    assert part_touching(rough, 100.0 * rough, 7.0).max() == 1


def test_a_ring_of_plates_is_parted_and_nothing_is_lost() -> None:
    y, x = np.indices((70, 70))
    ring = np.zeros(y.shape, bool)
    for angle in np.arange(6) * np.pi / 3:
        ring |= np.hypot(y - 35 - 20 * np.sin(angle), x - 35 - 20 * np.cos(angle)) < 10.2
    parts = part_touching(ring, 100.0 * ring, 7.0)
    assert parts.max() == 6
    np.testing.assert_array_equal(parts > 0, ring)
    assert np.bincount(parts.ravel())[1:] == pytest.approx(ring.sum() / 6, rel=0.1)


def test_skirts_that_join_plates_are_no_contact() -> None:
    thick = np.full((20, 40), 30.0)
    thick[4:16, 4:16], thick[4:16, 24:36] = 100.0, 150.0
    parts = part_touching(np.ones(thick.shape, bool), thick, 7.0)
    assert parts.max() == 2
    assert parts[10, 10] != parts[10, 30]
