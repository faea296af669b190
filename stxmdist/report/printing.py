"""A figure in every form in which it is handed on: SVG (and PDF) with text as text, PNG to print, and its numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pandas as pd
from matplotlib.figure import Figure

from stxmdist.report.canvas import PRINT_DPI, Picture, as_pdf, as_png, as_svg
from stxmdist.report.drawn_data import DrawnData, drawn_data, images_as_zip, rows_as_csv
from stxmdist.report.manuscript import files_of as table_files
from stxmdist.report.tables import Sheet

FOLDER = "figures"
TABLES_FOLDER = "tables"
"""Inside the report; those of the campaign lie beside it"""
MOST_PRINTED_PX = 30_000_000
"""A taller picture is printed with fewer dots: more of them need more memory than the rest of the report"""


@dataclass(frozen=True)
class Printed:
    """A figure as its files, with what the page says of it."""

    name: str
    title: str
    caption: str
    alt: str
    kind: str
    """``svg`` or ``png``: which file the page shows"""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Ending to content, such as ``pdf``; ``csv`` are its numbers, ``zip`` the pixels of its maps as CSV"""
    tables: tuple[str, ...] = ()
    """Tables of the campaign that hold the numbers"""
    question: str = ""
    """What it answers"""

    @property
    def content(self) -> bytes:
        """What the page shows."""
        return self.files[self.kind]

    @property
    def links(self) -> tuple[tuple[str, str], ...]:
        """(word, address beside the page) of every file."""
        words = {"svg": "SVG", "pdf": "PDF", "png": "PNG", "csv": "data (CSV)", "zip": "maps (CSV)"}
        return tuple((words[ending], self.file_of(ending)) for ending in self.files)

    def file_of(self, ending: str) -> str:
        """A file beside the page."""
        return f"{FOLDER}/{self.name}{'-maps' if ending == 'zip' else ''}.{ending}"

    @property
    def call(self) -> str:
        """What draws it in Python; a film has none."""
        return f'campaign.figure("{self.name}")' if self.kind == "svg" else ""


@dataclass(frozen=True)
class PrintedSheet:
    """A table as the page shows it, with its files for a manuscript."""

    sheet: Sheet
    files: Mapping[str, bytes]
    """Ending to content"""

    @property
    def links(self) -> tuple[tuple[str, str], ...]:
        """(word, address beside the page) of every file."""
        words = {"csv": "CSV", "parquet": "Parquet", "tex": "LaTeX", "md": "Markdown"}
        return tuple((words[ending], self.file_of(ending)) for ending in self.files)

    def file_of(self, ending: str) -> str:
        """A file beside the page."""
        return f"{TABLES_FOLDER}/{self.sheet.name}.{ending}"


def printed_sheet(sheet: Sheet) -> PrintedSheet:
    """All files of a table; none of one without rows, and of further tables the campaign's own are enough."""
    if not (sheet.rows and sheet.name.startswith("T")):
        return PrintedSheet(sheet, {})
    table = sheet if sheet.rounded is None else replace(sheet, rows=sheet.rounded)
    return PrintedSheet(sheet, table_files(table, sheet.raw))


def printed(picture: Picture, question: str = "", *, all_files: bool = True, pdf: bool = False) -> Printed:
    """The files of a figure, whose parts are placed once; without ``all_files``, what the page shows alone."""
    said = (picture.name, picture.title, picture.caption, picture.alt)
    if isinstance(picture.image, bytes):
        return Printed(*said, "png", {"png": picture.image}, picture.tables, question)
    if not all_files:
        return Printed(*said, "svg", {"svg": as_svg(picture.image, picture.dpi)}, picture.tables, question)
    files = files_of(picture.image, picture.dpi, picture.data, pdf=pdf)
    return Printed(*said, "svg", files, picture.tables, question)


def files_of(figure: Figure, dpi: int, rows: pd.DataFrame | None = None, *, pdf: bool = False) -> dict[str, bytes]:
    """Ending to content; ``dpi`` is of images in the SVG, ``rows`` are numbers that the figure itself does not hold."""
    files = {"svg": as_svg(figure, dpi)}
    # Where everything stands was found while the first was written, and is the same in all.
    figure.set_layout_engine("none")
    if pdf:
        files["pdf"] = as_pdf(figure)
    width, height = figure.get_size_inches()
    files["png"] = as_png(figure, min(PRINT_DPI, int((MOST_PRINTED_PX / (width * height)) ** 0.5)), optimize=False)
    data = drawn_data(figure) if rows is None else DrawnData(rows)
    files["csv"] = rows_as_csv(data)
    if data.images:
        files["zip"] = images_as_zip(data)
    return files
