"""Electrodes in their conditions, as pages name and order them."""

import math
from dataclasses import dataclass

from stxmdist.campaign.scan import Scan
from stxmdist.planning.columns import number, text_of


@dataclass(frozen=True, order=True)
class Condition:
    """The state in which an electrode was measured; what is not known comes first."""

    cycle: float
    c_rate: float
    direction: str

    @property
    def key(self) -> str:
        """In addresses."""
        return f"{self.cycle:g}_{self.c_rate:g}_{self.direction}"

    @property
    def words(self) -> str:
        """``cycle 100 · 1 C · charge``; only what is known."""
        parts = [f"cycle {self.cycle:g}" if self.cycle >= 0 else "", f"{self.c_rate:g} C" if self.c_rate >= 0 else ""]
        return " · ".join(part for part in (*parts, self.direction) if part) or "no condition"


def condition_of(cycle: object, c_rate: object, direction: object) -> Condition:
    """The condition that three cells of a table say; -1 stands for what is not known, so that there is an order."""
    return Condition(_known(cycle), _known(c_rate), text_of(direction))


def _known(value: object) -> float:
    found = number(value)
    return found if math.isfinite(found) else -1.0


def condition_of_scan(scan: Scan) -> Condition:
    """The condition of the electrode that a scan saw."""
    return condition_of(scan.cycle, scan.c_rate, scan.direction)
