"""How far the point spread function moves a particle's state of charge: fitted maps imaged and fitted once more."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class PsfBias:
    """What imaging through the PSF adds, per particle in the order of the labels, and the maps seen once more."""

    particle_id: NDArray[np.int64]
    soc: NDArray[np.float64]
    """(PARTICLE,) to be subtracted from soc_mean; NaN where the particle has no mass"""
    imaged_nm: NDArray[np.float32]
    """(2, Y, X) the sharp model as a fit would see it: fed to chemistry, it draws the homogeneous-particle null"""


def psf_bias(
    labels: NDArray[np.int32],
    thickness_nm: Floats,
    *,
    psf_sigma_px: float,
    design_per_nm: Floats,
    weights: Floats | None = None,
    known: NDArray[np.bool_] | None = None,
    reach: NDArray[np.int32] | None = None,
) -> PsfBias:
    """Bias of each particle's mass-weighted soc because transmission, not optical density, is averaged at its edges.

    The fitted maps are made sharp (every pixel within two PSF sigmas of an outline takes the thicknesses of the nearest
    one inside, and the field outside is empty), turned into transmission, blurred, and fitted again by weighted least
    squares, linear in optical density. Their soc less the sharp ones' is the bias.

    Parameters
    ----------
    labels
        (Y, X) int32
    thickness_nm
        (2, Y, X) floating, nm of (discharged, charged)
    psf_sigma_px
        Gaussian-equivalent sigma of the PSF, pixels
    design_per_nm
        (ENERGY, TERM) or (ENERGY, 2): optical density per nm of the two components in the first two columns; further
        columns (background) are fitted too
    weights
        (ENERGY,) weights of the fit, e.g. effective counts; equal if left out
    known
        (Y, X) bool
    reach
        (Y, X) int32, pixels over which masses are summed, as in ``chemistry_table``; the outlines if left out

    Returns
    -------
    PsfBias

    Source: Marcus, Shapiro, Yu, Microsc. Microanal. 27 (2021) describe the effect; the estimate is a parametric
    bootstrap of the mean without noise (Efron, Tibshirani, An Introduction to the Bootstrap, 1993, chapter 10).
    """
    labels = np.maximum(labels, 0)
    sharp = _sharpened(labels, thickness_nm, 2.0 * psf_sigma_px, known)
    design = np.asarray(design_per_nm, dtype=np.float64)
    root = np.sqrt(np.ones(len(design)) if weights is None else np.asarray(weights, dtype=np.float64))
    solve = np.linalg.pinv(design * root[:, None]) * root[None, :]
    imaged = np.zeros_like(sharp)
    for energy in range(len(design)):
        transmission = np.exp(-(design[energy, 0] * sharp[0] + design[energy, 1] * sharp[1]))
        blurred = ndimage.gaussian_filter(transmission, psf_sigma_px, mode="nearest", truncate=5.0)
        optical_density = -np.log(blurred)
        imaged[0] += solve[0, energy] * optical_density
        imaged[1] += solve[1, energy] * optical_density
    ids = np.unique(labels[labels > 0]).astype(np.int64)
    usable = np.isfinite(sharp).all(axis=0) & (True if known is None else known)
    seen = np.where(usable, labels if reach is None else reach, 0)
    true = np.where(usable, labels, 0)
    return PsfBias(ids, _soc(seen, imaged, ids) - _soc(true, sharp, ids), imaged.astype(np.float32))


def _soc(labels: NDArray[np.int32], thickness_nm: NDArray[np.float64], ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """(PARTICLE,) mass-weighted soc; NaN without mass."""
    if ids.size == 0:
        return np.zeros(0)
    length = int(ids.max()) + 1
    discharged, charged = (np.bincount(labels.ravel(), part.ravel(), minlength=length)[ids] for part in thickness_nm)
    total = discharged + charged
    return np.asarray(np.where(total > 0, charged / np.where(total > 0, total, 1.0), np.nan), dtype=np.float64)


def _sharpened(
    labels: NDArray[np.int32], thickness_nm: Floats, depth_px: float, known: NDArray[np.bool_] | None
) -> NDArray[np.float64]:
    """(2, Y, X) maps whose particles keep their inner thicknesses up to their outline; nothing outside."""
    finite = np.asarray(np.isfinite(thickness_nm).all(axis=0) & (True if known is None else known))
    out = np.zeros((2, *labels.shape))
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        inside = labels[box] == label
        depth = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
        usable = inside & finite[box]
        if not usable.any():
            continue
        # A particle narrower than twice the depth keeps its deepest pixels.
        trusted = usable & (depth > min(depth_px, float(depth[usable].max()) - 0.5))
        nearest = ndimage.distance_transform_edt(~trusted, return_distances=False, return_indices=True)
        for component in range(2):
            values = thickness_nm[component][box][tuple(nearest)]
            out[component][box][inside] = values[inside]
    return out
