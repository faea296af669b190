"""Times as beamlines write them."""

from datetime import datetime

DATES = ("%Y %B %d %H:%M:%S", "%Y %b %d %H:%M:%S", "%Y-%m-%d %H:%M:%S")
"""As SDF headers and others write them; ISO 8601 is tried first."""


def moment_of(text: str) -> datetime | None:
    """A time as beamlines write it, None for other words."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    for pattern in DATES:
        try:
            return datetime.strptime(text, pattern)
        except ValueError:
            continue
    return None
