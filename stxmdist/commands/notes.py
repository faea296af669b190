"""Lines for people while a command works."""

from collections.abc import Callable
from typing import TypeAlias

Note: TypeAlias = Callable[[str], None]
"""Takes a line at a time, such as ``print``"""


def unsaid(line: str) -> None:
    """Takes the lines that nobody wants to read."""
