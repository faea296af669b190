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
from stxmdist.spectra.library import Chemistry
from stxmdist.spectra.references import CHEMISTRIES, Compounds, EndMembers, from_files
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
    before_edge: NDArray[np.bool_] | None = None
    """(ENERGY used,) energies whose mean is taken off every pixel; None: nothing is"""


def references_of(survey: Survey, scan_id: str) -> dict[str, Any]:
    """Where a scan's end-members come from, as a unit carries it.

    The references of the campaign file stand for scans of the campaign's own chemistry and of ``custom``; a scan that
    the sample sheet says is of another chemistry has the library's of that chemistry. Of several edges the scan's
    energies say which; it is named where it is not the first.
    """
    references = survey.campaign.references
    chemistry = survey.scans[scan_id].chemistry
    meant = chemistry in (survey.campaign.chemistry, "custom")
    if meant and references is not None and references.discharged is not None and references.charged is not None:
        found = {
            "chemistry": chemistry,
            "discharged": str(references.discharged),
            "charged": str(references.charged),
            "thickness_unit": references.thickness_unit,
        }
        if references.formulas is not None and references.density_g_cm3 is not None:
            scaled = {"formulas": list(references.formulas), "density_g_cm3": references.density_g_cm3}
            return found | {"thickness_unit": "nm"} | scaled
        return found
    recording = survey.recordings.get(scan_id)
    if chemistry not in CHEMISTRIES or recording is None:
        return {"chemistry": chemistry}
    library: Chemistry = CHEMISTRIES[chemistry]
    edge = library.edge_at(recording.energy_ev)
    first = library.entries[0].edge.name
    return {"chemistry": chemistry} | ({"edge": edge} if edge not in (None, first) else {})


def identity_of_references(survey: Survey, scan_id: str) -> dict[str, Any]:
    """The same for a digest: files by name, size and time."""
    found = references_of(survey, scan_id)
    return {
        name: fingerprint_of_file(Path(value)) if name in ("discharged", "charged") else value
        for name, value in found.items()
    }


def end_members_of(references: dict[str, Any]) -> EndMembers:
    """End-members from files where the campaign names them, else the library's of the chemistry."""
    if "discharged" in references:
        formulas = references.get("formulas")
        return from_files(
            Path(references["discharged"]),
            Path(references["charged"]),
            thickness_unit=references["thickness_unit"],
            compounds=None if formulas is None else Compounds(tuple(formulas), references["density_g_cm3"]),
        )
    return CHEMISTRIES[references["chemistry"]](references.get("edge"))  # type: ignore[no-any-return]


def _library_holds(references: dict[str, Any]) -> str:
    if "discharged" in references:
        return ""
    chemistry = references["chemistry"]
    return f"; of {chemistry} the library holds {CHEMISTRIES[chemistry].holds}"


def strongest_mass_absorption(survey: Survey, scan_id: str, energy_ev: Floats) -> Floats:
    """mu/rho (ENERGY,) in cm2/g of the state of charge that absorbs more; NaN where it is not known.

    Files say what a reference sample absorbs, not what it weighs, unless they are scaled to tables.
    """
    largest = np.full(len(energy_ev), np.nan)
    references = references_of(survey, scan_id)
    if "discharged" not in references or "formulas" in references:
        members = end_members_of(references)
        spanned = members.spans(energy_ev)
        both = members.mass_absorption(energy_ev[spanned])
        if both is not None:
            largest[spanned] = both.max(axis=0)
    return largest


def spectral_model(
    unit: Unit,
    *,
    background: str,
    fit_shift: bool,
    largest_shift_ev: float,
    prior_sd_ev: float,
    pre_edge_below_ev: float | None = None,
) -> SpectralModel:
    """The model of a stack, the same for every block of it.

    Energies that the end-members do not span (with room for the shift) are left out. Where the pre-edge is taken off
    the pixels (``without_pre_edge``) it is taken off the end-members too.

    Raises
    ------
    InputError
        when too few energies are left, or none of them lies before the edge.
    """
    align = unit.source("align")
    energy_ev = align.read("energy_ev")
    references = dict(unit.index["references"])
    members = end_members_of(references)
    if members.control:
        raise InputError(
            where=f"fit of {unit.scan_id}",
            problem="this edge does not tell the state of charge",
            got=f"energies of {references['edge']}: {members.control}",
            wanted="an edge that follows the charge",
            mend="Exclude the scan, or give references of your own for it in a campaign of its own",
        )
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
            mend="Give the references of this edge in campaign.yaml (chemistry, references), or exclude the scan"
            + _library_holds(references),
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
    design = design_matrix(members, energy_ev[used], found, background)  # type: ignore[arg-type]
    before = pre_edge(unit.scan_id, energy_ev[used], pre_edge_below_ev)
    if before is not None:
        design[:, :2] -= design[before, :2].mean(axis=0)
    return SpectralModel(
        end_members=members,
        used=used,
        energy_ev=energy_ev[used],
        effective_counts=align.read("effective_counts")[used],
        design=design,
        shift_ev=found,
        shift=shift,
        before_edge=before,
    )


def pre_edge(scan_id: str, energy_ev: Floats, below_ev: float | None) -> NDArray[np.bool_] | None:
    """Which energies (ENERGY used,) lie before the edge; None where nothing is to be taken off.

    Raises
    ------
    InputError
        when none does.
    """
    if below_ev is None:
        return None
    before = np.asarray(energy_ev < below_ev, dtype=np.bool_)
    if not before.any():
        raise InputError(
            where=f"fit of {scan_id}",
            problem="no energy lies before the edge, where the pre-edge would be taken from",
            got=f"{len(energy_ev)} energies from {energy_ev.min():.1f} to {energy_ev.max():.1f} eV",
            wanted=f"at least one below {below_ev:g} eV",
            mend="Correct stages: fit: pre_edge_below_ev in campaign.yaml, or run scans of other edges as a campaign "
            "of their own",
        )
    return before


def without_pre_edge(
    transmission: NDArray[np.float32], before_edge: NDArray[np.bool_] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Transmission (ENERGY, PIXEL) over its mean before the edge, and that mean (PIXEL,); 1 where nothing is taken off.

    What absorbs alike on both sides of the edge (a film, a binder) is gone then. The photons per pixel fall by the
    factor that is divided by.
    """
    if before_edge is None:
        return transmission, np.ones(transmission.shape[1], np.float32)
    mean = transmission[before_edge].mean(axis=0)
    level = np.where(mean > 0.0, mean, np.nan).astype(np.float32)
    return transmission / level, level
