"""Cracks and grains of planted plates, and none where there are none."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from skimage.morphology import skeletonize

from stxmdist.particles.cracks import cracks_of
from stxmdist.particles.crevices import line_length_px
from stxmdist.particles.grain_map import grain_map
from stxmdist.particles.metrics.flaws import flaws, valleys_of
from stxmdist.particles.metrics.soc_from_flaws import soc_from_flaws
from stxmdist.simulation.design import Design
from tests.particles.planted_flaws import PIXEL_NM, SIGMA_NM, PlantedPlate, planted_plate

SHARE, RECALL, FALSE = 0.02, 0.8, 0.03
"""Error of the share of cracks, least recall of their length, and most intact plates that are called cracked; the first
two from the reference"""
D50, PQ = 0.10, 0.7
"""Error of the median size of grains, and panoptic quality of grains, from the reference"""
HALF_PERIODS_NM = (24.0, 50.0)
"""Widths from two half periods on: the half period is twice the sigma of the point spread function"""
CRACKED = Design(cracked=1.0, crack_per_um=1.5, crack_nm=HALF_PERIODS_NM)
GRAINED = Design(grain_um=0.35)
PLATES = 6


def plates(seed: int, design: Design, **how: object) -> list[PlantedPlate]:
    rng = np.random.default_rng(seed)
    return [planted_plate(rng, design, **how) for _ in range(PLATES)]  # type: ignore[arg-type]


def panoptic_quality(true: np.ndarray, found: np.ndarray) -> float:
    """Kirillov et al., CVPR 2019: mean IoU of matches over all, matches having an IoU above one half."""
    shared = np.zeros((int(true.max()) + 1, int(found.max()) + 1))
    np.add.at(shared, (true.ravel(), found.ravel()), 1)
    iou = (shared / np.maximum(shared.sum(axis=1)[:, None] + shared.sum(axis=0) - shared, 1))[1:, 1:]
    matched = iou > 0.5
    return float(iou[matched].sum() / (0.5 * (true.max() + found.max())))


@pytest.mark.parametrize(("noise", "phase"), [(0.03, True), (0.1, False)])
def test_cracks_are_found_and_weighed(noise: float, phase: bool) -> None:
    errors, seen, there, length = [], 0, 0, []
    for plate in plates(1, CRACKED, noise=noise, phase=phase):
        found = valleys_of(plate.views)
        cracks = cracks_of(found, PIXEL_NM, SIGMA_NM)
        errors.append(cracks.share - plate.missing[found.body].mean())
        true = skeletonize((plate.missing > 0.5) & found.body)
        seen += int((true & ndimage.binary_dilation(cracks.line, iterations=2)).sum())
        there += int(true.sum())
        length.append(line_length_px(cracks.line) / max(line_length_px(true), 1.0))
    rms = float(np.sqrt(np.mean(np.square(errors))))
    print(
        f"cracks, noise {noise:.0%}, {'with' if phase else 'without'} phase: share +- {rms:.4f}, recall "
        f"{seen / there:.3f}, length {np.mean(length):.2f} of the truth"
    )
    assert rms <= SHARE
    assert seen / there >= RECALL


@pytest.mark.parametrize(
    ("kind", "design", "pattern"),
    [
        ("intact", Design(), "solid_solution"),
        ("two phases", Design(), "two_phase"),
        ("core and shell", Design(), "core_shell"),
        ("grains", GRAINED, "solid_solution"),
    ],
)
def test_plates_without_cracks_have_none(kind: str, design: Design, pattern: str) -> None:
    shares = [flaws(plate.views)["crack_share"][0] for plate in plates(2, design, pattern=pattern, noise=0.06)]
    called = np.mean(np.array(shares) > 0.005)
    print(f"{kind}: called cracked {called:.2f}, largest share {max(shares):.4f}")
    assert called <= FALSE


@pytest.mark.parametrize(("design", "noise"), [(GRAINED, 0.03), (GRAINED, 0.08), (replace(GRAINED, cracked=1.0), 0.03)])
def test_grains_are_the_planted_ones(design: Design, noise: float) -> None:
    quality, sizes, lengths = [], [], []
    for plate in plates(3, design, noise=noise):
        found = valleys_of(plate.views)
        grains = grain_map(found, SIGMA_NM / PIXEL_NM)
        true = np.where(found.body, plate.grains, 0)
        numbers = np.unique(true[true > 0])
        true = np.where(true > 0, np.searchsorted(numbers, true) + 1, 0)
        quality.append(panoptic_quality(true, grains.grains))
        areas = np.bincount(plate.grains.ravel())[1:]
        d50 = np.median(2 * np.sqrt(areas[areas > 0] / np.pi)) * PIXEL_NM * 1e-3
        columns = flaws(plate.views)
        sizes.append(columns["grain_d50_um"][0] / d50)
        right, down = plate.grains[:, 1:] != plate.grains[:, :-1], plate.grains[1:] != plate.grains[:-1]
        border = np.zeros(found.body.shape, dtype=bool)
        border[:, :-1] |= right
        border[:-1] |= down
        inside = border & found.body
        lengths.append(columns["grain_boundary_per_um"][0] / (line_length_px(inside) * 1e2 / found.body.sum()))
    print(
        f"grains, noise {noise:.0%}{', cracked' if design.cracked else ''}: PQ {np.mean(quality):.3f} (least "
        f"{np.min(quality):.3f}), D50 {np.mean(sizes):.3f} of the truth, boundary density {np.mean(lengths):.3f}"
    )
    assert np.mean(quality) >= PQ
    assert np.mean(sizes) == pytest.approx(1.0, abs=D50)
    assert np.mean(lengths) == pytest.approx(1.0, abs=0.1)


def test_a_plate_of_one_crystal_has_one_grain_of_its_size() -> None:
    for plate in plates(4, replace(CRACKED, crack_per_um=0.7), noise=0.05)[:3]:
        found = flaws(plate.views)
        assert found["n_grains"][0] == 1.0
        assert found["grain_boundary_per_um"][0] == 0.0
        d_eq = 2 * np.sqrt(plate.outline.sum() / np.pi) * PIXEL_NM * 1e-3
        assert found["grain_d50_um"][0] == pytest.approx(d_eq, rel=0.1)
        assert np.isnan(soc_from_flaws(plate.views)["soc_per_um_from_grain_boundary"]).all()


def test_a_state_that_changes_away_from_cracks_has_that_slope() -> None:
    """Planted 0.4/um; twins of one state of charge have none."""
    rng = np.random.default_rng(5)
    slopes = []
    for plate in plates(5, CRACKED, noise=0.05):
        line = cracks_of(valleys_of(plate.views), PIXEL_NM, SIGMA_NM).line
        distance = ndimage.distance_transform_edt(~line) * PIXEL_NM * 1e-3
        noise = rng.normal(0.0, 0.04, (2, *line.shape))
        views = replace(plate.views, soc=np.stack([0.3 + 0.4 * distance, np.full(line.shape, 0.5)]) + noise)
        views = replace(views, total_nm=np.repeat(plate.views.total_nm, 2, axis=0))
        slopes.append(soc_from_flaws(views)["soc_per_um_from_crack"])
    mean = np.mean(slopes, axis=0)
    print(f"slope from cracks: {mean[0]:.3f}/um of 0.4, {mean[1]:+.3f}/um of 0")
    assert mean == pytest.approx([0.4, 0.0], abs=0.02)


@pytest.mark.parametrize("diameter_um", [0.05, 0.1])
def test_plates_that_are_too_small_are_not_known(diameter_um: float) -> None:
    plate = planted_plate(np.random.default_rng(6), Design(), diameter_um=diameter_um)
    found = flaws(plate.views)
    assert all(np.isnan(values).all() for values in found.values())
    assert np.isnan(soc_from_flaws(plate.views)["soc_per_um_from_crack"]).all()


def test_a_plate_that_the_field_cuts_is_measured_where_it_is_seen() -> None:
    plate = plates(7, CRACKED, noise=0.05)[0].views
    half = plate.labels.shape[0] // 2
    cut = replace(
        plate, labels=plate.labels[:half], interior=plate.interior[:half], known=plate.known[:half],
        soc=plate.soc[:, :half], total_nm=plate.total_nm[:, :half], soc_variance=plate.soc_variance[:half],
        phase_rad=None if plate.phase_rad is None else plate.phase_rad[:half],
    )  # fmt: skip
    assert np.isfinite(flaws(cut)["crack_share"]).all()
    unknown = replace(plate, known=np.zeros(plate.labels.shape, dtype=bool))
    assert np.isnan(flaws(unknown)["crack_share"]).all()
