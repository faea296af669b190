"""State of charge of particles: exact sums, honest errors, noise-free spreads, and a flag beside every gap."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from stxmdist.arrays import F64, I32, U8, MaskClass
from stxmdist.errors import InputError
from stxmdist.particles.chemistry import CHEMISTRY_COLUMNS, PointSpread, chemistry_table, reach_of
from stxmdist.particles.inside import ChemicalMaps, ChemistryOptions
from stxmdist.particles.table import particle_table

SIDE = 31


def fitted(labels: I32, soc: F64, thickness: F64, noise_nm: float = 0.0, seed: int = 0) -> ChemicalMaps:
    """Maps of a known soc field with independent errors of both thicknesses."""
    rng = np.random.default_rng(seed)
    parts = np.stack([thickness * (1 - soc), thickness * soc])
    parts = parts + noise_nm * rng.normal(size=parts.shape)
    total = parts.sum(0)
    with np.errstate(all="ignore"):
        ratio = parts[1] / total
        se = noise_nm * np.hypot(ratio, 1 - ratio) / np.abs(total)
    covariance = np.stack([np.full_like(total, noise_nm**2), np.zeros_like(total), np.full_like(total, noise_nm**2)])
    return ChemicalMaps(parts, covariance, ratio, se, classes(labels))


def classes(labels: I32, edge_px: float = 1.5) -> U8:
    out = np.full(labels.shape, MaskClass.background, np.uint8)
    out[labels > 0] = MaskClass.valid
    out[(labels > 0) & (ndimage.distance_transform_edt(labels > 0) <= edge_px)] = MaskClass.edge
    return out


def squares(n: int = 1, side: int = SIDE) -> I32:
    """n square particles in a row."""
    labels = np.zeros((side + 6, (side + 6) * n), np.int32)
    for k in range(n):
        labels[3 : 3 + side, (side + 6) * k + 3 : (side + 6) * k + 3 + side] = k + 1
    return labels


def only(labels, maps, **more):  # type: ignore[no-untyped-def]
    table = chemistry_table(labels, maps, **more)
    assert tuple(table.columns) == CHEMISTRY_COLUMNS
    assert len(table) == 1
    return table.iloc[0]


def test_the_mean_is_a_ratio_of_sums_not_a_mean_of_ratios() -> None:
    labels = squares()
    rng = np.random.default_rng(1)
    soc, thickness = rng.uniform(-0.1, 1.1, labels.shape), rng.uniform(30, 300, labels.shape)
    inside = labels == 1
    row = only(labels, fitted(labels, soc, thickness))
    assert row["soc_mean"] == pytest.approx((soc * thickness)[inside].sum() / thickness[inside].sum())
    assert abs(row["soc_mean"] - np.mean(soc[inside])) > 1e-4


def test_standard_error_is_that_of_the_mean_and_grows_with_the_correlation_area() -> None:
    n, noise = 400, 25.0
    labels = squares(n, side=9)
    soc, thickness = np.full(labels.shape, 0.3), np.full(labels.shape, 100.0)
    maps = fitted(labels, soc, thickness, noise, seed=2)
    table = chemistry_table(labels, maps)
    # Relative standard error of a standard deviation from 400: 0.035.
    assert np.std(table["soc_mean"]) == pytest.approx(table["soc_se_stat"].mean(), rel=0.12)
    pull = (table["soc_mean"] - 0.3) / table["soc_se"]
    assert abs(pull.mean()) < 4 / np.sqrt(n)
    wider = chemistry_table(labels, replace(maps, noise_correlation_px2=4.0), soc_se_sys=0.02)
    np.testing.assert_allclose(wider["soc_se_stat"], 2 * table["soc_se_stat"])
    np.testing.assert_allclose(wider["soc_se"], np.hypot(wider["soc_se_stat"], 0.02))


def test_smoothed_noise_has_the_correlation_area_that_is_documented() -> None:
    n, sigma = 400, 1.1
    labels = squares(n, side=21)
    parts = np.zeros((2, *labels.shape)) + 50.0
    noise = np.stack(
        [ndimage.gaussian_filter(np.random.default_rng(k).normal(size=labels.shape), sigma) for k in (0, 1)]
    )
    power = float(noise.var())
    parts += 10 * noise
    covariance = np.stack([np.full(labels.shape, 100 * power * f) for f in (1, 0, 1)])
    soc, se = parts[1] / parts.sum(0), np.full(labels.shape, 0.1)
    maps = ChemicalMaps(parts, covariance, soc, se, classes(labels), noise_correlation_px2=4 * np.pi * sigma**2)
    table = chemistry_table(labels, maps)
    # A particle of 21 px is finite: edges lose a little of the area.
    assert np.std(table["soc_mean"]) == pytest.approx(table["soc_se_stat"].mean(), rel=0.15)


def test_spread_inside_is_free_of_noise() -> None:
    n = 60
    labels = squares(n, side=23)
    rng = np.random.default_rng(3)
    soc = 0.5 + rng.normal(0, 0.10, labels.shape)
    maps = fitted(labels, soc, np.full(labels.shape, 150.0), noise_nm=15.0, seed=4)
    table = chemistry_table(labels, maps)
    assert np.sqrt(table["soc_var_intra"].mean()) == pytest.approx(0.10, rel=0.03)
    raw = np.nanstd(maps.soc[labels > 0])
    assert raw > 0.11
    flat = chemistry_table(labels, fitted(labels, np.full(labels.shape, 0.5), np.full(labels.shape, 150.0), 15.0))
    assert abs(flat["soc_var_intra"].mean()) < 0.1 * 0.07**2
    clipped = flat["soc_sd"] == 0
    assert 0 < clipped.sum() < n
    assert flat.loc[clipped, "flags"].str.contains("sd clipped").all()


def test_component_order_and_mirror_symmetry() -> None:
    labels = squares()
    rng = np.random.default_rng(5)
    soc = ndimage.gaussian_filter(rng.uniform(0, 1, labels.shape), 2)
    thickness = rng.uniform(80, 160, labels.shape)
    one, other = only(labels, fitted(labels, soc, thickness)), only(labels, fitted(labels, 1 - soc, thickness))
    assert other["soc_mean"] == pytest.approx(1 - one["soc_mean"])
    assert other["soc_sd"] == pytest.approx(one["soc_sd"])
    assert other["f_charged"] == pytest.approx(one["f_discharged"])
    assert other["core_shell_index"] == pytest.approx(-one["core_shell_index"])


def field_of(kind: str) -> F64:
    y, x = np.indices(squares().shape) - (SIDE + 5) / 2
    if kind == "two-phase":
        return ndimage.gaussian_filter(np.where(x + 0.3 * y > 2, 0.97, 0.03), 0.6)
    if kind == "solid-solution":
        return 0.5 + 0.03 * x
    if kind == "shell":
        return np.where(np.maximum(abs(y), abs(x)) > 9.4, 0.95, 0.05)
    return np.full(y.shape, {"charged": 0.98, "discharged": 0.02, "middle": 0.6}[kind])


@pytest.mark.parametrize("noise_nm", [0.0, 6.0])
@pytest.mark.parametrize(
    ("kind", "phase", "active"),
    [
        ("two-phase", "two-phase", True),
        ("solid-solution", "solid-solution", True),
        ("shell", "two-phase", True),
        ("charged", "charged", False),
        ("discharged", "discharged", False),
        ("middle", "solid-solution", True),
    ],
)
def test_phases_are_told_apart(kind: str, phase: str, active: bool, noise_nm: float) -> None:
    labels = squares()
    row = only(labels, fitted(labels, field_of(kind), np.full(labels.shape, 120.0), noise_nm))
    assert row["phase_class"] == phase
    assert bool(row["active"]) == active
    assert row["f_charged"] + row["f_mixed"] + row["f_discharged"] == pytest.approx(1.0)


def test_noise_alone_makes_no_two_phases() -> None:
    labels = squares()
    row = only(labels, fitted(labels, np.full(labels.shape, 0.5), np.full(labels.shape, 60.0), 30.0))
    assert row["f_charged"] > 0.2
    assert row["phase_class"] == "solid-solution"
    assert "noisy pixels" in row["flags"]


def test_core_and_shell_have_their_sign() -> None:
    labels = squares()
    plate = np.full(labels.shape, 120.0)
    shell, middle = (only(labels, fitted(labels, field_of(kind), plate)) for kind in ("shell", "middle"))
    assert shell["core_shell_index"] == pytest.approx(0.9, abs=0.05)
    assert middle["core_shell_index"] == pytest.approx(0.0)


def test_the_reach_takes_in_what_the_psf_throws_over_the_outline() -> None:
    labels = squares()
    thickness = np.where(labels > 0, 2e-3, 0.0)
    # So thin that transmission is linear: only the outline can lose mass, and it loses the charged shell's.
    y, x = np.indices(labels.shape) - (SIDE + 5) / 2
    soc = np.where(np.maximum(abs(y), abs(x)) > 12, 1.0, 0.0)
    true = float(soc[labels == 1].mean())
    blurred = np.stack([ndimage.gaussian_filter(thickness * part, 1.2) for part in (1 - soc, soc)]) * 1e5
    maps = replace(fitted(labels, soc, thickness), thickness_nm=blurred)
    tight, wide = only(labels, maps)["soc_mean"], only(labels, maps, reach=reach_of(labels, 1.2))["soc_mean"]
    assert tight < true - 0.01
    assert wide == pytest.approx(true, abs=0.003)
    both = squares(2)
    np.testing.assert_array_equal(reach_of(both, 1.2)[both > 0], both[both > 0])


def test_what_the_psf_adds_is_taken_off_and_a_share_of_it_doubted() -> None:
    labels = squares()
    maps = fitted(labels, field_of("middle"), np.full(labels.shape, 120.0))
    row = only(labels, maps, psf=PointSpread(soc_bias=np.array([0.04])), soc_se_sys=0.01)
    assert row["soc_mean"] == pytest.approx(0.56)
    assert row["soc_se_sys"] == pytest.approx(0.01)
    levelled = only(labels, maps, psf=PointSpread(variance=np.array([-0.02])), soc_se_sys=0.01)
    assert levelled["soc_var_intra"] == pytest.approx(row["soc_var_intra"] + 0.02)
    assert levelled["soc_se_sys"] == pytest.approx(np.hypot(0.01, ChemistryOptions().psf_doubt * np.sqrt(0.02)))
    assert "psf bias unknown" in only(labels, maps, psf=PointSpread(soc_bias=np.array([np.nan])))["flags"]


def test_masked_pixels_do_not_count_and_are_said() -> None:
    labels = squares()
    maps = fitted(labels, np.where(np.indices(labels.shape)[1] > 15, 1.0, 0.2), np.full(labels.shape, 100.0))
    mask = classes(labels)
    mask[:, 16:] = MaskClass.thick
    maps.thickness_nm[:, 20, :10] = np.nan
    (row,) = chemistry_table(labels, replace(maps, mask_class=mask)).to_dict("records")
    assert row["soc_mean"] == pytest.approx(0.2)
    assert "masked pixels" in row["flags"]


def test_what_fits_poorly_is_left_out_and_doubted() -> None:
    labels = squares()
    columns = np.indices(labels.shape)[1]
    maps = fitted(labels, np.where(columns > 30, 1.0, 0.2), np.full(labels.shape, 100.0))
    mask = classes(labels)
    mask[:, 31:] = np.where(mask[:, 31:] == MaskClass.background, MaskClass.background, MaskClass.poor_fit)
    row, whole = only(labels, replace(maps, mask_class=mask)), only(labels, maps)
    assert row["soc_mean"] == pytest.approx(0.2)
    assert whole["soc_mean"] > 0.25
    assert row["soc_se_sys"] == pytest.approx(whole["soc_mean"] - 0.2)


def test_every_gap_has_its_flag() -> None:
    labels = np.zeros((40, 40), np.int32)
    labels[2:4, 2:4] = 1
    labels[10:13, 10:20] = 2
    labels[20:35, 20:35] = 4
    labels[36:39, 2:5] = 7
    maps = fitted(labels, np.full(labels.shape, 0.5), np.where(labels == 7, 0.0, 100.0), 2.0)
    mask = classes(labels)
    mask[labels == 4] = MaskClass.low_count
    table = chemistry_table(labels, replace(maps, mask_class=mask)).set_index("particle_id")
    assert list(table.index) == [1, 2, 4, 7]
    assert "few pixels" in table.loc[1, "flags"]
    assert "edge only" in table.loc[1, "flags"]
    assert table.loc[4, "flags"] == "no usable pixels"
    assert table.loc[7, "flags"] == "no mass"
    gaps = table.isna().any(axis=1)
    assert (table.loc[gaps, "flags"] != "").all()
    assert (table.loc[[4, 7], "phase_class"] == "unknown").all()
    assert table["active"].isna().tolist() == [False, False, True, True]


def test_overlap_is_suspected() -> None:
    labels = squares()
    thickness = np.full(labels.shape, 100.0)
    thickness[:, 20:] = 210.0
    assert "overlap suspected" in only(labels, fitted(labels, np.full(labels.shape, 0.5), thickness))["flags"]


def test_the_table_joins_shape_and_flags() -> None:
    labels = squares()[3:]
    maps = fitted(labels, field_of("middle")[3:], np.full(labels.shape, 120.0))
    axes = (0.05 * np.arange(labels.shape[0]), 0.05 * np.arange(labels.shape[1]))
    (row,) = particle_table(labels, *axes, maps).to_dict("records")
    assert row["flags"] == "touches border"
    assert row["n_pixels"] == SIDE**2
    assert len(particle_table(0 * labels, *axes, maps)) == 0


def test_maps_of_other_shapes_are_refused() -> None:
    labels = squares()
    maps = fitted(labels, field_of("middle"), np.full(labels.shape, 120.0))
    with pytest.raises(InputError, match="soc_se"):
        chemistry_table(labels, replace(maps, soc_se=np.zeros((3, 3))))


def test_a_ratio_of_few_noisy_sums_is_freed_of_its_bias_and_errors_grow_with_the_gain() -> None:
    n, noise, soc, pixels = 300, 15.0, 0.9, 9
    labels = squares(n, side=3)
    maps = fitted(labels, np.full(labels.shape, soc), np.full(labels.shape, 100.0), noise, seed=11)
    parts = maps.thickness_nm[:, labels > 0].reshape(2, 3, n, 3).sum(axis=(1, 3))
    taken_off = parts[1] / parts.sum(axis=0) - chemistry_table(labels, maps)["soc_mean"]
    # soc Var(total) - Cov(charged, total) over total^2, of independent errors of both thicknesses.
    expected = (2.0 * soc - 1.0) * pixels * noise**2 / (100.0 * pixels) ** 2
    assert taken_off.mean() == pytest.approx(expected, rel=0.1)
    middle = fitted(squares(), field_of("middle"), np.full(squares().shape, 90.0), 5.0)
    one = only(squares(), middle)
    wider = only(squares(), middle, psf=PointSpread(gain=np.array([1.2])), soc_se_sys=0.01)
    assert wider["soc_se_stat"] == pytest.approx(1.2 * one["soc_se_stat"])
    assert wider["soc_se_sys"] == pytest.approx(0.012)
