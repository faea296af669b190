"""Frames cut and summed: zero frequency stays where it is, light is kept, and the object is that of the same beam."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stxmdist import readers
from stxmdist.errors import InputError
from stxmdist.readers import PtychographyRecording
from stxmdist.readers.frames import windowing
from stxmdist.readers.frames.windowing import (
    Blocks,
    binned,
    cropped,
    illumination_on,
    middle_of,
    summed,
    summed_type,
    zero_frequency_px,
)

ROUNDING = 3e-6
"""Illuminations are complex64, of values of about one, transformed there and back."""

SINGLE_PRECISION = 1e-5
"""Squares of those, and products of two."""
DAMPING = 0.02
"""A sum over two pixels damps the lag u of n = 120 by (pi u / n)^2 / 2: 1 % at the beam's full width of 5 pixels."""

Read = Callable[..., PtychographyRecording]


@pytest.fixture
def read(write_cxi: Callable[..., Path], tmp_path: Path) -> Read:
    def read(frames: np.ndarray, **extra: Any) -> PtychographyRecording:
        (recording,) = readers.read(write_cxi(tmp_path / "scan.cxi", frames=frames, **extra))
        assert isinstance(recording, PtychographyRecording)
        return recording

    return read


def counts(shape: tuple[int, ...], seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).poisson(40.0, shape).astype(np.uint16)


def far_field(waves: np.ndarray) -> np.ndarray:
    """(..., QY, QX) complex128 with the zero frequency at n // 2, of waves (..., Y, X) about n // 2."""
    axes = (-2, -1)
    return np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(waves, axes), norm="ortho"), axes)


