"""The page: sections of figures and tables, put into one HTML file that stands alone."""

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from jinja2 import Environment, PackageLoader, StrictUndefined

from stxmdist.report import tables
from stxmdist.report.agreement import agreement
from stxmdist.report.analyses import analyses
from stxmdist.report.budget import budget
from stxmdist.report.canvas import Absent, Picture, drawing
from stxmdist.report.conclusions import conclusions
from stxmdist.report.conditions import design, flow
from stxmdist.report.convergence import convergence
from stxmdist.report.directions import directions
from stxmdist.report.distributions import states_of_charge, trends
from stxmdist.report.evidence import Evidence
from stxmdist.report.exploration import exploration
from stxmdist.report.film import films
from stxmdist.report.gallery import gallery
from stxmdist.report.headline import headline
from stxmdist.report.inside import inside_particles
from stxmdist.report.instrument import beam_and_drift
from stxmdist.report.mosaic import mosaics
from stxmdist.report.neighbours import neighbours
from stxmdist.report.phases import phases
from stxmdist.report.power import power_over_electrodes
from stxmdist.report.previews import images_alone, previews
from stxmdist.report.rates import rates
from stxmdist.report.reactions import reaction_maps
from stxmdist.report.reading import readings
from stxmdist.report.sizes import sizes
from stxmdist.report.spectra import end_members, spectra
from stxmdist.report.tables import Sheet
from stxmdist.report.variance import effects, variance

CITATION = "stxmdist developers: stxmdist, from a beamtime of soft X-ray microscopy to statistics of heterogeneity"

Item: TypeAlias = Picture | Absent | Sheet
Part: TypeAlias = Callable[[Evidence], Item | Sequence[Item]]
"""Makes one figure or table of the page, or several; what cannot be shown says why."""


@dataclass(frozen=True)
class SectionPlan:
    """What a section of the page is made of."""

    anchor: str
    title: str
    parts: tuple[Part, ...]
    of_particles: bool = False
    """Whether there is nothing in it where images alone are wanted of every scan"""


SECTIONS = (
    SectionPlan("design", "What was measured", (design, flow), of_particles=True),
    SectionPlan("images", "Images", (images_alone,)),
    SectionPlan("gallery", "What it looks like", (gallery, mosaics), of_particles=True),
    SectionPlan("soc", "State of charge", (states_of_charge, tables.electrodes), of_particles=True),
    SectionPlan("effects", "Cycling and size", (trends, sizes, phases, effects, tables.effects), of_particles=True),
    SectionPlan("variance", "Heterogeneity", (variance, inside_particles, directions, neighbours), of_particles=True),
    SectionPlan("errors", "Errors and power", (budget, power_over_electrodes), of_particles=True),
    SectionPlan("transport", "Rate and transport", (rates, reaction_maps), of_particles=True),
    SectionPlan("analyses", "Further tables", (analyses,), of_particles=True),
    SectionPlan("spectra", "Spectra", (end_members, spectra), of_particles=True),
    SectionPlan("exploration", "Exploration", (exploration,)),
    SectionPlan("quality", "Quality", (tables.quality, readings, beam_and_drift, films, convergence, agreement)),
    SectionPlan("left-out", "What was left out", (tables.exclusions, previews)),
    SectionPlan("provenance", "Provenance", (tables.software, tables.stages)),
)
"""The page, in the order of reading: a figure or table is added by its name here."""


@dataclass(frozen=True)
class Section:
    """A part of the page that can be linked to."""

    anchor: str
    title: str
    items: tuple[Item, ...]


def sections(evidence: Evidence) -> tuple[Section, ...]:
    """Every section of the page. Pictures are drawn one after another."""
    wanted = [plan for plan in SECTIONS if not (plan.of_particles and evidence.images_alone)]
    drawn = (Section(plan.anchor, plan.title, _drawn(plan.parts, evidence)) for plan in wanted)
    return tuple(section for section in drawn if section.items)


def _drawn(parts: Sequence[Part], evidence: Evidence) -> tuple[Item, ...]:
    items: list[Item] = []
    for part in parts:
        with drawing():
            found = part(evidence)
        items += [found] if isinstance(found, Picture | Absent | Sheet) else found
    return tuple(items)


def render(evidence: Evidence, parts: Sequence[Section], version: str) -> str:
    """The page as HTML text: figures inside as data, tables linked as CSV beside."""
    environment = Environment(
        loader=PackageLoader("stxmdist.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"data_uri": data_uri, "numbered": numbered}
    environment.tests |= {
        "picture": lambda item: isinstance(item, Picture),
        "absent": lambda item: isinstance(item, Absent),
        "sheet": lambda item: isinstance(item, Sheet),
    }
    page = environment.get_template("page.html.j2")
    return page.render(
        name=evidence.campaign.name,
        simulated=bool(evidence.campaign.simulated),
        time=evidence.last_published,
        outdated=evidence.campaign.outdated,
        verdict=evidence.campaign.verdict,
        headline=headline(evidence),
        conclusions=conclusions(evidence),
        sections=parts,
        citation=CITATION,
        version=version,
    )


def numbered(name: str) -> str:
    """The number before the title of a figure or table, with a full stop; ``F5-state-of-charge`` has number F5."""
    first = name.split("-", maxsplit=1)[0]
    return f"{first}. " if first[1:].isdigit() else ""


def data_uri(picture: Picture) -> str:
    """A figure as an address that holds the figure itself."""
    kind = {"svg": "image/svg+xml", "png": "image/png"}[picture.kind]
    return f"data:{kind};base64,{b64encode(picture.content).decode()}"
