"""Alignment of a stack along energy: where each frame's particles have drifted to.

Frames are registered as absorptance, 1 - exp(-OD): it has the noise of counts without the logarithm's tails, and
particles are bright in it at every energy, while contrast within them flips through the edge.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from stxmdist.arrays import C64, F32, F64, Array, Mask
from stxmdist.spectra.align.frame_spectra import Band, absorptance, band_of, window
from stxmdist.spectra.align.joint_shifts import components_above, inner_products, left_out, mixture_step
from stxmdist.spectra.align.pair_shifts import pairwise_shifts, solved_together

STEPS = 5
"""Newton's method settles within so many"""
SETTLED_PX = 2e-3
LEAST_KNOWN = 0.5
"""A frame of which less is known is not registered"""
PARTLY_KNOWN = 0.95
"""What is missing of such a frame is taken from its neighbours, lest its end be taken for an edge"""
LEAST_UNEXPLAINED = 0.05
"""A frame is sound if the others predict all but so much of its power: many photons show every small thing"""
ABOVE_NOISE = 1.5
"""A component is one when it is so many times as strong as the median of all: noise alone gives nearly equal ones"""


@dataclass(frozen=True)
class AlignOptions:
    """How frames are registered."""

    max_shift_px: float = 20.0
    """A frame that seems to have moved further than this from the reference has failed to register"""
    least_significance: float = 6.0
    """Two frames are compared where their correlation stands out by so many standard deviations of it elsewhere"""
    smoothing_px: float = 1.5
    """Registration weighs frequencies by a Gaussian of this width: finer ones hold noise only"""
    components: int = 3
    """At most so many images of which every frame is a mixture: end-members brighten at their own energies, and thick
    particles less than thin ones
    """
    most_misfit: float = 5.0
    """A frame fails that lies further from the mixtures of the others than frames do, by so many robust deviations"""


@dataclass(frozen=True, eq=False)
class Shifts:
    """By how much each frame must be moved to lie on the reference frame."""

    shift_px: F64
    """(ENERGY, 2) float64 (rows, columns), as ``resample`` takes them: content moves towards larger indices"""
    quality: F64
    """(ENERGY,) float64 correlation with what the other frames predict, 0 to 1; NaN for frames not used"""
    flagged: Mask
    """(ENERGY,) frames wanted that are empty or failed to register: their shift is interpolated between their
    neighbours'
    """
    reference: int
    """The frame that stays where it is"""


def estimate_shifts(
    optical_density: Sequence[F32] | F32,
    energy_used: Array | None = None,
    options: AlignOptions | None = None,
) -> Shifts:
    """Drift of every frame of a stack (ENERGY, Y, X).

    First pairs of neighbours along energy are compared by cross-correlation of their gradients, and all pairs solved
    together, outliers rejected. Then all shifts are refined at once so that the stack becomes a mixture of few images;
    frames that are none are named, and never part of what others are held against. The reference is the frame in the
    middle of all. Frames are read one at a time; memory is that of ``band_of``.
    """
    options = options or AlignOptions()
    n = len(optical_density)
    wanted = np.ones(n, dtype=np.bool_) if energy_used is None else np.asarray(energy_used).astype(np.bool_)
    shift, quality, good = np.zeros((n, 2)), np.full(n, np.nan), np.zeros(n, dtype=np.bool_)
    frames = np.flatnonzero(wanted)
    if not frames.size:
        return Shifts(shift, quality, good, 0)
    looked_at = [_Frame(optical_density, int(k)) for k in frames]
    shift[frames], quality[frames], good[frames] = _registered(looked_at, options)
    middle = np.median(shift[good if good.any() else frames], axis=0)
    reference = int(np.argmin(np.where(good, np.hypot(*(shift - middle).T), np.inf))) if good.any() else int(frames[0])
    shift[frames] -= shift[reference]
    good &= np.hypot(*shift.T) <= options.max_shift_px
    if good.any():
        for axis in range(2):
            shift[~good, axis] = np.interp(np.flatnonzero(~good), np.flatnonzero(good), shift[good, axis])
    return Shifts(shift, quality, wanted & ~good, reference)


