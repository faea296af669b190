"""The words of the sample sheet, and what one row of it says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from stxmdist.spectra.end_members.chemistries import CHEMISTRIES as MODELLED_CHEMISTRIES

COLUMNS = (
    "scan_id",
    "file",
    "modality",
    "electrode_id",
    "cell_id",
    "beamtime_id",
    "region_id",
    "cycle",
    "c_rate",
    "direction",
    "soc_nominal",
    "soc_coulometric",
    "chemistry",
    "pair_id",
    "roi_rule",
    "exclude",
    "reason",
)
NEEDED = ("scan_id", "file", "modality", "electrode_id")
"""The columns without which no row says what its scan is; any other may be absent, as if its cells were empty."""
MODALITIES = ("stxm", "ptychography")
DIRECTIONS = ("charge", "discharge")
ROI_RULES = ("random", "systematic", "convenience")
CHEMISTRIES = (*MODELLED_CHEMISTRIES, "custom")
"""Those whose reference spectra come with the program, and any other, for which the campaign names its own."""


def is_option(column: str) -> bool:
    """Whether a column of the sheet holds options of a stage for single scans: ``stage.option``."""
    return "." in column


@dataclass(frozen=True)
class Scan:
    """One row of the sample sheet: one acquisition and the condition of the electrode that it saw."""

    scan_id: str
    file: Path
    """Absolute."""
    modality: Literal["stxm", "ptychography"]
    electrode_id: str
    cell_id: str | None = None
    beamtime_id: str | None = None
    region_id: str | None = None
    cycle: float | None = None
    c_rate: float | None = None
    """In units of C: 0.1 is ten hours."""
    direction: Literal["charge", "discharge"] | None = None
    soc_nominal: float | None = None
    """Fraction of the charged end-member, 0 to 1, that the experiment aimed at."""
    soc_coulometric: float | None = None
    """The same as the cycler counted it."""
    chemistry: str = "LFP"
    """The row's own, else the campaign's."""
    pair_id: str | None = None
    roi_rule: Literal["random", "systematic", "convenience"] | None = None
    exclude: bool = False
    reason: str | None = None
    file_region: str | None = None
    """Which region of a file that holds several, named in the cell behind the file: ``scan.hdr#region1``."""
    line: int = 0
    """Line of the sample sheet, counted from 1."""
    options: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Option columns of the sheet (``fit.background``) to their cells, where these are not empty."""

    @property
    def cell(self) -> str:
        """What stands behind the last folder in the cell ``file``."""
        return f"{self.file.name}#{self.file_region}" if self.file_region else self.file.name


@dataclass(frozen=True)
class Row:
    """The text of one row as it stands in the sheet."""

    line: int
    cells: Mapping[str, str]

    @property
    def scan_id(self) -> str:
        return self.cells.get("scan_id", "")
