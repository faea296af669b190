"""Plates through a zone plate's PSF: found, outlined, parted, numbered; and nothing found where there is nothing."""

import numpy as np
import pytest
from scipy import ndimage

from stxmdist.arrays import F64, I32, Mask
from stxmdist.errors import InputError
from stxmdist.particles.segment import SegmentOptions, contrast_of, levelled, segment, without_gaps

FINE_NM, PIXEL_NM, PSF_NM = 10, 50, 30.0
STEP = PIXEL_NM // FINE_NM
MU_PER_NM = 0.008


def plates(seed: int, cover: float, gap_px: float = 2.0, noise_nm: float = 5.0, n: int = 149) -> tuple[F64, I32]:
    """Measured thickness and true labels (Y, X) of superellipses of 0.25 to 1.5 um drawn on a 10 nm grid."""
    rng = np.random.default_rng(seed)
    size = n * STEP
    truth, thickness = np.zeros((size, size), np.int32), np.zeros((size, size))
    count = 0
    while (truth > 0).mean() < cover:
        half = np.clip(np.exp(rng.normal(np.log(600.0), 0.4)), 250.0, 1500.0) / FINE_NM / 2
        stretch, angle = np.exp(0.5 * abs(rng.normal(0, 0.25))), rng.uniform(0, np.pi)
        y, x = rng.uniform(0, size, 2)
        reach = int(half * stretch * 1.5) + 3
        rows = np.arange(max(0, int(y) - reach), min(size, int(y) + reach))
        columns = np.arange(max(0, int(x) - reach), min(size, int(x) + reach))
        dy, dx = rows[:, None] - y, columns[None, :] - x
        u, v = dy * np.cos(angle) + dx * np.sin(angle), dx * np.cos(angle) - dy * np.sin(angle)
        inside = np.abs(u / (half * stretch)) ** 3 + np.abs(v * stretch / half) ** 3 < 1
        box = np.ix_(rows, columns)
        near = ndimage.distance_transform_edt(~inside) <= gap_px * STEP
        if (truth[box][near] > 0).any():
            continue
        count += 1
        truth[box] = np.where(inside, count, truth[box])
        thickness[box] = np.where(inside, 120.0 * np.exp(rng.normal(0, 0.3)), thickness[box])
    transmission = ndimage.gaussian_filter(np.exp(-MU_PER_NM * thickness), PSF_NM / FINE_NM)
    middle = slice(STEP // 2, None, STEP)
    measured = -np.log(transmission[middle, middle]) / MU_PER_NM
    return measured + rng.normal(0, noise_nm, measured.shape), truth[middle, middle]


def recall_and_precision(found: I32, truth: I32) -> tuple[float, float, float]:
    """Share of whole true particles found at IoU 0.5, share of found ones that are true, mean IoU of the found."""
    shared = np.zeros((truth.max() + 1, found.max() + 1))
    np.add.at(shared, (truth.ravel(), found.ravel()), 1)
    iou = (shared / (shared.sum(1)[:, None] + shared.sum(0)[None] - shared))[1:, 1:]
    cut = np.unique(np.concatenate([truth[0], truth[-1], truth[:, 0], truth[:, -1]]))
    whole = np.setdiff1d(np.unique(truth), [0, *cut]).astype(int) - 1
    best = iou[whole].max(1)
    return float((best > 0.5).mean()), float((iou.max(0) > 0.5).mean()), float(best[best > 0.5].mean())


def everywhere(image: F64) -> Mask:
    return np.ones(image.shape, bool)


@pytest.mark.parametrize(
    ("cover", "gap_px", "noise_nm", "least"),
    [(0.05, 2.0, 5.0, 0.95), (0.15, 2.0, 15.0, 0.95), (0.30, 1.0, 5.0, 0.9), (0.35, 0.0, 5.0, 0.85)],
)
def test_plates_are_found_at_their_outlines(cover: float, gap_px: float, noise_nm: float, least: float) -> None:
    measured, truth = plates(7, cover, gap_px, noise_nm)
    recall, precision, overlap = recall_and_precision(segment(measured, everywhere(measured), PIXEL_NM), truth)
    assert recall >= least
    assert precision >= 0.95
    assert overlap >= 0.88


def test_area_is_unbiased_for_a_blurred_disc() -> None:
    y, x = np.indices((97, 101))
    for radius in (6.3, 17.7):
        disc = (y - 45.2) ** 2 + (x - 50.7) ** 2 < radius**2
        found = segment(ndimage.gaussian_filter(150.0 * disc, 1.2), everywhere(disc), PIXEL_NM)
        assert found.max() == 1
        assert (found > 0).sum() == pytest.approx(np.pi * radius**2, rel=0.04)


@pytest.mark.parametrize("level_nm", [0.0, 40.0, 200.0])
@pytest.mark.parametrize("correlation_px", [0.0, 2.0])
def test_no_contrast_is_no_particle(level_nm: float, correlation_px: float) -> None:
    noise = np.random.default_rng(1).normal(0, 10, (83, 89))
    if correlation_px:
        noise = 30 * ndimage.gaussian_filter(noise, correlation_px)
    assert segment(level_nm + noise, everywhere(noise), PIXEL_NM).max() == 0


def test_a_constant_or_unknown_field_is_no_particle() -> None:
    for image in (np.zeros((20, 23)), np.full((20, 23), 100.0), np.full((20, 23), np.nan)):
        assert segment(image, everywhere(image), PIXEL_NM).max() == 0
    bright = plates(1, 0.1)[0]
    assert segment(bright, ~everywhere(bright), PIXEL_NM).max() == 0


def test_one_large_plate_stays_one_and_two_touching_discs_are_two() -> None:
    y, x = np.indices((131, 127))
    noise = np.random.default_rng(2).normal(0, 8, y.shape)
    large = (np.abs(y - 60) < 40) & (np.abs(x - 60) < 25)
    assert segment(ndimage.gaussian_filter(200.0 * large, 0.6) + noise, everywhere(large), PIXEL_NM).max() == 1
    two = ((y - 60) ** 2 + (x - 40) ** 2 < 144) | ((y - 60) ** 2 + (x - 62) ** 2 < 144)
    found = segment(ndimage.gaussian_filter(200.0 * two, 0.6) + noise, everywhere(two), PIXEL_NM)
    assert found.max() == 2
    assert np.bincount(found.ravel())[1:] == pytest.approx(two.sum() / 2, rel=0.05)


def test_numbers_follow_position_and_nothing_else() -> None:
    measured, _ = plates(3, 0.12)
    labels = segment(measured, everywhere(measured), PIXEL_NM)
    centres = np.array(ndimage.center_of_mass(labels > 0, labels, np.arange(1, labels.max() + 1)))
    assert (np.diff(centres[:, 0]) >= 0).all()
    np.testing.assert_array_equal(labels, segment(measured.copy(order="F"), everywhere(measured), PIXEL_NM))
    mirrored = segment(measured[:, ::-1], everywhere(measured), PIXEL_NM)[:, ::-1]
    agree = ((mirrored > 0) == (labels > 0)).mean()
    assert agree > 0.998


def test_thickness_unit_of_the_contrast_does_not_matter_above_the_minimum() -> None:
    measured, _ = plates(4, 0.12)
    options = SegmentOptions(minimum_thickness_nm=1.0)
    one, other = (segment(factor * measured, everywhere(measured), PIXEL_NM, options) for factor in (1.0, 3.0))
    np.testing.assert_array_equal(one, other)


def test_what_is_not_known_belongs_to_no_particle() -> None:
    measured, _ = plates(5, 0.2)
    known = everywhere(measured)
    known[40:52] = False
    measured[60, :] = np.nan
    labels = segment(measured, known, PIXEL_NM)
    assert labels.max() > 5
    assert (labels[40:52] == 0).all()
    assert (labels[60] == 0).all()


def test_too_thin_and_too_small_are_left_out() -> None:
    y, x = np.indices((60, 60))
    thin = 15.0 * ((y - 30) ** 2 + (x - 30) ** 2 < 100)
    assert segment(thin, everywhere(thin), PIXEL_NM).max() == 0
    image = 150.0 * (((y - 30) ** 2 + (x - 15) ** 2 < 100) | ((y - 30) ** 2 + (x - 45) ** 2 < 1))
    assert segment(image, everywhere(image), PIXEL_NM).max() == 1
    assert contrast_of(np.zeros(50)) is None


def test_mistakes_are_explained() -> None:
    with pytest.raises(InputError, match="one shape"):
        segment(np.zeros((4, 5)), np.ones((5, 4), bool), PIXEL_NM)
    with pytest.raises(InputError, match="nm above 0"):
        segment(np.zeros((4, 5)), np.ones((4, 5), bool), 0.0)


def test_gaps_in_the_numbers_are_closed_and_the_order_stays() -> None:
    labels = np.array([[-1, 0, 7, 3], [9, 9, 3, 0]], np.int32)
    closed = without_gaps(labels)
    assert closed.tolist() == [[-1, 0, 2, 1], [3, 3, 1, 0]]
    assert closed.dtype == np.int32


@pytest.mark.parametrize("seed", [21, 22, 23])
def test_plates_stand_out_of_noise_half_as_high_as_they_are(seed: int) -> None:
    """Noise of 16 nm a pixel is that of three energies in 30 photons."""
    measured, truth = plates(seed, 0.2, 2.0, 0.0)
    noisy = 0.35 * measured + np.random.default_rng(seed).normal(0.0, 16.0, measured.shape)
    recall, precision, overlap = recall_and_precision(segment(noisy, everywhere(noisy), PIXEL_NM), truth)
    assert recall >= 0.9
    assert precision >= 0.95
    assert overlap >= 0.75


def test_a_sharp_map_is_smoothed_no_more_than_before() -> None:
    measured, _ = plates(8, 0.2)
    least = SegmentOptions(most_smoothing_px=0.7)
    np.testing.assert_array_equal(
        segment(measured, everywhere(measured), PIXEL_NM), segment(measured, everywhere(measured), PIXEL_NM, least)
    )


@pytest.mark.parametrize("seed", range(3, 9))
def test_a_faint_plate_is_outlined_whole_beside_thick_ones(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y, x = np.indices((100, 110))
    faint = np.hypot(y - 50, x - 25) < 12
    image = 32.0 * faint + 70.0 * (np.hypot(y - 50, x - 75) < 18) + rng.normal(0.0, 16.0, faint.shape)
    labels = segment(image, everywhere(image), PIXEL_NM)
    mine = labels == np.bincount(labels[faint & (labels > 0)]).argmax()
    assert (mine & faint).sum() > 0.8 * (mine | faint).sum()


def test_noise_of_few_counts_alone_is_no_particle() -> None:
    for seed in range(5):
        noise = np.random.default_rng(seed).normal(0.0, 16.0, (160, 160))
        assert segment(noise, everywhere(noise), PIXEL_NM).max() == 0


@pytest.mark.parametrize("height_nm", [25.0, 40.0])
def test_a_film_over_half_of_the_field_hides_no_plates_of_the_other_half(height_nm: float) -> None:
    """Two energies tell no film: it stays in the map, and its half of the field is no thinner than plates elsewhere."""
    measured, truth = plates(3, 0.15, noise_nm=2.0)
    across = np.linspace(-3.0, 3.0, measured.shape[1])
    film = height_nm * 0.5 * (1.0 + np.tanh(across / 0.6))
    filmed = measured + film - 0.5 * height_nm
    with_film, without = (
        recall_and_precision(segment(image, everywhere(image), PIXEL_NM), truth) for image in (filmed, measured)
    )
    print(f"film of {height_nm:g} nm: found {with_film[0]:.2f} ({without[0]:.2f} without), true {with_film[1]:.2f}")
    assert with_film[0] >= without[0] - 0.05
    assert with_film[1] > 0.9


@pytest.mark.parametrize(("cover", "noise_nm"), [(0.1, 2.0), (0.2, 20.0), (0.3, 5.0)])
def test_an_even_field_is_left_as_it_is(cover: float, noise_nm: float) -> None:
    measured, _ = plates(5, cover, noise_nm=noise_nm)
    np.testing.assert_array_equal(levelled(measured, everywhere(measured), PIXEL_NM), measured)
