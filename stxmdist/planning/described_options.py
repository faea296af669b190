"""What may be written under `stages` in a campaign file: every option with its default, unit, values and meaning.

Nothing is written twice: names, types and defaults come from the dataclasses of the options, meanings from the text
under each field in their source.
"""

import ast
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, asdict, dataclass, fields, is_dataclass
from textwrap import dedent
from typing import get_args, get_type_hints

from stxmdist.campaign.problems import did_you_mean
from stxmdist.campaign.wanted import choices_of, wanted
from stxmdist.errors import InputError
from stxmdist.planning.stages import STAGES

UNITS: Mapping[str, str] = {
    "nm": "nm",
    "um": "um",
    "px": "pixels",
    "ev": "eV",
    "us": "us",
    "deg": "degrees",
    "rad": "radians",
    "h": "h",
    "counts": "counts",
    "sd": "standard deviations",
    "sigma": "standard deviations",
    "sigmas": "standard deviations",
    "fraction": "1",
    "share": "1",
}
"""What the last word of an option's name says of its unit; other names say themselves what they count"""


@dataclass(frozen=True)
class DescribedOption:
    """One option of a stage."""

    key: str
    """Where it is written: ``stages.fit.classes.most_od``"""
    meaning: str
    wanted: str
    """What may be written, in words; empty for a group of options"""
    default: object
    """What counts where nothing is written; of a group, None"""
    unit: str = ""
    choices: tuple[str, ...] = ()
    """Where one of some words is wanted: those"""
    group: bool = False
    """Whether it holds options of its own"""

    @property
    def default_text(self) -> str:
        """The default as it would be written in a campaign file."""
        return "" if self.group else as_written(self.default)

    def as_dict(self) -> dict[str, object]:
        """The same for programs; the default as text, as a campaign file has it."""
        return asdict(self) | {"default": self.default_text}


def described_stage(stage: str) -> tuple[DescribedOption, ...]:
    """The options of a stage in the order in which they stand in its source, each group before its members.

    Raises
    ------
    InputError
        for a name that no stage has.
    """
    return tuple(described(STAGES[stage].load().options, f"stages.{stage}"))


def described(kind: type, key: str) -> Iterator[DescribedOption]:
    """The options of a dataclass, those of dataclasses within it after their group."""
    hints: Mapping[str, object] = get_type_hints(kind, include_extras=True)
    meanings = _meanings(kind)
    for option in fields(kind):
        hint, here = hints[option.name], f"{key}.{option.name}"
        if isinstance(hint, type) and is_dataclass(hint):
            # The options of an explorer are one more field for each line of its table: their class says what they are.
            meaning = meanings.get(option.name) or _sentence(inspect.getdoc(hint) or "")
            yield DescribedOption(here, meaning, "", None, group=True)
            yield from described(hint, here)
        else:
            meaning = meanings.get(option.name, "")
            choices = tuple(str(choice) for choice in choices_of(hint))
            yield DescribedOption(here, meaning, _words(hint), _default(option), unit_of(option.name), choices)


def options_below(key: str) -> tuple[DescribedOption, ...]:
    """The options whose key is, or begins with, one such as ``fit``, ``fit.classes`` or ``stages.fit.classes.most_od``.

    Raises
    ------
    InputError
        where there is none.
    """
    full = key if key.startswith("stages.") else f"stages.{key}"
    stage = full.split(".")[1]
    known = described_stage(stage)
    found = [each for each in known if each.key == full or each.key.startswith(f"{full}.")]
    if not found:
        names = [each.key.removeprefix("stages.") for each in known]
        raise InputError(
            where="options",
            problem="there is no option of this name",
            got=repr(key),
            wanted=", ".join(name for name in names if name.count(".") == 1),
            mend=did_you_mean(full.removeprefix("stages."), names, f"`stxmdist options {stage}` lists all of them"),
        )
    return tuple(found)


def unit_of(name: str) -> str:
    """The unit that the ending of an option's name says, empty where it says none."""
    return UNITS.get(name.rpartition("_")[2], "") if "_" in name else ""


def _meanings(kind: type) -> dict[str, str]:
    """The text under each field of a class and of those that it extends."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        if is_dataclass(each):
            found |= dict(_texts(_source(each)))
    return found


def _source(kind: type) -> str:
    try:
        return inspect.getsource(kind)
    except OSError:  # a function made this class: it has no source, and no texts of its own
        return f"class {kind.__name__}: ..."


def _texts(source: str) -> Iterator[tuple[str, str]]:
    (definition,) = ast.parse(dedent(source)).body
    assert isinstance(definition, ast.ClassDef)
    for line, after in zip(definition.body, definition.body[1:], strict=False):
        if not (isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and isinstance(after, ast.Expr)):
            continue
        if isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
            yield line.target.id, " ".join(after.value.value.split())


def _sentence(text: str) -> str:
    return " ".join(text.split("\n\n")[0].split()).rstrip(".")


def _words(hint: object) -> str:
    members = [each for each in get_args(hint) if isinstance(each, type) and is_dataclass(each)]
    if members:
        return f"a list of {{{', '.join(each.name for each in fields(members[0]))}}}"
    nothing = " or null" if type(None) in get_args(hint) else ""
    return f"{wanted(hint)}{nothing}"


def _default(option: "Field[object]") -> object:
    if option.default is not MISSING:
        return option.default
    return option.default_factory() if option.default_factory is not MISSING else None


def as_written(value: object) -> str:
    """A value as it would be written in a campaign file, on one line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if is_dataclass(value) and not isinstance(value, type):
        members = ((each.name, getattr(value, each.name)) for each in fields(value))
        return "{" + ", ".join(f"{name}: {as_written(each)}" for name, each in members if each != {}) + "}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {as_written(each)}" for name, each in value.items()) + "}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(as_written(each) for each in value) + "]"
    return str(value)
