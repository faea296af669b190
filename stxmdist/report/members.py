"""The figures and tables of the report, one line each: where it is made, in which section, and what it answers.

A figure is known by the beginning of its file's name: ``F4-mosaic`` draws ``F4-mosaic-stxm`` and its like.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from stxmdist.errors import InputError
from stxmdist.registry import Entry, Table
from stxmdist.report.canvas import Absent, Picture
from stxmdist.report.evidence import Evidence
from stxmdist.report.tables import Sheet

Item: TypeAlias = Picture | Absent | Sheet
ItemT = TypeVar("ItemT", Picture, Sheet)
Part: TypeAlias = Callable[[Evidence], Item | Sequence[Item]]
"""Makes one figure or table of the page, or several; what cannot be shown says why."""


@dataclass(frozen=True)
class PartEntry(Entry[Part]):
    """A figure or a table of the report."""

    section: str
    """Anchor of the section in which it stands, behind those of the table before it"""
    question: str = ""
    """What it answers"""

    def items(self, evidence: Evidence) -> Sequence[Item]:
        """What it makes of the evidence."""
        found = self.load()(evidence)
        return [found] if isinstance(found, Picture | Absent | Sheet) else found


_DIR = "stxmdist.report"

PARTS: Table[PartEntry] = Table(
    "figure or table of the report",
    {
        "F1-design": PartEntry(f"{_DIR}.conditions:design", "design", "Which electrodes were seen in which condition?"),
        "F1-flow": PartEntry(f"{_DIR}.conditions:flow", "design", "How much of it reached the statistics?"),
        "images": PartEntry(f"{_DIR}.previews:images_alone", "images", "What is there to see?"),
        "F3-gallery": PartEntry(f"{_DIR}.gallery:gallery", "gallery", "What do both microscopes see of one region?"),
        "F4-mosaic": PartEntry(f"{_DIR}.mosaic:mosaics", "gallery", "What does each particle look like?"),
        "F5-state-of-charge": PartEntry(
            f"{_DIR}.distributions:states_of_charge", "soc", "How charged are the particles, and does it close?"
        ),
        "T1": PartEntry(f"{_DIR}.tables:electrodes", "soc", "What is known of each electrode?"),
        "F12-cycles": PartEntry(f"{_DIR}.distributions:trends", "effects", "What changes over cycles?"),
        "F8-size": PartEntry(f"{_DIR}.sizes:sizes", "effects", "Do small and large particles differ?"),
        "F7-phases": PartEntry(f"{_DIR}.phases:phases", "effects", "Where are mixed particles, by size and cycle?"),
        "F12-effects": PartEntry(f"{_DIR}.variance:effects", "effects", "How large are the effects, and how sure?"),
        "T2": PartEntry(f"{_DIR}.tables:effects", "effects", "What was tested, and what came out?"),
        "F11-variance": PartEntry(f"{_DIR}.variance:variance", "variance", "At which level does charge differ?"),
        "F9-inside": PartEntry(f"{_DIR}.inside:inside_particles", "variance", "Are particles charged unevenly inside?"),
        "F9-profiles": PartEntry(f"{_DIR}.profiles:profiles", "variance", "How does charge go from rim to middle?"),
        "F10-directions": PartEntry(
            f"{_DIR}.directions:directions", "variance", "Over what length and along which axis does charge change?"
        ),
        "F10-neighbours": PartEntry(f"{_DIR}.neighbours:neighbours", "variance", "Do neighbours react alike?"),
        "F11-budget": PartEntry(f"{_DIR}.budget:budget", "errors", "What are the errors made of?"),
        "F12-power": PartEntry(f"{_DIR}.power:power_over_electrodes", "errors", "What would more electrodes show?"),
        "F6-rate": PartEntry(f"{_DIR}.rates:rates", "transport", "Do more particles react at a higher rate?"),
        "F13-reaction": PartEntry(f"{_DIR}.reactions:reaction_maps", "transport", "Where and how fast did it react?"),
        "analyses": PartEntry(f"{_DIR}.analyses:analyses", "analyses", "What else was found?"),
        "F2-end-members": PartEntry(f"{_DIR}.spectra:end_members", "spectra", "Between which states is decided?"),
        "F2-spectra": PartEntry(f"{_DIR}.spectra:spectra", "spectra", "Do the end-members explain the spectra?"),
        "F2-polar": PartEntry(f"{_DIR}.polar:polar_angles", "spectra", "Two phases, or what lies between?"),
        "exploration": PartEntry(
            f"{_DIR}.exploration:exploration", "exploration", "What is in the spectra without a model?"
        ),
        "T3": PartEntry(f"{_DIR}.tables:quality", "quality", "How good is every scan?"),
        "T3-reading": PartEntry(f"{_DIR}.reading:readings", "quality", "What was assumed of the files?"),
        "Q1-beam-and-drift": PartEntry(f"{_DIR}.instrument:beam_and_drift", "quality", "Were beam and stage steady?"),
        "film": PartEntry(f"{_DIR}.film:films", "quality", "Does the sample stand still after alignment?"),
        "Q2-convergence": PartEntry(f"{_DIR}.convergence:convergence", "quality", "Did ptychography converge?"),
        "F12-agreement": PartEntry(f"{_DIR}.agreement:agreement", "quality", "Do both microscopes agree?"),
        "T3-exclusions": PartEntry(f"{_DIR}.tables:exclusions", "left-out", "What was left out, and why?"),
        "preview": PartEntry(f"{_DIR}.previews:previews", "left-out", "What is seen in scans that were not fitted?"),
        "T4-software": PartEntry(f"{_DIR}.tables:software", "provenance", "Which programs computed it?"),
        "T4-stages": PartEntry(f"{_DIR}.tables:stages", "provenance", "With which options, into which outputs?"),
    },
)
"""In the order of the page, within each section."""


def entry_of(name: str) -> PartEntry:
    """The entry that makes a figure or a table by its name.

    Raises
    ------
    InputError
        for a name that none begins, with the nearest.
    """
    found = [key for key in PARTS if name == key or name.startswith(f"{key}-")]
    return PARTS[max(found, key=len)] if found else PARTS[name]


def item_of(evidence: Evidence, name: str, kind: type[ItemT]) -> ItemT:
    """One figure or table by its name.

    Raises
    ------
    InputError
        for a name that there is none of; where the campaign cannot give it, with why.
    """
    items = list(entry_of(name).items(evidence))
    made = [item for item in items if isinstance(item, kind)]
    exact = [item for item in made if item.name == name] or (made if len(made) == 1 else [])
    if exact:
        return exact[0]
    why = "; ".join(item.why for item in items if isinstance(item, Absent))
    if made:
        why = f"it makes {', '.join(item.name for item in made)}"
    raise InputError(
        where="report",
        problem="this campaign has no such figure or table",
        got=f"{name!r}: {why or 'nothing to show'}",
        wanted="the name of one that the report shows",
        mend="campaign.figures lists them",
    )


def parts_of(section: str) -> Iterator[tuple[str, PartEntry]]:
    """The entries of one section, in the order of the table."""
    return ((key, entry) for key, entry in PARTS.items() if entry.section == section)
