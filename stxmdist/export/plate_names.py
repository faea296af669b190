"""Names of a plate's rows and columns: the format admits letters and digits of ASCII, and no name twice."""

import re
from collections.abc import Iterable


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Key that sorts E2 before E10."""
    parts = re.findall(r"\d+|\D+", text)
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts)


def plain_names(displayed: Iterable[str], otherwise: str) -> dict[str, str]:
    """Displayed name to plain name, one for each, in the given order.

    Names that are equal without their other characters, or but for capitals (which some file systems do not tell
    apart), are numbered: ``NMC-811`` and ``NMC 811`` become ``NMC811`` and ``NMC811n2``. A decimal point becomes a p;
    what has no letter or digit of ASCII is called ``otherwise``.
    """
    plain: dict[str, str] = {}
    taken: set[str] = set()
    for name in displayed:
        with_points = re.sub(r"(?<=\d)\.(?=\d)", "p", name)
        stripped = re.sub(r"[^A-Za-z0-9]", "", with_points) or otherwise
        chosen, number = stripped, 1
        while chosen.casefold() in taken:
            number += 1
            chosen = f"{stripped}n{number}"
        taken.add(chosen.casefold())
        plain[name] = chosen
    return plain
