"""What a screen is, and the table of all of them: adding one is one file, one template and one line."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from stxmdist.dashboard.snapshot import Snapshot
from stxmdist.dashboard.visit import Visit
from stxmdist.registry import Entry, Table


@dataclass(frozen=True)
class Crumb:
    """One step of the way from the campaign to what is shown."""

    name: str
    address: str | None = None
    """None for the page itself"""


@dataclass(frozen=True, kw_only=True)
class Page:
    """What the frame around every page shows; a screen adds what its own template does."""

    title: str
    crumbs: tuple[Crumb, ...] = ()
    """From the campaign to this page; without the campaign itself"""


@dataclass(frozen=True)
class Screen:
    """What a file of `stxmdist.dashboard.screens` gives as ``SCREEN``."""

    page: Callable[[Visit], Page]
    """What ``templates/<name>.html`` shows, as ``page``"""
    parts: Mapping[str, Callable[[Visit], object]] = field(default_factory=dict)
    """What the page's script loads into a page: ``templates/<name>.<part>.html`` shows each as ``part``"""
    actions: Mapping[str, Callable[[Visit], str]] = field(default_factory=dict)
    """What a form that was sent to ``<name>.<action>`` does; gives the address of the page to go on with"""
    warm: Callable[[Snapshot], object] | None = None
    """Reads what the page shows of a campaign, before anybody asks for it"""


@dataclass(frozen=True)
class ScreenEntry(Entry[Screen]):
    """One screen."""

    title: str
    """In the navigation and at the head of the window"""
    meaning: str
    """What question it answers, in a sentence"""
    address: str = ""
    """Its place beside the others; its name where empty"""
    in_navigation: bool = True
    """False for those that need a scan or a particle, and are reached through links"""


def _entry(
    file: str, title: str, meaning: str, *, in_navigation: bool = True, address: str | None = None
) -> ScreenEntry:
    where = f"stxmdist.dashboard.screens.{file}:SCREEN"
    return ScreenEntry(where, title, meaning, file if address is None else address, in_navigation)


SCREENS: Table[ScreenEntry] = Table(
    "screen",
    {
        "beamtime": _entry("beamtime", "Beamtime", "Is the newest scan any good, and is it enough?", address=""),
        "campaign": _entry("campaign", "Campaign", "How do electrodes, conditions and sizes differ?"),
        "scan": _entry("scan", "Scan", "What one scan shows, and whether to believe it.", in_navigation=False),
        "particle": _entry("particle", "Particle", "One particle in every detail.", in_navigation=False),
        "next": _entry("next", "Next", "What to measure in the time that is left, at which energies?"),
        "run": _entry("run", "Run", "Choose what is computed, see what it costs, and how far it is."),
    },
)
"""Name to screen, in the order of the navigation"""
