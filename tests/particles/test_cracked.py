"""Plates that cracks part are one plate, and plates that touch are two: planted fields of ptychography."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from skimage.morphology import skeletonize

from stxmdist.arrays import F64, I32, Mask
from stxmdist.particles.cracked import join_cracked
from stxmdist.particles.cracks import cracks_of
from stxmdist.particles.crevices import crevices
from stxmdist.particles.segment import segment
from stxmdist.simulation.design import Design
from stxmdist.simulation.flaw_drawing import draw_flaws
from stxmdist.simulation.powder import Powder
from tests.particles.planted_fields import FINE, Field, panoptic_quality, planted, powder_outlines

PIXEL_NM, SIGMA_NM = 10.0, 6.0
RECALL, SHARE, LEAST_PQ = 0.8, 0.02, 0.9
"""Of cracks above two half-periods, and error of their share, from the reference; and of plates with them"""


def cracked_field(seed: int, n_px: int, powder: Powder, design: Design) -> tuple[Field, F64]:
    """A field of plates with flaws, and the share (Y, X) of each pixel that is missing in cracks."""
    rng = np.random.default_rng(seed)
    plates = powder_outlines(rng, n_px * PIXEL_NM * 1e-3, powder)
    axis = (np.arange(n_px * FINE) + 0.5) * PIXEL_NM * 1e-3 / FINE
    left, missing = np.ones((axis.size, axis.size)), np.zeros((axis.size, axis.size))
    for plate in plates:
        flaws = draw_flaws(plate, design, rng)
        if flaws is None:
            continue
        box = tuple(
            slice(*np.searchsorted(axis, [middle - plate.reach_um, middle + plate.reach_um]))
            for middle in (plate.y_um, plate.x_um)
        )
        u, v = plate.axes(axis[box[0], None], axis[None, box[1]])
        cover = plate.cover(u, v, plate.radius(u, v))
        left[box] = np.where(cover > 0.0, flaws.left(u, v), left[box])
        if flaws.cracks is not None:
            missing[box] = np.where(cover > 0.5, 1.0 - flaws.cracks.left(u, v), missing[box])
    field = planted(plates, n_px, rng, counts=1000.0, pixel_nm=PIXEL_NM, modality="ptychography", carve=left)
    return field, missing.reshape(n_px, FINE, n_px, FINE).mean(axis=(1, 3))


def labelled(field: Field, join: bool = True) -> I32:
    total = field.measured_nm.sum(axis=0)
    labels = segment(total, field.known, PIXEL_NM)
    return join_cracked(labels, total, PIXEL_NM, SIGMA_NM) if join else labels


def run_together(labels: I32, field: Field) -> int:
    """How many planted plates share a region with another one that it holds at least a tenth of."""
    sizes, together = np.bincount(field.labels.ravel()), 0
    for number in range(1, int(labels.max()) + 1):
        held = np.bincount(field.labels[labels == number], minlength=sizes.size)
        together += max(0, int((held[1:] > 0.1 * np.maximum(sizes[1:], 1)).sum()) - 1)
    return together


def cracks_in(labels: I32, field: Field, missing: F64) -> tuple[Mask, list[float]]:
    """Middle lines (Y, X) of the cracks of all regions, and the error of the share of each whole plate."""
    total, lines, errors = field.measured_nm.sum(axis=0), np.zeros(labels.shape, bool), []
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        near = tuple(slice(max(0, side.start - 12), side.stop + 12) for side in box)
        found = cracks_of(crevices(total[near], labels[near] == number, PIXEL_NM, SIGMA_NM), PIXEL_NM, SIGMA_NM)
        lines[near] |= found.line
        plate = field.labels == np.bincount(field.labels[labels == number]).argmax()
        if plate[labels == number].any() and field.labels[plate][0] in field.whole and np.isfinite(found.share):
            errors.append(found.share - float(missing[ndimage.binary_erosion(plate, iterations=2)].mean()))
    return lines, errors


@pytest.mark.long
@pytest.mark.parametrize(("touching", "seed"), [pytest.param(0.06, 31, marks=pytest.mark.slow), (0.6, 41)])
def test_cracks_are_found_through_segmentation(touching: float, seed: int) -> None:
    design = Design(cracked=0.6, crack_nm=(24.0, 50.0), grain_um=0.35, grained=0.3)
    seen = there = pieces = together = 0
    errors, scores = [], np.zeros(4)
    for at in range(seed, seed + 3):
        field, missing = cracked_field(at, 240, replace(Powder(), touching=touching, cover=0.25), design)
        labels = labelled(field)
        lines, wrong = cracks_in(labels, field, missing)
        inside = ndimage.binary_erosion(np.isin(field.labels, field.whole), iterations=3)
        true = skeletonize(missing > 0.5) & inside
        seen, there = seen + int((true & ndimage.binary_dilation(lines, iterations=2)).sum()), there + int(true.sum())
        errors += wrong
        pieces += int(labelled(field, join=False).max()) - int(labels.max())
        together += run_together(labels, field) - run_together(labelled(field, join=False), field)
        _, iou, right, extra, lost = panoptic_quality(labels, field)
        scores += (iou * right, right, extra, lost)
    rms, quality = float(np.sqrt(np.mean(np.square(errors)))), scores[0] / (scores[1] + 0.5 * (scores[2] + scores[3]))
    print(
        f"cracks through segment, touching {touching}: recall {seen / there:.3f}, share +- {rms:.4f}, PQ {quality:.3f},"
        f" {pieces} pieces joined, {together} plates joined"
    )
    assert seen / there >= RECALL
    assert rms <= SHARE
    assert quality >= LEAST_PQ
    assert together == 0


@pytest.mark.long
def test_plates_that_touch_stay_apart() -> None:
    before = after = 0
    for seed in range(51, 54):
        powder = replace(Powder(), touching=0.6, cover=0.25)
        field, _ = cracked_field(seed, 240, powder, Design())
        before, after = before + int(labelled(field, join=False).max()), after + int(labelled(field).max())
    print(f"plates that touch: {before} regions, {after} after joining")
    assert after == before


def two_plates(gap_nm: float, step: float = 0.0, parallel: bool = True) -> tuple[I32, F64]:
    """Two plates with a gap between, as maps: halves of one plate, or two ellipses that touch."""
    y, x = (np.indices((120, 120)) - 59.5) * PIXEL_NM
    if parallel:
        plate, side = np.abs(x / 450.0) ** 3 + np.abs(y / 350.0) ** 3 < 1.0, x + 0.3 * y
        one, other = plate & (side < -0.5 * gap_nm), plate & (side > 0.5 * gap_nm)
    else:
        half = 0.5 * gap_nm + 250.0
        one, other = (((x + at) / 250.0) ** 2 + (y / 400.0) ** 2 < 1.0 for at in (half, -half))
    return (one + 2 * other).astype(np.int32), 100.0 * one + 100.0 * (1.0 + step) * other


@pytest.mark.parametrize(
    ("name", "maps", "regions"),
    [
        ("a crack", two_plates(40.0), 1),
        ("a crack that is a cut", two_plates(0.0), 1),
        ("a wide gap", two_plates(120.0), 2),
        ("halves of unlike thickness", two_plates(40.0, step=0.3), 2),
        ("ellipses", two_plates(10.0, parallel=False), 2),
    ],
)
def test_a_crack_runs_over_the_whole_width_of_one_plate(name: str, maps: tuple[I32, F64], regions: int) -> None:
    joined = join_cracked(*maps, PIXEL_NM, SIGMA_NM)
    assert int(joined.max()) == regions, name
    assert ((joined > 0) >= (maps[0] > 0)).all()
    turned = join_cracked(maps[0][::-1, ::-1], maps[1][::-1, ::-1], PIXEL_NM, SIGMA_NM)
    np.testing.assert_array_equal(turned[::-1, ::-1] > 0, joined > 0)


def test_two_cracks_and_a_splinter_are_one_plate() -> None:
    y, x = (np.indices((120, 120)) - 59.5) * PIXEL_NM
    plate = np.abs(x / 450.0) ** 3 + np.abs(y / 350.0) ** 3 < 1.0
    whole = plate & (np.abs(x + 0.2 * y - 150.0) > 20.0) & (np.abs(x - 0.3 * y + 150.0) > 20.0)
    whole &= np.abs(x + y - 520.0) > 20.0
    pieces, count = ndimage.label(whole)
    sizes = np.bincount(pieces.ravel())
    kept = [number for number in range(1, count + 1) if sizes[number] > 200]
    labels = sum((n + 1) * (pieces == number) for n, number in enumerate(kept)).astype(np.int32)
    assert count > len(kept) == 3
    joined = join_cracked(labels, 100.0 * whole, PIXEL_NM, SIGMA_NM)
    assert joined.max() == 1
    assert (joined > 0)[whole].mean() > 0.99


def test_coarse_or_empty_maps_are_left_as_they_are() -> None:
    labels, thick = two_plates(40.0)
    assert join_cracked(labels, thick, 50.0, 25.0) is labels
    assert join_cracked(labels, thick, PIXEL_NM, 25.0) is labels
    nothing = np.zeros((20, 20), dtype=np.int32)
    np.testing.assert_array_equal(join_cracked(nothing, np.full((20, 20), np.nan), PIXEL_NM, SIGMA_NM), nothing)
    unknown = np.where(labels == 2, np.int32(-1), labels)
    np.testing.assert_array_equal(join_cracked(unknown, thick, PIXEL_NM, SIGMA_NM), unknown)
    line = labels[60:61]
    assert join_cracked(line, thick[60:61], PIXEL_NM, SIGMA_NM).shape == line.shape
