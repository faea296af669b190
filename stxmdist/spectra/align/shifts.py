"""Alignment of a stack along energy: the drift of each frame, found from its particles.

Frames are registered as absorptance, 1 - exp(-OD): its noise is that of counts, without the long tails of a logarithm,
and particles are bright in it at every energy, while the contrast within them reverses through the edge.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from stxmdist.arrays import C64, F32, F64, Array, Mask
from stxmdist.spectra.align.frame_spectra import Band, absorptance, band_of, window
from stxmdist.spectra.align.joint_shifts import components_above, inner_products, leave_one_out, mixture_step
from stxmdist.spectra.align.pair_shifts import pairwise_shifts, solved_together

STEPS = 5
"""At most so many Newton steps for each number of components"""
SETTLED_PX = 2e-3
"""Registration has converged when no frame moves by more than this"""
LEAST_KNOWN = 0.4
"""A frame with a smaller share of known pixels is not registered"""
PARTLY_KNOWN = 0.95
"""With a smaller share of known pixels a frame is filled up from its neighbours, or its end would act as an edge"""
LEAST_UNEXPLAINED = 0.05
"""A frame is accepted in any case if the others predict all but this share of its power"""
ABOVE_NOISE = 1.5
"""A component is used if it is so many times as strong as the median component; those of noise are nearly equal"""


@dataclass(frozen=True)
class AlignOptions:
    """How frames are registered."""

    max_shift_px: float = 20.0
    """A frame that seems to have moved further than this from the reference has failed to register"""
    least_significance: float = 6.0
    """Two frames are compared where their correlation stands out by so many standard deviations of it elsewhere"""
    smoothing_px: float = 1.5
    """Width of the Gaussian by which frames are smoothed for registration: finer detail is mostly noise"""
    components: int = 3
    """Largest number of images of which every frame is a mixture: end-members absorb at different energies, and thick
    particles saturate
    """
    most_misfit: float = 5.0
    """A frame fails if its misfit with mixtures of the others exceeds the usual misfit by so many robust deviations"""


@dataclass(frozen=True, eq=False)
class Shifts:
    """By how much each frame must be moved to coincide with the reference frame."""

    shift_px: F64
    """(ENERGY, 2) float64 (rows, columns), as ``resample`` takes them: positive values move towards larger indices"""
    quality: F64
    """(ENERGY,) float64 correlation with the prediction from the other frames, 0 to 1; NaN for frames not used"""
    flagged: Mask
    """(ENERGY,) frames that should be used but are empty or failed to register: their shift is interpolated between
    those of their neighbours
    """
    reference: int
    """Index of the frame that stays where it is"""


def estimate_shifts(
    optical_density: Sequence[F32] | F32,
    energy_used: Array | None = None,
    options: AlignOptions | None = None,
) -> Shifts:
    """Drift of every frame of a stack of optical density (ENERGY, Y, X); ``energy_used`` (ENERGY,) selects frames.

    First, neighbours along energy are compared by cross-correlation of their gradients, and the shifts of all frames
    are solved from all pairs together, with outliers rejected. Then all shifts are refined together so that every frame
    is a mixture of the same few images. A frame that is not such a mixture is flagged, and the others are not compared
    with it. The reference is the frame whose shift is nearest to the median. Frames are read one at a time; their
    spectra take the memory that ``band_of`` allows.
    """
    options = options or AlignOptions()
    n = len(optical_density)
    wanted = np.ones(n, dtype=np.bool_) if energy_used is None else np.asarray(energy_used).astype(np.bool_)
    shift, quality, good = np.zeros((n, 2)), np.full(n, np.nan), np.zeros(n, dtype=np.bool_)
    frames = np.flatnonzero(wanted)
    if not frames.size:
        return Shifts(shift, quality, good, 0)
    read_later = [_Frame(optical_density, int(k)) for k in frames]
    shift[frames], quality[frames], good[frames] = _registered(read_later, options)
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
    """One frame of a stack, which is read when it is needed."""

    stack: Sequence[F32] | F32
    energy: int

    def read(self) -> F32:
        return np.asarray(self.stack[self.energy])


def _registered(frames: Sequence[_Frame], options: AlignOptions) -> tuple[F64, F64, Mask]:
    """Shifts (FRAME, 2), quality (FRAME,) and which frames registered successfully (FRAME,)."""
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
    shift, connected = solved_together(pairs, n)
    good &= connected
    if not good.any():
        return np.zeros((n, 2)), quality, good
    whole = np.flatnonzero(good & (share >= PARTLY_KNOWN))
    for k in map(int, np.flatnonzero(good & (share < PARTLY_KNOWN))):
        nearest = whole[np.argsort(np.abs(whole - k), kind="stable")[:2]]
        if nearest.size:
            filled = [ndimage.shift(absorptance(frames[i].read())[0], shift[i] - shift[k], order=1) for i in nearest]
            feature, _ = absorptance(frames[k].read(), np.mean(filled, axis=0, dtype=np.float32))
            spectra[k] = band.spectrum(feature * fading)
    return _refined(spectra, shift, good, band, options)


def _refined(spectra: C64, shift: F64, connected: Mask, band: Band, options: AlignOptions) -> tuple[F64, F64, Mask]:
    """Refine with one component, then with two and so on.

    With more components than needed from the start, a misplaced frame would become a component of its own.
    """
    good = connected
    quality = np.zeros(len(shift))
    for most in range(1, options.components + 1):
        for _ in range(STEPS):
            gram = inner_products(spectra, shift, band)
            components = min(most, components_above(gram, good, ABOVE_NOISE))
            quality, misfit = leave_one_out(gram, good, components)
            before, good = good, _sound(misfit, quality, connected, options.most_misfit)
            step = mixture_step(gram, good, components)
            step -= np.median(step[good], axis=0)
            shift = shift + np.clip(step, -1.0, 1.0)
            if float(np.abs(step[good]).max()) < SETTLED_PX and np.array_equal(good, before):
                break
        if components < most:
            break
    return shift, quality, good


def _sound(misfit: F64, quality: F64, connected: Mask, most_misfit: float) -> Mask:
    """Which frames (FRAME,) are described by mixtures of the others about as well as frames usually are."""
    if int(connected.sum()) < 5:
        return connected
    missed = np.log(np.maximum(misfit, 1e-30))
    middle = float(np.median(missed[connected]))
    spread = max(0.05, 1.4826 * float(np.median(np.abs(missed[connected] - middle))))
    usual = missed <= middle + most_misfit * spread
    return np.asarray(connected & (usual | (1.0 - quality**2 <= LEAST_UNEXPLAINED)))


__all__ = ["AlignOptions", "Shifts", "estimate_shifts"]
