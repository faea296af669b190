"""Where the end-members of a scan come from: the library, files that the campaign names, or an exploration."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from storage.place import fetched, place_of
from stxmdist.arrays import F64
from stxmdist.campaign.manifest import Campaign, Scan
from stxmdist.campaign.scan import IMAGES_ONLY
from stxmdist.campaign.schema import ExploredSpectrum
from stxmdist.errors import InputError
from stxmdist.planning.explored import file_of, named_by, refuse_alike, require_spectrum
from stxmdist.planning.published import PublishedCampaign
from stxmdist.planning.survey import Survey, Upstream
from stxmdist.records import Json, figures_of
from stxmdist.spectra.end_members.chemistries import CHEMISTRIES
from stxmdist.spectra.end_members.references import Compounds, EndMembers, from_files


@dataclass(frozen=True)
class EndMemberSource:
    """Where the end-members of a scan come from, as units carry it; as JSON it identifies them in digests."""

    chemistry: str
    """Of the scan, as the sample sheet has it"""
    edge: str | None = None
    """Edge of the library's chemistry; None: its first, or not known"""
    discharged: str | None = None
    """File of the discharged state's spectrum; None: the library's end-members of the chemistry are used"""
    charged: str | None = None
    """File of the charged state's spectrum"""
    thickness_unit: Literal["nm", "reference"] | None = None
    """What the files are the optical density of: 1 nm, or a reference sample"""
    explored: tuple[str, ...] | None = None
    """Which of the two files explorations leave, such as ``explore:SCAN:nmf-1``; None: people brought both"""
    formulas: tuple[str, str] | None = None
    """Of the two reference samples, by which their spectra are scaled to absorption per nm"""
    density_g_cm3: float | None = None
    """Of the discharged compound, where the formulas are known"""

    @property
    def files(self) -> tuple[Path, Path] | None:
        """The files of (discharged, charged); None where the end-members are the library's."""
        if self.discharged is None or self.charged is None:
            return None
        return fetched(place_of(self.discharged)), fetched(place_of(self.charged))

    @property
    def compounds(self) -> Compounds | None:
        """What the reference samples are made of; None where nobody says."""
        if self.formulas is None or self.density_g_cm3 is None:
            return None
        return Compounds(self.formulas, self.density_g_cm3)


def end_member_source(survey: Survey, scan_id: str) -> EndMemberSource:
    """Where a scan's end-members come from, see `source_of`."""
    recording = survey.recordings.get(scan_id)
    energy_ev = None if recording is None else recording.energy_ev
    return source_of(survey.campaign, survey.scans[scan_id].chemistry, energy_ev, lambda one: _path_of(survey, one))


def source_of(
    campaign: Campaign, chemistry: str, energy_ev: F64 | None, path_of: Callable[[Path | ExploredSpectrum], str]
) -> EndMemberSource:
    """Where the end-members of a scan of a chemistry come from; ``path_of`` gives the file of a reference.

    The references of the campaign file stand for scans of the campaign's own chemistry and of ``custom``; a scan that
    the sample sheet says is of another chemistry has the library's of that chemistry. Of several edges the scan's
    energies (ENERGY,) say which, where they are known; it is named where it is not the first.
    """
    references = campaign.references
    meant = chemistry in (campaign.chemistry, "custom") and chemistry != IMAGES_ONLY
    if meant and references is not None and references.discharged is not None and references.charged is not None:
        source = EndMemberSource(
            chemistry=chemistry,
            discharged=path_of(references.discharged),
            charged=path_of(references.charged),
            thickness_unit=references.thickness_unit,
            explored=tuple(str(spectrum) for spectrum in named_by(references)) or None,
        )
        if references.formulas is not None and references.density_g_cm3 is not None:
            return replace(
                source,
                thickness_unit="nm",
                formulas=references.formulas,
                density_g_cm3=references.density_g_cm3,
            )
        return source
    if chemistry not in CHEMISTRIES or energy_ev is None:
        return EndMemberSource(chemistry)
    library = CHEMISTRIES[chemistry].load()
    edge = library.edge_covered_by(energy_ev)
    return EndMemberSource(chemistry, None if edge == library.edges[0].edge.name else edge)


def published_source(published: PublishedCampaign, campaign: Campaign, scan: Scan) -> EndMemberSource | None:
    """Where a scan's end-members come from, by what is published; None where its stack is not aligned yet."""
    align = published.output("align", scan.scan_id)
    if align is None:
        return None

    def path_of(reference: Path | ExploredSpectrum) -> str:
        explored = None if isinstance(reference, Path) else published.output("explore", reference.scan_id)
        if isinstance(reference, Path) or explored is None:
            return str(reference)
        return str(explored.path / file_of(reference.scan_id, reference.name))

    return source_of(campaign, scan.chemistry, align.read("energy_ev"), path_of)


