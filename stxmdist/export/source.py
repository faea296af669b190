"""What is published of a campaign, as exporters need it: images upright, and where every number came from."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import tzinfo
from functools import cached_property

import numpy as np

from storage.output import Output
from storage.publication import PublishedScan
from stxmdist import __version__
from stxmdist.arrays import F32, F64, U8, Array
from stxmdist.campaign.manifest import Campaign
from stxmdist.campaign.scan import Scan
from stxmdist.measures import IngestMeasures
from stxmdist.planning.published import PublishedCampaign, simulated_scans


@dataclass(frozen=True)
class Stack:
    """Aligned transmission of one scan; rows grow with y, columns with x."""

    energy_ev: F64
    """(ENERGY,)"""
    y_um: F64
    """(Y,) pixel centres, ascending"""
    x_um: F64
    """(X,) pixel centres, ascending"""
    transmission: F32
    """(ENERGY, Y, X), NaN where the frame was not measured or has left the field"""
    effective_counts: F64
    """(ENERGY,) such that Var(T) = T / effective_counts"""
    energy_used: U8
    """(ENERGY,) 1 where the energy takes part in the fit"""

    def transmission_se(self, energy: int) -> F32:
        """Standard error (Y, X) of the transmission: sqrt(T / N)."""
        plane = self.transmission[energy]
        error: F32 = np.sqrt(np.maximum(plane, 0.0) / self.effective_counts[energy]).astype(np.float32)
        return error

    def optical_density(self, energy: int) -> F32:
        """-ln T (Y, X); NaN where the transmission is not positive."""
        plane = self.transmission[energy]
        density = np.full(plane.shape, np.nan, np.float32)
        np.log(plane, out=density, where=plane > 0)
        return -density

    def optical_density_se(self, energy: int) -> F32:
        """Standard error (Y, X) of the optical density: sqrt(1 / (T N)), by propagation through the logarithm."""
        plane = self.transmission[energy].astype(np.float64)
        variance = np.full(plane.shape, np.nan)
        np.divide(1.0, plane * self.effective_counts[energy], out=variance, where=plane > 0)
        error: F32 = np.sqrt(variance).astype(np.float32)
        return error


@dataclass(frozen=True)
class ExportSource:
    """What is published of a campaign, and which of its scans are exported."""

    campaign: Campaign
    published: PublishedCampaign
    scans: tuple[Scan, ...]
    named: bool
    """Whether the scans were named one by one: then each of them must have what the format is for."""
    time: str
    """Of the export, ISO 8601"""
    time_zone: tzinfo | None = None
    """Of recordings that do not name theirs; None where nobody said it"""
    licence: str | None = None
    """Of the exported data, by its identifier in the list of SPDX; None where nobody named one"""

    @cached_property
    def simulated(self) -> frozenset[str]:
        """The scans whose files were simulated, not measured."""
        return simulated_scans(self.campaign)

    def is_simulated(self, scan_id: str) -> bool:
        """Whether a scan, or any scan where the campaign is named, was simulated."""
        known = {scan.scan_id for scan in self.campaign.scans}
        return scan_id in self.simulated if scan_id in known else bool(self.simulated)

    def origin(self, scan_id: str) -> str:
        """In words: a simulation, or a measurement."""
        return "simulated, not measured" if self.is_simulated(scan_id) else "from a measurement"

    def output(self, stage: str, scan_id: str) -> Output:
        """A published output; ask ``published.why_unusable`` before."""
        output = self.published.output(stage, scan_id)
        assert output is not None, (stage, scan_id)
        return output

    def axes(self, stage: str, scan_id: str) -> tuple[F64, F64]:
        """y (Y,) and x (X,) of an output's images in um, ascending."""
        output = self.output(stage, scan_id)
        y_um, x_um = (np.asarray(output.read(name), np.float64) for name in ("y_um", "x_um"))
        return np.sort(y_um), np.sort(x_um)

    def image(self, stage: str, scan_id: str, name: str) -> Array:
        """An array (..., Y, X) with rows along +y and columns along +x."""
        output = self.output(stage, scan_id)
        turned = [-1 if len(axis) > 1 and axis[0] > axis[-1] else 1 for axis in map(output.read, ("y_um", "x_um"))]
        values: Array = output.read(name)[..., :: turned[0], :: turned[1]]
        return values

    def stack(self, scan_id: str) -> Stack:
        """The aligned images, from which the fit computes every map and label."""
        align = self.output("align", scan_id)
        return Stack(
            np.asarray(align.read("energy_ev"), np.float64),
            *self.axes("align", scan_id),
            self.image("align", scan_id, "transmission"),
            align.read("effective_counts"),
            align.read("energy_used"),
        )

    def condition(self, scan_id: str) -> dict[str, object]:
        """What the sample sheet says of a scan; nothing where the cell is empty."""
        row = asdict(self.campaign.scan(scan_id))
        left_out = ("files", "options", "line", "exclude", "reason")
        return {name: value for name, value in row.items() if value is not None and name not in left_out}

    def provenance(self, scan_id: str, stages: Iterable[str]) -> dict[str, object]:
        """Where an exported file comes from: every output that led to it, with its stage's version, options and time.

        ``scan_id`` may be the campaign's, whose outputs were made from those of many scans.
        """
        lineage = self.published.lineage(stages, scan_id)
        ingested = {name: self.published.figures(IngestMeasures, "ingest", name) for name in lineage.get("ingest", ())}
        known = {scan.scan_id for scan in self.campaign.scans}
        return {
            "campaign": self.campaign.name,
            "scan_id": scan_id,
            "simulated": self.is_simulated(scan_id),
            "exported": self.time,
            "software": {"stxmdist": __version__},
            "condition": self.condition(scan_id) if scan_id in known else {},
            "reading": {name: asdict(self.published.reading(name)) for name in ingested},
            "files_sha256": {name: figures.sha256 for name, figures in ingested.items() if figures is not None},
            "stages": {
                stage: self._of_stage(stage) | {"outputs": {name: _identity(scan) for name, scan in outputs.items()}}
                for stage, outputs in lineage.items()
            },
        }

    def _of_stage(self, stage: str) -> dict[str, object]:
        publication = self.published.publications[stage]
        return {
            "version": publication.version,
            "options": publication.options,
            "seed": publication.seed,
            "time": publication.time,
            "software": publication.software,
        }


ROWS = "from the top of the field downward, as in the report: y of the stage is minus y of the image"
"""How rows of formats for viewers are ordered, in words for their metadata"""


def from_the_top(values: Array) -> Array:
    """An image (..., Y, X) with rows along +y as viewers want it, which draw the first row at the top: along -y."""
    seen: Array = values[..., ::-1, :]
    return seen


def _identity(scan: PublishedScan) -> dict[str, object]:
    own = {"options": scan.options} if scan.options else {}
    return {"digest": scan.digest, "state": scan.state, "inputs": scan.inputs, **own}
