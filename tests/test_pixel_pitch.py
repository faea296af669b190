"""The pitch of pixels: one rule, also for a line scan and for axes that run downward."""

import numpy as np
import pytest

from stxmdist.pixel_pitch import axis_pitch_um, pitch_yx_um, pixel_pitch_nm

AXIS = 0.05 * np.arange(7)


@pytest.mark.parametrize(("y", "x"), [(AXIS, AXIS[:3]), (AXIS[::-1], AXIS), (AXIS[:1], AXIS), (AXIS, AXIS[:1])])
def test_steps_of_fifty_nanometres_are_fifty_in_every_image(y: np.ndarray, x: np.ndarray) -> None:
    assert pixel_pitch_nm(y, x) == pytest.approx(50.0, rel=1e-12)
    np.testing.assert_allclose(pitch_yx_um(y, x), 0.05, rtol=1e-12)


def test_oblong_pixels_have_two_pitches_and_their_mean() -> None:
    np.testing.assert_allclose(pitch_yx_um(2.0 * AXIS, AXIS), [0.1, 0.05], rtol=1e-12)
    assert pixel_pitch_nm(2.0 * AXIS, AXIS) == pytest.approx(75.0, rel=1e-12)


def test_one_pixel_has_no_pitch() -> None:
    assert np.isnan(axis_pitch_um(AXIS[:1]))
    assert np.isnan(pixel_pitch_nm(AXIS[:1], AXIS[:1]))
