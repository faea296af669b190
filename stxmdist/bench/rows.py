"""One line of what `stxmdist bench` prints."""

from typing import TypedDict


class Row(TypedDict):
    """A benchmark, what was measured, and the limit that it should keep."""

    benchmark: str
    figure: float
    unit: str
    limit: float | None
    remark: str


def row_of(name: str, figure: float, unit: str, limit: float | None, remark: str) -> Row:
    """A row with its figure rounded to a thousandth."""
    return {"benchmark": name, "figure": round(figure, 3), "unit": unit, "limit": limit, "remark": remark}
