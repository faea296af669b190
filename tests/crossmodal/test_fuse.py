"""The fused map is at least as near to the truth as the better of both scans, and its error is known."""

import numpy as np
import pytest
from scipy import ndimage

from stxmdist.arrays import F64
from stxmdist.crossmodal.fuse import ThicknessMaps, fuse
from stxmdist.crossmodal.transform import Axes, Registration

FINE_UM, WIDE_UM, BLUR_NM = 0.016, 0.05, 27.0
FINE_NM, WIDE_NM = 12.0, 3.0
"""Standard errors of thickness: the wide field counts longer."""

IDENTITY = Registration(np.eye(2, 3), (0.0, 0.0), 0.0, 1.0, 0.0, 1.0, True, "planted")

PULLS = (0.9, 1.2)
"""Errors over what is claimed, of a map as a whole"""

BOUNDARY_PULL = 1.3
"""The same at a boundary, whose detail is more than is expected thereabouts (1.7 before what is lost of it counted)"""


def truth(y: F64, x: F64) -> F64:
    """Thicknesses (2, ...) in nm: a plate of 150 nm whose state of charge changes across a soft boundary."""
    soc = 0.1 + 0.8 / (1.0 + np.exp(-(x + 0.3 * np.sin(3 * y)) / 0.08))
    return 150.0 * np.stack([1.0 - soc, soc])


def covariance(sd: float, shape: tuple[int, ...]) -> F64:
    return np.stack([np.full(shape, sd**2), np.full(shape, -0.3 * sd**2), np.full(shape, sd**2)])


def noise(rng: np.random.Generator, sd: float, shape: tuple[int, ...]) -> F64:
    one, other = rng.normal(size=(2, *shape))
    return sd * np.stack([one, -0.3 * one + np.sqrt(1 - 0.09) * other])


def axis(half_um: float, pitch_um: float) -> F64:
    return np.arange(-half_um, half_um + 1e-9, pitch_um)


def scans(
    rng: np.random.Generator, wide_sd: float = WIDE_NM, fine_sd: float = FINE_NM
) -> tuple[ThicknessMaps, ThicknessMaps, F64]:
    """Wide and fine maps, and the true fine thicknesses."""
    fine_axes: Axes = (axis(1.2, FINE_UM), axis(1.2, FINE_UM))
    wide_axes: Axes = (axis(2.0, WIDE_UM), axis(2.0, WIDE_UM))
    dense = axis(2.2, 0.01)
    # What the optics blur, and what a pixel averages over.
    sigma = np.hypot(1e-3 * BLUR_NM, WIDE_UM / np.sqrt(12.0)) / 0.01
    seen = np.stack([ndimage.gaussian_filter(part, sigma) for part in truth(*np.meshgrid(dense, dense, indexing="ij"))])
    places = [(part + 2.2) / 0.01 for part in np.meshgrid(*wide_axes, indexing="ij")]
    wide = np.stack([ndimage.map_coordinates(part, places, order=1) for part in seen])
    fine = truth(*np.meshgrid(*fine_axes, indexing="ij"))
    return (
        ThicknessMaps(wide + noise(rng, wide_sd, wide.shape[1:]), covariance(wide_sd, wide.shape[1:]), wide_axes),
        ThicknessMaps(fine + noise(rng, fine_sd, fine.shape[1:]), covariance(fine_sd, fine.shape[1:]), fine_axes),
        fine,
    )


def soc_of(thickness: F64) -> F64:
    return np.asarray(thickness[1] / thickness.sum(axis=0))


def rms(values: F64) -> float:
    return float(np.sqrt(np.nanmean(values**2)))


def test_the_fused_map_is_nearer_to_the_truth_than_either_and_says_how_near() -> None:
    rng = np.random.default_rng(1)
    wide, fine, true = scans(rng)
    fused = fuse(wide, fine, IDENTITY, BLUR_NM, rng)
    grid = np.meshgrid(*((a + 2.0) / WIDE_UM for a in fine.axes), indexing="ij")
    over = ndimage.map_coordinates(soc_of(np.asarray(wide.thickness)), grid, order=1)
    inner = (slice(15, -15), slice(15, -15))
    errors = [(value - soc_of(true))[inner] for value in (over, soc_of(np.asarray(fine.thickness)), fused.soc)]
    pulls = (errors[2] / fused.soc_se[inner]).std()
    print(
        f"\nfused soc: rmse {rms(errors[2]):.4f}, wide field {rms(errors[0]):.4f}, ptychography {rms(errors[1]):.4f}; "
        f"pulls {pulls:.3f}, chi2 {fused.chi2:.2f}"
    )
    assert rms(errors[2]) <= min(rms(errors[0]), rms(errors[1]))
    assert PULLS[0] <= pulls <= PULLS[1]
    assert 0.8 < fused.chi2 < 1.3


