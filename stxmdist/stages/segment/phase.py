"""The phase of a ptychography scan that shows its thickness best, on the grid of its maps."""

import numpy as np
from skimage.restoration import unwrap_phase

from storage.output import Output
from stxmdist.arrays import F64, Mask
from stxmdist.spectra.align.resample import resample

NEAR_WRAPPING_RAD = 2.5
"""Phases beyond this may have been wrapped."""


def thickness_phase(absorbance: Output, align: Output, design: F64, used: Mask) -> F64 | None:
    """Phase (Y, X) in rad at the energy where both end-members absorb most alike; None where none was reconstructed.

    There the phase tells least of the state of charge. It is moved as alignment moved the image of that energy.

    Parameters
    ----------
    design
        (ENERGY used, TERM) optical density per thickness, the end-members first
    used
        (ENERGY,) the energies of the fit
    """
    if "phase" not in absorbance.arrays():
        return None
    one, other = np.asarray(design[:, 0], dtype=np.float64), np.asarray(design[:, 1], dtype=np.float64)
    contrast = np.abs(one - other) / np.maximum(np.abs(one + other), 1e-12)
    energy = int(np.flatnonzero(used)[int(np.argmin(contrast))])
    phase = np.asarray(absorbance.read("phase", (energy, slice(None), slice(None))), dtype=np.float64)
    shift = np.asarray(align.read("shift_px"))[energy]
    return np.asarray(resample(unwrapped(phase).astype(np.float32), shift), dtype=np.float64)


def unwrapped(phase: F64) -> F64:
    """Phase (Y, X) without jumps of a whole turn; unknown pixels stay unknown."""
    known = np.isfinite(phase)
    if not known.any() or np.abs(phase[known]).max() < NEAR_WRAPPING_RAD:
        return phase
    filled = np.ma.masked_array(np.where(known, phase, 0.0), ~known)
    return np.where(known, np.ma.getdata(unwrap_phase(filled)), np.nan)
