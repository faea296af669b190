"""The edge bias that a PSF makes in transmission, against plates imaged on a fine grid."""

import numpy as np
import pytest
from scipy import ndimage

from stxmdist.arrays import F64, I32
from stxmdist.crossmodal.psf import MicroscopePsf, gaussian_kernel
from stxmdist.particles.chemistry import reach_of
from stxmdist.particles.psf_bias import psf_bias
from stxmdist.stages.segment.systematic import RECONSTRUCTION_DOUBT

DESIGN = np.array([[0.236, 0.251], [0.447, 0.258], [1.086, 0.587], [0.490, 1.296], [0.400, 0.651]]) / 100
"""Optical density per nm of LiFePO4 and FePO4 at 700, 706.6, 708.2, 710.2 and 712 eV."""
PHASE = np.array([[-0.309, -0.286], [-0.104, -0.159], [-0.263, -0.038], [-0.456, -0.261], [-0.418, -0.499]]) / 100
"""Radians per nm, likewise"""
STEP, PIXEL_NM = 5, 50.0
FINER_NM, RECONSTRUCTION_NM = 12.0, 6.0
"""Pixels of ptychography, and the width of its images"""


def blurred_transmission(soc: float, thickness_nm: float, psf_nm: float) -> F64:
    """Transmission (ENERGY, Y, X) of a homogeneous plate of 0.7 x 0.45 um, drawn on a 10 nm grid."""
    y, x = np.indices((37 * STEP, 41 * STEP))
    plate = np.abs((y - 91.3) / 22.5) ** 4 + np.abs((x - 104.8) / 35.0) ** 4 < 1
    od = DESIGN @ np.array([1 - soc, soc]) * thickness_nm
    middle = slice(STEP // 2, None, STEP)
    return np.array([ndimage.gaussian_filter(np.exp(-d * plate), psf_nm / 10)[middle, middle] for d in od])


def imaged(soc: float, thickness_nm: float, psf_nm: float = 30.0) -> tuple[F64, I32]:
    """Fitted maps (2, Y, X) and labels of that plate."""
    maps = _fitted(blurred_transmission(soc, thickness_nm, psf_nm))
    return maps, (maps.sum(0) > 0.5 * thickness_nm).astype(np.int32)


def _fitted(transmission: F64) -> F64:
    """Thicknesses (2, Y, X) by least squares of optical density, weighted by the counts as likelihood does."""
    squares = np.einsum("ei,eyx,ej->yxij", DESIGN, transmission, DESIGN)
    along = np.einsum("ei,eyx->yxi", DESIGN, -transmission * np.log(transmission))
    return np.moveaxis(np.linalg.solve(squares, along[..., None])[..., 0], -1, 0)


def reconstructed(soc: float, long_nm: float, image: str) -> tuple[F64, I32]:
    """Fitted maps and labels of a plate of 120 nm whose complex amplitude was blurred, drawn on a 2 nm grid."""
    fine_nm = 2.0
    step = round(FINER_NM / fine_nm)
    y, x = (np.indices((64 * step, 64 * step)) - 32 * step + 1.3) * fine_nm
    plate = np.abs(y / (0.7 * long_nm)) ** 4 + np.abs(x / long_nm) ** 4 < 1
    amount = np.array([1.0 - soc, soc]) * 120.0
    along = np.abs(np.fft.fftfreq(64 * step, fine_nm))
    if image == "gaussian":
        passed = np.exp(-2.0 * (np.pi * np.hypot(along[:, None], along) * RECONSTRUCTION_NM) ** 2)
    else:
        passed = np.outer(along < 0.5 / FINER_NM, along < 0.5 / FINER_NM)
    seen = [
        np.fft.ifft2(passed * np.fft.fft2(1.0 + plate * (np.exp(-od / 2.0 + 1j * turn) - 1.0)))
        for od, turn in zip(DESIGN @ amount, PHASE @ amount, strict=True)
    ]
    middle = slice(step // 2, None, step)
    maps = _fitted(np.abs(np.array(seen)[:, middle, middle]) ** 2)
    labels, count = ndimage.label(maps.sum(axis=0) > 60.0)
    assert count == 1
    return maps, labels.astype(np.int32)


@pytest.mark.parametrize("soc", [0.1, 0.4, 0.7, 0.95])
@pytest.mark.parametrize("long_nm", [150.0, 280.0])
@pytest.mark.parametrize("image", ["gaussian", "cut off"])
def test_in_ptychography_amplitudes_are_averaged(soc: float, long_nm: float, image: str) -> None:
    """An image that is cut off at the detector's edge lies within two standard errors of what is doubted."""
    maps, labels = reconstructed(soc, long_nm, image)
    reach = reach_of(labels, RECONSTRUCTION_NM / FINER_NM)
    kernel = MicroscopePsf(psf_sigma_ptychography_nm=RECONSTRUCTION_NM).amplitude_kernel(FINER_NM)
    bias, intensities = (
        psf_bias(labels, maps, psf=kernel, design_per_nm=DESIGN, phase_per_nm=phase, reach=reach).soc[0]
        for phase in (PHASE, None)
    )
    left, left_by_intensities = mean_soc(maps, reach) - soc - np.array([bias, intensities])
    # Of single plates: where almost nothing is taken off, .0003 are what outlines on whole pixels do.
    assert abs(left) < (0.2 if image == "gaussian" else 2.0 * RECONSTRUCTION_DOUBT) * abs(bias) + 3e-4
    if image == "gaussian":
        assert abs(left) < 0.3 * abs(left_by_intensities)


def mean_soc(maps: F64, labels: I32) -> float:
    return float(maps[1][labels == 1].sum() / maps.sum(0)[labels == 1].sum())


@pytest.mark.parametrize("soc", [0.0, 1.0])
@pytest.mark.parametrize(("thickness_nm", "psf_nm"), [(100.0, 30.0), (200.0, 30.0), (150.0, 20.0), (150.0, 45.0)])
@pytest.mark.parametrize("skirt", [False, True])
def test_the_bias_is_taken_off_but_for_what_is_doubted(
    soc: float, thickness_nm: float, psf_nm: float, skirt: bool
) -> None:
    maps, labels = imaged(soc, thickness_nm, psf_nm)
    sigma = psf_nm / PIXEL_NM
    reach = reach_of(labels, sigma) if skirt else labels
    bias = psf_bias(labels, maps, psf=gaussian_kernel(PIXEL_NM, psf_nm), design_per_nm=DESIGN, reach=reach)
    raw = mean_soc(maps, reach) - soc
    # Charged plates lose, discharged ones gain.
    assert np.sign(raw) == (1.0 if soc == 0.0 else -1.0)
    assert abs(raw) > 0.004
    # Most goes where the skirt is counted; what is left lies within what chemistry counts as systematic: half of it.
    left = abs(raw - bias.soc[0])
    assert left < (0.4 if skirt else 0.7) * abs(raw)
    assert left < 0.5 * abs(bias.soc[0])


def on_edge(soc: float, tilt_rad: float) -> F64:
    """Fitted maps (2, Y, X) of a plate of 0.7 x 0.12 um and 400 nm along the beam; pixels gather what falls on them."""
    y, x = np.indices((37 * STEP, 41 * STEP))
    across, along = y - 93.5, x - 102.5
    cos, sin = np.cos(tilt_rad), np.sin(tilt_rad)
    plate = np.abs((cos * across - sin * along) / 6.0) ** 4 + np.abs((cos * along + sin * across) / 35.0) ** 4 < 1
    od = DESIGN @ np.array([1 - soc, soc]) * 400.0
    light = np.array([ndimage.gaussian_filter(np.exp(-d * plate), 3.0) for d in od])
    return _fitted(light.reshape(len(od), 37, STEP, 41, STEP).mean(axis=(2, 4)))


@pytest.mark.parametrize(("soc", "most_of_before", "most_left"), [(0.0, 0.8, 0.1), (1.0, 0.5, 0.12)])
@pytest.mark.parametrize("tilt_rad", [0.0, 0.5])
def test_plates_on_edge_hide_more_than_their_pixels_show(
    soc: float, most_of_before: float, most_left: float, tilt_rad: float
) -> None:
    """Through the blur a narrow plate looks half as thick as it is, and what it hides looks small."""
    maps = on_edge(soc, tilt_rad)
    labels = (maps.sum(0) > 0.5 * maps.sum(0).max()).astype(np.int32)
    reach, psf = reach_of(labels, 0.6), gaussian_kernel(PIXEL_NM, float(np.hypot(30.0, PIXEL_NM / np.sqrt(12.0))))
    raw, left = mean_soc(maps, reach) - soc, []
    for thickness_nm in (np.nan, 400.0):
        bias = psf_bias(
            labels, maps, psf=psf, design_per_nm=DESIGN, reach=reach, sharp_thickness_nm=np.array([thickness_nm])
        )
        left.append(abs(raw - bias.soc[0]))
    print(f"soc {soc:g}: {raw:+.3f}, left {left[0]:.3f}, with the thickness of the sharp plate {left[1]:.3f}")
    assert left[1] < min(most_of_before * left[0], most_left)


def test_wide_plates_show_how_thick_they_are() -> None:
    maps, labels = imaged(0.5, 200.0)
    told = [
        psf_bias(labels, maps, psf=gaussian_kernel(PIXEL_NM, 30.0), design_per_nm=DESIGN, sharp_thickness_nm=one).soc
        for one in (None, np.array([400.0]))
    ]
    np.testing.assert_array_equal(told[0], told[1])


def test_the_chi_square_that_blur_leaves_is_foretold() -> None:
    """At the rims of dark plates unlike transmissions are averaged, and no thickness explains their mean."""
    soc, thickness_nm, photons = 0.0, 200.0, 2e4
    maps, labels = imaged(soc, thickness_nm)
    counts = np.full(len(DESIGN), photons)
    foretold = psf_bias(labels, maps, psf=gaussian_kernel(PIXEL_NM, 30.0), design_per_nm=DESIGN, weights=counts).chi2
    transmission = blurred_transmission(soc, thickness_nm, 30.0)
    left = -np.log(transmission) - np.einsum("ek,kyx->eyx", DESIGN, maps)
    true = photons * (transmission * left**2).sum(axis=0) / (len(DESIGN) - 2)
    poor = true > 3.0
    assert poor.sum() > 10
    # Within a factor that makes no rim a poor fit and leaves alone what is three times noise and blur together.
    assert (true[poor] < 3.0 * (1.0 + foretold[poor])).mean() > 0.9
    deep = ndimage.distance_transform_edt(labels) > 3.0
    assert foretold[deep].max() < 0.1 * true[poor].max()


def test_no_psf_is_no_bias_and_a_background_term_may_be_fitted() -> None:
    maps, labels = imaged(1.0, 150.0)
    full = np.where(labels > 0, np.array([30.0, 90.0])[:, None, None], 0.0)
    np.testing.assert_allclose(psf_bias(labels, full, psf=np.ones((1, 1)), design_per_nm=DESIGN).soc, 0.0, atol=1e-12)
    with_background = np.column_stack([DESIGN, np.ones(5)])
    weights = np.array([1.0, 2.0, 3.0, 2.0, 1.0])
    bias = psf_bias(labels, maps, psf=gaussian_kernel(PIXEL_NM, 30.0), design_per_nm=with_background, weights=weights)
    assert np.isfinite(bias.soc).all()
    assert bias.imaged_nm.shape == maps.shape


def test_what_is_not_known_is_nan_and_order_is_that_of_the_labels() -> None:
    maps, labels = imaged(1.0, 150.0)
    both = np.concatenate([labels * 5, labels * 2, np.full((3, labels.shape[1]), -1, np.int32)])
    doubled = np.concatenate([maps, np.full_like(maps, np.nan), np.zeros((2, 3, labels.shape[1]))], axis=1)
    bias = psf_bias(both, doubled, psf=gaussian_kernel(PIXEL_NM, 30.0), design_per_nm=DESIGN)
    assert bias.particle_id.tolist() == [2, 5]
    assert np.isnan(bias.soc[0])
    alone = psf_bias(labels, maps, psf=gaussian_kernel(PIXEL_NM, 30.0), design_per_nm=DESIGN)
    assert bias.soc[1] == pytest.approx(alone.soc[0], abs=1e-6)
    assert psf_bias(0 * labels, maps, psf=gaussian_kernel(PIXEL_NM, 30.0), design_per_nm=DESIGN).soc.size == 0
