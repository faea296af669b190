"""Options of the stages: one frozen dataclass each, read from the campaign file, every mistake named at once."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from stxmdist.campaign.manifest import Campaign, Problem
from stxmdist.campaign.problems import did_you_mean, one_of
from stxmdist.campaign.yamltext import read_yaml
from stxmdist.crossmodal.psf import MicroscopePsf
from stxmdist.errors import InputError
from stxmdist.planning.density_options import DensityOptions
from stxmdist.planning.explored import explorers_of_substances, named_by, names_found
from stxmdist.planning.scan_options import ScanOptions, mistakes_in_columns, mistakes_of_beam, options_of_scans
from stxmdist.planning.stages import STAGES
from stxmdist.planning.written_options import problem_of, read_options
from stxmdist.spectra.explore.explore_stack import ExploreOptions

OptionsT = TypeVar("OptionsT")


def parse_options(campaign: Campaign) -> tuple[dict[str, object], list[Problem]]:
    """Options of every stage, with defaults for what the campaign file leaves out, and all mistakes found."""
    options, problems = _read_all(campaign)
    found = [*problems, *_contradictions(campaign, options, options_of_scans(campaign))]
    return options, [*_by_line(found), *mistakes_in_columns(campaign)]


def mistakes_in_options(path: str | Path) -> list[Problem]:
    """Mistakes in the options of a campaign file that has other mistakes as well, so that all are reported at once."""
    path = Path(path).absolute()
    text = read_yaml(path)
    written = text.keys.get("stages")
    stages = {
        name: dict(options) if isinstance(options, Mapping) else {}
        for name, options in (written.items() if isinstance(written, Mapping) else ())
    }
    return _by_line(_read_all(Campaign(path, "", path, path, "", (), stages=stages, lines=text.lines))[1])


def _read_all(campaign: Campaign) -> tuple[dict[str, object], list[Problem]]:
    options: dict[str, object] = {}
    problems = [
        campaign.problem_at(
            f"stages.{name}",
            "there is no stage of this name",
            name,
            one_of(STAGES),
            did_you_mean(name, list(STAGES), "Remove it"),
        )
        for name in campaign.stages
        if name not in STAGES
    ]
    for name, entry in STAGES.items():
        stage = entry.load()
        written = campaign.stages.get(name) or {}
        options[name], found = read_options(stage.options, written, f"stages.{name}", campaign.problem_at)
        moved = {f"stages.{name}.{option}": mend for option, mend in stage.moved_options.items()}
        problems += [_moved(problem, moved) for problem in found]
    return options, problems


def _moved(problem: Problem, moved: Mapping[str, str]) -> Problem:
    """A mistake, in other words where an option of an earlier version was written."""
    if problem.where not in moved:
        return problem
    said = "this option of earlier versions is written elsewhere now"
    return replace(problem, problem=said, wanted="no such option here", mend=moved[problem.where])


def _by_line(problems: Iterable[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda problem: problem.line or 0)


def _contradictions(campaign: Campaign, options: Mapping[str, object], of_scans: ScanOptions) -> Iterator[Problem]:
    """Where an option and the rest of the campaign file contradict one another."""
    references = campaign.references
    absorbance = _of_kind(options["absorbance"], DensityOptions)
    yield from _unknown_spectra(campaign, options, of_scans)
    yield from _not_sharper(campaign, _of_kind(options["segment"], MicroscopePsf))
    yield from mistakes_of_beam(campaign, absorbance, campaign.problem_at)
    if references is not None and campaign.scans and all(scan.images_only for scan in campaign.scans):
        yield campaign.problem_at(
            "references",
            "the spectra would not be used: chemistry none fits nothing",
            "references beside `chemistry: none`",
            "a chemistry, or no references",
            "Name the chemistry (custom, where the spectra are of another), or take the block out",
        )
    asked = {absorbance.i0, *(_of_kind(own["absorbance"], DensityOptions).i0 for own in of_scans.by_scan.values())}
    if asked == {"field"} and references is not None and references.i0 is not None:
        yield campaign.problem_at(
            "references.i0",
            "the spectrum of the incident beam would not be used",
            references.i0,
            "stages: absorbance: i0: file",
            "Add that, or take the spectrum out to have the incident beam from particle-free pixels",
        )


def _of_kind(options: object, kind: type[OptionsT]) -> OptionsT:
    """The options of a stage, which are of a kind that stands below the stages."""
    assert isinstance(options, kind)
    return options


def _not_sharper(campaign: Campaign, psf: MicroscopePsf) -> Iterator[Problem]:
    """Where ptychography scans that are to be registered are described as less sharp than wide-field scans."""
    if not any(scan.pair_id and scan.modality == "ptychography" for scan in campaign.scans):
        return
    try:
        psf.matching_blur_nm()
    except InputError as error:
        yield problem_of(campaign.problem_at, error.where, error)


def _unknown_spectra(campaign: Campaign, options: Mapping[str, object], of_scans: ScanOptions) -> Iterator[Problem]:
    """References that name what no exploration with the options of its scan finds."""
    scans = [scan.scan_id for scan in campaign.scans]
    named = named_by(campaign.references)
    for key in ("discharged", "charged"):
        spectrum = getattr(campaign.references, key, None)
        if spectrum not in named:
            continue
        where = f"references.{key}"
        own = of_scans.by_scan.get(spectrum.scan_id, options)
        known = names_found(_of_kind(own["explore"], ExploreOptions))
        if spectrum.scan_id not in scans:
            mend = did_you_mean(spectrum.scan_id, scans, "Name a scan of the sample sheet that is not excluded")
            problem = "there is no scan of this name to explore"
            yield campaign.problem_at(where, problem, spectrum.scan_id, one_of(scans[:10]), mend)
        if spectrum.name not in known:
            methods = " or ".join(explorers_of_substances())
            words = one_of(known) if known else f"a spectrum of {methods}"
            otherwise = f"Add {methods} to stages: explore: methods, or raise how many are looked for"
            mend = did_you_mean(spectrum.name, known, otherwise) if _same_kind(spectrum.name, known) else otherwise
            problem = "the exploration would find no spectrum of this name"
            yield campaign.problem_at(where, problem, spectrum.name, words, mend)
    if named and campaign.references is not None and campaign.references.thickness_unit == "nm":
        yield campaign.problem_at(
            "references.thickness_unit",
            "spectra that an exploration finds are not per nm: nobody knows how thick their pixels are",
            "nm",
            "reference",
            "Write reference, or take the line out",
        )
    if len(set(named)) < len(named):
        yield campaign.problem_at(
            "references", "discharged and charged are the same spectrum", str(named[0]), "two spectra", "Name another"
        )


def _same_kind(name: str, known: Sequence[str]) -> bool:
    """Whether any spectrum of the kind that a name begins with is looked for."""
    kind = name.partition("-")[0]
    kinds = {entry.part for entry in explorers_of_substances().values()}
    return kind not in kinds or any(found.startswith(kind) for found in known)
