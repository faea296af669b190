"""The zone plate's PSF and imaging through it."""

import tracemalloc

import numpy as np
import pytest
from scipy import ndimage, optimize, special

from stxmdist.crossmodal.psf import (
    EDGE_VARIANCE_NM2,
    MicroscopePsf,
    blur_optical_density,
    blur_transmission,
    gaussian_kernel,
    zone_plate_intensity,
    zone_plate_kernel,
    zone_plate_sigma_nm,
)
from stxmdist.errors import InputError
from stxmdist.simulation.optics import ZonePlate, point_spread

KERNELS = 4e-3
"""Of the brightest pixel: the simulation averages the pattern over ten points a zone width, right to 3e-3."""


def test_first_zero_is_rayleighs() -> None:
    assert zone_plate_intensity(np.array([1.2197 * 45.0]), 45.0)[0] < 1e-7
    assert zone_plate_intensity(np.zeros(1), 45.0, 0.4)[0] == pytest.approx(1.0)


def test_gaussian_equivalent_has_the_full_width_of_the_airy_pattern() -> None:
    # 1.029 outer zones; a central stop sharpens the core.
    assert zone_plate_sigma_nm(60.0) * 2.3548 == pytest.approx(1.029 * 60.0, rel=1e-3)
    assert zone_plate_sigma_nm(60.0, 0.4) < zone_plate_sigma_nm(60.0)


def test_energy_outside_a_radius_is_that_of_the_literature() -> None:
    # 12 % and 25 % outside 100 nm for 60 nm zones without and with a stop, within a box of 6 um.
    radius = np.arange(0.5, 3000.0, 1.0)
    for stop, share in ((0.0, 0.12), (0.4, 0.25)):
        ring = zone_plate_intensity(radius, 60.0, stop) * radius
        assert ring[radius > 100].sum() / ring.sum() == pytest.approx(share, abs=0.02)


def test_blurring_transmission_is_not_blurring_optical_density() -> None:
    step = np.zeros((13, 29))
    step[:, 15:] = 2.0
    seen = blur_optical_density(step, 1.3)
    assert seen[6, 14:16].mean() < ndimage.gaussian_filter(step, 1.3)[6, 14:16].mean() - 0.1
    np.testing.assert_allclose(blur_optical_density(step, 0.0), step)
    # A thin object cannot tell.
    np.testing.assert_allclose(
        blur_optical_density(1e-4 * step, 1.3), ndimage.gaussian_filter(1e-4 * step, 1.3, mode="nearest"), rtol=1e-3
    )


def test_what_is_not_known_takes_no_part() -> None:
    flat = np.full((2, 11, 17), 0.7)
    flat[:, 3:5] = np.nan
    seen = blur_transmission(flat, 1.5)
    assert np.isnan(seen[:, 3:5]).all()
    np.testing.assert_allclose(seen[np.isfinite(seen)], 0.7)


@pytest.mark.parametrize("pixel_nm", [7.0, 25.0, 50.0, 110.0])
@pytest.mark.parametrize("zones", [(60.0, 0.0), (60.0, 0.3), (35.0, 0.5)])
def test_the_kernel_is_that_of_an_independent_code(pixel_nm: float, zones: tuple[float, float]) -> None:
    kernel = zone_plate_kernel(pixel_nm, *zones, 9)
    simulated = point_spread(pixel_nm, 710.0, ZonePlate(240.0, *zones), 9)
    np.testing.assert_allclose(kernel, simulated, atol=KERNELS * simulated.max())
    assert kernel.sum() == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("kernel", [zone_plate_kernel(31.0, 60.0, 0.3, 7), gaussian_kernel(9.0, 26.0)])
