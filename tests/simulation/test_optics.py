"""Zone-plate optics against published figures, laws of optics and closed forms."""

import numpy as np
import pytest
from scipy import special

from stxmdist.errors import InputError
from stxmdist.simulation.optics import (
    ZonePlate,
    airy_intensity,
    beam_diameter_um,
    encircled_energy,
    gaussian_sigma_nm,
    point_spread,
    probe,
    probe_modes,
)

ENERGY_EV = 710.0
FIGURES_DIGITS = 0.02
"""The shares of light outside 100 nm are given in whole per cent, for a kernel of unknown extent."""
ROUNDING = 1e-12


@pytest.mark.parametrize(
    ("outer_zone_nm", "stop", "outside_100_nm"),
    [(60, 0.0, 0.12), (60, 0.4, 0.25), (45, 0.0, 0.09), (45, 0.4, 0.11), (25, 0.0, 0.05), (25, 0.4, 0.09)],
)
def test_light_outside_100_nm_of_the_axis(outer_zone_nm: float, stop: float, outside_100_nm: float) -> None:
    plate = ZonePlate(240, outer_zone_nm, stop)
    assert 1 - encircled_energy(100.0, plate) == pytest.approx(outside_100_nm, abs=FIGURES_DIGITS)
    half_width_px, pixel_nm = 149, 13.0
    kernel = point_spread(pixel_nm, ENERGY_EV, plate, half_width_px)
    axis = np.arange(-half_width_px, half_width_px + 1) * pixel_nm
    outside = kernel[np.hypot(axis[:, None], axis) > 100.0].sum()
    assert outside == pytest.approx(outside_100_nm, abs=FIGURES_DIGITS)


@pytest.mark.parametrize("radius_nm", [20.0, 73.2, 250.0])
def test_encircled_energy_of_a_full_aperture_has_a_closed_form(radius_nm: float) -> None:
    v = np.pi * radius_nm / 60.0
    expected = 1 - special.j0(v) ** 2 - special.j1(v) ** 2
    assert encircled_energy(radius_nm, ZonePlate(240, 60)) == pytest.approx(expected, abs=1e-4)


def test_first_dark_ring_is_rayleighs() -> None:
    assert airy_intensity(np.array([1.2197 * 60.0]), ZonePlate(240, 60))[0] < 1e-7


@pytest.mark.parametrize(("pixel_nm", "half_width_px"), [(7.0, 31), (50.0, 11), (131.0, 3)])
def test_point_spread_is_normalised_and_symmetric(pixel_nm: float, half_width_px: int) -> None:
    kernel = point_spread(pixel_nm, ENERGY_EV, ZonePlate(240, 45, 0.4), half_width_px)
    assert kernel.shape == (2 * half_width_px + 1,) * 2
    assert kernel.sum() == pytest.approx(1.0, abs=ROUNDING)
    np.testing.assert_allclose(kernel, kernel.T, atol=ROUNDING)
    np.testing.assert_allclose(kernel, kernel[::-1], atol=ROUNDING)
    assert kernel.argmax() == kernel.size // 2


def test_point_spread_of_coarse_pixels_is_that_of_fine_ones_summed() -> None:
    plate = ZonePlate(240, 60, 0.4)
    coarse = point_spread(90.0, ENERGY_EV, plate, 10)
    fine = point_spread(10.0, ENERGY_EV, plate, 94).reshape(21, 9, 21, 9).sum(axis=(1, 3))
    # The two are averaged over other sub-samples of the same areas.
    np.testing.assert_allclose(coarse, fine, atol=2e-3 * coarse.max())


def test_spot_does_not_depend_on_the_photon_energy() -> None:
    plate = ZonePlate(240, 45, 0.4)
    np.testing.assert_array_equal(point_spread(20.0, 700.0, plate, 9), point_spread(20.0, 860.0, plate, 9))


def test_gaussian_equivalent_has_the_spots_half_width() -> None:
    plate = ZonePlate(240, 60, 0.4)
    half = gaussian_sigma_nm(plate) * np.sqrt(2 * np.log(2))
    assert airy_intensity(np.array([half]), plate)[0] == pytest.approx(0.5 * airy_intensity(np.zeros(1), plate)[0])
    assert gaussian_sigma_nm(ZonePlate(240, 60)) == pytest.approx(1.029 * 60 / 2.3548, rel=1e-3)


def test_focal_length_of_the_als_zone_plate() -> None:
    plate = ZonePlate(240, 60)
    assert plate.focal_length_um(710.0) == pytest.approx(8250, rel=1e-3)
    assert plate.focal_length_um(1.0) == pytest.approx(11.614, rel=1e-4)