def confined(shape: tuple[int, int], width: float, seed: int = 2) -> np.ndarray:
    """(MODE, Y, X) complex64 waves that fall off within ``width`` pixels of n // 2, lopsided and with structure."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape) - np.array([n // 2 for n in shape])[:, None, None]
    envelope = np.exp(-((y / width) ** 2) - ((x + 1) / width) ** 2)
    return (envelope * (rng.normal(size=(2, *shape)) + 1j * rng.normal(size=(2, *shape)))).astype(np.complex64)


class TestBlocks:
    @pytest.mark.parametrize("n", [16, 17, 31, 32, 45, 64, 97, 128])
    @pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8])
    def test_zero_frequency_stays_in_the_middle(self, n: int, size: int) -> None:
        blocks = Blocks(n, size)
        count, covered = blocks.count, blocks.covered
        assert covered.start >= 0
        assert covered.stop <= n
        assert covered.stop - covered.start == count * size
        first = covered.start + count // 2 * size
        centre = first + (size - 1) / 2
        assert first <= n // 2 < first + size
        assert centre - n // 2 == blocks.beyond_px == (0.0 if size % 2 else 0.5)
        # No whole block fits beside them that would leave the zero frequency at count // 2.
        assert min(covered.start, n - covered.stop) < size
        assert n - covered.stop + covered.start < 2 * size

    def test_a_power_of_two_halved_keeps_all_pixels(self) -> None:
        assert Blocks(128, 2).count == 64
        assert zero_frequency_px((64, 63), 2) == (31.75, 30.75)
        assert zero_frequency_px((43, 42), 3) == (21.0, 21.0)


class TestSums:
    @pytest.mark.parametrize("shape", [(16, 17), (31, 45)])
    @pytest.mark.parametrize("size", [1, 2, 3, 4])
    def test_counts_are_kept(self, shape: tuple[int, int], size: int) -> None:
        frames = counts((3, *shape))
        rows, columns = (Blocks(n, size) for n in shape)
        sums = summed(frames, size)
        assert sums.shape == (3, rows.count, columns.count)
        covered = frames[:, rows.covered, columns.covered]
        np.testing.assert_array_equal(sums.sum(axis=(1, 2)), covered.sum(axis=(1, 2)))
        np.testing.assert_array_equal(sums[:, 0, 0], covered[:, :size, :size].sum(axis=(1, 2)))

    @pytest.mark.parametrize(
        ("dtype", "size", "wanted"),
        [
            ("u1", 2, "u2"),
            ("u2", 1, "u2"),
            ("u2", 2, "u4"),
            ("u4", 2, "u8"),
            ("u8", 2, "f8"),
            ("i2", 3, "i4"),
            ("f2", 2, "f4"),
            ("f4", 4, "f4"),
        ],
    )
    def test_no_sum_overflows(self, dtype: str, size: int, wanted: str) -> None:
        assert summed_type(np.dtype(dtype), size) == np.dtype(wanted)
        highest = np.iinfo(dtype).max if dtype[0] != "f" else 3000
        sums = summed(np.full((1, 17, 17), highest, dtype), size)
        assert sums.dtype == np.dtype(wanted)
        assert float(sums[0, 0, 0]) == pytest.approx(float(highest) * size**2)


class TestIllumination:
    @pytest.mark.parametrize("shape", [(32, 32), (31, 45), (37, 32)])
    @pytest.mark.parametrize("kept", [24, 17])
    def test_cut_frames_are_those_of_the_cut_illumination(self, shape: tuple[int, int], kept: int) -> None:
        light = confined(shape, 5.0)
        covered = tuple(slice(n // 2 - kept // 2, n // 2 - kept // 2 + kept) for n in shape)
        coarse = illumination_on(light, (covered[0], covered[1]))
        np.testing.assert_allclose(far_field(coarse), middle_of(far_field(light), (kept, kept)), atol=ROUNDING)

    @pytest.mark.parametrize("shape", [(48, 48), (45, 63), (47, 61), (50, 53)])
    @pytest.mark.parametrize("size", [2, 3, 4])
    def test_summed_frames_are_those_of_the_window_s_middle(self, shape: tuple[int, int], size: int) -> None:
        """Exactly: of the pattern's autocorrelation, a sum over b pixels damps the lag u by sin(pi b u / M) /
        (b sin(pi u / M)), the same frequencies sampled b apart do not.
        """
        y, x = (Blocks(n, size) for n in shape)
        light = np.zeros((1, *shape), np.complex64)
        part = confined((5, 5), 4.0)[:1]
        middle_of(light, (5, 5))[...] = part
        # What was lost with the edge frequencies is compared elsewhere: all of the light lies in what is covered.
        spectrum = np.zeros_like(light)
        spectrum[:, y.covered, x.covered] = far_field(light)[:, y.covered, x.covered]
        sums = summed(np.abs(spectrum.astype(np.complex128)) ** 2, size)[0]
        coarse = illumination_on(light, (y.covered, x.covered), size)
        assert coarse.shape == (1, y.count, x.count)
        pattern = np.abs(far_field(coarse)[0]) ** 2
        if (y.count * size, x.count * size) == shape:
            damping = []
            for blocks in (y, x):
                lags = np.fft.fftfreq(blocks.count, 1 / blocks.count) / (blocks.count * size)
                damping.append(np.divide(
                    np.sin(np.pi * size * lags), size * np.sin(np.pi * lags), out=np.ones_like(lags), where=lags != 0
                ))  # fmt: skip
            damped = np.fft.ifft2(np.fft.ifftshift(pattern)) * damping[0][:, None] * damping[1]
            expected = np.fft.fftshift(np.fft.fft2(damped)).real
            np.testing.assert_allclose(sums, expected, atol=ROUNDING * sums.max())
        # Over blocks much smaller than a speckle the sum is the pattern itself, zero frequency and all.
        assert np.corrcoef(sums.ravel(), pattern.ravel())[0, 1] > 0.97

    @pytest.mark.parametrize("size", [2, 3, 4])
    def test_the_ramp_is_what_an_even_sum_needs(self, size: int) -> None:
        """A smooth off-centre pattern: its centre of mass in frequency is the same before and after."""
        n = 96
        y, x = np.indices((n, n)) - n // 2
        light = np.exp(-(y**2 + x**2) / 18 + 2j * np.pi * (5.0 * y - 3.0 * x) / n)[None].astype(np.complex64)
        blocks = Blocks(n, size)
        coarse = illumination_on(light, (blocks.covered, blocks.covered), size)
        pattern = np.abs(far_field(coarse)[0]) ** 2
        zero = zero_frequency_px(pattern.shape, size)
        found = [
            size * ((pattern.sum(axis=1 - axis) * np.arange(blocks.count)).sum() / pattern.sum() - zero[axis])
            for axis in (0, 1)
        ]
        np.testing.assert_allclose(found, [5.0, -3.0], atol=1e-3)

    def test_the_sample_behind_it_is_the_same_on_larger_pixels(self) -> None:
        """Probe and object of few frequencies: cut, their product is that of what each is on larger pixels."""
        n, kept = 60, 36
        rng = np.random.default_rng(8)
        spectra = np.zeros((2, n, n), complex)
        middle_of(spectra, (15, 15))[...] = rng.normal(size=(2, 15, 15)) + 1j * rng.normal(size=(2, 15, 15))
        probe, sample = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(spectra, (1, 2)), norm="ortho"), (1, 2))
        covered = slice(n // 2 - kept // 2, n // 2 - kept // 2 + kept)
        coarse_probe, coarse_sample = (
            illumination_on(wave[None].astype(np.complex64), (covered, covered))[0] for wave in (probe, sample)
        )
        # Powers are kept, so that values on larger pixels are n / kept larger.
        exit_wave = coarse_probe * (coarse_sample * kept / n)
        expected = middle_of(np.abs(far_field(probe * sample)) ** 2, (kept, kept))
        np.testing.assert_allclose(np.abs(far_field(exit_wave)) ** 2, expected, atol=SINGLE_PRECISION * expected.max())

    def test_the_sample_behind_it_is_the_same_in_a_smaller_window(self) -> None:
        """A beam much narrower than the window: summed frames are those of the probe on the same object's pixels."""
        n, size = 120, 2
        blocks = Blocks(n, size)
        rng = np.random.default_rng(9)
        y, x = np.indices((n, n)) - n // 2
        probe = np.exp(-(y**2 + x**2) / 8 + 0.05j * (y**2 + x**2))[None].astype(np.complex64)
        sample = np.exp(0.3j * rng.normal(size=(n, n)))
        sums = summed(np.abs(far_field(probe[0] * sample)) ** 2, size)
        coarse = illumination_on(probe, (blocks.covered, blocks.covered), size)[0]
        pattern = np.abs(far_field(coarse * middle_of(sample, coarse.shape))) ** 2
        assert np.abs(pattern - sums).sum() < DAMPING * sums.sum()


