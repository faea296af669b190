"""What is said of options: complete, and true of what is read from a campaign file."""

import io
from dataclasses import dataclass, field
from typing import Literal

import pytest
from ruamel.yaml import YAML

from stxmdist.campaign.problems import Problem
from stxmdist.errors import InputError
from stxmdist.planning.described_options import DescribedOption, described, described_stage, options_below
from stxmdist.planning.stages import STAGES
from stxmdist.planning.written_options import read_options

EVERY = [each for stage in STAGES for each in described_stage(stage)]


def refused(key: str, problem: str, got: object, wanted: str, mend: str) -> Problem:
    raise AssertionError(f"{key}: {problem}, got {got}, wanted {wanted}; {mend}")


@dataclass(frozen=True)
class Inner:
    """How wide. More about it."""

    width_nm: float = 3.5
    """Full width"""


@dataclass(frozen=True)
class Outer:
    """Options that are made up."""

    inner: Inner = field(default_factory=Inner)
    kind: Literal["a", "b"] = "b"
    """Which
    kind
    """
    limit: float | None = None
    """Largest value"""


def test_groups_come_before_their_members_and_everything_is_said() -> None:
    assert list(described(Outer, "stages.x")) == [
        DescribedOption("stages.x.inner", "How wide. More about it", "", None, group=True),
        DescribedOption("stages.x.inner.width_nm", "Full width", "a number", 3.5, "nm"),
        DescribedOption("stages.x.kind", "Which kind", "one of a, b", "b", choices=("a", "b")),
        DescribedOption("stages.x.limit", "Largest value", "a number or null", None),
    ]


@pytest.mark.parametrize("option", EVERY, ids=lambda option: option.key)
def test_every_option_of_every_stage_has_a_meaning_and_says_what_may_be_written(option: DescribedOption) -> None:
    assert len(option.meaning) > 5
    assert option.group or option.wanted


@pytest.mark.parametrize("stage", STAGES)
def test_the_defaults_as_they_are_printed_are_read_as_the_defaults(stage: str) -> None:
    """What a person copies from the list into a campaign file changes nothing."""
    kind = STAGES[stage].load().options
    written: dict[str, object] = {}
    for option in described_stage(stage):
        if option.group:
            continue
        *groups, name = option.key.split(".")[2:]
        place = written
        for group in groups:
            place = place.setdefault(group, {})  # type: ignore[assignment]
        place[name] = YAML(typ="safe").load(io.StringIO(option.default_text))
    read, problems = read_options(kind, written, f"stages.{stage}", refused)
    assert problems == []
    assert read == kind()


def test_a_part_of_the_options_is_found_with_and_without_the_first_word() -> None:
    short = options_below("fit.classes")
    assert short == options_below("stages.fit.classes")
    assert short[0].group
    assert all(each.key.startswith("stages.fit.classes") for each in short)
    assert [each.key for each in options_below("fit.classes.most_od")] == ["stages.fit.classes.most_od"]


@pytest.mark.parametrize("key", ["fit.clssses", "fitt", "fit.classes.most"])
def test_an_unknown_key_is_refused_with_those_that_there_are(key: str) -> None:
    with pytest.raises(InputError, match="there is no"):
        options_below(key)
