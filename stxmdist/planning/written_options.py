"""The options of a stage from what a person wrote, in the campaign file or in the sample sheet: value or mistake."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass, replace
from typing import TypeAlias, TypeVar, cast, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from stxmdist.campaign.problems import Problem, did_you_mean, one_of
from stxmdist.campaign.wanted import nearest_choice, wanted
from stxmdist.errors import InputError

OptionsT = TypeVar("OptionsT")

ProblemAt: TypeAlias = Callable[[str, str, object, str, str], Problem]
"""From a key path (``stages.fit.fitter``), what is wrong, what was got, what was wanted and what to do, to the mistake
where it was written."""


def problem_of(at: ProblemAt, key: str, error: InputError) -> Problem:
    """A mistake that options found themselves: what they got is in words already."""
    return replace(at(key, error.problem, error.got, error.wanted, error.mend), got=error.got)


def read_options(
    kind: type[OptionsT], written: Mapping[str, object], key: str, at: ProblemAt
) -> tuple[OptionsT, list[Problem]]:
    """The options of a class as they are written, defaults where they have mistakes; and the mistakes."""
    problems: list[Problem] = []
    hints: Mapping[str, object] = get_type_hints(kind, include_extras=True)
    values: dict[str, object] = {}
    for name, value in written.items():
        here = f"{key}.{name}"
        if name not in hints:
            mend = did_you_mean(str(name), list(hints), "Take the line out")
            problem = f"{key.rpartition('.')[2]} has no option {name!r}"
            problems.append(at(here, problem, name, one_of(hints), mend))
        else:
            values[name], found = _value(hints[name], value, here, at)
            problems += found
    if problems:
        return kind(), problems
    try:
        return kind(**values), []
    except InputError as error:
        name = str(error.where).rpartition(".")[2]
        here = f"{key}.{name}" if name in written else key
        return kind(), [problem_of(at, here, error)]


def _value(hint: object, value: object, key: str, at: ProblemAt) -> tuple[object, list[Problem]]:
    """The value of one option, and what is wrong with it."""
    if isinstance(hint, type) and is_dataclass(hint) and isinstance(value, Mapping):
        return read_options(hint, value, key, at)
    member = _member(hint)
    if member is not None and isinstance(value, Sequence) and not isinstance(value, str):
        read = [_item(member, item, f"{key}.{number}", at) for number, item in enumerate(value)]
        return tuple(item for item, _ in read), [problem for _, found in read for problem in found]
    try:
        adapter: TypeAdapter[object] = TypeAdapter(cast(type[object], hint), config=_config(hint))
        return adapter.validate_python(value), []
    except ValidationError as error:
        not_finite = any(fault["type"] == "finite_number" for fault in error.errors())
        mend = nearest_choice(hint, value, "Correct the value, or take the line out to have the default")
        words = "a finite number" if not_finite else wanted(hint)
        return None, [at(key, "the value cannot be used", value, words, mend)]


def _member(hint: object) -> type | None:
    """The options class of which a tuple's members are, None for anything else."""
    first, *_ = get_args(hint) or (None,)
    return first if get_origin(hint) is tuple and isinstance(first, type) and is_dataclass(first) else None


def _item(kind: type, written: object, key: str, at: ProblemAt) -> tuple[object, list[Problem]]:
    if not isinstance(written, Mapping):
        words = "its options by name, such as {" + next(iter(get_type_hints(kind))) + ": ...}"
        return None, [at(key, "the value cannot be used", written, words, "Write it so")]
    return read_options(kind, written, key, at)


def _config(hint: object) -> ConfigDict | None:
    if is_dataclass(hint):
        return None
    return ConfigDict(extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)
