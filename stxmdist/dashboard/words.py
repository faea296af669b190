"""Numbers as people read them, for templates: a value that is not known is an en dash, never a zero or ``nan``."""

import json
import math
import re
from collections.abc import Callable

from markupsafe import Markup, escape

from storage.atomic import plain_json
from stxmdist.particles.flag_words import flags_of

UNKNOWN = "–"


def figure(value: object, digits: int = 3, unit: str = "") -> str:
    """A number with so many digits that say something, and its unit."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return UNKNOWN
    if isinstance(value, int) or abs(value) >= 10 ** (digits - 1):
        text = f"{value:,.0f}"
    elif abs(value) >= 1e-3 or value == 0:
        text = f"{value:#.{digits}g}".rstrip(".")
    else:
        mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
        text = f"{mantissa}e{int(exponent)}"
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


def duration(seconds: object) -> str:
    """A time as people say it: ``12 s``, ``4 min 5 s``, ``2 h 10 min``."""
    if not isinstance(seconds, int | float) or not math.isfinite(seconds):
        return UNKNOWN
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 or seconds == 0 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60:,} h {minutes % 60} min".replace(",", " ")


def size(n_bytes: float) -> str:
    """So many bytes as people say it."""
    return figure(n_bytes / 1e9, 3, "GB") if n_bytes >= 1e9 else figure(n_bytes / 1e6, 3, "MB")


def coded(text: str) -> Markup:
    """A text as HTML, what stands between double backquotes as code."""
    return Markup(re.sub(r"``([^`]+)``", r"<code>\1</code>", str(escape(text))))


def flags_in_words(flags: str) -> tuple[str, ...]:
    """One sentence for each flag of a particle; a flag that has no words stands for itself."""
    said = flags_of(flags)
    return tuple(
        f"{flag.capitalize()}." if words == flag else f"{flag.capitalize()}: {words.rstrip('.')}."
        for flag, words in said.items()
    )


def script(value: object) -> str:
    """A record as JSON, for an attribute that the page's script reads."""
    return json.dumps(plain_json(value), allow_nan=False)


FILTERS: dict[str, Callable[..., str]] = {
    "figure": figure,
    "percent": percent,
    "plus_minus": plus_minus,
    "moment": moment,
    "plural": plural,
    "duration": duration,
    "size": size,
    "coded": coded,
    "script": script,
}
"""Names that templates use"""