@pytest.mark.parametrize("fine_nm", [FINE_NM, 40.0])
def test_its_error_holds_at_the_boundary_and_in_noise(fine_nm: float) -> None:
    rng = np.random.default_rng(6)
    wide, fine, true = scans(rng, fine_sd=fine_nm)
    fused = fuse(wide, fine, IDENTITY, BLUR_NM, rng)
    boundary = np.abs(soc_of(true) - 0.5) < 0.3
    boundary[:15], boundary[-15:] = False, False
    pulls = ((fused.soc - soc_of(true)) / fused.soc_se)[boundary]
    print(
        f"\nat the boundary, ptychography {fine_nm:.0f} nm: pulls {rms(pulls):.2f}, error {np.median(fused.soc_se):.3f}"
    )
    assert rms(pulls) < BOUNDARY_PULL
    # Ptychography's own passes all bounds where noise takes thicknesses below zero; that of the fused map does not.
    assert np.nanmax(fused.soc_se) < 0.5


def test_where_no_detail_is_lost_the_error_is_that_of_noise() -> None:
    """A wide field as sharp as ptychography loses nothing, once or twice: a share of nothing left no error anywhere."""
    maps = []
    for half_um, pitch_um in ((1.2, 0.02), (1.0, 0.1)):
        one = axis(half_um, pitch_um)
        even = np.full((2, one.size, one.size), 75.0)
        maps.append(ThicknessMaps(even, covariance(FINE_NM, even.shape[1:]), (one, one)))
    fused = fuse(*maps, IDENTITY, 0.0, np.random.default_rng(7))
    assert np.isfinite(fused.soc_se).all()
    assert 0.0 < fused.soc_se.max() <= 0.1


def test_a_wide_field_that_disagrees_is_hardly_taken_over() -> None:
    rng = np.random.default_rng(2)
    wide, fine, true = scans(rng)
    biased = ThicknessMaps(np.asarray(wide.thickness)[::-1].copy(), wide.covariance, wide.axes)
    fused = fuse(biased, fine, IDENTITY, BLUR_NM, rng, probes=1)
    alone = rms(soc_of(np.asarray(fine.thickness)) - soc_of(true))
    assert fused.chi2 > 50
    assert rms(fused.soc - soc_of(true)) < 1.05 * alone


def test_an_error_of_place_takes_weight_from_the_wide_field_where_chemistry_changes() -> None:
    rng = np.random.default_rng(3)
    wide, fine, _ = scans(rng)
    lost = Registration(np.eye(2, 3), (0.0, 0.0), 0.0, 1.0, 0.1, 1.0, True, "planted")
    sure, unsure = (fuse(wide, fine, r, BLUR_NM, np.random.default_rng(4), probes=2) for r in (IDENTITY, lost))
    assert unsure.chi2 < 0.7 * sure.chi2
    assert np.nanmean(unsure.soc_se) > np.nanmean(sure.soc_se)


def test_without_a_common_pixel_ptychography_stands_alone() -> None:
    rng = np.random.default_rng(5)
    wide, fine, _ = scans(rng)
    hollow = np.asarray(fine.thickness).copy()
    hollow[:, 20:30, 20:30] = np.nan
    elsewhere = Registration(np.array([[1.0, 0, 90.0], [0, 1.0, 0]]), (90.0, 0.0), 0.0, 1.0, 0.0, 1.0, True, "planted")
    fused = fuse(wide, ThicknessMaps(hollow, fine.covariance, fine.axes), elsewhere, BLUR_NM, rng)
    assert np.isnan(fused.chi2)
    np.testing.assert_allclose(fused.soc, soc_of(hollow), rtol=1e-5)
    assert np.isnan(fused.soc[25, 25])
    assert np.isfinite(fused.soc_se[60, 60])
