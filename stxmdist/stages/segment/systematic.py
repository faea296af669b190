"""What does not average over the pixels of a particle: each cause by itself, and what all particles of a scan share."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stxmdist.arrays import F64
from stxmdist.particles.chemistry import PointSpread
from stxmdist.spectra.checks.misfit import MisfitError
from stxmdist.spectra.checks.systematics import SocSensitivity, soc_over_shifts, systematic_soc_error
from stxmdist.spectra.density.mean_spectrum import soc_effects
from stxmdist.spectra.end_members.design_matrix import background_columns
from stxmdist.spectra.fitting.model import SpectralModel

IMAGING_DOUBT = 0.11
"""Standard error of what imaging through the point spread function adds, as a share of it (closure on simulated plates
of 80 to 300 nm at 6 to 35 energies, noise averaged out)"""
RECONSTRUCTION_DOUBT = 0.5
"""The same of reconstructions: a width tells little of their point spread function. The rims of images that end at the
detector's edge do half of what those of a Gaussian of 6 nm do (``tests/particles/test_psf_bias.py``)"""


def imaging_doubt(modality: str) -> float:
    """Standard error of what imaging adds in a scan of a modality, as a share of it."""
    return IMAGING_DOUBT if modality == "stxm" else RECONSTRUCTION_DOUBT


@dataclass(frozen=True, eq=False)
class SystematicErrors:
    """Standard errors of the state of charge of the particles of one scan, each (PARTICLE,)."""

    shift: F64
    """Due to the energy scale: the whole posterior of its error, which may have two maxima"""
    leak: F64
    end_members: F64
    background: F64
    """Due to what absorbs beside the terms of the fit"""
    i0: F64
    misfit: F64
    imaging: F64
    film: F64
    """Due to the constant that was fitted, if it falls with energy as carbon does"""
    total: F64

    def columns(self) -> dict[str, F64]:
        """Columns of the particle table: the parts, and what all particles of the scan have in common."""
        parts = (self.shift, self.leak, self.end_members, self.background, self.i0)
        return {
            "soc_se_scan": np.sqrt(np.sum(np.square(parts), axis=0)),
            "soc_se_shift": self.shift,
            "soc_se_leak": self.leak,
            "soc_se_background": np.hypot(self.background, self.film),
            "soc_se_misfit": self.misfit,
        }


def systematic_errors(
    thickness: F64,
    model: SpectralModel,
    sensitivity: SocSensitivity,
    misfit: MisfitError,
    *,
    leak_sd: float,
    end_member_sd: float | None,
    imaging: PointSpread,
    imaging_doubt: float = IMAGING_DOUBT,
    background_od: F64 | None = None,
) -> SystematicErrors:
    """The errors of particles with mean thicknesses (COMPONENT, PARTICLE), added in quadrature.

    ``imaging`` is what the point spread function adds to the state of charge and is taken off, ``imaging_doubt`` the
    share of it by which that may be wrong;
    ``end_member_sd`` None: what the end-members say of themselves; ``background_od`` (PARTICLE,) is the constant that
    was fitted beside them: where carbon makes it, it falls with energy.
    """
    n = thickness.shape[1]
    socs = soc_over_shifts(
        thickness,
        model.end_members,
        model.energy_ev,
        model.effective_counts,
        shift_ev=model.shift_ev,
        shifts_ev=model.shift.nodes_ev,
        background=model.fitted_background,
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.sqrt(((socs - (thickness[1] / thickness.sum(axis=0))[:, None]) ** 2).mean(axis=1))
    members = sensitivity.end_members if end_member_sd is None else end_member_sd
    # What is taken off is no error of the fit, by which all that is told here is going to grow (``imaging.gain``).
    taken, gain = (np.broadcast_to(np.asarray(one, np.float64), (n,)) for one in (imaging.soc_bias, imaging.gain))
    undone = imaging_doubt * np.abs(np.nan_to_num(taken)) / np.where(gain > 0.0, gain, 1.0)
    falls = np.zeros(n)
    if background_od is not None and model.fitted_background == "constant":
        falls = background_od * (sensitivity.response @ background_columns(model.energy_ev, "power_law")[:, 1])
    total = systematic_soc_error(
        sensitivity,
        shift_sd=shift,
        leak_sd=leak_sd,
        end_member_sd=members,
        background_od=model.background.doubt_od,
        misfit_sd=np.sqrt(misfit.soc_sd**2 + undone**2 + falls**2),
    )
    return SystematicErrors(
        shift=shift,
        leak=np.abs(sensitivity.leak * leak_sd),
        end_members=np.broadcast_to(np.asarray(members, np.float64), (n,)),
        background=np.abs(sensitivity.response @ model.background.doubt_od),
        i0=sensitivity.i0_scatter,
        misfit=np.broadcast_to(np.asarray(misfit.soc_sd, np.float64), (n,)),
        imaging=undone,
        film=np.abs(falls),
        total=total,
    )


def soc_effect_of_corrections(
    mean_od: F64 | None, without: Mapping[str, F64] | None, model: SpectralModel
) -> dict[str, float | None]:
    """By how much each correction in counts changes the state of charge of the scan's mean spectrum.

    ``mean_od`` (ENERGY,) has all corrections, ``without`` lacks one each; None where nothing was corrected.
    """
    if mean_od is None or not without:
        return {}
    absorption = np.full((2, len(model.used)), np.nan)
    absorption[:, model.used] = model.design[:, :2].T
    return soc_effects(mean_od, without, absorption)