@pytest.mark.parametrize("outer_zone_nm", [45.0, 60.0])
@pytest.mark.parametrize("defocus_um", [25.0, -50.0])
def test_probe_widens_with_defocus_as_the_cone_does(outer_zone_nm: float, defocus_um: float) -> None:
    plate = ZonePlate(240, outer_zone_nm, 0.4)
    n, pixel_nm = 521, 8.0
    intensity = np.abs(probe(n, pixel_nm, ENERGY_EV, plate, defocus_um)) ** 2
    axis = (np.arange(n) - n // 2) * pixel_nm * 1e-3
    radius = np.hypot(axis[:, None], axis).ravel()
    order = np.argsort(radius)
    half_light_um = radius[order][np.searchsorted(np.cumsum(intensity.ravel()[order]), 0.5)]
    diameter_um = beam_diameter_um(ENERGY_EV, plate, defocus_um)
    assert diameter_um == pytest.approx(1.2398 / ENERGY_EV * abs(defocus_um) / (outer_zone_nm * 1e-3), rel=1e-3)
    # Rays fill the ring evenly: half of the light lies within sqrt((c^2 + 1) / 2) of its radius; diffraction smears it.
    assert half_light_um == pytest.approx(0.5 * diameter_um * np.sqrt((0.4**2 + 1) / 2), rel=0.05)


def test_focused_probe_is_the_airy_spot() -> None:
    plate = ZonePlate(240, 60, 0.4)
    n, pixel_nm = 1200, 6.0
    intensity = np.abs(probe(n, pixel_nm, ENERGY_EV, plate, periodic=True)) ** 2
    centre = n // 2
    assert intensity.argmax() == centre * n + centre
    spot = airy_intensity(np.arange(30) * pixel_nm, plate)
    # The pupil's rim is drawn on a grid of 60 frequencies.
    np.testing.assert_allclose(intensity[centre, centre : centre + 30] / intensity.max(), spot / spot[0], atol=5e-3)


def test_defocus_only_changes_phases_of_the_spectrum() -> None:
    plate = ZonePlate(240, 45, 0.4)
    spectra = [np.abs(np.fft.fft2(probe(131, 11.0, ENERGY_EV, plate, dz, periodic=True))) for dz in (0.0, 9.0, -9.0)]
    np.testing.assert_allclose(spectra[1], spectra[0], atol=ROUNDING)
    np.testing.assert_allclose(spectra[2], spectra[0], atol=ROUNDING)


def test_free_space_propagation_adds_up() -> None:
    plate = ZonePlate(240, 45, 0.4)
    n, pixel_nm, wavelength = 131, 11.0, 1239.841984 / ENERGY_EV
    f = np.fft.fftfreq(n, pixel_nm)
    # Fresnel's kernel, not the exact one that the probe is made with: 5 um at this aperture differ by 1e-4 rad.
    kernel = np.exp(-1j * np.pi * wavelength * 5e3 * (f[:, None] ** 2 + f**2))
    near, far = (np.fft.ifftshift(probe(n, pixel_nm, ENERGY_EV, plate, dz, periodic=True)) for dz in (4.0, 9.0))
    propagated = np.fft.ifft2(np.fft.fft2(near) * kernel)
    assert abs(np.vdot(propagated, far)) == pytest.approx(1.0, abs=1e-4)


def test_tilt_moves_the_pupil_on_the_detector() -> None:
    plate = ZonePlate(240, 45, 0.4)
    n, pixel_nm = 128, 10.0
    pupil = np.abs(np.fft.fft2(probe(n, pixel_nm, ENERGY_EV, plate, periodic=True))) ** 2
    tilt = 3 / (n * pixel_nm) * (1239.841984 / ENERGY_EV) * 1e3
    moved = np.abs(np.fft.fft2(probe(n, pixel_nm, ENERGY_EV, plate, tilt_mrad=(tilt, 0.0), periodic=True))) ** 2
    np.testing.assert_allclose(moved, np.roll(pupil, 3, axis=0), atol=1e-9)


def test_wave_ends_before_its_window_does() -> None:
    n = 96
    args = (n, 15.0, ENERGY_EV, ZonePlate(240, 45, 0.4), 7.0)
    confined, periodic = probe(*args), probe(*args, periodic=True)
    border = np.abs(confined[0]).max() / np.abs(confined).max()
    assert border < 1e-5 < np.abs(periodic[0]).max() / np.abs(periodic).max()
    # Of the light, next to nothing is lost: faint tails.
    assert abs(np.vdot(confined, periodic)) ** 2 > 0.98


@pytest.mark.parametrize("angle_rad", [0.0, 0.7])
def test_second_mode_is_orthogonal_and_holds_its_share(angle_rad: float) -> None:
    modes = probe_modes(3.0 * probe(97, 12.0, ENERGY_EV, ZonePlate(240, 45, 0.4), 6.0), 0.05, angle_rad)
    gram = np.einsum("iyx,jyx->ij", modes.conj(), modes)
    np.testing.assert_allclose(gram, np.diag([0.95, 0.05]), atol=ROUNDING)


def test_no_second_mode_without_light() -> None:
    assert probe_modes(probe(97, 12.0, ENERGY_EV, ZonePlate(240, 45)), 0.0).shape == (1, 97, 97)


@pytest.mark.parametrize(
    "arguments",
    [
        (64, 10.0, ENERGY_EV, ZonePlate(240, 45), 50.0),  # wider than the window
        (64, 60.0, ENERGY_EV, ZonePlate(240, 45), 0.0),  # aperture beyond the pixel's Nyquist frequency
    ],
)
def test_probe_that_cannot_be_sampled_is_refused(arguments: tuple[int, float, float, ZonePlate, float]) -> None:
    with pytest.raises(InputError, match="probe"):
        probe(*arguments)


@pytest.mark.parametrize("sizes", [(0, 45, 0.4), (240, -1, 0.4), (240, 45, 1.0)])
def test_impossible_zone_plates_are_refused(sizes: tuple[float, float, float]) -> None:
    with pytest.raises(InputError, match="zone plate"):
        ZonePlate(*sizes)
