"""Paths that are called otherwise on the host of a worker: one shared folder, mounted at several places."""

import os
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import TypeVar

PLACES_VARIABLE = "STXMDIST_PLACES"
"""In the environment of such a worker: ``there=here``, several with the separator of PATH between them."""

T = TypeVar("T")


@cache
def _places(written: str) -> tuple[tuple[str, str], ...]:
    pairs = [part.partition("=")[::2] for part in written.split(os.pathsep) if part]
    # The longest first: a folder inside another may be mounted elsewhere.
    return tuple(sorted(((there.rstrip("/"), here.rstrip("/")) for there, here in pairs), key=lambda p: -len(p[0])))


def place_here(path: str) -> str:
    """What a path of the host that started the run is called on this one."""
    for there, here in _places(os.environ.get(PLACES_VARIABLE, "")):
        if path == there or path.startswith(there + "/"):
            return here + path[len(there) :]
    return path


def as_places(renamed: Mapping[str, str]) -> str:
    """The variable's text of folders there to folders here."""
    return os.pathsep.join(f"{there}={here}" for there, here in renamed.items())


def with_places_here(value: T) -> T:
    """A record with every path in it, at any depth, as this host calls it; the same object where nothing is renamed."""
    if not os.environ.get(PLACES_VARIABLE):
        return value
    return _renamed(value)  # type: ignore[return-value]  # of the same type as it came


def _renamed(value: object) -> object:
    if isinstance(value, str):
        return place_here(value)
    if isinstance(value, Path):
        return Path(place_here(str(value)))
    if isinstance(value, tuple | list | set | frozenset):
        return type(value)(_renamed(item) for item in value)
    if isinstance(value, dict):
        return {_renamed(key): _renamed(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        changed = {f.name: _renamed(getattr(value, f.name)) for f in fields(value) if f.init}
        kept = {name: new for name, new in changed.items() if new is not getattr(value, name)}
        return replace(value, **kept) if kept else value
    return value
