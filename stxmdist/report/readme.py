"""A README of the data: what each file beside the page holds, for whoever gets the folder without the program."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stxmdist.planning.tables import table_specs
from stxmdist.report.evidence import Evidence
from stxmdist.report.printing import Printed, PrintedSheet

if TYPE_CHECKING:
    from stxmdist.report.page import Section


def readme(evidence: Evidence, sections: Sequence["Section"], version: str) -> str:
    """The text, Markdown."""
    campaign = evidence.campaign
    origin = "These data are simulated, not measured. " if campaign.simulated else ""
    lines = [
        f"# {campaign.name}: data of the report",
        "",
        f"{origin}Made by stxmdist {version} from {len(evidence.scans)} scans, as published {evidence.last_published}.",
        "`index.html` opens in any browser without a network; `methods.md` says how the numbers were made, and",
        "`references.bib` holds what it cites.",
        "",
        "## Figures",
        "",
        "Each lies in `figures/` as SVG (text is text), as PNG with 300 dots per inch, and with its numbers as CSV;",
        "with `report: {pdf: true}` as PDF as well. In the CSV a row is a point, or what reaches from (`x`, `y`) to",
        "(`x_end`, `y_end`); `panel`, `x_axis` and",
        "`y_axis` name the axes with their units, `series` and `mark` what is drawn. Maps lie in `NAME-maps.zip`,",
        "one CSV each: micrometres down and across. Empty cells are not known; they are never zero.",
        "",
    ]
    items = [item for section in sections for item in section.items]
    lines += [
        f"- `{item.name}`: {item.title}. {item.question} "
        + (f'`stxmdist.open("campaign.yaml").figure("{item.name}")` draws it.' if item.call else "")
        for item in items
        if isinstance(item, Printed)
    ]
    lines += [
        "",
        "## Tables for a manuscript",
        "",
        "In `tables/`, whole as CSV and Parquet; as Markdown and LaTeX rounded to two digits of the error.",
        "",
    ]
    lines += [f"- `{i.sheet.name}`: {i.sheet.title}." for i in items if isinstance(i, PrintedSheet) and i.files]
    words = "In `../tables/`, CSV and Parquet; `data_dictionary.json` has unit and meaning of every column."
    lines += ["", "## Tables of the campaign", "", words, ""]
    lines += [f"- `{name}`: {spec.meaning}." for name, spec in table_specs().items()]
    return "\n".join(lines).rstrip() + "\n"
