"""Moving a frame by a fraction of a pixel: the right way, without ringing, honest about noise and edges."""

import numpy as np
import pytest
from scipy import ndimage

from stxmdist.spectra.align.resample import noise_correlation_px2, resample, variance_factor

OVERSHOOT = 0.02
NOISE = 0.04  # of the variance; the limit against ringing takes up to 3 % of white noise
SMOOTH_IMAGE = 2e-3  # error of cubic splines on a Gaussian of two pixels


def _blob(centre: tuple[float, float], shape: tuple[int, int] = (41, 53)) -> np.ndarray:
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    return np.exp(-((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / 2 / 2.0**2).astype(np.float32)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (3.0, -2.0), (0.37, -1.61), (-4.5, 0.5)])
def test_content_moves_towards_larger_indices(shift: tuple[float, float]) -> None:
    moved = resample(_blob((20.0, 25.0)), np.array(shift))
    expected = _blob((20.0 + shift[0], 25.0 + shift[1]))
    inside = np.isfinite(moved)
    np.testing.assert_allclose(moved[inside], expected[inside], atol=SMOOTH_IMAGE)
    lost = int(np.ceil(abs(shift[0]) - 0.5)), int(np.ceil(abs(shift[1]) - 0.5))
    assert inside.sum() == (41 - lost[0]) * (53 - lost[1])


@pytest.mark.parametrize("axis", [0, 1])
def test_a_sharp_edge_does_not_ring(axis: int) -> None:
    step = np.ones((40, 40), np.float32)
    step[:17] = 0.2
    step = step if axis == 0 else step.T
    worst = 0.0
    for fraction in np.linspace(-0.95, 0.95, 39):
        shift = np.zeros(2)
        shift[axis] = fraction
        moved = resample(step, shift)
        worst = max(worst, float(np.nanmax(moved)) - 1.0, 0.2 - float(np.nanmin(moved)))
    assert worst / 0.8 < OVERSHOOT
    # The law is worth something only if plain splines break it.
    plain = ndimage.shift(step, (0.5, 0.0) if axis == 0 else (0.0, 0.5), order=3, mode="nearest")
    assert plain.max() - 1.0 > 0.8 * OVERSHOOT


def test_corners_of_plates_do_not_ring_whatever_the_shift(capsys) -> None:
    plate = np.ones((47, 53), np.float32)
    plate[13:29, 11:37] = 0.2
    plate[20:24, 20:24] = 0.9
    worst = 0.0
    for shift in np.random.default_rng(1).uniform(-3.0, 3.0, (101, 2)):
        moved = resample(plate, shift)
        worst = max(worst, float(np.nanmax(moved)) - 1.0, 0.2 - float(np.nanmin(moved)))
    with capsys.disabled():
        print(f"\n  largest overshoot at planted edges, shifts along both axes: {100 * worst / 0.8:.2f} %")
    assert worst / 0.8 < OVERSHOOT


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.5, 0.5), (0.25, -0.1), (2.0, -0.4)])
def test_noise_shrinks_as_said_and_averages_as_before(shift: tuple[float, float]) -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(10.0, 1.0, (301, 303)).astype(np.float32)
    moved = resample(noise, np.array(shift))
    assert np.nanvar(moved) == pytest.approx(variance_factor(np.array(shift)), rel=NOISE)
    blocks = np.nanmean(moved[10:290, 10:290].reshape(14, 20, 14, 20), axis=(1, 3))
    expected = variance_factor(np.array(shift)) * noise_correlation_px2(np.array(shift)) / 400.0
    assert blocks.var() == pytest.approx(expected, rel=0.35)  # 196 blocks know a variance to 10 %
    assert np.nanmean(moved) == pytest.approx(10.0, abs=0.01)


def test_unknown_pixels_stay_unknown_and_spread_no_further() -> None:
    image = _blob((20.0, 25.0)) + 1.0
    image[10, 12] = np.nan
    image[30:33, 40:44] = np.nan
    moved = resample(image, np.array([0.5, 0.0]))
    expected = resample(_blob((20.0, 25.0)) + 1.0, np.array([0.5, 0.0]))
    unknown = np.isnan(moved)
    assert set(zip(*np.nonzero(unknown[:20]), strict=True)) >= {(10, 12), (11, 12)}
    # Every hole grows by one pixel along the fraction, and the frame's edge row is at the limit.
    assert unknown[1:].sum() == 2 + 4 * 4
    np.testing.assert_allclose(moved[~unknown], expected[~unknown], atol=0.02)
    assert np.isnan(resample(np.full((5, 5), np.nan, np.float32), np.array([0.2, 0.2]))).all()
    assert np.isnan(resample(image, np.array([np.nan, 0.0]))).all()


def test_shifted_out_of_the_field_is_unknown() -> None:
    assert np.isnan(resample(np.ones((9, 9), np.float32), np.array([20.0, 0.0]))).all()
    assert resample(np.ones((9, 9), np.float32), np.array([0.3, -0.3])).dtype == np.float32
