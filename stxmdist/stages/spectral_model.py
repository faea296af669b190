"""What a fit rests on: the end-members of a scan, which of its energies they span, how far its energies are off."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.digests import fingerprint_of_file
from stxmdist.campaign.schema import ExploredSpectrum
from stxmdist.errors import InputError
from stxmdist.runner.unit import Unit
from stxmdist.spectra.energy_shift import EnergyShift, energy_shift
from stxmdist.spectra.fit import design_matrix
from stxmdist.spectra.references import CHEMISTRIES, EndMembers, from_files
from stxmdist.stages.explored import file_of, named_by, refuse_alike, require_spectrum
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
    the sample sheet says is of another chemistry has the built-in ones of that chemistry.
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
        explored = named_by(references)
        return found | ({"explored": [str(spectrum) for spectrum in explored]} if explored else {})
    return {"chemistry": chemistry}


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
    """End-members from files where the campaign names them, else the built-in ones of the chemistry."""
    if "discharged" in references:
        files = [Path(references[name]) for name in ("discharged", "charged")]
        for path in files if "explored" in references else ():
            require_spectrum(path)
        members = from_files(*files, thickness_unit=references["thickness_unit"])
        if "explored" in references:
            refuse_alike(members)
        return members
    return CHEMISTRIES[references["chemistry"]]()  # type: ignore[no-any-return]


def strongest_mass_absorption(survey: Survey, scan_id: str, energy_ev: Floats) -> Floats:
    """mu/rho (ENERGY,) in cm2/g of the state of charge that absorbs more; NaN where it is not known.

    Files say what a reference sample absorbs, not what it weighs: with them it never is.
    """
    largest = np.full(len(energy_ev), np.nan)
    references = references_of(survey, scan_id)
    if "discharged" not in references:
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
