"""One request: the campaign as it is now, and what the address asks of it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from stxmdist.campaign.scan import Scan
from stxmdist.dashboard.refused import NotHere, Unclear
from stxmdist.dashboard.snapshot import Snapshot

THEMES = ("auto", "light", "dark")
"""As the system says, or always the same"""

CARRIED = ("theme",)
"""What every link keeps of the address it stands on"""


@dataclass(frozen=True)
class Visit:
    """What a screen is told."""

    now: Snapshot
    query: Mapping[str, str] = field(default_factory=dict)
    """Names in the address to their values"""
    form: Mapping[str, str] = field(default_factory=dict)
    """The same of a form that was sent; empty for pages that are only looked at"""

    @property
    def theme(self) -> str:
        """One of `THEMES`."""
        theme = self.query.get("theme", THEMES[0])
        return theme if theme in THEMES else THEMES[0]

    def text(self, name: str, otherwise: str = "") -> str:
        """A word of the address."""
        return self.query.get(name, otherwise)

    def number(self, name: str, otherwise: float = math.nan) -> float:
        """A number of the address.

        Raises
        ------
        Unclear
            where something else stands there.
        """
        given = self.query.get(name)
        if not given:
            return otherwise
        try:
            found = float(given)
        except ValueError:
            found = math.nan
        if not math.isfinite(found):
            raise Unclear(f"The address gives {given!r} for {name}; a number is wanted.")
        return found

    def integer(self, name: str, otherwise: int | None = None) -> int | None:
        """A whole number of the address.

        Raises
        ------
        Unclear
            where something else stands there.
        """
        if not self.query.get(name):
            return otherwise
        found = self.number(name)
        if found != int(found):
            raise Unclear(f"The address gives {self.query[name]!r} for {name}; a whole number is wanted.")
        return int(found)

    @property
    def scan(self) -> Scan:
        """The scan that the address names.

        Raises
        ------
        NotHere
            where it names none, or one that the sample sheet does not hold.
        """
        if "scan" not in self.query:
            raise NotHere("The address names no scan.")
        return self.now.scan(self.query["scan"])

    def link(self, screen: str, **state: object) -> str:
        """The address of a screen in a state, relative to every page: all pages lie in one folder.

        What is None is left out.
        """
        kept = {name: self.query[name] for name in CARRIED if name in self.query}
        asked = kept | {name.rstrip("_"): str(value) for name, value in state.items() if value is not None}
        return (screen or "./") + ("?" + urlencode(asked) if asked else "")

    def here(self, screen: str, **changes: object) -> str:
        """The address of this very page with some of its state changed; what is None is taken out of it."""
        return self.link(screen, **{**self.query, **changes})
