"""Whether an incident beam from elsewhere is that of a scan: compared with what came through its particle-free pixels.

Pixels without a particle absorb nothing but a film that lies under all of the field. A film absorbs nearly alike at all
energies, and so does a beam of other slits or another dwell time: the two cannot be told apart, but only a fit with a
background can live with either.
"""

from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F64
from stxmdist.errors import InputError
from stxmdist.spectra.density.incident_beam import IncidentBeam

TOLERANCE_OD = 0.05
"""An incident beam may be off by so much: what a decaying ring or a flickering beam does"""
MOST_UNFITTED_OD = 0.15
"""A fit without a background bears no more than this, at a few hundredths of state of charge"""
MOST_FILM_OD = 1.5
"""A film that takes more than three quarters of the light is a beam of another exposure"""
FEW_SIGMA = 5.0
STEEPEST = 3.0
"""Absorption far from edges falls with energy no faster than by this power"""


@dataclass(frozen=True, eq=False)
class CheckedBeam:
    """An incident beam from elsewhere, after a look at the scan's own free pixels."""

    free_od: F64 | None
    """(ENERGY,) their optical density against it; None where there are none"""
    said: str
    """What is to be known of it, in a sentence; empty where they transmit the beam"""


def checked_beam(
    field: IncidentBeam | None, beam: IncidentBeam, energy_ev: F64, *, background_fitted: bool, where: str
) -> CheckedBeam:
    """Compare a beam from elsewhere with that of the scan's own free pixels; None where nothing is free.

    Raises
    ------
    InputError
        as ``beam_agrees`` does.
    """
    if field is None:
        return CheckedBeam(None, "no pixel is free: whether the incident beam is this scan's could not be compared")
    density, error = free_density(field.counts, field.variance, beam.counts)
    said = beam_agrees(density, error, energy_ev, background_fitted=background_fitted, where=where)
    return CheckedBeam(density, said)


def free_density(field_counts: F64, field_variance: F64, beam_counts: F64) -> tuple[F64, F64]:
    """Optical density (ENERGY,) of particle-free pixels against a beam from elsewhere, and its standard error.

    ``field_counts`` and their variance are the mean counts in these pixels, ``beam_counts`` the beam's, all (ENERGY,).
    NaN where one of them is not known.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        density = np.log(beam_counts / field_counts)
        error = np.sqrt(field_variance) / field_counts
    known = np.isfinite(density) & np.isfinite(error)
    return np.where(known, density, np.nan), np.where(known, error, np.nan)


def beam_agrees(density: F64, error: F64, energy_ev: F64, *, background_fitted: bool, where: str) -> str:
    """What the free pixels say of an incident beam, in a sentence; empty where they transmit it.

    Parameters
    ----------
    density, error
        (ENERGY,) as ``free_density`` gives them
    background_fitted
        whether the fit takes up what absorbs alike at all energies

    Raises
    ------
    InputError
        where the beam is weaker than what came through, differs from energy to energy, or is so much brighter that the
        fit would suffer.
    """
    known = np.isfinite(density)
    if not known.any():
        return "no free pixel was measured: whether the incident beam is this scan's could not be seen"
    level, se, energy = density[known], error[known], energy_ev[known]
    middle = float(np.median(level))
    if (level < -TOLERANCE_OD - FEW_SIGMA * se).any():
        brightest = float(np.exp(-level.min()))
        raise InputError(
            where=f"{where}, option i0",
            problem="the incident beam is weaker than what came through the sample",
            got=f"{brightest:.2f} times the incident beam in the free pixels at {energy[level.argmin()]:.1f} eV",
            wanted="as much as the incident beam, or a little less",
            mend="Give the beam of this scan's dwell time and slits (references: i0, or i0_scan), or take i0: field",
        )
    # Across the scan a film's absorption may fall by this share.
    falls = 1.0 - float(energy.min() / energy.max()) ** STEEPEST
    bearable = TOLERANCE_OD + falls * abs(middle) + FEW_SIGMA * se
    if (np.abs(level - middle) > bearable).any():
        raise _another_beam(
            f"the free pixels absorb {level.min():.2f} to {level.max():.2f}, not alike at all energies: the beam is "
            "another one's",
            where,
        )
    # The median of n numbers scatters by sqrt(pi / 2 n) of their own scatter.
    scatter = float(np.sqrt(0.5 * np.pi * np.mean(se**2) / se.size))
    if abs(middle) <= TOLERANCE_OD + FEW_SIGMA * scatter:
        return ""
    said = f"the free pixels absorb {middle:.2f} at every energy: "
    if middle > MOST_FILM_OD:
        raise _another_beam(said + "the beam is another one's", where)
    said += "the beam is another one's, or a film lies under all of the field"
    if middle > MOST_UNFITTED_OD and not background_fitted:
        raise _another_beam(said, where, ", or let the fit take it up (stages: fit: background: constant)")
    return said


def _another_beam(got: str, where: str, also: str = "") -> InputError:
    return InputError(
        where=f"{where}, option i0",
        problem="the incident beam does not fit the scan's own free pixels",
        got=got,
        wanted=f"free pixels that absorb less than {TOLERANCE_OD:g}, or a film's few tenths alike at all energies",
        mend="Take the beam from the field (stages: absorbance: i0: field, and no references: i0), or give the beam of "
        f"this scan's dwell time and slits (references: i0, or i0_scan){also}",
    )
