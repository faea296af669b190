"""Classes of frames."""

import numpy as np
import pytest

from stxmdist.arrays import MaskClass
from stxmdist.readers.frames.frame_class import frame_classes, unmeasured_rows


@pytest.fixture
def frames() -> np.ndarray:
    return np.random.default_rng(3).poisson(50.0, (5, 31, 37)).astype(np.uint16)


def test_valid_whatever_the_dose() -> None:
    rng = np.random.default_rng(11)
    for mean in (0.003, 0.1, 1.0, 20.0, 400.0, 30000.0):
        faint = rng.poisson(mean, (40, 23, 29)).astype(np.uint16)
        faint[:, 3, 5] += 1
        assert (frame_classes(faint) == MaskClass.valid).all(), mean


def test_missing_is_all_zero_or_nan(frames: np.ndarray) -> None:
    frames[1] = 0
    real = frames.astype(np.float32)
    real[2] = np.nan
    real[3, :15] = np.nan
    real[4] = 0
    real[4, :15] = np.nan
    assert frame_classes(real).tolist() == [0, MaskClass.missing, MaskClass.missing, 0, MaskClass.missing]
    assert frame_classes(frames).tolist() == [0, MaskClass.missing, 0, 0, 0]


def test_only_good_pixels_count(frames: np.ndarray) -> None:
    good = np.ones(frames.shape[1:], bool)
    good[:4] = False
    frames[0, 4:] = 0
    frames[1, :4] = 65535
    assert frame_classes(frames, good).tolist() == [MaskClass.missing, 0, 0, 0, 0]
    assert frame_classes(frames).tolist() == [0, MaskClass.saturated, 0, 0, 0]


@pytest.mark.parametrize("ceiling", [65535, 4095, 61])
def test_saturated_at_the_type_s_or_at_a_shared_maximum(frames: np.ndarray, ceiling: int) -> None:
    frames[2] = np.minimum(frames[2] if ceiling == 61 else frames[2] * 0, ceiling)
    if ceiling != 61:
        frames[2, :2] = ceiling
        frames[2, 2:] = 50
    assert frame_classes(frames).tolist() == [0, 0, MaskClass.saturated, 0, 0]


def test_ceiling_given(frames: np.ndarray) -> None:
    assert (frame_classes(frames, ceiling=60) == MaskClass.saturated).all()


def test_one_hot_pixel_is_no_saturation(frames: np.ndarray) -> None:
    frames[:, 7, 7] = 65535
    assert (frame_classes(frames) == MaskClass.valid).all()


def stack(mean: float, seed: int = 3) -> np.ndarray:
    """Three images (8, 32) of Poisson counts."""
    return np.random.default_rng(seed).poisson(mean, (3, 8, 32)).astype(np.float64)


def test_rows_of_zeros_are_unmeasured_where_the_images_beside_are_bright() -> None:
    before, image, after = stack(50.0)
    image[5:] = 0
    image[2] = 0  # a line whose trigger was missed
    expected = np.isin(np.arange(8), (2, 5, 6, 7))
    assert (unmeasured_rows(image, [before, after]) == expected).all()
    assert (unmeasured_rows(image, [before]) == expected).all()
    assert (unmeasured_rows(image, []) == expected).all()


def test_rows_that_are_dark_in_every_image_are_true_zeros() -> None:
    images = stack(50.0)
    images[:, 5:] = 0  # a bar of the grid
    assert not unmeasured_rows(images[1], [images[0], images[2]]).any()


@pytest.mark.parametrize("seed", range(20))
def test_rows_of_zeros_in_dim_images_are_true_zeros(seed: int) -> None:
    images = stack(0.05, seed)
    assert not images.any(axis=2).all()
    assert not unmeasured_rows(images[1], [images[0], images[2]]).any()


def test_motors_decide_where_no_image_stands_beside() -> None:
    image = stack(50.0)[0]
    image[5:] = 0
    reached = np.arange(8) < 6
    assert unmeasured_rows(image, [], reached).tolist() == [False] * 6 + [True] * 2


def test_unknown_pixels_are_left_alone() -> None:
    before, image, _ = stack(50.0)
    image[3] = np.nan
    assert not unmeasured_rows(image, [before]).any()
