"""Tables of interchangeable parts: adding an engine, fitter, reader or metric is one file and one line."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from stxmdist.errors import InputError


class Table(Mapping[str, Any]):
    """Names to parts, written as ``module`` or ``module:attribute`` and imported on first use.

    Raises
    ------
    InputError
        for a name that is not in the table, with the nearest one that is.
    """

    def __init__(self, kind: str, entries: Mapping[str, str]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> Any:
        self.require(name)
        module, _, attribute = self._entries[name].partition(":")
        part = import_module(module)
        return getattr(part, attribute) if attribute else part

    def require(self, name: str) -> None:
        """Refuse a name that is not in the table; imports nothing.

        Raises
        ------
        InputError
            with the nearest name that is.
        """
        if name not in self._entries:
            near = get_close_matches(name, self._entries, n=1)
            raise InputError(
                where=self.kind,
                problem=f"there is no {self.kind} of this name",
                got=repr(name),
                wanted="one of " + ", ".join(self._entries),
                mend=f"Did you mean {near[0]!r}" if near else "Choose one of those",
            )

    # A mapping would try to get the part: import it, or raise.
    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
