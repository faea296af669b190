"""What may be written for a value of some type, in plain words: ``a whole number of at least 1``."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

from stxmdist.campaign.problems import did_you_mean, one_of

_PLAIN: Mapping[object, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "the path of a file",
    NoneType: "nothing",
}
_SEVERAL: Mapping[object, str] = {int: "whole numbers", float: "numbers", str: "texts", Path: "paths"}
_COUNTS = {2: "two", 3: "three", 4: "four"}
_BOUNDS = (("gt", "more than"), ("ge", "at least"), ("lt", "less than"), ("le", "at most"))


def wanted(hint: object, constraints: Iterable[object] = ()) -> str:
    """What may be written for a value of this type hint; ``constraints`` are bounds such as pydantic's.

    A constraint with a ``description`` says by itself what is wanted.
    """
    constraints = tuple(constraints)
    described = [text for item in constraints if (text := getattr(item, "description", None))]
    if described:
        return str(described[0])
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        inside = [part for item in arguments[1:] for part in (item, *getattr(item, "metadata", ()))]
        return wanted(arguments[0], (*inside, *constraints))
    if origin in (Union, UnionType):
        given = [argument for argument in arguments if argument is not NoneType]
        return " or ".join(wanted(argument, constraints) for argument in given)
    return _kind(hint) + _limits(hint, constraints)


def nearest_choice(hint: object, got: object, otherwise: str) -> str:
    """A mend: the nearest of the words that a type hint admits, or what else to do."""
    known = [str(choice) for choice in choices_of(hint)]
    return did_you_mean(got, known, otherwise) if isinstance(got, str) and known else otherwise


def choices_of(hint: object) -> Sequence[object]:
    """The words of which a value of this type hint is one; none where any value may be written."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    return [choice for argument in get_args(hint) for choice in choices_of(argument)]


def _kind(hint: object) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in _PLAIN:
        return _PLAIN[hint]
    if origin is Literal:
        return one_of(map(str, arguments))
    if origin is tuple and arguments[-1] is not Ellipsis:
        same = len(set(arguments)) == 1 and arguments[0] in _SEVERAL
        count = _COUNTS.get(len(arguments), str(len(arguments)))
        return f"a list of {count} {_SEVERAL[arguments[0]] if same else 'values'}"
    if origin in (tuple, list):
        words = choices_of(arguments[0])
        return f"a list with any of {', '.join(map(str, words))}" if words else f"a list of {_several(arguments[0])}"
    return "`key: value` lines"


def _several(hint: object) -> str:
    return _SEVERAL.get(hint, "values")


def _limits(hint: object, constraints: Iterable[object]) -> str:
    if hint is str:
        least, most = (_bound(constraints, name) for name in ("min_length", "max_length"))
        return (" that is not empty" if least else "") + (f", at most {most} characters" if most else "")
    found = [f"{words} {value}" for name, words in _BOUNDS if (value := _bound(constraints, name)) is not None]
    return f" of {' and '.join(found)}" if found else ""


def _bound(constraints: Iterable[object], name: str) -> float | None:
    return next((value for item in constraints if (value := getattr(item, name, None)) is not None), None)
