"""Options of the stages: one frozen dataclass each, read from the campaign file, every mistake named at once."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import TypeVar, cast, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from stxmdist.campaign.manifest import Campaign, Problem
from stxmdist.campaign.problems import did_you_mean, one_of
from stxmdist.campaign.wanted import nearest_choice, wanted
from stxmdist.campaign.yamltext import read_yaml
from stxmdist.crossmodal.psf import MicroscopePsf
from stxmdist.errors import InputError
from stxmdist.planning.density_options import DensityOptions
from stxmdist.planning.explored import explorers_of_substances, named_by, names_found
from stxmdist.planning.stages import STAGES
from stxmdist.spectra.explore.explore_stack import ExploreOptions

OptionsT = TypeVar("OptionsT")


def parse_options(campaign: Campaign) -> tuple[dict[str, object], list[Problem]]:
    """Options of every stage, with defaults for what the campaign file leaves out, and all mistakes found."""
    options, problems = _read_all(campaign)
    return options, _by_line([*problems, *_contradictions(campaign, options)])


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
        options[name], found = _read(stage.options, campaign.stages.get(name) or {}, f"stages.{name}", campaign)
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


def _contradictions(campaign: Campaign, options: Mapping[str, object]) -> Iterator[Problem]:
    """Where an option and the rest of the campaign file contradict one another."""
    references = campaign.references
    absorbance = _of_kind(options["absorbance"], DensityOptions)
    yield from _unknown_spectra(campaign, _of_kind(options["explore"], ExploreOptions))
    yield from _not_sharper(campaign, _of_kind(options["segment"], MicroscopePsf))
    if absorbance.i0 == "file" and (references is None or references.i0 is None):
        yield campaign.problem_at(
            "stages.absorbance.i0",
            "no spectrum of the incident beam is named",
            "file",
            "references: i0: FILE",
            "Name the file under references, or take the incident beam from the field (i0: field)",
        )
    if absorbance.i0 == "scan" and absorbance.i0_scan not in {s.scan_id for s in campaign.scans}:
        yield campaign.problem_at(
            "stages.absorbance.i0_scan" if absorbance.i0_scan else "stages.absorbance.i0",
            "the scan of the incident beam is not in the sample sheet",
            absorbance.i0_scan or "no i0_scan",
            "the scan_id of a wide-field scan of an empty field",
            "Correct i0_scan, or add the scan to the sample sheet",
        )
    if absorbance.i0 == "field" and references is not None and references.i0 is not None:
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
        yield _problem_of(campaign, error.where, error)


def _problem_of(campaign: Campaign, key: str, error: InputError) -> Problem:
    """A mistake that options found themselves: what they got is in words already."""
    return replace(campaign.problem_at(key, error.problem, error.got, error.wanted, error.mend), got=error.got)


def _unknown_spectra(campaign: Campaign, options: ExploreOptions) -> Iterator[Problem]:
    """References that name what no exploration with these options finds."""
    scans = [scan.scan_id for scan in campaign.scans]
    known = names_found(options)
    named = named_by(campaign.references)
    for key in ("discharged", "charged"):
        spectrum = getattr(campaign.references, key, None)
        if spectrum not in named:
            continue
        where = f"references.{key}"
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


def _read(
    kind: type[OptionsT], written: Mapping[str, object], key: str, campaign: Campaign
) -> tuple[OptionsT, list[Problem]]:
    """The options of a class as the campaign file gives them, defaults where they have mistakes, and the mistakes."""
    problems: list[Problem] = []
    hints: Mapping[str, object] = get_type_hints(kind, include_extras=True)
    values: dict[str, object] = {}
    for name, value in written.items():
        here = f"{key}.{name}"
        if name not in hints:
            mend = did_you_mean(str(name), list(hints), "Take the line out")
            problem = f"{key.rpartition('.')[2]} has no option {name!r}"
            problems.append(campaign.problem_at(here, problem, name, one_of(hints), mend))
        else:
            values[name], found = _value(hints[name], value, here, campaign)
            problems += found
    if problems:
        return kind(), problems
    try:
        return kind(**values), []
    except InputError as error:
        name = str(error.where).rpartition(".")[2]
        here = f"{key}.{name}" if name in written else key
        return kind(), [_problem_of(campaign, here, error)]


def _value(hint: object, value: object, key: str, campaign: Campaign) -> tuple[object, list[Problem]]:
    """The value of one option, and what is wrong with it."""
    if isinstance(hint, type) and is_dataclass(hint) and isinstance(value, Mapping):
        return _read(hint, value, key, campaign)
    member = _member(hint)
    if member is not None and isinstance(value, Sequence) and not isinstance(value, str):
        read = [_item(member, item, f"{key}.{number}", campaign) for number, item in enumerate(value)]
        return tuple(item for item, _ in read), [problem for _, found in read for problem in found]
    try:
        adapter: TypeAdapter[object] = TypeAdapter(cast(type[object], hint), config=_config(hint))
        return adapter.validate_python(value), []
    except ValidationError as error:
        not_finite = any(fault["type"] == "finite_number" for fault in error.errors())
        mend = nearest_choice(hint, value, "Correct the value, or take the line out to have the default")
        words = "a finite number" if not_finite else wanted(hint)
        return None, [campaign.problem_at(key, "the value cannot be used", value, words, mend)]


def _member(hint: object) -> type | None:
    """The options class of which a tuple's members are, None for anything else."""
    first, *_ = get_args(hint) or (None,)
    return first if get_origin(hint) is tuple and isinstance(first, type) and is_dataclass(first) else None


def _item(kind: type, written: object, key: str, campaign: Campaign) -> tuple[object, list[Problem]]:
    if not isinstance(written, Mapping):
        words = "its options by name, such as {" + next(iter(get_type_hints(kind))) + ": ...}"
        return None, [campaign.problem_at(key, "the value cannot be used", written, words, "Write it so")]
    return _read(kind, written, key, campaign)


def _config(hint: object) -> ConfigDict | None:
    if is_dataclass(hint):
        return None
    return ConfigDict(extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)
