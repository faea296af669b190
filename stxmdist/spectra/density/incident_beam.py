"""The incident beam of a wide-field scan: from its own field, from a spectrum, or from the scan of an empty field."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F32, F64, Index, Mask
from stxmdist.errors import InputError
from stxmdist.spectra.density.absorbance import AbsorbanceOptions, contrast_map, incident_counts, particle_free
from stxmdist.spectra.density.mean_spectrum import sample_pixels

MOST_TRANSMISSION = 1.05
"""An incident beam from elsewhere may be a little wrong; if the sample seems to transmit more, it is another beam."""
SPECTRUM_TOLERANCE_EV = 1e-3
"""A spectrum spans a scan that reaches beyond it by no more than this"""
EMPTY_FIELD_TOLERANCE_EV = 0.05
"""The same for the scan of an empty field, whose energies the monochromator set anew"""

Region = Sequence[int]
"""[first row, row after the last, first column, column after the last], counted from 0"""


@dataclass(frozen=True, eq=False)
class FreePixels:
    """Where a field holds no particle."""

    free: Mask
    """(Y, X)"""
    contrast: F32 | None
    """(Y, X) brighter where more is absorbed; None where no frame holds counts"""

    @property
    def sample(self) -> Mask:
        """(Y, X) pixels in the inside of particles; all that are not free where there is no contrast."""
        if self.contrast is None:
            return ~self.free
        return sample_pixels(self.contrast, np.isfinite(self.contrast) & ~self.free)


def free_pixels(
    counts: Sequence[F32], options: AbsorbanceOptions, region: Region | None, *, needed: bool, where: str
) -> FreePixels:
    """Particle-free pixels of a stack of frames (Y, X): those of ``region`` if one is given, found by contrast if not.

    Parameters
    ----------
    needed
        whether the incident beam is taken from them; if it is not, a field without free pixels is accepted
    where
        which scan, for error messages

    Raises
    ------
    InputError
        for a region outside the image, and where free pixels are needed and there are too few.
    """
    shape = np.shape(counts[0])
    if region is not None:
        return FreePixels(_inside(region, shape, where), contrast_map(counts, options.contrast_energies))
    contrast = None
    try:
        contrast = contrast_map(counts, options.contrast_energies)
        return FreePixels(particle_free(contrast, options), contrast)
    except InputError as error:
        if not needed:
            return FreePixels(np.zeros(shape, dtype=np.bool_), contrast)
        raise InputError(**(error.as_dict() | {"where": where})) from error


def _inside(region: Region, shape: tuple[int, ...], where: str) -> Mask:
    top, bottom, left, right = region
    if bottom > shape[0] or right > shape[1]:
        raise InputError(
            where=f"{where}, option region",
            problem="the region for the incident beam reaches outside the image",
            got=f"{list(region)} in an image of {shape[0]} x {shape[1]} pixels",
            wanted="rows and columns inside the image",
            mend="Correct stages: absorbance: region in campaign.yaml",
        )
    free = np.zeros(shape, dtype=np.bool_)
    free[top:bottom, left:right] = True
    return free


@dataclass(frozen=True, eq=False)
class IncidentBeam:
    """Incident counts per pixel at the energies of a scan; NaN where they are not known."""

    counts: F64
    """(ENERGY,)"""
    variance: F64
    """(ENERGY,)"""

    @property
    def relative_se(self) -> float:
        """Median over energies of the standard error of the counts, over the counts."""
        known = np.isfinite(self.counts) & (self.counts > 0)
        return float(np.nanmedian(np.sqrt(self.variance[known]) / self.counts[known]))


@dataclass(frozen=True, eq=False)
class Exposure:
    """Under which conditions the frames of a scan were counted; NaN where the file does not say."""

    energy_ev: F64
    """(ENERGY,)"""
    dwell_ms: F64
    """(ENERGY,)"""
    ring_current_ma: F64
    """(ENERGY,)"""

    @property
    def ring_current_known(self) -> bool:
        """Whether the file gives the ring current of any frame."""
        return bool(np.isfinite(self.ring_current_ma).any() and (self.ring_current_ma > 0).any())


def beam_of_field(counts: Sequence[F32], free: Mask) -> IncidentBeam:
    """The incident beam of frames (Y, X) from their particle-free pixels (Y, X); see ``incident_counts``."""
    return IncidentBeam(*incident_counts(counts, free))


def beam_of_spectrum(energy_ev: F64, spectrum_ev: F64, spectrum_counts: F64, where: object) -> IncidentBeam:
    """The incident beam (ENERGY,) from a spectrum of counts that was measured without a sample; it has Poisson's noise.

    Raises
    ------
    InputError
        if the spectrum does not span the energies.
    """
    refuse_unless_spanned(
        energy_ev,
        spectrum_ev,
        SPECTRUM_TOLERANCE_EV,
        where,
        "the incident spectrum does not span the scan",
        "Give a spectrum that spans the scan, or take the incident beam from the field (i0: field)",
    )
    i0 = np.interp(energy_ev, spectrum_ev, spectrum_counts)
    return IncidentBeam(i0, np.maximum(i0, 0.0))


def beam_of_empty_field(
    counts: Sequence[F32], empty: Exposure, scan: Exposure, *, with_ring_current: bool, where: str
) -> IncidentBeam:
    """The incident beam (ENERGY,) of a scan from frames (Y, X) of an empty field at other energies, dwell and current.

    Counts are taken in proportion to the dwell time where both files give it, and to the median ring current where
    both give it and ``with_ring_current`` is true. ``counts`` are already divided by their own relative ring current.

    Raises
    ------
    InputError
        if the empty field does not span the scan's energies.
    """
    beam = beam_of_field(counts, np.ones(np.shape(counts[0]), dtype=np.bool_))
    known = np.isfinite(beam.counts)
    there_ev = empty.energy_ev[known]
    refuse_unless_spanned(
        scan.energy_ev,
        there_ev,
        EMPTY_FIELD_TOLERANCE_EV,
        f"{where}, option i0_scan",
        "the scan of the incident beam does not span this scan",
        "Name an empty field that was scanned over the same energies, or take the beam from the field",
    )
    there_ms, here_ms = empty.dwell_ms, scan.dwell_ms
    if not ((there_ms > 0.0).all() and (here_ms > 0.0).all()):
        there_ms, here_ms = np.ones(len(there_ms)), np.ones(len(here_ms))
    brighter = relative_ring_current(scan, empty) if with_ring_current else 1.0
    i0 = np.interp(scan.energy_ev, there_ev, (beam.counts / there_ms)[known])
    variance = np.interp(scan.energy_ev, there_ev, (beam.variance / there_ms**2)[known])
    return IncidentBeam(i0 * here_ms * brighter, variance * (here_ms * brighter) ** 2)


def relative_ring_current(one: Exposure, other: Exposure) -> float:
    """Median ring current of one scan over that of another; 1 where one of them is not known."""
    currents = [exposure.ring_current_ma for exposure in (one, other)]
    known = [current[np.isfinite(current) & (current > 0.0)] for current in currents]
    return float(np.median(known[0]) / np.median(known[1])) if all(current.size for current in known) else 1.0


def refuse_faint_beam(counts: Sequence[F32], energies: Index, i0_counts: F64, where: str) -> None:
    """Refuse an incident beam that is weaker than what came through the sample: it belongs to another exposure.

    The median of each frame (Y, X) is compared with ``i0_counts`` (ENERGY,), at the ``energies`` that were measured.

    Raises
    ------
    InputError
        where half of the field seems to transmit more than ``MOST_TRANSMISSION``.
    """
    transmission = float(np.median([float(np.nanmedian(counts[int(k)])) / i0_counts[k] for k in energies]))
    if transmission > MOST_TRANSMISSION:
        raise InputError(
            where=f"{where}, option i0",
            problem="the incident beam is weaker than what came through the sample",
            got=f"{transmission:.2f} times the incident beam behind half of the field",
            wanted="less than the incident beam",
            mend="Give the beam of this scan's dwell time and slits (references: i0, or i0_scan), or take i0: field",
        )


def refuse_unless_spanned(
    energy_ev: F64, known_ev: F64, tolerance_ev: float, where: object, problem: str, mend: str
) -> None:
    """Refuse an incident beam that is known at energies ``known_ev`` (N,) which do not span a scan's (ENERGY,).

    Raises
    ------
    InputError
        with both ranges.
    """
    spanned = known_ev.size and (
        known_ev.min() - tolerance_ev <= energy_ev.min() and energy_ev.max() <= known_ev.max() + tolerance_ev
    )
    if not spanned:
        raise InputError(
            where=where,
            problem=problem,
            got=f"{known_ev.min():.2f} to {known_ev.max():.2f} eV" if known_ev.size else "no frame with counts",
            wanted=f"{energy_ev.min():.2f} to {energy_ev.max():.2f} eV",
            mend=mend,
        )
