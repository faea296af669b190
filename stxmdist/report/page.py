"""The page: sections of figures and tables, put into one HTML file that stands alone."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from jinja2 import Environment, PackageLoader, StrictUndefined

from stxmdist.report.canvas import Absent, Picture, drawing
from stxmdist.report.conclusions import conclusions
from stxmdist.report.evidence import Evidence
from stxmdist.report.file_names import file_names
from stxmdist.report.headline import headline
from stxmdist.report.members import PartEntry, parts_of
from stxmdist.report.methods import Methods
from stxmdist.report.methods import methods as methods_of
from stxmdist.report.printing import Printed, PrintedSheet, printed, printed_sheet
from stxmdist.report.tables import Sheet

CITATION = "stxmdist developers: stxmdist, from a beamtime of soft X-ray microscopy to statistics of heterogeneity"

Item: TypeAlias = Printed | Absent | PrintedSheet


@dataclass(frozen=True)
class SectionPlan:
    """A section of the page; what stands in it says the table of figures and tables."""

    anchor: str
    title: str
    of_particles: bool = False
    """Whether there is nothing in it where images alone are wanted of every scan"""


SECTIONS = (
    SectionPlan("design", "What was measured", of_particles=True),
    SectionPlan("images", "Images"),
    SectionPlan("gallery", "What it looks like", of_particles=True),
    SectionPlan("soc", "State of charge", of_particles=True),
    SectionPlan("effects", "Cycling and size", of_particles=True),
    SectionPlan("variance", "Heterogeneity", of_particles=True),
    SectionPlan("errors", "Errors and power", of_particles=True),
    SectionPlan("transport", "Rate and transport", of_particles=True),
    SectionPlan("analyses", "Further tables", of_particles=True),
    SectionPlan("spectra", "Spectra", of_particles=True),
    SectionPlan("exploration", "Exploration"),
    SectionPlan("quality", "Quality"),
    SectionPlan("left-out", "What was left out"),
    SectionPlan("provenance", "Provenance"),
)
"""The page, in the order of reading."""


@dataclass(frozen=True)
class Section:
    """A part of the page that can be linked to."""

    anchor: str
    title: str
    items: tuple[Item, ...]


def sections(evidence: Evidence, *, all_files: bool = False) -> tuple[Section, ...]:
    """Every section of the page; with ``all_files``, each picture in all formats asked for, one after another."""
    wanted = [plan for plan in SECTIONS if not (plan.of_particles and evidence.images_alone)]
    drawn = (Section(plan.anchor, plan.title, _drawn(plan.anchor, evidence, all_files)) for plan in wanted)
    return tuple(section for section in drawn if section.items)


def _drawn(section: str, evidence: Evidence, all_files: bool) -> tuple[Item, ...]:
    items: list[Item] = []
    for _, entry in parts_of(section):
        with drawing():
            items += [_in_files(item, entry, evidence, all_files) for item in entry.items(evidence)]
    return tuple(items)


def _in_files(item: Picture | Absent | Sheet, entry: PartEntry, evidence: Evidence, all_files: bool) -> Item:
    if isinstance(item, Picture):
        return printed(item, entry.question, all_files=all_files, pdf=evidence.options.pdf)
    return printed_sheet(item) if isinstance(item, Sheet) else item


def render(evidence: Evidence, parts: Sequence[Section], version: str, methods: Methods | None = None) -> str:
    """The page as HTML text: figures inside as data, tables linked as CSV beside."""
    environment = Environment(
        loader=PackageLoader("stxmdist.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"data_uri": data_uri, "numbered": numbered}
    environment.tests |= {
        "picture": lambda item: isinstance(item, Printed),
        "absent": lambda item: isinstance(item, Absent),
        "sheet": lambda item: isinstance(item, PrintedSheet),
    }
    page = environment.get_template("page.html.j2")
    scans = [scan.scan_id for scan in evidence.scans]
    return page.render(
        name=evidence.campaign.name,
        simulated=bool(evidence.campaign.simulated),
        time=evidence.last_published,
        outdated=evidence.campaign.outdated,
        verdict=evidence.campaign.verdict,
        headline=headline(evidence),
        conclusions=conclusions(evidence),
        sections=parts,
        methods=methods or methods_of(evidence, version),
        pages_of_scans=dict(zip(scans, file_names(scans), strict=True)),
        citation=CITATION,
        version=version,
    )


def numbered(name: str) -> str:
    """The number before the title of a figure or table, with a full stop; ``F5-state-of-charge`` has number F5."""
    first = name.split("-", maxsplit=1)[0]
    return f"{first}. " if first[1:].isdigit() else ""


def data_uri(picture: Printed) -> str:
    """A figure as an address that holds the figure itself."""
    kind = {"svg": "image/svg+xml", "png": "image/png"}[picture.kind]
    return f"data:{kind};base64,{b64encode(picture.content).decode()}"