def test_kernels_are_symmetric_and_conserve_light(kernel: np.ndarray) -> None:
    assert kernel.shape[0] == kernel.shape[1]
    assert kernel.shape[0] % 2 == 1
    assert kernel.sum() == pytest.approx(1.0, abs=1e-12)
    for turned in (kernel.T, kernel[::-1], kernel[:, ::-1]):
        np.testing.assert_allclose(turned, kernel, rtol=1e-9)
    assert np.unravel_index(kernel.argmax(), kernel.shape) == (kernel.shape[0] // 2,) * 2


def test_a_gaussian_kernel_has_its_width() -> None:
    kernel = gaussian_kernel(10.0, 27.0)
    offset = (np.arange(kernel.shape[0]) - kernel.shape[0] // 2) * 10.0
    # Averaging in pixels adds pixel^2 / 12; four sigmas lack a thousandth of the variance.
    assert np.sum(kernel.sum(axis=1) * offset**2) == pytest.approx(27.0**2 + 10.0**2 / 12.0, rel=3e-3)
    assert gaussian_kernel(50.0, 0.0).max() == pytest.approx(1.0)


def test_the_rings_are_in_the_kernel_and_not_in_the_gaussian() -> None:
    # What the core's Gaussian leaves out: a tenth and more beyond 100 nm.
    kernel, gaussian = zone_plate_kernel(20.0, 60.0, 0.3, 40), gaussian_kernel(20.0, zone_plate_sigma_nm(60.0, 0.3))
    radius = [np.hypot(*(np.indices(k.shape) - k.shape[0] // 2)) * 20.0 for k in (kernel, gaussian)]
    assert kernel[radius[0] > 100.0].sum() > 0.1
    assert gaussian[radius[1] > 100.0].sum() < 1e-3


def test_the_gaussian_of_edges_lies_between_that_of_the_core_and_that_of_the_nearest_ring() -> None:
    pixel_nm, half_px = 5.0, 200
    kernel = zone_plate_kernel(pixel_nm, 60.0, 0.3, half_px)
    at_nm = (np.arange(2 * half_px + 1) - half_px) * pixel_nm
    edge, near = np.cumsum(kernel.sum(axis=0)), np.abs(at_nm) <= 100.0

    def misfit(sigma_nm: float) -> float:
        columns = np.stack([special.ndtr((at_nm + 0.5 * pixel_nm) / sigma_nm), np.ones_like(at_nm)], axis=1)[near]
        return float(np.linalg.lstsq(columns, edge[near], rcond=None)[1][0])

    best_nm = optimize.minimize_scalar(misfit, bounds=(15.0, 60.0), method="bounded").x
    assert best_nm == pytest.approx(27.6, abs=0.1)
    assert zone_plate_sigma_nm(60.0, 0.3) < np.sqrt(EDGE_VARIANCE_NM2) < best_nm


@pytest.mark.long
def test_one_description_serves_both_modalities() -> None:
    psf = MicroscopePsf(outer_zone_nm=45.0, central_stop_fraction=0.4, psf_sigma_ptychography_nm=8.0)
    assert psf.sigma_nm("stxm") == zone_plate_sigma_nm(45.0, 0.4)
    assert psf.sigma_nm("ptychography") == 8.0
    np.testing.assert_array_equal(psf.kernel("stxm", 25.0), zone_plate_kernel(25.0, 45.0, 0.4, 20))
    np.testing.assert_array_equal(psf.kernel("ptychography", 25.0), gaussian_kernel(25.0, 8.0))
    # Pixels wider than the rings are followed still have neighbours.
    assert psf.kernel("stxm", 2000.0).shape == (5, 5)


def test_the_blur_between_both_scales_with_the_zone_plate() -> None:
    # What registration used before both were described once: 26 nm and 5 nm.
    assert MicroscopePsf().matching_blur_nm() == np.sqrt(26.0**2 - 5.0**2)
    one, half = (MicroscopePsf(zone_nm, 0.3, 0.0).matching_blur_nm() for zone_nm in (60.0, 30.0))
    assert half == pytest.approx(one / 2, rel=1e-12)
    sharpest = MicroscopePsf(60.0, 0.3, psf_sigma_ptychography_nm=MicroscopePsf().edge_sigma_nm - 1e-9)
    assert 0.0 <= sharpest.matching_blur_nm() < 0.01


def test_ptychography_that_is_less_sharp_is_refused_and_never_nan() -> None:
    with pytest.raises(InputError, match="less sharp") as refused:
        MicroscopePsf(outer_zone_nm=10.0).matching_blur_nm()
    assert "outer_zone_nm or psf_sigma_ptychography_nm under stages: segment" in refused.value.mend


@pytest.mark.parametrize(
    "written",
    [
        {"outer_zone_nm": 0.0},
        {"outer_zone_nm": float("nan")},
        {"central_stop_fraction": 1.0},
        {"psf_sigma_ptychography_nm": -1.0},
    ],
)
def test_a_zone_plate_that_cannot_be_is_refused(written: dict[str, float]) -> None:
    with pytest.raises(InputError, match="no such point spread function"):
        MicroscopePsf(**written)


@pytest.mark.parametrize("modality", ["stxm", "ptychography"])
def test_pixels_that_no_microscope_has_are_refused_before_memory_is_asked_for(modality: str) -> None:
    for ask in (
        lambda p: MicroscopePsf().kernel(modality, p),
        lambda p: MicroscopePsf().peak_bytes(modality, p, (9, 9)),
    ):
        with pytest.raises(InputError, match="pixels are so small") as caught:
            ask(0.02)
        assert "position_unit" in caught.value.mend


@pytest.mark.parametrize("pixel_nm", [0.5, 3.0, 60.0, 1000.0, 20_000.0])
def test_a_kernel_takes_no_more_memory_than_was_said(pixel_nm: float) -> None:
    psf = MicroscopePsf()
    said = psf.peak_bytes("stxm", pixel_nm, (32, 32))
    tracemalloc.start()
    kernel = psf.kernel("stxm", pixel_nm)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The kernel itself and small arrays come to it.
    assert peak < 1.5 * said + 1e6
    assert said < 400e6
    assert kernel.sum() == pytest.approx(1.0)


def test_pixels_many_zones_wide_hold_the_whole_pattern() -> None:
    kernel = MicroscopePsf().kernel("stxm", 20_000.0)
    assert kernel[2, 2] > 0.99
