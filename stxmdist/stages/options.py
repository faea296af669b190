"""Options of the stages: one frozen dataclass each, read from the campaign file, every mistake named at once."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from stxmdist.campaign.manifest import Campaign, Problem
from stxmdist.campaign.problems import did_you_mean, one_of
from stxmdist.campaign.yamltext import read_yaml
from stxmdist.errors import InputError
from stxmdist.stages import STAGES


def parse_options(campaign: Campaign) -> tuple[dict[str, Any], list[Problem]]:
    """Options of every stage, with defaults for what the campaign file leaves out, and all mistakes found."""
    options, problems = _read_all(campaign)
    return options, _by_line([*problems, *_at_odds(campaign, options)])


def option_problems(path: str | Path) -> list[Problem]:
    """Mistakes in the options of a campaign file that has other mistakes as well, so that all are told at once."""
    path = Path(path).absolute()
    text = read_yaml(path)
    written = text.value.get("stages") if isinstance(text.value, Mapping) else None
    stages = {
        name: dict(options)
        for name, options in (written.items() if isinstance(written, Mapping) else ())
        if name in STAGES and isinstance(options, Mapping)
    }
    return _by_line(_read_all(Campaign(path, "", path, path, "", (), stages=stages, lines=text.lines))[1])


def _read_all(campaign: Campaign) -> tuple[dict[str, Any], list[Problem]]:
    options: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, stage in STAGES.items():
        options[name], found = _read(stage.Options, campaign.stages.get(name) or {}, f"stages.{name}", campaign)
        problems += found
    return options, problems


def _by_line(problems: Iterable[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda problem: problem.line or 0)


def _at_odds(campaign: Campaign, options: Mapping[str, Any]) -> Iterator[Problem]:
    """Where an option and the rest of the campaign file do not go together."""
    references = campaign.references
    if options["absorbance"].i0 == "file" and (references is None or references.i0 is None):
        yield campaign.problem_at(
            "stages.absorbance.i0",
            "no spectrum of the incident beam is named",
            "file",
            "references: i0: FILE",
            "Name the file under references, or take the incident beam from the field (i0: field)",
        )
    if options["absorbance"].i0 == "field" and references is not None and references.i0 is not None:
        yield campaign.problem_at(
            "references.i0",
            "the spectrum of the incident beam would not be used",
            references.i0,
            "stages: absorbance: i0: file",
            "Add that, or take the spectrum out to have the incident beam from particle-free pixels",
        )


def _read(kind: Any, written: Mapping[str, Any], key: str, campaign: Campaign) -> tuple[Any, list[Problem]]:
    problems: list[Problem] = []
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for name, value in written.items():
        here = f"{key}.{name}"
        if name not in hints:
            mend = did_you_mean(str(name), list(hints), "Take the line out")
            problem = f"{key.rpartition('.')[2]} has no option {name!r}"
            problems.append(campaign.problem_at(here, problem, name, one_of(hints), mend))
        elif is_dataclass(hints[name]) and isinstance(value, Mapping):
            values[name], found = _read(hints[name], value, here, campaign)
            problems += found
        else:
            try:
                values[name] = TypeAdapter(hints[name], config=_config(hints[name])).validate_python(value)
            except ValidationError as error:
                wanted = "; ".join(fault["msg"] for fault in error.errors())
                mend = "Correct the value, or take the line out to have the default"
                problems.append(campaign.problem_at(here, "the value cannot be used", value, wanted, mend))
    if problems:
        return kind(), problems
    try:
        return kind(**values), []
    except InputError as error:
        here = f"{key}.{error.where}" if error.where in written else key
        return kind(), [campaign.problem_at(here, error.problem, error.got, error.wanted, error.mend)]


def _config(hint: Any) -> ConfigDict | None:
    if is_dataclass(hint):
        return None
    return ConfigDict(extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)
