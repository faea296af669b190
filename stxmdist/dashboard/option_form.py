"""The options of the stages as a form: what may be written, what the campaign file says, what the address changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from stxmdist.campaign.manifest import Campaign, Problem
from stxmdist.campaign.yamltext import plain_value
from stxmdist.planning.described_options import DescribedOption, as_written, described_stage
from stxmdist.planning.stages import STAGES


@dataclass(frozen=True)
class OptionField:
    """One option."""

    key: str
    """Without ``stages.``: ``fit.classes.most_od``"""
    label: str
    """Below its group"""
    value: str
    """What the address says; empty: as the campaign file has it"""
    now: str
    """What counts without a change"""
    in_file: bool
    """Whether the campaign file says so; else it is the default"""
    default: str
    unit: str
    meaning: str
    wanted: str
    choices: tuple[str, ...]
    """Where one of a few words is wanted"""
    problem: str
    """The mistake in what is written, in a sentence; empty without one"""


@dataclass(frozen=True)
class OptionGroup:
    """Options that belong together."""

    title: str
    """Empty for the options of the stage itself"""
    meaning: str
    fields: tuple[OptionField, ...]


@dataclass(frozen=True)
class StageOptions:
    """The options of one stage."""

    stage: str
    groups: tuple[OptionGroup, ...]
    changed: int
    unfolded: bool
    """Whether they are shown at once: where something is changed, wrong or looked for"""

    @property
    def count(self) -> int:
        """How many options there are."""
        return sum(len(group.fields) for group in self.groups)


def changes_of(campaign: Campaign, given: Mapping[str, str]) -> dict[str, str]:
    """Key to text of what differs from the campaign file; what is empty, or says the same, is left out."""
    known = {option.key.removeprefix("stages."): option for option in _all_options()}
    return {
        key: text.strip()
        for key, text in given.items()
        if text.strip()
        and (key not in known or plain_value(text.strip()) != plain_value(_now(campaign, known[key])[0]))
    }


def option_form(
    campaign: Campaign, changes: Mapping[str, str], problems: Sequence[Problem], sought: str = ""
) -> tuple[StageOptions, ...]:
    """All options, grouped as they are written; only those whose key or meaning holds every word that is sought."""
    said = {problem.where.removeprefix("stages."): problem.sentence for problem in problems}
    words = sought.casefold().split()
    stages = []
    for stage in STAGES:
        groups = []
        for group, options in _grouped(stage):
            fields = [_field(campaign, group, option, changes, said) for option in options]
            held = tuple(each for each in fields if _holds(each, words))
            if held:
                title = group.key.removeprefix(f"stages.{stage}").strip(".")
                groups.append(OptionGroup(title, group.meaning, held))
        changed = sum(key.split(".")[0] == stage for key in changes)
        wrong = any(key.split(".")[0] == stage for key in said)
        if groups:
            stages.append(StageOptions(stage, tuple(groups), changed, bool(words or changed or wrong)))
    return tuple(stages)


def elsewhere(problems: Sequence[Problem], stages: Sequence[StageOptions]) -> tuple[str, ...]:
    """Mistakes that stand beside no field of the form, in sentences."""
    shown = {each.problem for stage in stages for group in stage.groups for each in group.fields}
    return tuple(problem.sentence for problem in problems if problem.sentence not in shown)


@cache
def _all_options() -> tuple[DescribedOption, ...]:
    return tuple(option for stage in STAGES for option in described_stage(stage) if not option.group)


@cache
def _grouped(stage: str) -> tuple[tuple[DescribedOption, tuple[DescribedOption, ...]], ...]:
    """Each group with the options right below it, the stage itself first."""
    options = described_stage(stage)
    whole = DescribedOption(f"stages.{stage}", "", "", None, group=True)
    groups = [whole, *(option for option in options if option.group)]
    return tuple(
        (group, tuple(each for each in options if not each.group and each.key.rpartition(".")[0] == group.key))
        for group in groups
    )


def _field(
    campaign: Campaign,
    group: DescribedOption,
    option: DescribedOption,
    changes: Mapping[str, str],
    said: Mapping[str, str],
) -> OptionField:
    key = option.key.removeprefix("stages.")
    now, in_file = _now(campaign, option)
    problem = next((sentence for where, sentence in said.items() if where == key or where.startswith(f"{key}.")), "")
    return OptionField(
        key,
        option.key.removeprefix(f"{group.key}."),
        changes.get(key, ""),
        now,
        in_file,
        option.default_text,
        "" if option.unit == "1" else option.unit,
        option.meaning,
        option.wanted,
        _choices(option),
        problem,
    )


def _choices(option: DescribedOption) -> tuple[str, ...]:
    """The words of which one is wanted; none where a list or a number is."""
    nothing = ("null",) if option.wanted.endswith(" or null") else ()
    if option.wanted.removesuffix(" or null") == "true or false":
        return ("true", "false", *nothing)
    return (*option.choices, *nothing) if option.wanted.startswith("one of ") else ()


def _now(campaign: Campaign, option: DescribedOption) -> tuple[str, bool]:
    """What counts for an option without a change, and whether the campaign file says it."""
    found: object = campaign.stages
    for part in option.key.removeprefix("stages.").split("."):
        if not isinstance(found, Mapping) or part not in found:
            return option.default_text, False
        found = found[part]
    return as_written(found), True


def _holds(option: OptionField, words: Sequence[str]) -> bool:
    text = f"{option.key} {option.meaning}".casefold()
    return all(word in text for word in words)
