"""Frozen dataclasses as JSON and back: how what a unit measured is kept in the store, and read again with its types."""

import math
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import MappingProxyType, NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import numpy as np

from storage.atomic import Json, plain_json
from stxmdist.errors import StoreError

__all__ = ["Json", "figures_of", "from_json", "read_from_json"]

RecordT = TypeVar("RecordT")

INLINE: Mapping[str, bool] = MappingProxyType({"inline": True})
"""Metadata of a field that holds a mapping: in JSON its items stand among the record's other fields."""


def figures_of(record: object) -> dict[str, Json]:
    """The fields of a record as JSON says them, see :func:`storage.atomic.plain_json`; none of None."""
    written = {} if record is None else plain_json(record)
    assert isinstance(written, dict)
    for field in fields(record) if is_dataclass(record) and not isinstance(record, type) else ():
        if field.metadata == INLINE and isinstance(items := written.pop(field.name, {}), dict):
            written |= items
    return written


def from_json(kind: type[RecordT], written: Mapping[str, object]) -> RecordT:
    """The record of a kind that ``figures_of`` wrote; null is NaN where the record holds numbers.

    Raises
    ------
    StoreError
        where fields are missing or unknown: another version of the program wrote them.
    """
    hints = _hints(cast(Hashable, kind))
    lacking, optional, inline = _form(cast(Hashable, kind))
    written = _gathered(hints, inline, written)
    absent, unknown = sorted(lacking - written.keys()), sorted(written.keys() - hints.keys())
    if absent or unknown:
        raise StoreError(
            where=kind.__name__,
            problem="a record in the store has other fields than this version of stxmdist writes",
            got=", ".join([*(f"no {name}" for name in absent), *(f"an unknown {name}" for name in unknown)]),
            wanted=", ".join(hints),
            mend="Run the campaign again: stages of another version are then computed anew",
        )
    wanted = {
        name: _number_of(hint) if name in optional and written.get(name) is None else hint
        for name, hint in hints.items()
    }
    return kind(**{name: _value(wanted[name], value) for name, value in written.items()})


def _number_of(hint: object) -> object:
    """The numbers that a hint admits beside None, else the hint: null of a field that may be left out is NaN."""
    numbers = [argument for argument in get_args(hint) if argument is float or get_origin(argument) is np.ndarray]
    return numbers[0] if numbers else hint


def _gathered(names: Collection[str], inline: str | None, written: Mapping[str, object]) -> Mapping[str, object]:
    """What was written, the items of an inline mapping under the name of its field."""
    if inline is None:
        return written
    own = {name: item for name, item in written.items() if name in names}
    return own | {inline: {name: item for name, item in written.items() if name not in names}}


def read_from_json(kind: type[RecordT], written: Mapping[str, object]) -> RecordT:
    """The record of a kind from JSON that may hold other things as well, such as the attributes of an array.

    Raises
    ------
    StoreError
        where fields are missing.
    """
    return from_json(kind, {name: written[name] for name in _hints(cast(Hashable, kind)) if name in written})


@cache
def _form(kind: Hashable) -> tuple[frozenset[str], frozenset[str], str | None]:
    """The fields of a kind that must be there, those that may be None, and the one that holds an inline mapping."""
    of_kind = fields(cast(Any, kind))
    lacking = frozenset(f.name for f in of_kind if f.default is MISSING and f.default_factory is MISSING)
    optional = frozenset(f.name for f in of_kind if f.default is None)
    return lacking, optional, next((f.name for f in of_kind if f.metadata == INLINE), None)


@cache
def _hints(kind: Hashable) -> dict[str, object]:
    return get_type_hints(kind)


def _value(hint: object, value: object) -> object:
    """A value as its type hint wants it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if value is None and NoneType in arguments:
            return None
        (first, *_) = (argument for argument in arguments if argument is not NoneType)
        return _value(first, value)
    if hint is float:
        return math.nan if value is None else value
    if origin is np.ndarray:
        dtype = np.dtype(get_args(arguments[1])[0])
        listed = np.array(value, dtype=object)
        return np.where(listed == None, np.nan, listed).astype(dtype)  # noqa: E711 (elementwise)
    if isinstance(hint, type) and is_dataclass(hint):
        return from_json(hint, cast(Mapping[str, object], value))
    if origin is tuple:
        items = cast(Sequence[object], value)
        each = arguments[:1] * len(items) if arguments[-1] is Ellipsis else arguments
        return tuple(_value(one, item) for one, item in zip(each, items, strict=True))
    if origin is list:
        return [_value(arguments[0], item) for item in cast(Sequence[object], value)]
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {key: _value(arguments[1], item) for key, item in cast(Mapping[str, object], value).items()}
    return value
