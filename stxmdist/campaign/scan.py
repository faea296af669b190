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
    "time_h",
    "polarisation_deg",
    "sample_geometry",
    "exclude",
    "reason",
)
NEEDED = ("scan_id", "file", "modality", "electrode_id")
"""The columns without which no row says what its scan is; any other may be absent, as if its cells were empty."""
MODALITIES = ("stxm", "ptychography")
DIRECTIONS = ("charge", "discharge")
ROI_RULES = ("random", "systematic", "convenience")
SAMPLE_GEOMETRIES = ("dispersed", "electrode", "lamella")
"""Particles spread on a film, a piece of an electrode seen through, or a thin section of one."""
IMAGES_ONLY = "none"
"""Where the chemistry should stand: nothing is fitted, and images are all that is wanted."""
CHEMISTRIES = (*MODELLED_CHEMISTRIES, "custom", IMAGES_ONLY)
"""Those whose reference spectra come with the program, any other, for which the campaign names its own, and none."""
UNNAMED = "unnamed"
"""The electrode that ``init`` writes, for people to replace: scans of one unnamed electrode say nothing of others."""


def is_option(column: str) -> bool:
    """Whether a column of the sheet holds options of a stage for single scans: ``stage.option``."""
    return "." in column


@dataclass(frozen=True)
class Scan:
    """One row of the sample sheet: one acquisition and the condition of the electrode that it saw."""

    scan_id: str
    files: tuple[Path, ...]
    """Absolute; several are one stack."""
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
    time_h: float | None = None
    """Hours at which the region was in this state: two scans of one ``region_id`` at two times show its reaction."""
    polarisation_deg: float | None = None
    """Angle of the linear polarisation from the horizontal."""
    sample_geometry: Literal["dispersed", "electrode", "lamella"] | None = None
    exclude: bool = False
    reason: str | None = None
    file_region: str | None = None
    """Which region or channel of files that hold several, named in the cell behind them: ``scan.hdr#region1``."""
    address: str | None = None
    """Of the run on a Tiled server that the file is filled from; None: the beamline wrote the file."""
    line: int = 0
    """Line of the sample sheet, counted from 1."""
    options: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Option columns of the sheet (``fit.background``) to their cells, where these are not empty."""

    @property
    def images_only(self) -> bool:
        """Whether no state of charge is wanted of it."""
        return self.chemistry == IMAGES_ONLY

    @property
    def file(self) -> Path:
        """The only file, or the first of several."""
        return self.files[0]

    @property
    def cell(self) -> str:
        """The cell ``file`` without folders."""
        return self.address or ";".join(file.name for file in self.files) + self._mark

    def cell_from(self, folder: Path) -> str:
        """The cell ``file`` as seen from a folder; of files outside, only their names."""
        if self.address:
            return self.address
        names = [
            file.relative_to(folder).as_posix() if file.is_relative_to(folder) else file.name for file in self.files
        ]
        return ";".join(names) + self._mark

    @property
    def _mark(self) -> str:
        return f"#{self.file_region}" if self.file_region else ""


@dataclass(frozen=True)
class Row:
    """The text of one row as it stands in the sheet."""

    line: int
    cells: Mapping[str, str]

    @property
    def scan_id(self) -> str:
        return self.cells.get("scan_id", "")
