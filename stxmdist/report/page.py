"""The page: sections of figures and tables, put into one HTML file that stands alone."""

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from stxmdist.report import (
    agreement,
    conditions,
    distributions,
    exploration,
    film,
    gallery,
    quality,
    sizes,
    spectra,
    tables,
    variance,
)
from stxmdist.report.canvas import Absent, Picture, drawing
from stxmdist.report.evidence import Evidence
from stxmdist.report.headline import headline
from stxmdist.report.tables import Sheet

CITATION = "stxmdist developers: stxmdist, from a beamtime of soft X-ray microscopy to statistics of heterogeneity"

Item = Picture | Absent | Sheet


@dataclass(frozen=True)
class Section:
    """A part of the page that can be linked to."""

    anchor: str
    title: str
    items: tuple[Item, ...]


def sections(evidence: Evidence, most_regions: int, most_previews: int, picture_px: int) -> tuple[Section, ...]:
    """Every part of the page; what cannot be shown says why. Pictures are drawn one after another."""
    plan: Sequence[tuple[str, str, Sequence[Callable[[], Any]]]] = (
        ("design", "What was measured", (lambda: conditions.design(evidence), lambda: conditions.flow(evidence))),
        ("gallery", "What it looks like", (lambda: gallery.gallery(evidence, most_regions, picture_px),)),
        (
            "soc",
            "State of charge",
            (lambda: distributions.states_of_charge(evidence), lambda: tables.electrodes(evidence)),
        ),
        (
            "effects",
            "Cycling and size",
            (
                lambda: distributions.trends(evidence),
                lambda: sizes.sizes(evidence),
                lambda: variance.effects(evidence),
                lambda: tables.effects(evidence),
            ),
        ),
        ("variance", "Heterogeneity", (lambda: variance.variance(evidence),)),
        ("spectra", "Spectra", (lambda: spectra.end_members(evidence), lambda: spectra.spectra(evidence))),
        ("exploration", "Exploration", (lambda: exploration.exploration(evidence, picture_px),)),
        (
            "quality",
            "Quality",
            (
                lambda: tables.quality(evidence),
                lambda: quality.beam_and_drift(evidence),
                lambda: film.films(evidence),
                lambda: quality.convergence(evidence),
                lambda: agreement.agreement(evidence),
            ),
        ),
        (
            "left-out",
            "What was left out",
            (lambda: tables.exclusions(evidence), lambda: quality.previews(evidence, most_previews, picture_px)),
        ),
        ("provenance", "Provenance", (lambda: tables.provenance(evidence),)),
    )
    return tuple(Section(anchor, title, _drawn(parts)) for anchor, title, parts in plan)


def _drawn(parts: Sequence[Callable[[], Any]]) -> tuple[Item, ...]:
    items: list[Item] = []
    for part in parts:
        with drawing():
            found = part()
        items += found if isinstance(found, list | tuple) else [found]
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
        name=evidence.name,
        simulated=evidence.simulated,
        time=evidence.last_published,
        headline=headline(evidence),
        sections=parts,
        citation=CITATION,
        version=version,
    )


def numbered(name: str) -> str:
    """What stands before the title of a figure or table that has a number: ``F5-state-of-charge`` is ``F5. ``."""
    first = name.split("-", maxsplit=1)[0]
    return f"{first}. " if first[1:].isdigit() else ""


def data_uri(picture: Picture) -> str:
    """A figure as an address that holds the figure itself."""
    kind = {"svg": "image/svg+xml", "png": "image/png"}[picture.kind]
    return f"data:{kind};base64,{b64encode(picture.content).decode()}"
