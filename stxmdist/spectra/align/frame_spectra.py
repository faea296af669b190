"""Fourier spectra of the frames of a stack, on which registration works: windowed, weighted and band-limited."""

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from stxmdist.arrays import C64, F32, F64

SPECTRA_BYTES = 128_000_000
"""Memory for the spectra of a whole stack, which are held at once; a larger stack is registered at a narrower band"""
LEAST_WEIGHT = 0.01
"""Frequencies at which the smoothing leaves less than this are not kept"""
TAPER_PX = 6.0
"""Width of the border of the frame over which the window fades out"""


@dataclass(frozen=True, eq=False)
class Band:
    """The low angular frequencies (QY, QX) of the half plane that rfft2 returns, and the weight of each."""

    shape: tuple[int, int]
    """(Y, X) of the frames in pixels"""
    y: F64
    """(QY,) radians per pixel, in the order of an FFT of as many points"""
    x: F64
    """(QX,) radians per pixel, from zero on"""
    weight: F32
    """(QY, QX) |k| exp(-(smoothing k)^2 / 2): the gradient of the smoothed frame"""
    fold: F32
    """(QX,) 2 for columns that represent a frequency and its negative"""

    @property
    def grid(self) -> tuple[int, int]:
        """Shape (Y, X) of the coarser image that has these frequencies only."""
        return self.y.size, 2 * self.x.size - 1

    @property
    def pitch_px(self) -> F64:
        """(2,) float64 distance between the points of that image, in pixels of the frame."""
        return np.asarray(self.shape, dtype=np.float64) / self.grid

    def spectrum(self, image: F32) -> C64:
        """Weighted spectrum (QY, QX) complex64 of one frame (Y, X)."""
        half = self.y.size // 2
        columns = fft.rfft2(image)[:, : self.x.size]
        return np.asarray(np.concatenate([columns[: half + 1], columns[columns.shape[0] - half :]]) * self.weight)

    def moves(self, shift_px: F64) -> tuple[C64, C64]:
        """Factors (..., QY, 1) and (..., 1, QX) complex64 that move an image by shifts (..., 2) in pixels."""
        shift = np.asarray(shift_px, dtype=np.float64)[..., None]
        along_y = np.exp(-1j * self.y * shift[..., 0, :]).astype(np.complex64)
        along_x = np.exp(-1j * self.x * shift[..., 1, :]).astype(np.complex64)
        return along_y[..., :, None], along_x[..., None, :]


def band_of(shape: tuple[int, int], n_frames: int, smoothing_px: float) -> Band:
    """The band that a Gaussian of ``smoothing_px`` leaves, narrower if the spectra would need too much memory."""
    sizes = np.asarray(shape, dtype=np.float64)
    reach = np.sqrt(-2.0 * np.log(LEAST_WEIGHT))
    # An axis of N pixels keeps N k / 2 pi frequencies of either sign; along x only half of them are stored.
    most = np.sqrt(SPECTRA_BYTES / (8.0 * max(n_frames, 1)) * 2.0 * np.pi**2 / sizes.prod())
    smoothing = max(smoothing_px, reach / most)
    half = np.minimum((sizes - 1) // 2, np.ceil(sizes * reach / smoothing / (2.0 * np.pi))).astype(int)
    step = 2.0 * np.pi / sizes
    y = np.concatenate([np.arange(half[0] + 1), np.arange(-half[0], 0)]) * step[0]
    x = np.arange(half[1] + 1) * step[1]
    k2 = y[:, None] ** 2 + x[None, :] ** 2
    fold = np.full(x.size, 2.0, np.float32)
    fold[0] = 1.0
    weight = np.sqrt(k2) * np.exp(-0.5 * smoothing**2 * k2)
    return Band(shape, y, x, weight.astype(np.float32), fold)


def absorptance(od: F32, elsewhere: F32 | None = None) -> tuple[F32, float]:
    """1 - exp(-OD) minus its median, (Y, X) float32, and the share of pixels that are known.

    A pixel that is not known takes the mean of known pixels nearby. Far from all of them it takes the value of
    ``elsewhere`` (Y, X), or that of the background if this is not given.
    """
    known = np.isfinite(od)
    share = float(known.mean())
    if share == 0.0:
        return np.zeros(od.shape, np.float32), 0.0
    feature = np.where(known, 1.0 - np.exp(-np.where(known, od, 0.0)), 0.0).astype(np.float32)
    feature = np.where(known, feature - np.median(feature[known]), np.float32(0.0))
    if share < 1.0:
        # Thick places may have no counts and so no optical density.
        weight = ndimage.gaussian_filter(known.astype(np.float32), 1.5)
        near = ndimage.gaussian_filter(feature, 1.5) / np.maximum(weight, np.float32(0.02))
        far = np.zeros_like(feature) if elsewhere is None else elsewhere
        feature = np.where(known, feature, np.where(weight > 0.3, near, far))
    return feature, share


def window(shape: tuple[int, int]) -> F32:
    """Window (Y, X) float32 that fades out at the borders of a frame, where particles are cut and drift in and out."""
    sides = [np.sin(0.5 * np.pi * np.clip((np.arange(n) + 0.5) / TAPER_PX, 0.0, 1.0)) ** 2 for n in shape]
    fading = np.outer(*(side * side[::-1] for side in sides))
    return np.asarray(fading, dtype=np.float32)
