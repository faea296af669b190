"""Numbers as people read them, for templates: a value that is not known is an en dash, never a zero or ``nan``."""

import json
import math
from collections.abc import Callable

from storage.atomic import plain_json

UNKNOWN = "–"


def figure(value: object, digits: int = 3, unit: str = "") -> str:
    """A number with so many digits that say something, and its unit."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return UNKNOWN
    if isinstance(value, int) or abs(value) >= 10 ** (digits - 1):
        text = f"{value:,.0f}"
    else:
        text = f"{value:#.{digits}g}" if abs(value) >= 1e-3 or value == 0 else f"{value:.{digits - 1}e}"
        text = text.rstrip(".")
    return f"{text.replace('-', '−')} {unit}".rstrip().replace(",", " ")


def percent(value: object, digits: int = 0) -> str:
    """A share as per cent."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return UNKNOWN
    return f"{100 * value:.{digits}f} %".replace("-", "−")


def plus_minus(value: object, error: object, digits: int = 3) -> str:
    """A value with its error, where that is known."""
    if not isinstance(error, int | float) or not math.isfinite(error):
        return figure(value, digits)
    return f"{figure(value, digits)} ± {figure(error, 2)}"


def moment(iso: str) -> str:
    """A time in ISO 8601 to the minute, as it stands there."""
    return iso[:16].replace("T", " ") + (" UTC" if iso.endswith("+00:00") or iso.endswith("Z") else "")


def plural(n: int, noun: str, several: str = "") -> str:
    """``1 scan``, ``2 scans``."""
    return f"{n:,} {noun if n == 1 else several or noun + 's'}".replace(",", " ")


def script(value: object) -> str:
    """A record as JSON, for an attribute that the page's script reads."""
    return json.dumps(plain_json(value), allow_nan=False)


FILTERS: dict[str, Callable[..., str]] = {
    "figure": figure,
    "percent": percent,
    "plus_minus": plus_minus,
    "moment": moment,
    "plural": plural,
    "script": script,
}
"""Names that templates use"""
