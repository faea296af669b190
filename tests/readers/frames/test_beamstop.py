"""A beamstop is masked when asked, noticed when not, and not seen where there is none."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stxmdist import readers
from stxmdist.errors import InputError
from stxmdist.readers import PtychographyRecording
from stxmdist.readers.frames.beamstop import beamstop_masked, radii_px, shadow_radius_px


@pytest.fixture
def recording(write_cxi: Callable[..., Path], diffraction: np.ndarray, tmp_path: Path) -> PtychographyRecording:
    (found,) = readers.read(write_cxi(tmp_path / "scan.cxi", frames=diffraction))
    assert isinstance(found, PtychographyRecording)
    return found


def lit_frames(shape: tuple[int, int], stop_px: float, dose: float = 30.0, seed: int = 1) -> np.ndarray:
    """(FRAME, QY, QX) uint16 of a speckled disc with a shadow in it."""
    rng = np.random.default_rng(seed)
    radius = radii_px(shape)
    light = dose * np.exp(-((radius / (0.3 * min(shape))) ** 4)) * (radius >= stop_px)
    return rng.poisson(light * rng.exponential(1.0, (12, *shape))).astype(np.uint16)


class TestMask:
    @pytest.mark.parametrize(("radius_px", "n_masked"), [(0.5, 1), (1.0, 1), (1.01, 5), (3.0, 25)])
    def test_pixels_nearer_than_the_radius(
        self, radius_px: float, n_masked: int, recording: PtychographyRecording
    ) -> None:
        masked = beamstop_masked(recording, radius_px)
        assert np.count_nonzero(~masked.good) == n_masked
        assert not masked.good[8, 8]
        assert f"{n_masked} pixels nearer than {radius_px:g} pixels" in masked.notes[-1]
        np.testing.assert_array_equal(masked.read(0, slice(2)), recording.read(0, slice(2)))

    def test_none_is_none(self, recording: PtychographyRecording) -> None:
        assert beamstop_masked(recording, 0.0) is recording

    def test_one_that_hides_the_detector_is_refused(self, recording: PtychographyRecording) -> None:
        with pytest.raises(InputError, match="leaves no good detector pixel") as caught:
            beamstop_masked(recording, 20.0)
        assert "beamstop_px 20" in str(caught.value.got)


class TestShadow:
    @pytest.mark.parametrize("shape", [(64, 64), (61, 47)])
    @pytest.mark.parametrize("stop_px", [4.0, 6.0, 9.0])
    def test_a_shadow_is_noticed_with_its_radius(self, shape: tuple[int, int], stop_px: float) -> None:
        good = np.ones(shape, bool)
        found = shadow_radius_px(lit_frames(shape, stop_px), good)
        assert found is not None
        assert abs(found - stop_px) <= 1

    @pytest.mark.parametrize("dose", [0.02, 1.0, 30.0])
    def test_light_throughout_is_none(self, dose: float) -> None:
        assert shadow_radius_px(lit_frames((64, 64), 0.0, dose), np.ones((64, 64), bool)) is None

    def test_one_dark_side_or_a_faint_middle_is_none(self) -> None:
        frames = lit_frames((64, 64), 6.0)
        good = np.ones((64, 64), bool)
        one_sided = frames.copy()
        one_sided[:, :32] = 0
        assert shadow_radius_px(one_sided, good) is None
        faint = frames + np.where(radii_px((64, 64)) < 6, 3, 0).astype(np.uint16)
        assert shadow_radius_px(faint, good) is None

    def test_a_shadow_that_is_masked_already_is_none(self) -> None:
        frames = lit_frames((64, 64), 6.0)
        assert shadow_radius_px(frames, radii_px((64, 64)) >= 8) is None

    def test_nothing_is_none(self) -> None:
        good = np.ones((16, 16), bool)
        assert shadow_radius_px(np.zeros((0, 16, 16)), good) is None
        assert shadow_radius_px(np.zeros((3, 16, 16)), good) is None
        assert shadow_radius_px(np.full((3, 16, 16), np.nan), good) is None
