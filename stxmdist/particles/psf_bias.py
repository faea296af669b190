"""How far the point spread function moves a particle's state of charge: what it does to maps is undone and redone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

Floats = NDArray[np.floating]

ITERATIONS = 8
"""Multiplicative corrections of the sharp maps: the first few find what was thrown over outlines, later ones noise."""

LEAST_NM = 1e-3


@dataclass(frozen=True)
class PsfBias:
    """What imaging through the PSF adds, per particle in the order of the labels, and the maps that show it."""

    particle_id: NDArray[np.int64]
    soc: NDArray[np.float64]
    """(PARTICLE,) to be subtracted from soc_mean; NaN where the particle has no mass"""
    sharp_nm: NDArray[np.float32]
    """(2, Y, X) maps confined to the outlines that, imaged and fitted, give the measured ones back"""
    imaged_nm: NDArray[np.float32]
    """(2, Y, X) the sharp maps as a fit would see them"""


def psf_bias(
    labels: NDArray[np.int32],
    thickness_nm: Floats,
    *,
    psf: NDArray[np.float64],
    design_per_nm: Floats,
    weights: Floats | None = None,
    known: NDArray[np.bool_] | None = None,
    reach: NDArray[np.int32] | None = None,
    iterations: int = ITERATIONS,
) -> PsfBias:
    """Bias of each particle's mass-weighted soc because transmission, not optical density, is averaged by the PSF.

    Maps confined to the outlines are sought that, turned into transmission, blurred by the PSF and fitted again, give
    the measured maps back: each iteration multiplies them by the blurred ratio of measured to imaged. Their soc differs
    from that of the imaged maps by the bias: rims lose to the surroundings what outlines cut off, and mixtures of
    particle and empty field fit as another chemistry.

    Parameters
    ----------
    labels
        (Y, X) int32
    thickness_nm
        (2, Y, X) floating, nm of (discharged, charged)
    psf
        (K, K) float64, K odd, point spread function on the pixels of the maps, sum 1
    design_per_nm
        (ENERGY, TERM) or (ENERGY, 2): optical density per nm of the two components in the first two columns; further
        columns (background) are fitted too
    weights
        (ENERGY,) weights of the fit, e.g. effective counts; equal if left out
    known
        (Y, X) bool
    reach
        (Y, X) int32, pixels over which masses are summed, as in ``chemistry_table``; the outlines if left out

    Source: Marcus, Shapiro, Yu, Microsc. Microanal. 27 (2021) describe the effect; Lucy, Astron. J. 79, 745 (1974), the
    iteration.
    """
    usable = np.asarray(np.isfinite(thickness_nm).all(axis=0) & (True if known is None else known))
    outlines = np.where(usable, labels, 0)
    ids = np.unique(labels[labels > 0]).astype(np.int64)
    measured = np.where(usable, np.nan_to_num(thickness_nm), 0.0).astype(np.float64)
    optics = _Optics(psf, labels.shape, np.asarray(design_per_nm, dtype=np.float64), weights)
    support = outlines > 0
    sharp = np.where(support, np.maximum(measured, LEAST_NM), 0.0)
    imaged = optics.imaged(sharp)
    near = ndimage.binary_dilation(support, iterations=1 + psf.shape[0] // 4)
    for _ in range(iterations):
        ratio = np.where(near & (imaged > 1.0), np.maximum(measured, 0.0) / np.maximum(imaged, 1.0), 1.0)
        correction = np.stack([optics.blurred(part) for part in np.clip(ratio, 0.2, 5.0)])
        sharp = np.where(support, np.clip(sharp * correction, LEAST_NM, 5.0 * measured.max(initial=1.0)), 0.0)
        imaged = optics.imaged(sharp)
    seen = np.where(usable, labels if reach is None else reach, 0)
    bias = _soc(seen, imaged, ids) - _soc(outlines, sharp, ids)
    return PsfBias(ids, bias, sharp.astype(np.float32), imaged.astype(np.float32))


class _Optics:
    """Imaging of thickness maps (2, Y, X): transmission of each energy blurred, and fitted linearly in optical density."""

    def __init__(
        self, psf: NDArray[np.float64], shape: tuple[int, ...], design: NDArray[np.float64], weights: Floats | None
    ) -> None:
        half = psf.shape[0] // 2
        self._half = half
        self._padded = tuple(fft.next_fast_len(n + 2 * half, real=True) for n in shape)
        self._shape = shape
        kernel = np.zeros(self._padded)
        kernel[: psf.shape[0], : psf.shape[1]] = psf
        self._transfer = fft.rfft2(np.roll(kernel, (-half, -half), axis=(0, 1)))
        root = np.sqrt(np.ones(len(design)) if weights is None else np.asarray(weights, dtype=np.float64))
        self._design = design
        self._solve = np.linalg.pinv(design * root[:, None]) * root[None, :]

    def blurred(self, image: NDArray[np.float64]) -> NDArray[np.float64]:
        """(Y, X) through the PSF; what lies beyond the border is as at the border."""
        rows, columns = self._shape
        before = (self._half, self._half)
        after = tuple(p - n - self._half for p, n in zip(self._padded, self._shape, strict=True))
        padded = np.pad(image, ((before[0], after[0]), (before[1], after[1])), mode="edge")
        out = fft.irfft2(fft.rfft2(padded) * self._transfer, self._padded)
        return np.asarray(out[self._half : self._half + rows, self._half : self._half + columns])

    def imaged(self, thickness_nm: NDArray[np.float64]) -> NDArray[np.float64]:
        """(2, Y, X) thicknesses that a fit would find."""
        out = np.zeros_like(thickness_nm)
        for energy in range(len(self._design)):
            od = self._design[energy, 0] * thickness_nm[0] + self._design[energy, 1] * thickness_nm[1]
            measured = -np.log(np.maximum(self.blurred(np.exp(-od)), 1e-6))
            out[0] += self._solve[0, energy] * measured
            out[1] += self._solve[1, energy] * measured
        return out


def _soc(labels: NDArray[np.int32], thickness_nm: NDArray[np.float64], ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """(PARTICLE,) mass-weighted soc; NaN without mass."""
    if ids.size == 0:
        return np.zeros(0)
    length = int(ids.max()) + 1
    discharged, charged = (np.bincount(labels.ravel(), part.ravel(), minlength=length)[ids] for part in thickness_nm)
    total = discharged + charged
    return np.asarray(np.where(total > 0, charged / np.where(total > 0, total, 1.0), np.nan), dtype=np.float64)
