"""What a fit rests on: the end-members of a scan, which of its energies they span, how far its energies are off."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from storage.digests import fingerprint_of_file
from stxmdist.arrays import F32, F64, Array, Mask
from stxmdist.campaign.schema import ExploredSpectrum
from stxmdist.errors import InputError
from stxmdist.planning.explored import file_of, named_by, refuse_alike, require_spectrum
from stxmdist.planning.survey import Survey
from stxmdist.runner.unit import Unit
from stxmdist.spectra.end_members.energy_shift import EnergyShift, energy_shift
from stxmdist.spectra.end_members.library import Chemistry
from stxmdist.spectra.end_members.references import CHEMISTRIES, Compounds, EndMembers, from_files
from stxmdist.spectra.fitters.contract import design_matrix

_LEAST_MEAN_OD = -0.05
"""Noise alone, in a field without particles, leaves less"""


@dataclass(frozen=True)
class SpectralModel:
    """The linear model of optical density that one stack is fitted with."""

    end_members: EndMembers
    used: Mask
    """(ENERGY,) energies that take part"""
    energy_ev: F64
    """(ENERGY used,)"""
    effective_counts: F64
    """(ENERGY used,) photons per pixel at full transmission"""
    design: F64
    """(ENERGY used, TERM) optical density per nm"""
    shift_ev: float
    """What was added to the stack's energies"""
    shift: EnergyShift
    """What its mean spectrum says of them, whether or not it was used"""
    before_edge: Mask | None = None
    """(ENERGY used,) energies whose mean is taken off every pixel; None: nothing is"""


STACK_SUMMARY = ("energy_ev", "mean_od", "mean_od_variance", "effective_counts", "energy_used")
"""Arrays of align that a model rests on"""


@dataclass(frozen=True, eq=False)
class StackSummary:
    """What align says of a stack as a whole, all (ENERGY,)."""

    energy_ev: F64
    mean_od: F64
    """Of the inside of particles"""
    mean_od_variance: F64
    effective_counts: F64
    """Photons per pixel at full transmission"""
    energy_used: Array
    """1 where it was measured"""


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
            "discharged": _path_of(survey, references.discharged),
            "charged": _path_of(survey, references.charged),
            "thickness_unit": references.thickness_unit,
        }
        if explored := named_by(references):
            found["explored"] = [str(spectrum) for spectrum in explored]
        if references.formulas is not None and references.density_g_cm3 is not None:
            scaled = {"formulas": list(references.formulas), "density_g_cm3": references.density_g_cm3}
            found |= {"thickness_unit": "nm"} | scaled
        return found
    recording = survey.recordings.get(scan_id)
    if chemistry not in CHEMISTRIES or recording is None:
        return {"chemistry": chemistry}
    library: Chemistry = CHEMISTRIES[chemistry].load()
    edge = library.edge_at(recording.energy_ev)
    first = library.entries[0].edge.name
    return {"chemistry": chemistry} | ({"edge": edge} if edge not in (None, first) else {})


def _path_of(survey: Survey, reference: Path | ExploredSpectrum) -> str:
    """The file of a reference; the name of a spectrum whose scan cannot be read."""
    if isinstance(reference, Path):
        return str(reference)
    if reference.scan_id not in survey.scans:
        return str(reference)
    return str(survey.output("explore", reference.scan_id).path / file_of(reference.scan_id, reference.name))


def upstream_of_references(survey: Survey, scan_id: str) -> tuple[tuple[str, str], ...]:
    """The explorations in which a scan's end-members are found, where they are."""
    if "explored" not in references_of(survey, scan_id):
        return ()
    named = {spectrum.scan_id: None for spectrum in named_by(survey.campaign.references)}
    return tuple(("explore", name) for name in named if name in survey.scans)


def identity_of_references(survey: Survey, scan_id: str) -> dict[str, Any]:
    """The same for a digest: files by name, size and time; what explorations find by name, as their digests are among
    those of the sources.
    """
    found = references_of(survey, scan_id)
    of_files = survey.campaign.references
    return {
        name: _fingerprint(getattr(of_files, name)) if name in ("discharged", "charged") else value
        for name, value in found.items()
    }


def _fingerprint(reference: Path | ExploredSpectrum) -> Any:
    return fingerprint_of_file(reference) if isinstance(reference, Path) else str(reference)


def end_members_of(references: dict[str, Any]) -> EndMembers:
    """End-members from files where the campaign names them, else the library's of the chemistry."""
    if "discharged" in references:
        files = [Path(references[name]) for name in ("discharged", "charged")]
        for path in files if "explored" in references else ():
            require_spectrum(path)
        formulas = references.get("formulas")
        compounds = None if formulas is None else Compounds(tuple(formulas), references["density_g_cm3"])
        members = from_files(*files, thickness_unit=references["thickness_unit"], compounds=compounds)
        if "explored" in references:
            refuse_alike(members)
        return members
    return CHEMISTRIES[references["chemistry"]].load()(references.get("edge"))  # type: ignore[no-any-return]


