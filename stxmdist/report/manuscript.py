"""Tables for a manuscript: numbers rounded to two digits of their errors, as CSV, Parquet, Markdown and LaTeX."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import pandas as pd

from storage.csv_text import csv_bytes
from stxmdist.planning.columns import number

ERROR_DIGITS = 2
"""Of an error are given, and its number has as many decimals"""
MOST_DECIMALS = 9
DASH = "–"
LONG = 40
"""Rows: more of them do not fit on one page"""
LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_", "$": r"\$", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "µ": r"\textmu{}", "χ²/ν": r"$\chi^2/\nu$", "−": "$-$",
    "±": r"$\pm$", "–": "--", "≥": r"$\ge$", "<": "$<$", ">": "$>$", "×": r"$\times$", "°": r"$^\circ$", "²": "$^2$",
}  # fmt: skip


def decimals_of(error: float) -> int:
    """So many decimals show two digits of an error; 3 where there is none."""
    if not (np.isfinite(error) and error > 0):
        return 3
    place = int(np.floor(np.log10(error)))
    # .0996 has two digits at .10, not at .100.
    if round(error, ERROR_DIGITS - 1 - place) >= 10.0 ** (place + 1):
        place += 1
    return int(np.clip(ERROR_DIGITS - 1 - place, 0, MOST_DECIMALS))


def fixed(value: float, decimals: int) -> str:
    """A number with so many decimals and a true minus; a dash where it is not known."""
    if not np.isfinite(value):
        return DASH
    text = f"{value:.{decimals}f}"
    return text.replace("-", "−") if float(text) else f"{0:.{decimals}f}"


def with_error(value: object, error: object) -> str:
    """``0.4812 ± 0.0057``: value and standard error, rounded to two digits of the error."""
    value_, error_ = number(value), number(error)
    decimals = decimals_of(error_)
    if not np.isfinite(value_) or not np.isfinite(error_):
        return fixed(value_, decimals)
    return f"{fixed(value_, decimals)} ± {fixed(error_, decimals)}"


def with_interval(value: object, low: object, high: object) -> str:
    """``0.481 (0.469 to 0.493)``: rounded to two digits of half of the interval; the value alone where it has none."""
    value_, low_, high_ = number(value), number(low), number(high)
    half = 0.5 * (high_ - low_)
    if not np.isfinite(half):
        return fixed(value_, 3)
    decimals = decimals_of(half)
    return f"{fixed(value_, decimals)} ({fixed(low_, decimals)} to {fixed(high_, decimals)})"


@dataclass(frozen=True)
class Manuscript:
    """A table as it stands in a manuscript: words with units above, rounded numbers below."""

    name: str
    title: str
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[int, ...] = ()
    """Columns that are aligned to the right"""

    def as_markdown(self) -> str:
        """With the caption above."""
        lines = [f"**{self.title}.** {self.caption}", ""]
        rule = ["---:" if i in self.numeric else "---" for i in range(len(self.header))]
        lines += [_piped(cells) for cells in (self.header, rule, *self.rows)]
        return "\n".join(lines) + "\n"

    def as_latex(self) -> str:
        """With booktabs; of several pages with longtable."""
        columns = "".join("r" if i in self.numeric else "l" for i in range(len(self.header)))
        head = " & ".join(map(latex_of, self.header)) + r" \\"
        body = [" & ".join(map(latex_of, row)) + r" \\" for row in self.rows]
        caption = f"\\caption{{{latex_of(f'{self.title}. {self.caption}')}}}\\label{{tab:{self.name}}}"
        if len(self.rows) > LONG:
            lines = ["% needs booktabs and longtable", f"\\begin{{longtable}}{{{columns}}}", caption + r"\\",
                     r"\toprule", head, r"\midrule", r"\endfirsthead", r"\toprule", head, r"\midrule", r"\endhead",
                     *body, r"\bottomrule", r"\end{longtable}"]  # fmt: skip
        else:
            lines = ["% needs booktabs", r"\begin{table}", r"\centering", caption,
                     f"\\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule", *body, r"\bottomrule",
                     r"\end{tabular}", r"\end{table}"]  # fmt: skip
        return "\n".join(lines) + "\n"

    def frame(self) -> pd.DataFrame:
        """Columns with their units in the names; those that hold plain numbers alone as numbers, a dash as unknown."""
        columns = {}
        for i, name in enumerate(self.header):
            cells = [row[i].replace("−", "-") for row in self.rows]
            numbers = [_number(cell) for cell in cells]
            known = all(value is not None for value in numbers) and i in self.numeric
            columns[name] = numbers if known else cells
        return pd.DataFrame(columns)


def _number(cell: str) -> float | None:
    if cell in (DASH, ""):
        return float("nan")
    try:
        return float(cell)
    except ValueError:
        return None


def _piped(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|").replace("\n", " ") for cell in cells) + " |"


def latex_of(text: str) -> str:
    """Text with what LaTeX reads otherwise written out."""
    text = text.replace("χ²/ν", "\0")
    return "".join(LATEX.get(letter, letter) for letter in text).replace("\0", LATEX["χ²/ν"])


def files_of(table: Manuscript, raw: pd.DataFrame | None) -> dict[str, bytes]:
    """Ending to content: rounded in Markdown and LaTeX; whole, of ``raw`` if given, in CSV and Parquet."""
    frame = table.frame() if raw is None else raw
    parquet = BytesIO()
    frame.to_parquet(parquet, index=False)
    return {
        "csv": csv_bytes(frame),
        "parquet": parquet.getvalue(),
        "tex": table.as_latex().encode(),
        "md": table.as_markdown().encode(),
    }
