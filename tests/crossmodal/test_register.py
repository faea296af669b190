"""A planted similarity comes back, its error is known, and what has nothing to hold on to is refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from stxmdist.arrays import F64, I32, MaskClass
from stxmdist.crossmodal.correlation import masked_correlation
from stxmdist.crossmodal.pairs import (
    PAIR_COLUMNS,
    onto_fixed,
    pair_particles,
    soc_onto_fixed,
    total_thickness,
    with_measurements,
)
from stxmdist.crossmodal.register import RegisterOptions, register
from stxmdist.crossmodal.transform import Registration
from stxmdist.errors import InputError

pytestmark = pytest.mark.long

FINE_UM, PIXEL_UM, PTYCHOGRAPHY_UM, PSF_NM = 0.01, 0.05, 0.0123, 30.0
BLUR_NM = float(np.sqrt(PSF_NM**2 - 5.0**2))
"""Ptychography is imaged through a Gaussian of 5 nm."""
N = 520


def plates(seed: int) -> tuple[F64, I32]:
    """Optical density of tilted rectangles on a 10 nm grid, and which plate each pixel is of."""
    rng = np.random.default_rng(seed)
    od, labels = np.zeros((N, N)), np.zeros((N, N), np.int32)
    y, x = np.indices((N, N))
    count = 0
    while count < 34:
        cy, cx, angle = *rng.uniform(0, N, 2), rng.uniform(0, np.pi)
        u, v = (y - cy) * np.cos(angle) + (x - cx) * np.sin(angle), (x - cx) * np.cos(angle) - (y - cy) * np.sin(angle)
        half_u, half_v = rng.uniform(15, 40, 2)
        wide = (np.abs(u) < half_u + 8) & (np.abs(v) < half_v + 8)
        if (labels[wide] > 0).any():
            continue
        count += 1
        inside = (np.abs(u) < half_u) & (np.abs(v) < half_v)
        od[inside], labels[inside] = rng.uniform(0.5, 1.5), count
    return od, labels


def truth(
    rotation_deg: float, scale: float, shift_um: tuple[float, float], centre: tuple[float, float]
) -> Registration:
    angle = np.radians(rotation_deg)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    offset = np.array(centre) + shift_um - linear @ centre
    return Registration(np.column_stack([linear, offset]), shift_um, rotation_deg, scale, 0.0, 1.0, True, "planted")


def scene(planted: Registration, seed: int = 1, noise: float = 0.02, contrast: float = 0.0):  # type: ignore[no-untyped-def]
    """STXM and ptychography (optical density, axes, labels) of one field; ptychography sees 2.5 um of its middle."""
    od, labels = plates(seed)
    rng = np.random.default_rng(seed)
    y_um, x_um = 3.0 + FINE_UM * np.arange(N), -7.0 + FINE_UM * np.arange(N)
    middle = slice(2, None, 5)
    other = od * (1 + contrast * rng.uniform(-0.5, 0.5, labels.max() + 1)[labels])
    fixed = -np.log(ndimage.gaussian_filter(np.exp(-other), PSF_NM / 10)[middle, middle])
    fixed_axes = (y_um[middle], x_um[middle])
    v, u = (axis[N // 2] + PTYCHOGRAPHY_UM * np.arange(-101, 102) for axis in (y_um, x_um))
    y, x = planted(*np.meshgrid(v, u, indexing="ij"))
    where = [(y - 3.0) / FINE_UM, (x + 7.0) / FINE_UM]
    moving = ndimage.map_coordinates(-np.log(ndimage.gaussian_filter(np.exp(-od), 0.5)), where, order=1)
    fixed = fixed + rng.normal(0, noise, fixed.shape)
    moving = moving + rng.normal(0, 0.02, moving.shape)
    seen = ndimage.map_coordinates(labels, where, order=0)
    return (fixed, fixed_axes, labels[middle, middle]), (moving, (v, u), seen)


CENTRE = (3.0 + FINE_UM * (N // 2), -7.0 + FINE_UM * (N // 2))


def target_error_um(found: Registration, planted: Registration, axes: tuple[F64, F64]) -> float:
    grid = np.meshgrid(*axes, indexing="ij")
    (y, x), (v, u) = found(*grid), planted(*grid)
    return float(np.sqrt(((y - v) ** 2 + (x - u) ** 2).mean()))


@pytest.mark.parametrize(
    ("rotation_deg", "scale", "shift_um"),
    [(1.3, 1.015, (0.31, -0.22)), (-3.0, 0.985, (-1.1, 0.9)), (0.0, 1.0, (0.0, 0.0)), (0.5, 1.0, (1.7, 0.4))],
)
def test_a_planted_similarity_comes_back(rotation_deg: float, scale: float, shift_um: tuple[float, float]) -> None:
    planted = truth(rotation_deg, scale, shift_um, CENTRE)
    (fixed, fixed_axes, _), (moving, moving_axes, _) = scene(planted)
    found = register(fixed, fixed_axes, moving, moving_axes, blur_nm=BLUR_NM)
    assert found.accepted, found.reason
    error = target_error_um(found, planted, moving_axes)
    # The promise is half an STXM pixel; plates without distortion do better, even half out of the field.
    assert error < 0.2 * PIXEL_UM
    assert error < 4 * found.error_um + 0.001
    assert found.rotation_deg == pytest.approx(rotation_deg, abs=0.15)
    assert found.scale == pytest.approx(scale, abs=0.005)
    assert found.shift_um == pytest.approx(shift_um, abs=0.2 * PIXEL_UM)


@pytest.mark.parametrize("seed", [2, 3])
def test_other_contrast_and_noise_cost_accuracy_that_is_said(seed: int) -> None:
    planted = truth(1.0, 1.01, (0.2, -0.3), CENTRE)
    (fixed, fixed_axes, _), (moving, moving_axes, _) = scene(planted, seed, noise=0.1, contrast=0.8)
    found = register(fixed, fixed_axes, moving, moving_axes, blur_nm=BLUR_NM)
    assert found.accepted, found.reason
    error = target_error_um(found, planted, moving_axes)
    assert error < 0.5 * PIXEL_UM
    assert error < 4 * found.error_um
    assert found.score < 0.99


def test_forth_and_back_is_the_same_place() -> None:
    planted = truth(2.0, 1.03, (0.4, 0.1), CENTRE)
    y, x = np.array([5.0, 5.5]), np.array([-4.0, -4.4])
    back = planted.inverse(*planted(y, x))
    np.testing.assert_allclose(back, (y, x))
    assert np.sqrt(np.linalg.det(planted.matrix[:, :2])) == pytest.approx(1.03)


def test_unknown_pixels_of_either_do_not_mislead() -> None:
    planted = truth(0.7, 1.0, (0.15, 0.25), CENTRE)
    (fixed, fixed_axes, _), (moving, moving_axes, _) = scene(planted)
    fixed[40:46] = np.nan
    moving[:30, :60] = np.nan
    found = register(fixed, fixed_axes, moving, moving_axes, blur_nm=BLUR_NM)
    assert found.accepted, found.reason
    assert target_error_um(found, planted, moving_axes) < 0.1 * PIXEL_UM


def test_thickness_registers_as_optical_density_does() -> None:
    planted = truth(0.7, 1.0, (0.15, 0.25), CENTRE)
    (fixed, fixed_axes, _), (moving, moving_axes, _) = scene(planted)
    one = register(fixed, fixed_axes, moving, moving_axes, blur_nm=BLUR_NM)
    other = register(100 * fixed, fixed_axes, 100 * moving, moving_axes, blur_nm=BLUR_NM, od_per_unit=0.01)
    np.testing.assert_allclose(one.matrix, other.matrix, atol=1e-6)


def test_nothing_to_hold_on_to_is_refused_with_a_reason() -> None:
    planted = truth(0.0, 1.0, (0.0, 0.0), CENTRE)
    (fixed, fixed_axes, _), (moving, moving_axes, _) = scene(planted)
    rng = np.random.default_rng(5)
    elsewhere = tuple(axis + 500.0 for axis in moving_axes)
    periodic = 0.5 + 0.4 * np.sign(np.sin(np.arange(len(fixed)) * 2 * np.pi / 24))[:, None] * np.ones(len(fixed))
    periodic_moving = 0.5 + 0.4 * np.sign(np.sin(np.arange(203) * PTYCHOGRAPHY_UM / 1.2 * 2 * np.pi))[
        :, None
    ] * np.ones(203)
    cases = {
        "no structure in the fixed": (np.zeros_like(fixed) + rng.normal(0, 0.01, fixed.shape), moving, moving_axes),
        "no structure in the moving": (fixed, np.full_like(moving, 0.3), moving_axes),
        "correlate": (rng.normal(0, 0.2, fixed.shape), moving, moving_axes),
        "no known pixels": (fixed * np.nan, moving, moving_axes),
        "correlate by": (fixed, moving[:, ::-1], elsewhere),
        "another place": (periodic, periodic_moving, moving_axes),
    }
    for reason, (one, other, axes) in cases.items():
        found = register(one, fixed_axes, other, axes, blur_nm=BLUR_NM)
        assert not found.accepted, reason
        assert reason in found.reason


def test_an_incredible_rotation_is_refused() -> None:
    planted = truth(4.0, 1.0, (0.0, 0.0), CENTRE)
    (fixed, fixed_axes, _), (moving, moving_axes, _) = scene(planted)
    strict = RegisterOptions(maximum_rotation_deg=2.0)
    found = register(fixed, fixed_axes, moving, moving_axes, strict, blur_nm=BLUR_NM)
    assert "not credible" in found.reason


def test_axes_that_do_not_fit_are_explained() -> None:
    (fixed, fixed_axes, _), (moving, moving_axes, _) = scene(truth(0.0, 1.0, (0.0, 0.0), CENTRE))
    with pytest.raises(InputError, match="moving"):
        register(fixed, fixed_axes, moving, (moving_axes[0][::-1], moving_axes[1]))
    with pytest.raises(InputError, match="fixed"):
        register(fixed[:-1], fixed_axes, moving, moving_axes)


def test_masked_correlation_is_pearsons_at_every_placement() -> None:
    rng = np.random.default_rng(6)
    fixed, moving = rng.normal(5, 1, (13, 17)), rng.normal(-3, 2, (5, 7))
    fixed_known, moving_known = rng.random(fixed.shape) < 0.8, rng.random(moving.shape) < 0.9
    found = masked_correlation(fixed, fixed_known, moving, moving_known, 0.3)
    assert found.shape == (17, 23)
    checked = 0
    for row in range(-4, 13):
        for column in range(-6, 17):
            y, x = np.indices(moving.shape)
            y, x = y + row, x + column
            inside = (y >= 0) & (y < 13) & (x >= 0) & (x < 17) & moving_known
            inside[inside] &= fixed_known[y[inside], x[inside]]
            value = found[row + 4, column + 6]
            if inside.sum() < 0.3 * moving_known.sum():
                assert np.isnan(value)
                continue
            assert value == pytest.approx(np.corrcoef(fixed[y[inside], x[inside]], moving[inside])[0, 1], abs=1e-9)
            checked += 1
    assert checked > 100


def test_particles_are_paired_through_the_transform() -> None:
    planted = truth(1.3, 1.015, (0.31, -0.22), CENTRE)
    (_, fixed_axes, labels_stxm), (_, moving_axes, labels_ptychography) = scene(planted)
    # The same plates carry the same number in both; give ptychography's other names.
    table = pair_particles(
        labels_stxm, fixed_axes, labels_ptychography + 100 * (labels_ptychography > 0), moving_axes, planted
    )
    assert tuple(table.columns) == PAIR_COLUMNS
    assert len(table) >= 5
    np.testing.assert_array_equal(table["particle_id_stxm"] + 100, table["particle_id_ptychography"])
    whole = np.setdiff1d(
        labels_ptychography, [0, *labels_ptychography[[0, -1]].ravel(), *labels_ptychography[:, [0, -1]].ravel()]
    )
    assert set(whole) <= set(table["particle_id_stxm"])
    inner = table[table["particle_id_stxm"].isin(whole)]
    assert (inner["iou"] > 0.8).all()
    assert (inner["distance_um"] < 0.5 * PIXEL_UM).all()


def test_what_one_image_merges_and_the_other_parts_is_one_group() -> None:
    axes = (0.05 * np.arange(40), 0.05 * np.arange(60))
    parted = np.zeros((40, 60), np.int32)
    parted[5:15, 5:15], parted[5:15, 15:30] = 1, 2
    parted[20:35, 5:20], parted[20:35, 40:55] = 3, 4
    merged = parted.copy()
    merged[merged == 2] = 1
    merged[merged == 4] = 9
    here = truth(0.0, 1.0, (0.0, 0.0), (0.0, 0.0))
    for one, other, relation in ((merged, parted, "merged"), (parted, merged, "split")):
        table = pair_particles(one, axes, other, axes, here)
        assert len(table) == 4
        group = table[table["relation"] == relation]
        assert len(group) == 2
        assert group["group_id"].nunique() == 1
        assert (group["iou"] == 1.0).all()
        assert (group["distance_um"] < 1e-9).all()
        assert set(table[table["relation"] == "one-to-one"]["particle_id_stxm"]) in ({3, 9}, {3, 4})
    # A crumb beside a particle parts nothing.
    crumb = merged.copy()
    crumb[5:15, 5:7] = 7
    assert (pair_particles(merged, axes, crumb, axes, here)["relation"] == "one-to-one").all()


def test_nothing_to_pair_is_an_empty_table() -> None:
    planted = truth(0.0, 1.0, (0.0, 0.0), CENTRE)
    (_, fixed_axes, labels_stxm), (_, moving_axes, labels) = scene(planted)
    for one, other in ((0 * labels_stxm, labels), (labels_stxm, 0 * labels - 1)):
        table = pair_particles(one, fixed_axes, other, moving_axes, planted)
        assert list(table.columns) == list(PAIR_COLUMNS)
        assert len(table) == 0


def test_maps_brought_over_keep_their_mass_and_place() -> None:
    planted = truth(1.3, 1.015, (0.31, -0.22), CENTRE)
    (_, fixed_axes, _), (_, moving_axes, _) = scene(planted)
    v, u = np.meshgrid(*moving_axes, indexing="ij")
    y, x = planted(v, u)
    at = (5.8, -4.6)
    blob = np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / (2 * 0.2**2))
    over = onto_fixed(np.stack([blob, 2 * blob]), moving_axes, fixed_axes, planted, sigma_um=0.15)
    gy, gx = np.meshgrid(*fixed_axes, indexing="ij")
    expected = 0.2**2 / 0.25**2 * np.exp(-((gy - at[0]) ** 2 + (gx - at[1]) ** 2) / (2 * 0.25**2))
    known = np.isfinite(over[0])
    assert 1500 < known.sum() < 3500
    # Near the field's border the blur has nothing beyond to take in.
    deep = ndimage.binary_erosion(known, iterations=10)
    np.testing.assert_allclose(over[0][deep], expected[deep], atol=0.004)
    np.testing.assert_allclose(over[1][known], 2 * over[0][known])


def test_state_of_charge_is_brought_over_as_a_ratio_of_thicknesses() -> None:
    planted = truth(1.3, 1.015, (0.31, -0.22), CENTRE)
    (fixed, fixed_axes, _), (moving, moving_axes, _) = scene(planted)
    thickness = np.stack([30.0 * np.ones_like(moving), 90.0 * np.ones_like(moving)])
    mask_class = np.full(moving.shape, MaskClass.valid, np.uint8)
    mask_class[:40] = MaskClass.outside
    mask_class[40:, :30] = MaskClass.thick
    thickness[:, :, 120:] *= 0.01
    soc = soc_onto_fixed(thickness, mask_class, moving_axes, fixed_axes, planted, blur_nm=20.0, od_per_unit=0.01)
    assert soc.shape == fixed.shape
    assert soc.dtype == np.float32
    known = np.isfinite(soc)
    np.testing.assert_allclose(soc[known], 0.75, atol=1e-6)
    # Rows that were not measured and columns that absorb too little are not known; thick pixels are.
    v, u = planted.inverse(*np.meshgrid(*fixed_axes, indexing="ij"))
    row, column = (v - moving_axes[0][0]) / PTYCHOGRAPHY_UM, (u - moving_axes[1][0]) / PTYCHOGRAPHY_UM
    clear = (row > 50) & (row < 200) & (column > 2) & (column < 110)
    assert known[clear].all()
    assert not known[row < 39].any()
    assert not known[(row > 50) & (column > 130)].any()
    refused = replace(planted, accepted=False)
    arguments = (thickness, mask_class, moving_axes, fixed_axes, refused)
    assert np.isnan(soc_onto_fixed(*arguments, blur_nm=20.0, od_per_unit=0.01)).all()


def test_the_total_is_not_known_where_nothing_was_measured() -> None:
    mask_class = np.array([[MaskClass.valid, MaskClass.missing, MaskClass.outside, MaskClass.edge]], np.uint8)
    total = total_thickness(np.array([[[1.0, 2.0, 3.0, 4.0]], [[10.0, 20.0, 30.0, 40.0]]]), mask_class)
    np.testing.assert_array_equal(total, [[11.0, np.nan, np.nan, 44.0]])


def test_pairs_carry_what_either_modality_measured() -> None:
    pairs = pd.DataFrame({"particle_id_stxm": [2], "particle_id_ptychography": [1], "iou": [0.8], "distance_um": [0.0]})
    stxm = pd.DataFrame({"particle_id": [1, 2], "soc_mean": [0.1, 0.2], "soc_se": 0.01, "d_eq_um": 0.5, "more": "x"})
    fine = pd.DataFrame({"particle_id": [1], "soc_mean": [0.25], "soc_se": 0.02, "d_eq_um": 0.4})
    (row,) = with_measurements(pairs, {"stxm": ("wide", stxm), "ptychography": ("fine", fine)}).to_dict("records")
    assert (row["scan_id_stxm"], row["scan_id_ptychography"]) == ("wide", "fine")
    assert (row["soc_mean_stxm"], row["soc_mean_ptychography"], row["d_eq_um_ptychography"]) == (0.2, 0.25, 0.4)
    assert "more_stxm" not in row