def _library_holds(references: dict[str, Any]) -> str:
    if "discharged" in references:
        return ""
    chemistry = references["chemistry"]
    return f"; of {chemistry} the library holds {CHEMISTRIES[chemistry].load().holds}"


def strongest_mass_absorption(survey: Survey, scan_id: str, energy_ev: F64) -> F64:
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
    references: dict[str, Any],
    *,
    background: str,
    fit_shift: bool,
    largest_shift_ev: float,
    prior_sd_ev: float,
    pre_edge_below_ev: float | None = None,
) -> SpectralModel:
    """The model of a unit's stack, the same for every block of it.

    Raises
    ------
    InputError
        when too few energies are left, none of them lies before the edge, or the edge does not follow the charge.
    """
    align = unit.source("align")
    members = end_members_of(references)
    if members.control:
        raise InputError(
            where=f"fit of {unit.scan_id}",
            problem="this edge does not tell the state of charge",
            got=f"energies of {references['edge']}: {members.control}",
            wanted="an edge that follows the charge",
            mend="Exclude the scan, or give references of your own for it in a campaign of its own",
        )
    return model_of_stack(
        unit.scan_id,
        StackSummary(*(align.read(name) for name in STACK_SUMMARY)),
        members,
        background=background,
        fit_shift=fit_shift,
        largest_shift_ev=largest_shift_ev,
        prior_sd_ev=prior_sd_ev,
        pre_edge_below_ev=pre_edge_below_ev,
        also_there=_library_holds(references),
    )


def model_of_stack(
    scan_id: str,
    stack: StackSummary,
    members: EndMembers,
    *,
    background: str,
    fit_shift: bool,
    largest_shift_ev: float,
    prior_sd_ev: float,
    pre_edge_below_ev: float | None = None,
    also_there: str = "",
) -> SpectralModel:
    """The model of a stack with its end-members; ``also_there`` ends the advice where they do not span its energies.

    Energies that the end-members do not span (with room for the shift) are left out. Where the pre-edge is taken off
    the pixels (``without_pre_edge``) it is taken off the end-members too.

    Raises
    ------
    InputError
        when too few energies are left, or none of them lies before the edge.
    """
    energy_ev = stack.energy_ev
    measured = (stack.energy_used == 1) & np.isfinite(stack.effective_counts)
    spanned = members.spans(energy_ev, largest_shift_ev if fit_shift else 0.0)
    used = measured & spanned
    least = 2 if background == "none" else 3 if background == "constant" else 4
    if used.sum() < least:
        low, high = members.energy_ev[[0, -1]]
        raise InputError(
            where=f"fit of {scan_id}",
            problem="too few energies lie inside the references",
            got=f"{int(spanned.sum())} of {len(energy_ev)} ({energy_ev.min():.1f} to {energy_ev.max():.1f} eV)",
            wanted=f"at least {least} between {low:.1f} and {high:.1f} eV ({members.source})",
            mend="Give the references of this edge in campaign.yaml (chemistry, references), or exclude the scan"
            + also_there,
        )
    _refuse_bright(scan_id, stack.mean_od[used])
    shift = energy_shift(
        stack.mean_od,
        stack.mean_od_variance,
        energy_ev,
        members,
        used,
        bound_ev=largest_shift_ev,
        prior_sd_ev=prior_sd_ev,
    )
    found = shift.shift_ev if fit_shift else 0.0
    design = design_matrix(members, energy_ev[used], found, background)  # type: ignore[arg-type]
    before = pre_edge(scan_id, energy_ev[used], pre_edge_below_ev)
    if before is not None:
        design[:, :2] -= design[before, :2].mean(axis=0)
    return SpectralModel(
        end_members=members,
        used=used,
        energy_ev=energy_ev[used],
        effective_counts=stack.effective_counts[used],
        design=design,
        shift_ev=found,
        shift=shift,
        before_edge=before,
    )


def _refuse_bright(scan_id: str, mean_od: F64) -> None:
    """An incident beam that is weaker than what comes through the sample is not the incident beam."""
    known = mean_od[np.isfinite(mean_od)]
    if known.size and known.max() < _LEAST_MEAN_OD:
        raise InputError(
            where=f"fit of {scan_id}",
            problem="the incident beam is weaker than what came through the sample",
            got=f"mean optical density of the particles {known.min():.2f} to {known.max():.2f}",
            wanted="optical densities above 0",
            mend="Correct the spectrum of the incident beam (stages: absorbance: i0, references: i0)",
        )


def pre_edge(scan_id: str, energy_ev: F64, below_ev: float | None) -> Mask | None:
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


def without_pre_edge(transmission: F32, before_edge: Mask | None) -> tuple[F32, F32]:
    """Transmission (ENERGY, PIXEL) over its mean before the edge, and that mean (PIXEL,); 1 where nothing is taken off.

    What absorbs alike on both sides of the edge (a film, a binder) is gone then. The photons per pixel fall by the
    factor that is divided by.
    """
    if before_edge is None:
        return transmission, np.ones(transmission.shape[1], np.float32)
    mean = transmission[before_edge].mean(axis=0)
    level = np.where(mean > 0.0, mean, np.nan).astype(np.float32)
    return transmission / level, level