class TestRecording:
    @pytest.mark.parametrize("shape", [(16, 16), (17, 23)])
    @pytest.mark.parametrize("px", [8, 13, 16])
    def test_cut_is_what_a_cut_file_holds(
        self, shape: tuple[int, int], px: int, read: Read, write_cxi: Callable[..., Path], tmp_path: Path
    ) -> None:
        # Rows along +y, columns along +x: nothing is mirrored between the file and what is read.
        frames, mask = counts((13, *shape)), np.zeros(shape, np.uint32)
        mask[shape[0] // 2 + 1, shape[1] // 2 - 2] = 1
        straight = ((0, 3e-5), (3e-5, 0), (0, 0))
        whole = read(frames, mask=mask, basis=straight, illumination=confined(shape, 4.0))
        cut = cropped(whole, px)
        window = middle_of(frames, (px, px))
        path = write_cxi(tmp_path / "cut.cxi", frames=window, mask=middle_of(mask, (px, px)), basis=straight)
        (of_file,) = readers.read(path)
        assert isinstance(of_file, PtychographyRecording)
        assert cut.frame_shape == of_file.frame_shape == (px, px)
        assert cut.frame_dtype == of_file.frame_dtype
        assert cut.detector_pixel_um == of_file.detector_pixel_um
        np.testing.assert_array_equal(cut.good, of_file.good)
        np.testing.assert_array_equal(cut.read(0, slice(None)), of_file.read(0, slice(None)))
        assert cut.illumination is not None
        assert cut.illumination.shape == (2, px, px)

    def test_sums_over_odd_blocks(self, read: Read) -> None:
        frames, mask = counts((13, 31, 29)), np.zeros((31, 29), np.uint32)
        mask[15, 14] = mask[0, 0] = 1
        whole = read(frames, mask=mask, basis=((0, 3e-5), (3e-5, 0), (0, 0)), illumination=confined((31, 29), 3.0))
        coarse = binned(whole, 3)
        assert coarse.frame_shape == (9, 9)
        assert coarse.frame_dtype == np.uint32
        assert coarse.detector_pixel_um == pytest.approx((90.0, 90.0))
        # The zero frequency's own block is bad with it; what fills no block is left out, its faults too.
        assert np.argwhere(~coarse.good).tolist() == [[4, 4]]
        np.testing.assert_array_equal(coarse.read(0, slice(None)), summed(frames, 3))
        assert "without 4 rows and 2 columns" in coarse.notes[-1]
        assert coarse.illumination is not None
        assert coarse.illumination.shape == (2, 9, 9)

    def test_an_even_sum_says_where_the_zero_frequency_lies(self, read: Read) -> None:
        coarse = binned(read(counts((13, 16, 16))), 2)
        assert coarse.frame_shape == (8, 8)
        assert "the zero frequency lies 0.25 pixels before the middle" in coarse.notes[-1]
        assert "without" not in coarse.notes[-1]

    def test_nothing_asked_changes_nothing(self, read: Read) -> None:
        recording = read(counts((13, 16, 16)))
        assert cropped(recording, 0) is recording
        assert cropped(recording, 16) is recording
        assert binned(recording, 1) is recording

    def test_piece_by_piece(self, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file's frames are never held all at once, however small what is left of them."""
        recording = read(counts((13, 40, 40)))
        small = binned(cropped(recording, 27), 3)
        whole = small.read(0, slice(None))
        monkeypatch.setattr(windowing, "PIECE_BYTES", 3 * windowing.frame_bytes(recording))
        asked: list[int] = []

        class Watched:
            def __call__(self, energy: int, positions: slice) -> np.ndarray:
                frames = recording.read(energy, positions)
                asked.append(len(frames))
                return frames

        watched = binned(cropped(replace(recording, read=Watched()), 27), 3)
        for part in (slice(None), slice(2, 11), slice(1, 13, 4), slice(5, 5), slice(-3, None)):
            np.testing.assert_array_equal(watched.read(0, part), whole[part])
        assert max(asked) == 3
        with pytest.raises(ValueError, match="ascending"):
            watched.read(0, slice(None, None, -1))

    def test_it_travels_to_another_process(self, read: Read) -> None:
        small = binned(cropped(read(counts((13, 40, 40))), 27), 3)
        copy = pickle.loads(pickle.dumps(small))
        np.testing.assert_array_equal(copy.read(0, slice(3, 7)), small.read(0, slice(3, 7)))

    @pytest.mark.parametrize("px", [17, 10**6])
    def test_a_crop_larger_than_the_frames_is_refused(self, px: int, read: Read) -> None:
        with pytest.raises(InputError, match="smaller than the crop") as caught:
            cropped(read(counts((13, 16, 20))), px)
        assert "at most 16" in str(caught.value.wanted)
        assert "scan.cxi" in str(caught.value.where)

    @pytest.mark.parametrize("px", [3, 16, 1000])
    def test_sums_that_leave_hardly_a_pixel_are_refused(self, px: int, read: Read) -> None:
        with pytest.raises(InputError, match="too small for so many pixels") as caught:
            binned(read(counts((13, 16, 16))), px)
        assert "bin_px" in str(caught.value.got)

    def test_a_mask_that_leaves_nothing_is_refused(self, read: Read) -> None:
        every_other = np.indices((32, 32)).sum(axis=0) % 2
        recording = read(counts((13, 32, 32)), mask=every_other.astype(np.uint32))
        with pytest.raises(InputError, match="no good detector pixel"):
            binned(recording, 2)
        border = np.ones((32, 32), np.uint32)
        border[:4] = 0
        with pytest.raises(InputError, match="no good detector pixel"):
            cropped(read(np.where(border, 0, counts((13, 32, 32))), mask=border), 16)
