"""The dialects of NXstxm: adding one is one function and one line."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stxmdist.registry import Entry, Table
from stxmdist.writers.contract import Fidelity

if TYPE_CHECKING:
    import h5py

    from stxmdist.writers.nxstxm.nexus import Scan

WriteDialect = Callable[["h5py.File", "Scan"], None]


@dataclass(frozen=True)
class DialectEntry(Entry[WriteDialect]):
    """How a beamline writes NXstxm."""

    counts: str = "float64"
    """Type of the counts"""
    fill: float = float("nan")
    """What frames hold that were never measured; integers cannot hold NaN and become float64 then."""
    ring_current: bool = False
    """Whether it has a place for the ring current."""

    @property
    def keeps(self) -> Fidelity:
        """What of a scan reads back as it was: most dialects write dwell times in seconds."""
        return Fidelity((self.counts,), self.ring_current, conditions_exactly=False)


DIALECTS: Table[DialectEntry] = Table(
    "dialect of NXstxm",
    {
        "pollux": DialectEntry("stxmdist.writers.nxstxm.dialects:pollux", counts="uint32", ring_current=True),
        "softimax": DialectEntry("stxmdist.writers.nxstxm.dialects:softimax", ring_current=True),
        "cls": DialectEntry("stxmdist.writers.nxstxm.dialects:cls", counts="float32", ring_current=True),
        "diamond": DialectEntry("stxmdist.writers.nxstxm.dialects:diamond"),
        "hermes": DialectEntry("stxmdist.writers.nxstxm.dialects:hermes"),
        "pystxmcontrol": DialectEntry("stxmdist.writers.nxstxm.dialects:pystxmcontrol", fill=0.0),
    },
)
DEFAULT_DIALECT = "pollux"