@dataclass(frozen=True, eq=False)
class _Frame:
    """One frame of a stack, read when it is looked at."""

    stack: Sequence[F32] | F32
    energy: int

    def read(self) -> F32:
        return np.asarray(self.stack[self.energy])


def _registered(frames: Sequence[_Frame], options: AlignOptions) -> tuple[F64, F64, Mask]:
    """Shifts (FRAME, 2), quality (FRAME,) and which frames are sound (FRAME,)."""
    n = len(frames)
    shape = frames[0].read().shape
    band = band_of((shape[0], shape[1]), n, options.smoothing_px)
    fading = window(band.shape)
    spectra = np.empty((n, band.y.size, band.x.size), dtype=np.complex64)
    share = np.zeros(n)
    for k, frame in enumerate(frames):
        feature, share[k] = absorptance(frame.read())
        spectra[k] = band.spectrum(feature * fading)
    shift, quality = np.zeros((n, 2)), np.full(n, np.nan)
    good = (share >= LEAST_KNOWN) & (np.abs(spectra).max(axis=(1, 2)) > 0.0)
    if int(good.sum()) < 2:
        quality[good] = 1.0
        return shift, quality, good
    pairs = pairwise_shifts(spectra, np.flatnonzero(good), band, options.max_shift_px, options.least_significance)
    shift, together = solved_together(pairs, n)
    good &= together
    if not good.any():
        return np.zeros((n, 2)), quality, good
    whole = np.flatnonzero(good & (share >= PARTLY_KNOWN))
    for k in map(int, np.flatnonzero(good & (share < PARTLY_KNOWN))):
        nearest = whole[np.argsort(np.abs(whole - k), kind="stable")[:2]]
        if nearest.size:
            beside = [ndimage.shift(absorptance(frames[i].read())[0], shift[i] - shift[k], order=1) for i in nearest]
            feature, _ = absorptance(frames[k].read(), np.mean(beside, axis=0, dtype=np.float32))
            spectra[k] = band.spectrum(feature * fading)
    return _refined(spectra, shift, good, band, options)


def _refined(spectra: C64, shift: F64, together: Mask, band: Band, options: AlignOptions) -> tuple[F64, F64, Mask]:
    """Components one after the other: a frame out of place is a component too while there are some to spare."""
    good = together
    quality = np.zeros(len(shift))
    for most in range(1, options.components + 1):
        for _ in range(STEPS):
            gram = inner_products(spectra, shift, band)
            components = min(most, components_above(gram, good, ABOVE_NOISE))
            quality, misfit = left_out(gram, good, components)
            before, good = good, _sound(misfit, quality, together, options.most_misfit)
            step = mixture_step(gram, good, components)
            step -= np.median(step[good], axis=0)
            shift = shift + np.clip(step, -1.0, 1.0)
            if float(np.abs(step[good]).max()) < SETTLED_PX and np.array_equal(good, before):
                break
        if components < most:
            break
    return shift, quality, good


def _sound(misfit: F64, quality: F64, together: Mask, most_misfit: float) -> Mask:
    """Which frames (FRAME,) are mixtures of the others as much as frames usually are."""
    if int(together.sum()) < 5:
        return together
    missed = np.log(np.maximum(misfit, 1e-30))
    middle = float(np.median(missed[together]))
    spread = max(0.05, 1.4826 * float(np.median(np.abs(missed[together] - middle))))
    usual = missed <= middle + most_misfit * spread
    return np.asarray(together & (usual | (1.0 - quality**2 <= LEAST_UNEXPLAINED)))


__all__ = ["AlignOptions", "Shifts", "estimate_shifts"]