def _path_of(survey: Survey, reference: Path | ExploredSpectrum) -> str:
    """The file of a reference; the name of a spectrum whose scan cannot be read."""
    if isinstance(reference, Path):
        return str(reference)
    if reference.scan_id not in survey.scans:
        return str(reference)
    return str(survey.output("explore", reference.scan_id).path / file_of(reference.scan_id, reference.name))


def upstream_of_end_members(survey: Survey, scan_id: str) -> Upstream:
    """The explorations in which a scan's end-members are found, where they are."""
    if end_member_source(survey, scan_id).explored is None:
        return ()
    named = {spectrum.scan_id: None for spectrum in named_by(survey.campaign.references)}
    return tuple(("explore", name) for name in named if name in survey.scans)


def identity_of_end_members(survey: Survey, scan_id: str) -> dict[str, Json]:
    """The source of a scan's end-members for a digest.

    Files are told apart by their content. What explorations find goes by its name, as the digests of the
    explorations are among those of the sources.
    """
    source = end_member_source(survey, scan_id)
    found = figures_of(source)
    references = survey.campaign.references
    if source.files is not None and references is not None:
        found |= {
            "discharged": _content(survey, references.discharged),
            "charged": _content(survey, references.charged),
        }
    return found


def _content(survey: Survey, reference: Path | ExploredSpectrum | None) -> str:
    return survey.content_of(reference).sha256 if isinstance(reference, Path) else str(reference)


def end_members_of(source: EndMemberSource) -> EndMembers:
    """End-members from files where the campaign names them, else the library's of the chemistry.

    Raises
    ------
    InputError
        for files that cannot be read or do not fit together, and spectra that an exploration did not find
    """
    if source.files is None:
        return CHEMISTRIES[source.chemistry].load().end_members(source.edge)
    if source.explored:
        for path in source.files:
            require_spectrum(path)
    discharged, charged = source.files
    members = from_files(
        discharged, charged, thickness_unit=source.thickness_unit or "reference", compounds=source.compounds
    )
    if source.explored:
        refuse_alike(members)
    return members


def end_members_to_fit(source: EndMemberSource, scan_id: str) -> EndMembers:
    """End-members from which the state of charge of a scan follows.

    Raises
    ------
    InputError
        as ``end_members_of``, and where the edge of the scan's energies does not follow the charge
    """
    members = end_members_of(source)
    if members.control:
        raise InputError(
            where=f"fit of {scan_id}",
            problem="this edge does not tell the state of charge",
            got=f"energies of {source.edge}: {members.control}",
            wanted="an edge that follows the charge",
            mend="Exclude the scan, or give references of your own for it in a campaign of its own",
        )
    return members


def other_edges(source: EndMemberSource) -> str:
    """What else the library holds of a chemistry, as the end of an advice; empty where files are used."""
    if source.files is not None:
        return ""
    library = CHEMISTRIES[source.chemistry].load()
    return f"; of {source.chemistry} the library holds {library.edges_in_words}"


def strongest_mass_absorption(survey: Survey, scan_id: str, energy_ev: F64) -> F64:
    """mu/rho (ENERGY,) in cm2/g of the state of charge that absorbs more; NaN where it is not known.

    Files say what a reference sample absorbs, not what it weighs, unless they are scaled to tables.
    """
    return _strongest(survey, scan_id, energy_ev, EndMembers.mass_absorption)


def strongest_absorption_per_nm(survey: Survey, scan_id: str, energy_ev: F64) -> F64:
    """mu (ENERGY,) in 1/nm of the state of charge that absorbs more; NaN where it is not known, as for mu/rho."""
    return _strongest(survey, scan_id, energy_ev, EndMembers.at)


def _strongest(
    survey: Survey, scan_id: str, energy_ev: F64, absorption: Callable[[EndMembers, F64], F64 | None]
) -> F64:
    largest = np.full(len(energy_ev), np.nan)
    source = end_member_source(survey, scan_id)
    if source.chemistry == IMAGES_ONLY:
        return largest
    if source.files is None or source.formulas is not None:
        members = end_members_of(source)
        spanned = members.spans(energy_ev)
        both = absorption(members, energy_ev[spanned])
        if both is not None:
            largest[spanned] = both.max(axis=0)
    return largest
