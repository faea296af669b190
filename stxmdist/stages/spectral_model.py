"""What a fit rests on: the end-members of a scan, which of its energies they span, how far its energies are off."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.digests import fingerprint_of_file
from stxmdist.errors import InputError
from stxmdist.runner.unit import Unit
from stxmdist.spectra.energy_shift import EnergyShift, energy_shift
from stxmdist.spectra.fit import design_matrix
from stxmdist.spectra.references import CHEMISTRIES, EndMembers, from_files
from stxmdist.stages.survey import Survey

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SpectralModel:
    """The linear model of optical density that one stack is fitted with."""

    end_members: EndMembers
    used: NDArray[np.bool_]
    """(ENERGY,) energies that take part"""
    energy_ev: Floats
    """(ENERGY used,)"""
    effective_counts: Floats
    """(ENERGY used,) photons per pixel at full transmission"""
    design: Floats
    """(ENERGY used, TERM) optical density per nm"""
    shift_ev: float
    """What was added to the stack's energies"""
    shift: EnergyShift
    """What its mean spectrum says of them, whether or not it was used"""


def references_of(survey: Survey, scan_id: str) -> dict[str, Any]:
    """Where a scan's end-members come from, as a unit carries it."""
    references = survey.campaign.references
    chemistry = survey.scans[scan_id].chemistry
    if references is not None and references.discharged is not None and references.charged is not None:
        return {
            "chemistry": chemistry,
            "discharged": str(references.discharged),
            "charged": str(references.charged),
            "thickness_unit": references.thickness_unit,
        }
    return {"chemistry": chemistry}


def identity_of_references(survey: Survey, scan_id: str) -> dict[str, Any]:
    """The same for a digest: files by name, size and time."""
    found = references_of(survey, scan_id)
    return {
        name: fingerprint_of_file(Path(value)) if name in ("discharged", "charged") else value
        for name, value in found.items()
    }


def end_members_of(references: dict[str, Any]) -> EndMembers:
    """End-members from files where the campaign names them, else the built-in ones of the chemistry."""
    if "discharged" in references:
        return from_files(
            Path(references["discharged"]),
            Path(references["charged"]),
            thickness_unit=references["thickness_unit"],
        )
    return CHEMISTRIES[references["chemistry"]]()  # type: ignore[no-any-return]


def spectral_model(
    unit: Unit, *, background: str, fit_shift: bool, largest_shift_ev: float, prior_sd_ev: float
) -> SpectralModel:
    """The model of a stack, the same for every block of it.

    Energies that the end-members do not span (with room for the shift) are left out.

    Raises
    ------
    InputError
        when too few energies are left.
    """
    align = unit.source("align")
    energy_ev = align.read("energy_ev")
    members = end_members_of(dict(unit.index["references"]))
    measured = (align.read("energy_used") == 1) & np.isfinite(align.read("effective_counts"))
    spanned = members.spans(energy_ev, largest_shift_ev if fit_shift else 0.0)
    used = measured & spanned
    least = 2 if background == "none" else 3 if background == "constant" else 4
    if used.sum() < least:
        low, high = members.energy_ev[[0, -1]]
        raise InputError(
            where=f"fit of {unit.scan_id}",
            problem="too few energies lie inside the references",
            got=f"{int(spanned.sum())} of {len(energy_ev)} ({energy_ev.min():.1f} to {energy_ev.max():.1f} eV)",
            wanted=f"at least {least} between {low:.1f} and {high:.1f} eV ({members.source})",
            mend="Give the references of this edge in campaign.yaml (chemistry, references), or exclude the scan",
        )
    shift = energy_shift(
        align.read("mean_od"),
        align.read("mean_od_variance"),
        energy_ev,
        members,
        used,
        bound_ev=largest_shift_ev,
        prior_sd_ev=prior_sd_ev,
    )
    found = shift.shift_ev if fit_shift else 0.0
    return SpectralModel(
        end_members=members,
        used=used,
        energy_ev=energy_ev[used],
        effective_counts=align.read("effective_counts")[used],
        design=design_matrix(members, energy_ev[used], found, background),  # type: ignore[arg-type]
        shift_ev=found,
        shift=shift,
    )
