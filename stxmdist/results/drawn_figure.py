"""A figure of the report in Python: the same drawing, its numbers, and the files that a manuscript wants."""

import html
from base64 import b64encode
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from storage.csv_text import csv_bytes
from stxmdist.errors import InputError
from stxmdist.report.canvas import PRINT_DPI, Picture, as_pdf, as_png, as_svg, drawing
from stxmdist.report.drawn_data import DrawnData, drawn_data

ENDINGS = (".svg", ".pdf", ".png", ".csv")


class DrawnFigure:
    """A figure as the report shows it; a notebook shows it as well.

    Examples
    --------
    >>> figure = campaign.figure("F5-state-of-charge")
    >>> figure.title
    'State of charge of particles'
    >>> figure.save(folder / "figure-5.pdf").name
    'figure-5.pdf'
    """

    def __init__(self, picture: Picture) -> None:
        if not isinstance(picture.image, Figure):
            raise InputError(
                where="report",
                problem="a film is not drawn in Python",
                got=picture.name,
                wanted="a figure",
                mend="Its file lies beside the report, in figures/",
            )
        self.name, self.title, self.caption = picture.name, picture.title, picture.caption
        self.figure: Figure = picture.image
        """Of matplotlib: its axes can be changed before it is saved"""
        self._picture = picture

    @property
    def drawn(self) -> DrawnData:
        """Its numbers as they stand in the figure.

        Examples
        --------
        >>> campaign.figure("F5-state-of-charge").drawn.images
        {}
        """
        rows = self._picture.data
        return drawn_data(self.figure) if rows is None else DrawnData(rows)

    @property
    def data(self) -> pd.DataFrame:
        """What is drawn, a row for each point, bar, interval or band; the same as in the CSV beside the report.

        Examples
        --------
        >>> set(campaign.figure("F5-state-of-charge").data["mark"]) >= {"point", "band"}
        True
        """
        return self.drawn.rows

    def save(self, path: str | Path) -> Path:
        """Write the figure by the ending of the name: SVG, PDF, PNG with 300 dots per inch, or its numbers as CSV.

        Raises
        ------
        InputError
            for another ending.
        """
        path = Path(path)
        with drawing():
            if path.suffix == ".csv":
                path.write_bytes(csv_bytes(self.data.dropna(axis="columns", how="all")))
            elif path.suffix == ".svg":
                path.write_bytes(as_svg(self.figure, PRINT_DPI))
            elif path.suffix == ".pdf":
                path.write_bytes(as_pdf(self.figure))
            elif path.suffix == ".png":
                path.write_bytes(as_png(self.figure, PRINT_DPI))
            else:
                raise InputError(
                    where=path,
                    problem="a figure is not written in this format",
                    got=path.suffix or "no ending",
                    wanted="one of " + ", ".join(ENDINGS),
                    mend="Choose one of those",
                )
        return path

    def _repr_html_(self) -> str:
        with drawing():
            data = b64encode(as_svg(self.figure, self._picture.dpi)).decode()
        picture = f'<img alt="{html.escape(self._picture.alt)}" src="data:image/svg+xml;base64,{data}">'
        return f"<h4>{html.escape(self.title)}</h4>{picture}<p>{html.escape(self.caption)}</p>"

    def __repr__(self) -> str:
        return f"DrawnFigure({self.name!r}: {self.title})"
