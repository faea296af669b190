"""Tables of interchangeable members: adding an engine, fitter, reader, metric or stage is one file and one line."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Generic, TypeVar, cast

from stxmdist.errors import InputError

T = TypeVar("T", covariant=True)


@dataclass(frozen=True)
class Entry(Generic[T]):
    """One line of a table: where the member is. Each kind of member adds the facts that the program asks of it."""

    where: str
    """``module:attribute``, imported on first use; ``module`` alone where the module itself is the member"""

    def load(self) -> T:
        """The member itself."""
        return cast(T, located(self.where))


def located(where: str) -> object:
    """Import what ``module``, ``module:attribute`` or ``module:attribute.attribute`` names."""
    module, _, attribute = where.partition(":")
    found: object = import_module(module)
    for name in attribute.split(".") if attribute else ():
        found = getattr(found, name)
    return found


E = TypeVar("E", bound="Entry[object]", covariant=True)


class Table(Mapping[str, E]):
    """Names to entries, in an order that counts; nothing is imported before a member is loaded.

    Raises
    ------
    InputError
        for a name that is not in the table, with the nearest one that is.
    """

    def __init__(self, kind: str, entries: Mapping[str, E]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> E:
        self.require(name)
        return self._entries[name]

    def require(self, name: str, where: str | None = None) -> None:
        """Refuse a name that is not in the table; ``where`` says which option named it.

        Raises
        ------
        InputError
            with the nearest name that is.
        """
        if name not in self._entries:
            near = get_close_matches(name, self._entries, n=1)
            raise InputError(
                where=where or self.kind,
                problem=f"there is no {self.kind} of this name",
                got=repr(name),
                wanted="one of " + ", ".join(self._entries),
                mend=f"Did you mean {near[0]!r}" if near else "Choose one of those",
            )

    # A mapping would ask for the entry, which is an InputError, no KeyError, for a name that is not there.
    def get(self, name: str, default: Any = None, /) -> Any:
        """The entry of a name, or the default where there is none."""
        return self._entries.get(name, default)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
